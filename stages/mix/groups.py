"""Which group a document belongs to: the values of columns joined by "/", numbers cut into buckets.

Buckets are named q0, q1 and so on, from the lowest values up; what is no number is `null`. Floating-point values, and
edges that are given for them, are rounded to 16 binary digits before they are compared, which leaves scores of models
as they are stored (in 1/1024) alone: so a corpus has some millions of different values at most, and a fold can hold
them, and .7 in single precision reaches an edge at .7.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ConfigError, Dataset, Work
from stages.mix.columns import TIMES

Edges = dict[str, list[float]]  # by column: where its buckets begin, but for the lowest
VALUES = pa.schema([("column", pa.string()), ("value", pa.float64()), ("tokens", pa.int64())])
EDGES = pa.schema([("column", pa.string()), ("edges", pa.list_(pa.float64()))])
JOINED = "/"
MOST_BUCKETS = 1000
_DIGITS = 2.0**16


@dataclass(frozen=True)
class Groups:
    """How groups are made of `columns`. `buckets` are pairs of a column and its edges, or the number of its buckets.

    `weights` names a column of whole numbers; documents of another weight are another group.
    """

    columns: tuple[str, ...]
    buckets: tuple[tuple[str, int | tuple[float, ...]], ...] = ()
    weights: str | None = None

    @property
    def name(self) -> str:
        """What the groups are by, for messages and the manifest."""
        return JOINED.join(self.columns)

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that a group is made of."""
        return (*self.columns, *([self.weights] if self.weights else []))

    @property
    def counted(self) -> dict[str, int]:
        """The columns whose edges follow from the documents, with the number of buckets."""
        return {name: cut for name, cut in self.buckets if isinstance(cut, int)}

    def edges(self, found: pa.Table | None) -> Edges:
        """Returns the edges of every column that is cut; `found` are those of `counted`, rows of EDGES."""
        given = {name: list(cut) for name, cut in self.buckets if not isinstance(cut, int)}
        return {**given, **({row["column"]: row["edges"] for row in found.to_pylist()} if found else {})}

    def check(self) -> None:
        """Raises ConfigError where columns and buckets make no sense."""
        if not self.columns or len(set(self.columns)) < len(self.columns):
            raise ConfigError(f"by: {list(self.columns)}: name one column, or several different ones")
        for name, held in self.buckets:
            if name not in self.columns:
                raise ConfigError(f"buckets: column '{name}' is not one of `by` ({self.name}): add it there")
            _check_cut(name, held)

    def check_columns(self, documents: pa.Schema) -> None:
        """Raises ConfigError where a column of these documents cannot be grouped or weighed by."""
        cut = dict(self.buckets)
        for name in self.columns:
            kind = documents.field(name).type
            if name in cut and not _is_number(kind):
                raise ConfigError(f"buckets: column '{name}' holds {kind}, not numbers: leave it out of buckets")
            if name not in cut and pa.types.is_floating(kind):
                raise ConfigError(f"by: column '{name}' holds {kind}: say how it is cut, as in buckets: {{{name}: 4}}")
            if name not in cut and not _is_name(kind):
                raise ConfigError(f"by: column '{name}' holds {kind}, which no group can be named by")
        if self.weights and not pa.types.is_integer(documents.field(self.weights).type):
            kind = documents.field(self.weights).type
            raise ConfigError(f"document_weights: column '{self.weights}' holds {kind}, not whole numbers")

    def of(self, batch: pa.RecordBatch, edges: Edges) -> pa.DictionaryArray:
        """Returns the group of each row; every name stands once in the dictionary."""
        parts = [
            bucket(batch.column(name), edges[name]) if name in edges else label(batch.column(name))
            for name in self.columns
        ]
        joined = _join(parts, JOINED)
        if self.weights is None:
            return joined
        return _join([joined, label(pc.fill_null(batch.column(self.weights), 1))], TIMES)


def _check_cut(name: str, held: int | tuple[float, ...]) -> None:
    if isinstance(held, int) and not 2 <= held <= MOST_BUCKETS:
        raise ConfigError(f"buckets: {name}: {held} buckets: give from 2 to {MOST_BUCKETS}, or a list of edges")
    if isinstance(held, tuple) and not (held and all(math.isfinite(edge) for edge in held)):
        raise ConfigError(f"buckets: {name}: {list(held)}: edges are numbers, at least one")
    if isinstance(held, tuple) and any(left >= right for left, right in pairwise(held)):
        raise ConfigError(f"buckets: {name}: {list(held)}: edges ascend, each above the one before it")


def label(column: pa.Array) -> pa.DictionaryArray:
    """Returns the values of a column as the names of groups; a null is 'null'."""
    return pc.dictionary_encode(pc.fill_null(column.cast(pa.string()), "null"))


def bucket(column: pa.Array, edges: list[float]) -> pa.DictionaryArray:
    """Returns the bucket of each value: q and the number of edges that it reaches; no number is 'null'.

    >>> bucket(pa.array([0.1, 0.5, None, 0.9]), [0.5, 0.7]).to_pylist()
    ['q0', 'q1', 'null', 'q2']
    """
    values, bounds = rounded(column), np.array(edges, np.float64)
    if pa.types.is_floating(column.type):
        bounds = rounded(pa.array(bounds))
    reached = np.searchsorted(bounds, values, side="right")
    codes = np.where(np.isnan(values), len(edges) + 1, reached).astype(np.int32)
    names = [*(f"q{number}" for number in range(len(edges) + 1)), "null"]
    return _used(codes, names)


def rounded(column: pa.Array) -> np.ndarray:
    """Returns the values of a column of numbers as they are cut, float64[rows]; a null is NaN."""
    values = np.asarray(pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")))
    if not pa.types.is_floating(column.type):
        return values
    with np.errstate(over="ignore"):
        parts, exponents = np.frexp(values)
        return np.where(np.isfinite(values), np.ldexp(np.rint(parts * _DIGITS), exponents - 16), values)


def find_edges(documents: Dataset, groups: Groups) -> Dataset:
    """Returns EDGES of the columns that are cut into a number of buckets of equal tokens."""
    counted = documents.map(Values(tuple(groups.counted)), reads=(*groups.counted, "tokens"), schema=VALUES)
    return counted.fold(Cut(tuple(groups.counted.items())), EDGES)


@dataclass(frozen=True)
class Values:
    """Yields the tokens of each different value of `columns`, for a shard of documents."""

    columns: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        sums = {name: Sums() for name in self.columns}
        for batch in batches:
            tokens = np.asarray(batch.column("tokens")).astype(np.int64)
            for name in self.columns:
                values = rounded(batch.column(name))
                known = ~np.isnan(values)
                sums[name].add(values[known], tokens[known])
        for name in self.columns:
            values, tokens = sums[name].total()
            columns = [pa.repeat(name, len(values)), pa.array(values), pa.array(tokens)]
            yield pa.RecordBatch.from_arrays(columns, schema=VALUES)


@dataclass(frozen=True)
class Cut:
    """The fold of VALUES to EDGES; `counted` are pairs of a column and its number of buckets."""

    counted: tuple[tuple[str, int], ...]

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        sums = {name: Sums() for name, _ in self.counted}
        for batch in batches:
            names = label(batch.column("column"))
            for code, name in enumerate(names.dictionary.to_pylist()):
                own = np.asarray(names.indices) == code
                sums[name].add(*(np.asarray(batch.column(of))[own] for of in ("value", "tokens")))
        rows = [{"column": name, "edges": cut(*sums[name].total(), buckets)} for name, buckets in self.counted]
        yield pa.RecordBatch.from_pylist(rows, schema=EDGES)


class Sums:
    """The tokens of each different value; what was added is summed when it is as much as what is held."""

    def __init__(self) -> None:
        self.parts: list[tuple[np.ndarray, np.ndarray]] = []
        self.rows = self.held = 0

    def add(self, values: np.ndarray, tokens: np.ndarray) -> None:
        """Takes values and their tokens, float64[rows] and int64[rows]."""
        self.parts.append((values, tokens))
        self.rows += len(values)
        if self.rows > 2 * self.held + (1 << 16):
            self.total()

    def total(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the different values, ascending, and their tokens."""
        values = np.concatenate([np.zeros(0), *(part[0] for part in self.parts)])
        tokens = np.concatenate([np.zeros(0, np.int64), *(part[1] for part in self.parts)])
        distinct, codes = np.unique(values, return_inverse=True)
        sums = np.zeros(len(distinct), np.int64)
        np.add.at(sums, codes, tokens)
        self.parts, self.rows, self.held = [(distinct, sums)], len(distinct), len(distinct)
        return distinct, sums


def cut(values: np.ndarray, tokens: np.ndarray, buckets: int) -> list[float]:
    """Returns where buckets of equal tokens begin, but for the lowest; values ascend and are whole in one bucket.

    Each cut lies between two values, as near to its share of the tokens as there is a place. Where a value has more
    than a bucket's tokens, buckets beside it are empty; those behind the highest value have no edge.

    >>> cut(np.array([0.1, 0.2, 0.3, 0.4]), np.array([10, 10, 10, 30]), 2)
    [0.4]
    """
    ends = np.cumsum(tokens)
    places = (2 * ends - tokens) * buckets // (2 * ends[-1]) if len(ends) and ends[-1] else np.zeros(0, np.int64)
    first = np.searchsorted(places, np.arange(1, buckets))
    return [float(values[at]) for at in first.tolist() if at < len(places)]


def _join(parts: list[pa.DictionaryArray], between: str) -> pa.DictionaryArray:
    """Returns the values of the parts joined, row by row; strings are made for those that occur alone."""
    joined = parts[0]
    for part in parts[1:]:
        width = len(part.dictionary)
        distinct, codes = np.unique(
            np.asarray(joined.indices).astype(np.int64) * width + np.asarray(part.indices), return_inverse=True
        )
        left, right = joined.dictionary.to_pylist(), part.dictionary.to_pylist()
        names = [f"{left[code // width]}{between}{right[code % width]}" for code in distinct.tolist()]
        joined = _used(codes, names)
    return joined


def _used(codes: np.ndarray, names: list[str]) -> pa.DictionaryArray:
    """Returns a dictionary of the names that occur, in order of appearance, each once."""
    return pc.dictionary_encode(pa.array(names, pa.string()).take(pa.array(codes)))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_name(kind: pa.DataType) -> bool:
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean, pa.types.is_date)
    return any(check(kind) for check in (*checks, pa.types.is_dictionary))
