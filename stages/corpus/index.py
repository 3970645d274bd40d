"""What lies where: the pieces of samples, and the documents that they are pieces of, read from the index by seeks.

Each shard has a file of segments, sorted by sample, of which only the row groups are read that hold the samples asked
for. A segment names file and row of its document, so a document is one more read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datapipe import ConfigError, DataError, storage
from stages.corpus.corpus import Corpus, Split
from stages.mix.columns import SEGMENTS

AT_ONCE = 8  # row groups of documents that are read together


def segments(
    split: Split, start: int = 0, stop: int | None = None, *, columns: Sequence[str] = SEGMENTS.names
) -> pa.Table:
    """Returns the pieces of the samples at positions `start` to `stop`, in order; padding is no piece.

    Raises:
        DataError: the index is gone or damaged.
    """
    stop = split.total if stop is None else stop
    if start >= stop:
        return SEGMENTS.empty_table().select(list(columns))
    first, last = split.locate(start)[0], split.locate(stop - 1)[0]
    tables = [_of_shard(split, number, start, stop, columns) for number in range(first, last + 1)]
    return pa.concat_tables(tables)


def _of_shard(split: Split, shard: int, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
    with opened(storage.join(split.corpus.folder, split.segment_files[shard])) as file:
        missing = sorted(set(columns) - set(file.schema_arrow.names))
        if missing:
            raise ConfigError(
                f"{split.corpus.folder}: its index of pieces has no {', '.join(missing)}: an earlier datapipe made it; "
                "run the config again with this one"
            )
        groups = [
            number for number in range(file.num_row_groups) if _meets(file.metadata.row_group(number), start, stop)
        ]
        table = file.read_row_groups(groups, columns=list(dict.fromkeys([*columns, "sample"])))
    samples = table.column("sample").combine_chunks().to_numpy() if len(table) else np.zeros(0, np.int64)
    first, end = np.searchsorted(samples, [start, stop])
    return table.slice(first, end - first).select(list(columns))


def _meets(group: pq.RowGroupMetaData, start: int, stop: int) -> bool:
    found = group.column(SEGMENTS.get_field_index("sample")).statistics
    return found is None or not found.has_min_max or (found.min < stop and found.max >= start)


def pieces_of(split: Split, ids: pa.Array) -> Iterator[pa.Table]:
    """Yields the pieces of the documents `ids` (hex), by position; the ids of all pieces are read for it."""
    for name in split.segment_files:
        with opened(storage.join(split.corpus.folder, name)) as file:
            for group in range(file.num_row_groups):
                own = pc.is_in(file.read_row_group(group, columns=["doc_id"]).column(0), ids)
                if pc.any(own).as_py():
                    yield file.read_row_group(group, columns=SEGMENTS.names).filter(own)


def documents(corpus: Corpus, files: np.ndarray, rows: np.ndarray, *, columns: Sequence[str]) -> pa.Table:
    """Returns the documents at (file, row) of the index, in the order asked for; a column that is not there is null.

    `files` and `rows` are integers[documents]. Of each file only the row groups are read that hold one of them.

    Raises:
        DataError: the index is gone or damaged.
    """
    names = corpus.document_files
    distinct, places = np.unique(np.stack([files, rows]).astype(np.int64), axis=1, return_inverse=True)
    wanted = [(names[number], distinct[1, distinct[0] == number]) for number in np.unique(distinct[0]).tolist()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tables = list(pool.map(partial(_of_file, corpus, columns=tuple(columns)), wanted))
    if not tables:
        return pa.table({name: pa.array([], pa.string()) for name in columns})
    return pa.concat_tables(tables).take(pa.array(places.reshape(-1)))


def _of_file(corpus: Corpus, wanted: tuple[str, np.ndarray], *, columns: tuple[str, ...]) -> pa.Table:
    name, rows = wanted
    with opened(storage.join(corpus.folder, name)) as file:
        there = [column for column in columns if column in file.schema_arrow.names]
        ends = np.cumsum([file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)])
        if len(rows) and (not len(ends) or rows[-1] >= ends[-1]):
            raise DataError(f"{corpus.folder}/{name}: has no row {rows[-1]}: it is not of these segments")
        groups = np.searchsorted(ends, rows, side="right")
        tables = []
        for number in np.unique(groups).tolist():
            own = rows[groups == number] - (ends[number - 1] if number else 0)
            tables.append(file.read_row_group(number, columns=there).take(pa.array(own)))
    table = pa.concat_tables(tables)
    missing = pa.nulls(len(table), pa.string())
    return pa.table({column: table.column(column) if column in there else missing for column in columns})


def find_documents(corpus: Corpus, named: str) -> pa.Table:
    """Returns `doc_id`, `file` and `file_row` of the documents of an id (32 hex digits) or URL; reads all files."""
    tables = []
    for number, name in enumerate(corpus.document_files):
        with opened(storage.join(corpus.folder, name)) as file:
            there = [column for column in ("doc_id", "url", "canonical_url") if column in file.schema_arrow.names]
            first = 0
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=there)
                same = np.zeros(len(table), bool)
                for column in there:
                    value = named.lower() if column == "doc_id" else named
                    found = pc.fill_null(pc.equal(table.column(column), value), False)
                    same |= found.to_numpy()
                rows = np.flatnonzero(same)
                ids = table.column("doc_id").take(pa.array(rows))
                tables.append(
                    pa.table(
                        {
                            "doc_id": ids,
                            "file": np.full(len(rows), number, np.int32),
                            "file_row": (first + rows).astype(np.int32),
                        }
                    )
                )
                first += len(table)
    return pa.concat_tables(tables)


@contextmanager
def opened(path: str) -> Iterator[pq.ParquetFile]:
    """Opens a table of the index, or of a run. Raises DataError where it is gone or damaged."""
    try:
        with storage.open_shard(path) as file, pq.ParquetFile(file) as table:
            yield table
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError) as error:
        if storage.is_full(error):  # of a disk that what is read is written to
            raise
        raise DataError(f"{path}: cannot be read ({error}); fetch the file again, or run the config again") from error
