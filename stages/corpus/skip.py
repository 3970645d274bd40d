"""`datapipe skip`: samples that readers of a corpus leave out from now on, as those of a spike of the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from datapipe import ConfigError, shown
from stages.corpus.batches import Batches
from stages.corpus.corpus import Corpus, Split
from stages.corpus.overlay import Overlay, merged, parse_range, put_skip


def skip(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="the --out folder of a run", show_default=False)],
    ranges: Annotated[
        list[str] | None,
        typer.Argument(metavar="[A:B]...", help="samples by position, from A up to but not B", show_default=False),
    ] = None,
    split: Annotated[str, typer.Option(help="train or validation")] = "train",
    batches: Annotated[str | None, typer.Option(metavar="A:B", help="batches as readers yield them now")] = None,
    batch_size: Annotated[
        str | None, typer.Option(metavar="N", help="samples of a batch of all ranks, or a ramp: 32x1000,64")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="why, for the record")] = None,
    listing: Annotated[bool, typer.Option("--list", help="print what is left out, and record nothing")] = False,
) -> None:
    """Leave samples out of a corpus: on record beside it, honoured by every reader, no shard rewritten.

    Positions of all other samples stay, so a trainer that resumes at its position goes on where it was.
    """
    corpus = Corpus.open(folder)
    if listing:
        for line in describe(corpus):
            typer.echo(shown(line))
        return
    chosen = corpus.split(split)
    found = asked(chosen, ranges or (), batches, batch_size)
    samples = sum(end - start for one in found for start, end in chosen.overlaid.runs(*one))
    if not samples:
        raise ConfigError(f"{', '.join(f'{a}:{b}' for a, b in found)}: is skipped already; --list says by what")
    overlay = put_skip(corpus.folder, corpus.manifest, {split: found}, reason)
    after = Corpus.open(corpus.folder).split(split).count
    typer.echo(f"{overlay.name}: {samples:,} samples of {split} are left out, {after:,} are read")


def asked(
    split: Split, ranges: Sequence[str], batches: str | None, batch_size: str | None, what: str = "A:B"
) -> list[tuple[int, int]]:
    """Returns the ranges of positions that a command names, ascending: by samples, or by batches as they are yielded.

    Raises:
        ConfigError: none is named, or one is empty or not of the split.
    """
    if bool(ranges) == (batches is not None):
        raise ConfigError(f"give samples as {what}, or batches as --batches A:B --batch-size N: one of the two")
    if (batches is None) != (batch_size is None):
        raise ConfigError("--batches and --batch-size go together: a batch is a number of samples")
    if batches is None or batch_size is None:
        found = [parse_range(text, split.total, f"samples of {split.name}") for text in ranges]
        return [(a, b) for a, b in merged(found).tolist()]
    sizes = Batches.parse(batch_size)
    first, last = parse_range(batches, sizes.count(split.count), f"batches of {split.name}")
    start, stop = sizes.first(first), min(sizes.first(last), split.count)
    return list(split.overlaid.runs(split.overlaid.position(start), split.overlaid.position(stop - 1) + 1))


def describe(corpus: Corpus) -> Iterator[str]:
    """Yields a line for each overlay of a corpus, and what they leave of each split."""
    for overlay in corpus.overlays:
        yield f"{overlay.name}: {_what(overlay)}" + (f" ({overlay.reason})" if overlay.reason else "")
    for name in corpus.splits:
        split = corpus.split(name)
        pieces = split.overlaid.removed.num_rows
        taken = f", {pieces:,} pieces are taken out of samples" if pieces else ""
        yield f"{name}: {split.total:,} positions, {split.count:,} samples are read{taken}"


def _what(overlay: Overlay) -> str:
    ranges = [f"{split} {a}:{b}" for split, own in overlay.ranges.items() for a, b in own]
    shown = ", ".join(ranges[:8]) + (f" and {len(ranges) - 8:,} more ranges" if len(ranges) > 8 else "")
    if overlay.kind == "skip":
        return shown
    return "documents are removed" + (f"; nothing is left of {shown}" if shown else "")
