"""Toy stages that break a contract, or their process, on a document that holds the word `bad`."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from datapipe import Dataset, Stage, Work

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True, kw_only=True)
class _Faulty(Stage):
    """A map of documents by one of the functions below."""

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(FUNCTIONS[type(self).__name__], reads=("id", "text"))


class Loses(_Faulty):
    """Loses the bad document."""


class Doubles(_Faulty):
    """Hands the bad document on twice."""


class DropsAndKeeps(_Faulty):
    """Drops the bad document, and hands it on too."""


class Swaps(_Faulty):
    """Loses the bad document and doubles another, so that numbers agree."""


class Leaves(_Faulty):
    """Reads nothing of what it is given."""


class Adds(_Faulty):
    """Yields a column that it did not promise."""


class Raises(_Faulty):
    """Raises ValueError for the bad document."""


class Kills(_Faulty):
    """Ends its process by a segmentation fault at the bad document."""


class Hangs(_Faulty):
    """Never comes back from the bad document."""


@dataclass(frozen=True, kw_only=True)
class DiesOnce(Stage):
    """Its worker is killed in the first attempt at each shard; files in `marks` remember that."""

    marks: str

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(partial(_dies_once, marks=self.marks))


def _dies_once(batches: Batches, work: Work, marks: str) -> Batches:
    for batch in batches:
        mark = Path(marks, str(work.number))
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch


class FailsAlways(_Faulty):
    """Raises before it reads anything."""


def _is_bad(batch: pa.RecordBatch) -> np.ndarray:
    return np.array(["bad" in text.split() for text in batch.column("text").to_pylist()], bool)


def _loses(batches: Batches, work: Work) -> Batches:
    for batch in batches:
        yield batch.filter(pa.array(~_is_bad(batch)))


def _doubles(batches: Batches, work: Work) -> Batches:
    for batch in batches:
        yield batch
        yield batch.filter(pa.array(_is_bad(batch)))


def _drops_and_keeps(batches: Batches, work: Work) -> Batches:
    for batch in batches:
        work.drop(batch, _is_bad(batch), rule="bad")
        yield batch


def _swaps(batches: Batches, work: Work) -> Batches:
    for batch in batches:
        bad = _is_bad(batch)
        rows = np.arange(batch.num_rows)
        rows[bad] = (rows[bad] + 1) % batch.num_rows
        yield batch.take(pa.array(rows))


def _leaves(batches: Batches, work: Work) -> Batches:
    yield from ()


def _adds(batches: Batches, work: Work) -> Batches:
    for batch in batches:
        yield batch.append_column("extra", pa.array([0] * batch.num_rows))


def _at_bad(batches: Batches, work: Work, end: Callable[[], object]) -> Batches:
    for batch in batches:
        if _is_bad(batch).any():
            end()
        yield batch


def _raise() -> None:
    raise ValueError("this document is bad")


def _kill() -> None:
    ctypes.string_at(0)


def _hang() -> None:
    while True:
        pass


def _fails_always(batches: Batches, work: Work) -> Batches:
    raise RuntimeError("no model here")
    yield from batches


FUNCTIONS = {
    "Loses": _loses,
    "Doubles": _doubles,
    "DropsAndKeeps": _drops_and_keeps,
    "Swaps": _swaps,
    "Leaves": _leaves,
    "Adds": _adds,
    "Raises": partial(_at_bad, end=_raise),
    "Kills": partial(_at_bad, end=_kill),
    "Hangs": partial(_at_bad, end=_hang),
    "FailsAlways": _fails_always,
}
