"""Rates of a corpus from documents that people judged, with intervals of 95 %: of all of it, of parts, of a source.

A sample is of strata: of each, so many of its documents were drawn by chance and judged. A simple sample is one
stratum. The rate of the whole weighs the rates of strata by their documents, p = Σ W_h p_h, and its interval is
Wilson's at the effective size

    n* = min(p (1 - p) / Σ W_h² p_h (1 - p_h) c_h,  1 / Σ W_h² c_h),   c_h = (N_h - n_h) / (N_h - 1) / n_h,

where c_h is of draws without replacement, so that what was judged whole adds no doubt. The second is the size where all
strata have one rate: it keeps an interval open where strata without a failure seem to have no variance. For one stratum
n* is n (N - 1) / (N - n), and for a small part of a corpus this is Wilson's interval of n. Strata of which nothing was
judged may be all good or all bad: the interval is widened by their share.

Of a source, for which a limit is told, the interval is exact: all numbers of documents for which what was found is no
rarer than 2.5 % to either side (hypergeometric), so it is never too narrow, whatever its size.

Source: Cochran 1977, sections 3.2 (draws without replacement), 5.10 (strata) and 5A.14 (parts of the whole); Kish 1965,
section 8.2, and Korn and Graubard 1998, Survey Methodology 24, 193 (effective sizes); Franco et al. 2019, J. Survey
Statistics and Methodology 7, 334 (Wilson's interval at them); Clopper and Pearson 1934, Biometrika 26, 404, and
Buonaccorsi 1987, Am. Stat. 41, 215 (exact ones, without replacement). The minimum of both sizes is ours:
`tests/bench/bench_verdicts.py` shows what it covers, beside other ways.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from stages.audit.measures import Estimate, wilson

ALPHA: Final = 0.05  # of an interval
_LEAST: Final = 1e-17  # of a sum, below which terms add nothing


class Stratum(NamedTuple):
    """A part of a corpus: its documents, those of them that were judged, and how many of these are counted."""

    documents: int
    judged: int
    found: int


class Unit(NamedTuple):
    """A judged document: how many of the corpus it stands for, the share of those not judged, whether it is counted."""

    weight: float
    rest: float
    found: bool


def rate(strata: Sequence[Stratum]) -> Estimate:
    """Returns the rate of all documents of strata, with its interval; NaN with 0 to 1 where nothing was judged.

    >>> [round(value, 4) for value in rate([Stratum(10**9, 4000, 3840)])]
    [0.96, 0.9535, 0.9656]
    >>> [round(value, 4) for value in rate([Stratum(900, 90, 81), Stratum(100, 100, 50)])]
    [0.86, 0.7878, 0.9104]
    """
    whole = sum(one.documents for one in strata)
    seen = [one for one in strata if one.judged]
    covered = sum(one.documents for one in seen)
    if not covered:
        return Estimate(math.nan, 0.0, 1.0)
    weights = [one.documents / covered for one in seen]
    rates = [one.found / one.judged for one in seen]
    found = all(one.found == one.judged for one in seen)
    value = 1.0 if found else math.fsum(weight * rate for weight, rate in zip(weights, rates, strict=True))
    parts = [weight**2 * _doubt(one) for weight, one in zip(weights, seen, strict=True)]
    spread = math.fsum(part * rate * (1 - rate) for part, rate in zip(parts, rates, strict=True))
    made = _at(value, spread, math.fsum(parts))
    share = covered / whole
    return Estimate(value, made.low * share, 1 - (1 - made.high) * share)


def _doubt(one: Stratum) -> float:
    """Returns c_h of the module: 0 where all were judged."""
    return max(0, one.documents - one.judged) / max(1, one.documents - 1) / one.judged


def _at(value: float, spread: float, even: float) -> Estimate:
    """Returns Wilson's interval at the effective size, of a variance and of that over p (1 - p) with one rate."""
    if not even:
        return Estimate(value, value, value)
    size = 1 / even
    if spread:
        size = min(size, value * (1 - value) / spread)
    made = wilson(value * size, size)
    return Estimate(value, made.low if value else 0.0, 1.0 if value == 1 else made.high)


def rate_of_part(units: Iterable[Unit]) -> Estimate:
    """Returns the rate of those documents of a corpus that are of a language, say, from those judged of it.

    How many there are is not known, so it is a ratio of two sums; the interval is Wilson's at the effective size.

    >>> [round(value, 4) for value in rate_of_part([Unit(10, 1, True)] * 9 + [Unit(10, 1, False)])]
    [0.9, 0.5958, 0.9821]
    """
    own = list(units)
    whole = math.fsum(one.weight for one in own)
    if not whole:
        return Estimate(math.nan, 0.0, 1.0)
    found = all(one.found for one in own)
    value = 1.0 if found else math.fsum(one.weight for one in own if one.found) / whole
    parts = [one.weight**2 * one.rest for one in own]
    spread = math.fsum(part * (one.found - value) ** 2 for part, one in zip(parts, own, strict=True))
    return _at(value, spread / whole**2, math.fsum(parts) / whole**2)


def exact(documents: int, judged: int, found: int, maybe: int = 0, alpha: float = ALPHA) -> Estimate:
    """Returns the rate of a source with the exact interval; `maybe` may be counted too, so its upper border is of both.

    >>> [round(value, 4) for value in exact(100_000, 100, 2)]
    [0.02, 0.0024, 0.0703]
    >>> exact(72, 72, 3, 1)
    Estimate(value=0.041666666666666664, low=0.041666666666666664, high=0.05555555555555555)
    """
    if not judged:
        return Estimate(math.nan, 0.0, 1.0)
    low = _least(documents, judged, found, alpha / 2)
    high = documents - _least(documents, judged, judged - found - maybe, alpha / 2)
    return Estimate(found / judged, low / documents, high / documents)


def _least(documents: int, judged: int, found: int, tail: float) -> int:
    """Returns the least number of documents of which finding so many, or more, has a chance above `tail`."""
    low, high = found, documents - judged + found
    while low < high:
        middle = (low + high) // 2
        if at_least(documents, middle, judged, found) > tail:
            high = middle
        else:
            low = middle + 1
    return low


def at_least(documents: int, counted: int, judged: int, found: int) -> float:
    """Returns the chance that of `judged` documents, drawn without replacement, `found` or more are counted ones.

    >>> round(at_least(50, 5, 10, 2), 6)  # 1 - C(45,10)/C(50,10) - 5 C(45,9)/C(50,10)
    0.2581
    """
    rest = documents - counted
    first, last = max(0, judged - rest), min(judged, counted)  # what can be found
    if found <= first or found > last:
        return float(found <= first)
    if found > judged * counted / documents:  # both ways go from the largest term down
        return min(1.0, _sum(rest, counted, judged, judged - found, judged - last))
    return max(0.0, 1 - _sum(counted, rest, judged, found - 1, first))


def _sum(counted: int, rest: int, judged: int, start: int, stop: int) -> float:
    """Returns the chance that as many as `start` are counted ones, or fewer, down to `stop`."""
    terms = [
        math.exp(_log_choose(counted, start) + _log_choose(rest, judged - start) - _log_choose(counted + rest, judged))
    ]
    for k in range(start, stop, -1):
        terms.append(terms[-1] * k * (rest - judged + k) / ((counted - k + 1) * (judged - k + 1)))
        if terms[-1] < _LEAST:
            break
    return math.fsum(terms)


def _log_choose(whole: int, part: int) -> float:
    return math.lgamma(whole + 1) - math.lgamma(part + 1) - math.lgamma(whole - part + 1)


def needed(limit: float, alpha: float = ALPHA) -> int:
    """Returns how many documents without any failure show that a large source is below a limit.

    >>> needed(0.05), needed(0.05, 0.05 / 20)
    (72, 131)
    """
    return math.ceil(math.log(alpha / 2) / math.log1p(-limit))
