"""Repeated n-grams of a document's units in linear time, from the hashes of the units.

An n-gram can occur twice only where the (n-1)-gram that it begins with does. So each length looks only at the places
that survived the one before it, and nine lengths cost less than two passes on ordinary text, nine on a text that is
nothing but repetition. Hashes have 64 bits; two different n-grams of a document are taken for one with a probability
below units² / 2^64.

A repeated n-gram covers its units at every occurrence but the first, and each unit counts once however many n-grams
cover it: a passage written a hundred times covers 99 % of its text. The most frequent n-gram counts with every
occurrence, its units joined by a space where their script has one; of two equally frequent ones the first counts, and
one that occurs once does not.

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
_MIX_A = np.uint64(0x9E3779B97F4A7C15)
_MIX_B = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)
_ONE = np.uint64(1)
_TOP = np.uint64(1 << 63)
_LOW = np.uint64(0xFFFFFFFF)


class Room(NamedTuple):
    """Reused memory of the kernels. The first five have an entry a unit, the tables a power of two of twice as many."""

    hashes: NDArray[np.uint64]
    widths: NDArray[np.int64]  # twice the characters of the unit, plus one where its script puts spaces between words
    grams: NDArray[np.uint64]
    places: NDArray[np.int32]
    slots: NDArray[np.int32]
    depths: NDArray[np.uint8]  # the longest n-gram from here that occurs twice
    keys: NDArray[np.uint64]  # 0 is a free slot
    found: NDArray[np.uint64]  # first place << 32 | occurrences


def room(units: int) -> Room:
    """Returns memory for documents, or windows of them, of at most `units` units."""
    table = 4
    while table < 2 * units:
        table *= 2
    return Room(
        np.empty(units, np.uint64),
        np.empty(units, np.int64),
        np.empty(units, np.uint64),
        np.empty(units, np.int32),
        np.empty(units, np.int32),
        np.empty(units, np.uint8),
        np.empty(table, np.uint64),
        np.empty(table, np.uint64),
    )


@njit(cache=True, nogil=True)
def mix(left: np.uint64, right: np.uint64) -> np.uint64:
    """Returns a hash of two hashes in order, never 0."""
    mixed = (left ^ (left >> _SHIFT)) * _MIX_B + right
    mixed = (mixed ^ (mixed >> _SHIFT)) * _MIX_A
    return (mixed ^ (mixed >> _SHIFT)) | _TOP


@njit(cache=True, nogil=True)
def clear(keys: NDArray[np.uint64], entries: int) -> np.uint64:
    """Empties as much of the table as `entries` need at half load; returns the mask of its slots."""
    size = 4
    while size < 2 * entries:
        size *= 2
    keys[:size] = np.uint64(0)
    return np.uint64(size - 1)


@njit(cache=True, nogil=True)
def count(
    place: int, key: np.uint64, mask: np.uint64, keys: NDArray[np.uint64], found: NDArray[np.uint64]
) -> np.uint64:
    """Counts `key`, which is not 0, in the table and returns its slot."""
    slot = key & mask
    held = keys[slot]
    while held != key and held != 0:
        slot = (slot + _ONE) & mask
        held = keys[slot]
    if held == 0:
        keys[slot] = key
        found[slot] = (np.uint64(place) << _SHIFT) | _ONE
    else:
        found[slot] += _ONE
    return slot


@njit(cache=True, nogil=True)
def characters_of(place: Number, n: int, widths: NDArray[np.int64]) -> Number:
    """Returns the characters of the n-gram at `place`, with spaces between units that have them."""
    total = np.int64(0)
    for unit in range(place, place + n):
        total += (widths[unit] >> 1) + (widths[unit] & 1)
    return np.int64(total - (widths[place + n - 1] & 1))


@njit(cache=True, nogil=True)
def lengthen(n: int, alive: int, units: int, room: Room) -> tuple[int, Number, int]:
    """Counts the n-grams at the `alive` places whose (n-1)-gram occurs twice.

    Returns how many of those places live on, the characters of all occurrences of the most frequent n-gram (up to four
    units), and the characters that repeated n-grams cover (from five units on).
    """
    hashes, widths, grams, places, slots, depths, keys, found = room
    mask = clear(keys, alive)
    most, top, covered, covered_to = _ONE, np.int64(-1), 0, 0
    reached = 0
    for index in range(alive):
        place = places[index]
        if place + n > units:
            break
        reached = index + 1
        key = mix(grams[place], hashes[place + n - 1])
        grams[place] = key
        slot = count(place, key, mask, keys, found)
        slots[index] = np.int32(slot)
        times = found[slot] & _LOW
        if times > 1 and n < SHORTEST_COVERED:
            first = np.int64(found[slot] >> _SHIFT)
            if times > most or (times == most and first < top):
                most, top = times, first
        elif times > 1:
            for unit in range(max(place, covered_to), place + n):
                covered += widths[unit] >> 1
            covered_to = place + n
    kept = 0
    for index in range(reached):
        if found[slots[index]] & _LOW > 1:
            place = places[index]
            depths[place] = n
            places[kept] = place
            kept += 1
    return kept, (characters_of(top, n, widths) * np.int64(most) if top >= 0 else 0), covered


@njit(cache=True, nogil=True)
def cover_shingles(units: int, room: Room) -> int:
    """Returns the characters covered by repeated shingles: the fewest whole units from a place with 13 characters."""
    hashes, widths, _, places, slots, depths, keys, found = room
    alive, stop, held = 0, 0, 0
    for place in range(units):
        while stop < units and held < SHINGLE:
            held += widths[stop] >> 1
            stop += 1
        if held < SHINGLE:
            break
        if min(stop - place, LONGEST) <= depths[place]:
            places[alive] = place
            slots[alive] = stop
            alive += 1
        held -= widths[place] >> 1
    mask = clear(keys, alive)
    covered, covered_to = 0, 0
    for index in range(alive):
        place, stop = places[index], slots[index]
        key = np.uint64(stop - place)
        for unit in range(place, stop):
            key = mix(key, hashes[unit])
        if found[count(place, key, mask, keys, found)] & _LOW > 1:
            for unit in range(max(place, covered_to), stop):
                covered += widths[unit] >> 1
            covered_to = stop
    return covered


@njit(cache=True, nogil=True)
def count_repetition(units: int, room: Room, row: NDArray[np.int64]) -> None:
    """Adds the repetition among the first `units` units in `room` to the counts `row` of their document."""
    room.places[:units] = np.arange(units)
    room.grams[:units] = room.hashes[:units]
    room.depths[:units] = 1
    alive = units
    for n in range(2, LONGEST + 1):
        alive, top, covered = lengthen(n, alive, units, room)
        if alive == 0:
            break
        if n < SHORTEST_COVERED:
            row[TOP_GRAMS + n - 2] += top
        else:
            row[DUPLICATE_GRAMS + n - SHORTEST_COVERED] += covered
    row[REPEATED_SHINGLES] += cover_shingles(units, room)
