"""Progress: a bar a wave on a terminal, a log line every 30 seconds elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

from datapipe.logs import is_json
from datapipe.plan import Wave
from datapipe.task import Outcome, Task

if TYPE_CHECKING:
    from rich.progress import TaskID

log = logging.getLogger(__name__)
LINE_SECONDS = 30.0


class Tally:
    """What a wave has done so far."""

    def __init__(self, wave: Wave) -> None:
        self.name = "+".join(dict.fromkeys(step.stage for step in wave.steps))
        self.number, self.tasks, self.done = wave.number, len(wave.tasks), 0
        self.documents = self.dropped = self.rows = self.bytes = 0
        self.started = time.monotonic()

    def seen(self, rows: int, size: int) -> None:
        """Takes rows in that are being worked on."""
        self.rows += rows
        self.bytes += size

    def finished(self, outcome: Outcome) -> None:
        """Takes a finished task in."""
        self.done += 1
        for shard in outcome.shards:
            for place, passed in enumerate(item for item in shard.passed if item.documents):
                self.documents += passed.rows_in if place == 0 else 0
                self.dropped += passed.dropped

    def __str__(self) -> str:
        seconds = max(1e-6, time.monotonic() - self.started)
        share = f", {self.dropped / self.documents:.1%} dropped" if self.documents else ""
        return f"{self.rows / seconds:,.0f} rows/s {self.bytes / seconds / 1e6:.1f} MB/s{share}"


class Bars:
    """A bar a wave, with rows and megabytes a second, time left, and the share that was dropped."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - whose run has no terminal waits for none of it
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bars = Progress(*columns, TextColumn("{task.fields[tally]}"), console=Console(stderr=True))
        self.tally: Tally | None = None
        self.bar: TaskID | None = None

    def wave(self, wave: Wave) -> None:
        """Begins a bar."""
        self.bars.start()
        self.tally = Tally(wave)
        self.bar = self.bars.add_task(f"{wave.number}. {self.tally.name}", total=len(wave.tasks), tally="")

    def seen(self, task: Task, rows: int, size: int) -> None:
        """Moves the rates on."""
        if self.tally and self.bar is not None:
            self.tally.seen(rows, size)
            self.bars.update(self.bar, tally=str(self.tally))

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Moves the bar on."""
        if self.tally and self.bar is not None:
            self.tally.finished(outcome)
            self.bars.update(self.bar, advance=1, tally=str(self.tally))

    def close(self) -> None:
        """Leaves the terminal as it was."""
        self.bars.stop()


class Lines:
    """A log line when a wave begins, then one every 30 seconds, and one when it ends."""

    def __init__(self) -> None:
        self.tally: Tally | None = None
        self.said = 0.0

    def wave(self, wave: Wave) -> None:
        """Says that a wave begins."""
        self.tally = Tally(wave)
        self._say("wave_started", f"{self.tally.tasks} tasks")

    def seen(self, task: Task, rows: int, size: int) -> None:
        """Takes rows in; says so where it is time."""
        if self.tally:
            self.tally.seen(rows, size)
            self._due()

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Takes a finished task in; says so where it is time."""
        if not self.tally:
            return
        self.tally.finished(outcome)
        if self.tally.done < self.tally.tasks:
            self._due()
        else:
            self._say("wave_finished", f"done in {time.monotonic() - self.tally.started:,.1f} s, {self.tally}")

    def close(self) -> None:
        """Nothing is open."""

    def _due(self) -> None:
        if self.tally and time.monotonic() - self.said >= LINE_SECONDS:
            left = self.tally.tasks - self.tally.done
            self._say("progress", f"{left} of {self.tally.tasks} tasks left, {self.tally}")

    def _say(self, event: str, what: str) -> None:
        assert self.tally is not None
        self.said = time.monotonic()
        tally = self.tally
        log.info(
            "wave %d: %s, %s",
            tally.number,
            tally.name,
            what,
            extra={
                "event": event,
                "wave": tally.number,
                "stages": tally.name.split("+"),
                "tasks": tally.tasks,
                "tasks_done": tally.done,
                "documents": tally.documents,
                "dropped": tally.dropped,
                "rows": tally.rows,
                "bytes": tally.bytes,
                "seconds": round(time.monotonic() - tally.started, 3),
            },
        )


def listener() -> Bars | Lines:
    """Returns bars where a terminal shows them, else lines."""
    return Bars() if sys.stderr.isatty() and not is_json() else Lines()
