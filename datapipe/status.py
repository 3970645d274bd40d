"""How far a run is, from any machine that sees its folders: what its driver said last, and which shards are finished.

Nothing of a cluster is asked, so this works while one is down, and after.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from datapipe import storage
from datapipe.clean import work_of
from datapipe.driver import driver_path, is_alive, read_driver
from datapipe.environment import iso
from datapipe.errors import ConfigError
from datapipe.publish import REPORT, Place
from datapipe.records import number_of


@dataclass(frozen=True)
class StepStatus:
    """A step of a run: how many of its tasks are done; `tasks` is None while data decide that.

    `flow` is what `datapipe.driver.Flow` says of the documents that passed through it, as its driver said it last; None
    where none do, or where an earlier datapipe ran.
    """

    step: str
    stage: str
    tasks: int | None
    done: int
    running: bool
    flow: dict[str, Any] | None = None  # Any: JSON


@dataclass(frozen=True)
class Status:
    """A run as it stands.

    `state` is running, finished, interrupted, failed, dead (its driver fell silent), or unknown (no driver has said
    anything). `left_seconds` is of the wave. Moments in `driver` are seconds since 1970.
    """

    out: str
    work: str
    state: str
    corpus: bool
    message: str = ""
    driver: dict[str, Any] = field(default_factory=dict)  # Any: JSON
    steps: tuple[StepStatus, ...] = ()
    documents_per_second: float | None = None
    left_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Returns it as plain data."""
        return asdict(self)


def status(out: str, work: str | None = None) -> Status:
    """Returns how far the run into `out` is. `work` is its work folder, that of the last run unless given.

    Raises:
        ConfigError: no run has been there.
    """
    folder = storage.absolute(out)
    cache = storage.absolute(work) if work is not None else work_of(folder)
    corpus = Place(folder, cache).has_corpus
    said = read_driver(driver_path(cache, folder)) or _only(cache, folder)
    if said is None:
        steps = tuple(_listed(cache))
        if not steps and not corpus and not storage.exists(storage.join(folder, REPORT)):
            raise ConfigError(f"{out}: no run has been here; give the --out of one, and its --work if it had one")
        return Status(folder, cache, "finished" if corpus else "unknown", corpus, steps=steps)
    alive = is_alive(said)
    state = "dead" if said["status"] == "running" and not alive else said["status"]
    known = tuple(_step(cache, key, step, said, fresh=alive) for key, step in said["steps"].items())
    steps = known or tuple(_listed(cache))
    rate, left = _pace(said) if alive else (None, None)
    return Status(folder, cache, state, corpus, said["message"], said, steps, rate, left)


def _only(work: str, out: str) -> dict[str, Any] | None:  # Any: JSON
    """Returns what the one driver said whose work folder lies in `out`, where another machine calls that otherwise."""
    paths = storage.list_folder(storage.join(work, "drivers")) if work == storage.join(out, "work") else []
    return read_driver(paths[0]) if len(paths) == 1 else None


def _step(work: str, key: str, step: dict[str, Any], said: dict[str, Any], *, fresh: bool) -> StepStatus:
    """Returns a step; where its driver no longer speaks, what is finished is counted."""
    done = step["done"]
    if not fresh and step["tasks"] != done:
        done = _done(work, key)
    running = fresh and key in said["wave"].get("steps", ())
    return StepStatus(key, step["stage"], step["tasks"], done, running, step.get("flow"))


def _listed(work: str) -> Iterator[StepStatus]:
    """Yields the steps that have finished shards in a work folder, whoever made them."""
    for folder in storage.list_folders(work):
        key = folder.rstrip("/").rpartition("/")[2]
        if done := _done(work, key):
            yield StepStatus(key, key.rpartition("-")[0], None, done, running=False)


def _done(work: str, step: str) -> int:
    return sum(number_of(path) is not None for path in storage.list_folder(storage.join(work, step, "done")))


def _pace(said: dict[str, Any]) -> tuple[float | None, float | None]:
    """Returns documents a second, and the seconds that are left of the wave, as far as that can be said."""
    wave = said["wave"]
    if not wave:
        return None, None
    seconds = max(1e-3, said["updated"] - wave["started"])
    whole, done = (wave["bytes"], wave["bytes_done"]) if wave["bytes"] else (wave["tasks"], wave["done"])
    left = (whole - done) * seconds / done if done else None
    return (wave["documents"] / seconds if wave["documents"] else None), left


def status_lines(found: Status) -> Iterator[str]:
    """Yields the lines that show a run as it stands."""
    said = found.driver
    now = time.time()
    if said:
        where = f"{said['executor']} executor, driver on {said['host']} (process {said['pid']})"
        yield f"{found.state}: {where}, started {iso(said['started'])}, heard of {_span(now - said['updated'])} ago"
    else:
        yield f"{found.state}: no driver says more; what is finished was counted"
    if found.state == "dead":
        yield "  its driver fell silent: look whether it is there, and if not run the same command again"
    if found.message:
        yield f"  {found.message}"
    if said and said["wave"]:
        wave = said["wave"]
        left = f", about {_span(found.left_seconds)} left of it" if found.left_seconds is not None else ""
        yield f"wave {wave['number']}: {wave['done']:,} of {wave['tasks']:,} tasks{left}"
    for step in found.steps:
        tasks = f"{step.tasks:,}" if step.tasks is not None else "unknown"
        yield f"  {step.step:<34} {step.done:>9,} of {tasks:<9}{' now' if step.running else ''}".rstrip()
    if said:
        rate = f", {found.documents_per_second:,.0f} documents/s" if found.documents_per_second else ""
        yield f"read {said['rows_read']:,} rows, {said['bytes_read'] / 1e6:,.1f} MB{rate}"
        yield "dropped: " + (", ".join(f"{stage} {n:,}" for stage, n in said["dropped"].items() if n) or "none")
        yield f"set aside: {said['set_aside']:,}"
        yield f"failed attempts and warnings: {said['failures']:,}"
        yield from (f"  {iso(one['time'])} {one['message']}" for one in said["last_failures"])
    yield f"corpus: {'finished' if found.corpus else 'not finished'}"


def _span(seconds: float) -> str:
    """Returns a length of time as people say it.

    >>> [_span(seconds) for seconds in (3, 90, 7000, 200_000)]
    ['3 s', '1 min 30 s', '1 h 56 min', '2 d 7 h']
    """
    seconds = max(0, round(seconds))
    for unit, larger, smaller, length in (("d", 86400, 3600, "h"), ("h", 3600, 60, "min"), ("min", 60, 1, "s")):
        if seconds >= larger:
            rest = seconds % larger // smaller
            return f"{seconds // larger} {unit}" + (f" {rest} {length}" if rest else "")
    return f"{seconds} s"
