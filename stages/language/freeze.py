"""Makes `characters.txt` of `tables.py` anew: `python -m stages.language.freeze > stages/language/characters.txt`.

From `unicodedata` (names, categories, compatibility and case mappings), OpenCC's character tables, and the GB 2312
and Big5 codecs. A character counts for `Hans` where OpenCC's `s2t` changes it and Big5 lacks it, for `Hant` where
`t2s` changes it and GB 2312 lacks it: 后, 里 or 台 are written by both and decide nothing.
"""

import sys
import unicodedata
from collections.abc import Callable, Iterator

from opencc import OpenCC

from stages.language.tables import SIZE

_CANTONESE = "唔嘅咗喺啲冇嚟佢哋嗰嘢咁噉乜畀諗攞啱瞓嘥㗎嘞喎俾睇揸搵枱啫嗌攰冧靚褸閂孖噃吖"
_CLASSICAL = "矣焉哉兮曰吾汝乎歟欤豈岂孰奚弗"
_MODERN = "的了们們这這那吗嗎呢吧啊很你您她它哪么麼给給"
_NAMES = {
    "LATIN": "Latn", "CJK": "Hani", "IDEOGRAPHIC": "Hani", "HIRAGANA": "Hira", "KATAKANA": "Kana",
    "KATAKANA-HIRAGANA": "Kana", "BOPOMOFO": "Bopo", "HANGUL": "Hang", "CYRILLIC": "Cyrl", "ARABIC": "Arab",
    "DEVANAGARI": "Deva", "THAI": "Thai", "GREEK": "Grek", "HEBREW": "Hebr", "ARMENIAN": "Armn", "GEORGIAN": "Geor",
    "BENGALI": "Beng", "GURMUKHI": "Guru", "GUJARATI": "Gujr", "ORIYA": "Orya", "TAMIL": "Taml", "TELUGU": "Telu",
    "KANNADA": "Knda", "MALAYALAM": "Mlym", "SINHALA": "Sinh", "LAO": "Laoo", "TIBETAN": "Tibt", "MYANMAR": "Mymr",
    "KHMER": "Khmr", "ETHIOPIC": "Ethi", "MONGOLIAN": "Mong", "THAANA": "Thaa", "SYRIAC": "Syrc", "CHEROKEE": "Cher",
    "CANADIAN": "Cans", "YI": "Yiii", "TIFINAGH": "Tfng", "NKO": "Nkoo", "JAVANESE": "Java", "BALINESE": "Bali",
    "SUNDANESE": "Sund", "OL": "Olck", "ADLAM": "Adlm", "VAI": "Vaii",
}  # fmt: skip


def generate() -> Iterator[str]:
    """Yields the lines of `characters.txt` by the libraries of this interpreter."""
    for first, last, name in _ranges(_script):
        yield f"script {first:X} {last:X} {name}"
    for first, last, shift in _ranges(_shift):
        yield f"fold {first:X} {last:X} {shift}"
    yield from _chinese()


def _ranges(value_of: Callable[[str], str | int]) -> Iterator[tuple[int, int, str | int]]:
    first, held = 0, value_of(chr(0))
    for code in range(1, SIZE + 1):
        value = value_of(chr(code)) if code < SIZE else ""
        if value != held:
            if held:
                yield first, code - 1, held
            first, held = code, value


def _script(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] not in "LM" and character not in "\u3007\u200c\u200d\u00ad":
        return ""
    folded = unicodedata.normalize("NFKC", character)
    name = unicodedata.name(folded if len(folded) == 1 else character, "").split(" ")
    known = _NAMES.get(name[1] if name[0] in ("FULLWIDTH", "HALFWIDTH") and len(name) > 1 else name[0], "")
    return known or ("Zinh" if category[0] in "MC" else "")


def _shift(character: str) -> int:
    if not _script(character):
        return 0
    folded = unicodedata.normalize("NFKC", character).lower()[:1]
    return ord(folded) - ord(character) if _script(folded) == _script(character) else 0


def _chinese() -> Iterator[str]:
    to_simplified, to_traditional = OpenCC("t2s").convert, OpenCC("s2t").convert
    han = [chr(code) for code in range(0x3007, SIZE) if _script(chr(code)) == "Hani"]
    simplified = {character: to_simplified(character) for character in han}
    changed = [one for one in han if simplified[one] != one and len(simplified[one]) == 1]
    yield f"simplify {''.join(changed)} {''.join(simplified[one] for one in changed)}"
    hans = [one for one in han if to_traditional(one) != one and not _encodes(one, "big5")]
    hant = [one for one in han if simplified[one] != one and not _encodes(one, "gb2312")]
    yield "only Hans " + "".join(hans)
    yield "only Hant " + "".join(hant)
    yield "only Cantonese " + _CANTONESE
    yield "only Classical " + _CLASSICAL
    yield "only Modern " + _MODERN


def _encodes(character: str, charset: str) -> bool:
    try:
        return bool(character.encode(charset))
    except UnicodeEncodeError:
        return False


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # standard output is a text file
    print("\n".join(generate()))
