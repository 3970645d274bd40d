"""The `datapipe` command. What takes long to load is loaded by the command that needs it, so all others answer soon."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import sys
import traceback
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from datapipe import logs, signals
from datapipe.errors import ConfigError, DatapipeError, Interrupted

if TYPE_CHECKING:
    from datapipe.report import Report

log = logging.getLogger(__name__)
TRAINERS = "datapipe.trainers"
COMMANDS = "datapipe.commands"
SHOWN = 5  # of what was set aside
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
trainers = typer.Typer(
    no_args_is_help=True, help="Train a model that a stage loads from a path.", rich_markup_mode=None
)

Config = Annotated[str, typer.Argument(help="a config in YAML", show_default=False)]
Folder = Annotated[str, typer.Argument(help="the --out folder of a run", show_default=False)]
Setting = Annotated[list[str] | None, typer.Option("--set", help="dotted.key=value in the place of the config's own")]
Sample = Annotated[float, typer.Option(help="share of the documents, drawn by a hash of their ids")]
Work = Annotated[
    str | None, typer.Option(help="folder of finished shards; OUT/work unless given; several configs may share it")
]


@app.command("run")
def run_command(
    config: Config,
    out: Annotated[str, typer.Option(help="folder for corpus, ledger, signals, keys and reports")],
    work: Work = None,
    settings: Setting = None,
    sample: Sample = 1.0,
    executor: Annotated[str, typer.Option(help="ray (a local one, or a cluster) or local (this process)")] = "ray",
    address: Annotated[
        str | None, typer.Option(help="Ray cluster: auto or HOST:PORT; RAY_ADDRESS does the same")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="processes of a local Ray; all cores unless given")] = None,
    replace: Annotated[bool, typer.Option(help="put this corpus in the place of another config's")] = False,
    keep: Annotated[
        str, typer.Option(help="all: keep finished shards for the next run; none: remove them at the end")
    ] = "all",
    strict: Annotated[bool, typer.Option(help="fail where two attempts at one shard differ")] = False,
    make_report: Annotated[
        bool,
        typer.Option("--report/--no-report", help="make reports/report.html at the end, as `datapipe report` does"),
    ] = True,
    log_format: Annotated[str | None, typer.Option(help="text or json; DATAPIPE_LOG_FORMAT does the same")] = None,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error; DATAPIPE_LOG_LEVEL does the same")
    ] = None,
) -> None:
    """Run a config; the same command again does what is left, or nothing."""
    _setup_logs(log_format, log_level)
    from datapipe.inspect import load_report
    from datapipe.job import run
    from datapipe.progress import listener

    hears = listener()
    try:
        report = run(
            config,
            out=out,
            work=work,
            settings=settings or [],
            sample=sample,
            executor=executor,
            address=address,
            workers=workers,
            replace=replace,
            keep=keep,
            strict=strict,
            listener=hears,
        )
    except KeyboardInterrupt:  # typer would end with 130, which says nothing of going on
        raise Interrupted(signals.STOPPED) from None
    except DatapipeError as error:
        if error.out:
            _funnel(load_report(error.out))
        raise
    finally:
        hears.close()
    _funnel(report)
    typer.echo(_closing(report))
    if make_report:
        _reports(report, executor=executor, address=address, workers=workers, keep=keep)
    raise typer.Exit(report.exit_status)


def _reports(report: Report, **where: Any) -> None:  # Any: see make_reports
    """Lets reporters say what they make of a corpus. It is made: what is not told now, the same command tells later."""
    from datapipe.job import make_reports
    from datapipe.progress import listener

    hears = listener()
    try:
        said = make_reports(report, listener=hears, **where)
    except KeyboardInterrupt:
        raise Interrupted(signals.STOPPED) from None
    finally:
        hears.close()
    for sentence in said:
        typer.echo(logs.shown(sentence))


def _setup_logs(log_format: str | None = None, log_level: str | None = None) -> None:
    logs.setup(log_format, log_level, quiet=sys.stderr.isatty())  # a terminal shows bars


def _funnel(report: Report) -> None:
    from datapipe.inspect import quarantined

    typer.echo(str(report))
    for line in quarantined(report.out, SHOWN) if report.set_aside else ():
        typer.echo(f"  {logs.shown(line)}")


def _closing(report: Report) -> str:
    done = f"made {report.made} shards" if report.made else "nothing to do: everything was made before"
    whole = os.path.join(report.out, "reports/report.json")
    made = [name for name in ("corpus", "documents") if any(file.startswith(f"{name}/") for file in report.published)]
    places = "".join(f"; {name} in {os.path.join(report.out, name)}" for name in made)
    return f"{done}{places}, report in {whole}"


@app.command("plan")
def plan_command(
    config: Config,
    out: Annotated[str | None, typer.Option(help="folder of the run, to see what is done")] = None,
    work: Work = None,
    settings: Setting = None,
    sample: Sample = 1.0,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="run on samples of the sources, and print what the whole would take")
    ] = False,
    cores: Annotated[int | None, typer.Option(min=1, help="cores to estimate the time for; this machine's")] = None,
    salt: Annotated[int, typer.Option(help="another one draws another sample for the estimate")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="the estimate as JSON, in bytes and seconds")] = False,
) -> None:
    """Print waves, tasks and fingerprints, what is done, and what is unknown until when.

    Of the sources it reads lists, the first bytes of large files and the footers of tables, to see what can be cut.
    With --estimate a sample of them is read and run, in a temporary folder.
    """
    from datapipe.job import plan

    if not estimate and (cores or salt or as_json):
        raise ConfigError("--cores, --salt and --json are for --estimate; give that too")
    planner = plan(config, work=work or os.path.join(out or "runs", "work"), settings=settings or [], sample=sample)
    if estimate:
        from datapipe.estimate import estimate as estimated

        expected = estimated(planner, cores=cores or os.cpu_count() or 1, salt=salt)
        typer.echo(expected.to_json() if as_json else str(expected))
        if not as_json:
            _print_notes(planner.notes_on({stage.stage: stage.documents_in for stage in expected.stages}))
        return
    typer.echo(f"config {planner.facts['config_sha256'][:16]}, {planner.source_bytes:,} bytes of sources")
    _print_notes([*planner.notes, *planner.notes_on({})])
    wave = -1
    for item in planner.forecast():
        if item.wave != wave:
            wave = item.wave
            typer.echo("done before" if wave == 0 else f"wave {wave}")
        shards = f"{item.shards} tasks" if item.shards is not None else f"unknown until {item.waits_for}"
        done = f", {item.done} done" if item.done else ""
        typer.echo(f"  {item.step.key:<34} {shards}{done}")


def _print_notes(notes: list[str]) -> None:
    for note in notes:
        typer.echo(f"  note: {note}")


@app.command("stages")
def stages_command() -> None:
    """Print every installed stage: its fields, their types, defaults and meanings."""
    from datapipe.config import installed_stages, load_stage

    for name, point in installed_stages().items():
        kind = load_stage(point)
        typer.echo(f"{name}: {(kind.__doc__ or '').strip().splitlines()[0]}")
        hints = get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            typer.echo(f"    {field.name}: {_type_name(hints[field.name])} = {_default(field)}")
            for meaning in getattr(hints[field.name], "__metadata__", ()):
                if isinstance(meaning, str):
                    typer.echo(f"        {meaning}")


def _type_name(hint: Any) -> str:  # Any: a type hint
    inner = hint.__origin__ if hasattr(hint, "__metadata__") else hint
    text = inner.__name__ if isinstance(inner, type) and not hasattr(inner, "__args__") else str(inner)
    text = re.sub(r"Annotated\[([\w.]+), Tag\([^)]*\)\]", r"\1", text)  # forms of a union by name
    return text.replace("typing.", "").replace("collections.abc.", "")


def _default(field: dataclasses.Field[Any]) -> str:  # Any: a field of any type
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not dataclasses.MISSING else "(required)"


@app.command("status")
def status_command(
    folder: Folder,
    work: Work = None,
    as_json: Annotated[bool, typer.Option("--json", help="all that is known")] = False,
) -> None:
    """Say how far a run is, on any machine that sees its folders: its driver's last word, and what is finished."""
    from datapipe.status import status, status_lines

    found = status(folder, work)
    for line in [json.dumps(found.to_json(), indent=1)] if as_json else status_lines(found):
        typer.echo(line)


@app.command("verify")
def verify_command(
    folder: Folder,
    figures: Annotated[
        str | None,
        typer.Option(
            metavar="K|all", help="figures of the report that are computed again from the data; 12 unless given"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="another one draws other figures")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="hash no tokens by themselves, and of the order only some blocks")
    ] = False,
    head: Annotated[
        str | None, typer.Option(help="SHA-256 that an entry of the log must have, as `datapipe audit log` printed it")
    ] = None,
    signers: Annotated[
        str | None, typer.Option("--allowed-signers", help="file of ssh-keygen that says whose signatures count")
    ] = None,
    signed: Annotated[
        bool, typer.Option("--signed", help="all must be as it was signed last, or it is a fault")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="faults and notes as JSON")] = False,
) -> None:
    """Check that all is whole: files, order, sums, figures of the report, overlays, samples, signatures, the log.

    Exit status 1 where anything is not as it was made or signed.
    """
    from datapipe.verify import FIGURES, Look, Note, looked

    if figures is not None and figures != "all" and not (figures.isascii() and figures.isdecimal()):
        raise ConfigError(f"--figures {figures}: is neither a number nor all")
    if signers is not None and not os.path.isfile(signers):
        raise ConfigError(f"--allowed-signers {signers}: there is no such file; ssh-keygen(1) says what stands in it")
    drawn = FIGURES if figures is None else None if figures == "all" else int(figures)
    look = Look(folder, quick=quick, figures=drawn, seed=seed, head=head, signers=signers, signed=signed)
    faults: list[str] = []
    notes: list[str] = []
    for said in looked(look):
        (notes if isinstance(said, Note) else faults).append(str(said))
        if not as_json:
            typer.echo(logs.shown(said))
    if as_json:
        told = {"folder": folder, "whole": not faults, "faults": list(map(_placed, faults)), "notes": notes}
        typer.echo(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        typer.echo(f"{folder}: {'not ' if faults else ''}whole" + (f", {len(faults)} faults" if faults else ""))
    raise typer.Exit(1 if faults else 0)


def _placed(fault: str) -> dict[str, str]:
    place, _, said = fault.partition(": ")
    return {"file": place, "fault": said}


@app.command("reproduce")
def reproduce_command(
    folder: Folder,
    inputs: Annotated[
        list[str] | None,
        typer.Option(help="where inputs lie now: OLD=NEW, beginnings of recorded paths, or a folder that holds them"),
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="folder for what is made again; a temporary one, removed, unless given")
    ] = None,
    work: Work = None,
    executor: Annotated[str, typer.Option(help="ray (a local one, or a cluster) or local (this process)")] = "ray",
    address: Annotated[
        str | None, typer.Option(help="Ray cluster: auto or HOST:PORT; RAY_ADDRESS does the same")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="processes of a local Ray; all cores unless given")] = None,
    check_only: Annotated[bool, typer.Option("--check-only", help="say what is known to differ; run nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="all that is known")] = False,
) -> None:
    """Run the recorded config of a run again, compare all digests, and say what differs first and why."""
    from datapipe.progress import listener
    from datapipe.reproduce import Reproduction, known, reproduce

    def heard(before: Reproduction) -> None:
        for line in known(before) if not as_json else ():
            typer.echo(logs.shown(line))

    hears = listener()
    try:
        done = reproduce(
            folder,
            inputs=inputs or [],
            out=out,
            work=work,
            executor=executor,
            address=address,
            workers=workers,
            check_only=check_only,
            listener=hears,
            heard=heard,
        )
    except KeyboardInterrupt:
        lost = "stopped; its temporary folder is removed, so it begins anew: --out or --work keeps what is finished"
        raise Interrupted(lost if out is None and work is None else signals.STOPPED) from None
    finally:
        hears.close()
    for line in [done.to_json()] if as_json else map(logs.shown, done.lines()):
        typer.echo(line)
    raise typer.Exit(done.exit_status)


@app.command("gc")
def gc_command(folder: Folder, work: Work = None) -> None:
    """Remove attempts that lost and finished shards that no run stands on."""
    from datapipe import storage
    from datapipe.clean import clean, clean_inside, work_of

    out = storage.absolute(folder)
    place, own = storage.absolute(work) if work else work_of(out), storage.join(out, "work")
    cleaned = clean(place)
    if own != place:  # where a report of a run that has its work elsewhere keeps its own
        cleaned = cleaned.more(clean_inside(own))
    typer.echo(f"removed {cleaned.steps} steps, {cleaned.files} files, {cleaned.bytes:,} bytes")


def _add(group: str, to: typer.Typer, name: str | None = None) -> None:
    """Adds the commands of an entry point group, or the one of that name; an app of typer is a group of commands."""
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        if name in (None, point.name):
            loaded = point.load()
            if isinstance(loaded, typer.Typer):  # commands of a group
                to.add_typer(loaded, name=point.name)
            else:
                to.command(point.name)(loaded)


def main() -> None:
    """Runs the command; every failure is a sentence and an exit status (see datapipe.errors)."""
    signals.install()
    try:
        status = _run()
    except KeyboardInterrupt:
        status = _say(signals.STOPPED, signals.STATUS)
    signals.ignore()
    sys.stdout.flush()
    sys.exit(status if isinstance(status, int) else 0)


def _run() -> object:
    """Returns the exit status, or what is none."""
    try:
        _setup_logs()
        first = next(iter(sys.argv[1:]), "--help")
        if first == "train":
            _add(TRAINERS, trainers)
        _add(COMMANDS, app, None if first.startswith("-") else first)
        app.add_typer(trainers, name="train")
        return app(prog_name="datapipe", standalone_mode=False)
    except DatapipeError as error:
        return _say(str(error), error.exit_status)
    except typer.Exit as leaving:
        return leaving.exit_code
    except typer.Abort:  # what typer makes of KeyboardInterrupt
        return _say(signals.STOPPED, signals.STATUS)
    except Exception as error:  # noqa: BLE001 - a fault of ours is a sentence too
        if os.environ.get("DATAPIPE_DEBUG"):
            typer.echo(logs.redact(traceback.format_exc()), err=True)
        return _usage(error)


def _usage(error: Exception) -> int:
    """Returns the status of a mistake on the command line (typer's), or of a fault of ours."""
    if hasattr(error, "format_message"):
        message = error.format_message()
        if message.startswith("Usage: "):  # nothing was asked for, so this is the help
            typer.echo(message, err=True)
            return 2
        command = getattr(getattr(error, "ctx", None), "command_path", "datapipe")
        return _say(f"{message} (see {command} --help)", 2)
    return _say(f"internal fault: {type(error).__name__}: {error} (DATAPIPE_DEBUG=1 shows where)", 1)


def _say(sentence: str, status: int) -> int:
    if logs.is_json():
        log.error("%s", sentence, extra={"event": "ended", "status": status})
    else:
        said = logs.redact(sentence).split("\n")  # of a parser there may be several lines
        typer.echo("datapipe: " + "\n".join(logs.shown(line) for line in said), err=True)
    return status


if __name__ == "__main__":
    main()
