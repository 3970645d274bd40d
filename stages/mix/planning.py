"""The plan of a mix without a run: what a finished corpus or given sizes say, folded by the run's own functions.

The index of a corpus knows source, signals and tokens of every document, in the order in which they were packed. So any
other groups, cuts, packing, held-out split or shares can be counted from it exactly, without its tokens: documents are
laid out by their lengths, and what is counted goes through `Plan`, and by document through `refine`, as it does in a
run. Memory is bounded by a batch of the index and by a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datapipe import ID, PlanError, Work, storage
from datapipe.dataset import MapFunction
from stages.mix.columns import COUNTS, OFFSETS, PLAN, SIZES
from stages.mix.groups import EDGES, Cut, Edges, Values
from stages.mix.index import PLACES
from stages.mix.layout import fitted, joined, numbered
from stages.mix.pack import Pack, Streams, window_tokens, windows
from stages.mix.place import locate, order_of
from stages.mix.plan import Phases, Plan, Row
from stages.mix.refine import WANTED, CountSeats, ListSeats, SumRanges, find_ranges
from stages.mix.split import LIMIT, Least, Limit

ROWS = 1 << 16


@dataclass(frozen=True)
class Planning:
    """What a mix plans by: how documents are packed, and what each phase asks for.

    `held_out` is the number of documents that are, where that is how it is said.
    """

    pack: Pack
    phases: Phases
    seed: int
    shard_bytes: int
    held_out: int | None = None


@dataclass(frozen=True)
class Planned:
    """Rows of PLAN, where buckets were cut, and how many documents are seen how often (None: not known)."""

    rows: list[Row]
    edges: Edges = field(default_factory=dict)
    documents: dict[int, int] | None = None
    held_out: int = 0  # documents


def plan_counts(counts: pa.Table, planning: Planning) -> tuple[pa.Table, pa.Table]:
    """Returns PLAN and OFFSETS of rows of COUNTS. By document, quotas are those of whole epochs yet."""
    plan, put = Plan(planning.phases, planning.pack.seq_len, planning.shard_bytes), list[pa.RecordBatch]()
    work = Work(0, emit=lambda _, batch: put.append(batch))
    made = _table(plan(iter(counts.to_batches()), work), PLAN)
    return made, _table(put, OFFSETS)


def columns(files: Sequence[str]) -> list[str]:
    """Returns the names of the columns of an index of documents."""
    return list(_schema(files).names)


def _schema(files: Sequence[str]) -> pa.Schema:
    with storage.open_shard(files[0]) as file:
        return pq.read_schema(file)


def plan_documents(files: Sequence[str], planning: Planning) -> Planned:
    """Returns the plan of a mix of the documents of a corpus, exactly as a run would make it.

    `files` are the paths of its index of documents, by number.

    Raises:
        PlanError: a column is missing, or what is asked for cannot be had.
    """
    documents = Documents(files, planning)
    counts, blocks = [], range(documents.blocks)
    for block in blocks:
        streams = Streams(block)
        for _ in documents.places(streams):
            pass
        counts.append(streams.counts(planning.pack.seq_len))
    table = _table(counts, COUNTS)
    plan, offsets = plan_counts(table, planning)
    if planning.pack.seq_len is None:
        plan = _refined(plan, offsets, documents, planning)
    order, seen = order_of(plan, planning.seed, natural=False), np.zeros(0, np.int64)
    for block in blocks:
        for batch in documents.places(Streams(block)):
            counted = np.bincount(order.times_seen(*locate(batch, offsets, block)), minlength=len(seen))
            counted[: len(seen)] += seen
            seen = counted
    times = {int(number): int(seen[number]) for number in np.flatnonzero(seen)}
    held_out = sum(row["documents"] for row in table.to_pylist() if row["validation"])
    return Planned(plan.to_pylist(), documents.edges, times, held_out)


def _refined(plan: pa.Table, offsets: pa.Table, documents: Documents, planning: Planning) -> pa.Table:
    """Returns the plan with the documents up to each phase's end: what `refine` makes of datasets."""

    def over(function: MapFunction, *whole: pa.Table) -> Iterator[pa.RecordBatch]:
        for block in range(documents.blocks):
            yield from function(documents.places(Streams(block)), Work(block, whole=whole))

    sums = over(SumRanges(planning.seed), plan, offsets)
    wanted = _table(find_ranges(sums, Work(0, whole=(plan,))), WANTED)
    seats = over(ListSeats(planning.seed), plan, offsets, wanted)
    return _table(CountSeats(planning.shard_bytes)(seats, Work(0, whole=(plan, wanted))), PLAN)


class Documents:
    """The documents of a corpus by its index, with what a mix needs of them all: its edges and its held-out limit."""

    def __init__(self, files: Sequence[str], planning: Planning) -> None:
        self.pack, self.files, self.blocks = planning.pack, files, len(files)
        self.split = ["cluster" if self.pack.split.cluster == "cluster" else "doc_id"] if self.pack.split else []
        self._check()
        self.whole: tuple[pa.Table, ...] = ()
        if self.pack.split and planning.held_out:
            least = self._over(Least(self.pack.split, planning.held_out), self.split)
            self.whole = (_table(Limit(planning.held_out)(least, Work(0)), LIMIT),)
        counted = self.pack.groups.counted
        if counted:
            values = self._over(Values(tuple(counted)), [*counted, "tokens"])
            self.whole = (*self.whole, _table(Cut(tuple(counted.items()))(values, Work(0)), EDGES))
        self.edges = self.pack.groups.edges(self.whole[-1] if counted else None)

    def _check(self) -> None:
        schema = _schema(self.files)
        carried = [name for name in schema.names if name not in PLACES]  # which a run has too
        missing = [name for name in self.pack.groups.reads if name not in carried]
        if missing:
            raise PlanError(
                f"mix: the index of the corpus has no column {', '.join(map(repr, missing))} of documents "
                f"(there are: {', '.join(carried)})"
            )
        self.pack.groups.check_columns(schema)

    def _over(self, function: MapFunction, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yields what a function makes of these columns, file by file."""
        for block in range(self.blocks):
            yield from function(self._read(block, names), Work(block))

    def _read(self, block: int, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yields these columns of a file of the index, ids as a run has them, without documents that were removed."""
        with storage.open_shard(self.files[block]) as file, pq.ParquetFile(file) as opened:
            for rows in opened.iter_batches(ROWS, columns=list(dict.fromkeys((*names, "split")))):
                there = pc.is_in(rows.column("split"), pa.array(["train", "validation"]))
                batch = rows.filter(there).drop_columns(["split"])
                renamed = ["id" if name == "doc_id" else name for name in batch.schema.names]
                held = [
                    _ids(column) if name in self.split else column
                    for name, column in zip(batch.schema.names, batch.columns, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(held, names=renamed)

    def places(self, streams: Streams) -> Iterator[pa.RecordBatch]:
        """Yields rows of SIZES, one for each document that is not held out, with the sample that it begins in.

        What went into each stream is in `streams` at the end; their block is the file of the index.
        """
        layout = Lengths(streams, self.pack.seq_len, best_fit=self.pack.best_fit) if self.pack.seq_len else None
        for batch in self._read(streams.block, ["source", "tokens", *self.pack.groups.reads, *self.split]):
            of_row = streams.of(*self.pack.keys(batch, Work(streams.block, whole=self.whole)))
            lengths = np.asarray(batch.column("tokens")).astype(np.int64)
            if layout:
                yield from layout.add(of_row, lengths)
                continue
            numbers = numbered(of_row, streams.counters.next)
            for name, amounts in (("samples", None), ("documents", None), ("tokens", lengths)):
                streams.add(name, of_row, amounts)
            yield places(streams, of_row, numbers, lengths)
        if layout:
            yield from layout.finish()


class Lengths:
    """The twin of `Packer` that is told how long documents are and moves no token."""

    def __init__(self, streams: Streams, size: int, *, best_fit: bool) -> None:
        self.streams, self.size, self.best_fit = streams, size, best_fit
        self.weight = 0
        self.window: list[tuple[np.ndarray, np.ndarray]] = []  # streams, tokens of each document
        self.waiting = (np.zeros(0, np.int64), np.zeros(0, np.int64))  # the same of pieces

    def add(self, of_row: np.ndarray, lengths: np.ndarray) -> Iterator[pa.RecordBatch]:
        """Yields the places of the documents whose window is full."""
        if not self.best_fit:  # where a window ends makes no difference then
            self.window = [(of_row, lengths)]
            yield self._lay_out()
            return
        for start, end, weight in windows(lengths, self.weight, window_tokens(self.size)):
            self.weight = weight
            self.window.append((of_row[start:end], lengths[start:end]))
            if weight >= window_tokens(self.size):
                yield self._lay_out()

    def finish(self) -> Iterator[pa.RecordBatch]:
        """Yields the places of what is left; samples that wait are counted as they are filled up."""
        if self.window:
            yield self._lay_out()
        streams, lengths = self.waiting
        if len(streams):
            begun = np.unique(streams)
            self.streams.add("samples", begun)
            filled = np.bincount(streams, lengths, len(self.streams.keys))[begun].astype(np.int64)
            self.streams.add("padding", begun, self.size - filled)

    def _lay_out(self) -> pa.RecordBatch:
        of_row, lengths = (np.concatenate([part[of] for part in self.window]) for of in (0, 1))
        held = len(self.waiting[0])
        streams, tokens = np.append(self.waiting[0], of_row), np.append(self.waiting[1], lengths)
        lay_out = fitted if self.best_fit else joined
        layout = lay_out(streams, tokens, held, self.size, self.streams.counters)
        done, pieces = layout.streams[: layout.done], slice(layout.bounds[layout.done], None)
        filled = _sums(layout.lengths, layout.bounds[: layout.done + 1])
        for name, rows, amounts in (
            ("samples", done, None),
            ("padding", done, self.size - filled),
            ("documents", of_row, None),
            ("tokens", of_row, lengths),
            ("cut_documents", of_row, layout.parts[held:] > 1),
        ):
            self.streams.add(name, rows, amounts)
        self.waiting = (streams[layout.items[pieces]], layout.lengths[pieces])
        self.window, self.weight = [], 0
        return places(self.streams, of_row, layout.first[held:], lengths)


def places(streams: Streams, of_row: np.ndarray, numbers: np.ndarray, lengths: np.ndarray) -> pa.RecordBatch:
    """Returns rows of SIZES of the documents that are not held out."""
    own = np.flatnonzero(~streams.held_out[of_row])
    columns = [
        streams.names(1, of_row[own]),
        streams.names(2, of_row[own]),
        pa.repeat(pa.scalar(streams.block, pa.int32()), len(own)),
        pa.array(numbers[own], pa.int32()),
        pa.array(lengths[own], pa.int32()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SIZES)


def _sums(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Returns the sum of the values from each bound up to the next, int64[bounds - 1]."""
    sums = np.concatenate([[0], np.cumsum(values)])[bounds]
    return np.diff(sums)


def _ids(texts: pa.Array) -> pa.Array:
    """Returns ids of 16 bytes from their hex digits."""
    digits = "".join(pc.fill_null(texts, "0" * 32).to_pylist())
    return pa.FixedSizeBinaryArray.from_buffers(ID, len(texts), [None, pa.py_buffer(bytes.fromhex(digits))])


def _table(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(list(batches), schema=schema)
