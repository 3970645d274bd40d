"""The mix from encoded documents to a corpus, read back as trainers read it."""

import hashlib
import struct
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import ConfigError, DataError, PlanError
from datapipe.testing import dataset
from stages.mix import Mix, Validation, plan
from stages.mix.merkle import merkle_root
from stages.mix.order import Order
from tests.stages.mix.corpus import EOS, Corpus, encoded, mixed, name, three_shards, with_tokenizer, written

WEIGHTS = {"books": 0.6, "web": 0.4}
PACKED: dict[str, Any] = {"weights": WEIGHTS, "tokens": 8000, "seq_len": 32, "shard_bytes": 5000, "max_epochs": None}


def ids_of(tables: list[pa.Table]) -> dict[str, list[int]]:
    """Returns the ids of every document by its hex name."""
    return {row["id"].hex(): row["input_ids"] for table in tables for row in table.to_pylist()}


def order_of(corpus: Corpus, seed: int) -> Order:
    groups = corpus.manifest["mix"]["groups"]
    labels, sizes, quotas = (tuple(row[key] for row in groups) for key in ("group", "samples", "samples_seen"))
    return Order(seed, labels, sizes, (quotas,))


@pytest.fixture(scope="module")
def packed() -> Corpus:
    return mixed(three_shards(), **PACKED)


@pytest.fixture(scope="module")
def by_document() -> Corpus:
    return mixed(three_shards(), **PACKED, packing="document")


def test_the_budget_is_met_to_the_sample_and_shared_by_weight(packed: Corpus) -> None:
    groups = {row["group"]: row["samples_seen"] for row in packed.manifest["mix"]["groups"]}

    assert groups == {"books": 150, "web": 100}
    assert packed.train.num_rows == 250


def test_samples_have_one_length_and_say_where_sequences_end(packed: Corpus) -> None:
    assert packed.train.schema.field("input_ids").type == pa.list_(pa.int32(), 32)
    assert packed.train.column("sample").to_pylist() == list(range(250))
    assert {sum(lengths) for lengths in packed.train.column("seq_lengths").to_pylist()} == {32}


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_every_segment_is_found_where_the_index_says(packing: str) -> None:
    packed = mixed(three_shards(), **PACKED, packing=packing)
    documents, rows = ids_of(three_shards()), packed.train.column("input_ids").to_pylist()
    per_shard = packed.manifest["shards"][0]["rows"]

    for piece in packed.segments.to_pylist():
        length = piece["end"] - piece["start"]
        own = documents[piece["doc_id"]][piece["doc_start"] : piece["doc_start"] + length]
        assert rows[piece["sample"]][piece["start"] : piece["end"]] == own
        assert piece["sample"] == piece["shard"] * per_shard + piece["row"]


@pytest.mark.parametrize("packing", ["concat", "best_fit", "document"])
@pytest.mark.parametrize("by", ["source", "language"])
def test_every_segment_names_file_and_row_of_its_document(packing: str, by: str) -> None:
    fields = {"packing": packing, "by": by, "seq_len": 32, "shard_bytes": 5000, "validation": Validation(ratio=0.3)}
    corpus = mixed([*three_shards(), encoded([], []), encoded([40, 3], ["web"] * 2, first=90)], **fields)
    files = [table.column("doc_id").to_pylist() for table in written(corpus.result, "index")]
    documents = pa.concat_tables(corpus.result.outputs["index"])

    assert [row["rows"] for row in corpus.manifest["index"][: len(files)]] == [30, 1, 59, 0, 2]
    for split, segments in (("train", corpus.segments), ("validation", corpus.held_out_segments)):
        found = [files[row["file"]][row["file_row"]] for row in segments.to_pylist()]
        assert found == segments.column("doc_id").to_pylist()
        assert set(found) == set(documents.filter(pc.field("split") == split).column("doc_id").to_pylist())


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_segments_are_the_sequences_of_the_samples_but_for_padding(packing: str) -> None:
    packed = mixed(three_shards(), **PACKED, packing=packing)
    by_sample: dict[int, list[int]] = {}
    for piece in packed.segments.to_pylist():
        by_sample.setdefault(piece["sample"], []).append(piece["end"] - piece["start"])
    padding = 0

    for sample, lengths in enumerate(packed.train.column("seq_lengths").to_pylist()):
        own = by_sample[sample]
        assert lengths[: len(own)] == own
        if len(lengths) > len(own):
            padding += lengths[-1]
            assert set(packed.train.column("input_ids")[sample].as_py()[-lengths[-1] :]) == {EOS}
    assert padding == packed.manifest["splits"]["train"]["padding"] > 0


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_nothing_is_lost_in_one_epoch(packing: str) -> None:
    corpus = mixed(three_shards(), seq_len=32, packing=packing)
    documents = ids_of(three_shards())
    seen: Counter[tuple[str, int]] = Counter()
    for piece in corpus.segments.to_pylist():
        seen.update((piece["doc_id"], piece["doc_start"] + at) for at in range(piece["end"] - piece["start"]))

    assert seen == Counter((own, at) for own, ids in documents.items() for at in range(len(ids)))
    assert corpus.manifest["splits"]["train"]["tokens"] == sum(map(len, documents.values()))


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_documents_cut_and_padding_are_in_manifest_and_report(packing: str) -> None:
    corpus = mixed(three_shards(), seq_len=32, packing=packing)
    samples = Counter(row["doc_id"] for row in corpus.segments.to_pylist())
    cut, padding = sum(amount > 1 for amount in samples.values()), corpus.manifest["splits"]["train"]["padding"]
    longer = sum(len(ids) > 32 for ids in ids_of(three_shards()).values())

    facts = {"samples": corpus.train.num_rows, "padding": padding, "documents": 90, "cut_documents": cut}
    assert corpus.manifest["packing"] == {"by": packing, "seq_len": 32, **facts}
    assert (cut == longer) == (packing == "best_fit")
    share = padding / 32 / corpus.train.num_rows
    sentence = (
        f"packing: {packing} into 32 tokens: {cut} of 90 documents ({cut / 90:.2%}) lie in more than one sample; "
    )
    assert corpus.result.counts[f"remark.{sentence}{share:.4%} of the samples is padding"] == 1


@pytest.mark.parametrize(("sources", "warned"), [(40, 1), (1, 0)])
def test_much_padding_is_warned_of(sources: int, warned: int) -> None:
    """A thousand documents of 3 tokens, alone in samples of 4 where each of a shard's 40 is of another source."""
    names = [f"source{number % sources}" for number in range(40)]
    corpus = mixed([encoded([3] * 40, names, first=40 * shard) for shard in range(25)], seq_len=4)
    found = [name for name in corpus.result.counts if name.startswith("warning.")]

    assert [name.partition(" of ")[0] for name in found] == ["warning.25.0%"] * warned


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_sources_never_share_a_sample_even_where_groups_are_languages(packing: str) -> None:
    corpus = mixed(three_shards(), by="language", seq_len=32, packing=packing)
    rows = [row for table in three_shards() for row in table.to_pylist()]
    kinds = {row["id"].hex(): (row["source"], row["language"]) for row in rows}
    by_sample: dict[int, set[tuple[str, str]]] = {}
    for piece in corpus.segments.to_pylist():
        by_sample.setdefault(piece["sample"], set()).add(kinds[piece["doc_id"]])

    assert {len(found) for found in by_sample.values()} == {1}


def test_pieces_of_a_long_document_are_consecutive_samples_of_its_group() -> None:
    corpus = mixed([encoded([100, 5, 30], ["web"] * 3)], seq_len=16, weights={"web": 1}, tokens=None)
    order = order_of(corpus, 0)
    indices = order.block(0)[2]
    found = [
        (piece["doc_start"], int(indices[piece["sample"]]))
        for piece in corpus.segments.to_pylist()
        if piece["doc_id"] == name(0).hex()
    ]

    assert sorted(found) == [(at * 16, at) for at in range(7)]


@pytest.mark.parametrize("rows", [1, 2, 50, 1000])
@pytest.mark.parametrize("packing", ["concat", "best_fit", "document"])
@pytest.mark.parametrize("by", ["source", "language"])
def test_the_corpus_does_not_depend_on_how_batches_are_cut(rows: int, packing: str, by: str) -> None:
    fields: dict[str, Any] = {
        "by": by,
        "seq_len": 32,
        "packing": packing,
        "shard_bytes": 5000,
        "validation": Validation(ratio=0.2),
    }
    one, other = (mixed(three_shards(), rows_per_batch=count, **fields) for count in (7, rows))

    for shard in [*one.manifest["shards"], *other.manifest["shards"]]:
        del shard["bytes"]  # the files in memory are not cut by rows, as the engine's are
    assert one.manifest == other.manifest
    assert one.train.equals(other.train)
    assert one.segments.equals(other.segments)
    assert one.validation.equals(other.validation)
    assert one.documents.equals(other.documents)


def test_the_order_can_be_proved_without_the_data(packed: Corpus) -> None:
    order = order_of(packed, 0)
    leaves = [order.digest(number) for number in range(order.blocks)]

    assert merkle_root(leaves).hex() == packed.manifest["order_sha256"]


def test_the_order_does_not_depend_on_the_size_of_shards(packed: Corpus) -> None:
    other = mixed(three_shards(), **{**PACKED, "shard_bytes": 1 << 20})

    assert other.manifest["order_sha256"] == packed.manifest["order_sha256"]
    assert other.train.equals(packed.train)
    assert len(packed.manifest["shards"]) == 7
    assert len(other.manifest["shards"]) == 1


def test_another_seed_gives_another_order_of_the_same_samples() -> None:
    one, other = (mixed(three_shards(), seq_len=32, seed=seed) for seed in (1, 2))
    rows = [sorted(map(tuple, corpus.train.column("input_ids").to_pylist())) for corpus in (one, other)]

    assert rows[0] == rows[1]
    assert one.manifest["order_sha256"] != other.manifest["order_sha256"]


def test_token_digests_are_over_lengths_and_ids(by_document: Corpus, packed: Corpus) -> None:
    for corpus in (by_document, packed):
        rows = iter(corpus.train.column("input_ids").to_pylist())
        for shard in corpus.manifest["shards"]:
            content = b""
            for _ in range(shard["rows"]):
                ids = next(rows)
                content += struct.pack(f"<I{len(ids)}i", len(ids), *ids)
            assert hashlib.sha256(content).hexdigest() == shard["tokens_sha256"]


def test_the_merkle_root_is_over_names_and_token_digests(packed: Corpus) -> None:
    shards = packed.manifest["shards"]
    leaves = [shard["name"].encode() + b"\0" + bytes.fromhex(shard["tokens_sha256"]) for shard in shards]

    assert merkle_root(leaves).hex() == packed.manifest["merkle_root"]
    assert shards[0]["name"] == "train-00000-of-00007.arrow"


def test_documents_are_samples_with_their_own_columns(by_document: Corpus) -> None:
    documents = ids_of(three_shards())
    rows = by_document.train.to_pylist()

    assert by_document.train.column_names == ["input_ids", "n_tokens", "doc_id", "source", "lang", "epoch", "quality"]
    assert all(
        row["input_ids"] == documents[row["doc_id"]] and row["n_tokens"] == len(row["input_ids"]) for row in rows
    )
    assert {row["lang"] for row in rows} == {"zho_Hans", "eng_Latn"}


def test_documents_that_no_classifier_has_seen_have_no_quality() -> None:
    tables = [table.drop_columns(["quality", "language"]) for table in three_shards()]
    rows = mixed(tables, packing="document").train

    assert set(map(str, rows.column("quality").to_pylist())) == {"nan"}
    assert rows.column("lang").null_count == 90


def test_by_document_each_group_has_its_tokens_to_within_a_document(by_document: Corpus) -> None:
    seen: Counter[str] = Counter()
    for row in by_document.train.to_pylist():
        seen[row["source"]] += row["n_tokens"]
    longest = max(map(len, ids_of(three_shards()).values()))

    assert abs(seen["books"] - 4800) <= longest / 2
    assert abs(seen["web"] - 3200) <= longest / 2
    assert {row["group"]: row["tokens_seen"] for row in by_document.manifest["mix"]["groups"]} == dict(seen)


@settings(max_examples=15, deadline=None)
@given(st.integers(600, 9000), st.floats(0.05, 0.95))
def test_documents_chosen_for_a_part_of_an_epoch_come_nearest(tokens: int, weight: float) -> None:
    corpus = mixed(
        three_shards(), weights={"books": weight, "web": 1 - weight}, tokens=tokens, packing="document", max_epochs=None
    )
    own: dict[str, list[int]] = {}
    for row in corpus.train.to_pylist():
        own.setdefault(row["source"], []).append(row["n_tokens"])

    for group in corpus.manifest["mix"]["groups"]:
        lengths = own.get(group["group"], [])
        gap = sum(lengths) - group["token_quota"]
        assert abs(gap) <= abs(gap - lengths[-1] if lengths else gap)


def test_once_before_twice_holds_in_the_files(by_document: Corpus, packed: Corpus) -> None:
    for group in ("books", "web"):
        rows = [row for row in by_document.train.to_pylist() if row["source"] == group]
        epochs = [row["epoch"] for row in rows]
        assert epochs == sorted(epochs)
        assert max(Counter((row["doc_id"], row["epoch"]) for row in rows).values()) == 1
    pieces = Counter((row["doc_id"], row["doc_start"], row["epoch"]) for row in packed.segments.to_pylist())
    assert max(pieces.values()) == 1


def test_the_index_says_how_often_a_document_is_seen(packed: Corpus, by_document: Corpus) -> None:
    for corpus in (packed, by_document):
        seen = Counter(row["doc_id"] for row in corpus.segments.to_pylist() if row["doc_start"] == 0)
        rows = corpus.documents.to_pylist()
        assert len(rows) == 90
        assert all(row["times_seen"] == seen[row["doc_id"]] for row in rows)
        assert corpus.manifest["documents"]["unseen"] == sum(row["times_seen"] == 0 for row in rows)


def test_the_index_carries_what_documents_carry(packed: Corpus) -> None:
    assert packed.documents.column_names == [
        "doc_id",
        "source",
        "url",
        "language",
        "cluster",
        "quality",
        "bytes",
        "characters",
        "tokens",
        "split",
        "times_seen",
    ]
    assert packed.documents.column("cluster").to_pylist() == packed.documents.column("doc_id").to_pylist()


def test_clusters_are_held_out_whole() -> None:
    tables = [encoded([20] * 60, ["web"] * 60, clusters=20), encoded([20] * 60, ["web"] * 60, first=60, clusters=20)]
    corpus = mixed(tables, seq_len=16, validation=Validation(documents=10))
    splits: dict[str, set[str]] = {}
    for row in corpus.documents.to_pylist():
        splits.setdefault(row["cluster"], set()).add(row["split"])
    held_out = [row for row in corpus.documents.to_pylist() if row["split"] == "validation"]

    assert {len(found) for found in splits.values()} == {1}
    assert len(held_out) == 12  # clusters of six documents
    assert corpus.manifest["documents"]["held_out"] == 12
    assert corpus.manifest["splits"]["validation"]["tokens"] == 240


def test_held_out_documents_are_in_the_validation_split_alone() -> None:
    corpus = mixed(three_shards(), **PACKED, validation=Validation(ratio=0.3))
    split = {row["doc_id"]: row["split"] for row in corpus.documents.to_pylist()}

    assert {split[row["doc_id"]] for row in corpus.segments.to_pylist()} == {"train"}
    assert corpus.validation.column("sample").to_pylist() == list(range(corpus.validation.num_rows))
    held_out = [len(ids) for own, ids in ids_of(three_shards()).items() if split[own] == "validation"]
    assert corpus.manifest["splits"]["validation"]["tokens"] == sum(held_out)


def test_the_same_documents_are_held_out_at_any_weight() -> None:
    found = [
        {row["doc_id"] for row in corpus.documents.to_pylist() if row["split"] == "validation"}
        for corpus in (
            mixed(three_shards(), **PACKED, validation=Validation(ratio=0.3)),
            mixed(three_shards(), seq_len=64, validation=Validation(ratio=0.3)),
        )
    ]

    assert found[0] == found[1]


def test_without_a_budget_no_group_is_repeated_and_one_is_seen_whole() -> None:
    corpus = mixed(three_shards(), weights=WEIGHTS, seq_len=32)
    epochs = [row["epochs"] for row in corpus.manifest["mix"]["groups"]]

    assert max(epochs) == 1.0
    assert set(corpus.segments.column("epoch").to_pylist()) == {0}


def test_the_schema_tells_datasets_its_features(packed: Corpus, by_document: Corpus) -> None:
    import datasets

    for corpus in (packed, by_document):
        schema = corpus.train.schema
        features = datasets.Features.from_arrow_schema(schema)
        assert features.arrow_schema.remove_metadata() == schema.remove_metadata()
        assert features == datasets.Features.from_arrow_schema(schema.remove_metadata())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"weights": {"books": 1, "wbe": 1}}, "weights name 'wbe', but column 'source' has only 'books', 'web'"),
        ({"weights": {"books": 1}}, "'web' of column 'source' has no weight"),
        ({"weights": {"books": 0, "web": 0}, "default": 1.0}, "every weight is 0"),
        ({"weights": WEIGHTS, "tokens": 100_000}, r"max_epochs: 4.0 of books .*at most .* tokens are possible"),
        ({"tokens": 15, "seq_len": 32}, "less than half a sample of 32"),
        ({"tokens": 1, "packing": "document", "seed": 1}, "less than half a document"),
        ({"by": "topic"}, "'topic'"),
        ({"by": "url"}, "has 90 values, and at most 50 groups"),
    ],
)
def test_what_cannot_be_mixed_is_said(fields: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MOST_GROUPS", 50)
    with pytest.raises(PlanError, match=said):
        mixed(three_shards(), **{"seq_len": 32, **fields})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"seq_len": 0}, "seq_len: 0"),
        ({"seq_len": 1 << 31}, "seq_len: 2147483648 is more than 2,147,483,647"),
        ({"temperature": 1e-9}, "temperature: 1e-09 is less than 0.01"),
        ({"tokens": -5}, "tokens: -5"),
        ({"max_epochs": 0.0}, "max_epochs: 0.0"),
        ({"weights": {"web": -1.0}}, "weights: web: -1.0"),
        ({"default": float("nan")}, "default: nan"),
        ({"weights": {"web": 0.0}}, "weights: every weight is 0"),
        ({"validation": Validation()}, "ratio or documents"),
        ({"validation": Validation(ratio=1.5)}, "ratio: 1.5"),
        ({"validation": Validation(ratio=0.1, documents=3)}, "one of the two"),
    ],
)
def test_fields_that_make_no_sense_are_said(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Mix(**fields).build(with_tokenizer(three_shards()))


def test_documents_must_be_encoded_first() -> None:
    with pytest.raises(PlanError, match="put a 'tokenize' step before"):
        Mix().build(dataset(*three_shards()))


def test_a_column_that_is_named_as_one_of_the_index_is_said() -> None:
    tables = [table.append_column("group", table.column("source")) for table in three_shards()]

    with pytest.raises(PlanError, match="the index has columns of its own named group: give yours other names"):
        mixed(tables)


def test_no_document_at_all_is_said() -> None:
    with pytest.raises(DataError, match="no document is left"):
        mixed([encoded([], [])])


def test_a_held_out_split_that_leaves_nothing_is_said() -> None:
    with pytest.raises(PlanError, match="every document is held out, none is left to sample from"):
        mixed(three_shards(), **PACKED, validation=Validation(documents=90))


def test_a_held_out_split_may_come_out_empty() -> None:
    corpus = mixed(three_shards(), **PACKED, validation=Validation(ratio=1e-12))

    assert corpus.validation.num_rows == 0
    assert corpus.manifest["splits"]["validation"]["samples"] == 0
    assert corpus.manifest["shards"][-1]["name"] == "validation-00000-of-00001.arrow"


@pytest.mark.parametrize("packing", ["concat", "best_fit", "document"])
def test_a_group_of_weight_zero_is_left_out_and_counted_unseen(packing: str) -> None:
    corpus = mixed(three_shards(), **{**PACKED, "weights": {"books": 0, "web": 1}, "packing": packing})
    books, web = corpus.manifest["mix"]["groups"]

    assert books["samples_seen"] == books["tokens_seen"] == 0
    assert books["unseen_samples"] == books["samples"]
    assert web["share_seen"] == 1.0
    assert corpus.manifest["documents"]["unseen"] >= books["documents"]
