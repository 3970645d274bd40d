"""Earlier corpora: of a new snapshot those documents leave that a corpus from before holds, known by its keys alone.

    documents -> ask: keys of the new -----------+-> exchange by key -> meet -> exchange by part of the earlier keys
    keys/ of earlier runs -> spread: their keys -+                                                    |
    keys/ beside those who were met -> named: their ids, exact hashes, bands (and signatures) <-------+
      -> exchange by shard -> beside what the new ones are known by -> compared -> beside the documents: those that stay

Nothing grows with a corpus: all are streams that exchanges sort. The text of an earlier document is not there, so that
nothing is verified, and how alike two documents are is estimated:

- from signatures, where the earlier keys hold them (`signatures: true`), by the share of equal minima; a document
  leaves from the threshold on. With 128 values the standard error at .8 is .035.
- else from the number a of equal bands, by the similarity that is likeliest, (a / bands)^(1 / rows); a document leaves
  if one band is equal. So of pairs with similarity s the share 1 - (1 - s^rows)^bands leaves, below the threshold too:
  with 18 bands of 7 rows 13 of 100 at .5, 40 at .6, 79 at .7.

A document meets those of a bucket whose ids are least: one of them, or MOST_MET where signatures tell who is alike.
So a bucket of any size costs no more, and neither the order of the folders nor how their files are cut changes who
stays. What left an earlier corpus as a copy is in its keys too, and counts. Columns of `within` play no part here.

Source: Broder 1997 (the share of equal minima is an unbiased estimate of Jaccard similarity).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numba import njit

from datapipe import ID, ConfigError, Dataset, InputFile, Output, Sized, Source, StageError, Work, concat
from datapipe.dataset import Batches, Like
from datapipe.storage import find_files, open_input
from stages.dedup.clusters import Sorted
from stages.dedup.fold import load
from stages.dedup.keys import (
    EXACT_BAND,
    KEYS_METADATA,
    SHARD_BITS,
    Sign,
    exact_hashes,
    hash_column,
    list_column,
)
from stages.dedup.signature import Hashes, band_keys, permutations, sign

RULES: Final = ("earlier_exact", "earlier_minhash")  # the folded views are equal, or nearly so
EXACT, MINHASH = range(2)
MOST_MET: Final = 8  # of a bucket, with signatures
NEW: Final = np.uint64(2**64 - 1)  # the rank of a new document: behind all earlier ones of its bucket
GROUP_BYTES: Final = 64 << 20  # of key files that one task reads
ROWS: Final = 1 << 14  # of a batch of keys
MET: Final = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("rank", pa.uint64(), nullable=False),  # of an earlier document by its id, NEW of a new one
        pa.field("gid", pa.int64(), nullable=False),  # in its own dataset
    ]
)
PAIRS: Final = pa.schema(
    [
        pa.field("part", pa.int32()),  # of the earlier keys
        pa.field("gid", pa.int64()),  # of the earlier document
        pa.field("new", pa.int64()),
    ]
)
VERDICTS: Final = pa.schema(
    [
        pa.field("gid", pa.int64()),
        pa.field("id", ID),
        pa.field("other", ID),
        pa.field("rule", pa.int8()),  # place in RULES
        pa.field("similarity", pa.float32()),
    ]
)
SETTINGS_BY_HAND: Final = ("bands", "rows", "permutations", "seed", "shingle")

UNSIGNED: Final = (
    "against: earlier keys without signatures: who meets one of theirs leaves unverified, with the chances above; "
    "signatures: true in the run that makes the keys lets a document leave from the threshold on"
)

Gids = npt.NDArray[np.int64]
Settings = Mapping[str, Any]  # Any: JSON


@dataclass(frozen=True)
class Earlier:
    """The key files of all earlier corpora in groups that a task reads, and whether any holds signatures."""

    groups: tuple[tuple[InputFile, ...], ...]
    signatures: bool


def earlier_keys(folders: Sequence[str], made_with: Sign) -> Earlier:
    """Returns the key files of `folders`, each the output folder of a run or its keys/.

    Raises:
        ConfigError: a folder holds no keys, only some of a run's, or keys that were made with other settings.
    """
    files: list[InputFile] = []
    signatures = False
    for folder in folders:
        found = _files_of(folder)
        _ensure_whole(folder, found)
        schema = _schema_of(found[0], folder)
        _ensure_equal(folder, _settings_of(schema), _settings_of(made_with.keys_schema()))
        signatures |= "signature" in schema.names
        files += found
    files.sort(key=lambda file: (file.name, file.size_bytes, file.version))  # however the folders are listed
    return Earlier(_grouped(list({file.url: file for file in files}.values())), signatures)


def _files_of(folder: str) -> list[InputFile]:
    root = folder.rstrip("/")
    for pattern in (f"{root}/keys/*.parquet", f"{root}/*.parquet"):
        try:
            return find_files(pattern)
        except ConfigError:
            continue
    raise ConfigError(
        f"against: {folder}: no keys are there; give the output folder of a run with the step dedup, or its keys/"
    )


def _ensure_whole(folder: str, files: Sequence[InputFile]) -> None:
    """Raises ConfigError where parts are missing that the names of others tell of."""
    names = [re.fullmatch(r"(.*)-\d+-of-(\d+)\.parquet", file.url) for file in files]
    for (_, parts), there in sorted(Counter(name.groups() for name in names if name).items()):
        if there != int(parts):
            raise ConfigError(
                f"against: {folder}: {there} of {int(parts)} parts of the keys are there; finish that run first"
            )


def _schema_of(file: InputFile, folder: str) -> pa.Schema:
    with open_input(file.url) as opened:
        try:
            schema = pq.read_schema(opened)
        except pa.ArrowInvalid as error:
            raise ConfigError(f"against: {folder}: {file.name} is no Parquet file ({error})") from error
    if KEYS_METADATA.encode() not in (schema.metadata or {}):
        raise ConfigError(
            f"against: {folder}: {file.name} holds no keys of dedup (its schema has no '{KEYS_METADATA}'); give the "
            "output folder of a run with the step dedup, or its keys/"
        )
    return schema


def _settings_of(schema: pa.Schema) -> dict[str, Any]:  # Any: JSON
    settings: dict[str, Any] = json.loads(schema.metadata[KEYS_METADATA.encode()])
    return settings


def _ensure_equal(folder: str, theirs: Settings, ours: Settings) -> None:
    """Raises ConfigError where keys cannot be compared, and says what to set."""
    differing = [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]
    if not differing:
        return
    values = ", ".join(f"{name} is {theirs.get(name)} there and {ours.get(name)} here" for name in differing)
    if set(differing) <= set(SETTINGS_BY_HAND):
        wanted = [name for name in SETTINGS_BY_HAND if name in differing or name in ("bands", "rows")]
        cure = "write " + ", ".join(f"{name}: {theirs.get(name)}" for name in wanted)
    else:
        cure = "another version of datapipe made them: make them again, by a run with dedup over those documents"
    raise ConfigError(f"against: {folder}: its keys cannot be compared: {values}; {cure}")


def _grouped(files: Sequence[InputFile]) -> tuple[tuple[InputFile, ...], ...]:
    """Returns the files in groups, in order, each of at most GROUP_BYTES or one file."""
    groups: list[list[InputFile]] = []
    size = GROUP_BYTES + 1
    for file in files:
        if size + file.size_bytes > GROUP_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size_bytes
    return tuple(tuple(group) for group in groups)


def known_schema(bands: int, amount: int, *, signatures: bool) -> pa.Schema:
    """Returns the schema of what a document is known by; `bands` are null for a short one."""
    columns = [("id", ID), ("exact", pa.binary(16)), ("bands", pa.list_(pa.uint64(), bands))]
    if signatures:
        columns.append(("signature", pa.list_(pa.uint32(), amount)))
    return pa.schema(columns)


@dataclass(frozen=True, kw_only=True)
class ReadKeys:
    """Reads key files; the id is called `other`, as all are read however large a sample of documents is taken."""

    settings: str  # that every file must have, JSON
    schema: pa.Schema

    def __call__(self, files: Sequence[InputFile], work: Work) -> Batches:
        """Yields batches of `schema`. Raises StageError where a file was made with other settings."""
        for file in files:
            with open_input(file.url) as opened:
                parquet = pq.ParquetFile(opened)
                said = (parquet.schema_arrow.metadata or {}).get(KEYS_METADATA.encode(), b"{}")
                if json.loads(said) != json.loads(self.settings):
                    raise StageError(f"against: {file.name} was made with other settings than the first of its folder")
                held = [name for name in ("id", "exact", "bands", "signature") if name in parquet.schema_arrow.names]
                for batch in parquet.iter_batches(ROWS, columns=held):
                    yield self._conformed(batch)

    def _conformed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = []
        for field in self.schema:
            name = "id" if field.name == "other" else field.name
            there = name in batch.schema.names
            columns.append(batch.column(name) if there else pa.nulls(batch.num_rows, field.type))
        return pa.record_batch(columns, schema=self.schema)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Yields the keys of new documents (MET), and puts out `own`, what each is known by."""

    made_with: Sign
    signatures: bool

    @property
    def own_schema(self) -> pa.Schema:
        """The schema of the output `own`."""
        return known_schema(self.made_with.bands, self.made_with.permutations, signatures=self.signatures)

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields rows (key, rank, gid)."""
        how = self.made_with
        fold, drawn = load(how.fold), permutations(how.permutations, how.seed)
        first = work.number << SHARD_BITS
        for batch in batches:
            signed = sign(batch.column("text"), fold, drawn, width=how.shingle)
            short = signed.counts < how.shingle
            exact = exact_hashes(batch.column("text"), signed.exact, signed.counts == 0)
            keys = np.empty((batch.num_rows, how.bands), np.uint64)
            band_keys(signed.signatures, how.bands, how.rows, keys)
            own = [batch.column("id"), hash_column(exact), list_column(keys, short)]
            if self.signatures:
                own.append(list_column(signed.signatures, short))
            work.put("own", pa.record_batch(own, schema=self.own_schema))
            yield _met(keys, short, exact, np.full(batch.num_rows, NEW), first)
            first += batch.num_rows


def spread(batches: Batches, work: Work) -> Batches:
    """Yields the keys of earlier documents, numbered by the part they lie in and their row, as MET."""
    first = work.number << SHARD_BITS
    for batch in batches:
        ids = _words(batch.column("other"))
        ranks = ids[:, 0].astype(">u8").view("<u8") >> np.uint64(1)  # the order of ids, and below NEW
        exact, bands = _words(batch.column("exact")), batch.column("bands")
        yield _met(_values(bands, np.uint64), np.asarray(bands.is_null()), exact, ranks, first)
        first += batch.num_rows


def _met(keys: Hashes, short: npt.NDArray[np.bool_], exact: Hashes, ranks: Hashes, first: int) -> pa.RecordBatch:
    """Returns a row for each band of a document that is not short, and one of its exact hash."""
    rows = np.arange(len(short))
    places = np.concatenate([np.repeat(rows[~short], keys.shape[1]), rows])
    key = np.concatenate([keys[~short].ravel(), exact[:, 0] ^ EXACT_BAND])
    columns = [key, ranks[places], first + places]
    return pa.record_batch([pa.array(column) for column in columns], schema=MET)


def _words(column: pa.Array) -> Hashes:
    """Returns a column of 16 bytes as uint64[rows, 2], little-endian."""
    words = np.frombuffer(column.buffers()[1], "<u8").reshape(-1, 2)
    return words[column.offset : column.offset + len(column)]


def _values(column: pa.FixedSizeListArray, kind: npt.DTypeLike) -> npt.NDArray[Any]:  # Any: of that kind
    """Returns the values of lists of equal length, kind[rows, length]; zeros where a list is null."""
    length = column.type.list_size
    values = column.values.slice(column.offset * length, len(column) * length)
    return np.asarray(values.fill_null(0)).astype(kind, copy=False).reshape(-1, length)


@dataclass(frozen=True, kw_only=True)
class Meet:
    """Yields who of the new meets whom of the earlier; rows come sorted by (key, rank, gid)."""

    most: int

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields PAIRS, one for each key that two have in common."""
        last, held = np.zeros(1, np.uint64), np.zeros(self.most + 1, np.int64)
        for batch in batches:
            keys, ranks, gids = (batch.column(name).to_numpy() for name in MET.names)
            earlier, new = np.empty((2, self.most * len(keys)), np.int64)
            made = meetings(keys, ranks, gids, last, held, earlier, new)
            parts = (earlier[:made] >> SHARD_BITS).astype(np.int32)
            yield pa.record_batch([pa.array(item) for item in (parts, earlier[:made], new[:made])], schema=PAIRS)


@njit(cache=True, nogil=True)
def meetings(keys: Hashes, ranks: Hashes, gids: Gids, last: Hashes, held: Gids, earlier: Gids, new: Gids) -> int:
    """Writes the pairs (earlier, new) of each bucket, and returns their number.

    `last` holds the key of the bucket that is open; `held` how many of its earlier documents wait, then these.
    """
    made = 0
    most = len(held) - 1
    for row in range(len(keys)):
        if keys[row] != last[0]:
            last[0], held[0] = keys[row], 0
        if ranks[row] != NEW:
            if held[0] < most:
                held[0] += 1
                held[held[0]] = gids[row]
            continue
        for place in range(1, held[0] + 1):
            earlier[made], new[made] = held[place], gids[row]
            made += 1
    return made


def named_schema(known: pa.Schema) -> pa.Schema:
    """Returns the schema of `named`: the new document, and what the earlier one is known by."""
    return pa.schema([pa.field("shard", pa.int32()), pa.field("gid", pa.int64()), *known])


def named(batches: Batches, work: Work, *, schema: pa.Schema) -> Batches:
    """Yields a row for each pair with what the earlier document is known by; the pairs lie beside, sorted by gid.

    Any number of new documents may have met one earlier one: pairs are taken as they come, not by document.
    """
    pairs = work.beside()
    waiting, last = next(pairs, None), np.array([[-1, -1]])
    first = work.number << SHARD_BITS
    for batch in batches:
        while waiting is not None:
            gids, new = (waiting.column(name).to_numpy() for name in ("gid", "new"))
            amount = int(np.searchsorted(gids, first + batch.num_rows))
            found = np.stack([gids[:amount], new[:amount]], axis=1)
            before = np.concatenate([last, found])[:-1]
            last = np.concatenate([last, found])[-1:]
            yield _named(batch, found[(found != before).any(axis=1)], first, schema)
            if amount < len(gids):
                waiting = waiting.slice(amount)
                break
            waiting = next(pairs, None)
        first += batch.num_rows


def _named(batch: pa.RecordBatch, pairs: Gids, first: int, schema: pa.Schema) -> pa.RecordBatch:
    """Returns the rows of pairs (earlier, new), int64[pairs, 2]."""
    new = np.ascontiguousarray(pairs[:, 1])
    rows = batch.take(pa.array(pairs[:, 0] - first))
    return pa.record_batch(
        [pa.array((new >> SHARD_BITS).astype(np.int32)), pa.array(new), *rows.columns], schema=schema
    )


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Yields the verdict of each document that leaves, from what it is known by; whom it met lies beside, by gid."""

    rows: int
    threshold: float
    schema: pa.Schema

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields VERDICTS, in the order of the documents."""
        candidates = Sorted(work.beside(), self.schema)
        first = work.number << SHARD_BITS
        for batch in batches:
            met = candidates.below(first + batch.num_rows).combine_chunks()
            if met.num_rows:
                yield self._verdicts(batch, met, np.asarray(met.column("gid")) - first)
            first += batch.num_rows

    def _verdicts(self, batch: pa.RecordBatch, met: pa.Table, places: Gids) -> pa.RecordBatch:
        own = batch.take(pa.array(places))
        theirs = {name: _chunk(met, name) for name in met.schema.names}
        same = np.asarray(pc.equal(own.column("exact"), theirs["exact"]))
        agreed = _agreeing(own.column("bands"), theirs["bands"], np.uint64)
        estimate, leaves = agreed ** (1 / self.rows), same | (agreed > 0)
        if "signature" in theirs:
            signed = np.asarray(theirs["signature"].is_valid())
            equal = _agreeing(own.column("signature"), theirs["signature"], np.uint32)
            estimate = np.where(signed, equal, estimate)
            leaves = np.where(signed, same | (equal >= self.threshold), leaves)
        estimate = np.where(same, 1.0, estimate)
        best = np.lexsort((-estimate, ~same, places))  # stable: of equals the least id, as they are sorted
        best = best[leaves[best]]
        best = best[np.append(True, places[best][1:] != places[best][:-1])[: len(best)]]
        chosen = pa.array(best)
        columns = [
            theirs["gid"].take(chosen),
            own.column("id").take(chosen),
            theirs["other"].take(chosen),
            pa.array(np.where(same[best], EXACT, MINHASH).astype(np.int8)),
            pa.array(estimate[best].astype(np.float32)),
        ]
        return pa.record_batch(columns, schema=VERDICTS)


def _chunk(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _agreeing(one: pa.Array, other: pa.Array, kind: npt.DTypeLike) -> npt.NDArray[np.float64]:
    """Returns the share of equal values of each two lists, 0 where one is null; float64[rows]."""
    both = np.asarray(pc.and_(one.is_valid(), other.is_valid()))
    shares: npt.NDArray[np.float64] = (_values(one, kind) == _values(other, kind)).mean(axis=1) * both
    return shares


def stay(batches: Batches, work: Work) -> Batches:
    """Yields the documents that no earlier corpus holds; the verdicts on this shard lie beside, sorted by gid."""
    verdicts = Sorted(work.beside(), VERDICTS)
    first = work.number << SHARD_BITS
    for batch in batches:
        found = verdicts.below(first + batch.num_rows).combine_chunks()
        places = np.asarray(found.column("gid")) - first
        if not _chunk(found, "id").equals(batch.column("id").take(pa.array(places))):
            raise StageError(f"dedup: shard {work.number} does not hold the documents that were asked for; run again")
        first += batch.num_rows
        row = np.full(batch.num_rows, -1, np.int64)
        row[places] = np.arange(len(places))
        said = found.take(pa.array(row, mask=row < 0))
        yield work.drop(
            batch,
            row >= 0,
            action="duplicate_of",
            rule=pa.array(RULES).take(_chunk(said, "rule").fill_null(0)),
            other=_chunk(said, "other"),
            similarity=_chunk(said, "similarity"),
            sample="text",
        )
    verdicts.end(work)


def against(documents: Dataset, earlier: Earlier, made_with: Sign, *, threshold: float, bytes_a_shard: int) -> Dataset:
    """Returns the documents that the earlier corpora do not hold; the others leave as `duplicate_of` one of theirs."""
    settings = made_with.keys_schema().metadata[KEYS_METADATA.encode()].decode()
    known = known_schema(made_with.bands, made_with.permutations, signatures=earlier.signatures)
    theirs = pa.schema([pa.field("other", ID), *list(known)[1:]])
    held = Dataset(Source("earlier_keys", ReadKeys(settings=settings, schema=theirs), earlier.groups), theirs)
    ask = Ask(made_with=made_with, signatures=earlier.signatures)
    asked = documents.map(ask, reads=("id", "text"), schema=MET, outputs=(Output("own", ask.own_schema),))
    pairs = (
        concat([asked, held.map(spread, schema=MET)])
        .exchange("key", Sized(bytes_a_shard), then=("rank", "gid"))
        .map(Meet(most=MOST_MET if earlier.signatures else 1), schema=PAIRS)
        .exchange("part", Like(held), then=("gid", "new"), direct=True)
    )
    schema = named_schema(theirs)
    met = held.map(partial(named, schema=schema), schema=schema, beside=pairs)
    candidates = met.exchange("shard", Like(documents), then=("gid", "other"), direct=True)
    compare = Compare(rows=made_with.rows, threshold=threshold, schema=schema)
    verdicts = asked.output("own").map(compare, schema=VERDICTS, beside=candidates)
    return documents.map(stay, beside=verdicts)
