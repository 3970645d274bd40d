"""Proof of the order from the manifest alone, and what `datapipe verify` says where plan and digest disagree."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from datapipe import ConfigError
from stages.mix import Phase, Validation, witness
from stages.mix.account import differing
from stages.mix.columns import ORDER, ORDER_FILE
from stages.mix.command import app
from stages.mix.proof import order_of_manifest, prove
from stages.mix.repeats import effective_tokens
from stages.mix.verify import check
from tests.stages.corpus.made import made
from tests.stages.mix.corpus import mixed, three_shards

Manifest = dict[str, Any]
PHASES = [
    Phase(name="stable", tokens=32 * 9000, weights={"books": 0.3, "web": 0.7}),
    Phase(name="anneal", tokens=32 * 500, weights={"books": 0.9, "web": 0.1}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of two phases in four blocks, with a held-out split and the digests of its blocks."""
    fields = {"tokens": None, "phases": PHASES, "validation": Validation(ratio=0.2), "shard_bytes": 1 << 18}
    out = made(tmp_path_factory.mktemp("proof"), rows_per_batch=512, **fields)
    order = order_of_manifest(manifest_of(out))
    leaves = [(number, order.positions(number)[0], order.digest(number)) for number in range(order.blocks)]
    columns = dict(zip(ORDER.names, zip(*leaves, strict=True), strict=True))
    pq.write_table(pa.table(columns, schema=ORDER), out / "corpus" / ORDER_FILE)
    return out


def manifest_of(folder: Path) -> Manifest:
    loaded: Manifest = json.loads((folder / "corpus/manifest.json").read_text())
    return loaded


def changed(folder: Path, tmp_path: Path, change: Callable[[Manifest], None]) -> Path:
    """Returns a copy of the corpus of which the manifest is another."""
    shutil.copytree(folder / "corpus", tmp_path / "corpus")
    manifest = manifest_of(folder)
    change(manifest)
    (tmp_path / "corpus/manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def said(*arguments: str) -> tuple[int, list[str]]:
    """Returns the exit status of `datapipe mix` and what it prints."""
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output.splitlines()


def test_the_fold_writes_the_digests_that_the_root_is_over() -> None:
    fields = {"tokens": None, "phases": PHASES, "max_epochs": None, "shard_bytes": 1 << 18}
    corpus = mixed(three_shards(), rows_per_batch=512, seq_len=32, **fields)
    order = order_of_manifest(corpus.manifest)

    assert corpus.result.outputs["order"][0].to_pylist() == [
        {"block": number, "start": start, "sha256": order.digest(number)}
        for number, start in enumerate([0, 4096, 8192, 9000])
    ]


def test_the_proof_of_every_block_holds_and_can_be_checked_with_sha256_alone(folder: Path) -> None:
    manifest = manifest_of(folder)

    for block in range(4):
        proof = prove(str(folder / "corpus"), manifest, block)
        seen = np.array([tuple(row) for row in proof.seen.tolist()], "<i8")
        node = sha256(b"\0" + sha256(seen.tobytes()).digest()).digest()
        for height, other in enumerate(proof.path):  # four leaves: the tree is full
            pair = (other + node) if block >> height & 1 else (node + other)
            node = sha256(b"\1" + pair).digest()
        assert node.hex() == manifest["order_sha256"]
        assert proof.holds


def test_a_plan_of_another_seed_or_quota_proves_nothing(folder: Path, tmp_path: Path) -> None:
    def other_seed(manifest: Manifest) -> None:
        manifest["mix"]["seed"] += 1

    other = manifest_of(changed(folder, tmp_path, other_seed))

    assert not prove(str(folder / "corpus"), other, 0).holds


def test_a_wrong_digest_in_the_index_is_nothing_to_the_proof(folder: Path, tmp_path: Path) -> None:
    out = changed(folder, tmp_path, lambda manifest: None)
    table = pq.read_table(out / "corpus" / ORDER_FILE)
    wrong = [*table.column("sha256").to_pylist()[:2], b"\0" * 32, b"\1" * 32]
    pq.write_table(
        table.set_column(2, ORDER.field("sha256"), pa.array(wrong, pa.binary(32))), out / "corpus" / ORDER_FILE
    )

    assert prove(str(out / "corpus"), manifest_of(out), 0).holds
    assert list(check(str(out))) == [
        f"{ORDER_FILE}: block 2, positions 8,192 up to 9,000, is the first that is not the plan's"
    ]


def test_without_a_digest_that_can_be_read_the_path_is_computed(folder: Path, tmp_path: Path) -> None:
    out = changed(folder, tmp_path, lambda manifest: None)
    (out / "corpus" / ORDER_FILE).write_bytes(b"broken")

    assert prove(str(out / "corpus"), manifest_of(out), 0).holds
    assert list(check(str(out))) == [
        f"{ORDER_FILE}: block 0, positions 0 up to 4,096, is the first that is not the plan's"
    ]


def test_a_sample_is_shown_as_it_lies_in_the_files(folder: Path) -> None:
    pieces = pq.read_table(folder / "corpus/index/segments-00000-of-00005.parquet").to_pylist()
    documents = pa.concat_tables(pq.read_table(path) for path in sorted((folder / "corpus/index").glob("documents-*")))
    sources = dict(zip(*(documents.column(name).to_pylist() for name in ("doc_id", "source")), strict=True))

    for piece in pieces[::400]:
        status, lines = said("proof", str(folder), "--sample", str(piece["sample"]))
        position, epoch, _, group = lines[1].split()
        assert status == 0
        assert int(position.replace(",", "")) == piece["sample"]
        assert (int(epoch), group) == (piece["epoch"], sources[piece["doc_id"]])


def test_a_block_is_listed_and_proved(folder: Path) -> None:
    status, lines = said("proof", str(folder), "--block", "3")
    order = order_of_manifest(manifest_of(folder))

    assert status == 0
    assert len(lines) == 1 + 500 + 6
    assert lines[501] == "block 3 of 4: positions 9,000 up to 9,500, phase anneal"
    assert lines[502].split() == ["SHA-256", order.digest(3).hex()]
    assert lines[-1] == "proved: the path leads from block 3 to order_sha256"


def test_what_is_not_proved_is_said_and_the_status_is_1(folder: Path, tmp_path: Path) -> None:
    def another(manifest: Manifest) -> None:
        manifest["order_sha256"] = "00" * 32

    status, lines = said("proof", str(changed(folder, tmp_path, another)), "--sample", "9200")

    assert status == 1
    assert lines[-1].startswith("not proved: the path leads to ")


def test_the_proof_as_json_is_the_proof(folder: Path) -> None:
    _, lines = said("proof", str(folder), "--block", "1", "--json")
    proof = json.loads(lines[0])

    assert (proof["start"], proof["end"], proof["phase"], proof["proved"]) == (4096, 8192, "stable", True)
    assert sha256(np.array(proof["seen"], "<i8").tobytes()).hexdigest() == proof["sha256"]
    assert proof["groups"] == ["books", "web"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give --block N or --sample T"),
        (["--block", "0", "--sample", "0"], "give --block N or --sample T"),
        (["--block", "4"], "--block 4: the training split has the blocks 0 to 3"),
        (["--sample", "9500"], "--sample 9500: the training split has the positions 0 to 9,499"),
    ],
)
def test_a_block_that_is_not_there_is_said(folder: Path, arguments: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        said("proof", str(folder), *arguments)


def test_verify_finds_nothing_in_a_whole_corpus(folder: Path) -> None:
    assert list(check(str(folder))) == []


def _another_quota(manifest: Manifest) -> None:
    groups = manifest["mix"]["groups"]
    for rows in (groups, manifest["mix"]["phases"][1]["groups"]):
        rows[0]["samples_seen"] += 1
        rows[1]["samples_seen"] -= 1
        for row, group in zip(rows, groups, strict=True):
            row["epochs"] = row["samples_seen"] / group["samples"]


def _another_sum(manifest: Manifest) -> None:
    manifest["mix"]["phases"][0]["groups"][0]["samples_seen"] += 1


def _another_root_of_validation(manifest: Manifest) -> None:
    manifest["splits"]["validation"]["order_sha256"] = "00" * 32


def _no_phases(manifest: Manifest) -> None:
    del manifest["mix"]["phases"]


def _no_size(manifest: Manifest) -> None:
    manifest["mix"]["groups"][1]["samples"] = 0


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (_another_quota, ["manifest: its plan gives the order .*, its order_sha256 is", "index/order.*: block 3, "]),
        (
            _another_sum,
            [
                "quotas of its plan sum to 9,501 samples, the split has 9,500",
                "group books: samples_seen is 3,150, by what it is made of 3,151",
                "group books: epochs is .*, by what it is made of",
                "phase stable: samples is 9,000, by what it is made of 9,001",
                "phase stable: group books: epochs is .*, by what it is made of",
                "phase anneal: first_position is 9,000, by what it is made of 9,001",
            ],
        ),
        (_another_root_of_validation, ["order_sha256 of validation is not that of .* samples as they are stored"]),
        (_no_phases, ["manifest: holds no plan of an order"]),
        (_no_size, ["manifest: its plan has sizes or quotas that no plan has"]),
    ],
)
def test_verify_says_what_differs(
    folder: Path, tmp_path: Path, change: Callable[[Manifest], None], sentences: list[str]
) -> None:
    found = list(check(str(changed(folder, tmp_path, change))))

    assert len(found) == len(sentences)
    for fault, sentence in zip(found, sentences, strict=True):
        assert re.search(sentence, fault)


def _resigned(folder: Path, tmp_path: Path, change: Callable[[list[dict[str, int]]], None]) -> Path:
    """Returns a copy of the corpus whose first index of samples is another, with its digest in the manifest."""
    name = "index/segments-00000-of-00005.parquet"

    def sign(manifest: Manifest) -> None:
        table = pq.read_table(tmp_path / "corpus" / name)
        rows = table.to_pylist()
        change(rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "corpus" / name)
        digest = sha256((tmp_path / "corpus" / name).read_bytes()).hexdigest()
        next(row for row in manifest["index"] if row["name"] == name)["file_sha256"] = digest

    return changed(folder, tmp_path, sign)


def _another_epoch(rows: list[dict[str, int]]) -> None:
    for row in rows:
        row["epoch"] += row["sample"] == 700


def _two_samples_swapped(rows: list[dict[str, int]]) -> None:
    first, second = (next(row for row in rows if row["sample"] == sample) for sample in (1500, 1600))
    for name in ("file", "file_row", "doc_start"):
        first[name], second[name] = second[name], first[name]


def _beyond(rows: list[dict[str, int]]) -> None:
    last = rows[-1]["sample"]
    for row in rows:
        row["sample"] = 9500 if row["sample"] == last else row["sample"]


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (_another_epoch, ["index: sample 700 is of epoch .* there, and of epoch .* in the order"]),
        (
            _two_samples_swapped,
            [f"index: sample {at} is not the one that was seen before as" for at in ("1,500", "1,600")],
        ),
        (_beyond, ["index: its samples are not positions below 9,500, ascending"]),
    ],
)
def test_an_index_of_samples_that_does_not_follow_the_order_is_found_though_it_is_signed(
    folder: Path, tmp_path: Path, change: Callable[[list[dict[str, int]]], None], sentences: list[str]
) -> None:
    found = list(check(str(_resigned(folder, tmp_path, change))))

    assert len(found) == len(sentences)
    for fault, sentence in zip(found, sentences, strict=True):
        assert re.search(sentence, fault)


def test_of_a_large_corpus_every_nth_sample_is_held(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness, "MOST_HELD", 40)

    def shifted(rows: list[dict[str, int]]) -> None:
        for row in rows:
            row["doc_start"] += row["sample"] > 2000  # when all have been seen once

    found = list(check(str(_resigned(folder, tmp_path, shifted))))

    assert list(check(str(folder))) == []
    assert len(found) == 4
    assert "more samples are not what the order has" in found[-1]


def test_the_groups_of_the_phases_may_stand_in_any_order(folder: Path) -> None:
    manifest = manifest_of(folder)
    before = order_of_manifest(manifest)
    for phase in manifest["mix"]["phases"]:
        phase["groups"].reverse()

    assert order_of_manifest(manifest) == before


def _numbers(facts: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # Any: JSON
    """Yields the path of every number of a manifest."""
    pairs = facts.items() if isinstance(facts, dict) else enumerate(facts) if isinstance(facts, list) else ()
    for key, value in pairs:
        yield from _numbers(value, (*path, key))
    if isinstance(facts, int | float):
        yield path


# What nothing else in the manifest says: the files do (rows of an index, documents, bytes, the seed by the order), or
# nobody does, such as the weights that were asked for.
SAID_ONCE = {"seed", "bytes", "weight", "vocabulary_size", "eos_id", "documents", "held_out", "unseen"}


def test_no_number_of_a_manifest_can_be_another_without_the_others(folder: Path) -> None:
    assert list(differing(manifest_of(folder))) == []
    for path in _numbers(manifest_of(folder)):
        manifest = manifest_of(folder)
        place = manifest
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] += 1

        once = path[-1] in SAID_ONCE or path[0] == "index" or path[:2] == ("tokenizer", "bos_id")
        assert once or list(differing(manifest)), path


def _tokenizer(manifest: Manifest) -> None:
    manifest["tokenizer"]["sha256"] = "00" * 32


def _rows(manifest: Manifest) -> None:
    manifest["index"][1]["rows"] += 1


def _documents(manifest: Manifest) -> None:
    manifest["documents"]["documents"] += 1


def _bytes(manifest: Manifest) -> None:
    manifest["shards"][2]["bytes"] += 1


def _no_index_of_documents(manifest: Manifest) -> None:
    manifest["documents"]["documents"] -= manifest["index"][1]["rows"]
    del manifest["index"][1]


def _no_index_of_samples(manifest: Manifest) -> None:
    del manifest["index"][4]


def _no_root(manifest: Manifest) -> None:
    del manifest["merkle_root"]


def _no_shards(manifest: Manifest) -> None:
    manifest["shards"] = None


def _moved_tokens(manifest: Manifest) -> None:
    """Says of a padded shard that one more of its tokens is padding, wherever that is said."""
    shard = manifest["shards"][0]
    for part in (shard, manifest["splits"]["train"]):
        part["tokens"], part["padding"] = part["tokens"] - 1, part["padding"] + 1
    phase, group = manifest["mix"]["phases"][0], manifest["mix"]["groups"][0]
    for part in (phase["groups"][0], group):
        part["tokens_seen"] -= 1
    phase["tokens"] -= 1
    total = sum(group["tokens_seen"] for group in manifest["mix"]["groups"])
    for group in manifest["mix"]["groups"]:
        group["share_seen"] = group["tokens_seen"] / total
        group["effective_tokens"] = round(effective_tokens(group["tokens"], group["tokens_seen"]))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_tokenizer, "manifest: the bytes of tokenizer.json are others"),
        (_rows, r"manifest: index/documents-00001-of-00003.parquet has 1 rows, not 2"),
        (_documents, r"manifest: 91 documents, in the index 90"),
        (_bytes, r"manifest: train-00002-of-00005.arrow has .* bytes, not "),
        (_no_index_of_documents, r"manifest: names no index/documents-00001-of-00003"),
        (_no_index_of_samples, r"manifest: names no index/segments-00001-of-00005"),
        (_no_root, r"manifest: is not as mix writes it \(KeyError: 'merkle_root'\)"),
        (_no_shards, r"manifest: is not as mix writes it \(TypeError: "),
        (_moved_tokens, r"index/segments-00000-of-00005.parquet: has .* tokens, train-00000-of-00005.arrow is said to"),
    ],
)
def test_a_manifest_that_does_not_go_with_its_files_is_found(
    folder: Path, tmp_path: Path, change: Callable[[Manifest], None], sentence: str
) -> None:
    found = list(check(str(changed(folder, tmp_path, change))))

    assert found
    assert re.search(sentence, found[0])


def test_an_index_that_lacks_a_sample_is_found_though_it_is_signed(folder: Path, tmp_path: Path) -> None:
    def without_one(rows: list[dict[str, int]]) -> None:
        kept = [row for row in rows if row["sample"] != 700]
        lost = sum(row["end"] - row["start"] for row in rows if row["sample"] == 700)
        kept[0]["end"] += lost
        rows[:] = kept

    found = list(check(str(_resigned(folder, tmp_path, without_one))))

    assert any(re.search(r"segments-00000.*: is of 2,047 samples, train-00000.* has 2,048", fault) for fault in found)
