"""What is measured of the wording of drawn documents: by language on samples of one size, and what stands in several.

Of each language the documents are taken in the order of the draw, of each its first 500 units, until there are five
samples of 10,000 units, or as many as there are; no sample shares a document with another but for the one that it is
cut in. So every figure is of one size, whichever corpus or language it is of, and five of them say how far it varies.
Characters are taken alike: 20,000 a sample, the first 1,500 of a document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.hostile import harmless
from stages.audit.measures import ratio_of_sums
from stages.audit.units import CHARACTER, Units
from stages.audit.vocabulary import (
    Hashes,
    Places,
    before,
    bigram_entropy,
    bits_per_character,
    distinct,
    grams,
    hapax_ratio,
    heaps_beta,
    inside,
    mattr,
    mean_of,
    repeated,
    zipf_slope,
)

SIZE: Final = 10_000  # units of a sample
FIRST: Final = 500  # of a document
LETTERS: Final = 20_000  # characters of a sample
FIRST_LETTERS: Final = 1500  # of a document
SAMPLES: Final = 5
WINDOW: Final = 500  # of MATTR
RECITED: Final = 13  # units of the n-grams of self-repetition
STRETCH: Final = 50  # units of a stretch
ONE_IN: Final = 8  # stretches, by hash
SHOWN: Final = 50
TRIED: Final = 20  # times as many are looked at, as most of them overlap
SHOWN_CHARACTERS: Final = 160
PARAGRAPH: Final = 20  # characters of the shortest paragraph that counts
UNKNOWN: Final = "none"  # a language that nothing labelled
LEXICAL: Final = pa.schema(
    [
        pa.field("language", pa.string()),
        pa.field("measure", pa.string()),
        pa.field("value", pa.float64()),  # null where there is too little text
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("samples", pa.int64()),
        pa.field("documents", pa.int64()),  # that the samples are of
    ]
)
STRETCHES: Final = pa.schema(
    [
        pa.field("documents", pa.int64()),
        pa.field("id", pa.binary(16)),
        pa.field("language", pa.string()),
        pa.field("text", pa.string()),
    ]
)
SHARES: Final = pa.schema(
    [
        pa.field("measure", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("documents", pa.int64()),
    ]
)
_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
_EMPTY: Final = (np.zeros(0, np.uint64), *(np.zeros(0, np.int32) for _ in range(3)))
_TOP: Final = np.uint64(64 - (ONE_IN - 1).bit_length())

OF_WORDS: Final = (*(f"distinct_{width}" for width in (1, 2, 3)), "mattr_500", "hapax", "zipf", "heaps", "repeated_13")
OF_CHARACTERS: Mapping[str, Callable[[str], float]] = {
    "bigram_entropy": bigram_entropy,
    "bits_per_character": bits_per_character,
}


def of_words(words: Hashes, bounds: Places) -> dict[str, float]:
    """Returns the measures of a sample of units by name."""
    last = before(words)
    counts = np.unique(words, return_counts=True)[1]
    return {
        **{f"distinct_{width}": distinct(words, bounds, width) for width in (1, 2, 3)},
        "mattr_500": mattr(last, WINDOW),
        "hapax": hapax_ratio(counts),
        "zipf": zipf_slope(counts),
        "heaps": heaps_beta(last),
        "repeated_13": repeated(words, bounds, RECITED),
    }


class _Held:
    """The units and characters of one language so far."""

    def __init__(self) -> None:
        self.words: list[Hashes] = []
        self.characters: list[str] = []
        self.units = self.letters = self.single = self.seen = 0

    @property
    def is_full(self) -> bool:
        return self.units >= SAMPLES * SIZE and self.letters >= SAMPLES * LETTERS


class Wording:
    """Takes the units of documents in the order of the draw, and says what was measured of them."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def add(self, languages: list[str | None], texts: pa.Array, units: Units) -> None:
        """Takes documents: their labels, texts and units; those without text have no unit."""
        bounds = units.bounds.tolist()
        for row, language in enumerate(languages):
            first, last = bounds[row], min(bounds[row + 1], bounds[row] + FIRST)
            if first == last:
                continue
            held = self._held.setdefault(language or UNKNOWN, _Held())
            held.seen += 1
            if held.units < SAMPLES * SIZE:
                held.words.append(units.hashes[first:last].copy())
                held.units += last - first
                held.single += int((units.kinds[first:last] == CHARACTER).sum())
            if held.letters < SAMPLES * LETTERS:
                held.characters.append(texts[row].as_py()[:FIRST_LETTERS])
                held.letters += len(held.characters[-1])

    def table(self) -> pa.Table:
        """Returns a row of LEXICAL a language and measure; `single` of its `units` are characters."""
        rows = [row for language in sorted(self._held) for row in self._rows(language, self._held[language])]
        return pa.Table.from_pylist([dict(zip(LEXICAL.names, row, strict=True)) for row in rows], LEXICAL)

    def _rows(self, language: str, held: _Held) -> Iterator[tuple[object, ...]]:
        yield language, "units", float(held.units), None, None, 1, held.seen
        yield language, "single", held.single / held.units, None, None, 1, held.seen
        found = [of_words(*sample) for sample in _samples(held.words)]
        documents = _documents(held.words, len(found) * SIZE)
        for measure in OF_WORDS:
            yield (language, measure, *_mean([values[measure] for values in found]), len(found), documents)
        texts = "\n".join(held.characters)
        cut = [texts[start : start + LETTERS] for start in range(0, len(texts) - LETTERS + 1, LETTERS)][:SAMPLES]
        for measure, of_text in OF_CHARACTERS.items():
            values = [of_text(text) for text in cut]
            documents = _documents(held.characters, len(values) * LETTERS)
            yield (language, measure, *_mean(values), len(values), documents)


def _mean(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    return mean_of(values) if values else (None, None, None)


def _documents(held: Sequence[Sized], size: int) -> int:
    """Returns how many documents so much text is of, the first ones."""
    ends = np.cumsum([0, *map(len, held)])
    return int((ends[:-1] < size).sum())


def _samples(documents: list[Hashes]) -> Iterator[tuple[Hashes, Places]]:
    """Yields samples of SIZE units with the bounds of documents in them."""
    words = np.concatenate([np.zeros(0, np.uint64), *documents])
    ends = np.cumsum([len(own) for own in documents])
    for start in range(0, min(len(words) - SIZE, SIZE * (SAMPLES - 1)) + 1, SIZE):
        within = ends[(ends > start) & (ends < start + SIZE)] - start
        yield words[start : start + SIZE], np.concatenate([[0], within, [SIZE]])


class Stretches(NamedTuple):
    """Stretches of STRETCH units, one in ONE_IN by hash: the document of each, and its place in the text (bytes)."""

    hashes: Hashes
    documents: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]


def stretches_of(units: Units, offsets: Places, first: int) -> Stretches:
    """Returns the stretches of documents numbered from `first` on; `offsets` are where the texts begin in the data."""
    made = grams(units.hashes, STRETCH)
    held = np.flatnonzero(inside(units.bounds, STRETCH) & (made * _PRIME >> _TOP == 0))
    document = np.searchsorted(units.bounds, held, side="right") - 1
    return Stretches(
        made[held],
        (document + first).astype(np.int32),
        (units.starts[held] - offsets[document]).astype(np.int32),
        (units.ends[held + STRETCH - 1] - offsets[document]).astype(np.int32),
    )


def recited(parts: list[Stretches], drawn: pa.Table, texts: pa.Array) -> tuple[pa.Table, pa.Table]:
    """Returns the stretches that stand in most documents (STRETCHES), and which share stands in several (SHARES)."""
    whole = Stretches(*map(np.concatenate, zip(_EMPTY, *parts, strict=True)))
    order = np.argsort(whole.hashes, kind="stable")  # they lie by document and place
    hashes, documents = whole.hashes[order], whole.documents[order]
    new = np.ones(len(order), bool)
    new[1:] = hashes[1:] != hashes[:-1]
    group = np.cumsum(new) - 1
    another = np.ones(len(order), bool)
    another[1:] = new[1:] | (documents[1:] != documents[:-1])
    amounts = np.bincount(group, another).astype(np.int64) if len(order) else np.zeros(0, np.int64)
    several = amounts[group] > 1
    amount = len(texts)
    share = ratio_of_sums(np.bincount(documents[several], minlength=amount), np.bincount(documents, minlength=amount))
    shares = [("repeated_50", share), ("repeated_paragraphs", _paragraphs(texts))]
    held = amount - texts.null_count
    rows = [dict(zip(SHARES.names, (name, *values, held), strict=True)) for name, values in shares]
    firsts = order[new]
    best = np.lexsort((whole.starts[firsts], whole.documents[firsts], -amounts))[: TRIED * SHOWN]
    borders = np.append(np.flatnonzero(new), len(order))
    places = [order[borders[number] : borders[number + 1]] for number in best.tolist() if amounts[number] > 1]
    told = [_told(own, whole, drawn, texts) for own in _apart(places, whole)]
    return pa.Table.from_pylist(told, STRETCHES), pa.Table.from_pylist(rows, SHARES)


def _apart(places: list[npt.NDArray[np.int64]], whole: Stretches) -> list[npt.NDArray[np.int64]]:
    """Returns the first stretches, SHOWN at the most, of which none overlaps one before it in any document."""
    taken: dict[int, list[tuple[int, int]]] = {}
    made: list[npt.NDArray[np.int64]] = []
    for own in places:
        held = list(zip(*(column[own].tolist() for column in whole[1:]), strict=True))
        if any(
            start < last and first < end for document, start, end in held for first, last in taken.get(document, ())
        ):
            continue
        made.append(own)
        for document, start, end in held:
            taken.setdefault(document, []).append((start, end))
        if len(made) == SHOWN:
            break
    return made


def _told(own: npt.NDArray[np.int64], whole: Stretches, drawn: pa.Table, texts: pa.Array) -> dict[str, object]:
    document, start, end = (int(column[own[0]]) for column in whole[1:])
    text = texts[document].as_py().encode()[start:end].decode(errors="replace")
    return {
        "documents": len(np.unique(whole.documents[own])),
        "id": drawn.column("id")[document].as_py(),
        "language": drawn.column("language")[document].as_py(),
        "text": harmless(" ".join(text.split()), SHOWN_CHARACTERS),
    }


def _paragraphs(texts: pa.Array) -> tuple[float, float, float]:
    """Returns the share of the characters of paragraphs that stand in another document too, with its interval."""
    lines = pc.split_pattern(texts, "\n")
    document = np.asarray(pc.list_parent_indices(lines)).astype(np.int64)
    values = pc.utf8_trim_whitespace(pc.list_flatten(lines))
    del lines
    sizes = np.asarray(pc.utf8_length(values)).astype(np.int64)
    held = sizes >= PARAGRAPH
    document, sizes = document[held], sizes[held]
    values = values.filter(pa.array(held))
    codes = np.asarray(values.dictionary_encode().indices).astype(np.int64)
    pairs = np.unique(codes * max(1, len(texts)) + document)
    several = np.bincount(pairs // max(1, len(texts)), minlength=1)[codes] > 1
    wholes = np.bincount(document, sizes, minlength=len(texts))
    return ratio_of_sums(np.bincount(document[several], sizes[several], minlength=len(texts)), wholes)
