"""Toy stages and readers that die, hang, or take all memory, as native code does; and what is not to be blamed."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import pyarrow as pa

from datapipe import Dataset, InputFile, Source, Stage, Work
from datapipe.errors import Unreachable
from datapipe.storage import find_files
from toy.stages import DOCUMENTS, Batches, read_lines, strip


def segfault() -> None:
    """Reads at address 0."""
    ctypes.string_at(0)


def never_end() -> None:
    """Backtracks for longer than the world lasts, holding the interpreter's lock."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def refuse() -> None:
    """Raises as a parser would."""
    raise ValueError("this is bad")


def starve() -> None:
    """Raises as where an allocation fails."""
    raise MemoryError("no more of it")


def devour() -> None:
    """Takes memory until somebody objects."""
    held = []
    while True:
        held.append(bytearray(b"x" * (16 << 20)))


ENDS: dict[str, Callable[[], None]] = {
    "segfault": segfault,
    "never_end": never_end,
    "refuse": refuse,
    "starve": starve,
    "devour": devour,
}


@dataclass(frozen=True, kw_only=True)
class Group(Stage):
    """Lines of all files of a folder in one shard; reading a file whose name begins with `bad` ends after some rows."""

    path: str
    end: Annotated[str, "one of ENDS"] = "refuse"

    def build(self, *inputs: Dataset) -> Dataset:
        source = Source("lines", partial(read_or_end, end=self.end), (tuple(find_files(self.path)),))
        return Dataset(source, DOCUMENTS).map(strip)


def read_or_end(files: Sequence[InputFile], work: Work, end: str) -> Batches:
    """Reads lines; ends within a bad file."""
    for file in files:
        for number, batch in enumerate(read_lines((file,), work)):
            if number and file.name.startswith("bad"):
                ENDS[end]()
            yield batch


@dataclass(frozen=True, kw_only=True)
class Gathers(Stage):
    """Works on documents ten at a time, over the ends of batches, and ends where one of them is bad."""

    end: Annotated[str, "one of ENDS"] = "refuse"
    rows: int = 10

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(partial(gather_or_end, end=self.end, rows=self.rows), reads=("id", "text"))


def gather_or_end(batches: Batches, work: Work, end: str, rows: int) -> Batches:
    """Hands documents on in blocks of `rows`; ends at a block with a bad one."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        for row in range(batch.num_rows):
            held.append(batch.slice(row, 1))
            if len(held) == rows:
                yield _block(held, end)
                held = []
    if held:
        yield _block(held, end)


def _block(held: list[pa.RecordBatch], end: str) -> pa.RecordBatch:
    block = pa.concat_batches(held)
    if any("bad" in text.split() for text in block.column("text").to_pylist()):
        ENDS[end]()
    return block


@dataclass(frozen=True, kw_only=True)
class FarAway(Stage):
    """A store that does not answer the first `times` attempts at a shard; files in `marks` count them."""

    marks: str
    times: int = 2

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(partial(reach, marks=self.marks, times=self.times))


def reach(batches: Batches, work: Work, marks: str, times: int) -> Batches:
    """Hands documents on, once the store answers."""
    mark = Path(marks, str(work.number))
    tries = len(mark.read_bytes()) if mark.exists() else 0
    if tries < times:
        mark.write_bytes(b"." * (tries + 1))
        raise Unreachable("s3://far/away: does not answer")
    yield from batches


@dataclass(frozen=True, kw_only=True)
class Starves(Stage):
    """Finds too little memory to begin with."""

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(starve_always)


def starve_always(batches: Batches, work: Work) -> Batches:
    """Wants more memory than there is before it reads anything."""
    starve()
    yield from batches
