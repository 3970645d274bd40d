"""What other limits would keep: the verdicts of a finished run once more, from its signals, without text or models.

What leaves the step itself is exact, document by document: the rules are evaluated as a rerun evaluates them. What
later steps do is an estimate, and labelled so. Documents that stay either way have the fate that they had. Those that
would come anew survive later steps as those did that came from the same source in the same language; the interval is
that of their number if they are drawn independently (95 %), which says nothing of documents that push each other out,
as duplicates do. Where a later step splits a document, its whole is what is counted.

Memory is bounded by a batch of rows, by an entry for each source, language, script and host, and by a part of the
ledger: where more documents left later than `IDS_AT_ONCE`, the signals are read once for each part of the ids.
"""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray

from datapipe import LEAVING, ConfigError, DataError, storage
from stages.quality.judge import Verdict, judge
from stages.quality.stage import METADATA
from stages.quality.tables import SIDES, Rule, Table, near, of_plain, override

SLICES = ("source", "language", "script", "host", "format")
SHOWN = ("source", "language", "script", "host")
IDS_AT_ONCE = 1 << 25
ROWS_AT_ONCE = 1 << 16
_COLUMNS = ("id", "source", "host", "language", "script", "format", "bytes", "profile", "rule")
_NONE = "(none)"
_FILES = re.compile(r"(?P<step>part|quality\d+)-.*\.parquet")  # other steps leave signals too

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Step:
    """A quality step of a finished run: its signal files, how it judged, and the steps behind it."""

    name: str
    files: tuple[str, ...]
    columns: tuple[str, ...]
    also: tuple[str, ...]
    tables: dict[str, Table]
    later: tuple[str, ...]
    documents: int  # that it judged, as the report says

    def rules(self, profile: str) -> tuple[Rule, ...]:
        """Returns the rules that documents of a profile are judged by, in order."""
        return (*self.tables[profile].rules, *(rule for name in self.also for rule in self.tables[name].rules))


@dataclass
class Amounts:
    """Documents, or their bytes: that came to the step, that stayed, that would stay."""

    came: int = 0
    before: int = 0
    after: int = 0

    def add(self, came: float, before: float, after: float) -> None:
        """Adds to all three."""
        self.came += round(came)
        self.before += round(before)
        self.after += round(after)


@dataclass
class Slice:
    """The amounts of one source, language, script, host or format."""

    documents: Amounts = field(default_factory=Amounts)
    bytes: Amounts = field(default_factory=Amounts)


@dataclass
class Fired:
    """How many documents a rule fired on, and on how many it alone did, before and after."""

    before: int = 0
    after: int = 0
    sole_before: int = 0
    sole_after: int = 0


@dataclass
class Stratum:
    """Documents of one source and language: those that stayed, by later step (`left`); those that would come anew."""

    stayed: int
    left: NDArray[np.int64]  # [later steps]
    new: int = 0
    new_bytes: int = 0


@dataclass(frozen=True)
class Estimate:
    """What comes out of a later step: as it was, and as it would be, with the borders of the interval (documents)."""

    step: str
    documents_before: int
    bytes_before: int
    documents: float
    low: float
    high: float
    bytes: float


@dataclass
class Answer:
    """What the limits would change."""

    step: str
    settings: tuple[str, ...]
    total: Slice = field(default_factory=Slice)
    slices: dict[str, dict[str, Slice]] = field(default_factory=lambda: {name: {} for name in SLICES})
    rules: dict[str, Fired] = field(default_factory=dict)
    later: tuple[Estimate, ...] = ()


def whatif(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="the --out folder of a finished run", show_default=False)
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="STEP.rules.ID.min=0.2 (or .max, .pareto, .seed; null takes it away), or …ID=off"),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="source, language, script, host or format; the first four if left out")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="how many of each are shown, those that change most")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="everything as JSON")] = False,
) -> None:
    """Say what other limits of a quality step would keep, from the signals of a finished run."""
    for name in by or ():
        if name not in SLICES:
            raise ConfigError(f"--by {name}: is none of what is counted{near(name, SLICES)}")
    answer = ask(folder, settings or ())
    shown = tuple(by or SHOWN)
    lines = [json.dumps(to_json(answer, shown, top), ensure_ascii=False, indent=1)] if as_json else None
    for line in lines or describe(answer, shown, top):
        typer.echo(line)


def ask(folder: str, settings: Sequence[str]) -> Answer:
    """Returns what a finished run would have kept with other limits.

    Raises:
        ConfigError: the run left no signals, or a setting names what is not there or cannot be told from signals.
        DataError: the signals are not those of the verdicts beside them, or not of all documents.
    """
    step, limits = _understand(find_steps(folder), settings)
    changed = replace(step, tables=override(step.tables, limits))
    answer = Answer(step.name, tuple(settings))
    strata: dict[tuple[str, str], Stratum] = {}
    alive = np.zeros((2, 2, len(step.later)), np.int64)  # [stayed; stays either way][documents, bytes][later steps]
    for first, last in _parts(folder, step):
        left = _left(folder, step, first, last)
        for rows in _read(step, first, last):
            _count(rows, step, changed, answer, left, strata, alive)
    if answer.total.documents.came != step.documents:
        raise DataError(
            f"{step.name}: signals/ has {answer.total.documents.came:,} documents, the report says that "
            f"{step.documents:,} were judged: files are missing or of another run; run again"
        )
    answer.later = tuple(_estimates(step, strata, alive))
    return answer


def find_steps(folder: str) -> dict[str, Step]:
    """Returns the quality steps of a finished run by name. Raises ConfigError where it has none, or is not finished."""
    report = storage.read_if_there(storage.join(folder, "reports", "report.json"))
    if report is None:
        raise ConfigError(f"{folder}: holds no reports/report.json; give the --out folder of a run that has finished")
    stages = {stage["stage"]: stage for stage in json.loads(report)["stages"] if stage["documents_in"]}
    names = list(stages)
    files: dict[str, list[str]] = {}
    for path in storage.list_folder(storage.join(folder, "signals")):
        if its := _FILES.fullmatch(os.path.basename(path)):
            files.setdefault(its["step"], []).append(path)
    found = {}
    for paths in files.values():
        with _parquet(paths[0]) as file:
            schema = file.schema_arrow
        if METADATA in (schema.metadata or {}):
            told = json.loads(schema.metadata[METADATA])
            later = names[names.index(told["step"]) + 1 :] if told["step"] in names else ()
            tables = {name: of_plain(table) for name, table in told["tables"].items()}
            columns, also = tuple(schema.names), tuple(told["also"])
            documents = _judged(stages[told["step"]]) if told["step"] in stages else 0
            found[told["step"]] = Step(told["step"], tuple(paths), columns, also, tables, tuple(later), documents)
    if not found:
        raise ConfigError(
            f"{folder}: holds no signals with their rules in it; a run leaves them whose config has a step `quality` "
            "(of this version: run again if it is older)"
        )
    return found


def _judged(stage: Mapping[str, Any]) -> int:  # Any: JSON
    """Returns the documents that a stage of the report judged: all that came but those that were set aside."""
    aside = sum(rule["documents"] for rule in stage["rules"] if rule["action"] == "quarantine")
    return int(stage["documents_in"] - aside)


def _understand(steps: Mapping[str, Step], settings: Sequence[str]) -> tuple[Step, dict[str, dict[str, float | None]]]:
    """Returns the step that the settings speak of, and the limits that they give."""
    limits: dict[str, dict[str, float | None]] = {}
    chosen: Step | None = None
    for setting in settings:
        key, equals, value = setting.partition("=")
        name, _, rest = key.partition(".")
        word, _, rest = rest.partition(".")
        if not equals or word not in ("rules", "limits") or not rest:
            raise ConfigError(f"--set {setting}: is not of the form STEP.rules.ID.min=NUMBER or STEP.rules.ID=off")
        if name not in steps:
            raise ConfigError(f"--set {setting}: no step that left signals is called '{name}'{near(name, steps)}")
        if chosen is not None and chosen.name != name:
            raise ConfigError(f"--set {setting}: is of another step than {chosen.name}; ask for one step at a time")
        chosen = steps[name]
        for identifier, side, number in _limits(chosen, rest, value, setting):
            limits.setdefault(identifier, {})[side] = number
    if chosen is None:
        if len(steps) > 1:
            raise ConfigError(f"several steps left signals ({', '.join(steps)}); say which by --set STEP.rules.…")
        chosen = next(iter(steps.values()))
    return chosen, limits


def _limits(step: Step, rest: str, value: str, setting: str) -> Iterator[tuple[str, str, float | None]]:
    """Yields (rule, side, limit) of what stands behind STEP.rules. in a setting."""
    ids = {rule.id for table in step.tables.values() for rule in table.rules}
    lines = {rule.id for table in step.tables.values() for rule in table.lines}
    off = value.strip().lower() == "off"
    identifier, _, side = (rest, "", "off") if rest in ids | lines else rest.rpartition(".")
    if not identifier:
        identifier, side = rest, "off"
    if identifier in lines:
        raise ConfigError(f"--set {setting}: '{identifier}' works on lines, which signals do not hold: run again")
    if identifier not in ids:
        raise ConfigError(f"--set {setting}: {step.name} has no rule '{identifier}'{near(identifier, sorted(ids))}")
    if side == "off" and off:
        yield from ((identifier, name, None) for name in SIDES[:3])
        return
    if side not in SIDES:
        wanted = f"'{side}' is no side of a rule{near(side, SIDES)}" if side != "off" else f"give {rest}.min, or =off"
        raise ConfigError(f"--set {setting}: {wanted}")
    for table in step.tables.values():
        for rule in table.rules:
            if rule.id == identifier and rule.signal not in step.columns:
                raise ConfigError(f"--set {setting}: the signal '{rule.signal}' was not kept: run again")
    if value.strip().lower() in ("null", "none", "~"):
        yield identifier, side, None
        return
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"--set {setting}: {value!r} is no number")
    yield identifier, side, number


# Reading


@contextmanager
def _parquet(path: str) -> Iterator[pq.ParquetFile]:
    """Opens a file of the run. Raises DataError where it is damaged."""
    with storage.open_shard(path) as file:
        try:
            yield pq.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: is no whole Parquet file ({error}); run again") from error


def _ledger(folder: str) -> list[str]:
    paths = storage.list_folder(storage.join(folder, "ledger"))
    return [path for path in paths if path.endswith(".parquet")]


def _parts(folder: str, step: Step) -> Iterator[tuple[int, int]]:
    """Yields ranges of ids (of their first 64 bits, both borders in), as many as the ledger is large."""
    rows = 0
    for path in _ledger(folder) if step.later else ():
        with _parquet(path) as file:
            rows += file.metadata.num_rows
    parts = max(1, -(-rows // IDS_AT_ONCE))
    for part in range(parts):
        yield part * 2**64 // parts, (part + 1) * 2**64 // parts - 1


def _heads(ids: pa.Array) -> NDArray[np.uint64]:
    """Returns the first 64 bits of ids."""
    if len(ids) == 0:
        return np.zeros(0, np.uint64)
    words = np.frombuffer(ids.buffers()[1], ">u8")[2 * ids.offset : 2 * (ids.offset + len(ids)) : 2]
    return words.astype(np.uint64)


def _within(heads: NDArray[np.uint64], first: int, last: int) -> Bits:
    within: Bits = (heads >= np.uint64(first)) & (heads <= np.uint64(last))
    return within


def _left(folder: str, step: Step, first: int, last: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Returns the documents that left later steps: their heads, sorted, and the numbers of those steps."""
    heads, steps = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for path in _ledger(folder) if step.later else ():
        with _parquet(path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=["id", "stage", "action"]):
                number = pc.index_in(batch.column("stage"), pa.array(step.later)).fill_null(-1).to_numpy()
                leaving = pc.is_in(batch.column("action"), pa.array(LEAVING)).to_numpy(zero_copy_only=False)
                here = _heads(batch.column("id"))
                mask = leaving & (number >= 0) & _within(here, first, last)
                heads.append(here[mask])
                steps.append(number[mask].astype(np.int64))
    every, numbers = np.concatenate(heads), np.concatenate(steps)
    order = np.lexsort((numbers, every))
    return every[order], numbers[order]


def _read(step: Step, first: int, last: int) -> Iterator[pa.RecordBatch]:
    """Yields the rows of signals whose ids lie in a range, with the columns that the rules look at."""
    wanted = {*_COLUMNS, *(name for table in step.tables.values() for name in table.signals)}
    columns = [name for name in step.columns if name in wanted]
    for path in step.files:
        with _parquet(path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
                if (first, last) != (0, 2**64 - 1):
                    batch = batch.filter(pa.array(_within(_heads(batch.column("id")), first, last)))
                yield batch


# Counting


def _count(
    rows: pa.RecordBatch,
    step: Step,
    changed: Step,
    answer: Answer,
    left: tuple[NDArray[np.uint64], NDArray[np.int64]],
    strata: dict[tuple[str, str], Stratum],
    alive: NDArray[np.int64],
) -> None:
    """Adds the documents `rows` to the answer, and to what later steps are estimated by."""
    before, after = _verdicts(rows, step, changed, answer)
    if not np.array_equal(before, np.asarray(rows.column("rule").is_null())):
        raise DataError(
            f"{step.name}: the verdicts in signals/ are not those of their own limits: another version wrote them, or "
            "they were changed; run again"
        )
    size = rows.column("bytes").to_numpy().astype(np.float64)
    every = np.ones(rows.num_rows, bool)
    answer.total.documents.add(*(mask.sum() for mask in (every, before, after)))
    answer.total.bytes.add(*(size[mask].sum() for mask in (every, before, after)))
    for name, slices in answer.slices.items():
        _add_slices(rows.column(name), size, before, after, slices)
    _follow(rows, size, before, after, left, strata, alive)


def _verdicts(rows: pa.RecordBatch, step: Step, changed: Step, answer: Answer) -> tuple[Bits, Bits]:
    """Returns which documents stayed and would stay, and counts the rules that fire."""
    before, after = np.ones(rows.num_rows, bool), np.ones(rows.num_rows, bool)
    profiles = rows.column("profile").dictionary_encode()
    codes = profiles.indices.to_numpy(zero_copy_only=False)
    for code, profile in enumerate(profiles.dictionary.to_pylist()):
        places = np.flatnonzero(codes == code)
        these = rows if len(places) == rows.num_rows else rows.take(pa.array(places))
        old, new = step.rules(profile), changed.rules(profile)
        was = judge(these, old)
        moved = [number for number, rule in enumerate(new) if rule != old[number]]
        fired = was.fired.copy()
        fired[moved] = judge(these, [new[number] for number in moved]).fired
        would = Verdict(was.evaluated, fired, was.values, was.limits)
        before[places] = was.first < 0
        after[places] = would.first < 0
        sole_was, sole_would = was.sole.sum(axis=1), would.sole.sum(axis=1)
        for number, rule in enumerate(old):
            counted = answer.rules.setdefault(rule.id, Fired())
            counted.before += int(was.fired[number].sum())
            counted.after += int(fired[number].sum())
            counted.sole_before += int(sole_was[number])
            counted.sole_after += int(sole_would[number])
    return before, after


def _add_slices(
    column: pa.Array, size: NDArray[np.float64], before: Bits, after: Bits, slices: dict[str, Slice]
) -> None:
    codes, names = _codes(column)
    masks = (np.ones(len(codes), bool), before, after)
    documents = [np.bincount(codes[mask], minlength=len(names)) for mask in masks]
    sizes = [np.bincount(codes[mask], size[mask], minlength=len(names)) for mask in masks]
    for code, name in enumerate(names):
        held = slices.setdefault(name, Slice())
        held.documents.add(*(amount[code] for amount in documents))
        held.bytes.add(*(amount[code] for amount in sizes))


def _codes(column: pa.Array) -> tuple[NDArray[np.int64], list[str]]:
    """Returns the number of each value, and the values by number."""
    encoded = column.fill_null(_NONE).dictionary_encode()
    codes: NDArray[np.int64] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()


def _follow(
    rows: pa.RecordBatch,
    size: NDArray[np.float64],
    before: Bits,
    after: Bits,
    left: tuple[NDArray[np.uint64], NDArray[np.int64]],
    strata: dict[tuple[str, str], Stratum],
    alive: NDArray[np.int64],
) -> None:
    """Adds what became in later steps of documents that stayed, and which documents would come to them anew."""
    steps = alive.shape[-1]
    heads, numbers = left
    here = _heads(rows.column("id"))
    place = np.minimum(np.searchsorted(heads, here), max(len(heads) - 1, 0))
    fate = np.where(heads[place] == here, numbers[place], steps) if len(heads) else np.full(len(here), steps)
    for number, mask in enumerate((before, before & after)):
        gone = np.bincount(fate[mask], minlength=steps + 1)[:steps]
        gone_bytes = np.bincount(fate[mask], size[mask], minlength=steps + 1)[:steps]
        alive[number, 0] += mask.sum() - gone.cumsum()
        alive[number, 1] += np.rint(size[mask].sum() - gone_bytes.cumsum()).astype(np.int64)
    sources, names = _codes(rows.column("source"))
    languages, labels = _codes(rows.column("language"))
    pairs = sources * len(labels) + languages
    new = ~before & after
    for pair in np.unique(pairs[before | new]):
        mine = pairs == pair
        stratum = strata.setdefault(
            (names[pair // len(labels)], labels[pair % len(labels)]), Stratum(0, np.zeros(steps, np.int64))
        )
        stratum.stayed += int((mine & before).sum())
        stratum.left += np.bincount(fate[mine & before], minlength=steps + 1)[:steps]
        stratum.new += int((mine & new).sum())
        stratum.new_bytes += round(size[mine & new].sum())


def _estimates(step: Step, strata: Mapping[tuple[str, str], Stratum], alive: NDArray[np.int64]) -> Iterator[Estimate]:
    """Yields what comes out of each later step: those that stay either way as they did, the new by their stratum.

    The share of a stratum is that of Agresti and Coull, two more that survive and two more that leave; one of which no
    document ever came to later steps has the share of all. The variance is that of as many draws, and of the share.
    """
    stayed = sum(stratum.stayed for stratum in strata.values())
    left = sum((stratum.left for stratum in strata.values()), np.zeros(len(step.later), np.int64))
    for number, name in enumerate(step.later):
        documents, sizes, variance = float(alive[1, 0, number]), float(alive[1, 1, number]), 0.0
        new = 0
        for stratum in strata.values():
            known = (stratum.stayed, stratum.left) if stratum.stayed else (stayed, left)
            tried = known[0] + 4
            share = (known[0] - int(known[1][: number + 1].sum()) + 2) / tried
            documents += stratum.new * share
            sizes += stratum.new_bytes * share
            variance += share * (1 - share) * (stratum.new + stratum.new**2 / tried)
            new += stratum.new
        most = float(alive[1, 0, number] + new)
        reach = 1.96 * math.sqrt(variance)
        low, high = max(float(alive[1, 0, number]), documents - reach), min(most, documents + reach)
        yield Estimate(name, int(alive[0, 0, number]), int(alive[0, 1, number]), documents, low, high, sizes)


# Saying


def _ranked(slices: Mapping[str, Slice], top: int) -> list[tuple[str, Slice]]:
    """Returns those that change most, then those that hold most."""

    def rank(item: tuple[str, Slice]) -> tuple[int, int, str]:
        held = item[1].documents
        return -abs(held.after - held.before), -held.came, item[0]

    return sorted(slices.items(), key=rank)[:top]


def to_json(answer: Answer, by: Sequence[str], top: int) -> dict[str, Any]:  # Any: JSON
    """Returns the answer as JSON data; of each kind of slice those `top` that change most."""

    def of(held: Slice) -> dict[str, Any]:  # Any: JSON
        return {"documents": vars(held.documents), "bytes": vars(held.bytes)}

    return {
        "step": answer.step,
        "settings": list(answer.settings),
        **of(answer.total),
        "by": {name: {key: of(held) for key, held in _ranked(answer.slices[name], top)} for name in by},
        "rules": {name: vars(fired) for name, fired in answer.rules.items()},
        "later_estimates": [vars(estimate) for estimate in answer.later],
    }


def describe(answer: Answer, by: Sequence[str], top: int) -> Iterator[str]:
    """Yields the lines that say it."""
    yield f"{answer.step}, exact:"
    yield f"  {'':<32}{'documents':>12}{'before':>12}{'after':>12}{'change':>12}{'bytes before':>18}{'after':>18}"
    yield _line("all", answer.total)
    for name in by:
        ranked = _ranked(answer.slices[name], top)
        yield f" by {name}" + (f", {top} of {len(answer.slices[name]):,}" if len(answer.slices[name]) > top else "")
        yield from (_line(key, held) for key, held in ranked)
    yield " rules that fire (and those that alone would drop a document)"
    yield f"  {'':<44}{'before':>12}{'alone':>12}{'after':>12}{'alone':>12}"
    for name, fired in answer.rules.items():
        if fired.before or fired.after:
            yield f"  {name:<44}{fired.before:>12,}{fired.sole_before:>12,}{fired.after:>12,}{fired.sole_after:>12,}"
    for estimate in answer.later:
        yield (
            f"after {estimate.step}, estimate: {estimate.documents:,.0f} documents ({estimate.low:,.0f} to "
            f"{estimate.high:,.0f}), {estimate.bytes:,.0f} bytes; before: {estimate.documents_before:,} documents, "
            f"{estimate.bytes_before:,} bytes"
        )


def _line(name: str, held: Slice) -> str:
    documents, sizes = held.documents, held.bytes
    change = documents.after - documents.before
    counts = f"{documents.came:>12,}{documents.before:>12,}{documents.after:>12,}{change:>+12,}"
    return f"  {name[:32]:<32}{counts}{sizes.before:>18,}{sizes.after:>18,}"
