"""What the driver knows of the cluster: cores and memory of its nodes as they come and go, and who was heard of."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from datapipe.cluster.connect import ray
from datapipe.exchange import MEMORY_BYTES
from datapipe.task import Task

log = logging.getLogger(__name__)
TASK_MEMORY_BYTES = 700 << 20  # of a task that sorts MEMORY_BYTES at a time
LOOK_SECONDS = 2.0
LISTEN_SECONDS = 0.5
DEAF_SECONDS = 10.0  # without an answer, after which nobody's silence says anything
SAY_SECONDS = 30.0


class Nodes:
    """The nodes that are alive, looked at every `LOOK_SECONDS`."""

    def __init__(self) -> None:
        self.resources: list[dict[str, float]] = []
        self.looked = self.said = -SAY_SECONDS

    def _look(self) -> list[dict[str, float]]:
        if time.monotonic() - self.looked > LOOK_SECONDS:
            self.resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self.looked = time.monotonic()
        return self.resources

    def cores(self) -> int:
        """Returns the cores of all nodes."""
        return int(sum(held.get("CPU", 0.0) for held in self._look()))

    def room(self) -> int:
        """Returns how many attempts may be in flight: two a core; two where there is none, to be waited for.

        Those in flight are what an autoscaler goes by.
        """
        cores = self.cores()
        if cores == 0 and time.monotonic() - self.said > SAY_SECONDS:
            log.warning("no node of the cluster has a core; waiting for one")
            self.said = time.monotonic()
        return 2 * max(1, cores)

    def memory_bytes(self, task: Task, failures: int) -> int:
        """Returns the memory that an attempt declares; see `declared_bytes`."""
        return declared_bytes(self._look(), task.memory_bytes, failures, holding=task.holds_bytes)


def declared_bytes(nodes: Sequence[Mapping[str, float]], sorting: int, failures: int, *, holding: int = 0) -> int:
    """Returns the memory that an attempt declares, which sorts so many bytes at a time and holds others all the while.

    At first no more than there is for each core of the node that has most, so that all cores have work, but for what it
    holds. After each failure for want of memory twice that, up to all memory of the largest node.
    """
    held = [node for node in nodes if node.get("CPU", 0.0) >= 1 and node.get("memory", 0.0) > 0]
    wanted = TASK_MEMORY_BYTES + max(0, sorting - MEMORY_BYTES)
    if not held:
        return wanted + holding
    share = max(node["memory"] / node["CPU"] for node in held)
    return int(min((min(wanted, share) + holding) * 2**failures, max(node["memory"] for node in held)))


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


class Beats:
    """The driver's end of Heartbeats: asks every `LISTEN_SECONDS`, and waits for no answer."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor  # a Ray actor's handle has no type
        self.asked: Any = None  # nor has a reference
        self.when = 0.0
        self.answered = time.monotonic()

    def news(self) -> tuple[dict[int, tuple[int, int]], float] | None:
        """Returns rows and bytes that attempts have begun since, by serial, and since when (seconds).

        None where it is not time to look, or nothing is known.
        """
        now = time.monotonic()
        if now - self.when < LISTEN_SECONDS:
            return None
        self.when = now
        if self.asked is None:
            self.asked = self.actor.take.remote()
            return None
        if not ray.wait([self.asked], timeout=0)[0]:
            return None
        asked, self.asked = self.asked, self.actor.take.remote()
        try:
            news = dict(ray.get(asked))
        except ray.exceptions.RayError:  # being started again; attempts hold the same handle
            return None
        since, self.answered = now - self.answered, now
        return news, since


def start_beats() -> Beats:
    """Starts the actor on the driver's own node: the death of another does not take it."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return Beats(Heartbeats.options(scheduling_strategy=here).remote())  # type: ignore[attr-defined]  # by ray.remote
