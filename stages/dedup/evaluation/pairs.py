"""All pairs of documents whose shingle sets have a Jaccard similarity of a threshold or more: exact, by no sampling.

Shingles are renamed by how many documents hold them, the rarest first. Two sets that share enough must share one of
the first few, their prefixes; so an inverted index of prefixes gives all candidates, and most are refused by their
sizes and by the places where they first meet, before their sets are compared.

Source: Bayardo, Ma, Srikant, Scaling up all pairs similarity search, WWW 2007 (AllPairs); Xiao, Wang, Lin, Yu,
Efficient similarity joins for near duplicate detection, WWW 2008 (PPJoin: the shorter prefix that is indexed, and the
bound from positions; its suffix filter is left out).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from datapipe import ConfigError
from stages.dedup.shingles import Sets

SLACK: Final = 1e-9  # bounds are lowered by it before they are rounded up, so that no rounding loses a pair

Places = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.int32]


class Pairs(NamedTuple):
    """Pairs of documents in ascending order: `first` < `second`, int64[pairs]; `jaccard` is float64[pairs]."""

    first: Places
    second: Places
    jaccard: npt.NDArray[np.float64]


def similar_pairs(sets: Sets, threshold: float) -> Pairs:
    """Returns every pair of documents with a Jaccard similarity of at least `threshold`; empty sets are in none.

    Raises:
        ConfigError: the threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold: {threshold} is not above 0 and at most 1")
    sizes = np.diff(sets.offsets)
    order = np.argsort(sizes, kind="stable")  # smallest first, as the prefixes need it
    ranks, amount = _renamed(sets)
    starts = sets.offsets[:-1]
    first, second, shared = _join(ranks, starts[order], sizes[order], amount, threshold)
    first, second = order[first], order[second]
    jaccard = shared / (sizes[first] + sizes[second] - shared)
    low, high = np.minimum(first, second), np.maximum(first, second)
    sorted_ = np.lexsort((high, low))
    return Pairs(low[sorted_], high[sorted_], jaccard[sorted_])


def _renamed(sets: Sets) -> tuple[Ranks, int]:
    """Returns the sets with ranks for hashes, ascending in each document, and the number of distinct ones."""
    _, places, counts = np.unique(sets.hashes, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    documents = np.repeat(np.arange(len(sets.offsets) - 1), np.diff(sets.offsets))
    ordered = np.sort(documents << 32 | rank[places])  # sorts each document in place
    return (ordered & 0xFFFFFFFF).astype(np.int32), len(counts)


@njit(cache=True, nogil=True)
def _join(ranks: Ranks, starts: Places, sizes: Places, amount: int, threshold: float) -> tuple[Places, Places, Places]:
    """Returns both documents of each pair, numbered in the order of `sizes` (ascending), and what they share."""
    ends = np.zeros(amount + 1, np.int64)  # of the postings of each rank, after they are filled
    for document in range(len(sizes)):
        for place in range(_prefix(sizes[document], 2 * threshold / (1 + threshold))):
            ends[ranks[starts[document] + place] + 1] += 1
    ends = ends.cumsum()
    holders, positions = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.int32)
    heads, ends = ends[:-1].copy(), ends[:-1].copy()
    met = np.zeros(len(sizes), np.int32)  # shingles that a candidate shares with the document so far; -1 if refused
    candidates = np.empty(len(sizes), np.int64)
    first, second, shared = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024, np.int64)
    made = 0
    for document in range(len(sizes)):
        size, start = sizes[document], starts[document]
        found = 0
        for place in range(_prefix(size, threshold)):
            rank = ranks[start + place]
            while heads[rank] < ends[rank] and sizes[holders[heads[rank]]] < threshold * size - SLACK:
                heads[rank] += 1  # too small for this document, and so for all that follow
            for entry in range(heads[rank], ends[rank]):
                other = holders[entry]
                if met[other] == 0:
                    candidates[found] = other
                    found += 1
                if met[other] >= 0:
                    left = min(size - place, sizes[other] - positions[entry])
                    enough = met[other] + left >= _needed(size + sizes[other], threshold)
                    met[other] = met[other] + 1 if enough else -1
        for number in range(found):
            other = candidates[number]
            if met[other] > 0:
                needed = _needed(size + sizes[other], threshold)
                other_start = starts[other]
                same = _shared(ranks[start : start + size], ranks[other_start : other_start + sizes[other]], needed)
                if same > 0 and same / (size + sizes[other] - same) >= threshold:
                    if made == len(first):
                        first, second = _grown(first), _grown(second)
                        shared = _grown(shared)
                    first[made], second[made], shared[made] = other, document, same
                    made += 1
            met[other] = 0
        for place in range(_prefix(size, 2 * threshold / (1 + threshold))):
            rank = ranks[start + place]
            holders[ends[rank]], positions[ends[rank]] = document, place
            ends[rank] += 1
    return first[:made].copy(), second[:made].copy(), shared[:made].copy()


@njit(cache=True, nogil=True)
def _prefix(size: int, share: float) -> int:
    """Returns how many of the rarest shingles are enough, so that sets which have `share` in common meet in one."""
    return int(min(size, size - np.ceil(share * size - SLACK) + 1))


@njit(cache=True, nogil=True)
def _needed(both: int, threshold: float) -> int:
    """Returns how many shingles two sets, `both` together in size, share at that Jaccard similarity."""
    return int(np.ceil(threshold / (1 + threshold) * both - SLACK))


@njit(cache=True, nogil=True)
def _shared(one: Ranks, other: Ranks, needed: int) -> int:
    """Returns how many ranks two sets have in common, or 0 as soon as they cannot be `needed` many."""
    same, left, right = 0, 0, 0
    while left < len(one) and right < len(other):
        if same + min(len(one) - left, len(other) - right) < needed:
            return 0
        if one[left] == other[right]:
            same += 1
            left += 1
            right += 1
        elif one[left] < other[right]:
            left += 1
        else:
            right += 1
    return same


@njit(cache=True, nogil=True)
def _grown(values: Places) -> Places:
    larger = np.empty(2 * len(values), np.int64)
    larger[: len(values)] = values
    return larger
