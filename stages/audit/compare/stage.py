"""The stage `compare`: two corpora, of which every document is told with its kind and first cause.

    index, ledger, overlays of A ─┐                ┌─ pairs ─────────────────────────────┐
    index, ledger, overlays of B ─┴ exchange by id ┴─ rest ─ exchange by URL ─ … by text ─┴─ changes
                                  └ what both runs have (rules, limits, sources, files), to every task
    changes ─ requests ─ exchange by id ─ answers (ROUNDS times) ─ exchange back ─ causes ─ counts ─ sum

Both folders are known by the digests of what lies in them, so two corpora that were compared are not compared again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import Dataset, Output, PlanError, Sized, Stage, Work, concat
from datapipe.dataset import Batches
from stages.audit.compare.causes import CHANGE, FIELDS, LOCAL, TEXT, UNTOLD, Tell
from stages.audit.compare.chain import BYTES_A_SHARD, followed
from stages.audit.compare.entries import KNOWN, rows_of
from stages.audit.compare.matching import LEVELS, Agree, Match, agreement
from stages.audit.compare.side import compared, side_of
from stages.audit.counter import summed
from stages.audit.draw import hashes
from stages.audit.published import gathered, published
from stages.audit.stage import code_of
from stages.audit.tally import TABLES, pack

FACTS: Final = "documents/facts-{number:05}-of-{shards:05}.arrow"
CHANGES: Final = "documents/changes-{number:05}-of-{shards:05}.parquet"
MOST: Final = 20
KEYS: Final = ("kind", "cause", "stage", "rule", "matched", "source", "language")
SUMS: Final = ("bytes_a", "bytes_b", "tokens_a", "tokens_b")
COUNTS: Final = pa.schema(
    [*((key, pa.string()) for key in KEYS), *((name, pa.int64()) for name in ("documents", *SUMS))]
)
DIFFERING: Final = pa.schema([("field", pa.string()), ("documents", pa.int64())])
FIRST: Final = pa.schema([pa.field("hash", pa.uint64()), *CHANGE])
_CASE: Final = ("kind", "cause", "stage", "rule")


@dataclass(frozen=True, kw_only=True)
class Compare(Stage):
    """Compares two corpora document by document, for `datapipe diff`."""

    version: ClassVar[int] = code_of(resources.files(__package__))
    libraries: ClassVar[tuple[str, ...]] = ("datapipe",)

    a: Annotated[str, "folder --out of a finished run, local or s3://"]
    b: Annotated[str, "that of another"]
    seed: Annotated[int, "of the documents that are drawn to be shown"] = 0
    most: Annotated[int, "documents that are drawn of each kind, cause, stage and rule"] = MOST

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the tables of what differs, packed.

        Raises:
            ConfigError: there is no finished run in a folder.
            DataError: what it published is damaged.
            PlanError: a step comes before.
        """
        if inputs:
            raise PlanError("reads the folders of two finished runs: it is the first step, and the only one")
        runs = published(self.a), published(self.b)
        sides = side_of(runs[0]), side_of(runs[1])
        fields, _ = compared(*runs)
        rows = [one for number, run in enumerate(runs) for one in rows_of(run, number, fields)]
        known = concat([one.output("known") for one in rows]).fold(distinct, KNOWN)
        changes = matched(concat(rows), known, Tell(*sides, tuple(fields.names)), agreement(sides))
        outputs = (
            Output("changes", CHANGE, publish=CHANGES),
            Output("fields", DIFFERING),
            Output("first", FIRST),
        )
        counted = followed(changes).map(Tallied(self.seed, self.most), schema=COUNTS, outputs=outputs)
        whole = (counted.output("fields"), counted.output("first"))
        return counted.fold(Total(self.most), TABLES, whole=whole, outputs=(Output("facts", TABLES, publish=FACTS),))


def matched(entries: Dataset, known: Dataset, tell: Tell, agree: Agree) -> Dataset:
    """Returns a row of LOCAL for each document of entries of both sides: of the two that are the same one, one row."""
    changes = []
    for level in LEVELS:
        met = entries.exchange("key", Sized(BYTES_A_SHARD), then=("side", "row", "id"))
        output = Output("changes", LOCAL)
        entries = met.map(Match(level, agree, tell), schema=entries.schema, whole=(known,), outputs=(output,))
        changes.append(entries.output("changes"))
    return concat(changes)


def distinct(batches: Batches, work: Work) -> Batches:
    """Yields the distinct rows of KNOWN, sorted."""
    held = KNOWN.empty_table()
    for table in gathered(batches):
        whole = pa.concat_tables([held, table.cast(KNOWN)])
        held = whole.group_by(KNOWN.names, use_threads=False).aggregate([]).select(KNOWN.names)
    yield from held.sort_by([(name, "ascending") for name in KNOWN.names]).combine_chunks().to_batches()


@dataclass(frozen=True)
class Tallied:
    """Counts changes, publishes those that are one, and draws some of each case by hash of (seed, id)."""

    seed: int
    most: int

    def __call__(self, batches: Batches, work: Work) -> Batches:
        counts, fields, first = COUNTS.empty_table(), DIFFERING.empty_table(), FIRST.empty_table()
        for table in gathered(batches):
            counts = summed([counts, counted(table)], KEYS, COUNTS)
            fields = summed([fields, differing(table)], ("field",), DIFFERING)
            told = table.filter(pc.invert(pc.is_in(table.column("kind"), pa.array(UNTOLD))))
            for batch in told.combine_chunks().to_batches():
                work.put("changes", batch)
            first = least([first, hashed(told, self.seed)], self.most)
        for name, made in (("fields", fields), ("first", first)):
            for batch in made.combine_chunks().to_batches():
                work.put(name, batch)
        yield from counts.combine_chunks().to_batches()


def counted(table: pa.Table) -> pa.Table:
    """Returns COUNTS of changes."""
    ones = pa.repeat(pa.scalar(1, pa.int64()), len(table))
    sums = {name: pc.fill_null(table.column(name), 0) for name in SUMS}
    return summed([pa.table({**{key: table.column(key) for key in KEYS}, "documents": ones, **sums})], KEYS, COUNTS)


def differing(table: pa.Table) -> pa.Table:
    """Returns how many documents that stayed in both differ in each field."""
    both = table.filter(pc.is_in(table.column("kind"), pa.array([FIELDS, TEXT])))
    names = pc.list_flatten(pc.split_pattern(pc.drop_null(both.column("fields").combine_chunks()), ","))
    made = pa.table({"field": names, "documents": pa.repeat(pa.scalar(1, pa.int64()), len(names))})
    return summed([made], ("field",), DIFFERING)


def hashed(table: pa.Table, seed: int) -> pa.Table:
    """Returns changes with the hash that they are drawn by, that of (seed, id in A, or else in B)."""
    ids = pc.coalesce(table.column("id_a"), table.column("id_b")).combine_chunks()
    return table.add_column(0, FIRST.field("hash"), pa.array(hashes(ids, seed))).cast(FIRST)


def least(tables: Sequence[pa.Table], most: int) -> pa.Table:
    """Returns the `most` changes of least hash of each case, sorted by case and hash."""
    order = [*_CASE, "hash", "id_a", "id_b"]
    table = pa.concat_tables(tables).combine_chunks()
    table = table.take(pc.sort_indices(table.select(order), sort_keys=[(name, "ascending") for name in order]))
    if not len(table):
        return table
    new = np.ones(len(table), bool)
    new[1:] = False
    for name in _CASE:
        codes = np.asarray(table.column(name).combine_chunks().dictionary_encode(null_encoding="encode").indices)
        new[1:] |= codes[1:] != codes[:-1]
    begins = np.flatnonzero(new)
    rank = np.arange(len(table)) - np.repeat(begins, np.diff(np.append(begins, len(table))))
    return table.filter(pa.array(rank < most))


@dataclass(frozen=True)
class Total:
    """Adds up the counts of all tasks. `whole` are DIFFERING and FIRST; yields TABLES."""

    most: int

    def __call__(self, batches: Batches, work: Work) -> Batches:
        counts = summed([pa.Table.from_batches([batch]) for batch in batches], KEYS, COUNTS)
        fields, first = work.whole
        tables = {
            "counts": counts,
            "fields": summed([fields], ("field",), DIFFERING),
            "first": least([FIRST.empty_table(), first.cast(FIRST)], self.most),
        }
        rows = pack(tables)
        work.put("facts", rows)
        yield rows
