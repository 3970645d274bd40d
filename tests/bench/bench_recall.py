"""What dedup finds and removes, against the exact Jaccard similarity of all pairs: on real pieces and edited copies.

    python tests/bench/bench_recall.py [PIECES [SEEDS]]

The documents of ../shared/data/corpora (or $DATAPIPE_SHARED) are cut at headings; 20,000 pieces of 50 words or Han
characters and more are drawn, Chinese, English and mixed: versions of one documentation are natural near duplicates,
and pieces that are alike are drawn together. They go through the stage with its defaults (without its
audit, which changes nothing), once with each of SEEDS (1) sets of permutations. Then the same for copies that the
generator makes of pieces which no other is like. Exit status 1 where a target is missed:

    found      of the documents whose nearest kept twin has a similarity in [.8, .85) 98 %, above that 99.9 %
    precision  every removed document has a true similarity of at least .8 with the survivor that it names
    complete   no two documents stay that share a band and are as alike as that

A document is found where it left; the one of a pair of kept twins that comes later in survivor order was missed.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard

from datapipe.testing import Result, dataset, evaluate
from stages.dedup import Dedup
from stages.dedup.evaluation.copies import one_copy_each, similarities
from stages.dedup.evaluation.edits import HAN, UNIT, Draw
from stages.dedup.evaluation.pairs import Pairs, similar_pairs
from stages.dedup.fold import fold_table, load
from stages.dedup.shingles import shingle_sets

HEADING = re.compile(r"(?m)^(?=#{1,6} )")
LEAST_UNITS = 50
SHARES = {"Chinese": 0.4, "English": 0.4, "mixed": 0.2}
THRESHOLD = 0.8
BINS = (0.8, 0.85, 0.9, 0.95, 1.0)
TARGETS = (0.98, 0.999)  # in the first bin, in all others together
NONE = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
UNLIKE = 0.5  # pieces that no other is so alike get an edited copy


@dataclass(frozen=True)
class Piece:
    """A part of a document between headings."""

    name: str
    text: str
    language: str


def pieces() -> Iterator[Piece]:
    """Yields the pieces of all documents."""
    root = Path(os.environ.get("DATAPIPE_SHARED", Path(__file__).parents[2] / "../shared"))
    for file in sorted((root / "data/corpora").glob("*.jsonl.zst")):
        with file.open("rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8"):
                row = json.loads(line)
                for number, text in enumerate(HEADING.split(row["text"])):
                    units = UNIT.findall(text)
                    if len(units) >= LEAST_UNITS:
                        share = len(HAN.findall(text)) / len(units)
                        language = "Chinese" if share > 0.8 else "English" if share < 0.05 else "mixed"
                        yield Piece(f"{file.name}/{row['id']}#{number}", text, language)


def drawn(all_: Sequence[Piece], near: Pairs, amount: int) -> list[Piece]:
    """Returns about so many of the pieces, in the shares of SHARES: those that are alike together, or not at all."""
    roots = np.arange(len(all_))
    before = np.zeros(0)
    while not np.array_equal(before, roots):
        before = roots.copy()
        least = np.minimum(roots[near.first], roots[near.second])
        np.minimum.at(roots, near.first, least)
        np.minimum.at(roots, near.second, least)
    order = sorted(range(len(all_)), key=lambda number: (Draw("drawn", all_[roots[number]].name).random(), number))
    made = []
    for language, share in SHARES.items():
        made += [all_[number] for number in order if all_[number].language == language][: round(share * amount)]
    return made


def run(texts: Sequence[str], stage: Dedup) -> Result:
    """Returns what the stage makes of the texts; an id is the text's number."""
    ids = [number.to_bytes(16, "big") for number in range(len(texts))]
    digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    table = pa.table(
        {
            "id": pa.array(ids, pa.binary(16)),
            "text": pa.array(texts, pa.string()),
            "text_digest": pa.array(digests, pa.binary(16)),
        }
    )
    half = len(texts) // 2
    return evaluate(stage.build(dataset(table.slice(0, half), table.slice(half))), rows_per_batch=1024)


def number_of(column: pa.ChunkedArray) -> list[int]:
    """Returns the numbers that ids are made of."""
    return [int.from_bytes(value, "big") for value in column.to_pylist()]


@dataclass(frozen=True)
class Checked:
    """How far a run is from the truth; `nearest` and `found` are of the documents that ought to leave."""

    nearest: np.ndarray  # float64: similarity to the nearest twin that stays
    found: np.ndarray  # bool
    documents: np.ndarray  # int64: their numbers
    removed: int
    wrong: int  # removed below the threshold
    other_value: int  # removed with another similarity in the ledger than the true one
    kept_together: int  # kept pairs at the threshold that share a band
    exact: int  # removed for an equal folded view


def check(texts: Sequence[str], made: Result, pairs: Pairs) -> Checked:
    """Compares what a run made of texts with all pairs of at least the threshold."""
    survivor = dict(zip(number_of(made.ledger.column("id")), number_of(made.ledger.column("other")), strict=True))
    is_kept = np.ones(len(texts), bool)
    is_kept[list(survivor)] = False
    place = np.empty(len(texts), np.int64)  # in survivor order
    digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    place[sorted(range(len(texts)), key=lambda number: (-len(texts[number]), digests[number], number))] = np.arange(
        len(texts)
    )
    nearest = np.zeros(len(texts))
    for one, other in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
        counts = is_kept[other] & (~is_kept[one] | (place[other] < place[one]))
        np.maximum.at(nearest, one[counts], pairs.jaccard[counts])
    documents = np.flatnonzero(nearest >= THRESHOLD)
    keys = pa.concat_tables(made.outputs["keys"])
    bands = dict(zip(number_of(keys.column("id")), keys.column("bands").to_pylist(), strict=True))
    both = is_kept[pairs.first] & is_kept[pairs.second]
    together = sum(
        not set(bands[one] or ()).isdisjoint(bands[other] or ())
        for one, other in zip(pairs.first[both].tolist(), pairs.second[both].tolist(), strict=True)
    )
    true, _ = similarities([texts[number] for number in survivor], [texts[number] for number in survivor.values()])
    said = np.array(made.ledger.column("similarity").to_pylist())
    exact = made.ledger.column("rule").to_pylist().count("exact")
    return Checked(
        nearest[documents],
        ~is_kept[documents],
        documents,
        len(survivor),
        int((true < THRESHOLD).sum()),
        int((np.abs(true - said) > 1 / 1024).sum()),
        int(together),
        exact,
    )


def together(runs: Sequence[Checked]) -> Checked:
    """Returns the runs as one."""
    joined = [np.concatenate([getattr(one, name) for one in runs]) for name in ("nearest", "found", "documents")]
    added = [
        sum(getattr(one, name) for one in runs)
        for name in ("removed", "wrong", "other_value", "kept_together", "exact")
    ]
    return Checked(*joined, *added)


def table(checked: Checked, groups: dict[str, np.ndarray]) -> bool:
    """Prints recall by similarity and group; returns whether the targets are met."""
    heads = [f"[{low:g}, {high:g})" for low, high in itertools.pairwise(BINS)]
    print(f"  {'':10}" + "".join(f"{head:>24}" for head in (*heads, "equal 1", "[0.85, 1]")))
    limits = [*itertools.pairwise(BINS), (1.0, 2.0), (0.85, 2.0)]
    for name, is_in in {**groups, "all": np.ones(len(checked.documents), bool)}.items():
        cells = []
        for low, high in limits:
            mine = is_in & (checked.nearest >= low) & (checked.nearest < high)
            found, amount = int(checked.found[mine].sum()), int(mine.sum())
            cells.append(f"{found:,} of {amount:,} {found / amount:>8.2%}" if amount else "0")
        print(f"  {name:10}" + "".join(f"{cell:>24}" for cell in cells))
    low = checked.nearest < BINS[1]
    curve = Dedup()._curve()
    expected = [np.mean([curve.chance(value) for value in checked.nearest[part]] or [1]) for part in (low, ~low)]
    reached = [float(checked.found[part].mean()) if part.any() else 1.0 for part in (low, ~low)]
    print(f"  the curve alone promises {expected[0]:.2%} below .85 and {expected[1]:.3%} above")
    print(f"  removed {checked.removed:,} ({checked.exact:,} with an equal folded view); below .8 {checked.wrong}")
    print(f"  similarity said otherwise than it is {checked.other_value}; kept pairs at .8 that share a band", end=" ")
    print(checked.kept_together)
    is_met = all(value >= target for value, target in zip(reached, TARGETS, strict=True))
    return is_met and not checked.wrong and not checked.kept_together and not checked.other_value


def timed(texts: Sequence[str], least: float) -> tuple[Pairs, float]:
    """Returns all pairs and the CPU seconds that they took."""
    start = time.process_time()
    sets = shingle_sets(pa.array(texts, pa.string()), load(fold_table()), width=5)
    return similar_pairs(sets, least), time.process_time() - start


def main() -> None:
    """Prints both tables."""
    amount = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    stages = [Dedup(seed=seed + 1, audit=0) for seed in range(int(sys.argv[2]) if len(sys.argv) > 2 else 1)]
    everything = list(pieces())
    if not everything:
        sys.exit("no corpora: DATAPIPE_SHARED names the folder with the development data")
    timed(["a b c d e f"] * 2, UNLIKE)  # compiles
    near, _ = timed([piece.text for piece in everything], UNLIKE)
    chosen = drawn(everything, near, amount)
    texts = [piece.text for piece in chosen]
    pairs, seconds = timed(texts, THRESHOLD)
    names = ", ".join(f"{sum(p.language == name for p in chosen):,} {name}" for name in SHARES)
    print(f"{len(texts):,} real pieces ({names}), {sum(map(len, texts)) / 1e6:.1f} M characters;", end=" ")
    print(f"{len(pairs.first):,} pairs at .8 and above, exact, in {seconds:.1f} CPU s")
    languages = np.array([piece.language for piece in chosen])
    checked = together([check(texts, run(texts, stage), pairs) for stage in stages])
    met = [table(checked, {name: languages[checked.documents] == name for name in SHARES})]
    alike = {*near.first.tolist(), *near.second.tolist()}
    alone = [piece for number, piece in enumerate(everything) if number not in alike]
    made = list(one_copy_each(((piece.name, piece.text) for piece in drawn(alone, NONE, amount)), seed=1))
    texts = [text for copy in made for text in (copy.original, copy.text)]
    pairs, seconds = timed(texts, THRESHOLD)
    print(f"{len(made):,} edited copies of pieces that no other is like; {len(pairs.first):,} pairs, {seconds:.1f} s")
    checked = together([check(texts, run(texts, stage), pairs) for stage in stages])
    known = {piece.name: piece.language for piece in alone}
    languages = np.array([known[copy.document] for copy in made for _ in range(2)])
    met.append(table(checked, {name: languages[checked.documents] == name for name in SHARES}))
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
