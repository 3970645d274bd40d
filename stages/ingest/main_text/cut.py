"""What in the element that holds the main text is not the text."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.ingest.main_text.names import (
    ASIDE,
    DETAILS,
    DIV,
    FIELDSET,
    FORM,
    H1,
    H6,
    HEADER,
    LIST,
    PART,
    PRE,
    SECTION,
    TEXT,
)
from stages.ingest.main_text.scan import (
    FLAGS,
    GOOD,
    HOLDER,
    LAST,
    LINKS,
    MARKS,
    OWN,
    TAG,
    WEIGHT,
)
from stages.ingest.main_text.words import (
    AWAY,
    COMMENTS,
    CONTENT,
    CUT,
    DROPPED,
    FEED,
    LINKED,
    MODAL,
    SENTENCES,
    TOWARDS,
    WEAKLY,
)

LINKS_SHARE = 0.2  # of a box with few sentences that goes
FEW_MARKS = 10
TRIM_WEIGHT = 60  # of a line that is trimmed


@njit(cache=True, nogil=True)
def cut(tree: np.ndarray, kinds: np.ndarray, best: int) -> None:
    """Marks with CUT the boxes in `best` that are mostly links, or that look like and hold few sentences."""
    for node in range(best + 1, tree[best, LAST]):
        tag, flags = tree[node, TAG], tree[node, FLAGS]
        if flags & DROPPED or tag == TEXT:
            continue
        weight, links, good = tree[node, WEIGHT], tree[node, LINKS], tree[node, GOOD]
        is_form = tag == FORM or tag == FIELDSET
        is_list = kinds[tag] & LIST != 0
        is_box = tag == DIV or tag == SECTION or tag == HEADER or tag == ASIDE or tag == DETAILS
        if not (is_form or is_list or is_box):
            continue
        if flags & FEED:
            tree[node, FLAGS] |= CUT
            continue
        if weight * 4 > tree[best, WEIGHT] * 3 or flags & CONTENT:
            continue
        away = is_form and good == 0
        if flags & (AWAY | WEAKLY | MODAL | COMMENTS) and not flags & (CONTENT | TOWARDS):
            away |= links > LINKS_SHARE * weight
        away |= links * 2 > weight and good * 3 < weight
        away |= not is_list and tree[node, MARKS] < FEW_MARKS and links > LINKS_SHARE * weight
        if away:
            tree[node, FLAGS] |= CUT


@njit(cache=True, nogil=True)
def trim(tree: np.ndarray, kinds: np.ndarray, best: int) -> None:
    """Marks with CUT the short lines in `best` before the first sentences and behind the last: names, dates, labels.

    Lower headings stay before the text, and parts of lists and tables stay everywhere.
    """
    first, last = -1, tree[best, LAST]
    before = after = 0
    for node in range(best, tree[best, LAST]):
        tag, flags = tree[node, TAG], tree[node, FLAGS]
        if flags & DROPPED:
            continue
        if tag == PRE or flags & SENTENCES:
            first = node if first < 0 else first
            last, after = node, 0
        elif tag == TEXT and not flags & LINKED:
            before += tree[node, WEIGHT] if first < 0 else 0
            after += tree[node, WEIGHT] if tree[node, HOLDER] != last else 0
    if first < 0:
        return
    for node in range(best + 1, tree[best, LAST]):
        tag, own = tree[node, TAG], tree[node, OWN]
        if tree[node, HOLDER] != node or tree[node, FLAGS] & DROPPED or kinds[tag] & PART or tree[node, GOOD] > 0:
            continue
        head = node < first and not H1 < tag <= H6 and before <= tree[best, GOOD]
        tail = node > last and after <= tree[best, GOOD]
        if (head or tail) and 0 < own <= TRIM_WEIGHT:
            tree[node, FLAGS] |= CUT


@njit(cache=True, nogil=True)
def left_of(tree: np.ndarray, best: int, going: int) -> int:
    """Returns the weight of what is in `best` and not dropped, nor in an element with a flag of `going`."""
    weight = 0
    node = best + 1
    while node < tree[best, LAST]:
        if tree[node, FLAGS] & (DROPPED | going):
            node = tree[node, LAST]
            continue
        weight += tree[node, WEIGHT] if tree[node, TAG] == TEXT else 0
        node += 1
    return weight
