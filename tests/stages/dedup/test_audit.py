import json
import random
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datapipe
from datapipe import ConfigError, Work
from datapipe.testing import Result, dataset, evaluate
from stages.dedup import Dedup
from stages.dedup.audit import DRAWN, EVERY, Sample, Say, found_share, hashes_of, least, most_of, nearest, wilson
from stages.dedup.curve import Curve
from stages.dedup.fold import FoldTable, fold_table, load, tokens
from stages.dedup.shingles import shingle_sets
from stages.dedup.verify import SIMILARITIES

FOLD = load(fold_table())
Deduplicate = Callable[..., Result]
BY_CURVE = "recall: by the curve of bands and rows at least "
BLIND = Dedup(bands=1, rows=60, audit=10_000)  # finds exact copies, and hardly another


def words(amount: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [f"w{draw.randrange(100_000)}" for _ in range(amount)]


def replaced(original: Sequence[str], amount: int, seed: int) -> str:
    draw = random.Random(seed)
    copy = list(original)
    for place in draw.sample(range(len(copy)), amount):
        copy[place] = f"n{draw.randrange(100_000)}"
    return " ".join(copy)


def jaccard(one: str, other: str) -> float:
    first, second = (
        {tuple(view[start : start + 5]) for start in range(len(view) - 4)}
        for view in (tokens(one, FOLD), tokens(other, FOLD))
    )
    return len(first & second) / len(first | second) if first or second else 0.0


def remarks(result: Result) -> list[str]:
    return sorted(name.removeprefix("remark.") for name in result.counts if name.startswith("remark."))


def edited(originals: int, copies: Sequence[int]) -> list[str]:
    """Returns texts of 100 words, each followed by a copy for each of `copies`, so many words replaced in it."""
    texts = []
    for seed in range(originals):
        text = words(100, seed)
        texts += [" ".join(text), *(replaced(text, amount, 100 * seed + amount) for amount in copies)]
    return texts


def test_says_how_many_that_stay_have_a_copy_that_stays(deduplicate: Deduplicate) -> None:
    texts = [*edited(30, [1]), *(" ".join(words(100, seed)) for seed in range(1000, 1040))]

    made = deduplicate(texts[:40], [], texts[40:], stage=BLIND, rows_per_batch=9)

    kept = made.table.column("text").to_pylist()
    with_copy = {text for pair in combinations(kept, 2) if jaccard(*pair) >= 0.8 for text in pair}
    residual = made.outputs["residual"][0]
    (said,) = (said for said in remarks(made) if "a copy that stays too" in said)
    low, high = wilson(len(with_copy), len(kept), len(kept))
    assert len(with_copy) >= 40
    assert low == pytest.approx(high)  # nobody was left out
    assert said.startswith("residual: ")
    drawn = f"{len(with_copy)} of {len(kept)} documents drawn from the {len(kept)} that stay"
    assert f"{drawn} have a copy that stays too, of similarity 0.8 or more" in said
    assert f"({len(with_copy) / len(kept):.1%}, 95% interval {low:.1%} to {high:.1%}); for example " in said
    assert residual.num_rows == len(with_copy)
    by_id = dict(zip(made.table.column("id").to_pylist(), kept, strict=True))
    for row in residual.to_pylist():
        one, twin = by_id[row["id"]], by_id[row["twin"]]
        assert row["similarity"] == pytest.approx(jaccard(one, twin))
        assert (row["text"], row["twin_text"]) == (one[:160], twin[:160])


def test_with_the_defaults_nothing_is_left(deduplicate: Deduplicate) -> None:
    made = deduplicate(edited(30, [1, 2]), stage=Dedup(audit=10_000), rows_per_batch=20)

    kept = made.table.column("text").to_pylist()
    assert max(jaccard(*pair) for pair in combinations(kept, 2)) < 0.8
    assert any(f"residual: 0 of {len(kept)} documents" in said for said in remarks(made))
    assert any(said.startswith("recall: by this audit 100.00% of the documents") for said in remarks(made))


def test_the_audit_of_all_pairs_is_the_recall_itself(deduplicate: Deduplicate) -> None:
    texts = edited(150, [1])

    made = deduplicate(texts, stage=Dedup(bands=3, rows=9, audit=10_000), rows_per_batch=50)

    left = made.ledger.num_rows  # of 150 that have one copy each, all of similarity .9 or so
    assert 60 < left < 140
    assert any(said.startswith(f"recall: by this audit {left / 150:.2%} of the documents") for said in remarks(made))


def test_the_curve_tells_the_recall_from_those_that_left(deduplicate: Deduplicate) -> None:
    texts = edited(400, [1])
    pairs = [jaccard(one, other) for one, other in zip(texts[::2], texts[1::2], strict=True)]

    made = deduplicate(texts, stage=Dedup(bands=6, rows=9, audit=10), rows_per_batch=100)

    (said,) = (said for said in remarks(made) if said.startswith(BY_CURVE))
    expected = float(np.mean([Curve(6, 9).chance(similarity) for similarity in pairs]))
    told = float(said.removeprefix(BY_CURVE).partition("%")[0]) / 100
    assert 0.85 < expected < 0.97
    assert told == pytest.approx(expected, abs=0.01)
    assert made.ledger.num_rows / 400 == pytest.approx(told, abs=4 * (told * (1 - told) / 400) ** 0.5)
    assert f"the similarity of the {made.ledger.num_rows} that left" in said


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), low=st.sampled_from([0.3, 0.5, 0.8]), size=st.integers(4, 60))
def test_finds_every_pair_that_is_alike(seed: int, low: float, size: int) -> None:
    draw = random.Random(seed)
    chosen = [[draw.choice("甲乙丙丁戊己庚辛壬癸abc ") for _ in range(size)] for _ in range(3)]
    texts = []
    for _ in range(24):
        text = list(draw.choice(chosen))
        for _ in range(draw.randrange(0, size)):
            text[draw.randrange(size)] = draw.choice("甲乙丙丁戊己庚辛子丑寅卯 xyz")
        texts.append("".join(text))

    found = _sample(texts[:12], FOLD, low)
    rows, places, similarities = found.alike(pa.array(texts[12:]), FOLD, 5)

    expected = {
        (row, place): similarity
        for row, one in enumerate(texts[12:])
        for place, other in enumerate(texts[:12])
        if (similarity := jaccard(one, other)) >= low
    }
    pairs = list(zip(rows.tolist(), places.tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    assert dict(zip(pairs, similarities.tolist(), strict=True)) == pytest.approx(expected)


def _sample(texts: Sequence[str], fold: FoldTable, low: float) -> Sample:
    sets = shingle_sets(pa.array(texts), fold, width=5)
    rows = [
        {"gid": row, "group": 0, "shingles": sets.hashes[sets.offsets[row] : sets.offsets[row + 1]]}
        for row in range(len(texts))
    ]
    return Sample(pa.Table.from_pylist(rows, schema=DRAWN), low)


def test_the_nearest_of_many_pairs_is_the_most_similar_of_least_id() -> None:
    ids = pa.array([bytes([number, 200]) * 8 for number in (7, 200, 3, 9)], pa.binary(16))
    rows, places = np.array([0, 1, 2, 3, 3]), np.array([5, 5, 5, 5, 1])
    similarities = np.array([0.9, 0.9, 0.9, 0.8, 0.5], np.float32)

    assert [(rows[pair], places[pair]) for pair in nearest(ids, rows, places, similarities)] == [(3, 1), (2, 5)]
    assert len(nearest(ids, rows[:0], places[:0], similarities[:0])) == 0


def test_many_pages_of_one_template_are_told_by_their_nearest(deduplicate: Deduplicate) -> None:
    template = " ".join(words(350, 1))  # each is alike to each, at .69 or so; a text for each pair came to 2.3 GB
    texts = [f"{template} {' '.join(words(75, seed))}" for seed in range(2, 902)]

    made = deduplicate(texts, rows_per_batch=900)

    rows = made.outputs["residual"][0].to_pylist()
    text_of = dict(zip(made.table.column("id").to_pylist(), made.table.column("text").to_pylist(), strict=True))
    assert len(rows) == len(text_of) == 900
    for row in rows[::100]:
        assert row["similarity"] == pytest.approx(jaccard(text_of[row["id"]], text_of[row["twin"]]))


def test_says_the_same_however_batches_and_shards_are_cut(documents: Callable[..., pa.Table]) -> None:
    table = documents(edited(40, [1, 3, 5]))
    stage = Dedup(bands=2, rows=10, audit=30)

    made = [
        evaluate(
            stage.build(dataset(*(table.slice(start, step) for start in range(0, 160, step)))), rows_per_batch=size
        )
        for step, size in ((160, 7), (160, 160), (50, 20), (13, 3))
    ]

    assert made[0].outputs["residual"] == made[1].outputs["residual"]
    assert all(remarks(one) == remarks(made[0]) for one in made)
    assert all(one.outputs["residual"][0].equals(made[0].outputs["residual"][0]) for one in made)
    assert made[0].outputs["residual"][0].num_rows > 5


def test_the_sample_is_who_has_the_least_hashes_and_is_complete_below_its_limit() -> None:
    ids = pa.array([bytes([number, *range(15)]) for number in range(200)], pa.binary(16))
    hashes = hashes_of(ids, 1)
    rows = [{"hash": value, "gid": gid, "shingles": []} for gid, value in enumerate(hashes)]
    table = pa.Table.from_pylist(rows, schema=DRAWN)

    once, limit = least(table, 50, EVERY)
    first, half = least(table.slice(0, 120), 50, EVERY)
    twice, again = least(pa.concat_tables([table.slice(120), first]), 50, half)

    assert once.column("hash").to_pylist() == sorted(hashes.tolist())[:50]
    assert limit == again == sorted(hashes.tolist())[50]
    assert twice.equals(once.combine_chunks()) or twice.to_pylist() == once.to_pylist()
    assert not np.array_equal(np.argsort(hashes), np.argsort(hashes_of(ids, 2)))


def test_a_shard_draws_enough_for_any_number_of_equal_shards() -> None:
    draw = np.random.default_rng(0)
    for shards in (1, 2, 5, 50, 400):
        amounts = draw.multinomial(1000, np.full(shards, 1 / shards), 50).max(axis=0)
        assert all(amount <= most_of(1000, number) for number, amount in enumerate(amounts))
    assert sum(most_of(1000, number) for number in range(10_000)) < 150_000


@pytest.mark.parametrize("threshold", [0.55, 0.7, 0.8, 0.9])
def test_the_bin_of_the_threshold_itself_counts(threshold: float) -> None:
    bins = pa.table({"similarity": [threshold - 0.01, threshold, 1.0], "documents": [7, 20, 5]})
    alike = bins.cast(SIMILARITIES)
    work = Work(0, whole=(DRAWN.empty_table(), alike))

    Say(threshold=threshold, curve=Curve(18, 7))._say_by_curve(work)

    (said,) = work.counts
    assert said.endswith("the similarity of the 25 that left")


def test_documents_of_other_groups_are_no_copies(documents: Callable[..., pa.Table]) -> None:
    text = words(100, 1)
    texts = [" ".join(text), replaced(text, 1, 2), replaced(text, 1, 3)]
    table = documents(texts, source=pa.array(["a", "b", "b"]))

    made = evaluate(Dedup(within=("source",), bands=1, rows=60, audit=10).build(dataset(table)))

    assert any("residual: 2 of 3 documents" in said for said in remarks(made))
    assert {row["source"] for row in made.outputs["residual"][0].to_pylist()} == {"b"}


def test_the_recall_by_the_curve_is_that_of_a_computation_by_hand() -> None:
    curve = Curve(2, 1)  # chance 1 - (1 - s)^2: .97... at .845 and 1 at 1

    share = found_share(curve, [(0.84, 10), (1.0, 30)])

    assert share == pytest.approx(40 / (10 / (1 - 0.155**2) + 30))


@given(amount=st.integers(1, 10**6), data=st.data())
def test_the_interval_holds_the_rates_that_the_score_test_does_not_refuse(amount: int, data: st.DataObject) -> None:
    found = data.draw(st.integers(0, amount))
    whole = amount + data.draw(st.integers(0, 10 * amount))
    limit = 1.959964**2 / amount * ((whole - amount) / (whole - 1) if whole > 1 else 0)

    low, high = wilson(found, amount, whole)

    assert low <= found / amount + 1e-12
    assert high >= found / amount - 1e-12
    for end in (low, high):
        score = (found / amount - end) ** 2
        assert end in (0.0, 1.0) or score == pytest.approx(limit * end * (1 - end), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("found", [0, 3, 40])
def test_the_interval_of_a_part_holds_the_rate_of_the_whole_as_often_as_it_says(found: int) -> None:
    draws = np.random.default_rng(1).hypergeometric(found, 400 - found, 300, 4000)  # 300 drawn of 400

    held = [low - 1e-9 <= found / 400 <= high + 1e-9 for low, high in (wilson(int(n), 300, 400) for n in draws)]

    assert np.mean(held) >= 0.93


@pytest.mark.parametrize(
    ("threshold", "said"), [(0.85, "0.7 to 0.8 for 1, 0.8 to 0.85 for 2"), (0.6, "0.5 to 0.6 for 1")]
)
def test_says_how_similar_those_are_that_are_no_copies(threshold: float, said: str) -> None:
    found = [0.65, 0.75, 0.8, 0.84, 0.85] if threshold > 0.6 else [0.55, 0.6]
    alike = [{"similarity": value, "copies": int(value >= threshold), "id": b"", "twin": b""} for value in found]
    work = Work(0, whole=(DRAWN.empty_table(),))

    Say(threshold=threshold, curve=Curve(18, 7))._say(
        work, 10, alike, [row["copies"] for row in alike if row["copies"]], 20, 0
    )

    assert any(name.endswith(said) for name in work.counts)


def test_asks_for_a_number_of_documents(documents: Callable[..., pa.Table]) -> None:
    with pytest.raises(ConfigError, match="audit: -1 is not a number of documents"):
        Dedup(audit=-1).build(dataset(documents(["a"])))


def test_a_run_prints_what_is_left_and_publishes_examples(tmp_path: Path) -> None:
    texts = [*edited(20, [2]), "", "short", "👍"]
    (tmp_path / "web.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    steps = (
        f"steps: [{{ingest: {{sources: {{web: {{path: {tmp_path}/web.jsonl}}}}}}}}, {{dedup: {{bands: 1, rows: 60}}}}]"
    )
    (tmp_path / "config.yaml").write_text(f"name: audit\n{steps}\n")

    report = datapipe.run(tmp_path / "config.yaml", out=tmp_path / "out", executor="local")

    rows = pq.read_table(tmp_path / "out/signals/residual-00000-of-00001.parquet").to_pylist()
    assert all(f"    {said}\n" in f"{report}\n" for said in report.stages[-1].remarks)
    amount = report.stages[-1].documents_out
    assert amount >= 40
    assert any(
        f"of {amount} documents drawn from the {amount} that stay have a copy" in said
        for said in report.stages[-1].remarks
    )
    assert {row["source"] for row in rows} == {row["twin_source"] for row in rows} == {"web"}
    assert all(row["similarity"] >= 0.5 for row in rows)
