"""What a shard's documents came to in tokens: sums by source and language, and warnings of a wrong vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from datapipe import Work

ENOUGH_BYTES = 10_000  # of a language in a shard, before anything is said of it
BYTES_FOR_TWO_TOKENS = 3  # more tokens than two for as many bytes: a Han character is 3 bytes, and should be about one
TOKENS_FOR_ONE_UNKNOWN = 100


class Counted:
    """Sums over the documents of a shard, by source and by language where there is one."""

    def __init__(self) -> None:
        self.sums: Counter[tuple[str, str, str]] = Counter()  # by measure, "source" or "language", and its value

    def add(self, batch: pa.RecordBatch, measures: Mapping[str, np.ndarray]) -> None:
        """Adds documents; their `tokens`, `unknown` ones, `characters` and `bytes` are integers[rows] each."""
        for by in ("source", "language"):
            if by not in batch.schema.names:
                continue
            column = batch.column(by).dictionary_encode("encode")
            values, codes = column.dictionary.to_pylist(), column.indices.to_numpy()
            for name, amounts in measures.items():
                sums = np.bincount(codes, amounts, len(values))  # float64: exact to 2**53
                self.sums.update({(name, by, f"{value}"): int(one) for value, one in zip(values, sums, strict=True)})

    def report(self, work: Work) -> None:
        """Counts what was added, and warns of languages (or sources) for which the vocabulary is not made."""
        for name in ("tokens", "characters"):
            work.count(name, sum(n for (measure, by, _), n in self.sums.items() if (measure, by) == (name, "source")))
        for (name, by, value), amount in self.sums.items():
            if name in ("tokens", "characters"):
                work.count(f"{name}.{by}.{value}", amount)
            elif name == "unknown" and amount:
                work.count(f"unknown_tokens.{by}.{value}", amount)
                if by == "source":
                    work.count("unknown_tokens", amount)
        told = "language" if any(by == "language" for _, by, _ in self.sums) else "source"
        for value in sorted({value for _, by, value in self.sums if by == told}):
            self._warn(work, told, value)

    def _warn(self, work: Work, by: str, value: str) -> None:
        size, tokens, unknown = (self.sums[name, by, value] for name in ("bytes", "tokens", "unknown"))
        if size < ENOUGH_BYTES:
            return
        if tokens * BYTES_FOR_TWO_TOKENS > 2 * size:
            work.warn(
                f"{by} {value}: more than 2 tokens for 3 bytes of text (a Han character): the tokenizer's "
                "vocabulary is not made for it"
            )
        if unknown * TOKENS_FOR_ONE_UNKNOWN > tokens:
            work.warn(
                f"{by} {value}: more than 1 token in {TOKENS_FOR_ONE_UNKNOWN} stands for what the tokenizer "
                "does not know, and is lost"
            )
