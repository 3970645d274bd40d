"""Exchanges for test_memory.py, run where memory is limited.

python memory_cases.py CASE FOLDER MEGABYTES MEMORY_MEGABYTES    of rows, and that the exchange is given
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from datapipe.exchange import Routing, ScatterWriter, gather
from datapipe.sort import Budget

SCHEMA = pa.schema([("key", pa.uint64()), ("tie", pa.int64()), ("text", pa.binary())])
PRODUCERS = 4


def one_key(folder: Path, megabytes: int, memory_bytes: int) -> None:
    """Sends rows of 2 kB, all under one key, through an exchange."""
    exchange(folder, megabytes, memory_bytes, row_bytes=2 << 10, keys=1)


def wide_rows(folder: Path, megabytes: int, memory_bytes: int) -> None:
    """Sends rows of 2 MB through an exchange."""
    exchange(folder, megabytes, memory_bytes, row_bytes=2 << 20, keys=1 << 30)


def exchange(folder: Path, megabytes: int, memory_bytes: int, *, row_bytes: int, keys: int) -> None:
    """Scatters so many megabytes from some producers to one part; checks order and number of what is gathered."""
    routing = Routing("key", ("tie",), 1, direct=False)
    paths = []
    for number in range(PRODUCERS):
        path = str(folder / f"{number}.exchange")
        writer = ScatterWriter(path, SCHEMA, routing, str(folder), Budget(memory_bytes))
        for batch in rows(number, megabytes // PRODUCERS, row_bytes, keys):
            writer.write(batch)
        writer.close()
        paths.append(path)
    seen, last = 0, (0, -1)
    for batch in gather(paths, 0, SCHEMA, routing.keys, str(folder), memory_bytes):
        pairs = list(zip(batch.column("key").to_pylist(), batch.column("tie").to_pylist(), strict=True))
        if [last, *pairs] != sorted([last, *pairs]):
            raise SystemExit("rows are out of order")
        seen, last = seen + batch.num_rows, pairs[-1]
    if seen != PRODUCERS * (megabytes // PRODUCERS << 20) // row_bytes:
        raise SystemExit(f"{seen} rows came back")


def rows(number: int, megabytes: int, row_bytes: int, keys: int) -> Iterator[pa.RecordBatch]:
    """Yields rows of random bytes, 4 MB a batch."""
    random = np.random.default_rng(number)
    count = (4 << 20) // row_bytes
    for _ in range(megabytes // 4):
        texts = pa.array([random.bytes(row_bytes) for _ in range(count)], pa.binary())
        numbers = [random.integers(0, limit, count) for limit in (keys, 1 << 40)]
        columns = [pa.array(numbers[0].astype(np.uint64)), pa.array(numbers[1]), texts]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


CASES = {case.__name__: case for case in (one_key, wide_rows)}

if __name__ == "__main__":
    CASES[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) << 20)
