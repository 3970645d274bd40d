"""A stage of very many shards of one row each, for benches of what a shard costs beside its work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from datapipe import ID, Dataset, InputFile, Source, Stage, Work
from datapipe.graph import Pipeline

ROWS = pa.schema([("id", ID), ("number", pa.int64())])


@dataclass(frozen=True, kw_only=True)
class Tiny(Stage):
    """So many shards; their files exist in name alone."""

    shards: int

    def build(self, *inputs: Dataset) -> Dataset:
        files = (InputFile(f"{number}", f"/nowhere/{number}", 1, "") for number in range(self.shards))
        return Dataset(Source("tiny", read, tuple((file,) for file in files)), ROWS).map(pass_on)


def read(files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
    """Yields one row, the file's number."""
    number = int(files[0].name)
    yield pa.RecordBatch.from_pylist([{"id": number.to_bytes(16, "big"), "number": number}], schema=ROWS)


def pass_on(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    """Yields the rows as they are."""
    return batches


def pipeline(shards: int) -> Pipeline:
    """Returns the pipeline of this stage alone."""
    stage = Tiny(shards=shards)
    return Pipeline("tiny", (("tiny", stage, stage.build()),))
