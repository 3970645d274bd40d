"""`datapipe audit standards`: a corpus as Croissant, as a hub's card, and as the sheets that regulators ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from datapipe import ConfigError, shown, storage
from stages.audit.standing import CLAIM


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
    if about_template:
        from stages.audit.standards.asking import template  # noqa: PLC0415 - help needs no pydantic
        from stages.audit.standards.known import source_names  # noqa: PLC0415

        typer.echo(template(source_names(folder)), nl=False)
        return
    from stages.audit.standards.asking import read_about  # noqa: PLC0415
    from stages.audit.standards.files import described, open_questions, put, sheets  # noqa: PLC0415
    from stages.audit.standards.known import know  # noqa: PLC0415

    if (
        out is not None
        and storage.exists(storage.join(out, CLAIM))
        and storage.absolute(out) != storage.absolute(folder)
    ):
        raise ConfigError(f"--out {out}: is the folder of another run; name another")
    known = know(folder, report if report is not None else folder)
    if about is not None:
        known = replace(known, about=read_about(about, known.sources))
    place = out if out is not None else folder
    changed = put(described(known), place)
    typer.echo(
        shown(f"{len(changed)} files put under {place}" if changed else f"{place}: all is there as it should be")
    )
    for name in changed:
        typer.echo(shown(f"  {name}"))
    if left := open_questions(sheets(known)):
        typer.echo(f"{left} answers are open; `--about-template` prints what is asked")
