"""Byte-level BPE: texts to a tokenizer.json that decodes any text to itself.

The trainer is that of `tokenizers`. It cuts more finely than the file it makes encodes: merges that were never learnt
are never made, so both give the same tokens.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from datapipe import ConfigError
from stages.tokens.formats import MOST_IDS
from stages.tokens.splits import Digits, encoding_splits, training_splits

HELD = 64  # bytes that training holds a byte of text, at most: Chinese clauses are long words, and take most


def check_size(vocab_size: int, special: Sequence[str], where: str) -> None:
    """Raises ConfigError where a vocabulary has no room for all bytes and `special`, or is beyond any model's."""
    least = 256 + len(special)
    if vocab_size < least:
        raise ConfigError(f"{where}: {vocab_size} is below {least}, all bytes and special tokens")
    if vocab_size > MOST_IDS:
        raise ConfigError(
            f"{where}: {vocab_size} is above {MOST_IDS:,}: the library would ask for memory for all of it"
        )


def check_special(special: Sequence[str]) -> None:
    """Raises ConfigError where a text may hold a special token as a word: merges would then make it of text."""
    for name in special:
        if len(training_splits(1).pre_tokenize_str(name)) < 2:
            raise ConfigError(f"special token {name!r} is a word that texts hold: give it a name such as <|end|>")


def learn(texts: Iterable[str], vocab_size: int, special: Sequence[str], *, digits: Digits = 3) -> bytes:
    """Returns the tokenizer.json of a byte-level BPE model; any text decodes to itself.

    `special` get the first ids, all bytes the next. The vocabulary is smaller than `vocab_size` where the texts have no
    further pair to merge. Equal texts, in any order, give equal bytes.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = training_splits(digits)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.pre_tokenizer = encoding_splits()
    return str(tokenizer.to_str()).encode()
