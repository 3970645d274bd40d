"""Which documents a tokenizer is trained on."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError
from stages.tokens.draw import ALL, Least, check_sources, check_weights, drawn, hash_of, quotas

DOCUMENTS = [f"document {number} " + "字" * (number % 7) for number in range(300)]


def held(documents: list[str], quota: int, seed: int = 0) -> list[str]:
    pool = Least(seed, quota)
    for document in documents:
        pool.add(document)
    return [text for _, text in pool.documents()]


@given(st.integers(0, 1000), st.integers(1, 6000))
def test_what_is_held_is_the_least_by_hash_in_any_order(order: int, quota: int) -> None:
    shuffled = random.Random(order).sample(DOCUMENTS, len(DOCUMENTS))
    ranked = sorted(DOCUMENTS, key=lambda text: hash_of(0, text.encode()))
    kept = held(shuffled, quota)

    assert kept == ranked[: len(kept)]
    size = sum(len(text.encode()) for text in kept)
    assert len(kept) == len(DOCUMENTS) or size - len(kept[-1].encode()) < quota <= size


def test_another_seed_holds_others() -> None:
    assert held(DOCUMENTS, 500) != held(DOCUMENTS, 500, seed=1)


def test_a_book_is_cut_and_what_is_empty_is_passed_over() -> None:
    assert [len(text) for text in held(["", "字" * 200_000], 1)] == [1 << 17]


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 10**9), min_size=1),
    st.lists(st.integers(0, 10), min_size=4, max_size=4),
    st.integers(1, 10**9),
)
def test_quotas_are_in_proportion_to_weights(sizes: dict[str, int], shares: list[int], wanted: int) -> None:
    weights = {name: float(share) for name, share in zip("abcd", shares, strict=True)}
    found = quotas(sizes, weights, wanted)
    named = {name for name in sizes if weights[name]}

    whole = min(wanted, sum(sizes[name] for name in named))
    total = sum(weights[name] for name in named)
    assert found == {name: int(weights[name] * whole // total) for name in found}
    assert set(found) == named


def test_without_weights_all_sources_are_one() -> None:
    assert quotas({"a": 5, "b": 7}, None, 100) == {ALL: 12}


def test_a_source_that_is_too_small_is_taken_again_from_its_first() -> None:
    assert list(drawn(["ab", "c"], 7, again=True)) == ["ab", "c", "ab", "c"]
    assert list(drawn(["ab", "c"], 7, again=False)) == ["ab", "c"]
    assert list(drawn(["abcd"], 2, again=True)) == ["abcd"]
    assert list(drawn([], 2, again=True)) == list(drawn([""], 2, again=True)) == []


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"a": -1.0}, "a: -1.0 is not a share"),
        ({"a": 0.0}, "every weight is 0"),
        ({"c": 1.0, "a": 1.0}, "no source c; the sources are a, b"),
        ({"a": 1.0}, "b has no weight"),
    ],
)
def test_weights_that_make_no_sense_are_said(weights: dict[str, float], said: str) -> None:
    def check() -> None:
        check_weights(weights)
        check_sources(weights, ["a", "b"])

    with pytest.raises(ConfigError, match=said):
        check()
