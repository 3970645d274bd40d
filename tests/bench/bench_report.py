"""What a report costs beside its run: CPU seconds of both, children included, in one run on one machine.

    python tests/bench/bench_report.py [CONFIG] [--report-only DIR]

The config (configs/zh_en.yaml) is run without a report in a process of its own, then `datapipe report` in another, and
again with all counted before (what the page alone costs). Each process pays for its imports and for loading compiled
kernels. The last figure is of a report at the end of the run, whose imports and kernels the run has paid for: CPU of
`datapipe run` over the same with --no-report, from what it counts of its own process.

Exits with 1 where a report of its own process takes more than 5 % of the run's CPU.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST = 0.05


def main() -> None:
    """Prints the table."""
    options = argparse.ArgumentParser()
    options.add_argument("config", nargs="?", default=str(ROOT / "configs" / "zh_en.yaml"))
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        out = f"{place}/out"
        run = seconds("run", chosen.config, "--out", out, "--executor", "local", "--no-report")
        figures = {
            "datapipe run --no-report": run,
            "datapipe report": seconds("report", out),
            "datapipe report, all counted before": seconds("report", out),
            "datapipe run of a finished run (start alone)": seconds(
                "run", chosen.config, "--out", out, "--executor", "local", "--no-report"
            ),
        }
        documents = sum(path.stat().st_size for path in Path(out, "reports").glob("*.html"))
    print(f"{Path(chosen.config).name}, local executor; page of {documents / 1e6:.2f} MB")
    print(f"{'':<48}{'CPU s':>8}{'of the run':>12}")
    for name, figure in figures.items():
        print(f"{name:<48}{figure:>8.2f}{figure / run:>12.2%}")
    if figures["datapipe report"] > MOST * run:
        sys.exit(f"a report takes more than {MOST:.0%} of its run")


def seconds(*words: str) -> float:
    """Returns the CPU seconds of a command, its children's too; the second time, with kernels compiled."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {"DATAPIPE_SHARED": str(ROOT.parent / "shared"), **os.environ}
    subprocess.run(
        [sys.executable, "-m", "datapipe", *words],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
