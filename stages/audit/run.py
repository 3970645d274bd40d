"""The facts of a finished run: the audit's pipeline is run over what it published, and its tables are read back."""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa

import datapipe
from datapipe import DataError, storage
from stages.audit.counter import Facts
from stages.audit.published import published
from stages.audit.stage import FACTS
from stages.audit.tally import unpack


def facts_of(
    folder: str,
    *,
    place: str | os.PathLike[str],
    seed: int = 0,
    topics: str | None = None,
    **how: Any,  # Any: executor, address, workers, keep, listener of datapipe.run
) -> Facts:
    """Returns the facts of the run in `folder`; what is counted is kept in `place`, and counted once.

    `topics` is the model of topics of an earlier report (`reports/topics.json`).

    Raises:
        ConfigError: there is no finished run in the folder.
        DataError: what it published is damaged, or its sums do not agree.
    """
    run = published(os.fspath(folder))
    fields = {"folder": run.folder, "seed": seed, "topics": topics}
    config = {"name": "audit", "on_bad_input": "fail", "steps": [{"audit": fields}]}
    out = storage.join(os.fspath(place), "out")
    datapipe.run(config, out=out, work=place, replace=True, **how)
    return Facts(
        read_facts(storage.join(out, FACTS.format(number=0, shards=1))), run.run, run.manifest, run.folder, seed
    )


def read_facts(path: str) -> dict[str, pa.Table]:
    """Returns the tables of an audit by name. Raises DataError where they are gone or damaged."""
    try:
        with storage.open_shard(path) as file, pa.ipc.open_file(file) as reader:
            return dict(unpack(reader.read_all()))
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read ({error}); remove it and make the report again") from error
