"""Values that many rows share: how long they are, and so how many rows of a Parquet file are decoded at once.

A dictionary holds a value once however many rows refer to it, and a prefix encoding repeats one in no bytes: without a
bound, a file of some hundred bytes is a batch of gigabytes.

Source: Apache Parquet format 2.11, Encodings (RLE_DICTIONARY, DELTA_BYTE_ARRAY).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

UNKNOWN_ROWS = 8  # decoded at once where it is not known how long a shared value may be

Reopen = Callable[[Sequence[str]], pq.ParquetFile]


class Shared:
    """The leaf columns of text and bytes, among those that are read of a Parquet file, whose rows may share values.

    `reopen` opens the file again with leaf columns that are read as dictionaries. Their encodings are not asked for:
    pyarrow 26.0.1 aborts the process where those fields of a footer are damaged.
    """

    def __init__(self, held: pq.ParquetFile, columns: Sequence[str], reopen: Reopen) -> None:
        leaves = [held.schema.column(place) for place in range(len(held.schema))]
        self.paths = [
            leaf.path
            for leaf in leaves
            if leaf.physical_type == "BYTE_ARRAY" and any(f"{leaf.path}.".startswith(f"{name}.") for name in columns)
        ]
        self.held = reopen(self.paths) if self.paths else None

    def rows(self, number: int, room: int) -> int:
        """Returns how many rows of a row group have at most `room` bytes of shared values, at least 1.

        A column has one dictionary in a row group, of which its first row tells; of one without, it tells its length.
        """
        if self.held is None:
            return room
        try:
            first = next(self.held.iter_batches(1, row_groups=[number], columns=self.paths, use_threads=False), None)
            longest = sum(map(longest_shared, first.columns)) if first else 0
        except (OSError, pa.ArrowException):  # damaged, or of another encoding than plain and dictionary
            return UNKNOWN_ROWS
        return max(1, room // max(longest, 1))


def longest_shared(column: pa.Array) -> int:
    """Returns how long the longest value is (bytes) that rows of a column may share; 0 where none is shared."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _longest(column.dictionary)
    if pa.types.is_struct(kind):
        return max((longest_shared(column.field(place)) for place in range(kind.num_fields)), default=0)
    if pa.types.is_map(kind):
        return max(longest_shared(column.keys), longest_shared(column.items))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return longest_shared(column.values)
    return 0


def _longest(values: pa.Array) -> int:
    if not is_text(values.type):
        return 0
    return pc.max(pc.binary_length(values.cast(pa.large_binary()))).as_py() or 0


def is_text(kind: pa.DataType) -> bool:
    """Says whether values of a type are text or bytes of any length."""
    return any(
        check(kind)
        for check in (
            *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
            *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
        )
    )
