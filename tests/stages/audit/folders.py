"""Folders of runs made by hand or by a generator: for what reads them."""

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datapipe import ID, LEDGER, Dataset, Stage, part_of, storage
from datapipe.graph import Pipeline
from datapipe.local import Local
from datapipe.publish import Place
from datapipe.run import run_pipeline
from datapipe.shard import Writer
from stages.audit.places import install, places
from stages.audit.published import published

KEPT = pa.schema(
    [
        pa.field("id", ID),
        *(pa.field(name, pa.string()) for name in ("source", "url", "title", "host", "language", "text")),
        pa.field("quality", pa.float32()),
        pa.field("crawl_time", pa.int64()),
    ]
)
SIGNALS = pa.schema([pa.field("id", ID), pa.field("han_ratio", pa.float32())])


def key(number: int) -> bytes:
    """Returns an id."""
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def written(
    folder: Path,
    kept: Sequence[Mapping[str, Any]],
    ledger: Sequence[Mapping[str, Any]],
    *,
    signals: Sequence[Mapping[str, Any]] = (),
    rules: Mapping[str, Sequence[str]] = {},
    set_aside: int = 0,
    parts: int = 2,
) -> Path:
    """Returns the folder of a run that ended with documents (KEPT), and that of others left by `ledger` (LEDGER)."""
    tables = {"documents/part-00000-of-00001.parquet": pa.Table.from_pylist(list(kept), KEPT)}
    for number in range(parts):
        own = sorted((row for row in ledger if part_of(row["id"], parts) == number), key=lambda row: row["id"])
        tables[f"ledger/part-{number:05}-of-{parts:05}.parquet"] = pa.Table.from_pylist(own, LEDGER)
    if signals:
        rows = sorted(signals, key=lambda row: row["id"])
        tables["signals/part-00000-of-00001.parquet"] = pa.Table.from_pylist(rows, SIGNALS)
    stages = [
        {
            "stage": stage,
            "documents_in": 1,
            "made": 0,
            "documents_out": 1,
            "dropped": 0,
            "rules": [{"action": "drop", "rule": rule, "documents": 1} for rule in own],
            "counts": {},
        }
        for stage, own in rules.items()
    ]
    publish(folder, tables, stages, set_aside)
    return folder


def publish(folder: Path, tables: Mapping[str, pa.Table], stages: list[dict[str, Any]], set_aside: int = 0) -> None:
    """Writes tables as the engine does, a report and a claim."""
    for name, table in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        writer = Writer(str(folder / name), table.schema)
        for batch in table.to_batches():
            writer.write(batch)
        writer.close()
    (folder / "reports").mkdir()
    report = {"name": "made", "config_sha256": "", "code_version": "0", "sample": 1.0, "stages": stages}
    report |= {"set_aside": set_aside, "published": sorted(tables), "warnings": []}
    (folder / "reports/report.json").write_text(json.dumps(report))
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in tables}
    (folder / "reports/published.json").write_text(json.dumps({"files": digests}))


@dataclass(frozen=True, kw_only=True)
class PlacesAlone(Stage):
    """What the audit makes of places, and nothing else of it."""

    folder: str

    def build(self, *inputs: Dataset) -> Dataset:
        return places(published(self.folder))


def placed(folder: Path) -> Path:
    """Puts the index of places into the folder of a run; returns it."""
    stage = PlacesAlone(folder=str(folder))
    with tempfile.TemporaryDirectory() as made:
        pipeline = Pipeline("places", (("places", stage, stage.build()),))
        run_pipeline(pipeline, Place(f"{made}/out", f"{made}/work"), Local(), "0")
        install(f"{made}/out", str(folder))
    return folder


def generated(folder: Path, documents: int, *, dropped: float = 0.5, parts: int = 4) -> Path:
    """Returns the folder of a run of so many documents, of which that share left; URLs are `https://hN.cn/N`."""
    words = np.random.default_rng(0).integers(0, 1 << 63, (documents, 2), np.uint64)
    ids = pa.FixedSizeBinaryArray.from_buffers(ID, documents, [None, pa.py_buffer(words.tobytes())])
    urls = pa.array([f"https://h{number % 997}.cn/{number}" for number in range(documents)])
    left = int(documents * dropped)
    mixed = words[:left, 0]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    own = (((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)) * np.uint64(parts)) >> np.uint64(32)
    tables = {}
    for number in range(parts):
        rows = pa.array(np.flatnonzero(own == number))
        table = _ledger(ids.take(rows), urls.take(rows)).sort_by("id")
        tables[f"ledger/part-{number:05}-of-{parts:05}.parquet"] = table
    files = max(1, (documents - left) // 100_000)
    for number in range(files):
        rows = pa.array(np.arange(left, documents)[number::files])
        given = {"id": ids.take(rows), "url": urls.take(rows)}
        columns = [given.get(field.name, pa.nulls(len(rows), field.type)) for field in KEPT]
        table = pa.Table.from_arrays(columns, schema=KEPT)
        tables[f"documents/part-{number:05}-of-{files:05}.parquet"] = table
    publish(folder, tables, [])
    return folder


class Counting(io.RawIOBase):
    """A file that counts what is read of it."""

    def __init__(self, file: pa.NativeFile, reads: "Reads") -> None:
        super().__init__()
        self.file, self.reads = file, reads

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = 0) -> int:
        return int(self.file.seek(place, whence))

    def tell(self) -> int:
        return int(self.file.tell())

    def read(self, size: int = -1) -> bytes:
        content: bytes = self.file.read(size if size >= 0 else None)
        self.reads.bytes += len(content)
        self.reads.reads += 1
        return content


@dataclass
class Reads:
    """What was read: files opened, reads, bytes, and row groups."""

    files: int = 0
    reads: int = 0
    bytes: int = 0
    groups: int = 0


@contextmanager
def counting() -> Iterator[Reads]:
    """Counts what is read of published files, through `storage`, while it lasts."""
    reads = Reads()
    opened, group = storage.open_shard, pq.ParquetFile.read_row_group

    def open_shard(path: str) -> pa.PythonFile:
        reads.files += 1
        return pa.PythonFile(Counting(opened(path), reads), "r")

    def read_row_group(self: pq.ParquetFile, number: int, *given: Any, **how: Any) -> pa.Table:
        reads.groups += 1
        return group(self, number, *given, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "open_shard", open_shard)
        patch.setattr(pq.ParquetFile, "read_row_group", read_row_group)
        yield reads


def _ledger(ids: pa.Array, urls: pa.Array) -> pa.Table:
    given = {
        "id": ids,
        "url": urls,
        "stage": pa.array(["quality"] * len(ids)),
        "action": pa.array(["drop"] * len(ids)),
        "rule": pa.array(["zh_length"] * len(ids)),
    }
    return pa.Table.from_arrays([given.get(f.name, pa.nulls(len(ids), f.type)) for f in LEDGER], schema=LEDGER)
