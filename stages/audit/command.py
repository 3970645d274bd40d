"""`datapipe report`: the report on a finished run, as data, a page and lines; also at the end of `datapipe run`."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from datapipe import ConfigError, Report, shown, storage
from stages.audit.standing import CLAIM, PAGE, REPORT, TOPICS, digests, is_ours, read_run, stands

if TYPE_CHECKING:
    from stages.audit.counter import Facts
    from stages.audit.model import Audit

SEED: Final = 0
WORK: Final = "work/audit"  # under the folder that the report is put in
_LINK: Final = re.compile(r" ?\[[a-zA-Z0-9_.]+\]")  # to a figure, in a sentence of the page


def report(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="the --out folder of a run", show_default=False)],
    out: Annotated[
        str | None, typer.Option(help="folder to put reports/ into, where DIR cannot be written; DIR unless given")
    ] = None,
    executor: Annotated[str, typer.Option(help="local (this process) or ray (a local one, or a cluster)")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Ray cluster: auto or HOST:PORT; RAY_ADDRESS does the same")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="processes of a local Ray; all cores unless given")] = None,
    work: Annotated[
        str | None, typer.Option(help="folder of what was counted; work/audit of the report's folder unless given")
    ] = None,
    topics: Annotated[
        str | None,
        typer.Option(help="an earlier report's folder, or its reports/topics.json: its topics, to compare by"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="another one draws other documents")] = SEED,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
    funnel: Annotated[bool, typer.Option("--funnel", help="print the funnel of the run, and make nothing")] = False,
    gates: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="YAML list of limits, as of `datapipe diff`; exit status 1 where one fails"),
    ] = None,
) -> None:
    """Report on a finished run: what is in it, what was taken out and why, whom that hurt, what a model will see.

    Writes reports/report.json, its schema, and reports/report.html, a page that needs no network.
    """
    from stages.audit.gates import read_gates  # noqa: PLC0415

    limits = read_gates(gates) if gates is not None else ()
    if funnel and limits:
        raise ConfigError("--gates are of what a report says: leave --funnel out")
    run = read_run(folder, finished=not funnel)
    if funnel:
        typer.echo(run.to_json().decode() if as_json else str(run), nl=not as_json)
        return
    from datapipe import listener  # noqa: PLC0415 - who asks for the funnel, or for help, waits for no Arrow

    place, hears = place_of(folder, out), listener()
    where = {"executor": executor, "address": address, "workers": workers, "listener": hears}
    how: dict[str, Any] = {"work": work, "topics": topics, "seed": seed, **where}  # Any: as of `make`
    try:
        audit = make(folder, place, **how)
        facts = _counted(folder, place, **how)[0] if limits else None
    finally:
        hears.close()
    if as_json:
        typer.echo(storage.read_bytes(storage.join(place, REPORT)).decode(), nl=False)
    for line in describe(run, audit, place) if not as_json else ():
        typer.echo(shown(line))
    if facts is not None:
        from stages.audit.compare.gating import judged, of_report  # noqa: PLC0415 - as above
        from stages.audit.compare.lines import gates as lines  # noqa: PLC0415

        found = judged(limits, of_report(audit, facts))
        for line in ("", *lines(found)):
            typer.echo(shown(line), err=as_json)  # what is printed is JSON alone
        if not all(one.passed for one in found):
            raise typer.Exit(1)


def at_end(
    folder: str,
    *,
    executor: str,
    address: str | None,
    workers: int | None,
    keep: str,
    listener: Any,  # Any: of datapipe.run, which is the engine's
) -> list[str]:
    """Reports on what a run has published; returns where the page is. Of what is no corpus of ours, nothing is said."""
    if not is_ours(folder):
        return []
    if not stands(folder, folder):
        options = {"executor": executor, "address": address, "workers": workers, "keep": keep, "listener": listener}
        make(folder, folder, **options)
    return [f"page of the report in {storage.join(folder, PAGE)}"]


@contextmanager
def left_alone() -> Iterator[None]:
    """Keeps the garbage collector from what is there: it went through all that a run has made, again and again."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@left_alone()
def make(
    folder: str,
    place: str,
    *,
    work: str | None = None,
    topics: str | None = None,
    seed: int = SEED,
    keep: str = "all",
    **where: Any,  # Any: executor, address, workers and listener of datapipe.run
) -> Audit:
    """Makes the report on the run in `folder` and puts it under `place`; what was counted before is not counted again.

    Raises:
        ConfigError: there is no finished run, or `place` cannot be written.
        DataError: what the run published is damaged.
    """
    run = read_run(folder)
    if not is_ours(folder):
        raise ConfigError(
            f"{folder}: its last step is neither mix nor write, so there is no index and there are no documents to "
            "report on; --funnel prints what became of documents"
        )
    facts, cache = _counted(folder, place, work=work, topics=topics, seed=seed, **where)
    from stages.audit.places import install  # noqa: PLC0415
    from stages.audit.report import assemble, put  # noqa: PLC0415

    files = assemble(run, facts, digests(folder))
    put(files, place, install(storage.join(cache, "out"), place))
    if keep == "none":
        storage.remove(cache)
    return files.audit


def _counted(
    folder: str,
    place: str,
    *,
    work: str | None,
    topics: str | None,
    seed: int,
    **where: Any,  # Any: executor, address, workers and listener of datapipe.run
) -> tuple[Facts, str]:
    """Returns the facts of the run in `folder`, and where they are kept."""
    if topics is not None and storage.is_folder(topics):
        topics = storage.join(topics, TOPICS)
    if topics is not None and not storage.exists(topics):
        raise ConfigError(f"--topics {topics}: there is no such file; give the reports/topics.json of another report")
    from stages.audit.clusters import from_json  # noqa: PLC0415 - a run that has a good report loads none of this
    from stages.audit.run import facts_of  # noqa: PLC0415

    if topics is not None:
        from_json(storage.read_bytes(topics), f"--topics {topics}")  # before anything is counted
    cache = storage.absolute(work) if work else storage.join(place, WORK)
    return facts_of(storage.absolute(folder), place=cache, topics=topics, seed=seed, **where), cache


def place_of(folder: str, out: str | None) -> str:
    """Returns where the report on `folder` is put.

    Raises:
        ConfigError: it cannot be written there, or another run is there.
    """
    place = storage.absolute(out if out is not None else folder)
    if out is not None and place != storage.absolute(folder) and storage.exists(storage.join(place, CLAIM)):
        raise ConfigError(f"--out {out}: is the folder of another run, whose report it would replace; name another")
    if not storage.is_remote(place):
        there = place
        while not os.path.lexists(there):
            there = os.path.dirname(there)
        if not (os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)):
            said = f"--out {out}" if out is not None else folder
            raise ConfigError(f"{said}: cannot be written; put the report elsewhere by --out FOLDER")
    return place


def describe(run: Report, audit: Audit, place: str) -> Iterator[str]:
    """Yields the lines of a report: the funnel, the answers, what could not be told, and where the page is."""
    yield from str(run).split("\n")
    for figure in next((section.figures for section in audit.sections if section.key == "summary"), ()):
        yield ""
        yield figure.label.en
        if figure.note is not None:
            yield f"  {_LINK.sub('', figure.note.en)}"
    if audit.missing:
        yield ""
        yield from (f"not told: {said.en}" for said in audit.missing)
    page, data = (storage.join(place, name) for name in (PAGE, REPORT))
    yield ""
    yield f"page in {page} ({storage.size_of(page):,} bytes), data in {data}"
