"""The residual audit beside what dedup does anyway: MB of UTF-8 a CPU second, in one run on the same text.

    python tests/bench/bench_audit.py [MEGABYTES] [--sample DOCUMENTS]

The documents of ../shared/data/corpora (or of $DATAPIPE_SHARED) are signed, made into sets of shingles, and searched
for copies of a sample: of other sources than theirs, as next to all documents of a large corpus have nothing in common
with the sample; and of their own, where a fourth of all documents is sampled and the rest are versions of the same
pages, the worst that can be. A figure is the best of three.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.dedup.audit import DRAWN, EVERY, LOW, Sample, hashes_of, least
from stages.dedup.fold import fold_table, load
from stages.dedup.shingles import shingle_sets
from stages.dedup.signature import permutations, sign
from stages.rewrite import digest_of

sys.path.insert(0, str(Path(__file__).parent))
from bench_dedup import texts

AT_ONCE = 1000
FOLD = load(fold_table())


def main() -> None:
    """Prints the table."""
    options = argparse.ArgumentParser()
    options.add_argument("megabytes", nargs="?", type=float, default=40)
    options.add_argument("--sample", type=int, default=1000)
    chosen = options.parse_args()
    documents = list(dict.fromkeys(texts(chosen.megabytes)))
    drawn = permutations(128, 1)
    half = len(documents) // 2
    for name, sampled, held in (
        ("other sources", documents[:half], documents[half:]),
        ("the same documents", documents, documents),
    ):
        parts = [pa.array(held[start : start + AT_ONCE]) for start in range(0, len(held), AT_ONCE)]
        size = sum(len(text.encode()) for text in held) / 1e6
        table = sample_of(sampled, chosen.sample)
        built, sample = best(lambda table=table: Sample(table, LOW)), Sample(table, LOW)
        shingles = f"{len(sample.hashes):,} shingles, indexed in {built:.2f} s"
        print(f"{len(held):,} documents, {size:.1f} MB; {table.num_rows:,} sampled of {name}, {shingles}")
        for label, work in (
            ("signatures of 128", lambda part: sign(part, FOLD, drawn, width=5)),
            ("sets of shingles", lambda part: shingle_sets(part, FOLD, width=5)),
            ("the audit's search", lambda part, sample=sample: sample.alike(part, FOLD, 5)),
        ):
            seconds = best(lambda work=work, parts=parts: [work(part) for part in parts])
            print(f"    {label:<20}{size / seconds:>8,.0f} MB/s")


def sample_of(documents: list[str], amount: int) -> pa.Table:
    """Returns a sample as the stage draws it."""
    sets = shingle_sets(pa.array(documents), FOLD, width=5)
    ids = pa.array([digest_of(f"{number}") for number in range(len(documents))], pa.binary(16))
    hashes = hashes_of(ids, 1)
    chosen = np.argsort(hashes)[: 2 * amount]
    rows = [
        {
            "hash": hashes[row],
            "gid": row,
            "group": 0,
            "shingles": sets.hashes[sets.offsets[row] : sets.offsets[row + 1]],
        }
        for row in chosen.tolist()
    ]
    return least(pa.Table.from_pylist(rows, schema=DRAWN), amount, EVERY)[0]


def best(work: Callable[[], object]) -> float:
    """Returns the least of three times (seconds of CPU)."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
