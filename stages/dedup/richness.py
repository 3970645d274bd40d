"""How many clusters there are, from a sample of documents: duplicates meet in a sample less often than in the whole.

Of a cluster of s documents a sample that takes each with probability q holds k with the binomial probability
B(k; s, q). The sizes of all clusters are the mixture under which what was seen is likeliest, found by expectation and
maximisation over sizes 1, 2, … (a grid above 32), where the clusters that were missed altogether are part of what is
expected. Clusters of which much was seen are as large as k / q says.

Source: Norris and Pollock, Non-parametric MLE for species richness, 1998, with q known, as in sampling without
replacement (Chao and Lin 2012); their lower bound from clusters of one and two is up to twice too many removed here,
because most documents have no copy and a few have many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ROUNDS = 2000
ABUNDANT = 16  # documents seen of a cluster, above which its size is k / q
EXACT_SIZES = 32
STEP = 1.15  # of the grid of larger sizes


@dataclass(frozen=True)
class Richness:
    """Clusters in the whole: how many, their documents, and the documents of those of two and more."""

    clusters: float
    documents: float
    shared: float


def richness(seen: Mapping[int, int], share: float) -> Richness:
    """Returns what the whole holds, from the number of clusters by documents seen of them, and the share drawn.

    >>> richness({1: 80, 2: 10}, 1.0)
    Richness(clusters=90, documents=100, shared=20)
    """
    if share >= 1 or not seen:
        known = sum(size * amount for size, amount in seen.items())
        return Richness(sum(seen.values()), known, known - seen.get(1, 0))
    abundant = {size: amount for size, amount in seen.items() if size > ABUNDANT}
    rare = {size: amount for size, amount in seen.items() if size <= ABUNDANT}
    large = sum(size * amount for size, amount in abundant.items()) / share
    if not rare:
        return Richness(sum(abundant.values()), large, large)
    sizes, amounts = _likeliest(rare, share)
    documents = float((sizes * amounts).sum())
    shared = documents - float(amounts[sizes == 1].sum())
    return Richness(float(amounts.sum()) + sum(abundant.values()), documents + large, shared + large)


def _likeliest(seen: Mapping[int, int], share: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns sizes and the expected number of clusters of each, float64[sizes]."""
    counts = np.array(sorted(seen), np.float64)
    found = np.array([seen[int(count)] for count in counts], np.float64)
    sizes = _grid(1.5 * counts.max() / share + 2)
    chances = np.array([[_binomial(int(count), int(size), share) for size in sizes] for count in counts])
    missed = (1 - share) ** sizes
    amounts = sizes**-3.0  # where the sample says nothing, few copies
    amounts *= found.sum() / (amounts * (1 - missed)).sum()
    for _ in range(ROUNDS):
        amounts = amounts * ((found / (chances @ amounts)) @ chances + missed)
    return sizes, amounts


def _grid(largest: float) -> npt.NDArray[np.float64]:
    above = STEP ** np.arange(1, max(1, math.ceil(math.log(max(largest, 1) / EXACT_SIZES, STEP))) + 1)
    return np.concatenate([np.arange(1.0, EXACT_SIZES + 1), np.unique(np.round(EXACT_SIZES * above))])


def _binomial(count: int, size: int, share: float) -> float:
    """Returns the probability of `count` of `size` at `share` each."""
    if count > size:
        return 0.0
    chosen = math.lgamma(size + 1) - math.lgamma(count + 1) - math.lgamma(size - count + 1)
    return math.exp(chosen + count * math.log(share) + (size - count) * math.log1p(-share))
