"""Sorting any number of rows within a bound of memory: sorted runs in scratch files, merged.

Runs are merged in blocks: from the head of every run all rows up to the least of the runs' last rows are taken, sorted
together, and handed on. So a key that holds everything streams like any other. Rows equal in all keys keep their order.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

import pyarrow as pa

from datapipe.order import Words, are_fixed, order_of, words_of
from datapipe.shard import cut, row_bytes

FAN_IN = 32
ORDER_BYTES = 24  # a row, while it is sorted; and 8 for each word of its keys
Key = tuple[object, ...]


def options_of(schema: pa.Schema) -> pa.ipc.IpcWriteOptions:
    """Returns how rows are written: a function of the schema, as bytes must be.

    Numbers and hashes hardly shrink, and zstd takes longer than all else that is done to them: they get LZ4.
    """
    codec = pa.Codec("lz4") if is_narrow(schema) else pa.Codec("zstd", 1)
    return pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)


def is_narrow(schema: pa.Schema) -> bool:
    """Returns whether rows are of numbers and hashes alone: then sorting them is most of what an exchange does."""
    return all(pa.types.is_primitive(kind) or pa.types.is_fixed_size_binary(kind) for kind in schema.types)


def sort_rows(held: list[pa.RecordBatch], keys: Sequence[str]) -> pa.RecordBatch:
    """Returns all rows as one sorted batch, and leaves `held` empty: what it held is not needed twice."""
    batch = held[0] if len(held) == 1 else pa.concat_batches(held)
    held.clear()
    return batch.take(pa.array(order_of(batch, keys)))


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


class Budget:
    """Memory that the sorters of a task share: where all of them hold more, the one with most spills."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.sorters: list[Sorter] = []

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
        options = options_of(self.schema)
        with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, self.schema, options=options) as writer:
            for batch in cut(batches, 1 << 30, self.budget.limit_bytes // (4 * FAN_IN) or 1):
                writer.write_batch(batch)
        return path


def _read_run(path: str) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(path) as file, pa.ipc.open_stream(file, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
        yield from reader
