"""How likely two documents are to meet, by their similarity; and the bands and rows that follow from what is asked for.

Two documents meet where one band of their signatures is equal: with Jaccard similarity s that has the probability
1 - (1 - s^rows)^bands, the curve. More rows a band meet fewer unlike documents, more bands miss fewer like ones.

Source: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4; datasketch's `_optimal_param` for the
optimum that weighs the areas of false and of missed pairs alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from datapipe import ConfigError

SHOWN: Final = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
STEP: Final = 0.001  # of the areas: datasketch integrates by rectangles of this width


@dataclass(frozen=True)
class Curve:
    """Bands of so many rows each.

    >>> round(Curve(18, 7).chance(0.8), 4)
    0.9855
    """

    bands: int
    rows: int

    def chance(self, similarity: float) -> float:
        """Returns the probability that two documents of that Jaccard similarity meet."""
        if similarity >= 1:
            return 1.0
        return -math.expm1(self.bands * math.log1p(-(similarity**self.rows)))

    def __str__(self) -> str:
        chances = "  ".join(f"{similarity:g}: {self.chance(similarity):.1%}" for similarity in SHOWN)
        return f"{self.bands} bands of {self.rows} rows; chance to meet by similarity  {chances}"


def for_recall(threshold: float, recall: float, permutations: int) -> Curve:
    """Returns the curve of most rows that meets at `threshold` with at least the chance `recall`.

    All permutations go into bands: those that are not needed for the recall asked for cost little and add to it.

    Raises:
        ConfigError: no number of rows has it.
    """
    for rows in range(permutations, 0, -1):
        curve = Curve(permutations // rows, rows)
        if curve.chance(threshold) >= recall:
            return curve
    best = Curve(permutations, 1).chance(threshold)
    raise ConfigError(
        f"recall: {recall} at similarity {threshold} is more than {permutations} permutations can give ({best:.4f}); "
        "raise permutations, or ask for less"
    )


def least_error(threshold: float, permutations: int) -> Curve:
    """Returns the curve that datasketch chooses: least area of false pairs below `threshold` and of misses above it."""
    below, above = (np.arange(start + STEP / 2, end, STEP) for start, end in ((0.0, threshold), (threshold, 1.0)))
    candidates = [
        Curve(bands, rows) for bands in range(1, permutations + 1) for rows in range(1, permutations // bands + 1)
    ]

    def error(curve: Curve) -> float:
        met, missed = ((1 - s**curve.rows) ** curve.bands for s in (below, above))
        return float((1 - met).sum() + missed.sum())

    return min(candidates, key=error)


def forecast(curve: Curve, documents: float) -> Iterator[str]:
    """Yields sentences for `datapipe plan`: the curve, and the pairs that meet by chance among so many documents."""
    yield str(curve)
    pairs = documents * (documents - 1) / 2
    unlike = "  ".join(f"{s:g}: {pairs * curve.chance(s):.2g}" for s in (0.05, 0.1, 0.2, 0.3))
    equal = pairs * curve.bands / 2**64
    yield (
        f"pairs that meet among about {documents:,.0f} documents, if all of them were so similar  {unlike}; "
        f"by equal hashes {equal:.2g}"
    )
