"""A generated corpus of many hosts and months with known copies: the report says what is true of it."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

import datapipe
from stages.audit.command import make
from stages.audit.model import Audit, Cell
from stages.dedup.evaluation.corpus import ORIGINAL, Corpus, Made, generate, write

CORPUS = Corpus(documents=500, hosts=40, months=6, seed=3)


@pytest.fixture(scope="module")
def made() -> list[Made]:
    """Returns the documents, and what is true of them."""
    return list(generate(CORPUS))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a run on them that keeps one of each cluster."""
    root = tmp_path_factory.mktemp("hosts")
    write(CORPUS, root / "in")
    source = {"path": str(root / "in/documents/*.jsonl.zst")}
    columns = ["id", "source", "url", "host", "crawl_time", "text", "cluster_size"]
    steps: list[Any] = [
        {"ingest": {"sources": {"web": source}}},
        "dedup",
        {"write": {"format": "parquet", "columns": columns}},
    ]
    datapipe.run({"name": "hosts", "steps": steps}, out=root / "out", executor="local")
    return root / "out"


@pytest.fixture(scope="module")
def audit(out: Path) -> Audit:
    """Returns the report on it."""
    return make(str(out), str(out), executor="local", address=None, workers=None, listener=None)


def value(audit: Audit, key: str) -> Cell:
    return next(figure.value for section in audit.sections for figure in section.figures if figure.key == key)


def rows(audit: Audit, key: str) -> list[dict[str, Cell]]:
    table = next(table for section in audit.sections for table in section.tables if table.key == key)
    return [dict(zip([column.key for column in table.columns], row, strict=True)) for row in table.rows]


def host(url: str) -> str:
    return urlsplit(url).netloc


def documents(out: Path) -> list[dict[str, Any]]:
    return [row for file in sorted((out / "documents").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def ledger(out: Path) -> list[dict[str, Any]]:
    files = sorted((out / "ledger").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist() if row["action"] == "duplicate_of"]


def test_all_documents_and_hosts_are_counted(audit: Audit, made: list[Made], out: Path) -> None:
    hosts = Counter(host(row.url) for row in made)

    assert value(audit, "funnel.came") == len(made) == 500
    assert value(audit, "hosts.came") == len(hosts)
    assert value(audit, "hosts.number") == len({row["host"] for row in documents(out)})
    came = {row["host"]: row["came"] for row in rows(audit, "hosts.top")}
    assert all(came[name] == hosts[name] for name, _ in hosts.most_common(5))


def test_the_effective_number_of_hosts_is_that_of_what_stayed(audit: Audit, out: Path) -> None:
    sizes = Counter(row["host"] for row in documents(out))
    total = sum(sizes.values())
    entropy = -math.fsum(size / total * math.log(size / total) for size in sizes.values())
    largest = sorted(sizes.values(), reverse=True)

    assert value(audit, "hosts.effective.documents") == pytest.approx(math.exp(entropy), rel=1e-5)
    assert value(audit, "hosts.top10.documents") == pytest.approx(sum(largest[:10]) / total, rel=1e-5)


def test_known_copies_have_left_and_no_original_without_them(audit: Audit, made: list[Made], out: Path) -> None:
    near = sum(row.kind != ORIGINAL and row.jaccard >= 0.85 for row in made)  # well above the threshold of 0.8
    copies = sum(row.kind != ORIGINAL for row in made)

    removed = value(audit, "duplicates.removed")

    assert isinstance(removed, int)
    assert near <= removed <= copies
    assert removed == len(ledger(out))
    assert [row["documents"] for row in rows(audit, "duplicates.steps")] == [
        amount for _, amount in sorted(Counter(row["rule"] for row in ledger(out)).items())
    ]
    assert value(audit, "duplicates.residual") == 0


def test_the_largest_cluster_is_that_of_what_stayed(audit: Audit, out: Path) -> None:
    sizes = Counter(row["other"] for row in ledger(out))

    assert value(audit, "duplicates.largest") == 1 + max(sizes.values())
    assert [row["size"] for row in rows(audit, "duplicates.top")][:3] == [
        1 + amount for _, amount in sizes.most_common(3)
    ]


def test_copies_from_other_hosts_are_told_from_those_of_the_same(audit: Audit, out: Path) -> None:
    hosts = {row["id"]: row["host"] for row in documents(out)}
    met = [host(row["url"]) != hosts[row["other"]] for row in ledger(out)]

    assert value(audit, "duplicates.other_host") == pytest.approx(sum(met) / len(met), rel=1e-5)


def test_each_month_is_told(audit: Audit, made: list[Made]) -> None:
    assert len(rows(audit, "sizes.months")) == len({row.month for row in made}) == 6
