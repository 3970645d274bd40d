"""Encoded documents for the tests of the mix, and what a reader makes of the files."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from datapipe import ID, Dataset, Output, Work
from datapipe.testing import Result, dataset, evaluate
from stages.mix import Mix
from stages.schema import TOKENS
from stages.tokens import TOKENIZER

EOS = 0
ENCODED = pa.schema(
    [
        pa.field("id", ID),
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("language", pa.string()),
        pa.field("cluster", ID),
        pa.field("quality", pa.float32()),
        *TOKENS,
    ]
)
_FACTS = {
    "name": "test",
    "kind": "tokenizer.json",
    "sha256": "ab" * 32,
    "vocabulary_size": 1000,
    "eos_id": EOS,
    "bos_id": None,
    "content": b"{}",
}


def name(number: int) -> bytes:
    """Returns the id of a document."""
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def encoded(lengths: Sequence[int], sources: Sequence[str], *, first: int = 0, clusters: int = 0) -> pa.Table:
    """Returns documents of these lengths (tokens, EOS among them), ids 1 to 999 that say which document they are of."""
    rows = []
    for number, (length, source) in enumerate(zip(lengths, sources, strict=True), first):
        ids = [1 + (number * 7 + place) % 999 for place in range(length - 1)] + [EOS]
        cluster = name(number % clusters) if clusters else name(number)
        language = "zho_Hans" if number % 3 else "eng_Latn"
        encoded = (ids, length, 3 * length, 2 * length)
        values = (name(number), source, f"http://x/{number}", language, cluster, number / 1024, *encoded)
        rows.append(dict(zip(ENCODED.names, values, strict=True)))
    return pa.Table.from_pylist(rows, schema=ENCODED)


def three_shards(seed: int = 0, documents: int = 90) -> list[pa.Table]:
    """Returns documents of two sources, log-normal in length, in three shards."""
    random = np.random.default_rng(seed)
    lengths = np.maximum(1, random.lognormal(3, 1, documents)).astype(int).tolist()
    sources = random.choice(["books", "web", "web"], documents).tolist()
    third = documents // 3
    cuts = [(0, third), (third, third + 1), (third + 1, documents)]
    return [encoded(lengths[a:b], sources[a:b], first=a) for a, b in cuts]


def with_tokenizer(tables: Sequence[pa.Table]) -> Dataset:
    """Returns these documents as what a tokenize step gives."""
    return dataset(*tables).map(_pass, outputs=(Output("tokenizer", TOKENIZER),))


def _pass(batches: Any, work: Work) -> Any:  # Any: a worker function's iterators
    if work.number == 0:
        work.put("tokenizer", pa.RecordBatch.from_pylist([_FACTS], schema=TOKENIZER))
    yield from batches


@dataclass
class Corpus:
    """A corpus as its files hold it."""

    manifest: dict[str, Any]
    train: pa.Table
    validation: pa.Table
    segments: pa.Table
    held_out_segments: pa.Table
    documents: pa.Table
    result: Result


def mixed(tables: Sequence[pa.Table], *, rows_per_batch: int = 7, **fields: Any) -> Corpus:
    """Returns the corpus that a mix with `fields` makes of encoded documents."""
    result = evaluate(Mix(**fields).build(with_tokenizer(tables)), rows_per_batch=rows_per_batch)
    manifest = json.loads(result.outputs["manifest"][0].column("content")[0].as_py())
    shards, segments = (written(result, name) for name in ("shards", "segments"))
    held_out = sum(shard["split"] == "validation" for shard in manifest["shards"])
    cut = len(shards) - held_out
    return Corpus(
        manifest,
        pa.concat_tables(shards[:cut]),
        pa.concat_tables([shards[0].slice(0, 0), *shards[cut:]]),
        pa.concat_tables(segments[:cut]),
        pa.concat_tables([segments[0].slice(0, 0), *segments[cut:]]),
        pa.concat_tables(written(result, "index")),
        result,
    )


def written(result: Result, output: str) -> list[pa.Table]:
    """Returns the shards of an output as an Arrow file gives them back."""
    tables = []
    for table in result.outputs[output]:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        tables.append(pa.ipc.open_file(sink.getvalue()).read_all())
    return tables
