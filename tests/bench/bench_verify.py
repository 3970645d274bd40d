"""Verification of candidates: text a second, comparisons a second, its price beside that of signatures, worst cases.

    python tests/bench/bench_verify.py [MB a corpus]

CPU time of one core. The corpora of ../shared (many versions of one documentation) are cut at headings; `by bands` is
what meets by the default bands of Dedup, in its components. Then each corpus is one component, far worse than what
bands make of it: every piece is judged against all that stay. `others` is the speed of all but the sets of shingles,
`/ signing` the time beside that of the signatures of the same text.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard

from datapipe import Work
from stages.dedup.curve import for_recall
from stages.dedup.fold import fold_table, load
from stages.dedup.keys import hash_column
from stages.dedup.shingles import shingle_sets
from stages.dedup.signature import band_keys, permutations, sign
from stages.dedup.verify import COPIES, Verify

SCHEMA = pa.schema(
    [
        ("root", pa.int64()),
        ("gid", pa.int64()),
        ("id", pa.binary(16)),
        ("exact", pa.binary(16)),
        ("size", pa.int32()),
        ("priority", pa.binary(16)),
        ("copies", COPIES),
        ("text", pa.string()),
    ]
)
FOLD = load(fold_table())
DRAWN = permutations(128, 1)
BATCH_BYTES = 4_000_000


def corpora(megabytes: float) -> Iterator[tuple[str, list[str]]]:
    """Yields each corpus as pieces of text, cut at headings."""
    root = Path(os.environ.get("DATAPIPE_SHARED", Path(__file__).parents[2] / "../shared"))
    for file in sorted((root / "data/corpora").glob("*.jsonl.zst")):
        pieces: list[str] = []
        size = 0
        with file.open("rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8"):
                for piece in re.split(r"\n(?=#)", json.loads(line)["text"]):
                    if len(piece) >= 200:
                        pieces.append(piece)
                        size += len(piece.encode())
                if size > megabytes * 1e6:
                    break
        yield file.name.split(".")[0], pieces


def component(texts: Sequence[str], roots: Sequence[int] | None = None) -> list[pa.RecordBatch]:
    """Returns the members of one component (or of several), in batches as an exchange hands them on."""
    made = []
    start = 0
    while start < len(texts):
        end, size = start, 0
        while end < len(texts) and size < BATCH_BYTES:
            size += len(texts[end].encode())
            end += 1
        part = pa.array(texts[start:end])
        ids = [hashlib.blake2b(str(number).encode(), digest_size=16).digest() for number in range(start, end)]
        exact = hash_column(sign(part, FOLD, DRAWN, width=5).exact)
        columns = [
            pa.array(roots[start:end] if roots else [0] * (end - start), pa.int64()),
            pa.array(range(start, end), pa.int64()),
            pa.array(ids, pa.binary(16)),
            exact,
            pa.array([1] * (end - start), pa.int32()),
            pa.array(ids, pa.binary(16)),
            pa.array([[]] * (end - start), COPIES),
            part,
        ]
        made.append(pa.record_batch(columns, schema=SCHEMA))
        start = end
    return made


def met(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Returns the texts that share a band with another, and their components, in the order of these."""
    curve = for_recall(0.8, 0.98, 128)
    signatures = sign(pa.array(texts), FOLD, DRAWN, width=5).signatures
    keys = np.empty((len(texts), curve.bands), np.uint64)
    band_keys(signatures, curve.bands, curve.rows, keys)
    roots = list(range(len(texts)))
    first: dict[int, int] = {}

    def root(number: int) -> int:
        while roots[number] != number:
            roots[number] = roots[roots[number]]
            number = roots[number]
        return number

    for number, row_of in enumerate(keys.tolist()):
        for key in row_of:
            one, other = root(first.setdefault(key, number)), root(number)
            roots[max(one, other)] = min(one, other)
    found = [root(number) for number in range(len(texts))]
    sizes = Counter(found)
    order = sorted(
        (number for number in range(len(texts)) if sizes[found[number]] > 1), key=lambda number: found[number]
    )
    return [texts[number] for number in order], [found[number] for number in order]


def seconds(work: Callable[[], object]) -> float:
    """Returns the CPU seconds of this process that a call takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def judged(batches: Sequence[pa.RecordBatch], threshold: float = 0.8, measure: str = "jaccard") -> Counter[str]:
    """Returns what verification counts, and how many leave."""
    work = Work(0)
    verify = Verify(fold=fold_table(), shingle=5, threshold=threshold, measure=measure)
    verdicts = pa.Table.from_batches(list(verify(iter(batches), work)))
    return work.counts + Counter(removed=verdicts.num_rows - verdicts.column("survivor").null_count)


def row(name: str, texts: Sequence[str], roots: Sequence[int] | None = None, measure: str = "jaccard") -> None:
    """Prints a line of the table."""
    batches = component(texts, roots)
    size = sum(len(text.encode()) for text in texts) / 1e6
    counts: list[Counter[str]] = []
    took = seconds(lambda: counts.append(judged(batches, measure=measure)))
    sets = seconds(lambda: [shingle_sets(batch["text"], FOLD, width=5) for batch in batches])
    signed = seconds(lambda: [sign(batch["text"], FOLD, DRAWN, width=5) for batch in batches])
    found = counts[0]
    rest = max(took - sets, 1e-3)
    print(
        f"{name:40}{len(texts):9,}{size:8.1f}{found['removed']:9,}{found['compared']:11,}{found['refused']:11,}"
        f"{took:8.2f}{size / took:7.0f}{size / sets:7.0f}{size / rest:8.0f}{found['compared'] / rest / 1e6:8.2f}"
        f"{took / signed:9.2f}",
        flush=True,
    )


def words(draw: random.Random, amount: int) -> str:
    """Returns random words."""
    return " ".join(f"w{draw.randrange(1_000_000)}" for _ in range(amount))


def main() -> None:
    """Prints the tables."""
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 8
    judged(component(["one two three four five six seven"] * 3 + [words(random.Random(1), 20)] * 2))
    judged(component([words(random.Random(number), 20) for number in range(40)]))
    print(
        f"{'one component of':40}{'members':>9}{'MB':>8}{'removed':>9}{'compared':>11}{'refused':>11}{'s':>8}"
        f"{'MB/s':>7}{'sets':>7}{'others':>8}{'M cmp/s':>8}{'/ signing':>9}"
    )
    found = list(corpora(megabytes))
    everything = [piece for _, pieces in found for piece in pieces]
    for name, pieces in found:
        row(f"{name}, by bands", *met(pieces))
    row("all of these, by bands", *met(everything))
    for name, pieces in found:
        row(name, pieces)
    row("all of these", everything)
    draw = random.Random(7)
    shared = words(draw, 60)
    amount = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    row("unlike, with a paragraph of 60 words", [shared + " " + words(draw, 140) for _ in range(amount)])
    template = words(draw, 160).split()
    filled = []
    for _ in range(amount):
        copy = list(template)
        for place in (20, 50, 80, 110, 140):
            copy[place] = f"n{draw.randrange(1_000_000)}"
        filled.append(" ".join(copy) + " " + words(draw, draw.randrange(8, 24)))
    row("a template with five gaps, J ~ .7", filled)
    paragraphs = [words(draw, 40) for _ in range(400)]
    row("five of 400 paragraphs each", [" ".join(draw.sample(paragraphs, 5)) for _ in range(amount // 5)])
    row("equal", [words(random.Random(1), 200)] * amount)
    edited = []
    for _ in range(amount):
        copy = list(template)
        copy[draw.randrange(160)] = f"n{draw.randrange(1_000_000)}"
        edited.append(" ".join(copy))
    row("nearly equal", edited)
    pairs = [text for number in range(amount // 2) for text in [words(random.Random(number), 200)] * 2]
    pairs = [text + f" e{number}" for number, text in enumerate(pairs)]
    row("pairs, a component each", pairs, [number // 2 for number in range(len(pairs))])


if __name__ == "__main__":
    main()
