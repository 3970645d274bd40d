"""What recall is measured against, once more on real text by sets of Python: no hash, kernel or index of ours."""

from __future__ import annotations

import io
import itertools
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from stages.dedup.evaluation.copies import measured, one_copy_each, similarities
from stages.dedup.evaluation.pairs import similar_pairs
from stages.dedup.fold import fold_table, load, tokens
from stages.dedup.shingles import shingle_sets

FOLD = load(fold_table())
WIDTH = 5
CORPORA = ("kubernetes-docs-versions", "iotdb-docs-versions", "nodejs-api-versions", "taiwan-laws")
BEGINNING, LONGEST = 80, 4000  # characters
VERSIONS, BEGINNINGS = 3, 20  # of a document, and of a corpus

Shingles = frozenset[int]
known: dict[tuple[str, ...], int] = {}


def shingles(text: str) -> Shingles:
    view = tokens(text, FOLD)
    runs = zip(*(view[start:] for start in range(WIDTH)), strict=False)
    return frozenset(known.setdefault(run, len(known)) for run in runs)


def jaccard(one: Shingles, other: Shingles) -> float:
    return len(one & other) / len(one | other)


@pytest.fixture(scope="module")
def texts(shared: Path) -> list[str]:
    """Returns documents in Chinese and English of which most begin alike, as versions of one another do."""
    made = []
    for name in CORPORA:
        alike: dict[str, list[str]] = {}
        with (shared / f"corpora/{name}.jsonl.zst").open("rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8"):
                text = json.loads(line)["text"]
                if len(text) > LONGEST // 4:
                    alike.setdefault(text[:BEGINNING], []).append(text[:LONGEST])
        first = sorted(alike.values(), key=len, reverse=True)[:BEGINNINGS]
        made += [text for versions in first for text in versions[:VERSIONS]]
    return made


@pytest.fixture(scope="module")
def plain(texts: list[str]) -> list[Shingles]:
    return [shingles(text) for text in texts]


def test_sets_of_hashes_are_as_large_as_those_of_words(texts: list[str], plain: list[Shingles]) -> None:
    sets = shingle_sets(pa.array(texts), FOLD, width=WIDTH)

    sizes = (sets.offsets[1:] - sets.offsets[:-1]).tolist()
    assert sizes == [len(found) for found in plain]  # so no two shingles of a document have one hash
    assert sum(sizes) > 90_000


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_the_oracle_finds_every_pair_of_real_documents(
    threshold: float, texts: list[str], plain: list[Shingles]
) -> None:
    found = similar_pairs(shingle_sets(pa.array(texts), FOLD, width=WIDTH), threshold)

    expected = [
        (first, second, jaccard(one, other))
        for (first, one), (second, other) in itertools.combinations(enumerate(plain), 2)
        if jaccard(one, other) >= threshold
    ]
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected
    assert len(expected) > 20


def test_the_true_similarity_of_every_copy_is_that_of_sets_of_words(texts: list[str]) -> None:
    copies = measured(list(one_copy_each(((str(number), text) for number, text in enumerate(texts)), seed=1)))

    for copy in copies:
        one, other = shingles(copy.original), shingles(copy.text)
        assert copy.jaccard == jaccard(one, other), (copy.kind, copy.degree)
        assert copy.containment == len(one & other) / min(len(one), len(other)), (copy.kind, copy.degree)
    assert len(Counter(copy.kind for copy in copies)) > 15


def test_the_similarity_of_unlike_documents_is_that_of_sets_of_words(texts: list[str], plain: list[Shingles]) -> None:
    found, _ = similarities(texts[:-1], texts[1:], width=WIDTH)

    assert found.tolist() == [jaccard(one, other) for one, other in itertools.pairwise(plain)]
