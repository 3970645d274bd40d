"""The exchange: rows a second through scatter files and gathered parts, on two processes.

    python tests/bench/bench_exchange.py [MILLION_ROWS [ROUNDS]]

For each schema 16 shards of rows, in batches of 65,536 as a stage yields them, are scattered into 16 parts, and every
part is gathered and read to its end. Rows a second are all rows over the wall time of both phases, two processes at
work in each, page cache and local disk; the best and the worst round are shown. Exits with 1 where fixed-width rows
go slower than MILLIONS_A_SECOND in the best round.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import pyarrow as pa

from datapipe.exchange import MEMORY_BYTES, Routing, ScatterWriter, gather
from datapipe.sort import Budget

SHARDS = 16
PARTS = 16
BATCH_ROWS = 1 << 16
MILLIONS_A_SECOND = 5.0
ID = pa.binary(16)
SCHEMAS = {
    "key: uint64, gid: int64 (bands)": pa.schema([("key", pa.uint64()), ("gid", pa.int64())]),
    "key: uint64, id: binary(16)": pa.schema([("key", pa.uint64()), ("id", ID)]),
    "key: uint64, b: uint64, c: int32": pa.schema([("key", pa.uint64()), ("b", pa.uint64()), ("c", pa.int32())]),
    "id: binary(16), n: int64": pa.schema([("id", ID), ("n", pa.int64())]),
    "key: string, n: int64": pa.schema([("key", pa.string()), ("n", pa.int64())]),
}
FIXED = 4  # so many of them, from the first on, are of fixed width


def batches(schema: pa.Schema, shard: int, rows: int) -> list[pa.RecordBatch]:
    """Returns the rows of a shard: the first column random, of 64 bits, each value three times in all."""
    random = np.random.default_rng(shard)
    keys = random.integers(0, max(1, rows * SHARDS // 3), rows).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    made = []
    for start in range(0, rows, BATCH_ROWS):
        columns = [column(kind, keys[start : start + BATCH_ROWS], random) for kind in schema.types]
        columns[0] = column(schema.types[0], keys[start : start + BATCH_ROWS], None)
        made.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return made


def column(kind: pa.DataType, keys: np.ndarray, random: np.random.Generator | None) -> pa.Array:
    """Returns the keys, or random numbers, as values of that type."""
    values = keys if random is None else random.integers(0, 1 << 63, len(keys)).astype(np.uint64)
    if pa.types.is_fixed_size_binary(kind):
        doubled = np.stack([values, values * np.uint64(3)], axis=1)
        return pa.Array.from_buffers(kind, len(keys), [None, pa.py_buffer(doubled.tobytes())])
    if pa.types.is_string(kind):
        return pa.array([f"{value:016x}" for value in values.tolist()])
    return pa.array(values.astype(kind.to_pandas_dtype()) >> np.array(1).astype(kind.to_pandas_dtype()))


def scatter(shard: int, schema: pa.Schema, routing: Routing, rows: int, folder: str) -> tuple[str, float, int]:
    """Writes the scatter file of a shard; returns its path, the seconds without making the rows, and its bytes."""
    made = batches(schema, shard, rows)
    path = os.path.join(folder, f"{shard}.exchange")
    start = time.perf_counter()
    writer = ScatterWriter(path, schema, routing, folder, Budget(MEMORY_BYTES))
    for batch in made:
        writer.write(batch)
    writer.close()
    return path, time.perf_counter() - start, writer.file.size


def collect(part: int, paths: list[str], schema: pa.Schema, routing: Routing, folder: str) -> int:
    """Reads a part to its end; returns its rows."""
    return sum(batch.num_rows for batch in gather(paths, part, schema, routing.keys, folder, MEMORY_BYTES))


def measure(pool: Pool, schema: pa.Schema, rows: int) -> tuple[float, float, float]:
    """Returns the seconds of scattering and of gathering all shards with two processes, and bytes a row on disk."""
    routing = Routing(schema.names[0], (schema.names[1],), PARTS, direct=False)
    each = rows // SHARDS
    with tempfile.TemporaryDirectory() as folder:
        made = pool.map(partial(scatter, schema=schema, routing=routing, rows=each, folder=folder), range(SHARDS), 1)
        paths = [path for path, _, _ in made]
        start = time.perf_counter()
        work = partial(collect, paths=paths, schema=schema, routing=routing, folder=folder)
        if sum(pool.map(work, range(PARTS), 1)) != each * SHARDS:
            raise SystemExit("rows were lost")
        gathered = time.perf_counter() - start
    return sum(seconds for _, seconds, _ in made) / 2, gathered, sum(size for _, _, size in made) / rows


def main() -> int:
    """Prints the table; returns 1 where a bound is broken."""
    rows = int(float(sys.argv[1] if len(sys.argv) > 1 else 20) * 1e6)
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    slow = []
    print(f"{rows / 1e6:.0f} million rows; million rows a second of two processes")
    print(f"{'':36}{'scatter':>9}{'gather':>9}{'both':>9}{'worst':>9}{'bytes/row':>11}")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        measure(pool, SCHEMAS["key: string, n: int64"], 100_000)  # loads the kernel in both
        for number, (name, schema) in enumerate(SCHEMAS.items()):
            size = rows if number < FIXED else rows // 4
            found = [measure(pool, schema, size) for _ in range(rounds)]
            out, back, width = min(found, key=lambda one: one[0] + one[1])
            worst = max(one[0] + one[1] for one in found)
            rates = [size / 1e6 / seconds for seconds in (out, back, out + back, worst)]
            print(f"{name:36}" + "".join(f"{rate:9.2f}" for rate in rates) + f"{width:11.1f}", flush=True)
            slow += [name] if number < FIXED and rates[2] < MILLIONS_A_SECOND else []
    for name in slow:
        print(f"slower than {MILLIONS_A_SECOND} million rows a second: {name}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    raise SystemExit(main())
