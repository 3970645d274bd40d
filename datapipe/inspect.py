"""Looking at what a run left: any file of ours readably, what was set aside, and whether all is whole."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from datapipe import storage
from datapipe.errors import ConfigError, DatapipeError
from datapipe.exchange import read_index, read_part
from datapipe.publish import CLAIM, MANIFEST, corpus_files
from datapipe.report import Report
from datapipe.shard import read_shard

CHECKS = "datapipe.checks"
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
    elif ending in (".arrow", ".ipc", ".parquet", ".exchange"):
        try:
            yield from _show_table(path, ending, rows)
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


def _show_table(path: str, ending: str, rows: int) -> Iterator[str]:
    if ending == ".exchange":
        offsets, counts = read_index(path)
        size = f"{len(counts)} parts, {int(counts.sum())} rows, {int(offsets[-1]):,} bytes"
        yield f"{size}; rows of a part: {counts.tolist()}"
        with storage.open_shard(path) as file, pa.ipc.open_stream(file) as reader:
            schema = reader.schema
        batches: Iterator[pa.RecordBatch] = (
            batch for part in range(len(counts)) for batch in read_part(path, part, schema)
        )
    else:
        with storage.open_shard(path) as file:
            schema = pq.read_schema(file) if ending == ".parquet" else pa.ipc.open_file(file).schema
        batches = read_shard(path)
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


def _ledger(folder: str) -> list[str]:
    return [path for path in storage.list_folder(storage.join(folder, "ledger")) if path.endswith(".parquet")]


def quarantined(folder: str, at_most: int) -> Iterator[str]:
    """Yields what the first ledger rows of action quarantine say."""
    for row in itertools.islice(_set_aside(_ledger(folder)), at_most):
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


def verify(folder: str) -> Iterator[str]:
    """Yields every fault found: a published file that is gone or changed, a sum that does not add up.

    What a stage promises of its files is checked by the functions of entry point group `datapipe.checks`: each takes
    the folder and yields sentences.

    Raises:
        ConfigError: the folder holds no finished run.
    """
    report = load_report(folder)
    claim = json.loads(storage.read_bytes(storage.join(folder, CLAIM)))
    for name in corpus_files(claim) or [MANIFEST]:
        if not storage.exists(storage.join(folder, name)):
            yield f"{name}: is gone, so this is no corpus"
    for name, digest in sorted({**claim["files"], **claim.get("recipe", {})}.items()):
        path = storage.join(folder, name)
        if not storage.exists(path):
            yield f"{name}: is gone"
        elif storage.sha256_of(path) != digest:
            yield f"{name}: has changed since it was published (SHA-256 was {digest[:12]}…)"
    yield from _sums(report, folder)
    for point in sorted(entry_points(group=CHECKS), key=lambda point: point.name):
        yield from point.load()(folder)


def _sums(report: Report, folder: str) -> Iterator[str]:
    for stage in report.stages:
        if stage.documents_in + stage.made != stage.documents_out + stage.dropped:
            sums = f"{stage.documents_in} + {stage.made} is not {stage.documents_out} + {stage.dropped}"
            yield f"report: stage {stage.stage}: {sums}"
    counted: Counter[tuple[str, str, str]] = Counter()
    for path in _ledger(folder):
        with storage.open_shard(path) as opened, pq.ParquetFile(opened) as file:
            for batch in file.iter_batches(columns=["stage", "action", "rule"]):
                counted.update(tuple(row.values()) for row in batch.to_pylist())
    for stage in report.stages:
        for rule in stage.rules:
            rows = counted.get((stage.stage, rule.action, rule.rule), 0)
            if rows != rule.documents:
                said = f"{rule.action} by {rule.rule} in {stage.stage}"
                yield f"ledger: {rows} rows say {said}, the report says {rule.documents}"
