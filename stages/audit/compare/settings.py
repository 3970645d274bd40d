"""What two runs had otherwise: by their recipes, or, of runs of an earlier datapipe, by what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from datapipe.differences import differences
from datapipe.recipe import read_recipe
from stages.audit.compare.counted import Counted
from stages.audit.compare.model import Setting
from stages.audit.frame import KEPT
from stages.audit.hostile import harmless

UNSAID: Final = frozenset({"remaking.order", "remaking.root"})  # what a corpus is, and not how it was made
LETTERS: Final = 200  # of a value


def settings(a: Counted, b: Counted) -> tuple[list[Setting], bool]:
    """Returns what differs, what is surest to make other rows first, and whether both runs left a recipe."""
    recipes = read_recipe(a.folder), read_recipe(b.folder)
    if recipes[0] is None or recipes[1] is None:
        return list(_of_reports(a, b)), False
    return [setting(one.kind, one.name, one.a, one.b) for one in differences(recipes[0], recipes[1])], True


def setting(kind: str, name: str, a: object, b: object) -> Setting:
    """Returns what differs, harmless and no longer than a line."""
    said = [None if value is None else harmless(str(value), LETTERS) for value in (a, b)]
    return Setting(kind=kind, name=harmless(name, LETTERS), a=said[0], b=said[1])


# Of runs without a recipe


def _of_reports(a: Counted, b: Counted) -> Iterator[Setting]:
    """Yields what reports, manifests and counted tables tell of how two runs differ."""
    yield from _differing("code", {"datapipe": a.run.code_version}, {"datapipe": b.run.code_version})
    yield from _differing("config", {"name": a.run.name}, {"name": b.run.name})
    yield from _differing("config", {"sample": a.run.sample}, {"sample": b.run.sample})
    yield from _differing("input", _came(a), _came(b))
    yield from _differing("step", _steps(a), _steps(b))
    yield from _differing("limit", _limits(a), _limits(b))
    yield from _differing("corpus", _remaking(a), _remaking(b))


def _differing(kind: str, a: Mapping[str, object], b: Mapping[str, object]) -> Iterator[Setting]:
    for name in dict.fromkeys([*a, *b]):
        if a.get(name) != b.get(name):
            yield setting(kind, name, a.get(name), b.get(name))


def _came(side: Counted) -> dict[str, object]:
    """Returns how many documents came from each source."""
    sums: dict[str, int] = {}
    for row in side.table("cube"):
        if row["action"] not in ("split", "unread"):
            name = row["source"] or "none"
            sums[name] = sums.get(name, 0) + row["documents"]
        elif row["action"] == "split":  # what a stage made of a document came as one
            name = row["source"] or "none"
            sums[name] = sums.get(name, 0) - row["documents"]
    return {name: f"{amount:,} documents" for name, amount in sums.items()}


def _steps(side: Counted) -> dict[str, object]:
    return {stage.stage: f"step {number}" for number, stage in enumerate(side.run.stages, 1)}


def _limits(side: Counted) -> dict[str, object]:
    """Returns the limits of rules, as documents that they took tell them."""
    return {
        f"{row['stage']}.{row['rule']}": _range(row["least_limit"], row["greatest_limit"])
        for row in side.table("rule_limits")
        if row["stage"] != KEPT
    }


def _range(low: Any, high: Any) -> str | None:
    if low is None:
        return None
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _remaking(side: Counted) -> dict[str, object]:
    figures = (one for section in side.audit.sections for one in section.figures)
    return {
        one.key.removeprefix("remaking."): one.value
        for one in figures
        if one.key.startswith("remaking.") and one.key not in UNSAID
    }
