"""What a report is of, and whether the one in a folder still is of what lies there: by digests, without any table.

`datapipe run` asks this each time that there is nothing to do, so nothing that takes long is loaded here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from datapipe import ConfigError, DataError, storage

if TYPE_CHECKING:
    from datapipe import Report

CLAIM: Final = "reports/published.json"
REPORT: Final = "reports/report.json"
SCHEMA: Final = "reports/report.schema.json"
PAGE: Final = "reports/report.html"
TOPICS: Final = "reports/topics.json"
DIGESTS: Final = "reports/digests.json"  # of the files of a report, by name
OWN: Final = "sha256"  # in that file, over all else
OF_REPORT: Final = (PAGE, SCHEMA, TOPICS, DIGESTS)  # that stand beside an audit alone
MANIFEST: Final = "corpus/manifest.json"
OVERLAYS: Final = "corpus/overlays"
MADE_BY: Final = "code_version"
DIGEST: Final = '<meta name="datapipe-audit-sha256" content="'
HEAD_BYTES: Final = 1 << 14  # of the page, where its digest stands
_DOCUMENTS: Final = "documents/"

Facts = Mapping[str, Any]  # Any: JSON


def version() -> str:
    """Returns the version of the datapipe that makes reports here."""
    return metadata.version("datapipe")


def read_run(folder: str, *, finished: bool = True) -> Report:
    """Returns the report of the run in an output folder.

    Raises:
        ConfigError: there is none, or with `finished` the run is not.
        DataError: it cannot be read.
    """
    if not storage.is_remote(folder) and os.path.isfile(folder):
        raise ConfigError(f"{folder}: is a file; give the --out folder of a run that has finished")
    from datapipe import Report  # noqa: PLC0415 - with it comes the planner

    content = storage.read_if_there(storage.join(folder, REPORT))
    if content is None:
        raise ConfigError(f"{folder}: holds no {REPORT}; give the --out folder of a run that has finished")
    try:
        report = Report.from_json(content, out=folder)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{storage.join(folder, REPORT)}: is no report that this datapipe reads ({type(error).__name__}: {error})"
        ) from error
    if finished and not storage.exists(storage.join(folder, MANIFEST)) and not _documents(folder):
        reason = next((said for said in report.warnings if said.startswith("not finished: ")), "not finished")
        raise ConfigError(
            f"{folder}: holds no corpus and no documents, as its run is {reason}; run it to its end (--funnel prints "
            "what became of documents until then)"
        )
    return report


def claimed(folder: str) -> dict[str, str]:
    """Returns the digests of what was published by name. Raises ConfigError where the folder does not say."""
    path = storage.join(folder, CLAIM)
    content = storage.read_if_there(path)
    if content is None:
        raise ConfigError(f"{folder}: holds no {CLAIM}, which says what was published; fetch the whole folder again")
    try:
        return {str(name): str(digest) for name, digest in json.loads(content)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__}: {error}); fetch it again") from error


def of_report(place: str) -> dict[str, str]:
    """Returns the digests of the files of a report by name, none where nothing says what was made.

    Raises:
        DataError: what says it is not what was written.
    """
    path = storage.join(place, DIGESTS)
    content = storage.read_if_there(path)
    if content is None:
        return {}
    try:
        said = {str(name): str(digest) for name, digest in json.loads(content).items()}
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); make the report again") from error
    own = said.pop(OWN, None)
    if own is not None and digests_file(said) != content:
        raise DataError(f"{path}: is not as it was written, by the digest that it ends with; make the report again")
    return said


def digests_file(made: Mapping[str, str]) -> bytes:
    """Returns the content of DIGESTS, which ends with the digest of all that it says: a change of it is found."""
    said = dict(sorted(made.items()))
    return (json.dumps({**said, OWN: _digest(said)}, indent=1) + "\n").encode()


def _documents(folder: str) -> list[str]:
    return [name for name in claimed(folder) if name.startswith(_DOCUMENTS)]


def digests(folder: str) -> dict[str, str]:
    """Returns what tells this corpus from any other by name, hex SHA-256; overlays count, as readers go by them."""
    files = claimed(folder)
    found = {"published_sha256": _digest(files)}
    content = storage.read_if_there(storage.join(folder, MANIFEST))
    if content is not None:
        found["manifest_sha256"] = hashlib.sha256(content).hexdigest()
        manifest = json.loads(content)
        names = ("merkle_root", "order_sha256")
        found |= {name: str(manifest[name]) for name in names if isinstance(manifest.get(name), str)}
    paths = [path for path in storage.list_folder(storage.join(folder, OVERLAYS)) if path.endswith(".json")]
    if paths:
        contents = zip(paths, storage.read_many(paths), strict=True)
        found["overlays_sha256"] = _digest(
            {path.rpartition("/")[2]: hashlib.sha256(content).hexdigest() for path, content in contents}
        )
    return found


def _digest(files: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def is_ours(folder: str) -> bool:
    """Returns whether there is something that a report can be made of: a corpus of `mix`, or documents of `write`."""
    content = storage.read_if_there(storage.join(folder, MANIFEST))
    if content is not None:
        try:
            manifest = json.loads(content)
            return isinstance(manifest, dict) and {"merkle_root", "index", "splits"} <= manifest.keys()
        except ValueError:
            return False
    return bool(_documents(folder))


def page_digest(content: bytes) -> str | None:
    """Returns the digest of the audit that a page is drawn from, or None where it names none.

    >>> page_digest(b'<head><meta name="datapipe-audit-sha256" content="00ff">')
    '00ff'
    """
    _, found, rest = content[:HEAD_BYTES].decode(errors="replace").partition(DIGEST)
    return rest.partition('"')[0] if found else None


def stands(folder: str, place: str) -> bool:
    """Returns whether a good report of what `folder` holds lies in `place`, with all files that were made for it."""
    content = storage.read_if_there(storage.join(place, REPORT))
    page = storage.read_if_there(storage.join(place, PAGE))
    try:
        made = of_report(place)
    except DataError:
        return False
    if content is None or page is None or not made or not all(storage.exists(storage.join(place, one)) for one in made):
        return False
    audit = json.loads(content).get("audit")
    if not isinstance(audit, dict) or audit.get(MADE_BY) != version() or audit.get("corpus") != digests(folder):
        return False
    return page_digest(page) == audit_digest(audit)


def audit_digest(audit: Facts) -> str | None:
    """Returns `Audit.digest` of an audit as it stands in the report, None where it is no audit."""
    from pydantic import ValidationError  # noqa: PLC0415 - asked for where there is an audit alone

    from stages.audit.model import Audit  # noqa: PLC0415

    try:
        return Audit.model_validate(audit).digest
    except ValidationError:
        return None
