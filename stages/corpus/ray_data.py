"""A corpus in Ray Data: `read_corpus("runs/zh_en")` is a dataset of its samples, overlays applied.

Tasks read ranges of positions, evenly many each. Ray Data yields blocks as they are finished: who needs the order of
training reads the column `position` too, or sets `DataContext.get_current().execution_options.preserve_order`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
from ray.data.block import BlockMetadata

from stages.corpus.corpus import Corpus, Split

POSITION = "position"


def read_corpus(
    folder: str,
    split: str = "train",
    *,
    columns: Sequence[str] | None = None,
    start: int = 0,
    stop: int | None = None,
    overlays: bool = True,
    **read: Any,  # Any: what ray.data.read_datasource takes, as override_num_blocks
) -> ray.data.Dataset:
    """Returns the samples at positions `start` to `stop` of a split as a dataset of Ray.

    `columns` are those of the shards, and `position`; those of the shards unless given.

    Raises:
        ConfigError: there is no such corpus, split or column, or an overlay is of another corpus.
        DataError: the corpus is damaged.
        IndexError: the range is not of the split.
    """
    chosen = Corpus.open(folder, overlays=overlays).split(split)
    samples: ray.data.Dataset = ray.data.read_datasource(CorpusDatasource(chosen, columns, start, stop), **read)
    return samples


class CorpusDatasource(ray.data.Datasource):
    """A range of positions of a split, what overlays leave of it."""

    def __init__(
        self, split: Split, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray has hints for a part of its functions
        self.split, self.start, self.stop = split, start, split.total if stop is None else stop
        self.columns = tuple(split.schema.names if columns is None else columns)
        next(split.runs(self.start, self.stop, columns=self._stored), None)  # what is wrong is said here, not in a task

    @property
    def _stored(self) -> list[str]:
        return [name for name in self.columns if name != POSITION]

    def estimate_inmemory_data_size(self) -> int:
        """Returns about how many bytes the samples take in memory."""
        return self._bytes(self.start, self.stop)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: object = None
    ) -> list[ray.data.ReadTask]:
        """Returns a task for each of `parallelism` ranges of positions, or fewer where there are fewer positions."""
        count = max(1, min(parallelism, self.stop - self.start))
        cuts = [self.start + (self.stop - self.start) * number // count for number in range(count + 1)]
        return [self._task(first, end, per_task_row_limit) for first, end in pairwise(cuts)]

    def _task(self, first: int, end: int, limit: int | None) -> ray.data.ReadTask:
        overlaid = self.split.overlaid
        rows = overlaid.index(end) - overlaid.index(first)
        metadata = BlockMetadata(num_rows=rows, size_bytes=self._bytes(first, end), exec_stats=None, input_files=None)
        return ray.data.ReadTask(partial(read, self.split, first, end, self.columns, limit), metadata)

    def _bytes(self, first: int, end: int) -> int:
        return sum(int(shard["bytes"]) for shard in self.split.shards) * (end - first) // max(1, self.split.total)


def read(split: Split, first: int, end: int, columns: tuple[str, ...], limit: int | None) -> Iterator[pa.Table]:
    """Yields the samples at positions `first` to `end`, at most `limit` of them, a table a record batch."""
    left = end - first if limit is None else limit
    stored = [name for name in columns if name != POSITION]
    for at, batch in split.runs(first, end, columns=stored or ["input_ids"]):
        batch = batch.slice(0, left)
        positions = pa.array(np.arange(at, at + batch.num_rows))
        yield pa.table({name: positions if name == POSITION else batch.column(name) for name in columns})
        left -= batch.num_rows
        if not left:
            return
