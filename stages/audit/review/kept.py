"""Verdicts as a folder keeps them: a file a reviewer, by its digest, and the entries of the log that say which count.

`audit/verdicts/<sha256>.json` is the same however the verdicts were given: documents by id, keys in one order. It holds
the name of the reviewer if one was given; the log holds digests and results, so a file can be taken away with what is
personal in it and the chain stays whole. A file that replaces another leaves that where it is.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from datapipe import ConfigError, DataError, Note, storage
from stages.audit.hostile import harmless
from stages.audit.review.judgement import Judgement
from stages.audit.review.judging import judge
from stages.audit.review.model import Sample, Verdicts, samples_in
from stages.audit.review.spreadsheet import plainly
from stages.audit.signed.log import Entry, append, entries
from stages.audit.standing import digests, version

FOLDER: Final = "audit/verdicts"
KIND: Final = "verdicts"
_SAME: Final = ("merkle_root", "published_sha256")  # by which two are one corpus, whatever overlays lie on it


@dataclass(frozen=True)
class Kept:
    """A file of verdicts of which the log says that it counts."""

    sha256: str
    verdicts: Verdicts

    @property
    def name(self) -> str:
        """Where it lies in the folder."""
        return name_of(self.sha256)


def name_of(digest: str) -> str:
    """Returns the file of verdicts of a digest, under the output folder."""
    return f"{FOLDER}/{digest}.json"


def to_json(verdicts: Verdicts) -> bytes:
    """Returns the bytes of a file of verdicts: documents by id, keys sorted, UTF-8."""
    plain = verdicts.model_dump(mode="json")
    plain["verdicts"].sort(key=lambda one: one["id"])
    return (json.dumps(plain, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def kept(folder: str, sample: str) -> tuple[Kept, ...]:
    """Returns the files that count of a sample, by the SHA-256 of that, in the order in which they came.

    Raises:
        DataError: the log or one of them is damaged.
    """
    counting = list(_counting(_entries(folder), sample))
    return tuple(Kept(digest, _read(folder, digest)) for digest in counting)


def judged(folder: str, sample: str | None = None) -> Judgement | None:
    """Returns what the verdicts in a folder say of a sample, by its SHA-256, or of that judged last; None without any.

    Raises:
        DataError: the log, a sample or a file of verdicts is damaged.
    """
    found = _entries(folder)
    if not found:
        return None
    wanted = sample or str(found[-1].content["sample_sha256"])
    own = samples_in(folder).get(wanted)
    if own is None:
        raise DataError(f"{folder}: the sample {wanted[:12]}… that verdicts are of is gone; fetch audit/samples again")
    given = [(one.sha256, one.verdicts) for one in kept(folder, wanted)]
    return judge(own, given, current=own.corpus == digests(folder)) if given else None


def is_of(sample: Sample, folder: str) -> bool:
    """Returns whether a sample is of the corpus in a folder, whatever was taken out of it since."""
    now = digests(folder)
    return any(name in sample.corpus and sample.corpus[name] == now.get(name) for name in _SAME)


@dataclass(frozen=True)
class Plan:
    """What files of verdicts change in a folder: those that are `new`, those that go, and all that count then."""

    sample: Sample
    new: Mapping[str, bytes]
    gone: tuple[str, ...]
    counting: tuple[Kept, ...]

    def judge(self, *, current: bool = True) -> Judgement:
        """Returns what all that count say."""
        return judge(self.sample, [(one.sha256, one.verdicts) for one in self.counting], current=current)


def plan(folder: str, sample: Sample, given: Sequence[Verdicts], *, alone: bool = False) -> Plan:
    """Returns what files of verdicts change: each takes the place of its reviewer's, with `alone` of all others too.

    Raises:
        ConfigError: nobody is named, and of nobody there are other verdicts already.
        DataError: the log is damaged.
    """
    before = {one.sha256: one for one in kept(folder, sample.sha256)}
    made = {hashlib.sha256(content).hexdigest(): (content, one) for one in given for content in [to_json(one)]}
    names = {plainly(one.reviewer) for one in given}
    gone = tuple(
        digest
        for digest, one in before.items()
        if digest not in made and (alone or plainly(one.verdicts.reviewer) in names)
    )
    unnamed = next((one for one in gone if not before[one].verdicts.reviewer), None)
    if unnamed and not alone:
        raise ConfigError(
            f"{name_of(unnamed)} is of a reviewer without a name, as are these, and whether it is the same cannot be "
            "told: name whose they are by --reviewer, or --replace all that was read before"
        )
    new = {digest: content for digest, (content, _) in made.items() if digest not in before}
    stays = [one for digest, one in before.items() if digest not in gone]
    return Plan(sample, new, gone, (*stays, *(Kept(digest, made[digest][1]) for digest in new)))


def put(folder: str, planned: Plan, inputs: Sequence[str]) -> Entry | None:
    """Puts what is new into a folder and its log; returns the entry, None where nothing is.

    `inputs` are the SHA-256 of the files as they were given.

    Raises:
        DataError: the log is damaged.
    """
    if not planned.new and not planned.gone:
        return None
    for digest, content in planned.new.items():
        storage.put_new(storage.join(folder, name_of(digest)), content)
    said = {
        "sample": planned.sample.name,
        "sample_sha256": planned.sample.sha256,
        "verdicts_sha256": list(planned.new),
        "replaces": list(planned.gone),
        "inputs_sha256": list(inputs),
        "code_version": version(),
        "result": result(planned.judge()),
    }
    return append(folder, KIND, said)


def result(judgement: Judgement) -> dict[str, Any]:  # Any: JSON
    """Returns what of a judgement the log says: numbers, rounded so that they are the same on any machine."""
    plain = judgement.model_dump(mode="json")
    names = ("documents", "drawn", "judged", "in_order", "covered", "rates", "sources", "without_reason", "alpha")
    pairs = [{name: value for name, value in one.items() if name != "words"} for one in plain["pairs"]]
    made = {**{name: plain[name] for name in names}, "pairs": pairs, "disputed": len(plain["disputed"])}
    rounded: dict[str, Any] = _rounded(made)
    return rounded


def _rounded(value: Any) -> Any:  # Any: JSON
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def faults(folder: str) -> Iterator[str]:
    """Yields a sentence for each fault of the verdicts in a folder: files changed, gone, or not in the log; results.

    A Note is of a result that another version made.

    The log itself is `stages.audit.signed.log.faults`' to check.
    """
    found, named = _entries(folder), set[str]()
    samples = samples_in(folder) if found else {}
    for number, entry in enumerate(found):
        own = [str(one) for one in entry.content.get("verdicts_sha256", ())]
        broken = [said for digest in own if digest not in named and (said := _fault(folder, digest))]
        named.update(own)
        yield from broken
        sample = samples.get(str(entry.content.get("sample_sha256")))
        if sample is None:
            yield f"{entry.name}: its sample {str(entry.content.get('sample_sha256'))[:12]}… is not in audit/samples"
            continue
        counting = list(_counting(found[: number + 1], sample.sha256))
        if any(_fault(folder, one) for one in counting):
            continue
        by = entry.content.get("code_version")
        if by != version():
            yield Note(
                f"{entry.name}: datapipe {harmless(str(by))} made its result, and this is {version()}: not checked"
            )
            continue
        made = result(judge(sample, [(digest, _read(folder, digest)) for digest in counting]))
        if made != entry.content.get("result"):
            yield f"{entry.name}: its result is not what its verdicts give; `datapipe audit verdicts` shows that"
    for path in storage.list_folder(storage.join(folder, FOLDER)):
        name = path.rpartition("/")[2]
        if name.removesuffix(".json") not in named:
            yield f"{FOLDER}/{name}: is in no entry of the log, so it counts for nothing; move it away"


def _fault(folder: str, digest: str) -> str | None:
    content = storage.read_if_there(storage.join(folder, name_of(digest)))
    if content is None:
        return f"{name_of(digest)}: is gone; give it to `datapipe audit verdicts` again"
    if hashlib.sha256(content).hexdigest() != digest:
        return f"{name_of(digest)}: has changed since it was read (its SHA-256 is its name); fetch it again"
    return None


def _entries(folder: str) -> list[Entry]:
    return [entry for entry in entries(folder) if entry.kind == KIND]


def _counting(found: Sequence[Entry], sample: str) -> Iterator[str]:
    """Yields the digests that count for a sample, after these entries."""
    counting: dict[str, None] = {}
    for entry in found:
        if entry.content.get("sample_sha256") == sample:
            for digest in entry.content.get("replaces", ()):
                counting.pop(str(digest), None)
            counting.update(dict.fromkeys(map(str, entry.content.get("verdicts_sha256", ()))))
    yield from counting


def _read(folder: str, digest: str) -> Verdicts:
    said = _fault(folder, digest)
    if said is not None:
        raise DataError(f"{folder}: {said}")
    try:
        return Verdicts.model_validate_json(storage.read_bytes(storage.join(folder, name_of(digest))))
    except ValidationError as error:
        raise DataError(f"{folder}: {name_of(digest)}: is no file of verdicts ({error.errors()[0]['msg']})") from error
