"""Caps on what is taken of a group: the most that shares allow, and the shares nearest to them that a budget allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

from stages.mix.quota import apportion

_DIGITS = (4, 6, 9, 12)


def fill(shares: Sequence[Fraction], room: Sequence[int], total: int) -> list[Fraction]:
    """Returns `total` in proportion to `shares`, but no more of any than its room; the others share what is cut.

    All that have a share must have room for `total` together. From the one that is full first on, each takes its share
    of what is left: with equal shares, that is UniMax.

    >>> [str(part) for part in fill([Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)], [10, 100, 5], 40)]
    ['10', '25', '5']

    Source: Chung et al. 2023, arXiv 2304.09151, algorithm 1.
    """
    parts = [Fraction(0)] * len(shares)
    left, whole = Fraction(total), sum(shares, Fraction(0))
    for place in sorted((p for p, share in enumerate(shares) if share), key=lambda p: (room[p] / shares[p], p)):
        parts[place] = min(Fraction(room[place]), left * shares[place] / whole)
        left, whole = left - parts[place], whole - shares[place]
    return parts


def largest(shares: Sequence[Fraction], room: Sequence[int]) -> int:
    """Returns a total of which, apportioned by `shares`, none gets more than its room, and of one more some group does.

    Were seats given in the order of their priorities alone (`quota`), it would be the number of seats before the first
    for which there is no room; as shares are rounded, it is not far from there.
    """
    named = [place for place, share in enumerate(shares) if share]
    end, last = min((Fraction(2 * room[place] + 1) / shares[place], place) for place in named)
    total = sum(_odd_below(end * shares[place], ties=place < last) for place in named)

    def fits(asked: int) -> bool:
        return all(quota <= left for quota, left in zip(apportion(shares, asked), room, strict=True))

    while not fits(total):
        total -= 1
    while fits(total + 1):
        total += 1
    return total


def _odd_below(limit: Fraction, *, ties: bool) -> int:
    """Returns how many odd numbers from 1 on are below a limit, or up to it where `ties` count."""
    return math.floor((limit + 1) / 2) if ties else math.ceil((limit - 1) / 2)


def written(parts: Sequence[Fraction], fits: Callable[[list[str]], bool]) -> list[str] | None:
    """Returns parts of a whole as decimals that sum to 1, with as few digits as fit; None where no number of them does.

    All are rounded down but the greatest, which takes what is left.
    """
    whole, most = sum(parts, Fraction(0)), max(range(len(parts)), key=lambda place: parts[place])
    for digits in _DIGITS:
        unit = 10**digits
        counts = [int(part / whole * unit) for part in parts]
        counts[most] += unit - sum(counts)
        if all(bool(count) == bool(part) for count, part in zip(counts, parts, strict=True)):
            texts = [format((Decimal(count) / unit).normalize(), "f") for count in counts]
            if fits(texts):
                return texts
    return None
