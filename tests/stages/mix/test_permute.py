"""The permutation: a bijection that is computed both ways and hides its structure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from stages.mix.permute import (
    key_of,
    mix64,
    permute,
    plain_mix64,
    plain_permute,
    plain_stream_key,
    stream_key,
    unpermute,
)

words = st.integers(0, 2**64 - 1)


@njit
def _all(size: int, key: np.uint64) -> np.ndarray:
    out = np.empty(size, np.int64)
    for index in range(size):
        out[index] = permute(np.uint64(index), np.uint64(size), key)
    return out


def test_mix64_gives_the_published_sequence_of_splitmix64() -> None:
    # First outputs for seed 1234567, as printed by Rosetta Code's task "Pseudo-random numbers/Splitmix64".
    golden = 0x9E3779B97F4A7C15
    states = [(1234567 + step * golden) % 2**64 for step in range(3)]

    assert [int(mix64(np.uint64(state))) for state in states] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@given(words, words)
def test_fast_and_plain_keys_agree(key: int, number: int) -> None:
    assert int(mix64(np.uint64(key))) == plain_mix64(key)
    assert int(stream_key(np.uint64(key), np.uint64(number))) == plain_stream_key(key, number)


@given(st.integers(1, 2**60), words, st.data())
def test_fast_and_plain_permutations_agree_and_the_inverse_undoes_them(
    size: int, key: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    sent = int(permute(np.uint64(index), np.uint64(size), np.uint64(key)))

    assert sent == plain_permute(index, size, key)
    assert 0 <= sent < size
    assert int(unpermute(np.uint64(sent), np.uint64(size), np.uint64(key))) == index


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 1000, 4096, 4097])
def test_every_index_is_reached_once(size: int) -> None:
    assert sorted(_all(size, np.uint64(key_of("test", size)))) == list(range(size))


@pytest.mark.parametrize("size", [2**20, 10**6])
def test_the_lowest_bit_cannot_be_predicted(size: int) -> None:
    sent = _all(size, np.uint64(7))

    # From the lowest bit of an index, and from that of the value before it.
    assert abs(np.mean((sent & 1) == (np.arange(size) & 1)) - 0.5) < 0.01
    assert abs(np.mean((sent[1:] & 1) == (sent[:-1] & 1)) - 0.5) < 0.01


@pytest.mark.parametrize("size", [2**20, 10**6])
def test_steps_from_one_index_to_the_next_are_as_many_as_by_chance(size: int) -> None:
    sent = _all(size, np.uint64(key_of("steps", size)))
    steps = np.diff(sent, append=sent[0]) % size

    # Of n draws from n values a share of 1 - 1/e is different; an affine permutation has one step, or few.
    assert abs(len(np.unique(steps)) / size - (1 - np.exp(-1))) < 0.005
    assert np.bincount(steps).max() < 15


@pytest.mark.parametrize("seed", range(8))
def test_a_run_of_indices_falls_evenly_but_not_too_evenly_into_64_buckets(seed: int) -> None:
    size, run = 2**20, 2**16
    counts = np.bincount(_all(size, np.uint64(key_of(seed)))[:run] * 64 // size, minlength=64)
    chi_square = float(((counts - run / 64) ** 2 / (run / 64)).sum())

    # 63 degrees of freedom; a draw without replacement of a sixteenth varies by a sixteenth less.
    assert 30 < chi_square < 105


def test_chi_square_of_64_buckets_is_that_of_chance_on_average() -> None:
    size, run = 2**20, 2**14
    found = []
    for seed in range(40):
        counts = np.bincount(_all(size, np.uint64(key_of("chi", seed)))[:run] * 64 // size, minlength=64)
        found.append(float(((counts - run / 64) ** 2 / (run / 64)).sum()))

    assert 40 <= np.median(found) <= 90
    assert 57 < np.mean(found) < 68


def test_keys_differ_by_every_part_and_by_where_parts_end() -> None:
    keys = {key_of("a", "bc"), key_of("ab", "c"), key_of("abc"), key_of("a", "bc", ""), key_of(1, "a"), key_of(2, "a")}

    assert len(keys) == 6
