"""A sample of a pipeline's sources, and the same pipeline on it: what an estimate runs.

Files are chosen first, evenly spaced over each source within a budget of bytes, so that no more is read however large
the sources are; one file of each at least, whole where it cannot be cut. Of their documents those are drawn whose hash
of (salt, id) lies below a limit, which sinks while the sample is larger than it may be. What is drawn lies in local
files, and is read again from them at any lower share.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa

from datapipe.dataset import Batches, Dataset, InputFile, Like, Op, Source, parents_of
from datapipe.errors import DataError, Interrupted, StageError
from datapipe.graph import Pipeline
from datapipe.shard import Writer, read_shard, row_bytes
from datapipe.stage import Stage
from datapipe.work import Work

READ_BYTES = 256 << 20  # of source files, as they lie
HELD_BYTES = 64 << 20  # of rows in the sample, about
LARGEST_SHARE = 0.12  # of the documents, where there are many
FEW_DOCUMENTS = 1000  # so many are drawn where there are so many
GROUPS = 10  # of documents, from whose spread the error of an estimate is told
_ALL = 1 << 64
Spools = dict[str, tuple[tuple[InputFile, ...], ...]]  # by source


@dataclass(frozen=True)
class Drawn:
    """What was drawn of one source. `files` were read of all there are, `weight` times as much is in the whole."""

    source: str
    groups: tuple[tuple[InputFile, ...], ...]  # spooled, one a shard that was read
    files: int
    weight: float
    documents: int  # in the files that were read
    bytes: int  # of their rows
    seconds: float  # of CPU, to read them
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """What was drawn of all sources; `limit` is what hashes of the documents lie below, of 2**64."""

    drawn: tuple[Drawn, ...]
    limit: int
    salt: int

    @property
    def share(self) -> float:
        """The share of the documents, in the files that were read."""
        return self.limit / _ALL


@dataclass(frozen=True)
class ReadSpool:
    """Reads spooled rows whose hash lies below `limit`, at most about `rows` a file."""

    limit: int
    salt: int
    rows: int | None = None

    def __call__(self, files: Sequence[InputFile], work: Work) -> Batches:
        for file in files:
            read = 0
            for batch in read_shard(file.url):
                if self.rows is not None and read >= self.rows:
                    break
                kept = below(batch, self.limit, self.salt).slice(0, self.rows)
                read += kept.num_rows
                yield kept


def below(batch: pa.RecordBatch, limit: int, salt: int) -> pa.RecordBatch:
    """Returns the rows whose salted hash is below `limit` of 2**64."""
    return batch if limit >= _ALL else batch.filter(pa.array(hashes(batch, salt) < np.uint64(limit)))


def hashes(batch: pa.RecordBatch, salt: int) -> np.ndarray:
    """Returns a hash of (salt, id) of each row, uint64[rows]: SplitMix64's finaliser over words that are hashes."""
    column = batch.column("id")
    words = np.frombuffer(column.buffers()[1], "<u8")[2 * column.offset : 2 * (column.offset + len(column))]
    mixed = words[1::2] + np.uint64((salt * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % _ALL)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    made: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return made


def draw(pipeline: Pipeline, folder: str, *, salt: int = 0, read_bytes: int = READ_BYTES) -> Sample:
    """Reads a part of the sources of the first stage and spools a sample of their documents under `folder`.

    Raises:
        DataError: none of the chosen files holds a document.
    """
    sources = list(dict.fromkeys(_sources(pipeline.stages[0][2])))
    total = max(1, sum(_size(source.groups) for source in sources))
    spool = _Spool(folder, salt, pipeline.sample)
    drawn = [spool.fill(source, read_bytes * _size(source.groups) // total) for source in sources]
    documents = sum(item.documents for item in drawn)
    if not documents:
        raise DataError("the sample holds no document: nothing can be estimated; see what `datapipe run` says of them")
    share = max(LARGEST_SHARE, min(1.0, FEW_DOCUMENTS / documents))
    return Sample(tuple(drawn), min(spool.limit, int(share * _ALL)), salt)


def _sources(made: Dataset) -> Iterator[Source]:
    if isinstance(made.op, Source):
        yield made.op
    for _, parent in parents_of(made):
        yield from _sources(parent)


def _size(groups: Sequence[Sequence[InputFile]]) -> int:
    return sum(file.part_bytes for group in groups for file in group)


def chosen(groups: Sequence[Sequence[InputFile]], budget: int) -> list[list[InputFile]]:
    """Returns files of at most `budget` bytes or one file, evenly spaced, in their groups; empty groups are left out.

    >>> files = [[InputFile(str(number), "", 10, "")] for number in range(5)]
    >>> [[file.name for file in group] for group in chosen(files, 25)]
    [['1'], ['3']]
    """
    places = [(number, file) for number, group in enumerate(groups) for file in group]
    amount = min(len(places), max(1, budget * len(places) // max(1, _size(groups))))
    while True:
        taken = [places[(2 * step + 1) * len(places) // (2 * amount)] for step in range(amount)]
        if amount == 1 or sum(file.part_bytes for _, file in taken) <= budget or amount == len(places):
            break
        amount -= max(1, amount // 10)
    found: dict[int, list[InputFile]] = {}
    for number, file in taken:
        found.setdefault(number, []).append(file)
    return list(found.values())


class _Spool:
    """Local files of what is drawn. The limit sinks by half whenever twice as much is held as may be."""

    def __init__(self, folder: str, salt: int, sample: float) -> None:
        self.folder, self.salt, self.sample = folder, salt, sample
        self.limit, self.held, self.files = _ALL, 0, 0

    def fill(self, source: Source, budget: int) -> Drawn:
        groups = chosen(source.groups, budget) if source.groups else []
        made, documents, size, seconds, unreadable = [], 0, 0, 0.0, []
        for group in groups:
            path = os.path.join(self.folder, f"spool-{self.files:06}.ipc")
            self.files += 1
            writer: Writer | None = None
            rows, work = iter(source.read(group, Work(0))), time.thread_time()
            try:
                for batch in rows:
                    seconds += time.thread_time() - work
                    batch = _sampled(batch, self.sample)
                    documents, size = documents + batch.num_rows, size + int(row_bytes(batch).sum())
                    writer = writer or Writer(path, batch.schema)
                    self._take(batch, writer)
                    work = time.thread_time()
            except (StageError, Interrupted):
                raise
            except Exception as error:  # noqa: BLE001 - a reader may raise anything; a run sets such a shard aside
                unreadable.append(f"{group[0].name}: {type(error).__name__}: {error}")
            seconds += time.thread_time() - work
            if writer is not None:
                writer.close()
                digest = writer.file.digest.hexdigest()
                made.append((InputFile(os.path.basename(path), path, writer.file.size, digest),))
        weight = _size(source.groups) / max(1, _size(groups))
        count = sum(len(group) for group in groups)
        return Drawn(source.name, tuple(made), count, weight, documents, size, seconds, tuple(unreadable))

    def _take(self, batch: pa.RecordBatch, writer: Writer) -> None:
        kept = below(batch, self.limit, self.salt)
        writer.write(kept)
        self.held += int(row_bytes(kept).sum())
        if self.held > 2 * HELD_BYTES:
            self.limit, self.held = self.limit // 2, self.held // 2


def _sampled(batch: pa.RecordBatch, share: float) -> pa.RecordBatch:
    """Returns the rows that a run with `--sample` takes."""
    column = batch.column("id")
    words = np.frombuffer(column.buffers()[1], ">u8")[2 * column.offset : 2 * (column.offset + len(column))]
    return batch if share >= 1 else batch.filter(pa.array(words[::2] < np.uint64(int(share * _ALL))))


def on_sample(pipeline: Pipeline, sample: Sample, share: float, rows: int | None = None) -> Pipeline:
    """Returns the pipeline over `share` of the sample; `rows` are read at most of each shard."""
    spools = {item.source: item.groups for item in sample.drawn}
    read = ReadSpool(int(sample.limit * share), sample.salt, rows)
    name, stage, made = pipeline.stages[0]
    stages: list[tuple[str, Stage, Dataset]] = [(name, stage, _moved(made, read, spools, {}))]
    for name, stage, _ in pipeline.stages[1:]:
        smaller = stage.sampled(sample_share(sample) * share)
        stages.append((name, smaller, smaller.build(stages[-1][2])))
    return replace(pipeline, stages=tuple(stages), sample=1.0, on_bad_input="quarantine")


def weighed(sample: Sample) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns rows and their bytes in the sample by source, each float64[GROUPS]: of the groups that ids fall into."""
    found = {}
    for item in sample.drawn:
        rows, size = np.zeros(GROUPS), np.zeros(GROUPS)
        for group in item.groups:
            for batch in ReadSpool(sample.limit, sample.salt)(group, Work(0)):
                group_sums(batch, rows, size)
        found[item.source] = (rows, size)
    return found


def group_sums(
    batch: pa.RecordBatch, rows: np.ndarray, size: np.ndarray, weights: tuple[float, float] = (1, 1)
) -> None:
    """Adds rows and bytes of a batch of documents to the sums of the groups that their ids fall into."""
    places = (hashes(batch, -1) >> np.uint64(32)).astype(np.int64) % GROUPS
    rows += np.bincount(places, minlength=GROUPS) * weights[0]
    size += np.bincount(places, row_bytes(batch), minlength=GROUPS) * weights[1]


def sample_share(sample: Sample) -> float:
    """Returns the share of the bytes of all documents that a sample holds, unread files among them (estimated)."""
    whole = sum(item.bytes * item.weight for item in sample.drawn)
    return sample.share * sum(item.bytes for item in sample.drawn) / max(1, whole)


def _moved(made: Dataset, read: ReadSpool, spools: Spools, known: dict[int, Dataset]) -> Dataset:
    """Returns the dataset with its sources read from spools."""
    if id(made) not in known:
        op = made.op
        if isinstance(op, Source):
            moved: Op = Source(op.name, read, spools[op.name])
        else:
            swapped = {field.name: _swap(getattr(op, field.name), read, spools, known) for field in fields(op)}
            moved = replace(op, **swapped)
        known[id(made)] = Dataset(moved, made.schema)
    return known[id(made)]


def _swap(value: Any, read: ReadSpool, spools: Spools, known: dict[int, Dataset]) -> Any:  # Any: a field's value
    if isinstance(value, Dataset):
        return _moved(value, read, spools, known)
    if isinstance(value, Like):
        return Like(_moved(value.dataset, read, spools, known))
    if isinstance(value, tuple):
        return tuple(_swap(item, read, spools, known) for item in value)
    return value
