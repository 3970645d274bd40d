"""The rules that fired on documents that left: each by itself, in pairs, and between which limits.

A rule fires on a document that leaves, as the first that it broke or as a further one (`also` rows of the ledger). It
is the sole killer of those that no other rule of the step fired on: had it not been there, this step would have kept
them. All sums are exact. Steps that stop at the first rule have no further ones, so there each rule is alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import summed
from stages.audit.passage import LEAVING

Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fired:
    """The rules that fired on documents that left: a row a document and rule, documents in order.

    `document` is the row of the frame of the document; `first` says that the document left by this rule.
    """

    document: Whole
    first: npt.NDArray[np.bool_]
    rule: pa.Array

    @property
    def amount(self) -> Whole:
        """How many rules fired on the document of each row."""
        amounts: Whole = np.bincount(self.document)[self.document] if len(self.document) else self.document
        return amounts


def fired(frame: pa.Table, ledger: pa.Table) -> Fired:
    """Returns the rules that fired on the documents of a frame that left, by its ledger."""
    rows = ledger.select(["id", "stage", "action", "rule"]).filter(
        pc.is_in(ledger.column("action"), pa.array([*LEAVING, "also"]))
    )
    rows = rows.combine_chunks()
    place = pc.index_in(_one(rows.column("id")), _one(frame.column("id")))
    stage = _one(frame.column("stage")).take(place)
    whole = pc.fill_null(pc.equal(_one(rows.column("stage")), stage), False)
    left = pc.fill_null(pc.is_in(_one(frame.column("action")), pa.array(LEAVING)).take(place), False)
    there = np.flatnonzero(np.asarray(pc.and_(whole, left)))
    documents = np.asarray(pc.fill_null(place, -1)).astype(np.int64)[there]
    first = np.asarray(pc.not_equal(_one(rows.column("action")), "also"))[there]
    order = np.lexsort((~first, documents))
    return Fired(documents[order], first[order], _one(rows.column("rule")).take(pa.array(there[order])))


def _one(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    return pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)


def _gone(frame: pa.Table) -> pa.Table:
    """Returns the documents that left, without the rows of parts, which have the id of a document too."""
    return frame.filter(pc.fill_null(pc.is_in(frame.column("action"), pa.array(LEAVING)), False))


@dataclass(frozen=True)
class Rules:
    """Documents by each rule that fired on them, and of which source and language they are.

    `first` left by the rule, `sole` had no other one; `sole_bytes` is the text of those.
    """

    name: str = "rules"

    @property
    def schema(self) -> pa.Schema:
        """A row for each stage, rule, source and language."""
        keys = [(key, pa.string()) for key in ("stage", "rule", "source", "language")]
        return pa.schema([*keys, *((name, pa.int64()) for name in ("fired", "first", "sole", "bytes", "sole_bytes"))])

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of some documents."""
        if ledger is None:
            return self.schema.empty_table()
        gone = _gone(frame)
        found = fired(gone, ledger)
        of = pa.array(found.document)
        keys = {key: gone.column(key).take(of) for key in ("stage", "source", "language")}
        size = np.asarray(pc.fill_null(gone.column("bytes"), 0)).astype(np.int64)[found.document]
        sole = found.amount == 1
        sums = (np.ones(len(sole), np.int64), found.first, sole, size, size * sole)
        table = {**keys, "rule": found.rule}
        table |= {name: pa.array(sum_.astype(np.int64)) for name, sum_ in zip(self.schema.names[4:], sums, strict=True)}
        return self.merge([pa.table(table).select(self.schema.names)])

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, self.schema.names[:4], self.schema)


@dataclass(frozen=True)
class Pairs:
    """Documents on which two rules of a step fired, the lesser name first."""

    name: str = "rule_pairs"

    @property
    def schema(self) -> pa.Schema:
        """A row for each stage and pair."""
        return pa.schema([*((key, pa.string()) for key in ("stage", "rule", "other")), ("documents", pa.int64())])

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of some documents."""
        if ledger is None:
            return self.schema.empty_table()
        gone = _gone(frame)
        found = fired(gone, ledger)
        names = sorted(name for name in pc.unique(found.rule).to_pylist() if name is not None)
        codes = np.asarray(pc.fill_null(pc.index_in(found.rule, pa.array(names, pa.string())), -1)).astype(np.int64)
        document, one, other = pairs(found.document, codes)
        table = {
            "stage": gone.column("stage").take(pa.array(document)),
            "rule": pa.array(names, pa.string()).take(pa.array(one)),
            "other": pa.array(names, pa.string()).take(pa.array(other)),
            "documents": pa.repeat(pa.scalar(1, pa.int64()), len(document)),
        }
        return self.merge([pa.table(table)])

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, self.schema.names[:3], self.schema)


def pairs(document: Whole, code: Whole) -> tuple[Whole, Whole, Whole]:
    """Returns (document, code, greater code) of all pairs of codes, from 0 on, of one document.

    >>> [each.tolist() for each in pairs(np.array([7, 7, 7, 8]), np.array([2, 0, 1, 0]))]
    [[7, 7, 7], [0, 1, 0], [1, 2, 2]]
    """
    order = np.lexsort((code, document))
    order = order[code[order] >= 0]
    document, code = document[order], code[order]
    most = int(np.bincount(document).max()) if len(document) else 0
    found: list[tuple[Whole, Whole, Whole]] = []
    for step in range(1, most):  # rows of a document lie together, so the pairs `step` apart are found at once
        at = np.flatnonzero(document[step:] == document[:-step])
        found.append((document[at], code[at], code[at + step]))
    empty = (np.zeros(0, np.int64),) * 3
    one, two, three = zip(*found, strict=True) if found else ((empty[0],),) * 3
    return np.concatenate(one), np.concatenate(two), np.concatenate(three)


@dataclass(frozen=True)
class Limits:
    """Between which limits and values the rules of a stage fired."""

    name: str = "rule_limits"

    @property
    def schema(self) -> pa.Schema:
        """A row for each stage and rule; null where a rule has none."""
        numbers = ("least_limit", "greatest_limit", "least_value", "greatest_value")
        return pa.schema([("stage", pa.string()), ("rule", pa.string()), *((name, pa.float64()) for name in numbers)])

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the borders of some documents."""
        if ledger is None:
            return self.schema.empty_table()
        rows = ledger.filter(pc.is_in(ledger.column("action"), pa.array([*LEAVING, "also"])))
        limit, value = (_finite(rows.column(name)) for name in ("limit", "value"))
        columns = [rows.column("stage"), rows.column("rule"), limit, limit, value, value]
        return self.merge([pa.table(columns, schema=self.schema)])

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the borders of all."""
        whole = pa.concat_tables([self.schema.empty_table(), *tables])
        borders = [(name, "min" if name.startswith("least") else "max") for name in self.schema.names[2:]]
        made = whole.group_by(["stage", "rule"], use_threads=False).aggregate(borders)
        made = made.rename_columns([name.removesuffix("_min").removesuffix("_max") for name in made.column_names])
        return made.select(self.schema.names).sort_by([("stage", "ascending"), ("rule", "ascending")])


def _finite(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
