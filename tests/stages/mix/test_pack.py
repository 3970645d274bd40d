"""Packing: documents to samples within a shard, worked by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import Dataset, Output, StageError, Work
from datapipe.testing import evaluate
from stages.mix import plain
from stages.mix.columns import COUNTS, samples
from stages.mix.groups import Groups
from stages.mix.pack import Pack, Streams, index_columns
from stages.mix.split import Split
from tests.stages.mix.corpus import EOS, encoded, name, three_shards, with_tokenizer


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


def packed_best(table: pa.Table, *, seq_len: int) -> pa.Table:
    return pack(table, seq_len=seq_len, best_fit=True).train


@contextmanager
def windows(limit: int) -> Iterator[None]:
    """Makes windows of best-fit `limit` tokens, where a document counts for 3 more than it has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stages.mix.pack.WINDOW_TOKENS", limit)
        patch.setattr("stages.mix.pack.DOCUMENT_TOKENS", 3)
        yield


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


SOURCES = ["a", "b", "c"]
DRAWN = st.lists(st.tuples(st.integers(1, 40), st.sampled_from(SOURCES)), min_size=1, max_size=40)


def pieces_of(made: pa.Table) -> list[tuple[int, int, list[tuple[int, int, int]]]]:
    """Returns stream, number and pieces (row, start, length) of samples."""
    return [
        (
            SOURCES.index(row["source"]),
            row["index"],
            list(zip(row["doc_rows"], row["doc_starts"], row["seq_lengths"][: len(row["ids"])], strict=True)),
        )
        for row in made.to_pylist()
    ]


def windows_of(drawn: list[tuple[int, str]], limit: int) -> list[list[tuple[int, int]]]:
    """Returns pairs of stream and tokens, cut behind the document that brings a window to `limit`, by hand."""
    windows, weight = [[]], 0  # type: list[list[tuple[int, int]]], int
    for length, source in drawn:
        if weight >= limit:
            windows, weight = [*windows, []], 0
        windows[-1].append((SOURCES.index(source), length))
        weight += length + 3
    return windows


@settings(max_examples=100, deadline=None)
@given(DRAWN, st.integers(1, 25), st.integers(1, 45))
def test_joined_samples_are_those_of_the_plain_twin(
    drawn: list[tuple[int, str]], seq_len: int, rows_per_batch: int
) -> None:
    lengths, sources = zip(*drawn, strict=True)
    twin = plain.joined([(SOURCES.index(source), length) for length, source in drawn], seq_len)

    with windows(1):
        made = packed(encoded(lengths, sources), seq_len=seq_len, rows_per_batch=rows_per_batch)

    assert pieces_of(made) == [(sample.stream, sample.number, sample.pieces) for sample in twin]


@settings(max_examples=200, deadline=None)
@given(DRAWN, st.integers(1, 25), st.integers(1, 45), st.sampled_from([1, 60, 300, 10_000]))
def test_best_fit_samples_are_those_of_the_plain_twin(
    drawn: list[tuple[int, str]], seq_len: int, rows_per_batch: int, limit: int
) -> None:
    lengths, sources = zip(*drawn, strict=True)
    twin = plain.fitted(windows_of(drawn, max(limit, 16 * seq_len)), seq_len)

    with windows(limit):
        made = pack(encoded(lengths, sources), seq_len=seq_len, rows_per_batch=rows_per_batch, best_fit=True)

    assert pieces_of(made.train) == [(sample.stream, sample.number, sample.pieces) for sample in twin]


@settings(max_examples=60, deadline=None)
@given(
    DRAWN,
    st.integers(1, 25),
    st.integers(1, 45),
    st.sampled_from([1, 300]),
    st.sampled_from([None, 0.3]),
    st.booleans(),
)
def test_every_token_is_packed_once_and_found_where_it_is_said_to_be(
    drawn: list[tuple[int, str]], seq_len: int, rows_per_batch: int, limit: int, ratio: float | None, best_fit: bool
) -> None:
    lengths, sources = zip(*drawn, strict=True)
    table = encoded(lengths, sources)
    documents = table.column("input_ids").to_pylist()
    split = Split(0, "cluster", ratio) if ratio else None

    with windows(limit):
        made = pack(table, seq_len=seq_len, rows_per_batch=rows_per_batch, split=split, best_fit=best_fit)

    seen: list[tuple[int, int]] = []
    begins: dict[int, int] = {}
    for row in made.train.to_pylist() + made.outputs["validation"].to_pylist():
        at = 0
        for length, document, start, own in zip(
            row["seq_lengths"], row["doc_rows"], row["doc_starts"], row["ids"], strict=False
        ):
            assert own == name(document)
            assert row["input_ids"][at : at + length] == documents[document][start : start + length]
            begins |= {document: row["index"]} if start == 0 else {}
            seen += [(document, start + place) for place in range(length)]
            at += length
        assert row["input_ids"][at:] == [EOS] * row["padding"]
        assert sum(row["seq_lengths"]) == seq_len
        assert row["seq_lengths"][len(row["ids"]) :] == [row["padding"]] * (row["padding"] > 0)
    assert sorted(seen) == [(number, at) for number, ids in enumerate(documents) for at in range(len(ids))]
    index = made.outputs["documents"]
    assert index.column("id").to_pylist() == table.column("id").to_pylist()
    assert index.column("index").to_pylist() == [begins[number] for number in range(len(documents))]


@settings(max_examples=60, deadline=None)
@given(DRAWN, st.integers(1, 25), st.sampled_from([1, 300]))
def test_best_fit_cuts_no_document_that_fits(drawn: list[tuple[int, str]], seq_len: int, limit: int) -> None:
    lengths, sources = zip(*drawn, strict=True)

    with windows(limit):
        made = pack(encoded(lengths, sources), seq_len=seq_len, best_fit=True)

    found: dict[int, list[int]] = {}
    for _, _, pieces in pieces_of(made.train):
        for row, _, length in pieces:
            found.setdefault(row, []).append(length)
    for row, length in enumerate(lengths):
        assert sorted(found[row], reverse=True) == [seq_len] * (length // seq_len) + [length % seq_len] * (
            length % seq_len > 0
        )
    cut = sum(made.outputs["counts"].column("cut_documents").to_pylist())
    assert cut == sum(length > seq_len for length in lengths)


def test_what_fills_samples_of_a_long_document_has_consecutive_numbers() -> None:
    rows = packed_best(encoded([3, 18, 2], ["a"] * 3), seq_len=4).to_pylist()

    assert [(row["index"], row["doc_rows"], row["doc_starts"]) for row in rows] == [
        (0, [0], [0]),
        (1, [1], [0]),
        (2, [1], [4]),
        (3, [1], [8]),
        (4, [1], [12]),
        (5, [1, 2], [16, 0]),
    ]


def test_best_fit_by_hand() -> None:
    """Lengths 5, 3, 7, 2, 4, 3 into 8: decreasing 7 | 5 | 4 | 3 with the 5 | 3 with the 4 | 2 alone."""
    rows = packed_best(encoded([5, 3, 7, 2, 4, 3], ["a"] * 6), seq_len=8).to_pylist()

    assert [(row["index"], row["doc_rows"], row["seq_lengths"], row["padding"]) for row in rows] == [
        (0, [0, 1], [5, 3], 0),
        (1, [2], [7, 1], 1),
        (2, [4, 5], [4, 3, 1], 1),
        (3, [3], [2, 6], 6),
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(1, 12))
def test_best_fit_needs_at_most_what_is_proven_of_it(lengths: list[int], seq_len: int) -> None:
    """At most 11/9 of the fewest bins, and 6/9 (Johnson 1974; Dosa 2007 for the constant, of first-fit-decreasing)."""
    rests = [length % seq_len for length in lengths if length % seq_len]
    fewest = sum(length // seq_len for length in lengths) + fewest_bins(sorted(rests, reverse=True), seq_len)

    made = packed_best(encoded(lengths, ["a"] * len(lengths)), seq_len=seq_len).num_rows

    assert fewest <= made <= 11 / 9 * fewest + 6 / 9


def fewest_bins(lengths: list[int], size: int) -> int:
    """Returns the least number of bins that hold all of these, by trying every way."""

    def least(left: tuple[int, ...], rooms: tuple[int, ...]) -> int:
        if not left:
            return len(rooms)
        ways = [
            least(left[1:], (*rooms[:place], room - left[0], *rooms[place + 1 :]))
            for place, room in enumerate(rooms)
            if room >= left[0] and room not in rooms[:place]
        ]
        return min([*ways, least(left[1:], (*rooms, size - left[0]))])

    return least(tuple(lengths), ())


def test_the_sample_begun_last_is_filled_from_the_next_window() -> None:
    """Two tokens and 3 a document: windows of 64 hold 13, six samples of 4 and half of one."""
    with windows(64):
        made = pack(encoded([2] * 26, ["a"] * 26), seq_len=4, best_fit=True)

    counts = made.outputs["counts"].to_pylist()[0]
    assert (counts["samples"], counts["padding"]) == (13, 0)
    assert made.outputs["documents"].column("index")[12:14].to_pylist() == [6, 6]


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
