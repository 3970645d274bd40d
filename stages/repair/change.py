"""What a repair did to a text, and how lines leave it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

SAMPLE_CHARACTERS = 120


@dataclass(frozen=True)
class Change:
    """A text after one rule: the rule, how many characters it took (or changed), and the first of what went."""

    rule: str
    text: str
    characters: int
    sample: str

    @classmethod
    def of(cls, rule: str, text: str, characters: int, sample: str) -> Change:
        """Returns the change with its sample cut to a line of SAMPLE_CHARACTERS."""
        return cls(rule, text, characters, " ".join(sample[: 2 * SAMPLE_CHARACTERS].split())[:SAMPLE_CHARACTERS])


def without_lines(rule: str, lines: list[str], gone: Collection[int]) -> Change:
    r"""Returns the change that takes lines out of a text; of the blank lines around one, no more stay than were there.

    >>> without_lines("ad", ["a", "", "ad", "", "b"], {2}).text
    'a\n\nb'
    """
    kept: list[str] = []
    pending = False  # whether a line has just gone
    for number, line in enumerate(lines):
        if number in gone:
            pending = True
        elif pending and not line.strip() and (not kept or not kept[-1].strip()):
            continue
        else:
            pending = False
            kept.append(line)
    while kept and not kept[-1].strip() and pending:
        kept.pop()
    taken = [lines[number] for number in sorted(gone)]
    return Change.of(rule, "\n".join(kept), sum(map(len, taken)), " / ".join(line.strip() for line in taken))
