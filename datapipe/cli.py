"""The `datapipe` command."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import sys
from importlib.metadata import entry_points
from types import FrameType
from typing import Annotated, Any, get_type_hints

import typer

from datapipe.clean import clean
from datapipe.config import installed_stages, load_stage
from datapipe.errors import DatapipeError, Interrupted
from datapipe.inspect import explain_lines, load_report, quarantined, show, verify
from datapipe.job import plan, run
from datapipe.progress import listener
from datapipe.report import Report

TRAINERS = "datapipe.trainers"
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
) -> None:
    """Run a config; the same command again does what is left, or nothing."""
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
        raise Interrupted("stopped; what is finished stays, and the same command goes on from there") from None
    except DatapipeError as error:
        if error.out:
            _funnel(load_report(error.out))
        raise
    finally:
        hears.close()
    _funnel(report)
    typer.echo(_closing(report))
    raise typer.Exit(report.exit_status)


def _funnel(report: Report) -> None:
    typer.echo(str(report))
    for line in quarantined(report.out, SHOWN) if report.set_aside else ():
        typer.echo(f"  {line}")


def _closing(report: Report) -> str:
    done = f"made {report.made} shards" if report.made else "nothing to do: everything was made before"
    corpus, whole = os.path.join(report.out, "corpus"), os.path.join(report.out, "reports/report.json")
    return f"{done}; corpus in {corpus}, report in {whole}"


@app.command("plan")
def plan_command(
    config: Config,
    out: Annotated[str | None, typer.Option(help="folder of the run, to see what is done")] = None,
    work: Work = None,
    settings: Setting = None,
    sample: Sample = 1.0,
) -> None:
    """Print waves, tasks and fingerprints, what is done, and what is unknown until when; reads no data."""
    planner = plan(config, work=work or os.path.join(out or "runs", "work"), settings=settings or [], sample=sample)
    typer.echo(f"config {planner.facts['config_sha256'][:16]}, {planner.source_bytes:,} bytes of sources")
    wave = -1
    for item in planner.forecast():
        if item.wave != wave:
            wave = item.wave
            typer.echo("done before" if wave == 0 else f"wave {wave}")
        shards = f"{item.shards} tasks" if item.shards is not None else f"unknown until {item.waits_for}"
        done = f", {item.done} done" if item.done else ""
        typer.echo(f"  {item.step.key:<34} {shards}{done}")


@app.command("stages")
def stages_command() -> None:
    """Print every installed stage: its fields, their types, defaults and meanings."""
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
    return text.replace("typing.", "").replace("collections.abc.", "")


def _default(field: dataclasses.Field[Any]) -> str:  # Any: a field of any type
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not dataclasses.MISSING else "(required)"


@app.command("show")
def show_command(
    file: Annotated[str, typer.Argument(help="any file that datapipe wrote", show_default=False)],
    rows: Annotated[int, typer.Option(min=0, help="how many rows of a table")] = 5,
) -> None:
    """Show any file we write, readably."""
    for line in show(file, rows):
        typer.echo(line)


@app.command("report")
def report_command(
    folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="the whole report")] = False
) -> None:
    """Print the funnel and the rules that dropped documents."""
    report = load_report(folder)
    typer.echo(report.to_json().decode() if as_json else str(report), nl=not as_json)


@app.command("explain")
def explain_command(
    folder: Folder, document: Annotated[str, typer.Argument(help="id (32 hex digits) or url", show_default=False)]
) -> None:
    """Follow one document through every stage: rule, value, limit, survivor, and the samples where it ended."""
    for line in explain_lines(folder, document):
        typer.echo(line)


@app.command("verify")
def verify_command(folder: Folder) -> None:
    """Hash every published file again and add up the sums again."""
    faults = list(verify(folder))
    for fault in faults:
        typer.echo(fault)
    typer.echo(f"{folder}: {'not ' if faults else ''}whole" + (f", {len(faults)} faults" if faults else ""))
    raise typer.Exit(1 if faults else 0)


@app.command("gc")
def gc_command(folder: Folder, work: Work = None) -> None:
    """Remove attempts that lost and finished shards that no run stands on."""
    cleaned = clean(os.path.abspath(work or os.path.join(folder, "work")))
    typer.echo(f"removed {cleaned.steps} steps, {cleaned.files} files, {cleaned.bytes:,} bytes")


def _add_trainers() -> None:
    for point in sorted(entry_points(group=TRAINERS), key=lambda point: point.name):
        trainers.command(point.name)(point.load())


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Runs the command; every failure is a sentence and an exit status (see datapipe.errors)."""
    logging.basicConfig(level=logging.WARNING, format="datapipe: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _stop)
    if sys.argv[1:2] == ["train"]:
        _add_trainers()
    app.add_typer(trainers, name="train")
    try:
        status = app(standalone_mode=False)
    except DatapipeError as error:
        status = _say(str(error), error.exit_status)
    except typer.Exit as leaving:
        status = leaving.exit_code
    except Exception as error:
        if os.environ.get("DATAPIPE_DEBUG"):
            raise
        status = _usage(error)
    sys.stdout.flush()
    sys.exit(status if isinstance(status, int) else 0)


def _usage(error: Exception) -> int:
    """Returns the status of a mistake on the command line (typer's), or of a fault of ours."""
    if hasattr(error, "format_message"):
        return _say(f"{error.format_message()} (see datapipe --help)", 2)
    return _say(f"internal fault: {type(error).__name__}: {error} (DATAPIPE_DEBUG=1 shows where)", 1)


def _say(sentence: str, status: int) -> int:
    typer.echo(f"datapipe: {sentence}", err=True)
    return status


if __name__ == "__main__":
    main()
