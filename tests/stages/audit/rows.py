"""Rows of the frame and of the ledger from plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from datapipe import LEDGER
from stages.audit.frame import FRAME, KEPT


def id_of(number: int) -> bytes:
    """Returns the id of a document."""
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def frame(rows: Sequence[Mapping[str, Any]], **kinds: pa.DataType) -> pa.Table:
    """Returns rows of the frame; what is not said is null, but that a document stayed, and its id.

    `kinds` are the types of columns behind those of FRAME.
    """
    schema = pa.schema([*FRAME, *(pa.field(name, kind) for name, kind in kinds.items())])
    known = [{"id": id_of(number), "stage": KEPT, **row} for number, row in enumerate(rows)]
    if unknown := {name for row in known for name in row} - {*schema.names}:
        raise KeyError(f"the frame has no columns {unknown}")
    return pa.Table.from_pylist(known, schema=schema)


def ledger(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Returns rows of the ledger, sorted by id as it is; what is not said is null, but the id."""
    known = [{"id": id_of(number), **row} for number, row in enumerate(rows)]
    return pa.Table.from_pylist(known, schema=LEDGER).sort_by("id")
