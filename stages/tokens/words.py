"""The words of texts, cut as `training_splits` cuts, and counted: one pass over bytes, 100 times as fast.

Kinds of characters are those of the library's own regular expressions, frozen in `kinds.bin` (see `freeze.py`), since a
trained tokenizer must not change with the Unicode version of a regular expression engine.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Number = int | np.int64  # one type to numba
FROZEN = Path(__file__).with_name("kinds.bin")
RUN = np.dtype([("first", "<u4"), ("kind", "u1")])
OTHER, LETTER, SIGN, SPACE, NEWLINE, NUMBER, HAN, HAN_NUMBER, HAN_SIGN, END = range(10)  # what is apart: from NUMBER on
_FIRST, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a
_SHIFT = np.uint64(32)


@functools.cache
def kinds() -> Bytes:
    """Returns the kind of each code point, uint8[0x110000], read-only."""
    runs = np.frombuffer(FROZEN.read_bytes(), RUN)
    table = np.repeat(runs["kind"], np.diff(runs["first"], append=0x110000).astype(np.int64))
    table.flags.writeable = False
    return table


@njit(cache=True, nogil=True)
def kind_at(data: Bytes, at: Number, stop: Number, table: Bytes) -> tuple[Number, Number]:
    """Returns the kind of the character that begins at byte `at`, and the byte after it; END at `stop`."""
    if at >= stop:
        return END, stop
    first = np.int64(data[at])
    if first < 0x80:
        return np.int64(table[first]), at + 1
    if first < 0xE0:
        point, after = (first & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F, at + 2
    else:
        point = np.int64(data[at + 1]) & 0x3F
        point = point << 6 | np.int64(data[at + 2]) & 0x3F
        if first < 0xF0:
            point, after = (first & 0x0F) << 12 | point, at + 3
        else:
            point, after = (first & 0x07) << 18 | point << 6 | np.int64(data[at + 3]) & 0x3F, at + 4
    return np.int64(table[point]), after


@njit(cache=True, nogil=True)
def run_end(data: Bytes, at: Number, stop: Number, table: Bytes, kind: Number, most: Number) -> Number:
    """Returns where a run of characters of a kind from `at` ends, after `most` of them at the latest."""
    while most > 0:
        found, after = kind_at(data, at, stop, table)
        if found != kind:
            break
        at = after
        most -= 1
    return at


@njit(cache=True, nogil=True)
def _space_end(data: Bytes, at: Number, stop: Number, table: Bytes) -> Number:
    """Returns where a word of white space ends: behind its last line end, or before the blank of the next word."""
    line: Number = -1
    last: Number = -1
    start = at
    while True:
        kind, after = kind_at(data, at, stop, table)
        if kind == NEWLINE:
            line = after
        elif kind != SPACE:
            break
        last, at = at, after
    if line >= 0:
        return line
    return at if kind >= NUMBER or last == start else last


@njit(cache=True, nogil=True)
def word_end(data: Bytes, at: Number, stop: Number, table: Bytes, digits: int) -> Number:
    """Returns where the word that begins at byte `at` of valid UTF-8 ends."""
    far = stop - at
    kind, after = kind_at(data, at, stop, table)
    if kind >= NUMBER:
        return run_end(data, after, stop, table, kind, digits - 1 if kind in (NUMBER, HAN_NUMBER) else far)
    following = kind_at(data, after, stop, table)[0]
    if kind == SIGN and data[at] < 0x80 and following == LETTER and data[after] < 0x80:
        while after < stop and data[after] < 0x80 and table[data[after]] == LETTER:
            after += 1
        return after
    if kind == LETTER or (following == LETTER and kind in (OTHER, SPACE)):
        return run_end(data, after, stop, table, LETTER, far)
    if kind == SIGN or (following == SIGN and data[at] == 0x20):
        after = run_end(data, after, stop, table, SIGN, far)
        return run_end(data, after, stop, table, NEWLINE, far)
    if kind in (SPACE, NEWLINE):
        return _space_end(data, at, stop, table)
    while kind == OTHER and following != LETTER:  # what no splitter takes stays together
        at = after
        kind, after = kind_at(data, at, stop, table)
        following = kind_at(data, after, stop, table)[0]
    return at


@njit(cache=True, nogil=True)
def find(
    data: Bytes, at: Number, size: Number, held: Bytes, starts: np.ndarray, sizes: np.ndarray, slots: np.ndarray
) -> Number:
    """Returns the slot of the word data[at:at + size], or the free one where it would be.

    `slots`, int32[a power of two], hold the number of a word, or -1; words are held[starts[n]:starts[n] + sizes[n]].
    """
    code = _FIRST
    for place in range(at, at + size):
        code = (code ^ np.uint64(data[place])) * _PRIME
    mask = len(slots) - 1
    slot = np.int64(code ^ code >> _SHIFT) & mask
    while slots[slot] >= 0:
        number = slots[slot]
        if sizes[number] == size:
            begin, same = starts[number], 0
            while same < size and held[begin + same] == data[at + same]:
                same += 1
            if same == size:
                break
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def room(values: np.ndarray, size: Number) -> np.ndarray:
    """Returns the values with room for `size`, or more than that."""
    if size <= len(values):
        return values
    wide = np.empty(max(size, 2 * len(values)), values.dtype)
    for place in range(len(values)):
        wide[place] = values[place]
    return wide


@njit(cache=True, nogil=True)
def count_words(data: Bytes, ends: np.ndarray, table: Bytes, digits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the different words of texts: where each is first, its bytes, and how often it is there.

    Texts lie one after another in `data`, up to `ends`, int64[texts]. The results are int64, int32, int64[words].
    """
    starts, sizes = np.empty(1 << 12, np.int64), np.empty(1 << 12, np.int32)
    counts, slots = np.empty(1 << 12, np.int64), np.full(1 << 13, -1, np.int32)
    words = 0
    at: Number = 0
    for stop in ends:
        while at < stop:
            end = word_end(data, at, stop, table, digits)
            slot = find(data, at, end - at, data, starts, sizes, slots)
            number = slots[slot]
            if number >= 0:
                counts[number] += 1
            else:
                slots[slot] = words
                starts[words], sizes[words], counts[words] = at, end - at, 1
                words += 1
                if words == len(starts):
                    starts, sizes, counts = room(starts, words + 1), room(sizes, words + 1), room(counts, words + 1)
                    slots = np.full(4 * words, -1, np.int32)
                    for known in range(words):
                        size = np.int64(sizes[known])
                        slots[find(data, starts[known], size, data, starts, sizes, slots)] = known
            at = end
    return starts[:words].copy(), sizes[:words].copy(), counts[:words].copy()
