"""What a report shows only the first of, in full: content by registrable domain and source, and by source and licence.

Counted from the files of the documents that stayed, a row group at a time and a few columns of each. What is held are
sums by group: about 100 bytes for each registrable domain, whatever the number of documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.groups import domain
from stages.audit.hostile import harmless
from stages.audit.tables import Tables, table_of
from stages.corpus.corpus import REMOVED

GATHERED: Final = 1 << 20  # rows of sums that are added up together
_READ: Final = ("source", "licence", "host", "bytes", "tokens", "crawl_time", "split", "text")
_SUMS: Final = ("documents", "bytes", "tokens")
DOMAINS: Final = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("domain", pa.string()),
        *(pa.field(name, pa.int64()) for name in _SUMS),
    ]
)
SOURCES: Final = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("licence", pa.string()),
        *(pa.field(name, pa.int64()) for name in _SUMS),
        pa.field("hosts", pa.int64()),  # documents that have one
        pa.field("first", pa.int64()),  # time of the crawl, epoch seconds
        pa.field("last", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Counted:
    """Sums over the documents that stayed: DOMAINS and SOURCES, each sorted by its keys."""

    domains: pa.Table
    sources: pa.Table

    @property
    def names(self) -> list[str]:
        """The sources, in order."""
        return list(dict.fromkeys(self.sources.column("source").to_pylist()))

    def total(self, name: str) -> int:
        """Returns a sum over all documents."""
        return int(pc.sum(self.sources.column(name)).as_py() or 0)

    def of(self, source: str) -> dict[str, int | None]:
        """Returns the sums of a source, whatever its licences, and its first and last time of a crawl."""
        own = self.sources.filter(pc.equal(self.sources.column("source"), source))
        sums = {name: int(pc.sum(own.column(name)).as_py() or 0) for name in (*_SUMS, "hosts")}
        return {**sums, "first": pc.min(own.column("first")).as_py(), "last": pc.max(own.column("last")).as_py()}

    def licences(self, source: str | None = None) -> list[tuple[str | None, int]]:
        """Returns the licences of a source, or of all, and the documents of each, most first; None is not stated."""
        own = self.sources
        own = own if source is None else own.filter(pc.equal(own.column("source"), source))
        sums = own.group_by("licence", use_threads=False).aggregate([("documents", "sum")])
        pairs = zip(sums.column("licence").to_pylist(), sums.column("documents_sum").to_pylist(), strict=True)
        return sorted(((name, int(many)) for name, many in pairs), key=lambda pair: (-pair[1], pair[0] or ""))

    def ranked(self, sources: Sequence[str]) -> pa.Table:
        """Returns the registrable domains of these sources by size of content (bytes of text), largest first."""
        own = self.domains.filter(pc.is_in(self.domains.column("source"), pa.array(sources, pa.string())))
        sums = own.group_by("domain", use_threads=False).aggregate([(name, "sum") for name in _SUMS])
        named = sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names])
        order = [("bytes", "descending"), ("tokens", "descending"), ("domain", "ascending")]
        return named.select(["domain", *_SUMS]).sort_by(order)


def counted(tables: Tables) -> Counted:
    """Returns the sums of a run's documents."""
    domains, sources = Sums(DOMAINS, ("source", "domain")), Sums(SOURCES, ("source", "licence"))
    for path in tables.kept:
        with table_of(path) as file:
            columns = [name for name in _READ if name in file.schema_arrow.names]
            if "bytes" in columns:
                columns.remove("text") if "text" in columns else None
            for group in range(file.num_row_groups):
                rows = _filled(file.read_row_group(group, columns=columns))
                if not len(rows):
                    continue
                hosted = rows.filter(pc.is_valid(rows.column("host")))
                if len(hosted):
                    domains.add(hosted.append_column("domain", domain(hosted.column("host"))))
                sources.add(rows)
    return Counted(_shown(domains.table(), "domain"), _shown(sources.table(), "licence"))


def _filled(rows: pa.Table) -> pa.Table:
    """Returns the rows of documents that were not taken out, with all columns that are summed."""
    if "split" in rows.column_names:
        rows = rows.filter(pc.not_equal(rows.column("split"), REMOVED).fill_null(True))
    many = len(rows)

    def column(name: str, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
        return rows.column(name).cast(kind) if name in rows.column_names else pa.nulls(many, kind)

    size = column("bytes", pa.int64())
    if "text" in rows.column_names:
        size = pc.binary_length(rows.column("text")).cast(pa.int64())
    host, time = column("host", pa.string()), column("crawl_time", pa.int64())
    host = pc.if_else(pc.equal(host, ""), pa.scalar(None, pa.string()), host)
    return pa.table(
        {
            "source": pc.fill_null(column("source", pa.string()), ""),
            "licence": column("licence", pa.string()),
            "host": host,
            "documents": pa.array(np.ones(many, np.int64)),
            "bytes": pc.fill_null(size, 0),
            "tokens": pc.fill_null(column("tokens", pa.int64()), 0),
            "hosts": pc.is_valid(host).cast(pa.int64()),
            "first": time,
            "last": time,
        }
    )


class Sums:
    """Sums by keys, added up now and then: what is held is about twice all groups, and `gathered` rows."""

    def __init__(self, schema: pa.Schema, keys: tuple[str, ...], gathered: int = GATHERED) -> None:
        self._schema, self._keys, self._gathered = schema, keys, gathered
        self._held: list[pa.Table] = []
        self._rows = 0

    def add(self, rows: pa.Table) -> None:
        """Adds the rows of documents, or sums."""
        self._held.append(self._summed(rows))
        self._rows += len(self._held[-1])
        if self._rows > self._gathered + 2 * len(self._held[0]):
            self._held = [self.table()]
            self._rows = len(self._held[0])

    def table(self) -> pa.Table:
        """Returns the sums of all, sorted by their keys."""
        whole = pa.concat_tables([self._schema.empty_table(), *self._held])
        return self._summed(whole).sort_by([(key, "ascending") for key in self._keys])

    def _summed(self, rows: pa.Table) -> pa.Table:
        values = [name for name in self._schema.names if name not in self._keys]
        how = {"first": "min", "last": "max"}
        asked = [(name, how.get(name, "sum")) for name in values]
        made = rows.group_by(list(self._keys), use_threads=False).aggregate(asked)
        names = {f"{name}_{kind}": name for name, kind in asked}
        return (
            made.rename_columns([names.get(name, name) for name in made.column_names])
            .select(self._schema.names)
            .cast(self._schema)
        )


def _shown(table: pa.Table, other: str) -> pa.Table:
    """Returns sums whose names may stand in what people read: harmless, as those of a report are."""
    for name in ("source", other):
        column = table.column(name).combine_chunks().dictionary_encode()
        words = pa.array([harmless(word) for word in column.dictionary.to_pylist()], pa.string())
        table = table.set_column(table.schema.get_field_index(name), name, words.take(column.indices))
    return table
