"""The bytes of a page to a tree: tags and text, and which elements hold which.

A simplified tree builder. It knows void elements, elements whose content is no markup, end tags that may be left out
and what ends what; it does not move misplaced content, nor open formatting again where elements overlap. Whatever the
page holds takes time in proportion to its length: an element is looked for at most DEPTH_LIMIT levels up.

Source: WHATWG HTML Standard, sections 13.2.5 (tokenization) and 13.2.6 (tree construction); the depth is Blink's.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.ingest.main_text.attributes import attributes_of, is_letter, is_space, lower, name_at
from stages.ingest.main_text.names import (
    BLOCK,
    BODY,
    BR,
    BUTTON,
    CAPTION,
    DD,
    DIV,
    DT,
    ELEMENT_SEED,
    GONE,
    H1,
    H6,
    HEAD,
    HEADLIKE,
    HR,
    HTML,
    INPUT,
    LI,
    MATH,
    OPTGROUP,
    OPTION,
    OTHER,
    PRE,
    RAW,
    SCOPE,
    SVG,
    TABLE,
    TBODY,
    TD,
    TEXT,
    TFOOT,
    TH,
    THEAD,
    TR,
    VOID,
    A,
    Names,
    P,
    look_up,
    start_of,
    step,
)
from stages.ingest.main_text.words import BROKEN, LINK, SPACED

DEPTH_LIMIT = 512  # what is nested deeper stands beside the element that it is in
NODES_LIMIT = 1 << 20  # a page of more is refused

# Columns of a tree, int32[nodes, COLUMNS], a row a node, in the order in which they begin.
TAG, PARENT, LAST, FLAGS, START, END, WEIGHT, MARKS, LINKS, HOLDER, OWN, OWN_MARKS, OWN_LINKS, GOOD, BAD, CONTEXT = (
    range(16)
)
COLUMNS = 16

# What a byte of text is, as bits; the lowest two say how much it weighs.
_PUNCTUATION, _WIDE, _REFERENCE = 4, 8, 16
BYTES = np.zeros(256, np.uint8)
BYTES[33:127] = 1
BYTES[0xC3:0xE1] = 1
BYTES[0xE1:0xF5] = 2
for _byte in b",.!?;:":
    BYTES[_byte] = 1 | _PUNCTUATION
BYTES[0xE3] = BYTES[0xEF] = BYTES[0xE2] = 2 | _WIDE
BYTES[ord("&")] = _REFERENCE


@njit(cache=True, nogil=True)
def _tag_at(page: np.ndarray, at: int) -> bool:
    """Says whether the `<` at `at` begins markup: a tag, a comment, a declaration."""
    if at + 1 >= len(page):
        return False
    byte = page[at + 1]
    if byte == 33 or byte == 63:
        return True
    if byte == 47:
        return at + 2 < len(page)
    return is_letter(byte)


@njit(cache=True, nogil=True)
def _text(page: np.ndarray, at: int, kinds: np.ndarray) -> tuple[int, int, int]:
    """Returns where the text that begins at `at` ends, its weight, and its commas and ends of sentences.

    A Han character weighs two, a Latin letter one, white space nothing.
    """
    end = len(page)
    weight = marks = 0
    while at < end:
        byte = page[at]
        if byte == 60 and _tag_at(page, at):
            break
        kind = kinds[byte]
        weight += kind & 3
        if kind > 3:
            if kind & _PUNCTUATION:
                marks += at + 1 >= end or is_space(page[at + 1]) or page[at + 1] == 60 or page[at + 1] >= 0x80
            elif kind & _WIDE:
                if at + 2 < end:
                    second, third = page[at + 1], page[at + 2]
                    marks += (byte == 0xE3 and second == 0x80 and (third == 0x81 or third == 0x82)) or (
                        byte == 0xEF and second == 0xBC and (third == 0x8C or third == 0x81 or 0x9A <= third <= 0x9F)
                    )
                    weight -= 2 * (byte == 0xE3 and second == 0x80 and third == 0x80)
            else:
                semicolon = at + 1
                while semicolon < end and semicolon < at + 10 and page[semicolon] > 34 and page[semicolon] != 60:
                    if page[semicolon] == 59:
                        at = semicolon
                        break
                    semicolon += 1
        at += 1
    return at, weight, marks


@njit(cache=True, nogil=True)
def _markup_end(page: np.ndarray, at: int) -> int:
    """Returns where the comment, declaration or instruction ends of which `at` is the byte behind `<`."""
    end = len(page)
    comment = at + 2 < end and page[at] == 33 and page[at + 1] == 45 and page[at + 2] == 45
    at += 2 if comment else 1
    first = at
    while at < end:
        if page[at] == 62:
            if not comment or (page[at - 1] == 45 and page[at - 2] == 45):
                return at + 1
            if at > first + 3 and page[at - 1] == 33 and page[at - 2] == 45 and page[at - 3] == 45:
                return at + 1
        at += 1
    return end


@njit(cache=True, nogil=True)
def _raw_end(page: np.ndarray, at: int, tag: int, names: Names) -> int:
    """Returns where the end tag begins of an element whose content is no markup."""
    end = len(page)
    while at + 2 < end:
        if page[at] == 60 and page[at + 1] == 47 and is_letter(page[at + 2]):
            key = start_of(ELEMENT_SEED)
            last = at + 2
            while last < end and is_letter(page[last]):
                key = step(key, lower(page[last]))
                last += 1
            if look_up(names, key) == tag:
                return at
            at = last
        else:
            at += 1
    return end


@njit(cache=True, nogil=True)
def _open(tree: np.ndarray, stack: np.ndarray, depth: int, kinds: np.ndarray, first: int, last: int, stop: int) -> int:
    """Returns the level of the innermost open element of a tag from `first` to `last`, 0 where there is none in scope.

    `stop`: kinds of elements at which the search ends.
    """
    for level in range(depth - 1, 0, -1):
        tag = tree[stack[level], TAG]
        if first <= tag <= last:
            return level
        if kinds[tag] & stop and not (stop == BLOCK and tag == P):
            return 0
    return 0


@njit(cache=True, nogil=True)
def _implied(tree: np.ndarray, stack: np.ndarray, depth: int, kinds: np.ndarray, open_: np.ndarray, tag: int) -> int:
    """Returns to which level the elements end that a start tag ends; `depth` where it ends none."""
    top = tree[stack[depth - 1], TAG]
    if top == HEAD and not kinds[tag] & HEADLIKE:
        return depth - 1
    level = 0
    if tag == LI and open_[LI] > 0:
        level = _item(tree, stack, depth, kinds, LI, LI)
    elif (tag == DT or tag == DD) and open_[DT] + open_[DD] > 0:
        level = _item(tree, stack, depth, kinds, DT, DD)
    elif tag == TD or tag == TH:
        level = _cell(tree, stack, depth, TD, TH, TR)
    elif tag == TR:
        level = _cell(tree, stack, depth, TR, TR, TABLE)
    elif tag == TBODY or tag == THEAD or tag == TFOOT:
        level = _cell(tree, stack, depth, THEAD, TFOOT, TABLE)
    elif (tag == OPTION or tag == OPTGROUP) and top == OPTION:
        level = depth - 1
    elif tag == BUTTON and open_[BUTTON] > 0:
        level = _open(tree, stack, depth, kinds, BUTTON, BUTTON, BLOCK)
    elif H1 <= tag <= H6 and H1 <= top <= H6:
        level = depth - 1
    elif tag == A and open_[A] > 0:
        level = _open(tree, stack, depth, kinds, A, A, BLOCK)
    if level == 0 and kinds[tag] & BLOCK and open_[P] > 0:
        level = _open(tree, stack, depth, kinds, P, P, SCOPE)
    return level if level > 0 else depth


@njit(cache=True, nogil=True)
def _item(tree: np.ndarray, stack: np.ndarray, depth: int, kinds: np.ndarray, first: int, last: int) -> int:
    """Returns the level of the list item that a new one ends, 0 where a list or block begins in between."""
    for level in range(depth - 1, 0, -1):
        tag = tree[stack[level], TAG]
        if first <= tag <= last:
            return level
        if kinds[tag] & (BLOCK | SCOPE) and tag != P and tag != DIV:
            return 0
    return 0


@njit(cache=True, nogil=True)
def _cell(tree: np.ndarray, stack: np.ndarray, depth: int, first: int, last: int, stop: int) -> int:
    """Returns the level of the cell, row or group of rows that a new one ends in its table, 0 where none is open."""
    for level in range(depth - 1, 0, -1):
        tag = tree[stack[level], TAG]
        if first <= tag <= last:
            return level
        if tag == stop or tag == TABLE:
            return 0
    return 0


@njit(cache=True, nogil=True)
def _close(tree: np.ndarray, stack: np.ndarray, depth: int, open_: np.ndarray, level: int, count: int) -> int:
    """Ends all elements from `level` on, and returns the new depth."""
    while depth > level:
        depth -= 1
        node = stack[depth]
        tree[node, LAST] = count
        open_[tree[node, TAG]] -= 1
    return depth


@njit(cache=True, nogil=True)
def _ended(tree: np.ndarray, stack: np.ndarray, depth: int, kinds: np.ndarray, open_: np.ndarray, tag: int) -> int:
    """Returns to which level the elements end that an end tag ends; `depth` where it ends none."""
    if tag == HTML or tag == BODY or (open_[tag] == 0 and not H1 <= tag <= H6):
        return depth
    if tag == TABLE or TR <= tag <= CAPTION:
        level = _cell(tree, stack, depth, tag, tag, TABLE)
    elif H1 <= tag <= H6:
        level = _open(tree, stack, depth, kinds, H1, H6, SCOPE)
    else:
        level = _open(tree, stack, depth, kinds, tag, tag, SCOPE if kinds[tag] & (BLOCK | GONE) else BLOCK)
        if level == 0 and tag == A:
            _unlink(tree, stack, depth)
    return level if level > 0 else depth


@njit(cache=True, nogil=True)
def _unlink(tree: np.ndarray, stack: np.ndarray, depth: int) -> None:
    """Makes the innermost open link none: blocks in it are open that its end would have to cut."""
    for level in range(depth - 1, 0, -1):
        if tree[stack[level], TAG] == A:
            tree[stack[level], FLAGS] &= ~LINK
            return


@njit(cache=True, nogil=True)
def _node(tree: np.ndarray, count: int, tag: int, parent: int, flags: int, start: int, end: int) -> None:
    """Writes a node that holds nothing yet."""
    tree[count, TAG] = tag
    tree[count, PARENT] = parent
    tree[count, LAST] = count + 1
    tree[count, FLAGS] = flags
    tree[count, START] = start
    tree[count, END] = end
    tree[count, WEIGHT] = 0
    tree[count, MARKS] = 0


@njit(cache=True, nogil=True)
def _blank(page: np.ndarray, at: int, end: int) -> int:
    """Returns SPACED, and BROKEN if there is a line end, for text of white space alone, else 0."""
    found = SPACED
    while at < end and is_space(page[at]):
        if page[at] == 10:
            found |= BROKEN
        at += 1
    return found if at >= end else 0


@njit(cache=True, nogil=True)
def scan(
    page: np.ndarray, names: Names, kinds: np.ndarray, weights: np.ndarray, tree: np.ndarray, stack: np.ndarray
) -> int:
    """Writes the tree of a page, and returns how many nodes it has; -1 where that is more than there is room for.

    Node 0 is the root. Text of white space alone is no node: the next one is SPACED, but in `pre`. `stack`:
    int32[DEPTH_LIMIT].
    """
    end = len(page)
    open_ = np.zeros(len(kinds), np.int32)
    _node(tree, 0, OTHER, -1, 0, 0, 0)
    stack[0] = 0
    count = depth = 1
    at = space = 0
    while at < end:
        if count + 1 >= len(tree):
            return -1
        if page[at] != 60 or not _tag_at(page, at):
            start = at
            at, weight, marks = _text(page, at, weights)
            blank = _blank(page, start, at) if weight == 0 and open_[PRE] == 0 else 0
            if blank:
                space |= blank
                continue
            if tree[stack[depth - 1], TAG] == HEAD and weight > 0:
                depth = _close(tree, stack, depth, open_, depth - 1, count)
            _node(tree, count, TEXT, stack[depth - 1], space, start, at)
            tree[count, WEIGHT] = weight
            tree[count, MARKS] = marks
            space = 0
            count += 1
            continue
        at += 1
        byte = page[at]
        ends = byte == 47
        if ends:
            at += 1
        if at >= end or not is_letter(page[at]):
            at = _markup_end(page, at - 1 if ends else at)
            continue
        key, at = name_at(page, at, ELEMENT_SEED)
        tag = max(look_up(names, key), OTHER)
        flags, at = attributes_of(page, at, names)
        kind = kinds[tag]
        if ends and tag != BR:
            level = _ended(tree, stack, depth, kinds, open_, tag)
            depth = _close(tree, stack, depth, open_, level, count)
            continue
        in_foreign = open_[SVG] + open_[MATH] > 0
        itself = in_foreign and page[at - 1] == 62 and page[at - 2] == 47
        if kind & RAW:
            at = at if itself else _raw_end(page, at, tag, names)
            continue
        if tag == HTML or (kind & VOID and tag != BR and tag != HR and tag != INPUT):
            continue
        if (tag == BODY and open_[BODY] > 0) or (tag == HEAD and depth > 1):
            continue
        level = _implied(tree, stack, depth, kinds, open_, tag)
        depth = _close(tree, stack, depth, open_, level, count)
        if tag == A and open_[A] > 0:
            _unlink(tree, stack, depth)
        flags = 0 if tag == BODY else flags | space if tag == A else flags & ~LINK | space
        if depth == DEPTH_LIMIT:
            depth = _close(tree, stack, depth, open_, depth - 1, count)
        _node(tree, count, tag, stack[depth - 1], flags, at, at)
        space = 0
        if not kind & VOID and not itself:
            stack[depth] = count
            open_[tag] += 1
            depth += 1
        count += 1
    _close(tree, stack, depth, open_, 0, count)
    return count
