"""Formulas of lexical diversity. All of them grow or shrink with the size of a text, so only equal sizes compare.

Words are hashes, uint64[words], or any other numbers that are equal for equal words; `bounds` are where documents begin
and end among them, as no n-gram reaches from one into the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import zstandard

from stages.audit.measures import entropy

LEVEL: Final = 3  # of zstd
ZIPF_RANKS: Final = 1000  # the first ones; the tail of rare words is a flat step that bends the line
_PRIME: Final = 0x9E3779B97F4A7C15
_ALL: Final = (1 << 64) - 1

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


def grams(words: Hashes, width: int) -> Hashes:
    """Returns a hash of the `width` words from each place on, uint64[words - width + 1], across documents too.

    That of a + b is hash(a) * P^len(b) + hash(b), so a long one is put together from halves.
    """
    words = np.ascontiguousarray(words, np.uint64)
    made, own = np.zeros(len(words), np.uint64), 0
    for digit in f"{width:b}":
        if own:
            made = made[:-own] * np.uint64(pow(_PRIME, own, 1 << 64)) + made[own:] if len(made) > own else made[:0]
            own *= 2
        if digit == "1":
            rest = words[own:]
            made = made[: len(rest)] * np.uint64(_PRIME) + rest[: len(made)]
            own += 1
    return made


def inside(bounds: Places, width: int) -> npt.NDArray[np.bool_]:
    """Returns whether the n-gram from each place on lies in one document, bool[words - width + 1]."""
    words = int(bounds[-1])
    left = np.repeat(bounds[1:], np.diff(bounds)) - np.arange(words)
    stays: npt.NDArray[np.bool_] = left[: max(0, words - width + 1)] >= width
    return stays


def distinct(words: Hashes, bounds: Places, width: int) -> float:
    """Returns distinct-n: the share of n-grams that are distinct; NaN where there is none.

    Source: Li et al. 2016, section 5.

    >>> distinct(np.array([1, 2, 1, 2, 1], np.uint64), np.array([0, 5]), 2)
    0.5
    """
    found = np.sort(grams(words, width)[inside(bounds, width)])
    return (1 + int((found[1:] != found[:-1]).sum())) / len(found) if len(found) else math.nan


def repeated(words: Hashes, bounds: Places, width: int) -> float:
    """Returns the share of n-grams that stand elsewhere too; NaN where there is none.

    Source: self-repetition of Salkar et al. 2022, as a share of the n-grams and of any width.

    >>> repeated(np.array([1, 2, 1, 2, 3], np.uint64), np.array([0, 5]), 2)
    0.5
    """
    _, counts = np.unique(grams(words, width)[inside(bounds, width)], return_counts=True)
    return float(counts[counts > 1].sum() / counts.sum()) if len(counts) else math.nan


def before(words: Hashes) -> Places:
    """Returns where the same word stood last, int64[words]; -1 where it did not.

    >>> before(np.array([7, 8, 7, 7], np.uint64)).tolist()
    [-1, -1, 0, 2]
    """
    order = np.argsort(words, kind="stable")
    last = np.full(len(words), -1, np.int64)
    same = words[order[1:]] == words[order[:-1]]
    last[order[1:][same]] = order[:-1][same]
    return last


def mattr(last: Places, window: int) -> float:
    """Returns the mean share of distinct words over all windows of that many words; NaN where the text is shorter.

    `last` is `before` of the words. A word is distinct in a window where it does not stand there before: so word i,
    which stood at p last, in those that begin behind p.

    Source: Covington and McFall 2010.

    >>> round(mattr(before(np.array([1, 2, 1, 1], np.uint64)), 2), 4)
    0.8333
    """
    size = len(last)
    if size < window:
        return math.nan
    place = np.arange(size)
    first = np.maximum(np.maximum(last, place - window) + 1, 0)
    end = np.minimum(place, size - window)
    return int(np.maximum(end - first + 1, 0).sum()) / window / (size - window + 1)


def hapax_ratio(counts: npt.NDArray[np.integer]) -> float:
    """Returns the share of the distinct words that stand once; NaN without any.

    >>> hapax_ratio(np.array([3, 1, 1, 2]))
    0.5
    """
    return float((counts == 1).sum() / len(counts)) if len(counts) else math.nan


def zipf_slope(counts: npt.NDArray[np.integer], most: int = ZIPF_RANKS) -> float:
    """Returns s of count ~ rank^-s, fitted to the logarithms of the first ranks by least squares; NaN below three.

    Source: Zipf 1949; the fit over ranks as in Piantadosi 2014, without his split of the text.

    >>> round(zipf_slope(np.array([1200, 600, 400, 300])), 6)
    1.0
    """
    ranked = np.sort(counts)[::-1][:most].astype(np.float64)
    return -_slope(np.log(np.arange(1, len(ranked) + 1)), np.log(ranked)) if len(ranked) > 2 else math.nan


def heaps_beta(last: Places) -> float:
    """Returns b of distinct words ~ words^b, fitted to a text of 1/64, 1/32, … and all of it; NaN below 64 words.

    `last` is `before` of the words.

    Source: Heaps 1978, section 7.5.

    >>> round(heaps_beta(before(np.arange(128))), 6), heaps_beta(before(np.zeros(128)))
    (1.0, 0.0)
    """
    sizes = np.array([len(last) >> step for step in range(6, -1, -1)])
    if not sizes[0]:
        return math.nan
    return _slope(np.log(sizes), np.log(np.cumsum(last < 0)[sizes - 1]))


def _slope(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    away = x - math.fsum(x) / len(x)
    return math.fsum(away * y) / math.fsum(away * away)


def bigram_entropy(text: str) -> float:
    """Returns the entropy of the pairs of characters that stand side by side, in bits; NaN below two characters.

    Source: Shannon 1951, as the entropy of 2-grams.

    >>> bigram_entropy("ababa"), bigram_entropy("aaaa")
    (1.0, 0.0)
    """
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.uint64)
    _, counts = np.unique(codes[:-1] << np.uint64(21) | codes[1:], return_counts=True)
    sizes, times = np.unique(counts, return_counts=True)
    return entropy(sizes, times) if len(sizes) else math.nan


def bits_per_character(text: str) -> float:
    """Returns the size of a text, compressed by zstd at level 3, in bits a character; NaN of none.

    A byte of Chinese is a third of a character, so bytes would not compare.

    Source: compression ratio of Shaib et al. 2024, by characters in the place of bytes.
    """
    held = zstandard.ZstdCompressor(level=LEVEL, write_content_size=False).compress(text.encode())
    return 8 * len(held) / len(text) if text else math.nan


# Of how many samples of one size


def mean_of(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Returns the mean of samples and the borders of its 95 % interval by Student; None of a single one.

    >>> [round(value, 3) for value in mean_of([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    """
    amount = len(values)
    mean = math.fsum(values) / amount
    if amount < 2:
        return mean, None, None
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (amount - 1) / amount)
    return mean, mean - STUDENT[amount - 2] * error, mean + STUDENT[amount - 2] * error


STUDENT: Final = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646)  # 97.5 %, of 1 to 7 degrees of freedom
