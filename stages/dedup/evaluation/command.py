"""`datapipe evaluate dedup` and `corpus`: what a dedup finds on your texts, and corpora of known truth to run on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from datapipe import ConfigError
from stages.dedup.evaluation.copies import Copy
from stages.dedup.evaluation.corpus import Corpus, Form, new_folder, write
from stages.dedup.evaluation.edits import EDITS
from stages.dedup.evaluation.lexicon import made_text, pools_of, real_text
from stages.dedup.evaluation.recall import Found, Outcome, dedup_fields, evaluate, make_pairs, read_texts, setting

SHOWN = 5  # of what was removed wrongly
SENTENCES_FROM = 200_000  # texts at most that sentences are taken from


def dedup_command(
    config: Annotated[str, typer.Argument(help="a config in YAML with a step dedup", show_default=False)],
    text: Annotated[list[str], typer.Option(help="your own text: JSON lines, Parquet or plain; may be repeated")],
    pairs: Annotated[int, typer.Option(min=1, help="texts that get a copy, at most")] = 4000,
    seed: Annotated[int, typer.Option(help="which texts and edits are drawn")] = 1,
    out: Annotated[
        str | None, typer.Option(help="a new folder for pairs.jsonl: the copies with their true similarity")
    ] = None,
) -> None:
    """Say what a config's dedup finds by kind and degree of edit, and what it removes wrongly."""
    fields = dedup_fields(config)
    folder = new_folder(out) if out is not None else None
    made = make_pairs(read_texts(text, pairs, seed), seed=seed, width=int(setting(fields, "shingle")))
    if not made:
        raise ConfigError(f"--text {', '.join(text)}: every text has a near copy already; give more unlike texts")
    with tempfile.TemporaryDirectory() as scratch:
        outcome = evaluate(made, fields, Path(scratch))
    if folder is not None:
        write_pairs(made, folder)
    for line in describe(outcome):
        typer.echo(line)


def corpus_command(
    documents: Annotated[int, typer.Option(help="how many, copies among them")],
    out: Annotated[str, typer.Option(help="a new folder: documents/ by month, and truth.jsonl.zst")],
    hosts: Annotated[int, typer.Option(help="hosts, with pages by Zipf's law")] = 500,
    months: Annotated[int, typer.Option(help="monthly snapshots")] = 24,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="another corpus of the same shape for another")] = 1,
    form: Annotated[
        Form, typer.Option("--format", help="jsonl, or warc: HTML pages, for ingest to find the text in")
    ] = "jsonl",
    text: Annotated[
        list[str] | None, typer.Option(help="texts whose sentences documents are made of; made words if left out")
    ] = None,
) -> None:
    """Write a corpus of many hosts and months with duplicates whose truth is known."""
    corpus = Corpus(documents=documents, hosts=hosts, months=months, seed=seed)
    texts = real_text(pools_of(known for _, known in read_texts(text, SENTENCES_FROM, seed))) if text else made_text
    amounts = write(corpus, out, texts, form)
    for kind, amount in sorted(amounts.items(), key=lambda item: -item[1]):
        typer.echo(f"  {kind:<16}{amount:>12,}")


def write_pairs(copies: Sequence[Copy], folder: Path) -> None:
    """Writes a JSON line a copy: document, kind, degree, jaccard, containment, original, text."""
    with (folder / "pairs.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(vars(copy), ensure_ascii=False) + "\n" for copy in copies)


def describe(outcome: Outcome) -> Iterator[str]:
    """Yields the lines that say what a run found."""
    order = {(edit.kind, degree): edit.label(degree) for edit in EDITS for degree in edit.degrees}
    rows = {(row.kind, row.degree): row for row in outcome.rows}
    total = Found("all", 0.0)
    heads = f"{'pairs':>8}{'mean':>8}{f'>= {outcome.threshold:g}':>9}{'found':>8}{'recall':>9}{'below':>8}{'found':>8}"
    yield f"  {'edit':<32}{heads}"
    for key, label in order.items():
        if key in rows:
            row = rows[key]
            yield _line(f"{row.kind} {label}", row)
            for name in ("pairs", "jaccard", "alike", "found", "unlike_found"):
                setattr(total, name, getattr(total, name) + getattr(row, name))
    yield _line("all", total)
    yield f"removed {outcome.removed:,}, of them {len(outcome.wrong):,} below the threshold of {outcome.threshold:g}"
    for document, survivor, value in outcome.wrong[:SHOWN]:
        yield f"  {document} for {survivor}, similarity {value:.3f}"


def _line(name: str, row: Found) -> str:
    recall = f"{row.found / row.alike:>9.2%}" if row.alike else f"{'':>9}"
    unlike = row.pairs - row.alike
    return (
        f"  {name:<32}{row.pairs:>8,}{row.jaccard / max(row.pairs, 1):>8.3f}{row.alike:>9,}{row.found:>8,}{recall}"
        f"{unlike:>8,}{row.unlike_found:>8,}"
    )
