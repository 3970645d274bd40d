"""A sample as a table to be filled in: a row a document, and no cell that a spreadsheet takes for a formula.

`spreadsheet` reads it back, whatever a spreadsheet made of it.

Source: OWASP, "CSV injection": a cell that begins with one of = + - @, a tab or a return may be run; a mark before it
keeps it text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stages.audit.review.model import Sample
from stages.audit.review.shown import Shown
from stages.audit.review.spreadsheet import FORMULA, MARK, written

HEADING: Final = (
    *("number", "verdict", "reasons", "note", "source", "language", "format", "url", "text", "reviewer", "role"),
    *("id", "sample_sha256"),
)
_MOST: Final = 32_000  # characters of a cell: Excel has no more than 32,767


def defused(text: str) -> str:
    """Returns a text as a cell that is none but text; `reading` takes the mark off again.

    >>> defused("=1+1"), defused("a=b"), defused("'quoted'")
    ("'=1+1", 'a=b', "''quoted'")
    """
    return MARK + text if text.startswith(FORMULA) else text


def csv_of(sample: Sample, documents: Sequence[Shown]) -> bytes:
    """Returns the table of a sample, whose documents stand in its order: UTF-8 with a mark, to be filled in."""
    digest = sample.sha256
    rows = []
    for number, (item, own) in enumerate(zip(sample.items, documents, strict=True), 1):
        text = own.head + (f"\n[… {own.left_out:,} …]\n{own.tail}" if own.tail or own.left_out else "")
        told = (item.source, item.language, item.format, item.url, text[:_MOST])
        rows.append([str(number), "", "", "", *(defused(one or "") for one in told), "", "", item.id, digest])
    return written(HEADING, rows)
