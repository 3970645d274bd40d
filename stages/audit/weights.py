"""Shares in the three weightings of the report: documents, tokens, and tokens as a training run sees them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from stages.audit.ask import equal, show_command
from stages.audit.groups import OTHERS, SCORES
from stages.audit.hostile import harmless
from stages.audit.measures import hill
from stages.audit.model import Cell, Chart, Column, Figure, Table, Unit, Words
from stages.audit.where import NONE

Row = Mapping[str, object]

BARS: Final = 20  # of a histogram of scores
_NAME: Final = re.compile(r"[a-zA-Z0-9_]+")


@dataclass(frozen=True)
class Weighting:
    """A column of sums, and what it weighs documents by."""

    key: str
    label: Words
    unit: Unit


DOCUMENTS: Final = Weighting("documents", Words(en="documents", zh="文档"), "documents")
TOKENS: Final = Weighting("tokens", Words(en="tokens", zh="词元"), "tokens")
TRAINED: Final = Weighting("trained", Words(en="tokens as trained", zh="训练所见词元"), "tokens")
CHARACTERS: Final = Weighting("characters", Words(en="characters", zh="字符"), "characters")
BYTES: Final = Weighting("bytes", Words(en="bytes", zh="字节"), "bytes")


def weightings(table: pa.Table) -> tuple[Weighting, ...]:
    """Returns what documents of a table are weighed by: characters or bytes where no tokens are known."""
    return (DOCUMENTS, *((TOKENS, TRAINED) if total(table, "tokens") else (size_of(table),)))


def size_of(table: pa.Table) -> Weighting:
    """Returns the weighting by size that a table has: tokens, else characters, else bytes."""
    return next((one for one in (TOKENS, CHARACTERS) if total(table, one.key)), BYTES)


def total(table: pa.Table, name: str) -> int:
    """Returns the sum of a column, 0 where there is none."""
    return sum(whole(value) for value in table.column(name).to_pylist()) if name in table.column_names else 0


def whole(value: object) -> int:
    """Returns a sum of a table as a number."""
    return value if isinstance(value, int) else 0


def share(some: object, of: float) -> float | None:
    """Returns a share, None of nothing."""
    return whole(some) / of if of else None


def shown(value: object) -> Cell:
    """Returns a label as it may be shown."""
    return harmless(value, 80) if isinstance(value, str) else None


def asked(*where: str, of: Row | None = None, kept: bool | None = True) -> str | None:
    """Returns the command that lists documents of which all is so; None where no command can say a value.

    That is so of OTHERS, of what must not be shown, and of a value that would be taken for a pattern or for null.

    `of` are values by name, null asked for as `none`; `kept` are those that stayed, those that left, or (None) both.

    >>> asked("tokens>9", of={"host": "例.example", "month": None})
    "datapipe show DIR 'host=例.example' month=none 'tokens>9' --kept"
    """
    values = of or {}
    if any(isinstance(value, str) and _is_unsaid(value) for value in values.values()):
        return None
    equals = [equal(name, "none" if value is None else value) for name, value in values.items()]
    command = show_command(*equals, *where, kept=kept is True)
    return f"{command} --left" if kept is False else command


def _is_unsaid(value: str) -> bool:
    return value == OTHERS or value.strip().lower() in NONE or "*" in value or harmless(value) != value


def is_name(value: object) -> bool:
    """Returns whether a label may be a part of the key of a figure."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def ranked(table: pa.Table, *by: Weighting) -> list[dict[str, object]]:
    """Returns the rows of a small table, the heaviest first; equal ones by their labels."""
    rows: list[dict[str, object]] = table.to_pylist()
    names = [name for name in table.column_names if table.schema.field(name).type == pa.string()]
    return sorted(
        rows, key=lambda row: ([-whole(row[one.key]) for one in by], [str(row[name] or "") for name in names])
    )


def shares_table(
    key: str,
    label: Words,
    name: str,
    head: Words,
    table: pa.Table,
    ask: Callable[[Row], str | None],
    *,
    most: int = 50,
    note: Words | None = None,
) -> Table:
    """Returns the table of groups: their sums, and their shares in each weighting, as bars."""
    by = weightings(table)
    rows = ranked(table, by[-1], by[0])
    sums = {one.key: total(table, one.key) for one in by}
    cells = tuple(
        (shown(row[name]), *(cell for one in by for cell in (whole(row[one.key]), share(row[one.key], sums[one.key]))))
        for row in rows[:most]
    )
    columns = [Column(key=name, label=head, unit="text")]
    for one in by:
        columns += [amount_column(one), share_column(one)]
    return Table(
        key=key,
        label=label,
        columns=tuple(columns),
        rows=cells,
        commands=tuple(ask(row) for row in rows[:most]),
        of=len(rows) if len(rows) > most else None,
        chart=Chart(kind="bar", x=name, y=tuple(f"{one.key}_share" for one in by)),
        note=note,
    )


def amount_column(one: Weighting) -> Column:
    """Returns the column of sums of a weighting."""
    return Column(key=one.key, label=one.label, unit=one.unit)


def share_column(one: Weighting) -> Column:
    """Returns the column of shares in a weighting."""
    label = Words(en=f"share of {one.label.en}", zh=f"{one.label.zh}占比")
    return Column(key=f"{one.key}_share", label=label, unit="share")


def effective(key: str, of: Words, table: pa.Table, name: str, command: str | None = None) -> Iterable[Figure]:
    """Yields the effective number of groups, exp of the entropy, in each weighting; null labels are left out."""
    rows = [row for row in table.to_pylist() if row[name] is not None]
    for one in weightings(table):
        label = Words(en=f"effective number of {of.en}, by {one.label.en}", zh=f"有效{of.zh}数（按{one.label.zh}加权）")
        value = hill([whole(row[one.key]) for row in rows], 1)
        yield Figure(key=f"{key}.effective.{one.key}", label=label, value=value, unit="number", command=command)


def share_figures(
    key: str, table: pa.Table, name: str, ask: Callable[[Row], str | None], *, most: int = 12
) -> Iterable[Figure]:
    """Yields the shares of the largest groups in each weighting, as `key.GROUP.WEIGHTING`."""
    by = weightings(table)
    sums = {one.key: total(table, one.key) for one in by}
    for row in [row for row in ranked(table, by[-1], by[0]) if is_name(row[name])][:most]:
        for one in by:
            label = Words(en=f"{row[name]}: share of {one.label.en}", zh=f"{row[name]}：{one.label.zh}占比")
            yield Figure(
                key=f"{key}.{row[name]}.{one.key}",
                label=label,
                value=share(row[one.key], sums[one.key]),
                unit="share",
                command=ask(row),
            )


def crossed(
    key: str,
    label: Words,
    table: pa.Table,
    row: tuple[str, Words],
    across: tuple[str, Words],
    *,
    most: tuple[int, int] = (25, 12),
    note: Words | None = None,
) -> Table:
    """Returns a cross table as a heat map: for each of `row` the shares of `across` in tokens (or what there is)."""
    size = size_of(table)
    names = [_heaviest(table, name, size, limit) for (name, _), limit in zip((row, across), most, strict=True)]
    sums: dict[object, int] = {}
    for one in table.to_pylist():
        sums[one[row[0]]] = sums.get(one[row[0]], 0) + whole(one[size.key])
    found = {(one[row[0]], one[across[0]]): one for one in table.to_pylist()}
    pairs = [(first, second) for first in names[0] for second in names[1] if (first, second) in found]
    cells = [
        (
            shown(first),
            shown(second),
            share(found[first, second][size.key], sums[first]),
            whole(found[first, second][size.key]),
            whole(found[first, second]["documents"]),
        )
        for first, second in pairs
    ]
    inside = Words(en=f"share of {size.label.en} of its row", zh=f"占该行{size.label.zh}之比")
    return Table(
        key=key,
        label=label,
        columns=(
            Column(key=row[0], label=row[1], unit="text"),
            Column(key=across[0], label=across[1], unit="text"),
            Column(key="share", label=inside, unit="share"),
            Column(key=size.key, label=size.label, unit=size.unit),
            Column(key="documents", label=DOCUMENTS.label, unit="documents"),
        ),
        rows=tuple(cells),
        commands=tuple(asked(of={row[0]: first, across[0]: second}) for first, second in pairs),
        of=len(found) if len(found) > len(pairs) else None,
        chart=Chart(kind="heat", x=across[0], y=("share",), rows=row[0]),
        note=note,
    )


def _heaviest(table: pa.Table, name: str, size: Weighting, most: int) -> list[object]:
    sums: dict[object, int] = {}
    for row in table.to_pylist():
        sums[row[name]] = sums.get(row[name], 0) + whole(row[size.key])
    return sorted(sums, key=lambda one: (-sums[one], str(one or "")))[:most]


def between(name: str, bar: int, *, kept: bool | None = True) -> str | None:
    """Returns the command of the documents whose score lies in a bar."""
    upper = [f"{name}<{(bar + 1) / BARS:g}"] if bar < BARS - 1 else []
    return asked(f"{name}>={bar / BARS:g}", *upper, kept=kept)


def score_bars(table: pa.Table, step: str, ones: Sequence[Weighting]) -> dict[int, list[int]]:
    """Returns the sums of a table by bars of its column of `groups.score_band`, without those that have no score."""
    sums: dict[int, list[int]] = {}
    for row in table.to_pylist():
        if row[step] is not None:
            bar = sums.setdefault(min(whole(row[step]) * BARS // SCORES, BARS - 1), [0] * len(ones))
            for place, one in enumerate(ones):
                bar[place] += whole(row[one.key])
    return sums


def score_table(
    key: str,
    label: Words,
    name: str,
    step: str,
    table: pa.Table,
    note: Words | None = None,
    *,
    kept: bool | None = True,
) -> Table:
    """Returns the histogram of scores from 0 to 1; `name` is what `show` knows them by."""
    ones = weightings(table)
    sums = score_bars(table, step, ones)
    bars = range(min(sums), BARS)
    return Table(
        key=key,
        label=label,
        columns=(
            Column(key="score", label=Words(en="score, from", zh="得分（下限）"), unit="number"),
            *(amount_column(one) for one in ones),
        ),
        rows=tuple((bar / BARS, *sums.get(bar, [0] * len(ones))) for bar in bars),
        commands=tuple(between(name, bar, kept=kept) for bar in bars),
        chart=Chart(kind="histogram", x="score", y=tuple(one.key for one in ones)),
        note=note,
    )


def quantile(bands: Sequence[tuple[int, int, int]], part: float) -> tuple[float, int, int] | None:
    """Returns a quantile of sizes from (least, greatest, amount) of ascending bins, and the borders of its bin.

    It is the size at which `part` of the whole amount is reached, linear in its bin; the true one lies in that bin,
    which holds it for sure. None of nothing.

    >>> quantile([(1, 1, 5), (2, 3, 4), (4, 7, 1)], 0.5), quantile([(1, 1, 5), (2, 3, 4), (4, 7, 1)], 0.7)
    ((1.0, 1, 1), (2.5, 2, 3))
    """
    amount = math.fsum(band[2] for band in bands)
    wanted, before = part * amount, 0.0
    for least, greatest, held in bands:
        if held and before + held >= wanted - 1e-9 * amount:
            return least + (greatest - least) * max(0.0, wanted - before) / held, least, greatest
        before += held
    return None
