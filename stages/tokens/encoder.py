"""Text to token ids by a tokenizer.json, with the document's boundaries set by us and never read from its text.

A page may spell `<|endoftext|>`: encoded as that token it would end a document in the middle and let a page write
control tokens, so special tokens in text are encoded as the characters they are.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from datapipe import ConfigError, StageError

PIECE_CHARACTERS = 1 << 19  # longer texts are encoded in pieces: the library holds about 100 bytes a token
CALL_CHARACTERS = 1 << 20
_BREAK = re.compile(r"(?<=\w)\s|[\u3002\uff0c\uff01\uff1f\uff1b\uff1a]")

Token = str | int


@dataclass(frozen=True)
class Boundaries:
    """The tokens that begin and end every document, by name or id."""

    bos: Token | None
    eos: Token


class Encoder:
    """A tokenizer that knows its boundaries. Made by `load`, never changed after."""

    def __init__(self, content: bytes, boundaries: Boundaries) -> None:
        vocabulary = _parse(content).get_vocab(with_added_tokens=True)
        self.vocabulary_size = max(vocabulary.values(), default=-1) + 1
        self.eos = _find(boundaries.eos, "eos", vocabulary)
        self.bos = None if boundaries.bos is None else _find(boundaries.bos, "bos", vocabulary)
        self.sha256 = hashlib.sha256(content).hexdigest()
        data = json.loads(content)
        ends = {self.eos, self.bos}
        for token in data.get("added_tokens") or ():
            token["special"] = token["special"] or token["id"] in ends
        self._special = {token["content"]: token["id"] for token in data.get("added_tokens") or () if token["special"]}
        self._special |= {content: number for content, number in vocabulary.items() if number in ends}
        unknown = data["model"].get("unk_token")
        forbidden = [number for content, number in self._special.items() if content != unknown or number in ends]
        self._forbidden = np.array(sorted(forbidden), np.int32)
        names = sorted((name for name in self._special if len(name) > 1), key=lambda name: (-len(name), name))
        self._spelled = re.compile("|".join(re.escape(name) for name in names) or r"(?!)")
        self._tokenizer = _parse(json.dumps(data).encode())
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the ids of all texts in a row, int32[tokens], tokens a text, int64[texts], and which texts are whole.

        Boundaries are set around each text that is not empty. A text that is not whole, bool[texts], encodes to a
        special token however it is cut; it has no tokens here.
        """
        ids, lengths, whole = array("i"), np.zeros(len(texts), np.int64), np.ones(len(texts), bool)
        for number, own in enumerate(self._encoded(texts)):
            if not own:
                continue
            if self._has_special(own):
                own = self._apart(texts[number])
                if self._has_special(own):
                    whole[number] = False
                    continue
            before = len(ids)
            if self.bos is not None:
                ids.append(self.bos)
            ids.extend(own)
            ids.append(self.eos)
            lengths[number] = len(ids) - before
        values = np.frombuffer(ids, np.int32) if len(ids) else np.zeros(0, np.int32)
        if len(values) and not 0 <= values.min() <= values.max() < self.vocabulary_size:
            raise StageError(f"tokenize: an id is not below the vocabulary's {self.vocabulary_size}: {values.max()}")
        return values, lengths, whole

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of `ids` without boundaries."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def _encoded(self, texts: Sequence[str]) -> Iterator[array[int]]:
        """Yields the ids of each text."""
        pieces = [pieces_of(text) for text in texts]
        found = self._ids(piece for own in pieces for piece in own)
        for own in pieces:
            ids = array("i")
            for _ in own:
                ids.extend(next(found))
            yield ids

    def _ids(self, pieces: Iterable[str]) -> Iterator[list[int]]:
        """Yields the ids of each piece, from calls of about a million characters."""
        for call in _calls(pieces):
            for encoded in self._tokenizer.encode_batch_fast(call, add_special_tokens=False):
                yield encoded.ids

    def _has_special(self, ids: array[int]) -> bool:
        if not len(self._forbidden):
            return False
        return bool(np.isin(np.frombuffer(ids, np.int32), self._forbidden).any())

    def _apart(self, text: str) -> array[int]:
        """Returns the ids of a text with each special token it spells cut behind its first character."""
        cuts = [0, *(match.start() + 1 for match in self._spelled.finditer(text)), len(text)]
        parts = (text[start:end] for start, end in itertools.pairwise(cuts) if start < end)
        ids = array("i")
        for own in self._ids(piece for part in parts for piece in pieces_of(part)):
            ids.extend(own)
        return ids


@functools.lru_cache(maxsize=2)
def load(content: bytes, boundaries: Boundaries) -> Encoder:
    """Returns the encoder of a tokenizer.json.

    Raises:
        ConfigError: it is none, or has no such boundary token.
    """
    # Workers are as many as there are cores; the library's own threads would only contend. Ids are the same.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return Encoder(content, boundaries)


def pieces_of(text: str) -> list[str]:
    """Returns a text in pieces of at most 524,288 characters, cut where splitters of words cut too.

    That is at white space behind a word, or before a full-width punctuation mark; so byte-level models give the same
    ids for the pieces as for the whole.
    """
    pieces, start = [], 0
    while len(text) - start > PIECE_CHARACTERS:
        end = start + PIECE_CHARACTERS
        breaks = [match.start() for match in _BREAK.finditer(text, max(start + 1, end - 4096), end)]
        end = breaks[-1] if breaks else end
        pieces.append(text[start:end])
        start = end
    return [*pieces, text[start:]]


def _calls(pieces: Iterable[str]) -> Iterator[list[str]]:
    call: list[str] = []
    held = 0
    for piece in pieces:
        if call and held + len(piece) > CALL_CHARACTERS:
            yield call
            call, held = [], 0
        call.append(piece)
        held += len(piece)
    if call:
        yield call


def _parse(content: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_str(content.decode())
    except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
        raise ConfigError(f"is not a tokenizer.json that tokenizers can read ({error})") from error


def _find(token: Token, role: str, vocabulary: dict[str, Any]) -> int:  # Any: the library states no types
    if isinstance(token, int):
        if token not in vocabulary.values():
            raise ConfigError(f"{role}: {token} is not an id of its vocabulary (0 to {max(vocabulary.values())})")
        return token
    if token not in vocabulary:
        near = sorted(name for name in vocabulary if len(name) > 3 and name[0] + name[-1] in ("<>", "[]"))
        hint = f"it has {', '.join(near[:8])}" if near else "it has no token that looks like one"
        raise ConfigError(f"{role}: '{token}' is not in its vocabulary ({hint})")
    return int(vocabulary[token])
