"""All that is known of the run that the tests of the audit share, and what people might say of it."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_origin

import pyarrow as pa
import pytest
from pydantic import BaseModel

from stages.audit.standards.about import About, SourceAbout
from stages.audit.standards.counted import DOMAINS, SOURCES, Counted
from stages.audit.standards.files import described
from stages.audit.standards.known import Known, know
from tests.stages.audit.standards.names import HOSTILE


@pytest.fixture(scope="session")
def known(finished: Path, told: Path) -> Known:
    """Returns what is known of the shared run, when nobody has said anything."""
    return know(str(finished), str(told))


@pytest.fixture(scope="session")
def answered() -> About:
    """Returns an about.yaml in which every question is answered."""
    said = filled(About)
    sources = {name: {**filled(SourceAbout), "kind": kind} for name, kind in KINDS.items()}
    return About.model_validate({**said, "sources": sources})


KINDS = {"pages": "crawled", "notes": "public_dataset"}
AGENT = {"name": "Example", "kind": "organization", "url": "https://example.org/"}
OTHERS = {"creators": [AGENT], "publisher": AGENT, "use": {"permitted": ["use", "derive"], "prohibited": ["sell"]}}
PLAIN: dict[object, Any] = {int: 10_000, float: 0.99, bool: True, datetime.date: datetime.date(2026, 1, 31)}


def filled(model: type[BaseModel]) -> dict[str, Any]:
    """Returns a value for each field of a model."""
    made: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name in OTHERS and model is About:
            made[name] = OTHERS[name]
        elif name == "version":
            made[name] = "1.2.3"
        elif name != "sources":
            made[name] = _value(field.annotation, name)
    return made


def _value(kind: Any, name: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return filled(kind)
    kinds = [one for one in get_args(kind) if one is not type(None)] or [kind]
    first = kinds[0]
    if get_origin(first) is tuple:
        return ["one", "two"]
    for one in (first, *get_args(first)):
        if one in PLAIN:
            return PLAIN[one]
    if "Literal" in str(first):
        return get_args(first)[0]
    return "https://example.org/" if "url" in name else f"said of {name}"


@pytest.fixture(scope="session")
def hostile(known: Known, answered: About) -> dict[str, bytes]:
    """Returns the files where every name and every answer is hostile."""

    def harmed(table: pa.Table, schema: pa.Schema) -> pa.Table:
        words = [
            pa.array([HOSTILE] * len(table)) if one.type == pa.string() else table.column(one.name) for one in schema
        ]
        return pa.Table.from_arrays(words, schema=schema)

    counted = Counted(harmed(known.counted.domains, DOMAINS), harmed(known.counted.sources, SOURCES))
    stages = [
        {**one, "stage": HOSTILE, "rules": [{**rule, "rule": HOSTILE} for rule in one["rules"]]}
        for one in known.stages()
    ]
    text = re.sub(r'"said of [a-z_]+"', lambda _: json.dumps(HOSTILE), answered.model_dump_json())
    about = About.model_validate_json(text)
    about = about.model_copy(update={"sources": {HOSTILE: about.sources["pages"]}, "name": None})
    audit = known.audit.model_copy(update={"name": HOSTILE})
    return described(replace(known, audit=audit, counted=counted, run={**known.run, "stages": stages}, about=about))
