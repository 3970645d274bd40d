"""What a new classifier is worth, measured on texts it has not seen, and the card that says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from datapipe import ID, Dataset, InputFile, StageError, Work, resource
from datapipe.dataset import Map, Source
from stages.classify.data import CALIBRATE, JUDGE, LEARN, Examples, File
from stages.classify.measures import Scores, Truth, auc, calibration_error, kept_from, pareto
from stages.classify.model import Classifier
from stages.language import Language

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
ALPHAS = (3.0, 9.0)  # GPT-3's draw has 9
FEWEST = 20  # texts of a language, or of a label in it, that a row of the card speaks of


@dataclass(frozen=True)
class Figures:
    """How right the scores of a label are over some texts, `right` of them of the label; NaN where all or none are."""

    texts: int
    right: int
    precision: float
    recall: float
    f1: float
    auc: float
    error: float  # of calibration

    @classmethod
    def of(cls, scores: Scores, truth: Truth) -> Figures:
        """Returns the figures of scores, precision and recall at one half."""
        at = kept_from(scores, truth, 0.5)
        error = calibration_error(scores, truth)
        return cls(len(truth), int(truth.sum()), at.precision, at.recall, at.f1, auc(scores, truth), error)


@dataclass(frozen=True)
class Judged:
    """What held-out texts say of a classifier.

    By label: `scores` of all texts and whether they are `truth`; `figures`, and `raw_error`, the calibration error
    before calibration; `languages`: figures by label and language. `accuracy` is of the likeliest label.
    """

    labels: tuple[str, ...]
    positive: str | None
    accuracy: float
    scores: Mapping[str, Scores]
    truth: Mapping[str, Truth]
    figures: Mapping[str, Figures]
    raw_error: Mapping[str, float]
    languages: Mapping[tuple[str, str], Figures]

    @property
    def told(self) -> tuple[str, ...]:
        """The labels that the card speaks of: one of two says all."""
        return (self.positive,) if self.positive else self.labels[1:] if len(self.labels) == 2 else self.labels


def judge(how: Classifier, raw: Classifier, examples: Examples, positive: str | None) -> Judged:
    """Returns what the held-out examples say of the classifier `how`; `raw` is the same without calibration."""
    held = examples.parts[JUDGE]
    texts = pa.array([example.text for example in held], pa.large_string())
    names = np.array([example.label for example in held], object)
    chances, before = how.probabilities(texts), raw.probabilities(texts)
    scores = {label: chances[:, place] for place, label in enumerate(how.labels)}
    truth = {label: names == label for label in how.labels}
    raw_error = {label: calibration_error(before[:, place], truth[label]) for place, label in enumerate(how.labels)}
    right = np.array(how.labels, object)[chances.argmax(axis=1)] == names
    languages = _languages(texts)
    by_language = {}
    for label in how.labels:
        for language in sorted(set(languages)):
            mine = np.array([one == language for one in languages])
            if FEWEST <= truth[label][mine].sum() <= mine.sum() - FEWEST:
                by_language[label, language] = Figures.of(scores[label][mine], truth[label][mine])
    figures = {label: Figures.of(scores[label], truth[label]) for label in how.labels}
    return Judged(how.labels, positive, float(right.mean()), scores, truth, figures, raw_error, by_language)


def _languages(texts: pa.Array) -> list[str]:
    """Returns the language of each text, by the language step."""
    rows = pa.record_batch({"id": pa.array([bytes(16)] * len(texts), ID), "text": texts})
    made = Language().build(Dataset(Source("texts", _nothing, ()), rows.schema)).op
    if not isinstance(made, Map):
        raise StageError("the language step is no longer one map over the documents")
    return [name for batch in made.function(iter([rows]), Work(0)) for name in batch.column("language").to_pylist()]


def _nothing(files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
    """Yields nothing: the texts are handed to the step."""
    yield from ()


def card(
    path: str, judged: Judged, examples: Examples, files: Sequence[File], settings: Mapping[str, object], licence: str
) -> str:
    """Returns the card of a classifier as Markdown."""
    file = resource(path)
    held = "the words of its texts" if settings["kind"] == "fasttext" else "no words and no text, but hashes' weights"
    return "\n".join(
        [
            f"# {Path(path).name}",
            "",
            f"Classifier of datapipe with the labels {', '.join(judged.labels)}; it holds {held}.",
            "",
            f"- file: {len(file.read()):,} bytes, SHA-256 `{file.sha256}`",
            f"- settings: {', '.join(f'{name} {value}' for name, value in settings.items())}",
            f"- licence of the texts: {licence}",
            f"- reads {settings['characters']:,} characters of a document, in four parts spread over it",
            "",
            "## Held-out texts",
            "",
            *_figures(judged),
            "",
            *_thresholds(judged),
            "## Texts",
            "",
            *_texts(examples, files),
            "",
            "## Limits",
            "",
            *_limits(judged, examples),
            "",
        ]
    )


def _figures(judged: Judged) -> Iterator[str]:
    yield f"Accuracy of the likeliest label {judged.accuracy:.3f}. Precision, recall and F1 at a probability of 0.5;"
    yield "ECE is the expected calibration error over ten bins, after calibration, and before it in brackets."
    yield ""
    yield "| label | language | texts | of the label | precision | recall | F1 | AUC | ECE |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for label in judged.told:
        yield _row(label, "all", judged.figures[label], f" ({judged.raw_error[label]:.3f})")
        for (name, language), figures in judged.languages.items():
            if name == label:
                yield _row(label, language, figures, "")


def _row(label: str, language: str, told: Figures, more: str) -> str:
    shares = " | ".join(f"{value:.3f}" for value in (told.precision, told.recall, told.f1, told.auc, told.error))
    return f"| {label} | {language} | {told.texts:,} | {told.right:,} | {shares}{more} |"


def _thresholds(judged: Judged) -> Iterator[str]:
    for label in judged.told:
        scores, truth = judged.scores[label], judged.truth[label]
        yield f"## What a threshold on `{label}` keeps"
        yield ""
        yield "| from | of all | precision | recall |"
        yield "|---|---|---|---|"
        for threshold in THRESHOLDS:
            at = kept_from(scores, truth, threshold)
            yield f"| {threshold} | {at.share:.3f} | {at.precision:.3f} | {at.recall:.3f} |"
        for alpha in ALPHAS if judged.positive else ():
            kept = pareto(scores, alpha), pareto(scores[truth], alpha), pareto(scores[~truth], alpha)
            shares = "{:.3f} of all, {:.3f} of those of the label, {:.3f} of the others".format(*kept)
            yield f"{'' if alpha > ALPHAS[0] else chr(10)}A Pareto draw of alpha {alpha:g} keeps {shares}, on average."
        yield ""


def _texts(examples: Examples, files: Sequence[File]) -> Iterator[str]:
    yield "| file | SHA-256 | texts by label |"
    yield "|---|---|---|"
    for file in files:
        counts = ", ".join(f"{label} {count:,}" for label, count in file.counts)
        yield f"| {file.name} | `{file.sha256[:16]}…` | {counts} |"
    yield ""
    uses = {LEARN: "learnt from", CALIBRATE: "calibrated by", JUDGE: "judged by"}
    for role, use in uses.items():
        amounts = {label: sum(one.label == label for one in examples.parts[role]) for label in examples.labels()}
        yield f"- {use}: {', '.join(f'{label} {count:,}' for label, count in amounts.items())}"
    yield (
        f"- left out: {examples.copies:,} copies, {examples.torn:,} under two labels, {examples.empty:,} empty, "
        f"{examples.seen:,} that stand among the texts to judge by"
    )


def _limits(judged: Judged, examples: Examples) -> Iterator[str]:
    labels = [example.label for example in examples.parts[CALIBRATE]]
    shares = ", ".join(f"`{label}` {labels.count(label) / len(labels):.2f}" for label in judged.told)
    yield f"- Probabilities hold where labels are as frequent as among the texts that calibrate: {shares}."
    yield "- Files of training have much in common: on other sources it is worth less. Judge it there before it drops."
    yield "- It knows the surface of texts (words, characters, signs), not whether they are true."
