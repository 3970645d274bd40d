import functools
import hashlib
import random
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import Work
from datapipe.testing import Result
from stages.dedup import Dedup, plain_judge, verify
from stages.dedup.clusters import EXACT, MINHASH, members_schema
from stages.dedup.fold import fold_table, load, tokens
from stages.dedup.plain import exact_hash, shingle_set
from stages.dedup.prefixes import bar, prefix_length
from stages.dedup.verify import SIMILARITIES, Judging, texts, with_text

FOLD = load(fold_table())
SCHEMA = with_text(members_schema(()))
MEASURES = st.sampled_from(["jaccard", "containment"])
THRESHOLDS = st.sampled_from([0.1, 0.3, 0.5, 0.8, 0.9, 1.0])
ROOMY = 1 << 22


def name(number: int) -> bytes:
    return hashlib.blake2b(f"{number}".encode(), digest_size=16).digest()


@functools.cache
def exact_of(text: str) -> bytes:
    view = tokens(text, FOLD)
    if not view:
        return hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.array(exact_hash(view), "<u8").tobytes()


def members(components: Iterable[Sequence[str]], sizes: Sequence[int] = ()) -> pa.Table:
    """Returns the members of components, each best first, as `texts` would yield them."""
    rows = []
    for root, component in enumerate(components):
        for text in component:
            number = len(rows)
            known = {"root": root, "gid": number, "id": name(number), "exact": exact_of(text), "copies": []}
            size = sizes[number] if sizes else 1
            rows.append({**known, "size": size, "priority": number.to_bytes(16), "text": text})
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def judged(
    rows: pa.Table,
    *,
    threshold: float = 0.8,
    measure: str = "jaccard",
    width: int = 1,
    memory: int = ROOMY,
    cut: int = 7,
) -> tuple[dict[int, dict[str, object]], Work, list[pa.RecordBatch]]:
    """Returns the verdict of each gid, the work's counters, and what was put out."""
    put: list[pa.RecordBatch] = []
    work = Work(0, emit=lambda name, batch: put.append(batch))
    judging = Judging(FOLD, width, bar(threshold, measure), work, memory_bytes=memory)
    made = [batch for rows in rows.to_batches(max_chunksize=cut) for batch in judging.add(rows)]
    made += judging.finish()
    verdicts = [row for batch in made for row in batch.to_pylist()]
    assert len({row["gid"] for row in verdicts}) == len(verdicts)
    return {row["gid"]: row for row in verdicts}, work, put


def expected(component: Sequence[str], threshold: float, measure: str, width: int) -> list[tuple[int, Fraction] | None]:
    views = [(exact_of(text), set(shingle_set(tokens(text, FOLD), width))) for text in component]
    share = Fraction(repr(threshold))
    return plain_judge.judged(views, share, mutual=measure == "jaccard")


def assert_as_expected(
    components: Sequence[Sequence[str]], threshold: float, measure: str, width: int, **how: int
) -> tuple[Work, list[pa.RecordBatch]]:
    verdicts, work, put = judged(members(components), threshold=threshold, measure=measure, width=width, **how)
    first = 0
    for component in components:
        found = expected(component, threshold, measure, width)
        sizes = [1 + sum(item is not None and item[0] == number for item in found) for number in range(len(found))]
        for number, item in enumerate(found):
            row = verdicts.pop(first + number)
            assert row["id"] == name(first + number)
            if item is None:
                assert (row["survivor"], row["cluster_size"], row["rule"]) == (None, sizes[number], None)
            else:
                is_copy = exact_of(component[number]) == exact_of(component[item[0]])
                assert (row["survivor"], row["cluster_size"]) == (name(first + item[0]), None)
                assert row["rule"] == (EXACT if is_copy else MINHASH)
                assert row["similarity"] == np.float32(float(item[1]))
        first += len(component)
    assert not verdicts
    return work, put


LETTERS = st.text(st.sampled_from("abcdefgh"), min_size=0, max_size=8)
COMPONENTS = st.lists(st.lists(LETTERS.map(" ".join), min_size=1, max_size=40), min_size=1, max_size=4)


@settings(max_examples=100, deadline=None)
@given(components=COMPONENTS, threshold=THRESHOLDS, measure=MEASURES, cut=st.integers(1, 50), data=st.data())
def test_judges_as_the_plain_twin_in_any_room_and_any_batches(
    components: list[list[str]], threshold: float, measure: str, cut: int, data: st.DataObject
) -> None:
    memory = data.draw(st.sampled_from([1, 300, 2000, ROOMY]))

    assert_as_expected(components, threshold, measure, data.draw(st.integers(1, 3)), memory=memory, cut=cut)


def versions(draw: random.Random, amount: int) -> list[str]:
    """Returns texts of words that share paragraphs, hold each other, or are edits of each other."""
    paragraphs = [[f"p{number}w{place}" for place in range(draw.choice([3, 10, 30]))] for number in range(8)]
    made: list[list[str]] = []
    for number in range(amount):
        kind = draw.random()
        if made and kind < 0.5:
            text = list(draw.choice(made))
            for _ in range(draw.choice([0, 1, 3, 8])):
                text[draw.randrange(len(text))] = f"e{draw.randrange(30)}"
        elif kind < 0.8:
            text = [word for part in draw.sample(paragraphs, draw.randint(1, 4)) for word in part]
        else:
            text = [f"n{number}w{place}" for place in range(draw.randint(1, 60))]
            text += draw.choice(paragraphs)
        made.append(text)
    return [" ".join(text) for text in made]


@pytest.mark.parametrize("measure", ["jaccard", "containment"])
@pytest.mark.parametrize("memory", [4000, 20_000, ROOMY])
@pytest.mark.parametrize("threshold", [0.4, 0.8])
def test_an_index_finds_what_comparing_with_all_finds(measure: str, memory: int, threshold: float) -> None:
    components = [versions(random.Random(seed), amount) for seed, amount in enumerate([300, 1, 17, 90, 2])]

    work, put = assert_as_expected(components, threshold, measure, 1, memory=memory, cut=64)

    stay = sum(item is None for component in components for item in expected(component, threshold, measure, 1))
    assert work.counts["refused_documents"] == stay - len(components)
    assert work.counts["verified"] == 410
    assert work.counts["verified_bytes"] == sum(len(text) for component in components for text in component)
    assert (work.counts["waited"] > 0) == (memory < ROOMY)
    assert put[0].schema == SIMILARITIES


def test_counts_are_the_same_however_batches_are_cut() -> None:
    rows = members([versions(random.Random(5), 200)])

    made = [judged(rows, cut=cut, memory=20_000) for cut in (1, 13, 1000)]

    assert all(
        (verdicts, work.counts, put) == (made[0][0], made[0][1].counts, made[0][2]) for verdicts, work, put in made
    )


def test_four_of_five_reaches_four_fifths() -> None:
    half = "a b c d", "a b c d e"  # 4 of 5 in common
    below = " ".join(f"w{number}" for number in range(79)), " ".join(f"w{number}" for number in range(100))

    verdicts, _, _ = judged(members([half, below]), threshold=0.8)

    assert verdicts[1]["similarity"] == np.float32(0.8)
    assert verdicts[3]["survivor"] is None


@pytest.mark.parametrize("threshold", [0.1 + 0.2, 1 / 3, 0.7000000000000001, 1e-12])
def test_a_threshold_that_is_no_short_decimal_is_met_from_a_billionth_on(threshold: float) -> None:
    limit = bar(threshold, "jaccard")

    assert abs(limit.part / limit.whole - threshold) < 1e-9
    assert limit.whole <= 10**9
    assert limit.part > 0


def test_a_chain_does_not_swallow_what_is_unlike() -> None:
    words = [f"w{number}" for number in range(24)]
    first, middle, last = (" ".join(words[start : start + 20]) for start in (0, 2, 4))  # 18 of 22, 16 of 24

    verdicts, work, _ = judged(members([[first, middle, last]]), threshold=0.8)

    assert [verdicts[number]["survivor"] for number in range(3)] == [None, name(0), None]
    assert [verdicts[number]["cluster_size"] for number in range(3)] == [2, None, 1]
    assert [work.counts[name] for name in ("compared", "refused", "refused_documents")] == [2, 1, 1]


def test_who_leaves_names_the_first_that_stays_and_its_size_counts_there() -> None:
    words = [f"w{number}" for number in range(22)]
    one, other, between = (" ".join(words[start : start + 20]) for start in (0, 2, 1))
    apart = [one, other + " x y z", between]

    verdicts, _, _ = judged(members([apart], sizes=[5, 7, 11]), threshold=0.75)

    assert verdicts[2]["survivor"] == name(0)
    assert [verdicts[number]["cluster_size"] for number in range(2)] == [16, 7]


def test_short_and_empty_documents_leave_as_exact_copies_alone() -> None:
    component = ["one two", "one three", "ONE, two!", "", "。", "", "one two three four five"]

    verdicts, _, _ = judged(members([component]), threshold=0.1, width=5)

    assert [number for number, row in sorted(verdicts.items()) if row["survivor"]] == [2, 5]


def test_similarities_are_rounded_down_and_count_copies() -> None:
    words = [f"w{number}" for number in range(100)]
    component = [" ".join(words), " ".join(words[:86]), " ".join(words[:86]), " ".join(words[2:]), " ".join(words)]

    _, _, put = judged(members([component]), cut=2)

    (bins,) = put
    assert bins.to_pylist() == [
        {"similarity": np.float32(0.86), "documents": 2},
        {"similarity": np.float32(0.98), "documents": 1},
        {"similarity": np.float32(1.0), "documents": 1},
    ]


def test_a_document_larger_than_the_room_is_judged_all_the_same() -> None:
    long = [" ".join(f"{letter}{number}" for number in range(3000)) for letter in "abca"]
    long[3] += " d"

    verdicts, work, _ = judged(members([long, ["x y", "x y"]]), memory=2000)

    assert [verdicts[number]["survivor"] for number in range(6)] == [None, None, None, name(0), None, name(4)]
    assert work.counts["waited"] == 3


@pytest.mark.parametrize("measure", ["jaccard", "containment"])
def test_documents_that_share_a_paragraph_are_hardly_compared(measure: str) -> None:
    draw = random.Random(3)
    paragraph = " ".join(f"s{number}" for number in range(30))
    component = [paragraph + " " + " ".join(f"w{draw.randrange(10**9)}" for _ in range(60)) for _ in range(500)]

    verdicts, work, _ = judged(members([component]), measure=measure, cut=100)

    assert sum(row["survivor"] is None for row in verdicts.values()) == 500
    assert work.counts["compared"] < 10 * 500


@given(tokens=st.integers(0, 10_000), threshold=st.sampled_from([0.01, 1 / 3, 0.8, 1.0]))
def test_a_prefix_holds_one_token_of_those_that_a_copy_must_share(tokens: int, threshold: float) -> None:
    share = Fraction(repr(threshold)).limit_denominator(10**9)
    must_share = -(-tokens * share.numerator // share.denominator)

    assert prefix_length(tokens, bar(threshold, "jaccard")) == (tokens - must_share + 1 if tokens else 0)


def test_exact_copies_of_a_shard_travel_as_one_row_with_one_text() -> None:
    content = ["alpha beta", "gamma", "Alpha beta!", "alone", "alpha, beta", "gamma"]
    rows = [
        {
            "root": {"alpha": 1, "gamma": 2, "alone": 3}[text.lower().strip("!").replace(",", "").split()[0]],
            "gid": number,
            "id": name(number),
            "exact": exact_of(text),
            "size": 10**number,
            "priority": bytes([9 - number] * 16),
        }
        for number, text in enumerate(content)
        if text != "alone"
    ]
    found = pa.Table.from_pylist(rows, schema=members_schema(()))
    work = Work(0, read_beside=lambda: iter(found.to_batches(max_chunksize=2)))
    batches = pa.table({"text": content}).to_batches(max_chunksize=4)

    made = pa.Table.from_batches(list(texts(iter(batches), work, members=members_schema(())))).to_pylist()

    assert [(row["gid"], row["text"], row["size"]) for row in made] == [
        (4, "alpha, beta", 10_101),
        (5, "gamma", 100_010),
    ]
    assert [[copy["gid"] for copy in row["copies"]] for row in made] == [[0, 2], [1]]
    assert [[copy["id"] for copy in row["copies"]] for row in made] == [[name(0), name(2)], [name(1)]]


def jaccard(one: str, other: str) -> Fraction:
    first, second = (
        {tuple(view[at : at + 5]) for at in range(len(view) - 4)} for view in (tokens(one, FOLD), tokens(other, FOLD))
    )
    return Fraction(len(first & second), len(first | second)) if first | second else Fraction(0)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_whole_runs_keep_no_twins_and_name_survivors_that_stay(
    data: st.DataObject, deduplicate: Callable[..., Result]
) -> None:
    draw = random.Random(data.draw(st.integers(0, 5)))
    base = [f"w{number}" for number in range(60)]
    pool = [" ".join(base[start : start + 40]) for start in (0, 1, 2, 5, 9)]
    pool += [text.upper() for text in pool[:2]] + ["short one", "Short one", ""]
    pool += [" ".join(f"e{draw.randrange(9)}" if draw.random() < 0.02 else word for word in base) for _ in range(12)]
    order = data.draw(st.permutations([*pool, *pool[:3]]))
    cut = data.draw(st.integers(0, len(order)))

    made = deduplicate(order[:cut], order[cut:], rows_per_batch=data.draw(st.integers(1, 30)))

    kept = {row["id"]: row["text"] for row in made.table.to_pylist()}
    known = {name(number): text for number, text in enumerate(order)}
    removed = made.ledger.to_pylist()
    assert sorted(kept.values()) == sorted(deduplicate([*pool, *pool[:3]]).table.column("text").to_pylist())
    assert all(row["other"] in kept for row in removed)
    for row in removed:
        similarity = jaccard(known[row["id"]], known[row["other"]])
        is_copy = exact_of(known[row["id"]]) == exact_of(known[row["other"]])
        assert (row["rule"] == "exact") == is_copy
        assert row["similarity"] == np.float32(1 if is_copy else float(similarity))
        assert is_copy or similarity >= Fraction(4, 5)
    sizes = made.table.column("cluster_size").to_pylist()
    assert sum(sizes) == len(order)
    together = [text for text in kept.values() if len(tokens(text, FOLD)) >= 30]
    met = made.counts["largest_component"]
    if met == sum(len(tokens(text, FOLD)) >= 30 for text in order):  # all in one component
        assert all(jaccard(one, other) < Fraction(4, 5) for one in together for other in together if one is not other)


def test_a_whole_run_is_the_same_in_a_tiny_room(
    deduplicate: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    component = versions(random.Random(8), 120)
    shards = component[:50], component[50:]
    stage = Dedup(shingle=1, threshold=0.5, bands=128, rows=1)
    roomy = deduplicate(*shards, stage=stage, rows_per_batch=11)
    monkeypatch.setattr(verify, "MEMORY_BYTES", 3000)
    monkeypatch.setattr(verify, "WINDOW", 3)

    tiny = deduplicate(*shards, stage=stage, rows_per_batch=11)

    assert tiny.counts["waited"] > 0 == roomy.counts["waited"]
    assert tiny.shards == roomy.shards
    assert tiny.ledger.sort_by("id") == roomy.ledger.sort_by("id")
    assert tiny.outputs["similarities"] == roomy.outputs["similarities"]
