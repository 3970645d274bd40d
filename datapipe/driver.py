"""What a run says of itself to others while it goes on: who works on an output folder, since when, and how far.

It lies in `work/drivers/<digest of the output folder>.json` and is written when the run or a wave starts, every 10
seconds, and when it ends. Nothing depends on it: two drivers at once make the same files, and a store that does not
take the file is no reason to fail.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import signal
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from datapipe import storage
from datapipe.environment import iso
from datapipe.errors import DatapipeError, Interrupted
from datapipe.logs import redact
from datapipe.plan import Planner, Wave
from datapipe.report import place_of, trunk_of
from datapipe.shard import Passed
from datapipe.task import Outcome, Task
from datapipe.work import LEAVING

log = logging.getLogger(__name__)
BEAT_SECONDS = 10.0
SILENT_SECONDS = 60.0  # after which a driver is taken for dead
LAST_SECONDS = 15.0  # that a run waits for its last word to be written
FAILURES = 10  # the last ones are kept
_COUNTED = (*LEAVING, "split")  # actions by which a document leaves a step, or comes to be
_SAID = frozenset(("out", "host", "pid", "executor", "started", "updated", "status", "message", "wave", "steps"))


def driver_path(work: str, out: str) -> str:
    """Returns where the driver that makes `out` says how far it is."""
    return storage.join(work, "drivers", f"{hashlib.sha256(out.encode()).hexdigest()[:16]}.json")


def read_driver(path: str) -> dict[str, Any] | None:  # Any: JSON
    """Returns what a driver said last, or None where none did."""
    content = storage.read_if_there(path)
    if content is None:
        return None
    try:
        data: Any = json.loads(content)  # JSON
    except ValueError:
        return None
    return data if isinstance(data, dict) and data.keys() >= _SAID else None


def is_alive(state: dict[str, Any]) -> bool:
    """Returns whether the driver that said this seems to be at work still."""
    if state["status"] != "running" or time.time() - state["updated"] > SILENT_SECONDS:
        return False
    return state["host"] != platform.node() or _is_process(state["pid"])


def _is_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def process_of(pid: int) -> str | None:
    """Returns what tells a process from any other that has its number, before it or after it, or in a container.

    None where there is none, and where the system does not say it (it is Linux that does).
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]  # in ticks since the boot
    except (OSError, IndexError):
        return None
    return f"{boot} {started}"


def interrupt(state: Mapping[str, Any]) -> bool:  # Any: JSON
    """Stops the driver that said this, as Ctrl-C does; returns whether it was told so: it must be on this machine.

    No other process is, though it may have the number of one that has ended: the handle is opened before the process is
    asked who it is.
    """
    if state["host"] != platform.node() or state.get("process") is None:
        return False
    try:
        handle = os.pidfd_open(state["pid"])
    except OSError:
        return False
    try:
        if process_of(state["pid"]) != state["process"]:
            return False
        signal.pidfd_send_signal(handle, signal.SIGINT)
    except OSError:  # it has just ended, or is another user's
        return False
    finally:
        os.close(handle)
    return True


def ended(error: BaseException | None) -> tuple[str, str]:
    """Returns how a run ended (finished, interrupted or failed) and the sentence that says why."""
    if error is None:
        return "finished", ""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", "stopped from outside"
    sentence = redact(str(error) if isinstance(error, DatapipeError) else f"{type(error).__name__}: {error}")
    return ("interrupted" if isinstance(error, Interrupted) else "failed"), sentence


@dataclass
class Flow:
    """What finished shards of a step did to the documents that passed through it.

    `places` are its calls on their way; `first` and `last`: whether documents come to the stage by it, and leave it so.
    `rules` are documents that left, and that were made, by action and rule (`drop.zh_length`).
    """

    places: tuple[int, ...]
    first: bool
    last: bool
    documents_in: int = 0
    made: int = 0
    documents_out: int = 0
    dropped: int = 0
    rules: Counter[str] = field(default_factory=Counter)

    def add(self, passed: tuple[Passed, ...]) -> None:
        """Adds what a shard did."""
        ours = [passed[place] for place in self.places]
        self.documents_in += ours[0].rows_in
        self.documents_out += ours[-1].rows_out
        self.made += sum(one.made for one in ours)
        self.dropped += sum(one.dropped for one in ours)

    def note(self, counts: Mapping[str, int]) -> None:
        """Adds the counters of its stage that say who left; a rule that was asked and took nobody has 0."""
        for name, amount in counts.items():
            action, _, rule = name.partition(".")
            if action == "evaluated":
                self.rules[f"drop.{rule}"] += 0
            elif action in _COUNTED:
                self.rules[name] += amount

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Returns it as plain data."""
        numbers = {name: getattr(self, name) for name in ("documents_in", "made", "documents_out", "dropped")}
        return {"first": self.first, "last": self.last, **numbers, "rules": dict(sorted(self.rules.items()))}


class Driver:
    """Hears how a run goes on, as a listener, and writes it down from a thread of its own."""

    def __init__(self, planner: Planner, out: str, executor: str, started: float) -> None:
        self.planner, self.out, self.executor, self.started = planner, out, executor, started
        self.id = uuid.uuid4().hex[:12]
        self.path = driver_path(planner.work, out)
        self._status, self._message = "running", ""
        self._wave: dict[str, Any] = {}  # Any: JSON
        self._steps: dict[str, dict[str, Any]] = {}  # Any: JSON
        self._flows: dict[str, Flow] = {}
        self._dropped: Counter[str] = Counter()
        self._set_aside = self._rows = self._bytes = self._peak = 0
        self._failures = _Failures()
        self._lock, self._news, self._ends = threading.Lock(), threading.Event(), False
        self._thread = threading.Thread(target=self._beat, name="driver", daemon=True)

    def __enter__(self) -> Driver:
        self._warn_of_another()
        logging.getLogger("datapipe").addHandler(self._failures)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._status, self._message = ended(error)
            self._ends = True
        self._news.set()
        self._thread.join(LAST_SECONDS)
        logging.getLogger("datapipe").removeHandler(self._failures)

    def wave(self, wave: Wave) -> None:
        """Takes note of every step that is known and of the tasks that begin."""
        steps: dict[str, dict[str, Any]] = {}  # Any: JSON
        dropped: Counter[str] = Counter()
        aside = 0
        for step in self.planner.steps():
            tasks = self.planner.width(step.result)
            done = len(self.planner.records.of(step.key)) if tasks is not None else 0
            steps[step.key] = {"stage": step.stage, "tasks": tasks, "done": done}
            for stage, counts in self.planner.records.counts(step.key).items() if tasks is not None else ():
                dropped[stage] += _leaving(counts)
                aside += _aside(counts)
        flows = self._known_flows(steps)
        with self._lock:
            self._flows = flows
            self._steps, self._dropped, self._set_aside = steps, dropped, aside
            self._wave = {
                "number": wave.number,
                "steps": [step.key for step in wave.steps],
                "started": round(time.time(), 3),
                "tasks": len(wave.tasks),
                "done": 0,
                "documents": 0,
                "bytes": sum(task.size_bytes for task in wave.tasks),
                "bytes_done": 0,
            }
        self._news.set()

    def _known_flows(self, steps: Iterable[str]) -> dict[str, Flow]:
        """Returns the flow of each step that documents pass through and whose shards are known, in order."""
        planner, found = self.planner, dict[str, list[tuple[int, bool, bool]]]()
        for name, _, result in planner.pipeline.stages:
            for call, first, last in trunk_of(planner, name, result):
                step = planner.step_of(call)
                if planner.width(step.result) is not None:
                    found.setdefault(step.key, []).append((place_of(planner, step, call), first, last))
        flows = {}
        for key in (key for key in steps if key in found):
            flows[key] = self._flows.get(key) or self._flow(key, sorted(found[key]))
        return flows

    def _flow(self, key: str, calls: list[tuple[int, bool, bool]]) -> Flow:
        places, first, last = zip(*calls, strict=True)
        flow = Flow(places, any(first), any(last))
        for shard in self.planner.records.of(key).values():
            flow.add(shard.passed)
        for counts in self.planner.records.counts(key).values():
            flow.note(counts)
        return flow

    def seen(self, task: Task, rows: int, size: int) -> None:
        """Takes rows in that are being worked on."""
        with self._lock:
            self._rows += rows
            self._bytes += size

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Takes a finished task in."""
        with self._lock:
            self._peak = max(self._peak, outcome.peak_bytes)
            self._wave["done"] += 1
            self._wave["bytes_done"] += task.size_bytes
            for shard in outcome.shards:
                self._steps[shard.step]["done"] = len(self.planner.records.of(shard.step))
                flow = self._flows.get(shard.step)
                if flow:
                    flow.add(shard.passed)
                self._wave["documents"] += next((item.rows_in for item in shard.passed if item.documents), 0)
                for stage, counts in shard.counts.items():
                    self._dropped[stage] += _leaving(counts)
                    self._set_aside += _aside(counts)
                    if flow:
                        flow.note(counts)

    def state(self) -> dict[str, Any]:  # Any: JSON
        """Returns what is written: names, numbers, and moments as seconds since 1970."""
        with self._lock:
            return {
                "id": self.id,
                "out": self.out,
                "host": platform.node(),
                "pid": os.getpid(),
                "process": process_of(os.getpid()),
                "executor": self.executor,
                "started": round(self.started, 3),
                "updated": round(time.time(), 3),
                "status": self._status,
                "message": self._message,
                "wave": dict(self._wave),
                "steps": {key: self._said(key, step) for key, step in self._steps.items()},
                "rows_read": self._rows,
                "bytes_read": self._bytes,
                "dropped": dict(self._dropped),
                "set_aside": self._set_aside,
                "peak_worker_bytes": self._peak,
                "failures": self._failures.total,
                "last_failures": list(self._failures.last),
            }

    def _said(self, key: str, step: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
        return {**step, "flow": self._flows[key].to_json()} if key in self._flows else dict(step)

    def _warn_of_another(self) -> None:
        try:
            other = read_driver(self.path)
        except DatapipeError:
            return
        if other is not None and is_alive(other):
            log.warning(
                "another driver (host %s, process %d) has been at work on %s since %s; both make the same files, so "
                "nothing breaks, but work is done twice",
                other["host"],
                other["pid"],
                self.out,
                iso(other["started"]),
                extra={"event": "second_driver"},
            )

    def _beat(self) -> None:
        last = False
        while not last:
            self._news.clear()
            last = self._ends
            self._put()
            if not last:
                self._news.wait(BEAT_SECONDS)

    def _put(self) -> None:
        try:
            storage.put(self.path, (json.dumps(self.state(), indent=1) + "\n").encode())
        except Exception as error:  # noqa: BLE001 - whatever a store does, a run goes on without this
            log.debug("%s: not written (%s)", self.path, error)


class _Failures(logging.Handler):
    """Keeps the last warnings, and attempts that failed (log lines with `event="attempt_failed"`)."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.total, self.last = 0, deque[dict[str, Any]](maxlen=FAILURES)  # Any: JSON

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING or getattr(record, "event", "") == "attempt_failed":
            self.total += 1
            self.last.append({"time": round(record.created, 3), "message": redact(record.getMessage())})


def _leaving(counts: dict[str, int] | Counter[str]) -> int:
    return sum(amount for name, amount in counts.items() if name.partition(".")[0] in LEAVING)


def _aside(counts: dict[str, int] | Counter[str]) -> int:
    return sum(amount for name, amount in counts.items() if name.startswith("quarantine."))
