"""The step `safety`: densities of adult, spam and insulting terms, and of the terms of a user's lists. Drops nothing.

    density = max(0, hits - 2 * context) * 1000 / max(weighted length, 100)

What counts is what goes beyond the words of statutes, news, medicine and teaching (`terms.yaml`): a police bulletin on
gambling is full of the terms that it warns of, and of these. One of them takes away two hits of weight 1. Rules on the
columns are the quality step's (`also: [safety]`, `rules/safety.yaml`): they ask for several distinct terms too, so that
no single word removes a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datapipe import ConfigError, Dataset, Resource, Stage, Work, resource
from stages.dedup.fold import fold_table
from stages.rewrite import with_columns
from stages.safety.match import DISTINCT, HITS, weigh
from stages.safety.terms import ADULT, CONTEXT, INSULT, OURS, SPAM, load, shipped, terms_of
from stages.schema import SAFETY

SHORTEST: Final = 100  # weighted length that a shorter document is taken to have
CONTEXT_WEIGHT: Final = 2  # ours: at 1 bulletins on gambling and leaflets of sex education were dropped
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Safety(Stage):
    """Measures adult, spam and insulting language by rate and context, as columns for rules and reports."""

    version: ClassVar[int] = 2

    lists: Annotated[
        dict[str, str],
        "term lists by name: a path, one term a line (tab, weight); column list_NAME_density, in no rule of ours",
    ] = field(default_factory=dict)

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents with the columns of `SAFETY`, and one a list."""
        for name in self.lists:
            if not _NAME.fullmatch(name):
                raise ConfigError(f"safety: lists: '{name}' is no name for a column; give letters, digits and _")
        names = tuple(sorted(self.lists))
        files = tuple(resource(self.lists[name]) for name in names)
        terms_of(shipped(), files, fold_table())
        how = Measure(shipped(), fold_table(), names, files)
        return inputs[0].map(how, reads=("text",), adds=schema_of(names))


def schema_of(lists: Sequence[str]) -> pa.Schema:
    """Returns the columns that the step adds: those of `SAFETY`, and one a list."""
    meaning = "weighted hits of the list {} a 1,000 of weighted length"
    columns = [
        pa.field(f"list_{name}_density", pa.float32(), metadata={"meaning": meaning.format(name)}) for name in lists
    ]
    return pa.schema([*SAFETY, *columns])


@dataclass(frozen=True)
class Measure:
    """Adds the columns to documents."""

    terms: Resource
    table: Resource
    names: tuple[str, ...]
    lists: tuple[Resource, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        trie = load(self.terms, self.lists, self.table)
        for batch in batches:
            sums, lengths = weigh(batch.column("text"), trie, OURS + len(self.names))
            yield with_columns(batch, schema_of(self.names), columns_of(sums, lengths, self.names).values())


def columns_of(sums: NDArray[np.int64], lengths: NDArray[np.int64], lists: Sequence[str]) -> dict[str, pa.Array]:
    """Returns the columns from what `weigh` returns."""
    context = CONTEXT_WEIGHT * sums[:, CONTEXT, HITS]
    made = {}
    for name, category in (("adult", ADULT), ("spam", SPAM)):
        made[f"{name}_density"] = _density(np.maximum(0, sums[:, category, HITS] - context), lengths)
        made[f"{name}_terms"] = pa.array(sums[:, category, DISTINCT].astype(np.int32))
    for name, category in (("insult", INSULT), *((f"list_{name}", OURS + place) for place, name in enumerate(lists))):
        made[f"{name}_density"] = _density(sums[:, category, HITS], lengths)
    return made


def _density(quarters: NDArray[np.int64], halves: NDArray[np.int64]) -> pa.Array:
    """Returns hits a 1,000 of weighted length, float32, from quarters of a hit and halves of length."""
    return pa.array((quarters * 500 / np.maximum(halves, 2 * SHORTEST)).astype(np.float32))
