import re
from collections.abc import Callable

import pyarrow as pa
import pytest

from datapipe import ConfigError, StageError
from datapipe.testing import Result, dataset, evaluate
from stages.dedup import Dedup
from stages.dedup.guard import Guard

Documents = Callable[..., pa.Table]


def run(documents: Documents, guard: Guard | None) -> Result:
    """Runs dedup on two shards: source a loses 4 of 5 documents, b none of 3."""
    copies = ["the same words over and over again"] * 5
    urls = pa.array(["http://a/0", "http://a/0", "http://a/0", None])
    first = documents([*copies[:3], "one alone"], source=pa.array(["a", "a", "a", "b"]), url=urls)
    second = documents(
        [*copies[3:], "two alone", "three alone"], first=4, source=pa.array(["a", "a", "b", "b"]), url=urls
    )
    return evaluate(Dedup(guard=guard).build(dataset(first, second)), rows_per_batch=2)


def test_stops_where_a_source_loses_too_much_and_gives_examples(documents: Documents) -> None:
    with pytest.raises(
        StageError, match=r"source a would lose 4 of 5 documents \(80.0%; guard.source_ratio is 0.7\)"
    ) as e:
        run(documents, Guard(source_ratio=0.7, least=5))

    ids = {row.hex() for row in run(documents, None).ledger.column("id").to_pylist()}
    named = re.findall("[0-9a-f]{32}", str(e.value))
    assert set(named[::2]) <= ids
    assert len(named) == 6
    assert f"{named[0]} (http://a/0), a copy of {named[1]}" in str(e.value)


def test_names_what_has_no_source(documents: Documents) -> None:
    table = documents(["the same"] * 4, source=pa.nulls(4, pa.string()))

    with pytest.raises(StageError, match=r"dedup: what has no source would lose 3 of 4 documents"):
        evaluate(Dedup(guard=Guard(source_ratio=0.1, least=2)).build(dataset(table)))


def test_stops_where_a_document_stands_for_too_many(documents: Documents) -> None:
    with pytest.raises(StageError, match=r"would stand for 5 documents, more than the 4 of guard.cluster"):
        run(documents, Guard(cluster=4))


def test_warns_where_it_is_told_to(documents: Documents) -> None:
    made = run(documents, Guard(source_ratio=0.7, least=5, action="warn"))

    assert made.table.num_rows == 4
    assert [key for key in made.counts if key.startswith("warning.source a would lose 4 of 5")]


@pytest.mark.parametrize(
    "guard", [Guard(source_ratio=0.8, least=5), Guard(source_ratio=0.1, least=6), Guard(cluster=5)]
)
def test_lets_pass_what_is_within_its_limits(guard: Guard, documents: Documents) -> None:
    assert run(documents, guard).table.num_rows == 4


@pytest.mark.parametrize("guard", [Guard(source_ratio=0), Guard(source_ratio=1.1), Guard(least=0), Guard(cluster=1)])
def test_refuses_limits_that_make_no_sense(guard: Guard, documents: Documents) -> None:
    with pytest.raises(ConfigError, match="guard"):
        run(documents, guard)
