"""Counters: what is summed over the frame, in pieces that may be added up in any order.

A counter turns rows of the frame into a table of sums by keys; tables of many shards are merged by `merge`. What has
very many keys (hosts) is exchanged first, so that no task holds all of them, and then counted again by counters of the
merged rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa


class Counter(Protocol):
    """A frozen dataclass: its fields are in the fingerprint of what it counts."""

    @property
    def name(self) -> str:
        """The name of its table: letters and underscores, one of its own."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of its table."""

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the table of some documents; an empty one where they say nothing.

        `frame` has FRAME and what follows it. For documents that left, `ledger` has all ledger rows (LEDGER) of a
        range of ids, so every row of a document is there; it is None for those that stayed.
        """

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns one table of many, the same in whatever order and groups they come; sorted by its keys."""


@dataclass(frozen=True)
class Wide:
    """A counter of very many keys: rows of equal `key` (a string, never null) meet in one task.

    `after` count the merged rows: they get them as `frame`, with None for the ledger.
    """

    counter: Counter
    key: str
    after: tuple[Counter, ...]


@dataclass(frozen=True)
class Scan:
    """A counter of the rows of other published files: those whose names begin with `files`, such as `signals/part-`.

    It gets `columns` of them, as far as a file has them, as `frame`, with None for the ledger.
    """

    counter: Counter
    files: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """What a section is made of.

    `tables` are the merged ones by counter, empty where it counted nothing; `run` is the run's own report
    (reports/report.json without the audit), `manifest` that of the corpus, empty where there is none; `folder` holds
    the published files.
    """

    tables: Mapping[str, pa.Table]
    run: Mapping[str, Any]  # Any: JSON
    manifest: Mapping[str, Any]  # Any: JSON
    folder: str
    seed: int


def summed(tables: Sequence[pa.Table], keys: Sequence[str], schema: pa.Schema) -> pa.Table:
    """Returns the sums of all columns but `keys` by keys, sorted by them; null is a key like another."""
    whole = pa.concat_tables([schema.empty_table(), *(table.cast(schema) for table in tables)])
    sums = [(name, "sum") for name in schema.names if name not in keys]
    grouped = whole.group_by(list(keys), use_threads=False).aggregate(sums)
    renamed = grouped.rename_columns([name.removesuffix("_sum") for name in grouped.column_names])
    return renamed.select(schema.names).cast(schema).sort_by([(key, "ascending") for key in keys])
