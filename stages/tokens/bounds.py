"""Ids of documents in a row, each given its BOS and EOS: kernels over arrays, and their plain twins.

`ids` are uint32[tokens], `offsets` int64[documents + 1]; both read-only, so that a kernel is compiled for one kind.
"""

from __future__ import annotations

import itertools

import numpy as np
from numba import njit

NONE = -1  # in the place of an id: there is no such token


@njit(cache=True, nogil=True)
def judge(ids: np.ndarray, offsets: np.ndarray, refused: np.ndarray, clean: np.ndarray) -> int:
    """Sets `clean`, bool[documents]: whether none of a document's ids is refused, bool[vocabulary].

    Returns an id that is beyond the vocabulary, or NONE.
    """
    for document in range(len(offsets) - 1):
        found = False
        for place in range(offsets[document], offsets[document + 1]):
            number = ids[place]
            if number >= len(refused):
                return int(number)
            found |= refused[number]
        clean[document] = not found
    return NONE


@njit(cache=True, nogil=True)
def bound(ids: np.ndarray, offsets: np.ndarray, bos: int, eos: int, made: np.ndarray, lengths: np.ndarray) -> int:
    """Writes each document that has ids to `made`, int32, between `bos` (or NONE) and `eos`; returns how many ids.

    Sets `lengths`, int64[documents].
    """
    end = 0
    for document in range(len(offsets) - 1):
        start = end
        if offsets[document] < offsets[document + 1]:
            if bos != NONE:
                made[end] = bos
                end += 1
            for place in range(offsets[document], offsets[document + 1]):
                made[end] = ids[place]
                end += 1
            made[end] = eos
            end += 1
        lengths[document] = end - start
    return end


def bounded(ids: np.ndarray, offsets: np.ndarray, bos: int | None, eos: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the documents between their boundaries, int32[tokens], and tokens a document, int64[documents].

    >>> ids, lengths = bounded(np.array([5, 6, 7], np.uint32), np.array([0, 2, 2, 3]), None, 1)
    >>> ids.tolist(), lengths.tolist()
    ([5, 6, 1, 7, 1], [3, 0, 2])
    """
    documents = len(offsets) - 1
    made, lengths = np.empty(len(ids) + 2 * documents, np.int32), np.empty(documents, np.int64)
    end = bound(frozen(ids), frozen(offsets), NONE if bos is None else bos, eos, made, lengths)
    return made[:end], lengths


def bounded_plainly(ids: np.ndarray, offsets: np.ndarray, bos: int | None, eos: int) -> tuple[list[int], list[int]]:
    """Returns what `bounded` does, as lists."""
    made: list[int] = []
    lengths = []
    for start, end in itertools.pairwise(offsets):
        own = [*([] if bos is None else [bos]), *ids[start:end].tolist(), eos] if end > start else []
        made += own
        lengths.append(len(own))
    return made, lengths


def frozen(values: np.ndarray) -> np.ndarray:
    """Returns a read-only view."""
    view = values.view()
    view.flags.writeable = False
    return view
