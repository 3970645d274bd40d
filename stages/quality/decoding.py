"""UTF-8 as numba reads it: characters forwards and backwards in the bytes of an Arrow buffer, known to be valid."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Number = int | np.int64  # one type to numba


@njit(cache=True, nogil=True)
def character(data: Bytes, at: int) -> tuple[np.int64, int]:
    """Returns the code point of the character that begins at byte `at`, and the byte after it."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, at + 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F, at + 2
    second = np.int64(data[at + 1]) & 0x3F
    third = np.int64(data[at + 2]) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third, at + 3
    return (first & 0x07) << 18 | second << 12 | third << 6 | np.int64(data[at + 3]) & 0x3F, at + 4


@njit(cache=True, nogil=True)
def before(data: Bytes, at: int) -> int:
    """Returns the byte at which the character begins that ends before byte `at`."""
    at -= 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return at
