"""Phrases that C4 drops lines for, and the filler text that it drops pages for, where their last word ends.

A phrase is words with one space between them, in capitals or not; its last word is a unit of its own, so `terms of
use` is met and `terms of user` is not.

Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", section
2.2, and the lists of its code (tensorflow_datasets, c4_utils), which look for the characters within words too.
"""

import numpy as np
from numba import njit

from stages.quality.contacts import MESSENGERS_LATIN
from stages.quality.decoding import Bytes

LOREM_IPSUM = "lorem ipsum"
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
PHRASES = (LOREM_IPSUM, "javascript", *POLICIES)
LONGEST_WORD = 1000  # characters; a longer one spoils its line
_LENGTHS = np.array([len(phrase) for phrase in PHRASES])
_LAST_WORDS = np.array([len(phrase.split()[-1]) for phrase in PHRASES])
_LETTERS = np.array([list(phrase.ljust(max(map(len, PHRASES))).encode()) for phrase in PHRASES], np.uint8)

_FIRST_LETTERS = np.array([chr(byte).lower() in {phrase[0] for phrase in PHRASES} for byte in range(256)])

# Bit n of an entry: a word of n letters with this byte in first, or second, place may end a phrase, or be a name of
# contacts.py. The highest bit: a word of any great length may matter.
_words = (*(phrase.split()[-1] for phrase in PHRASES), *MESSENGERS_LATIN, "http", "https", "www")
_FIRST, _SECOND = np.full((2, 256), np.iinfo(np.int64).min)
for _word in _words:
    _FIRST[[ord(_word[0]), ord(_word[0].upper())]] |= 1 << len(_word)
    _SECOND[[ord(_word[1]), ord(_word[1].upper())]] |= 1 << len(_word)


@njit(cache=True, nogil=True)
def may_matter(first: np.uint8, second: np.uint8, width: int) -> bool:
    """Returns whether contacts and phrases are looked for at a word of those first bytes and number of characters."""
    return bool((_FIRST[first] & _SECOND[second]) >> min(width, 63) & 1)


@njit(cache=True, nogil=True)
def find_phrase(data: Bytes, start: int, begin: int, end: int) -> int:
    """Returns which of `PHRASES` the word data[begin:end] completes in the document from `start` on, -1 for none."""
    for phrase in range(len(_LENGTHS)):
        at = end - _LENGTHS[phrase]
        if end - begin == _LAST_WORDS[phrase] and at >= start and _stands(data, at, phrase):
            return phrase
    return -1


@njit(cache=True, nogil=True)
def begins_phrase(data: Bytes, at: int, stop: int) -> int:
    """Returns which of `PHRASES` begins at byte `at` of data[:stop], within a word or not, -1 for none."""
    if not _FIRST_LETTERS[data[at]]:
        return -1
    for phrase in range(len(_LENGTHS)):
        if at + _LENGTHS[phrase] <= stop and _stands(data, at, phrase):
            return phrase
    return -1


@njit(cache=True, nogil=True)
def _stands(data: Bytes, at: int, phrase: int) -> bool:
    for place in range(_LENGTHS[phrase]):
        byte = data[at + place]
        if (byte | 32 if 65 <= byte <= 90 else byte) != _LETTERS[phrase, place]:
            return False
    return True
