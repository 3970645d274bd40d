"""Shares of documents with their intervals, and what sections of risks ask of a run."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from stages.audit.counter import Facts
from stages.audit.groups import by
from stages.audit.measures import wilson
from stages.audit.model import Column, Figure, Words

WILSON: Final = Words(
    en="Counted exactly; the interval (Wilson, 95 %) is of what the documents are drawn from.",
    zh="为精确计数；区间（Wilson，95%）针对这些文档所抽自的总体。",
)


def ran(facts: Facts, step: str) -> bool:
    """Returns whether the run has a step of that name."""
    return any(stage["stage"].split("-")[0] == step for stage in facts.run["stages"])


def table_rows(table: pa.Table, *keys: str) -> list[dict[str, object]]:
    """Returns the rows of a table summed up by fewer keys."""
    rows: list[dict[str, object]] = by(table, *keys).to_pylist()
    return rows


def rate(key: str, label: Words, found: int, amount: int, command: str | None, note: Words | None = None) -> Figure:
    """Returns a share of documents with its interval."""
    estimate = wilson(found, amount)
    return Figure(
        key=key,
        label=label,
        value=estimate.value if amount else None,
        unit="share",
        low=estimate.low if amount else None,
        high=estimate.high if amount else None,
        command=command,
        note=note or WILSON,
    )


def rate_columns() -> tuple[Column, ...]:
    """Returns the columns of a rate and of the borders of its interval."""
    return (
        Column(key="rate", label=Words(en="share", zh="占比"), unit="share"),
        Column(key="rate_low", label=Words(en="at least", zh="下界"), unit="share"),
        Column(key="rate_high", label=Words(en="at most", zh="上界"), unit="share"),
    )
