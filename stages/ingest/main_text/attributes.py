"""The bytes of tags: names, and what attributes say of their element.

Source: WHATWG HTML Standard, sections 13.2.5.32 to 13.2.5.39.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.ingest.main_text.names import (
    ARIA_HIDDEN,
    ATTRIBUTE_SEED,
    CLASS,
    HIDDEN,
    HREF,
    ID,
    PROPERTY_SEED,
    ROLE,
    ROLE_SEED,
    STYLE,
    STYLE_SEED,
    WORD_SEED,
    Names,
    look_up,
    start_of,
    step,
)
from stages.ingest.main_text.words import AWAY, CONTENT, LINK, NOT, UNSEEN

SLUG_HYPHENS = 3  # an id with so many is made of a heading, and its words are not about the element


@njit(cache=True, nogil=True)
def is_space(byte: int) -> bool:
    """Says whether a byte is white space of HTML."""
    return byte == 32 or byte == 10 or byte == 9 or byte == 13 or byte == 12


@njit(cache=True, nogil=True)
def is_letter(byte: int) -> bool:
    """Says whether a byte is a letter of ASCII."""
    return 97 <= (byte | 32) <= 122


@njit(cache=True, nogil=True)
def lower(byte: int) -> int:
    """Returns a byte, a capital of ASCII as its small letter."""
    return byte + 32 if 65 <= byte <= 90 else byte


@njit(cache=True, nogil=True)
def name_at(page: np.ndarray, at: int, seed: int) -> tuple[np.uint64, int]:
    """Returns the hash of the name at `at`, and where it ends."""
    key = start_of(seed)
    first = at
    while at < len(page):
        byte = page[at]
        if is_space(byte) or byte == 47 or byte == 62 or (byte == 61 and seed == ATTRIBUTE_SEED and at > first):
            break
        key = step(key, lower(byte))
        at += 1
    return key, at


@njit(cache=True, nogil=True)
def _words(page: np.ndarray, at: int, end: int, names: Names) -> int:
    """Returns what the words of a class or id say."""
    found = here = 0
    start = start_of(WORD_SEED)
    key = pair = whole = start  # the word, it and the one before it, all letters of the class
    before = said = 0
    while at <= end:
        byte = page[at] if at < end else 32
        letter = is_letter(byte)
        if (not letter or (65 <= byte <= 90 and 97 <= before <= 122)) and key != start:
            if said & NOT:
                said = 0
            else:
                said = look_up(names, key)
                here |= said | look_up(names, pair)
            pair = key
            key = start
        if letter:
            key = step(key, lower(byte))
            pair = step(pair, lower(byte))
            whole = step(whole, lower(byte))
        elif is_space(byte):
            here |= look_up(names, whole)
            found |= here & ~CONTENT if here & AWAY else here
            whole = pair = start
            said = here = 0
        before = byte
        at += 1
    return found & ~NOT


@njit(cache=True, nogil=True)
def _hyphens(page: np.ndarray, at: int, end: int) -> int:
    """Returns how many hyphens and underscores there are."""
    found = 0
    for place in range(at, end):
        found += page[place] == 45 or page[place] == 95
    return found


@njit(cache=True, nogil=True)
def _declarations(page: np.ndarray, at: int, end: int, names: Names) -> int:
    """Returns what the declarations of a style say."""
    found = 0
    key = start_of(STYLE_SEED)
    while at < end:
        byte = page[at]
        if byte == 59 or byte == 33:
            found |= look_up(names, key)
            key = start_of(STYLE_SEED)
        elif not is_space(byte):
            key = step(key, lower(byte))
        at += 1
    return found | look_up(names, key)


@njit(cache=True, nogil=True)
def _said(page: np.ndarray, attribute: int, at: int, end: int, names: Names) -> int:
    """Returns the flags that an attribute of the value `page[at:end]` gives its element."""
    if attribute == CLASS or attribute == ID:
        return 0 if attribute == ID and _hyphens(page, at, end) >= SLUG_HYPHENS else _words(page, at, end, names)
    if attribute == STYLE:
        return _declarations(page, at, end, names)
    if attribute == HIDDEN:
        return UNSEEN
    if attribute == HREF:
        return LINK
    if attribute == ARIA_HIDDEN:
        return UNSEEN if end - at == 4 and (page[at] | 32) == 116 else 0
    key = start_of(ROLE_SEED if attribute == ROLE else PROPERTY_SEED)
    while at < end and not is_space(page[at]):
        key = step(key, lower(page[at]))
        at += 1
    return look_up(names, key)


@njit(cache=True, nogil=True)
def attributes_of(page: np.ndarray, at: int, names: Names) -> tuple[int, int]:
    """Returns the flags that the attributes of a tag give, and where the tag ends."""
    end = len(page)
    flags = 0
    while at < end:
        while at < end and (is_space(page[at]) or page[at] == 47):
            at += 1
        if at >= end:
            break
        if page[at] == 62:
            return flags, at + 1
        key, at = name_at(page, at, ATTRIBUTE_SEED)
        first = last = at
        while at < end and is_space(page[at]):
            at += 1
        if at < end and page[at] == 61:
            at += 1
            while at < end and is_space(page[at]):
                at += 1
            if at < end and (page[at] == 34 or page[at] == 39):
                quote = page[at]
                at += 1
                first = at
                while at < end and page[at] != quote:
                    at += 1
                last = at
                at = min(at + 1, end)
            else:
                first = at
                while at < end and not is_space(page[at]) and page[at] != 62:
                    at += 1
                last = at
        attribute = look_up(names, key)
        if attribute != 0:
            flags |= _said(page, attribute, first, last, names)
    return flags, end
