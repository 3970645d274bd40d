"""Figures and tables as HTML: each with what it counts, how sure it is, and the command that lists its documents."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from stages.audit.model import Cell, Column, Figure, Table, Unit, Words
from stages.audit.page.axes import width
from stages.audit.page.charts import described, draw
from stages.audit.page.markup import EN, NONE, ZH, Safe, both, escape, foreign, headed, joined, tag
from stages.audit.page.numbers import exactly, number_of, told
from stages.audit.page.plot import reach

UNITS: dict[Unit, Words] = {
    "documents": Words(en="documents", zh="篇"),
    "tokens": Words(en="tokens", zh="词元"),
    "characters": Words(en="characters", zh="字符"),
    "bytes": Words(en="", zh=""),  # told with its own
    "share": Words(en="", zh=""),
    "number": Words(en="", zh=""),
    "text": Words(en="", zh=""),
}
_MARKED = re.compile(r"\[([a-z0-9_]+(?:\.[a-zA-Z0-9_]+)*)\]|`([^`]+)`")
_SHORT = 170.0  # a label of a row up to this wide is not broken
_MANY, _FIRST = 12, 8  # figures of a section that all stand open; that do where there are more
_CROWDED = (("many", 10), ("packed", 15))  # tables of so many columns, for print
_SHARED = 3  # figures with the same note
_MARKS = "①②③④⑤⑥⑦⑧⑨⑩"
_FEW, _FOLDED = 10, 12  # rows that stand open, and are printed, of tables of more than so many
_BESIDE, _NEAR = 580.0, 740.0  # width of tables that stand beside their chart: on any screen, on a broad one


def cell(value: Cell, unit: Unit, called: Words | None = None) -> Safe:
    """Returns the content of a cell, or what it is called; the script adds all digits of a number as a tip."""
    if called is not None:
        return both(called)
    return both(NONE, class_="none") if value is None and unit == "text" else escape(told(value, unit))


def noted(words: Words, labels: Mapping[str, Words], **attributes: str) -> Safe:
    """Returns sentences as a paragraph of each language.

    A key in square brackets is an arrow that leads to what has it; what stands in backquotes is code.
    """

    def marked(text: str, chinese: bool) -> Iterator[str]:
        done = 0
        for found in _MARKED.finditer(text):
            key, code = found.groups()
            if code is None and key not in labels:
                continue
            yield text[done : found.start()]
            done = found.end()
            if code is not None:
                yield tag("code", code)
            else:
                name = labels[key].zh if chinese else labels[key].en
                yield tag("a", "→", href=f"#{key}", class_="to", title=name, aria_label=name)
        yield text[done:]

    english = tag("p", *marked(words.en, chinese=False), lang=EN, **attributes)
    return joined((english, tag("p", *marked(words.zh, chinese=True), lang=ZH, **attributes)))


def cards(figures: Sequence[Figure], labels: Mapping[str, Words]) -> Safe:
    """Returns the figures of a section; of very many the first, the others on a click.

    A note that several of them have is written once, below them.
    """
    if not figures:
        return Safe("")
    noting = Counter(figure.note for figure in figures if figure.note is not None)
    shared = [note for note, amount in noting.items() if amount >= _SHARED][: len(_MARKS)]
    made = [_card(figure, labels, shared) for figure in figures]
    first = len(made) if len(made) <= _MANY else _FIRST
    parts = [tag("div", *made[:first], class_="cards")]
    if more := len(made) - first:
        asked = both(Words(en=f"{more} more figures", zh=f"另外 {more} 个数字"))
        parts.append(tag("details", tag("summary", asked), tag("div", *made[first:], class_="cards"), class_="more"))
    for mark, note in zip(_MARKS, shared, strict=False):
        parts.append(noted(Words(en=f"{mark} {note.en}", zh=f"{mark} {note.zh}"), labels, class_="note shared"))
    return joined(parts)


def _card(figure: Figure, labels: Mapping[str, Words], shared: Sequence[Words]) -> Safe:
    """Returns a figure: label, value, interval, how many were looked at, note; with a command it opens on a click."""
    number = number_of(figure.value) is not None
    unit = UNITS[figure.unit] if number else UNITS["text"]
    text = isinstance(figure.value, str)
    value = foreign(str(figure.value)) if text else cell(figure.value, figure.unit)
    marks = [tag("sup", _MARKS[shared.index(figure.note)])] if figure.note in shared else []
    face = joined(
        [
            tag("span", both(headed(figure.label)), *marks, class_="label"),
            tag(
                "span",
                tag("b", value, title=exactly(figure.value, figure.unit)),
                *([both(unit, class_="unit")] if unit.en else []),
                class_="value" if number else "value words",
            ),
            _sure(figure),
        ]
    )
    note = noted(figure.note, labels, class_="note") if figure.note and not marks else ""
    if figure.command is None:
        return tag("div", tag("div", face, class_="face"), note, class_="card", id=figure.key)
    asked = tag("details", tag("summary", face, class_="face"), tag("code", figure.command, lang=""))
    return tag("div", asked, note, class_="card asks", id=figure.key)


def _sure(figure: Figure) -> Safe:
    """Returns the interval, and of how many the figure is told."""
    said: list[Safe] = []
    if figure.low is not None and figure.high is not None:
        text = f"{told(figure.low, figure.unit)} – {told(figure.high, figure.unit)}"
        said.append(both(Words(en=f"95% interval {text}", zh=f"95% 区间 {text}")))
    if figure.of is not None:
        seeded = "" if figure.seed is None else f", seed {figure.seed}"
        chosen = "" if figure.seed is None else f"，随机种子 {figure.seed}"
        said.append(both(Words(en=f"n = {figure.of:,}{seeded}", zh=f"n = {figure.of:,}{chosen}")))
    return tag("span", *said, class_="sure") if said else Safe("")


def block(table: Table, most: int, labels: Mapping[str, Words]) -> Safe:
    """Returns a table of at most so many rows with its heading, its note and its chart."""
    drawn = draw(table)
    shown = table.rows[:most]
    there = max(table.of or 0, len(table.rows))
    amount = (
        Words(en=f"first {len(shown):,} of {there:,} rows", zh=f"共 {there:,} 行，显示前 {len(shown):,} 行")
        if there > len(shown)
        else Words(en=f"{there:,} rows" if there != 1 else "1 row", zh=f"{there:,} 行")
    )
    folded = len(shown) > _FOLDED
    printed = Words(en=f", printed: {_FEW}", zh=f"，打印 {_FEW} 行")
    head = tag(
        "div",
        tag("h3", both(headed(table.label)), id=f"label-{table.key}"),
        tag("div", tag("span", both(amount), *([both(printed, class_="printed")] if folded else [])), class_="tools"),
        class_="head",
    )
    note = noted(table.note, labels, class_="note") if table.note else ""
    figure = ""
    if drawn is not None:
        figure = tag("figure", drawn, tag("p", both(described(table)), id=f"about-{table.key}", class_="unseen"))
    rows = _grid(table, most) if table.rows else both(Words(en="No rows.", zh="没有数据。"), "p", class_="note")
    wide = _width(table, most)
    beside = " beside" if wide <= _BESIDE else " near" if wide <= _NEAR else ""
    pair = tag("div", figure, rows, class_=f"pair{beside}" if drawn is not None else "pair")
    return tag("div", head, note, pair, class_="block", id=table.key)


def _grid(table: Table, most: int) -> Safe:
    heads = (tag("th", both(headed(column.label)), scope="col") for column in table.columns)
    commands = table.commands or (None,) * len(table.rows)
    body = (_row(table.columns, row, asked) for row, asked in zip(table.rows[:most], commands[:most], strict=False))
    # Columns of numbers are named once, on the table, and not on each of its cells.
    kinds = [f"n{at}" for at, column in enumerate(table.columns, 1) if column.unit != "text"]
    if all(reach(row[0], table.columns[0]) <= _SHORT for row in table.rows[:most] if row):
        kinds.append("short")
    if len(table.rows[:most]) > _FOLDED:
        kinds.append("few")  # the script and the printer leave out what page.css says
    kinds += [name for name, least in _CROWDED if len(table.columns) >= least]
    grid = tag(
        "table",
        tag("thead", tag("tr", *heads)),
        tag("tbody", *body, lang=""),
        aria_labelledby=f"label-{table.key}",
        class_=" ".join(kinds) or None,
    )
    return tag("div", grid, class_="scroll", tabindex=0, role="region", aria_labelledby=f"label-{table.key}")


def _row(columns: tuple[Column, ...], row: tuple[Cell, ...], asked: str | None) -> Safe:
    cells = [cell(value, column.unit, column.named(value)) for value, column in zip(row, columns, strict=False)]
    first = cells[0] if cells else Safe("")
    if asked is not None:
        first = tag("details", tag("summary", first), tag("code", asked))
    return tag("tr", tag("th", first, scope="row"), *(tag("td", content) for content in cells[1:]))


def _width(table: Table, most: int) -> float:
    """Returns about how wide a table is."""
    labels = [max(width(column.label.en), width(column.label.zh)) for column in table.columns]
    widest = [
        max([reach(row[number], column) for row in table.rows[:most] if number < len(row)] or [0.0])
        for number, column in enumerate(table.columns)
    ]
    # Letters are larger here than in drawings; a heading breaks between words, a cell ends with an ellipsis.
    return sum(
        min(max(min(label * 1.2, 112.0), content * 1.13), 240.0) + 15.0
        for label, content in zip(labels, widest, strict=True)
    )
