"""Small corpora as files, for what reads them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tokenizers

from tests.stages.mix.corpus import mixed, three_shards, written

PACKED: dict[str, Any] = {
    "weights": {"books": 0.6, "web": 0.4},
    "tokens": 8000,
    "seq_len": 32,
    "shard_bytes": 5000,
    "max_epochs": None,
}
ROOT = Path(__file__).parents[3]
ROWS = 7  # of a record batch, so that a shard has several


def made(folder: Path, **fields: Any) -> Path:
    """Puts the corpus that a mix with `fields` makes of `three_shards` into the folder of a run; returns it."""
    corpus = mixed(three_shards(), **{**PACKED, **fields})
    place = folder / "corpus"
    (place / "index").mkdir(parents=True)
    manifest = corpus.manifest
    for shard, table in zip(manifest["shards"], written(corpus.result, "shards"), strict=True):
        with pa.ipc.new_file(place / shard["name"], table.schema) as writer:
            writer.write_table(table, max_chunksize=ROWS)
        said(shard, place)
    kinds = {kind: [row for row in manifest["index"] if row["name"].startswith(f"index/{kind}-")] for kind in KINDS}
    for row, table in zip(kinds["documents"], written(corpus.result, "index"), strict=True):
        pq.write_table(table, place / row["name"], row_group_size=11)
    for row, table in zip(
        [*kinds["segments"], *kinds["validation-segments"]], written(corpus.result, "segments"), strict=True
    ):
        rows = max(13, len(table) // 20)
        pq.write_table(table, place / row["name"], row_group_size=rows, write_statistics=["sample"])
    for row in manifest["index"]:
        said(row, place)
    (place / "tokenizer.json").write_text(tokenizer())
    manifest["tokenizer"]["sha256"] = hashlib.sha256(tokenizer().encode()).hexdigest()
    (place / "manifest.json").write_text(json.dumps(manifest))
    return folder


def tokenizer() -> str:
    """Returns a tokenizer.json whose token n is the n-th Han character from 一 on, and 0 is EOS."""
    model = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"<eos>": 0, **{chr(0x4E00 + n): n for n in range(1, 1000)}})
    )
    model.decoder = tokenizers.decoders.Fuse()
    model.add_special_tokens(["<eos>"])
    return model.to_str()


KINDS = ("documents", "segments", "validation-segments")


def said(row: dict[str, Any], place: Path) -> None:
    """Sets what the manifest says of a file."""
    content = (place / row["name"]).read_bytes()
    row["file_sha256"] = hashlib.sha256(content).hexdigest()
    if "bytes" in row:
        row["bytes"] = len(content)
