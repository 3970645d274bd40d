"""What the tests of repeats share: documents from texts, and a run of the step on them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise

import pyarrow as pa
import pytest

from datapipe.testing import Result, dataset, evaluate
from stages.repeats import DedupRepeats


def digest(content: str) -> bytes:
    return hashlib.blake2b(content.encode(), digest_size=16).digest()


@pytest.fixture(scope="session")
def run() -> Callable[..., Result]:
    """Returns a function from texts, or lists of texts (one a shard), to what the step makes of them.

    The column `rank` says which is better; documents are ranked as they come unless `ranks` are given.
    """

    def run(
        *shards: Sequence[str],
        ranks: Sequence[int] | None = None,
        rows_per_batch: int = 3,
        columns: dict[str, Sequence[str]] | None = None,
        **fields: object,
    ) -> Result:
        texts = [text for shard in shards for text in shard]
        table = pa.table(
            {
                "id": pa.array([digest(f"{number}") for number in range(len(texts))], pa.binary(16)),
                "text": pa.array(texts, pa.string()),
                "text_digest": pa.array([digest(text) for text in texts], pa.binary(16)),
                "rank": pa.array(range(len(texts)) if ranks is None else ranks, pa.int64()),
                **(columns or {}),
            }
        )
        starts = [sum(map(len, shards[:number])) for number in range(len(shards) + 1)]
        tables = [table.slice(start, end - start) for start, end in pairwise(starts)]
        stage = DedupRepeats(**{"survivor": ("rank",), **fields})  # type: ignore[arg-type]
        return evaluate(stage.build(dataset(*tables)), rows_per_batch=rows_per_batch)

    return run
