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
import threading
import time
from collections.abc import Callable
from pathlib import Path

from datapipe.errors import DatapipeError, StageError
from datapipe.local import POISON_LIMIT, Seeking, can_skip, run_guarded
from datapipe.task import Outcome, Task, run_task, unreadable

_PLACE = struct.Struct("<qqqq")  # start, rows, batches seen, whether a reader is at work
_NOWHERE = _PLACE.pack(0, 0, 0, 0)
PARENT_SECONDS = 2.0
START_SECONDS = 60.0  # for a child to import what it needs


def run_isolated(task: Task, attempt: int, seen: Callable[[int, int], None], stall_seconds: float) -> Outcome:
    """Runs a task in child processes until one gets through, leaving out the records that kill or hang it.

    Raises:
        StageError: what dies is not one record, or too many are.
        UnreadableInput: it dies while the files of its source are read.
        DatapipeError: what the child raised.
    """
    head = task.segments[0].head
    if not can_skip(task) and (head is None or head.read is None):
        return run_guarded(task, attempt, seen)
    skip: dict[int, str] = {}
    single = (0, 0)
    while True:
        outcome, reason, (start, rows, reading) = _child(task, attempt, skip, single, seen, stall_seconds)
        if outcome is not None:
            return outcome
        if reading:
            raise unreadable(task, reason)
        if rows == 0 or len(skip) >= POISON_LIMIT or start in skip or not can_skip(task):
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
) -> tuple[Outcome | None, str, tuple[int, int, bool]]:
    """Runs one child; returns its outcome, or why it has none, the rows it was at, and whether a reader was at work."""
    with tempfile.TemporaryDirectory(prefix="datapipe-") as folder:
        place, job, result = (os.path.join(folder, name) for name in ("place", "job", "result"))
        Path(place).write_bytes(_NOWHERE)
        Path(job).write_bytes(pickle.dumps((task, attempt, skip, single, place, result)))
        path = os.pathsep.join(item for item in sys.path if item)
        command = [sys.executable, "-c", "from datapipe.cluster.isolate import child; child()", job]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)
        try:
            reason = _wait(process, place, seen, stall_seconds)
        finally:
            process.kill()  # an attempt that is cancelled leaves no child
            process.wait()
        start, rows, _, reading = _PLACE.unpack(Path(place).read_bytes())
        at = (start, rows, bool(reading))
        if not os.path.exists(result):
            return None, reason, at
        outcome = pickle.loads(Path(result).read_bytes())
        if isinstance(outcome, DatapipeError):
            raise outcome
        if isinstance(outcome, str):
            return None, outcome, at
        return outcome, "", at


def _wait(process: subprocess.Popen[bytes], place: str, seen: Callable[[int, int], None], stall_seconds: float) -> str:
    """Waits for the child's end; returns how it came about, in words for the ledger."""
    last, since = _NOWHERE, time.monotonic() + START_SECONDS
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
        super().__init__(lambda rows, size: None, skip, single, exact=True)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), _PLACE.size)
        self.begun, self.is_reading = 1, False
        self._note()

    def at(self, start: int, rows: int, size: int) -> None:
        """Notes the rows that are being worked on."""
        self.start, self.rows = start, rows
        self.begun += 1
        self._note()

    def reading(self, begins: bool) -> None:
        """Notes whether a reader is at work."""
        self.is_reading = begins
        self._note()

    def _note(self) -> None:
        self.map[:] = _PLACE.pack(self.start, self.rows, self.begun, self.is_reading)


def _end_with(parent: int) -> None:
    """Ends this process when its parent is gone: nobody would hear of what it makes, or stop what never ends."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


def child() -> None:
    """Runs the job whose file is named on the command line and leaves its outcome, or what it raised, in a file."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
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
