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
from stages.quality.counts import STOP_HAN, STOP_WORDS, VERSE_CLAUSE, VERSE_LINE, Count
from stages.quality.decoding import (
    HIGH,
    Bytes,
    Number,
    before,
    character,
    digit_bytes,
    eight,
    first_bytes,
    first_marked,
    letter_bytes,
)
from stages.quality.lines import CLOSES, TERMINAL, TERMINAL_WIDE, ending, trim
from stages.quality.phrases import LONGEST_WORD, find_phrase, may_matter
from stages.quality.repetition import Room, count_repetition, room
from stages.vectors import BLOCK, bits_set, first_bit, masks

_SEED = np.uint64(0x13198A2E03707344)
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_HALF, _TOP_BYTE = np.uint64(32), np.uint64(56)
_ALONE = np.uint64(1 << 63)  # marks a part of a hash that is one character
_SHORTEST_CLAUSE, _LONGEST_CLAUSE = VERSE_CLAUSE
_STOP_HAN = np.array([ord(han) for han in STOP_HAN])

_FUNCTION, _SINGLE, _LATIN, _LETTER = int(Kind.FUNCTION), int(Kind.SINGLE), int(Kind.LATIN), int(Kind.LETTER)
_DIGIT, _NUMBER, _MARK, _NEWLINE = int(Kind.DIGIT), int(Kind.NUMBER), int(Kind.MARK), int(Kind.NEWLINE)
_JOINER, _FULL_STOP, _COMMA = int(Kind.JOINER), int(Kind.FULL_STOP), int(Kind.COMMA)
_NARROW_END, _WIDE_END, _ELLIPSIS = int(Kind.NARROW_END), int(Kind.WIDE_END), int(Kind.ELLIPSIS)
_SPACE, _TAB = int(Kind.SPACE), int(Kind.TAB)
_ONE = np.uint64(1)

# What is known of the line so far: places in an int64[LINE].
_HAN = 0
_CLAUSES = 1
_REGULAR = 2  # Han of clauses as long as the one before
_LENGTH = 3  # of the last clause; of the line before as long as there is none
_BEGIN = 4  # byte at which the line begins
_WORDS = 5  # units of the document before the line
_SENTENCES = 6  # sentences of the document before the line
_SPOILT = 7  # whether C4 drops the line for a word or phrase
_OPEN = 8  # Han of a clause that a full window interrupted
LINE = 9
C4_WORDS = 3  # a line of fewer is dropped


@njit(cache=True, nogil=True)
def mix(key: np.uint64, part: np.uint64) -> np.uint64:
    """Returns the hash of a word of which `key` is the hash so far and `part` the next letters or character."""
    mixed = (key ^ part) * _PRIME
    return mixed ^ (mixed >> _HALF)


def stop_buckets() -> NDArray[np.uint64]:
    """Returns the hashes of the stop words, each at the place that its top byte names: no two have one (tested)."""
    table = np.zeros(256, np.uint64)
    for word in STOP_WORDS:
        key = mix(_SEED, np.uint64(int.from_bytes(word.encode(), "little")))
        table[int(key) >> 56] = key
    return table


class Tools(NamedTuple):
    """What `count_words` writes beside the counts; made once a batch by `tools`."""

    stamps: NDArray[np.int32]  # for each code point below 0x40000, the stamp of the last document that held it
    stop_words_met: NDArray[np.uint8]  # by the places of `stop_buckets`
    contact: NDArray[np.int64]
    line: NDArray[np.int64]
    marks: NDArray[np.int64]
    tail: NDArray[np.uint8]
    room: Room


def tools(units: int) -> Tools:
    """Returns what documents, or windows, of at most `units` units are measured with."""
    return Tools(
        np.zeros(0x40000, np.int32),
        np.zeros(256, np.uint8),
        np.zeros(STATE, np.int64),
        np.zeros(LINE, np.int64),
        np.zeros(3, np.int64),
        np.zeros(BLOCK, np.uint8),
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


@njit(cache=True, nogil=True, inline="always")
def end_clause(length: int, line: NDArray[np.int64]) -> None:
    """Adds a run of Han to its line."""
    line[_HAN] += length
    line[_CLAUSES] += 1
    if length == line[_LENGTH] and _SHORTEST_CLAUSE <= length <= _LONGEST_CLAUSE:
        line[_REGULAR] += length
    line[_LENGTH] = length


@njit(cache=True, nogil=True)
def last_kind(data: Bytes, start: int, stop: int, kinds: NDArray[np.uint8]) -> int:
    """Returns the kind of the last character of data[start:stop] that is no mark or space; there is one."""
    kind = _MARK
    while stop > start and (kind == _MARK or kind == _SPACE or kind == _TAB):
        stop = before(data, stop)
        kind = int(kinds[character(data, stop)[0]])
    return kind


@njit(cache=True, nogil=True)
def end_line(
    data: Bytes,
    end: int,
    words: int,
    kinds: NDArray[np.uint8],
    line: NDArray[np.int64],
    row: NDArray[np.int64],
) -> None:
    """Counts what the line that ends before byte `end` is, and begins the next; `words` are the document's so far.

    Its Han are verse if it is closed, and of short clauses or of clauses of equal length. C4 keeps it if it has three
    words, ends a sentence and holds no phrase of phrases.py.
    """
    if line[_HAN] > 0 and CLOSES[last_kind(data, line[_BEGIN], end, kinds)]:
        short = line[_HAN] <= VERSE_LINE and 2 * line[_HAN] <= 15 * line[_CLAUSES]
        row[Count.VERSE_HAN] += line[_HAN] if short or 2 * line[_REGULAR] >= line[_HAN] else 0
    if words - line[_WORDS] >= C4_WORDS and line[_SPOILT] == 0:
        first, stop = trim(data, line[_BEGIN], end, kinds)
        bits = ending(data, first, stop)
        sentences = max(row[Count.SENTENCES] - line[_SENTENCES], 1)
        row[Count.C4_SENTENCES] += sentences if bits & TERMINAL else 0
        row[Count.C4_SENTENCES_WIDE] += sentences if bits & TERMINAL_WIDE else 0
    line[_HAN] = line[_CLAUSES] = line[_REGULAR] = line[_SPOILT] = 0
    line[_BEGIN] = end + 1
    line[_WORDS] = words
    line[_SENTENCES] = row[Count.SENTENCES]


@njit(cache=True, nogil=True, inline="always")
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
def count_ascii(
    data: Bytes, start: int, stop: int, kinds: NDArray[np.uint8], tail: Bytes, row: NDArray[np.int64]
) -> None:
    """Counts the ASCII characters of data[start:stop] by their kind."""
    for at in range(start, stop, BLOCK):
        letters, digits, spaces, newlines, _, high = masks(data, at, stop, tail)
        row[_LATIN] += bits_set(letters)
        row[_DIGIT] += bits_set(digits)
        row[_SPACE] += bits_set(spaces)
        row[_NEWLINE] += bits_set(newlines)
        others = ~(letters | digits | spaces | newlines | high)
        if stop - at < BLOCK:
            others &= (_ONE << np.uint64(stop - at)) - _ONE
        while others != 0:
            row[kinds[data[at + first_bit(others)]]] += 1
            others &= others - _ONE


@njit(cache=True, nogil=True)
def read_ascii(data: Bytes, at: int, stop: int, key: np.uint64) -> tuple[int, np.uint64, np.uint64, np.uint64]:
    """Reads ASCII letters and digits from byte `at` on.

    Returns where they end, the hash of a word that goes on with them, and two numbers: not zero if there are letters,
    and if there are digits.
    """
    letters, digits, amount = np.uint64(0), np.uint64(0), 8
    while amount == 8:
        part = eight(data, at, stop)
        latin, digit = letter_bytes(part), digit_bytes(part)
        others = ~(latin | digit) & HIGH
        if others != 0:
            amount = first_marked(others)
            if amount == 0:
                break
            latin, digit, part = first_bytes(latin, amount), first_bytes(digit, amount), first_bytes(part, amount)
        letters |= latin
        digits |= digit
        key = mix(key, part)
        at += amount
    return at, key, letters, digits


@njit(cache=True, nogil=True)
def hash_ascii(data: Bytes, at: int, end: int, stop: int) -> np.uint64:
    """Returns the hash of the word data[at:end] of ASCII letters and digits, as `read_ascii` does."""
    key = _SEED
    while end - at >= 8:
        key = mix(key, eight(data, at, stop))
        at += 8
    return mix(key, first_bytes(eight(data, at, stop), end - at)) if end > at else key


@njit(cache=True, nogil=True)
def read_word(
    data: Bytes, at: int, stop: int, kinds: NDArray[np.uint8], row: NDArray[np.int64]
) -> tuple[int, np.uint64, int, np.uint64, np.uint64]:
    """Reads the word that begins at byte `at`, and counts those of its characters that are not ASCII.

    Returns where it ends, its hash, its characters, and what `read_ascii` does of letters and ASCII digits.
    """
    key, width, letters, digits, last = _SEED, 0, np.uint64(0), np.uint64(0), _NEWLINE
    while True:
        begin = at
        at, key, latin, digit = read_ascii(data, begin, stop, key)
        if at > begin:
            last = _LATIN if data[at - 1] >= 65 else _DIGIT
            width += at - begin
            letters |= latin
            digits |= digit
        if at == stop:
            break
        point, after = character(data, at)
        kind = int(kinds[point])
        following = data[after] if after < stop else 0
        if not (_LATIN <= kind <= _NUMBER or (kind <= _COMMA and joins(kind, last, following))):
            break
        row[kind] += point >= 128
        key = mix(key, np.uint64(point) | _ALONE)
        width += 1
        letters |= np.uint64(kind <= _LETTER)
        last, at = kind, after
    return at, key, width, letters, digits


@njit(cache=True, nogil=True)
def may_go_on(data: Bytes, at: int, stop: int) -> bool:
    """Returns whether the word whose ASCII letters and digits end before byte `at` may go on there."""
    if at == stop:
        return False
    byte = data[at]
    return bool(byte >= 128 or byte == 39 or ((byte == 44 or byte == 46) and data[at - 1] <= 57))


@njit(cache=True, nogil=True)
def read_wide(
    data: Bytes,
    at: int,
    stop: int,
    kinds: NDArray[np.uint8],
    stamp: int,
    window: int,
    so_far: tuple[int, int, int],
    stamps: NDArray[np.int32],
    state: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    room: tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint8]],
    row: NDArray[np.int64],
) -> tuple[int, bool, tuple[int, int, int]]:
    """Counts characters and units from byte `at` on, up to ASCII, a word of several letters, or the window's last unit.

    `so_far` are the units and their characters in `tools.room`, and the words of the document. Returns where it
    stopped, whether at a word, and the same again.
    """
    contact, line, marks = state
    hashes, ends, spaced = room
    units, total, words = so_far
    clause, previous, functions, distinct, word = line[_OPEN], np.int64(0), 0, 0, False
    if clause > 0:
        previous = character(data, before(data, at))[0]
        line[_OPEN] = 0
    while at < stop and data[at] >= 128 and units < window:
        point, after = character(data, at)
        kind = int(kinds[point])
        if kind > _FUNCTION:
            if clause > 0:
                end_clause(clause, line)
                row[0] += clause
                clause, previous = 0, np.int64(0)
            word = _LATIN <= kind <= _NUMBER
            if word:
                break
            row[kind] += 1
            if kind == _WIDE_END or kind == _NARROW_END or kind == _ELLIPSIS:
                add_mark(data, at, after, data[after] if after < stop else 0, kind, marks, row)
        if kind <= _SINGLE:
            hashes[units] = mix(_SEED, np.uint64(point) | _ALONE)
            spaced[units] = 0
            units += 1
            total += 1
            words += 1
            ends[units] = total
        if kind <= _FUNCTION:
            functions += kind
            distinct += stamps[point] != stamp
            stamps[point] = stamp
            if names_messenger(previous, point):
                expect_account(words, contact)
            previous = point
            clause += 1
        at = after
    if clause > 0 and units == window and at < stop and data[at] >= 128:
        line[_OPEN] = clause
    elif clause > 0:
        end_clause(clause, line)
        row[0] += clause
    row[0] -= functions
    row[_FUNCTION] += functions
    row[Count.DISTINCT_HAN] += distinct
    return at, word, (units, total, words)


@njit(cache=True, nogil=True, inline="always")
def add_mark_or_line(
    data: Bytes,
    at: int,
    stop: int,
    words: int,
    kinds: NDArray[np.uint8],
    line: NDArray[np.int64],
    marks: NDArray[np.int64],
    row: NDArray[np.int64],
) -> None:
    """Counts what ends at byte `at` with a newline, a full stop, ! or ?."""
    if data[at] == 10:
        end_line(data, at, words, kinds, line, row)
    else:
        following = data[at + 1] if at + 1 < stop else 0
        add_mark(data, at, at + 1, following, int(kinds[data[at]]), marks, row)


@njit(cache=True, nogil=True)
def add_meaning(
    data: Bytes,
    start: int,
    begin: int,
    end: int,
    stop: int,
    word: int,
    width: int,
    contact: NDArray[np.int64],
    line: NDArray[np.int64],
    row: NDArray[np.int64],
) -> None:
    """Counts the contact or phrase that the word data[begin:end] of the document data[start:stop] completes."""
    find_contact(data, start, begin, end, stop, width, word, contact, row)
    phrase = find_phrase(data, start, begin, end)
    row[Count.LOREM_IPSUM] += phrase == 0
    line[_SPOILT] |= phrase > 0 or width > LONGEST_WORD


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
    begin_document(data, start, stop, kinds, tools, row)
    room, met, state = tools.room, tools.stop_words_met, (tools.contact, tools.line, tools.marks)
    written = room.hashes, room.ends, room.spaced
    units, total, words, at, long, alphabetic = 0, 0, 0, start, 0, 0
    while at < stop:
        letters, digits, _, newlines, sentence_ends, wide = masks(data, at, stop, tools.tail)
        alphanumeric = letters | digits
        events = (alphanumeric & ~(alphanumeric << _ONE)) | newlines | sentence_ends | wide
        block, at = at, at + BLOCK
        while events != 0:  # what follows is left for another turn where a word or Han went on beyond the masks
            place = first_bit(events)
            begin, shift = block + place, np.uint64(place)
            events &= events - _ONE
            if (newlines | sentence_ends) >> shift & _ONE:
                add_mark_or_line(data, begin, stop, words, kinds, tools.line, tools.marks, row)
                continue
            width = first_bit(~(alphanumeric >> shift))
            end = begin + width
            if width == 0:
                so_far = units, total, words
                at, is_word, so_far = read_wide(
                    data, begin, stop, kinds, stamp, window, so_far, tools.stamps, state, written, row
                )
                units, total, words = so_far
                if units == window:
                    count_repetition(units, room, row)
                    units, total = 0, 0
                if not is_word:
                    break
                begin, events = at, np.uint64(0)
            if width == 0 or place + width == BLOCK or may_go_on(data, end, stop):
                at, key, width, latin, digit = read_word(data, begin, stop, kinds, row)
                end, events = at, np.uint64(0)
            else:
                inside = (_ONE << np.uint64(width)) - _ONE
                latin, digit = letters >> shift & inside, digits >> shift & inside
                key = hash_ascii(data, begin, end, stop)
            room.hashes[units] = key
            room.spaced[units] = 1
            units += 1
            total += width
            room.ends[units] = total
            words += 1
            long += width - 1
            alphabetic += latin != 0
            met[key >> _TOP_BYTE] |= stop_words[key >> _TOP_BYTE] == key
            if digit != 0 or may_matter(data[begin], data[min(begin + 1, stop - 1)], width):
                add_meaning(data, start, begin, end, stop, words, width, tools.contact, tools.line, row)
            if units == window:
                count_repetition(units, room, row)
                units, total = 0, 0
    end_line(data, stop, words, kinds, tools.line, row)
    count_repetition(units, room, row)
    row[Count.WORDS] += words
    row[Count.WORD_CHARACTERS] += words + long
    row[Count.ALPHABETIC_WORDS] += row[:_LATIN].sum() + alphabetic
    row[Count.STOP_WORDS] += met.sum()
    for han in _STOP_HAN:
        row[Count.STOP_HAN] += tools.stamps[han] == stamp


@njit(cache=True, nogil=True)
def begin_document(
    data: Bytes, start: int, stop: int, kinds: NDArray[np.uint8], tools: Tools, row: NDArray[np.int64]
) -> None:
    """Makes the tools ready for the document data[start:stop], and counts its ASCII characters."""
    tools.stop_words_met[:] = 0
    tools.contact[:] = 0
    tools.line[:] = 0
    tools.line[_BEGIN] = start
    tools.marks[:] = -1
    count_ascii(data, start, stop, kinds, tools.tail, row)
