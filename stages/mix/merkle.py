"""Merkle trees: one digest over a list, and for each of its leaves the few others that lead to that digest.

Source: RFC 6962, section 2.1 (the tree, with distinct prefixes for leaves and nodes) and 2.1.1 (audit paths).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Returns the root over `leaves`, 32 bytes."""
    return _levels(leaves)[-1][0] if leaves else hashlib.sha256().digest()


def audit_path(leaves: Sequence[bytes], number: int) -> list[bytes]:
    """Returns the nodes that lead from leaf `number` to the root, the lowest first."""
    path = []
    for level in _levels(leaves)[:-1]:
        if number ^ 1 < len(level):
            path.append(level[number ^ 1])
        number //= 2
    return path


def root_from(leaf: bytes, number: int, leaves: int, path: Sequence[bytes]) -> bytes | None:
    """Returns the root that `path` leads to from leaf `number` of `leaves`; None where it is not of their length.

    >>> leaves = [b"a", b"b", b"c"]
    >>> root_from(b"c", 2, 3, audit_path(leaves, 2)) == merkle_root(leaves)
    True
    """
    node, rest = _leaf(leaf), list(path)
    while leaves > 1:
        if number ^ 1 < leaves:
            if not rest:
                return None
            other = rest.pop(0)
            node = _node(other, node) if number % 2 else _node(node, other)
        number, leaves = number // 2, (leaves + 1) // 2
    return None if rest else node


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Returns the nodes of the tree by height; the last of an odd number is a node of the next height too."""
    levels = [[_leaf(leaf) for leaf in leaves]]
    while len(levels[-1]) > 1:
        level = levels[-1]
        paired = [_node(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        levels.append(paired + level[len(level) - len(level) % 2 :])
    return levels


def _leaf(content: bytes) -> bytes:
    return hashlib.sha256(b"\0" + content).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
