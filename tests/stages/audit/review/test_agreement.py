"""Agreement of reviewers, against published examples and other implementations."""

import math

import numpy as np
import pytest

from stages.audit.review.agreement import ac1, alpha, kappa, on_word, raw

THREE = [[3810, 31, 12], [44, 61, 9], [10, 7, 16]]


def test_kappa_falls_with_prevalence_and_the_agreement_on_words_says_why() -> None:
    # Feinstein and Cicchetti 1990: both agree on 85 of 100, and kappa is .70 or .32
    even, uneven = [[40, 9], [6, 45]], [[80, 10], [5, 5]]

    assert (raw(even).value, raw(uneven).value) == (0.85, 0.85)
    assert kappa(even).value == pytest.approx(0.70, abs=0.005)
    assert kappa(uneven).value == pytest.approx(0.32, abs=0.005)
    assert on_word(uneven, 0).value == pytest.approx(160 / 175)
    assert on_word(uneven, 1).value == pytest.approx(0.40)


@pytest.mark.parametrize(
    ("table", "value", "error"),  # statsmodels 0.15, cohens_kappa
    [
        ([[90, 4], [2, 4]], 0.5398773006, 0.1657696223),
        ([[75, 1, 4], [5, 4, 1], [0, 0, 10]], 0.6764705882, 0.0877029535),  # of Fleiss 1981
        (THREE, 0.5889044212, 0.0332121292),
        ([[118, 5], [2, 0]], -0.0233918129, 0.0122867567),
    ],
)
def test_kappa_and_its_error_are_those_of_statsmodels(table: list[list[int]], value: float, error: float) -> None:
    made = kappa(table)

    assert made.value == pytest.approx(value)
    assert made.value - made.low == pytest.approx(1.959964 * error, rel=1e-6)


@pytest.mark.parametrize(
    ("table", "value", "error"),  # irrCAC 0.4.4, gwet()
    [
        ([[90, 4], [2, 4]], 0.931018625, 0.0290546761),
        ([[75, 1, 4], [5, 4, 1], [0, 0, 10]], 0.8675696012, 0.0394278683),
        (THREE, 0.9707448947, 0.0027552626),
        ([[118, 5], [2, 0]], 0.9407763376, 0.0230569643),
    ],
)
def test_ac1_and_its_error_are_those_of_irrcac(table: list[list[int]], value: float, error: float) -> None:
    made = ac1(table)

    assert made.value == pytest.approx(value)
    assert made.value - made.low == pytest.approx(1.959964 * error, rel=1e-6)


def test_two_who_agree_on_all_may_by_chance_do_so() -> None:
    agreed = [[99, 0, 0], [0, 1, 0], [0, 0, 0]]

    # Wilson's lower border of 100 of 100 is 100 / (100 + 1.96^2) = .96300; chance is .99^2 + .01^2, or for AC1
    # 2 x .99 x .01, and for alpha (198 x 197 + 2 x 1) / (200 x 199)
    assert raw(agreed).low == pytest.approx(0.96300, abs=1e-5)
    for made, low in (
        (kappa(agreed), (0.963006 - 0.9802) / 0.0198),
        (ac1(agreed), (0.963006 - 0.0198) / 0.9802),
        (alpha([(0, 0)] * 99 + [(1, 1)]), (0.963006 - 39008 / 39800) / (792 / 39800)),
    ):
        assert (made.value, made.high) == (1, 1)
        assert made.low == pytest.approx(low, abs=1e-4)


def test_alpha_is_that_of_krippendorffs_example() -> None:
    # Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, C: four observers, twelve units, .743 if nominal
    said = (
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    )
    units = [[int(word) for word in unit if word != "."] for unit in zip(*(one.split() for one in said), strict=True)]

    made = alpha(units)

    assert made.value == pytest.approx(0.743, abs=0.0005)
    assert made.low < 0.743 < made.high


def test_the_error_of_alpha_is_that_of_leaving_out_each_document() -> None:
    generator = np.random.default_rng(3)
    units = [tuple(generator.choice(3, 3, p=[0.8, 0.15, 0.05]).tolist()) for _ in range(60)]

    made = alpha(units)

    without = np.array([alpha([*units[:place], *units[place + 1 :]]).value for place in range(60)])
    error = math.sqrt(59 / 60 * ((without - without.mean()) ** 2).sum())
    assert made.value - made.low == pytest.approx(1.959964 * error, rel=1e-6)


def test_what_cannot_be_told_is_not_told() -> None:
    assert math.isnan(kappa([[50, 0], [0, 0]]).value)
    assert math.isnan(alpha([(0, 0)] * 50).value)
    assert math.isnan(alpha([(0,), (1,)]).value)
    assert math.isnan(on_word([[50, 0], [0, 0]], 1).value)
    assert ac1([[50, 0], [0, 0]]).value == 1.0
    assert ac1([[50, 0], [0, 0]]).low < 1.0


def test_two_who_swap_places_agree_as_far() -> None:
    for measure in (raw, kappa, ac1):
        assert measure(THREE) == pytest.approx(measure(np.transpose(THREE)))
