"""gigatoken in the place of the reference: equal ids, many times as fast, for as long as they are equal.

Nothing here is in a fingerprint, a record or a counter: a corpus is the same with it and without. So it is believed by
proof alone. When it is loaded, by texts that tokenizers get wrong where they do (`hard_texts`, and each added token of
the model); in each shard, by the heads of about one document in 128, chosen by id, before any row of their batch goes
on. The first 16 MB of a shard wait for each other, so most shards are proven as a whole before their first row. At the
first difference the reference takes over, for as long as the process lives, and a warning names the document.

It caches every piece that a splitter cuts, without bound. So it is made anew when the process has grown by 256 MB
since, and at least 16 MB of text are encoded.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.tokens.rare import rare

log = logging.getLogger(__name__)

SWITCH = "DATAPIPE_GIGATOKEN"  # 0: never; it changes nothing but speed
AHEAD_BYTES = 16 << 20
ONE_IN = 128
HEAD_CHARACTERS = 8192
GROWTH_BYTES = 256 << 20
RENEWAL_BYTES = 16 << 20  # of text, at least, between two renewals: memory may grow for another's sake

Ids = tuple[np.ndarray, np.ndarray]  # uint32[tokens], and where each text's begin, int64[texts + 1]


class Engine(Protocol):
    """What encodes texts, each by itself."""

    content: bytes | None  # the tokenizer.json it works by, if any

    @property
    def cuts(self) -> bool:
        """Whether a long text may be encoded in pieces."""

    def encode(self, texts: pa.Array) -> Ids:
        """Returns the ids of large_string[texts]."""


class GigatokenError(Exception):
    """gigatoken cannot: it is not installed, does not take the model, or failed on a text."""


class Gigatoken:
    """gigatoken's tokenizer of a tokenizer.json, on one thread and within a bound of memory.

    `reference` encodes the texts that hold characters which the two may class otherwise (see `rare`).
    """

    def __init__(self, content: bytes, reference: Engine) -> None:
        self._reference = reference
        self.cuts = reference.cuts
        self.content: bytes | None = content
        self._made: Any = None  # Any: an extra, which mypy may not find
        self._since = self._resident = 0
        self.trusted = True
        self._make()

    def encode(self, texts: pa.Array) -> Ids:
        """Returns the ids of large_string[texts] without nulls; text and ids are not copied.

        Raises:
            GigatokenError: it failed.
        """
        apart = rare(texts)
        if apart.any():
            plain = self._encode(pc.if_else(pa.array(apart), "", texts))
            return replaced(*plain, apart, [self._reference.encode(texts.filter(pa.array(apart)))])
        return self._encode(texts)

    def _encode(self, texts: pa.Array) -> Ids:
        offsets, characters = _buffers(texts)
        if not len(characters):
            return np.zeros(0, np.uint32), np.zeros(len(texts) + 1, np.int64)
        if self._since >= RENEWAL_BYTES and _resident_bytes() > self._resident + GROWTH_BYTES:
            self._made = None
            with contextlib.suppress(OSError, AttributeError):  # glibc's alone
                ctypes.CDLL(None).malloc_trim(0)  # else what the old one held counts as held at the start of the new
            self._make()
        self._since += len(characters)
        with failing(GigatokenError):
            made = self._made.encode_batch(_strings(offsets, characters), parallel=False).layout
        return made.content.data, made.offsets.data

    def _make(self) -> None:
        with failing(GigatokenError):
            self._made = importlib.import_module("gigatoken").Tokenizer.from_json(self.content)
        self._since, self._resident = 0, _resident_bytes()


@contextlib.contextmanager
def failing(kind: type[Exception], prefix: str = "") -> Iterator[None]:
    """Raises `kind` for whatever a library raises: a panic in Rust is no Exception."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        raise kind(f"{prefix}{error}") from error


def proven(reference: Engine) -> Gigatoken | None:
    """Returns gigatoken in the place of a reference, or None where it is not installed, cannot, or gives other ids.

    Special tokens must be encoded as text by `reference`; they are taken out of the file for gigatoken.
    """
    if reference.content is None or importlib.util.find_spec("gigatoken") is None:
        return None
    data = json.loads(reference.content)
    added = data.get("added_tokens") or []
    data["added_tokens"] = [token for token in added if not token["special"]]
    data |= {"post_processor": None, "truncation": None, "padding": None}
    try:
        made = Gigatoken(json.dumps(data, ensure_ascii=False).encode(), reference)
    except GigatokenError as error:
        log.info("gigatoken does not take this tokenizer (%s): tokenizers encodes", error)
        return None
    texts = [*hard_texts(), *(f"a{token['content']}b {token['content']}\n" for token in added)]
    place = difference(made, reference, pa.array(texts, pa.large_string()))
    if place is None:
        return made
    log.warning("gigatoken gives other ids than tokenizers for %.60r: tokenizers encodes", texts[place])
    return None


def checked(batches: Iterator[pa.RecordBatch], fast: Gigatoken | None, reference: Engine) -> Iterator[pa.RecordBatch]:
    """Yields the batches, each after `fast` and `reference` were compared on some of its documents.

    At a difference `fast` is no longer trusted; what `AHEAD_BYTES` hold back is then not encoded yet.
    """
    held: list[pa.RecordBatch] = []
    size, first = 0, True
    for batch in batches:
        if fast is None or not fast.trusted:
            yield from held
            held.clear()
            yield batch
            continue
        if batch.num_rows:
            _compare(batch, fast, reference, first=first)
            first = False
        held.append(batch)
        size += batch.nbytes
        if size >= AHEAD_BYTES:
            yield from held
            held.clear()
    yield from held


def _compare(batch: pa.RecordBatch, fast: Gigatoken, reference: Engine, *, first: bool) -> None:
    ids = batch.column("id")
    words = np.frombuffer(ids.buffers()[1], "<u8")[2 * ids.offset : 2 * (ids.offset + len(ids)) : 2]
    chosen = words % ONE_IN == 0
    chosen[0] |= first
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return
    texts = batch.column("text").take(pa.array(rows))
    heads = pc.utf8_slice_codeunits(pc.fill_null(texts, ""), 0, HEAD_CHARACTERS).cast(pa.large_string())
    place = difference(fast, reference, heads)
    if place is not None:
        fast.trusted = False
        log.warning(
            "gigatoken gives other ids than tokenizers for document %s: tokenizers encodes from here on; please tell "
            "gigatoken's authors, and set %s=0",
            ids[int(rows[place])].as_py().hex(),
            SWITCH,
        )


def difference(one: Engine, other: Engine, texts: pa.Array) -> int | None:
    """Returns the place of the first text for which two engines give other ids, or None."""
    expected, expected_ends = other.encode(texts)
    try:
        got, ends = one.encode(texts)
    except GigatokenError:
        return 0
    for place in range(len(texts)):
        own = expected[expected_ends[place] : expected_ends[place + 1]]
        if not np.array_equal(own, got[ends[place] : ends[place + 1]]):
            return place
    return None


def hard_texts() -> Iterator[str]:
    """Yields texts that splitters, normalizers and merges differ on where they differ."""
    yield from (
        "",
        " ",
        "\0",
        "a\0b",
        "\r\n\r\n",
        " \n\t \n",
        "a  b   c\u00a0\u3000d\u2028e\u2029f\u0085g",
        "\ufeffa\ufffd",
    )
    yield from ("e\u0301 n\u0303 a\u0323\u0307", "\u1112\u1161\u11ab 한국어", "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 ❤️", "１２３ ＡＢＣ ｶﾞ")
    yield from (
        "it's we'll I'M THEY'RE don’t 'S 'ſ",
        "x1 12345678901 3.14 1,000,000 ٣٤٥ ²³ ⅷ",
        "snake_case camelCase HTTPServer",
    )
    yield from (
        "道可道，非常道。名可名，非常名。",
        "漢" * 700,
        "a" * 5000,
        "!?" * 500,
        " " * 300,
        "\n" * 300,
        "=-" * 700,
    )
    yield from (
        "中文English混排123數字、標點「引號」……",
        "<|endoftext|></s><s>[CLS]<|im_start|>user",
        "https://a.b/c?d=e&f=%20#g",
    )
    yield from (
        "def f(x):\n\treturn {x: [1, 2]}  # ok\r\n",
        "𠀀𠮷𰻞",
        "Ꭰꭰ ǅ ǈ ß İı",
        "ไทย हिन्दी العَرَبِيَّة עִבְרִית",
        "\U0010ffff\ue000",
    )
    # Each block of the code space in contexts that decide of its class: letter, mark, digit, space, sign.
    for start in range(0xA0, 0x32000, 4096):
        points = (chr(point) for point in range(start, start + 4096, 67) if not 0xD800 <= point < 0xE000)
        yield " ".join(f"a{point}1{point}{point}!" for point in points)


def _buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Returns the offsets and bytes of large_string[texts], int64[texts + 1] and uint8, not copied."""
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None:
        return np.zeros(len(texts) + 1, np.int64), np.zeros(0, np.uint8)
    own = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return own - own[0], np.frombuffer(data, np.uint8)[own[0] : own[-1]]


def _strings(offsets: np.ndarray, characters: np.ndarray) -> Any:  # Any: as above
    awkward = importlib.import_module("awkward")
    content = awkward.contents.NumpyArray(characters, parameters={"__array__": "char"})
    index = awkward.index.Index64(offsets)
    return awkward.Array(awkward.contents.ListOffsetArray(index, content, parameters={"__array__": "string"}))


def _resident_bytes() -> int:
    """Returns the memory that this process holds; 0 where the system does not say."""
    try:
        return 4096 * int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0


def replaced(ids: np.ndarray, offsets: np.ndarray, where: np.ndarray, others: Sequence[Ids]) -> Ids:
    """Returns the ids with those of the texts `where`, bool[texts], from `others`, of all of these in their order."""
    fresh = (own[start:end] for own, ends in others for start, end in itertools.pairwise(ends))
    given = (ids[start:end] for start, end in itertools.pairwise(offsets))
    parts = [next(fresh) if new else own for own, new in zip(given, where, strict=True)]
    ends = np.cumsum([0, *map(len, parts)])
    return np.concatenate(parts) if parts else ids, ends
