"""Hosts and what else has very many names: counted by name, and summed up to what their concentration follows from.

    frame -> Names: sums by axis and name -> exchanged, so that all rows of a name meet -> totals of each name ->
        TopNames: the largest, whole      NameSizes: how many names are how large, in narrow bins
        NameLevels: the same for each threshold on quality that a sweep asks about

The largest names and the bins of the rest are all that a section sees, whatever their number. A name is of a host, of
a registrable domain by the Public Suffix List, of a TLD, a source or a licence; "" stands for documents without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import summed
from stages.audit.frame import KEPT
from stages.audit.groups import column, domain, tld
from stages.audit.measures import bins_of

AXES: Final = ("host", "domain", "tld", "source", "licence")
SWEPT: Final = ("host", "domain")  # axes that are told for each threshold
SUMS: Final = ("documents", "bytes", "characters", "tokens", "trained", "squares", "trained_squares")
KEYS: Final = ("axis", "name", "stage", "action", "rule", "level")
LONGEST: Final = 1 << 21  # tokens, up to which a document's square is its own: sums stay below 2**63
THRESHOLDS: Final = (
    *(0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
    *(0.98, 0.99, 0.995, 1.0),
)  # on quality; the last ones because classifiers are sure of much
UNSCORED: Final = -1
WEIGHTS: Final = ("came", "documents", "size", "trained")

Column: TypeAlias = pa.ChunkedArray | pa.Array
Numbers = npt.NDArray[np.int64]


def level_of(scores: Column) -> Numbers:
    """Returns the last of THRESHOLDS that each score reaches, 0 also below all, UNSCORED where there is none; int64.

    >>> level_of(pa.array([0.0, 0.07, 0.95, 1.0, None, float("nan"), -3], pa.float32())).tolist()
    [0, 1, 19, 23, -1, -1, 0]
    """
    values = np.asarray(pc.fill_null(scores.cast(pa.float64()), np.nan))
    # Scores are multiples of 1/1024: none but the threshold itself is as near to one as float32 may be off.
    levels = np.searchsorted(np.array(THRESHOLDS) - 1e-6, values, side="right") - 1
    found: Numbers = np.where(np.isnan(values), UNSCORED, np.maximum(levels, 0))
    return found


def sizes_of(frame: pa.Table) -> pa.Array:
    """Returns how large documents are, int64: tokens, or characters in a run without any; null where neither is known.

    A run has tokens for all that it kept, or for none.
    """
    return pc.coalesce(column(frame, "tokens").cast(pa.int64()), column(frame, "characters").cast(pa.int64()))


@dataclass(frozen=True)
class Names:
    """Sums by axis and name, and by how documents went; `level` is that of the quality of those that stayed.

    `squares` are of tokens (or characters), `trained_squares` of tokens as trained: sums over documents.
    """

    name: str = "names"

    @property
    def schema(self) -> pa.Schema:
        """KEYS and SUMS."""
        keys = [pa.field(key, pa.int64() if key == "level" else pa.string()) for key in KEYS]
        return pa.schema([*keys, *(pa.field(name, pa.int64()) for name in SUMS)])

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of documents by the names that they have on each axis."""
        kept = np.asarray(pc.equal(frame.column("stage"), KEPT))
        levels = np.where(kept, level_of(column(frame, "quality")), UNSCORED)
        rows = {name: column(frame, name) for name in ("stage", "action", "rule")} | {"level": levels} | _sums(frame)
        hosts = self._of("host", frame.column("host"), rows)
        names = hosts.column("name").combine_chunks().dictionary_encode()
        ends = {"domain": domain(names.dictionary), "tld": pc.fill_null(tld(names.dictionary), "")}
        rest = {name: hosts.column(name) for name in hosts.column_names if name not in ("axis", "name")}
        tables = [self._of(axis, names_of.take(names.indices), rest) for axis, names_of in ends.items()]
        tables += [self._of(axis, frame.column(axis), rows) for axis in ("source", "licence")]
        return pa.concat_tables([hosts, *tables]).combine_chunks()

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, KEYS, self.schema)

    def _of(self, axis: str, names: Column, rows: dict[str, object]) -> pa.Table:
        axes = pa.array([axis]).take(pa.array(np.zeros(len(names), np.int8)))
        whole = pa.table({"axis": axes, "name": pc.fill_null(names, ""), **rows})
        return summed([whole.select(self.schema.names)], KEYS, self.schema)


def _sums(frame: pa.Table) -> dict[str, object]:
    """Returns what is summed, int64[rows] each; what is not known counts as nothing."""
    sums: dict[str, object] = {"documents": np.ones(frame.num_rows, np.int64)}
    for name in ("bytes", "characters", "tokens", "trained"):
        sums[name] = _known(column(frame, name))
    for name, sizes in (("squares", _known(sizes_of(frame))), ("trained_squares", sums["trained"])):
        sums[name] = np.minimum(np.asarray(sizes), LONGEST) ** 2
    return sums


def _known(sizes: Column) -> Numbers:
    return np.asarray(pc.fill_null(sizes.cast(pa.int64()), 0))


TOTALS: Final = pa.schema(
    [
        pa.field("axis", pa.string()),
        pa.field("name", pa.string()),
        pa.field("came", pa.int64()),  # documents, parts that a stage made of others not counted
        pa.field("came_bytes", pa.int64()),  # of their text, as far as it is known
        pa.field("documents", pa.int64()),  # that stayed
        pa.field("bytes", pa.int64()),
        pa.field("size", pa.int64()),  # tokens, characters in a run without any
        pa.field("trained", pa.int64()),
        pa.field("squares", pa.int64()),
        pa.field("trained_squares", pa.int64()),
    ]
)


def totals(rows: pa.Table) -> pa.Table:
    """Returns what came and what stayed of each name, in the order of axis and name; `rows` are all of these names."""
    stayed = np.asarray(pc.equal(rows.column("stage"), KEPT))
    parts = np.asarray(pc.equal(pc.fill_null(rows.column("action"), ""), "split"))
    came = np.where(parts, -1, 1)
    held = {name: np.asarray(rows.column(name)) for name in SUMS}
    size = np.where(held["tokens"] > 0, held["tokens"], held["characters"])
    sums = {"came": came * held["documents"], "came_bytes": came * held["bytes"]}
    kept = {"documents": held["documents"], "bytes": held["bytes"], "size": size, "trained": held["trained"]}
    kept |= {name: held[name] for name in ("squares", "trained_squares")}
    sums |= {name: np.where(stayed, values, 0) for name, values in kept.items()}
    whole = pa.table({"axis": rows.column("axis"), "name": rows.column("name"), **sums})
    return summed([whole], ("axis", "name"), TOTALS)


@dataclass(frozen=True)
class TopNames:
    """The `most` largest names of each axis in each weighting, with all that they hold; and that of no name."""

    name: str = "top_names"
    most: int = 1000

    @property
    def schema(self) -> pa.Schema:
        """TOTALS."""
        return TOTALS

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the largest of these names."""
        return self._largest(totals(frame))

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the largest of all: each is in one table, and among the largest there."""
        return self._largest(pa.concat_tables([TOTALS.empty_table(), *(table.cast(TOTALS) for table in tables)]))

    def _largest(self, whole: pa.Table) -> pa.Table:
        ordered = whole.sort_by([("axis", "ascending"), ("name", "ascending")])
        axes = np.asarray(pc.index_in(ordered.column("axis"), pa.array(AXES)))
        named = np.asarray(pc.not_equal(ordered.column("name"), ""))
        chosen = ~named
        for weight in WEIGHTS:
            sizes = np.asarray(ordered.column(weight))
            for number in range(len(AXES)):
                rows = np.flatnonzero((axes == number) & named & (sizes > 0))
                chosen[rows[np.argsort(-sizes[rows], kind="stable")[: self.most]]] = True
        return ordered.filter(pa.array(chosen)).combine_chunks()


_SIZES: Final = pa.schema(
    [
        pa.field("axis", pa.string()),
        pa.field("weight", pa.string()),  # of WEIGHTS
        pa.field("bin", pa.int64()),  # of `bins_of` that weight of a name
        *(pa.field(name, pa.int64()) for name in ("names", "amount", "squared", "documents", "size", "trained")),
    ]
)


@dataclass(frozen=True)
class NameSizes:
    """How many names of an axis are how large in each weighting: the narrow bin, and what its names hold together."""

    name: str = "name_sizes"

    @property
    def schema(self) -> pa.Schema:
        """Axis, weighting and bin; names, their sum, that of their documents' squares, and what else they hold."""
        return _SIZES

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns how large these names are."""
        whole = totals(frame)
        whole = whole.filter(pc.not_equal(whole.column("name"), ""))
        squares = {"size": "squares", "trained": "trained_squares"}
        tables = []
        for weight in WEIGHTS:
            there = whole.filter(pc.greater(whole.column(weight), 0))
            amount = np.asarray(there.column(weight))
            sums = {"names": np.ones(len(amount), np.int64), "amount": amount}
            sums["squared"] = np.asarray(there.column(squares.get(weight, weight)))
            sums |= {name: np.asarray(there.column(name)) for name in ("documents", "size", "trained")}
            keys = {"axis": there.column("axis"), "weight": pa.array([weight] * len(amount), pa.string())}
            tables.append(pa.table({**keys, "bin": bins_of(amount), **sums}))
        return self.merge(tables)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, ("axis", "weight", "bin"), _SIZES)


_LEVELS: Final = pa.schema(
    [
        pa.field("axis", pa.string()),
        pa.field("weight", pa.string()),  # documents or size
        pa.field("level", pa.int64()),  # of THRESHOLDS
        pa.field("bin", pa.int64()),
        pa.field("names", pa.int64()),
        pa.field("amount", pa.int64()),
    ]
)


@dataclass(frozen=True)
class NameLevels:
    """How many names are how large if only documents of some quality stay, for each of THRESHOLDS.

    A name of the same size at several thresholds in a row stands once: as it begins, at the highest, and, taken away,
    at the threshold below them, where it is larger. So names of a bin at threshold k are the sum over levels from k on.
    """

    name: str = "name_levels"

    @property
    def schema(self) -> pa.Schema:
        """Axis, weighting, level and bin; names and their sum, which may be below 0."""
        return _LEVELS

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the changes of these names from threshold to threshold."""
        chosen = pc.and_(pc.is_in(frame.column("axis"), pa.array(SWEPT)), pc.not_equal(frame.column("name"), ""))
        kept = frame.filter(pc.and_(chosen, pc.greater(frame.column("level"), UNSCORED)))
        if not kept.num_rows:
            return _LEVELS.empty_table()
        size = pc.if_else(pc.greater(kept.column("tokens"), 0), kept.column("tokens"), kept.column("characters"))
        narrow = pa.table({**{key: kept.column(key) for key in ("axis", "name", "level", "documents")}, "size": size})
        keys = ("axis", "name", "level")
        narrow = summed([narrow], keys, narrow.schema).sort_by(
            [("axis", "ascending"), ("name", "ascending"), ("level", "descending")]
        )
        axes, levels = narrow.column("axis"), np.asarray(narrow.column("level"))
        first = _first_of_each(axes, narrow.column("name"))
        tables = []
        for weight in ("documents", "size"):
            reached = _running(np.asarray(narrow.column(weight)), first)
            # A name's size from this level down to above the next of its levels, where this one is taken away.
            again = np.flatnonzero(~first)
            for level, amount, sign, rows in (
                (levels, reached, 1, np.arange(len(levels))),
                (levels[again], reached[again - 1], -1, again),
            ):
                there = np.flatnonzero(amount > 0)
                keyed = {
                    "axis": axes.take(pa.array(rows[there])),
                    "weight": pa.array([weight] * len(there), pa.string()),
                    "level": level[there],
                    "bin": bins_of(amount[there]),
                }
                counted = {"names": np.full(len(there), sign), "amount": sign * amount[there]}
                tables.append(pa.table({**keyed, **counted}))
        return self.merge(tables)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, ("axis", "weight", "level", "bin"), _LEVELS)


def _first_of_each(axes: Column, names: Column) -> npt.NDArray[np.bool_]:
    """Returns where another axis or name begins, in rows sorted by both."""
    first = np.ones(len(axes), bool)
    other = [pc.not_equal(one.slice(1), one.slice(0, max(0, len(one) - 1))) for one in (axes, names)]
    first[1:] = np.asarray(pc.or_(*other))
    return first


def _running(values: Numbers, first: npt.NDArray[np.bool_]) -> Numbers:
    """Returns the running sums of values, each beginning anew where `first` is."""
    sums = np.cumsum(values)
    before = (sums - values)[first]
    running: Numbers = sums - np.repeat(before, np.diff(np.append(np.flatnonzero(first), len(values))))
    return running
