"""The files by which standards describe a corpus, and putting them: never over what a person wrote or edited.

`sheets/files.json` records the digest of each file as it was written; what is there and not as recorded is somebody's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final

from datapipe import ConfigError, storage
from stages.audit.standards import chinese, datasheet, european
from stages.audit.standards.answers import Sheet
from stages.audit.standards.card import card
from stages.audit.standards.croissant import croissant
from stages.audit.standards.initiative import records
from stages.audit.standards.known import Known
from stages.audit.standards.page import page
from stages.audit.standards.written import as_csv, as_markdown, domains_csv, sources_csv

CROISSANT: Final = "croissant.json"
CARD: Final = "README.md"
RECORD: Final = "sheets/files.json"
_FORMAT: Final = 1


def sheets(known: Known) -> tuple[Sheet, ...]:
    """Returns the sheets, in order."""
    return chinese.sheet(known), european.sheet(known), datasheet.sheet(known)


def described(known: Known) -> dict[str, bytes]:
    """Returns the files by name, relative to the folder of the run."""
    made = sheets(known)
    contents = {CROISSANT: croissant(known), CARD: card(known), "sheets/index.html": page(known, made)}
    for sheet in made:
        contents[f"sheets/{sheet.key}.md"] = as_markdown(sheet, known)
        contents[f"sheets/{sheet.key}.csv"] = as_csv(sheet)
    contents["sheets/sources.csv"] = sources_csv(known)
    contents["sheets/domains.csv"] = domains_csv(known)
    contents["sheets/data-provenance.json"] = records(known)
    return contents


def open_questions(made: Sequence[Sheet]) -> int:
    """Returns how many answers are open."""
    return sum(answer.state == "open" for sheet in made for _, item in sheet.items for answer in item.answers)


def put(contents: Mapping[str, bytes], place: str) -> list[str]:
    """Puts files under a folder; returns the names of those that were not there as they are.

    Raises:
        ConfigError: a file is there that a person wrote or edited; then nothing is put.
    """
    recorded = _recorded(place)
    changed: list[str] = []
    for name, content in contents.items():
        there = storage.read_if_there(storage.join(place, name))
        if there is not None and there != content and hashlib.sha256(there).hexdigest() != recorded.get(name):
            edited = "was edited since it was written" if name in recorded else "was not written by this command"
            raise ConfigError(
                f"{storage.join(place, name)}: {edited}, and is not replaced; move it away, or give --out FOLDER"
            )
        if there != content:
            changed.append(name)
    gone = [name for name in recorded if name not in contents and name.startswith("sheets/")]
    said = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    for name in changed:
        storage.put(storage.join(place, name), contents[name])
    for name in gone:
        there = storage.read_if_there(storage.join(place, name))
        if there is not None and hashlib.sha256(there).hexdigest() == recorded[name]:
            storage.remove(storage.join(place, name))
    record = json.dumps({"format_version": _FORMAT, "files": said}, indent=1, sort_keys=True) + "\n"
    if storage.read_if_there(storage.join(place, RECORD)) != record.encode():
        storage.put(storage.join(place, RECORD), record.encode())
    return changed


def _recorded(place: str) -> dict[str, str]:
    """Returns the digests of files as they were written, none where nothing is recorded."""
    content = storage.read_if_there(storage.join(place, RECORD))
    try:
        return {str(name): str(digest) for name, digest in json.loads(content or b'{"files": {}}')["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{storage.join(place, RECORD)}: cannot be read ({type(error).__name__}: {error}), so it is not known "
            "which "
            "files are ours; move it away, and what lies beside it"
        ) from error
