"""`stages.dedup.judge` once more, in plain Python: every member is compared with all that stay."""

from __future__ import annotations

from collections.abc import Sequence, Set
from fractions import Fraction


def judged(
    members: Sequence[tuple[object, Set[int]]], threshold: Fraction, *, mutual: bool
) -> list[tuple[int, Fraction] | None]:
    """Returns of each member (exact hash, shingles), best first, for whom it leaves and how alike they are, or None.

    It leaves for the first that stays and equals it, or has so much in common with it: of the union, or where the
    similarity is not `mutual` of the member that would leave.
    """
    found: list[tuple[int, Fraction] | None] = []
    stay: list[int] = []
    for number, (exact, shingles) in enumerate(members):
        for other in stay:
            of = len(shingles | members[other][1]) if mutual else len(shingles)
            alike = Fraction(len(shingles & members[other][1]), of) if shingles else Fraction(0)
            alike = Fraction(1) if exact == members[other][0] else alike
            if alike >= threshold:
                found.append((other, alike))
                break
        else:
            stay.append(number)
            found.append(None)
    return found
