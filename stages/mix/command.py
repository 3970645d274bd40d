"""`datapipe mix`: what a mix would be, and proof of what one is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated

import pyarrow as pa
import typer

from datapipe import ConfigError, DataError, DatapipeError, PlanError, load_config, shown, storage
from stages.corpus.corpus import Corpus
from stages.mix import Mix
from stages.mix.outlook import lines, outlook
from stages.mix.planning import columns, plan_documents
from stages.mix.proof import Proof, order_of_manifest, prove
from stages.mix.sizes import plan_sizes
from stages.mix.summary import Facts

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Plan a mix, and prove the order of one.")


@app.callback()
def mix() -> None:
    """Makes the functions below commands of a group, also where there is one alone."""


@app.command("plan")
def plan_command(
    config: Annotated[str, typer.Argument(help="a config in YAML with a step mix", show_default=False)],
    folder: Annotated[
        str | None, typer.Option("--from", metavar="DIR", help="the --out folder of a run: its documents are counted")
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(metavar="FILE", help="YAML or JSON of groups to tokens, such as 'web: 410B'")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="dotted.key=value in the place of the config's own")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the plan as JSON, with exact numbers")] = False,
) -> None:
    """Say what a mix would be before it is run: quotas, epochs, what repeats are worth, and what is not seen.

    With --from, exactly what a run of the config's mix makes of the documents of that corpus, by any columns, buckets,
    packing or shares; only the index of documents is read. With --sizes, of groups of that size. Nothing is written,
    and sources are not needed: of the config only the step mix counts.
    """
    if (folder is None) == (sizes is None):
        raise ConfigError(
            "mix plan: give --from DIR, the --out folder of a run (of any mix of these documents), "
            "or --sizes FILE, the tokens of each group; one of the two"
        )
    mix = mix_of(config, settings or [])
    try:
        facts = _plan(mix, folder, sizes)
    except PlanError as error:
        if not as_json and mix.max_epochs is not None:
            for line in _uncapped(mix, folder, sizes):
                typer.echo(shown(line))
        raise type(error)(f"{config}: {error}") from error
    for line in json.dumps(facts, ensure_ascii=False, indent=1).split("\n") if as_json else lines(facts):
        typer.echo(shown(line))


def mix_of(config: str, settings: Sequence[str]) -> Mix:
    """Returns the step mix of a config. Variables of the environment need not be set.

    Raises:
        ConfigError: the config is wrong, or has no such step.
    """
    checked = load_config(config, settings, _Unset(os.environ))
    found = [stage for _, stage in checked.steps if isinstance(stage, Mix)]
    if len(found) != 1:
        raise ConfigError(f"{config}: has {len(found)} steps mix; one is planned")
    try:
        found[0].planning(())
    except ConfigError as error:
        raise ConfigError(f"{config}: mix: {error}") from error
    return found[0]


class _Unset(dict[str, str]):
    """The environment, in which a variable that is not set stands for itself: what is planned does not need it."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return f"${{{name}}}"


def _plan(mix: Mix, folder: str | None, sizes: str | None) -> Facts:
    if sizes is not None:
        planning = mix.planning(())
        return outlook(mix, planning, plan_sizes(sizes, planning))
    try:
        corpus = Corpus.open(folder or "", overlays=False)
    except ConfigError as error:
        raise ConfigError(
            f"{error}; where documents are encoded but not mixed yet, run any mix of them first: nothing is encoded "
            "again for others. Or give --sizes FILE"
        ) from error
    files = [storage.join(corpus.folder, name) for name in corpus.document_files]
    if not files:
        raise DataError(f"{corpus.folder}: its manifest names no index of documents: put back the one that it had")
    try:
        planning = mix.planning(columns(files))
        return outlook(mix, planning, plan_documents(files, planning))
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{corpus.folder}: its index of documents cannot be read ({error}); `datapipe verify` names what is broken"
        ) from error


def _uncapped(mix: Mix, folder: str | None, sizes: str | None) -> Iterator[str]:
    """Yields the plan as it was asked for, where a cap on epochs is all that forbids it."""
    try:
        facts = _plan(replace(mix, max_epochs=None), folder, sizes)
    except DatapipeError:
        return
    yield from ("as it was asked for, without a cap on epochs:", *lines(facts))


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
        typer.echo(shown(line))
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
