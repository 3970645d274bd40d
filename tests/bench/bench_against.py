"""A new snapshot against earlier keys: CPU, memory and spill by the number of earlier documents.

    python tests/bench/bench_against.py [EARLIER ...]

The keys of earlier documents are made (18 random bands each, files of 250,000), the new documents are the poems of
../shared/data/corpora (or of $DATAPIPE_SHARED). Each number of earlier ones runs in a process of its own, without and
with `against`, in this process of datapipe and after a run that loads and compiles.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import datapipe
from stages.dedup import Dedup
from stages.dedup.keys import hash_column, list_column

FILE_ROWS = 250_000
NEW = Path(os.environ.get("DATAPIPE_SHARED", Path(__file__).parents[2] / "../shared"))
SOURCE = str(NEW.resolve() / "data/corpora/chinese-poetry.jsonl.zst")


def main() -> None:
    """Prints the table."""
    if sys.argv[1:2] == ["--one"]:
        print(measured(int(sys.argv[2])))
        return
    print(f"{'earlier documents':>18}{'keys, MB':>10}{'CPU, s':>9}{'without':>9}{'peak, MB':>10}{'work/, MB':>11}")
    for amount in sys.argv[1:] or ["250000", "1000000", "3000000"]:
        subprocess.run([sys.executable, __file__, "--one", amount], check=True)


def measured(amount: int) -> str:
    """Returns a line of the table."""
    folder = Path(tempfile.mkdtemp(prefix="bench-against-"))
    try:
        make_keys(folder / "keys", amount)
        seconds = {}
        for name, earlier in (("warm", []), ("without", []), ("against", [str(folder)])):
            fields = {"guard": None, "audit": 0, "against": earlier}
            steps = [{"ingest": {"sources": {"poems": {"path": SOURCE}}}}, {"dedup": fields}]
            start = time.process_time()
            datapipe.run({"name": "bench", "steps": steps}, out=folder / name, executor="local")
            seconds[name] = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sizes = size_of(folder / "keys"), size_of(folder / "against/work")
        spent = f"{seconds['against']:>9.1f}{seconds['without']:>9.1f}{peak:>10,.0f}"
        return f"{amount:>18,}{sizes[0]:>10,.0f}{spent}{sizes[1]:>11,.0f}"
    finally:
        shutil.rmtree(folder)


def make_keys(folder: Path, amount: int) -> None:
    """Writes keys as a run with the defaults publishes them, of documents that are nobody's copies."""
    folder.mkdir()
    draw, schema = np.random.default_rng(0), Dedup()._sign().keys_schema()
    for number, start in enumerate(range(0, amount, FILE_ROWS)):
        rows = min(FILE_ROWS, amount - start)
        words = draw.integers(0, 2**63, (rows, 22)).astype(np.uint64)
        short = np.zeros(rows, np.bool_)
        columns = [hash_column(words[:, :2]), hash_column(words[:, 2:4]), list_column(words[:, 4:], short)]
        pq.write_table(pa.table(columns, schema=schema), folder / f"part-{number:05}.parquet", compression="zstd")


def size_of(folder: Path) -> float:
    """Returns the size of all files in a folder (MB)."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
