"""What the tests of dedup share: documents from texts, a run of the stage on them, the frozen table."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from datapipe.testing import Result, dataset, evaluate
from stages.dedup import Dedup
from stages.dedup.fold import FoldTable, fold_table, load

Documents = Callable[..., pa.Table]


@pytest.fixture(scope="session")
def fold() -> FoldTable:
    return load(fold_table())


@pytest.fixture(scope="session")
def documents() -> Documents:
    """Returns a function from texts (and further columns) to a table of documents, ids counted from `first`."""

    def make(texts: Sequence[str], *, first: int = 0, **columns: pa.Array) -> pa.Table:
        ids = [hashlib.blake2b(f"{first + number}".encode(), digest_size=16).digest() for number in range(len(texts))]
        digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
        return pa.table(
            {
                "id": pa.array(ids, pa.binary(16)),
                "text": pa.array(texts, pa.string()),
                "text_digest": pa.array(digests, pa.binary(16)),
                **columns,
            }
        )

    return make


@pytest.fixture(scope="session")
def deduplicate(documents: Documents) -> Callable[..., Result]:
    """Returns a function from texts, or lists of texts (one a shard), to what the stage makes of them."""

    def run(*shards: Sequence[str], stage: Dedup | None = None, rows_per_batch: int = 3) -> Result:
        starts = [sum(map(len, shards[:number])) for number in range(len(shards))]
        tables = [documents(texts, first=first) for texts, first in zip(shards, starts, strict=True)]
        return evaluate((stage or Dedup()).build(dataset(*tables)), rows_per_batch=rows_per_batch)

    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; without it tests are skipped, but in CI they fail."""
    root = Path(__file__).parents[3]
    path = Path(os.environ.get("DATAPIPE_SHARED", root / "../shared")).resolve() / "data"
    if not path.is_dir():
        reason = f"{path}: no such folder; set DATAPIPE_SHARED to the folder that holds data/"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return path
