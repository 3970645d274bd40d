"""A sample drawn, written beside a corpus as data and as sheets, and on record.

Nothing of it changes when it is drawn again: it lies where it lay, and has one entry in the log. `sample.json` is
written last: without it there is no sample. A table that people fill in may change; a sheet and a sample may not,
to which `datapipe verify` holds them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from datapipe import ConfigError, DataError, storage
from stages.audit.draw import hashes
from stages.audit.hostile import harmless
from stages.audit.review.cells import csv_of
from stages.audit.review.draw import By, Drawn, draw
from stages.audit.review.model import SAMPLE, SAMPLES, SHEET, TABLE, Item, Sample, Stratum, sample_of, samples_in
from stages.audit.review.sheet import HEAD_BYTES, render
from stages.audit.review.shown import Shown, shown
from stages.audit.signed.log import append, entries
from stages.audit.standing import digests, read_run
from stages.audit.tables import Tables
from stages.audit.where import Condition
from stages.schema import ID

KIND: Final = "sample"
TEXT: Final = 2_000  # characters of a document
_ADDRESS, _NAME = 1000, 200  # characters of a URL and of a name
_OWN: Final = (SHEET, TABLE, SAMPLE)


@dataclass(frozen=True)
class Asked:
    """What sample is asked for."""

    most: int
    by: By = None
    seed: int = 0
    where: tuple[str, ...] = ()
    text: int = TEXT

    @property
    def name(self) -> str:
        """What the folder of the sample is called: by what it is asked for."""
        name = f"n{self.most}-seed{self.seed}" + (f"-by-{self.by}" if self.by else "")
        if self.where:
            name += f"-where-{hashlib.sha256(chr(10).join(self.where).encode()).hexdigest()[:8]}"
        return name


@dataclass(frozen=True)
class Written:
    """A sample and where it lies; `new` says whether it was written now, `least` is of a source, 0 without sources."""

    sample: Sample
    place: str
    new: tuple[str, ...]
    logged: bool
    least: int
    sizes: dict[str, int]


def make(folder: str, asked: Asked, out: str | None = None) -> Written:
    """Draws a sample of the run in a folder and writes it to `audit/samples/` there, or to `out` and nothing there.

    Raises:
        ConfigError: there is no such sample to be had, or another one lies there.
        DataError: a file of the run is gone or damaged.
    """
    read_run(folder)
    tables = Tables(folder)
    place = storage.join(folder, SAMPLES, asked.name) if out is None else storage.absolute(out)
    if out is not None and f"{place}/".startswith(f"{storage.absolute(folder)}/"):
        raise ConfigError(
            f"--out {out}: lies in {folder}, to which nothing is written then; give another folder, or none"
        )
    where = tuple(map(Condition.parse, asked.where))
    drawn = draw(tables, asked.most, by=asked.by, seed=asked.seed, where=where)
    documents = shown(tables, drawn.places, asked.text)
    sample = _sample(folder, asked, drawn, documents)
    contents = {SHEET: render(sample, documents), TABLE: csv_of(sample, documents), SAMPLE: sample.to_json()}
    try:
        new = _put(place, sample, contents)
        logged = out is None and _log(folder, sample, contents)
    except ConfigError as error:
        if out is not None or not isinstance(error.__cause__, OSError):
            raise
        raise ConfigError(
            f"{place}: cannot be written ({error.__cause__.strerror}); give --out FOLDER: the sample is written there, "
            "and nothing into the folder of the run"
        ) from error
    return Written(sample, place, new, logged, drawn.least, {name: len(contents[name]) for name in _OWN})


def chosen(folder: str, sample: Sample) -> str | None:
    """Returns what of a sample is not what (seed, id) draws of the corpus in a folder; None where all of it is.

    Overlays may have taken documents out since: then those that stay must be in it up to the last that is.

    Raises:
        ConfigError: nothing can be drawn as it says.
        DataError: a file of the run is gone or damaged.
    """
    where, now = tuple(map(Condition.parse, sample.where)), sample.corpus == digests(folder)
    drawn = draw(Tables(folder), sample.asked, by=sample.by, seed=sample.seed, where=where, fewer=not now)
    ids, sources = (drawn.places.column(name).to_pylist() for name in ("id", "source"))
    found = [(key.hex(), harmless(source, _NAME)) for key, source in zip(ids, sources, strict=True)]
    said = [(item.id, item.source) for item in sample.items]
    if now:
        right = found == said and (sample.documents, sample.strata) == (drawn.documents, _strata(drawn))
        strange = len({key for key, _ in said} - {key for key, _ in found})
    else:
        strange = _passed_over(found, said, sample)
        right = not strange
    if right:
        return None
    what = f"{strange:,} of its {len(said):,} documents" if strange else "the order, number or sources of its documents"
    are = "is" if strange == 1 else "are"
    return f"{what} {are} not what the hash of (seed {sample.seed}, id) draws: somebody chose"


def _passed_over(found: list[tuple[str, str]], said: list[tuple[str, str]], sample: Sample) -> int:
    """Returns how many documents are drawn before the last of a sample, of each stratum, and are not in it."""
    last: dict[str, tuple[int, str]] = {}
    for key, source in said:
        stratum = source if sample.by else ""
        last[stratum] = max(last.get(stratum, (0, "")), (_hash(key, sample.seed), key))
    there = {key for key, _ in said}
    return sum(
        key not in there and (_hash(key, sample.seed), key) <= last.get(source if sample.by else "", (0, ""))
        for key, source in found
    )


def _hash(key: str, seed: int) -> int:
    return int(hashes(pa.array([bytes.fromhex(key)], ID), seed)[0])


def same_but_overlays(sample: Sample, folder: str) -> bool:
    """Returns whether a sample is of the corpus in a folder, whatever overlays lie on it and lay on it then."""
    mine, now = ({k: v for k, v in one.items() if k != "overlays_sha256"} for one in (sample.corpus, digests(folder)))
    return mine == now


def adopt(folder: str, sample: Sample) -> str | None:
    """Puts a sample that was drawn by --out elsewhere beside its corpus, and on record; returns where, None if it is.

    Raises:
        ConfigError: it is not what the hash draws, or another of its name lies there.
    """
    if sample.sha256 in samples_in(folder):
        return None
    if same_but_overlays(sample, folder) and (said := chosen(folder, sample)) is not None:
        raise ConfigError(f"the sample {sample.name}: {said}; draw it again with `datapipe audit sample`")
    path = storage.join(folder, SAMPLES, sample.name, SAMPLE)
    if not storage.put_new(path, sample.to_json()):
        raise ConfigError(f"{path}: is another sample of the same name; draw one under a new name")
    _log(folder, sample, {SAMPLE: sample.to_json()})
    return path


def _sample(folder: str, asked: Asked, drawn: Drawn, documents: list[Shown]) -> Sample:
    ids = drawn.places.column("id").to_pylist()
    items = tuple(_item(key.hex(), own) for key, own in zip(ids, documents, strict=True))
    return Sample(
        name=asked.name,
        corpus=digests(folder),
        seed=asked.seed,
        asked=asked.most,
        by=asked.by,
        where=asked.where,
        text=asked.text,
        documents=drawn.documents,
        strata=_strata(drawn),
        items=items,
    )


def _strata(drawn: Drawn) -> tuple[Stratum, ...]:
    taken = drawn.places.column("source").value_counts()
    of = dict(zip(taken.field(0).to_pylist(), taken.field(1).to_pylist(), strict=True))
    return tuple(
        Stratum(source=harmless(name, _NAME), documents=size, drawn=of.get(name, 0)) for name, size in drawn.of.items()
    )


def _item(key: str, own: Shown) -> Item:
    def named(name: str, most: int = _NAME) -> str | None:
        value = own.row.get(name)
        return harmless(value, most) if isinstance(value, str) and value else None

    characters = own.row.get("characters")
    return Item(
        id=key,
        source=named("source") or "",
        language=named("language"),
        script=named("script"),
        format=named("format"),
        host=named("host"),
        url=named("url", _ADDRESS),
        split=named("split") or "",
        characters=characters if isinstance(characters, int) else None,
    )


def _put(place: str, sample: Sample, contents: dict[str, bytes]) -> tuple[str, ...]:
    """Writes what is not there, the sample last; returns its names. Raises ConfigError where something else lies there.

    A table that differs was filled in; without the sample beside it, it is somebody else's.
    """
    had = {name: storage.read_if_there(storage.join(place, name)) for name in _OWN}
    drawn = had[SAMPLE]
    if drawn is not None and drawn != contents[SAMPLE]:
        raise ConfigError(f"{storage.join(place, SAMPLE)}: {_differing(drawn, sample, place)}")
    for name in (SHEET, TABLE):
        other = had[name]
        ours = drawn is not None and other is not None and (name == TABLE or _is_of(other, sample))
        if other is not None and other != contents[name] and not ours:
            raise ConfigError(
                f"{storage.join(place, name)}: is in the way, as it is no sheet of this sample; move it away, or give "
                "another --out FOLDER"
            )
    return tuple(
        name for name in _OWN if had[name] is None and storage.put_new(storage.join(place, name), contents[name])
    )


def _is_of(sheet: bytes, sample: Sample) -> bool:
    return f'content="{sample.sha256}"'.encode() in sheet[:HEAD_BYTES]


def _differing(content: bytes, sample: Sample, place: str) -> str:
    try:
        other = sample_of(content, place)
    except DataError:
        return "is no sample that this datapipe reads; move the folder away and draw again"
    said = "people may have judged it, so it stays; draw with another --seed, or to another folder by --out"
    if other.corpus != sample.corpus:
        names = sorted({*other.corpus, *sample.corpus})
        named = [name for name in names if other.corpus.get(name) != sample.corpus.get(name)]
        return f"was drawn from the corpus as it was before ({', '.join(named)} differ now); {said}"
    named = [name for name in ("asked", "by", "seed", "where", "text") if getattr(other, name) != getattr(sample, name)]
    return f"is another sample ({', '.join(named) or 'its documents'} differ); {said}"


def _log(folder: str, sample: Sample, contents: dict[str, bytes]) -> bool:
    """Puts the sample on record, unless it is; returns whether it was not."""
    digest = sample.sha256
    if any(one.kind == KIND and one.content.get("sample_sha256") == digest for one in entries(folder)):
        return False
    said: dict[str, Any] = {  # Any: JSON
        "name": sample.name,
        "sample_sha256": digest,
        "documents": len(sample.items),
        "of": sample.documents,
        "asked": sample.asked,
        "seed": sample.seed,
        "by": sample.by,
        "where": list(sample.where),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    append(folder, KIND, said)
    return True
