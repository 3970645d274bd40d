"""UTF-8 as numba reads it, in the bytes of an Arrow buffer, known to be valid: by character, or eight bytes at a time.

Source: the tests of eight bytes at once are those of Warren, "Hacker's Delight", 2nd edition, section 6-1.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stages.vectors import bits_set, first_bit, load_eight

Bytes = NDArray[np.uint8]
Number = int | np.int64  # one type to numba
ONES = np.uint64(0x0101010101010101)
HIGH = np.uint64(0x8080808080808080)  # the highest bit of each byte; tests of bytes leave nothing else
_LOW = np.uint64(0x7F7F7F7F7F7F7F7F)
_CONTINUING = np.uint64(1)
_FROM_A, _AFTER_Z = np.uint64(0x3F3F3F3F3F3F3F3F), np.uint64(0x2525252525252525)  # 0x80 less 'A', less 'Z' + 1
_FROM_0, _AFTER_9 = np.uint64(0x5050505050505050), np.uint64(0x4646464646464646)
_CASE = np.uint64(0x2020202020202020)
_EIGHT, _SEVEN, _TOP_BYTE = np.uint64(8), np.uint64(7), np.uint64(56)


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


@njit(cache=True, nogil=True)
def eight(data: Bytes, at: int, stop: int) -> np.uint64:
    """Returns data[at:at + 8] as one number, little-endian, with zeros for the bytes at and after `stop`."""
    if at + 8 <= stop:
        return np.uint64(load_eight(data, at))
    number = np.uint64(0)
    for place in range(at, stop):
        number |= np.uint64(data[place]) << np.uint64(8 * (place - at))
    return number


@njit(cache=True, nogil=True)
def marked(bits: np.uint64) -> int:
    """Returns how many bytes are marked."""
    return int(bits_set(bits))


@njit(cache=True, nogil=True)
def first_marked(bits: np.uint64) -> int:
    """Returns the first byte that is marked, 8 if none is."""
    return int(first_bit(bits) >> 3)


@njit(cache=True, nogil=True)
def first_equal(number: np.uint64, eight_times: np.uint64) -> np.uint64:
    """Marks the first byte of `number` that is the byte of which `eight_times` has eight; later marks may be wrong."""
    different = number ^ eight_times
    return (different - ONES) & ~different & HIGH


@njit(cache=True, nogil=True)
def continuing_bytes(number: np.uint64) -> np.uint64:
    """Marks the bytes that begin no character."""
    return number & ~(number << _CONTINUING) & HIGH


@njit(cache=True, nogil=True)
def capital_bytes(number: np.uint64) -> np.uint64:
    """Marks A to Z."""
    low = number & _LOW
    return (low + _FROM_A) & ~(low + _AFTER_Z) & ~number & HIGH


@njit(cache=True, nogil=True)
def letter_bytes(number: np.uint64) -> np.uint64:
    """Marks A to Z and a to z."""
    return capital_bytes(number & ~_CASE)


@njit(cache=True, nogil=True)
def digit_bytes(number: np.uint64) -> np.uint64:
    """Marks 0 to 9."""
    low = number & _LOW
    return (low + _FROM_0) & ~(low + _AFTER_9) & ~number & HIGH


@njit(cache=True, nogil=True)
def first_bytes(number: np.uint64, amount: Number) -> np.uint64:
    """Returns the first `amount` bytes, zeros for the others; `amount` is 0 to 7."""
    return number & ((np.uint64(1) << (_EIGHT * np.uint64(amount))) - np.uint64(1))
