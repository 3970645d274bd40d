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
from stages.quality.decoding import Bytes, before, character
from stages.quality.repetition import mix

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
_WIDE_END = int(Kind.WIDE_END)
_LAST_HAN = int(Kind.FUNCTION)
_SEED = np.uint64(0x243F6A8885A308D3)
_PRIME = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def newlines(data: Bytes, start: int, stop: int) -> int:
    """Returns the newlines in data[start:stop]."""
    total = 0
    for at in range(start, stop):
        total += data[at] == 10
    return total


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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
def describe(data: Bytes, start: int, stop: int, kinds: NDArray[np.uint8], row: NDArray[np.int64]) -> None:
    """Counts by what the trimmed line data[start:stop] begins and ends with."""
    row[Count.BULLET_LINES] += _STARTS[kinds[character(data, start)[0]]]
    last = before(data, stop)
    point = character(data, last)[0]
    kind = kinds[point]
    dots = kind == _FULL_STOP or (kind == _WIDE_END and point == 0x3002)
    size = stop - last
    if dots and last - 2 * size >= start:
        for at in range(size):
            dots = dots and data[last + at] == data[last - size + at] == data[last - 2 * size + at]
    else:
        dots = False
    row[Count.ELLIPSIS_LINES] += dots or kind == _ELLIPSIS
    closed = CLOSES[kind]
    if _ASCII_ENDS[kind] and point < 0x80 and last > start:
        closed = kinds[character(data, before(data, last))[0]] <= _LAST_HAN
    row[Count.CLOSED_LINES] += closed


@njit(cache=True, nogil=True)
def read_line(data: Bytes, start: int, stop: int) -> tuple[int, np.uint64, int, int]:
    """Reads data[start:stop] up to its first newline.

    Returns where the line ends, the hash of its bytes, its characters, and its cell borders (tabs, `|`, ─ to ╿).
    """
    key, characters, borders, at = _SEED, 0, 0, start
    while at < stop and data[at] != 10:
        byte = data[at]
        key = (key ^ np.uint64(byte)) * _PRIME
        characters += byte & 0xC0 != 0x80
        borders += byte == 9 or byte == 124 or (byte == 0xE2 and 0x94 <= data[at + 1] <= 0x95)
        at += 1
    return at, key, characters, borders


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
    """Adds the lines of the document data[start:stop] to its counts `row`. The tables have room."""
    size = 4
    while size < 2 * min(newlines(data, start, stop) + 1, window):
        size *= 2
    mask = np.uint64(size - 1)
    known_lines[:size] = np.uint64(0)
    known_paragraphs[:size] = np.uint64(0)
    paragraph, paragraph_characters, held = _SEED, 0, 0
    at = start
    while at <= stop:
        while at < stop and data[at] == 32:
            at += 1
        end, key, characters, borders = read_line(data, at, stop)
        first, last = at, end
        if at < end and (data[at] <= 32 or data[at] >= 0x80 or data[end - 1] <= 32 or data[end - 1] >= 0x80):
            first, last = trim(data, at, end, kinds)
            if last - first < end - at:
                _, key, characters, borders = read_line(data, first, last)
        at = end + 1
        if first < last:
            row[Count.LINES] += 1
            row[Count.LINE_CHARACTERS] += characters
            row[Count.TABLE_LINES] += borders >= 2
            row[Count.SHORT_LINES] += characters <= SHORT_LINE
            row[Count.SHORT_LINE_CHARACTERS] += characters if characters < TINY_LINE else 0
            describe(data, first, last, kinds, row)
            if seen(known_lines, mask, mix(key, np.uint64(0))):
                row[Count.DUPLICATE_LINES] += 1
                row[Count.DUPLICATE_LINE_CHARACTERS] += characters
            paragraph = mix(paragraph, key)
            paragraph_characters += characters
            held += 1
        if paragraph_characters > 0 and (first >= last or at > stop):
            row[Count.PARAGRAPHS] += 1
            if seen(known_paragraphs, mask, paragraph):
                row[Count.DUPLICATE_PARAGRAPHS] += 1
                row[Count.DUPLICATE_PARAGRAPH_CHARACTERS] += paragraph_characters
            paragraph, paragraph_characters = _SEED, 0
        if held == window:
            known_lines[:size] = np.uint64(0)
            known_paragraphs[:size] = np.uint64(0)
            held = 0
