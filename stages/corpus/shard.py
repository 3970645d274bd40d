"""One shard of a corpus: an Arrow file that is mapped where it lies on a disk, and read by ranges where it is far away.

A corpus's shards are not compressed, so a mapped shard is no copy: rows are views of the file's pages. The mapping is
private: who writes into a view changes the memory of this process and never the file.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import pyarrow as pa

from datapipe import DataError, storage

Lists = tuple[np.ndarray, np.ndarray | None]  # values, and where those of each row begin unless all rows are as long

AT_ONCE = 8  # reads of a far shard that are under way together
HELD = 2  # batches of a far shard that stay in memory


class ShardFile:
    """A shard, open. `rows` and `size` (bytes) are what the manifest says of it.

    Raises:
        DataError: the file is gone, cut off, or not the one that the manifest speaks of.
    """

    def __init__(self, path: str, rows: int, size: int) -> None:
        self.path, self.rows, self.far = path, rows, storage.is_remote(path)
        there = _size_of(path)
        if there != size:
            raise self._fault(f"has {there:,} bytes, the manifest says {size:,}: it was cut off or changed")
        self._pages = np.zeros(0, np.uint8) if self.far else _mapped(path)
        self._readers: dict[tuple[str, ...] | None, pa.RecordBatchFileReader] = {}
        self._batches: dict[tuple[int, tuple[str, ...] | None], pa.RecordBatch] = {}
        self._views: dict[tuple[int, str], Lists] = {}
        if self.starts[-1] != rows:
            raise self._fault(f"has {self.starts[-1]:,} rows, the manifest says {rows:,}: it was changed")

    @cached_property
    def starts(self) -> list[int]:
        """The row that each record batch begins with, and behind them the number of rows."""
        if self.far:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                numbers = range(self._reader(None).num_record_batches)
                lengths = list(pool.map(self._length, [numbers[first::AT_ONCE] for first in range(AT_ONCE)]))
            counts = np.zeros(len(numbers), np.int64)
            for first, found in enumerate(lengths):
                counts[first::AT_ONCE] = found
        else:
            counts = np.array([self.batch(number).num_rows for number in range(self._reader(None).num_record_batches)])
        return [0, *np.cumsum(counts).tolist()]

    @property
    def schema(self) -> pa.Schema:
        """The columns of the shard."""
        return self._reader(None).schema

    def batch(self, number: int, columns: tuple[str, ...] | None = None) -> pa.RecordBatch:
        """Returns a record batch, with `columns` alone where they are given."""
        if not self.far and columns is not None:
            return self.batch(number).select(list(columns))
        key = (number, columns)
        if key not in self._batches:
            try:
                batch = self._reader(columns).get_batch(number)
            except (OSError, pa.ArrowInvalid) as error:
                raise self._fault(f"cannot be read ({error})") from error
            while self.far and len(self._batches) >= HELD:
                del self._batches[next(iter(self._batches))]
            self._batches[key] = batch if columns is None else batch.select(list(columns))
        return self._batches[key]

    def read(self, start: int, stop: int, columns: tuple[str, ...] | None = None) -> Iterator[pa.RecordBatch]:
        """Yields the rows `start` to `stop`, a slice of a record batch each."""
        number = bisect_right(self.starts, start) - 1
        while start < stop:
            first, end = self.starts[number], min(stop, self.starts[number + 1])
            if end > start:
                yield self.batch(number, columns).slice(start - first, end - start)
            start, number = max(start, end), number + 1

    def tokens(self, number: int) -> Lists:
        """Returns the tokens of a record batch: int32[rows, S], or int32[tokens] with offsets int32[rows + 1]."""
        return self._lists(number, "input_ids")

    def lengths(self, number: int) -> Lists:
        """Returns the `seq_lengths` of a record batch: int32[sequences] with offsets int32[rows + 1]."""
        return self._lists(number, "seq_lengths")

    def _lists(self, number: int, name: str) -> Lists:
        found = self._views.get((number, name))
        if found is None:
            found = _views(self.batch(number, (name,)).column(0), self._pages)
            if not self.far:  # a far one would keep its batch in memory
                self._views[number, name] = found
        return found

    def _reader(self, columns: tuple[str, ...] | None) -> pa.RecordBatchFileReader:
        if columns not in self._readers:
            self._readers[columns] = self._open(columns)
        return self._readers[columns]

    def _open(self, columns: Sequence[str] | None) -> pa.RecordBatchFileReader:
        fields = [self.schema.get_field_index(name) for name in columns] if columns is not None else None
        options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=fields)
        try:
            file = storage.open_shard(self.path) if self.far else pa.BufferReader(pa.py_buffer(self._pages))
            return pa.ipc.open_file(file, options=options)
        except (OSError, pa.ArrowInvalid) as error:
            raise self._fault(f"cannot be read as an Arrow file ({error})") from error

    def _length(self, numbers: Sequence[int]) -> list[int]:
        """Returns the rows of record batches, reading the narrowest column of each."""
        if not numbers:
            return []
        reader = self._open(["sample" if "sample" in self.schema.names else "epoch"])
        return [reader.get_batch(number).num_rows for number in numbers]

    def _fault(self, what: str) -> DataError:
        return DataError(
            f"{self.path}: {what}; `datapipe verify` says what else is: fetch the file again, or run the config again"
        )


def _views(column: pa.Array, pages: np.ndarray) -> Lists:
    """Returns the lists of a column; of the file's pages where it is mapped, so that they may be written to."""
    if pa.types.is_fixed_size_list(column.type):
        return _view(column.values, len(column) * column.type.list_size, pages).reshape(len(column), -1), None
    offsets = np.asarray(column.offsets)
    return _view(column.values, int(offsets[-1]), pages), offsets


def _view(values: pa.Array, count: int, pages: np.ndarray) -> np.ndarray:
    """Returns int32[count]: the memory that Arrow has the values in."""
    view: np.ndarray = np.asarray(values)[:count]
    if len(pages) and count:
        first = values.buffers()[1].address + 4 * values.offset - pages.ctypes.data
        view = pages[first : first + 4 * count].view("<i4")
    return view


def _size_of(path: str) -> int:
    try:
        return storage.size_of(path)
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: is gone, and the manifest names it; fetch it again, or run the config again"
        ) from error


def _mapped(path: str) -> np.ndarray:
    """Returns the pages of a file, uint8[bytes]: writable in this process, and read when they are looked at."""
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return np.zeros(0, np.uint8)
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), np.uint8)
