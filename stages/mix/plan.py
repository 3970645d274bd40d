"""The plan of a mix: how many samples of each group a phase shows, from counts and shares, in whole numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pyarrow as pa

from datapipe import DataError, PlanError, Work
from stages.mix.columns import COUNTS, OFFSETS, PLAN
from stages.mix.shares import Group, Shares

TOKEN_BYTES = 4
MOST_GROUPS = 1000  # a position costs up to the square of it
MOST_TOKENS = 1 << 62  # of the whole sequence: sums and positions fit into 64 bits
MOST_ROWS = (1 << 31) - 1  # of a shard: the index counts them in int32
_BY_PHASE = ("phases", "weights", "quotas", "token_quotas")
_SUMMED = ("samples", "tokens", "padding", "documents", "cut_documents")
Row = dict[str, Any]  # Any: a row of COUNTS or PLAN as plain values
Phases = tuple[tuple[str, Shares], ...]  # name, and what is asked for in it


@dataclass(frozen=True)
class Plan:
    """The fold of COUNTS to PLAN, with the output `offsets`. By document, quotas are those of whole epochs yet."""

    phases: Phases
    seq_len: int | None
    shard_bytes: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        counts = list(batches)
        rows = _rows(counts, validation=False)
        groups = _groups(rows)
        if not groups and _rows(counts, validation=True):
            raise PlanError("mix: validation: every document is held out, none is left to sample from: hold out fewer")
        if not groups:
            raise DataError("mix: no document is left to sample from: see the report for what dropped them")
        if len(groups) > MOST_GROUPS:
            shares = self.phases[0][1]
            times = ", each weight of its documents counted for itself," if shares.weighted else ","
            raise PlanError(
                f"mix: column '{shares.by}' has {len(groups):,} values{times} and at most {MOST_GROUPS:,} groups "
                "can be mixed: mix by a column of fewer"
            )
        places = {group.name: place for place, group in enumerate(groups)}
        work.put("offsets", _offsets(rows, places))
        yield plan_batch(planned(groups, self.phases, self.seq_len), self.seq_len, self.shard_bytes)


@dataclass(frozen=True)
class PlanValidation:
    """The fold of COUNTS to a PLAN of one group, every held-out sample once, as they are stored."""

    seq_len: int | None
    shard_bytes: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        rows = sorted(_rows(batches, validation=True), key=lambda row: (row["block"], row["group"], row["source"]))
        total: Row = {name: sum(row[name] for row in rows) for name in _SUMMED}
        work.put("offsets", _offsets(rows, {row["group"]: 0 for row in rows}, together=True))
        plan = {
            "group": "validation",
            "weight": 1.0,
            **total,
            "phases": ["validation"],
            "weights": [1.0],
            "quotas": [total["samples"]],
            "token_quotas": [total["tokens"]],
        }
        yield plan_batch([plan], self.seq_len, self.shard_bytes)


def planned(groups: Sequence[Group], phases: Phases, seq_len: int | None) -> list[Row]:
    """Returns a row of PLAN for each group but for its sums; a phase knows what those before it took.

    Raises:
        PlanError: what is asked for cannot be had.
    """
    rows: list[Row] = [{**vars(group), "group": group.name, **{name: [] for name in _BY_PHASE}} for group in groups]
    taken, weighed = [0] * len(groups), [Fraction(0)] * len(groups)  # samples, or tokens by document
    for name, asked in phases:
        try:
            shares, quotas = asked.of(groups, seq_len, taken), asked.quotas(groups, seq_len, taken)
        except PlanError as error:
            where = f"phase '{name}': " if len(phases) > 1 else ""
            raise PlanError(f"mix: {where}{str(error).removeprefix('mix: ')}") from error
        total = sum(quotas)
        for place, (group, row) in enumerate(zip(groups, rows, strict=True)):
            end = taken[place] + quotas[place]
            epochs = 0 if seq_len else end // group.tokens - taken[place] // group.tokens
            quota = quotas[place] if seq_len else epochs * group.samples
            values = (name, float(shares[place]), quota, quotas[place] * (seq_len or 1))
            for column, value in zip(_BY_PHASE, values, strict=True):
                row[column].append(value)
            taken[place], weighed[place] = end, weighed[place] + shares[place] * total
        if sum(taken) * (seq_len or 1) >= MOST_TOKENS:
            raise PlanError(
                f"mix: {sum(taken) * (seq_len or 1):.0e} tokens are more than can be counted: ask for fewer"
            )
    return [{**row, "weight": float(share / sum(taken))} for row, share in zip(rows, weighed, strict=True)]


def plan_batch(rows: Sequence[Row], seq_len: int | None, shard_bytes: int) -> pa.RecordBatch:
    """Returns rows of PLAN with the sums of their phases, and the number of shards that these make."""
    summed = [{**row, "quota": sum(row["quotas"]), "token_quota": sum(row["token_quotas"])} for row in rows]
    total = sum(row["quota"] for row in summed)
    tokens = sum(row["token_quota"] for row in summed)
    mean = seq_len or -(-tokens // max(1, total))
    per_shard = min(MOST_ROWS, max(1, shard_bytes // TOKEN_BYTES // max(1, mean)))
    shards = {"samples_per_shard": per_shard, "shards": max(1, -(-total // per_shard))}
    return pa.RecordBatch.from_pylist([{**row, **shards} for row in summed], schema=PLAN)


def _rows(batches: Iterable[pa.RecordBatch], *, validation: bool) -> list[Row]:
    rows = pa.Table.from_batches(batches, schema=COUNTS).to_pylist()
    kept = [row for row in rows if row["validation"] == validation]
    return sorted(kept, key=lambda row: (row["group"], row["source"], row["block"]))


def _groups(rows: list[Row]) -> list[Group]:
    sums: dict[str, list[int]] = {}
    for row in rows:
        held = sums.setdefault(row["group"], [0] * len(_SUMMED))
        for place, name in enumerate(_SUMMED):
            held[place] += row[name]
    return [Group(name, *sums[name]) for name in sorted(sums)]


def _offsets(rows: list[Row], places: dict[str, int], *, together: bool = False) -> pa.RecordBatch:
    """Returns where the samples of each row begin in their group, or in the whole where `together`."""
    at: dict[object, int] = {}
    made: list[Row] = []
    for row in rows:
        run = None if together else row["group"]
        place = {"place": places[row["group"]], "offset": at.get(run, 0)}
        made.append({**{name: row[name] for name in ("group", "source", "block")}, **place})
        at[run] = at.get(run, 0) + row["samples"]
    return pa.RecordBatch.from_pylist(made, schema=OFFSETS)
