"""The scheduler: keeps a bounded number of attempts in flight, classifies what fails, and abandons what stands still.

Every attempt is a Ray task with `max_retries=0`, so that retries are ours: an attempt that a stage failed or that
killed its worker is tried again in isolation (`isolate.py`) up to `TASK_FAILURES` times, a lost node up to
`INFRASTRUCTURE_FAILURES`, one out of memory up to `MEMORY_FAILURES`. A silent attempt is abandoned and another started;
that is safe because commits are put-if-absent. Source: ray.md sections 1.2, 5 and 8; failure budgets after marin's
zephyr.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from datapipe.cluster.connect import connect, ray
from datapipe.cluster.isolate import run_isolated
from datapipe.errors import DatapipeError, StageError, UnreadableInput
from datapipe.local import TASK_FAILURES, can_skip, run_guarded
from datapipe.task import Outcome, Task, run_task

log = logging.getLogger(__name__)
INFRASTRUCTURE_FAILURES = 20
MEMORY_FAILURES = 3
STALL_SECONDS = 600.0
POLL_SECONDS = 0.5
BEAT_SECONDS = 1.0
TASK_MEMORY_BYTES = 700 << 20


@ray.remote(num_cpus=0, max_restarts=-1)
class Heartbeats:
    """Hears from every attempt; the driver asks what is new."""

    def __init__(self) -> None:
        self.news: dict[int, tuple[int, int]] = {}

    def beat(self, attempt: int, rows: int, size: int) -> None:
        """Adds rows and bytes that an attempt has begun to work on."""
        before = self.news.get(attempt, (0, 0))
        self.news[attempt] = (before[0] + rows, before[1] + size)

    def take(self) -> dict[int, tuple[int, int]]:
        """Returns what came in since the last call."""
        news, self.news = self.news, {}
        return news


@ray.remote(max_retries=0)
def attempt_task(
    task: Task, serial: int, attempt: int, isolated: bool, aside: str, stall: float, beats: Any
) -> Outcome:
    """Runs one attempt on a worker: the one remote function. `beats` is the handle of Heartbeats."""
    last, rows_since, bytes_since = time.monotonic(), 0, 0

    def seen(rows: int, size: int) -> None:
        nonlocal last, rows_since, bytes_since
        rows_since, bytes_since = rows_since + rows, bytes_since + size
        if time.monotonic() - last >= BEAT_SECONDS:
            beats.beat.remote(serial, rows_since, bytes_since)
            last, rows_since, bytes_since = time.monotonic(), 0, 0

    beats.beat.remote(serial, 0, 0)
    if aside:
        return run_task(task, attempt, aside=aside)
    if isolated:
        return run_isolated(task, attempt, seen, stall)
    if can_skip(task):
        return run_guarded(task, attempt, seen)
    with _pulse(lambda: beats.beat.remote(serial, 0, 0), stall / 4):
        return run_guarded(task, attempt, seen)


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


@dataclass
class _Job:
    """A task on its way: what failed so far and what is in flight."""

    task: Task
    attempts: int = 0
    task_failures: int = 0
    infrastructure_failures: int = 0
    memory_failures: int = 0
    isolated: bool = False
    aside: str = ""
    memory_bytes: int = TASK_MEMORY_BYTES
    not_before: float = 0.0


@dataclass
class _Flight:
    """An attempt in flight."""

    job: _Job
    serial: int
    heard: float = field(default_factory=time.monotonic)
    begun: bool = False  # else it waits for a core


class RayExecutor:
    """Runs tasks on a local Ray or a cluster."""

    def __init__(
        self, *, address: str | None = None, workers: int | None = None, stall_seconds: float = STALL_SECONDS
    ) -> None:
        self.address, self.workers, self.stall_seconds = address, workers, stall_seconds
        self.beats: Any = None  # a Ray actor's handle has no type
        self.flights: dict[Any, _Flight] = {}  # by Ray's object reference, which has none either
        self.serial = 0
        self.own = False

    def run(self, tasks: Sequence[Task], seen: Callable[[Task, int, int], None]) -> Iterator[tuple[Task, Outcome]]:
        """Yields every task with its outcome, as they finish.

        Raises:
            StageError: a task failed beyond its budget. What was in flight is cancelled; finished shards stay.
        """
        if not tasks:
            return
        self._start()
        queue = deque(_Job(task) for task in tasks)
        try:
            while queue or self.flights:
                self._submit(queue)
                yield from self._finished(queue)
                self._listen(queue, seen)
        finally:
            for reference in self.flights if not self.own else ():  # what runs on our own Ray ends with it
                ray.cancel(reference)  # by force, Ray may end this process where the attempt has just finished
            self.flights.clear()

    def close(self) -> None:
        """Ends a Ray that this executor started."""
        if self.own and ray.is_initialized():
            ray.shutdown()
        self.beats = None

    def _start(self) -> None:
        if self.beats is None:
            self.own = connect(self.address, self.workers)
            self.beats = Heartbeats.remote()  # type: ignore[attr-defined]  # made by ray.remote

    def _submit(self, queue: deque[_Job]) -> None:
        room = 2 * max(1, int(ray.cluster_resources().get("CPU", 1))) - len(self.flights)
        waiting = []
        while room > 0 and queue:
            job = queue.popleft()
            if job.not_before > time.monotonic():
                waiting.append(job)
                continue
            self.serial += 1
            call = attempt_task.options(name=job.task.name, num_cpus=1, memory=min(job.memory_bytes, _memory_share()))
            reference = call.remote(
                job.task, self.serial, job.attempts, job.isolated, job.aside, self.stall_seconds, self.beats
            )
            self.flights[reference] = _Flight(job, self.serial)
            job.attempts += 1
            room -= 1
        queue.extend(waiting)

    def _finished(self, queue: deque[_Job]) -> Iterator[tuple[Task, Outcome]]:
        if not self.flights:
            time.sleep(POLL_SECONDS / 5)
            return
        ready, _ = ray.wait(list(self.flights), num_returns=1, timeout=POLL_SECONDS)
        for reference in ready:
            job = self.flights.pop(reference).job
            try:
                outcome = ray.get(reference)
            except ray.exceptions.RayError as error:
                self._failed(job, error)
                queue.append(job)
            else:
                yield job.task, outcome

    def _failed(self, job: _Job, error: Exception) -> None:
        """Counts a failure by its kind. Raises where the budget of that kind is used up, or trying again is no use."""
        cause = getattr(error, "cause", None)
        if isinstance(cause, UnreadableInput):
            self._unread(job, cause)
            return
        if isinstance(cause, DatapipeError):
            raise cause
        if isinstance(error, ray.exceptions.OutOfMemoryError):
            job.memory_failures += 1
            job.memory_bytes *= 2
            spent = job.memory_failures >= MEMORY_FAILURES
        elif isinstance(error, ray.exceptions.RayTaskError | ray.exceptions.WorkerCrashedError):
            job.task_failures += 1
            job.isolated = True
            spent = job.task_failures >= TASK_FAILURES
        else:
            job.infrastructure_failures += 1
            job.not_before = time.monotonic() + min(30.0, 0.5 * 2**job.infrastructure_failures)
            spent = job.infrastructure_failures >= INFRASTRUCTURE_FAILURES
        log.info("%s: attempt %d failed (%s)", job.task.name, job.attempts, type(error).__name__)
        if spent:
            raise StageError(
                f"{job.task.name}: failed {job.attempts} times, at last with {_last_line(error)}"
            ) from error

    def _unread(self, job: _Job, error: UnreadableInput) -> None:
        """Counts a failure of a reader. Beyond the budget the shard is set aside whole, or the error raised."""
        job.task_failures += 1
        if job.task_failures >= TASK_FAILURES:
            if not job.task.quarantine:
                raise error
            job.aside = str(error)

    def _listen(self, queue: deque[_Job], seen: Callable[[Task, int, int], None]) -> None:
        """Takes heartbeats in, and abandons attempts that were silent for too long."""
        try:
            news = ray.get(self.beats.take.remote(), timeout=5)
        except ray.exceptions.RayError:  # slow, or being started again; attempts hold the same handle
            news = {}
        now = time.monotonic()
        busy = any(flight.begun for flight in self.flights.values())
        for reference, flight in list(self.flights.items()):
            if flight.serial in news:
                flight.heard, flight.begun = now, True
                seen(flight.job.task, *news[flight.serial])
            elif busy and not flight.begun:
                flight.heard = now
            elif now - flight.heard > 2 * self.stall_seconds + 60 * flight.job.isolated:
                del self.flights[reference]
                ray.cancel(reference, force=True)
                self._abandon(flight.job)
                queue.append(flight.job)

    def _abandon(self, job: _Job) -> None:
        log.warning("%s: attempt %d fell silent and is abandoned", job.task.name, job.attempts)
        job.task_failures += 1
        job.isolated = True
        if job.task_failures >= TASK_FAILURES:
            raise StageError(
                f"{job.task.name}: fell silent {job.task_failures} times (no progress in {self.stall_seconds:g} s)"
            )


def _memory_share() -> int:
    """Returns the memory there is for each core (bytes): more could not be placed beside as many tasks."""
    held = ray.cluster_resources()
    return int(held.get("memory", TASK_MEMORY_BYTES) / max(1.0, held.get("CPU", 1.0)))


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
