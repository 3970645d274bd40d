"""A comparison as lines for a terminal or the log of a CI: short, as wide as it is told, the verdict last."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datapipe import shown
from stages.audit.compare.gating import lines as gate_lines
from stages.audit.compare.gating import verdict
from stages.audit.compare.model import SAYS, Change, Diff, Judgement, Shift, Value
from stages.audit.model import Cell, Unit
from stages.audit.page.numbers import told

MOST = 12  # rows of a table
WIDE = 120  # columns, where there is no terminal
HEAD = ("funnel.came", "funnel.kept", "funnel.dropped", "funnel.duplicates", "funnel.trained")  # told where they differ
Cells = tuple[str, ...]


def lines(diff: Diff, folders: tuple[str, str], *, width: int = WIDE, every: bool = False) -> Iterator[str]:
    """Yields the lines of a comparison; with `every` all figures that differ, and not those beyond chance alone."""
    for name, side, folder in (("A", diff.a, folders[0]), ("B", diff.b, folders[1])):
        size = f"{side.documents:,} documents, {told(side.tokens, 'tokens')} tokens"
        yield f"{name}  {folder}: {side.name}, {size}"
    yield from _block("set otherwise", ("", "", "A", "B"), _settings(diff, None if every else MOST), width, left=4)
    told_of = diff.documents
    labels = told_of.changed - told_of.text
    yield ""
    yield (
        f"documents: {told_of.only_a:,} only in A, {told_of.only_b:,} only in B, {told_of.text:,} of another text, "
        f"{labels:,} of other labels, {told_of.same:,} unchanged"
    )
    yield from _table(("documents", "why", "more of them"), _causes(diff, folders, None if every else MOST), width)
    yield from _block(
        "shifts, in bits",
        ("axis", "documents", "by chance", "", "tokens", "trained"),
        _shifts(diff.shifts),
        width,
        left=1,
    )
    differing = [one for one in diff.figures if one.says != "same"]
    told_ones = [one for one in differing if every or one.says == "beyond" or one.key in HEAD]
    title = f"figures: {len(differing):,} of {len(diff.figures):,} differ" + ("" if every else "; by more than chance")
    yield from _block(title, ("figure", "A", "B", "change", "95% interval", ""), map(_figure, told_ones), width, left=1)
    if diff.notes:
        yield ""
        yield from (f"note: {one.en}" for one in diff.notes)
    if diff.gates:
        yield ""
        yield from gates(diff.gates)
    else:
        yield ""
        yield summary(diff)


def gates(judgements: Sequence[Judgement]) -> Iterator[str]:
    """Yields the gates, a line each, and last how many passed."""
    yield from gate_lines(judgements)
    yield verdict(judgements)


def summary(diff: Diff) -> str:
    """Returns the last line of a comparison without gates."""
    told_of = diff.documents
    if not (told_of.only_a or told_of.only_b or told_of.changed):
        return "diff: the same documents in both"
    changed = f"{told_of.only_a:,} only in A, {told_of.only_b:,} only in B, {told_of.changed:,} changed"
    return f"diff: {changed}, of {told_of.same + told_of.changed + told_of.only_a + told_of.only_b:,} documents"


def _settings(diff: Diff, most: int | None) -> Iterator[Cells]:
    for one in diff.settings[:most]:
        yield one.kind, one.name, "–" if one.a is None else one.a, "–" if one.b is None else one.b
    if most is not None and len(diff.settings) > most:
        yield "", f"… and {len(diff.settings) - most:,} more (--all)", "", ""


def _causes(diff: Diff, folders: tuple[str, str], most: int | None) -> Iterator[Cells]:
    causes = diff.documents.causes
    for one in causes[:most]:
        yield f"{one.documents:,}", one.says.en, _of(one.command, folders)
    if most is not None and len(causes) > most:
        yield f"{sum(one.documents for one in causes[most:]):,}", f"{len(causes) - most:,} more causes (--all)", ""


def _of(command: str | None, folders: tuple[str, str]) -> str:
    """Returns a command with the folder in the place of A or B."""
    if command is None:
        return ""
    words = command.split(" ", 3)
    words[2] = shlex.quote(folders[0 if words[2] == "A" else 1])
    return " ".join(words)


def _shifts(shifts: Iterable[Shift]) -> Iterator[Cells]:
    axes: dict[str, dict[str, Shift]] = {}
    for one in shifts:
        axes.setdefault(one.axis, {})[one.weighting] = one
    for axis, its in axes.items():
        documents = its.get("documents")
        chance = documents.chance if documents is not None else None
        says = SAYS[documents.says].en if documents is not None else ""
        sizes = (_bits(its.get("tokens") or its.get("characters")), _bits(its.get("trained")))
        yield axis, _bits(documents), "" if chance is None else f"{chance:.2g}", says, *sizes


def _bits(shift: Shift | None) -> str:
    if shift is None:
        return ""
    return f"{shift.divergence:.3g}" + ("" if shift.most is None else f" to {shift.most:.3g}")


def _figure(one: Change) -> Cells:
    interval = (
        "" if one.low is None or one.high is None else f"{_signed(one.low, one.unit)} to {_signed(one.high, one.unit)}"
    )
    values = (_value(value, one.unit) for value in (one.a, one.b))
    return one.key, *values, "" if one.change is None else _signed(one.change, one.unit), interval, SAYS[one.says].en


def _value(value: Value | None, unit: Unit) -> str:
    return "–" if value is None else told(value.value, unit)


def _signed(number: float, unit: Unit) -> str:
    cell: Cell = int(number) if unit == "documents" and number.is_integer() else number
    text = told(cell, unit, tiny=True)
    return text if number <= 0 else f"+{text}"


# Tables


def _block(title: str, heads: Cells, rows: Iterable[Cells], width: int, *, left: int) -> Iterator[str]:
    """Yields a title and a table; nothing where there are no rows. The first `left` columns are words."""
    held = list(rows)
    if held:
        yield ""
        yield title
        yield from _table(heads, held, width, left=left)


def _table(heads: Cells, rows: Iterable[Cells], width: int, *, left: int | None = None) -> Iterator[str]:
    """Yields a table in so many columns; what is too long goes on below, and nothing in it acts on a terminal."""
    held = [tuple(map(shown, row)) for row in rows]
    if not held:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=any(heads))
    for place, head in enumerate(heads):
        number = place >= left if left is not None else place == 0 and head == "documents"
        table.add_column(head, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in held:
        table.add_row(*(Text(cell) for cell in row))
    written = io.StringIO()
    Console(file=written, width=width, color_system=None, emoji=False, highlight=False, legacy_windows=False).print(
        table
    )
    yield from (f"  {line}".rstrip() for line in written.getvalue().splitlines())
