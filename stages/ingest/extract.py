"""From what a reader found to documents: charset, main text, normal form, provenance; or a reason to refuse.

Pages are read one by one, and the main text of all pages of a batch is found at once, by a kernel over their UTF-8.
Texts that a source gives go column by column: a table of them costs little more than reading and hashing it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, Work
from datapipe.dataset import Batches
from stages.buffers import utf8
from stages.ingest.address import domain_of, host_of, iso_date
from stages.ingest.charset import Reading, read
from stages.ingest.charsets import Tally
from stages.ingest.clean import clean, cleaned
from stages.ingest.formulas import holds_formula, with_tex
from stages.ingest.head import Head, head_of
from stages.ingest.main_text import NODES_LIMIT, main_texts
from stages.ingest.metadata import Metadata, metadata_of
from stages.ingest.robots import Signals, asked, signals
from stages.ingest.rows import RAW
from stages.ingest.urls import canonical
from stages.schema import DOCUMENT


class Found(NamedTuple):
    """What one row comes to. `rule` says why it is refused, None where it is not."""

    text: str  # of a page that is not refused what `_with_main_texts` puts here
    reading: Reading  # its text is not kept
    rule: str | None = None
    value: float | None = None
    limit: float | None = None
    note: str | None = None
    head: Head = Head()
    metadata: Metadata = Metadata()
    signals: Signals | None = None  # None where there was neither a page nor its HTTP fields
    markup: bytes | None = None  # UTF-8 of the page whose main text is to be found


def extract(
    batches: Batches, work: Work, *, unicode: str, respect: tuple[str, ...] = (), comments: bool = False
) -> Batches:
    """Yields a document for each row of RAW that a reader found and none refuses.

    `unicode` is the version of the interpreter's tables, so that they are part of the step's identity. Pages that ask
    for one of `respect` (robots directives, or no_ai) are dropped; `comments` of readers are text if they are wanted.
    """
    tally = Tally()
    for batch in batches:
        raw = _without_refused(batch, work)
        if raw.column("page").null_count == raw.num_rows:
            yield given(raw, work, tally)
        else:
            yield _documents(raw, _with_main_texts(_found(raw, frozenset(respect)), comments), work, tally)
    work.put("charsets", tally.rows())


def _without_refused(batch: pa.RecordBatch, work: Work) -> pa.RecordBatch:
    """Drops what the reader refused."""
    refused = batch.column("rule").is_valid().to_numpy(zero_copy_only=False)
    columns = {name: batch.column(name) for name in ("rule", "value", "limit", "note")}
    return _drop(batch, refused, work, **columns)


def _drop(raw: pa.RecordBatch, where: np.ndarray, work: Work, **said: Any) -> pa.RecordBatch:  # Any: ledger columns
    """Returns the rows that stay; of those that leave, the ledger is told the host, and that they had no text."""
    if not where.any():
        return raw
    urls = zip(raw.column("url").to_pylist(), where.tolist(), strict=True)
    hosts = pa.array([host_of(url) if leaves else None for url, leaves in urls], pa.string())
    rules = said["rule"] if isinstance(said["rule"], pa.Array) else pa.repeat(said["rule"], raw.num_rows)
    texts = pc.if_else(pc.equal(rules, "no_text"), "", pa.scalar(None, pa.string()))
    told = raw.set_column(raw.schema.get_field_index("text"), "text", texts).append_column("host", hosts)
    work.drop(told, where, **said)
    return raw.filter(pa.array(~where))


def given(raw: pa.RecordBatch, work: Work, tally: Tally) -> pa.RecordBatch:
    """Returns the documents of rows whose text the source gives, column by column: what `_documents` makes of them."""
    text = cleaned(raw.column("text"))
    raw = raw.set_column(raw.schema.get_field_index("text"), RAW.field("text"), text)
    raw = _drop(raw, np.asarray(pc.binary_length(text)) == 0, work, rule="no_text")
    columns = {
        **_places(raw),
        "charset": raw.column("charset").fill_null("utf-8"),
        "charset_by": raw.column("charset_by").fill_null("given"),
        "text": raw.column("text").cast(pa.string()),
        "text_digest": _digests(raw.column("text")),
    }
    documents = _completed(raw, columns)
    replaced = np.asarray(raw.column("replaced").fill_null(0)).astype(np.int64)
    _note_repairs(documents, replaced, work)
    tally.add(documents, replaced)
    return documents


def _places(raw: pa.RecordBatch) -> dict[str, list[str | None]]:
    """Returns what follows from address and time of each row, nothing where no row has them."""
    made: dict[str, list[str | None]] = {}
    if raw.column("url").null_count < raw.num_rows:
        urls = raw.column("url").to_pylist()
        hosts = [host_of(url) for url in urls]
        made = {
            "canonical_url": [canonical(url, None, None) for url in urls],
            "host": hosts,
            "domain": [domain_of(host) for host in hosts],
        }
    if raw.column("crawl_time").null_count < raw.num_rows:
        made["crawl_date"] = [iso_date(time) for time in raw.column("crawl_time").to_pylist()]
    return made


def _digests(texts: pa.LargeStringArray) -> pa.FixedSizeBinaryArray:
    data, offsets = utf8(texts)
    content, places = memoryview(data.data), offsets.tolist()
    digests = [hashlib.blake2b(content[start:end], digest_size=16).digest() for start, end in pairwise(places)]
    return pa.FixedSizeBinaryArray.from_buffers(ID, len(texts), [None, pa.py_buffer(b"".join(digests))])


def _completed(raw: pa.RecordBatch, columns: Mapping[str, pa.Array | Sequence[object]]) -> pa.RecordBatch:
    """Returns rows of DOCUMENT: of `columns`, else of `raw`, else null."""
    arrays = []
    for field in DOCUMENT:
        if field.name in columns:
            made = columns[field.name]
            arrays.append(made if isinstance(made, pa.Array) else pa.array(made, field.type))
        elif field.name in raw.schema.names:
            arrays.append(raw.column(field.name))
        else:
            arrays.append(pa.nulls(raw.num_rows, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT)


def _documents(batch: pa.RecordBatch, found: list[Found], work: Work, tally: Tally) -> pa.RecordBatch:
    """Returns the documents of rows that no reader refused, from what was found in each."""
    texts = clean([item.text for item in found])
    found = [
        item if text or item.rule else item._replace(rule="no_text") for item, text in zip(found, texts, strict=True)
    ]
    refused = np.array([item.rule is not None for item in found], bool)
    raw = _drop(
        batch,
        refused,
        work,
        rule=pa.array([item.rule for item in found], pa.string()),
        value=pa.array([item.value for item in found], pa.float64()),
        limit=pa.array([item.limit for item in found], pa.float64()),
        note=pa.array([item.note for item in found], pa.string()),
    )
    stay = np.flatnonzero(~refused)
    documents = _assemble(raw, [found[row] for row in stay], [texts[row] for row in stay])
    replaced = np.array([found[row].reading.replaced for row in stay], np.int64)
    _note_repairs(documents, replaced, work)
    tally.add(documents, replaced)
    return documents


def _note_repairs(documents: pa.RecordBatch, replaced: np.ndarray, work: Work) -> None:
    """Says which documents hold U+FFFD for what could not be read."""
    rows = np.flatnonzero(replaced)
    work.note(documents, rows, action="repair", rule="undecodable", value=replaced)
    work.count("characters_replaced", int(replaced.sum()))


def _found(batch: pa.RecordBatch, respect: frozenset[str]) -> list[Found]:
    columns = ("page", "http_charset", "asks", "text", "charset", "charset_by", "replaced")
    return [
        _given(*given) if page is None else _page(page, label, asks, respect)
        for page, label, asks, *given in zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
    ]


def _given(text: str | None, charset: str | None, charset_by: str | None, replaced: int | None) -> Found:
    return Found(text or "", Reading("", charset or "utf-8", charset_by or "given", replaced or 0))


def _page(page: bytes, label: str | None, asks: str | None, respect: frozenset[str]) -> Found:
    """Returns what is to be known of a page before its main text."""
    reading = read(page, label)
    if not reading.text or reading.text.isspace():
        return _refused(reading, "empty_page")
    head = head_of(reading.text)
    found = signals(asks, head.metas)
    if respect and (request := asked(found, respect)):
        return _refused(reading, "robots", note=request)
    text = with_tex(reading.text) if holds_formula(page) else reading.text
    as_sent = reading.charset == "utf-8" and not reading.replaced and text is reading.text
    return Found(
        "",
        reading._replace(text=""),
        head=head,
        metadata=metadata_of(reading.text, head.facts),
        signals=found,
        markup=page if as_sent else text.encode("utf-8", "replace"),
    )


def _refused(reading: Reading, rule: str, value: float | None = None, note: str | None = None) -> Found:
    return Found("", reading._replace(text=""), rule, value, note=note)


def _with_main_texts(found: list[Found], comments: bool) -> list[Found]:
    """Puts the main text in what was found in pages; one of too many elements is refused."""
    texts = iter(main_texts([item.markup for item in found if item.markup is not None], comments=comments))
    return [item if item.markup is None else _with_text(item, next(texts)) for item in found]


def _with_text(item: Found, text: str | None) -> Found:
    if text is None:
        tags = float((item.markup or b"").count(b"<"))
        return item._replace(markup=None, rule="too_complex", value=tags, limit=float(NODES_LIMIT))
    return item._replace(markup=None, text=text)


def _assemble(raw: pa.RecordBatch, found: list[Found], texts: list[str]) -> pa.RecordBatch:
    """Returns rows of DOCUMENT from the rows of RAW that stay and what was found in each."""
    urls: list[str | None] = raw.column("url").to_pylist()
    hosts = [host_of(url) for url in urls]
    titles = [item.metadata.title or given for item, given in zip(found, raw.column("title").to_pylist(), strict=True)]
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
        "author": [item.metadata.author for item in found],
        "published": [item.metadata.published for item in found],
        "charset": [item.reading.charset for item in found],
        "charset_by": [item.reading.decided_by for item in found],
        "charset_declared": [item.reading.declared for item in found],
        "charset_detected": [item.reading.detected for item in found],
        "text": texts,
        "text_digest": [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts],
    }
    return _completed(raw, columns)
