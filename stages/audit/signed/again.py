"""Figures of a report computed again from the published files, by another way than the report's: the commands it names.

A figure, or a cell of a table, that says how many documents or tokens something is true of names the command that lists
them. Here that command is run, what it finds is counted, tokens as trained are added up from the pieces of samples, and
shares are taken of that; effective numbers and the like are computed from the sums of each name. What of a report says
which of these is in MEANINGS; all else (intervals, quantiles, what is seen in texts) no command tells: `anew` makes the
whole report again and compares.
"""

from __future__ import annotations

import hashlib
import math
import re
import shlex
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import LEAVING, ConfigError, storage
from stages.audit.groups import derived
from stages.audit.matching import Asked, matching, trained_of
from stages.audit.model import Audit, Cell, Section
from stages.audit.standing import TOPICS, digests, read_run, version
from stages.audit.tables import Tables, place_of, table_of
from stages.audit.where import Condition
from stages.corpus.corpus import REMOVED

CLOSE: Final = 1e-5  # relative: a report rounds to six digits
SIZES: Final = ("bytes", "characters", "tokens")
TRAINED: Final = "trained"
LEFT: Final = "left_bytes"  # of documents that left
_ALL: Final = "datapipe show DIR"
_KEPT: Final = "datapipe show DIR --kept"
_AXES: Final = {
    "hosts": "host",
    "domains": "domain",
    "tlds": "tld",
    "sources": "source",
    "licences": "licence",
    "languages": "language",
    "scripts": "script",
    "formats": "format",
}
_SUM: Final = "|".join(("documents", TRAINED, *SIZES))

Number = int | float
Sums = Mapping[str, int]


@dataclass(frozen=True)
class Told:
    """A number of a report that can be computed again: where it stands, and by which meaning of its command."""

    place: str
    value: Number
    command: str
    meaning: str

    def drawn_by(self, seed: int) -> bytes:
        """Returns what numbers are drawn by: the least first."""
        return hashlib.sha256(f"{seed} {self.place}".encode()).digest()


# What a number says of the documents that its command lists. A cell is called `table/column`. The first that fits.
MEANINGS: Final[tuple[tuple[str, str], ...]] = (
    (r"summary\.what", "documents"),
    (r"summary\.seen", TRAINED),
    (r"funnel\.(came|kept|dropped|duplicates|seen)", "documents"),
    (r"funnel\.kept_share", "of_came"),
    (r"funnel\.trained", TRAINED),
    (r"funnel\.(source|language)/came", "documents"),
    (r"funnel\.(source|language)/(kept|bytes|tokens|trained)", r"\2"),
    (r"funnel\.(source|language)/share", "survival"),
    (r"funnel\.(source|language)/dropped", "left_by:drop"),
    (r"funnel\.(source|language)/duplicates", "left_by:duplicate_of"),
    (r"funnel\.(rules|lost|noted)/documents", "documents"),
    (r"funnel\.(rules|lost)/bytes", LEFT),
    (r"rules\.sole[0-9]+", "documents"),
    (r"survival\.(chinese|language|script|format|source|tld)/documents", "documents"),
    (r"survival\.(chinese|language|script|format|source|tld)/all", "survival"),
    (r"survival\.(copies|host)/taken", "documents"),
    (
        rf"(hosts|domains|tlds|sources|licences|languages|scripts|formats)\.(effective|hill2|top10)\.({_SUM})",
        r"\2:\1:\3",
    ),
    (rf"(hosts|domains|tlds|sources|licences)\.top1\.({_SUM})", r"top1:\1:\2"),
    (rf"(hosts|domains)\.gini\.({_SUM})", r"gini:\1:\2"),
    (r"(hosts|domains|tlds|sources|licences)\.number", r"number:\1:documents"),
    (r"(hosts|domains|tlds|sources)\.came", r"came:\1:documents"),
    (r"(hosts|domains|tlds|sources)\.top/documents", "documents"),
    (r"(hosts|domains|tlds|sources)\.top/came", "came_of"),
    (r"(hosts|domains|tlds|sources)\.top/survival", "kept_of"),
    (rf"hosts\.none\.({_SUM})", r"share:\1"),
    (rf"tail\.(clusters2|archive|address|none)\.({_SUM})", r"share:\2"),
    (rf"tail\.(clusters|origins)/({_SUM})", r"\2"),
    (rf"tail\.(clusters|origins)/({_SUM})_share", r"share:\2"),
    (r"sweep\.scored", "documents"),
    (rf"sweep\.thresholds/({_SUM})", r"\1"),
    (rf"(language|script|format)\.[A-Za-z0-9_]+\.({_SUM})", r"share:\2"),
    (rf"kinds\.(languages|scripts|formats|certainty|switching)/({_SUM})", r"\2"),
    (rf"kinds\.(languages|scripts|formats)/({_SUM})_share", r"share:\2"),
    (r"kinds\.(language_format|source_language|source_script|tld_script)/(documents|tokens)", r"\2"),
    (r"kinds\.han/documents", "documents"),
    (rf"sizes\.(quality_below50|era_before|era_after|era_none|uncrawled)\.({_SUM})", r"share:\2"),
    (rf"sizes\.(characters|tokens|quality|months|years|url_years)/({_SUM})", r"\2"),
    (rf"sizes\.(months|years|url_years)/({_SUM})_share", r"share:\2"),
    (r"sizes\.(characters|tokens)_quantiles/documents", "documents"),
    (r"sizes\.quality_(source|language)(_bars)?/documents", "documents"),
    (r"sizes\.bytes/stayed", "kept"),
    (r"sizes\.bytes/survival", "survival"),
    (r"fertility\.tokens_per_character", "rate:tokens:characters"),
    (r"fertility\.bytes_per_token", "rate:bytes:tokens"),
    (r"fertility\.(languages|sources)/(documents|tokens)", r"\2"),
    (r"fertility\.(languages|sources)/per_character", "rate:tokens:characters"),
    (r"fertility\.(languages|sources)/per_token", "rate:bytes:tokens"),
    (r"duplicates\.(removed|steps/documents|similarity/documents)", "documents"),
    (r"duplicates\.removed_share", "of_came"),
    (r"duplicates\.steps/bytes", LEFT),
    (r"duplicates\.times/(documents|tokens|trained)", r"\1"),
    (rf"risk\.pii\.({_SUM})", r"share:\1"),
    (r"risk\.pii_sources/held", "documents"),
    (r"risk\.contamination/(documents|tokens|trained)", r"\1"),
    (rf"provenance\.(url|date|licence|file|place)\.({_SUM})", r"lack:\2"),
    (rf"licences\.unknown\.({_SUM})", r"share:\1"),
    (r"provenance\.sources/documents", "documents"),
    (rf"provenance\.licences/({_SUM})", r"\1"),
    (rf"provenance\.licences/({_SUM})_share", r"share:\1"),
    (r"provenance\.source_licences/(documents|tokens)", r"\1"),
)
_PATTERNS: Final = tuple((re.compile(pattern), meaning) for pattern, meaning in MEANINGS)
_COMMANDS: Final = {"summary.what": _KEPT, "summary.seen": _KEPT}  # of what names none


def told(audit: Audit) -> tuple[list[Told], int]:
    """Returns the numbers of a report that can be computed again, and how many others there are."""
    found, others = [], 0
    for place, name, value, command in numbers(audit):
        if isinstance(value, str) or value is None:
            continue
        meaning, asked = _meaning(name), _COMMANDS.get(name) or command
        if meaning is None or asked is None or not asked.startswith(_ALL):
            others += 1
        else:
            found.append(Told(place, value, asked, meaning))
    return found, others


def numbers(audit: Audit) -> Iterator[tuple[str, str, Cell, str | None]]:
    """Yields all figures and cells of a report: where it stands, what it is called, its value and its command.

    An interval is a number of its own.
    """
    for section in audit.sections:
        yield from _numbers_of(section)


def _numbers_of(section: Section) -> Iterator[tuple[str, str, Cell, str | None]]:
    for figure in section.figures:
        yield figure.key, figure.key, figure.value, figure.command
        yield from ((f"{figure.key} ({end})", "", value, None) for end, value in _ends(figure.low, figure.high))
    for table in section.tables:
        for number, row in enumerate(table.rows):
            command = table.commands[number] if table.commands else None
            label = next((cell for cell in row if isinstance(cell, str)), None)
            where = f"row {number + 1}" + (f" ({label})" if label else "")
            for column, cell in zip(table.columns, row, strict=True):
                name = f"{table.key}/{column.key}"
                yield f"{table.key}, {where}, {column.key}", name, cell, command


def _ends(low: float | None, high: float | None) -> Iterator[tuple[str, float]]:
    yield from ((name, value) for name, value in (("low", low), ("high", high)) if value is not None)


@cache
def _meaning(name: str) -> str | None:
    for pattern, meaning in _PATTERNS:
        if found := pattern.fullmatch(name):
            return found.expand(meaning)
    return None


def again(tables: Tables, audit: Audit, *, most: int | None, seed: int) -> Iterator[tuple[Told, Number | str | None]]:
    """Yields `most` numbers of a report drawn by a hash of (seed, place), and what the data say of each.

    That is None where the data do not tell it, and a sentence where its command cannot be run.
    """
    drawn = sorted(told(audit)[0], key=lambda one: one.drawn_by(seed))[:most]
    data = Data(tables)
    for one in sorted(drawn, key=lambda one: one.command):
        try:
            yield one, data.value(one)
        except (ConfigError, ValueError) as error:
            yield one, str(error)


def same(said: Number, found: Number) -> bool:
    """Returns whether a report says a number; it rounds what is no whole one."""
    return said == found if isinstance(found, int) else math.isclose(said, found, rel_tol=CLOSE, abs_tol=1e-12)


@dataclass(frozen=True)
class Data:
    """The published files of a run, as they are counted here: one command after another, each once."""

    tables: Tables
    _held: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def value(self, one: Told) -> Number | None:
        """Returns what the data say of a number; None where they do not tell it."""
        name, *of = one.meaning.split(":")
        found = _VALUES[name](self, one.command, *of) if name in _VALUES else self.sum_of(one.command, name)
        return None if isinstance(found, float) and math.isnan(found) else found

    def sum_of(self, command: str, name: str) -> int | None:
        """Returns documents, or the size of those that stayed, of what a command lists; None where no size is known."""
        return self.counted(command)[name] if name in self.names else None

    @cached_property
    def names(self) -> frozenset[str]:
        """The sums that can be taken."""
        there = _names(self.tables.kept[0]) if self.tables.kept else ()
        left = _names(self.tables.ledger[0]) if self.tables.ledger else ()
        sizes = (name for name in SIZES if name in there)
        return frozenset(
            ("documents", "kept", *sizes, *([TRAINED] if self.trained else []), *([LEFT] if "bytes" in left else []))
        )

    @cached_property
    def trained(self) -> Mapping[str, npt.NDArray[np.int64]]:
        """Tokens of each row of each file of the index in training samples."""
        return trained_of(self.tables)

    def counted(self, command: str, more: str = "") -> Counter[str]:
        """Returns the sums over what a command lists, with one more condition."""
        if (command, more) not in self._held:
            asked = asked_of(command)
            conditions = (*asked.conditions, *([Condition.parse(more)] if more else []))
            self._held[command, more] = self._count(Asked(conditions, asked.stage, asked.rule, asked.kept, asked.left))
        return self._held[command, more]

    def _count(self, asked: Asked) -> Counter[str]:
        sums: Counter[str] = Counter()
        for kept, path, rows, _, first in matching(self.tables, asked):
            sums["documents"] += len(rows)
            sums["kept"] += len(rows) if kept else 0
            with table_of(path) as file:
                sizes = [name for name in (SIZES if kept else ("bytes",)) if name in file.schema_arrow.names]
                table = file.read_row_group(place_of(file, first)[0], columns=sizes).take(pa.array(rows))
            for name in sizes:
                sums[name if kept else LEFT] += pc.sum(table.column(name)).as_py() or 0
            if kept and path in self.trained:
                sums[TRAINED] += int(self.trained[path][first + rows].sum())
        return sums

    # By name

    def by_name(self, axis: str, weighting: str) -> npt.NDArray[np.float64]:
        """Returns the sum of documents or tokens of each name that documents which stayed have, ascending."""
        found = self._names_of(axis)
        sums = [one[weighting] for one in found.values() if one["documents"]]
        return np.sort(np.array(sums, np.float64))

    def _names_of(self, axis: str) -> Mapping[str, Counter[str]]:
        key = ("name", axis)
        if key not in self._by_axis:
            self._by_axis[key] = self._count_names(axis)
        return self._by_axis[key]

    @cached_property
    def _by_axis(self) -> dict[tuple[str, str], Mapping[str, Counter[str]]]:
        return {}

    def _count_names(self, axis: str) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {}
        column = "host" if axis in ("domain", "tld") else axis
        for path in self.tables.kept:
            first = 0
            with table_of(path) as file:
                names = [name for name in (column, "split", *SIZES) if name in file.schema_arrow.names]
                for group in range(file.num_row_groups) if column in names else ():
                    table = file.read_row_group(group, columns=names)
                    labels = derived(table, axis)
                    stays = np.asarray(pc.fill_null(pc.not_equal(labels, ""), False))
                    if "split" in names:
                        stays &= np.asarray(pc.fill_null(pc.not_equal(table.column("split"), REMOVED), True))
                    sums: dict[str, pa.ChunkedArray] = {
                        name: pc.fill_null(table.column(name), 0) for name in SIZES if name in names
                    }
                    if path in self.trained:
                        sums[TRAINED] = pa.chunked_array([self.trained[path][first : first + len(table)]])
                    first += len(table)
                    _add(found, pa.table({"label": labels, **sums}).filter(pa.array(stays)))
        return found

    def came(self, axis: str) -> int | None:
        """Returns how many names the documents had that came."""
        labels = set(self._names_of(axis))
        column = "host" if axis in ("domain", "tld") else axis
        for path in self.tables.ledger:
            with table_of(path) as file:
                if column not in file.schema_arrow.names:
                    return None
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=[column, "action"])
                    left = table.filter(pc.is_in(table.column("action"), pa.array(LEAVING)))
                    labels.update(name for name in pc.unique(derived(left, axis)).to_pylist() if name)
        return len(labels)


def _names(path: str) -> Sequence[str]:
    with table_of(path) as file:
        names: list[str] = file.schema_arrow.names
        return names


def _add(found: dict[str, Counter[str]], table: pa.Table) -> None:
    names = [name for name in table.column_names if name != "label"]
    counted = table.group_by("label").aggregate([*((name, "sum") for name in names), ([], "count_all")])
    for row in counted.to_pylist():
        own = found.setdefault(row["label"], Counter())
        own["documents"] += row["count_all"]
        for name in names:
            own[name] += row[f"{name}_sum"] or 0


def asked_of(command: str) -> Asked:
    """Returns what a command of a report asks for. Raises ConfigError or ValueError where it is none.

    >>> asked_of("datapipe show DIR 'host=a.cn' --stage quality").stage
    'quality'
    """
    conditions: list[Condition] = []
    options: dict[str, str | None] = {}
    of_kept: bool | None = None
    words = iter(shlex.split(command)[3:])
    for word in words:
        if word in ("--kept", "--left"):
            of_kept = word == "--kept"
        elif word in ("--stage", "--rule"):
            options[word[2:]] = next(words, None)
        else:
            conditions.append(Condition.parse(word))
    stage, rule = options.get("stage"), options.get("rule")
    noted = any(condition.name == "noted" for condition in conditions)
    leaving = (stage is not None and not noted) or rule is not None
    return Asked(tuple(conditions), stage, rule, kept=of_kept is not False and not leaving, left=of_kept is not True)


# What numbers mean


def _part(some: Number | None, of: Number | None) -> float | None:
    return None if some is None or not of else some / of


def _share(data: Data, command: str, name: str) -> float | None:
    return _part(data.sum_of(command, name), data.sum_of(_KEPT, name))


def _lack(data: Data, command: str, name: str) -> float | None:
    found = _share(data, command, name)
    return None if found is None else 1 - found


def _survival(data: Data, command: str) -> float | None:
    return _part(data.sum_of(command, "kept"), data.sum_of(command, "documents"))


def _came_of(data: Data, command: str) -> int | None:
    return data.sum_of(command.removesuffix(" --kept"), "documents")


def _hill(order: int) -> Callable[..., Number | None]:
    def effective(data: Data, command: str, axis: str, weighting: str) -> float | None:
        sums = data.by_name(_AXES[axis], weighting)
        if weighting not in data.names or not sums.sum():
            return None
        parts = sums[sums > 0] / sums.sum()
        return float(np.exp(-(parts * np.log(parts)).sum())) if order == 1 else float(1 / (parts**2).sum())

    return effective


def _top(most: int) -> Callable[..., Number | None]:
    def top(data: Data, command: str, axis: str, weighting: str) -> float | None:
        sums = data.by_name(_AXES[axis], weighting)
        return _part(sums[-most:].sum(), sums.sum()) if weighting in data.names else None

    return top


def _gini(data: Data, command: str, axis: str, weighting: str) -> float | None:
    sums = data.by_name(_AXES[axis], weighting)
    sums = sums[sums > 0]
    if weighting not in data.names or not len(sums):
        return None
    ranks = np.arange(1, len(sums) + 1)
    return float(abs(2 * (ranks * sums).sum() / (len(sums) * sums.sum()) - (len(sums) + 1) / len(sums)))


_VALUES: Final[Mapping[str, Callable[..., Number | None]]] = {
    "share": _share,
    "lack": _lack,
    "of_came": lambda data, command: _part(data.sum_of(command, "documents"), data.sum_of(_ALL, "documents")),
    "survival": _survival,
    "kept_of": lambda data, command: _survival(data, command.removesuffix(" --kept")),
    "came_of": _came_of,
    "left_by": lambda data, command, action: data.counted(command, f"action={action}")["documents"],
    "rate": lambda data, command, some, of: _part(data.sum_of(command, some), data.sum_of(command, of)),
    "effective": _hill(1),
    "hill2": _hill(2),
    "top1": _top(1),
    "top10": _top(10),
    "gini": _gini,
    "number": lambda data, command, axis, weighting: len(data.by_name(_AXES[axis], weighting)),
    "came": lambda data, command, axis, weighting: data.came(_AXES[axis]),
}


# All of it


def anew(folder: str, audit: Audit) -> Iterator[tuple[str, Cell, Cell]]:
    """Yields (place, said, found) of all that a report says and one made anew says otherwise.

    Raises:
        ConfigError: another datapipe made it, so that this one may say other things.
        DataError: what the run published is damaged.
    """
    if audit.code_version != version():
        raise ConfigError(f"datapipe {audit.code_version} made it, and this is {version()}")
    from stages.audit.report import assemble  # noqa: PLC0415 - seldom asked for, and long to load
    from stages.audit.run import facts_of  # noqa: PLC0415

    run, now = read_run(folder), digests(folder)
    with tempfile.TemporaryDirectory(prefix="datapipe-verify-") as place:
        own = facts_of(storage.absolute(folder), place=place, seed=audit.seed, executor="local", keep="none")
        made = assemble(run, own, now).audit
        if made.sections != audit.sections and storage.exists(storage.join(folder, TOPICS)):
            model = storage.join(storage.absolute(folder), TOPICS)  # of an earlier report, perhaps
            place = storage.join(place, "topics")
            frozen = facts_of(
                storage.absolute(folder), place=place, seed=audit.seed, topics=model, executor="local", keep="none"
            )
            made = min(made, assemble(run, frozen, now).audit, key=lambda one: len(list(_differing(audit, one))))
    yield from _differing(audit, made)


def _differing(audit: Audit, made: Audit) -> Iterator[tuple[str, Cell, Cell]]:
    """Yields (place, said, found) of numbers that are others, and of sections that are others by words alone."""
    mine, others = ({one.key: one for one in both.sections} for both in (audit, made))
    for key in dict.fromkeys([*mine, *others]):
        own, other = mine.get(key), others.get(key)
        here, there = ({place: value for place, _, value, _ in _numbers_of(one)} if one else {} for one in (own, other))
        if own != other and here == there:
            yield f"{key}, what it says beside numbers (SHA-256)", _digest(own), _digest(other)
        for place in dict.fromkeys([*here, *there]):
            if here.get(place) != there.get(place):
                yield place, here.get(place), there.get(place)
    if audit.missing != made.missing:
        yield (
            "what it could not tell",
            "; ".join(one.en for one in audit.missing),
            "; ".join(one.en for one in made.missing),
        )


def _digest(section: Section | None) -> str:
    return hashlib.sha256(section.model_dump_json().encode() if section else b"").hexdigest()[:12]
