"""Which elements of a page hold its main text.

What is hidden goes; what a class, role or tag calls navigation, sharing, advertising or comments goes unless it holds
most of the page. What is left is weighed block by block: text in sentences counts for, links and scraps count against.
The element of the greatest sum holds the main text, and what in it is mostly links is cut out.

Source: the sum is that of body text extraction (Finn, Kushmerick, Smyth 2001, "Fact or fiction: content classification
for digital libraries"), over elements in place of stretches of tokens; words of classes and link density as in
Readability. Numbers are ours, chosen on the development pages that tests/bench/bench_extract.py marks as tuning.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.ingest.main_text.cut import cut, left_of, trim
from stages.ingest.main_text.feeds import feeds
from stages.ingest.main_text.names import (
    ARTICLE,
    BOX,
    MAIN,
)
from stages.ingest.main_text.prune import ARTICLE_GOOD, prune
from stages.ingest.main_text.scan import (
    BAD,
    FLAGS,
    GOOD,
    LAST,
    LINKS,
    TAG,
    WEIGHT,
)
from stages.ingest.main_text.weigh import hide, judge, weigh
from stages.ingest.main_text.words import CONTENT, CUT, DROPPED, FEED, KEEP, SURE, UNLIKELY, UNSEEN

FLOOR_RATIO = 0.5  # of the page's text without links in an element that calls itself the text
CONTENT_GAIN = 3.0  # of an element that does
INNER_RATIO = 0.8  # of a box's sentences in such an element in it
# If so much is pruned and next to nothing is left, nothing is pruned; where less than that is seen and four times as
# much is hidden, that counts too, as a script would show it.
HIDDEN_GOOD = 400
KEPT_WEIGHT = 150  # if less is left of a box, and less than a quarter, nothing is cut


@njit(cache=True, nogil=True)
def choose(tree: np.ndarray, kinds: np.ndarray, comments: bool) -> int:
    """Marks what holds the main text with KEEP and what in it goes with DROPPED or CUT; returns the node of the first.

    `tree` has a row for each node of the page. Where nothing has any sentence it is the root.
    """
    hide(tree, kinds)
    dropping = SURE | UNSEEN
    weigh(tree, kinds, dropping)
    total = judge(tree, kinds)
    if total < HIDDEN_GOOD:  # a script may be what shows the text
        weigh(tree, kinds, SURE)
        if judge(tree, kinds) > 4 * HIDDEN_GOOD:
            dropping = SURE
        weigh(tree, kinds, dropping)
        total = judge(tree, kinds)
    prune(tree, comments)
    weigh(tree, kinds, dropping | UNLIKELY)
    if judge(tree, kinds) * 10 < total and total > HIDDEN_GOOD:
        weigh(tree, kinds, dropping)
        judge(tree, kinds)
    feeds(tree, kinds)
    best = max(_densest(tree, kinds, _floor(tree)), 0)
    tree[best, FLAGS] |= KEEP
    cut(tree, kinds, best)
    trim(tree, kinds, best)
    left = left_of(tree, best, CUT)
    whole = left_of(tree, best, FEED if left >= ARTICLE_GOOD else 0)
    if left < KEPT_WEIGHT and left * 4 < whole:
        for node in range(best, tree[best, LAST]):
            tree[node, FLAGS] &= ~CUT
    return best


@njit(cache=True, nogil=True)
def _floor(tree: np.ndarray) -> int:
    """Returns the innermost element that calls itself the text and holds most of what is not in links, or -1."""
    floor = -1
    plain = FLOOR_RATIO * (tree[0, WEIGHT] - tree[0, LINKS])
    for node in range(len(tree)):
        tag, flags = tree[node, TAG], tree[node, FLAGS]
        named = flags & CONTENT != 0 or tag == ARTICLE or tag == MAIN
        if named and not flags & DROPPED and tree[node, WEIGHT] - tree[node, LINKS] > plain:
            floor = node
    return floor


@njit(cache=True, nogil=True)
def _densest(tree: np.ndarray, kinds: np.ndarray, floor: int) -> int:
    """Returns the box with the greatest sum, the innermost of equal ones.

    It is `floor` or around it, if that is not -1, and `floor` where no sum is above 0. An element in the box that calls
    itself the text and holds nearly all of its sentences is better.
    """
    articles = 0
    for node in range(len(tree)):
        one = tree[node, TAG] == ARTICLE and tree[node, GOOD] > 0
        articles += one and not tree[node, FLAGS] & DROPPED
    best, most = floor, 0.0
    for node in range(floor + 1 if floor >= 0 else len(tree)):
        tag, flags = tree[node, TAG], tree[node, FLAGS]
        if flags & DROPPED or not kinds[tag] & BOX or tree[node, LAST] <= floor:
            continue
        value = float(tree[node, GOOD] - tree[node, BAD])
        if flags & CONTENT or (tag == ARTICLE and articles == 1):
            value *= CONTENT_GAIN
        if value > 0 and value >= most:
            best, most = node, value
    inner = best
    for node in range(best + 1, tree[best, LAST] if best >= 0 else 0):
        named = tree[node, FLAGS] & (CONTENT | DROPPED) == CONTENT
        if most > 0 and named and tree[node, GOOD] >= INNER_RATIO * tree[best, GOOD]:
            inner = node
    return inner
