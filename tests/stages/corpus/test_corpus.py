"""A finished corpus, opened and read by position."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError, DataError
from stages.corpus import Corpus, Split
from stages.corpus.index import documents, segments
from stages.corpus.samples import Samples
from stages.mix.columns import SEGMENTS


@pytest.fixture(params=["packed", "by_document"])
def folder(request: pytest.FixtureRequest) -> Path:
    made: Path = request.getfixturevalue(request.param)
    return made


def whole(folder: Path, split: str = "train") -> pa.Table:
    """All rows of a split as pyarrow itself reads them, file after file."""
    names = sorted((folder / "corpus").glob(f"{split}-*.arrow"))
    return pa.concat_tables([pa.ipc.open_file(str(name)).read_all() for name in names])


def damaged(folder: Path, to: Path) -> Path:
    """A copy of a run to break."""
    shutil.copytree(folder / "corpus", to / "corpus")
    return to


@pytest.mark.parametrize("place", ["", "corpus"])
def test_the_folder_of_a_run_and_that_of_its_corpus_open_alike(packed: Path, place: str) -> None:
    corpus = Corpus.open(str(packed / place))

    assert corpus == Corpus.open(str(packed))
    assert corpus.splits == ("train", "validation")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_rows_are_those_of_the_files_in_order(folder: Path, split: str) -> None:
    read = Corpus.open(str(folder)).split(split)

    assert pa.Table.from_batches(read.rows()).equals(whole(folder, split))
    assert read.total == read.count == len(whole(folder, split))


@given(st.data())
def test_any_range_reads_as_the_slice_of_the_whole(packed: Path, by_document: Path, data: st.DataObject) -> None:
    folder = data.draw(st.sampled_from([packed, by_document]))
    split, table = Corpus.open(str(folder)).split(), whole(folder)
    start = data.draw(st.integers(0, split.total))
    stop = data.draw(st.integers(start, split.total))
    columns = data.draw(st.sampled_from([None, ["input_ids"], table.schema.names[::-1][:2]]))

    read = pa.Table.from_batches(
        split.rows(start, stop, columns=columns), schema=table.select(columns or table.schema.names).schema
    )
    assert read.equals(table.slice(start, stop - start).select(columns or table.schema.names))


def test_a_sample_is_the_row_at_its_position(folder: Path) -> None:
    split, rows = Corpus.open(str(folder)).split(), whole(folder).to_pylist()

    for position in (0, 1, split.total // 2, split.total - 1):
        sample = {
            name: value.tolist() if hasattr(value, "tolist") else value
            for name, value in split.sample(position).items()
        }
        assert sample == rows[position]


def test_reading_copies_nothing(packed: Path) -> None:
    split = Corpus.open(str(packed)).split()
    before = pa.total_allocated_bytes()
    batches = list(split.rows())

    assert sum(batch.nbytes for batch in batches) > 250 * 32 * 4
    assert pa.total_allocated_bytes() - before < 4096


def test_an_array_of_tokens_may_be_written_to_and_the_file_stays(packed: Path) -> None:
    split = Corpus.open(str(packed)).split()
    name = packed / "corpus" / split.shards[0]["name"]
    before = name.read_bytes()
    ids = Samples(split, dtype="int32").one(3)["input_ids"]
    ids[:] = 7

    assert ids.base is not None
    assert name.read_bytes() == before
    assert Corpus.open(str(packed)).split().sample(3)["input_ids"].tolist() != [7] * 32


@given(st.lists(st.integers(0, 249), max_size=40))
def test_many_samples_are_those_of_one_at_a_time(packed: Path, positions: list[int]) -> None:
    samples = Samples(Corpus.open(str(packed)).split())
    expected = [samples.one(position)["input_ids"].tolist() for position in positions]

    assert samples.many(positions).tolist() == expected
    assert samples.many(positions).dtype == np.int64


@given(st.lists(st.integers(0, 249), min_size=1, max_size=40))
def test_fields_of_many_samples_are_those_of_one_at_a_time(packed: Path, positions: list[int]) -> None:
    samples = Samples(Corpus.open(str(packed)).split(), ("position", "labels", "input_ids"))
    stacked, one = samples.stacked(positions), [samples.one(position) for position in positions]

    assert {name: values.tolist() for name, values in stacked.items()} == {
        name: [fields[name].tolist() for fields in one] for name in samples.fields
    }


def test_many_samples_in_a_row_cross_batches_and_shards(packed: Path) -> None:
    split = Corpus.open(str(packed)).split()

    rows = Samples(split, dtype="int32").many(range(5, 199))
    assert rows.tolist() == whole(packed).column("input_ids").to_pylist()[5:199]


def test_what_a_corpus_pickles_to_is_small_and_opens_as_the_same(packed: Path) -> None:
    split = Corpus.open(str(packed)).split("validation")
    list(split.rows())
    content = pickle.dumps(split)
    again: Split = pickle.loads(content)

    assert len(content) < 1000
    assert again.corpus == split.corpus
    assert pa.Table.from_batches(again.rows()).equals(whole(packed, "validation"))


def test_a_corpus_that_was_replaced_is_not_taken_for_the_one_that_was_pickled(packed: Path, tmp_path: Path) -> None:
    damaged(packed, tmp_path)
    content = pickle.dumps(Corpus.open(str(tmp_path)))
    path = tmp_path / "corpus" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "order_sha256": "0" * 64}))

    with pytest.raises(DataError, match="another corpus was put in the place"):
        pickle.loads(content)


def test_a_folder_without_manifest_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no corpus: neither manifest.json nor corpus/manifest.json is there"):
        Corpus.open(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "is no manifest of a corpus of mix"),
        ("{", "is no manifest of a corpus of mix"),
        ('{"format_version": 1}', "is no manifest of a corpus of mix"),
        ('{"format_version": 2, "merkle_root": ""}', "is of format 2, this datapipe reads 1"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "manifest.json").write_text(content)

    with pytest.raises((ConfigError, DataError), match=said):
        Corpus.open(str(tmp_path))


def test_a_shard_that_was_cut_off_is_not_read(packed: Path, tmp_path: Path) -> None:
    shard = damaged(packed, tmp_path) / "corpus" / "train-00002-of-00007.arrow"
    shard.write_bytes(shard.read_bytes()[:-100])
    split = Corpus.open(str(tmp_path)).split()

    assert len(list(split.rows(0, 39))) == 6
    with pytest.raises(
        DataError, match=r"train-00002-of-00007.arrow: has [\d,]+ bytes, the manifest says [\d,]+: it was cut"
    ):
        list(split.rows())


def test_a_shard_of_as_many_bytes_that_is_no_arrow_file_is_said_to_be_none(packed: Path, tmp_path: Path) -> None:
    shard = damaged(packed, tmp_path) / "corpus" / "train-00000-of-00007.arrow"
    shard.write_bytes(bytes(shard.stat().st_size))

    with pytest.raises(DataError, match="cannot be read as an Arrow file"):
        Corpus.open(str(tmp_path)).split().sample(0)


def test_a_shard_that_is_gone_is_named(packed: Path, tmp_path: Path) -> None:
    (damaged(packed, tmp_path) / "corpus" / "train-00001-of-00007.arrow").unlink()

    with pytest.raises(DataError, match=r"train-00001-of-00007.arrow: is gone"):
        Corpus.open(str(tmp_path)).split().sample(40)


def test_what_is_out_of_range_or_unknown_is_named(packed: Path) -> None:
    corpus = Corpus.open(str(packed))

    with pytest.raises(ConfigError, match="has no split 'test'; it has train, validation"):
        corpus.split("test")
    with pytest.raises(IndexError, match="250 is no position of train: 0 up to 250"):
        corpus.split().sample(250)
    with pytest.raises(IndexError, match="5:251 is no range of positions of train"):
        list(corpus.split().rows(5, 251))
    with pytest.raises(ConfigError, match="has no column tokens; it has input_ids, seq_lengths, sample"):
        list(corpus.split().rows(columns=["tokens"]))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_segments_of_a_range_are_those_of_the_whole_index(folder: Path, split: str) -> None:
    read = Corpus.open(str(folder)).split(split)
    every = segments(read)
    start, stop = read.total // 3, 2 * read.total // 3
    samples = every.column("sample").to_numpy()

    assert every.schema.names == SEGMENTS.names
    assert set(samples.tolist()) == set(range(read.total))
    assert segments(read, start, stop).equals(every.filter(pa.array((samples >= start) & (samples < stop))))


def test_a_segment_leads_to_its_document(folder: Path) -> None:
    corpus = Corpus.open(str(folder))
    pieces = segments(corpus.split())
    files, rows = (pieces.column(name).to_numpy() for name in ("file", "file_row"))
    found = documents(corpus, files, rows, columns=("doc_id", "url", "nowhere"))

    assert found.column("doc_id").to_pylist() == pieces.column("doc_id").to_pylist()
    assert found.column("nowhere").null_count == len(pieces)


def test_labels_leave_padding_out_and_positions_begin_again_with_each_document(packed: Path) -> None:
    split = Corpus.open(str(packed)).split()
    samples = Samples(split, ("input_ids", "labels", "position_ids", "seq_lengths", "cu_seqlens", "position"))
    pieces = segments(split).to_pylist()
    masked = 0

    for position in range(split.total):
        one = samples.one(position)
        own = [piece for piece in pieces if piece["sample"] == position]
        filled = own[-1]["end"]
        masked += 32 - filled
        assert one["labels"].tolist() == [*one["input_ids"][:filled].tolist(), *[-100] * (32 - filled)]
        assert one["position_ids"].tolist() == [at for length in one["seq_lengths"].tolist() for at in range(length)]
        assert one["cu_seqlens"].tolist() == [0, *np.cumsum(one["seq_lengths"]).tolist()]
        assert one["position"] == position
    assert masked == split.corpus.manifest["splits"]["train"]["padding"] > 0
