"""Plans: shares to quotas, in whole samples, against published mixtures and by hand."""

import math
import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError, PlanError
from datapipe.stage import identity
from stages.mix.amounts import amount
from stages.mix.caps import fill, largest
from stages.mix.quota import apportion
from stages.mix.repeats import effective_tokens, times_seen
from stages.mix.shares import Group, Shares

BILLION = 10**9
GPT3 = {"cc": 0.60, "webtext2": 0.22, "books1": 0.08, "books2": 0.08, "wikipedia": 0.03}


def group(name: str, tokens: int, seq_len: int = 2048) -> Group:
    return Group(name, tokens // seq_len, tokens // seq_len * seq_len, 0, 1, 0)


def samples(**sizes: int) -> list[Group]:
    """Returns groups of so many samples of one token."""
    return [Group(name, size, size, 0, size, 0) for name, size in sorted(sizes.items())]


def test_gpt3s_mixture_gives_the_epochs_that_follow_from_its_weights() -> None:
    # Brown et al. 2020, table 2.2: tokens, weights (they sum to 101 %) and 300 B tokens. The epochs are 300 B times
    # weight over tokens, .439, 3.47, 2.00, .436 and 3.00, here over 1.01; the paper prints .44, 2.9, 1.9, .43 and 3.4.
    seq_len = 2048
    sizes = {"cc": 410, "webtext2": 19, "books1": 12, "books2": 55, "wikipedia": 3}
    groups = [group(name, sizes[name] * BILLION) for name in sorted(sizes)]
    quotas = Shares("source", GPT3, None, 300 * BILLION, 4.0).quotas(groups, seq_len)
    epochs = {held.name: quota / held.samples for held, quota in zip(groups, quotas, strict=True)}

    assert abs(sum(quotas) * seq_len - 300 * BILLION) <= seq_len
    expected = {"cc": 0.439, "webtext2": 3.47, "books1": 2.00, "books2": 0.436, "wikipedia": 3.00}
    assert {name: round(number * 1.01, 3) for name, number in epochs.items()} == pytest.approx(expected, abs=0.005)


def test_weights_are_the_fractions_that_were_written() -> None:
    groups = [group(name, 10**9) for name in ("a", "b", "c")]
    quotas = Shares("source", {"a": 0.1, "b": 0.2, "c": 0.7}, None, 2048 * 1000, None).quotas(groups, 2048)

    assert quotas == [100, 200, 700]


def test_weights_need_not_sum_to_one_and_others_take_the_default() -> None:
    groups = [group(name, 10**9) for name in ("a", "b", "c")]
    quotas = Shares("source", {"a": 6}, 2.0, 2048 * 10, None).quotas(groups, 2048)

    assert quotas == [6, 2, 2]


def test_in_proportion_and_without_a_budget_everything_is_seen_once() -> None:
    groups = [group("a", 10**6), group("b", 3 * 10**6)]

    assert Shares("source", None, None, None, 4.0).quotas(groups, 2048) == [held.samples for held in groups]
    assert Shares("source", "proportional").quotas(groups, 2048) == [held.samples for held in groups]


def test_a_pattern_gives_its_weight_to_each_group_and_a_name_goes_before_it() -> None:
    groups = samples(news=100, web=100, wiki_en=100, wiki_zh=100)
    weights = {"wiki*": 2, "*e*": 5, "wiki_zh": 3}

    assert Shares("source", weights, None, 15).quotas(groups, 1) == [5, 5, 2, 3]


def test_of_two_patterns_the_one_written_first_counts() -> None:
    groups = samples(wiki=90, web=90)

    assert Shares("source", {"wi*": 2, "w*": 1}, None, 90).quotas(groups, 1) == [30, 60]
    assert Shares("source", {"w*": 1, "wi*": 2}, None, 90).quotas(groups, 1) == [45, 45]


def test_a_name_with_the_signs_of_a_pattern_is_a_name_first() -> None:
    groups = [Group(name, 9, 9, 0, 9, 0) for name in ("a", "[ab]")]

    assert Shares("source", {"[ab]": 2, "a": 1}, None, 9, 4).quotas(groups, 1) == [3, 6]


def test_a_pattern_or_name_of_no_group_is_a_sentence() -> None:
    with pytest.raises(PlanError, match=r"weights name 'boks\*', but column 'source' has only 'books'"):
        Shares("source", {"boks*": 1}, 1.0).quotas(samples(books=9), 1)
    with pytest.raises(PlanError, match=r"epochs name 'x', but column 'source/language' has only 'books'"):
        Shares("source/language", epochs={"x": 1, "books": 1}).quotas(samples(books=9), 1)
    with pytest.raises(PlanError, match="'books' of column 'source' has no epochs: give it one"):
        Shares("source", epochs={"web": 1}).quotas(samples(books=9, web=9), 1)


def test_mt5s_alpha_of_three_tenths_is_a_temperature_of_ten_thirds() -> None:
    # Xue et al. 2021, section 3.1: p(L) is in proportion to |L| ** .3. By hand: 10^9 ** .3 = 10^2.7 and 10^6 ** .3 =
    # 10^1.8, so the rare language has 1 / (1 + 10^.9) = .1118 of the tokens, and not .001.
    groups = [Group(name, size, size, 0, 1, 0) for name, size in (("en", 10**9), ("yo", 10**6))]

    shares = Shares("language", temperature=1 / 0.3).of(groups, 1)

    assert sum(shares) == 1
    assert float(shares[1]) == pytest.approx(1 / (1 + 10**0.9), rel=1e-9)


@given(
    st.lists(st.integers(0, 10**13), min_size=1, max_size=9).filter(any), st.sampled_from([0.5, 1.0, 1.5, 3.3, 100.0])
)
def test_a_temperature_is_the_power_that_floats_give(sizes: list[int], temperature: float) -> None:
    groups = [Group(f"{place}", size, size, 0, 1, 0) for place, size in enumerate(sizes)]

    shares = Shares("source", temperature=temperature).of(groups, 1)

    powers = [size ** (1 / temperature) for size in sizes]
    assert sum(shares) == 1
    assert [float(share) for share in shares] == pytest.approx([power / sum(powers) for power in powers], rel=1e-12)


def test_unimax_is_as_equal_as_the_cap_on_epochs_allows() -> None:
    # Chung et al. 2023, algorithm 1, by hand: budget 100, at most 2 epochs of 5, 20, 30, 100. From the smallest up:
    # 100/4 = 25 is more than 10, so 10; (100 - 10)/3 = 30 of 40, 30 of 60 and 30 of 200.
    unimax = Shares("language", unimax=2, tokens=100)

    assert unimax.quotas(samples(a=5, b=20, c=30, d=100), 1) == [10, 30, 30, 30]
    # With 1 epoch: 5, 20 (of 31.7), 30 (of 37.5), and what is left, 45.
    assert replace(unimax, unimax=1).quotas(samples(a=5, b=20, c=30, d=100), 1) == [5, 20, 30, 45]


def test_unimax_counts_the_epochs_of_earlier_phases() -> None:
    assert Shares("language", unimax=2, tokens=60).quotas(samples(a=10, b=100), 1, [15, 40]) == [5, 55]


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=8),
    st.sampled_from([0.5, 1, 2, 2.5, 4]),
    st.integers(1, 3000),
)
def test_unimax_is_its_algorithm(sizes: list[int], epochs: float, budget: int) -> None:
    groups = [Group(f"{place}", size, size, 0, size, 0) for place, size in enumerate(sizes)]
    unimax = Shares("source", unimax=epochs, tokens=budget, max_epochs=epochs)
    caps = [math.floor(size * epochs) for size in sizes]
    if budget > sum(caps):
        with pytest.raises(PlanError, match=f"{sum(caps):,} of the {budget:,} samples"):
            unimax.quotas(groups, 1)
        return

    left, taken = Fraction(budget), {}
    for number, place in enumerate(sorted(range(len(sizes)), key=lambda place: caps[place])):  # as the paper has it
        taken[place] = min(Fraction(caps[place]), left / (len(sizes) - number))
        left -= taken[place]

    quotas = unimax.quotas(groups, 1)
    assert sum(quotas) == budget
    assert all(abs(quota - taken[place]) < 1 for place, quota in enumerate(quotas))
    assert all(quota <= cap for quota, cap in zip(quotas, caps, strict=True))


def test_given_epochs_are_exact_and_make_the_budget() -> None:
    groups = samples(books=100, news=7, web=1000)

    assert Shares("source", epochs={"books": 2.5, "web": 0.43, "n*": 1}).quotas(groups, 1) == [250, 7, 430]
    assert Shares("source", epochs={"books": 1.5}, default=0).quotas(groups, 1) == [150, 0, 0]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"weights": {"a": 1}, "unimax": 2},
            "weights and unimax: each says the shares; give one, and null for the others",
        ),
        ({"weights": "proportional", "temperature": 2}, "weights and temperature: each says the shares"),
        ({"epochs": {"a": 1}, "tokens": 9}, "epochs: they make the budget: leave out tokens and params"),
        ({"epochs": {"a": 5}, "max_epochs": 4.0}, "epochs: a: 5 is more than max_epochs: 4.0: raise that too"),
        ({"epochs": {"a": 1}, "default": 9, "max_epochs": 4.0}, "default: 9 is more than max_epochs"),
        ({"unimax": 8, "tokens": 9, "max_epochs": 4.0}, "unimax: 8 is more than max_epochs: 4.0"),
        ({"unimax": 2}, "unimax: what is equal depends on the budget: give tokens, or params"),
        ({"unimax": 0, "tokens": 9}, "unimax: 0 is not a number above 0"),
        ({"temperature": -1.0}, "temperature: -1.0 is not a number above 0"),
        ({"temperature": math.nan}, "temperature: nan is not a number above 0"),
        ({"weights": {"a": -1}}, "weights: a: -1 is not a number from 0"),
        ({"epochs": {"a": math.inf}}, "epochs: a: inf is not a number from 0"),
        ({"epochs": {"a": 0}}, "epochs: every number is 0"),
        ({"default": 1.0}, "default: is for groups that weights or epochs leave out, and neither is given"),
        ({"default": 1.0, "temperature": 2}, "default: is for groups that weights or epochs leave out"),
    ],
)
def test_numbers_that_make_no_sense_or_contradict_each_other_are_said(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^phases: x: {re.escape(said)}"):
        Shares("source", **fields).check("phases: x: ")


def test_a_phase_has_its_own_way_or_that_of_the_mix() -> None:
    mix = Shares("source", {"a": 1}, 0.5, 100, 4.0)

    assert mix.phase(tokens=9) == replace(mix, tokens=9)
    assert mix.phase(tokens=9, weights={"b": 1}) == replace(mix, tokens=9, weights={"b": 1})
    assert mix.phase(tokens=9, unimax=2) == Shares("source", None, None, 9, 4.0, unimax=2)
    assert mix.phase(tokens=9, weights="proportional") == Shares("source", "proportional", None, 9, 4.0)
    assert mix.phase(tokens=9, default=0).named == {"a": 1}


def test_what_is_possible_under_the_cap_is_possible() -> None:
    groups = [group("a", 2048 * 10), group("b", 2048 * 1000)]
    weights = {"a": 0.5, "b": 0.5}
    with pytest.raises(PlanError, match="163,840 tokens are possible") as error:
        Shares("source", weights, None, 2048 * 1000, 4.0).quotas(groups, 2048)

    assert Shares("source", weights, None, 163_840, 4.0).quotas(groups, 2048) == [40, 40]
    assert "of a 50.00 would be seen" in str(error.value)
    assert "(the nearest at which 2,048,000 are possible: {a: 0.04, b: 0.96})" in str(error.value)
    assert str(error.value).endswith("or raise max_epochs to 50 (null allows any)")


def test_where_all_groups_together_are_too_small_more_groups_are_what_helps() -> None:
    with pytest.raises(PlanError, match=r"of all these groups together 40 are there\), add groups, or raise"):
        Shares("source", {"a": 1, "b": 1}, 0.0, 50, 2.0).quotas(samples(a=10, b=10, c=99), 1)


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    weights=st.lists(st.integers(0, 20), min_size=6, max_size=6),
    tokens=st.integers(1, 400),
    seen=st.lists(st.integers(0, 40), min_size=6, max_size=6),
    cap=st.sampled_from([0.5, 1, 1.5, 4]),
)
def test_what_a_plan_that_cannot_be_had_proposes_can_be_had(
    sizes: list[int], weights: list[int], tokens: int, seen: list[int], cap: float
) -> None:
    groups = [Group(f"g{place}", size, size, 0, size, 0) for place, size in enumerate(sizes)]
    given = {held.name: weight for held, weight in zip(groups, weights, strict=False)}
    shares = Shares("source", given, None, tokens, cap)
    before = seen[: len(sizes)]
    room = [max(0, math.ceil(size * Fraction(str(cap))) - had) for size, had in zip(sizes, before, strict=True)]
    try:
        quotas = shares.quotas(groups, 1, before)
    except PlanError as error:
        said = str(error)
    else:
        assert sum(quotas) == tokens
        assert all(quota <= left for quota, left in zip(quotas, room, strict=True))
        return
    if not any(weights[: len(sizes)]):
        assert "every weight is 0" in said
        return

    most = int(re.findall(r"at most ([\d,]+) tokens", said)[0].replace(",", ""))
    if most:
        assert sum(replace(shares, tokens=most).quotas(groups, 1, before)) == most
    with pytest.raises(PlanError):
        replace(shares, tokens=most + 1).quotas(groups, 1, before)
    proposed = re.findall(r"are possible: \{(.*)\}", said)
    for text in proposed:
        nearest = {name: float(number) for name, number in (pair.split(": ") for pair in text.split(", "))}
        assert sum(replace(shares, weights=nearest).quotas(groups, 1, before)) == tokens
        assert sum(Fraction(pair.split(": ")[1]) for pair in text.split(", ")) == 1
    assert bool(proposed) != ("together" in said) or "lower these weights" in said
    needed = float(re.findall(r"raise max_epochs to ([\d.e+]+)", said)[0])
    assert sum(replace(shares, max_epochs=needed).quotas(groups, 1, before)) == tokens


def test_more_epochs_than_the_index_can_number_are_a_sentence() -> None:
    assert Shares("source", epochs={"a": 32767}).quotas(samples(a=2), 1) == [65534]
    with pytest.raises(PlanError, match="'a' would be seen more than 32,767 times: ask for less of it"):
        Shares("source", epochs={"a": 32767}).quotas(samples(a=2), 1, [1])


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"unimax": 1, "tokens": 40, "max_epochs": 1.0}, {"a": 16, "b": 24}),
        ({"unimax": 2, "tokens": 40}, {"a": 20, "b": 20}),
        ({"temperature": 1, "tokens": 44}, {"a": 16, "b": 28}),
        ({"epochs": {"a": 1.5, "b": 0.5}}, {"a": 24, "b": 14}),
        ({"weights": {"a": 1, "b": 1}, "tokens": 32, "max_epochs": 1.0}, {"a": 16, "b": 16}),
    ],
)
def test_weights_of_documents_hold_in_every_way_of_shares(fields: dict[str, Any], parts: dict[str, float]) -> None:
    # a: 8 samples once and 1 of 8 times, as much as 16; b: 20 once and 1 of 8 times, 28.
    groups = samples(**{"a x1": 8, "a x8": 1, "b x1": 20, "b x8": 1})
    quotas = Shares("source", weighted=True, **fields).quotas(groups, 1)

    expected = [parts["a"] / 2, parts["a"] / 2, parts["b"] * 20 / 28, parts["b"] * 8 / 28]
    assert sum(quotas) == sum(parts.values())
    assert all(abs(quota - part) < 1 for quota, part in zip(quotas, expected, strict=True))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), min_size=1, max_size=6), st.integers(0, 200))
def test_what_is_filled_is_in_proportion_but_for_what_is_full(parts: list[tuple[int, int]], total: int) -> None:
    shares, room = [Fraction(part[0]) for part in parts], [part[1] for part in parts]
    if not any(shares) or total > sum(left for share, left in parts if share):
        return

    filled = fill(shares, room, total)

    assert sum(filled) == total
    assert all(part <= left for part, left in zip(filled, room, strict=True))
    open_ = [part / share for part, share, left in zip(filled, shares, room, strict=True) if share and part < left]
    full = [part / share for part, share, left in zip(filled, shares, room, strict=True) if share and part == left]
    assert len(set(open_)) <= 1
    assert all(level <= least for level in full for least in open_)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), min_size=1, max_size=6))
def test_the_largest_total_fits_and_one_more_does_not(parts: list[tuple[int, int]]) -> None:
    shares, room = [Fraction(part[0]) for part in parts], [part[1] for part in parts]
    if not any(shares):
        return

    total = largest(shares, room)

    def fits(asked: int) -> bool:
        return all(quota <= left for quota, left in zip(apportion(shares, asked), room, strict=True))

    assert fits(total)
    assert not fits(total + 1)


def test_repeats_are_worth_what_the_paper_fits() -> None:
    # Muennighoff et al. 2023, section 5 and appendix: R* = 15.39, D' = U + U R* (1 - exp(-R / R*)). By hand for four
    # epochs, R = 3: 1 + 15.387756 (1 - exp(-.194960)) = 3.7257.
    assert effective_tokens(1, 4) == pytest.approx(3.7257, abs=1e-4)
    assert effective_tokens(BILLION, BILLION // 3) == BILLION // 3
    assert effective_tokens(1, 10**9) == pytest.approx(1 + 15.387756)


@given(st.integers(1, 1000), st.integers(0, 10_000))
def test_times_seen_add_up(size: int, quota: int) -> None:
    times = times_seen(size, quota)

    assert sum(times.values()) == size
    assert sum(number * count for number, count in times.items()) == quota
    assert max(times) - min(times) <= 1


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (300_000_000_000, 300 * BILLION),
        (3e11, 300 * BILLION),
        ("300B", 300 * BILLION),
        ("7e9", 7 * BILLION),
        ("1.4T", 1400 * BILLION),
        ("0.5k", 500),
        ("12_000_000", 12_000_000),
        (" 410 b ", 410 * BILLION),
        ("7E+9", 7 * BILLION),
    ],
)
def test_amounts_are_read_as_people_write_them(written: Any, number: int) -> None:
    assert amount(written, "tokens") == number


@pytest.mark.parametrize(
    "written", ["", "B", "1.5", 0, -5, 0.3, "-3B", math.nan, math.inf, "3 B T", "1e", "7e-2", "300X"]
)
def test_what_is_no_amount_is_a_sentence(written: Any) -> None:
    with pytest.raises(ConfigError, match=r"^tokens: .* is not a positive whole number; such are"):
        amount(written, "tokens")


@pytest.mark.parametrize("written", [10**17, 1e30, "1e999", "20000T"])
def test_amounts_that_64_bits_cannot_sum_are_a_sentence(written: Any) -> None:
    with pytest.raises(ConfigError, match=r"^tokens: .* is more than can be counted"):
        amount(written, "tokens")


def test_the_order_of_patterns_is_part_of_what_a_plan_is_known_by() -> None:
    first, second = ({"wi*": 2, "w*": 1}, {"w*": 1, "wi*": 2})

    assert identity(Shares("source", first)) != identity(Shares("source", second))
    assert identity(Shares("source", first)) == identity(Shares("source", tuple(first.items())))
