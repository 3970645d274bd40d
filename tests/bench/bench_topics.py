"""Topics of documents of known sources, against scikit-learn: CPU seconds, and how well topics and sources agree.

    python tests/bench/bench_topics.py [DOCUMENTS]

From each collection of DATAPIPE_SHARED/data/corpora the first documents are taken, 300 unless told, 4,096 characters of
each. scikit-learn's is the usual chain: HashingVectorizer over character 2- to 4-grams, TF-IDF, TruncatedSVD, KMeans,
with as many features, dimensions and topics. Agreement is normalized mutual information (arithmetic mean): 1 where
topics tell sources apart and nothing more. scikit-learn is no dependency: pip install scikit-learn first.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard

from stages.audit.clusters import FEATURES, amount_of, assign, cluster, vectors_of
from stages.audit.measures import entropy
from stages.audit.units import units_of

SHARED = Path(os.environ.get("DATAPIPE_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def documents(most: int) -> tuple[list[str], list[str]]:
    texts, sources = [], []
    for path in sorted((SHARED / "data" / "corpora").glob("*.jsonl.zst")):
        with open(path, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            for _, line in zip(range(most), io.BufferedReader(stream), strict=False):
                texts.append(json.loads(line)["text"][:4096])
                sources.append(path.name)
    return texts, sources


def agreement(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    def bits(labels: Sequence[Hashable]) -> float:
        numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        return entropy(np.bincount([numbers[label] for label in labels]))

    alone = bits(one) + bits(other)
    return 2 * (alone - bits(list(zip(one, other, strict=True)))) / alone


def ours(texts: list[str]) -> list[int]:
    vectors = vectors_of(units_of(pa.array(texts, pa.large_string())))
    topics: list[int] = assign(cluster(vectors, 0), vectors)[0].tolist()
    return topics


def theirs(texts: list[str]) -> list[int]:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.preprocessing import normalize

    topics = amount_of(len(texts))
    counter = HashingVectorizer(
        analyzer="char", ngram_range=(2, 4), n_features=FEATURES, alternate_sign=False, norm=None
    )
    weighed = TfidfTransformer(sublinear_tf=True).fit_transform(counter.transform(texts))
    places = normalize(TruncatedSVD(topics, random_state=0).fit_transform(weighed))
    return KMeans(topics, n_init=1, random_state=0).fit_predict(places).tolist()  # type: ignore[no-any-return]


def main() -> None:
    texts, sources = documents(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
    ours(texts[:100])  # compiles
    print(f"{len(texts):,} documents of {len(set(sources))} sources, {amount_of(len(texts))} topics")
    print("| topics by | CPU seconds | agreement with sources |")
    print("|---|---|---|")
    chains: dict[str, Callable[[list[str]], list[int]]] = {"datapipe": ours, "scikit-learn": theirs}
    for name, chain in chains.items():
        start = time.process_time()
        try:
            found = chain(texts)
        except ImportError as error:
            print(f"| {name} | {error} | |")
            continue
        print(f"| {name} | {time.process_time() - start:.2f} | {agreement(found, sources):.3f} |")


if __name__ == "__main__":
    main()
