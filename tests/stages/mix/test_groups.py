"""Groups of documents: columns joined, and numbers cut into buckets of equal tokens."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError, PlanError
from datapipe.testing import dataset, evaluate
from stages.mix import Mix
from stages.mix.groups import Groups, bucket, cut, find_edges, rounded
from tests.stages.mix.corpus import encoded, mixed, three_shards, with_tokenizer


def grouped(table: pa.Table, groups: Groups, rows_per_batch: int = 3) -> list[str]:
    edges = groups.edges(evaluate(find_edges(dataset(table), groups)).table if groups.counted else None)
    batches = table.combine_chunks().to_batches(max_chunksize=rows_per_batch)
    return [name for batch in batches for name in groups.of(batch, edges).to_pylist()]


def test_values_of_several_columns_are_joined_in_their_order() -> None:
    table = pa.table({"a": ["x", "y", None, "x"], "b": [1, 2, 1, None], "c": [True, False, None, True]})

    assert grouped(table, Groups(("a", "b", "c"))) == ["x/1/true", "y/2/false", "null/1/null", "x/null/true"]
    assert grouped(table, Groups(("c", "a"))) == ["true/x", "false/y", "null/null", "true/x"]


def test_two_ways_to_one_name_are_one_group_wherever_batches_are_cut() -> None:
    table = encoded([5] * 8, ["a/b", "a"] * 4).append_column("part", pa.array(["c", "b/c"] * 4))

    made = [mixed([table], by=["source", "part"], seq_len=4, rows_per_batch=rows) for rows in (1, 3, 8)]

    assert [row["group"] for row in made[0].manifest["mix"]["groups"]] == ["a/b/c"]
    assert len({one.manifest["merkle_root"] for one in made}) == 1


def test_edges_cut_where_they_are_and_a_value_on_an_edge_is_above_it() -> None:
    values = [0.1, 0.3, 0.5, 0.7, 0.9, None, float("nan"), float("inf"), -float("inf")]
    table = pa.table({"quality": pa.array(values, pa.float32())})

    assert grouped(table, Groups(("quality",), (("quality", (0.3, 0.7)),))) == (
        ["q0", "q1", "q1", "q2", "q2", "null", "null", "q2", "q0"]
    )
    table = pa.table({"year": pa.array([1999, 2000, 2001, None])})
    assert grouped(table, Groups(("year",), (("year", (2000.0,)),))) == ["q0", "q1", "q1", "null"]


def test_buckets_are_of_equal_tokens_and_not_of_equal_documents() -> None:
    table = pa.table({"quality": [0.125, 0.25, 0.375, 0.5, 0.625, 0.75], "tokens": [10, 10, 10, 30, 45, 15]})

    assert grouped(table, Groups(("quality",), (("quality", 2),))) == ["q0"] * 4 + ["q1"] * 2
    assert grouped(table, Groups(("quality",), (("quality", 4),))) == ["q0", "q0", "q0", "q1", "q2", "q3"]


def test_equal_values_stay_together_and_buckets_beside_them_are_empty() -> None:
    # 80 of 100 tokens have one value, from 10 to 90: its middle is in the third of four buckets.
    table = pa.table({"quality": [0.125, *[0.5] * 8, 0.75], "tokens": [10] * 10})

    assert grouped(table, Groups(("quality",), (("quality", 4),))) == ["q0", *["q2"] * 8, "q3"]
    assert cut(np.array([0.5]), np.array([10]), 4) == [0.5, 0.5]
    assert cut(np.zeros(0), np.zeros(0, np.int64), 4) == []


@given(
    st.lists(st.tuples(st.integers(-5, 40), st.integers(1, 90)), min_size=1, max_size=40),
    st.integers(2, 9),
    st.integers(1, 7),
)
def test_every_cut_is_as_near_to_its_share_as_there_is_a_place(
    documents: list[tuple[int, int]], buckets: int, rows: int
) -> None:
    values, tokens = (np.array(column) for column in zip(*documents, strict=True))
    table = pa.table({"score": values / 32, "tokens": tokens})

    names = grouped(table, Groups(("score",), (("score", buckets),)), rows)
    numbers = np.array([int(name[1:]) for name in names])

    places = [0, *(tokens[values <= value].sum() for value in np.unique(values))]  # where a cut can be
    for number in range(1, buckets):
        below, ideal = tokens[numbers < number].sum(), number * tokens.sum() / buckets
        assert abs(below - ideal) == min(abs(place - ideal) for place in places)
    order = np.argsort(values, kind="stable")
    assert (np.diff(numbers[order]) >= 0).all()
    assert all(len(set(numbers[values == value])) == 1 for value in values)


@given(st.lists(st.floats(width=64), min_size=1))
def test_values_are_rounded_once_and_in_their_order(values: list[float]) -> None:
    made = rounded(pa.array(values, pa.float64()))

    assert np.array_equal(rounded(pa.array(made)), made, equal_nan=True)
    known = np.sort(np.array([value for value in values if not np.isnan(value)]))
    ascending = rounded(pa.array(known, pa.float64()))
    assert (ascending[1:] >= ascending[:-1]).all()
    usual = [value for value in values if 1e-300 < abs(value) < 1e300]
    assert rounded(pa.array(usual, pa.float64())) == pytest.approx(usual, rel=2**-16)
    scores = np.arange(1025) / 1024
    assert (rounded(pa.array(scores)) == scores).all()


def test_edges_do_not_depend_on_how_documents_lie_in_shards() -> None:
    shards = three_shards(3)
    groups = Groups(("quality",), (("quality", 5),))
    joined = pa.concat_tables(shards)

    split, whole = (
        evaluate(find_edges(made, groups)).table for made in (dataset(*shards), dataset(joined, joined.slice(0, 0)))
    )

    assert split.equals(whole)
    assert len(split.column("edges")[0]) == 4


def test_documents_without_a_number_are_a_bucket_of_their_own() -> None:
    assert bucket(pa.array([None, 3, 1], pa.int32()), [2.0]).to_pylist() == ["null", "q1", "q0"]
    assert bucket(pa.array([None, None], pa.float32()), []).to_pylist() == ["null", "null"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"by": []}, "by: []: name one column"),
        ({"by": ["source", "source"]}, "by: ['source', 'source']: name one column, or several different ones"),
        ({"by": "quality"}, "by: column 'quality' holds float: say how it is cut, as in buckets: {quality: 4}"),
        ({"by": "cluster"}, "by: column 'cluster' holds fixed_size_binary[16], which no group can be named by"),
        ({"by": "input_ids"}, "by: column 'input_ids' holds list<item: int32>, which"),
        ({"buckets": {"quality": 4}}, "buckets: column 'quality' is not one of `by` (source): add it there"),
        ({"buckets": {"source": 4}}, "buckets: column 'source' holds string, not numbers"),
        ({"by": "quality", "buckets": {"quality": 1}}, "buckets: quality: 1 buckets: give from 2 to 1000"),
        ({"by": "quality", "buckets": {"quality": []}}, "buckets: quality: []: edges are numbers, at least one"),
        ({"by": "quality", "buckets": {"quality": [1, float("nan")]}}, "buckets: quality: [1, nan]: edges are numbers"),
        ({"by": "quality", "buckets": {"quality": [2, 1]}}, "buckets: quality: [2, 1]: edges ascend"),
        ({"document_weights": "quality"}, "document_weights: column 'quality' holds float, not whole numbers"),
    ],
)
def test_columns_that_cannot_be_grouped_by_are_said(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        Mix(**fields).build(with_tokenizer(three_shards()))

    assert str(error.value).startswith(said)


def test_a_column_that_no_step_makes_is_said() -> None:
    with pytest.raises(PlanError, match="needs column 'topic', which no earlier step makes"):
        Mix(by=["source", "topic"]).build(with_tokenizer(three_shards()))


def test_shares_of_buckets_are_exact_and_the_manifest_says_where_they_are_cut() -> None:
    made = mixed(
        three_shards(2),
        by=["language", "quality"],
        buckets={"quality": 2},
        weights={"zho_Hans/q1": 0.6, "*/q0": 0.1, "eng_Latn/q1": 0.2},
        tokens=16 * 1000,
        seq_len=16,
        max_epochs=None,
        reference="by hand",
    )

    mix = made.manifest["mix"]
    assert {row["group"]: row["samples_seen"] for row in mix["groups"]} == {
        "eng_Latn/q0": 100,
        "eng_Latn/q1": 200,
        "zho_Hans/q0": 100,
        "zho_Hans/q1": 600,
    }
    (edge,) = mix["buckets"]["quality"]
    quality = np.array(made.documents.column("quality"))
    tokens = np.array(made.documents.column("tokens"))
    assert abs(tokens[quality < edge].sum() - tokens.sum() / 2) <= tokens[quality == edge].sum()
    assert (mix["by"], mix["reference"]) == ("language/quality", "by hand")
