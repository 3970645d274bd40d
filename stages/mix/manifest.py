"""The manifest: what the corpus is, in one file that names and digests every other one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import StageError, Work
from stages.mix.columns import CONTENT, FORMAT_VERSION, ORDER
from stages.mix.groups import Groups
from stages.mix.merkle import merkle_root
from stages.mix.order import BLOCK, Order
from stages.mix.place import order_of
from stages.mix.summary import Facts, groups_of, packed, padded, phases_of, remarks, warnings


@dataclass(frozen=True)
class Part:
    """Names of the files of a split or an index: `name` with a number and a count, as they are published."""

    name: str
    template: str

    def path(self, number: int, shards: int) -> str:
        """Returns the path under the corpus of one file."""
        return self.template.format(number=number, shards=shards)


@dataclass(frozen=True)
class Manifest:
    """The fold of the training shards' FACTS to the manifest.

    `whole` are the plan, the tokenizer, the counts of documents, a FILES for each of `indexes` and for the training
    shards; then, for a held-out split, its plan, its facts and its FILES; last, the edges of buckets that were found.
    """

    groups: Groups
    seed: int
    seq_len: int | None
    packing: str
    train: Part
    validation: Part | None
    indexes: tuple[Part, ...]
    reference: str | None = None

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        facts = pa.Table.from_batches(batches).to_pylist()
        plan, tokenizer, documents = (table.to_pylist() for table in work.whole[:3])
        indexes, held_out = work.whole[3 : 3 + len(self.indexes)], work.whole[4 + len(self.indexes) :]
        shards = self._shards(self.train, "train", plan, facts, work.whole[3 + len(self.indexes)].to_pylist())
        roots = {"train": _order_root(facts)}
        if self.validation:
            held_plan, held_facts, held_files = (table.to_pylist() for table in held_out[:3])
            shards += self._shards(self.validation, "validation", held_plan, held_facts, held_files)
            roots["validation"] = _order_root(held_facts)
        counted = {name: sum(row[name] for row in documents) for name in ("documents", "held_out", "unseen")}
        seen = np.array([row["group_tokens"] for row in facts], np.int64).sum(axis=0).reshape(-1, len(plan))
        groups, phases = groups_of(plan, seen), phases_of(plan, seen)
        content: Facts = {
            "format_version": FORMAT_VERSION,
            **dict(sorted(work.facts.items())),
            "tokenizer": {key: value for key, value in tokenizer[0].items() if key != "content"},
            "packing": self._packing(plan),
            "documents": counted,
            "mix": {
                "by": self.groups.name,
                "buckets": self.groups.edges(work.whole[-1] if self.groups.counted else None),
                "reference": self.reference,
                "seed": self.seed,
                "groups": groups,
                "phases": phases,
            },
            "splits": {name: split_of(name, shards, root) for name, root in roots.items()},
            "order_block": BLOCK,
            "order_sha256": roots["train"],
            "merkle_root": merkle_root_of(shards),
            "shards": shards,
            "index": [row for part, files in zip(self.indexes, indexes, strict=True) for row in _files(part, files)],
        }
        _count(work, content["splits"], groups, counted)
        if self.seq_len:
            work.remark(packed(content["packing"]))
            for sentence in padded(content["packing"]):
                work.warn(sentence)
        for sentence in remarks(groups, phases):
            work.remark(sentence)
        for sentence in warnings(groups):
            work.warn(sentence)
        work.put("tokenizer", pa.RecordBatch.from_pylist([{"content": tokenizer[0]["content"]}], schema=CONTENT))
        work.put("order", _leaves(order_of(work.whole[0], self.seed, natural=False), facts))
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        made = pa.RecordBatch.from_pylist([{"content": text.encode()}], schema=CONTENT)
        work.put("manifest", made)
        yield made

    def _packing(self, plan: list[Facts]) -> Facts:
        """Returns how samples were made, and what became of the documents of one epoch of every group."""
        sums = {name: sum(row[name] for row in plan) for name in ("samples", "padding", "documents", "cut_documents")}
        return {"by": self.packing, **({"seq_len": self.seq_len} if self.seq_len else {}), **sums}

    def _shards(self, part: Part, split: str, plan: list[Facts], facts: list[Facts], files: list[Facts]) -> list[Facts]:
        """Returns an entry a shard. Raises StageError where the shards do not add up to the plan."""
        asked, written = sum(row["quota"] for row in plan), sum(row["rows"] for row in facts)
        if asked != written or [row["rows"] for row in facts] != [row["rows"] for row in files]:
            raise StageError(f"mix: the {split} split has {written} samples in its shards, the plan {asked}")
        tokens = sum(row["tokens"] + row["padding"] for row in facts)
        if self.seq_len is not None and tokens != written * self.seq_len:
            raise StageError(f"mix: the {split} split has {tokens} tokens in {written} samples of {self.seq_len}")
        return [
            {
                "name": part.path(row["shard"], len(facts)),
                "split": split,
                **{name: row[name] for name in ("rows", "tokens", "padding", "tokens_sha256")},
                "file_sha256": file["sha256"],
                "bytes": file["bytes"],
            }
            for row, file in zip(facts, files, strict=True)
        ]


def _count(work: Work, splits: Facts, groups: Sequence[Facts], documents: Facts) -> None:
    for name, split in splits.items():
        for key in ("samples", "tokens", "padding"):
            work.count(f"{name}.{key}", split[key])
    for group in groups:
        work.count(f"tokens_seen.{group['group']}", group["tokens_seen"])
    work.count("unseen_samples", sum(group["unseen_samples"] for group in groups))
    work.count("unseen_documents", documents["unseen"])
    work.count("held_out_documents", documents["held_out"])


def split_of(name: str, shards: Sequence[Facts], root: str) -> Facts:
    """Returns what the shards of a split add up to; `root` is the Merkle root of its order."""
    own = [shard for shard in shards if shard["split"] == name]
    sums = {key: sum(shard[key] for shard in own) for key in ("rows", "tokens", "padding")}
    return {"shards": len(own), "samples": sums.pop("rows"), **sums, "order_sha256": root}


def _leaves(order: Order, facts: Sequence[Facts]) -> pa.RecordBatch:
    """Returns the rows of ORDER."""
    digests = [leaf for row in facts for leaf in row["order"]]
    starts = [order.positions(block)[0] for block in range(len(digests))]
    return pa.RecordBatch.from_pydict({"block": range(len(digests)), "start": starts, "sha256": digests}, schema=ORDER)


def _order_root(facts: Sequence[Facts]) -> str:
    return merkle_root([leaf for row in facts for leaf in row["order"]]).hex()


def merkle_root_of(shards: Sequence[Facts]) -> str:
    """Returns the Merkle root (hex) over name and `tokens_sha256` of the manifest's shards, in their order."""
    return merkle_root([_leaf(shard) for shard in shards]).hex()


def _leaf(shard: Facts) -> bytes:
    """Returns what the Merkle root is over: the shard's name, a zero byte, and its `tokens_sha256`."""
    return str(shard["name"]).encode() + b"\0" + bytes.fromhex(str(shard["tokens_sha256"]))


def _files(part: Part, files: pa.Table) -> list[Facts]:
    rows = files.take(pc.sort_indices(files.column("number"))).to_pylist()
    return [
        {"name": part.path(row["number"], len(rows)), "rows": row["rows"], "file_sha256": row["sha256"]} for row in rows
    ]
