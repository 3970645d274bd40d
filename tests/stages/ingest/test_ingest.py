import gzip
import json
from pathlib import Path

import pydantic
import pytest

from datapipe import ConfigError
from datapipe.testing import evaluate
from stages.ingest import Ingest, SourceConfig
from stages.ingest.rows import document_id
from stages.schema import DOCUMENT
from tests.stages.ingest.archives import (
    PARAGRAPH,
    html,
    http,
    ingest,
    pack,
    packed,
    page_records,
    reasons,
    record,
    rows,
    salvaged,
)


@pytest.mark.parametrize("form", ["plain", "gz", "zst"])
def test_makes_a_document_of_each_page(tmp_path: Path, form: str) -> None:
    info = record(b"software: test", kind="warcinfo", content_type="application/warc-fields")

    result = ingest(tmp_path, "crawl.warc", packed([info, *page_records(7)], form), licence="CC-BY-4.0")

    assert result.table.schema.equals(DOCUMENT)
    first = rows(result)[0]
    assert first["url"] == "http://www.example.com/0"
    assert (first["host"], first["domain"]) == ("www.example.com", "example.com")
    assert (first["crawl_time"], first["crawl_date"]) == (1704164645, "2024-01-02T03:04:05Z")
    assert (first["file"], first["licence"], first["title"]) == ("crawl.warc", "CC-BY-4.0", "标题0")
    assert (first["charset"], first["charset_by"], first["extra"]) == ("utf-8", "utf-8", None)
    assert PARAGRAPH * 3 in str(first["text"])
    assert first["id"] == document_id("web", "crawl.warc", f"{first['offset']}:0")
    assert len({row["id"] for row in rows(result)}) == 7
    assert result.counts["records.warcinfo"] == 1
    assert result.counts["records.response"] == 7


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (record(http(b"gone", "404 Not Found")), ("drop", "http_error", 404.0)),
        (record(http(b"", "301 Moved", more="Location: /\r\n")), ("drop", "redirect", 301.0)),
        (record(http(b"%PDF-1.4", kind="application/pdf")), ("drop", "not_html", None)),
        (record(http(b"%PDF-1.4\n%\xe2\xe3", kind=None)), ("drop", "not_html", None)),
        (record(http(b" \r\n")), ("drop", "empty_page", None)),
        (record(http(b"<html><body><script>x()</script></body></html>")), ("drop", "no_text", None)),
        (record(http(b"<p>" + b"x" * 60_000)), ("drop", "too_large", 60_003.0)),
        (record(http(b"<p>" + b"x" * 600_000)), ("drop", "too_large", None)),
        (record(http(b"<p " + b"a=1 " * 9_000 + b">x")), None),
        (record(http(b"<div>" * 9_900 + b"x")), None),
        (record(http(html(0)), more="WARC-Segment-Number: 1\r\n"), ("drop", "segmented", None)),
        (record(b"20240102 x", content_type="text/dns"), ("drop", "not_html", None)),
    ],
)
def test_drops_what_is_no_page_by_reason(
    tmp_path: Path, stored: bytes, reason: tuple[str, str, float | None] | None
) -> None:
    result = ingest(tmp_path, "crawl.warc", stored + page_records(1)[0], max_document_bytes=50_000)

    found = [(action, rule, value) for action, rule, value in reasons(result)]
    assert result.table.num_rows == 1 + (reason is None)
    assert [item[:2] for item in found] == ([reason[:2]] if reason else [])
    assert reason is None or reason[2] is None or found == [reason]


def test_counts_records_that_are_no_documents(tmp_path: Path) -> None:
    kinds = ["request", "metadata", "warcinfo", "of-the-future"]

    result = ingest(tmp_path, "crawl.warc", b"".join(record(b"x", kind=kind) for kind in kinds))

    assert result.table.num_rows == 0
    assert result.ledger.num_rows == 0
    assert {name: result.counts[name] for name in result.counts if name.startswith("records.")} == {
        "records.request": 1,
        "records.metadata": 1,
        "records.warcinfo": 1,
        "records.other": 1,
    }


def test_takes_the_text_of_a_wet_file_and_pages_stored_as_resources(tmp_path: Path) -> None:
    wet = record("正文。\r\n第二行".encode(), kind="conversion", content_type="text/plain")
    page = record(html(1), kind="resource", content_type="text/html")

    result = ingest(tmp_path, "crawl.warc.wet", wet + page)

    assert [row["charset_by"] for row in rows(result)] == ["given", "utf-8"]
    assert rows(result)[0]["text"] == "正文。\n第二行"


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "empty_file"),
        (gzip.compress(b""), "empty_file"),
        (b"<html>no archive</html>" * 20, "not_warc"),
        (gzip.compress(b'{"text": "no archive"}\n' * 20), "not_warc"),
        (page_records(1)[0][:200], "truncated_record"),
        (pack(page_records(1)[0], "gz")[:200], "truncated_record"),
        (b"\x04\x22\x4d\x18" + bytes(100), "unsupported"),
        (b"filedesc://x.arc 0.0.0.0 20240102 text/plain 9\n", "unsupported"),
    ],
)
def test_sets_a_file_aside_in_which_nothing_is_a_record(tmp_path: Path, content: bytes, rule: str) -> None:
    result = ingest(tmp_path, "crawl.warc.gz", content)

    assert reasons(result) == [("quarantine", rule, float(len(content)))]
    assert result.counts["set_aside"] == 1
    assert result.table.num_rows == 0


def test_says_what_was_lost_and_keeps_the_rest(tmp_path: Path) -> None:
    members = [pack(page, "gz") for page in page_records(5)]
    content = b"".join([*members[:2], b"\0broken\0" * 10, *members[2:4], members[4][:100]])

    result = ingest(tmp_path, "crawl.warc.gz", content)

    assert result.table.num_rows == 4
    assert reasons(result) == [("quarantine", "damaged_archive", 80.0), ("quarantine", "truncated_record", 100.0)]
    assert result.counts["bytes_lost"] == 180
    assert result.counts["set_aside"] == 0
    start = len(members[0]) + len(members[1])
    assert f"crawl.warc.gz, bytes {start}-{start + 80}" in result.ledger.column("note")[0].as_py()


def test_gives_the_same_rows_whatever_the_batches(tmp_path: Path) -> None:
    (tmp_path / "crawl.warc").write_bytes(b"".join([*page_records(9), record(http(b"", "404 Gone"))]))
    made = Ingest(sources={"web": SourceConfig(path=str(tmp_path))}).build()

    tables = [evaluate(made, rows_per_batch=size).table for size in (1, 2, 100)]

    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_reads_json_lines_and_carries_other_fields(tmp_path: Path) -> None:
    lines = [
        {
            "content": "第一篇\r\n",
            "link": "https://a.b.example.org/1",
            "day": "2023-05-06",
            "b": [1, {"c": "字"}],
            "a": None,
        },
        {"content": "second", "licence": "CC0"},
    ]
    content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    names = {"text": "content", "url": "link", "date": "day"}

    result = ingest(tmp_path, "notes.jsonl.gz", gzip.compress(content.encode()), fields=names)

    first, second = rows(result)
    assert first["text"] == "第一篇"
    assert (first["url"], first["domain"]) == ("https://a.b.example.org/1", "example.org")
    assert first["crawl_date"] == "2023-05-06T00:00:00Z"
    assert first["extra"] == '{"a":null,"b":[1,{"c":"字"}]}'
    assert (second["text"], second["licence"], second["extra"]) == ("second", "CC0", None)
    assert second["offset"] == 0  # of its gzip member


def test_carries_only_the_fields_that_are_named(tmp_path: Path) -> None:
    result = ingest(tmp_path, "a.jsonl", b'{"text": "x", "id": 7, "other": 8}', fields={"carry": ("id", "none")})

    assert rows(result)[0]["extra"] == '{"id":7}'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "cut', ("drop", "unreadable_json", None)),
        (b"[1, 2]", ("drop", "unreadable_json", None)),
        (b"[" * 100_000, ("drop", "unreadable_json", None)),
        (b'{"txet": "a"}', ("drop", "missing_text", None)),
        (b'{"text": ["a"]}', ("drop", "missing_text", None)),
        (b'{"text": " \\n"}', ("drop", "no_text", None)),
        (b'{"text": "' + b"x" * 300_000 + b'"}', ("drop", "too_large", 300_012.0)),
        (b'{"text": "lone \\ud800 \\udc01"}', ("repair", "undecodable", 2.0)),
        (b'{"text": "byte \xff"}', ("repair", "undecodable", 1.0)),
    ],
)
def test_accounts_for_odd_lines(tmp_path: Path, line: bytes, reason: tuple[str, str, float | None]) -> None:
    good = b'{"text": "good"}\n'

    result = ingest(tmp_path, "a.jsonl", good + line + b"\n\n" + good, max_document_bytes=200_000)

    assert reasons(result) == [reason]
    assert [row["text"] for row in rows(result)].count("good") == 2


def test_keeps_the_lines_before_a_cut(tmp_path: Path) -> None:
    stored = [f"{PARAGRAPH}{document_id('web', 'a', number).hex()}" for number in range(200)]
    content = gzip.compress(b"".join(json.dumps({"text": text}).encode() + b"\n" for text in stored), mtime=0)

    result = ingest(tmp_path, "a.jsonl.gz", content[: len(content) // 2])

    texts = [row["text"] for row in rows(result)]
    assert 50 < len(texts) < 150
    assert texts == stored[: len(texts)]
    assert [item[:2] for item in reasons(result)] == [("quarantine", "truncated_record")]


def test_sets_a_file_aside_that_holds_no_json(tmp_path: Path) -> None:
    result = ingest(tmp_path, "a.jsonl", b"\x00\x01\xff" * 50)

    assert sorted(rule for _, rule, _ in reasons(result)) == ["not_jsonl", "unreadable_json"]
    assert result.counts["set_aside"] == 1


def test_reads_html_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.htm").write_bytes(html(2, "gb18030").replace(b"<title>", b'<meta charset="gb2312"><title>'))
    result = ingest(tmp_path, "a.html.gz", gzip.compress(html(1)))
    folder = evaluate(Ingest(sources={"web": SourceConfig(path=str(tmp_path))}).build())

    assert [(row["file"], row["title"], row["url"]) for row in rows(result)] == [("a.html.gz", "标题1", None)]
    assert [(row["file"], row["title"], row["charset_by"]) for row in rows(folder)] == [
        ("a.html.gz", "标题1", "utf-8"),
        ("b/x.htm", "标题2", "meta"),
    ]


def test_ids_follow_from_source_file_and_position_alone(tmp_path: Path) -> None:
    content = b"".join(page_records(3))
    here = ingest(tmp_path / "here", "crawl.warc", content)
    there = ingest(tmp_path / "there", "crawl.warc", content)

    assert here.table.equals(there.table)
    assert len(salvaged(content)[0]) == 3


def test_is_a_config_that_pydantic_checks(tmp_path: Path) -> None:
    adapter = pydantic.TypeAdapter(Ingest)
    config = {"path": [str(tmp_path / "*.jsonl")], "fields": {"carry": ["id"]}, "licence": "MIT"}

    made = adapter.validate_python({"sources": {"notes": config}})

    assert made.sources["notes"].fields.carry == ("id",)
    with pytest.raises(pydantic.ValidationError, match="license"):
        adapter.validate_python({"sources": {"notes": {"path": "x", "license": "MIT"}}})


@pytest.mark.parametrize(
    ("names", "config", "message"),
    [
        ([], {"path": "*.warc"}, "no file"),
        (["a.pdf"], {"path": "*"}, "says no format"),
        (["a.html", "b.jsonl"], {"path": "*"}, "two formats"),
        (["x/a.html", "y/a.html"], {"path": ("x/*.html", "y/*.html")}, "both called 'a.html'"),
    ],
)
def test_says_what_is_wrong_with_a_source(
    tmp_path: Path, names: list[str], config: dict[str, str | tuple[str, ...]], message: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    path = config["path"]
    there = str(tmp_path / path) if isinstance(path, str) else tuple(str(tmp_path / one) for one in path)

    with pytest.raises(ConfigError, match=message):
        Ingest(sources={"web": SourceConfig(path=there)}).build()
