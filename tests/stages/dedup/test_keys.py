import hashlib
import io
import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import Output
from datapipe.testing import Result, dataset, evaluate
from stages.dedup.fold import FoldTable, fold_table, load, tokens
from stages.dedup.keys import BANDS, Sign, facts_schema
from stages.dedup.plain import exact_hash

FOLD = load(fold_table())


def signed(*shards: pa.Table, rows_per_batch: int = 3) -> Result:
    sign = Sign(fold=fold_table(), permutations=16, seed=1, bands=4, rows=4, shingle=5, columns=())
    outputs = (
        Output("bands", BANDS),
        Output("keys", sign.keys_schema()),
        Output("facts", facts_schema(shards[0].schema, ())),
    )
    return evaluate(dataset(*shards).map(sign, outputs=outputs), rows_per_batch=rows_per_batch)


def test_gives_a_document_one_key_a_band_and_a_short_one_a_single_key(documents: Callable[..., pa.Table]) -> None:
    made = signed(documents(["one two three four five", "four words are few", ""]))

    assert made.outputs["bands"][0].column("gid").to_pylist() == [0, 0, 0, 0, 1, 2]
    assert [row is None for row in made.outputs["keys"][0].column("bands").to_pylist()] == [False, True, True]
    assert made.counts == {"short": 2, "empty": 1}


def test_numbers_documents_by_shard_and_row(documents: Callable[..., pa.Table]) -> None:
    made = signed(documents(["a", "b"]), documents(["c", "d"], first=2), rows_per_batch=1)

    assert [table.column("gid").to_pylist() for table in made.outputs["facts"]] == [[0, 1], [1 << 40, (1 << 40) + 1]]


def test_publishes_keys_that_say_what_they_can_be_compared_with(
    documents: Callable[..., pa.Table], fold: FoldTable
) -> None:
    made = signed(documents(["one two three four five", "short", "👍"])).outputs["keys"][0]
    file = io.BytesIO()
    pq.write_table(made, file)

    read = pq.read_table(file)

    assert read.equals(made)
    assert json.loads(read.schema.metadata[b"datapipe.keys"]) == {
        "version": 2,
        "bands": 4,
        "rows": 4,
        "permutations": 16,
        "seed": 1,
        "shingle": 5,
        "fold": fold_table().sha256,
    }
    folded = [exact_hash(tokens(text, fold)) for text in ("one two three four five", "short")]
    exact = [b"".join(half.to_bytes(8, "little") for half in halves) for halves in folded]
    assert read.column("exact").to_pylist() == [*exact, hashlib.blake2b("👍".encode(), digest_size=16).digest()]


SHORT = st.text(st.sampled_from("ab 北京，.👍é\u0301"), max_size=6)


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(SHORT, min_size=1, max_size=12))
def test_short_documents_share_a_key_exactly_if_they_are_equal_when_folded(
    texts: list[str], documents: Callable[..., pa.Table]
) -> None:
    texts = [text for text in texts if len(tokens(text, FOLD)) < 5]
    if not texts:
        return
    views = [tuple(tokens(text, FOLD)) or text for text in texts]

    keys = signed(documents(texts)).outputs["bands"][0].sort_by("gid").column("key").to_pylist()

    assert [[one == other for other in keys] for one in keys] == [[one == other for other in views] for one in views]


@pytest.mark.parametrize("text", ["one two three four five", "北京市人民", "short", "", "👍"])
def test_keys_depend_on_the_text_alone(text: str, documents: Callable[..., pa.Table]) -> None:
    alone = signed(documents([text])).outputs["bands"][0].column("key").to_pylist()
    among = signed(documents(["another document that is not short", "x"]), documents(["y", text], first=2))

    rows = among.outputs["bands"][1].to_pylist()

    assert [row["key"] for row in rows if row["gid"] == (1 << 40) + 1] == alone
