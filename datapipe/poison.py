"""Finding what a task dies of: the record that its functions cannot bear, the file that its reader cannot.

A *trial* runs the task once and says what it came to; who runs it (this process, or a child that may crash or hang) is
the caller's. A task that dies at a batch is tried again with that batch row by row, and the row it dies at is left
out. If it dies still, that row is tried alone: a function that gathers rows before it works dies rows after the one
that is to blame. A row that does no harm alone comes back, and bisection finds the least number of rows that kills: its
last row is to blame. So every record that leaves for the ledger is one without which the task goes on.

A task that dies for want of memory may do so anywhere; a record is to blame only if it does alone what they all do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from datapipe import storage
from datapipe.dataset import Batches, InputFile, ReadFunction
from datapipe.errors import DatapipeError, StageError, UnreadableInput
from datapipe.logs import redact
from datapipe.task import PASSING, Outcome, Task, Watch, run_task, unreadable
from datapipe.work import Work, shard_ids

REASON_CHARACTERS = 300
POISON_LIMIT = 20  # records of one shard that may be set aside for killing or failing their function; files likewise
MEMORY = "memory"  # the rule of records that take all memory there is
MEMORY_LIMIT = 3  # such records of one shard: where there are more, it is not they that are too large


@dataclass(frozen=True)
class Trial:
    """How a task is run once: what it leaves out, and whether anything is made of it.

    `skip` and `files` are rows of the input and files of the source, by number, with the reasons; with `files` the
    source is read file by file. `forgiving` sets a file aside that a reader fails on. Rows `single` are handed on one
    by one. A probe hands on no rows but `only`, and makes nothing.
    """

    skip: Mapping[int, str] = field(default_factory=dict)
    files: Mapping[int, str] | None = None
    forgiving: bool = False
    single: tuple[int, int] = (0, 0)
    exact: bool = False
    only: tuple[int, int] | None = None


@dataclass(frozen=True)
class Death:
    """How a trial ended that came to nothing: why, and the rows, or the file of the source, that it was at."""

    reason: str
    start: int = 0
    rows: int = 0
    file: int = -1
    error: Exception | None = None

    @property
    def of_memory(self) -> bool:
        """Whether there was too little memory."""
        return self.reason.startswith(MEMORY)


Once = Callable[[Trial], Outcome | Death | None]  # None: a probe went through


def without_poison(task: Task, once: Once, trial: Trial) -> Outcome:
    """Returns what the task comes to without the records and files that kill it.

    Raises:
        StageError: no single record is to blame, or too many are.
        MemoryError: no single record takes all the memory.
        DatapipeError: what a trial raises.
    """
    try:
        return _Search(task, once, trial).outcome()
    except _MadeElsewhere as made:
        return made.outcome


class _MadeElsewhere(Exception):
    """A probe found the task done: another attempt was faster."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class _Search:
    """The trials of one task, one after the other."""

    def __init__(self, task: Task, once: Once, trial: Trial) -> None:
        self.task, self.once, self.trial = task, once, trial
        self.doubted: int | None = None  # the row blamed last, until it is known to kill alone

    def outcome(self) -> Outcome:
        while True:
            death = self.once(self.trial)
            if isinstance(death, Outcome):
                return death
            assert death is not None, "only a probe makes nothing"
            if death.file >= 0:
                self.trial = _without_file(self.task, self.trial, death)
            elif not self.trial.exact:
                self.trial = replace(self.trial, exact=True)
            elif not can_skip(self.task) or death.rows == 0 or len(self.trial.skip) >= POISON_LIMIT:
                raise self._nobody(death)
            else:
                self._blame(death)

    def _blame(self, death: Death) -> None:
        """Finds out more, and perhaps the record, for the next trial to leave out."""
        row = death.start
        if self.doubted is not None and not self._kills(self.doubted, self.doubted + 1):
            kept = {number: reason for number, reason in self.trial.skip.items() if number != self.doubted}
            self.trial, self.doubted = replace(self.trial, skip=kept), None
            self._bisect(death)
        elif death.rows > 1 and not self.trial.single[0] <= row < self.trial.single[1]:
            self.trial, self.doubted = replace(self.trial, single=(row, row + death.rows)), None
        elif row in self.trial.skip:
            self._bisect(death)
        elif death.of_memory and (self._starved() >= MEMORY_LIMIT or not self._kills(row, row + 1)):
            raise self._nobody(death)
        else:
            self._leave_out(row, death)
            self.doubted = row

    def _bisect(self, death: Death) -> None:
        """Leaves out the last of the fewest rows that kill. They kill at their end too, where functions do the rest."""
        low, high = 0, death.start + death.rows
        if death.of_memory or not self._kills(0, high) or self._kills(0, 0):
            raise self._nobody(death)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._kills(0, middle) else (middle, high)
        self._leave_out(high - 1, death)

    def _starved(self) -> int:
        return sum(reason.startswith(MEMORY) for reason in self.trial.skip.values())

    def _leave_out(self, row: int, death: Death) -> None:
        self.trial = replace(self.trial, skip={**self.trial.skip, row: death.reason})

    def _kills(self, start: int, end: int) -> bool:
        """Whether the task dies of rows `start` to `end` alone, but for those that are left out before."""
        skip = {} if end - start == 1 else self.trial.skip
        came = self.once(replace(self.trial, skip=skip, single=(0, 0), only=(start, end)))
        if isinstance(came, Outcome):
            raise _MadeElsewhere(came)
        return came is not None

    def _nobody(self, death: Death) -> Exception:
        """Returns the error for a death that is no one record's fault."""
        if death.of_memory:
            return MemoryError(death.reason)
        before = f" ({len(self.trial.skip)} records were set aside before)" if self.trial.skip else ""
        why = "" if death.error else ", and no single record is to blame"
        error = StageError(f"{self.task.name}: {death.reason}{why}{before}")
        error.__cause__ = death.error
        return error


def _without_file(task: Task, trial: Trial, death: Death) -> Trial:
    """Returns the trial that leaves out the file too; beyond the limit, those after it as well."""
    reason = str(unreadable(task, death.reason, death.file))
    if not task.quarantine:
        raise UnreadableInput(reason)
    files = {**(trial.files or {}), death.file: reason}
    if len(files) > POISON_LIMIT:
        rest = range(death.file + 1, len(inputs_of(task)))
        files |= dict.fromkeys(rest, f"not read: {POISON_LIMIT} files of its shard ended their reader")
    return replace(trial, files=files, single=(0, 0), skip={})  # rows have other numbers now


def can_skip(task: Task) -> bool:
    """Whether the rows of the task's input are documents that can leave for the ledger one by one."""
    first = task.segments[0]
    return first.head is not None and "id" in first.head.schema.names and first.calls[0].documents


def inputs_of(task: Task) -> Sequence[InputFile]:
    """Returns the files of a source that the task reads."""
    head = task.segments[0].head
    return head.inputs if head is not None and head.read is not None else ()


class Seeking(Watch):
    """A watch that remembers where a trial is, and tells it on."""

    def __init__(self, trial: Trial, seen: Callable[[int, int], None]) -> None:
        skip = trial.skip if trial.only is None else _Outside(trial.only, trial.skip)
        super().__init__(skip, trial.single, exact=trial.exact)
        self.seen, self.probing = seen, trial.only is not None
        self.start = self.rows = 0
        self.file = -1

    def at(self, start: int, rows: int, size: int) -> None:
        """Remembers the rows that are being worked on."""
        self.start, self.rows = start, rows
        self.seen(rows, size)

    def goes_on(self) -> None:
        """Tells it on."""
        self.seen(0, 0)

    def at_file(self, number: int) -> None:
        """Remembers the file of the source that is being read."""
        self.file = number

    def made(self) -> None:
        """Ends a probe."""
        if self.probing:
            raise Through


class Through(Exception):
    """A probe went through."""


class _Outside(Mapping[int, str]):
    """All rows but a range, and those of it that are skipped anyway."""

    def __init__(self, rows: tuple[int, int], skip: Mapping[int, str]) -> None:
        self.rows, self.skip = range(*rows), skip

    def __getitem__(self, row: int) -> str:
        return self.skip[row] if row in self.rows else "probe"

    def __iter__(self) -> Iterator[int]:
        return iter(self.skip)

    def __len__(self) -> int:
        return 1  # or more: it is never empty


def try_once(task: Task, attempt: int, trial: Trial, watch: Seeking) -> Outcome | Death | None:
    """Runs a trial in this process.

    Raises:
        DatapipeError: ours, as it is: a broken contract, a full disk, a shard that cannot be read.
    """
    reader = FileByFile(task, trial, watch.at_file) if trial.files is not None and inputs_of(task) else None
    try:
        return run_task(task if reader is None else reader.task(), attempt, watch)
    except Through:
        return None
    except UnreadableInput:
        if reader is None or not reader.failed:
            raise
        return Death(reader.failed, file=watch.file)
    except DatapipeError:
        raise
    except MemoryError as error:
        return Death(f"{MEMORY}: {_named(error)}", watch.start, watch.rows, error=error)
    except Exception as error:  # noqa: BLE001 - a stage author's code may raise anything
        return Death(f"error:{_named(error)}", watch.start, watch.rows, error=error)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(redact(str(error)).split())[:REASON_CHARACTERS]}"


class FileByFile:
    """A reader that reads the files of a source one at a time, but for those that are set aside whole."""

    def __init__(self, task: Task, trial: Trial, at_file: Callable[[int], None]) -> None:
        self.whole, self.at_file = task, at_file
        self.aside, self.forgiving = trial.files or {}, trial.forgiving
        self.source = task.segments[0].source
        self.failed = ""  # why the file being read is to be set aside, of which there were rows already

    def task(self) -> Task:
        """Returns the task, to be read by this reader."""
        first = self.whole.segments[0]
        assert first.head is not None
        first = replace(first, head=replace(first.head, read=self))
        return replace(self.whole, segments=(first, *self.whole.segments[1:]))

    def __call__(self, files: Sequence[InputFile], work: Work) -> Batches:
        """Yields the rows of the files. Raises what a reader raises, where it is not forgiven or comes after rows."""
        head = self.whole.segments[0].head
        assert head is not None
        assert head.read is not None
        for number, file in enumerate(files):
            self.at_file(number)
            if number in self.aside:
                self._set_aside(file, self.aside[number], work)
            else:
                yield from self._rows(head.read, number, file, work)

    def _rows(self, read: ReadFunction, number: int, file: InputFile, work: Work) -> Batches:
        begun = False
        try:
            for batch in read((file,), work):
                begun = begun or batch.num_rows > 0
                yield batch
        except PASSING:
            raise
        except Exception as error:
            if not self.forgiving or storage.is_full(error):
                raise
            reason = _named(error)
            if begun:
                self.failed = reason
                raise
            self._set_aside(file, str(unreadable(self.whole, reason, number)), work)

    def _set_aside(self, file: InputFile, reason: str, work: Work) -> None:
        """Leaves a ledger row for a file that nothing of is taken."""
        name = file.name if file.part is None else f"{file.name}:{file.part[0]}-{file.part[1]}"
        columns = [shard_ids(self.source, [name]), pa.array([self.source]), pa.array([name])]
        batch = pa.RecordBatch.from_arrays(columns, names=["id", "source", "url"])
        work.note(batch, [0], action="quarantine", rule="unreadable_shard", note=reason)
