"""What `grams.py` does, as it would be said: n-grams of a text as tokens, and where documents hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stages.decontaminate.grams import LEAD, Width
from stages.dedup.fold import CODE_BITS, CODE_MASK, EXPANDS, MARK, SEPARATOR, SINGLE, WORD, FoldTable

Token = tuple[str, bool, int, int]  # folded, one character of an unspaced script?, bytes of the text from and to


def tokens(text: str, fold: FoldTable) -> list[Token]:
    """Returns the folded view of a text with the places of its tokens."""
    made: list[Token] = []
    word, began, closed, place = "", 0, 0, 0
    for character in text:
        at, place = place, place + len(character.encode())
        for entry in _entries(ord(character), fold):
            kind, letter = entry >> CODE_BITS, chr(entry & CODE_MASK)
            if kind == WORD or (kind == MARK and word):
                began, closed = (began if word else at), place
                word += letter
            elif kind in (SINGLE, SEPARATOR):
                made += [(word, False, began, closed)] if word else []
                made += [(letter, True, at, place)] if kind == SINGLE else []
                word = ""
    return [*made, (word, False, began, closed)] if word else made


def _entries(code: int, fold: FoldTable) -> list[int]:
    entry = int(fold.table[code]) if code < len(fold.table) else SEPARATOR << CODE_BITS
    if entry >> CODE_BITS != EXPANDS:
        return [entry]
    place = entry & CODE_MASK
    return [int(item) for item in fold.expansions[place + 1 : place + 1 + int(fold.expansions[place])]]


def weight(token: Token, width: Width) -> int:
    """Returns what a token adds to a text's weight."""
    return width.words if token[1] else width.characters


def grams(read: Sequence[Token], width: Width) -> Iterator[tuple[int, int]]:
    """Yields the n-grams of tokens, each as the numbers of its first token and of the one behind its last."""
    for first in range(len(read)):
        total = 0
        for last in range(first, len(read)):
            total += weight(read[last], width)
            if total >= width.words * width.characters:
                yield first, last + 1
                break


def search(
    text: str, fold: FoldTable, width: Width, long: Mapping[tuple[str, ...], int], short: Mapping[tuple[str, ...], int]
) -> list[tuple[int, int, int]]:
    """Returns where a text holds an n-gram of `long` or all of an item of `short`: bytes from and to, and its value."""
    read = tokens(text, fold)
    words = [token[0] for token in read]
    found = [(first, last, long.get(tuple(words[first:last]))) for first, last in grams(read, width)]
    for length in {len(item) for item in short if len(item) >= LEAD}:
        found += [
            (first, first + length, short.get(tuple(words[first : first + length])))
            for first in range(len(words) - length + 1)
        ]
    return sorted((read[first][2], read[last - 1][3], value) for first, last, value in found if value is not None)
