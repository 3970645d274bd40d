"""Signals exactly as FineWeb-2 counts them for Chinese: jieba's words, and lines and characters as datatrove has them.

They are counted in Python, word by word, and only where a rule table names one of them: outside our speed target.
Against the signals of `signals.py`: a word is one of jieba's, punctuation is a word too; n-grams are joined by a space
where their length counts; lines keep the space around them; a last newline is a line for some ratios and not for
others. Values are float64 (counts int32), as they are compared there.

Source: huggingface/datatrove, pipeline/filters (gopher_repetition, gopher_quality, fineweb_quality) and utils/text.py;
huggingface/fineweb-2, configs/cmn_Hani.yml; read and compared with at commit a649de79 (version 0.10.1).
"""

import importlib
import importlib.util
import logging
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa

from datapipe import ConfigError

STOP_WORDS = frozenset("的年在月是和日了於·為有被人中为他與後也而由")
# Unicode's Sentence_Terminal, as first and last code points; datatrove's list is that of Unicode 15 and three Khmer
# signs (17D6, 17D9, 17DA).
_TERMINAL_RANGES = (
    "21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736 17d4-17d6 "
    "17d9-17da 1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e 1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 "
    "2e2e 2e3c 2e53-2e54 3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb "
    "fe52 fe56-fe57 ff01 ff0e ff1f ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 "
    "111c5-111c6 111cd 111de-111df 11238-11239 1123b-1123c 112a9 1144b-1144c 115c2-115c3 115c9-115d7 11641-11642 "
    "1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c 11c41-11c42 11ef7-11ef8 11f43-11f44 16a6e-16a6f 16af5 "
    "16b37-16b38 16b44 16e98 1bc9f 1da88"
)
_GRAMS = {n: f"datatrove_top_{n}_gram_ratio" for n in (2, 3, 4)}
_GRAMS |= {n: f"datatrove_duplicate_{n}_gram_ratio" for n in range(5, 11)}
_MEANINGS = {
    "datatrove_words": "jieba's words that are not all punctuation",
    "datatrove_mean_word_length": "characters a word that is not all punctuation",
    "datatrove_hash_ratio": "# a word",
    "datatrove_ellipsis_ratio": "… and ... a word",
    "datatrove_bullet_line_ratio": "lines, blank ones too, that begin with • or -",
    "datatrove_ellipsis_line_ratio": "lines, blank ones too, that end with … or ...",
    "datatrove_alphabetic_word_ratio": "words that hold a letter",
    "datatrove_stop_words": "distinct ones of FineWeb-2's 22 stop words of cmn_Hani",
    "datatrove_line_punctuation_ratio": "lines whose last character ends a sentence",
    "datatrove_newline_word_ratio": "newlines a word",
    "datatrove_duplicate_line_ratio": "lines that stood before, an empty one at either end counted",
    "datatrove_duplicate_line_character_ratio": "characters in lines that stood before, newlines left out",
    **{name: "characters of the most frequent n-gram, times its number" for n, name in _GRAMS.items() if n < 5},
    **{name: "characters of n-grams that stood before, none counted twice" for n, name in _GRAMS.items() if n > 4},
}
_COUNTS = ("datatrove_words", "datatrove_stop_words")

PUBLISHED = pa.schema(
    [
        pa.field(name, pa.int32() if name in _COUNTS else pa.float64(), metadata={"meaning": meaning})
        for name, meaning in _MEANINGS.items()
    ]
)


def _characters(ranges: str) -> frozenset[str]:
    borders = [[int(border, 16) for border in item.split("-")] for item in ranges.split()]
    return frozenset(chr(point) for first, *last in borders for point in range(first, (last or [first])[0] + 1))


_TERMINAL = _characters(_TERMINAL_RANGES)
_ENDS = tuple(_TERMINAL)
_PUNCTUATION = (
    _TERMINAL
    | frozenset(string.punctuation)
    | frozenset("«»´–—’“”„…∶━►、〈〉《》「」【】％（），：；～１")
    | _characters("0-8 b-1f 7f-9f")
)


def jieba_version() -> str:
    """Returns the version of the package jieba, which rows depend on. Raises ConfigError where it is not installed."""
    if importlib.util.find_spec("jieba") is None:
        raise ConfigError(
            "quality: a rule looks at jieba's words, and the package jieba is not installed: pip install "
            "'datapipe[jieba]', or take the profile fineweb2-zh-fast"
        )
    return str(importlib.import_module("jieba").__version__)


def measure_published(texts: pa.Array) -> pa.RecordBatch:
    """Returns the signals of each text (null counts as empty), a row each, under `PUBLISHED`."""
    rows = [_signals(text or "") for text in texts.to_pylist()]
    return pa.RecordBatch.from_pylist(rows, schema=PUBLISHED)


def words_of(text: str) -> list[str]:
    """Returns jieba's words without the space around them, as spaCy's tokenizer for Chinese hands them to datatrove."""
    jieba = importlib.import_module("jieba")  # an extra, and its dictionary takes a second
    jieba.setLogLevel(logging.WARNING)
    return [word.strip() for word in jieba.cut(text) if word.strip()]


def _signals(text: str) -> dict[str, float]:
    words = words_of(text)
    return {**_of_words(text, words), **_of_lines(text, len(words)), **_of_grams(text, words)}


def _of_words(text: str, words: Sequence[str]) -> dict[str, float]:
    solid = [word for word in words if not _PUNCTUATION.issuperset(word)]
    return {
        "datatrove_words": len(solid),
        "datatrove_mean_word_length": _ratio(sum(map(len, solid)), len(solid)),
        "datatrove_hash_ratio": _ratio(text.count("#"), len(words)),
        "datatrove_ellipsis_ratio": _ratio(text.count("...") + text.count("…"), len(words)),
        "datatrove_alphabetic_word_ratio": _ratio(sum(any(map(str.isalpha, word)) for word in words), len(words)),
        "datatrove_stop_words": len(STOP_WORDS.intersection(words)),
    }


def _of_lines(text: str, words: int) -> dict[str, float]:
    lines = text.splitlines()
    solid = [line for line in text.split("\n") if line.strip()]
    borders = re.split("\n+", text)
    repeated = _repeated(solid)
    return {
        "datatrove_bullet_line_ratio": _ratio(sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)),
        "datatrove_ellipsis_line_ratio": _ratio(
            sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)
        ),
        "datatrove_line_punctuation_ratio": _ratio(sum(line.endswith(_ENDS) for line in solid), len(solid)),
        "datatrove_newline_word_ratio": _ratio(text.count("\n"), words),
        "datatrove_duplicate_line_ratio": _ratio(len(_repeated(borders)), len(borders)),
        "datatrove_duplicate_line_character_ratio": _ratio(sum(map(len, repeated)), len(text) - text.count("\n")),
    }


def _of_grams(text: str, words: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for n, name in _GRAMS.items():
        places = range(len(words) - n + 1)
        if n < 5:
            ((gram, amount),) = Counter(" ".join(words[at : at + n]) for at in places).most_common(1) or [("", 0)]
            found[name] = _ratio(len(gram) * amount, len(text))
        else:
            found[name] = _ratio(_covered(words, n), len(text))
    return found


def _covered(words: Sequence[str], n: int) -> int:
    """Returns the characters of the n-grams that stood before, read from left to right, none overlapping another."""
    seen: set[str] = set()
    covered = at = 0
    while at <= len(words) - n:
        gram = "".join(words[at : at + n])
        if gram in seen:
            covered += len(gram)
            at += n
        else:
            seen.add(gram)
            at += 1
    return covered


def _repeated(items: Iterable[str]) -> list[str]:
    """Returns the items that stood before."""
    seen: set[str] = set()
    return [item for item in items if item in seen or seen.add(item)]  # type: ignore[func-returns-value]  # None: new


def _ratio(part: float, whole: int) -> float:
    return part / whole if whole else 0.0
