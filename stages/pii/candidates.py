"""Where in the bytes of a text a personal detail may begin: one pass that most text leaves with nothing found.

A candidate is the byte of a sign @ between letters, or of the first digit of a group of digits. Which groups are
candidates is decided by the lengths of the groups that follow, joined by at most three of ` -.()`; it is wider than
what `find` takes, never narrower: `find` on all groups and on the candidates finds the same (tested). A group does not
begin behind a letter, digit or `_` of ASCII, while Han text may touch it. Full-width digits and signs are read as their
narrow forms.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from stages.buffers import utf8

Bytes = NDArray[np.uint8]
GROUPS: Final = 6  # that are looked at from a group on

# What a byte may begin, for the loop that leaves all other bytes behind.
_TABLE = np.zeros(256, np.uint8)
_TABLE[48:58] = 1  # 0 to 9
_TABLE[64] = 1  # @
_TABLE[0xEF] = 1  # full-width forms
_TABLE.flags.writeable = False


def candidates(text: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the rows and byte places (from the row's begin) of the candidates, int64[candidates], in that order."""
    data, offsets = utf8(text)
    room = 1024
    while True:
        rows, places = np.empty(room, np.int64), np.empty(room, np.int64)
        found = _scan(data, offsets, _TABLE, rows, places)
        if found <= room:
            return rows[:found], places[:found]
        room = found


@njit(cache=True, nogil=True)
def _scan(
    data: Bytes, offsets: NDArray[np.int64], table: Bytes, rows: NDArray[np.int64], places: NDArray[np.int64]
) -> int:
    found = 0
    lengths = np.empty(GROUPS, np.int64)
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        at = start
        while at < stop:
            if table[data[at]] == 0:
                at += 1
                continue
            code, after = _narrow(data, at, stop)
            if 48 <= code <= 57:
                taken = not _joins(data, at, start) and _begins(data, at, start, stop, lengths)
                place = at
                while 48 <= code <= 57:
                    at = after
                    code, after = _narrow(data, at, stop)
            else:
                taken = code == 64 and _is_between(data, at, after, start, stop)
                place = at
                at = after
            if taken:
                if found < len(rows):
                    rows[found] = row
                    places[found] = place - start
                found += 1
    return found


@njit(cache=True, nogil=True)
def _joins(data: Bytes, at: int, start: int) -> bool:
    """Returns whether a letter, digit or `_` of ASCII, or a full-width X, stands before byte `at`."""
    if at == start:
        return False
    byte = data[at - 1]
    if byte >= 0x80:
        return bool(byte == 0xB8 and at - start > 2 and data[at - 3] == 0xEF and data[at - 2] == 0xBC)
    return bool(48 <= byte <= 57 or 97 <= byte | 32 <= 122 or byte == 95)


@njit(cache=True, nogil=True)
def _is_between(data: Bytes, at: int, after: int, start: int, stop: int) -> bool:
    """Returns whether the sign @ at byte `at` may stand between a user and a host."""
    if at == start or after >= stop:
        return False
    before, behind = data[at - 1], data[after]
    user = before >= 0x80 or 48 <= before <= 57 or 97 <= before | 32 <= 122 or before == 95
    return bool(user and (behind == 0xEF or 48 <= behind <= 57 or 97 <= behind | 32 <= 122))


@njit(cache=True, nogil=True)
def _narrow(data: Bytes, at: int, stop: int) -> tuple[int, int]:
    """Returns the character at a byte in its narrow form if it has a part in numbers, else 0; and the byte after it."""
    if at >= stop:
        return 0, at + 1
    byte = int(data[at])
    if byte < 0x80:
        return byte, at + 1
    if byte == 0xEF and data[at + 1] == 0xBC:
        last = int(data[at + 2])
        code = last - 0x60  # U+FF01 to U+FF3F are ! to _
        narrow = 48 <= code <= 57 or code == 64 or code == 88 or 40 <= code <= 46
        return (code if narrow else 0), at + 3
    if byte == 0xC2 and data[at + 1] == 0xA0:
        return 32, at + 2
    if byte == 0xE3 and data[at + 1] == 0x80 and data[at + 2] == 0x80:
        return 32, at + 3
    if byte == 0xE2 and data[at + 1] == 0x80 and 0x90 <= data[at + 2] <= 0x93:
        return 45, at + 3
    return 0, at + 1


@njit(cache=True, nogil=True)
def _begins(data: Bytes, at: int, start: int, stop: int, lengths: NDArray[np.int64]) -> bool:
    """Returns whether the groups from byte `at` on have the lengths of a number that is looked for."""
    plus = at > start and (data[at - 1] == 43 or (at - start > 2 and data[at - 3] == 0xEF and data[at - 1] == 0x8B))
    lengths[:] = 0
    value, groups, points, total = 0, 0, 0, 0
    end = at
    while groups < GROUPS:
        code, after = _narrow(data, end, stop)
        while 48 <= code <= 57:
            lengths[groups] += 1
            if total < 4:
                value = value * 10 + code - 48
            total += 1
            end = after
            code, after = _narrow(data, end, stop)
        if groups == 0 and (lengths[0] >= 10 or (lengths[0] == 4 and code == 58 and 2000 <= value < 4000)):
            break
        if groups == 0 and lengths[0] < 4 and 97 <= code | 32 <= 102:
            break
        groups += 1
        signs = 0
        point = code == 46
        while signs < 3 and (code == 32 or code == 40 or code == 41 or code == 45 or code == 46):
            signs += 1
            end = after
            code, after = _narrow(data, end, stop)
        if signs == 0 or not 48 <= code <= 57:
            break
        points += signs == 1 and point
    if lengths[0] >= 10:
        return bool(lengths[0] <= 19)
    return (plus and total >= 8) or _is_address(data, at, stop, points, lengths) or _fits(lengths, value, total)


@njit(cache=True, nogil=True)
def _is_address(data: Bytes, at: int, stop: int, points: int, lengths: NDArray[np.int64]) -> bool:
    """Returns whether four short groups have points between them, or hexadecimal groups have colons."""
    if points >= 3 and lengths[0] <= 3 and lengths[1] <= 3 and lengths[2] <= 3 and lengths[3] <= 3:
        return True
    if lengths[0] > 4 or not 50 <= data[at] <= 51:
        return False
    colons, digits = 0, 0
    while at < stop and colons < 2:
        byte = data[at]
        if byte == 58:
            if colons == 0 and digits != 4:
                return False
            colons += 1
        elif 48 <= byte <= 57 or 97 <= byte | 32 <= 102:
            digits += 1
        else:
            return False
        at += 1
    return colons == 2


@njit(cache=True, nogil=True)
def _fits(lengths: NDArray[np.int64], value: int, total: int) -> bool:
    """Returns whether groups are as those of a telephone or card; `value` is that of the first four digits."""
    if total < 9:
        return False
    one, two, three, four = lengths[0], lengths[1], lengths[2], lengths[3]
    if value == 86 or (one == 2 and value // 100 == 86):
        return True
    first = value // 1000  # there are nine digits, so `value` is of four
    if first == 1 and (one == 3 or one == 4 or one == 7 or one == 1):
        return bool(two == 4 or two == 8 or (two == 3 and (three == 5 or three == 4 or (three == 3 and four == 4))))
    if first == 0:
        return bool(one <= 4 and (two == 7 or two == 8 or (3 <= two <= 4 and 3 <= three <= 4)))
    if one == 3 and two == 3 and three == 4:
        return True
    if one == 4 and (first >= 3 or value >= 2221):
        return bool((two == 4 and three == 4) or (two == 6 and 4 <= three <= 5))
    return bool(one == 6 and (two == 13 or (two == 8 and 3 <= three <= 4)))
