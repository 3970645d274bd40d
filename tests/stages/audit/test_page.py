from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest

from stages.audit.model import Audit, Cell, Chart, Figure, Section, Table
from stages.audit.page import MOST_BYTES, render
from stages.audit.page.markup import headed
from tests.stages.audit.sample import HOSTILE, column, sample, words

VOID = {"meta", "input", "br"}


class Read(HTMLParser):
    """What a parser makes of a page: elements with their attributes and what surrounds them, and their own text."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.texts: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def handle_comment(self, data: str) -> None:
        self.wrong.append(f"<!--{data}")

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes, _ in self.elements if tag == name]

    def text(self, name: str) -> list[str]:
        return [text for tag, text in self.texts if tag == name]


@pytest.fixture(scope="module")
def page() -> Read:
    return Read(render(sample()))


# The page


def test_the_same_report_is_the_same_bytes_whatever_was_drawn_before() -> None:
    first = render(sample())
    render(sample("another"))

    assert render(sample()) == first
    assert first.startswith(b"<!doctype html>\n")


def test_elements_are_closed_in_the_order_in_which_they_were_opened(page: Read) -> None:
    assert page.wrong == []
    assert page.open == []


def test_every_key_is_an_id_and_every_id_is_there_once(page: Read) -> None:
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    keys = {part.key for section in sample().sections for part in (section, *section.figures, *section.tables)}

    assert len(ids) == len(set(ids))
    assert keys <= set(ids)
    for _, attributes, _ in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name, "title-summary") in ids
        if (link := attributes.get("href")) is not None:
            assert link[0] == "#"
            assert link[1:] in ids


def test_only_our_style_and_script_may_act() -> None:
    page = Read(render(sample(HOSTILE[1])))
    (policy,) = [one["content"] or "" for one in page.named("meta") if one.get("http-equiv")]
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))

    def sha256(content: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    scripts = page.named("script")
    assert rules == {
        "default-src": "'none'",
        "style-src": sha256("".join(page.text("style"))),
        "script-src": sha256(page.text("script")[0]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert scripts == [{}, {"type": "application/json", "id": "audit-data"}]
    assert len(page.named("style")) == 1


def risks(name: str) -> Audit:
    """The report of that name, of which only the last section is there."""
    audit = sample(name)
    return audit.model_copy(update={"sections": audit.sections[-1:]})


@pytest.mark.parametrize("text", HOSTILE)
def test_strings_of_documents_stay_text(text: str) -> None:
    page, hostile = (Read(render(risks(name))) for name in ("zh_en", text))

    def shape(page: Read) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes, _ in page.elements if tag != "code"]

    assert hostile.wrong == []
    assert shape(hostile) == shape(page)
    assert any(text in found for found in hostile.text("bdi"))
    assert {attribute for _, found, _ in hostile.elements for attribute in found} <= {
        *(
            "aria-describedby",
            "aria-label",
            "aria-labelledby",
            "charset",
            "class",
            "content",
            "cx",
            "cy",
            "d",
            "dir",
            "fill-opacity",
        ),
        *("height", "hidden", "href", "http-equiv", "id", "lang", "name", "points", "r", "role", "rx", "scope"),
        *("tabindex", "text-anchor", "title", "transform", "type", "viewbox", "width", "x", "x1", "x2", "xmlns", "y"),
        *("y1", "y2"),
    }


def test_the_numbers_of_the_report_are_in_the_page_as_data() -> None:
    audit = sample(HOSTILE[1])
    content = Read(render(audit)).text("script")[1]
    data = json.loads(content)

    assert data["figures"] == {figure.key: figure.value for section in audit.sections for figure in section.figures}
    for table in (table for section in audit.sections for table in section.tables):
        assert data["tables"][table.key]["columns"] == [[column.key, column.unit] for column in table.columns]
        assert data["tables"][table.key]["rows"] == [list(row) for row in table.rows]
    assert not set("<>&\u2028\u2029") & set(content)


def test_what_is_no_number_is_null() -> None:
    figure = Figure(key="a", label=words("a"), value=math.nan, unit="share", low=math.inf, high=1.0)
    section = Section(key="s", title=words("s"), intro=words("i"), figures=(figure,))
    page = Read(render(sample().model_copy(update={"sections": (section,)})))

    assert json.loads(page.text("script")[1])["figures"] == {"a": None}
    assert page.text("b") == ["–"]


def test_a_note_of_several_figures_is_written_once_and_many_figures_are_folded() -> None:
    note = words("Counted exactly.", "精确计数。")
    figures = tuple(Figure(key=f"f{n}", label=words(f"F{n}"), value=n, unit="number", note=note) for n in range(30))
    section = Section(key="s", title=words("s"), intro=words("i"), figures=figures)
    page = Read(render(sample().model_copy(update={"sections": (section,)})))

    assert [text for text in page.text("p") if "Counted exactly." in text] == ["① Counted exactly."]
    assert page.text("sup") == ["①"] * 30
    folded = [attributes for tag, attributes, around in page.elements if attributes.get("id") and "details" in around]
    assert [attributes["id"] for attributes in folded] == [f"f{n}" for n in range(8, 30)]
    assert "22 more figures" in page.text("span")


def test_the_page_names_the_digest_of_its_report_near_its_beginning() -> None:
    audit = sample()

    assert f'<meta name="datapipe-audit-sha256" content="{audit.digest}">'.encode() in render(audit)[:16_000]


def test_nothing_is_fetched_and_no_markup_is_made_of_strings(page: Read) -> None:
    script, style = ((files("stages.audit.page") / name).read_text() for name in ("page.js", "page.css"))

    assert not {"img", "link", "iframe", "object", "embed", "base", "form", "image", "use"} & {
        tag for tag, _, _ in page.elements
    }
    assert not {"src", "srcset", "action", "xlink:href", "style"} & {
        name for _, attributes, _ in page.elements for name in attributes
    }
    assert not re.search(r"url\(|@import|@font-face", style)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(|fetch|https?:", script
    )


def test_every_label_and_sentence_stands_in_both_languages(page: Read) -> None:
    for section in sample().sections:
        said = [section.title, *(part.label for part in (*section.figures, *section.tables))]
        said += [column.label for table in section.tables if table.rows for column in table.columns]
        for one in map(headed, said):
            assert one.en in page.text("span")
            assert one.zh in page.text("span")
    languages = {attributes["lang"] for _, attributes, _ in page.elements if "lang" in attributes}

    assert languages == {"en", "zh-Hans", ""}
    assert page.named("html") == [{"lang": "en"}]


def test_each_figure_and_row_with_a_command_holds_it(page: Read) -> None:
    codes = page.text("code")

    for section in sample().sections:
        for figure in section.figures:
            assert figure.command is None or figure.command in codes
        for table in section.tables:
            assert {command for command in table.commands or () if command} <= set(codes)


def test_tables_can_be_read_aloud(page: Read) -> None:
    heads = [attributes for tag, attributes, around in page.elements if tag == "th" and "thead" in around]
    rows = [attributes for tag, attributes, around in page.elements if tag == "th" and "tbody" in around]
    tables = [table for section in sample().sections for table in section.tables if table.rows]

    assert len(heads) == sum(len(table.columns) for table in tables)
    assert {head["scope"] for head in heads} == {"col"}
    assert len(rows) == sum(len(table.rows) for table in tables)
    assert {row["scope"] for row in rows} == {"row"}
    assert len(page.named("main")) == len(page.named("nav")) == len(page.named("header")) == len(page.named("h1")) == 1
    for drawing in page.named("svg"):
        assert drawing["role"] == "img"
        assert drawing["aria-labelledby"]
        assert drawing["aria-describedby"]


def test_a_key_in_brackets_is_an_arrow_that_is_named_by_what_it_leads_to(page: Read) -> None:
    links = [one for one in page.named("a") if one.get("class") == "to"]

    assert [link["href"] for link in links].count("#hosts.top10.tokens") == 4  # two notes, in two languages
    assert [link["aria-label"] for link in links].count("前十大主机的词元占比") == 2
    assert [link["title"] for link in links].count("Tokens of the ten largest hosts") == 2
    assert any("[no.such.key]" in text for text in page.text("p"))
    assert "datapipe show" in page.text("code")  # of a note, where it stood in backquotes


def test_sure_figures_say_nothing_and_others_interval_number_and_seed(page: Read) -> None:
    said = page.text("span")

    assert "95% interval 0.05% – 0.3%" in said
    assert "n = 4,000, seed 7" in said
    assert "n = 4,000，随机种子 7" in said


def test_a_report_of_nothing_is_a_page() -> None:
    empty = Audit(name="", config_sha256="", code_version="", corpus={}, seed=0, drawn=0, sections=())

    assert Read(render(empty)).wrong == []


def large(rows: int) -> Audit:
    """A report whose tables have many rows of long hostile strings."""
    columns = (
        column("title", "Title", "标题", "text"),
        *(column(f"c{n}", f"C{n}", f"列{n}", "share") for n in range(7)),
    )
    line = HOSTILE[1] * 30
    table = Table(
        key="x",
        label=words("x"),
        columns=columns,
        rows=tuple((f"{number}{line}", *(number / (rows + n) for n in range(7))) for number in range(rows)),
        commands=tuple(f"datapipe show DIR 'title={line}'" for _ in range(rows)),
        chart=Chart(kind="lorenz", x="c0", y=("c1", "c2", "c3")),
    )
    sections = tuple(
        Section(
            key=f"s{'abcdefghijklmnopq'[part]}",
            title=words("S"),
            intro=words("I"),
            figures=tuple(
                Figure(key=f"f{part}.{n}", label=words("F"), value=n, unit="tokens", command=line) for n in range(5)
            ),
            tables=tuple(table.model_copy(update={"key": f"t{part}.{n}"}) for n in range(3)),
        )
        for part in range(5)
    )
    return sample().model_copy(update={"sections": sections})


def test_a_large_report_is_a_small_page_that_says_what_it_leaves_out() -> None:
    page = render(large(50))
    read = Read(page)

    assert len(page) < MOST_BYTES
    assert "first 10 of 50 rows" in read.text("span")
    assert len(json.loads(read.text("script")[1])["tables"]["t3.2"]["rows"]) == 10


def of(*figures: Figure, tables: tuple[Table, ...] = (), **more: Any) -> Audit:
    """A report of one section."""
    section = Section(key="s", title=words("S"), intro=words("I"), figures=figures, tables=tables)
    return sample().model_copy(update={"sections": (section,), **more})


def table_of(*rows: tuple[Cell, ...], key: str = "t", **more: Any) -> Table:
    """A table of words and amounts."""
    columns = (column("x", "X", "名", "text"), column("n", "N", "数", "documents"))
    return Table(key=key, label=words("T"), columns=columns, rows=rows, **more)


@pytest.mark.parametrize(
    "audit",
    [
        of(
            *(Figure(key=f"f{n}", label=words(f"F{n}"), value=n, unit="number", command="x" * 150) for n in range(5000))
        ),
        of(Figure(key="f", label=words("F"), value="字" * 600_000, unit="text", command="x" * 600_000)),
        of(tables=(table_of(("\u0301" * 200_000, 1), ("b" * 900_000, 2), chart=Chart(kind="bar", x="x", y=("n",))),)),
        of(tables=tuple(table_of(("a" * 2000, 1), key=f"t{n}") for n in range(500))),
        of(missing=tuple(words("one more thing" * 20) for _ in range(4000)), name="n" * 1_600_000),
    ],
    ids=["figures", "a value", "cells", "tables", "what is missing"],
)
def test_a_page_is_small_whatever_it_is_of_and_says_that_more_is_in_the_data(audit: Audit) -> None:
    page = render(audit)

    assert len(page) < MOST_BYTES
    assert "all of them are in report.json" in page.decode()
    assert Read(page).wrong == []
    assert f'content="{audit.digest}"'.encode() in page


def test_of_a_long_table_ten_rows_stand_open_and_the_heading_says_what_is_printed() -> None:
    long, brief = (table_of(*((f"r{n}", n) for n in range(rows)), key=f"t{rows}") for rows in (13, 12))
    page = Read(render(of(tables=(long, brief))))

    assert [one["class"] for one in page.named("table")] == ["n2 short few", "n2 short"]
    assert page.text("span").count(", printed: 10") == 1
    assert len(page.named("tr")) == 2 + 13 + 12  # all are there, for who has no script


def test_labels_begin_with_a_capital_and_names_as_they_are_written() -> None:
    labels = ("share of tokens", "zho_Hant: tokens", "und: tokens", "infD", "TLDs", "n")
    figures = (
        Figure(key=f"f{n}", label=words(label, "中文"), value=n, unit="number") for n, label in enumerate(labels)
    )
    page = Read(render(of(*figures)))

    shown = [text for text in page.text("span") if text.lower() in {label.lower() for label in labels}]
    assert shown == ["Share of tokens", "zho_Hant: tokens", "und: tokens", "infD", "TLDs", "N"]


def test_marks_are_not_piled_over_other_lines() -> None:
    pile = "e" + "\u0301" * 500 + " Việt ắ"
    read = Read(render(of(Figure(key="f", label=words("F"), value=pile, unit="text", command=pile))))

    assert read.text("bdi")[-1] == "e" + "\u0301" * 6 + " Việt ắ"
    assert read.text("code")[-1] == pile  # a command is copied as it is


# Colours


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def palette(theme: int) -> dict[str, tuple[float, ...]]:
    style = (files("stages.audit.page") / "page.css").read_text()
    pairs = re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", style)
    return {name: tuple(int(pair[theme][at : at + 2], 16) / 255 for at in (1, 3, 5)) for name, *pair in pairs}


@pytest.mark.parametrize("theme", [0, 1])
def test_letters_and_marks_stand_out_in_both_themes(theme: int) -> None:
    colours = palette(theme)
    grounds = [colours["ground"], colours["raised"]]
    series = [colours[f"c{number}"] for number in range(1, 9)]

    for ground in grounds:
        for ink in ("ink", "muted", "accent"):
            assert contrast(colours[ink], ground) >= 4.5  # WCAG 1.4.3
        for mark in series:
            assert contrast(mark, ground) >= 3  # WCAG 1.4.11
    for mark in series:  # letters on cells of a heat map and on bars of a funnel, which are at most half as strong
        for strength in (0.42, 0.5):
            mixed = tuple(strength * a + (1 - strength) * b for a, b in zip(mark, colours["ground"], strict=True))
            assert contrast(colours["ink"], mixed) >= 4.5


def test_cells_that_are_ours_are_drawn_in_both_languages_and_stay_keys_in_the_data() -> None:
    action = column("action", "action", "动作", "text").model_copy(update={"words": {"drop": words("dropped", "剔除")}})
    table = Table(
        key="t",
        label=words("by action", "按动作"),
        columns=(action, column("documents", "documents", "文档", "documents")),
        rows=(("drop", 3), ("<b>", 1)),
        chart=Chart(kind="bar", x="action", y=("documents",)),
    )
    made = sample().model_copy(
        update={"sections": (Section(key="s", title=words("s"), intro=words("s"), tables=(table,)),)}
    )
    page = render(made)
    read = Read(page)

    told = [text for _, text in read.texts]
    assert told.count("剔除") == told.count("dropped") == 2  # the table and its chart
    assert "&lt;b&gt;" in page.decode()
    data = json.loads(next(text for tag, text in read.texts if tag == "script" and '"tables"' in text))
    assert data["tables"]["t"]["rows"] == [["drop", 3], ["<b>", 1]]


# Machado, Oliveira and Fernandes (2009), table 1, severity 1: linear RGB as seen without one kind of cone.
BLIND = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}


def lab(colour: tuple[float, ...], seen: tuple[tuple[float, ...], ...] | None) -> tuple[float, float, float]:
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
    if seen:
        linear = [min(max(sum(a * b for a, b in zip(row, linear, strict=True)), 0.0), 1.0) for row in seen]
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    x, y, z = (
        sum(a * b for a, b in zip(row, linear, strict=True)) / white
        for row, white in zip(rows, (0.9505, 1.0, 1.089), strict=True)
    )
    f = [t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z)]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("seen", [None, *BLIND])
def test_neighbouring_series_differ_for_all_eyes(theme: int, seen: str | None) -> None:
    series = [lab(palette(theme)[f"c{number}"], BLIND.get(seen or "")) for number in range(1, 9)]

    for one, other in pairwise(series):
        assert math.dist(one, other) > 15
    for number, one in enumerate(series[:4]):
        for other in series[:number]:
            assert math.dist(one, other) > 15
