"""A pipeline as a graph of datasets: fingerprints, and the steps that its maps fuse into.

A *step* is what one pass over a shard makes: a run of maps with one materialised result. Maps in a row fuse; a step
ends where its rows are read more than once, are exchanged or folded, where a stage of the config ends (so that a
changed stage finds the unchanged one before it finished), or where a later map needs, beside its rows, something that
this pass itself makes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import metadata
from typing import Any

from datapipe.dataset import (
    Concat,
    Dataset,
    Exchange,
    Files,
    Fold,
    InputFile,
    Map,
    Output,
    Repeat,
    Side,
    Sized,
    Source,
    parents_of,
)
from datapipe.errors import PlanError
from datapipe.stage import Resource, Stage, identity, schema_identity
from datapipe.storage import Options

ENGINE_FORMAT = 3
LEDGER_BYTES = 8 << 30  # of source files for a part of the ledger
LEDGER_PARTS = 4  # at the least
Rounds = dict[str, tuple[Dataset, list[Dataset]]]  # by the repeat's fingerprint: it, and what its rounds make


@dataclass(frozen=True)
class Pipeline:
    """A config made into datasets: the result of each stage in order, and the run's settings that change rows."""

    name: str
    stages: tuple[tuple[str, Stage, Dataset], ...]
    sample: float = 1.0
    on_bad_input: str = "quarantine"
    allow_set_aside: int = 0
    stores: Options = field(default_factory=dict)  # how stores are reached, which changes no row
    config: Mapping[str, Any] = field(default_factory=dict)  # as plain data; Any: what YAML holds
    opened: Mapping[str, tuple[Resource, ...]] = field(default_factory=dict)  # what stages were built of, by stage

    @property
    def result(self) -> Dataset:
        """What the last stage makes."""
        return self.stages[-1][2]


@dataclass(frozen=True, eq=False)
class Step:
    """One pass: `calls` in a row over the rows of `head`; `key` names its folder under the work folder."""

    key: str
    fingerprint: str
    stage: str
    head: Dataset
    calls: tuple[Dataset, ...]
    writes_rows: bool
    exchanges: tuple[tuple[str, str, Dataset], ...]  # (exchange's fingerprint, output or "rows", the exchange)
    sides: tuple[tuple[int, Output], ...]  # (call, output) written as files
    needs: tuple[Dataset, ...]  # must be whole before it starts: beside, whole, and shard counts of its exchanges

    @property
    def result(self) -> Dataset:
        """What the last call makes."""
        return self.calls[-1]

    @property
    def fold(self) -> bool:
        """Whether it reads all shards in one task."""
        return isinstance(self.calls[0].op, Fold)

    @property
    def passes(self) -> bool:
        """Whether its rows are those of its head as they came, which lie in files."""
        written = isinstance(self.head.op, Map | Concat)
        return written and all(isinstance(call.op, Map) and call.op.passes for call in self.calls)


class Graph:
    """Fingerprints and steps of a pipeline, as far as its repeats are unrolled (`rounds`)."""

    def __init__(self, pipeline: Pipeline, version: str, rounds: Rounds | None = None) -> None:
        self.pipeline, self.version = pipeline, version
        self.rounds: Rounds = rounds if rounds is not None else {}
        self._reached: dict[str, set[str]] = {}
        self._prints: dict[tuple[int, bool], str] = {}
        self._labels: dict[int, tuple[str, Stage | None]] = {}
        self.version_of = cache(metadata.version)  # of distributions: looking one up takes milliseconds
        self._keep: list[Dataset] = []  # an id stays unique while its dataset lives
        for name, stage, result in pipeline.stages:
            self._label(result, name, stage)
        for repeat, made in self._unrolled():
            self._label(made, *self._labels[id(repeat)])

    def _label(self, made: Dataset, name: str, stage: Stage | None) -> None:
        if id(made) in self._labels:
            return
        self._keep.append(made)
        for _, parent in parents_of(made):
            self._label(parent, name, stage)
        self._labels[id(made)] = (name, stage)

    def _unrolled(self) -> Iterator[tuple[Dataset, Dataset]]:
        """Yields (repeat, what one of its rounds makes) for every round that is known."""
        for repeat, made in self.rounds.values():
            yield from ((repeat, item) for item in made)

    def stage_of(self, made: Dataset) -> str:
        """Returns the name of the stage that `made` belongs to."""
        return self._labels[id(made)][0]

    def fingerprint(self, made: Dataset, *, versions: bool = True) -> str:
        """Returns the SHA-256 (hex) of the recipe of `made`.

        `versions=False` leaves out modification times of source files: the recipe that a corpus names in its manifest.
        """
        key = (id(made), versions)
        if key not in self._prints:
            parents = [self.fingerprint(parent, versions=versions) for _, parent in parents_of(made)]
            recipe = [
                ENGINE_FORMAT,
                self._made_by(made),
                self._operation(made, versions),
                schema_identity(made.schema),
                parents,
            ]
            text = json.dumps(recipe, sort_keys=True, ensure_ascii=True)
            self._prints[key] = hashlib.sha256(text.encode()).hexdigest()
        return self._prints[key]

    def _made_by(self, made: Dataset) -> Any:
        if not isinstance(made.op, Map | Fold | Source):
            return None
        name, stage = self._labels.get(id(made), ("", None))
        if stage is None:
            return name
        return [name, stage.version, [[library, self.version_of(library)] for library in stage.libraries]]

    def _operation(self, made: Dataset, versions: bool) -> Any:
        match made.op:
            case Source(name, read, groups):
                files = [[_identity_of(file, versions) for file in group] for group in groups]
                return ["source", name, identity(read), files, self.pipeline.sample, self.pipeline.on_bad_input]
            case Map(_, function, documents, _, _, outputs, passes):
                said = ["passes"] if passes else []
                return ["map", identity(function), documents, _promises(outputs), *said]
            case Fold(_, function, _, outputs):
                return ["fold", identity(function), _promises(outputs), self.version if outputs else ""]
            case Side(_, name):
                return ["side", name]
            case Files():
                return ["files"]
            case Exchange(_, by, then, shards, direct):
                width = shards if isinstance(shards, int) else identity(shards) if isinstance(shards, Sized) else "data"
                return ["exchange", by, then, width, direct]
            case Concat():
                return ["concat"]
            case Repeat(_, step, until, at_most):
                return ["repeat", identity(step), until, at_most]
            case _:
                raise PlanError(f"{made.op!r} is not an operation of the engine")

    def source_bytes(self, made: Iterable[Dataset]) -> int:
        """Returns the size of the files of those of the datasets that are sources (bytes)."""
        sources = [item.op for item in made if isinstance(item.op, Source)]
        return sum(file.part_bytes for source in sources for group in source.groups for file in group)

    @cached_property
    def ledger_parts(self) -> int:
        """How many parts the ledger has, which every step scatters its rows into."""
        size = self.source_bytes(self.datasets.values())
        return max(LEDGER_PARTS, 1 << math.ceil(math.log2(max(1, size / LEDGER_BYTES))))

    @cached_property
    def datasets(self) -> dict[str, Dataset]:
        """Every dataset of the pipeline by fingerprint, parents before children."""
        found: dict[str, Dataset] = {}

        def visit(made: Dataset) -> None:
            if self.fingerprint(made) in found:
                return
            for _, parent in parents_of(made):
                visit(parent)
            found[self.fingerprint(made)] = made

        for made in [self.pipeline.result, *(item for _, item in self._unrolled())]:
            visit(made)
        return found

    @cached_property
    def consumers(self) -> dict[str, list[tuple[str, Dataset]]]:
        """(kind, consumer) of every dataset; what passes through a concat counts for its parents."""
        found: dict[str, list[tuple[str, Dataset]]] = {key: [] for key in self.datasets}
        for made in reversed(self.datasets.values()):
            for kind, parent in parents_of(made):
                if kind == "concat":
                    heirs = found[self.fingerprint(made)]
                    found[self.fingerprint(parent)] += [(_through_concat(heir), item) for heir, item in heirs]
                else:
                    found[self.fingerprint(parent)].append((kind, made))
        for _, made in self._unrolled():
            found[self.fingerprint(made)].append(("repeat", made))
        return found

    @cached_property
    def kept(self) -> set[str]:
        """Fingerprints of the datasets that are written wherever a stage of the config ends."""
        ends: set[str] = set()

        def visit(made: Dataset) -> None:
            ends.add(self.fingerprint(made))
            if isinstance(made.op, Concat):
                for parent in made.op.parents:
                    visit(parent)

        for _, _, result in self.pipeline.stages:
            visit(result)
        return ends

    @cached_property
    def steps(self) -> dict[str, Step]:
        """The steps, by the fingerprint of every map and fold in them, in an order in which they can run."""
        found: dict[str, Step] = {}
        open_calls: dict[str, tuple[Dataset, ...]] = {}
        for key, made in self.datasets.items():
            if not isinstance(made.op, Map | Fold):
                continue
            before = open_calls.pop(self.fingerprint(made.op.parent), ()) if isinstance(made.op, Map) else ()
            calls = (*before, made)
            if self._fuses(made, calls):
                open_calls[key] = calls
                continue
            step = self._step(calls)
            found.update((self.fingerprint(call), step) for call in calls)
        _refuse_same_names(found.values())
        return found

    def _fuses(self, made: Dataset, calls: Sequence[Dataset]) -> bool:
        """Whether the one reader of `made` can take its rows in the same pass."""
        rows = [item for item in self.consumers[self.fingerprint(made)] if item[0] not in ("side", "like")]
        if isinstance(made.op, Fold) or self.fingerprint(made) in self.kept or [kind for kind, _ in rows] != ["map"]:
            return False
        others = [parent for kind, parent in parents_of(rows[0][1]) if kind != "map"]
        chain = {self.fingerprint(call) for call in calls}
        return not any(chain & self._ancestors(other) for other in others)

    def ancestors(self, made: Dataset) -> Iterator[Dataset]:
        """Yields `made` and all that it is made from."""
        return (self.datasets[key] for key in self._ancestors(made) if key in self.datasets)

    def _ancestors(self, made: Dataset) -> set[str]:
        key = self.fingerprint(made)
        if key not in self._reached:
            self._reached[key] = {key}.union(*(self._ancestors(parent) for _, parent in parents_of(made)))
        return self._reached[key]

    def _step(self, calls: tuple[Dataset, ...]) -> Step:
        result, first = calls[-1], calls[0].op
        assert isinstance(first, Map | Fold)
        key = self.fingerprint(result)
        readers = self.consumers[key]
        writes_rows = key in self.kept or any(kind not in ("exchange", "side", "like") for kind, _ in readers)
        routed = [(self.fingerprint(made), "rows", made) for kind, made in readers if kind == "exchange"]
        sides: list[tuple[int, Output]] = []
        needs = [parent for call in calls for kind, parent in parents_of(call) if kind in ("beside", "whole")]
        for number, call in enumerate(calls):
            for output in call.op.outputs if isinstance(call.op, Map | Fold) else ():
                kinds = self._side_readers(call, output.name)
                if output.publish or any(kind != "exchange" for kind, _ in kinds):
                    sides.append((number, output))
                routed += [
                    (self.fingerprint(made), f"{number}.{output.name}", made)
                    for kind, made in kinds
                    if kind == "exchange"
                ]
        for _, _, exchange in routed:
            needs += [parent for kind, parent in parents_of(exchange) if kind == "value"]
        exchanges = tuple(sorted({item[:2]: item for item in routed}.values(), key=lambda item: item[:2]))
        stage = self.stage_of(result) or "step"
        step = Step("", "", stage, first.parent, calls, writes_rows, exchanges, tuple(sides), tuple(needs))
        if step.passes and not any(kind == "files" for kind, _ in readers):
            step = replace(step, writes_rows=False)
        written = [[number, output.name] for number, output in sides]
        promise = [key, step.writes_rows, [item[:2] for item in exchanges], written, self.ledger_parts]
        fingerprint = hashlib.sha256(json.dumps(promise).encode()).hexdigest()
        return replace(step, key=f"{stage}-{fingerprint[:16]}", fingerprint=fingerprint)

    def _side_readers(self, call: Dataset, name: str) -> list[tuple[str, Dataset]]:
        sides = [made for kind, made in self.consumers[self.fingerprint(call)] if kind == "side"]
        named = {self.fingerprint(made) for made in sides if isinstance(made.op, Side) and made.op.name == name}
        return [reader for key in sorted(named) for reader in self.consumers[key]]


def _refuse_same_names(steps: Iterable[Step]) -> None:
    """Raises PlanError where two outputs would be published under one name."""
    seen: dict[str, tuple[str, int, str]] = {}
    for step in steps:
        for call, output in step.sides:
            place = (step.key, call, output.name)
            if output.publish and seen.setdefault(output.publish, place) != place:
                raise PlanError(f"stage {step.stage}: more than one file would be published as {output.publish}")


def _identity_of(file: InputFile, versions: bool) -> list[Any]:  # Any: plain JSON data
    part = [] if file.part is None else [file.part]
    return [file.name, file.size_bytes, file.version if versions else "", *part]


def _promises(outputs: Sequence[Output]) -> list[list[Any]]:  # Any: plain JSON data
    return [[output.name, schema_identity(output.schema), output.publish or ""] for output in outputs]


def _through_concat(kind: str) -> str:
    """A map over a concat reads its parents' rows from their files, or piped; it never fuses into one of them."""
    return "concat" if kind == "map" else kind
