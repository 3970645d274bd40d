"""The executor on Ray agrees with the one in this process, whatever dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy
from toy.deadly import Gathers

from datapipe import DataError, Stage, StageError
from datapipe.cluster import RayExecutor

pytestmark = pytest.mark.usefixtures("local_ray")


@pytest.fixture
def poisoned(tmp_path: Path) -> Path:
    """Two files of twenty documents; two of the first are bad."""
    folder = tmp_path / "in"
    folder.mkdir()
    for file in range(2):
        rows = [f"bad {line}" if file == 0 and line in (9, 15) else f"good {file} {line}" for line in range(20)]
        (folder / f"{file}.txt").write_text("\n".join(rows) + "\n")
    return folder


def stages(path: str) -> tuple[Stage, ...]:
    """Returns the toy pipeline with every operation of the engine but repeat."""
    return toy.Lines(path=path), toy.Short(), toy.Once(), toy.Finish()


@pytest.fixture(scope="module")
def undisturbed(texts: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of a run in this process."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    toy.run(toy.pipeline(*stages(texts)), out)
    return toy.tree(out)


def test_ray_and_this_process_come_to_the_same(undisturbed: dict[str, str], texts: str, tmp_path: Path) -> None:
    report = toy.run(toy.pipeline(*stages(texts)), tmp_path / "out", executor=RayExecutor())

    again = toy.run(toy.pipeline(*stages(texts)), tmp_path / "out", executor=RayExecutor())
    assert toy.tree(tmp_path / "out") == undisturbed
    assert (report.made > 0, again.made) == (True, 0)


def test_a_repeat_on_ray_comes_to_the_same(texts: str, tmp_path: Path) -> None:
    spread = (toy.Lines(path=texts), toy.Spread(), toy.Sorted())
    toy.run(toy.pipeline(*spread), tmp_path / "here")

    toy.run(toy.pipeline(*spread), tmp_path / "ray", executor=RayExecutor())

    assert toy.tree(tmp_path / "ray") == toy.tree(tmp_path / "here")


def test_records_that_raise_and_files_that_cannot_be_read_leave_as_in_this_process(
    poisoned: Path, tmp_path: Path
) -> None:
    (poisoned / "broken.txt").write_bytes(b"good\n" * 10 + b"\xff\n")
    faulty = (toy.Lines(path=str(poisoned)), toy.Raises(), toy.Finish())
    toy.run(toy.pipeline(*faulty), tmp_path / "here")

    report = toy.run(toy.pipeline(*faulty), tmp_path / "ray", executor=RayExecutor())

    assert toy.tree(tmp_path / "ray") == toy.tree(tmp_path / "here")
    assert (report.set_aside, report.exit_status) == (3, 3)


def test_a_record_that_kills_its_worker_is_quarantined(poisoned: Path, tmp_path: Path) -> None:
    faulty = toy.pipeline(toy.Lines(path=str(poisoned)), toy.Kills(), toy.Finish())

    report = toy.run(faulty, tmp_path / "out", executor=RayExecutor())

    ledger = toy.rows_of(tmp_path / "out", "ledger")
    assert sorted((row["url"], row["action"], row["rule"], row["note"].split(";")[0]) for row in ledger) == [
        ("0.txt#15", "quarantine", "crash", "crash: SIGSEGV"),
        ("0.txt#9", "quarantine", "crash", "crash: SIGSEGV"),
    ]
    assert (report.set_aside, len(toy.rows_of(tmp_path / "out", "corpus"))) == (2, 38)


@pytest.mark.heavy  # it waits for silence: 23 s
def test_a_record_on_which_native_code_never_ends_is_quarantined(poisoned: Path, tmp_path: Path) -> None:
    (poisoned / "0.txt").write_text("good\nbad\nbetter\n")
    faulty = toy.pipeline(toy.Lines(path=str(poisoned)), Gathers(end="never_end", rows=1), toy.Finish())

    report = toy.run(faulty, tmp_path / "out", executor=RayExecutor(stall_seconds=5))

    ledger = toy.rows_of(tmp_path / "out", "ledger")
    assert [(row["url"], row["action"], row["rule"]) for row in ledger] == [("0.txt#1", "quarantine", "hang")]
    assert (report.set_aside, len(toy.rows_of(tmp_path / "out", "corpus"))) == (1, 22)


def test_a_file_that_kills_its_reader_is_set_aside_whole(poisoned: Path, tmp_path: Path) -> None:
    source = toy.KillsReader(path=str(poisoned), file="1.txt")

    report = toy.run(toy.pipeline(source, toy.Finish()), tmp_path / "out", executor=RayExecutor())

    ledger = toy.rows_of(tmp_path / "out", "ledger")
    assert [(row["url"], row["action"], row["rule"]) for row in ledger] == [("1.txt", "quarantine", "unreadable_shard")]
    assert ledger[0]["note"] == "1.txt of source lines: cannot be read (crash: SIGSEGV)"
    assert (report.set_aside, len(toy.rows_of(tmp_path / "out", "corpus"))) == (1, 20)


def test_a_task_that_always_fails_names_its_shard(poisoned: Path, tmp_path: Path) -> None:
    faulty = toy.pipeline(toy.Lines(path=str(poisoned)), toy.FailsAlways(), toy.Finish())

    with pytest.raises(StageError, match=r"lines\+failsalways\[[01]\]: error:RuntimeError: no model here"):
        toy.run(faulty, tmp_path / "out", executor=RayExecutor())


def test_where_bad_input_must_fail_the_error_names_the_files(poisoned: Path, tmp_path: Path) -> None:
    (poisoned / "broken.txt").write_bytes(b"\xff\n")
    faulty = toy.pipeline(toy.Lines(path=str(poisoned)), toy.Finish(), on_bad_input="fail")

    with pytest.raises(DataError, match=r"broken\.txt of source lines: cannot be read \(UnicodeDecodeError"):
        toy.run(faulty, tmp_path / "out", executor=RayExecutor())


def test_workers_that_are_killed_change_nothing(undisturbed: dict[str, str], texts: str, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    mortal = (toy.Lines(path=texts), toy.DiesOnce(marks=str(tmp_path / "marks")), *stages(texts)[1:])

    report = toy.run(toy.pipeline(*mortal), tmp_path / "out", executor=RayExecutor())

    made = toy.tree(tmp_path / "out")
    kept = [name for name in undisturbed if name.startswith(("corpus/train", "keys"))]
    assert len(list((tmp_path / "marks").iterdir())) == 3
    assert report.set_aside == 0
    assert {name: made[name] for name in kept} == {name: undisturbed[name] for name in kept}


@pytest.fixture
def command(tmp_path: Path, texts: str) -> tuple[list[str], dict[str, str]]:
    """The command that runs the toy pipeline, and the environment in which its stages are installed."""
    names = [name for name in toy.__all__ if isinstance(getattr(toy, name), type)]
    toy.install(tmp_path / "site", "toy", {name.lower(): f"toy:{name}" for name in names})
    (tmp_path / "toy.yaml").write_text(
        f"steps: [lines: {{path: '{texts}'}}, slow: {{seconds: 0.4}}, short, once, finish]\n"
    )
    place = os.pathsep.join([str(tmp_path / "site"), str(Path(toy.__file__).parents[1])])
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    made = [sys.executable, "-m", "datapipe.cli", "run", str(tmp_path / "toy.yaml"), "--out", str(tmp_path / "out")]
    return made, {**environment, "PYTHONPATH": place}


@pytest.mark.heavy  # 31 s; test_quickstart.py kills a driver at less length
def test_a_driver_that_is_stopped_and_killed_comes_to_the_same(
    command: tuple[list[str], dict[str, str]], tmp_path: Path
) -> None:
    line, environment = command
    local = subprocess.run([*line[:-1], str(tmp_path / "here"), "--executor", "local"], env=environment, check=False)
    statuses = [local.returncode]

    for number, shards in ((signal.SIGTERM, 1), (signal.SIGKILL, 4)):
        process = subprocess.Popen([*line, "--workers", "2"], env=environment, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and len(list((tmp_path / "out/work").glob("*-*/done/*.json"))) < shards:
            time.sleep(0.02)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        statuses.append(process.returncode)
        assert number == signal.SIGKILL or "the same command goes on from there" in said
    statuses.append(subprocess.run([*line, "--workers", "1"], env=environment, check=False).returncode)

    assert statuses == [0, 75, -signal.SIGKILL, 0]
    assert toy.tree(tmp_path / "out") == toy.tree(tmp_path / "here")
