"""Every rule of every shipped table at its limit, one step below and one above; texts with signals counted by hand.

The limits below are typed from the sources that the tables name (recipes.md, and the projects' own code), not read from
the tables. Where a case says datatrove, its filters (0.10.1) were run once on the text, and said so.
"""

import functools
import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from datapipe.testing import dataset, evaluate
from stages.quality import SIGNALS, Quality, judge
from stages.quality.characters import Kind, kinds
from stages.quality.published import PUBLISHED
from stages.quality.tables import Table, load, shipped

INTEGERS = {field.name for field in (*SIGNALS, *PUBLISHED) if pa.types.is_integer(field.type)}
DOUBLES = {field.name for field in PUBLISHED if pa.types.is_floating(field.type)}
FOREIGN = {"adult_density": 0, "adult_terms": 3, "spam_density": 0, "spam_terms": 3, "language_score": 1, "quality": 1}

# rule: (signal, lowest value that is kept, highest)
Limits = dict[str, tuple[str, float | None, float | None]]

GOPHER: Limits = {  # Rae et al. 2021, A.1.1 and table A1
    "gopher_words": ("words", 50, 100_000),
    "gopher_word_length": ("mean_word_length", 3, 10),
    "gopher_hashes": ("hash_ratio", None, 0.1),
    "gopher_ellipses": ("ellipsis_ratio", None, 0.1),
    "gopher_bullet_lines": ("bullet_line_ratio", None, 0.9),
    "gopher_ellipsis_lines": ("ellipsis_line_ratio", None, 0.3),
    "gopher_alphabetic_words": ("alphabetic_word_ratio", 0.8, None),
    "gopher_stop_words": ("stop_words", 2, None),
    "gopher_duplicate_lines": ("duplicate_line_ratio", None, 0.3),
    "gopher_duplicate_paragraphs": ("duplicate_paragraph_ratio", None, 0.3),
    "gopher_duplicate_line_characters": ("duplicate_line_character_ratio", None, 0.2),
    "gopher_duplicate_paragraph_characters": ("duplicate_paragraph_character_ratio", None, 0.2),
    "gopher_top_2_gram": ("top_2_gram_ratio", None, 0.20),
    "gopher_top_3_gram": ("top_3_gram_ratio", None, 0.18),
    "gopher_top_4_gram": ("top_4_gram_ratio", None, 0.16),
    "gopher_duplicate_5_gram": ("duplicate_5_gram_ratio", None, 0.15),
    "gopher_duplicate_6_gram": ("duplicate_6_gram_ratio", None, 0.14),
    "gopher_duplicate_7_gram": ("duplicate_7_gram_ratio", None, 0.13),
    "gopher_duplicate_8_gram": ("duplicate_8_gram_ratio", None, 0.12),
    "gopher_duplicate_9_gram": ("duplicate_9_gram_ratio", None, 0.11),
    "gopher_duplicate_10_gram": ("duplicate_10_gram_ratio", None, 0.10),
}
ORIGINAL: Limits = {rule: (f"original_{signal}", low, high) for rule, (signal, low, high) in GOPHER.items()}
CLASSICAL: Limits = {  # ours: chinese.md 5.4
    "zh_length": ("weighted_length", 200, None),
    "zh_verse_length": ("weighted_length", 20, None),
    "zh_letters": ("han_latin_ratio", 0.5, None),
    "zh_line_length": ("mean_line_length", 10, None),
    "zh_tiny_lines": ("tiny_line_character_ratio", None, 0.67),
    "zh_variety": ("han_variety", 4, None),
    "zh_digits": ("digit_ratio", None, 0.3),
    "zh_symbols": ("symbol_ratio", None, 0.25),
    "zh_repetition": ("repeated_13_character_ratio", None, 0.5),
    "zh_duplicate_line_characters": ("duplicate_line_character_ratio", None, 0.2),
    "zh_bullet_lines": ("bullet_line_ratio", None, 0.9),
    "zh_ellipsis_lines": ("ellipsis_line_ratio", None, 0.3),
    "zh_contacts": ("contact_density", None, 1),
    "zh_addresses": ("address_density", None, 4),
}
MODERN: Limits = {
    "zh_sentences": ("sentences", 3, None),
    "zh_closed_lines": ("closed_line_ratio", 0.1, None),
    "zh_function": ("function_ratio", 0.03, None),
}
# huggingface/fineweb-2, configs/cmn_Hani.yml and fineweb-2-pipeline.py; datatrove's defaults for the rest
FINEWEB2: Limits = {
    "fineweb2_language": ("language_score", 0.692, None),
    "fineweb2_duplicate_lines": ("datatrove_duplicate_line_ratio", None, 0.287),
    "fineweb2_top_2_gram": ("datatrove_top_2_gram_ratio", None, 0.256),
    "fineweb2_top_3_gram": ("datatrove_top_3_gram_ratio", None, 0.201),
    "fineweb2_top_4_gram": ("datatrove_top_4_gram_ratio", None, 0.171),
    "fineweb2_duplicate_5_gram": ("datatrove_duplicate_5_gram_ratio", None, 0.198),
    "fineweb2_duplicate_6_gram": ("datatrove_duplicate_6_gram_ratio", None, 0.182),
    "fineweb2_duplicate_7_gram": ("datatrove_duplicate_7_gram_ratio", None, 0.167),
    "fineweb2_duplicate_8_gram": ("datatrove_duplicate_8_gram_ratio", None, 0.154),
    "fineweb2_duplicate_9_gram": ("datatrove_duplicate_9_gram_ratio", None, 0.14),
    "fineweb2_duplicate_10_gram": ("datatrove_duplicate_10_gram_ratio", None, 0.127),
    "fineweb2_line_punctuation": ("datatrove_line_punctuation_ratio", 0.106, None),
    "fineweb2_duplicate_line_characters": ("datatrove_duplicate_line_character_ratio", None, 0.1),
    "fineweb2_newlines": ("datatrove_newline_word_ratio", None, 0.178),
    "fineweb2_words": ("datatrove_words", 50, 100_000),
    "fineweb2_word_length": ("datatrove_mean_word_length", 1, 5),
    "fineweb2_hashes": ("datatrove_hash_ratio", None, 0.1),
    "fineweb2_ellipses": ("datatrove_ellipsis_ratio", None, 0.1),
    "fineweb2_bullet_lines": ("datatrove_bullet_line_ratio", None, 0.9),
    "fineweb2_ellipsis_lines": ("datatrove_ellipsis_line_ratio", None, 0.3),
    "fineweb2_alphabetic_words": ("datatrove_alphabetic_word_ratio", 0.735, None),
    "fineweb2_stop_words": ("datatrove_stop_words", 2, None),
}
TABLES: dict[str, Limits] = {
    "gopher": GOPHER,
    "gopher-any": {
        rule: limits for rule, limits in GOPHER.items() if rule not in ("gopher_word_length", "gopher_stop_words")
    },
    "zh-web-v1": CLASSICAL | MODERN,
    "zh-classical-v1": CLASSICAL,
    "mixed-v1": {
        rule: limits
        for rule, limits in (CLASSICAL | MODERN).items()
        if rule not in ("zh_verse_length", "zh_closed_lines", "zh_variety")
    },
    "c4": {  # Raffel et al. 2020, section 2.2
        "c4_language": ("language_score", 0.99, None),
        "c4_curly_brackets": ("curly_brackets", None, 0),
        "c4_lorem_ipsum": ("lorem_ipsum", None, 0),
        "c4_sentences": ("c4_sentences", 5, None),
    },
    "fineweb": ORIGINAL
    | {  # huggingface/datatrove, fineweb_quality_filter.py and examples/fineweb.py
        "fineweb_language": ("language_score", 0.65, None),
        "c4_curly_brackets": ("curly_brackets", None, 0),
        "c4_lorem_ipsum": ("lorem_ipsum", None, 0),
        "c4_sentences": ("sentences", 5, None),
        "fineweb_line_punctuation": ("line_punctuation_ratio", 0.12, None),
        "fineweb_short_lines": ("short_line_ratio", None, 0.67),
        "fineweb_duplicate_line_characters": ("duplicate_line_character_ratio_fineweb", None, 0.01),
        "fineweb_newlines": ("newline_word_ratio", None, 0.3),
    },
    "refinedweb": ORIGINAL
    | {  # mlfoundations/dclm, baselines_configs/refinedweb.yaml
        "refinedweb_language": ("language_score", 0.65, None),
        "refinedweb_removed_words": ("removed_word_ratio", None, 0.05),
    },
    "fineweb2-zh": FINEWEB2,
    "fineweb2-zh-fast": {  # calibrated to the one above
        "fineweb2_fast_language": ("language_score", 0.692, None),
        "fineweb2_fast_duplicate_lines": ("duplicate_line_ratio", None, 0.287),
        "fineweb2_fast_top_gram": ("top_3_gram_ratio", None, 0.12),
        "fineweb2_fast_repetition": ("repeated_13_character_ratio", None, 0.185),
        "fineweb2_fast_line_punctuation": ("line_punctuation_ratio", 0.106, None),
        "fineweb2_fast_duplicate_line_characters": ("duplicate_line_character_ratio_fineweb", None, 0.1),
        "fineweb2_fast_newlines": ("newline_word_ratio", None, 0.12),
        "fineweb2_fast_words": ("words", 87, 175_000),
        "fineweb2_fast_word_length": ("mean_word_length", 1, 5),
        "fineweb2_fast_hashes": ("hash_ratio", None, 0.06),
        "fineweb2_fast_ellipses": ("ellipsis_ratio", None, 0.06),
        "fineweb2_fast_bullet_lines": ("bullet_line_ratio", None, 0.9),
        "fineweb2_fast_ellipsis_lines": ("ellipsis_line_ratio", None, 0.3),
        "fineweb2_fast_letters": ("han_latin_ratio", 0.83, None),
        "fineweb2_fast_stop_words": ("stop_words_zh", 4, None),
    },
    "safety": {  # ours: stages/safety
        "spam_rate": ("spam_density", None, 6),
        "spam_dense": ("spam_density", None, 15),
        "adult_rate": ("adult_density", None, 6),
        "adult_dense": ("adult_density", None, 15),
    },
    "classifier": {"classifier_quality": ("quality", 0.5, None)},
}


def kind_of(signal: str) -> type[np.generic]:
    name = signal.removeprefix("original_")
    return np.int32 if name in INTEGERS else np.float64 if name in DOUBLES else np.float32


def step(signal: str, value: float, upward: bool) -> float:
    """Returns the next value that the signal can have."""
    kind = kind_of(signal)
    if kind is np.int32:
        return value + (1 if upward else -1)
    return float(np.nextafter(kind(value), kind(math.inf if upward else -math.inf)))


def cases() -> Iterator[tuple[str, str, str, float, bool]]:
    """Yields (table, rule, signal, value, whether the rule fires)."""
    for table, limits in TABLES.items():
        for rule, (signal, low, high) in limits.items():
            for limit, upward in ((low, False), (high, True)):
                if limit is not None:
                    yield table, rule, signal, limit, False
                    yield table, rule, signal, step(signal, limit, upward), True
                    inside = step(signal, limit, not upward)
                    yield (
                        table,
                        rule,
                        signal,
                        inside,
                        not (low is None or low <= inside) or (high is not None and inside > high),
                    )


CASES = list(cases())
# What else must hold for a rule to be looked at: values that meet the conditions of all tables.
NEUTRAL = {"han_ratio": 1.0, "lines": 1, **FOREIGN}


@functools.lru_cache
def loaded(table: str) -> Table:
    return load(table)


def rows_of(signal: str, value: float) -> pa.RecordBatch:
    """Returns one document of prose with that value."""
    names = [*SIGNALS.names, *(f"original_{name}" for name in SIGNALS.names), *PUBLISHED.names]
    names += ["removed_word_ratio", *FOREIGN]
    columns = [pa.array([kind_of(name)(value if name == signal else NEUTRAL.get(name, 0))]) for name in names]
    return pa.RecordBatch.from_arrays(
        [*columns, pa.array(["zho_Hans"]), pa.array(["prose"])], names=[*names, "language", "format"]
    )


@pytest.mark.parametrize(("table", "rule", "signal", "value", "fires"), CASES)
def test_a_rule_fires_one_step_beyond_its_limit(table: str, rule: str, signal: str, value: float, fires: bool) -> None:
    rules = loaded(table).rules

    verdict = judge(rows_of(signal, value), rules)

    place = [held.id for held in rules].index(rule)
    assert verdict.evaluated[place, 0]
    assert verdict.fired[place, 0] == fires


@pytest.mark.parametrize("table", [name for name in shipped() if name != "classifier-pareto"])
def test_every_rule_of_every_table_has_its_cases(table: str) -> None:
    said = {rule.id: (rule.signal, rule.min, rule.max) for rule in loaded(table).rules}

    assert said == TABLES[table]


# Texts: (rule, text, whether it fires)

# n, how often, and in how many characters the share is the limit
_TOP = ((2, 4, 100), (3, 9, 400), (4, 8, 550))
_DUPLICATE = ((5, 4, 200), (6, 8, 600), (7, 14, 1400), (8, 4, 400), (9, 12, 1800), (10, 2, 200))


def words(amount: int, letters: int = 6) -> list[str]:
    """Returns words of `letters` letters, no two alike."""
    return ["".join(chr(97 + number // 26**place % 26) for place in range(letters)) for number in range(amount)]


def han(amount: int, first: int = 0x4E00) -> str:
    """Returns Han characters, no two alike, none of them a function word or a full stop."""
    letters = (chr(point) for point in range(first, 0x9FA5))
    plain = (letter for letter in letters if kinds()[ord(letter)] == Kind.HAN)
    return "".join(letter for letter, _ in zip(plain, range(amount), strict=False))


def repeated(gram: int, times: int, length: int) -> str:
    """Returns `length` characters: a run of `gram` words of two letters, `times` times, and else no word twice."""
    run = " ".join(f"{letter}{letter}" for letter in "abcdefghij"[:gram])
    between = words(times, 4)
    text = " ".join(part for number in range(times) for part in (run, between[number])) + " "
    assert len(text) < length
    return text + "z" * (length - len(text))


def lines(amount: int, ends: dict[int, str] | None = None, starts: dict[int, str] | None = None) -> str:
    """Returns lines of five words, no two alike; the first ones end or start with what is given, by number."""
    every = words(5 * amount)
    texts = [" ".join(every[5 * number : 5 * number + 5]) for number in range(amount)]
    return "\n".join(_fill(starts, number) + text + _fill(ends, number) for number, text in enumerate(texts))


def _fill(given: dict[int, str] | None, number: int) -> str:
    return next((what for most, what in (given or {}).items() if number < most), "")


def short_lines(amount: int) -> str:
    """Returns 100 lines, `amount` of three words of six letters, the others of five."""
    every = lines(100).split("\n")
    return "\n".join(line[:20] if number < amount else line for number, line in enumerate(every))


def threes(amount: int) -> str:
    """Returns lines of three words."""
    every = words(3 * amount)
    return "\n".join(" ".join(every[3 * number : 3 * number + 3]) for number in range(amount))


def doubled(amount: int, again: int, between: str) -> str:
    """Returns `amount` lines or paragraphs of equal length, `again` of which stood before."""
    every = lines(amount - again).split("\n")
    return between.join(every + every[:again])


ENGLISH = [
    # 49 and 50 words; 100,000 and one more
    ("gopher_words", " ".join(words(49)), True),
    ("gopher_words", " ".join(words(50)), False),
    ("gopher_words", " ".join(words(100_000)), False),
    ("gopher_words", " ".join(words(100_001)), True),
    # letters a word: 179/60, 180/60; 600/60, 601/60
    ("gopher_word_length", "abc " * 59 + "ab", True),
    ("gopher_word_length", "abc " * 60, False),
    ("gopher_word_length", "abcdefghij " * 60, False),
    ("gopher_word_length", "abcdefghij " * 59 + "abcdefghijk", True),
    # # a word: 5/50, 6/50
    ("gopher_hashes", " ".join(words(50)) + " #" * 5, False),
    ("gopher_hashes", " ".join(words(50)) + " #" * 6, True),
    ("gopher_ellipses", " ".join(words(50)) + " …" * 5, False),
    ("gopher_ellipses", " ".join(words(50)) + " …" * 6, True),
    ("gopher_ellipses", " ".join(words(50)) + " ..." * 3 + " …" * 2, False),
    ("gopher_ellipses", " ".join(words(50)) + " ..." * 3 + " …" * 3, True),
    # 9 of 10 lines, 19 of 20
    ("gopher_bullet_lines", lines(10, starts={9: "- "}), False),
    ("gopher_bullet_lines", lines(20, starts={19: "• "}), True),
    ("gopher_bullet_lines", lines(10, starts={10: "* "}), True),
    # 3 of 10, 4 of 10
    ("gopher_ellipsis_lines", lines(10, ends={3: "..."}), False),
    ("gopher_ellipsis_lines", lines(10, ends={2: "...", 4: "…"}), True),
    # words with a letter: 40 of 50, 39 of 50
    ("gopher_alphabetic_words", " ".join([*words(40), *map(str, range(10))]), False),
    ("gopher_alphabetic_words", " ".join([*words(39), *map(str, range(11))]), True),
    # distinct stop words: 2, 1 (twice), 0
    ("gopher_stop_words", " ".join(words(50)) + " the of", False),
    ("gopher_stop_words", " ".join(words(50)) + " the the", True),
    ("gopher_stop_words", " ".join(words(50)), True),
    # 3 of 10 lines stood before, 4 of 10; blank lines are no lines
    ("gopher_duplicate_lines", doubled(10, 3, "\n"), False),
    ("gopher_duplicate_lines", doubled(10, 4, "\n"), True),
    ("gopher_duplicate_lines", doubled(10, 3, "\n\n\n"), False),
    ("gopher_duplicate_paragraphs", doubled(10, 3, "\n\n"), False),
    ("gopher_duplicate_paragraphs", doubled(10, 4, "\n\n"), True),
    # lines are as long as each other, so their characters are as 2 to 10, 3 to 10
    ("gopher_duplicate_line_characters", doubled(10, 2, "\n"), False),
    ("gopher_duplicate_line_characters", doubled(10, 3, "\n"), True),
    ("gopher_duplicate_paragraph_characters", doubled(10, 2, "\n\n"), False),
    ("gopher_duplicate_paragraph_characters", doubled(10, 3, "\n\n"), True),
    # n words of two letters and the spaces between them, 3n - 1 characters, every time: 5·4/100, 8·9/400, 11·8/550
    *[(f"gopher_top_{n}_gram", repeated(n, times, length), False) for n, times, length in _TOP],
    *[(f"gopher_top_{n}_gram", repeated(n, times, length - 1), True) for n, times, length in _TOP],
    # n words of two letters, 2n letters, every time but the first: 10·3/200, 12·7/600, 14·13/1400,
    # 16·3/400, 18·11/1800, 20·1/200
    *[(f"gopher_duplicate_{n}_gram", repeated(n, times, length), False) for n, times, length in _DUPLICATE],
    *[(f"gopher_duplicate_{n}_gram", repeated(n, times, length - 1), True) for n, times, length in _DUPLICATE],
    *[
        (rule, "", rule in ("gopher_words", "gopher_word_length", "gopher_alphabetic_words", "gopher_stop_words"))
        for rule in GOPHER
    ],
]
CHINESE = [
    # Han count 1, Latin letters 0.5: 199.5, 200, 200
    ("zh_length", han(199) + "a", True),
    ("zh_length", han(199) + "ab", False),
    ("zh_length", han(200), False),
    ("zh_verse_length", han(19), True),
    ("zh_verse_length", han(20), False),
    # letters among visible characters: 99/200, 100/200
    ("zh_letters", han(99) + "1" * 101, True),
    ("zh_letters", han(100) + "1" * 100, False),
    ("zh_letters", han(50) + "a" * 50 + "1" * 100, False),
    ("zh_sentences", (han(50) + "。") * 2, True),
    ("zh_sentences", (han(50) + "。") * 3, False),
    ("zh_sentences", han(50) + "！？" + han(50) + "；" + han(50) + "……", False),
    # lines that end like prose: 1 of 10, 1 of 11, none
    ("zh_closed_lines", "\n".join([han(40)] * 9 + [han(40) + "。"]), False),
    ("zh_closed_lines", "\n".join([han(40)] * 10 + [han(40) + "。"]), True),
    ("zh_closed_lines", han(40), True),
    ("zh_line_length", f"{han(10)}\n\n{han(10)}", False),
    ("zh_line_length", f"{han(10)}\n\n{han(9)}", True),
    # characters in lines of less than ten: 7·9 + 4 of 100, 7·9 + 5 of 100
    ("zh_tiny_lines", "\n".join([han(9)] * 7 + [han(4), han(33)]), False),
    ("zh_tiny_lines", "\n".join([han(9)] * 7 + [han(5), han(32)]), True),
    # distinct by the root: 40/10, 39/10
    ("zh_variety", han(40) + han(1) * 60, False),
    ("zh_variety", han(39) + han(1) * 61, True),
    # 3 of 100, 2 of 100
    ("zh_function", han(97) + "的了是", False),
    ("zh_function", han(98) + "的了", True),
    ("zh_digits", han(70) + "1" * 30, False),
    ("zh_digits", han(69) + "1" * 31, True),
    ("zh_symbols", han(75) + "★" * 25, False),
    ("zh_symbols", han(74) + "★" * 26, True),
    # a copy: 50 of 100; a copy and 13 more: 63 of 113
    ("zh_repetition", han(50) * 2, False),
    ("zh_repetition", han(50) * 2 + han(13), True),
    ("zh_duplicate_line_characters", doubled(10, 2, "\n"), False),
    ("zh_duplicate_line_characters", doubled(10, 3, "\n"), True),
    ("zh_bullet_lines", lines(10, starts={9: "◆"}), False),
    ("zh_bullet_lines", lines(10, starts={10: "●"}), True),
    ("zh_ellipsis_lines", lines(10, ends={3: "……"}), False),
    ("zh_ellipsis_lines", lines(10, ends={4: "。。。"}), True),
    # a telephone number is 5.5 long: one in 200, two in 200, two in 400
    ("zh_contacts", han(194) + "，13812345678", False),
    ("zh_contacts", han(188) + "，13812345678" * 2, True),
    ("zh_contacts", han(388) + "，13812345678" * 2, False),
    # http://a.cn is 5.5 long, and a space nothing: four in 200, five in 200
    ("zh_addresses", han(178) + " http://a.cn" * 4, False),
    ("zh_addresses", han(172) + "a" + " http://a.cn" * 5, True),
]
FINEWEB = [
    # 3 of 25 lines, 2 of 25
    ("fineweb_line_punctuation", lines(25, ends={3: "."}), False),
    ("fineweb_line_punctuation", lines(25, ends={2: "!"}), True),
    # lines of 20 characters and of 34: 67 of 100, 68 of 100
    ("fineweb_short_lines", short_lines(67), False),
    ("fineweb_short_lines", short_lines(68), True),
    # a line of 100 as long as each other stood before, two did
    ("fineweb_duplicate_line_characters", doubled(100, 1, "\n"), False),
    ("fineweb_duplicate_line_characters", doubled(100, 2, "\n"), True),
    # newlines by words: 9/30, 10/33
    ("fineweb_newlines", threes(10), False),
    ("fineweb_newlines", threes(11), True),
    # every line counts as a sentence at least: five lines; five sentences in four lines; four in four
    ("c4_sentences", lines(5), False),
    ("c4_sentences", lines(4, ends={4: "."}) + " And one more.", False),
    ("c4_sentences", lines(4, ends={4: "."}), True),
    ("c4_curly_brackets", lines(6), False),
    ("c4_curly_brackets", lines(6, ends={1: " {"}), True),
    ("c4_lorem_ipsum", lines(6, ends={1: " lorem or ipsum"}), False),
    ("c4_lorem_ipsum", lines(6, ends={1: " Lorem ipsum"}), True),
]
C4 = [
    ("c4_sentences", lines(5, ends={5: "."}), False),
    ("c4_sentences", lines(4, ends={4: "."}), True),
    ("c4_sentences", lines(9, ends={4: "."}), True),  # the five that do not end like a sentence are gone
    ("c4_sentences", lines(4, ends={4: "."}) + " And one more.", False),
    ("c4_curly_brackets", lines(6, ends={1: " {.", 6: "."}), True),
    ("c4_curly_brackets", lines(6, ends={1: " {", 6: "."}), False),  # the line is gone before
    ("c4_lorem_ipsum", lines(6, ends={1: " lorem ipsum.", 6: "."}), True),
    ("c4_lorem_ipsum", lines(6, ends={6: "."}), False),
]
# An empty document: it is too short, and its shares are zero.
CHINESE += [
    (
        rule,
        "",
        rule
        in (
            "zh_length",
            "zh_verse_length",
            "zh_letters",
            "zh_sentences",
            "zh_closed_lines",
            "zh_line_length",
            "zh_variety",
            "zh_function",
        ),
    )
    for rule in CLASSICAL | MODERN
]
MIXED_EMPTY = {"zh_letters", "zh_function"}  # there only where there are Han
TEXTS = [
    *[("gopher", *case) for case in ENGLISH],
    *[("gopher-any", *case) for case in ENGLISH if case[0] in TABLES["gopher-any"]],
    *[("zh-web-v1", *case) for case in CHINESE],
    *[("zh-classical-v1", *case) for case in CHINESE if case[0] in CLASSICAL],
    *[
        ("mixed-v1", rule, text, fires and bool(text or rule not in MIXED_EMPTY))
        for rule, text, fires in CHINESE
        if rule in TABLES["mixed-v1"]
    ],
    *[("fineweb", *case) for case in FINEWEB],
    *[("c4", *case) for case in C4],
]


SHORT = {"gopher_words", "gopher_word_length", "gopher_alphabetic_words", "gopher_stop_words"}
EMPTY = {  # which rules an empty document breaks: those that ask for something that it does not have
    "gopher": SHORT,
    "gopher-any": {"gopher_words", "gopher_alphabetic_words"},
    "zh-web-v1": {rule for rule, text, fires in CHINESE if not text and fires},
    "zh-classical-v1": {rule for rule, text, fires in CHINESE if not text and fires and rule in CLASSICAL},
    "mixed-v1": {"zh_length", "zh_sentences", "zh_line_length"},
    "c4": {"c4_sentences"},
    "fineweb": SHORT | {"c4_sentences", "fineweb_line_punctuation"},
    "refinedweb": SHORT,
    "fineweb2-zh": {
        f"fineweb2_{rule}" for rule in ("words", "word_length", "line_punctuation", "alphabetic_words", "stop_words")
    },
    "fineweb2-zh-fast": {
        f"fineweb2_fast_{rule}" for rule in ("words", "word_length", "line_punctuation", "letters", "stop_words")
    },
    "safety": set(),
    "classifier": set(),
    "classifier-pareto": set(),  # a score of 1 is always kept
}


@pytest.mark.parametrize("table", shipped())
def test_an_empty_document_breaks_the_rules_that_ask_for_something(table: str) -> None:
    if table == "fineweb2-zh":
        pytest.importorskip("jieba")
    documents = pa.table(
        {
            "id": pa.array([bytes(16)], pa.binary(16)),
            "text": [""],
            "language": ["und"],
            **{name: pa.array([float(value)], pa.float32()) for name, value in FOREIGN.items()},
        }
    )

    result = evaluate(Quality(profiles={"default": table}).build(dataset(documents)))

    assert {row["rule"] for row in result.ledger.to_pylist()} == EMPTY[table]


@functools.lru_cache
def fired(table: str) -> list[tuple[str, str, bool, bool]]:
    """Returns (rule, text, whether it is to fire, whether it does) of all texts of a table, all in one run."""
    given = [case[1:] for case in TEXTS if case[0] == table]
    amount = len(given)
    documents = pa.table(
        {
            "id": pa.array([number.to_bytes(16) for number in range(amount)], pa.binary(16)),
            "text": [text for _, text, _ in given],
            "language": ["und"] * amount,
            "language_score": pa.array([1] * amount, pa.float32()),
            "quality": pa.array([1] * amount, pa.float32()),
        }
    )
    result = evaluate(Quality(profiles={"default": table}).build(dataset(documents)), rows_per_batch=500)
    broken = {
        (int.from_bytes(row["id"]), row["rule"]) for row in result.ledger.to_pylist() if row["action"] != "repair"
    }
    return [(rule, text, fires, (number, rule) in broken) for number, (rule, text, fires) in enumerate(given)]


@pytest.mark.parametrize(
    ("table", "place"),
    [
        pytest.param(table, place, id=f"{table}-{case[1]}-{place}")
        for table in dict.fromkeys(case[0] for case in TEXTS)
        for place, case in enumerate(case for case in TEXTS if case[0] == table)
    ],
)
def test_a_rule_fires_on_a_text_whose_signal_was_counted_by_hand(table: str, place: int) -> None:
    rule, text, expected, found = fired(table)[place]

    assert found == expected, f"{rule} on {text[:200]!r}"
