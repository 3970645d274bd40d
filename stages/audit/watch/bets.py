"""Evidence that a share is above a border, which may be looked at as often as one likes, though files hang together.

A run is looked at again and again, and what is finished of it are whole files, whose documents are alike: intervals of
documents drawn one by one, looked at once, would warn of nothing all the time. So the unit is a finished shard, and the
evidence a capital that is bet on shards, one after another. Who says that shares of shards, whatever came before, are
at most `border` on average must take the bet in which a capital of 1 becomes 1 + g w (share / border - 1): it does not
grow on average. By the inequality of Ville the chance that it ever comes to 1 / a, in any number of shards and looks,
is then at most a. Which part `g` is best put at stake is not known before, so the capital is dealt evenly to FRACTIONS:
that costs little, and makes the evidence the same in whatever order shards came. A shard of few documents counts for
less: `w` is its documents by FULL, at most 1.

One shard multiplies the capital by 1 / border at most: from a border of .05 on, none can raise an alarm at 5 % alone,
however odd its file is. What it takes are shards that come after another, and all point the same way. Of averages of
several such capitals the same is so.

Nothing makes up for files that come in an order: where the first hundred are of one kind and all others of another, the
first are no sample. Hence shares are held against those of the same source, and so is what is said of them.

Source: Ville 1939, Étude critique de la notion de collectif; Waudby-Smith and Ramdas 2024, JRSSB 86, 1 (means of
bounded values by betting, with the capital dealt to a grid of bets; grid and weights are ours); Cover 1991,
Mathematical Finance 1, 1 (what dealing it evenly costs); Vovk and Wang 2021, Ann. Stat. 49, 1736 (averages).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

FRACTIONS: Final[Values] = np.linspace(0.05, 0.95, 10)  # of the capital that are at stake
FULL: Final = 100  # documents of a shard that counts in full
LEAST: Final = 1e-6  # of a border: below it, shares are as good as none


@dataclass
class Bets:
    """The capital that was won against each of `borders`, float64[borders], shard after shard."""

    borders: Values
    logs: Values = field(init=False)  # of the capitals, float64[borders, FRACTIONS]

    def __post_init__(self) -> None:
        self.borders = np.maximum(self.borders, LEAST)
        self.logs = np.zeros((len(self.borders), len(FRACTIONS)))

    def add(self, shares: npt.ArrayLike, documents: float) -> None:
        """Takes in the share of a shard of so many documents: one number, or one for each border."""
        self.logs += np.log1p(gains(shares, self.borders, documents)[:, None] * FRACTIONS)

    def evidence(self) -> Values:
        """Returns the logarithm of the capital won against each border, float64[borders]."""
        return mixed(self.logs)


def gains(shares: npt.ArrayLike, borders: Values, documents: float) -> Values:
    """Returns what one at stake gains against each border, -1 at the least: float64[borders].

    >>> gains(0.3, np.array([0.1, 0.6]), 200).round(6).tolist()
    [2.0, -0.5]
    """
    made: Values = min(1.0, documents / FULL) * (np.asarray(shares, np.float64) / borders - 1)
    return made


def mixed(logs: Values) -> Values:
    """Returns the logarithm of the mean of capitals, along the last axis."""
    most = logs.max(axis=-1)
    made: Values = most + np.log(np.exp(logs - most[..., None]).mean(axis=-1))
    return made
