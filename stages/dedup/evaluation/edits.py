"""Controlled edits: from a real text a copy as the web makes them.

No labelled set of Chinese near duplicates exists, so recall is measured on copies that are made: in another script or
width, with characters replaced, paragraphs moved or lost, advertisements put in, quoted in another text. What is drawn
follows from (seed, document, kind, degree) alone.
"""

from __future__ import annotations

import functools
import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import opencc

from stages.dedup.evaluation.phrases import ADVERTISEMENTS, COPYRIGHT, FOOTER, NAVIGATION, PREFIX, SUFFIX

Item = TypeVar("Item")

_SINGLE = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
HAN: Final = re.compile(f"[{_SINGLE}]")
UNIT: Final = re.compile(f"[{_SINGLE}]|[^\\W_{_SINGLE}]+")
PIECE: Final = re.compile(f"[{_SINGLE}]|[^\\s{_SINGLE}]+|\\s+")
SENTENCE: Final = re.compile(r"(?<=[。！？；])|(?<=[.!?;])\s+")
BORDER: Final = re.compile(f"(?<=[{_SINGLE}])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[{_SINGLE}])")
HAN_SHARE: Final = 0.3  # of the letters, from which on a text gets Chinese boilerplate
FEW_LINES: Final = 4  # below that a text is cut at sentences, not at lines
MARKS: Final = dict(
    zip("，。！？；：（）“”‘’、", (",", ".", "!", "?", ";", ":", "(", ")", '"', '"', "'", "'", ","), strict=True)
)
WIDE: Final = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
NARROW: Final = {wide: code for code, wide in WIDE.items()}


class Draw:
    """Choices that follow from a key alone: the same in every process, for ever."""

    def __init__(self, *key: object) -> None:
        digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=8).digest()
        self.random = random.Random(int.from_bytes(digest, "big")).random  # the one method that Python keeps as it is

    def below(self, amount: int) -> int:
        """Returns a number from 0 to `amount` - 1."""
        return int(self.random() * amount)

    def of(self, items: Sequence[Item]) -> Item:
        """Returns one of the items."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """Returns the items in another order."""
        made = list(items)
        for last in range(len(made) - 1, 0, -1):
            place = self.below(last + 1)
            made[last], made[place] = made[place], made[last]
        return made

    def places(self, length: int, amount: int) -> list[int]:
        """Returns `amount` different places below `length`, in ascending order."""
        return sorted(self.shuffled(range(length))[:amount])


@dataclass(frozen=True)
class Edit:
    """A kind of edit, and the degrees in which it is made; `apply(text, degree, draw, other)` returns the copy.

    `unit` is what degrees count: a share of the text, or places, lines, characters; empty where there is one degree.
    """

    kind: str
    apply: Callable[[str, float, Draw, str], str]
    degrees: tuple[float, ...] = (1.0,)
    unit: str = ""

    def label(self, degree: float) -> str:
        """Returns the degree as a reader wants it."""
        return f"{degree:.0%}" if self.unit == "share" else f"{degree:g} {self.unit}" if self.unit else ""


def is_chinese(text: str) -> bool:
    """Returns whether enough of a text's letters are Han or kana that its boilerplate would be Chinese."""
    letters = sum(map(str.isalpha, text))
    return len(HAN.findall(text)) > HAN_SHARE * letters


def blocks(text: str) -> list[str]:
    """Returns a text's paragraphs: its lines, or its sentences where there are few lines."""
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) >= FEW_LINES:
        return lines
    return [part for line in lines for part in SENTENCE.split(line) if part.strip()]


# The edits


@functools.cache
def _converter(name: str) -> Callable[[str], str]:
    convert: Callable[[str], str] = opencc.OpenCC(name).convert
    return convert


def _converted(name: str) -> Callable[[str, float, Draw, str], str]:
    def apply(text: str, degree: float, draw: Draw, other: str) -> str:
        return _converter(name)(text) if HAN.search(text) else text

    return apply


def _translated(table: dict[int, int]) -> Callable[[str, float, Draw, str], str]:
    def apply(text: str, degree: float, draw: Draw, other: str) -> str:
        return text.translate(table)

    return apply


def _other_marks(text: str, degree: float, draw: Draw, other: str) -> str:
    """Writes Chinese punctuation as English, or English as Chinese."""
    back = {ord(value): ord(key) for key, value in reversed(MARKS.items())}
    return text.translate({ord(key): value for key, value in MARKS.items()} if HAN.search(text) else back)


def _no_marks(text: str, degree: float, draw: Draw, other: str) -> str:
    return re.sub(r"[^\w\s]", "", text)


def _spaced(text: str, degree: float, draw: Draw, other: str) -> str:
    """Puts a space wherever Chinese meets Latin."""
    return BORDER.sub(" ", text)


def _upper(text: str, degree: float, draw: Draw, other: str) -> str:
    return text.upper()


def _rewrapped(text: str, degree: float, draw: Draw, other: str) -> str:
    """Breaks lines as an extractor may: between words or characters, so that none has over `degree` characters."""
    made, column = [], 0
    for piece in PIECE.findall(text):
        if piece.isspace():
            made.append("\n" if "\n\n" in piece else " ")
            column = 0 if made[-1] == "\n" else column + 1
            continue
        if column and column + len(piece) > degree:
            made.append("\n")
            column = 0
        made.append(piece)
        column += len(piece)
    return "".join(made)


def _replaced(text: str, degree: float, draw: Draw, other: str) -> str:
    """Replaces a share of the units (Han characters, or words), scattered, by others of the text."""
    units = list(UNIT.finditer(text))
    return _with_others(text, [units[place] for place in draw.places(len(units), _some(degree, len(units)))], draw)


def _replaced_run(text: str, degree: float, draw: Draw, other: str) -> str:
    """Replaces the units of one run."""
    units = list(UNIT.finditer(text))
    amount = _some(degree, len(units))
    first = draw.below(len(units) - amount + 1)
    return _with_others(text, units[first : first + amount], draw)


def _with_others(text: str, chosen: Sequence[re.Match[str]], draw: Draw) -> str:
    known = sorted(set(UNIT.findall(text)))
    made, end = [], 0
    for unit in chosen:
        wanted = draw.of(known)
        while wanted == unit[0] and len(known) > 1:
            wanted = draw.of(known)
        made += [text[end : unit.start()], wanted]
        end = unit.end()
    return "".join([*made, text[end:]])


def _some(degree: float, amount: int) -> int:
    return min(amount, max(1, round(degree * amount)))


def _shuffled(text: str, degree: float, draw: Draw, other: str) -> str:
    """Lets a share of the paragraphs change places with one another."""
    parts = blocks(text)
    places = draw.places(len(parts), max(2, round(degree * len(parts)))) if len(parts) > 1 else []
    made = list(parts)
    for place, source in zip(places, [*places[1:], *places[:1]] if degree < 1 else draw.shuffled(places), strict=True):
        made[place] = parts[source]
    return "\n".join(made)


def _dropped(text: str, degree: float, draw: Draw, other: str) -> str:
    parts = blocks(text)
    gone = set(draw.places(len(parts), _some(degree, len(parts)))) if len(parts) > 1 else set()
    return "\n".join(part for place, part in enumerate(parts) if place not in gone)


def _truncated(text: str, degree: float, draw: Draw, other: str) -> str:
    return text[: len(text) - max(1, round(degree * len(text)))]


def _boilerplate(text: str, degree: float, draw: Draw, other: str) -> str:
    """Adds a copyright line, then a footer, then navigation."""
    chinese = is_chinese(text)
    above = [NAVIGATION[chinese]] if degree > 2 else []
    below = [FOOTER[chinese]] if degree > 1 else []
    return "\n".join([*above, text, *below, COPYRIGHT[chinese]])


def _advertised(text: str, degree: float, draw: Draw, other: str) -> str:
    """Puts advertisements between paragraphs."""
    parts, offers = blocks(text), draw.shuffled(ADVERTISEMENTS[is_chinese(text)])
    for number, place in enumerate(sorted((draw.below(len(parts) + 1) for _ in range(int(degree))), reverse=True)):
        parts.insert(place, offers[number % len(offers)])
    return "\n".join(parts)


def _quoted(text: str, degree: float, draw: Draw, other: str) -> str:
    """Returns another document in the middle of which stands a share of this one."""
    amount = max(1, round(degree * len(text)))
    start, middle = draw.below(len(text) - amount + 1), len(other) // 2
    return "\n".join([other[:middle], text[start : start + amount], other[middle:]]) if other else text


def _prefixed(text: str, degree: float, draw: Draw, other: str) -> str:
    return f"{PREFIX[is_chinese(text)]}\n{text}"


def _suffixed(text: str, degree: float, draw: Draw, other: str) -> str:
    return f"{text}\n{SUFFIX[is_chinese(text)]}"


QUOTED: Final = "quoted"  # the kind that needs another document
SHARES: Final = (0.01, 0.05, 0.1, 0.2)
PARTS: Final = (0.05, 0.1, 0.25, 0.5)
EDITS: Final = (
    Edit("traditional", _converted("s2t")),
    Edit("taiwan_words", _converted("s2twp")),
    Edit("simplified", _converted("t2s")),
    Edit("wide", _translated(WIDE)),
    Edit("narrow", _translated(NARROW)),
    Edit("marks_changed", _other_marks),
    Edit("marks_dropped", _no_marks),
    Edit("spaces", _spaced),
    Edit("upper_case", _upper),
    Edit("rewrapped", _rewrapped, (20.0, 80.0), "characters"),
    Edit("replaced", _replaced, SHARES, "share"),
    Edit("replaced_run", _replaced_run, SHARES, "share"),
    Edit("shuffled", _shuffled, (0.25, 1.0), "share"),
    Edit("dropped", _dropped, PARTS, "share"),
    Edit("truncated", _truncated, PARTS, "share"),
    Edit("boilerplate", _boilerplate, (1.0, 2.0, 3.0), "parts"),
    Edit("advertisements", _advertised, (1.0, 3.0), "places"),
    Edit("prefix", _prefixed),
    Edit("suffix", _suffixed),
    Edit(QUOTED, _quoted, (0.5, 1.0), "share"),
)


def edited(text: str, edit: Edit, degree: float, *, document: str, seed: int, other: str = "") -> str | None:
    """Returns the copy of a text, or None where the edit finds nothing to change.

    >>> edited("软件 software", EDITS[0], 1.0, document="a", seed=1)
    '軟件 software'
    """
    if not UNIT.search(text):
        return None
    made = edit.apply(text, degree, Draw(seed, document, edit.kind, degree), other)
    return made if made != text and made.strip() else None
