"""CPU seconds of each stage over the crawl, and their ratio to a bare loop of the libraries, in one run.

    python tests/bench/bench_stages.py [--rounds N]

The bare loop is fastwarc's iterator and resiliparse's charset detection, parser and main-content extractor over the
same files: what no pipeline on these libraries can go below. Beside it stand the pipeline with everything that looks
at text before deduplication, and the one without formats, safety and PII. All run in this process, one after the
other in each round; each figure is the least of the rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from resiliparse.parse.html import HTMLTree

import datapipe

SHARED = Path(os.environ.get("DATAPIPE_SHARED", "../shared"))
LEAN: list[str | dict[str, Any]] = ["language", "quality"]
EVERYTHING: list[str | dict[str, Any]] = [
    "repair",
    "language",
    "format",
    {"classify": {"name": "quality", "model": "quality", "positive": "good"}},
    "safety",
    {"quality": {"also": ["safety"]}},
    "pii",
]
CASES = {"everything": (EVERYTHING, 1.6), "without safety, PII and format": (LEAN, 1.35)}


def bare_loop(files: list[Path]) -> tuple[float, int]:
    """Returns (CPU seconds, pages) of the libraries alone."""
    start, pages = time.process_time(), 0
    for path in files:
        for record in ArchiveIterator(str(path), record_types=WarcRecordType.response, parse_http=True):
            if record.http_content_type != "text/html":
                continue
            html = record.reader.read()
            tree = HTMLTree.parse_from_bytes(html, detect_encoding(html))
            extract_plain_text(tree, main_content=True)
            pages += 1
    return time.process_time() - start, pages


def pipeline(files: str, steps: list[str | dict[str, Any]]) -> dict[str, float]:
    """Returns CPU seconds by stage, of reading and of `steps`, in this process."""
    folder = Path(tempfile.mkdtemp(prefix="datapipe-bench-"))
    ingest = {"ingest": {"sources": {"crawl": {"path": files}}}}
    rest: list[str | dict[str, Any]] = [
        {"tokenize": {"tokenizer": {"train": {"vocab_size": 512}}}},
        {"mix": {"seq_len": 2048}},
    ]
    datapipe.run({"name": "bench", "steps": [ingest, *steps, *rest]}, out=folder, executor="local")
    measured: dict[str, float] = json.loads((folder / "work" / "run.json").read_text())["cpu_seconds"]
    shutil.rmtree(folder)
    names = ["read", "ingest", *(step if isinstance(step, str) else next(iter(step)) for step in steps)]
    return {name: measured.get(name, 0.0) for name in names}


def main() -> None:
    """Prints the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    rounds = options.parse_args().rounds
    pattern = str(SHARED / "data" / "crawl" / "*.warc.gz")
    files = sorted((SHARED / "data" / "crawl").glob("*.warc.gz"))
    bare: list[tuple[float, int]] = []
    ours: dict[str, list[dict[str, float]]] = {name: [] for name in CASES}
    for _ in range(rounds + 1):  # the first compiles and warms caches
        gc.collect()
        bare.append(bare_loop(files))
        for name, (steps, _) in CASES.items():
            gc.collect()
            ours[name].append(pipeline(pattern, steps))
    seconds, pages = min(bare[1:])
    print(f"bare fastwarc + resiliparse loop: {seconds:.2f} s CPU, {pages} pages")
    for name, (_, most) in CASES.items():
        best = min(ours[name][1:], key=lambda item: sum(item.values()))
        print(f"{name}:")
        for stage, spent in best.items():
            print(f"  {stage:<10} {spent:8.2f} s CPU")
        total = sum(best.values())
        print(f"  {'together':<10} {total:8.2f} s CPU, {total / seconds:.2f} x the bare loop (at most {most})")


if __name__ == "__main__":
    main()
