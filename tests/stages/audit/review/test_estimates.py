"""Rates of a corpus from judged documents: against computations by hand, whole enumerations, and their own promises."""

import math
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.audit.measures import Z, wilson
from stages.audit.review.estimates import Stratum, Unit, at_least, exact, needed, rate, rate_of_part


def chance(documents: int, counted: int, judged: int, found: int) -> float:
    """Returns the chance of finding exactly so many, in whole numbers."""
    if judged - found > documents - counted:
        return 0.0
    return float(Fraction(comb(counted, found) * comb(documents - counted, judged - found), comb(documents, judged)))


def test_a_small_part_of_a_corpus_has_wilsons_interval() -> None:
    made = rate([Stratum(10**12, 4000, 3868)])

    # scipy.stats.binomtest(3868, 4000).proportion_ci(method="wilson") of scipy 1.12
    assert made == pytest.approx((0.967, 0.961002, 0.972102), abs=2e-6)


def test_what_was_judged_whole_adds_no_doubt() -> None:
    assert rate([Stratum(500, 500, 480)]) == (0.96, 0.96, 0.96)
    assert rate([Stratum(500, 500, 500), Stratum(9_500, 100, 100)]).low > rate([Stratum(10_000, 600, 600)]).low - 0.04


def test_strata_are_weighed_by_their_documents() -> None:
    # by hand: .9 * .9 + .1 * .5 = .86; c = 810 / 899 / 90 of the first, 0 of the second, which was judged whole;
    # n* = min(.86 * .14 / (.81 * .09 * c), 1 / (.81 * c)) = min(164.98, 123.32) and Wilson's interval of that
    c = 810 / 899 / 90
    size = min(0.86 * 0.14 / (0.81 * 0.09 * c), 1 / (0.81 * c))
    middle, half = (0.86 + Z**2 / 2 / size), Z * math.sqrt(0.86 * 0.14 / size + Z**2 / 4 / size**2)

    made = rate([Stratum(900, 90, 81), Stratum(100, 100, 50)])

    assert made == pytest.approx((0.86, (middle - half) / (1 + Z**2 / size), (middle + half) / (1 + Z**2 / size)))


def test_a_stratum_that_varies_more_than_the_whole_widens_the_interval() -> None:
    # by hand: p = .9 * .5 + .1 * 1 = .55, the second was judged whole; n* = .55 * .45 / (.81 * .25 * c), which is less
    # than 1 / (.81 * c), of strata with one rate
    c = 8_900 / 8_999 / 100

    made = rate([Stratum(9_000, 100, 50), Stratum(1_000, 1_000, 1_000)])

    size = 0.55 * 0.45 / (0.81 * 0.25 * c)
    assert made == pytest.approx((0.55, *wilson(0.55 * size, size)[1:]))


def test_strata_without_failures_do_not_close_an_interval() -> None:
    made = rate([Stratum(1_000, 40, 40)] * 10)

    assert made == pytest.approx((1.0, wilson(400 * 999 / 960, 400 * 999 / 960).low, 1.0))


def test_sources_of_which_nothing_was_judged_may_be_all_good_or_all_bad() -> None:
    seen = rate([Stratum(900, 300, 297)])
    made = rate([Stratum(900, 300, 297), Stratum(100, 0, 0)])

    assert made == pytest.approx((0.99, seen.low * 0.9, seen.high * 0.9 + 0.1))
    assert math.isnan(rate([Stratum(100, 0, 0)]).value)
    assert rate([])[1:] == (0.0, 1.0)


def test_a_part_that_is_all_of_one_stratum_has_the_rate_of_it() -> None:
    units = [Unit(25.0, 0.96, number < 370) for number in range(400)]

    assert rate_of_part(units) == pytest.approx(rate([Stratum(10_000, 400, 370)]), abs=2e-6)
    assert math.isnan(rate_of_part([]).value)


def test_a_part_weighs_documents_by_what_they_stand_for() -> None:
    units = [*[Unit(90.0, 1.0, True)] * 9, Unit(10.0, 1.0, False)]

    made = rate_of_part(units)

    assert made.value == pytest.approx(810 / 820)
    assert made.low < wilson(10, 10).low  # unequal weights are worth fewer documents than 10


@given(st.integers(1, 40), st.data())
def test_chances_are_those_of_whole_enumeration(documents: int, data: st.DataObject) -> None:
    counted, judged = data.draw(st.integers(0, documents)), data.draw(st.integers(1, documents))
    found = data.draw(st.integers(0, judged))

    made = at_least(documents, counted, judged, found)

    own = sum(chance(documents, counted, judged, more) for more in range(found, min(judged, counted) + 1))
    assert made == pytest.approx(own, abs=1e-9)


@pytest.mark.parametrize(("documents", "judged"), [(40, 15), (60, 59), (200, 30)])
def test_exact_intervals_hold_the_truth_19_times_of_20_whatever_it_is(documents: int, judged: int) -> None:
    made = [exact(documents, judged, found) for found in range(judged + 1)]

    for counted in range(documents + 1):
        truth = counted / documents
        held = math.fsum(
            chance(documents, counted, judged, found)
            for found in range(judged + 1)
            if made[found].low <= truth <= made[found].high
        )
        assert held >= 0.95


def test_large_sources_have_the_interval_of_clopper_and_pearson() -> None:
    # scipy.stats.binomtest(2, 100).proportion_ci(method="exact") of scipy 1.12: 0.002431, 0.070384
    assert exact(10**9, 100, 2) == pytest.approx((0.02, 0.002431, 0.070384), abs=2e-6)
    assert at_least(10**9, 5 * 10**7, 4000, 231) == pytest.approx(0.014883, abs=1e-6)  # scipy, hypergeom.sf


def test_what_is_unsure_raises_the_upper_border_alone() -> None:
    plain, maybe = exact(10_000, 200, 4), exact(10_000, 200, 4, maybe=5)

    assert (maybe.value, maybe.low) == (plain.value, plain.low)
    assert maybe.high == exact(10_000, 200, 9).high
    assert exact(10, 0, 0)[1:] == (0.0, 1.0)


def test_so_many_without_failure_and_no_fewer_show_a_source_below_five_percent() -> None:
    many = needed(0.05)

    assert exact(10**9, many, 0).high <= 0.05 < exact(10**9, many - 1, 0).high
