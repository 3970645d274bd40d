"""Made text of any amount: words of two made languages by Zipf's law, or the sentences of real texts in a new order.

A made Chinese word is one to three of the 3,755 characters of the first level of GB 2312; a made English word is of two
to four syllables; short real words, by far the most frequent, stand between them. Neither means anything, but lengths,
frequencies and repetitions are such that unlike documents stay unlike.

Source: G. Zipf, Human Behavior and the Principle of Least Effort, 1949 (the n-th word has a share of 1/n); GB 2312-80,
rows 16 to 55.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from datapipe import ConfigError
from stages.dedup.evaluation.edits import SENTENCE, Draw, blocks, is_chinese

CHINESE: Final = "zho_Hans"
ENGLISH: Final = "eng_Latn"
MIXED: Final = "mixed"
WORDS: Final = 20_000
FREQUENT: Final = {
    CHINESE: "的 是 了 在 和 有 不 也 这 就 人 我们 一个 他 为 到 说 中 上 对 以 要 可以 大 从 会 后 与 时 年".split(),
    ENGLISH: "the of and to in a is that for it as was with be by on not but at are this have from or an they".split(),
}
STARTS: Final = "b br c ch d dr f fl g gr h j k l m n p pl pr qu r s sh sl st t th tr v w y z".split()
CORES: Final = "a e i o u ai ea ee oa ou".split()
ENDS: Final = ["", "", "", "l", "m", "n", "nd", "r", "rt", "s", "st", "t", "x"]
SENTENCE_WORDS: Final = (6, 24)
PARAGRAPH_SENTENCES: Final = 4
WORD_CHARACTERS: Final = {CHINESE: 1.6, ENGLISH: 6.0}  # with the space
FEWEST_SENTENCES: Final = 8  # of a document: two of a few could be alike by chance
LEAST_SENTENCES: Final = 1000  # of real text a language; with fewer, documents would meet by chance
SENTENCE_CHARACTERS: Final = (8, 240)
LEAST_WORDS: Final = 100  # so that what the edits add does not make two of them alike
MOST_WORDS: Final = 5000

Texts = Callable[[str, np.random.RandomState, int], str]  # (language, draw, words) to a text


def made_text(language: str, draw: np.random.RandomState, words: int) -> str:
    """Returns a text of about so many made words."""
    return _paragraphs(language, draw, words, _made_sentences)


def real_text(pools: dict[str, tuple[str, ...]]) -> Texts:
    """Returns the same of the sentences in `pools`, by language."""
    means = {language: sum(map(len, pool)) / len(pool) / WORD_CHARACTERS[language] for language, pool in pools.items()}

    def sentences(language: str, draw: np.random.RandomState, words: int) -> list[str]:
        amount = max(FEWEST_SENTENCES, round(words / means[language]))
        return [pools[language][place] for place in draw.randint(0, len(pools[language]), amount)]

    return lambda language, draw, words: _paragraphs(language, draw, words, sentences)


def pools_of(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Returns the distinct sentences of usual length of real texts, by language.

    Raises:
        ConfigError: there are too few of a language.
    """
    held: dict[str, dict[str, None]] = {CHINESE: {}, ENGLISH: {}}
    for text in texts:
        for part in (part.strip() for block in blocks(text) for part in SENTENCE.split(block)):
            if SENTENCE_CHARACTERS[0] <= len(part) <= SENTENCE_CHARACTERS[1]:
                held[CHINESE if is_chinese(part) else ENGLISH][part] = None
    for language, found in held.items():
        if len(found) < LEAST_SENTENCES:
            raise ConfigError(
                f"--text: holds {len(found)} sentences of {language}, fewer than {LEAST_SENTENCES}: documents made of "
                "them would be alike by chance; give more text, or none for made words"
            )
    return {language: tuple(found) for language, found in held.items()}


def _paragraphs(
    language: str,
    draw: np.random.RandomState,
    words: int,
    sentences: Callable[[str, np.random.RandomState, int], list[str]],
) -> str:
    if language == MIXED:
        halves = [_paragraphs(one, draw, words // 2, sentences).split("\n") for one in (CHINESE, ENGLISH)]
        longer, shorter = sorted(halves, key=len, reverse=True)
        return "\n".join(
            line for pair in zip(longer, [*shorter, *longer[len(shorter) :]], strict=True) for line in pair
        )
    made = sentences(language, draw, words)
    between = "" if language == CHINESE else " "
    return "\n".join(
        between.join(made[start : start + PARAGRAPH_SENTENCES]) for start in range(0, len(made), PARAGRAPH_SENTENCES)
    )


def _made_sentences(language: str, draw: np.random.RandomState, words: int) -> list[str]:
    known, shares = _lexicon(language)
    chosen = [known[place] for place in np.searchsorted(shares, draw.random_sample(words)).tolist()]
    made, start = [], 0
    while start < len(chosen):
        end = start + draw.randint(*SENTENCE_WORDS)
        made.append(_sentence(language, chosen[start:end]))
        start = end
    return made


def _sentence(language: str, words: Sequence[str]) -> str:
    half = len(words) // 2
    if language == CHINESE:
        return f"{''.join(words[:half])}，{''.join(words[half:])}。"
    return f"{' '.join(words[:half]).capitalize()}, {' '.join(words[half:])}."


@functools.cache
def _lexicon(language: str) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Returns words, most frequent first, and the shares of all up to each, float64[words]."""
    draw = Draw("lexicon", language)
    spell = _chinese_word if language == CHINESE else _english_word
    known = dict.fromkeys(FREQUENT[language])
    while len(known) < WORDS:
        known[spell(draw)] = None
    shares = np.cumsum(1 / np.arange(1, WORDS + 1))
    return list(known), shares / shares[-1]


def _chinese_word(draw: Draw) -> str:
    length = (1, 2, 2, 2, 2, 3)[draw.below(6)]
    cells = [draw.below(3755) for _ in range(length)]
    return b"".join(bytes([0xB0 + cell // 94, 0xA1 + cell % 94]) for cell in cells).decode("gb2312")


def _english_word(draw: Draw) -> str:
    return "".join(draw.of(STARTS) + draw.of(CORES) + draw.of(ENDS) for _ in range(2 + draw.below(3)))
