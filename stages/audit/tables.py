"""The published tables of a run: which files there are, and reading of them what a question needs and no more.

Ledger and signals are sorted by id within a file, and their row groups say from which id to which they go; a document
has all its rows of the ledger in one part, by a hash of its id: one row group of one file is read for them.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from datapipe import LEAVING, ConfigError, DataError, InputFile, part_of, storage
from stages.corpus.corpus import MANIFEST, Corpus
from stages.corpus.index import opened

LEDGER: Final = "ledger"
DOCUMENTS: Final = "documents"
LINES: Final = ".jsonl.zst"
ID_COLUMNS: Final = ("id", "document", "doc_id")  # of a table: whose row it is
CHAIN: Final = 16  # survivors of survivors that are followed
_PLACES: Final = ("signals", "corpus")

Row = dict[str, Any]  # Any: Arrow's Python values


@dataclass(frozen=True)
class Tables:
    """The published tables of the run in `folder`."""

    folder: str

    @cached_property
    def corpus(self) -> Corpus | None:
        """The corpus that it ended with, under the overlays beside it; None where it ended otherwise, or not yet."""
        for place in (self.folder, storage.join(self.folder, "corpus")):
            content = storage.read_if_there(storage.join(place, MANIFEST))
            if content is not None and b'"merkle_root"' in content:  # other stages may write a corpus of another kind
                return Corpus.open(place)
        return None

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """The files that have a row for each document that stayed: of the index, or else what `write` wrote."""
        if self.corpus is not None:
            return tuple(storage.join(self.corpus.folder, name) for name in self.corpus.document_files)
        return tuple(path for path in self._list(DOCUMENTS) if path.endswith((".parquet", LINES)))

    @cached_property
    def ledger(self) -> tuple[str, ...]:
        """The parts of the ledger."""
        return tuple(path for path in self._list(LEDGER) if path.endswith(".parquet"))

    @cached_property
    def report(self) -> Row:
        """The report of the run as JSON; empty where only a corpus is there, or what is there is no report."""
        content = storage.read_if_there(storage.join(self.folder, "reports", "report.json"))
        try:
            found = json.loads(content or b"{}")
        except ValueError as error:
            raise DataError(f"{self.folder}: reports/report.json cannot be read ({error}); fetch it again") from error
        return found if isinstance(found, dict) else {}

    @property
    def stages(self) -> list[Row]:
        """What the report says of each step, in order."""
        return [stage for stage in self.report.get("stages", []) if isinstance(stage, dict) and "stage" in stage]

    @cached_property
    def others(self) -> dict[str, tuple[str, ...]]:
        """The files of every other table in which rows are of documents, by its name: `signals`, `signals/residual`."""
        found: dict[str, list[str]] = {}
        for place in _PLACES:
            for path in self._list(place):
                if path.endswith(".parquet"):
                    first = os.path.basename(path).split("-")[0]
                    stem = os.path.basename(path).rsplit("-", 3)[0]
                    found.setdefault(place if first == "part" else f"{place}/{stem}", []).append(path)
        return {name: tuple(files) for name, files in found.items() if id_column(schema_of(files[0]))}

    @cached_property
    def signals(self) -> dict[str, tuple[str, ...]]:
        """Those of them that say what was measured, that of the step `quality` first."""
        return {name: files for name, files in sorted(self.others.items()) if name.partition("/")[0] == "signals"}

    def _list(self, place: str) -> list[str]:
        return storage.list_folder(storage.join(self.folder, place))

    @cached_property
    def _removed(self) -> set[bytes]:
        return set() if self.corpus is None else removed_from(self.corpus)

    def is_removed(self, document: bytes) -> bool:
        """Returns whether overlays take out a document, or the one that it fell for in the end: both held the text."""
        for _ in range(CHAIN if self._removed else 0):
            if document in self._removed:
                return True
            ends = (row["other"] for row in self.ledger_of(document) if row["action"] in LEAVING)
            other = next(ends, None)
            if other is None:
                return False
            document = other
        return False

    def ledger_of(self, document: bytes) -> list[Row]:
        """Returns all that the ledger says of a document: of one part, where all of them are there."""
        files = self.ledger
        whole = bool(files) and files[-1].endswith(f"-{len(files) - 1:05}-of-{len(files):05}.parquet")
        return rows_of([files[part_of(document, len(files))]] if whole else files, "id", document)


def removed_from(corpus: Corpus) -> set[bytes]:
    """Returns the ids of the documents that overlays take out of a corpus."""
    tables = [corpus.split(name).overlaid.removed for name in corpus.splits]
    return {bytes.fromhex(key) for table in tables for key in table.column("doc_id").unique().to_pylist()}


@contextmanager
def table_of(path: str) -> Iterator[Groups]:
    """Opens a published table, or documents in JSON lines as one: those are read whole."""
    if path.endswith(LINES):
        yield _Lines(path)
        return
    with opened(path) as file:
        yield file


class Groups(Protocol):
    """What is asked of an opened table: `pq.ParquetFile` has it."""

    @property
    def schema_arrow(self) -> pa.Schema:
        """Its columns."""

    @property
    def num_row_groups(self) -> int:
        """How many row groups it has."""

    @property
    def metadata(self) -> Any:  # Any: `pq.FileMetaData`, which has no types
        """What its footer says."""

    def read_row_group(self, number: int, columns: list[str] | None = None) -> pa.Table:
        """Returns the columns of a row group."""


class _Lines:
    """JSON lines as a table of one row group, without statistics."""

    def __init__(self, path: str) -> None:
        self._rows = _lines(path)
        self.schema_arrow = self._rows.schema
        self.num_row_groups = 1
        column = SimpleNamespace(statistics=None)
        group = SimpleNamespace(num_rows=len(self._rows), column=lambda place: column)
        self.metadata = SimpleNamespace(row_group=lambda number: group)

    def read_row_group(self, number: int, columns: list[str] | None = None) -> pa.Table:
        return self._rows if columns is None else self._rows.select(columns)


@functools.lru_cache(maxsize=1)
def _lines(path: str) -> pa.Table:
    from stages.audit.frames import lines_of  # noqa: PLC0415 - seldom asked for, and long to load

    batches = list(lines_of(InputFile(path, path, storage.size_of(path), "")))
    return pa.Table.from_batches(batches) if batches else pa.table({})


def schema_of(path: str) -> pa.Schema:
    """Returns the schema of a table."""
    with table_of(path) as file:
        return file.schema_arrow


def id_column(schema: pa.Schema) -> str | None:
    """Returns the name of the column that says whose row a row is, None where a table has none."""
    return next((name for name in ID_COLUMNS if name in schema.names), None)


def rows_of(files: Sequence[str], column: str, value: bytes | str | int) -> list[Row]:
    """Returns the rows in which a column has a value; what cannot hold it, by its statistics, is not read."""
    found: list[Row] = []
    for path in files:
        with opened(path) as file:
            for group in groups_of(file, column, value):
                found += taken(file, group, column, lambda values: pc.equal(values, pa.scalar(value, values.type)))
    return found


def groups_of(file: Groups, column: str, value: bytes | str | int) -> Iterator[int]:
    """Yields the row groups that may hold a value."""
    place = file.schema_arrow.get_field_index(column)
    for group in range(file.num_row_groups):
        bounds = file.metadata.row_group(group).column(place).statistics if place >= 0 else None
        if bounds is None or not bounds.has_min_max or bounds.min <= value <= bounds.max:
            yield group


def taken(file: Groups, group: int, column: str, test: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> list[Row]:
    """Returns the rows of a row group of which a column passes a test; the others are read where one does."""
    mask = test(file.read_row_group(group, columns=[column]).column(0))
    if not pc.any(mask).as_py():
        return []
    rows: list[Row] = file.read_row_group(group).filter(mask).to_pylist()
    return rows


def row_at(path: str, row: int, columns: Sequence[str] | None = None) -> Row:
    """Returns a row of a table by its number; one row group is read."""
    with table_of(path) as file:
        group, first = place_of(file, row)
        names = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
        found: Row = file.read_row_group(group, columns=names).slice(row - first, 1).to_pylist()[0]
        return found


def place_of(file: Groups, row: int) -> tuple[int, int]:
    """Returns the row group of a row and the number of its first row. Raises ConfigError where the table is shorter."""
    first = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if row < first + rows:
            return group, first
        first += rows
    raise ConfigError(f"a table of {first} rows has no row {row}: it was written again since the report; run it anew")
