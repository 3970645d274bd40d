"""Which document that stays another one is a copy of: the members of a component, judged best first.

A member leaves for the first one that stays, in the order of survivors, with which its similarity reaches the
threshold. Up to FEW that stay are compared with each; more are found by `stages.dedup.prefixes`. Who finds no copy
when the room for those that stay is full waits, and is judged in a later pass against the next ones that stay, which
gives the same verdicts.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from stages.dedup.prefixes import (
    BITS,
    COMPARED,
    DUE,
    FACE,
    FIRST,
    HASHES,
    KEPT,
    OPEN,
    REFUSED,
    REMAINED,
    RESERVED,
    ROOT,
    WAITING,
    Bar,
    Kept,
    Numbers,
    enter,
    first_posting,
    index_length,
    place_of,
    search,
)
from stages.dedup.shingles import Sets
from stages.dedup.signature import Hashes, Whole, mix

FEW: Final = 16
STEPS: Final = 16  # of a merge between two looks at whether it is lost
STAYS, LEAVES, WAITS = range(3)
ALONE: Final = -1  # a row that is judged by a set of its own
EQUAL: Final = -1


class Rows(NamedTuple):
    """Members in order: `sets` of those that `places` gives a number, `sources` as `sources_of` says.

    `ids` and `exacts` are uint64[rows, 2].
    """

    roots: Numbers
    gids: Numbers
    ids: Hashes
    exacts: Hashes
    sizes: Numbers
    sources: Numbers
    places: Numbers
    sets: Sets


class Verdicts(NamedTuple):
    """Of each row: STAYS, LEAVES or WAITS; for whom (a place in `Kept`), with how many of how many tokens in common.

    `shared` is EQUAL for an exact copy.
    """

    outcomes: npt.NDArray[np.int8]
    survivors: Numbers
    shared: Numbers
    of: Numbers


@njit(cache=True, nogil=True)
def sources_of(kept: Kept, roots: Numbers, exacts: Hashes) -> Numbers:
    """Returns of whom each row is an exact copy: -2 - k for the k-th in `kept`, an earlier row, or ALONE."""
    sources = np.full(len(roots), ALONE, np.int64)
    bits = 4
    while 1 << bits < 2 * len(roots):
        bits += 1
    rows = np.full(1 << bits, -1, np.int64)
    for row in range(len(roots)):
        if kept.state[OPEN] and roots[row] == kept.state[ROOT]:
            number = _known(kept, exacts[row])
            if number >= 0:
                sources[row] = -2 - number
                continue
        at = place_of(exacts[row, 0] ^ mix(np.uint64(roots[row])), bits)
        while rows[at] >= 0:
            other = rows[at]
            if roots[other] == roots[row] and _are_equal(exacts[other], exacts[row]):
                sources[row] = other
                break
            at = (at + 1) & ((1 << bits) - 1)
        if rows[at] < 0:
            rows[at] = row
    return sources


@njit(cache=True, nogil=True)
def _are_equal(one: Hashes, other: Hashes) -> bool:
    return bool(one[0] == other[0] and one[1] == other[1])


@njit(cache=True, nogil=True)
def _known(kept: Kept, exact: Hashes) -> Whole:
    """Returns the place in `kept` of the member of the open component with this exact hash, or -1."""
    state = kept.state
    if state[BITS] == 0:
        for number in range(state[FIRST], state[KEPT]):
            if _are_equal(kept.exacts[number], exact):
                return np.int64(number)
        return np.int64(-1)
    posting = first_posting(kept, exact[0] ^ FACE)
    while posting >= 0:
        found: Whole = state[FIRST] + np.int64(kept.postings[posting, 1])
        if _are_equal(kept.exacts[found], exact):
            return found
        posting = np.int64(kept.postings[posting, 0])
    return np.int64(-1)


@njit(cache=True, nogil=True)
def judge(kept: Kept, limit: Bar, rows: Rows, verdicts: Verdicts, start: int) -> int:
    """Judges rows from `start` on; returns the first one that it did not.

    It stops before a row of another component while members wait, before a row that an empty room is too small for, and
    where an index is due: then `build` is to be called.
    """
    state = kept.state
    for row in range(start, len(rows.roots)):
        if not state[OPEN] or rows.roots[row] != state[ROOT]:
            if state[WAITING]:
                return row
            _open(state, rows.roots[row])
        known = _copied(verdicts, rows.sources[row])
        if known >= 0:
            _leave(verdicts, row, known, EQUAL, 0)
        else:
            first, last = rows.sets.offsets[rows.places[row]], rows.sets.offsets[rows.places[row] + 1]
            tokens = rows.sets.hashes[first:last]
            number, shared = _first_like(kept, limit, tokens)
            if number >= 0:
                others = kept.starts[number + 1] - kept.starts[number]
                of = len(tokens) + (others - shared) * limit.mutual
                _leave(verdicts, row, state[FIRST] + number, shared, of)
            elif state[WAITING] or not _fits(kept, limit, len(tokens)):
                if state[KEPT] == state[FIRST]:
                    return row
                verdicts.outcomes[row] = WAITS
            else:
                verdicts.outcomes[row], verdicts.survivors[row] = STAYS, state[KEPT]
                _keep(kept, limit, rows, row, tokens)
        if verdicts.outcomes[row] == LEAVES:
            kept.sizes[verdicts.survivors[row]] += rows.sizes[row]
        elif verdicts.outcomes[row] == WAITS:
            state[WAITING] += 1
        if state[DUE]:
            return row + 1
    return len(rows.roots)


@njit(cache=True, nogil=True)
def _open(state: Numbers, root: np.int64) -> None:
    state[ROOT], state[OPEN], state[FIRST] = root, 1, state[KEPT]
    state[HASHES] = state[RESERVED] = state[BITS] = 0


@njit(cache=True, nogil=True)
def _leave(verdicts: Verdicts, row: int, survivor: Whole, shared: Whole, of: Whole) -> None:
    verdicts.outcomes[row], verdicts.survivors[row] = LEAVES, survivor
    verdicts.shared[row], verdicts.of[row] = shared, of


@njit(cache=True, nogil=True)
def _copied(verdicts: Verdicts, source: Whole) -> Whole:
    """Returns the place in `kept` of the member that a row of this source is an exact copy of, or -1."""
    found: Whole = np.int64(-1)
    if source < ALONE:
        found = -2 - source
    elif source >= 0 and (verdicts.outcomes[source] == STAYS or verdicts.shared[source] == EQUAL):
        found = verdicts.survivors[source]
    return found


@njit(cache=True, nogil=True)
def _first_like(kept: Kept, limit: Bar, tokens: Hashes) -> tuple[Whole, Whole]:
    """Returns the first member of the open component that a set is a copy of, and the tokens they share; or -1."""
    state = kept.state
    members = state[KEPT] - state[FIRST]
    if len(tokens) == 0:
        return np.int64(-1), np.int64(0)
    if state[BITS] == 0:
        for number in range(members):
            shared = _compare(kept, limit, tokens, number)
            if shared >= 0:
                return np.int64(number), shared
        return np.int64(-1), np.int64(0)
    amount = search(kept, limit, tokens)
    for place in range(amount):
        shared = _compare(kept, limit, tokens, kept.found[place])
        if shared >= 0:
            return kept.found[place], shared
    return np.int64(-1), np.int64(0)


@njit(cache=True, nogil=True)
def _compare(kept: Kept, limit: Bar, tokens: Hashes, number: Whole) -> Whole:
    """Returns how many tokens a set shares with a member if it is a copy of that, else -1."""
    other = kept.hashes[kept.starts[number] : kept.starts[number + 1]]
    whole = limit.whole + limit.part * limit.mutual
    need = (limit.part * (len(tokens) + len(other) * limit.mutual) + whole - 1) // whole
    if min(len(tokens), len(other)) < need:
        return np.int64(-1)
    shared = _shared(tokens, other, need)
    kept.state[COMPARED] += 1
    kept.state[REFUSED] += shared < 0
    return shared


@njit(cache=True, nogil=True)
def _shared(first: Hashes, second: Hashes, need: Whole) -> Whole:
    """Returns how many tokens two sets share, or -1 as soon as that cannot be `need`."""
    shared, one, other = np.int64(0), np.int64(0), np.int64(0)
    while one + STEPS <= len(first) and other + STEPS <= len(second):
        for _ in range(STEPS):
            left, right = first[np.uint64(one)], second[np.uint64(other)]
            shared += np.int64(left == right)
            one += np.int64(left <= right)
            other += np.int64(right <= left)
        if shared + min(len(first) - one, len(second) - other) < need:
            return np.int64(-1)
    while one < len(first) and other < len(second):
        left, right = first[one], second[other]
        shared += np.int64(left == right)
        one += np.int64(left <= right)
        other += np.int64(right <= left)
    return shared if shared >= need else np.int64(-1)


@njit(cache=True, nogil=True)
def _fits(kept: Kept, limit: Bar, tokens: Whole) -> bool:
    """Returns whether there is room for one more member with so many tokens, its index included."""
    state = kept.state
    return bool(
        state[KEPT] - state[FIRST] + 1 < len(kept.starts)
        and state[HASHES] + tokens <= len(kept.hashes)
        and state[RESERVED] + index_length(tokens, limit) + 1 <= len(kept.postings)
    )


@njit(cache=True, nogil=True)
def _keep(kept: Kept, limit: Bar, rows: Rows, row: int, tokens: Hashes) -> None:
    """Adds a row to those that stay."""
    state = kept.state
    place = state[KEPT]
    number = place - state[FIRST]
    kept.gids[place], kept.sizes[place] = rows.gids[row], rows.sizes[row]
    for half in range(2):
        kept.ids[place, half], kept.exacts[place, half] = rows.ids[row, half], rows.exacts[row, half]
    kept.starts[number], kept.starts[number + 1] = state[HASHES], state[HASHES] + len(tokens)
    for token in range(len(tokens)):
        kept.hashes[state[HASHES] + token] = tokens[token]
    state[KEPT] += 1
    state[HASHES] += len(tokens)
    state[RESERVED] += index_length(len(tokens), limit) + 1
    state[REMAINED] += number > 0
    if state[BITS] == 0:
        state[DUE] = number + 1 == FEW
    elif 2 * state[RESERVED] > 1 << state[BITS]:
        state[DUE] = 1
    else:
        enter(kept, limit, number)
