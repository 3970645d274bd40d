"""Tasks as plain data: all that a worker needs to make the shards of one pass, and the one function that does it.

A task runs one or more steps on one shard in a single pass: what a step makes streams on into the next while it is
written. An attempt writes to local scratch, moves whole files to names that hold their digest, then puts a record if
absent. So an attempt may be cut off anywhere, run twice, or race another, and nothing changes.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import platform
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from datapipe import storage
from datapipe.dataset import Batches, InputFile, MapFunction, ReadFunction
from datapipe.errors import ConfigError, DatapipeError, Interrupted, Refused, StageError, UnreadableInput
from datapipe.exchange import MEMORY_BYTES, Routing, ScatterWriter, gather
from datapipe.logs import redact
from datapipe.meter import Clock, forget_peak, give_memory_back, peak_bytes
from datapipe.records import read_record, record_path
from datapipe.shard import BATCH_BYTES, BATCH_ROWS, Made, Passed, Shard, Writer, conform, cut, read_shard
from datapipe.sort import Budget
from datapipe.work import Work, evidence, id_sum

log = logging.getLogger(__name__)
FAULT_POINTS = ("mid_batch", "before_upload", "after_upload", "before_commit", "after_commit")
LEDGER_OUTPUT = "ledger"
SCRATCH_PREFIX = "datapipe-attempt-"
_scratches: dict[tuple[str, int], str] = {}
PASSING = (StageError, Interrupted, Refused, MemoryError)  # say nothing of the file that was being read
PIPED_BYTES = 1 << 20
GATHERED_ROWS = 1 << 16  # of a batch that comes out of an exchange: keys and edges have few bytes


@dataclass(frozen=True)
class Rows:
    """Where the rows of an input lie: finished files, a part of an exchange, files of a source, here, or several."""

    schema: pa.Schema
    files: tuple[str, ...] = ()
    part: int = -1
    keys: tuple[str, ...] = ()
    read: ReadFunction | None = None
    inputs: tuple[InputFile, ...] = ()
    sample: float = 1.0
    held: pa.Table | None = None
    of: tuple[Rows, ...] = ()


@dataclass(frozen=True)
class Call:
    """One function with its inputs beside its rows; `schema` is what it promises to yield."""

    stage: str
    function: MapFunction
    documents: bool
    schema: pa.Schema
    beside: Rows | None = None
    whole: tuple[tuple[Rows, ...], ...] = ()
    outputs: tuple[str, ...] = ()
    passes: bool = False


@dataclass(frozen=True)
class Target:
    """A file to write: what `call` emits under `output` ("rows": what it yields)."""

    name: str
    call: int
    output: str
    schema: pa.Schema
    ending: str = ".ipc"
    routing: Routing | None = None


@dataclass(frozen=True)
class Segment:
    """One step on one shard. `head` is None where the rows come from the segment before.

    `spared` are written too where records of the head are set aside: its rows, where they else are those of the head.
    """

    step: str
    stage: str
    number: int
    head: Rows | None
    source: str
    calls: tuple[Call, ...]
    targets: tuple[Target, ...]
    spared: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Task:
    """Segments that run in one pass, each on the rows of the one before."""

    work: str
    segments: tuple[Segment, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int = 0
    memory_bytes: int = MEMORY_BYTES
    quarantine: bool = True  # whether a shard of a source that cannot be read may be set aside
    stores: storage.Options = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a log calls it: the stages of the pass and the number of the last shard."""
        return f"{'+'.join(dict.fromkeys(segment.stage for segment in self.segments))}[{self.segments[-1].number}]"

    @property
    def holds_bytes(self) -> int:
        """What its functions say that they hold, beside what sorting takes."""
        calls = [call for segment in self.segments for call in segment.calls]
        return sum(getattr(call.function, "holds_bytes", 0) for call in calls)


class Watch:
    """Sees every batch of a task's input before it is worked on; records to skip stand in `skip` with their reasons.

    `single` is a range of rows that are handed on one by one, to find the one that kills. With `exact` a step is handed
    what the step before yields as it is; else small batches are put together, and rows seen may not be worked on yet.
    """

    skip: Mapping[int, str]
    single: tuple[int, int]
    exact: bool

    def __init__(
        self, skip: Mapping[int, str] | None = None, single: tuple[int, int] = (0, 0), *, exact: bool = False
    ) -> None:
        self.skip, self.single, self.exact = skip or {}, single, exact

    def at(self, start: int, rows: int, size: int) -> None:
        """Called before rows `start` to `start + rows` (of that many bytes) of the task's input go on."""

    def reading(self, begins: bool) -> None:
        """Called before (`begins`) and after a source's reader is asked for rows."""

    def goes_on(self) -> None:
        """Called while the task works on no rows."""

    def made(self) -> None:
        """Called when all is written to scratch and nothing is put: what it raises leaves no trace of the attempt."""


@dataclass(frozen=True)
class Outcome:
    """What an attempt came to: the records of its segments, and the steps whose record in place was another.

    `cpu_seconds` by stage (and "read", "write") and `peak_bytes` of the process are of this attempt, and go to no
    record.
    """

    shards: tuple[Shard, ...]
    differing: tuple[str, ...] = ()
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    peak_bytes: int = 0


def run_task(task: Task, attempt: int = 0, watch: Watch | None = None) -> Outcome:
    """Makes the shards of `task` and returns their records; the one function that workers run.

    Raises:
        ConfigError: the work folder is on another machine's disk.
        StageError: a function broke its contract. Whatever else a function raises goes through.
    """
    storage.configure(task.stores)
    if not storage.is_remote(task.work) and not os.path.isdir(task.work):
        raise ConfigError(
            f"{task.work}: node {platform.node()} sees no such folder; --work must be one that all nodes share, or s3://"
        )
    done = [read_record(task.work, segment.step, segment.number) for segment in task.segments]
    shards = [shard for shard in done if shard is not None]
    if len(shards) == len(done):
        return Outcome(tuple(shards))
    about = {"event": "attempt_started", "stage": task.segments[-1].stage, "shard": task.segments[-1].number}
    log.debug("%s: attempt %d", task.name, attempt, extra={**about, "attempt": attempt})
    forget_peak()
    scratch = _scratch(storage.scratch_root(task.work), os.getpid())
    try:
        return _attempt(task, _Fault(task, attempt), watch or Watch(), scratch)
    finally:
        with contextlib.suppress(OSError):
            for left in os.scandir(scratch):
                os.unlink(left)
        give_memory_back()


def _scratch(root: str, process: int) -> str:
    """Returns this process's folder under `root`, empty; it goes with the process."""
    known = _scratches.get((root, process))
    if known is None or not os.path.isdir(known):
        os.makedirs(root, exist_ok=True)
        known = _scratches[root, process] = tempfile.mkdtemp(dir=root, prefix=SCRATCH_PREFIX)
        atexit.register(_remove, known, process)
    return known


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # and not one that was forked off
        shutil.rmtree(folder, ignore_errors=True)


def _attempt(task: Task, fault: _Fault, watch: Watch, scratch: str) -> Outcome:
    with storage.room(scratch):
        budget = Budget(task.memory_bytes)  # of all that its passes scatter
        first, *others = task.segments
        if watch.skip:
            first = replace(first, targets=(*first.spared, *first.targets))
        passes = [_Pass(segment, task, scratch, place, budget) for place, segment in enumerate([first, *others])]
        clock = Clock()
        rows = clock.timed("read", passes[0].read(watch, fault))
        for one in passes:
            rows = one.stream(rows if watch.exact else one.joined(rows), clock)
        for _ in rows:
            pass
        records = [one.close() for one in passes]
    watch.made()
    fault.at("before_upload")
    for one in passes:
        one.upload()
    fault.at("after_upload")
    outcome = []
    differing = []
    for record in records:
        fault.at("before_commit")
        content = record.to_json()
        path = record_path(task.work, record.step, record.number)
        same = storage.put_new(path, content) or storage.read_bytes(path) == content
        if not same:
            differing.append(f"{record.step}[{record.number}]")
        outcome.append(record if same else Shard.from_json(storage.read_bytes(path)))
        fault.at("after_commit")
    return Outcome(tuple(outcome), tuple(differing), clock.seconds(), peak_bytes())


class _Fault:
    """A crash point: PIPE_FAULT=stage:shard:attempt:point ends the process making that shard there, with status 17."""

    def __init__(self, task: Task, attempt: int) -> None:
        stage, number, which, self.point = (os.environ.get("PIPE_FAULT", "") + ":::").split(":")[:4]
        shards = {(segment.stage, str(segment.number)) for segment in task.segments}
        self.armed = (stage, number) in shards and which == str(attempt)

    def at(self, point: str) -> None:
        if self.armed and point == self.point:
            os._exit(17)


class _Pass:
    """One segment at work: its calls as a chain of generators, its writers, and the counts between."""

    def __init__(self, segment: Segment, task: Task, scratch: str, place: int, budget: Budget) -> None:
        self.segment, self.task, self.scratch, self.place, self.budget = segment, task, scratch, place, budget
        self.writers: dict[str, Writer | ScatterWriter] = {}
        self.works = [self._work(number, call) for number, call in enumerate(segment.calls)]
        self.entry = Work(segment.number, segment.stage, emit=self._emitter(0), facts=task.facts)
        self.rows_in = [0] * len(segment.calls)
        self.rows_out = [0] * len(segment.calls)
        self.ids_in = [0] * len(segment.calls)
        self.ids_out = [0] * len(segment.calls)
        self.set_aside = [0] * len(segment.calls)
        self.inputs: tuple[str, ...] = ()
        # The last call that reads beside: it may number its rows, so records that are set aside leave behind it.
        self.numbered = max((number for number, call in enumerate(segment.calls) if call.beside), default=-1)
        self.aside: dict[bytes, tuple[str, str]] = {}  # rule and note of those that have not left yet, by id
        for target in segment.targets:
            if target.name != LEDGER_OUTPUT:
                self._open(target)

    def _open(self, target: Target) -> Writer | ScatterWriter:
        path = os.path.join(self.scratch, f"{self.place}-{len(self.writers)}{target.ending}")
        if target.routing is None:
            writer: Writer | ScatterWriter = Writer(path, target.schema)
        else:
            writer = ScatterWriter(path, target.schema, target.routing, self.scratch, self.budget)
        self.writers[target.name] = writer
        return writer

    def _work(self, number: int, call: Call) -> Work:
        beside = call.beside
        return Work(
            self.segment.number,
            call.stage,
            tuple(_table(rows, self) for rows in call.whole),
            self._emitter(number),
            (lambda: open_rows(beside, self.scratch, self.task.memory_bytes)) if beside else (lambda: iter(())),
            facts=self.task.facts,
            scratch=self.scratch,
        )

    def _emitter(self, call: int) -> Callable[[str, pa.RecordBatch], None]:
        targets, promised = self.segment.targets, self.segment.calls[call].outputs

        def emit(name: str, batch: pa.RecordBatch) -> None:
            if name != LEDGER_OUTPUT and name not in promised:
                raise StageError(f"work.put: no output of this map is called '{name}'; it has: {', '.join(promised)}")
            for target in targets:
                if target.output == name and (target.call == call or name == LEDGER_OUTPUT):
                    (self.writers.get(target.name) or self._open(target)).write(batch)

        return emit

    def read(self, watch: Watch, fault: _Fault) -> Batches:
        """Yields the rows of the head, told to `watch` first; skipped ones leave for the ledger."""
        head = self.segment.head
        assert head is not None
        start = 0
        for batch in cut_around(self._opened(head, watch), watch.single):
            watch.at(start, batch.num_rows, batch.nbytes)
            yield self._without_skipped(batch, start, watch)
            start += batch.num_rows
            fault.at("mid_batch")

    def _opened(self, head: Rows, watch: Watch) -> Batches:
        """Yields the rows of the head. Raises UnreadableInput where a reader fails on the files of its source."""
        rows = open_rows(head, self.scratch, self.task.memory_bytes, self.entry)
        while True:
            watch.reading(head.read is not None)
            try:
                batch = next(rows, None)
            except PASSING:
                raise
            except Exception as error:  # a reader may raise anything
                if head.read is None or storage.is_full(error):
                    raise
                raise unreadable(self.task, f"{type(error).__name__}: {error}") from error
            watch.reading(False)
            if batch is None:
                self.inputs = digests_of(head.inputs, watch.goes_on)
                return
            yield batch

    def _without_skipped(self, batch: pa.RecordBatch, start: int, watch: Watch) -> pa.RecordBatch:
        rows = [row for row in range(batch.num_rows) if start + row in watch.skip] if watch.skip else []
        if not rows:
            return batch
        for row in rows:
            reason = watch.skip[start + row]
            self.aside[batch.column("id")[row].as_py()] = reason.split(":")[0], f"{reason}; {evidence(batch, row)}"
        if self.numbered >= 0:
            return batch
        self.rows_in[0] += len(rows)
        self.ids_in[0] += id_sum(batch.take(pa.array(rows)))
        return self._without_aside(batch, 0)

    def _without_aside(self, batch: pa.RecordBatch, call: int) -> pa.RecordBatch:
        """Returns the rows but for those that are set aside, which leave as if that call had dropped them."""
        said = [self.aside.pop(key, ("", "")) for key in batch.column("id").to_pylist()]
        mask = np.array([rule != "" for rule, _ in said], np.bool_)
        self.set_aside[call] += int(mask.sum())
        rules, notes = ([item[place] for item in said] for place in range(2))
        return self.works[call].drop(batch, mask, action="quarantine", rule=rules, note=notes)

    def joined(self, rows: Batches) -> Batches:
        """Returns the rows of the segment before in batches of about a megabyte: a call has a price of its own."""
        return rows if self.segment.head is not None else cut(rows, BATCH_ROWS, PIPED_BYTES)

    def stream(self, rows: Batches, clock: Clock) -> Batches:
        """Returns what the calls make of `rows`, written on the way."""
        for number, call in enumerate(self.segment.calls):
            rows = self._checked(number, call, self._counted(number, rows))
            rows = clock.timed(call.stage, rows)
        return self._written(rows)

    def _written(self, rows: Batches) -> Batches:
        outputs = [t.name for t in self.segment.targets if t.output == "rows"]
        for batch in rows:
            for name in outputs:
                self.writers[name].write(batch)
            yield batch

    def _counted(self, number: int, rows: Batches) -> Batches:
        for batch in rows:
            if batch.num_rows:
                self.rows_in[number] += batch.num_rows
                self.ids_in[number] += id_sum(batch)
                yield batch

    def _checked(self, number: int, call: Call, rows: Batches) -> Batches:
        for batch in call.function(rows, self.works[number]):
            if batch.num_rows:
                try:
                    batch = conform(batch, call.schema)
                except StageError as error:
                    raise StageError(f"stage {call.stage}, shard {self.segment.number}: {error}") from None
                if number == self.numbered and self.aside and "id" in batch.schema.names:
                    batch = self._without_aside(batch, number)
                self.rows_out[number] += batch.num_rows
                self.ids_out[number] += id_sum(batch)
                if batch.num_rows:
                    yield batch
        for _ in rows:  # what the function left unread is counted, and written by those before it
            pass

    def close(self) -> Shard:
        """Ends the files and returns the record. Raises StageError where documents were lost or made from nothing."""
        for writer in self.writers.values():
            writer.close()
        passed = tuple(self._passed(number, call) for number, call in enumerate(self.segment.calls))
        counts: dict[str, Counter[str]] = {}
        for work in [self.entry, *self.works]:
            counts.setdefault(work.stage, Counter()).update(work.counts)
        self.files = {name: self._named(name, writer) for name, writer in sorted(self.writers.items())}
        kept = {stage: dict(sorted(named.items())) for stage, named in sorted(counts.items()) if named}
        made = {name: item for name, (_, item) in self.files.items()}
        return Shard(self.segment.step, self.segment.number, made, passed, kept, self.inputs)

    def _passed(self, number: int, call: Call) -> Passed:
        work = self.works[number]
        passed = Passed(
            call.stage, call.documents, self.rows_in[number], work.made, self.rows_out[number], work.dropped
        )
        if call.passes and (passed.made or passed.dropped != self.set_aside[number]):
            raise StageError(
                f"stage {call.stage}, shard {self.segment.number}: drops or splits documents in a map that promised to "
                "pass them on as they came; leave out passes=True"
            )
        if call.documents and passed.rows_in + passed.made != passed.rows_out + passed.dropped:
            raise StageError(
                f"stage {call.stage}, shard {self.segment.number}: {passed.rows_in} documents in + {passed.made} made "
                f"by splitting is not {passed.rows_out} out + {passed.dropped} dropped: a document was lost or "
                "doubled; a stage must hand every row on or drop it through work.drop(...)"
            )
        if call.documents and not work.made and (self.ids_in[number] - self.ids_out[number] - work.dropped_ids) % 2**64:
            raise StageError(
                f"stage {call.stage}, shard {self.segment.number}: {passed.rows_in} documents in, as many out and "
                "dropped, but not the same ones: one was lost where another was doubled, or an id was changed"
            )
        return passed

    def _named(self, name: str, writer: Writer | ScatterWriter) -> tuple[str, Made]:
        digest = writer.file.digest.hexdigest()
        label = name.replace(">", "to-")[:40]
        ending = os.path.splitext(writer.file.path)[1]
        path = os.path.join(self.segment.step, f"{self.segment.number:06}-{label}-{digest[:16]}{ending}")
        return writer.file.path, Made(path, writer.rows, writer.file.size, digest)

    def upload(self) -> None:
        """Moves the finished files to their names under the work folder."""
        for local, made in self.files.values():
            storage.put_file(local, storage.join(self.task.work, made.path))


def digests_of(files: Sequence[InputFile], goes_on: Callable[[], object]) -> tuple[str, ...]:
    """Returns the SHA-256 of the bytes of each file that a task has just read, which its disk's cache may still hold.

    "" for one in a store, where it would be fetched a second time, one that is known by its digest, and one that cannot
    be read; none where all are so. `goes_on` is called after each block: a large file on a slow disk is no silence.
    """
    found = []
    for file in files:
        digest = ""
        if not storage.is_remote(file.url) and not file.sha256:
            with contextlib.suppress(OSError, DatapipeError):
                digest = storage.sha256_of(file.url, file.part, goes_on)
        found.append(digest)
    return tuple(found) if any(found) else ()


def unreadable(task: Task, reason: str, number: int | None = None) -> UnreadableInput:
    """Returns the error for source files of a task that cannot be read: all, or the one of that number.

    It names files as the ledger does, by no path.
    """
    segment = task.segments[0]
    inputs = segment.head.inputs if segment.head else ()
    for file in inputs:
        reason = reason.replace(file.url, file.name)
    inputs = inputs if number is None else inputs[number : number + 1]
    names = ", ".join(file.name for file in inputs[:3]) + (f" and {len(inputs) - 3} more" if len(inputs) > 3 else "")
    return UnreadableInput(f"{names} of source {segment.source}: cannot be read ({redact(reason)})")


def cut_around(batches: Batches, single: tuple[int, int]) -> Batches:
    """Yields the same rows, those numbered `single[0]` to `single[1]` one by one."""
    start = 0
    for batch in batches:
        end = start + batch.num_rows
        if end <= single[0] or start >= single[1]:
            yield batch
        else:
            yield from (batch.slice(row, 1) for row in range(batch.num_rows))
        start = end


def _table(inputs: tuple[Rows, ...], one: _Pass) -> pa.Table:
    batches = [b for rows in inputs for b in open_rows(rows, one.scratch, one.task.memory_bytes)]
    return pa.Table.from_batches(batches, schema=inputs[0].schema)


def open_rows(rows: Rows, scratch: str, memory_bytes: int, work: Work | None = None) -> Iterator[pa.RecordBatch]:
    """Yields the rows of an input in batches of bounded size."""
    if rows.held is not None:
        return iter(rows.held.to_batches())
    if rows.of:
        return (batch for part in rows.of for batch in open_rows(part, scratch, memory_bytes))
    if rows.read is not None:
        read = rows.read(rows.inputs, work or Work(0))
        read = read if rows.sample >= 1 else _sampled(read, rows.sample, work or Work(0))
        return (part for batch in read for part in cut(iter([batch]), BATCH_ROWS, BATCH_BYTES))
    if rows.part >= 0:
        sorted_rows = gather(rows.files, rows.part, rows.schema, rows.keys, scratch, memory_bytes)
        return cut(sorted_rows, GATHERED_ROWS, BATCH_BYTES)
    return (batch for path in rows.files for batch in read_shard(path))


def _sampled(batches: Batches, share: float, work: Work) -> Batches:
    """Yields the rows whose id, as a number, lies below `share` of all ids; the others are counted, never seen.

    Rows without an id are no documents, and none is left out.
    """
    limit = int(share * 2**64)
    for batch in batches:
        if "id" not in batch.schema.names:
            yield batch
            continue
        column = batch.column("id")
        raw = np.frombuffer(column.buffers()[1], ">u8")[2 * column.offset : 2 * (column.offset + len(column))]
        kept = batch.filter(pa.array(raw[::2] < np.uint64(min(limit, 2**64 - 1))))
        work.count("not_sampled", batch.num_rows - kept.num_rows)
        yield kept
