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
import numpy.typing as npt

from stages.repair.change import Change
from stages.repair.rules import Rule, Rules
from stages.repair.screen import FIRST_UNITS, UNIT_LETTERS, folded

_DAMAGE: Final = re.compile("\ufffd|锟斤拷|\\?\\?[^\x00-\x7f]|[\u00c0-\u00ff]{4,}")
Codes = npt.NDArray[np.uint32]
KNOWN_LETTERS: Final = 24  # of a text's beginning, that are looked for again
_ENDS: Final = np.isin(
    np.arange(1 << 16), [ord(sign) for sign in "\n!?。！？"]
)  # by code point, the last for those above
_SPACES: Final = (ord(" "), ord("\n"))
_CODE_LINE: Final = re.compile(r"(?:[)\]\"'];|[{}]|/>)[ \t]*$", re.MULTILINE)
CODE_LINES: Final = 5  # from which on two copies may be a question's program and the answer's, which differ on purpose
_OPENING: Final = " \t\n　“‘「『（(《〈【[<"  # what opens the copy, left at the end of the other
MOST_UNITS: Final = 20_000
UNIT_COMPARED: Final = 120  # letters of a unit that tell whether it is another one damaged
ALIKE: Final = 0.6
MOST_COMPARED: Final = 500  # units that are compared letter by letter
MOST_TIMES: Final = 6  # that a unit comes
MOST_TRIED: Final = 3  # places at which a copy may begin


class _Unit(NamedTuple):
    start: int
    end: int
    letters: int
    folded: bytes


def mend(text: str, rules: Rules) -> Iterator[Change]:
    """Yields the text with one copy of what it began with twice, and again while there is a copy in that."""
    rule = rules["second_copy"]
    if not rule.enabled or text.count("```") >= CODE_LINES or len(_CODE_LINE.findall(text)) >= CODE_LINES:
        return
    while (change := _once(text, rule)) is not None and len(change.text) < len(text):
        text = change.text
        yield change


def _once(text: str, rule: Rule) -> Change | None:
    """Returns the text without one copy, None where there is none."""
    codes, letters_of = _letters(text)
    prefix = _prefix(letters_of, rule.limit("least_ratio"), rule.limit("least_letters"))
    found = prefix.place if prefix and prefix.is_whole else _by_units(text, codes, letters_of, rule)
    if found is None and prefix is not None:
        found = prefix.place
    return None if found is None else _one_of(text, *found)


def _by_units(text: str, codes: Codes, letters_of: Codes, rule: Rule) -> tuple[int, int] | None:
    """Returns where the copy is that most units of the text's beginning say, from and up to a character."""
    units = _units(codes, letters_of)
    letters = [unit.letters for unit in units]
    total = sum(letters)
    keys = [unit.folded for unit in units]
    for first, second in _begins(keys, letters, total, rule.limit("least_ratio")):
        matcher = SequenceMatcher(None, keys[first:second], keys[second:], autojunk=False)
        blocks = [block for block in matcher.get_matching_blocks() if block.size]
        if not blocks:
            continue
        same = _letters_met(units, first, second, matcher)
        begin, end = _extent(keys, first, second, blocks)
        whole = max(sum(letters[:begin]), sum(letters[begin:end]))
        if same >= max(rule.limit("least_ratio") * total, rule.limit("least_letters")) and (
            same >= rule.limit("agreement") * whole
        ):
            return _with_short(text, units[0].start, units[begin].start, units[end - 1].end)
    return None


def _letters_met(units: list[_Unit], first: int, second: int, matcher: SequenceMatcher[bytes]) -> int:
    """Returns the letters of the units that come again, damaged ones too where they stand between equal ones."""
    same, tried = 0, 0
    for kind, start, stop, other, last in matcher.get_opcodes():
        ones, others = units[first + start : first + stop], units[second + other : second + last]
        if kind == "equal":
            same += sum(unit.letters for unit in ones)
        elif kind == "replace" and len(ones) == len(others) and tried < MOST_COMPARED:
            tried += len(ones)
            pairs = zip(ones, others, strict=True)
            same += sum(one.letters for one, damaged in pairs if _is_damaged(one.folded, damaged.folded))
    return same


def _extent(keys: list[bytes], first: int, second: int, blocks: list[Match]) -> tuple[int, int]:
    """Returns the units from and up to which the copy is: damaged ones before and after what is equal are of it."""
    begin, before = second + blocks[0].b, first + blocks[0].a
    end, after = second + blocks[-1].b + blocks[-1].size, first + blocks[-1].a + blocks[-1].size
    while before > 0 and begin - 1 > first and _is_damaged(keys[before - 1], keys[begin - 1]):
        before, begin = before - 1, begin - 1
    while after < begin and end < len(keys) and _is_damaged(keys[after], keys[end]):
        after, end = after + 1, end + 1
    return begin, end


def _with_short(text: str, first: int, start: int, end: int) -> tuple[int, int]:
    """Returns where the copy begins and ends with lines too short to be units: a name, a title, an end mark."""
    head, tail = text[:first].strip(), text[end:].strip()
    if head and text[:start].rstrip().endswith(head) and start > first + len(head):
        start = len(text[:start].rstrip()) - len(head)
    if tail and text[:start].rstrip().endswith(tail):
        end = len(text)
    return start, end


def _is_damaged(one: bytes, other: bytes) -> bool:
    """Returns whether a unit is the other one with some letters lost."""
    first, second = (unit[: 4 * UNIT_COMPARED].decode("utf-32-le") for unit in (one, other))
    return SequenceMatcher(None, first, second, autojunk=False).ratio() >= ALIKE


def _letters(text: str) -> tuple[Codes, Codes]:
    """Returns the code points of a text, and what each is in the folded view, 0 where nothing; uint32[characters]."""
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    table = folded()
    return codes, table[np.where(codes < len(table), codes, 0)]


class _Prefix(NamedTuple):
    place: tuple[int, int]  # where it comes again, from and up to a character
    is_whole: bool  # whether nothing in it differs, up to the copy or to the end of the text


def _prefix(letters: Codes, least_ratio: float, least: float) -> _Prefix | None:
    """Returns the longest prefix that comes again, None if it is too short; however its lines are cut."""
    places = np.flatnonzero(letters)
    content = letters[places]
    folded_text = content.tobytes().decode("utf-32-le")
    begin = folded_text.find(folded_text[:KNOWN_LETTERS], 1)
    if begin < least:
        return None  # what comes again so soon is repetition, and judged by the rules on that
    for _ in range(MOST_TRIED):
        if begin < 0:
            break
        differ = np.flatnonzero(content[: len(content) - begin] != content[begin:])
        same = int(differ[0]) if len(differ) else len(content) - begin
        is_whole = same >= min(begin, len(content) - begin)
        if same >= max(least, least_ratio * len(content)):
            rest = len(content) if not len(differ) else begin + min(begin, same)
            return _Prefix((int(places[begin]), int(places[rest]) if rest < len(places) else len(letters)), is_whole)
        begin = folded_text.find(folded_text[:KNOWN_LETTERS], begin + 1)
    return None


def _units(codes: Codes, letters: Codes) -> list[_Unit]:
    """Returns the units that have letters enough to be known again, and do not come often."""
    before = np.append(0, np.cumsum(letters != 0))
    content = letters[letters != 0]
    after = np.append(codes[1:], np.uint32(_SPACES[0]))
    ends = _ENDS[np.minimum(codes, len(_ENDS) - 1)]
    ends |= (codes == ord(".")) & ((after == _SPACES[0]) | (after == _SPACES[1]))
    bounds = np.unique(np.append([0, len(codes)], np.flatnonzero(ends) + 1))
    sizes = np.diff(before[bounds])
    made = [
        _Unit(start, end, size, content[before[start] : before[end]].tobytes())
        for start, end, size in zip(bounds[:-1].tolist(), bounds[1:].tolist(), sizes.tolist(), strict=True)
        if size >= UNIT_LETTERS
    ][:MOST_UNITS]
    times = Counter(unit.folded for unit in made)
    return [unit for unit in made if times[unit.folded] <= MOST_TIMES]


def _begins(keys: list[bytes], letters: list[int], total: int, ratio: float) -> Iterator[tuple[int, int]]:
    """Yields (unit, the one in which it comes again) where a large enough copy may begin, likeliest first."""
    before = [0]
    for amount in letters:
        before.append(before[-1] + amount)
    first = {key: place for place, key in reversed(list(enumerate(keys[:FIRST_UNITS])))}
    met: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        if key in first and place > first[key]:
            met.setdefault(place - first[key], []).append(first[key])
    for away in sorted(met, key=lambda away: (-len(met[away]), away))[:MOST_TRIED]:
        place = min(met[away])
        if ratio * total <= before[away + place] - before[place] <= (1 - ratio) * total + letters[0]:
            yield place, away + place


def _one_of(text: str, start: int, end: int) -> Change:
    """Returns the text with one of text[:start] and text[start:end]: the less damaged, the first of equal ones."""
    first, second = text[:start], text[start:end]
    if len(_DAMAGE.findall(second)) < len(_DAMAGE.findall(first)):
        gone, kept = first, second
    else:
        gone, kept = second, first
    kept = kept.rstrip(_OPENING)
    made = (kept.rstrip() + "\n" + text[end:].lstrip("\n")).strip("\n") if text[end:].strip() else kept.rstrip()
    return Change.of("second_copy", made, len(gone), gone)
