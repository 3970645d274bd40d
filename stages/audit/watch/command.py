"""`datapipe watch`: a run while it goes on, and a warning while it can still be stopped."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

import datapipe
from datapipe import shown

if TYPE_CHECKING:
    from datapipe import Status
    from stages.audit.watch.limits import Limits
    from stages.audit.watch.view import View

TOLERANCE: Final = 0.05  # of shares, beyond the interval of the earlier run
BUSY: Final = 0.2  # of the time between two looks is spent reading, at most
INTERRUPTED: Final = 75  # exit status: the same command goes on


def watch(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="the --out folder of a run", show_default=False)],
    work: Annotated[
        str | None, typer.Option(help="its work folder; that of the last run into DIR unless given")
    ] = None,
    gates: Annotated[
        str | None,
        typer.Option(help="YAML list of limits, such as rule.quality.zh_length < .1, survival.zho_Hant > .7"),
    ] = None,
    like: Annotated[
        str | None, typer.Option(help="folder of an earlier run: what to expect of rules and groups")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="by how much shares may differ from --like beyond their intervals")
    ] = TOLERANCE,
    every: Annotated[float, typer.Option(min=0.5, help="seconds between two looks")] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="look once; exit status 1 where a band was left")] = False,
    stop: Annotated[
        bool, typer.Option("--stop", help="where a band is left, stop the run (its driver must be on this machine)")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="a line of JSON for each look")] = False,
) -> None:
    """Watch a run: funnel, what rules take, diversity and groups so far, and what leaves its expected band.

    It ends with the run. Exit status 0: the run has finished and every band was kept (with --once: it is kept so far),
    1: a band was left, or the run ended otherwise.
    """
    watched = Watched(folder, work, gates=gates, like=like, tolerance=tolerance)
    if once:
        view = watched.look()
        show(view, as_json=as_json)
        raise typer.Exit(_stopped(view) if stop and view.left else int(bool(view.left)))
    try:
        view = _follow(watched, every, stop=stop, as_json=as_json)
    except KeyboardInterrupt:
        typer.echo("datapipe: the watch has ended, the run has not; watch it again by the same command", err=True)
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(int(bool(view.left) or view.status.state != "finished"))


class Watched:
    """A run that is looked at again and again.

    Raises:
        ConfigError: no run has been in the folder, or gates or the earlier run cannot be read.
    """

    def __init__(
        self,
        folder: str,
        work: str | None = None,
        *,
        gates: str | None = None,
        like: str | None = None,
        tolerance: float = TOLERANCE,
    ) -> None:
        from stages.audit.gates import read_gates  # noqa: PLC0415 - who asks for help waits for no Arrow
        from stages.audit.watch import held, seen  # noqa: PLC0415
        from stages.audit.watch.like import like as like_of  # noqa: PLC0415

        self.folder, self.work = folder, work
        found = datapipe.status(folder, work)
        both = gates is not None and like is not None
        self.alarms = held.ALARMS / 2 if both else held.ALARMS  # either may raise a false alarm in half of runs that do
        self.gates = read_gates(gates) if gates is not None else ()
        self.limits = self._limits(found)
        self.against = held.Against(like_of(like), tolerance, alarms=self.alarms) if like is not None else None
        self.like = like or ""
        self.seen = seen.Seen(found.work)

    def _limits(self, found: Status) -> Limits | None:
        """Returns the gates by the stages of the run; None while a driver that has just begun knows none of them."""
        from stages.audit.watch.limits import Limits  # noqa: PLC0415

        is_new = found.state == "running" and not found.driver["steps"]
        return None if is_new else Limits(self.gates, found, alarms=self.alarms)

    def look(self, seconds: float | None = None) -> View:
        """Returns how the run stands; at most so many seconds are spent reading, and the rest is read at the next."""
        from stages.audit.watch.seen import Diversity, Part, done_of, stages_of  # noqa: PLC0415
        from stages.audit.watch.view import View  # noqa: PLC0415

        found = datapipe.status(self.folder, self.work)
        limits = self.limits = self.limits or self._limits(found)
        if limits is None:
            return View(found, self.seen)

        def hears(part: Part) -> None:
            limits.add(part, self.seen.diversity.get(part.place.stage, Diversity()))
            if self.against is not None:
                self.against.add(part)

        until = time.monotonic() + seconds if seconds is not None else None
        asked = {*limits.stages, *(self.against.held if self.against is not None else ())}
        all_read = self.seen.read(found, asked, hears, lambda: until is None or time.monotonic() < until)
        ended = {
            stage
            for stage in stages_of(found)
            for done, tasks in [done_of(found, stage)]
            if done == tasks and done == sum(n for place, n in self.seen.shards.items() if place == (stage, True))
        }
        readings = [*limits.readings(found, self.seen, ended)]
        unknown: dict[str, tuple[str, ...]] = {}
        if self.against is not None:
            readings += self.against.readings(ended)
            unknown = {kind: tuple(sorted(names)) for kind, names in sorted(self.against.unknown.items())}
        others = tuple(limits.others)
        return View(found, self.seen, not all_read, tuple(readings), unknown, others, self.like)


def show(view: View, *, as_json: bool) -> None:
    """Prints what was seen at one look."""
    from stages.audit.watch.view import lines  # noqa: PLC0415

    for line in [json.dumps(view.to_json(), ensure_ascii=False, default=str)] if as_json else lines(view):
        typer.echo(shown(line))


def _follow(watched: Watched, every: float, *, stop: bool, as_json: bool) -> View:
    """Looks until the run ends, and returns the last look: a picture on a terminal, else what is new as lines."""
    shows: Callable[[View], None]
    if as_json:
        shows = lambda view: show(view, as_json=True)  # noqa: E731
    elif sys.stdout.isatty():
        return _live(watched, every, stop=stop)
    else:
        shows = Told()
    for view in _looks(watched, every, stop=stop):
        if as_json or view.behind or view.status.state == "running":  # the last look is shown whole
            shows(view)
            sys.stdout.flush()
    if not as_json:
        show(view, as_json=False)
    return view


def _live(watched: Watched, every: float, *, stop: bool) -> View:
    from rich.console import Console  # noqa: PLC0415 - who has no terminal waits for none of it
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from stages.audit.watch.view import lines  # noqa: PLC0415

    with Live(console=Console(highlight=False), auto_refresh=False, vertical_overflow="crop", screen=False) as live:
        for view in _looks(watched, every, stop=stop):
            said = [Text(shown(line), style="bold red" if line.startswith("!") else "") for line in lines(view)]
            live.update(Text("\n").join(said), refresh=True)
    return view


class Told:
    """Says what is new in lines: how far the run is, once a minute, and each band that is left, once."""

    def __init__(self) -> None:
        self.said, self.last = set[str](), -60.0

    def __call__(self, view: View) -> None:
        """Says what is new."""
        from stages.audit.watch.view import lines  # noqa: PLC0415

        new = [one.name for one in view.left if one.name not in self.said]
        if new or time.monotonic() - self.last >= 60:
            self.last = time.monotonic()
            self.said.update(new)
            until = (line for line in lines(view) if line)
            for line in until:
                if line.lstrip().startswith("stage "):
                    break
                typer.echo(shown(line))


def _looks(watched: Watched, every: float, *, stop: bool) -> Iterator[View]:
    """Yields a look, and another, until the run does not go on and all is read."""
    asked = False
    while True:
        view = watched.look(every * BUSY)
        yield view
        if stop and view.left and not asked and view.status.state == "running":
            asked = True
            _stopped(view)
        if view.status.state != "running" and not view.behind:
            return
        time.sleep(every if view.status.state == "running" else 0)


def _stopped(view: View) -> int:
    """Stops the run of which a band was left, where its driver is on this machine; returns 1."""
    said = view.status.driver
    if not said or view.status.state != "running":
        return 1
    if not datapipe.interrupt(said):
        from stages.audit.watch.view import how_to_stop  # noqa: PLC0415

        typer.echo(
            shown(f"datapipe: its driver is no known process of this machine; {how_to_stop(view.status)}"),
            err=True,
        )
        return 1
    typer.echo(f"datapipe: told the run (process {said['pid']}) to stop; finished shards stay", err=True)
    return 1
