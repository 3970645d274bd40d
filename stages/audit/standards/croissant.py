"""`croissant.json`: the corpus as Croissant 1.1 describes a dataset, with RAI 1.0, provenance and conditions of use.

Each published file is a FileObject with its digest; of many files of one kind a FileSet stands for them, and the files
that name their digests (`corpus/manifest.json`, `reports/published.json`) are there as FileObjects. Nothing of it is a
clock's: the date of publication is people's to say.

Source: Croissant 1.1 (docs/croissant-spec-1.1.md of mlcommons/croissant) and its RAI vocabulary 1.0
(docs/croissant-rai-spec.md), both read; properties beside those two are of PROV-O and ODRL 2.2 as that text
uses them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from stages.audit.model import Words
from stages.audit.standards.about import Agent
from stages.audit.standards.codes import bcp47, licence_url
from stages.audit.standards.known import Known
from stages.audit.standards.layout import distribution, record_sets
from stages.audit.standards.lineage import Json, activities, software, source, text_of
from stages.audit.standards.responsible import responsible

CONFORMS: Final = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
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
        "url": text_of(about.url),
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
        **{f"rai:{name}": value for name, value in responsible(known)},
        "prov:wasDerivedFrom": [source(known, name) for name in known.counted.names],
        "prov:wasGeneratedBy": list(activities(known)),
        "prov:wasAttributedTo": software(known),
        "distribution": list(distribution(known)),
        "recordSet": list(record_sets(known)),
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
    said = {"@type": kind, "name": agent.name, "url": text_of(agent.url), "email": agent.email}
    return {name: value for name, value in said.items() if value is not None}


def _use(known: Known) -> Iterator[Json]:
    use = known.about.use
    if use is None:
        return
    kinds = ["sc:CreativeWork", *(["odrl:Offer"] if use.permitted or use.prohibited else [])]
    if not use.conditions and len(kinds) == 1:
        return
    offer: Json = {"@type": kinds, "name": "Conditions of use"}
    if use.conditions:
        offer["description"] = use.conditions
    for rule, kind, actions in (
        ("odrl:permission", "odrl:Permission", use.permitted),
        ("odrl:prohibition", "odrl:Prohibition", use.prohibited),
    ):
        if actions:
            offer[rule] = [{"@type": kind, "odrl:action": {"@id": f"odrl:{action}"}} for action in actions]
    yield offer
