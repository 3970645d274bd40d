"""The screen: one pass over the bytes of all documents that tells which repairs each may need.

Where a mark is not set, its rules are not asked, so clean documents cost this pass and no more. COPY and MIXED are told
by the first letters of each sentence, the others by all bytes. What it knows:

- *anchors*: the last six bytes of each word or line of the rules, lower-cased, met at every byte through a small filter
  and then compared exactly; those of head and tail lines count only near that end of the document;
- characters that open something: a tag, an entity, BBCode, a dated bracket, an annotation in parentheses;
- the *units* (sentences) of the folded view: a text that is there twice has its first ones twice;
- characters that only Simplified or only Traditional text has.
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import opencc
import pyarrow as pa
from numba import njit

from stages.buffers import utf8
from stages.dedup.fold import CODE_BITS, CODE_MASK, SINGLE, WORD, fold_table, load
from stages.repair.rules import ANCHOR_BYTES, Rules

MARKUP: Final = 1
SCRIPT: Final = 2
BBCODE: Final = 4
PINYIN: Final = 8
CONVERTED: Final = 16
MIXED: Final = 32
COPY: Final = 64
DATED: Final = 128
AD: Final = 256
HEAD: Final = 512
TAIL: Final = 1024
TITLE: Final = 2048
ALL: Final = 4095

TITLE_BYTES: Final = 480
AD_WINDOW: Final = 900  # bytes within which three words of advertising stand
AD_WORDS: Final = 3
FIRST_UNITS: Final = 16  # of a text, that are looked for again
UNIT_LETTERS: Final = 5  # of a unit that counts
HEAD_LETTERS: Final = 12  # of a unit, that it is known by
NEAREST: Final = 0.3  # of the text, that lies between a unit and its copy
FURTHEST: Final = 0.7
LINES: Final = 15  # how many from an end are looked at
LINE_BYTES: Final = 600
FEWEST_ANNOTATIONS: Final = 3
FEWEST_OF_A_SCRIPT: Final = 4
LEAST_SHARE: Final = 0.2  # of each script, among the characters that only one has; the rule asks for more
SLOT_BITS: Final = 14
WINDOW: Final = np.uint64((1 << 8 * ANCHOR_BYTES) - 1)
ONLY_HANT: Final = 1
ONLY_HANS: Final = 2
_RARITY: Final = [place if (place := b" etaoinshrdlcumwfgypbvkjxqz".find(byte)) >= 0 else 30 for byte in range(256)]
SCRIPT_WORDS: Final = (
    *(
        "document.write",
        "function(",
        "function (",
        "window.",
        "margin:",
        "margin-",
        "padding",
        "font-size",
        "_hmt.push",
        "_hmt ||",
    ),
    *("adsbygoogle", "@media", "gtag('", "$(document", "getelementby", "background:", "display:"),
)

Number = int | np.int64  # one type to numba
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint16]
Hashes = npt.NDArray[np.uint64]


class Anchors(NamedTuple):
    """A hash table without collisions: `window * factor >> 50` is the slot of an anchor; uint64, uint16[slots].

    `filled` (uint8[65536]) is read at every byte: whether an anchor ends with this byte and the one before.
    """

    factor: np.uint64
    filled: npt.NDArray[np.uint8]
    windows: Hashes
    marks: Marks


@functools.lru_cache(maxsize=8)
def anchors(rules: Rules) -> Anchors:
    """Returns the anchors of the rules that are enabled."""
    return _table(wanted(rules))


def wanted(rules: Rules) -> dict[int, int]:
    """Returns the marks of each anchor, by its six bytes as a number."""
    made: dict[int, int] = {}
    for name, mark in (("converted_script", CONVERTED), ("injected_ad", AD), ("title_line", TITLE)):
        _add(made, rules[name].words if rules.has(name) else (), mark)
    for name, mark in (("head_boilerplate", HEAD), ("tail_boilerplate", TAIL)):
        rule = rules[name]
        _add(made, [word for word, _ in (*rule.lines, *rule.closing, *rule.notices)] if rule.enabled else (), mark)
    _add(made, SCRIPT_WORDS if rules.has("script_fragments") else (), SCRIPT)
    return made


def rarest(word: str) -> bytes:
    """Returns the six bytes of a word that the screen looks for: the middle of Han, of Latin those least frequent.

    >>> rarest("责任编辑").decode(), rarest("All rights reserved")
    ('任编', b'reserv')
    """
    content = word.lower().encode()
    starts = [at for at in range(len(content) - ANCHOR_BYTES + 1) if content[at] & 0xC0 != 0x80]
    if content[0] >= 0x80:
        return content[(at := starts[len(starts) // 2]) : at + ANCHOR_BYTES]
    pieces = (content[at : at + ANCHOR_BYTES] for at in starts)
    return max(pieces, key=lambda piece: sum(_RARITY[byte] for byte in piece + 3 * piece[-2:]))


def _add(made: dict[int, int], words: tuple[str, ...] | list[str], mark: int) -> None:
    for word in words:
        window = int.from_bytes(rarest(word))
        made[window] = made.get(window, 0) | mark


def _table(wanted: dict[int, int]) -> Anchors:
    """Returns the table for the first odd factor of a fixed sequence under which no two anchors share a slot."""
    keys = np.array(list(wanted), np.uint64)
    seed = 0x9E3779B97F4A7C15
    while True:
        factor = np.uint64(seed)
        slots = (keys * factor) >> np.uint64(64 - SLOT_BITS)
        if len(np.unique(slots)) == len(keys):
            break
        seed = (seed * 6364136223846793005 + 2) % (1 << 64)
    filled = np.zeros(1 << 16, np.uint8)
    windows = np.zeros(1 << SLOT_BITS, np.uint64)
    marks = np.zeros(1 << SLOT_BITS, np.uint16)
    filled[keys & np.uint64(0xFFFF)] = 1
    windows[slots], marks[slots] = keys, list(wanted.values())
    return Anchors(factor, filled, windows, marks)


@functools.cache
def folded() -> npt.NDArray[np.uint32]:
    """Returns what each code point is in the folded view (uint32[code points]): 0 where it is no letter or digit."""
    table = load(fold_table()).table
    kind = table >> np.uint32(CODE_BITS)
    letters = np.where((kind == WORD) | (kind == SINGLE), table & np.uint32(CODE_MASK), np.uint32(0))
    letters = letters.astype(np.uint32)
    letters.flags.writeable = False
    return letters


@functools.cache
def scripts() -> npt.NDArray[np.uint8]:
    """Returns ONLY_HANT, ONLY_HANS or 0 for each code point below 65536: those that OpenCC changes one way alone."""
    codes = [*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000)]
    lines = "\n".join(map(chr, codes))
    table = np.zeros(1 << 16, np.uint8)
    for config, bit in (("t2s", ONLY_HANT), ("s2t", ONLY_HANS)):
        for code, other in zip(codes, opencc.OpenCC(config).convert(lines).split("\n"), strict=True):
            table[code] |= bit * (chr(code) != other)
    table[table == ONLY_HANT | ONLY_HANS] = 0
    table.flags.writeable = False
    return table


@functools.cache
def _lower() -> npt.NDArray[np.uint8]:
    """Returns each byte in lower case, 0 for those that may open something: `<`, `&`, `(`, `[` and the end of `（`."""
    table = np.frombuffer(bytes(range(256)).lower(), np.uint8).copy()
    table[[*b"<&([", 0x88]] = 0
    table.flags.writeable = False
    return table


@functools.cache
def _ends_of() -> npt.NDArray[np.uint8]:
    r"""Returns for each first byte of a character whether a unit may end with it: `\n.!?。！？`."""
    ends = np.zeros(256, np.uint8)
    ends[[*b"\n.!?", 0xE3, 0xEF]] = 1
    ends.flags.writeable = False
    return ends


def screen(texts: pa.Array, rules: Rules) -> Marks:
    """Returns the marks of each text, uint16[texts]; none for null."""
    data, offsets = utf8(texts)
    known = anchors(rules)
    marks = np.zeros(len(texts), np.uint16)
    _find(data, offsets, _lower(), known.factor, known.filled, known.windows, known.marks, marks)
    _fold(data, offsets, _ends_of(), folded(), scripts(), marks)
    return marks


@njit(cache=True, nogil=True)
def _find(
    data: Bytes,
    offsets: Places,
    lower: npt.NDArray[np.uint8],
    factor: np.uint64,
    filled: npt.NDArray[np.uint8],
    windows: Hashes,
    found: Marks,
    marks: Marks,
) -> None:
    """Marks what is known by its bytes: anchors, and what opens with a sign."""
    shift, low, mask, pair = np.uint64(64 - SLOT_BITS), np.uint64(8), WINDOW, np.uint64(0xFFFF)
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        window, head, tail = np.uint64(0), start, start - 1
        mark: Number = 0
        annotations, last, last_but_one = 0, start - 2 * AD_WINDOW, start - 2 * AD_WINDOW
        for at in range(start, stop):
            byte = lower[data[at]]
            if byte == 0:
                byte = data[at]
                if byte == 0x28:
                    annotations += at > start and data[at - 1] >= 0x80 and _annotates(data, at + 1, stop)
                elif byte == 0x88:
                    wide = at >= start + 3 and data[at - 1] == 0xBC and data[at - 2] == 0xEF and data[at - 3] >= 0x80
                    annotations += wide and _annotates(data, at + 1, stop)
                else:
                    mark |= _opens(data, at, stop)
            window = (window << low | np.uint64(byte)) & mask
            if not filled[window & pair]:
                continue
            slot = window * factor >> shift
            if windows[slot] == window:
                here: Number = np.int64(found[slot])
                if here & (HEAD | TAIL | TITLE):
                    if tail < start:
                        head, tail = _outermost(data, start, stop)
                    here = _near_an_end(data, at, start, stop, here, head, tail)
                if here & AD:
                    if at - last_but_one >= AD_WINDOW:
                        here &= ~AD
                    last_but_one, last = last, at
                mark |= here
        if annotations >= FEWEST_ANNOTATIONS:
            mark |= PINYIN
        marks[document] |= np.uint16(mark)


@njit(cache=True, nogil=True)
def _near_an_end(data: Bytes, at: int, start: int, stop: int, mark: Number, head: int, tail: int) -> Number:
    """Returns what of HEAD, TAIL and TITLE holds at that byte: its line is short, and one of the outermost."""
    if at >= head:
        mark &= ~HEAD
    if at < tail:
        mark &= ~TAIL
    if at >= start + TITLE_BYTES:
        mark &= ~TITLE
    if mark & (HEAD | TAIL):
        begin, end = at, at
        while begin > start and data[begin - 1] != 10 and at - begin < LINE_BYTES:
            begin -= 1
        while end < stop and data[end] != 10 and end - at < LINE_BYTES:
            end += 1
        if end - begin > LINE_BYTES:
            mark &= ~(HEAD | TAIL)
    return mark


@njit(cache=True, nogil=True)
def _outermost(data: Bytes, start: int, stop: int) -> tuple[int, int]:
    """Returns the byte after the first LINES lines, and that at which the last LINES begin; empty ones do not count."""
    head, lines = start, 0
    while head < stop and head < start + LINES * LINE_BYTES and lines < LINES:
        lines += data[head] == 10 and head > start and data[head - 1] != 10
        head += 1
    tail, lines = stop, 0
    while tail > start and tail > stop - LINES * LINE_BYTES:
        lines += data[tail - 1] == 10 and tail < stop and data[tail] != 10
        if lines == LINES:
            break
        tail -= 1
    return head, tail


@njit(cache=True, nogil=True)
def _opens(data: Bytes, at: int, stop: int) -> int:
    """Returns the mark of `<`, `&` or `[` at that byte, as what follows says."""
    sign, after = data[at], data[at + 1] if at + 1 < stop else np.uint8(0)
    letter = 0x41 <= (after & 0xDF) <= 0x5A
    if sign == 0x3C:
        return 1 if letter or after == 0x2F or after == 0x21 else 0
    if sign == 0x5B:
        if after == 0x2F:
            return 4
        digits = at + 5 < stop and data[at + 5] == 0x2F
        for place in range(at + 1, at + 5):
            digits = digits and 0x30 <= data[place] <= 0x39
        return 128 if digits else 0
    if letter or after == 0x23:
        for place in range(at + 2, min(at + 12, stop)):
            if data[place] == 0x3B:
                return 1
    return 0


@njit(cache=True, nogil=True)
def _annotates(data: Bytes, at: int, stop: int) -> bool:
    """Returns whether one to twelve bytes of Latin letters, with marks or a tone's digit, lead to a parenthesis."""
    end = at
    while end < stop and end < at + 12:
        byte = data[end]
        letter = 0x61 <= byte <= 0x7A or 0xC3 <= byte <= 0xC9 or 0x80 <= byte <= 0xBF or 0x31 <= byte <= 0x34
        if not letter:
            break
        end += 1
    if end == at or end >= stop or 0x31 <= data[at] <= 0x34:
        return False
    return bool(data[end] == 0x29 or (data[end] == 0xEF and end + 2 < stop and data[end + 1] == 0xBC))


@njit(cache=True, nogil=True)
def _fold(
    data: Bytes,
    offsets: Places,
    ends: npt.NDArray[np.uint8],
    letters: npt.NDArray[np.uint32],
    scripts: npt.NDArray[np.uint8],
    marks: Marks,
) -> None:
    """Marks texts whose first units come again, and those that hold characters of both scripts.

    Looked at are the first letters of each unit; the rest is passed over up to its end.
    """
    first, begins = np.zeros(FIRST_UNITS, np.uint64), np.zeros(FIRST_UNITS, np.int64)
    prime = np.uint64(0x100000001B3)
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        at = start
        held, met, hant, hans = 0, 0, 0, 0
        while at < stop:
            unit, length, ended, begin = np.uint64(0), 0, False, at
            while at < stop and length < HEAD_LETTERS and not ended:
                byte = data[at]
                if byte < 0x80:
                    code = np.int64(byte)
                    ended = ends[byte] and _ends(data, at, stop)
                    at += 1
                elif byte < 0xE0:
                    code = (np.int64(byte) & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F
                    at += 2
                elif byte < 0xF0:
                    code = (np.int64(byte) & 0x0F) << 12 | (np.int64(data[at + 1]) & 0x3F) << 6
                    code |= np.int64(data[at + 2]) & 0x3F
                    ended = ends[byte] and (code == 0x3002 or code == 0xFF01 or code == 0xFF1F)
                    hant += scripts[code] & 1
                    hans += scripts[code] >> 1
                    at += 3
                else:
                    code = np.int64(0)
                    at += 4
                letter = letters[code]
                if letter:
                    unit = (unit ^ np.uint64(letter)) * prime
                    length += 1
            if length >= UNIT_LETTERS:
                away = FURTHEST * (stop - start)
                for place in range(held):
                    offset = begin - begins[place]
                    if first[place] == unit and away >= offset >= NEAREST * (stop - start):
                        met |= 1 << place
                if held < FIRST_UNITS:
                    first[held], begins[held] = unit, begin
                    held += 1
            while at < stop and not ended:
                while at < stop and not ends[data[at]]:
                    at += 1
                if at < stop:
                    byte = data[at]
                    if byte < 0x80:
                        ended = _ends(data, at, stop)
                        at += 1
                    else:
                        second, third = data[at + 1], data[at + 2]
                        ended = (byte == 0xE3 and second == 0x80 and third == 0x82) or (
                            byte == 0xEF and second == 0xBC and (third == 0x81 or third == 0x9F)
                        )
                        at += 3
        mark = 0
        if min(hant, hans) >= max(FEWEST_OF_A_SCRIPT, LEAST_SHARE * (hant + hans)):
            mark |= 32
        units = 0
        for place in range(held):
            units += met >> place & 1
        if units >= max(2, held // 4):
            mark |= 64
        marks[document] |= np.uint16(mark)


@njit(cache=True, nogil=True)
def _ends(data: Bytes, at: int, stop: int) -> bool:
    """Returns whether that byte ends a unit: newline, `!`, `?`, or a full stop before white space."""
    return bool(data[at] != 0x2E or at + 1 >= stop or data[at + 1] == 0x20 or data[at + 1] == 10)
