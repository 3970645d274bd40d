"""Shards: the record of a finished one, and reading and writing its files in bounded memory.

Files are cut into record batches by their rows alone (`cut`), never by how a producer happened to yield them, so the
bytes of a shard are a function of its rows.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from datapipe import storage
from datapipe.errors import DataError, StageError
from datapipe.planes import from_planes, has_planes, into_planes
from datapipe.work import ID, LEDGER, Work

__all__ = ["ID", "LEDGER", "Made", "Passed", "Shard", "Work"]
BATCH_ROWS = 4096
BATCH_BYTES = 4 << 20
ROW_GROUP_BYTES = 32 << 20
ROW_GROUP_ROWS = (
    1 << 14
)  # so many are read for the sake of one: some megabytes of a ledger, which has a hundred millions
ZSTD_LEVEL = 3  # of text that is published
QUICK_LEVEL = 1  # of rows between steps
PLANES_LEVEL = -20  # of those with planes: little but entropy coding, which is all that they need
PLANES = b"datapipe.planes"  # in a file's metadata: its lists of int32 are laid so


@dataclass(frozen=True)
class Made:
    """A finished file: where it lies under the work folder, its rows, bytes and digest."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Passed:
    """What one function did to the documents of a shard; `documents` is false where rows of another kind came out."""

    stage: str
    documents: bool
    rows_in: int
    made: int
    rows_out: int
    dropped: int


@dataclass(frozen=True)
class Shard:
    """The record of a finished shard. It holds no clock, host or attempt: equal work gives an equal record."""

    step: str
    number: int
    outputs: dict[str, Made]
    passed: tuple[Passed, ...]
    counts: dict[str, dict[str, int]]
    inputs: tuple[str, ...] = ()  # SHA-256 of what it read of each file of its source; "" where a store's ETag says it

    def to_json(self) -> bytes:
        """Returns the record as bytes of one line, equal for equal records."""
        data = {
            "step": self.step,
            "number": self.number,
            "outputs": {name: vars(made) for name, made in self.outputs.items()},
            "passed": [vars(passed) for passed in self.passed],
            "counts": self.counts,
            **({"inputs": self.inputs} if self.inputs else {}),
        }
        return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()

    @staticmethod
    def from_json(content: bytes) -> Shard:
        """Returns the record that `to_json` wrote."""
        data = json.loads(content)
        return Shard(
            data["step"],
            data["number"],
            {name: Made(**made) for name, made in data["outputs"].items()},
            tuple(Passed(**passed) for passed in data["passed"]),
            data["counts"],
            tuple(data.get("inputs", ())),  # records of an earlier datapipe have none
        )


class Cutter:
    """Cuts a stream of rows into batches that depend on the rows alone.

    A batch ends with the row that brings it to `limit_bytes` or to `limit_rows`, wherever the batches that came in
    ended. With `copies` its buffers hold its rows and no more, even where it is a slice of one that came in.
    """

    def __init__(self, limit_rows: int = BATCH_ROWS, limit_bytes: int = BATCH_BYTES, *, copies: bool = False) -> None:
        self.limit_rows, self.limit_bytes, self.copies = limit_rows, limit_bytes, copies
        self.held: list[pa.RecordBatch] = []
        self.rows = self.bytes = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Yields the batches that `batch` completes."""
        start, ends = 0, np.cumsum(row_bytes(batch))
        while start < batch.num_rows:
            before = int(ends[start - 1]) if start else 0
            room_bytes = self.limit_bytes - self.bytes
            end = int(np.searchsorted(ends, before + room_bytes)) + 1
            end = min(end, start + self.limit_rows - self.rows, batch.num_rows)
            self.held.append(batch.slice(start, end - start))
            self.rows += end - start
            self.bytes += int(ends[end - 1]) - before
            start = end
            if self.rows >= self.limit_rows or self.bytes >= self.limit_bytes:
                yield self._take()

    def finish(self) -> Iterator[pa.RecordBatch]:
        """Yields what is left."""
        if self.held:
            yield self._take()

    def _take(self) -> pa.RecordBatch:
        held, self.held, self.rows, self.bytes = self.held, [], 0, 0
        return held[0] if len(held) == 1 and not self.copies else pa.concat_batches(held)


def cut(batches: Iterator[pa.RecordBatch], limit_rows: int, limit_bytes: int) -> Iterator[pa.RecordBatch]:
    """Yields the same rows in batches of at most that many rows, and of bytes but for a larger single row."""
    cutter = Cutter(limit_rows, limit_bytes)
    for batch in batches:
        yield from cutter.add(batch)
    yield from cutter.finish()


def canonical(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns equal rows in buffers that hold these rows and no more, with zeros beneath nulls.

    Arrow's IPC writer copies what stands behind a slice (up to 64 bytes) and beneath a null into the file.
    """
    return zeroed(pa.concat_batches([batch]))


def zeroed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns equal rows with zeros beneath nulls; columns without a null stay as they are."""
    if not any(column.null_count for column in batch.columns):
        return batch
    rows = pa.array(np.arange(batch.num_rows))
    columns = [column.take(rows) if column.null_count else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def row_bytes(batch: pa.RecordBatch) -> np.ndarray:
    """Returns the size of each row (bytes), int64[rows], from types and offsets alone."""
    widths = [_width(kind) for kind in batch.schema.types]
    total = np.full(batch.num_rows, sum(width or 0 for width in widths), np.int64)
    for column, width in zip(batch.columns, widths, strict=True):
        if width is None:
            total += _value_bytes(column)
    return total


def _width(kind: pa.DataType) -> int | None:
    """Returns the size of each value (bytes); None where they differ."""
    kinds = pa.types
    if kinds.is_fixed_size_list(kind):
        width = _width(kind.value_type)
        return None if width is None else width * int(kind.list_size)
    if kinds.is_nested(kind):
        return None
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:  # of variable width
        return 16 if kinds.is_null(kind) else None


def _value_bytes(column: pa.Array) -> np.ndarray:
    kind, kinds = column.type, pa.types
    width = _width(kind)
    if width is not None:
        return np.full(len(column), width, np.int64)
    if kinds.is_string(kind) or kinds.is_binary(kind) or kinds.is_large_string(kind) or kinds.is_large_binary(kind):
        return np.diff(_offsets(column)).astype(np.int64)
    if kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_map(kind):
        offsets = _offsets(column).astype(np.int64)
        width = None if kinds.is_map(kind) else _width(kind.value_type)
        if width is not None:
            return np.diff(offsets) * width
        values = _value_bytes(column.values.slice(offsets[0], offsets[-1] - offsets[0]))
        return np.diff(np.concatenate([[0], np.cumsum(values)])[offsets - offsets[0]])
    if kinds.is_fixed_size_list(kind):
        size = kind.list_size
        values = _value_bytes(column.values.slice(column.offset * size, len(column) * size))
        summed: np.ndarray = values.reshape(len(column), size).sum(axis=1)
        return summed
    if kinds.is_struct(kind):
        return sum((_value_bytes(part) for part in column.flatten()), np.zeros(len(column), np.int64))
    return np.full(len(column), 16, np.int64)  # views, which no schema of ours has


def _offsets(column: pa.Array) -> np.ndarray:
    """Returns where the values of each row begin, and where the last ends: int32 or int64[rows + 1]."""
    kind, kinds = column.type, pa.types
    large = kinds.is_large_string(kind) or kinds.is_large_binary(kind) or kinds.is_large_list(kind)
    buffer = column.buffers()[1]
    if buffer is None or not buffer.size:  # of no rows
        return np.zeros(1, np.int64)
    return np.frombuffer(buffer, np.int64 if large else np.int32)[column.offset : column.offset + len(column) + 1]


class HashingFile:
    """A local file that is written in sequence and knows its SHA-256 and size."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by close()
        self.digest = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: bytes | memoryview | pa.Buffer) -> int:
        """Appends `data`."""
        view = memoryview(data)
        self.digest.update(view)
        self.file.write(view)
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """Returns how many bytes are written."""
        return self.size

    def flush(self) -> None:
        """Hands what is written to the operating system."""
        self.file.flush()

    def close(self) -> None:
        """Closes the file; a second time does nothing."""
        self.closed = True
        self.file.close()

    def readable(self) -> bool:
        """Returns False: pyarrow asks."""
        return False

    def writable(self) -> bool:
        """Returns True: pyarrow asks."""
        return True

    def seekable(self) -> bool:
        """Returns False: pyarrow asks."""
        return False


SORTED: Final = ("id", "sample", "key")  # columns by which a table may be sorted, so that its statistics tell something
CODECS: Final = ("zstd", "snappy", "none")  # of Parquet: `.snappy.parquet`


class Writer:
    """Writes rows to one local file; the ending of `path` decides the format.

    `.ipc`: an intermediate, Arrow IPC file with zstd, lists of int32 in planes; `.arrow`: the same uncompressed and as
    they are, for trainers; `.parquet`: zstd, or what of CODECS stands before it, statistics on SORTED columns alone;
    `.zst`: the bytes of column `content`, row after row, a zstd frame for some megabytes of them; else the bytes of the
    one row of column `content`.
    """

    def __init__(self, path: str, schema: pa.Schema) -> None:
        self.file = HashingFile(path)
        self.schema = schema
        self.rows = 0
        stem, self.ending = os.path.splitext(path)
        said = os.path.splitext(stem)[1][1:]
        self.codec = said if said in CODECS else "zstd"
        limits = {".parquet": (ROW_GROUP_ROWS, ROW_GROUP_BYTES), ".zst": (1 << 17, ROW_GROUP_BYTES)}.get(
            self.ending, (BATCH_ROWS, BATCH_BYTES)
        )
        self.cutter = Cutter(*limits, copies=True)
        self.planes = self.ending == ".ipc" and has_planes(schema)
        self.sink = self._sink()

    def _sink(self) -> pa.ipc.RecordBatchFileWriter | pq.ParquetWriter | None:
        if self.ending == ".parquet":
            keyed = [name for name in SORTED if name in self.schema.names]
            return pq.ParquetWriter(self.file, self.schema, compression=self.codec, write_statistics=keyed or False)
        if self.ending not in (".ipc", ".arrow"):
            return None
        metadata = {**(self.schema.metadata or {}), PLANES: b"1"} if self.planes else self.schema.metadata
        codec = codec_of(self.schema) if self.ending == ".ipc" else None
        options = pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)
        return pa.ipc.new_file(self.file, self.schema.with_metadata(metadata), options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends rows. Raises StageError where their columns are not those of the schema."""
        batch = conform(batch, self.schema)
        self.rows += batch.num_rows
        for part in self.cutter.add(batch):
            self._write(part)

    def _write(self, batch: pa.RecordBatch) -> None:
        batch = zeroed(batch)
        if self.ending == ".zst":
            self.file.write(
                zstandard.ZstdCompressor(ZSTD_LEVEL).compress(b"".join(batch.column("content").to_pylist()))
            )
        elif self.sink is None:
            self.file.write(batch.column("content")[0].as_py())
        elif isinstance(self.sink, pq.ParquetWriter):
            self.sink.write_batch(batch, row_group_size=max(1, batch.num_rows))
        else:
            self.sink.write_batch(into_planes(batch) if self.planes else batch)

    def close(self) -> None:
        """Ends the file. Raises StageError where one of bytes was not given its one row."""
        if self.sink is None and self.ending != ".zst" and self.rows != 1:
            raise StageError(f"a file of bytes ({self.ending}) takes one row of the column content, not {self.rows}")
        for part in self.cutter.finish():
            self._write(part)
        if self.ending == ".zst" and not self.rows:  # a file of no bytes is cut off to readers of zstd
            self.file.write(zstandard.ZstdCompressor(ZSTD_LEVEL).compress(b""))
        if self.sink is not None:
            self.sink.close()
        self.file.close()


def codec_of(schema: pa.Schema) -> pa.Codec:
    """Returns how rows between steps are compressed."""
    return pa.Codec("zstd", PLANES_LEVEL if has_planes(schema) else QUICK_LEVEL)


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Returns `batch` under `schema` exactly. Raises StageError where names or types differ."""
    if batch.schema.equals(schema, check_metadata=True):
        return batch
    if batch.schema.names != schema.names or batch.schema.types != schema.types:
        raise StageError(f"yielded the columns {_columns(batch.schema)}, but promised {_columns(schema)}")
    return pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{column.name}: {column.type}" for column in schema)


def read_shard(path: str) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a file that a Writer wrote as `.ipc` or `.arrow`, one in memory at a time, or of Parquet.

    Raises:
        DataError: the file is not whole.
    """
    try:
        if path.endswith(".parquet"):
            with storage.open_shard(path) as file:
                yield from pq.ParquetFile(file).iter_batches()
            return
        with (
            storage.open_shard(path) as file,
            pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader,
        ):
            metadata = dict(reader.schema.metadata or {})
            planes = metadata.pop(PLANES, None) is not None
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                yield from_planes(batch).replace_schema_metadata(metadata or None) if planes else batch
    except (pa.ArrowInvalid, OSError) as error:
        raise broken(path, f"cannot be read as a shard ({error})") from error


def broken(path: str, what: str) -> DataError:
    """Returns the error for a finished file that is no longer what its record says."""
    return DataError(f"{path}: {what}; remove the folder {os.path.dirname(path)} and run again to make it anew")
