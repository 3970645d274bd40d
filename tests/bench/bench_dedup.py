"""Text to 128 permutations: our kernels against datasketch 2, the same text in the same run.

    python tests/bench/bench_dedup.py [MEGABYTES]

Prints MB of UTF-8 a CPU second and the ratio, for the documents of ../shared/data/corpora (or $DATAPIPE_SHARED), by
script. datasketch is given Python's fastest route there: a regular expression for tokens, joined 5-grams as a set, one
`update_batch`. It reads a twentieth of the text, as it would take minutes otherwise.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import datasketch
import pyarrow as pa
import zstandard

from stages.dedup.fold import fold_table, load
from stages.dedup.signature import permutations, sign

TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
HAN = re.compile(r"[\u4e00-\u9fff]")
ROUNDS = 5


def texts(megabytes: float) -> Iterator[str]:
    """Yields documents of all corpora in turn, until there are so many MB of them."""
    root = Path(os.environ.get("DATAPIPE_SHARED", Path(__file__).parents[2] / "../shared"))
    files = sorted((root / "data/corpora").glob("*.jsonl.zst"))
    for file in files:
        left = megabytes * 1e6 / len(files)
        with file.open("rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8"):
                text = json.loads(line)["text"]
                yield text
                left -= len(text.encode())
                if left < 0:
                    break


def theirs(chosen: list[str]) -> None:
    """Signs texts with datasketch."""
    for text in chosen:
        view = TOKEN.findall(text.lower())
        shingles = {" ".join(view[start : start + 5]).encode() for start in range(len(view) - 4)}
        signature = datasketch.MinHash(128, scheme="affine32")
        if shingles:
            signature.update_batch(list(shingles))


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Returns the CPU seconds of the fastest of some rounds."""
    took = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return min(took)


def main() -> None:
    """Prints the table."""
    corpus = list(texts(float(sys.argv[1]) if len(sys.argv) > 1 else 40))
    is_han = [len(HAN.findall(text[:2000])) > 200 for text in corpus]
    fold, drawn = load(fold_table()), permutations(128, 1)
    sign(pa.array(corpus[:1]), fold, drawn, width=5)
    print(f"{'':10}{'MB':>8}{'ours MB/s':>12}{'datasketch':>12}{'ratio':>8}")
    for name, wanted in (("spaced", [False]), ("Han", [True]), ("all", [False, True])):
        chosen = [text for text, han in zip(corpus, is_han, strict=True) if han in wanted]
        array, part = pa.array(chosen), chosen[::20]
        size, part_size = (sum(len(text.encode()) for text in items) / 1e6 for items in (chosen, part))
        ours = size / seconds(partial(sign, array, fold, drawn, width=5), ROUNDS)
        peer = part_size / seconds(partial(theirs, part), 1)
        print(f"{name:10}{size:8.1f}{ours:12.0f}{peer:12.2f}{ours / peer:8.0f}")


if __name__ == "__main__":
    main()
