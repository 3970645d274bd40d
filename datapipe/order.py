"""The order of rows by their keys, stable: whatever sorts or merges rows asks here.

Keys of fixed width (integers, binary of fixed size) become words: uint64[words, rows] whose order, word by word, is
that of the keys. A kernel sorts those by radix, the leading digits first: rows are dealt into up to 512 buckets by the
part of a word in which they differ, each bucket into smaller ones, and a few rows are put in place by insertion. Where
all of a bucket are equal in a word the next one decides. Other keys are left to Arrow, within
rows that the words before them leave equal.

Rows that are nothing but two words are sorted in place instead, a third of the time and of the memory: equal ones
cannot be told apart, so their order is nobody's concern.

Source: P. McIlroy, K. Bostic, M. D. McIlroy, Engineering radix sort, 1993: theirs is the sort in place; the other one
deals from one array to another, which keeps equal rows in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from datapipe.errors import StageError

BITS: Final = 9  # of a digit: 512 open buckets are about what caches and page tables hold
FEW: Final = 16  # rows that are sorted by insertion
FEW_PAIRS: Final = 24  # the same where rows move with their words
SIGN: Final = np.uint64(1 << 63)
Words = npt.NDArray[np.uint64]


def order_of(batch: pa.RecordBatch, keys: Sequence[str]) -> npt.NDArray[np.int64] | npt.NDArray[np.uint32]:
    """Returns the stable order of the rows by `keys`, an integer for each row.

    Raises:
        StageError: a key is null.
    """
    for name in keys:
        refuse_null(batch.column(name), name)
    fixed = _leading_fixed(batch.schema, keys)
    rest = [(name, "ascending") for name in keys[fixed:]]
    if not fixed:
        return np.asarray(pc.sort_indices(batch, sort_keys=rest)).astype(np.int64)
    words = words_of(batch, keys[:fixed])
    order = sort_words(words)
    if rest and len(order):
        equal = (words[:, order[1:]] == words[:, order[:-1]]).all(axis=0)
        tied = np.flatnonzero(np.concatenate([[False], equal]) | np.concatenate([equal, [False]]))
        rows = order[tied]
        within = np.asarray(pc.sort_indices(batch.select(list(keys[fixed:])).take(pa.array(rows)), sort_keys=rest))
        order[tied] = rows[within][sort_words(words[:, rows[within]])]
    return order


def are_fixed(schema: pa.Schema, keys: Sequence[str]) -> bool:
    """Returns whether all of `keys` are of fixed width, so that `words_of` takes them."""
    return _leading_fixed(schema, keys) == len(keys)


def _leading_fixed(schema: pa.Schema, keys: Sequence[str]) -> int:
    kinds = [schema.field(name).type for name in keys]
    fixed = [pa.types.is_integer(kind) or pa.types.is_fixed_size_binary(kind) for kind in kinds]
    return [*fixed, False].index(False)


def words_of(batch: pa.RecordBatch, keys: Sequence[str]) -> Words:
    """Returns uint64[words, rows], ordered word by word as the rows are by `keys`, which are of fixed width."""
    counts = [_words_of_type(batch.schema.field(name).type) for name in keys]
    words = np.empty((sum(counts), batch.num_rows), np.uint64)
    place = 0
    for name, count in zip(keys, counts, strict=True):
        _fill(words[place : place + count], batch.column(name))
        place += count
    return words


def _words_of_type(kind: pa.DataType) -> int:
    return max(1, (int(kind.byte_width) + 7) // 8)


def _fill(words: Words, column: pa.Array) -> None:
    kind, rows = column.type, len(column)
    if pa.types.is_signed_integer(kind):
        words.view(np.int64)[0] = np.asarray(column)
        words ^= SIGN
    elif pa.types.is_integer(kind):
        words[0] = np.asarray(column)
    else:
        width = kind.byte_width
        raw = np.zeros((rows, 8 * len(words)), np.uint8) if width % 8 or not width else None
        given = np.frombuffer(column.buffers()[1] or b"", np.uint8)[column.offset * width :][: rows * width]
        given = given.reshape(rows, width)
        if raw is not None:
            raw[:, :width] = given
        words[:] = (given if raw is None else raw).view(">u8").T


def refuse_null(keys: pa.Array, name: str) -> None:
    """Raises StageError where a key is null: it has no place in the order."""
    if keys.null_count:
        raise StageError(f"exchange: the key column '{name}' holds null")


@njit(cache=True, nogil=True)
def sort_words(words: Words) -> npt.NDArray[np.uint32]:
    """Returns the stable order of the columns of uint64[words, rows], the first word first; fewer than 2^32 rows."""
    rows = words.shape[1]
    order = np.arange(rows).astype(np.uint32)
    held = words[0].copy()  # the word that is looked at, in the order so far
    other_order, other_held = np.empty(rows, np.uint32), np.empty(rows, np.uint64)
    ends = np.empty((1 << BITS) + 1, np.int64)
    waiting = np.empty((rows // FEW + 2, 3), np.int64)  # buckets to be sorted: first row, end, word
    waiting[0] = 0, rows, 0
    left = 1 if rows else 0
    while left:
        left -= 1
        start, end, word = waiting[left]
        least, most = _span(held[start:end])
        if least == most:
            if word + 1 < len(words):
                waiting[left] = start, end, word + 1
                held[start:end] = words[word + 1][order[start:end]]
                left += 1
            continue
        shift = _shift(most - least, end - start)
        buckets = np.int64((most - least) >> shift) + 1
        ends[: buckets + 1] = 0
        for row in range(start, end):
            ends[np.int64((held[row] - least) >> shift) + 1] += 1
        for bucket in range(buckets):
            ends[bucket + 1] += ends[bucket]
        for row in range(start, end):
            digit = np.int64((held[row] - least) >> shift)
            other_held[ends[digit]], other_order[ends[digit]] = held[row], order[row]
            ends[digit] += 1  # from where the bucket begins to where it ends
        held[start:end], order[start:end] = other_held[: end - start], other_order[: end - start]
        first = start
        for bucket in range(buckets):
            last = start + ends[bucket]
            if last - first > FEW:
                waiting[left] = first, last, word
                left += 1
            elif last - first > 1:
                _insert(words, held, order, first, last, word)
            first = last
    return order


@njit(cache=True, nogil=True)
def order_of_parts(parts: npt.NDArray[np.int64], count: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Returns the stable order of rows by their part, below `count`, and where each part begins in it."""
    order, begins = np.empty(len(parts), np.uint32), np.zeros(count + 1, np.int64)
    for part in parts:
        begins[part + 1] += 1
    for part in range(count):
        begins[part + 1] += begins[part]
    heads = begins.copy()
    for row in range(len(parts)):
        order[heads[parts[row]]] = row
        heads[parts[row]] += 1
    return order, begins


def are_pairs(schema: pa.Schema, keys: Sequence[str]) -> bool:
    """Returns whether rows are two integers of 64 bits and nothing else, both of them keys: what `sort_pairs` takes."""
    kinds = {pa.int64(), pa.uint64()}
    return len(schema) == 2 and sorted(keys) == sorted(schema.names) and set(schema.types) <= kinds


@njit(cache=True, nogil=True)
def sort_pairs(rows: Words) -> None:
    """Sorts uint64[rows, 2] in place, by the first word and then by the second."""
    waiting = np.empty((len(rows) // FEW_PAIRS + 2, 3), np.int64)  # buckets to be sorted: first row, end, word
    waiting[0] = 0, len(rows), 0
    left = 1 if len(rows) else 0
    heads, ends = np.empty(1 << BITS, np.int64), np.empty((1 << BITS) + 1, np.int64)
    while left:
        left -= 1
        start, end, word = waiting[left]
        least, most = _span(rows[start:end, word])
        if least == most:
            if word == 0:
                waiting[left] = start, end, 1
                left += 1
            continue
        shift = _shift(most - least, end - start)
        buckets = np.int64((most - least) >> shift) + 1
        ends[: buckets + 1] = 0
        for row in range(start, end):
            ends[np.int64((rows[row, word] - least) >> shift) + 1] += 1
        ends[0] = start
        for bucket in range(buckets):
            ends[bucket + 1] += ends[bucket]
            heads[bucket] = ends[bucket]
        _deal(rows, word, least, shift, heads[:buckets], ends)
        for bucket in range(buckets):
            first, last = ends[bucket], ends[bucket + 1]
            if last - first > FEW_PAIRS:
                waiting[left] = first, last, word
                left += 1
            elif last - first > 1:
                _insert_pairs(rows, first, last)


@njit(cache=True, nogil=True)
def _deal(
    rows: Words,
    word: int,
    least: np.uint64,
    shift: np.uint64,
    heads: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> None:
    """Moves each row to its bucket: what lies there is taken up, and goes to its own, until one comes back here."""
    for bucket in range(len(heads)):
        while heads[bucket] < ends[bucket + 1]:
            one, two = rows[heads[bucket], 0], rows[heads[bucket], 1]
            digit = np.int64(((two if word else one) - least) >> shift)
            while digit != bucket:
                place = heads[digit]
                heads[digit] += 1
                next_one, next_two = rows[place, 0], rows[place, 1]
                rows[place, 0], rows[place, 1] = one, two
                one, two = next_one, next_two
                digit = np.int64(((two if word else one) - least) >> shift)
            rows[heads[bucket], 0], rows[heads[bucket], 1] = one, two
            heads[bucket] += 1


@njit(cache=True, nogil=True)
def _insert_pairs(rows: Words, start: int, end: int) -> None:
    for row in range(start + 1, end):
        one, two, place = rows[row, 0], rows[row, 1], row
        while place > start and (one < rows[place - 1, 0] or (one == rows[place - 1, 0] and two < rows[place - 1, 1])):
            rows[place, 0], rows[place, 1] = rows[place - 1, 0], rows[place - 1, 1]
            place -= 1
        rows[place, 0], rows[place, 1] = one, two


@njit(cache=True, nogil=True)
def _span(held: npt.NDArray[np.uint64]) -> tuple[np.uint64, np.uint64]:
    least = most = held[0]
    for value in held:
        least, most = min(least, value), max(most, value)
    return least, most


@njit(cache=True, nogil=True)
def _shift(spread: np.uint64, rows: int) -> np.uint64:
    """Returns by how many bits numbers up to `spread` are shifted to make as many buckets as such rows deserve."""
    width, bits = 0, 3
    while spread:
        spread >>= np.uint64(1)
        width += 1
    while bits < BITS and rows >> (bits + 2):
        bits += 1
    return np.uint64(max(0, width - bits))


@njit(cache=True, nogil=True)
def _insert(
    words: Words, held: npt.NDArray[np.uint64], order: npt.NDArray[np.uint32], start: int, end: int, word: int
) -> None:
    """Sorts a few rows in place: by `held`, then by the words behind `word`."""
    for row in range(start + 1, end):
        value, number, place = held[row], order[row], row
        while place > start and (
            value < held[place - 1]
            or (value == held[place - 1] and _comes_before(words, number, order[place - 1], word + 1))
        ):
            held[place], order[place] = held[place - 1], order[place - 1]
            place -= 1
        held[place], order[place] = value, number


@njit(cache=True, nogil=True)
def _comes_before(words: Words, one: np.uint32, other: np.uint32, word: int) -> bool:
    for place in range(word, len(words)):
        if words[place, one] != words[place, other]:
            return bool(words[place, one] < words[place, other])
    return False
