"""The exact oracle against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError
from stages.dedup.evaluation.pairs import similar_pairs
from stages.dedup.shingles import Sets

Documents = list[set[int]]


def as_sets(documents: Documents) -> Sets:
    """Returns sets whose hashes are not in the order of their numbers."""
    hashed = [sorted(number * 0x9E3779B97F4A7C15 % 2**64 for number in document) for document in documents]
    offsets = np.cumsum([0, *map(len, hashed)])
    return Sets(np.array([value for document in hashed for value in document], np.uint64), offsets.astype(np.int64))


def by_force(documents: Documents, threshold: float) -> list[tuple[int, int, float]]:
    found = []
    for (first, one), (second, other) in itertools.combinations(enumerate(documents), 2):
        if one and other and len(one & other) / len(one | other) >= threshold:
            found.append((first, second, len(one & other) / len(one | other)))
    return found


@st.composite
def documents_with_twins(draw: st.DrawFn) -> Documents:
    """Documents of which some are others with a few numbers changed, so that there are pairs at any similarity."""
    made: Documents = draw(st.lists(st.sets(st.integers(0, 60), max_size=25), max_size=10))
    for _ in range(draw(st.integers(0, 10)) if made else 0):
        made.append(draw(st.sampled_from(made)) ^ draw(st.sets(st.integers(0, 60), max_size=6)))
    return made


@given(documents_with_twins(), st.sampled_from([0.01, 0.2, 1 / 3, 0.5, 0.6, 2 / 3, 0.7, 0.75, 0.8, 0.9, 1.0]))
def test_finds_the_pairs_that_brute_force_finds(documents: Documents, threshold: float) -> None:
    found = similar_pairs(as_sets(documents), threshold)

    assert list(zip(*(column.tolist() for column in found), strict=True)) == by_force(documents, threshold)


def test_finds_pairs_among_documents_of_usual_length() -> None:
    draw = np.random.RandomState(1)
    documents = [set(draw.randint(0, 50_000, draw.randint(50, 800)).tolist()) for _ in range(40)]
    for number in range(40):
        kept = sorted(documents[number])
        documents.append({*kept[draw.randint(0, len(kept) // 3) :], *draw.randint(0, 50_000, 30).tolist()})

    found = similar_pairs(as_sets(documents), 0.6)

    assert list(zip(*(column.tolist() for column in found), strict=True)) == by_force(documents, 0.6)
    assert 10 < len(found.first) < 40


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1, float("nan")])
def test_refuses_what_is_no_threshold(threshold: float) -> None:
    with pytest.raises(ConfigError, match="not above 0 and at most 1"):
        similar_pairs(as_sets([{1}, {1}]), threshold)
