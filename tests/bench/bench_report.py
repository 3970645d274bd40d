"""What a report costs beside its run: CPU seconds of both, in one process, as `datapipe run` makes it at its end.

    python tests/bench/bench_report.py [CONFIG]

The config (configs/zh_en.yaml) is run, then its report is made: what it counts, its sections and its page. Then the
same with all counted before, which is what the sections and the page alone take; and `datapipe report` in a process of
its own, which pays for its imports and for loading compiled kernels, as the run has done for the first.

The last line is what all counters take of a document, of 30 times the corpus with as many times the hosts: what grows
with a corpus, as the text that is looked at does not from 20,000 documents on.

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

import pyarrow as pa
import pyarrow.compute as pc

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
        documents = ran.stages[0].documents_in
        counted = microseconds(out)
    print(f"{ran.name}: {documents:,} documents, local executor; page of {size / 1e6:.2f} MB")
    print(f"{'':<32}{'CPU s':>8}{'of the run':>12}")
    for name, figure in figures.items():
        print(f"{name:<32}{figure:>8.2f}{figure / run:>12.2%}")
    print(f"all counters: {counted:.1f} us a document that stayed; the run: {run / documents * 1e6:,.0f} us a document")
    if made - run > MOST * run:
        sys.exit(f"the report takes more than {MOST:.0%} of the run")


def microseconds(out: str, times: int = 30) -> float:
    """Returns the CPU time that all counters take for a document that stayed (microseconds)."""
    from datapipe.testing import evaluate
    from stages.audit import parts
    from stages.audit.counter import Scan, Wide
    from stages.audit.published import INDEX, ROWS, grouped, published
    from stages.audit.stage import Counting

    counting = Counting(published(out), 0, None)
    frame = evaluate(counting.frames(grouped(counting.run.files(INDEX)))[0], rows_per_batch=ROWS).table
    host = frame.schema.get_field_index("host")
    tiles = [
        frame.set_column(host, "host", pc.binary_join_element_wise(f"h{number}", frame.column("host"), "."))
        for number in range(times)
    ]
    whole = pa.concat_tables(tiles).combine_chunks()
    counters = [one.counter if isinstance(one, Wide) else one for one in parts.counters() if not isinstance(one, Scan)]
    before = time.process_time()
    for start in range(0, len(whole), ROWS):
        for counter in counters:
            counter.count(whole.slice(start, ROWS), None)
    return (time.process_time() - before) / len(whole) * 1e6


def alone(out: str, place: str) -> float:
    """Returns the CPU seconds of `datapipe report` that finds nothing counted."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "datapipe", "report", out, "--out", place]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
