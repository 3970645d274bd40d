"""`sheets/index.html`: all sheets on one page in the style of the report, which needs no network.

As with the report, style and script are named by their SHA-256 in a policy that allows nothing else, and every string
is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from stages.audit.model import Words
from stages.audit.page.blocks import block
from stages.audit.page.document import numbers, ours
from stages.audit.page.head import head
from stages.audit.page.markup import Safe, both, foreign, tag
from stages.audit.standards.answers import STATES, Answer, Part, Sheet
from stages.audit.standards.known import Known
from stages.audit.standing import version

ROWS = 100  # of a table
_TITLE = Words(en="Sheets for regulators", zh="监管填报表")
_VERIFIED = Words(en="What was verified of this sheet, and what was not", zh="本表依据的核实情况")
_HEADS = (
    Words(en="No.", zh="条款"),
    Words(en="Asked", zh="内容"),
    Words(en="Answer", zh="填报"),
    Words(en="By", zh="方式"),
    Words(en="From", zh="依据"),
)
_SKIP = Words(en="Skip to the sheets", zh="跳到正文")
_CONTENTS = Words(en="Contents", zh="目录")


def page(known: Known, sheets: Sequence[Sheet]) -> bytes:
    """Returns the page as UTF-8, the same bytes for the same sheets."""
    title = f"{known.name} · {_TITLE.en} {_TITLE.zh}"
    top = head(title, [ours("page.css"), _own()], ours("page.js"), marks={})
    tables = [table for sheet in sheets for part in sheet.parts for table in part.tables]
    body = tag(
        "body",
        tag("a", both(_SKIP), href="#the-sheets", class_="skip"),
        _header(known),
        tag(
            "div",
            _navigation(sheets),
            tag("main", *(_sheet(sheet) for sheet in sheets), id="the-sheets", tabindex=-1),
            class_="columns",
        ),
        tag("script", Safe(numbers((), tables, ROWS)), type="application/json", id="audit-data"),
    )
    return f"<!doctype html>\n{tag('html', top, body, lang='en')}\n".encode()


@cache
def _own() -> str:
    return (files(__package__) / "sheets.css").read_text("utf-8")


def _header(known: Known) -> Safe:
    facts = [
        (Words(en="version", zh="版本"), known.version),
        (Words(en="datapipe", zh="datapipe"), version()),
        *((Words(en=name, zh=name), f"{digest[:16]}…") for name, digest in known.digests.items()),
    ]
    return tag(
        "header",
        tag(
            "div",
            tag("h1", foreign(known.name), " ", tag("small", both(_TITLE))),
            tag("div", hidden=True, class_="switches"),
            class_="top",
        ),
        tag(
            "dl", *(tag("div", tag("dt", both(name)), tag("dd", tag("code", foreign(value)))) for name, value in facts)
        ),
    )


def _navigation(sheets: Sequence[Sheet]) -> Safe:
    items = (tag("li", tag("a", both(sheet.title), href=f"#{sheet.key}")) for sheet in sheets)
    return tag(
        "nav",
        tag("h2", both(_CONTENTS), id="title-contents", class_="unseen"),
        tag("ol", *items),
        aria_labelledby="title-contents",
    )


def _sheet(sheet: Sheet) -> Safe:
    return tag(
        "section",
        tag("h2", both(sheet.title), id=f"title-{sheet.key}"),
        both(sheet.intro, "p", class_="intro"),
        *(_part(part) for part in sheet.parts),
        tag("h3", both(_VERIFIED), class_="part"),
        tag("ul", *(tag("li", both(fact)) for fact in sheet.facts), class_="facts"),
        id=sheet.key,
        aria_labelledby=f"title-{sheet.key}",
    )


def _part(part: Part) -> Safe:
    rows = [
        _row(item.number, item.asked if number == 0 else None, answer)
        for item in part.items
        for number, answer in enumerate(item.answers)
    ]
    heads = tag("thead", tag("tr", *(tag("th", both(head), scope="col") for head in _HEADS)))
    form = tag("div", tag("table", heads, tag("tbody", *rows), aria_labelledby=f"label-{part.key}"), class_="form")
    return tag(
        "div",
        tag("h3", both(part.title), id=f"label-{part.key}", class_="part"),
        both(part.note, "p", class_="note") if part.note else "",
        form if rows else "",
        *(block(table, ROWS, {}) for table in part.tables if table.rows),
        id=part.key,
    )


def _row(number: str, asked: Words | None, answer: Answer) -> Safe:
    first = (tag("th", number, scope="row"), tag("td", both(asked))) if asked else (tag("th", ""), tag("td", ""))
    return tag(
        "tr",
        *first,
        tag("td", _words(answer), class_=None if answer.state == "measured" else answer.state),
        tag("td", both(STATES[answer.state]), class_=None if answer.state == "measured" else answer.state),
        tag("td", *(tag("div", foreign(key)) for key in answer.keys)),
        class_="more" if asked is None else None,
    )


def _words(answer: Answer) -> Safe:
    """Returns an answer in both languages; what people wrote is of no known language."""
    if answer.state == "said" and answer.words.en == answer.words.zh:
        return foreign(answer.words.en)
    return both(answer.words)
