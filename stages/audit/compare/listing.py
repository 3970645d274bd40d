"""Every document that differs, as one file: Parquet with all that is known, or JSON lines to read, masked."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from datapipe import ConfigError, shown, storage
from stages.audit.compare.causes import CHANGE
from stages.audit.compare.told import sentence
from stages.audit.hostile import harmless
from stages.corpus.index import opened

ROWS: Final = 1 << 14  # that are read together
PARQUET: Final = ".parquet"

Row = Mapping[str, Any]  # Any: Arrow's Python values


def write_list(files: Sequence[str], path: str) -> None:
    """Writes the rows of CHANGE of `files` to one file, Parquet or JSON lines by its ending, some rows at a time.

    Raises:
        ConfigError: it cannot be written.
    """
    remote = storage.is_remote(path)
    try:
        beside = None if remote else os.path.dirname(path)
        if beside:
            os.makedirs(beside, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".datapipe-", dir=beside) as folder:
            local = os.path.join(folder, "list")
            (_parquet if path.endswith(PARQUET) else _lines)(files, local)
            storage.put_file(local, path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error})") from error


def _parquet(files: Sequence[str], local: str) -> None:
    with pq.ParquetWriter(local, CHANGE, compression="zstd") as writer:
        for batch in batches(files):
            writer.write_batch(batch)


def _lines(files: Sequence[str], local: str) -> None:
    with open(local, "w", encoding="utf-8") as written:
        for batch in batches(files):
            written.writelines(f"{line(row)}\n" for row in batch.to_pylist())


def batches(files: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields the rows of all files."""
    for file in files:
        with opened(file) as table:
            yield from table.iter_batches(ROWS, columns=CHANGE.names, use_threads=False)


def line(row: Row) -> str:
    """Returns a row of CHANGE as a line of JSON: what is known of it, why it differs, and strings that do no harm."""
    said = {name: _plain(value) for name, value in row.items() if value is not None}
    why = sentence(row)
    return shown(json.dumps({**said, "why": harmless(why.en, 500)}, ensure_ascii=False))


def _plain(value: Any) -> Any:  # Any: Arrow's Python values, and JSON
    if isinstance(value, bytes):
        return value.hex()
    return harmless(value, 500) if isinstance(value, str) else value
