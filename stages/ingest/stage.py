"""The stage `ingest`: sources of the config to documents."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict

from datapipe import ConfigError, Dataset, InputFile, Source, Stage, concat
from datapipe.dataset import ReadFunction
from datapipe.storage import find_files
from stages.ingest.extract import extract
from stages.ingest.jsonl import FieldNames, ReadJsonl
from stages.ingest.readers import ReadHtml, ReadWarc
from stages.ingest.rows import RAW
from stages.schema import DOCUMENT

Format = Literal["warc", "html", "jsonl"]
COMPRESSIONS = (".gz", ".zst", ".zstd", ".lz4", ".bz2", ".xz")
ENDINGS: dict[str, Format] = {
    ".warc": "warc",
    ".wet": "warc",
    ".arc": "warc",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """A source of documents: where it lies and how it is read."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    path: Annotated[str | tuple[str, ...], "a file, a folder or a glob, or a list of them"]
    format: Annotated[Format | None, "warc (also WET), html or jsonl; by the files' ending if not given"] = None
    licence: Annotated[str | None, "licence of its documents, where a document does not state its own"] = None
    fields: Annotated[FieldNames, "which keys of a JSON line hold what"] = field(default_factory=FieldNames)
    bytes_per_shard: Annotated[int, "files are put together into shards of about so many bytes, as they lie"] = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Ingest(Stage):
    """Reads sources: WARC, HTML files and JSON lines become documents with main text and provenance."""

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("resiliparse", "chardetng-py", "fastwarc", "publicsuffixlist")

    sources: Annotated[dict[str, SourceConfig], "sources by name"]
    max_document_bytes: Annotated[int, "largest page or JSON line that is taken (bytes)"] = 64 << 20

    def build(self, *inputs: Dataset) -> Dataset:
        if inputs:
            raise ConfigError("ingest: it reads sources and takes no input, so it can only be the first step")
        if not self.sources:
            raise ConfigError(
                "ingest: sources: there is none; name at least one, such as 'web: {path: crawl/*.warc.gz}'"
            )
        if self.max_document_bytes < 1:
            raise ConfigError(f"ingest: max_document_bytes: {self.max_document_bytes} is not above 0")
        return concat([self._source(name, config) for name, config in self.sources.items()])

    def _source(self, name: str, config: SourceConfig) -> Dataset:
        files = source_files(name, config.path)
        groups = grouped(files, config.bytes_per_shard)
        read = self._reader(name, config, config.format or format_of(name, files))
        found = Dataset(Source(name, read, groups), RAW)
        return found.map(partial(extract, unicode=unicodedata.unidata_version), schema=DOCUMENT, documents=True)

    def _reader(self, name: str, config: SourceConfig, form: Format) -> ReadFunction:
        match form:
            case "warc":
                return ReadWarc(name, config.licence, self.max_document_bytes)
            case "html":
                return ReadHtml(name, config.licence, self.max_document_bytes)
            case "jsonl":
                return ReadJsonl(name, config.licence, self.max_document_bytes, config.fields)


def source_files(name: str, path: str | Sequence[str]) -> list[InputFile]:
    """Returns the files of a source, by name. Raises ConfigError where there is none or two share a name."""
    files = [file for pattern in ([path] if isinstance(path, str) else path) for file in find_files(pattern)]
    if not files:
        raise ConfigError(f"ingest: sources: {name}: path: no file is named; give a file, a folder or a glob")
    files.sort(key=lambda file: file.name)
    for one, other in pairwise(files):
        if one.name == other.name:
            raise ConfigError(
                f"ingest: sources: {name}: path: {one.url} and {other.url} are both called '{one.name}' relative to "
                "their paths, and ids follow from names; give a folder or glob above both, or make two sources of them"
            )
    return files


def format_of(name: str, files: Sequence[InputFile]) -> Format:
    """Returns the format that the files' endings say. Raises ConfigError where they say none, or two."""
    found: dict[Format, str] = {}
    for file in files:
        stem = file.name.lower()
        for ending in COMPRESSIONS:
            stem = stem.removesuffix(ending)
        form = ENDINGS.get(stem[stem.rfind(".") :]) if "." in stem else None
        if form is None:
            raise ConfigError(
                f"ingest: sources: {name}: the ending of {file.name} says no format; expected one of "
                f"{', '.join(ENDINGS)} (and .gz or .zst), or the key 'format'"
            )
        found.setdefault(form, file.name)
    if len(found) > 1:
        examples = " and ".join(f"{file} ({form})" for form, file in found.items())
        raise ConfigError(f"ingest: sources: {name}: files of two formats, {examples}; make two sources of them")
    return next(iter(found))


def grouped(files: Sequence[InputFile], bytes_per_shard: int) -> tuple[tuple[InputFile, ...], ...]:
    """Returns the files in groups of at most `bytes_per_shard` (bytes as they lie) or one file, in order."""
    groups: list[list[InputFile]] = []
    size = 0
    for file in files:
        if not groups or size + file.size_bytes > bytes_per_shard:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size_bytes
    return tuple(tuple(group) for group in groups)
