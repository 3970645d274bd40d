"""Scale, as ratios of one run on this machine: two workers against one, ten times the data, and shards of nothing.

    python tests/bench/bench_scale.py [MEGABYTES]

The real pipeline (ingest, language, quality, dedup, tokenize, mix) runs on the documents of ../shared/data/corpora (or
$DATAPIPE_SHARED), each copy under an order of its words of its own: copies would find each other in dedup, and later
stages would see no more than before. A run is in a process of its own with a Ray of its own. Its seconds are from the
first wave to the last task: Ray is up, and each worker has loaded the kernels by a small run before.

- two workers: the time of one over that of two, MEGABYTES of text (32), at least 1.8
- ten times the data on two workers: the time at most 11 times, the peak of a worker's memory at most 1.1 times
- 3000 shards of one row: milliseconds a task on one worker, at most 5

Exits with 1 where a bound is broken. The machine must be idle: look at the load first.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("DATAPIPE_SHARED", ROOT.parent / "shared"))
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import tiny  # noqa: E402 - after the path is set
import zstandard  # noqa: E402

import datapipe  # noqa: E402
from datapipe.cluster.connect import connect  # noqa: E402
from datapipe.cluster.scheduler import RayExecutor  # noqa: E402
from datapipe.plan import Planner, Wave  # noqa: E402
from datapipe.publish import Place  # noqa: E402
from datapipe.run import Measured, Silent, run_waves  # noqa: E402
from datapipe.task import Outcome, Task  # noqa: E402

FILE_MEGABYTES = 4
TIMES = 10
SHARDS = 3000
UNIT = re.compile(r"[\u3400-\u9fff]|[^\s\u3000-\u303f\u3400-\u9fff\uff00-\uffef]+")
Found = dict[str, float]


def texts() -> Iterator[str]:
    """Yields the documents of the corpora, again and again, each time with other neighbours for each word."""
    files = sorted((SHARED / "data/corpora").glob("*.jsonl.zst"))
    draw = random.Random(11)
    while True:
        readers = [zstandard.open(file, "rt", encoding="utf-8") for file in files]
        while readers:
            for reader in list(readers):
                line = reader.readline()
                if line:
                    yield shuffled(json.loads(line)["text"], draw)
                else:
                    readers.remove(reader)


def shuffled(text: str, draw: random.Random) -> str:
    """Returns the text with the words, or Han characters, of each line in another order; all else stays in place."""
    lines = []
    for line in text.split("\n"):
        units = UNIT.findall(line)
        draw.shuffle(units)
        lines.append(UNIT.sub(lambda _, units=units: units.pop(), line))  # type: ignore[misc]
    return "\n".join(lines)


def write_corpus(folder: Path, megabytes: int) -> None:
    """Writes JSON lines, FILE_MEGABYTES of text a file."""
    folder.mkdir()
    documents = texts()
    for number in range(megabytes // FILE_MEGABYTES):
        left = FILE_MEGABYTES << 20
        with zstandard.open(folder / f"{number:04}.jsonl.zst", "wt", encoding="utf-8") as lines:
            while left > 0:
                text = next(documents)
                lines.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                left -= len(text.encode())


def config(folder: Path, tokenizer: str) -> dict[str, object]:
    """Returns the config of a run on that corpus, a shard a file."""
    model: object = tokenizer or {"train": {"vocab_size": 4096}}
    source = {"path": f"{folder}/*.jsonl.zst", "bytes_per_shard": 1 << 16}
    return {
        "name": folder.name,
        "steps": [
            {"ingest": {"sources": {"texts": source}}},
            {"language": {}},
            {"quality": {}},
            {"dedup": {}},
            {"tokenize": {"tokenizer": model}},
            {"mix": {"seq_len": 2048}},
        ],
    }


class Timed(Silent):
    """Hears when the first wave begins and when the last task is done."""

    def __init__(self) -> None:
        self.begun = self.ended = 0.0
        self.peak = self.tasks = 0
        self.cpu = 0.0

    def wave(self, wave: Wave) -> None:
        """Notes the first."""
        self.begun = self.begun or time.perf_counter()

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Notes the last, and the most memory that any took."""
        self.ended = time.perf_counter()
        self.peak = max(self.peak, outcome.peak_bytes)
        self.cpu += sum(outcome.cpu_seconds.values())
        self.tasks += 1

    def found(self) -> Found:
        """Returns what was noted: seconds, cpu (seconds), peak (bytes), tasks."""
        return {"seconds": self.ended - self.begun, "cpu": self.cpu, "peak": self.peak, "tasks": self.tasks}


def child(kind: str, folder: str, workers: int, tokenizer: str) -> Found:
    """Runs one pipeline on a Ray of so many workers and returns what was noted."""
    timed = Timed()
    with tempfile.TemporaryDirectory() as out:
        connect(None, workers)
        if kind == "tiny":
            for shards in (100, SHARDS):  # the first warms the workers
                timed = Timed()
                place = Place(f"{out}/{shards}", f"{out}/{shards}/work")
                planner = Planner(tiny.pipeline(shards), place.work, "0")
                run_waves(planner, place, RayExecutor(), timed, Measured())
        else:
            warm = config(Path(folder).parent / "warm", tokenizer)
            datapipe.run(warm, out=f"{out}/warm")
            datapipe.run(config(Path(folder), tokenizer), out=f"{out}/run", listener=timed)
    return timed.found()


def run(kind: str, folder: Path, workers: int, tokenizer: str = "") -> Found:
    """Runs `child` in a process of its own."""
    command = [sys.executable, __file__, "child", kind, str(folder), str(workers), tokenizer]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise SystemExit(made.stderr)
    found: Found = json.loads(made.stdout.splitlines()[-1])
    print(
        f"  {folder.name}, {workers} worker(s): {found['seconds']:.1f} s, {found['cpu']:.1f} s of a core, "
        f"{found['tasks']} tasks, peak {found['peak'] / 1e6:.0f} MB",
        flush=True,
    )
    return found


def trained(folder: Path) -> str:
    """Returns a tokenizer trained on the corpus in a run of this process: training is one task, and not measured."""
    datapipe.run(config(folder, ""), out=folder.parent / "trained", executor="local")
    return str(folder.parent / "trained/corpus/tokenizer.json")


def main() -> int:
    """Runs all, prints each ratio with its bound, and returns 1 where one is broken."""
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(child(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])))
        return 0
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 32
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        sizes = {"warm": 2 * FILE_MEGABYTES, "once": megabytes, "ten": TIMES * megabytes}
        for name, size in sizes.items():
            write_corpus(Path(folder, name), size)
        once, ten = Path(folder, "once"), Path(folder, "ten")
        tokenizer = trained(Path(folder, "warm"))
        one, two = run("real", once, 1, tokenizer), run("real", once, 2, tokenizer)
        more = run("real", ten, 2, tokenizer)
        nothing = run("tiny", Path("tiny"), 1)
    bounds = [
        ("time of one worker over that of two", one["seconds"] / two["seconds"], ">=", 1.8),
        ("time of ten times the data", more["seconds"] / two["seconds"], "<=", 11.0),
        ("memory of ten times the data", more["peak"] / two["peak"], "<=", 1.1),
        ("milliseconds a task that is nothing", 1e3 * nothing["seconds"] / nothing["tasks"], "<=", 5.0),
    ]
    broken = [value < bound if sign == ">=" else value > bound for _, value, sign, bound in bounds]
    for (name, value, sign, bound), bad in zip(bounds, broken, strict=True):
        print(f"{name:40}{value:8.2f}  {sign} {bound}{'  BROKEN' if bad else ''}")
    return int(any(broken))


if __name__ == "__main__":
    raise SystemExit(main())
