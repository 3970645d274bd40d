"""The exchange: rows of equal key together, sorted, within a bound of memory however many there are.

A scatter file holds the rows of one producing shard in the order (part, keys), as one Arrow IPC stream; behind it stand
the byte offsets of the parts, so that a gathering task reads just its own range:

    IPC stream | int64 offsets[parts + 1] | int64 rows[parts] | int64 parts | magic

Both sides sort runs of at most `memory_bytes` and merge them in blocks: from the head of every run all rows up to the
least of the runs' last rows are taken, sorted together, and handed on. So a key that holds everything streams like any
other. Rows equal in all keys keep the order (producing shard, row).
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from datapipe.errors import StageError
from datapipe.order import Words, are_fixed, order_of, refuse_null, words_of
from datapipe.shard import Cutter, HashingFile, broken, canonical, conform, cut, row_bytes
from datapipe.storage import open_shard, read_range, size_of

MEMORY_BYTES = 96 << 20
FAN_IN = 32
PART_BATCH_BYTES = 1 << 20
MAGIC = b"DPXCHNG1"
_CODEC = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1), use_threads=False)
Key = tuple[object, ...]


@dataclass(frozen=True)
class Routing:
    """How rows find their part: key column, tie-breakers, number of parts."""

    by: str
    then: tuple[str, ...]
    parts: int
    direct: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns rows are sorted by, within a part."""
        return (self.by, *self.then)


def part_of(keys: pa.Array, routing: Routing) -> np.ndarray:
    """Returns the part of each key, int64[rows]: a function of the key's value alone.

    Raises:
        StageError: a key is null, or a direct key is not among the parts.
    """
    refuse_null(keys, routing.by)
    if routing.direct:
        parts = np.asarray(keys.cast(pa.int64()))
        outside = parts[(parts < 0) | (parts >= routing.parts)]
        if len(outside):
            last = routing.parts - 1
            raise StageError(f"exchange by '{routing.by}': {outside[0]} is not among the shards 0 to {last}")
        return parts
    mixed = _mix(_words(keys))
    return (((mixed >> np.uint64(32)) * np.uint64(routing.parts)) >> np.uint64(32)).astype(np.int64)


def _words(keys: pa.Array) -> np.ndarray:
    """Returns uint64[rows] that is equal for equal keys."""
    if pa.types.is_integer(keys.type):
        return np.asarray(keys).astype(np.uint64)
    if pa.types.is_fixed_size_binary(keys.type) and keys.type.byte_width >= 8:
        width = keys.type.byte_width
        raw = np.frombuffer(keys.buffers()[1], np.uint8)[keys.offset * width : (keys.offset + len(keys)) * width]
        return np.ascontiguousarray(raw.reshape(-1, width)[:, :8]).view("<u8").reshape(-1).astype(np.uint64)
    coded = keys.dictionary_encode()
    values = coded.dictionary.cast(pa.large_binary()).to_pylist()
    digests = [hashlib.blake2b(value, digest_size=8).digest() for value in values]
    words = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)
    return words[np.asarray(coded.indices)] if len(words) else np.zeros(0, np.uint64)


def _mix(words: np.ndarray) -> np.ndarray:
    """Returns SplitMix64's finaliser of uint64[n]. Source: Steele, Lea, Flood, OOPSLA 2014, figure 17."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = words ^ (words >> np.uint64(31))
    return mixed


def sort_rows(batches: Sequence[pa.RecordBatch], keys: Sequence[str]) -> pa.RecordBatch:
    """Returns all rows as one sorted batch."""
    batch = batches[0] if len(batches) == 1 else pa.concat_batches(batches)
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
        """Returns the key of a row of `head`, comparable with those of other runs."""
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


class Sorter:
    """Sorts any number of rows: runs of `memory_bytes` go to scratch files and are merged, `FAN_IN` at a time."""

    def __init__(self, schema: pa.Schema, keys: tuple[str, ...], scratch: str, memory_bytes: int) -> None:
        self.schema, self.keys, self.scratch, self.memory_bytes = schema, keys, scratch, memory_bytes
        self.held: list[pa.RecordBatch] = []
        self.bytes = self.spilled = 0
        self.runs: list[str] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes rows in; they may go to a scratch file."""
        for part in cut(iter([batch]), 1 << 30, max(1, self.memory_bytes // 4)):
            self.held.append(part)
            self.bytes += int(row_bytes(part).sum())
            if self.bytes >= self.memory_bytes:
                self._spill()

    def finish(self) -> Iterator[pa.RecordBatch]:
        """Yields all rows in order, once."""
        if not self.runs:
            yield from [sort_rows(self.held, self.keys)] if self.held else []
            return
        self._spill()
        while len(self.runs) > FAN_IN:
            groups = [self.runs[start : start + FAN_IN] for start in range(0, len(self.runs), FAN_IN)]
            self.runs = [self._write(self._merged(group)) for group in groups]
        yield from self._merged(self.runs)

    def _merged(self, runs: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from merge([_read_run(run) for run in runs], self.keys)
        for run in runs:
            os.unlink(run)

    def _spill(self) -> None:
        if self.held:
            self.runs.append(self._write(iter([sort_rows(self.held, self.keys)])))
            self.held, self.bytes = [], 0

    def _write(self, batches: Iterator[pa.RecordBatch]) -> str:
        path = os.path.join(self.scratch, f"run-{id(self):x}-{self.spilled}.ipc")
        self.spilled += 1
        with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, self.schema, options=_CODEC) as writer:
            for batch in cut(batches, 1 << 30, self.memory_bytes // (4 * FAN_IN) or 1):
                writer.write_batch(batch)
        return path


def _read_run(path: str) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(path) as file, pa.ipc.open_stream(file, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
        yield from reader


class ScatterWriter:
    """Writes the rows of one shard to a scatter file."""

    def __init__(self, path: str, schema: pa.Schema, routing: Routing, scratch: str, memory_bytes: int) -> None:
        self.file = HashingFile(path)
        self.routing, self.schema, self.rows = routing, schema, 0
        routed = schema.append(pa.field("__part", pa.int32()))
        self.sorter = Sorter(routed, ("__part", *routing.keys), scratch, memory_bytes)

    def write(self, batch: pa.RecordBatch) -> None:
        """Takes rows in."""
        batch = conform(batch, self.schema)
        self.rows += batch.num_rows
        parts = part_of(batch.column(self.routing.by), self.routing)
        self.sorter.add(batch.append_column("__part", pa.array(parts, pa.int32())))

    def close(self) -> None:
        """Writes the parts in order, their offsets behind them, and ends the file."""
        parts = self.routing.parts
        rows = np.zeros(parts, np.int64)
        writer = pa.ipc.new_stream(self.file, self.schema, options=_CODEC)
        offsets = np.full(parts + 1, -1, np.int64)
        cutter, current = Cutter(1 << 30, PART_BATCH_BYTES), -1
        for batch in self.sorter.finish():
            for part, piece in _by_part(batch):
                if part != current:
                    for done in cutter.finish():
                        writer.write_batch(canonical(done))
                    offsets[part], current = self.file.tell(), part
                rows[part] += piece.num_rows
                for done in cutter.add(piece):
                    writer.write_batch(canonical(done))
        for done in cutter.finish():
            writer.write_batch(canonical(done))
        offsets[parts] = self.file.tell()
        writer.close()
        for part in range(parts - 1, -1, -1):
            offsets[part] = offsets[part + 1] if offsets[part] < 0 else offsets[part]
        self.file.write(np.concatenate([offsets, rows, [parts]]).astype("<i8").tobytes() + MAGIC)
        self.file.close()


def _by_part(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    parts = np.asarray(batch.column("__part"))
    starts = np.concatenate([[0], np.flatnonzero(parts[1:] != parts[:-1]) + 1, [len(parts)]])
    bare = batch.drop_columns(["__part"])
    for start, end in pairwise(starts):
        if end > start:
            yield int(parts[start]), bare.slice(start, end - start)


def read_index(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns (offsets int64[parts + 1], rows int64[parts]) of a scatter file. Raises DataError if it is not whole."""
    size = size_of(path)
    tail = read_range(path, max(0, size - 16), size)
    if len(tail) < 16 or tail[8:] != MAGIC:
        raise broken(path, "is not a whole exchange file")
    parts = int(np.frombuffer(tail[:8], "<i8")[0])
    index = np.frombuffer(read_range(path, size - 16 - 8 * (2 * parts + 1), size - 16), "<i8")
    return index[: parts + 1], index[parts + 1 :]


def read_part(path: str, part: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yields the rows of one part of a scatter file in order, a batch at a time. Raises DataError if it is damaged."""
    offsets, _ = read_index(path)
    start, end = int(offsets[part]), int(offsets[part + 1])
    if start == end:
        return
    with open_shard(path) as file:
        file.seek(start)
        while file.tell() < end:
            try:
                message = pa.ipc.read_message(file)
                if message.type != "record batch":  # the stream's schema stands before the first part
                    continue
                batch = pa.ipc.read_record_batch(message, schema)
            except (pa.ArrowInvalid, OSError) as error:
                raise broken(path, f"cannot be read ({error})") from error
            yield batch


def gather(
    paths: Sequence[str], part: int, schema: pa.Schema, keys: tuple[str, ...], scratch: str, memory_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of one part of many scatter files, sorted by `keys`, within `memory_bytes`."""
    holding = [path for path in paths if read_index(path)[1][part]]
    total = sum(int(np.diff(read_index(path)[0])[part]) for path in holding)
    if len(holding) <= FAN_IN and total > memory_bytes // 8:
        yield from merge([read_part(path, part, schema) for path in holding], keys)
        return
    sorter = Sorter(schema, keys, scratch, memory_bytes)
    for path in holding:
        for batch in read_part(path, part, schema):
            sorter.add(batch)
    yield from sorter.finish()
