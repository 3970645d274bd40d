"""Text to token ids by a model's own library, with the document's boundaries set by us and never read from its text.

A page may spell `<|endoftext|>`: encoded as that token it would end a document in the middle and let a page write
control tokens, so special tokens in text are encoded as the characters they are.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import logging
import os
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from datapipe import ConfigError, StageError
from stages.tokens.bounds import NONE, bounded, frozen, judge
from stages.tokens.fast import SWITCH, Engine, Gigatoken, GigatokenError, Ids, checked, failing, proven, replaced
from stages.tokens.formats import JSON, MOST_IDS, checked_json, kind_of
from stages.tokens.pieces import Pieces

log = logging.getLogger(__name__)

PIECE_CHARACTERS = 1 << 19  # longer texts are encoded in pieces: the library holds about 100 bytes a token
CALL_CHARACTERS = 1 << 18
_BREAK = re.compile(r"(?<=\w)\s|[\u3002\uff0c\uff01\uff1f\uff1b\uff1a]")

_LOOKS_SPECIAL = re.compile(r"<[|/]?\w[\w .:-]*\|?>|\[[A-Z]+\]")
PLAIN_TEXTS = (
    "Plain Words.",
    "道可道，非常道。",
    "１２ＡＢ",
    "naïve Straße",
    "a  b\n\n\tc",
    " a ",
    "𠮷👩‍👧 한ไทย",
    "\0",
)

Token = str | int


@dataclass(frozen=True)
class Boundaries:
    """The tokens that begin and end every document, by name or id."""

    bos: Token | None
    eos: Token


class Reference:
    """The tokenizers library with a tokenizer.json, special tokens in text being text."""

    def __init__(self, content: bytes, ends: Sequence[Token | None]) -> None:
        data = checked_json(content)
        if data["model"].get("dropout"):
            raise ConfigError(
                "drops merges at random (model: dropout), so a text has no ids of its own: set it to null"
            )
        self._tokenizer, changed = _parse(content), False  # from here on the fields are those that the library reads
        for token in data["added_tokens"]:
            if not token["special"] and (token["id"] in ends or token["content"] in ends):
                token["special"] = changed = True
        self.content: bytes | None = content
        if changed:
            self.content = json.dumps(data, ensure_ascii=False).encode()
            self._tokenizer = _parse(self.content)
        self.cuts = not _sets_a_space((data.get("normalizer"), data.get("pre_tokenizer")))
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocabulary = {str(name): int(number) for name, number in self._tokenizer.get_vocab(True).items()}
        greatest = max(self.vocabulary.values(), default=0)
        if greatest >= MOST_IDS:
            raise ConfigError(f"has a token with the id {greatest}: ids are below {MOST_IDS:,} here")
        special = {token["content"] for token in data["added_tokens"] if token["special"]}
        self.special = {name: n for name, n in self.vocabulary.items() if name in special}  # the file may give others
        self.unknown = self.vocabulary.get(data["model"].get("unk_token"), data["model"].get("unk_id"))

    def encode(self, texts: pa.Array) -> Ids:
        """Returns the ids of large_string[texts]. Raises RuntimeError where the library fails on a text."""
        ids, ends = array("I"), array("q", [0])
        for call in _calls(texts.to_pylist()):
            with failing(RuntimeError, "tokenizers failed: "):  # a splitter that tries too long is a panic
                made = self._tokenizer.encode_batch_fast(call, add_special_tokens=False)
            for encoded in made:
                ids.extend(encoded.ids)
                ends.append(len(ids))
        return np.array(ids, np.uint32), np.array(ends, np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of `ids` without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))


class Encoder:
    """A tokenizer that knows its boundaries. Made by `load`; but for what is trusted to be fast, it never changes."""

    def __init__(self, content: bytes, boundaries: Boundaries, *, fast: bool = False) -> None:
        self.content = content
        is_json = kind_of(content) == JSON
        self.reference = Reference(content, (boundaries.bos, boundaries.eos)) if is_json else Pieces(content)
        vocabulary = self.reference.vocabulary
        self.vocabulary_size = max(vocabulary.values(), default=-1) + 1
        self.eos = _find(boundaries.eos, "eos", vocabulary)
        self.bos = None if boundaries.bos is None else _find(boundaries.bos, "bos", vocabulary)
        self.sha256 = hashlib.sha256(content).hexdigest()
        ends = {self.eos, self.bos}
        special = self.reference.special | {name: number for name, number in vocabulary.items() if number in ends}
        refused = [number for number in special.values() if number != self.reference.unknown or number in ends]
        self._refused = frozen(np.isin(np.arange(self.vocabulary_size), refused))
        names = sorted((name for name in special if len(name) > 1), key=lambda name: (-len(name), name))
        self._spelled = re.compile("|".join(re.escape(name) for name in names) or r"(?!)")
        self._may_be_fast = fast

    @functools.cached_property
    def _fast(self) -> Gigatoken | None:
        """What is proven to be fast, if anything: it is loaded by who encodes, not by who plans."""
        return proven(self.reference) if self._may_be_fast else None

    @property
    def is_fast(self) -> bool:
        """Whether gigatoken encodes, and not the reference."""
        return self._fast is not None and self._fast.trusted

    def checked(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Returns the batches of a shard, with `id` and `text`; on some of their documents what is fast is tried."""
        return checked(batches, self._fast, self.reference)

    def encode(self, texts: Sequence[str] | pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the ids of all texts in a row, int32[tokens], tokens a text, int64[texts], and which texts are whole.

        Boundaries are set around each text that is not empty. A text that is not whole, bool[texts], encodes to a
        special token however it is cut; it has no tokens here.
        """
        given = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
        rows = pc.fill_null(given, "").cast(pa.large_string())
        ids, offsets = self._ids(rows)
        clean = self._clean(ids, offsets)
        whole = clean.copy()
        if not clean.all():
            parts = []
            for place in np.flatnonzero(~clean):
                own = self._apart(rows[int(place)].as_py())
                whole[place] = self._clean(*own)[0]
                parts.append(own if whole[place] else (own[0][:0], np.zeros(2, np.int64)))
            ids, offsets = replaced(ids, offsets, ~clean, parts)
        return *bounded(ids, offsets, self.bos, self.eos), whole

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of `ids` without boundaries."""
        return self.reference.decode(ids)

    def unknown(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Returns how many tokens of each text, of those that `encode` gave, stand for what the model does not know."""
        if self.reference.unknown is None:
            return np.zeros(len(lengths), np.int64)
        before = np.concatenate([[0], np.cumsum(ids == self.reference.unknown)])
        return np.diff(before[np.concatenate([[0], np.cumsum(lengths)])])

    def altered(self) -> tuple[str, str] | None:
        """Returns a text and what it comes back as from its ids, or None where the model keeps texts as they are."""
        for text in PLAIN_TEXTS:
            ids, _ = self.reference.encode(pa.array([text], pa.large_string()))
            back = self.decode(ids.tolist())
            if back != text:
                return text, back
        return None

    def _ids(self, texts: pa.Array) -> Ids:
        """Returns the ids of large_string[texts]: gigatoken's as long as it is trusted, or the reference's."""
        if self._fast and self._fast.trusted:
            try:
                return _encoded(texts, self._fast)
            except GigatokenError as error:
                self._fast.trusted = False
                log.warning("gigatoken failed (%s): tokenizers encodes from here on", error)
        return _encoded(texts, self.reference)

    def _clean(self, ids: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Returns which texts hold no token that text may not hold, bool[texts]."""
        clean = np.ones(len(offsets) - 1, bool)
        beyond = judge(frozen(ids), frozen(offsets), self._refused, clean)
        if beyond != NONE:
            raise StageError(f"tokenize: an id is not below the vocabulary's {self.vocabulary_size}: {beyond}")
        return clean

    def _apart(self, text: str) -> Ids:
        """Returns the ids of a text with each special token it spells cut behind its first character, if it may be."""
        if not self.reference.cuts:
            return _encoded(pa.array([text], pa.large_string()), self.reference)
        cuts = [0, *(match.start() + 1 for match in self._spelled.finditer(text)), len(text)]
        parts = [text[start:end] for start, end in itertools.pairwise(cuts) if start < end]
        ids, _ = _encoded(pa.array(parts, pa.large_string()), self.reference)
        return ids, np.array([0, len(ids)], np.int64)


def load(content: bytes, boundaries: Boundaries) -> Encoder:
    """Returns the encoder of what a corpus keeps of a tokenizer (see `formats`).

    Raises:
        ConfigError: it is no tokenizer, or has no such boundary token.
    """
    # Workers are as many as there are cores; the library's own threads would only contend. Ids are the same.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return _load(content, boundaries, fast=os.environ.get(SWITCH) != "0")


@functools.lru_cache(maxsize=2)
def _load(content: bytes, boundaries: Boundaries, *, fast: bool) -> Encoder:
    return Encoder(content, boundaries, fast=fast)


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


def _encoded(texts: pa.Array, engine: Engine) -> Ids:
    """Returns the ids of large_string[texts], of which long ones are encoded in pieces where the engine allows it."""
    if not engine.cuts or (pc.max(pc.binary_length(texts)).as_py() or 0) <= PIECE_CHARACTERS:
        return engine.encode(texts)
    pieces = [pieces_of(text) for text in texts.to_pylist()]
    ids, offsets = engine.encode(pa.array([piece for own in pieces for piece in own], pa.large_string()))
    return ids, offsets[np.cumsum([0, *map(len, pieces)])]


def _calls(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yields the texts in calls of about 262,144 characters."""
    call: list[str] = []
    held = 0
    for text in texts:
        if call and held + len(text) > CALL_CHARACTERS:
            yield call
            call, held = [], 0
        call.append(text)
        held += len(text)
    if call:
        yield call


def _sets_a_space(parts: object) -> bool:
    """Returns whether a space is set before whatever is encoded, so that a part is not encoded as in the whole."""
    if isinstance(parts, dict):
        metaspace = parts.get("type") == "Metaspace" and parts.get("prepend_scheme") != "never"
        if metaspace or parts.get("type") == "Prepend" or parts.get("add_prefix_space"):
            return True
        parts = tuple(parts.values())
    return isinstance(parts, (list, tuple)) and any(map(_sets_a_space, parts))


def _parse(content: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_str(content.decode())
    except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
        raise ConfigError(f"is not a tokenizer.json that tokenizers can read ({error})") from error


def _find(token: Token, role: str, vocabulary: dict[str, Any]) -> int:  # Any: the library states no types
    if isinstance(token, int):
        if token not in vocabulary.values():
            most = max(vocabulary.values(), default=0)
            raise ConfigError(f"{role}: {token} is not an id of its vocabulary (0 to {most})")
        return token
    if token not in vocabulary:
        near = [name for name in vocabulary if _LOOKS_SPECIAL.fullmatch(name)]
        near.sort(key=lambda name: (re.search("end|eos|/s|SEP|bos|start", name) is None, vocabulary[name]))
        hint = f"it has {', '.join(near[:8])}" if near else "it has no token that looks like one"
        raise ConfigError(f"{role}: '{token}' is not in its vocabulary ({hint})")
    return int(vocabulary[token])
