"""What finished shards hold: documents that stayed and that left, by what they are; each shard is read once.

Of rows just the columns COLUMNS are read, of what left the shard's part of the ledger. Nothing is kept of a shard but
sums. A stage that takes nothing from anybody is not read, but for the last, by which diversity is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from datapipe import LEAVING, Follower, Shard, Status, StepStatus, storage
from stages.audit.groups import tld

AXES: Final = ("source", "language", "script", "format", "tld")
COLUMNS: Final = ("source", "host", "language", "script", "format")
LEDGER_COLUMNS: Final = (*COLUMNS, "action", "rule", "bytes", "file")
REQUESTS: Final = 16  # to a store at once
HOSTS: Final = 200_000  # that are counted by name
STAYED: Final = ""  # what became of a document that stayed; of others action and rule, such as drop.zh_length
MADE: Final = "split"
OTHER: Final = "…"  # a group beyond those that are counted by name
GROUPS: Final = 2000  # of an axis that are counted by name; of hostile data there may be any number


class Place(NamedTuple):
    """Where documents are counted: a stage; what leaves before its last step is counted by itself."""

    stage: str
    last: bool = True


@dataclass(frozen=True)
class Part:
    """A finished shard: documents by labels (of AXES, in order) and what became of them, and those that stayed by host.

    `known` are the axes that its rows have, `ledger` the file that what left stands in.
    """

    place: Place
    documents: Mapping[tuple[tuple[str | None, ...], str], int]
    hosts: Mapping[str, int] = field(default_factory=dict)
    known: frozenset[str] = frozenset(AXES)
    ledger: str = ""


@dataclass
class Diversity:
    """Documents that stayed at a stage by label, for each axis, and by host.

    Beyond HOSTS hosts those with the fewest documents are counted without their names: which come again are taken for
    others, so shares of the largest stay exact and effective numbers are at most too large.
    """

    labels: dict[str, Counter[str]] = field(default_factory=lambda: {axis: Counter() for axis in AXES})
    hosts: Counter[str] = field(default_factory=Counter)
    nameless: Counter[int] = field(default_factory=Counter)  # hosts by their number of documents
    documents: int = 0

    def add(self, part: Part) -> None:
        """Adds a shard."""
        for (labels, how), amount in part.documents.items():
            if how == STAYED:
                self.documents += amount
                for axis, label in zip(AXES, labels, strict=True):
                    if label is not None:
                        _count(self.labels[axis], label, amount)
        self.hosts.update(part.hosts)
        if len(self.hosts) > HOSTS:
            kept = self.hosts.most_common(HOSTS // 2)
            names = {name for name, _ in kept}
            self.nameless.update(amount for name, amount in self.hosts.items() if name not in names)
            self.hosts = Counter(dict(kept))

    def counts(self, axis: str) -> tuple[list[int], list[int]]:
        """Returns documents of groups, and how many groups have each."""
        if axis != "host":
            found = [amount for amount in self.labels[axis].values() if amount]
            return found, [1] * len(found)
        return [*self.hosts.values(), *self.nameless], [*([1] * len(self.hosts)), *self.nameless.values()]

    def largest(self, axis: str, most: int) -> list[str]:
        """Returns the names of the largest groups, equal ones by name."""
        groups = self.hosts if axis == "host" else self.labels[axis]
        return sorted(groups, key=lambda name: (-groups[name], name))[:most]


@dataclass
class Passed:
    """Documents of a group that came to a place, and that stayed."""

    came: int = 0
    stayed: int = 0


class Seen:
    """Sums over the shards that were read, of the stages that take or that are asked for, and of the last."""

    def __init__(self, work: str) -> None:
        self.follower = Follower(work)
        self.diversity: dict[str, Diversity] = {}
        self.groups: dict[Place, dict[str, dict[str, Passed]]] = {}  # by axis and label
        self.shards: Counter[Place] = Counter()  # that were read
        self.rowless: set[str] = set()  # stages that hand documents on as they came, and write none
        self.unread = 0  # shards that are finished and whose rows are gone

    def read(
        self, status: Status, asked: Collection[str], hears: Callable[[Part], None], goes_on: Callable[[], bool]
    ) -> bool:
        """Reads what is new, tells each shard to `hears` before it is added, and returns whether nothing is left.

        `asked` are stages that are read though they take nothing; it stops where `goes_on` says so.
        """
        rowless = None
        while rowless != len(self.rowless):  # of which is the last stage with rows, its first shard says more
            rowless = len(self.rowless)
            if not self._read(steps_read(status, asked, self.rowless), hears, goes_on):
                return False
        return True

    def _read(self, steps: Sequence[StepStatus], hears: Callable[[Part], None], goes_on: Callable[[], bool]) -> bool:
        at_once = REQUESTS if storage.is_remote(self.follower.work) else 1
        with ThreadPoolExecutor(at_once) as pool:
            for step in steps:
                if step.tasks is not None and self.follower.number_read(step.step) >= step.tasks:
                    continue
                place = Place(step.stage, bool(step.flow and step.flow["last"]))
                fresh = self.follower.fresh(step.step)
                while some := list(islice(fresh, at_once)):
                    find = partial(self._part, place=place)
                    for part in pool.map(find, some) if at_once > 1 else map(find, some):
                        if part is not None:
                            hears(part)
                            self._add(part)
                    if not goes_on():
                        return False
        return True

    def _part(self, shard: Shard, place: Place) -> Part | None:
        if "rows" not in shard.outputs:
            self.rowless.add(place.stage)
            return None
        rows = self.follower.rows(shard, COLUMNS)
        if rows is None:
            self.unread += 1
            return None
        part = part_of(rows, self.follower.left(shard, LEDGER_COLUMNS), place)
        made = shard.outputs.get("ledger")
        return replace(part, ledger=storage.join(self.follower.work, made.path)) if made is not None else part

    def _add(self, part: Part) -> None:
        self.shards[part.place] += 1
        if part.place.last:
            self.diversity.setdefault(part.place.stage, Diversity()).add(part)
        groups = self.groups.setdefault(part.place, {axis: {} for axis in AXES})
        for (labels, how), amount in part.documents.items():
            if how == MADE:
                continue
            for axis, label in zip(AXES, labels, strict=True):
                if label is None or axis not in part.known:
                    continue
                of_axis = groups[axis]
                name = label if label in of_axis or len(of_axis) < GROUPS else OTHER
                passed = of_axis.setdefault(name, Passed())
                passed.came += amount
                passed.stayed += amount if how == STAYED else 0


def _count(counted: Counter[str], name: str, amount: int) -> None:
    counted[name if name in counted or len(counted) < GROUPS else OTHER] += amount


def steps_read(status: Status, asked: Collection[str], rowless: Collection[str]) -> list[StepStatus]:
    """Returns the steps whose shards are read: where documents left or were made, those asked for, and the last."""
    last = shown_stage(status, rowless)
    found = []
    for step in status.steps:
        if step.flow is not None and step.done:
            takes = step.flow["dropped"] or step.flow["made"]
            if takes or (step.flow["last"] and (step.stage in asked or step.stage == last)):
                found.append(step)
    return found


def shown_stage(status: Status, rowless: Collection[str]) -> str | None:
    """Returns the latest stage of which half the shards or more are finished, else the first of which any is.

    Those without rows (`rowless`) are passed over.
    """
    parts = [(stage, *done_of(status, stage)) for stage in stages_of(status) if stage not in rowless]
    most = [stage for stage, done, tasks in parts if done and tasks and 2 * done >= tasks]
    return most[-1] if most else next((stage for stage, done, _ in parts if done), None)


def stages_of(status: Status) -> list[str]:
    """Returns the stages that documents pass through, in order, as far as they are known."""
    return list(dict.fromkeys(step.stage for step in status.steps if step.flow is not None))


def done_of(status: Status, stage: str) -> tuple[int, int | None]:
    """Returns the finished shards of the last steps of a stage, and how many there are to be; None while unknown."""
    last = [step for step in status.steps if step.stage == stage and step.flow is not None and step.flow["last"]]
    tasks = [step.tasks for step in last]
    known = [one for one in tasks if one is not None]
    return sum(step.done for step in last), sum(known) if len(known) == len(tasks) else None


def flows_of(status: Status, stage: str) -> list[dict[str, Any]]:  # Any: JSON
    """Returns what the driver said of the documents that went through each step of a stage."""
    return [step.flow for step in status.steps if step.stage == stage and step.flow is not None]


def came_to(flows: Sequence[Mapping[str, Any]], rule: str) -> int:  # Any: JSON
    """Returns how many documents came to where a rule of a stage (with its action) takes them."""
    early = [flow for flow in flows if not flow["last"] and rule in flow["rules"]]
    return sum(flow["documents_in"] + flow["made"] for flow in early or (flow for flow in flows if flow["last"]))


def part_of(rows: pa.Table, ledger: pa.Table, place: Place) -> Part:
    """Returns a shard's sums from label columns of its rows and of what it wrote to the ledger."""
    action = ledger.column("action")
    gone = ledger.filter(pc.is_in(action, pa.array([*LEAVING, MADE])))
    unknown = pc.and_(pc.is_null(gone.column("bytes")), pc.is_null(gone.column("file")))
    unread = pc.and_(pc.equal(gone.column("action"), "quarantine"), unknown)
    gone = gone.filter(pc.invert(unread))  # files, and pieces of them: no documents
    whole = pc.equal(gone.column("action"), MADE)
    joined = pc.binary_join_element_wise(gone.column("action"), pc.fill_null(gone.column("rule"), ""), ".")
    stayed = pa.repeat(pa.scalar(STAYED), rows.num_rows)
    sums: Counter[tuple[tuple[str | None, ...], str]] = Counter()
    for table, how in ((rows, stayed), (gone, pc.if_else(whole, MADE, joined))):
        sums.update(dict(_sums(table, how)))
    known = frozenset(axis for axis in AXES if ("host" if axis == "tld" else axis) in rows.column_names)
    hosts = rows.column("host").drop_null().value_counts() if "host" in rows.column_names else pa.array([])
    named = {one["values"]: one["counts"] for one in hosts.to_pylist()}
    return Part(place, sums, named, known)


def _sums(table: pa.Table, how: pa.Array | pa.ChunkedArray) -> Iterator[tuple[tuple[tuple[str | None, ...], str], int]]:
    columns = {axis: _labels(table, axis) for axis in AXES}
    made = pa.table({**columns, "how": how}).group_by([*AXES, "how"], use_threads=False).aggregate([([], "count_all")])
    for row in made.to_pylist():
        yield (tuple(row[axis] for axis in AXES), row["how"]), row["count_all"]


def _labels(table: pa.Table, axis: str) -> pa.ChunkedArray:
    name = "host" if axis == "tld" else axis
    if name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, pa.string())])
    column = table.column(name).cast(pa.string())
    return tld(column) if axis == "tld" else column
