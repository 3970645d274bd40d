"""From UTF-8 bytes to MinHash signatures and exact hashes in one pass: numba kernels on Arrow buffers.

A document is read in pieces of at most PIECE tokens that stay in the first-level cache: bytes to token hashes
(folded by the frozen table), token hashes to 64-bit shingle hashes (`width` tokens each), shingle hashes to the
minimum under every permutation. Nothing grows with a document's length. `stages.dedup.plain` is the readable twin.

A token is hashed in chunks of eight bytes: an ASCII letter is one byte, any other letter four. So words of ASCII are
found by masks of 64 bytes and read whole, three times as fast as by a step a letter.

The permutations are the scheme `affine32` of datasketch 2: the low 32 bits of a shingle's hash pass MurmurHash3's
finalizer, then a * h + b mod 2^32 with odd a; the same seed gives the same a and b, so a row of `signatures` is a
`datasketch.MinHash(hashvalues=row, scheme="affine32", seed=seed)`. The minimum is taken for eight shingles at a time
over all permutations, which keeps eight hashes in registers while the row streams (twice the speed of one at a time).

Source: A. Broder, On the resemblance and containment of documents, 1997; MurmurHash3 (A. Appleby) for the finalizers.
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from stages.buffers import utf8
from stages.dedup.fold import CODE_BITS, CODE_MASK, EXPANDS, MARK, SEPARATOR, SINGLE, WORD, FoldTable
from stages.vectors import bits_set, first_bit, load_eight, load_masks

PIECE: Final = 512  # tokens; with their shingles 6 KB
ROOM: Final = 40  # places kept free for what one character may expand to, or for the words of 64 bytes
SPAN: Final = 72  # bytes: a word within 64 is read by eights
TILE: Final = 8
TOKEN_SEED: Final = np.uint64(0xCBF29CE484222325)
TOKEN_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
SHINGLE_PRIME: Final = np.uint64(0xD1342543DE82EF95)
PLACE_STEPS: Final = (np.uint64(0xA0761D6478BD642F), np.uint64(0xE7037ED1A0B428DB))
MIXERS: Final = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
ONE: Final = np.uint64(1)
EVERY: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
NOT_ASCII: Final = np.uint64(0x8080808080808080)
LOWER_CASE: Final = np.uint64(0x2020202020202020)
WIDE: Final = np.uint64(0x80)  # the first byte of a letter that is not ASCII, in a chunk
SINGLE_SEED: Final = TOKEN_SEED ^ WIDE ^ np.uint64(SINGLE << CODE_BITS + 8)  # takes the kind from an entry << 8 too
NEITHER: Final = 3  # holds a bit of every kind but SEPARATOR and SINGLE
HALF: Final = np.uint64(32)
LOW: Final = np.uint64(0xFFFFFFFF)

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Halves = npt.NDArray[np.uint32]
Offsets = npt.NDArray[np.int64]
Whole = int | np.int64  # numba makes one of both


class Permutations(NamedTuple):
    """h -> a * h + b mod 2^32, each uint32[permutations]."""

    a: Halves
    b: Halves


class Signed(NamedTuple):
    """What the kernel says of each document.

    `signatures` is uint32[documents, permutations], all ones where there is no shingle; `exact` is a 128-bit hash of
    the folded view, uint64[documents, 2]; `counts` are the tokens of the folded view, `characters` those of the text,
    both int64[documents].
    """

    signatures: Halves
    exact: Hashes
    counts: Offsets
    characters: Offsets


@functools.lru_cache(maxsize=8)
def permutations(amount: int, seed: int) -> Permutations:
    """Returns the permutations that datasketch 2 draws for this seed (numpy's frozen `RandomState`)."""
    draw = np.random.RandomState(seed)
    odd = draw.randint(0, 2**31, amount, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return Permutations(odd, draw.randint(0, 2**32, amount, dtype=np.uint32))


def sign(texts: pa.StringArray, fold: FoldTable, drawn: Permutations, *, width: int) -> Signed:
    """Returns signature, exact hash and token count of every text; a null is an empty text."""
    data, offsets = utf8(texts)
    rows = len(texts)
    signatures, exact = np.full((rows, len(drawn.a)), 0xFFFFFFFF, np.uint32), np.zeros((rows, 2), np.uint64)
    signed = Signed(signatures, exact, np.zeros(rows, np.int64), np.zeros(rows, np.int64))
    _sign(data, offsets, fold.table, fold.expansions, drawn.a, drawn.b, width, *signed)
    return signed


@njit(cache=True, nogil=True)
def _sign(
    data: Bytes,
    offsets: Offsets,
    table: Halves,
    expansions: Halves,
    a: Halves,
    b: Halves,
    width: int,
    signatures: Halves,
    exact: Hashes,
    counts: Offsets,
    characters: Offsets,
) -> None:
    """Fills what `Signed` holds, for the documents between `offsets`."""
    tokens = np.empty(width + PIECE + ROOM, np.uint64)
    shingles = np.empty(len(tokens), np.uint64)
    minima = np.empty(len(tokens), np.uint32)
    for document in range(len(offsets) - 1):
        place: Whole = offsets[document]
        end = offsets[document + 1]
        word = TOKEN_SEED
        used: Whole = 0
        held: Whole = 0
        seen: Whole = 0
        while place < end:
            place, word, used, filled = tokenize(data, place, end, table, expansions, word, used, tokens, held)
            _digest(tokens[held:filled], seen, exact[document])
            seen += filled - held
            made = shingle(tokens[:filled], width, shingles)
            _scatter(shingles[:made], minima)
            lower(signatures[document], minima[:made], a, b)
            held = keep(tokens, filled, width)
        counts[document] = seen
        characters[document] = _characters(data, offsets[document], end)


@njit(cache=True, nogil=True)
def _characters(data: Bytes, place: Whole, end: Whole) -> Whole:
    """Returns the characters between two places: the bytes that do not continue one, which look like 10xxxxxx."""
    continuing = np.int64(0)
    for block in range(place, end - 7, 8):
        eight = load_eight(data, block)
        continuing += bits_set(eight & ~(eight << ONE) & NOT_ASCII)
    for number in range(end - (end - place) % 8, end):
        continuing += np.int64(data[np.uint64(number)] & 0xC0 == 0x80)
    return end - place - continuing


@njit(cache=True, nogil=True)
def keep(tokens: Hashes, filled: Whole, width: int) -> Whole:
    """Moves the tokens that the next shingle begins with to the front; returns their number."""
    held = min(filled, width - 1)
    for kept in range(held):
        tokens[kept] = tokens[filled - held + kept]
    return held


@njit(cache=True, nogil=True)
def tokenize(
    data: Bytes,
    place: Whole,
    end: Whole,
    table: Halves,
    expansions: Halves,
    word: np.uint64,
    used: Whole,
    tokens: Hashes,
    filled: Whole,
) -> tuple[Whole, np.uint64, Whole, Whole]:
    """Hashes tokens into `tokens` from `filled` on, until the text ends or PIECE of them are there.

    Returns the place reached, the word that is open (its hash so far, and how many bits of the last chunk are used: 0
    where none is open), and how far `tokens` is filled.
    """
    first, limit = filled, len(tokens) - ROOM
    while place < end and filled < limit:
        byte = np.int64(data[np.uint64(place)])  # an unsigned index spares the test for a negative one: 1.3x on Han
        if byte < 0x80:
            if used == 0 and place + SPAN <= end and load_eight(data, place) & NOT_ASCII == 0:
                reached, filled = _words(data, place, tokens, filled)
                if reached > place:
                    place = reached
                    continue
            entry, place = np.int64(table[np.uint64(byte)]), place + 1
            is_word = np.int64(entry >> CODE_BITS == WORD)
            if used == 64 and is_word == 1:
                word, used = _finish(word), np.int64(0)
            tokens[np.uint64(filled)] = word  # counted only where a word ends: no branch to mispredict, 1.8x
            filled += np.int64(used > 0) & (1 - is_word)
            word = word ^ np.uint64(entry & CODE_MASK) << np.uint64(used) if is_word else TOKEN_SEED
            used = used + 8 if is_word else np.int64(0)
            continue
        if byte & 0xF0 == 0xE0:
            second = np.int64(data[np.uint64(place + 1)]) & 0x3F
            third = np.int64(data[np.uint64(place + 2)]) & 0x3F
            entry = np.int64(table[np.uint64((byte & 0x0F) << 12 | second << 6 | third)])
            place += 3
        else:
            code, place = _decode(data, place, byte)
            entry = np.int64(table[np.uint64(code)]) if code < len(table) else np.int64(0)
        kind = entry >> CODE_BITS
        if kind & NEITHER == 0:  # one branch for both: where Han meets punctuation nothing is mispredicted
            if used > 0:
                tokens[np.uint64(filled)] = word
                filled += 1
                word, used = TOKEN_SEED, np.int64(0)
            tokens[np.uint64(filled)] = np.uint64(entry) << np.uint64(8) ^ SINGLE_SEED  # counted if it is one
            filled += np.int64(kind == SINGLE)
        elif kind == WORD:
            word, used = _add(np.uint64(entry & CODE_MASK), word, used)
        else:
            word, used, filled = _take(entry, expansions, word, used, tokens, filled)
    if place == end and used > 0:
        tokens[filled] = word
        filled += 1
    _finish_all(tokens[first:filled])
    return place, word, used, filled


@njit(cache=True, nogil=True)
def _finish_all(words: Hashes) -> None:
    for number in range(len(words)):  # apart, and over all of an array: eight at a time
        words[number] = _finish(words[number])


@njit(cache=True, nogil=True)
def _add(letter: np.uint64, word: np.uint64, used: Whole) -> tuple[np.uint64, Whole]:
    """Adds a letter to the open word, in the next chunk where this one has no room."""
    unit, bits = (letter, 8) if letter < WIDE else (letter << np.uint64(8) | WIDE, 32)
    if used + bits > 64:
        word, used = _finish(word), np.int64(0)
    return word ^ unit << np.uint64(used), used + bits


@njit(cache=True, nogil=True)
def _finish(value: np.uint64) -> np.uint64:
    return mix(value * TOKEN_PRIME)


@njit(cache=True, nogil=True)
def _words(data: Bytes, place: Whole, tokens: Hashes, filled: Whole) -> tuple[Whole, Whole]:
    """Takes the words that end within 64 bytes, as far as those are ASCII; SPAN bytes must be there.

    ASCII is folded here, not by the table: letters and digits are words, and a set bit makes letters lower case.
    Returns the place reached, which is where the next word begins if it may go on behind, and how far `tokens` is
    filled.
    """
    letters, digits, _, _, _, others = load_masks(data, place)
    letters |= digits
    before = letters << ONE
    valid = (others & (~others + ONE)) - ONE  # the bits below the first that is not ASCII
    starts = letters & ~before & valid
    stops = ~letters & before & valid
    while stops != 0:
        start = first_bit(starts)
        left = first_bit(stops) - start
        starts &= starts - ONE
        stops &= stops - ONE
        at = place + start
        word = TOKEN_SEED
        while left > 8:
            word = _finish(word ^ (load_eight(data, at) | LOWER_CASE))
            at += 8
            left -= 8
        chunk = (load_eight(data, at) | LOWER_CASE) & (EVERY >> np.uint64(64 - 8 * left))
        tokens[np.uint64(filled)] = word ^ chunk
        filled += 1
    return place + (first_bit(starts) if starts != 0 else first_bit(others)), filled


@njit(cache=True, nogil=True)
def _decode(data: Bytes, place: Whole, byte: Whole) -> tuple[Whole, Whole]:
    """Returns the code point of the UTF-8 sequence of two to four bytes that `byte` begins, and the place after it."""
    second = np.int64(data[np.uint64(place + 1)]) & 0x3F
    if byte < 0xE0:
        return (byte & 0x1F) << 6 | second, place + 2
    third = np.int64(data[np.uint64(place + 2)]) & 0x3F
    if byte < 0xF0:
        return (byte & 0x0F) << 12 | second << 6 | third, place + 3
    fourth = np.int64(data[np.uint64(place + 3)]) & 0x3F
    return (byte & 0x07) << 18 | second << 12 | third << 6 | fourth, place + 4


@njit(cache=True, nogil=True)
def _take(
    entry: np.int64, expansions: Halves, word: np.uint64, used: Whole, tokens: Hashes, filled: Whole
) -> tuple[np.uint64, Whole, Whole]:
    """Adds a folded character of any kind: to the open word, as a token, or as the characters it expands to."""
    first, last = np.int64(0), np.int64(1)
    if entry >> CODE_BITS == EXPANDS:
        first = (entry & CODE_MASK) + 1
        last = first + np.int64(expansions[first - 1])
    for item in range(first, last):
        part = np.int64(expansions[item]) if first > 0 else entry
        kind = part >> CODE_BITS
        if kind == WORD or (kind == MARK and used > 0):
            word, used = _add(np.uint64(part & CODE_MASK), word, used)
        elif kind == SINGLE or kind == SEPARATOR:
            tokens[filled] = word
            filled += np.int64(used > 0)
            word, used = TOKEN_SEED, np.int64(0)
            tokens[filled] = np.uint64(part) << np.uint64(8) ^ SINGLE_SEED
            filled += np.int64(kind == SINGLE)
    return word, used, filled


@njit(cache=True, nogil=True)
def _digest(tokens: Hashes, seen: Whole, exact: Hashes) -> None:
    """Adds tokens, each mixed with its place in the document (`seen` came before), to both halves of the exact hash."""
    first, second = exact[0], exact[1]
    for number in range(len(tokens)):
        place = np.uint64(seen + number + 1)
        first += mix(tokens[number] ^ (place * PLACE_STEPS[0]))
        second += mix(tokens[number] ^ (place * PLACE_STEPS[1]))
    exact[0], exact[1] = first, second


@njit(cache=True, nogil=True)
def mix(value: np.uint64) -> np.uint64:
    """Returns a 64-bit value with its bits avalanched (MurmurHash3's fmix64, one round less)."""
    value = (value ^ (value >> np.uint64(33))) * MIXERS[0]
    return value ^ (value >> np.uint64(29))


@njit(cache=True, nogil=True)
def shingle(tokens: Hashes, width: int, shingles: Hashes) -> int:
    """Hashes each run of `width` tokens into `shingles`; returns their number (0 below `width` tokens)."""
    made = max(len(tokens) - width + 1, 0)
    for number in range(made):
        shingles[number] = tokens[number]
    for step in range(1, width):
        for number in range(made):
            shingles[number] = shingles[number] * SHINGLE_PRIME + tokens[number + step]
    for number in range(made):
        shingles[number] = shingles[number] ^ (shingles[number] >> HALF)
    return made


@njit(cache=True, nogil=True)
def _scatter(shingles: Hashes, minima: Halves) -> None:
    """Passes the low 32 bits of each hash through MurmurHash3's 32-bit finalizer."""
    for number in range(len(shingles)):
        value = np.uint32(shingles[number] & LOW)
        value = np.uint32((value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
        value = np.uint32((value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        minima[number] = value ^ (value >> np.uint32(16))


@njit(cache=True, nogil=True)
def lower(row: Halves, hashes: Halves, a: Halves, b: Halves) -> None:
    """Lowers `row`, uint32[permutations], to the minimum under each permutation over `hashes` (already scattered)."""
    lanes = len(row)
    tiles = len(hashes) // TILE * TILE
    for start in range(0, tiles, TILE):
        h0, h1, h2, h3 = hashes[start], hashes[start + 1], hashes[start + 2], hashes[start + 3]
        h4, h5, h6, h7 = hashes[start + 4], hashes[start + 5], hashes[start + 6], hashes[start + 7]
        for lane in range(lanes):
            m, c = a[lane], b[lane]
            least = min(row[lane], np.uint32(m * h0 + c))
            least = min(least, np.uint32(m * h1 + c))
            least = min(least, np.uint32(m * h2 + c))
            least = min(least, np.uint32(m * h3 + c))
            least = min(least, np.uint32(m * h4 + c))
            least = min(least, np.uint32(m * h5 + c))
            least = min(least, np.uint32(m * h6 + c))
            row[lane] = min(least, np.uint32(m * h7 + c))
    for number in range(tiles, len(hashes)):
        value = hashes[number]
        for lane in range(lanes):
            row[lane] = min(row[lane], np.uint32(a[lane] * value + b[lane]))


@njit(cache=True, nogil=True)
def band_keys(signatures: Halves, bands: int, rows: int, keys: Hashes) -> None:
    """Fills `keys`, uint64[documents, bands], with a hash of the band's number and its `rows` minima."""
    for document in range(len(signatures)):
        for band in range(bands):
            key = np.uint64(band + 1) * PLACE_STEPS[0]
            for row in range(band * rows, band * rows + rows):
                key = mix((key ^ np.uint64(signatures[document, row])) * TOKEN_PRIME)
            keys[document, band] = key
