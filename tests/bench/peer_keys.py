"""Band keys as a peer makes them, by its own code with its defaults; run by `bench_edits.py` with the peer's Python.

    python tests/bench/peer_keys.py datatrove | text-dedup | data-juicer | data-juicer-character  TEXTS OUT

TEXTS is JSON lines {text, language: zh | en}; OUT a JSON list a line: one key a band, or null where the peer drops the
text before it compares anything, or makes no keys for it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

Keys = Callable[[str, str], list[str] | None]


def datatrove() -> Keys:
    """MinhashDedupSignature of datatrove: words of the language, its 14 buckets of 8."""
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.utils.typeshelper import Languages

    steps = {
        "zh": MinhashDedupSignature("/tmp/unused", language=Languages.mandarin_chinese),
        "en": MinhashDedupSignature("/tmp/unused", language=Languages.english),
    }

    def keys(text: str, language: str) -> list[str] | None:
        shingles = steps[language].get_shingles(text)
        return [repr(bucket) for bucket in steps[language].get_signature(shingles)] if shingles.size else None

    return keys


def text_dedup() -> Keys:
    """embed_func of text_dedup.minhash, with what its command line sets when nothing is given."""
    import numpy as np
    from text_dedup import minhash
    from text_dedup.utils import MinHashArgs, optimal_param, sha1_hash

    given = MinHashArgs()
    bands, rows = optimal_param(given.threshold, given.num_perm)
    prime, draw = np.uint64((1 << 61) - 1), np.random.RandomState(minhash.SEED)
    permutations = (
        draw.randint(1, prime, size=(given.num_perm,), dtype=np.uint64),
        draw.randint(0, prime, size=(given.num_perm,), dtype=np.uint64),
    )

    def keys(text: str, language: str) -> list[str] | None:
        if len(minhash.NON_ALPHA.split(text.lower())) < given.min_length:  # dropped, duplicate or not
            return None
        made = minhash.embed_func(
            text,
            0,
            num_perm=given.num_perm,
            ngram_size=given.ngram,
            min_length=given.min_length,
            hashranges=[(band * rows, band * rows + rows) for band in range(bands)],
            permutations=permutations,
            hash_func=lambda content: sha1_hash(content, d=32),
            dtype=np.uint64,
            max_hash=np.uint32((1 << 32) - 1),
            modulo_prime=prime,
        )
        return [key.hex() for key in made[minhash.SIGNATURE_COLUMN]]

    return keys


def data_juicer(**settings: str) -> Keys:
    """document_minhash_deduplicator of Data-Juicer."""
    from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator
    from data_juicer.utils.constant import HashKeys

    step = DocumentMinhashDeduplicator(**settings)
    return lambda text, language: [key.hex() for key in step.compute_hash({"text": text})[HashKeys.minhash]]


PEERS: dict[str, Callable[[], Keys]] = {
    "datatrove": datatrove,
    "text-dedup": text_dedup,
    "data-juicer": data_juicer,
    "data-juicer-character": lambda: data_juicer(tokenization="character"),
}


def main() -> None:
    """Writes a line a text."""
    name, texts, out = sys.argv[1:]
    keys = PEERS[name]()
    with open(texts, encoding="utf-8") as file, open(out, "w", encoding="utf-8") as made:
        for line in file:
            row = json.loads(line)
            made.write(json.dumps(keys(row["text"], row["language"])) + "\n")


if __name__ == "__main__":
    main()
