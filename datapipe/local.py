"""The executor in this process: tests, debugging, and the oracle that every other executor must agree with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from datapipe.errors import DatapipeError, StageError, UnreadableInput
from datapipe.task import Outcome, Task, Watch, run_task

REASON_CHARACTERS = 300
TASK_FAILURES = 3  # attempts at a task that a stage or a reader fails
POISON_LIMIT = 20  # records of one shard that may be set aside for killing or failing their function


class Executor(Protocol):
    """Runs tasks in any order and yields what each came to."""

    def run(self, tasks: Sequence[Task], seen: Callable[[Task, int, int], None]) -> Iterator[tuple[Task, Outcome]]:
        """Yields every task with its outcome; `seen(task, rows, bytes)` hears of input that is being worked on."""

    def close(self) -> None:
        """Ends what the executor started."""


class Local:
    """One task after the other, in this process."""

    def run(self, tasks: Sequence[Task], seen: Callable[[Task, int, int], None]) -> Iterator[tuple[Task, Outcome]]:
        """Yields every task with its outcome, in order."""
        for task in tasks:
            yield task, self._outcome(task, partial(seen, task))

    def _outcome(self, task: Task, seen: Callable[[int, int], None]) -> Outcome:
        for attempt in range(TASK_FAILURES):
            try:
                return run_guarded(task, attempt, seen)
            except UnreadableInput as error:
                unread = error
        if not task.quarantine:
            raise unread
        return run_task(task, TASK_FAILURES, aside=str(unread))

    def close(self) -> None:
        """Nothing was started."""


class Seeking(Watch):
    """A watch that remembers where the task is, and tells it on."""

    def __init__(
        self, seen: Callable[[int, int], None], skip: dict[int, str], single: tuple[int, int], *, exact: bool
    ) -> None:
        super().__init__(skip, single, exact=exact)
        self.seen = seen
        self.start = self.rows = 0

    def at(self, start: int, rows: int, size: int) -> None:
        """Remembers the rows that are being worked on."""
        self.start, self.rows = start, rows
        self.seen(rows, size)


def run_guarded(task: Task, attempt: int, seen: Callable[[int, int], None]) -> Outcome:
    """Runs a task; a record that makes a stage's function raise is found, set aside in the ledger, and left out.

    After a failure a second run says in which batch it is, a third with that batch row by row says which record.

    Raises:
        DatapipeError: ours, as it is: a broken contract, a full disk, a shard that cannot be read.
        StageError: no single record is to blame, or too many are.
    """
    skip: dict[int, str] = {}
    single, exact = (0, 0), False
    while True:
        watch = Seeking(seen, skip, single, exact=exact)
        try:
            return run_task(task, attempt, watch)
        except DatapipeError:
            raise
        except Exception as error:  # a stage author's code may raise anything
            if not exact:
                exact = True
                continue
            reason = f"error:{type(error).__name__}: {' '.join(str(error).split())[:REASON_CHARACTERS]}"
            known = single[0] <= watch.start < single[1]
            if not can_skip(task) or watch.rows == 0 or len(skip) >= POISON_LIMIT:
                raise StageError(f"{task.name}: {reason}{_at_fault(skip)}") from error
            if known or watch.rows == 1:
                if watch.start in skip:
                    raise StageError(f"{task.name}: {reason}") from error
                skip = {**skip, watch.start: reason}
            else:
                single = (watch.start, watch.start + watch.rows)


def can_skip(task: Task) -> bool:
    """Whether the rows of the task's input are documents that can leave for the ledger one by one."""
    first = task.segments[0]
    return first.head is not None and "id" in first.head.schema.names and first.calls[0].documents


def _at_fault(skip: dict[int, str]) -> str:
    return f" ({len(skip)} records were set aside before)" if skip else ""
