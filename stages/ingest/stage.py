"""The stage `ingest`: sources of the config to documents."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict

from datapipe import ConfigError, Dataset, InputFile, Output, Source, Stage, concat
from datapipe.dataset import ReadFunction
from datapipe.storage import find_files
from stages.ingest.charsets import CHARSETS, place_of
from stages.ingest.columns import ReadColumns, check_columns
from stages.ingest.extract import extract
from stages.ingest.fields import FieldNames
from stages.ingest.jsonl import ReadJsonl
from stages.ingest.parts import LEAST_BYTES, shards_of
from stages.ingest.paths import evenly, listed_files
from stages.ingest.readers import ReadHtml, ReadWarc
from stages.ingest.robots import Request
from stages.ingest.rows import RAW
from stages.ingest.text import ReadLines
from stages.schema import DOCUMENT

Format = Literal["warc", "html", "jsonl", "parquet", "arrow", "text"]
LIST_ENDINGS = (".paths", ".paths.gz", ".paths.zst")
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
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".markdown": "text",
    ".rst": "text",
}


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """A source of documents: where it lies (`path`, or a `path_list`) and how it is read."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    path: Annotated[str | tuple[str, ...], "a file, a folder or a glob, or a list of them"] = ()
    path_list: Annotated[str | None, "a file that names files, a path a line, as Common Crawl's warc.paths.gz"] = None
    root: Annotated[
        str | None, "where relative paths in that file begin; if not given, at Common Crawl's root or in its folder"
    ] = None
    take: Annotated[int | None, "so many of the files, evenly spaced; if not given, all"] = None
    format: Annotated[
        Format | None, "warc (also WET), html, jsonl, parquet, arrow or text; by the files' ending if not given"
    ] = None
    text: Annotated[Literal["file", "line"], "what is a document of a plain text file"] = "file"
    licence: Annotated[str | None, "licence of its documents, where a document does not state its own"] = None
    fields: Annotated[FieldNames, "which keys of a JSON line, or columns, hold what"] = field(
        default_factory=FieldNames
    )
    bytes_per_shard: Annotated[
        int, "bytes as they lie of which a shard has at most so many: large files are cut, small ones put together"
    ] = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Ingest(Stage):
    """Reads sources: crawls, HTML, JSON lines, tables and text become documents with main text and provenance."""

    version: ClassVar[int] = 4
    libraries: ClassVar[tuple[str, ...]] = ("resiliparse", "chardetng-py", "fastwarc", "idna", "publicsuffixlist")

    sources: Annotated[dict[str, SourceConfig], "sources by name"]
    max_document_bytes: Annotated[int, "largest page, line or text that is taken (bytes)"] = 64 << 20
    respect: Annotated[
        tuple[Request, ...], "drop pages that ask for one of these: robots directives such as noindex, or no_ai"
    ] = ()
    comments: Annotated[bool, "whether what readers wrote below a page's text is text too"] = False

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
        if config.bytes_per_shard < LEAST_BYTES:
            raise ConfigError(
                f"ingest: sources: {name}: bytes_per_shard: {config.bytes_per_shard} is less than {LEAST_BYTES}; a "
                "smaller shard costs more to begin than to read"
            )
        files = source_files(name, config)
        form = config.format or format_of(name, files)
        if form in ("parquet", "arrow"):
            check_columns(files, form, config.fields)
        lines = form == "text" and config.text == "line"
        groups, notes = shards_of(files, config.bytes_per_shard, "lines" if lines else form)
        read = self._reader(name, config, form)
        found = Dataset(Source(name, read, groups, notes), RAW)
        function = partial(extract, unicode=unicodedata.unidata_version, respect=self.respect, comments=self.comments)
        counted = Output("charsets", CHARSETS, publish=place_of(name))
        return found.map(function, schema=DOCUMENT, documents=True, outputs=(counted,))

    def _reader(self, name: str, config: SourceConfig, form: Format) -> ReadFunction:
        match form:
            case "warc":
                return ReadWarc(name, config.licence, self.max_document_bytes)
            case "html":
                return ReadHtml(name, config.licence, self.max_document_bytes)
            case "jsonl":
                return ReadJsonl(name, config.licence, self.max_document_bytes, config.fields)
            case "parquet" | "arrow":
                return ReadColumns(form, name, config.licence, self.max_document_bytes, config.fields)
            case "text":
                if config.text == "line":
                    return ReadLines(name, config.licence, self.max_document_bytes)
                return ReadHtml(name, config.licence, self.max_document_bytes, text=True)


def source_files(name: str, config: SourceConfig) -> list[InputFile]:
    """Returns the files of a source, by name. Raises ConfigError where there is none or two share a name."""
    if config.take is not None and config.take < 1:
        raise ConfigError(f"ingest: sources: {name}: take: {config.take} is not above 0")
    if config.path_list is not None and not config.path:
        files = listed_files(config.path_list, config.root, config.take)
        return sorted(files, key=lambda file: file.name)
    if config.path_list is not None or config.root is not None:
        raise ConfigError(
            f"ingest: sources: {name}: give either path (a file, a folder or a glob) or path_list (a file that "
            "names files, and root if its relative paths begin elsewhere)"
        )
    patterns = [config.path] if isinstance(config.path, str) else config.path
    for pattern in patterns:
        if pattern.endswith(LIST_ENDINGS):
            raise ConfigError(f"ingest: sources: {name}: path: {pattern} is a list of files; give it as path_list")
    files = [file for pattern in patterns for file in find_files(pattern)]
    if not files:
        raise ConfigError(f"ingest: sources: {name}: path: no file is named; give a file, a folder or a glob")
    files.sort(key=lambda file: file.name)
    for one, other in pairwise(files):
        if one.name == other.name:
            raise ConfigError(
                f"ingest: sources: {name}: path: {one.url} and {other.url} are both called '{one.name}' relative to "
                "their paths, and ids follow from names; give a folder or glob above both, or make two sources of them"
            )
    return evenly(files, config.take)


def format_of(name: str, files: Sequence[InputFile]) -> Format:
    """Returns the format that the files' endings say. Raises ConfigError where they say none, or two."""
    found: dict[Format, str] = {}
    for file in files:
        stem = file.name.lower()
        for ending in COMPRESSIONS:
            stem = stem.removesuffix(ending)
        if stem.endswith(".wat"):
            raise ConfigError(
                f"ingest: sources: {name}: {file.name} is a WAT file, which holds metadata and no pages; "
                "give the WARC files, or the WET files for their text"
            )
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
