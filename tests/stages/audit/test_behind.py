"""The documents behind the figures of funnel, rules and survival: their commands list as many as they say."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.audit import funnel, rules, shift, survival
from stages.audit.counter import Facts
from stages.audit.show import found_in
from tests.stages.audit.ended import dropped, facts_of, many

COUNTS = {  # the column that says how many documents a row is of
    "funnel.source": "came",
    "funnel.language": "came",
    "funnel.rules": "documents",
    "funnel.lost": "documents",
    "funnel.noted": "documents",
    "rules.table": "fired",
    **{
        f"survival.{axis}": "documents"
        for axis in ("chinese", "language", "script", "format", "source", "hosts", "tld")
    },
}
FIGURES = ("funnel.kept", "funnel.dropped", "funnel.duplicates", "funnel.seen", "rules.sole1", "rules.sole2")


def commands(facts: Facts) -> Iterator[tuple[str, int, str]]:
    """Yields (key, documents, command) of what has a command and is a number of documents."""
    for part in (funnel, rules, survival, shift):
        for section in part.sections(facts):
            for figure in section.figures:
                if figure.key in FIGURES and figure.command:
                    yield figure.key, int(figure.value or 0), figure.command
            for table in section.tables:
                place = [column.key for column in table.columns].index(COUNTS.get(table.key, table.columns[0].key))
                for row, its in zip(table.rows, table.commands or (), strict=False):
                    if table.key in COUNTS and its:
                        yield table.key, int(row[place] or 0), its


def asked(command: str) -> dict[str, Any]:
    """Returns a command as the arguments of `found_in`."""
    program, verb, folder, *words = shlex.split(command)
    assert (program, verb, folder) == ("datapipe", "show", "DIR")
    given: dict[str, Any] = {"where": []}
    while words:
        word = words.pop(0)
        if word == "--kept":
            given["kept"] = True
        elif word.startswith("--"):
            given[word[2:]] = words.pop(0)
        else:
            given["where"].append(word)
    return given


def test_each_command_lists_as_many_documents_as_its_row_says(facts: Facts, finished: Path) -> None:
    behind = {(key, its): amount for key, amount, its in commands(facts)}

    listed = {key: found_in(str(finished), **asked(key[1]), n=0)["documents_matching"] for key in behind}

    assert listed == behind
    assert {key for key, _ in behind} >= {"funnel.rules", "funnel.lost", "funnel.source", "rules.table", "rules.sole1"}
    assert sum(key.startswith("survival.") for key, _ in behind) > 4


def test_odd_names_of_stages_rules_and_sources_are_shown_harmlessly() -> None:
    odd = {"source": "crawl\u202egnp", "language": "zho_Hans", "host": "a.cn"}
    rows = [
        *many(5, **odd),
        *many(5, source="laws", language="zho_Hant", host="b.cn"),
        *dropped(3, "a\x1b[2J", "Quality-2", also=["<script>"], **odd),
    ]
    facts = facts_of(rows, ("ingest", "Quality-2"))

    sections = [section for part in (funnel, rules, survival, shift) for section in part.sections(facts)]
    texts = [section.model_dump_json() for section in sections]

    assert not any("\\u001b[2J" in text.replace("\\\\u001b[2J", "") for text in texts)  # only as written out
    assert not any("\u202e" in text for text in texts)
    table = next(each for section in sections for each in section.tables if each.key == "funnel.rules")
    assert (table.rows[0][2], table.commands) == ("a\\u001b[2J", (None,))
    assert "rules.overlap.quality_2" in {each.key for section in sections for each in section.tables}
    source = next(each for section in sections for each in section.tables if each.key == "survival.source")
    assert "at_quality_2" in [column.key for column in source.columns]
