"""What a report holds, as data: sections of figures and tables, each with the command that lists its documents.

All that a reader is shown stands here, so the page is drawn from it alone, two reports can be compared key by key, and
its JSON Schema is the one of `reports/report.json` under the key `audit`. Strings that come from documents stand in
cells of tables and in `value`s only; they are masked and made harmless where they enter (see `stages.audit.hostile`),
and the page escapes all the same. Labels and notes are ours, in English and Chinese; so are cells that are words of
ours (`kept`): there they are keys, and the column says what they are called.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Cell = str | int | float | None
Unit = Literal[
    "documents",
    "tokens",
    "characters",
    "bytes",
    "share",  # 0 to 1
    "number",  # of anything else: bits, effective numbers, scores
    "text",
]
Kind = Literal["bar", "stacked", "histogram", "lorenz", "rank", "heat", "line", "funnel"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Model):
    """A label or a sentence of ours in both languages of the page."""

    en: str
    zh: str


class Figure(_Model):
    """One number, or word, of the report."""

    key: Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-zA-Z0-9_]+)*$", description="unique; what gates refer to")]
    label: Words
    value: Cell
    unit: Unit
    low: Annotated[float | None, Field(description="lower border of its 95 % interval")] = None
    high: Annotated[float | None, Field(description="upper border of its 95 % interval")] = None
    of: Annotated[int | None, Field(description="how many were looked at; null where all were counted")] = None
    seed: Annotated[int | None, Field(description="by which those were drawn")] = None
    command: Annotated[str | None, Field(description="lists its documents; DIR stands for the folder")] = None
    note: Words | None = None


class Column(_Model):
    """A column of a table."""

    key: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    label: Words
    unit: Unit
    words: Annotated[
        dict[str, Words] | None, Field(description="what cells that are ours are called; others stand as they are")
    ] = None

    def named(self, value: Cell) -> Words | None:
        """Returns what a cell of ours is called, None for another."""
        return self.words.get(value) if self.words and isinstance(value, str) else None


class Chart(_Model):
    """How the rows of a table are drawn: `x` and `y` are keys of its columns, `x` of words or of numbers.

    `bar`, `stacked` (`y` add up), `funnel`: `x` words. `histogram`: `x` lower borders. `line`, `lorenz` (with the
    diagonal), `rank` (both axes logarithmic): `x` numbers. `heat`: `x` words of columns, `rows` words of rows, one `y`.
    """

    kind: Kind
    x: str
    y: tuple[str, ...]
    rows: str | None = None
    log_x: bool = False
    log_y: bool = False


class Table(_Model):
    """Rows of a report."""

    key: Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-zA-Z0-9_]+)*$")]
    label: Words
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    commands: Annotated[
        tuple[str | None, ...] | None, Field(description="for each row: what lists its documents; DIR is the folder")
    ] = None
    of: Annotated[int | None, Field(description="rows that there are, where only the first are shown")] = None
    chart: Chart | None = None
    note: Words | None = None


class Section(_Model):
    """A question of an auditor, and what answers it."""

    key: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    title: Words
    intro: Words
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()


class Audit(_Model):
    """The whole report: a function of the published files, with no clock, path or machine in it."""

    format_version: Literal[1] = 1
    name: Annotated[str, Field(description="of the config")]
    config_sha256: str
    code_version: str
    corpus: Annotated[dict[str, Cell], Field(description="digests of the manifest by name; empty without a corpus")]
    seed: Annotated[int, Field(description="of all that is drawn")]
    drawn: Annotated[int, Field(description="documents whose text was looked at")]
    sections: tuple[Section, ...]
    missing: Annotated[
        tuple[Words, ...], Field(description="what could not be told of this run, and what would have to be there")
    ] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of it as JSON: the page names that of the audit it is drawn from."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
