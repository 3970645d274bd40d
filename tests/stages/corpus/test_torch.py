"""A corpus in PyTorch: the order of the manifest for any ranks and workers, after a resume, with skips."""

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datapipe import ConfigError
from stages.corpus import Corpus
from stages.corpus.batches import Batches
from stages.corpus.index import segments
from stages.corpus.overlay import PIECES, put_remove, put_skip
from stages.corpus.remove import remove

pytestmark = pytest.mark.heavy
WORLDS = [1, 2, 4]
WORKERS = [0, 2]


@pytest.fixture
def skipping(packed: Path, tmp_path: Path) -> Path:
    """A packed corpus of 250 samples without 3 to 8, and 100 and 101."""
    shutil.copytree(packed, tmp_path / "run")
    corpus = Corpus.open(str(tmp_path / "run"))
    put_skip(corpus.folder, corpus.manifest, {"train": [(3, 9), (100, 102)]})
    return tmp_path / "run"


def rows(folder: Path) -> list[list[int]]:
    """The tokens that readers yield, in order, as the corpus is read without PyTorch."""
    table = pa.Table.from_batches(Corpus.open(str(folder)).split().rows())
    ids: list[list[int]] = table.column("input_ids").to_pylist()
    return ids


def loaded(stream: Any, workers: int) -> list[list[list[int]]]:
    """The batches of a stream, through a DataLoader."""
    from torch.utils.data import DataLoader

    context = "fork" if workers else None
    loader = DataLoader(stream, batch_size=None, num_workers=workers, multiprocessing_context=context)
    return [batch["input_ids"].tolist() for batch in loader]


def together(parts: list[list[list[list[int]]]]) -> list[list[int]]:
    """What all ranks saw, batch after batch, rank after rank."""
    assert len({len(batches) for batches in parts}) == 1
    return [row for batch in zip(*parts, strict=True) for part in batch for row in part]


@pytest.mark.parametrize("world_size", WORLDS)
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("name", ["packed", "skipping"])
def test_all_ranks_together_see_the_order_of_the_corpus(
    request: pytest.FixtureRequest, name: str, world_size: int, workers: int
) -> None:
    from stages.corpus.torch_dataset import Stream

    folder = request.getfixturevalue(name)
    parts = [loaded(Stream(str(folder), 12, rank=rank, world_size=world_size), workers) for rank in range(world_size)]

    assert together(parts) == rows(folder)


@pytest.mark.parametrize("before", [(1, 0), (4, 2)])
@pytest.mark.parametrize("after", [(2, 2), (1, 0)])
@pytest.mark.parametrize("size", [8, "4x3,8x2,16"])
def test_a_resume_with_other_ranks_and_workers_goes_on_with_the_next_sample(
    skipping: Path, before: tuple[int, int], after: tuple[int, int], size: int | str
) -> None:
    from stages.corpus.torch_dataset import Stream

    seen: list[list[int]] = []
    first = [Stream(str(skipping), size, rank=rank, world_size=before[0]) for rank in range(before[0])]
    parts = [loaded(stream, before[1])[:5] for stream in first]
    seen += together(parts)
    state = pickle.loads(pickle.dumps(first[0].state_after(4)))
    second = [Stream(str(skipping), size, rank=rank, world_size=after[0]) for rank in range(after[0])]
    for stream in second:
        stream.load_state_dict(state)
    later = [loaded(stream, after[1]) for stream in second]

    assert seen + together(later) == rows(skipping)
    assert len(seen) == Batches.parse(size).first(5)
    assert len(later[0][0]) * after[0] == Batches.parse(size).size(5)


def test_a_skip_that_is_recorded_between_leaves_what_follows_as_it_was(packed: Path, tmp_path: Path) -> None:
    from stages.corpus.torch_dataset import Stream

    shutil.copytree(packed, tmp_path / "run")
    stream = Stream(str(tmp_path / "run"), 10)
    batches = iter(stream)
    seen = [row for _ in range(4) for row in next(batches)["input_ids"].tolist()]
    state = stream.state_dict()
    corpus = Corpus.open(str(tmp_path / "run"))
    put_skip(corpus.folder, corpus.manifest, {"train": [(35, 60)]})
    again = Stream(str(tmp_path / "run"), 10)
    again.load_state_dict(state)

    assert state["position"] == 40
    assert seen + [row for batch in loaded(again, 0) for row in batch] == rows(packed)[:40] + rows(packed)[60:]


def test_the_state_of_one_corpus_is_refused_by_another(packed: Path, by_document: Path) -> None:
    from stages.corpus.torch_dataset import Stream

    state = Stream(str(packed), 4).state_dict()

    with pytest.raises(ConfigError, match="is of another corpus or split"):
        Stream(str(by_document), 4).load_state_dict(state)
    with pytest.raises(ConfigError, match="is of another corpus or split"):
        Stream(str(packed), 4, "validation").load_state_dict(state)


def test_a_trainer_goes_on_in_a_rebuild_from_a_state_before_it(packed: Path, tmp_path: Path) -> None:
    from stages.corpus.torch_dataset import Stream

    pieces = segments(Corpus.open(str(packed)).split(), 0, 250).column("doc_id").to_pylist()
    before, made = packed, [tmp_path / "first", tmp_path / "second"]
    for doc_id, new in zip([pieces[0], pieces[-1]], made, strict=True):
        (tmp_path / "ids").write_text(doc_id)
        remove(str(before), ids=str(tmp_path / "ids"), rebuilt=True, out=str(new))
        before = new
    state = Stream(str(packed), 4).state_after(2)
    stream = Stream(str(before), 4)
    stream.load_state_dict(state)

    left = pa.Table.from_batches(Corpus.open(str(before)).split().rows(state["position"], 250))
    assert state["position"] == 12
    assert [row for batch in loaded(stream, 0) for row in batch] == left.column("input_ids").to_pylist()


def test_a_dataset_is_indexed_by_what_stays(skipping: Path) -> None:
    from stages.corpus.torch_dataset import TokenDataset

    dataset = TokenDataset(str(skipping))

    assert len(dataset) == 242
    assert [item["input_ids"].tolist() for item in dataset.__getitems__(range(242))] == rows(skipping)
    assert dataset[-1]["input_ids"].tolist() == dataset[241]["input_ids"].tolist() == rows(skipping)[-1]
    assert dataset.index(9) == 3
    with pytest.raises(IndexError, match="242 is no index of 242 samples"):
        dataset[242]


@pytest.mark.parametrize("fields", [("input_ids",), ("input_ids", "labels", "cu_seqlens", "position")])
def test_a_loader_with_workers_gives_the_samples_of_its_rank(skipping: Path, fields: tuple[str, ...]) -> None:
    from torch.utils.data import DataLoader

    from stages.corpus.torch_dataset import RankBatches, TokenDataset

    dataset = TokenDataset(str(skipping), fields=fields)
    parts = []
    for rank in range(2):
        sampler = RankBatches(len(dataset), 16, rank=rank, world_size=2)
        loader = DataLoader(
            dataset, batch_sampler=sampler, num_workers=2, multiprocessing_context="fork", collate_fn=dataset.collate
        )
        parts.append([batch["input_ids"].tolist() for batch in loader])
        assert len(parts[-1]) == len(sampler)

    assert together(parts) == rows(skipping)
    assert len(pickle.dumps(dataset)) < 1000


def test_a_process_that_inherits_nothing_opens_the_same_corpus(skipping: Path) -> None:
    from torch.utils.data import DataLoader

    from stages.corpus.torch_dataset import RankBatches, TokenDataset

    dataset = TokenDataset(str(skipping), fields=("input_ids", "labels", "cu_seqlens", "position"))
    sampler = RankBatches(len(dataset), 16, rank=1, world_size=2)
    loader = DataLoader(  # a worker takes 8 seconds to load PyTorch
        dataset, batch_sampler=sampler, num_workers=1, multiprocessing_context="spawn", collate_fn=dataset.collate
    )

    batches = [batch["input_ids"].tolist() for batch in loader]
    assert batches == [[rows(skipping)[index] for index in part] for part in sampler]


def test_the_default_loader_stacks_packed_samples(packed: Path) -> None:
    import torch
    from torch.utils.data import DataLoader

    from stages.corpus.torch_dataset import TokenDataset

    fields = ("input_ids", "labels", "position_ids", "position")
    (batch,) = DataLoader(TokenDataset(str(packed), fields=fields), batch_size=250)

    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        **dict.fromkeys(fields[:3], (250, 32)),
        "position": (250,),
    }
    assert batch["input_ids"].dtype == batch["labels"].dtype == torch.int64
    assert batch["position"].tolist() == list(range(250))
    padding = Corpus.open(str(packed)).manifest["splits"]["train"]["padding"]
    assert int((batch["labels"] == -100).sum()) == padding > 0


def test_int32_tensors_are_views_of_the_file(packed: Path) -> None:
    import torch

    from stages.corpus.torch_dataset import TokenDataset

    dataset = TokenDataset(str(packed), dtype="int32")
    one, again = dataset[3]["input_ids"], dataset[3]["input_ids"]
    name = packed / "corpus" / "train-00000-of-00007.arrow"
    before = name.read_bytes()
    one[0] = 999

    assert one.dtype == torch.int32
    assert one.data_ptr() == again.data_ptr()
    assert name.read_bytes() == before


def test_documents_are_padded_to_the_longest_or_put_in_a_row(by_document: Path) -> None:
    import torch

    from stages.corpus.torch_dataset import Concatenate, Stream

    documents = rows(by_document)
    fields = ("input_ids", "labels", "position_ids", "position")
    padded = next(iter(Stream(str(by_document), 6, fields=fields)))
    joined = next(iter(Stream(str(by_document), 6, fields=fields, collate=Concatenate())))

    lengths = [len(ids) for ids in documents[:6]]
    assert padded["input_ids"].shape == (6, -(-max(lengths) // 8) * 8)
    for row, ids in enumerate(documents[:6]):
        assert padded["input_ids"][row, : len(ids)].tolist() == padded["labels"][row, : len(ids)].tolist() == ids
        assert set(padded["labels"][row, len(ids) :].tolist()) <= {-100}
        assert set(padded["input_ids"][row, len(ids) :].tolist()) <= {0}
        assert int(padded["attention_mask"][row].sum()) == len(ids)
    assert joined["input_ids"].tolist() == [[token for ids in documents[:6] for token in ids]]
    assert joined["cu_seqlens"].tolist() == [sum(lengths[:count]) for count in range(7)]
    assert joined["cu_seqlens"].dtype == torch.int32
    assert joined["position"].tolist() == list(range(6))


def test_borders_of_a_batch_are_those_of_all_its_sequences(packed: Path) -> None:
    from stages.corpus.torch_dataset import Stream

    batch = next(iter(Stream(str(packed), 9, fields=("input_ids", "cu_seqlens", "seq_lengths"))))
    table = pa.Table.from_batches(Corpus.open(str(packed)).split().rows(0, 9))
    lengths = [length for own in table.column("seq_lengths").to_pylist() for length in own]

    assert batch["seq_lengths"].tolist() == lengths
    assert batch["cu_seqlens"].tolist() == [sum(lengths[:count]) for count in range(len(lengths) + 1)]


def test_what_was_removed_is_not_learned(packed: Path, tmp_path: Path) -> None:
    from stages.corpus.torch_dataset import Stream

    shutil.copytree(packed, tmp_path / "run")
    corpus = Corpus.open(str(tmp_path / "run"))
    piece = next(one for one in segments(corpus.split()).to_pylist() if one["start"] > 0)
    row = {**{name: piece[name] for name in ("sample", "start", "end", "doc_id")}, "split": "train", "url": None}
    put_remove(corpus.folder, corpus.manifest, pa.Table.from_pylist([row], PIECES), {})
    batches = list(Stream(str(tmp_path / "run"), 1, fields=("input_ids", "labels")))
    plain = next(iter(Stream(str(tmp_path / "run"), 1, start=piece["sample"])))

    batch, part = batches[piece["sample"]], slice(piece["start"], piece["end"])
    assert set(batch["input_ids"][0, part].tolist()) == {corpus.eos}
    assert set(batch["labels"][0, part].tolist()) == {-100}
    assert plain["input_ids"].tolist() == batch["input_ids"].tolist()


def test_the_last_batch_is_shared_out_or_dropped(packed: Path) -> None:
    from stages.corpus.torch_dataset import Stream

    parts = [
        [len(batch) for batch in loaded(Stream(str(packed), 100, rank=rank, world_size=4), 0)] for rank in range(4)
    ]
    dropped = loaded(Stream(str(packed), 100, drop_last=True), 0)

    assert parts == [[25, 25, 12], [25, 25, 13], [25, 25, 12], [25, 25, 13]]
    assert [len(batch) for batch in dropped] == [100, 100]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"batch_size": 0}, "batch size '0'"),
        ({"batch_size": "4x2"}, "batch size '4x2'"),
        ({"batch_size": 6, "world_size": 4}, "batch_size 6: cannot be shared out evenly to 4 ranks"),
        ({"batch_size": 4, "rank": 1}, "rank 1 of 1"),
        ({"batch_size": 4, "fields": ("ids",)}, "there is no field ids"),
        ({"batch_size": 4, "dtype": "uint16"}, "dtype: uint16"),
        ({"batch_size": 4, "start": 251}, "start: 251 is no position"),
        ({"batch_size": 4, "split": "test"}, "has no split 'test'"),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_stream_is_made(packed: Path, fields: Any, said: str) -> None:
    from stages.corpus.torch_dataset import Stream

    with pytest.raises(ConfigError, match=said):
        Stream(str(packed), **fields)


def test_starting_at_a_position_reads_nothing_before_it(packed: Path) -> None:
    from stages.corpus.torch_dataset import Stream

    stream = Stream(str(packed), 5, start=235)
    before = len(os.listdir("/proc/self/fd"))
    batches = loaded(stream, 0)

    assert [row for batch in batches for row in batch] == rows(packed)[235:]
    assert list(stream.samples.split._open) == [6]
    assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("taken", [0, 1, 5])
def test_the_loader_of_torchdata_goes_on_from_its_own_state(packed: Path, workers: int, taken: int) -> None:
    loaders = pytest.importorskip("torchdata.stateful_dataloader")
    from stages.corpus.torch_dataset import Stream

    first = loaders.StatefulDataLoader(Stream(str(packed), 10), batch_size=None, num_workers=workers)
    batches = iter(first)
    seen = [row for _ in range(taken) for row in next(batches)["input_ids"].tolist()]
    second = loaders.StatefulDataLoader(Stream(str(packed), 10), batch_size=None, num_workers=workers)
    second.load_state_dict(first.state_dict())

    assert seen + [row for batch in second for row in batch["input_ids"].tolist()] == rows(packed)
