"""Shares of a mix of 20 million tokens in Chinese and English, by source and language: asked for, and found in files.

    python tests/bench/bench_mix_shares.py [--tokens 20M] [--seq-len N] [--executors local,ray1,ray2,killed] [--out DIR]

Runs ingest, language, tokenize (the GPT-NeoX tokenizer) and mix, in two phases, on collections of ../shared/data (or
$DATAPIPE_SHARED), once for each executor, each with work of its own; `killed` is a local run that ends in the midst of
a shard of the corpus and is run again. What is found is counted in the shards and their index, not taken from the plan:
the source and language of each sample are those of the documents whose pieces it holds. The table has for each phase
and group the share asked for and found, and by how many samples the one misses the other; below it, by how much any
prefix does, at the ends of blocks and anywhere. Exits with 1 where a share is a sample or more away from what was asked
for, or two executors differ in the order or in a byte of the corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase as fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("DATAPIPE_SHARED", ROOT.parent / "shared")).resolve()
BLOCK = 4096
FAULT, KILLED = "mix:7:0:mid_batch", 17  # ends the process that makes shard 7 of the corpus; with this status
SOURCES = {
    "kubernetes": "kubernetes-docs-versions",
    "iotdb": "iotdb-docs-versions",
    "sofastack": "sofastack-blog-docs",
    "prc_laws": "prc-laws",
    "taiwan_laws": "taiwan-laws",
}
# Shares that are no round part of anything; groups that are not named are left out.
STABLE = {
    "kubernetes/eng_Latn": 0.213,
    "kubernetes/zho_Hans": 0.187,
    "iotdb/eng_Latn": 0.071,
    "iotdb/zho_Hans": 0.129,
    "sofastack/zho_Hans": 0.157,
    "prc_laws/zho_Hans": 0.113,
    "taiwan_laws/zho_Hant": 0.083,
    "taiwan_laws/eng_Latn": 0.047,
}
# A pattern is the share of each group that it matches, as in the mix.
ANNEAL = {"prc_laws/zho_Hans": 1 / 3, "taiwan_laws/*": 0.29, "kubernetes/zho_Hans": 0.2, "iotdb/eng_Latn": 0.05}
WEIGHTS = {"stable": STABLE, "anneal": ANNEAL}
RATIOS = {"stable": 0.9, "anneal": 0.1}
Facts = dict[str, Any]


def config_of(tokens: str, seq_len: int, packing: str) -> Facts:
    """Returns the config that all executors run."""
    sources = {name: {"path": str(SHARED / "data/corpora" / f"{file}.jsonl.zst")} for name, file in SOURCES.items()}
    mix = {
        "by": ["source", "language"],
        "phases": [
            {"name": name, "ratio": ratio, "weights": WEIGHTS[name], "default": 0} for name, ratio in RATIOS.items()
        ],
        "tokens": tokens,
        "seq_len": seq_len,
        "packing": packing,
        "max_epochs": None,
        "shard_bytes": 8 << 20,
    }
    tokenizer = str(SHARED / "data/tokenizers/rwkv/20B_tokenizer.json")
    steps: list[Any] = [
        {"ingest": {"sources": sources}},
        "language",
        {"tokenize": {"tokenizer": tokenizer}},
        {"mix": mix},
    ]
    return {"name": "shares", "steps": steps}


def run(config: Path, out: Path, executor: str) -> float:
    """Returns the seconds that a run of the command took."""
    workers = executor.removeprefix("ray")
    how = ["--workers", workers] if workers != executor else ["--executor", "local"]
    start = time.perf_counter()
    command = [sys.executable, "-m", "datapipe.cli", "run", str(config), "--out", str(out), *how]
    for fault in [FAULT, ""] if executor == "killed" else [""]:
        environment = {**os.environ, "PIPE_FAULT": fault}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != (KILLED if fault else 0):
            sys.exit(f"{executor}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return time.perf_counter() - start


@dataclass(frozen=True)
class Found:
    """What the files hold: the group of each position, and its tokens without padding."""

    names: list[str]
    groups: np.ndarray
    tokens: np.ndarray


def found_in(corpus: Path) -> Found:
    """Returns what shards and index say of each sample. Exits where a sample holds documents of two groups."""
    documents = _table(corpus, "documents", ["doc_id", "source", "language"])
    names = pc.binary_join_element_wise(documents.column("source"), documents.column("language"), "/").combine_chunks()
    coded = pc.dictionary_encode(names)
    segments = _table(corpus, "segments", ["sample", "start", "end", "doc_id"])
    rows = np.asarray(pc.index_in(segments.column("doc_id"), documents.column("doc_id").combine_chunks()))
    of_piece = np.asarray(coded.indices)[rows]
    samples = np.asarray(segments.column("sample"))
    lengths = np.asarray(segments.column("end")).astype(np.int64) - np.asarray(segments.column("start"))
    positions = 0
    for path in sorted(corpus.glob("train-*.arrow")):
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
            table = file.read_all()
            here = np.asarray(table.column("sample")) if "sample" in table.column_names else None
            if here is not None and not np.array_equal(here, np.arange(positions, positions + table.num_rows)):
                sys.exit(f"{path}: its samples do not stand in order")
            positions += table.num_rows
    groups = np.full(positions, -1)
    groups[samples] = of_piece
    if (groups < 0).any() or (groups[samples] != of_piece).any():
        sys.exit("a sample holds documents of no group, or of two")
    return Found(coded.dictionary.to_pylist(), groups, np.bincount(samples, lengths, positions).astype(np.int64))


def _table(corpus: Path, kind: str, columns: list[str]) -> pa.Table:
    paths = sorted((corpus / "index").glob(f"{kind}-*.parquet"))
    return pa.concat_tables(pq.read_table(path, columns=columns) for path in paths)


def asked_of(found: Found, phase: str) -> np.ndarray:
    """Returns the share of each group that a phase's weights ask for, by name or else by pattern; they sum to 1."""
    weights = WEIGHTS[phase]
    named = [
        next((key for key in (name, *weights) if key in weights and fnmatch(name, key)), "") for name in found.names
    ]
    shares = np.array([weights.get(key, 0.0) for key in named])
    return shares / shares.sum()


def measure(found: Found, manifest: Facts) -> Iterator[tuple[str, float]]:
    """Yields lines of the table, each with the deviation that it shows (samples, or 0 where it is none)."""
    for phase in manifest["mix"]["phases"]:
        start, count = phase["first_position"], phase["samples"]
        groups, tokens = found.groups[start : start + count], found.tokens[start : start + count]
        yield f"phase {phase['name']}: {count:,} samples, {int(tokens.sum()):,} tokens", 0.0
        yield (
            f"  {'group':<24}{'asked':>10}{'found':>10}{'samples asked':>16}{'found':>9}{'off by':>9}{'of tokens':>11}",
            0.0,
        )
        shares = asked_of(found, phase["name"])
        for group in np.argsort(-shares, kind="stable").tolist():
            own = groups == group
            asked, share = shares[group] * count, tokens[own].sum() / tokens.sum()
            if asked or own.any():
                line = (
                    f"  {found.names[group]:<24}{shares[group]:>10.4%}{own.sum() / count:>10.4%}{asked:>16,.2f}"
                    f"{own.sum():>9,}{own.sum() - asked:>+9.2f}{share:>11.4%}"
                )
                yield line, float(own.sum() - asked)


def prefixes(found: Found, manifest: Facts) -> tuple[float, float]:
    """Returns by how many samples a group is away from its share of a prefix: at ends of blocks, and anywhere."""
    at_ends, anywhere = 0.0, 0.0
    for phase in manifest["mix"]["phases"]:
        start, count = phase["first_position"], phase["samples"]
        groups, steps = found.groups[start : start + count], np.arange(1, count + 1)
        ends = np.append(np.arange(BLOCK, count, BLOCK), count) - 1
        for group, share in enumerate(asked_of(found, phase["name"])):
            off = np.abs(np.cumsum(groups == group) - share * steps)
            at_ends, anywhere = max(at_ends, float(off[ends].max())), max(anywhere, float(off.max()))
    return at_ends, anywhere


def digest_of(corpus: Path) -> str:
    """Returns one digest over the names and bytes of a corpus."""
    digest = hashlib.sha256()
    for path in sorted(corpus.rglob("*.*")):
        digest.update(str(path.relative_to(corpus)).encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", default="20M")
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--packing", default="concat", choices=("concat", "best_fit"))
    parser.add_argument("--executors", default="local,ray1,ray2,killed")
    parser.add_argument("--out", help="folder for the runs; a temporary one unless given")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        return compare(options, Path(options.out or scratch))


def compare(options: argparse.Namespace, out: Path) -> int:
    """Runs all executors, and prints what each came to."""
    config = out / "shares.yaml"
    out.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(config_of(options.tokens, options.seq_len, options.packing), sort_keys=False))
    orders, whole, worst = set(), set(), 0.0
    for executor in options.executors.split(","):
        seconds = run(config, out / executor, executor)
        corpus = out / executor / "corpus"
        manifest = json.loads((corpus / "manifest.json").read_text())
        if not orders:
            found = found_in(corpus)
            for line, off in measure(found, manifest):
                print(line)
                worst = max(worst, abs(off))
            at_ends, anywhere = prefixes(found, manifest)
            print(f"worst share: {worst:.2f} samples")
            print(f"worst prefix: {at_ends:.2f} samples at ends of blocks, {anywhere:.1f} anywhere")
        orders.add(manifest["order_sha256"])
        whole.add(digest_of(corpus))
        print(
            f"{executor:<6} order_sha256 {manifest['order_sha256'][:16]}  corpus {digest_of(corpus)[:16]}  "
            f"{seconds:6.1f} s"
        )
    if len(orders) > 1 or len(whole) > 1 or worst >= 1:
        print("executors differ, or a share is a sample or more away from what was asked for")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
