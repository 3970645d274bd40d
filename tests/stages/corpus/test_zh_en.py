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


@pytest.mark.long
def test_documents_that_trace_names_are_found_where_it_says(run: Path) -> None:
    table = pyarrow.dataset.dataset(str(run / "documents"), format="parquet").to_table()
    ids, texts = (table.column(name).to_pylist() for name in ("id", "text"))
    known = {own.hex(): text for own, text in zip(ids, texts, strict=True)}
    seq_len = Corpus.open(str(run)).seq_len or 0

    for batches, size in RANGES:
        begun = time.process_time()
        rows = traced(run, "--batches", batches, "--batch-size", size)
        seconds = time.process_time() - begun
        held = hold(run, rows, known)
        first, last = (Batches.parse(size).first(int(side)) for side in batches.split(":"))
        print(f"batches {batches} of {size}: {held}, traced in {seconds:.2f} CPU s")
        assert held.samples == last - first
        assert held.tokens + held.padding == held.samples * seq_len
