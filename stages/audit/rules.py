"""Which rules took the documents: alone or with others, of whom most, and which rules say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stages.audit.counter import Counter, Facts, Wide
from stages.audit.cube import Row
from stages.audit.fired import Limits, Pairs, Rules
from stages.audit.funnel import RULE, SHOWN, STAGE, column
from stages.audit.model import Cell, Chart, Figure, Section, Table, Words
from stages.audit.passage import command, key_of, passages, shown, stages_of, together

LARGEST: Final = 20  # rules of the matrix of a stage
SOLE: Final = 3  # rules that figures name
LEAST: Final = 30  # documents of a source that it takes for a share of it to be told
SURE: Final = 1000  # documents that a rule was asked for before it is said that it never fires


COUNTERS: tuple[Counter | Wide, ...] = (Rules(), Pairs(), Limits())


# What is said


@dataclass(frozen=True)
class Taken:
    """A rule of a stage, and whom it took."""

    stage: str
    rule: str | None
    fired: int
    first: int
    sole: int
    sole_bytes: int
    languages: Mapping[str | None, int]  # documents that it fired on
    sources: Mapping[str | None, int]
    hardest: tuple[str | None, float] | None  # the source of which it fired on the largest share, and that share
    evaluated: int | None  # documents that the step asked it for, by the run's report
    came: int  # documents that came to the stage

    @property
    def share(self) -> float | None:
        """Of what it was asked for, or of what came where that is not known, how much it fired on."""
        of = self.evaluated or self.came
        return self.fired / of if of else None


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `rules`."""
    taken = taken_of(facts)
    limits = {(row["stage"], row["rule"]): row for row in facts.tables["rule_limits"].to_pylist()}
    found = [_table(taken, limits), *_matrices(facts, taken), _closest(facts, taken), *_odd(facts)]
    yield Section(
        key="rules",
        title=Words(en="Which rules decide", zh="哪些规则起决定作用"),
        intro=Words(
            en="A rule fires on a document as the first that it broke or as a further one; it is the sole killer where "
            "no other rule of the step fired. Without a rule that is never alone the step would keep the same "
            "documents; two rules that always fire together do the work of one.",
            zh="规则可以作为首条触发，也可以附带触发；若同一阶段没有其他规则触发，它就是该文档的唯一剔除规则。"
            "从不单独起作用的规则，单独去掉它不会改变该阶段的结果；总是同时触发的两条规则，作用相当于一条。",
        ),
        figures=tuple(_figures(taken, facts)),
        tables=tuple(table for table in found if table.rows),
    )


def taken_of(facts: Facts) -> list[Taken]:
    """Returns the rules that fired, in the order of their stages, most documents first."""
    cube, stages = facts.tables["cube"].to_pylist(), stages_of(facts.run)
    came = {step.stage: step.came + step.made for step in together(passages(cube, "stage").values()).steps(stages)}
    of_source = {
        (source, step.stage): step.came + step.made
        for source, passage in passages(cube, "source").items()
        for step in passage.steps(stages)
    }
    counts = {stage["stage"]: stage["counts"] for stage in facts.run["stages"]}
    rows: dict[tuple[str, str | None], list[Row]] = {}
    for row in facts.tables["rules"].to_pylist():
        rows.setdefault((row["stage"], row["rule"]), []).append(row)
    made = []
    for (stage, rule), its in rows.items():
        sums = {name: sum(row[name] for row in its) for name in ("fired", "first", "sole", "sole_bytes")}
        sources = _fired_by(its, "source")
        shares = {source: sources[source] / of_source.get((source, stage), 1) for source in sources}
        large = {source: share for source, share in shares.items() if of_source.get((source, stage), 0) >= LEAST}
        hardest = min(large, key=lambda source: (-large[source], source or ""), default=None)
        made.append(
            Taken(
                stage,
                rule,
                **sums,
                languages=_fired_by(its, "language"),
                sources=sources,
                hardest=(hardest, large[hardest]) if large else None,
                evaluated=counts.get(stage, {}).get(f"evaluated.{rule}"),
                came=came.get(stage, 0),
            )
        )
    places = {stage: place for place, stage in enumerate(came)}
    made.sort(key=lambda one: (places.get(one.stage, len(places)), -one.fired, one.rule or ""))
    return made


def _fired_by(rows: Sequence[Row], key: str) -> dict[str | None, int]:
    sums: dict[str | None, int] = {}
    for row in rows:
        sums[row[key]] = sums.get(row[key], 0) + row["fired"]
    return sums


def _most(sums: Mapping[str | None, int]) -> tuple[str | None, int]:
    """Returns the group with most, of equals the first by name."""
    name = min(sums, key=lambda group: (-sums[group], group or ""))
    return name, sums[name]


def dropping(facts: Facts) -> set[tuple[str, str | None]]:
    """Returns the (stage, rule) by which documents were dropped in steps that look at all their rules.

    Others stop at the first, so each rule of theirs is alone: they count only where no step looks at all.
    """
    drops = {(row["stage"], row["rule"]) for row in facts.tables["cube"].to_pylist() if row["action"] == "drop"}
    judge = {row["stage"] for row in facts.tables["rule_pairs"].to_pylist()}
    judge |= {stage["stage"] for stage in facts.run["stages"] if any(map(_is_asked, stage["counts"]))}
    return {(stage, rule) for stage, rule in drops if stage in judge} or drops


def _is_asked(counter: str) -> bool:
    return counter.startswith("evaluated.")


def _figures(taken: Sequence[Taken], facts: Facts) -> Iterator[Figure]:
    drops = dropping(facts)
    stages = {stage for stage, _ in drops}
    at = next(iter(stages)) if len(stages) == 1 else None
    killers = [one for one in taken if one.sole and (one.stage, one.rule) in drops]
    killers.sort(key=lambda one: (-one.sole, one.stage, one.rule or ""))
    for place, one in enumerate(killers[:SOLE], 1):
        rank = ("largest", "second largest", "third largest")[place - 1]
        name = f"{shown(one.stage)}: {shown(one.rule)}"
        yield Figure(
            key=f"rules.sole{place}",
            label=Words(en=f"sole killer, {rank}: {name}", zh=f"唯一剔除规则第 {place} 位：{name}"),
            value=one.sole,
            unit="documents",
            command=command("broken=1", stage=one.stage, rule=one.rule),
            note=Words(
                en=f"of {one.fired:,} that it fired on, and {one.first:,} that left by it",
                zh=f"该规则共触发 {one.fired:,} 篇，其中 {one.first:,} 篇以其为首条规则离开",
            ),
        )
    alone = sum(one.sole for one in taken if (one.stage, one.rule) in drops)
    dropped = sum(one.first for one in taken if one.stage in stages)
    names = [str(shown(stage)) for stage in sorted(stages)]
    yield Figure(
        key="rules.alone",
        label=Words(en="of what rules dropped, by a single rule", zh="被规则剔除的文档中仅由一条规则剔除的比例"),
        value=alone / dropped if dropped else None,
        unit="share",
        command=command("broken=1", action="drop", stage=at) if alone else None,
        note=Words(
            en=f"At {', '.join(names)}: other steps do not look at all of their rules.",
            zh=f"仅计 {'、'.join(names)}：其他阶段不逐条检查全部规则。",
        )
        if names
        else None,
    )
    yield Figure(
        key="rules.never_alone",
        label=Words(en="rules that fire, but never alone", zh="会触发但从不单独起作用的规则数"),
        value=sum(1 for one in taken if not one.sole and one.stage in stages),
        unit="number",
    )
    odd = _odd_rules(facts)
    for key, en, zh in (
        (
            "never",
            f"rules that never fire on {SURE:,} documents or more",
            f"在不少于 {SURE:,} 篇文档上从不触发的规则数",
        ),
        ("half", "rules that fire on more than half of the documents", "触发率过半的规则数"),
    ):
        value = sum(1 for row in odd if row[-1] == key)
        yield Figure(key=f"rules.{key}", label=Words(en=en, zh=zh), value=value, unit="number")


def _table(taken: Sequence[Taken], limits: Mapping[tuple[str, str | None], Row]) -> Table:
    lines: list[tuple[tuple[Cell, ...], str | None]] = []
    for one in taken:
        language, of_language = _most(one.languages)
        source, of_source = _most(one.sources)
        borders = limits.get((one.stage, one.rule), {})
        row = (
            shown(one.rule),
            shown(one.stage),
            one.fired,
            one.first,
            one.sole,
            one.share,
            one.sole_bytes,
            shown(language),
            of_language / one.fired,
            shown(source),
            of_source / one.fired,
            *((shown(one.hardest[0]), one.hardest[1]) if one.hardest else (None, None)),
            _range(borders.get("least_limit"), borders.get("greatest_limit")),
            _range(borders.get("least_value"), borders.get("greatest_value")),
        )
        lines.append((row, command(noted=one.rule, stage=one.stage)))
    return Table(
        key="rules.table",
        label=Words(en="Rules", zh="规则"),
        columns=(
            RULE,
            STAGE,
            column("fired", "fired", "触发"),
            column("first", "left by it", "由其剔除（首条）"),
            column("sole", "only by it", "仅由其剔除"),
            column("share", "fired, of what it was asked for", "触发比例", "share"),
            column("sole_bytes", "bytes only by it", "仅由其剔除的字节数", "bytes"),
            column("language", "language with most", "最多的语种", "text"),
            column("of_language", "its share", "该语种占比", "share"),
            column("source", "source with most", "最多的来源", "text"),
            column("of_source", "its share", "该来源占比", "share"),
            column("hardest", "source that it takes most of", "触发比例最高的来源", "text"),
            column("of_hardest", "of what came of it", "占该来源的比例", "share"),
            column("limit", "limit", "阈值", "text"),
            column("values", "values that fired", "触发时的取值", "text"),
        ),
        rows=tuple(row for row, _ in lines[:SHOWN]),
        commands=tuple(its for _, its in lines[:SHOWN]),
        of=len(lines) if len(lines) > SHOWN else None,
        chart=Chart(kind="bar", x="rule", y=("fired", "first", "sole")),
        note=Words(
            en="Commands list the documents that a rule fired on; add broken=1 for those that it alone fired on.",
            zh="命令列出该规则触发的文档；加上 broken=1 则只列出仅由它剔除的文档。",
        ),
    )


def _range(low: float | None, high: float | None) -> str | None:
    """Returns numbers as a word, three digits each: one, or from the least to the greatest."""
    if low is None or high is None:
        return None
    return f"{low:.3g}" if low == high else f"{low:.3g} – {high:.3g}"


def _matrices(facts: Facts, taken: Sequence[Taken]) -> Iterator[Table]:
    """Yields, for each stage of several rules, how many documents two rules fired on together: the largest rules."""
    both = {
        (row["stage"], row["rule"], row["other"]): row["documents"] for row in facts.tables["rule_pairs"].to_pylist()
    }
    for stage in dict.fromkeys(stage for stage, *_ in both):
        every = [one for one in taken if one.stage == stage]
        largest = every[:LARGEST]
        names = [one.rule for one in largest]
        rows: list[tuple[Cell, ...]] = []
        for one in largest:
            for other in names:
                pair = both.get((stage, *sorted((one.rule or "", other or ""))), 0)
                amount = one.fired if one.rule == other else pair
                rows.append((shown(one.rule), shown(other), amount, amount / one.fired))
        yield Table(
            key=f"rules.overlap.{key_of(stage)}",
            label=Words(en=f"Rules that fire together: {shown(stage)}", zh=f"同时触发的规则：{shown(stage)}"),
            columns=(
                column("rule", "of those this rule fired on", "此规则触发的文档中", "text"),
                column("other", "this one fired too", "另一规则同时触发", "text"),
                column("documents", "documents", "文档数"),
                column("share", "share", "比例", "share"),
            ),
            rows=tuple(rows),
            of=len(every) ** 2 if len(every) > LARGEST else None,
            chart=Chart(kind="heat", x="other", y=("share",), rows="rule"),
        )


def _closest(facts: Facts, taken: Sequence[Taken]) -> Table:
    """Returns the pairs of rules that are most like one rule, by the Jaccard similarity of their documents."""
    fired_ = {(one.stage, one.rule): one.fired for one in taken}
    lines: list[tuple[Cell, ...]] = []
    for row in facts.tables["rule_pairs"].to_pylist():
        one, other = (fired_[row["stage"], row[name]] for name in ("rule", "other"))
        alike = row["documents"] / (one + other - row["documents"])
        lines.append(
            (shown(row["rule"]), shown(row["other"]), shown(row["stage"]), row["documents"], one, other, alike)
        )
    lines.sort(key=lambda line: (-float(line[-1] or 0), str(line[2]), str(line[0]), str(line[1])))
    return Table(
        key="rules.pairs",
        label=Words(en="Rules that say the same", zh="效果相近的规则"),
        columns=(
            RULE,
            column("other", "other rule", "另一规则", "text"),
            STAGE,
            column("documents", "documents of both", "同时触发"),
            column("fired", "of the one", "前者触发"),
            column("other_fired", "of the other", "后者触发"),
            column("alike", "both, of either (Jaccard)", "交并比（Jaccard）", "share"),
        ),
        rows=tuple(lines[:LARGEST]),
        of=len(lines) if len(lines) > LARGEST else None,
    )


def _odd_rules(facts: Facts) -> list[tuple[str, str, int, int, str]]:
    """Returns (stage, rule, evaluated, fired, never or half), by the counters of the run's report."""
    found = []
    for stage in facts.run["stages"]:
        for name, evaluated in stage["counts"].items():
            word, _, rule = name.partition(".")
            if word == "evaluated" and evaluated:
                amount = stage["counts"].get(f"fired.{rule}", 0)
                if amount > evaluated / 2:
                    found.append((stage["stage"], rule, evaluated, amount, "half"))
                elif amount == 0 and evaluated >= SURE:
                    found.append((stage["stage"], rule, evaluated, amount, "never"))
    return found


def _odd(facts: Facts) -> Iterator[Table]:
    """Yields the table of rules whose limits may be wrong: they never fire, or fire on more than half."""
    found = _odd_rules(facts)
    yield Table(
        key="rules.odd",
        label=Words(en="Rules that never fire, or on more than half", zh="从不触发或触发过半的规则"),
        columns=(
            RULE,
            STAGE,
            column(
                "fires", "fires", "触发情况", "text", {"never": ("never", "从不"), "half": ("more than half", "过半")}
            ),
            column("evaluated", "documents it was asked for", "评估的文档"),
            column("fired", "fired", "触发"),
        ),
        rows=tuple(
            (shown(rule), shown(stage), how, evaluated, amount) for stage, rule, evaluated, amount, how in found[:SHOWN]
        ),
        commands=tuple(
            command(noted=rule, stage=stage) if amount else None for stage, rule, _, amount, _ in found[:SHOWN]
        ),
        of=len(found) if len(found) > SHOWN else None,
    )
