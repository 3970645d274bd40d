"""What `datapipe verify` checks of a report: that it is of this corpus, its page of it, and its sums right.

The sums are counted in another way than the report's: from the index and the pieces of samples alone, in one process.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from datapipe import DataError, DatapipeError, Look, Note, storage
from stages.audit.hostile import harmless
from stages.audit.model import Audit
from stages.audit.page import render
from stages.audit.standing import DIGESTS, MANIFEST, OF_REPORT, PAGE, REPORT, digests, of_report, page_digest, version
from stages.corpus.corpus import Corpus, Split
from stages.corpus.index import opened, segments

AGAIN: Final = "`datapipe report` makes it anew"
LANGUAGES: Final = "kinds.languages"  # the table that is counted again
COUNTED: Final[tuple[str, ...]] = ("documents", "tokens", "trained")
_PIECES: Final = ("sample", "start", "end", "file", "file_row")
_REMOVED: Final = "removed"  # split of rows that a rebuild emptied

Sums = dict[str | None, list[int]]  # documents, tokens and tokens as trained by language


def check(folder: str, look: Look | None = None) -> Iterator[str]:
    """Yields a sentence for each fault of the report in an output folder; nothing where none was made."""
    try:
        data = json.loads(storage.read_bytes(storage.join(folder, REPORT)))
    except (DatapipeError, ValueError, OSError):
        return  # which is said already
    try:
        yield from _faults(folder, data.get("audit"), look or Look(folder))
    except DatapipeError as error:
        yield f"report: {error}"


def _faults(folder: str, said: Any, look: Look) -> Iterator[str]:  # Any: JSON
    page = storage.read_if_there(storage.join(folder, PAGE))
    if said is None:
        there = [name for name in OF_REPORT if storage.exists(storage.join(folder, name))]
        yield from (
            f"{name}: is there, but {REPORT} holds no audit, so it is of another run; {AGAIN}" for name in there
        )
        return
    try:
        audit = Audit.model_validate(said)
    except ValidationError as error:
        yield f"{REPORT}: its audit is not as reports/report.schema.json says: {_first(error)}; {AGAIN}"
        return
    others = [f"{REPORT}: {name} of its audit {fault}; {AGAIN}" for name, fault in _differing(folder, audit)]
    yield from others
    yield from (f"{name}: {fault}; {AGAIN}" for name, fault in _changed(folder) if name != PAGE)
    if page is None:
        yield f"{PAGE}: is gone; {AGAIN}"
    elif page_digest(page) != audit.digest:
        yield f"{PAGE}: is not drawn from the audit in {REPORT}; {AGAIN}"
    elif audit.code_version == version() and page != render(audit):
        yield f"{PAGE}: is not the page of the audit that it names: it was changed; {AGAIN}"
    elif audit.code_version != version():
        yield Note(f"{PAGE}: datapipe {harmless(audit.code_version)} drew it, and this is {version()}: not drawn again")
    if not others and storage.exists(storage.join(folder, MANIFEST)):
        yield from _recounted(folder, audit)


def _first(error: ValidationError) -> str:
    one = error.errors()[0]
    return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"


def _differing(folder: str, audit: Audit) -> Iterator[tuple[str, str]]:
    now = digests(folder)
    for name in sorted({*now, *audit.corpus}):
        if now.get(name) != audit.corpus.get(name):
            yield name, f"is {_short(audit.corpus.get(name))}, what lies here is {_short(now.get(name))}"


def _changed(folder: str) -> Iterator[tuple[str, str]]:
    """Yields the files of a report that are not what was made, and how."""
    try:
        made = of_report(folder)
    except DataError:
        yield DIGESTS, "is not as it was written, by the digest that it ends with"
        return
    if not made:
        yield DIGESTS, "is gone, so nothing says what was made"
    for name, digest in made.items():
        path = storage.join(folder, name)
        if not storage.exists(path):
            yield name, "is gone"
        elif storage.sha256_of(path) != digest:
            yield name, f"has changed since it was made (SHA-256 was {_short(digest)})"


def _short(digest: object) -> str:
    return f"{digest[:12]}…" if isinstance(digest, str) else "none"


# The sums


def _recounted(folder: str, audit: Audit) -> Iterator[str]:
    """Yields what the report says otherwise of documents, tokens and tokens as trained, by language."""
    table = next((table for section in audit.sections for table in section.tables if table.key == LANGUAGES), None)
    if table is None:
        return
    names = [column.key for column in table.columns]
    places = [(name, names.index(name)) for name in COUNTED if name in names]
    counted, total = recount(Corpus.open(folder)), [0] * len(COUNTED)
    for row in table.rows:
        own = counted.get(row[0] if isinstance(row[0], str) else None, [0] * len(COUNTED))
        for name, place in places:
            found = own[COUNTED.index(name)]
            total[COUNTED.index(name)] += found
            if row[place] != found:
                yield f"report: {name} of {row[0]} are {row[place]:,}, the index says {found:,}"
            whole = sum(sums[COUNTED.index(name)] for sums in counted.values())
            share = row[names.index(f"{name}_share")] if f"{name}_share" in names else None
            if share is not None and whole and not math.isclose(float(share), found / whole, rel_tol=1e-5):
                yield f"report: the share of {row[0]} in {name} is {share}, the index says {found / whole:.6g}"
    if table.of is None:
        for place, name in enumerate(COUNTED):
            whole = sum(own[place] for own in counted.values())
            if whole != total[place]:
                yield f"report: its languages have {total[place]:,} {name}, the index has {whole:,}"


def recount(corpus: Corpus) -> Sums:
    """Returns documents, tokens and tokens as trained by language, from the index alone."""
    labels: dict[str | None, int] = {}
    codes: list[npt.NDArray[np.int32]] = []  # of the documents of each file
    sums: list[list[int]] = []
    for name in corpus.document_files:
        with opened(storage.join(corpus.folder, name)) as file:
            there = "language" in file.schema_arrow.names
            table = file.read(columns=["tokens", "split", *(["language"] if there else [])])
        languages = table.column("language") if there else pa.chunked_array([pa.nulls(len(table), pa.string())])
        coded = languages.combine_chunks().dictionary_encode(null_encoding="encode")
        known = np.array([labels.setdefault(one, len(labels)) for one in coded.dictionary.to_pylist()], np.int32)
        codes.append(known[np.asarray(coded.indices)] if len(table) else np.zeros(0, np.int32))
        sums += [[0] * len(COUNTED) for _ in range(len(labels) - len(sums))]
        stays = np.asarray(pc.not_equal(pc.fill_null(table.column("split"), ""), _REMOVED))
        tokens = np.asarray(pc.fill_null(table.column("tokens"), 0)).astype(np.int64)
        _add(sums, 0, codes[-1][stays], stays[stays].astype(np.int64))
        _add(sums, 1, codes[-1][stays], tokens[stays])
    if "train" in corpus.splits:
        for pieces in _pieces(corpus.split("train")):
            lengths, files, rows = (
                np.asarray(pieces[name]).astype(np.int64) for name in ("length", "file", "file_row")
            )
            for number in np.unique(files).tolist():
                own = files == number
                _add(sums, 2, codes[number][rows[own]], lengths[own])
    return {label: sums[place] for label, place in labels.items()}


def _add(sums: list[list[int]], place: int, codes: npt.NDArray[np.int32], amounts: npt.NDArray[np.int64]) -> None:
    for code in np.unique(codes).tolist():
        sums[code][place] += int(amounts[codes == code].sum())


def _pieces(split: Split) -> Iterator[Mapping[str, Any]]:  # Any: arrays of numpy
    """Yields the pieces that readers get, by shard: without samples that are left out, and documents taken out."""
    for number, shard in enumerate(split.shards):
        first = split.first(number)
        for start, stop in split.overlaid.runs(first, first + shard["rows"]):
            table = segments(split, start, stop, columns=_PIECES)
            columns = {name: np.asarray(table.column(name)).astype(np.int64) for name in _PIECES}
            samples, starts, _ = split.overlaid.pieces(start, stop)
            taken = np.isin(columns["sample"] << 32 | columns["start"], samples << 32 | starts)
            length = np.where(taken, 0, columns["end"] - columns["start"])
            yield {"length": length, "file": columns["file"], "file_row": columns["file_row"]}
