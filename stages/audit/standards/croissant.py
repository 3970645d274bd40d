"""`croissant.json`: the corpus as Croissant 1.1 describes a dataset, with RAI 1.0, provenance and conditions of use.

Each published file is a FileObject with its digest; of many files of one kind a FileSet stands for them, and the files
that name their digests (`corpus/manifest.json`, `reports/published.json`) are there as FileObjects. Nothing of it is a
clock's: the date of publication is people's to say.

Source: Croissant 1.1 (docs/croissant-spec-1.1.md of mlcommons/croissant) and its RAI vocabulary 1.0
(docs/croissant-rai-spec.md), both read; properties beside those two are of PROV-O and ODRL 2.2 as that text uses them.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa

from datapipe import DataError, storage
from stages.audit.hostile import harmless
from stages.audit.model import Words
from stages.audit.page.numbers import told
from stages.audit.standards.about import Agent
from stages.audit.standards.codes import bcp47, licence_url
from stages.audit.standards.known import Known, sure
from stages.audit.standards.verified import CROISSANT, line
from stages.audit.standing import CLAIM, REPORT
from stages.audit.tables import table_of

FILES: Final = 64  # of one kind that are named one by one; more are a FileSet
CONFORMS: Final = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
ARROW: Final = "application/vnd.apache.arrow.file"
PARQUET: Final = "application/x-parquet"
JSON: Final = "application/json"
CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
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
_FLAT: Final = ("sc:Text", "sc:Boolean")
Json = dict[str, Any]  # Any: JSON


def croissant(known: Known) -> bytes:
    """Returns the description as JSON-LD in UTF-8, the same bytes for the same corpus and answers."""
    about = known.about
    licences = (
        [str(about.licence_url or licence_url(about.licence) or about.licence)] if about.licence else _licences(known)
    )
    made: Json = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": known.name,
        "description": about.description or _description(known).model_dump(),
        "conformsTo": list(CONFORMS),
        "version": known.version,
        "url": _text(about.url),
        "license": licences or None,
        "citeAs": about.citation,
        "datePublished": about.date_published.isoformat() if about.date_published else None,
        "creator": [_agent(agent) for agent in about.creators or ()] or None,
        "publisher": _agent(about.publisher) if about.publisher else None,
        "inLanguage": bcp47(label for (label,) in known.rows("kinds.languages", "language") if isinstance(label, str))
        or None,
        "keywords": ["pretraining", "language modeling", "tokenized" if known.manifest else "text"],
        "isLiveDataset": False,
        "usageInfo": list(_use(known)) or None,
        **{f"rai:{name}": value for name, value in _responsible(known)},
        "prov:wasDerivedFrom": [_source(known, name) for name in known.counted.names],
        "prov:wasGeneratedBy": list(_activities(known)),
        "prov:wasAttributedTo": _software(known),
        "distribution": list(_distribution(known)),
        "recordSet": list(_record_sets(known)),
    }
    there = {name: value for name, value in made.items() if value is not None}
    return (json.dumps(there, indent=1, ensure_ascii=False) + "\n").encode()


def _description(known: Known) -> Words:
    found = known.counted
    splits = ", ".join(f"{name} {rows:,}" for name, rows in known.rows_of_split.items())
    documents, size, tokens = (f"{found.total(name):,}" for name in ("documents", "bytes", "tokens"))
    en = (
        f"Pretraining corpus made by datapipe {known.code_version} from {len(found.names)} sources: {documents} "
        f"documents, {size} bytes of text"
    )
    zh = (
        f"由 datapipe {known.code_version} 自 {len(found.names)} 个来源制作的预训练语料："
        f"文档 {documents} 篇，文本 {size} 字节"
    )
    if known.manifest:
        en, zh = f"{en}, {tokens} tokens; samples: {splits}", f"{zh}，词元 {tokens} 个；样本数：{splits}"
    return Words(en=f"{en}.", zh=f"{zh}。")


def _licences(known: Known) -> list[str]:
    """Returns the licences of the sources: their pages where they have one, their names where not."""
    names = [name for name, _ in known.counted.licences() if name]
    stated = [said.licence for said in known.about.sources.values() if said.licence]
    return list(dict.fromkeys(licence_url(name) or name for name in (*names, *stated)))


def _agent(agent: Agent) -> Json:
    kind = "sc:Organization" if agent.kind == "organization" else "sc:Person"
    said = {"@type": kind, "name": agent.name, "url": _text(agent.url), "email": agent.email}
    return {name: value for name, value in said.items() if value is not None}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _use(known: Known) -> Iterator[Json]:
    use = known.about.use
    if use is None:
        return
    offer: Json = {"@type": ["sc:CreativeWork", "odrl:Offer"], "name": "Conditions of use"}
    if use.conditions:
        offer["description"] = use.conditions
    for rule, kind, actions in (
        ("odrl:permission", "odrl:Permission", use.permitted),
        ("odrl:prohibition", "odrl:Prohibition", use.prohibited),
    ):
        if actions:
            offer[rule] = [{"@type": kind, "odrl:action": {"@id": f"odrl:{action}"}} for action in actions]
    yield offer


# Responsible AI


def _responsible(known: Known) -> Iterator[tuple[str, object]]:
    """Yields the properties of the RAI vocabulary and their values, in its order."""
    sheet = known.about.datasheet
    yield "dataCollection", _collection(known)
    if any(said.kind == "crawled" for said in known.about.sources.values()):
        yield "dataCollectionType", ["Web Scraping"]
    yield "dataCollectionMissingData", _missing(known)
    yield "dataCollectionRawData", sheet.raw or known.question("datasheet.raw").open.en
    times = [known.counted.of(name) for name in known.counted.names]
    first = [one["first"] for one in times if one["first"] is not None]
    last = [one["last"] for one in times if one["last"] is not None]
    if first and last:
        yield "dataCollectionTimeframe", [_moment(min(first)), _moment(max(last))]
    yield "dataPreprocessingProtocol", [_step(known, stage) for stage in known.stages()]
    yield "dataManipulationProtocol", _manipulation(known)
    yield "machineAnnotationTools", _tools(known) or None
    yield "personalSensitiveInformation", _personal(known)
    yield "dataBiases", _biases(known)
    yield "dataLimitations", _limitations(known)
    yield "dataUseCases", [sheet.uses or known.question("datasheet.uses").open.en]
    yield "dataSocialImpact", sheet.impact or known.question("datasheet.impact").open.en
    yield "dataReleaseMaintenancePlan", sheet.maintenance or known.question("datasheet.maintenance").open.en


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _collection(known: Known) -> str:
    said = []
    for name in known.counted.names:
        own, answers = known.counted.of(name), known.about.sources.get(name)
        how = answers.collected_how if answers and answers.collected_how else "how it was collected is open"
        said.append(f"{name}: {own['documents']:,} documents stayed, {own['hosts']:,} with an address; {how}")
    return "; ".join(said) + "."


def _missing(known: Known) -> str:
    parts = [
        f"{known.figures[key].label.en}: {sure(known.figures[key]).en}"
        for key in (
            "provenance.url.documents",
            "provenance.date.documents",
            "provenance.licence.documents",
            "provenance.place.documents",
        )
        if key in known.figures
    ]
    return "; ".join([*parts, *(said.en for said in known.audit.missing)]) or "nothing is known to be missing"


def _step(known: Known, stage: Mapping[str, Any]) -> str:
    """Returns what a step did, and by which rules."""
    counts = f"{stage['documents_in']:,} documents in, {stage['documents_out']:,} out"
    if stage["made"]:
        counts += f", {stage['made']:,} made by splitting"
    rules = [f"{rule['action']} {rule['rule']} {rule['documents']:,}" for rule in stage["rules"]]
    return f"{stage['stage']}: {counts}" + (f"; {', '.join(rules)}" if rules else "")


def _manipulation(known: Known) -> str:
    mix = known.manifest.get("mix")
    if not mix:
        return "Documents are handed on once each; no weighting or repetition."
    groups = [
        f"{group['group']} weight {told(float(group['weight']), 'number')}, {told(float(group['epochs']), 'number')} "
        "epochs"
        for group in mix["groups"]
    ]
    packing = known.manifest["packing"]
    how = (
        f"packed ({packing['by']}) into samples of {packing['seq_len']} tokens"
        if packing.get("seq_len")
        else "one a sample"
    )
    return f"Documents are tokenized once and {how}; sampled by {mix['by']}, seed {mix['seed']}: {'; '.join(groups)}."


def _number(value: float) -> str:
    return told(float(value), "number")


def _tools(known: Known) -> list[str]:
    names = ("language", "format", "classify", "safety", "quality", "pii", "dedup", "decontaminate")
    return [f"datapipe {known.code_version}: {name}" for name in names if known.ran(name)]


def _judged(known: Known) -> list[str]:
    return [figure.key for section in known.judged for figure in section.figures]


def _told(known: Known, *keys: str) -> list[str]:
    return [
        f"{known.figures[key].label.en}: {sure(known.figures[key]).en} [{key}]" for key in keys if key in known.figures
    ]


def _personal(known: Known) -> list[str]:
    kinds = ("all", "email", "phone", "identity", "card", "ip", "documents")
    found = _told(known, *(f"risk.pii.{kind}" for kind in kinds))
    if not found:
        return ["not looked for: no step pii has run"]
    return [
        *found,
        "what the rules do not know as a personal detail is still there; sensitive attributes were not looked for",
    ]


def _biases(known: Known) -> list[str]:
    """Returns whom filters hurt and on what the corpus is concentrated, with intervals."""
    said = _told(
        known,
        "survival.filters",
        "survival.hans",
        "survival.hant",
        "survival.hant_hans",
        "hosts.top1.tokens",
        "hosts.top10.tokens",
        "hosts.effective.tokens",
        "sources.top1.tokens",
        "sources.top1.trained",
    )
    names = ("axis", "group", "survival", "survival_low", "survival_high", "rest", "rule", "stage", "difference")
    for axis, group, survival, low, high, rest, rule, stage, difference in known.rows("survival.standing", *names):
        if isinstance(difference, float) and difference < 0:
            shares = [told(one, "share") for one in (survival, low, high, rest)]
            said.append(
                f"{axis} {group}: the filters leave {shares[0]} (95% interval {shares[1]} to {shares[2]}), of others "
                f"{shares[3]}; most by {stage}: {rule} [survival.standing]"
            )
    languages = known.rows("kinds.languages", "language", "tokens_share")
    if languages:
        said.append("share of tokens by language: " + ", ".join(f"{a} {told(b, 'share')}" for a, b in languages))
    return said or ["not measured"]


def _limitations(known: Known) -> list[str]:
    said = [one.en for one in known.audit.missing]
    said += _told(known, "duplicates.residual", "duplicates.recall")
    for name, items, documents in known.rows("risk.contamination", "benchmark", "items", "documents"):
        said.append(
            f"holds items of the benchmark {name}: {items:,} items in {documents:,} documents [risk.contamination]"
        )
    said += [f"warning of the run: {warning}" for warning in known.run.get("warnings", ())]
    said += [f"as people judged a sample: {one}" for one in _told(known, *_judged(known))]
    if known.about.datasheet.limitations:
        said.append(known.about.datasheet.limitations)
    if known.about.datasheet.misuses:
        said.append(f"not to be used for: {known.about.datasheet.misuses}")
    return [*said, *(f"of this description: {line(one).en}" for one in CROISSANT)]


# Provenance


def _id(kind: str, name: str) -> str:
    """Returns an id of ours; what is no letter or digit of ASCII is written by its bytes."""
    return f"urn:datapipe:{kind}:{quote(name, safe='')}"


def _source(known: Known, name: str) -> Json:
    said, inputs = known.about.sources.get(name), known.recipe.get("inputs", {}).get(name, {})
    licences = [licence for licence, _ in known.counted.licences(name) if licence]
    stated = said.licence if said else None
    made: Json = {
        "@type": "prov:Entity",
        "@id": _id("source", name),
        "prov:label": name,
        "name": said.title if said else None,
        "url": _text(said.url) if said else None,
        "license": [licence_url(one) or one for one in dict.fromkeys([*licences, *([stated] if stated else [])])]
        or None,
        "sha256": inputs.get("sha256") if isinstance(inputs, dict) else None,
        "prov:wasAttributedTo": {"@type": "prov:Agent", "prov:label": said.publisher}
        if said and said.publisher
        else None,
        "prov:wasDerivedFrom": [
            {"@type": "prov:Entity", "@id": _id("dataset", one), "prov:label": one} for one in (said.derived_from or ())
        ]
        if said and said.derived_from
        else None,
    }
    return {key: value for key, value in made.items() if value is not None}


def _activities(known: Known) -> Iterator[Json]:
    """Yields the steps as activities, each informed by the one before it."""
    recipe = {str(stage.get("name")): stage for stage in known.recipe.get("stages", []) if isinstance(stage, dict)}
    before: str | None = None
    for stage in known.stages():
        name = str(stage["stage"])
        made: Json = {
            "@type": "prov:Activity",
            "@id": _id("step", name),
            "prov:label": name,
            "description": _step(known, stage),
            "prov:wasAssociatedWith": {"@id": _id("agent", f"datapipe-{known.code_version}")},
        }
        used = [] if before else [{"@id": _id("source", source)} for source in known.counted.names]
        used += _resources(recipe.get(name, {}))
        if used:
            made["prov:used"] = used
        if before is not None:
            made["prov:wasInformedBy"] = {"@id": before}
        libraries = recipe.get(name, {}).get("libraries")
        if isinstance(libraries, dict) and libraries:
            made["softwareRequirements"] = [f"{one} {libraries[one]}" for one in sorted(libraries)]
        before = made["@id"]
        yield made


def _resources(stage: Mapping[str, Any]) -> list[Json]:
    """Returns the models and lists that a step read, by name and digest; where they lay is no one's business."""
    found = {
        str(one["sha256"]): str(one.get("path", "")).rpartition("/")[2]
        for one in stage.get("resources", ())
        if isinstance(one, dict) and one.get("sha256")
    }
    return [
        {"@type": "prov:Entity", "@id": _id("file", digest), "prov:label": harmless(name), "sha256": digest}
        for digest, name in sorted(found.items())
    ]


def _software(known: Known) -> Json:
    environment = known.recipe.get("environment", {})
    libraries = environment.get("libraries", {}) if isinstance(environment, dict) else {}
    made: Json = {
        "@type": ["prov:SoftwareAgent", "sc:SoftwareApplication"],
        "@id": _id("agent", f"datapipe-{known.code_version}"),
        "prov:label": f"datapipe {known.code_version}",
        "softwareVersion": known.code_version,
    }
    if libraries:
        made["softwareRequirements"] = [f"{one} {libraries[one]}" for one in sorted(libraries)]
    return made


# Files and columns


def _distribution(known: Known) -> Iterator[Json]:
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


def _record_sets(known: Known) -> Iterator[Json]:
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
