"""The words that topics are called by: terms that many documents of a topic hold and few others do.

A term is a word of three letters or more, or two to four single characters (Han, …) side by side, as the text writes
it. It counts once a document. Of two terms that are alike and about as common the longer one is taken.

Source: Grootendorst 2022, section 3.3 (class-based TF-IDF), on documents that hold a term in the place of occurrences.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.clusters import NONE
from stages.audit.hostile import harmless
from stages.audit.units import CHARACTER, LETTERS, Units, units_of
from stages.quality.characters import FUNCTION_WORDS

WORDS: Final = 5  # of a label
TRIED: Final = 25  # terms, the best first, of which they are chosen
DOCUMENTS: Final = 16  # of each topic, the nearest
CHARACTERS: Final = 600  # of each
COMMON_RATIO: Final = 0.3  # of its documents hold a term that names a topic
LEAST_RATIO: Final = 0.1  # or this, where there are no others
LONGER_RATIO: Final = 0.6  # as common a longer term is taken
LONGEST: Final = 24  # characters of a term
STEM: Final = 5  # characters by which two words are of one
_PRIME, _OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)

Numbers = npt.NDArray[np.int64]


def labels_of(texts: pa.Array, topics: npt.NDArray[np.int32], scores: npt.NDArray[np.int32], amount: int) -> list[str]:
    """Returns words for each of `amount` topics, fit to be shown; empty where its documents have nothing in common.

    `texts` are large_string[documents] with their topics and scores.
    """
    if not (topics != NONE).any():
        return [""] * amount
    order = np.lexsort((np.arange(len(topics)), -scores, topics))
    order = order[topics[order] != NONE]
    firsts = np.searchsorted(topics[order], np.arange(amount))
    nearest = order[np.arange(len(order)) - firsts[topics[order]] < DOCUMENTS]
    own = topics[nearest].astype(np.int64)
    units = units_of(pc.utf8_slice_codeunits(texts.take(pa.array(nearest)), 0, CHARACTERS))
    hashes, first, last = _terms(units)
    document = np.searchsorted(units.bounds, first, side="right") - 1
    key = hashes * _PRIME ^ document.astype(np.uint64) * _OTHER
    _, once, times = np.unique(key, return_index=True, return_counts=True)
    hashes, first, last, topic = hashes[once], first[once], last[once], own[document[once]]
    _, number = np.unique(hashes, return_inverse=True)
    everywhere = np.bincount(number)
    pairs, place, group = np.unique(topic * len(everywhere) + number, return_index=True, return_inverse=True)
    holding = np.bincount(group)
    of = pairs // len(everywhere)
    documents = np.bincount(own, minlength=amount)
    rate = np.log2(1 + len(nearest) / amount / everywhere[pairs % len(everywhere)])
    score = np.bincount(group, np.log2(1 + times)) / documents[of] * rate
    score = np.round(score * (1 << 20)).astype(np.int64)
    common = holding >= COMMON_RATIO * documents[of]
    told = holding >= np.maximum(np.minimum(2, documents[of]), LEAST_RATIO * documents[of])
    made = []
    for one in range(amount):
        mine = np.flatnonzero(told & (of == one))
        best = mine[np.lexsort((first[place[mine]], -score[mine], ~common[mine]))][:TRIED]
        terms = [
            (units.text(int(first[at]), int(last[at])).lower(), int(count))
            for at, count in zip(place[best], holding[best], strict=True)
        ]
        made.append(" ".join(harmless(term, LONGEST) for term in _chosen(terms)))
    return made


def _terms(units: Units) -> tuple[npt.NDArray[np.uint64], Numbers, Numbers]:
    """Returns the terms of texts: a hash of each, and its first and last unit."""
    kinds, many = units.kinds, len(units.hashes)
    borders = np.zeros(many + 1, bool)
    borders[units.bounds] = True
    single = kinds == CHARACTER
    follows = single[1:] & single[:-1] & (units.starts[1:] == units.ends[:-1]) & ~borders[1:-1]
    words = np.flatnonzero((kinds == LETTERS) & (units.ends - units.starts >= 3))
    hashes, firsts, lasts = [units.hashes[words]], [words], [words]
    run, value = np.arange(many), units.hashes
    for width in (2, 3, 4):
        run = run[: many - width + 1] if width == 2 else run
        stays = follows[run + width - 2] if len(run) else np.zeros(0, bool)
        run, value = run[stays], value[: len(stays)][stays]
        value = (value * _PRIME) ^ units.hashes[run + width - 1]
        inside = run + width < many
        hashes.append(value)
        firsts.append(run)
        lasts.append(run + width - 1)
        run, value = run[inside], value[inside]
    return np.concatenate(hashes), np.concatenate(firsts), np.concatenate(lasts)


def _chosen(terms: list[tuple[str, int]]) -> list[str]:
    """Returns the first terms, but none that ends in a function word or looks random, and no part of others.

    Of those that overlap the longest is taken that is about as common.

    >>> _chosen([("人民", 9), ("民法院", 8), ("人民法院", 8), ("的法院", 8), ("court", 7), ("法", 3)])
    ['人民法院', 'court', '法']
    """
    made: list[tuple[str, int]] = []
    for term, amount in terms:
        looks_random = len(term) > STEM and any(map(str.isdigit, term))
        if looks_random or term[0] in FUNCTION_WORDS or term[-1] in FUNCTION_WORDS:
            continue
        same = [place for place, (other, _) in enumerate(made) if _overlap(term, other)]
        if not same and len(made) < WORDS:
            made.append((term, amount))
        elif same and made[same[0]][0] in term and amount >= LONGER_RATIO * made[same[0]][1]:
            made[same[0]] = (term, amount)
            made = [item for place, item in enumerate(made) if place not in same[1:]]
    return [term for term, _ in made]


def _overlap(term: str, other: str) -> bool:
    """Returns whether one holds two characters of the other side by side, or words of one stem."""
    if term.isascii() or other.isascii():
        return term.isascii() and other.isascii() and term[:STEM] == other[:STEM]
    return any(term[place : place + 2] in other for place in range(len(term) - 1))
