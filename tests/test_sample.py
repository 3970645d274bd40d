"""The sample in tests/data: its bytes are what its table says, and its archive is packed from them."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import sys
from collections import Counter
from html import unescape
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

if TYPE_CHECKING:
    from tests.data.pack import Page

DATA = Path(__file__).parent / "data"
SAMPLE = DATA / "sample.warc.gz"
NOTES = [json.loads(line) for line in (DATA / "notes.jsonl").read_text(encoding="utf-8").splitlines()]
HAN = r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"


def load(path: Path) -> ModuleType:
    """Returns the script at `path` as a module, wherever the tests are run from."""
    spec = spec_from_file_location(f"sample_{path.stem}", path)
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


packing = load(DATA / "pack.py")
PAGES: list[Page] = packing.read_pages(DATA / "pages")
BY_FILE = {page.file: page for page in PAGES}


def read(page: Page) -> bytes:
    return (DATA / "pages" / page.file).read_bytes()


def source_of(page: Page) -> str:
    """Returns the page's HTML in the characters that its author wrote."""
    assert page.encoding
    return read(page).decode(page.encoding)


def text_of(page: Page) -> str:
    """Returns the visible text of the whole page, menus too."""
    body = re.sub(r"(?s)^.*?<body[^>]*>|<script.*?</script>", "", source_of(page))
    return unescape(re.sub(r"<[^>]*>", "", body))


def shingles(page: Page) -> set[tuple[str, ...]]:
    """Returns every five units in a row of the page's paragraphs: characters of Han text, words of other text."""
    paragraphs = " ".join(re.findall(r"<p>(.*?)</p>", source_of(page)))
    units = re.findall(HAN, paragraphs) or re.findall(r"\w+", paragraphs.lower())
    return set(zip(*(units[start:] for start in range(5)), strict=False))


def label_kind(page: Page) -> str:
    """Returns whether the page's first label, HTTP's or else its own, names its encoding: right, wrong or missing."""
    head = page.content_type.encode() + b">" + read(page)[:1024]
    label = re.search(rb'charset="?([\w-]+)', head)
    if not label or not page.encoding:
        return "missing"
    return "right" if codecs.lookup(label[1].decode()).name == codecs.lookup(page.encoding).name else "wrong"


def test_every_page_has_a_row_and_every_row_a_page() -> None:
    files = sorted(path.name for path in (DATA / "pages").iterdir() if path.name != "pages.yaml")

    assert sorted(page.file for page in PAGES) == files
    assert len({page.url for page in PAGES}) == len(PAGES)
    assert {page.fate for page in PAGES} == {"kept", "duplicate", "low_quality", "refused", "open"}
    assert {page.of for page in PAGES} - {None} <= BY_FILE.keys()


@pytest.mark.parametrize("page", [page for page in PAGES if page.encoding], ids=lambda page: page.file)
def test_a_page_decodes_as_the_table_says(page: Page) -> None:
    html = source_of(page)

    assert html.encode(page.encoding or "") == read(page)
    assert "\ufffd" not in html
    assert (page.holds or "") in text_of(page)


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "big5"])
def test_a_legacy_encoding_comes_with_right_wrong_and_missing_labels(encoding: str) -> None:
    pages = [page for page in PAGES if page.encoding == encoding]

    assert {label_kind(page) for page in pages} == {"right", "wrong", "missing"}
    for page in pages:
        with pytest.raises(UnicodeDecodeError):
            read(page).decode("utf-8")


def test_pages_in_gb18030_hold_a_character_that_takes_four_bytes() -> None:
    pages = [page for page in PAGES if page.encoding == "gb18030"]

    four = {page.file: [sign for sign in source_of(page) if len(sign.encode("gb18030")) == 4] for page in pages}
    assert len(four) == 3
    assert all(four.values())


@pytest.mark.parametrize("page", [page for page in PAGES if page.fate == "kept"], ids=lambda page: page.file)
def test_a_kept_page_is_long_enough_for_rules_of_quality(page: Page) -> None:
    text = text_of(page)

    assert len(re.findall(HAN, text)) >= 400 or len(re.findall(r"[A-Za-z]+", text)) >= 250


@pytest.mark.parametrize("original", ["zh-essay-bridge", "en-essay-river"])
@pytest.mark.parametrize(
    ("degree", "low", "high"),
    [
        ("edited", 0.85, 0.95),  # five edits, each in five or six shingles of some 600 to 800
        ("paragraph", 0.75, 0.80),  # seven paragraphs of eight shared: 7 / 9
        ("half", 0.30, 0.36),  # four of eight: 4 / 12
        ("mirror", 0.80, 0.90),  # some 120 characters or 60 words of advertisements added
    ],
)
def test_near_duplicates_come_in_degrees(original: str, degree: str, low: float, high: float) -> None:
    left, right = shingles(BY_FILE[f"{original}.html"]), shingles(BY_FILE[f"{original}-{degree}.html"])

    assert low <= len(left & right) / len(left | right) <= high


def test_the_shortest_pages_differ_and_are_shorter_than_a_shingle() -> None:
    shortest = [BY_FILE["zh-short-closed.html"], BY_FILE["zh-short-open.html"]]

    texts = {text_of(page).strip() for page in shortest}
    assert texts == {"今日闭馆。", "明日开放。"}
    assert [shingles(page) for page in shortest] == [set(), set()]


def test_a_page_holds_the_text_of_a_special_token() -> None:
    assert text_of(BY_FILE["en-essay-marker.html"]).count("<|endoftext|>") == 2


def test_packing_gives_the_committed_bytes_each_time(tmp_path: Path) -> None:
    packing.pack(DATA / "pages", tmp_path / "once.warc.gz")
    packing.pack(DATA / "pages", tmp_path / "twice.warc.gz")

    assert (tmp_path / "once.warc.gz").read_bytes() == (tmp_path / "twice.warc.gz").read_bytes()
    assert (tmp_path / "once.warc.gz").read_bytes() == SAMPLE.read_bytes(), (
        "the pages or pack.py changed: run python tests/data/pack.py tests/data/sample.warc.gz"
    )


def test_a_record_larger_than_a_stored_block_is_packed_whole() -> None:
    data = bytes(range(256)) * 600

    assert gzip.decompress(packing.member(data)) == data


def test_every_record_of_the_archive_is_whole_and_a_member_of_its_own() -> None:
    packed = SAMPLE.read_bytes()
    kinds: Counter[str] = Counter()

    with SAMPLE.open("rb") as stream:
        for record in ArchiveIterator(stream, parse_http=False, record_types=WarcRecordType.any_type):
            assert packed[record.stream_pos :].startswith(packing.GZIP_HEADER)
            assert record.verify_block_digest()
            kinds[record.headers["WARC-Type"]] += 1

    assert kinds == {"warcinfo": 1, "request": len(PAGES), "response": len(PAGES)}


def test_responses_are_the_pages_of_the_table_in_its_order() -> None:
    found = []

    with SAMPLE.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            http = record.http_headers
            row = (record.headers["WARC-Target-URI"], http.status_code, http["Content-Type"], http.get("Location"))
            found.append((row, record.reader.read()))

    expected = [((page.url, page.status, page.content_type, page.location), read(page)) for page in PAGES]
    assert found == expected


def test_notes_are_documents_with_fields_of_their_own() -> None:
    assert len({note["id"] for note in NOTES}) == len(NOTES) == 15
    assert {tuple(sorted(note.keys() - {"url"})) for note in NOTES} == {("author", "id", "licence", "text")}
    assert {"url" in note for note in NOTES} == {True, False}


def test_two_notes_are_copies_of_a_note_and_of_a_page() -> None:
    texts = {note["id"]: note["text"] for note in NOTES}
    page = text_of(BY_FILE["zh-news-library.html"])

    assert texts["n015"] == texts["n010"]
    assert all(paragraph in page for paragraph in texts["n014"].split("\n\n"))
