"""What `datapipe verify` checks of a corpus: its shards against the digests of its manifest, and its order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from datapipe import storage
from stages.mix.manifest import merkle_root_of
from stages.mix.proof import faults as order_faults
from stages.mix.proof import order_of_manifest
from stages.mix.witness import astray
from stages.mix.write import token_bytes


def check(folder: str) -> Iterator[str]:
    """Yields a sentence for each shard whose tokens, and for each file whose bytes, are not those of the manifest.

    `tokens_sha256` is over tokens alone, so it still speaks where a shard was written again in another format. The
    order is computed again from the plan that the manifest holds; where all of that is whole, the index of samples is
    held against it.
    """
    corpus = storage.join(folder, "corpus")
    if not storage.exists(storage.join(corpus, "manifest.json")):
        return
    manifest: dict[str, Any] = json.loads(storage.read_bytes(storage.join(corpus, "manifest.json")))  # Any: JSON
    if "merkle_root" not in manifest:
        return  # of another stage than mix
    whole = True
    for fault in _faults(corpus, manifest):
        whole = False
        yield fault
    if whole:
        yield from astray(corpus, manifest, order_of_manifest(manifest))


def _faults(corpus: str, manifest: dict[str, Any]) -> Iterator[str]:
    for file in [*manifest["shards"], *manifest["index"]]:
        yield from _check_bytes(corpus, file)
    for shard in manifest["shards"]:
        yield from _check_tokens(corpus, shard)
    if merkle_root_of(manifest["shards"]) != manifest["merkle_root"]:
        yield "manifest: its merkle_root is not that of its shards"
    yield from order_faults(corpus, manifest)


def _check_bytes(corpus: str, file: dict[str, Any]) -> Iterator[str]:
    path = storage.join(corpus, file["name"])
    if not storage.exists(path):
        yield f"manifest: {file['name']} is gone"
    elif storage.sha256_of(path) != file["file_sha256"]:
        yield f"manifest: the bytes of {file['name']} are others"


def _check_tokens(corpus: str, shard: dict[str, Any]) -> Iterator[str]:
    digest, rows = hashlib.sha256(), 0
    try:
        with storage.open_shard(storage.join(corpus, shard["name"])) as opened, pa.ipc.open_file(opened) as reader:
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                rows += batch.num_rows
                digest.update(token_bytes(batch.column("input_ids")))
    except (OSError, pa.ArrowInvalid) as error:
        yield f"manifest: {shard['name']} cannot be read ({error})"
        return
    if rows != shard["rows"] or digest.hexdigest() != shard["tokens_sha256"]:
        yield f"manifest: {shard['name']} holds other tokens: {rows} samples of {shard['rows']}"
