"""Measures pages for what makes HTML parsers slow, before a parser sees them.

resiliparse is quadratic in the depth of nesting (main content alone: 5,000 divs 0.8 s, 100,000 over a minute), in the
attributes of one tag (20,000: 1.8 s) and in the options of a select (8,000: 0.4 s). One pass over the bytes counts all.

Depth is estimated without a parser: a start tag of an element that does not end by itself adds one, an end tag of such
takes one away. Comments and the contents of script, style, textarea and title are passed over.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numba import njit

RAW_TEXT = ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
# Elements that have no end tag, or that the next of their kind ends.
FLAT = (
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"),
    *("p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "optgroup", "rt", "rp", "colgroup"),
    *("html", "head", "body", "caption"),
)
NAME_BYTES = 8  # longer names are neither raw text nor flat


class Size(NamedTuple):
    """What was counted in a page: nesting of elements, attributes of the tag with most, options of selects."""

    depth: int
    attributes: int
    options: int


def measure(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Returns int64[pages, 3], a `Size` for each page, which is `data[offsets[i]:offsets[i + 1]]` (uint8)."""
    sizes = np.zeros((len(offsets) - 1, 3), np.int64)
    _measure(fixed(data), fixed(offsets), _KEYS, _BITS, sizes)
    return sizes


def fixed(array: np.ndarray) -> np.ndarray:
    """Returns a read-only view: the kernel is compiled once, not once more for arrays that can be written."""
    view = array.view()
    view.flags.writeable = False
    return view


def measure_plainly(page: bytes) -> Size:
    """Returns the same for one page, written to be read."""
    depth = deepest = most = options = foreign = at = 0
    while tag := _TAG.search(page, at):
        if tag["other"]:
            mark = b"-->" if tag["other"] == b"!--" else b">"
            end = page.find(mark, tag.start() + 2)
            at = len(page) if end < 0 else end + len(mark)
            continue
        name = tag["name"].lower()
        attributes, at = _attributes_plainly(page, tag.end())
        closes_itself = foreign > 0 and page[at - 2 : at] == b"/>"
        most = max(most, attributes)
        if tag["end"]:
            depth = max(0, depth - (name not in _FLAT_NAMES))
            foreign = max(0, foreign - (name in _FOREIGN_NAMES))
            continue
        options += name == b"option"
        foreign += name in _FOREIGN_NAMES
        depth += name not in _FLAT_NAMES and not closes_itself
        deepest = max(deepest, depth)
        if name in _RAW_NAMES and not foreign:
            end = page.lower().find(b"</" + name, at)
            at = len(page) if end < 0 else end
    return Size(deepest, most, options)


def _attributes_plainly(page: bytes, at: int) -> tuple[int, int]:
    """Returns how many attributes follow, and where the tag ends."""
    amount = 0
    while at < len(page):
        at = _BETWEEN.match(page, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        if page[at : at + 1] == b">":
            return amount, at + 1
        if attribute := _ATTRIBUTE.match(page, at):
            amount += 1
            at = attribute.end()
    return amount, len(page)


_TAG = re.compile(rb"<(?:(?P<other>!--|[!?])|(?P<end>/?)(?P<name>[A-Za-z][^ \t\n\r\f/>]*))")
_BETWEEN = re.compile(rb"[ \t\n\r\f/]*")
_ATTRIBUTE = re.compile(
    rb"[^ \t\n\r\f/>][^ \t\n\r\f/>=]*"
    rb"(?:[ \t\n\r\f]*=[ \t\n\r\f]*(?:\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z)|[^ \t\n\r\f>]*))?"
)
_FLAT_NAMES = frozenset(name.encode() for name in FLAT)
_RAW_NAMES = frozenset(name.encode() for name in RAW_TEXT)
_FOREIGN_NAMES = frozenset((b"svg", b"math"))


def _key(name: str) -> int:
    return int.from_bytes(name.encode(), "little")


_LONG = np.uint64(2**64 - 1)
_FLAT, _RAW, _FOREIGN, _OPTION = 1, 2, 4, 8  # what an element is, as bits
_MULTIPLIER = 0x9E3779B97F4A7C15  # golden ratio; the constructor below fails if two names share a place


def _table() -> tuple[np.ndarray, np.ndarray]:
    """Returns uint64[1024] and uint8[1024]: at the place of a tag name's key, the key and its bits."""
    keys, bits = np.zeros(1024, np.uint64), np.zeros(1024, np.uint8)
    for names, bit in ((FLAT, _FLAT), (RAW_TEXT, _RAW), (("svg", "math"), _FOREIGN), (("option",), _OPTION)):
        for name in names:
            place = (_key(name) * _MULTIPLIER % 2**64) >> 54
            if keys[place] not in (0, _key(name)):
                raise AssertionError(f"{name} has no place of its own: choose another multiplier")
            keys[place] = _key(name)
            bits[place] |= bit
    return keys, bits


_KEYS, _BITS = _table()


@njit(cache=True, nogil=True)
def _is_space(byte: int) -> bool:
    return byte == 32 or byte == 10 or byte == 9 or byte == 13 or byte == 12


@njit(cache=True, nogil=True)
def _is_letter(byte: int) -> bool:
    return 97 <= (byte | 32) <= 122


@njit(cache=True, nogil=True)
def _name_at(data: np.ndarray, at: int, end: int) -> tuple[np.uint64, int]:
    """Returns the key of the tag name at `at` (its first eight bytes, lower case) and where the name ends."""
    key = np.uint64(0)
    begin = at
    while at < end and not _is_space(data[at]) and data[at] != 47 and data[at] != 62:
        byte = data[at]
        if 65 <= byte <= 90:
            byte += 32
        if at - begin < NAME_BYTES:
            key |= np.uint64(byte) << np.uint64(8 * (at - begin))
        at += 1
    return (_LONG if at - begin > NAME_BYTES else key), at


@njit(cache=True, nogil=True)
def _attributes(data: np.ndarray, at: int, end: int) -> tuple[int, int]:
    """Returns how many attributes follow, and where the tag ends."""
    amount = 0
    while at < end:
        while at < end and (_is_space(data[at]) or data[at] == 47):
            at += 1
        if at >= end:
            break
        if data[at] == 62:
            return amount, at + 1
        amount += 1
        at += 1
        while at < end and not _is_space(data[at]) and data[at] != 47 and data[at] != 62 and data[at] != 61:
            at += 1
        equals = at
        while equals < end and _is_space(data[equals]):
            equals += 1
        if equals < end and data[equals] == 61:
            at = _value(data, equals + 1, end)
    return amount, end


@njit(cache=True, nogil=True)
def _value(data: np.ndarray, at: int, end: int) -> int:
    """Returns where the attribute value ends that begins at `at`, spaces before it included."""
    while at < end and _is_space(data[at]):
        at += 1
    if at < end and (data[at] == 34 or data[at] == 39):
        quote = data[at]
        at += 1
        while at < end and data[at] != quote:
            at += 1
        return min(at + 1, end)
    while at < end and not _is_space(data[at]) and data[at] != 62:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _markup_end(data: np.ndarray, at: int, end: int) -> int:
    """Returns where the comment, declaration or instruction ends of which `at` is the byte behind `<`."""
    comment = at + 2 < end and data[at] == 33 and data[at + 1] == 45 and data[at + 2] == 45
    at += 1
    while at < end:
        if data[at] == 62 and (not comment or (at >= 2 and data[at - 1] == 45 and data[at - 2] == 45)):
            return at + 1
        at += 1
    return end


@njit(cache=True, nogil=True)
def _raw_end(data: np.ndarray, at: int, end: int, key: np.uint64) -> int:
    """Returns where the end tag begins of an element whose content is no markup."""
    while at + 1 < end:
        if data[at] == 60 and data[at + 1] == 47:
            same = True
            begin = at + 2
            rest = key
            while rest != 0 and same:
                same = begin < end and (data[begin] | 32) == np.uint8(rest & np.uint64(255))
                rest = rest >> np.uint64(8)
                begin += 1
            if same:
                return at
        at += 1
    return end


@njit(cache=True, nogil=True)
def _measure(data: np.ndarray, offsets: np.ndarray, keys: np.ndarray, bits: np.ndarray, sizes: np.ndarray) -> None:
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        depth = deepest = most = options = foreign = 0
        while at + 1 < end:
            if data[at] != 60:
                at += 1
                continue
            at += 1
            byte = data[at]
            if byte == 33 or byte == 63:
                at = _markup_end(data, at, end)
                continue
            ends = byte == 47
            if ends:
                at += 1
            if at >= end or not _is_letter(data[at]):
                continue
            key, at = _name_at(data, at, end)
            attributes, at = _attributes(data, at, end)
            most = max(most, attributes)
            place = (key * np.uint64(_MULTIPLIER)) >> np.uint64(54)
            kind = bits[place] if keys[place] == key else np.uint8(0)
            if ends:
                depth -= depth > 0 and not kind & _FLAT
                foreign -= foreign > 0 and kind & _FOREIGN != 0
                continue
            closes_itself = foreign > 0 and data[at - 1] == 62 and data[at - 2] == 47
            options += kind & _OPTION != 0
            foreign += kind & _FOREIGN != 0
            if not closes_itself and not kind & _FLAT:
                depth += 1
                deepest = max(deepest, depth)
            if foreign == 0 and kind & _RAW:
                at = _raw_end(data, at, end, key)
        sizes[row, 0] = deepest
        sizes[row, 1] = most
        sizes[row, 2] = options
