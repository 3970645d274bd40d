"""Which lines of a document are in which of its languages: the column `language_spans`.

A line is in the one language of the document that is written in its script. Where several are, the model reads the
line like a document of its own, with what is known of the whole as its prior: only languages of the document count,
each times its share. Lines with too few letters (blank, numbers, a name) belong to the line before; those at the
beginning to the first that tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.buffers import utf8
from stages.language.pieces import Pieces, cut, weigh_lines

LETTERS = 100  # of a line that the model reads
CHINESE = ("zho", "yue", "lzh")  # told apart by document, never by line

Best = Callable[[pa.LargeStringArray], tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]


def spans(
    texts: pa.Array,
    shares: npt.NDArray[np.float64],
    labels: Sequence[dict[int, str]],
    languages: Sequence[str],
    fitting: npt.NDArray[np.bool_],
    best: Best,
    *,
    simple: bool,
    fewest: int,
) -> list[str]:
    """Returns for each text its runs of lines: `zho_Hans:0-3 eng_Latn:4-9`, lines counted from 0, the last included.

    `shares` float64[texts, languages] is that of the letters, `labels` the label of each language that a text has,
    `fitting` bool[languages, GROUPS]; a line tells from `fewest` letters on, and `simple` is that of `cut`.
    """
    document, start, group, weight = weigh_lines(texts)
    can = ((shares > 0).astype(np.int64) @ fitting.astype(np.int64))[document, group]  # languages that it may be in
    kinds = _only(shares, fitting)[document, group]
    told = np.where(weight >= fewest, kinds, -1)
    unsure = np.flatnonzero((weight >= fewest) & (can > 1))
    if len(unsure):
        read = _read(texts, start, unsure, simple=simple)
        owners = document[unsure][read.document]
        numbers, chances = best(read.texts)
        numbers = _at_home(numbers, shares, owners, languages)
        told[unsure] = _of_lines(
            read, _likeliest(numbers, chances, shares[owners] * fitting.T[read.group]), len(unsure)
        )
    ends = np.searchsorted(document, np.arange(len(texts)), side="right").tolist()
    return [_runs(told[first:end], names) for first, end, names in zip([0, *ends], ends, labels, strict=False)]


def _only(shares: npt.NDArray[np.float64], fitting: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Returns int64[texts, GROUPS]: the first language that a text has in a script, -1 where it has none."""
    only = np.full((len(shares), fitting.shape[1]), -1)
    for text, has in enumerate(shares > 0):
        table = fitting & has[:, None]
        only[text] = np.where(table.any(axis=0), table.argmax(axis=0), -1)
    return only


def _read(texts: pa.Array, start: npt.NDArray[np.int64], lines: npt.NDArray[np.int64], *, simple: bool) -> Pieces:
    """Returns the pieces of some lines, whose texts they are numbered by."""
    data, offsets = utf8(texts)
    ends = np.append(start[1:], offsets[-1])
    cutout = [data[start[line] : ends[line]].tobytes().decode() for line in lines.tolist()]
    return cut(pa.array(cutout, pa.large_string()), letters=LETTERS, simple=simple)


def _at_home(
    numbers: npt.NDArray[np.int32],
    shares: npt.NDArray[np.float64],
    document: npt.NDArray[np.int64],
    languages: Sequence[str],
) -> npt.NDArray[np.int32]:
    """Returns `numbers` with the kind of Chinese that the document has most of for each kind of it."""
    chinese = [languages.index(name) for name in CHINESE if name in languages]
    if not chinese:
        return numbers
    home = np.array(chinese)[shares[:, chinese].argmax(axis=1)][document]
    return np.where(np.isin(numbers, chinese), home[:, None], numbers).astype(np.int32)


def _likeliest(
    numbers: npt.NDArray[np.int32], chances: npt.NDArray[np.float32], shares: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Returns for each piece the language of the highest chance times share, -1 where all are 0."""
    value = chances * np.take_along_axis(shares, np.maximum(numbers, 0).astype(np.int64), axis=1) * (numbers >= 0)
    place = value.argmax(axis=1)
    rows = np.arange(len(numbers))
    return np.where(value[rows, place] > 0, numbers[rows, place], -1)


def _of_lines(pieces: Pieces, chosen: npt.NDArray[np.int64], lines: int) -> npt.NDArray[np.int64]:
    """Returns the language of each line, that of its heaviest piece; -1 where it does not tell."""
    told = np.full(lines, -1)
    heaviest = np.lexsort((pieces.weight, pieces.document))  # the last of a line
    told[pieces.document[heaviest]] = chosen[heaviest]
    return told


def _runs(told: npt.NDArray[np.int64], names: dict[int, str]) -> str:
    """Returns the runs of equal languages, -1 being as the one before, at the beginning as the one behind.

    `names` has the language of the largest share first; where no line tells, they are all in it.
    """
    known = np.flatnonzero(told >= 0)
    if not len(known):
        return f"{next(iter(names.values()))}:0-{len(told) - 1}"
    starts = known[np.flatnonzero(np.diff(told[known], prepend=-1))]
    first = np.append([0], starts[1:])
    last = np.append(starts[1:], len(told)) - 1
    runs = zip(told[starts].tolist(), first.tolist(), last.tolist(), strict=True)
    return " ".join(f"{names[language]}:{start}-{end}" for language, start, end in runs)
