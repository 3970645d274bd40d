from __future__ import annotations

import html
import math
import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.audit.model import Cell, Chart, Kind, Table, Unit
from stages.audit.page.axes import apart, cut, log_ticks, rounded, ticks, width
from stages.audit.page.charts import draw
from stages.audit.page.markup import escape
from stages.audit.page.numbers import exactly, told
from stages.audit.page.plot import WIDTH
from tests.stages.audit.sample import column, words

SVG = "{http://www.w3.org/2000/svg}"


def svg(kind: Kind, units: dict[str, Unit], cells: list[tuple[Cell, ...]], **more: Any) -> ElementTree.Element:
    """Draws a table whose first column is `x`."""
    columns = tuple(column(key, key, key, unit) for key, unit in units.items())
    more.setdefault("y", tuple(key for key in units if key != "x" and not key.endswith(("low", "high"))))
    table = Table(key="t", label=words("t"), columns=columns, rows=tuple(cells), chart=Chart(kind=kind, x="x", **more))
    drawn = draw(table)
    assert drawn is not None
    assert drawn == draw(table)
    return ElementTree.fromstring(drawn)


def places(root: ElementTree.Element, name: str, *keys: str) -> list[tuple[float, ...]]:
    """The numbers of all marks of a class."""
    found = [
        one for one in root.iter() if name in (one.get("class") or "").split() and one.find(f"{SVG}title") is not None
    ]
    return [tuple(float(one.get(key, "nan")) for key in keys) for one in found]


def near(found: list[tuple[float, ...]], wanted: list[tuple[float, ...]]) -> bool:
    return found == [pytest.approx(one, abs=0.011) for one in wanted]


def test_bars_are_as_long_as_their_values() -> None:
    # A label of one letter is .6 * 11.5 wide: bars begin at 6.9 + 4 + 8 = 18.9. They end where 100, the last tick, is
    # told with 6 to spare: 460 - 8 - (3 * 6.9 + 6) = 425.3. A heading takes 20, a row 14 + 8.
    root = svg("bar", {"x": "text", "n": "documents"}, [("a", 50), ("b", 100), ("c", None), ("d", 0)])

    found = places(root, "c1", "x", "y", "width", "height")
    assert near(found, [(18.9, 20, 203.2, 13), (18.9, 42, 406.4, 13), (18.9, 86, 0, 13)])


def test_a_bar_has_its_interval_where_the_table_has_one() -> None:
    units: dict[str, Unit] = {"x": "text", "n": "documents", "low": "documents", "high": "documents"}
    root = svg("bar", units, [("a", 50, 25, 100), ("b", 100, None, 100)])

    (whisker,) = [one.get("d") or "" for one in root.iter() if one.get("class") == "whisker"]
    assert whisker.startswith("M120.50 26.50H425.30")  # a quarter and the whole of 406.4 behind 18.9


def test_bars_below_zero_go_the_other_way() -> None:
    root = svg("bar", {"x": "text", "n": "number", "m": "number"}, [("a", -2, 4)])

    ((x, wide),) = places(root, "c1", "x", "width")
    ((y, broad),) = places(root, "c2", "x", "width")
    assert x + wide == pytest.approx(y, abs=0.011)
    assert broad == pytest.approx(2 * wide, abs=0.021)


def test_parts_of_a_bar_follow_each_other() -> None:
    # 18.9 to 446 is the whole.
    root = svg("stacked", {"x": "text", "p": "share", "q": "share"}, [("a", 0.25, 0.75)])

    assert near(places(root, "c1", "x", "width"), [(18.9, 106.78)])
    assert near(places(root, "c2", "x", "width"), [(125.68, 320.33)])


def test_a_funnel_narrows_as_documents_leave() -> None:
    # 460 - 18.9 - 8 = 433.1 is the widest, its middle at 235.45.
    root = svg("funnel", {"x": "text", "n": "documents"}, [("a", 1000), ("b", 250)])

    assert near(places(root, "soft", "x", "width"), [(18.9, 433.1), (181.31, 108.28)])
    assert "250 · 25%" in [one.text for one in root.iter(f"{SVG}text")]


def test_bins_are_as_wide_as_they_reach_on_a_logarithmic_axis_too() -> None:
    # Ticks up to "200" are 20.7 wide, so the axis begins at 32.7; 1, 10, 100 and the last to 1000 are thirds of 413.3.
    root = svg("histogram", {"x": "tokens", "n": "documents"}, [(1, 100), (10, 200), (100, 50)], log_x=True)

    third = 413.3 / 3
    assert near(
        places(root, "c1", "x", "width", "y", "height"),
        [
            (33.2, third - 1, 125, 105),
            (33.2 + third, third - 1, 20, 210),
            (33.2 + 2 * third, third - 1, 177.5, 52.5),
        ],
    )


def test_a_line_breaks_where_a_value_is_missing_and_has_its_interval_as_a_band() -> None:
    units: dict[str, Unit] = {"x": "number", "n": "share", "n_low": "share", "n_high": "share"}
    rows: list[tuple[Cell, ...]] = [(0, 0.0, 0.0, 0.5), (1, 1.0, 0.5, 1.0), (2, None, None, None), (4, 0.5, 0.5, 0.5)]
    root = svg("line", units, rows)

    # "100%" is .6 * 3 + .9 wide: (4 letters of 6.9 or 10.35) + 12 = 43.05; points lie between 49.05 and 442.
    lines = [one.get("points") for one in root.iter(f"{SVG}polyline")]
    bands = [one.get("points") for one in root.iter(f"{SVG}polygon")]
    assert lines == ["49.05,230 147.29,20", "442,125"]
    assert bands == ["49.05,125 147.29,20 147.29,125 49.05,230", "442,125 442,125"]


def test_a_lorenz_curve_lies_under_the_diagonal() -> None:
    root = svg("lorenz", {"x": "share", "n": "share"}, [(0.0, 0.0), (0.5, 0.2), (1.0, 1.0)])

    (curve,) = root.iter(f"{SVG}polyline")
    (equal,) = (one for one in root.iter() if one.get("class") == "equal")
    assert curve.get("points") == "44,310 245,252 446,20"
    assert [equal.get(key) for key in ("x1", "y1", "x2", "y2")] == ["44", "310", "446", "20"]


def test_a_power_law_is_a_straight_line_of_its_ranks() -> None:
    root = svg("rank", {"x": "number", "n": "tokens"}, [(1, 1000), (10, 100), (100, 10), (1000, 0), (None, 5)])

    (curve,) = root.iter(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in (curve.get("points") or "").split()]
    assert len(points) == 3
    assert points[1][0] - points[0][0] == pytest.approx(points[2][0] - points[1][0], abs=0.02)
    assert points[1][1] - points[0][1] == pytest.approx(points[2][1] - points[1][1], abs=0.02)


def test_a_cell_is_as_strong_as_it_is_large() -> None:
    units: dict[str, Unit] = {"x": "text", "row": "text", "n": "documents"}
    rows: list[tuple[Cell, ...]] = [("a", "A", 100), ("b", "A", 50), ("a", "B", None), ("a", "A", 7)]
    root = svg("heat", units, rows, y=("n",), rows="row")

    # Rows begin behind one letter of .7 * 11.5 and 8; two columns share the rest.
    wide = (WIDTH - 16.05) / 2
    assert near(
        places(root, "c1", "x", "y", "width", "fill-opacity"),
        [(16.55, 34.5, wide - 1, 0.5), (16.55 + wide, 34.5, wide - 1, 0.25)],
    )
    (unknown,) = [one.get("d") or "" for one in root.iter() if one.get("class") == "empty"]
    assert unknown.count("h6") == 2


@pytest.mark.parametrize("kind", ["bar", "stacked", "histogram", "lorenz", "rank", "heat", "line", "funnel"])
@pytest.mark.parametrize(
    "rows",
    [
        [("a", 1, 2)],
        [(None, None, None)],
        [(None, 1, 1), (None, 2, 2)],
        [("a", 0, 0), ("b", 0, 0)],
        [(1, -1, 5), (2, 3, -7)],
        [(0, 1e300, 1), (1e-300, 2, 3)],
        [(5, 5, 5), (5, 5, 5)],
        [("长" * 300, 1, 1), ("x" * 300, math.inf, math.nan)],
        [],
    ],
)
@pytest.mark.parametrize("log", [False, True])
def test_odd_tables_are_drawn_or_left_out(kind: Kind, rows: list[tuple[Cell, ...]], log: bool) -> None:
    columns = (column("x", "x", "x", "text"), column("n", "n", "n", "documents"), column("m", "m", "m", "tokens"))
    chart = Chart(kind=kind, x="x", y=("n", "m"), rows="x" if kind == "heat" else None, log_x=log, log_y=log)
    drawn = draw(Table(key="t", label=words("t"), columns=columns, rows=tuple(rows), chart=chart))

    if drawn is not None:
        root = ElementTree.fromstring(drawn)
        numbers = [one.get(key) for one in root.iter() for key in ("x", "y", "width", "height", "d", "points")]
        assert not re.search("nan|inf", " ".join(number for number in numbers if number))


def test_long_labels_are_cut_and_told_whole() -> None:
    label = "很长的中文网站名称" * 9
    root = svg("bar", {"x": "text", "n": "documents"}, [(label, 1)])

    (cut_label,) = [one for one in root.iter(f"{SVG}text") if one.find(f"{SVG}title") is not None]
    assert (cut_label.text or "").endswith("…")
    assert cut_label[0].text == label
    assert width(cut_label.text or "") <= WIDTH * 0.36


# Numbers


@pytest.mark.parametrize(
    ("value", "unit", "shown", "exact"),
    [
        (0.5, "share", "50%", None),
        (0.00123456, "share", "0.123%", "0.123456%"),
        (1.0, "share", "100%", None),
        (-0.03, "share", "−3%", None),
        (1234567890, "tokens", "1.23B", "1,234,567,890"),
        (999_999, "tokens", "999,999", None),
        (12_345_678, "documents", "12,345,678", None),
        (1536, "bytes", "1.5 KiB", "1,536"),
        (3 * 2**30, "bytes", "3 GiB", "3,221,225,472"),
        (512, "bytes", "512 B", None),
        (211.347, "number", "211.3", "211.347"),
        (0.0, "number", "0", None),
        (1e-7, "number", "<0.0001", "1e-07"),
        (1.23456e-7, "share", "<0.0001%", "1.23456e-05%"),
        (-1e-7, "number", ">−0.0001", "-1e-07"),
        (1.23456e-5, "share", "0.00123%", "0.00123456%"),
        (2023, "text", "2023", None),
        (None, "tokens", "–", None),
        (math.nan, "share", "–", None),
        ("a", "number", "a", None),
    ],
)
def test_numbers_are_told_by_their_unit(value: Cell, unit: Unit, shown: str, exact: str | None) -> None:
    assert told(value, unit) == shown
    assert exactly(value, unit) == exact


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.sampled_from(["share", "number", "tokens"]))
def test_what_is_told_of_a_number_is_near_it(value: float, unit: Unit) -> None:
    shown = (
        told(value, unit, tiny=True)
        .replace("−", "-")
        .replace(",", "")
        .translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    )
    scale = 0.01 if shown.endswith("%") else 1.0
    for letter, size in (("M", 1e6), ("B", 1e9), ("T", 1e12)):
        scale = size if shown.endswith(letter) else scale
    number = float(shown.rstrip("%MBT").replace("×10", "e"))

    assert number * scale == pytest.approx(value, rel=0.006, abs=1e-300)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 9))
def test_ticks_are_few_round_and_within(low: float, size: float, most: int) -> None:
    size = max(size, abs(low) / 1000)  # an axis of numbers that all agree in their first digits shows none of them
    high = low + size
    found = ticks(low, high, most)
    steps = {float(f"{after - before:.4g}") for before, after in pairwise(found)}

    assert len(found) <= most + 1
    assert all(low - size * 1e-6 <= tick <= high + size * 1e-6 for tick in found)
    assert len(steps) <= 1
    assert {f"{step:e}"[0] for step in steps} <= {"1", "2", "5"}
    assert rounded(size, most) >= size * (1 - 1e-9)


@given(st.floats(1e-9, 1e9), st.floats(1.01, 1e9))
def test_logarithmic_ticks_lie_within(low: float, times: float) -> None:
    found = log_ticks(low, low * times)

    assert all(low * (1 - 1e-6) <= tick <= low * times * (1 + 1e-6) for tick in found)
    assert found == sorted(set(found))
    assert len(found) <= 9


@given(st.lists(st.text("ab中文…", min_size=1, max_size=8), min_size=1, max_size=40))
def test_labels_that_are_written_do_not_touch(labels: list[str]) -> None:
    middles = [40.0 * number for number in range(len(labels))]
    chosen = apart(middles, labels)
    ends = [(middles[at] - width(labels[at]) / 2, middles[at] + width(labels[at]) / 2) for at in chosen]

    assert chosen[0] == 0
    assert all(before[1] + 8 <= after[0] + 1e-9 for before, after in pairwise(ends))
    assert all(width(cut(label, 30.0)) <= 30.0 for label in labels)


@given(st.text())
def test_what_is_escaped_reads_as_it_was(text: str) -> None:
    forbidden = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

    assert html.unescape(escape(text)) == forbidden.sub("\ufffd", text)
    assert not set("<>\"'") & set(escape(text))
    assert ElementTree.fromstring(f'<a b="{escape(text)}">{escape(text)}</a>') is not None
