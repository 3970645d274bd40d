"""`datapipe audit standards`: a corpus as Croissant, as a hub's card, and as the sheets that regulators ask for."""

from __future__ import annotations

from typing import Annotated

import typer

from datapipe import ConfigError, shown, storage


def standards(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="the --out folder of a finished run", show_default=False)
    ],
    about: Annotated[
        str | None, typer.Option(help="about.yaml: what people know; what it leaves out stays open", show_default=False)
    ] = None,
    out: Annotated[str | None, typer.Option(help="folder to put the files into; DIR unless given")] = None,
    report: Annotated[str | None, typer.Option(help="folder of the report, where it is not in DIR")] = None,
    about_template: Annotated[
        bool, typer.Option("--about-template", help="print an about.yaml to fill in, and make nothing")
    ] = False,
) -> None:
    """Describe a corpus for others: croissant.json, README.md (a card of the Hugging Face hub), and sheets/.

    The figures are those of the report; what only people know stays open, marked with whom it asks.
    """
    from stages.audit.standards.about import About, read_about, template  # noqa: PLC0415 - help needs no pydantic
    from stages.audit.standards.known import know, source_names  # noqa: PLC0415

    names = source_names(folder)
    if about_template:
        typer.echo(template(names), nl=False)
        return
    from stages.audit.standards.files import described, open_questions, put, sheets  # noqa: PLC0415

    said = read_about(about, names) if about is not None else About()
    known = know(folder, report or folder, said)
    place = out if out is not None else folder
    if out is not None and storage.exists(storage.join(out, "reports/published.json")) and _other(out, folder):
        raise ConfigError(f"--out {out}: is the folder of another run; name another")
    changed = put(described(known), place)
    typer.echo(
        shown(f"{len(changed)} files written under {place}" if changed else f"all is there as it is, under {place}")
    )
    for name in changed:
        typer.echo(shown(f"  {name}"))
    typer.echo(f"{open_questions(sheets(known))} answers are open; `--about-template` prints what is asked")


def _other(out: str, folder: str) -> bool:
    return storage.absolute(out) != storage.absolute(folder)
