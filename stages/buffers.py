"""Arrow text as numba reads it: the bytes of a column and where each value lies in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def utf8(text: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns the UTF-8 of a string column, uint8[bytes], and where values begin and end, int64[values + 1].

    Null is as empty text. Both are read-only views of the column where it is `large_string` without nulls.
    """
    text = text.fill_null("") if text.null_count else text
    text = text if pa.types.is_large_string(text.type) else text.cast(pa.large_string())
    _, places, content = text.buffers()
    data = np.frombuffer(content, np.uint8) if content else np.zeros(0, np.uint8)
    held = np.frombuffer(places, np.int64) if places else np.zeros(len(text) + 1, np.int64)
    offsets = held[text.offset : text.offset + len(text) + 1]
    data.flags.writeable = offsets.flags.writeable = False  # always: one specialisation of each kernel
    return data, offsets


def characters(text: str, places: Sequence[int]) -> list[int]:
    """Returns places in the UTF-8 of a text (bytes, ascending) as places in the text (characters), in one pass.

    >>> characters("a字b", [1, 4])
    [1, 2]
    """
    if text.isascii():
        return list(places)
    data = text.encode()
    made, last, amount = [], 0, 0
    for place in places:
        amount += len(data[last:place].decode())
        last = place
        made.append(amount)
    return made
