"""The story of a document: through every step of a run to the samples that hold it, or to where it left; and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import LEAVING, ConfigError, DataError, storage
from stages.audit.hostile import encodable, harmless
from stages.audit.pieces import pieces
from stages.audit.places import DOCUMENT, FELL, OF_ANOTHER, PART, Places, ids_of
from stages.audit.tables import CHAIN, Row, Tables, id_column, row_at, rows_of, schema_of, table_of
from stages.audit.told import IDENTITY, MEASURES, PLACE, Told, date_of, end_of, facts, safe, said
from stages.corpus.corpus import Split
from stages.corpus.index import documents, opened
from stages.corpus.trace import Trace

MOST: Final = 20  # duplicates that are named, of one document
SURE: Final = 20  # documents of one hash, which are then of one address
_ADDRESSES: Final = ("url", "canonical_url")
_OUTCOMES: Final = {"split": "was made here, of another", "repair": "was repaired", "flag": "was flagged"}
_OF_STEP: Final = {"contamination": "decontaminate", "residual": "dedup"}  # by what files of signals are called
_OF_LEDGER: Final = (*IDENTITY, "host", "bytes", "file", "offset", "crawl_time")
_UNTOLD: Final = ("id", "document", "doc_id", "source", "url", "host", "language", "script", "format", "text", "extra")


@dataclass(frozen=True)
class Finder:
    """Looks documents up in what a run published."""

    folder: str
    _led: dict[bytes, list[Row]] = field(default_factory=dict, repr=False)  # what was read before
    _ledger: dict[bytes, list[Row]] = field(default_factory=dict, repr=False)
    _index: dict[bytes, Row | None] = field(default_factory=dict, repr=False)

    @cached_property
    def tables(self) -> Tables:
        """Its tables."""
        return Tables(self.folder)

    @cached_property
    def places(self) -> Places | None:
        """The index that leads to their rows; without it all ids are read."""
        return Places.open(self.folder)

    # By name

    def documents(self, wanted: str) -> list[bytes]:
        """Returns the ids of the documents that an id (32 hex digits) or a URL names: it may have been fetched often.

        Raises:
            ConfigError: none is known of that name.
        """
        if len(wanted) == 32 and not set(wanted.lower()) - set("0123456789abcdef"):
            return [bytes.fromhex(wanted)]
        wanted = encodable(wanted)
        found = self._of_address(wanted)
        if not found:
            from stages.ingest.urls import normal  # noqa: PLC0415 - seldom asked for, and a tenth of a second to load

            found = self._of_address(normal(wanted)) if normal(wanted) != wanted else []
        if not found:
            raise ConfigError(self._unknown(wanted))
        return found

    def _of_address(self, address: str) -> list[bytes]:
        if self.places is not None:
            near = self.places.of_address(address)
            return near if len(near) > SURE else [one for one in near if self._has(one, address)]
        found: dict[bytes, None] = {}
        for path in (*self.tables.kept, *self.tables.ledger):
            with table_of(path) as file:
                names = [name for name in _ADDRESSES if name in file.schema_arrow.names]
                column = id_column(file.schema_arrow)
                if column is None:
                    continue
                for group in range(file.num_row_groups) if names else ():
                    table = file.read_row_group(group, columns=names)
                    same = np.zeros(len(table), bool)
                    for name in names:
                        same |= np.asarray(pc.fill_null(pc.equal(table.column(name), address), False))
                    if same.any():
                        ids = ids_of(file.read_row_group(group, columns=[column]).column(0).combine_chunks())
                        found |= dict.fromkeys(ids.filter(pa.array(same)).to_pylist())
        return list(found)

    def _has(self, document: bytes, address: str) -> bool:
        rows = [*self.ledger(document), self.index(document) or {}]
        return any(row.get(name) == address for row in rows for name in _ADDRESSES)

    def _unknown(self, wanted: str) -> str:
        """Returns what can be said of a URL that no row has."""
        base = wanted.rstrip("/")
        turned = base.replace("http://", "https://", 1) if base.startswith("http://") else None
        turned = base.replace("https://", "http://", 1) if base.startswith("https://") else turned
        others = [one for one in (base, f"{base}/", turned, f"{turned}/") if one and one != wanted]
        near = next((one for one in others if self.places is not None and self._of_address(one)), None)
        meant = f" (did you mean {harmless(near)}?)" if near else "; a URL must be whole, as it was crawled"
        told = f"{self.folder}: no document has the url {harmless(wanted)}{meant}"
        counts = {
            name: amount
            for stage in self.tables.stages
            for name, amount in stage.get("counts", {}).items()
            if name.startswith("records.") and not name.endswith((".response", ".warcinfo"))
        }
        records = ", ".join(f"{amount:,} {name.partition('.')[2]}" for name, amount in sorted(counts.items()))
        untaken = f" ({records})" if records else ""
        return f"{told}; records of a crawl that hold no page are counted alone{untaken} and have no row"

    # By id

    def led(self, document: bytes) -> list[Row] | None:
        """Returns where the index of places leads to from a document, None without it."""
        if self.places is None:
            return None
        if document not in self._led:
            self._led[document] = self.places.of_document(document)
        return self._led[document]

    def ledger(self, document: bytes) -> list[Row]:
        """Returns all that the ledger says of a document."""
        if document not in self._ledger:
            self._ledger[document] = self.tables.ledger_of(document)
        return self._ledger[document]

    def index(self, document: bytes) -> Row | None:
        """Returns the row of a document that stayed, with `index_file` and `index_row`, its place."""
        if document not in self._index:
            self._index[document] = self._read_index(document)
        return self._index[document]

    def _read_index(self, document: bytes) -> Row | None:
        files, led = self.tables.kept, self.led(document)
        if led is not None:
            at = next((row for row in led if row["kind"] == DOCUMENT), None)
            return None if at is None else self._indexed(files[at["file"]], at["file"], at["row"], document)
        for number, path in enumerate(files):
            with table_of(path) as file:
                column = id_column(file.schema_arrow)
                if column is None:
                    continue
                text = pa.types.is_string(file.schema_arrow.field(column).type)
                value: bytes | str = document.hex() if text else document
                first = 0
                for group in range(file.num_row_groups):
                    ids = file.read_row_group(group, columns=[column]).column(0)
                    row = pc.index(ids, pa.scalar(value, ids.type)).as_py()
                    if row >= 0:
                        return self._indexed(path, number, first + row, document)
                    first += len(ids)
        return None

    def _indexed(self, path: str, number: int, row: int, document: bytes) -> Row:
        found = row_at(path, row)
        if (found.get("doc_id") or found.get("id")) not in (document, document.hex()):
            raise DataError(f"{path}: has another document at row {row} than {document.hex()}: it was changed")
        return {**found, "index_file": number, "index_row": row}

    def others(self, document: bytes) -> Iterator[tuple[str, list[Row]]]:
        """Yields (table, rows) of what signals and other tables hold of a document."""
        led = self.led(document)
        for name, files in self.tables.others.items():
            if led is not None and name.partition("/")[0] == "signals":
                rows = [row_at(files[row["file"]], row["row"]) for row in led if row["kind"] == name]
            else:
                column = id_column(schema_of(files[0])) or "id"
                text = pa.types.is_string(schema_of(files[0]).field(column).type)
                rows = rows_of(files, column, document.hex() if text else document)
            if rows:
                yield name, rows

    def of_another(self, document: bytes, kind: str) -> tuple[int, list[Row]]:
        """Returns how many were dropped for a document (FELL), or made of it (PART), and the first of them by id."""
        led = self.led(document)
        if led is not None:
            at = [(self.tables.ledger[row["file"]], row["row"]) for row in led if row["kind"] == kind]
            return len(at), [row_at(path, row) for path, row in at[:MOST]]
        made: list[Row] = []
        for path in self.tables.ledger:
            with opened(path) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=["other", "action"])
                    mask = pc.and_(
                        pc.equal(table.column("other"), pa.scalar(document, table.schema.field("other").type)),
                        pc.equal(table.column("action"), OF_ANOTHER[kind]),
                    )
                    if pc.any(mask).as_py():
                        made += file.read_row_group(group).filter(mask).to_pylist()
        return len(made), sorted(made, key=lambda row: row["id"])[:MOST]


def story(finder: Finder, document: bytes) -> Told:
    """Returns all that a run says of a document, harmless.

    Raises:
        ConfigError: nothing in it speaks of the document.
    """
    ledger, index = finder.ledger(document), finder.index(document)
    others = dict(finder.others(document))
    if not ledger and index is None and not others:
        raise ConfigError(
            f"{finder.folder}: no document has the id {document.hex()}: it is of another run, or of a record that "
            "was never taken (those are counted alone, and have no row)"
        )
    end = end_of(ledger)
    about = {**_first(ledger), **{name: value for name, value in (index or {}).items() if value is not None}}
    removed = finder.tables.is_removed(document)
    told: Told = {"id": document.hex(), **facts(about, _named(*PLACE, removed=removed)), "removed": removed}
    told["record"] = record(about)
    told["steps"] = list(_steps(finder, ledger, end, others, notes=not removed))
    told["outcome"] = "left" if end is not None else "stayed" if index is not None or not finder.tables.kept else "gone"
    if end is not None and end["other"] is not None:
        told["survivor"] = survivor(finder, end["other"])
    if index is not None:
        told["corpus"] = {
            "file": storage.absolute(finder.tables.kept[index["index_file"]]).removeprefix(
                f"{storage.absolute(finder.folder)}/"
            ),
            "row": index["index_row"],
            **facts(index, MEASURES),
        }
        found = pieces(finder.tables, finder.places, [document])
        told["pieces"] = [piece for split, table in found for piece in located(split, table)]
    told["duplicates"], fell = finder.of_another(document, FELL)
    told["duplicates_first"] = [
        {"id": row["id"].hex(), **facts(row, ("stage", "rule", "similarity", "source", "url"))} for row in fell
    ]
    told["parts"], parts = finder.of_another(document, PART)
    told["parts_first"] = [row["id"].hex() for row in parts]
    told["other"] = {name: safe(rows[:MOST]) for name, rows in others.items() if name.partition("/")[0] != "signals"}
    return {name: value for name, value in told.items() if value not in (None, [], {}, 0)}


def _named(*more: str, removed: bool) -> tuple[str, ...]:
    """Returns what a document is named by; its title is of its text."""
    return tuple(name for name in (*IDENTITY, *more) if name != "title" or not removed)


def _first(ledger: Sequence[Row]) -> Row:
    """Returns what the rows of a ledger say of the document itself."""
    made: Row = {}
    for row in ledger:
        made |= {name: row[name] for name in _OF_LEDGER if row.get(name) is not None and made.get(name) is None}
    return made


def _steps(
    finder: Finder, ledger: Sequence[Row], end: Row | None, others: dict[str, list[Row]], *, notes: bool
) -> Iterator[Told]:
    """Yields what each step did to a document, in order, up to the one that it left at."""
    of_report = [stage["stage"] for stage in finder.tables.stages]
    names = list(dict.fromkeys([*of_report, *(row["stage"] for row in ledger)]))
    made_at = next((row["stage"] for row in ledger if row["action"] == "split"), None)  # there was none of it before
    for name in names if made_at is None else names[names.index(made_at) :]:
        rows = [row for row in ledger if row["stage"] == name]
        rows.sort(key=lambda row: row["action"] not in LEAVING)
        left = end is not None and end["stage"] == name
        actions = {row["action"] for row in rows}
        outcome = "left here" if left else next((_OUTCOMES[one] for one in _OUTCOMES if one in actions), "went through")
        made: Told = {"step": safe(name), "outcome": outcome, "rules": [said(row, note=notes) for row in rows]}
        signals = {
            table: [_signals(row) for row in held]
            for table, held in others.items()
            if table.partition("/")[0] == "signals" and _step_of(table, names) == name
        }
        yield {**made, **({"signals": signals} if signals else {})}
        if left:
            return


def _step_of(table: str, steps: Sequence[str]) -> str | None:
    """Returns the step that a table of signals is of."""
    word = table.partition("/")[2]
    if not word:
        return "quality" if "quality" in steps else next(iter(steps), None)
    if word in steps:
        return word
    known = _OF_STEP.get(word.partition("-")[0], "ingest")
    return known if known in steps else next((step for step in steps if step.startswith(word.partition("-")[0])), None)


def _signals(row: Row) -> Told:
    return {name: safe(value) for name, value in row.items() if name not in _UNTOLD and value is not None}


def survivor(finder: Finder, document: bytes) -> list[Told]:
    """Returns the document that another was dropped for, and, where it left itself, those that it was dropped for."""
    made: list[Told] = []
    for _ in range(CHAIN):
        ledger, index = finder.ledger(document), finder.index(document)
        end = end_of(ledger)
        about = {**_first(ledger), **{name: value for name, value in (index or {}).items() if value is not None}}
        told: Told = {"id": document.hex(), **facts(about, ("source", "url")), "stayed": end is None}
        made.append({**told, **({"left": said(end)} if end is not None else {})})
        if end is None or end["other"] is None or any(one["id"] == end["other"].hex() for one in made):
            break
        document = end["other"]
    return made


def record(about: Row) -> Told | None:
    """Returns where the record of a document lies in its source, and how it is cut out of it."""
    if about.get("file") is None:
        return None
    file, offset = safe(about["file"]), about.get("offset")
    crawled = about.get("crawl_date") or date_of(about.get("crawl_time"))
    told: Told = {"file": file, "offset": offset, "crawl_date": safe(crawled)}
    if offset is not None and ".warc" in str(about["file"]).lower().rpartition("/")[2]:
        told["cut"] = f"fastwarc extract {_quoted(file)} {offset}"
    return {name: value for name, value in told.items() if value is not None}


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"


def located(split: Split, table: pa.Table) -> Iterator[Told]:
    """Yields where pieces lie, in samples by position: and whether an overlay takes them, or their sample, out."""
    trace = Trace(split)
    removed = trace.removed(table)
    for piece, gone in zip(table.to_pylist(), removed, strict=True):
        length = piece["end"] - piece["start"]
        told: Told = {
            "split": split.name,
            "sample": piece["sample"],
            "shard": split.shards[piece["shard"]]["name"],
            "row": piece["row"],
            "tokens": f"{piece['start']}:{piece['end']}",
            "of_document": f"{piece['doc_start']}:{piece['doc_start'] + length}",
            "epoch": piece["epoch"],
        }
        if gone:
            told["removed"] = True
        if trace.is_skipped(piece["sample"]):
            told["skipped"] = True
        yield told


def behind(split: Split, table: pa.Table) -> Iterator[Told]:
    """Yields the documents behind pieces, each with its piece and its record."""
    columns = ("doc_id", *IDENTITY, *PLACE, "crawl_time", *MEASURES)
    files, rows = (table.column(name).to_numpy() for name in ("file", "file_row"))
    about = documents(split.corpus, files, rows, columns=columns).to_pylist()
    for piece, row, known in zip(located(split, table), table.column("doc_id").to_pylist(), about, strict=True):
        if known["doc_id"] != row:
            raise DataError(f"{split.corpus.folder}: the index of pieces leads from {row} to another document")
        names = _named(*PLACE, *MEASURES, removed="removed" in piece)
        told = {"id": row, **facts(known, names), "record": record(known), "piece": piece}
        yield {name: value for name, value in told.items() if value is not None}
