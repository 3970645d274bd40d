"""The plan: which steps can run now, as tasks that are plain data.

Waves are planned one after another. A wave is a pure function of the config, of the listing of the sources, and of the
records of the waves before it, so a resumed run plans the same again and finds what it finished by its records. Nothing
here reads or writes data, but for the few bytes of a folded value that says how many shards there are.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from datapipe import storage
from datapipe.dataset import (
    FILES,
    Concat,
    Dataset,
    Exchange,
    Files,
    Fold,
    Like,
    Map,
    Output,
    Repeat,
    Side,
    Sized,
    Source,
    same,
)
from datapipe.errors import PlanError
from datapipe.exchange import Routing
from datapipe.graph import Graph, Pipeline, Step
from datapipe.records import Records
from datapipe.shard import CODECS, Made, Shard, read_shard
from datapipe.task import LEDGER_OUTPUT, Call, Rows, Segment, Target, Task
from datapipe.work import LEDGER

BYTES_A_DOCUMENT = 4096  # of the source files, compressed or not, before anything is read


@dataclass(frozen=True)
class Wave:
    """Tasks that need nothing of each other, and the steps they work on."""

    number: int
    steps: tuple[Step, ...]
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Published:
    """A finished file under the work folder and its name under the output folder."""

    path: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Forecast:
    """A step as `datapipe plan` shows it."""

    wave: int
    step: Step
    shards: int | None
    done: int
    waits_for: str


class Planner:
    """Plans waves from records. It holds what is finished; everything else follows."""

    def __init__(self, pipeline: Pipeline, work: str, version: str) -> None:
        self.pipeline, self.work, self.version = pipeline, storage.absolute(work), version
        self.graph = Graph(pipeline, version)
        self.records = Records(self.work)
        self.waves = 0
        self.facts = {
            "config_sha256": self.graph.fingerprint(pipeline.result, versions=False),
            "code_version": version,
        }
        self.assumed: set[str] = set()
        self._complete: set[str] = set()
        self._widths: dict[str, int] = {}
        self._paths: dict[str, tuple[str, ...]] = {}

    # What there is

    @property
    def source_bytes(self) -> int:
        """The size of all source files (bytes)."""
        return self.graph.source_bytes(self.graph.datasets.values())

    @property
    def notes(self) -> list[str]:
        """What is to be known of the files of sources, a sentence each."""
        sources = [made.op for made in self.graph.datasets.values() if isinstance(made.op, Source)]
        return [f"{source.name}: {note}" for source in sources for note in source.notes]

    def notes_on(self, documents: Mapping[str, float]) -> list[str]:
        """What stages say of themselves, a sentence each; `documents` are those that reach a stage, by its name.

        One that is not named is taken to get a document for each BYTES_A_DOCUMENT of the sources.
        """
        usual = self.source_bytes / BYTES_A_DOCUMENT
        stages = [(name, stage.notes(documents.get(name, usual))) for name, stage, _ in self.pipeline.stages]
        return [f"{name}: {note}" for name, notes in stages for note in notes]

    def steps(self) -> list[Step]:
        """Every step that is known, in an order in which they can run; each once."""
        return list({step.key: step for step in self.graph.steps.values()}.values())

    def finished_steps(self) -> list[Step]:
        """Every step of which all shards are finished, in order."""
        return [step for step in self.steps() if self.complete(step)]

    def finish(self, shard: Shard) -> None:
        """Takes note of a finished shard."""
        self.records.finish(shard)

    def shards_of(self, step: Step) -> list[Shard]:
        """Returns the records of a finished step, in order, without their counters."""
        records = self.records.of(step.key)
        return [records[number] for number in range(self.width(step.result) or 0)]

    def step_of(self, made: Dataset) -> Step:
        """Returns the step that a map or fold belongs to."""
        return self.graph.steps[self.graph.fingerprint(made)]

    def complete(self, step: Step) -> bool:
        """Whether every shard of the step is finished."""
        if step.key in self.assumed:
            return True
        if step.key not in self._complete:
            width = self.width(step.result)
            if width is None or len(self.records.of(step.key)) < width:
                return False
            self._complete.add(step.key)
        return True

    def width(self, made: Dataset) -> int | None:
        """Returns the number of shards of `made`, or None while data decide that."""
        match made.op:
            case Source(_, _, groups):
                return len(groups)
            case Map(parent) | Side(parent):
                return self.width(parent)
            case Fold() | Files():
                return 1
            case Concat(parents):
                widths = [self.width(parent) for parent in parents]
                return None if None in widths else sum(width for width in widths if width is not None)
            case Exchange(_, _, _, shards, _):
                return self._exchange_width(made, shards)
            case Repeat():
                last = self._last_round(made)
                return None if last is None else self.width(last)
        raise PlanError(f"{made.op!r} is not an operation of the engine")

    def _exchange_width(self, made: Dataset, shards: int | Sized | Like | Dataset) -> int | None:
        """Returns the number of shards of an exchange; once known it stays, and every task asks for it."""
        if isinstance(shards, int):
            return shards
        key = self.graph.fingerprint(made)
        if key not in self._widths:
            width = self._find_width(made, shards)
            if width is None or self.assumed:
                return width
            self._widths[key] = width
        return self._widths[key]

    def _find_width(self, made: Dataset, shards: Sized | Like | Dataset) -> int | None:
        if isinstance(shards, Sized):
            size = self.graph.source_bytes(self.graph.ancestors(made))  # of its own recipe, not of the whole config
            return min(shards.at_most, max(1, math.ceil(size / shards.bytes_per_shard)))
        if isinstance(shards, Like):
            return self.width(shards.dataset)
        if not self.ready(shards) or self.step_of(shards).key in self.assumed:
            return None
        path = self._files(shards, 0)[0]
        return int(next(read_shard(path)).column("shards")[0].as_py())

    def ready(self, made: Dataset) -> bool:
        """Whether all rows of `made` are there to be read."""
        match made.op:
            case Source():
                return True
            case Map() | Fold():
                return self.complete(self.step_of(made))
            case Side(parent) | Files(parent):
                return self.ready(parent)
            case Exchange(parent):
                return self.ready(parent) and (self.width(made) is not None or bool(self.assumed))
            case Concat(parents):
                return all(self.ready(parent) for parent in parents)
            case Repeat():
                return self._last_round(made) is not None
        raise PlanError(f"{made.op!r} is not an operation of the engine")

    # Repeats

    def _last_round(self, made: Dataset) -> Dataset | None:
        """Returns what a repeat came to, or None while it goes on."""
        assert isinstance(made.op, Repeat)
        _, rounds = self.graph.rounds.get(self.graph.fingerprint(made), (made, []))
        if not rounds or not self.complete(self.step_of(rounds[-1])):
            return None
        step = self.step_of(rounds[-1])
        changed = sum(named.get(made.op.until, 0) for named in self.records.counts(step.key).values())
        return rounds[-1] if changed == 0 or len(rounds) >= made.op.at_most else None

    def _unroll(self) -> bool:
        """Adds the next round of every repeat whose last one is finished; returns whether it added any."""
        added = False
        for key, made in list(self.graph.datasets.items()):
            if not isinstance(made.op, Repeat) or not self.ready(made.op.parent) or self._last_round(made) is not None:
                continue
            _, rounds = self.graph.rounds.get(key, (made, []))
            if rounds and not self.complete(self.step_of(rounds[-1])):
                continue
            before = rounds[-1] if rounds else made.op.parent
            after = made.op.step(before.map(same))
            self.graph.rounds[key] = (made, [*rounds, after.map(same)])
            added = True
        if added:
            self.graph = Graph(self.pipeline, self.version, self.graph.rounds)
        return added

    # Waves

    def wave(self) -> Wave | None:
        """Returns the tasks that can run now, or None where everything is made."""
        while self._unroll():
            pass
        steps = self.startable()
        if not steps:
            unmade = [step.key for step in self.steps() if not self.complete(step)]
            if unmade:
                raise PlanError(f"nothing can start, and yet these are not made: {', '.join(unmade)}")
            return None
        self.waves += 1
        return Wave(self.waves, tuple(step for step, _ in steps), tuple(self._tasks(steps)))

    def startable(self) -> list[tuple[Step, bool]]:
        """Returns (step, whether its rows come piped from a step of the same wave) for all that can start now."""
        chosen: dict[str, tuple[Step, bool]] = {}
        piped: set[str] = set()
        for step in self.steps():
            if self.complete(step) or not all(self.ready(need) for need in step.needs):
                continue
            if not self.assumed and any(self.width(exchange) is None for _, _, exchange in step.exchanges):
                continue
            heads = [self.step_of(head).key for head in _flat(step.head) if isinstance(head.op, Map)]
            if self.ready(step.head):
                chosen[step.key] = (step, False)
            elif self._pipes(step, chosen, piped):
                chosen[step.key] = (step, True)
                piped.update(heads)
        return list(chosen.values())

    def _pipes(self, step: Step, chosen: Mapping[str, tuple[Step, bool]], piped: set[str]) -> bool:
        """Whether the rows of the step's head stream from steps of this wave that hand theirs to no other."""
        if step.fold:
            return False
        for head in _flat(step.head):
            if not isinstance(head.op, Map):
                return False
            before = self.step_of(head)
            if before.key in piped or (before.key not in chosen and not self.complete(before)):
                return False
        return self.width(step.head) is not None

    def _tasks(self, steps: list[tuple[Step, bool]]) -> Iterator[Task]:
        lanes: dict[tuple[str, int], list[tuple[Step, int]]] = {}
        for step, _ in steps:
            done = self.records.of(step.key)
            for number in range(self.width(step.result) or 0):
                if number in done:
                    continue
                before = None if step.fold else self._piece(step.head, number)
                lane = lanes.pop(before, []) if before is not None else []
                lanes[step.key, number] = [*lane, (step, number)]
        tasks = [self._task(lane) for lane in lanes.values()]
        yield from sorted(tasks, key=lambda task: -task.size_bytes)

    def _piece(self, head: Dataset, number: int) -> tuple[str, int] | None:
        """Returns (step, shard) that the shard `number` of `head` is, where a step made it."""
        if isinstance(head.op, Concat):
            for parent in head.op.parents:
                width = self.width(parent) or 0
                if number < width:
                    return self._piece(parent, number)
                number -= width
        return (self.step_of(head).key, number) if isinstance(head.op, Map) else None

    def _task(self, lane: list[tuple[Step, int]]) -> Task:
        segments = tuple(self._segment(step, number, first=place == 0) for place, (step, number) in enumerate(lane))
        head = segments[0].head
        size = sum(file.part_bytes for file in head.inputs) if head else 0
        quarantine = self.pipeline.on_bad_input == "quarantine"
        return Task(self.work, segments, self.facts, size, quarantine=quarantine, stores=self.pipeline.stores)

    def _segment(self, step: Step, number: int, *, first: bool) -> Segment:
        head = self._head(step, number) if first else None
        source = step.head.op.name if isinstance(step.head.op, Source) else ""
        calls = tuple(self._call(call, number) for call in step.calls)
        spared = (_rows_of(step),) if step.passes and not step.writes_rows else ()
        return Segment(step.key, step.stage, number, head, source, calls, tuple(self._targets(step)), spared)

    def _head(self, step: Step, number: int) -> Rows:
        if not step.fold:
            return self.rows(step.head, number)
        held = [self.rows(step.head, shard) for shard in range(self.width(step.head) or 0)]
        return held[0] if len(held) == 1 else Rows(step.head.schema, of=tuple(held))

    def _call(self, made: Dataset, number: int) -> Call:
        op = made.op
        assert isinstance(op, Map | Fold)
        beside = self.rows(op.beside, number) if isinstance(op, Map) and op.beside else None
        if isinstance(op, Map) and op.beside and self.width(op.beside) != self.width(op.parent):
            raise PlanError(
                f"stage {self.graph.stage_of(made)}: beside has {self.width(op.beside)} shards, its dataset "
                f"{self.width(op.parent)}; exchange it with shards=Like(dataset)"
            )
        whole = tuple(tuple(self.rows(item, shard) for shard in range(self.width(item) or 0)) for item in op.whole)
        documents = isinstance(op, Map) and op.documents
        names = tuple(output.name for output in op.outputs)
        passes = isinstance(op, Map) and op.passes
        return Call(self.graph.stage_of(made), op.function, documents, made.schema, beside, whole, names, passes)

    def _targets(self, step: Step) -> Iterator[Target]:
        last = len(step.calls) - 1
        if step.writes_rows:
            yield _rows_of(step)
        for call, output in step.sides:
            yield Target(f"{call}.{output.name}", call, output.name, output.schema, _ending(output))
        for key, emitted, exchange in step.exchanges:
            call, name = (last, "rows") if emitted == "rows" else (int(emitted.split(".")[0]), emitted.split(".", 1)[1])
            yield Target(_scatter(emitted, key), call, name, exchange.schema, ".exchange", self._routing(exchange))
        yield Target(LEDGER_OUTPUT, last, LEDGER_OUTPUT, LEDGER, ".exchange", self._ledger_routing())

    def _routing(self, exchange: Dataset) -> Routing:
        assert isinstance(exchange.op, Exchange)
        return Routing(exchange.op.by, exchange.op.then, self.width(exchange) or 1, exchange.op.direct)

    def _ledger_routing(self) -> Routing:
        return Routing("id", (), self.graph.ledger_parts, False)

    # Where rows lie

    def rows(self, made: Dataset, number: int) -> Rows:
        """Returns where the rows of shard `number` lie, all of it finished."""
        match made.op:
            case Source(_, read, groups):
                return Rows(made.schema, read=read, inputs=groups[number], sample=self.pipeline.sample)
            case Concat(parents):
                for parent in parents:
                    width = self.width(parent) or 0
                    if number < width:
                        return self.rows(parent, number)
                    number -= width
            case Exchange():
                routing = self._routing(made)
                return Rows(made.schema, self._scattered(made), part=number, keys=routing.keys)
            case Repeat():
                last = self._last_round(made)
                assert last is not None
                return self.rows(last, number)
            case Files(parent):
                return Rows(FILES, held=self._files_table(parent))
            case Map() if (step := self.step_of(made)).passes and "rows" not in self._outputs(step, number):
                return self.rows(step.head, number)
            case Map() | Fold() | Side():
                return Rows(made.schema, tuple(self._files(made, number)))
        raise PlanError(f"shard {number} of {made.op!r} is not there")

    def _files(self, made: Dataset, number: int) -> list[str]:
        step, name = self._where(made)
        return [storage.join(self.work, self._outputs(step, number)[name].path)]

    def _outputs(self, step: Step, number: int) -> Mapping[str, Made]:
        return self.records.of(step.key)[number].outputs

    def _where(self, made: Dataset) -> tuple[Step, str]:
        """Returns the step that writes `made` and the name it has in its records."""
        if not isinstance(made.op, Side):
            return self.step_of(made), "rows"
        step = self.step_of(made.op.parent)
        prints = [self.graph.fingerprint(call) for call in step.calls]
        return step, f"{prints.index(self.graph.fingerprint(made.op.parent))}.{made.op.name}"

    def _scattered(self, exchange: Dataset) -> tuple[str, ...]:
        """Returns the scatter files of all producing shards, in order; the same tuple for every part."""
        assert isinstance(exchange.op, Exchange)
        key = self.graph.fingerprint(exchange)
        if key not in self._paths:
            self._paths[key] = tuple(
                storage.join(self.work, shard.outputs[_scatter(name, key)].path)
                for parent in _flat(exchange.op.parent)
                for step, name in [self._where(parent)]
                for shard in self.shards_of(step)
            )
        return self._paths[key]

    def _files_table(self, parent: Dataset) -> pa.Table:
        step, name = self._where(parent)
        output = next((output for call, output in step.sides if f"{call}.{output.name}" == name), None)
        shards = self.shards_of(step)
        rows = [
            {
                "number": shard.number,
                "name": _published_name(output, shard.number, len(shards)) if output else "",
                "rows": shard.outputs[name].rows,
                "bytes": shard.outputs[name].bytes,
                "sha256": shard.outputs[name].sha256,
            }
            for shard in shards
        ]
        return pa.Table.from_pylist(rows, schema=FILES)

    # What is published

    @property
    def ledger_step(self) -> str:
        """The folder of the gathered ledger of what is finished."""
        keys = "\n".join(step.key for step in self.finished_steps())
        return f"ledger-{hashlib.sha256(keys.encode()).hexdigest()[:16]}"

    def ledger_tasks(self) -> list[Task]:
        """Returns the tasks that gather the ledger of all steps, one for each part that is not finished."""
        routing = self._ledger_routing()
        paths = tuple(
            storage.join(self.work, shard.outputs[LEDGER_OUTPUT].path)
            for step in self.finished_steps()
            for shard in self.shards_of(step)
            if LEDGER_OUTPUT in shard.outputs
        )
        key = self.ledger_step
        call = Call("ledger", same, False, LEDGER)
        target = Target("rows", 0, "rows", LEDGER, ".parquet")
        return [
            Task(
                self.work,
                (Segment(key, "ledger", part, Rows(LEDGER, paths, part, routing.keys), "", (call,), (target,)),),
                stores=self.pipeline.stores,
            )
            for part in range(routing.parts)
            if part not in self.records.of(key)
        ]

    def ledger_shards(self) -> list[Shard]:
        """Returns the records of the gathered ledger, in order."""
        records = self.records.of(self.ledger_step)
        return [records[part] for part in range(self.graph.ledger_parts)]

    def published(self, ledger: list[Shard]) -> list[Published]:
        """Returns every file of the output folder that is finished, the manifest last."""
        found = []
        for step in self.finished_steps():
            for call, output in step.sides:
                if output.publish:
                    shards = self.shards_of(step)
                    for shard in shards:
                        made = shard.outputs[f"{call}.{output.name}"]
                        name = _published_name(output, shard.number, len(shards))
                        found.append(Published(storage.join(self.work, made.path), name, made.sha256))
        for shard in ledger:
            made = shard.outputs["rows"]
            name = f"ledger/part-{shard.number:05}-of-{len(ledger):05}.parquet"
            found.append(Published(storage.join(self.work, made.path), name, made.sha256))
        return sorted(found, key=lambda item: (item.name.endswith("manifest.json"), item.name))

    # What will be

    def forecast(self) -> Iterator[Forecast]:
        """Yields every step in the wave it would run in, as far as the records tell; reads no data."""
        while self._unroll():
            pass
        done = {step.key: self.complete(step) for step in self.steps()}
        for step in self.steps():
            if done[step.key]:
                yield self._forecast(0, step, "")
        wave, left = 0, [step for step in self.steps() if not done[step.key]]
        widths = {step.key: self.width(step.result) for step in left}
        while left:
            wave += 1
            steps = [step for step, _ in self.startable()]
            if not steps:
                yield from (self._forecast(wave, step, self._waits_for(step)) for step in left)
                return
            for step in steps:
                waits = "" if widths[step.key] is not None else self._waits_for(step)
                yield self._forecast(wave, step, waits)
            self.assumed.update(step.key for step in steps)
            left = [step for step in left if step.key not in self.assumed]

    def _forecast(self, wave: int, step: Step, waits: str) -> Forecast:
        return Forecast(wave, step, None if waits else self.width(step.result), len(self.records.of(step.key)), waits)

    def _waits_for(self, step: Step) -> str:
        """Returns which step's data decide how many shards `step` has."""
        for made in self.graph.ancestors(step.head):
            if isinstance(made.op, Exchange) and isinstance(made.op.shards, Dataset):
                return f"{self.step_of(made.op.shards).key} has counted"
            if isinstance(made.op, Repeat):
                return self.graph.stage_of(made)
        return "data are read"


def _flat(made: Dataset) -> list[Dataset]:
    """Returns the datasets that a concat numbers through, or the one itself."""
    return [item for parent in made.op.parents for item in _flat(parent)] if isinstance(made.op, Concat) else [made]


def _rows_of(step: Step) -> Target:
    return Target("rows", len(step.calls) - 1, "rows", step.result.schema)


def _scatter(output: str, exchange: str) -> str:
    return f"{output}>{exchange[:16]}"


def _ending(output: Output) -> str:
    if output.publish is None:
        return ".ipc"
    stem, ending = os.path.splitext(output.publish)
    codec = os.path.splitext(stem)[1]
    return (codec if codec[1:] in CODECS else "") + ending or ".bin"


def _published_name(output: Output, number: int, shards: int) -> str:
    assert output.publish is not None
    return output.publish.format(number=number, shards=shards)
