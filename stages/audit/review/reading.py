"""Files of verdicts, as a sheet saved them or as a spreadsheet did, checked against the sample that they are of.

Nothing is guessed: what is not a word, a reason, a document or a reviewer that is known is a fault, named with its
file and line, and so is a document that is judged twice. A row without a verdict is a document not judged.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

from pydantic import ValidationError

from stages.audit.hostile import harmless
from stages.audit.review.model import NOTE, REASONS, Judged, Sample, Verdict, Verdicts
from stages.audit.review.spreadsheet import FORMULA, MARK, Line, Sheet, Unreadable, plainly, read_sheet, texts_of

WORDS: Final[Mapping[Verdict, tuple[str, ...]]] = {
    "pass": ("pass", "passed", "p", "1", "ok", "通过", "通過", "合格", "√", "✓", "✔"),
    "fail": ("fail", "failed", "f", "2", "不通过", "不通過", "未通过", "未通過", "不合格", "×", "✗", "✘"),
    "unsure": ("unsure", "u", "3", "?", "not sure", "unclear", "不确定", "不確定", "不能确定", "存疑", "待定"),
}
_VERDICTS: Final[Mapping[str, Verdict]] = {word: verdict for verdict, words in WORDS.items() for word in words}
_REASONS: Final = {
    plainly(word): code
    for code, reason in REASONS.items()
    for word in (code, reason.words.en, reason.words.zh, reason.risk or code)
}
_BETWEEN: Final = re.compile(r"[;,、，；|/\n]+")
_ROUNDED: Final = re.compile(r"\d([.,]\d+)?e\+\d+")  # what a spreadsheet makes of an id that looks like a number
_ID: Final = re.compile(r"[0-9a-f]{32}")
_SPACE: Final = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
_OTHERS: Final = {
    b"pk\x03\x04": "is an Excel workbook; save it as CSV UTF-8 and give that",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook; save it as CSV UTF-8 and give that",
    b"<": "is a page, perhaps the sheet itself; give the file that it saves",
}
_SHOWN: Final = 40  # characters of what a file says


@dataclass(frozen=True)
class Row:
    """What a line of a file says of a document."""

    line: int
    id: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Given:
    """What one reviewer says in one file: `how` it was read, and of which sample, None where it cannot be told.

    `reviewer` and `role` are empty where nobody gave them; `unjudged` are rows without a verdict.
    """

    place: str
    sha256: str
    how: str
    sample: Sample | None
    reviewer: str
    role: str
    rows: tuple[Row, ...] = field(repr=False)
    unjudged: int = 0

    def verdicts(self, sample: Sample) -> Verdicts:
        """Returns it as a file of verdicts that is the same however it was given."""
        return Verdicts(
            sample_sha256=sample.sha256, reviewer=self.reviewer, role=self.role, verdicts=tuple(map(_judged, self.rows))
        )


@dataclass(frozen=True)
class Asked:
    """What the command line says of files that do not say it: whose they are, and of which sample."""

    samples: Mapping[str, Sample]  # by SHA-256
    sample: Sample | None = None
    reviewer: str = ""
    role: str = ""


def _judged(row: Row) -> Judged:
    return Judged(id=row.id, verdict=row.verdict, reasons=row.reasons, note=row.note)


def read(place: str, content: bytes, asked: Asked) -> tuple[list[Given], list[str]]:
    """Returns what each reviewer says in a file, and its faults: sentences with the file and the line."""
    faults = _Faults(place)
    digest = hashlib.sha256(content).hexdigest()
    if not content.strip(_SPACE):
        faults.add("is empty")
        return [], faults.found
    other = next(
        (said for start, said in _OTHERS.items() if content.lstrip(_SPACE)[: len(start)].lower() == start), None
    )
    if other is not None:
        faults.add(other)
        return [], faults.found
    text = next((text for _, text in texts_of(content)), "").lstrip("\ufeff \t\r\n")
    found = _of_json(text, faults, asked) if text[:1] in ("{", "[") else _of_table(content, faults, asked)
    made = [Given(place, digest, *one) for one in found]
    for one in made:
        _check(one, faults)
    return made, faults.found


class _Faults:
    """The faults of a file, in the order in which they were met."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.found: list[str] = []

    def add(self, said: str, line: int | None = None) -> None:
        """Names a fault."""
        self.found.append(f"{self._place}{f':{line}' if line is not None else ''}: {said}")


_Found = tuple[str, Sample | None, str, str, tuple[Row, ...], int]  # Given, without its file


def _check(given: Given, faults: _Faults) -> None:
    """Names what is said of no document of the sample, twice, or against itself."""
    ids = {item.id for item in given.sample.items} if given.sample else None
    lines: dict[str, int] = {}
    for row in given.rows:
        if ids is not None and row.id not in ids and given.sample:
            faults.add(f"document {row.id} is not of the sample {given.sample.name}", row.line)
        if row.id in lines:
            faults.add(f"document {row.id} is judged in line {lines[row.id]} too; take one out", row.line)
        lines.setdefault(row.id, row.line)
        if row.verdict == "pass" and row.reasons:
            faults.add(f"passes, and gives reasons why not ({', '.join(row.reasons)}); which is meant?", row.line)
        if len(row.note) > NOTE:
            faults.add(f"its note has {len(row.note):,} characters, and may have {NOTE:,}", row.line)


def _sample(digest: str, ids: Sequence[str], asked: Asked, faults: _Faults) -> Sample | None:
    """Returns the sample that a file names, or that alone can be meant."""
    if asked.sample is not None and digest in ("", asked.sample.sha256):
        return asked.sample
    if asked.sample is not None:
        faults.add(f"is of the sample {_short(digest)}, and --sample is {_short(asked.sample.sha256)}")
    elif digest and digest not in asked.samples:
        there = ", ".join(f"{one.name} ({_short(key)})" for key, one in asked.samples.items()) or "none"
        faults.add(
            f"is of the sample {_short(digest)}, which is not in this folder (there: {there}); it is of another "
            "corpus, or its sample.json is elsewhere: name that by --sample"
        )
    elif digest:
        return asked.samples[digest]
    else:
        able = [one for one in asked.samples.values() if {item.id for item in one.items}.issuperset(ids)]
        if len(able) == 1 and ids:
            return able[0]
        faults.add("does not say of which sample it is, and that cannot be told; name it by --sample")
    return None


def _short(digest: str) -> str:
    return f"{digest[:12]}…" if _ID.match(digest) else harmless(digest, _SHOWN)


def _whose(given: str, asked: str, faults: _Faults, option: str) -> str:
    """Returns who or what a file names, or else the command line."""
    if given and asked and plainly(given) != plainly(asked):
        faults.add(f"names {harmless(given, _SHOWN)}, and {option} is {harmless(asked, _SHOWN)}; which is it?")
    return given or asked


def _reasons(words: Sequence[str], faults: _Faults, line: int | None) -> tuple[str, ...]:
    """Returns the codes of reasons, in their own order, each once."""
    codes = set()
    for word in words:
        code = _REASONS.get(plainly(word))
        if code is None:
            faults.add(f"{harmless(word, _SHOWN)!r} is no reason; reasons are {', '.join(REASONS)}", line)
        else:
            codes.add(code)
    return tuple(code for code in REASONS if code in codes)


# Tables


def _of_table(content: bytes, faults: _Faults, asked: Asked) -> list[_Found]:
    try:
        sheet = read_sheet(content, _fits)
    except Unreadable as error:
        faults.add(str(error), error.line)
        return []
    ids = [plainly(line.cells.get("id", "")) for line in sheet.lines]
    sample = _sample_of(sheet, ids, asked, faults)
    rows: dict[tuple[str, str], list[Row]] = {}
    whose = _reviewers(sheet, faults, asked)
    empty = 0
    for line, key in zip(sheet.lines, ids, strict=True):
        beyond = sum(1 for cell in line.all[len(sheet.heading) :] if cell.strip())
        if beyond:
            faults.add(f"has {beyond} cells beyond the heading: a quote is missing in the line", line.number)
        row = _row(line, _restored(key, line, sample), faults)
        if row is not None:
            rows.setdefault(whose(line), []).append(row)
        elif not line.cells.get("verdict", "").strip():
            empty += 1
    if not rows and not faults.found:
        faults.add("holds no verdict: its column verdict is empty")
    return [(f"CSV in {sheet.how}", sample, *own, tuple(found), empty) for own, found in rows.items()]


def _fits(line: Line) -> bool:
    """Returns whether a row is read rightly, as far as its verdict and reasons can tell."""
    word = plainly(line.cells.get("verdict", ""))
    words = filter(None, map(plainly, _BETWEEN.split(line.cells.get("reasons", ""))))
    return (not word or word in _VERDICTS) and all(one in _REASONS for one in words)


def _sample_of(sheet: Sheet, ids: Sequence[str], asked: Asked, faults: _Faults) -> Sample | None:
    named = {plainly(line.cells.get("sample_sha256", "")): line.number for line in reversed(sheet.lines)}
    named.pop("", None)
    if len(named) > 1:
        lines = ", ".join(str(line) for line in sorted(named.values()))
        faults.add(f"names {len(named)} samples (first in the lines {lines}); give each its own file")
        return None
    return _sample(next(iter(named), ""), [key for key in ids if _ID.fullmatch(key)], asked, faults)


def _reviewers(sheet: Sheet, faults: _Faults, asked: Asked) -> Any:  # Any: a function of a line
    """Returns what tells whose a row is: of the one whom the file names, or of whom the row does."""

    def own(line: Line, name: str) -> str:
        return _text(line.cells.get(name, "")).strip()

    def given(name: str) -> list[str]:
        found: dict[str, str] = {}
        for line in sheet.lines:
            if value := own(line, name):
                found.setdefault(plainly(value), value)
        return list(found.values())

    names, roles = given("reviewer"), given("role")
    if len(names) < 2:
        one = _whose(names[0] if names else "", asked.reviewer, faults, "--reviewer")
        role = _whose(roles[0] if len(roles) == 1 else "", asked.role, faults, "--role")
        if len(roles) > 1:
            faults.add(f"names one reviewer and {len(roles)} roles; leave one")
        return lambda line: (one, role)
    if asked.reviewer or asked.role:
        faults.add(f"names {len(names)} reviewers, so --reviewer and --role cannot be right")
    called = {plainly(name): name for name in names}
    roles_of = {plainly(own(line, "reviewer")): own(line, "role") for line in sheet.lines if own(line, "role")}

    def whose(line: Line) -> tuple[str, str]:
        name = plainly(own(line, "reviewer"))
        if not name and line.cells.get("verdict", "").strip():
            faults.add("names no reviewer, and other rows name several", line.number)
        return called.get(name, ""), roles_of.get(name, "")

    return whose


def _row(line: Line, key: str, faults: _Faults) -> Row | None:
    """Returns what a row says, None where that is nothing or a fault."""
    word = plainly(line.cells.get("verdict", ""))
    words = [one for one in map(str.strip, _BETWEEN.split(line.cells.get("reasons", ""))) if plainly(one)]
    if not word:
        if words:
            faults.add("gives reasons and no verdict; is it fail?", line.number)
        return None
    verdict = _VERDICTS.get(word)
    if verdict is None:
        known = ", ".join(f"{one} ({'/'.join(words[1:])})" for one, words in WORDS.items())
        faults.add(f"{harmless(word, _SHOWN)!r} is no verdict; verdicts are {known}", line.number)
    if not _ID.fullmatch(key):
        faults.add(f"{harmless(key, _SHOWN)!r} is no id of a document (32 hex digits)", line.number)
    reasons = _reasons(words, faults, line.number)
    if verdict is None or not _ID.fullmatch(key):
        return None
    return Row(line.number, key, verdict, reasons, _text(line.cells.get("note", "")).strip())


def _restored(key: str, line: Line, sample: Sample | None) -> str:
    """Returns an id that a spreadsheet took for a number and rounded, by the number of its row in the sheet."""
    number = plainly(line.cells.get("number", ""))
    if sample is None or not _ROUNDED.fullmatch(key) or not number.isdecimal():
        return key
    if not 1 <= int(number) <= len(sample.items):
        return key
    meant = sample.items[int(number) - 1].id
    same = meant.isdecimal() and math.isclose(float(meant), float(key.replace(",", ".")), rel_tol=0.01)
    return meant if same else key


def _text(cell: str) -> str:
    """Returns a cell without the mark that keeps it from being a formula."""
    return cell[1:] if cell.startswith(MARK) and cell[1:].startswith(FORMULA) else cell


# JSON


def _of_json(text: str, faults: _Faults, asked: Asked) -> list[_Found]:
    try:
        data = json.loads(text, object_pairs_hook=_once)
        json.dumps(data, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        faults.add(f"is not JSON ({error.msg}, column {error.colno}): it was cut off or changed", error.lineno)
        return []
    except (ValueError, RecursionError) as error:
        faults.add(f"is not JSON that a sheet saves ({harmless(str(error))})")
        return []
    lines = _lines(text, data)
    try:
        made = Verdicts.model_validate(data)
    except ValidationError as error:
        for one in error.errors():
            faults.add(*_named(one, lines))
        return []
    rows = tuple(
        Row(
            line,
            one.id,
            one.verdict,
            _reasons(one.reasons, faults, line),
            one.note,
        )
        for line, one in zip(lines or [1] * len(made.verdicts), made.verdicts, strict=True)
    )
    if not rows:
        faults.add("holds no verdict")
    sample = _sample(made.sample_sha256, [row.id for row in rows], asked, faults)
    reviewer = _whose(made.reviewer.strip(), asked.reviewer, faults, "--reviewer")
    role = _whose(made.role.strip(), asked.role, faults, "--role")
    unjudged = max(0, len(sample.items) - len(rows)) if sample else 0
    return [("JSON of a sheet", sample, reviewer, role, rows, unjudged)]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # Any: JSON
    """Returns an object; raises ValueError where a key stands twice, of which JSON takes the last."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{harmless(twice, _SHOWN)!r} stands twice in one object")
    return made


def _lines(text: str, data: Any) -> list[int]:  # Any: JSON
    """Returns the line of each verdict, none where that cannot be told."""
    there = data.get("verdicts") if isinstance(data, dict) else None
    places = [found.start() for found in re.finditer(r'"id"\s*:', text)]
    if not isinstance(there, list) or len(there) != len(places):
        return []
    made, line, last = [], 1, 0
    for place in places:
        line, last = line + text.count("\n", last, place), place
        made.append(line)
    return made


def _named(error: Any, lines: Sequence[int]) -> tuple[str, int | None]:  # Any: pydantic's ErrorDetails
    """Returns what is wrong with a file, and the line of it."""
    loc = error["loc"]
    line = lines[loc[1]] if lines and len(loc) > 1 and loc[0] == "verdicts" else None
    at = ".".join(map(str, chain(loc[:1], loc[1:]))) or "the file"
    given = error.get("input")
    shown = f" ({harmless(str(given), _SHOWN)!r})" if isinstance(given, str | int | float) else ""
    return f"{harmless(at, _SHOWN)}: {error['msg']}{shown}", line


def merged(parts: Sequence[Given], faults: list[str]) -> Given:
    """Returns the parts of one reviewer on one sample as one; names a document that two of them judge."""
    first: dict[str, tuple[Given, Row]] = {}
    for one in parts:
        for row in one.rows:
            before, other = first.setdefault(row.id, (one, row))
            if before is not one:
                faults.append(
                    f"{one.place}:{row.line}: document {row.id} is judged in {before.place}:{other.line} too, by the "
                    "same reviewer; take one out, or name the reviewers"
                )
    role = next((one.role for one in parts if one.role), "")
    return replace(parts[0], role=role, rows=tuple(row for _, row in first.values()))
