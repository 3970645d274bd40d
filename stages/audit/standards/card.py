"""`README.md`: the card by which a hub knows a dataset, with the configs that `datasets` loads the folder by.

Its head is YAML as the hub's documentation says (`datasetcard.md` of huggingface/hub-docs); licences that no source
states are `unknown`, those without an id of the hub `other`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import yaml

from datapipe import storage
from stages.audit.model import Table
from stages.audit.page.numbers import UNKNOWN, told
from stages.audit.standards.codes import bcp47, hub_languages, hub_licence, size_category
from stages.audit.standards.known import Known, sure
from stages.audit.standards.layout import file_sizes, schema_of
from stages.audit.standards.markdown import foreign, grid, paragraph, table_of_report
from stages.audit.standards.verified import CARD, CROISSANT, LAW, line

Json = dict[str, Any]  # Any: YAML
_DOCUMENTS: Final = ("documents/part-*.parquet", "documents/part-*.jsonl.zst")
_INDEX: Final = "corpus/index/documents-*.parquet"
_LEDGER: Final = "ledger/part-*.parquet"
SHOWN: Final = 50  # sources, rules
SHOWN_OF_REPORT: Final = 20  # rows of its tables
_LEFT: Final = ("drop", "duplicate_of", "quarantine")


def card(known: Known) -> bytes:
    """Returns the card as UTF-8."""
    head = yaml.safe_dump(header(known), allow_unicode=True, sort_keys=False, width=10_000)
    return f"---\n{head}---\n\n{''.join(_body(known))}".encode()


def header(known: Known) -> Json:
    """Returns the metadata of the card."""
    labels = [label for (label,) in known.rows("kinds.languages", "language") if isinstance(label, str)]
    languages, about = hub_languages(labels), known.about
    stated = [licence for licence, _ in known.counted.licences()]
    licences = [hub_licence(about.licence)] if about.licence else list(dict.fromkeys(map(hub_licence, stated)))
    licences.sort(key=lambda licence: licence in ("other", "unknown"))
    made: Json = {
        "pretty_name": known.name,
        "language": languages,
        "language_details": bcp47(labels),
        "multilinguality": ["multilingual" if len(languages) > 1 else "monolingual"] if languages else None,
        "license": licences[0] if len(licences) == 1 else licences,
        "license_name": about.licence if licences == ["other"] else None,
        "license_link": str(about.licence_url) if licences == ["other"] and about.licence_url else None,
        "task_categories": ["text-generation"],
        "task_ids": ["language-modeling"],
        "size_categories": [size_category(sum(known.rows_of_split.values()))],
        "tags": ["datapipe", "pretraining", "croissant", *(["tokenized"] if known.manifest else [])],
        "configs": list(_configs(known)),
        "dataset_info": list(_infos(known)),
    }
    return {name: value for name, value in made.items() if value not in (None, [])}


# What `datasets` loads


def _configs(known: Known) -> Iterator[Json]:
    if known.manifest:
        splits = [{"split": name, "path": f"corpus/{name}-*.arrow"} for name in known.rows_of_split]
        yield {"config_name": "default", "default": True, "data_files": splits}
        return  # `datasets` reads all configs of a folder in the format of the first, and the index is Parquet
    pattern = next((one for one in _DOCUMENTS if _matching(known, one)), _DOCUMENTS[0])
    yield {"config_name": "default", "default": True, "data_files": [{"split": "train", "path": pattern}]}
    noted = any(stage["rules"] for stage in known.stages())  # `datasets` fails on a table without rows
    if pattern.endswith(".parquet") and noted and _matching(known, _LEDGER):
        yield {"config_name": "ledger", "data_files": [{"split": "train", "path": _LEDGER}]}


def _infos(known: Known) -> Iterator[Json]:
    if not known.manifest:
        files = _matching(known, _DOCUMENTS[0])
        if files:
            size = sum(file_sizes(known, files).values())
            yield from _info(known, files[0], {"train": (size, known.counted.total("documents"))})
        return
    shards: dict[str, list[Mapping[str, Any]]] = {name: [] for name in known.rows_of_split}
    for shard in known.manifest["shards"]:
        shards[shard["split"]].append(shard)
    first = known.manifest["shards"][0]["name"]
    splits = {name: (sum(one["bytes"] for one in own), sum(one["rows"] for one in own)) for name, own in shards.items()}
    yield from _info(known, f"corpus/{first}", splits)


def _info(known: Known, file: str, splits: Mapping[str, tuple[int, int]]) -> Iterator[Json]:
    """Yields columns and sizes (bytes, rows) of the default config; nothing where a column's type is not told here."""
    features = [_feature(column) for column in schema_of(storage.join(known.folder, file))]
    if all(features):
        total = sum(size for size, _ in splits.values())
        yield {
            "config_name": "default",
            "features": features,
            "splits": [
                {"name": name, "num_bytes": size, "num_examples": rows} for name, (size, rows) in splits.items()
            ],
            "download_size": total,
            "dataset_size": total,
        }


def _feature(column: pa.Field) -> Json | None:
    kind = column.type
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        inner = _dtype(kind.value_type)
        length = {"length": kind.list_size} if pa.types.is_fixed_size_list(kind) else {}
        return {"name": column.name, "list": inner, **length} if inner else None
    own = _dtype(kind)
    return {"name": column.name, "dtype": own} if own else None


def _dtype(kind: pa.DataType) -> str | None:
    """Returns what `datasets` calls a type, None for one that we do not write."""
    if pa.types.is_fixed_size_binary(kind):
        return f"fixed_size_binary[{kind.byte_width}]"
    names = {pa.float32(): "float32", pa.float64(): "float64", pa.bool_(): "bool"}
    plain = pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return names.get(kind) or (str(kind) if plain else None)


def _matching(known: Known, pattern: str) -> list[str]:
    return [name for name in sorted(known.files) if fnmatch.fnmatchcase(name, pattern)]


# What people read


def _body(known: Known) -> Iterator[str]:
    about, found = known.about, known.counted
    yield f"# {foreign(known.name)}\n\n"
    yield paragraph(about.description or _open(known, "description"))
    documents, size, tokens = (f"{found.total(name):,}" for name in ("documents", "bytes", "tokens"))
    yield paragraph(
        f"{documents} documents, {size} bytes of text"
        + (f", {tokens} tokens by the tokenizer {foreign(_tokenizer(known))}" if known.manifest else "")
        + f", from {len(found.names)} sources; made by datapipe {known.code_version}, version {known.version}.",
        raw=True,
    )
    yield from _loading(known)
    yield "## What is in it · 内容构成\n\n"
    for key in ("kinds.languages", "kinds.scripts", "kinds.formats"):
        yield from _table(known, key)
    yield from _sources(known)
    yield "## How it was made · 制作过程\n\n"
    yield from _steps(known)
    yield "## What was dropped, and why · 剔除了什么、为什么\n\n"
    yield from _dropped(known)
    yield "## Whom that hurt · 过滤影响了哪些群体\n\n"
    yield from _figures(known, "survival.filters", "survival.hans", "survival.hant", "survival.hant_hans")
    yield from _hurt(known)
    yield "## Contamination · 评测集污染\n\n"
    if known.ran("decontaminate"):
        yield from _table(known, "risk.contamination", empty="No item of the benchmarks was found.", noted=True)
    else:
        yield paragraph("Not looked for: no step `decontaminate` has run.", raw=True)
    yield "## Personal information and risks · 个人信息与风险\n\n"
    kinds = ("all", "email", "phone", "identity", "card", "ip", "documents")
    yield from _figures(known, *(f"risk.pii.{kind}" for kind in kinds), lacking="No step `pii` has run.")
    yield from _figures(
        known, "risk.adult.stayed", "risk.spam.stayed", "risk.no_ai", "risk.noindex", "risk.robots.left"
    )
    yield "## What people judged · 人工抽检\n\n"
    judged = [figure.key for section in known.judged for figure in section.figures]
    yield from _figures(known, *judged, lacking="Nobody has judged a sample of it yet. 尚无人工抽检结果。")
    yield "## Limits · 局限\n\n"
    yield from _limits(known)
    yield "## Uses · 用途\n\n"
    for key in ("datasheet.uses", "datasheet.misuses", "datasheet.impact"):
        yield paragraph(_answer(known, key))
    yield "## Licence · 许可证\n\n"
    yield from _licence(known)
    yield "## Verify · 校验\n\n"
    yield (
        "```sh\ndatapipe verify DIR      # digests of shards and index, Merkle root, order, report, log\n"
        "datapipe reproduce DIR   # the recorded config again, digests compared step by step\n```\n\n"
    )
    yield grid(("digest", "SHA-256"), [(name, f"`{digest}`") for name, digest in known.digests.items()])
    yield "## Citation · 引用\n\n"
    yield (
        f"```bibtex\n{about.citation.replace('```', '')}\n```\n\n"
        if about.citation
        else paragraph(_open(known, "citation"))
    )
    yield "## Contact · 联系方式\n\n"
    yield paragraph(_answer(known, "contact"))
    yield "## What was verified of this description · 核实情况\n\n"
    facts = [line(fact) for fact in (*CARD, *CROISSANT)]
    yield "".join(f"- {fact.en}\n- {fact.zh}\n" for fact in facts) + f"\n{LAW.en} {LAW.zh}\n"


def _open(known: Known, key: str) -> str:
    said = known.question(key).open
    return f"{said.en} {said.zh}"


def _answer(known: Known, key: str) -> str:
    answer = known.answered(key)
    return _open(known, key) if answer is None else str(answer)


def _tokenizer(known: Known) -> str:
    return str(known.manifest["tokenizer"]["name"])


def _loading(known: Known) -> Iterator[str]:
    lines = [f'load_dataset("DIR")  # {"samples of tokens" if known.manifest else "documents"}']
    for pattern, meaning in ((_INDEX, "where each document is from"), (_LEDGER, "what was done to which, and why")):
        if _matching(known, pattern):
            lines.append(f'load_dataset("parquet", data_files="DIR/{pattern}")  # {meaning}')
    yield "\n".join(["```python", "from datasets import load_dataset", "", *lines, "```"]) + "\n\n"


def _table(known: Known, key: str, empty: str = "", *, noted: bool = False) -> Iterator[str]:
    table: Table | None = known.tables.get(key)
    if table is not None and table.rows:
        yield f"**{table.label.en} · {table.label.zh}**\n\n"
        yield table_of_report(table, SHOWN_OF_REPORT)
        if noted and table.note is not None:
            yield paragraph(f"{table.note.en} {table.note.zh}")
    elif empty:
        yield paragraph(empty)


def _figures(known: Known, *keys: str, lacking: str = "") -> Iterator[str]:
    there = [known.figures[key] for key in keys if key in known.figures]
    if not there:
        yield paragraph(lacking, raw=True) if lacking else ""
        return
    rows = [(_label(one.label.en), _label(one.label.zh), sure(one).en, f"`{one.key}`") for one in there]
    yield grid(("figure", "指标", "value", "key of the report"), rows)


def _label(text: str) -> str:
    return foreign(text.replace("`", ""))


def _sources(known: Known) -> Iterator[str]:
    rows = []
    for name in known.counted.names[:SHOWN]:
        own = known.counted.of(name)
        stated = ", ".join(licence or "not stated" for licence, _ in known.counted.licences(name))
        said = known.about.sources.get(name)
        kind = said.kind if said and said.kind else "[OPEN]"
        tokens = told(own["tokens"], "tokens") if known.tokenized else UNKNOWN
        sizes = (f"{own['documents']:,}", told(own["bytes"], "bytes"), tokens)
        rows.append((foreign(name), kind, foreign(stated), *sizes))
    yield "**Sources · 来源**\n\n"
    yield grid(("source", "kind", "licence", "documents", "text", "tokens"), rows, numbers=3)
    if len(known.counted.names) > SHOWN:
        yield paragraph(f"{SHOWN} of {len(known.counted.names):,} sources; all stand in sheets/sources.csv.", raw=True)


def _steps(known: Known) -> Iterator[str]:
    rows = [
        (
            foreign(str(stage["stage"])),
            *(f"{stage[name]:,}" for name in ("documents_in", "made", "dropped", "documents_out")),
        )
        for stage in known.stages()
        if stage["documents_in"] or stage["documents_out"]
    ]
    yield grid(("step", "documents in", "made by splitting", "dropped", "documents out"), rows, numbers=4)
    mix = known.manifest.get("mix")
    if mix:
        groups = [
            (
                foreign(str(group["group"])),
                told(float(group["weight"]), "share"),
                told(float(group["epochs"]), "number"),
                f"{group['tokens_seen']:,}",
            )
            for group in mix["groups"]
        ]
        yield paragraph(f"Mixed by {foreign(str(mix['by']))}, seed {mix['seed']}:", raw=True)
        yield grid(("group", "weight", "epochs", "tokens seen"), groups, numbers=3)


def _dropped(known: Known) -> Iterator[str]:
    rows = [
        (foreign(str(stage["stage"])), rule["action"], foreign(str(rule["rule"])), rule["documents"])
        for stage in known.stages()
        for rule in stage["rules"]
        if rule["action"] in _LEFT
    ]
    rows.sort(key=lambda row: -int(row[3]))
    shown = [(*row[:3], f"{row[3]:,}") for row in rows[:SHOWN]]
    if shown:
        yield grid(("step", "action", "rule", "documents"), shown, numbers=1)
    if len(rows) > len(shown):
        yield paragraph(f"and {len(rows) - len(shown)} more rules: see reports/report.json.")
    if not rows:
        yield paragraph("Nothing was dropped.")


def _hurt(known: Known) -> Iterator[str]:
    """Yields the groups that lose clearly more than the rest, most first."""
    names = ("group", "axis", "documents", "survival", "survival_low", "survival_high", "rest", "rule", "difference")
    rows = []
    for group, axis, documents, survival, low, high, rest, rule, difference in known.rows("survival.standing", *names):
        if isinstance(difference, float) and difference < 0:
            interval = f"{told(low, 'share')} to {told(high, 'share')}"
            shares = (f"{documents:,}", told(survival, "share"), interval, told(rest, "share"))
            label = known.named("survival.standing", "axis", axis).en
            rows.append((foreign(str(group)), foreign(label), foreign(str(rule or "")), *shares))
    if rows:
        yield "Groups of which the filters leave clearly less than of the rest · 过滤后留存明显偏低的类别\n\n"
        yield grid(("group", "axis", "most by rule", "documents", "left", "95% interval", "of others"), rows, numbers=4)


def _limits(known: Known) -> Iterator[str]:
    said = [one.en for one in known.audit.missing]
    said += [f"Warning of the run: {warning}" for warning in known.run.get("warnings", ())]
    yield "".join(f"- {foreign(one)}\n" for one in said) + ("\n" if said else "")
    yield from _figures(known, "duplicates.residual", "duplicates.recall", "provenance.all.documents")
    yield paragraph(_answer(known, "datasheet.limitations"))


def _licence(known: Known) -> Iterator[str]:
    yield paragraph(known.about.licence or _open(known, "licence"))
    rows = [
        (foreign(licence or "not stated"), f"`{hub_licence(licence)}`", f"{documents:,}")
        for licence, documents in known.counted.licences()
    ]
    yield grid(("licence as sources state it", "id of the hub", "documents"), rows, numbers=1)
    yield paragraph("What states none is not free: it is not known. 未注明许可证不代表可自由使用。")
