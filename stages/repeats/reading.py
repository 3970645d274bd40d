"""The tokens of one text with the bytes they stand at, in pieces: for texts of which it is known that they repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np

from stages.decontaminate.grams import GRAM_PRIME, ROOM, prefix_sums, read_tokens
from stages.dedup.fold import FoldTable
from stages.dedup.signature import MIXERS, Bytes, Hashes, Offsets, Whole

PIECE: Final = 1 << 16  # tokens; with their hashes and bytes 2 MB


class Piece(NamedTuple):
    """Tokens from number `first` on: their hashes, and the bytes from and to; all arrays int64[tokens] or uint64."""

    first: int
    hashes: Hashes
    starts: Offsets
    ends: Offsets


def pieces(data: Bytes, fold: FoldTable, *, overlap: int = 0) -> Iterator[Piece]:
    """Yields the tokens of UTF-8 in pieces; each begins with the last `overlap` tokens of the one before.

    The arrays of a piece are good until the next is asked for.
    """
    room = overlap + min(PIECE, 2 * len(data)) + ROOM
    hashes, single = np.zeros(room, np.uint64), np.zeros(room, np.uint8)
    starts, ends = np.zeros(room, np.int64), np.zeros(room, np.int64)
    place: Whole = 0
    held, is_open, first = 0, False, 0
    while place < len(data):
        place, filled, is_open = read_tokens(
            data,
            np.int64(place),
            np.int64(len(data)),
            fold.table,
            fold.expansions,
            np.int64(room - ROOM),
            np.int64(held),
            hashes,
            single,
            starts,
            ends,
            bool(is_open),
        )
        yield Piece(first, hashes[:filled], starts[:filled], ends[:filled])
        gone = max(0, int(filled) - overlap)
        held = int(filled) - gone
        first += gone
        for array in (hashes, single, starts, ends):
            array[: held + 1] = array[gone : gone + held + 1].copy()  # and the word that is open


def passage_keys(piece: Piece, length: int) -> Hashes:
    """Returns the hash of each passage of `length` tokens of a piece, uint64[passages]."""
    sums = np.empty(len(piece.hashes) + 1, np.uint64)
    prefix_sums(piece.hashes, np.int64(len(piece.hashes)), sums)
    if len(sums) <= length:
        return np.zeros(0, np.uint64)
    power = np.uint64(pow(int(GRAM_PRIME), length, 1 << 64))
    value = sums[length:] - sums[:-length] * power
    value = (value ^ (value >> np.uint64(33))) * MIXERS[0]
    mixed: Hashes = value ^ (value >> np.uint64(29))
    return mixed


class Located(NamedTuple):
    """Where tokens of a text lie, by number: the byte each begins `at`, and the byte `before` it where one ends.

    That of the first token's is 0; behind the last one stands the text's end.
    """

    data: Bytes
    at: dict[int, int]
    before: dict[int, int]
    total: int  # tokens of the text

    def extent(self, start: int, end: int) -> tuple[int, int]:
        """Returns the bytes of the tokens from `start` up to `end`."""
        return self.at[start], self.before[end]

    def joined(self, other: Located) -> Located:
        """Returns what both know of one text."""
        return self._replace(at=self.at | other.at, before=self.before | other.before)

    def width(self, start: int, end: int) -> int:
        """Returns how long the tokens from `start` up to `end` are: characters, those of three and four bytes twice."""
        first, last = self.extent(start, end)
        data = self.data[first:last]
        return int(np.count_nonzero((data & 0xC0) != 0x80) + np.count_nonzero(data >= 0xE0))


def locate(data: Bytes, fold: FoldTable, tokens: Iterable[int]) -> Located:
    """Returns where tokens lie, by number, and where the text ends."""
    wanted = np.array(sorted(set(tokens)), np.int64)
    at, before, total = np.full(len(wanted), len(data), np.int64), np.zeros(len(wanted), np.int64), 0
    for piece in pieces(data, fold):
        total = piece.first + len(piece.starts)
        for shift, filled, places in ((1, before, piece.ends), (0, at, piece.starts)):
            first, last = np.searchsorted(wanted, [piece.first + shift, total + shift])
            filled[first:last] = places[wanted[first:last] - shift - piece.first]
    numbers = wanted.tolist()
    located = Located(
        data, dict(zip(numbers, at.tolist(), strict=True)), dict(zip(numbers, before.tolist(), strict=True)), total
    )
    located.at.setdefault(total, len(data))
    located.before.setdefault(total, len(data))
    return located
