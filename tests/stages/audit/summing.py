"""Facts of hand-made rows of the frame, as the stage sums them up."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stages.audit import funnel, hosts, sweep, tail
from stages.audit.counter import Counter, Facts, Wide
from stages.audit.frame import KEPT


def exchanged(merged: pa.Table, shards: int) -> list[pa.Table]:
    """Returns rows of equal name together, in so many tables."""
    shard = [zlib.crc32(name.encode()) % shards for name in merged.column("name").to_pylist()]
    return [merged.filter(pc.equal(pa.array(shard, pa.int64()), number)) for number in range(shards)]


def tables_of(counters: Sequence[Counter | Wide], frames: Sequence[pa.Table], shards: int = 3) -> dict[str, pa.Table]:
    """Returns the merged tables of counters, frames counted apart."""
    tables = {}
    for one in counters:
        inner = one.counter if isinstance(one, Wide) else one
        made = inner.merge([inner.count(part, ledger) for frame in frames for part, ledger in _parted(frame)])
        if isinstance(one, Wide):
            parts = exchanged(made, shards)
            tables |= {after.name: after.merge([after.count(part, None) for part in parts]) for after in one.after}
        else:
            tables[one.name] = made
    return tables


def _parted(frame: pa.Table) -> list[tuple[pa.Table, pa.Table | None]]:
    kept = pc.equal(frame.column("stage"), KEPT)
    return [(frame.filter(kept), None), (frame.filter(pc.invert(kept)), frame.slice(0, 0))]


def facts_of_rows(*frames: pa.Table, run: dict[str, Any] | None = None) -> Facts:
    """Returns facts with the tables of hosts, tail and sweep, and the cube."""
    cube = [one for one in funnel.COUNTERS if getattr(one, "name", "") == "cube"]
    counters = (*cube, *hosts.COUNTERS, *tail.COUNTERS, *sweep.COUNTERS)
    return Facts(tables_of(counters, frames), run or {"stages": []}, {}, "DIR", 0)
