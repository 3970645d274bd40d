"""Characters that two libraries may take otherwise: those that Unicode has not assigned, as `tokenizers` knows it.

Splitters ask for letters and numbers, and libraries are built on different versions of Unicode: `tokenizers` 0.23 and
tiktoken 0.14 on 16, gigatoken 0.10 on 17. Of 209,000 code points tried in eight contexts with Qwen's ranks,
`tokenizers` and tiktoken agree on all, gigatoken differs on 426: each one that version 17 has assigned. No probe of a
corpus would find them, so a text that holds an unassigned character is encoded by the reference, always. So is one
with a mark, or in a script with composed characters, that is newer than version 9: the normalizers of `tokenizers` are
of that version, and leave the order of such marks as it is.

Source: the Unicode Character Database, DerivedGeneralCategory of 16.0 and 17.0, and UnicodeData of 16.0.
"""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
import pyarrow as pa
from numba import njit
from tokenizers import Regex, normalizers, pre_tokenizers

from stages.buffers import utf8
from stages.tokens.bounds import frozen
from stages.vectors import load_eight

END = 0x32000  # all beyond is unassigned or private in planes of its own, and nothing that text is made of
COMPOSED = (  # blocks of Todhri, Tulu-Tigalari, Dives Akuru, Gurung Khema and Kirat Rai
    (0x105C0, 0x105FF),
    (0x11380, 0x113FF),
    (0x11900, 0x1195F),
    (0x16100, 0x1613F),
    (0x16D40, 0x16D7F),
)
_LAST = "\u0345"  # of all marks the one that is put last, of class 240
_HIGH = np.uint64(0x8080808080808080)


@functools.cache
def uncertain() -> np.ndarray:
    """Returns which code points below `END` the `tokenizers` here may take otherwise than gigatoken: bool[END].

    They are not assigned, or composed anew, or marks that its normalizers do not put in order.
    """
    found = _class_of(r"\p{Cn}")
    marks = np.flatnonzero(_class_of(r"\p{M}"))
    put = normalizers.NFD().normalize_str("".join(f"a{_LAST}{chr(mark)}" for mark in marks)).split("a")[1:]
    for mark, ordered in zip(marks, put, strict=True):
        expected = 0 < unicodedata.combining(chr(mark)) < unicodedata.combining(_LAST)
        unknown = unicodedata.category(chr(mark)) == "Cn"  # to this Python: which does not matter, for ids are equal
        found[mark] = unknown or (expected and not ordered.endswith(_LAST))
    for first, last in COMPOSED:
        found[first : last + 1] = True
    return frozen(found)


def _class_of(pattern: str) -> np.ndarray:
    """Returns which code points below `END` match, bool[END]; surrogates do not."""
    points = np.array([point for point in range(END) if not 0xD800 <= point < 0xE000])
    text = points.astype("<u4").tobytes().decode("utf-32-le")
    found = np.zeros(END, bool)
    found[points] = True
    for _, (start, end) in pre_tokenizers.Split(Regex(f"{pattern}+"), "removed").pre_tokenize_str(text):
        found[points[start:end]] = False
    return found


def rare(texts: pa.Array) -> np.ndarray:
    """Returns which of large_string[texts] hold an uncertain character, bool[texts].

    >>> rare(pa.array(["道可道 a", "\u0378", "👍"], pa.large_string())).tolist()
    [False, True, False]
    """
    found = np.zeros(len(texts), bool)
    find_rare(*utf8(texts), uncertain(), found)
    return found


def rare_plainly(text: str) -> bool:
    """Returns what `rare` does, of one text."""
    return any(ord(one) >= END or uncertain()[ord(one)] for one in text)


@njit(cache=True, nogil=True)
def find_rare(data: np.ndarray, offsets: np.ndarray, table: np.ndarray, found: np.ndarray) -> None:
    """Sets `found`, bool[texts]: whether a character is in `table`, bool[code points], or beyond it."""
    for text in range(len(offsets) - 1):
        at, stop = offsets[text], offsets[text + 1]
        while at < stop:
            first = np.int64(data[at])
            if first < 0x80:
                at += 1
                while at + 8 <= stop and load_eight(data, at) & _HIGH == 0:
                    at += 8
                continue
            if first < 0xE0:
                point = (first & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F
                at += 2
            elif first < 0xF0:
                point = (first & 0x0F) << 12 | (np.int64(data[at + 1]) & 0x3F) << 6 | np.int64(data[at + 2]) & 0x3F
                at += 3
            else:
                high, low = np.int64(data[at + 1]) & 0x3F, np.int64(data[at + 2]) & 0x3F
                point = (first & 0x07) << 18 | high << 12 | low << 6 | np.int64(data[at + 3]) & 0x3F
                at += 4
            if point >= len(table) or table[point]:
                found[text] = True
                break
