"""The stage `decontaminate`: what documents share with the items of benchmarks, and what becomes of it."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import ConfigDict

from datapipe import ID, ConfigError, Dataset, Output, Resource, Stage, Work, resource
from datapipe.storage import find_files
from stages.buffers import characters
from stages.decontaminate.grams import Width, search
from stages.decontaminate.items import Searched, searched
from stages.dedup.fold import fold_table, load
from stages.rewrite import rewritten, with_columns
from stages.schema import CONTAMINATION

log = logging.getLogger(__name__)
NOTE_CHARACTERS = 120
_NAME = re.compile(r"[\w.-]+")  # the column `contamination` puts blanks and colons between
LONGEST = 1000  # n-gram; items are shorter, and documents are read with so many tokens at once
PUBLISHED = "signals/contamination-{number:05}-of-{shards:05}.parquet"
OVERLAPS = pa.schema(
    [
        pa.field("id", ID),
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("benchmark", pa.string()),
        pa.field("item", pa.string()),  # file of the benchmark and number of the row in it
        pa.field("grams", pa.int32()),  # of the item, distinct, that the document holds
        pa.field("share", pa.float32()),  # of the n-grams of the item's longest text
        pa.field("start", pa.int64()),  # of the first overlap in the document's text (bytes)
        pa.field("end", pa.int64()),
        pa.field("sample", pa.string()),  # the overlap as the document has it
    ]
)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark: where its files lie and which fields of a row are its text."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    path: Annotated[
        str | tuple[str, ...], "a file, a folder or a glob, or a list: .jsonl .json .csv .tsv .parquet .txt"
    ]
    fields: Annotated[
        tuple[str, ...], "fields that hold its text, the question first, then its choices; if none, by the usual names"
    ] = ()


@dataclass(frozen=True, kw_only=True)
class Decontaminate(Stage):
    """Finds documents that hold items of benchmarks, and drops them, cuts the items out, or only says so.

    Compared is a folded view (compatibility forms, case, Traditional to Simplified, no punctuation), so that neither
    line breaks nor another script hide an item; markup inside of it does.
    """

    benchmarks: Annotated[dict[str, Benchmark], "benchmarks by name"]
    action: Annotated[
        Literal["drop", "cut", "flag"],
        "drop the document; cut the overlap out of it; or flag it: the column `contamination` and the ledger say so",
    ] = "drop"
    words: Annotated[int, "words that a document must share with an item, in a row"] = 13
    characters: Annotated[
        int, "the same for Han and other unspaced characters; where both are mixed, in proportion"
    ] = 20
    share: Annotated[float, "share of an item's n-grams that a document must hold; 0: one is enough"] = 0.0
    common: Annotated[int, "n-grams of more items than this are a template and left out, where an item has others"] = 10
    margin: Annotated[int, "cut: what goes on both sides of an overlap too (characters)"] = 200
    pieces: Annotated[int, "cut: a document that would fall into more pieces is dropped"] = 10
    least: Annotated[int, "cut: pieces that are left and shorter than this go too (characters)"] = 200

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents that stay, with the column of `CONTAMINATION`."""
        how = self.search()
        for name, amount in how.searched().unknowable:
            log.warning(
                "decontaminate: %s: %d items are too short to be told from chance, and are not looked for", name, amount
            )
        return inputs[0].map(
            how, reads=("id", "text"), adds=CONTAMINATION, outputs=(Output("overlaps", OVERLAPS, publish=PUBLISHED),)
        )

    def search(self) -> Decontaminated:
        """Returns the map of the step. Raises ConfigError where a field is wrong or a file cannot be found."""
        self._check()
        files, fields = self._files()
        return Decontaminated(
            files,
            fields,
            fold_table(),
            self.words,
            self.characters,
            self.common,
            self.action,
            self.share,
            self.margin,
            self.pieces,
            self.least,
        )

    def _files(self) -> tuple[tuple[tuple[str, str, Resource], ...], tuple[tuple[str, tuple[str, ...]], ...]]:
        files = []
        for name, one in sorted(self.benchmarks.items()):
            patterns = (one.path,) if isinstance(one.path, str) else one.path
            found = [file for pattern in patterns for file in find_files(pattern)]
            if not found:
                raise ConfigError(f"decontaminate: benchmarks: {name}: path: no file is named; give a file or a glob")
            files += [(name, file.name, resource(file.url)) for file in found]
        return tuple(files), tuple((name, tuple(one.fields)) for name, one in sorted(self.benchmarks.items()))

    def _check(self) -> None:
        if not self.benchmarks:
            raise ConfigError("decontaminate: benchmarks: there is none; name at least one, as 'gsm8k: {path: FILE}'")
        for name in self.benchmarks:
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"decontaminate: benchmarks: '{name}' is no name; give letters, digits, '.', '_' and '-'"
                )
        for name, least in (("words", 5), ("characters", 8), ("common", 1), ("margin", 0), ("pieces", 1), ("least", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"decontaminate: {name}: {getattr(self, name)} is too small; it is at least {least}")
        for name in ("words", "characters"):
            if getattr(self, name) > LONGEST:
                raise ConfigError(f"decontaminate: {name}: {getattr(self, name)} is too large; it is at most {LONGEST}")
        if not 0 <= self.share <= 1:
            raise ConfigError(f"decontaminate: share: {self.share} is not between 0 and 1")


class Overlap(NamedTuple):
    """What a document shares with an item."""

    item: int
    places: frozenset[int]  # of the n-grams that it holds
    spans: tuple[tuple[int, int], ...]  # bytes of the text from and to


@dataclass(frozen=True)
class Decontaminated:
    """The map of the step."""

    files: tuple[tuple[str, str, Resource], ...]
    fields: tuple[tuple[str, tuple[str, ...]], ...]
    fold: Resource
    words: int
    characters: int
    common: int
    action: str
    share: float
    margin: int
    pieces: int
    least: int

    def searched(self) -> Searched:
        """Returns what documents are searched for."""
        return searched(self.files, self.fields, self.fold, Width(self.words, self.characters), self.common)

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        """Yields the rows that stay."""
        known = self.searched()
        if work.number == 0:
            for name, amount in known.unknowable:
                work.count(f"items_too_short.{name}", amount)
        for batch in batches:
            overlaps = self.overlaps(batch.column("text"))
            named = {row: _named(found, known) for row, found in overlaps.items()}
            column = pa.array([named.get(row) for row in range(batch.num_rows)], pa.string())
            batch = with_columns(batch, CONTAMINATION, (column,))
            if overlaps:
                work.put("overlaps", _listed(batch, overlaps, known))
            yield self._acted(batch, overlaps, known, work) if overlaps else batch

    def overlaps(self, texts: pa.Array) -> dict[int, list[Overlap]]:
        """Returns the overlaps of each text that has any, the largest first."""
        known = self.searched()
        hits = search(texts, load(self.fold), Width(self.words, self.characters), known.table)
        held: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for row, start, end, place in zip(*(column.tolist() for column in hits), strict=True):
            held.setdefault((row, place), []).append((start, end))
        met: dict[tuple[int, int], set[int]] = {}
        for row, place in held:
            for item in known.items[known.bounds[place] : known.bounds[place + 1]].tolist():
                met.setdefault((row, item), set()).add(place)
        spans: dict[tuple[int, frozenset[int]], tuple[tuple[int, int], ...]] = {}  # equal items have them in common
        found: dict[int, list[Overlap]] = {}
        for (row, item), places in met.items():
            if len(places) >= self.share * known.sizes[item]:
                key = row, frozenset(places)
                if key not in spans:
                    spans[key] = tuple(merged([span for place in places for span in held[row, place]]))
                found.setdefault(row, []).append(Overlap(item, key[1], spans[key]))
        for overlaps in found.values():
            overlaps.sort(key=lambda one: (-len(one.places), one.item))
        return found

    def _acted(
        self, batch: pa.RecordBatch, overlaps: dict[int, list[Overlap]], known: Searched, work: Work
    ) -> pa.RecordBatch:
        rows = sorted(overlaps)
        texts: dict[int, str] = {}
        gone = set(rows) if self.action == "drop" else set()
        if self.action == "cut":
            for row in rows:
                text = batch.column("text")[row].as_py()
                left = self._cut(
                    text, merged([span for spans in {one.spans for one in overlaps[row]} for span in spans])
                )
                gone |= {row} if left is None else set()
                texts[row] = left or text
        self._note(batch, {row: overlaps[row] for row in rows if row not in gone}, known, work, self.action == "cut")
        changed = [row for row in rows if row not in gone and row in texts]
        batch = rewritten(batch, changed, [texts[row] for row in changed])
        return self._dropped(batch, {row: overlaps[row] for row in sorted(gone)}, known, work)

    def _cut(self, text: str, spans: list[tuple[int, int]]) -> str | None:
        """Returns a text without merged spans (bytes) and their margins, None where too little or too much is left.

        Source: Brown et al. 2020, appendix C.
        """
        at = characters(text, [place for span in spans for place in span])
        wide = [(max(0, start - self.margin), end + self.margin) for start, end in zip(at[::2], at[1::2], strict=True)]
        ends = merged(wide)
        borders = [0, *(place for span in ends for place in span), len(text)]
        pieces = [text[start:end].strip() for start, end in zip(borders[::2], borders[1::2], strict=True)]
        left = [piece for piece in pieces if len(piece) >= max(1, self.least)]
        return "\n".join(left) if left and len(left) <= self.pieces else None

    def _note(
        self, batch: pa.RecordBatch, overlaps: dict[int, list[Overlap]], known: Searched, work: Work, cut: bool
    ) -> None:
        """Writes a ledger row a document and benchmark."""
        noted = [
            (row, found[0]) for row, all_found in overlaps.items() for found in _by_benchmark(all_found, known).values()
        ]
        if not noted:
            return
        rows = [row for row, _ in noted]
        work.note(
            batch.take(pa.array(rows, pa.int64())),
            range(len(rows)),
            action="repair" if cut else "flag",
            rule=[known.benchmarks[one.item] for _, one in noted],
            value=[float(len(one.places)) for _, one in noted],
            note=[_sentence(batch, row, one, known) for row, one in noted],
        )

    def _dropped(
        self, batch: pa.RecordBatch, overlaps: dict[int, list[Overlap]], known: Searched, work: Work
    ) -> pa.RecordBatch:
        mask = np.zeros(batch.num_rows, bool)
        mask[list(overlaps)] = True
        worst = [overlaps[row][0] if row in overlaps else None for row in range(batch.num_rows)]
        further = [
            (row, found[0])
            for row, all_found in overlaps.items()
            for name, found in _by_benchmark(all_found, known).items()
            if name != known.benchmarks[all_found[0].item]
        ]
        taken = batch.take(pa.array([row for row, _ in further], pa.int64()))
        kept = work.drop(
            batch,
            mask,
            rule=pa.array([one and known.benchmarks[one.item] for one in worst], pa.string()),
            value=pa.array([one and float(len(one.places)) for one in worst], pa.float64()),
            note=pa.array([one and _sentence(batch, row, one, known) for row, one in enumerate(worst)], pa.string()),
        )
        work.note(
            taken,
            range(len(further)),
            action="also",
            rule=[known.benchmarks[one.item] for _, one in further],
            value=[float(len(one.places)) for _, one in further],
            note=[_sentence(batch, row, one, known) for row, one in further],
        )
        return kept


def merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns spans in order, those that touch or overlap as one.

    >>> merged([(5, 9), (0, 3), (2, 5)])
    [(0, 9)]
    """
    made: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((start, end))
    return made


def _by_benchmark(overlaps: list[Overlap], known: Searched) -> dict[str, list[Overlap]]:
    found: dict[str, list[Overlap]] = {}
    for one in overlaps:
        found.setdefault(known.benchmarks[one.item], []).append(one)
    return found


def _named(overlaps: list[Overlap], known: Searched) -> str:
    """Returns the benchmarks of overlaps with how many of their items, as the column holds them."""
    amounts = Counter(known.benchmarks[one.item] for one in overlaps)
    return " ".join(f"{name}:{amount}" for name, amount in sorted(amounts.items()))


def _sample(text: pa.StringScalar, one: Overlap) -> str:
    start, end = one.spans[0]
    data = memoryview(text.as_buffer())[start : min(end, start + 4 * NOTE_CHARACTERS)]
    return bytes(data).decode(errors="ignore")[:NOTE_CHARACTERS]


def _sentence(batch: pa.RecordBatch, row: int, one: Overlap, known: Searched) -> str:
    return f"{known.names[one.item]}: {_sample(batch.column('text')[row], one)}"


def _listed(batch: pa.RecordBatch, overlaps: dict[int, list[Overlap]], known: Searched) -> pa.RecordBatch:
    """Returns a row of OVERLAPS for each document and item."""
    rows = [row for row in sorted(overlaps) for _ in overlaps[row]]
    found = [one for row in sorted(overlaps) for one in overlaps[row]]
    indices = pa.array(rows, pa.int64())
    carried = [
        batch.column(name).take(indices).cast(pa.string())
        if name in batch.schema.names
        else pa.nulls(len(rows), pa.string())
        for name in ("source", "url")
    ]
    columns = [
        batch.column("id").take(indices),
        *carried,
        pa.array([known.benchmarks[one.item] for one in found], pa.string()),
        pa.array([known.names[one.item] for one in found], pa.string()),
        pa.array([len(one.places) for one in found], pa.int32()),
        pa.array([min(1.0, len(one.places) / int(known.sizes[one.item])) for one in found], pa.float32()),
        pa.array([one.spans[0][0] for one in found], pa.int64()),
        pa.array([one.spans[0][1] for one in found], pa.int64()),
        pa.array([_sample(batch.column("text")[row], one) for row, one in zip(rows, found, strict=True)], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=OVERLAPS)
