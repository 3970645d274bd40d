"""The signals: their names, types and meaning, and how each follows from what was counted.

Signals are float32 (counts int32), rounded once from an exact quotient of integers; limits are compared as float32
too, so a value is never beyond a limit that it equals. A quotient whose divisor is zero is zero.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.quality.characters import Kind
from stages.quality.counts import Count

Counts = NDArray[np.int64]  # [documents, COUNTS]

_HAN = (Kind.HAN, Kind.FUNCTION)
_SPACE = (Kind.SPACE, Kind.TAB, Kind.NEWLINE)
_WIDE = (*_HAN, Kind.SINGLE, Kind.WIDE_END, Kind.WIDE_CLOSING, Kind.WIDE)
_CODE = (Kind.CODE, Kind.CURLY)
_SYMBOLS = (Kind.BULLET, Kind.STAR, Kind.HASH, Kind.PIPE, *_CODE, Kind.SYMBOL, Kind.OTHER)
_ALL = tuple(Kind)


def _sum(counts: Counts, columns: Iterable[int]) -> NDArray[np.int64]:
    chosen: NDArray[np.int64] = counts[:, [int(column) for column in columns]]
    total: NDArray[np.int64] = chosen.sum(axis=1)
    return total


def _without(*left_out: Kind) -> tuple[Kind, ...]:
    return tuple(kind for kind in Kind if kind not in left_out)


_VISIBLE = _without(*_SPACE, Kind.MARK)


def _ratio(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(below > 0, above / np.maximum(below, 1), 0.0)


def _share(above: Iterable[int], below: Iterable[int]) -> Callable[[Counts], NDArray[np.float64]]:
    parts, whole = tuple(above), tuple(below)
    return lambda counts: _ratio(_sum(counts, parts), _sum(counts, whole))


def _number(*columns: int) -> Callable[[Counts], NDArray[np.int64]]:
    return lambda counts: _sum(counts, columns)


def _weighted(counts: Counts) -> NDArray[np.float64]:
    return _sum(counts, _WIDE) + (_sum(counts, _VISIBLE) - _sum(counts, _WIDE)) / 2


def _variety(counts: Counts) -> NDArray[np.float64]:
    return counts[:, Count.DISTINCT_HAN] / np.sqrt(np.maximum(_sum(counts, _HAN), 1))


def _density(column: int) -> Callable[[Counts], NDArray[np.float64]]:
    return lambda counts: counts[:, column] * 200 / np.maximum(_weighted(counts), 200)


_TOP = "characters of all occurrences of the most frequent n-gram of units"
_DUPLICATE = "characters covered by n-grams of units that occurred before"
_GRAMS = {
    **{f"top_{n}_gram_ratio": (Count.TOP_GRAMS + n - 2, _TOP) for n in (2, 3, 4)},
    **{f"duplicate_{n}_gram_ratio": (Count.DUPLICATE_GRAMS + n - 5, _DUPLICATE) for n in range(5, 11)},
}

# name: (how it follows, meaning)
_DEFINITIONS: dict[str, tuple[Callable[[Counts], NDArray[np.int64] | NDArray[np.float64]], str]] = {
    "characters": (_number(*_ALL), "code points, space included"),
    "weighted_length": (_weighted, "visible characters, full-width ones (Han, kana, 。) as 1, others as 0.5"),
    "words": (_number(Count.WORDS), "units: a Han (or other unspaced) letter, or a run of other letters and digits"),
    "sentences": (_number(Count.SENTENCES), "runs of 。！？；…!? or of a full stop before space"),
    "lines": (_number(Count.LINES), "lines that are not blank"),
    "paragraphs": (_number(Count.PARAGRAPHS), "runs of lines between blank lines"),
    "mean_word_length": (_share([Count.WORD_CHARACTERS], [Count.WORDS]), "characters a unit"),
    "single_word_ratio": (_share([*_HAN, Kind.SINGLE], [Count.WORDS]), "units that are a letter of an unspaced script"),
    "alphabetic_word_ratio": (_share([Count.ALPHABETIC_WORDS], [Count.WORDS]), "units that hold a letter"),
    "stop_words": (_number(Count.STOP_WORDS), "distinct ones of the, be, to, of, and, that, have, with"),
    "hash_ratio": (_share([Kind.HASH], [Count.WORDS]), "# a unit"),
    "ellipsis_ratio": (_share([Kind.ELLIPSIS, Count.ELLIPSES], [Count.WORDS]), "… and ... a unit"),
    "bullet_line_ratio": (_share([Count.BULLET_LINES], [Count.LINES]), "lines that begin with a bullet, - or *"),
    "ellipsis_line_ratio": (_share([Count.ELLIPSIS_LINES], [Count.LINES]), "lines that end with … or ... or 。。。"),
    "closed_line_ratio": (_share([Count.CLOSED_LINES], [Count.LINES]), "lines that end with punctuation of prose"),
    "table_line_ratio": (_share([Count.TABLE_LINES], [Count.LINES]), "lines with two or more |, tabs, ─ to ╿"),
    "mean_line_length": (_share([Count.LINE_CHARACTERS], [Count.LINES]), "characters a line"),
    "short_line_ratio": (_share([Count.SHORT_LINES], [Count.LINES]), "lines of at most 30 characters"),
    "tiny_line_character_ratio": (
        _share([Count.SHORT_LINE_CHARACTERS], [Count.LINE_CHARACTERS]),
        "characters in lines of less than 10",
    ),
    "duplicate_line_ratio": (_share([Count.DUPLICATE_LINES], [Count.LINES]), "lines that stood before"),
    "duplicate_line_character_ratio": (
        _share([Count.DUPLICATE_LINE_CHARACTERS], [Count.LINE_CHARACTERS]),
        "characters in lines that stood before",
    ),
    "duplicate_paragraph_ratio": (
        _share([Count.DUPLICATE_PARAGRAPHS], [Count.PARAGRAPHS]),
        "paragraphs that stood before",
    ),
    "duplicate_paragraph_character_ratio": (
        _share([Count.DUPLICATE_PARAGRAPH_CHARACTERS], [Count.LINE_CHARACTERS]),
        "characters in paragraphs that stood before",
    ),
    **{name: (_share([column], _ALL), meaning) for name, (column, meaning) in _GRAMS.items()},
    "repeated_13_character_ratio": (
        _share([Count.REPEATED_SHINGLES], [Count.WORD_CHARACTERS]),
        "characters of units covered by runs of units of 13 characters that occurred before",
    ),
    "han_latin_ratio": (_share([*_HAN, Kind.LATIN], _VISIBLE), "Han and Latin letters among visible characters"),
    "han_ratio": (_share(_HAN, _VISIBLE), "Han among visible characters"),
    "han_variety": (_variety, "distinct Han by the root of the number of Han"),
    "function_ratio": (_share([Kind.FUNCTION], _HAN), "function characters among Han"),
    "verse_ratio": (_share([Count.VERSE_HAN], _HAN), "Han in lines of short or equally long clauses, closed"),
    "digit_ratio": (_share([Kind.DIGIT], _VISIBLE), "digits among visible characters"),
    "symbol_ratio": (_share(_SYMBOLS, _VISIBLE), "symbols, and punctuation of code, among visible characters"),
    "code_ratio": (_share(_CODE, _VISIBLE), "{}[]<>=;\\&$@^`~_ among visible characters"),
    "contact_density": (_density(Count.CONTACTS), "telephone numbers and messenger accounts, a 200 of weighted length"),
    "address_density": (_density(Count.ADDRESSES), "web addresses, a 200 of weighted length"),
    "line_punctuation_ratio": (
        _share([Count.PUNCTUATED_LINES], [Count.LINES]),
        "lines that end with . ! ? ' \" (FineWeb) or 。！？．｡‼⁇⁈⁉ and their like (FineWeb-2)",
    ),
    "newline_word_ratio": (_share([Kind.NEWLINE], [Count.WORDS]), "newlines a unit"),
    "duplicate_line_character_ratio_fineweb": (
        _share([Count.DUPLICATE_LINE_CHARACTERS], _without(Kind.NEWLINE)),
        "characters in lines that stood before among all but newlines, the space around lines counted (FineWeb)",
    ),
    "uppercase_line_ratio": (
        _share([Count.CAPITAL_LINES], [Count.LINES]),
        "lines more than half of whose characters are A to Z",
    ),
    "curly_brackets": (_number(Kind.CURLY), "{ and }"),
    "lorem_ipsum": (_number(Count.LOREM_IPSUM), "the words lorem ipsum, in capitals or not"),
    "c4_sentences": (_number(Count.C4_SENTENCES), "sentences, one a line at least, of the lines that C4 keeps"),
    "c4_sentences_wide": (
        _number(Count.C4_SENTENCES_WIDE),
        "the same where 。！？．…”’」』 may end a line too",
    ),
    "stop_words_zh": (_number(Count.STOP_HAN), "distinct ones of the Han that are FineWeb-2's stop words of cmn_Hani"),
}
_INTEGERS = (
    *("characters", "words", "sentences", "lines", "paragraphs", "stop_words", "stop_words_zh"),
    *("curly_brackets", "lorem_ipsum", "c4_sentences", "c4_sentences_wide"),
)

SIGNALS = pa.schema(
    [
        pa.field(name, pa.int32() if name in _INTEGERS else pa.float32(), metadata={"meaning": meaning})
        for name, (_, meaning) in _DEFINITIONS.items()
    ]
)


def signals_of(counts: Counts) -> pa.RecordBatch:
    """Returns the signals of documents from what was counted in them, a row each, under `SIGNALS`."""
    columns = [
        pa.array(follows(counts).astype(np.int32 if name in _INTEGERS else np.float32))
        for name, (follows, _) in _DEFINITIONS.items()
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SIGNALS)
