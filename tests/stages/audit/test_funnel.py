from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.audit import funnel
from stages.audit.counter import Facts
from stages.audit.cube import Cube, Noted, disagreements, estimated, token_rates
from stages.audit.model import Section
from tests.stages.audit.ended import counted, dropped, facts_of, many, parted

ROWS = st.lists(
    st.fixed_dictionaries(
        {"source": st.sampled_from(["crawl", "laws"])},
        optional={
            "stage": st.sampled_from(["language", "quality"]),
            "action": st.sampled_from(["drop", "split", "duplicate_of"]),
            "rule": st.sampled_from(["a", "b"]),
            "language": st.sampled_from(["zho_Hans", "eng_Latn"]),
            "bytes": st.integers(0, 1 << 40),
            "trained": st.integers(0, 1 << 40),
        },
    ),
    max_size=20,
)


def section(facts: Facts) -> Section:
    (made,) = funnel.sections(facts)
    return made


def figures(facts: Facts) -> dict[str, Any]:
    return {figure.key.removeprefix("funnel."): figure.value for figure in section(facts).figures}


def table(facts: Facts, key: str) -> list[dict[str, Any]]:
    (found,) = [table for table in section(facts).tables if table.key == f"funnel.{key}"]
    return [dict(zip([column.key for column in found.columns], row, strict=True)) for row in found.rows]


@settings(max_examples=25, deadline=None)
@given(ROWS, st.integers(1, 5))
def test_a_cube_is_the_same_however_its_documents_are_parted(rows: list[dict[str, Any]], step: int) -> None:
    cube = Cube()
    kept, left, ledger = parted(rows)
    whole = cube.merge([cube.count(kept, None), cube.count(left, ledger)])

    pieces = [cube.count(part.slice(at, step), None) for part in (left, kept) for at in range(0, len(part), step)]
    halves = [cube.merge(pieces[::2]), cube.merge(pieces[1::2])]

    assert cube.merge(halves) == whole
    assert pc.sum(whole.column("documents")).as_py() in (len(rows), None)
    assert (pc.sum(whole.column("bytes")).as_py() or 0) == sum(row.get("bytes", 0) for row in rows)


def test_documents_of_which_nothing_is_known_count_as_documents() -> None:
    rows = counted(Cube(), [*many(2, source="crawl"), *dropped(1, "no_text", "ingest", source="crawl", file="a.warc")])

    assert rows.select(["stage", "documents", "sized", "bytes"]).to_pylist() == [
        {"stage": "", "documents": 2, "sized": 0, "bytes": 0},
        {"stage": "ingest", "documents": 1, "sized": 0, "bytes": 0},
    ]


def test_a_file_that_could_not_be_read_is_no_document_and_one_that_failed_is() -> None:
    aside = {"stage": "ingest", "action": "quarantine"}
    rows = [
        *many(5),
        *many(1, **aside, rule="unreadable_shard"),
        *many(1, **aside, rule="crashed", file="a.warc", offset=7),
        *many(1, stage="quality", action="quarantine", rule="crashed", bytes=3),
    ]

    found = figures(facts_of(rows))

    assert (found["came"], found["kept"], found["set_aside"], found["unread"]) == (7, 5, 2, 1)


def test_tokens_of_documents_that_left_are_those_of_their_bytes_in_their_language() -> None:
    kept = {"zho_Hans": (300, 100), "eng_Latn": (800, 200)}
    rows = [{"language": name, "bytes": size, "tokens": tokens} for name, (size, tokens) in kept.items()]
    rows += dropped(1, "short", language="zho_Hans", bytes=30)
    rows += dropped(1, "short", language="eng_Latn", bytes=40)
    rows += dropped(1, "short", language="deu_Latn", bytes=110)  # none stayed: as all, 300 tokens in 1,100 bytes
    rows += dropped(1, "no_text", "ingest")

    made = estimated(counted(Cube(), rows).to_pylist())

    assert token_rates(made) == {"zho_Hans": 1 / 3, "eng_Latn": 0.25, "": 300 / 1100}
    left = {row["language"]: row["tokens"] for row in made if row["stage"]}
    assert left == {"zho_Hans": 10, "eng_Latn": 10, "deu_Latn": 30, None: 0}
    assert sum(row["tokens"] for row in made if not row["stage"]) == 300


def test_a_run_without_tokens_has_no_column_of_them() -> None:
    facts = facts_of([*many(3, bytes=5, characters=2), *dropped(1, "short", bytes=4)])

    assert all("tokens" not in row for key in ("stages", "source", "rules", "lost") for row in table(facts, key))
    assert "trained" not in figures(facts)


def test_stages_rules_and_sources_say_where_documents_went() -> None:
    rows = [
        *many(4, source="laws", language="zho_Hans", bytes=10, tokens=5, trained=10),
        *many(1, source="crawl", language="zho_Hans", bytes=10, tokens=5),
        *dropped(3, "short", source="crawl", language="zho_Hans", bytes=2),
        *dropped(1, "no_text", "ingest", source="crawl"),
        *many(2, stage="dedup", action="duplicate_of", rule="exact", source="laws", language="zho_Hans", bytes=10),
        *many(1, stage="repair", action="split", rule="articles", source="laws", bytes=10),
    ]
    facts = facts_of(rows, ("ingest", "repair", "quality", "dedup"))

    stages = {row["stage"]: row for row in table(facts, "stages")}
    assert [(row["came"], row["stayed"]) for row in list(stages.values())[:4]] == [(10, 9), (9, 10), (10, 7), (7, 5)]
    assert stages["repair"]["made"] == 1
    assert stages["quality"]["dropped"] == 3
    assert stages["dedup"]["duplicates"] == 2
    assert stages["corpus"]["came"] == 5
    assert (stages["trained"]["came"], stages["trained"]["tokens"]) == (4, 40)
    sources = {row["source"]: row for row in table(facts, "source")}
    assert (sources["crawl"]["came"], sources["crawl"]["dropped"], sources["crawl"]["kept"]) == (5, 4, 1)
    assert (sources["laws"]["came"], sources["laws"]["duplicates"], sources["laws"]["kept"]) == (6, 2, 4)
    assert [(row["rule"], row["documents"], row["share"]) for row in table(facts, "rules")] == [
        ("no_text", 1, 0.1),
        ("articles", 1, 0.1),
        ("short", 3, 0.3),
        ("exact", 2, 2 / 7),
    ]
    assert [row["rule"] for row in table(facts, "lost")] == ["short", "exact", "no_text"]
    assert figures(facts)["kept_share"] == 5 / 11  # of what came and what was made


def test_a_document_that_several_rules_repaired_counts_once_for_all_of_them() -> None:
    noted = {"stage": "repair", "action": "repair", "source": "crawl"}
    rows = [
        *many(3, source="crawl"),
        {**noted, "rule": "html_tags", "of": 0},
        {**noted, "rule": "html_entities", "of": 0},
        {**noted, "rule": "html_tags", "of": 1},
    ]

    found = counted(Noted(), rows).to_pylist()

    assert {(row["rule"], row["documents"]) for row in found} == {(None, 2), ("html_tags", 2), ("html_entities", 1)}
    (whole, *each) = table(facts_of(rows, ("ingest", "repair")), "noted")
    assert (whole["rule"], whole["documents"], whole["share"]) == ("any", 2, 2 / 3)
    assert [row["rule"] for row in each] == ["html_tags", "html_entities"]


def test_counts_agree_with_the_report_of_a_run_to_the_document(facts: Facts) -> None:
    cube, noted = (facts.tables[name].to_pylist() for name in ("cube", "noted"))
    found = figures(facts)
    said = {row["stage"]: row for row in table(facts, "stages")}

    assert disagreements(cube, noted, facts.run) == []
    assert found["disagreement"] == 0
    for stage in facts.run["stages"]:
        if stage["documents_in"]:
            row = said[stage["stage"]]
            numbers = (stage["documents_in"], stage["made"], stage["documents_out"])
            assert (row["came"], row["made"], row["stayed"]) == numbers
            assert row["dropped"] + row["duplicates"] + row["aside"] == stage["dropped"]
    mix = next(stage for stage in facts.run["stages"] if stage["stage"] == "mix")
    assert found["trained"] == mix["counts"]["train.tokens"]
    tokenize = next(stage for stage in facts.run["stages"] if stage["stage"] == "tokenize")
    assert sum(row["tokens"] for row in cube if not row["stage"]) == tokenize["counts"]["tokens"]


def test_what_does_not_agree_is_shown(facts: Facts) -> None:
    cube = facts.tables["cube"]
    lost = cube.filter(pc.not_equal(cube.column("stage"), "quality"))
    damaged = Facts({**facts.tables, "cube": lost}, facts.run, facts.manifest, facts.folder, facts.seed)
    quality = next(stage for stage in facts.run["stages"] if stage["stage"] == "quality")

    rows = table(damaged, "disagreements")

    assert figures(damaged)["disagreement"] > 0
    assert {"stage": "quality", "what": "came", "rule": None} in [
        {name: row[name] for name in ("stage", "what", "rule")} for row in rows
    ]
    first = quality["rules"][0]
    (row,) = [row for row in rows if row["rule"] == first["rule"] and row["what"] == first["action"]]
    assert (row["here"], row["there"]) == (0, first["documents"])


def test_a_long_table_is_cut_and_says_so() -> None:
    rows = [*many(1, source="x"), *(row for number in range(60) for row in dropped(1, f"rule{number:02}", source="x"))]

    (made,) = [table for table in section(facts_of(rows)).tables if table.key == "funnel.lost"]

    assert (len(made.rows), len(made.commands or ()), made.of) == (50, 50, 60)


@pytest.mark.parametrize("rows", [[], many(1)])
def test_a_run_of_no_or_one_document_has_a_funnel(rows: list[dict[str, Any]]) -> None:
    facts = facts_of(rows)

    assert figures(facts)["came"] == len(rows)
    assert {figure.key for figure in section(facts).figures if figure.command} == (
        {"funnel.came", "funnel.kept", "funnel.kept_share"} if rows else set()
    )


def test_counters_take_empty_tables() -> None:
    kept, left, ledger = parted([])

    assert isinstance(ledger, pa.Table)
    assert all(counter.count(left, ledger).num_rows == 0 for counter in funnel.COUNTERS)  # type: ignore[union-attr]
    assert all(counter.count(kept, None).num_rows == 0 for counter in funnel.COUNTERS)  # type: ignore[union-attr]
