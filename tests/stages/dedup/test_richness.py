"""Clusters told from a sample: against corpora whose clusters are known."""

from collections import Counter

import numpy as np
import pytest

from stages.dedup.richness import richness

KNOWN = {
    "no copies": {1: 20_000, 2: 10},
    "pairs": {1: 5_000, 2: 5_000},
    "versions": {1: 20_000, 5: 2_000},
    "zh_en": {1: 5932, 2: 454, 3: 21, 4: 145, 5: 20, 6: 40, 7: 9, 8: 3, 9: 1, 10: 4, 11: 2, 12: 1, 100: 1, 215: 1},
    "one cluster of most": {1: 3_000, 9_000: 1},
}


def seen_of(clusters: dict[int, int], share: float, seed: int) -> dict[int, int]:
    """Returns clusters by documents seen of them, each document with probability `share`."""
    sizes = np.repeat(list(clusters), list(clusters.values()))
    drawn = np.random.default_rng(seed).binomial(sizes, share)
    return dict(Counter(drawn[drawn > 0].tolist()))


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_tells_the_share_of_documents_that_stay(name: str, share: float) -> None:
    clusters = KNOWN[name]
    true = sum(clusters.values()) / sum(size * amount for size, amount in clusters.items())

    kept = [
        found.clusters / found.documents
        for seed in range(5)
        for found in [richness(seen_of(clusters, share, seed), share)]
    ]

    assert np.mean(kept) == pytest.approx(true, abs=0.08 if share < 0.2 else 0.02)


def test_is_nearer_than_what_the_sample_itself_keeps() -> None:
    clusters, share = KNOWN["zh_en"], 0.1
    total = sum(size * amount for size, amount in clusters.items())
    seen = seen_of(clusters, share, 0)
    sampled = sum(seen.values()) / sum(size * amount for size, amount in seen.items())

    found = richness(seen, share)

    true = sum(clusters.values()) / total
    assert abs(found.clusters / found.documents - true) < 0.5 * abs(sampled - true)


def test_the_documents_add_up_to_what_was_drawn_over_the_share() -> None:
    seen = seen_of(KNOWN["versions"], 0.2, 1)

    found = richness(seen, 0.2)

    assert found.documents == pytest.approx(sum(size * amount for size, amount in seen.items()) / 0.2, rel=0.01)


def test_a_sample_of_all_is_the_whole() -> None:
    found = richness({1: 80, 2: 10}, 1.0)

    assert (found.clusters, found.documents, found.shared) == (90, 100, 20)
