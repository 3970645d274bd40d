"""Sheets as Markdown and CSV: the language of the form first, the other beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.model import Words
from stages.audit.standards.answers import STATES, Answer, Sheet
from stages.audit.standards.forms import crawled, cut
from stages.audit.standards.known import Known
from stages.audit.standards.markdown import csv_bytes, foreign, grid, table_of_report

MOST = 1_000_000  # domains in a file
_HEADS = (
    Words(en="number", zh="条款"),
    Words(en="asked", zh="内容"),
    Words(en="answer", zh="填报"),
    Words(en="by", zh="方式"),
    Words(en="from", zh="依据"),
)
_VERIFIED = Words(en="What was verified of this sheet, and what was not", zh="本表依据的核实情况")


def ordered(words: Words, *, chinese: bool) -> tuple[str, str]:
    """Returns both languages, the first of the form first."""
    return (words.zh, words.en) if chinese else (words.en, words.zh)


def as_markdown(sheet: Sheet, known: Known) -> bytes:
    """Returns a sheet as Markdown, UTF-8."""
    return "".join(_markdown(sheet, known)).encode()


def _markdown(sheet: Sheet, known: Known) -> Iterator[str]:
    def said(words: Words, between: str = " · ") -> str:
        first, second = ordered(words, chinese=sheet.chinese)
        return foreign(first) if first == second else f"{foreign(first)}{between}{foreign(second)}"

    yield f"# {said(sheet.title)}\n\n{foreign(known.name)} {known.version}\n\n{said(sheet.intro, '<br>')}\n\n"
    for part in sheet.parts:
        yield f"## {said(part.title)}\n\n"
        if part.note is not None:
            yield f"{said(part.note, '<br>')}\n\n"
        rows = []
        for item in part.items:
            for number, answer in enumerate(item.answers):
                first = (foreign(item.number), said(item.asked, "<br>")) if number == 0 else ("", "")
                rows.append((*first, said(answer.words, "<br>"), said(STATES[answer.state], "<br>"), _keys(answer)))
        if rows:
            yield grid([said(head) for head in _HEADS], rows)
        for table in part.tables:
            if table.rows:
                yield f"**{said(table.label)}**\n\n"
                if table.note is not None:
                    yield f"{said(table.note, '<br>')}\n\n"
                yield table_of_report(table, 50, chinese=sheet.chinese)
    yield f"## {said(_VERIFIED)}\n\n"
    yield "".join(f"- {said(fact, '<br>')}\n" for fact in sheet.facts)


def _keys(answer: Answer) -> str:
    return "<br>".join(foreign(key) for key in answer.keys)


def as_csv(sheet: Sheet) -> bytes:
    """Returns the questions and answers of a sheet as CSV, a row an answer; the facts come last."""
    heads = ("part", *("number", "asked", "asked_zh", "answer", "answer_zh", "by", "by_zh", "from"))
    rows = [
        (
            part.title.zh if sheet.chinese else part.title.en,
            item.number,
            item.asked.en,
            item.asked.zh,
            answer.words.en,
            answer.words.zh,
            STATES[answer.state].en,
            STATES[answer.state].zh,
            "; ".join(answer.keys),
        )
        for part, item in sheet.items
        for answer in item.answers
    ]
    rows += [
        (_VERIFIED.zh if sheet.chinese else _VERIFIED.en, "", "", "", fact.en, fact.zh, "", "", "")
        for fact in sheet.facts
    ]
    return csv_bytes(heads, rows)


def domains_csv(known: Known) -> bytes:
    """Returns the registrable domains of crawled sources, and of those of no stated kind, by size of content.

    All of them up to MOST, and of more those that are to be listed at the least.
    """
    ranked = known.counted.ranked(crawled(known))
    total = pc.sum(ranked.column("bytes")).as_py() or 1
    tenth, small = cut(len(ranked), small=False), cut(len(ranked), small=True)

    def rows() -> Iterator[tuple[object, ...]]:
        reached = rank = 0
        for batch in ranked.slice(0, max(tenth, MOST)).to_batches(max_chunksize=1 << 14):
            for domain, documents, size, tokens in zip(*batch.to_pydict().values(), strict=True):
                reached, rank = reached + size, rank + 1
                cuts = (int(rank <= tenth), int(rank <= small))
                yield (
                    rank,
                    domain,
                    documents,
                    size,
                    tokens if known.tokenized else None,
                    f"{size / total:.6g}",
                    f"{reached / total:.6g}",
                    *cuts,
                )

    heads = ("rank", "domain", "documents", "bytes", "tokens", "share", "cumulative", "in_top_10_percent", "in_sme_cut")
    return csv_bytes(heads, rows())


def sources_csv(known: Known) -> bytes:
    """Returns the sources with their licences, a row each of both."""
    table = known.counted.sources
    if not known.tokenized:
        none = pa.nulls(len(table), pa.int64())
        table = table.set_column(table.schema.get_field_index("tokens"), "tokens", none)
    kinds = {name: said.kind for name, said in known.about.sources.items()}
    rows = ((*row.values(), kinds.get(row["source"])) for row in table.to_pylist())
    return csv_bytes((*table.column_names, "kind"), rows)
