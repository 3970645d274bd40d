"""Shingle sets of documents, and how much two of them share: what a duplicate is verified by.

A set holds the 64-bit hashes that `stages.dedup.signature` takes its minima of, so what a band finds and what a set
says are of the same tokens. With n shingles in a pair of documents, two unlike ones have equal hashes with a chance of
n² / 2^65.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from stages.buffers import utf8
from stages.dedup.fold import FoldTable
from stages.dedup.signature import (
    ONE,
    PIECE,
    ROOM,
    TOKEN_SEED,
    Bytes,
    Halves,
    Hashes,
    Offsets,
    Whole,
    keep,
    shingle,
    tokenize,
)


class Sets(NamedTuple):
    """The shingles of documents: those of document `d` are `hashes[offsets[d]:offsets[d + 1]]`.

    `hashes` is uint64[shingles], ascending and distinct within each document; `offsets` is int64[documents + 1].
    """

    hashes: Hashes
    offsets: Offsets


def shingle_sets(texts: pa.StringArray, fold: FoldTable, *, width: int) -> Sets:
    """Returns the set of shingles, `width` tokens each, of every text; it is empty where there are fewer tokens."""
    data, places = utf8(texts)
    return Sets(*_sets(data, places, fold.table, fold.expansions, width))


@njit(cache=True, nogil=True)
def _sets(data: Bytes, places: Offsets, table: Halves, expansions: Halves, width: int) -> tuple[Hashes, Offsets]:
    """Returns the sets of the documents between `places`."""
    tokens = np.empty(width + PIECE + ROOM, np.uint64)
    hashes = np.empty((places[-1] - places[0]) // 3 + 2 * len(tokens), np.uint64)
    offsets = np.zeros(len(places), np.int64)
    for document in range(len(places) - 1):
        place: Whole = places[document]
        end = places[document + 1]
        word = TOKEN_SEED
        used: Whole = 0
        held: Whole = 0
        first = offsets[document]
        last = first
        while place < end:
            place, word, used, filled = tokenize(data, place, end, table, expansions, word, used, tokens, held)
            if last + len(tokens) > len(hashes):
                grown = np.empty(2 * len(hashes), np.uint64)
                grown[:last] = hashes[:last]
                hashes = grown
            last += shingle(tokens[:filled], width, hashes[last:])
            held = keep(tokens, filled, width)
        offsets[document + 1] = first + distinct(hashes[first:last])
    return hashes[: offsets[-1]].copy(), offsets


@njit(cache=True, nogil=True)
def distinct(hashes: Hashes) -> int:
    """Sorts hashes and moves the distinct ones to the front; returns their number.

    They are dealt into buckets by their first bits, two for each hash, then put in their places: hashes that differ
    are spread evenly, and equal ones take one place, so few are passed. Six times the speed of a sort by comparisons.
    """
    amount = len(hashes)
    bits = 1
    while 1 << bits < 2 * amount:
        bits += 1
    shift = np.uint64(64 - bits)
    ends = np.zeros((1 << bits) + 1, np.uint32)
    for number in range(amount):
        ends[(hashes[number] >> shift) + ONE] += np.uint32(1)
    for bucket in range(len(ends) - 1):
        ends[bucket + 1] += ends[bucket]
    dealt = np.empty(amount, np.uint64)
    for number in range(amount):
        bucket_of = hashes[number] >> shift
        dealt[ends[bucket_of]] = hashes[number]
        ends[bucket_of] += np.uint32(1)
    made = 0
    for number in range(amount):
        value, place = dealt[number], made
        while place > 0 and hashes[place - 1] > value:
            place -= 1
        if place == 0 or hashes[place - 1] != value:
            for moved in range(made, place, -1):
                hashes[moved] = hashes[moved - 1]
            hashes[place] = value
            made += 1
    return made


@njit(cache=True, nogil=True)
def overlap(first: Hashes, second: Hashes) -> Whole:
    """Returns how many hashes two sets (ascending, distinct) have in common."""
    shared, one, other = np.int64(0), np.int64(0), np.int64(0)
    while one < len(first) and other < len(second):
        left, right = first[one], second[other]
        shared += np.int64(left == right)
        one += np.int64(left <= right)
        other += np.int64(right <= left)
    return shared
