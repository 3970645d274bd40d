"""Characters by kind, units (words), sentences, verse and contact details of a document, in one pass over its bytes.

A unit is one letter of a script written without spaces (Han, kana, Thai, Khmer, …), or a run of other letters, digits
and their marks; an apostrophe between letters and a point or comma between digits are inside a unit, so `don't` and
`3.14` are one, `well-known` and `foo_bar` two. Units tell capitals apart. Punctuation is no unit.

Against datatrove's English (spaCy's tokens): there `don't` is two tokens, a URL or `U.S.` one, and punctuation is a
token in n-grams and in the divisor of the alphabetic share, as it is not here.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stages.quality.characters import Kind
from stages.quality.contacts import STATE, expect_account, find_contact, names_messenger
from stages.quality.counts import STOP_WORDS, VERSE_CLAUSE, VERSE_LINE, Count
from stages.quality.decoding import Bytes, Number, character
from stages.quality.lines import CLOSES
from stages.quality.repetition import Room, count_repetition, room

_SEED = np.uint64(0x13198A2E03707344)
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_HT, _WW, _WE, _WX, _QQ, _VX = (int.from_bytes(pair) for pair in (b"ht", b"ww", b"we", b"wx", b"qq", b"vx"))
_SHORTEST_CLAUSE, _LONGEST_CLAUSE = VERSE_CLAUSE

_FUNCTION, _SINGLE, _LATIN, _LETTER = int(Kind.FUNCTION), int(Kind.SINGLE), int(Kind.LATIN), int(Kind.LETTER)
_DIGIT, _NUMBER, _MARK, _NEWLINE = int(Kind.DIGIT), int(Kind.NUMBER), int(Kind.MARK), int(Kind.NEWLINE)
_JOINER, _FULL_STOP, _COMMA = int(Kind.JOINER), int(Kind.FULL_STOP), int(Kind.COMMA)
_NARROW_END, _WIDE_END, _ELLIPSIS = int(Kind.NARROW_END), int(Kind.WIDE_END), int(Kind.ELLIPSIS)


def _hash(word: str) -> np.uint64:
    key = int(_SEED)
    for letter in word:
        key = (key ^ ord(letter)) * int(_PRIME) % 2**64
    return np.uint64(key)


def stop_buckets() -> NDArray[np.uint64]:
    """Returns the hashes of the stop words, each at the place that its top byte names: no two have one (tested)."""
    table = np.zeros(256, np.uint64)
    for word in STOP_WORDS:
        table[int(_hash(word)) >> 56] = _hash(word)
    return table


class Tools(NamedTuple):
    """What `count_words` writes beside the counts; made once a batch by `tools`."""

    stamps: NDArray[np.int32]  # for each code point below 0x40000, the stamp of the last document that held it
    stop_words_met: NDArray[np.uint8]  # by the places of `stop_buckets`
    contact: NDArray[np.int64]
    line: NDArray[np.int64]
    marks: NDArray[np.int64]
    room: Room


def tools(units: int) -> Tools:
    """Returns what documents, or windows, of at most `units` units are measured with."""
    return Tools(
        np.zeros(0x40000, np.int32),
        np.zeros(256, np.uint8),
        np.zeros(STATE, np.int64),
        np.zeros(4, np.int64),
        np.zeros(3, np.int64),
        room(units),
    )


@njit(cache=True, nogil=True)
def joins(kind: Number, last: Number, following: Number) -> bool:
    """Returns whether a character is inside the word before it: a mark, or what stands between letters or digits.

    `last` is the kind of the character before it, `following` the byte after it.
    """
    if kind == _JOINER:
        return bool((last == _LATIN or last == _LETTER) and 97 <= following | 32 <= 122)
    number = last == _DIGIT and 48 <= following <= 57
    return bool(kind == _MARK or ((kind == _FULL_STOP or kind == _COMMA) and number))


@njit(cache=True, nogil=True)
def may_be_contact(first: Number, second: Number, letters: int, width: int) -> bool:
    """Returns whether `find_contact` must see a word: digits in it, or beginning as the names in contacts.py do."""
    pair = (first | 32) << 8 | second | 32
    name = pair == _HT or pair == _WW or pair == _WE or pair == _WX or pair == _QQ or pair == _VX
    return bool(letters < width or name)


@njit(cache=True, nogil=True)
def end_clause(length: int, line: NDArray[np.int64]) -> None:
    """Adds a run of Han to its line, int64[4]: Han, clauses, Han of clauses as long as the one before, that length."""
    line[0] += length
    line[1] += 1
    if length == line[3] and _SHORTEST_CLAUSE <= length <= _LONGEST_CLAUSE:
        line[2] += length
    line[3] = length


@njit(cache=True, nogil=True)
def end_line(last: Number, line: NDArray[np.int64], row: NDArray[np.int64]) -> None:
    """Counts the line's Han if it is verse: closed, and of short clauses or of clauses of equal length."""
    short = line[0] <= VERSE_LINE and 2 * line[0] <= 15 * line[1]
    if CLOSES[last] and (short or 2 * line[2] >= line[0]):
        row[Count.VERSE_HAN] += line[0]
    line[0] = line[1] = line[2] = 0


@njit(cache=True, nogil=True)
def add_mark(
    data: Bytes, at: int, after: int, following: Number, kind: Number, marks: NDArray[np.int64], row: NDArray[np.int64]
) -> None:
    """Counts sentences and ellipses at punctuation.

    `marks`, int64[3]: end of the last character that ends a sentence, end and length of the last run of dots.
    """
    if kind == _FULL_STOP or (kind == _WIDE_END and data[after - 1] == 0x82 and data[at] == 0xE3):
        same = marks[1] == at and data[at - 1] == data[after - 1]
        marks[2] = marks[2] + 1 if same else 1
        marks[1] = after
        row[Count.ELLIPSES] += marks[2] % 3 == 0
    ends = kind == _NARROW_END or kind == _WIDE_END or kind == _ELLIPSIS
    if ends or (kind == _FULL_STOP and following <= 32):
        row[Count.SENTENCES] += marks[0] != at
        marks[0] = after


@njit(cache=True, nogil=True)
def count_words(
    data: Bytes,
    start: int,
    stop: int,
    kinds: NDArray[np.uint8],
    stop_words: NDArray[np.uint64],
    stamp: int,
    window: int,
    tools: Tools,
    row: NDArray[np.int64],
) -> None:
    """Adds characters, units and what is made of them of the document data[start:stop] to its counts `row`.

    `stamp` is a number, not zero, that no other document has that `tools` were used for; `window` the units, which
    `tools` have room for, among which repetition is looked for.
    """
    stamps, stop_words_met, contact, line, marks, room = tools
    hashes, widths = room.hashes, room.widths
    stop_words_met[:] = 0
    contact[:] = 0
    line[:] = 0
    marks[:] = -1
    units, words, last, at, begin = 0, 0, np.int64(_NEWLINE), start, start
    key, width, letters, clause, previous = _SEED, 0, 0, 0, np.int64(0)
    while at <= stop:  # one turn more than there are characters ends what is open
        kind, point, after = np.int64(_NEWLINE), np.int64(0), at + 1
        if at < stop:
            point, after = character(data, at)
            kind = np.int64(kinds[point])
            row[kind] += 1
        following = data[after] if after < stop else 0
        if _LATIN <= kind <= _NUMBER or (width > 0 and kind <= _COMMA and joins(kind, last, following)):
            if width == 0:
                key, letters, begin = _SEED, 0, at
                if clause > 0:
                    end_clause(clause, line)
                    clause = 0
            key = (key ^ np.uint64(point)) * _PRIME
            width += 1
            letters += int(kind <= _LETTER)
            last, at = kind, after
            continue
        if width > 0:
            hashes[units] = key
            widths[units] = width << 1 | 1
            units += 1
            words += 1
            row[Count.WORD_CHARACTERS] += width
            row[Count.ALPHABETIC_WORDS] += letters > 0
            if stop_words[key >> np.uint64(56)] == key:
                stop_words_met[key >> np.uint64(56)] = 1
            if may_be_contact(data[begin], data[min(begin + 1, stop - 1)], letters, width):
                find_contact(data, begin, at, stop, width, words, contact, row)
            width = 0
            if units == window:
                count_repetition(units, room, row)
                units = 0
        if kind <= _SINGLE:
            hashes[units] = (_SEED ^ np.uint64(point)) * _PRIME
            widths[units] = 2
            units += 1
            words += 1
            if units == window:
                count_repetition(units, room, row)
                units = 0
        if kind <= _FUNCTION:
            if stamps[point] != stamp:
                stamps[point] = stamp
                row[Count.DISTINCT_HAN] += 1
            if clause > 0 and names_messenger(previous, point):
                expect_account(words, contact)
            clause += 1
            previous = point
        elif clause > 0:
            end_clause(clause, line)
            clause = 0
        if kind == _NEWLINE:
            end_line(last, line, row)
        elif _FULL_STOP <= kind <= _ELLIPSIS:
            add_mark(data, at, after, following, kind, marks, row)
        if kind < _MARK or kind > _NEWLINE:
            last = kind
        at = after
    count_repetition(units, room, row)
    singles = row[:_LATIN].sum()
    row[Count.WORDS] += words
    row[Count.WORD_CHARACTERS] += singles
    row[Count.ALPHABETIC_WORDS] += singles
    row[Count.STOP_WORDS] += stop_words_met.sum()
