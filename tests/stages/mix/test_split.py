"""The held-out split."""

import numpy as np
import pyarrow as pa
import pytest

from datapipe import ID, Work
from datapipe.testing import evaluate
from stages.mix.split import Split, hashes, limit_for
from tests.stages.mix.corpus import encoded, name, with_tokenizer


def held_out(split: Split, count: int, work: Work | None = None) -> np.ndarray:
    clusters = pa.array([name(number) for number in range(count)], ID)
    return split.held_out(pa.record_batch({"cluster": clusters}), work or Work(0))


def test_a_ratio_of_clusters_is_held_out() -> None:
    # Binomial: 2,000 of 20,000, standard deviation 42.
    assert abs(held_out(Split(0, "cluster", 0.1), 20_000).sum() - 2000) < 5 * 42


def test_a_greater_ratio_holds_out_the_same_and_more() -> None:
    few, more = (held_out(Split(0, "cluster", ratio), 5000) for ratio in (0.1, 0.2))

    assert (more | ~few).all()
    assert more.sum() > few.sum()


def test_another_seed_holds_out_others() -> None:
    assert (held_out(Split(0, "cluster", 0.5), 1000) != held_out(Split(1, "cluster", 0.5), 1000)).mean() > 0.4


@pytest.mark.parametrize("count", [1, 7, 60, 1000])
@pytest.mark.parametrize("rows", [1, 5, 100])
def test_the_limit_for_a_number_of_documents_is_exact(count: int, rows: int) -> None:
    split = Split(0, "cluster", None)
    tables = [encoded([5] * 30, ["web"] * 30), encoded([5] * 30, ["web"] * 30, first=30)]
    limit = evaluate(limit_for(with_tokenizer(tables), split, count), rows_per_batch=rows).table

    assert held_out(split, 60, Work(0, whole=(limit,))).sum() == min(count, 60)


def test_hashes_of_a_slice_are_those_of_its_rows() -> None:
    clusters = pa.array([name(number) for number in range(10)], ID)

    assert np.array_equal(hashes(clusters.slice(3, 4), 1), hashes(clusters, 1)[3:7])
