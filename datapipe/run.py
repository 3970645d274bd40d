"""Running a plan: wave after wave on an executor, then publishing, the manifest last."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from datapipe import storage
from datapipe.clean import pin
from datapipe.errors import PlanError, StageError
from datapipe.graph import Pipeline
from datapipe.local import Executor
from datapipe.plan import Planner, Published, Wave
from datapipe.report import Report, report_of
from datapipe.shard import Shard
from datapipe.task import Outcome, Task

log = logging.getLogger(__name__)
FOLDERS = ("corpus", "ledger", "signals", "keys")
CLAIM = "reports/published.json"
MANIFEST = "corpus/manifest.json"


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


@dataclass
class Measured:
    """What this call took, for work/run.json: no part of the corpus or the report."""

    started: float = field(default_factory=time.time)
    cpu_seconds: Counter[str] = field(default_factory=Counter)
    peak_bytes: Counter[str] = field(default_factory=Counter)
    tasks: int = 0
    shards: int = 0
    differing: list[str] = field(default_factory=list)

    def add(self, task: Task, outcome: Outcome) -> None:
        """Takes a finished task in."""
        name = task.name.partition("[")[0]
        self.cpu_seconds.update(outcome.cpu_seconds)
        self.peak_bytes[name] = max(self.peak_bytes[name], outcome.peak_bytes)
        self.tasks += 1
        self.shards += len(outcome.shards)
        self.differing += outcome.differing


@dataclass(frozen=True)
class Place:
    """Where a run lies: the output folder, its work folder, and what to do with what is there."""

    out: str
    work: str
    replace: bool = False
    keep: bool = True
    strict: bool = False


def run_pipeline(
    pipeline: Pipeline, place: Place, executor: Executor, version: str, listener: Listener | None = None
) -> Report:
    """Makes everything the pipeline promises and publishes it under `place.out`.

    Raises:
        PlanError: the output folder holds the corpus of another config.
        StageError: a stage broke its contract, or a shard cannot be made.
        Interrupted: stopped from outside, or out of room; the same call goes on from there.
    """
    planner = Planner(pipeline, place.work, version)
    check_place(planner, place)
    finished = _finished(planner, place)
    if finished is not None:
        return finished
    measured = Measured()
    try:
        run_waves(planner, place, executor, listener or Silent(), measured)
        ledger = _ledger(planner, executor, measured)
    finally:
        pin(place.work, place.out, _live(planner))
        executor.close()
    files = planner.published(ledger)
    report = report_of(planner, [file.name for file in files])
    publish(files, report, place)
    _note_run(planner, place, measured)
    if not place.keep:
        clear_work(place.work)
    return replace(report, made=measured.shards, differing=tuple(measured.differing), out=place.out)


def check_place(planner: Planner, place: Place) -> None:
    """Raises PlanError where the output folder holds the corpus of another config."""
    claim = os.path.join(place.out, CLAIM)
    if place.replace or not storage.exists(os.path.join(place.out, MANIFEST)) or not storage.exists(claim):
        return
    other = json.loads(storage.read_bytes(claim))["config_sha256"]
    if other != planner.facts["config_sha256"]:
        raise PlanError(
            f"{place.out}: holds the corpus of another config ({other[:12]}…, this one is "
            f"{planner.facts['config_sha256'][:12]}…); give another --out, or --replace to put this one in its place"
        )


def _finished(planner: Planner, place: Place) -> Report | None:
    """Returns the report of a run that is published as it stands, whose work may be gone."""
    path = os.path.join(place.out, CLAIM)
    if not all(storage.exists(os.path.join(place.out, name)) for name in (CLAIM, MANIFEST, "reports/report.json")):
        return None
    claim = json.loads(storage.read_bytes(path))
    if claim.get("fingerprint") != planner.graph.fingerprint(planner.pipeline.result):
        return None
    if not all(storage.exists(os.path.join(place.out, name)) for name in claim["files"]):
        return None
    return Report.from_json(storage.read_bytes(os.path.join(place.out, "reports/report.json")), out=place.out)


def run_waves(planner: Planner, place: Place, executor: Executor, listener: Listener, measured: Measured) -> None:
    """Runs wave after wave until everything is made."""
    while (wave := planner.wave()) is not None:
        pin(place.work, place.out, _live(planner))
        listener.wave(wave)
        for task, outcome in executor.run(wave.tasks, listener.seen):
            for shard in outcome.shards:
                planner.finish(shard)
            _differ(outcome, strict=place.strict)
            measured.add(task, outcome)
            listener.finished(task, outcome)


def _live(planner: Planner) -> list[str]:
    """Returns the steps that a run stands on."""
    return [*(step.key for step in planner.steps()), planner.ledger_step]


def _differ(outcome: Outcome, *, strict: bool) -> None:
    for name in outcome.differing:
        sentence = f"{name}: another attempt made other bytes of the same shard; the first stays"
        if strict:
            raise StageError(f"{sentence} (--strict)")
        log.warning(sentence)


def _ledger(planner: Planner, executor: Executor, measured: Measured) -> list[Shard]:
    for task, outcome in executor.run(planner.ledger_tasks(), Silent().seen):
        for shard in outcome.shards:
            planner.finish(shard)
        measured.add(task, outcome)
    return planner.ledger_shards()


def publish(files: Sequence[Published], report: Report, place: Place) -> None:
    """Puts the files under their final names if absent, the manifest last.

    What another config left without a manifest is no corpus and gives way; with one it stays, unless `place.replace`.
    """
    claim = {"config_sha256": report.config_sha256, "files": {file.name: file.sha256 for file in files}}
    claimed = os.path.join(place.out, CLAIM)
    expected = {file.name for file in files}
    before = json.loads(storage.read_bytes(claimed)) if storage.exists(claimed) else claim
    manifest = os.path.join(place.out, MANIFEST)
    if before["config_sha256"] != report.config_sha256 or place.replace or not storage.exists(manifest):
        storage.remove(manifest)
        _clear(place.out, {} if place.replace else {file.name: file for file in files})
    storage.put(claimed, _json(claim))
    for file in files:
        if file.name == MANIFEST:
            storage.put(os.path.join(place.out, "reports/report.json"), report.to_json())
        _publish(file, place.out)
    for name in _there(place.out):
        if name not in expected:
            storage.remove(os.path.join(place.out, name))


def _publish(file: Published, out: str) -> None:
    path = os.path.join(out, file.name)
    if not storage.link_new(file.path, path) and storage.sha256_of(path) != file.sha256:
        raise PlanError(
            f"{path}: is there and is not what this run made of the same config: its inputs have changed since; "
            "give another --out, or --replace to put this one in its place"
        )


def _clear(out: str, files: dict[str, Published]) -> None:
    """Removes published files that are not those of `files`, byte for byte."""
    for name in _there(out):
        path = os.path.join(out, name)
        if name not in files or storage.sha256_of(path) != files[name].sha256:
            storage.remove(path)


def _there(out: str) -> list[str]:
    found = []
    for folder in FOLDERS:
        for root, _, names in os.walk(os.path.join(out, folder)):
            found += [os.path.relpath(os.path.join(root, name), out) for name in names]
    return sorted(found)


def _note_run(planner: Planner, place: Place, measured: Measured) -> None:
    """Completes the claim, and writes times and environment, which are no part of the corpus."""
    path = os.path.join(place.out, CLAIM)
    claim = json.loads(storage.read_bytes(path))
    claim["fingerprint"] = planner.graph.fingerprint(planner.pipeline.result)
    storage.put(path, _json(claim))
    data = {
        "wall_seconds": round(time.time() - measured.started, 3),
        "cpu_seconds": {name: round(seconds, 3) for name, seconds in sorted(measured.cpu_seconds.items())},
        "peak_worker_bytes": dict(sorted(measured.peak_bytes.items())),
        "tasks": measured.tasks,
        "shards": measured.shards,
        "cores": os.cpu_count(),
        "differing": measured.differing,
    }
    storage.put(os.path.join(place.work, "run.json"), _json(data))


def _json(data: object) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def clear_work(work: str) -> None:
    """Removes everything under the work folder but run.json."""
    for path in storage.list_folders(work):
        if os.path.basename(path) != "pins":
            storage.remove(path)
