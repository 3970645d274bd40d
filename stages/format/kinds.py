"""What a line is: the first that fits of these. Kernels; the plain twins are in `plain`.

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

from enum import IntEnum

import numpy as np
from numba import njit

from stages.format.scan import (
    BORDERS,
    COLONS,
    DOT,
    LENS_OPEN,
    MARKS,
    PAUSE,
    READ,
    SIZE,
    VISIBLE,
    WIDE,
    WIDE_COLON,
    point_at,
    point_class,
)
from stages.format.tables import Class, Lane, Limit


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


LABEL_SPACES = 3
BAR_CELL = 20  # bytes of a name between bars
NUMERALS = "一二三四五六七八九十"

_FNV_START, _FNV = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_LITERARY, _STOP, _OPEN = Class.LITERARY, Class.STOP, Class.OPEN
_CLOSE, _SPACE, _BORDER, _BULLET, _DASH = Class.CLOSE, Class.SPACE, Class.BORDER, Class.BULLET, Class.DASH
_NUMERALS = np.array(sorted(map(ord, NUMERALS)))
_WIDE_CLOSE, _LENS_CLOSE, _WIDE_OPEN = map(ord, "）】（")
_CHOICE, _ASK, _REPLY, _TURN, _ITEM = Kind.CHOICE, Kind.ASK, Kind.REPLY, Kind.TURN, Kind.ITEM
_QUOTE, _BAR, _MENU, _VERSE, _TEXT = Kind.QUOTE, Kind.BAR, Kind.MENU, Kind.VERSE, Kind.TEXT


@njit(cache=True, nogil=True)
def _label(data, start, stop, kinds, longest):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the hash of the letters of the label that the line begins with, 0 where it begins with none.

    A label is a few words and a colon (an ASCII one before a space or `*`), or stands in 【】.
    """
    key, spaces, at = _FNV_START, 0, start
    lens = point_at(data, start)[0] == LENS_OPEN
    while at < stop and at - start <= longest:
        point, after = point_at(data, at)
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
            kind = point_class(point, kinds)
            if point == WIDE_COLON or (lens and point == _LENS_CLOSE):
                return key if key != _FNV_START else np.uint64(0)
            if kind <= _LITERARY:  # or a letter
                key = (key ^ np.uint64(point)) * _FNV
            elif not (kind == _SPACE or point == LENS_OPEN):
                break
        at = after
    return np.uint64(0)


@njit(cache=True, nogil=True)
def has(words, key):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether `key` is among `words`."""
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
def is_bullet(data, start, kinds):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line begins with a bullet beyond ASCII."""
    return data[start] >= 0x80 and point_class(point_at(data, start)[0], kinds) == _BULLET


@njit(cache=True, nogil=True)
def is_bar(data, start, kinds):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line begins with `|` or a character that draws boxes."""
    return data[start] == 124 or (data[start] >= 0x80 and point_class(point_at(data, start)[0], kinds) == _BORDER)


@njit(cache=True, nogil=True)
def _calls(data, start, stop):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line has a bracket directly behind an ASCII letter or digit."""
    for at in range(start + 1, stop):
        before = data[at - 1]
        if data[at] == 40 and (97 <= before | 32 <= 122 or 48 <= before <= 57):
            return True
    return False


@njit(cache=True, nogil=True)
def looks_like_code(data, start, stop, indent, kinds, line, keywords, limits):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether three hints or more make the line one of code."""
    first, last = data[start], data[stop - 1]
    if is_bullet(data, start, kinds):
        return False
    symbols, visible = line[Lane.SYMBOL], line[VISIBLE]
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
    if last == 123 or (last == 125 and line[VISIBLE] < 4):  # { or }, } alone
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
    if 2 * line[WIDE] > visible:
        hints -= 2
    if last == 46 or last == 63 or last == 33:  # a sentence
        hints -= 1
    return hints >= 3


@njit(cache=True, nogil=True)
def _starts_item(data, start, stop, kinds):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line begins with a bullet or a number of a list, and has more."""
    first, at = point_at(data, start)
    if is_bullet(data, start, kinds):
        return at < stop
    if first == 45 or first == 42 or first == 43:  # - * +
        return at < stop and data[at] == 32
    bracket = first == 40 or first == _WIDE_OPEN
    if not bracket:
        at = start
    digits = 0
    while at < stop and digits < 4:
        point, after = point_at(data, at)
        if not (48 <= point <= 57 or (point >= 0x80 and has(_NUMERALS, point))):
            break
        digits += 1
        at = after
    if digits == 0 or digits == 4 or at >= stop:
        return False
    point, after = point_at(data, at)
    if after >= stop:
        return False
    if bracket:
        return point == 41 or point == _WIDE_CLOSE
    if point == 46 or point == 41:  # . )
        return not 48 <= data[after] <= 57
    return point == PAUSE or point == DOT


@njit(cache=True, nogil=True)
def _starts_choice(data, start, stop):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line begins as `A. `, `A)`, `(A)`, `A．` or `A、`, and has more."""
    at = start + (data[start] == 40)
    if stop - at < 3 or not 65 <= data[at] <= 72:
        return False
    point, after = point_at(data, at + 1)
    if after >= stop:
        return False
    if at > start:
        return point == 41
    if point == 46 or point == 41:
        return not (65 <= data[after] <= 90 or 97 <= data[after] <= 122)
    return point == DOT or point == PAUSE


@njit(cache=True, nogil=True)
def plain_kind(data, start, stop, kinds, line, asked, asks, replies, limits):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the kind of a line that is neither code nor a row, and the hash of its label or 0."""
    if _starts_choice(data, start, stop):
        return np.int64(_CHOICE), np.uint64(0)
    label = np.uint64(0)
    if line[COLONS] > 0:
        label = _label(data, start, stop, kinds, limits[Limit.LABEL])
    if label != 0:
        if has(asks, label):
            return np.int64(_ASK), label
        if asked > 0 and has(replies, label):
            return np.int64(_REPLY), label
        return np.int64(_TURN), label
    if _starts_item(data, start, stop, kinds):
        return np.int64(_ITEM), label
    first = point_at(data, start)[0]
    if first == 34 or (first >= 0x80 and (point_class(first, kinds) == _OPEN or point_class(first, kinds) == _DASH)):
        return np.int64(_QUOTE), label
    if line[BORDERS] >= 2 and line[SIZE] <= BAR_CELL * (line[BORDERS] + 1):
        return np.int64(_BAR), label
    if line[SIZE] <= limits[Limit.MENU] and line[MARKS] == 0:
        return np.int64(_MENU), label
    if line[SIZE] <= limits[Limit.VERSE]:
        return np.int64(_VERSE), label
    return np.int64(_TEXT), label


@njit(cache=True, nogil=True)
def is_fence(data, start, stop):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line begins with ``` or ~~~."""
    first = data[start]
    return (first == 96 or first == 126) and stop - start >= 3 and data[start + 1] == first and data[start + 2] == first


@njit(cache=True, nogil=True)
def ends_sentence(data, start, stop, kinds):  # type: ignore[no-untyped-def]  # numba infers
    """Says whether the line ends as a sentence does, or with what may stand behind its end."""
    last = stop - 1
    while data[last] & 0xC0 == 0x80:
        last -= 1
    point = point_at(data, last)[0]
    if point < 0x80:
        return point == 46 or point == 33 or point == 63 or point == 34 or point == 39
    kind = point_class(point, kinds)
    return kind == _STOP or kind == _CLOSE


@njit(cache=True, nogil=True)
def options(data, start, stop):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the options of a line of them that have an ASCII mark: its first, and those like ` B.` behind it."""
    found = np.int64(data[start + 1] < 0x80)
    for at in range(start + 2, min(stop, start + READ) - 1):
        found += data[at - 1] == 32 and 65 <= data[at] <= 72 and data[at + 1] == 46
    return found
