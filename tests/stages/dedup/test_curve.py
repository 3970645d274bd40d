import pytest
from datasketch.lsh import _optimal_param

from datapipe import ConfigError
from stages.dedup.curve import Curve, for_recall, forecast, least_error


@pytest.mark.parametrize(
    ("curve", "similarity", "chance"),
    # Computed by hand: 1 - (1 - .8^8)^14, and so on.
    [((14, 8), 0.8, 0.9236), ((9, 13), 0.9, 0.93), ((25, 10), 0.7, 0.51), ((1, 1), 0.3, 0.3)],
)
def test_the_curve_is_the_known_one(curve: tuple[int, int], similarity: float, chance: float) -> None:
    assert Curve(*curve).chance(similarity) == pytest.approx(chance, abs=0.002)


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("recall", [0.5, 0.9, 0.98, 0.999])
@pytest.mark.parametrize("permutations", [64, 128, 256])
def test_takes_the_most_rows_that_reach_the_recall(threshold: float, recall: float, permutations: int) -> None:
    made = for_recall(threshold, recall, permutations)

    assert made.chance(threshold) >= recall
    assert made.bands * made.rows <= permutations
    more = range(made.rows + 1, permutations + 1)
    assert all(Curve(permutations // rows, rows).chance(threshold) < recall for rows in more)


def test_by_default_the_chance_is_98_percent_at_the_threshold_and_more_than_99_9_a_little_above() -> None:
    assert for_recall(0.8, 0.98, 128) == Curve(18, 7)
    assert Curve(18, 7).chance(0.85) > 0.999


def test_refuses_what_the_permutations_cannot_give() -> None:
    with pytest.raises(ConfigError, match="raise permutations"):
        for_recall(0.1, 0.999, 16)


@pytest.mark.parametrize(("threshold", "permutations"), [(0.8, 128), (0.7, 128), (0.5, 128), (0.9, 64), (0.8, 256)])
def test_the_least_error_is_where_datasketch_finds_it(threshold: float, permutations: int) -> None:
    made = least_error(threshold, permutations)

    assert (made.bands, made.rows) == _optimal_param(threshold, permutations, 0.5, 0.5)


def test_says_what_to_expect() -> None:
    curve, pairs = forecast(Curve(18, 7), 1e6)

    assert "0.8: 98.6%" in curve
    assert pairs.startswith("pairs that meet among about 1,000,000 documents")
