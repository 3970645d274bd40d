"""Finds the terms of a trie in the bytes of texts, and adds up their weights by category.

At each Han (or other unspaced) letter, and at the first letter of each word, the trie is walked as far as it goes; of
each category the longest term that begins there counts, and none that begins within one that counted. A word of a
term ends where the word of the text does. Up to two gaps (`微*信`) stand between letters where one is Han, up to three
between words.

A term counts whole, and a quarter where it stood before within 1,000 of weighted length: a page that says many things
of a kind outweighs one that repeats a word. The walk costs where a letter begins a term, so clean text costs its
reading.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from stages.buffers import utf8
from stages.dedup.fold import CODE_BITS, CODE_POINTS
from stages.quality.decoding import Bytes, Number, character
from stages.safety.terms import EXEMPT, GAP, LONGEST, OURS, STARTS, TELLING, WORD, Trie

REACH: Final = 2000  # weighted length, in halves, within which a term is one again
WIDE: Final = 0x2E80  # characters from here on are full-width
HAN_GAPS: Final = 2
WORD_GAPS: Final = 3
HITS, DISTINCT = 0, 1
_TELLING_WEIGHT = 4 * TELLING
_PRIME = np.uint64(0x9E3779B97F4A7C15)


def weigh(text: pa.Array, terms: Trie, categories: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns sums[texts, categories, 2] and lengths[texts] of texts, both int64.

    Sums are of the hits, by weight and in quarters, and the number of distinct terms that tell (weight 2 or 3). Lengths
    are the weighted length (quality's signal of that name) in halves.
    """
    data, offsets = utf8(text)
    sums = np.zeros((len(text), categories, 2), np.int64)
    lengths = np.zeros(len(text), np.int64)
    seen = np.full((2, len(terms.weight)), -1, np.int64)
    _weigh(data, offsets, *terms, seen, sums, lengths)
    return sums, lengths


@njit(cache=True, nogil=True)
def _weigh(
    data: Bytes,
    offsets: NDArray[np.int64],
    entry: NDArray[np.int32],
    folded: NDArray[np.uint32],
    edges: NDArray[np.uint64],
    targets: NDArray[np.int32],
    starts: Bytes,
    held: NDArray[np.int32],
    further: NDArray[np.int32],
    category: NDArray[np.int32],
    weight: NDArray[np.int32],
    seen: NDArray[np.int64],
    sums: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> None:
    until = np.zeros(sums.shape[1], np.int64)
    ends = np.zeros((2, LONGEST + 1), np.int64)
    for document in range(len(offsets) - 1):
        at, stop = offsets[document], offsets[document + 1]
        until[:] = 0
        halves = 0
        while at < stop:
            byte = int(data[at])
            if byte < 0x80:
                code, after = np.int64(byte), at + 1
                halves += byte > 32
            else:
                code, after = character(data, at)
                halves += 2 if code >= WIDE else 1
            root = entry[code] if code < CODE_POINTS else 0
            kind = root & 3
            if kind == GAP and byte >= 0x80:
                halves -= 2 if code >= WIDE else 1
            before = halves
            if kind == WORD:  # the rest of the word begins no term
                key = np.int64(root >> 2)
                begin = after
                while after < stop:
                    byte = int(data[after])
                    if byte < 0x80:
                        if entry[byte] & 3 != WORD:
                            break
                        key = key * 33 + (byte | 32)
                        after += 1
                        halves += 1
                    else:
                        code, following = character(data, after)
                        if code >= CODE_POINTS or entry[code] & 3 != WORD:
                            break
                        key = key * 33 + np.int64(folded[code])
                        after = following
                        halves += 2 if code >= WIDE else 1
                begins = root >= 4 and starts[key & (STARTS - 1)] & 8 > 0
            elif root >= 4:
                begin = after
                begins = held[root >> 2] > 0
                if after < stop:
                    code, following = character(data, after)
                    second = entry[code] & 3 if code < CODE_POINTS else 0
                    begins |= second == GAP
                    if second >= WORD:
                        key = np.int64(root >> 2) * 7919 + np.int64(folded[code]) * 31
                        bits = starts[key & (STARTS - 1)]
                        begins |= bits & 2 > 0
                        if bits & 1 > 0 and following < stop:
                            code, _ = character(data, following)
                            third = entry[code] & 3 if code < CODE_POINTS else 0
                            begins |= third == GAP
                            if third >= WORD:
                                begins |= starts[(key * 31 + np.int64(folded[code])) & (STARTS - 1)] & 4 > 0
            else:
                begins = False
            if begins:
                found = _walk(data, begin, stop, root >> 2, kind, entry, folded, edges, targets, held, ends)
                if found > 0:
                    _add(document, at, before, found, ends, held, further, category, weight, until, seen, sums)
            at = after
        lengths[document] = halves


@njit(cache=True, nogil=True)
def _walk(
    data: Bytes,
    at: int,
    stop: int,
    node: int,
    last: int,
    entry: NDArray[np.int32],
    folded: NDArray[np.uint32],
    edges: NDArray[np.uint64],
    targets: NDArray[np.int32],
    held: NDArray[np.int32],
    ends: NDArray[np.int64],
) -> int:
    """Returns how many nodes with terms the text leads to from `node`: ends[0] are they, ends[1] the bytes after."""
    found = 0
    while True:
        code, after, kind, gaps, begin = np.int64(0), at, 0, 0, at
        while begin < stop:
            code, after = character(data, begin)
            kind = entry[code] & 3 if code < CODE_POINTS else 0
            if kind != GAP or gaps > WORD_GAPS:
                break
            gaps += 1
            begin = after
        if begin >= stop:
            kind = 0
        if held[node] > 0 and not (last == WORD and kind == WORD and gaps == 0):
            ends[0, found] = node
            ends[1, found] = at
            found += 1
        if kind < WORD or found >= LONGEST:
            return found
        if gaps > 0:
            if last == WORD and kind == WORD:
                node = _follow(edges, targets, node, np.int64(32))
                if gaps > WORD_GAPS or node == 0:
                    return found
            elif gaps > HAN_GAPS:
                return found
        node = _follow(edges, targets, node, np.int64(folded[code]))
        if node == 0:
            return found
        at, last = after, kind


@njit(cache=True, nogil=True)
def _follow(edges: NDArray[np.uint64], targets: NDArray[np.int32], node: int, code: Number) -> int:
    key = np.uint64(node) << np.uint64(CODE_BITS) | np.uint64(code)
    size = len(edges)
    place = np.int64((key * _PRIME) >> np.uint64(40)) & (size - 1)
    while edges[place] != 0:
        if edges[place] == key:
            return int(targets[place])
        place = (place + 1) & (size - 1)
    return 0


@njit(cache=True, nogil=True)
def _add(
    document: int,
    start: int,
    halves: int,
    found: int,
    ends: NDArray[np.int64],
    held: NDArray[np.int32],
    further: NDArray[np.int32],
    categories: NDArray[np.int32],
    weights: NDArray[np.int32],
    until: NDArray[np.int64],
    seen: NDArray[np.int64],
    sums: NDArray[np.int64],
) -> None:
    """Counts the terms that begin at byte `start`, the longest first."""
    while found > 0:
        found -= 1
        term = np.int64(held[ends[0, found]]) - 1
        while term >= 0:
            category = categories[term]
            if start >= until[category] and not (EXEMPT < category < OURS and start < until[EXEMPT]):
                until[category] = ends[1, found]
                weight = np.int64(weights[term])
                known = seen[0, term] == document
                sums[document, category, DISTINCT] += not known and weight >= _TELLING_WEIGHT
                again = known and halves - seen[1, term] < REACH
                sums[document, category, HITS] += max(1, weight // 4) if again else weight
                seen[0, term] = document
                if not again:
                    seen[1, term] = halves
            term = np.int64(further[term]) - 1
