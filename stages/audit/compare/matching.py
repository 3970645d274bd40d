"""Which documents of two corpora are the same one: by id, then by what else tells one from others.

Ids are hashes of source, file and place, so they are the same where the inputs are. Where they are not, a document is
known again by its URL, by the source's own id, and at last by its text. Each is a level: entries of equal key meet, the
ones that are paired go, and the rest meets again by the next. A key that stands several times on a side pairs as many
as there are on the other, those first that have more in common: nothing is lost, and nothing is paired twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, Work
from datapipe.dataset import Batches
from stages.audit.compare.causes import Tell
from stages.audit.compare.entries import STAYED, whole
from stages.audit.compare.side import Side
from stages.audit.published import uncut

Rows = npt.NDArray[np.int64]
LEVELS: Final = ("id", "url", "own_id", "text")
ALONE: Final = "none"  # how a document was matched that has none in the other corpus
# What they are to have in common beside the key, first what tells most.
_ALIKE: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "id": ((),),
    "url": (("source", "row", "digest"), ("source", "row"), ("source",), ()),
    "own_id": (("row", "digest"), ("row",), ()),
    "text": (("source",), ()),
}


def codes_of(*columns: pa.ChunkedArray | pa.Array) -> Rows:
    """Returns a number of each row that is one where all columns are, int64[rows]; null is a value like another."""
    made = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        one = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        coded = one.dictionary_encode(null_encoding="encode")
        values = np.asarray(coded.indices).astype(np.int64)
        made = np.unique(made * (len(coded.dictionary) + 1) + values, return_inverse=True)[1].astype(np.int64)
    return made


def couples(codes: Rows, sides: npt.NDArray[np.int8]) -> tuple[Rows, Rows]:
    """Returns the rows of side 0 and of side 1 that are paired: of equal code, the first with the first, and so on.

    >>> [rows.tolist() for rows in couples(np.array([7, 7, 7, 8]), np.array([0, 1, 1, 0], np.int8))]
    [[0], [1]]
    """
    order = np.lexsort((sides, codes))
    code, side = codes[order], sides[order]
    new = np.ones(len(order), bool)
    new[1:] = (code[1:] != code[:-1]) | (side[1:] != side[:-1])
    begins = np.flatnonzero(new)
    rank = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    again = np.lexsort((side, rank, code))
    code, side, rank, order = code[again], side[again], rank[again], order[again]
    met = (code[1:] == code[:-1]) & (rank[1:] == rank[:-1]) & (side[1:] != side[:-1])
    at = np.flatnonzero(met)
    return order[at], order[at + 1]


def paired(
    table: pa.Table, level: str, agree: Callable[[pa.Table, pa.Table], npt.NDArray[np.bool_]]
) -> tuple[Rows, Rows]:
    """Returns which rows of entries are the same documents, of side 0 and of side 1; all rows of a key are there."""
    sides = np.asarray(table.column("side"))
    keys = codes_of(table.column("key"))
    left = np.arange(len(table))
    found: list[tuple[Rows, Rows]] = []
    for alike in _ALIKE[level]:
        if not len(left):
            break
        part = table.select(["key", *alike]).take(pa.array(left))
        codes = codes_of(*part.columns) if alike else keys[left]
        ones, others = couples(codes, sides[left])
        ones, others = left[ones], left[others]
        if level == "id" and len(ones):
            good = agree(table.take(pa.array(ones)), table.take(pa.array(others)))
            ones, others = ones[good], others[good]
        found.append((ones, others))
        left = np.setdiff1d(left, np.concatenate([ones, others]), assume_unique=True)
    return (
        np.concatenate([np.zeros(0, np.int64), *(ones for ones, _ in found)]),
        np.concatenate([np.zeros(0, np.int64), *(others for _, others in found)]),
    )


@dataclass(frozen=True)
class Agree:
    """Says which pairs of entries of equal id are one document, and not another record at the same place of a file.

    Where ids are of the place of a row alone (`named` is False), something else must be the same.
    """

    named: bool

    def __call__(self, one: pa.Table, two: pa.Table) -> npt.NDArray[np.bool_]:
        equal = {name: pc.equal(one.column(name), two.column(name)) for name in ("url", "own_id", "digest")}
        same, unlike = np.asarray(pc.fill_null(equal.pop("digest"), False)), np.zeros(len(one), bool)
        like = np.full(len(one), self.named)
        for values in equal.values():
            unlike |= ~np.asarray(pc.fill_null(values, True))
            like |= np.asarray(pc.fill_null(values, False))
        made: npt.NDArray[np.bool_] = same | (like & ~unlike)
        return made


def agreement(sides: Iterable[Side]) -> Agree:
    """Returns what says of documents of equal id whether they are the same."""
    return Agree(all(side.is_named for side in sides))


def keyed(table: pa.Table, level: str) -> pa.Table:
    """Returns entries under the key of a level; of one that has none, its id, by which it meets nobody."""
    if level == "url":
        texts = [_joined(url) for url in table.column("url").to_pylist()]
    elif level == "own_id":
        columns = zip(table.column("source").to_pylist(), table.column("own_id").to_pylist(), strict=True)
        texts = [_joined(source or "", own) for source, own in columns]
    else:
        texts = list(_text_keys(table))
    ids = zip(table.column("id").to_pylist(), table.column("side").to_pylist(), strict=True)
    keys = [_digest(f"{level}\0{text}") if text else _alone(level, *one) for text, one in zip(texts, ids, strict=True)]
    return table.set_column(0, table.schema.field("key"), pa.array(keys, ID))


def _alone(level: str, document: bytes, side: int) -> bytes:
    return _digest(f"{level} alone {side}\0{document.hex()}")


def _text_keys(table: pa.Table) -> Iterator[str | None]:
    """Yields what is known of each text: its digest, or of one that left its beginning and length."""
    columns = (table.column(name).to_pylist() for name in ("row", "digest", "sample", "bytes"))
    for row, digest, sample, size in zip(*columns, strict=True):
        if row == STAYED:
            yield digest.hex() if digest else None
        else:
            yield f"{size} {sample}" if sample and size is not None else None


def _joined(*parts: str | None) -> str | None:
    return "\0".join(part for part in parts if part) if parts[-1] else None


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True)
class Match:
    """Pairs entries that meet by the key of a level, and yields the others under that of the next, if there is one.

    What is paired, and after the last level what is not, goes to `told` as rows of the output `changes`.
    """

    level: str
    agree: Agree
    tell: Tell

    def __call__(self, batches: Batches, work: Work) -> Batches:
        place, told = LEVELS.index(self.level), self.tell.over(work.whole[0])
        for table in uncut(batches, "key"):
            entries = whole(table) if self.level == "id" else table
            ones, others = paired(entries, self.level, self.agree)
            _put(work, told(entries.take(pa.array(ones)), entries.take(pa.array(others)), self.level))
            alone = np.setdiff1d(np.arange(len(entries)), np.concatenate([ones, others]), assume_unique=True)
            rest = entries.take(pa.array(alone))
            if place + 1 < len(LEVELS):
                yield from keyed(rest, LEVELS[place + 1]).to_batches() if len(rest) else ()
                continue
            for number in (0, 1):
                own = rest.filter(pc.equal(rest.column("side"), number))
                nobody = pa.table([pa.nulls(len(own), field.type) for field in own.schema], own.schema.names)
                _put(work, told(*((own, nobody) if number == 0 else (nobody, own)), ALONE))


def _put(work: Work, changes: pa.Table) -> None:
    for batch in changes.combine_chunks().to_batches():
        if batch.num_rows:
            work.put("changes", batch)
