"""A report cut down until its page is small: what no run makes, but a report of somebody else may be."""

from __future__ import annotations

from stages.audit.model import Audit, Cell, Figure, Section, Table, Words

_SAID = Words(
    en="This page would be too large, so parts of the report are left out of it; all of them are in report.json.",
    zh="页面过大，故略去了报告的部分内容；完整内容见 report.json。",
)


def less(audit: Audit, most: int, letters: int) -> Audit:
    """Returns the first so many parts of a report, of each kind, and of strings so many letters; it says that it does.

    A command that is longer is left out, as half of one would list something else.
    """
    sections = tuple(_section(section, most, letters) for section in audit.sections[:most])
    missing = (_SAID, *(_words(words, letters) for words in audit.missing[:most]))
    corpus = {_cut(name, letters): _cell(value, letters) for name, value in list(audit.corpus.items())[:most]}
    names = {name: _cut(getattr(audit, name), letters) for name in ("name", "config_sha256", "code_version")}
    return audit.model_copy(update={"sections": sections, "missing": missing, "corpus": corpus, **names})


def _section(section: Section, most: int, letters: int) -> Section:
    return section.model_copy(
        update={
            "title": _words(section.title, letters),
            "intro": _words(section.intro, letters),
            "figures": tuple(_figure(figure, letters) for figure in section.figures[:most]),
            "tables": tuple(_table(table, most, letters) for table in section.tables[:most]),
        }
    )


def _figure(figure: Figure, letters: int) -> Figure:
    return figure.model_copy(
        update={
            "label": _words(figure.label, letters),
            "value": _cell(figure.value, letters),
            "command": _command(figure.command, letters),
            "note": figure.note and _words(figure.note, letters),
        }
    )


def _table(table: Table, most: int, letters: int) -> Table:
    columns = tuple(
        column.model_copy(update={"label": _words(column.label, letters)}) for column in table.columns[:most]
    )
    commands = table.commands and tuple(_command(command, letters) for command in table.commands[:most])
    return table.model_copy(
        update={
            "label": _words(table.label, letters),
            "columns": columns,
            "rows": tuple(tuple(_cell(cell, letters) for cell in row[:most]) for row in table.rows[:most]),
            "commands": commands,
            "of": max(table.of or 0, len(table.rows)),
            "note": table.note and _words(table.note, letters),
        }
    )


def _words(words: Words, letters: int) -> Words:
    return Words(en=_cut(words.en, letters), zh=_cut(words.zh, letters))


def _cell(cell: Cell, letters: int) -> Cell:
    return _cut(cell, letters) if isinstance(cell, str) else cell


def _command(command: str | None, letters: int) -> str | None:
    return command if command is None or len(command) <= letters else None


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
