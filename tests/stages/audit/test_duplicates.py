"""What a report says of duplicates, of documents written out by hand; the expected numbers are sums in the comments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.audit.counter import Facts, Wide
from stages.audit.duplicates import COUNTERS, residuals, sections
from stages.audit.frame import FRAME, KEPT
from stages.audit.model import Section
from stages.dedup.audit import wilson

Row = dict[str, Any]  # Any: values of a column


def frame_of(*rows: Row) -> pa.Table:
    """Returns rows of the frame; what is not given is null."""
    return pa.Table.from_pylist([{name: row.get(name) for name in FRAME.names} for row in rows], schema=FRAME)


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def kept(number: int, **about: object) -> Row:
    return {"id": key(number), "stage": KEPT, "source": "web", "host": "a.example", "split": "train", **about}


def copy(number: int, other: int, **about: object) -> Row:
    told = {"stage": "dedup", "action": "duplicate_of", "rule": "minhash", "source": "web", "host": "a.example"}
    return {"id": key(number), "other": key(other), **told, **about}


STAYED = (
    # Seen twice, whole: 200 of its 100 tokens. Its cluster had three more documents.
    kept(1, cluster_size=4, tokens=100, trained=200, times_seen=2),
    # Seen once, 30 of its 50 tokens.
    kept(2, cluster_size=1, tokens=50, trained=30, times_seen=1, source="books"),
    kept(3, cluster_size=3, tokens=40, trained=0, times_seen=0, host=None),
    kept(4, cluster_size=1, tokens=60, trained=0, times_seen=0, split="validation"),
)
LEFT = (
    copy(11, 1, similarity=0.93, bytes=10, host="b.example"),
    copy(12, 1, similarity=0.939, bytes=20),
    copy(13, 1, similarity=1.0, bytes=30, rule="exact", source="books"),
    copy(14, 3, similarity=0.85, host="c.example"),
    # Of one that left later itself: not known.
    copy(15, 99, similarity=0.8, bytes=5),
    # By an earlier step, and its survivor is a copy of 3 too.
    copy(16, 14, stage="dedup_exact", rule="text", source="books", host="c.example"),
    {"id": key(17), "stage": "quality", "action": "drop", "rule": "zh_length", "source": "web", "bytes": 7},
)


def tables_of(stayed: pa.Table, left: pa.Table) -> dict[str, pa.Table]:
    """Returns the merged tables of all counters, as the stage makes them."""
    made: dict[str, pa.Table] = {}
    for counter in COUNTERS:
        first = counter.counter if isinstance(counter, Wide) else counter
        merged = first.merge([first.count(stayed, None), first.count(left, left)])
        if isinstance(counter, Wide):
            made |= {one.name: one.merge([one.count(merged, None)]) for one in counter.after}
        else:
            made[first.name] = merged
    return made


# As the step dedup says it (see `stages.dedup.audit.Say`), of the run on configs/zh_en.yaml, with other numbers.
BY_CURVE = (
    "recall: by the curve of bands and rows at least 99.95% of the copies were found (99.93% of those that are not "
    "equal), judged by the similarity of the 1,481 that left"
)
BY_AUDIT = (
    "recall: by this audit 98.50% of the documents that should leave as copies have left (95% interval 97.03% to "
    "99.00%)"
)
RESIDUAL = (
    "residual: 3 of 1,000 documents drawn from the 1,250 that stay have a copy that stays too, of similarity 0.8 or "
    "more (0.3%, 95% interval 0.2% to 0.5%); for example 00 and 01"
)
RUN = {
    "stages": [
        {
            "stage": "dedup",
            "documents_in": 20,
            "counts": {},
            "rules": [],
            "remarks": [BY_CURVE, BY_AUDIT, RESIDUAL],
        },
        {
            "stage": "dedup_lines",
            "documents_in": 15,
            "counts": {"units_removed_bytes": 900, "documents_changed": 3},
            "rules": [{"action": "repair", "rule": "recurring_line", "documents": 3}],
            "remarks": [],
        },
    ]
}


def section(tables: Mapping[str, pa.Table], folder: str) -> Section:
    return next(sections(Facts(tables, RUN, {}, folder, 0)))


@pytest.fixture
def said(tmp_path: Path) -> Section:
    return section(tables_of(frame_of(*STAYED), frame_of(*LEFT)), str(tmp_path))


def value(said: Section, key: str) -> object:
    return next(figure.value for figure in said.figures if figure.key == f"duplicates.{key}")


def rows(said: Section, key: str) -> list[tuple[object, ...]]:
    return [tuple(row) for table in said.tables if table.key == f"duplicates.{key}" for row in table.rows]


def test_copies_are_counted_by_step_and_rule_with_the_text_cut_out_of_others(said: Section) -> None:
    assert value(said, "removed") == 6
    assert value(said, "removed_share") == 6 / 20
    assert rows(said, "steps") == [
        ("dedup: exact", 1, 1 / 20, 30, None),
        ("dedup: minhash", 4, 4 / 20, 35, None),  # 10 + 20 + 5; of one the bytes are not known
        ("dedup_lines: within documents", 3, 3 / 15, None, 900),
    ]


def test_what_was_cut_leads_to_the_documents_that_it_was_cut_out_of(said: Section) -> None:
    steps = next(table for table in said.tables if table.key == "duplicates.steps")

    assert steps.commands == (
        "datapipe show DIR --stage dedup --rule exact",
        "datapipe show DIR --stage dedup --rule minhash",
        "datapipe show DIR noted=recurring_line",
    )


def test_without_tokens_sizes_are_characters(tmp_path: Path) -> None:
    stayed = frame_of(kept(1, cluster_size=2, characters=70, bytes=90), kept(2, cluster_size=1, characters=5, bytes=5))

    made = section(tables_of(stayed, frame_of()), str(tmp_path))

    heads = {table.key: [column.key for column in table.columns] for table in made.tables}
    assert heads["duplicates.clusters"] == ["least", "most", "stood", "documents", "characters"]
    assert rows(made, "clusters") == [(1, 1, 1, 1, 5), (2, 2, 2, 1, 70)]
    assert rows(made, "top") == [(key(1).hex(), 2, "web", "a.example", None, 70, None)]


def test_a_step_that_the_report_does_not_name_is_still_in_the_sum_of_copies(said: Section) -> None:
    assert sum(documents for _, documents in rows(said, "similarity")) == 5  # that of dedup_exact has none


def test_similarities_of_copies_are_whole_percents_rounded_down(said: Section) -> None:
    amounts = {similarity: documents for similarity, documents in rows(said, "similarity") if documents}

    assert amounts == {0.8: 1, 0.85: 1, 0.93: 2, 1.0: 1}


def test_clusters_are_told_by_size_with_the_documents_that_they_stand_for(said: Section) -> None:
    assert rows(said, "clusters") == [
        (1, 1, 2, 2, 110, 30),
        (2, 2, 0, 0, 0, 0),
        (3, 4, 7, 2, 140, 200),  # one of four, one of three
    ]
    assert value(said, "stood_for") == (4 + 1 + 3 + 1) / 4
    assert value(said, "largest") == 4


def test_the_largest_clusters_lead_to_their_copies(said: Section) -> None:
    top = next(table for table in said.tables if table.key == "duplicates.top")

    assert [row[:2] for row in top.rows] == [(key(1).hex(), 4), (key(3).hex(), 3)]
    assert top.commands == tuple(f"datapipe show DIR other={key(number).hex()}" for number in (1, 3))


def test_copies_meet_their_survivors_though_these_lie_elsewhere(said: Section) -> None:
    # web/web: 11 (other host), 12 (same), 14 (3 has no host: not known); books/web: 13 (same), 16 (of 14: same).
    assert rows(said, "across") == [
        ("web", "web", 3, 1),
        ("books", "web", 2, 0),
        ("web", "?", 1, 0),
    ]
    assert value(said, "other_host") == 1 / 4
    assert value(said, "other_source") == 2 / 5


def test_repeats_are_worth_what_the_paper_says(said: Section) -> None:
    # 100 tokens seen twice: U + U R* (1 - exp(-1 / R*)) with R* = 15.387756 is 196.8; 30 seen once are worth 30.
    assert value(said, "effective") == round(196.8208 + 30)
    assert value(said, "repeated") == pytest.approx(100 / 230)
    assert rows(said, "times") == [(0, 1, 40, 0, 0.0), (1, 1, 50, 30, 30 / 230), (2, 1, 100, 200, 200 / 230)]


@pytest.mark.parametrize(("seen", "worth"), [(230, 222), (231, round(196.8208 + 30))], ids=["whole", "overlaid"])
def test_what_repeats_are_worth_is_what_the_run_says_unless_an_overlay_left_something_out(
    seen: int, worth: int, tmp_path: Path
) -> None:
    groups = [{"tokens_seen": 30, "effective_tokens": 30}, {"tokens_seen": seen - 30, "effective_tokens": 192}]
    tables = tables_of(frame_of(*STAYED), frame_of(*LEFT))

    said = next(sections(Facts(tables, RUN, {"mix": {"groups": groups}}, str(tmp_path), 0)))

    assert value(said, "effective") == worth


def test_what_is_left_is_read_from_the_remarks_of_dedup_with_its_interval(said: Section) -> None:
    found = next(figure for figure in said.figures if figure.key == "duplicates.residual")
    gone = next(figure for figure in said.figures if figure.key == "duplicates.recall")

    assert (found.value, found.of) == (0.003, 1000)
    assert (found.low, found.high) == pytest.approx(wilson(3, 1000, 1250))
    assert (gone.value, gone.low, gone.high) == pytest.approx((0.985, 0.9703, 0.99))
    assert value(said, "recall_by_curve") == pytest.approx(0.9995)
    assert next(iter(residuals(RUN))).whole == 1250


def test_a_run_without_documents_has_a_section_without_tables(tmp_path: Path) -> None:
    nothing = {"stages": []}
    made = next(sections(Facts(tables_of(frame_of(), frame_of()), nothing, {}, str(tmp_path), 0)))

    assert (value(made, "removed"), made.tables) == (0, ())


@settings(max_examples=20)
@given(st.lists(st.integers(0, 3), min_size=len(STAYED) + len(LEFT), max_size=len(STAYED) + len(LEFT)), st.randoms())
def test_counts_do_not_depend_on_how_documents_are_cut_into_parts(parts: list[int], order: Any) -> None:
    whole = tables_of(frame_of(*STAYED), frame_of(*LEFT))
    for counter in COUNTERS:
        first = counter.counter if isinstance(counter, Wide) else counter
        counted = []
        for number in range(4):
            stayed = [row for part, row in zip(parts, STAYED, strict=False) if part == number]
            left = [row for part, row in zip(parts[len(STAYED) :], LEFT, strict=True) if part == number]
            counted += [first.count(frame_of(*stayed), None), first.count(frame_of(*left), frame_of(*left))]
        order.shuffle(counted)

        merged = first.merge([first.merge(counted[:3]), first.merge(counted[3:])])

        if isinstance(counter, Wide):
            assert all(one.merge([one.count(merged, None)]).equals(whole[one.name]) for one in counter.after)
        else:
            assert merged.equals(whole[first.name])
