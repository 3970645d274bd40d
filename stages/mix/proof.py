"""Proof of the order: the manifest alone says what is seen at every position, and its `order_sha256` holds it to that.

The digest of a block of positions is that of what is seen there, and `order_sha256` the Merkle root over all of them.
So a block is proved by what the plan says of it and the few nodes that lead from there to the root; no data is read.
The digests of all blocks stand in the index too (`index/order`), so that the path takes no time on a large corpus:
they are nothing to trust in, as a wrong one leads to another root.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datapipe import DataError, storage
from stages.mix.columns import ORDER_FILE
from stages.mix.merkle import audit_path, merkle_root, root_from
from stages.mix.order import Order

Facts = dict[str, Any]  # Any: JSON


@dataclass(frozen=True)
class Proof:
    """What is seen in a block, and what shows it: `path` leads from its `digest` to `root`, which is to be `expected`.

    `seen` is int64[positions, 3]: group, epoch and index in the group.
    """

    order: Order
    block: int
    seen: np.ndarray
    digest: bytes
    path: Sequence[bytes]
    expected: bytes

    @property
    def root(self) -> bytes | None:
        """The root that the path leads to."""
        return root_from(self.digest, self.block, self.order.blocks, self.path)

    @property
    def holds(self) -> bool:
        """Whether the corpus's `order_sha256` is of an order in which just this is seen in the block."""
        return self.root == self.expected


def prove(corpus: str, manifest: Facts, block: int) -> Proof:
    """Returns the proof of a block of the training split; `corpus` is the folder that holds the manifest.

    Raises:
        DataError: the manifest holds no plan of an order.
    """
    order = order_of_manifest(manifest)
    try:
        expected = bytes.fromhex(manifest["order_sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"manifest: its order_sha256 is no SHA-256 ({error!r})") from error
    seen = np.stack(order.block(block), axis=1)
    return Proof(order, block, seen, order.digest(block), _path(corpus, order, block, expected), expected)


def _path(corpus: str, order: Order, block: int, expected: bytes) -> list[bytes]:
    """Returns the audit path of a block: by the digests in the index if their root is `expected`, or else computed."""
    leaves = read_leaves(corpus)
    if leaves is not None and len(leaves) == order.blocks:
        path = audit_path(leaves, block)
        if root_from(leaves[block], block, len(leaves), path) == expected:
            return path
    return audit_path([order.digest(number) for number in range(order.blocks)], block)


def order_of_manifest(manifest: Facts) -> Order:
    """Returns the order of the training split, which the plan in a manifest defines.

    Raises:
        DataError: it holds none, or one whose numbers are none of a plan.
    """
    try:
        mix = manifest["mix"]
        labels = tuple(str(group["group"]) for group in mix["groups"])
        sizes = tuple(int(group["samples"]) for group in mix["groups"])
        named = [{str(row["group"]): int(row["samples_seen"]) for row in phase["groups"]} for phase in mix["phases"]]
        phases = tuple(tuple(quotas[label] for label in labels) for quotas in named)
        order = Order(int(mix["seed"]), labels, sizes, phases)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"manifest: holds no plan of an order: seed, groups and phases ({error!r})") from error
    numbers = [*sizes, *(quota for quotas in phases for quota in quotas)]
    if not phases or min(sizes, default=0) < 1 or min(numbers) < 0 or max(numbers) >= 1 << 62:
        raise DataError("manifest: its plan has sizes or quotas that no plan has")
    return order


def read_leaves(corpus: str) -> list[bytes] | None:
    """Returns the digests of all blocks as the index has them: none of them where its file is broken, None without."""
    path = storage.join(corpus, ORDER_FILE)
    if not storage.exists(path):
        return None
    try:
        with storage.open_shard(path) as file:
            leaves: list[bytes] = pq.read_table(file, columns=["sha256"]).column("sha256").to_pylist()
    except (KeyError, pa.ArrowInvalid):
        return []
    return leaves


def faults(corpus: str, manifest: Facts, order: Order, *, drawn: int | None = None) -> Iterator[str]:
    """Yields a sentence for each of a manifest's digests that is not that of the order, which its plan gives.

    With `drawn` only so many blocks of the training split are computed, drawn by its `order_sha256`; of the others the
    digests in the index are taken, whose root is computed all the same.
    """
    written = read_leaves(corpus)
    if drawn is not None and drawn < order.blocks and written is not None and len(written) == order.blocks:
        computed = list(written)
        for number in _drawn(manifest["order_sha256"], drawn, order.blocks):
            computed[number] = order.digest(number)
    else:
        computed = [order.digest(number) for number in range(order.blocks)]
    root = merkle_root(computed).hex()
    if root != manifest["order_sha256"]:
        yield f"manifest: its plan gives the order {root}, its order_sha256 is {manifest['order_sha256']}"
    if written is not None and written != computed:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(computed, written, strict=False))
        block = sum(1 for _ in same)
        start, end = order.positions(block)
        yield f"{ORDER_FILE}: block {block:,}, positions {start:,} up to {end:,}, is the first that is not the plan's"
    for split, facts in manifest["splits"].items():
        if split != "train":
            count = facts["samples"]
            natural = Order(order.seed, (split,), (count,), ((count,),), natural=True)
            if merkle_root([natural.digest(number) for number in range(natural.blocks)]).hex() != facts["order_sha256"]:
                yield f"manifest: the order_sha256 of {split} is not that of {count:,} samples as they are stored"


def _drawn(seed: str, count: int, blocks: int) -> set[int]:
    """Returns the numbers of about `count` blocks: for everybody the same."""
    words = (hashlib.sha256(f"{seed} {number}".encode()).digest() for number in range(count))
    return {int.from_bytes(word[:8], "big") % blocks for word in words}
