"""What is known of each of two runs before their documents are read, and in what documents of both can be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from datapipe import ID, InputFile, storage
from stages.audit.frames import documents_schema, lines_of
from stages.audit.published import DOCUMENTS, INDEX, LEDGER_FILES, PLACE, Published, schema_of
from stages.corpus.corpus import REMOVED
from stages.quality.stage import METADATA
from stages.schema import DOCUMENT

SIDES: Final = ("a", "b")
RECIPE: Final = "reports/recipe.json"
FATE: Final = pa.schema(
    [
        pa.field("stage", pa.string()),
        pa.field("action", pa.string()),
        pa.field("rule", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("limit", pa.float64()),
        pa.field("other", ID),
        pa.field("similarity", pa.float32()),
    ]
)
IDENTITY: Final = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("host", pa.string()),
        pa.field("file", pa.string()),
        pa.field("language", pa.string()),
        pa.field("script", pa.string()),
        pa.field("format", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("tokens", pa.int64()),
    ]
)
_UNCOMPARED: Final = {  # columns of the index in which two runs may differ and the document is the same
    *("id", "doc_id", "text", "text_digest", "extra", "offset", "cluster", "crawl_date", "canonical_url", "domain"),
    *("validation", "group", "host", "file", "bytes", "characters", "input_ids", *PLACE.names),
}
_WHERE: Final = ("path", "path_list", "root")  # fields that say where files lie
Limits = tuple[str, str, tuple[float, ...], tuple[float, ...]]  # of a rule: stage, name, all `min`, all `max`


@dataclass(frozen=True)
class Side:
    """What is known of one of the two runs before its documents are read.

    `limits` are (stage, rule, limits below, limits above) of the rules that it says it had; `settings` (stage, its
    fields as JSON) and `inputs` (source, digest of its files) where a recipe is there. `lacks` is what makes an answer
    vague.
    """

    name: str
    stages: tuple[str, ...]
    limits: tuple[Limits, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    version: str = ""
    tokenizer: str = ""
    sample: float = 1.0  # share of its input that it ran over
    rebuilt: int = 0  # documents that a rebuild took out, whose ids are not known
    lacks: tuple[str, ...] = ()

    @property
    def has_ledger(self) -> bool:
        """Whether it says of the documents that left."""
        return "ledger" not in self.lacks

    @property
    def is_named(self) -> bool:
        """Whether documents that stayed have ids that another run gives them too."""
        return "id" not in self.lacks


def side_of(run: Published) -> Side:
    """Returns what a run says of itself."""
    stages = tuple(str(stage["stage"]) for stage in run.run["stages"])
    left = any(stage["dropped"] for stage in run.run["stages"])
    index = index_of(run)
    there = columns_of(run, index).names
    lacks = [] if run.files(LEDGER_FILES) or not left else ["ledger"]
    if not {"id", "doc_id"} & set(there):
        lacks.append("id")
    if "text_digest" not in there:
        lacks.append("text_digest")
    tokenizer = run.manifest.get("tokenizer", {})
    settings, inputs = _recipe(run.folder)
    return Side(
        name=str(run.run.get("name", "")),
        stages=stages,
        limits=tuple(_limits(run)),
        settings=settings,
        inputs=inputs,
        version=str(run.run.get("code_version", "")),
        tokenizer=str(tokenizer.get("sha256", "")) if isinstance(tokenizer, dict) else "",
        sample=float(run.run.get("sample", 1.0)),
        rebuilt=int(run.manifest.get("documents", {}).get(REMOVED, 0)),
        lacks=tuple(lacks),
    )


def index_of(run: Published) -> tuple[InputFile, ...]:
    """Returns the files that have a row for each document that stayed."""
    return run.files(INDEX) or run.files(DOCUMENTS)


def _limits(run: Published) -> list[Limits]:
    """Returns the rules that the steps `quality` say they judged by, in the metadata of their signals."""
    found: dict[tuple[str, str], tuple[set[float], set[float]]] = {}
    stems: dict[str, InputFile] = {}
    for file in run.files("signals/"):
        if file.name.endswith(".parquet"):
            stems.setdefault(re.sub(r"-\d{5,}-of-\d{5,}\.parquet$", "", file.name), file)
    for file in stems.values():
        said = (schema_of(run.folder, file).metadata or {}).get(METADATA)
        if said is None:
            continue
        described = json.loads(said)
        used = {*described["profiles"].values(), *described["also"]}
        for name in used & described["tables"].keys():
            for rule in described["tables"][name]["rules"]:
                held = found.setdefault((described["step"], rule["id"]), (set(), set()))
                for limits, key in zip(held, ("min", "max"), strict=True):
                    limits |= {float(rule[key])} if rule.get(key) is not None else set()
    return [(*key, tuple(sorted(low)), tuple(sorted(high))) for key, (low, high) in sorted(found.items())]


def _recipe(folder: str) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Returns the settings of the stages and the digests of the sources that a recipe says; it only sharpens causes."""
    content = storage.read_if_there(storage.join(folder, RECIPE))
    try:
        said = json.loads(content or b"{}")
        settings = [
            (
                str(stage["name"]),
                json.dumps([stage.get("version"), _anywhere(stage["fields"]), _files(stage)], sort_keys=True),
            )
            for stage in said.get("stages", [])
        ]
        inputs = [
            (str(source), str(own["sha256"]))
            for source, own in sorted(said.get("inputs", {}).items())
            if all(_is_known(file) for file in own["list"] or ())
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return (), ()
    return tuple(settings), tuple(inputs)


def _is_known(file: Mapping[str, Any]) -> bool:  # Any: JSON
    """Returns whether the digest of an input file, or of all its parts, was taken: of files in stores none is."""
    return bool(file["sha256"]) or (bool(file.get("ranges")) and all(one[2] for one in file["ranges"]))


def _anywhere(fields: Any) -> Any:  # Any: JSON
    """Returns fields of a stage without where files lie, which are known by their digests wherever that is."""
    if isinstance(fields, dict):
        return {name: _anywhere(value) for name, value in fields.items() if name not in _WHERE}
    return [_anywhere(value) for value in fields] if isinstance(fields, list) else fields


def _files(stage: Mapping[str, Any]) -> list[list[str]]:  # Any: JSON
    """Returns the digests of the files that a stage goes by: lists, models, rules."""
    return sorted([str(one["field"]), str(one["sha256"])] for one in stage.get("resources", []))


def compared(a: Published, b: Published) -> tuple[pa.Schema, tuple[str, ...]]:
    """Returns the columns of documents in which two runs are compared, and those that one of them has alone."""
    one, two = (_columns(run) for run in (a, b))
    both = [
        field.remove_metadata()
        for field in one
        if field.name in two.names and two.field(field.name).type == field.type and field.name not in _UNCOMPARED
    ]
    alone = ({*one.names} | {*two.names}) - {field.name for field in both} - _UNCOMPARED
    return pa.schema(both), tuple(sorted(alone))


def _columns(run: Published) -> pa.Schema:
    """Returns the columns of the documents that stayed; those of IDENTITY are of the same type in all runs."""
    files = index_of(run)
    there = columns_of(run, files)
    if not files[0].name.endswith(".parquet"):
        there = _filled(there, files[0])
    return pa.schema([IDENTITY.field(field.name) if field.name in IDENTITY.names else field for field in there])


def _filled(there: pa.Schema, file: InputFile) -> pa.Schema:
    """Returns the columns of documents in lines of JSON without those of steps that the first lines have nothing of."""
    first = next(iter(lines_of(file)), None)
    empty = (
        [] if first is None else [name for name in first.schema.names if first.column(name).null_count == len(first)]
    )
    return pa.schema([field for field in there if field.name in DOCUMENT.names or field.name not in empty])


def columns_of(run: Published, files: Sequence[InputFile]) -> pa.Schema:
    """Returns the columns that are read of such files."""
    if files[0].name.startswith(INDEX):
        return schema_of(run.folder, files[0])
    return documents_schema(run.folder, files)
