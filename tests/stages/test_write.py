"""The step `write`: what other programs read back equals the rows, and nothing is lost on the way."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError, PlanError
from datapipe.errors import PlanError as Refusal
from datapipe.graph import Pipeline
from datapipe.inspect import show_file
from datapipe.local import Local
from datapipe.publish import Place
from datapipe.run import run_pipeline
from datapipe.shard import Writer
from datapipe.testing import dataset, evaluate
from datapipe.verify import verify
from stages.dedup import Dedup
from stages.ingest import Ingest
from stages.ingest.stage import SourceConfig
from stages.write import LINES, Write, line

NOTE = "数据管道把每一篇文档都记在账上 and keeps the books of every document that it was given."
ROWS = pa.table(
    {
        "id": pa.array([bytes([row]) * 16 for row in range(5)], pa.binary(16)),
        "text": ["a\nb", "汉字", "", '"quoted"\\', "\u2028😀"],
        "score": pa.array([0.5, math.nan, None, math.inf, 0.25], pa.float32()),
        "ids": pa.array([[1], [], None, [2, 3], [4]], pa.list_(pa.int32())),
    }
)


def run(folder: Path, out: Path, *, write: Write, bytes_per_shard: int = 64 << 20, replace: bool = False) -> Any:
    """Runs ingest, dedup and write on the Parquet files of a folder; returns the report."""
    source = SourceConfig(path=f"{folder}/*.parquet", bytes_per_shard=bytes_per_shard)
    stages: list[Any] = [("ingest", Ingest(sources={"pages": source}))]  # Any: a stage
    stages += [("dedup", Dedup()), ("write", write)]
    made: list[Any] = []
    for name, stage in stages:
        made.append((name, stage, stage.build(*(made[-1][2:] if made else ()))))
    place = Place(str(out), str(out / "work"), replace=replace)
    return run_pipeline(Pipeline("write", tuple(made)), place, Local(), "0")


def pages(folder: Path, files: int = 2) -> Path:
    """Writes files of four pages each, of which the last two are copies of one another."""
    folder.mkdir()
    for file in range(files):
        texts = [f"{NOTE} Number {file} {row} is its own: {file * 7 + row} words." * (row + 1) for row in range(3)]
        pq.write_table(
            pa.table({"text": [*texts, texts[-1]], "url": ["https://example.org"] * 4}), folder / f"{file}.parquet"
        )
    return folder


def lines_of(path: Path) -> list[dict[str, Any]]:  # Any: JSON
    """Returns the rows of a file of JSON lines as any reader of zstd has them."""
    with path.open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        return [json.loads(row) for row in io.TextIOWrapper(reader, "utf-8", newline="\n")]


@pytest.mark.parametrize("rows_per_batch", [1, 3, 100])
def test_hands_every_row_on_and_puts_out_the_columns_that_are_named(rows_per_batch: int) -> None:
    made = evaluate(Write(columns=("text", "id")).build(dataset(ROWS, ROWS)), rows_per_batch=rows_per_batch)

    assert repr(made.table.to_pylist()) == repr(ROWS.to_pylist() * 2)
    assert [table.to_pylist() for table in made.outputs["documents"]] == [ROWS.select(["text", "id"]).to_pylist()] * 2


def test_lines_have_ids_as_hex_digits_and_null_for_what_is_no_number() -> None:
    made = evaluate(Write(format="jsonl").build(dataset(ROWS)))

    rows = [json.loads(row) for row in made.outputs["documents"][0].column("content").to_pylist()]
    assert [row["id"] for row in rows] == [f"{row:02x}" * 16 for row in range(5)]
    assert [row["score"] for row in rows] == [0.5, None, None, None, 0.25]
    assert [(row["text"], row["ids"]) for row in rows] == list(
        zip(*(ROWS.column(name).to_pylist() for name in ("text", "ids")), strict=True)
    )


def test_times_in_lines_are_iso_8601() -> None:
    day = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert json.loads(line({"day": day.date(), "at": day, "none": None})) == {
        "day": "2024-01-02",
        "at": "2024-01-02T03:04:05+00:00",
        "none": None,
    }


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(texts, values, max_size=5))
def test_a_line_is_one_line_and_comes_back(row: dict[str, Any]) -> None:
    written = line(row)

    assert written.count(b"\n") == 1
    assert json.loads(written) == row


def test_a_column_that_no_step_makes_is_named() -> None:
    with pytest.raises(PlanError, match="needs column 'langage', which no earlier step makes"):
        Write(columns=("id", "langage")).build(dataset(ROWS))


@pytest.mark.parametrize("names", [(), ("id", "text", "id")])
def test_columns_are_some_and_each_is_named_once(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"columns: .* is empty, or names one twice"):
        Write(columns=names).build(dataset(ROWS))


def test_pyarrow_polars_and_datasets_read_what_the_run_kept(tmp_path: Path) -> None:
    report = run(pages(tmp_path / "in"), tmp_path / "out", write=Write(columns=("id", "text", "url", "cluster_size")))

    files = sorted((tmp_path / "out/documents").iterdir())
    rows = pa.concat_tables([pq.read_table(file) for file in files]).to_pylist()
    assert [file.name for file in files] == ["part-00000-of-00001.parquet"]
    assert [(stage.stage, stage.documents_in, stage.documents_out) for stage in report.stages] == [
        ("ingest", 8, 8),
        ("dedup", 8, 6),
        ("write", 6, 6),
    ]
    assert sorted(row["cluster_size"] for row in rows) == [1, 1, 1, 1, 2, 2]
    assert pl.read_parquet(files).to_dicts() == rows
    read = datasets.Dataset.from_parquet([str(file) for file in files], cache_dir=str(tmp_path / "cache"))
    assert read.to_list() == rows
    assert list(verify(str(tmp_path / "out"))) == []


def test_lines_and_parquet_say_the_same(tmp_path: Path) -> None:
    folder = pages(tmp_path / "in")
    run(folder, tmp_path / "parquet", write=Write())
    run(folder, tmp_path / "lines", write=Write(format="jsonl"))

    (file,) = (tmp_path / "lines/documents").iterdir()
    (other,) = (tmp_path / "parquet/documents").iterdir()
    rows = pq.read_table(other).to_pylist()
    hexed = [{key: value.hex() if isinstance(value, bytes) else value for key, value in row.items()} for row in rows]
    assert file.name == "part-00000-of-00001.jsonl.zst"
    assert [json.loads(row) for row in show_file(str(file), 2)] == lines_of(file)[:2]
    assert lines_of(file) == hexed
    assert pl.read_ndjson(zstandard.ZstdDecompressor().stream_reader(file.open("rb"), read_across_frames=True).read())[
        "text"
    ].to_list() == [row["text"] for row in rows]


def test_a_shard_of_no_documents_is_a_whole_file(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "part.jsonl.zst"), LINES)

    writer.close()

    assert zstandard.ZstdDecompressor().decompress((tmp_path / "part.jsonl.zst").read_bytes()) == b""


@pytest.mark.parametrize(("compression", "ending"), [("zstd", ""), ("snappy", ".snappy"), ("none", ".none")])
def test_parquet_is_compressed_as_it_is_asked_for(compression: Any, ending: str, tmp_path: Path) -> None:
    run(pages(tmp_path / "in"), tmp_path / "out", write=Write(compression=compression))

    path = tmp_path / f"out/documents/part-00000-of-00001{ending}.parquet"
    column = pq.read_metadata(path).row_group(0).column(0)
    assert column.compression == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())
    assert pq.read_table(path).num_rows == 6


def test_lines_are_of_zstd_alone() -> None:
    with pytest.raises(ConfigError, match="compression: snappy is of Parquet"):
        Write(format="jsonl", compression="snappy").build(dataset(ROWS))


def test_texts_have_no_statistics_and_ids_have(tmp_path: Path) -> None:
    run(pages(tmp_path / "in"), tmp_path / "out", write=Write(columns=("id", "text")))

    (file,) = (tmp_path / "out/documents").iterdir()
    group = pq.read_metadata(file).row_group(0)
    assert group.column(0).statistics.has_min_max
    assert group.column(1).statistics is None
    assert {group.column(column).compression for column in range(2)} == {"ZSTD"}


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_equal_runs_write_equal_bytes_and_a_second_one_does_nothing(form: Any, tmp_path: Path) -> None:
    folder = pages(tmp_path / "in", files=3)
    write = Write(format=form)
    first = run(folder, tmp_path / "one", write=write)
    run(folder, tmp_path / "two", write=write)
    again = run(folder, tmp_path / "one", write=write)

    one, two = (
        {file.name: file.read_bytes() for file in (tmp_path / out / "documents").iterdir()} for out in ("one", "two")
    )
    assert one == two
    assert again.made == 0
    assert again == first


def test_the_folder_of_one_run_is_not_given_to_another(tmp_path: Path) -> None:
    folder = pages(tmp_path / "in")
    run(folder, tmp_path / "out", write=Write())

    with pytest.raises(Refusal, match="holds the corpus of another config"):
        run(folder, tmp_path / "out", write=Write(format="jsonl"))
    run(folder, tmp_path / "out", write=Write(format="jsonl"), replace=True)

    assert [file.name for file in (tmp_path / "out/documents").iterdir()] == ["part-00000-of-00001.jsonl.zst"]


def test_documents_that_are_gone_are_missed_and_made_again(tmp_path: Path) -> None:
    folder = pages(tmp_path / "in")
    run(folder, tmp_path / "out", write=Write())
    (file,) = (tmp_path / "out/documents").iterdir()
    content = file.read_bytes()
    file.unlink()

    assert "is gone, so this is no corpus" in next(verify(str(tmp_path / "out")))
    run(folder, tmp_path / "out", write=Write())
    assert file.read_bytes() == content
