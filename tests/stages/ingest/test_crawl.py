"""Common Crawl as it comes: its records, its headers, its path lists."""

import gzip
from pathlib import Path

import pytest
import zstandard

from datapipe import ConfigError
from datapipe.testing import evaluate
from stages.ingest import Ingest, SourceConfig
from stages.ingest.paths import listed_files
from tests.stages.ingest.archives import PARAGRAPH, html, http, ingest, page_records, reasons, record, rows


def test_carries_the_languages_that_a_wet_file_states(tmp_path: Path) -> None:
    more = "WARC-Refers-To: <urn:uuid:1>\r\nWARC-Identified-Content-Language: zho,eng\r\n"
    info = record(b"Software-Info: x", kind="warcinfo", content_type="application/warc-fields")
    text = record(PARAGRAPH.encode(), kind="conversion", content_type="text/plain", more=more)

    result = ingest(tmp_path, "CC-MAIN-x.warc.wet.gz", gzip.compress(info) + gzip.compress(text))

    (row,) = rows(result)
    assert (row["text"], row["extra"]) == (PARAGRAPH, '{"WARC-Identified-Content-Language":"zho,eng"}')
    assert (row["robots"], row["no_ai"], row["no_ai_by"]) == (None, None, None)
    assert row["canonical_url"] == "http://www.example.com/0"


def test_refuses_wat_records_by_a_rule(tmp_path: Path) -> None:
    wat = record(b'{"Container": {}}', kind="metadata", content_type="application/json")
    crawler = record(b"fetchTimeMs: 5", kind="metadata", content_type="application/warc-fields")

    result = ingest(tmp_path, "crawl.warc", wat + crawler)

    assert reasons(result) == [("drop", "wat", None)]
    assert result.counts["records.metadata"] == 2


def test_refuses_wat_files_while_planning(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.warc\.wat\.gz is a WAT file, which holds metadata and no pages"):
        ingest(tmp_path, "a.warc.wat.gz", b"x")


def test_says_what_a_revisit_refers_to(tmp_path: Path) -> None:
    more = (
        "WARC-Profile: http://netpreserve.org/warc/1.1/revisit/identical-payload-digest\r\n"
        "WARC-Refers-To-Target-URI: <http://www.example.com/first>\r\nWARC-Refers-To-Date: 2020-02-03T04:05:06Z\r\n"
    )

    result = ingest(tmp_path, "crawl.warc", record(b"HTTP/1.1 200 OK\r\n\r\n", 5, kind="revisit", more=more))

    assert reasons(result) == [("drop", "revisit", None)]
    assert result.ledger.column("url").to_pylist() == ["http://www.example.com/5"]
    assert result.ledger.column("note").to_pylist() == [
        "identical-payload-digest http://www.example.com/first 2020-02-03T04:05:06Z"
    ]
    assert result.counts["records.revisit"] == result.counts["drop.revisit"] == 1


def test_says_why_a_page_is_not_whole(tmp_path: Path) -> None:
    stated = ["length", "Time", "disconnect", "unspecified", "monkeys", None]
    records = [
        record(http(html(number)), number, more=f"WARC-Truncated: {reason}\r\n" if reason else "")
        for number, reason in enumerate(stated)
    ]

    result = ingest(tmp_path, "crawl.warc", b"".join(records))

    found = ["length", "time", "disconnect", "unspecified", "unspecified", None]
    assert [row["truncated"] for row in rows(result)] == found
    assert result.counts["payloads_cut_by_the_crawler"] == 5


@pytest.mark.parametrize(
    ("path", "kind", "rule"),
    [
        ("robots.txt", "text/plain", "robots_txt"),
        ("robots.txt?x", "text/html", "robots_txt"),
        ("a/robots.txt", "text/plain", "not_html"),
    ],
)
def test_knows_robots_txt(tmp_path: Path, path: str, kind: str, rule: str) -> None:
    stored = record(http(b"User-agent: *\nDisallow: /", kind=kind)).replace(b".com/0", b".com/" + path.encode())

    assert [item[1] for item in reasons(ingest(tmp_path, "crawl.warc", stored))] == [rule]


@pytest.mark.parametrize(
    ("body", "coding", "rule"),
    [(bytes(range(64)), "sdch", "unknown_encoding"), (b"\x1b\2\3\4", "gzip", "broken_encoding")],
)
def test_refuses_a_body_whose_coding_cannot_be_undone(tmp_path: Path, body: bytes, coding: str, rule: str) -> None:
    stored = record(http(body, more=f"Content-Encoding: {coding}\r\n"))

    result = ingest(tmp_path, "crawl.warc", stored + page_records(1)[0])

    assert result.table.num_rows == 1
    assert [(row["rule"], row["note"]) for row in result.ledger.to_pylist()] == [(rule, coding)]


def test_reads_every_real_sample_of_common_crawl(shared: Path) -> None:
    """Pages of its main crawl (resiliparse's suite), its news crawl and WET (anserini's), one page (whirlwind's)."""
    found = {}
    for path in sorted((shared / "data" / "warc").rglob("*")):
        whole = (
            "resiliparse" in path.parts or "cc-whirlwind" in path.parts or any("commoncrawl" in p for p in path.parts)
        )
        if whole and path.name.endswith((".warc.gz", ".wet.gz", ".warc")):
            result = evaluate(Ingest(sources={"cc": SourceConfig(path=str(path))}).build())
            found[path.name] = [str(row["canonical_url"]) for row in rows(result)]

    assert len(found) >= 4
    assert sum(map(len, found.values())) > 4
    assert all(url.startswith("http") for urls in found.values() for url in urls)


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    """A crawl of six files and the list of them, as Common Crawl lays them out."""
    root = tmp_path / "crawl-data"
    names = [f"crawl-data/segments/{number % 2}/warc/{number}.warc.gz" for number in range(6)]
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(record(http(html(number)), number)))
    (root / "warc.paths.gz").write_bytes(gzip.compress("\n".join(names).encode() + b"\n"))
    return tmp_path


def test_reads_the_files_that_a_list_names(crawl: Path) -> None:
    config = SourceConfig(path_list=str(crawl / "crawl-data" / "warc.paths.gz"), root=str(crawl))
    listed = evaluate(Ingest(sources={"cc": config}).build())
    folder = evaluate(Ingest(sources={"cc": SourceConfig(path=str(crawl / "crawl-data/**/*.warc.gz"))}).build())

    assert [row["file"] for row in rows(listed)] == [
        f"crawl-data/segments/{number % 2}/warc/{number}.warc.gz" for number in (0, 2, 4, 1, 3, 5)
    ]
    assert [row["text"] for row in rows(listed)] == [row["text"] for row in rows(folder)]


@pytest.mark.parametrize("form", ["plain", "gz", "zst"])
def test_takes_lists_of_any_kind_and_paths_of_any_kind(crawl: Path, form: str) -> None:
    absolute = str(crawl / "crawl-data/segments/1/warc/1.warc.gz")
    content = f"\n# two of six\r\nsegments/0/warc/0.warc.gz\n\n  {absolute}  \n".encode()
    packed = {"plain": content, "gz": gzip.compress(content), "zst": zstandard.compress(content)}[form]
    (crawl / "crawl-data" / "mine.txt").write_bytes(packed)

    files = listed_files(str(crawl / "crawl-data" / "mine.txt"))

    assert [file.name for file in files] == ["segments/0/warc/0.warc.gz", absolute]
    assert [file.url for file in files] == [str(crawl / "crawl-data/segments/0/warc/0.warc.gz"), absolute]
    assert all(file.size_bytes > 0 and file.version for file in files)


@pytest.mark.parametrize(("take", "expected"), [(1, "0"), (2, "03"), (4, "0134"), (6, "012345"), (99, "012345")])
def test_takes_evenly_spaced_files(crawl: Path, take: int, expected: str) -> None:
    files = listed_files(str(crawl / "crawl-data" / "warc.paths.gz"), str(crawl), take)

    assert "".join(file.name[-9] for file in files) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no path"),
        (b"# nothing\n\n", "names no path"),
        (b"a.warc\na.warc\n", "names a.warc twice"),
        (b"a.warc\n", r"names a file that cannot be used: .*a\.warc: cannot be read"),
        (b"\xff\xfe\x80", "is no list of paths"),
        (b"\x1f\x8b\x08\x00broken", "is no list of paths"),
        (b"\x28\xb5\x2f\xfdbroken", "is no list of paths"),
    ],
)
def test_says_what_is_wrong_with_a_list(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list").write_bytes(content)

    with pytest.raises(ConfigError, match=message):
        Ingest(sources={"cc": SourceConfig(path_list=str(tmp_path / "list"))}).build()


@pytest.mark.parametrize(
    "config",
    [
        SourceConfig(path="a", path_list="b"),
        SourceConfig(path="a", root="b"),
        SourceConfig(root="b"),
    ],
)
def test_takes_either_a_path_or_a_list(config: SourceConfig) -> None:
    with pytest.raises(ConfigError, match=r"give either path .* or path_list"):
        Ingest(sources={"cc": config}).build()


def test_refuses_to_take_nothing(crawl: Path) -> None:
    with pytest.raises(ConfigError, match="take: 0 is not above 0"):
        Ingest(sources={"cc": SourceConfig(path=str(crawl), take=0)}).build()


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_says_that_a_list_is_no_path(crawl: Path, ending: str) -> None:
    with pytest.raises(ConfigError, match=r"warc\.paths.* is a list of files; give it as path_list"):
        Ingest(sources={"cc": SourceConfig(path=str(crawl / f"crawl-data/warc.paths{ending}"))}).build()


@pytest.mark.parametrize("name", ["/etc/passwd", "../../etc/passwd", "a/../../b"])
@pytest.mark.parametrize("path", ["https://example.org/warc.paths", "s3://bucket/warc.paths"])
def test_a_list_of_a_store_names_no_local_files(
    name: str, path: str, crawl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.ingest.paths.read_bytes", lambda _: f"segments/a.warc.gz\n{name}\n".encode())

    with pytest.raises(ConfigError, match=f"names {name}, and a list of a store names no files of this machine"):
        listed_files(path, str(crawl))
