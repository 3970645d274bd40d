"""The plain twin of the kernels: the same counts, written to be read. Tests hold the kernels to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from stages.format.count import COUNTS, KINDS, MOST_SPEAKERS, Count
from stages.format.kinds import BAR_CELL, LABEL_SPACES, NUMERALS, Kind
from stages.format.scan import FOUR, LONGEST_EVEN, READ
from stages.format.tables import LANES, Class, Lane, Limit, class_of, rules

_HAN = (Class.HAN, Class.MODERN, Class.LITERARY)
_ITEM = re.compile(rf"[-*+] |[(（][0-9{NUMERALS}]{{1,3}}[)）].|[0-9{NUMERALS}]{{1,3}}(?:[、．].|[.)][^0-9])", re.DOTALL)
_CHOICE = re.compile(r"[A-H](?:[.)](?![A-Za-z])|[．、]).|\([A-H]\).", re.DOTALL)
_KEYWORD = re.compile(r"([A-Za-z]+)(?![\u0080-\U0010ffff])")
_CALL = re.compile(r"[A-Za-z0-9]\(")
_POINTS = re.compile("[0-9] *分 *[)）〕]")
_COMMENT = re.compile(r"^(?://|/\*).|^>>>.", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """A line without the space around it; `read` is its beginning that is looked at, with space behind it."""

    text: str
    read: str
    indent: int

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.text.encode())

    def amount(self, *wanted: Lane | Class) -> int:
        """Returns how many of the characters looked at are of a lane (ASCII) or class (beyond)."""
        return sum(_is(character, *wanted) for character in self.read)

    @property
    def marks(self) -> int:
        """Commas and stops."""
        return self.amount(Lane.MARK, Class.COMMA, Class.STOP)

    @property
    def borders(self) -> int:
        """Bars and tabs."""
        return self.amount(Lane.BORDER, Class.BORDER)


def count(text: str) -> list[int]:
    """Returns the counts of one document, as `count.count` does."""
    row = [0] * COUNTS
    speakers: list[str] = []
    clauses: list[tuple[int, str]] = []
    before: tuple[Kind, int] | None = None  # the line before, where it may be the first of a table
    fenced = in_code = False
    opens, bars = True, 0
    for line in _lines(text):
        if not line.text:
            opens, bars = True, 0
            continue
        clauses += _clauses(line)
        label = ""
        in_code = in_code and line.indent >= _limit(Limit.INDENT) and not _is(line.text[0], Class.BULLET)
        fence = line.text.startswith(("```", "~~~"))
        if fence or fenced:
            fenced = fenced != fence
            kind = Kind.CODE
        elif in_code or _is_code(line):
            kind, in_code = Kind.CODE, True
        elif line.borders and (line.borders == bars or line.text[0] == "|" or _is(line.text[0], Class.BORDER)):
            kind = Kind.ROW
            if before and line.borders == bars:
                row[before[0]] -= 1
                row[before[0] + KINDS] -= before[1]
                row[Kind.ROW] += 1
                row[Kind.ROW + KINDS] += before[1]
        else:
            kind, label = _plain_kind(line, asked=row[Kind.ASK] > 0)
        if kind == Kind.TURN and label not in speakers and len(speakers) < MOST_SPEAKERS:
            speakers.append(label)
        _add(line, kind, row, opens=opens)
        opens, bars = False, line.borders
        before = (kind, line.size) if bars and kind not in (Kind.ROW, Kind.CODE) else None
    row[Count.CLAUSES] = len(clauses)
    row[Count.SENTENCES] = sum(end == "." for _, end in clauses)
    even = [now for (last, gap), (now, end) in pairwise(clauses) if last == now and gap and end]
    row[Count.EVEN] = sum(size for size in even if FOUR < size <= LONGEST_EVEN)
    row[Count.FOURS] = sum(size for size in even if size == FOUR)
    row[Count.SPEAKERS] = len(speakers)
    return row


def _limit(limit: Limit) -> int:
    return int(rules().limits[limit])


def _is(character: str, *wanted: Lane | Class) -> bool:
    if character < "\x80":
        return any(isinstance(one, Lane) and character in LANES[one] for one in wanted)
    return any(isinstance(one, Class) and class_of(character) == one for one in wanted)


def _is_space(character: str) -> bool:
    return character in " \t\r" or _is(character, Class.SPACE)


def _lines(text: str) -> Iterator[Line]:
    for line in text.split("\n"):
        start = next((place for place, character in enumerate(line) if not _is_space(character)), len(line))
        end = next((place for place in range(len(line), start, -1) if not _is_space(line[place - 1])), start)
        indent = sum({" ": 1, "\t": 4}.get(character, 0) for character in line[:start])
        yield Line(line[start:end], _first_bytes(line[start:]), indent)


def _first_bytes(line: str) -> str:
    """Returns the characters that begin in the first `READ` bytes."""
    cut = line.encode()[: READ + 3].decode(errors="ignore")
    while cut and len(cut[:-1].encode()) >= READ:
        cut = cut[:-1]
    return cut


def _clauses(line: Line) -> list[tuple[int, str]]:
    """Returns the numbers of Han in runs that end at a mark or space directly behind a Han character, and what ended.

    That is `.` a sentence, `,` a clause, nothing (a space or 、) a name; the end of a line, a sentence if it has marks.
    """
    found: list[tuple[int, str]] = []
    clause, behind = 0, False
    for character in line.read:
        if clause and (character >= "\x80" or behind):
            if character in ".!?" or _is(character, Class.STOP):
                found.append((clause, "."))
                clause = 0
            elif _is(character, Lane.MARK, Class.COMMA) and character != "、":
                found.append((clause, ","))
                clause = 0
            elif character == "、" or _is(character, Lane.SPACE, Class.SPACE):
                found.append((clause, ""))
                clause = 0
        clause += _is(character, *_HAN)
        behind = character >= "\x80"
    return [*found, (clause, "." if line.marks else "")] if clause else found


def _is_code(line: Line) -> bool:
    text, symbols = line.text, line.amount(Lane.SYMBOL)
    visible = len(line.read) - line.amount(Lane.SPACE, Class.SPACE)
    if _is(text[0], Class.BULLET):
        return False
    if _COMMENT.match(text):
        return True
    if not symbols and text[-1] not in ":()":
        return False
    hints = 0
    for limit, hint in ((Limit.MANY_SYMBOLS, 3), (Limit.SYMBOLS, 2), (Limit.FEW_SYMBOLS, 1)):
        if symbols >= 2 and 100 * symbols >= _limit(limit) * visible:
            hints += hint
            break
    if text[-1] in "{}":
        hints += 3 if text[-1] == "{" or visible < 4 else 2
    hints += text[-1] == ";" or text.endswith("):")
    hints += 2 * (text.endswith(");") and _CALL.search(text) is not None)
    hints += 2 * (text[0] == "<" and text[-1] == ">")
    hints += line.indent >= _limit(Limit.INDENT)
    if symbols > (text[-1] == ";") or text[-1] in ":(":
        word = _KEYWORD.match(text)
        hints += 2 * (word is not None and word[1] in rules().words["keywords"])
    hints -= 2 * (2 * line.amount(*_HAN) > visible)
    hints -= text[-1] in ".?!"
    return hints >= 3


def _plain_kind(line: Line, *, asked: bool) -> tuple[Kind, str]:
    text = line.text
    if _CHOICE.match(text):
        return Kind.CHOICE, ""
    label = _label(text)
    if label:
        if label in rules().words["asks"]:
            return Kind.ASK, label
        return (Kind.REPLY if asked and label in rules().words["replies"] else Kind.TURN), label
    if _ITEM.match(text) or (_is(text[0], Class.BULLET) and len(text) > 1):
        return Kind.ITEM, ""
    if text[0] == '"' or _is(text[0], Class.OPEN, Class.DASH):
        return Kind.QUOTE, ""
    if line.borders >= 2 and line.size <= BAR_CELL * (line.borders + 1):
        return Kind.BAR, ""
    if line.size <= _limit(Limit.MENU) and not line.marks:
        return Kind.MENU, ""
    return (Kind.VERSE if line.size <= _limit(Limit.VERSE) else Kind.TEXT), ""


def _label(text: str) -> str:
    """Returns the letters of the label that the line begins with, in lower case."""
    letters, at = "", 0
    for place, character in enumerate(text):
        if at > _limit(Limit.LABEL):
            break
        at += len(character.encode())
        if character == ":" and not text.startswith("【"):
            return letters if text[place + 1 : place + 2] in ("", " ", "*") else ""
        if character == "：" or (character == "】" and text.startswith("【")):
            return letters
        if re.match("[A-Za-z]", character):
            letters += character.lower()
        elif character >= "\x80" and _is(character, Class.LETTER, *_HAN):
            letters += character
        elif not (re.match("[0-9.*#' -]", character) or _is(character, Class.SPACE) or character == "【"):
            break
        if text[: place + 1].count(" ") > LABEL_SPACES:
            break
    return ""


def _add(line: Line, kind: Kind, row: list[int], *, opens: bool) -> None:
    text = line.text
    row[kind] += 1
    row[kind + KINDS] += line.size
    row[Count.PARAGRAPHS] += opens
    row[Count.TURN_PARAGRAPHS] += opens and kind == Kind.TURN
    row[Count.ASK_PARAGRAPHS] += opens and kind in (Kind.ASK, Kind.REPLY)
    row[Count.HAN] += line.amount(*_HAN)
    row[Count.MODERN] += line.amount(Class.MODERN)
    row[Count.LITERARY] += line.amount(Class.LITERARY)
    row[Count.READ] += len(line.read.encode())
    row[Count.CHOICES] += len(re.findall("(?<![^ ])[A-H][．、]", line.read))
    if kind == Kind.CHOICE:
        row[Count.CHOICES] += (text[1] < "\x80") + len(re.findall(r" [A-H]\.", text[1:]))
    row[Count.POINTS] += len(_POINTS.findall(text))
    row[Count.NAMES] += kind == Kind.TURN and text[-1] in ":："
    closes = text[-1] in ".!?\"'" or _is(text[-1], Class.STOP, Class.CLOSE)
    row[Count.CLOSED] += closes * line.size
    row[Count.SAID] += kind == Kind.TURN and closes
    if kind not in (Kind.CODE, Kind.ROW, Kind.TEXT):
        row[Count.OPEN] += not closes
        row[Count.MARKED] += line.marks > 0
        row[Count.RUNS_ON] += "a" <= text[0] <= "z"
        row[Count.UPPER] += line.amount(Lane.UPPER)
        row[Count.DIGITS] += line.amount(Lane.DIGIT)
        row[Count.WORDS] += line.amount(Lane.SPACE) + 1
