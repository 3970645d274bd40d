"""Putting what was made under the output folder: every file whole, if absent, the manifest last.

`reports/published.json` claims the folder: it names the config and every file that a run put there, apart from them
those of its recipe, which name the machine, as what was published does not depend on it; and the digest of the report
that the run wrote, whatever an audit adds to that file. Only claimed files are ever removed, so what somebody else
keeps in the folder is safe, and a folder with other files in our places is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from datapipe import storage
from datapipe.dataset import Source
from datapipe.errors import DataError, PlanError
from datapipe.plan import Planner, Published
from datapipe.report import Report

FOLDERS = ("corpus", "documents", "ledger", "signals", "keys")
AT_ONCE = 16  # files that are put: a store copies each by itself
CLAIM = "reports/published.json"
MANIFEST = "corpus/manifest.json"
DOCUMENTS = "documents/"
REPORT = "reports/report.json"
RUN_SHA256 = "report_sha256"  # of a claim: the digest of the report as the run wrote it, before any audit of it
CLAIM_SHA256 = "sha256"  # of a claim: over all else that it says
OF_REPORT = (
    "reports/places",
    "reports/report.html",
    "reports/report.schema.json",
    "reports/topics.json",
    "reports/digests.json",
)  # what a reporter makes of a corpus


@dataclass(frozen=True)
class Place:
    """Where a run lies: the output folder, its work folder, and what to do with what is there."""

    out: str
    work: str
    replace: bool = False
    keep: bool = True
    strict: bool = False

    def there(self, name: str) -> str:
        """Returns the path of a file of the output folder."""
        return storage.join(self.out, name)

    @property
    def has_corpus(self) -> bool:
        """Whether a finished corpus is there: its manifest, or all documents that a run without one wrote."""
        if storage.exists(self.there(MANIFEST)):
            return storage.exists(self.there(CLAIM))
        claim = read_claim(self)
        marks = corpus_files(claim) if claim.get("fingerprint") else []
        return bool(marks) and all(storage.exists(self.there(name)) for name in marks)


def read_claim(place: Place) -> dict[str, Any]:  # Any: JSON
    """Returns what the output folder is claimed for; an empty claim where nothing is.

    Raises:
        DataError: no run wrote it so.
    """
    content = storage.read_if_there(place.there(CLAIM))
    if content is None:
        return {"files": {}}
    try:
        claim: dict[str, Any] = json.loads(content)
        said = [*claim["files"].items(), *claim.get("recipe", {}).items()]
        if all(isinstance(digest, str) for _, digest in said):
            return claim
        reason = "a digest is no text"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise DataError(f"{place.there(CLAIM)}: cannot be read ({reason}); fetch the folder again")


def corpus_files(claim: Mapping[str, Any]) -> list[str]:  # Any: JSON
    """Returns the claimed files without which there is no corpus: the manifest, or all documents where none is made."""
    names = claim["files"]
    return [MANIFEST] if MANIFEST in names else [name for name in sorted(names) if name.startswith(DOCUMENTS)]


def check_place(planner: Planner, place: Place) -> None:
    """Raises PlanError where the output folder holds what the run reads, another config's corpus, or others' files."""
    _refuse_own_files(planner, place)
    claim = read_claim(place)
    if not claim["files"] and not storage.exists(place.there(CLAIM)):
        for name in _there(place.out):
            raise PlanError(f"{place.there(name)}: is not of a run of datapipe; give an --out folder of its own")
    if place.replace or not place.has_corpus:
        return
    other = claim["config_sha256"]
    if other != planner.facts["config_sha256"]:
        raise PlanError(
            f"{place.out}: holds the corpus of another config or of other inputs ({other[:12]}…, this one is "
            f"{planner.facts['config_sha256'][:12]}…); give another --out, or --replace to put this one in its place"
        )


def _refuse_own_files(planner: Planner, place: Place) -> None:
    """Raises PlanError where a source lies in our places: its files are of an earlier run here, and would give way."""
    ours = tuple(f"{_real(place.there(folder))}/" for folder in FOLDERS)
    sources = [made.op for made in planner.graph.datasets.values() if isinstance(made.op, Source)]
    folders = {file.url.rpartition("/")[0]: file.url for op in sources for group in op.groups for file in group}
    for folder, url in sorted(folders.items()):
        if f"{_real(folder)}/".startswith(ours):
            raise PlanError(f"{url}: this run reads it, and {place.out} is where it puts its own; give another --out")


def _real(path: str) -> str:
    return path if storage.is_remote(path) else os.path.realpath(path)


def published_report(planner: Planner, place: Place) -> Report | None:
    """Returns the report of this very run where it is published as it stands; its work may be gone."""
    claim = read_claim(place)
    if claim.get("fingerprint") != planner.graph.fingerprint(planner.pipeline.result):
        return None
    needed = {*claim["files"], *(corpus_files(claim) or [MANIFEST])}
    if not needed <= set(_there(place.out)):
        return None
    if not all(storage.exists(place.there(name)) for name in (REPORT, *claim.get("recipe", ()))):
        return None
    return Report.from_json(storage.read_bytes(place.there(REPORT)), out=place.out)


def publish(
    files: Sequence[Published],
    report: Report,
    place: Place,
    fingerprint: str = "",
    recipe: Mapping[str, bytes] | None = None,
) -> None:
    """Puts the files under their final names if absent, the report, the recipe's files, and the manifest last.

    What an earlier claim names and this run makes otherwise gives way where no corpus is, or with `place.replace`.

    Raises:
        PlanError: a file is there and is another.
    """
    ours = {file.name: file.sha256 for file in files}
    before = read_claim(place)
    if place.replace or not place.has_corpus or before.get("config_sha256") != report.config_sha256:
        there = set(_there(place.out))
        for name in sorted(before["files"], key=lambda name: name != MANIFEST):
            path = place.there(name)
            if name in there and before["files"][name] != ours.get(name):
                storage.remove(path)
    claim: dict[str, Any] = {"config_sha256": report.config_sha256, "files": ours, "fingerprint": fingerprint}
    claim[RUN_SHA256] = hashlib.sha256(report.to_json()).hexdigest()
    if recipe:
        claim["recipe"] = {name: hashlib.sha256(content).hexdigest() for name, content in recipe.items()}
    storage.put(place.there(CLAIM), claim_bytes(claim))
    for name in before.get("recipe", {}).keys() - (recipe or {}).keys():
        storage.remove(place.there(name))
    for name, content in (recipe or {}).items():
        storage.put(place.there(name), content)
    for name in OF_REPORT:  # of what was here before
        storage.remove(place.there(name))
    storage.put(place.there(REPORT), report.to_json())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(partial(_put, place=place), [file for file in files if file.name != MANIFEST]):
            pass
    for file in files:
        if file.name == MANIFEST:
            _put(file, place)


def _put(file: Published, place: Place) -> None:
    path = place.there(file.name)
    if storage.link_new(file.path, path) or storage.same(file.path, path):
        return
    if storage.sha256_of(path) != file.sha256:
        raise PlanError(
            f"{path}: is there and is not what this run made: it was changed since; "
            "give another --out, or --replace to put this one in its place"
        )


def _there(out: str) -> list[str]:
    """Returns the names of the files that lie where a run puts its own."""
    return [storage.join(folder, name) for folder in FOLDERS for name in storage.walk(storage.join(out, folder))]


def claim_bytes(claim: Mapping[str, Any]) -> bytes:  # Any: JSON
    """Returns the file of a claim, which ends with the digest of all that it says: a change of it is found."""
    said = {name: value for name, value in claim.items() if name != CLAIM_SHA256}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**said, CLAIM_SHA256: digest}, indent=1, sort_keys=True) + "\n").encode()
