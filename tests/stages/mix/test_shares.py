"""Plans: shares to quotas, in whole samples, against published mixtures and by hand."""

import pytest

from datapipe import PlanError
from stages.mix.shares import Group, Shares


def group(name: str, tokens: int, seq_len: int = 2048) -> Group:
    return Group(name, tokens // seq_len, tokens // seq_len * seq_len, 0, 1, 0)


def test_gpt3s_mixture_gives_the_epochs_that_follow_from_its_weights() -> None:
    # Brown et al. 2020, table 2.2: tokens, weights (they sum to 101 %) and 300 B tokens. The epochs are 300 B times
    # weight over tokens, .439, 3.47, 2.00, .436 and 3.00, here over 1.01; the paper prints .44, 2.9, 1.9, .43 and 3.4.
    billion, seq_len = 10**9, 2048
    sizes = {"cc": 410, "webtext2": 19, "books1": 12, "books2": 55, "wikipedia": 3}
    groups = [group(name, sizes[name] * billion) for name in sorted(sizes)]
    weights = {"cc": 0.60, "webtext2": 0.22, "books1": 0.08, "books2": 0.08, "wikipedia": 0.03}
    quotas = Shares("source", weights, None, 300 * billion, 4.0).quotas(groups, seq_len)
    epochs = {held.name: quota / held.samples for held, quota in zip(groups, quotas, strict=True)}

    assert abs(sum(quotas) * seq_len - 300 * billion) <= seq_len
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


def test_what_is_possible_under_the_cap_is_possible() -> None:
    groups = [group("a", 2048 * 10), group("b", 2048 * 1000)]
    weights = {"a": 0.5, "b": 0.5}
    with pytest.raises(PlanError, match="163,840 tokens are possible"):
        Shares("source", weights, None, 2048 * 1000, 4.0).quotas(groups, 2048)

    assert Shares("source", weights, None, 163_840, 4.0).quotas(groups, 2048) == [40, 40]
