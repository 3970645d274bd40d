"""Sorting any number of rows within a bound of memory: sorted runs in scratch files, merged.

Runs are merged in blocks: from the head of every run all rows up to the least of the runs' last rows are taken, sorted
together, and handed on. So a key that holds everything streams like any other. Rows equal in all keys keep their order.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datapipe.order import SIGN, Words, are_fixed, order_of, order_of_parts, refuse_null, sort_pairs, words_of
from datapipe.planes import from_planes, has_planes, into_planes
from datapipe.shard import codec_of, cut, row_bytes

FAN_IN = 32
PAIR_ROWS = 1 << 16
PAIR_BYTES = 16
ORDER_BYTES = 24  # a row, while it is sorted; and 8 for each word of its keys
BLOCK_ROWS = 1 << 18
RUN_BATCH_BYTES = 1 << 20
Key = tuple[object, ...]
Numbers = npt.NDArray[np.int64]


def options_of(schema: pa.Schema) -> pa.ipc.IpcWriteOptions:
    """Returns how rows are written: a function of the schema, as bytes must be.

    Numbers and hashes hardly shrink, and zstd takes longer than all else that is done to them: they get LZ4.
    """
    codec = pa.Codec("lz4") if is_narrow(schema) else codec_of(schema)
    return pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)


def is_narrow(schema: pa.Schema) -> bool:
    """Returns whether rows are of numbers and hashes alone: then sorting them is most of what an exchange does."""
    return all(pa.types.is_primitive(kind) or pa.types.is_fixed_size_binary(kind) for kind in schema.types)


def sort_rows(held: list[pa.RecordBatch], keys: Sequence[str]) -> pa.RecordBatch:
    """Returns all rows as one sorted batch, and leaves `held` empty: what it held is not needed twice."""
    batch = held[0] if len(held) == 1 else pa.concat_batches(held)
    held.clear()
    return batch.take(pa.array(order_of(batch, keys)))


def sort_all(
    batches: Iterator[pa.RecordBatch], rows: int, schema: pa.Schema, keys: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    """Yields so many rows, which `are_pairs`, sorted, all in memory: PAIR_BYTES each. Raises StageError at a null."""
    held, place = np.empty((rows, 2), np.uint64), 0
    for batch in batches:
        for name in keys:
            refuse_null(batch.column(name), name)
        held[place : place + batch.num_rows] = words_of(batch, keys).T
        place += batch.num_rows
    held = held[:place]
    sort_pairs(held)
    for start in range(0, len(held), PAIR_ROWS):
        words = dict(zip(keys, held[start : start + PAIR_ROWS].T, strict=True))
        columns = [_of_words(words[field.name], field.type) for field in schema]
        yield pa.record_batch(columns, schema=schema)


def _of_words(words: Words, kind: pa.DataType) -> pa.Array:
    """Returns the integers that `words_of` made these words of."""
    return pa.array((words ^ SIGN).view(np.int64) if pa.types.is_signed_integer(kind) else words.copy())


class _Run:
    """A sorted stream with its next batch in hand, and the words of its keys where they are of fixed width."""

    def __init__(self, batches: Iterator[pa.RecordBatch], keys: tuple[str, ...]) -> None:
        self.batches, self.keys = batches, keys
        self.head: pa.RecordBatch | None = None
        self.words: Words | None = None

    def fill(self) -> bool:
        """Returns whether a row is left; it then stands in `head`."""
        while self.head is None or self.head.num_rows == 0:
            self.head = next(self.batches, None)
            if self.head is None:
                return False
            self.words = words_of(self.head, self.keys) if are_fixed(self.head.schema, self.keys) else None
        return True

    def key(self, row: int) -> Key:
        """Returns the key of a row of `head`, which compares with those of other runs."""
        assert self.head is not None
        if self.words is not None:
            return tuple(self.words[:, row].tolist())
        return tuple(self.head.column(name)[row].as_py() for name in self.keys)

    def take_up_to(self, bound: Key, *, inclusive: bool) -> pa.RecordBatch:
        """Returns the rows of `head` before `bound`, those equal to it too if `inclusive`; they leave it."""
        assert self.head is not None
        find = bisect_right if inclusive else bisect_left
        end = find(range(self.head.num_rows), bound, key=self.key)
        taken, self.head = self.head.slice(0, end), self.head.slice(end)
        self.words = None if self.words is None else self.words[:, end:]
        return taken


def merge(runs: Sequence[Iterator[pa.RecordBatch]], keys: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Yields the rows of sorted runs in order; equal rows in the order of the runs."""
    live = [run for run in (_Run(batches, keys) for batches in runs) if run.fill()]
    while len(live) > 1:
        bound, last = min(
            (run.key(run.head.num_rows - 1), number) for number, run in enumerate(live) if run.head is not None
        )
        taken = [run.take_up_to(bound, inclusive=number <= last) for number, run in enumerate(live)]
        yield sort_rows([batch for batch in taken if batch.num_rows], keys)
        live = [run for run in live if run.fill()]
    for run in live:
        if run.head is not None:
            yield run.head
        yield from run.batches


class Holder(Protocol):
    """Holds rows, and can put them into a scratch file."""

    bytes: int  # that it takes

    def spill(self) -> None:
        """Writes what is held to scratch."""


class Budget:
    """Memory that the sorters of a task share: where all of them hold more, the one with most spills."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.sorters: list[Holder] = []

    def keep(self) -> None:
        """Makes room."""
        while sum(sorter.bytes for sorter in self.sorters) >= self.limit_bytes:
            max(self.sorters, key=lambda sorter: sorter.bytes).spill()


class Sorter:
    """Sorts any number of rows: what `budget` has no room for goes to scratch files, which are merged.

    Up to `FAN_IN` files at a time, fewer where rows are so wide that the heads of so many would not fit.
    """

    def __init__(self, schema: pa.Schema, keys: tuple[str, ...], scratch: str, budget: Budget) -> None:
        self.schema, self.keys, self.scratch, self.budget = schema, keys, scratch, budget
        self.order_bytes = ORDER_BYTES + 8 * len(keys)
        self.held: list[pa.RecordBatch] = []
        self.bytes = 0  # that sorting what is held takes, at its peak
        self.spilled = self.widest = 0
        self.runs: list[str] = []
        budget.sorters.append(self)

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes rows in; they, or those of another sorter, may go to a scratch file."""
        sizes = row_bytes(batch)
        size = int(sizes.sum())
        self.widest = max(self.widest, int(sizes.max(initial=0)))
        if size > self.budget.limit_bytes // 4 and batch.num_rows > 1:
            for part in cut(iter([batch]), batch.num_rows - 1, max(1, self.budget.limit_bytes // 4)):
                self.add(part)
            return
        self.held.append(batch)
        self.bytes += max(2 * size, size + self.order_bytes * batch.num_rows)
        self.budget.keep()

    def finish(self) -> Iterator[pa.RecordBatch]:
        """Yields all rows in order, once."""
        if self.runs:
            self.spill()
        elif self.held:
            yield self._sorted()
        fan_in = min(FAN_IN, max(2, self.budget.limit_bytes // (8 * max(1, self.widest))))
        while len(self.runs) > fan_in:
            groups = [self.runs[start : start + fan_in] for start in range(0, len(self.runs), fan_in)]
            self.runs = [self._write(self._merged(group)) for group in groups]
        yield from self._merged(self.runs)
        self.budget.sorters.remove(self)

    def spill(self) -> None:
        """Writes what is held to a scratch file."""
        if self.held:
            self.runs.append(self._write(iter([self._sorted()])))

    def _sorted(self) -> pa.RecordBatch:
        batch = sort_rows(self.held, self.keys)
        self.bytes = 0
        return batch

    def _merged(self, runs: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from merge([_read_run(run) for run in runs], self.keys)
        for run in runs:
            os.unlink(run)

    def _write(self, batches: Iterator[pa.RecordBatch]) -> str:
        path = os.path.join(self.scratch, f"run-{id(self):x}-{self.spilled}.ipc")
        self.spilled += 1
        options, planes = options_of(self.schema), has_planes(self.schema)
        with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, self.schema, options=options) as writer:
            for batch in cut(batches, 1 << 30, self.budget.limit_bytes // (4 * FAN_IN) or 1):
                writer.write_batch(into_planes(batch) if planes else batch)
        return path


def _read_run(path: str) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(path) as file, pa.ipc.open_stream(file, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
        yield from map(from_planes, reader) if has_planes(reader.schema) else reader


class Dealer:
    """Deals rows to numbered parts, those of a part in the order they come; memory as a `Sorter`, one scratch file.

    Rows are put in the order of parts a block at a time, which caches hold, and no run is ever merged: what a part
    has in each run, and in each block, is handed on in turn.
    """

    def __init__(self, schema: pa.Schema, parts: int, scratch: str, budget: Budget) -> None:
        self.schema, self.parts, self.budget = schema, parts, budget
        self.path = os.path.join(scratch, f"deal-{id(self):x}.ipc")
        self.waiting: list[tuple[pa.RecordBatch, Numbers]] = []
        self.blocks: list[tuple[pa.RecordBatch, Numbers]] = []  # rows by part, and where each part begins
        self.runs: list[Numbers] = []  # where each part begins in the scratch file
        self.bytes = self.rows = 0  # of what is held; of what waits
        self.file: pa.NativeFile | None = None
        budget.sorters.append(self)

    def add(self, batch: pa.RecordBatch, parts: Numbers) -> None:
        """Takes rows in with the part of each, int64[rows]; they, or those of another holder, may go to scratch."""
        self.waiting.append((batch, parts))
        self.bytes += batch.nbytes + parts.nbytes
        self.rows += batch.num_rows
        if self.rows >= BLOCK_ROWS:
            self._deal()
        self.budget.keep()

    def _deal(self) -> None:
        if not self.rows:
            return
        parts = np.concatenate([parts for _, parts in self.waiting])
        rows = pa.concat_batches([batch for batch, _ in self.waiting])
        order, begins = order_of_parts(parts, self.parts)
        self.blocks.append((rows.take(pa.array(order)), begins))
        self.waiting, self.rows = [], 0
        self.bytes -= parts.nbytes

    def spill(self) -> None:
        """Writes what is held to the scratch file, part after part."""
        self._deal()
        if self.file is None:
            self.file = pa.OSFile(self.path, "wb")
            self.writer = pa.ipc.new_stream(self.file, self.schema, options=options_of(self.schema))
        begins = np.empty(self.parts + 1, np.int64)
        for part in range(self.parts):
            begins[part] = self.file.tell()
            for batch in cut(self._held(part), 1 << 30, RUN_BATCH_BYTES):
                self.writer.write_batch(batch)
        begins[-1] = self.file.tell()
        self.runs.append(begins)
        self.blocks, self.bytes = [], 0

    def _held(self, part: int) -> Iterator[pa.RecordBatch]:
        for rows, begins in self.blocks:
            if begins[part] < begins[part + 1]:
                yield rows.slice(begins[part], begins[part + 1] - begins[part])

    def finish(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yields (part, rows) by part, once."""
        self._deal()
        if self.file is not None:
            self.writer.close()
            self.file.close()
        with contextlib.ExitStack() as open_files:
            file = open_files.enter_context(pa.OSFile(self.path)) if self.runs else None
            for part in range(self.parts):
                for begins in self.runs:
                    found = _between(file, begins[part], begins[part + 1], self.schema)
                    yield from ((part, batch) for batch in found)
                yield from ((part, batch) for batch in self._held(part))
        if self.runs:
            os.unlink(self.path)
        self.blocks = []
        self.budget.sorters.remove(self)


def _between(file: pa.NativeFile, start: int, end: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    file.seek(start)
    while file.tell() < end:
        message = pa.ipc.read_message(file)
        if message.type == "record batch":  # the schema stands before the first one
            yield pa.ipc.read_record_batch(message, schema)
