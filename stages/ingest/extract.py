"""From what a reader found to documents: charset, main text, normal form, provenance; or a reason to refuse.

Main text is resiliparse's, which follows the page's structure and keeps lists, paragraphs and code as lines. Pages
nested so deep that it would take minutes are given whole (`main_content=False`), and above a further bound refused.
"""

from __future__ import annotations

import hashlib
import html
import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from resiliparse.extract.html2text import extract_plain_text

from datapipe import Work
from datapipe.dataset import Batches
from stages.ingest.address import domain_of, host_of, iso_date
from stages.ingest.alone import JOINER, holds_alone, mark
from stages.ingest.charset import Reading, read
from stages.ingest.clean import clean, clean_plainly
from stages.ingest.head import Head, head_of
from stages.ingest.nesting import fixed, measure
from stages.ingest.robots import Signals, asked, signals
from stages.ingest.urls import canonical
from stages.schema import DOCUMENT

MAIN_DEPTH = 500  # elements in elements; deeper pages are not searched for their main content (0.01 s at this depth)
DEPTH_LIMIT = 20_000
ATTRIBUTES_LIMIT = 5_000  # of one tag (0.1 s)
OPTIONS_LIMIT = 5_000  # of all selects (0.2 s)
TITLE_CHARACTERS = 65_536  # of the page, in which its title is looked for
_TITLE = re.compile(r"<title\b[^>]{0,1024}>([^<]{0,4096})", re.IGNORECASE)


class Found(NamedTuple):
    """What one row comes to. `rule` says why it is refused, None where it is not."""

    text: str
    title: str | None
    charset: str
    charset_by: str
    replaced: int
    rule: str | None = None
    value: float | None = None
    limit: float | None = None
    note: str | None = None
    head: Head = Head()
    signals: Signals | None = None  # None where there was neither a page nor its HTTP fields


def extract(batches: Batches, work: Work, *, unicode: str, respect: tuple[str, ...] = ()) -> Batches:
    """Yields a document for each row of RAW that a reader found and none refuses.

    `unicode` is the version of the interpreter's tables, so that they are part of the step's identity. Pages that ask
    for one of `respect` (robots directives, or no_ai) are dropped.
    """
    for batch in batches:
        yield _documents(_without_refused(batch, work), work, frozenset(respect))


def _without_refused(batch: pa.RecordBatch, work: Work) -> pa.RecordBatch:
    """Drops what the reader refused."""
    refused = batch.column("rule").is_valid().to_numpy(zero_copy_only=False)
    columns = {name: batch.column(name) for name in ("rule", "value", "limit", "note")}
    return work.drop(batch, refused, **columns)


def _documents(batch: pa.RecordBatch, work: Work, respect: frozenset[str]) -> pa.RecordBatch:
    """Returns the documents of rows that no reader refused."""
    found = _found(batch, respect)
    texts = clean([item.text for item in found])
    found = [
        item if text or item.rule else item._replace(rule="no_text") for item, text in zip(found, texts, strict=True)
    ]
    refused = np.array([item.rule is not None for item in found], bool)
    raw = work.drop(
        batch,
        refused,
        rule=pa.array([item.rule for item in found], pa.string()),
        value=pa.array([item.value for item in found], pa.float64()),
        limit=pa.array([item.limit for item in found], pa.float64()),
        note=pa.array([item.note for item in found], pa.string()),
    )
    stay = np.flatnonzero(~refused)
    documents = _assemble(raw, [found[row] for row in stay], [texts[row] for row in stay])
    _note_repairs(documents, [found[row] for row in stay], work)
    return documents


def _note_repairs(documents: pa.RecordBatch, found: list[Found], work: Work) -> None:
    """Says which documents hold U+FFFD for what could not be read."""
    replaced = np.array([item.replaced for item in found], np.int64)
    rows = np.flatnonzero(replaced)
    work.note(documents, rows, action="repair", rule="undecodable", value=replaced)
    work.count("characters_replaced", int(replaced.sum()))


def _found(batch: pa.RecordBatch, respect: frozenset[str]) -> list[Found]:
    pages: list[bytes | None] = batch.column("page").to_pylist()
    labels: list[str | None] = batch.column("http_charset").to_pylist()
    asks: list[str | None] = batch.column("asks").to_pylist()
    data, offsets = _buffers(batch.column("page"))
    sizes, alone = measure(data, offsets), holds_alone(data, offsets)
    held = [batch.column(name).to_pylist() for name in ("text", "charset", "charset_by", "replaced")]
    return [
        _given(*given) if page is None else _page(page, label, ask, size, bool(one), respect)
        for page, given, label, ask, size, one in zip(
            pages, zip(*held, strict=True), labels, asks, sizes, alone, strict=True
        )
    ]


def _given(text: str | None, charset: str | None, charset_by: str | None, replaced: int | None) -> Found:
    return Found(text or "", None, charset or "utf-8", charset_by or "given", replaced or 0)


def _buffers(pages: pa.LargeBinaryArray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the bytes of all pages and int64[pages + 1] offsets into them, both read-only as the kernels expect."""
    buffers = pages.buffers()
    offsets = np.frombuffer(buffers[1], np.int64)[pages.offset : pages.offset + len(pages) + 1]
    data = np.frombuffer(buffers[2] or b"", np.uint8)
    return fixed(data), fixed(offsets)


def _page(
    page: bytes, label: str | None, asks: str | None, size: np.ndarray, alone: bool, respect: frozenset[str]
) -> Found:
    """Returns the main text of one page; `alone`: its bytes, as UTF-8, hold a character between two tags."""
    reading = read(page, label)
    if not reading.text or reading.text.isspace():
        return _refused(reading, "empty_page")
    if reading.charset.startswith(("utf-16", "utf-32")):
        size = _size_of(reading.text)  # the bytes as sent do not look like markup
    limits = (DEPTH_LIMIT, ATTRIBUTES_LIMIT, OPTIONS_LIMIT)
    over = [(float(amount), float(limit)) for amount, limit in zip(size, limits, strict=True) if amount > limit]
    if over:
        return _refused(reading, "too_complex", *over[0])
    head = head_of(reading.text)
    found = signals(asks, head.metas)
    if respect and (request := asked(found, respect)):
        return _refused(reading, "robots", note=request)
    alone = alone or reading.charset != "utf-8"
    text = main_text(reading.text, main_content=bool(size[0] <= MAIN_DEPTH), alone=alone)
    title = title_of(reading.text)
    return Found(text, title, reading.charset, reading.decided_by, reading.replaced, head=head, signals=found)


def main_text(page: str, *, main_content: bool = True, alone: bool = True) -> str:
    """Returns the main text of a page, or all its text; `alone` says that it may hold characters between two tags.

    >>> main_text("<article><p>他说<b>好</b>了。</p></article>")
    '他说好了。'
    """
    marked = mark(page) if alone else page
    text: str = extract_plain_text(marked, main_content=main_content, preserve_formatting=True, alt_texts=False)
    return text if marked == page else text.replace(JOINER, "")


def _refused(
    reading: Reading, rule: str, value: float | None = None, limit: float | None = None, note: str | None = None
) -> Found:
    return Found("", None, reading.charset, reading.decided_by, reading.replaced, rule, value, limit, note)


def _size_of(text: str) -> np.ndarray:
    encoded = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    return measure(encoded, np.array([0, len(encoded)], np.int64)).reshape(3)


def title_of(page: str) -> str | None:
    r"""Returns the title of a page in one line, None where it has none.

    >>> title_of("<head><TITLE>\n A &amp; B </TITLE>")
    'A & B'
    """
    match = _TITLE.search(page, 0, TITLE_CHARACTERS)
    if match is None:
        return None
    return " ".join(clean_plainly(html.unescape(match[1])).split()) or None


def _assemble(raw: pa.RecordBatch, found: list[Found], texts: list[str]) -> pa.RecordBatch:
    """Returns rows of DOCUMENT from the rows of RAW that stay and what was found in each."""
    urls: list[str | None] = raw.column("url").to_pylist()
    hosts = [host_of(url) for url in urls]
    titles = [item.title or given for item, given in zip(found, raw.column("title").to_pylist(), strict=True)]
    said = [item.signals for item in found]
    columns = {
        "canonical_url": [
            canonical(url, item.head.canonical, item.head.base) for url, item in zip(urls, found, strict=True)
        ],
        "robots": [signal.robots if signal else None for signal in said],
        "no_ai": [signal.no_ai if signal else None for signal in said],
        "no_ai_by": [signal.no_ai_by if signal else None for signal in said],
        "host": hosts,
        "domain": [domain_of(host) for host in hosts],
        "crawl_date": [iso_date(time) for time in raw.column("crawl_time").to_pylist()],
        "title": titles,
        "charset": [item.charset for item in found],
        "charset_by": [item.charset_by for item in found],
        "text": texts,
        "text_digest": [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts],
    }
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else raw.column(field.name)
        for field in DOCUMENT
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT)
