"""Rows of the ledger say what a document was where it leaves, and nothing of it where it stays."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from datapipe import ID, LEDGER, Work
from datapipe.work import ABOUT

ROWS = {
    "id": pa.array([bytes([number] * 16) for number in range(3)], ID),
    "source": ["web", "web", "books"],
    "url": ["http://a.example/1", None, None],
    "host": ["a.example", None, None],
    "language": ["zho_Hant", "eng_Latn", "und"],
    "script": ["Hant", "Latn", "Zyyy"],
    "format": ["prose", "code", None],
    "file": ["one.warc.gz", "one.warc.gz", "two.jsonl"],
    "offset": pa.array([0, 512, 3], pa.int64()),
    "crawl_time": pa.array([1_700_000_000, None, None], pa.int64()),
    "text": ["漢字", "word", ""],
}


def noted(columns: dict[str, Any], action: str) -> list[dict[str, Any]]:
    """Returns what the ledger says of the rows when they are all noted by one action."""
    written: list[pa.RecordBatch] = []
    work = Work(0, "quality", emit=lambda name, batch: written.append(batch))
    batch = pa.RecordBatch.from_pydict(columns)
    work.note(batch, range(batch.num_rows), action=action, rule="rule")
    return pa.Table.from_batches(written, schema=LEDGER).to_pylist()


@pytest.mark.parametrize("action", ["drop", "duplicate_of", "quarantine", "split"])
def test_a_row_by_which_a_document_leaves_or_is_made_says_what_it_was(action: str) -> None:
    rows = noted(ROWS, action)

    plain = pa.table(ROWS).to_pylist()
    assert [row["bytes"] for row in rows] == [6, 4, 0]
    assert all(row[name] == of[name] for row, of in zip(rows, plain, strict=True) for name in ABOUT if name != "bytes")


@pytest.mark.parametrize("action", ["also", "repair", "flag"])
def test_a_row_of_a_document_that_stays_does_not_say_it_again(action: str) -> None:
    rows = noted(ROWS, action)

    assert [row["url"] for row in rows] == ROWS["url"]
    assert all(row[name] is None for row in rows for name in ABOUT)


def test_what_no_step_has_found_out_yet_is_null() -> None:
    (row,) = noted({"id": ROWS["id"][:1], "source": ["web"]}, "drop")

    assert row["source"] == "web"
    assert all(row[name] is None for name in ABOUT)


def test_where_the_text_has_ended_its_bytes_are_those_that_were_counted() -> None:
    (row,) = noted({"id": ROWS["id"][:1], "bytes": pa.array([7], pa.int64())}, "drop")

    assert row["bytes"] == 7


def test_columns_of_other_kinds_under_these_names_are_passed_over() -> None:
    odd = {"language": [["zh", "en"]], "offset": ["far"], "bytes": [b"\xff"], "host": [b"\xff"], "text": [b"\xff\xff"]}
    (row,) = noted({"id": ROWS["id"][:1], **odd}, "drop")

    assert all(row[name] is None for name in ABOUT)


def test_a_batch_from_which_nothing_leaves_costs_nothing() -> None:
    written: list[pa.RecordBatch] = []
    work = Work(0, "quality", emit=lambda name, batch: written.append(batch))
    batch = pa.RecordBatch.from_pydict(ROWS)

    assert work.drop(batch, np.zeros(3, bool), rule="rule") is batch
    assert not written
