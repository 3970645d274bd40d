"""What both runs published, as rows of one schema: documents that stayed, that left, and what else is on record.

A document has its rows in several files: of the index, of the ledger, of overlays. They meet by id, in one shard, and
are made one entry there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, LEDGER, Dataset, InputFile, Output, Source, Work
from datapipe.dataset import Batches
from stages.audit.compare.side import FATE, IDENTITY, SIDES, columns_of, index_of
from stages.audit.frame import KEPT
from stages.audit.frames import ReadDocuments, ids_of, left_frame, unhex
from stages.audit.passage import SPLIT
from stages.audit.published import (
    INDEX,
    LEDGER_FILES,
    PLACE,
    Published,
    ReadColumns,
    gathered,
    grouped,
    shaped_column,
    uncut,
)
from stages.corpus.corpus import REMOVED
from stages.corpus.overlay import FOLDER

STAYED, LEFT, NOTED, OUT, PART = range(5)  # what a row says of a document
OVERLAYS: Final = f"corpus/{FOLDER}/"
ENTRY: Final = pa.schema(
    [
        pa.field("key", ID, nullable=False),  # by which it meets others: its id at first, then what else it has
        pa.field("side", pa.int8(), nullable=False),
        pa.field("id", ID, nullable=False),
        pa.field("row", pa.int8(), nullable=False),  # STAYED, LEFT, NOTED, …
        *FATE,
        *IDENTITY,
        pa.field("own_id", pa.string()),  # the source's own
        pa.field("digest", ID),  # of the text of one that stayed
        pa.field("sample", pa.string()),  # the beginning of the text of one that left
        pa.field("edits", pa.string()),  # what steps did to its text: "repair.html_tags=12; pii.pii_email=1"
        pa.field("out", pa.string()),  # what took it out of a finished corpus: an overlay
        pa.field("part_of", pa.string()),  # "id stage.rule" of what it was split off
    ]
)
KNOWN: Final = pa.schema(  # what a run has, whatever became of its documents
    [
        pa.field("side", pa.int8()),
        pa.field("what", pa.string()),  # source; file, unread; or rule
        pa.field("name", pa.string()),  # source, or stage of a rule
        pa.field("sub", pa.string()),  # null; file; or rule
        pa.field("limit", pa.float64()),
    ]
)
_OWN_ID: Final = r'"id":(?P<id>"(?:[^"\\]|\\.)*"|-?[0-9]+)'


# What the ledger says of bytes of a file, or of all of it, that could not be read (`stages.ingest.rows`).
_UNREAD: Final = r"^(?P<file>[^\n]+), (?:bytes \d+-\d+|\d+ decompressed bytes of the member at \d+): "


def rows_of(run: Published, number: int, fields: pa.Schema) -> list[Dataset]:
    """Returns the datasets of all rows of a run, ENTRY and `fields`, each with an output `known` of KNOWN."""
    schema = pa.schema([*ENTRY, *(field for field in fields if field.name not in ENTRY.names)])
    groups = grouped(index_of(run))
    names = tuple(file.name for group in groups for file in group)
    there = columns_of(run, groups[0])
    read: ReadColumns | ReadDocuments
    if names[0].startswith(INDEX):
        wanted = {*IDENTITY.names, *fields.names, "doc_id", "text_digest", "extra", "split"}
        there = pa.schema([field for field in there if field.name in wanted])
        read, columns = ReadColumns(there, names), pa.schema([*there, *PLACE])
    else:
        read, columns = ReadDocuments(there, names), there
    output = (Output("known", KNOWN),)
    stayed = Dataset(Source(f"documents {SIDES[number]}", read, groups), columns)
    made = [stayed.map(Stayed(schema, number), schema=schema, outputs=output)]
    ledger = grouped(run.files(LEDGER_FILES))
    if ledger:
        rows = Dataset(Source(f"ledger {SIDES[number]}", ReadColumns(LEDGER), ledger), LEDGER)
        made.append(rows.map(Left(schema, number), schema=schema, outputs=output))
    overlays = grouped(file for file in run.files(OVERLAYS) if file.name.endswith(".parquet"))
    if overlays:
        rows = Dataset(Source(f"overlays {SIDES[number]}", read_overlays, overlays), _TAKEN)
        made.append(rows.map(Taken(schema, number), schema=schema, outputs=output))
    return made


def _made(schema: pa.Schema, rows: int, columns: Mapping[str, Any]) -> pa.RecordBatch:  # Any: Arrow's, or a value
    """Returns a batch of `schema`; what is not among the columns is null."""
    arrays = []
    for field in schema:
        given = columns.get(field.name)
        if isinstance(given, pa.ChunkedArray):
            given = given.combine_chunks()
        if not isinstance(given, pa.Array):
            given = pa.repeat(pa.scalar(given, field.type), rows)
        arrays.append(given if given.type == field.type else given.cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class _Seen:
    """What of KNOWN a task has seen."""

    def __init__(self, side: int) -> None:
        self.side, self.rows = side, dict[tuple[str, str | None, str | None, float | None], None]()

    def add(self, what: str, *columns: pa.Array | pa.ChunkedArray) -> None:
        """Takes in distinct values of columns, of which the last may be a limit."""
        names = [str(number) for number in range(len(columns))]
        distinct = pa.table(list(columns), names=names).group_by(names, use_threads=False).aggregate([])
        for row in distinct.select(names).to_pylist():
            values = [*row.values(), None, None][:3]
            self.rows[(what, *values)] = None

    def put(self, work: Work) -> None:
        """Puts it out."""
        rows = [dict(zip(KNOWN.names, (self.side, *row), strict=True)) for row in self.rows]
        work.put("known", pa.RecordBatch.from_pylist(rows, schema=KNOWN))


@dataclass(frozen=True)
class Stayed:
    """Documents of the index, or of `documents/`, as entries; those that a rebuild took out have no row any more."""

    schema: pa.Schema
    side: int

    def __call__(self, batches: Batches, work: Work) -> Batches:
        seen = _Seen(self.side)
        for table in gathered(batches):
            (batch,) = table.to_batches()
            if "split" in batch.schema.names:
                batch = batch.filter(pc.not_equal(batch.column("split"), REMOVED).fill_null(True))
            if not batch.num_rows:
                continue
            made = self._entries(batch)
            seen.add("source", made.column("source"))
            seen.add("file", made.column("source"), made.column("file"))
            yield made
        seen.put(work)

    def _entries(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        ids = ids_of(batch)
        made = {name: shaped_column(batch, self.schema.field(name)) for name in self.schema.names}
        made |= {"key": ids, "id": ids, "side": self.side, "row": STAYED, "stage": KEPT, "digest": _digests(batch)}
        made |= dict.fromkeys((*FATE.names[1:], "sample", "edits", "out", "part_of"))
        place = batch.schema.get_field_index("extra")
        made["own_id"] = own_ids(batch.column(place)) if place >= 0 else None
        return _made(self.schema, batch.num_rows, made)


def _digests(batch: pa.RecordBatch) -> pa.Array | None:
    place = batch.schema.get_field_index("text_digest")
    if place < 0 or batch.column(place).null_count:
        return None
    column = batch.column(place)
    return column if column.type == ID else unhex(column)


def own_ids(extra: pa.Array) -> pa.Array:
    """Returns the source's own ids, as JSON, of the column `extra`.

    >>> own_ids(pa.array(['{"a":1,"id":"x"}', '{"a":{"id":"y"},"id":7}', '{"a":2}', None])).to_pylist()
    ['"x"', '7', None, None]
    """
    if not pa.types.is_string(extra.type):
        return pa.nulls(len(extra), pa.string())
    found = pc.struct_field(pc.extract_regex(extra, _OWN_ID), 0)
    nested = np.flatnonzero(pc.match_substring_regex(extra, r"^.+\{").fill_null(False))
    if not len(nested):
        return found
    mask = np.zeros(len(extra), bool)
    mask[nested] = True
    return pc.replace_with_mask(
        found, pa.array(mask), pa.array([_own_id(extra[row].as_py()) for row in nested.tolist()])
    )


def _own_id(extra: str) -> str | None:
    try:
        own = json.loads(extra).get("id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return json.dumps(own, ensure_ascii=False) if isinstance(own, str | int) else None


@dataclass(frozen=True)
class Left:
    """Rows of the ledger as entries: of documents that left, what was done to texts, and which were split off."""

    schema: pa.Schema
    side: int

    def __call__(self, batches: Batches, work: Work) -> Batches:
        seen = _Seen(self.side)
        for ledger in uncut(batches, "id"):
            frame = left_frame(ledger)
            part = pc.equal(frame.column("action"), SPLIT)
            left = frame.filter(pc.invert(part))
            ids, rows = left.column("id"), len(left)
            columns = {name: left.column(name) for name in (*FATE.names, *IDENTITY.names)}
            made = {**columns, "key": ids, "id": ids, "side": self.side, "row": LEFT, "sample": left.column("note")}
            yield _made(self.schema, rows, made)
            yield from self._parts(frame.filter(part))
            yield from self._edits(ledger.filter(pc.equal(ledger.column("action"), "repair")))
            seen.add("source", left.column("source"))
            seen.add("file", left.column("source"), left.column("file"))
            aside = ledger.filter(pc.equal(ledger.column("action"), "quarantine"))
            file = pc.struct_field(pc.extract_regex(aside.column("note").combine_chunks(), _UNREAD), 0)
            seen.add("unread", aside.column("source").filter(pc.is_valid(file)), pc.drop_null(file))
            rules = ledger.filter(pc.invert(pc.is_in(ledger.column("action"), pa.array(["split", "quarantine"]))))
            limit = rules.column("limit")
            limit = pc.if_else(pc.is_finite(limit), limit, pa.scalar(None, pa.float64()))
            seen.add("rule", rules.column("stage"), rules.column("rule"), limit)
        seen.put(work)

    def _parts(self, parts: pa.Table) -> Batches:
        if len(parts):
            said = [
                f"{row['other'].hex() if row['other'] else ''} {row['stage']}.{row['rule']}"
                for row in parts.select(["other", "stage", "rule"]).to_pylist()
            ]
            ids = parts.column("id")
            made = {"key": ids, "id": ids, "side": self.side, "row": PART, "part_of": pa.array(said)}
            yield _made(self.schema, len(parts), made)

    def _edits(self, rows: pa.Table) -> Batches:
        if len(rows):
            value = pc.fill_null(pc.cast(rows.column("value"), pa.string()), "")
            stage, rule = (pc.fill_null(rows.column(name), "") for name in ("stage", "rule"))
            said = pc.binary_join_element_wise(pc.binary_join_element_wise(stage, rule, "."), value, "=")
            table = pa.table({"id": rows.column("id"), "said": said})
            table = table.sort_by([("id", "ascending"), ("said", "ascending")])
            grouped = table.group_by("id", use_threads=False).aggregate([("said", "list")])
            ids, lists = grouped.column("id"), grouped.column("said_list").combine_chunks()
            made = {"key": ids, "id": ids, "side": self.side, "row": NOTED, "edits": pc.binary_join(lists, "; ")}
            yield _made(self.schema, len(grouped), made)


_TAKEN: Final = pa.schema([pa.field("id", ID, nullable=False), pa.field("out", pa.string())])


def read_overlays(files: Sequence[InputFile], work: Work) -> Batches:
    """Yields the documents that overlays take out, and by which."""
    for file in files:
        name = file.name.rpartition("/")[2].removesuffix(".parquet")
        for batch in ReadColumns(pa.schema([pa.field("doc_id", pa.string())]))([file], work):
            ids = unhex(batch.column(0).unique())
            yield pa.RecordBatch.from_arrays([ids, pa.repeat(name, len(ids))], schema=_TAKEN)


@dataclass(frozen=True)
class Taken:
    """What overlays take out, as entries."""

    schema: pa.Schema
    side: int

    def __call__(self, batches: Batches, work: Work) -> Batches:
        for batch in batches:
            ids = batch.column("id")
            made = {"key": ids, "id": ids, "side": self.side, "row": OUT, "out": batch.column("out")}
            yield _made(self.schema, batch.num_rows, made)


def whole(table: pa.Table) -> pa.Table:
    """Returns one row a document of rows that lie by (key, side), all of an id together; the ledger has the last word.

    What is noted of a document is put to its row; a row of nothing else but notes is of a document that neither stayed
    nor left, and is none: its file was not read to its end.
    """
    row = np.asarray(table.column("row"))
    if not np.isin(row, (NOTED, OUT, PART)).any() and not _is_twice(table, row):
        return table
    keys = table.column("key").combine_chunks()
    codes = np.asarray(keys.dictionary_encode().indices).astype(np.int64) * 2 + np.asarray(table.column("side"))
    documents = np.flatnonzero(np.isin(row, (STAYED, LEFT)))
    left = np.unique(codes[row == LEFT])
    documents = documents[(row[documents] == LEFT) | ~np.isin(codes[documents], left)]
    made = table.take(pa.array(documents))
    for name, kind in (("edits", NOTED), ("out", OUT), ("part_of", PART)):
        rows = np.flatnonzero(row == kind)
        if len(rows):
            first, places = np.unique(codes[rows], return_index=True)
            at = np.searchsorted(first, codes[documents])
            at[at == len(first)] = 0
            found = first[at] == codes[documents]
            values = table.column(name).take(pa.array(np.where(found, rows[places[at]], 0), mask=~found))
            made = made.set_column(made.schema.get_field_index(name), made.schema.field(name), values)
    return made


def _is_twice(table: pa.Table, row: np.ndarray) -> bool:
    """Returns whether a document may have a row of one that stayed and a row of one that left."""
    if not (row == LEFT).any() or not (row == STAYED).any():
        return False
    same = np.asarray(pc.equal(table.column("key").slice(1), table.column("key").slice(0, len(table) - 1)))
    side = np.asarray(table.column("side"))
    return bool((same & (side[1:] == side[:-1])).any())
