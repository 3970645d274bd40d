"""Signing a corpus off: name, role, statement, and the digests of all that they stand for, as an entry of the log.

What is signed, where it is there: manifest (with Merkle root and order), the claim (which names the digest of every
published file), the recipe, the report with its page and the digests of its files, the overlays in force, samples and
verdicts with what they say, and what describes the corpus to others.

A signature is stale where what it signed was made anew: another corpus, a new report, other descriptions, an overlay
more. That is no tampering: verify tells of it, and holds what lies there to the digests that the run, the report and
`datapipe audit standards` give themselves. What nothing but a signature vouches for (overlays, samples, verdicts,
descriptions that somebody edited) must be as it was signed last, or verify finds it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from datapipe import ConfigError, Look, Note, looked, shown, storage
from stages.audit.review.judgement import Judgement
from stages.audit.review.kept import judged, result
from stages.audit.review.model import SAMPLE, SAMPLES, SHEET
from stages.audit.signed.log import Entry, append, entries
from stages.audit.standing import CLAIM, DIGESTS, MANIFEST, OVERLAYS, PAGE, REPORT, digests, read_run, version

KIND: Final = "sign"
DESCRIBED: Final = ("croissant.json", "README.md")  # what a corpus is to others, beside the folder SHEETS
SHEETS: Final = "sheets"
RECORD: Final = "sheets/files.json"  # in which `datapipe audit standards` says what it wrote
RECIPE: Final = "reports/recipe.json"
VERDICTS: Final = "audit/verdicts"
MADE: Final = (MANIFEST, CLAIM, RECIPE, REPORT, PAGE, DIGESTS)  # by runs and reports, which vouch for them
MOST: Final = 4_000  # characters of a statement

Sha256 = Callable[[str], str | None]  # of a file under the folder by name, None where there is none


@dataclass(frozen=True)
class Differing:
    """A file that is not as it was signed: it was changed or made anew, or (`now` None) is gone."""

    name: str
    signed: str
    now: str | None

    @property
    def vouched(self) -> bool:
        """Whether digests of a run or a report say what it must be."""
        return self.name in MADE

    def __str__(self) -> str:
        return f"{self.name} (is {'gone' if self.now is None else 'another'})"


def sign(
    folder: str,
    *,
    name: str,
    role: str,
    statement: str,
    samples: Sequence[str] = (),
    look: Look | None = None,
) -> Entry:
    """Puts a signature into the log and returns it; `look` says how what is signed is verified first, None: not.

    Raises:
        ConfigError: something is not said, or what lies there is not whole.
        DataError: the log, or what it speaks of, is damaged.
    """
    said = {"name": name.strip(), "role": role.strip(), "statement": statement.strip()}
    for option, text in said.items():
        if not text:
            raise ConfigError(f"--{option}: is empty; a signature says who signs, as what, and what is stated")
        if len(text) > MOST or any(0xD800 <= ord(letter) < 0xE000 for letter in text):
            raise ConfigError(f"--{option}: is longer than {MOST:,} characters, or no text")
    read_run(folder)
    entries(folder)  # a damaged log is not written to
    verified = None if look is None else _verified(folder, look)
    own = look or Look(folder)  # what was verified is what is signed
    found = _judged(folder, samples, own.sha256)
    content = {
        **said,
        "corpus": digests(folder),
        "files": {one: digest for one in signed_files(folder, samples) if (digest := own.sha256(one)) is not None},
        "result": None if found is None else result(found),
        "verified": verified,
    }
    return append(folder, KIND, content)


def _verified(folder: str, look: Look) -> dict[str, Any]:  # Any: JSON
    said = list(looked(look))
    faults = [one for one in said if not isinstance(one, Note)]
    if faults:
        more = f"\n… and {len(faults) - 5:,} more" if len(faults) > 5 else ""
        listed = "\n".join(shown(fault) for fault in faults[:5]) + more
        raise ConfigError(
            f"{folder}: is not whole, so it is not signed; --no-verify signs it all the same, and says so:\n{listed}"
        )
    return {"code_version": version(), "figures": look.figures, "seed": look.seed, "quick": look.quick}


def _judged(folder: str, samples: Sequence[str], sha256: Sha256) -> Judgement | None:
    """Returns what was judged last; of samples that are named, of the last of them that was judged."""
    if not samples:
        return judged(folder)
    named = (sha256(f"{SAMPLES}/{name}/{SAMPLE}") for name in reversed(samples))
    return next((found for one in named if one is not None and (found := judged(folder, one)) is not None), None)


def signed_files(folder: str, samples: Sequence[str] = ()) -> list[str]:
    """Returns the names of the files that a signature stands for; of samples those named, or all.

    Raises:
        ConfigError: there is no sample of such a name.
    """
    there = {path.rpartition("/")[2]: path for path in storage.list_folders(storage.join(folder, SAMPLES))}
    for name in samples:
        if name not in there:
            raise ConfigError(
                f"--sample {name}: there is no such sample; there are: {', '.join(sorted(there)) or 'none'}"
            )
    own = [f"{SAMPLES}/{name}/{file}" for name in sorted(samples or there) for file in (SAMPLE, SHEET)]
    beside = [
        f"{place}/{name}"
        for place in (OVERLAYS, VERDICTS, SHEETS)
        for name in storage.walk(storage.join(folder, place))
    ]
    return [name for name in (*MADE, *own, *beside, *DESCRIBED) if storage.exists(storage.join(folder, name))]


def signatures(found: Sequence[Entry]) -> list[Entry]:
    """Returns the entries that are signatures."""
    return [entry for entry in found if entry.kind == KIND]


def differing(entry: Entry, sha256: Sha256) -> list[Differing]:
    """Returns the files that are not as an entry signed them."""
    files: Mapping[str, str] = entry.content.get("files", {})
    now = ((name, digest, sha256(name)) for name, digest in files.items())
    return [Differing(name, digest, found) for name, digest, found in now if found != digest]


def written_anew(folder: str, one: Differing, sha256: Sha256) -> bool:
    """Returns whether a file is a description that `datapipe audit standards` wrote after it was signed.

    Then all lies there as that recorded it; what was edited since does not.
    """
    content = storage.read_if_there(storage.join(folder, RECORD))
    try:
        said = json.loads(content or b"{}")
        recorded = {str(name): str(digest) for name, digest in said["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    if one.name in recorded:
        return one.now == recorded[one.name]
    whole = (json.dumps(said, indent=1, sort_keys=True) + "\n").encode() == content
    is_its = one.name == RECORD or (one.now is None and one.name.startswith(f"{SHEETS}/"))
    return is_its and whole and all(sha256(name) == digest for name, digest in recorded.items())


def is_of(entry: Entry, corpus: Mapping[str, str]) -> bool:
    """Returns whether the corpus that an entry signed is the one of these digests, whatever overlays lie on it."""
    signed: Mapping[str, str] = entry.content.get("corpus", {})
    return all(signed.get(name) == corpus.get(name) for name in ("published_sha256", "merkle_root", "order_sha256"))


def standing(folder: str, entry: Entry, sha256: Sha256, corpus: Mapping[str, str]) -> Iterator[str]:
    """Yields what makes a signature stale: nothing where all that it signed still lies there, and no more overlays."""
    if not is_of(entry, corpus):
        yield "it is of another corpus than lies here"
        return
    files: Mapping[str, str] = entry.content.get("files", {})
    anew = [str(one) for one in differing(entry, sha256)]
    if anew:
        yield f"changed since: {', '.join(anew)}"
    overlays = (f"{OVERLAYS}/{name}" for name in storage.walk(storage.join(folder, OVERLAYS)))
    added = [name for name in overlays if name not in files]
    if added:
        yield f"added since: {', '.join(added)}"
