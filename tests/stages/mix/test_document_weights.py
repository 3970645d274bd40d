"""Documents that are sampled more often than others of their group."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError, DataError, PlanError
from datapipe.testing import dataset
from stages.mix import Mix
from stages.mix.shares import Group, Shares
from tests.stages.mix.corpus import encoded, mixed, with_tokenizer

SOURCES = ["books"] * 20 + ["web"] * 40
TIMES = [1, 8] * 10 + [1, 1, 2, 5] * 10


def weighed() -> list[pa.Table]:
    """Returns 60 documents of 10 tokens with their weights, in two shards."""
    table = encoded([10] * 60, SOURCES).append_column("weight", pa.array(TIMES, pa.int32()))
    return [table.slice(0, 25), table.slice(25)]


def times_seen(**fields: Any) -> dict[tuple[str, int], set[int]]:
    """Returns how often documents of a source and weight are in the corpus, all that occur."""
    made = mixed(weighed(), document_weights="weight", packing="document", max_epochs=4, **fields)
    seen = Counter(made.train.column("doc_id").to_pylist())
    found: dict[tuple[str, int], set[int]] = {}
    for row in made.documents.to_pylist():
        found.setdefault((row["source"], row["weight"]), set()).add(seen[row["doc_id"]])
    return found


def test_a_document_is_seen_as_often_as_its_weight_says() -> None:
    seen = times_seen()

    assert seen == {("books", 1): {1}, ("books", 8): {8}, ("web", 1): {1}, ("web", 2): {2}, ("web", 5): {5}}


def test_weights_of_sources_hold_and_within_a_source_those_of_documents() -> None:
    made = mixed(weighed(), document_weights="weight", packing="document", weights={"books": 0.5, "web": 0.5})

    tokens = {row["group"]: row["tokens_seen"] for row in made.manifest["mix"]["groups"]}
    assert tokens == {"books x1": 100, "books x8": 800, "web x1": 200, "web x2": 200, "web x5": 500}


def test_epochs_are_counted_of_what_the_weights_make_of_a_source() -> None:
    with pytest.raises(PlanError, match=r"more than max_epochs: 4 of books x1 4\.\d\d, books x8 4\.\d\d would be seen"):
        times_seen(weights={"books": 0.9, "web": 0.1}, tokens=4444)


def test_packed_samples_hold_to_them_too() -> None:
    made = mixed(weighed(), document_weights="weight", seq_len=10, tokens=180_0, max_epochs=None)

    groups = {row["group"]: row["samples_seen"] / row["samples"] for row in made.manifest["mix"]["groups"]}
    assert groups == {"books x1": 1, "books x8": 8, "web x1": 1, "web x2": 2, "web x5": 5}


@given(
    sizes=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(1, 50)), min_size=1, max_size=8),
    weights=st.none() | st.fixed_dictionaries({"a": st.just(0.25), "b": st.just(0.75)}),
)
def test_shares_are_exact(sizes: list[tuple[str, int, int]], weights: dict[str, float] | None) -> None:
    held = {f"{name} x{times}": samples for name, times, samples in sizes}
    if {name.split(" x")[0] for name in held} != {"a", "b"} or any(
        not sum(int(g.split(" x")[1]) for g in held if g.startswith(name)) for name in "ab"
    ):
        return
    groups = [Group(name, samples, samples, 0, samples, 0) for name, samples in sorted(held.items())]

    shares = Shares("source", weights, None, None, None, weighted=True).of(groups, 1)

    assert sum(shares) == 1
    for name in "ab":
        own = [
            (share / group.samples, int(group.name.split(" x")[1]))
            for share, group in zip(shares, groups, strict=True)
            if group.name.startswith(name)
        ]
        assert len({share / times for share, times in own if times}) == 1
        assert all(share == 0 for share, times in own if not times)
        if weights:
            total = sum(s for s, g in zip(shares, groups, strict=True) if g.name.startswith(name))
            assert total == Fraction(str(weights[name]))


def test_refuses_a_column_that_is_no_whole_number_and_weights_below_zero() -> None:
    with pytest.raises(ConfigError, match="document_weights: column 'quality' holds float, not whole numbers"):
        Mix(document_weights="quality").build(with_tokenizer(weighed()))
    with pytest.raises(PlanError, match="needs column 'weights'"):
        Mix(document_weights="weights").build(dataset(*weighed()))
    table = weighed()[0]
    below = table.set_column(table.schema.get_field_index("weight"), "weight", pa.array([-1] * len(table), pa.int32()))
    with pytest.raises(DataError, match="books x-1: documents have a weight below 0"):
        mixed([below], document_weights="weight")


def with_weights(weights: Sequence[int | None]) -> list[pa.Table]:
    """Returns a document of 10 tokens for each weight, those of books first."""
    sources = ["books"] * (len(weights) // 2) + ["web"] * (len(weights) - len(weights) // 2)
    return [encoded([10] * len(weights), sources).append_column("weight", pa.array(weights, pa.int32()))]


@pytest.mark.parametrize("packing", ["concat", "document"])
def test_a_document_of_weight_0_is_not_sampled_and_one_of_null_is_as_one_of_1(packing: str) -> None:
    made = mixed(with_weights([0, 1, None, 3]), document_weights="weight", packing=packing, seq_len=10)

    of_document = dict(zip(made.documents.column("doc_id").to_pylist(), [0, 1, 1, 3], strict=True))
    seen = Counter(made.segments.column("doc_id").to_pylist())
    assert {document: seen[document] for document in of_document} == of_document


@pytest.mark.parametrize("fields", [{}, {"tokens": 40}, {"tokens": 40, "max_epochs": None}])
def test_a_source_whose_documents_all_weigh_0_is_a_sentence(fields: Any) -> None:
    weights = {"books": 0.5, "web": 0.5}
    with pytest.raises(PlanError, match="'books' has no document of a weight above 0: give it the weight 0"):
        mixed(with_weights([0, 0, 1, 3]), document_weights="weight", weights=weights, **fields)
    with pytest.raises(PlanError, match="every weight is 0: nothing would be sampled"):
        mixed(with_weights([0, 0, 0, 0]), document_weights="weight", **fields)

    made = mixed(with_weights([0, 0, 1, 3]), document_weights="weight", weights={**weights, "books": 0}, seq_len=10)
    assert {row["group"]: row["samples_seen"] for row in made.manifest["mix"]["groups"]} == {
        "books x0": 0,
        "web x1": 1,
        "web x3": 3,
    }


def test_too_many_weights_are_a_sentence_that_says_so() -> None:
    with pytest.raises(PlanError, match="has 1,001 values, each weight of its documents counted for itself, and at"):
        mixed(with_weights([*range(1000), 7]), document_weights="weight", seq_len=10)
