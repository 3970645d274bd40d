"""Packing: documents to samples within a shard, worked by hand."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import Dataset, Output, StageError, Work
from datapipe.testing import evaluate
from stages.mix.columns import COUNTS, samples
from stages.mix.groups import Groups
from stages.mix.pack import Pack, Streams, index_columns
from stages.mix.split import Split
from tests.stages.mix.corpus import encoded, name, three_shards, with_tokenizer


@dataclass
class Made:
    """What packing made of documents of shard 4: samples and the other outputs."""

    train: pa.Table
    outputs: dict[str, pa.Table]


def pack(
    table: pa.Table,
    *,
    seq_len: int | None,
    rows_per_batch: int = 3,
    by: str = "source",
    split: Split | None = None,
    best_fit: bool = False,
) -> Made:
    batches = table.combine_chunks().to_batches(max_chunksize=rows_per_batch)
    held: dict[str, list[pa.RecordBatch]] = {"validation": []}
    work = Work(4, emit=lambda output, batch: held.setdefault(output, []).append(batch))
    made = list(Pack(Groups((by,)), seq_len, split, best_fit=best_fit)(iter(batches), work))
    schema = samples(seq_len)
    outputs = {
        name: pa.Table.from_batches(rows, schema=schema if name == "validation" else None)
        for name, rows in held.items()
    }
    return Made(pa.Table.from_batches(made, schema=schema), outputs)


def packed(table: pa.Table, *, seq_len: int, rows_per_batch: int = 3, by: str = "source") -> pa.Table:
    return pack(table, seq_len=seq_len, rows_per_batch=rows_per_batch, by=by).train


def test_documents_are_joined_and_cut_every_seq_len_tokens() -> None:
    table = encoded([3, 6, 2], ["web"] * 3)
    flat = [token for ids in table.column("input_ids").to_pylist() for token in ids]
    rows = packed(table, seq_len=4).to_pylist()

    assert [row["input_ids"] for row in rows] == [flat[:4], flat[4:8], [*flat[8:], 0]]
    assert [row["seq_lengths"] for row in rows] == [[3, 1], [4], [1, 2, 1]]
    assert [row["ids"] for row in rows] == [[name(0), name(1)], [name(1)], [name(1), name(2)]]
    assert [row["doc_starts"] for row in rows] == [[0, 0], [1], [5, 0]]
    assert [row["padding"] for row in rows] == [0, 0, 1]
    assert [(row["group"], row["source"], row["block"], row["index"]) for row in rows] == [
        ("web", "web", 4, n) for n in range(3)
    ]


def test_each_source_has_samples_and_numbers_of_its_own() -> None:
    rows = packed(encoded([3, 3, 3, 3], ["web", "books", "web", "books"]), seq_len=4).to_pylist()

    assert [(row["source"], row["index"], row["padding"]) for row in rows] == [
        ("web", 0, 0),
        ("books", 0, 0),
        ("books", 1, 2),
        ("web", 1, 2),
    ]


def test_a_document_that_fills_a_sample_leaves_no_padding() -> None:
    rows = packed(encoded([4, 4], ["web"] * 2), seq_len=4).to_pylist()

    assert [row["seq_lengths"] for row in rows] == [[4], [4]]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["a", "b"])), min_size=1, max_size=25),
    st.integers(1, 12),
    st.integers(1, 25),
)
def test_samples_do_not_depend_on_how_batches_are_cut(
    drawn: list[tuple[int, str]], seq_len: int, rows_per_batch: int
) -> None:
    lengths, sources = zip(*drawn, strict=True)
    table = encoded(lengths, sources)

    assert packed(table, seq_len=seq_len, rows_per_batch=rows_per_batch).equals(packed(table, seq_len=seq_len))
    assert packed(table, seq_len=seq_len, rows_per_batch=rows_per_batch, by="language").equals(
        packed(table, seq_len=seq_len, by="language")
    )


def test_counts_hold_what_went_in() -> None:
    tables = three_shards()
    made = with_tokenizer(tables)
    result = evaluate(
        made.map(Pack(Groups(("source",)), 16, Split(0, "cluster", 0.5)), schema=samples(16), outputs=_outputs(made))
    )
    counts = pa.concat_tables(result.outputs["counts"]).to_pylist()

    assert sum(row["documents"] for row in counts) == 90
    assert sum(row["tokens"] for row in counts) == sum(sum(table.column("tokens").to_pylist()) for table in tables)
    assert all(row["samples"] * 16 == row["tokens"] + row["padding"] for row in counts)
    assert {row["validation"] for row in counts} == {True, False}


def test_cut_documents_are_counted() -> None:
    counts = pack(encoded([3, 6, 2, 1], ["web"] * 4), seq_len=4).outputs["counts"]

    assert counts.column("cut_documents").to_pylist() == [1]  # tokens 3 to 8; the third ends a sample begun by it


def test_lost_tokens_are_a_broken_contract() -> None:
    streams = Streams(0)
    of_row = streams.of(np.zeros(1, np.int64), [(False, "web", "web")])
    streams.add("tokens", of_row, np.array([3]))

    with pytest.raises(StageError, match="0 samples of 4 do not hold 3 tokens"):
        streams.counts(4)


def test_a_null_source_is_a_group_too() -> None:
    table = encoded([3], ["web"])
    table = table.set_column(1, "source", pa.nulls(1, pa.string()))

    assert packed(table, seq_len=4).column("group").to_pylist() == ["null"]


def _outputs(made: Dataset) -> list[Output]:
    names = [("validation", samples(16)), ("counts", COUNTS), ("documents", index_columns(made.schema))]
    return [Output(name, schema) for name, schema in names]
