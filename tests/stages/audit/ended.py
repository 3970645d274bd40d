"""Facts from documents of which is said how they ended, counted as a run counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from stages.audit import funnel, rules, survival
from stages.audit.counter import Counter, Facts
from stages.audit.cube import NOTED_ACTIONS
from stages.audit.names import Names
from stages.audit.parity import HostPassages
from stages.audit.shifts import AFTER as SHIFTED
from tests.stages.audit.rows import frame, id_of, ledger

Rows = Sequence[Mapping[str, Any]]
AFTER = (HostPassages(), *SHIFTED)
PLAIN: tuple[Any, ...] = (*funnel.COUNTERS, *rules.COUNTERS, *survival.COUNTERS)


def many(amount: int, **row: Any) -> list[dict[str, Any]]:
    """Returns so many documents of which the same is so."""
    return [dict(row) for _ in range(amount)]


def dropped(amount: int, rule: str, stage: str = "quality", **row: Any) -> list[dict[str, Any]]:
    """Returns so many documents that a rule dropped."""
    return many(amount, stage=stage, action="drop", rule=rule, **row)


def parted(rows: Rows) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Returns the frame of documents that stayed, that of those that left, and its ledger, with ids of their own.

    `also` of a row are further rules; rows of action repair or flag go to the ledger alone, `of` is the number of
    their document.
    """
    numbered = [{"id": id_of(row.get("of", number)), **row} for number, row in enumerate(rows)]
    bare = [{name: value for name, value in row.items() if name not in ("also", "of")} for row in numbered]
    noted = [row for row in bare if row.get("action") in NOTED_ACTIONS]
    kept = [row for row in bare if "stage" not in row]
    left = [row for row in bare if "stage" in row and row not in noted]
    further = [
        {"id": row["id"], "stage": row["stage"], "action": "also", "rule": rule}
        for row in numbered
        for rule in row.get("also", ())
    ]
    of_ledger = [{name: value for name, value in row.items() if name != "trained"} for row in (*left, *further, *noted)]
    return frame(kept), frame(left), ledger(of_ledger)


def counted(counter: Counter, rows: Rows) -> pa.Table:
    """Returns what a counter counts of documents."""
    kept, left, of_ledger = parted(rows)
    return counter.merge([counter.count(kept, None), counter.count(left, of_ledger)])


def facts_of(rows: Rows, stages: Sequence[str] = ("ingest", "language", "quality", "dedup"), **counts: Any) -> Facts:
    """Returns facts of a run of these stages; `counts` are counters by stage."""
    names = Names()
    whole = counted(names, rows)
    tables = {counter.name: counted(counter, rows) for counter in PLAIN}
    tables |= {counter.name: counter.merge([counter.count(whole, None)]) for counter in AFTER}
    told = [
        {"stage": stage, "documents_in": 1, "documents_out": 1, "made": 0, "rules": [], "counts": counts.get(stage, {})}
        for stage in stages
    ]
    return Facts(tables, {"stages": told}, {}, "", 0)
