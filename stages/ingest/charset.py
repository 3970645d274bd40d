"""Bytes of a page to text: which charset, how that was decided, and what could not be read.

The order is byte order mark, strict UTF-8, the HTTP label, the page's own label, detection; a label counts only if the
whole page decodes with it. Three kinds of labels are doubted. A Western one decodes anything and is many servers'
default: where a page's bytes beyond ASCII stand in long runs, as they do in no Western language, the next label or
detection is asked. An East Asian one may decode as another East Asian charset too; then the reading with more of the
most common characters wins. A Cyrillic one is weighed against the other charsets of Cyrillic by the regular words that
each of them reads, since all of them decode anything: also the way to Mac Cyrillic, which neither detector knows.

Source: WHATWG Encoding Standard for what labels mean (gb2312 and gbk are read as gb18030, iso-8859-1 as windows-1252)
and for what GB 18030-2022 made of 24 characters that Python's codec still reads as private use.
"""

from __future__ import annotations

import codecs
import functools
import re
from typing import NamedTuple

from chardetng_py import detect
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

LABEL_CHARACTERS = 40  # of a label that nobody knows, which is kept as it is stated
HEAD_BYTES = 4096  # where a page's own label is looked for
DETECT_BYTES = 1 << 16
RUN_CHARACTERS = 3  # so many characters beyond ASCII in a row are a run; Western words have one or two
FOREIGN_CHARACTERS = 30  # a page with fewer in runs is not told from a Western one
CYRILLIC_RATIO = 0.4  # of the letters are the frequent ones below in regular words, if it is Cyrillic: 0.6 in Russian
CYRILLIC_MARGIN = 1.25  # regular Cyrillic of another charset for one of the label's, from which on the label is wrong
UNREAD_LIMIT = 20  # a charset is believed if it reads so many characters beyond ASCII for one that it does not
_META = re.compile(
    rb"<!(?=--).*?(?:-->|\Z)|"  # a comment, and what is stated in it, is passed over
    rb"<(?:meta\b[^>]{0,512}?\bcharset|\?xml\b[^>]{0,256}?\bencoding)\s*=\s*[\"']?\s*([\w.:-]{2,40})",
    re.IGNORECASE | re.DOTALL,
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
_ASCII = bytes(range(128))
_WESTERN = frozenset({"cp1252", "cp1254", "latin-1", "mac-roman"})
# KOI8-U comes first: it reads KOI8-R's letters and more. Of those that read a page alike the first is taken.
_CYRILLIC = ("cp1251", "koi8-u", "cp866", "iso8859-5", "mac-cyrillic")
_RUN = re.compile(f"[\x80-\U0010ffff]{{{RUN_CHARACTERS},}}")
# A word as Cyrillic is written: small letters, the first may be a capital. Of them the ten most frequent in Russian are
# counted, nine of which are among the thirteen most frequent in Bulgarian, Serbian and Ukrainian too, and six capitals
# that many words begin with.
_CYRILLIC_WORD = re.compile("(?<![\x80-\U0010ffff])([А-ЯЁЂ-Џ]?[а-яёђ-џґ]+)(?![\x80-\U0010ffff])")
_FREQUENT_CYRILLIC = "оеаинтсрвлПСВНКМ"
_GB_2022 = str.maketrans(
    dict(
        zip(
            "\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796"
            "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
            "\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19"
            "\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb",
            strict=True,
        )
    )
)
_PRIVATE = re.compile("[\ue78d-\ue864]")
_COMMON = frozenset("的是了在和不有这一我人他国中大上个来到時时說说們们這個國來為为の는이에を")


class Reading(NamedTuple):
    """A page as text. `replaced` counts U+FFFD put in for bytes that could not be read."""

    text: str
    charset: str
    decided_by: str  # bom, utf-8, http, meta, detected or fallback
    replaced: int
    declared: str | None = None  # what the HTTP header, or else the page, states
    detected: str | None = None  # what the bytes look like, where that was asked


def read(page: bytes, http_label: str | None) -> Reading:
    """Returns the text of a page."""
    labels = _labels(page, http_label)
    return _read(page, [(charset, by) for charset, by, known in labels if known])._replace(
        declared=labels[0][0] if labels else None
    )


def _read(page: bytes, labels: list[tuple[str, str]]) -> Reading:
    """Reads a page whose labels, the more trusted first, are (codec, http or meta)."""
    for mark, charset in _BOMS:
        if page.startswith(mark):
            return _lenient(page[len(mark) :], charset, "bom")._replace(detected=charset)
    if wide := _wide(page):
        return _lenient(page, wide, "detected")._replace(detected=wide)
    try:
        text = page.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(page) - 3 and error.reason == "unexpected end of data":  # a crawler cut the page there
            return _lenient(page, "utf-8", "utf-8")._replace(detected="utf-8")
        return _legacy(page, [label for label in labels if label[0] != "utf-8"])
    if text.isascii() and (b"\x1b" in page or (b"~" in page and b"~{" in page)):
        for charset, by in labels:  # that may say that the bytes stand for something else
            if charset in _SEVEN_BIT and (seven := _strict(page, charset)) is not None:
                return Reading(seven, charset, by, 0)
    return Reading(text, "utf-8", "utf-8", 0, detected="utf-8")


def _legacy(page: bytes, labels: list[tuple[str, str]]) -> Reading:
    """Reads a page that is not UTF-8 by label, or by what its bytes look like."""
    for place, (charset, by) in enumerate(labels):
        text = _strict(page, charset)
        if text is not None:
            return _doubted(page, Reading(text, charset, by, 0), labels[place + 1 :])
    detected = _detected(page)
    wide = [charset for charset in detected if charset in _MULTI_BYTE]  # the others read anything, so they come last
    for charset in wide:
        text = _strict(page, charset)
        if text is not None:
            return Reading(text, charset, "detected", 0, detected=charset)
    order = dict.fromkeys([*wide, *(charset for charset, _ in labels), "utf-8", *detected])
    readings = [_lenient(page, charset, "detected" if charset in detected else "fallback") for charset in order]
    best = next(filter(_is_good, readings), min(readings, key=lambda reading: reading.replaced))
    return best._replace(detected=detected[0] if detected else None)


def _is_good(reading: Reading) -> bool:
    """Says whether few enough bytes are unread for a page to be in that charset and a little damaged."""
    ascii_characters = len(reading.text.encode("ascii", "ignore"))
    return reading.replaced * UNREAD_LIMIT <= len(reading.text) - ascii_characters


def _doubted(page: bytes, labelled: Reading, others: list[tuple[str, str]]) -> Reading:
    """Returns what a label gave, or a better reading where labels of its kind are often wrong."""
    if labelled.charset in _CYRILLIC or labelled.charset == "koi8-r":
        likely = _cyrillic(page, labelled.charset, CYRILLIC_MARGIN)
        text = None if likely == labelled.charset else _strict(page, likely)
        return labelled if text is None else Reading(text, likely, "detected", 0, detected=likely)
    western = labelled.charset in _WESTERN
    if not western and labelled.charset not in _EAST_ASIAN:
        return labelled
    detected = _detected(page)
    labelled = labelled._replace(detected=detected[0] if detected else None)
    for charset in detected:
        text = _strict(page, charset) if charset in _EAST_ASIAN and charset != labelled.charset else None
        if text is not None and _common(text) > _common(labelled.text):
            return Reading(text, charset, "detected", 0, detected=charset)
    if western and _is_foreign(labelled.text):
        for charset, by in [*others, *((charset, "detected") for charset in detected)]:
            text = None if charset in _WESTERN else _strict(page, charset)
            if text is not None:
                return Reading(text, charset, by, 0, detected=labelled.detected)
    return labelled


def _common(text: str) -> int:
    return sum(map(text.count, _COMMON))


def _is_foreign(text: str) -> bool:
    """Says whether a page that was read as Western is in another script: most of it beyond ASCII stands in runs.

    >>> _is_foreign("Äußerst schöne Häuser " * 99), _is_foreign("Ïðèâåò, ìèð " * 99)
    (False, True)
    """
    in_runs = sum(map(len, _RUN.findall(text)))
    return in_runs >= FOREIGN_CHARACTERS and 2 * in_runs > len(text) - len(text.encode("ascii", "ignore"))


def _cyrillic(page: bytes, first: str, margin: float = 1.0) -> str:
    """Returns the charset of Cyrillic that reads the most frequent letters in words as Cyrillic is written.

    `first` is one of them, and wins unless another reads more than `margin` times as many; or it is empty, and so is
    the answer where none reads `CYRILLIC_RATIO` of the bytes beyond ASCII so.
    """
    head = page[:DETECT_BYTES]
    best = first
    most = margin * _regular(head, first) if first else CYRILLIC_RATIO * len(head.translate(None, _ASCII))
    for charset in _CYRILLIC:
        amount = _regular(head, charset)
        if amount > most:
            best, most = charset, amount
    return best


def _regular(page: bytes, charset: str) -> int:
    """Returns how many of the letters frequent in Cyrillic languages stand in regular words."""
    small = "".join(_CYRILLIC_WORD.findall(page.decode(charset, "replace")))
    return sum(map(small.count, _FREQUENT_CYRILLIC))


def _labels(page: bytes, http_label: str | None) -> list[tuple[str, str, bool]]:
    """Returns what the HTTP header and the page state, the former first: (charset, by, whether it is one we know)."""
    meta = next((found[1] for found in _META.finditer(page, 0, HEAD_BYTES) if found[1]), None)
    stated = [(http_label, "http"), (meta.decode("ascii", "replace") if meta else None, "meta")]
    return [
        (charset or label.strip().lower()[:LABEL_CHARACTERS], by, charset is not None)
        for label, by in stated
        if label and label.strip()
        for charset in (_known(label),)
    ]


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
    found = [charset for charset in dict.fromkeys((first, second)) if charset]
    if not any(charset in _CYRILLIC or charset in _WESTERN or charset == "koi8-r" for charset in found):
        return found
    first = next((charset for charset in found if charset in _CYRILLIC or charset == "koi8-r"), "")
    likely = _cyrillic(head, first)
    if first or (likely and _is_foreign(head.decode("latin-1"))):
        found.sort(key=lambda charset: charset not in _MULTI_BYTE)  # those can be proved wrong
        found.insert(sum(charset in _MULTI_BYTE for charset in found), likely)
    return list(dict.fromkeys(found))


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
        text = page.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return None
    return _modern(text, charset)


def _modern(text: str, charset: str) -> str:
    """Returns what GB 18030 is read as, as of 2022; other charsets as they are."""
    return text.translate(_GB_2022) if charset == "gb18030" and _PRIVATE.search(text) else text


def _lenient(page: bytes, charset: str, by: str) -> Reading:
    text = _modern(page.decode(charset, "replace"), charset)
    return Reading(text, charset, by, text.count("\ufffd"))
