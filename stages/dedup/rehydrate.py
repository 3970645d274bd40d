"""Re-hydration: how often a survivor is to be sampled, by the number of documents that it stands for.

What was copied some times was worth copying; what was copied without end is boilerplate. So a document that a few
copies were removed of is sampled more often than one that had none, and one of very many copies once again. The mix
does so by `document_weights: weight`.

Source: FineWeb-2 (Hugging Face, 2024), README and misc/rehydration of its repository: the table of the README's
example, and the one for Chinese (cmn_Hani), which gives more the less of a cluster size the filters behind remove, at
most 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from datapipe import ConfigError, Work
from datapipe.dataset import Batches
from stages.dedup.clusters import reduce
from stages.rewrite import with_columns
from stages.schema import WEIGHT

Table = tuple[tuple[int, int], ...]  # (least cluster size, weight), ascending
Named = Literal["fineweb2", "fineweb2_zh"]
_CMN_SIZES: Final = (1, 2, 4, 6, 7, 9, 16, 20, 26, 31, 36, 44, 52, 60)
_CMN_WEIGHTS: Final = (1, 4, 6, 7, 8, 9, 8, 7, 6, 5, 4, 3, 2, 1)
TABLES: Final[Mapping[Named, Table]] = {
    "fineweb2": ((1, 1), (2, 2), (3, 3), (5, 5), (100, 8), (1000, 1)),  # [R]
    "fineweb2_zh": tuple(zip(_CMN_SIZES, _CMN_WEIGHTS, strict=True)),  # [R]
}


def table_of(given: Named | Mapping[int, int]) -> Table:
    """Returns the table of that name, or the one given.

    >>> table_of({3: 4, 1: 1})
    ((1, 1), (3, 4))

    Raises:
        ConfigError: there is no entry for a document without copies, or a number is too small or too large.
    """
    if isinstance(given, str):
        return TABLES[given]
    if 1 not in given or min(given) < 1:
        raise ConfigError("rehydrate: sizes begin with 1, a document without copies; write {1: 1, …}")
    for size, weight in given.items():
        if not 0 <= weight < 2**31 or size >= 2**31:
            raise ConfigError(f"rehydrate: {size}: {weight} is not a number of times from 0 to 2147483647")
    return tuple(sorted(given.items()))


@dataclass(frozen=True)
class Rehydrate:
    """`reduce` with the column of WEIGHT: the entry of the largest size that is not above the document's."""

    table: Table

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields the documents that stay."""
        least, weights = (np.array(column, np.int32) for column in zip(*self.table, strict=True))
        for batch in reduce(batches, work):
            sizes = np.maximum(batch.column("cluster_size").to_numpy(), 1)
            chosen = weights[np.searchsorted(least, sizes, side="right") - 1]
            work.count("weight", int(chosen.sum()))
            yield with_columns(batch, WEIGHT, (pa.array(chosen),))
