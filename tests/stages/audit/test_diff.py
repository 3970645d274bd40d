"""Two corpora compared: figures with intervals, divergences, settings, gates, and what is printed or drawn of it."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon  # type: ignore[import-untyped] # has no types
from scipy.stats import chi2  # type: ignore[import-untyped] # has no types
from typer.testing import CliRunner, Result

from datapipe import ID, LEDGER, DatapipeError, part_of
from datapipe.testing import evaluate
from stages.audit.command import report
from stages.audit.compare.axes import Shared, Spread, chi_squared, paired, shift_of
from stages.audit.compare.changes import Changes
from stages.audit.compare.command import diff
from stages.audit.compare.compared import Compared, compared
from stages.audit.compare.documents import pair, survived
from stages.audit.compare.figures import Apart, cells, changed, labels_of
from stages.audit.compare.gating import judged
from stages.audit.compare.lines import lines
from stages.audit.compare.listing import batches, line
from stages.audit.compare.model import Diff, Value, schema_json
from stages.audit.compare.names import UNIT, CompareNames
from stages.audit.compare.sections import page, sections
from stages.audit.compare.stage import KEYS
from stages.audit.gates import parse
from stages.audit.measures import wilson
from stages.audit.model import Audit, Column, Section, Table, Words
from stages.audit.tally import unpack
from tests.stages.audit.conftest import once
from tests.stages.audit.folders import key, publish
from tests.stages.audit.sample import HOSTILE

Rows = list[dict[str, Any]]
NAME = Words(en="name", zh="名称")
INDEX = pa.schema(
    [
        pa.field("id", ID),
        *(pa.field(name, pa.string()) for name in ("source", "url", "host", "file", "language", "script", "format")),
        pa.field("text_digest", ID),
        pa.field("bytes", pa.int64()),
        pa.field("characters", pa.int64()),
    ]
)
EVIL = (HOSTILE[0], HOSTILE[2], HOSTILE[7])  # of a host, a source and a rule


def document(number: int, **more: Any) -> dict[str, Any]:
    language = ("zho_Hans", "zho_Hant", "eng_Latn")[number % 3]
    host = EVIL[0] if number % 5 == 0 else f"h{number % 4}.example"
    source = EVIL[1] if number % 7 == 0 else "web"
    row = {"id": key(number), "source": source, "host": host, "file": "a.jsonl", "language": language}
    row |= {"url": f"https://{host}/{number}?mail=lin@site.cn", "bytes": 100 + number, "characters": 50 + number}
    return {**row, "text_digest": key(number + 1000), "format": "prose", "script": language[4:], **more}


def run(folder: Path, limit: float, documents: int = 60) -> Path:
    """Publishes a run of which a rule took every document that is shorter than a limit."""
    rows = [document(number) for number in range(documents)]
    left = [
        {name: row[name] for name in LEDGER.names if name in row}
        | {"stage": "quality", "action": "drop", "rule": EVIL[2], "value": float(row["characters"]), "limit": limit}
        for row in rows
        if row["characters"] < limit
    ]
    kept = [row for row in rows if row["characters"] >= limit]
    tables = {"documents/part-00000-of-00001.parquet": pa.Table.from_pylist(kept, INDEX)}
    for number in range(2):
        own = sorted((row for row in left if part_of(row["id"], 2) == number), key=lambda row: row["id"])
        tables[f"ledger/part-{number:05}-of-00002.parquet"] = pa.Table.from_pylist(own, LEDGER)
    stage = {
        "stage": "quality",
        "documents_in": documents,
        "made": 0,
        "documents_out": len(kept),
        "counts": {},
        "remarks": [],
    }
    rule = {"action": "drop", "rule": EVIL[2], "documents": len(left)}
    publish(folder, tables, [{**stage, "dropped": len(left), "rules": [rule]}])
    return folder


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of two runs, a and b, of which b dropped eight documents more, and of what is counted."""

    def made(folder: Path) -> None:
        run(folder / "a", 60), run(folder / "b", 68)

    return once(tmp_path_factory, "two", made)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns where what is counted is kept, so that it is counted once."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def told(two: Path, work: Path) -> Compared:
    return compared(str(two / "a"), str(two / "b"), work=str(work), executor="local")


def command(*given: object) -> Result:
    app = typer.Typer(rich_markup_mode=None)
    app.command("diff")(diff)
    app.command("report")(report)
    return CliRunner().invoke(app, [str(one) for one in given])


# Figures


def test_the_interval_of_a_change_is_newcombes() -> None:
    """Newcombe 1998, Statistics in Medicine 17, 873, table II (a): 56/70 and 48/80 by method 10: .0524 to .3339."""
    a, b = (Value(value=one.value, low=one.low, high=one.high) for one in (wilson(48, 80), wilson(56, 70)))

    told = changed("a", NAME, "share", a, b)

    assert (told.change, round(told.low or 0, 4), round(told.high or 0, 4), told.says) == (
        0.2,
        0.0524,
        0.3339,
        "beyond",
    )


@pytest.mark.parametrize(
    ("both", "only_a", "only_b", "neither", "low", "high"),
    [(36, 2, 12, 0, 0.0569, 0.3404), (0, 0, 0, 5, -0.4345, 0.4345)],
)
def test_the_interval_of_paired_shares_is_newcombes(
    both: int, only_a: int, only_b: int, neither: int, low: float, high: float
) -> None:
    """Newcombe 1998, Statistics in Medicine 17, 2635, method 10: 36, 12, 2, 0; of none it is that of 0/5 twice."""
    told = pair("source", "web", both, only_a, only_b, neither)

    assert (round(told.low, 4), round(told.high, 4)) == (low, high)


SURE, WIDE = Value(value=0.5, low=0.4, high=0.6), Value(value=0.6, low=0.5, high=0.7)


@pytest.mark.parametrize(
    ("a", "b", "drawn", "says", "change"),
    [
        (Value(value=3), Value(value=3), False, "same", 0.0),
        (Value(value=3), Value(value=4), False, "counted", 1.0),
        (SURE, WIDE, False, "within", 0.1),
        (SURE, Value(value=0.9, low=0.85, high=0.95), False, "beyond", 0.4),
        (Value(value=3.0, of=10), Value(value=4.0, of=10), True, "unsure", 1.0),
        (Value(value=3.0, of=10), Value(value=3.0, of=12), True, "unsure", 0.0),
        (Value(value=3.0, of=10), Value(value=3.0, of=10), True, "unsure", 0.0),
        (SURE, SURE, True, "within", 0.0),
        (SURE, SURE, False, "same", 0.0),
        (Value(value="x"), Value(value="y"), False, "counted", None),
        (Value(value="x"), Value(value="x"), False, "same", None),
        (None, Value(value=3), False, "lacking", None),
        (Value(value=None), Value(value=3), False, "lacking", None),
        (Value(value=None), Value(value=None), False, "same", None),
    ],
)
def test_a_figure_says_whether_it_changed_by_more_than_chance(
    a: Value | None, b: Value | None, drawn: bool, says: str, change: float | None
) -> None:
    told = changed("a", NAME, "number", a, b, drawn=drawn)

    assert (told.says, told.change) == (says, change)


def test_what_two_models_measured_is_not_compared() -> None:
    why = Apart(topics=True).why("topics.largest", "share")

    told = changed("topics.largest", NAME, "share", SURE, WIDE, why=why)

    assert (told.says, told.change) == ("apart", None)
    assert told.why is not None


def table(*rows: tuple[Any, ...], of: int | None = None) -> Table:
    columns = [Column(key=name, label=NAME, unit="text") for name in ("group", "axis")]
    columns += [Column(key=name, label=NAME, unit="share") for name in ("share", "share_low", "share_high")]
    return Table(key="made.up", label=NAME, columns=tuple(columns), rows=rows, of=of)


def audit(one: Table) -> Audit:
    section = Section(key="made", title=NAME, intro=NAME, tables=(one,))
    return Audit(name="a", config_sha256="", code_version="", corpus={}, seed=0, drawn=0, sections=(section,))


def test_rows_are_known_by_as_many_words_as_tell_them_apart() -> None:
    once, twice = ("a", "x", 0.1, None, None), ("a", "y", 0.1, None, None)

    assert labels_of(table(once)) == ("group",)
    assert labels_of(table(once, twice)) == ("group", "axis")
    assert labels_of(table(once, once)) == ()


def test_cells_are_compared_row_by_row_with_their_intervals() -> None:
    a = table(("a", "x", 0.5, 0.4, 0.6), ("b", "x", 0.1, None, None))
    b = table(("b", "x", 0.2, None, None), ("a", "x", 0.9, 0.8, 1.0), of=9)

    told = {one.key: one for one in cells(audit(a), audit(b), Apart())}

    assert {name: (one.says, one.change) for name, one in told.items()} == {
        "made.up.a.share": ("beyond", 0.4),
        "made.up.b.share": ("counted", 0.1),
    }


def test_a_row_that_a_table_does_not_show_is_not_known_to_be_gone() -> None:
    a, b = table(("a", "x", 0.5, None, None)), table(("b", "x", 0.2, None, None), of=9)

    told = list(cells(audit(a), audit(b), Apart()))

    assert [(one.says, one.why is not None) for one in told] == [("lacking", True)] * 2


# Divergences


SIZES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 50), min_size=1)


def spread(sizes: dict[str, int], rest: float = 0.0) -> Spread:
    return Spread({name: float(size) for name, size in sizes.items()}, rest, len(sizes), 0.0)


@given(SIZES, SIZES)
def test_the_divergence_is_that_of_scipy(a: dict[str, int], b: dict[str, int]) -> None:
    names = sorted({*a, *b})
    p, q = ([side.get(name, 0) for name in names] for side in (a, b))

    told = shift_of("host", "documents", spread(a), spread(b))

    distance = 0.0 if a == b else jensenshannon(p, q, base=2)  # of equal ones scipy's may be no number
    assert math.isclose(told.divergence, np.nan_to_num(distance) ** 2, abs_tol=1e-9)
    assert math.isclose(sum(one.adds for one in told.bins), told.divergence, abs_tol=1e-9)


@given(SIZES, SIZES, st.integers(0, 8))
def test_of_more_groups_than_are_named_the_truth_lies_between(a: dict[str, int], b: dict[str, int], most: int) -> None:
    truth = shift_of("host", "tokens", spread(a), spread(b)).divergence
    sides = []
    for side in (a, b):
        largest = dict(sorted(side.items(), key=lambda one: (-one[1], one[0]))[:most])
        sides.append(
            Spread({**spread(largest).named}, float(sum(side.values()) - sum(largest.values())), len(side), 0.0)
        )

    told = shift_of("host", "tokens", sides[0], sides[1])

    assert told.divergence <= truth + 1e-12
    assert truth <= (told.divergence if told.most is None else told.most) + 1e-12


def test_names_are_added_up_to_the_divergence_of_all_of_them(two: Path, told: Compared) -> None:
    shifts = {(one.axis, one.weighting): one for one in told.diff.shifts}
    wholes = (("host", "documents", 50, 42), ("domain", "documents", 50, 42))

    result = evaluate(CompareNames(a=str(two / "a"), b=str(two / "b"), wholes=wholes).build())

    for row in dict(unpack(result.table))["added"].to_pylist():
        one = shifts[row["axis"], row["weight"]]
        assert row["units"] / UNIT == pytest.approx(one.divergence, abs=1e-12)
        assert row["names"] == one.groups_a == 5


@pytest.mark.heavy
def test_of_thousands_of_hosts_the_divergence_is_exact(tmp_path: Path) -> None:
    """Expected by scipy, of 2,500 hosts of which tables of counts name no more than the 1,000 largest."""
    sizes: list[Counter[str]] = []
    for side, step, amount in (("a", 1, 6000), ("b", 3, 5000)):
        rows = [document(number, host=f"h{number * step % 2500}.example") for number in range(amount)]
        sizes.append(Counter(row["host"] for row in rows))
        stage = {"stage": "quality", "documents_in": amount, "made": 0, "documents_out": amount, "dropped": 0}
        tables = {"documents/part-00000-of-00001.parquet": pa.Table.from_pylist(rows, INDEX)}
        publish(tmp_path / side, tables, [{**stage, "counts": {}, "remarks": [], "rules": []}])

    told = compared(str(tmp_path / "a"), str(tmp_path / "b"), executor="local").diff

    names = sorted({*sizes[0], *sizes[1]})
    (one,) = (one for one in told.shifts if (one.axis, one.weighting) == ("host", "documents"))
    expected = jensenshannon(*([side[name] for name in names] for side in sizes), base=2) ** 2
    assert (one.most, one.of, one.says) == (None, 2500, "within")
    assert one.divergence == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("free", [1, 2, 5, 10, 100, 1000])
def test_the_quantile_of_chi_squared_is_near_that_of_scipy(free: int) -> None:
    assert chi_squared(free) == pytest.approx(chi2.ppf(0.95, free), rel=0.03 if free == 1 else 0.01)


@pytest.mark.parametrize("shared", [0, 600, 900])
def test_chance_is_what_a_blind_exchange_of_documents_gives(shared: int) -> None:
    """Of 1,000 documents each, some of them the same: 500 exchanges by numpy; a twentieth is told as more."""
    rng, groups, whole = np.random.default_rng(7), np.array([0.4, 0.3, 0.2, 0.1]), 1000
    told = []
    for _ in range(500):
        both, *own = (rng.multinomial(n, groups) for n in (shared, whole - shared, whole - shared))
        sizes = [dict(zip("abcd", (both + one).tolist(), strict=True)) for one in own]
        same = Shared(shared, whole - shared, whole - shared, {})
        told.append(shift_of("host", "documents", spread(sizes[0]), spread(sizes[1]), same))

    chance = max(one.chance or 0.0 for one in told)  # the same of all; of equal ones it is not told
    assert np.mean([one.divergence for one in told]) == pytest.approx(chance, rel=0.12)
    assert 0.02 < np.mean([one.says == "beyond" for one in told]) < 0.08


def test_a_share_of_documents_that_are_in_both_has_a_narrow_interval() -> None:
    apart, same = (paired(wilson(100, 1000), wilson(110, 1000), one) for one in (0.0, 0.99))

    assert apart.low < 0 < same.low < same.high < apart.high


# The whole


def test_a_corpus_does_not_differ_from_itself(finished: Path, tmp_path: Path) -> None:
    told = compared(str(finished), str(finished), work=str(tmp_path), executor="local").diff

    assert {one.says for one in told.figures} == {"same"}
    assert (told.cells, told.settings) == ((), ())
    assert (told.documents.only_a, told.documents.only_b, told.documents.changed) == (0, 0, 0)
    assert told.documents.same > 10
    assert {one.says for one in told.shifts} == {one.says for one in told.survived} == {"same"}
    assert list(lines(told, ("a", "b")))[-1] == "diff: the same documents in both"


def test_documents_figures_and_limits_of_two_runs_are_told(told: Compared) -> None:
    found = told.diff

    assert (found.a.documents, found.b.documents) == (50, 42)
    assert (found.documents.only_a, found.documents.only_b, found.documents.same) == (8, 0, 42)
    (cause,) = (one for one in found.documents.causes if one.kind == "only_a")
    assert (cause.cause, cause.documents, len(cause.examples)) == ("limit", 8, 5)
    assert [(one.kind, one.a, one.b) for one in found.settings] == [("limit", "60", "68")]
    kept = {one.key: one for one in found.figures}["funnel.kept"]
    assert (kept.change, kept.says) == (-8, "counted")
    assert sum(one.only_a for one in found.survived if one.axis == "language") == 8


def test_gates_may_name_all_of_it(told: Compared) -> None:
    named = told.measured

    assert named["diff.only_a"].value == 8
    assert sum(one.value or 0 for name, one in named.items() if name.startswith("diff.only_a.quality.")) == 8
    assert [one.value for name, one in named.items() if name.startswith("diff.only_b.quality.")] == [0]
    assert named["change.funnel.kept"].value == -8
    assert named["survival.zho_Hant"].value == pytest.approx(14 / 20)
    assert named["survival.language.zho_Hant"] == named["survival.zho_Hant"]
    assert named["change.survival.zho_Hant"].value == pytest.approx(14 / 20 - 17 / 20)
    assert named["kept.language.zho_Hant"].value == pytest.approx(14 / 20)
    assert named["change.share.language.zho_Hant.documents"].value == pytest.approx(14 / 42 - 17 / 50)
    assert 0 < (named["diff.shift.language.documents"].value or 0) < 0.01


def test_its_json_is_as_the_schema_says_and_is_read_back(told: Compared) -> None:
    content = told.diff.to_json()

    jsonschema.validate(json.loads(content), json.loads(schema_json()))
    assert Diff.model_validate_json(content) == told.diff


def test_it_does_not_depend_on_where_the_runs_lie_and_writes_no_report(
    two: Path, told: Compared, work: Path, tmp_path: Path
) -> None:
    shutil.copytree(two, tmp_path / "moved")

    again = compared(str(tmp_path / "moved/a"), str(tmp_path / "moved/b"), work=str(work), executor="local")

    assert again.diff.to_json() == told.diff.to_json()
    assert page(again.diff) == page(told.diff)
    for side in ("a", "b"):
        assert {one.name for one in (tmp_path / "moved" / side).rglob("*")} == {
            one.name for one in (two / side).rglob("*")
        }


def test_strings_of_documents_do_no_harm(told: Compared) -> None:
    drawn = page(told.diff).decode()
    printed = "\n".join(lines(told.diff, ("a", "b"), every=True)) + told.diff.to_json().decode()

    scripts = re.findall(r"<script[^>]*>", drawn)
    assert len(scripts) == 2
    assert "<img" not in drawn
    assert "onerror=&quot;" in drawn
    assert "lin@site.cn" not in drawn + printed
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", printed + drawn)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_lines_are_no_wider_than_the_terminal(told: Compared, width: int) -> None:
    text = [one for one in lines(told.diff, ("a", "b"), width=width) if one.startswith("  ")]

    assert len(text) > 10
    assert max(map(len, text)) <= width + 2


def test_a_line_of_the_list_says_why(told: Compared) -> None:
    rows = [json.loads(line(row)) for batch in batches(told.files) for row in batch.to_pylist()]

    assert sum(row["kind"] == "only_a" for row in rows) == 8
    assert all("60 → 68" in row["why"] for row in rows if row["kind"] == "only_a")


def test_the_page_of_gates_has_each_in_its_column(told: Compared) -> None:
    gates = judged([parse("diff.only_a < 3", why="agreed")], told.measured)

    (held,) = next(iter(sections(told.under(gates).diff))).tables

    (row,) = (dict(zip((one.key for one in held.columns), row, strict=True)) for row in held.rows)
    assert (row["gate"], row["state"], row["value"], row["name"]) == ("diff.only_a < 3", "fail", 8, "diff.only_a")
    assert row["why"] == "8 is not < 3; agreed"


def counts(*rows: tuple[str, str, str, int], lacks: str | None = None) -> Changes:
    """Returns the counts of (kind, cause, matched, documents), and which side lacks its ledger."""
    made = [dict(zip(("kind", "cause", "matched", "documents"), row, strict=True)) for row in rows]
    schema = pa.schema([("documents", pa.int64()), *((key, pa.string()) for key in KEYS)])
    table = pa.Table.from_pylist([{**row, "source": "web", "language": "eng_Latn"} for row in made], schema)
    about = {side: {"lacks": ["ledger"] if side == lacks else []} for side in "ab"}
    return Changes(table, table, table, (), about)


def test_pairs_are_of_documents_that_both_were_given() -> None:
    given = [
        ("same", "none", "id", 100),
        ("gone", "none", "url", 20),
        ("only_a", "limit", "id", 7),
        ("only_a", "input_record", "id", 3),  # it fell in B for a document that A was not given
        ("only_b", "removed", "none", 2),  # a rebuild took it out of A
        ("only_a", "input_record", "none", 5),
        ("only_a", "sample", "none", 5),
        ("only_b", "split", "none", 5),
        ("gone_a", "unread", "none", 5),
    ]

    told = next(survived(counts(*given)))

    assert (told.came, told.both, told.only_a, told.only_b) == (132, 100, 10, 2)
    assert list(survived(counts(*given, lacks="b"))) == []


# The command


def test_gates_give_the_exit_status(two: Path, work: Path, tmp_path: Path) -> None:
    gates = tmp_path / "gates.yaml"
    given = ("diff", two / "a", two / "b", "--work", work, "--gates", gates)

    gates.write_text("- diff.only_a <= 8\n- survival.zho_Hant > .5\n")
    passed = command(*given)
    gates.write_text(
        "- diff.only_a <= 8\n- {gate: survival.zho_Hant > .65, sure: true, why: agreed}\n- host.top1 < 1\n"
    )
    failed = command(*given)
    gates.write_text("- diff.only_a <= 8\n- hots.top1 < 1\n")
    wrong = command(*given)

    assert (passed.exit_code, passed.output.splitlines()[-1]) == (0, "gates: all 2 passed")
    assert (failed.exit_code, failed.output.splitlines()[-1]) == (1, "gates: 1 of 3 failed: survival.zho_Hant > 0.65")
    assert isinstance(wrong.exception, DatapipeError)
    assert (wrong.exception.exit_status, str(wrong.exception).startswith(f"{gates}: line 2: ")) == (2, True)


def test_a_report_is_held_to_gates_too(two: Path, tmp_path: Path) -> None:
    gates = tmp_path / "gates.yaml"
    gates.write_text("- survival.zho_Hant > .9\n- share.language.zho_Hant > .1\n")

    told = command("report", two / "b", "--out", tmp_path / "out", "--gates", gates)

    assert (told.exit_code, told.output.splitlines()[-1]) == (1, "gates: 1 of 2 failed: survival.zho_Hant > 0.9")


def test_all_that_was_asked_for_is_written(two: Path, work: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ("diff", two / "a", two / "b", "--work", work, "--out", out, "--json")

    told = command(*given, "--html", tmp_path / "x/page.html", "--documents", tmp_path / "list.jsonl")

    assert told.exit_code == 0
    assert json.loads(told.stdout) == json.loads((out / "diff.json").read_bytes())
    assert (tmp_path / "x/page.html").read_bytes() == (out / "diff.html").read_bytes()
    listed = (tmp_path / "list.jsonl").read_text().splitlines()
    assert pq.read_table(out / "documents.parquet").num_rows == len(listed) == 8


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--documents", "x.csv"), "ends with .parquet or .jsonl"),
        (("--out", "A"), "is the folder of a run"),
        (("--gates", "/nowhere.yaml"), "cannot be read"),
    ],
)
def test_mistakes_are_told_before_anything_is_counted(two: Path, given: tuple[str, str], said: str) -> None:
    option, value = given

    told = command("diff", two / "a", "/nowhere", option, str(two / "a") if value == "A" else value)

    assert isinstance(told.exception, DatapipeError)
    assert (told.exception.exit_status, said in str(told.exception)) == (2, True)
