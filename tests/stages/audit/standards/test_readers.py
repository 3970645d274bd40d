"""What the libraries of others make of the files: mlcroissant, and `datasets` offline."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stages.audit.standards.about import About
from stages.audit.standards.files import described, put
from stages.audit.standards.known import Known
from stages.corpus.corpus import Corpus
from tests.stages.audit.standards.names import bare

pytestmark = pytest.mark.heavy


@pytest.fixture
def folder(finished: Path, known: Known, tmp_path: Path) -> Path:
    """Returns a copy of the shared run with all files that describe it."""
    copied = Path(shutil.copytree(finished, tmp_path / "corpus"))
    put(described(known), str(copied))
    return copied


def opened(folder: Path) -> Any:
    import mlcroissant

    return mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))


def test_mlcroissant_misses_the_date_and_the_citation_alone(folder: Path) -> None:
    warnings = opened(folder).metadata.ctx.issues.warnings
    missing = sorted(warning.partition('" is recommended')[0].rpartition("/")[2] for warning in warnings)

    assert version("mlcroissant") == "1.1.1"  # which the files name
    assert missing == ["citeAs", "datePublished"]


def test_mlcroissant_has_nothing_to_say_where_people_answered(folder: Path, known: Known, answered: About) -> None:
    put(described(replace(known, about=answered)), str(folder))
    dataset = opened(folder)

    assert not dataset.metadata.ctx.issues.warnings
    assert dataset.metadata.version == "1.2.3"
    assert dataset.metadata.conforms_to[0] == "http://mlcommons.org/croissant/1.1"


@pytest.mark.parametrize(("name", "files"), [("documents", "corpus/index/documents-*"), ("ledger", "ledger/part-*")])
def test_mlcroissant_reads_the_tables(folder: Path, name: str, files: str) -> None:
    rows = [row for path in sorted(folder.glob(files)) for row in pq.read_table(path).to_pylist()]
    records = list(opened(folder).records(name))

    key = "doc_id" if name == "documents" else "rule"
    assert [record[f"{name}/{key}"].decode() for record in records] == [row[key] for row in rows]


def test_mlcroissant_knows_columns_and_types_of_samples(folder: Path) -> None:
    fields = {
        field.name: field
        for record in opened(folder).metadata.record_sets
        if record.id == "samples"
        for field in record.fields
    }

    assert set(fields) == {"input_ids", "seq_lengths", "sample"}
    assert {name: field.data_type.__name__ for name, field in fields.items()} == {
        "input_ids": "int32",
        "seq_lengths": "int32",
        "sample": "int64",
    }
    assert (fields["input_ids"].is_array, fields["input_ids"].array_shape) == (True, "256")


def test_datasets_loads_what_the_card_names(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    assert version("datasets").startswith("5.2.")  # which the card names
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    corpus = Corpus.open(str(folder))

    for name, rows in loaded.items():
        assert len(rows) == corpus.split(name).total
        assert rows[0]["input_ids"] == corpus.split(name).sample(0)["input_ids"].tolist()
    assert set(loaded) == set(corpus.splits)
    lines = re.findall(r'load_dataset\("parquet", data_files="DIR/(.+?)"\)', (folder / "README.md").read_text())
    tables = [sum(pq.read_metadata(path).num_rows for path in folder.glob(line)) for line in lines]
    assert len(lines) == 2
    for line, rows in zip(lines, tables, strict=True):
        table = datasets.load_dataset("parquet", data_files=str(folder / line), cache_dir=str(tmp_path / "cache"))
        assert len(table["train"]) == rows


def test_datasets_loads_documents_alone_and_their_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    folder = tmp_path / "documents_alone"
    folder.mkdir()
    put(described(bare(folder)), str(folder))
    texts = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]["text"]
    ledger = datasets.load_dataset(str(folder), "ledger", cache_dir=str(tmp_path / "cache"))

    assert sorted(texts) == ["天地" * number for number in range(1, 5)]
    assert ledger["train"]["rule"][:] == ["zh_length"]


def test_a_browser_runs_nothing_but_the_script_of_the_page(
    folder: Path, known: Known, hostile: dict[str, bytes]
) -> None:
    from playwright.sync_api import sync_playwright

    (folder / "sheets/hostile.html").write_bytes(hostile["sheets/index.html"])
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert path is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name in ("index", "hostile"):
            page, said = browser.new_page(viewport={"width": 375, "height": 740}), list[str]()
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.on("dialog", lambda dialog, said=said: said.append(dialog.message))
            page.goto((folder / f"sheets/{name}.html").as_uri())
            page.click("button.language")

            assert page.locator("h1 small").inner_text() == "监管填报表"
            assert page.locator("#tc260 .open >> nth=0").inner_text().startswith("［待填：") or name == "hostile"
            assert page.evaluate("document.documentElement.scrollWidth") <= 375
            assert said == []
        browser.close()
