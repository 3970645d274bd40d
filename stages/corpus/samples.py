"""Samples as arrays: what a trainer's loader takes of a split at any positions, of mapped pages where it can be."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from datapipe import ConfigError
from stages.corpus.corpus import OPEN, Split
from stages.corpus.shard import ShardFile

FIELDS: Final = ("input_ids", "labels", "position_ids", "seq_lengths", "cu_seqlens", "position")
EVEN: Final = frozenset(("input_ids", "labels", "position"))  # as long for every packed sample, and read together
IGNORED = -100  # the label that losses of PyTorch leave out

Arrays = dict[str, np.ndarray]


class Held(NamedTuple):
    """The tokens of a record batch, which holds the samples at positions `first` up to `end`."""

    first: int = 0
    end: int = 0
    values: np.ndarray = np.zeros(0, np.int32)
    offsets: np.ndarray | None = None
    shard: ShardFile | None = None
    batch: int = 0

    def row(self, position: int) -> np.ndarray:
        """Returns the tokens of a sample."""
        row = position - self.first
        found: np.ndarray = (
            self.values[row] if self.offsets is None else self.values[self.offsets[row] : self.offsets[row + 1]]
        )
        return found


Known = tuple[list[int], list[Held | None]]


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

    def __init__(self, split: Split, fields: Sequence[str] = ("input_ids",), dtype: str = "int64") -> None:
        unknown = sorted(set(fields) - set(FIELDS))
        if unknown or not fields:
            raise ConfigError(f"fields: there is no field {', '.join(unknown)}; the fields are {', '.join(FIELDS)}")
        if dtype not in ("int32", "int64"):
            raise ConfigError(f"dtype: {dtype} is not int32 or int64")
        self.split, self.fields, self.dtype = split, tuple(fields), np.dtype(dtype)
        self.bare = self.fields == ("input_ids",)
        self.even = split.corpus.seq_len is not None and set(fields) <= EVEN
        self._held = Held()
        self._known: dict[int, Known] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return Samples, (self.split, self.fields, str(self.dtype))

    def one(self, position: int) -> Arrays:
        """Returns the fields of a sample, arrays of one dimension; `position` is int64[]."""
        ids = self.ids(position)
        if self.bare:
            return {"input_ids": ids}
        return {name: ids if name == "input_ids" else self._field(name, position, ids) for name in self.fields}

    def ids(self, position: int) -> np.ndarray:
        """Returns the tokens of a sample, a view of the file where `dtype` is the file's and nothing is removed."""
        held = self._held if self._held.first <= position < self._held.end else self._hold(position)
        ids = held.row(position).astype(self.dtype, copy=False)
        if self._removing:
            ids = ids.copy()
            for start, end in self._removed(position):
                ids[start:end] = self.split.corpus.eos
        return ids

    def stacked(self, positions: Sequence[int] | range) -> Arrays:
        """Returns the fields of packed samples, one dimension more than those of one; all fields must be `EVEN`."""
        ids = self.many(positions)
        if self.bare:
            return {"input_ids": ids}
        made = {"input_ids": ids, "position": np.asarray(positions, np.int64)}
        if "labels" in self.fields:
            made["labels"] = labels = ids.copy()
            ends = np.flatnonzero(ids[:, -1] == self.split.corpus.eos).tolist()
            for row in {*ends, *self._touched(positions)}:
                self._mask(positions[row], labels[row])
        return {name: made[name] for name in self.fields}

    def many(self, positions: Sequence[int] | range) -> np.ndarray:
        """Returns the tokens of packed samples, dtype[samples, S]; never a view."""
        held = self._held
        if isinstance(positions, range) and positions.step == 1:
            first, end = positions.start, positions.stop
            if held.first <= first <= end <= held.end:
                made = held.values[first - held.first : end - held.first].astype(self.dtype)
            else:
                made = np.empty((len(positions), self.split.corpus.seq_len or 0), self.dtype)
                at = 0
                for rows in self._runs(first, end):
                    made[at : at + len(rows)] = rows
                    at += len(rows)
        else:
            made = np.empty((len(positions), self.split.corpus.seq_len or 0), self.dtype)
            for place, position in enumerate(positions):
                if not held.first <= position < held.end:
                    held = self._hold(position)
                made[place] = held.values[position - held.first]
        for place in self._touched(positions):
            for start, stop in self._removed(positions[place]):
                made[place, start:stop] = self.split.corpus.eos
        return made

    def _touched(self, positions: Sequence[int] | range) -> list[int]:
        """Returns the places in `positions` of samples that an overlay removes a piece of."""
        if not self._removing or not len(positions):
            return []
        asked = np.asarray(positions, np.int64)
        samples, _, _ = self.split.overlaid.pieces(int(asked.min()), int(asked.max()) + 1)
        found: list[int] = np.flatnonzero(np.isin(asked, samples)).tolist() if len(samples) else []
        return found

    def _runs(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yields the stored tokens of samples that follow each other, a view of each record batch that has some."""
        while start < stop:
            held = self._held if self._held.first <= start < self._held.end else self._hold(start)
            yield held.values[start - held.first : stop - held.first]
            start = held.end

    def _hold(self, position: int) -> Held:
        """Returns the record batch that a sample is in, and keeps it for the next."""
        number = self.split.locate(position)[0]
        starts, known = self._known.get(number) or self._know(number)
        batch = bisect_right(starts, position) - 1
        held = known[batch]
        if held is None:
            shard = self.split.shard(number)
            held = Held(starts[batch], starts[batch + 1], *shard.tokens(batch), shard, batch)
            if not shard.far:  # a far one is in memory as long as it is held
                known[batch] = held
        self._held = held
        return held

    def _know(self, number: int) -> Known:
        """Returns where the record batches of a shard begin and end, and what is held of them: nothing yet."""
        starts = self.split.shard(number).starts
        before = self.split.first(number)
        if len(self._known) >= OPEN:
            self._known.clear()
        self._known[number] = [before + start for start in starts], [None] * (len(starts) - 1)
        return self._known[number]

    def _field(self, name: str, position: int, ids: np.ndarray) -> np.ndarray:
        if name == "position":
            return np.array(position, np.int64)
        if name == "labels":
            labels = ids.copy()
            self._mask(position, labels)
            return labels
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
        held = self._held if self._held.first <= position < self._held.end else self._hold(position)
        if held.offsets is not None or held.shard is None:
            return np.array([len(held.row(position))], np.int32)
        values, offsets = held.shard.lengths(held.batch)
        row = position - held.first
        return values[offsets[row] : offsets[row + 1]] if offsets is not None else values[row]

    def _mask(self, position: int, labels: np.ndarray) -> None:
        """Sets the tokens of a sample, which `labels` are yet, to -100 at padding and where a piece was removed.

        Padding is the last sequence of a packed sample where it is EOS alone. Only the last token of a document that
        stands all by itself at the end of a sample looks the same, and it has nothing before it to be learned from.
        """
        eos = self.split.corpus.eos
        if self.split.corpus.seq_len is not None and labels[-1] == eos:
            last = int(self.lengths(position)[-1])
            if (labels[-last:] == eos).all():
                labels[-last:] = IGNORED
        for start, end in self._removed(position):
            labels[start:end] = IGNORED

    @cached_property
    def _removing(self) -> bool:
        return len(self.split.overlaid.removed) > 0

    def _removed(self, position: int) -> list[tuple[int, int]]:
        if not self._removing:
            return []
        _, starts, ends = self.split.overlaid.pieces(position, position + 1)
        return list(zip(starts.tolist(), ends.tolist(), strict=True))
