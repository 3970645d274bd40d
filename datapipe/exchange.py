"""The exchange: rows of equal key together, sorted, within a bound of memory however many there are.

A scatter file holds the rows of one producing shard in the order (part, keys), as one Arrow IPC stream; behind it stand
the byte offsets of the parts, so that a gathering task reads just its own range. Narrow rows, numbers and hashes alone,
stand in the order of parts as they came: who gathers sorts them all the same.

    IPC stream | int64 offsets[parts + 1] | int64 rows[parts] | int64 parts | magic

The magic says whether lists of int32 lie in planes (`planes.py`). Both sides sort within a budget of memory
(`sort.py`). Rows equal in all keys keep the order (producing shard, row).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pyarrow as pa

from datapipe.errors import StageError
from datapipe.order import are_pairs, refuse_null
from datapipe.planes import from_planes, has_planes, into_planes
from datapipe.shard import Cutter, HashingFile, broken, canonical, conform
from datapipe.sort import PAIR_BYTES, Budget, Dealer, Sorter, is_narrow, merge, options_of, sort_all
from datapipe.storage import is_remote, open_shard, read_range, size_of

MEMORY_BYTES = 96 << 20
PART_BATCH_BYTES = 1 << 20
AHEAD_BYTES = 8 << 20  # of what is asked for at once of a store
REQUESTS = 32  # to a store at once
INDEX_BYTES = 1 << 14  # are read from the end of a file: an index of a thousand parts whole
MAGIC = b"DPXCHNG2"
PLANED = b"DPXCHNG3"  # lists of int32 lie in planes; in files of an earlier datapipe they did not
Item = TypeVar("Item")
Made = TypeVar("Made")


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


class ScatterWriter:
    """Writes the rows of one shard to a scatter file."""

    def __init__(self, path: str, schema: pa.Schema, routing: Routing, scratch: str, budget: Budget) -> None:
        self.file = HashingFile(path)
        self.routing, self.schema, self.rows = routing, schema, 0
        self.planes = has_planes(schema)
        self.dealt: Dealer | _Sorted = (
            Dealer(schema, routing.parts, scratch, budget)
            if is_narrow(schema)
            else _Sorted(schema, routing.keys, scratch, budget)
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Takes rows in."""
        batch = conform(batch, self.schema)
        self.rows += batch.num_rows
        parts = part_of(batch.column(self.routing.by), self.routing)
        self.dealt.add(batch, parts)

    def close(self) -> None:
        """Writes the parts in order, their offsets behind them, and ends the file."""
        parts = self.routing.parts
        rows = np.zeros(parts, np.int64)
        writer = pa.ipc.new_stream(self.file, self.schema, options=options_of(self.schema))
        offsets = np.full(parts + 1, -1, np.int64)
        cutter, current = Cutter(1 << 30, PART_BATCH_BYTES), -1
        for part, piece in self.dealt.finish():
            if part != current:
                for done in cutter.finish():
                    writer.write_batch(self._laid(done))
                offsets[part], current = self.file.tell(), part
            rows[part] += piece.num_rows
            for done in cutter.add(piece):
                writer.write_batch(self._laid(done))
        for done in cutter.finish():
            writer.write_batch(self._laid(done))
        offsets[parts] = self.file.tell()
        writer.close()
        for part in range(parts - 1, -1, -1):
            offsets[part] = offsets[part + 1] if offsets[part] < 0 else offsets[part]
        self.file.write(np.concatenate([offsets, rows, [parts]]).astype("<i8").tobytes())
        self.file.write(PLANED if self.planes else MAGIC)
        self.file.close()

    def _laid(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        batch = canonical(batch)
        return into_planes(batch) if self.planes else batch


class _Sorted:
    """Deals rows to parts, those of a part sorted by `keys`."""

    def __init__(self, schema: pa.Schema, keys: tuple[str, ...], scratch: str, budget: Budget) -> None:
        self.sorter = Sorter(schema.append(pa.field("__part", pa.int32())), ("__part", *keys), scratch, budget)

    def add(self, batch: pa.RecordBatch, parts: np.ndarray) -> None:
        """Takes rows in with the part of each, int64[rows]."""
        self.sorter.add(batch.append_column("__part", pa.array(parts, pa.int32())))

    def finish(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yields (part, rows) by part, once."""
        for batch in self.sorter.finish():
            yield from _by_part(batch)


def _by_part(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    parts = np.asarray(batch.column("__part"))
    starts = np.concatenate([[0], np.flatnonzero(parts[1:] != parts[:-1]) + 1, [len(parts)]])
    bare = batch.drop_columns(["__part"])
    for start, end in pairwise(starts):
        if end > start:
            yield int(parts[start]), bare.slice(start, end - start)


def read_index(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns (offsets int64[parts + 1], rows int64[parts]) of a scatter file. Raises DataError if it is not whole."""
    tail, start, parts = _tail(path)
    index = _numbers(path, tail, start, 0, 2 * parts + 1)
    return index[: parts + 1], index[parts + 1 :]


@dataclass(frozen=True)
class Extent:
    """The rows of one part in one scatter file: where they lie (bytes), how many they are, and whether in planes."""

    path: str
    start: int
    end: int
    rows: int
    planes: bool = False

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.end - self.start


def extent_of(path: str, part: int) -> Extent:
    """Returns where the rows of a part lie. Raises DataError if the file is not whole."""
    tail, start, parts = _tail(path)
    first, end = _numbers(path, tail, start, part, 2).tolist()
    return Extent(path, first, end, int(_numbers(path, tail, start, parts + 1 + part, 1)[0]), tail.endswith(PLANED))


def _tail(path: str) -> tuple[bytes, int, int]:
    """Returns the last bytes of a scatter file, how far from its end the index begins, and the number of parts."""
    size = size_of(path)
    tail = read_range(path, max(0, size - INDEX_BYTES), size)
    if len(tail) < 16 or tail[-8:] not in (MAGIC, PLANED):
        raise broken(path, "is not a whole exchange file")
    parts = int(np.frombuffer(tail[-16:-8], "<i8")[0])
    return tail, 16 + 8 * (2 * parts + 1), parts


def _numbers(path: str, tail: bytes, start: int, place: int, count: int) -> np.ndarray:
    """Returns `count` numbers of the index from `place` on: of `tail`, or of the file where the index is longer."""
    first = start - 8 * place  # from the end of the file
    if first <= len(tail):
        return np.frombuffer(tail[len(tail) - first :][: 8 * count], "<i8")
    end = size_of(path)
    return np.frombuffer(read_range(path, end - first, end - first + 8 * count), "<i8")


def read_part(path: str, part: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yields the rows of one part of a scatter file in order, a batch at a time. Raises DataError if it is damaged."""
    return _read(extent_of(path, part), schema, PART_BATCH_BYTES)


def _read(extent: Extent, schema: pa.Schema, ahead_bytes: int) -> Iterator[pa.RecordBatch]:
    """Yields the rows of an extent; of one in a store so many bytes are asked for at a time."""
    if is_remote(extent.path):
        reader = io.BufferedReader(_Span(extent), ahead_bytes)
        yield from _batches(pa.PythonFile(reader, "r"), extent.size, schema, extent)
        return
    with open_shard(extent.path) as file:
        file.seek(extent.start)
        yield from _batches(file, extent.end, schema, extent)


def _batches(file: pa.NativeFile, end: int, schema: pa.Schema, extent: Extent) -> Iterator[pa.RecordBatch]:
    while file.tell() < end:
        try:
            message = pa.ipc.read_message(file)
            if message.type != "record batch":  # the stream's schema stands before the first part
                continue
            batch = pa.ipc.read_record_batch(message, schema)
        except (pa.ArrowInvalid, OSError) as error:
            raise broken(extent.path, f"cannot be read ({error})") from error
        yield from_planes(batch) if extent.planes else batch


class _Span(io.RawIOBase):
    """The bytes of an extent in a store as a file of their own, fetched as they are read."""

    def __init__(self, extent: Extent) -> None:
        super().__init__()
        self.extent, self.place = extent, extent.start

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place - self.extent.start

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed: any buffer
        content = read_range(self.extent.path, self.place, min(self.place + len(buffer), self.extent.end))
        buffer[: len(content)] = content
        self.place += len(content)
        return len(content)


def _read_all(extents: Sequence[Extent], schema: pa.Schema, ahead_bytes: int) -> Iterator[pa.RecordBatch]:
    """Yields the rows of all extents in turn; of those in a store some are fetched at once, `ahead_bytes` of them."""
    place = 0
    while place < len(extents):
        fetched, size = [extents[place]], extents[place].size
        while is_remote(extents[place].path) and place + len(fetched) < len(extents) and len(fetched) < REQUESTS:
            size += extents[place + len(fetched)].size
            if size > ahead_bytes:
                break
            fetched.append(extents[place + len(fetched)])
        if len(fetched) == 1:
            yield from _read(fetched[0], schema, ahead_bytes)
        else:
            for extent, content in zip(fetched, _at_once(_bytes_of, fetched), strict=True):
                yield from _batches(pa.BufferReader(content), extent.size, schema, extent)
        place += len(fetched)


def _bytes_of(extent: Extent) -> bytes:
    return read_range(extent.path, extent.start, extent.end)


def _at_once(act: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
    """Returns what `act` makes of each item: in threads, for a store answers many requests in the time of one."""
    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(act, items))


def gather(
    paths: Sequence[str], part: int, schema: pa.Schema, keys: tuple[str, ...], scratch: str, memory_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of one part of many scatter files, sorted by `keys`, within `memory_bytes`."""
    where = partial(extent_of, part=part)
    found = _at_once(where, paths) if paths and is_remote(paths[0]) else [where(path) for path in paths]
    extents = [extent for extent in found if extent.rows]
    size, rows = sum(extent.size for extent in extents), sum(extent.rows for extent in extents)
    heads = 3 * PART_BATCH_BYTES * len(extents)  # in hand, taken of them, and sorted
    light = size <= rows * (PART_BATCH_BYTES // 8)
    if light and heads <= memory_bytes < 8 * size and not is_narrow(schema):
        ahead = max(PART_BATCH_BYTES, memory_bytes // (2 * len(extents)))
        yield from merge([_read(extent, schema, min(ahead, AHEAD_BYTES)) for extent in extents], keys)
        return
    if are_pairs(schema, keys) and rows * PAIR_BYTES <= memory_bytes:
        yield from sort_all(_read_all(extents, schema, min(AHEAD_BYTES, memory_bytes // 8)), rows, schema, keys)
        return
    sorter = Sorter(schema, keys, scratch, Budget(memory_bytes))
    for batch in _read_all(extents, schema, min(AHEAD_BYTES, memory_bytes // 8)):
        sorter.add(batch)
    yield from sorter.finish()
