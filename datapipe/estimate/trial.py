"""Trials of a pipeline on samples, and by how much what they came to grows to the whole.

Documents of a source grow by (documents in the files that were read) x (bytes of all its files / of those) / (drawn),
bytes of rows likewise, which is much surer than documents alone. Rows grow along the graph as what they are made from,
but where a stage says otherwise (`Stage.growth`).
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from datapipe import storage
from datapipe.dataset import Concat, Dataset, Exchange, Files, Fold, Like, Map, Repeat, Side, Source, parents_of
from datapipe.errors import DatapipeError
from datapipe.estimate.draw import Sample, weighed
from datapipe.graph import Pipeline, Step
from datapipe.local import Local
from datapipe.plan import Planner
from datapipe.shard import Shard, read_shard
from datapipe.stage import Growth, Seen
from datapipe.task import Outcome, Task

Factors = tuple[np.ndarray, np.ndarray]  # of documents and of bytes, float64[shards]
LEDGER = "ledger"


@dataclass(frozen=True)
class Ran:
    """A task of a trial: its wave, its steps in order, the shard of the first, and what it came to."""

    wave: int
    steps: tuple[str, ...]
    number: int
    outcome: Outcome
    held_bytes: int  # by this process before the task: libraries, models, what allocators keep

    @property
    def grown_bytes(self) -> int:
        """Memory that the task took beyond what was held before (bytes)."""
        return max(0, self.outcome.peak_bytes - self.held_bytes)

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The records, one a step."""
        return self.outcome.shards

    @property
    def rows(self) -> int:
        """Rows of its input."""
        return self.shards[0].passed[0].rows_in


class Trial:
    """A pipeline that ran in this process, in a folder of its own."""

    def __init__(self, pipeline: Pipeline, folder: str, version: str) -> None:
        os.makedirs(folder, exist_ok=True)
        self.planner = Planner(pipeline, folder, version)
        self.ran: list[Ran] = []
        while (wave := self.planner.wave()) is not None:
            self._run(wave.number, wave.tasks)
        self._run(self.planner.waves + 1, tuple(self.planner.ledger_tasks()))
        self.steps = {step.key: step for step in self.planner.steps()}

    def _run(self, wave: int, tasks: tuple[Task, ...]) -> None:
        held = held_bytes()
        for task, outcome in Local().run(tasks, lambda task, rows, size: None):
            for shard in outcome.shards:
                self.planner.finish(shard)
            steps = tuple(segment.step for segment in task.segments)
            self.ran.append(Ran(wave, steps, task.segments[0].number, outcome, held))
            held = held_bytes()

    def files(self, step: Step, name: str) -> Iterator[tuple[int, str, int]]:
        """Yields (shard, path, rows) of an output of a step."""
        for shard in self.planner.shards_of(step):
            made = shard.outputs[name]
            yield shard.number, storage.join(self.planner.work, made.path), made.rows


class Scale:
    """From a trial to the whole: growth factors of every dataset, and numbers of shards."""

    def __init__(self, trial: Trial, whole: Planner, sample: Sample) -> None:
        self.trial, self.whole, self.sample = trial, whole, sample
        self.graph = trial.planner.graph
        self.warnings: list[str] = []
        self._twins: dict[str, Dataset] = {}
        self._pair(trial.planner.pipeline.result, whole.pipeline.result)
        self._growth: dict[str, Growth] = {}
        self._factors: dict[str, Factors] = {}

    def _pair(self, made: Dataset, twin: Dataset) -> None:
        """Notes which dataset of the whole is which of the trial: stages build the same for a sample."""
        key = self.graph.fingerprint(made)
        if key not in self._twins:
            self._twins[key] = twin
            for (_, one), (_, other) in zip(parents_of(made), parents_of(twin), strict=False):
                self._pair(one, other)

    def twin(self, made: Dataset) -> Dataset | None:
        """Returns the dataset of the whole that `made` is a sample of; None for a round of a repeat."""
        return self._twins.get(self.graph.fingerprint(made))

    @cached_property
    def drawn(self) -> dict[str, tuple[float, float]]:
        """By source: growth of documents and of bytes from what was drawn."""
        held = weighed(self.sample)
        share = max(self.sample.share, 1e-18)
        found = {}
        for item in self.sample.drawn:
            rows, size = (float(sums.sum()) for sums in held[item.source])
            documents = item.documents / rows if rows else 1 / share
            found[item.source] = (documents * item.weight, (item.bytes / size if size else documents) * item.weight)
        return found

    # Factors

    def factors(self, made: Dataset) -> Factors:
        """Returns how many times as many documents (rows), and bytes of them, the whole has, by shard of the sample."""
        key = self.graph.fingerprint(made)
        if key not in self._factors:
            self._factors[key] = self._made_factors(made)
        return self._factors[key]

    def _made_factors(self, made: Dataset) -> Factors:
        match made.op:
            case Source(name, _, groups):
                grown = self.drawn.get(name, (1.0, 1.0))  # what a later step reads is read whole
                return np.full(len(groups), grown[0]), np.full(len(groups), grown[1])
            case Concat(parents):
                parts = [self.factors(parent) for parent in parents]
                return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
            case Map(parent):
                return self._called(made, self.factors(parent))
            case Side(parent):
                call = parent.op
                assert isinstance(call, Map | Fold)
                return self.factors(call.parent) if isinstance(call, Map) else self._one(call.parent)
            case Fold(parent):
                return self._called(made, self._one(parent))
            case Exchange(parent):
                documents, size = self._one(parent)
                width = self.trial.planner.width(made) or 0
                return np.full(width, documents[0]), np.full(width, size[0])
            case Repeat(parent):
                return self.factors(parent)
        return np.ones(1), np.ones(1)

    def _one(self, made: Dataset) -> Factors:
        """Returns the factors of all shards together, weighted by their rows."""
        documents, size = self.factors(made)
        rows = self.rows(made)
        weights = rows if rows.sum() else np.ones(len(documents))
        if not len(documents):
            return np.ones(1), np.ones(1)
        return np.array([np.average(documents, weights=weights)]), np.array([np.average(size, weights=weights)])

    def _called(self, made: Dataset, taken: Factors) -> Factors:
        twin = self.twin(made)
        op = twin.op if twin is not None else None
        if not isinstance(op, Map | Fold):
            return taken
        grown = _lookup(self.growth(self.graph.stage_of(made)).rows, op.function)
        if grown is None:
            return taken
        documents = np.broadcast_to(np.asarray(grown, np.float64), taken[0].shape).copy()
        if isinstance(op, Map) and op.documents:
            return documents, taken[1] * documents / np.where(taken[0] > 0, taken[0], 1)
        return documents, documents

    def rows(self, made: Dataset) -> np.ndarray:
        """Returns the rows of each shard in the trial, float64[shards]."""
        planner = self.trial.planner
        match made.op:
            case Concat(parents):
                return np.concatenate([self.rows(parent) for parent in parents])
            case Side(parent, name):
                step = planner.step_of(parent)
                call = [self.graph.fingerprint(item) for item in step.calls].index(self.graph.fingerprint(parent))
                label = f"{call}.{name}"
                return np.array([_rows_of(shard, label) for shard in planner.shards_of(step)], np.float64)
            case Map() | Fold():
                step = planner.step_of(made)
                place = [self.graph.fingerprint(item) for item in step.calls].index(self.graph.fingerprint(made))
                return np.array([shard.passed[place].rows_out for shard in planner.shards_of(step)], np.float64)
        return np.ones(planner.width(made) or 0)

    # What stages say

    def growth(self, stage: str) -> Growth:
        """Returns what the stage of that name says; where it refuses, what it would say is a warning."""
        if stage not in self._growth:
            self._growth[stage] = Growth()
            names = [name for name, _, _ in self.whole.pipeline.stages]
            place = names.index(stage) if stage in names else 0
            if place:
                before = self.trial.planner.pipeline.stages[place - 1][2]
                documents, size = self.factors(before)
                shares = list(self._shares(before))
                seen = Seen(documents.tolist(), size.tolist(), shares, partial(self._read, stage))
                try:
                    self._growth[stage] = self.whole.pipeline.stages[place][1].growth(seen)
                except DatapipeError as error:
                    self.warnings.append(f"{stage}: a run would stop here: {error}")
        return self._growth[stage]

    def _shares(self, made: Dataset) -> Iterator[float]:
        match made.op:
            case Source(name, _, groups):
                yield from [min(1.0, 1 / max(1.0, self.drawn[name][0]))] * len(groups)
            case Concat(parents):
                for parent in parents:
                    yield from self._shares(parent)
            case Map(parent) | Side(parent) | Repeat(parent) | Fold(parent) | Files(parent):
                yield from self._shares(parent)
            case Exchange(parent):
                shares = list(self._shares(parent))
                yield from [sum(shares) / max(1, len(shares))] * (self.trial.planner.width(made) or 0)

    def _read(self, stage: str, function: Callable[..., Any], output: str = "rows") -> Iterator[tuple[int, pa.Table]]:
        for step in self.trial.steps.values():
            for place, call in enumerate(step.calls):
                twin = self.twin(call)
                op = twin.op if twin is not None else None
                if step.stage != stage or not isinstance(op, Map | Fold) or not _is(function, op.function):
                    continue
                last = output == "rows" and place == len(step.calls) - 1
                for number, path, _ in self.trial.files(step, "rows" if last else f"{place}.{output}"):
                    yield number, pa.Table.from_batches(read_shard(path), call.schema if last else None)

    # Widths

    def width(self, made: Dataset) -> int:
        """Returns the number of shards in the whole, estimated where data decide it."""
        twin = self.twin(made)
        known = self.whole.width(twin) if twin is not None else None
        if known is not None:
            return known
        match made.op:
            case Map(parent) | Side(parent) | Repeat(parent):
                return self.width(parent)
            case Concat(parents):
                return sum(self.width(parent) for parent in parents)
            case Exchange(parent, _, _, shards):
                if isinstance(shards, Like):
                    return self.width(shards.dataset)
                if isinstance(shards, Dataset):
                    return self._decided(shards, parent, self.trial.planner.width(made) or 1)
        return self.trial.planner.width(made) or 1

    def _decided(self, fold: Dataset, parent: Dataset, here: int) -> int:
        twin = self.twin(fold)
        if twin is not None and isinstance(twin.op, Map | Fold):
            said = _lookup(self.growth(self.graph.stage_of(fold)).shards, twin.op.function)
            if said is not None:
                return int(said)
        return max(1, math.ceil((here - 0.5) * float(self._one(parent)[0][0]))) if here > 1 else 1


def held_bytes() -> int:
    """Returns the memory that this process holds now (resident bytes), where the system says."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _lookup(said: Any, function: Callable[..., Any]) -> Any:
    """Returns what is said of a function; None where nothing is."""
    return next((value for known, value in said.items() if _is(known, function)), None)


def _is(known: Any, function: Callable[..., Any]) -> bool:
    """Returns whether a function is the known one, equal to it, or of the class that is known."""
    return bool(known == function) or (isinstance(known, type) and type(function) is known)


def _rows_of(shard: Shard, label: str) -> int:
    return max((made.rows for name, made in shard.outputs.items() if name.partition(">")[0] == label), default=0)
