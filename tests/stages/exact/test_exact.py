"""Of documents that agree in a key one stays, and the others name it."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import opencc
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import ConfigError, PlanError, Work
from datapipe.stage import Seen
from datapipe.testing import Result, dataset, evaluate
from stages.dedup.fold import fold_table, load, tokens
from stages.dedup.survivor import Preference
from stages.exact import DedupExact
from stages.exact.keys import Know, folded, url_key

FOLD = load(fold_table())
KINDS = {"cluster_size": pa.int32(), "crawl_time": pa.int64(), "number": pa.int64(), "score": pa.float32()}
SENTENCE = "昨夜颱風登陸，部分航班取消。"
Row = dict[str, object]


def documents(rows: list[Row], *, columns: tuple[str, ...] = ("text",)) -> pa.Table:
    """Returns rows as documents; an id is a hash of the field `id`, or else of the whole row and its place."""
    made: dict[str, pa.Array] = {}
    names = tuple(dict.fromkeys([*columns, *(name for row in rows for name in row if name != "id")]))
    ids = [str(row.get("id", (place, sorted(row.items())))) for place, row in enumerate(rows)]
    made["id"] = pa.array([hashlib.blake2b(one.encode(), digest_size=16).digest() for one in ids], pa.binary(16))
    for name in names:
        made[name] = pa.array([row.get(name) for row in rows], KINDS.get(name, pa.string()))
    digests = [hashlib.blake2b(str(row.get("text") or "").encode(), digest_size=16).digest() for row in rows]
    made["text_digest"] = pa.array(digests, pa.binary(16))
    return pa.table(made)


def run(stage: DedupExact, *shards: list[Row], rows_per_batch: int = 3) -> Result:
    names = tuple(dict.fromkeys(name for shard in shards for row in shard for name in row if name != "id"))
    tables = [documents(shard, columns=("text", *names)) for shard in shards]
    tables = [table.select(sorted(table.schema.names)) for table in tables]
    return evaluate(stage.build(dataset(*tables)), rows_per_batch=rows_per_batch)


def kept(result: Result, column: str = "text") -> list[object]:
    return sorted(result.table[column].to_pylist(), key=str)


def urls(*addresses: str | None) -> list[Row]:
    return [{"id": place, "url": url, "text": f"text {place}"} for place, url in enumerate(addresses)]


def test_of_one_url_one_document_stays_and_the_others_name_it() -> None:
    rows: list[Row] = [
        {"url": "http://a.example/x", "text": "short"},
        {"url": "https://A.example:443/x/?utm_source=mail#top", "text": "the longest of the three"},
        {"url": "http://a.example/x", "text": "middling"},
        {"url": "http://a.example/y", "text": "another"},
    ]

    result = run(DedupExact(by="url"), rows[:2], rows[2:])

    by_text = {row["text"]: row for row in result.table.to_pylist()}
    assert by_text.keys() == {"the longest of the three", "another"}
    survivor = by_text["the longest of the three"]
    assert (survivor["cluster"], survivor["cluster_size"]) == (survivor["id"], 3)
    assert by_text["another"]["cluster_size"] == 1
    assert result.ledger["action"].to_pylist() == ["duplicate_of"] * 2
    assert result.ledger["rule"].to_pylist() == ["exact_url"] * 2
    assert result.ledger["other"].to_pylist() == [survivor["id"]] * 2
    assert result.ledger["similarity"].to_pylist() == [None, None]
    assert sorted(result.ledger["note"].to_pylist()) == ["middling", "short"]
    assert result.counts["clusters"] == 1


@pytest.mark.parametrize(
    ("one", "other", "alike", "are_one"),
    [
        ("http://a.cn/x", "https://a.cn/x", None, True),
        ("http://a.cn/x", "https://a.cn/x", ("slash",), False),
        ("http://a.cn/x", "http://a.cn/x/", None, True),
        ("http://a.cn/x", "http://a.cn/x/", ("scheme",), False),
        ("http://a.cn", "http://a.cn/", (), True),
        ("http://a.cn/x?q=1", "http://a.cn/x/?q=1", None, True),
        ("http://a.cn/x", "http://www.a.cn/x", None, False),
        ("http://a.cn/x", "http://www.a.cn/x", ("www",), True),
        ("http://a.cn/x", "http://A.CN:80/%78?utm_medium=x&spm=1#part", (), True),
        ("http://a.cn/x", "http://a.cn/X", None, False),
        ("http://a.cn/x?q=1", "http://a.cn/x?q=2", None, False),
        ("http://a.cn/x", "http://a.cn:8080/x", None, False),
        ("http://bücher.example/", "http://xn--bcher-kva.example", None, True),  # RFC 3492
        ("ftp://a.cn/x", "ftp://a.cn/x/", None, False),  # of other schemes nothing is known
    ],
)
def test_what_makes_two_addresses_one(one: str, other: str, alike: tuple[str, ...] | None, are_one: bool) -> None:
    result = run(DedupExact(by="url", alike=alike), urls(one, other))  # type: ignore[arg-type]

    assert result.table.num_rows == (1 if are_one else 2)


@given(st.text(alphabet="htp:/w.a?#&=x", max_size=30), st.sets(st.sampled_from(["scheme", "www", "slash"])))
def test_the_key_of_an_address_with_nothing_alike_is_a_normal_form(url: str, alike: set[str]) -> None:
    key = url_key(url, ())

    assert url_key(key, ()) == key
    assert url_key(key, tuple(alike)) == url_key(url, tuple(alike))


@pytest.mark.parametrize("by", ["url", "text", "folded", "title", "number"])
def test_documents_without_a_key_are_nobodys_duplicates(by: str) -> None:
    empty: list[object] = [None] if by == "number" else [None, None, "", ""]
    rows: list[Row] = [
        {"id": place, "text": "one text", by if by != "folded" else "text": key} for place, key in enumerate(empty)
    ]

    result = run(DedupExact(by=by), [*rows, {**rows[0], "id": "again"}])

    assert result.table.num_rows == len(rows) + 1
    assert result.counts["no_key"] == len(rows) + 1


def test_texts_agree_to_the_byte_and_folded_ones_in_what_they_say() -> None:
    forms = [SENTENCE, SENTENCE, opencc.OpenCC("t2s").convert(SENTENCE), SENTENCE.replace("，", ", "), f" {SENTENCE}\n"]
    rows: list[Row] = [{"id": place, "text": text} for place, text in enumerate([*forms, "别的"])]

    by_text, by_view = run(DedupExact(by="text"), rows), run(DedupExact(by="folded"), rows)

    assert kept(by_text) == sorted({*forms, "别的"})
    assert by_view.table.num_rows == 2
    assert by_view.ledger["rule"].to_pylist() == ["exact_folded"] * 4
    assert by_view.ledger["similarity"].to_pylist() == [1.0] * 4
    assert by_text.ledger["similarity"].to_pylist() == [1.0]


def test_what_is_empty_when_folded_is_known_by_its_bytes() -> None:
    rows: list[Row] = [{"id": place, "text": text} for place, text in enumerate(["。。。", "!!!", "。。。", "👍", " "])]

    assert kept(run(DedupExact(by="folded"), rows)) == sorted(["。。。", "!!!", "👍", " "])


def test_a_digest_that_is_missing_is_made() -> None:
    table = documents([{"id": place, "text": text} for place, text in enumerate(["a b", "a b", "c", "a b"])])
    held = table["text_digest"].to_pylist()
    table = table.set_column(
        table.schema.get_field_index("text_digest"), "text_digest", pa.array([None, *held[1:]], pa.binary(16))
    )

    assert kept(evaluate(DedupExact(by="text").build(dataset(table)))) == ["a b", "c"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.binary(2), pa.int16(), pa.uint64()])
def test_any_column_of_text_bytes_or_integers_is_a_key(kind: pa.DataType) -> None:
    values = pa.array([10, 11, 10, None, None], pa.int64()).cast(pa.string())
    values = values.cast(pa.int64()).cast(kind) if pa.types.is_integer(kind) else values.cast(pa.binary()).cast(kind)
    table = documents([{"id": place, "text": str(place)} for place in range(5)]).append_column("isbn", values)

    result = evaluate(DedupExact(by="isbn").build(dataset(table)))

    assert result.table.num_rows == 4
    assert result.ledger["rule"].to_pylist() == ["exact_isbn"]


def test_documents_of_other_parts_are_left_alone() -> None:
    rows: list[Row] = [
        {"id": place, "text": "same", "source": source, "language": language}
        for place, (source, language) in enumerate(
            [("a", "x"), ("a", "x"), ("a", "y"), ("b", "x"), ("a", None), ("a", None), ("x", "a")]
        )
    ]

    result = run(DedupExact(by="text", within=("source", "language")), rows)

    assert result.table.num_rows == 5
    assert Counter(result.table["cluster_size"].to_pylist()) == {2: 2, 1: 3}


def test_the_survivor_is_the_first_by_the_declared_columns() -> None:
    rows: list[Row] = [
        {"id": place, "text": "same", "url": "http://a.cn/", "crawl_time": time, "source": source}
        for place, (time, source) in enumerate([(3, "web"), (1, "web"), (2, "book"), (9, "book")])
    ]

    latest = run(DedupExact(by="url", survivor=("-crawl_time",)), rows)
    books = run(DedupExact(by="url", survivor=({"source": ("book",)}, "crawl_time")), rows)

    assert latest.table["crawl_time"].to_pylist() == [9]
    assert books.table["crawl_time"].to_pylist() == [2]


def test_a_survivor_stands_for_all_that_its_copies_stood_for() -> None:
    rows: list[Row] = [
        {"id": 0, "text": "same one", "cluster_size": 3},
        {"id": 1, "text": "same one", "cluster_size": 2},
        {"id": 2, "text": "another", "cluster_size": 7},
        {"id": 3, "text": "no size", "cluster_size": None},
        {"id": 4, "text": "huge", "cluster_size": 2**31 - 1},
        {"id": 5, "text": "huge", "cluster_size": 1},
    ]

    result = run(DedupExact(by="text"), rows)

    sizes = dict(zip(result.table["text"].to_pylist(), result.table["cluster_size"].to_pylist(), strict=True))
    assert sizes == {"same one": 5, "another": 7, "no size": 1, "huge": 2**31 - 1}
    assert result.table["cluster"].to_pylist() == result.table["id"].to_pylist()


def test_sizes_add_up_over_passes_and_batches() -> None:
    rows: list[Row] = [
        {"id": place, "text": f"text {place % 5}", "url": f"http://a.cn/{place % 3}"} for place in range(60)
    ]
    table = documents(rows)
    once = DedupExact(by="text").build(dataset(table.slice(0, 31), table.slice(31)))

    result = evaluate(DedupExact(by="url").build(once), rows_per_batch=2)

    assert sum(result.table["cluster_size"].to_pylist()) == 60


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", "", None]), st.integers(0, 3)), max_size=24),
    st.integers(1, 4),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_shards_batches_and_order_change_nothing_and_twice_is_once(
    held: list[tuple[str | None, int]], shards: int, size: int, draw: random.Random
) -> None:
    rows: list[Row] = [
        {"id": place, "url": url, "text": f"text {n}", "crawl_time": n} for place, (url, n) in enumerate(held)
    ]
    shuffled = draw.sample(rows, len(rows))
    dealt = [shuffled[start::shards] for start in range(shards)]

    whole = run(DedupExact(by="url"), rows or [{"id": 0, "url": None, "text": "", "crawl_time": 0}])
    parts = [documents(part, columns=("url", "text", "crawl_time")) for part in dealt]
    stage = DedupExact(by="url")
    once = evaluate(stage.build(dataset(*parts)), rows_per_batch=size)
    twice = evaluate(stage.build(dataset(once.table)), rows_per_batch=size)

    if rows:
        assert sorted(once.table["id"].to_pylist()) == sorted(whole.table["id"].to_pylist())
        pairs = (sorted(zip(*(r.ledger[c].to_pylist() for c in ("id", "other")), strict=True)) for r in (whole, once))
        assert len({tuple(one) for one in pairs}) == 1
    assert once.table.num_rows + once.ledger.num_rows == len(rows)
    assert once.table.num_rows == len({url for url, _ in held if url}) + sum(not url for url, _ in held)
    assert sum(once.table["cluster_size"].to_pylist()) == len(rows)
    assert twice.table.num_rows == once.table.num_rows
    assert twice.table["cluster_size"].to_pylist() == once.table["cluster_size"].to_pylist()


@given(st.lists(st.text(alphabet="aA ,，。软軟體体１1é\u0301㌖\n", max_size=6), max_size=12))
def test_the_kernel_says_equal_exactly_where_the_plain_folded_views_are(texts: list[str]) -> None:
    made = folded(pa.array(texts, pa.string()), FOLD)

    views = [tuple(tokens(text, FOLD)) for text in texts]
    hashes = [tuple(row) for row in made.hashes.tolist()]
    assert made.tokens.tolist() == [len(view) for view in views]
    assert len(set(hashes)) == len(set(views))
    assert len(set(zip(hashes, views, strict=True))) == len(set(views))


def test_an_estimate_knows_that_a_sample_has_fewer_copies_than_the_whole() -> None:
    whole: list[Row] = [{"id": place, "text": f"text {max(place - 1000, place % 1000)}"} for place in range(4000)]
    table = documents(random.Random(5).sample(whole, 1000))  # of 4,000 documents 1,000 are copies: 3,000 stay
    stage = DedupExact(by="text")

    result = evaluate(stage.build(dataset(table)), rows_per_batch=500)
    seen = Seen([4.0], [4.0], [0.25], lambda function, output: iter([(0, result.table)]))
    (grown,) = stage.growth(seen).rows.values()

    assert 4 * result.table.num_rows > 3600
    assert grown[0] * result.table.num_rows == pytest.approx(3000, rel=0.06)  # type: ignore[index]  # a factor a shard


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"by": "utl"}, PlanError, r"by: no earlier step makes a column 'utl' \(did you mean 'url'\?\)"),
        ({"by": "fold"}, PlanError, r"did you mean 'folded'\?"),
        ({"by": "score"}, ConfigError, "by: column 'score' holds float; documents agree in text, bytes or integers"),
        ({"by": "url", "within": ("score",)}, ConfigError, r"within\[0\]: column 'score' holds float"),
        ({"by": "url", "within": ("sauce",)}, PlanError, r"within\[0\]: no earlier step makes a column 'sauce'"),
        ({"by": "url", "within": ("url",)}, ConfigError, "within: documents agree by 'url' already"),
        ({"by": "url", "within": ("text", "text")}, ConfigError, "within: .* names a column twice"),
        ({"by": "text", "alike": ("www",)}, ConfigError, "alike: says what URLs may differ in"),
        ({"by": "url", "survivor": ("crawltime",)}, PlanError, "survivor: no earlier step makes a column 'crawltime'"),
    ],
)
def test_mistakes_are_named_before_data_is_read(fields: dict[str, object], error: type[Exception], says: str) -> None:
    table = documents([{"url": "http://a.cn", "text": "", "score": 1.0, "crawl_time": 1}])

    with pytest.raises(error, match=says):
        DedupExact(**fields).build(dataset(table))  # type: ignore[arg-type]


@pytest.mark.parametrize("by", ["url", "text", "folded"])
def test_a_batch_of_no_documents_is_no_mistake(by: str) -> None:
    schema = documents([{"url": "http://a.cn", "text": "one"}]).schema
    fold = fold_table() if by == "folded" else None
    know = Know(by=by, alike=(), within=("url",), order=(Preference("length"),), fold=fold)

    (batch,) = know(iter([pa.RecordBatch.from_pylist([], schema)]), Work(0))

    assert batch.num_rows == 0
