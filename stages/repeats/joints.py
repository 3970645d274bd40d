"""A text without some of its stretches: where it is cut, and how what stays is joined.

A stretch begins and ends with a token. Of what stands between tokens (blanks, line breaks, marks) there go with it the
closing marks behind it, the opening ones before it, and marks that have a line with it alone; but no bracket or
Chinese quotation mark whose partner stays, and no fence of a block of code that is left open by it. Of the blanks and
line breaks on both sides the more separating stay, and where a line or paragraph ended inside of what went, one ends
there still. All else is left as it was, byte for byte.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

from stages.dedup.fold import CODE_BITS, SEPARATOR, SINGLE, FoldTable

OPENING: Final = ("Ps", "Pi")  # general categories: ( [ 「 “
PARTNERS: Final = dict(zip("」』》〉）】〕”", "「『《〈（【〔“", strict=True))  # not ) and ’, which stand alone too
LETTER_BYTES: Final = 4
_PARAGRAPH: Final = re.compile(r"\n[^\S\n]*\n")
_LAST_BLANK: Final = re.compile(r"\s(?=\S*$)")
_FENCE: Final = re.compile(r"^ {0,3}(```|~~~)", re.MULTILINE)


class Place(NamedTuple):
    """A stretch (bytes from `start` to `end`), the end of the token before it and the begin of the one behind it.

    Where there is no such token, that is 0, or the text's size.
    """

    before: int
    start: int
    end: int
    behind: int


def cut_out(data: bytes, places: Sequence[Place], fold: FoldTable) -> str:
    """Returns the text of UTF-8 without the stretches, which are in order and apart by a token at least."""
    made, last = [], 0
    for before, start, end, behind in places:
        made += [
            data[last:before].decode(),
            _gap(
                data[max(last, before - LETTER_BYTES) : before].decode(errors="ignore")[-1:],
                data[before:start].decode(),
                data[start:end].decode(),
                data[end:behind].decode(),
                data[behind : behind + LETTER_BYTES].decode(errors="ignore")[:1],
                fold,
            ),
        ]
        last = behind
    made.append(data[last:].decode())
    return "".join(made)


def _gap(left: str, before: str, cut: str, behind: str, right: str, fold: FoldTable) -> str:
    """Returns what stands between the last letter before a cut and the first behind it; either may be missing."""
    stays = before[: _end_before(before)] if left else ""
    goes_on = behind[_start_behind(behind) :] if right else ""
    gone = before[len(stays) :] + cut + behind[: len(behind) - len(goes_on)]
    joint = _joint(stays, cut, goes_on) if left and right else ""
    closing, opening = _without_partner(gone)
    head = stays.rstrip() + (closing if left else "")
    tail = (opening if right and "\n" not in goes_on else "") + goes_on.lstrip()
    fences = _FENCE.findall(gone if not left or "\n" in stays else f".{gone}")
    if len(fences) % 2:
        start, _, indent = joint.rpartition("\n")
        joint = (start + "\n" if left else "") + fences[-1] + ("\n" + indent if right else "")
    if left and right and not joint and _is_of_word((left + head)[-1], fold) and _is_of_word((tail + right)[0], fold):
        joint = " "
    return head + joint + tail


def _joint(stays: str, cut: str, goes_on: str) -> str:
    """Returns the most separating of the blanks on both sides of a cut, and in it, indented as what goes on."""
    inside = "\n\n" if _PARAGRAPH.search(cut) else "\n" if "\n" in cut else ""
    before, behind = stays[len(stays.rstrip()) :], goes_on[: len(goes_on) - len(goes_on.lstrip())]
    most = max((behind, before, inside), key=lambda blank: min(2, blank.count("\n"))) or before
    if "\n" in behind:
        return most[: most.rindex("\n") + 1] + behind[behind.rindex("\n") + 1 :]
    return most


def _without_partner(gone: str) -> tuple[str, str]:
    """Returns the closing marks in a stretch that close nothing in it, and the opening ones that nothing in it closes.

    >>> _without_partner("天。」他说（笑）：「走")
    ('」', '「')
    """
    closing, opening = "", ""
    for sign in gone:
        if sign in PARTNERS.values():
            opening += sign
        elif opening and PARTNERS.get(sign) == opening[-1]:
            opening = opening[:-1]
        elif sign in PARTNERS:
            closing += sign
    return closing, opening


def _end_before(gap: str) -> int:
    """Returns how far a gap before a cut stays: not what begins the cut's line, nor marks that lean on it."""
    if "\n" in gap:
        return gap.rindex("\n") + 1
    if blank := _LAST_BLANK.search(gap):
        return blank.end()
    return len(gap.rstrip("".join(sign for sign in set(gap) if unicodedata.category(sign) in OPENING)))


def _start_behind(gap: str) -> int:
    """Returns from where a gap behind a cut stays: not what ends the cut's line, nor marks that lean on it."""
    if "\n" in gap:
        return gap.index("\n")
    leans = (not sign.isspace() and unicodedata.category(sign) not in OPENING for sign in gap)
    return next((place for place, one in enumerate(leans) if not one), len(gap))


def _is_of_word(letter: str, fold: FoldTable) -> bool:
    """Returns whether a letter could go on with a word before it, or be gone on with."""
    code = ord(letter)
    entry = int(fold.table[code]) if code < len(fold.table) else SEPARATOR
    return entry >> CODE_BITS not in (SEPARATOR, SINGLE)
