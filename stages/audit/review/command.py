"""`datapipe audit sample`: documents that people judge, with the sheets that they fill in."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from datapipe import shown

if TYPE_CHECKING:
    from stages.audit.review.drawing import Written


class Strata(StrEnum):
    """What a sample is drawn within."""

    source = "source"


def sample(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="the --out folder of a finished run", show_default=False)
    ],
    n: Annotated[int, typer.Option("--n", "-n", min=1, max=100_000, help="documents that are drawn")] = 4_000,
    by: Annotated[
        Strata | None, typer.Option(help="within each source in proportion, and enough of each for the 5 % rule")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="another one draws others; the same draws the same, for all")] = 0,
    where: Annotated[
        list[str] | None,
        typer.Option(help="a condition as `datapipe show` takes them, such as language=zho_Hant; all given hold"),
    ] = None,
    text: Annotated[
        int, typer.Option(min=100, max=20_000, help="characters of each text: its first and its last")
    ] = 2_000,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="write it there and nothing to DIR, so not to its log [default: DIR/audit]"
        ),
    ] = None,
) -> None:
    """Draw documents by hash, the same for everybody, and write the sheets in which people judge them."""
    from stages.audit.hostile import encodable  # noqa: PLC0415 - help waits for no tokenizer
    from stages.audit.review.drawing import Asked, make  # noqa: PLC0415

    conditions = tuple(map(encodable, where or ()))
    asked = Asked(n, "source" if by is not None else None, seed, conditions, text)
    for line in described(make(folder, asked, out)):
        typer.echo(shown(line))


def described(made: Written) -> Iterator[str]:
    """Yields what was drawn and where it lies, as lines for a person."""
    from stages.audit.review.model import SAMPLE, SHEET, TABLE  # noqa: PLC0415 - help waits for no model

    own = made.sample
    of = f" of {', '.join(own.where)}" if own.where else ""
    yield (
        f"sample {own.name}: {len(own.items):,} of {own.documents:,} documents{of} that a reader can get, seed "
        f"{own.seed}, sha256 {own.sha256}"
    )
    if made.least:
        more = f"; so {len(own.items):,} and not {own.asked:,}" if len(own.items) > own.asked else ""
        yield (
            f"  of each of {len(own.strata):,} sources its share, but {made.least:,} at the least or all of it: if "
            f"none of those fails, it is below 5 %{more}"
        )
        width = max(len(one.source) for one in own.strata)
        yield from (f"  {one.source or '(none)':{width}}  {one.drawn:>7,} of {one.documents:,}" for one in own.strata)
    for name, what in ((SHEET, "in a browser, from the file"), (TABLE, "in a spreadsheet"), (SAMPLE, "which they are")):
        state = "" if name in made.new else ", was there and stays"
        yield f"  {made.place}/{name}  {what} ({made.sizes[name]:,} bytes{state})"
    if made.logged:
        yield "  on record in audit/log"
