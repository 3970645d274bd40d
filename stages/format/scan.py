"""Measures one line: its characters by class, its clauses, its indentation. Kernels; the plain twin is `plain.Line`.

ASCII is counted in eight lanes of one word, a table look-up and an addition a byte; beyond ASCII a character has a
class. Only the first `READ` bytes of a line are looked at.
"""

import numpy as np
from numba import njit

from stages.format.tables import Class, Lane

READ = 128  # bytes of a line that are looked at: a line of verse, a name, a menu has fewer. A lane counts to 255
LONGEST_EVEN = 8  # Han of clauses of verse, the shortest have `FOUR`
FOUR = 4

# places in the measures of a line, behind the lanes; `SEEN` is the bytes looked at, `VISIBLE` characters but spaces
SIZE, SEEN, VISIBLE, WIDE, MODERN, LITERARY, MARKS, CHOICES, POINTS, BORDERS, COLONS = range(8, 19)
MEASURES = 19
# places in the state of a document
LAST_CLAUSE, CLAUSES, EVEN, FOURS, SENTENCES = range(5)
STATES = 5
DOT, PAUSE, WIDE_COLON, LENS_OPEN = map(ord, "．、：【")

_GAP, _MARK, _END = range(3)  # what ends a clause: space or 、 as between names, another mark, what ends a sentence
_SPACE_LANE, _MARK_LANE = np.uint64(0xFF << 8 * Lane.SPACE), np.uint64(0xFF << 8 * Lane.MARK)
_BYTE = np.uint64(0xFF)
_BLOCK = 32
_HAN, _MODERN_CLASS, _LITERARY_CLASS, _COMMA, _STOP = (
    Class.HAN, Class.MODERN, Class.LITERARY, Class.COMMA, Class.STOP
)  # fmt: skip
_SPACE, _BORDER, _OTHER = Class.SPACE, Class.BORDER, Class.OTHER
_FEN, _WIDE_CLOSE, _SHELL_CLOSE = map(ord, "分）〕")


@njit(cache=True, nogil=True)
def point_at(data, at):  # type: ignore[no-untyped-def]  # numba infers
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
def point_class(point, kinds):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the class of a code point beyond ASCII, by the table `kinds`."""
    return np.int64(kinds[point]) if point < len(kinds) else np.int64(_OTHER)


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
def scan(data, start, end, table, kinds, line, state):  # type: ignore[no-untyped-def]  # numba infers
    """Measures the line at `start` into `line`, and its clauses into `state`; returns where the line ends.

    A clause ends at a mark or a space that stands directly behind a Han character, and with the line: as a sentence
    where the line has marks, else as a name.
    """
    stop = min(end, start + READ)
    word = np.uint64(0)
    at, clause, narrow, wide, modern, literary, marks, bars, spaces = start, 0, 0, 0, 0, 0, 0, 0, 0
    colons = 0
    for place in range(MEASURES):
        line[place] = 0
    while at < stop:
        byte = data[np.uint64(at)]
        if byte < 0x80:
            if clause > 0 and table[byte] & (_SPACE_LANE | _MARK_LANE) != 0:
                stops = byte == 46 or byte == 33 or byte == 63  # . ! ?
                _end_clause(clause, _END if stops else _MARK if table[byte] & _MARK_LANE != 0 else _GAP, state)
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
            point, after = point_at(data, at)
            kind = point_class(point, kinds)
            if _HAN <= kind <= _LITERARY_CLASS:
                clause += 1
                wide += 1
                modern += kind == _MODERN_CLASS
                literary += kind == _LITERARY_CLASS
                if point == _FEN and _is_points(data, at, start, after, end):
                    line[POINTS] += 1
            else:
                narrow += 1
                mark = kind == _COMMA or kind == _STOP
                marks += mark
                bars += kind == _BORDER
                spaces += kind == _SPACE
                colons += point == WIDE_COLON or point == LENS_OPEN
                if (point == DOT or point == PAUSE) and _is_choice(data, at, start):
                    line[CHOICES] += 1
                if clause > 0 and (mark or kind == _SPACE):
                    _end_clause(clause, _END if kind == _STOP else _MARK if mark and point != PAUSE else _GAP, state)
                    clause = 0
            at = after
    for lane in range(8):
        line[lane] = np.int64(word >> np.uint64(8 * lane) & _BYTE)
    line[MARKS] = marks + line[Lane.MARK]
    if clause > 0:
        _end_clause(clause, _END if line[MARKS] > 0 else _GAP, state)
    line[SEEN] = at - start
    line[VISIBLE] = narrow + wide - line[Lane.SPACE] - spaces
    line[WIDE], line[MODERN], line[LITERARY] = wide, modern, literary
    line[COLONS] = colons + line[Lane.COLON]
    line[BORDERS] = line[Lane.BORDER] + bars
    return _line_end(data, at, end)


@njit(cache=True, nogil=True)
def _end_clause(clause, by, state):  # type: ignore[no-untyped-def]  # numba infers
    state[CLAUSES] += 1
    state[SENTENCES] += by == _END
    if by != _GAP and clause == state[LAST_CLAUSE] and FOUR <= clause <= LONGEST_EVEN:
        state[FOURS if clause == FOUR else EVEN] += clause
    state[LAST_CLAUSE] = clause if by != _GAP else 0


@njit(cache=True, nogil=True)
def _is_points(data, at, start, after, stop):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the 分 at `at` stands between a digit and a closing bracket, spaces aside."""
    while at > start and data[at - 1] == 32:
        at -= 1
    while after < stop and data[after] == 32:
        after += 1
    if at == start or not 48 <= data[at - 1] <= 57 or after == stop:
        return False
    point = point_at(data, after)[0]
    return point == 41 or point == _WIDE_CLOSE or point == _SHELL_CLOSE


@njit(cache=True, nogil=True)
def _is_choice(data, at, start):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the mark at `at` is behind a letter from A to H that begins a line or a word."""
    return at > start and 65 <= data[at - 1] <= 72 and (at - 1 == start or data[at - 2] == 32)


@njit(cache=True, nogil=True)
def skip(data, at, end, kinds):  # type: ignore[no-untyped-def]  # numba infers
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
            point, after = point_at(data, at)
            if point_class(point, kinds) != _SPACE:
                break
            at = after
        else:
            break
    return at, indent


@njit(cache=True, nogil=True)
def strip(data, start, stop, kinds):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the end of a line before the space at its end."""
    while stop > start:
        last = stop - 1
        while data[last] & 0xC0 == 0x80:
            last -= 1
        point = point_at(data, last)[0]
        if not (point == 32 or point == 9 or point == 13 or (point >= 0x80 and point_class(point, kinds) == _SPACE)):
            break
        stop = last
    return stop
