"""`datapipe mix plan`: what it says of documents is what a run makes of them, and of sizes what papers print."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import Work
from stages.mix import Mix, Phase, Validation
from stages.mix.groups import Groups
from stages.mix.outlook import outlook
from stages.mix.pack import Pack, Streams
from stages.mix.planning import Lengths, columns, plan_documents
from tests.stages.mix.corpus import encoded, mixed, three_shards, written

WEIGHED = [
    table.append_column("copies", pa.array([1 + row % 3 for row in range(len(table))])) for table in three_shards(1)
]


SAME = (
    *("group", "weight", "token_quota", "documents", "cut_documents", "samples", "tokens", "padding"),
    *("samples_seen", "epochs", "unseen_samples"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The index of a corpus of a mix that has nothing to do with those that are planned, as files."""
    folder, paths = tmp_path_factory.mktemp("index"), []
    for number, table in enumerate(written(mixed(WEIGHED, seq_len=64).result, "index")):
        paths.append(str(folder / f"documents-{number:05}.parquet"))
        pq.write_table(table, paths[-1])
    return paths


OTHER_MIXES = {
    "shares": {"weights": {"books": 0.3, "web": 0.7}, "tokens": 3000, "seq_len": 16},
    "patterns": {"weights": {"w*": 2}, "default": 1, "tokens": 3000, "seq_len": 16},
    "temperature": {"temperature": 3.3, "tokens": 2000, "seq_len": 16},
    "unimax": {"unimax": 3, "tokens": 3000, "seq_len": 16},
    "epochs": {"epochs": {"books": 2.5, "web": 0.4}, "seq_len": 16},
    "proportional": {"seq_len": 32},
    "two columns": {"by": ["language", "source"], "weights": {"zho_Hans/*": 3}, "default": 1, "seq_len": 16},
    "buckets": {"by": ["source", "quality"], "buckets": {"quality": 3}, "seq_len": 16, "tokens": 2000},
    "edges": {
        "by": "quality",
        "buckets": {"quality": [0.02, 0.05]},
        "weights": {"q[12]": 1},
        "default": 0.1,
        "seq_len": 8,
    },
    "document weights": {"document_weights": "copies", "seq_len": 16, "tokens": 6000},
    "best fit": {"packing": "best_fit", "weights": {"books": 0.3, "web": 0.7}, "tokens": 3000, "seq_len": 16},
    "best fit of buckets": {"packing": "best_fit", "by": "quality", "buckets": {"quality": 2}, "seq_len": 64},
    "by document": {"packing": "document", "weights": {"books": 0.3, "web": 0.7}, "tokens": 3000},
    "by document, epochs": {"packing": "document", "epochs": {"books": 1.5, "web": 0.4}},
    "by document, weighed": {"packing": "document", "document_weights": "copies", "tokens": 5000},
    "held out": {"validation": Validation(ratio=0.3), "seed": 7, "seq_len": 16},
    "documents held out": {"validation": Validation(documents=9), "seq_len": 16, "by": "language"},
    "phases": {
        "tokens": 4000,
        "seq_len": 16,
        "phases": [Phase(name="stable", ratio=0.75), Phase(name="anneal", ratio=0.25, weights={"books": 1, "web": 0})],
    },
    "phases by document": {
        "packing": "document",
        "phases": [Phase(name="stable", tokens=1000), Phase(name="anneal", epochs={"books": 0.5, "web": 0.1})],
    },
}


@pytest.mark.parametrize("fields", OTHER_MIXES.values(), ids=OTHER_MIXES.keys())
def test_what_is_planned_of_a_finished_corpus_is_what_a_run_makes(fields: dict[str, Any], files: list[str]) -> None:
    mix = Mix(**{"max_epochs": None, **fields})

    planning = mix.planning(columns(files))
    planned = plan_documents(files, planning)
    facts = outlook(mix, planning, planned)

    made = mixed(WEIGHED, **{"max_epochs": None, **fields})
    assert [{name: row[name] for name in SAME} for row in facts["groups"]] == [
        {name: row[name] for name in SAME} for row in made.manifest["mix"]["groups"]
    ]
    assert [(phase["first_position"], phase["samples"]) for phase in facts["phases"]] == [
        (phase["first_position"], phase["samples"]) for phase in made.manifest["mix"]["phases"]
    ]
    trained = made.documents.filter(pc.equal(made.documents.column("split"), "train"))
    assert facts["times_seen"]["documents"] == Counter(trained.column("times_seen").to_pylist())
    assert facts["held_out_documents"] == made.manifest["documents"]["held_out"]
    assert facts["packing"] == made.manifest["packing"]
    assert facts["edges"] == made.manifest["mix"]["buckets"]
    assert facts["corpus"]["shards"] == made.manifest["splits"]["train"]["shards"]


@pytest.mark.parametrize("window", [1, 100, 1000])
def test_windows_of_best_fit_end_where_those_of_a_run_do(
    window: int, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.mix.pack.WINDOW_TOKENS", window)
    mix = Mix(packing="best_fit", seq_len=8)

    planning = mix.planning(columns(files))
    facts = outlook(mix, planning, plan_documents(files, planning))

    made = mixed(WEIGHED, packing="best_fit", seq_len=8)
    assert [{name: row[name] for name in SAME} for row in facts["groups"]] == [
        {name: row[name] for name in SAME} for row in made.manifest["mix"]["groups"]
    ]
    assert facts["times_seen"]["documents"] == Counter(made.documents.column("times_seen").to_pylist())


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from(["a", "b"])), min_size=1, max_size=40),
    st.integers(1, 12),
    st.booleans(),
    st.sampled_from([1, 90, 300, 1 << 24]),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_lengths_are_laid_out_as_documents_are_packed(
    documents: list[tuple[int, str]], size: int, best_fit: bool, window: int, rows: int, other_rows: int
) -> None:
    lengths, sources = [length for length, _ in documents], [source for _, source in documents]
    pack, put = Pack(Groups(("source",)), size, None, best_fit), list[tuple[str, pa.RecordBatch]]()
    table = encoded(lengths, sources).combine_chunks()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stages.mix.pack.WINDOW_TOKENS", window)
        work = Work(3, emit=lambda name, batch: put.append((name, batch)))
        for _ in pack(iter(table.to_batches(max_chunksize=rows)), work):
            pass
        streams = Streams(3)
        twin = Lengths(streams, size, best_fit=best_fit)
        made: list[pa.RecordBatch] = []
        for batch in table.to_batches(max_chunksize=other_rows):
            of_row = streams.of(*pack.keys(batch, work))
            made += twin.add(of_row, np.asarray(batch.column("tokens")).astype(np.int64))
        made += twin.finish()

    counts = [row for name, batch in put if name == "counts" for row in batch.to_pylist()]
    assert streams.counts(size).to_pylist() == counts
    firsts = [index for name, batch in put if name == "documents" for index in batch.column("index").to_pylist()]
    assert [index for batch in made for index in batch.column("index").to_pylist()] == firsts
