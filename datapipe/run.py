"""Running a plan: wave after wave on an executor, then publishing what was made."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from datapipe import storage
from datapipe.clean import clear_work, pin
from datapipe.driver import Driver, ended
from datapipe.environment import environment, iso, note_run
from datapipe.errors import DataError, DatapipeError, PlanError, StageError
from datapipe.graph import Pipeline
from datapipe.local import Executor
from datapipe.logs import redact
from datapipe.plan import Planner, Wave
from datapipe.publish import Place, check_place, publish, published_report
from datapipe.recipe import recipe_of
from datapipe.report import Report, report_of
from datapipe.shard import Shard
from datapipe.task import Outcome, Task

log = logging.getLogger(__name__)
WORK_FORMAT = 1  # raised when what lies in a work folder cannot be read as before


class Listener(Protocol):
    """Hears how a run goes on."""

    def wave(self, wave: Wave) -> None:
        """A wave begins."""

    def seen(self, task: Task, rows: int, size: int) -> None:
        """Rows of a task's input are being worked on."""

    def finished(self, task: Task, outcome: Outcome) -> None:
        """A task is done."""


class Silent:
    """A listener that says nothing."""

    def wave(self, wave: Wave) -> None:
        """Says nothing."""

    def seen(self, task: Task, rows: int, size: int) -> None:
        """Says nothing."""

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Says nothing."""


class Together:
    """Listeners as one."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = listeners

    def wave(self, wave: Wave) -> None:
        """Tells all of them."""
        for one in self.listeners:
            one.wave(wave)

    def seen(self, task: Task, rows: int, size: int) -> None:
        """Tells all of them."""
        for one in self.listeners:
            one.seen(task, rows, size)

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Tells all of them."""
        for one in self.listeners:
            one.finished(task, outcome)


@dataclass
class Measured:
    """What this call took, for work/run.json: no part of the corpus or the report."""

    started: float = field(default_factory=time.time)
    cpu_seconds: Counter[str] = field(default_factory=Counter)
    peak_bytes: Counter[str] = field(default_factory=Counter)
    tasks: int = 0
    shards: int = 0
    differing: list[str] = field(default_factory=list)
    ran_on: dict[str, Any] = field(default_factory=dict)  # what the executor says of itself; Any: JSON

    def add(self, task: Task, outcome: Outcome) -> None:
        """Takes a finished task in."""
        name = task.name.partition("[")[0]
        self.cpu_seconds.update(outcome.cpu_seconds)
        self.peak_bytes[name] = max(self.peak_bytes[name], outcome.peak_bytes)
        self.tasks += 1
        self.shards += len(outcome.shards)
        self.differing += outcome.differing


def run_pipeline(
    pipeline: Pipeline, place: Place, executor: Executor, version: str, listener: Listener | None = None
) -> Report:
    """Makes everything the pipeline promises and publishes it under `place.out`.

    Raises:
        PlanError: the output folder holds the corpus of another config, or the work folder is of another format.
        StageError: a stage broke its contract, or a shard cannot be made.
        DataError: input was set aside and the config says `on_bad_input: fail`, or nothing is left to go on with.
        Interrupted: stopped from outside, or out of room; the same call goes on from there.
    """
    planner = Planner(pipeline, place.work, version)
    check_place(planner, place)
    finished = published_report(planner, place)
    if finished is not None:
        return finished
    check_work(place)
    measured = Measured()
    name = type(executor).__name__.removesuffix("Executor").lower()
    with Driver(planner, place.out, name, measured.started) as driver, _noted(place, name, driver.id, measured):
        return _make(planner, place, executor, Together(driver, listener or Silent()), measured)


def check_work(place: Place) -> None:
    """Claims the work folder for the format that we write, and logs what its store is short of.

    Raises:
        PlanError: it is of another format.
    """
    for folder in dict.fromkeys((place.work, place.out)):
        if warning := storage.check_store(folder):
            log.warning("%s", warning)
    path = storage.join(place.work, "format.json")
    content = (json.dumps({"format": WORK_FORMAT}) + "\n").encode()
    held = storage.read_if_there(path)
    if held is None and not storage.put_new(path, content):
        held = storage.read_bytes(path)
    if held not in (None, content):
        raise PlanError(
            f"{path}: is {' '.join(held.decode(errors='replace').split())[:100]}, and this datapipe works with "
            f"format {WORK_FORMAT}; give another --work, or run the version that made this one"
        )


def _make(planner: Planner, place: Place, executor: Executor, listener: Listener, measured: Measured) -> Report:
    try:
        run_waves(planner, place, executor, listener, measured)
        ledger = _ledger(planner, place, executor, measured)
    except (DataError, PlanError) as error:
        with contextlib.suppress(DatapipeError):  # what stopped the run is what its user must hear
            error.out = _leave_word(planner, place, executor, measured, error)
        raise
    finally:
        executor.close()
    files = planner.published(ledger)
    report = report_of(planner, [file.name for file in files])
    recipe = recipe_of(planner, ledger).files()
    publish(files, report, place, planner.graph.fingerprint(planner.pipeline.result), recipe)
    if not place.keep:
        clear_work(place.work, place.out)
    return replace(report, made=measured.shards, differing=tuple(measured.differing), out=place.out)


def _leave_word(planner: Planner, place: Place, executor: Executor, measured: Measured, error: DatapipeError) -> str:
    """Publishes ledger and report of what is finished of a run that cannot go on; returns the folder, or nothing.

    A corpus that is there stays as it is, with its own ledger and report.
    """
    if place.has_corpus:
        return ""
    files = [
        file
        for file in planner.published(_ledger(planner, place, executor, measured))
        if file.name.startswith("ledger/")
    ]
    report = report_of(planner, [file.name for file in files])
    publish(files, replace(report, warnings=(*report.warnings, redact(f"not finished: {error}"))), place)
    return place.out


def run_waves(planner: Planner, place: Place, executor: Executor, listener: Listener, measured: Measured) -> None:
    """Runs wave after wave until everything is made."""
    while (wave := planner.wave()) is not None:
        refuse_set_aside(planner)
        pin(place.work, place.out, _live(planner))
        listener.wave(wave)
        for task, outcome in executor.run(wave.tasks, listener.seen):
            for shard in outcome.shards:
                planner.finish(shard)
            _differ(outcome, strict=place.strict)
            measured.add(task, outcome)
            listener.finished(task, outcome)
            log.debug(
                "%s: done",
                task.name,
                extra={
                    "event": "task_finished",
                    "wave": wave.number,
                    "shards": [f"{shard.step}/{shard.number}" for shard in outcome.shards],
                    "cpu_seconds": {name: round(seconds, 3) for name, seconds in outcome.cpu_seconds.items()},
                    "peak_bytes": outcome.peak_bytes,
                },
            )
        measured.ran_on = _ran_on(executor)
    refuse_set_aside(planner)


def refuse_set_aside(planner: Planner) -> None:
    """Raises DataError where input was set aside and the config says `on_bad_input: fail`."""
    if planner.pipeline.on_bad_input != "fail":
        return
    for step in planner.finished_steps():
        for stage, counts in planner.records.counts(step.key).items():
            rules = [name.removeprefix("quarantine.") for name in sorted(counts) if name.startswith("quarantine.")]
            if rules:
                raise DataError(
                    f"{stage}: input was set aside ({', '.join(rules)}) and the config says "
                    "on_bad_input: fail; mend or leave out the file that the ledger names, or say quarantine"
                )


def _live(planner: Planner) -> list[str]:
    """Returns the steps that a run stands on."""
    return [*(step.key for step in planner.steps()), planner.ledger_step]


def _differ(outcome: Outcome, *, strict: bool) -> None:
    for name in outcome.differing:
        sentence = f"{name}: another attempt made other bytes of the same shard; the first stays"
        if strict:
            raise StageError(f"{sentence} (--strict)")
        log.warning(sentence)


def _ledger(planner: Planner, place: Place, executor: Executor, measured: Measured) -> list[Shard]:
    pin(place.work, place.out, _live(planner))  # the ledger's step follows from all that is finished
    for task, outcome in executor.run(planner.ledger_tasks(), Silent().seen):
        for shard in outcome.shards:
            planner.finish(shard)
        measured.add(task, outcome)
    return planner.ledger_shards()


def _ran_on(executor: Executor) -> dict[str, Any]:  # Any: JSON
    """Returns what an executor says of where it runs, if it says anything; asked while it goes well."""
    try:
        return executor.describe()
    except Exception as error:  # noqa: BLE001 - a cluster that is gone is heard of elsewhere
        log.debug("the executor does not say where it ran (%s)", error)
        return {}


@contextlib.contextmanager
def _noted(place: Place, executor: str, run: str, measured: Measured) -> Iterator[None]:
    """Writes times and environment, which are no part of the corpus: when a run starts, and again when it ends."""
    started = iso(measured.started)
    about: dict[str, Any] = {
        "out": place.out,
        "work": place.work,
        "executor": executor,
        "started": started,
    }  # Any: JSON
    about["environment"] = environment()
    name = f"{started.replace('-', '').replace(':', '')}-{run}"
    note_run(place.work, name, {**about, "status": "running"})
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        status, message = ended(error)
        note_run(place.work, name, {**about, **_times(measured), "status": status, "message": message})


def _times(measured: Measured) -> dict[str, Any]:  # Any: JSON
    return {
        "finished": iso(time.time()),
        "wall_seconds": round(time.time() - measured.started, 3),
        "cpu_seconds": {name: round(seconds, 3) for name, seconds in sorted(measured.cpu_seconds.items())},
        "peak_worker_bytes": dict(sorted(measured.peak_bytes.items())),
        "tasks": measured.tasks,
        "shards": measured.shards,
        "differing": measured.differing,
        "ran_on": measured.ran_on,
    }
