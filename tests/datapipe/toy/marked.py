"""A toy stage whose rows follow from all that a stage may stand on: a file, a library, and one thing nobody is told."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import Annotated, ClassVar

import pyarrow as pa

from datapipe import Dataset, Resource, Stage, Work, resource
from datapipe.dataset import Batches

LIBRARY, SECRETLY = "toymarks", "TOY_MARK"


@dataclass(frozen=True, kw_only=True)
class Marked(Stage):
    """Writes behind every text what a file says, the version of a library, and a variable of the environment."""

    libraries: ClassVar[tuple[str, ...]] = (LIBRARY,)

    words: Annotated[str, "a file"]

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(partial(mark, words=resource(self.words)), adds=pa.schema([("text", pa.string())]))


def mark(batches: Batches, work: Work, words: Resource) -> Batches:
    """Yields documents with a longer text."""
    said = f" {words.read().decode().strip()} {metadata.version(LIBRARY)} {os.environ.get(SECRETLY, '')}".rstrip()
    for batch in batches:
        texts = pa.array([text + said for text in batch.column("text").to_pylist()], pa.string())
        yield batch.set_column(batch.schema.get_field_index("text"), "text", texts)
