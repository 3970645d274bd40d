import contextlib
import datetime
import io
import json
import random
from functools import partial
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import ConfigError, InputFile, Output
from datapipe.testing import Result, dataset, evaluate
from datapipe.work import Work
from stages.ingest import FieldNames, Ingest, SourceConfig
from stages.ingest.charsets import CHARSETS
from stages.ingest.columns import BATCH_BYTES, BUFFER_BYTES, Bounded, Part, ReadColumns, parquet_parts
from stages.ingest.extract import extract
from stages.ingest.fields import raw_of, rows_of
from stages.ingest.rows import RAW, Row, batches, document_id
from stages.schema import DOCUMENT
from tests.stages.ingest.archives import PARAGRAPH, html, reasons, rows

FORMS = ("parquet", "arrow", "stream")
TABLE = pa.table(
    {
        "content": ["第一篇", None, "third\r\n", "", "第五"],
        "url": ["http://a.example.org/1?utm_source=x", None, "", "x", "http://example.com"],
        "date": pa.array([1_700_000_000_123, None, 0, 1, 2], pa.timestamp("ms")),
        "meta": [{"b": [1, 2], "a": float("nan")}, None, {"b": [], "a": 1.5}, None, None],
        "picture": pa.array([b"\x89PNG"] * 5, pa.binary()),
        "n": pa.array([1, None, 3, 4, 5], pa.int8()),
    }
)


def written(path: Path, table: pa.Table, form: str, rows_per_group: int = 2) -> Path:
    """Writes a table as `form`; returns the path, which has the ending for it."""
    path = path.with_suffix(".parquet" if form == "parquet" else ".arrow")
    if form == "parquet":
        pq.write_table(table, path, row_group_size=rows_per_group)
        return path
    new = pa.ipc.new_file if form == "arrow" else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows_per_group)
    return path


def read(path: Path, **config: object) -> Result:
    given = {"path": str(path), **config}
    return evaluate(Ingest(sources={"web": SourceConfig(**given)}, max_document_bytes=1 << 20).build())  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
def test_makes_a_document_of_each_row(tmp_path: Path, form: str) -> None:
    result = read(written(tmp_path / "a", TABLE, form), fields=FieldNames(text="content"))

    first, third, fifth = rows(result)
    assert [row["text"] for row in (first, third, fifth)] == ["第一篇", "third", "第五"]
    assert [row["offset"] for row in (first, third, fifth)] == [0, 2, 4]
    assert first["id"] == document_id("web", str(first["file"]), 0)
    assert (first["crawl_time"], first["crawl_date"]) == (1_700_000_000, "2023-11-14T22:13:20Z")
    assert (first["domain"], first["canonical_url"]) == ("example.org", "http://a.example.org/1")
    assert third["url"] is None
    assert first["extra"] == '{"meta":{"a":null,"b":[1,2]},"n":1}'
    assert third["extra"] == '{"meta":{"a":1.5,"b":[]},"n":3}'
    assert (first["charset_by"], first["no_ai"]) == ("given", None)
    assert sorted(reasons(result)) == [("drop", "missing_text", None), ("drop", "no_text", None)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
)
def test_takes_text_of_any_type(tmp_path: Path, form: str, kind: pa.DataType) -> None:
    texts = ["字" * 10, None, "b", "b"]
    column = pa.array(texts).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(texts).cast(kind)

    result = read(written(tmp_path / "a", pa.table({"text": column}), form, 4))

    assert [row["text"] for row in rows(result)] == ["字" * 10, "b", "b"]


@pytest.mark.parametrize(
    ("column", "seconds"),
    [
        (pa.array([1], pa.timestamp("s")), 1),
        (pa.array([1_500_000_000_000_000_001], pa.timestamp("ns", "Asia/Shanghai")), 1_500_000_000),
        (pa.array([datetime.date(2020, 1, 2)]), 1_577_923_200),
        (pa.array(["2020-01-02T00:00:00Z"]), 1_577_923_200),
        (pa.array([1_577_923_200_000]), 1_577_923_200),
        (pa.array([2**60], pa.timestamp("s")), None),
        (pa.array([{"a": 1}]), None),
    ],
)
def test_reads_dates_of_any_type(tmp_path: Path, column: pa.Array, seconds: int | None) -> None:
    result = read(written(tmp_path / "a", pa.table({"text": ["x"], "date": column}), "arrow"))

    assert [row["crawl_time"] for row in rows(result)] == [seconds]


def test_carries_what_json_has_not(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["x"],
            "ns": pa.array([1], pa.timestamp("ns")),
            "late": pa.array([2**60], pa.timestamp("s")),
            "took": pa.array([5], pa.duration("ns")),
            "price": pa.array(["1.50"]).cast(pa.decimal128(5, 2)),
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "raw": pa.array([b"\0\1"], pa.binary()),
            "inf": [float("inf")],
        }
    )
    carry = tuple(table.column_names[1:])

    result = read(written(tmp_path / "a", table, "arrow"), fields=FieldNames(carry=carry))

    held = json.loads(str(rows(result)[0]["extra"]))
    assert held.pop("late")
    assert held == {
        "ns": "1970-01-01 00:00:00.000000001",
        "took": 5,
        "price": "1.50",
        "map": [["k", 1]],
        "raw": "AAE=",
        "inf": None,
    }


@pytest.mark.parametrize("form", FORMS)
def test_extracts_pages_from_a_column(tmp_path: Path, form: str) -> None:
    table = pa.table(
        {"html": [html(1), None, html(2, "gb18030")], "text": ["never read"] * 3, "url": ["http://x.org/"] * 3}
    )

    result = read(written(tmp_path / "a", table, form), fields=FieldNames(html="html"))

    assert [row["title"] for row in rows(result)] == ["标题1", "标题2"]
    assert [(row["charset"], row["no_ai"], row["extra"]) for row in rows(result)] == [
        ("utf-8", False, None),
        ("gb18030", False, None),
    ]
    assert reasons(result) == [("drop", "missing_text", None)]


def test_extracts_pages_from_json_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"page": html(1).decode(), "text": "never read", "k": 1}))

    (row,) = rows(read(tmp_path / "a.jsonl", fields=FieldNames(html="page")))

    assert (row["title"], row["extra"]) == ("标题1", '{"k":1}')
    assert PARAGRAPH in str(row["text"])


@pytest.mark.parametrize("form", FORMS)
def test_refuses_texts_that_are_too_long_or_no_utf8(tmp_path: Path, form: str) -> None:
    texts = pa.array([b"x" * (1 << 20), b"x" * (1 + (1 << 20)), b"a\xffb"], pa.binary()).view(pa.string())

    result = read(written(tmp_path / "a", pa.table({"text": texts}), form))

    assert [len(str(row["text"])) for row in rows(result)] == [1 << 20, 3]
    assert sorted(reasons(result)) == [("drop", "too_large", 1 + (1 << 20)), ("repair", "undecodable", 1.0)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("table", [TABLE.slice(0, 0), pa.table({"content": pa.array([], pa.string())})])
def test_reads_nothing_from_a_table_without_rows(tmp_path: Path, form: str, table: pa.Table) -> None:
    result = read(written(tmp_path / "a", table, form), fields=FieldNames(text="content"))

    assert result.table.num_rows == result.ledger.num_rows == 0


@pytest.mark.parametrize("form", FORMS)
def test_says_while_planning_that_there_is_no_text(tmp_path: Path, form: str) -> None:
    path = written(tmp_path / "a", TABLE, form)

    with pytest.raises(
        ConfigError, match=r"no column is called 'text' \(there are: content, url.* fields: \{text: …\}"
    ):
        read(path)
    with pytest.raises(ConfigError, match=r"column 'meta' holds struct.*say which in fields: \{html: …\}"):
        read(path, fields=FieldNames(html="meta"))


@pytest.mark.parametrize(
    ("name", "content", "rule", "why"),
    [
        ("b.parquet", b"", "empty_file", "holds nothing"),
        ("b.parquet", b"PAR1" + bytes(100), "damaged_archive", "its footer cannot be read"),
        ("b.parquet", b"PARE" + bytes(100) + b"PARE", "unsupported", "encrypted"),
        ("b.parquet", b"\x1f\x8b" + bytes(100), "unsupported", "compressed parquet file"),
        ("b.parquet", b'{"text": "x"}', "not_parquet", "no Parquet file begins with"),
        ("b.arrow", b"", "empty_file", "holds nothing"),
        ("b.arrow", b"FEA1" + bytes(100), "unsupported", "Feather V1"),
        ("b.arrow", b"ARROW1\0\0" + bytes(100), "damaged_archive", "holds no schema"),
        ("b.arrow", b"text without end" * 99, "damaged_archive", "holds no schema"),
        ("b.arrow", b"\xff\xff\xff\xff\x10\0\0\0" + bytes(range(64)), "damaged_archive", "holds no schema"),
    ],
)
def test_sets_a_file_aside_that_is_no_table(tmp_path: Path, name: str, content: bytes, rule: str, why: str) -> None:
    (tmp_path / name).write_bytes(content)

    result = read(tmp_path / name)

    assert [item[:2] for item in reasons(result)] == [("quarantine", rule)]
    assert why in result.ledger.column("note")[0].as_py()
    assert result.counts["set_aside"] == 1


def test_sets_a_later_file_aside_that_lacks_the_column(tmp_path: Path) -> None:
    written(tmp_path / "a", pa.table({"text": ["x"]}), "parquet")
    written(tmp_path / "b", pa.table({"body": ["y"]}), "parquet")

    result = read(tmp_path)

    assert [row["text"] for row in rows(result)] == ["x"]
    assert [item[:2] for item in reasons(result)] == [("quarantine", "no_text_column")]


NUMBERED = pa.table({"text": [f"{number} {PARAGRAPH * 30}" for number in range(40)]})


def test_keeps_the_row_groups_beside_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        NUMBERED, path, row_group_size=10, compression="zstd", use_dictionary=False, write_page_checksum=True
    )
    group = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    content[group.data_page_offset + group.total_compressed_size - 50] ^= 0x55
    path.write_bytes(content)

    result = read(path)

    assert [row["offset"] for row in rows(result)] == [*range(10), *range(20, 40)]
    assert [item[:2] for item in reasons(result)] == [("quarantine", "damaged_archive")]
    assert "rows 10-19 of row group 1, about there: " in result.ledger.column("note")[0].as_py()
    assert result.counts["bytes_lost"] == pytest.approx(len(content) / 4, abs=1)


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("form", ["arrow", "stream"])
def test_keeps_the_batches_before_a_cut(tmp_path: Path, form: str, compression: str | None) -> None:
    path = tmp_path / "a.arrow"
    new = pa.ipc.new_file if form == "arrow" else pa.ipc.new_stream
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.OSFile(str(path), "wb") as sink, new(sink, NUMBERED.schema, options=options) as writer:
        writer.write_table(NUMBERED, max_chunksize=5)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])

    result = read(path)

    texts = [row["text"] for row in rows(result)]
    assert 15 <= len(texts) <= 25
    assert texts == NUMBERED.column("text").to_pylist()[: len(texts)]
    assert [item[:2] for item in reasons(result)] == [("quarantine", "truncated_record")]


def test_never_reads_beyond_a_batch_with_wrong_offsets(tmp_path: Path) -> None:
    """Arrow believes the offsets of a file: unchecked, these would be read from memory that is not theirs."""
    path = written(tmp_path / "a", NUMBERED, "arrow", 10)
    content = bytearray(path.read_bytes())
    offsets = pa.array(NUMBERED.column("text").to_pylist()[10:20]).buffers()[1].to_pybytes()[:44]
    place = content.index(offsets)
    content[place + 8 : place + 12] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(content)

    result = read(path)

    assert len(rows(result)) == 30
    assert [item[:2] for item in reasons(result)] == [("quarantine", "damaged_archive")]


@pytest.mark.parametrize("form", FORMS)
def test_raises_for_no_damaged_file(tmp_path: Path, form: str) -> None:
    path = written(tmp_path / "a", TABLE, form)
    content = path.read_bytes()

    for place in range(3, len(content), 41):
        damaged = bytearray(content)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        reader = ReadColumns(
            "parquet" if form == "parquet" else "arrow", "web", None, 1 << 20, FieldNames(text="content")
        )
        file = InputFile(path.name, str(path), len(content), "1")

        assert sum(batch.num_rows for batch in reader([file], Work(0))) <= 5


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30_000), max_size=5), st.integers(1, 12))
def test_reads_each_row_once_however_a_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], group: int
) -> None:
    path = written(tmp_path_factory.mktemp("cut") / "a", NUMBERED.slice(0, 25), "parquet", group)
    size = path.stat().st_size
    ends = [0, *sorted(cut % size for cut in cuts), size]
    reader = ReadColumns("parquet", "web", None, 1 << 20, FieldNames())

    found = [
        row
        for start, end in pairwise(ends)
        for batch in reader([InputFile("a", str(path), size, "1", (start, end))], Work(0))
        for row in batch.column("offset").to_pylist()
    ]

    assert found == list(range(25))


def test_reads_what_datasets_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hugging Face datasets is the other implementation: its own .arrow files are streams."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict({"text": ["一", "二"], "meta": [{"a": [1]}, {"a": []}]})
    made.save_to_disk(str(tmp_path / "saved"))
    made.to_parquet(str(tmp_path / "made.parquet"))

    for path in (tmp_path / "saved" / "*.arrow", tmp_path / "made.parquet"):
        assert [(row["text"], row["extra"]) for row in rows(read(path))] == [
            ("一", '{"meta":{"a":[1]}}'),
            ("二", '{"meta":{"a":[]}}'),
        ]


class Counted(io.BytesIO):
    """A file in memory that knows the most that was asked of it at once."""

    most = 0

    def read(self, size: int | None = -1) -> bytes:
        """Reads as any file does."""
        data = super().read(size)
        self.most = max(self.most, len(data))
        return data


def test_streams_a_row_group_that_is_all_of_a_file() -> None:
    noise = random.Random(1)
    sink = io.BytesIO()
    texts = [noise.randbytes(2000).hex() for _ in range(5000)]
    pq.write_table(pa.table({"text": texts}), sink, compression="none", use_dictionary=False)
    opened = Counted(sink.getvalue())
    file = InputFile("a", "a", len(sink.getvalue()), "1")

    parts = [
        part for part in parquet_parts(Bounded(opened, file.size_bytes), file, FieldNames()) if isinstance(part, Part)
    ]

    assert sum(part.batch.num_rows for part in parts) == 5000
    assert file.size_bytes > 16 * BUFFER_BYTES
    assert opened.most <= 3 * BUFFER_BYTES
    assert max(part.batch.nbytes for part in parts) < 2 * BATCH_BYTES


class Refusing(io.BytesIO):
    """A file of a store that refuses the read number `last`."""

    last = -1

    def read(self, size: int | None = -1) -> bytes:
        """Reads as any file does, so often."""
        self.last -= 1
        if self.last == 0:
            raise ConfigError("the store answers 401")
        return super().read(size)


@pytest.mark.parametrize("form", FORMS)
def test_a_store_that_refuses_is_no_damage(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a", NUMBERED, form, 10)
    file = InputFile("a", str(path), path.stat().st_size, "1")
    reader = ReadColumns("parquet" if form == "parquet" else "arrow", "web", None, 1 << 20, FieldNames())
    opened = Refusing(path.read_bytes())
    monkeypatch.setattr("stages.ingest.columns.open_input", lambda _: contextlib.nullcontext(opened))
    opened.last = 1 << 30
    assert sum(batch.num_rows for batch in reader([file], Work(0))) == 40
    reads = (1 << 30) - opened.last

    for last in range(1, reads):
        opened.seek(0)
        opened.last = last
        with pytest.raises(ConfigError, match="401"):
            list(reader([file], Work(0)))


VALUES = {
    "text": st.none() | st.text(max_size=8) | st.just("好" * 40),
    "url": st.none() | st.sampled_from(["", "http://example.org/a?utm_source=b", "no address"]),
    "date": st.none() | st.sampled_from(["2024-01-02", "", "yesterday"]),
    "title": st.none() | st.text(max_size=3),
    "licence": st.none() | st.sampled_from(["", "CC0-1.0"]),
    "b": st.none() | st.text(max_size=4),
    "a": st.none() | st.floats(),
    "flag": st.none() | st.booleans(),
    "nested": st.none()
    | st.lists(st.fixed_dictionaries({"y": st.none() | st.floats(), "x": st.text(max_size=2)}), max_size=2),
}
KINDS = {
    "a": pa.float64(),
    "flag": pa.bool_(),
    "nested": pa.list_(pa.struct([("y", pa.float64()), ("x", pa.string())])),
}


@given(
    st.lists(st.fixed_dictionaries(VALUES), max_size=6),
    st.sets(st.sampled_from(sorted(set(VALUES) - {"text"}))),
    st.sampled_from([FieldNames(), FieldNames(carry=("b", "nested")), FieldNames(title="b", url="a", licence="flag")]),
    st.sampled_from([None, "MIT"]),
    st.booleans(),
)
def test_by_column_a_table_is_what_it_is_by_row(
    held: list[dict[str, object]], without: set[str], names: FieldNames, licence: str | None, damaged: bool
) -> None:
    columns = {
        name: pa.array([row[name] for row in held], KINDS.get(name, pa.string()))
        for name in VALUES
        if name not in without
    }
    if damaged and held:
        texts = pa.array([(row["text"] or "").encode("utf-16") for row in held], pa.binary())  # type: ignore[attr-defined]
        columns["text"] = pa.StringArray.from_buffers(len(texts), *texts.buffers()[1:])
    batch = pa.RecordBatch.from_pydict(columns)
    blank = Row(b"", "web", licence=licence, file="网/a.parquet")

    made = pa.Table.from_batches(raw_of(batch, 7, blank, names, 100), RAW)

    plain = pa.Table.from_batches(batches(rows_of(batch, 7, blank, names, 100)), RAW)
    assert made.to_pylist() == plain.to_pylist()


def test_rows_are_taken_by_their_bytes() -> None:
    texts = ["字" * (1 << 20), *["short"] * 3000, "字" * (1 << 20), "字" * (1 << 20)]
    batch = pa.RecordBatch.from_pydict({"text": texts})

    made = list(raw_of(batch, 0, Row(b"", "web", file="a"), FieldNames(), 1 << 26))

    assert [part.num_rows for part in made] == [1024, 1024, 953 + 1, 1]
    assert [text for part in made for text in part.column("text").to_pylist()] == texts


GIVEN = st.fixed_dictionaries(
    {
        "id": st.binary(min_size=16, max_size=16),
        "source": st.just("web"),
        "url": st.sampled_from([None, "http://News.Example.com:80/a?utm_source=x", "nowhere"]),
        "crawl_time": st.sampled_from([None, 0, 1_700_000_000]),
        "title": st.sampled_from([None, "标题"]),
        "text": st.text("ab的\u3000\n \r\u0301é\u200b", max_size=8),
        "charset": st.sampled_from([None, "gb18030"]),
        "charset_by": st.sampled_from([None, "detected"]),
        "replaced": st.integers(0, 2),
        "rule": st.sampled_from([None, None, "too_large"]),
    }
).map(lambda values: Row(**values))


@given(st.lists(GIVEN, min_size=1, max_size=6))
def test_texts_that_are_given_come_out_as_they_do_beside_a_page(held: list[Row]) -> None:
    page = Row(b"\xff" * 16, "page", page=html(PARAGRAPH))
    texts, mixed = (
        evaluate(
            dataset(pa.Table.from_batches(batches(items), RAW)).map(
                partial(extract, unicode=""), schema=DOCUMENT, documents=True, outputs=(Output("charsets", CHARSETS),)
            ),
            rows_per_batch=9,
        )
        for items in (held, [*held, page])
    )

    assert texts.table.to_pylist() == mixed.table.to_pylist()[:-1]
    assert texts.ledger.to_pylist() == mixed.ledger.to_pylist()
    assert texts.counts == mixed.counts
    assert texts.outputs["charsets"][0].to_pylist() == [
        row for row in mixed.outputs["charsets"][0].to_pylist() if row["source"] != "page"
    ]


def test_what_leaves_at_the_door_says_its_host_and_that_it_had_no_text() -> None:
    addressed = Row(b"\x01" * 16, "web", "https://News.example/1", text=" ")
    refused = Row(b"\x02" * 16, "web", "https://news.example/2", text="said", rule="noindex")
    rows = [addressed, refused, Row(b"\x03" * 16, "web", text="stays")]
    made = evaluate(
        dataset(pa.Table.from_batches(batches(rows), RAW)).map(
            partial(extract, unicode=""), schema=DOCUMENT, documents=True, outputs=(Output("charsets", CHARSETS),)
        )
    )

    left = {row["rule"]: (row["host"], row["bytes"]) for row in made.ledger.to_pylist()}
    assert left == {"no_text": ("news.example", 0), "noindex": ("news.example", None)}
    assert made.table.column("text").to_pylist() == ["stays"]
