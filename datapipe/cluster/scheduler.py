"""The scheduler: keeps a bounded number of attempts in flight, classifies what fails, and abandons what stands still.

Every attempt is a Ray task with `max_retries=0`, so that retries are ours. An attempt that a stage failed or that
killed its worker is tried again in isolation (`isolate.py`) up to `TASK_FAILURES` times; a lost node or a store that
does not answer up to `INFRASTRUCTURE_FAILURES`, later and later; one out of memory up to `MEMORY_FAILURES`, each time
with twice the memory declared, so that fewer run beside it, the last in isolation. A silent attempt is abandoned and
another started, as is a second one beside the slowest of a wave's end; both are safe because commits are put-if-absent.
Source: ray.md sections 1.2, 5 and 8; failure budgets after marin's zephyr.
"""

from __future__ import annotations

import contextlib
import faulthandler
import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from datapipe.cluster.connect import connect, ray, stall_seconds_of
from datapipe.cluster.metrics import count_attempt, count_outcome
from datapipe.cluster.nodes import DEAF_SECONDS, Beats, Nodes, start_beats
from datapipe.cluster.share import Sharing, unpack
from datapipe.errors import DatapipeError, Interrupted, Refused, StageError, Unreachable, UnreadableInput
from datapipe.isolate import START_SECONDS, run_isolated
from datapipe.local import (
    INFRASTRUCTURE_FAILURES,
    REFUSALS,
    TASK_FAILURES,
    backoff_seconds,
    out_of_memory,
    run_guarded,
    stopped_by,
)
from datapipe.logs import setup_worker
from datapipe.poison import can_skip
from datapipe.task import Outcome, Task

log = logging.getLogger(__name__)
MEMORY_FAILURES = 3
POLL_SECONDS = 0.5
BEAT_SECONDS = 1.0
SLOW_SECONDS = 30.0  # an attempt is not slow before
SLOW_FACTOR = 3.0  # times the 95th percentile of the wave's attempts
SLOW_SAMPLE = 10


@dataclass(frozen=True)
class Way:
    """How an attempt goes about its task."""

    serial: int
    attempt: int
    stall_seconds: float
    isolated: bool
    forgiving: bool
    blames_memory: bool


@ray.remote(max_retries=0)
def attempt_task(content: bytes, lists: list[Any], way: Way, beats: Any) -> Outcome:
    """Runs one attempt on a worker: the one remote function. `lists` and `beats` are references and a handle of Ray."""
    setup_worker()
    task = unpack(content, lists)
    serial, attempt, stall = way.serial, way.attempt, way.stall_seconds
    started = last = time.monotonic()
    rows_since = bytes_since = 0

    def seen(rows: int, size: int) -> None:
        nonlocal last, rows_since, bytes_since
        rows_since, bytes_since = rows_since + rows, bytes_since + size
        if time.monotonic() - last >= BEAT_SECONDS:
            beats.beat.remote(serial, rows_since, bytes_since)
            last, rows_since, bytes_since = time.monotonic(), 0, 0
            if not way.isolated and can_skip(task):
                _end_if_silent(stall)

    beats.beat.remote(serial, 0, 0)
    if way.isolated:
        memory = way.blames_memory
        outcome = run_isolated(task, attempt, seen, stall, forgiving=way.forgiving, blames_memory=memory)
    elif can_skip(task):
        _end_if_silent(stall)
        try:
            outcome = run_guarded(task, attempt, seen, forgiving=way.forgiving)
        finally:
            faulthandler.cancel_dump_traceback_later()
    else:
        with _pulse(lambda: beats.beat.remote(serial, 0, 0), stall / 4):
            outcome = run_guarded(task, attempt, seen, forgiving=way.forgiving)
    count_outcome(task, outcome, time.monotonic() - started)
    return outcome


def _end_if_silent(seconds: float) -> None:
    """Ends this worker that many seconds from now, unless called again; its log then says where it stood.

    A thread of C does it, which native code that never ends cannot hold up. The core is free again, and nobody needs
    to cancel an attempt by force, where Ray may end a process that has just begun another.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)


@contextlib.contextmanager
def _pulse(beat: Callable[[], object], seconds: float) -> Iterator[None]:
    """Beats while the process lives: a fold may work for hours on what it has read, and no record could be left out."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(seconds):
            beat()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@dataclass(eq=False)
class _Job:
    """A task on its way: what failed so far and what is to be tried next."""

    task: Task
    attempts: int = 0
    task_failures: int = 0
    infrastructure_failures: int = 0
    memory_failures: int = 0
    isolated: bool = False
    forgiving: bool = False
    memory_bytes: int = 0  # as declared last
    in_flight: int = 0


@dataclass(eq=False)
class _Flight:
    """An attempt in flight."""

    job: _Job
    serial: int
    heard: float = field(default_factory=time.monotonic)
    begun: float = 0.0  # when it was heard of first; before that it waits for a core


class RayExecutor:
    """Runs tasks on a local Ray or a cluster."""

    def __init__(
        self, *, address: str | None = None, workers: int | None = None, stall_seconds: float | None = None
    ) -> None:
        self.address, self.workers = address, workers
        self.stall_seconds = stall_seconds_of(stall_seconds)
        self.beats: Beats | None = None
        self.nodes = Nodes()
        self.sharing = Sharing()
        self.queue: deque[Task] = deque()
        self.again: list[tuple[float, int, _Job]] = []  # a heap: not before, number, what failed
        self.flights: dict[Any, _Flight] = {}  # by Ray's object reference, which has no type
        self.by_serial: dict[int, _Flight] = {}
        self.took: list[float] = []  # seconds of the attempts of this wave
        self.serial = 0
        self.own = False

    def run(self, tasks: Sequence[Task], seen: Callable[[Task, int, int], None]) -> Iterator[tuple[Task, Outcome]]:
        """Yields every task with its outcome, as they finish.

        Raises:
            StageError: a task failed beyond its budget. What was in flight is cancelled; finished shards stay.
        """
        if not tasks:
            return
        beats = self._start()
        self.queue, self.again, self.took = deque(tasks), [], []
        try:
            while self.queue or self.again or self.flights:
                self._submit(beats)
                yield from self._finished()
                self._listen(beats, seen)
        finally:
            for reference in list(self.flights):
                self._drop(reference, cancel=not self.own)  # what runs on our own Ray ends with it
            self.sharing = Sharing()  # no task of another wave reads the same lists

    def describe(self) -> dict[str, Any]:  # Any: JSON
        """Returns Ray's version and the nodes it has, for work/run.json; nothing while not connected."""
        if not ray.is_initialized():
            return {}
        nodes = [
            {
                "host": node["NodeManagerHostname"],
                "alive": node["Alive"],
                "cores": node["Resources"].get("CPU", 0.0),
                "memory_bytes": int(node["Resources"].get("memory", 0.0)),
            }
            for node in ray.nodes()
        ]
        return {"ray": ray.__version__, "nodes": sorted(nodes, key=lambda node: str(node["host"]))}

    def close(self) -> None:
        """Ends a Ray that this executor started."""
        if self.own and ray.is_initialized():
            ray.shutdown()
        self.beats = None

    def _start(self) -> Beats:
        if self.beats is None:
            self.own = connect(self.address, self.workers)
            self.beats = start_beats()
        return self.beats

    # Starting

    def _submit(self, beats: Beats) -> None:
        """Starts attempts while there is room: what failed before first, then tasks in their order."""
        room = self.nodes.room() - len(self.flights)
        while room > 0 and (job := self._next()) is not None:
            self._launch(job, beats)
            room -= 1

    def _next(self) -> _Job | None:
        while self.again and self.again[0][0] <= time.monotonic():
            job = heapq.heappop(self.again)[2]
            if not job.in_flight:
                return job
        return _Job(self.queue.popleft()) if self.queue else None

    def _launch(self, job: _Job, beats: Beats) -> None:
        self.serial += 1
        job.memory_bytes = self.nodes.memory_bytes(job.task, job.memory_failures)
        last = job.memory_failures == MEMORY_FAILURES - 1
        way = Way(self.serial, job.attempts, self.stall_seconds, job.isolated, job.forgiving, last)
        call = attempt_task.options(name=job.task.name, memory=job.memory_bytes)
        reference = call.remote(*self.sharing.pack(job.task), way, beats.actor)
        self.flights[reference] = self.by_serial[self.serial] = _Flight(job, self.serial)
        job.attempts += 1
        job.in_flight += 1

    def _drop(self, reference: Any, *, cancel: bool) -> _Flight:
        """Forgets an attempt. It is never cancelled by force: Ray may end another task's process by that, or this."""
        flight = self.flights.pop(reference)
        del self.by_serial[flight.serial]
        flight.job.in_flight -= 1
        if cancel:
            with contextlib.suppress(ray.exceptions.RayError, ValueError):
                ray.cancel(reference)
        return flight

    # Ending

    def _finished(self) -> Iterator[tuple[Task, Outcome]]:
        if not self.flights:
            time.sleep(POLL_SECONDS / 5)
            return
        ready, others = ray.wait(list(self.flights), num_returns=1, timeout=POLL_SECONDS, fetch_local=False)
        if ready and others:
            ready += ray.wait(others, num_returns=len(others), timeout=0, fetch_local=False)[0]
        for reference in ready:
            if reference not in self.flights:  # dropped, since the other attempt at its task came in
                continue
            flight = self._drop(reference, cancel=False)
            try:
                outcome = ray.get(reference)
            except ray.exceptions.RayError as error:
                self._failed(flight.job, error)
            else:
                self._done(flight)
                yield flight.job.task, outcome

    def _done(self, flight: _Flight) -> None:
        count_attempt("done")
        if flight.begun:
            self.took.append(time.monotonic() - flight.begun)
        if flight.job.in_flight:
            for reference in [one for one, other in self.flights.items() if other.job is flight.job]:
                self._drop(reference, cancel=True)

    def _failed(self, job: _Job, error: Exception) -> None:
        """Counts a failure by its kind. Raises where the budget of that kind is used up, or trying again is no use."""
        cause = getattr(error, "cause", None)
        about = {"event": "attempt_failed", "task": job.task.name, "attempt": job.attempts}
        log.info("%s: attempt %d failed (%s)", job.task.name, job.attempts, type(error).__name__, extra=about)
        if isinstance(cause, UnreadableInput):
            self._unread(job, cause)
        elif isinstance(cause, Unreachable) or (isinstance(cause, Interrupted) and not self.own):
            self._infrastructure(job, cause)  # a disk that is full is a node's: another may have room
        elif isinstance(cause, Refused):
            self._infrastructure(job, cause, REFUSALS)
        elif isinstance(cause, DatapipeError):
            raise cause
        elif isinstance(error, ray.exceptions.OutOfMemoryError) or isinstance(cause, MemoryError):
            self._memory(job, error)
        elif isinstance(error, ray.exceptions.RayTaskError | ray.exceptions.WorkerCrashedError):
            self._task(job, f"at last with {_last_line(error)}", error)
        else:
            sentence = f"{job.task.name}: failed {job.attempts} times, at last with {_last_line(error)}"
            self._infrastructure(job, StageError(sentence))

    def _again(self, job: _Job, kind: str, seconds: float = 0.0) -> None:
        count_attempt(kind)
        if not job.in_flight:  # else the other attempt goes on
            heapq.heappush(self.again, (time.monotonic() + seconds, self.serial, job))
            self.serial += 1

    def _task(self, job: _Job, how: str, error: Exception | None = None) -> None:
        job.task_failures += 1
        job.isolated = True
        if job.task_failures >= TASK_FAILURES:
            raise StageError(f"{job.task.name}: failed {job.attempts} times, {how}") from error
        self._again(job, "task")

    def _infrastructure(self, job: _Job, error: DatapipeError, budget: int = INFRASTRUCTURE_FAILURES) -> None:
        job.infrastructure_failures += 1
        if job.infrastructure_failures >= budget:
            raise stopped_by(error)
        self._again(job, "infrastructure", backoff_seconds(job.infrastructure_failures))

    def _memory(self, job: _Job, error: Exception) -> None:
        """The next attempt declares more, so that less runs beside it; the last looks for the record that takes all."""
        job.memory_failures += 1
        job.isolated = job.isolated or job.memory_failures == MEMORY_FAILURES - 1
        if job.memory_failures >= MEMORY_FAILURES:
            declared = f"{job.memory_bytes / (1 << 20):,.0f} MiB declared"
            raise out_of_memory(job.task, f"{job.memory_failures} times, at last with {declared}") from error
        self._again(job, "memory")

    def _unread(self, job: _Job, error: UnreadableInput) -> None:
        """Beyond the budget, files that cannot be read are set aside, or the error raised."""
        job.task_failures += 1
        if job.task_failures >= TASK_FAILURES:
            if not job.task.quarantine or job.forgiving:
                raise error
            job.forgiving, job.task_failures = True, 0
        self._again(job, "unreadable")

    # Watching

    def _listen(self, beats: Beats, seen: Callable[[Task, int, int], None]) -> None:
        """Takes heartbeats in, abandons attempts that were silent for too long, and doubles the slowest."""
        answer = beats.news()
        if answer is None:  # a moment ago was the last time
            return
        news, since = answer
        now = time.monotonic()
        for flight in self.flights.values() if since > DEAF_SECONDS else ():
            flight.heard = now
        for serial, (rows, size) in news.items():
            if serial in self.by_serial:
                flight = self.by_serial[serial]
                flight.heard, flight.begun = now, flight.begun or now
                seen(flight.job.task, rows, size)
        waits = self.nodes.cores() == 0 or any(flight.begun for flight in self.flights.values())
        for reference, flight in list(self.flights.items()):
            if not flight.begun and waits:
                flight.heard = now
            elif now - flight.heard > 2 * self.stall_seconds + START_SECONDS * flight.job.isolated:
                self._abandon(reference)
        if not self.queue and not self.again:
            self._double(beats, now)

    def _abandon(self, reference: Any) -> None:
        flight = self._drop(reference, cancel=True)
        job = flight.job
        log.warning("%s: attempt %d fell silent and is abandoned", job.task.name, job.attempts)
        how = f"fell silent (no progress in {self.stall_seconds:g} s)"
        if flight.begun and job.isolated:
            self._task(job, how)
        else:  # no record is to blame before its own process says so: it may be the node, or the way to it
            job.isolated = bool(flight.begun)
            self._infrastructure(job, StageError(f"{job.task.name}: {how}"))

    def _double(self, beats: Beats, now: float) -> None:
        """Starts a second attempt beside each that takes far longer than all before, while cores are idle."""
        if len(self.took) < SLOW_SAMPLE or self.nodes.cores() <= len(self.flights):
            return
        usual = sorted(self.took)[int(0.95 * (len(self.took) - 1))]
        for flight in list(self.flights.values()):
            slow = flight.begun and now - flight.begun > max(SLOW_SECONDS, SLOW_FACTOR * usual)
            if slow and flight.job.in_flight == 1 and not flight.job.isolated:
                log.info("%s: is slow, a second attempt starts", flight.job.task.name)
                self._launch(flight.job, beats)
                return


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
