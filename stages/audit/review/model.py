"""A sample of documents that people judge, and the file of their verdicts, as data.

A sample names its documents and holds no text of theirs; it is known by the SHA-256 of its bytes, which every sheet and
every file of verdicts of it repeats. What is of documents (host, URL, labels) was made harmless and masked where it
entered; a condition and a note of a reviewer are whatever was typed, so who shows them makes them harmless.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datapipe import DataError, storage
from stages.audit.model import Words

SAMPLES: Final = "audit/samples"  # in the folder of a run; a folder a sample, by its name
SAMPLE: Final = "sample.json"
SHEET: Final = "sheet.html"
TABLE: Final = "sheet.csv"
VERDICTS: Final = "datapipe-verdicts"
NOTE: Final = 2_000  # characters of a note at the most

Verdict = Literal["pass", "fail", "unsure"]
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stratum(_Model):
    """A source of the corpus: how many documents a reader can get of it, and how many of them were drawn."""

    source: str
    documents: Annotated[int, Field(ge=0, description="kept, in samples of any split, not taken out by overlays")]
    drawn: Annotated[int, Field(ge=0)]


class Item(_Model):
    """A document of the sample: what the index says of it, harmless and masked; null is not known."""

    id: Id
    source: str
    language: str | None
    script: str | None
    format: str | None
    host: str | None
    url: str | None
    split: str
    characters: Annotated[int | None, Field(description="of all its text, of which a sheet shows `text` at most")]


class Sample(_Model):
    """Which documents are judged: those of least hash of (seed, id), of all or of each source, by (hash, id)."""

    format_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100, description="its folder")]
    corpus: Annotated[dict[str, str], Field(description="digests by name, as `stages.audit.standing.digests` has them")]
    seed: Annotated[int, Field(ge=0)]
    asked: Annotated[int, Field(ge=1, description="documents that were asked for")]
    by: Literal["source"] | None
    where: Annotated[
        tuple[str, ...],
        Field(description="conditions that all documents fulfil, as they were asked; none where all count"),
    ]
    text: Annotated[int, Field(ge=1, description="characters that a sheet shows of each document at most")]
    documents: Annotated[int, Field(ge=1, description="that the sample is of: those a reader can get")]
    strata: Annotated[tuple[Stratum, ...], Field(description="by name of the source, whether drawn by it or not")]
    items: tuple[Item, ...]

    def to_json(self) -> bytes:
        """Returns the bytes of sample.json: UTF-8, keys in the order of the model."""
        return (json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n").encode()

    @property
    def sha256(self) -> str:
        """By which it is known, in hex digits."""
        return hashlib.sha256(self.to_json()).hexdigest()


class Judged(_Model):
    """What a reviewer says of a document."""

    id: Id
    verdict: Verdict
    reasons: tuple[str, ...] = ()  # codes of REASONS
    note: Annotated[str, Field(max_length=NOTE)] = ""


class Verdicts(_Model):
    """The file of one reviewer's verdicts on one sample; documents not judged are not in it."""

    format: Literal["datapipe-verdicts"] = "datapipe-verdicts"
    format_version: Literal[1] = 1
    sample_sha256: Digest
    reviewer: str
    role: str
    verdicts: tuple[Judged, ...]


@dataclass(frozen=True)
class Reason:
    """Why a document fails: `key` picks it in the sheet; `risk` is the class of TC260-003, annex A, None of quality."""

    code: str
    key: str
    risk: str | None
    words: Words


# The five classes as secondary pages tell them; what is said of each is ours, and the standard was not read.
_REASONS: Final = (
    Reason("values", "v", "A.1", Words(en="against law or core values", zh="违反社会主义核心价值观")),
    Reason("discrimination", "d", "A.2", Words(en="discrimination", zh="歧视性内容")),
    Reason("commercial", "c", "A.3", Words(en="commercial offence", zh="商业违法违规")),
    Reason("rights", "r", "A.4", Words(en="rights of others", zh="侵犯他人合法权益")),
    Reason("unreliable", "a", "A.5", Words(en="unreliable for its use", zh="无法满足特定服务的安全需求")),
    Reason("not_text", "t", None, Words(en="not text", zh="不是正常文本")),
    Reason("language", "l", None, Words(en="wrong language", zh="语言标注错误")),
    Reason("machine", "m", None, Words(en="page or machine remnants", zh="网页或程序残留")),
    Reason("copy", "y", None, Words(en="copy of another", zh="重复内容")),
    Reason("personal", "i", None, Words(en="personal data left", zh="残留个人信息")),
    Reason("other", "o", None, Words(en="other: see note", zh="其他（见备注）")),
)
REASONS: Final[Mapping[str, Reason]] = MappingProxyType({one.code: one for one in _REASONS})


def sample_of(content: bytes, place: str) -> Sample:
    """Returns the sample whose file was read; `place` is named where it is none. Raises DataError."""
    try:
        return Sample.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"])) or "JSON"
        raise DataError(
            f"{place}: is no sample that this datapipe reads ({at}: {first['msg']}); draw it again with `datapipe "
            "audit sample`"
        ) from error


def samples_in(folder: str) -> dict[str, Sample]:
    """Returns the samples that lie in the folder of a run, by the SHA-256 of their files. Raises DataError."""
    place = storage.join(folder, SAMPLES)
    paths = [
        path for path in (storage.join(place, name) for name in storage.walk(place)) if path.endswith(f"/{SAMPLE}")
    ]
    contents = zip(paths, storage.read_many(paths), strict=True)
    return {hashlib.sha256(content).hexdigest(): sample_of(content, path) for path, content in contents}
