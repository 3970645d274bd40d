from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.audit import rules
from stages.audit.counter import Facts
from stages.audit.fired import Limits, Pairs, Rules, pairs
from stages.audit.model import Section
from stages.audit.rules import taken_of
from tests.stages.audit.ended import counted, dropped, facts_of, many, parted


def section(facts: Facts) -> Section:
    (made,) = rules.sections(facts)
    return made


def figures(facts: Facts) -> dict[str, Any]:
    return {figure.key.removeprefix("rules."): figure for figure in section(facts).figures}


def table(facts: Facts, key: str) -> list[dict[str, Any]]:
    (found,) = [table for table in section(facts).tables if table.key == f"rules.{key}"]
    return [dict(zip([column.key for column in found.columns], row, strict=True)) for row in found.rows]


def documents() -> list[dict[str, Any]]:
    return [
        *many(10, source="laws", language="zho_Hant"),
        *dropped(4, "short", source="laws", language="zho_Hant", bytes=10),
        *dropped(3, "short", also=["no_stops"], source="crawl", language="zho_Hans", bytes=100),
        *dropped(2, "no_stops", also=["symbols"], source="crawl", language="zho_Hans", bytes=1000),
        *dropped(1, "no_stops", also=["short", "symbols"], source="crawl", language="eng_Latn", bytes=1),
    ]


def test_a_rule_fires_first_or_further_and_is_sole_where_no_other_did() -> None:
    found = {one.rule: one for one in taken_of(facts_of(documents()))}

    short, stops, symbols = (found[rule] for rule in ("short", "no_stops", "symbols"))
    assert (short.fired, short.first, short.sole, short.sole_bytes) == (8, 7, 4, 40)
    assert (stops.fired, stops.first, stops.sole) == (6, 3, 0)
    assert (symbols.fired, symbols.first, symbols.sole) == (3, 0, 0)
    assert short.languages == {"zho_Hant": 4, "zho_Hans": 3, "eng_Latn": 1}
    assert short.sources == {"laws": 4, "crawl": 4}
    assert short.share == 8 / 20


def test_what_a_rule_was_asked_for_comes_from_the_run() -> None:
    facts = facts_of(documents(), quality={"evaluated.short": 16, "fired.short": 8, "evaluated.never": 5000})

    (row,) = [row for row in table(facts, "table") if row["rule"] == "short"]

    assert row["share"] == 0.5
    assert table(facts, "odd") == [
        {"rule": "never", "stage": "quality", "fires": "never", "evaluated": 5000, "fired": 0}
    ]
    assert (figures(facts)["never"].value, figures(facts)["half"].value) == (1, 0)


def test_a_rule_that_fires_on_more_than_half_is_told() -> None:
    facts = facts_of(documents(), quality={"evaluated.short": 15, "fired.short": 8})

    assert [(row["rule"], row["fires"]) for row in table(facts, "odd")] == [("short", "half")]


def test_the_source_that_a_rule_takes_most_of_is_one_with_enough_documents() -> None:
    rows = [
        *many(60, source="large"),
        *many(20, source="middle"),
        *dropped(40, "short", source="large"),
        *dropped(20, "short", source="middle"),
        *dropped(5, "short", source="small"),
    ]

    (row,) = table(facts_of(rows), "table")

    assert (row["hardest"], row["of_hardest"]) == ("middle", 0.5)  # of small all, but of 5 only


def test_pairs_and_their_matrix_are_of_documents_on_which_both_fired() -> None:
    facts = facts_of(documents())

    both = {(row["rule"], row["other"]): row["documents"] for row in facts.tables["rule_pairs"].to_pylist()}
    matrix = {(row["rule"], row["other"]): row for row in table(facts, "overlap.quality")}

    assert both == {("no_stops", "short"): 4, ("no_stops", "symbols"): 3, ("short", "symbols"): 1}
    assert matrix["short", "no_stops"]["documents"] == matrix["no_stops", "short"]["documents"] == 4
    assert (matrix["short", "no_stops"]["share"], matrix["no_stops", "short"]["share"]) == (0.5, 4 / 6)
    assert matrix["short", "short"]["share"] == 1
    first = table(facts, "pairs")[0]
    assert (first["rule"], first["other"], first["alike"]) == ("no_stops", "symbols", 3 / 6)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), unique=True, max_size=25))
def test_pairs_are_those_of_a_plain_loop(fired: list[tuple[int, int]]) -> None:
    each = [sorted(code for at, code in fired if at == document) for document in range(7)]
    plain = sorted((number, *pair) for number, codes in enumerate(each) for pair in combinations(codes, 2))
    document, code = (np.array([item[place] for item in fired], np.int64) for place in (0, 1))

    found = pairs(document, code)

    assert sorted(zip(*(part.tolist() for part in found), strict=True)) == plain


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True, min_size=1).map(tuple).flatmap(
    lambda first: st.lists(st.permutations(first), min_size=1, max_size=6)
))  # fmt: skip
def test_sums_are_the_same_however_documents_are_parted(broken: list[list[str]]) -> None:
    rows = [row for each in broken for row in dropped(1, each[0], also=each[1:], source="x", bytes=7)]
    for counter in (Rules(), Pairs(), Limits()):
        parts = []
        for number, row in enumerate(rows):
            _, left, ledger = parted([{**row, "of": number}])
            parts.append(counter.count(left, ledger))

        assert counter.merge([counter.merge(parts[::2]), counter.merge(parts[1::2])]) == counted(counter, rows)


def test_a_part_that_is_dropped_counts_once_though_its_id_has_two_rows() -> None:
    part = {"of": 1, "source": "laws"}
    rows = [
        *many(3, source="laws"),
        {**part, "stage": "repair", "action": "split", "rule": "articles"},
        {**part, "stage": "quality", "action": "drop", "rule": "short", "also": ["symbols"]},
    ]

    found = {one.rule: (one.fired, one.first, one.sole) for one in taken_of(facts_of(rows, ("repair", "quality")))}

    assert found == {"short": (1, 1, 0), "symbols": (1, 0, 0)}


def test_sole_killers_are_of_steps_that_look_at_all_their_rules() -> None:
    facts = facts_of([*documents(), *dropped(9, "no_text", "ingest")])

    found = figures(facts)

    assert (found["sole1"].value, found["sole1"].command) == (
        4,
        "datapipe show DIR broken=1 --stage quality --rule short",
    )
    assert "sole2" not in found
    assert found["alone"].value == 0.4  # 4 of the 10 that quality dropped
    assert found["never_alone"].value == 2


def test_where_no_step_looks_at_all_rules_each_is_alone() -> None:
    found = figures(facts_of([*many(5), *dropped(2, "no_text", "ingest")]))

    assert (found["sole1"].value, found["alone"].value) == (2, 1)


def test_limits_and_values_are_told_from_least_to_greatest() -> None:
    rows = [
        *many(1),
        *(row for value in (3.0, 7.0, float("nan")) for row in dropped(1, "short", value=value, limit=10.0)),
        *(row for limit in (0.1, 0.25) for row in dropped(1, "digits", value=0.5, limit=limit)),
        *dropped(1, "bare"),
    ]

    found = {row["rule"]: (row["limit"], row["values"]) for row in table(facts_of(rows), "table")}

    assert found == {"short": ("10", "3 – 7"), "digits": ("0.1 – 0.25", "0.5"), "bare": (None, None)}


def test_a_matrix_of_many_rules_is_cut_to_the_largest() -> None:
    names = [f"rule{number:02}" for number in range(25)]
    rows = [*many(1), *(row for count in range(1, 26) for row in dropped(1, names[0], also=names[1:count]))]

    (made,) = [table for table in section(facts_of(rows)).tables if table.key == "rules.overlap.quality"]

    assert (len(made.rows), made.of) == (400, 625)
    assert {row[0] for row in made.rows} == {*names[:20]}


def test_rules_of_a_run_are_those_that_quality_counted(facts: Facts) -> None:
    quality = next(stage for stage in facts.run["stages"] if stage["stage"] == "quality")
    counts, said = quality["counts"], [rule for rule in quality["rules"] if rule["action"] == "drop"]
    names = {name.removeprefix("fired.") for name, amount in counts.items() if name.startswith("fired.") and amount}

    found = {one.rule: one for one in taken_of(facts) if one.stage == "quality"}

    assert found.keys() == names
    assert len(names) > 3
    for rule, one in found.items():
        assert (one.fired, one.sole, one.evaluated) == tuple(
            counts[f"{name}.{rule}"] for name in ("fired", "sole", "evaluated")
        )
    assert {rule: one.first for rule, one in found.items() if one.first} == {
        rule["rule"]: rule["documents"] for rule in said
    }
