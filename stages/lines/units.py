"""The lines or paragraphs of documents, and what each is known by.

A *line* ends with its line break. A *paragraph* is a run of lines with a letter, a digit or a mark, and goes on to the
next one: blank lines behind it are its own. So the units of a document are all of its bytes, in order. Lines between
fences (``` or ~~~, indented by three spaces at most) are *fenced*; a fence that is not closed goes on to the end. Lines
that begin with a bar are *rows* of a table. A paragraph is what one of its lines is.

A unit is known by 128 bits: of its folded view (case, width, punctuation, spaces, Traditional and Simplified apart;
with `numbers` all digits are one), or of its bytes without line breaks around them. `plain.py` is the readable twin.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from datapipe import Resource
from stages.buffers import utf8
from stages.dedup.fold import CODE_BITS, CODE_MASK, WORD, FoldTable, load
from stages.dedup.signature import PLACE_STEPS, TOKEN_SEED, mix
from stages.exact.keys import folded

FENCED: Final = 1
BLANK: Final = 2
ROW: Final = 4
FENCE: Final = 3  # marks that make a fence, and spaces that may stand before them
BAR: Final = ord("|")
STEPS: Final = PLACE_STEPS

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.uint8]


class Units(NamedTuple):
    """The units of some documents, in order.

    Unit n is the bytes from `borders[n]` (int64[units + 1]) of `data` on; `document` is its row, `place` the number of
    units before it there (int64[units]); `flags` uint8[units] are of FENCED, BLANK and ROW.
    """

    data: Bytes
    borders: Places
    document: Places
    place: Places
    flags: Flags


def cut(texts: pa.Array, unit: Literal["line", "paragraph"]) -> Units:
    """Returns the units of texts; a null has none."""
    data, offsets = utf8(texts)
    breaks = np.flatnonzero(data[offsets[0] : offsets[-1]] == 10) + offsets[0]
    most = len(breaks) + len(texts)
    table, flags = np.empty((2, most + 1), np.int64), np.empty(most, np.uint8)
    found = _cut(data, offsets, breaks, unit == "paragraph", table, flags)
    document = table[1, :found]
    place = np.arange(found) - np.searchsorted(document, document)
    return Units(data, table[0, : found + 1], document, place, flags[:found])


@njit(cache=True, nogil=True)
def _cut(data: Bytes, offsets: Places, breaks: Places, paragraphs: bool, table: Places, flags: Flags) -> int:
    """Fills table[begin, document] and `flags`, and the end behind the last unit; returns how many units there are."""
    found, line = 0, 0
    for document in range(len(offsets) - 1):
        at, stop = offsets[document], offsets[document + 1]
        in_fence, goes_on, is_first = False, False, True
        while at < stop:
            end = stop
            if line < len(breaks) and breaks[line] < stop:
                end = breaks[line] + 1
                line += 1
            mark = _mark(data, at, end)
            is_fence = mark - at <= FENCE and _is_fence(data, mark, end)
            is_blank = mark == end
            if is_first or not paragraphs or not (goes_on or is_blank):
                table[0, found], table[1, found], flags[found] = at, document, BLANK
                found += 1
            if not is_blank:
                flags[found - 1] &= ~np.uint8(BLANK)
            if in_fence or is_fence:
                flags[found - 1] |= FENCED
            if not is_blank and data[mark] == BAR:
                flags[found - 1] |= ROW
            in_fence ^= is_fence
            goes_on, is_first, at = not is_blank, False, end
    table[0, found] = offsets[-1]
    return found


@njit(cache=True, nogil=True)
def _mark(data: Bytes, at: int, end: int) -> int:
    """Returns where the first character that is no space stands, `end` where there is none."""
    while at < end:
        byte = data[at]
        if byte == 32 or 9 <= byte <= 13:
            at += 1
        elif byte == 0xE3 and data[at + 1] == 0x80 and data[at + 2] == 0x80:  # the ideographic space
            at += 3
        elif byte == 0xC2 and data[at + 1] == 0xA0:  # the space that does not break
            at += 2
        else:
            break
    return at


@njit(cache=True, nogil=True)
def _is_fence(data: Bytes, at: int, end: int) -> bool:
    if at + FENCE > end or (data[at] != 96 and data[at] != 126):
        return False
    return bool(data[at + 1] == data[at] and data[at + 2] == data[at])


class Keys(NamedTuple):
    """What units are known by, uint64[units, 2], and the tokens of their folded views, int64[units]."""

    hashes: Hashes
    tokens: Places


@dataclass(frozen=True)
class View:
    """What of a unit counts: its folded view, in which digits may all be one, or (`exact`) its bytes."""

    fold: Resource
    numbers: bool = False
    exact: bool = False

    def keys(self, units: Units) -> Keys:
        """Returns what units are known by."""
        borders = np.ascontiguousarray(units.borders)
        buffers = [None, pa.py_buffer(borders), pa.py_buffer(units.data)]
        texts = pa.Array.from_buffers(pa.large_string(), len(units.document), buffers)
        view = folded(texts, _table(self.fold, self.numbers))
        if self.exact:
            hashes = np.empty_like(view.hashes)
            _hash(units.data, borders, hashes)
            return Keys(hashes, view.tokens)
        return Keys(view.hashes, view.tokens)


@functools.lru_cache(maxsize=4)
def _table(fold: Resource, numbers: bool) -> FoldTable:
    """Returns the frozen table, with `numbers` one in which each digit is a 0."""
    held = load(fold)
    if not numbers:
        return held
    made = []
    for entries in held:
        code = entries & np.uint32(CODE_MASK)
        is_digit = (entries >> np.uint32(CODE_BITS) == WORD) & (code >= ord("0")) & (code <= ord("9"))
        made.append(np.where(is_digit, np.uint32(WORD << CODE_BITS | ord("0")), entries))
        made[-1].flags.writeable = False
    return FoldTable(*made)


@njit(cache=True, nogil=True)
def _hash(data: Bytes, borders: Places, hashes: Hashes) -> None:
    """Fills `hashes`, uint64[units, 2], with two chains over the words of eight bytes of each unit."""
    for unit in range(len(borders) - 1):
        begin, end = borders[unit], borders[unit + 1]
        while end > begin and (data[end - 1] == 10 or data[end - 1] == 13):
            end -= 1
        while begin < end and (data[begin] == 10 or data[begin] == 13):
            begin += 1
        first, second, word = TOKEN_SEED, ~TOKEN_SEED, np.uint64(0)
        for place in range(end - begin):
            word |= np.uint64(data[begin + place]) << np.uint64(8 * (place & 7))
            if place & 7 == 7 or place == end - begin - 1:
                first, second = mix((first ^ word) * STEPS[0]), mix((second ^ word) * STEPS[1])
                word = np.uint64(0)
        hashes[unit, 0] = mix((first ^ np.uint64(end - begin)) * STEPS[1])
        hashes[unit, 1] = mix((second ^ np.uint64(end - begin)) * STEPS[0])
