import codecs
import re
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
RUSSIAN = "Это страница о реке Волге. Она рассказывает о городах на её берегах и о людях, которые там живут. " * 3
UKRAINIAN = "Це сторінка про річку Дніпро. Вона розповідає про міста на її берегах і про людей, які там живуть. " * 3
GREEK = "Αυτή είναι μια σελίδα για το ποτάμι και για τις πόλεις στις όχθες του. " * 3
ARABIC = "هذه صفحة عن النهر والمدن على ضفافه والناس الذين يعيشون هناك منذ زمن طويل. " * 3
GERMAN = "Über die Städte am Fluß: schöne Häuser, große Brücken, viele Menschen. " * 3
TEXTS = (CHINESE, TRADITIONAL, JAPANESE, KOREAN, GERMAN, RUSSIAN, UKRAINIAN, GREEK, ARABIC)


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
        (page(RUSSIAN, "cp1251"), None, ("cp1251", "detected")),
        (page(RUSSIAN, "mac_cyrillic"), None, ("mac-cyrillic", "detected")),
        (page(RUSSIAN, "cp866"), None, ("cp866", "detected")),
        (page(RUSSIAN, "iso8859-5"), None, ("iso8859-5", "detected")),
        (page(UKRAINIAN, "koi8-u"), None, ("koi8-u", "detected")),
        (page(RUSSIAN, "koi8-r"), "windows-1251", ("koi8-u", "detected")),
        (page(RUSSIAN, "cp1251", "windows-1251"), "iso-8859-1", ("cp1251", "meta")),
        (page(RUSSIAN, "cp1251"), "iso-8859-1", ("cp1251", "detected")),
        (b"<!--<meta charset=koi8-r>-->" + page(GREEK, "cp1253", "windows-1253"), None, ("cp1253", "meta")),
        (b"<!-->" + page(GREEK, "cp1253", "windows-1253"), None, ("cp1253", "meta")),
        (page(GREEK, "cp1253", "windows-1253"), "iso-8859-1", ("cp1253", "meta")),
        (page(ARABIC, "cp1256"), "iso-8859-1", ("cp1256", "detected")),
        (page(KOREAN, "euc_kr"), "iso-8859-1", ("cp949", "detected")),
    ],
)
def test_reads_a_page_as_what_it_is(content: bytes, http: str | None, expected: tuple[str, str]) -> None:
    reading = read(content, http)

    assert (reading.charset, reading.decided_by) == expected
    assert reading.replaced == 0
    assert any(text in reading.text for text in TEXTS)


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


@pytest.mark.parametrize(
    ("content", "http", "declared", "detected"),
    [
        (page(CHINESE, "gbk", "GB2312"), None, "gb18030", "gb18030"),
        (page(CHINESE, "gbk", "gb2312"), "UTF-8", "utf-8", "gb18030"),
        (page(CHINESE, "utf-8"), "gbk", "gb18030", "utf-8"),
        (page(CHINESE, "utf-8"), " No-Such-Charset ", "no-such-charset", "utf-8"),
        (page(CHINESE, "utf-8"), None, None, "utf-8"),
        (page(RUSSIAN, "cp1251"), "windows-1251", "cp1251", None),
        (page(KOREAN, "euc_kr"), "iso-8859-1", "cp1252", "cp949"),
        (codecs.BOM_UTF16_LE + page(CHINESE, "utf-16-le"), "utf-16", "utf-16", "utf-16-le"),
    ],
)
def test_says_what_was_declared_and_what_the_bytes_look_like(
    content: bytes, http: str | None, declared: str | None, detected: str | None
) -> None:
    reading = read(content, http)

    assert (reading.declared, reading.detected) == (declared, detected)


def test_reads_what_gb_18030_made_of_private_use() -> None:
    """Source: GB 18030-2022 maps A6D9 and FE59 to U+FE10 and U+9FB4, as the WHATWG index does."""
    assert "︐龴" in read(page(CHINESE, "gbk", "gbk") + b"\xa6\xd9\xfe\x59", None).text


@pytest.mark.parametrize("labelled", [True, False])
def test_reads_chinese_news_pages_as_they_were_written(shared: Path, labelled: bool) -> None:
    files = sorted((shared / "data/html/cx-extractor/RawHtml").glob("*.html"))
    assert len(files) == 74

    for file in files:
        content = file.read_bytes() if labelled else re.sub(rb"(?i)charset", b"", file.read_bytes())
        charset = "utf-8" if is_utf_8(content) else "gb18030"
        reading = read(content, None)

        assert (reading.charset, reading.text) == (charset, content.decode(charset))


def is_utf_8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "charset"),
    [
        ("arabic-1", "cp1256"),
        ("french-1", "cp1252"),
        ("chinese", "big5"),
        ("greek", "cp1253"),
        ("greek-2", "cp1253"),
        ("hebrew-2", "cp1255"),
        ("hebrew-3", "cp1255"),
        ("korean", "cp949"),
        ("turkish", "cp1254"),
        ("russian", "mac_cyrillic"),
        *((name, "utf-8") for name in "arabic bulgarian french polish russian-2 russian-3 spanish".split()),
        ("english.bom", "utf-8-sig"),
    ],
)
def test_reads_the_samples_of_charset_normalizer(shared: Path, name: str, charset: str) -> None:
    """Source of the labels: charset_normalizer's own test of full detection."""
    content = (shared / f"data/html/charset_normalizer/data/sample-{name}.txt").read_bytes()

    assert read(content, None).text == content.decode(charset)
