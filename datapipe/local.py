"""The executor in this process: tests, debugging, and the oracle that every other executor must agree with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from datapipe.errors import DatapipeError, Interrupted, Refused, StageError, Unreachable, UnreadableInput
from datapipe.poison import Death, Seeking, Trial, try_once, without_poison
from datapipe.task import Outcome, Task

TASK_FAILURES = 3  # attempts at a task that a stage or a reader fails
INFRASTRUCTURE_FAILURES = 20  # attempts at a task whose store does not answer, or whose node is lost
REFUSALS = 6  # attempts at a task that a store or disk refuses: keys may be renewed, or a disk mounted, meanwhile
BACKOFF_SECONDS = 30.0  # at most


class Executor(Protocol):
    """Runs tasks in any order and yields what each came to."""

    def run(self, tasks: Sequence[Task], seen: Callable[[Task, int, int], None]) -> Iterator[tuple[Task, Outcome]]:
        """Yields every task with its outcome; `seen(task, rows, bytes)` hears of input that is being worked on."""

    def describe(self) -> dict[str, Any]:  # Any: JSON
        """Returns what it runs on, for work/run.json."""

    def close(self) -> None:
        """Ends what the executor started."""


class Local:
    """One task after the other, in this process."""

    def run(self, tasks: Sequence[Task], seen: Callable[[Task, int, int], None]) -> Iterator[tuple[Task, Outcome]]:
        """Yields every task with its outcome, in order."""
        for task in tasks:
            yield task, self._outcome(task, partial(seen, task))

    def _outcome(self, task: Task, seen: Callable[[int, int], None]) -> Outcome:
        attempt = unread = unreached = 0
        while True:
            try:
                return run_guarded(task, attempt, seen, forgiving=unread >= TASK_FAILURES)
            except UnreadableInput:
                unread += 1
                if unread > TASK_FAILURES or (unread == TASK_FAILURES and not task.quarantine):
                    raise
            except (Unreachable, Refused) as error:
                unreached += 1
                if unreached >= (REFUSALS if isinstance(error, Refused) else INFRASTRUCTURE_FAILURES):
                    raise stopped_by(error) from error
                time.sleep(backoff_seconds(unreached))
            except MemoryError as error:
                raise out_of_memory(task, f"in this process ({error})") from error
            attempt += 1

    def describe(self) -> dict[str, Any]:  # Any: JSON
        """Returns nothing: the environment of the run says it."""
        return {}

    def close(self) -> None:
        """Nothing was started."""


def run_guarded(task: Task, attempt: int, seen: Callable[[int, int], None], *, forgiving: bool = False) -> Outcome:
    """Runs a task; a record that makes a stage's function raise is found, set aside in the ledger, and left out.

    With `forgiving` so is a file that its reader fails on.

    Raises:
        DatapipeError: ours, as it is: a broken contract, a full disk, a shard that cannot be read.
        StageError: no single record is to blame, or too many are.
        MemoryError: no single record takes all the memory.
    """

    def once(trial: Trial) -> Outcome | Death | None:
        return try_once(task, attempt, trial, Seeking(trial, seen))

    return without_poison(task, once, Trial(files={} if forgiving else None, forgiving=forgiving))


def stopped_by(error: DatapipeError) -> DatapipeError:
    """Returns the error that ends a run for good: one refused in its midst can go on when access is given again."""
    if not isinstance(error, Refused):
        return error
    return Interrupted(f"{error}; what is finished stays: run the same command again when it is allowed")


def backoff_seconds(failures: int) -> float:
    """Returns how long to wait after that many failures in a row: 1, 2, 4 and so on seconds."""
    return float(min(BACKOFF_SECONDS, 2 ** (failures - 1)))


def out_of_memory(task: Task, where: str) -> StageError:
    """Returns the error for a task that takes more memory than there is."""
    smaller = "a smaller bytes_per_shard makes smaller tasks"
    if task.holds_bytes:
        smaller = f"by the fields of its step it holds up to {task.holds_bytes >> 20:,} MiB: ask it for less"
    return StageError(
        f"{task.name}: out of memory {where}; {smaller}, or run it on nodes with more memory for each core"
    )
