"""The files of a corpus and the columns of their tables, as Croissant names them."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from datapipe import DataError, storage
from stages.audit.standards.known import Known
from stages.audit.standing import CLAIM, REPORT
from stages.audit.tables import table_of

FILES: Final = 64  # of one kind that are named one by one; more are a FileSet
ARROW: Final = "application/vnd.apache.arrow.file"
PARQUET: Final = "application/x-parquet"
JSON: Final = "application/json"
_TYPES: Final = {
    pa.string(): "sc:Text",
    pa.large_string(): "sc:Text",
    pa.bool_(): "sc:Boolean",
    pa.int8(): "cr:Int8",
    pa.int16(): "cr:Int16",
    pa.int32(): "cr:Int32",
    pa.int64(): "cr:Int64",
    pa.float32(): "cr:Float32",
    pa.float64(): "cr:Float64",
}
_TABLES: Final = (  # record sets: name, files, and what a row is
    (
        "samples",
        "corpus/train-*.arrow",
        "a sample of the train split, at its position: token ids as a reader gets them",
    ),
    ("validation", "corpus/validation-*.arrow", "a sample of the split held out for validation"),
    (
        "documents",
        "corpus/index/documents-*.parquet",
        "a document that stayed: where it is from, and what is known of it",
    ),
    ("segments", "corpus/index/segments-*.parquet", "a piece of a document in a sample of the train split"),
    (
        "validation_segments",
        "corpus/index/validation-segments-*.parquet",
        "a piece of a document in a sample of the validation split",
    ),
    ("documents", "documents/part-*.parquet", "a document that stayed, with its text"),
    (
        "ledger",
        "ledger/part-*.parquet",
        "what a step did to a document: dropped, repaired, flagged, with rule and value",
    ),
)
Json = dict[str, Any]  # Any: JSON


def distribution(known: Known) -> Iterator[Json]:
    """Yields the published files with their digests, and a set for each kind of table."""
    grouped = [
        (name, pattern, [one for one in sorted(known.files) if fnmatch.fnmatchcase(one, pattern)])
        for name, pattern, _ in _TABLES
    ]
    sets = {name: (pattern, names) for name, pattern, names in grouped if names}
    members = {one: key for key, (_, names) in sets.items() for one in names}
    single = [one for one in sorted(known.files) if one not in members]
    single += [one for _, (_, names) in sets.items() if len(names) <= FILES for one in names]
    sizes = file_sizes(known, single)
    said = dict(known.files)
    for name in (CLAIM, REPORT):
        content = storage.read_if_there(storage.join(known.folder, name))
        if content is not None:
            said[name] = hashlib.sha256(content).hexdigest()
            single.append(name)
            sizes[name] = len(content)
    others: dict[str, list[str]] = {}
    for one in single:
        others.setdefault(one.rpartition("/")[0] + one.rpartition(".")[2], []).append(one)
    for names in others.values():
        few = names if len(names) <= FILES else []
        yield from (_file(one, said[one], sizes.get(one)) for one in few)
        if not few:
            folder, _, last = names[0].rpartition("/")
            end = last.rpartition(".")[2]
            yield _set(f"set:{folder}/*.{end}", f"{folder}/*.{end}", len(names))
    for key, (pattern, names) in sets.items():
        yield _set(f"set:{key}", pattern, len(names))


def _file(name: str, digest: str, size: int | None) -> Json:
    made: Json = {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name}
    if size is not None:
        made["contentSize"] = f"{size} B"
    return {**made, "encodingFormat": _format(name), "sha256": digest}


def _set(key: str, pattern: str, files: int) -> Json:
    digests = "corpus/manifest.json and reports/published.json name the SHA-256 of each"
    return {
        "@type": "cr:FileSet",
        "@id": key,
        "name": key,
        "description": f"{files:,} files; {digests}",
        "encodingFormat": _format(pattern),
        "includes": pattern,
    }


def _format(name: str) -> str:
    ends = {"arrow": ARROW, "parquet": PARQUET, "json": JSON, "html": "text/html", "md": "text/markdown"}
    return ends.get(name.rpartition(".")[2], "application/octet-stream")


def file_sizes(known: Known, names: list[str]) -> dict[str, int]:
    """Returns the sizes of files; none of those that are gone, which `datapipe verify` names."""
    there = [name for name in names if storage.exists(storage.join(known.folder, name))]
    found = storage.describe_files([(name, storage.join(known.folder, name)) for name in there])
    return {one.name: one.size_bytes for one in found}


def record_sets(known: Known) -> Iterator[Json]:
    """Yields the tables with their columns."""
    for key, pattern, meaning in _TABLES:
        names = [one for one in sorted(known.files) if fnmatch.fnmatchcase(one, pattern)]
        if names:
            schema = schema_of(storage.join(known.folder, names[0]))
            yield {
                "@type": "cr:RecordSet",
                "@id": key,
                "name": key,
                "description": f"A row is {meaning}.",
                "field": [_field(key, one) for one in schema if _type(one.type)],
            }


def schema_of(path: str) -> pa.Schema:
    """Returns the columns of a published file. Raises DataError where it cannot be read."""
    try:
        if path.endswith(".arrow"):
            with storage.open_shard(path) as file, pa.ipc.open_file(file) as reader:
                return reader.schema
        with table_of(path) as table:
            return table.schema_arrow
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read ({error}); `datapipe verify` names all such files") from error


def _type(kind: pa.DataType) -> str | None:
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        return _TYPES.get(kind.value_type)
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind):
        return "sc:Text"  # Croissant has no type of bytes; `description` says what they are
    return _TYPES.get(kind)


def _field(key: str, column: pa.Field) -> Json:
    made: Json = {
        "@type": "cr:Field",
        "@id": f"{key}/{column.name}",
        "name": column.name,
        "description": _meaning(column),
        "dataType": _type(column.type),
        "source": {"fileSet": {"@id": f"set:{key}"}, "extract": {"column": column.name}},
    }
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type) or pa.types.is_large_list(column.type):
        made["isArray"] = True
        made["arrayShape"] = str(column.type.list_size) if pa.types.is_fixed_size_list(column.type) else "-1"
    return made


def _meaning(column: pa.Field) -> str:
    said = str((column.metadata or {}).get(b"meaning", b""), "utf-8", "replace")
    if pa.types.is_fixed_size_binary(column.type):
        said = f"{said}; " if said else ""
        said += f"{column.type.byte_width} bytes"
    return said or column.name
