"""What an attempt takes of its process: CPU time by stage, and memory at its peak."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import time
from collections import defaultdict
from pathlib import Path

import pyarrow as pa

from datapipe.dataset import Batches


def give_memory_back() -> None:
    """Hands memory that this task has freed to the system: a worker lives on, and allocators keep what they had."""
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc's alone


def forget_peak() -> None:
    """Lets the peak of this process's memory begin anew, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Returns the most memory that this process held since `forget_peak` (resident bytes)."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Clock:
    """CPU seconds of this thread by stage. What a stage takes holds what those before it take, so it is taken off."""

    def __init__(self) -> None:
        self.started = time.thread_time()
        self.spent: list[tuple[str, list[float]]] = []

    def timed(self, stage: str, rows: Batches) -> Batches:
        """Returns `rows`; the time it takes to make them counts for `stage`."""
        spent = [0.0]
        self.spent.append((stage, spent))
        return self._timed(iter(rows), spent)

    def _timed(self, rows: Batches, spent: list[float]) -> Batches:
        while True:
            start = time.thread_time()
            batch = next(rows, None)
            spent[0] += time.thread_time() - start
            if batch is None:
                return
            yield batch

    def seconds(self) -> dict[str, float]:
        """Returns the seconds of each stage alone, and of writing."""
        found: defaultdict[str, float] = defaultdict(float)
        before = 0.0
        for stage, spent in self.spent:
            found[stage] += spent[0] - before
            before = spent[0]
        found["write"] += time.thread_time() - self.started - before
        return dict(found)
