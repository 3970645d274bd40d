"""A corpus in a store: read by ranges, with overlays that are put beside it there."""

import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from datapipe import DataError, storage
from stages.corpus import Corpus
from stages.corpus.index import documents, segments
from stages.corpus.overlay import put_skip
from stages.corpus.samples import Samples
from stages.mix import Validation
from tests.stages.corpus.made import made


@pytest.fixture(params=["concat", "document"])
def both(request: pytest.FixtureRequest, folder: str, tmp_path: Path) -> tuple[str, Path]:
    """The folder of a run in the store, and the same on the disk."""
    local = made(tmp_path, packing=request.param, validation=Validation(ratio=0.1))
    for path in sorted(local.rglob("*.*")):
        storage.put(f"{folder}/{path.relative_to(local)}", path.read_bytes())
    return folder, local


def test_a_corpus_in_a_store_reads_as_on_a_disk(both: tuple[str, Path]) -> None:
    far, near = (Corpus.open(str(place)).split() for place in both)
    start, stop = near.total // 5, 4 * near.total // 5

    rows = pa.Table.from_batches(near.rows(start, stop))
    assert pa.Table.from_batches(far.rows(start, stop)).equals(rows)
    assert pa.Table.from_batches(far.rows(start, stop, columns=["input_ids"])).equals(rows.select(["input_ids"]))
    for position in (0, start, stop - 1, near.total - 1, 3):
        assert Samples(far).one(position)["input_ids"].tolist() == near.sample(position)["input_ids"].tolist()
    pieces = segments(far, start, stop)
    assert pieces.equals(segments(near, start, stop))
    files, places = (pieces.column(name).to_numpy() for name in ("file", "file_row"))
    found = documents(far.corpus, files, places, columns=("doc_id", "url"))
    assert found.equals(documents(near.corpus, files, places, columns=("doc_id", "url")))


def test_overlays_lie_in_the_store(both: tuple[str, Path]) -> None:
    folder, local = both
    for place in (folder, str(local)):
        corpus = Corpus.open(place)
        assert put_skip(corpus.folder, corpus.manifest, {"train": [(3, 9)]}).name == "00001-skip"
        assert put_skip(corpus.folder, corpus.manifest, {"train": [(20, 21)]}).name == "00002-skip"
    far, near = (Corpus.open(place).split() for place in (folder, str(local)))

    assert far.count == near.count == near.total - 7
    assert pa.Table.from_batches(pickle.loads(pickle.dumps(far)).rows()).equals(pa.Table.from_batches(near.rows()))


def test_a_shard_in_a_store_that_is_gone_or_cut_off_is_named(both: tuple[str, Path]) -> None:
    folder, local = both
    name = Corpus.open(str(local)).split().shards[0]["name"]
    storage.put(f"{folder}/corpus/{name}", (local / "corpus" / name).read_bytes()[:-8])

    with pytest.raises(DataError, match="it was cut off or changed"):
        Corpus.open(folder).split().sample(0)
    storage.remove(f"{folder}/corpus/{name}")
    with pytest.raises(DataError, match="is gone"):
        Corpus.open(folder).split().sample(0)
