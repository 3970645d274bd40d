"""Text to 128 permutations: our kernel against datasketch 2, rensa and gaoya, the same text in the same run.

    python -m venv /tmp/peers && /tmp/peers/bin/pip install rensa==0.5.0 gaoya==0.2.2
    python tests/bench/bench_dedup.py [MEGABYTES] [--peers /tmp/peers]

Prints MB of UTF-8 a CPU second and our ratio to each, for the documents of ../shared/data/corpora (or of
$DATAPIPE_SHARED), by script; then the same for sets of shingles, which verification compares. Ours reads an Arrow
column. Each peer is given its fastest route from a Python string, all with 5 tokens a shingle (a token is a word, or a
Han or kana character) and 128 permutations, on one thread:

- datasketch and rensa: a regular expression for tokens, joined 5-grams as a set, one call (datasketch: `update_batch`,
  with its own sha1 and with crc32; rensa: a matrix of a thousand documents).
- gaoya: its own analyzer in Rust (words of spaced text, characters of Han text), inserted into an index of 16 bands of
  8, as it hands out no signatures.

They read a part of the documents (every 20th, 10th, 4th), as they would take minutes otherwise. What is not installed
is named.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import datasketch
import pyarrow as pa
import zstandard

from stages.dedup.fold import fold_table, load
from stages.dedup.shingles import shingle_sets
from stages.dedup.signature import permutations, sign

TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
HAN = re.compile(r"[\u4e00-\u9fff]")
ROUNDS = 5
AT_ONCE = 1000

Peer = Callable[[list[str], bool], None]


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


def shingles(text: str) -> set[str]:
    """Returns the 5-grams of a text, as a user of datasketch or rensa makes them."""
    view = TOKEN.findall(text.lower())
    return {" ".join(view[start : start + 5]) for start in range(len(view) - 4)}


def sets(chosen: list[str]) -> list[set[str]]:
    """Returns the 5-grams of texts."""
    return [shingles(text) for text in chosen]


def with_datasketch(chosen: list[str], _: bool, **hashed: Callable[[bytes], int]) -> None:
    """Signs texts with datasketch."""
    for text in chosen:
        signature = datasketch.MinHash(128, scheme="affine32", **hashed)
        if found := [shingle.encode() for shingle in shingles(text)]:
            signature.update_batch(found)


def with_rensa(rensa: ModuleType, chosen: list[str], _: bool) -> None:
    """Signs texts with rensa's RMinHash."""
    for start in range(0, len(chosen), AT_ONCE):
        rensa.RMinHash.digest_matrix_from_token_sets(sets(chosen[start : start + AT_ONCE]), 128, 1)


def with_gaoya(minhash: ModuleType, chosen: list[str], is_han: bool) -> None:
    """Signs texts with gaoya, and puts them into its index."""
    index = minhash.MinHashStringIndex(
        32, 0.8, 16, 8, None, "char" if is_han else "word", lowercase=True, ngram_range=(5, 5), id_container="smallvec"
    )
    index.par_bulk_insert_docs(list(range(len(chosen))), chosen)


def peers(folder: str | None) -> Iterator[tuple[str, Peer, int]]:
    """Yields each peer that can be loaded: its name, what signs with it, and that it reads each so many-th document."""
    yield "datasketch", with_datasketch, 20
    yield "datasketch crc32", partial(with_datasketch, hashfunc=zlib.crc32), 20
    os.environ["RAYON_NUM_THREADS"] = "1"
    sys.path += map(str, Path(folder or "").glob("lib/python*/site-packages")) if folder else []
    for name, module, peer, each in (("rensa", "rensa", with_rensa, 10), ("gaoya", "gaoya.minhash", with_gaoya, 4)):
        try:
            yield name, partial(peer, importlib.import_module(module)), each
        except ImportError as error:
            print(f"{name}: left out ({error}); see the top of this file")


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Returns the CPU seconds of the fastest of some rounds."""
    took = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return min(took)


def megabytes(items: list[str]) -> float:
    """Returns the size of texts in MB of UTF-8."""
    return sum(len(text.encode()) for text in items) / 1e6


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("megabytes", nargs="?", type=float, default=40)
    parser.add_argument("--peers", help="a virtual environment that has rensa and gaoya")
    given = parser.parse_args()
    corpus = list(texts(given.megabytes))
    by_script: dict[bool, list[str]] = {False: [], True: []}
    for text in corpus:
        by_script[len(HAN.findall(text[:2000])) > 200].append(text)
    known = list(peers(given.peers))
    sign(pa.array(corpus[:1]), load(fold_table()), permutations(128, 1), width=5)
    shingle_sets(pa.array(corpus[:1]), load(fold_table()), width=5)
    print(f"{'MB a CPU second':18}{'MB':>8}{'ours':>8}" + "".join(f"{name:>24}" for name, _, _ in known))
    for name, scripts in (("spaced", [False]), ("Han", [True]), ("all", [False, True])):
        chosen = [text for is_han in scripts for text in by_script[is_han]]
        array = pa.array(chosen)
        ours = megabytes(chosen) / seconds(
            partial(sign, array, load(fold_table()), permutations(128, 1), width=5), ROUNDS
        )
        line = f"{name:18}{megabytes(chosen):8.1f}{ours:8.0f}"
        for _, peer, each in known:
            parts = {is_han: by_script[is_han][::each] for is_han in scripts}
            took = sum(seconds(partial(peer, part, is_han), 2) for is_han, part in parts.items())
            theirs = sum(map(megabytes, parts.values())) / took
            line += f"{theirs:14.2f}{ours / theirs:9.1f}x"
        print(line)
    print(f"{'shingle sets':18}{'MB':>8}{'ours':>8}{'Python':>24}")
    for name, is_han in (("spaced", False), ("Han", True)):
        array, part = pa.array(by_script[is_han]), by_script[is_han][::20]
        ours = megabytes(by_script[is_han]) / seconds(partial(shingle_sets, array, load(fold_table()), width=5), ROUNDS)
        theirs = megabytes(part) / seconds(partial(sets, part), 2)
        print(f"{name:18}{megabytes(by_script[is_han]):8.1f}{ours:8.0f}{theirs:14.2f}{ours / theirs:9.1f}x")


if __name__ == "__main__":
    main()
