"""Path lists and tables of a source that lie in a store."""

import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import serve

from datapipe import ConfigError, storage
from datapipe.testing import evaluate
from stages.ingest import Ingest, SourceConfig
from stages.ingest.paths import listed_files
from tests.stages.ingest.archives import html, http, record, rows


def test_reads_the_files_that_a_list_names_in_a_store(folder: str) -> None:
    names = [f"crawl-data/{number}.warc.gz" for number in range(3)]
    for number, name in enumerate(names):
        storage.put(f"{folder}/{name}", gzip.compress(record(http(html(number)), number)))
    elsewhere = f"{folder}/{names[2]}"
    storage.put(f"{folder}/lists/warc.paths.gz", gzip.compress("\n".join([*names[:2], elsewhere]).encode()))

    config = SourceConfig(path_list=f"{folder}/lists/warc.paths.gz", root=f"{folder}/")
    result = evaluate(Ingest(sources={"cc": config}).build())

    assert [row["file"] for row in rows(result)] == [*names[:2], elsewhere]
    assert [row["title"] for row in rows(result)] == ["标题0", "标题1", "标题2"]


def test_asks_for_the_taken_files_alone(folder: str, store: serve.Store) -> None:
    names = [f"{number:03}.jsonl" for number in range(40)]
    storage.put(f"{folder}/list", "\n".join(names).encode())
    for name in names[::10]:
        storage.put(f"{folder}/{name}", b'{"text": "x"}')
    store.reset()

    files = listed_files(f"{folder}/list", take=4)

    assert [file.name for file in files] == names[::10]
    assert sum(method == "HEAD" for method, *_ in store.requests()) <= 4


def test_names_a_file_of_a_list_that_is_not_in_the_store(folder: str) -> None:
    storage.put(f"{folder}/list", b"here.jsonl\nnot-here.jsonl\n")
    storage.put(f"{folder}/here.jsonl", b'{"text": "x"}')

    with pytest.raises(ConfigError, match=r"list: names a file that cannot be used: .*not-here\.jsonl"):
        listed_files(f"{folder}/list")


def test_reads_tables_from_a_store(folder: str) -> None:
    table = pa.table({"text": [f"text {number}" for number in range(20)]})
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet, row_group_size=6)
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write_table(table, max_chunksize=6)
    storage.put(f"{folder}/a.parquet", parquet.getvalue())
    storage.put(f"{folder}/b.arrow", arrow.getvalue())

    for name in ("a.parquet", "b.arrow"):
        result = evaluate(Ingest(sources={"web": SourceConfig(path=f"{folder}/{name}")}).build())

        assert [row["text"] for row in rows(result)] == table.column("text").to_pylist()
        assert result.ledger.num_rows == 0
