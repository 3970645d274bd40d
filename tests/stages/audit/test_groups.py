from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.audit.frame import FRAME, KEPT
from stages.audit.groups import MADE, OTHERS, Groups, Largest, by, derived, sizes_of
from stages.audit.measures import bins_of


def frame(*rows: dict[str, Any], **more: pa.DataType) -> pa.Table:
    """A frame of documents of which that is known; `more` are columns behind it."""
    schema = pa.schema([*FRAME, *(pa.field(name, kind) for name, kind in more.items())])
    return pa.Table.from_pylist([{"stage": KEPT, **row} for row in rows], schema)


def test_documents_that_stayed_are_summed_up_by_keys_and_null_is_a_key() -> None:
    rows = frame(
        {"source": "a", "language": "zho_Hans", "tokens": 10, "trained": 20, "characters": 8, "bytes": 24},
        {"source": "a", "language": "zho_Hans", "tokens": 1, "trained": 0, "characters": 1, "bytes": 3},
        {"source": "a", "language": None, "tokens": None, "trained": None, "characters": None, "bytes": 5},
    )

    made = Groups("x", ("source", "language")).count(rows, None)

    assert made.to_pylist() == [
        {
            "source": "a",
            "language": "zho_Hans",
            "documents": 2,
            "bytes": 27,
            "characters": 9,
            "tokens": 11,
            "trained": 20,
        },
        {"source": "a", "language": None, "documents": 1, "bytes": 5, "characters": 0, "tokens": 0, "trained": 0},
    ]


def test_documents_that_left_count_where_all_are_asked_for_but_not_parts_that_a_stage_made() -> None:
    left = frame({"stage": "quality", "action": "drop", "bytes": 7}, {"stage": "repair", "action": "split", "bytes": 9})
    kept, both = Groups("x", ("left",)), Groups("x", ("left",), of="all")

    assert kept.count(left, left).num_rows == 0
    assert both.count(left, left).to_pylist() == [
        {"left": True, "documents": 1, "bytes": 7, "characters": 0, "tokens": 0, "trained": 0}
    ]


def test_no_documents_and_columns_that_a_run_has_not_are_counted_as_nothing() -> None:
    for key in [*MADE, "language_shares", "domain"]:
        counter = Groups("x", (key,))

        assert counter.count(frame(), None).equals(counter.schema.empty_table())
        assert counter.count(frame({"tokens": 3}), None)["documents"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("key", "given_", "made"),
    [
        ("month", {"crawl_time": 1_669_766_399}, "2022-11"),
        ("month", {"crawl_time": -1}, None),
        ("month", {"crawl_time": 2**62}, None),
        ("year", {"published": "2021-05-06T07:08:09Z"}, "2021"),
        ("year", {"published": "2021"}, "2021"),
        ("year", {"published": "yesterday"}, None),
        ("url_year", {"url": "https://2019.example/news/2021/3"}, "2021"),
        ("url_year", {"url": "https://a.example/t20230405_9.html"}, "2023"),
        ("url_year", {"url": "https://a.example/120230405/?y=2021"}, None),
        ("url_year", {"url": "https://a.example/2024"}, "2024"),
        ("era", {"published": "2022-11-29"}, "before"),
        ("era", {"published": "2022-11-30T00:00:00+08:00"}, "after"),
        ("era", {"published": "2022"}, None),
        ("era", {"published": "2022-11"}, None),
        ("era", {"published": "2021"}, "before"),
        ("era", {"published": "2023-01"}, "after"),
        ("era", {"published": "2024-01-01", "crawl_time": 1_669_766_399}, "before"),
        ("era", {"published": None, "crawl_time": 1_669_766_400}, None),
        ("era", {"url": "https://a.example/2019/1"}, "before"),
        ("era", {"url": "https://a.example/2019/1", "published": "2023-02-03"}, "after"),
        ("tld", {"host": "www.例子.中国"}, "中国"),
        ("tld", {"host": "192.168.0.1"}, None),
        ("certainty", {"language_score": 0.5}, 512),
        ("quality_step", {"quality": float("nan")}, None),
        ("quality_step", {"quality": 1.5}, 1024),
        ("has_place", {"file": "a", "offset": None}, False),
        ("has_place", {"file": "a.jsonl", "offset": 0}, True),
        ("has_place", {"file": "a.jsonl.zst", "offset": 0}, False),
        ("has_place", {"file": "a.warc.gz", "offset": 315}, True),
        ("has_place", {"file": None, "offset": 0}, False),
    ],
)
def test_keys_are_read_from_columns(key: str, given_: dict[str, Any], made: object) -> None:
    assert derived(frame(given_), key).to_pylist() == [made]


def test_the_share_outside_of_the_first_language_is_a_percentage() -> None:
    told = ["zho_Hans:1.00", "zho_Hans:0.71 eng_Latn:0.29", "eng_Latn:0.34 und:0.33 fra_Latn:0.33", None, "?"]
    rows = frame(*({"language_shares": one} for one in told), language_shares=pa.string())

    assert derived(rows, "others").to_pylist() == [0, 29, 66, None, None]


@given(st.integers(0, 2**53 - 1))
def test_a_size_lies_between_the_borders_of_its_bin_which_are_a_64th_apart(size: int) -> None:
    least, greatest = sizes_of(int(bins_of(size)))

    assert least <= size <= greatest
    assert (greatest - least) * 64 <= least
    assert bins_of(greatest + 1) == bins_of(size) + 1


def test_a_table_is_summed_up_by_fewer_keys() -> None:
    made = Groups("x", ("source", "language")).count(
        frame(
            {"source": "b", "language": "u", "tokens": 1},
            {"source": "a", "language": "v", "tokens": 2},
            {"source": "b", "language": "v", "tokens": 4},
        ),
        None,
    )

    assert by(made, "source").select(["source", "documents", "tokens"]).to_pylist() == [
        {"source": "a", "documents": 1, "tokens": 2},
        {"source": "b", "documents": 2, "tokens": 5},
    ]


@given(amounts=st.lists(st.integers(1, 4), max_size=12), cuts=st.integers(0, 12))
def test_of_very_many_values_the_largest_are_kept_and_the_rest_is_summed_up(amounts: list[int], cuts: int) -> None:
    sums = Groups("sums", ("source", "stated"), amounts=("documents",))
    counter = Largest("largest", sums, "stated", most=3)
    rows = [("a" if number % 2 else "b", f"licence {number}", amount) for number, amount in enumerate(amounts)]
    whole = pa.Table.from_pylist([dict(zip(sums.schema.names, row, strict=True)) for row in rows], sums.schema)
    kept = sorted(rows, key=lambda row: (-row[2], row[1]))[:3]
    expected = {row[:2]: row[2] for row in kept}
    for source, _, amount in sorted(set(rows) - set(kept)):
        expected[source, OTHERS] = expected.get((source, OTHERS), 0) + amount

    parts = [counter.count(part, None) for part in (whole.slice(cuts), whole.slice(0, cuts))]

    for made in (counter.count(whole, None), counter.merge(parts)):
        assert {tuple(row.values())[:2]: row["documents"] for row in made.to_pylist()} == expected
