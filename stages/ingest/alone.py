"""Characters that stand alone between two tags, which resiliparse 2.0.1 loses.

It drops each text node of one character of three UTF-8 bytes, as a Han character or a full stop in a tag of its own is.
A word joiner behind it keeps it, and is taken out of the text again.
"""

from __future__ import annotations

import re

import numpy as np
from numba import njit

JOINER = "\u2060"
_SPACE = "[ \t\n\r\f\v]*"
# Of three bytes, and no space.
_LETTER = "[\u0800-\u1fff\u2010-\u2027\u2030-\u205e\u2070-\u2fff\u3001-\ud7ff\ue000-\ufefe\uff00-\uffff]"
_ALONE = re.compile(f"(>{_SPACE}{_LETTER})(?={_SPACE}<)")


def mark(page: str) -> str:
    """Returns a page with a word joiner behind each character that stands alone.

    >>> mark("<b>好</b>了") == "<b>好" + JOINER + "</b>了"
    True
    """
    return _ALONE.sub("\\1" + JOINER, page)


@njit(cache=True, nogil=True)
def holds_alone(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Returns whether `mark` may change each page, bool[pages]; pages are UTF-8, `data[offsets[i]:offsets[i + 1]]`."""
    found = np.zeros(len(offsets) - 1, np.bool_)
    for page in range(len(offsets) - 1):
        start = offsets[page]
        for at in range(start + 4, offsets[page + 1]):
            if data[at] != 60:
                continue
            last = _before_space(data, at - 1, start)
            if (
                last - 3 < start
                or data[last] & 0xC0 != 0x80
                or data[last - 1] & 0xC0 != 0x80
                or data[last - 2] >> 4 != 14
            ):
                continue
            if data[_before_space(data, last - 3, start)] == 62:
                found[page] = True
                break
    return found


@njit(cache=True, nogil=True)
def _before_space(data: np.ndarray, at: int, start: int) -> int:
    """Returns the place of the last byte up to `at` that is no white space, `start` where there is none."""
    while at > start and (data[at] == 32 or 9 <= data[at] <= 13):
        at -= 1
    return at
