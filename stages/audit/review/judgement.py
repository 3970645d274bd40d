"""What people's verdicts say of a corpus: the rate that passes, sources against the five-percent rule, agreement.

Two rates: `pass`, in which any reason against a document counts; and `safe`, in which those do that name a class of
risk (A.1 to A.5), and failures without any reason, which may be one. A source is held to the five-percent rule by what
is illegal or unhealthy: A.1 to A.4, and failures without a reason; not by quality, and not by A.5, which asks whether a
text is fit for a service. Unsure verdicts are counted twice: as failures in `value`, as passes in `best`.

Where several judged a document, `strict` fails it if any of them does, and else leaves it unsure if any is; `majority`
goes by the word that most say, and a tie is unsure. What one says of five sources with one chance in 20 of an error is
wrong somewhere more often: so a source's state stands twice, by its own interval, of 95 %, and by one of
1 - 5 % / sources, at which all states are right at once (Bonferroni).

Source: TC260-003 (2024), as secondary pages tell it: 4,000 documents at the least, of which 96 % pass; sources with
more than 5 % are not to be used. Which class is illegal or unhealthy is our reading.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from stages.audit.measures import Estimate
from stages.audit.review.model import REASONS, Verdict

LEAST_RATE: Final = 0.96
LEAST_JUDGED: Final = 4_000
MOST_UNSAFE: Final = 0.05  # of a source
WORDS: Final[tuple[Verdict, ...]] = ("pass", "fail", "unsure")

Criterion = Literal["pass", "safe", "lawful"]
Count = Literal["strict", "majority"]
State = Literal["above", "below", "open"]  # of a limit, by the interval
Standard = Literal["reached", "missed", "open", "few"]  # by the rate alone, if enough were judged
COUNTING: Final[Mapping[Criterion, frozenset[str]]] = {
    "pass": frozenset(REASONS),
    "safe": frozenset(code for code, one in REASONS.items() if one.risk),
    "lawful": frozenset(code for code, one in REASONS.items() if one.risk in ("A.1", "A.2", "A.3", "A.4")),
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(_Model):
    """A value and its 95 % interval; null where it cannot be told."""

    value: float | None
    low: float
    high: float

    @classmethod
    def of(cls, estimate: Estimate) -> Interval:
        """Returns an estimate as data."""
        value, low, high = estimate
        return cls(value=None if math.isnan(value) else value, low=low, high=high)


class Rate(_Model):
    """A rate of all documents that the sample is of. `best` counts unsure ones as passing, `value` as failing."""

    of: Criterion
    count: Count
    passed: int
    failed: int
    unsure: int
    value: Interval
    best: Interval
    state: Annotated[State, Field(description="against 96 %, of the corpus: above or below is sure to 95 %")]
    standard: Annotated[Standard, Field(description="of the sample: 4,000 judged or more, and 96 % of them")]


class Source(_Model):
    """A source against the five-percent rule: of illegal or unhealthy content, counted strictly."""

    source: str
    documents: int
    drawn: int
    judged: int
    failed: int
    unsure: int
    rate: Interval
    state: Annotated[State, Field(description="against 5 %, by its own interval")]
    among_all: Annotated[State, Field(description="against 5 %, where all sources are to be right at once")]


class Why(_Model):
    """A reason: the documents that anyone failed for it, and the share of the corpus that this stands for."""

    code: str
    risk: str | None
    documents: int
    share: Interval


class Part(_Model):
    """The rate `pass` of a language, script or format, counted strictly; `best` as in Rate."""

    axis: str
    name: str | None
    judged: int
    value: Interval
    best: Interval


class Reviewer(_Model):
    """A reviewer by number: of whom the names stand in the file of that digest alone."""

    number: int
    verdicts_sha256: str
    judged: int
    passed: int
    failed: int
    unsure: int


class Pair(_Model):
    """How far two reviewers agree: `table[i][j]` documents the first called `words[i]` and the second `words[j]`."""

    first: int
    second: int
    words: tuple[str, ...] = WORDS
    table: tuple[tuple[int, ...], ...]
    raw: Interval
    kappa: Annotated[Interval, Field(description="Cohen's")]
    ac1: Annotated[Interval, Field(description="Gwet's")]
    on_pass: Interval
    on_fail: Interval


class Disputed(_Model):
    """A document that reviewers do not agree on, and what each said, null where one did not judge it."""

    id: str
    verdicts: tuple[Verdict | None, ...]


class Judgement(_Model):
    """What people found of a sample: a function of the sample and of the files of verdicts."""

    format_version: Literal[1] = 1
    sample: str
    sample_sha256: str
    by: Literal["source"] | None
    where: tuple[str, ...]
    documents: Annotated[int, Field(description="that the sample is of")]
    drawn: int
    judged: Annotated[int, Field(description="by one reviewer at the least")]
    in_order: Annotated[bool, Field(description="those judged are the first of the draw, so as fair a sample as all")]
    covered: Annotated[float, Field(description="share of the documents of which any other like it was judged")]
    current: Annotated[bool, Field(description="the corpus is as it was when the sample was drawn")]
    reviewers: tuple[Reviewer, ...]
    rates: tuple[Rate, ...]
    sources: tuple[Source, ...]
    reasons: tuple[Why, ...]
    without_reason: Annotated[int, Field(description="failures without any reason: they count for every rule")]
    parts: tuple[Part, ...]
    pairs: tuple[Pair, ...]
    alpha: Annotated[Interval | None, Field(description="Krippendorff's, of three reviewers or more")]
    thirds: Annotated[tuple[int, ...], Field(description="reviewers of disputed documents alone: in no agreement")]
    disputed: tuple[Disputed, ...]

    def rate(self, of: Criterion = "pass", count: Count = "strict") -> Rate:
        """Returns one of its rates."""
        return next(one for one in self.rates if (one.of, one.count) == (of, count))
