"""Putting a report together: what the parts say of the counted tables, made even, checked, and written as files.

What is said is a function of the published files. A page never stands beside data that it is not drawn from: it goes
before the data is written and comes last; its head names the digest of the audit, which `datapipe verify` compares.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from datapipe import Report, StageError, storage
from stages.audit import lacking, parts
from stages.audit.counter import Facts
from stages.audit.hostile import harmless
from stages.audit.model import Audit, Chart, Section, Table, Words
from stages.audit.page import render
from stages.audit.standing import DIGESTS, PAGE, REPORT, SCHEMA, TOPICS, digests_file, version
from stages.audit.summary import summary
from stages.audit.weights import total
from stages.audit.whole import Whole, schema_json

DIGITS: Final = 6  # significant ones of a number that is no whole one
MOST_ROWS: Final = 50  # of a table
MOST_POINTS: Final = 500  # of one whose rows are points of a curve, bars of a histogram or fields of a map
CURVES: Final = ("histogram", "lorenz", "rank", "line", "heat")


@dataclass(frozen=True)
class Files:
    """A report as files: their contents by name, under the folder that they are put in."""

    audit: Audit
    contents: Mapping[str, bytes]


def assemble(report: Report, facts: Facts, digests: Mapping[str, str]) -> Files:
    """Returns the report on a run.

    Raises:
        StageError: two figures have one key, or the rows of a table are not as its columns say.
    """
    audit = audited(report.name, report.config_sha256, facts, digests)
    whole = {**json.loads(report.to_json()), "audit": audit.model_dump(mode="json")}
    Whole.model_validate(whole)
    content = (json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    topics = [row["content"] for row in facts.tables["topic_model"].to_pylist()]
    contents = {REPORT: content, SCHEMA: schema_json(), **({TOPICS: topics[0]} if topics else {}), PAGE: render(audit)}
    return Files(audit, contents)


def audited(name: str, config_sha256: str, facts: Facts, digests: Mapping[str, str]) -> Audit:
    """Returns what the parts say of a run, checked.

    Raises:
        StageError: two figures have one key, or the rows of a table are not as its columns say.
    """
    held = [even(section) for section in parts.sections(facts)]
    sections = (even(summary(held, facts)), *held)
    check(sections)
    return Audit(
        name=harmless(name),
        config_sha256=config_sha256,
        code_version=version(),
        corpus=dict(digests),
        seed=facts.seed,
        drawn=total(facts.tables["looked"], "texts"),
        sections=sections,
        missing=tuple(missing(facts)),
    )


def put(files: Files, place: str, beside: Mapping[str, str] = MappingProxyType({})) -> None:
    """Writes the files under a folder, the page last; what is there as it should be stays untouched.

    `beside` are the digests of what was put there already, which are recorded with those of the files.

    Raises:
        ConfigError: the folder cannot be written.
    """
    made = {name: hashlib.sha256(content).hexdigest() for name, content in files.contents.items()}
    contents = {DIGESTS: digests_file({**made, **beside}), **files.contents}
    if all(storage.read_if_there(storage.join(place, name)) == content for name, content in contents.items()):
        return
    for name in (PAGE, TOPICS):
        storage.remove(storage.join(place, name))
    for name, content in contents.items():
        storage.put(storage.join(place, name), content)


# What is made even


def even(section: Section) -> Section:
    """Returns a section with its numbers rounded, what is no number left out, and its tables no longer than is shown.

    >>> rounded([1234567.0, 0.1234567, -0.0, 12345678, "1.23456789", float("nan")])
    [1234570.0, 0.123457, 0.0, 12345678, '1.23456789', None]
    """
    cut = section.model_copy(update={"tables": tuple(map(bounded, section.tables))})
    return Section.model_validate(rounded(cut.model_dump()))


def rounded(value: Any) -> Any:  # Any: plain data
    """Returns plain data with six significant digits of each float; None for one that is no number."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") + 0.0 if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: rounded(held) for name, held in value.items()}
    return [rounded(held) for held in value] if isinstance(value, list | tuple) else value


def bounded(table: Table) -> Table:
    """Returns a table with as many rows as are shown."""
    most = MOST_POINTS if is_curve(table.chart) else MOST_ROWS
    if len(table.rows) <= most:
        return table
    commands = table.commands[:most] if table.commands else table.commands
    of = len(table.rows) if table.of is None else table.of
    return table.model_copy(update={"rows": table.rows[:most], "commands": commands, "of": of})


def is_curve(chart: Chart | None) -> bool:
    """Returns whether rows are points of a chart, and not names to read."""
    return chart is not None and chart.kind in CURVES


# What is checked


def check(sections: Sequence[Section]) -> None:
    """Raises StageError where a key stands twice, or a table is not as its columns say."""
    seen: set[str] = set()
    for key in keys_of(sections):
        if key in seen:
            raise StageError(f"audit: the key {key} stands twice in the report")
        seen.add(key)
    for table in (table for section in sections for table in section.tables):
        names = [column.key for column in table.columns]
        if len(set(names)) < len(names):
            raise StageError(f"audit: {table.key}: two columns have one key: {', '.join(names)}")
        if any(len(row) != len(names) for row in table.rows):
            raise StageError(f"audit: {table.key}: a row has not one value for each of {len(names)} columns")
        if table.commands is not None and len(table.commands) != len(table.rows):
            raise StageError(f"audit: {table.key}: {len(table.commands)} commands for {len(table.rows)} rows")
        chart = table.chart
        if chart and (unknown := {chart.x, *chart.y, *([chart.rows] if chart.rows else [])} - set(names)):
            raise StageError(f"audit: {table.key}: its chart draws {', '.join(sorted(unknown))}, which is no column")


def keys_of(sections: Sequence[Section]) -> Iterator[str]:
    """Yields the keys that a page and a gate refer to."""
    for section in sections:
        yield section.key
        yield from (figure.key for figure in section.figures)
        yield from (table.key for table in section.tables)


# What cannot be told

_WANTING: Final = (
    (
        ("language",),
        Words(
            en="Languages and scripts: no step language has run.",
            zh="语种与文字：没有运行 language 阶段。",
        ),
    ),
    (("format",), Words(en="Formats: no step format has run.", zh="体裁：没有运行 format 阶段。")),
    (
        ("quality", "classify"),
        Words(
            en="Quality: neither quality nor classify has run, so no score is known.",
            zh="质量：没有运行 quality 或 classify 阶段，因此没有质量得分。",
        ),
    ),
    (
        ("dedup", "dedup_exact"),
        Words(
            en="Duplicates: no step dedup has run, so neither clusters nor what is left of copies are known.",
            zh="重复：没有运行 dedup 阶段，因此既不知道重复簇，也不知道残留的重复。",
        ),
    ),
    (("pii",), Words(en="Personal details: no step pii has run.", zh="个人信息：没有运行 pii 阶段。")),
    (
        ("safety",),
        Words(en="Adult, spam and insults: no step safety has run.", zh="色情、垃圾与辱骂内容：没有运行 safety 阶段。"),
    ),
    (
        ("decontaminate",),
        Words(
            en="Benchmarks: no step decontaminate has run, so contamination is not known.",
            zh="评测集：没有运行 decontaminate 阶段，因此不知道是否受到污染。",
        ),
    ),
)


def missing(facts: Facts) -> Iterator[Words]:
    """Yields what cannot be told of a run: by what its files lack, and by the steps that it lacks."""
    yield from lacking.missing(facts)
    stages = {str(stage["stage"]).rstrip("0123456789") for stage in facts.run["stages"]}  # a second one is quality2
    yield from (said for names, said in _WANTING if not stages.intersection(names))
