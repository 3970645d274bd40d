"""The published files of a run as sources: what they are called, how large they are, and what their digests are.

A file is known by its digest, as the run's claim has it, wherever the folder lies; what is counted of it stays counted
when the folder is copied.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datapipe import ConfigError, DataError, InputFile, Report, Resource, Work, storage
from datapipe.dataset import Batches
from stages.corpus.corpus import MANIFEST, Corpus
from stages.corpus.index import opened
from stages.corpus.overlay import FOLDER

CLAIM: Final = "reports/published.json"
REPORT: Final = "reports/report.json"
INDEX: Final = "corpus/index/documents-"
SEGMENTS: Final = "corpus/index/segments-"
LEDGER_FILES: Final = "ledger/part-"
DOCUMENTS: Final = "documents/part-"
BYTES: Final = 64 << 20  # of files that one task reads
ROWS: Final = 1 << 16  # that are read, and counted, together
PLACE: Final = pa.schema([pa.field("index_file", pa.int32()), pa.field("index_row", pa.int32())])
AMOUNTS: Final = pa.schema([pa.field("name", pa.string()), pa.field("amount", pa.int64())])  # sums that must agree
Groups = tuple[tuple[InputFile, ...], ...]


@dataclass(frozen=True)
class Published:
    """The folder of a finished run. `digests` are those of its files by name, overlays of its corpus among them.

    `run` is its report, without an audit of it; `manifest` that of its corpus, empty where it has none.
    """

    folder: str
    digests: Mapping[str, str] = field(repr=False)
    run: Mapping[str, Any] = field(repr=False)  # Any: JSON
    manifest: Mapping[str, Any] = field(repr=False)  # Any: JSON

    @cached_property
    def resource(self) -> Resource:
        """The folder, whose identity is what lies in it: no path, and nothing that an audit adds."""
        names = [name for name in sorted(self.digests) if not name.startswith("reports/")]
        said = json.dumps([[name, self.digests[name]] for name in names])
        return Resource(self.folder, hashlib.sha256(said.encode()).hexdigest())

    def files(self, beginning: str) -> tuple[InputFile, ...]:
        """Returns the files whose names begin so, by name. Raises DataError where one is gone."""
        names = [name for name in sorted(self.digests) if name.startswith(beginning)]
        try:
            found = storage.describe_files([(name, storage.join(self.folder, name)) for name in names])
        except (OSError, ConfigError) as error:
            raise DataError(
                f"{self.folder}: a published file is gone ({error}); `datapipe verify` names all that are"
            ) from error
        return tuple(replace(file, version=self.digests[file.name]) for file in found)


def published(folder: str) -> Published:
    """Returns what the run in a folder published.

    Raises:
        ConfigError: there is no finished run.
        DataError: a file that says what it is is damaged, or a part of it is gone.
    """
    folder = storage.absolute(folder)
    claim, run = (_json(storage.join(folder, name)) for name in (CLAIM, REPORT))
    if run is None or claim is None:
        raise ConfigError(f"{folder}: holds no finished run: {CLAIM} or {REPORT} is not there; give the folder --out")
    run.pop("audit", None)
    try:
        Report.from_json(json.dumps(run).encode())
        digests = {str(name): str(digest) for name, digest in claim["files"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: {CLAIM} or {REPORT} is not what a run writes ({error!r}); run again") from error
    if not any(name.startswith((INDEX, DOCUMENTS)) for name in digests):
        raise ConfigError(
            f"{folder}: holds neither a corpus nor documents: its run did not finish, or ends without mix and write"
        )
    manifest: Mapping[str, Any] = {}
    if f"corpus/{MANIFEST}" in digests:
        manifest = Corpus.open(folder, overlays=False).manifest
        for name in storage.walk(storage.join(folder, "corpus", FOLDER)):
            digests[f"corpus/{FOLDER}/{name}"] = storage.sha256_of(storage.join(folder, "corpus", FOLDER, name))
    return Published(folder, digests, run, manifest)


def _json(path: str) -> dict[str, Any] | None:  # Any: JSON
    content = storage.read_if_there(path)
    if content is None:
        return None
    try:
        data = json.loads(content)
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error}); run the config again") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: is not what a run writes; run the config again")
    return data


def grouped(files: Iterable[InputFile], size: int = BYTES) -> Groups:
    """Returns files in groups of about so many bytes, in order, one at least in each."""
    groups: list[list[InputFile]] = []
    room = 0
    for file in files:
        if not groups or file.size_bytes > room:
            groups.append([])
            room = size
        groups[-1].append(file)
        room -= file.size_bytes
    return tuple(tuple(group) for group in groups)


def schema_of(folder: str, file: InputFile) -> pa.Schema:
    """Returns the columns of a Parquet file. Raises DataError where it cannot be read."""
    with opened(storage.join(folder, file.name)) as table:
        return table.schema_arrow


@dataclass(frozen=True)
class ReadColumns:
    """Reads the columns of `schema` of Parquet files; one that a file has not, or has of another kind, is null.

    With `names` they are followed by PLACE: which of these the file is, and the row in it.
    """

    schema: pa.Schema
    names: tuple[str, ...] = ()

    def __call__(self, files: Sequence[InputFile], work: Work) -> Batches:
        for file in files:
            number = self.names.index(file.name) if self.names else -1
            with opened(file.url) as table:
                yield from placed(self._rows(table), number) if self.names else self._rows(table)

    def _rows(self, table: pq.ParquetFile) -> Batches:
        there = table.schema_arrow.names
        wanted = [name for name in self.schema.names if name in there]
        for batch in table.iter_batches(ROWS, columns=wanted, use_threads=False):
            yield shaped(batch, self.schema)


def placed(batches: Batches, number: int) -> Batches:
    """Yields batches of a file with PLACE behind: its number and the rows' numbers."""
    row = 0
    for batch in batches:
        numbers = pa.array(np.arange(row, row + batch.num_rows, dtype=np.int32))
        file = pa.repeat(pa.scalar(number, pa.int32()), batch.num_rows)
        yield pa.RecordBatch.from_arrays([*batch.columns, file, numbers], schema=pa.schema([*batch.schema, *PLACE]))
        row += batch.num_rows


def shaped(batch: pa.RecordBatch | pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    """Returns the columns of `schema` of a batch; what it has not, or has of a kind that does not fit, is null."""
    columns = [shaped_column(batch, one) for one in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def shaped_column(batch: pa.RecordBatch, wanted: pa.Field) -> pa.Array:
    """Returns a column of a batch as `wanted` has it; nulls where there is none that fits."""
    place = batch.schema.get_field_index(wanted.name)
    if place < 0:
        return pa.nulls(batch.num_rows, wanted.type)
    column = batch.column(place)
    if column.type == wanted.type:
        return column
    try:
        return column.cast(wanted.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.nulls(batch.num_rows, wanted.type)


def gathered(batches: Batches, rows: int = ROWS) -> Iterator[pa.Table]:
    """Yields the rows of batches in tables of about so many, one chunk each."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        if count >= rows:
            yield pa.Table.from_batches(held).combine_chunks()
            held, count = [], 0
    if count:
        yield pa.Table.from_batches(held).combine_chunks()


def uncut(batches: Batches, key: str, rows: int = ROWS) -> Iterator[pa.Table]:
    """Yields rows that lie by `key` in tables of about so many, one chunk each, that cut no key's rows apart."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        if count < rows:
            continue
        table = pa.Table.from_batches(held).combine_chunks()
        keys = table.column(key)
        same = np.asarray(pc.equal(keys, keys[-1]))
        end = len(table) - int(same[::-1].cumprod().sum())
        if end:
            yield table.slice(0, end)
        held, count = table.slice(end).to_batches(), len(table) - end
    if count:
        yield pa.Table.from_batches(held).combine_chunks()


def amounts(**named: int) -> pa.RecordBatch:
    """Returns AMOUNTS of these names."""
    return pa.RecordBatch.from_pydict({"name": list(named), "amount": list(named.values())}, schema=AMOUNTS)
