"""The two corpora of a comparison: their counted tables, and what a report says of them.

What is counted is kept where `datapipe report` keeps it, or below another folder where that cannot be written; reports
themselves are read for their seed and topics alone, and never written.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

from datapipe import ConfigError, Report, storage
from stages.audit.command import SEED, WORK
from stages.audit.counter import Facts
from stages.audit.model import Audit
from stages.audit.standing import REPORT, TOPICS, digests, is_ours, read_run, stands


@dataclass(frozen=True)
class Counted:
    """One of the two: `name` is A or B; `audit` is what a report says of it, counted by this datapipe."""

    name: str
    folder: str
    run: Report = field(repr=False)
    digests: dict[str, str] = field(repr=False)
    facts: Facts = field(repr=False)
    audit: Audit = field(repr=False)

    def table(self, name: str) -> list[dict[str, Any]]:  # Any: Arrow's Python values
        """Returns the rows of a counted table, none where there is none."""
        found = self.facts.tables.get(name)
        return [] if found is None else found.to_pylist()

    @property
    def topics(self) -> bytes | None:
        """The model of its topics; None without any."""
        rows = self.table("topic_model")
        return rows[0]["content"] if rows else None


def count(
    name: str,
    folder: str,
    work: str | None = None,
    *,
    seed: int | None = None,
    **how: Any,  # Any: executor, address, workers and listener of datapipe.run
) -> Counted:
    """Returns a corpus, counted where it was not yet; `seed` is that of its report, or SEED, unless given.

    Raises:
        ConfigError: there is no finished run that can be counted, or nowhere to keep what is counted.
        DataError: what the run published is damaged.
    """
    from stages.audit.report import audited  # noqa: PLC0415 - with it come all parts of a report
    from stages.audit.run import facts_of  # noqa: PLC0415

    folder = storage.absolute(folder)
    run = read_run(folder)
    if not is_ours(folder):
        raise ConfigError(
            f"{folder}: its last step is neither mix nor write, so there is no index and there are no documents to "
            "compare"
        )
    told, topics = of_report(folder)
    found = digests(folder)
    facts = facts_of(
        folder, place=place_of(folder, work, found), seed=told if seed is None else seed, topics=topics, **how
    )
    return Counted(name, folder, run, found, facts, audited(run.name, run.config_sha256, facts, found))


def of_report(folder: str) -> tuple[int, str | None]:
    """Returns the seed of the report that stands in a folder, and the model of the topics that it was given."""
    if not stands(folder, folder):
        return SEED, None
    audit = json.loads(storage.read_bytes(storage.join(folder, REPORT)))["audit"]
    keys = {figure["key"]: figure for section in audit["sections"] for figure in section["figures"]}
    frozen = keys.get("topics.score", {}).get("note") is not None  # said of topics that were given alone
    return int(audit["seed"]), storage.join(folder, TOPICS) if frozen else None


def place_of(folder: str, work: str | None, found: dict[str, str]) -> str:
    """Returns where what is counted of a corpus is kept. Raises ConfigError where it is not told and DIR is not ours.

    Below `work` each corpus has a folder of its own, so that one does not replace the other.
    """
    if work is not None:
        return storage.join(storage.absolute(work), next(iter(found.values()))[:16])
    place = storage.join(folder, WORK)
    if not storage.is_remote(folder):
        there = place
        while not os.path.lexists(there):
            there = os.path.dirname(there)
        if not (os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)):
            raise ConfigError(f"{folder}: cannot be written, and what is counted of it is kept; name --work FOLDER")
    return place
