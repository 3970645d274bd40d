"""Where a corpus comes from, as PROV-O: sources as entities, steps as activities in a row, datapipe as their agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from stages.audit.hostile import harmless
from stages.audit.standards.codes import licence_url
from stages.audit.standards.known import Known

Json = dict[str, Any]  # Any: JSON


def step_line(known: Known, stage: Mapping[str, Any]) -> str:
    """Returns what a step did, and by which rules: what a rule did first, not the rules that fired beside it."""
    rules = [
        f"{rule['action']} {rule['rule']} {rule['documents']:,}" for rule in stage["rules"] if rule["action"] != "also"
    ]
    if not (stage["documents_in"] or stage["documents_out"] or rules):
        return f"{stage['stage']}: takes no document out"
    counts = f"{stage['documents_in']:,} documents in, {stage['documents_out']:,} out"
    if stage["made"]:
        counts += f", {stage['made']:,} made by splitting"
    return f"{stage['stage']}: {counts}" + (f"; {', '.join(rules)}" if rules else "")


def text_of(value: object) -> str | None:
    """Returns what people gave as a text, None where they gave nothing."""
    return None if value is None else str(value)


def _id(kind: str, name: str) -> str:
    """Returns an id of ours; what is no letter or digit of ASCII is written by its bytes."""
    return f"urn:datapipe:{kind}:{quote(name, safe='')}"


def source(known: Known, name: str) -> Json:
    """Returns a source as an entity, with the digest of its input files where a recipe was kept."""
    said, inputs = known.about.sources.get(name), known.recipe.get("inputs", {}).get(name, {})
    licences = [licence for licence, _ in known.counted.licences(name) if licence]
    stated = said.licence if said else None
    made: Json = {
        "@type": "prov:Entity",
        "@id": _id("source", name),
        "prov:label": name,
        "name": said.title if said else None,
        "url": text_of(said.url) if said else None,
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


def activities(known: Known) -> Iterator[Json]:
    """Yields the steps as activities, each informed by the one before it."""
    recipe = {str(stage.get("name")): stage for stage in known.recipe.get("stages", []) if isinstance(stage, dict)}
    before: str | None = None
    for stage in known.stages():
        name = str(stage["stage"])
        made: Json = {
            "@type": "prov:Activity",
            "@id": _id("step", name),
            "prov:label": name,
            "description": step_line(known, stage),
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


def software(known: Known) -> Json:
    """Returns the datapipe that ran as an agent, with the libraries that it ran with."""
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
