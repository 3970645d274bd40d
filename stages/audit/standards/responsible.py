"""What the RAI vocabulary 1.0 asks of a dataset, from the figures of the report and what people say.

Source: docs/croissant-rai-spec.md of mlcommons/croissant: its table of properties.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from stages.audit.page.numbers import told
from stages.audit.standards.known import Known, sure
from stages.audit.standards.lineage import step_line
from stages.audit.standards.verified import CROISSANT, line


def responsible(known: Known) -> Iterator[tuple[str, object]]:
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
    yield "dataPreprocessingProtocol", [step_line(known, stage) for stage in known.stages()]
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
    for name, documents in known.rows("risk.contamination", "benchmark", "documents"):
        if documents:
            said.append(f"holds items of the benchmark {name}, in {documents:,} documents [risk.contamination]")
    said += [f"warning of the run: {warning}" for warning in known.run.get("warnings", ())]
    said += [f"as people judged a sample: {one}" for one in _told(known, *_judged(known))]
    if known.about.datasheet.limitations:
        said.append(known.about.datasheet.limitations)
    if known.about.datasheet.misuses:
        said.append(f"not to be used for: {known.about.datasheet.misuses}")
    return [*said, *(f"of this description: {line(one).en}" for one in CROISSANT)]
