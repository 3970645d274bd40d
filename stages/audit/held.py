"""What the names of an axis hold, from the merged tables of `names`: the largest exactly, the rest by narrow bins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit import measures as m
from stages.audit.counter import Facts

DRAWN_AT_MOST: Final = 1000  # documents of a draw, up to which its entropy is told: it costs that times sizes
_SQUARES: Final = {"size": "squares", "trained": "trained_squares"}


@dataclass(frozen=True)
class Held:
    """What names hold in one weighting: sizes float64[n], how many names are of each, their documents' squares."""

    sizes: m.Values
    times: m.Values
    squares: m.Values

    @property
    def names(self) -> int:
        """How many names there are."""
        return round(math.fsum(self.times))

    @property
    def whole(self) -> int:
        """What they hold together."""
        return round(math.fsum(self.sizes * self.times))

    def hill(self, order: float) -> m.Estimate:
        """Returns a Hill number of order 1, 2 or infinity with its interval."""
        return m.hill_interval(self.sizes, order, self.times, self.squares)

    def top(self, most: int) -> m.Estimate:
        """Returns the share of the largest names with its interval."""
        return m.top_interval(self.sizes, most, self.times, self.squares)

    def gini(self) -> m.Estimate:
        """Returns Gini's coefficient with its interval."""
        return m.gini_interval(self.sizes, self.times, self.squares)

    def hhi(self) -> m.Estimate:
        """Returns the index of Herfindahl and Hirschman with its interval."""
        return m.hhi_interval(self.sizes, self.times, self.squares)

    def evenness(self) -> float:
        """Returns 2D / 1D."""
        return m.evenness(self.sizes, self.times)

    def lorenz(self, points: int) -> m.Values:
        """Returns the share that the smallest hold, at `points` + 1 even shares of the names."""
        return m.lorenz(self.sizes, points, self.times)[1]

    def of_ranks(self, ranks: list[int]) -> list[float | None]:
        """Returns the size at each rank from 1 on, the largest first; None behind the last."""
        order = np.argsort(-self.sizes, kind="stable")
        ends = np.cumsum(self.times[order])
        places = np.searchsorted(ends, np.array(ranks, np.float64), side="left")
        return [float(self.sizes[order][place]) if place < len(ends) else None for place in places.tolist()]

    def rarefied(self, draw: int) -> m.Estimate:
        """Returns how many names a draw of documents holds; of documents as sizes only."""
        return m.rarefied(self.sizes, draw, self.times)

    def rarefied_hill(self, draw: int, order: int) -> float | None:
        """Returns a Hill number of the shares in a draw of documents; None where it would take too long."""
        if order == 1 and draw > DRAWN_AT_MOST:
            return None
        return m.rarefied_hill(self.sizes, draw, order, self.times)


def held(facts: Facts, axis: str, weight: str) -> Held:
    """Returns what the names of an axis hold in a weighting of WEIGHTS."""
    sizes, top = facts.tables["name_sizes"], largest(facts, axis)
    mine = pc.and_(pc.equal(sizes.column("axis"), axis), pc.equal(sizes.column("weight"), weight))
    bins = sizes.filter(mine)
    places, names, amounts, squares = (
        np.asarray(bins.column(name)) for name in ("bin", "names", "amount", "squared")
    )  # fmt: skip
    there = top.filter(pc.greater(top.column(weight), 0))
    exact, exact_squares = (np.asarray(there.column(name)) for name in (weight, _SQUARES.get(weight, weight)))
    of = np.searchsorted(places, m.bins_of(exact))
    rest = names - np.bincount(of, minlength=len(places))
    # Sums of whole numbers, in int64: what is left of a bin is what its other names hold.
    amounts, squares = (
        _less(whole, of, part) for whole, part in ((amounts, exact), (squares, exact_squares))
    )  # fmt: skip
    open_bins = rest > 0
    means = amounts[open_bins] / rest[open_bins]
    return Held(
        np.concatenate([exact.astype(np.float64), means]),
        np.concatenate([np.ones(len(exact)), rest[open_bins].astype(np.float64)]),
        np.concatenate([exact_squares, squares[open_bins]]).astype(np.float64),
    )


def _less(whole: m.Whole, of: m.Whole, part: m.Whole) -> m.Whole:
    left = whole.copy()
    np.subtract.at(left, of, part)
    return left


def largest(facts: Facts, axis: str) -> pa.Table:
    """Returns the largest names of an axis in any weighting, with what they hold (TOTALS)."""
    top = facts.tables["top_names"]
    return top.filter(pc.and_(pc.equal(top.column("axis"), axis), pc.not_equal(top.column("name"), "")))


def nameless(facts: Facts, axis: str) -> dict[str, int]:
    """Returns what documents without a name of an axis hold (TOTALS), 0 where there are none."""
    top = facts.tables["top_names"]
    rows = top.filter(pc.and_(pc.equal(top.column("axis"), axis), pc.equal(top.column("name"), ""))).to_pylist()
    names = [field.name for field in top.schema if pa.types.is_integer(field.type)]
    return {name: sum(row[name] for row in rows) for name in names}
