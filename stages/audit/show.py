"""`datapipe show`: the documents behind a figure of the report, or a file of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from datapipe import ConfigError, shown, storage

if TYPE_CHECKING:
    from stages.audit.matching import Asked, Drawn, Matches
    from stages.audit.places import Places
    from stages.audit.tables import Row, Tables

DISTINCT: Final = 20_000  # values among which the one that was meant is looked for

Told = dict[str, Any]  # Any: JSON


def show(
    path: Annotated[
        str, typer.Argument(metavar="DIR|FILE", help="the --out folder of a run, or a file of one", show_default=False)
    ],
    where: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[name=value]...",
            help="conditions that all hold, such as host=example.cn 'quality<0.4' licence=none 'url=*forum*'",
            show_default=False,
        ),
    ] = None,
    stage: Annotated[str | None, typer.Option(help="documents that left at this step")] = None,
    rule: Annotated[str | None, typer.Option(help="and by this rule, the first that they broke")] = None,
    kept: Annotated[bool | None, typer.Option("--kept/--left", help="those that stayed, or those that left")] = None,
    n: Annotated[int, typer.Option("--n", "-n", min=0, max=10_000, help="documents that are shown")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="another one draws others; the same draws the same, for all")] = 0,
    text: Annotated[int, typer.Option(min=0, max=4096, help="characters of the text of each")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
    rows: Annotated[int, typer.Option(min=0, help="of a file that is a table: how many rows")] = 5,
) -> None:
    """Show the documents of which all of this is so, kept or dropped, masked; or a file of a run, readably.

    Names are columns of index, ledger and signals (source, host, language, format, quality, tokens, pii, …), and tld,
    month, year, trained, host_documents, broken (rules, at the step it left by), noted (a rule that the ledger names).
    """
    if not storage.is_folder(path):
        if where or stage or rule or kept is not None or as_json:
            there = "is a file" if storage.exists(path) else "is not there"
            raise ConfigError(f"{path}: {there}, and conditions are for the documents of a run: give its --out folder")
        from datapipe import show_file  # noqa: PLC0415 - documents are shown without what reads files

        for line in show_file(path, rows):
            typer.echo(shown(line))
        return
    found = found_in(path, where or (), stage=stage, rule=rule, kept=kept, n=n, seed=seed, text=text)
    for line in json.dumps(found, ensure_ascii=False, indent=1).split("\n") if as_json else describe(found):
        typer.echo(shown(line))


def found_in(
    folder: str,
    where: Sequence[str] = (),
    *,
    stage: str | None = None,
    rule: str | None = None,
    kept: bool | None = None,
    n: int = 20,
    seed: int = 0,
    text: int = 200,
) -> Told:
    """Returns how many documents match, and `n` of them, drawn by hash: all harmless.

    Raises:
        ConfigError: the folder holds no run, or a name or value is not known there.
    """
    from stages.audit.hostile import encodable  # noqa: PLC0415 - a file is shown without all of these
    from stages.audit.matching import Asked, match  # noqa: PLC0415
    from stages.audit.tables import Tables  # noqa: PLC0415
    from stages.audit.where import Condition  # noqa: PLC0415

    tables = Tables(folder)
    if not tables.kept and not tables.ledger:
        raise ConfigError(f"{folder}: holds neither a corpus nor a ledger; give the --out folder of a run")
    conditions = tuple(Condition.parse(encodable(word)) for word in where)
    stage, rule = (None if word is None else encodable(word) for word in (stage, rule))
    noted = any(condition.name == "noted" for condition in conditions)
    leaving = (stage is not None and not noted) or rule is not None
    if leaving and kept:
        raise ConfigError(
            "--stage and --rule are of documents that left, and --kept of those that stayed; noted=RULE finds those "
            "that a rule repaired or flagged"
        )
    asked = Asked(conditions, stage, rule, kept=kept is not False and not leaving, left=kept is not True)
    _check_steps(tables, asked)
    found = match(tables, asked, most=n, seed=seed)
    notes = [] if tables.kept else ["there is no corpus, so only what left is searched"]
    lacking = _lacking(tables, asked)
    if lacking:
        notes.append(f"an earlier datapipe wrote the ledger, which does not say {', '.join(lacking)} of what left")
    elif not found.total:
        notes += _check_values(tables, asked)
    words = [str(condition) for condition in conditions]
    words += [f"{name} {value}" for name, value in (("stage", stage), ("rule", rule)) if value is not None]
    return {
        "where": words,
        "documents_matching": found.total,
        "kept": found.kept,
        "left": found.total - found.kept,
        "seed": seed,
        "documents": _documents(tables, found, text),
        **({"note": "; ".join(notes)} if notes else {}),
    }


def _lacking(tables: Tables, asked: Asked) -> list[str]:
    """Returns the columns of a ledger that are asked about, and that an earlier datapipe did not write."""
    from datapipe import LEDGER  # noqa: PLC0415 - a file is shown without Arrow's tables
    from stages.audit.tables import schema_of  # noqa: PLC0415

    there = schema_of(tables.ledger[0]).names if asked.left and tables.ledger else LEDGER.names
    return [one.name for one in asked.conditions if one.name in LEDGER.names and one.name not in there]


def _check_steps(tables: Tables, asked: Asked) -> None:
    """Raises ConfigError where a step or rule is named that the run did not have."""
    from stages.audit.where import unknown  # noqa: PLC0415

    stages = {one["stage"]: {rule["rule"] for rule in one["rules"]} for one in tables.stages}
    if not stages:
        return
    if asked.stage is not None and asked.stage not in stages:
        raise unknown("step", asked.stage, stages)
    rules = stages[asked.stage] if asked.stage is not None else set[str]().union(*stages.values())
    noted = [one.value for one in asked.conditions if one.name == "noted"]
    for rule in [*([asked.rule] if asked.rule is not None else []), *noted]:
        if rule not in rules and rule not in ("", "none"):
            raise unknown(f"rule of {asked.stage}" if asked.stage else "rule", rule, rules)


def _check_values(tables: Tables, asked: Asked) -> list[str]:
    """Returns what is to be said of values that only files have; raises ConfigError for a value that nothing has."""
    from stages.audit.matching import Asked, match, values_of  # noqa: PLC0415
    from stages.audit.where import LISTS, NONE, unknown  # noqa: PLC0415

    notes = []
    for condition in asked.conditions:
        told = condition.value.lower() in NONE or condition.name in ("noted", *LISTS)
        if condition.sign == "=" and not told:
            values = values_of(tables, condition.name, DISTINCT)
            if values and not match(tables, Asked((condition,)), most=0, seed=0).total:
                if condition.value not in values:
                    raise unknown(f"value of {condition.name}", condition.value, values)
                notes.append(f"what has {condition} are files, or pieces of them, that could not be read: no documents")
    return notes


def _documents(tables: Tables, found: Matches, text: int) -> list[Told]:
    from stages.audit.places import Places  # noqa: PLC0415
    from stages.audit.told import end_of, facts, harmless_text, said  # noqa: PLC0415

    rows = [one.read() for one in found.drawn]
    texts = _texts(tables, Places.open(tables.folder), found.drawn, rows) if text else {}
    made = []
    for one, row in zip(found.drawn, rows, strict=True):
        told: Told = {"id": one.id.hex(), "kept": one.kept, **facts(row, names=_names(row))}
        removed = tables.is_removed(one.id)
        if not one.kept:
            ledger = tables.ledger_of(one.id)
            told["left"] = said(end_of(ledger) or row, note=False)
            told["also"] = [said(other, note=not removed) for other in ledger if other["action"] == "also"]
        if removed:
            told["removed"] = True
            told.pop("title", None)
        given = texts.get(one.id) if one.kept else row.get("note")
        if text and given and not removed:
            told["text"] = harmless_text(given, text)
        made.append(told)
    return made


def _names(row: Mapping[str, object]) -> tuple[str, ...]:
    from stages.audit.told import IDENTITY, MEASURES, PLACE  # noqa: PLC0415

    return tuple(name for name in (*IDENTITY, *PLACE, *MEASURES) if name in row or name == "crawl_date")


def _texts(tables: Tables, places: Places | None, drawn: Sequence[Drawn], rows: Sequence[Row]) -> dict[bytes, str]:
    """Returns the first characters of the texts of those that stayed, by id; what a corpus has not is left out."""
    kept = [(one, row) for one, row in zip(drawn, rows, strict=True) if one.kept]
    if tables.corpus is None:
        return {one.id: row["text"] for one, row in kept if isinstance(row.get("text"), str)}
    from stages.audit.pieces import first_pieces  # noqa: PLC0415
    from stages.audit.texts import texts_of  # noqa: PLC0415 - loads a tokenizer

    table = first_pieces(tables, places, [one.id for one, _ in kept])
    found = zip(table.column("id").to_pylist(), texts_of(tables.folder, table).to_pylist(), strict=True)
    return {key: text for key, text in found if text is not None}


def describe(found: Mapping[str, Any]) -> Iterator[str]:  # Any: JSON
    """Yields what was found as lines for a person."""
    from stages.audit.told import TAKEN_OUT, measures_line, place_line, sentence, text_lines  # noqa: PLC0415

    total, documents = found["documents_matching"], found["documents"]
    of = f" of {', '.join(found['where'])}" if found["where"] else ""
    drawn = f"; {len(documents):,} of them, drawn with seed {found['seed']}" if 0 < len(documents) < total else ""
    yield f"{total:,} documents{of}: {found['kept']:,} stayed, {found['left']:,} left{drawn}"
    if "note" in found:
        yield found["note"]
    for one in documents:
        yield ""
        about = ", ".join(str(one[name]) for name in ("source", "language", "format", "licence") if name in one)
        yield f"{one['id']}  {about}"
        yield from (f"  {one[name]}" for name in ("url", "title") if name in one)
        for line in filter(None, (place_line(one), measures_line(one))):
            yield f"  {line}"
        if "left" in one:
            yield f"  left at {one['left']['stage']}: {sentence(one['left'])}"
        yield from (f"    also {sentence(said).removeprefix('also by ')}" for said in one.get("also", ()))
        if "removed" in one:
            yield f"  {TAKEN_OUT}"
        if "text" in one:
            yield from text_lines(one["text"], "    ")
