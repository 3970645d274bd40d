"""Documents in groups: how many there are, and how much text, how many tokens and how much of training they hold.

A key of a group is a column of the frame, or what is read from one: the band that a number lies in, a month, the end of
a host. All sums are whole numbers, so tables of parts may be merged in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import summed
from stages.audit.frame import FRAME, KEPT
from stages.audit.measures import FINE, bins_of
from stages.ingest.address import domains_of

AMOUNTS: Final = ("documents", "bytes", "characters", "tokens", "trained")
SUMS: Final = frozenset((*AMOUNTS, "details", "items", "replaced", "suspects"))  # what `by` adds up
SCORES: Final = 1024  # steps of a score from 0 to 1
_LATEST: Final = 253_402_300_799  # last second of the year 9999
_DAY: Final = "2022-11-30"  # ChatGPT was opened to all
_SECOND: Final = 1_669_766_400  # at which that day began (UTC)


def size_band(sizes: pa.ChunkedArray) -> pa.Array:
    """Returns the bin (`measures.bins_of`) of each size, int64; null where there is none."""
    values = np.asarray(pc.fill_null(sizes.cast(pa.int64()), -1))
    return pa.array(bins_of(np.maximum(values, 0)), pa.int64(), mask=values < 0)


def sizes_of(band: int) -> tuple[int, int]:
    """Returns the least and the greatest size of a bin.

    >>> sizes_of(127), sizes_of(128), sizes_of(191), sizes_of(2240) == (1 << 40, (1 << 40) + (1 << 34) - 1)
    ((127, 127), (128, 129), (254, 255), True)
    """
    power = max(0, (band >> FINE) - 1)
    least = (band if band < 2 << FINE else (band & ((1 << FINE) - 1)) + (1 << FINE)) << power
    return least, least + (1 << power) - 1


def score_band(scores: pa.ChunkedArray) -> pa.Array:
    """Returns each score from 0 to 1 in steps of 1/1024, which ours are rounded to, int64; null where there is none.

    >>> score_band(pa.array([0, 0.5, 1, None, float("nan")], pa.float32())).to_pylist()
    [0, 512, 1024, None, None]
    """
    values = np.asarray(pc.fill_null(scores.cast(pa.float64()), np.nan))
    known = np.isfinite(values)
    bands = np.rint(np.where(known, values, 0).clip(0, 1) * SCORES)
    return pa.array(bands.astype(np.int64), pa.int64(), mask=~known)


def month(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the month (YYYY-MM, UTC) of seconds since 1970; null where there is none, or none of our calendar."""
    sound = pc.and_kleene(pc.greater_equal(times, 0), pc.less_equal(times, _LATEST))
    kept = pc.if_else(sound, times, pa.scalar(None, pa.int64()))
    return pc.strftime(kept.cast(pa.timestamp("s")), format="%Y-%m")


def year_published(published: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the year (four digits) that a date of ISO 8601 begins with; null where it does not."""
    return _part(published, r"^(?P<part>[12][0-9]{3})(?:$|[-T/. ])")


def year_in_url(urls: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the first year from 1990 to 2039 that stands in the path of an address as a part of its own, or null.

    >>> year_in_url(pa.array(["https://a.cn/2021/03/x", "https://a.cn/x-20210304.html", "https://a2019.cn/"])).to_pylist()
    ['2021', '2021', None]
    """
    return _part(
        urls,
        r"^[^:]*://[^/?#]*/(?:[^?#]*?[^0-9?#])??(?P<part>199[0-9]|20[0-3][0-9])(?:[01][0-9][0-3][0-9])?(?:[^0-9]|$)",
    )


def era(published: pa.ChunkedArray, urls: pa.ChunkedArray, crawled: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns whether a text is from `before` 2022-11-30 or from that day on (`after`); null where that is not known.

    What was crawled before that day is from before it, whatever it says. Else the stated date tells, or the year in the
    address where there is no date; the year 2022 alone tells nothing.
    """
    early = pc.fill_null(pc.less(crawled, _SECOND), False)
    day, year = pc.utf8_slice_codeunits(published, 0, 10), pc.coalesce(year_published(published), year_in_url(urls))
    whole = pc.fill_null(pc.match_substring_regex(day, r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}$"), False)
    before = pc.if_else(whole, pc.less(day, _DAY), pc.less(year, _DAY[:4]))
    told = pc.or_kleene(whole, pc.not_equal(year, _DAY[:4]))
    stated = pc.if_else(before, "before", "after")
    return pc.if_else(early, "before", pc.if_else(told, stated, pa.scalar(None, pa.string())))


def tld(hosts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the last label of hosts; null where there is no host, or an address of numbers.

    >>> tld(pa.array(["a.example.cn", "localhost", "10.0.0.1", "[::1]", None])).to_pylist()
    ['cn', 'localhost', None, None, None]
    """
    return _part(hosts, r"(?:^|\.)(?P<part>[^.\]\[:0-9][^.\]\[:]*)$")


def han_step(han: pa.ChunkedArray, both: pa.ChunkedArray) -> pa.Array:
    """Returns the share of Han among Han and Latin letters as `score_band`, from their ratios among all characters."""
    han, both = (np.asarray(pc.fill_null(ratio.cast(pa.float64()), np.nan)) for ratio in (han, both))
    return score_band(pa.array(np.divide(han, both, out=np.full(len(han), np.nan), where=both > 0)))


def han_share(han: pa.ChunkedArray, both: pa.ChunkedArray) -> pa.Array:
    """Returns the same as a number from 0 to 1."""
    return pc.divide(han_step(han, both).cast(pa.float64()), float(SCORES))


def domain(hosts: pa.ChunkedArray) -> pa.Array:
    """Returns the registrable domain of hosts by the Public Suffix List; of one without any, the host itself.

    >>> domain(pa.array(["a.example.com.cn", "10.0.0.1", "co.uk", None])).to_pylist()
    ['example.com.cn', '10.0.0.1', 'co.uk', None]
    """
    names = pc.dictionary_encode(hosts)
    names = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
    return pc.coalesce(domains_of(names.dictionary), names.dictionary).take(names.indices)


def others(shares: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the share of a text that is not in its first language, 0 to 100, from `language_shares`."""
    first = _part(shares, r"^[^: ]+:(?P<part>[01]\.[0-9]{2})(?: |$)")
    return pc.subtract(100, pc.round(pc.multiply(first.cast(pa.float64()), 100)).cast(pa.int64()))


def has_place(files: pa.ChunkedArray, offsets: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns whether the place of a record in its file is known: 0 in a compressed one is the place of its member.

    Where a file is compressed as a whole, that is all of it; no document lies at the beginning of a WARC file.
    """
    whole = pc.and_(pc.match_substring_regex(files, r"\.(gz|zst|zstd)$"), pc.equal(offsets, 0))
    return pc.and_(pc.and_(pc.is_valid(files), pc.is_valid(offsets)), pc.invert(pc.fill_null(whole, False)))


def _part(texts: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    found = pc.extract_regex(texts, pattern=pattern)
    return pc.struct_field(found, [0])


_Made = tuple[tuple[str, ...], Callable[..., pa.ChunkedArray], pa.DataType]
MADE: Final[Mapping[str, _Made]] = {
    "domain": (("host",), domain, pa.string()),
    "tld": (("host",), tld, pa.string()),
    "month": (("crawl_time",), month, pa.string()),
    "year": (("published",), year_published, pa.string()),
    "url_year": (("url",), year_in_url, pa.string()),
    "era": (("published", "url", "crawl_time"), era, pa.string()),
    "bytes_band": (("bytes",), size_band, pa.int64()),
    "characters_band": (("characters",), size_band, pa.int64()),
    "tokens_band": (("tokens",), size_band, pa.int64()),
    "quality_step": (("quality",), score_band, pa.int64()),
    "certainty": (("language_score",), score_band, pa.int64()),
    "others": (("language_shares",), others, pa.int64()),
    "han_share": (("han_ratio", "han_latin_ratio"), han_share, pa.float64()),
    "han_step": (("han_ratio", "han_latin_ratio"), han_step, pa.int64()),
    "has_pii": (("pii",), lambda pii: pc.greater(pii, 0), pa.bool_()),
    "noindex": (("robots",), lambda robots: pc.match_substring_regex(robots, "(^|,)(noindex|none)(,|$)"), pa.bool_()),
    "has_url": (("url",), pc.is_valid, pa.bool_()),
    "has_date": (("crawl_time",), pc.is_valid, pa.bool_()),
    "has_licence": (("licence",), pc.is_valid, pa.bool_()),
    "stated": (("licence",), lambda licence: pc.fill_null(licence, ""), pa.string()),
    "has_file": (("file",), pc.is_valid, pa.bool_()),
    "has_place": (("file", "offset"), has_place, pa.bool_()),
    "passed": (("rule",), pc.is_null, pa.bool_()),
    "left": (("stage",), lambda stage: pc.not_equal(stage, KEPT), pa.bool_()),
}
_KINDS: Final = {"no_ai": pa.bool_(), "offset": pa.int64(), "file": pa.string()}


@dataclass(frozen=True)
class Groups:
    """Counts documents, and what they hold, by `keys`: columns of the frame, or of `MADE`.

    `of` are those that stayed, those that left (without parts that a stage made: `split`), or all of them. `amounts`
    are the sums, of AMOUNTS; what is not known of a document counts as nothing.
    """

    name: str
    keys: tuple[str, ...]
    of: Literal["kept", "all"] = "kept"
    amounts: tuple[str, ...] = AMOUNTS

    @property
    def schema(self) -> pa.Schema:
        """The keys and the sums."""
        keys = [pa.field(key, MADE[key][2] if key in MADE else _kind(key)) for key in self.keys]
        return pa.schema([*keys, *(pa.field(name, pa.int64()) for name in self.amounts)])

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums by keys."""
        if self.of == "kept" and ledger is not None:
            return self.schema.empty_table()
        if ledger is not None:
            frame = frame.filter(pc.not_equal(pc.fill_null(frame.column("action"), ""), "split"))
        columns = {key: derived(frame, key) for key in self.keys}
        return grouped(frame, columns, self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, self.keys, self.schema)


OTHERS: Final = "…"  # all names but the largest


@dataclass(frozen=True)
class Largest:
    """Sums of `of` for "" and the `most` values of `key` that most documents have; all others are OTHERS.

    It counts tables of `of` in which all rows of a value are (`Wide`), so the largest of parts are those of the whole.
    """

    name: str
    of: Groups
    key: str
    most: int = 1000

    @property
    def schema(self) -> pa.Schema:
        """That of `of`."""
        return self.of.schema

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of these rows."""
        return self.merge([frame])

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of the largest of all tables."""
        whole = self.of.merge(tables)
        values = by(whole, self.key)
        values = values.filter(pc.invert(pc.is_in(values.column(self.key), pa.array(["", OTHERS]))))
        order = [("documents", "descending"), (self.key, "ascending")]
        kept = ["", *values.sort_by(order).slice(0, self.most).column(self.key).to_pylist()]
        column = whole.column(self.key)
        column = pc.if_else(pc.is_in(column, pa.array(kept)), column, OTHERS)
        return self.of.merge([whole.set_column(whole.schema.get_field_index(self.key), self.key, column)])


def _kind(name: str) -> pa.DataType:
    return FRAME.field(name).type if name in FRAME.names else _KINDS.get(name, pa.string())


def column(frame: pa.Table, name: str) -> pa.ChunkedArray:
    """Returns a column of the frame, nulls where it has none."""
    if name in frame.column_names:
        return frame.column(name)
    return pa.nulls(frame.num_rows, _kind(name))


def derived(frame: pa.Table, key: str) -> pa.ChunkedArray:
    """Returns the values of a key."""
    if key not in MADE:
        return column(frame, key)
    names, function, kind = MADE[key]
    return function(*(column(frame, name) for name in names)).cast(kind)


def grouped(frame: pa.Table, columns: Mapping[str, pa.ChunkedArray], schema: pa.Schema) -> pa.Table:
    """Returns the sums by `columns`, which are the keys of `schema`, in no order; its other names are sums of columns.

    `documents` are counted; null counts as nothing.
    """
    names = [name for name in schema.names if name not in columns]
    sums = {name: column(frame, name) for name in names if name != "documents"}
    table = pa.table({**columns, **sums}) if sums else pa.table(dict(columns))
    asked: list[tuple[object, ...]] = [([], "count_all") if name == "documents" else (name, "sum") for name in names]
    made = table.group_by(list(columns), use_threads=False).aggregate(asked)
    counted = {name: made.column("count_all" if name == "documents" else f"{name}_sum") for name in names}
    filled = {name: pc.fill_null(one, 0) if one.null_count else one for name, one in counted.items()}
    return pa.table({**{name: made.column(name) for name in columns}, **filled}).select(schema.names).cast(schema)


def by(table: pa.Table, *keys: str) -> pa.Table:
    """Returns the sums of a merged table by fewer keys."""
    kept = [name for name in table.column_names if name in keys or pa.types.is_integer(table.schema.field(name).type)]
    narrow = table.select([name for name in kept if name in keys or name in SUMS])
    return summed([narrow], list(keys), narrow.schema)


def rows(table: pa.Table) -> Iterable[dict[str, object]]:
    """Returns the rows of a small table."""
    made: list[dict[str, object]] = table.to_pylist()
    return made
