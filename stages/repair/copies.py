"""A text that is on its page twice: the second copy goes, or the first where that is the damaged one.

Compared are the folded views of its units (sentences), so copies that differ in script, width and punctuation are
equal, and some damaged units do not hide the others. Units that come again and again (rows of a table, a refrain) say
nothing of copies and are passed over, which also bounds the work.

Source: longest common subsequence of units by `difflib` (Ratcliff and Obershelp 1988), weighed by their letters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from difflib import Match, SequenceMatcher
from typing import Final, NamedTuple

import numpy as np

from stages.repair.change import Change
from stages.repair.rules import Rules
from stages.repair.screen import FIRST_UNITS, UNIT_LETTERS, folded

_DAMAGE: Final = re.compile("\ufffd|锟斤拷|\\?\\?[^\x00-\x7f]|[\u00c0-\u00ff]{4,}")
_ENDS: Final = np.array([ord(sign) for sign in "\n!?。！？"], np.uint32)
_SPACES: Final = np.array([ord(" "), ord("\n")], np.uint32)
MOST_UNITS: Final = 20_000
UNIT_COMPARED: Final = 120  # letters of a unit that tell whether it is another one damaged
ALIKE: Final = 0.6
MOST_TIMES: Final = 6  # that a unit comes
MOST_TRIED: Final = 3  # places at which a copy may begin


class _Unit(NamedTuple):
    start: int
    end: int
    letters: int
    folded: bytes


def mend(text: str, rules: Rules) -> Iterator[Change]:
    """Yields the text with one copy of what it began with twice."""
    rule = rules["second_copy"]
    if not rule.enabled:
        return
    units = _units(text)
    letters = [unit.letters for unit in units]
    total = sum(letters)
    keys = [unit.folded for unit in units]
    for second in _begins(keys, letters, total, rule.limit("least_ratio")):
        matcher = SequenceMatcher(None, keys[:second], keys[second:], autojunk=False)
        blocks = [block for block in matcher.get_matching_blocks() if block.size]
        if not blocks:
            continue
        same = sum(letters[block.a + place] for block in blocks for place in range(block.size))
        begin, end = _extent(keys, second, blocks)
        whole = max(sum(letters[:begin]), sum(letters[begin:end]))
        if same >= max(rule.limit("least_ratio") * total, rule.limit("least_letters")) and (
            same >= rule.limit("agreement") * whole
        ):
            yield _one_of(text, units[begin].start, units[end - 1].end)
            return


def _extent(keys: list[bytes], second: int, blocks: list[Match]) -> tuple[int, int]:
    """Returns the units from and up to which the copy is: damaged ones before and after what is equal are of it."""
    begin, end = second + blocks[0].b, second + blocks[-1].b + blocks[-1].size
    before, after = blocks[0].a, blocks[-1].a + blocks[-1].size
    while before > 0 and begin > second and _is_damaged(keys[before - 1], keys[begin - 1]):
        before, begin = before - 1, begin - 1
    while after < begin and end < len(keys) and _is_damaged(keys[after], keys[end]):
        after, end = after + 1, end + 1
    return begin, end


def _is_damaged(one: bytes, other: bytes) -> bool:
    """Returns whether a unit is the other one with some letters lost."""
    first, second = (unit[: 4 * UNIT_COMPARED].decode("utf-32-le") for unit in (one, other))
    return SequenceMatcher(None, first, second, autojunk=False).ratio() >= ALIKE


def _units(text: str) -> list[_Unit]:
    """Returns the units that have letters enough to be known again, and do not come often."""
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    table = folded()
    letters = table[np.where(codes < len(table), codes, 0)]
    before = np.append(0, np.cumsum(letters != 0))
    content = letters[letters != 0]
    after = np.append(codes[1:], np.uint32(_SPACES[0]))
    ends = np.isin(codes, _ENDS) | ((codes == ord(".")) & np.isin(after, _SPACES))
    bounds = np.unique(np.append([0, len(codes)], np.flatnonzero(ends) + 1))
    sizes = np.diff(before[bounds])
    made = [
        _Unit(start, end, size, content[before[start] : before[end]].tobytes())
        for start, end, size in zip(bounds[:-1].tolist(), bounds[1:].tolist(), sizes.tolist(), strict=True)
        if size >= UNIT_LETTERS
    ][:MOST_UNITS]
    times = Counter(unit.folded for unit in made)
    return [unit for unit in made if times[unit.folded] <= MOST_TIMES]


def _begins(keys: list[bytes], letters: list[int], total: int, ratio: float) -> Iterator[int]:
    """Yields the units at or before which a large enough copy may begin: most of the first come again so far on."""
    before = [0]
    for amount in letters:
        before.append(before[-1] + amount)
    first = {key: place for place, key in reversed(list(enumerate(keys[:FIRST_UNITS])))}
    met: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        if key in first and place > first[key]:
            met.setdefault(place - first[key], []).append(first[key])
    for away in sorted(met, key=lambda away: (-len(met[away]), away))[:MOST_TRIED]:
        second = away + max(min(met[away]) - 1, 0)  # one more, as the copy's first may be damaged
        if ratio * total <= before[second] <= (1 - ratio) * total + letters[0]:
            yield second


def _one_of(text: str, start: int, end: int) -> Change:
    """Returns the text with one of text[:start] and text[start:end]: the less damaged, the first of equal ones."""
    first, second = text[:start], text[start:end]
    if len(_DAMAGE.findall(second)) < len(_DAMAGE.findall(first)):
        gone, kept = first, second
    else:
        gone, kept = second, first
    made = (kept.rstrip() + "\n" + text[end:].lstrip("\n")).strip("\n") if text[end:].strip() else kept.rstrip()
    return Change.of("second_copy", made, len(gone), gone)
