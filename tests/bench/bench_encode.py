"""Encoding beside the libraries alone, MB of text a CPU second, in one run; ids of every document are compared.

    python tests/bench/bench_encode.py [--tokenizer trained|neox|o200k_base|qwen] [--unique] [--megabytes N]

Text is that of ../shared/data/corpora (or $DATAPIPE_SHARED), each document once, in the order of their digests, English
(with code) and Chinese apart. Much of it is versions of the same documentation, which a cache of words likes:
`--unique` leaves out every line that stood before, in whatever document. `new` is the share of pieces, as the
tokenizer's splitter cuts them, that have not been seen before: those no cache can hold.

- `tokenizers`: encode_batch_fast, about 1 MB a call, ids not taken
- `tiktoken`: encode_ordinary_batch on one thread, where the tokenizer is one of ranks
- `gigatoken`: one thread, Arrow in and out, its cache empty at the start
- `datapipe`: the step itself, from batches of documents to batches with ids: boundaries, counters, and the proof on a
  sample of documents are in it; `reference` with gigatoken off, on every fourth batch, turn by turn with `tokenizers`

Exits with 1 where ids differ, the reference is below .95 times `tokenizers`, or the fast path below 12 times in English
or 5 times in Chinese. The trained tokenizer is one of 32,000 tokens, on 4 MB of both.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import awkward
import gigatoken
import numpy as np
import pyarrow as pa
import tiktoken
import zstandard
from tokenizers import Tokenizer

from datapipe import Work
from datapipe.shard import cut
from stages.tokens import Encode
from stages.tokens.encoder import Boundaries, _load, load
from stages.tokens.fast import SWITCH
from stages.tokens.learn import learn
from stages.tokens.ranks import splitting, tokenizer_json

DATA = Path(os.environ.get("DATAPIPE_SHARED", "../shared")) / "data"
RANKS = {
    "o200k_base": DATA / "tokenizers/gpt-tokenizer/data/o200k_base.tiktoken",
    "qwen": DATA / "tokenizers/qwen-tiktoken/hf_openseek/tokenizer/qwen.tiktoken",
}
EOS = "<|endoftext|>"
BATCH_BYTES = 1 << 20
LEAST = {"reference": 0.95, "English": 12.0, "Chinese": 5.0}


@dataclass(frozen=True)
class Content:
    """A tokenizer in memory, in the place of a file."""

    content: bytes

    def read(self) -> bytes:
        """Returns it."""
        return self.content


def documents(*, unique: bool, megabytes: float) -> dict[str, list[str]]:
    """Returns the texts by language, in the order of their digests."""
    found: dict[bytes, str] = {}
    for path in sorted((DATA / "corpora").rglob("*.jsonl.zst")):
        with path.open("rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
                text = json.loads(line)["text"]
                found[hashlib.blake2b(text.encode()).digest()] = text
    seen: set[str] = set()
    texts: dict[str, list[str]] = {"English": [], "Chinese": []}
    room = dict.fromkeys(texts, megabytes * 1e6)
    for _, text in sorted(found.items()):
        head = text[:2000]
        han = sum("\u4e00" <= character <= "\u9fff" for character in head)
        language = "Chinese" if han > len(head) // 10 else "English"
        if unique:
            lines = [line for line in text.splitlines(keepends=True) if line not in seen]
            seen.update(lines)
            text = "".join(lines)
        room[language] -= len(text.encode())
        if text and room[language] > 0:
            texts[language].append(text)
    return texts


def tokenizer(name: str, texts: dict[str, list[str]]) -> bytes:
    """Returns the tokenizer.json of a name."""
    if name == "trained":
        sample = [text[:4096] for own in texts.values() for text in own[:500]]
        return learn(sample, 32_000, (EOS,))
    if name == "neox":
        return (DATA / "tokenizers/rwkv/20B_tokenizer.json").read_bytes()
    return tokenizer_json(RANKS[name].read_bytes(), splitting(None, None, name))


def batches_of(texts: list[str]) -> list[pa.RecordBatch]:
    """Returns documents in batches of about 1 MB, as steps hand them to each other."""
    ids = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    table = pa.table({"id": pa.array(ids, pa.binary(16)), "source": ["bench"] * len(texts), "text": texts})
    return list(cut(iter(table.to_batches()), 4096, BATCH_BYTES))


def seconds(function: Callable[[], object]) -> float:
    """Returns the CPU time of a call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def new_share(reference: Tokenizer, texts: list[str]) -> float:
    """Returns which share of the pieces that the splitter cuts is not there before, of about 4 MB at the end."""
    seen: set[str] = set()
    pieces = 0
    for text in texts:
        own = [piece for piece, _ in reference.pre_tokenizer.pre_tokenize_str(text)]
        pieces += len(own)
        seen.update(own)
    return len(seen) / max(1, pieces)


def ours(content: bytes, batches: list[pa.RecordBatch], *, fast: bool) -> Iterator[pa.RecordBatch]:
    """Yields what the step makes of the batches."""
    os.environ[SWITCH] = "1" if fast else "0"
    step = Encode(name="bench", model=Content(content), boundaries=Boundaries(None, EOS))  # type: ignore[arg-type]
    return step(iter(batches), Work(1))


def stepped(content: bytes, batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """Returns what the step makes of a batch with the reference."""
    return list(ours(content, [batch], fast=False))


def measured(name: str, content: bytes, language: str, texts: list[str]) -> bool:
    """Prints the rates of one language; returns whether they are what is promised."""
    batches = batches_of(texts)
    sizes = [sum(map(len, map(str.encode, batch.column("text").to_pylist()))) for batch in batches]
    reference = Tokenizer.from_str(content.decode())
    reference.encode_special_tokens = True
    expected: list[np.ndarray] = []
    stepped(content, batches[0].slice(0, 1))  # loads it
    bare, own, size = 0.0, 0.0, 0
    for number, batch in enumerate(batches):
        encode = partial(reference.encode_batch_fast, batch.column("text").to_pylist(), add_special_tokens=False)
        if number % 4 == 0:
            turns = [partial(encode), partial(stepped, content, batch)]
            taken = [seconds(turn) for turn in (turns if number % 8 else reversed(turns))]
            bare, own = bare + taken[number % 8 == 0], own + taken[number % 8 != 0]
            size += sizes[number]
        expected += [np.array(one.ids, np.uint32) for one in encode()]
    megabytes, rate = sum(sizes) / 1e6, size / 1e6 / bare
    rows = [("tokenizers", rate), ("datapipe, reference", size / 1e6 / own)]
    if name in RANKS:
        lines = (line.split() for line in RANKS[name].read_bytes().splitlines())
        ranks = {base64.b64decode(token): int(number) for token, number in lines}
        theirs = tiktoken.Encoding(
            name, pat_str=splitting(None, None, name).pattern, mergeable_ranks=ranks, special_tokens={}
        )
        listed: list[list[int]] = []
        spent = seconds(lambda: listed.extend(theirs.encode_ordinary_batch(texts, num_threads=1)))
        rows.append(("tiktoken", megabytes / spent))
        same(listed, expected, "tiktoken")
    plain = json.dumps(json.loads(content) | {"added_tokens": [], "post_processor": None})
    arrays = [awkward.from_arrow(batch.column("text").cast(pa.large_string())) for batch in batches]
    giga = gigatoken.Tokenizer.from_json(plain)
    rows.append(("gigatoken", megabytes / seconds(lambda: [giga.encode_batch(one, parallel=False) for one in arrays])))
    made: list[pa.RecordBatch] = []
    os.environ[SWITCH] = "1"
    _load.cache_clear()
    if not load(content, Boundaries(None, EOS)).is_fast:  # loads it, with an empty cache
        sys.exit("gigatoken is not used: see the warning")
    rows.append(("datapipe, fast", megabytes / seconds(lambda: made.extend(ours(content, batches, fast=True)))))
    ids = [own.values.to_numpy()[:-1] for batch in made for own in batch.column("input_ids")]
    same(ids, expected, "datapipe")

    share = new_share(reference, texts)
    print(f"\n{name}, {language}: {megabytes:.1f} MB, {len(texts):,} documents, {share:.1%} of the pieces are new")
    for who, value in rows:
        print(f"  {who:<22}{value:>8.1f} MB/s{value / rate:>8.2f} x")
    at = dict(rows)
    fast = at["datapipe, fast"] / rate >= LEAST[language]
    return fast and at["datapipe, reference"] / rate >= LEAST["reference"]


def same(found: list[list[int]] | list[np.ndarray], expected: list[np.ndarray], who: str) -> None:
    """Ends the run where the ids of a document differ."""
    differing = [
        number
        for number, (one, other) in enumerate(zip(found, expected, strict=True))
        if not np.array_equal(np.asarray(one, np.uint32), other)
    ]
    if differing:
        sys.exit(f"{who}: the ids of {len(differing):,} documents differ, first {differing[0]}")


def main() -> None:
    """Prints a table a language."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", choices=("trained", "neox", *RANKS), default="trained")
    parser.add_argument("--unique", action="store_true", help="no line twice")
    parser.add_argument("--megabytes", type=float, default=1000.0, help="at most so much of each language")
    chosen = parser.parse_args()
    texts = documents(unique=chosen.unique, megabytes=chosen.megabytes)
    content = tokenizer(chosen.tokenizer, texts)
    for fast in (False, True):  # compiles and imports
        list(ours(content, batches_of([EOS, "道可道"] * 9), fast=fast))
    reached = [measured(chosen.tokenizer, content, language, own) for language, own in texts.items()]
    print("\nids of all documents are equal" + ("" if all(reached) else "; a target is not reached"))
    sys.exit(0 if all(reached) else 1)


if __name__ == "__main__":
    main()
