"""`datapipe diff`: two finished runs compared, and gates that a change has to pass."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from datapipe import ConfigError, shown, storage
from stages.audit.standing import CLAIM

if TYPE_CHECKING:
    from stages.audit.compare.compared import Compared

JSON, SCHEMA, PAGE, LIST = "diff.json", "diff.schema.json", "diff.html", "documents.parquet"  # under --out


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="the --out folder of a run", show_default=False)],
    b: Annotated[
        str, typer.Argument(metavar="B", help="that of another, which is held to --gates", show_default=False)
    ],
    gates: Annotated[
        str | None, typer.Option(help="YAML list of limits, such as host.top10 < .15; named above", metavar="FILE")
    ] = None,
    out: Annotated[
        str | None, typer.Option(help=f"folder to put {JSON}, its schema, {PAGE} and {LIST} into", metavar="FOLDER")
    ] = None,
    html: Annotated[str | None, typer.Option(help="write the page there", metavar="FILE")] = None,
    documents: Annotated[
        str | None,
        typer.Option(help="write every document that differs there: .parquet or .jsonl", metavar="FILE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the comparison as JSON")] = False,
    every: Annotated[bool, typer.Option("--all", help="print every figure that differs, also by chance")] = False,
    executor: Annotated[str, typer.Option(help="local (this process) or ray (a local one, or a cluster)")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Ray cluster: auto or HOST:PORT; RAY_ADDRESS does the same")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="processes of a local Ray; all cores unless given")] = None,
    work: Annotated[
        str | None, typer.Option(help="folder of what is counted; work/audit of A and of B unless given")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="draws both alike; that of their reports unless given")
    ] = None,
) -> None:
    """Compare two finished runs: figures, groups, and which documents only one of them has, and why.

    A change is B less A. Exit status: 0; 1 where a gate fails; 2 where the gates, or a folder, are no good.

    \b
    Gates: a YAML list of lines NAME SIGN NUMBER, or of mappings {gate: LINE,
    why: TEXT, sure: true}; signs are < <= > >= = !=, and with sure all of the
    95% interval has to be inside. Names:
      host.top10                 a figure of B's report; without a weighting
                                 it is of tokens
      languages.zho_Hant.tokens  a cell of a table of it: TABLE.ROW.COLUMN
      survival.zho_Hant          what the filters leave of a group: language,
                                 script, format, source, TLD, ...
      share.host.a.example       share of a host, domain, source, language,
                                 script, format or topic
      change.NAME                of each of these: B less A
      kept.language.zho_Hant     what B kept of documents that both were
                                 given (change.kept...: less what A kept)
      diff.only_a, diff.only_b   documents that one alone has
      diff.changed, diff.same    documents in both; of the changed, diff.text
                                 and diff.labels
      diff.only_a.STEP.RULE      those of a first cause
      diff.shift.host            Jensen-Shannon divergence of A and B, bits
      diff.settings              settings, inputs, versions that differ
    Such as: host.top10 < .15, change.survival.zho_Hant > -2%, diff.only_a = 0.
    A name of nothing is an error that names near ones; a figure that is not
    known fails its gate.
    """  # noqa: D301 - \\b is for click: what follows keeps its lines
    from datapipe import listener  # noqa: PLC0415 - who asks for help waits for no Arrow
    from stages.audit.compare.compared import compared  # noqa: PLC0415
    from stages.audit.compare.gating import judged  # noqa: PLC0415
    from stages.audit.gates import read_gates  # noqa: PLC0415

    limits = read_gates(gates) if gates is not None else ()
    _check(out, documents)
    hears = listener()
    try:
        found = compared(
            a, b, work=work, seed=seed, executor=executor, address=address, workers=workers, listener=hears
        )
    finally:
        hears.close()
    found = found.under(judged(limits, found.measured))
    _write(found, out, html, documents)
    _print(found, (a, b), as_json=as_json, every=every)
    if not all(one.passed for one in found.diff.gates):
        raise typer.Exit(1)


def _check(out: str | None, documents: str | None) -> None:
    """Raises ConfigError where what is to be written cannot be, before anything is counted."""
    if out is not None and storage.exists(storage.join(storage.absolute(out), CLAIM)):
        raise ConfigError(f"--out {out}: is the folder of a run; name another")
    if documents is not None and not documents.endswith((".parquet", ".jsonl")):
        raise ConfigError(f"--documents {documents}: ends with .parquet or .jsonl")


def _write(found: Compared, out: str | None, html: str | None, documents: str | None) -> None:
    from stages.audit.compare.listing import write_list  # noqa: PLC0415
    from stages.audit.compare.model import schema_json  # noqa: PLC0415
    from stages.audit.compare.sections import page  # noqa: PLC0415

    drawn = page(found.diff) if html is not None or out is not None else b""
    if out is not None:
        place = storage.absolute(out)
        for name, content in ((JSON, found.diff.to_json()), (SCHEMA, schema_json()), (PAGE, drawn)):
            storage.put(storage.join(place, name), content)
        write_list(found.files, storage.join(place, LIST))
    if html is not None:
        storage.put(storage.absolute(html), drawn)
    if documents is not None:
        write_list(found.files, storage.absolute(documents))


def _print(found: Compared, folders: tuple[str, str], *, as_json: bool, every: bool) -> None:
    if as_json:
        typer.echo(found.diff.to_json().decode(), nl=False)
        return
    from stages.audit.compare.lines import WIDE, lines  # noqa: PLC0415

    width = shutil.get_terminal_size((WIDE, 24)).columns if sys.stdout.isatty() else WIDE
    for line in lines(found.diff, folders, width=max(40, width - 2), every=every):
        typer.echo(shown(line))
