"""Bytes of a page to text: which charset, how that was decided, and what could not be read.

The order is byte order mark, strict UTF-8, the HTTP label, the page's own label, detection; a label counts only if the
whole page decodes with it. Two labels are doubted: a Western one, which decodes anything and is many servers' default,
and a Chinese one where the page decodes as another Chinese charset too; then the reading with more of the most common
characters wins.

Source: WHATWG Encoding Standard for what labels mean (gb2312 and gbk are read as gb18030, iso-8859-1 as windows-1252).
"""

from __future__ import annotations

import codecs
import functools
import re
from typing import NamedTuple

from chardetng_py import detect
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

HEAD_BYTES = 4096  # where a page's own label is looked for
DETECT_BYTES = 1 << 16
UNREAD_LIMIT = 20  # a charset is believed if it reads so many characters beyond ASCII for one that it does not
_META = re.compile(
    rb"<(?:meta\b[^>]{0,512}?\bcharset|\?xml\b[^>]{0,256}?\bencoding)\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE
)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Python's codecs that read what browsers read under a label: the widest of each family.
_CODECS = {
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
}
_CHINESE = frozenset({"gb18030", "big5hkscs"})
_EAST_ASIAN = _CHINESE | {"cp949", "cp932", "euc_jp", "euc-jp"}
_MULTI_BYTE = _EAST_ASIAN | {"utf-8"}
_SEVEN_BIT_LABELS = {
    "iso-2022-jp": "iso2022_jp",
    "csiso2022jp": "iso2022_jp",
    "iso-2022-kr": "iso2022_kr",
    "csiso2022kr": "iso2022_kr",
    "hz-gb-2312": "hz",
}
_SEVEN_BIT = frozenset(_SEVEN_BIT_LABELS.values())
_COMMON = frozenset("的是了在和不有这一我人他国中大上个来到時时說说們们這個國來為为の는이에を")


class Reading(NamedTuple):
    """A page as text. `replaced` counts U+FFFD put in for bytes that could not be read."""

    text: str
    charset: str
    decided_by: str  # bom, utf-8, http, meta, detected or fallback
    replaced: int


def read(page: bytes, http_label: str | None) -> Reading:
    """Returns the text of a page."""
    for mark, charset in _BOMS:
        if page.startswith(mark):
            return _lenient(page[len(mark) :], charset, "bom")
    if wide := _wide(page):
        return _lenient(page, wide, "detected")
    try:
        text = page.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(page) - 3 and error.reason == "unexpected end of data":  # a crawler cut the page there
            return _lenient(page, "utf-8", "utf-8")
        return _legacy(page, _labels(page, http_label))
    if text.isascii() and (b"\x1b" in page or (b"~" in page and b"~{" in page)):
        return _seven_bit(page, http_label) or Reading(text, "utf-8", "utf-8", 0)
    return Reading(text, "utf-8", "utf-8", 0)


def _seven_bit(page: bytes, http_label: str | None) -> Reading | None:
    """Reads a page of ASCII bytes whose label says that they stand for something else."""
    for charset, by in _labels(page, http_label):
        if charset in _SEVEN_BIT and (text := _strict(page, charset)) is not None:
            return Reading(text, charset, by, 0)
    return None


def _legacy(page: bytes, labels: list[tuple[str, str]]) -> Reading:
    """Reads a page that is not UTF-8 by label, or by what its bytes look like."""
    for charset, by in labels:
        text = _strict(page, charset)
        if text is not None:
            return _doubted(page, Reading(text, charset, by, 0))
    detected = _detected(page)
    wide = [charset for charset in detected if charset in _MULTI_BYTE]  # the others read anything, so they come last
    for charset in wide:
        text = _strict(page, charset)
        if text is not None:
            return Reading(text, charset, "detected", 0)
    order = dict.fromkeys([*wide, *(charset for charset, _ in labels), "utf-8", *detected])
    readings = [_lenient(page, charset, "detected" if charset in detected else "fallback") for charset in order]
    return next(filter(_is_good, readings), min(readings, key=lambda reading: reading.replaced))


def _is_good(reading: Reading) -> bool:
    """Says whether few enough bytes are unread for a page to be in that charset and a little damaged."""
    ascii_characters = len(reading.text.encode("ascii", "ignore"))
    return reading.replaced * UNREAD_LIMIT <= len(reading.text) - ascii_characters


def _doubted(page: bytes, labelled: Reading) -> Reading:
    """Returns what a label gave, or a better reading where labels of its kind are often wrong."""
    western = labelled.charset in ("cp1252", "cp1254", "latin-1")
    if not western and labelled.charset not in _EAST_ASIAN:
        return labelled
    for charset in _detected(page):
        text = _strict(page, charset) if charset in _EAST_ASIAN and charset != labelled.charset else None
        if text is not None and _common(text) > _common(labelled.text):
            return Reading(text, charset, "detected", 0)
    return labelled


def _common(text: str) -> int:
    return sum(map(text.count, _COMMON))


def _labels(page: bytes, http_label: str | None) -> list[tuple[str, str]]:
    """Returns the charsets that the HTTP header and the page name, the former first, unknown ones left out."""
    meta = _META.search(page, 0, HEAD_BYTES)
    stated = [(http_label, "http"), (meta[1].decode("ascii", "replace") if meta else None, "meta")]
    return [(charset, by) for label, by in stated if label and (charset := _known(label)) and charset != "utf-8"]


@functools.lru_cache(maxsize=1024)
def _known(label: str) -> str | None:
    """Returns the codec to read a label with, None for a label that nobody knows.

    >>> _known("GB2312"), _known("x-sjis"), _known("ISO-8859-1"), _known("none")
    ('gb18030', 'cp932', 'cp1252', None)
    """
    label = label.strip().lower()
    if label in _SEVEN_BIT_LABELS:
        return _SEVEN_BIT_LABELS[label]
    charset = map_encoding_to_html5(label, False)
    if charset is None or charset.startswith("utf-16"):  # a label that could be read as ASCII is not true
        return None
    return _codec(charset)


def _codec(charset: str) -> str | None:
    charset = charset.lower()
    try:
        name = codecs.lookup(_CODECS.get(charset, charset))
    except LookupError:
        return None
    return _CODECS.get(name.name, name.name)


def _detected(page: bytes) -> list[str]:
    """Returns charsets that the bytes look like, the likeliest first."""
    head = page[:DETECT_BYTES]
    first = _codec(detect_encoding(head) or "")
    second = _codec(detect(head))
    return [charset for charset in dict.fromkeys((first, second)) if charset]


def _wide(page: bytes) -> str | None:
    """Returns the UTF-16 of a page that has no mark but of whose first bytes many are zero, and all on one side."""
    head = page[:512]
    zeros = head.count(b"\0")
    if zeros * 16 < len(head) or len(head) < 64:
        return None
    odd = head[1::2].count(b"\0")
    if odd * 10 > zeros * 9 and b"<\0" in head:
        return "utf-16-le"
    return "utf-16-be" if odd * 10 < zeros and b"\0<" in head else None


def _strict(page: bytes, charset: str) -> str | None:
    try:
        return page.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return None


def _lenient(page: bytes, charset: str, by: str) -> Reading:
    text = page.decode(charset, "replace")
    return Reading(text, charset, by, text.count("\ufffd"))
