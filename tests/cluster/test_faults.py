"""What kills, hangs or starves a task costs one record or one file; what is nobody's fault costs none."""

import contextlib
import hashlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import toy
from toy.deadly import FarAway, Gathers, Group, Starves

from datapipe import ConfigError, StageError
from datapipe.cluster import RayExecutor
from datapipe.cluster.connect import stall_seconds_of
from datapipe.cluster.nodes import TASK_MEMORY_BYTES, declared_bytes
from datapipe.exchange import MEMORY_BYTES
from datapipe.isolate import run_isolated
from datapipe.local import Executor, Local, backoff_seconds
from datapipe.poison import inputs_of
from datapipe.task import Outcome, Task

GIB = 1 << 30
CGROUPS = Path("/sys/fs/cgroup/memory")


class Isolated(Local):
    """Each task that reads a source in a process of its own, from the first attempt on."""

    def __init__(self, *, blames_memory: bool = False, stall_seconds: float = 120.0) -> None:
        self.blames_memory, self.stall_seconds = blames_memory, stall_seconds

    def _outcome(self, task: Task, seen: Callable[[int, int], None]) -> Outcome:
        if not inputs_of(task):
            return super()._outcome(task, seen)
        return run_isolated(task, 0, seen, self.stall_seconds, forgiving=True, blames_memory=self.blames_memory)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Three files of twenty documents, of which the fourth of the second is bad; `folder` names them."""
    folder = tmp_path / "in"
    folder.mkdir()
    for file in range(3):
        rows = ["bad" if (file, line) == (1, 3) else f"good {file} {line}" for line in range(20)]
        (folder / f"{file}.txt").write_text("\n".join(rows) + "\n")
    return folder


def ledger(out: Path) -> list[tuple[str, str, str]]:
    """Returns address, rule and note of what was set aside."""
    return [(row["url"], row["rule"], row["note"]) for row in toy.rows_of(out, "ledger")]


def of_text(text: str) -> str:
    """Returns what the ledger says a document is known again by."""
    return f"text of {len(text)} bytes, blake2b {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


@pytest.mark.parametrize(
    ("end", "executor", "note"),
    [
        ("refuse", Local(), "error:ValueError: this is bad"),
        pytest.param("segfault", Isolated(), "crash: SIGSEGV", marks=pytest.mark.heavy),
        ("starve", Isolated(blames_memory=True), "memory: MemoryError: no more of it"),
    ],
    ids=["raises", "crashes", "starves"],
)
def test_a_stage_that_gathers_rows_has_the_right_record_blamed(
    end: str, executor: Executor, note: str, lines: Path, tmp_path: Path
) -> None:
    rows = 4 if end == "starve" else 10  # in the bad record's own place: a lack of memory is laid to no other
    stages = toy.pipeline(toy.Lines(path=str(lines)), Gathers(end=end, rows=rows), toy.Finish())

    toy.run(stages, tmp_path / "out", executor=executor)

    assert ledger(tmp_path / "out") == [("1.txt#3", note.split(":", maxsplit=1)[0], f"{note}; {of_text('bad')}")]
    assert len(toy.rows_of(tmp_path / "out", "corpus")) == 59


@pytest.mark.heavy
def test_a_record_on_which_native_code_never_ends_is_quarantined(lines: Path, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=str(lines)), Gathers(end="never_end", rows=1), toy.Finish())

    toy.run(stages, tmp_path / "out", executor=Isolated(stall_seconds=10))

    assert ledger(tmp_path / "out") == [("1.txt#3", "hang", f"hang: no progress; {of_text('bad')}")]
    assert len(toy.rows_of(tmp_path / "out", "corpus")) == 59


@pytest.fixture
def group(lines: Path) -> Path:
    """Four files of twenty documents, one of them called bad."""
    (lines / "bad.txt").write_text("".join(f"line {line}\n" for line in range(20)))
    (lines / "1.txt").write_text("".join(f"line {line}\n" for line in range(20)))
    return lines


@pytest.mark.parametrize(
    ("end", "stall_seconds", "reason"),
    [
        ("segfault", 120.0, "crash: SIGSEGV"),
        pytest.param("never_end", 10.0, "hang: no progress", marks=pytest.mark.heavy),
    ],
    ids=["crashes", "hangs"],
)
def test_a_file_that_kills_its_reader_costs_no_other_file_of_its_shard(
    end: str, stall_seconds: float, reason: str, group: Path, tmp_path: Path
) -> None:
    stages = toy.pipeline(Group(path=str(group), end=end), toy.Finish())

    toy.run(stages, tmp_path / "out", executor=Isolated(stall_seconds=stall_seconds))

    note = f"bad.txt of source lines: cannot be read ({reason})"
    assert ledger(tmp_path / "out") == [("bad.txt", "unreadable_shard", note)]
    assert len(toy.rows_of(tmp_path / "out", "corpus")) == 60


@pytest.mark.usefixtures("local_ray")
def test_a_file_that_cannot_be_read_costs_no_other_here_or_on_ray(group: Path, tmp_path: Path) -> None:
    stages = toy.pipeline(Group(path=str(group)), toy.Finish())
    toy.run(stages, tmp_path / "here")

    toy.run(stages, tmp_path / "ray", executor=RayExecutor())

    assert [row[:2] for row in ledger(tmp_path / "ray")] == [("bad.txt", "unreadable_shard")]
    assert toy.tree(tmp_path / "ray") == toy.tree(tmp_path / "here")


@pytest.mark.parametrize("name", ["here", "ray"])
def test_a_store_that_does_not_answer_is_waited_for_and_blames_no_record(
    name: str, lines: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "ray":
        request.getfixturevalue("local_ray")
    monkeypatch.setattr("datapipe.local.BACKOFF_SECONDS", 0.2)
    (tmp_path / "marks").mkdir()
    stages = toy.pipeline(toy.Lines(path=str(lines)), FarAway(marks=str(tmp_path / "marks"), times=4), toy.Finish())

    report = toy.run(stages, tmp_path / "out", executor=Local() if name == "here" else RayExecutor())

    assert [mark.read_bytes() for mark in (tmp_path / "marks").iterdir()] == [b"...."] * 3
    assert (report.set_aside, len(toy.rows_of(tmp_path / "out", "corpus"))) == (0, 60)


@pytest.mark.usefixtures("local_ray")
def test_a_task_that_finds_too_little_memory_again_and_again_names_its_shard(lines: Path, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=str(lines)), Starves(), toy.Finish())

    with pytest.raises(
        StageError,
        match=r"lines\+starves\[[012]\]: out of memory 3 times, at last with [\d,]+ MiB declared; a smaller "
        "bytes_per_shard makes smaller tasks",
    ):
        toy.run(stages, tmp_path / "out", executor=RayExecutor())


@pytest.mark.usefixtures("local_ray")
def test_a_record_that_takes_all_memory_is_quarantined(lines: Path, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=str(lines)), Gathers(end="starve", rows=1), toy.Finish())

    toy.run(stages, tmp_path / "out", executor=RayExecutor())

    assert [row[:2] for row in ledger(tmp_path / "out")] == [("1.txt#3", "memory")]
    assert len(toy.rows_of(tmp_path / "out", "corpus")) == 59


@pytest.mark.parametrize(
    ("nodes", "sorting", "failures", "expected"),
    [
        ([(4, 16.0)], MEMORY_BYTES, 0, TASK_MEMORY_BYTES),
        ([(4, 16.0)], MEMORY_BYTES + GIB, 0, TASK_MEMORY_BYTES + GIB),
        ([(8, 4.0)], MEMORY_BYTES, 0, GIB // 2),  # less than it would have for each core: all cores have work
        ([(8, 4.0)], MEMORY_BYTES, 1, GIB),
        ([(8, 4.0)], MEMORY_BYTES, 2, 2 * GIB),
        ([(1, 1.0), (4, 2.0), (0, 64.0)], MEMORY_BYTES, 2, 2 * GIB),  # no task runs where no core is
        ([], MEMORY_BYTES, 0, TASK_MEMORY_BYTES),
    ],
)
def test_an_attempt_declares_its_share_and_after_each_failure_twice_that(
    nodes: list[tuple[int, float]], sorting: int, failures: int, expected: int
) -> None:
    held = [{"CPU": float(cores), "memory": gib * GIB} for cores, gib in nodes]

    assert declared_bytes(held, sorting, failures) == expected


@pytest.mark.parametrize(("failures", "expected"), [(0, GIB // 2 + 2 * GIB), (1, 4 * GIB)])
def test_what_an_attempt_holds_is_declared_beside_its_share(failures: int, expected: int) -> None:
    held = [{"CPU": 8.0, "memory": 4.0 * GIB}]

    assert declared_bytes(held, MEMORY_BYTES, failures, holding=2 * GIB) == expected
    assert declared_bytes([], MEMORY_BYTES, 0, holding=2 * GIB) == TASK_MEMORY_BYTES + 2 * GIB


def test_waits_grow_up_to_half_a_minute() -> None:
    assert [backoff_seconds(failures) for failures in (1, 2, 3, 5, 6, 20)] == [1, 2, 4, 16, 30, 30]


def test_how_long_a_silent_attempt_is_waited_for_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPIPE_STALL_SECONDS", "90")

    assert (stall_seconds_of(None), stall_seconds_of(5.0)) == (90, 5)

    monkeypatch.setenv("DATAPIPE_STALL_SECONDS", "soon")
    with pytest.raises(ConfigError, match="DATAPIPE_STALL_SECONDS: is a number of seconds above 0, not 'soon'"):
        stall_seconds_of(None)


@pytest.mark.heavy
@pytest.mark.usefixtures("local_ray")
def test_metrics_are_scraped_from_the_node(lines: Path, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=str(lines)), toy.Short(), toy.Finish())
    report = toy.run(stages, tmp_path / "out", executor=RayExecutor())

    end = time.monotonic() + 60
    wanted = {f"ray_datapipe_{name}" for name in ("documents_total", "bytes_total", "dropped_total", "attempts_total")}
    while not all(f"{name}{{" in (text := metrics()) for name in wanted) and time.monotonic() < end:
        time.sleep(1)  # each process of a node tells it what it counted in its own time

    samples = dict(
        line.rsplit(" ", 1) for line in text.splitlines() if "datapipe_" in line and not line.startswith("#")
    )
    dropped = [value for name, value in samples.items() if "_dropped_total{" in name and 'rule="short"' in name]
    assert {name.partition("{")[0] for name in samples} >= {*wanted, "ray_datapipe_task_seconds_count"}
    assert sum(map(float, dropped)) >= report.stages[1].dropped > 0


def metrics() -> str:
    """Returns what the node's exporter says."""
    from datapipe.cluster.connect import ray

    with urllib.request.urlopen(f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics") as answer:
        return str(answer.read().decode())


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A control group of 700 MB, of memory that is there and of swap."""
    place = CGROUPS / f"datapipe-{os.getpid()}"
    if not os.access(CGROUPS, os.W_OK):
        pytest.skip(f"{CGROUPS}: cannot be written; it takes root and control groups of version 1")
    place.mkdir()
    (place / "memory.limit_in_bytes").write_text(str(700 << 20))
    yield place
    for _ in range(100):
        with contextlib.suppress(OSError):  # a process in it is still ending
            place.rmdir()
            break
        time.sleep(0.1)


INSIDE = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[4:]
Path(sys.argv[1], "cgroup.procs").write_text("0")
import toy
from test_faults import Isolated
from toy.deadly import Gathers
stages = toy.pipeline(toy.Lines(path=sys.argv[2]), Gathers(end="devour", rows=1), toy.Finish())
toy.run(stages, Path(sys.argv[3]), executor=Isolated(blames_memory=True))
"""


@pytest.mark.heavy
def test_a_record_for_which_the_kernel_kills_is_quarantined(cgroup: Path, lines: Path, tmp_path: Path) -> None:
    places = [str(Path(__file__).parent), str(Path(toy.__file__).parents[1])]

    subprocess.run(
        [sys.executable, "-c", INSIDE, str(cgroup), str(lines), str(tmp_path / "out"), *places], check=True, timeout=300
    )

    note = f"memory: killed for want of it; {of_text('bad')}"
    assert ledger(tmp_path / "out") == [("1.txt#3", "memory", note)]
    assert len(toy.rows_of(tmp_path / "out", "corpus")) == 59
