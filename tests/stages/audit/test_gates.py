"""Limits of figures: how they are written, what they are found to be of, and what they make of what was measured."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError
from stages.audit.gates import SIGNS, Gate, Measured, found, judge, judge_all, parse, read_gates, rows

NAMES = st.text(
    st.characters(exclude_characters="<>=!", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=20
)


@given(NAMES, st.sampled_from(sorted(SIGNS)), st.floats(allow_nan=False, allow_infinity=False))
def test_a_gate_that_is_written_is_read_back(name: str, sign: str, limit: float) -> None:
    gate = Gate(name, sign, limit)

    assert parse(str(gate)) == gate


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("host.top10 < .15", Gate("host.top10", "<", 0.15)),
        ("survival.zho_Hant>=70%", Gate("survival.zho_Hant", ">=", 0.7)),
        ("diff.only_a == 0", Gate("diff.only_a", "=", 0.0)),
        ("  a != -1_000.5e-1 ", Gate("a", "!=", -100.05)),
        ("share.source.my source.tokens <= 1", Gate("share.source.my source.tokens", "<=", 1.0)),
    ],
)
def test_a_line_says_a_gate(text: str, gate: Gate) -> None:
    assert parse(text) == gate


@pytest.mark.parametrize(
    "text", ["", "a", "a <", "< 3", "a < b", "a < 1 < 2", "a < nan", "a < 1e999", "a << 1", "a ~ 1"]
)
def test_what_says_no_gate_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^f.yaml: line 3: "):
        parse(text, place="f.yaml: line 3")


def test_a_file_of_gates_is_read_in_order(tmp_path: Path) -> None:
    file = tmp_path / "gates.yaml"
    file.write_text("# limits\n- host.top10 < .15\n- gate: survival.zho_Hant > .7\n  why: agreed\n  sure: yes\n")

    assert read_gates(file) == (
        Gate("host.top10", "<", 0.15, place=f"{file}: line 2"),
        Gate("survival.zho_Hant", ">", 0.7, why="agreed", sure=True, place=f"{file}: line 3"),
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "gates are a list"),
        ("a: 1", "gates are a list"),
        ("[]", "gates are a list"),
        ("- [a", "is not YAML"),
        ("- a < 1\n- b", "line 2: 'b' is no gate"),
        ("- gate: a < 1\n  sur: true", r"line 2: unknown key 'sur' \(did you mean 'sure'\?\)"),
        ("- gate: a < 1\n  sure: perhaps", "line 2: sure: is true or false"),
        ("- gate: a < 1\n  gate: b < 1", "line 2: the key 'gate' stands twice"),
        ("- why: so", "line 1: the key gate is missing"),
        ("- gate: [a < 1]", "line 1: gate: is one value"),
        ("- - a < 1", "line 1: a gate is a line"),
    ],
)
def test_a_mistake_in_a_file_of_gates_is_named_with_its_line(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "gates.yaml"
    file.write_text(content)

    with pytest.raises(ConfigError, match=said):
        read_gates(file)


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_of_gates_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "gates.yaml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=r"gates.yaml: cannot be read"):
        read_gates(file)


KNOWN = (
    "hosts.top1.documents",
    "hosts.top10.documents",
    "hosts.top10.tokens",
    "licences.number",
    "kinds.languages.zho_Hant.tokens",
    "fertility.languages.zho_Hant.tokens",
    "survival.news",
    "change.hosts.top10.tokens",
    "change.kinds.languages.zho_Hant.tokens",
    "diff.only_a",
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("hosts.top10.documents", "hosts.top10.documents"),
        ("hosts.top10", "hosts.top10.tokens"),
        ("host.top10", "hosts.top10.tokens"),
        ("hosts.top1", "hosts.top1.documents"),
        ("licence.number", "licences.number"),
        ("languages.zho_Hant.tokens", "kinds.languages.zho_Hant.tokens"),
        ("language.zho_Hant", "kinds.languages.zho_Hant.tokens"),
        ("survivals.news", "survival.news"),
        ("survival.new", None),
        ("change.host.top10", "change.hosts.top10.tokens"),
        ("change.languages.zho_Hant", "change.kinds.languages.zho_Hant.tokens"),
        ("change.diff.only_a", None),
        ("only_a", None),
        ("hosts.top2", None),
        ("tokens", None),
    ],
)
def test_a_name_may_leave_out_what_is_plain(name: str, meant: str | None) -> None:
    assert found(name, KNOWN) == meant


@pytest.mark.parametrize(
    ("text", "sure", "one", "passed"),
    [
        ("a < 2", False, Measured(1.0, 0.5, 2.5), True),
        ("a < 2", True, Measured(1.0, 0.5, 2.5), False),
        ("a < 2", True, Measured(1.0, 0.5, 1.5), True),
        ("a < 2", True, Measured(1.0), True),  # it was counted
        ("a < 2", True, Measured(1.0, drawn=True), False),  # it was not, and nobody knows how sure it is
        ("a < 2", True, Measured(1.0, 0.5), False),
        ("a < 2", False, Measured(1.0, drawn=True), True),
        ("a > 2", False, Measured(1.0), False),
        ("a > 0", True, Measured(1.0, -0.5, 2.5), False),
        ("a = 1", True, Measured(1.0, 1.0, 1.0), True),
        ("a = 1", True, Measured(1.0, 0.9, 1.1), False),
        ("a != 1", True, Measured(2.0, 0.5, 3.0), False),
        ("a != 1", True, Measured(2.0, 1.5, 3.0), True),
        ("a <= 1", False, Measured(1.0), True),
        ("a < 1", False, Measured(1.0), False),
        ("a < 1", False, Measured(None, why="A has none"), False),
        ("a < 1", False, Measured(math.nan), False),
    ],
)
def test_a_gate_passes_where_the_value_keeps_its_limit(text: str, sure: bool, one: Measured, passed: bool) -> None:
    told = judge(parse(text, sure=sure), {"a": one})

    assert (told.passed, bool(told.why)) == (passed, not passed)


def test_a_count_is_no_weighting_of_a_share() -> None:
    """1,584 documents are more than 70 %, which says nothing of the share of them that is left."""
    there = {
        "survival.source.crawl.documents": Measured(1584.0, is_count=True),
        "change.survival.source.crawl.documents": Measured(3.0, is_count=True),
    }

    told = [judge(parse(text), there) for text in ("survival.source.crawl > .7", "change.survival.source.crawl > -.1")]
    full = judge(parse("survival.source.crawl.documents > 1000"), there)
    share = judge(parse("survival.source.crawl > .7"), {**there, "kept.survival.source.crawl.tokens": Measured(0.5)})

    assert [one.passed for one in told] == [False, False]
    assert "near it are: survival.source.crawl.documents" in told[0].why
    assert full.passed
    assert (share.value, share.passed) == (0.5, False)


def test_what_is_not_there_has_not_passed_and_near_names_are_told() -> None:
    (told,) = rows(judge_all([parse("survival.zho_Hnat > .7")], {"survival.zho_Hant": Measured(0.9)}))

    assert (told["passed"], told["value"]) == (False, None)
    assert told["why"] == "there is none here; near it are: survival.zho_Hant"


def test_a_family_of_figures_that_this_corpus_has_not_is_no_mistake() -> None:
    assert not judge(parse("host.top10 < 1"), {"funnel.kept": Measured(1.0)}, ("hosts",)).passed


def test_a_name_of_no_figure_is_a_mistake_in_the_file() -> None:
    gate = parse("hots.top10 < 1", place="gates.yaml: line 7")

    with pytest.raises(ConfigError, match=r"^gates.yaml: line 7: hots.top10 < 1: no figure.*near it are: hosts.top10"):
        judge(gate, dict.fromkeys(KNOWN, Measured(1.0)))
