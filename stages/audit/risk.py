"""What could do harm: personal details, adult pages and spam, items of benchmarks, pages that ask not to be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stages.audit import benchmarks, classified, declared, details, unsafe
from stages.audit.counter import Counter, Facts, Scan, Wide
from stages.audit.findings import (
    Benchmarks,
    Charsets,
    Densities,
    Details,
    Items,
    Labels,
    Unsafe,
)
from stages.audit.groups import Groups
from stages.audit.model import Section, Words

COUNTERS: tuple[Counter | Wide | Scan, ...] = (
    Details(),
    Groups("risk_flags", ("source", "has_pii", "no_ai", "noindex")),
    Unsafe(),
    Densities(),
    Benchmarks(),
    Scan(Items(), "signals/contamination-", ("benchmark", "item", "share")),
    Labels(),
    Scan(
        Charsets(),
        "signals/charsets-",
        ("charset_declared", "charset", "charset_by", "documents", "replaced", "suspects"),
    ),
)


_PARTS: Final = (details, unsafe, benchmarks, classified, declared)


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `risk`."""
    yield Section(
        key="risk",
        title=Words(en="Risks", zh="风险"),
        intro=Words(
            en=(
                "What the steps of the run found, by rules and models and not by people: each can miss something and "
                "can be wrong. A rate of 0 says that nothing was found, not that nothing is there."
            ),
            zh=(
                "各阶段所发现的内容，均由规则与模型判定，未经人工核验：可能漏报，也可能误报。"
                "比例为 0 只表示没有发现，不代表不存在。"
            ),
        ),
        figures=tuple(figure for part in _PARTS for figure in part.figures(facts)),
        tables=tuple(table for part in _PARTS for table in part.tables(facts)),
    )
