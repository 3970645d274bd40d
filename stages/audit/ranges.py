"""Tokens of single rows of a shard that is far away, by the bytes that they lie in.

Arrow reads record batches, and one holds some MiB: for rows that a hash draws, that is the whole corpus. A shard is not
compressed, so a row's tokens are a range of its file; where it is say the footer, which has the place of each batch,
and the head of the batch, which has the places of its buffers.

Source: the Arrow columnar format, "IPC File Format" and the flatbuffers of File.fbs and Message.fbs; the layout of
tables is that of flatbuffers' "Internals".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datapipe import DataError, storage

AT_ONCE: Final = 16  # reads that are under way together
TAIL: Final = 1 << 16  # bytes that are read for a footer
MAGIC: Final = b"ARROW1"
FIXED, LISTS = ((2,), (1, 3))  # the buffers of `input_ids`, the first column: its values, or its offsets and values


class Head(NamedTuple):
    """What the head of a record batch says: its rows, and where the buffers of `input_ids` begin in the file."""

    rows: int
    places: tuple[int, ...]


def tokens_of(path: str, pieces: Sequence[tuple[int, int, int]]) -> list[npt.NDArray[np.int32]]:
    """Returns the tokens `start` to `end` of rows of a shard, for each of (row, start, end).

    Raises:
        DataError: the file is gone, or no shard of `mix`.
    """
    try:
        with storage.open_shard(path) as file, pa.ipc.open_file(file) as reader:
            schema = reader.schema
        if schema.get_field_index("input_ids") != 0 or schema.field(0).type.value_type != pa.int32():
            raise DataError(f"{path}: its first column is not `input_ids` of 32 bits: it is no shard of mix")
        kind = schema.field(0).type
        fixed = pa.types.is_fixed_size_list(kind)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            heads = list(pool.map(partial(_read_head, path, FIXED if fixed else LISTS), _blocks(_footer(path))))
            read = partial(
                _read, path, heads, np.cumsum([one.rows for one in heads]), kind.list_size if fixed else None
            )
            return list(pool.map(read, pieces))
    except (OSError, pa.ArrowInvalid, KeyError, IndexError, struct.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch the file again, or run the config again") from error


def _read(
    path: str, heads: Sequence[Head], ends: npt.NDArray[np.int64], length: int | None, piece: tuple[int, int, int]
) -> npt.NDArray[np.int32]:
    row, start, end = piece
    batch = int(np.searchsorted(ends, row, side="right"))
    inside, places = row - int(ends[batch]) + heads[batch].rows, heads[batch].places
    if length is None:
        (at,) = struct.unpack("<i", storage.read_range(path, places[0] + 4 * inside, places[0] + 4 * inside + 4))
    else:
        at = inside * length
    first = places[-1] + 4 * (at + start)
    return np.frombuffer(storage.read_range(path, first, first + 4 * (end - start)), "<i4")


def _footer(path: str) -> bytes:
    size = storage.size_of(path)
    tail = storage.read_range(path, max(0, size - TAIL), size)
    end = len(tail) - len(MAGIC) - 4
    (length,) = struct.unpack_from("<i", tail, end)
    if length <= end:
        return tail[end - length : end]
    return storage.read_range(path, size - len(MAGIC) - 4 - length, size - len(MAGIC) - 4)


def _blocks(footer: bytes) -> list[tuple[int, int]]:
    """Returns where each record batch begins in the file, and how long its head is."""
    found = _field(footer, _root(footer), 3)
    place, amount = _vector(footer, found) if found else (0, 0)
    return [struct.unpack_from("<qi", footer, place + 24 * number) for number in range(amount)]


def _read_head(path: str, wanted: tuple[int, ...], block: tuple[int, int]) -> Head:
    body = sum(block)
    content = storage.read_range(path, block[0], body)
    message = content[8:] if content[:4] == b"\xff\xff\xff\xff" else content[4:]
    found = _field(message, _root(message), 2)
    if found is None:
        raise DataError("a record batch has no head")
    batch = found + struct.unpack_from("<I", message, found)[0]
    rows = _field(message, batch, 0)
    buffers = _field(message, batch, 2)
    if buffers is None or _field(message, batch, 3) is not None:
        raise DataError("a record batch is compressed: it is no shard of mix")
    place, _ = _vector(message, buffers)
    places = tuple(body + struct.unpack_from("<q", message, place + 16 * number)[0] for number in wanted)
    return Head(0 if rows is None else struct.unpack_from("<q", message, rows)[0], places)


def _root(content: bytes) -> int:
    return int(struct.unpack_from("<I", content)[0])


def _field(content: bytes, table: int, number: int) -> int | None:
    """Returns where a field of a table lies, None where it has its default."""
    names = table - struct.unpack_from("<i", content, table)[0]
    size = struct.unpack_from("<H", content, names)[0]
    if 4 + 2 * number >= size:
        return None
    offset = struct.unpack_from("<H", content, names + 4 + 2 * number)[0]
    return table + offset if offset else None


def _vector(content: bytes, field: int) -> tuple[int, int]:
    """Returns where the items of a vector begin, and how many there are."""
    place = field + struct.unpack_from("<I", content, field)[0]
    return place + 4, struct.unpack_from("<I", content, place)[0]
