"""What `plan --estimate` says of a config, against what a run of it came to: predicted, measured, ratio of each figure.

    python tests/bench/bench_estimate.py [CONFIG] [--salts 0,1,2] [--run DIR] [--set KEY=VALUE]

Ends with status 1 where a figure is more than a quarter off. `--run` names the --out folder of a finished run with its
work folder; without it one is made first, in this process. Seconds are thread CPU time, which others on the machine
still slow down (shared caches and cores): measure both on a quiet one. Seconds of a stage count from half a second on,
bytes from 20 kB on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import datapipe
from datapipe.dataset import Dataset
from datapipe.estimate import Estimate, _documents, estimate
from datapipe.job import plan
from datapipe.plan import Planner
from datapipe.shard import read_shard, row_bytes

NEAR = 0.25
LEAST_SECONDS, LEAST_BYTES = 0.5, 20_000
Figure = tuple[str, float, float, bool]  # name, predicted, measured, whether it counts


def bytes_out(planner: Planner, made: Dataset) -> float:
    """Returns the bytes of the rows of a stage's documents."""
    total = 0
    for part in _documents(made):
        for shard in planner.shards_of(planner.step_of(part)):
            total += sum(int(row_bytes(b).sum()) for b in read_shard(f"{planner.work}/{shard.outputs['rows'].path}"))
    return float(total)


def spilled(planner: Planner) -> dict[str, float]:
    """Returns the bytes of intermediates by stage."""
    found: defaultdict[str, float] = defaultdict(float)
    for step in planner.steps():
        published = {f"{call}.{output.name}" for call, output in step.sides if output.publish}
        for shard in planner.shards_of(step):
            found[step.stage] += sum(made.bytes for name, made in shard.outputs.items() if name not in published)
    return found


def figures(said: Estimate, planner: Planner, out: Path, run: dict[str, dict[str, float]]) -> Iterator[Figure]:
    """Yields every figure of an estimate beside what was measured."""
    report = json.loads((out / "reports" / "report.json").read_text())
    stages = {stage["stage"]: stage for stage in report["stages"]}
    results = {name: made for name, _, made in planner.pipeline.stages}
    spill = spilled(planner)
    for stage in said.stages:
        name, passes = stage.stage, stage.documents_out > 0
        if passes:
            yield f"{name} documents in", stage.documents_in, stages[name]["documents_in"], True
            yield f"{name} documents out", stage.documents_out, stages[name]["documents_out"], True
            lost = stage.documents_in - stage.documents_out, float(stages[name]["dropped"])
            yield f"{name} documents dropped", *lost, False
            yield f"{name} bytes out", stage.row_bytes_out, bytes_out(planner, results[name]), True
        seconds = run["cpu_seconds"].get(name, 0.0)
        yield f"{name} CPU seconds", stage.cpu_seconds, seconds, seconds >= LEAST_SECONDS
        peaks = [peak for lane, peak in run["peak_worker_bytes"].items() if name in lane.split("+")]
        yield f"{name} memory", stage.memory_bytes, max(peaks, default=0), True
        yield f"{name} spill", stage.spill_bytes, spill[name], spill[name] >= LEAST_BYTES
    yield "read CPU seconds", said.read_seconds, run["cpu_seconds"]["read"], True
    yield "write CPU seconds", said.write_seconds, run["cpu_seconds"]["write"], True
    yield "all CPU seconds", said.cpu_seconds, sum(run["cpu_seconds"].values()), True
    yield "all spill", said.spill_bytes, sum(spill.values()), True
    yield "tasks", sum(wave.tasks for wave in said.waves), float(run["tasks"]), True  # type: ignore[arg-type]
    measured = {
        folder: sum(p.stat().st_size for p in (out / folder).iterdir() if p.is_file()) for folder in said.output_bytes
    }
    for folder, size in sorted(said.output_bytes.items()):
        yield f"output {folder}", size, float(measured[folder]), measured[folder] >= LEAST_BYTES
    yield "output in all", sum(said.output_bytes.values()), float(sum(measured.values())), True


def main() -> int:
    """Prints the table of each salt; returns the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("config", nargs="?", default="configs/zh_en.yaml")
    options.add_argument("--salts", default="0")
    options.add_argument("--run", type=Path)
    options.add_argument("--set", action="append", default=[], dest="settings")
    chosen = options.parse_args()
    place = Path(tempfile.mkdtemp(prefix="datapipe-bench-"))
    out = chosen.run or place / "run"
    try:
        if not chosen.run:
            datapipe.run(chosen.config, out=out, settings=chosen.settings, executor="local")
        run = json.loads((out / "work" / "run.json").read_text())
        done = plan(chosen.config, work=out / "work", settings=chosen.settings)
        off = 0
        for salt in [int(text) for text in chosen.salts.split(",")]:
            said = estimate(plan(chosen.config, work=place / "none", settings=chosen.settings), salt=salt)
            print(f"salt {salt}: {said.spent_seconds:.1f} s of CPU, {sum(run['cpu_seconds'].values()):.1f} s the run's")
            for name, predicted, measured, counts in figures(said, done, out, run):
                ratio = predicted / measured if measured else float("nan")
                wrong = counts and not abs(ratio - 1) <= NEAR
                off += wrong
                mark = "  off" if wrong else "" if counts else "  (not counted)"
                print(f"  {name:<28} {predicted:>16,.1f} {measured:>16,.1f} {ratio:>7.2f}{mark}")
        print(f"{off} figures are more than {NEAR:.0%} off")
        return int(off > 0)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    sys.exit(main())
