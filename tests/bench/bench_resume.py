"""Resuming: seconds to find that all but one of very many shards are finished, from a cold process.

    python tests/bench/bench_resume.py [SHARDS [s3]]

The records are put into a work folder through the engine's own functions: those that it packs into packs as a run
would, `done/` holding each as well. Then a process of its own plans the next wave, which is the one shard that is left.
Time is from the start of that process to the wave, imports and all. With `s3` the folder is in moto behind our proxy on
loopback, and what moto's process took of a core is said; filling it takes minutes. Exits with 1 where it takes longer
than 15 s, or 60 s on S3, of 100,000 shards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import psutil  # noqa: E402 - after the path is set
import tiny  # noqa: E402

from datapipe.plan import Planner  # noqa: E402
from datapipe.records import Records, record_path  # noqa: E402
from datapipe.storage import put_new  # noqa: E402
from datapipe.task import run_task  # noqa: E402

LIMIT_SECONDS = {"local": 15.0, "s3": 60.0}
AT_ONCE = 32
LOOSE = 200  # finished after the last pack


def fill(work: str, shards: int) -> float:
    """Makes shard 0 in a work folder, and records like its own of all others but the last; returns the seconds."""
    start = time.perf_counter()
    planner = Planner(tiny.pipeline(shards), work, "0")
    wave = planner.wave()
    assert wave is not None
    first = run_task(next(task for task in wave.tasks if task.segments[-1].number == 0)).shards[0]
    records = [replace(first, number=number) for number in range(1, shards - 1)]

    def put(number: int) -> None:
        put_new(record_path(work, first.step, number), records[number - 1].to_json())

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(put, range(1, shards - 1), chunksize=100):
            pass
    held = Records(work)
    held._shards[first.step], held._counts[first.step] = {}, {}
    for record in [first, *records[: -min(LOOSE, shards // 10)]]:
        held.finish(record)
    return time.perf_counter() - start


def resume(work: str, shards: int) -> None:
    """Plans the next wave and prints what it took, as JSON; runs in a process of its own."""
    begun = time.time()
    planner = Planner(tiny.pipeline(shards), work, "0")
    wave = planner.wave()
    assert wave is not None
    assert [segment.number for task in wave.tasks for segment in task.segments] == [shards - 1]
    peak = psutil.Process().memory_info().rss
    print(json.dumps({"planning": time.time() - begun, "cpu": time.process_time(), "memory": peak}))


def measure(work: str, shards: int, environment: Mapping[str, str]) -> dict[str, float]:
    """Returns what a cold process takes to plan the next wave."""
    command = [sys.executable, __file__, "resume", work, str(shards)]
    start = time.perf_counter()
    said = subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True, text=True).stdout
    return {"wall": time.perf_counter() - start, **json.loads(said)}


def show(place: str, found: Mapping[str, float], shards: int) -> bool:
    """Prints a line; returns whether it is within the bound, which grows with the number of shards."""
    limit = LIMIT_SECONDS[place] * max(1.0, shards / 100_000)
    print(
        f"{place:6} {shards:,} shards: {found['wall']:.1f} s in all, {found['planning']:.1f} s planning, "
        f"{found['cpu']:.1f} s of a core, {found['memory'] / 1e6:.0f} MB (at most {limit:.0f} s)"
    )
    return found["wall"] <= limit


def on_s3(shards: int) -> bool:
    """Measures on moto; returns whether it is within the bound."""
    from tests.store import serve

    with serve.start(buckets=("bucket",)) as store:
        os.environ.update(store.environment())
        work = "s3://bucket/work"
        print(f"filling S3 took {fill(work, shards):.0f} s", flush=True)
        server = psutil.Process(store._server.pid)
        before, store_before = sum(server.cpu_times()[:2]), store.counts()
        found = measure(work, shards, store.environment())
        spent = sum(server.cpu_times()[:2]) - before
        asked = store.counts()["requests"] - store_before["requests"]
        print(f"       {asked} requests; moto took {spent:.1f} s of a core for them")
        return show("s3", found, shards)


def main() -> int:
    """Fills a work folder, measures, and prints; returns 1 where a bound is broken."""
    if sys.argv[1:2] == ["resume"]:
        resume(sys.argv[2], int(sys.argv[3]))
        return 0
    shards = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    if sys.argv[2:3] == ["s3"]:
        return 0 if on_s3(shards) else 1
    with tempfile.TemporaryDirectory() as folder:
        print(f"filling took {fill(folder, shards):.0f} s", flush=True)
        return 0 if show("local", measure(folder, shards, {}), shards) else 1


if __name__ == "__main__":
    raise SystemExit(main())
