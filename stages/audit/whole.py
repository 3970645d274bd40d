"""The whole of `reports/report.json` as a model: the run's own report, and the audit of what it published."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from stages.audit.model import Audit

SCHEMA_OF: Final = "https://json-schema.org/draft/2020-12/schema"
Count = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Model):
    """How many ledger rows a rule of a step wrote, and what became of the documents."""

    action: Annotated[str, Field(description="drop, duplicate_of, quarantine: they left; also, repair, flag, split")]
    rule: str
    documents: Count


class Step(_Model):
    """What a step did: documents in + made by splitting = documents out + dropped."""

    stage: str
    documents_in: Count
    made: Count
    documents_out: Count
    dropped: Count
    rules: tuple[Rule, ...]
    counts: Annotated[dict[str, int], Field(description="sums of the step's own counters")]
    remarks: Annotated[tuple[str, ...], Field(description="sentences on the whole run")] = ()


class Whole(_Model):
    """reports/report.json: what a run did to every document, and what an audit found in the files that it published."""

    name: Annotated[str, Field(description="of the config")]
    config_sha256: Annotated[str, Field(description="of the config and its inputs")]
    code_version: Annotated[str, Field(description="of the datapipe that ran")]
    sample: Annotated[float, Field(description="share of the documents that was drawn; 1 is all")]
    stages: Annotated[tuple[Step, ...], Field(description="the steps in order")]
    set_aside: Annotated[int, Field(ge=0, description="documents and files that could not be read or worked on")]
    published: Annotated[tuple[str, ...], Field(description="names of the files")]
    warnings: tuple[str, ...] = ()
    allow_set_aside: Count = 0
    audit: Annotated[Audit | None, Field(description="made by `datapipe report`; not there before")] = None


def schema_json() -> bytes:
    """Returns the JSON Schema of `reports/report.json`."""
    schema: dict[str, Any] = {"$schema": SCHEMA_OF, **Whole.model_json_schema()}  # Any: JSON
    return (json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
