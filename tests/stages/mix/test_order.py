"""The order of training: a pure function of plan and position, both ways, through all phases."""

import time
from collections.abc import Sequence
from fractions import Fraction
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.mix.merkle import audit_path, merkle_root, root_from
from stages.mix.order import BLOCK, Order, plain_sequence
from stages.mix.quota import apportion, plain_prefix

groups = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 120)), min_size=1, max_size=4).filter(
    lambda drawn: any(quota for _, quota in drawn)
)


phases = st.integers(1, 4).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(1, 40), min_size=count, max_size=count),
        st.lists(st.lists(st.integers(0, 120), min_size=count, max_size=count).filter(any), min_size=1, max_size=4),
    )
)
# The second phase begins within a block's length, the third within an epoch of every group, and one has one sample.
SEVERAL = ((700, 3000, 900, 10), ((1500, 2600, 5000, 0), (0, 1, 0, 0), (3000, 500, 0, 25), (200, 4000, 3896, 0)))


def _phased(drawn: tuple[Sequence[int], Sequence[Sequence[int]]], *, seed: int = 5) -> Order:
    sizes, quotas = drawn
    labels = tuple(f"g{number}" for number in range(len(sizes)))
    return Order(seed, labels, tuple(sizes), tuple(map(tuple, quotas)))


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
@given(phases, st.integers(0, 2**40))
def test_fast_and_plain_order_agree_over_phases(drawn: tuple[list[int], list[list[int]]], seed: int) -> None:
    order = _phased(drawn, seed=seed)

    assert [tuple(row) for row in _rows(order).tolist()] == list(plain_sequence(order))


def test_fast_and_plain_order_agree_over_phases_of_several_blocks() -> None:
    order = _phased(SEVERAL)

    assert [tuple(row) for row in _rows(order).tolist()] == list(plain_sequence(order))


@settings(max_examples=60, deadline=None)
@given(phases)
def test_samples_find_exactly_the_positions_of_all_phases_that_show_them(
    drawn: tuple[list[int], list[list[int]]],
) -> None:
    _check_found(_phased(drawn))


def test_samples_find_exactly_the_positions_of_phases_of_several_blocks() -> None:
    _check_found(_phased(SEVERAL))


def test_blocks_and_positions_count_through_the_phases() -> None:
    order = _phased(SEVERAL)

    # 9,100, 1, 3,525 and 8,096 positions: 3, 1, 1 and 2 blocks.
    assert order.starts == (0, 9100, 9101, 12626, 20722)
    assert order.first_blocks == (0, 3, 4, 5, 7)
    bounds = [order.positions(number) for number in range(7)]
    assert bounds[2:] == [(8192, 9100), (9100, 9101), (9101, 12626), (12626, 16722), (16722, 20722)]
    for number, (start, end) in enumerate(bounds):
        assert {order.block_of(position) for position in (start, end - 1)} == {number}
        assert [order.begun(position) for position in (start, start + 1, end)] == [number, number + 1, number + 1]
        assert len(order.block(number)[0]) == end - start


@settings(max_examples=60, deadline=None)
@given(groups)
def test_samples_find_exactly_the_positions_that_show_them(drawn: list[tuple[int, int]]) -> None:
    _check_found(_order(drawn))


def _check_found(order: Order) -> None:
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


def test_orders_of_one_phase_are_pinned() -> None:
    order = _phased((SEVERAL[0], SEVERAL[1][:1]))
    root = merkle_root([order.digest(number) for number in range(order.blocks)])

    # What commit 72e84c9 gave, before there were phases.
    assert root.hex() == "7847ec3f184f6e160c103ea05c62ae68bad162021e02d162a792d8103bea1a3f"


@pytest.mark.parametrize(
    "order", [_order([(700, 1500), (3000, 2600), (900, 5000)]), _phased(SEVERAL)], ids=["one phase", "four phases"]
)
def test_no_sample_is_seen_twice_before_all_of_its_group_are_seen_once(order: Order) -> None:
    shown = _rows(order)

    for group, size in enumerate(order.sizes):
        own = shown[shown[:, 0] == group]
        assert len(own) == sum(quotas[group] for quotas in order.phases)
        assert (np.diff(own[:, 1]) >= 0).all()
        for epoch in range(own[:, 1].max(initial=-1) + 1):
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


@given(st.data())
def test_up_to_any_block_each_group_has_the_seats_of_websters_prefix(data: st.DataObject) -> None:
    order = _phased(SEVERAL)
    phase = data.draw(st.integers(0, 3))
    steps = BLOCK * data.draw(st.integers(0, order.first_blocks[phase + 1] - order.first_blocks[phase] - 1))
    groups = _rows(order)[order.starts[phase] : order.starts[phase] + steps, 0]

    assert np.bincount(groups, minlength=4).tolist() == plain_prefix(order.phases[phase], steps)


@given(st.integers(0, 20722))
def test_up_to_any_position_no_group_is_a_block_from_its_share(position: int) -> None:
    order = _phased(SEVERAL)
    phase = min(3, next(number for number in range(4) if position <= order.starts[number + 1]))
    seen = np.bincount(_rows(order)[:position, 0], minlength=4)
    start, end = order.starts[phase], order.starts[phase + 1]
    before, quotas = np.sum(order.phases[:phase], axis=0), np.array(order.phases[phase])

    # Within a block samples stand in the order of a permutation, so a group is as far as chance takes it there.
    assert np.abs(seen - before - quotas * (position - start) / (end - start)).max() < 3 * np.sqrt(BLOCK) / 2


def test_what_is_seen_up_to_a_phase_does_not_depend_on_what_comes_later() -> None:
    whole, part = _phased(SEVERAL), _phased((SEVERAL[0], SEVERAL[1][:2]))

    assert np.array_equal(_rows(whole)[: part.total], _rows(part))


@pytest.mark.parametrize("parts", [(1,), (0.7, 0.2, 0.1)], ids=["one phase", "three phases"])
def test_a_block_of_a_trillion_samples_is_reached_in_ten_milliseconds(parts: Sequence[float]) -> None:
    total = 10**12
    sizes = (410 * 10**9, 19 * 10**9, 12 * 10**9, 55 * 10**9, 3 * 10**9)
    weights = [(60, 22, 8, 8, 3), (30, 22, 8, 37, 3), (0, 50, 20, 0, 30)][: len(parts)]
    quotas = [
        tuple(apportion([Fraction(weight) for weight in own], round(total * part)))
        for own, part in zip(weights, parts, strict=True)
    ]
    order = Order(1, ("cc", "webtext", "books1", "books2", "wikipedia"), sizes, tuple(quotas))
    order.block(0)
    seconds = []
    for number in np.random.default_rng(0).integers(0, order.blocks, 40).tolist():
        start = time.perf_counter()
        Order(order.seed, order.labels, order.sizes, order.phases).block(number)  # nothing is known from before
        seconds.append(time.perf_counter() - start)

    assert np.median(seconds) < 0.010

    for number in (123_456_789, order.blocks - 2):
        of_group, epochs, indices = order.block(number)
        rows, found_epochs, positions = order.occurrences(of_group[:50], indices[:50])
        here = positions[found_epochs == epochs[:50][rows]]
        first = order.positions(number)[0]
        assert here.tolist() == list(range(first, first + 50))


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


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 13])
def test_every_leaf_has_a_path_to_the_root_and_none_to_another(count: int) -> None:
    leaves = [bytes([number]) * 3 for number in range(count)]
    root = merkle_root(leaves)

    for number, leaf in enumerate(leaves):
        path = audit_path(leaves, number)
        assert root_from(leaf, number, count, path) == root
        assert root_from(b"other", number, count, path) != root
        assert root_from(leaf, number, count, [*path, root]) is None
        assert number == count - 1 or root_from(leaf, number + 1, count, path) != root


def test_audit_paths_are_those_of_the_example_of_rfc_6962() -> None:
    # Section 2.1.3: seven leaves d0 to d6 with hashes a to f and j, g = H(a, b) and so on, k = H(g, h).
    leaves = [bytes([number]) for number in range(7)]
    a, b, c, d, e, f, j = (sha256(b"\0" + leaf).digest() for leaf in leaves)
    g, h, i = (sha256(b"\1" + left + right).digest() for left, right in ((a, b), (c, d), (e, f)))
    k, low = sha256(b"\1" + g + h).digest(), sha256(b"\1" + i + j).digest()

    assert audit_path(leaves, 0) == [b, h, low]
    assert audit_path(leaves, 3) == [c, g, low]
    assert audit_path(leaves, 4) == [f, j, k]
    assert audit_path(leaves, 6) == [i, k]


def test_the_digest_of_a_block_is_over_what_it_shows() -> None:
    order, other = _order([(700, 1500)]), _order([(700, 1501)])

    assert order.digest(0) == order.digest(0)
    assert order.digest(0) != other.digest(0)
