"""The language step: each document gets its language, score, script and the shares of the languages in it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datapipe import Dataset, Resource, Stage, Work, resource
from datapipe.errors import ConfigError
from stages.language import fasttext, model
from stages.language.decide import Shares, decide, han_of, script_of, settle_cantonese, settle_classical
from stages.language.names import LABEL, MIXED, UNDETERMINED, fits, label_of, language_of
from stages.language.pieces import GROUPS, HANS, cut
from stages.language.spans import spans
from stages.language.tables import SCRIPTS
from stages.rewrite import with_columns
from stages.schema import LANGUAGE

DEFAULT_MODEL = Path(__file__).with_name("default.model")
FEWEST_LETTERS = 10  # a Han character counts as two; below, a document is `und`
BEST = 5  # languages that a model tells of a piece
ROWS_AT_ONCE = 1024  # of a batch, so that what the model tells stays small
_HAN = (None, "Hans", "Hant")
_SCRIPT_NAMES = {**dict(enumerate(SCRIPTS)), -1: "Hans", -2: "Hant", -3: "Jpan"}


@dataclass(frozen=True, kw_only=True)
class Language(Stage):
    """Identifies language and script, and keeps the documents of some languages."""

    version: ClassVar[int] = 3
    libraries: ClassVar[tuple[str, ...]] = ("fasttext-modern",)

    model: Annotated[
        str | None, "a fastText model (lid.176, GlotLID) or one of `datapipe train language`; null: ours"
    ] = None
    letters: Annotated[int, "how much of a document the model reads, spread over it (letters)"] = 500
    mixed_share: Annotated[float, "a document is `mixed` where no language has this share of its letters"] = 0.7
    span_share: Annotated[
        float, "a document in which a second language has this share of the letters gets `language_spans`"
    ] = 0.1
    keep: Annotated[tuple[str, ...] | None, "labels whose documents stay (`zho` is any script of it); null: all"] = None
    min_score: Annotated[float, "a language of a lower score is `und`"] = 0.0

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents with the columns of `LANGUAGE`, without those whose language is not kept."""
        self._check()
        file = resource(self.model or str(DEFAULT_MODEL))
        identifier(file)
        keep = None if self.keep is None else tuple(self.keep)
        how = Identify(file, self.letters, self.mixed_share, self.min_score, self.span_share, keep)
        return inputs[0].map(how, reads=("id", "text"), adds=LANGUAGE)

    def _check(self) -> None:
        if self.letters < 50:
            raise ConfigError(f"letters: {self.letters} is too few to tell a language by; give 50 or more")
        for name, value, least in (
            ("mixed_share", self.mixed_share, 0.5),
            ("min_score", self.min_score, 0.0),
            ("span_share", self.span_share, 0.0),
        ):
            if not least <= value <= 1:
                raise ConfigError(f"{name}: {value} is not between {least} and 1")
        for label in self.keep or ():
            if not LABEL.fullmatch(label):
                raise ConfigError(f"keep: '{label}' is no label; give such as zho_Hans, zho, eng_Latn, mixed or und")


class Classifier(Protocol):
    """A model that gives texts labels: `HashedModel`, or `FastTextModel`."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def best(self, texts: pa.Array, most: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]: ...


@dataclass(frozen=True)
class Identifier:
    """A model and its languages: ISO 639-3 codes, `und` the last; `places` int32[labels + 1] is that of each label.

    Several labels can be one language (zho_Hans and zho_Hant). `simple`: it reads Traditional characters made
    Simplified.
    """

    classifier: Classifier
    languages: tuple[str, ...]
    places: npt.NDArray[np.int32]
    simple: bool

    def best(self, texts: pa.LargeStringArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Returns the likeliest languages of each text, -1 where there is none, and their probabilities."""
        numbers, chances = self.classifier.best(texts, BEST)
        return self.places[numbers], chances


@functools.lru_cache(maxsize=4)
def identifier(file: Resource) -> Identifier:
    """Returns the model of a file. Raises ConfigError where it is no language model."""
    content = file.read()
    classifier: Classifier
    if model.is_hashed(content):
        classifier = model.load(content, file.path)
    elif fasttext.is_fasttext(content):
        classifier = fasttext.load(file)
    else:
        raise ConfigError(f"{file.path}: neither a fastText model (.bin, .ftz) nor one of `datapipe train language`")
    told = [language_of(label) for label in classifier.labels]
    settled = {"lzh"} if "zho" in told else set()  # by its function words where the model does not know it
    languages = (*sorted({*told, *settled} - {UNDETERMINED}), UNDETERMINED)
    places = np.array([*map(languages.index, told), -1], np.int32)
    return Identifier(classifier, languages, places, isinstance(classifier, model.HashedModel))


@dataclass(frozen=True)
class Identify:
    """The map of the step: adds the columns and drops what is not kept."""

    model: Resource
    letters: int
    mixed_share: float
    min_score: float
    span_share: float
    keep: tuple[str, ...] | None

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        """Yields the rows that stay, with the columns of `LANGUAGE`."""
        for batch in batches:
            for start in range(0, max(batch.num_rows, 1), ROWS_AT_ONCE):
                yield self._kept(self._labelled(batch.slice(start, ROWS_AT_ONCE)), work)

    def _labelled(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return with_columns(batch, LANGUAGE, identify(batch.column("text"), self))

    def _kept(self, batch: pa.RecordBatch, work: Work) -> pa.RecordBatch:
        if self.keep is None:
            return batch
        labels = batch.column("language").to_pylist()
        stays = np.array([label in self.keep or label.split("_")[0] in self.keep for label in labels], bool)
        return work.drop(
            batch, ~stays, rule="language", value=batch.column("language_score"), note=batch.column("language")
        )


def identify(texts: pa.Array, how: Identify) -> tuple[pa.Array, ...]:
    """Returns the columns of `LANGUAGE` for texts (strings)."""
    found = identifier(how.model)
    pieces = cut(texts, letters=how.letters, simple=found.simple)
    numbers, chances = found.best(pieces.texts)
    languages = found.languages
    if "zho" in languages and "yue" in languages:
        numbers = settle_cantonese(pieces, numbers, languages.index("zho"), languages.index("yue"))
    if "zho" in languages:
        numbers = settle_classical(texts, pieces, numbers, chances, languages.index("zho"), languages.index("lzh"))
    fitting = fits(languages)
    shares = decide(pieces, numbers, chances, fitting)
    labels = _labels(shares, languages, han_of(pieces.scripts))
    first = np.searchsorted(shares.document, np.arange(len(texts)))
    has = np.diff(first, append=len(shares.document)) > 0
    few = pieces.scripts[:, :HANS].sum(axis=1) < FEWEST_LETTERS
    return (
        *_verdicts(shares, labels, first, has & ~few, how),
        pa.array([_SCRIPT_NAMES[number] for number in script_of(pieces.scripts)], pa.string()),
        _told(shares, labels, first, has & ~few),
        _spans(texts, shares, labels, found, fitting, has & ~few, how),
    )


def _labels(shares: Shares, languages: Sequence[str], han: npt.NDArray[np.int8]) -> npt.NDArray[np.object_]:
    """Returns the label of each row of `shares`."""
    keys = (shares.language.astype(np.int64) * GROUPS + shares.group) * len(_HAN) + han[shares.document]
    kinds, which = np.unique(keys, return_inverse=True)
    names = [
        label_of(languages[kind // len(_HAN) // GROUPS], kind // len(_HAN) % GROUPS, _HAN[kind % len(_HAN)])
        for kind in kinds.tolist()
    ]
    return np.array(names, object)[which]


def _verdicts(
    shares: Shares,
    labels: npt.NDArray[np.object_],
    first: npt.NDArray[np.int64],
    told: npt.NDArray[np.bool_],
    how: Identify,
) -> tuple[pa.Array, pa.Array]:
    """Returns the columns `language` and `language_score`; `first` is each document's first row of `shares`.

    Letters of no language (code, names) neither make a document `mixed` nor `und` while they are less than half.
    """
    language = np.full(len(first), UNDETERMINED, object)
    score = np.zeros(len(first))
    nothing = labels == UNDETERMINED
    without = np.bincount(shares.document[nothing], shares.share[nothing], minlength=len(first))[told]
    rows = first[told]
    rows = rows + (nothing[rows] & (without < 0.5))
    alone = shares.share[rows] >= how.mixed_share * np.where(without < 0.5, 1 - without, 1) - 1e-9
    score[told] = np.rint(np.where(alone, shares.score[rows], shares.own[rows]) * 1024) / 1024
    sure = score[told] >= how.min_score
    language[told] = np.where(alone, np.where(sure, labels[rows], UNDETERMINED), MIXED)
    return pa.array(language, pa.string()), pa.array(score, pa.float32())


def _told(
    shares: Shares, labels: npt.NDArray[np.object_], first: npt.NDArray[np.int64], told: npt.NDArray[np.bool_]
) -> pa.Array:
    """Returns the column `language_shares`."""
    text = np.array([f"{label}:{share:.2f}" for label, share in zip(labels, shares.share, strict=True)], object)
    ends = np.append(first[1:], len(text))
    column = np.full(len(first), f"{UNDETERMINED}:1.00", object)
    for number in np.flatnonzero(told).tolist():
        column[number] = " ".join(text[first[number] : ends[number]])
    return pa.array(column, pa.string())


def _spans(
    texts: pa.Array,
    shares: Shares,
    labels: npt.NDArray[np.object_],
    found: Identifier,
    fitting: npt.NDArray[np.bool_],
    told: npt.NDArray[np.bool_],
    how: Identify,
) -> pa.Array:
    """Returns the column `language_spans`, null where no second language has its share."""
    large = (shares.share >= how.span_share) & (labels != UNDETERMINED)
    chosen = np.flatnonzero((np.bincount(shares.document[large], minlength=len(told)) > 1) & told)
    column = np.full(len(told), None, object)
    if len(chosen):
        rows = np.flatnonzero(np.isin(shares.document, chosen))
        document = np.searchsorted(chosen, shares.document[rows])
        table = np.zeros((len(chosen), len(found.languages)))
        table[document, shares.language[rows]] = shares.share[rows]
        names: list[dict[int, str]] = [{} for _ in chosen]
        for one, row in zip(document.tolist(), rows.tolist(), strict=True):
            names[one][int(shares.language[row])] = labels[row]
        column[chosen] = spans(
            texts.take(pa.array(chosen)),
            table,
            names,
            found.languages,
            fitting,
            found.best,
            simple=found.simple,
            fewest=FEWEST_LETTERS,
        )
    return pa.array(column, pa.string())
