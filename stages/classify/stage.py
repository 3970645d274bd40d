"""The step `classify`: what a model says of each document, as columns; it drops nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import pyarrow as pa

from datapipe import Dataset, Stage, Work
from datapipe.errors import ConfigError
from stages.classify.model import Classifier, classifier, label, place_of, score
from stages.rewrite import with_columns
from stages.schema import CLUSTER, DOCUMENT, LANGUAGE, TOKENS

_TAKEN = {field.name for schema in (DOCUMENT, LANGUAGE, CLUSTER, TOKENS) for field in schema}


@dataclass(frozen=True, kw_only=True)
class Classify(Stage):
    """Adds what a classifier says of each document: the probability of one label, or the likeliest label and its own.

    With `positive`, the column `name` is the probability of that label: for rules of the quality step that name it as
    their signal. Without, the column `name` is the likeliest label and `NAME_score` its probability. Documents are
    labelled and never dropped: a classifier of machine-written text goes in as `classify: {name: aigc, model: PATH}`,
    and its labels are for reports and the mix, as languages are. Several steps may follow each other.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("fasttext-modern",)

    name: Annotated[str, "column that it adds: quality, toxicity, aigc, …"]
    model: Annotated[str, "a model of `datapipe train`, a fastText classifier (.bin, .ftz), or `quality`: ours"]
    positive: Annotated[str | None, "the label whose probability is wanted; null: the likeliest label"] = None
    calibrate: Annotated[bool, "make scores probabilities by MODEL.json, where there is one"] = True
    characters: Annotated[
        int | None, "how much of a document is read, in 4 parts spread over it; null: as in training, else 4000"
    ] = None
    sha256: Annotated[str | None, "digest that the model file must have"] = None

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents with the columns."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name) or self.name in _TAKEN:
            raise ConfigError(
                f"name: '{self.name}' is not free for a column; give lower-case letters, such as toxicity"
            )
        if self.characters is not None and self.characters < 100:
            raise ConfigError(f"characters: {self.characters} is too few to classify by; give 100 or more")
        how = classifier(self.model, characters=self.characters, calibrate=self.calibrate, sha256=self.sha256)
        if self.positive is not None:
            place_of(self.positive, how)
        adds = columns(self.name, self.positive)
        for name in adds.names:
            if name in inputs[0].schema.names:
                raise ConfigError(f"name: an earlier step makes the column '{name}'; give another name")
        return inputs[0].map(Classified(how, self.name, self.positive), reads=("id", "text"), adds=adds)


def columns(name: str, positive: str | None) -> pa.Schema:
    """Returns the columns that the step adds."""
    if positive is not None:
        meaning = {"meaning": f"probability of '{positive}', rounded to 1/1024"}
        return pa.schema([pa.field(name, pa.float32(), metadata=meaning)])
    return pa.schema(
        [
            pa.field(name, pa.string(), metadata={"meaning": "likeliest label of the classifier"}),
            pa.field(f"{name}_score", pa.float32(), metadata={"meaning": "its probability, rounded to 1/1024"}),
        ]
    )


@dataclass(frozen=True)
class Classified:
    """The map of the step: adds the columns."""

    how: Classifier
    name: str
    positive: str | None

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        """Yields the rows with the columns of `columns`."""
        schema = columns(self.name, self.positive)
        for batch in batches:
            yield with_columns(batch, schema, self._columns(batch.column("text"), work))

    def _columns(self, texts: pa.Array, work: Work) -> tuple[pa.Array, ...]:
        if self.positive is not None:
            return (score(texts, self.how, self.positive),)
        labels, scores = label(texts, self.how)
        for one in labels.value_counts().to_pylist():
            work.count(f"{self.name}.{one['values']}", one["counts"])
        return labels, scores
