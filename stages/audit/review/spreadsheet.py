"""Tables as spreadsheets save them: CSV in the encoding and with the separator of whatever country.

Excel writes UTF-8 with a mark, or what its system takes for text: GB18030 in China, Big5 in Taiwan, code page 1252 in
the west; it separates by semicolons where commas are decimal, and "Unicode text" is UTF-16 with tabs. Which it is, is
told by what it gives: the first way in which the heading has the columns that are needed, and cells are what they may
be. Columns may stand in any order and be called in English or Chinese; others are passed over.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

LONGEST: Final = 1 << 24  # characters of a cell
MARK: Final = "'"  # before what a spreadsheet would take for a formula
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", MARK)
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "sample_sha256": ("sample_sha256", "sample", "样本", "样本摘要"),
        "number": ("number", "no", "no.", "nr", "序号", "序號"),
        "id": ("id", "document", "编号", "編號", "文档编号", "文档id", "文档"),
        "verdict": ("verdict", "judgement", "judgment", "结论", "結論", "判定", "评审结论", "审核结论", "评审结果"),
        "reasons": ("reasons", "reason", "原因", "理由", "不通过原因", "不合格原因"),
        "note": ("note", "notes", "comment", "comments", "备注", "備註", "说明"),
        "reviewer": ("reviewer", "评审人", "评审员", "审核人", "审核员", "審核人", "标注人", "姓名"),
        "role": ("role", "角色", "职务", "職務", "岗位"),
    }
)
_NAMES: Final = {name: column for column, names in COLUMNS.items() for name in names}
_NEEDED: Final = ("id", "verdict")
_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs"}
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_TRIED: Final = (("utf-8", "UTF-8"), ("gb18030", "GB18030"), ("cp950", "Big5"), ("cp1252", "code page 1252"))


@dataclass(frozen=True)
class Line:
    """A row: the line of the file that it begins in, its cells by column of ours, and all of them as they stand."""

    number: int
    cells: Mapping[str, str]
    all: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """A table as it was read: how, its heading, what of ours that is, and its rows without empty ones."""

    how: str
    heading: tuple[str, ...]
    columns: tuple[str | None, ...]
    lines: tuple[Line, ...]


class Unreadable(ValueError):
    """A table cannot be read; the message is a sentence without the file, `line` where it is known."""

    def __init__(self, said: str, line: int | None = None) -> None:
        super().__init__(said)
        self.line = line


def plainly(word: str) -> str:
    """Returns a word as it is compared: without width, case and spaces around.

    >>> plainly(" ＰＡＳＳ "), plainly('="pass"'), plainly("'pass")
    ('pass', 'pass', 'pass')
    """
    word = unicodedata.normalize("NFKC", word).strip().casefold()
    if word.startswith('="') and word.endswith('"') and len(word) > 2:  # what is to stay text in a spreadsheet
        word = word[2:-1]
    return word.removeprefix("'").strip()


def texts_of(content: bytes) -> Iterator[tuple[str, str]]:
    """Yields the ways in which bytes are text: what the way is called, and the text; the most likely one first."""
    marked = next(((encoding, name) for mark, encoding, name in _MARKS if content.startswith(mark)), None)
    if marked is None and b"\0" in content[:2]:  # of UTF-16 without a mark the first is of ASCII
        marked = ("utf-16-be" if content[:1] == b"\0" else "utf-16-le", "UTF-16")
    for encoding, name in [marked] if marked else _TRIED:
        try:
            yield name, content.decode(encoding)
        except UnicodeDecodeError:
            continue


def read_sheet(content: bytes, fits: Callable[[Line], bool]) -> Sheet:
    """Returns the table that a file holds, read in the first way in which all rows fit; else in the first with columns.

    Raises:
        Unreadable: it is no text, has not the columns `id` and `verdict`, or a quote in it is not closed.
    """
    first: Sheet | None = None
    heading = None
    for name, text in texts_of(content):
        separator = _separator(text)
        if separator is None:
            heading = heading or text.lstrip("\n\r").partition("\n")[0].strip()
            continue
        sheet = _parsed(text, separator, f"{name}, separated by {_SEPARATORS[separator]}")
        if all(fits(line) for line in sheet.lines):
            return sheet
        first = first or sheet
    if first is not None:
        return first
    if heading is None:
        raise Unreadable("is no text in UTF-8, UTF-16, GB18030 or Big5; save it as CSV UTF-8")
    raise Unreadable(
        f"has no heading with the columns id and verdict (编号, 结论) but {heading[:60]!r}; fill in the sheet.csv of a "
        "sample, or give the file that sheet.html saved"
    )


def _separator(text: str) -> str | None:
    """Returns what separates the columns of ours, None where there are none by any."""
    said, start = _said(text)
    if said is not None:
        return said
    line = text[start:].lstrip("\r\n").partition("\n")[0].rstrip("\r")
    named = {
        one: {_NAMES.get(plainly(cell)) for cell in next(csv.reader([line], delimiter=one), [])} for one in _SEPARATORS
    }
    able = [one for one in named if named[one].issuperset(_NEEDED)]
    return max(able, key=lambda one: len(named[one])) if able else None


def _said(text: str) -> tuple[str | None, int]:
    """Returns the separator that a first line `sep=;` names, and where the table begins."""
    line, end, _ = text.partition("\n")
    if line.lower().startswith("sep=") and line[4:5] in _SEPARATORS:
        return line[4], len(line) + len(end)
    return None, 0


def _parsed(text: str, separator: str, how: str) -> Sheet:
    _, start = _said(text)
    before = text.count("\n", 0, start)
    reader = csv.reader(io.StringIO(text[start:], newline=""), delimiter=separator, strict=True)
    limit = csv.field_size_limit(LONGEST)
    lines, names, begins = list[Line](), list[str | None](), before + 1
    heading: tuple[str, ...] = ()
    try:
        for cells in reader:
            number, begins = begins, before + reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not names:
                heading, names = tuple(cells), [_NAMES.get(plainly(cell)) for cell in cells]
                continue
            own = {name: cell for name, cell in zip(names, cells, strict=False) if name is not None}
            lines.append(Line(number, own, tuple(cells)))
    except csv.Error as error:
        raise Unreadable(f"cannot be read as {how} ({error}); a quote may not be closed", begins) from error
    finally:
        csv.field_size_limit(limit)
    ours = [name for name in names if name is not None]
    twice = sorted({name for name in ours if ours.count(name) > 1})
    if twice:
        raise Unreadable(f"has two columns for {', '.join(twice)}; take one out", before + 1)
    if not set(ours).issuperset(_NEEDED):
        raise Unreadable("has no heading with the columns id and verdict (编号, 结论)", before + 1)
    return Sheet(how, heading, tuple(names), tuple(lines))


def written(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Returns a table that any spreadsheet opens: UTF-8 with a mark, commas, lines that end as on Windows."""
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerows([heading, *rows])
    return codecs.BOM_UTF8 + file.getvalue().encode()
