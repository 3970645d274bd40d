"""The order of training: a pure function of plan and position, both ways."""

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.mix.merkle import merkle_root
from stages.mix.order import BLOCK, Order, plain_sequence
from stages.mix.quota import apportion

groups = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 120)), min_size=1, max_size=4).filter(
    lambda drawn: any(quota for _, quota in drawn)
)


def _order(drawn: list[tuple[int, int]], *, seed: int = 5) -> Order:
    sizes, quotas = zip(*drawn, strict=True)
    return Order(seed, tuple(f"g{number}" for number in range(len(drawn))), sizes, (quotas,))


def _rows(order: Order) -> np.ndarray:
    return np.concatenate([np.stack(order.block(number), axis=1) for number in range(order.blocks)])


def _every_sample(order: Order) -> tuple[np.ndarray, np.ndarray]:
    of_group = np.repeat(np.arange(len(order.sizes)), order.sizes)
    return of_group, np.concatenate([np.arange(size) for size in order.sizes])


@settings(max_examples=60, deadline=None)
@given(groups, st.integers(0, 2**40), st.booleans())
def test_fast_and_plain_order_agree(drawn: list[tuple[int, int]], seed: int, natural: bool) -> None:
    if natural:
        drawn = [(max(1, quota), quota) for _, quota in drawn]
    order = _order(drawn, seed=seed)
    order = Order(order.seed, order.labels, order.sizes, order.phases, natural)

    assert [tuple(row) for row in _rows(order).tolist()] == list(plain_sequence(order))


def test_fast_and_plain_order_agree_over_several_blocks() -> None:
    order = _order([(700, 1500), (3000, 2600), (900, 5000), (10, 0)])

    assert [tuple(row) for row in _rows(order).tolist()] == list(plain_sequence(order))


@settings(max_examples=60, deadline=None)
@given(groups)
def test_samples_find_exactly_the_positions_that_show_them(drawn: list[tuple[int, int]]) -> None:
    order = _order(drawn)
    of_group, indices = _every_sample(order)
    rows, epochs, positions = order.occurrences(of_group, indices)
    shown = _rows(order)

    assert sorted(positions.tolist()) == list(range(order.total))
    assert np.array_equal(shown[positions], np.stack([of_group[rows], epochs, indices[rows]], axis=1))
    assert np.array_equal(np.bincount(rows, minlength=len(indices)), order.times_seen(of_group, indices))


def test_positions_of_a_sample_do_not_depend_on_what_is_asked_with_it() -> None:
    order = _order([(700, 1500), (3000, 2600), (900, 5000)])
    of_group, indices = _every_sample(order)
    _, _, together = order.occurrences(of_group, indices)
    alone = [order.occurrences(of_group[row : row + 1], indices[row : row + 1])[2] for row in range(len(indices))]

    assert np.array_equal(np.concatenate(alone), together)


def test_no_sample_is_seen_twice_before_all_of_its_group_are_seen_once() -> None:
    order = _order([(700, 1500), (3000, 2600), (900, 5000)])
    shown = _rows(order)

    for group, size in enumerate(order.sizes):
        own = shown[shown[:, 0] == group]
        assert (np.diff(own[:, 1]) >= 0).all()
        for epoch in range(own[:, 1].max() + 1):
            indices = own[own[:, 1] == epoch, 2]
            assert len(set(indices.tolist())) == len(indices)
            assert len(indices) == size or epoch == own[:, 1].max()


def test_epochs_and_seeds_differ_in_order() -> None:
    shown = _rows(_order([(1000, 2000)]))
    other = _rows(_order([(1000, 2000)], seed=6))

    assert not np.array_equal(shown[:1000, 2], shown[1000:, 2])
    assert not np.array_equal(shown, other)


def test_every_block_has_the_groups_in_their_shares() -> None:
    order = _order([(50_000, 30_000), (50_000, 60_000), (5_000, 10_000)])
    counts = [np.bincount(order.block(number)[0], minlength=3) for number in range(order.blocks - 1)]

    assert np.abs(np.array(counts) - BLOCK * np.array([0.3, 0.6, 0.1])).max() < 2


def test_a_block_of_a_trillion_samples_is_reached_in_ten_milliseconds() -> None:
    total = 10**12
    sizes = (410 * 10**9, 19 * 10**9, 12 * 10**9, 55 * 10**9, 3 * 10**9)
    quotas = apportion([Fraction(weight) for weight in (60, 22, 8, 8, 3)], total)
    order = Order(1, ("cc", "webtext", "books1", "books2", "wikipedia"), sizes, (tuple(quotas),))
    order.block(0)
    seconds = []
    for number in np.random.default_rng(0).integers(0, order.blocks, 20).tolist():
        start = time.perf_counter()
        order.block(number)
        seconds.append(time.perf_counter() - start)

    assert np.median(seconds) < 0.010

    of_group, epochs, indices = order.block(123_456_789)
    rows, found_epochs, positions = order.occurrences(of_group[:50], indices[:50])
    here = positions[found_epochs == epochs[:50][rows]]
    assert here.tolist() == list(range(123_456_789 * BLOCK, 123_456_789 * BLOCK + 50))


@pytest.mark.parametrize(
    ("leaves", "root"),
    [  # test vectors of Certificate Transparency's Merkle trees (RFC 6962's reference code, merkle_tree_test)
        ([], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ([""], "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (["", "00"], "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (["", "00", "10"], "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"],
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ),
    ],
)
def test_the_merkle_root_is_that_of_rfc_6962(leaves: list[str], root: str) -> None:
    assert merkle_root([bytes.fromhex(leaf) for leaf in leaves]).hex() == root


def test_the_digest_of_a_block_is_over_what_it_shows() -> None:
    order, other = _order([(700, 1500)]), _order([(700, 1501)])

    assert order.digest(0) == order.digest(0)
    assert order.digest(0) != other.digest(0)
