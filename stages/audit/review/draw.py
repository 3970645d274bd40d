"""Which documents are judged: those of least hash of (seed, id), of all that a reader can get, or of each source.

A reader can get a document if a sample of any split holds a piece of it, as overlays leave it: what a mixture had no
room for is not trained on, and what validation holds is handed on as well. Where a run ends with `write`, it is all
documents. One pass over the pieces tells which they are (a byte a document is kept of it), one over ids and sources
draws: of each source as many at the most as all could be asked of it, so memory does not grow with the corpus else.

Of a source come as many as its share of all documents, but no fewer than show that it is below a limit of 5 % where
none of them fails, with all sources right at once (`estimates.needed` at 5 % / sources); where it has no more than
that, all of it. So more may be drawn than were asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ConfigError
from stages.audit.draw import hashes
from stages.audit.matching import Asked, matching, values_of
from stages.audit.places import ids_of
from stages.audit.review.estimates import ALPHA, needed
from stages.audit.review.judgement import MOST_UNSAFE
from stages.audit.tables import Tables, id_column, table_of
from stages.audit.where import Condition, unknown
from stages.corpus.corpus import Corpus, Split
from stages.corpus.index import segments
from stages.schema import ID

By = Literal["source"] | None
Numbers = npt.NDArray[np.int64]
PLACES: Final = pa.schema(
    [
        pa.field("hash", pa.uint64()),
        pa.field("id", ID),
        pa.field("source", pa.string()),
        pa.field("file", pa.int64()),  # of `Tables.kept`, and the row there
        pa.field("row", pa.int64()),
    ]
)
_ORDER: Final = [("hash", "ascending"), ("id", "ascending")]
_SOURCES: Final = 1_000_000  # more than any corpus has: of each as many are held as could be asked of it
_DISTINCT: Final = 20_000  # values among which the one that was meant is looked for


@dataclass(frozen=True)
class Drawn:
    """The documents that were drawn (PLACES, by hash and id), and how many there are of each source."""

    places: pa.Table
    of: Mapping[str, int]  # by source, in its order
    least: int  # of a source, or all of it; 0 where sources are not told apart

    @property
    def documents(self) -> int:
        """All that could be drawn."""
        return sum(self.of.values())


def draw(
    tables: Tables,
    most: int,
    *,
    by: By = None,
    seed: int = 0,
    where: tuple[Condition, ...] = (),
    fewer: bool = False,
) -> Drawn:
    """Returns the documents that a sample of `most` holds; of all where there are `fewer` and that is allowed.

    Raises:
        ConfigError: there are not so many, or a name or value is not known there.
    """
    found = _Strata(max(most, least_of(_SOURCES)), seed, by)
    numbers = {path: number for number, path in enumerate(tables.kept)}
    had = readable(tables)
    for path, rows in _matching(tables, where) if where else ((path, None) for path in tables.kept):
        mask = None if had is None else had[numbers[path]]
        if rows is not None:
            own = _among(rows, rows_of(path))
            mask = own if mask is None else own & mask
        for table in _candidates(path, numbers[path], mask):
            found.add(table)
    whole = sum(found.of.values())
    if whole < most and not fewer:
        raise _too_few(tables, whole, most, where)
    return found.drawn(min(most, whole))


def least_of(sources: int) -> int:
    """Returns how many documents of each of so many sources show that one is below 5 %, where none of them fails.

    >>> least_of(1), least_of(9), least_of(100)
    (72, 115, 162)
    """
    return needed(MOST_UNSAFE, ALPHA / max(1, sources))


def quotas(of: Mapping[str, int], most: int, least: int) -> dict[str, int]:
    """Returns how many documents are drawn of each source: in proportion, `least` of each or all that it has.

    What is left when sources that would have too few have theirs is parted among the others; remainders go to the
    largest, then by name.

    >>> quotas({"news": 900, "law": 90, "poems": 10}, 100, 15)
    {'news': 75, 'law': 15, 'poems': 10}
    """
    made = dict.fromkeys(of, 0)
    open_ = dict(of)
    left = most
    while open_:
        whole = sum(open_.values())
        few = {name: min(size, least) for name, size in open_.items() if left * size < min(size, least) * whole}
        if not few:
            break
        made |= few
        left -= sum(few.values())
        open_ = {name: size for name, size in open_.items() if name not in few}
    whole = sum(open_.values())
    made |= {name: left * size // whole for name, size in open_.items()}
    rest = sorted(open_, key=lambda name: (-(left * open_[name] % whole), name))
    for name in rest[: most - sum(made.values())] if open_ else ():
        made[name] += made[name] < of[name]
    return made


@dataclass
class _Strata:
    """The least hashes of each source, or of all, as they are met."""

    most: int
    seed: int
    by: By
    of: dict[str, int] = field(default_factory=dict)
    _least: dict[str, _Least] = field(default_factory=dict)

    def add(self, table: pa.Table) -> None:
        table = table.add_column(0, "hash", pa.array(hashes(table.column("id").combine_chunks(), self.seed)))
        counts = table.column("source").value_counts()
        for name, count in zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True):
            self.of[name] = self.of.get(name, 0) + count
            if self.by is not None:
                own = table.filter(pc.equal(table.column("source"), name))
                self._least.setdefault(name, _Least(self.most)).add(own)
        if self.by is None:
            self._least.setdefault("", _Least(self.most)).add(table)

    def drawn(self, most: int) -> Drawn:
        of = dict(sorted(self.of.items()))
        least = least_of(len(of)) if self.by is not None else 0
        parts = quotas(of, most, least) if self.by is not None else {"": most}
        table = pa.concat_tables(
            [PLACES.empty_table(), *(self._least[name].table(part) for name, part in parts.items())]
        )
        return Drawn(table.sort_by(_ORDER).combine_chunks(), of, least)


class _Least:
    """The rows of least hash, `most` of them, and some more until they are asked for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tables: list[pa.Table] = []
        self._rows, self._limit = 0, (1 << 64) - 1

    def add(self, table: pa.Table) -> None:
        own = table.filter(pc.less_equal(table.column("hash"), pa.scalar(self._limit, pa.uint64())))
        if len(own) > self._most:
            own = _first(own, self._most)
        self._tables.append(own)
        self._rows += len(own)
        if self._rows > 4 * self._most:
            kept = self.table(self._most)
            self._tables, self._rows, self._limit = [kept], len(kept), kept.column("hash")[-1].as_py()

    def table(self, most: int) -> pa.Table:
        return _first(pa.concat_tables(self._tables), most)


def _first(table: pa.Table, most: int) -> pa.Table:
    rows = pc.sort_indices(table.select(["hash", "id"]), sort_keys=_ORDER)
    return table.take(rows.slice(0, most)).combine_chunks()


def _too_few(tables: Tables, whole: int, most: int, where: tuple[Condition, ...]) -> ConfigError:
    said = f" of {', '.join(map(str, where))}" if where else ""
    if whole:
        return ConfigError(
            f"{tables.folder}: {whole:,} documents{said} can be had by a reader, and {most:,} are asked for: give --n "
            f"{whole} to judge all of them"
        )
    for one in where:
        values = values_of(tables, one.name, _DISTINCT) if one.sign == "=" else set()
        if values and one.value not in values:
            return unknown(f"value of {one.name}", one.value, values)
    return ConfigError(f"{tables.folder}: no document{said} can be had by a reader, so there is nothing to judge")


# What a reader can get


def _matching(tables: Tables, where: tuple[Condition, ...]) -> Iterator[tuple[str, Numbers]]:
    """Yields the files of documents, with the rows that fulfil conditions."""
    found = matching(tables, Asked(where, left=False))
    for path, own in groupby(found, key=lambda one: one[1]):
        yield path, np.concatenate([first + rows for _, _, rows, _, first in own])


def readable(tables: Tables) -> list[npt.NDArray[np.bool_]] | None:
    """Returns for each file of documents which rows have a piece in a sample; None where there are no samples."""
    if tables.corpus is None:
        return None
    found = [np.zeros(rows_of(path), bool) for path in tables.kept]
    ends = np.cumsum([0, *map(len, found)])
    flat = np.zeros(ends[-1], bool)
    for _, _, held in pieces(tables.corpus, ("file", "file_row")):
        flat[ends[held["file"]] + held["file_row"]] = True
    return [flat[start:end] for start, end in pairwise(ends)]


def pieces(corpus: Corpus, columns: tuple[str, ...]) -> Iterator[tuple[Split, int, dict[str, Numbers]]]:
    """Yields the pieces that readers get of each shard of all splits: (split, number of the shard, columns)."""
    asked = tuple(dict.fromkeys((*columns, "sample", "start")))
    for name in corpus.splits:
        split, first = corpus.split(name), 0
        for number, shard in enumerate(split.shards):
            stop = first + shard["rows"]
            for start, end in split.overlaid.runs(first, stop):
                table = segments(split, start, end, columns=asked)
                held = {one: np.asarray(table.column(one)).astype(np.int64) for one in asked}
                gone, begins, _ = split.overlaid.pieces(start, end)
                if len(gone):
                    stays = ~np.isin(held["sample"] << 32 | held["start"], gone << 32 | begins)
                    held = {one: values[stays] for one, values in held.items()}
                yield split, number, held
            first = stop


def rows_of(path: str) -> int:
    """Returns how many rows a file of documents has."""
    with table_of(path) as file:
        return sum(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))


def _among(rows: Numbers, whole: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(whole, bool)
    mask[rows] = True
    return mask


def _candidates(path: str, number: int, mask: npt.NDArray[np.bool_] | None) -> Iterator[pa.Table]:
    """Yields (id, source, file, row) of the documents of a file, of which those count that `mask` names."""
    with table_of(path) as file:
        column = id_column(file.schema_arrow)
        names = [one for one in (column, "source") if one is not None and one in file.schema_arrow.names]
        first = 0
        for group in range(file.num_row_groups):
            amount = file.metadata.row_group(group).num_rows
            rows = np.arange(amount) if mask is None else np.flatnonzero(mask[first : first + amount])
            if len(rows):
                table = file.read_row_group(group, columns=names).take(pa.array(rows))
                if column is None:
                    words = np.stack([np.full(len(rows), number), first + rows], axis=1).astype(">u8")
                    ids = pa.FixedSizeBinaryArray.from_buffers(ID, len(rows), [None, pa.py_buffer(words.tobytes())])
                else:
                    ids = ids_of(table.column(column).combine_chunks())
                nameless = pa.nulls(len(rows), pa.string())
                source = table.column("source").cast(pa.string()) if "source" in names else nameless
                files = np.full(len(rows), number, np.int64)
                columns = [ids, pc.fill_null(source, ""), pa.array(files), pa.array(first + rows)]
                made = pa.table(columns, schema=pa.schema(list(PLACES)[1:]))
                yield made.filter(pc.is_valid(made.column("id"))) if ids.null_count else made
            first += amount
