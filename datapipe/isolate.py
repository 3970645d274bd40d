"""A trial of a task in a process of its own, so that what kills it or never ends can be found and left out.

The child writes the number of the rows it is about to work on, or of the file it reads, into a small mapped file, which
outlives it: when it dies or stands still, the parent knows where. Runs on the worker: the driver sees one attempt. Job
and result are pickled between the two on one machine, in a folder that its owner alone can read; never from a store.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import pickle
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from datapipe.errors import DatapipeError, Interrupted
from datapipe.local import INFRASTRUCTURE_FAILURES, run_guarded
from datapipe.poison import MEMORY, Death, Seeking, Trial, can_skip, inputs_of, try_once, without_poison
from datapipe.task import Outcome, Task

_PLACE = struct.Struct("<qqqq")  # first row, rows, things begun so far, number of the file that is being read or -1
_NOWHERE = _PLACE.pack(0, 0, 0, -1)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
PARENT_SECONDS = 2.0
START_SECONDS = 300.0  # for a child to import what it needs, on a machine that is busy
KILLED = "killed"


def run_isolated(
    task: Task,
    attempt: int,
    seen: Callable[[int, int], None],
    stall_seconds: float,
    *,
    forgiving: bool = False,
    blames_memory: bool = False,
) -> Outcome:
    """Runs a task in child processes until one gets through, leaving out the records and files that kill or hang it.

    With `blames_memory` a record that takes all the memory is left out like one that crashes.

    Raises:
        StageError: what dies is not one record, or too many are.
        MemoryError: a child was killed for want of memory, or said so.
        DatapipeError: what the child raised.
    """
    if not can_skip(task) and not inputs_of(task):
        return run_guarded(task, attempt, seen)

    def once(trial: Trial) -> Outcome | Death | None:
        for _ in range(INFRASTRUCTURE_FAILURES):
            came = _child(task, attempt, trial, seen, stall_seconds)
            if isinstance(came, Death) and came.of_memory and not blames_memory:
                raise MemoryError(came.reason)
            if not isinstance(came, Death) or came.reason != KILLED:
                return came
        raise Interrupted(f"{task.name}: its process was killed from outside {INFRASTRUCTURE_FAILURES} times")

    return without_poison(task, once, Trial(files={}, forgiving=forgiving, exact=True))


def _child(
    task: Task, attempt: int, trial: Trial, seen: Callable[[int, int], None], stall_seconds: float
) -> Outcome | Death | None:
    """Runs one child; returns what it came to. Raises what it raised of ours."""
    with tempfile.TemporaryDirectory(prefix="datapipe-") as folder:  # which is its owner's alone
        place, job, result = (os.path.join(folder, name) for name in ("place", "job", "result"))
        _write(place, _NOWHERE)
        _write(job, pickle.dumps((task, attempt, trial, place, result)))
        path = os.pathsep.join(item for item in sys.path if item)
        command = [sys.executable, "-c", "from datapipe.isolate import child; child()", job]
        kills = _memory_kills()
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)
        try:
            reason = _wait(process, place, seen, stall_seconds, kills)
        finally:
            process.kill()  # an attempt that is cancelled leaves no child
            process.wait()
        start, rows, _, file = _PLACE.unpack(Path(place).read_bytes())
        if not os.path.exists(result):
            # Reading is no crime of a file's where memory was the reason: the rows before may have taken it.
            return Death(reason, start, rows, -1 if reason.startswith(MEMORY) else file)
        came: Outcome | Death | DatapipeError | None = pickle.loads(Path(result).read_bytes())
        if isinstance(came, DatapipeError):
            raise came
        return came


def _write(path: str, content: bytes) -> None:
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)


def _wait(
    process: subprocess.Popen[bytes],
    place: str,
    seen: Callable[[int, int], None],
    stall_seconds: float,
    kills: int | None,
) -> str:
    """Waits for the child's end; returns how it came about, in words for the ledger."""
    last, since = _NOWHERE, time.monotonic() + START_SECONDS
    while True:
        try:
            status = process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            now = Path(place).read_bytes()
            if now != last:
                last, since = now, time.monotonic()
                seen(0, 0)
            elif time.monotonic() - since > stall_seconds:
                process.kill()
                process.wait()
                return "hang: no progress"  # not in how long: the ledger is no place for a setting of the run
            continue
        if status == -signal.SIGKILL:
            return KILLED if kills is not None and kills == _memory_kills() else f"{MEMORY}: killed for want of it"
        if status < 0:
            return f"crash: {signal.Signals(-status).name}"
        return f"crash: exit status {status}"


def _memory_kills() -> int | None:
    """Returns how many processes the kernel has killed for want of memory, a container's limit included; None: unknown.

    SIGKILL alone says not who sent it. The kernel counts before it sends.
    """
    with contextlib.suppress(OSError):
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
        return int(found[1]) if found else None
    return None


class _Placing(Seeking):
    """A watch that writes where the trial is into the mapped file."""

    def __init__(self, path: str, trial: Trial) -> None:
        super().__init__(trial, lambda rows, size: None)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), _PLACE.size)
        self.begun, self.is_reading = 1, False
        self._note()

    def at(self, start: int, rows: int, size: int) -> None:
        """Notes the rows that are being worked on."""
        super().at(start, rows, size)
        self._note()

    def at_file(self, number: int) -> None:
        """Notes the file of the source that is being read."""
        super().at_file(number)
        self._note()

    def goes_on(self) -> None:
        """Notes that it does."""
        self._note()

    def reading(self, begins: bool) -> None:
        """Notes whether a reader is at work."""
        self.is_reading = begins
        self._note()

    def _note(self) -> None:
        self.begun += 1
        self.map[:] = _PLACE.pack(self.start, self.rows, self.begun, self.file if self.is_reading else -1)


def _end_with(parent: int) -> None:
    """Ends this process when its parent is gone: nobody would hear of what it makes, or stop what never ends.

    The kernel does that where it can, native code or not; elsewhere a thread looks.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


def child() -> None:
    """Runs the job whose file is named on the command line and leaves what it came to, or raised, in a file."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    task, attempt, trial, place, result = pickle.loads(Path(sys.argv[-1]).read_bytes())
    try:
        came: Outcome | Death | DatapipeError | None = try_once(task, attempt, trial, _Placing(place, trial))
    except DatapipeError as error:
        came = error
    if isinstance(came, Death):
        came = replace(came, error=None)
    partial = f"{result}.part"
    _write(partial, pickle.dumps(came))
    os.replace(partial, result)
