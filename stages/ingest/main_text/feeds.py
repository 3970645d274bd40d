"""Lists of other pages in a page: boxes side by side, each with a linked title and perhaps some lines of text."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.ingest.main_text.names import (
    ARTICLE,
    BOX,
    LI,
    TEXT,
)
from stages.ingest.main_text.prune import ARTICLE_GOOD
from stages.ingest.main_text.scan import (
    FLAGS,
    GOOD,
    HOLDER,
    OWN,
    OWN_LINKS,
    PARENT,
    TAG,
    WEIGHT,
)
from stages.ingest.main_text.words import (
    CONTENT,
    DROPPED,
    FEED,
)

TITLE_WEIGHT = 12  # a linked line of so much text may be the title of another page
CARD_WEIGHT = 600  # a box with one, and not more text than this, may announce it
CARDS = 3  # so many side by side do


@njit(cache=True, nogil=True)
def feeds(tree: np.ndarray, kinds: np.ndarray) -> None:
    """Marks with FEED what holds boxes that announce other pages, and takes from all around what counts for them.

    Nothing is done where little else is on the page, and no article: then the page is such a list itself.
    """
    _mark(tree, kinds)
    held = np.zeros(len(tree), np.bool_)
    taken = np.zeros(len(tree), np.int32)
    rest = tree[0, GOOD]
    for node in range(1, len(tree)):
        above = tree[node, PARENT]
        held[node] = held[above] or tree[node, FLAGS] & FEED != 0
        if held[node] and not held[above]:
            rest -= tree[node, GOOD]
    if rest * 4 < tree[0, GOOD] and not _has_article(tree, held):
        for node in range(len(tree)):
            tree[node, FLAGS] &= ~FEED
        return
    for node in range(len(tree) - 1, 0, -1):
        above = tree[node, PARENT]
        if held[node]:
            taken[above] += 0 if held[above] else tree[node, GOOD]
            tree[node, GOOD] = 0
        else:
            taken[above] += taken[node]
            tree[node, GOOD] -= taken[node]
    tree[0, GOOD] -= taken[0]


@njit(cache=True, nogil=True)
def _mark(tree: np.ndarray, kinds: np.ndarray) -> None:
    """Marks with FEED what holds several cards and little else: boxes of little text that have a linked line."""
    titled = np.zeros(len(tree), np.bool_)
    cards = np.zeros((len(tree), 3), np.int32)  # how many, their weight, and what counts for them
    for node in range(len(tree) - 1, 0, -1):
        tag, above = tree[node, TAG], tree[node, PARENT]
        if tree[node, FLAGS] & DROPPED or tag == TEXT:
            continue
        links, weight, good = tree[node, OWN_LINKS], tree[node, WEIGHT], tree[node, GOOD]
        if tree[node, HOLDER] == node and links >= TITLE_WEIGHT and links * 2 > tree[node, OWN]:
            titled[node] = True
        if cards[node, 0] >= CARDS and cards[node, 1] * 2 > weight and cards[node, 2] * 4 >= good * 3:
            tree[node, FLAGS] |= FEED
        elif titled[node] and weight <= CARD_WEIGHT and (kinds[tag] & BOX or tag == LI):
            cards[above, 0] += 1
            cards[above, 1] += weight
            cards[above, 2] += good
        titled[above] |= titled[node]


@njit(cache=True, nogil=True)
def _has_article(tree: np.ndarray, held: np.ndarray) -> bool:
    """Says whether something that calls itself an article has some text and is in no feed."""
    for node in range(1, len(tree)):
        named = tree[node, TAG] == ARTICLE or tree[node, FLAGS] & CONTENT != 0
        if named and not held[node] and not tree[node, FLAGS] & DROPPED and tree[node, GOOD] >= ARTICLE_GOOD:
            return True
    return False
