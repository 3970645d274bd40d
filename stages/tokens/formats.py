"""Files of tokenizers: what they are, and what a corpus keeps of them.

A tokenizer.json and a model of sentencepiece are kept as they are, ranks of tiktoken as a tokenizer.json of equal ids.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from datapipe import ConfigError
from stages.tokens.ranks import Splitting, is_ranks, tokenizer_json

JSON, PROTOBUF = "tokenizer.json", "tokenizer.model"
MOST_IDS = 1 << 24  # more than any model has: tables here are as long as the greatest id


def kind_of(content: bytes) -> str:
    """Returns the name under which a corpus keeps a tokenizer: tokenizer.json, or tokenizer.model of sentencepiece."""
    return JSON if content.lstrip()[:1] == b"{" else PROTOBUF


@functools.lru_cache(maxsize=2)
def kept(content: bytes, how: Splitting | None) -> bytes:
    """Returns what a corpus keeps of a tokenizer's file; `how` ranks are used, None for any other file.

    Raises:
        ConfigError: it is of a form that is known, but not read.
    """
    if how is not None:
        if not is_ranks(content):
            raise ConfigError("holds no ranks of tiktoken: a token in base64 and its rank, a line each")
        return tokenizer_json(content, how)
    if re.match(rb"\d+ ['\"b]", content):
        raise ConfigError(
            "is a vocabulary of RWKV's world tokenizer, which is not read: no library here encodes with it"
        )
    return content


def checked_json(content: bytes) -> dict[str, Any]:  # Any: JSON
    """Returns a tokenizer.json as data. Raises ConfigError where it is something else."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"is not a tokenizer.json that tokenizers can read ({error})") from error
    if isinstance(data.get("model"), dict):
        return {"added_tokens": [], **data}
    if isinstance(data.get("vocab"), list) and "config" in data:
        raise ConfigError("is a tekken.json, which is not read: save the model's tokenizer as a tokenizer.json")
    if data and all(isinstance(value, int) for value in data.values()):
        raise ConfigError("is a vocabulary without its merges (vocab.json): give the tokenizer.json of the same model")
    if "tokenizer_class" in data or "added_tokens_decoder" in data:
        raise ConfigError("is a tokenizer_config.json: give the tokenizer.json beside it")
    raise ConfigError("is not a tokenizer.json that tokenizers can read (it has no 'model')")
