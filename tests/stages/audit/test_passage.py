from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf

from stages.audit.measures import wilson
from stages.audit.passage import FILTERS, Passage, Step, command, key_of, losses, shown, survival, together

STAGES = ("ingest", "repair", "quality", "dedup")
ENDS = st.tuples(
    st.sampled_from(STAGES), st.sampled_from(("drop", "quarantine", "duplicate_of")), st.sampled_from((None, "a", "b"))
)


def passage(kept: int, *left: tuple[str, str, str | None, int]) -> Passage:
    made = Passage(kept)
    for stage, action, rule, amount in left:
        made.add(stage, action, rule, amount)
    return made


def test_who_came_to_a_stage_is_told_from_those_that_left_there_or_later() -> None:
    made = passage(6, ("quality", "drop", "a", 3), ("dedup", "duplicate_of", "exact", 2), ("ingest", "drop", None, 1))

    steps = made.steps(STAGES)

    assert [step.came for step in steps] == [12, 11, 11, 8]
    assert [step.stayed for step in steps] == [11, 11, 8, 6]


def test_parts_that_a_stage_makes_did_not_come_to_it_or_before() -> None:
    made = passage(6, ("repair", "split", "articles", 2), ("quality", "drop", "a", 1))

    steps = made.steps(STAGES)

    assert steps[0] == Step("ingest", came=5, made=0, filtered=0, duplicates=0)
    assert steps[1] == Step("repair", came=5, made=2, filtered=0, duplicates=0)
    assert steps[2].came == 7


def test_rows_on_files_that_could_not_be_read_are_no_documents() -> None:
    made = passage(6, ("ingest", "unread", "bad_gzip", 3))

    assert [step.came for step in made.steps(STAGES)] == [6, 6, 6, 6]


@given(st.integers(0, 50), st.lists(st.tuples(ENDS, st.integers(1, 9)), max_size=12))
def test_what_comes_to_a_stage_is_what_stayed_at_the_one_before(kept: int, left: list[tuple[tuple, int]]) -> None:
    made = passage(kept, *((*end, amount) for end, amount in left))

    steps = made.steps(STAGES)

    assert [step.came for step in steps[1:]] == [step.stayed for step in steps[:-1]]
    assert steps[0].came == kept + sum(amount for _, amount in left)
    assert steps[-1].stayed == kept


def test_without_duplicates_survival_is_what_stayed_with_wilsons_interval() -> None:
    made = passage(70, ("ingest", "drop", "a", 10), ("quality", "drop", "b", 20))

    found = survival(made.steps(STAGES), "filters")

    assert found.rate == pytest.approx(wilson(70, 100))
    assert found == survival(made.steps(STAGES))


@pytest.mark.parametrize(
    "left",
    [
        [("ingest", "duplicate_of", "exact", 20), ("quality", "drop", "a", 20)],  # of 100, 80 come to quality: 20/80
        [("quality", "drop", "a", 25), ("dedup", "duplicate_of", "exact", 15)],  # all 100 come to quality: 25/100
    ],
)
def test_what_the_filters_leave_does_not_depend_on_where_duplicates_left(left: list) -> None:
    made = passage(60, *left)

    assert survival(made.steps(STAGES), "filters").rate.value == pytest.approx(0.75)
    assert survival(made.steps(STAGES), "duplicates").rate.value == pytest.approx(0.8)  # 80 of 100, or 60 of 75
    assert survival(made.steps(STAGES)).rate.value == pytest.approx(0.6)


def test_survival_and_its_variance_are_those_of_scipys_kaplan_meier() -> None:
    made = passage(40, ("ingest", "drop", "a", 7), ("repair", "duplicate_of", "x", 30), ("quality", "drop", "b", 13))
    times = {"ingest": 1.0, "repair": 2.0, "quality": 3.0}
    events = [1.0] * 7 + [3.0] * 13
    censored = [times["repair"]] * 30 + [9.0] * 40

    found = survival(made.steps(STAGES), "filters")
    curve = ecdf(CensoredData(uncensored=events, right=censored)).sf
    low = curve.confidence_interval(0.95, method="linear").low.probabilities[-1]

    assert found.rate.value == pytest.approx(curve.probabilities[-1])
    # scipy's linear interval reaches as far as 1.96 of Greenwood's errors; ours has that error as a binomial one
    greenwood = (curve.probabilities[-1] - low) / 1.959964
    assert math.sqrt(found.rate.value * (1 - found.rate.value) / found.amount) == pytest.approx(greenwood, rel=1e-6)


def test_nothing_that_came_has_no_survival() -> None:
    found = survival(Passage().steps(STAGES))

    assert math.isnan(found.rate.value)
    assert found.amount == 0


def test_all_lost_and_all_kept_have_intervals() -> None:
    lost = survival(passage(0, ("quality", "drop", "a", 10)).steps(STAGES))
    kept = survival(passage(10).steps(STAGES))

    assert lost.rate == pytest.approx((0.0, 0.0, 0.2775328), abs=1e-6)  # Wilson's interval of 0 in 10
    assert kept.rate == pytest.approx((1.0, 0.7224672, 1.0), abs=1e-6)


@given(st.integers(0, 50), st.lists(st.tuples(ENDS, st.integers(1, 9)), max_size=12))
def test_what_the_rules_took_is_together_what_is_lost(kept: int, left: list[tuple[tuple, int]]) -> None:
    made = passage(kept, *((*end, amount) for end, amount in left))
    there = sum(made.left.values()) + kept

    taken = losses(made, STAGES)

    if there:
        assert math.fsum(taken.values()) == pytest.approx(1 - survival(made.steps(STAGES), "filters").rate.value)
    assert all(action in FILTERS for _, action, _ in taken)


def test_groups_together_are_their_sums() -> None:
    whole = together([passage(1, ("quality", "drop", "a", 2)), passage(3, ("quality", "drop", "a", 4))])

    assert (whole.kept, whole.left) == (4, {("quality", "drop", "a"): 6})


def test_a_value_that_is_not_fit_to_be_shown_has_no_command() -> None:
    assert command(stage="quality", rule="a\x1b[2J") is None
    assert command(source="13800138000@example.com") is None
    assert command(language=None, stage="quality") == "datapipe show DIR language=none --stage quality"
    assert shown("a\x1b[2J") == "a\\u001b[2J"
    assert key_of("at", "Quality-2") == "at_quality_2"


def test_a_wider_interval_reaches_as_far_as_its_normal_quantile() -> None:
    made = passage(70, ("quality", "drop", "a", 30))

    wide = survival(made.steps(STAGES), tail=4.0).rate  # 2 · 1.96 errors

    # Wilson's borders are the rates p with |p̂ - p| = z sqrt(p (1 - p) / n)
    for border in (wide.low, wide.high):
        assert abs(0.7 - border) / math.sqrt(border * (1 - border) / 100) == pytest.approx(2 * 1.959964, rel=1e-5)
    assert np.isclose(wide.value, 0.7)
