"""What a report costs beside its run: CPU seconds of both, in one process, as `datapipe run` makes it at its end.

    python tests/bench/bench_report.py [CONFIG]

The config (configs/zh_en.yaml) is run, then its report is made: what it counts, its sections and its page. Then the
same with all counted before, which is what the sections and the page alone take; and `datapipe report` in a process of
its own, which pays for its imports and for loading compiled kernels, as the run has done for the first.

Exits with 1 where the report takes more than 5 % of the run's CPU.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST = 0.05


def main() -> None:
    """Prints the table."""
    options = argparse.ArgumentParser()
    options.add_argument("config", nargs="?", default=str(ROOT / "configs" / "zh_en.yaml"))
    chosen = options.parse_args()
    os.chdir(ROOT)
    os.environ.setdefault("DATAPIPE_SHARED", str(ROOT.parent / "shared"))
    with tempfile.TemporaryDirectory() as place:
        out = f"{place}/out"
        import datapipe

        ran = datapipe.run(chosen.config, out=out, executor="local")
        run = time.process_time()
        from stages.audit.command import make

        make(out, out, executor="local")
        made = time.process_time()
        make(out, out, executor="local")
        again = time.process_time()
        size = Path(out, "reports", "report.html").stat().st_size
        figures = {
            "run": run,
            "report at its end": made - run,
            "report, all counted before": again - made,
            "report in a process of its own": alone(out, f"{place}/other"),
        }
    print(f"{ran.name}: {ran.stages[0].documents_in:,} documents, local executor; page of {size / 1e6:.2f} MB")
    print(f"{'':<32}{'CPU s':>8}{'of the run':>12}")
    for name, figure in figures.items():
        print(f"{name:<32}{figure:>8.2f}{figure / run:>12.2%}")
    if made - run > MOST * run:
        sys.exit(f"the report takes more than {MOST:.0%} of the run")


def alone(out: str, place: str) -> float:
    """Returns the CPU seconds of `datapipe report` that finds nothing counted."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "datapipe", "report", out, "--out", place]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
