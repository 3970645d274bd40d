"""Toy stages: lines of text files as documents, a limit, one document a first word, components, numbered shards."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa

from datapipe import ID, Dataset, InputFile, Like, Output, Sized, Source, Stage, Work, concat
from datapipe.dataset import Concat
from datapipe.storage import find_files, open_input

Batches = Iterator[pa.RecordBatch]
DOCUMENTS = pa.schema([("id", ID), ("source", pa.string()), ("url", pa.string()), ("text", pa.string())])
FIRST_WORDS = pa.schema([("word", pa.string()), ("id", ID), ("shard", pa.int32()), ("row", pa.int64())])
REMOVED = pa.schema([("shard", pa.int32()), ("row", pa.int64()), ("other", ID)])
LABELS = pa.schema([("word", pa.string()), ("id", ID), ("label", ID)])
COUNT = pa.schema([("shards", pa.int64()), ("rows", pa.int64())])
CONTENT = pa.schema([("content", pa.binary())])
WRITTEN = pa.schema([("rows", pa.int64())])
LINES_PER_BATCH = 7


def batch_of(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Returns rows given as dicts as a batch."""
    return pa.RecordBatch.from_pylist(list(rows), schema=schema)


def document_id(name: str, line: int) -> bytes:
    """Returns the id of a line: BLAKE2b-128 of the file's name and the line's number."""
    return hashlib.blake2b(f"{name}:{line}".encode(), digest_size=16).digest()


def read_lines(files: Sequence[InputFile], work: Work, rows: int = LINES_PER_BATCH) -> Batches:
    """Yields a document for each line, `rows` a batch. Raises UnicodeDecodeError where a line is not UTF-8."""
    for file in files:
        with open_input(file.url) as stream:
            held = []
            for number, line in enumerate(stream):
                url = f"{file.name}#{number}"
                row = {
                    "id": document_id(file.name, number),
                    "source": "lines",
                    "url": url,
                    "text": line.decode().strip(),
                }
                held.append(row)
                if len(held) == rows:
                    yield batch_of(held, DOCUMENTS)
                    held = []
            yield batch_of(held, DOCUMENTS)
        work.count("files_read")


@dataclass(frozen=True, kw_only=True)
class Lines(Stage):
    """Documents from the lines of text files, a shard a file; `more` is a second source."""

    path: Annotated[str, "files, a folder or a glob"]
    more: Annotated[str, "another source of the same kind"] = ""
    batch: Annotated[int, "rows of a batch"] = LINES_PER_BATCH

    def build(self, *inputs: Dataset) -> Dataset:
        read = partial(read_lines, rows=self.batch)
        sources = [
            Dataset(Source(name, read, tuple((file,) for file in find_files(path))), DOCUMENTS).map(strip)
            for name, path in (("lines", self.path), ("more", self.more))
            if path
        ]
        return concat(sources)


def strip(batches: Batches, work: Work) -> Batches:
    """Hands documents on, but for empty ones."""
    for batch in batches:
        empty = np.array([text == "" for text in batch.column("text").to_pylist()])
        yield work.drop(batch, empty, rule="empty")


@dataclass(frozen=True, kw_only=True)
class FailsOnce(Stage):
    """Lines, but the first attempt to read them fails; `mark` is a file that remembers it."""

    path: str
    mark: str

    def build(self, *inputs: Dataset) -> Dataset:
        groups = tuple((file,) for file in find_files(self.path))
        return Dataset(Source("lines", partial(read_at_second_try, mark=self.mark), groups), DOCUMENTS).map(strip)


@dataclass(frozen=True, kw_only=True)
class KillsReader(Stage):
    """Lines, but the reader of one file ends its process by a segmentation fault after some rows."""

    path: str
    file: str

    def build(self, *inputs: Dataset) -> Dataset:
        groups = tuple((file,) for file in find_files(self.path))
        return Dataset(Source("lines", partial(read_or_die, file=self.file), groups), DOCUMENTS).map(strip)


def read_or_die(files: Sequence[InputFile], work: Work, file: str) -> Batches:
    """Reads lines; dies within `file`."""
    for number, batch in enumerate(read_lines(files, work)):
        if number and files[0].name == file:
            ctypes.string_at(0)
        yield batch


def read_at_second_try(files: Sequence[InputFile], work: Work, mark: str) -> Batches:
    """Reads lines, where `mark` is there."""
    if not os.path.exists(mark):
        Path(mark).touch()
        raise OSError("the network is down")
    yield from read_lines(files, work)


@dataclass(frozen=True, kw_only=True)
class Short(Stage):
    """Drops documents of few words."""

    limit: Annotated[int, "fewest words of a document that stays"] = 3

    def build(self, *inputs: Dataset) -> Dataset:
        adds = pa.schema([("words", pa.int64())])
        return inputs[0].map(count_words, reads=("text",), adds=adds).map(partial(drop_short, limit=self.limit))


def count_words(batches: Batches, work: Work) -> Batches:
    """Adds the number of words."""
    for batch in batches:
        words = [len(text.split()) for text in batch.column("text").to_pylist()]
        yield batch.append_column("words", pa.array(words, pa.int64()))


def drop_short(batches: Batches, work: Work, limit: int) -> Batches:
    """Drops documents of less than `limit` words."""
    for batch in batches:
        words = np.asarray(batch.column("words"))
        yield work.drop(batch, words < limit, rule="short", value=words, limit=limit, sample="text")


@dataclass(frozen=True, kw_only=True)
class Halve(Stage):
    """Splits documents that hold ' / ' in two."""

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(halve, reads=("id", "text"))


def halve(batches: Batches, work: Work) -> Batches:
    """Splits a document at ' / '; the second half gets an id of its own."""
    for batch in batches:
        rows = []
        for number, row in enumerate(batch.to_pylist()):
            first, cut, second = row["text"].partition(" / ")
            rows.append({**row, "text": first})
            if cut:
                work.split(1)
                work.note(batch, [number], action="split", rule="halves", note=[row["text"]] * batch.num_rows)
                rows.append({**row, "id": hashlib.blake2b(row["id"], digest_size=16).digest(), "text": second})
        yield batch_of(rows, batch.schema)


@dataclass(frozen=True, kw_only=True)
class Once(Stage):
    """Keeps one document of those with an equal first word: side output, exchange, exchange back, map beside."""

    parts: int = 2

    def build(self, *inputs: Dataset) -> Dataset:
        keys = Output("words", FIRST_WORDS, publish="keys/part-{number:05}-of-{shards:05}.parquet")
        made = inputs[0].map(first_words, reads=("id", "text"), outputs=(keys,))
        later = made.output("words").exchange("word", self.parts).map(all_but_first, schema=REMOVED)
        return made.map(remove, beside=later.exchange("shard", Like(made), then=("row",), direct=True))


def first_words(batches: Batches, work: Work) -> Batches:
    """Puts (first word, document, place) of every document aside."""
    row = 0
    for batch in batches:
        found = []
        for key, text in zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True):
            found.append({"word": text.split(" ")[0], "id": key, "shard": work.number, "row": row})
            row += 1
        work.put("words", batch_of(found, FIRST_WORDS))
        yield batch


def all_but_first(batches: Batches, work: Work) -> Batches:
    """Yields where the documents are that come second or later under their word."""
    rows = (row for batch in batches for row in batch.to_pylist())
    for _, group in groupby(rows, key=lambda row: row["word"]):
        first, *others = group
        later = [{"shard": row["shard"], "row": row["row"], "other": first["id"]} for row in others]
        if later:
            yield batch_of(later, REMOVED)


def remove(batches: Batches, work: Work) -> Batches:
    """Drops the documents that stand beside."""
    other = {row["row"]: row["other"] for batch in work.beside() for row in batch.to_pylist()}
    start = 0
    for batch in batches:
        survivors = [other.get(start + row) for row in range(batch.num_rows)]
        start += batch.num_rows
        mask = np.array([survivor is not None for survivor in survivors])
        yield work.drop(
            batch, mask, rule="first_word", action="duplicate_of", other=pa.array(survivors, ID), sample="text"
        )


@dataclass(frozen=True, kw_only=True)
class First(Stage):
    """Rows of another kind: the id of a shard's first document. Its function leaves the others unread."""

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(first_id, reads=("id",), schema=pa.schema([("id", ID)]))


def first_id(batches: Batches, work: Work) -> Batches:
    """Yields the first id, and reads no further."""
    yield next(batches).slice(0, 1).select(["id"])


@dataclass(frozen=True, kw_only=True)
class Sort(Stage):
    """Documents by id, in shards whose number follows from the bytes of their source; each source for itself."""

    def build(self, *inputs: Dataset) -> Dataset:
        held = inputs[0].op.parents if isinstance(inputs[0].op, Concat) else inputs
        return concat([made.exchange("id", Sized(500), then=()).map(strip) for made in held])


@dataclass(frozen=True, kw_only=True)
class Largest(Stage):
    """Counts the size of the largest batch that comes from a source and from an exchange."""

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(partial(largest, of="source")).exchange("source", 1).map(partial(largest, of="exchange"))


def largest(batches: Batches, work: Work, of: str) -> Batches:
    """Counts the rows and bytes of the largest batch."""
    rows = size = 0
    for batch in batches:
        rows, size = max(rows, batch.num_rows), max(size, batch.nbytes)
        yield batch
    work.count(f"rows_of_{of}", rows)
    work.count(f"bytes_of_{of}", size)


@dataclass(frozen=True, kw_only=True)
class Spread(Stage):
    """Gives documents that share a word, over others too, one label: the least id of all. Rows: (word, id, label)."""

    at_most: int = 40

    def build(self, *inputs: Dataset) -> Dataset:
        rows = inputs[0].map(words, reads=("id", "text"), schema=LABELS)
        return rows.repeat(spread, until="changed", at_most=self.at_most)


def words(batches: Batches, work: Work) -> Batches:
    """Yields a row for each word of each document, labelled with the document's own id."""
    for batch in batches:
        pairs = zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True)
        rows = [{"word": word, "id": key, "label": key} for key, text in pairs for word in sorted(set(text.split()))]
        yield batch_of(rows, LABELS)


def spread(rows: Dataset) -> Dataset:
    """One round: the least label of a word, then the least of a document."""
    by_word = rows.exchange("word", 2, then=("label", "id")).map(partial(least, of="word"), schema=LABELS)
    return by_word.exchange("id", 2, then=("label", "word")).map(partial(least, of="id"), schema=LABELS)


def least(batches: Batches, work: Work, of: str) -> Batches:
    """Gives all rows of one `of` the first label, which is the least; counts what changed."""
    rows = (row for batch in batches for row in batch.to_pylist())
    for _, group in groupby(rows, key=lambda row: row[of]):
        held = list(group)
        work.count("changed", sum(row["label"] != held[0]["label"] for row in held))
        yield batch_of([{**row, "label": held[0]["label"]} for row in held], LABELS)


@dataclass(frozen=True, kw_only=True)
class Finish(Stage):
    """Writes shards of about `rows_per_shard` documents and a manifest: fold, exchange of a folded number, files."""

    rows_per_shard: int = 20

    def build(self, *inputs: Dataset) -> Dataset:
        shards = inputs[0].fold(partial(count_shards, rows_per_shard=self.rows_per_shard), COUNT)
        train = Output("train", inputs[0].schema, publish="corpus/train-{number:05}-of-{shards:05}.arrow")
        written = inputs[0].exchange("id", shards, then=()).map(write, schema=WRITTEN, outputs=(train,))
        content = Output("content", CONTENT, publish="corpus/manifest.json")
        return written.fold(manifest, WRITTEN, whole=(written.output("train").files(), shards), outputs=(content,))


def count_shards(batches: Batches, work: Work, rows_per_shard: int) -> Batches:
    """Yields how many shards there are to be, and rows."""
    rows = sum(batch.num_rows for batch in batches)
    yield batch_of([{"shards": max(1, -(-rows // rows_per_shard)), "rows": rows}], COUNT)


def write(batches: Batches, work: Work) -> Batches:
    """Writes the documents as they are; yields their number."""
    rows = 0
    for batch in batches:
        work.put("train", batch)
        rows += batch.num_rows
    yield batch_of([{"rows": rows}], WRITTEN)


def manifest(batches: Batches, work: Work) -> Batches:
    """Writes the manifest of all shards; yields the number of rows."""
    rows = sum(sum(batch.column("rows").to_pylist()) for batch in batches)
    files, count = work.whole
    content = {**work.facts, "rows": rows, "counted": count.to_pylist(), "files": files.to_pylist()}
    work.put("content", batch_of([{"content": json.dumps(content, sort_keys=True, indent=1).encode()}], CONTENT))
    yield batch_of([{"rows": rows}], WRITTEN)


@dataclass(frozen=True, kw_only=True)
class Sorted(Stage):
    """Any rows with an id, in two shards, and a manifest of their number."""

    def build(self, *inputs: Dataset) -> Dataset:
        train = Output("train", inputs[0].schema, publish="corpus/train-{number:05}-of-{shards:05}.arrow")
        then = [name for name in inputs[0].schema.names if name != "id"]
        written = inputs[0].exchange("id", 2, then=then).map(write, schema=WRITTEN, outputs=(train,))
        content = Output("content", CONTENT, publish="corpus/manifest.json")
        return written.fold(manifest, WRITTEN, whole=(written.output("train").files(), written), outputs=(content,))


@dataclass(frozen=True, kw_only=True)
class Slow(Stage):
    """Takes its time over each batch."""

    seconds: Annotated[float, "of each batch"] = 0.1

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(partial(sleep, seconds=self.seconds))


def sleep(batches: Batches, work: Work, seconds: float) -> Batches:
    """Hands batches on slowly."""
    for batch in batches:
        time.sleep(seconds)
        yield batch
