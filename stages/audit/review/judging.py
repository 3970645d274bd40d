"""How verdicts become a judgement: see `stages.audit.review.judgement` for what counts how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np

from stages.audit.measures import Estimate
from stages.audit.review import agreement
from stages.audit.review.estimates import ALPHA, Stratum, Unit, exact, rate, rate_of_part
from stages.audit.review.judgement import (
    COUNTING,
    LEAST_JUDGED,
    LEAST_RATE,
    MOST_UNSAFE,
    WORDS,
    Count,
    Criterion,
    Disputed,
    Interval,
    Judgement,
    Pair,
    Part,
    Rate,
    Reviewer,
    Source,
    Standard,
    State,
    Why,
)
from stages.audit.review.model import REASONS, Item, Judged, Sample, Verdict, Verdicts

AXES: Final = ("language", "script", "format")
MOST_PARTS: Final = 50  # of an axis that are told
LAWFUL: Final[tuple[Criterion, Count]] = ("lawful", "strict")
RATES: Final[tuple[tuple[Criterion, Count], ...]] = (
    ("pass", "strict"),
    ("pass", "majority"),
    ("safe", "strict"),
    ("safe", "majority"),
)

Opinions = Mapping[str, Mapping[int, Judged]]  # by document, by number of the reviewer


def judge(sample: Sample, given: Sequence[tuple[str, Verdicts]], *, current: bool = True) -> Judgement:
    """Returns what files of verdicts, each with its digest, say of a sample.

    All are of it, each is of one reviewer, and reviewers are numbered in their order.
    """
    opinions: dict[str, dict[int, Judged]] = {}
    for number, (_, verdicts) in enumerate(given, start=1):
        for one in verdicts.verdicts:
            opinions.setdefault(one.id, {})[number] = one
    judged = [item for item in sample.items if item.id in opinions]
    said = {
        (of, count): {item.id: _outcome(opinions[item.id].values(), of, count) for item in judged}
        for of, count in (*RATES, LAWFUL)
    }
    thirds = _thirds(opinions)
    return Judgement(
        sample=sample.name,
        sample_sha256=sample.sha256,
        by=sample.by,
        where=sample.where,
        documents=sample.documents,
        drawn=len(sample.items),
        judged=len(judged),
        in_order=_in_order(sample, opinions),
        covered=_covered(sample, judged),
        current=current,
        reviewers=tuple(_reviewer(number, *one) for number, one in enumerate(given, start=1)),
        rates=tuple(_rate(sample, judged, of, count, said[of, count]) for of, count in RATES),
        sources=_sources(sample, judged, said[LAWFUL]),
        reasons=_why(sample, judged, opinions),
        without_reason=sum(_unreasoned(one.values()) for one in opinions.values()),
        parts=_parts(sample, judged, said["pass", "strict"]),
        pairs=tuple(
            pair
            for first, second in combinations(range(1, len(given) + 1), 2)
            if not {first, second} & set(thirds) and (pair := _pair(first, second, opinions))
        ),
        alpha=_alpha(opinions, thirds) if len(given) - len(thirds) > 2 else None,
        thirds=thirds,
        disputed=tuple(
            Disputed(id=item.id, verdicts=tuple(_word(opinions[item.id].get(one + 1)) for one in range(len(given))))
            for item in judged
            if _differ(opinions[item.id].values())
        ),
    )


def _outcome(said: Iterable[Judged], of: Criterion, count: Count) -> Verdict:
    """Returns what becomes of a document that these say this of."""
    words = Counter(one.verdict if _counts(one, of) else "pass" for one in said)
    if count == "strict":
        return "fail" if words["fail"] else "unsure" if words["unsure"] else "pass"
    (first, most), *others = words.most_common()
    return "unsure" if others and others[0][1] == most else first


def _counts(said: Judged, of: Criterion) -> bool:
    """Returns whether what is said against a document counts: for one of the reasons, or for none that is known."""
    return not said.reasons or not COUNTING[of].isdisjoint(said.reasons)


def _unreasoned(said: Iterable[Judged]) -> bool:
    return any(one.verdict == "fail" and not one.reasons for one in said)


def _word(said: Judged | None) -> Verdict | None:
    return None if said is None else said.verdict


def _differ(said: Iterable[Judged]) -> bool:
    return len({one.verdict for one in said}) > 1


def _reviewer(number: int, digest: str, verdicts: Verdicts) -> Reviewer:
    words = Counter(one.verdict for one in verdicts.verdicts)
    counts = {"passed": words["pass"], "failed": words["fail"], "unsure": words["unsure"]}
    return Reviewer(number=number, verdicts_sha256=digest, judged=len(verdicts.verdicts), **counts)


# Rates


def _strata(sample: Sample, judged: Sequence[Item], found: Collection[str]) -> list[Stratum]:
    """Returns the strata that the sample was drawn by, of which the documents `found` are counted."""
    if sample.by is None:
        return [Stratum(sample.documents, len(judged), len(found))]
    seen = Counter(item.source for item in judged)
    counted = Counter(item.source for item in judged if item.id in found)
    return [Stratum(one.documents, seen[one.source], counted[one.source]) for one in sample.strata]


def _covered(sample: Sample, judged: Sequence[Item]) -> float:
    strata = _strata(sample, judged, ())
    whole = sum(one.documents for one in strata)
    return sum(one.documents for one in strata if one.judged) / whole if whole else 0.0


def _in_order(sample: Sample, opinions: Opinions) -> bool:
    """Returns whether none was passed over: those judged are the first of the draw, of each stratum."""
    ended = set()
    for item in sample.items:
        stratum = item.source if sample.by else ""
        if item.id not in opinions:
            ended.add(stratum)
        elif stratum in ended:
            return False
    return True


def _rate(sample: Sample, judged: Sequence[Item], of: Criterion, count: Count, said: Mapping[str, Verdict]) -> Rate:
    words = Counter(said.values())
    value = rate(_strata(sample, judged, {key for key, one in said.items() if one == "pass"}))
    best = rate(_strata(sample, judged, {key for key, one in said.items() if one != "fail"}))
    standard: Standard = "few"
    if len(judged) >= LEAST_JUDGED:
        standard = "reached" if value.value >= LEAST_RATE else "missed" if best.value < LEAST_RATE else "open"
    return Rate(
        of=of,
        count=count,
        passed=words["pass"],
        failed=words["fail"],
        unsure=words["unsure"],
        value=Interval.of(value),
        best=Interval.of(best),
        state="above" if value.low >= LEAST_RATE else "below" if best.high < LEAST_RATE else "open",
        standard=standard,
    )


def _sources(sample: Sample, judged: Sequence[Item], said: Mapping[str, Verdict]) -> tuple[Source, ...]:
    """Returns the sources, the worst first, and those of which nothing was judged last."""
    words = {one.source: Counter[Verdict]() for one in sample.strata}
    for item in judged:
        words[item.source][said[item.id]] += 1
    looked = sum(1 for own in words.values() if own)
    made = []
    for one in sample.strata:
        own = words[one.source]
        counts = (one.documents, own.total(), own["fail"], own["unsure"])
        mine = exact(*counts)
        made.append(
            Source(
                source=one.source,
                documents=one.documents,
                drawn=one.drawn,
                judged=own.total(),
                failed=own["fail"],
                unsure=own["unsure"],
                rate=Interval.of(mine),
                state=_state(mine),
                among_all=_state(exact(*counts, alpha=ALPHA / max(1, looked))),
            )
        )
    return tuple(sorted(made, key=_badness))


def _badness(one: Source) -> tuple[bool, float, float, int, str]:
    return not one.judged, -one.rate.low, -(one.rate.value or 0), -one.documents, one.source


def _state(made: Estimate) -> State:
    return "above" if made.low > MOST_UNSAFE else "below" if made.high <= MOST_UNSAFE else "open"


def _why(sample: Sample, judged: Sequence[Item], opinions: Opinions) -> tuple[Why, ...]:
    """Returns the reasons, the most frequent first; those that nobody gave too."""
    given = {
        item.id: {code for one in opinions[item.id].values() if one.verdict == "fail" for code in one.reasons}
        for item in judged
    }
    made = []
    for code, reason in REASONS.items():
        found = {key for key, own in given.items() if code in own}
        share = rate(_strata(sample, judged, found))
        made.append(Why(code=code, risk=reason.risk, documents=len(found), share=Interval.of(share)))
    return tuple(sorted(made, key=lambda one: -one.documents))


def _parts(sample: Sample, judged: Sequence[Item], said: Mapping[str, Verdict]) -> tuple[Part, ...]:
    """Returns the rates of languages, scripts and formats of which more than one was judged, the most judged first."""
    seen = Counter(item.source if sample.by else "" for item in judged)
    whole = {one.source: one.documents for one in sample.strata} if sample.by else {"": sample.documents}

    def rated(items: Sequence[Item], *counted: Verdict) -> Interval:
        strata = [(item.source if sample.by else "", said[item.id] in counted) for item in items]
        return Interval.of(
            rate_of_part(Unit(whole[key] / seen[key], max(0.0, 1 - seen[key] / whole[key]), is_) for key, is_ in strata)
        )

    made = []
    for axis in AXES:
        groups: dict[str | None, list[Item]] = {}
        for item in judged:
            groups.setdefault(getattr(item, axis), []).append(item)
        largest = sorted(groups.items(), key=lambda one: (-len(one[1]), one[0] or ""))
        made += [
            Part(
                axis=axis,
                name=name,
                judged=len(items),
                value=rated(items, "pass"),
                best=rated(items, "pass", "unsure"),
            )
            for name, items in (largest[:MOST_PARTS] if len(groups) > 1 else ())
        ]
    return tuple(made)


# Agreement


def _thirds(opinions: Opinions) -> tuple[int, ...]:
    """Returns the reviewers who saw but what two others did not agree on: those documents are none by chance."""
    seen: dict[int, bool] = {}
    for own in opinions.values():
        for number in own:
            others = [one for other, one in own.items() if other != number]
            seen[number] = seen.get(number, True) and _differ(others)
    return tuple(sorted(number for number, only in seen.items() if only))


def _pair(first: int, second: int, opinions: Opinions) -> Pair | None:
    """Returns how far two agree, None where they judged no document both."""
    table = np.zeros((len(WORDS), len(WORDS)), np.int64)
    for own in opinions.values():
        if first in own and second in own:
            table[WORDS.index(own[first].verdict), WORDS.index(own[second].verdict)] += 1
    if not table.any():
        return None
    return Pair(
        first=first,
        second=second,
        table=tuple(tuple(row) for row in table.tolist()),
        raw=Interval.of(agreement.raw(table)),
        kappa=Interval.of(agreement.kappa(table)),
        ac1=Interval.of(agreement.ac1(table)),
        on_pass=Interval.of(agreement.on_word(table, WORDS.index("pass"))),
        on_fail=Interval.of(agreement.on_word(table, WORDS.index("fail"))),
    )


def _alpha(opinions: Opinions, thirds: Sequence[int]) -> Interval:
    return Interval.of(
        agreement.alpha(
            [WORDS.index(one.verdict) for number, one in own.items() if number not in thirds]
            for own in opinions.values()
        )
    )
