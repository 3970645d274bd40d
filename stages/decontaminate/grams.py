"""N-grams of the folded view, of items and of documents: numba kernels on Arrow buffers.

A token is a Han (or other unspaced) character, or a word of a spaced script. An n-gram is, from a token on, the
fewest tokens that come to 13 words or 20 characters; where both are mixed a word counts as 20/13 of a character. So the
n-grams of a text depend on nothing around it, and text that holds an item holds all of its n-grams.

Items too short for an n-gram are met as a whole. `plain.py` is the readable twin of both kernels.

Source: Brown et al. 2020, Language Models are Few-Shot Learners, appendix C (13-grams of words); the folded view is
that of dedup, the length for Han and the mixture are ours.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from stages.buffers import utf8
from stages.dedup.fold import CODE_BITS, CODE_MASK, EXPANDS, MARK, SEPARATOR, SINGLE, WORD, FoldTable
from stages.dedup.signature import TOKEN_PRIME, TOKEN_SEED, mix
from stages.quality.decoding import character

PIECE: Final = 1 << 12  # tokens that are looked at together; what is known of them stays in the second-level cache
LEAD: Final = 5  # tokens by which a short item is recognised before it is compared; none has fewer
GRAM_PRIME: Final = np.uint64(0xD1342543DE82EF95)
SHORT: Final = np.uint64(0x9E6C63D0876A9A47)  # what sets the keys of whole items apart from those of n-grams
LEADS: Final = np.uint64(0xC3A5C85C97CB3127)
ROOM: Final = 64  # tokens kept free for what one character may expand to
MOST: Final = 2  # tokens a byte: the three of `㌖` are キロメートル

Bytes = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
Whole = int | np.int64  # numba makes one of both


class Width(NamedTuple):
    """How long an n-gram is: so many words, or so many characters of unspaced scripts."""

    words: int = 13
    characters: int = 20


class Grams(NamedTuple):
    """The n-grams of texts. `key` uint64[n-grams], `text` int64[n-grams]; of each text int64 `weights` and `tokens`.

    A text's weight is `characters` for each of its words and `words` for each of its characters: it has an n-gram where
    that reaches words * characters. `whole` and `lead` uint64[texts] are keys of all its tokens, and of the first LEAD.
    """

    key: Keys
    text: Numbers
    weights: Numbers
    tokens: Numbers
    whole: Keys
    lead: Keys


class Index(NamedTuple):
    """What documents are searched for: an open hash table of keys, and before it bits that most keys fail at.

    `places` int64[slots] is where a key's items begin in a list of items; `lengths` are those of short items (tokens).
    """

    bits: Keys
    keys: Keys
    places: Numbers
    lengths: Numbers


class Hits(NamedTuple):
    """Where documents hold a key: row of the document, bytes of its text from and to, place of the key's items."""

    row: Numbers
    start: Numbers
    end: Numbers
    place: Numbers


def grams(texts: pa.Array, fold: FoldTable, width: Width) -> Grams:
    """Returns the n-grams of texts, each as often as it occurs, in the order (text, place)."""
    data, offsets = utf8(texts)
    most = MOST * len(data) + ROOM
    key, text = np.empty(most, np.uint64), np.empty(most, np.int64)
    weights, tokens = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    whole, lead = np.zeros(len(texts), np.uint64), np.zeros(len(texts), np.uint64)
    made = _grams(
        data,
        offsets,
        fold.table,
        fold.expansions,
        width.words,
        width.characters,
        key,
        text,
        weights,
        tokens,
        whole,
        lead,
    )
    return Grams(key[:made].copy(), text[:made].copy(), weights, tokens, whole, lead)


def index(keys: Keys, places: Numbers, leads: Keys, lengths: Numbers) -> Index:
    """Returns the index of distinct `keys`, each with its place, and of the `leads` and `lengths` of short items."""
    slots = 1 << max(4, (2 * len(keys)).bit_length())
    made = Index(
        np.zeros(max(1, slots // 4), np.uint64),
        np.zeros(slots, np.uint64),
        np.zeros(slots, np.int64),
        np.unique(lengths.astype(np.int64)),
    )
    _fill(keys, places, leads, made.bits, made.keys, made.places)
    return made


def search(texts: pa.Array, fold: FoldTable, width: Width, found: Index) -> Hits:
    """Returns every place of `texts` that holds a key of the index, in order."""
    data, offsets = utf8(texts)
    room = 4096
    while True:
        hits = np.empty((4, room), np.int64)
        amount = _search(data, offsets, fold.table, fold.expansions, width.words, width.characters, *found, hits)
        if amount <= room:
            row, start, end, place = hits[:, :amount]
            return Hits(row, start - offsets[row], end - offsets[row], place)
        room = amount


@njit(cache=True, nogil=True)
def read_tokens(
    data: Bytes,
    place: Whole,
    end: Whole,
    table: npt.NDArray[np.uint32],
    expansions: npt.NDArray[np.uint32],
    limit: Whole,
    filled: Whole,
    hashes: Keys,
    single: Bytes,
    starts: Numbers,
    ends: Numbers,
    is_open: bool,
) -> tuple[Whole, Whole, bool]:
    """Reads tokens behind the `filled` ones until there are `limit`; returns the byte reached, how many, and `is_open`.

    Of each token: its hash, whether it is one character of an unspaced script, and its bytes from and to. Where
    `is_open`, what stands behind the last is a word that the next bytes may go on with: in a run of `½` each ends
    words and leaves one open.
    """
    word, began, closed = hashes[filled], starts[filled], ends[filled]
    while place < end and filled < limit:
        at = place
        point, place = character(data, int(at))
        entry = np.int64(table[point]) if point < len(table) else np.int64(SEPARATOR)
        first, last = np.int64(0), np.int64(1)
        if entry >> CODE_BITS == EXPANDS:
            first = (entry & CODE_MASK) + 1
            last = first + np.int64(expansions[first - 1])
        for item in range(first, last):
            part = np.int64(expansions[item]) if first > 0 else entry
            kind = part >> CODE_BITS
            if kind == WORD or (kind == MARK and is_open):
                if not is_open:
                    word, is_open, began = TOKEN_SEED, True, at
                word = (word ^ np.uint64(part & CODE_MASK)) * TOKEN_PRIME
                closed = place
            elif kind == SINGLE or kind == SEPARATOR:
                if is_open:
                    hashes[filled], single[filled], starts[filled], ends[filled] = word, 0, began, closed
                    filled += 1
                    is_open = False
                if kind == SINGLE:
                    hashes[filled] = (TOKEN_SEED ^ np.uint64(part & CODE_MASK)) * TOKEN_PRIME
                    single[filled], starts[filled], ends[filled] = 1, at, place
                    filled += 1
    if is_open:
        hashes[filled], single[filled], starts[filled], ends[filled] = word, 0, began, closed
        if place >= end:
            filled += 1
            is_open = False
    return place, filled, is_open


@njit(cache=True, nogil=True)
def prefix_sums(hashes: Keys, filled: Whole, sums: Keys) -> None:
    """Fills `sums` with the hash of the first n tokens for each n, from which that of any run follows."""
    sums[0] = np.uint64(0)
    for number in range(filled):
        value = hashes[number]
        sums[number + 1] = sums[number] * GRAM_PRIME + (value ^ (value >> np.uint64(32)))


@njit(cache=True, nogil=True)
def _powers(most: Whole) -> Keys:
    powers = np.ones(most + 1, np.uint64)
    for number in range(most):
        powers[number + 1] = powers[number] * GRAM_PRIME
    return powers


@njit(cache=True, nogil=True)
def _key(sums: Keys, powers: Keys, first: Whole, last: Whole, kind: np.uint64) -> np.uint64:
    """Returns the key, never 0, of the tokens from `first` up to `last`."""
    run = sums[last] - sums[first] * powers[last - first]
    return mix(run ^ (np.uint64(last - first) * kind)) | np.uint64(1)


@njit(cache=True, nogil=True)
def _grams(
    data: Bytes,
    offsets: Numbers,
    table: npt.NDArray[np.uint32],
    expansions: npt.NDArray[np.uint32],
    words: Whole,
    characters: Whole,
    key: Keys,
    text: Numbers,
    weights: Numbers,
    tokens: Numbers,
    whole: Keys,
    lead: Keys,
) -> int:
    longest = np.int64(0)
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    room = longest * MOST + ROOM
    hashes, single, sums = np.empty(room, np.uint64), np.empty(room, np.uint8), np.empty(room + 1, np.uint64)
    starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
    powers = _powers(room)
    made = 0
    for row in range(len(offsets) - 1):
        _, filled, _ = read_tokens(
            data, offsets[row], offsets[row + 1], table, expansions, room, 0, hashes, single, starts, ends, False
        )
        prefix_sums(hashes, filled, sums)
        total, last = np.int64(0), 0
        for first in range(filled):
            while last < filled and total < words * characters:
                total += words if single[last] else characters
                last += 1
            if total < words * characters:
                break
            key[made], text[made] = _key(sums, powers, first, last, GRAM_PRIME), row
            made += 1
            total -= words if single[first] else characters
        tokens[row] = filled
        for number in range(filled):
            weights[row] += words if single[number] else characters
        whole[row] = _key(sums, powers, 0, filled, SHORT)
        if filled >= LEAD:
            lead[row] = _key(sums, powers, 0, LEAD, LEADS)
    return made


@njit(cache=True, nogil=True)
def _fill(keys: Keys, places: Numbers, leads: Keys, bits: Keys, slots: Keys, held: Numbers) -> None:
    many, mask = np.uint64(64 * len(bits) - 1), np.uint64(len(slots) - 1)
    for key in leads:
        bit = (key >> np.uint64(20)) & many
        bits[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
    for number in range(len(keys)):
        key = keys[number]
        bit = (key >> np.uint64(20)) & many
        bits[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        slot = (key >> np.uint64(1)) & mask
        while slots[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot], held[slot] = key, places[number]


@njit(cache=True, nogil=True)
def _may_be(key: np.uint64, bits: Keys) -> bool:
    """Returns whether a key may be in the table; that of nothing, 0, is taken for one where bit 0 is set."""
    bit = (key >> np.uint64(20)) & np.uint64(64 * len(bits) - 1)
    return bool((bits[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1) != 0)


@njit(cache=True, nogil=True)
def _place(key: np.uint64, slots: Keys, held: Numbers) -> int:
    """Returns the place of a key's items, -1 where the key is not in the table."""
    mask = np.uint64(len(slots) - 1)
    slot = (key >> np.uint64(1)) & mask
    while slots[slot] != 0:
        if slots[slot] == key:
            return int(held[slot])
        slot = (slot + np.uint64(1)) & mask
    return -1


@njit(cache=True, nogil=True)
def _search(
    data: Bytes,
    offsets: Numbers,
    table: npt.NDArray[np.uint32],
    expansions: npt.NDArray[np.uint32],
    words: Whole,
    characters: Whole,
    bits: Keys,
    slots: Keys,
    held: Numbers,
    lengths: Numbers,
    hits: Numbers,
) -> int:
    """Fills `hits`, int64[4, room], with rows, bytes of the batch from and to, and places, as far as there is room.

    Returns how many there are.
    """
    overlap: Whole = max(words, characters)
    for length in lengths:
        overlap = max(overlap, length)
    room = PIECE + overlap + ROOM
    hashes, single, sums = np.empty(room, np.uint64), np.empty(room, np.uint8), np.empty(room + 1, np.uint64)
    starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
    keys, leads, lasts = np.empty(room, np.uint64), np.empty(room, np.uint64), np.empty(room, np.int64)
    powers = _powers(overlap)
    amount = 0
    for row in range(len(offsets) - 1):
        place, end, kept, is_open = offsets[row], offsets[row + 1], np.int64(0), False
        while place < end:
            place, filled, is_open = read_tokens(
                data, place, end, table, expansions, PIECE + kept, kept, hashes, single, starts, ends, is_open
            )
            prefix_sums(hashes, filled, sums)
            until = filled if place >= end else filled - overlap  # the rest begins the next piece
            _windows(single, sums, powers, filled, until, words, characters, keys, leads, lasts)
            for first in range(until):
                if _may_be(keys[first], bits):
                    items = _place(keys[first], slots, held)
                    if items >= 0:
                        _hit(amount, row, starts[first], ends[lasts[first] - 1], items, hits)
                        amount += 1
                if len(lengths) > 0 and _may_be(leads[first], bits):
                    for length in lengths:
                        if first + length <= filled:
                            items = _place(_key(sums, powers, first, first + length, SHORT), slots, held)
                            if items >= 0:
                                _hit(amount, row, starts[first], ends[first + length - 1], items, hits)
                                amount += 1
            kept = np.int64(filled - until)
            for number in range(kept + 1):  # and the word that is open
                hashes[number], single[number] = hashes[until + number], single[until + number]
                starts[number], ends[number] = starts[until + number], ends[until + number]
    return amount


@njit(cache=True, nogil=True)
def _hit(amount: Whole, row: int, start: Whole, end: Whole, place: int, hits: Numbers) -> None:
    if amount < hits.shape[1]:
        hits[0, amount], hits[1, amount], hits[2, amount], hits[3, amount] = row, start, end, place


@njit(cache=True, nogil=True)
def _windows(
    single: Bytes,
    sums: Keys,
    powers: Keys,
    filled: Whole,
    until: Whole,
    words: Whole,
    characters: Whole,
    keys: Keys,
    leads: Keys,
    lasts: Numbers,
) -> None:
    """Fills, for each token up to `until`, the key and the end of its n-gram, and the key of its lead; 0 is no key.

    Apart from the look-ups, so that many of those are under way at once: the table does not fit a cache.
    """
    total, last = np.int64(0), np.int64(0)
    for first in range(until):
        while last < filled and total < words * characters:
            total += words if single[last] else characters
            last += 1
        whole = total >= words * characters
        keys[first] = _key(sums, powers, first, last, GRAM_PRIME) if whole else np.uint64(0)
        lasts[first] = last
        leads[first] = _key(sums, powers, first, first + LEAD, LEADS) if first + LEAD <= filled else np.uint64(0)
        total -= words if single[first] else characters
