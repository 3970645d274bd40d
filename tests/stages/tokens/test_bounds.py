"""Boundaries around documents: the kernel and its plain twin."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.tokens.bounds import NONE, bounded, bounded_plainly, frozen, judge

DOCUMENTS = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=12)


def laid_out(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([number for own in documents for number in own], np.uint32)
    return ids, np.array([0, *itertools.accumulate(map(len, documents))], np.int64)


@given(DOCUMENTS, st.none() | st.integers(0, 9), st.integers(0, 9))
def test_the_kernel_sets_boundaries_as_its_plain_twin_does(
    documents: list[list[int]], bos: int | None, eos: int
) -> None:
    ids, lengths = bounded(*laid_out(documents), bos, eos)

    assert (ids.tolist(), lengths.tolist()) == bounded_plainly(*laid_out(documents), bos, eos)
    assert ids.dtype == np.int32


@given(DOCUMENTS, st.sets(st.integers(0, 9)))
def test_documents_with_a_refused_id_are_found(documents: list[list[int]], refused: set[int]) -> None:
    ids, offsets = laid_out(documents)
    clean = np.ones(len(documents), bool)
    table = np.isin(np.arange(10), sorted(refused))

    assert judge(frozen(ids), frozen(offsets), frozen(table), clean) == NONE
    assert clean.tolist() == [not refused & set(own) for own in documents]


@pytest.mark.parametrize(("documents", "beyond"), [([[1], [2, 5]], 5), ([[4, 4], [], [4]], NONE)])
def test_an_id_beyond_the_vocabulary_is_told(documents: list[list[int]], beyond: int) -> None:
    ids, offsets = laid_out(documents)

    assert judge(frozen(ids), frozen(offsets), frozen(np.zeros(5, bool)), np.ones(len(documents), bool)) == beyond
