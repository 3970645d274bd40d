"""What is shown of a run that goes on: its state, what is wrong, the funnel, rules, diversity and groups, as lines."""

from __future__ import annotations

import math
import platform
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich.cells import cell_len

from datapipe import Status, status_lines
from stages.audit.ask import DIR
from stages.audit.gates import Gate
from stages.audit.hostile import harmless
from stages.audit.measures import hill, wilson
from stages.audit.watch.held import Reading
from stages.audit.watch.seen import AXES, MADE, Seen, came_to, done_of, flows_of, shown_stage, stages_of

RULES: Final = 10  # that are shown, those that take most
GROUPS: Final = 5  # of an axis
WARNED: Final = 6  # shares that have left their bands, of which more than the name is said
NEAR: Final = 5  # shares outside of their bands of which too little was seen
UNKNOWN: Final = 8  # names that the earlier run did not have, of a kind
_ELSEWHERE: Final = ("  ", "read ", "dropped: ", "corpus: ")  # beginnings of lines of a status that are said otherwise
SHOW: Final = f"datapipe show {DIR}"
LONG: Final = 40  # characters of a name
DIVERSE: Final = ("source", "language", "script", "format", "host")
NO_SAMPLE: Final = (
    "shards that are finished are whole files, not a sample of what is to come: shares are held against those of the "
    "same source, and only shards that agree, one after another, raise a warning"
)


@dataclass(frozen=True)
class View:
    """All that is shown at one look."""

    status: Status
    seen: Seen
    behind: bool = False  # whether finished shards are still to be read
    readings: tuple[Reading, ...] = ()
    unknown: dict[str, tuple[str, ...]] = field(default_factory=dict)
    others: tuple[tuple[Gate, str], ...] = ()
    against: str = ""  # the folder of the earlier run

    @property
    def left(self) -> list[Reading]:
        """The shares that have left their bands: gates and rules, then groups, the clearest first."""
        return sorted((one for one in self.readings if one.left), key=_order)

    @property
    def near(self) -> list[Reading]:
        """Those that lie outside, though it is too early to say so."""
        found = [one for one in self.readings if one.side != "within" and not one.left]
        return sorted(found, key=_order)

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Returns it as plain data."""
        stage = shown_stage(self.status, self.seen.rowless)
        return {
            "status": self.status.to_json(),
            "behind": self.behind,
            "stages": list(_stages(self.status)),
            "rules": list(_rules(self.status)),
            "diversity": {"stage": stage, "axes": dict(_diversity(self.seen, stage))},
            "groups": list(_groups(self.seen, stages_of(self.status))),
            "readings": [one.to_json() for one in self.readings],
            "left": [one.name for one in self.left],
            "unknown": {kind: list(names) for kind, names in self.unknown.items()},
            "not_watched": [{"gate": str(gate), "why": why} for gate, why in self.others],
        }


def _order(one: Reading) -> tuple[bool, float, str]:
    return one.name.startswith("loss."), -one.evidence, one.name


def _shown(text: str) -> str:
    return harmless(text, LONG)


def lines(view: View) -> Iterator[str]:
    """Yields the lines that show a run; those of warnings begin with a !."""
    yield from _state(view.status)
    yield from _warnings(view)
    yield from _funnel(view)
    yield from _rule_lines(view.status)
    yield from _diversity_lines(view)
    yield from _group_lines(view)
    yield from _notes(view)


def _state(status: Status) -> Iterator[str]:
    rate = f", {status.documents_per_second:,.0f} documents/s" if status.documents_per_second else ""
    for line in status_lines(status):
        if line.startswith("wave "):
            yield line + rate
        elif line.startswith("  its driver") or not (line.startswith(_ELSEWHERE) or line.endswith(": 0")):
            yield line
    if status.message:
        yield f"  {harmless(status.message)}"


def _warnings(view: View) -> Iterator[str]:
    if not view.left:
        return
    yield ""
    for one in view.left[:WARNED]:
        where = "not told" if math.isnan(one.seen.value) else f"{one.side} its band"
        yield f"! {_shown(one.name)}: {where}. {_sentence(one)}"
        if one.why:
            yield f"    {harmless(one.why)}"
        yield f"    look: {_look(view, one)}"
    if len(view.left) > WARNED:
        names = ", ".join(_shown(one.name) for one in view.left[WARNED:])
        yield f"! and {len(view.left) - WARNED} more: {harmless(names)}"
    if view.status.state == "running":
        yield f"  to stop the run: {how_to_stop(view.status)}"


def _sentence(one: Reading) -> str:
    if math.isnan(one.seen.value):
        return harmless(one.what, 4 * LONG)
    seen = f"{_percent(one.seen.value)} ({_percent(one.seen.low)} to {_percent(one.seen.high)})"
    if one.seen.value > 1:
        seen = f"{one.seen.value:,.2f} ({one.seen.low:,.2f} to {one.seen.high:,.2f})"
    of = f"{one.documents:,} documents in {one.shards:,} shard{'' if one.shards == 1 else 's'}"
    evidence = f"evidence 10^{one.evidence:.1f}, an alarm from 10^{one.needed:.1f}"
    expected = f"expected {_percent(one.low)} to {_percent(one.high)}"
    return f"{harmless(one.what, 2 * LONG)}: {seen} of {of}, {expected}; {'all was seen' if one.ended else evidence}"


def _look(view: View, one: Reading) -> str:
    """Returns the command that shows documents: of what has ended, or of the file that they lie in."""
    folder = shlex.quote(view.status.out)
    if view.status.corpus and view.status.state == "finished":
        ours = one.command is not None and one.command.startswith(SHOW)
        return (
            f"{SHOW.removesuffix(DIR)}{folder}{str(one.command)[len(SHOW) :]}" if ours else f"datapipe report {folder}"
        )
    return f"datapipe show {shlex.quote(one.example)}" if one.example else f"datapipe status {folder}"


def how_to_stop(status: Status) -> str:
    """Returns what stops a run so that it can be gone on with."""
    said = status.driver
    where = "" if said["host"] == platform.node() else f" on {_shown(said['host'])}"
    return (
        f"kill -INT {said['pid']}{where} (or Ctrl-C there; of a Ray job: ray job stop). It ends with status 75, what "
        "is finished stays, and the same command, or one with another limit, makes only what is not made"
    )


# The funnel


def _stages(status: Status) -> Iterator[dict[str, Any]]:  # Any: JSON
    for stage in stages_of(status):
        flows = flows_of(status, stage)
        done, tasks = done_of(status, stage)
        came, out = (
            sum(flow[name] for flow in flows if flow[end])
            for name, end in (("documents_in", "first"), ("documents_out", "last"))
        )
        made, dropped = (sum(flow[name] for flow in flows) for name in ("made", "dropped"))
        yield {
            "stage": stage,
            "shards": done,
            "of": tasks,
            "documents_in": came,
            "made": made,
            "dropped": dropped,
            "documents_out": out,
            "dropped_share": dropped / (out + dropped) if out + dropped else None,
        }


def _funnel(view: View) -> Iterator[str]:
    rows = [
        (
            _shown(one["stage"]),
            f"{one['shards']:,} of {one['of']:,}" if one["of"] is not None else f"{one['shards']:,}",
            f"{one['documents_in']:,}",
            f"{one['made']:,}",
            f"{one['dropped']:,}",
            f"{one['documents_out']:,}",
            _percent(one["dropped_share"]),
        )
        for one in _stages(view.status)
    ]
    if rows:
        yield ""
        yield from aligned([("stage", "shards", "in", "made", "dropped", "out", "dropped"), *rows])
    elif view.status.steps:
        yield ""
        yield "its driver says nothing of documents yet, or is of an earlier datapipe; by step:"
        for step in view.status.steps:
            tasks = f"{step.tasks:,}" if step.tasks is not None else "unknown"
            yield f"  {_shown(step.step)}: {step.done:,} of {tasks}"


def _rules(status: Status) -> Iterator[dict[str, Any]]:  # Any: JSON
    found = []
    for stage in stages_of(status):
        flows = flows_of(status, stage)
        taken: Counter[str] = Counter()
        for flow in flows:
            taken.update(flow["rules"])
        found += [
            (stage, name, n, came_to(flows, name)) for name, n in taken.items() if n and not name.startswith(f"{MADE}.")
        ]
    for stage, name, amount, came in sorted(found, key=lambda one: (-one[2], one[:2])):
        action, _, rule = name.partition(".")
        share = wilson(amount, came)
        yield {"stage": stage, "action": action, "rule": rule, "documents": amount, "of": came, **share._asdict()}


def _rule_lines(status: Status) -> Iterator[str]:
    found = list(_rules(status))
    if not found:
        return
    rows = [
        (
            _shown(one["stage"]),
            _shown(one["rule"]),
            f"{one['documents']:,}",
            _percent(one["value"]),
            f"({_percent(one['low'])} to {_percent(one['high'])})",
        )
        for one in found[:RULES]
    ]
    more = f", the first {RULES} of {len(found)}" if len(found) > RULES else ""
    yield ""
    yield f"taken by rule so far, of what came to its stage{more}"
    yield from aligned(rows, words=2)


# Diversity and groups


def _diversity(seen: Seen, stage: str | None) -> Iterator[tuple[str, dict[str, Any]]]:  # Any: JSON
    found = seen.diversity.get(stage or "")
    for axis in DIVERSE if found is not None else ():
        assert found is not None
        groups = found.hosts if axis == "host" else found.labels[axis]
        whole = sum(groups.values()) + sum(size * n for size, n in (found.nameless.items() if axis == "host" else ()))
        counts, times = found.counts(axis)
        if whole:
            yield (
                axis,
                {
                    "documents": whole,
                    "groups": sum(times),
                    "effective": hill(counts, 1, times),
                    "largest": {name: groups[name] / whole for name in found.largest(axis, GROUPS)},
                },
            )


def _diversity_lines(view: View) -> Iterator[str]:
    stage = shown_stage(view.status, view.seen.rowless)
    found = dict(_diversity(view.seen, stage))
    if not found or stage is None:
        return
    done, tasks = done_of(view.status, stage)
    documents = view.seen.diversity[stage].documents
    of = f"{done:,} of {tasks:,} shards" if tasks is not None else f"{done:,} shards"
    yield ""
    yield f"diversity so far, at {_shown(stage)}: {documents:,} documents, {of}"
    rows = [
        (
            axis,
            f"{one['effective']:,.1f} of {one['groups']:,}",
            ", ".join(f"{_shown(name)} {_percent(share)}" for name, share in one["largest"].items()),
        )
        for axis, one in found.items()
    ]
    yield from aligned([("", "effective", "largest"), *rows], words=1, last=True)


def _groups(seen: Seen, stages: Sequence[str]) -> Iterator[dict[str, Any]]:  # Any: JSON
    places = [place for stage in stages for place in seen.groups if place.stage == stage]
    for axis in AXES:
        sizes: dict[str, int] = {}
        for place in places:
            for label, passed in seen.groups[place][axis].items():
                sizes[label] = max(sizes.get(label, 0), passed.came)
        for label in sorted(sizes, key=lambda one: (-sizes[one], one)):
            share, at = 1.0, dict[str, float]()
            for place in places:
                passed_here = seen.groups[place][axis].get(label)
                if passed_here is not None and passed_here.came:
                    stays = passed_here.stayed / passed_here.came
                    at[place.stage] = at.get(place.stage, 1.0) * stays
                    share *= stays
            yield {"axis": axis, "group": label, "documents": sizes[label], "survives": share, "stages": at}


def _group_lines(view: View) -> Iterator[str]:
    takes = {one["stage"] for one in _stages(view.status) if one["dropped"]}
    read = {place.stage for place in view.seen.groups}
    stages = [stage for stage in stages_of(view.status) if stage in takes & read]
    shown: dict[str, int] = {}
    rows = []
    for one in _groups(view.seen, stages):
        shown[one["axis"]] = shown.get(one["axis"], 0) + 1
        if shown[one["axis"]] <= GROUPS:
            at = (_percent(one["stages"].get(stage)) for stage in stages)
            rows.append((one["axis"], _shown(one["group"]), f"{one['documents']:,}", *at, _percent(one["survives"])))
    if rows:
        yield ""
        yield "what stages leave of groups so far"
        yield from aligned([("", "", "documents", *map(_shown, stages), "together"), *rows], words=2)


def _notes(view: View) -> Iterator[str]:
    yield ""
    if view.near:
        yield f"outside of their bands, too early to say ({len(view.near)}):"
        yield from (f"  {_shown(one.name)}: {_sentence(one)}" for one in view.near[:NEAR])
    for kind, names in view.unknown.items():
        more = f" and {len(names) - UNKNOWN} more" if len(names) > UNKNOWN else ""
        yield f"not in the earlier run: {kind} {', '.join(map(_shown, names[:UNKNOWN]))}{more}"
    yield from (f"not watched: {harmless(str(gate))}: {harmless(why)}" for gate, why in view.others)
    if view.readings and not view.left:
        against = f" against {harmless(view.against)}" if view.against else ""
        held = "1 share is" if len(view.readings) == 1 else f"{len(view.readings):,} shares are"
        yield f"{held} held{against}; none has left its band"
    if view.readings and view.status.state == "running":
        yield NO_SAMPLE
    if view.behind:
        yield "finished shards are still being read"
    if view.seen.unread:
        yield f"of {view.seen.unread:,} finished shards the rows are gone (gc, or --keep none): groups are without them"


def aligned(rows: Sequence[Sequence[str]], *, words: int = 1, last: bool = False) -> Iterator[str]:
    """Yields rows in columns, the first `words` (and with `last` the last) to the left, others to the right."""
    widths = [max(cell_len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            room = " " * (width - cell_len(cell))
            left = place < words or (last and place == len(row) - 1)
            cells.append(cell + room if left else room + cell)
        yield ("  " + "  ".join(cells)).rstrip()


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
