"""Cuts documents to the few pieces that a language model reads, and counts their scripts; one pass, in a kernel.

A document is walked line by line. The script of most of a line's letters says with which other lines it belongs, so
that Chinese and English lines in turn come to two pieces and not to many; Han, kana and bopomofo are one group. Latin
letters count half for that: lines in other scripts hold names and terms in them, and seldom the reverse. A group's
open piece ends when its lines hold their part of the document's bytes, and starts anew: there are at most `PIECES +
groups` of them however long the document is. Of a piece the first letters of its group are kept as text for the model
(folded, words parted by one space, all else left out); its weight is that of all its lines. The plain twin is
`plain.cut`.

Letters weigh 1, kana and Hangul 2, Han 3: texts that say the same then weigh the same (English has 3.0 characters for
one of Chinese in Tatoeba's pairs, 2.1 for one of Japanese, 1.9 for one of Korean).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.buffers import utf8
from stages.language.tables import HAN, HANGUL, LATIN, NONE, SCRIPT_BITS, SCRIPTS, SIZE, SKIPPED, tables

PIECES = 6  # parts of a long document
SHORTEST_BYTES = 300  # of a part: a short document is one piece a group of scripts
OVERHANG_BYTES = 64  # how far a part may go on to end outside a word

HAN_WEIGHT = 3
GROUPS = len(SCRIPTS)
MARKS = 5  # kinds of deciding characters
HANS, HANT, YUE, LZH, MODERN = range(GROUPS, GROUPS + MARKS)  # columns of `Pieces.scripts` after the scripts


@dataclass(frozen=True)
class Pieces:
    """What is to be identified of a batch of documents.

    `texts`: large_string[pieces]; `document` int32[pieces], ascending; `group` uint8[pieces], the script of most
    letters; `weight` int64[pieces], letters of all lines; `scripts` int64[documents, GROUPS + MARKS], letters by
    script, then the characters that only Simplified, Traditional, Cantonese, classical, and modern texts have.
    """

    texts: pa.LargeStringArray
    document: npt.NDArray[np.int32]
    group: npt.NDArray[np.uint8]
    weight: npt.NDArray[np.int64]
    scripts: npt.NDArray[np.int64]


def cut(texts: pa.Array, *, letters: int, simple: bool) -> Pieces:
    """Returns the pieces of `texts` (strings, null is empty), which hold about `letters` letters of each document.

    `simple` folds Traditional characters to Simplified ones in the pieces.
    """
    data, offsets = utf8(texts)
    known = tables()
    lower = known.simple if simple else known.lower
    text, ends, document, group, weight, scripts = _cut(data, offsets, known.kinds, lower, letters)
    array = pa.LargeStringArray.from_buffers(len(document), pa.py_buffer(ends), pa.py_buffer(text))
    return Pieces(array, document, group, weight, scripts)


@numba.njit(cache=True, nogil=True, inline="always")
def decode(data, at):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the code point that starts at `data[at]` of valid UTF-8, and its bytes."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F, 2
    if first < 0xF0:
        return (first & 0x0F) << 12 | (np.int64(data[at + 1]) & 0x3F) << 6 | np.int64(data[at + 2]) & 0x3F, 3
    high = (first & 0x07) << 18 | (np.int64(data[at + 1]) & 0x3F) << 12
    return high | (np.int64(data[at + 2]) & 0x3F) << 6 | np.int64(data[at + 3]) & 0x3F, 4


@numba.njit(cache=True, nogil=True)
def encode(code, out, at):  # type: ignore[no-untyped-def]  # numba infers
    """Writes a code point as UTF-8 at out[at]; returns the place behind it."""
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at] = 0xC0 | code >> 6
        out[at + 1] = 0x80 | code & 0x3F
        return at + 2
    if code < 0x10000:
        out[at] = 0xE0 | code >> 12
        out[at + 1] = 0x80 | code >> 6 & 0x3F
        out[at + 2] = 0x80 | code & 0x3F
        return at + 3
    out[at] = 0xF0 | code >> 18
    out[at + 1] = 0x80 | code >> 12 & 0x3F
    out[at + 2] = 0x80 | code >> 6 & 0x3F
    out[at + 3] = 0x80 | code & 0x3F
    return at + 4


@numba.njit(cache=True, nogil=True)
def _weigh_line(data, start, end, part, kinds, line, scripts):  # type: ignore[no-untyped-def]  # numba infers
    """Adds the letters of the line at `start` to `scripts`; returns (its end, its group, its weight).

    `line` is room for the weights of the groups, zeros before and after.
    """
    at, soft, hard = start, start + part, min(end, start + part + OVERHANG_BYTES)
    latin = han = hans = hant = yue = lzh = modern = other = np.int64(0)
    while at < hard:
        first = data[at]
        if first < 0x80:
            at += 1
            letter = kinds[first] >> 1  # 1 for LATIN, the one script of ASCII
            latin += letter
            if first == 10 or (at >= soft and not letter):
                break
            continue
        code, width = decode(data, at)
        at += width
        kind = kinds[code] if code < SIZE else np.uint16(0)
        script = kind & SCRIPT_BITS
        if script == HAN:
            han += HAN_WEIGHT
            hans += kind >> 6 & 1
            hant += kind >> 7 & 1
            if kind > 255:
                yue += kind >> 8 & 1
                lzh += kind >> 9 & 1
                modern += kind >> 10
        elif script == LATIN:
            latin += 1
        elif script > SKIPPED:
            weight = 2 if HAN < script <= HANGUL else 1
            scripts[script] += weight
            line[HAN if HAN < script < HANGUL else script] += weight
            other += weight
        elif at >= soft and script == NONE:
            break
    scripts[LATIN] += latin
    scripts[HAN] += han
    scripts[HANS] += hans
    scripts[HANT] += hant
    scripts[YUE] += yue
    scripts[LZH] += lzh
    scripts[MODERN] += modern
    group = np.intp(HAN if 2 * han > latin else LATIN)
    if other:
        line[LATIN] = latin // 2
        line[HAN] += han
        group = np.argmax(line)
        line[:] = 0
    return at, group, latin + han + other


def weigh_lines(
    texts: pa.Array,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Returns of each line of `texts`: its text's number, where it starts in the texts' bytes, its group, its weight.

    A text has a line more than newlines. The plain twin is `plain.weigh_lines`.
    """
    data, offsets = utf8(texts)
    document, start, group, weight = _weigh_lines(data, offsets, tables().kinds)
    return document, start, group, weight


@numba.njit(cache=True, nogil=True)
def _weigh_lines(data, offsets, kinds):  # type: ignore[no-untyped-def]  # numba infers
    room = np.int64(len(offsets) - 1)
    for at in range(offsets[0], offsets[-1]):
        room += data[at] == 10
    document = np.empty(room, np.int64)
    starts = np.empty(room, np.int64)
    group = np.empty(room, np.uint8)
    weight = np.empty(room, np.int64)
    line = np.zeros(GROUPS, np.int64)
    scripts = np.zeros(GROUPS + MARKS, np.int64)
    made = 0
    for number in range(len(offsets) - 1):
        at, end = offsets[number], offsets[number + 1]
        open_line = True
        while open_line:
            after, group[made], weight[made] = _weigh_line(data, at, end, end - at, kinds, line, scripts)
            document[made], starts[made] = number, at
            open_line = after > at and data[after - 1] == 10
            at = after
            made += 1
    return document, starts, group, weight


@numba.njit(cache=True, nogil=True)
def _write_line(data, start, end, kinds, lower, group, out, used, held, letters):  # type: ignore[no-untyped-def]  # numba infers
    """Appends the folded words of a group to `out[:used]` until it holds `letters`; returns (used, held)."""
    at = start
    apart = used > 0
    while at < end and held < letters:
        code, width = decode(data, at)
        at += width
        script = kinds[code] & SCRIPT_BITS if code < SIZE else 0
        if HAN < script < HANGUL:
            script = HAN
        if script == group:
            if apart:
                out[used] = 32
                used += 1
                apart = False
            used = encode(lower[code], out, used)
            held += 1
        elif script != SKIPPED:
            apart = used > 0
    return used, held


@numba.njit(cache=True, nogil=True)
def _cut(data, offsets, kinds, lower, letters):  # type: ignore[no-untyped-def]  # numba infers
    documents = len(offsets) - 1
    room = np.int64(0)
    for number in range(documents):
        room += min(offsets[number + 1] - offsets[number], PIECES + GROUPS)
    document = np.empty(room, np.int32)
    group = np.empty(room, np.uint8)
    weight = np.empty(room, np.int64)
    ends = np.zeros(room + 1, np.int64)
    scripts = np.zeros((documents, GROUPS + MARKS), np.int64)
    text = np.empty(max(np.int64(4096), documents * np.int64(1024)), np.uint8)
    scratch = np.empty((GROUPS, 5 * letters + 8), np.uint8)
    used = np.zeros(GROUPS, np.int64)
    held = np.zeros(GROUPS, np.int64)
    weighed = np.zeros(GROUPS, np.int64)
    walked = np.zeros(GROUPS, np.int64)
    line = np.zeros(GROUPS, np.int64)
    made = 0
    for number in range(documents):
        at, end = offsets[number], offsets[number + 1]
        part = max(np.int64(SHORTEST_BYTES), (end - at + PIECES - 1) // PIECES)
        most = letters // max(np.int64(1), (end - at + part - 1) // part)
        while at < end or at == end:
            if at < end:
                after, mine, heavy = _weigh_line(data, at, end, part, kinds, line, scripts[number])
                if heavy > 0:
                    used[mine], held[mine] = _write_line(
                        data, at, after, kinds, lower, mine, scratch[mine], used[mine], held[mine], most
                    )
                    weighed[mine] += heavy
                    walked[mine] += after - at
                first, last = mine, mine + 1
                at = after
            else:
                first, last = 0, GROUPS
                at = end + 1
            for one in range(first, last):
                if weighed[one] > 0 and (walked[one] >= part or at > end):
                    size = used[one]
                    while ends[made] + size > len(text):
                        larger = np.empty(2 * len(text), np.uint8)
                        larger[: ends[made]] = text[: ends[made]]
                        text = larger
                    text[ends[made] : ends[made] + size] = scratch[one, :size]
                    ends[made + 1] = ends[made] + size
                    document[made], group[made], weight[made] = number, one, weighed[one]
                    made += 1
                    used[one] = held[one] = weighed[one] = walked[one] = 0
    return text[: ends[made]], ends[: made + 1], document[:made], group[:made], weight[:made], scripts
