"""Counters of duplicates: what left as a copy, the clusters of what stayed, how often it is seen, and where copies lay.

Whether a copy lay on its survivor's host, and in its source, is found by an exchange: rows of both meet by the
survivor's id. Where the survivor left at a later step, that is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Counter, Wide, summed
from stages.mix.write import hex_strings

TOP: Final = 20  # clusters that are named
COPY: Final = "duplicate_of"
_INT: Final = pa.int64()


def _schema(keys: Mapping[str, pa.DataType], *sums: str) -> pa.Schema:
    return pa.schema([*keys.items(), *((name, _INT) for name in sums)])


COPIES: Final = _schema(
    {"stage": pa.string(), "rule": pa.string(), "percent": pa.int32()}, "documents", "sized", "bytes"
)
SIZES: Final = _schema({"cluster_size": pa.int32()}, "documents", "bytes", "characters", "tokens", "trained")
TIMES: Final = _schema({"times_seen": pa.int32()}, "documents", "tokens", "seen", "trained")
LARGEST: Final = pa.schema(
    [
        ("id", pa.string()),
        ("cluster_size", pa.int32()),
        ("source", pa.string()),
        ("host", pa.string()),
        ("language", pa.string()),
        ("url", pa.string()),
        ("bytes", _INT),
        ("characters", _INT),
        ("tokens", _INT),
        ("trained", _INT),
    ]
)
PAIRS: Final = _schema(
    {"survivor": pa.string(), "is_copy": pa.bool_(), "source": pa.string(), "host": pa.string()}, "documents"
)
ACROSS: Final = _schema(
    {"source": pa.string(), "survivor_source": pa.string(), "known": pa.bool_(), "same_host": pa.bool_()},
    "documents",
)


def _sums(frame: pa.Table, keys: Mapping[str, pa.Array], sums: Sequence[str], schema: pa.Schema) -> pa.Table:
    """Returns the sums of columns of the frame by computed keys; `documents` counts rows."""
    ones = pa.array(np.ones(frame.num_rows, np.int64))
    columns = {name: ones if name == "documents" else pc.fill_null(frame.column(name).cast(_INT), 0) for name in sums}
    return summed([pa.table({**keys, **columns}, schema=schema)], list(keys), schema)


@dataclass(frozen=True)
class Copies:
    """What left as a copy, by step, rule and similarity (percent, rounded down; null where it was not measured)."""

    name: str = "duplicates_copies"
    schema: pa.Schema = COPIES

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums over the rows that left as copies."""
        if ledger is None:
            return self.schema.empty_table()
        copies = frame.filter(pc.equal(frame.column("action"), COPY))
        percent = pc.floor(pc.multiply(pc.round(copies.column("similarity").cast(pa.float64()), 6), 100.0))
        keys = {"stage": copies.column("stage"), "rule": copies.column("rule"), "percent": percent.cast(pa.int32())}
        sized = pc.is_valid(copies.column("bytes")).cast(_INT)
        return _sums(copies.append_column("sized", sized), keys, ("documents", "sized", "bytes"), self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of all."""
        return summed(tables, ("stage", "rule", "percent"), self.schema)


@dataclass(frozen=True)
class Sizes:
    """What stayed, by the size of its cluster; null where no step looked for copies."""

    name: str = "duplicates_sizes"
    schema: pa.Schema = SIZES

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums over the documents that stayed."""
        if ledger is not None:
            return self.schema.empty_table()
        keys = {"cluster_size": frame.column("cluster_size").cast(pa.int32())}
        return _sums(frame, keys, ("documents", "bytes", "characters", "tokens", "trained"), self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of all."""
        return summed(tables, ("cluster_size",), self.schema)


@dataclass(frozen=True)
class Times:
    """What stayed for training, by how often it is seen; `seen` of its tokens are seen at all.

    Documents of other splits are no part of it. A document that is in part not seen has fewer tokens seen than it has;
    one whose samples are seen a different number of times counts by its first.
    """

    name: str = "duplicates_times"
    schema: pa.Schema = TIMES

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums over the documents of the train split."""
        if ledger is not None:
            return self.schema.empty_table()
        rows = frame.filter(pc.and_(pc.equal(frame.column("split"), "train"), pc.is_valid(frame.column("trained"))))
        seen = pc.min_element_wise(rows.column("tokens").cast(_INT), rows.column("trained").cast(_INT))
        keys = {"times_seen": rows.column("times_seen").cast(pa.int32())}
        return _sums(rows.append_column("seen", seen), keys, ("documents", "tokens", "seen", "trained"), self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of all."""
        return summed(tables, ("times_seen",), self.schema)


@dataclass(frozen=True)
class Largest:
    """The survivors of the largest clusters; of equal size those of least id."""

    most: int = TOP
    name: str = "duplicates_largest"
    schema: pa.Schema = LARGEST

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the survivors of the largest clusters among some documents."""
        if ledger is not None:
            return self.schema.empty_table()
        sizes = pc.fill_null(frame.column("cluster_size").cast(pa.int32()), 0)
        rows = np.flatnonzero(np.asarray(sizes) > 1)
        order = pa.table({"size": sizes.take(rows), "id": frame.column("id").take(rows).cast(pa.binary()), "row": rows})
        first = order.sort_by([("size", "descending"), ("id", "ascending")]).slice(0, self.most)
        told = frame.take(first.column("row"))
        ids = pa.array([one.hex() for one in told.column("id").to_pylist()], pa.string())
        columns = [ids, *(told.column(field.name).cast(field.type) for field in list(self.schema)[1:])]
        return pa.table(columns, schema=self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the largest of all."""
        whole = pa.concat_tables([self.schema.empty_table(), *tables])
        return whole.sort_by([("cluster_size", "descending"), ("id", "ascending")]).slice(0, self.most)


@dataclass(frozen=True)
class Pairs:
    """Copies by their survivor's id, and who may be one: with its source and host, so that both meet."""

    name: str = "duplicates_pairs"
    schema: pa.Schema = PAIRS

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns a row for each copy and, beside the survivors of clusters, for each copy as one that may be named."""
        if ledger is None:
            named, copies = frame.filter(pc.greater(frame.column("cluster_size"), 1)), frame.slice(0, 0)
        else:
            named = frame.filter(pc.equal(frame.column("action"), COPY))  # by an earlier step, that kept it
            copies = named.filter(pc.is_valid(named.column("other")))
        return self.merge([self._rows(named, "id", is_copy=False), self._rows(copies, "other", is_copy=True)])

    def _rows(self, rows: pa.Table, key: str, *, is_copy: bool) -> pa.Table:
        ids = hex_strings(rows.column(key).combine_chunks())
        told = [rows.column(name).cast(pa.string()) for name in ("source", "host")]
        same = [pa.repeat(pa.scalar(is_copy), rows.num_rows), pa.array(np.ones(rows.num_rows, np.int64))]
        return pa.table([ids, same[0], *told, same[1]], schema=self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of all."""
        return summed(tables, ("survivor", "is_copy", "source", "host"), self.schema)


@dataclass(frozen=True)
class Across:
    """Copies by source, by that of their survivor (null where it is not known), and whether both lay on one host."""

    name: str = "duplicates_across"
    schema: pa.Schema = ACROSS

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of rows of `Pairs`, of which all that name one survivor are here."""
        frame = frame.combine_chunks()
        is_copy = np.asarray(frame.column("is_copy"))
        codes = np.asarray(pc.dictionary_encode(frame.column("survivor")).combine_chunks().indices)
        place = np.full(frame.num_rows, -1, np.int64)
        place[codes[~is_copy]] = np.flatnonzero(~is_copy)
        copies = frame.filter(pa.array(is_copy))
        found = place[codes[is_copy]]
        survivors = frame.take(pa.array(found, mask=found < 0))
        keys = {
            "source": copies.column("source"),
            "survivor_source": survivors.column("source"),
            "known": pa.array(found >= 0),
            "same_host": pc.equal(copies.column("host"), survivors.column("host")),
        }
        return self.merge([pa.table({**keys, "documents": copies.column("documents")}, schema=self.schema)])

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of all."""
        return summed(tables, ("source", "survivor_source", "known", "same_host"), self.schema)


COUNTERS: Final[tuple[Counter | Wide, ...]] = (
    Copies(),
    Sizes(),
    Times(),
    Largest(),
    Wide(Pairs(), "survivor", (Across(),)),
)
