"""Phases: shares and budgets one after another, with cursors that carry on."""

import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import ConfigError, PlanError
from stages.mix import Mix, Phase
from tests.stages.mix.corpus import Corpus, encoded, mixed, three_shards, with_tokenizer

STABLE = Phase(name="stable", ratio=0.8, weights={"books": 0.3, "web": 0.7})
ANNEAL = Phase(name="anneal", ratio=0.2, weights={"books": 0.9, "web": 0.1})
FIELDS: dict[str, Any] = {"tokens": 9600, "seq_len": 32, "shard_bytes": 5000, "max_epochs": None}


def shown(corpus: Corpus) -> list[tuple[str, str, int, int, int]]:
    """Returns for each position in order the source, and the first piece: document, start, epoch; and its tokens."""
    sources = dict(zip(*(corpus.documents.column(name).to_pylist() for name in ("doc_id", "source")), strict=True))
    first: dict[int, tuple[str, str, int, int]] = {}
    tokens: Counter[int] = Counter()
    for row in corpus.segments.to_pylist():
        first.setdefault(row["sample"], (sources[row["doc_id"]], row["doc_id"], row["doc_start"], row["epoch"]))
        tokens[row["sample"]] += row["end"] - row["start"]
    return [(*first[sample], tokens[sample]) for sample in range(corpus.manifest["splits"]["train"]["samples"])]


@pytest.fixture(scope="module", params=["concat", "document"])
def corpus(request: pytest.FixtureRequest) -> Corpus:
    return mixed(three_shards(), **FIELDS, packing=request.param, phases=[STABLE, ANNEAL])


@pytest.fixture(scope="module")
def packed() -> Corpus:
    return mixed(three_shards(), **FIELDS, phases=[STABLE, ANNEAL])


def test_each_phase_has_its_shares_to_the_sample(packed: Corpus) -> None:
    sources = [row[0] for row in shown(packed)]

    # 300 samples of 32 tokens: 240 and 60.
    assert Counter(sources[:240]) == {"books": 72, "web": 168}
    assert Counter(sources[240:]) == {"books": 54, "web": 6}


def test_by_document_each_phase_has_its_tokens_to_within_a_document() -> None:
    corpus = mixed(three_shards(), **FIELDS, packing="document", phases=[STABLE, ANNEAL])
    rows, longest = shown(corpus), max(corpus.documents.column("tokens").to_pylist())
    second = corpus.manifest["mix"]["phases"][1]["first_position"]

    for part, asked in ((rows[:second], {"books": 2304, "web": 5376}), (rows[second:], {"books": 1728, "web": 192})):
        for source, tokens in asked.items():
            assert abs(sum(row[4] for row in part if row[0] == source) - tokens) <= longest


def test_the_manifest_says_what_a_reader_finds_in_each_phase(corpus: Corpus) -> None:
    rows = shown(corpus)

    assert [phase["name"] for phase in corpus.manifest["mix"]["phases"]] == ["stable", "anneal"]
    for phase in corpus.manifest["mix"]["phases"]:
        own = rows[phase["first_position"] : phase["first_position"] + phase["samples"]]
        assert {group["group"]: group["samples_seen"] for group in phase["groups"]} == Counter(row[0] for row in own)
        assert {group["group"]: group["tokens_seen"] for group in phase["groups"]} == {
            source: sum(row[4] for row in own if row[0] == source) for source in ("books", "web")
        }
        assert phase["tokens"] == sum(row[4] for row in own)
    assert phase["first_position"] + phase["samples"] == len(rows)


def test_a_phase_goes_on_where_the_one_before_stopped(corpus: Corpus) -> None:
    rows = shown(corpus)

    for group in corpus.manifest["mix"]["groups"]:
        own = [row[1:4] for row in rows if row[0] == group["group"]]
        size = group["samples"]
        assert len(own) == group["samples_seen"]
        for start in range(0, len(own), size):  # an epoch, wherever a phase ends
            epoch = own[start : start + size]
            assert {row[2] for row in epoch} == {start // size}
            assert len(set(epoch)) == len(epoch)


def test_the_index_counts_what_all_phases_show(corpus: Corpus) -> None:
    seen = Counter(row["doc_id"] for row in corpus.segments.to_pylist() if row["doc_start"] == 0)

    assert {row["doc_id"]: row["times_seen"] for row in corpus.documents.to_pylist()} == {
        doc_id: seen[doc_id] for doc_id in corpus.documents.column("doc_id").to_pylist()
    }


@pytest.mark.parametrize("packing", ["concat", "document"])
def test_one_phase_is_what_no_phase_is(packing: str) -> None:
    fields = {**FIELDS, "packing": packing, "weights": {"books": 0.6, "web": 0.4}}
    none = mixed(three_shards(), **fields)
    one = mixed(three_shards(), **{**fields, "tokens": None, "phases": [Phase(name="only", tokens="9600")]})
    of_ratio = mixed(three_shards(), **fields, phases=[Phase(name="only", ratio=1.0)])

    for other in (one, of_ratio):
        assert other.manifest["order_sha256"] == none.manifest["order_sha256"]
        assert other.manifest["shards"] == none.manifest["shards"]
        assert other.manifest["mix"]["groups"] == none.manifest["mix"]["groups"]
        assert other.segments.equals(none.segments)


# Digests of corpora made before there were phases (commit 72e84c9): the order of a mix of one phase is pinned.
@pytest.mark.parametrize(
    ("fields", "order", "root"),
    [
        (
            {"tokens": 8000},
            "590431f63a7360a6fa5aeb1ff9b5d9a4c3ce7689fe7031e7976e17b4faeb96f5",
            "845d165fe65ee04be2183336c9948c8088fddf39962a1d5617d38624c2f4f37f",
        ),
        (
            {"tokens": 8000, "packing": "document"},
            "6dcfd985b5b2158bd659e25a12d98f976df4c2c50ed205ef16f6f3bfa9577148",
            "88acbe00b4275c60d54350a52f07b7a7736f49079740f0b999f7b31b0034e802",
        ),
    ],
)
def test_orders_and_tokens_are_those_of_before_there_were_phases(fields: dict[str, Any], order: str, root: str) -> None:
    corpus = mixed(three_shards(), **{**FIELDS, "weights": {"books": 0.6, "web": 0.4}, **fields})

    assert (corpus.manifest["order_sha256"], corpus.manifest["merkle_root"]) == (order, root)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3000), st.floats(0.05, 0.95)), min_size=1, max_size=4),
    st.sampled_from(["concat", "document"]),
)
def test_any_phases_are_met_and_change_nothing_of_what_came_before(
    drawn: list[tuple[int, float]], packing: str
) -> None:
    phases = [
        Phase(name=f"p{number}", tokens=600 + tokens, weights={"books": weight, "web": 1 - weight})
        for number, (tokens, weight) in enumerate(drawn)
    ]
    fields = {**FIELDS, "tokens": None, "packing": packing}
    whole = mixed(three_shards(), **fields, phases=phases)
    part = mixed(three_shards(), **fields, phases=phases[:1])
    longest = max(whole.documents.column("tokens").to_pylist())
    first = part.manifest["splits"]["train"]["samples"]

    assert shown(whole)[:first] == shown(part)
    for phase, made in zip(phases, whole.manifest["mix"]["phases"], strict=True):
        assert phase.tokens is not None
        for group in made["groups"]:
            if packing == "document":
                assert abs(group["tokens_seen"] - group["token_quota"]) <= longest
            else:
                assert abs(group["samples_seen"] - group["weight"] * made["samples"]) < 1
        assert packing == "document" or made["samples"] == round(int(phase.tokens) / 32)


def test_ratios_divide_the_budget_into_whole_samples() -> None:
    thirds = [Phase(name=name, ratio=0.333) for name in ("one", "two", "three")]
    corpus = mixed(three_shards(), **{**FIELDS, "tokens": 32 * 100}, phases=thirds)

    assert [phase["samples"] for phase in corpus.manifest["mix"]["phases"]] == [34, 33, 33]


def test_what_a_phase_does_not_say_is_the_mixs() -> None:
    phases = [Phase(name="one", tokens=3200), Phase(name="two", tokens=3200, weights="proportional")]
    corpus = mixed(three_shards(), **{**FIELDS, "tokens": None}, weights={"books": 0.75, "web": 0.25}, phases=phases)
    one, two = ([group["samples_seen"] for group in phase["groups"]] for phase in corpus.manifest["mix"]["phases"])

    assert one == [75, 25]
    assert two == [38, 62]  # of 38 and 61 samples: 38.4 and 61.6


def test_epochs_of_a_phase_are_its_budget() -> None:
    phases = [Phase(name="once", epochs={"*": 1}), Phase(name="more", tokens=320, weights={"books": 1, "web": 0})]
    corpus = mixed(three_shards(), **{**FIELDS, "tokens": None}, phases=phases)

    assert [phase["samples"] for phase in corpus.manifest["mix"]["phases"]] == [99, 10]
    assert [group["epochs"] for group in corpus.manifest["mix"]["phases"][0]["groups"]] == [1.0, 1.0]
    assert [row[3] for row in shown(corpus)[99:]] == [1] * 10


def test_the_cap_on_epochs_holds_for_all_phases_together() -> None:
    phases = [Phase(name=name, tokens=32 * 99 * 2, weights="proportional") for name in ("one", "two", "three")]
    fields = {**FIELDS, "tokens": None, "max_epochs": 4.0}

    assert mixed(three_shards(), **fields, phases=phases[:2]).manifest["mix"]["groups"][0]["epochs"] == 4.0
    with pytest.raises(PlanError, match=r"mix: phase 'three': more than max_epochs: 4.0 of books 6.00"):
        mixed(three_shards(), **fields, phases=phases)


def test_the_report_says_what_phases_are_made_of_and_warns_of_repeats(packed: Corpus) -> None:
    said = [name.partition(".")[2] for name in packed.result.counts if name.startswith(("remark.", "warning."))]

    assert sum("phase 1 stable: " in sentence and "240 samples from position 0" in sentence for sentence in said) == 1
    assert sum("phase 2 anneal: " in sentence and "60 samples from position 240" in sentence for sentence in said) == 1
    assert not any("more than 4 epochs" in sentence for sentence in said)  # books: 126 of 38 samples, 3.32
    often = mixed(three_shards(), **{**FIELDS, "tokens": 32 * 500}, phases=[STABLE, ANNEAL])
    assert any("more than 4 epochs of books 5.53" in name for name in often.result.counts)


def test_what_repeats_are_worth_is_said_and_never_more_than_what_is_seen(packed: Corpus) -> None:
    groups = packed.manifest["mix"]["groups"]

    # Muennighoff et al. 2023, equation 5: U + U R* (1 - exp(-R / R*)), R* = 15.387756, by hand for books.
    books = groups[0]
    repeats = books["tokens_seen"] / books["tokens"] - 1
    worth = books["tokens"] * (1 + 15.387756 * (1 - np.exp(-repeats / 15.387756)))
    assert books["effective_tokens"] == round(worth)
    assert all(group["effective_tokens"] <= group["tokens_seen"] for group in groups)


def test_a_phase_of_a_group_that_comes_later_begins_with_its_first_epoch() -> None:
    phases = [Phase(name="web", tokens=640, weights={"web": 1, "books": 0}), Phase(name="both", tokens=640)]
    corpus = mixed(three_shards(), **{**FIELDS, "tokens": None}, weights={"web": 1, "books": 1}, phases=phases)

    assert {row[0] for row in shown(corpus)[:20]} == {"web"}
    assert {row[3] for row in shown(corpus)[20:] if row[0] == "books"} == {0}


@pytest.mark.parametrize(
    ("phases", "fields", "said"),
    [
        ([], {}, "phases: is empty"),
        ([Phase(name="a", ratio=0.5), Phase(name="a", ratio=0.5)], {}, "phases: the name 'a' stands 2 times"),
        ([Phase(name=" ", ratio=1.0)], {}, "phases: one has no name"),
        ([Phase(name="a", ratio=0.5, tokens=9)], {}, "phases: a: give tokens or ratio, one of the two"),
        ([Phase(name="a", ratio=0.5), Phase(name="b", tokens=9)], {}, "phases: b has tokens and a a ratio"),
        ([Phase(name="a", ratio=0.5), Phase(name="b")], {}, "phases: b has no ratio, and a has one"),
        ([Phase(name="a", ratio=0.5), Phase(name="b", ratio=0.4)], {}, "the ratios sum to 0.9, not to 1"),
        ([Phase(name="a", ratio=1.5)], {}, "phases: a: ratio: 1.5 is not a share"),
        ([Phase(name="a", ratio=0.9999), Phase(name="b", ratio=0.0001)], {}, "b: ratio: 0.0001 of 9,600 tokens is not"),
        ([Phase(name="a", tokens=640)], {}, "the mix has tokens or params, and no phase a ratio of them"),
        ([Phase(name="a", ratio=1.0)], {"tokens": None}, "phases: a: ratio: a share of what"),
        ([Phase(name="a")], {"tokens": None}, "phases: a: how long is it"),
        ([Phase(name="a", tokens=0)], {"tokens": None}, "phases: a: tokens: 0 is not a positive whole number"),
        ([Phase(name="a", tokens="many")], {"tokens": None}, "phases: a: tokens: many is not a positive whole number"),
        ([Phase(name="a", ratio=1.0, epochs={"*": 1})], {}, "phases: a: epochs: they make the budget"),
        ([Phase(name="a", ratio=1.0, weights={"web": -1})], {}, "phases: a: weights: web: -1"),
    ],
)
def test_phases_that_make_no_sense_are_said(phases: list[Phase], fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Mix(**{**FIELDS, **fields, "phases": phases}).build(with_tokenizer(three_shards()))


def test_a_phase_that_comes_to_nothing_is_said() -> None:
    phases = [Phase(name="long", tokens=3200), Phase(name="short", tokens=15)]
    with pytest.raises(PlanError, match="mix: phase 'short': tokens: 15 is less than half a sample of 32"):
        mixed(three_shards(), **{**FIELDS, "tokens": None}, phases=phases)

    with pytest.raises(PlanError, match="mix: phase 'short': tokens: less than half a document was asked for"):
        mixed(
            [encoded([50] * 8, ["web"] * 8)],
            **{**FIELDS, "tokens": None, "packing": "document"},
            phases=[Phase(name="long", tokens=400), Phase(name="short", tokens=15)],
        )


def test_a_part_for_an_estimate_has_a_part_of_each_phase() -> None:
    by_tokens = Mix(phases=[Phase(name="a", tokens="1M"), Phase(name="b", tokens=100_000)]).sampled(0.1)
    by_ratio = Mix(tokens="1M", phases=[Phase(name="a", ratio=0.999), Phase(name="b", ratio=0.001)]).sampled(0.001)

    assert isinstance(by_tokens, Mix)
    assert isinstance(by_ratio, Mix)
    assert by_tokens.phases is not None
    assert [phase.tokens for phase in by_tokens.phases] == [100_000, 10_000]
    assert by_ratio._phases[1][1].tokens == 2048 * 2  # one sample at least; Webster's rule gives two of 2,000


@pytest.mark.parametrize("ranges", [1, 3, 100])
def test_in_how_many_ranges_tokens_are_summed_changes_nothing(ranges: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {**FIELDS, "packing": "document", "phases": [STABLE, ANNEAL]}
    before = mixed(three_shards(), **fields)
    monkeypatch.setattr(sys.modules["stages.mix.refine"], "MOST_SUMS", 4 * ranges)  # of two groups in two phases

    assert mixed(three_shards(), **fields).manifest == before.manifest
