"""The screen: one pass over the bytes of all documents that tells which repairs each may need.

Where a mark is not set, its rules are not asked, so clean documents cost this pass and no more. COPY and MIXED are told
by the first letters of each sentence, the others by all bytes. What it knows:

- *anchors*: six or eight bytes of each word or line of the rules, lower-cased, met at every byte through a small filter
  and then compared exactly; those of head and tail lines count only near that end of the document, those of
  advertising where three are near each other and not all the same, pairs of a converter where three are different;
- characters that open something: a tag, an entity, BBCode, a dated bracket, an annotation in parentheses;
- the *units* (sentences) of the folded view: a text that is there twice has its first ones twice, about as far from
  each other as before;
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
NEAREST: Final = 0.75  # of the least ratio of a copy: that share of the text lies between a unit and its copy, or more
OF_UNITS: Final = 4  # a quarter of the first copy's units, of those that are held, are met again
DRIFT: Final = 4  # two units and their copies are apart by as much, but for a quarter and DRIFT_BYTES
DRIFT_BYTES: Final = 64
HAN_BYTES: Final = 3
FEWEST_ANNOTATIONS: Final = 3
FEWEST_PAIRS: Final = 3
FEWEST_OF_A_SCRIPT: Final = 4
LEAST_SHARE: Final = 0.2  # of each script, among the characters that only one has; the rule asks for more
SLOT_BITS: Final = 14
BEFORE_BYTES: Final = 2  # before the six of a Latin anchor, that are compared too
WINDOW: Final = np.uint64((1 << 8 * ANCHOR_BYTES) - 1)
ONLY_HANT: Final = 1
ONLY_HANS: Final = 2
_RARITY: Final = [place if (place := b" etaoinshrdlcumwfgypbvkjxqz".find(byte)) >= 0 else 30 for byte in range(256)]
SCRIPT_WORDS: Final = (
    *(
        "document.write",
        *("(funct", "\nfunct", "=funct", "function("),
        *(
            "dow.lo",
            "dow.on",
            "dow.op",
            "dow.da",
            "dow.ad",
            "ndow._",
        ),  # window.location, .onload: the word ends sentences
        "margin:",
        "margin-",
        "padding:",
        "padding-",
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

    `filled` (uint8[65536]) is read at every byte: whether an anchor ends with this byte and the one before it. `before`
    are the two bytes that stand before the six, 0 where they may be any.
    """

    factor: np.uint64
    filled: npt.NDArray[np.uint8]
    windows: Hashes
    before: Marks
    marks: Marks


class Numbers(NamedTuple):
    """What the screen takes from the limits of the rules, so that it is never stricter than they are."""

    annotations: int
    ads: int
    pairs: int
    lines: int  # how many from an end are looked at
    line_bytes: int
    of_a_script: float
    script_ratio: float
    nearest: float  # of the text, that lies between a unit and its copy


def numbers(rules: Rules) -> Numbers:
    """Returns the limits as the screen needs them."""
    mixed, ends = rules["mixed_script"], (rules["head_boilerplate"], rules["tail_boilerplate"])
    return Numbers(
        annotations=max(1, int(min(FEWEST_ANNOTATIONS, rules["pinyin"].limit("least")))),
        ads=int(min(AD_WORDS, rules["injected_ad"].limit("least"))),
        pairs=int(min(FEWEST_PAIRS, rules["converted_script"].limit("least"))),
        lines=int(max(rule.limit("lines") for rule in ends)),
        line_bytes=int(HAN_BYTES * max(rule.limit("characters") for rule in ends)),
        of_a_script=float(min(FEWEST_OF_A_SCRIPT, mixed.limit("least"))),
        script_ratio=float(min(LEAST_SHARE, mixed.limit("least_ratio"))),
        nearest=float(NEAREST * min(0.5, rules["second_copy"].limit("least_ratio"))),
    )


@functools.lru_cache(maxsize=8)
def anchors(rules: Rules) -> Anchors:
    """Returns the anchors of the rules that are enabled."""
    return _table(wanted(rules))


def wanted(rules: Rules) -> dict[bytes, tuple[bytes, int]]:
    """Returns the two bytes before (empty where any) and the marks of each anchor, by its last six bytes."""
    made: dict[bytes, tuple[bytes, int]] = {}
    for name, mark in (("converted_script", CONVERTED), ("injected_ad", AD), ("title_line", TITLE)):
        _add(made, rules[name].words if rules.has(name) else (), mark)
    for name, mark in (("head_boilerplate", HEAD), ("tail_boilerplate", TAIL)):
        rule = rules[name]
        _add(made, [word for word, _ in (*rule.lines, *rule.closing, *rule.notices)] if rule.enabled else (), mark)
    _add(made, SCRIPT_WORDS if rules.has("script_fragments") else (), SCRIPT)
    return made


def rarest(word: str) -> bytes:
    """Returns the bytes of a word that the screen looks for: six in the middle of Han, of Latin eight least frequent.

    >>> rarest("责任编辑").decode(), rarest("All rights reserved"), rarest("window")
    ('任编', b's reserv', b'window')
    """
    content = word.lower().encode()
    starts = [at for at in range(len(content) - ANCHOR_BYTES + 1) if content[at] & 0xC0 != 0x80]
    if content[0] >= 0x80:
        return content[(at := starts[len(starts) // 2]) : at + ANCHOR_BYTES]
    longer = [at for at in starts if at >= BEFORE_BYTES]
    pieces = {at: content[at : at + ANCHOR_BYTES] for at in longer or starts}
    at = max(pieces, key=lambda at: sum(_RARITY[byte] for byte in pieces[at] + 3 * pieces[at][-2:]))
    return content[at - BEFORE_BYTES * bool(longer) : at + ANCHOR_BYTES]


def _add(made: dict[bytes, tuple[bytes, int]], words: tuple[str, ...] | list[str], mark: int) -> None:
    for word in words:
        anchor = rarest(word)
        before, window = anchor[:-ANCHOR_BYTES], anchor[-ANCHOR_BYTES:]
        other, marks = made.get(window, (before, 0))
        made[window] = (before if before == other else b"", marks | mark)


def _table(wanted: dict[bytes, tuple[bytes, int]]) -> Anchors:
    """Returns the table for the first odd factor of a fixed sequence under which no two anchors share a slot."""
    keys = np.array([int.from_bytes(window) for window in wanted], np.uint64)
    seed = 0x9E3779B97F4A7C15
    while True:
        factor = np.uint64(seed)
        slots = (keys * factor) >> np.uint64(64 - SLOT_BITS)
        if len(np.unique(slots)) == len(keys):
            break
        seed = (seed * 6364136223846793005 + 2) % (1 << 64)
    filled = np.zeros(1 << 16, np.uint8)
    windows = np.zeros(1 << SLOT_BITS, np.uint64)
    before, marks = np.zeros((2, 1 << SLOT_BITS), np.uint16)
    filled[keys & np.uint64(0xFFFF)] = 1
    windows[slots], marks[slots] = keys, [mark for _, mark in wanted.values()]
    before[slots] = [int.from_bytes(bytes_before) for bytes_before, _ in wanted.values()]
    return Anchors(factor, filled, windows, before, marks)


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
    known, least = anchors(rules), numbers(rules)
    marks = np.zeros(len(texts), np.uint16)
    _find(data, offsets, _lower(), known, least, marks)
    _fold(data, offsets, _ends_of(), folded(), scripts(), least, marks)
    return marks


@njit(cache=True, nogil=True)
def _find(
    data: Bytes,
    offsets: Places,
    lower: npt.NDArray[np.uint8],
    known: Anchors,
    least: Numbers,
    marks: Marks,
) -> None:
    """Marks what is known by its bytes: anchors, and what opens with a sign."""
    shift, low, mask, pair = np.uint64(64 - SLOT_BITS), np.uint64(8), WINDOW, np.uint64(0xFFFF)
    top, factor, filled, windows = np.uint64(48), known.factor, known.filled, known.windows
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        window, head, tail = np.uint64(0), start, start - 1
        mark: Number = 0
        annotations, last, last_but_one = 0, start - 2 * AD_WINDOW, start - 2 * AD_WINDOW
        ad: Number = -1  # slots, of the last words of advertising and of the first pairs
        ad_before: Number = -1
        pair_one: Number = -1
        pair_two: Number = -1
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
            window = window << low | np.uint64(byte)
            if not filled[window & pair]:
                continue
            slot = np.int64((window & mask) * factor >> shift)
            before = np.uint64(known.before[slot])
            if windows[slot] == window & mask and (before == 0 or before == window >> top):
                here: Number = np.int64(known.marks[slot])
                if here & (HEAD | TAIL | TITLE):
                    if tail < start:
                        head, tail = _outermost(data, start, stop, least)
                    here = _near_an_end(data, at, start, stop, here, head, tail, least)
                if here & AD:
                    is_far = at - last_but_one >= AD_WINDOW or (slot == ad and slot == ad_before)
                    if is_far and least.ads >= AD_WORDS:
                        here &= ~AD
                    last_but_one, last, ad_before, ad = last, at, ad, slot
                if here & CONVERTED and least.pairs >= FEWEST_PAIRS:
                    if pair_one < 0 or pair_one == slot:
                        pair_one = slot
                        here &= ~CONVERTED
                    elif pair_two < 0 or pair_two == slot:
                        pair_two = slot
                        here &= ~CONVERTED
                mark |= here
        if annotations >= least.annotations:
            mark |= PINYIN
        marks[document] |= np.uint16(mark)


@njit(cache=True, nogil=True)
def _near_an_end(
    data: Bytes, at: int, start: int, stop: int, mark: Number, head: int, tail: int, least: Numbers
) -> Number:
    """Returns what of HEAD, TAIL and TITLE holds at that byte: its line is short, and one of the outermost."""
    if at >= head:
        mark &= ~HEAD
    if at < tail:
        mark &= ~TAIL
    if at >= start + TITLE_BYTES:
        mark &= ~TITLE
    if mark & (HEAD | TAIL):
        begin, end = at, at
        while begin > start and data[begin - 1] != 10 and at - begin < least.line_bytes:
            begin -= 1
        while end < stop and data[end] != 10 and end - at < least.line_bytes:
            end += 1
        if end - begin > least.line_bytes:
            mark &= ~(HEAD | TAIL)
    return mark


@njit(cache=True, nogil=True)
def _outermost(data: Bytes, start: int, stop: int, least: Numbers) -> tuple[int, int]:
    """Returns the byte after the first lines, and that at which the last ones begin; empty ones do not count."""
    head, lines = start, 0
    while head < stop and head < start + least.lines * least.line_bytes and lines < least.lines:
        lines += data[head] == 10 and head > start and data[head - 1] != 10
        head += 1
    tail, lines = stop, 0
    while tail > start and tail > stop - least.lines * least.line_bytes:
        lines += data[tail - 1] == 10 and tail < stop and data[tail] != 10
        if lines == least.lines:
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
    least: Numbers,
    marks: Marks,
) -> None:
    """Marks texts whose first units come again, and those that hold characters of both scripts.

    Looked at are the first letters of each unit; the rest is passed over up to its end.
    """
    first, begins = np.zeros(FIRST_UNITS, np.uint64), np.zeros(FIRST_UNITS, np.int64)
    away = np.zeros(FIRST_UNITS, np.int64)  # how far from each of them its latest copy is, 0 where there is none
    prime = np.uint64(0x100000001B3)
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        at = start
        held, hant, hans = 0, 0, 0
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
                nearest, furthest = least.nearest * (stop - start), (1 - least.nearest) * (stop - start)
                for place in range(held):
                    offset = begin - begins[place]
                    if first[place] == unit and furthest >= offset >= nearest:
                        away[place] = offset
                if held < FIRST_UNITS:
                    first[held], begins[held], away[held] = unit, begin, 0
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
        if min(hant, hans) >= max(least.of_a_script, least.script_ratio * (hant + hans)):
            mark |= 32
        for place in range(held):
            units, within = 0, 0
            for other in range(held if away[place] else 0):
                apart = abs(begins[place] - begins[other]) // DRIFT + DRIFT_BYTES
                units += away[other] > 0 and abs(away[place] - away[other]) <= apart
                within += begins[other] - start < away[place]
            if units >= 2 and units * OF_UNITS >= within:
                mark |= 64
        marks[document] |= np.uint16(mark)


@njit(cache=True, nogil=True)
def _ends(data: Bytes, at: int, stop: int) -> bool:
    """Returns whether that byte ends a unit: newline, `!`, `?`, or a full stop before white space."""
    return bool(data[at] != 0x2E or at + 1 >= stop or data[at + 1] == 0x20 or data[at + 1] == 10)
