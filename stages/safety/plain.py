"""The plain twin of `match.py`: terms looked for one by one in a text that is cut into letters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from stages.safety.match import HAN_GAPS, REACH, WIDE, WORD_GAPS
from stages.safety.terms import EXEMPT, GAP, OURS, TELLING, WORD, Term, Trie


class Letter(NamedTuple):
    """A character: its class, its folded form, and its width in halves of weighted length."""

    kind: int
    form: str
    halves: int


def weigh_plainly(text: str, terms: Sequence[Term], trie: Trie, categories: int) -> tuple[list[list[int]], int]:
    """Returns the sums and the length of one text as `weigh` does; of `trie` only the classes and forms are used."""
    letters = [_letter(character, trie) for character in text]
    sums = [[0, 0] for _ in range(categories)]
    until = [0] * categories
    seen: dict[Term, int] = {}
    length = 0
    for start, letter in enumerate(letters):
        length += letter.halves
        if letter.kind < WORD or (letter.kind == WORD and start and letters[start - 1].kind == WORD):
            continue
        ends = [(_end(term.text, letters, start), term) for term in terms if term.text[0] == letter.form]
        for end, term in sorted(((end, term) for end, term in ends if end), key=lambda pair: -pair[0]):
            exempt = EXEMPT < term.category < OURS and start < until[EXEMPT]
            if start < until[term.category] or exempt:
                continue
            until[term.category] = end
            again = term in seen and length - seen[term] < REACH
            sums[term.category][0] += max(1, term.weight // 4) if again else term.weight
            sums[term.category][1] += term not in seen and term.weight >= 4 * TELLING
            if not again:
                seen[term] = length
    return sums, length


def _letter(character: str, trie: Trie) -> Letter:
    code = ord(character)
    known = code < len(trie.entry)
    kind = int(trie.entry[code]) & 3 if known else 0
    wide = 2 if code >= WIDE else 1
    hidden = code <= 32 or (kind == GAP and code >= 0x80)
    return Letter(kind, chr(int(trie.folded[code])) if known else "", 0 if hidden else wide)


def _end(term: str, letters: Sequence[Letter], start: int) -> int:
    """Returns where a term ends that begins at letter `start`, 0 where it does not stand there."""
    at, last = start + 1, letters[start].kind
    for before, letter in pairwise(term):
        if letter == " ":
            continue
        begin = at
        while begin < len(letters) and letters[begin].kind == GAP:
            begin += 1
        if begin == len(letters) or letters[begin].form != letter or letters[begin].kind < WORD:
            return 0
        gaps, words = begin - at, last == WORD == letters[begin].kind
        if gaps > (WORD_GAPS if words else HAN_GAPS) or (before == " ") != (words and gaps > 0):
            return 0
        at, last = begin + 1, letters[begin].kind
    return 0 if last == WORD and at < len(letters) and letters[at].kind == WORD else at
