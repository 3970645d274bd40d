"""Formulas against computations by the letter of their definitions, and against numbers from elsewhere."""

import gzip
import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from stages.audit.vocabulary import (
    STUDENT,
    before,
    bigram_entropy,
    bits_per_character,
    distinct,
    grams,
    hapax_ratio,
    heaps_beta,
    mattr,
    mean_of,
    repeated,
    zipf_slope,
)

WORDS = st.lists(st.lists(st.integers(0, 5), max_size=12), min_size=1, max_size=4)


def laid(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    words = np.array([word for own in documents for word in own], np.uint64)
    return words, np.cumsum([0, *map(len, documents)])


def ngrams(documents: list[list[int]], width: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(own[at : at + width]) for own in documents for at in range(len(own) - width + 1))


@given(WORDS, st.integers(1, 14))
def test_ngrams_are_counted_within_documents(documents: list[list[int]], width: int) -> None:
    words, bounds = laid(documents)
    plain = ngrams(documents, width)

    share, again = distinct(words, bounds, width), repeated(words, bounds, width)

    if plain:
        assert share == len(plain) / plain.total()
        assert again == pytest.approx(sum(amount for amount in plain.values() if amount > 1) / plain.total())
    else:
        assert math.isnan(share)
        assert math.isnan(again)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(1, 60))
def test_a_hash_of_an_ngram_is_that_of_its_words_in_a_row(words: list[int], width: int) -> None:
    plain = []
    for at in range(len(words) - width + 1):
        value = 0
        for word in words[at : at + width]:
            value = (value * 0x9E3779B97F4A7C15 + word) % 2**64
        plain.append(value)

    assert grams(np.array(words, np.uint64), width).tolist() == plain


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 40))
def test_mattr_is_the_mean_over_all_windows(words: list[int], window: int) -> None:
    made = mattr(before(np.array(words, np.uint64)), window)

    shares = [len(set(words[at : at + window])) / window for at in range(len(words) - window + 1)]
    if shares:
        assert made == pytest.approx(sum(shares) / len(shares))
    else:
        assert math.isnan(made)


def test_the_slope_of_zipf_and_the_exponent_of_heaps_are_found() -> None:
    ranks = np.arange(1, 500)
    grows = np.array([0 if math.isqrt(n) ** 2 != n else n for n in range(1, 4097)], np.uint64)  # 64 words of 4,096

    assert zipf_slope(np.round(1e9 / ranks**1.2).astype(np.int64)) == pytest.approx(1.2, abs=1e-4)
    # One word, and a new one at each square number: sqrt(n) + 1 of n words. By numpy's polyfit over the same points.
    sizes = 4096 >> np.arange(6, -1, -1)
    slope = np.polyfit(np.log(sizes), np.log([len(set(grows[:size].tolist())) for size in sizes]), 1)[0]
    assert heaps_beta(before(grows)) == pytest.approx(slope)
    assert 0.4 < slope < 0.5
    assert math.isnan(zipf_slope(np.array([3, 2])))
    assert math.isnan(heaps_beta(before(np.arange(63))))


def test_words_that_stand_once_are_a_share_of_the_distinct_ones() -> None:
    assert hapax_ratio(np.array([5, 1, 1, 1])) == 0.75
    assert math.isnan(hapax_ratio(np.array([], np.int64)))


@given(st.text(min_size=2, max_size=50))
def test_entropy_of_pairs_is_shannons(text: str) -> None:
    counts = Counter(pairwise(text))
    shares = [amount / counts.total() for amount in counts.values()]

    assert bigram_entropy(text) == pytest.approx(-sum(share * math.log2(share) for share in shares), abs=1e-9)


def test_bits_are_of_characters_and_not_of_bytes() -> None:
    text = "道可道非常道名可名非常名" * 400

    bits = bits_per_character(text)

    content = zstandard.ZstdCompressor(level=3, write_content_size=False).compress(text.encode())
    assert bits == 8 * len(content) / 4800
    assert zstandard.ZstdDecompressor().decompress(content, max_output_size=1 << 20).decode() == text
    assert bits == pytest.approx(8 * len(gzip.compress(text.encode(), mtime=0)) / 4800, rel=0.7)  # another compressor
    assert math.isnan(bits_per_character(""))


def test_the_interval_of_a_mean_is_students() -> None:
    mean, low, high = mean_of([2.0, 4.0, 4.0, 6.0])

    # scipy.stats.t.interval(0.95, 3, loc=4, scale=scipy.stats.sem([2, 4, 4, 6]))
    assert (mean, low, high) == (4.0, pytest.approx(1.40154, abs=1e-4), pytest.approx(6.59846, abs=1e-4))
    assert mean_of([7.0]) == (7.0, None, None)


def test_quantiles_of_student_are_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")

    assert list(STUDENT) == pytest.approx([stats.t.ppf(0.975, degrees) for degrees in range(1, 8)], abs=1e-4)
