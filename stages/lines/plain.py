"""The kernels of `stages.lines` once more, in plain Python: slow, readable, and equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from stages.dedup.plain import WORD_MASK, mix
from stages.dedup.signature import PLACE_STEPS, TOKEN_SEED

SPACES = " \t\n\v\f\r\u3000\u00a0"


class Unit(NamedTuple):
    """A unit: its text with all line breaks, whether it is between fences, blank, or a row of a table."""

    text: str
    is_fenced: bool
    is_blank: bool
    is_row: bool


def units(text: str, unit: Literal["line", "paragraph"]) -> list[Unit]:
    r"""Returns the units of a text, which are all of it.

    >>> [made.text for made in units("a\nb\n\nc", "paragraph")]
    ['a\nb\n\n', 'c']
    """
    made: list[Unit] = []
    in_fence = goes_on = False
    for line in _lines(text):
        rest = line.lstrip(SPACES)
        is_fence = rest[:3] in ("```", "~~~") and len(line.encode()) - len(rest.encode()) <= 3
        fenced = in_fence or is_fence
        if made and unit == "paragraph" and (goes_on or not rest):
            before = made.pop()
            one = (before.is_fenced or fenced, before.is_blank and not rest, before.is_row or rest[:1] == "|")
            made.append(Unit(before.text + line, *one))
        else:
            made.append(Unit(line, fenced, not rest, rest[:1] == "|"))
        in_fence ^= is_fence
        goes_on = bool(rest)
    return made


def _lines(text: str) -> list[str]:
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def byte_hash(content: bytes) -> tuple[int, int]:
    """Returns both halves of the 128-bit hash of a unit's bytes."""
    content = content.strip(b"\r\n")
    first, second = int(TOKEN_SEED), ~int(TOKEN_SEED) & WORD_MASK
    for place in range(0, len(content), 8):
        word = int.from_bytes(content[place : place + 8], "little")
        first = mix((first ^ word) * int(PLACE_STEPS[0]) & WORD_MASK)
        second = mix((second ^ word) * int(PLACE_STEPS[1]) & WORD_MASK)
    return (
        mix((first ^ len(content)) * int(PLACE_STEPS[1]) & WORD_MASK),
        mix((second ^ len(content)) * int(PLACE_STEPS[0]) & WORD_MASK),
    )


def without(held: Sequence[Unit], gone: Sequence[bool]) -> str:
    """Returns a text without some of its units; of the blank lines around one, no more stay than were on one side."""
    kept: list[Unit] = []
    pending = False
    for unit, leaves in zip(held, gone, strict=True):
        if leaves:
            pending = True
        elif not (pending and unit.is_blank and (not kept or kept[-1].is_blank)):
            kept.append(unit)
            pending = False
    while pending and kept and kept[-1].is_blank:
        kept.pop()
    text = "".join(unit.text for unit in kept)
    return text.rstrip("\r\n") if pending else text


def recurring(
    documents: Sequence[Sequence[object]], *, least: int, keep: Literal["first", "none"], counted: str
) -> list[list[bool]]:
    """Returns which units leave: documents (their units' keys, None for what is not compared) come best first."""
    amounts: Counter[object] = Counter()
    for document in documents:
        amounts.update(set(document) if counted == "documents" else list(document))
    seen: set[object] = set()
    made = []
    for document in documents:
        leaves = []
        for key in document:
            leaves.append(key is not None and amounts[key] >= least and (keep == "none" or key in seen))
            seen.add(key)
        made.append(leaves)
    return made
