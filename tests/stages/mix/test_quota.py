"""Webster's apportionment, of a total and of every prefix of a sequence."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.mix.quota import apportion, compare_products, plain_prefix, prefix, step_of

words = st.integers(0, 2**64 - 1)
small = st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(any)
large = st.lists(st.integers(0, 10**12), min_size=1, max_size=8).filter(any)


def _prefix(quotas: list[int], steps: int) -> list[int]:
    return [int(count) for count in prefix(np.array(quotas, np.uint64), np.uint64(steps))]


def _steps(quotas: list[int], group: int, seat: int) -> int:
    return int(step_of(np.array(quotas, np.uint64), group, np.uint64(seat)))


@given(words, words, words, words)
def test_products_are_compared_without_overflow(a: int, b: int, c: int, d: int) -> None:
    found = compare_products(np.uint64(a), np.uint64(b), np.uint64(c), np.uint64(d))

    assert found == (a * b > c * d) - (a * b < c * d)


@given(words, words)
def test_equal_products_are_equal(a: int, b: int) -> None:
    assert compare_products(np.uint64(a), np.uint64(b), np.uint64(b), np.uint64(a)) == 0


@given(small, st.data())
def test_the_fast_prefix_agrees_with_seats_given_out_one_by_one(quotas: list[int], data: st.DataObject) -> None:
    steps = data.draw(st.integers(0, sum(quotas)))

    assert _prefix(quotas, steps) == plain_prefix(quotas, steps)


@given(large, st.data())
def test_a_prefix_sums_to_its_steps_and_grows_by_one_sample(quotas: list[int], data: st.DataObject) -> None:
    steps = data.draw(st.integers(0, sum(quotas) - 1))
    now, later = _prefix(quotas, steps), _prefix(quotas, steps + 1)

    assert sum(now) == steps
    assert sorted(b - a for a, b in zip(now, later, strict=True))[-2:] in ([0, 1], [1])


@given(large)
def test_the_whole_sequence_gives_the_quotas(quotas: list[int]) -> None:
    assert _prefix(quotas, sum(quotas)) == quotas


@given(large, st.data())
def test_the_step_of_a_seat_is_where_the_prefix_grows(quotas: list[int], data: st.DataObject) -> None:
    group = data.draw(st.sampled_from([number for number, quota in enumerate(quotas) if quota]))
    seat = data.draw(st.integers(0, quotas[group] - 1))
    step = _steps(quotas, group, seat)

    assert _prefix(quotas, step)[group] == seat
    assert _prefix(quotas, step + 1)[group] == seat + 1


def test_a_prefix_stays_near_its_share() -> None:
    quotas, random = [4347, 34389, 19802, 4319, 29703], np.random.default_rng(0)
    total = sum(quotas)
    steps = random.integers(0, total, 500)
    worst = max(
        abs(count - quota * step / total)
        for step in steps.tolist()
        for count, quota in zip(_prefix(quotas, step), quotas, strict=True)
    )

    assert worst < 1.5


weights = st.lists(st.integers(0, 1000) | st.integers(1, 3), min_size=1, max_size=30).filter(any)


@given(weights, st.integers(0, 500))
def test_apportion_is_exact_to_one_sample(weights: list[int], total: int) -> None:
    counts = apportion([Fraction(weight) for weight in weights], total)

    assert sum(counts) == total
    assert all(
        abs(count - Fraction(weight * total, sum(weights))) < 1 for count, weight in zip(counts, weights, strict=True)
    )


@given(weights, st.integers(0, 500))
def test_apportion_agrees_with_seats_given_out_one_by_one_where_these_are_exact(weights: list[int], total: int) -> None:
    seats = plain_prefix(weights, total)
    within = all(
        abs(seat * sum(weights) - weight * total) < sum(weights) for seat, weight in zip(seats, weights, strict=True)
    )

    assert not within or apportion([Fraction(weight) for weight in weights], total) == seats


def test_a_large_group_among_many_small_ones_has_its_share() -> None:
    # No divisor method stays within the shares (Balinski and Young 1982, appendix A). By hand: small groups of 1.6 get
    # a second seat up to the divisor 1.6 / 1.5, at which the large one of 520 has 487.5, rounded 488.
    shares = [Fraction(520), *[Fraction(16, 10)] * 300]

    assert plain_prefix([int(share * 10) for share in shares], 1000)[0] == 488
    assert apportion(shares, 1000)[0] == 520


@pytest.mark.parametrize("scale", [1, 3, 10**9])
def test_apportion_gives_the_seats_of_the_textbook_example(scale: int) -> None:
    # Votes 53000, 24000, 23000 and 7 seats by the Sainte-Lague rule: 3, 2, 2 (odd divisors 1, 3, 5, worked by hand:
    # 53.0, 24.0, 23.0, 17.7, 10.6, 8.0, 7.7).
    assert apportion([Fraction(votes * scale) for votes in (53_000, 24_000, 23_000)], 7) == [3, 2, 2]


def test_apportion_leaves_out_what_weighs_nothing() -> None:
    assert apportion([Fraction(0), Fraction(1)], 5) == [0, 5]
