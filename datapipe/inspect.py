"""Looking at what a run left: any file of ours readably, and what was set aside."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from datapipe import storage
from datapipe.errors import ConfigError, DatapipeError
from datapipe.exchange import read_index, read_part
from datapipe.report import Report
from datapipe.shard import read_shard

TABLES = (".arrow", ".ipc", ".parquet", ".exchange")
_SHOWN_CHARACTERS = 200
_LINES = ".jsonl.zst"


def load_report(folder: str) -> Report:
    """Returns the report of an output folder. Raises ConfigError where there is none."""
    path = storage.join(folder, "reports", "report.json")
    if not storage.exists(path):
        raise ConfigError(f"{folder}: holds no reports/report.json; give the --out folder of a run that has finished")
    return Report.from_json(storage.read_bytes(path), out=folder)


def show_file(path: str, rows: int) -> Iterator[str]:
    """Yields the lines that show a file of ours: JSON as it is, of tables the schema and the first rows, or lines.

    Raises:
        ConfigError: there is no such file, or it is none of ours.
    """
    if not storage.exists(path) or storage.is_folder(path):
        raise ConfigError(f"{path}: there is no such file")
    ending = os.path.splitext(path)[1]
    if ending == ".json":
        try:
            yield from json.dumps(json.loads(storage.read_bytes(path)), indent=1, ensure_ascii=False).split("\n")
        except ValueError as error:
            raise ConfigError(f"{path}: cannot be read as JSON ({error})") from error
    elif ending in TABLES:
        try:
            yield from _show_table(path, rows)
        except (pa.ArrowInvalid, OSError, DatapipeError) as error:
            raise ConfigError(f"{path}: cannot be read ({error})") from error
    elif path.endswith(_LINES):
        try:
            with storage.open_input(path) as raw:
                plain = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
                lines = io.TextIOWrapper(plain, "utf-8", newline="\n")
                yield from (line[: 20 * _SHOWN_CHARACTERS].rstrip("\n") for line in itertools.islice(lines, rows))
        except (zstandard.ZstdError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read ({error})") from error
    else:
        raise ConfigError(f"{path}: is none of .json, .arrow, .ipc, .parquet, .exchange, {_LINES}, which can be shown")


def read_table(path: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Returns the columns and the rows of a table of ours: of an exchange's file those of its parts, one after another.

    Raises:
        ArrowInvalid, OSError, DatapipeError: it cannot be read.
    """
    if path.endswith(".exchange"):
        _, counts = read_index(path)
        with storage.open_shard(path) as file, pa.ipc.open_stream(file) as reader:
            schema = reader.schema
        return schema, (batch for part in range(len(counts)) for batch in read_part(path, part, schema))
    with storage.open_shard(path) as file:
        schema = pq.read_schema(file) if path.endswith(".parquet") else pa.ipc.open_file(file).schema
    return schema, read_shard(path)


def _show_table(path: str, rows: int) -> Iterator[str]:
    schema, batches = read_table(path)
    if path.endswith(".exchange"):
        offsets, counts = read_index(path)
        size = f"{len(counts)} parts, {int(counts.sum())} rows, {int(offsets[-1]):,} bytes"
        yield f"{size}; rows of a part: {counts.tolist()}"
    for column in schema:
        meaning = (column.metadata or {}).get(b"meaning", b"").decode()
        yield f"{column.name}: {column.type}" + (f"  ({meaning})" if meaning else "")
    for key, value in (schema.metadata or {}).items():
        yield f"# {key.decode()}: {value.decode(errors='replace')[:_SHOWN_CHARACTERS]}"
    left = rows
    for batch in batches:
        for row in batch.slice(0, left).to_pylist():
            yield json.dumps(row, ensure_ascii=False, default=_readable)[: 20 * _SHOWN_CHARACTERS]
        left -= batch.num_rows
        if left <= 0:
            return


def _readable(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _sentence(row: dict[str, Any]) -> str:
    text = f"{row['action']} by {row['rule']}"
    if row["value"] is not None:
        text += f": value {row['value']:g}"
    if row["limit"] is not None:
        text += f", limit {row['limit']:g}"
    if row["other"] is not None:
        text += f", survivor {row['other'].hex()}"
    if row["similarity"] is not None:
        text += f", similarity {row['similarity']:.3f}"
    return text + (f"; {row['note'][:_SHOWN_CHARACTERS]!r}" if row["note"] else "")


def ledger_files(folder: str) -> list[str]:
    """Returns the parts of a run's ledger."""
    return [path for path in storage.list_folder(storage.join(folder, "ledger")) if path.endswith(".parquet")]


def quarantined(folder: str, at_most: int) -> Iterator[str]:
    """Yields what the first ledger rows of action quarantine say."""
    for row in itertools.islice(_set_aside(ledger_files(folder)), at_most):
        about = [row[name] for name in ("stage", "source", "url") if row[name]]
        yield f"{': '.join(about)}: {_sentence(row)}"


def _set_aside(files: Sequence[str]) -> Iterator[dict[str, Any]]:  # Any: Arrow's Python values
    for path in files:
        with storage.open_shard(path) as opened, pq.ParquetFile(opened) as file:
            for group in range(file.num_row_groups):
                actions = file.read_row_group(group, columns=["action"]).column(0)
                aside = pc.equal(actions, "quarantine")
                if pc.any(aside).as_py():
                    yield from file.read_row_group(group).filter(aside).to_pylist()
