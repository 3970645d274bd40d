"""Makes fold_table.xz, the frozen table behind the folded view: run once, by hand, never in a pipeline.

    python -m stages.dedup.make_fold_table

A character becomes NFKC, case folded, NFKC again, then Simplified by OpenCC's `t2s`; what it becomes is sorted into
the kinds of `stages.dedup.fold`. The interpreter's Unicode tables and OpenCC's are read here alone, so rows do not
depend on the versions that a worker has. Their versions stand in the file's header. A table of other content is
another identity of the stage, so keys made with it are never compared with keys of the old one.
"""

from __future__ import annotations

import json
import lzma
import unicodedata
from importlib.metadata import version
from pathlib import Path

import numpy as np
import opencc

from stages.dedup.fold import CODE_BITS, CODE_POINTS, EXPANDS, IGNORED, MARK, PATH, SEPARATOR, SINGLE, WORD

UNSPACED_NAMES = (
    "CJK UNIFIED",
    "CJK COMPATIBILITY IDEOGRAPH",
    "IDEOGRAPHIC",
    "HANGZHOU",
    "HIRAGANA",
    "KATAKANA",
    "BOPOMOFO",
    "YI SYLLABLE",
    "TANGUT",
    "NUSHU",
    "KHITAN",
    "THAI",
    "LAO ",
    "KHMER",
    "MYANMAR",
    "NEW TAI LUE",
    "TAI LE",
    "TAI THAM",
    "TAI VIET",
    "BALINESE",
    "JAVANESE",
)
BY_PHRASE = str.maketrans(
    "著瞭覆藉祇牠甦", "着了复借只它苏"
)  # t2s converts these in some phrases only; a key does it always
IDEOGRAPHIC_PLANES = range(0x20000, 0x40000)  # reserved by the standard for ideographs, assigned or not


def main() -> None:
    """Writes the table beside this module."""
    simplified = opencc.OpenCC("t2s")
    table = np.zeros(CODE_POINTS, np.uint32)
    expansions: list[int] = []
    for code in range(CODE_POINTS):
        entries = _tidy([_entry(character) for character in folded(chr(code), simplified)])
        if len(entries) == 1:
            table[code] = entries[0]
        else:
            table[code] = EXPANDS << CODE_BITS | len(expansions)
            expansions += [len(entries), *entries]
    write(PATH, table, np.array(expansions, np.uint32))


def folded(character: str, simplified: opencc.OpenCC) -> str:
    """Returns what one character becomes in the folded view; may be several characters.

    Folding is repeated until nothing changes: t2s makes one Simplified character of another Traditional one (薴 to
    苧, 苧 to 苎), and a Simplified text folds as its Traditional twin does only if both go all the way.
    """
    if 0xD800 <= ord(character) < 0xE000:
        return character
    while True:
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
        plain = "".join(str(simplified.convert(item)) for item in plain).translate(BY_PHRASE)
        if plain == character:
            return plain
        character = plain


def write(path: str, table: np.ndarray, expansions: np.ndarray) -> None:
    """Writes header, differences of the table to the code points themselves (long equal runs), and expansions."""
    header = {
        "version": 1,
        "unicode": unicodedata.unidata_version,
        "opencc": version("opencc"),
        "expansions": len(expansions),
    }
    differences = table - np.arange(CODE_POINTS, dtype=np.uint32)
    content = (
        json.dumps(header).encode() + b"\n" + differences.astype("<u4").tobytes() + expansions.astype("<u4").tobytes()
    )
    Path(path).write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


def _entry(character: str) -> int:
    kind = _kind(character)
    return kind << CODE_BITS | (0 if kind in (SEPARATOR, IGNORED) else ord(character))


def _kind(character: str) -> int:
    category = unicodedata.category(character)
    if ord(character) in IDEOGRAPHIC_PLANES:
        return SINGLE
    if category in ("Me", "Cf") or unicodedata.name(character, "").startswith("VARIATION SELECTOR"):
        return IGNORED
    if category[0] not in "LNM":
        return SEPARATOR
    if unicodedata.name(character, "").startswith(UNSPACED_NAMES):
        return SINGLE
    return MARK if category[0] == "M" else WORD


def _tidy(entries: list[int]) -> list[int]:
    """Returns entries without neighbours that do nothing: separators in a row, ignored characters beside others."""
    kept = [entry for entry in entries if entry >> CODE_BITS != IGNORED]
    tidy = [entry for place, entry in enumerate(kept) if entry != 0 or place == 0 or kept[place - 1] != 0]
    return tidy or [IGNORED << CODE_BITS]


if __name__ == "__main__":
    main()
