"""Terms by category, as a trie that a kernel walks: ours from `terms.yaml`, and lists that a user names.

A list of a user is text, one term a line; what follows a tab is its weight (1 if there is none), `#` begins a comment.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from datapipe import ConfigError, Resource, resource
from stages.dedup import fold

SHIPPED: Final = Path(__file__).with_name("terms.yaml")
EXEMPT, CONTEXT, ADULT, SPAM, INSULT = range(5)
CATEGORIES: Final = ("exempt", "context", "adult", "spam", "insult")
OURS: Final = len(CATEGORIES)  # the lists of a user come behind
TELLING: Final = 2  # a weight with which a term is among the distinct ones
LONGEST: Final = 48  # characters of a term

# Classes of characters.
BREAK: Final = 0  # ends a term: punctuation, line ends
GAP: Final = 1  # may stand between two Han of a term, and does between words: spaces, hyphens, *, joiners
WORD: Final = 2  # letters and digits of scripts with spaces
SINGLE: Final = 3  # Han, kana, …
STARTS: Final = 1 << 16
GAPS: Final = " -_.*·|/+~^#'\u00a0\u3000\u2010\u2011\u2013•★☆●"


@dataclass(frozen=True)
class Term:
    """A term in its folded form, words with one space between; `weight` in quarters of a hit."""

    text: str
    category: int
    weight: int


class Trie(NamedTuple):
    """Terms as the kernel reads them. Node 0 is the root, and stands for `none` elsewhere.

    `entry[code point]` is class | (node that its folded form leads to from the root) << 2; `folded[code point]` that
    form. Other edges are in `edges` (node << 21 | code point, 0 where free) and `targets`, by hash. `held[node]` is the
    first term (its number + 1) that ends there, `further[term]` the next. `starts` says by a hash which
    terms there may be (bits): by the first two characters of one without spaces a longer one (1), or of two (2), by the
    first three that one (4); by the first word one of words (8).
    """

    entry: NDArray[np.int32]
    folded: NDArray[np.uint32]
    edges: NDArray[np.uint64]
    targets: NDArray[np.int32]
    starts: NDArray[np.uint8]
    held: NDArray[np.int32]
    further: NDArray[np.int32]
    category: NDArray[np.int32]
    weight: NDArray[np.int32]


def shipped() -> Resource:
    """Returns our own terms, with their digest."""
    return resource(str(SHIPPED))


@functools.lru_cache(maxsize=4)
def load(ours: Resource, lists: tuple[Resource, ...], table: Resource) -> Trie:
    """Returns the trie of our terms and the lists of a user, folded by a table of `stages.dedup.fold`."""
    return trie(terms_of(ours, lists, table), table)


def terms_of(ours: Resource, lists: tuple[Resource, ...], table: Resource) -> tuple[Term, ...]:
    """Returns all terms, none twice in a category.

    Raises:
        ConfigError: a file holds something else.
    """
    found: dict[tuple[str, int], int] = {}
    for text, category, weight in _ours(ours):
        found.setdefault((folded(text, table), category), weight)
    for number, file in enumerate(lists):
        for text, weight in _list(file):
            found.setdefault((folded(text, table), OURS + number), weight)
    return tuple(Term(text, category, weight) for (text, category), weight in found.items() if text)


def _ours(file: Resource) -> Iterable[tuple[str, int, int]]:
    for entry in yaml.safe_load(file.read())["terms"]:
        for text in entry["terms"].split("|"):
            yield text.strip(), CATEGORIES.index(entry["category"]), 4 * entry["weight"]


def _list(file: Resource) -> Iterable[tuple[str, int]]:
    try:
        lines = file.read().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file.path}: is not UTF-8 (byte {error.start}); save the list as UTF-8") from error
    for number, line in enumerate(lines, 1):
        text, _, weight = line.partition("#")[0].strip().partition("\t")
        if not text:
            continue
        if len(text) > LONGEST:
            raise ConfigError(f"{file.path}:{number}: a term of {len(text)} characters; at most {LONGEST}")
        try:
            value = float(weight) if weight.strip() else 1.0
        except ValueError:
            value = math.nan
        if not 0 < value <= 100:
            raise ConfigError(f"{file.path}:{number}: weight '{weight.strip()}' is no number above 0 and at most 100")
        yield text, max(1, round(4 * value))


def folded(text: str, table: Resource) -> str:
    """Returns a term as it is compared: folded, with one space between two words.

    >>> folded("Lock-Free  ＡＢＣ", fold.fold_table()), folded("娛樂 城", fold.fold_table())
    ('lock free abc', '娱乐城')
    """
    made: list[str] = []
    classes, forms = _classes(table), fold.load(table).table
    last, gap = BREAK, False
    for letter in text:
        code = ord(letter)
        kind = int(classes[code]) if code < len(classes) else BREAK
        if kind < WORD:
            gap = True
            continue
        made += [" "] if gap and made and kind == last == WORD else []
        made.append(chr(int(forms[code]) & fold.CODE_MASK))
        last, gap = kind, False
    return "".join(made)


@functools.lru_cache(maxsize=4)
def _classes(table: Resource) -> NDArray[np.int32]:
    """Returns the class of each code point, int32[CODE_POINTS]."""
    kinds = fold.load(table).table >> fold.CODE_BITS
    classes = np.full(len(kinds), BREAK, np.int32)
    classes[(kinds == fold.IGNORED) | (kinds == fold.MARK)] = GAP
    classes[kinds == fold.WORD] = WORD
    classes[kinds == fold.SINGLE] = SINGLE
    classes[[ord(letter) for letter in GAPS]] = GAP
    classes.flags.writeable = False
    return classes


def trie(terms: Iterable[Term], table: Resource) -> Trie:
    """Returns the terms as a trie."""
    terms = tuple(terms)
    nodes: list[dict[int, int]] = [{}]
    held, further = [0], [0] * len(terms)
    for number, term in enumerate(terms):
        node = 0
        for letter in term.text:
            target = nodes[node].get(ord(letter))
            if target is None:
                target = len(nodes)
                nodes[node][ord(letter)] = target
                nodes.append({})
                held.append(0)
            node = target
        further[number], held[node] = held[node], number + 1
    edges, targets = _edges({(node, code): to for node, held_by in enumerate(nodes) for code, to in held_by.items()})
    forms = fold.load(table).table & np.uint32(fold.CODE_MASK)
    classes = _classes(table)
    roots = np.zeros(fold.CODE_POINTS + 1, np.int32)
    for code, target in nodes[0].items():
        roots[code] = target
    entry = classes | np.where(classes >= WORD, roots[np.minimum(forms, fold.CODE_POINTS)] << 2, 0).astype(np.int32)
    made = Trie(
        entry,
        forms,
        edges,
        targets,
        _starts(terms, nodes[0], classes),
        np.array(held, np.int32),
        np.array([*further, 0], np.int32),
        np.array([*(term.category for term in terms), 0], np.int32),
        np.array([*(term.weight for term in terms), 0], np.int32),
    )
    for array in made:
        array.flags.writeable = False
    return made


def _starts(terms: Iterable[Term], roots: Mapping[int, int], classes: NDArray[np.int32]) -> NDArray[np.uint8]:
    starts = np.zeros(STARTS, np.uint8)
    for term in terms:
        first = roots[ord(term.text[0])]
        if classes[ord(term.text[0])] == WORD:
            key = first
            for letter in takewhile(lambda one: classes[ord(one)] == WORD, term.text[1:]):
                key = key * 33 + ord(letter)
            starts[key % STARTS] |= 8
        else:
            pair = first * 7919 + 31 * ord(term.text[1:2] or "\0")
            starts[pair % STARTS] |= 1 if len(term.text) > 2 else 2
            starts[(pair * 31 + ord(term.text[2:3] or "\0")) % STARTS] |= 4
    return starts


def _edges(edges: Mapping[tuple[int, int], int]) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    size = 16
    while size < 2 * len(edges):
        size *= 2
    keys, targets = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    for (node, code), target in edges.items():
        if node == 0:
            continue
        key = node << fold.CODE_BITS | code
        place = slot(key, size)
        while keys[place]:
            place = (place + 1) % size
        keys[place], targets[place] = key, target
    return keys, targets


def slot(key: int, size: int) -> int:
    """Returns the place where the search for an edge begins; `size` is a power of two."""
    return (key * 0x9E3779B97F4A7C15 % (1 << 64) >> 40) % size
