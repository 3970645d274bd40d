"""Paragraphs that stand on many hosts leave; quotations, licences and copies of whole documents stay."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import PlanError, Work
from datapipe.testing import Result, dataset, evaluate
from stages.repair import Repair
from stages.repair.recurring import PARAGRAPHS, Count, judge
from stages.repair.rules import load
from tests.stages.repair.samples import BRIDGE, RIVER, TEA, changes

FOOTER = "本站内容由用户上传，与本站立场无关"
QUOTATION = "人生到处知何似，应似飞鸿踏雪泥。"


def texts(number: int) -> list[str]:
    """Returns the sentences of a text like no other."""
    kinds = ["石桥", "茶馆", "河道", "老街", "花园", "钟楼", "集市", "码头"]
    return [
        f"{kinds[number % 8]}的第{number}页第{line}段，写的是{number * 7 + line}年前的一件小事，记得的人不多了。"
        for line in range(8)
    ]


def spread(documents: list[tuple[str, str | None]], shards: int = 2, **fields: object) -> Result:
    """Returns what the step with `recurring` makes of (text, host) documents, dealt to shards."""
    tables = []
    for shard in range(shards):
        rows = [(number, *document) for number, document in enumerate(documents) if number % shards == shard]
        ids = pa.array([number.to_bytes(16) for number, _, _ in rows], pa.binary(16))
        held = [pa.array([row[place] for row in rows], pa.string()) for place in (1, 2)]
        tables.append(pa.table([ids, *held], names=["id", "text", "host"]))
    return evaluate(Repair(recurring=True, **fields).build(dataset(*tables)))  # type: ignore[arg-type]


def by_id(result: Result) -> list[str]:
    """Returns the texts in the order of the ids."""
    return result.table.sort_by("id")["text"].to_pylist()


@pytest.mark.parametrize("blank", ["\n", "\n\n"])
@pytest.mark.parametrize("hosts", [4, 5])
def test_a_footer_on_five_hosts_leaves_and_on_four_stays(hosts: int, blank: str) -> None:
    bodies = [blank.join(texts(number)) for number in range(9)]
    pages = [(f"{body}{blank}{FOOTER}", f"host{number % hosts}.example") for number, body in enumerate(bodies)]

    result = spread(pages)

    expected = bodies if hosts == 5 else [page for page, _ in pages]
    assert by_id(result) == expected
    assert changes(result) == (9 * [("repair", "recurring")] if hosts == 5 else [])


def test_the_ledger_says_what_left() -> None:
    result = spread([("\n".join([FOOTER, *texts(number)]), f"{number}.example") for number in range(5)])

    assert set(result.ledger["note"].to_pylist()) == {FOOTER}
    assert set(result.ledger["value"].to_pylist()) == {float(len(FOOTER))}


def test_a_quotation_inside_texts_stays() -> None:
    pages = []
    for number in range(12):
        lines = texts(number)
        lines.insert(4 if number else 0, QUOTATION)
        pages.append(("\n".join(lines), f"{number}.example"))

    assert by_id(spread(pages)) == [text for text, _ in pages]


def test_advertising_inside_texts_leaves() -> None:
    ad = "专业代写论文，加微信 abc12345，价格优惠"
    pages = [("\n".join([*texts(number)[:4], ad, *texts(number)[4:]]), f"{number}.example") for number in range(6)]

    assert by_id(spread(pages)) == ["\n".join(texts(number)) for number in range(6)]


def test_copies_of_a_document_are_left_to_the_dedup_step() -> None:
    pages = [(TEA, f"{number}.example") for number in range(8)]

    result = spread(pages)

    assert by_id(result) == [TEA] * 8
    assert result.counts["recurring.copies"] == 8


def test_documents_without_a_host_neither_count_nor_change() -> None:
    pages: list[tuple[str, str | None]] = [("\n".join([*texts(number), FOOTER]), None) for number in range(9)]

    assert by_id(spread(pages)) == [text for text, _ in pages]


def test_footers_that_differ_in_width_and_script_are_one() -> None:
    forms = [FOOTER, FOOTER.replace("，", ", "), "本站內容由用戶上傳，與本站立場無關"]
    pages = [("\n".join([*texts(number), forms[number % 3]]), f"{number}.example") for number in range(6)]

    assert by_id(spread(pages)) == ["\n".join(texts(number)) for number in range(6)]


@pytest.mark.parametrize("shards", [1, 3])
def test_the_number_of_shards_changes_nothing(shards: int) -> None:
    pages = [("\n".join([*texts(number), FOOTER]), f"{number % 6}.example") for number in range(11)]

    assert by_id(spread(pages, shards)) == ["\n".join(texts(number)) for number in range(11)]


def test_it_needs_hosts_and_is_off_by_default() -> None:
    ids = pa.array([bytes(16)], pa.binary(16))
    documents = dataset(pa.table({"id": ids, "text": [TEA]}))

    with pytest.raises(PlanError, match="recurring: needs column 'host'"):
        Repair(recurring=True).build(documents)
    assert Repair().build(documents).schema.names == ["id", "text"]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8), st.booleans()), max_size=40).map(sorted),
    st.integers(1, 7),
    st.integers(1, 7),
)
def test_counting_over_any_batches_is_counting_at_once(
    rows: list[tuple[int, int, bool]], size: int, other: int
) -> None:
    rules = load({"recurring": {"hosts": 3, "edge_ratio": 0.5}})
    columns = [[row[place] for row in rows] for place in range(3)]
    table = pa.table([columns[0], columns[1], range(len(rows)), columns[2]], schema=PARAGRAPHS)

    batches = list(Count(rules)(iter(table.to_batches(max_chunksize=size)), Work(0)))
    found = {row["key"]: row["at_edges"] for batch in batches for row in batch.to_pylist()}
    work = Work(0, read_beside=lambda: iter(batches))
    judged = [row for batch in judge(iter(table.to_batches(max_chunksize=other)), work) for row in batch.to_pylist()]

    expected = {}
    for key in {key for key, _, _ in rows}:
        own = [(host, edge) for other_key, host, edge in rows if other_key == key]
        if len({host for host, _ in own}) >= 3:
            expected[key] = sum(edge for _, edge in own) >= 0.5 * len(own)
    assert found == expected
    assert [(row["gid"], row["at_edges"]) for row in judged] == [
        (number, expected[key]) for number, (key, _, _) in enumerate(rows) if key in expected
    ]


def test_a_page_that_is_mostly_its_own_keeps_a_clause_that_many_have() -> None:
    clause = "本合同一式两份，双方各执一份，自签字之日起生效。"
    pages = [("\n".join([*texts(number)[:3], clause, *texts(number)[3:]]), f"{number}.example") for number in range(7)]

    assert by_id(spread([*pages, (BRIDGE, "a.example"), (RIVER, "b.example")])) == [
        *(text for text, _ in pages),
        BRIDGE,
        RIVER,
    ]
