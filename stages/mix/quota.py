"""Whole-number shares of a sequence: how many of the first t samples each group has, exactly, for any t.

Seat m of a group with quota q has the priority (2m + 1) / 2q; the sequence gives out seats in that order, ties by the
group's place. So the count after t samples is monotone in t and ends in the quotas themselves, and what is seen up to a
step never changes with what comes after it: the largest-remainder rule has neither. Comparisons are of 128-bit
products, never of rounded quotients; floating point only guesses where to start.

Source: Webster's method (Balinski and Young 1982, Fair Representation, chapter 4 and appendix A).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numba import njit

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_0, _1, _2 = np.uint64(0), np.uint64(1), np.uint64(2)


@njit(cache=True, nogil=True)
def _high(a: np.uint64, b: np.uint64) -> np.uint64:
    """Returns the upper 64 bits of a * b."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _32, b & _LOW, b >> _32
    middle = a_high * b_low + ((a_low * b_low) >> _32)
    other = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _32) + (other >> _32)


@njit(cache=True, nogil=True)
def compare_products(a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64) -> int:
    """Returns -1, 0 or 1 as a * b is less than, equal to or greater than c * d, without overflow."""
    first, second = _high(a, b), _high(c, d)
    if first == second:
        first, second = a * b, c * d
    return -1 if first < second else int(first > second)


@njit(cache=True, nogil=True)
def _before(quotas: np.ndarray, group: int, seat: np.uint64, other: int, seat_of_other: np.uint64) -> bool:
    """Whether a seat of `group` is given out before a seat of `other`."""
    order = compare_products(_2 * seat + _1, quotas[other], _2 * seat_of_other + _1, quotas[group])
    return order < 0 or (order == 0 and group < other)


@njit(cache=True, nogil=True)
def _next(quotas: np.ndarray, counts: np.ndarray) -> int:
    """Returns the group whose seat comes next."""
    best = -1
    for group in range(len(quotas)):
        if quotas[group] and (best < 0 or _before(quotas, group, counts[group], best, counts[best])):
            best = group
    return best


@njit(cache=True, nogil=True)
def _last(quotas: np.ndarray, counts: np.ndarray) -> int:
    """Returns the group whose newest seat was given out last, or -1."""
    worst = -1
    for group in range(len(quotas)):
        if counts[group] and (worst < 0 or _before(quotas, worst, counts[worst] - _1, group, counts[group] - _1)):
            worst = group
    return worst


@njit(cache=True, nogil=True)
def prefix(quotas: np.ndarray, steps: np.uint64) -> np.ndarray:
    """Returns how many of the first `steps` samples each group has, uint64[groups]; they sum to `steps`.

    `quotas` is uint64[groups] below 2^62 each, with a sum above 0.
    """
    total = 0.0
    for quota in quotas:
        total += float(quota)
    counts = np.zeros(len(quotas), np.uint64)
    held = _0
    for group in range(len(quotas)):
        counts[group] = np.uint64(float(quotas[group]) * (float(steps) / total) + 0.5)
        held += counts[group]
    while held > steps:
        counts[_last(quotas, counts)] -= _1
        held -= _1
    while held < steps:
        counts[_next(quotas, counts)] += _1
        held += _1
    while steps:
        giver, taker = _last(quotas, counts), _next(quotas, counts)
        if not _before(quotas, taker, counts[taker], giver, counts[giver] - _1):
            break
        counts[giver] -= _1
        counts[taker] += _1
    return counts


@njit(cache=True, nogil=True)
def step_of(quotas: np.ndarray, group: int, seat: np.uint64) -> np.uint64:
    """Returns how many seats are given out before seat `seat` of `group`: the step at which it is.

    The inverse of `prefix`, in closed form: of another group with quota q come first the seats m with
    (2m + 1) / q below (2 seat + 1) / quota.
    """
    odd, quota = _2 * seat + _1, quotas[group]
    step = _0
    for other in range(len(quotas)):
        if other == group:
            step += seat
        elif quotas[other]:
            step += _seats_up_to(odd, quotas[other], quota, other < group)
    return step


@njit(cache=True, nogil=True)
def _seats_up_to(odd: np.uint64, quota_of_other: np.uint64, quota: np.uint64, ties: bool) -> np.uint64:
    """Returns the number of odd numbers below odd * quota_of_other / quota, or up to it where `ties` count."""
    guess = np.uint64(float(odd) * float(quota_of_other) / float(quota) / 2.0)
    limit = 1 if ties else 0
    while guess and compare_products(_2 * guess - _1, quota, odd, quota_of_other) >= limit:
        guess -= _1
    while compare_products(_2 * guess + _1, quota, odd, quota_of_other) < limit:
        guess += _1
    return guess


def plain_prefix(quotas: Sequence[int], steps: int) -> list[int]:
    """The readable twin of `prefix`: seats given out one by one."""
    counts = [0] * len(quotas)
    for _ in range(steps):
        chosen = min(
            (group for group, quota in enumerate(quotas) if quota),
            key=lambda group: (Fraction(2 * counts[group] + 1, 2 * quotas[group]), group),
        )
        counts[chosen] += 1
    return counts


def apportion(weights: Sequence[Fraction], total: int) -> list[int]:
    """Returns whole numbers in proportion to `weights` that sum to `total`, each its exact share rounded down or up.

    Which are rounded up is decided by the priorities of their next seats, as above. Without that bound the rule alone
    leaves a large group tens of samples short where there are hundreds of small ones; where it does not, both agree.

    >>> apportion([Fraction(6, 10), Fraction(3, 10), Fraction(1, 10)], 12)
    [7, 4, 1]
    """
    unit = math.lcm(*(weight.denominator for weight in weights))
    parts = [weight.numerator * (unit // weight.denominator) for weight in weights]
    whole = sum(parts)
    counts = [part * total // whole for part in parts]
    cut = [group for group, part in enumerate(parts) if part * total % whole]
    cut.sort(key=lambda group: (Fraction(2 * counts[group] + 1, parts[group]), group))
    for group in cut[: total - sum(counts)]:
        counts[group] += 1
    return counts
