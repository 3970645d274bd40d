"""Rows of the frame and what is trained of them, against plain twins."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from datapipe import DataError, InputFile
from datapipe.work import evidence
from stages.audit import frames
from stages.audit.frames import ids_of, left_frame, lines_of, of_documents, unhex
from stages.audit.published import PLACE, grouped, uncut
from stages.audit.trained import NONE, SUMS, Pieces, summed, visible
from stages.corpus.overlay import PIECES, Overlaid
from tests.stages.audit.rows import id_of, ledger


@given(st.lists(st.binary(min_size=16, max_size=16)), st.integers(0, 3))
def test_hex_digits_become_the_bytes_that_they_stand_for(ids: list[bytes], start: int) -> None:
    column = pa.array([one.hex() for one in ids], pa.string()).slice(start)

    assert unhex(column).to_pylist() == ids[start:]


@pytest.mark.parametrize("wrong", ["0" * 31, "0" * 33, "g" * 32, None, "中" * 32])
def test_what_is_no_id_is_refused(wrong: str | None) -> None:
    with pytest.raises(DataError, match="32 hex digits"):
        unhex(pa.array(["0" * 32, wrong], pa.string()))


def test_documents_without_an_id_get_one_by_their_place() -> None:
    rows = pa.RecordBatch.from_pylist([{"index_file": 1, "index_row": 2}, {"index_file": 0, "index_row": 258}], PLACE)

    assert [key.as_py().hex() for key in ids_of(rows)] == [f"{1:016x}{2:016x}", f"{0:016x}{258:016x}"]


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 9), st.integers(1, 5))
def test_tables_of_whole_keys_hold_all_rows_in_order(keys: list[int], rows: int, cut: int) -> None:
    keys.sort()
    whole = pa.table({"key": pa.array(keys, pa.int64()), "row": pa.array(range(len(keys)), pa.int64())})
    tables = list(uncut(iter(whole.to_batches(max_chunksize=cut)), "key", rows))

    assert [row for table in tables for row in table.column("row").to_pylist()] == list(range(len(keys)))
    held = [set(table.column("key").to_pylist()) for table in tables]
    assert sum(map(len, held)) == len(set(keys))
    assert all(len(table) < rows + 30 for table in tables)


def test_records_that_were_set_aside_are_documents_and_files_are_none() -> None:
    record = pa.RecordBatch.from_pylist([{"id": id_of(0), "page": b"<p>", "file": "a.warc.gz", "offset": 7}])
    rows = [
        {"action": "quarantine", "rule": "error", "note": f"error: ValueError: x; y\n; {evidence(record, 0)}"},
        {"action": "quarantine", "rule": "killed", "note": f"killed; {evidence(record.select(['id']), 0)}"},
        {"action": "quarantine", "rule": "unreadable_shard", "note": "ingest[0]: a.warc.gz: BadGzipFile: not gzip"},
        {"action": "quarantine", "rule": "damaged", "note": "a.warc.gz, bytes 10-20: no member begins here"},
        {"action": "drop", "rule": "short"},
        {"action": "split", "rule": "articles", "other": id_of(9)},
        {"action": "also", "rule": "long"},
    ]
    found = of_documents(ledger(rows))

    assert sorted(found.column("rule").to_pylist()) == ["articles", "error", "killed", "short"]


def test_a_document_that_left_is_what_its_row_says() -> None:
    rows = [{"stage": "quality", "action": "drop", "rule": "short", "value": 1.5, "limit": 3.0, "bytes": 7}]
    (row,) = left_frame(ledger(rows)).to_pylist()

    said = {name: value for name, value in row.items() if value is not None}
    assert said == {"id": id_of(0), **rows[0]}


PIECE = st.fixed_dictionaries(
    {
        "file": st.integers(0, 2),
        "file_row": st.integers(0, 3),
        "split": st.integers(0, 1),
        "shard": st.integers(0, 2),
        "row": st.integers(0, 5),
        "start": st.integers(0, 9),
        "length": st.integers(1, 9),
        "first": st.booleans(),
    }
)


@given(st.lists(PIECE, max_size=20), st.integers(0, 20))
def test_pieces_add_up_by_document_however_they_are_cut(pieces: list[dict[str, Any]], cut: int) -> None:
    trained: dict[tuple[int, int], int] = defaultdict(int)
    firsts: dict[tuple[int, int], list[tuple[int, ...]]] = defaultdict(list)
    for piece in pieces:
        key = piece["file"], piece["file_row"]
        trained[key] += piece["length"] if piece["split"] == 0 else 0
        if piece["first"]:
            end = piece["start"] + piece["length"]
            firsts[key].append((piece["split"], piece["shard"], piece["row"], piece["start"], end))
    batches = [sums_of(part) for part in (pieces[:cut], pieces[cut:])]
    held = Pieces(iter(batches), ("train", "validation"))
    keys = [(file, row) for file in range(3) for row in range(4)]
    found = held.of(np.array([file for file, _ in keys]), np.array([row for _, row in keys]))

    assert found["trained"].to_pylist() == [trained.get(key, 0) for key in keys]
    best = [min(firsts[key], default=None) for key in keys]
    names = [None if one is None else ("train", "validation")[one[0]] for one in best]
    assert found["piece_split"].to_pylist() == names
    for place, name in enumerate(("shard", "row", "start", "end"), 1):
        assert found[f"piece_{name}"].to_pylist() == [None if one is None else one[place] for one in best]
    assert held.trained == sum(trained.values())


def sums_of(pieces: list[dict[str, Any]]) -> pa.RecordBatch:
    if not pieces:
        return pa.RecordBatch.from_pylist([], SUMS)
    held = {name: np.array([piece[name] for piece in pieces]) for name in pieces[0]}
    held["end"] = held["start"] + held["length"]
    places = {name: np.where(held["first"], held[name], NONE) for name in ("split", "shard", "row", "start", "end")}
    trained = np.where(held["split"] == 0, held["length"], 0)
    return summed(held["file"], held["file_row"], places, trained, held["file"].astype(np.int32))


@given(
    st.lists(st.tuples(st.integers(0, 19), st.integers(0, 3)), max_size=20),
    st.lists(st.tuples(st.integers(0, 19), st.integers(0, 3)), max_size=5, unique=True),
    st.sets(st.integers(0, 19)),
)
def test_a_piece_is_seen_unless_an_overlay_takes_it_or_its_sample(
    pieces: list[tuple[int, int]], removed: list[tuple[int, int]], skipped: set[int]
) -> None:
    ranges = [(sample, sample + 1) for sample in sorted(skipped)]
    merged = [one for one in ranges if one[0] - 1 not in skipped]
    ends = [end for _, end in ranges if end not in skipped]
    pairs = np.array([[start, end] for (start, _), end in zip(merged, ends, strict=True)], np.int64).reshape(-1, 2)
    rows = [{"split": "train", "sample": sample, "start": start, "end": start + 1} for sample, start in sorted(removed)]
    overlaid = Overlaid(20, pairs, pa.Table.from_pylist(rows, schema=PIECES))
    samples, starts = (np.array([piece[place] for piece in pieces], np.int64) for place in range(2))

    seen = visible(overlaid, samples, starts)

    assert seen.tolist() == [piece[0] not in skipped and piece not in removed for piece in pieces]


def test_lines_of_json_are_read_whole_wherever_they_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": id_of(number).hex(), "text": "文" * number, "host": None, "mine": {"a": 1}} for number in range(40)]
    path = tmp_path / "part.jsonl.zst"
    lines = [json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows]
    frames_of = zstandard.ZstdCompressor()
    path.write_bytes(b"".join(frames_of.compress(b"".join(lines[start : start + 9])) for start in range(0, 40, 9)))
    monkeypatch.setattr(frames, "_LINES", 50)
    file = InputFile("part.jsonl.zst", str(path), path.stat().st_size, "1")

    read = [row for batch in lines_of(file) for row in batch.to_pylist()]
    assert [(row["id"], row["text"], row["host"]) for row in read] == [(row["id"], row["text"], None) for row in rows]
    path.write_bytes(frames_of.compress(b"".join(lines)[:-9]))
    with pytest.raises(DataError, match="ends in the middle of a line"):
        list(lines_of(file))


@given(st.lists(st.integers(0, 9)), st.integers(1, 20))
def test_files_are_grouped_in_order_and_none_is_lost(sizes: list[int], size: int) -> None:
    files = [InputFile(f"{number}", "", amount, "") for number, amount in enumerate(sizes)]
    groups = grouped(files, size)

    assert [file for group in groups for file in group] == files
    assert all(sum(file.size_bytes for file in group[:-1]) <= size for group in groups)
