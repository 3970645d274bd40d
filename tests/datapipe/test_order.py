"""The order of rows: the kernel against NumPy's sort, keys of every kind against Python's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.order import are_pairs, order_of, order_of_parts, sort_pairs, sort_words

SPREADS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "hashes": lambda draw, rows: draw.integers(0, 1 << 63, rows),
    "few values": lambda draw, rows: draw.integers(0, 5, rows),
    "one value": lambda draw, rows: np.full(rows, 7),
    "powers of two": lambda draw, rows: 1 << draw.integers(0, 63, rows),
    "almost sorted": lambda draw, rows: np.arange(rows) + draw.integers(0, 3, rows),
    "a crowd and strangers": lambda draw, rows: np.where(draw.random(rows) < 0.99, draw.integers(0, 40, rows), 1 << 62),
}


@pytest.mark.parametrize("first", SPREADS)
@pytest.mark.parametrize("second", SPREADS)
@pytest.mark.parametrize("rows", [0, 1, 17, 5000])
def test_words_are_sorted_as_numpy_sorts_them(first: str, second: str, rows: int) -> None:
    draw = np.random.default_rng(5)
    words = np.stack([SPREADS[name](draw, rows).astype(np.uint64) for name in (first, second)])

    order = sort_words(words)

    assert order.tolist() == np.lexsort(words[::-1]).tolist()


@pytest.mark.parametrize("first", SPREADS)
@pytest.mark.parametrize("second", SPREADS)
@pytest.mark.parametrize("rows", [0, 1, 25, 5000])
def test_pairs_are_sorted_in_place_as_numpy_sorts_them(first: str, second: str, rows: int) -> None:
    draw = np.random.default_rng(5)
    pairs = np.stack([SPREADS[name](draw, rows).astype(np.uint64) for name in (first, second)], axis=1)
    expected = pairs[np.lexsort(pairs.T[::-1])]

    sort_pairs(pairs)

    assert (pairs == expected).all()


@given(st.lists(st.integers(0, 6), max_size=60))
def test_rows_are_dealt_to_parts_in_the_order_they_came(parts: list[int]) -> None:
    order, begins = order_of_parts(np.array(parts, np.int64), 7)

    assert [order[begins[part] : begins[part + 1]].tolist() for part in range(7)] == [
        [row for row, at in enumerate(parts) if at == part] for part in range(7)
    ]


def test_pairs_are_two_integers_of_64_bits_and_both_are_keys() -> None:
    wide, signed, small = ("a", pa.uint64()), ("b", pa.int64()), ("b", pa.int32())

    assert are_pairs(pa.schema([wide, signed]), ("b", "a"))
    assert not are_pairs(pa.schema([wide, signed]), ("a",))
    assert not are_pairs(pa.schema([wide, small]), ("a", "b"))
    assert not are_pairs(pa.schema([wide, signed, ("c", pa.int64())]), ("a", "b"))


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**31), 2**31 - 1),
            st.integers(0, 2),
            st.binary(min_size=11, max_size=11),
            st.sampled_from(["", "a", "松", "松树"]),
        ),
        max_size=60,
    ),
    st.permutations(["signed", "few", "hash", "name"]),
    st.integers(0, 9),
)
@settings(max_examples=80)
def test_rows_are_sorted_as_python_sorts_their_keys(
    values: list[tuple[int, int, bytes, str]], keys: list[str], start: int
) -> None:
    schema = pa.schema([("signed", pa.int32()), ("few", pa.uint8()), ("hash", pa.binary(11)), ("name", pa.string())])
    columns = [list(column) for column in zip(*values, strict=True)] or [[]] * 4
    batch = pa.record_batch([pa.array(c, kind) for c, kind in zip(columns, schema.types, strict=True)], schema=schema)
    batch = batch.slice(start)

    for count in range(1, 5):
        rows = [tuple(row[name] for name in keys[:count]) for row in batch.to_pylist()]
        assert order_of(batch, keys[:count]).tolist() == sorted(range(len(rows)), key=rows.__getitem__)
