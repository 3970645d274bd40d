"""What `datapipe verify` checks of a corpus: its shards against the digests of its manifest, and its order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pyarrow as pa

from datapipe import DataError, Look, storage
from stages.mix.account import differing, missing
from stages.mix.manifest import merkle_root_of
from stages.mix.proof import faults as order_faults
from stages.mix.proof import order_of_manifest
from stages.mix.witness import astray
from stages.mix.write import token_bytes

_DRAWN = 64  # blocks of an order that a quick look computes
_OF_A_MIX = ("merkle_root", "order_sha256", "mix", "splits")  # other stages write a corpus without


def check(folder: str, look: Look | None = None) -> Iterator[str]:
    """Yields a sentence for each file that is not what the manifest says, and for what it says that cannot be.

    `tokens_sha256` is over tokens alone, so it still speaks where a shard was written again in another format. The
    order is computed again from the plan that the manifest holds; where all of that is whole, the index of samples is
    held against it. A quick look hashes tokens only where the bytes of a shard are others.
    """
    look = look or Look(folder)
    corpus = storage.join(folder, "corpus")
    content = storage.read_if_there(storage.join(corpus, "manifest.json"))
    try:
        manifest: Any = None if content is None else json.loads(content)  # Any: JSON
        if isinstance(manifest, dict) and not manifest.keys().isdisjoint(_OF_A_MIX):
            yield from _faults(look, corpus, manifest)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        yield f"manifest: is not as mix writes it ({type(error).__name__}: {error})"


def _faults(look: Look, corpus: str, manifest: dict[str, Any]) -> Iterator[str]:
    tokenizer = {"name": manifest["tokenizer"]["kind"], "file_sha256": manifest["tokenizer"]["sha256"]}
    files = [*manifest["shards"], *manifest["index"], tokenizer]
    digests = look.sha256_of_all([f"corpus/{file['name']}" for file in files])
    found = [fault for file, digest in zip(files, digests, strict=True) for fault in _check_bytes(corpus, file, digest)]
    shards = [
        shard
        for shard, digest in zip(manifest["shards"], digests, strict=False)
        if not look.quick or shard["file_sha256"] != digest
    ]
    with ThreadPoolExecutor(look.at_once) as pool:
        found += [fault for faults in pool.map(partial(_check_tokens, corpus), shards) for fault in faults]
    if merkle_root_of(manifest["shards"]) != manifest["merkle_root"]:
        found.append("manifest: its merkle_root is not that of its shards")
    yield from found
    try:
        order = order_of_manifest(manifest)
    except DataError as error:
        yield str(error)
        return
    differs = [f"manifest: {said}" for said in differing(manifest)]
    yield from differs
    if differs:
        return  # the order would be one of another length
    found += (strays := list(order_faults(corpus, manifest, order, drawn=_DRAWN if look.quick else None)))
    yield from strays
    if not found:
        lacking = list(missing(corpus, manifest))
        yield from lacking or astray(corpus, manifest, order)


def _check_bytes(corpus: str, file: dict[str, Any], digest: str | None) -> Iterator[str]:
    path = storage.join(corpus, file["name"])
    if digest is None:
        yield f"manifest: {file['name']} is gone"
    elif digest != file["file_sha256"]:
        yield f"manifest: the bytes of {file['name']} are others"
    elif "bytes" in file and storage.size_of(path) != file["bytes"]:
        yield f"manifest: {file['name']} has {storage.size_of(path):,} bytes, not {file['bytes']:,}"


def _check_tokens(corpus: str, shard: dict[str, Any]) -> list[str]:
    digest, rows = hashlib.sha256(), 0
    try:
        with storage.open_shard(storage.join(corpus, shard["name"])) as opened, pa.ipc.open_file(opened) as reader:
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                rows += batch.num_rows
                digest.update(token_bytes(batch.column("input_ids")))
    except (OSError, pa.ArrowInvalid) as error:
        return [f"manifest: {shard['name']} cannot be read ({error})"]
    if rows != shard["rows"] or digest.hexdigest() != shard["tokens_sha256"]:
        return [f"manifest: {shard['name']} holds other tokens: {rows} samples of {shard['rows']}"]
    return []
