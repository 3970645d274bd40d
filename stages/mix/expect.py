"""What an estimate asks of the mix: a part of it for a sample of the documents, and its quotas of the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from datapipe import PlanError
from datapipe.stage import Growth, Seen
from stages.mix.pack import Pack
from stages.mix.place import Place
from stages.mix.plan import TOKEN_BYTES, Plan, planned
from stages.mix.refine import CountSeats
from stages.mix.shares import Group, Shares, number_of


@dataclass(frozen=True)
class PartShares(Shares):
    """Shares of a sample, which may lack a group or have too little of one: they are taken from what there is."""

    def _numbers(self, given: Mapping[str, float], names: Sequence[str]) -> dict[str, Fraction]:
        """Returns the numbers of what was drawn: what is named and was not drawn is left out."""
        return {name: Fraction(str(number_of(name, given, self.default) or 0)) for name in names}

    def _asked(self, groups: Sequence[Group], seq_len: int | None, seen: Sequence[int] | None) -> list[Fraction]:
        try:
            asked = super()._asked(groups, seq_len, seen)
        except PlanError:
            asked = []
        return asked if any(asked) else [Fraction(self.units(group, seq_len)) for group in groups]

    def quotas(self, groups: Sequence[Group], seq_len: int | None, seen: Sequence[int] | None = None) -> list[int]:
        """Returns the quotas, in proportion to what there is where the shares cannot be had."""
        try:
            return super().quotas(groups, seq_len, seen)
        except PlanError:
            proportional = Shares(self.by, tokens=self.tokens, weighted=self.weighted)
            return proportional.quotas(groups, seq_len)


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
