"""Recall of planted benchmark items, hits on text that holds none on purpose, and speed.

    python tests/bench/bench_decontaminate.py

Every item of the benchmarks is planted in a Chinese paragraph: its question with its choices, and its question alone.
Hits on the corpora are shown with the share of documents, and samples to judge them by: statutes and classics that an
examination quotes are true overlaps.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import zstandard

from stages.decontaminate import Benchmark, Decontaminate
from stages.decontaminate.items import item_of, rows_of
from stages.decontaminate.stage import Decontaminated

DATA = Path(os.environ.get("DATAPIPE_SHARED", "../shared")) / "data"
PATHS = {
    "gsm8k": "gsm8k/**/test.jsonl",
    "humaneval": "human-eval/data/HumanEval.jsonl.gz",
    "mmlu": "mmlu/data/mmlu/test/*.csv",
    "gaokao": "gaokao/Data/*/*.json",
}
PARAGRAPH = "渡口的早晨总是很安静。撑船的老人把缆绳绕在木桩上，抬头看看天色，又低头去擦船板上的露水。"
SAMPLES = 3


def texts_of(path: Path) -> list[str]:
    """Returns the texts of a corpus."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        return [json.loads(line)["text"] for line in reader.read().splitlines()]


def recall(how: Decontaminated) -> None:
    """Prints how many planted items are found."""
    fields = dict(how.fields)
    print(f"{'benchmark':<12}{'items':>8}{'found':>9}{'question alone':>16}")
    for name in PATHS:
        rows = [row for one, file, content in how.files if one == name for _, row in rows_of(content, file)]
        items = [item for row in rows if (item := item_of("", row, fields[name])) is not None]
        shares = []
        for texts in ([item.joined[-1] for item in items], [item.alone[0] for item in items]):
            planted = pa.array([PARAGRAPH + text + PARAGRAPH for text in texts], pa.large_string())
            shares.append(len(how.overlaps(planted)) / len(items))
        print(f"{name:<12}{len(items):>8}{shares[0]:>9.2%}{shares[1]:>16.2%}")


def false_hits(how: Decontaminated) -> None:
    """Prints which documents of the corpora hold items."""
    known = how.searched()
    for path in sorted((DATA / "corpora").glob("*.jsonl.zst")):
        texts = pa.array(texts_of(path), pa.large_string())
        start = time.process_time()
        found = how.overlaps(texts)
        speed = texts.nbytes / 1e6 / (time.process_time() - start)
        which = Counter(known.benchmarks[one.item] for overlaps in found.values() for one in overlaps)
        print(f"{path.name:<36}{len(texts):>6} documents, {len(found)} hit {dict(which)}, {speed:.0f} MB/s of CPU")
        for row in sorted(found)[:SAMPLES]:
            start_byte, end_byte = found[row][0].spans[0]
            sample = texts[row].as_py().encode()[start_byte:end_byte].decode()[:60]
            print(f"    {known.names[found[row][0].item]}: {sample!r}")


def main() -> None:
    """Prints both tables."""
    benchmarks = {name: Benchmark(path=str(DATA / "benchmarks" / path)) for name, path in PATHS.items()}
    how = Decontaminate(benchmarks=benchmarks).search()
    start = time.process_time()
    known = how.searched()
    print(f"{len(known.names)} items, {len(known.bounds) - 1} keys, made in {time.process_time() - start:.1f} s of CPU")
    recall(how)
    false_hits(how)


if __name__ == "__main__":
    main()
