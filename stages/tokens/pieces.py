"""sentencepiece as the reference of its own models: BPE and unigram, byte fallback, normalization as the model says.

Control symbols are never read from text; characters that the model does not know become its unknown token.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from datapipe import ConfigError
from stages.tokens.fast import Ids

BATCH = 256  # texts a call: the library makes all of a call's ids before it returns


class Pieces:
    """The sentencepiece library with a `.model` file."""

    cuts = False  # the library sets a space before whatever it is given, so a part is not encoded as in the whole

    def __init__(self, content: bytes) -> None:
        self._processor: Any = _processor(content)  # Any: an extra, which mypy may not find
        numbers = range(self._processor.get_piece_size())
        self.vocabulary = {str(self._processor.id_to_piece(number)): number for number in numbers}
        controls = (number for number in numbers if self._processor.is_control(number))
        self.special = {str(self._processor.id_to_piece(number)): number for number in controls}
        self.unknown: int | None = int(self._processor.unk_id())
        self.content: bytes | None = None  # gigatoken would read control symbols from text

    def encode(self, texts: pa.Array) -> Ids:
        """Returns the ids of large_string[texts]."""
        ids, ends = array("I"), array("q", [0])
        for start in range(0, len(texts), BATCH):
            for own in self._processor.encode(texts[start : start + BATCH].to_pylist(), num_threads=1):
                ids.extend(own)
                ends.append(len(ids))
        return np.array(ids, np.uint32), np.array(ends, np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of `ids` without control symbols."""
        controls = set(self.special.values())
        return str(self._processor.decode([number for number in ids if number not in controls]))


def version() -> str:
    """Returns the version of sentencepiece. Raises ConfigError where it is not installed."""
    try:
        return importlib.metadata.version("sentencepiece")
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(
            "is not a tokenizer.json, nor ranks of tiktoken; models of sentencepiece need that library: "
            "pip install 'datapipe[sentencepiece]'"
        ) from error


def _processor(content: bytes) -> Any:  # Any: as above
    version()
    wrong = "is not a tokenizer.json, nor ranks of tiktoken, nor a model of sentencepiece"
    if not content:
        raise ConfigError(f"{wrong}: it is empty")
    try:
        return importlib.import_module("sentencepiece").SentencePieceProcessor(model_proto=content)
    except RuntimeError as error:
        raise ConfigError(wrong) from error
