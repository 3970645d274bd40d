"""What in a page says of itself that it is not the text."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.ingest.main_text.names import (
    ARTICLE,
    ASIDE,
    BODY,
    CODE,
    DIALOG,
    FOOTER,
    H1,
    H6,
    MAIN,
    NAV,
    PRE,
    TEXT,
)
from stages.ingest.main_text.scan import (
    FLAGS,
    GOOD,
    LINKS,
    MARKS,
    PARENT,
    TAG,
    WEIGHT,
)
from stages.ingest.main_text.words import (
    AWAY,
    COMMENTS,
    CONTENT,
    DROPPED,
    MODAL,
    TOWARDS,
    UNLIKELY,
    WEAKLY,
)

ARTICLE_GOOD = 100  # an element with the page's heading and so much text in sentences is not dropped for its name
SAVED_WEIGHT = 200  # nor is one of a weak name, if so much text in it is in sentences


@njit(cache=True, nogil=True)
def prune(tree: np.ndarray, comments: bool) -> None:
    """Marks with UNLIKELY what says that it is not the text, if it is less than half of the page."""
    total = tree[0, WEIGHT]
    headed = _headed(tree)
    for node in range(1, len(tree)):
        tag, flags, weight = tree[node, TAG], tree[node, FLAGS], tree[node, WEIGHT]
        if headed[node] and tree[node, GOOD] >= ARTICLE_GOOD:
            continue
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
def _headed(tree: np.ndarray) -> np.ndarray:
    """Returns whether a heading of the first level is in each element, bool[nodes]."""
    headed = np.zeros(len(tree), np.bool_)
    for node in range(len(tree) - 1, 0, -1):
        if (headed[node] or tree[node, TAG] == H1) and not tree[node, FLAGS] & DROPPED:
            headed[tree[node, PARENT]] = True
    return headed
