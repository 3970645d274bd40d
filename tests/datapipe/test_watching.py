"""Watching a run from outside: what its driver says of itself, `datapipe status`, log lines, its environment."""

import json
import logging
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy

from datapipe import ConfigError, Follower, PlanError, Report, Stage, driver, interrupt, logs, records
from datapipe.driver import Flow, driver_path, process_of
from datapipe.local import Local
from datapipe.plan import Wave
from datapipe.publish import Place
from datapipe.run import Silent, run_pipeline
from datapipe.status import status, status_lines
from datapipe.task import Outcome, Task

PATIENCE_SECONDS = 60.0


def stages(path: str) -> tuple[Stage, ...]:
    """Returns a toy pipeline of several waves."""
    return toy.Lines(path=path), toy.Short(), toy.Once(), toy.Finish()


def said(out: Path) -> dict[str, Any]:  # Any: JSON
    """Returns what the driver of `out` said last."""
    data: dict[str, Any] = json.loads(Path(driver_path(str(out / "work"), str(out))).read_text())
    return data


def wait_until(holds: Callable[[], object]) -> None:
    """Waits until something holds. Raises AssertionError where it never does."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


class At(Silent):
    """A listener that does something once, when a wave has finished its first task."""

    def __init__(self, wave: int, does: Callable[[], object]) -> None:
        self.at, self.does, self.number, self.done = wave, does, 0, False

    def wave(self, wave: Wave) -> None:
        self.number = wave.number

    def finished(self, task: Task, outcome: Outcome) -> None:
        if self.number == self.at and not self.done:
            self.done = True
            self.does()


class Each(Silent):
    """A listener that does something after each task."""

    def __init__(self, does: Callable[[], object]) -> None:
        self.does = does

    def finished(self, task: Task, outcome: Outcome) -> None:
        self.does()


def run(texts: str, out: Path, listener: Silent | None = None) -> Report:
    """Runs the pipeline into `out` and tells the listener."""
    place = Place(str(out), str(out / "work"))
    return run_pipeline(toy.pipeline(*stages(texts)), place, Local(), toy.VERSION, listener)


@pytest.fixture(scope="module")
def done(texts: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A finished run, which tests copy or leave as it is."""
    out = tmp_path_factory.mktemp("done") / "out"
    return out, run(texts, out)


def test_a_finished_run_says_what_its_report_says(done: tuple[Path, Report]) -> None:
    out, report = done

    found = status(str(out))

    dropped = {stage.stage: stage.dropped for stage in report.stages if stage.dropped}
    assert (found.state, found.corpus) == ("finished", True)
    assert all(step.tasks == step.done and not step.running for step in found.steps)
    assert {stage: amount for stage, amount in found.driver["dropped"].items() if amount} == dropped
    assert (found.driver["pid"], found.driver["host"]) == (os.getpid(), platform.node())
    assert found.driver["rows_read"] > 0


def test_a_run_in_the_middle_shows_its_wave_what_is_done_and_what_is_unknown(
    texts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "BEAT_SECONDS", 0.02)
    found = []

    def look() -> None:
        wait_until(lambda: said(tmp_path).get("wave", {}).get("done") == 1)
        found.append(status(str(tmp_path)))

    run(texts, tmp_path, At(1, look))

    (seen,) = found
    states = {step.stage: (step.done, step.tasks, step.running) for step in seen.steps}
    assert (seen.state, seen.corpus) == ("running", False)
    assert states["short"] == (1, 3, True)
    assert seen.driver["wave"]["tasks"] == 3
    assert seen.left_seconds is not None
    assert any(step.done == 0 and not step.running for step in seen.steps)
    assert any(line.startswith("wave 1: 1 of 3 tasks, about ") for line in status_lines(seen))


def test_a_second_driver_is_warned_and_comes_to_the_same(
    done: tuple[Path, Report], texts: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    started = lambda: wait_until(Path(driver_path(str(tmp_path / "work"), str(tmp_path))).exists)  # noqa: E731
    warned: list[list[str]] = []

    def second() -> None:
        started()
        caplog.clear()
        run(texts, tmp_path)
        warned.append([record.getMessage() for record in caplog.records if record.levelno == logging.WARNING])

    run(texts, tmp_path, At(1, second))

    ((sentence,),) = warned
    assert f"another driver (host {platform.node()}, process {os.getpid()}) has been at work on {tmp_path}" in sentence
    assert toy.tree(tmp_path) == toy.tree(done[0])


def test_after_a_finished_run_and_after_a_crash_nobody_is_warned(
    texts: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    toy.crash(stages(texts), tmp_path, "once:0:0:before_commit")
    dead = status(str(tmp_path))

    run(texts, tmp_path)

    assert dead.state == "dead"
    assert not dead.corpus
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert status(str(tmp_path)).state == "finished"


def test_where_the_driver_is_gone_finished_shards_are_counted(texts: str, tmp_path: Path) -> None:
    toy.crash(stages(texts), tmp_path, "short:1:0:after_commit")

    counted = {step.stage: step.done for step in status(str(tmp_path)).steps}
    shutil.rmtree(tmp_path / "work/drivers")
    listed = status(str(tmp_path))

    assert 0 < counted["short"] < 3
    assert (listed.state, {step.stage: step.done for step in listed.steps}["short"]) == ("unknown", counted["short"])


def test_a_driver_of_another_host_is_dead_when_it_was_silent_for_long(
    done: tuple[Path, Report], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(done[0], tmp_path / "out"))
    path = next((out / "work/drivers").iterdir())
    states = []

    for age in (5, 3600):
        data = {**json.loads(path.read_text()), "status": "running", "host": "elsewhere", "pid": 1}
        path.write_text(json.dumps({**data, "updated": time.time() - age}))
        states.append(status(str(out)).state)  # under another name than the driver knew

    assert states == ["running", "dead"]


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (KeyboardInterrupt(), "interrupted", "stopped from outside"),
        (PlanError("this is wrong"), "failed", "this is wrong"),
        (ValueError("that is odd"), "failed", "ValueError: that is odd"),
    ],
    ids=["interrupted", "failed", "fault"],
)
def test_how_a_run_ended_is_said(error: BaseException, state: str, message: str, texts: str, tmp_path: Path) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        run(texts, tmp_path, At(1, fail))

    found = status(str(tmp_path))
    noted = json.loads((tmp_path / "work/run.json").read_text())
    assert (found.state, found.message) == (state, message)
    assert (noted["status"], noted["message"]) == (state, message)


def test_a_store_that_does_not_take_the_drivers_word_fails_no_run(
    done: tuple[Path, Report], texts: str, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/drivers").touch()
    (tmp_path / "work/runs").touch()

    run(texts, tmp_path)

    assert toy.tree(tmp_path) == toy.tree(done[0])


@pytest.mark.parametrize("content", ["{", "[]", '{"status": "running"}'])
def test_what_no_driver_wrote_says_nothing(content: str, done: tuple[Path, Report], tmp_path: Path) -> None:
    out = Path(shutil.copytree(done[0], tmp_path / "out"))
    next((out / "work/drivers").iterdir()).write_text(content)

    found = status(str(out), str(out / "work"))

    assert (found.state, found.driver) == ("finished", {})


def test_status_of_a_folder_without_a_run_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no run has been here; give the --out of one"):
        status(str(tmp_path))


def test_every_run_leaves_its_environment(texts: str, tmp_path: Path) -> None:
    run(texts, tmp_path)
    run(texts, tmp_path)  # made nothing
    toy.run(toy.pipeline(*stages(texts)[:2], toy.Finish()), tmp_path, replace=True)

    runs = [json.loads(path.read_text()) for path in sorted((tmp_path / "work/runs").iterdir())]
    last = json.loads((tmp_path / "work/run.json").read_text())
    assert len(runs) == 2
    assert last in runs
    for noted in runs:
        about = noted["environment"]
        assert noted["status"] == "finished"
        assert noted["started"] <= noted["finished"]
        assert about["python"].endswith(platform.python_version())
        assert about["cores"] == os.cpu_count()
        assert about["memory_bytes"] > 1 << 20
        assert about["libraries"].keys() >= {"datapipe", "pyarrow", "numpy", "ray", "tokenizers", "fasttext-modern"}


def test_a_work_folder_of_another_format_is_refused(texts: str, tmp_path: Path) -> None:
    run(texts, tmp_path)
    format_file = tmp_path / "work/format.json"
    ours = format_file.read_text()
    format_file.write_text('{"format": 2}\n')
    shutil.rmtree(tmp_path / "corpus")

    with pytest.raises(
        PlanError, match=r'format.json: is {"format": 2}, and this datapipe works with format 1; give an'
    ):
        run(texts, tmp_path)

    assert json.loads(ours) == {"format": 1}
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"form": "xml"}, "--log-format xml: is text or json"),
        ({"level": "loud"}, "--log-level loud: is one of debug, info, warning, error"),
    ],
    ids=["format", "level"],
)
def test_a_wrong_log_option_is_a_sentence(
    option: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (logs.FORMAT, logs.LEVEL):
        monkeypatch.setenv(name, "")  # so that it is as before at the end

    with pytest.raises(ConfigError, match=sentence):
        logs.setup(**option)


def test_log_lines_are_json_and_status_finds_the_run(installed: dict[str, str], tmp_path: Path) -> None:
    toy.write_lines(tmp_path / "in")
    (tmp_path / "toy.yaml").write_text("steps: [lines: {path: in/*.txt}, short, once, finish]\n")

    def datapipe(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "datapipe", *words]
        return subprocess.run(line, cwd=tmp_path, env=installed, capture_output=True, text=True, check=False)

    run = ("run", "toy.yaml", "--out", "out", "--work", "cache", "--executor", "local")
    made = datapipe(*run, "--log-format", "json", "--log-level", "debug")
    shown = datapipe("status", "out", "--work", "cache")

    lines = [json.loads(line) for line in made.stderr.splitlines()]
    waves = [(line["event"], line["wave"]) for line in lines if line.get("event", "").startswith("wave_")]
    started = [line for line in lines if line.get("event") == "attempt_started"]
    assert made.returncode == 0
    assert all(line.keys() >= {"time", "level", "logger", "message"} for line in lines)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"]) for line in lines)
    assert waves[:3] == [("wave_started", 1), ("wave_finished", 1), ("wave_started", 2)]
    assert ("once", 0, 0) in {(line["stage"], line["shard"], line["attempt"]) for line in started}
    assert shown.stdout.startswith(f"finished: local executor, driver on {platform.node()} (process ")
    assert shown.stdout.endswith("corpus: finished\n")


def stop() -> None:
    """Ends the run, as Ctrl-C does."""
    raise KeyboardInterrupt


def flows_of(out: Path) -> dict[str, tuple[int, int, int, int]]:
    """Returns what the driver says of documents by stage: in, made, out and dropped."""
    flows: dict[str, list[int]] = {}
    for step in status(str(out)).steps:
        if step.flow is not None:
            sums = flows.setdefault(step.stage, [0, 0, 0, 0])
            sums[0] += step.flow["documents_in"] if step.flow["first"] else 0
            sums[1] += step.flow["made"]
            sums[2] += step.flow["documents_out"] if step.flow["last"] else 0
            sums[3] += step.flow["dropped"]
    return {stage: (came, made, stayed, dropped) for stage, (came, made, stayed, dropped) in flows.items()}


def test_a_driver_says_what_became_of_documents_as_the_report_does_also_where_it_goes_on(tmp_path: Path) -> None:
    texts = toy.write_lines(tmp_path / "in")
    (tmp_path / "in/9.txt").write_text("one two three / four five six\nelm oak fir / elm\n")
    pipeline = (toy.Lines(path=str(texts)), toy.Short(), toy.Halve(), toy.Once(), toy.Finish())
    place = Place(str(tmp_path), str(tmp_path / "work"))
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(toy.pipeline(*pipeline), place, Local(), toy.VERSION, At(2, stop))

    report = toy.run(toy.pipeline(*pipeline), tmp_path)

    told = {
        stage.stage: (stage.documents_in, stage.made, stage.documents_out, stage.dropped)
        for stage in report.stages
        if stage.documents_in
    }
    rules: dict[str, dict[str, int]] = {}
    for step in status(str(tmp_path)).steps:
        if step.flow is not None:
            rules.setdefault(step.stage, {}).update(step.flow["rules"])
    assert flows_of(tmp_path) == told
    assert told["halve"][1] == 2
    assert rules["short"] == {"drop.short": told["short"][3]}
    assert rules["once"] == {"duplicate_of.first_word": told["once"][3]}


def test_a_rule_that_was_asked_and_took_nobody_is_told() -> None:
    flow = Flow((0,), first=True, last=True)

    for counts in ({"evaluated.short": 5, "fired.short": 1, "drop.short": 1}, {"evaluated.long": 4, "split.halves": 2}):
        flow.note(counts)

    assert flow.to_json()["rules"] == {"drop.long": 0, "drop.short": 1, "split.halves": 2}


def test_a_process_that_has_the_number_of_a_driver_that_is_gone_is_left_alone() -> None:
    # What a shell has put into the background ignores SIGINT, and its children do: so this one says that it does not.
    sleeps = "import signal, time; signal.signal(2, signal.SIG_DFL); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", sleeps], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"\n"
        said = {"host": platform.node(), "pid": other.pid, "process": process_of(other.pid)}
        gone = {**said, "process": f"{said['process']}1"}
        told = [interrupt(one) for one in (gone, {**said, "host": "elsewhere"}, {**said, "process": None})]
        lives = other.poll() is None
        last = interrupt(said)

    assert (told, lives, last, other.returncode) == ([False] * 3, True, True, -signal.SIGINT)
    assert not interrupt(said), "nobody has that number now"


def test_a_follower_reads_each_finished_shard_once_and_just_the_columns_that_it_asks_for(
    texts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PACK_RECORDS", 2)
    follower, seen = Follower(str(tmp_path / "work")), list[tuple[str, int]]()

    def look() -> None:
        for step in sorted(path.name for path in (tmp_path / "work").glob("short-*")):
            seen.extend((step, shard.number) for shard in follower.fresh(step))

    run(texts, tmp_path, Each(look))
    look()

    (step,) = {name for name, _ in seen}
    shards = list(Follower(follower.work).fresh(step))
    rows = [follower.rows(shard, ("source", "words")) for shard in shards]
    left = [follower.left(shard, ("rule", "action")) for shard in shards]
    assert sorted(seen) == [(step, number) for number in range(3)]
    assert [table.column_names for table in rows if table is not None] == [["source", "words"]] * 3
    assert [table.num_rows for table in rows if table is not None] == [shard.passed[-1].rows_out for shard in shards]
    assert sum(table.num_rows for table in left) == sum(shard.passed[-1].dropped for shard in shards)
    assert set(left[0].column("rule").to_pylist()) == {"short"}


def test_shards_that_went_while_somebody_watched_are_no_error(texts: str, tmp_path: Path) -> None:
    run(texts, tmp_path)
    follower = Follower(str(tmp_path / "work"))
    step = next((tmp_path / "work").glob("short-*")).name
    first = next(follower.fresh(step))

    shutil.rmtree(tmp_path / "work" / step)

    assert list(follower.fresh(step)) == []
    assert follower.rows(first, ("source",)) is None
    assert follower.left(first, ("rule",)).num_rows == 0
