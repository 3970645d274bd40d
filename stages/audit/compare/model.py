"""What a comparison of two corpora holds, as data: its JSON is this, its page and its lines are drawn from it.

A and B are the folders that were given, in that order; a change is B less A. Nothing in it depends on where they lie,
or when they were compared. Strings that come from documents are masked and made harmless where they enter.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from stages.audit.model import Cell, Unit, Words

SCHEMA_OF: Final = "https://json-schema.org/draft/2020-12/schema"
Count = Annotated[int, Field(ge=0)]
Says = Literal["same", "counted", "beyond", "within", "unsure", "lacking", "apart"]
SAYS: Final[dict[Says, Words]] = {
    "same": Words(en="same", zh="相同"),
    "counted": Words(en="counted: it differs", zh="精确计数：不同"),
    "beyond": Words(en="more than chance", zh="超出随机波动"),
    "within": Words(en="may be chance", zh="可能只是随机波动"),
    "unsure": Words(en="drawn, no interval", zh="抽样所得，无区间"),
    "lacking": Words(en="known in one only", zh="仅一方有"),
    "apart": Words(en="not comparable", zh="不可比"),
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Corpus(_Model):
    """One of the two."""

    name: Annotated[str, Field(description="of its config")]
    config_sha256: str
    code_version: Annotated[str, Field(description="of the datapipe that ran")]
    digests: Annotated[dict[str, str], Field(description="what tells this corpus from any other, SHA-256 in hex")]
    documents: Count
    tokens: Count
    trained: Annotated[int, Field(ge=0, description="tokens as a training run sees them")]


class Setting(_Model):
    """Something that the two runs had otherwise: a field of the config, a version, an input, a tokenizer."""

    kind: str
    name: str
    a: str | None
    b: str | None


class Value(_Model):
    """A figure of one of the two."""

    value: Cell
    low: Annotated[float | None, Field(description="lower border of its 95 % interval")] = None
    high: float | None = None
    of: Annotated[int | None, Field(description="how many were looked at; null where all were counted")] = None


class Change(_Model):
    """A figure in A and in B, and whether they differ by more than chance."""

    key: Annotated[str, Field(description="what gates call it")]
    label: Words
    unit: Unit
    a: Value | None
    b: Value | None
    change: Annotated[float | None, Field(description="B less A")] = None
    low: Annotated[float | None, Field(description="lower border of the 95 % interval of the change")] = None
    high: float | None = None
    says: Annotated[
        Says,
        Field(
            description="counted: all was counted, and differs; beyond, within: the interval leaves 0 out, or does not;"
            " unsure: drawn, and without an interval; lacking: known in one only; apart: not to be compared"
        ),
    ]
    why: Annotated[Words | None, Field(description="why it cannot be compared")] = None


class Bin(_Model):
    """A group of an axis: its shares, and what it adds to the divergence."""

    group: str
    a: float
    b: float
    change: float
    low: float | None = None
    high: float | None = None
    adds: Annotated[float, Field(ge=0, description="bits")]


class Shift(_Model):
    """How far the distributions of A and B over the groups of an axis are from each other."""

    axis: str
    weighting: Annotated[str, Field(description="documents, tokens, trained (tokens as trained), or characters")]
    groups_a: Count
    groups_b: Count
    unknown_a: Annotated[float | None, Field(description="share of what is of no group, which is left out")]
    unknown_b: float | None
    divergence: Annotated[float, Field(description="Jensen-Shannon divergence, bits: 0 to 1")]
    low: Annotated[float | None, Field(description="lower border of its 95 % interval, where documents are drawn")] = (
        None
    )
    high: float | None = None
    most: Annotated[
        float | None, Field(description="where groups are too many to be named, it lies between `divergence` and this")
    ] = None
    chance: Annotated[float | None, Field(description="what a blind exchange of documents would give")] = None
    says: Says
    bins: Annotated[tuple[Bin, ...], Field(description="by what they add, the largest first")]
    of: Annotated[int, Field(ge=0, description="groups that there are; the first are shown")]


class Survived(_Model):
    """What was kept of a group's documents that came to both runs, each document beside itself."""

    axis: str
    group: str | None
    came: Annotated[int, Field(ge=0, description="documents that both were given")]
    both: Annotated[int, Field(ge=0, description="kept by both")]
    only_a: Count
    only_b: Count
    a: Annotated[float, Field(description="share that A kept")]
    b: float
    change: float
    low: float
    high: float
    says: Says


class Example(_Model):
    """A document that differs, and why."""

    id: str
    source: str | None
    language: str | None
    url: str | None
    why: Words


class Cause(_Model):
    """Documents that differ for one reason."""

    kind: Annotated[str, Field(description="only_a, only_b, text, fields; in neither: gone_otherwise, gone_a, gone_b")]
    cause: str
    stage: str | None
    rule: str | None
    documents: Count
    tokens_a: Count
    tokens_b: Count
    says: Words
    command: Annotated[str | None, Field(description="lists more of them; A or B stands for the folder")] = None
    examples: tuple[Example, ...] = ()


class Documents(_Model):
    """Which documents differ, and why."""

    same: Annotated[int, Field(ge=0, description="in both, with one text and the same labels")]
    only_a: Count
    only_b: Count
    changed: Annotated[int, Field(ge=0, description="in both, with another text or other labels")]
    text: Annotated[int, Field(ge=0, description="of the changed, those of another text")]
    causes: tuple[Cause, ...]
    fields: Annotated[dict[str, int], Field(description="documents in both of which a field differs")]


class Judgement(_Model):
    """What became of a gate."""

    gate: str
    name: Annotated[str, Field(description="of the figure that it was found to be of")]
    value: float | None
    low: float | None
    high: float | None
    sign: str
    limit: float
    sure: bool
    passed: bool
    why: Annotated[str, Field(description="why it has not passed")]
    because: Annotated[str, Field(description="what the file says of it")]


class Diff(_Model):
    """Two corpora compared."""

    format_version: Literal[1] = 1
    a: Corpus
    b: Corpus
    seed: Count
    settings: Annotated[tuple[Setting, ...], Field(description="what the two runs had otherwise")]
    documents: Documents
    figures: Annotated[tuple[Change, ...], Field(description="every figure of the reports")]
    cells: Annotated[tuple[Change, ...], Field(description="cells of tables that differ, as TABLE.ROW.COLUMN")]
    cells_same: Annotated[int, Field(ge=0, description="cells that are")]
    shifts: tuple[Shift, ...]
    survived: tuple[Survived, ...]
    gates: tuple[Judgement, ...] = ()
    notes: Annotated[tuple[Words, ...], Field(description="what could not be compared, and how to read what was")] = ()

    def to_json(self) -> bytes:
        """Returns it as JSON, the same bytes for the same corpora."""
        said = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
        return f"{said}\n".encode()


def schema_json() -> bytes:
    """Returns the JSON Schema of a comparison."""
    schema: dict[str, Any] = {"$schema": SCHEMA_OF, **Diff.model_json_schema()}  # Any: JSON
    return (json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
