"""Components at scale: band keys of documents, made and not read, through grouping, stars and components.

    python tests/bench/bench_components.py [MILLION_DOCUMENTS [FOLDER]]

Documents stand for 1 kB of source files each, so shards are as many as in a corpus of that size. They have 18 bands. 15
of a hundred are copies: one chain of 100,000 (each band of one meets 64 neighbours, and bands overlap), the others in
clusters of 2 + Zipf(2.2) documents, in which a band agrees with a chance of .6. The engine runs it in a process of its
own on its local executor: at a tenth of the documents (twice: the first time loads and compiles), at all, and all
again with no memory for union-find, which finds the grouping done and contracts stars, half a million rows a shard.
Labels are compared: as many rows of the same digest.

Wall and CPU seconds, bytes on disk when it ends, and the peak of memory of a task (resident bytes of the process, all
that it has loaded included) are printed by what tasks do. Then the kernels alone against scipy, in CPU seconds. Exits
with 1 where ten times the documents take more than 11 times the CPU seconds, or more than 1.1 times the memory of a
task, that of union-find apart: it is 6 bytes a document that has an edge.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from datapipe import Dataset, InputFile, Output, Sized, Source, Stage, Work  # noqa: E402 - after the path is set
from datapipe.dataset import Batches  # noqa: E402
from datapipe.graph import Pipeline  # noqa: E402
from datapipe.local import Local  # noqa: E402
from datapipe.plan import Planner, Wave  # noqa: E402
from datapipe.publish import Place  # noqa: E402
from datapipe.run import Measured, Silent, run_waves  # noqa: E402
from datapipe.shard import read_shard  # noqa: E402
from datapipe.task import Outcome, Task  # noqa: E402
from stages.dedup import components  # noqa: E402
from stages.dedup.components import BUCKETS, EDGES, labels_of, stars  # noqa: E402
from stages.dedup.keys import BANDS, SHARD_BITS  # noqa: E402
from stages.dedup.union_find import Forest  # noqa: E402

BAND_COUNT = 18
AGREE = 0.6
COPIES = 0.15
CHAIN, LINK = 100_000, 64
DOCUMENT_BYTES = 1000
SHARD_DOCUMENTS = 250_000
BATCH_DOCUMENTS = 4096
UNION_FIND_BYTES = 2 << 30
CONTRACTED_ROWS = 1 << 19  # a shard of star contraction: few, for there to be several
UNION_FIND = "UnitedOrStarred"
NUMBERS = pa.schema([("document", pa.int64())])
Found = dict[str, Any]  # JSON


@dataclass(frozen=True, kw_only=True)
class Synthetic(Stage):
    """Band keys of so many documents to labels."""

    documents: int
    union_find_bytes: int

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns labels."""
        starts = range(0, self.documents, SHARD_DOCUMENTS)
        files = [InputFile(f"{start}", "", DOCUMENT_BYTES * SHARD_DOCUMENTS, "") for start in starts]
        numbers = Dataset(Source("made", read, tuple((file,) for file in files)), NUMBERS)
        grouped = numbers.map(Keys(documents=self.documents), schema=BANDS).exchange(
            "key", Sized(256 << 20), then=("gid",)
        )
        edges = grouped.map(stars, schema=EDGES, outputs=(Output("buckets", BUCKETS),))
        return labels_of(edges, edges.output("buckets"), self.union_find_bytes)


def read(files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
    """Yields the numbers of a shard's documents."""
    start = int(files[0].name)
    for first in range(start, start + SHARD_DOCUMENTS, BATCH_DOCUMENTS):
        last = min(first + BATCH_DOCUMENTS, start + SHARD_DOCUMENTS)
        yield pa.record_batch([pa.array(np.arange(first, last))], schema=NUMBERS)


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Makes the band keys of documents: a function of a document's number and of how many there are."""

    documents: int

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields a row for each band of each document."""
        ends = cluster_ends(self.documents)
        for batch in batches:
            numbers = batch.column("document").to_numpy()
            places = numbers * 7_368_787 % self.documents  # prime: every document has a place of its own
            clusters = np.searchsorted(ends, places, side="right")
            keys = np.empty((len(numbers), BAND_COUNT), np.uint64)
            make_keys(places, clusters, len(ends), keys)
            gids = (work.number << SHARD_BITS) | (numbers % SHARD_DOCUMENTS)
            yield pa.record_batch([pa.array(keys.ravel()), pa.array(np.repeat(gids, BAND_COUNT))], schema=BANDS)


@cache
def cluster_ends(documents: int) -> npt.NDArray[np.int64]:
    """Returns where the chain, and each cluster behind it, ends in the row of all documents."""
    sizes = 2 + np.minimum(np.random.default_rng(7).zipf(2.2, documents // 8), 10_000)
    ends = np.concatenate([[min(CHAIN, documents // 20)], sizes]).cumsum()
    return ends[ends <= COPIES * documents]


@njit(cache=True, nogil=True)
def make_keys(
    places: npt.NDArray[np.int64], clusters: npt.NDArray[np.int64], known: int, keys: npt.NDArray[np.uint64]
) -> None:
    """Writes the keys of documents: of a chain (cluster 0), of a cluster, or (from `known` on) its own."""
    for row in range(len(places)):
        for band in range(keys.shape[1]):
            own = mixed(places[row] * 64 + band, 1)
            kind, value = 1, own
            if clusters[row] == 0:
                kind, value = 2, np.uint64((places[row] + band * LINK // keys.shape[1]) // LINK * 64 + band)
            elif clusters[row] < known and own >> np.uint64(11) < np.uint64(AGREE * 2.0**53):
                kind, value = 3, np.uint64(clusters[row] * 64 + band)
            keys[row, band] = mixed(value, kind)


@njit(cache=True, nogil=True)
def mixed(value: int, seed: int) -> np.uint64:
    """Returns SplitMix64's finaliser of a number."""
    word = np.uint64(value) + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


class Timed(Silent):
    """Hears what tasks took, by the functions that they run."""

    def __init__(self) -> None:
        self.tasks: Counter[str] = Counter()
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self.wall: defaultdict[str, float] = defaultdict(float)
        self.peak: Counter[str] = Counter()
        self.last = time.perf_counter()

    def wave(self, wave: Wave) -> None:
        """Notes when it begins."""
        self.last = time.perf_counter()

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Takes a task in."""
        calls = [getattr(call.function, "func", call.function) for part in task.segments for call in part.calls]
        names = [getattr(call, "__name__", type(call).__name__) for call in calls]
        name = "+".join(name for name in names if name != "same")
        self.tasks[name] += 1
        self.cpu[name] += sum(outcome.cpu_seconds.values())
        self.peak[name] = max(self.peak[name], outcome.peak_bytes)
        now = time.perf_counter()
        self.wall[name] += now - self.last
        self.last = now


def child(documents: int, union_find_bytes: int, folder: str) -> Found:
    """Runs it and returns what was noted."""
    if not union_find_bytes:
        components.ROWS_A_SHARD = CONTRACTED_ROWS
    stage = Synthetic(documents=documents, union_find_bytes=union_find_bytes)
    pipeline = Pipeline("made", (("made", stage, stage.build()),))
    timed, place = Timed(), Place(folder, f"{folder}/work")
    os.makedirs(place.work, exist_ok=True)
    planner = Planner(pipeline, place.work, "0")
    started = time.process_time()
    run_waves(planner, place, Local(), timed, Measured())
    spent = time.process_time() - started
    step = planner.step_of(pipeline.result)
    rows, digest = labels_digest([f"{place.work}/{shard.outputs['rows'].path}" for shard in planner.shards_of(step)])
    sizes = [file.stat().st_size for file in Path(place.work).rglob("*") if file.is_file()]
    return {
        "tasks": timed.tasks,
        "cpu": timed.cpu,
        "wall": timed.wall,
        "peak": timed.peak,
        "spent": spent,
        "bytes": sum(sizes),
        "labels": [rows, digest],
        "counts": planner.records.counts(step.key)["made"],
    }


def labels_digest(paths: Sequence[str]) -> tuple[int, int]:
    """Returns how many labels there are, and a sum of their hashes that their order does not change."""
    rows = digest = 0
    for path in paths:
        for batch in read_shard(path):
            gids, roots = (batch.column(name).to_numpy().astype(np.uint64) for name in ("gid", "root"))
            words = (gids ^ (roots * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
            rows, digest = rows + len(gids), (digest + int((words ^ (words >> np.uint64(31))).sum())) % 2**64
    return rows, digest


def run(name: str, documents: int, union_find_bytes: int, folder: Path) -> Found:
    """Runs `child` in a process of its own and prints what it took."""
    command = [sys.executable, __file__, "child", str(documents), str(union_find_bytes), str(folder)]
    started = time.perf_counter()
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise SystemExit(made.stderr)
    found: Found = json.loads(made.stdout.splitlines()[-1])
    wall = time.perf_counter() - started
    print(f"\n{name}: {documents:,} documents, {wall:.1f} s of wall, {found['spent']:.1f} s of CPU, ", end="")
    print(f"{found['bytes'] / 1e9:.2f} GB in the work folder; {found['counts']}\n")
    print("| tasks do | tasks | wall s | CPU s | peak MB |\n|---|---|---|---|---|")
    for key in found["tasks"]:
        tasks, cpu, seconds, peak = (found[name][key] for name in ("tasks", "cpu", "wall", "peak"))
        print(f"| {key} | {tasks} | {seconds:.1f} | {cpu:.1f} | {peak / 1e6:.0f} |", flush=True)
    return found


def kernels(documents: int) -> None:
    """Prints CPU seconds of union-find alone and of scipy, on the same edges."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    draw = np.random.default_rng(3)
    gids = np.flatnonzero(draw.random(documents) < COPIES)
    high = np.arange(1, len(gids))
    low = (high * draw.random(len(high)) ** 0.2).astype(np.int64)
    kept = draw.random(len(high)) < 0.7
    low, high = low[kept], high[kept]
    ends = np.concatenate([gids[high], gids[low]]), np.concatenate([gids[low], gids[high]])
    order = np.lexsort(ends[::-1])
    nodes, others = (end[order] for end in ends)
    spent = []
    for _ in range(3):
        started = time.process_time()
        forest = Forest(len(gids))
        for first in range(0, len(nodes), 1 << 16):
            forest.add(nodes[first : first + (1 << 16)], others[first : first + (1 << 16)])
        ours = [np.concatenate(part) for part in zip(*forest.labels(), strict=True)]
        spent.append(time.process_time() - started)
    started = time.process_time()
    places, where = np.unique(np.concatenate([low, high]), return_inverse=True)
    matrix = coo_matrix((np.ones(len(low), np.int8), (where[: len(low)], where[len(low) :])))
    matrix.resize((len(places), len(places)))
    prepared = time.process_time()
    trees = connected_components(matrix, directed=False)[0]
    theirs = time.process_time() - prepared
    if not (gids[places] == ours[0]).all() or trees != forest.census()[1]:
        raise SystemExit("union-find and scipy differ")
    held = sum(array.itemsize for array in (forest.parents, forest.lows)) + forest.starts.nbytes / len(places)
    print(
        f"\n{len(low):,} edges of {len(places):,} documents: union-find {min(spent):.2f} s from sorted rows to labels"
    )
    print(f"(best of 3, {held:.2f} bytes a document); scipy {theirs:.2f} s, and {prepared - started:.2f} s to number")


def main() -> int:
    """Runs all, and returns 1 where a bound is broken."""
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(child(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
        return 0
    documents = int(float(sys.argv[1] if len(sys.argv) > 1 else 10) * 1e6)
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        run("warming", documents // 10, UNION_FIND_BYTES, Path(folder, "warm"))
        tenth = run("union-find", documents // 10, UNION_FIND_BYTES, Path(folder, "tenth"))
        whole = run("union-find", documents, UNION_FIND_BYTES, Path(folder, "whole"))
        forced = run("star contraction, on the same grouping", documents, 0, Path(folder, "whole"))
    kernels(documents)
    peaks = [max(size for key, size in found["peak"].items() if UNION_FIND not in key) for found in (tenth, whole)]
    bounds = [
        ("CPU seconds of ten times the documents", whole["spent"] / tenth["spent"], 11.0),
        ("memory of ten times the documents", peaks[1] / peaks[0], 1.1),
        ("labels of contraction that differ", float(forced["labels"] != whole["labels"]), 0.0),
    ]
    for name, value, bound in bounds:
        print(f"{name:45}{value:8.2f}  <= {bound}{'' if value <= bound else '  BROKEN'}")
    return int(any(value > bound for _, value, bound in bounds))


if __name__ == "__main__":
    raise SystemExit(main())
