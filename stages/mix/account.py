"""Whether what a manifest says is what its parts add up to, and what lies in the files that it names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datapipe import storage
from stages.mix.columns import FORMAT_VERSION
from stages.mix.manifest import split_of
from stages.mix.order import BLOCK
from stages.mix.summary import Facts, groups_of, phases_of

_NUMBERED = re.compile(r"(.*)-(\d{5,})-of-(\d{5,})\.(?:arrow|parquet)")
_PACKED = ("samples", "padding", "documents", "cut_documents")


def differing(manifest: Facts) -> Iterator[str]:
    """Yields a sentence for each number of a manifest that is not what its other numbers make it."""
    mix, packing, splits = manifest["mix"], manifest["packing"], manifest["splits"]
    yield from _other("manifest", manifest, {"format_version": FORMAT_VERSION, "order_block": BLOCK})
    names = dict.fromkeys(("train", *(shard["split"] for shard in manifest["shards"]), *splits))
    for name in names:
        root = manifest["order_sha256"] if name == "train" else splits.get(name, {}).get("order_sha256")
        yield from _other(f"split {name}", splits.get(name, {}), split_of(name, manifest["shards"], root))
    rows = _plan(mix)
    samples = sum(row["quota"] for row in rows)
    if samples != splits["train"]["samples"]:
        yield f"the quotas of its plan sum to {samples:,} samples, the split has {splits['train']['samples']:,}"
    tokens = np.array([[own["tokens_seen"] for own in _own(phase, mix)] for phase in mix["phases"]], np.int64)
    for group, made in zip(mix["groups"], groups_of(rows, tokens), strict=True):
        yield from _other(f"group {group['group']}", group, made)
    for phase, made in zip(mix["phases"], phases_of(rows, tokens), strict=True):
        yield from _other(f"phase {phase['name']}", phase, {**made, "groups": phase["groups"]})
        for own, of_group in zip(_own(phase, mix), made["groups"], strict=True):
            yield from _other(f"phase {phase['name']}: group {own['group']}", own, of_group)
    yield from _other("packing", packing, {name: sum(group[name] for group in mix["groups"]) for name in _PACKED})
    if (packing["by"] == "document") != ("seq_len" not in packing):
        yield f"packing: by {packing['by']}, seq_len is {packing.get('seq_len')}"
    for name, split in splits.items() if "seq_len" in packing else ():
        if split["samples"] * packing["seq_len"] != split["tokens"] + split["padding"]:
            yield f"split {name}: its tokens and padding are not {split['samples']:,} samples of {packing['seq_len']:,}"
    if "removed" not in manifest and int(tokens.sum()) != splits["train"]["tokens"]:
        yield f"the phases have {int(tokens.sum()):,} tokens, the split train {splits['train']['tokens']:,}"


def missing(corpus: str, manifest: Facts) -> Iterator[str]:
    """Yields a sentence for each file that is not named, or does not hold what the manifest says of it."""
    files = [*manifest["shards"], *manifest["index"]]
    yield from _gaps([file["name"] for file in files])
    documents = 0
    for file in manifest["index"]:
        with storage.open_shard(storage.join(corpus, file["name"])) as opened:
            rows = pq.read_metadata(opened).num_rows
        if rows != file["rows"]:
            yield f"manifest: {file['name']} has {rows:,} rows, not {file['rows']:,}"
        documents += rows if file["name"].startswith("index/documents-") else 0
    if documents != manifest["documents"]["documents"]:
        yield f"manifest: {manifest['documents']['documents']:,} documents, in the index {documents:,}"
    for split, prefix in (("train", "index/segments-"), ("validation", "index/validation-segments-")):
        indexes = [file["name"] for file in manifest["index"] if file["name"].startswith(prefix)]
        shards = [shard for shard in manifest["shards"] if shard["split"] == split]
        if len(indexes) != len(shards):
            yield f"manifest: split {split} has {len(shards)} shards and {len(indexes)} indexes of samples"
            continue
        for shard, name in zip(shards, indexes, strict=True):
            yield from _pieces(corpus, name, shard, whole="removed" not in manifest)


def _pieces(corpus: str, name: str, shard: Facts, *, whole: bool) -> Iterator[str]:
    """Yields where the pieces of a shard, by its index, are not its tokens, or not of all its samples."""
    with storage.open_shard(storage.join(corpus, name)) as opened:
        table = pq.read_table(opened, columns=["sample", "start", "end"])
    tokens = pc.sum(pc.subtract(table.column("end"), table.column("start"))).as_py() or 0
    if tokens != shard["tokens"]:
        yield f"{name}: has {tokens:,} tokens, {shard['name']} is said to have {shard['tokens']:,}"
    samples = pc.count_distinct(table.column("sample")).as_py()
    if whole and samples != shard["rows"]:
        yield f"{name}: is of {samples:,} samples, {shard['name']} has {shard['rows']:,}"


def _gaps(names: Sequence[str]) -> Iterator[str]:
    """Yields which files of a family that is numbered from 0 on are not named."""
    families: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for name in names:
        if found := _NUMBERED.fullmatch(name):
            families[found[1], found[3]].add(int(found[2]))
    for (name, count), numbers in families.items():
        lacking = sorted(set(range(int(count))) - numbers)
        if lacking:
            yield f"manifest: names no {name}-{lacking[0]:05}-of-{count}"


def _plan(mix: Facts) -> list[Facts]:
    """Returns the rows of PLAN that a manifest's groups and phases are of."""
    rows = []
    by_phase = [_own(phase, mix) for phase in mix["phases"]]
    for place, group in enumerate(mix["groups"]):
        own = [groups[place] for groups in by_phase]
        lists = {"phases": [phase["name"] for phase in mix["phases"]], "weights": [row["weight"] for row in own]}
        quotas, asked = [row["samples_seen"] for row in own], [row["token_quota"] for row in own]
        sums = {"quota": sum(quotas), "token_quota": sum(asked)}
        rows.append({**group, **lists, "quotas": quotas, "token_quotas": asked, **sums})
    return rows


def _own(phase: Facts, mix: Facts) -> list[Facts]:
    """Returns what a phase says of each group, in the order of the mix."""
    named = {row["group"]: row for row in phase["groups"]}
    return [named[group["group"]] for group in mix["groups"]]


def _other(where: str, said: Mapping[str, Any], made: Facts) -> Iterator[str]:  # Any: JSON
    for name, value in made.items():
        if said.get(name) != value:
            yield f"{where}: {name} is {_number(said.get(name))}, by what it is made of {_number(value)}"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
