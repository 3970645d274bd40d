"""One document through the rules, in their order: what each did to it, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from stages.repair import articles, copies, lines, markup, mojibake, script
from stages.repair.change import Change
from stages.repair.rules import Rules
from stages.repair.screen import (
    AD,
    BBCODE,
    CONVERTED,
    COPY,
    DATED,
    HEAD,
    MARKUP,
    MIXED,
    PINYIN,
    SCRIPT,
    TAIL,
    TITLE,
    screen,
)

LOST: Final = "mojibake_document"
ORDER: Final[tuple[tuple[int, Callable[[str, Rules], Iterator[Change]]], ...]] = (
    (SCRIPT, markup.without_fragments),
    (MARKUP | BBCODE, markup.mend),
    (PINYIN | CONVERTED | MIXED, script.mend),
    (COPY, copies.mend),
    (DATED, lines.without_dated),
    (AD, lines.without_ads),
    (HEAD, lines.without_head),
    (TAIL, lines.without_tail),
    (TITLE, lines.without_title),
)


@dataclass(frozen=True)
class Mended:
    """The articles of a document after its repairs (one, as a rule), and the repairs; none where it is lost."""

    parts: tuple[str, ...]
    changes: tuple[Change, ...] = ()


def mend(text: str, marks: int, rules: Rules, *, broken: bool, whole: bool) -> Mended:
    """Returns what a document came to. `marks` are those of the screen, `broken` is whether it may be mojibake.

    A text that is not `whole` prose (code, a table, verse) is given its characters back and nothing else.
    """
    changes: list[Change] = []
    if broken and whole and marks & COPY:  # of two copies the undamaged one, before damage is cut out of the other
        changes = list(copies.mend(text, rules))
        text = changes[-1].text if changes else text
    if broken and rules.has("mojibake"):
        made, mended = _characters(text)
        changes += mended
        if text and not made:
            return Mended((), tuple(changes))
        text = made
        marks = _marks(text, rules) if changes else marks
    if not whole:
        return Mended((text,), tuple(changes))
    for wanted, repair in ORDER:
        if marks & wanted:
            for change in repair(text, rules):
                text = change.text
                changes.append(change)
                marks |= _marks(text, rules)
    return Mended(tuple(articles.parts(text, rules)), tuple(changes))


def _characters(text: str) -> tuple[str, list[Change]]:
    made, counts = mojibake.mend(text)
    if not counts:
        return made, []
    stayed = set(made.split("\n"))
    sample = next((line for line in text.split("\n") if line not in stayed), text)
    return made, [Change.of(rule, made, count, sample) for rule, count in counts.items()]


def _marks(text: str, rules: Rules) -> int:
    return int(screen(pa.array([text]), rules)[0])
