"""What comparing two corpora costs a document, where ids are the same and where every one of them is another.

Beside it stands what is asked of Arrow for a part of the answer: both indexes in memory, a full outer join by id (or by
URL, where ids are others), and their digests compared: the kinds of documents that stayed, without a ledger, a second
key, a cause or a bound of memory. Run: `python -m tests.bench.bench_compare [documents]`.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datapipe import ID, LEDGER
from stages.audit.compare.changes import compare
from tests.stages.audit.folders import publish

FILE_ROWS = 100_000
PARTS = 4
STAGES = ("ingest", "quality", "dedup", "write")


def ids(amount: int, salt: int) -> pa.Array:
    words = np.random.default_rng(salt).integers(0, 1 << 63, (amount, 2), np.uint64)
    return pa.FixedSizeBinaryArray.from_buffers(ID, amount, [None, pa.py_buffer(words.tobytes())])


def run(folder: Path, documents: int, *, salt: int, limit: float) -> Path:
    """Writes the folder of a run that keeps the documents whose value reaches a limit; another salt, other ids."""
    own, digests = ids(documents, salt), ids(documents, 7)
    value = np.random.default_rng(1).uniform(0, 1, documents)
    urls = pa.array([f"https://h{number % 997}.cn/{number}" for number in range(documents)])
    whole = pa.table(
        {
            "id": own,
            "source": pa.repeat("crawl", documents),
            "url": urls,
            "file": pa.repeat("a.warc.gz", documents),
            "language": pa.repeat("eng_Latn", documents),
            "quality": pa.array(value.astype(np.float32)),
            "bytes": pa.repeat(pa.scalar(3000, pa.int64()), documents),
            "tokens": pa.repeat(pa.scalar(700, pa.int32()), documents),
            "text_digest": digests,
        }
    )
    stayed = pa.array(value >= limit)
    kept, left = whole.filter(stayed), whole.filter(pc.invert(stayed))
    files = -(-len(kept) // FILE_ROWS)
    tables = {
        f"documents/part-{number:05}-of-{files:05}.parquet": kept.slice(number * FILE_ROWS, FILE_ROWS)
        for number in range(files)
    }
    said = {
        "stage": "quality",
        "action": "drop",
        "rule": "low",
        "value": pc.cast(left["quality"], pa.float64()),
        "limit": limit,
    }
    said |= {name: left[name] for name in ("id", "source", "url", "file", "language", "bytes")}
    columns = [
        given.cast(field.type)
        if isinstance(given, pa.ChunkedArray)
        else pa.repeat(pa.scalar(given, field.type), len(left))
        for field, given in ((field, said.get(field.name)) for field in LEDGER)
    ]
    ledger = pa.Table.from_arrays(columns, schema=LEDGER)
    word = np.frombuffer(ledger["id"].combine_chunks().buffers()[1], "<u8")[::2].copy()
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = (word ^ (word >> np.uint64(shift))) * np.uint64(factor)
    part = ((word ^ (word >> np.uint64(31))) >> np.uint64(32)) * np.uint64(PARTS) >> np.uint64(32)
    for number in range(PARTS):
        own_part = ledger.filter(pa.array(part == number)).sort_by("id")
        tables[f"ledger/part-{number:05}-of-{PARTS:05}.parquet"] = own_part
    publish(folder, tables, [stage(name, documents, len(left), len(kept)) for name in STAGES])
    return folder


def stage(name: str, given: int, left: int, kept: int) -> dict[str, Any]:
    dropped = left if name == "quality" else 0
    came, went = (given, given) if name == "ingest" else (given, kept) if name == "quality" else (kept, kept)
    counts = {"documents_in": came, "made": 0, "documents_out": went, "dropped": dropped}
    return {"stage": name, **counts, "rules": [], "counts": {}}


def joined(a: Path, b: Path, key: str) -> float:
    """Returns the CPU seconds of Arrow's join."""
    begun = time.process_time()
    one, two = (pq.read_table(folder / "documents", columns=[key, "text_digest", "quality"]) for folder in (a, b))
    two = two.append_column("there", pa.repeat(True, len(two)))
    both = one.append_column("here", pa.repeat(True, len(one))).join(
        two, key, join_type="full outer", right_suffix="_b"
    )
    pc.sum(pc.not_equal(both["text_digest"], both["text_digest_b"])).as_py()
    return time.process_time() - begun


def main(documents: int) -> None:
    print(f"{documents:,} documents a side; CPU seconds, and microseconds a document of both sides")
    with tempfile.TemporaryDirectory() as place:
        a = run(Path(place, "a"), documents, salt=2, limit=0.30)
        for name, salt, key in (("equal ids", 2, "id"), ("other ids, equal URLs", 3, "url")):
            b = run(Path(place, f"b{salt}"), documents, salt=salt, limit=0.31)
            begun = time.process_time()
            changes = compare(a, b, place=Path(place, f"made{salt}"), executor="local")
            took = time.process_time() - begun
            kinds = changes.counts.group_by("kind", use_threads=False).aggregate([("documents", "sum")]).to_pylist()
            arrow = joined(a, b, key)
            print(f"{name}: {took:.1f} s, {took / documents / 2 * 1e6:.1f} us; Arrow's join alone {arrow:.1f} s")
            print("  " + ", ".join(f"{row['kind']} {row['documents_sum']:,}" for row in kinds))
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)
