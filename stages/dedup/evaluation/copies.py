"""Copies of documents, and how similar they truly are: by whole shingle sets of the folded view; nothing is estimated.

That view is what a run compares too, so what it says of a copy can be held against what is true of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.dedup.evaluation.edits import EDITS, QUOTED, edited
from stages.dedup.fold import fold_table, load, tokens
from stages.dedup.shingles import overlap, shingle_sets


@dataclass(frozen=True)
class Copy:
    """An edited copy of a document; `containment` is what is shared, as a part of the smaller of both sets."""

    document: str  # name of the original
    kind: str
    degree: float
    original: str
    text: str
    jaccard: float = np.nan
    containment: float = np.nan


def every_copy(document: str, text: str, *, seed: int, other: str = "") -> Iterator[Copy]:
    """Yields a copy of one text for each kind and degree of edit that changes it; similarities are not known yet."""
    for edit in EDITS:
        for degree in edit.degrees:
            made = edited(text, edit, degree, document=document, seed=seed, other=other)
            if made is not None:
                yield Copy(document, edit.kind, degree, text, made)


def one_copy_each(documents: Iterator[tuple[str, str]], *, seed: int) -> Iterator[Copy]:
    """Yields one copy of each document (name, text), kinds and degrees in turn; similarities are not known yet.

    So no two pairs have a text in common: what is found of one says nothing of another. A document that is to quote
    another is the next one, and has no copy itself.
    """
    waiting = [(edit, degree) for edit in EDITS for degree in edit.degrees]
    for document, text in documents:
        for number, (edit, degree) in enumerate(waiting):
            other = next(documents, ("", ""))[1] if edit.kind == QUOTED else ""
            made = edited(text, edit, degree, document=document, seed=seed, other=other)
            if made is not None:
                waiting.append(waiting.pop(number))
                yield Copy(document, edit.kind, degree, text, made)
                break


def similarities(
    originals: Sequence[str], copies: Sequence[str], *, width: int = 5
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns Jaccard similarity and containment of each original and its copy, float64[pairs] both.

    Of texts with fewer tokens than a shingle has, both are 1 where the folded views are equal, and 0 otherwise.
    """
    fold = load(fold_table())
    one, other = (shingle_sets(pa.array(texts, pa.string()), fold, width=width) for texts in (originals, copies))
    jaccard, containment = np.zeros(len(originals)), np.zeros(len(originals))
    for number in range(len(originals)):
        first, second = (sets.hashes[sets.offsets[number] : sets.offsets[number + 1]] for sets in (one, other))
        if len(first) and len(second):
            shared = overlap(first, second)
            jaccard[number] = shared / (len(first) + len(second) - shared)
            containment[number] = shared / min(len(first), len(second))
        elif len(first) == len(second):
            jaccard[number] = containment[number] = tokens(originals[number], fold) == tokens(copies[number], fold)
    return jaccard, containment


def shares(texts: Sequence[str], others: Sequence[str], *, width: int = 5) -> npt.NDArray[np.float64]:
    """Returns which share of each text its other one holds, float64[texts]: what containment means for a run."""
    jaccard, contained = similarities(texts, others, width=width)
    fold = load(fold_table())
    one, other = (
        np.diff(shingle_sets(pa.array(found, pa.string()), fold, width=width).offsets) for found in (texts, others)
    )
    shared = contained * np.minimum(one, other)
    return np.where((one > 0) & (other > 0), np.rint(shared) / np.maximum(one, 1), jaccard)


def measured(copies: Sequence[Copy], *, width: int = 5) -> list[Copy]:
    """Returns the copies with their true similarities."""
    jaccard, containment = similarities([copy.original for copy in copies], [copy.text for copy in copies], width=width)
    return [
        replace(copy, jaccard=float(one), containment=float(other))
        for copy, one, other in zip(copies, jaccard, containment, strict=True)
    ]
