"""A classifier as steps use it: a model file, how texts are read for it, and what makes its scores probabilities.

`datapipe train quality` and `train classifier` write MODEL and beside it MODEL.json, which says how texts were cut and
how much of each was read, and holds the calibration: for each label a and b of Platt's p = 1 / (1 + exp(-(a x + b))),
x being the logit of what the model says. A fastText model from elsewhere has no such file: it reads texts as they are,
newlines as spaces, and its scores are its own.

Source: J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datapipe import Resource, resource
from datapipe.errors import ConfigError
from datapipe.storage import given, read_if_there
from stages.classify import bag, hashed
from stages.classify.cut import CUT, cut, excerpt
from stages.language.fasttext import is_fasttext

SHIPPED = {"quality": Path(__file__).with_name("quality.model")}
CHARACTERS = 4000  # of a document that are read where nothing says otherwise
ROWS_AT_ONCE = 256  # so that what is cut stays small
SCALE = 1024  # scores are multiples of 1/1024
_LEAST = 1e-6  # chance from which on a logit does not grow


class Model(Protocol):
    """What tells probabilities: `HashedModel`, `BagModel`, `LibraryModel`."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def probabilities(self, texts: pa.Array) -> npt.NDArray[np.float64]: ...


@dataclass(frozen=True)
class Platt:
    """The calibration of a label."""

    label: str
    a: float
    b: float


@dataclass(frozen=True)
class Classifier:
    """A model file and how it is used. `cuts`: it reads cut texts; `calibration` is of no label or of all."""

    file: Resource
    cuts: bool
    characters: int
    calibration: tuple[Platt, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the model's order."""
        return model_of(self.file).labels

    def probabilities(self, texts: pa.Array) -> npt.NDArray[np.float64]:
        """Returns the probability of each label for each text (null is empty): float64[texts, labels].

        Where they are calibrated, a label's is that of the label against all others; they need not sum to one.
        """
        model = model_of(self.file)
        parts = [
            model.probabilities(self._read(texts.slice(start, ROWS_AT_ONCE)))
            for start in range(0, len(texts), ROWS_AT_ONCE)
        ]
        found = np.concatenate([np.zeros((0, len(model.labels))), *parts])
        return calibrated(found, self._platt(model.labels)) if self.calibration else found

    def _read(self, texts: pa.Array) -> pa.Array:
        read = excerpt(texts, self.characters)
        return cut(read) if self.cuts else read

    def _platt(self, labels: tuple[str, ...]) -> npt.NDArray[np.float64]:
        held = {one.label: (one.a, one.b) for one in self.calibration}
        return np.array([held[label] for label in labels])


def classifier(
    model: str, *, characters: int | None = None, calibrate: bool = True, sha256: str | None = None
) -> Classifier:
    """Returns the classifier of a shipped name or a path, with what the file beside it says.

    Raises:
        ConfigError: the file cannot be read, is no classifier, is not the one of `sha256`, or MODEL.json is not its.
    """
    path = str(SHIPPED.get(model, model))
    file = resource(path)
    if sha256 is not None and file.sha256 != sha256.lower():
        raise ConfigError(f"{path}: its SHA-256 is {file.sha256}, the config wants {sha256}")
    told = _beside(path, file)
    made = Classifier(
        file,
        cuts=told is not None or hashed.is_hashed(file.read()),
        characters=characters or (told.characters if told is not None else CHARACTERS),
        calibration=told.calibration if told is not None and calibrate else (),
    )
    labels = set(made.labels)  # also where nothing is calibrated: what is no model is told while planning
    if made.calibration and {one.label for one in made.calibration} != labels:
        raise ConfigError(f"{path}.json: calibrates other labels than the model has; train the model anew")
    return made


def score(texts: pa.Array, how: Classifier, positive: str) -> pa.FloatArray:
    """Returns the probability of the label `positive` for each text: float32[texts], multiples of 1/1024.

    Raises:
        ConfigError: the model has no such label.
    """
    return rounded(how.probabilities(texts)[:, place_of(positive, how)])


def label(texts: pa.Array, how: Classifier) -> tuple[pa.StringArray, pa.FloatArray]:
    """Returns the label of each text that the model holds likeliest, and its probability as `score` gives it."""
    found = how.probabilities(texts)
    best = found.argmax(axis=1)
    names = np.array(how.labels, object)[best]
    return pa.array(names, pa.string()), rounded(found[np.arange(len(best)), best])


def rounded(chances: npt.NDArray[np.float64]) -> pa.FloatArray:
    """Returns probabilities as a column."""
    return pa.array((np.rint(chances * SCALE) / SCALE).astype(np.float32))


def place_of(positive: str, how: Classifier) -> int:
    """Returns the number of a label. Raises ConfigError where the model has no such label."""
    if positive not in how.labels:
        raise ConfigError(f"{how.file.path}: has no label '{positive}'; its labels are {', '.join(how.labels)}")
    return how.labels.index(positive)


@functools.lru_cache(maxsize=4)
def model_of(file: Resource) -> Model:
    """Returns the model of a file, once a process. Raises ConfigError where it is none."""
    content = file.read()
    if hashed.is_hashed(content):
        return hashed.load(file)
    if is_fasttext(content):
        return bag.load(file)
    raise ConfigError(f"{file.path}: neither a fastText model (.bin, .ftz) nor one of `datapipe train`")


def logits(chances: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns log(p / (1 - p)), p kept off 0 and 1."""
    kept = np.clip(chances, _LEAST, 1 - _LEAST)
    result: npt.NDArray[np.float64] = np.log(kept / (1 - kept))
    return result


def calibrated(chances: npt.NDArray[np.float64], platt: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns chances[..., labels] after Platt's a and b of each label, float64[labels, 2]."""
    result: npt.NDArray[np.float64] = 1 / (1 + np.exp(-(platt[:, 0] * logits(chances) + platt[:, 1])))
    return result


@dataclass(frozen=True)
class _Told:
    """What MODEL.json says."""

    characters: int
    calibration: tuple[Platt, ...]


def _beside(path: str, file: Resource) -> _Told | None:
    content = read_if_there(f"{given(path)}.json")
    if content is None:
        return None
    try:
        told = json.loads(content)
        belongs, how = told["model_sha256"] == file.sha256, told["cut"]
        calibration = tuple(Platt(name, float(a), float(b)) for name, (a, b) in told["calibration"].items())
        found = _Told(int(told["characters"]), calibration)
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}.json: not what `datapipe train` writes ({error!r}); train the model anew") from error
    if found.characters < 1:
        raise ConfigError(f"{path}.json: characters: {found.characters} is nothing to read; train the model anew")
    if not belongs:
        raise ConfigError(f"{path}.json: belongs to another model than {path} (its SHA-256 differs); train it anew")
    if how != CUT:
        raise ConfigError(f"{path}: learnt from texts cut as {how}, this release cuts {CUT}; train it anew")
    return found
