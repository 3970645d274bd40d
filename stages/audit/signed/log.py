"""The log of what people did with a finished corpus: samples drawn, verdicts read, signatures. Its entries chain.

`audit/log/000001.json` is the first entry, put if absent and never changed. An entry holds the SHA-256 of the bytes of
the one before it, so that none can be changed, taken out or put elsewhere unless all behind it are written anew; and
its own, over all that it says. The chain cannot show that somebody wrote the whole log anew, or cut off its end: for
that, keep the digest of its last entry (`head`) where they cannot change it, and hold the log to it.

Its times are the only ones in what we publish.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from datapipe import DataError, storage

LOG: Final = "audit/log"
LOG_VERSION: Final = 1
TIME: Final = "%Y-%m-%dT%H:%M:%SZ"  # UTC
DIGITS: Final = 6  # of the number in the name of an entry
SIGNATURE: Final = ".sig"  # of what lies beside an entry
_NAME: Final = re.compile(r"(?P<number>[0-9]{6,})(?P<ending>\.json|\.sig)")
_FIELDS: Final = ("format_version", "number", "previous_sha256", "time", "kind", "content", "sha256")
_AGAIN: Final = "fetch the log again from where it is kept, and compare its head"

Content = Mapping[str, Any]  # Any: JSON


@dataclass(frozen=True)
class Entry:
    """An entry of the log. `sha256` is over all that it says, `previous_sha256` over the bytes of the one before."""

    number: int
    time: str
    kind: str
    content: Content = field(repr=False)
    sha256: str
    previous_sha256: str | None

    @property
    def name(self) -> str:
        """The file that it lies in, under the output folder."""
        return name_of(self.number)

    @cached_property
    def written(self) -> bytes:
        """The bytes of its file: there are no others that say the same."""
        return (json.dumps({**self._said, "sha256": self.sha256}, indent=1, ensure_ascii=False) + "\n").encode()

    @property
    def digest(self) -> str:
        """The SHA-256 of its file, as `sha256sum` prints it, which the next entry names."""
        return hashlib.sha256(self.written).hexdigest()

    @property
    def is_whole(self) -> bool:
        """Whether its own digest is of what it says."""
        return self.sha256 == self.said_sha256

    @property
    def said_sha256(self) -> str:
        """The SHA-256 of the canonical JSON of what it says: keys sorted, no space, UTF-8."""
        text = json.dumps(self._said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def _said(self) -> dict[str, Any]:  # Any: JSON
        named = (LOG_VERSION, self.number, self.previous_sha256, self.time, self.kind, self.content)
        return dict(zip(_FIELDS, named, strict=False))


def name_of(number: int) -> str:
    """Returns the file of an entry, under the output folder.

    >>> name_of(3)
    'audit/log/000003.json'
    """
    return f"{LOG}/{number:0{DIGITS}}.json"


def append(folder: str, kind: str, content: Content) -> Entry:
    """Puts an entry behind the last and returns it; of two who do so at once, one comes behind the other.

    Raises:
        DataError: the log is damaged.
    """
    plain = json.loads(json.dumps(content, ensure_ascii=False, allow_nan=False))  # as it is read back
    while True:
        last = head(folder)
        number, before = (last.number + 1, last.digest) if last else (1, None)
        entry = Entry(number, time.strftime(TIME, time.gmtime()), kind, plain, "", before)
        entry = replace(entry, sha256=entry.said_sha256)
        if storage.put_new(storage.join(folder, entry.name), entry.written):
            return entry


def entries(folder: str) -> tuple[Entry, ...]:
    """Returns the entries of the log in an output folder, none where nobody wrote one.

    Raises:
        DataError: one is damaged, gone, or not behind the one that it names.
    """
    found = tuple(_read(folder))
    for one in found:
        if isinstance(one, str):
            raise DataError(f"{storage.join(folder, LOG)}: {one}")
    return tuple(one for one in found if isinstance(one, Entry))


def head(folder: str) -> Entry | None:
    """Returns the last entry, None where there is none. Raises DataError where the log is damaged."""
    found = entries(folder)
    return found[-1] if found else None


def faults(folder: str, known: str | None = None) -> Iterator[str]:
    """Yields a sentence for each fault of the log: an entry that was changed, taken out, or put in another's place.

    `known` is the digest that an entry of it is to have: of its head, as somebody kept it.
    """
    found = tuple(_read(folder))
    yield from (one for one in found if isinstance(one, str))
    digests = [one.digest for one in found if isinstance(one, Entry)]
    if known is not None and known.lower() not in digests:
        said = f"has {len(digests)} entries, none of them of digest {known[:12]}…" if digests else "has no entry"
        yield f"{LOG}: {said}, which was its head once: its end was cut off or it was written anew; {_AGAIN}"


def _read(folder: str) -> Iterator[Entry | str]:
    """Yields the entries by number, and sentences in between of what is wrong with them."""
    paths = storage.list_folder(storage.join(folder, LOG))
    names = [path.rpartition("/")[2] for path in paths]
    numbers = {}
    for name, path in zip(names, paths, strict=True):
        found = _NAME.fullmatch(name)
        if found is None or name_of(int(found["number"])).rpartition("/")[2] != f"{found['number']}.json":
            yield f"{LOG}/{name}: is no entry of the log and no signature of one: move it away"
        elif found["ending"] == SIGNATURE:
            if f"{found['number']}.json" not in names:
                yield f"{LOG}/{name}: is a signature of an entry that is gone; {_AGAIN}"
        else:
            numbers[int(found["number"])] = path
    contents = storage.read_many([numbers[number] for number in sorted(numbers)])
    before: Entry | None = None
    expected = 1
    for number, content in zip(sorted(numbers), contents, strict=True):
        for lacking in range(expected, number):
            yield f"{name_of(lacking)}: is gone, and entries behind it are there; {_AGAIN}"
        entry = _parsed(content)
        if isinstance(entry, str):
            yield f"{name_of(number)}: {entry}; {_AGAIN}"
        else:
            if entry.number != number:
                yield f"{name_of(number)}: is entry {entry.number}, so it was put in another's place; {_AGAIN}"
            elif number == expected and (before is not None or number == 1):
                digest = before.digest if before else None
                if entry.previous_sha256 != digest:
                    yield (
                        f"{name_of(number)}: names {_short(entry.previous_sha256)} as the entry before it, which is "
                        f"{_short(digest)}: one of the two was changed; {_AGAIN}"
                    )
            yield entry
        before, expected = entry if isinstance(entry, Entry) else None, number + 1


def _parsed(content: bytes) -> Entry | str:
    """Returns the entry that a file holds, or what is wrong with it."""
    try:
        said = json.loads(content)
        if tuple(said) != _FIELDS or said["format_version"] != LOG_VERSION:
            return f"is no entry of format {LOG_VERSION}, which this datapipe reads"
        previous = said["previous_sha256"]
        entry = Entry(
            int(said["number"]),
            str(said["time"]),
            str(said["kind"]),
            dict(said["content"]),
            str(said["sha256"]),
            None if previous is None else str(previous),
        )
    except (ValueError, KeyError, TypeError) as error:
        return f"is no entry of a log ({type(error).__name__}: {error})"
    if not entry.is_whole:
        own = f"its sha256 is {_short(entry.sha256)}, of what it says {_short(entry.said_sha256)}"
        return f"is not what was written: {own}"
    return entry if entry.written == content else "is not as it was written: its bytes were changed"


def _short(digest: str | None) -> str:
    return f"{digest[:12]}…" if digest else "none"
