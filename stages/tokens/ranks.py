r"""tiktoken's rank files as a tokenizer.json with the same ids.

A `.tiktoken` file holds a token in base64 and its rank, a line each; the pattern that cuts text into pieces and the
special tokens stand in the code that uses it. A piece that is a token is that token; else the two neighbours whose
concatenation has the lowest rank are joined, until none is a token. As a BPE model of `tokenizers` that is
`ignore_merges`, and for each token all of its splits in two tokens as merges, in order of the token's rank.

Patterns are written for Oniguruma, which `tokenizers` splits with: it has possessive `?+`, `*+` and `++`, but reads
`{1,3}+` as a repetition of it. Each is equivalent to the published one.

Source: openai/tiktoken (MIT), tiktoken_ext/openai_public.py and src/lib.rs; Qwen's tokenization_qwen.py for `qwen`.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from tokenizers import Regex

from datapipe import ConfigError
from stages.tokens.letters import letters

_LINE = re.compile(rb"[A-Za-z0-9+/]+=* \d+[ \r]*$", re.MULTILINE)
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """A tokenizer of tiktoken: the file of its ranks, and what that does not say."""

    tiktoken: Annotated[str, "path of a .tiktoken file"]
    pattern: Annotated[
        str | None, "gpt2, cl100k_base, o200k_base, qwen, or a regular expression that cuts text (null: by file name)"
    ] = None
    special: Annotated[dict[str, int] | None, "special tokens and their ids (null: those of the pattern's name)"] = None


@dataclass(frozen=True)
class Splitting:
    """What a rank file does not say: the pattern that cuts text, and the special tokens with their ids."""

    pattern: str
    special: tuple[tuple[str, int], ...]


_GPT2 = Splitting(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", (("<|endoftext|>", 50256),)
)
KNOWN = {
    "gpt2": _GPT2,
    "r50k_base": _GPT2,
    "cl100k_base": Splitting(
        rf"{_WORDS}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}",
        (
            ("<|endoftext|>", 100257),
            ("<|fim_prefix|>", 100258),
            ("<|fim_middle|>", 100259),
            ("<|fim_suffix|>", 100260),
            ("<|endofprompt|>", 100276),
        ),
    ),
    "o200k_base": Splitting(
        "|".join(
            (
                rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_SUFFIX}",
                rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_SUFFIX}",
                r"\p{N}{1,3}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                _SPACES,
            )
        ),
        (("<|endoftext|>", 199999), ("<|endofprompt|>", 200018)),
    ),
    "qwen": Splitting(
        rf"{_WORDS}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}",
        (
            ("<|endoftext|>", 151643),
            ("<|im_start|>", 151644),
            ("<|im_end|>", 151645),
            *((f"<|extra_{number}|>", 151646 + number) for number in range(205)),
        ),
    ),
}


def is_ranks(content: bytes) -> bool:
    r"""Returns whether a file looks like one of ranks.

    >>> is_ranks(b"IQ== 0\nIg== 1\n"), is_ranks(b"{}")
    (True, False)
    """
    return bool(_LINE.match(content))


def splitting(pattern: str | None, special: Mapping[str, int] | None, name: str) -> Splitting:
    """Returns how a rank file called `name` (without its ending) is used.

    Raises:
        ConfigError: nobody knows, or the pattern cannot be used.
    """
    known = KNOWN.get(name if pattern is None else pattern)
    if pattern is None and known is None:
        raise ConfigError(
            f"holds ranks of tiktoken, but not how text is cut: write {{tiktoken: PATH, pattern: NAME}} with a name "
            f"({', '.join(KNOWN)}) or a regular expression"
        )
    if known is None and re.fullmatch(r"\w*", str(pattern)):
        raise ConfigError(f"pattern: nothing is called '{pattern}': one of {', '.join(KNOWN)}, or a regular expression")
    given = known.pattern if known else str(pattern)
    tokens = dict(special) if special is not None else dict(known.special) if known else {}
    if re.search(r"\{\d+(,\d*)?\}\+", given):
        raise ConfigError("pattern: `{n,m}+` is not possessive for the library that splits: write `(?>…{n,m})`")
    try:
        Regex(given)
    except Exception as error:  # the library raises bare Exception
        raise ConfigError(f"pattern: is no regular expression ({error}), nor one of {', '.join(KNOWN)}") from error
    return Splitting(given, tuple(sorted(tokens.items(), key=lambda item: item[1])))


def tokenizer_json(content: bytes, how: Splitting) -> bytes:
    """Returns the tokenizer.json of a rank file.

    Raises:
        ConfigError: a line is not a token and its rank, a byte has no token, or an id stands for two tokens.
    """
    ranks = _ranks(content)
    named = letters()
    names = {token: "".join(map(named.__getitem__, token)) for token in ranks}
    _check_special(how.special, {number: token for token, number in ranks.items()}, set(names.values()))
    merges = [
        (names[token[:cut]], names[token[cut:]])
        for token in ranks
        for cut in range(1, len(token))
        if token[:cut] in ranks and token[cut:] in ranks
    ]
    vocabulary = {names[token]: number for token, number in ranks.items()} | dict(how.special)
    split = {"type": "Split", "pattern": {"Regex": how.pattern}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    data = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": name, **flags} for name, number in how.special],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, {**level, "use_regex": False}]},
        "post_processor": None,
        "decoder": {**level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": vocabulary,
            "merges": merges,
        },
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def _check_special(special: tuple[tuple[str, int], ...], taken: dict[int, bytes], names: set[str]) -> None:
    """Raises ConfigError where a special token has no name or id of its own; `taken` and `names` are the others'."""
    ids = dict(taken)
    for name, number in special:
        if number in ids:
            raise ConfigError(f"special: {name}: {number} is the id of another token, {ids[number]!r}")
        if number < 0:
            raise ConfigError(f"special: {name}: {number} is not an id: a number from 0")
        if not name or name in names:
            raise ConfigError(f"special: '{name}' is {'the name of a token of the file' if name else 'no name'}")
        ids[number] = name.encode()


def _ranks(content: bytes) -> dict[bytes, int]:
    """Returns the rank of each token, lowest first."""
    ranks: dict[bytes, int] = {}
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line]
    for number, line in lines:
        try:
            token, rank = _rank(line)
        except ValueError as error:
            raise ConfigError(f"line {number}: is not a token in base64 and its rank: {line[:40]!r}") from error
        ranks[token] = rank
    missing = next((byte for byte in range(256) if bytes([byte]) not in ranks), None)
    if missing is not None:
        raise ConfigError(f"has no token for the byte {missing}: not every text could be encoded")
    if len(set(ranks.values())) < len(lines):
        raise ConfigError("gives two tokens one rank, or one token two")
    return dict(sorted(ranks.items(), key=lambda item: item[1]))


def _rank(line: bytes) -> tuple[bytes, int]:
    if not _LINE.match(line):
        raise ValueError(line)
    token, rank = line.split()
    return binascii.a2b_base64(token, strict_mode=True), int(rank)
