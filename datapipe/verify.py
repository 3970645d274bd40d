"""Whether what a run left is whole: every file hashed, every sum added up again, and what stages promise of theirs.

Each fault is a sentence: the file, what is wrong with it, and where it can be said what to do. What is no fault but is
to be known (what was not checked, what somebody signed and was made anew since) is a Note.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datapipe import storage
from datapipe.errors import ConfigError, DatapipeError
from datapipe.inspect import ledger_files
from datapipe.publish import CLAIM, CLAIM_SHA256, FOLDERS, MANIFEST, REPORT, RUN_SHA256, claim_bytes, corpus_files
from datapipe.report import ACTIONS, AUDIT, Report

CHECKS = "datapipe.checks"
OVERLAYS = "corpus/overlays/"  # beside a corpus, put there by people
AT_ONCE = 16  # files of a store that are read together; of a disk as many as there are cores
FIGURES = 12  # of a report that are computed again

Facts = dict[str, Any]  # Any: JSON


class Note(str):
    """A sentence that is no fault."""

    __slots__ = ()


@dataclass(frozen=True)
class Look:
    """How closely a folder is looked at, and the digests of its files, each computed once.

    `quick` leaves out what follows from digests that were checked: tokens are not hashed by themselves, and of an order
    blocks are drawn. `figures` of a report are computed again (None: all), drawn by `seed`. `head` is the digest that
    an entry of the log must have, `signers` a file of who may sign (ssh-keygen's allowed_signers); with `signed`, all
    must be as it was signed last; where it is None, what was signed is not asked.
    """

    folder: str
    quick: bool = False
    figures: int | None = FIGURES
    seed: int = 0
    head: str | None = None
    signers: str | None = None
    signed: bool | None = False
    _digests: dict[str, str | None] = field(default_factory=dict, repr=False, compare=False)

    def sha256(self, name: str) -> str | None:
        """Returns the SHA-256 of a file under the folder, None where it is not there."""
        if name not in self._digests:
            path = storage.join(self.folder, name)
            try:
                self._digests[name] = storage.sha256_of(path)
            except (OSError, ConfigError):
                if storage.exists(path):
                    raise
                self._digests[name] = None
        return self._digests[name]

    def sha256_of_all(self, names: list[str]) -> list[str | None]:
        """Returns those of files, in order; several are read at once."""
        with ThreadPoolExecutor(self.at_once) as pool:
            return list(pool.map(self.sha256, names))

    @property
    def at_once(self) -> int:
        """How many files are read together."""
        return AT_ONCE if storage.is_remote(self.folder) else os.cpu_count() or 1


def verify(folder: str) -> Iterator[str]:
    """Yields every fault that is found, without notes.

    Raises:
        ConfigError: the folder holds no finished run.
    """
    yield from (said for said in looked(Look(folder)) if not isinstance(said, Note))


def looked(look: Look) -> Iterator[str]:
    """Yields every fault that is found, and notes.

    What a stage promises of its files is checked by the functions of entry point group `datapipe.checks`: each takes
    the folder and the Look, and yields sentences that begin with the file they speak of.

    Raises:
        ConfigError: the folder holds no finished run.
    """
    content = storage.read_if_there(storage.join(look.folder, REPORT))
    claimed = storage.read_if_there(storage.join(look.folder, CLAIM))
    if content is None and claimed is None:
        raise ConfigError(f"{look.folder}: holds no {REPORT}; give the --out folder of a run that has finished")
    claim, faults = _claim(claimed)
    faults += _files(look, claim)
    yield from faults
    report, others = _report(content, claim)
    yield from others
    if report is not None:
        yield from _sums(report, look)
    for point in sorted(entry_points(group=CHECKS), key=lambda point: point.name):
        try:
            yield from point.load()(look.folder, look)
        except DatapipeError as error:
            yield f"{point.name}: could not be checked: {error}"
        except Exception as error:
            if not faults:  # else what a changed file made of it
                raise
            yield f"{point.name}: could not be checked ({type(error).__name__}: {error}): see what is said above"


def _claim(content: bytes | None) -> tuple[Facts, list[str]]:
    """Returns the claim, empty where it cannot be read, and what is wrong with it."""
    if content is None:
        return {"files": {}}, [f"{CLAIM}: is gone, so nothing says what was published; fetch the folder again"]
    try:
        claim = json.loads(content)
        names = {str(name): str(digest) for name, digest in claim["files"].items()}
        recipe = {str(name): str(digest) for name, digest in claim.get("recipe", {}).items()}
        claim = {**claim, "files": names, "recipe": recipe}
        whole = CLAIM_SHA256 not in claim or claim_bytes(json.loads(content)) == content
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"{CLAIM}: cannot be read ({type(error).__name__}: {error}); fetch it again"
        return {"files": {}}, [said]
    said = f"{CLAIM}: is not as the run wrote it, by the digest that it ends with; fetch it again"
    return claim, [] if whole else [said]


def _files(look: Look, claim: Facts) -> Iterator[str]:
    """Yields which published files are gone or changed, and which are there and of no run."""
    if claim["files"]:
        for name in corpus_files(claim) or [MANIFEST]:
            if not storage.exists(storage.join(look.folder, name)):
                yield f"{name}: is gone, so this is no corpus"
    named = {**claim["files"], **claim.get("recipe", {})}
    names = sorted(named)
    for name, found in zip(names, look.sha256_of_all(names), strict=True):
        if found is None:
            yield f"{name}: is gone"
        elif found != named[name]:
            yield f"{name}: has changed since it was published (SHA-256 was {named[name][:12]}…, is {found[:12]}…)"
    if claim["files"]:
        for folder in FOLDERS:
            there = (f"{folder}/{name}" for name in storage.walk(storage.join(look.folder, folder)))
            for name in there:
                if name not in named and not name.startswith(OVERLAYS):
                    yield f"{name}: is of no run, and readers may take it for one's: move it away"


def _report(content: bytes | None, claim: Facts) -> tuple[Report | None, list[str]]:
    """Returns the report of the run, None where it cannot be read, and what is wrong with it."""
    if content is None:
        return None, [f"{REPORT}: is gone; fetch the folder again"]
    try:
        data = json.loads(content)
        audited = data.pop(AUDIT, None) is not None
        report = Report.from_json(content)
        own = (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return None, [f"{REPORT}: cannot be read ({type(error).__name__}: {error}); fetch it again"]
    found = []
    digest = claim.get(RUN_SHA256)
    if digest is not None and hashlib.sha256(own if audited else content).hexdigest() != digest:
        found.append(
            f"{REPORT}: what it says of the run is not what the run wrote (SHA-256 was {digest[:12]}…); fetch it "
            "again, or run the config again: a new report does not mend it"
        )
    if "config_sha256" in claim and report.config_sha256 != claim["config_sha256"]:
        found.append(f"{REPORT}: is of another config than {CLAIM}: one of the two was changed")
    return report, found


def _sums(report: Report, look: Look) -> Iterator[str]:
    for one in report.stages:
        if one.documents_in + one.made != one.documents_out + one.dropped:
            sums = f"{one.documents_in} + {one.made} is not {one.documents_out} + {one.dropped}"
            yield f"report: stage {one.stage}: {sums}"
    files = ledger_files(look.folder)
    counted: Counter[tuple[str, str, str]] = Counter()
    with ThreadPoolExecutor(look.at_once) as pool:
        for path, found in zip(files, pool.map(_counts, files), strict=True):
            if isinstance(found, str):
                yield f"ledger/{path.rpartition('/')[2]}: cannot be read ({found}); fetch it again"
            else:
                counted.update(found)
    named = {(one.stage, rule.action, rule.rule): rule.documents for one in report.stages for rule in one.rules}
    told = {one.stage for one in report.stages}
    others = (key for key in counted if key not in named and key[0] in told and key[1] in ACTIONS)
    for stage, action, rule in [*named, *sorted(others)]:
        rows, said = counted.get((stage, action, rule), 0), named.get((stage, action, rule), 0)
        if rows != said:
            yield f"ledger: {rows} rows say {action} by {rule} in {stage}, the report says {said}"


def _counts(path: str) -> Mapping[tuple[str, str, str], int] | str:
    """Returns the rows of a ledger file by stage, action and rule, or why it cannot be read."""
    counted: Counter[tuple[str, str, str]] = Counter()
    names = ["stage", "action", "rule"]
    try:
        with storage.open_shard(path) as opened, pq.ParquetFile(opened) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=names, use_threads=False)
                for row in rows.group_by(names, use_threads=False).aggregate([([], "count_all")]).to_pylist():
                    counted[tuple(row[name] for name in names)] += row["count_all"]
    except (OSError, pa.ArrowException) as error:
        return str(error)
    return counted
