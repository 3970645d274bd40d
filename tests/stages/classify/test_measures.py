import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.classify.measures import auc, calibration_error, kept_from, pareto, platt

PAIRS = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=30)


@given(PAIRS)
def test_the_area_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[int, bool]]) -> None:
    right, wrong = [value for value, truth in pairs if truth], [value for value, truth in pairs if not truth]
    found = auc(np.array([value / 8 for value, _ in pairs]), np.array([truth for _, truth in pairs]))

    if right and wrong:
        won = sum((one > other) + 0.5 * (one == other) for one in right for other in wrong)
        assert found == pytest.approx(won / len(right) / len(wrong))
    else:
        assert np.isnan(found)


def test_a_threshold_keeps_what_equals_it() -> None:
    at = kept_from(np.array([0.5, 0.5, 0.4, 0.9]), np.array([True, False, True, True]), 0.5)

    assert (at.share, at.precision, at.recall) == (0.75, 2 / 3, 2 / 3)
    assert at.f1 == pytest.approx(2 / 3)


def test_what_keeps_nothing_has_no_precision() -> None:
    at = kept_from(np.array([0.1]), np.array([True]), 0.5)

    assert (at.share, at.precision, at.recall, at.f1) == (0, 0, 0, 0)


def test_calibration_error_weighs_the_bins_by_their_texts() -> None:
    # by hand: three texts at 0.9 of which two are right, one at 0.1 that is right: 3/4 * |.9 - 2/3| + 1/4 * |.1 - 1|
    scores, truth = np.array([0.9, 0.9, 0.9, 0.1]), np.array([True, True, False, True])

    assert calibration_error(scores, truth) == pytest.approx(0.75 * (0.9 - 2 / 3) + 0.25 * 0.9)


def test_a_score_of_one_belongs_to_the_last_bin() -> None:
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0


@pytest.mark.parametrize(("score", "kept"), [(0.0, 0.0020), (0.5, 0.026), (0.9, 0.424), (1.0, 1.0)])
def test_the_draw_keeps_what_recipes_say(score: float, kept: float) -> None:
    # (2 - score)^-9, and the draw itself as GPT-3's appendix writes it
    drawn = np.random.default_rng(1).pareto(9, 200_000) > 1 - score

    assert pareto(np.array([score]), 9) == pytest.approx(kept, abs=5e-4)
    assert drawn.mean() == pytest.approx(kept, abs=3e-3)


def test_platt_fits_the_share_of_each_of_two_groups() -> None:
    # Two values and two parameters: the fit is exact. Of 100 texts at 1 are 75 right, of 100 at -1 are 25; by Platt's
    # targets a right one counts 101/102 and a wrong one 1/102.
    values, truth = np.repeat([1.0, -1.0], 100), np.tile(np.repeat([True, False], 100), 1)
    truth = np.concatenate([np.arange(100) < 75, np.arange(100) < 25])

    a, b = platt(values, truth)

    high = (75 * 101 + 25 * 1) / 102 / 100
    assert 1 / (1 + np.exp(-(a + b))) == pytest.approx(high, abs=1e-6)
    assert 1 / (1 + np.exp(-(-a + b))) == pytest.approx(1 - high, abs=1e-6)


def test_platt_stays_finite_where_the_kinds_part_clean() -> None:
    a, b = platt(np.array([-3.0, -2.0, 2.0, 3.0]), np.array([False, False, True, True]))

    assert np.isfinite([a, b]).all()
    assert a > 0


def test_platt_makes_scores_calibrated() -> None:
    draws = np.random.default_rng(2)
    logit = draws.normal(0, 1.5, 20_000)
    truth = draws.random(20_000) < 1 / (1 + np.exp(-logit))
    shown = 3 * logit + 1  # what an overconfident model says

    a, b = platt(shown, truth)

    assert calibration_error(1 / (1 + np.exp(-(a * shown + b))), truth) < 0.02
    assert calibration_error(1 / (1 + np.exp(-shown)), truth) > 0.1
