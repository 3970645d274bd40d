import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import ID
from datapipe.testing import Result, dataset, evaluate
from stages.dedup import Dedup
from stages.dedup.clusters import MINHASH, VERDICTS
from stages.dedup.keys import BANDS, SHARD_BITS
from stages.dedup.local_min import local_min_verdicts

SHARDS = 3
SCHEMA = BANDS.append(pa.field("priority", pa.binary(9))).append(pa.field("id", ID))


@dataclass(frozen=True)
class Document:
    """A document of a shard, with the keys of its bands; one key may be that of two bands."""

    number: int
    rank: int
    keys: tuple[int, ...]

    @property
    def id(self) -> bytes:
        return (self.number * 7919 % 1000).to_bytes(16, "big")  # not in the order of the numbers

    @property
    def gid(self) -> int:
        return (self.number % SHARDS) << SHARD_BITS | self.number // SHARDS

    @property
    def place(self) -> tuple[int, bytes]:
        return self.rank, self.id


DOCUMENTS = st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 9), max_size=4)), max_size=14).map(
    lambda known: [Document(number, rank, tuple(keys)) for number, (rank, keys) in enumerate(known)]
)


def buckets_of(documents: list[Document]) -> list[list[Document]]:
    """Returns the documents of each key, in survivor order."""
    held: dict[int, set[Document]] = defaultdict(set)
    for document in documents:
        for key in document.keys:
            held[key].add(document)
    return [sorted(bucket, key=lambda document: document.place) for bucket in held.values()]


def lost_against(documents: list[Document]) -> dict[bytes, bytes]:
    """The plain twin: who leaves, and the least of the firsts that it lost against."""
    firsts: dict[Document, list[Document]] = defaultdict(list)
    for bucket in buckets_of(documents):
        for document in bucket[1:]:
            firsts[document].append(bucket[0])
    return {gone.id: min(held, key=lambda document: document.place).id for gone, held in firsts.items()}


def least_of_components(documents: list[Document]) -> dict[bytes, bytes]:
    """Returns the first document, in survivor order, of each document's component."""
    component = {document.id: {document.id} for document in documents}
    for bucket in buckets_of(documents):
        joined = set().union(*(component[document.id] for document in bucket))
        component.update(dict.fromkeys(joined, joined))
    place = {document.id: document.place for document in documents}
    return {key: min(held, key=lambda other: place[other]) for key, held in component.items()}


def run(documents: list[Document], *, cuts: int = 1, rows_per_batch: int = 3) -> Result:
    rows = [
        {"key": key, "gid": document.gid, "priority": bytes([document.rank]) * 9, "id": document.id}
        for document in documents
        for key in document.keys
    ]
    bands = dataset(*(pa.Table.from_pylist(rows[cut::cuts], schema=SCHEMA) for cut in range(cuts)))
    signed = dataset(*[BANDS.empty_table()] * SHARDS)
    return evaluate(local_min_verdicts(bands, signed), rows_per_batch=rows_per_batch)


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, st.integers(1, 3), st.integers(1, 9), st.randoms(use_true_random=False))
def test_who_is_not_first_in_a_bucket_leaves_for_the_least_first_whatever_the_order(
    documents: list[Document], cuts: int, size: int, draw: object
) -> None:
    expected = lost_against(documents)
    draw.shuffle(documents)  # type: ignore[attr-defined]

    made = run(documents, cuts=cuts, rows_per_batch=size)

    assert {row["id"]: row["survivor"] for row in made.table.to_pylist()} == expected
    assert made.table.num_rows == len(expected)


@settings(max_examples=40, deadline=None)
@given(DOCUMENTS)
def test_what_unverified_components_keep_stays_and_names_lead_there(documents: list[Document]) -> None:
    least = least_of_components(documents)

    made = {row["id"]: row["survivor"] for row in run(documents).table.to_pylist()}

    assert not made.keys() & set(least.values())
    for gone, named in made.items():
        steps = 0
        while named in made and steps < len(documents):
            named, steps = made[named], steps + 1
        assert named not in made
        assert least[named] == least[gone]


def test_both_ends_of_a_chain_stay_where_they_come_first_and_leave_where_they_do_not() -> None:
    ends_first = [Document(0, 0, (1,)), Document(1, 2, (1, 2)), Document(2, 1, (2,))]
    middle_first = [Document(0, 1, (1,)), Document(1, 0, (1, 2)), Document(2, 2, (2,))]
    downwards = [Document(0, 0, (1,)), Document(1, 1, (1, 2)), Document(2, 2, (2,))]
    names = [document.id for document in downwards]

    found = [
        {row["id"]: row["survivor"] for row in run(documents).table.to_pylist()}
        for documents in (ends_first, middle_first, downwards)
    ]

    assert found == [
        {names[1]: names[0]},
        {names[0]: names[1], names[2]: names[1]},
        {names[1]: names[0], names[2]: names[1]},  # a name that left itself, for another
    ]


def test_verdicts_lie_with_their_documents_and_say_nothing_that_was_not_measured() -> None:
    documents = [Document(number, number % 2, (number % 3, 7)) for number in range(20)]

    made = run(documents, cuts=2)

    assert len(made.shards) == SHARDS
    for number, shard in enumerate(made.shards):
        assert shard.schema == VERDICTS
        assert shard.column("gid").to_pylist() == sorted(set(shard.column("gid").to_pylist()))
        assert set(shard.column("shard").to_pylist()) <= {number}
        assert set(shard.column("rule").to_pylist()) <= {MINHASH}
        assert shard.column("cluster_size").null_count == shard.column("similarity").null_count == shard.num_rows
    assert dict(made.counts) == {"buckets": 4, "largest_bucket": 20, "pairs": 21 + 21 + 15 + 190}


@pytest.mark.parametrize("keys", [(), (5, 5), (5, 6)])
def test_a_document_that_meets_itself_alone_stays(keys: tuple[int, ...]) -> None:
    assert run([Document(0, 0, keys)]).table.num_rows == 0


def test_the_step_keeps_what_unverified_components_keep_and_more(documents: Callable[..., pa.Table]) -> None:
    draw = random.Random(3)
    words = [f"w{draw.randrange(10_000)}" for _ in range(120)]
    texts = [" ".join(words)]
    while len(texts) < 30:  # a drift: each is the one before with a word changed, far ones are unlike
        words[draw.randrange(120)] = f"n{draw.randrange(10_000)}"
        texts.append(" ".join(words))
    shards = [documents(texts[:11]), documents(texts[11:], first=11)]

    least, components = (
        evaluate(Dedup(verify=False, mode=mode, union_find_bytes=0).build(dataset(*shards)))
        for mode in ("local_min", "components")
    )

    kept = [set(made.table.column("id").to_pylist()) for made in (least, components)]
    assert len(kept[1]) < len(kept[0]) < 30
    assert kept[1] < kept[0]
    assert set(least.ledger.column("rule").to_pylist()) == {"minhash"}
    assert least.ledger.column("similarity").null_count == least.ledger.num_rows == 30 - len(kept[0])
    assert set(least.table.column("cluster_size").to_pylist()) == {1}  # how many copies there were is not known
