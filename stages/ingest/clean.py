r"""Text as it is stored: NFC, line ends as \\n, without controls, byte order marks and zero-width spaces.

Nothing else is changed: full-width punctuation, ideographic spaces, quotation marks, joiners (which emoji, Persian and
Indic scripts need) and the newlines' number stay. One scan over the bytes finds the few texts that need anything.

Source: Unicode Standard Annex 15 (NFC) through the interpreter's tables; composition is stable across Unicode versions
for every character that both know.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pyarrow as pa
from numba import njit

from stages.buffers import utf8
from stages.vectors import load_eight

DIRTY = 1  # holds a character to be removed, or a line end to be changed
COMPOSABLE = 2  # may not be NFC
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_REMOVED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u2060\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANK_START = re.compile(r"(?:[^\S\n]*\n)+")


def clean_plainly(text: str) -> str:
    r"""Returns `text` as it is stored.

    >>> clean_plainly("e\u0301\u200b，\r\nｆ\x00")
    'é，\nｆ'
    """
    text = _REMOVED.sub("", _LINE_ENDS.sub("\n", text))
    return unicodedata.normalize("NFC", text)


def sound(text: str) -> tuple[str, int]:
    r"""Returns `text` with U+FFFD for each lone surrogate, and their number.

    >>> sound("a\ud800b")
    ('a�b', 1)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.subn("\ufffd", text)
    return text, 0


def clean(texts: list[str]) -> list[str]:
    """Returns each text as `clean_plainly` does, without lines of white space at its start and any at its end."""
    cleaned = list(texts)
    array = pa.array(texts, pa.large_string())
    if len(array):
        marks = scan(array)
        for row in np.flatnonzero(marks):
            text = texts[row]
            if marks[row] & DIRTY or not unicodedata.is_normalized("NFC", text):
                cleaned[row] = clean_plainly(text)
    return [trimmed(text) for text in cleaned]


def cleaned(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Returns what `clean` does of a column, null as empty text; those that need nothing are copied or stay as such."""
    data, offsets = utf8(texts)
    marks = np.zeros(len(texts), np.uint8)
    _scan(data, offsets, marks)
    starts, ends = np.empty(len(texts), np.int64), np.empty(len(texts), np.int64)
    _bounds(data, offsets, starts, ends)
    changed: list[bytes] = []
    size = len(data)
    for row in np.flatnonzero(marks):
        content = data[offsets[row] : offsets[row + 1]]
        if marks[row] & DIRTY:
            content = _swept(content)
        text = content.tobytes().decode()
        normal = unicodedata.normalize("NFC", text) if marks[row] & COMPOSABLE else text
        if marks[row] & DIRTY or normal != text:
            changed.append(trimmed(normal).encode())
            starts[row], ends[row] = size, size + len(changed[-1])
            size += len(changed[-1])
    if not changed and not texts.null_count and (starts == offsets[:-1]).all() and (ends == offsets[1:]).all():
        return texts
    source = np.concatenate([data, np.frombuffer(b"".join(changed), np.uint8)])
    places = np.concatenate([np.zeros(1, np.int64), np.cumsum(ends - starts)])
    made = np.empty(places[-1], np.uint8)
    _gather(source, starts, places, made)
    return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(places), pa.py_buffer(made))


def _swept(content: np.ndarray) -> np.ndarray:
    """Returns UTF-8 without what is removed, and with line feeds for all line ends: what comes before NFC."""
    made = np.empty(len(content), np.uint8)
    return made[: _sweep(content, made)]


def trimmed(text: str) -> str:
    r"""Returns the text from its first line that is not blank to its last character that is not white space.

    >>> trimmed("\n \n　　空两格\n")
    '　　空两格'
    """
    text = text.rstrip()
    if text[:1].isspace() and (blank := _BLANK_START.match(text)):
        return text[blank.end() :]
    return text


def scan(texts: pa.LargeStringArray) -> np.ndarray:
    """Returns uint8[texts]: DIRTY and COMPOSABLE, the latter also for texts that are NFC after all."""
    data, offsets = utf8(texts)
    marks = np.zeros(len(texts), np.uint8)
    _scan(data, offsets, marks)
    return marks


@njit(cache=True, nogil=True)
def _sweep(data: np.ndarray, made: np.ndarray) -> int:
    """Copies what stays of UTF-8 and returns how many bytes that is."""
    at = size = 0
    while at < len(data):
        lead = data[at]
        width = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
        code = np.int64(lead)
        if width > 1:
            code = lead & (0x7F >> width)
            for place in range(at + 1, at + width):
                code = code << 6 | data[place] & 63
        if code == 13 or code == 11 or code == 12 or code == 0x85 or code == 0x2028 or code == 0x2029:
            made[size] = 10
            size += 1
            if code == 13 and at + 1 < len(data) and data[at + 1] == 10:
                at += 1
        elif not (
            (code < 0x20 and code != 9 and code != 10)
            or 0x7F <= code <= 0x9F
            or (code == 0x200B or code == 0x2060 or code == 0xFEFF or code == 0xFFFE or code == 0xFFFF)
        ):
            for place in range(at, at + width):
                made[size] = data[place]
                size += 1
        at += width
    return size


@njit(cache=True, nogil=True)
def _gather(source: np.ndarray, starts: np.ndarray, places: np.ndarray, made: np.ndarray) -> None:
    for row in range(len(starts)):
        size = places[row + 1] - places[row]
        made[places[row] : places[row + 1]] = source[starts[row] : starts[row] + size]


@njit(cache=True, nogil=True)
def _bounds(data: np.ndarray, offsets: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
    """Finds where each text begins and ends once `trimmed`; of those that hold nothing to be cleaned."""
    for row in range(len(starts)):
        start, end = offsets[row], offsets[row + 1]
        size = 1
        while end > start and size:
            size = _space(data, end - 1, start, end)
            end -= size
        at, size = start, 1
        while at < end and size:
            size = _space(data, at, start, end)
            at += size
            if size and data[at - 1] == 10:
                start = at
        starts[row], ends[row] = start, end


@njit(cache=True, nogil=True)
def _space(data: np.ndarray, at: int, start: int, end: int) -> int:
    """Returns how many bytes the white space has that the byte at `at` is of, 0 where it is of none."""
    byte = data[at]
    if byte == 32 or byte == 9 or byte == 10:
        return 1
    if byte < 0x80:
        return 0
    lead = at
    while lead > start and data[lead] & 0xC0 == 0x80:
        lead -= 1
    if data[lead] == 0xC2 and lead + 1 < end:
        return 2 if data[lead + 1] == 0xA0 else 0
    if not 0xE1 <= data[lead] <= 0xE3 or lead + 2 >= end:
        return 0
    code = (data[lead] & 15) << 12 | (data[lead + 1] & 63) << 6 | data[lead + 2] & 63
    is_space = code == 0x1680 or 0x2000 <= code <= 0x200A or code == 0x202F or code == 0x205F or code == 0x3000
    return 3 if is_space else 0


@njit(cache=True, nogil=True)
def _scan(data: np.ndarray, offsets: np.ndarray, marks: np.ndarray) -> None:
    for row in range(len(marks)):
        at, end = offsets[row], offsets[row + 1]
        mark = 0
        while at < end:
            while at + 8 <= end and _is_printed(load_eight(data, at)):
                at += 8
            if at == end:
                break
            lead = data[at]
            if lead < 0x80:
                if (lead < 0x20 and lead != 10 and lead != 9) or lead == 0x7F:
                    mark |= 1
                at += 1
            elif lead < 0xE0:
                if lead == 0xC2 and data[at + 1] < 0xA0:
                    mark |= 1
                elif lead >= 0xCC:
                    mark |= 2
                at += 2
            elif lead < 0xF0:
                mark |= _mark_of_three(lead, data[at + 1], data[at + 2])
                at += 3
            else:
                if not (lead == 0xF0 and (data[at + 1] == 0x9F or 0xA0 <= data[at + 1] <= 0xAE)):
                    mark |= 2
                at += 4
        marks[row] = mark


@njit(cache=True, nogil=True)
def _is_printed(eight: int) -> bool:
    """Returns whether eight bytes are ASCII without controls; a few that are go for controls too, which only costs."""
    low, high = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
    controls = eight - np.uint64(0x20) * low
    deleted = (eight ^ (np.uint64(0x7F) * low)) - low
    return bool((eight | controls | deleted) & high == 0)


@njit(cache=True, nogil=True)
def _mark_of_three(lead: int, second: int, third: int) -> int:
    """Returns the mark of a character of three bytes, U+0800 to U+FFFF: what is surely NFC is told apart by block."""
    if 0xE4 <= lead <= 0xE9 or lead == 0xEB or lead == 0xEC or lead == 0xEE:
        return 0  # U+4000-9FFF Han, U+B000-CFFF Hangul, U+E000-EFFF private use
    if lead == 0xE3:  # U+3000-3FFF without the combining marks U+302A-302F, U+3099-309A
        combining = (second == 0x80 and 0xAA <= third <= 0xAF) or (second == 0x82 and 0x99 <= third <= 0x9A)
        return 2 if combining else 0
    if lead == 0xE2:
        if (second == 0x80 and (third == 0x8B or third == 0xA8 or third == 0xA9)) or (second == 0x81 and third == 0xA0):
            return 3
        return 0 if second == 0x80 and third >= 0x90 else 2  # U+2010-203F punctuation
    if lead == 0xEF:
        if (second == 0xBB and third == 0xBF) or (second == 0xBF and third >= 0xBE):
            return 3
        return 0 if second >= 0xBC else 2  # U+FF00-FFFD full- and half-width forms
    return 0 if lead == 0xEA and second >= 0xB0 else 2
