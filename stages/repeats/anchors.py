"""Anchors: one place in about thirteen tokens, chosen by the text itself, by which equal passages find each other.

A *passage* is a run of `tokens` tokens of the folded view. In it stand `spread` n-grams of `width` tokens, where
`width + spread - 1 = tokens`; the one of least hash (the last, if several are) is its anchor. Equal passages have equal
anchors at the same distance, whatever stands around them, so passages whose anchors occur once occur once. Passages
that follow each other mostly share their anchor: all that do are one row, with the hash of its n-gram (`gram`) and of
all tokens of the passages together (`span`). Rows are 2 / (spread + 1) a token in text, and at most one in text that
repeats within `spread` tokens. `stages.repeats.plain` is the readable twin.

Source: Schleimer, Wilkerson, Aiken, Winnowing: local algorithms for document fingerprinting, SIGMOD 2003 (the choice,
its guarantee, its density).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from stages.buffers import utf8
from stages.dedup.fold import FoldTable
from stages.dedup.signature import ROOM, TOKEN_SEED, Bytes, Halves, Hashes, Offsets, Whole, mix, tokenize

PIECE: Final = 2048  # tokens that are looked at together, beside those of the passages that are open
GRAM_PRIME: Final = np.uint64(0xD1342543DE82EF95)
LENGTH_STEP: Final = np.uint64(0xA0761D6478BD642F)
FEWEST_BYTES: Final = 48  # of text for which room for one row is made at first


class Anchors(NamedTuple):
    """A row for each run of passages with one anchor, in the order (document, start), and `tokens` of each document.

    `gram` and `span` are uint64[rows], the others int64: row of the `document`, token at which the first passage
    begins (`start`), number of passages (at most `spread`).
    """

    gram: Hashes
    span: Hashes
    document: Offsets
    start: Offsets
    passages: Offsets
    tokens: Offsets


def anchors(texts: pa.Array, fold: FoldTable, *, width: int, spread: int) -> Anchors:
    """Returns the anchors of texts, for passages of `width + spread - 1` tokens; null is as empty text."""
    data, offsets = utf8(texts)
    tokens = np.zeros(len(texts), np.int64)
    rows = _anchors(data, offsets, fold.table, fold.expansions, width, spread, tokens)
    gram, span, document, place = rows.T
    return Anchors(
        gram,
        span,
        document.astype(np.int64),
        (place >> np.uint64(16)).astype(np.int64),
        (place & np.uint64(0xFFFF)).astype(np.int64),
        tokens,
    )


@njit(cache=True, nogil=True)
def _anchors(
    data: Bytes, offsets: Offsets, table: Halves, expansions: Halves, width: int, spread: int, amounts: Offsets
) -> npt.NDArray[np.uint64]:
    """Fills `amounts` with the tokens of each document; returns uint64[rows, 4]: gram, span, document, place.

    A place is start << 16 | passages.
    """
    length = width + spread - 1
    room = length + spread + PIECE + ROOM
    tokens, sums, grams = np.empty(room, np.uint64), np.zeros(room + 1, np.uint64), np.empty(room, np.uint64)
    powers = np.ones(length + spread, np.uint64)
    for number in range(1, len(powers)):
        powers[number] = powers[number - 1] * GRAM_PRIME
    rows = np.empty(((offsets[-1] - offsets[0]) // FEWEST_BYTES + room, 4), np.uint64)
    made = 0
    for document in range(len(offsets) - 1):
        place: Whole = offsets[document]
        end = offsets[document + 1]
        word = TOKEN_SEED
        used: Whole = 0
        held: Whole = 0  # tokens of earlier pieces that are still there; places below are among what is there
        before: Whole = 0  # tokens that are not
        first: Whole = 0  # passage that begins the run
        anchor: Whole = -1
        while place < end:
            place, word, used, filled = tokenize(data, place, end, table, expansions, word, used, tokens, held)
            if made + filled - held + 1 > len(rows):
                grown = np.empty((2 * len(rows) + room, 4), np.uint64)
                grown[:made] = rows[:made]
                rows = grown
            for number in range(held, filled):
                sums[number + 1] = sums[number] * GRAM_PRIME + tokens[number]
                gram = number - width + 1
                if gram < 0:
                    continue
                value = mix(sums[number + 1] - sums[gram] * powers[width])
                grams[gram] = value
                passage = gram - spread + 1
                if passage < 0 or (anchor >= passage and value > grams[anchor]):
                    continue
                if anchor >= 0:
                    _write(rows[made], grams[anchor], sums, powers, first, passage - first, length, document, before)
                    made += 1
                best: Whole = gram
                if anchor < passage:
                    for other in range(gram - 1, passage - 1, -1):
                        if grams[other] < grams[best]:
                            best = other
                anchor, first = best, passage
            if place == end and anchor >= 0:
                passages = filled - length + 1 - first
                _write(rows[made], grams[anchor], sums, powers, first, passages, length, document, before)
                made += 1
            gone = first if anchor >= 0 else 0
            held = filled - gone
            for kept in range(held):
                tokens[kept], sums[kept], grams[kept] = tokens[gone + kept], sums[gone + kept], grams[gone + kept]
            sums[held] = sums[filled]
            before, first, anchor = before + gone, first - gone, anchor - gone if anchor >= 0 else -1
        amounts[document] = before + held
    return rows[:made].copy()


@njit(cache=True, nogil=True)
def _write(
    row: Hashes,
    gram: np.uint64,
    sums: Hashes,
    powers: Hashes,
    first: Whole,
    passages: Whole,
    length: Whole,
    document: int,
    before: Whole,
) -> None:
    """Writes the row of so many passages of `length` tokens, the first of which begins at the token `first`."""
    many = passages + length - 1
    span = sums[first + many] - sums[first] * powers[many]
    row[0], row[1] = gram, mix(span ^ (np.uint64(passages) * LENGTH_STEP))
    row[2], row[3] = np.uint64(document), (np.uint64(before + first) << np.uint64(16)) | np.uint64(passages)
