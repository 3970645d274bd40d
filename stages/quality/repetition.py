"""Repeated n-grams of a document's units in linear time, from the hashes of the units.

An n-gram can occur twice only where the (n-1)-grams that it begins and ends with do. So each length looks only at the
places that survived the one before it, and twelve lengths cost little more than the first on ordinary text. The pairs
of units that occur once, most of them, are told apart by a table of small counters before any is looked up. A pair is
known by a hash of 64 bits, a longer n-gram exactly, by the numbers of the two shorter ones: two different n-grams of a
document are taken for one with a probability below units² / 2^64.

A repeated n-gram covers its units at every occurrence but the first, and each unit counts once however many n-grams
cover it: a passage written a hundred times covers 99 % of its text. The most frequent n-gram counts with every
occurrence, its units joined by a space where their script has one; of two equally frequent ones the first counts, and
one that occurs once does not. A shingle is the fewest whole units from a place with 13 characters, so at most 13 units.

Source: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", appendix A.1.1
(coverage as there, where datatrove steps over n units after a match and so finds slightly less).
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stages.quality.counts import SHINGLE, Count
from stages.quality.decoding import Number

SHORTEST_COVERED, LONGEST = 5, 10  # n-grams of which the coverage counts; of shorter ones the most frequent does
TOP_GRAMS = int(Count.TOP_GRAMS)
DUPLICATE_GRAMS = int(Count.DUPLICATE_GRAMS)
REPEATED_SHINGLES = int(Count.REPEATED_SHINGLES)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


class Room(NamedTuple):
    """Reused memory of the kernels: of the units first, then of the n-grams looked at, at most as many."""

    hashes: NDArray[np.uint64]
    ends: NDArray[np.int64]  # [units + 1]: characters of the units before each, from 0 on
    spaced: NDArray[np.uint8]  # whether the unit's script puts spaces between words
    depths: NDArray[np.uint8]  # the longest n-gram from here that stood before
    places: NDArray[np.int32]  # the unit at which the n-gram begins
    keys: NDArray[np.uint64]  # what the n-gram is
    firsts: NDArray[np.int32]  # its first occurrence, as an index into these arrays
    times: NDArray[np.int32]  # occurrences, at the first one
    table: NDArray[np.int32]  # firsts + 1 by hash, 0 is a free slot: a power of two, at least twice the n-grams
    counters: NDArray[np.uint8]  # a power of two, at least four times the units


def room(units: int) -> Room:
    """Returns memory for documents, or windows of them, of at most `units` units."""
    return Room(
        np.empty(units, np.uint64),
        np.zeros(units + 1, np.int64),
        np.empty(units, np.uint8),
        np.empty(units, np.uint8),
        np.empty(units, np.int32),
        np.empty(units, np.uint64),
        np.empty(units, np.int32),
        np.empty(units, np.int32),
        np.empty(1 << bits_for(2 * units), np.int32),
        np.empty(1 << bits_for(4 * units), np.uint8),
    )


@njit(cache=True, nogil=True)
def bits_for(entries: int) -> int:
    """Returns the bits of the smallest power of two, four at least, that is not less than `entries`."""
    bits = 2
    while (1 << bits) < entries:
        bits += 1
    return bits


@njit(cache=True, nogil=True)
def group(grams: int, room: Room) -> None:
    """Finds the first occurrence of each of the first `grams` keys, and counts the occurrences there."""
    keys, firsts, times, table = room.keys, room.firsts, room.times, room.table
    bits = bits_for(2 * grams)
    shift, mask = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
    table[: 1 << bits] = 0
    for gram in range(grams):
        key = keys[gram]
        slot = (key * _MIX) >> shift
        held = table[slot]
        while held != 0 and keys[held - 1] != key:
            slot = (slot + np.uint64(1)) & mask
            held = table[slot]
        if held == 0:
            table[slot] = gram + 1
            firsts[gram] = gram
            times[gram] = 1
        else:
            firsts[gram] = held - 1
            times[held - 1] += 1


@njit(cache=True, nogil=True)
def find_long_units(units: int, room: Room) -> int:
    """Looks at the units that are shingles by themselves; returns how many."""
    found = 0
    for unit in range(units):
        room.places[found] = unit
        room.keys[found] = room.hashes[unit]
        found += room.ends[unit + 1] - room.ends[unit] >= SHINGLE
    return found


@njit(cache=True, nogil=True)
def find_pairs(units: int, room: Room) -> int:
    """Looks at the pairs of units that may occur twice; returns how many."""
    hashes, places, keys, counters = room.hashes, room.places, room.keys, room.counters
    bits = bits_for(4 * units)
    shift = np.uint64(64 - bits)
    counters[: 1 << bits] = 0
    for place in range(units - 1):
        key = (hashes[place] ^ (hashes[place] >> _HALF)) * _MIX + hashes[place + 1]
        keys[place] = key
        times = counters[key >> shift]
        counters[key >> shift] = times + (times < 2)
    found = 0
    for place in range(units - 1):
        key = keys[place]
        places[found] = place
        keys[found] = key
        found += counters[key >> shift] > 1
    return found


@njit(cache=True, nogil=True)
def lengthen(grams: int, room: Room) -> int:
    """Looks at the n-grams whose two (n-1)-grams both are among the first `grams`; returns how many."""
    places, keys, firsts = room.places, room.keys, room.firsts
    found = 0
    for gram in range(grams - 1):
        together = places[gram + 1] == places[gram] + 1
        places[found] = places[gram]
        keys[found] = np.uint64(firsts[gram]) << _HALF | np.uint64(firsts[gram + 1])
        found += together
    return found


@njit(cache=True, nogil=True)
def keep_repeated(n: int, grams: int, room: Room) -> tuple[int, Number, Number]:
    """Keeps the n-grams that occur twice.

    Returns how many, the characters of all occurrences of the most frequent one, and those that repeated ones cover.
    """
    places, firsts, times, depths, ends = room.places, room.firsts, room.times, room.depths, room.ends
    kept, most, top, covered, covered_to = 0, 1, 0, np.int64(0), 0
    for gram in range(grams):
        first, place = firsts[gram], places[gram]
        if times[first] > 1:
            places[kept] = place
            firsts[kept] = first
            kept += 1
            if times[first] > most:
                most, top = times[first], place
            if first != gram:
                depths[place] = n
                covered += ends[place + n] - ends[max(place, covered_to)]
                covered_to = place + n
    return kept, np.int64(most) * characters_of(top, n, room) if kept > 0 else np.int64(0), covered


@njit(cache=True, nogil=True)
def characters_of(place: Number, n: int, room: Room) -> Number:
    """Returns the characters of the n-gram at `place`, with spaces between units that have them."""
    spaces = room.spaced[place : place + n - 1].sum()
    return np.int64(room.ends[place + n] - room.ends[place] + spaces)


@njit(cache=True, nogil=True)
def cover_shingles(units: int, room: Room) -> Number:
    """Returns the characters covered by shingles that stood before: where an n-gram did that is one or holds it."""
    depths, ends = room.depths, room.ends
    covered, covered_to = np.int64(0), 0
    for place in range(units):
        if depths[place] > 0 and ends[place + depths[place]] - ends[place] >= SHINGLE:
            stop = place + 1
            while ends[stop] - ends[place] < SHINGLE:
                stop += 1
            covered += ends[stop] - ends[max(place, covered_to)]
            covered_to = stop
    return covered


@njit(cache=True, nogil=True)
def count_repetition(units: int, room: Room, row: NDArray[np.int64]) -> None:
    """Adds the repetition among the first `units` units in `room` to the counts `row` of their document."""
    room.depths[:units] = 0
    grams = find_long_units(units, room)
    for n in range(1, SHINGLE + 1):
        if n == 2:
            grams = find_pairs(units, room)
        elif n > 2:
            grams = lengthen(grams, room)
        group(grams, room)
        grams, top, covered = keep_repeated(n, grams, room)
        if 1 < n < SHORTEST_COVERED:
            row[TOP_GRAMS + n - 2] += top
        elif SHORTEST_COVERED <= n <= LONGEST:
            row[DUPLICATE_GRAMS + n - SHORTEST_COVERED] += covered
    row[REPEATED_SHINGLES] += cover_shingles(units, room)
