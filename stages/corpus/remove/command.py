"""`datapipe remove`: documents taken out of a finished corpus, on record."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer

from datapipe import ConfigError, shown, storage
from stages.corpus.corpus import REMOVED, Corpus
from stages.corpus.overlay import Overlay, put_remove, put_skip
from stages.corpus.remove.asked import Asked, read_lists
from stages.corpus.remove.find import (
    Documents,
    Dropped,
    Duplicate,
    Found,
    Places,
    Totals,
    find_documents,
    find_places,
    read_ledger,
    run_folder,
    unseen,
)
from stages.corpus.remove.rebuild import TEXTS, Removal, rebuild
from stages.corpus.target import check_free

SHOWN: Final = 20  # of entries and documents; the overlay has all
PAGE: Final = "reports/report.html"
Facts = dict[str, Any]  # Any: JSON


def remove(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="the --out folder of a run", show_default=False)],
    urls: Annotated[str | None, typer.Option(metavar="FILE", help="a URL a line: these pages")] = None,
    hosts: Annotated[str | None, typer.Option(metavar="FILE", help="a host a line: it and all below it")] = None,
    ids: Annotated[str | None, typer.Option(metavar="FILE", help="a document id (32 hex digits) a line")] = None,
    below: Annotated[bool, typer.Option("--below", help="what lies below a listed page too, as the step urls")] = False,
    with_duplicates: Annotated[
        bool, typer.Option("--with-duplicates", help="documents too that hold the text of a listed one")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="record it: readers leave out what is removed")] = False,
    rebuilt: Annotated[
        bool, typer.Option("--rebuild", help="write a corpus to --out that does not hold them; files are linked")
    ] = False,
    out: Annotated[str | None, typer.Option(help="the folder of --rebuild; a place where nothing is")] = None,
    reason: Annotated[str | None, typer.Option(help="why, for the record")] = None,
    reference: Annotated[str | None, typer.Option(help="who asked, or the number of the case, for the record")] = None,
) -> None:
    """Say what would go from a corpus if documents were taken down; with --apply or --rebuild take them out.

    An overlay leaves the shards as they are: readers put EOS in the place of the documents. A rebuild is another
    corpus, in which their tokens are nowhere.
    """
    if rebuilt != (out is not None):
        raise ConfigError("--rebuild and --out go together: a rebuild is another corpus, in a folder of its own")
    if out is not None:
        check_free(out)
    corpus = Corpus.open(folder)
    overlaid = any(overlay.pieces for overlay in corpus.overlays)
    if not (urls or hosts or ids or (rebuilt and overlaid)):
        raise ConfigError("give what is to be removed: --urls, --hosts or --ids, a file with an entry a line")
    asked = read_lists(urls, hosts, ids, below=below)
    takedown = find(corpus, asked, with_duplicates=with_duplicates)
    lines = list(describe(corpus, takedown))
    said = {"reason": reason, "reference": reference, **takedown.said()}
    nothing = not len(takedown.documents.keys)
    if out is not None and nothing and not overlaid:
        _print(lines)
        raise ConfigError(f"--rebuild: no document goes from {folder}, so there is nothing to rebuild")
    if out is not None:
        removal = Removal(frozenset(takedown.documents.ids), takedown.emptied(), said, frozenset(takedown.dropped.ids))
        files = rebuild(corpus, out, removal)
        lines.append(f"{out}: {files.linked:,} files are those of {folder}, {len(files.digests):,} were written again")
    if apply and not nothing:
        overlay = record(corpus, takedown, said)
        lines.append(f"{overlay.name}: recorded; readers of {folder} leave these documents out from now on")
    _print([*lines, *closing(corpus, done=apply and not nothing, rebuilt=out)])  # when all is done: `| head` stops here


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(shown(line))


@dataclass(frozen=True)
class Takedown:
    """What is asked for, what there is of it, and where: `documents` are those that go."""

    asked: Asked
    dropped: Dropped
    found: Found
    documents: Documents
    before: frozenset[str]  # ids of documents that are removed already
    places: Mapping[str, Places]
    with_duplicates: bool

    def said(self) -> Facts:
        """Returns what goes on record."""
        every = self.places.values()
        removed = {
            "documents": len(self.documents.keys),
            "pieces": sum(len(one.pieces) for one in every),
            "tokens": sum(map(_tokens, every)),
            "samples": sum(one.samples for one in every),
        }
        options = {"below": self.asked.below, "with_duplicates": self.with_duplicates}
        return {"asked": {**self.asked.files}, **options, "removed": removed}

    def pieces(self) -> pa.Table:
        """Returns all pieces that go, and the documents that are in no sample."""
        every = [one.pieces for one in self.places.values()]
        return pa.concat_tables([*every, unseen(self.documents, [one.documents for one in self.places.values()])])

    def emptied(self) -> dict[str, list[tuple[int, int]]]:
        """Returns the ranges of positions of samples in which nothing is left."""
        return {split: one.emptied for split, one in self.places.items()}

    def missing(self) -> Iterator[tuple[str, str, bool]]:
        """Yields each entry that names no document of the index, by kind, and whether the ledger speaks of it."""
        for kind, entries in self.asked.entries.items():
            for key, text in entries.items():
                if (kind, key) not in self.found.entries:
                    yield kind, text, (kind, key) in self.dropped.entries


def find(corpus: Corpus, asked: Asked, *, with_duplicates: bool) -> Takedown:
    """Returns what goes from a corpus, and all that is known of what is asked for."""
    folder = run_folder(corpus)
    dropped = read_ledger(folder, asked) if folder is not None else Dropped()
    found = find_documents(corpus, asked, dropped)
    every = _joined(found.documents, found.survivors, found.twins) if with_duplicates else found.documents
    gone = frozenset[str]().union(
        *(corpus.split(name).overlaid.removed.column("doc_id").to_pylist() for name in corpus.splits)
    )
    there = pc.is_in(every.rows.column("doc_id"), pa.array(sorted(gone), pa.string()))
    left = ~np.asarray(pc.or_(there, pc.fill_null(pc.equal(every.rows.column("split"), REMOVED), False)))
    documents = Documents(every.rows.filter(pa.array(left)), every.keys[left])
    before = gone.union(every.rows.filter(pa.array(~left)).column("doc_id").to_pylist())
    places = {name: find_places(corpus.split(name), documents) for name in corpus.splits}
    return Takedown(asked, dropped, found, documents, before, places, with_duplicates)


def record(corpus: Corpus, takedown: Takedown, said: Facts) -> Overlay:
    """Puts the overlay of a removal beside its corpus.

    A sample in which nothing is left but by this removal and one that was recorded since the corpus was opened is in
    neither's ranges: it is skipped by an overlay of its own.
    """
    made = put_remove(corpus.folder, corpus.manifest, takedown.pieces(), takedown.emptied(), **said)
    now, known = Corpus.open(corpus.folder), {made.name, *(overlay.name for overlay in corpus.overlays)}
    if any(overlay.pieces for overlay in now.overlays if overlay.name not in known):
        emptied = {name: find_places(now.split(name), takedown.documents).emptied for name in now.splits}
        if any(emptied.values()):
            put_skip(corpus.folder, corpus.manifest, emptied, f"nothing is left of them by {made.name} and others")
    return made


def _joined(*parts: Documents) -> Documents:
    rows = pa.concat_tables([part.rows for part in parts if len(part.keys)] or [parts[0].rows])
    return Documents(rows, np.concatenate([part.keys for part in parts]))


def _tokens(places: Places) -> int:
    return pc.sum(pc.subtract(places.pieces.column("end"), places.pieces.column("start"))).as_py() or 0


def describe(corpus: Corpus, takedown: Takedown) -> Iterator[str]:
    """Yields the lines that say what goes, what stays, and what was not found."""
    asked = ", ".join(f"{len(entries):,} {kind}" for kind, entries in takedown.asked.entries.items() if entries)
    yield f"asked for: {asked or 'what overlays removed'}"
    yield from _table(corpus, takedown)
    for name, places in takedown.places.items():
        if places.samples:
            split = corpus.split(name)
            empty = sum(end - start for start, end in places.emptied)
            yield (
                f"{name}: {places.samples:,} of {split.total:,} samples in {places.shards:,} of {len(split.shards):,} "
                f"shards hold a piece; {empty:,} of them hold nothing else and are left out"
            )
    already = len(takedown.before.intersection(takedown.found.documents.ids))
    if already:
        yield f"{already:,} documents are removed already"
    if takedown.found.below:
        yield f"{takedown.found.below:,} documents more lie below a listed page: --below takes them too"
    missing = list(takedown.missing())
    for known, what in ((True, "not in the corpus: dropped before, as the ledger says"), (False, "found nowhere")):
        own = [f"{kind}: {text}" for kind, text, dropped in missing if dropped is known]
        if own:
            yield f"{what}: {len(own):,}"
            yield from _shown(own)
    yield from _duplicates(takedown)


def _table(corpus: Corpus, takedown: Takedown) -> Iterator[str]:
    """Yields a line a split and source: what goes of what there is. Tokens seen are counted where they are seen."""
    gone: dict[tuple[str, str], list[int]] = {}
    rows = takedown.documents.rows
    columns = (rows.column(name).to_pylist() for name in ("split", "source", "tokens"))
    for split, source, tokens in zip(*columns, strict=True):
        counts = gone.setdefault((split, source), [0, 0, 0])
        counts[0] += 1
        counts[1] += tokens
    for split, places in takedown.places.items():
        sources = rows.column("source").take(pa.array(places.documents)).to_pylist()
        sizes = pc.subtract(places.pieces.column("end"), places.pieces.column("start")).to_pylist()
        for source, size in zip(sources, sizes, strict=True):
            gone.setdefault((split, source), [0, 0, 0])[2] += size
    if not gone:
        yield "no document goes"
        return
    heads = (
        f"{'documents':>12}{'of':>12}{'tokens':>14}{'epochs':>8}{'tokens seen':>14}{'of source':>11}{'of split':>10}"
    )
    yield f"{'split':<12}{'source':<20}{heads}"
    for (split, source), (documents, tokens, seen) in sorted(gone.items(), key=str):
        whole = takedown.found.totals.get((split, source), Totals())
        every = corpus.manifest["splits"].get(split, {"tokens": 0})["tokens"]
        shares = [seen / of if of else 0.0 for of in (whole.tokens_seen, every)]
        yield (
            f"{split or '':<12}{source or '':<20}{documents:>12,}{whole.documents:>12,}{tokens:>14,}"
            f"{seen / max(1, tokens):>8.2f}{seen:>14,}{shares[0]:>11.3%}{shares[1]:>10.3%}"
        )


def _duplicates(takedown: Takedown) -> Iterator[str]:
    """Yields the documents of the corpus that hold the text of a listed one, or nearly: they stay, or go with it."""
    survivors, twins = (_addresses(of, takedown.before) for of in (takedown.found.survivors, takedown.found.twins))
    links = [link for link in takedown.dropped.duplicates if link.survivor in survivors]
    fate = "which goes too" if takedown.with_duplicates else "which stays: --with-duplicates takes it too"
    if links:
        yield f"duplicates: {len(links):,} listed documents were dropped for one with their text, or nearly, {fate}"
        yield from _shown([_link(link, survivors[link.survivor]) for link in links])
    if twins:
        yield f"duplicates: the very text of listed documents is in {len(twins):,} more, {fate}"
        yield from _shown([f"{name} {url or ''}" for name, url in twins.items()])


def _addresses(documents: Documents, but: frozenset[str]) -> dict[str, str | None]:
    urls = zip(documents.ids, documents.rows.column("url").to_pylist(), strict=True)
    return {name: url for name, url in urls if name not in but}


def _link(link: Duplicate, address: str | None) -> str:
    alike = f", similarity {link.similarity:.3f}" if link.similarity is not None else ""
    return f"{link.url or link.document} -> {link.survivor} {address or ''}{alike}"


def _shown(lines: list[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"  and {len(lines) - SHOWN:,} more"


def closing(corpus: Corpus, *, done: bool, rebuilt: str | None) -> Iterator[str]:
    """Yields what is not done by this: where the documents still lie, and how a later run keeps them out."""
    if not done and rebuilt is None:
        yield "nothing is changed: --apply records this, --rebuild --out NEW writes a corpus without these documents"
    folder = run_folder(corpus)
    yield "still elsewhere, and not removed by this:"
    if rebuilt is not None or done:
        yield f"  {corpus.folder}: the shards and the index, as they are"
    lies = {
        "ledger": "addresses, and the first characters of texts",
        "signals": "hosts and values of documents",
        "keys": "hashes of texts",
        TEXTS.rstrip("/"): "whole texts",
        "work": "finished shards of all steps, whole texts among them (`datapipe gc` keeps those in use)",
    }
    for name, what in lies.items():
        if folder is not None and storage.is_folder(storage.join(folder, name)):
            yield f"  {storage.join(folder, name)}: {what}"
    if folder is not None and storage.exists(storage.join(folder, PAGE)):
        yield f"  {storage.join(folder, PAGE)}: addresses, and passages that recur (`datapipe report` draws texts anew)"
    if rebuilt is not None:
        yield f"  {os.path.join(rebuilt, 'corpus/index')}: id and source of each removed document"
        if folder is not None:
            yield f"  {os.path.join(rebuilt, 'signals')}: values by id, and counts by host"
            if storage.is_folder(storage.join(folder, "keys")):
                yield f"  {os.path.join(rebuilt, 'keys')}: hashes of texts by id"
    yield "  another --work folder of the run, its sources, exports, and models trained before"
    yield "a later run keeps them out by the step `urls` behind `ingest`: urls: {block: {urls: [FILE], hosts: [FILE]}}"
