"""Texts as units: words in lower case, and single characters of scripts that are written without spaces.

They are the tokens of the folded view of deduplication (see `stages.dedup.fold`): punctuation and the spaces around Han
are in none, and Traditional characters are as their Simplified ones, so that both standards are measured alike. A unit
is known by a hash, and by where it stands in the text, so that it can be shown as it is written.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from stages.buffers import utf8
from stages.dedup.fold import CODE_BITS, CODE_MASK, EXPANDS, IGNORED, MARK, SINGLE, WORD, fold_table, load
from stages.quality.decoding import character

LETTERS: Final = 0  # a word that has a letter
DIGITS: Final = 1  # a word of digits
CHARACTER: Final = 2  # a single character
_SEED: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_HALF: Final = np.uint64(32)

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Halves = npt.NDArray[np.uint32]


class Units(NamedTuple):
    """The units of texts in a row; those of text n are from `bounds[n]` up to `bounds[n + 1]`.

    `starts` and `ends` are places in `data`, the UTF-8 of all texts; `kinds` LETTERS, DIGITS or CHARACTER.
    """

    hashes: Hashes
    starts: Places
    ends: Places
    kinds: Bytes
    bounds: Places
    data: Bytes

    def text(self, first: int, last: int) -> str:
        """Returns the text from one unit up to the end of another, as it is written."""
        return bytes(self.data[self.starts[first] : self.ends[last]]).decode("utf-8", "replace")


def units_of(texts: pa.Array) -> Units:
    """Returns the units of a string column; null has none."""
    fold = load(fold_table())
    data, offsets = utf8(texts)
    room = 2 * int(offsets[-1] - offsets[0]) + 16  # a character of three bytes expands to six units at the most
    hashes, kinds = np.empty(room, np.uint64), np.empty(room, np.uint8)
    starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
    bounds = np.zeros(len(offsets), np.int64)
    made = _units(data, offsets, fold.table, fold.expansions, hashes, starts, ends, kinds, bounds)
    return Units(hashes[:made], starts[:made], ends[:made], kinds[:made], bounds, data)


def hash_of(unit: str) -> int:
    """Returns the hash of a unit of the folded view; the plain twin of what the kernel makes."""
    value = int(_SEED)
    for letter in unit:
        value = (value ^ ord(letter)) * int(_PRIME) % 2**64
    value ^= value >> 32
    value = value * int(_MIX) % 2**64
    return value ^ value >> 32


@njit(cache=True, nogil=True)
def _units(
    data: Bytes,
    offsets: Places,
    table: Halves,
    expansions: Halves,
    hashes: Hashes,
    starts: Places,
    ends: Places,
    kinds: Bytes,
    bounds: Places,
) -> int:
    """Fills the arrays of Units and returns how many there are."""
    made = 0
    for text in range(len(offsets) - 1):
        place, end = offsets[text], offsets[text + 1]
        word, is_open, digits, first, last = _SEED, False, True, place, place
        while place < end:
            at = place
            code, place = character(data, place)
            entry = np.int64(table[code]) if code < len(table) else np.int64(0)
            expands = entry >> CODE_BITS == EXPANDS
            number = entry & CODE_MASK
            for step in range(np.int64(expansions[number]) if expands else np.int64(1)):
                own = np.int64(expansions[number + 1 + step]) if expands else entry
                kind, letter = own >> CODE_BITS, own & CODE_MASK
                if kind == WORD or (kind == MARK and is_open):
                    if not is_open:
                        is_open, digits, first = True, True, at
                    word = (word ^ np.uint64(letter)) * _PRIME
                    digits = digits and bool(48 <= letter < 58)
                    last = place
                elif kind not in (MARK, IGNORED):
                    if is_open:
                        hashes[made], starts[made], ends[made] = _mixed(word), first, last
                        kinds[made] = DIGITS if digits else LETTERS
                        made, word, is_open = made + 1, _SEED, False
                    if kind == SINGLE:
                        hashes[made] = _mixed((_SEED ^ np.uint64(letter)) * _PRIME)
                        starts[made], ends[made], kinds[made] = at, place, CHARACTER
                        made += 1
        if is_open:
            hashes[made], starts[made], ends[made] = _mixed(word), first, last
            kinds[made] = DIGITS if digits else LETTERS
            made += 1
        bounds[text + 1] = made
    return made


@njit(cache=True, nogil=True)
def _mixed(value: np.uint64) -> np.uint64:
    value ^= value >> _HALF
    value *= _MIX
    return value ^ value >> _HALF
