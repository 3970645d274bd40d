"""How good scores are: areas, precision and recall, calibration and its error, and what a threshold or a draw keeps.

Source: Platt's fit by Newton's method with the targets and the line search of H. Lin, C. Lin, R. Weng, "A Note on
Platt's Probabilistic Outputs for Support Vector Machines", 2007; expected calibration error: C. Guo et al., ICML
2017, section 2; the draw: T. Brown et al., "Language Models are Few-Shot Learners", 2020, appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
_BINS = 10  # of equal width, in the calibration error
_STEPS, _SMALL = 100, 1e-10  # of Newton's method


@dataclass(frozen=True)
class Kept:
    """What a threshold keeps: shares of all texts and, as precision and recall, of the right ones."""

    share: float
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def kept_from(scores: Scores, truth: Truth, threshold: float) -> Kept:
    """Returns what scores of `threshold` and more keep.

    >>> kept_from(np.array([0.9, 0.8, 0.5, 0.1]), np.array([True, False, True, False]), 0.5)
    Kept(share=0.75, precision=0.6666666666666666, recall=1.0)
    """
    kept = scores >= threshold
    right = int((kept & truth).sum())
    precision, recall = right / max(int(kept.sum()), 1), right / max(int(truth.sum()), 1)
    return Kept(float(kept.mean()), precision, recall)


def auc(scores: Scores, truth: Truth) -> float:
    """Returns how often a right text scores above a wrong one, ties counting half; NaN where there is but one kind.

    >>> auc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    right, wrong = int(truth.sum()), int((~truth).sum())
    if not right or not wrong:
        return float("nan")
    _, which, amounts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(amounts) - (amounts - 1) / 2)[which]
    return float((ranks[truth].sum() - right * (right + 1) / 2) / (right * wrong))


def calibration_error(scores: Scores, truth: Truth) -> float:
    """Returns the mean distance of score and share of right texts, over ten bins of scores, weighted by texts.

    >>> calibration_error(np.array([0.25, 0.25, 0.25, 0.25]), np.array([True, False, False, False]))
    0.0
    """
    bins = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, scores, _BINS) - np.bincount(bins, truth, _BINS)
    return float(np.abs(gaps).sum() / len(scores))


def pareto(scores: Scores, alpha: float) -> float:
    """Returns the share that GPT-3's draw keeps on average.

    It keeps a text where a draw of Pareto's law of `alpha`, from 0 on, is above 1 - score: (2 - score)^-alpha of them.

    >>> round(pareto(np.array([0.0]), 9), 4), pareto(np.array([1.0]), 9)
    (0.002, 1.0)
    """
    return float(((2 - scores) ** -alpha).mean())


def platt(values: Scores, truth: Truth) -> tuple[float, float]:
    """Returns a and b of p = 1 / (1 + exp(-(a x + b))) of greatest likelihood for logits `values`.

    `truth` must hold both kinds. Targets are Platt's, a little off 0 and 1, so that a and b stay finite.
    """
    right, wrong = int(truth.sum()), int((~truth).sum())
    target = np.where(truth, (right + 1) / (right + 2), 1 / (wrong + 2))
    a, b = 0.0, float(np.log((right + 1) / (wrong + 1)))
    loss = _loss(values, target, a, b)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-(a * values + b)))
        error, weight = chance - target, chance * (1 - chance)
        gradient = np.array([(error * values).sum(), error.sum()])
        mixed = (weight * values).sum()
        curvature = np.array([[(weight * values**2).sum(), mixed], [mixed, weight.sum()]]) + np.eye(2) * 1e-12
        step = -np.linalg.solve(curvature, gradient)
        length = 1.0
        while length > _SMALL:
            tried = _loss(values, target, a + length * step[0], b + length * step[1])
            if tried < loss + 1e-4 * length * float(gradient @ step):
                break
            length /= 2
        if length <= _SMALL or loss - tried < _SMALL * max(loss, 1):
            break
        a, b, loss = float(a + length * step[0]), float(b + length * step[1]), tried
    return a, b


def _loss(values: Scores, target: Scores, a: float, b: float) -> float:
    logit = a * values + b
    return float((np.logaddexp(0, logit) - target * logit).sum())
