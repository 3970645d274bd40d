"""Cuts texts to the tokens that classifiers learn from and are asked about; one kernel, in training and prediction.

The cut text is tokens with one space between them: letters in a row, folded to lower case, with digits in them as
`0`; each Han or kana character, and each character of the other scripts that write no spaces, alone, Traditional
characters as Simplified ones; a sign, or up to `SIGNS` equal ones in a row; and `¶` between lines. So a model reads
Chinese by character without a dictionary, and fastText, which knows spaces alone, reads what our own model reads.
The plain twin is `plain.cut`.

Of a long document an excerpt is read: `PARTS` parts of equal length, the first at its start and the others at equal
distances, so that what stands at the head of a page (mostly navigation) does not speak for all of it.
"""

from __future__ import annotations

import functools

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.buffers import utf8
from stages.language.pieces import decode, encode
from stages.language.tables import HAN, HANGUL, NONE, SCRIPT_BITS, SCRIPTS, SIZE, SKIPPED, tables

CUT = "cut-1"  # raised when other tokens come from the same text
PARTS = 4  # of an excerpt
SIGNS = 3  # longest token of equal signs
LINE = 0xB6  # ¶, the token between lines
SPACE, NEWLINE, LETTER, DIGIT, ALONE, SIGN, NOTHING = range(7)
UNSPACED = ("Thai", "Laoo", "Mymr", "Khmr", "Tibt", "Yiii")
BLANKS = (
    *(*range(0x21), *range(0x7F, 0xA1), 0x1680, 0x180E, *range(0x2000, 0x200C)),
    *(0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF),
)
DIGITS = (*range(0x30, 0x3A), *range(0xFF10, 0xFF1A))


def cut(texts: pa.Array) -> pa.LargeStringArray:
    """Returns the cut text of each text (strings, null is empty)."""
    data, offsets = arrays(texts)
    cut_text, ends = _cut(data, offsets, kinds(), tables().simple)
    return pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(cut_text))


def excerpt(texts: pa.Array, characters: int) -> pa.Array:
    """Returns what is read of each text: all of it, or of a longer one `PARTS` lines of `characters` in all."""
    data, offsets = arrays(texts)
    if not len(offsets) or not (np.diff(offsets) > characters).any():
        return texts
    read, ends = _excerpt(data, offsets, characters)
    return pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(read))


def arrays(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Returns the bytes and the offsets int64[texts + 1] of a string array, read-only: one kind for the kernels."""
    data, offsets = utf8(texts)
    data.flags.writeable = offsets.flags.writeable = False
    return data, offsets


@functools.cache
def kinds() -> npt.NDArray[np.uint8]:
    """Returns what each code point below `SIZE` is to the cut (`SPACE` to `NOTHING`); those beyond are signs."""
    scripts = tables().kinds & SCRIPT_BITS
    alone = [number for number, name in enumerate(SCRIPTS) if HAN <= number < HANGUL or name in UNSPACED]
    found = np.select([scripts == NONE, scripts == SKIPPED, np.isin(scripts, alone)], [SIGN, NOTHING, ALONE], LETTER)
    found[list(BLANKS)], found[list(DIGITS)], found[10] = SPACE, DIGIT, NEWLINE
    return found.astype(np.uint8)


@numba.njit(cache=True, nogil=True)
def _cut(data, offsets, kinds, fold):  # type: ignore[no-untyped-def]  # numba infers
    texts = len(offsets) - 1
    ends = np.zeros(texts + 1, np.int64)
    out = np.empty(3 * (offsets[texts] - offsets[0]) + 2, np.uint8)  # `,\n` comes to five bytes
    flags = np.zeros(128, np.uint8)  # of ASCII: 1 where it is written, and 2 where it is a letter or digit
    byte = np.zeros(128, np.uint8)  # what is written of it
    for code in range(128):
        flags[code] = (kinds[code] > NEWLINE) + 2 * (kinds[code] == LETTER or kinds[code] == DIGIT)
        byte[code] = 48 if kinds[code] == DIGIT else fold[code]
    used = np.int64(0)
    for number in range(texts):
        at, end, start = offsets[number], offsets[number + 1], used
        word = False  # whether the open token is one of letters and digits
        line = False  # whether a line ended since the last token
        sign, run = np.int64(-1), 0  # the open token of equal signs
        while at < end:
            if data[at] < 128 and data[at] != 10 and data[at] != sign and used > start and not line:
                at, used, word, sign = _cut_ascii(data, at, end, flags, byte, out, used, word)
                run = 1
                continue
            code, width = decode(data, at)
            at += width
            kind = kinds[code] if code < SIZE else np.uint8(SIGN)
            if kind == LETTER or kind == DIGIT:
                if word:
                    used = encode(np.int64(48) if kind == DIGIT else np.int64(fold[code]), out, used)
                    continue
            elif kind == NOTHING:
                continue
            elif kind <= NEWLINE:
                word, sign = False, np.int64(-1)
                line |= kind == NEWLINE
                continue
            elif code == sign:
                run += 1
                if run <= SIGNS:
                    used = encode(code, out, used)
                continue
            if line and used > start:
                out[used], out[used + 1], out[used + 2] = 32, 0xC0 | LINE >> 6, 0x80 | LINE & 0x3F
                used += 3
            if used > start:
                out[used] = 32
                used += 1
            line = False
            word = kind == LETTER or kind == DIGIT
            sign, run = code if kind == SIGN else np.int64(-1), 1
            folded = np.int64(fold[code]) if code < SIZE else np.int64(code)
            used = encode(np.int64(48) if kind == DIGIT else folded, out, used)
        ends[number + 1] = used
    return out[:used], ends


@numba.njit(cache=True, nogil=True, inline="always")
def _cut_ascii(data, at, end, flags, byte, out, used, word):  # type: ignore[no-untyped-def]  # numba infers
    """Cuts ASCII behind the first token of a text, up to a newline or a second equal sign.

    Without a branch on what a character is: words are short, and each wrong guess of the processor costs as much as a
    word. Unsigned numbers spare the test for places counted from the end. Both together make it 4 times as fast.
    """
    here, stop, put = np.uintp(at), np.uintp(end), np.uintp(used)
    letter = np.uint8(word)
    before = np.uint8(255)  # the sign before, if one is
    while here < stop:
        code = data[here]
        if code >= 128 or code == 10 or code == before:
            break
        flag = flags[code]
        out[put] = 32
        put += np.uintp(flag & 1 & ~(flag >> 1 & letter))
        out[put] = byte[code]
        put += np.uintp(flag & 1)
        letter = flag >> 1
        before = code if flag == 1 else np.uint8(255)
        here += np.uintp(1)
    return np.int64(here), np.int64(put), letter == 1, np.int64(before) if before < 128 else np.int64(-1)


@numba.njit(cache=True, nogil=True)
def _excerpt(data, offsets, characters):  # type: ignore[no-untyped-def]  # numba infers
    texts = len(offsets) - 1
    ends = np.zeros(texts + 1, np.int64)
    room = np.int64(0)
    for number in range(texts):
        room += min(offsets[number + 1] - offsets[number], 4 * characters) + PARTS
    out = np.empty(room, np.uint8)
    used = np.int64(0)
    for number in range(texts):
        start, end = offsets[number], offsets[number + 1]
        held = end - start
        if held > characters:
            held = np.int64(0)
            for at in range(start, end):
                held += (data[at] & 0xC0) != 0x80
        if held <= characters:
            for at in range(start, end):
                out[used] = data[at]
                used += 1
        else:
            for part in range(PARTS):
                at, behind = start + (end - start) * part // PARTS, start + (end - start) * (part + 1) // PARTS
                if part:
                    out[used] = 10
                    used += 1
                left = characters // PARTS
                while at < end and (data[at] & 0xC0) == 0x80:
                    at += 1
                while at < end:
                    first = (data[at] & 0xC0) != 0x80
                    if first and (left == 0 or at >= behind):
                        break
                    left -= first
                    out[used] = data[at]
                    used += 1
                    at += 1
        ends[number + 1] = used
    return out[:used], ends
