"""The report of a run: totals, drops by rule, rates; a fold of the records, so whole after any number of crashes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from datapipe.dataset import Concat, Dataset, Map, same
from datapipe.errors import StageError
from datapipe.graph import Step
from datapipe.logs import shown
from datapipe.plan import Planner
from datapipe.stage import Stage
from datapipe.work import LEAVING

ACTIONS = ("drop", "also", "repair", "flag", "duplicate_of", "split", "quarantine")
REMARK, WARNING = "remark", "warning"  # counters whose name is a sentence
AUDIT = "audit"  # what a reporter (see datapipe.job) adds to the report, of the files that were published


@dataclass(frozen=True)
class Rule:
    """How many ledger rows a rule of a stage wrote, and what became of the documents."""

    action: str
    rule: str
    documents: int


@dataclass(frozen=True)
class StageReport:
    """What a stage did: documents in + made by splitting = documents out + dropped."""

    stage: str
    documents_in: int
    made: int
    documents_out: int
    dropped: int
    rules: tuple[Rule, ...]
    counts: dict[str, int]
    remarks: tuple[str, ...] = ()

    @property
    def kept_ratio(self) -> float:
        """Documents out for one in."""
        return self.documents_out / self.documents_in if self.documents_in else 0.0


@dataclass(frozen=True)
class Report:
    """What a run made and what became of every document."""

    name: str
    config_sha256: str
    code_version: str
    sample: float
    stages: tuple[StageReport, ...]
    set_aside: int
    published: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    allow_set_aside: int = 0
    made: int = field(default=0, compare=False)  # shards made by this call; not part of the report
    differing: tuple[str, ...] = field(default=(), compare=False)
    out: str = field(default="", compare=False)

    def to_json(self) -> bytes:
        """Returns the report as JSON: a function of config and inputs, so without times and places."""
        data = asdict(self)
        for name in ("made", "differing", "out"):
            del data[name]
        return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()

    @staticmethod
    def from_json(content: bytes, out: str = "") -> Report:
        """Returns the report that `to_json` wrote; what an audit put beside it stays out."""
        data: dict[str, Any] = json.loads(content)  # Any: JSON
        data.pop(AUDIT, None)
        stages = tuple(
            StageReport(
                **{
                    **stage,
                    "rules": tuple(Rule(**rule) for rule in stage["rules"]),
                    "remarks": tuple(stage.get("remarks", ())),
                }
            )
            for stage in data["stages"]
        )
        data.update(stages=stages, published=tuple(data["published"]), warnings=tuple(data["warnings"]))
        return Report(**data, out=out)

    @property
    def exit_status(self) -> int:
        """0, or 3 where more input was set aside than the config allows: it could not be read, or not worked on."""
        return 3 if self.set_aside > self.allow_set_aside else 0

    def __str__(self) -> str:
        lines = [f"{'stage':<12}{'in':>12}{'split':>8}{'dropped':>12}{'out':>12}{'kept':>8}"]
        for stage in self.stages:
            if stage.documents_in or stage.documents_out:
                lines.append(
                    f"{stage.stage:<12}{stage.documents_in:>12,}{stage.made:>8,}{stage.dropped:>12,}"
                    f"{stage.documents_out:>12,}{stage.kept_ratio:>8.1%}"
                )
            lines += [
                f"    {rule.action} {rule.rule}: {rule.documents:,}" for rule in stage.rules if rule.action in LEAVING
            ]
            lines += [f"    {remark}" for remark in stage.remarks]
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.set_aside:
            allowed = f"(allowed: {self.allow_set_aside:,})"
            lines.append(f"set aside: {self.set_aside:,} {allowed}; the ledger says what and why")
        return "\n".join(shown(line) for line in lines)


def report_of(planner: Planner, published: Sequence[str]) -> Report:
    """Returns the report of a run, as far as it is finished.

    Raises:
        StageError: the sums of a stage, or of two stages in a row, do not agree.
    """
    stages = [
        _stage_report(planner, name, stage, result)
        for name, stage, result in planner.pipeline.stages
        if all(planner.complete(planner.step_of(call)) for call in _trunk(planner, name, result))
    ]
    _conserve(stages)
    aside = sum(rule.documents for stage in stages for rule in stage.rules if rule.action == "quarantine")
    warnings = tuple(warning for stage in stages for warning in _warnings(stage))
    return Report(
        planner.pipeline.name,
        planner.facts["config_sha256"],
        planner.facts["code_version"],
        planner.pipeline.sample,
        tuple(stages),
        aside,
        tuple(published),
        warnings,
        planner.pipeline.allow_set_aside,
    )


def _stage_report(planner: Planner, name: str, stage: Stage, result: Dataset) -> StageReport:
    rows_in = made = rows_out = dropped = 0
    for call, first, last in trunk_of(planner, name, result):
        for passed in _passed(planner, call):
            rows_in += passed.rows_in if first else 0
            rows_out += passed.rows_out if last else 0
            made += passed.made
            dropped += passed.dropped
    counts = _counts(planner, name)
    rules = [
        Rule(action, rule, amount)
        for key, amount in counts.items()
        for action, _, rule in [key.partition(".")]
        if action in ACTIONS
    ]
    rules.sort(key=lambda rule: (rule.action not in LEAVING, -rule.documents, rule.action, rule.rule))
    others = {key: amount for key, amount in sorted(counts.items()) if key.partition(".")[0] not in (*ACTIONS, REMARK)}
    said = (key.partition(".")[2] for key in sorted(counts) if key.startswith(f"{REMARK}."))
    remarks = (*stage.remarks(counts), *said)
    return StageReport(name, rows_in, made, rows_out, dropped, tuple(rules), others, remarks)


def trunk_of(planner: Planner, name: str, result: Dataset) -> list[tuple[Dataset, bool, bool]]:
    """Returns the maps of a stage that its documents pass through: whether they come to each first, and leave it last.

    There are several of either where sources are read each by itself.
    """
    trunk = list(_trunk(planner, name, result))
    keys = {planner.graph.fingerprint(made) for made in trunk}
    found = []
    for call in trunk:
        parents = call.op.parent.op.parents if isinstance(call.op.parent.op, Concat) else (call.op.parent,)  # type: ignore[union-attr]
        first = not any(planner.graph.fingerprint(parent) in keys for parent in parents)
        found.append((call, first, not any(_reads(planner, other, call) for other in trunk)))
    return found


def _trunk(planner: Planner, name: str, made: Dataset) -> Iterator[Dataset]:
    """Yields the maps of a stage that its documents pass through, from its result back."""
    if planner.graph.stage_of(made) != name:
        return
    if isinstance(made.op, Concat):
        for parent in made.op.parents:
            yield from _trunk(planner, name, parent)
    elif isinstance(made.op, Map):
        if made.op.documents and made.op.function is not same:
            yield made
        yield from _trunk(planner, name, made.op.parent)


def _reads(planner: Planner, other: Dataset, call: Dataset) -> bool:
    assert isinstance(other.op, Map)
    heads = other.op.parent.op.parents if isinstance(other.op.parent.op, Concat) else (other.op.parent,)
    return any(planner.graph.fingerprint(head) == planner.graph.fingerprint(call) for head in heads)


def _passed(planner: Planner, call: Dataset) -> Iterator[Any]:
    step = planner.step_of(call)
    place = place_of(planner, step, call)
    for shard in planner.shards_of(step):
        yield shard.passed[place]


def place_of(planner: Planner, step: Step, call: Dataset) -> int:
    """Returns the number of a call of a step."""
    return [planner.graph.fingerprint(item) for item in step.calls].index(planner.graph.fingerprint(call))


def _counts(planner: Planner, name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for step in planner.finished_steps():
        total.update(planner.records.counts(step.key).get(name, {}))
    return total


def _conserve(stages: Sequence[StageReport]) -> None:
    passing = [stage for stage in stages if stage.documents_in or stage.documents_out]
    for stage in passing:
        if stage.documents_in + stage.made != stage.documents_out + stage.dropped:
            raise StageError(
                f"stage {stage.stage}: {stage.documents_in} documents in + {stage.made} split is not "
                f"{stage.documents_out} out + {stage.dropped} dropped"
            )
    for before, after in pairwise(passing):
        if before.documents_out != after.documents_in:
            raise StageError(
                f"{before.documents_out} documents came out of {before.stage}, "
                f"{after.documents_in} went into {after.stage}"
            )


def _warnings(stage: StageReport) -> Iterator[str]:
    """Yields what a stage warns of, and what a rule's counters say: one never fires, or fires on more than half."""
    for key, evaluated in stage.counts.items():
        if key.startswith(f"{WARNING}."):
            yield f"{stage.stage}: {key.partition('.')[2]}"
        if not key.startswith("evaluated.") or not evaluated:
            continue
        rule = key.removeprefix("evaluated.")
        fired = stage.counts.get(f"fired.{rule}", 0)
        if fired > evaluated / 2:
            yield f"{stage.stage}: rule {rule} fires on {fired:,} of {evaluated:,} documents; is its limit right?"
        elif fired == 0 and evaluated >= 1000:
            yield f"{stage.stage}: rule {rule} never fires on {evaluated:,} documents"
