"""Classifiers: how right they are on labelled texts, and how fast, beside fastText's own prediction.

    python tests/bench/bench_classify.py [--rounds N]

Rightness: models of both kinds are trained on COLDataset (its own split) and Davidson (a tenth held out) as a user
would train them, and fastText on the same lines as they come, cut by nothing but blanks; the shipped quality model
parts main texts from what else pages show, on sources that it did not learn from (its card says what was chosen on
them). Speed: MB of UTF-8 a second of CPU,
in one process, the least of the rounds; ours with the cut, fastText's prediction of whole texts that were cut before.
Documents are texts of 3 KB, read whole, then long ones of which 4,000 characters are read.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard

from datapipe import resource
from stages.classify import bag, classifier, train_classifier
from stages.classify.bag import LibraryModel, Settings
from stages.classify.card import Figures
from stages.classify.cut import cut
from stages.classify.make_model import table
from stages.classify.model import Classifier, rounded
from stages.language import fasttext

SHARED = Path(os.environ.get("DATAPIPE_SHARED", "../shared"))
QUALITY = SHARED / "data" / "quality"
SETS = {
    "COLDataset": (
        QUALITY / "coldataset/COLDataset/train.csv",
        QUALITY / "coldataset/COLDataset/test.csv",
        "TEXT",
        "label",
        "1",
    ),
    "Davidson": (QUALITY / "davidson/data/labeled_data.csv", None, "tweet", "class", "2"),
}
CORPORA = {"eng": "kubernetes-docs-versions", "zho": "prc-laws"}
BYTES = 12_000_000  # of each language
TARGETS = {"fasttext": 40, "hashed": 150}  # MB/s of text as read


def trained(folder: Path) -> Iterator[str]:
    """Yields the table of the users' models, training them into `folder`."""
    yield "| data | label | model | texts | precision | recall | F1 | AUC | ECE |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, (data, test, text, label, positive) in SETS.items():
        for kind in ("fasttext", "hashed"):
            out = str(folder / f"{name}.{kind}")
            judged = train_classifier(
                out, [str(data)], label, text=text, test=[str(test)] if test else None, kind=kind, licence="see data"
            )
            yield row(name, positive, f"ours, {kind}", judged.figures[positive])
            for other in judged.labels if len(judged.labels) > 2 else ():
                if other != positive:
                    yield row(name, other, f"ours, {kind}", judged.figures[other])
    yield plain_fasttext(folder)


def plain_fasttext(folder: Path) -> str:
    """Returns the row of fastText on COLDataset as it comes: what one gets without a cut."""
    data, test, text, label, positive = SETS["COLDataset"]
    model = folder / "plain.bin"
    lines, labels = rows(data, text, label)
    model.write_bytes(bag.train(lines, labels, Settings()))
    lines, labels = rows(test, text, label)
    how = LibraryModel(fasttext.load(resource(str(model))))
    scores = how.probabilities(pa.array(lines))[:, how.labels.index(positive)]
    figures = Figures.of(np.minimum(scores, 1.0), np.array([one == positive for one in labels]))
    return row("COLDataset", positive, "fastText, not cut", figures)


def rows(file: Path | None, text: str, label: str) -> tuple[list[str], list[str]]:
    """Returns texts, on one line each, and labels of a CSV file."""
    assert file is not None
    with file.open(encoding="utf-8-sig", newline="") as lines:
        held = list(csv.DictReader(lines))
    return [" ".join(one[text].split()) for one in held], [one[label] for one in held]


def row(data: str, label: str, model: str, told: Figures) -> str:
    """Returns a row of the table."""
    shares = " | ".join(f"{value:.3f}" for value in (told.precision, told.recall, told.f1, told.auc, told.error))
    return f"| {data} | {label} | {model} | {told.texts:,} | {shares} |"


def speed(folder: Path, rounds: int) -> Iterator[str]:
    """Yields the table of speeds."""
    ours = {kind: classifier(str(folder / f"COLDataset.{kind}")) for kind in TARGETS}
    library = LibraryModel(fasttext.load(resource(str(folder / "COLDataset.fasttext"))))
    yield "| texts | hashed | fasttext | fastText's predict | fasttext / predict |"
    yield "|---|---|---|---|---|"
    for language, corpus in CORPORA.items():
        for name, texts in documents(corpus).items():
            size = sum(len(text.encode()) for text in texts.to_pylist()) / 1e6
            seconds = {kind: least(partial(read, texts, how), rounds) for kind, how in ours.items()}
            plain = least(partial(library.probabilities, cut(texts)), 1)
            cells = " | ".join(f"{size / seconds[kind]:.0f}" for kind in ("hashed", "fasttext"))
            yield f"| {language} {name} | {cells} | {size / plain:.0f} | {plain / seconds['fasttext']:.1f} x |"
    yield f"\nMB/s of CPU; at least {TARGETS['hashed']} and {TARGETS['fasttext']} are wanted."


def read(texts: pa.Array, how: Classifier) -> pa.Array:
    """Returns what the step would add."""
    return rounded(how.probabilities(texts)[:, 0])


def documents(corpus: str) -> dict[str, pa.Array]:
    """Returns texts of 2-4 KB, and long ones."""
    import json

    with zstandard.open(SHARED / f"data/corpora/{corpus}.jsonl.zst", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    short = [
        text[at : at + 1200 if corpus == "prc-laws" else at + 3000]
        for text in texts
        for at in range(0, len(text), 3000)
    ]
    long = [text for text in texts if len(text) > 12_000]
    return {"short, whole": _some(short), "long, 4,000 characters of each": _some(long)}


def _some(texts: list[str]) -> pa.Array:
    held, size = [], 0
    for text in texts:
        if size > BYTES:
            break
        held.append(text)
        size += len(text.encode())
    return pa.array(held, pa.large_string())


def least(call: Callable[[], object], rounds: int) -> float:
    """Returns the least CPU seconds of some calls, the first, which compiles, left out."""
    found = []
    for _ in range(rounds + 1):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found[1:])


def main() -> None:
    """Prints the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    rounds = options.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="datapipe-bench-") as place:
        folder = Path(place)
        print("\n".join(trained(folder)), end="\n\n", flush=True)
        print("The shipped quality model on other sources:\n")
        print("\n".join(table(SHARED, "quality")), end="\n\n", flush=True)
        print("\n".join(speed(folder, rounds)))


if __name__ == "__main__":
    main()
