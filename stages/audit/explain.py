"""`datapipe explain`: a document through every step to the samples that hold it, and a sample back to its documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from datapipe import ConfigError, shown, storage

if TYPE_CHECKING:
    from stages.audit.story import Finder

STORIES: Final = 20  # documents of one URL that are told as lines
SHOWN: Final = 20  # pieces of one document

Told = dict[str, Any]  # Any: JSON


def explain(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="the --out folder of a run", show_default=False)],
    document: Annotated[
        str | None, typer.Argument(metavar="[ID|URL]", help="id (32 hex digits) or url", show_default=False)
    ] = None,
    sample: Annotated[int | None, typer.Option(min=0, help="back from a sample, by position")] = None,
    token: Annotated[
        str | None,
        typer.Option(metavar="SHARD:OFFSET", help="back from a token: shard, and tokens before it"),
    ] = None,
    split: Annotated[str, typer.Option(help="of the sample or token: train or validation")] = "train",
    as_json: Annotated[bool, typer.Option("--json", help="all that is known, as JSON")] = False,
) -> None:
    """Follow a document through every step: rule, value, limit, survivor, and the samples where it ended.

    Or, from a sample or a token, back to the documents that it holds and to the records that those were taken from.
    """
    if sum(given is not None for given in (document, sample, token)) != 1:
        raise ConfigError("explain: give one of ID or URL, --sample N, --token SHARD:OFFSET")
    if not storage.is_folder(folder):
        raise ConfigError(f"{folder}: is no folder; give the --out folder of a run")
    from stages.audit.story import Finder  # noqa: PLC0415 - `--help` waits for no Arrow

    finder = Finder(folder)
    if not finder.tables.kept and not finder.tables.ledger:
        raise ConfigError(f"{folder}: holds neither a corpus nor a ledger; give the --out folder of a run")
    if document is None:
        told = list(back(finder, sample, token, split))
        lines = iter(as_lines(told)) if as_json else behind_lines(told)
    else:
        lines = explained(finder, document, as_json=as_json)
    for line in lines:
        typer.echo(shown(line))


def as_lines(told: list[Told]) -> list[str]:
    """Returns the lines of JSON."""
    return json.dumps(told, ensure_ascii=False, indent=1).split("\n")


def explained(finder: Finder, wanted: str, *, as_json: bool = False) -> Iterator[str]:
    """Yields the stories of the documents that an id or URL names, as lines or as one list of JSON."""
    from stages.audit.story import story  # noqa: PLC0415

    ids = finder.documents(wanted)
    if as_json:
        yield from as_lines([story(finder, one) for one in ids])
        return
    for number, one in enumerate(ids[:STORIES]):
        if number:
            yield ""
        yield from story_lines(story(finder, one))
    if len(ids) > STORIES:
        yield f"and {len(ids) - STORIES} more documents of that url; --json tells of all"


def back(finder: Finder, sample: int | None, token: str | None, split: str) -> Iterator[Told]:
    """Yields the documents of a sample, or of a token, with the piece that lies there and their records.

    Raises:
        ConfigError: there is no such sample, or the run ended without a corpus.
    """
    from stages.audit.story import behind  # noqa: PLC0415
    from stages.corpus.index import segments  # noqa: PLC0415
    from stages.corpus.trace import Trace  # noqa: PLC0415

    corpus = finder.tables.corpus
    if corpus is None:
        raise ConfigError(f"{finder.folder}: holds no corpus of samples; its run ended without the step mix")
    chosen, said = corpus.split(split), {}
    if token is not None:
        found = Trace(chosen).token(token)
        sample = int(found["sample"])
        names = ("token", "token_id", "place", "doc_token", "doc_character", "padding")
        said = {name: found[name] for name in names if name in found}
    if sample is None or sample >= chosen.total:
        raise ConfigError(f"--sample {sample}: {split} has the samples 0 to {chosen.total - 1:,}")
    table = segments(chosen, sample, sample + 1)
    if "place" in said:
        if "padding" in said:
            yield {"sample": sample, "split": split, **said}
            return
        starts, ends = (table.column(name).to_numpy() for name in ("start", "end"))
        table = table.filter((starts <= said["place"]) & (ends > said["place"]))
    for told in behind(chosen, table):
        yield {**told, **({"token": said} if said else {})}


def story_lines(told: Mapping[str, Any]) -> Iterator[str]:  # Any: JSON
    """Yields a story as lines for a person."""
    from stages.audit.told import TAKEN_OUT, measures_line, sentence  # noqa: PLC0415

    yield f"document {told['id']}"
    names = ("source", "url", "canonical_url", "title", "licence", "language", "script", "format", "published")
    yield from (f"  {name}: {told[name]}" for name in names if name in told)
    if "removed" in told:
        yield f"  {TAKEN_OUT}"
    yield from record_lines(told)
    for step in told["steps"]:
        yield f"{step['step']}: {step['outcome']}"
        yield from (f"  {sentence(said)}" for said in step["rules"])
        for rows in step.get("signals", {}).values():
            for row in rows:
                yield "  signals: " + ", ".join(f"{name} {value}" for name, value in row.items())
    for number, one in enumerate(told.get("survivor", ())):
        ended = f"left at {one['left']['stage']}: {sentence(one['left'])}" if "left" in one else "stayed"
        about = " ".join(str(one[name]) for name in ("source", "url") if name in one)
        yield f"{'its survivor' if number else 'survivor'} {one['id']} {about} {ended}"
    if told["outcome"] == "gone":
        yield "it left by no rule, and the index of the corpus does not have it: the run is not finished, or changed"
    if "corpus" in told:
        yield f"in the corpus: {told['corpus']['file']}, row {told['corpus']['row']}; {measures_line(told['corpus'])}"
        yield from _pieces_lines(told.get("pieces", []))
    if "duplicates" in told:
        yield f"{told['duplicates']:,} documents were dropped as duplicates of it"
        for one in told["duplicates_first"]:
            similar = f", similarity {one['similarity']:.3f}" if "similarity" in one else ""
            about = one.get("url") or one.get("source", "")
            yield f"  {one['id']} {about} (by {one['rule']} in {one['stage']}{similar})"
    if "parts" in told:
        yield f"{told['parts']:,} documents were made of parts of it: {', '.join(told['parts_first'])}"
    for name, rows in told.get("other", {}).items():
        yield f"{name}: {len(rows)} rows"
        yield from ("  " + ", ".join(f"{key} {value}" for key, value in row.items()) for row in rows)


def _pieces_lines(found: list[Told]) -> Iterator[str]:
    if not found:
        yield "  in no sample: it was not drawn, or what was drawn of its group ended before it"
    for one in found[:SHOWN]:
        yield f"  {piece_line(one)}"
    if len(found) > SHOWN:
        yield f"  and {len(found) - SHOWN} more pieces; --json names all"


def piece_line(one: Mapping[str, Any]) -> str:  # Any: JSON
    """Returns where a piece lies."""
    out = " (an overlay removes it)" if one.get("removed") else ""
    out += " (an overlay leaves the sample out)" if one.get("skipped") else ""
    return (
        f"{one['split']} sample {one['sample']} ({one['shard']}, row {one['row']}): tokens {one['tokens']}, "
        f"which are {one['of_document']} of the document, epoch {one['epoch']}{out}"
    )


def record_lines(told: Mapping[str, Any]) -> Iterator[str]:  # Any: JSON
    """Yields where the record of a document lies, and how it is cut out."""
    record = told.get("record")
    if record is None:
        return
    at = f" at {record['offset']}" if "offset" in record else ""
    crawled = f", crawled {record['crawl_date']}" if "crawl_date" in record else ""
    yield f"  record: {record['file']}{at}{crawled} (below the path of source {told.get('source', '?')})"
    if "cut" in record:
        yield f"  cut it out: {record['cut']}"


def behind_lines(found: list[Told]) -> Iterator[str]:
    """Yields the documents of a sample, or of a token, as lines."""
    if not found:
        yield "nothing but padding"
    for told in found:
        if "padding" in told:
            yield f"token {told['token']} ({told['token_id']}) of sample {told['sample']} is padding"
            continue
        if "token" in told:
            yield f"token {told['token']['token']} ({told['token']['token_id']}), at {told['token']['place']} of"
        yield piece_line(told["piece"])
        yield f"  {told['id']} {told.get('language', '')} {told.get('url') or told.get('source', '')}"
        yield from record_lines(told)
