"""The kept part of a tree to text.

Paragraphs, headings and what else is a block of its own stand between empty lines; items of lists, rows of tables and
other boxes each begin a line. Items have `- ` or their number before them, cells ` | ` between them. White space is
collapsed as HTML says, and a line end in the source between two Han characters is none; in `pre` all is kept.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.ingest.main_text.attributes import is_space
from stages.ingest.main_text.entities import Entities, reference
from stages.ingest.main_text.names import (
    BR,
    DD,
    DIV,
    DL,
    DT,
    H1,
    H6,
    HR,
    LI,
    LISTING,
    MENU,
    OL,
    PRE,
    SECTION,
    SUP,
    TABLE,
    TD,
    TEXT,
    TH,
    TR,
    UL,
)
from stages.ingest.main_text.scan import (
    BAD,
    CONTEXT,
    END,
    FLAGS,
    GOOD,
    HOLDER,
    LAST,
    PARENT,
    START,
    TAG,
    WEIGHT,
)
from stages.ingest.main_text.words import BROKEN, CUT, DROPPED, KEEP, LINKED, SPACED

NODE_BYTES = 32  # what is written for a node beside its text: line ends, indentation, number or borders of cells
CELL_WEIGHT = 400  # a table with a heavier cell lays out a page

# What is around a node, as bits; from _LIST on, how deep it is in lists.
_KEPT, _PRE, _CELL, _LIST = 1, 2, 4, 8
_INDENTED = 4  # lists deeper than that are not indented further
# The state of what is written: where its end is; line ends, white space (2: with a line end), list item and cells of
# the row that are to be written next; block and context of the last text; where the page's text begins.
_AT, _LINES, _SPACE, _ITEM, _CELLS, _BLOCK, _AROUND, _BEGIN = range(8)
STATE = 8


@njit(cache=True, nogil=True)
def tables(tree: np.ndarray) -> None:
    """Writes 1 to BAD of each table that holds data: cells of little text side by side, and no table in it.

    In GOOD stands the table around each node.
    """
    tree[0, GOOD] = 0
    for node in range(1, len(tree)):
        tag, parent = tree[node, TAG], tree[node, PARENT]
        around = tree[parent, GOOD]
        tree[node, GOOD] = around
        if tag == TABLE:
            tree[around, BAD] = 0
            tree[node, GOOD] = node
            tree[node, BAD] = 1
        elif (tag == TD or tag == TH) and tree[node, WEIGHT] > CELL_WEIGHT:
            tree[around, BAD] = 0


@njit(cache=True, nogil=True)
def write(page: np.ndarray, tree: np.ndarray, entities: Entities, out: np.ndarray, at: int) -> int:
    """Writes the text of what is kept from `out[at]` on; returns where it ends. There must be room for it.

    Takes at most twice the bytes of the page (`&nGt;` is two characters of three bytes) and NODE_BYTES for each node.
    """
    tables(tree)
    state = np.zeros(STATE, np.int64)
    state[_AT] = state[_BEGIN] = at
    state[_ITEM] = state[_BLOCK] = -1
    tree[0, CONTEXT] = _KEPT if tree[0, FLAGS] & KEEP else 0
    node = 1
    while node < len(tree):
        tag, parent, flags = tree[node, TAG], tree[node, PARENT], tree[node, FLAGS]
        if flags & (DROPPED | CUT) and not flags & KEEP:
            if flags & SPACED:
                state[_SPACE] = max(state[_SPACE], 1)
            if tree[node, HOLDER] == node:
                _break(state, 1, tree[parent, CONTEXT])
            node = tree[node, LAST]
            continue
        context = tree[parent, CONTEXT]
        if flags & KEEP:
            context |= _KEPT
        if not context & _KEPT:
            tree[node, CONTEXT] = context
            node += 1
            continue
        if flags & SPACED:
            state[_SPACE] = max(state[_SPACE], 2 if flags & BROKEN else 1)
        if tag == TEXT and _is_anchor(page, tree, node, entities):
            pass
        elif tag == TEXT:
            if tree[node, HOLDER] != state[_BLOCK]:
                left_list = state[_AROUND] >= _LIST > context
                lines = max(_lines(tree, tree[node, HOLDER]), _lines(tree, state[_BLOCK]))
                _break(state, 2 if left_list else lines, context)
                state[_BLOCK], state[_AROUND] = tree[node, HOLDER], context
            _text(page, tree, node, context, entities, out, state)
        else:
            context = _begin(tree, node, context, state)
        tree[node, CONTEXT] = context
        node += 1
    return int(state[_AT])


@njit(cache=True, nogil=True)
def _is_anchor(page: np.ndarray, tree: np.ndarray, node: int, entities: Entities) -> bool:
    """Says whether text is the mark by which a heading links to itself: `#`, `¶` or `§`."""
    at, end, tag = tree[node, START], tree[node, END], tree[tree[node, HOLDER], TAG]
    if not tree[node, FLAGS] & LINKED or not H1 <= tag <= H6:
        return False
    while at < end and is_space(page[at]):
        at += 1
    while at < end and is_space(page[end - 1]):
        end -= 1
    if at < end and page[at] == 38:
        code, _, last = reference(page, at, end, entities)
        return last == end and (code == 35 or code == 0xB6 or code == 0xA7)
    if end - at == 2:
        return bool(page[at] == 0xC2 and (page[at + 1] == 0xB6 or page[at + 1] == 0xA7))
    return bool(end - at == 1 and page[at] == 35)


@njit(cache=True, nogil=True)
def _lines(tree: np.ndarray, node: int) -> int:
    """Returns how many line ends stand before and after a block."""
    if node < 0:
        return 0
    tag = tree[node, TAG]
    if tag == LI or tag == TR or tag == TD or tag == TH or tag == DT or tag == DD or tag == DIV or tag == SECTION:
        return 1
    return 2


@njit(cache=True, nogil=True)
def _break(state: np.ndarray, lines: int, context: int) -> None:
    """Asks for line ends before what is written next; within a list for one, within a cell for a space."""
    if context & _CELL:
        state[_SPACE] = max(state[_SPACE], 1)
    elif context >= _LIST:
        state[_LINES] = max(state[_LINES], min(lines, 1))
    else:
        state[_LINES] = max(state[_LINES], lines)


@njit(cache=True, nogil=True)
def _begin(tree: np.ndarray, node: int, context: int, state: np.ndarray) -> int:
    """Begins an element: asks for what stands before its text, and returns the context of what is in it."""
    tag, parent = tree[node, TAG], tree[node, PARENT]
    if tag == BR:
        if context & _CELL:
            state[_SPACE] = max(state[_SPACE], 1)
        else:
            state[_LINES] = min(state[_LINES] + 1, 2)
    elif tag == TABLE or tag == HR:
        _break(state, 2, context)
    elif tag == PRE or tag == LISTING:
        _break(state, 2, context)
        return context | _PRE
    elif tag == UL or tag == OL or tag == DL or tag == MENU:
        _break(state, 2, context)
        tree[node, BAD] = 0  # items so far
        return context + _LIST if context & _CELL == 0 else context
    elif tag == LI:
        _break(state, 1, context)
        tree[parent, BAD] += 1
        if context & _CELL == 0:
            state[_ITEM] = node
    elif tree[node, HOLDER] == node and tag != TD and tag != TH:
        _break(state, 1, context)
        if tag == TR:
            state[_CELLS] = 0
    elif tag == TD or tag == TH:
        if tree[tree[node, GOOD], BAD] == 1 and context < _LIST:
            state[_CELLS] += 1
            return context | _CELL
        _break(state, 1, context)
    return context


@njit(cache=True, nogil=True)
def _text(
    page: np.ndarray, tree: np.ndarray, node: int, context: int, entities: Entities, out: np.ndarray, state: np.ndarray
) -> None:
    """Writes a run of text, references decoded and white space collapsed."""
    at, end = tree[node, START], tree[node, END]
    raw = context & _PRE != 0
    if raw and tree[tree[node, PARENT], END] == at and tree[tree[node, PARENT], TAG] == PRE:
        at += at < end and page[at] == 13
        at += at < end and page[at] == 10
    power = not raw and tree[tree[node, PARENT], TAG] == SUP and not tree[node, FLAGS] & LINKED
    while at < end:
        byte = page[at]
        first, second, begin = int(byte), 0, at
        if byte == 38:
            first, second, at = reference(page, at, end, entities)
        elif byte == 0xC2 and at + 1 < end and page[at + 1] == 0xA0:
            first = 160
            at += 2
        if first == 160 or (first < 0x80 and is_space(first)):
            at += at == begin
            if not raw:
                state[_SPACE] = max(state[_SPACE], 2 if first == 10 else 1)
            elif first != 10 or state[_LINES] == 0:
                _flush(tree, node, 0, out, state)
                _put(out, state, 32 if first == 160 else first)
            continue
        lead = byte if at == begin else 0xE4 if first >= 0x2E80 else 0
        _flush(tree, node, lead, out, state)
        if power and _is_power(page, begin, end, out, state):
            out[state[_AT]] = 94
            state[_AT] += 1
        power = False
        if at > begin:
            _put(out, state, first)
            if second:
                _put(out, state, second)
            continue
        to = state[_AT]
        while True:  # as it is, up to white space and references
            out[to] = page[at]
            to += 1
            at += 1
            if at >= end or page[at] <= 32 or page[at] == 38 or page[at] == 0xC2:
                break
        state[_AT] = to


@njit(cache=True, nogil=True)
def _is_power(page: np.ndarray, at: int, end: int, out: np.ndarray, state: np.ndarray) -> bool:
    """Says whether raised text is an exponent: digits behind a digit, a bracket, or a word of one letter or two."""
    if end - at > 3 or state[_AT] - 3 < state[_BEGIN]:
        return False
    for place in range(at, end):
        if not (48 <= page[place] <= 57 or page[place] == 45 or page[place] == 43 or page[place] == 110):
            return False
    last = out[state[_AT] - 1]
    if 48 <= last <= 57 or last == 41:
        return True
    length = 0
    while length < 3 and 97 <= (out[state[_AT] - 1 - length] | 32) <= 122:
        length += 1
    return 0 < length < 3


@njit(cache=True, nogil=True)
def _flush(tree: np.ndarray, node: int, lead: int, out: np.ndarray, state: np.ndarray) -> None:
    """Writes what stands before a character: line ends, the mark of an item, a border of cells, a space."""
    at = state[_AT]
    begins = at == state[_BEGIN]
    if state[_LINES] > 0 and not begins:
        while at > state[_BEGIN] and (out[at - 1] == 32 or out[at - 1] == 10):
            at -= 1
        for _ in range(state[_LINES]):
            out[at] = 10
            at += 1
        begins = True
    state[_LINES] = 0
    if state[_ITEM] >= 0:
        at = _mark(tree, state[_ITEM], out, at)
        state[_ITEM] = -1
        begins = True
    if state[_CELLS] > 1 and tree[tree[node, PARENT], CONTEXT] & _CELL:
        for _ in range(state[_CELLS] - 1):
            out[at], out[at + 1], out[at + 2] = 32, 124, 32
            at += 3
        state[_CELLS] = 1
        begins = True
    if state[_SPACE] > 0 and not begins:
        wide = at >= 3 and _is_wide(out[at - 3]) and out[at - 1] >= 0x80 and out[at - 2] >= 0x80 and _is_wide(lead)
        if state[_SPACE] == 1 or not wide:
            out[at] = 32
            at += 1
    state[_SPACE] = 0
    state[_AT] = at


@njit(cache=True, nogil=True)
def _is_wide(lead: int) -> bool:
    """Says whether a character of three bytes with this first one is Han or of Han's punctuation."""
    return 0xE3 <= lead <= 0xE9 or lead == 0xEF


@njit(cache=True, nogil=True)
def _mark(tree: np.ndarray, item: int, out: np.ndarray, at: int) -> int:
    """Writes the indentation and the mark or number of an item, and returns where it ends."""
    around = tree[item, PARENT]
    depth = tree[item, CONTEXT] // _LIST
    for _ in range(2 * (min(depth, _INDENTED) - 1)):
        out[at] = 32
        at += 1
    if tree[around, TAG] != OL:
        out[at], out[at + 1] = 45, 32
        return at + 2
    number = tree[around, BAD]
    digits = 1
    while number >= 10**digits:
        digits += 1
    for place in range(digits):
        out[at + digits - 1 - place] = 48 + number // 10**place % 10
    at += digits
    out[at], out[at + 1] = 46, 32
    return at + 2


@njit(cache=True, nogil=True)
def _put(out: np.ndarray, state: np.ndarray, code: int) -> None:
    """Writes one character as UTF-8."""
    at = state[_AT]
    if code < 0x80:
        out[at] = code
        at += 1
    elif code < 0x800:
        out[at], out[at + 1] = 0xC0 | code >> 6, 0x80 | code & 63
        at += 2
    elif code < 0x10000:
        out[at], out[at + 1], out[at + 2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 63, 0x80 | code & 63
        at += 3
    else:
        out[at], out[at + 1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 63
        out[at + 2], out[at + 3] = 0x80 | code >> 6 & 63, 0x80 | code & 63
        at += 4
    state[_AT] = at
