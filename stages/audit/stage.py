"""The stage `audit`: counts over what a finished run published, whoever ran it, without running it again.

    pieces ─ trained ─ exchange by file ─┐ (beside)
    index of documents ──────────────────┴─ frame ─ count ─┐
    ledger ──────────────────────────────── frame ─ count ─┼─ sum ─ facts
    other tables ────────────────────────────────── count ─┘
    all of them ─ places ─ exchange by hash: the index of places, for `datapipe explain`
    (counters of very many keys, of large runs: exchange by key ─ count ─ sum)

Files are known by the digests of the run's claim, so a folder that was copied is counted once; a file that is changed
is a difference of sums, and an error.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import chain
from typing import Annotated, Any, ClassVar

import pyarrow as pa

from datapipe import ID, LEDGER, Dataset, InputFile, Like, Output, PlanError, Resource, Source, Stage, concat, resource
from stages.audit import draw, parts
from stages.audit.counter import Counter, Scan, Wide
from stages.audit.frames import (
    Framed,
    ReadDocuments,
    documents_schema,
    frame_of,
)
from stages.audit.places import places
from stages.audit.published import (
    AMOUNTS,
    DOCUMENTS,
    INDEX,
    LEDGER_FILES,
    PLACE,
    SEGMENTS,
    Groups,
    Published,
    ReadColumns,
    grouped,
    published,
    schema_of,
)
from stages.audit.tally import TABLES, After, Count, CountLeft, Sum
from stages.audit.trained import NEEDED, READ, SUMS, ReadSegments, Trained, segment_files, splits_of
from stages.corpus.corpus import Corpus

FACTS = "documents/facts-{number:05}-of-{shards:05}.arrow"
FEW = 2  # tasks: so few hand on what has very many keys to the fold as it is
IDS = pa.schema([pa.field("id", ID)])
ASKED = ("id", "source", "url", "host", "language", "bytes", "characters")  # of documents, without which a part is mute


def code_of(package: Traversable) -> int:
    """Returns a number of the modules of a package: another one where a line of them is another."""
    modules = sorted((file for file in package.iterdir() if file.name.endswith(".py")), key=lambda file: file.name)
    said = hashlib.sha256()
    for file in modules:
        said.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return int(said.hexdigest()[:12], 16)


@dataclass(frozen=True, kw_only=True)
class Audit(Stage):
    """Counts what a run kept and what it dropped, for `datapipe report`.

    Any line of this package may change a table, and what is counted is kept with the corpus for years: so its version
    is that of the code.
    """

    version: ClassVar[int] = code_of(resources.files(__package__))
    libraries: ClassVar[tuple[str, ...]] = ("datapipe",)

    folder: Annotated[str, "folder --out of a finished run, local or s3://"]
    seed: Annotated[int, "of all that is drawn"] = 0
    topics: Annotated[str | None, "model of topics of an earlier report (reports/topics.json), to compare by"] = None

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the tables of all counters, packed.

        Raises:
            ConfigError: there is no finished run in the folder.
            DataError: what it published is damaged.
            PlanError: a step comes before.
        """
        if inputs:
            raise PlanError("reads the folder of a finished run: it is the first step, and the only one")
        run = published(self.folder)
        return Counting(run, self.seed, resource(self.topics) if self.topics else None).facts()


@dataclass(frozen=True)
class Counting:
    """The datasets of an audit of one run."""

    run: Published
    seed: int
    topics: Resource | None

    def facts(self) -> Dataset:
        """Returns the dataset of all tables, packed."""
        index, ledger = self.run.files(INDEX) or self.run.files(DOCUMENTS), self.run.files(LEDGER_FILES)
        groups, ledgers = grouped(index), grouped(ledger)
        far = len(groups) + len(ledgers) > FEW
        counters = [*self._draw(), *(one for one in self._all if not isinstance(one, Wide | Scan))]
        wides = tuple(one for one in self._all if isinstance(one, Wide))
        apart = tuple(wide.counter for wide in wides)
        own = (tuple(counters), apart) if far else ((*counters, *apart), ())
        outputs = [Output("amounts", AMOUNTS), *(Output(counter.name, counter.schema) for counter in own[1])]
        gone: Dataset | None = None
        made, amounts = [], []
        if ledgers:
            after = self._after_documents()
            more = [Output("gone", IDS)] if after else []
            left = self._ledger(ledgers).map(CountLeft(*own, after), schema=TABLES, outputs=[*outputs, *more])
            gone = left.output("gone") if after else None
            made.append(left)
        frames, framed = self.frames(groups)
        amounts += framed
        if gone is not None:
            frames = frames.exchange("id", len(groups), then=())
            gone = gone.exchange("id", len(groups), then=())
        made.append(frames.map(Count(*own, gone is not None), schema=TABLES, outputs=outputs, beside=gone))
        amounts += [one.output("amounts") for one in made]
        rows = [*made, *self._scanned()]
        if far:
            rows += [
                concat([one.output(wide.counter.name) for one in made])
                .exchange(wide.key, len(groups) + len(ledgers), then=())
                .map(After(wide), schema=TABLES)
                for wide in wides
            ]
        return concat(rows).fold(
            self._sum(tuple(counters), wides, index, ledger),
            TABLES,
            whole=(concat(amounts), places(self.run).files()),
            outputs=(Output("facts", TABLES, publish=FACTS),),
        )

    @cached_property
    def _all(self) -> tuple[Counter | Wide | Scan, ...]:
        return parts.counters()

    @property
    def _passing(self) -> list[Mapping[str, Any]]:  # Any: JSON
        """What the run says of its steps that documents went through."""
        return [stage for stage in self.run.run["stages"] if stage["documents_in"] or stage["documents_out"]]

    @property
    def _came(self) -> int:
        return int(self._passing[-1]["documents_out"]) if self._passing else 0

    def _draw(self) -> Sequence[Counter]:
        return draw.counters(self.seed, self._came, sum(stage["dropped"] for stage in self._passing))

    def _after_documents(self) -> tuple[str, ...]:
        """Returns the steps by which documents left after they were written, where what was written is what is left."""
        names = [stage["stage"] for stage in self._passing]
        writes = [place for place, name in enumerate(names) if re.fullmatch(r"write(-\d+)?", name)]
        if self.run.manifest or not writes:
            return ()
        return tuple(stage["stage"] for stage in self._passing[writes[-1] + 1 :] if stage["dropped"])

    def _ledger(self, groups: Groups) -> Dataset:
        return Dataset(Source("ledger", ReadColumns(LEDGER), groups), LEDGER)

    def frames(self, groups: Groups) -> tuple[Dataset, list[Dataset]]:
        """Returns the documents that stayed as rows of the frame, and AMOUNTS."""
        names = tuple(file.name for group in groups for file in group)
        read: ReadColumns | ReadDocuments
        if names[0].startswith(INDEX):
            there = schema_of(self.run.folder, groups[0][0])
            there = pa.schema([field for field in there if field.name != "extra"])
            read, columns = ReadColumns(there, names), pa.schema([*there, *PLACE])
        else:
            columns = documents_schema(self.run.folder, groups[0])
            read = ReadDocuments(columns, names)
        rows = Dataset(Source("documents", read, groups), columns)
        pieces: Dataset | None = None
        splits: tuple[str, ...] = ()
        amounts: list[Dataset] = []
        if self.run.manifest and not self._lacking_pieces:
            pieces, splits, amounts = self._pieces(groups, rows)
        schema = frame_of(columns)
        framed = rows.map(Framed(schema, splits), schema=schema, beside=pieces, outputs=(Output("amounts", AMOUNTS),))
        return framed, [*amounts, framed.output("amounts")]

    def _pieces(self, groups: Groups, rows: Dataset) -> tuple[Dataset, tuple[str, ...], list[Dataset]]:
        """Returns SUMS for each shard of documents, the splits that they number, and AMOUNTS."""
        corpus = Corpus.open(self.run.folder)
        known = {file.name: file for file in self.run.files("corpus/index/")}
        files = [known[name] for name in segment_files(corpus)]
        shards = grouped(files)
        read = Dataset(Source("pieces", ReadSegments(self.run.resource), shards), READ)
        where = tuple(number for number, group in enumerate(groups) for _ in group)
        trained = read.map(Trained(self.run.resource, where), schema=SUMS, outputs=(Output("amounts", AMOUNTS),))
        alone = len(shards) == len(groups) == 1  # then all pieces are where the documents are
        sums = trained if alone else trained.exchange("part", Like(rows), then=("file", "file_row"), direct=True)
        return sums, tuple(splits_of(corpus)), [trained.output("amounts")]

    @cached_property
    def _lacking_pieces(self) -> tuple[str, ...]:
        """Returns the columns that are lacking in the index of pieces: an earlier datapipe made it."""
        files = self.run.files(SEGMENTS)
        there = schema_of(self.run.folder, files[0]).names if files else []
        return tuple(name for name in NEEDED if name not in there)

    def _scanned(self) -> Iterator[Dataset]:
        """Yields what the counters of other files count, a dataset for each beginning of names."""
        scans = [one for one in self._all if isinstance(one, Scan)]
        for beginning in dict.fromkeys(scan.files for scan in scans):
            files = [file for file in self.run.files(beginning) if file.name.endswith(".parquet")]
            if not files:
                continue
            own = [scan for scan in scans if scan.files == beginning]
            there = schema_of(self.run.folder, files[0])
            names = dict.fromkeys(chain.from_iterable(scan.columns for scan in own))
            schema = pa.schema([there.field(name) for name in names if name in there.names])
            if not schema.names:
                continue
            read = Dataset(Source(beginning, ReadColumns(schema), grouped(files)), schema)
            count = Count(tuple(scan.counter for scan in own))
            yield read.map(count, schema=TABLES, outputs=(Output("amounts", AMOUNTS),))

    def _sum(self, counters: tuple[Counter, ...], wides: tuple[Wide, ...], *files: Sequence[InputFile]) -> Sum:
        scans = tuple(one.counter for one in self._all if isinstance(one, Scan))
        dropped = tuple((stage["stage"], int(stage["dropped"])) for stage in self._passing)
        index, ledger = files
        lacks = [*lacking("documents", self.run.folder, index), *lacking("ledger", self.run.folder, ledger)]
        if self.run.manifest:
            lacks += [("pieces", name) for name in self._lacking_pieces]
        nameless = self._after_documents() and ("documents", "id") in lacks  # who left of them later is not known
        came = None if nameless else self._came
        return Sum(self.run.resource, (*counters, *scans), wides, self.seed, came, dropped, tuple(lacks), self.topics)


def lacking(of: str, folder: str, files: Sequence[InputFile]) -> Iterator[tuple[str, str]]:
    """Yields (`of`, column) of what the files of a run lack: an earlier datapipe made them, or a step was left out."""
    wanted = LEDGER.names if of == "ledger" else ASKED
    if files and files[0].name.endswith(".parquet"):
        there = {*schema_of(folder, files[0]).names}
        there |= {"id"} if "doc_id" in there else set()
        there |= {"bytes", "characters"} if "text" in there else set()
        yield from ((of, name) for name in wanted if name not in there)
