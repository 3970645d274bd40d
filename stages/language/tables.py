"""What the stage knows of single characters: script, folded form, and whether only one Chinese standard writes them.

The lines of its file are

    script FIRST LAST NAME      letters and marks of a script (code points in hexadecimal)
    fold FIRST LAST SHIFT       lower case of full- and half-width and upper-case letters, as a shift of code points
    simplify FROM TO            Traditional characters, and beside them their Simplified forms
    only Hans CHARACTERS        characters that only one standard writes
    only Hant CHARACTERS
    only Cantonese CHARACTERS   words of one character that written Cantonese uses and written Mandarin hardly
    only Classical CHARACTERS   function words of classical Chinese that modern Chinese hardly uses
    only Modern CHARACTERS      function words of modern Chinese that classical Chinese hardly uses
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

SIZE = 0x32400  # past the last CJK extension; characters beyond have no script
SCRIPTS = (
    "Zyyy Zinh Latn Hani Hira Kana Bopo Hang Cyrl Arab Deva Thai Grek Hebr Armn Geor Beng Guru Gujr Orya Taml Telu "
    "Knda Mlym Sinh Laoo Tibt Mymr Khmr Ethi Mong Thaa Syrc Cher Cans Yiii Tfng Nkoo Java Bali Sund Olck Adlm Vaii"
).split()
NONE, SKIPPED, LATIN, HAN, HIRAGANA, KATAKANA, BOPOMOFO, HANGUL = range(8)
ONLY_HANS, ONLY_HANT, CANTONESE, ONLY_CLASSICAL, ONLY_MODERN, SCRIPT_BITS = 64, 128, 256, 512, 1024, 63

_FILE = Path(__file__).with_name("characters.txt")


@dataclass(frozen=True)
class Tables:
    """What is known of each code point below `SIZE`.

    `kinds` uint16: number of the script, and the bits ONLY_HANS to ONLY_MODERN; `lower` and `simple`
    int32: the folded character, without and with Traditional made Simplified.
    """

    kinds: npt.NDArray[np.uint16]
    lower: npt.NDArray[np.int32]
    simple: npt.NDArray[np.int32]


@functools.cache
def tables() -> Tables:
    """Returns the tables of `characters.txt`."""
    kinds = np.zeros(SIZE, np.uint16)
    lower = np.arange(SIZE, dtype=np.int32)
    only = {
        "Hans": ONLY_HANS,
        "Hant": ONLY_HANT,
        "Cantonese": CANTONESE,
        "Classical": ONLY_CLASSICAL,
        "Modern": ONLY_MODERN,
    }
    pairs: list[tuple[int, int]] = []
    for line in _FILE.read_text("utf-8").splitlines():
        match line.split(" "):
            case "script", first, last, name:
                kinds[int(first, 16) : int(last, 16) + 1] = SCRIPTS.index(name)
            case "fold", first, last, shift:
                lower[int(first, 16) : int(last, 16) + 1] += int(shift)
            case "simplify", traditional, simplified:
                pairs += zip(map(ord, traditional), map(ord, simplified), strict=True)
            case "only", name, characters:
                kinds[[ord(character) for character in characters]] |= only[name]
    simple = lower.copy()
    for source, target in pairs:
        simple[source] = target
    return Tables(kinds, lower, simple)
