"""`trace` on the corpus of configs/zh_en.yaml: what it names is found at those positions."""

import time
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest
import yaml

import datapipe
from stages.corpus import Corpus
from stages.corpus.batches import Batches
from tests.stages.corpus.truth import hold, traced

CONFIG = Path(__file__).parents[3] / "configs" / "zh_en.yaml"
RANGES = [("0:16", "32"), ("40:44", "16x20,32x10,64"), ("60:62", "64")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    """The corpus, with the documents as they come to tokenize beside it."""
    folder = tmp_path_factory.mktemp("zh_en")
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text().replace("${DATAPIPE_SHARED:-../shared}", str(shared)))
    names = [step if isinstance(step, str) else next(iter(step)) for step in config["steps"]]
    config["steps"].insert(names.index("tokenize"), {"write": {"columns": ["id", "text"]}})
    (folder / "zh_en.yaml").write_text(yaml.safe_dump(config))
    datapipe.run(str(folder / "zh_en.yaml"), out=folder / "out", executor="ray")
    return folder / "out"


def texts(run: Path) -> dict[str, str]:
    """The text of each document as it was encoded, by id."""
    table = pyarrow.dataset.dataset(str(run / "documents"), format="parquet").to_table()
    ids, found = (table.column(name).to_pylist() for name in ("id", "text"))
    return {own.hex(): text for own, text in zip(ids, found, strict=True)}


@pytest.mark.long
def test_documents_that_trace_names_are_found_where_it_says(run: Path) -> None:
    known, seq_len = texts(run), Corpus.open(str(run)).seq_len or 0

    for batches, size in RANGES:
        begun = time.process_time()
        rows = traced(run, "--batches", batches, "--batch-size", size)
        seconds = time.process_time() - begun
        held = hold(run, rows, known)
        first, last = (Batches.parse(size).first(int(side)) for side in batches.split(":"))
        print(f"batches {batches} of {size}: {held}, traced in {seconds:.2f} CPU s")
        assert held.samples == last - first
        assert held.tokens + held.padding == held.samples * seq_len


@pytest.mark.long
@pytest.mark.parametrize("split", ["train", "validation"])
def test_every_piece_of_the_corpus_is_found_where_trace_says(run: Path, split: str) -> None:
    held = hold(run, traced(run, "--samples", ":", "--split", split), texts(run), split)
    said = Corpus.open(str(run)).manifest["splits"][split]

    print(f"{split}: {held}")
    assert (held.samples, held.tokens, held.padding) == (said["samples"], said["tokens"], said["padding"])
