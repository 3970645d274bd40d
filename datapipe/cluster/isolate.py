"""A task in a process of its own, so that the record that kills it or never ends can be found and left out.

The child writes the number of the rows it is about to work on into a small mapped file, which outlives it. When it dies
or stands still, the parent knows the batch; the next child takes that batch row by row, and the parent knows the
record, which leaves for the ledger as `quarantine` with the reason. Runs on the worker: the driver sees one attempt.
"""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from datapipe.errors import DatapipeError, StageError
from datapipe.local import POISON_LIMIT, Seeking, can_skip, run_guarded
from datapipe.task import Outcome, Task, run_task

_PLACE = struct.Struct("<qqq")  # start, rows, batches seen


def run_isolated(task: Task, attempt: int, seen: Callable[[int, int], None], stall_seconds: float) -> Outcome:
    """Runs a task in child processes until one gets through, leaving out the records that kill or hang it.

    Raises:
        StageError: what dies is not one record, or too many are.
        DatapipeError: what the child raised.
    """
    if not can_skip(task):
        return run_guarded(task, attempt, seen)
    skip: dict[int, str] = {}
    single = (0, 0)
    while True:
        outcome, reason, (start, rows) = _child(task, attempt, skip, single, seen, stall_seconds)
        if outcome is not None:
            return outcome
        if rows == 0 or len(skip) >= POISON_LIMIT or start in skip:
            raise StageError(f"{task.name}: {reason}, and no single record is to blame")
        if single[0] <= start < single[1] or rows == 1:
            skip = {**skip, start: reason}
        else:
            single = (start, start + rows)


def _child(
    task: Task,
    attempt: int,
    skip: dict[int, str],
    single: tuple[int, int],
    seen: Callable[[int, int], None],
    stall_seconds: float,
) -> tuple[Outcome | None, str, tuple[int, int]]:
    """Runs one child; returns its outcome, or why it has none and the rows it was at."""
    with tempfile.TemporaryDirectory(prefix="datapipe-") as folder:
        place, job, result = (os.path.join(folder, name) for name in ("place", "job", "result"))
        Path(place).write_bytes(_PLACE.pack(0, 0, 0))
        Path(job).write_bytes(pickle.dumps((task, attempt, skip, single, place, result)))
        path = os.pathsep.join(item for item in sys.path if item)
        command = [sys.executable, "-c", "from datapipe.cluster.isolate import child; child()", job]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)
        reason = _wait(process, place, seen, stall_seconds)
        start, rows, _ = _PLACE.unpack(Path(place).read_bytes())
        if not os.path.exists(result):
            return None, reason, (start, rows)
        outcome = pickle.loads(Path(result).read_bytes())
        if isinstance(outcome, DatapipeError):
            raise outcome
        if isinstance(outcome, str):
            return None, outcome, (start, rows)
        return outcome, "", (start, rows)


def _wait(process: subprocess.Popen[bytes], place: str, seen: Callable[[int, int], None], stall_seconds: float) -> str:
    """Waits for the child's end; returns how it came about, in words for the ledger."""
    last, since = b"", time.monotonic()
    while True:
        try:
            status = process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            now = Path(place).read_bytes()
            if now != last:
                last, since = now, time.monotonic()
                seen(0, 0)
            elif time.monotonic() - since > stall_seconds:
                process.kill()
                process.wait()
                return f"hang: no progress in {stall_seconds:g} s"
            continue
        if status < 0:
            return f"crash: {signal.Signals(-status).name}"
        return f"crash: exit status {status}"


class _Placing(Seeking):
    """A watch that writes where the task is into the mapped file."""

    def __init__(self, path: str, skip: dict[int, str], single: tuple[int, int]) -> None:
        super().__init__(lambda rows, size: None, skip, single)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), _PLACE.size)
        self.batches = 0

    def at(self, start: int, rows: int, size: int) -> None:
        """Notes the rows that are being worked on."""
        self.batches += 1
        self.map[:] = _PLACE.pack(start, rows, self.batches)


def child() -> None:
    """Runs the job whose file is named on the command line and leaves its outcome, or what it raised, in a file."""
    task, attempt, skip, single, place, result = pickle.loads(Path(sys.argv[-1]).read_bytes())
    try:
        outcome: Outcome | DatapipeError | str = run_task(task, attempt, _Placing(place, skip, single))
    except DatapipeError as error:
        outcome = error
    except Exception as error:  # noqa: BLE001 - a stage author's code may raise anything; the parent finds the record
        outcome = f"error:{type(error).__name__}: {error}"
    partial = f"{result}.part"
    Path(partial).write_bytes(pickle.dumps(outcome))
    os.replace(partial, result)
