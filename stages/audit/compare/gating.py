"""What gates may name, of a corpus and of two that are compared.

hosts.top10.tokens             a figure of the report, of B where two are compared
hosts.top.a.example.tokens     a cell of a table of the report: TABLE.ROW.COLUMN
survival.zho_Hant              what the filters leave of a group: of languages, scripts, formats, sources, TLDs, …
share.host.a.example.tokens    the share of a host, domain, source, language, script, format or topic
change.NAME                    of each of these: B less A
kept.language.zho_Hant         what B kept of the documents that both were given; `change.` before it: less what A did
diff.only_a  diff.only_b       documents that one of the two alone holds
diff.changed diff.text diff.labels diff.same
                               documents in both: changed at all, of another text, of other labels, not at all
diff.only_a.quality.zh_length  those that this rule of this step first caused (STEP.RULE, or the cause)
diff.shift.host.tokens         Jensen-Shannon divergence of A and B in bits: of documents, tokens, trained
diff.settings                  how many settings, inputs and versions the two runs had otherwise
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from stages.audit.compare import axes, documents
from stages.audit.compare.figures import Apart, cells, difference, figures, measured
from stages.audit.compare.model import Change, Documents, Judgement, Shift, Survived
from stages.audit.counter import Facts
from stages.audit.gates import CHANGE, Gate, Measured, judge_all, rows, told
from stages.audit.measures import Estimate
from stages.audit.model import Audit
from stages.audit.parity import axes_of
from stages.audit.passage import LEAVING, stages_of, survival
from stages.audit.weights import shown

FAMILIES: Final = (
    *("summary", "funnel", "rules", "survival", "shift", "hosts", "domains", "tlds", "sources", "licences", "tail"),
    *("sweep", "kinds", "languages", "language", "scripts", "script", "formats", "format", "topics", "lexical"),
    *("sizes", "fertility", "duplicates", "risk", "provenance", "remaking", "share", "kept", "diff"),
)  # first words of names: of what a report, or a comparison, may hold
WIDE: Final = 48  # letters of a gate, up to which what is said of gates begins in one column


def of_report(audit: Audit, facts: Facts) -> dict[str, Measured]:
    """Returns what gates may name of one corpus."""
    every = [*figures(audit, audit, Apart()), *cells(audit, audit, Apart())]
    found = {name: one for name, one in measured(every) if not name.startswith(CHANGE)}
    for name, rate in survivals(facts).items():
        found.setdefault(name, Measured(*rate))
    return found | dict(axes.shares(facts))


def of_diff(
    changes: Iterable[Change],
    facts: tuple[Facts, Facts],
    shifts: Sequence[Shift],
    which: Documents | None,
    pairs: Sequence[Survived],
    settings: int,
) -> dict[str, Measured]:
    """Returns what gates may name of two corpora."""
    found = dict(measured(changes))
    a, b = (survivals(one) for one in facts)
    for name, rate in b.items():
        found.setdefault(name, Measured(*rate))
        if name in a:
            found.setdefault(CHANGE + name, Measured(*difference(a[name], rate)))
    found |= dict(axes.measured(shifts))
    if which is not None:
        found |= dict(documents.measured(which, pairs, rules_of(*facts)))
    found["diff.settings"] = Measured(settings)
    return found


def rules_of(*facts: Facts) -> list[tuple[str, str]]:
    """Returns the steps and rules by which documents left a run."""
    return [
        (str(stage["stage"]), str(rule["rule"]))
        for one in facts
        for stage in one.run["stages"]
        for rule in stage["rules"]
        if rule["action"] in LEAVING
    ]


def survivals(facts: Facts) -> dict[str, Estimate]:
    """Returns what the filters leave of each group, by `survival.AXIS.GROUP` and `survival.GROUP`.

    Of groups of one name, the latter is that of the first axis.
    """
    stages = stages_of(facts.run)
    found: dict[str, Estimate] = {}
    for axis in axes_of(facts):
        for group, passage in axis.documents.items():
            one = survival(passage.steps(stages), "filters")
            if one.amount:
                for name in (group, f"{axis.key}.{group}"):
                    found.setdefault(f"survival.{shown(name)}", one.rate)
    return found


def judged(gates: Sequence[Gate], found: Mapping[str, Measured]) -> tuple[Judgement, ...]:
    """Returns what became of each gate. Raises ConfigError for one that names no figure."""
    return tuple(Judgement(**row) for row in rows(judge_all(gates, found, FAMILIES)))


def lines(judgements: Sequence[Judgement]) -> Iterator[str]:
    """Yields a line for each gate: whether it passed, the gate, the value with its interval, what it is of, and why."""
    wide = min(WIDE, max((len(one.gate) for one in judgements), default=0))
    for one in judgements:
        said = [] if one.value is None else [_value(one)]
        said += [f"of {one.name}"] if one.value is not None and not one.gate.startswith(f"{one.name} ") else []
        said += [text for text in (one.why, one.because) if text]
        yield f"{'pass' if one.passed else 'FAIL'}  {one.gate:<{wide}}  {'; '.join(said)}"


def _value(one: Judgement) -> str:
    assert one.value is not None
    if one.low is None or one.high is None or one.low == one.high:
        return told(one.value)
    return f"{told(one.value)} ({told(one.low)} to {told(one.high)})"


def verdict(judgements: Sequence[Judgement]) -> str:
    """Returns the last line: how many gates passed."""
    failed = [one.gate for one in judgements if not one.passed]
    if not failed:
        return f"gates: all {len(judgements)} passed" if len(judgements) != 1 else "gates: 1 passed"
    return f"gates: {len(failed)} of {len(judgements)} failed: {', '.join(failed)}"
