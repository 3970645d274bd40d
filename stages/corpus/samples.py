"""Samples as arrays: what a trainer's loader takes of a split at any positions, of mapped pages where it can be."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from datapipe import ConfigError
from stages.corpus.corpus import Split

FIELDS: Final = ("input_ids", "labels", "position_ids", "seq_lengths", "cu_seqlens", "position")
IGNORED = -100  # the label that losses of PyTorch leave out

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Samples:
    """Reads `fields` of samples by position, what overlays remove replaced by EOS.

    - `input_ids`: the tokens.
    - `labels`: the same, -100 where no token is to be learned: padding, and what an overlay removed. They are not
      shifted: models of Hugging Face do that; who does it otherwise compares the logits of t with the label of t + 1.
    - `position_ids`: the place of each token in its sequence, from 0 at the start of each document's piece.
    - `seq_lengths`: tokens of each sequence of the sample, padding included; they add up to the sample.
    - `cu_seqlens`: the same as borders, int32, for attention that does not cross documents.
    - `position`: the sample's position, int64.

    Raises:
        ConfigError: a field is unknown.
    """

    split: Split
    fields: tuple[str, ...] = ("input_ids",)
    dtype: str = "int64"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.fields) - set(FIELDS))
        if unknown or not self.fields:
            raise ConfigError(f"fields: there is no field {', '.join(unknown)}; the fields are {', '.join(FIELDS)}")
        if self.dtype not in ("int32", "int64"):
            raise ConfigError(f"dtype: {self.dtype} is not int32 or int64")

    def one(self, position: int) -> Arrays:
        """Returns the fields of a sample, arrays of one dimension; `position` is int64[]."""
        ids = self.ids(position)
        return {name: ids if name == "input_ids" else self._field(name, position, ids) for name in self.fields}

    def ids(self, position: int) -> np.ndarray:
        """Returns the tokens of a sample, a view of the file where `dtype` is the file's and nothing is removed."""
        ids = self._stored(position).astype(self.dtype, copy=False)
        removed = self._removed(position)
        if removed:
            ids = ids.copy()
            for start, end in removed:
                ids[start:end] = self.split.corpus.eos
        return ids

    def many(self, positions: Sequence[int] | range) -> np.ndarray:
        """Returns the tokens of packed samples, dtype[samples, S]."""
        length = self.split.corpus.seq_len or 0
        made = np.empty((len(positions), length), self.dtype)
        at = 0
        while at < len(positions):
            rows = self._run(positions, at)
            made[at : at + len(rows)] = rows
            at += len(rows)
        if len(self.split.overlaid.removed):
            for row, position in enumerate(positions):
                for start, end in self._removed(position):
                    made[row, start:end] = self.split.corpus.eos
        return made

    def _run(self, positions: Sequence[int] | range, at: int) -> np.ndarray:
        """Returns the stored rows from positions[at] on that follow each other in a record batch, as a view."""
        number, row = self.split.locate(positions[at])
        shard = self.split.shard(number)
        batch = bisect_right(shard.starts, row) - 1
        values: np.ndarray = shard.tokens(batch)[0]
        row -= shard.starts[batch]
        first, end = positions[at], at + 1
        if isinstance(positions, range) and positions.step == 1:
            end = at + min(len(positions) - at, len(values) - row)
        else:
            most = min(len(positions), at + len(values) - row)
            while end < most and positions[end] == first + end - at:
                end += 1
        rows: np.ndarray = values[row : row + end - at]
        return rows

    def _stored(self, position: int) -> np.ndarray:
        number, row = self.split.locate(position)
        shard = self.split.shard(number)
        batch = bisect_right(shard.starts, row) - 1
        return _row(shard.tokens(batch), row - shard.starts[batch])

    def _field(self, name: str, position: int, ids: np.ndarray) -> np.ndarray:
        if name == "position":
            return np.array(position, np.int64)
        if name == "labels":
            return self._labels(position, ids)
        lengths = self.lengths(position)
        if name == "seq_lengths":
            return lengths.astype(self.dtype)
        if name == "cu_seqlens":
            return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        begins = np.repeat(np.cumsum(lengths) - lengths, lengths)
        places: np.ndarray = np.arange(len(ids)) - begins
        return places.astype(self.dtype)

    def lengths(self, position: int) -> np.ndarray:
        """Returns the tokens of each sequence of a sample, int32[sequences]."""
        if self.split.corpus.seq_len is None:
            return np.array([len(self._stored(position))], np.int32)
        number, row = self.split.locate(position)
        shard = self.split.shard(number)
        batch = bisect_right(shard.starts, row) - 1
        return _row(shard.lengths(batch), row - shard.starts[batch])

    def _labels(self, position: int, ids: np.ndarray) -> np.ndarray:
        """Returns the tokens with -100 at padding, and where a piece was removed.

        Padding is the last sequence of a packed sample where it is EOS alone. Only the last token of a document that
        stands all by itself at the end of a sample looks the same, and it has nothing before it to be learned from.
        """
        labels = ids.copy()
        if self.split.corpus.seq_len is not None:
            last = int(self.lengths(position)[-1])
            if (ids[-last:] == self.split.corpus.eos).all():
                labels[-last:] = IGNORED
        for start, end in self._removed(position):
            labels[start:end] = IGNORED
        return labels

    def _removed(self, position: int) -> list[tuple[int, int]]:
        overlaid = self.split.overlaid
        if not len(overlaid.removed):
            return []
        _, starts, ends = overlaid.pieces(position, position + 1)
        return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _row(lists: tuple[np.ndarray, np.ndarray | None], row: int) -> np.ndarray:
    values, offsets = lists
    found: np.ndarray = values[row] if offsets is None else values[offsets[row] : offsets[row + 1]]
    return found
