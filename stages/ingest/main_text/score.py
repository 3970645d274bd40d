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

from stages.ingest.main_text.names import (
    ARTICLE,
    ASIDE,
    BLOCK,
    BODY,
    CODE,
    DETAILS,
    DIALOG,
    DIV,
    DL,
    FIELDSET,
    FOOTER,
    FORM,
    GONE,
    H1,
    H6,
    HEADER,
    MAIN,
    NAV,
    OL,
    OTHER,
    PRE,
    SECTION,
    TABLE,
    TEXT,
    UL,
    A,
)
from stages.ingest.main_text.scan import (
    BAD,
    FLAGS,
    GOOD,
    HOLDER,
    LAST,
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
    AWAY,
    COMMENTS,
    CONTENT,
    CUT,
    DROPPED,
    KEEP,
    LINK,
    LINKED,
    MODAL,
    SURE,
    TOWARDS,
    UNLIKELY,
    UNSEEN,
    WEAKLY,
)

SENTENCE_WEIGHT = 20  # a block of less text is a scrap
LINE_WEIGHT = 60  # a line of so much text without links is no scrap, though it has no comma
LINKS_COST = 1.2  # what text in links and scraps takes away
LINE_COST = 0.5  # what a line takes away that is no sentence
CONTENT_GAIN = 1.5  # of an element that calls itself the text
SAVED_WEIGHT = 200  # an element is not dropped for its name's sake if it holds so much text in sentences
LINKS_SHARE = 0.2  # of a box with few sentences that goes
FEW_MARKS = 10


@njit(cache=True, nogil=True)
def choose(tree: np.ndarray, kinds: np.ndarray, comments: bool) -> int:
    """Marks what holds the main text with KEEP and what in it goes with DROPPED or CUT; returns the node of the first.

    `tree` has a row for each node of the page. Where no element has any sentence it is the root.
    """
    _hide(tree, kinds)
    _weigh(tree, kinds, SURE)
    total = _judge(tree)
    _prune(tree, comments)
    _weigh(tree, kinds, SURE | UNLIKELY)
    if _judge(tree) * 10 < total:
        _weigh(tree, kinds, SURE)
        _judge(tree)
    best = max(_densest(tree, kinds), 0)
    tree[best, FLAGS] |= KEEP
    _cut(tree, best)
    return best


@njit(cache=True, nogil=True)
def _hide(tree: np.ndarray, kinds: np.ndarray) -> None:
    """Marks what is no text whatever it says."""
    for node in range(1, len(tree)):
        if kinds[tree[node, TAG]] & GONE or tree[node, FLAGS] & UNSEEN:
            tree[node, FLAGS] |= SURE


@njit(cache=True, nogil=True)
def _weigh(tree: np.ndarray, kinds: np.ndarray, dropping: int) -> None:
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
def _judge(tree: np.ndarray) -> int:
    """Sums over each element what counts for and against it, and returns what counts for the page."""
    for node in range(len(tree)):
        tree[node, GOOD] = tree[node, BAD] = 0
    for node in range(len(tree) - 1, -1, -1):
        if tree[node, FLAGS] & DROPPED or tree[node, TAG] == TEXT:
            continue
        if tree[node, HOLDER] == node:
            own, links = tree[node, OWN], tree[node, OWN_LINKS]
            if own - links >= SENTENCE_WEIGHT and links * 2 < own and tree[node, OWN_MARKS] > 0:
                tree[node, GOOD] += own
            elif links * 2 >= own or own < SENTENCE_WEIGHT:
                tree[node, BAD] += int(LINKS_COST * own)
            elif own < LINE_WEIGHT or links * 5 > own:
                tree[node, BAD] += int(LINE_COST * own)
        if node > 0:
            tree[tree[node, PARENT], GOOD] += tree[node, GOOD]
            tree[tree[node, PARENT], BAD] += tree[node, BAD]
    return int(tree[0, GOOD])


@njit(cache=True, nogil=True)
def _prune(tree: np.ndarray, comments: bool) -> None:
    """Marks with UNLIKELY what says that it is not the text, if it is less than half of the page."""
    total = tree[0, WEIGHT]
    for node in range(1, len(tree)):
        tag, flags, weight = tree[node, TAG], tree[node, FLAGS], tree[node, WEIGHT]
        if flags & DROPPED or tag == TEXT or tag == BODY or tag == ARTICLE or tag == MAIN or tag == PRE or tag == CODE:
            continue
        if flags & COMMENTS and not flags & CONTENT:
            away = not comments
        elif flags & CONTENT or H1 <= tag <= H6 or weight * 2 >= total:
            away = False
        elif flags & (AWAY | MODAL) or tag == NAV or tag == FOOTER or tag == ASIDE or tag == DIALOG:
            away = True
        else:
            in_sentences = tree[node, LINKS] * 8 < weight and tree[node, MARKS] * 100 > weight
            away = flags & WEAKLY != 0 and not flags & TOWARDS and (weight <= SAVED_WEIGHT or not in_sentences)
        if away:
            tree[node, FLAGS] |= UNLIKELY


@njit(cache=True, nogil=True)
def _densest(tree: np.ndarray, kinds: np.ndarray) -> int:
    """Returns the element with the greatest sum, the innermost of equal ones; -1 where none is above 0."""
    best, most = -1, 0.0
    for node in range(len(tree)):
        tag, flags = tree[node, TAG], tree[node, FLAGS]
        if flags & DROPPED or not (kinds[tag] & BLOCK or tag == OTHER):
            continue
        value = float(tree[node, GOOD] - tree[node, BAD])
        if flags & CONTENT:
            value *= CONTENT_GAIN
        if value > 0 and value >= most:
            best, most = node, value
    return best


@njit(cache=True, nogil=True)
def _cut(tree: np.ndarray, best: int) -> None:
    """Marks with CUT the boxes in `best` that are mostly links, or that look like and hold few sentences."""
    for node in range(best + 1, tree[best, LAST]):
        tag, flags = tree[node, TAG], tree[node, FLAGS]
        if flags & DROPPED or tag == TEXT:
            continue
        weight, links, good = tree[node, WEIGHT], tree[node, LINKS], tree[node, GOOD]
        is_form = tag == FORM or tag == FIELDSET
        is_list = tag == UL or tag == OL or tag == DL or tag == TABLE
        if not (is_form or is_list) and not (
            tag == DIV or tag == SECTION or tag == HEADER or tag == ASIDE or tag == DETAILS
        ):
            continue
        away = is_form and good == 0
        if flags & (AWAY | WEAKLY | MODAL | COMMENTS) and not flags & (CONTENT | TOWARDS):
            away |= links > LINKS_SHARE * weight
        away |= links * 2 > weight and good * 3 < weight
        away |= not is_list and tree[node, MARKS] < FEW_MARKS and links > LINKS_SHARE * weight
        if away:
            tree[node, FLAGS] |= CUT
