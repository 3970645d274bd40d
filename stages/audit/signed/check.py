"""What `datapipe verify` checks of what people did, and of the report's numbers: log, samples, verdicts, signatures."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from datapipe import ConfigError, DatapipeError, Look, Note, shown, storage
from stages.audit.hostile import harmless
from stages.audit.model import Audit
from stages.audit.review import kept
from stages.audit.review.draw import By
from stages.audit.review.drawing import chosen, same_but_overlays
from stages.audit.review.model import SAMPLE, SAMPLES, SHEET, Sample, sample_of
from stages.audit.signed.again import again, anew, same, told
from stages.audit.signed.detached import faults as signature_faults
from stages.audit.signed.log import LOG, Entry, entries
from stages.audit.signed.log import faults as log_faults
from stages.audit.signed.sign import differing, is_of, signatures, standing, written_anew
from stages.audit.standing import REPORT, digests
from stages.audit.tables import Tables

SHOWN: Final = 10  # numbers of a report that are another, of those that differ in a report made anew


def check(folder: str, look: Look | None = None) -> Iterator[str]:
    """Yields a sentence for each fault, and notes of what was not checked and of signatures that are stale."""
    look = look or Look(folder)
    parts = (_figures, _log, _samples, _verdicts, _signatures)
    for part in parts:
        try:
            yield from part(folder, look)
        except DatapipeError as error:
            yield f"{part.__name__.removeprefix('_')}: could not be checked: {error}"


# The report's numbers


def _figures(folder: str, look: Look) -> Iterator[str]:
    content = storage.read_if_there(storage.join(folder, REPORT))
    try:
        said = json.loads(content or b"{}").get("audit")
        audit = None if said is None else Audit.model_validate(said)
    except (ValueError, AttributeError, ValidationError):
        return  # which the check of the report says
    if audit is None or look.figures == 0:
        return
    if audit.corpus != digests(folder):
        return  # which the check of the report says
    numbers, others = told(audit)
    counted = untold = 0
    for one, found in again(Tables(folder), audit, most=look.figures, seed=look.seed):
        counted += 1
        if found is None:
            untold += 1
        elif isinstance(found, str):
            yield f"{REPORT}: {one.place} cannot be computed again: {found}"
        elif not same(one.value, found):
            yield (
                f"{REPORT}: {one.place} is {_number(one.value)}, the data say {_number(found)} ({one.command}): it was "
                "changed, or is of other data; `datapipe report` makes it anew"
            )
    less = f", {untold} of them not, as this run does not tell" if untold else ""
    drawn = f" by seed {look.seed}" if look.figures is not None else ""
    yield Note(f"{REPORT}: {counted:,} of {len(numbers):,} numbers that documents tell were counted again{drawn}{less}")
    if look.figures is None:
        yield from _anew(folder, audit, others)
    else:
        yield Note(
            f"{REPORT}: {others:,} more (intervals, quantiles, what is seen in texts) were not; --figures all makes "
            "the report again for them"
        )


def _anew(folder: str, audit: Audit, others: int) -> Iterator[str]:
    try:
        differing = list(anew(folder, audit))
    except ConfigError as error:
        yield Note(f"{REPORT}: {others:,} more numbers were not computed again: {error}")
        return
    for place, said, found in differing[:SHOWN]:
        yield (
            f"{REPORT}: {harmless(place)} is {_number(said)}, in a report made anew {_number(found)}: it was changed; "
            "`datapipe report` makes it anew"
        )
    if len(differing) > SHOWN:
        yield f"{REPORT}: {len(differing) - SHOWN:,} more numbers are others in a report made anew"
    yield Note(f"{REPORT}: was made anew, and all of its numbers compared")


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else "nothing" if value is None else harmless(str(value))


# The log, and what it speaks of


def _log(folder: str, look: Look) -> Iterator[str]:
    yield from log_faults(folder, look.head)


def _entries(folder: str) -> tuple[Entry, ...]:
    """Returns the entries, none where the log is damaged: which is said already."""
    try:
        return entries(folder)
    except DatapipeError:
        return ()


def _samples(folder: str, look: Look) -> Iterator[str]:
    """Yields which samples are not as they were drawn, and whether the hash draws those documents."""
    drawn = {str(one.content.get("name")): one for one in _entries(folder) if one.kind == "sample"}
    whole = not list(log_faults(folder))
    there = {path.rpartition("/")[2] for path in storage.list_folders(storage.join(folder, SAMPLES))}
    found: list[Sample] = []
    for name in sorted({*drawn, *there}):
        place = f"{SAMPLES}/{name}/{SAMPLE}"
        entry = drawn.get(name)
        if entry is None:
            if whole:
                yield f"{place}: no entry of {LOG} says that it was drawn: its end was cut off, or this was put here"
            continue
        digest = look.sha256(place)
        if digest != entry.content.get("sample_sha256"):
            yield f"{place}: is {'gone' if digest is None else f'not what {entry.name} recorded'}; fetch it again"
            continue
        sheet, files = f"{SAMPLES}/{name}/{SHEET}", entry.content.get("files", {})
        if SHEET in files and look.sha256(sheet) != files[SHEET]:
            state = "gone" if look.sha256(sheet) is None else f"not what {entry.name} recorded"
            yield f"{sheet}: is {state}; fetch it again"
        sample = sample_of(storage.read_bytes(storage.join(folder, place)), place)
        yield from _redrawn(folder, place, sample)
        found.append(sample)
    yield from _seeds(
        found, {str(one.content.get("sample_sha256")) for one in _entries(folder) if one.kind == "verdicts"}
    )


def _seeds(found: Sequence[Sample], judged: Collection[str]) -> Iterator[Note]:
    """Yields of which draws of the same documents people could choose one to be judged."""
    alike: dict[tuple[str | None, By, tuple[str, ...]], list[Sample]] = {}
    for one in found:
        alike.setdefault((one.corpus.get("published_sha256"), one.by, one.where), []).append(one)
    for own in alike.values():
        seeds = sorted({one.seed for one in own})
        of = sorted({one.seed for one in own if one.sha256 in judged})
        if len(seeds) > 1:
            judged_were = f"those of {_listed(of)} were judged" if of else "none was judged yet"
            yield Note(
                f"{SAMPLES}: {len(own):,} samples of the same documents were drawn, by seeds {_listed(seeds)}; "
                f"{judged_were}: ask why, as who sees a draw can choose another"
            )


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:SHOWN])) + (f" and {len(seeds) - SHOWN:,} more" if len(seeds) > SHOWN else "")


def _redrawn(folder: str, place: str, sample: Sample) -> Iterator[str]:
    if not same_but_overlays(sample, folder):
        yield Note(f"{place}: was drawn of another corpus than lies here: it is not drawn again")
        return
    if sample.corpus != digests(folder):
        yield Note(f"{place}: was drawn of this corpus under other overlays: drawn again, as far as those leave it")
    if (said := chosen(folder, sample)) is not None:
        yield f"{place}: {said}; draw it again with `datapipe audit sample`"


def _verdicts(folder: str, look: Look) -> Iterator[str]:
    if _entries(folder) or storage.is_folder(storage.join(folder, kept.FOLDER)):
        try:
            yield from kept.faults(folder)
        except DatapipeError as error:
            if not list(log_faults(folder)):
                yield f"{kept.FOLDER}: {error}"


def _signatures(folder: str, look: Look) -> Iterator[str]:
    """Yields what is not as it was signed last: a fault where nothing else vouches for it, else a note."""
    found = _entries(folder)
    for said, is_fault in signature_faults(folder, found, look.signers):
        yield said if is_fault else Note(said)
    signed = signatures(found)
    if look.signed is None:
        return
    if not signed:
        if look.signed:
            yield f"{LOG}: nobody signed this corpus; `datapipe audit sign` does"
        return
    last, corpus = signed[-1], digests(folder)
    if is_of(last, corpus):
        for one in differing(last, look.sha256):
            if not one.vouched and not written_anew(folder, one, look.sha256):
                yield (
                    f"{one.name}: is {'gone' if one.now is None else 'not'} what {last.name} signed"
                    f" (SHA-256 was {one.signed[:12]}…); put it back, or look at it and sign again"
                ).replace("is gone what", "is gone, which")
    stale = list(standing(folder, last, look.sha256, corpus))
    if stale:
        said = f"{last.name}: is stale, signed by {_who(last.content)}: {'; '.join(stale)}; look at it and sign again"
        yield said if look.signed else Note(said)


def _who(content: Mapping[str, Any]) -> str:  # Any: JSON
    return shown(f"{content.get('name')} ({content.get('role')})")
