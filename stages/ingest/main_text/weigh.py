"""What the elements of a page weigh: text, its commas and full stops, links, and what of it is sentences."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.ingest.main_text.names import (
    BLOCK,
    GONE,
    PART,
    TEXT,
    A,
)
from stages.ingest.main_text.scan import (
    BAD,
    FLAGS,
    GOOD,
    HOLDER,
    LINKS,
    MARKS,
    OWN,
    OWN_LINKS,
    OWN_MARKS,
    PARENT,
    TAG,
    WEIGHT,
)
from stages.ingest.main_text.words import (
    DROPPED,
    LINK,
    LINKED,
    SENTENCES,
    SURE,
)

SENTENCE_WEIGHT = 20  # a block of less text is a scrap
LINE_WEIGHT = 60  # a line of so much text without links is no scrap, though it has no comma
# What they take away.
LINKS_COST = 0.3
SCRAP_COST = 0.3
LINE_COST = 0.5


@njit(cache=True, nogil=True)
def hide(tree: np.ndarray, kinds: np.ndarray) -> None:
    """Marks with SURE what goes whatever it says."""
    for node in range(1, len(tree)):
        if kinds[tree[node, TAG]] & GONE:
            tree[node, FLAGS] |= SURE


@njit(cache=True, nogil=True)
def weigh(tree: np.ndarray, kinds: np.ndarray, dropping: int) -> None:
    """Sums text, its marks and its links over each element, and over each block what is in no block within it.

    Marks with DROPPED what has a flag of `dropping` or is in such an element: it weighs nothing.
    """
    tree[0, FLAGS] &= ~DROPPED
    tree[0, HOLDER] = tree[0, WEIGHT] = tree[0, MARKS] = tree[0, LINKS] = 0
    tree[0, OWN] = tree[0, OWN_LINKS] = tree[0, OWN_MARKS] = 0
    for node in range(1, len(tree)):
        tag, parent = tree[node, TAG], tree[node, PARENT]
        flags = (tree[node, FLAGS] & ~(DROPPED | LINKED)) | (tree[parent, FLAGS] & (DROPPED | LINKED))
        if flags & dropping:
            flags |= DROPPED
        if tag == A and flags & LINK:
            flags |= LINKED
        tree[node, FLAGS] = flags
        holder = tree[parent, HOLDER]
        if tag == TEXT:
            linked = tree[node, WEIGHT] if flags & LINKED else 0
            tree[node, HOLDER] = holder
            tree[node, LINKS] = linked
            if not flags & DROPPED:
                tree[holder, OWN] += tree[node, WEIGHT]
                tree[holder, OWN_MARKS] += tree[node, MARKS]
                tree[holder, OWN_LINKS] += linked
            continue
        tree[node, HOLDER] = node if kinds[tag] & BLOCK else holder
        tree[node, WEIGHT] = tree[node, MARKS] = tree[node, LINKS] = 0
        tree[node, OWN] = tree[node, OWN_MARKS] = tree[node, OWN_LINKS] = 0
    for node in range(len(tree) - 1, 0, -1):
        if not tree[node, FLAGS] & DROPPED:
            parent = tree[node, PARENT]
            tree[parent, WEIGHT] += tree[node, WEIGHT]
            tree[parent, MARKS] += tree[node, MARKS]
            tree[parent, LINKS] += tree[node, LINKS]


@njit(cache=True, nogil=True)
def judge(tree: np.ndarray, kinds: np.ndarray) -> int:
    """Sums over each element what counts for and against it, and returns what counts for the page."""
    for node in range(len(tree)):
        tree[node, GOOD] = tree[node, BAD] = 0
        tree[node, FLAGS] &= ~SENTENCES
    for node in range(len(tree) - 1, -1, -1):
        if tree[node, FLAGS] & DROPPED or tree[node, TAG] == TEXT:
            continue
        if tree[node, HOLDER] == node:
            own, links = tree[node, OWN], tree[node, OWN_LINKS]
            if own - links >= SENTENCE_WEIGHT and links * 2 < own and tree[node, OWN_MARKS] > 0:
                tree[node, GOOD] += own
                tree[node, FLAGS] |= SENTENCES
            elif links * 2 >= own:
                tree[node, BAD] += int(LINKS_COST * own)
            elif own < SENTENCE_WEIGHT:
                tree[node, BAD] += int(SCRAP_COST * own)
            elif (own < LINE_WEIGHT or links * 5 > own) and not kinds[tree[node, TAG]] & PART:
                tree[node, BAD] += int(LINE_COST * own)
        if node > 0:
            tree[tree[node, PARENT], GOOD] += tree[node, GOOD]
            tree[tree[node, PARENT], BAD] += tree[node, BAD]
    return int(tree[0, GOOD])
