"""Documents by where and how they ended and what they were: what the funnel and most other sections are sums of.

The counter `cube` has a row for each combination of how a document ended and what it was. Sums are exact. Tokens of
documents that left are estimates: their bytes times the tokens that a byte of their language has among the documents
that stayed.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Facts, summed
from stages.audit.frame import KEPT
from stages.audit.passage import (
    ASIDE,
    UNREAD,
    passages,
    stages_of,
    together,
)

KEYS: Final = ("stage", "action", "rule", "source", "language", "script", "format")
SUMS: Final = ("documents", "sized", "seen", "bytes", "characters", "tokens", "trained")
NOTED_ACTIONS: Final = ("repair", "flag")

Row = Mapping[str, Any]  # Any: values of a counter's table


@dataclass(frozen=True)
class Cube:
    """Documents and what they hold by how they ended and what they were.

    `sized` are documents whose bytes are known, `seen` those of which samples of the train split hold something. What
    is not known counts as 0. Rows of the ledger on files and pieces of files have `unread` as action: no documents.
    """

    name: str = "cube"

    @property
    def schema(self) -> pa.Schema:
        """KEYS and SUMS."""
        return pa.schema([*((key, pa.string()) for key in KEYS), *((name, pa.int64()) for name in SUMS)])

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of some documents."""
        size = frame.column("bytes")
        unknown = pc.and_(pc.is_null(size), pc.is_null(frame.column("file")))
        unread = pc.fill_null(pc.and_(pc.equal(frame.column("action"), ASIDE), unknown), False)
        made = {
            "action": pc.if_else(unread, UNREAD, frame.column("action")),
            "documents": pa.repeat(pa.scalar(1, pa.int64()), frame.num_rows),
            "sized": pc.is_valid(size).cast(pa.int64()),
            "seen": pc.greater(pc.fill_null(frame.column("trained"), 0), 0).cast(pa.int64()),
        }
        columns = {name: made[name] if name in made else frame.column(name) for name in self.schema.names}
        sums = {name: pc.fill_null(columns[name], 0) for name in SUMS}
        return summed([pa.table({**columns, **sums})], KEYS, self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, KEYS, self.schema)


@dataclass(frozen=True)
class Noted:
    """Documents that a rule repaired or flagged, whatever became of them; the rule null: those of any rule."""

    name: str = "noted"

    @property
    def schema(self) -> pa.Schema:
        """A row for each stage, action, rule and source."""
        keys = [(key, pa.string()) for key in ("stage", "action", "rule", "source")]
        return pa.schema([*keys, ("documents", pa.int64())])

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns how many there are among documents of which the ledger has all rows."""
        if ledger is None:
            return self.schema.empty_table()
        keys = ["stage", "action", "rule", "source"]
        noted = ledger.filter(pc.is_in(ledger.column("action"), pa.array(NOTED_ACTIONS))).select(["id", *keys])
        any_rule = noted.set_column(3, "rule", pa.nulls(noted.num_rows, pa.string()))
        rows = pa.concat_tables([noted, any_rule]).group_by(["id", *keys], use_threads=False).aggregate([])
        ones = pa.repeat(pa.scalar(1, pa.int64()), rows.num_rows)
        return self.merge([rows.select(keys).append_column("documents", ones)])

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, self.schema.names[:4], self.schema)


# Tokens


def estimated(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Returns rows of the cube with tokens for documents that left, by their bytes and language: see the module."""
    rows = list(rows)
    rates = token_rates(rows)
    return [
        {**row, "tokens": row["tokens"] if row["stage"] == KEPT else round(row["bytes"] * rate)}
        for row in rows
        for rate in (rates.get(row["language"], rates.get("", 0.0)),)
    ]


def token_rates(rows: Iterable[Row]) -> dict[str | None, float]:
    """Returns the tokens a byte of each language among the documents that stayed, of all of them for the name ''."""
    sums: dict[str | None, list[int]] = {}
    for row in rows:
        if row["stage"] == KEPT and row["bytes"] and row["tokens"]:
            for language in (row["language"], ""):
                held = sums.setdefault(language, [0, 0])
                held[0] += row["tokens"]
                held[1] += row["bytes"]
    return {language: tokens / size for language, (tokens, size) in sums.items() if language is not None}


def has_tokens(rows: Iterable[Row]) -> bool:
    """Returns whether the run counted tokens."""
    return any(row["tokens"] for row in rows)


def removed_of(facts: Facts) -> int:
    """Returns how many documents a rebuild of the corpus took out."""
    rows = facts.tables["sums"].to_pylist() if "sums" in facts.tables else []
    return sum(row["amount"] for row in rows if row["name"] == "removed")


def disagreements(
    rows: Iterable[Row],
    noted: Iterable[Row],
    run: Mapping[str, Any],  # Any: JSON
    removed: int = 0,
) -> list[tuple[str, str, str | None, int, int, int]]:
    """Returns where the counted documents are not those of the run's report: (stage, what, rule, here, there, by).

    `removed` are documents that went through all stages, and that a rebuild of the corpus took out since.
    """
    counted: Tally[tuple[str, str, str | None]] = Tally()
    for row in rows:
        if row["stage"] != KEPT:
            action = ASIDE if row["action"] == UNREAD else row["action"]
            counted[row["stage"], action, row["rule"]] += row["documents"]
    for row in noted:
        if row["rule"] is not None:
            counted[row["stage"], row["action"], row["rule"]] += row["documents"]
    for step in together(passages(rows, "stage").values()).steps(stages_of(run)):
        for what, amount in (("came", step.came), ("made", step.made), ("stayed", step.stayed)):
            counted[step.stage, what, None] = amount + (0 if what == "made" else removed)
    said: Tally[tuple[str, str, str | None]] = Tally()
    for stage in run["stages"]:
        for rule in stage["rules"]:
            if rule["action"] != "also":
                said[stage["stage"], rule["action"], rule["rule"]] += rule["documents"]
        for what, name in (("came", "documents_in"), ("made", "made"), ("stayed", "documents_out")):
            said[stage["stage"], what, None] = stage[name]
    keys = sorted({*counted, *said}, key=lambda key: (key[0], key[1], key[2] or ""))
    return [(*key, counted[key], said[key], abs(counted[key] - said[key])) for key in keys if counted[key] != said[key]]
