"""Writes `characters.bin`, the frozen Unicode classes: run once by a developer, `python -m stages.quality.freeze`.

Rows must not change with the interpreter, so the classes come from a file and this module is never imported by the
stage. The file was written under Unicode 14.0. Planes 2 and 3 are Han as a whole: Unicode reserves them for it, so
ideographs of later versions are met too.

Format: runs of equal class in the order of code points, 5 bytes each: first code point (uint32, little-endian), class.
"""

import sys
import unicodedata
from pathlib import Path

import numpy as np

from stages.quality.characters import FROZEN, RUN, Kind

_UNSPACED = ("HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "YI ")
_HAN_NAMES = ("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH", "HANGZHOU NUMERAL")
_HAN = "〇々〆〻"


def classify(character: str) -> Kind:
    """Returns the class of a character by its Unicode category, name and width alone.

    >>> classify("汉").name, classify("é").name, classify("，").name
    ('HAN', 'LATIN', 'WIDE')
    """
    name = unicodedata.name(character, "")
    category = unicodedata.category(character)
    if 0x20000 <= ord(character) <= 0x3FFFD or character in _HAN or name.startswith(_HAN_NAMES):
        return Kind.HAN
    if character == "\n":
        return Kind.NEWLINE
    if character.isspace():
        return Kind.SPACE
    if category in ("Mn", "Mc", "Me", "Cf"):
        return Kind.MARK
    if category.startswith("L"):
        return _letter(name)
    if category.startswith("N"):
        return Kind.DIGIT if category == "Nd" else Kind.NUMBER
    if category.startswith("P"):
        return Kind.WIDE if unicodedata.east_asian_width(character) in "WF" else Kind.PUNCTUATION
    return Kind.SYMBOL if category.startswith("S") else Kind.OTHER


def _letter(name: str) -> Kind:
    if name.startswith(_UNSPACED):
        return Kind.SINGLE
    latin = name.startswith(("LATIN", "FULLWIDTH LATIN", "MODIFIER LETTER", "FEMININE ORDINAL", "MASCULINE ORDINAL"))
    return Kind.LATIN if latin else Kind.LETTER


def runs() -> bytes:
    """Returns the content of `characters.bin`, by this interpreter's Unicode version."""
    kinds = np.array([classify(chr(point)) for point in range(sys.maxunicode + 1)], np.uint8)
    first = np.concatenate([[0], np.flatnonzero(np.diff(kinds)) + 1])
    table = np.empty(len(first), RUN)
    table["first"], table["kind"] = first, kinds[first]
    return table.tobytes()


if __name__ == "__main__":
    Path(FROZEN).write_bytes(runs())
