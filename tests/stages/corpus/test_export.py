"""Exports read back by the libraries they are for, token for token, against the corpus's files read plainly."""

import csv
import gzip
import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from datapipe import ConfigError, DataError
from stages.corpus import Corpus
from stages.corpus.export import app
from stages.corpus.export.files import Datatrove, LlmC, Megatron, NanoGpt, Olmo, TokenFile, narrow, write_files
from stages.corpus.export.sequences import Sequences
from stages.corpus.overlay import PIECES, put_remove, put_skip
from stages.corpus.target import new_target
from stages.mix import Validation
from tests.stages.corpus.made import made as small

EOS = 0
SPLITS = ("train", "validation")


@pytest.fixture(scope="module", params=["concat", "best_fit", "document"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of each packing, with samples skipped and documents removed."""
    folder = small(tmp_path_factory.mktemp(request.param), packing=request.param, validation=Validation(ratio=0.1))
    corpus = Corpus.open(str(folder))
    put_skip(corpus.folder, corpus.manifest, {"train": [(3, 5), (40, 47)]})
    pieces = plain_pieces(folder, "train")
    gone = pieces[7]["doc_id"], pieces[20]["doc_id"]
    taken = [{**piece, "split": "train", "url": None} for piece in pieces if piece["doc_id"] in gone]
    empty = {piece["sample"] for piece in taken} - {p["sample"] for p in pieces if p["doc_id"] not in gone}
    table = pa.Table.from_pylist([{name: row[name] for name in PIECES.names} for row in taken], schema=PIECES)
    put_remove(corpus.folder, corpus.manifest, table, {"train": [(at, at + 1) for at in sorted(empty)]})
    return folder


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "corpus" / "manifest.json").read_bytes())
    return found


def plain_pieces(folder: Path, split: str) -> list[dict[str, Any]]:
    """Returns the rows of the index of segments."""
    start = "index/segments-" if split == "train" else "index/validation-segments-"
    names = [file["name"] for file in manifest(folder)["index"] if file["name"].startswith(start)]
    return [row for name in names for row in pq.read_table(folder / "corpus" / name).to_pylist()]


def plain_rows(folder: Path, split: str) -> list[dict[str, Any]]:
    """Returns the rows of the shards with their position, as overlays leave them."""
    names = [shard["name"] for shard in manifest(folder)["shards"] if shard["split"] == split]
    tables = [pa.ipc.open_file(folder / "corpus" / name).read_all() for name in names]
    rows = [{"position": at, **row} for at, row in enumerate(pa.concat_tables(tables).to_pylist())]
    left_out: set[int] = set()
    for path in sorted((folder / "corpus" / "overlays").glob("*.json")):
        said = json.loads(path.read_bytes())
        left_out |= {at for start, end in said["ranges"].get(split, []) for at in range(start, end)}
        for piece in pq.read_table(path.with_suffix(".parquet")).to_pylist() if said["kind"] == "remove" else []:
            if piece["split"] == split and piece["sample"] >= 0:
                rows[piece["sample"]]["input_ids"][piece["start"] : piece["end"]] = [EOS] * (
                    piece["end"] - piece["start"]
                )
    return [row for row in rows if row["position"] not in left_out]


def plain_sequences(folder: Path, split: str) -> list[tuple[list[int], str]]:
    """Returns the tokens and the document of every piece that is left, in the order of training."""
    rows = {row["position"]: row["input_ids"] for row in plain_rows(folder, split)}
    removed = set()
    for path in (folder / "corpus" / "overlays").glob("*-remove.parquet"):
        removed |= {piece["doc_id"] for piece in pq.read_table(path).to_pylist()}
    return [
        (rows[piece["sample"]][piece["start"] : piece["end"]], piece["doc_id"])
        for piece in plain_pieces(folder, split)
        if piece["sample"] in rows and piece["doc_id"] not in removed
    ]


def export(folder: Path, out: Path, *words: str) -> dict[str, Any]:
    """Runs the command, and returns export.json after holding it against the files."""
    done = CliRunner().invoke(app, [words[0], str(folder), "--out", str(out), *words[1:]], catch_exceptions=False)
    assert done.exit_code == 0
    record: dict[str, Any] = json.loads((out / "export.json").read_bytes())
    found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert found == {file["name"] for file in record["files"]} | {"export.json"}
    for file in record["files"]:
        content = (out / file["name"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    return record


def flat(lists: list[list[Any]]) -> list[Any]:
    return list(itertools.chain.from_iterable(lists))


def cut(tokens: Any, lengths: Any) -> list[list[int]]:
    return [part.tolist() for part in np.split(np.asarray(tokens), np.cumsum(lengths)[:-1])]


def test_datasets_loads_equal_rows_and_maps_them(made: Path, tmp_path: Path) -> None:
    export(made, tmp_path / "train", "hf")
    export(made, tmp_path / "all", "hf", "--split", "all")
    before = pa.total_allocated_bytes()
    loaded, both = datasets.load_from_disk(str(tmp_path / "train")), datasets.load_from_disk(str(tmp_path / "all"))
    held = pa.total_allocated_bytes() - before

    assert isinstance(both, datasets.DatasetDict)
    assert held < 10_000
    for split, rows in (("train", loaded), *both.items()):
        wanted = [{name: row[name] for name in loaded.column_names} for row in plain_rows(made, split)]
        assert repr(list(rows)) == repr(wanted)  # a score that is not there is NaN
    assert set(both) == set(SPLITS)
    assert loaded.split == "train"
    assert loaded.features == datasets.Features.from_arrow_schema(Corpus.open(str(made)).split().schema)
    assert loaded.with_format("numpy")[0]["input_ids"].tolist() == loaded[0]["input_ids"]


def test_nanogpt_maps_tokens_and_nothing_else(made: Path, tmp_path: Path) -> None:
    record = export(made, tmp_path / "out", "raw", "--format", "nanogpt", "--split", "all")

    for split, name in (("train", "train.bin"), ("validation", "val.bin")):
        data = np.memmap(tmp_path / "out" / name, dtype=np.uint16, mode="r")  # as train.py does
        wanted = plain_sequences(made, split)
        assert cut(data, [len(ids) for ids, _ in wanted]) == [ids for ids, _ in wanted]
        closed = sum(ids[-1] == EOS for ids, _ in wanted)
        assert record["splits"][split]["sequences_without_eos"] == len(wanted) - closed
        assert record["splits"][split]["tokens"] == len(data)


def test_whole_samples_keep_their_padding(made: Path, tmp_path: Path) -> None:
    record = export(made, tmp_path / "out", "raw", "--format", "nanogpt", "--unit", "sample")
    data = np.memmap(tmp_path / "out" / "train.bin", dtype=np.uint16, mode="r")

    assert data.tolist() == [token for row in plain_rows(made, "train") for token in row["input_ids"]]
    assert record["splits"]["train"]["sequences"] == len(plain_rows(made, "train"))


def read_llmc(path: Path) -> np.ndarray:
    """Returns the tokens of a file as llm.c's dataloader.h takes them: by its header."""
    header = np.frombuffer(path.read_bytes()[:1024], "<i4")
    kinds = {(20240520, 1): "<u2", (20240801, 7): "<u4"}
    data = np.fromfile(path, kinds[header[0], header[1]], offset=1024)
    assert len(data) == header[2]
    assert not header[3:].any()
    return data


def test_llmc_files_hold_as_many_tokens_as_their_headers_say(made: Path, tmp_path: Path) -> None:
    record = export(made, tmp_path / "out", "raw", "--format", "llmc", "--file-bytes", "4096")
    files = [read_llmc(path) for path in sorted((tmp_path / "out").glob("train-*.bin"))]

    wanted = [ids for ids, _ in plain_sequences(made, "train")]
    assert np.concatenate(files).tolist() == flat(wanted)
    assert len(files) > 3
    assert all(2 * len(file) + 1024 <= 4096 for file in files)
    assert [file["tokens"] for file in record["files"] if "tokens" in file] == [len(file) for file in files]


def test_olmo_maps_ids_and_finds_the_document_of_each_sequence(made: Path, tmp_path: Path) -> None:
    export(made, tmp_path / "out", "raw", "--format", "olmo", "--split", "all", "--file-bytes", "8000")

    for split in SPLITS:
        found = []
        for path in sorted((tmp_path / "out").glob(f"{split}-*.npy")):
            data = np.memmap(path, dtype=np.uint16, mode="r")
            with gzip.open(str(path).replace(".npy", ".csv.gz"), "rt") as file:
                rows = list(csv.reader(file))
            assert [int(row[0]) for row in rows] == [0, *(int(row[1]) for row in rows[:-1])]
            assert int(rows[-1][1]) == len(data)
            found += [(data[int(start) : int(end)].tolist(), name) for start, end, name, _, _ in rows]
            sources = {source for _, _, _, source, _ in rows}
            ids = {source: pq.read_table(made / "corpus" / source).column("doc_id").to_pylist() for source in sources}
            assert [ids[source][int(place)] for _, _, _, source, place in rows] == [name for _, _, name, _, _ in rows]
        assert found == plain_sequences(made, split)


def test_llmc_and_olmo_hold_ids_of_four_bytes(tmp_path: Path) -> None:
    wanted, wide = [[70_000, 5, EOS], [1], [2, 151_000, EOS]], LlmC.dtype_for(151_643)
    with new_target(str(tmp_path / "out")) as target:
        write_files(iter([sequences_of(wanted)]), lambda _: LlmC(target, "train", wide, {}), 1 << 30, EOS)

    assert wide == Olmo.dtype_for(65_537) == np.uint32
    assert Olmo.dtype_for(65_536) == np.uint16
    assert read_llmc(tmp_path / "out" / "train.bin").tolist() == flat(wanted)


@pytest.mark.heavy
def test_a_loader_of_two_processes_gives_every_row_of_an_export_for_datasets(made: Path, tmp_path: Path) -> None:
    from torch.utils.data import DataLoader

    export(made, tmp_path / "out", "hf")
    rows = datasets.load_from_disk(str(tmp_path / "out")).select_columns(["input_ids"]).with_format("torch")
    loader = DataLoader(rows, batch_size=None, num_workers=2)

    wanted = [row["input_ids"] for row in plain_rows(made, "train")]
    assert sorted(row["input_ids"].tolist() for row in loader) == sorted(wanted)


@pytest.mark.heavy
def test_datatrove_reads_ids_of_four_bytes(tmp_path: Path) -> None:
    from datatrove.utils.dataset import DatatroveFileDataset

    wanted, wide = [[70_000, 5, EOS], [1], [2, 151_000, EOS]], Datatrove.dtype_for(151_643)
    facts = {"tokenizer": "made"}
    with new_target(str(tmp_path / "out")) as target:
        write_files(iter([sequences_of(wanted)]), lambda _: Datatrove(target, "train", wide, facts), 1 << 30, EOS)
    read = DatatroveFileDataset(str(tmp_path / "out" / "train.ds"), seq_len=6, token_size=4, return_positions=True)[0]

    assert read["input_ids"].tolist() == flat(wanted)
    assert read["positions"].tolist() == [0, 1, 2, 0, 0, 1, 2]


@pytest.mark.heavy
def test_datatrove_reads_tokens_and_positions(made: Path, tmp_path: Path) -> None:
    from datatrove.utils.dataset import DatatroveFileDataset, DatatroveFolderDataset
    from humanize import metric

    export(made, tmp_path / "out", "raw", "--format", "datatrove")
    wanted = [ids for ids, _ in plain_sequences(made, "train")]
    tokens = flat(wanted)
    path = tmp_path / "out" / "train-00000.ds"
    whole = DatatroveFileDataset(str(path), seq_len=len(tokens) - 1, token_size=2, return_positions=True)[0]
    windows = DatatroveFolderDataset(str(tmp_path / "out"), seq_len=15, filename_pattern="*.ds", token_size=2)

    assert whole["input_ids"].tolist() == tokens
    assert whole["positions"].tolist() == [place for ids in wanted for place in range(len(ids))]
    assert [row for window in windows for row in window["input_ids"].tolist()] == tokens[: len(tokens) // 16 * 16]
    lines = Path(f"{path}.metadata").read_text().split("\n")
    assert lines == ["test|2", str(len(tokens)), metric(len(tokens), unit="T")]


@pytest.mark.heavy
def test_datatrove_writes_the_same_files_from_the_same_sequences(made: Path, tmp_path: Path) -> None:
    from datatrove.pipeline.tokens.megatron_tokenizer import MegatronTokenizedFile
    from datatrove.pipeline.tokens.tokenizer import TokenizedFile

    export(made, tmp_path / "ours", "raw", "--format", "datatrove")
    export(made, tmp_path / "pair", "megatron")
    theirs = TokenizedFile(
        str(tmp_path / "theirs"), "train-00000.ds", tokenizer_name_or_path="test", save_final_metadata=True
    )
    pair = MegatronTokenizedFile(str(tmp_path / "theirs"), "train")
    for ids, _ in plain_sequences(made, "train"):
        theirs.write(ids, None)
        pair.write(ids)
    theirs.close()
    pair.close()

    for name in ("train-00000.ds", "train-00000.ds.index", "train-00000.ds.metadata"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    for name in ("train.bin", "train.idx"):
        assert (tmp_path / "pair" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


@pytest.mark.heavy
def test_megatron_reads_every_sequence_as_a_document(made: Path, tmp_path: Path) -> None:
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    export(made, tmp_path / "out", "megatron", "--split", "all")

    for split in SPLITS:
        read = IndexedDataset(str(tmp_path / "out" / split))
        assert read.index.dtype is np.uint16
        assert [ids.tolist() for ids in read] == [ids for ids, _ in plain_sequences(made, split)]
        assert read.document_indices.tolist() == list(range(len(read) + 1))


@pytest.mark.heavy
def test_megatron_reads_wide_ids_as_int32(tmp_path: Path) -> None:
    from megatron.core.datasets.indexed_dataset import DType, IndexedDataset

    sizes = (65_499, 65_500)
    assert [Megatron.dtype_for(size) for size in sizes] == [DType.optimal_dtype(size) for size in sizes]
    wanted = [[70_000, 5, EOS], [1], [2, 151_000, EOS]]
    with new_target(str(tmp_path / "out")) as target:
        write_files(
            iter([sequences_of(wanted)]), lambda _: Megatron(target, "train", np.dtype("<i4"), {}), 1 << 30, EOS
        )

    read = IndexedDataset(str(tmp_path / "out" / "train"))
    assert read.index.dtype is np.int32
    assert [ids.tolist() for ids in read] == wanted


MEGATRON = """
import sys, torch, numpy
from megatron.core import parallel_state
from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig

class Tokenizer:
    eod = 0
    pad = 0
    vocab_size = 1000
    unique_identifiers = {"class": "test"}

torch.distributed.init_process_group("gloo", init_method=f"file://{sys.argv[2]}/rendezvous", rank=0, world_size=1)
parallel_state.initialize_model_parallel()
config = GPTDatasetConfig(
    random_seed=1, sequence_length=32, blend=([sys.argv[1] + "/train"], None), split="1,0,0", tokenizer=Tokenizer(),
    reset_position_ids=True, reset_attention_mask=True, eod_mask_loss=True, path_to_cache=sys.argv[2],
    mid_level_dataset_surplus=0.005, create_attention_mask=True,
)
train, _, _ = BlendedMegatronDatasetBuilder(GPTDataset, [40, 0, 0], lambda: True, config).build()
rows = [train[number] for number in range(40)]
numpy.save(sys.argv[2] + "/tokens.npy", numpy.stack([row["tokens"].numpy() for row in rows]))
numpy.save(sys.argv[2] + "/positions.npy", numpy.stack([row["position_ids"].numpy() for row in rows]))
"""


@pytest.mark.heavy
def test_megatron_builds_its_training_set_of_an_export(made: Path, tmp_path: Path) -> None:
    export(made, tmp_path / "out", "megatron")
    (tmp_path / "cache").mkdir()
    subprocess.run([sys.executable, "-c", MEGATRON, str(tmp_path / "out"), str(tmp_path / "cache")], check=True)
    tokens, positions = (np.load(tmp_path / "cache" / f"{name}.npy") for name in ("tokens", "positions"))

    assert tokens.shape == (40, 32)
    closed = [ids for ids, _ in plain_sequences(made, "train") if ids[-1] == EOS]
    for row, places in zip(tokens.tolist(), positions.tolist(), strict=True):
        ends = [at + 1 for at, token in enumerate(row) if token == EOS]
        assert places == [at - max([0, *(end for end in ends if end <= at)]) for at in range(32)]
        for start, end in itertools.pairwise([0, *ends]):
            assert any(ids[start - end :] == row[start:end][-len(ids) :] for ids in closed)


def sequences_of(ids: list[list[int]]) -> Sequences:
    return Sequences(np.array(flat(ids), np.int32), np.array([len(own) for own in ids], np.int64))


@settings(max_examples=40)
@given(
    parts=st.lists(st.lists(st.lists(st.integers(0, 65_535), max_size=9), max_size=6), max_size=5),
    most=st.integers(1, 20),
)
def test_files_hold_all_sequences_in_order_and_none_is_cut(
    parts: list[list[list[int]]], most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("files") / "out"
    stems: list[str] = []

    def opened(number: int) -> TokenFile:
        stems.append(f"{number:05}")
        return NanoGpt(target, stems[-1], np.dtype("<u2"), {})

    with new_target(str(place)) as target:
        written = write_files(iter([sequences_of(part) for part in parts]), opened, most, EOS)

    every = [ids for part in parts for ids in part]
    held: list[list[list[int]]] = []
    for file in target.files:
        data = np.fromfile(place / file["name"], np.uint16)
        mine = every[sum(map(len, held)) :][: file["sequences"]]
        assert data.tolist() == flat(mine)
        assert len(data) <= most or len(mine) == 1 or sum(map(bool, mine)) == 1
        held.append(mine)
    assert flat(held) == every
    assert (written.sequences, written.tokens) == (len(every), len(flat(every)))
    assert written.closed == sum(ids[-1:] == [EOS] for ids in every)


def test_equal_corpora_give_equal_bytes(made: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        export(made, tmp_path / name / "olmo", "raw", "--format", "olmo")
        export(made, tmp_path / name / "hf", "hf")

    def content(name: str) -> dict[str, bytes]:
        files = (path for path in (tmp_path / name).rglob("*") if path.is_file())
        return {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files}

    assert content("one") == content("other")


def test_an_export_names_the_corpus_and_its_overlays(made: Path, tmp_path: Path) -> None:
    record = export(made, tmp_path / "out", "raw", "--format", "datatrove")
    overlays = sorted((made / "corpus" / "overlays").glob("*.json"))

    said = manifest(made)
    assert {name: record["corpus"][name] for name in ("merkle_root", "order_sha256")} == {
        name: said[name] for name in ("merkle_root", "order_sha256")
    }
    assert [(row["name"], row["sha256"]) for row in record["corpus"]["overlays"]] == [
        (path.stem, hashlib.sha256(path.read_bytes()).hexdigest()) for path in overlays
    ]
    assert record["tokenizer"] == said["tokenizer"]
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (made / "corpus" / "tokenizer.json").read_bytes()


def refused(*words: str) -> str:
    with pytest.raises((ConfigError, DataError)) as error:
        CliRunner().invoke(app, list(words), catch_exceptions=False)
    return str(error.value)


def test_says_what_is_wrong(made: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "out")

    assert "is there already" in refused("hf", str(made), "--out", str(tmp_path / "there"))
    assert "is no name of a folder" in refused("hf", str(made), "--out", "")
    assert "is there already" in refused("megatron", str(made), "--out", str(tmp_path / "file"))
    assert "holds no corpus" in refused("hf", str(tmp_path), "--out", out)
    assert "cannot be written" in refused("hf", str(made), "--out", str(tmp_path / "file" / "out"))
    if Corpus.open(str(made)).seq_len is not None:
        words = ("raw", str(made), "--out", out, "--format", "olmo", "--unit", "sample")
        assert "a packed sample holds several; take --unit document" in refused(*words)
    assert sorted(os.listdir(tmp_path)) == ["file", "there"]


def test_an_empty_split_is_exported_beside_another_and_not_alone(tmp_path: Path) -> None:
    empty = small(tmp_path / "run", validation=Validation(ratio=1e-12))
    export(empty, tmp_path / "hf", "hf", "--split", "all")
    export(empty, tmp_path / "raw", "raw", "--format", "llmc", "--split", "all")

    assert datasets.load_from_disk(str(tmp_path / "hf"))["validation"].num_rows == 0
    assert sorted(os.listdir(tmp_path / "raw")) == ["export.json", "tokenizer.json", "train-00000.bin"]
    alone = ("megatron", str(empty), "--out", str(tmp_path / "none"), "--split", "validation")
    assert "validation: holds no sequence, so there is nothing to export" in refused(*alone)
    assert not (tmp_path / "none").exists()


def test_ids_that_do_not_fit_are_no_token() -> None:
    with pytest.raises(DataError, match="token id 65536 does not fit uint16"):
        narrow(np.array([1, 65_536], np.int32), np.dtype("<u2"))
    with pytest.raises(DataError, match="token id 4294967295 does not fit"):
        narrow(np.array([-1], np.int32), np.dtype("<u2"))
    with pytest.raises(ConfigError, match="nanoGPT reads ids of two bytes, and the vocabulary has 151,643"):
        NanoGpt.dtype_for(151_643)


def test_of_two_who_make_one_folder_the_second_is_told(tmp_path: Path) -> None:
    out = str(tmp_path / "out")

    def put(text: bytes, meanwhile: Callable[[], None]) -> None:
        with new_target(out) as target:
            target.put("a", text)
            meanwhile()

    with pytest.raises(ConfigError, match="is there already"):
        put(b"slow", lambda: put(b"fast", lambda: None))
    assert os.listdir(tmp_path) == ["out"]
    assert (tmp_path / "out" / "a").read_bytes() == b"fast"


def test_what_was_written_before_a_fault_is_gone(made: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError), new_target(str(tmp_path / "out")) as target:
        target.put("half", "no bytes")  # type: ignore[arg-type]

    assert not os.listdir(tmp_path)
