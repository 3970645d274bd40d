r"""Markdown and CSV of strings that may be anybody's: no table, link, mark-up or formula can be made of them.

What is ours is written as it is; what comes from documents, configs or people goes through `foreign`.

>>> foreign("<b>*a*</b> [x](http://y.cn) | `z`")
'&lt;b&gt;\\*a\\*&lt;/b&gt; \\[x\\](http&#58;//y.cn) \\| \\`z\\`'
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

from stages.audit.model import Table, Words
from stages.audit.page.numbers import UNKNOWN, told
from stages.audit.review.cells import defused

_SIGNS: Final = re.compile(r"[\\`*\[\]|~]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_LINKS: Final = re.compile(r"(?i)(https?|ftp|xmpp|mailto)(:)|(www)(\.)")
_LINE: Final = re.compile(r"^([#=]|[-+](?=[\s-]|$)|\d+[.)](?=\s|$))")
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def foreign(text: str) -> str:
    """Returns a text as it may stand in a paragraph or a cell of Markdown, on one line."""
    text = _UNSEEN.sub("\ufffd", " ".join(text.split()))
    text = "".join(_ENTITIES.get(char, char) for char in text)
    text = _SIGNS.sub(lambda found: f"\\{found[0]}", text)
    text = _LINKS.sub(lambda found: f"{found[1]}&#58;" if found[1] else f"{found[3]}&#46;", text)
    return _LINE.sub(lambda found: f"{found[1][:-1]}\\{found[1][-1]}", text)


def paragraph(text: str, *, raw: bool = False) -> str:
    """Returns a text as paragraphs, as many as it has; with `raw` it is our Markdown."""
    if raw:
        return f"{text}\n\n"
    parts = (part for part in re.split(r"\n\s*\n", text) if part.strip())
    return "".join(f"{foreign(part)}\n\n" for part in parts)


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0) -> str:
    """Returns a table; cells are Markdown already, the last `numbers` columns are of numbers."""
    lines = ["---"] * (len(heads) - numbers) + ["---:"] * numbers
    made = [f"| {' | '.join(row)} |" for row in (heads, lines, *rows)]
    return "\n".join(made) + "\n\n"


def table_of_report(table: Table, most: int, *, chinese: bool = False) -> str:
    """Returns the first rows of a table of the report, in one language; it says how many more there are."""

    def said(words: Words) -> str:
        return foreign(words.zh if chinese else words.en)

    heads = [said(column.label) for column in table.columns]
    rows = []
    for row in table.rows[:most]:
        cells = []
        for value, column in zip(row, table.columns, strict=True):
            called = column.named(value)
            plain = UNKNOWN if value is None else told(value, column.unit)
            cells.append(said(called) if called else foreign(plain))
        rows.append(cells)
    kinds = ["---" if column.unit == "text" else "---:" for column in table.columns]
    made = "\n".join(f"| {' | '.join(row)} |" for row in (heads, kinds, *rows)) + "\n\n"
    there = max(table.of or 0, len(table.rows))
    if there > len(rows):
        made += f"{len(rows):,} / {there:,}\n\n"
    return made


def csv_bytes(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    r"""Returns rows as CSV that spreadsheets open as they are: UTF-8 with a mark, and no cell that is a formula.

    >>> csv_bytes(["a"], [["=1+1"], [2]])
    b"\xef\xbb\xbfa\r\n'=1+1\r\n2\r\n"
    """
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerow(heads)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return sink.getvalue().encode("utf-8-sig")


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return "" if value is None else value
    return defused(_UNSEEN.sub("\ufffd", value))
