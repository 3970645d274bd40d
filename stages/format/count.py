"""What kinds of lines a document has: one pass over its bytes, in kernels. The plain twin is `plain.count`.

A line is text between newlines without the space around it; a blank one parts paragraphs. Its characters are looked at
up to `READ` bytes; what lies behind counts for its size alone. ASCII is counted in eight lanes of one word, a table
look-up and an addition a byte; beyond ASCII a character has a class. What a line begins and ends with, its size and
what it holds give its kind, the first that fits:

    CODE    between ``` or ~~~; or by symbols, keywords, indentation and ends; or indented below such a line
    ROW     cells between bars or tabs, as many as in the line before; or a bar at its beginning
    CHOICE  A. or (A): an option of a question
    ASK     a label that asks, `Q:` or 问：
    REPLY   one that answers, once something is asked
    TURN    another label, of a few words: who speaks
    ITEM    a bullet or a number
    QUOTE   a quotation mark or a dash
    BAR     short names between bars, alone
    MENU    a few words without punctuation
    VERSE   a line as short as one of verse
    TEXT    any other
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from stages.buffers import utf8
from stages.format.tables import Class, Lane, Limit, classes, lanes, rules


class Kind(IntEnum):
    """What a line is."""

    CODE = 0
    ROW = 1
    CHOICE = 2
    ASK = 3
    REPLY = 4
    TURN = 5
    ITEM = 6
    QUOTE = 7
    BAR = 8
    MENU = 9
    VERSE = 10
    TEXT = 11


KINDS = len(Kind)


class Count(IntEnum):
    """Columns of the counts of a document, behind the lines and the sizes (bytes) by kind."""

    PARAGRAPHS = 2 * KINDS
    TURN_PARAGRAPHS = 2 * KINDS + 1  # that begin with a TURN
    ASK_PARAGRAPHS = 2 * KINDS + 2  # that begin with ASK or REPLY
    CLOSED = 2 * KINDS + 3  # bytes of lines that end as sentences do
    OPEN = 2 * KINDS + 4  # short lines that do not
    MARKED = 2 * KINDS + 5  # short lines with a comma or a stop
    UPPER = 2 * KINDS + 6  # upper-case letters of short lines
    WORDS = 2 * KINDS + 7  # words between spaces of short lines
    HAN = 2 * KINDS + 8
    MODERN = 2 * KINDS + 9  # function words of modern Chinese
    CLAUSES = 2 * KINDS + 10  # runs of Han between punctuation and spaces
    EVEN = 2 * KINDS + 11  # Han in clauses of 4 to 8 as long as the one before
    SPEAKERS = 2 * KINDS + 12  # different labels of TURN, up to `MOST_SPEAKERS`
    CHOICES = 2 * KINDS + 13  # options, also inside lines
    POINTS = 2 * KINDS + 14  # marks of an exam: (5分)
    NAMES = 2 * KINDS + 15  # lines of TURN that are a label alone
    READ = 2 * KINDS + 16  # bytes of lines that were looked at
    RUNS_ON = 2 * KINDS + 17  # short lines that begin with a small letter


COUNTS = 2 * KINDS + len(Count)
READ = 128  # bytes of a line that are looked at: a line of verse, a name, a menu has fewer. A lane counts to 255
MOST_SPEAKERS = 64
SHORTEST_EVEN, LONGEST_EVEN = 4, 8
LABEL_SPACES = 3
BAR_CELL = 20  # bytes of a name between bars
NUMERALS = "一二三四五六七八九十"

# places in the measures of a line
_SIZE, _READ, _VISIBLE, _WIDE, _MODERN, _MARKS, _CHOICES, _POINTS, _BORDERS, _COLONS = range(8, 18)  # behind the lanes
_MEASURES = 18
# places in the state of a document
_LAST_CLAUSE, _CLAUSES, _EVEN = range(3)

_MARKS_LANES = np.uint64(0xFF << 8 * Lane.MARK | 0xFF << 8 * Lane.SPACE)
_BYTE = np.uint64(0xFF)
_BLOCK = 32
_FNV_START, _FNV = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_HAN, _MODERN_CLASS, _COMMA, _STOP, _OPEN = Class.HAN, Class.MODERN, Class.COMMA, Class.STOP, Class.OPEN
_CLOSE, _SPACE, _BORDER, _BULLET, _DASH = Class.CLOSE, Class.SPACE, Class.BORDER, Class.BULLET, Class.DASH
_LETTER, _OTHER = Class.LETTER, Class.OTHER
_NUMERALS = np.array(sorted(map(ord, NUMERALS)))
_FEN, _DOT, _PAUSE, _WIDE_COLON = ord("分"), ord("．"), ord("、"), ord("：")
_WIDE_CLOSE, _SHELL_CLOSE, _LENS_OPEN, _LENS_CLOSE, _WIDE_OPEN = map(ord, "）〕【】（")
_CODE, _ROW, _CHOICE, _ASK, _REPLY, _TURN = Kind.CODE, Kind.ROW, Kind.CHOICE, Kind.ASK, Kind.REPLY, Kind.TURN
_ITEM, _QUOTE, _BAR, _MENU, _VERSE, _TEXT = Kind.ITEM, Kind.QUOTE, Kind.BAR, Kind.MENU, Kind.VERSE, Kind.TEXT


def count(texts: pa.Array) -> npt.NDArray[np.int64]:
    """Returns the counts of each text: int64[texts, COUNTS]."""
    data, offsets = utf8(texts)
    known = rules()
    found: npt.NDArray[np.int64] = _count(
        data, offsets, lanes(), classes(), known.keywords, known.asks, known.replies, known.limits
    )
    return found


@njit(cache=True, nogil=True)
def _point(data, at):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the code point at `at` of valid UTF-8, and the byte after it."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, at + 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F, at + 2
    low = (np.int64(data[at + 1]) & 0x3F) << 6 | np.int64(data[at + 2]) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | low, at + 3
    return (first & 0x07) << 18 | low << 6 | np.int64(data[at + 3]) & 0x3F, at + 4


@njit(cache=True, nogil=True)
def _line_end(data, at, end):  # type: ignore[no-untyped-def]  # numba infers
    """Returns where the first newline of data[at:end] is, `end` where there is none."""
    while at + _BLOCK <= end:
        found = False
        for place in range(at, at + _BLOCK):  # without a way out, so that the compiler looks at all at once
            found |= data[np.uint64(place)] == 10
        if found:
            break
        at += _BLOCK
    while at < end and data[np.uint64(at)] != 10:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _class(point, kinds):  # type: ignore[no-untyped-def]  # numba infers
    return np.int64(kinds[point]) if point < len(kinds) else np.int64(_OTHER)


@njit(cache=True, nogil=True)
def _scan(data, start, end, table, kinds, line, state):  # type: ignore[no-untyped-def]  # numba infers
    """Measures the line at `start` into `line`, and its clauses into `state`; returns where the line ends.

    A clause ends at a mark or a space that stands directly behind a Han character, and with the line.
    """
    stop = min(end, start + READ)
    word = np.uint64(0)
    at, clause, narrow, wide, modern, marks, bars, spaces = start, 0, 0, 0, 0, 0, 0, 0
    colons = 0
    for place in range(_MEASURES):
        line[place] = 0
    while at < stop:
        byte = data[np.uint64(at)]
        if byte < 0x80:
            if clause > 0 and table[byte] & _MARKS_LANES != 0:
                _end_clause(clause, state)
                clause = 0
            first = at
            while byte < 0x80 and byte != 10:
                word += table[byte]
                at += 1
                if at == stop:
                    break
                byte = data[np.uint64(at)]
            narrow += at - first
            if byte == 10 and at < stop:
                break
        else:
            point, after = _point(data, at)
            kind = _class(point, kinds)
            if kind == _HAN or kind == _MODERN_CLASS:
                clause += 1
                wide += 1
                modern += kind == _MODERN_CLASS
                if point == _FEN and _is_points(data, at, start, after, end):
                    line[_POINTS] += 1
            else:
                narrow += 1
                mark = kind == _COMMA or kind == _STOP
                marks += mark
                bars += kind == _BORDER
                spaces += kind == _SPACE
                colons += point == _WIDE_COLON or point == _LENS_OPEN
                if (point == _DOT or point == _PAUSE) and _is_choice(data, at, start):
                    line[_CHOICES] += 1
                if clause > 0 and (mark or kind == _SPACE):
                    _end_clause(clause, state)
                    clause = 0
            at = after
    if clause > 0:
        _end_clause(clause, state)
    for lane in range(8):
        line[lane] = np.int64(word >> np.uint64(8 * lane) & _BYTE)
    line[_READ] = at - start
    line[_VISIBLE] = narrow + wide - line[Lane.SPACE] - spaces
    line[_WIDE], line[_MODERN] = wide, modern
    line[_MARKS] = marks + line[Lane.MARK]
    line[_COLONS] = colons + line[Lane.COLON]
    line[_BORDERS] = line[Lane.BORDER] + bars
    return _line_end(data, at, end)


@njit(cache=True, nogil=True)
def _end_clause(clause, state):  # type: ignore[no-untyped-def]  # numba infers
    state[_CLAUSES] += 1
    if clause == state[_LAST_CLAUSE] and SHORTEST_EVEN <= clause <= LONGEST_EVEN:
        state[_EVEN] += clause
    state[_LAST_CLAUSE] = clause


@njit(cache=True, nogil=True)
def _is_points(data, at, start, after, stop):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the 分 at `at` stands between a digit and a closing bracket, spaces aside."""
    while at > start and data[at - 1] == 32:
        at -= 1
    while after < stop and data[after] == 32:
        after += 1
    if at == start or not 48 <= data[at - 1] <= 57 or after == stop:
        return False
    point = _point(data, after)[0]
    return point == 41 or point == _WIDE_CLOSE or point == _SHELL_CLOSE


@njit(cache=True, nogil=True)
def _is_choice(data, at, start):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the mark at `at` is behind a letter from A to H that begins a line or a word."""
    return at > start and 65 <= data[at - 1] <= 72 and (at - 1 == start or data[at - 2] == 32)


@njit(cache=True, nogil=True)
def _skip(data, at, end, kinds):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the first byte of a line behind its space, and its indentation in columns."""
    indent = 0
    while at < end:
        byte = data[at]
        if byte == 32:
            indent += 1
            at += 1
        elif byte == 9:
            indent += 4
            at += 1
        elif byte == 13:
            at += 1
        elif byte >= 0x80:
            point, after = _point(data, at)
            if _class(point, kinds) != _SPACE:
                break
            at = after
        else:
            break
    return at, indent


@njit(cache=True, nogil=True)
def _strip(data, start, stop, kinds):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the end of a line before the space at its end."""
    while stop > start:
        last = stop - 1
        while data[last] & 0xC0 == 0x80:
            last -= 1
        point = _point(data, last)[0]
        if not (point == 32 or point == 9 or point == 13 or (point >= 0x80 and _class(point, kinds) == _SPACE)):
            break
        stop = last
    return stop


@njit(cache=True, nogil=True)
def _label(data, start, stop, kinds, longest):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the hash of the letters of the label that the line begins with, 0 where it begins with none.

    A label is a few words and a colon (an ASCII one before a space or `*`), or stands in 【】.
    """
    key, spaces, at = _FNV_START, 0, start
    lens = _point(data, start)[0] == _LENS_OPEN
    while at < stop and at - start <= longest:
        point, after = _point(data, at)
        if point < 0x80:
            if 65 <= point <= 90 or 97 <= point <= 122:
                key = (key ^ np.uint64(point | 32)) * _FNV
            elif point == 58:
                told = after == stop or data[after] == 32 or data[after] == 42
                return key if key != _FNV_START and told and not lens else np.uint64(0)
            elif point == 32:
                spaces += 1
                if spaces > LABEL_SPACES:
                    break
            elif not (48 <= point <= 57 or point == 46 or point == 42 or point == 35 or point == 39 or point == 45):
                break
        else:
            kind = _class(point, kinds)
            if point == _WIDE_COLON or (lens and point == _LENS_CLOSE):
                return key if key != _FNV_START else np.uint64(0)
            if kind == _HAN or kind == _MODERN_CLASS or kind == _LETTER:
                key = (key ^ np.uint64(point)) * _FNV
            elif not (kind == _SPACE or point == _LENS_OPEN):
                break
        at = after
    return np.uint64(0)


@njit(cache=True, nogil=True)
def _has(words, key):  # type: ignore[no-untyped-def]  # numba infers
    for word in words:
        if word == key:
            return True
    return False


@njit(cache=True, nogil=True)
def _is_keyword(data, start, stop, keywords):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line begins with a word of `keywords`, a hash table."""
    key, at = _FNV_START, start
    while at < stop and 97 <= data[at] | 32 <= 122:
        key = (key ^ np.uint64(data[at])) * _FNV
        at += 1
    if at == start or (at < stop and data[at] >= 0x80):
        return False
    slot = np.int64(key & np.uint64(0xFF))
    while keywords[slot] != 0:
        if keywords[slot] == key:
            return True
        slot = (slot + 1) & 0xFF
    return False


@njit(cache=True, nogil=True)
def _is_bullet(data, start, kinds):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line begins with a bullet beyond ASCII."""
    return data[start] >= 0x80 and _class(_point(data, start)[0], kinds) == _BULLET


@njit(cache=True, nogil=True)
def _is_bar(data, start, kinds):  # type: ignore[no-untyped-def]  # numba infers
    return data[start] == 124 or (data[start] >= 0x80 and _class(_point(data, start)[0], kinds) == _BORDER)


@njit(cache=True, nogil=True)
def _calls(data, start, stop):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line has a bracket directly behind an ASCII letter or digit."""
    for at in range(start + 1, stop):
        before = data[at - 1]
        if data[at] == 40 and (97 <= before | 32 <= 122 or 48 <= before <= 57):
            return True
    return False


@njit(cache=True, nogil=True)
def _looks_like_code(data, start, stop, indent, kinds, line, keywords, limits):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether three hints or more make the line one of code."""
    first, last = data[start], data[stop - 1]
    if _is_bullet(data, start, kinds):
        return False
    symbols, visible = line[Lane.SYMBOL], line[_VISIBLE]
    if first == 47 and stop - start > 2 and (data[start + 1] == 47 or data[start + 1] == 42):  # // and /*
        return True
    if first == 62 and stop - start > 3 and data[start + 1] == 62 and data[start + 2] == 62:  # >>>
        return True
    if symbols == 0 and last != 58 and last != 40 and last != 41:
        return False
    hints = 0
    if symbols >= 2:
        share = 100 * symbols
        if share >= limits[Limit.MANY_SYMBOLS] * visible:
            hints += 3
        elif share >= limits[Limit.SYMBOLS] * visible:
            hints += 2
        elif share >= limits[Limit.FEW_SYMBOLS] * visible:
            hints += 1
    if last == 123 or (last == 125 and line[_VISIBLE] < 4):  # { or }, } alone
        hints += 3
    elif last == 125:
        hints += 2
    elif last == 59:  # ;
        hints += 1 + 2 * (stop - start > 1 and data[stop - 2] == 41 and _calls(data, start, stop))
    elif last == 58 and stop - start > 1 and data[stop - 2] == 41:  # ):
        hints += 1
    if first == 60 and last == 62:  # < >
        hints += 2
    hints += indent >= limits[Limit.INDENT]
    if symbols > (last == 59) or last == 58 or last == 40:
        hints += 2 * _is_keyword(data, start, stop, keywords)
    if 2 * line[_WIDE] > visible:
        hints -= 2
    if last == 46 or last == 63 or last == 33:  # a sentence
        hints -= 1
    return hints >= 3


@njit(cache=True, nogil=True)
def _starts_item(data, start, stop, kinds):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line begins with a bullet or a number of a list, and has more."""
    first, at = _point(data, start)
    if _is_bullet(data, start, kinds):
        return at < stop
    if first == 45 or first == 42 or first == 43:  # - * +
        return at < stop and data[at] == 32
    bracket = first == 40 or first == _WIDE_OPEN
    if not bracket:
        at = start
    digits = 0
    while at < stop and digits < 4:
        point, after = _point(data, at)
        if not (48 <= point <= 57 or (point >= 0x80 and _has(_NUMERALS, point))):
            break
        digits += 1
        at = after
    if digits == 0 or digits == 4 or at >= stop:
        return False
    point, after = _point(data, at)
    if after >= stop:
        return False
    if bracket:
        return point == 41 or point == _WIDE_CLOSE
    if point == 46 or point == 41:  # . )
        return not 48 <= data[after] <= 57
    return point == _PAUSE or point == _DOT


@njit(cache=True, nogil=True)
def _starts_choice(data, start, stop):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line begins as `A. `, `A)`, `(A)`, `A．` or `A、`, and has more."""
    at = start + (data[start] == 40)
    if stop - at < 3 or not 65 <= data[at] <= 72:
        return False
    point, after = _point(data, at + 1)
    if after >= stop:
        return False
    if at > start:
        return point == 41
    if point == 46 or point == 41:
        return not (65 <= data[after] <= 90 or 97 <= data[after] <= 122)
    return point == _DOT or point == _PAUSE


@njit(cache=True, nogil=True)
def _options(data, start, stop):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the options of a line of them that have an ASCII mark: its first, and those like ` B.` behind it."""
    found = np.int64(data[start + 1] < 0x80)
    for at in range(start + 2, min(stop, start + READ) - 1):
        found += data[at - 1] == 32 and 65 <= data[at] <= 72 and data[at + 1] == 46
    return found


@njit(cache=True, nogil=True)
def _closes(data, start, stop, kinds):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line ends as a sentence does, or with what may stand behind its end."""
    last = stop - 1
    while data[last] & 0xC0 == 0x80:
        last -= 1
    point = _point(data, last)[0]
    if point < 0x80:
        return point == 46 or point == 33 or point == 63 or point == 34 or point == 39
    kind = _class(point, kinds)
    return kind == _STOP or kind == _CLOSE


@njit(cache=True, nogil=True)
def _plain_kind(data, start, stop, kinds, line, asked, asks, replies, limits):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the kind of a line that is neither code nor a row, and the hash of its label or 0."""
    if _starts_choice(data, start, stop):
        return np.int64(_CHOICE), np.uint64(0)
    label = np.uint64(0)
    if line[_COLONS] > 0:
        label = _label(data, start, stop, kinds, limits[Limit.LABEL])
    if label != 0:
        if _has(asks, label):
            return np.int64(_ASK), label
        if asked > 0 and _has(replies, label):
            return np.int64(_REPLY), label
        return np.int64(_TURN), label
    if _starts_item(data, start, stop, kinds):
        return np.int64(_ITEM), label
    first = _point(data, start)[0]
    if first == 34 or (first >= 0x80 and (_class(first, kinds) == _OPEN or _class(first, kinds) == _DASH)):
        return np.int64(_QUOTE), label
    if line[_BORDERS] >= 2 and line[_SIZE] <= BAR_CELL * (line[_BORDERS] + 1):
        return np.int64(_BAR), label
    if line[_SIZE] <= limits[Limit.MENU] and line[_MARKS] == 0:
        return np.int64(_MENU), label
    if line[_SIZE] <= limits[Limit.VERSE]:
        return np.int64(_VERSE), label
    return np.int64(_TEXT), label


@njit(cache=True, nogil=True)
def _is_fence(data, start, stop):  # type: ignore[no-untyped-def]  # numba infers
    first = data[start]
    return (first == 96 or first == 126) and stop - start >= 3 and data[start + 1] == first and data[start + 2] == first


@njit(cache=True, nogil=True)
def _add_line(data, start, stop, kinds, line, kind, opens, row):  # type: ignore[no-untyped-def]  # numba infers
    """Adds a line of a kind to the counts of its document; `opens`: it begins a paragraph."""
    row[kind] += 1
    row[kind + KINDS] += line[_SIZE]
    row[Count.PARAGRAPHS] += opens
    row[Count.TURN_PARAGRAPHS] += opens and kind == _TURN
    row[Count.ASK_PARAGRAPHS] += opens and (kind == _ASK or kind == _REPLY)
    row[Count.HAN] += line[_WIDE]
    row[Count.MODERN] += line[_MODERN]
    row[Count.CHOICES] += line[_CHOICES]
    row[Count.POINTS] += line[_POINTS]
    row[Count.READ] += line[_READ]
    row[Count.NAMES] += kind == _TURN and (data[stop - 1] == 58 or _point(data, stop - 3)[0] == _WIDE_COLON)
    closes = _closes(data, start, stop, kinds)
    row[Count.CLOSED] += line[_SIZE] if closes else 0
    if line[_SIZE] <= 0 or kind == _CODE or kind == _ROW or kind == _TEXT:
        return
    row[Count.OPEN] += not closes
    row[Count.MARKED] += line[_MARKS] > 0
    row[Count.RUNS_ON] += 97 <= data[start] <= 122
    row[Count.UPPER] += line[Lane.UPPER]
    row[Count.WORDS] += line[Lane.SPACE] + 1


@njit(cache=True, nogil=True)
def _count(data, offsets, table, kinds, keywords, asks, replies, limits):  # type: ignore[no-untyped-def]  # numba infers
    counts = np.zeros((len(offsets) - 1, COUNTS), np.int64)
    line = np.zeros(_MEASURES, np.int64)
    speakers = np.zeros(MOST_SPEAKERS, np.uint64)
    for document in range(len(offsets) - 1):
        row = counts[document]
        state = np.zeros(3, np.int64)
        fenced = in_code = was_bar = False
        opens = True
        bars = known = size_before = 0
        kind_before = np.int64(_TEXT)
        at, end = offsets[document], offsets[document + 1]
        while at < end:
            start, indent = _skip(data, at, end, kinds)
            if start == end or data[start] == 10:
                opens, bars = True, 0
                at = start + 1
                continue
            at = _scan(data, start, end, table, kinds, line, state) + 1
            last = _strip(data, start, at - 1, kinds)
            line[_SIZE] = last - start
            label = np.uint64(0)
            fence = _is_fence(data, start, last)
            in_code = in_code and indent >= limits[Limit.INDENT] and not _is_bullet(data, start, kinds)
            if fence or fenced:
                fenced = fenced != fence
                kind = np.int64(_CODE)
            elif in_code or _looks_like_code(data, start, last, indent, kinds, line, keywords, limits):
                kind, in_code = np.int64(_CODE), True
            elif line[_BORDERS] > 0 and (line[_BORDERS] == bars or _is_bar(data, start, kinds)):
                kind = np.int64(_ROW)
                if was_bar and line[_BORDERS] == bars:  # the first row of a table looked like another line
                    row[kind_before] -= 1
                    row[kind_before + KINDS] -= size_before
                    row[_ROW] += 1
                    row[_ROW + KINDS] += size_before
            else:
                kind, label = _plain_kind(data, start, last, kinds, line, row[_ASK], asks, replies, limits)
            if kind == _TURN and known < MOST_SPEAKERS and not _has(speakers[:known], label):
                speakers[known] = label
                known += 1
            if kind == _CHOICE:
                row[Count.CHOICES] += _options(data, start, last)
            _add_line(data, start, last, kinds, line, kind, opens, row)
            opens, bars, kind_before, size_before = False, line[_BORDERS], kind, line[_SIZE]
            was_bar = bars > 0 and kind != _ROW and kind != _CODE
        row[Count.CLAUSES], row[Count.EVEN], row[Count.SPEAKERS] = state[_CLAUSES], state[_EVEN], known
    return counts
