"""An index of the members of a component that stay, by the first tokens of their sets, in a room of fixed size.

Of two sets that reach the threshold, the first few tokens in any common order have one in common (for Jaccard
similarity t, the first |x| - ceil(t|x|) + 1 of either). So the sets that stay are indexed by these, and only what
shares one is compared, if the places of the shared token leave room for enough others.

The order decides how many are looked at: tokens that many members have (a template, a licence) stand last, so that
two documents do not meet by what all have. Which those are is counted in what stays, again when that has about doubled;
and in lists of such tokens only members of a fitting length are looked up.

Source: Chaudhuri, Ganti and Kaushik, A primitive operator for similarity joins, 2006 (prefixes); Bayardo, Ma and
Srikant, Scaling up all pairs similarity search, 2007; Xiao et al., Efficient similarity joins for near duplicate
detection, 2008 (places). Ours takes members in the order of survivors instead of by length, and counts as it goes.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from stages.dedup.signature import Hashes, Whole, mix

SAMPLED: Final = 4  # times the root of the members that stay: of so many tokens are counted
SAMPLE: Final = 1 << 20  # tokens that are counted, at most
COMMON: Final = 2  # of those members have a common token, at least; its grade is the logarithm
LISTED: Final = 4  # grade from which a token has a list for each class of sizes
FINEST: Final = 10**9  # denominator of a threshold: its products with any two sets fit 64 bits
SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio
TAG: Final = np.uint64(0xFFFFFFFF00000000)
POSTING: Final = np.uint64(0xFFFFFFFF)
FACE: Final = np.uint64(0xA24BAED4963EE407)  # sets the keys of exact hashes apart from those of tokens
STATES: Final = 15  # the numbers of `Kept.state`
ROOT, OPEN, FIRST, KEPT, HASHES, RESERVED, POSTED, BITS = range(8)
COMMON_BITS, TURN, DUE, WAITING, COMPARED, REFUSED, REMAINED = range(8, STATES)

Numbers = npt.NDArray[np.int64]


class Bar(NamedTuple):
    """The threshold `part / whole`: of the union, or where `mutual` is 0 of the document that would leave."""

    part: int
    whole: int
    mutual: int


def bar(threshold: float, measure: str) -> Bar:
    """Returns the threshold as written in decimals: what has 4 of 5 reaches 0.8."""
    share = max(Fraction(repr(threshold)).limit_denominator(FINEST), Fraction(1, FINEST))
    return Bar(share.numerator, share.denominator, int(measure == "jaccard"))


class Kept(NamedTuple):
    """Who stays: rows that are not taken out yet, and from `state[FIRST]` on those of the open component.

    Their hashes lie one after another in `hashes`, those of the open component's k-th from `starts[k]` on. A slot is
    the TAG of a key and 1 + its first posting; a posting is (next one, or -1; k; place of the token; tokens of k).
    `commons` are (token, grade), the larger the more have it. Both are hash tables, with a power of two of places in
    use. `seen` and `found` are scratch of a search.
    """

    state: Numbers
    gids: Numbers
    ids: Hashes
    exacts: Hashes
    sizes: Numbers
    starts: Numbers
    seen: Numbers
    found: Numbers
    hashes: Hashes
    slots: Hashes
    postings: npt.NDArray[np.int32]
    commons: Hashes


def room(memory_bytes: int, limit: Bar) -> Kept:
    """Returns nobody, with room for so many bytes of members that stay; memory is taken as it is filled."""
    share = index_length(1 << 20, limit) / (1 << 20)
    members = max(2, memory_bytes >> 9)
    hashes = max(8, int(memory_bytes / (8 + 48 * share)))
    return _room(members, hashes, max(8, int(hashes * share)) + members)


def with_rows(kept: Kept, rows: int) -> Kept:
    """Returns the same with room for what is known of so many more members beside their sets."""
    used = int(kept.state[KEPT])
    if used + rows <= len(kept.gids):
        return kept
    more = 2 * (used + rows) - len(kept.gids)
    columns = {name: getattr(kept, name) for name in ("gids", "ids", "exacts", "sizes")}
    grown = {
        name: np.concatenate([column, np.empty_like(column, shape=(more, *column.shape[1:]))])
        for name, column in columns.items()
    }
    return kept._replace(**grown)


def larger(kept: Kept, tokens: int) -> Kept:
    """Returns the same with room for one member of so many tokens, of an open component without members."""
    made = _room(len(kept.starts) - 1, max(tokens, len(kept.hashes)), max(tokens + 1, len(kept.postings)))
    return made._replace(state=kept.state, gids=kept.gids, ids=kept.ids, exacts=kept.exacts, sizes=kept.sizes)


def _room(members: int, hashes: int, postings: int) -> Kept:
    slots = 1 << (2 * postings - 1).bit_length()
    commons = 16 << (2 * min(SAMPLE, hashes) // COMMON // 16).bit_length()
    return Kept(
        state=np.zeros(STATES, np.int64),
        gids=np.empty(members, np.int64),
        ids=np.empty((members, 2), np.uint64),
        exacts=np.empty((members, 2), np.uint64),
        sizes=np.empty(members, np.int64),
        starts=np.zeros(members + 1, np.int64),
        seen=np.zeros(members, np.int64),
        found=np.empty(members, np.int64),
        hashes=np.empty(hashes, np.uint64),
        slots=np.empty(slots, np.uint64),
        postings=np.empty((postings, 4), np.int32),
        commons=np.empty((commons, 2), np.uint64),
    )


@njit(cache=True, nogil=True)
def index_length(tokens: Whole, limit: Bar) -> Whole:
    """Returns how many tokens of a set that stays are indexed; of containment all, as all may stand in a larger one."""
    length: Whole = prefix_length(tokens, limit) if limit.mutual else tokens
    return length


@njit(cache=True, nogil=True)
def prefix_length(tokens: Whole, limit: Bar) -> Whole:
    """Returns how many tokens of a set are looked up: one of them stands in each set that it is a copy of."""
    shared: Whole = (tokens * limit.part + limit.whole - 1) // limit.whole
    length: Whole = tokens - shared + 1
    return length if tokens else tokens


@njit(cache=True, nogil=True)
def enter(kept: Kept, limit: Bar, number: Whole) -> None:
    """Enters a member into the index."""
    first, last = kept.starts[number], kept.starts[number + 1]
    ordered, rare = _ordered(kept, limit, kept.hashes[first:last], index_length(last - first, limit))
    fit = _fit(last - first)
    _heads(kept, ordered[:rare])
    for place in range(len(ordered)):
        key = ordered[place] if place < rare else _listed(ordered[place], fit)
        _post(kept, key, number, place, last - first)
    _post(kept, kept.exacts[kept.state[FIRST] + number, 0] ^ FACE, number, 0, 0)


@njit(cache=True, nogil=True)
def _post(kept: Kept, key: np.uint64, number: Whole, place: Whole, tokens: Whole) -> None:
    posting = kept.state[POSTED]
    at = _slot(kept, key)
    kept.postings[posting, 0], kept.postings[posting, 1] = np.int64(kept.slots[at] & POSTING) - 1, number
    kept.postings[posting, 2], kept.postings[posting, 3] = place, tokens
    kept.slots[at] = (key & TAG) | np.uint64(posting + 1)
    kept.state[POSTED] += 1


@njit(cache=True, nogil=True)
def _slot(kept: Kept, key: np.uint64) -> Whole:
    """Returns the slot of a key, or the empty one where it belongs; keys of one tag may share one, at a look each."""
    at = place_of(key, kept.state[BITS])
    while kept.slots[at] and (kept.slots[at] ^ key) & TAG:
        at = (at + 1) & ((1 << kept.state[BITS]) - 1)
    return at


@njit(cache=True, nogil=True)
def first_posting(kept: Kept, key: np.uint64) -> Whole:
    """Returns the first posting of a key, or -1."""
    return np.int64(kept.slots[_slot(kept, key)] & POSTING) - 1


@njit(cache=True, nogil=True)
def search(kept: Kept, limit: Bar, tokens: Hashes) -> Whole:
    """Writes the members that a set may be a copy of into `kept.found`, in order; returns their number."""
    kept.state[TURN] += 1
    size = len(tokens)
    found: Whole = np.int64(0)
    ordered, rare = _ordered(kept, limit, tokens, prefix_length(size, limit))
    heads = _heads(kept, ordered[:rare])
    for place in range(rare):
        if heads[place]:
            found = _look_up(kept, limit, ordered[place], place, size, found)
    least = (limit.part * size + limit.whole - 1) // limit.whole
    for place in range(rare, len(ordered)):
        most = (size - place) * (limit.whole + limit.part) // limit.part - size
        if most < least:  # and so for all further places
            break
        for fit in range(_fit(least), _fit(most) + 1):
            found = _look_up(kept, limit, _listed(ordered[place], fit), place, size, found)
    _sort(kept.found[:found])
    return found


@njit(cache=True, nogil=True)
def _sort(numbers: Numbers) -> None:
    """Sorts numbers, mostly few (D. Shell, A high-speed sorting procedure, 1959)."""
    gap = np.int64(1)
    while gap < len(numbers) // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for place in range(gap, len(numbers)):
            number, at = numbers[place], np.int64(place)
            while at >= gap and numbers[at - gap] > number:
                numbers[at] = numbers[at - gap]
                at -= gap
            numbers[at] = number
        gap //= 3


@njit(cache=True, nogil=True)
def _heads(kept: Kept, keys: Hashes) -> Hashes:
    """Returns what stands where each key is to be looked for first: read at once, they wait for memory together."""
    heads = np.empty(len(keys), np.uint64)
    for number in range(len(keys)):
        heads[number] = kept.slots[place_of(keys[number], kept.state[BITS])]
    return heads


@njit(cache=True, nogil=True)
def _look_up(kept: Kept, limit: Bar, key: np.uint64, place: Whole, size: Whole, found: Whole) -> Whole:
    """Adds the members of a list that, where this is the first token shared, leave room for enough others."""
    state, postings = kept.state, kept.postings
    whole = limit.whole + limit.part * limit.mutual
    posting = first_posting(kept, key)
    while posting >= 0:
        number, others = postings[posting, 1], np.int64(postings[posting, 3])
        most = min(size - place, others - postings[posting, 2])
        if most * whole >= limit.part * (size + others * limit.mutual) and kept.seen[number] != state[TURN]:
            kept.seen[number] = state[TURN]
            kept.found[found] = number
            found += 1
        posting = np.int64(postings[posting, 0])
    return found


@njit(cache=True, nogil=True)
def _ordered(kept: Kept, limit: Bar, tokens: Hashes, amount: Whole) -> tuple[Hashes, Whole]:
    """Returns the first `amount` tokens of a set, rare ones first, then by grade; and how many have one list each.

    Lists by size are of no use to containment, as a set of any size may hold another.
    """
    chosen = np.empty(amount, np.uint64)
    grades = np.zeros(len(tokens), np.uint8)
    made = 0
    for place in range(len(tokens)):
        if made == amount:
            return chosen, amount
        if kept.state[COMMON_BITS]:
            grades[place] = kept.commons[_grade_slot(kept, tokens[place]), 1]
        if grades[place] == 0:
            chosen[made] = tokens[place]
            made += 1
    rare = made
    grade = 1
    while made < amount:
        for place in range(len(tokens)):
            if grades[place] == grade and made < amount:
                chosen[made] = tokens[place]
                made += 1
        rare = made if grade < LISTED else rare
        grade += 1
    return chosen, rare if limit.mutual else amount


@njit(cache=True, nogil=True)
def _fit(tokens: Whole) -> Whole:
    """Returns the class of sizes that a number of tokens is in: sixteen to each doubling."""
    bits = 0
    while tokens >> bits >= 32:
        bits += 1
    return (bits << 4) + (tokens >> bits)


@njit(cache=True, nogil=True)
def _listed(token: np.uint64, fit: Whole) -> np.uint64:
    """Returns the key of the list of members of one class of sizes that have a token."""
    return mix(token + np.uint64(fit) * SPREAD)


@njit(cache=True, nogil=True)
def _grade_slot(kept: Kept, token: np.uint64) -> Whole:
    """Returns the slot of a token in `commons`, or the empty one where it belongs."""
    at = place_of(token, kept.state[COMMON_BITS])
    while kept.commons[at, 1] and kept.commons[at, 0] != token:
        at = (at + 1) & ((1 << kept.state[COMMON_BITS]) - 1)
    return at


@njit(cache=True, nogil=True)
def place_of(key: np.uint64, bits: Whole) -> Whole:
    """Returns where a key is looked for first in a table of 2^bits places."""
    return np.int64((key * SPREAD) >> np.uint64(64 - bits))


def build(kept: Kept, limit: Bar) -> None:
    """Makes the index of all members of the open component, common tokens last."""
    state = kept.state
    members = int(state[KEPT] - state[FIRST])
    step = max(1, math.isqrt(members) // SAMPLED)
    picked = [kept.hashes[slice(*kept.starts[number : number + 2])] for number in range(0, members, step)]
    sample = np.sort(np.concatenate(picked)[:SAMPLE], kind="stable")  # of sorted runs: 1.6x
    ends = np.flatnonzero(np.append(sample[1:] != sample[:-1], np.ones(min(len(sample), 1), np.bool_))) + 1
    counts = np.diff(ends, prepend=0)
    common = counts >= COMMON
    grades = np.log2(counts[common]).astype(np.uint64)
    state[COMMON_BITS] = (2 * len(grades)).bit_length() if len(grades) else 0
    state[BITS] = min((4 * int(state[RESERVED]) - 1).bit_length(), len(kept.slots).bit_length() - 1)
    state[POSTED] = state[DUE] = 0
    _build(kept, limit, sample[ends[common] - 1], grades)


@njit(cache=True, nogil=True)
def _build(kept: Kept, limit: Bar, commons: Hashes, grades: Hashes) -> None:
    state = kept.state
    kept.commons[: 1 << state[COMMON_BITS], 1] = 0
    for place in range(len(commons)):
        at = _grade_slot(kept, commons[place])
        kept.commons[at, 0], kept.commons[at, 1] = commons[place], grades[place]
    kept.slots[: 1 << state[BITS]] = 0
    for number in range(state[KEPT] - state[FIRST]):
        enter(kept, limit, number)
