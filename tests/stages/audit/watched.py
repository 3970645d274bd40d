"""A small pipeline with a rule that takes short documents, run while somebody looks."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa

from datapipe import ID, Dataset, InputFile, Report, Source, Stage, Work, concat, storage
from datapipe.dataset import Batches
from datapipe.graph import Pipeline
from datapipe.local import Local
from datapipe.publish import Place
from datapipe.run import Silent, run_pipeline
from datapipe.status import status
from datapipe.task import Outcome, Task
from stages.write import Write

PATIENCE_SECONDS = 60.0
LANGUAGES = ("eng_Latn", "zho_Hans", "zho_Hant")
GIVEN = pa.schema(
    [("id", ID), ("source", pa.string()), ("host", pa.string()), ("language", pa.string()), ("text", pa.string())]
)


@dataclass(frozen=True, kw_only=True)
class Given(Stage):
    """Documents from lines of files: host, language and text between tabs; a file a shard, a source a folder."""

    folder: Annotated[str, "of folders"]

    def build(self, *inputs: Dataset) -> Dataset:
        folders = sorted(Path(self.folder).iterdir())
        read = {folder.name: storage.find_files(f"{folder}/*.tsv") for folder in folders}
        groups = {name: tuple((file,) for file in files) for name, files in read.items()}
        made = [Dataset(Source(name, partial(read_lines, source=name), its), GIVEN) for name, its in groups.items()]
        return concat(made)


def read_lines(files: Sequence[InputFile], work: Work, source: str) -> Batches:
    """Yields the documents of files."""
    for file in files:
        rows = []
        for number, line in enumerate(Path(file.url).read_text().splitlines()):
            host, language, text = line.split("\t")
            key = hashlib.blake2b(f"{source} {file.name} {number}".encode(), digest_size=16).digest()
            rows.append({"id": key, "source": source, "host": host, "language": language, "text": text})
        yield pa.RecordBatch.from_pylist(rows, schema=GIVEN)


@dataclass(frozen=True, kw_only=True)
class Few(Stage):
    """Drops documents of few words."""

    least: Annotated[int, "words"] = 2

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(partial(drop_few, least=self.least), reads=("text",))


def drop_few(batches: Batches, work: Work, least: int) -> Batches:
    """Drops documents of fewer words than `least`."""
    for batch in batches:
        words = np.array([len(text.split()) for text in batch.column("text").to_pylist()])
        yield work.drop(batch, words < least, rule="few", value=words, limit=least)


def write_documents(folder: Path, shards: int, documents: int = 100, *, seed: int = 0, sources: int = 2) -> str:
    """Writes documents of one to ten words, the same number of each in every file, in an order of the seed."""
    rng = np.random.default_rng(seed)
    for number in range(shards):
        place = folder / f"source{number % sources}"
        place.mkdir(parents=True, exist_ok=True)
        lines = [
            f"h{one % 7}.example\t{LANGUAGES[one % 3]}\t{' '.join(['word'] * (1 + one % 10))}"
            for one in range(documents)
        ]
        rng.shuffle(lines)
        (place / f"{number:03}.tsv").write_text("\n".join(lines) + "\n")
    return str(folder)


class After(Silent):
    """A listener that does something once, when so many tasks are done and the driver has said so."""

    def __init__(self, out: Path, tasks: int, does: Callable[[], object]) -> None:
        self.out, self.tasks, self.does, self.done = out, tasks, does, 0

    def finished(self, task: Task, outcome: Outcome) -> None:
        self.done += 1
        if self.done == self.tasks:
            end = time.monotonic() + PATIENCE_SECONDS
            while status(str(self.out)).driver.get("wave", {}).get("done", 0) < self.tasks:
                assert time.monotonic() < end, "the driver never said so"
                time.sleep(0.01)
            self.does()


def run(folder: str, out: Path, least: int = 2, listener: Silent | None = None, **place: bool) -> Report:
    """Runs the pipeline into `out`."""
    stages: list[tuple[str, Stage, Dataset]] = []
    for name, stage in (("given", Given(folder=folder)), ("few", Few(least=least)), ("write", Write())):
        stages.append((name, stage, stage.build(*(stages[-1][2:] if stages else ()))))
    where = Place(str(out), str(out / "work"), **place)
    return run_pipeline(Pipeline("watched", tuple(stages)), where, Local(), "0", listener)
