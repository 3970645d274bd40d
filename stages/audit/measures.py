"""The formulas of the report: diversity, concentration, intervals of rates, distances of distributions.

Pure functions of counts. Where there are too many to hold, counts are summed up: `times` says how many have a count, so
that counts of counts are exact, and means of narrow bins (`bins_of`) nearly so: per bin, 1/64 wide, HHI is low by at
most (1/64)²/4 = 6.2e-5 of itself, the entropy high by at most (1/64)²/8 = 3.1e-5 nats, Gini low by at most 0.0039.

Intervals are of 95 % and deterministic. Those of diversity and concentration hold what corpora of as many documents
from the same place have on average, as if drawn one by one; of the place itself HHI, 2D and shares of few are the same,
while 1D and Gini also depend on groups that no document here is of (of 5,000 groups by Zipf's law and 12,000 documents
1D is low by a fifth). It is the delta method, in which a measure F of the shares p = T_i / T of groups i has the
variance Σ (φ_i - Σ p φ)² Σ_j w_ij² / T², where φ_i is the derivative of F for p_i and w_ij the size of document j of
group i, so that sizes in tokens are clusters of tokens, not as many draws. With documents as sizes it is Basharin's.

Source: Hill 1973, Ecology 54, 427 (numbers of order q); Shannon 1948; Simpson 1949 (HHI is his λ); Gini 1912;
Jost 2006, Oikos 113, 363 (effective numbers); Basharin 1959 (variance of the entropy); Cochran 1977, section 6.3
(linearised variance of a ratio). Each other function names its own.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Z: Final = 1.959963984540054  # of 95 %
FINE: Final = 6  # bits of a bin within its power of two
_FEW: Final = 128  # terms that are summed up one by one
Values = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Counts = npt.ArrayLike


class Estimate(NamedTuple):
    """A value and the borders of its 95 % interval."""

    value: float
    low: float
    high: float


# Groups and how large they are


def _positive(counts: Counts, times: Counts | None) -> tuple[Values, Values]:
    """Returns the counts above 0, ascending, and how many have each."""
    sizes = np.asarray(counts, np.float64).ravel()
    amounts = np.ones(len(sizes)) if times is None else np.asarray(times, np.float64).ravel()
    there = np.flatnonzero((sizes > 0) & (amounts > 0))
    order = there[np.argsort(sizes[there], kind="stable")]
    return sizes[order], amounts[order]


def hill(counts: Counts, order: float, times: Counts | None = None) -> float:
    """Returns the Hill number of an order from 0 to infinity: how many groups of one size were as diverse.

    Order 0 is how many there are, 1 the exponential of the entropy, 2 one over HHI, infinity one over the largest
    share; 0 where there is nothing.

    >>> [round(hill([6, 2, 1, 1], order), 3) for order in (0, 1, 2, math.inf)]
    [4.0, 2.971, 2.381, 1.667]
    """
    sizes, amounts = _positive(counts, times)
    if not len(sizes):
        return 0.0
    shares = sizes / math.fsum(sizes * amounts)
    if order == 1:
        return math.exp(-math.fsum(amounts * shares * np.log(shares)))
    if math.isinf(order):
        return float(1 / shares[-1])
    return float(math.fsum(amounts * shares**order) ** (1 / (1 - order)))


def entropy(counts: Counts, times: Counts | None = None) -> float:
    """Returns Shannon's entropy in bits.

    >>> entropy([1, 1, 2])
    1.5
    """
    sizes, amounts = _positive(counts, times)
    shares = sizes / math.fsum(sizes * amounts) if len(sizes) else sizes
    return abs(math.fsum(amounts * shares * np.log2(shares)))


def hhi(counts: Counts, times: Counts | None = None) -> float:
    """Returns the index of Herfindahl and Hirschman: the chance that two draws are of one group; 0 without any.

    >>> hhi([1, 1, 2])
    0.375
    """
    sizes, amounts = _positive(counts, times)
    return math.fsum(amounts * (sizes / math.fsum(sizes * amounts)) ** 2) if len(sizes) else 0.0


def evenness(counts: Counts, times: Counts | None = None) -> float:
    """Returns 2D / 1D: 1 where all groups are of one size, near 0 where few hold all; 0 without any.

    Source: Hill 1973, E(2,1).

    >>> evenness([3, 3, 3])
    1.0
    """
    first = hill(counts, 1, times)
    return round(hill(counts, 2, times) / first, 12) if first else 0.0


def gini(counts: Counts, times: Counts | None = None) -> float:
    """Returns Gini's coefficient of the groups that have anything: 0 where all are equal, 1 - 1/n where one holds all.

    Source: Σ (2 i - n - 1) x_i / (n Σ x) over sorted values (Damgaard and Weiner 2000, Ecology 81, 1139).

    >>> gini([1, 1, 2, 6])
    0.4
    """
    sizes, amounts = _positive(counts, times)
    if not len(sizes):
        return 0.0
    return abs(round(math.fsum(_gini_ranks(amounts) * sizes * amounts) / math.fsum(sizes * amounts), 12))


def _gini_ranks(amounts: Values) -> Values:
    """Returns (2 i - n - 1) / n, where i is the mean rank of those that share a size."""
    many = math.fsum(amounts)
    ranks: Values = (2 * np.cumsum(amounts) - amounts - many) / many
    return ranks


def top_share(counts: Counts, most: int, times: Counts | None = None) -> float:
    """Returns the share of the `most` largest groups; 0 where there is nothing.

    >>> top_share([6, 2, 1, 1], 2)
    0.8
    """
    sizes, amounts = _positive(counts, times)
    if not len(sizes):
        return 0.0
    return math.fsum(_of_top(amounts, most) * sizes * amounts) / math.fsum(sizes * amounts)


def _of_top(amounts: Values, most: int) -> Values:
    """Returns which share of those of each size is among the `most` largest."""
    larger = np.cumsum(amounts[::-1])[::-1] - amounts
    part: Values = np.clip((most - larger) / amounts, 0, 1)
    return part


def lorenz(counts: Counts, points: int, times: Counts | None = None) -> tuple[Values, Values]:
    """Returns the curve of Lorenz at `points` + 1 even shares of the groups, the smallest first: their share of all.

    Source: Lorenz 1905, Publications of the American Statistical Association 9, 209.

    >>> lorenz([1, 1, 2, 6], 4)[1].tolist()
    [0.0, 0.1, 0.2, 0.4, 1.0]
    """
    sizes, amounts = _positive(counts, times)
    at = np.linspace(0, 1, points + 1)
    if not len(sizes):
        return at, at.copy()
    groups = np.concatenate([[0.0], np.cumsum(amounts)])
    held = np.concatenate([[0.0], np.cumsum(sizes * amounts)])
    return at, np.interp(at, groups / groups[-1], held / held[-1])


# Intervals of these


def hill_interval(counts: Counts, order: float, times: Counts | None = None, squares: Counts | None = None) -> Estimate:
    """Returns the Hill number of order 1, 2 or infinity with its interval, on the scale of logarithms.

    `squares` is the sum of the squared sizes of the documents of each group (of all groups of a count, where `times` is
    given); without it sizes are documents.
    """
    sizes, amounts, squared = _clusters(counts, times, squares)
    value = hill(sizes, order, amounts)
    if not value:
        return Estimate(0.0, 0.0, 0.0)
    shares = sizes / math.fsum(sizes * amounts)
    if order == 1:
        slopes = -value * np.log(shares)
    elif order == 2:
        slopes = -2 * value**2 * shares
    else:
        slopes = np.where(shares == shares[-1], -(value**2), 0.0)
    reach = Z * _error(slopes, sizes, amounts, squared) / value
    return Estimate(value, max(1.0, value * math.exp(-reach)), value * math.exp(reach))


def hhi_interval(counts: Counts, times: Counts | None = None, squares: Counts | None = None) -> Estimate:
    """Returns HHI with its interval: one over that of the Hill number of order 2."""
    value, low, high = hill_interval(counts, 2, times, squares)
    return Estimate(1 / value, 1 / high, 1 / low) if value else Estimate(0.0, 0.0, 0.0)


def gini_interval(counts: Counts, times: Counts | None = None, squares: Counts | None = None) -> Estimate:
    """Returns Gini's coefficient with its interval, of these groups with their ranks; those of one size share one."""
    sizes, amounts, squared = _clusters(counts, times, squares)
    if not len(sizes):
        return Estimate(0.0, 0.0, 0.0)
    _, same = np.unique(sizes, return_inverse=True)
    ranks = _gini_ranks(np.bincount(same, amounts).astype(np.float64))[same]
    return _within(gini(sizes, amounts), _error(ranks, sizes, amounts, squared))


def top_interval(counts: Counts, most: int, times: Counts | None = None, squares: Counts | None = None) -> Estimate:
    """Returns the share of the `most` largest groups with its interval, as if which they are were known."""
    sizes, amounts, squared = _clusters(counts, times, squares)
    if not len(sizes):
        return Estimate(0.0, 0.0, 0.0)
    return _within(top_share(sizes, most, amounts), _error(_of_top(amounts, most), sizes, amounts, squared))


def _clusters(counts: Counts, times: Counts | None, squares: Counts | None) -> tuple[Values, Values, Values]:
    """Returns counts above 0, ascending, how many have each, and the sums of squared sizes of their documents."""
    sizes = np.asarray(counts, np.float64).ravel()
    amounts = np.ones(len(sizes)) if times is None else np.asarray(times, np.float64).ravel()
    squared = sizes * amounts if squares is None else np.asarray(squares, np.float64).ravel()
    there = np.flatnonzero((sizes > 0) & (amounts > 0))
    order = there[np.argsort(sizes[there], kind="stable")]
    return sizes[order], amounts[order], squared[order]


def _error(slopes: Values, sizes: Values, amounts: Values, squared: Values) -> float:
    """Returns the standard error by the delta method: see the module."""
    whole = math.fsum(sizes * amounts)
    mean = math.fsum(slopes * sizes * amounts) / whole
    return math.sqrt(math.fsum((slopes - mean) ** 2 * squared)) / whole


def _within(value: float, error: float) -> Estimate:
    return Estimate(value, max(0.0, value - Z * error), min(1.0, value + Z * error))


# What a smaller corpus would hold


def rarefied(counts: Counts, draw: int, times: Counts | None = None) -> Estimate:
    """Returns how many groups `draw` documents hold on average, drawn without replacement; counts are documents.

    The interval is of the corpus as a draw itself (unconditional), with Chao's lower bound of the groups there are.
    NaN where there are fewer documents.

    Source: Hurlbert 1971, Ecology 52, 577; variance: Colwell et al. 2012, J. Plant Ecol. 5, 3, equation 5.

    >>> round(rarefied([6, 2, 1, 1], 3).value, 4)
    2.1
    """
    sizes, amounts = _positive(counts, times)
    whole = round(math.fsum(sizes * amounts))
    if draw > whole:
        return Estimate(math.nan, math.nan, math.nan)
    seen = -np.expm1(_log_missed(sizes, float(draw), float(whole)))
    value = math.fsum(amounts * seen)
    there = max(chao1(sizes, amounts), value)
    error = math.sqrt(max(0.0, math.fsum(amounts * seen**2) - value**2 / there)) if there else 0.0
    return Estimate(value, max(0.0, value - Z * error), value + Z * error)


def _log_missed(sizes: Values, draw: float, whole: float) -> Values:
    """Returns ln [C(whole - size, draw) / C(whole, draw)], the chance that a draw misses a group, -inf if it cannot.

    Differences of logarithms of factorials would lose what a billion documents differ by: where a size or the draw is
    small, it is a sum of so many terms, else Stirling's formula with what cancels taken out by hand.
    """
    logs = np.full(len(sizes), -np.inf)
    if draw >= whole:
        return logs
    can = sizes + draw <= whole
    least, most = np.minimum(sizes, draw), np.maximum(sizes, draw)
    few, many = np.flatnonzero(can & (least <= _FEW)), np.flatnonzero(can & (least > _FEW))
    logs[few] = 0.0
    for step in range(round(least[few].max(initial=0))):
        more = few[least[few] > step]
        logs[more] += np.log1p(-most[more] / (whole - step))
    x, n = sizes[many], draw
    gone = np.minimum(x + n, whole - 1)  # where it is more, next to no draw misses a group of that size
    part = (whole - x + 0.5) * np.log1p(-x / whole) + (whole - n + 0.5) * math.log1p(-n / whole)
    part -= (whole - gone + 0.5) * np.log1p(-gone / whole)
    logs[many] = part + (1 / (whole - x) + 1 / (whole - n) - 1 / (whole - gone) - 1 / whole) / 12
    return logs


def rarefied_hill(counts: Counts, draw: int, order: int, times: Counts | None = None) -> float:
    """Returns the Hill number of order 0, 1 or 2 of the shares expected in `draw` documents; NaN where there are fewer.

    Order 1 looks at every number of documents that a group may have in the draw, so it takes draw times sizes.

    Source: Chao et al. 2014, Ecological Monographs 84, 45, equations 4 and 9.

    >>> [round(rarefied_hill([6, 2, 1, 1], 2, order), 4) for order in (0, 1, 2)]
    [1.6444, 1.5631, 1.4754]
    """
    sizes, amounts = _positive(counts, times)
    whole = round(math.fsum(sizes * amounts))
    if draw > whole or draw < 1:
        return math.nan
    if order == 0:
        return rarefied(counts, draw, times).value
    if order == 2:
        pairs = math.fsum(amounts * sizes * (sizes - 1)) / (whole * (whole - 1)) if whole > 1 else 1.0
        return 1 / (1 / draw + (draw - 1) / draw * pairs)
    seen = np.arange(1.0, draw + 1)
    chances = np.exp(
        _log_choose(sizes[:, None], seen) + _log_choose(whole - sizes[:, None], draw - seen)
        - _log_choose(np.array([float(whole)]), draw)
    )  # fmt: skip
    return math.exp(-math.fsum((amounts @ chances) * (seen / draw) * np.log(seen / draw)))


def chao1(counts: Counts, times: Counts | None = None) -> float:
    """Returns a lower bound of the groups that there are, also unseen ones: from those seen once and twice.

    Source: Chao 1984, Scand. J. Stat. 11, 265, in the form corrected for bias (Chao 2005).

    >>> chao1([6, 2, 1, 1])
    4.5
    """
    sizes, amounts = _positive(counts, times)
    once, twice = (math.fsum(amounts[np.rint(sizes) == seen]) for seen in (1, 2))
    return math.fsum(amounts) + once * max(0.0, once - 1) / (2 * (twice + 1))


def coverage(counts: Counts, times: Counts | None = None) -> float:
    """Returns Good's coverage: the chance that one more document is of a group that is there; 0 without any.

    Source: Good 1953, Biometrika 40, 237.

    >>> coverage([6, 2, 1, 1])
    0.8
    """
    sizes, amounts = _positive(counts, times)
    once = math.fsum(amounts[np.rint(sizes) == 1])
    return 1 - once / math.fsum(sizes * amounts) if len(sizes) else 0.0


def _log_factorial(numbers: Values) -> Values:
    """Returns ln n!, of -inf for n below 0 as 1/0! is 0: Stirling's series above 15, good to 1e-14."""
    small = np.clip(numbers, 0, 15)
    exact: Values = _SMALL[np.rint(small).astype(np.int64)]
    one = np.maximum(numbers, 15.0) + 1
    series = (one - 0.5) * np.log(one) - one + _HALF + 1 / (12 * one) - 1 / (360 * one**3) + 1 / (1260 * one**5)
    whole: Values = np.where(numbers > 15, series, exact)
    return whole


_SMALL: Final = np.array([math.lgamma(number + 1) for number in range(16)])
_HALF: Final = 0.5 * math.log(2 * math.pi)


def _log_choose(whole: Values, part: Values | float) -> Values:
    """Returns the logarithm of binomial coefficients, -inf where they are 0; sizes of bins may be fractions."""
    rest = whole - part
    made = _log_factorial(whole) - _log_factorial(np.asarray(part, np.float64)) - _log_factorial(rest)
    chosen: Values = np.where((rest < 0) | (whole < 0), -np.inf, made)
    return chosen


# Bins


def bins_of(sizes: Whole) -> Whole:
    """Returns the bin of each size, int64 from 0 on: a bin for each below 128, then 64 to a power of two.

    Integers only, so the same everywhere; sizes are below 2**53.

    >>> bins_of(np.array([0, 1, 127, 128, 129, 130, 1 << 40])).tolist()
    [0, 1, 127, 128, 128, 129, 2240]
    """
    power = np.maximum(np.frexp(np.asarray(sizes, np.float64))[1].astype(np.int64) - 1 - FINE, 0)
    bins: Whole = (power << FINE) + (np.asarray(sizes, np.int64) >> power)
    return bins


# Rates


def wilson(found: float, amount: float, z: float = Z) -> Estimate:
    """Returns a rate with Wilson's interval; NaN with all of 0 to 1 where nothing was looked at.

    Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209.

    >>> [round(value, 5) for value in wilson(3, 1000)]
    [0.003, 0.00102, 0.00878]
    """
    if amount <= 0:
        return Estimate(math.nan, 0.0, 1.0)
    middle = found + z**2 / 2
    half = z * math.sqrt(found * (amount - found) / amount + z**2 / 4)
    low, high = (middle - half) / (amount + z**2), (middle + half) / (amount + z**2)
    return Estimate(found / amount, low if found else 0.0, high if found < amount else 1.0)


def ratio(found: float, amount: float, other_found: float, other_amount: float, z: float = Z) -> Estimate:
    """Returns the ratio of two rates with the interval of its logarithm; NaN where it says nothing.

    Where one is 0, the interval is that of half a case more of each (Walter 1975).

    Source: Katz et al. 1978, Biometrics 34, 469.

    >>> [round(value, 4) for value in ratio(27, 122, 44, 487)]
    [2.4495, 1.5837, 3.7887]
    """
    if not amount or not other_amount:
        return Estimate(math.nan, 0.0, math.inf)
    below = other_found / other_amount
    value = found / amount / below if below else (math.inf if found else math.nan)
    more = 0.0 if found and other_found else 0.5
    a, n, b, m = found + more, amount + more, other_found + more, other_amount + more
    error = math.sqrt(max(0.0, 1 / a - 1 / n + 1 / b - 1 / m))
    middle = a / n / (b / m)
    low, high = middle * math.exp(-z * error), middle * math.exp(z * error)
    return Estimate(value, min(low, value), max(high, value) if math.isfinite(value) else math.inf)


def newcombe(rate: Estimate, other: Estimate) -> Estimate:
    """Returns the difference of two rates, the first less the second, with the interval that follows from theirs.

    Source: Newcombe 1998, Statistics in Medicine 17, 873, method 10, with Wilson's intervals.

    >>> [round(value, 4) for value in newcombe(wilson(56, 70), wilson(48, 80))]
    [0.2, 0.0524, 0.3339]
    """
    value = rate.value - other.value
    low = math.hypot(rate.value - rate.low, other.high - other.value)
    return Estimate(value, value - low, value + math.hypot(rate.high - rate.value, other.value - other.low))


def ratio_of_sums(parts: Counts, wholes: Counts) -> Estimate:
    """Returns Σ parts / Σ wholes over documents drawn by chance, with its interval; NaN where there is nothing.

    The share of a group in tokens is that of its documents' tokens (0 for others) among those of all.

    Source: Cochran 1977, equation 6.13, of a small part of all documents.

    >>> [round(value, 4) for value in ratio_of_sums([10, 0, 30, 0], [10, 20, 30, 40])]
    [0.4, 0.0, 0.9902]
    """
    y, x = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    whole = math.fsum(x.tolist())
    if not whole:
        return Estimate(math.nan, math.nan, math.nan)
    value = math.fsum(y.tolist()) / whole
    square = math.fsum(((y - value * x) ** 2).tolist()) * len(x) / max(1, len(x) - 1)
    return Estimate(value, max(0.0, value - Z * math.sqrt(square) / whole), value + Z * math.sqrt(square) / whole)


# Distances


def divergence(before: Counts, after: Counts) -> tuple[float, Values]:
    """Returns the Jensen-Shannon divergence in bits (0 to 1) and what each bin adds to it, float64[bins], none below 0.

    NaN, and NaN of each bin, where one of them holds nothing.

    Source: Lin 1991, IEEE Trans. Inf. Theory 37, 145.

    >>> total, each = divergence([1, 1, 0], [0, 1, 1])
    >>> total, each.tolist()
    (0.5, [0.25, 0.0, 0.25])
    """
    p, q = (_shares(counts) for counts in (before, after))
    middle = (p + q) / 2
    each = np.maximum((_part(p, middle) + _part(q, middle)) / 2, 0.0)
    return math.fsum(each), each


def kl(before: Counts, after: Counts) -> float:
    """Returns the Kullback-Leibler divergence of `after` from `before` in bits: infinite where it has bins of its own.

    What has been taken away only never does: so it is finite for what a stage kept against what came to it.

    Source: Kullback and Leibler 1951, Ann. Math. Stat. 22, 79.

    >>> kl([1, 1], [1, 0]), kl([1, 0], [1, 1])
    (1.0, inf)
    """
    p, q = (_shares(counts) for counts in (after, before))
    return math.inf if ((p > 0) & (q == 0)).any() else math.fsum(_part(p, q))


def _shares(counts: Counts) -> Values:
    sizes = np.asarray(counts, np.float64)
    whole = math.fsum(sizes)
    shares: Values = sizes / whole if whole else np.full(len(sizes), np.nan)
    return shares


def _part(p: Values, q: Values) -> Values:
    """Returns p log2(p / q) of each bin, 0 where p is 0."""
    there = ~(p == 0)
    return np.where(there, p * np.log2(np.where(there, p, 1.0) / np.where(there, q, 1.0)), 0.0)
