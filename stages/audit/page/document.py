"""The whole page: head, navigation, sections, and the data themselves.

Its only script and style are ours and are named by their SHA-256 in a Content-Security-Policy that allows nothing else,
so that no string of a document can run, load or send anything even if it were not escaped; and all are escaped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from stages.audit.model import Audit, Cell, Figure, Section, Table, Words
from stages.audit.page.blocks import block, cards, noted
from stages.audit.page.head import head
from stages.audit.page.less import less
from stages.audit.page.markup import Safe, both, foreign, headed, tag

MOST_BYTES = 1_500_000
ROWS = (100, 50, 25, 10, 3)  # rows shown of a table: the first of these by which the page is small enough
PARTS = ((100, 200), (24, 100), (8, 60), (3, 40))  # and if by none: parts of each kind, and letters of a string
_TITLE = Words(en="Diversity report", zh="多样性报告")
_CONTENTS = Words(en="Contents", zh="目录")
_MISSING = Words(en="What this report cannot tell", zh="本报告无法说明之处")
_HOW = Words(
    en="A figure or a row with a dotted underline opens the command that lists its documents; DIR stands for the "
    "folder of the run. Counts and shares are exact, unless an n says how many documents were looked at.",
    zh="带点状下划线的数字或行可以点开，显示列出相应文档的命令，其中 DIR 代表本次运行的目录。"
    "计数与占比均为精确值；注明 n 者系抽样估计，n 为所查文档数。",
)
_NOT_TOLD = "not-told"  # no key of a report has such a sign
_SKIP = Words(en="Skip to the report", zh="跳到正文")


Facts = list[tuple[Words, str]]


def _facts(audit: Audit) -> Facts:
    return [
        (Words(en="config", zh="配置"), audit.config_sha256),
        (Words(en="code", zh="代码版本"), audit.code_version),
        (Words(en="seed", zh="随机种子"), str(audit.seed)),
        (Words(en="texts looked at", zh="抽查文本"), f"{audit.drawn:,}"),
        *((Words(en=name, zh=name), str(value)) for name, value in audit.corpus.items()),
    ]


@dataclass(frozen=True)
class Face:
    """What a page is called, which facts its head has, how it is read, and by what name its head has the digest."""

    title: Words = _TITLE
    facts: Callable[[Audit], Facts] = _facts
    how: Words = _HOW
    missing: Words = _MISSING
    digest: str = "datapipe-audit-sha256"


REPORT = Face()


def render(audit: Audit, face: Face = REPORT) -> bytes:
    """Returns the page as UTF-8: a function of the report's data, the same bytes for the same data.

    It is smaller than MOST_BYTES: tables are shown with fewer rows where it would not be, and say so.
    """
    digest = audit.digest
    page = b""
    for rows in ROWS:
        page = _page(audit, face, rows, digest)
        if len(page) < MOST_BYTES:
            return page
    for most, letters in PARTS:
        page = _page(less(audit, most, letters), face, most, digest)
        if len(page) < MOST_BYTES:
            break
    return page


def _page(audit: Audit, face: Face, rows: int, digest: str) -> bytes:
    title = f"{audit.name} · {face.title.en} {face.title.zh}"
    top = head(title, [ours("page.css")], ours("page.js"), marks={face.digest: digest})
    labels = _labels(audit)
    body = tag(
        "body",
        tag("a", both(_SKIP), href="#the-report", class_="skip"),
        _header(audit, face),
        tag(
            "div",
            _navigation(audit, face),
            tag(
                "main",
                *(_section(section, rows, labels) for section in audit.sections),
                _missing(audit, face),
                id="the-report",
                tabindex=-1,
            ),
            class_="columns",
        ),
        tag("footer", both(face.how, "p")),
        tag("script", Safe(_data(audit, rows)), type="application/json", id="audit-data"),
    )
    return f"<!doctype html>\n{tag('html', top, body, lang='en')}\n".encode()


def _labels(audit: Audit) -> dict[str, Words]:
    """Returns what sections, figures and tables are called, by their keys."""
    labels = {section.key: section.title for section in audit.sections}
    for section in audit.sections:
        labels |= {figure.key: headed(figure.label) for figure in section.figures}
        labels |= {table.key: headed(table.label) for table in section.tables}
    return labels


def _header(audit: Audit, face: Face) -> Safe:
    return tag(
        "header",
        tag(
            "div",
            tag("h1", foreign(audit.name), " ", tag("small", both(face.title))),
            tag("div", hidden=True, class_="switches"),
            class_="top",
        ),
        tag("dl", *(tag("div", tag("dt", both(name)), tag("dd", _digest(value))) for name, value in face.facts(audit))),
    )


def _digest(text: str) -> Safe:
    """Returns a digest by its beginning; the whole of it is its tip."""
    whole = text.removeprefix("sha256:")
    if len(whole) >= 40 and all(char in "0123456789abcdef" for char in whole):
        return tag("code", whole[:12], title=whole)
    return tag("code", foreign(text))


def _navigation(audit: Audit, face: Face) -> Safe:
    entries = [(section.key, section.title) for section in audit.sections]
    if audit.missing:
        entries.append((_NOT_TOLD, face.missing))
    items = (tag("li", tag("a", both(title), href=f"#{key}")) for key, title in entries)
    return tag(
        "nav",
        tag("h2", both(_CONTENTS), id="title-contents", class_="unseen"),
        tag("ol", *items),
        aria_labelledby="title-contents",
    )


def _section(section: Section, rows: int, labels: Mapping[str, Words]) -> Safe:
    return tag(
        "section",
        tag("h2", both(section.title), id=f"title-{section.key}"),
        noted(section.intro, labels, class_="intro"),
        cards(section.figures, labels),
        *(block(table, rows, labels) for table in section.tables),
        id=section.key,
        aria_labelledby=f"title-{section.key}",
    )


def _missing(audit: Audit, face: Face) -> Safe:
    if not audit.missing:
        return Safe("")
    return tag(
        "section",
        tag("h2", both(face.missing), id="title-missing"),
        tag("ul", *(tag("li", both(words)) for words in audit.missing), class_="missing"),
        id=_NOT_TOLD,
        aria_labelledby="title-missing",
    )


def _data(audit: Audit, rows: int) -> str:
    """Returns the page's numbers as JSON."""
    figures = [figure for section in audit.sections for figure in section.figures]
    return numbers(figures, [table for section in audit.sections for table in section.tables], rows)


def numbers(figures: Iterable[Figure], tables: Iterable[Table], rows: int) -> str:
    """Returns numbers for `page.js` as JSON, which nothing in it can end: figures by key, tables as they are shown."""
    data = {
        "figures": {figure.key: _plain(figure.value) for figure in figures},
        "tables": {
            table.key: {
                "columns": [[column.key, column.unit] for column in table.columns],
                "rows": [[_plain(value) for value in row] for row in table.rows[:rows]],
            }
            for table in tables
        },
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _plain(value: Cell) -> Cell:
    """Returns a cell as JSON can say it: what is no number is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


@cache
def ours(name: str) -> str:
    """Returns the style or the script of pages."""
    return (files(__package__) / name).read_text("utf-8")
