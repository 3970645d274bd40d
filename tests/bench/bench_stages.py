"""CPU seconds of each stage over the crawl, and their ratio to a bare loop of the libraries, in one run.

    python tests/bench/bench_stages.py [--rounds N]

The bare loop is fastwarc's iterator and resiliparse's charset detection, parser and main-content extractor over the
same files: what no pipeline on these libraries can go below. Both run in this process; each figure is the least of the
rounds.
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

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from resiliparse.parse.html import HTMLTree

import datapipe

SHARED = Path(os.environ.get("DATAPIPE_SHARED", "../shared"))
STAGES = ("read", "ingest", "language", "quality")
TARGET = 1.35


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


def pipeline(files: str, folder: Path) -> dict[str, float]:
    """Returns CPU seconds by stage of ingest, language and quality in this process."""
    steps = [
        {"ingest": {"sources": {"crawl": {"path": files}}}},
        "language",
        "quality",
        {"tokenize": {"tokenizer": {"train": {"vocab_size": 512}}}},
        {"mix": {"seq_len": 2048}},
    ]
    datapipe.run({"name": "bench", "steps": steps}, out=folder, executor="local")
    measured: dict[str, float] = json.loads((folder / "work" / "run.json").read_text())["cpu_seconds"]
    return measured


def main() -> None:
    """Prints the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    rounds = options.parse_args().rounds
    pattern = str(SHARED / "data" / "crawl" / "*.warc.gz")
    files = sorted((SHARED / "data" / "crawl").glob("*.warc.gz"))
    bare, ours = [], []
    for _ in range(rounds + 1):  # the first compiles and warms caches
        folder = Path(tempfile.mkdtemp(prefix="datapipe-bench-"))
        gc.collect()
        bare.append(bare_loop(files))
        ours.append(pipeline(pattern, folder))
        shutil.rmtree(folder)
    seconds, pages = min(bare[1:])
    best = min(ours[1:], key=lambda item: sum(item.get(stage, 0.0) for stage in STAGES))
    total = sum(best.get(stage, 0.0) for stage in STAGES)
    print(f"bare fastwarc + resiliparse loop: {seconds:.2f} s CPU, {pages} pages")
    for stage, spent in best.items():
        print(f"  {stage:<10} {spent:8.2f} s CPU")
    print(f"{' + '.join(STAGES)}: {total:.2f} s CPU, {total / seconds:.2f} x the bare loop (at most {TARGET})")


if __name__ == "__main__":
    main()
