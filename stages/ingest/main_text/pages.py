"""The main text of each page of a batch, in one call of a kernel."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.ingest.main_text.entities import ENTITIES, Entities
from stages.ingest.main_text.names import KINDS, Names
from stages.ingest.main_text.scan import BYTES, COLUMNS, DEPTH_LIMIT, NODES_LIMIT, scan
from stages.ingest.main_text.score import choose
from stages.ingest.main_text.words import NAMES
from stages.ingest.main_text.write import NODE_BYTES, write

PAGE_BYTES = 2**31 - 1  # places in a page are int32


def main_texts(pages: list[bytes], *, comments: bool = False) -> list[str | None]:
    """Returns the main text of each page of UTF-8; None where it has more than NODES_LIMIT elements and texts.

    >>> main_texts(["<nav><a href=/>首页</a></nav><p>他说<b>好</b>了，大家都听见了。".encode()])
    ['他说好了，大家都听见了。']
    """
    data = np.frombuffer(b"".join(pages), np.uint8)
    offsets = np.zeros(len(pages) + 1, np.int64)
    np.cumsum([len(page) for page in pages], out=offsets[1:])
    rooms = [min(2 * page.count(b"<") + 4, NODES_LIMIT) for page in pages]
    tree = np.empty((max(rooms, default=0), COLUMNS), np.int32)
    out = np.empty(2 * len(data) + NODE_BYTES * sum(rooms), np.uint8)
    ends = np.zeros(len(pages), np.int64)
    _main_texts(data, offsets, comments, NAMES, KINDS, BYTES, ENTITIES, tree, out, ends)
    text, begin = out.data, 0
    texts: list[str | None] = []
    for end in ends.tolist():
        if end < 0:
            texts.append(None)
        else:
            texts.append(str(text[begin:end], "utf-8", "replace"))
            begin = end
    return texts


@njit(cache=True, nogil=True)
def _main_texts(
    data: np.ndarray,
    offsets: np.ndarray,
    comments: bool,
    names: Names,
    kinds: np.ndarray,
    weights: np.ndarray,
    entities: Entities,
    tree: np.ndarray,
    out: np.ndarray,
    ends: np.ndarray,
) -> None:
    stack = np.zeros(DEPTH_LIMIT + 1, np.int32)
    at = 0
    for row in range(len(ends)):
        page = data[offsets[row] : offsets[row + 1]]
        count = scan(page, names, kinds, weights, tree, stack) if len(page) <= PAGE_BYTES else -1
        if count < 0:
            ends[row] = -1
            continue
        found = tree[:count]
        choose(found, kinds, comments)
        at = write(page, found, entities, out, at)
        ends[row] = at
