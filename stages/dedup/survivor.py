"""Which document of a cluster stays: the first by the declared columns, then by the text's digest, then by id.

Each declared column becomes eight bytes whose order is the declared order, so a cluster sorted by (priority, id) begins
with its survivor, and one pass with the state of one cluster finds who stays, however large the cluster is.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ConfigError, PlanError

LENGTH: Final = "length"
LAST: Final = np.uint64(2**64 - 1)
DIGEST_BYTES: Final = 16

Declared = Sequence[str | Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class Preference:
    """Small values of a column first, or large ones (`descending`), or these `values` in order; missing ones last."""

    column: str
    descending: bool = False
    values: tuple[str, ...] = ()


def preferences(declared: Declared | None, documents: pa.Schema) -> tuple[Preference, ...]:
    """Returns what `survivor:` of the config says; without it quality, length and age, as far as there are columns.

    Raises:
        ConfigError: an item is not a column, or text is to be sorted by size.
        PlanError: no step before makes the column.
    """
    if declared is None:
        usual = (Preference("quality", True), Preference(LENGTH, True), Preference("crawl_time"))
        return tuple(item for item in usual if item.column == LENGTH or item.column in documents.names)
    return tuple(_preference(item, documents) for item in declared)


def _preference(item: str | Mapping[str, Sequence[str]], documents: pa.Schema) -> Preference:
    if isinstance(item, str):
        wanted = Preference(item.removeprefix("-"), item.startswith("-"))
    elif len(item) == 1:
        ((column, values),) = item.items()
        wanted = Preference(column, values=tuple(values))
    else:
        raise ConfigError(f"survivor: {dict(item)} names {len(item)} columns; write one a line of the list")
    if wanted.column == LENGTH:
        if wanted.values:
            raise ConfigError("survivor: length is a number of characters; write length or -length")
        return wanted
    if wanted.column not in documents.names:
        near = difflib.get_close_matches(wanted.column, [LENGTH, *documents.names], 1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise PlanError(f"survivor: no earlier step makes a column '{wanted.column}'{hint}")
    kind = documents.field(wanted.column).type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if is_text != bool(wanted.values) or not (is_text or _is_number(kind)):
        example = f"{{{wanted.column}: [best, next best]}}" if is_text else f"{wanted.column} or -{wanted.column}"
        raise ConfigError(f"survivor: column '{wanted.column}' holds {kind}; write {example}, or choose another column")
    return wanted


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def priority_type(order: Sequence[Preference]) -> pa.DataType:
    """Returns the type of `priorities` for this order."""
    return pa.binary(8 * len(order) + DIGEST_BYTES)


def priorities(batch: pa.RecordBatch, order: Sequence[Preference]) -> pa.FixedSizeBinaryArray:
    """Returns bytes whose order is the declared one, then that of `text_digest`; one a row of facts."""
    ranks = [_ranks(batch.column(item.column), item) for item in order]
    digests = np.frombuffer(
        b"".join(batch.column("text_digest").fill_null(bytes(DIGEST_BYTES)).to_pylist()), np.uint8
    ).reshape(-1, DIGEST_BYTES)
    parts = [rank.astype(">u8").view(np.uint8).reshape(-1, 8) for rank in ranks]
    content = np.concatenate([*parts, digests], axis=1)
    return pa.FixedSizeBinaryArray.from_buffers(
        priority_type(order), len(content), [None, pa.py_buffer(content.tobytes())]
    )


def _ranks(column: pa.Array, wanted: Preference) -> npt.NDArray[np.uint64]:
    """Returns uint64[rows] that sort as `wanted` says; nulls and NaN last in either direction."""
    if wanted.values:
        places = pc.index_in(column, pa.array(wanted.values, column.type))
        return np.asarray(places.fill_null(len(wanted.values)), dtype=np.uint64)
    missing = np.asarray(pc.is_null(column, nan_is_null=True))
    if pa.types.is_floating(column.type):
        bits = (np.asarray(column.fill_null(0), dtype=np.float64) + 0.0).view(np.uint64)  # -0.0 becomes 0.0
        negative = bits >> np.uint64(63) != 0
        rank = np.where(negative, ~bits, bits | np.uint64(1 << 63))
    elif pa.types.is_uint64(column.type):
        rank = np.asarray(column.fill_null(0))
    else:
        rank = np.asarray(column.cast(pa.int64()).fill_null(0)).view(np.uint64) ^ np.uint64(1 << 63)
    return np.where(missing, LAST, ~rank if wanted.descending else rank)
