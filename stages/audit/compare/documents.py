"""What the pipeline of documents found, as a comparison shows it: counts, causes with examples, and pairs by group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from stages.audit.ask import DIR, show_command
from stages.audit.compare.axes import Shared, paired
from stages.audit.compare.causes import ONLY, REMOVED_BY
from stages.audit.compare.changes import Changes
from stages.audit.compare.matching import ALONE
from stages.audit.compare.model import Cause, Documents, Example, Survived
from stages.audit.compare.side import SIDES
from stages.audit.compare.told import KIND, cause, sentence
from stages.audit.gates import CHANGE, Measured
from stages.audit.hostile import harmless
from stages.audit.measures import wilson
from stages.audit.model import Words
from stages.audit.weights import shown

BOTH: Final = ("same", "fields", "text")  # kinds: kept in both
CHANGED: Final = ("fields", "text")
ORDER: Final = ("only_a", "only_b", "text", "fields", "gone_otherwise", "gone_a", "gone_b")  # kinds that are told
GROUPED: Final = ("source", "language")  # what pairs are told by
RELABELLED: Final = {"host": "url", "domain": "url"}  # axes that follow from a field of another name
SHOWN: Final = 5  # examples of a cause
LETTERS: Final = 80  # of a name

Row = Mapping[str, Any]  # Any: Arrow's Python values


def documents_of(changes: Changes, most: int = SHOWN) -> Documents:
    """Returns how many documents differ and why, with `most` examples of each cause."""
    rows = changes.counts.to_pylist()
    kinds = _sums(rows, "kind")
    return Documents(
        same=kinds.get("same", 0),
        only_a=kinds.get("only_a", 0),
        only_b=kinds.get("only_b", 0),
        changed=sum(kinds.get(kind, 0) for kind in CHANGED),
        text=kinds.get("text", 0),
        causes=tuple(_causes(rows, changes.first.to_pylist(), most)),
        fields={row["field"]: row["documents"] for row in changes.fields.to_pylist()},
    )


def _sums(rows: Iterable[Row], key: str) -> dict[Any, int]:
    sums: dict[Any, int] = {}
    for row in rows:
        sums[row[key]] = sums.get(row[key], 0) + row["documents"]
    return sums


def _causes(rows: Iterable[Row], first: Iterable[Row], most: int) -> Iterator[Cause]:
    sums: dict[tuple[str, str, str | None, str | None], list[int]] = {}
    for row in rows:
        if row["kind"] in ORDER:
            held = sums.setdefault((row["kind"], row["cause"], row["stage"], row["rule"]), [0, 0, 0])
            for place, name in enumerate(("documents", "tokens_a", "tokens_b")):
                held[place] += row[name]
    drawn: dict[tuple[str, str, str | None, str | None], list[Row]] = {}
    for row in first:
        drawn.setdefault((row["kind"], row["cause"], row["stage"], row["rule"]), []).append(row)
    order = {kind: place for place, kind in enumerate(ORDER)}
    for case in sorted(sums, key=lambda one: (order[one[0]], -sums[one][0], *(word or "" for word in one[1:]))):
        kind, code, stage, rule = case
        documents, tokens_a, tokens_b = sums[case]
        examples = drawn.get(case, [])
        yield Cause(
            kind=kind,
            cause=code,
            stage=_word(stage),
            rule=_word(rule),
            documents=documents,
            tokens_a=tokens_a,
            tokens_b=tokens_b,
            says=_said(case, examples),
            command=_command(case, examples),
            examples=tuple(map(_example, examples[:most])),
        )


def _word(word: str | None) -> str | None:
    """Returns a name of a step or rule, which its author chose, as it may be shown."""
    return None if word is None else harmless(word, LETTERS)


def _said(case: tuple[str, str, str | None, str | None], examples: Iterable[Row]) -> Words:
    """Returns what became of the documents of a case, and by what; where limits moved alike, from where to where."""
    kind, code, stage, rule = case
    held = list(examples)
    moved = {row["moved"] for row in held}
    steps = max((row["steps"] or 0 for row in held), default=0) if all(row["steps"] for row in held) else 0
    row = {"cause": code, "stage": stage, "rule": rule, "moved": None, "steps": steps}
    if len(moved) == 1:
        row["moved"] = moved.pop()
    what, why = KIND[kind], cause(row)
    return _harmless(Words(en=f"{what.en}: {why.en}", zh=f"{what.zh}：{why.zh}"))


def _command(case: tuple[str, str, str | None, str | None], examples: list[Row]) -> str | None:
    """Returns what lists more of a case: those that a rule took in the other corpus, or else the way of one of them."""
    kind, _, stage, rule = case
    side = {"only_a": "B", "only_b": "A", "gone_a": "A", "gone_b": "B"}.get(kind, "B")
    own = not examples or examples[0]["via"] is None
    plain = all(word == _word(word) for word in (stage, rule))  # or the command would name another
    if stage and rule and own and plain and kind in ("only_a", "only_b"):
        return show_command(stage=stage, rule=rule).replace(DIR, side, 1)
    for row in examples:
        for name in (side.lower(), "a", "b"):
            if row[f"id_{name}"] is not None:
                return f"datapipe explain {name.upper()} {row[f'id_{name}'].hex()}"
    return None


def _example(row: Row) -> Example:
    own = row["id_a"] if row["id_a"] is not None else row["id_b"]
    source, language, url = (shown(row[name]) for name in ("source", "language", "url"))
    return Example(
        id="" if own is None else own.hex(),
        source=None if source is None else str(source),
        language=None if language is None else str(language),
        url=None if url is None else str(url),
        why=_harmless(sentence(row)),
    )


def _harmless(words: Words) -> Words:
    return Words(en=harmless(words.en, 300), zh=harmless(words.zh, 300))


# What both have


def shared_of(changes: Changes) -> Shared:
    """Returns how many documents both corpora hold, and how many of those have another label."""
    kinds = _sums(changes.counts.to_pylist(), "kind")
    fields = {row["field"]: row["documents"] for row in changes.fields.to_pylist()}
    names = ("source", "language", "script", "format", *RELABELLED)
    relabelled = {name: fields.get(RELABELLED.get(name, name), 0) for name in names}
    return Shared(sum(kinds.get(kind, 0) for kind in BOTH), kinds.get("only_a", 0), kinds.get("only_b", 0), relabelled)


def survived(changes: Changes) -> Iterator[Survived]:
    """Yields what was kept of the documents that both runs were given, by source and by language, the largest first.

    Nothing where one of them does not say what left it: then it cannot be told what it was given.
    """
    if any("ledger" in changes.about[side]["lacks"] for side in SIDES):
        return
    rows = [row for row in changes.counts.to_pylist() if _of_both(row)]
    for axis in GROUPED:
        groups: dict[str | None, list[int]] = {}
        for row in rows:
            held = groups.setdefault(row[axis], [0, 0, 0, 0])
            held[_place(row["kind"])] += row["documents"]
        for group in sorted(groups, key=lambda one: (-sum(groups[one]), one or "")):
            yield pair(axis, group, *groups[group])


def _of_both(row: Row) -> bool:
    """Returns whether both runs were given a document: it is in both, or a rebuild took it out of one, ids and all."""
    return row["matched"] != ALONE or (row["cause"] == REMOVED_BY and row["kind"] in ONLY)


def _place(kind: str) -> int:
    if kind in BOTH:
        return 0
    return {"only_a": 1, "only_b": 2}.get(kind, 3)


def pair(axis: str, group: str | None, both: int, only_a: int, only_b: int, neither: int) -> Survived:
    """Returns what A and B kept of the same documents, with Newcombe's interval of paired shares.

    Source: Newcombe 1998, Statistics in Medicine 17, 2635, method 10.

    >>> made = pair("source", "web", 36, 2, 12, 0)
    >>> round(made.low, 4), round(made.high, 4)
    (0.0569, 0.3404)
    """
    came = both + only_a + only_b + neither
    product = both * neither - only_a * only_b
    if product > 0:
        product = max(0, product - came / 2)  # type: ignore[assignment] # halves
    sides = math.sqrt((both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither))
    correlation = product / sides if sides else 0.0
    a, b = wilson(both + only_a, came), wilson(both + only_b, came)
    change, low, high = paired(a, b, correlation)
    same = not only_a and not only_b
    return Survived(
        axis=axis,
        group=None if group is None else str(shown(group)),
        came=came,
        both=both,
        only_a=only_a,
        only_b=only_b,
        a=a.value,
        b=b.value,
        change=change,
        low=low,
        high=high,
        says="same" if same else "within" if low <= 0 <= high else "beyond",
    )


# For gates


def measured(
    documents: Documents, pairs: Iterable[Survived], rules: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, Measured]]:
    """Yields `diff.only_a` and its like, `diff.only_a.STAGE.RULE`, and `change.kept.GROUP` of the same documents.

    `rules` are those that either run had: of one that parts no documents, there are none.
    """
    for name in ("same", "only_a", "only_b", "changed", "text"):
        yield f"diff.{name}", Measured(getattr(documents, name))
    yield "diff.labels", Measured(documents.changed - documents.text)
    named = [".".join(map(str, map(_word, rule))) for rule in rules]
    causes: dict[str, int] = {f"diff.{kind}.{name}": 0 for kind in ("only_a", "only_b") for name in named}
    for one in documents.causes:
        place = [word for word in (one.stage, one.rule) if word] or [one.cause]
        key = ".".join(["diff", one.kind, *place])
        causes[key] = causes.get(key, 0) + one.documents
    yield from ((key, Measured(amount)) for key, amount in causes.items())
    for two in pairs:
        yield f"kept.{two.axis}.{two.group or 'none'}", Measured(two.b)
        yield CHANGE + f"kept.{two.axis}.{two.group or 'none'}", Measured(two.change, two.low, two.high)
