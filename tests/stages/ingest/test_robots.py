from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.head import Head, head_of
from stages.ingest.robots import signals
from tests.stages.ingest.archives import http, ingest, page_records, reasons, record, rows


@pytest.mark.parametrize(
    ("headers", "metas", "robots"),
    [
        ("", (), None),
        ("x-robots-tag: noindex\nx-robots-tag: NoFollow\n", (), "nofollow,noindex"),
        ("x-robots-tag: googlebot: nofollow\nx-robots-tag: BadBot: noindex, nofollow\n", (),
         "badbot:nofollow,badbot:noindex,googlebot:nofollow"),
        ("x-robots-tag: noarchive, googlebot: nosnippet\n", (), "googlebot:nosnippet,noarchive"),
        ("x-robots-tag: unavailable_after: Wed, 03 Dec 2025 13:09:53 GMT, noindex\n", (), "noindex,unavailable_after"),
        ("x-robots-tag: unavailable_after: 25 Jun 2010 15:00:00 PST\n", (), "unavailable_after"),
        ("", (("robots", "max-snippet: -1, max-image-preview:large"),), "max-image-preview:large,max-snippet:-1"),
        ("", (("robots", "index follow"), ("googlebot", "noindex")), "follow,googlebot:noindex,index"),
        ("x-robots-tag: noindex\n", (("robots", "noindex"),), "noindex"),
        ("x-robots-tag: *: none\n", (), "none"),
        ("x-robots-tag: 字, <b>, ;;\n", (), None),
    ],
)  # fmt: skip
def test_joins_what_header_and_page_ask_of_robots(
    headers: str, metas: tuple[tuple[str, str], ...], robots: str | None
) -> None:
    assert signals(headers, metas) == (robots, False, None)


@pytest.mark.parametrize(
    ("headers", "metas", "by"),
    [
        ("x-robots-tag: noai, noimageai\n", (), "noai"),
        ("x-robots-tag: noimageai\n", (), None),
        ("x-robots-tag: noindex, noarchive\n", (), None),
        ("x-robots-tag: GPTBot: noai\n", (), "noai"),
        ("", (("robots", "DisallowAITraining, noml"),), "disallowaitraining,noml"),
        ("tdm-reservation: 1\n", (), "tdm-reservation"),
        ("tdm-reservation: 0\n", (), None),
        ("tdm-reservation: 1\n", (("tdm-reservation", "0"),), None),
        ("tdm-reservation: 0\n", (("tdm-reservation", "1"),), "tdm-reservation"),
        ("tdm-reservation: 2\n", (), None),
        ("content-usage: train-ai=n\n", (), "content-usage"),
        ("content-usage: search=n, train-ai=y\n", (), None),
        ("content-usage: search=n;x=1, train-ai=n;v=2\n", (), "content-usage"),
        ("content-signal: search=yes, ai-train=no\n", (), "content-signal"),
        ("content-signal: search=yes,ai-train=yes,ai-input=no\n", (), None),
        ("content-usage: ai=n\ncontent-signal: ai-train=no\n", (("robots", "noai"),),
         "content-signal,content-usage,noai"),
    ],
)  # fmt: skip
def test_knows_signals_against_training(headers: str, metas: tuple[tuple[str, str], ...], by: str | None) -> None:
    assert signals(headers, metas)[1:] == (by is not None, by)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<link rel=canonical href=/a>", Head("/a")),
        ("<LINK HREF='/a&amp;b' REL='Canonical nofollow' />", Head("/a&b")),
        ("<link rel=canonical href=/a><link rel=canonical href=/b>", Head("/a")),
        ("<link rel=stylesheet href=/canonical.css><link rel=alternate title=canonical href=/x>", Head()),
        ("<link rel=canonical><link rel=canonical href=''>", Head()),
        ("<base href=/b><link\nrel='canonical'\nhref='c'>", Head("c", "/b")),
        ("<!-- <link rel=canonical href=/a> --><link rel=canonical href=/b>", Head("/b")),
        ("<script>'<link rel=canonical href=/a>'</script>", Head()),
        ("<meta content='NOINDEX, x' name='Robots'>", Head(None, None, (("robots", "NOINDEX, x"),))),
        ("<meta name=description content='name=robots'><meta name=viewport content=x>", Head()),
        ("<meta property=og:url content=x><meta name=robots-extra content=noindex>", Head()),
        ("</head><body><meta name=robots content=noindex>", Head()),
        ("<title>x</title><body><link rel=canonical href=/a>", Head()),
        ("<meta name=tdm-reservation content=1>", Head(None, None, (("tdm-reservation", "1"),))),
        ("<meta name=robots content=", Head()),
    ],
)  # fmt: skip
def test_reads_the_head_of_a_page(page: str, expected: Head) -> None:
    assert head_of(f"<html><head>{page}") == expected


@given(st.text(st.sampled_from("<>/='\" a-!metalinkbsrocpyhdfx"), max_size=80))
def test_raises_for_no_head(page: str) -> None:
    assert isinstance(head_of(page), Head)


ASKING = b"<head><title>x</title><link rel=canonical href=/y?utm_source=z><meta name=robots content='noindex'></head>"


def test_makes_columns_of_what_a_page_asks(tmp_path: Path) -> None:
    body = ASKING + b"<body><article><p>" + b"words of a page. " * 20
    asking = record(http(body, more="X-Robots-Tag: noarchive\r\ntdm-reservation: 1\r\n"), 7)

    result = ingest(tmp_path, "crawl.warc", asking + page_records(1)[0])

    first, second = rows(result)
    assert first["canonical_url"] == "http://www.example.com/y"
    assert (first["robots"], first["no_ai"], first["no_ai_by"]) == ("noarchive,noindex", True, "tdm-reservation")
    assert second["canonical_url"] == "http://www.example.com/0"
    assert (second["robots"], second["no_ai"], second["no_ai_by"]) == (None, False, None)


@pytest.mark.parametrize(
    ("respect", "note"),
    [(("noindex",), "noindex"), (("no_ai",), "tdm-reservation"), (("noarchive", "noindex"), "noarchive,noindex"),
     (("noai",), None)],
)  # fmt: skip
def test_drops_pages_that_ask_for_it_only_where_the_config_says_so(
    tmp_path: Path, respect: tuple[str, ...], note: str | None
) -> None:
    body = ASKING + b"<body><article><p>" + b"words of a page. " * 20
    asking = record(http(body, more="X-Robots-Tag: noarchive\r\ntdm-reservation: 1\r\n"))

    result = ingest(tmp_path, "crawl.warc", asking, respect=respect)

    assert result.table.num_rows == (note is None)
    assert [item[:2] for item in reasons(result)] == ([("drop", "robots")] if note else [])
    assert note is None or result.ledger.column("note").to_pylist() == [note]
