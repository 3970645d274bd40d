"""Lists of 32-bit integers by the planes of their bytes: how token ids lie in files between steps.

Of the four bytes of a token's id the last is zero and the third nearly so. Where the first bytes of all numbers stand
together, then all second ones, and so on, little but entropy coding is needed to pack them, which is several times as
quick as looking for repeats in the numbers. The columns keep their types and lengths; only the order of the bytes in
the buffer of values is another.

Source: byte stream split, as in Apache Parquet's encodings.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

Numbers = npt.NDArray[np.uint32]
PLANES = 4


def has_planes(schema: pa.Schema) -> bool:
    """Returns whether a column of `schema` is laid in planes."""
    return any(_is_planed(kind) for kind in schema.types)


def _is_planed(kind: pa.DataType) -> bool:
    kinds = pa.types
    lists = kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
    return bool(lists and kind.value_type == pa.int32())


def into_planes(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the batch with the values of its lists of int32 in planes."""
    return _turned(batch, split)


def from_planes(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the batch that `into_planes` was given."""
    return _turned(batch, join)


def _turned(batch: pa.RecordBatch, turn: Callable[[Numbers], Numbers]) -> pa.RecordBatch:
    columns = [_column(column, turn) if _is_planed(column.type) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _column(column: pa.Array, turn: Callable[[Numbers], Numbers]) -> pa.Array:
    if not _is_whole(column):
        column = column.take(pa.array(np.arange(len(column))))
    values = column.values
    if not len(values):
        return column
    validity, data = values.buffers()
    numbers = np.frombuffer(data, np.uint32, len(values))
    numbers.flags.writeable = False  # as a file's are: the kernel is compiled for one kind
    child = pa.Array.from_buffers(values.type, len(values), [validity, pa.py_buffer(turn(numbers))])
    own = 1 if pa.types.is_fixed_size_list(column.type) else 2
    return pa.Array.from_buffers(column.type, len(column), column.buffers()[:own], children=[child])


def _is_whole(column: pa.Array) -> bool:
    """Returns whether the values are those of the rows and no more: a writer takes them as they are."""
    if column.offset or column.values.offset:
        return False
    if pa.types.is_fixed_size_list(column.type):
        return len(column.values) == len(column) * int(column.type.list_size)
    return not len(column) or (column.offsets[0].as_py(), column.offsets[-1].as_py()) == (0, len(column.values))


@njit(cache=True, nogil=True)
def split(numbers: Numbers) -> Numbers:
    """Returns the bytes of numbers by planes, the least byte first, in a buffer of the same type and length."""
    rows = len(numbers)
    made = np.empty(rows, np.uint32)
    planes = made.view(np.uint8)
    for plane in range(PLANES):
        for row in range(rows):
            planes[plane * rows + row] = np.uint8(numbers[row] >> np.uint32(8 * plane))
    return made


@njit(cache=True, nogil=True)
def join(numbers: Numbers) -> Numbers:
    """Returns the numbers of which `split` made the planes."""
    rows = len(numbers)
    planes = numbers.view(np.uint8)
    made = np.empty(rows, np.uint32)
    for row in range(rows):
        low = np.uint32(planes[row]) | (np.uint32(planes[rows + row]) << np.uint32(8))
        high = np.uint32(planes[2 * rows + row]) | (np.uint32(planes[3 * rows + row]) << np.uint32(8))
        made[row] = low | (high << np.uint32(16))
    return made


def plain_split(numbers: Numbers) -> Numbers:
    """The readable twin of `split`."""
    return np.ascontiguousarray(numbers.view(np.uint8).reshape(-1, PLANES).T).reshape(-1).view(np.uint32)
