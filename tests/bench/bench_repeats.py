"""Long exact repeats of the corpora: what share of tokens is cut, at what speed, and what is written on the way.

    python tests/bench/bench_repeats.py [CORPUS ...] [--set whole=false] [--suffix-array]

Each corpus of ../shared/data/corpora (or $DATAPIPE_SHARED) by itself: ingested first (not measured), then the step
`dedup_repeats` on all documents and, in the second row, on those that `dedup` keeps; then all corpora together. In this
process, seconds of CPU. Spill are the bytes of what the step hands on to itself, as they are on disk, a byte of text.
With `--suffix-array` the suffix array of the same bytes by `pydivsufsort` stands beside (it must be installed): its
construction alone, without what then finds repeats in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("DATAPIPE_SHARED", ROOT.parent / "shared"))
sys.path.insert(0, str(ROOT))

from datapipe.dataset import Dataset  # noqa: E402 - after the path is set
from datapipe.graph import Pipeline  # noqa: E402
from datapipe.local import Local  # noqa: E402
from datapipe.plan import Planner  # noqa: E402
from datapipe.publish import Place  # noqa: E402
from datapipe.report import Report  # noqa: E402
from datapipe.run import run_pipeline  # noqa: E402
from datapipe.shard import read_shard  # noqa: E402
from datapipe.stage import Stage  # noqa: E402
from stages.dedup import Dedup  # noqa: E402
from stages.ingest import Ingest  # noqa: E402
from stages.repeats import DedupRepeats  # noqa: E402

NAME = "dedup_repeats"


def pipeline(files: Sequence[Path], stages: Sequence[tuple[str, Stage]]) -> Pipeline:
    """Returns the pipeline of an ingest and of stages behind it."""
    ingest = TypeAdapter(Ingest).validate_python(
        {"sources": {file.name.partition(".")[0]: {"path": str(file)} for file in files}}
    )
    made: list[tuple[str, Stage, Dataset]] = [("ingest", ingest, ingest.build())]
    for name, stage in stages:
        made.append((name, stage, stage.build(made[-1][2])))
    return Pipeline("repeats", tuple(made))


def run(files: Sequence[Path], folder: Path, stages: Sequence[tuple[str, Stage]]) -> tuple[Report, Planner, float]:
    """Runs stages on a corpus; returns what they did, and the CPU seconds of all that was not there before."""
    made, work = pipeline(files, stages), str(folder / "work")
    start = time.process_time()
    report = run_pipeline(made, Place(str(folder / f"out{len(stages)}-{stages[-1:]!s:.40}"), work), Local(), "0")
    return report, Planner(made, work, "0"), time.process_time() - start


def texts(planner: Planner, place: int) -> list[str]:
    """Returns the texts of the documents that a stage made."""
    _, _, made = planner.pipeline.stages[place]
    held: list[str] = []
    parents = made.op.parents if hasattr(made.op, "parents") else (made,)
    for part in parents:
        for shard in planner.shards_of(planner.step_of(part)):
            for batch in read_shard(f"{planner.work}/{shard.outputs['rows'].path}"):
                held += batch.column("text").to_pylist()
    return held


def spilled(planner: Planner) -> dict[str, int]:
    """Returns the bytes of the step's intermediates, by name; documents, ledger and signals are none."""
    found: dict[str, int] = {}
    steps = [step for step in planner.steps() if step.stage == NAME]
    for number, step in enumerate(steps):
        for shard in planner.shards_of(step):
            for name, made in shard.outputs.items():
                if ">" in name:  # what goes into an exchange
                    key = f"{number}.{name.partition('>')[0]}"
                    found[key] = found.get(key, 0) + made.bytes
    return found


def suffix_array_seconds(held: Sequence[str]) -> float:
    """Returns the CPU seconds that the suffix array of all texts takes."""
    from pydivsufsort import divsufsort

    data = np.frombuffer("\0".join(held).encode(), np.uint8).copy()
    start = time.process_time()
    divsufsort(data)
    return time.process_time() - start


def main() -> None:
    """Prints the tables."""
    asked = argparse.ArgumentParser()
    asked.add_argument("corpora", nargs="*")
    asked.add_argument("--set", action="append", default=[], help="field=value of the step")
    asked.add_argument("--suffix-array", action="store_true")
    asked.add_argument("--verbose", action="store_true", help="what each intermediate is, and the counters")
    given = asked.parse_args()
    fields: dict[str, Any] = dict(item.split("=", 1) for item in given.set)
    step = TypeAdapter(DedupRepeats).validate_python(fields)
    files = sorted((SHARED / "data/corpora").glob("*.jsonl.zst"))
    chosen = [file for file in files if not given.corpora or file.name.partition(".")[0] in given.corpora]
    print(f"{'corpus':26}{'documents':>10}{'MB':>7}{'repeated':>9}{'removed':>8}{'dropped':>8}{'MB/s':>7}{'spill':>6}")
    for group in [*([file] for file in chosen), *([chosen] if len(chosen) > 1 else [])]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            run(group, folder, [("dedup", Dedup())])  # and all kernels are loaded
            for before in ([], [("dedup", Dedup())]):
                report, planner, took = run(group, folder, [*before, (NAME, step)])
                said = next(stage for stage in report.stages if stage.stage == NAME)
                held = texts(planner, len(before))
                size = sum(len(text.encode()) for text in held)
                found = spilled(planner)
                name = " after dedup" if before else group[0].name.partition(".")[0] if len(group) == 1 else "all"
                shares = [
                    said.counts.get(f"{what}_tokens", 0) / said.counts["tokens"] for what in ("repeated", "removed")
                ]
                print(
                    f"{name:26}{said.documents_in:10,}{size / 1e6:7.1f}{shares[0]:9.1%}{shares[1]:8.1%}"
                    f"{said.dropped:8,}{size / 1e6 / took:7.1f}{sum(found.values()) / size:6.2f}",
                    flush=True,
                )
                if given.verbose:
                    print(found, said.counts)
                if given.suffix_array and not before:
                    print(f"{' suffix array alone':26}{size / 1e6 / suffix_array_seconds(held):49.1f}")


if __name__ == "__main__":
    main()
