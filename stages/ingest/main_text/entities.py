"""Character references of HTML as a table for the kernel, and their decoding.

Source: WHATWG HTML Standard, sections 13.2.5.72 to 13.2.5.80 (references, the numbers 128 to 159 as windows-1252) and
13.5 (names), through the interpreter's copy `html.entities.html5`.
"""

from __future__ import annotations

from html.entities import html5
from typing import NamedTuple

import numpy as np
from numba import njit

from stages.ingest.main_text.names import hash_plainly, start_of, step

SEED = 0
PLACES = 1 << 13
NAME_BYTES = 33  # the longest name has so many, its semicolon included
REPLACEMENT = 0xFFFD


class Entities(NamedTuple):
    """Names without `&`; those that need no semicolon stand once without it. A key of 0 ends the search."""

    keys: np.ndarray  # uint64[PLACES], hashes of names
    codes: np.ndarray  # int32[PLACES, 2], one character or two
    windows: np.ndarray  # int32[32], what the numbers 128 to 159 mean


def _entities() -> Entities:
    keys, codes = np.zeros(PLACES, np.uint64), np.zeros((PLACES, 2), np.int32)
    for name, text in html5.items():
        key = hash_plainly(SEED, name)
        place = (key >> 20) % PLACES
        while keys[place]:
            place = (place + 1) % PLACES
        keys[place] = key
        codes[place, : len(text)] = [ord(character) for character in text]
    windows = [bytes([byte]).decode("cp1252", "replace") for byte in range(128, 160)]
    characters = [byte if character == "\ufffd" else ord(character) for byte, character in enumerate(windows, 128)]
    return Entities(keys, codes, np.array(characters, np.int32))


ENTITIES = _entities()


@njit(cache=True, nogil=True)
def reference(page: np.ndarray, at: int, end: int, entities: Entities) -> tuple[int, int, int]:
    """Returns the one or two characters that the `&` at `at` stands for (0: none), and where the reference ends.

    An `&` that begins no reference stands for itself.
    """
    if at + 2 < end and page[at + 1] == 35:
        return _number(page, at, end, entities)
    key = start_of(SEED)
    first, second, last = 38, 0, at + 1
    scan = at + 1
    while scan < end and scan - at <= NAME_BYTES:
        byte = page[scan]
        letter = 97 <= (byte | 32) <= 122 or 48 <= byte <= 57
        if not letter and byte != 59:
            break
        key = step(key, byte)
        scan += 1
        place = (key >> np.uint64(20)) & np.uint64(PLACES - 1)
        while entities.keys[place] != 0:
            if entities.keys[place] == key:
                first, second, last = entities.codes[place, 0], entities.codes[place, 1], scan
                break
            place = (place + np.uint64(1)) & np.uint64(PLACES - 1)
        if byte == 59:
            break
    return first, second, last


@njit(cache=True, nogil=True)
def _number(page: np.ndarray, at: int, end: int, entities: Entities) -> tuple[int, int, int]:
    """Returns the character of a numeric reference."""
    hexadecimal = (page[at + 2] | 32) == 120
    scan = first = at + 3 if hexadecimal else at + 2
    code = 0
    while scan < end:
        byte = page[scan]
        if 48 <= byte <= 57:
            digit = byte - 48
        elif hexadecimal and 97 <= (byte | 32) <= 102:
            digit = (byte | 32) - 87
        else:
            break
        code = min(code * (16 if hexadecimal else 10) + digit, 0x110000)
        scan += 1
    if scan == first:
        return 38, 0, at + 1
    if scan < end and page[scan] == 59:
        scan += 1
    if 128 <= code < 160:
        code = entities.windows[code - 128]
    if code == 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000:
        code = REPLACEMENT
    return code, 0, scan
