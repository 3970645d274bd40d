"""The format step: each document gets the format that its lines are in; prose where nothing tells otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa

from datapipe import Dataset, Stage, Work
from datapipe.errors import ConfigError
from stages.format.count import count
from stages.format.features import decide, features
from stages.format.tables import FORMATS, rules
from stages.rewrite import with_columns
from stages.schema import FORMAT


@dataclass(frozen=True, kw_only=True)
class Format(Stage):
    """Tells prose, code, tables, lists, dialogues, questions and answers, verse and navigation apart."""

    version: ClassVar[int] = 2

    keep: Annotated[tuple[str, ...] | None, "formats whose documents stay; null: all"] = None

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents with the columns of `FORMAT`, without those whose format is not kept."""
        for name in self.keep or ():
            if name not in FORMATS:
                raise ConfigError(f"keep: '{name}' is no format; there are {', '.join(FORMATS)}")
        keep = None if self.keep is None else tuple(self.keep)
        return inputs[0].map(Tell(keep), reads=("id", "text"), adds=FORMAT)


@dataclass(frozen=True)
class Tell:
    """The map of the step: adds the columns and drops what is not kept."""

    keep: tuple[str, ...] | None

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        """Yields the rows that stay, with the columns of `FORMAT`."""
        for batch in batches:
            batch = with_columns(batch, FORMAT, tell(batch.column("text")))
            for name, documents in zip(*np.unique(batch.column("format").to_pylist(), return_counts=True), strict=True):
                work.count(f"format.{name}", int(documents))
            if self.keep is not None:
                stays = np.isin(batch.column("format").to_pylist(), self.keep)
                score, found = batch.column("format_score"), batch.column("format")
                batch = work.drop(batch, ~stays, rule="format", value=score, note=found)
            yield batch


def tell(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Returns the columns of `FORMAT` for texts (strings)."""
    formats, scores = decide(features(count(texts)), rules().decisions)
    return pa.array(formats, pa.string()), pa.array(np.rint(scores * 1024) / 1024, pa.float32())
