import math
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError, PlanError
from stages.dedup.survivor import Preference, preferences, priorities

DOCUMENTS = pa.schema(
    [("id", pa.binary(16)), ("source", pa.string()), ("quality", pa.float32()), ("crawl_time", pa.int64())]
)


def ordered(order: tuple[Preference, ...], columns: dict[str, pa.Array]) -> list[int]:
    """Returns the row numbers in the order of their priorities."""
    rows = len(next(iter(columns.values())))
    digests = pa.array([number.to_bytes(16, "big") for number in range(rows)], pa.binary(16))
    keys = priorities(pa.record_batch({**columns, "text_digest": digests}), order).to_pylist()
    return sorted(range(rows), key=keys.__getitem__)


@given(st.lists(st.one_of(st.none(), st.floats(width=32)), min_size=1, max_size=20), st.booleans())
def test_orders_numbers_in_either_direction_and_missing_ones_last(values: list[float | None], descending: bool) -> None:
    known = [row for row, value in enumerate(values) if value is not None and not math.isnan(value)]
    sign = -1 if descending else 1
    expected = sorted(known, key=lambda row: (sign * values[row], row))  # type: ignore[operator]  # known are numbers
    missing = [row for row in range(len(values)) if row not in known]

    found = ordered((Preference("quality", descending),), {"quality": pa.array(values, pa.float32())})

    assert found == expected + missing


@given(st.lists(st.one_of(st.none(), st.integers(-(2**62), 2**62)), min_size=1, max_size=20), st.booleans())
def test_orders_integers_exactly(values: list[int | None], descending: bool) -> None:
    known = [row for row, value in enumerate(values) if value is not None]
    sign = -1 if descending else 1
    expected = sorted(known, key=lambda row: (sign * values[row], row))  # type: ignore[operator]  # known are numbers

    found = ordered((Preference("crawl_time", descending),), {"crawl_time": pa.array(values, pa.int64())})

    assert found == expected + [row for row in range(len(values)) if values[row] is None]


def test_orders_text_by_the_values_given_and_others_last() -> None:
    order = preferences(({"source": ("books", "wiki")}, "-length"), DOCUMENTS)
    columns = {
        "source": pa.array(["wiki", None, "crawl", "books", "wiki"]),
        "length": pa.array([10, 99, 98, 1, 20], pa.int32()),
    }

    assert ordered(order, columns) == [3, 4, 0, 1, 2]


def test_prefers_quality_then_length_then_age_by_default() -> None:
    assert preferences(None, DOCUMENTS) == (
        Preference("quality", True),
        Preference("length", True),
        Preference("crawl_time"),
    )
    assert preferences(None, pa.schema([("id", pa.binary(16))])) == (Preference("length", True),)


def test_orders_the_largest_numbers_without_a_sign() -> None:
    values = [2**64 - 2, 5, 2**63, None]
    columns = {"n": pa.array(values, pa.uint64())}

    assert ordered((Preference("n"),), columns) == [1, 2, 0, 3]
    assert ordered((Preference("n", True),), columns) == [0, 2, 1, 3]


@pytest.mark.parametrize(
    ("declared", "error", "said"),
    [
        (["-qualty"], PlanError, "no earlier step makes a column 'qualty' (did you mean 'quality'?)"),
        (["source"], ConfigError, "column 'source' holds string; write {source: [best, next best]}"),
        ([{"quality": ["a"]}], ConfigError, "column 'quality' holds float; write quality or -quality"),
        ([{"source": ["a"], "host": ["b"]}], ConfigError, "names 2 columns; write one a line"),
        ([{"length": ["a"]}], ConfigError, "length is a number of characters; write length or -length"),
        (["id"], ConfigError, "column 'id' holds fixed_size_binary[16]"),
    ],
)
def test_says_what_is_wrong_with_an_order(declared: list[object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=re.escape(said)):
        preferences(declared, DOCUMENTS)  # type: ignore[arg-type]  # as a config would have it
