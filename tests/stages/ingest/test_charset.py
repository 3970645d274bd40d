import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.charset import read

CHINESE = "这是一个关于长江的网页，它介绍了沿岸的城市和在那里生活的人们。我们的历史很长，他们不会忘记这些事情。" * 3
TRADITIONAL = "這是一個關於長江的網頁，它介紹了沿岸的城市和在那裡生活的人們。我們的歷史很長，他們不會忘記這些事情。" * 3
JAPANESE = (
    "これは長江についてのページです。川沿いの都市と、そこで暮らす人々を紹介しています。歴史はとても長いです。" * 3
)
KOREAN = "이것은 강에 대한 페이지입니다. 강변의 도시와 그곳에서 살아가는 사람들을 소개합니다. 역사는 매우 깁니다. " * 3
GERMAN = "Über die Städte am Fluß: schöne Häuser, große Brücken, viele Menschen. " * 3


def page(text: str, charset: str, label: str | None = None) -> bytes:
    meta = f'<meta http-equiv="Content-Type" content="text/html; charset={label}">' if label else ""
    return f"<html><head>{meta}<title>x</title></head><body><p>{text}</p></body></html>".encode(charset)


@pytest.mark.parametrize(
    ("content", "http", "expected"),
    [
        (codecs.BOM_UTF8 + page(CHINESE, "utf-8"), "gbk", ("utf-8", "bom")),
        (codecs.BOM_UTF16_LE + page(CHINESE, "utf-16-le"), None, ("utf-16-le", "bom")),
        (codecs.BOM_UTF16_BE + page(CHINESE, "utf-16-be"), None, ("utf-16-be", "bom")),
        (page(CHINESE, "utf-16-le"), None, ("utf-16-le", "detected")),
        (page(CHINESE, "utf-8"), "gb2312", ("utf-8", "utf-8")),
        (page(CHINESE, "gbk"), "gb2312", ("gb18030", "http")),
        (page(CHINESE, "gbk", "gb2312"), None, ("gb18030", "meta")),
        (page(CHINESE + "㐀𠀀", "gb18030", "gbk"), "GB2312", ("gb18030", "http")),
        (page(CHINESE, "gbk", "gbk"), "utf-8", ("gb18030", "meta")),
        (page(CHINESE, "gbk"), "utf-8", ("gb18030", "detected")),
        (page(CHINESE, "gbk"), "no-such-charset", ("gb18030", "detected")),
        (page(CHINESE, "gbk"), "iso-8859-1", ("gb18030", "detected")),
        (page(CHINESE, "gbk"), "big5", ("gb18030", "detected")),
        (page(TRADITIONAL, "big5"), None, ("big5hkscs", "detected")),
        (page(TRADITIONAL, "big5", "big5"), None, ("big5hkscs", "meta")),
        (page(TRADITIONAL, "big5"), "gb2312", ("big5hkscs", "detected")),
        (page(JAPANESE, "shift_jis"), "x-sjis", ("cp932", "http")),
        (page(JAPANESE, "euc_jp"), None, ("euc_jp", "detected")),
        (page(JAPANESE, "iso2022_jp", "iso-2022-jp"), None, ("iso2022_jp", "meta")),
        (page(KOREAN, "euc_kr"), None, ("cp949", "detected")),
        (page(KOREAN, "cp949", "ks_c_5601-1987"), None, ("cp949", "meta")),
        (page(GERMAN, "latin-1"), "ISO-8859-1", ("cp1252", "http")),
    ],
)
def test_reads_a_page_as_what_it_is(content: bytes, http: str | None, expected: tuple[str, str]) -> None:
    reading = read(content, http)

    assert (reading.charset, reading.decided_by) == expected
    assert reading.replaced == 0
    assert any(text in reading.text for text in (CHINESE, TRADITIONAL, JAPANESE, KOREAN, GERMAN))


@pytest.mark.parametrize(
    ("content", "charset"),
    [
        (page(CHINESE, "utf-8")[:-300] + "江".encode()[:2], "utf-8"),
        (page(CHINESE * 9, "utf-8").replace(b"<p>", b"<p>\xff"), "utf-8"),
        (page(CHINESE * 9, "gbk", "gbk").replace(b"<p>", b"<p>\xff"), "gb18030"),
    ],
)
def test_counts_bytes_that_it_cannot_read(content: bytes, charset: str) -> None:
    reading = read(content, None)

    assert (reading.charset, reading.replaced) == (charset, 1)
    assert reading.text.count("\ufffd") == 1


@given(
    st.binary(max_size=300),
    st.sampled_from([None, "gbk", "big5", "utf-7", "base64", "idna", "utf-16", "x", "punycode"]),
)
def test_reads_any_bytes_as_text(content: bytes, label: str | None) -> None:
    reading = read(content, label)

    reading.text.encode("utf-8")
    assert reading.decided_by in ("bom", "utf-8", "http", "meta", "detected", "fallback")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_reads_utf_8_as_python_does(text: str) -> None:
    content = b"<p>" + text.encode()

    assert read(content, "gbk").text == content.decode()


def test_reads_chinese_news_pages_without_loss(shared: Path) -> None:
    files = sorted((shared / "data/html/cx-extractor").rglob("*.htm*"))
    assert len(files) > 50

    readings = [read(file.read_bytes(), None) for file in files]

    assert sum(reading.charset in ("gb18030", "utf-8") for reading in readings) == len(files)
    assert sum(reading.replaced * 200 > len(reading.text) for reading in readings) == 0
