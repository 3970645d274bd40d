"""`datapipe mix`: what a mix would be, and proof of what one is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

import typer

from datapipe import ConfigError
from stages.corpus.corpus import Corpus
from stages.mix.proof import Proof, order_of_manifest, prove

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Plan a mix, and prove the order of one.")


@app.callback()
def mix() -> None:
    """Makes the functions below commands of a group, also where there is one alone."""


@app.command("proof")
def proof_command(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="the --out folder of a run", show_default=False)],
    block: Annotated[int | None, typer.Option(min=0, help="a block of up to 4,096 positions, by number")] = None,
    sample: Annotated[int | None, typer.Option(min=0, help="a position, and the block that it is in")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the proof as JSON, to be checked elsewhere")] = False,
) -> None:
    """Show what is seen at positions of the training split, and prove that the corpus's order_sha256 is of that order.

    The plan in the manifest says what is seen (group, epoch, index in the group); no data is read. The audit path is
    that of RFC 6962, section 2.1.1. Exit status 1 where it does not lead to order_sha256.
    """
    corpus = Corpus.open(folder, overlays=False)
    order = order_of_manifest(corpus.manifest)
    if (block is None) == (sample is None):
        raise ConfigError("mix proof: give --block N or --sample T, one of the two")
    if sample is not None:
        if sample >= order.total:
            raise ConfigError(f"--sample {sample}: the training split has the positions 0 to {order.total - 1:,}")
        block = order.block_of(sample)
    elif block is not None and block >= order.blocks:
        raise ConfigError(f"--block {block}: the training split has the blocks 0 to {order.blocks - 1:,}")
    assert block is not None
    proof = prove(corpus.folder, corpus.manifest, block)
    names = [phase["name"] for phase in corpus.manifest["mix"]["phases"]]
    for line in [_json(proof, names)] if as_json else _describe(proof, names, sample):
        typer.echo(line)
    raise typer.Exit(0 if proof.holds else 1)


def _describe(proof: Proof, names: list[str], sample: int | None) -> Iterator[str]:
    order = proof.order
    start, end = order.positions(proof.block)
    yield f"{'position':>15}  {'epoch':>5}  {'index':>15}  group"
    for position in range(start, end) if sample is None else [sample]:
        group, epoch, index = proof.seen[position - start].tolist()
        yield f"{position:>15,}  {epoch:>5}  {index:>15,}  {order.labels[group]}"
    phase = names[order.phase_of(proof.block)]
    yield f"block {proof.block:,} of {order.blocks:,}: positions {start:,} up to {end:,}, phase {phase}"
    yield f"  SHA-256       {proof.digest.hex()}"
    for number, node in enumerate(proof.path):
        yield f"  {'audit path' if number == 0 else '':<12}  {node.hex()}"
    yield f"  order_sha256  {proof.expected.hex()}"
    if proof.holds:
        yield f"proved: the path leads from block {proof.block:,} to order_sha256"
    else:
        found = proof.root.hex() if proof.root else "no root"
        yield f"not proved: the path leads to {found}; this is not the order that order_sha256 is of"


def _json(proof: Proof, names: list[str]) -> str:
    order = proof.order
    start, end = order.positions(proof.block)
    return json.dumps(
        {
            "block": proof.block,
            "blocks": order.blocks,
            "phase": names[order.phase_of(proof.block)],
            "start": start,
            "end": end,
            "groups": order.labels,
            "seen": proof.seen.tolist(),
            "sha256": proof.digest.hex(),
            "audit_path": [node.hex() for node in proof.path],
            "order_sha256": proof.expected.hex(),
            "proved": proof.holds,
        },
        ensure_ascii=False,
    )
