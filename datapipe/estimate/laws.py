"""How seconds, bytes and memory of a trial extend to the whole: a fixed part a task or file, and one that grows.

The fixed part is the intercept of a line through two trials of different size; a small one comes first and also loads
and compiles what a process loads once.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from datapipe.dataset import Dataset, Map, Side, Source
from datapipe.estimate.trial import LEDGER, Ran, Scale, Trial
from datapipe.exchange import MEMORY_BYTES
from datapipe.graph import Step
from datapipe.shard import Made

GROWN_MEMORY = 3 * MEMORY_BYTES  # what sorting adds to a task at most: rows that wait, their order, a copy
PACKED = 3  # bytes in memory for one in a file, about


@dataclass
class Files:
    """Files of one output of a step: bytes in the whole by shard of the trial, and where they are published."""

    stage: str
    folder: str  # under the output folder; empty for an intermediate
    bytes: np.ndarray
    routed: bool


@dataclass
class Lane:
    """Tasks of a wave that do the same: CPU seconds by stage, tasks, the longest one, memory and scratch of one."""

    wave: int
    name: str
    tasks: int
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    longest: float = 0.0
    memory_bytes: int = 0
    scratch_bytes: float = 0.0


def fixed_part(small: tuple[float, float], large: tuple[float, float]) -> float:
    """Returns the intercept of the line through two (size, cost), from 0 to the smaller cost; all where sizes are one.

    >>> fixed_part((10, 25), (100, 205))
    5.0
    """
    (x, y), (size, cost) = small, large
    if size <= 1.2 * x:
        return cost if size == x else 0.0
    return float(min(max(0.0, (y * size - cost * x) / (size - x)), y, cost))


class Laws:
    """What a small and a large trial say of the whole."""

    def __init__(self, small: Trial | None, scale: Scale) -> None:
        self.small, self.large, self.scale = small, scale.trial, scale
        self.files: dict[tuple[str, str], Files] = {}
        self._small_steps = self._by_place(small) if small else {}
        self._places = {key: place for place, key in self._by_place(self.large).items()}
        for step in self.large.planner.steps():
            self._measure(step)

    @staticmethod
    def _by_place(trial: Trial) -> dict[tuple[str, int], str]:
        """Returns the steps of a trial by (stage, how many of the stage come before): the same in both trials."""
        seen: Counter[str] = Counter()
        found = {}
        for step in trial.planner.steps():
            found[step.stage, seen[step.stage]] = step.key
            seen[step.stage] += 1
        return found

    # Files

    def _measure(self, step: Step) -> None:
        shards = self.large.planner.shards_of(step)
        width, parts = self.scale.width(step.result), self._parts(step)
        published = {f"{call}.{output.name}": output.publish for call, output in step.sides if output.publish}
        for label in sorted({name.partition(">")[0] for shard in shards for name in shard.outputs}):
            made = [_sum(shard.outputs, label) for shard in shards]
            fixed = self._fixed_bytes(step, label, made)
            growth = self._growth(step, label)
            grown = np.array([max(0.0, item.bytes - fixed) for item in made]) * growth
            routed = any(name.startswith(f"{label}>") for shard in shards for name in shard.outputs)
            each = fixed + (16 * (parts[1] - parts[0]) if routed else 0)
            size = grown + each * width / max(1, len(made))
            folder = os.path.dirname(published[label]) if label in published else ""
            self.files[step.key, label] = Files(step.stage, folder, size, routed or label == LEDGER)

    def _parts(self, step: Step) -> tuple[int, int]:
        here = sum(self.large.planner.width(made) or 0 for _, _, made in step.exchanges)
        return here, sum(self.scale.width(made) for _, _, made in step.exchanges)

    def _fixed_bytes(self, step: Step, label: str, made: list[Made]) -> float:
        rows, size, count = sum(item.rows for item in made), sum(item.bytes for item in made), max(1, len(made))
        key = self._small_steps.get(self._places[step.key])
        if self.small is None or key is None:
            return size / count if rows <= count else 0.0
        before = [_sum(shard.outputs, label) for shard in self.small.planner.shards_of(self.small.steps[key])]
        less, least = sum(item.rows for item in before), sum(item.bytes for item in before)
        return fixed_part((less, least), (rows, size)) / count

    def _growth(self, step: Step, label: str) -> np.ndarray:
        """Returns the factors by which the rows of an output grow, float64[shards]."""
        scale = self.scale
        if label == "rows":
            return scale.factors(step.result)[1]
        if label == LEDGER:
            return self._leaving(step)
        call, name = label.split(".", 1)
        made = step.calls[int(call)]
        return scale.factors(Dataset(Side(made, name), made.schema))[0]

    def _leaving(self, step: Step) -> np.ndarray:
        """Returns by how much the documents that leave in a step grow, by shard."""
        taken = self.scale.factors(step.head)[0]
        if len(taken) != len(self.large.planner.shards_of(step)):
            return np.full(1, float(np.average(taken)) if len(taken) else 1.0)
        came, stayed = self._passed(step)
        kept = self.scale.factors(step.result)[0]
        left = came - stayed
        grown = (came * taken - stayed * kept) / np.where(left > 0, left, 1)
        return np.where((left > 0) & (grown > 0), grown, taken)

    def _passed(self, step: Step) -> tuple[np.ndarray, np.ndarray]:
        shards = self.large.planner.shards_of(step)
        if not isinstance(step.result.op, Map) or not step.result.op.documents:
            return np.zeros(len(shards)), np.zeros(len(shards))
        came = [shard.passed[0].rows_in for shard in shards]
        return np.array(came, np.float64), np.array([shard.passed[-1].rows_out for shard in shards], np.float64)

    # Tasks

    def lanes(self) -> list[Lane]:
        """Returns the tasks of the whole by wave and what they do."""
        groups: defaultdict[tuple[int, str], list[Ran]] = defaultdict(list)
        for ran in self.large.ran:
            groups[_lane(ran)].append(ran)
        before: defaultdict[tuple[int, str], list[Ran]] = defaultdict(list)
        for ran in self.small.ran if self.small else ():
            before[_lane(ran)].append(ran)
        return [self._lane(wave, name, group, before[wave, name]) for (wave, name), group in groups.items()]

    def _lane(self, wave: int, name: str, group: list[Ran], before: list[Ran]) -> Lane:
        firsts = {ran.steps[0] for ran in group}
        here = Counter(ran.steps[0] for ran in group)
        there = {key: self._width(key) for key in firsts}
        lane = Lane(wave, name, sum(there.values()))
        rows = sum(ran.rows for ran in group), sum(ran.rows for ran in before)
        stages = {stage for ran in group for stage in ran.outcome.cpu_seconds}
        fixed = {}
        for stage in stages:
            cost = sum(ran.outcome.cpu_seconds.get(stage, 0.0) for ran in group)
            less = sum(ran.outcome.cpu_seconds.get(stage, 0.0) for ran in before)
            fixed[stage] = fixed_part((rows[1], less), (rows[0], cost)) / len(group) if before else 0.0
        taken: dict[int, float] = {}
        for place, ran in enumerate(group):
            key = ran.steps[0]
            grown, alike = self._input_growth(ran), there[key] / here[key]
            spent = {}
            for stage, seconds in ran.outcome.cpu_seconds.items():
                spent[stage] = max(0.0, seconds - fixed[stage]) * grown + fixed[stage] * alike
            if self._from_source(ran):
                spent["read"] = 0.0  # read from a spool; the sources' own reading is measured where they are drawn
            for stage, seconds in spent.items():
                lane.seconds[stage] += seconds
            lane.longest = max(lane.longest, sum(spent.values()) / alike)
            lane.scratch_bytes = max(lane.scratch_bytes, self._scratch(ran) / alike)
            taken[place] = ran.rows * grown / alike
        lane.memory_bytes = self._memory(group, before, taken)
        return lane

    def _width(self, key: str) -> int:
        step = self.large.steps.get(key)
        return self.scale.width(step.result) if step else self.scale.whole.graph.ledger_parts

    def _input_growth(self, ran: Ran) -> float:
        """Returns by how much the input of the tasks like this one grows."""
        step = self.large.steps.get(ran.steps[0])
        if step is None:  # the ledger
            return self._ledger_growth()
        size = self.scale.factors(step.head)[1]
        if step.fold:
            rows = self.scale.rows(step.head)
            return float(np.average(size, weights=rows if rows.sum() else None)) if len(size) else 1.0
        return float(size[ran.number]) if ran.number < len(size) else 1.0

    def _ledger_growth(self) -> float:
        """Returns by how much the rows of the ledger grow."""
        here = whole = 0.0
        for step in self.large.planner.steps():
            rows = np.array([_sum(shard.outputs, LEDGER).rows for shard in self.large.planner.shards_of(step)])
            here, whole = here + float(rows.sum()), whole + float((rows * self._leaving(step)).sum())
        return whole / here if here else 1.0

    def _from_source(self, ran: Ran) -> bool:
        step = self.large.steps.get(ran.steps[0])
        return step is not None and isinstance(step.head.op, Source)

    def _scratch(self, ran: Ran) -> float:
        """Returns the bytes that the tasks like this one write to scratch, runs that are sorted among them."""
        total = 0.0
        for key, shard in zip(ran.steps, ran.shards, strict=True):
            for (step, _), item in self.files.items():
                if step == key and shard.number < len(item.bytes):
                    size = float(item.bytes[shard.number])
                    total += size * (2 if item.routed and size * PACKED > MEMORY_BYTES else 1)
        return total

    def _memory(self, group: list[Ran], before: list[Ran], rows: dict[int, float]) -> int:
        """Returns the peak of the tasks that take so many rows, by place in the group (bytes).

        A fold may hold all it takes. What else streams holds batches, up to limits: it grows ever less, about as much
        with each doubling as between the two trials.
        """
        held = max(ran.held_bytes for ran in group)
        twins = {self._who(self.small, ran): ran for ran in before if self.small}
        return held + max(
            self._held_by(ran, twins.get(self._who(self.large, ran)), rows[place]) for place, ran in enumerate(group)
        )

    @staticmethod
    def _who(trial: Trial, ran: Ran) -> tuple[object, ...]:
        """Returns what a task is known by in both trials."""
        places = list(trial.steps)
        return (ran.number, *(places.index(key) if key in trial.steps else -1 for key in ran.steps))

    def _held_by(self, ran: Ran, twin: Ran | None, rows: float) -> int:
        if twin is None or ran.rows <= 1.2 * twin.rows or rows <= ran.rows:
            return ran.grown_bytes
        more = max(0, ran.grown_bytes - twin.grown_bytes)
        step = self.large.steps.get(ran.steps[0])
        if step is not None and step.fold:
            return int(ran.grown_bytes + more / (ran.rows - twin.rows) * (rows - ran.rows))
        doubled = more / math.log(ran.rows / twin.rows) if twin.rows else more
        return int(ran.grown_bytes + min(GROWN_MEMORY, doubled * math.log(rows / ran.rows)))

    def ledger_bytes(self) -> float:
        """Returns the size of the published ledger (bytes)."""
        made = [shard.outputs["rows"] for shard in self.large.planner.ledger_shards()]
        before = [shard.outputs["rows"] for shard in self.small.planner.ledger_shards()] if self.small else made
        sizes = [(sum(item.rows for item in items), sum(item.bytes for item in items)) for items in (before, made)]
        fixed = fixed_part(sizes[0], sizes[1])
        parts = self.scale.whole.graph.ledger_parts / max(1, len(made))
        return (sizes[1][1] - fixed) * self._ledger_growth() + fixed * parts


def _lane(ran: Ran) -> tuple[int, str]:
    return ran.wave, "+".join(dict.fromkeys(step.rpartition("-")[0] for step in ran.steps))


def _sum(outputs: dict[str, Made], label: str) -> Made:
    """Returns rows and bytes of all files of a record under one label, whatever exchange they are routed to."""
    found = [made for name, made in outputs.items() if name.partition(">")[0] == label]
    return Made("", sum(made.rows for made in found), sum(made.bytes for made in found), "")
