"""What lines and paragraphs are like, and which of them repeat.

A line is text between newlines without the space around it; blank lines count for nothing but as borders of paragraphs.
Two lines are duplicates if their bytes are equal, two paragraphs if their lines are. Repetition is looked for among a
window of lines at a time, so that no document needs more memory than that.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stages.quality.characters import Kind
from stages.quality.counts import SHORT_LINE, TINY_LINE, Count
from stages.quality.decoding import (
    Bytes,
    Number,
    before,
    capital_bytes,
    character,
    continuing_bytes,
    eight,
    first_bytes,
    first_equal,
    first_marked,
    marked,
)
from stages.quality.repetition import bits_for

_STARTS = np.array([kind in (Kind.BULLET, Kind.DASH, Kind.STAR) for kind in Kind])
_SPACES = np.array([kind in (Kind.SPACE, Kind.TAB) for kind in Kind])
_ASCII_ENDS = np.array([kind in (Kind.PUNCTUATION, Kind.COMMA) for kind in Kind])
CLOSES = np.array(
    [
        kind
        in (
            Kind.FULL_STOP,
            Kind.JOINER,
            Kind.CLOSING,
            Kind.NARROW_END,
            Kind.WIDE_END,
            Kind.WIDE_CLOSING,
            Kind.ELLIPSIS,
        )
        for kind in Kind
    ]
)
_ELLIPSIS = int(Kind.ELLIPSIS)
_FULL_STOP = int(Kind.FULL_STOP)
_LAST_HAN = int(Kind.FUNCTION)
_NEWLINE = int(Kind.NEWLINE)
_SEED = np.uint64(0x243F6A8885A308D3)
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_NEWLINES, _TABS, _PIPES, _BOXES = (np.uint64(byte * 0x0101010101010101) for byte in (10, 9, 124, 0xE2))
# How a line ends, as bits: as FineWeb and FineWeb-2 want it; as C4 wants it; as C4 would where Chinese may end it too.
PUNCTUATED, TERMINAL, TERMINAL_WIDE = 1, 2, 4
_ASCII_TERMINALS = np.array([chr(byte) in ".!?'\"" for byte in range(128)])
_WIDE_TERMINALS = np.array([ord(end) for end in "。！？．…”’」』"])
_BOTH, _PUNCTUATED_ALONE = "。！？．", "｡‼‽⁇⁈⁉؟۔।॥።"
_OTHER_PUNCTUATED = np.array([ord(end) for end in _BOTH + _PUNCTUATED_ALONE])


@njit(cache=True, nogil=True, inline="always")
def trim(data: Bytes, start: int, stop: int, kinds: NDArray[np.uint8]) -> tuple[int, int]:
    """Returns the borders of data[start:stop] without the space around it."""
    while start < stop:
        point, after = character(data, start)
        if not _SPACES[kinds[point]]:
            break
        start = after
    while stop > start:
        last = before(data, stop)
        if not _SPACES[kinds[character(data, last)[0]]]:
            break
        stop = last
    return start, stop


@njit(cache=True, nogil=True, inline="always")
def seen(table: NDArray[np.uint64], mask: np.uint64, key: np.uint64) -> bool:
    """Returns whether `key` is in the table, and puts it there; 0 is a free slot."""
    key |= np.uint64(1) << np.uint64(63)
    slot = key & mask
    while table[slot] != 0:
        if table[slot] == key:
            return True
        slot = (slot + np.uint64(1)) & mask
    table[slot] = key
    return False


@njit(cache=True, nogil=True)
def ends_thrice(data: Bytes, start: int, stop: int) -> bool:
    """Returns whether the last character of data[start:stop] stands there three times in a row."""
    last = before(data, stop)
    size = stop - last
    if last - 2 * size < start:
        return False
    for at in range(last, stop):
        if not data[at] == data[at - size] == data[at - 2 * size]:
            return False
    return True


@njit(cache=True, nogil=True)
def among(point: Number, points: NDArray[np.int64]) -> bool:
    """Returns whether the character is one of `points`."""
    for other in points:
        if other == point:
            return True
    return False


@njit(cache=True, nogil=True, inline="always")
def ending(data: Bytes, start: int, stop: int) -> int:
    """Returns the bits above for the trimmed line data[start:stop], which is not empty."""
    point = character(data, before(data, stop))[0]
    if point < 128:
        if not _ASCII_TERMINALS[point]:
            return 0
        dots = point == 0x2E and ends_thrice(data, start, stop)
        return PUNCTUATED if dots else PUNCTUATED | TERMINAL | TERMINAL_WIDE
    punctuated = PUNCTUATED if among(point, _OTHER_PUNCTUATED) else 0
    return punctuated | TERMINAL_WIDE if among(point, _WIDE_TERMINALS) else punctuated


@njit(cache=True, nogil=True, inline="always")
def describe(data: Bytes, start: int, stop: int, kinds: NDArray[np.uint8], row: NDArray[np.int64]) -> None:
    """Counts by what the trimmed line data[start:stop] begins and ends with."""
    row[Count.BULLET_LINES] += _STARTS[kinds[character(data, start)[0]]]
    last = before(data, stop)
    point = character(data, last)[0]
    kind = kinds[point]
    dots = (kind == _FULL_STOP or point == 0x3002) and ends_thrice(data, start, stop)
    row[Count.ELLIPSIS_LINES] += dots or kind == _ELLIPSIS
    closed = CLOSES[kind]
    if _ASCII_ENDS[kind] and point < 0x80 and last > start:
        closed = kinds[character(data, before(data, last))[0]] <= _LAST_HAN
    row[Count.CLOSED_LINES] += closed
    row[Count.PUNCTUATED_LINES] += ending(data, start, stop) & PUNCTUATED


@njit(cache=True, nogil=True, inline="always")
def mix(left: np.uint64, right: np.uint64) -> np.uint64:
    """Returns a hash of two hashes in order."""
    mixed = (left ^ right) * _PRIME
    return mixed ^ (mixed >> _HALF)


@njit(cache=True, nogil=True, inline="always")
def borders(data: Bytes, start: int, stop: int) -> int:
    """Returns the cell borders that begin in data[start:stop]: tabs, `|`, ─ to ╿."""
    total = 0
    for at in range(start, stop):
        byte = data[at]
        total += byte == 9 or byte == 124 or (byte == 0xE2 and 0x94 <= data[at + 1] <= 0x95)
    return total


@njit(cache=True, nogil=True)
def read_line(data: Bytes, start: int, stop: int) -> tuple[int, np.uint64, int, int, int]:
    """Reads data[start:stop] up to its first newline.

    Returns where the line ends, the hash of its bytes, its characters, its cell borders, and its letters A to Z.
    """
    key, characters, cells, capitals, at, amount = _SEED, 0, 0, 0, start, 8
    while at < stop and amount == 8:
        part = eight(data, at, stop)
        amount = min(stop - at, 8)
        newline = first_equal(part, _NEWLINES)
        if newline != 0:
            amount = first_marked(newline)
        if amount < 8:
            part = first_bytes(part, amount)
            if amount == 0:
                break
        key = mix(key, part)
        characters += amount - marked(continuing_bytes(part))
        capitals += marked(capital_bytes(part))
        if first_equal(part, _TABS) | first_equal(part, _PIPES) | first_equal(part, _BOXES):
            cells += borders(data, at, at + amount)
        at += amount
    return at, mix(key, np.uint64(at - start)), characters, cells, capitals


@njit(cache=True, nogil=True)
def count_lines(
    data: Bytes,
    start: int,
    stop: int,
    kinds: NDArray[np.uint8],
    window: int,
    known_lines: NDArray[np.uint64],
    known_paragraphs: NDArray[np.uint64],
    row: NDArray[np.int64],
) -> None:
    """Adds the lines of the document data[start:stop] to its counts `row`, which hold its newlines.

    The tables have room for them, or for a window of them.
    """
    size = 1 << bits_for(2 * min(row[_NEWLINE] + 1, window))
    mask = np.uint64(size - 1)
    known_lines[:size] = np.uint64(0)
    known_paragraphs[:size] = np.uint64(0)
    paragraph, paragraph_characters, held = _SEED, 0, 0
    at = start
    while at <= stop:
        while at < stop and data[at] == 32:
            at += 1
        end, key, characters, cells, capitals = read_line(data, at, stop)
        first, last = at, end
        if at < end and (data[at] <= 32 or data[at] >= 0x80 or data[end - 1] <= 32 or data[end - 1] >= 0x80):
            first, last = trim(data, at, end, kinds)
            if last - first < end - at:
                _, key, characters, cells, capitals = read_line(data, first, last)
        at = end + 1
        if first < last:
            row[Count.LINES] += 1
            row[Count.LINE_CHARACTERS] += characters
            row[Count.TABLE_LINES] += cells >= 2
            row[Count.CAPITAL_LINES] += 2 * capitals > characters
            row[Count.SHORT_LINES] += characters <= SHORT_LINE
            row[Count.SHORT_LINE_CHARACTERS] += characters if characters < TINY_LINE else 0
            describe(data, first, last, kinds, row)
            if seen(known_lines, mask, key):
                row[Count.DUPLICATE_LINES] += 1
                row[Count.DUPLICATE_LINE_CHARACTERS] += characters
            paragraph = mix(paragraph, key)
            paragraph_characters += characters
            held += 1
            if held == window:
                known_lines[:size] = np.uint64(0)
                known_paragraphs[:size] = np.uint64(0)
                held = 0
        if paragraph_characters > 0 and (first >= last or at > stop):
            row[Count.PARAGRAPHS] += 1
            if seen(known_paragraphs, mask, paragraph):
                row[Count.DUPLICATE_PARAGRAPHS] += 1
                row[Count.DUPLICATE_PARAGRAPH_CHARACTERS] += paragraph_characters
            paragraph, paragraph_characters = _SEED, 0
