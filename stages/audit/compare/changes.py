"""What two corpora differ in, document by document: the pipeline is run, and its tables are read back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

import datapipe
from datapipe import DataError, storage
from stages.audit.compare.causes import FIELDS, GONE_ALONE, ONLY, SAME, TEXT
from stages.audit.compare.matching import ALONE
from stages.audit.compare.side import SIDES, compared, side_of
from stages.audit.compare.stage import CHANGES, FACTS, MOST
from stages.audit.published import CLAIM, REPORT, Published, published
from stages.audit.run import read_facts


@dataclass(frozen=True)
class Changes:
    """All documents of two corpora, counted by what became of them, and those of them that changed.

    `counts` has a row for each kind, cause, stage, rule, matched, source and language; `fields` says in how many
    documents that stayed in both a field differs; `first` has some changes of each case (CHANGE, behind a hash), those
    that everybody draws. `files` hold every change (CHANGE). `about` says what the runs are and what is not known.
    """

    counts: pa.Table = field(repr=False)
    fields: pa.Table = field(repr=False)
    first: pa.Table = field(repr=False)
    files: tuple[str, ...] = field(repr=False)
    about: Mapping[str, Any]  # Any: JSON


def compare(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    place: str | os.PathLike[str],
    seed: int = 0,
    most: int = MOST,
    **how: Any,  # Any: executor, address, workers, keep, listener of datapipe.run
) -> Changes:
    """Returns how the documents of two finished runs differ; what is compared is kept in `place`, and compared once.

    Raises:
        ConfigError: there is no finished run in a folder.
        DataError: what it published is damaged.
    """
    runs = published(os.fspath(a)), published(os.fspath(b))
    fields = {"a": runs[0].folder, "b": runs[1].folder, "seed": seed, "most": most}
    out = storage.join(os.fspath(place), "out")
    config = {"name": "compare", "on_bad_input": "fail", "steps": [{"compare": fields}]}
    datapipe.run(config, out=out, work=place, replace=True, **how)
    tables = read_facts(storage.join(out, FACTS.format(number=0, shards=1)))
    claim = json.loads(storage.read_bytes(storage.join(out, CLAIM)))
    files = tuple(
        storage.join(out, name) for name in sorted(claim["files"]) if name.startswith(CHANGES.partition("{")[0])
    )
    said = about(*runs)
    for side, run in zip(SIDES, runs, strict=True):
        said[side] |= amounts(tables["counts"], side)
        check(run, said[side])
    return Changes(tables["counts"], tables["fields"], tables["first"], files, said)


def amounts(counts: pa.Table, side: str) -> dict[str, int]:
    """Returns how many documents a run was given, and how many of them are in its corpus, by the counts of all."""
    given = stayed = 0
    for row in counts.select(["kind", "matched", "documents"]).to_pylist():
        other = ONLY[1 - SIDES.index(side)], GONE_ALONE[1 - SIDES.index(side)]
        given += row["documents"] if row["matched"] != ALONE or row["kind"] not in other else 0
        stayed += row["documents"] if row["kind"] in (SAME, FIELDS, TEXT, ONLY[SIDES.index(side)]) else 0
    return {"given": given, "stayed": stayed}


def check(run: Published, said: Mapping[str, Any]) -> None:  # Any: JSON
    """Raises DataError where a run does not come to as many documents as its report says it was given."""
    stages = [stage for stage in run.run["stages"] if stage["documents_in"] or stage["documents_out"]]
    if said["rebuilt"] or said["lacks"] or not stages:
        return
    came = int(stages[-1]["documents_out"]) + sum(int(stage["dropped"]) for stage in stages)
    if said["given"] != came:
        raise DataError(
            f"{run.folder}: holds {said['given']:,} documents that stayed or left, and {REPORT} says {came:,}: one of "
            "the two was changed; `datapipe verify` says which"
        )


def about(a: Published, b: Published) -> dict[str, Any]:  # Any: JSON
    """Returns what two runs say of themselves, and what cannot be told of their documents."""
    _, alone = compared(a, b)
    sides = side_of(a), side_of(b)
    said: dict[str, Any] = {}  # Any: JSON
    for name, side, run in zip(SIDES, sides, (a, b), strict=True):
        said[name] = {
            "name": side.name,
            "folder": run.folder,
            "code_version": side.version,
            "config_sha256": str(run.run.get("config_sha256", "")),
            "stages": list(side.stages),
            "tokenizer_sha256": side.tokenizer or None,
            "sample": side.sample,
            "rebuilt": side.rebuilt,
            "lacks": list(side.lacks),
        }
    said["not_compared"] = list(alone)
    said["same_tokenizer"] = sides[0].tokenizer == sides[1].tokenizer
    return said
