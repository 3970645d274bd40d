"""What the mix says for an estimate: quotas of the tokens that are expected, and a part of it for a sample."""

import pyarrow as pa
import pytest

from datapipe import PlanError
from datapipe.stage import Seen
from stages.mix import Mix, Phase, Validation
from stages.mix.columns import COUNTS, PLAN
from stages.mix.pack import Pack
from stages.mix.place import Place
from stages.mix.plan import Plan, planned
from stages.mix.shares import Group

GROUPS = [("news", 0, 1_000), ("law", 1, 4_000)]  # group, shard, tokens in the sample


def seen(grown: list[float]) -> Seen:
    """Returns a sample of two shards of a source each, whose quotas were 64 samples of 16 tokens."""

    def read(function: object, output: str) -> list[tuple[int, pa.Table]]:
        if function is Pack and output == "counts":
            return [(shard, pa.Table.from_pylist([_count(*row)], COUNTS)) for row in GROUPS for shard in [row[1]]]
        assert (function, output) == (Plan, "rows")
        return [(0, pa.Table.from_pylist([{"group": "law", "quota": 64, "token_quota": 64 * 16}], PLAN))]

    return Seen(grown, grown, [1 / factor for factor in grown], read)  # type: ignore[arg-type]


def _count(group: str, shard: int, tokens: int) -> dict[str, object]:
    return {"validation": False, "group": group, "source": group, "block": shard, "tokens": tokens, "documents": 9}


def mix(**fields: object) -> Mix:
    return Mix(**{"seq_len": 16, "weights": {"news": 0.5, "law": 0.5}, "shard_bytes": 4 * 16 * 100, **fields})  # type: ignore[arg-type]


def test_a_budget_of_tokens_is_what_is_written() -> None:
    found = mix(tokens=16 * 1_024).growth(seen([10.0, 10.0]))

    assert found.rows == {Place(0, 16): 1_024 / 64}
    assert found.shards == {Plan: 11}  # of 100 samples


def test_without_a_budget_the_scarcest_group_decides() -> None:
    found = mix().growth(seen([10.0, 2.0]))

    assert found.rows[Place(0, 16)] == pytest.approx(2 * 500 / 64, abs=0.05)  # law: 4,000 tokens twice, in 500 samples


def test_phases_are_written_one_after_another() -> None:
    phases = [
        Phase(name="stable", tokens=16 * 1_000),
        Phase(name="anneal", tokens=16 * 24, weights={"news": 1, "law": 0}),
    ]
    found = mix(phases=phases).growth(seen([10.0, 10.0]))

    assert found.rows == {Place(0, 16): 1_024 / 64}
    with pytest.raises(PlanError, match=r"phase 'anneal': more than max_epochs: 4\.0 of news"):
        mix(phases=[phases[0], Phase(name="anneal", tokens=16 * 4_002)]).growth(seen([10.0, 10.0]))


def test_says_that_a_run_would_stop() -> None:
    with pytest.raises(PlanError, match=r"more than max_epochs: 4\.0 of news"):
        mix(tokens=16 * 10_000).growth(seen([10.0, 10.0]))


def test_a_part_asks_for_a_part_of_the_tokens() -> None:
    part = mix(tokens=1_000_000, validation=Validation(documents=40)).sampled(0.1)

    assert isinstance(part, Mix)
    assert (part.tokens, part.max_epochs, part.validation) == (100_000, None, Validation(documents=4))


def test_a_part_does_without_groups_that_were_not_drawn() -> None:
    part = mix(tokens=160).sampled(1.0)
    assert isinstance(part, Mix)

    quotas = part._shares.quotas([Group("law", 100, 1_600, 0, 9, 0)], 16)

    assert quotas == [10]


def test_a_part_that_cannot_have_its_shares_takes_as_many_samples_in_proportion() -> None:
    part = mix(weights=None, temperature=100, tokens=16 * 70_000).sampled(1.0)
    assert isinstance(part, Mix)

    groups = [Group("law", 1, 16, 0, 9, 0), Group("news", 99_999, 16 * 99_999, 0, 9, 0)]
    quotas = part._shares.quotas(groups, 16)  # alike, law would be seen more often than epochs are counted

    assert quotas == [1, 69_999]


def test_a_part_does_without_a_phase_of_groups_that_were_not_drawn() -> None:
    part = mix(tokens=1_600, phases=[Phase(name="all", ratio=0.9), Phase(name="news", ratio=0.1, weights={"news": 1})])
    sampled = part.sampled(1.0)
    assert isinstance(sampled, Mix)

    (row,) = planned([Group("law", 100, 1_600, 0, 9, 0)], sampled._phases, 16)

    assert row["quotas"] == [90, 10]  # of what there is, where a phase asks for what was not drawn
