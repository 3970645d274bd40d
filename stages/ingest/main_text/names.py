"""What the scanner knows of HTML: elements and what they are, and one table of every name that it looks up.

Names of elements and attributes, words of classes, roles and declarations of styles are looked up by a hash of their
bytes in lower case, each kind with a seed of its own, in one table of open addresses.

Source: WHATWG HTML Standard, sections 13.1.2 (elements), 13.2.5 (tokenization) and 13.2.6 (tree construction).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

# Elements. Number 0 is a run of text, 1 an element that is none of these.
TEXT, OTHER = 0, 1
_NAMES = (
    "html head body article main section div p li dt dd tr td th thead tbody tfoot caption colgroup col table "
    "ul ol dl menu dir h1 h2 h3 h4 h5 h6 pre listing blockquote figure figcaption address center details summary "
    "fieldset legend form header footer nav aside hgroup search dialog hr br wbr a b strong i em u s code kbd samp tt "
    "var sup sub span font q cite small big del ins mark label time abbr img input option optgroup select button "
    "textarea script style noscript iframe noembed noframes xmp title meta link base area embed param source track "
    "svg math template canvas audio video object applet datalist map marquee ruby rt rp progress meter output picture "
    "frameset frame"
).split()
IDS = {name: number for number, name in enumerate(_NAMES, 2)}
HTML, HEAD, BODY, ARTICLE, MAIN, SECTION, DIV, P, LI, DT, DD, TR, TD, TH, THEAD, TBODY, TFOOT, CAPTION = range(2, 20)
COLGROUP, COL, TABLE, UL, OL, DL, MENU, DIR, H1, H2, H3, H4, H5, H6, PRE, LISTING, BLOCKQUOTE, FIGURE = range(20, 38)
FIGCAPTION, ADDRESS, CENTER, DETAILS, SUMMARY, FIELDSET, LEGEND, FORM, HEADER, FOOTER, NAV, ASIDE = range(38, 50)
BR, A, CODE, SUP, INPUT, OPTION, OPTGROUP, BUTTON, SVG, MATH, DIALOG, HR = (
    IDS[name] for name in "br a code sup input option optgroup button svg math dialog hr".split()
)

# What an element is, as bits.
VOID = 1  # has no content
RAW = 2  # its content is no markup, and goes
BLOCK = 4  # begins and ends lines, and ends a paragraph that is open
SCOPE = 8  # what is open outside of it is not ended from within
GONE = 16  # it goes with all that is in it
HEADLIKE = 32  # may stand in the head
BOX = 64  # holds paragraphs
LIST = 128  # holds items or rows
PART = 256  # is part of a list, a table or a quotation, so it means something however short it is
_KINDS = {
    VOID: "area base br col embed hr img input link meta param source track wbr frame",
    RAW: "script style noscript iframe noembed noframes xmp title textarea",
    BLOCK: (
        "html body article main section div p li dt dd tr td th thead tbody tfoot caption table ul ol dl menu dir "
        "h1 h2 h3 h4 h5 h6 pre listing blockquote figure figcaption address center details summary fieldset legend "
        "form header footer nav aside hgroup search dialog hr option optgroup"
    ),
    SCOPE: "html body table td th caption template marquee object applet",
    GONE: (
        "select button svg template canvas audio video object applet datalist map progress meter textarea head "
        "frameset rt rp"
    ),
    BOX: "body article main section div td table tbody center form details fieldset",
    LIST: "ul ol dl table",
    PART: "li dt dd td th blockquote",
    HEADLIKE: "head meta link base title script style noscript template",
}
KINDS = np.zeros(len(_NAMES) + 2, np.int32)
for _bit, _members in _KINDS.items():
    for _name in _members.split():
        KINDS[IDS[_name]] |= _bit
KINDS[OTHER] |= BOX

# Attributes that are read.
CLASS, ID, ROLE, ITEMPROP, STYLE, HIDDEN, ARIA_HIDDEN, HREF = range(1, 9)
ATTRIBUTES = ("class", "id", "role", "itemprop", "style", "hidden", "aria-hidden", "href")

# Seeds of the kinds of names.
ELEMENT_SEED, ATTRIBUTE_SEED, WORD_SEED, ROLE_SEED, PROPERTY_SEED, STYLE_SEED = range(1, 7)

PLACES = 1 << 12
_OFFSET, _PRIME = 0xCBF29CE484222325, 0x100000001B3


class Names(NamedTuple):
    """The table: at the place of a name or behind it, its hash and what it stands for; a hash of 0 ends the search."""

    keys: np.ndarray  # uint64[PLACES]
    values: np.ndarray  # int32[PLACES]


def hash_plainly(seed: int, name: str) -> int:
    """Returns the 64-bit hash of a name: FNV-1a, begun with a byte of the seed.

    Source: Fowler, Noll, Vo; the constants are those of draft-eastlake-fnv, section 5.
    """
    value = _OFFSET
    for byte in (seed, *name.encode()):
        value = (value ^ byte) * _PRIME % 2**64
    return value


def names_of(entries: dict[tuple[int, str], int]) -> Names:
    """Returns the table of entries (seed, name) and what each stands for."""
    keys, values = np.zeros(PLACES, np.uint64), np.zeros(PLACES, np.int32)
    for (seed, name), value in entries.items():
        key = hash_plainly(seed, name)
        place = (key >> 20) % PLACES
        while keys[place] not in (0, key):
            place = (place + 1) % PLACES
        keys[place], values[place] = key, value
    return Names(keys, values)


@njit(cache=True, nogil=True)
def start_of(seed: int) -> np.uint64:
    """Returns the hash before the first byte of a name."""
    return (np.uint64(_OFFSET) ^ np.uint64(seed)) * np.uint64(_PRIME)


@njit(cache=True, nogil=True)
def step(key: np.uint64, byte: int) -> np.uint64:
    """Returns the hash with one byte more."""
    return (key ^ np.uint64(byte)) * np.uint64(_PRIME)


@njit(cache=True, nogil=True)
def look_up(names: Names, key: np.uint64) -> int:
    """Returns what a name stands for, 0 where it is not in the table."""
    place = (key >> np.uint64(20)) & np.uint64(PLACES - 1)
    while names.keys[place] != 0:
        if names.keys[place] == key:
            return int(names.values[place])
        place = (place + np.uint64(1)) & np.uint64(PLACES - 1)
    return 0
