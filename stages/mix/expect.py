"""What an estimate asks of the mix: a part of it for a sample of the documents, and its quotas of the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from datapipe import PlanError
from datapipe.stage import Growth, Seen
from stages.mix.pack import Pack
from stages.mix.place import Place
from stages.mix.plan import TOKEN_BYTES, Plan, planned
from stages.mix.refine import CountSeats
from stages.mix.shares import Group, Shares


@dataclass(frozen=True)
class PartShares(Shares):
    """Shares of a sample, which may lack a group or have too little of one: they are taken from what there is."""

    def of(self, groups: Sequence[Group], seq_len: int | None, seen: Sequence[int] | None = None) -> list[Fraction]:
        """Returns the share of each group, those that were not drawn left out."""
        if self.weights is None:
            return super().of(groups, seq_len, seen)
        held = {
            name: weight for name, weight in self.weights.items() if name in {self.part_of(group) for group in groups}
        }
        known = Shares(self.by, held, self.default or 0, self.tokens, None, self.weighted)
        return known.of(groups, seq_len, seen)

    def quotas(self, groups: Sequence[Group], seq_len: int | None, seen: Sequence[int] | None = None) -> list[int]:
        """Returns the quotas, in proportion to what there is where the weights cannot be had."""
        try:
            return super().quotas(groups, seq_len, seen)
        except PlanError:
            return replace(self, weights=None).quotas(groups, seq_len) if self.weights else super().quotas(groups, None)


def expected(seen: Seen, plan: Plan, place: Place) -> Growth:
    """Returns how many more samples are placed of the whole than of what was seen, and the shards that they fill.

    Tokens of a group grow as the bytes of the documents do that they are made of.

    Raises:
        PlanError: a run would stop: weights name no group, or one would be seen too often.
    """
    tokens: defaultdict[str, float] = defaultdict(float)
    documents: defaultdict[str, float] = defaultdict(float)
    for shard, rows in seen.read(Pack, "counts"):
        for row in rows.to_pylist():
            if not row["validation"]:
                tokens[row["group"]] += row["tokens"] * seen.bytes[shard]
                documents[row["group"]] += row["documents"] * seen.documents[shard]
    here = sum(sum(rows.column("token_quota").to_pylist()) for _, rows in seen.read(Plan, "rows"))
    if not tokens or not here:
        return Growth()
    length = plan.seq_len
    groups = []
    for name in sorted(tokens):
        size = round(tokens[name])
        groups.append(Group(name, -(-size // length) if length else round(documents[name]), size, 0, 0, 0))
    whole = sum(sum(row["token_quotas"]) for row in planned(groups, plan.phases, length))
    per_shard = max(1, plan.shard_bytes // TOKEN_BYTES // (length or 1)) * (length or 1)
    return Growth({place: whole / here}, {Plan if length else CountSeats: max(1, -(-whole // per_shard))})
