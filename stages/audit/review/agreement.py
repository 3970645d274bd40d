"""How far reviewers agree: raw, beyond chance, and on what each of them passed or failed.

Where nearly all documents pass, two who never agree on a failure still agree on most documents, and Cohen's kappa falls
to 0 however many those are (the paradox of prevalence). So beside kappa stand Gwet's AC1, which does not, and the
agreement on each word alone: of the failures that either saw, how many both did. Intervals are of 95 %; where two agree
on all, whose error by these formulas is 0, the lower border is that of the raw agreement's (Wilson's), beyond chance.

Source: Cohen 1960, Educ. Psychol. Meas. 20, 37 (kappa); Fleiss, Cohen and Everitt 1969, Psychol. Bull. 72, 323 (its
error); Feinstein and Cicchetti 1990, J. Clin. Epidemiol. 43, 543 and 551 (the paradox; agreement on each word); Gwet
2008, Br. J. Math. Stat. Psychol. 61, 29 (AC1 and its error); Krippendorff 2019, Content Analysis, chapter 12 (alpha, of
nominal data where some are missing); Efron and Stein 1981, Ann. Stat. 9, 586 (the jackknife, for the error of alpha).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from stages.audit.measures import Estimate, Z, wilson

Square = npt.NDArray[np.float64]
UNTOLD = Estimate(math.nan, -1.0, 1.0)  # where all said the same, chance explains all


def raw(table: npt.ArrayLike) -> Estimate:
    """Returns the share of documents of which two said the same; `table[i][j]`: one said i, the other j.

    >>> [round(value, 4) for value in raw([[90, 4], [2, 4]])]
    [0.94, 0.8752, 0.9722]
    """
    counts = np.asarray(table, np.float64)
    return wilson(float(counts.trace()), float(counts.sum()))


def kappa(table: npt.ArrayLike) -> Estimate:
    """Returns Cohen's kappa: 1 where two say the same, 0 where they do as often as by chance.

    >>> [round(value, 4) for value in kappa([[90, 4], [2, 4]])]
    [0.5399, 0.215, 0.8648]
    """
    counts = np.asarray(table, np.float64)
    many = float(counts.sum())
    if not many:
        return UNTOLD
    shares = counts / many
    rows, columns = shares.sum(1), shares.sum(0)
    chance = float(rows @ columns)
    if chance >= 1:
        return UNTOLD
    if float(counts.trace()) == many:
        return _always(many, chance)
    value = (float(shares.trace()) - chance) / (1 - chance)
    same = shares.diagonal() @ (1 - (rows + columns) * (1 - value)) ** 2
    other = shares * (columns[:, None] + rows[None, :]) ** 2
    square = same + (1 - value) ** 2 * (other.sum() - other.trace()) - (value - chance * (1 - value)) ** 2
    return _around(value, math.sqrt(max(0.0, float(square)) / many) / (1 - chance))


def ac1(table: npt.ArrayLike) -> Estimate:
    """Returns Gwet's AC1, of the words that either used: as kappa, but chance is what hard cases would be judged by.

    >>> [round(value, 4) for value in ac1([[90, 4], [2, 4]])]
    [0.931, 0.8741, 0.988]
    """
    counts = np.asarray(table, np.float64)
    used = np.flatnonzero(counts.sum(0) + counts.sum(1))
    counts, many = counts[np.ix_(used, used)], float(counts.sum())
    if many < 2:
        return UNTOLD
    if len(used) == 1:
        return _always(many, 0.0)
    words = (counts.sum(0) + counts.sum(1)) / 2 / many
    chance = float(words @ (1 - words)) / (len(used) - 1)
    if float(counts.trace()) == many:
        return _always(many, chance)
    value = (float(counts.trace()) / many - chance) / (1 - chance)
    own = (1 - words[:, None] + 1 - words[None, :]) / 2 / (len(used) - 1)
    each = (np.eye(len(used)) - chance - 2 * (1 - value) * (own - chance)) / (1 - chance)
    return _around(value, math.sqrt(float((counts * (each - value) ** 2).sum()) / many / (many - 1)))


def on_word(table: npt.ArrayLike, word: int) -> Estimate:
    """Returns the agreement on a word alone: of the times that it was said, the share in which both said it.

    It is 2 g / (1 + g), where g is the share of documents on which both did of those on which either did; the interval
    is Wilson's of g.

    >>> [round(value, 4) for value in on_word([[90, 4], [2, 4]], 1)]
    [0.5714, 0.2879, 0.8147]
    """
    counts = np.asarray(table, np.float64)
    both = float(counts[word, word])
    made = wilson(both, float(counts[word].sum() + counts[:, word].sum()) - both)
    return Estimate(*(2 * share / (1 + share) for share in made))


def alpha(units: Iterable[Sequence[int]]) -> Estimate:
    """Returns Krippendorff's alpha: `units` are what was said of each document, in numbers of words, by any who did.

    >>> [round(value, 4) for value in alpha([(0, 0)] * 90 + [(0, 1)] * 6 + [(1, 1)] * 4)]
    [0.5415, 0.1788, 0.9041]
    """
    patterns = Counter(tuple(sorted(unit)) for unit in units if len(unit) > 1)
    if not patterns:
        return UNTOLD
    words = 1 + max(max(pattern) for pattern in patterns)
    said = np.array([np.bincount(pattern, minlength=words) for pattern in patterns], np.float64)
    times = np.array(list(patterns.values()), np.float64)
    each = said.sum(1)
    differing = (each**2 - (said**2).sum(1)) / (each - 1)
    value = _alpha(times @ said, float(times @ differing))
    if math.isnan(value):
        return UNTOLD
    many = float(times.sum())
    if not differing.any():
        counts = times @ said
        values = float(counts.sum())
        return _always(many, float(counts @ (counts - 1)) / values / (values - 1))
    without = np.array(
        [_alpha(times @ said - own, float(times @ differing - d)) for own, d in zip(said, differing, strict=True)]
    )
    if many < 2 or np.isnan(without).any():
        return Estimate(value, -1.0, 1.0)
    square = float(times @ (without - times @ without / many) ** 2) * (many - 1) / many
    return _around(value, math.sqrt(square))


def _alpha(words: Square, differing: float) -> float:
    """Returns 1 - observed / expected disagreement, NaN where only one word was said."""
    many = float(words.sum())
    expected = many**2 - float(words @ words)
    return 1 - differing * (many - 1) / expected if expected > 0 else math.nan


def _always(many: float, chance: float) -> Estimate:
    """Returns 1 with the least that it may be: Wilson's border of agreement, beyond chance; errors at 1 are all 0."""
    return Estimate(1.0, max(-1.0, (wilson(many, many).low - chance) / (1 - chance)), 1.0)


def _around(value: float, error: float) -> Estimate:
    return Estimate(value, max(-1.0, value - Z * error), min(1.0, value + Z * error))
