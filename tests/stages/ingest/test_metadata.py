import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.charset import read
from stages.ingest.head import head_of
from stages.ingest.metadata import Metadata, iso_of, metadata_of


def stated(page: str) -> Metadata:
    return metadata_of(page, head_of(page).facts)


def ld(**fields: object) -> str:
    return f'<script type="application/ld+json">{json.dumps(fields)}</script>'


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<head><title>标题</title></head>", "标题"),
        ('<meta property="og:title" content="标题 &amp; 更多"><title>标题_频道_网站</title>', "标题 & 更多"),
        ('<meta property="og:site_name" content="站"><title>标题 - 站</title>', "标题"),
        ("<title>标题_科技_网站</title><body><h1 class=x> <b>标题</b> </h1>", "标题"),
        ("<title>A - B</title><body><h1>Menu</h1>", "A - B"),
        ("<body><h1>只有标题</h1>", "只有标题"),
        (ld(**{"@type": "NewsArticle", "headline": "真标题"}) + "<title>x</title>", "真标题"),
        (ld(**{"@type": "Article", "headline": "a description", "name": "N"}) + "<title>N - W</title>", "N"),
        (ld(**{"@type": "Organization", "name": "Inc"}) + "<title>x</title>", "x"),
        (
            ld(**{"@type": "Article", "headline": "标题\ud83d"}),
            "标题\ufffd",
        ),  # half of a pair
        ("<p>no title</p>", None),
        ("<title> </title>", None),
    ],
)
def test_reads_the_title_that_a_page_states(page: str, expected: str | None) -> None:
    assert stated(page).title == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<meta name="author" content="张三">', "张三"),
        ('<meta name="Author" content="作者：张三">', "张三"),
        ('<meta property="article:author" content="https://example.org/x">', None),
        (ld(**{"@type": "Article", "author": {"@type": "Person", "name": "By Jane Doe"}}), "Jane Doe"),
        (ld(**{"@type": "Article", "author": [{"name": "A"}, {"name": "B"}, "C"]}), "A, B, C"),
        (
            ld(**{"@graph": [{"@type": "Article", "author": {"@id": "#a"}}, {"@id": "#a", "name": "Jane"}]}),
            "Jane",
        ),
        ('<body><a href="/a" rel="author">李四</a>', "李四"),
        ('<body><span itemprop="author" itemscope><span itemprop="name">李四</span></span>', "李四"),
        ("<body><p>作者：张三</p>", None),
        ("<!-- <meta name=author content=x> -->", None),
    ],
)
def test_reads_the_author_that_a_page_states(page: str, expected: str | None) -> None:
    assert stated(page).author == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<meta property="article:published_time" content="2020-02-03T04:05:06+08:00">', "2020-02-03T04:05:06+08:00"),
        ('<meta name="PubDate" content="2020-02-03 14:05">', "2020-02-03T14:05:00"),
        ('<meta name="publishdate" content="2020年2月3日">', "2020-02-03"),
        ('<meta itemprop="datePublished" content="20200203">', "2020-02-03"),
        (ld(**{"@type": "BlogPosting", "datePublished": "2020-02-03"}), "2020-02-03"),
        (ld(**{"@type": "WebPage", "datePublished": "2020-02-03"}), "2020-02-03"),
        (
            '<body><time itemprop="datePublished" datetime="2020-02-03">yesterday</time><time datetime="2021-01-01">',
            "2020-02-03",
        ),
        ('<body><time datetime="2020-02-03">', "2020-02-03"),
        ('<body><time datetime="2020-02-03"></time><time datetime="2021-02-03"></time>', None),
        ("<body><p>发布时间：2020-02-03</p>", None),
        ('<meta property="article:published_time" content="soon">', None),
    ],
)
def test_reads_the_date_that_a_page_states(page: str, expected: str | None) -> None:
    assert stated(page).published == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-04-05T06:00", "2018-04-05T06:00:00"),
        ("2021-11-01T10:52:50+0100", "2021-11-01T10:52:50+01:00"),
        ("2017-11-03 03:01:00.000000", "2017-11-03T03:01:00"),
        ("2019-10-18T17:23:34.816Z", "2019-10-18T17:23:34Z"),
        ("2019-10-18 17:23 +99:99", "2019-10-18T17:23:00"),  # no zone is so far away
        ("2019/1/2", "2019-01-02"),
        ("Thu, 24 Jul 2015 05:36:09 GMT", "2015-07-24T05:36:09Z"),
        ("24 July 2015", "2015-07-24"),
        ("1437716169", "2015-07-24T05:36:09Z"),
        ("1437716169000", "2015-07-24T05:36:09Z"),
        ("2019-02-30", None),
        ("0001-01-01", None),
        ("03/04/2015", None),
        ("", None),
        ("２０１９-01-02", "2019-01-02"),
    ],
)
def test_writes_a_date_as_iso_8601(text: str, expected: str | None) -> None:
    assert iso_of(text) == expected


@given(st.text(max_size=40) | st.from_regex(r"[0-9年月日T:./+Z -]{0,30}"))
def test_a_date_is_none_or_begins_with_a_day(text: str) -> None:
    made = iso_of(text)

    assert made is None or iso_of(made) == made


@pytest.mark.parametrize(
    "page",
    [
        '<script type="application/ld+json">' + '{"headline":' * 10_000 + "</script>",
        '<script type="application/ld+json">{"author":' + "[" * 100_000 + "</script>",
        '<script type="application/ld+json">' * 100_000,
        '<a rel="author"' * 100_000,
        "<time " * 200_000,
        "datePublished <time published" + "<time " * 200_000,
        "<title>" + " - " * 1_300 + "</title>",
        "<h1" * 500_000,
        '<meta name="author" content="' + "x" * 1_000_000,
    ],
)
def test_ends_in_bounded_time_on_hostile_pages(page: str) -> None:
    start = time.process_time()
    stated(page)

    assert time.process_time() - start < 3


def test_reads_what_readability_expects(shared: Path) -> None:
    """The counts are those of this version: of 127 titles, 76 authors and 33 dates that its test pages give."""
    right = {"title": 0, "byline": 0, "publishedTime": 0}
    for file in sorted((shared / "data/html/readability/test-pages").glob("*/expected-metadata.json")):
        gold = json.loads(file.read_text())
        page = read((file.parent / "source.html").read_bytes(), None).text
        made = stated(page)
        right["title"] += bool(made.title) and made.title.split() == (gold["title"] or "").split()
        right["byline"] += bool(made.author) and made.author == (gold["byline"] or "").removeprefix("By ")
        date = iso_of(gold.get("publishedTime") or "")
        right["publishedTime"] += bool(date) and (made.published or "")[:10] == date[:10]

    assert right["title"] >= 110
    assert right["byline"] >= 45
    assert right["publishedTime"] >= 30
