"""The one module that knows fastText: classifiers of others, such as lid.176, read from their files.

fastText loads from a path alone and prints what nobody asked for; both are dealt with here. Only calls that every
binding has are used (`load_model`, and `predict` of the object below Python's).
"""

from __future__ import annotations

import functools
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datapipe import Resource
from datapipe.errors import ConfigError

_MAGIC = (793712314).to_bytes(4, "little")  # fastText's FASTTEXT_FILEFORMAT_MAGIC_INT32
_SETTINGS_BYTES = struct.calcsize("<ii12id")  # magic, version, twelve settings and a threshold
_PREFIX = "__label__"

fasttext.FastText.eprint = lambda *arguments, **named: None  # its load_model warns of a changed return type


@dataclass(frozen=True)
class FastTextModel:
    """A fastText classifier and its labels, in the model's order and without their prefix."""

    model: Any  # the binding has no types
    labels: tuple[str, ...]

    def best(self, texts: pa.Array, most: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Returns the `most` likeliest labels of each text, and their probabilities: int32 and float32[texts, most].

        Beyond the last label the number is -1. A text must hold no newline.
        """
        numbers = np.full((len(texts), most), -1, np.int32)
        found = np.zeros((len(texts), most), np.float32)
        index = {_PREFIX + label: number for number, label in enumerate(self.labels)}
        predict = self.model.f.predict
        for row, text in enumerate(texts.to_pylist()):
            for place, (probability, label) in enumerate(predict(text + "\n", most, 0.0, "strict")):
                numbers[row, place] = index[label]
                found[row, place] = min(probability, 1.0)  # fastText gives up to 1.00005
        return numbers, found


def is_fasttext(content: bytes) -> bool:
    """Says whether `content` starts as a fastText model does."""
    return content[:4] == _MAGIC


@functools.lru_cache(maxsize=4)
def load(resource: Resource) -> FastTextModel:
    """Returns the model, once a process. Raises ConfigError where fastText cannot load it."""
    content = resource.read()
    if not is_fasttext(content):
        raise ConfigError(f"{resource.path}: not a fastText model (.bin or .ftz)")
    if not _is_whole(content):
        raise ConfigError(f"{resource.path}: fastText cannot load this model (it is cut short or damaged)")
    with tempfile.TemporaryDirectory(prefix="datapipe-") as folder:
        given = Path(folder) / "model"
        given.write_bytes(content)
        try:
            model = fasttext.load_model(str(given))
        except (ValueError, RuntimeError, MemoryError) as error:
            raise ConfigError(f"{resource.path}: fastText cannot load this model ({error})") from error
    return FastTextModel(model, tuple(label.removeprefix(_PREFIX) for label in model.labels))


def _is_whole(content: bytes) -> bool:
    """Says whether a model's bytes are as many as its parts tell.

    fastText reads past the end of a cut file without a word, and takes memory by what it finds there.
    """
    try:
        words, _, _, _, pruned = struct.unpack_from("<iiiqq", content, _SETTINGS_BYTES)
        at = _SETTINGS_BYTES + struct.calcsize("<iiiqq")
        for _ in range(words):
            at = content.index(0, at) + struct.calcsize("<xqb")  # the word's end, its count and kind
        at += struct.calcsize("<ii") * max(pruned, 0)
        at = _behind_matrix(content, at + 1, packed=content[at] == 1)
        return _behind_matrix(content, at + 1, packed=content[at] == 1) == len(content)
    except (struct.error, ValueError, IndexError):
        return False


def _behind_matrix(content: bytes, at: int, *, packed: bool) -> int:
    """Returns where the matrix that starts at `at` ends; `packed`: it is quantised."""
    if not packed:
        rows, columns = struct.unpack_from("<qq", content, at)
        return int(at + 16 + 4 * rows * columns)
    normed, rows, _, codes = struct.unpack_from("<?qqi", content, at)
    at = _behind_centroids(content, at + struct.calcsize("<?qqi") + codes)
    return _behind_centroids(content, at + rows) if normed else at


def _behind_centroids(content: bytes, at: int) -> int:
    dimensions, *_ = struct.unpack_from("<iiii", content, at)
    return int(at + 16 + 4 * 256 * dimensions)
