"""What is left out of a corpus, and on record beside it."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError, DataError
from stages.corpus import Corpus, Overlaid
from stages.corpus.index import segments
from stages.corpus.overlay import PIECES, merged, put_remove, put_skip
from stages.corpus.samples import Samples
from stages.corpus.verify import check
from tests.stages.mix.corpus import EOS


@pytest.fixture
def folder(packed: Path, tmp_path: Path) -> Path:
    shutil.copytree(packed, tmp_path / "run")
    return tmp_path / "run"


def skipped(folder: Path, *ranges: tuple[int, int]) -> Corpus:
    corpus = Corpus.open(str(folder))
    put_skip(corpus.folder, corpus.manifest, {"train": list(ranges)})
    return Corpus.open(str(folder))


def removed(folder: Path, document: str) -> Corpus:
    """Takes a document out of the train split, as `datapipe remove` does."""
    corpus = Corpus.open(str(folder))
    pieces = segments(corpus.split()).to_pylist()
    gone = [{**piece, "split": "train", "url": None} for piece in pieces if piece["doc_id"] == document]
    others = {piece["sample"] for piece in pieces if piece["doc_id"] != document}
    emptied = merged(
        [(piece["sample"], piece["sample"] + 1) for piece in gone if piece["sample"] not in others]
    ).tolist()
    rows = [{name: piece[name] for name in PIECES.names} for piece in gone]
    put_remove(corpus.folder, corpus.manifest, pa.Table.from_pylist(rows, PIECES), {"train": emptied}, "takedown")
    return Corpus.open(str(folder))


@given(st.integers(0, 40), st.lists(st.tuples(st.integers(0, 39), st.integers(1, 9)), max_size=6))
def test_the_map_between_index_and_position_is_that_of_a_plain_list(total: int, drawn: list[tuple[int, int]]) -> None:
    ranges = [(min(a, total), min(a + size, total)) for a, size in drawn if a < total]
    gone = {position for a, b in ranges for position in range(a, b)}
    stays = [position for position in range(total) if position not in gone]
    overlaid = Overlaid(total, merged(ranges))

    assert overlaid.count == len(stays)
    assert [overlaid.position(index) for index in range(len(stays))] == stays
    assert overlaid.positions(np.arange(len(stays))).tolist() == stays
    assert [overlaid.index(position) for position in range(total + 1)] == [
        sum(one < position for one in stays) for position in range(total + 1)
    ]
    start, stop = total // 4, total - total // 5
    runs = list(overlaid.runs(start, stop))
    assert [position for a, b in runs for position in range(a, b)] == [one for one in stays if start <= one < stop]
    assert all(a < b for a, b in runs)


def test_skipped_positions_yield_nothing_and_the_others_keep_theirs(folder: Path) -> None:
    before = pa.Table.from_batches(Corpus.open(str(folder)).split().rows())
    split = skipped(folder, (3, 9), (100, 101), (240, 250)).split()
    stays = [*range(3), *range(9, 100), *range(101, 240)]

    assert split.count == len(stays)
    assert pa.Table.from_batches(split.rows()).equals(before.take(pa.array(stays)))
    assert pa.Table.from_batches(split.rows(overlays=False)).equals(before)
    assert split.sample(5)["sample"] == 5


def test_overlays_add_up_and_are_numbered(folder: Path) -> None:
    skipped(folder, (3, 9))
    corpus = skipped(folder, (8, 12))

    assert [overlay.name for overlay in corpus.overlays] == ["00001-skip", "00002-skip"]
    assert corpus.split().count == 250 - 9
    assert Corpus.open(str(folder), overlays=False).split().count == 250


def test_a_document_that_is_removed_is_eos_and_a_sample_of_nothing_else_is_left_out(folder: Path) -> None:
    plain = Corpus.open(str(folder)).split()
    pieces = segments(plain).to_pylist()
    lengths = {
        piece["doc_id"]: piece["end"] - piece["start"] for piece in pieces if piece["end"] - piece["start"] == 32
    }
    document = next(iter(lengths))
    split = removed(folder, document).split()
    samples = Samples(split, ("input_ids", "labels"))
    own = [piece for piece in pieces if piece["doc_id"] == document]
    alone = {p["sample"] for p in own} - {p["sample"] for p in pieces if p["doc_id"] != document}

    rows = {row["sample"]: row for row in pa.Table.from_batches(split.rows()).to_pylist()}
    assert set(range(250)) - set(rows) == alone
    assert len(alone) > 0
    touched = 0
    for position, row in rows.items():
        ids = plain.sample(position)["input_ids"].copy()
        labels = Samples(plain, ("labels",)).one(position)["labels"]
        for piece in own:
            if piece["sample"] == position:
                ids[piece["start"] : piece["end"]] = EOS
                labels[piece["start"] : piece["end"]] = -100
                touched += 1
        assert row["input_ids"] == ids.tolist() == split.sample(position)["input_ids"].tolist()
        assert samples.many([position])[0].tolist() == ids.tolist() == samples.one(position)["input_ids"].tolist()
        assert samples.one(position)["labels"].tolist() == labels.tolist()
        assert samples.stacked([position])["labels"].tolist() == [labels.tolist()]
        assert row["seq_lengths"] == plain.sample(position)["seq_lengths"].tolist()
    assert touched > 0
    assert list(check(str(folder))) == []


def test_of_many_who_record_at_once_each_gets_a_number_of_its_own(folder: Path) -> None:
    corpus = Corpus.open(str(folder))
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda at: put_skip(corpus.folder, corpus.manifest, {"train": [(at, at + 1)]}), range(16)))

    assert sorted(overlay.name for overlay in made) == [f"{number:05}-skip" for number in range(1, 17)]
    assert Corpus.open(str(folder)).split().count == 250 - 16


def test_an_overlay_of_another_corpus_is_refused_with_what_to_do(folder: Path, packed: Path) -> None:
    skipped(folder, (3, 9))
    path = folder / "corpus" / "overlays" / "00001-skip.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "order_sha256": "f" * 64}))

    with pytest.raises(
        ConfigError, match=r"00001-skip.json: speaks of the positions of another corpus .* move the file away"
    ):
        Corpus.open(str(folder))
    assert [fault.split(":")[0] for fault in check(str(folder))] == ["overlays"]
    assert list(check(str(packed))) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("{", "is no overlay of a corpus"),
        ({"format_version": 2}, "is of format 2, this datapipe reads 1"),
        ({"kind": "hide"}, "is of kind hide, without pieces"),
        ({"kind": "remove"}, "is of kind remove, without pieces: a skip has none, a remove has them"),
        ({"pieces": "00001-remove.parquet"}, "is of kind skip, with pieces"),
        ({"ranges": {"train": [[3, 251]]}}, "leaves out positions that the split train of 250 samples does not have"),
        ({"ranges": {"test": [[3, 4]]}}, "leaves out positions that the split test of 0 samples"),
    ],
)
def test_an_overlay_that_makes_no_sense_is_refused(folder: Path, change: str | dict[str, object], said: str) -> None:
    skipped(folder, (3, 9))
    path = folder / "corpus" / "overlays" / "00001-skip.json"
    path.write_text(change if isinstance(change, str) else json.dumps({**json.loads(path.read_text()), **change}))

    with pytest.raises((ConfigError, DataError), match=re.escape(said)):
        Corpus.open(str(folder))


def test_pieces_that_another_wrote_are_found_by_verify(folder: Path) -> None:
    document = segments(Corpus.open(str(folder)).split()).column("doc_id")[0].as_py()
    removed(folder, document)
    assert list(check(str(folder))) == []
    path = folder / "corpus" / "overlays" / "00001-remove.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)

    assert [fault.rpartition("/")[2] for fault in check(str(folder))] == [
        "00001-remove.parquet is not what 00001-remove recorded: fetch it again"
    ]


def test_pieces_that_are_none_are_found_by_verify(folder: Path) -> None:
    corpus = Corpus.open(str(folder))
    row = {"split": "train", "sample": 4, "start": 1, "end": 2, "doc_id": "00" * 16, "url": None}
    put_remove(corpus.folder, corpus.manifest, pa.Table.from_pylist([row], PIECES), {})

    (fault,) = check(str(folder))
    assert fault.endswith("is removed at 1:2 of sample 4 of train, where the index has no piece of it")
