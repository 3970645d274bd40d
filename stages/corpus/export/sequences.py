"""A split as the sequences that consumers of tokens read, documents or whole samples, in the order of training.

`document`: each piece of a document in a sample is a sequence. Padding, samples that an overlay skips and documents
that one removes are left out. A document that fits into a sample is a sequence that ends with EOS; of one that the
packing cut, each piece is a sequence of its own and only the last ends so: its pieces are seen far apart in training,
so there is nothing to join them to, and an EOS that the tokenizer did not write would be one that the text has not.
`closed` counts the sequences that end with EOS, and the export says how many do not.

`sample`: each sample is a sequence as it stands, with its padding, and with EOS where an overlay removed a document; a
consumer that reads `seq_len` tokens at a time reads the samples. By document both are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.corpus import Corpus, Split
from stages.corpus.index import segments

Unit = Literal["document", "sample"]
PLACES: Final = ("doc_id", "file", "file_row")


@dataclass(frozen=True)
class Sequences:
    """Sequences in a row: `tokens` int32[sum of lengths], `lengths` int64[sequences].

    `places` has a row a sequence with the columns PLACES: its document and where the index has it; None where that was
    not asked for.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    places: pa.Table | None = None

    def part(self, start: int, stop: int) -> Sequences:
        """Returns the sequences from `start` up to `stop`."""
        if start == 0 and stop == len(self.lengths):
            return self
        before, inside = int(self.lengths[:start].sum()), int(self.lengths[start:stop].sum())
        places = None if self.places is None else self.places.slice(start, stop - start)
        return Sequences(self.tokens[before : before + inside], self.lengths[start:stop], places)

    def closed(self, eos: int) -> int:
        """Returns how many of the sequences end with EOS."""
        ends = np.cumsum(self.lengths)
        return int((self.tokens[ends[self.lengths > 0] - 1] == eos).sum())


def sequences(corpus: Corpus, name: str, unit: Unit, *, places: bool = False) -> Iterator[Sequences]:
    """Yields the sequences of a split, some megabytes at a time; memory is bounded by the segments of a shard."""
    split, start = corpus.split(name), 0
    columns = PLACES if places else ()
    for shard in split.shards:
        stop = start + shard["rows"]
        pieces = None
        if places or (corpus.seq_len and unit == "document"):
            pieces = _left(segments(split, start, stop, columns=("sample", "start", "end", *columns)), split)
        for first, batch in split.runs(start, stop, columns=["input_ids"]):
            own = None if pieces is None else _within(pieces, first, first + batch.num_rows)
            yield _sequences(batch.column("input_ids"), first, own, unit, columns)
        start = stop


def _left(pieces: pa.Table, split: Split) -> pa.Table:
    """Returns the pieces but for those that overlays take out of their samples."""
    samples, starts = (np.asarray(pieces.column(name)).astype(np.int64) for name in ("sample", "start"))
    if not len(samples):
        return pieces
    gone, gone_starts, _ = split.overlaid.pieces(int(samples[0]), int(samples[-1]) + 1)
    if not len(gone):
        return pieces
    return pieces.filter(pa.array(~np.isin(samples << 32 | starts, gone << 32 | gone_starts)))


def _within(pieces: pa.Table, first: int, stop: int) -> pa.Table:
    bounds = np.searchsorted(np.asarray(pieces.column("sample")), [first, stop])
    return pieces.slice(bounds[0], bounds[1] - bounds[0])


def _sequences(ids: pa.Array, first: int, pieces: pa.Table | None, unit: Unit, columns: Sequence[str]) -> Sequences:
    """Returns the sequences of samples from position `first` on."""
    tokens = np.asarray(ids.flatten())
    places = pieces.select(columns) if pieces is not None and columns else None
    if not pa.types.is_fixed_size_list(ids.type):
        return Sequences(tokens, np.asarray(pc.list_value_length(ids)).astype(np.int64), places)
    size = ids.type.list_size
    if unit == "sample" or pieces is None:
        return Sequences(tokens, np.full(len(ids), size, np.int64), places)
    starts, ends = (np.asarray(pieces.column(name)).astype(np.int64) for name in ("start", "end"))
    before = (np.asarray(pieces.column("sample")) - first) * size
    return Sequences(_gather(tokens, before + starts, before + ends), ends - starts, places)


def _gather(tokens: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns the tokens of ascending ranges one after another: a copy a run of ranges that touch, none of one run."""
    if not len(starts):
        return tokens[:0]
    breaks = np.flatnonzero(starts[1:] != ends[:-1]) + 1
    runs = zip(starts[np.append(0, breaks)].tolist(), ends[np.append(breaks, len(ends)) - 1].tolist(), strict=True)
    parts = [tokens[start:end] for start, end in runs]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
