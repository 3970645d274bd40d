"""`datapipe audit verdicts`: reads what people said of a sample back, and says what it says of the corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from datapipe import ConfigError, shown, storage

if TYPE_CHECKING:
    from stages.audit.review.judgement import Count, Criterion, Interval, Judgement, Pair, Rate
    from stages.audit.review.kept import Kept, Plan
    from stages.audit.review.model import Sample
    from stages.audit.review.reading import Given

FAULTS = 40  # that are shown


def verdicts(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="the --out folder of a run", show_default=False)],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="verdicts: what sheet.html saved (JSON), or sheet.csv filled in; none shows what was read before",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[
        str | None, typer.Option(help="name of the sample, or its sample.json; for files that do not say it")
    ] = None,
    reviewer: Annotated[str, typer.Option(help="whose the files are that name nobody")] = "",
    role: Annotated[str, typer.Option(help="and what that person is")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="these in the place of all that was read before")] = False,
    check: Annotated[bool, typer.Option("--check", help="read and say; store nothing")] = False,
    disputed: Annotated[
        str | None, typer.Option(help="write a sheet (.csv) of what reviewers do not agree on, for a third")
    ] = None,
    require: Annotated[
        bool, typer.Option("--require", help="exit status 1 unless the rate and the number judged are reached")
    ] = False,
    least: Annotated[float, typer.Option(min=0, max=1, help="the rate for --require")] = 0.96,
    judged: Annotated[int, typer.Option(min=1, help="the number judged for --require")] = 4_000,
    sure: Annotated[bool, typer.Option("--sure", help="--require of the lower border of the interval")] = False,
    of: Annotated[
        Literal["pass", "safe"], typer.Option(help="--require of all reasons, or of risks A.1 to A.5 alone")
    ] = "pass",
    count: Annotated[
        Literal["strict", "majority"], typer.Option(help="--require where several judged: any failure, or by majority")
    ] = "strict",
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Read the verdicts of people on a sample: pass rate, sources against the 5 % rule, agreement of reviewers.

    Each file is checked against the sample that it is of, and stored under DIR/audit/verdicts; a later file of the
    same reviewer takes the place of the earlier one, and the log (DIR/audit/log) keeps both.
    """
    folder = storage.absolute(folder)
    if disputed is not None and not disputed.endswith(".csv"):
        raise ConfigError(f"--disputed {disputed}: is a sheet to be filled in; name it *.csv")
    planned, given, notes = _planned(folder, files or (), sample, reviewer, role, alone=replace)
    from stages.audit.review.drawing import adopt  # noqa: PLC0415 - help waits for no model
    from stages.audit.review.kept import put  # noqa: PLC0415
    from stages.audit.standing import digests  # noqa: PLC0415

    if not check and given:
        if (path := adopt(folder, planned.sample)) is not None:
            notes.append(f"its sample was put into {path}")
        entry = put(folder, planned, list(dict.fromkeys(one.sha256 for one in given)))
        notes.append(f"entry {entry.number} of the log" if entry else "nothing new: all of it was read before")
    found = planned.judge(current=planned.sample.corpus == digests(folder))
    if disputed is not None:
        notes.append(_write_disputed(folder, planned.sample, found, disputed))
    lines = (
        found.model_dump_json(indent=1).split("\n")
        if as_json
        else [*notes, *[""][: len(notes)], *describe(found, planned.counting)]
    )
    for line in lines:
        typer.echo(shown(line))
    if require:
        lacking = list(_lacking(found, least, judged, of, count, sure=sure))
        for said in lacking:
            typer.echo(f"not reached: {said}", err=True)
        if lacking:
            raise typer.Exit(1)


def _planned(
    folder: str, files: Sequence[str], named: str | None, reviewer: str, role: str, *, alone: bool
) -> tuple[Plan, list[Given], list[str]]:
    """Returns what files change in a folder, what they are, and what is to be said of them.

    Raises:
        ConfigError: a file has a fault, or none was given and none was read before.
    """
    from stages.audit.hostile import encodable  # noqa: PLC0415 - help waits for no model
    from stages.audit.review.kept import is_of, plan  # noqa: PLC0415
    from stages.audit.review.model import samples_in  # noqa: PLC0415
    from stages.audit.review.reading import Asked, read  # noqa: PLC0415
    from stages.audit.standing import digests  # noqa: PLC0415

    digests(folder)  # or there is no run
    samples = samples_in(folder)
    sample = None if named is None else _sample(named, samples)
    if not files:
        return plan(folder, sample or _last(folder, samples), ()), [], []
    asked = Asked(samples, sample, encodable(reviewer).strip(), encodable(role).strip())
    read_ = [(path, *read(encodable(path), storage.read_bytes(path), asked)) for path in dict.fromkeys(files)]
    given, faults = [one for _, own, _ in read_ for one in own], [said for _, _, own in read_ for said in own]
    own = {one.sample.sha256: one.sample for one in given if one.sample is not None}
    if len(own) > 1:
        faults.append(f"these are of {len(own)} samples ({', '.join(one.name for one in own.values())}); one at a time")
    if faults or not own:
        raise _refused(faults)
    sample = next(iter(own.values()))
    if not is_of(sample, folder):
        raise ConfigError(
            f"the sample {sample.name} is of another corpus than {folder}: its digests are not of what lies there"
        )
    merged, notes = _merged(given)
    return plan(folder, sample, [one.verdicts(sample) for one in merged], alone=alone), given, notes


def _refused(faults: Sequence[str]) -> ConfigError:
    more = f"\n… and {len(faults) - FAULTS:,} more" if len(faults) > FAULTS else ""
    many = f"{len(faults):,} faults" if len(faults) != 1 else "a fault"
    return ConfigError("\n".join([f"nothing was stored, for {many} in what was given:", *faults[:FAULTS]]) + more)


def _merged(given: Sequence[Given]) -> tuple[list[Given], list[str]]:
    """Returns what was given by reviewer, and how it was read. Raises ConfigError where one says two things."""
    from stages.audit.review.reading import merged  # noqa: PLC0415 - help waits for no model
    from stages.audit.review.spreadsheet import plainly  # noqa: PLC0415

    parts: dict[str, dict[str, Given]] = {}
    for one in given:
        parts.setdefault(plainly(one.reviewer), {}).setdefault(one.sha256, one)
    faults: list[str] = []
    made = [merged(list(own.values()), faults) for own in parts.values()]
    if faults:
        raise _refused(faults)
    return made, [f"{one.place}: {one.how}; {len(one.rows):,} judged, {one.unjudged:,} not" for one in given]


def _sample(named: str, samples: dict[str, Sample]) -> Sample:
    """Returns the sample of a name, or of the file at a path. Raises ConfigError where there is none."""
    from stages.audit.review.model import SAMPLE, sample_of  # noqa: PLC0415 - help waits for no model

    own = [one for one in samples.values() if one.name == named]
    if own:
        return own[0]
    for path in (named, storage.join(named, SAMPLE)):
        content = None if storage.is_folder(path) else storage.read_if_there(path)
        if content is not None:
            return sample_of(content, path)
    there = ", ".join(one.name for one in samples.values()) or "none"
    raise ConfigError(f"--sample {named}: there is no sample of that name (there: {there}) and no such file")


def _last(folder: str, samples: dict[str, Sample]) -> Sample:
    """Returns the sample that was judged last. Raises ConfigError where none was."""
    from stages.audit.review.kept import judged  # noqa: PLC0415 - help waits for no model

    found = judged(folder)
    if found is None:
        raise ConfigError(
            f"{folder}: no verdicts were read yet; draw a sample by `datapipe audit sample`, have its sheet filled in, "
            "and name the file here"
        )
    return samples[found.sample_sha256]


def _write_disputed(folder: str, sample: Sample, found: Judgement, path: str) -> str:
    """Writes the rows of the sample's sheet that reviewers do not agree on, to be filled in; returns what is said."""
    from stages.audit.review.model import SAMPLES, TABLE  # noqa: PLC0415 - help waits for no model
    from stages.audit.review.spreadsheet import Unreadable, plainly, read_sheet, written  # noqa: PLC0415

    place = storage.join(folder, SAMPLES, sample.name, TABLE)
    content = storage.read_if_there(place)
    if content is None:
        raise ConfigError(f"{place}: is gone, and the texts of disputed documents stand there; draw the sample again")
    try:
        sheet = read_sheet(content, lambda line: True)
    except Unreadable as error:
        raise ConfigError(f"{place}: {error}") from error
    wanted = {one.id for one in found.disputed}
    own = [line for line in sheet.lines if plainly(line.cells["id"]) in wanted]
    if len(own) < len(wanted):
        raise ConfigError(f"{place}: lacks {len(wanted) - len(own):,} disputed documents; draw the sample again")
    blank = {"verdict", "reasons", "note", "reviewer", "role"}
    rows = [
        ["" if column in blank else cell for column, cell in zip(sheet.columns, line.all, strict=False)] for line in own
    ]
    storage.put(storage.absolute(path), written(sheet.heading, rows))
    return f"{len(own):,} disputed documents in {path}"


# Said


def _lacking(found: Judgement, least: float, judged: int, of: Criterion, count: Count, *, sure: bool) -> Iterator[str]:
    if found.judged < judged:
        yield f"{found.judged:,} documents are judged, not {judged:,}"
    value = found.rate(of, count).value
    rate = value.low if sure else value.value
    if rate is None or rate < least:
        said = "the lower border of its interval" if sure else "the rate"
        yield f"{said} is {'none' if rate is None else f'{100 * rate:.2f} %'}, not {100 * least:g} % ({of}, {count})"


def describe(found: Judgement, counting: Sequence[Kept]) -> Iterator[str]:
    """Yields what was judged as lines for a person; names of reviewers are shown here alone."""
    from stages.audit.hostile import harmless  # noqa: PLC0415 - help waits for no model

    by = f", by {found.by}" if found.by else ""
    of = f" (of {', '.join(map(harmless, found.where))})" if found.where else ""
    yield f"sample {found.sample}: {found.drawn:,} of {found.documents:,} documents{of}{by}; {found.judged:,} judged"
    if found.judged < found.drawn:
        order = "the first of the draw, so as fair a sample" if found.in_order else "not in the order of the draw"
        yield f"  {found.drawn - found.judged:,} are not judged and not counted; those judged are {order}"
    if found.covered < 1:
        yield f"  of sources with {1 - found.covered:.1%} of the documents none is judged: all or none may pass"
    if not found.current:
        yield "  documents were taken out of the corpus since it was drawn: these rates are of what it was"
    for one, own in zip(found.reviewers, counting, strict=True):
        name = harmless(own.verdicts.reviewer, 60) or "without a name"
        role = f" ({harmless(own.verdicts.role, 60)})" if own.verdicts.role else ""
        third = ", of disputed documents alone" if one.number in found.thirds else ""
        yield (
            f"  reviewer {one.number}: {name}{role}: {one.judged:,} judged{third}: {one.passed:,} pass, "
            f"{one.failed:,} fail, {one.unsure:,} unsure"
        )
    yield ""
    for rate in found.rates:
        if len(found.reviewers) > 1 or rate.count == "strict":
            yield from _rate_lines(rate, several=len(found.reviewers) > 1)
    yield from _source_lines(found)
    reasons = [f"{one.code} {one.documents:,}" for one in found.reasons if one.documents]
    if reasons or found.without_reason:
        bare = [f"without a reason {found.without_reason:,}"] if found.without_reason else []
        yield ""
        yield f"failed for: {', '.join([*reasons, *bare])}"
    for pair in found.pairs:
        yield from _pair_lines(pair)
    if found.alpha is not None:
        yield f"all reviewers: Krippendorff's alpha {_number(found.alpha)}"
    if found.disputed:
        yield f"{len(found.disputed):,} documents are disputed; --disputed FILE makes a sheet of them for a third"


_AGAINST = {"above": "above 96 %", "below": "below 96 %", "open": "not told yet: the interval reaches over 96 %"}
_STANDARD = {
    "reached": "reached",
    "missed": "missed",
    "open": "hangs on the unsure ones",
    "few": "fewer than 4,000 judged",
}


def _rate_lines(rate: Rate, *, several: bool) -> Iterator[str]:
    what = "pass" if rate.of == "pass" else "have no risk of A.1 to A.5"
    how = f" ({rate.count})" if several else ""
    best = f"; at best, with {rate.unsure:,} unsure, {_share(rate.best)}" if rate.unsure else ""
    yield f"{_share(rate.value)} {what}{how}{best}"
    yield f"  the corpus: {_AGAINST[rate.state]}; TC260-003 (4,000 or more, 96 %): {_STANDARD[rate.standard]}"


def _source_lines(found: Judgement) -> Iterator[str]:
    from stages.audit.hostile import harmless  # noqa: PLC0415 - help waits for no model

    yield ""
    yield "sources against 5 % illegal or unhealthy (A.1 to A.4, or no reason given); in brackets all sources at once:"
    for one in found.sources[:20]:
        maybe = f", {one.unsure:,} unsure" if one.unsure else ""
        yield (
            f"  {one.state:5} ({one.among_all}) {harmless(one.source, 60)}: {one.failed:,} of {one.judged:,}{maybe}: "
            f"{_share(one.rate)}"
        )
    if len(found.sources) > 20:
        states = [one.state for one in found.sources[20:]]
        yield f"  and {len(states):,} more, {states.count('open'):,} of them open; --json names them"


def _pair_lines(pair: Pair) -> Iterator[str]:
    (both, *_), many = pair.table[0], sum(map(sum, pair.table))
    yield ""
    yield (
        f"reviewers {pair.first} and {pair.second} on {many:,} documents: {_share(pair.raw)} alike; "
        f"both pass {both:,}, both fail {pair.table[1][1]:,}, {pair.first} alone {pair.table[1][0]:,}, "
        f"{pair.second} alone {pair.table[0][1]:,}"
    )
    yield (
        f"  kappa {_number(pair.kappa)}, AC1 {_number(pair.ac1)}; on pass {_share(pair.on_pass)}, on fail "
        f"{_share(pair.on_fail)}"
    )


def _share(one: Interval) -> str:
    return "none" if one.value is None else f"{100 * one.value:.2f} % ({100 * one.low:.2f} to {100 * one.high:.2f})"


def _number(one: Interval) -> str:
    return "cannot be told" if one.value is None else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
