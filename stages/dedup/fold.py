"""The folded view of a text: what is compared when documents are deduplicated, and never stored as text.

Each character is folded by a frozen table (compatibility forms, case, Traditional to Simplified; see
make_fold_table.py) and is of one of these kinds:

    SEPARATOR   ends a word: spaces, punctuation, symbols, emoji
    IGNORED     as if it were not there: joiners, variation selectors, soft hyphens
    MARK        belongs to the word that is open, otherwise ignored: combining marks
    WORD        a letter or digit of a script that puts spaces between words
    SINGLE      a letter of a script that does not (Han, kana, Thai, ...): a token of its own
    EXPANDS     becomes several characters, each of a kind above

The folded view is the sequence of tokens: runs of WORD and MARK, and SINGLE characters. So neither punctuation nor the
spaces around Han text are in it, while `ab c` and `a bc` differ.
"""

from __future__ import annotations

import functools
import json
import lzma
import os
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from datapipe import Resource, resource

SEPARATOR: Final = 0
IGNORED: Final = 1
MARK: Final = 2
WORD: Final = 3
SINGLE: Final = 4
EXPANDS: Final = 5
CODE_BITS: Final = 21
CODE_MASK: Final = (1 << CODE_BITS) - 1
CODE_POINTS: Final = 0x33480  # the last assigned ideograph and some more; what lies above is a separator
PATH: Final = os.path.join(os.path.dirname(__file__), "fold_table.xz")

Words = npt.NDArray[np.uint32]


class FoldTable(NamedTuple):
    """`table[code point]` is kind << 21 | folded code point, or EXPANDS << 21 | place in `expansions`.

    At that place stands the number of entries, then the entries themselves.
    """

    table: Words
    expansions: Words


def fold_table() -> Resource:
    """Returns the table that the package ships, with its digest."""
    return resource(PATH)


@functools.lru_cache(maxsize=4)
def load(file: Resource) -> FoldTable:
    """Returns the arrays of a table, uint32[CODE_POINTS] and uint32[expansions], read-only."""
    header, _, content = lzma.decompress(file.read()).partition(b"\n")
    numbers: Words = np.frombuffer(content, np.dtype("<u4")).astype(np.uint32)
    differences, expansions = np.split(numbers, [len(numbers) - json.loads(header)["expansions"]])
    table: Words = np.add(differences, np.arange(len(differences)), dtype=np.uint32, casting="unsafe")
    table.flags.writeable = expansions.flags.writeable = False
    return FoldTable(table, expansions)


def tokens(text: str, fold: FoldTable) -> list[str]:
    """Returns the folded view of a text as its tokens; the plain twin of the tokens that the kernel hashes.

    >>> tokens("ＡＢＣ, 軟體 don't", load(fold_table()))
    ['abc', '软', '体', 'don', 't']
    """
    made: list[str] = []
    word = ""
    for entry in (entry for character in text for entry in _entries(ord(character), fold)):
        kind, letter = entry >> CODE_BITS, chr(entry & CODE_MASK)
        if kind == WORD or (kind == MARK and word):
            word += letter
        elif kind in (SINGLE, SEPARATOR):
            made += [word] if word else []
            made += [letter] if kind == SINGLE else []
            word = ""
    return [*made, word] if word else made


def _entries(code: int, fold: FoldTable) -> list[int]:
    entry = int(fold.table[code]) if code < len(fold.table) else 0
    if entry >> CODE_BITS != EXPANDS:
        return [entry]
    place = entry & CODE_MASK
    return [int(item) for item in fold.expansions[place + 1 : place + 1 + int(fold.expansions[place])]]
