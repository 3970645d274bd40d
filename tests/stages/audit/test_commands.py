"""What the sections on kinds, sizes, risks and provenance say of a finished run, against what `show` finds there."""

import shlex
from pathlib import Path

import pytest

from stages.audit import fertility, funnel, kinds, provenance, risk, sizes, survival
from stages.audit.counter import Facts
from stages.audit.show import found_in
from tests.stages.audit.counted import commands, figures, rows, tables

NOT_OF_ITS_ROWS = {  # tables whose commands list other documents than those that the column `documents` counts
    "kinds.unsure",
    "risk.pii_sources",
    "risk.asked",
    "risk.items",
    "risk.charsets",  # when they were read, and not all of them stayed
    "survival.standing",  # those that the rule took
    "survival.copies",
    "survival.host",
}


def found(folder: Path, command: str) -> int:
    """Returns how many documents the command of a figure finds."""
    words = shlex.split(command)[3:]
    kept = {"--kept": True, "--left": False}
    asked = next((kept[word] for word in words if word in kept), None)
    number: int = found_in(str(folder), [word for word in words if word not in kept], kept=asked, n=0)[
        "documents_matching"
    ]
    return number


@pytest.mark.parametrize("part", [kinds, sizes, fertility, risk, provenance, survival])
def test_commands_find_as_many_documents_as_their_rows_say(part, finished: Path, facts: Facts) -> None:  # type: ignore[no-untyped-def]
    said = {
        command: number
        for key, table in tables(part.sections(facts)).items()
        if key not in NOT_OF_ITS_ROWS and any(column.key == "documents" for column in table.columns)
        for command, (number,) in zip(commands(table), rows(table, "documents"), strict=True)
        if command is not None
    }

    assert {command: found(finished, command) for command in said} == said
    assert len(said) > 1


@pytest.mark.parametrize("part", [kinds, sizes, fertility, risk, provenance])
def test_commands_of_figures_are_understood(part, finished: Path, facts: Facts) -> None:  # type: ignore[no-untyped-def]
    asked = {figure.command for figure in figures(part.sections(facts)).values() if figure.command is not None}

    assert all(found(finished, command) >= 0 for command in asked)


def test_commands_of_the_funnel_find_as_many_documents_as_it_counts(finished: Path, facts: Facts) -> None:
    counted = (figure for figure in figures(funnel.sections(facts)).values() if figure.unit == "documents")
    said = {figure.command: figure.value for figure in counted if figure.command is not None}

    assert {command: found(finished, command) for command in said} == said
    assert {"datapipe show DIR", "datapipe show DIR --kept", "datapipe show DIR action=drop"} <= set(said)
