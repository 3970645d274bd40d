"""Training of classifiers: the commands `datapipe train quality` and `datapipe train classifier`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from datapipe import resource
from datapipe.errors import ConfigError
from datapipe.storage import given, put
from stages.classify import bag, hashed
from stages.classify.card import Judged, card, judge
from stages.classify.cut import CUT
from stages.classify.data import CALIBRATE, LEARN, Example, Examples, File, part, read
from stages.classify.measures import platt
from stages.classify.model import CHARACTERS, Classifier, classifier, logits

GOOD, BAD = "good", "bad"
EPOCHS = 5
# Steepest steps. Of .02 to .8, and .05 to .5 for fastText, best in the mean AUC on COLDataset's dev split and the part
# of Davidson that calibrates; what the benchmark judges by was left out.
RATES = {"fasttext": 0.25, "hashed": 0.2}

Out = Annotated[str, typer.Argument(help="the model; its calibration goes to OUT.json, its card to OUT.md")]
Text = Annotated[str, typer.Option(help="column or key of the text")]
Kind = Annotated[
    str, typer.Option(help="fasttext (holds the words of its texts), or hashed (holds none; ours, a byte a weight)")
]
Test = Annotated[list[str] | None, typer.Option(help="files to judge by, in place of a tenth of the texts")]
Licence = Annotated[str, typer.Option(help="licence of the texts, for the card")]
Characters = Annotated[int, typer.Option(help="how much of a text is read, in 4 parts spread over it")]
Balance = Annotated[bool, typer.Option(help="learn from as many texts of each label as the rarest has")]
Bits = Annotated[int, typer.Option(help="2^BITS buckets of n-grams")]
Epochs = Annotated[int, typer.Option(help="how often each text is learnt from")]
Rate = Annotated[float | None, typer.Option(help="steepest step; 0.25 for fasttext, 0.2 for hashed")]
Ngrams = Annotated[int, typer.Option(help="longest n-gram of words and Han characters (fasttext)")]
Dim = Annotated[int, typer.Option(help="size of a vector (fasttext)")]


@dataclass(frozen=True)
class Shape:
    """What kind of model, and how it learns."""

    kind: str
    characters: int
    balance: bool
    bits: int
    epochs: int
    rate: float | None
    ngrams: int
    dim: int

    def check(self) -> None:
        """Raises ConfigError where a value is out of its range."""
        if self.kind not in RATES:
            raise ConfigError(f"--kind {self.kind}: is neither fasttext nor hashed")
        if self.rate is not None and not self.rate > 0:
            raise ConfigError(f"--rate {self.rate}: is not above 0")
        for name, value, least, most in (
            ("characters", self.characters, 100, 10**7),
            ("bits", self.bits, 8, 26),
            ("epochs", self.epochs, 1, 1000),
            ("ngrams", self.ngrams, 1, 5),
            ("dim", self.dim, 1, 1024),
        ):
            if not least <= value <= most:
                raise ConfigError(f"--{name} {value}: is not between {least} and {most}")

    def told(self) -> dict[str, object]:
        """Returns the settings that count for this kind."""
        common = {"kind": self.kind, "characters": self.characters, "balance": self.balance, "buckets": 1 << self.bits}
        steps = {"epochs": self.epochs, "rate": self.rate or RATES[self.kind]}
        return common | steps | ({"ngrams": self.ngrams, "dim": self.dim} if self.kind == "fasttext" else {})


def train_quality(
    out: Out,
    positive: Annotated[list[str], typer.Option(help="texts to be kept: JSONL, CSV, TSV, Parquet, .txt, or a folder")],
    negative: Annotated[list[str], typer.Option(help="texts not to be kept, as --positive")],
    text: Text = "text",
    kind: Kind = "fasttext",
    licence: Licence = "not stated",
    characters: Characters = CHARACTERS,
    balance: Balance = False,
    bits: Bits = 18,
    epochs: Epochs = EPOCHS,
    rate: Rate = None,
    ngrams: Ngrams = 2,
    dim: Dim = 64,
) -> Judged:
    """Train a quality model: OUT scores `good` (--positive) against `bad` (--negative), with calibration and card.

    Texts are cut as documents are when they are scored: Chinese by character. A tenth of the texts, by digest,
    calibrates, a tenth judges; copies are left out. Equal texts give equal bytes.

    Raises:
        ConfigError: a file cannot be read, or the texts are too few.
    """
    shape = Shape(kind, characters, balance, bits, epochs, rate, ngrams, dim)
    shape.check()
    rows = [*read(positive, text, None, GOOD), *read(negative, text, None, BAD)]
    return _made(out, rows, [], shape, licence, GOOD)


def train_classifier(
    out: Out,
    data: Annotated[list[str], typer.Option(help="labelled texts: JSONL, CSV, TSV, Parquet, or a folder")],
    label: Annotated[str, typer.Option(help="column or key of the label")],
    text: Text = "text",
    test: Test = None,
    kind: Kind = "fasttext",
    licence: Licence = "not stated",
    characters: Characters = CHARACTERS,
    balance: Balance = False,
    bits: Bits = 18,
    epochs: Epochs = EPOCHS,
    rate: Rate = None,
    ngrams: Ngrams = 2,
    dim: Dim = 64,
) -> Judged:
    """Train a classifier of labelled texts (toxicity, topic, machine-written text), with calibration and card.

    Texts are cut as documents are when they are scored: Chinese by character. A tenth of the texts, by digest,
    calibrates, a tenth judges unless --test gives others; copies are left out. Equal texts give equal bytes.

    Raises:
        ConfigError: a file cannot be read, has one label alone, or the texts are too few.
    """
    shape = Shape(kind, characters, balance, bits, epochs, rate, ngrams, dim)
    shape.check()
    rows, tests = list(read(data, text, label)), list(read(test or [], text, label))
    return _made(out, rows, tests, shape, licence, None)


def _made(
    out: str,
    rows: Sequence[tuple[File, str, str]],
    tests: Sequence[tuple[File, str, str]],
    shape: Shape,
    licence: str,
    positive: str | None,
) -> Judged:
    """Writes the model, its calibration and its card; returns what the card says of it."""
    examples = part([row[1:] for row in rows], [row[1:] for row in tests], shape.characters, balance=shape.balance)
    _check(examples, shape)
    place = given(out)
    put(place, _model(examples, shape))
    file = resource(out)
    told = {
        "format": "datapipe classifier calibration",
        "model_sha256": file.sha256,
        "cut": CUT,
        "characters": shape.characters,
        "labels": examples.labels(),
        "calibration": _calibration(Classifier(file, True, shape.characters), examples.parts[CALIBRATE]),
    }
    put(f"{place}.json", (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode())
    judged = judge(classifier(out), Classifier(file, True, shape.characters), examples, positive)
    files = list(dict.fromkeys(row[0] for row in (*rows, *tests)))
    put(f"{place}.md", card(out, judged, examples, files, shape.told(), licence).encode())
    return judged


def _check(examples: Examples, shape: Shape) -> None:
    labels = examples.labels()
    if len(labels) < 2:
        raise ConfigError(f"needs texts of two labels or more to learn from, all are '{''.join(labels)}'")
    for role, some in examples.parts.items():
        for label in labels:
            if not any(example.label == label for example in some):
                raise ConfigError(
                    f"too few texts: none of '{label}' is left to {role} by after {examples.copies} copies and "
                    f"{examples.torn} texts of two labels are left out; give 100 or more of each label"
                )
    if shape.kind == "fasttext":
        for label in labels:
            if len(label.split()) != 1:
                raise ConfigError(
                    f"label '{label}': fastText takes no blanks in labels; rename it or use --kind hashed"
                )


def _model(examples: Examples, shape: Shape) -> bytes:
    learnt, labels = examples.parts[LEARN], examples.labels()
    rate = shape.rate or RATES[shape.kind]
    if shape.kind == "hashed":
        texts = pa.array([example.cut for example in learnt], pa.large_string())
        targets = np.array([labels.index(example.label) for example in learnt], np.int64)
        return hashed.dump(hashed.learn(texts, targets, labels, bits=shape.bits, epochs=shape.epochs, rate=rate))
    settings = bag.Settings(dim=shape.dim, wordNgrams=shape.ngrams, epoch=shape.epochs, lr=rate, bucket=1 << shape.bits)
    return bag.train([example.cut for example in learnt], [example.label for example in learnt], settings)


def _calibration(how: Classifier, examples: Sequence[Example]) -> dict[str, list[float]]:
    """Returns Platt's a and b by label."""
    chances = how.probabilities(pa.array([example.text for example in examples], pa.large_string()))
    names = np.array([example.label for example in examples], object)
    found = {}
    for place, label in enumerate(how.labels):
        found[label] = [round(value, 6) for value in platt(logits(chances[:, place]), names == label)]
    return found
