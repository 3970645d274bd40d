"""`datapipe trace` and `datapipe skip`, as they are called."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from datapipe import ConfigError, DataError
from stages.corpus import Corpus
from stages.corpus.batches import Batches
from stages.corpus.index import segments
from stages.corpus.overlay import PIECES, put_remove
from stages.corpus.skip import skip
from stages.corpus.trace import trace
from stages.mix import Validation
from tests.stages.corpus.made import made
from tests.stages.mix.corpus import EOS, three_shards

COMMANDS = {"skip": skip, "trace": trace}


def said(command: str, *given: str | Path) -> str:
    """What a command prints."""
    app = typer.Typer()
    app.command()(COMMANDS[command])
    result = CliRunner().invoke(app, [str(one) for one in given], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def rows(*given: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said("trace", *given, "--json").splitlines()]


@pytest.fixture
def folder(packed: Path, tmp_path: Path) -> Path:
    shutil.copytree(packed, tmp_path / "run")
    return tmp_path / "run"


def documents() -> dict[str, dict[str, Any]]:
    """What was encoded, by id."""
    return {row["id"].hex(): row for table in three_shards() for row in table.to_pylist()}


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("kind", ["packed", "by_document"])
def test_trace_names_the_documents_whose_tokens_stand_there(
    request: pytest.FixtureRequest, kind: str, split: str
) -> None:
    folder = request.getfixturevalue(kind)
    read, truth = Corpus.open(str(folder)).split(split), documents()
    found = rows(folder, "--samples", ":", "--split", split)

    assert [row["sample"] for row in found] == segments(read).column("sample").to_pylist()
    for row in found:
        own = truth[row["doc_id"]]
        ids = read.sample(row["sample"])["input_ids"][row["start"] : row["end"]]
        assert ids.tolist() == own["input_ids"][row["doc_start"] : row["doc_end"]]
        assert (row["source"], row["url"], row["language"], row["tokens"]) == tuple(
            own[key] for key in ("source", "url", "language", "tokens")
        )
        assert read.locate(row["sample"]) == (int(re.findall(r"\d+", row["shard"])[0]), row["row"])


@pytest.mark.parametrize("size", ["16", "4x5,8x10,20"])
def test_batches_are_those_that_readers_yield(folder: Path, size: str) -> None:
    said("skip", folder, "3:9", "100:101")
    sizes, split = Batches.parse(size), Corpus.open(str(folder)).split()
    yielded = [position for a, b in split.overlaid.runs(0, 250) for position in range(a, b)]
    found = rows(folder, "--batches", "2:7", "--batch-size", size)

    expected = yielded[sizes.first(2) : sizes.first(7)]
    assert list(dict.fromkeys(row["sample"] for row in found)) == expected
    assert all(
        sizes.first(row["batch"]) <= yielded.index(row["sample"]) < sizes.first(row["batch"] + 1) for row in found
    )
    built = rows(folder, "--batches", "2:7", "--batch-size", size, "--as-built")
    assert list(dict.fromkeys(row["sample"] for row in built)) == list(range(sizes.first(2), sizes.first(7)))


def test_a_token_is_traced_to_its_place_in_the_document(folder: Path) -> None:
    read, truth = Corpus.open(str(folder)).split(), documents()
    shard = read.shards[2]["name"]
    first = read.shards[0]["rows"] + read.shards[1]["rows"]
    known = 0
    for offset in (0, 33, 700, 39 * 32 - 1):
        for called in (shard, "2"):
            (row,) = rows(folder, "--token", f"{called}:{offset}")
            position, place = divmod(offset, 32)
            assert (row["sample"], row["place"], row["token"]) == (first + position, place, offset)
            assert row["token_id"] == int(read.sample(first + position)["input_ids"][place])
            if not row.get("padding"):
                assert truth[row["doc_id"]]["input_ids"][row["doc_token"]] == row["token_id"]
                assert row["doc_character"] in (row["doc_token"], None)  # a token is a character in this corpus
                known += row["doc_character"] is not None and row["doc_start"] > 0
    assert known > 0


def test_the_text_of_a_piece_is_that_of_its_tokens(folder: Path) -> None:
    truth = documents()
    for row in rows(folder, "--samples", "10:30", "--decode"):
        ids = truth[row["doc_id"]]["input_ids"][row["doc_start"] : row["doc_end"]]
        assert row["text"] == "".join(chr(0x4E00 + token) for token in ids if token != EOS)
    assert f"    | {row['text']}" in said("trace", folder, "--samples", "29:30", "--decode")


def test_padding_is_traced_to_no_document(folder: Path) -> None:
    read = Corpus.open(str(folder)).split()
    position = next(at for at in range(39) if segments(read, at, at + 1).column("end").to_pylist()[-1] < 32)

    (row,) = rows(folder, "--token", f"0:{position * 32 + 31}")
    assert row["padding"] is True
    assert "padding" in said("trace", folder, "--token", f"0:{position * 32 + 31}")


def test_a_token_of_documents_is_counted_over_their_lengths(by_document: Path) -> None:
    read = Corpus.open(str(by_document)).split()
    lengths = [len(ids) for batch in read.rows(0, 32) for ids in batch.column("input_ids")]
    offset = sum(lengths[:20]) + 3

    (row,) = rows(by_document, "--token", f"train-00000-of-00007.arrow:{offset}")
    assert (row["sample"], row["place"], row["doc_token"]) == (20, 3, 3)


@pytest.mark.parametrize("by", ["id", "url"])
def test_a_document_is_traced_to_all_places_at_which_it_is_seen(folder: Path, by: str) -> None:
    read = Corpus.open(str(folder)).split()
    pieces = segments(read)
    document = pieces.column("doc_id")[17].as_py()
    url = documents()[document]["url"]
    expected = [row["sample"] for row in pieces.to_pylist() if row["doc_id"] == document]
    found = rows(folder, "--document", document.upper() if by == "id" else url)

    assert [row["sample"] for row in found] == expected
    said("skip", folder, f"{expected[0]}:{expected[0] + 1}")
    assert [row["sample"] for row in rows(folder, "--document", document)] == expected[1:]
    assert [row["sample"] for row in rows(folder, "--document", document, "--as-built")] == expected
    assert said("trace", folder, "--document", document, "--split", "validation") == ""


def test_skip_says_what_is_left_and_why(folder: Path) -> None:
    first = said("skip", folder, "3:9", "7:12", "--reason", "a spike")
    second = said("skip", folder, "--batches", "0:2", "--batch-size", "5")
    held = said("skip", folder, "1:3", "--split", "validation")

    assert first == "00001-skip: 9 samples of train are left out, 241 are read\n"
    assert second == "00002-skip: 10 samples of train are left out, 231 are read\n"
    assert held.startswith("00003-skip: 2 samples of validation are left out")
    assert said("skip", folder, "--list").splitlines() == [
        "00001-skip: train 3:12 (a spike)",
        "00002-skip: train 0:3, train 12:19",
        "00003-skip: validation 1:3",
        "train: 250 positions, 231 samples are read",
        "validation: 10 positions, 8 samples are read",
    ]


@pytest.mark.parametrize(
    ("command", "given", "expected"),
    [
        ("skip", ["5:5"], "5:5: is empty"),
        ("skip", ["5"], "5: is no range of samples of train: write A:B"),
        ("skip", ["9:5"], "9:5: the samples of train are 0:250"),
        ("skip", ["-1:5"], "is no range|No such option"),
        ("skip", ["240:251"], "240:251: the samples of train are 0:250"),
        ("skip", ["a:b"], "a:b: is no range of samples of train"),
        ("skip", [], "give samples as A:B, or batches as --batches A:B --batch-size N"),
        ("skip", ["1:2", "--batches", "1:2", "--batch-size", "3"], "one of the two"),
        ("skip", ["--batches", "1:2"], "--batches and --batch-size go together"),
        ("skip", ["--batches", "49:52", "--batch-size", "5"], "49:52: the batches of train are 0:50"),
        ("skip", ["--batches", "1:2", "--batch-size", "0"], "batch size '0'"),
        *(("skip", ["--batches", "1:2", "--batch-size", text], "batch size") for text in ("_", "4x_,8", "9" * 5000)),
        ("skip", ["1:2", "--split", "test"], "has no split 'test'"),
        ("trace", [], "give one of --samples"),
        ("trace", ["--samples", "1:2", "--token", "0:1"], "give one of --samples"),
        ("trace", ["--samples", "1:2", "--batch-size", "3"], "--batch-size goes with --batches"),
        ("trace", ["--batches", "1:2"], "--batches and --batch-size go together"),
        ("trace", ["--samples", "250:"], "250:: is empty"),
        ("trace", ["--token", "7:0"], "train has no shard '7'"),
        ("trace", ["--token", "12"], "train has no shard ''"),
        ("trace", ["--token", "0:x"], "write SHARD:OFFSET"),
        ("trace", ["--token", "0:" + "9" * 5000], "write SHARD:OFFSET"),
        ("trace", ["--token", "9" * 5000 + ":0"], "train has no shard"),
        ("trace", ["--token", "0:99999"], "the shard holds the tokens 0 to 1,247"),
        ("trace", ["--document", "nowhere"], "--document nowhere: the corpus has no document of that id or URL"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(folder: Path, command: str, given: list[str], expected: str) -> None:
    if given == ["-1:5"]:
        given = ["--", "-1:5"]
        expected = "-1:5: the samples of train are 0:250"
    with pytest.raises(ConfigError, match=re.escape(expected)):
        said(command, folder, *given)
    assert not (folder / "corpus" / "overlays").exists()


def test_what_is_skipped_already_is_not_skipped_twice(folder: Path) -> None:
    said("skip", folder, "3:9")

    with pytest.raises(ConfigError, match="4:8: is skipped already"):
        said("skip", folder, "4:8")
    assert "2 samples of train are left out" in said("skip", folder, "8:11")
    assert said("trace", folder, "--samples", "3:9") == ""
    assert len(rows(folder, "--samples", "3:9", "--as-built")) >= 6
    assert rows(folder, "--token", "0:100")[0]["skipped"] is True
    assert "sample 3, left out" in said("trace", folder, "--token", "0:100")


def test_what_a_page_calls_itself_does_not_act_on_a_terminal(folder: Path) -> None:
    hostile = "https://x/\x1b[2J\x9b1A\n\u202e"
    for path in (folder / "corpus" / "index").glob("documents-*"):
        table = pq.read_table(path)
        urls = pa.array([hostile] * len(table))
        pq.write_table(table.set_column(table.schema.get_field_index("url"), "url", urls), path)

    for given in ([], ["--json"]):
        lines = said("trace", folder, "--samples", "0:2", *given)
        assert r"https://x/\u001b[2J\u009b1A\u" in lines.replace(r"\n", r"\u000a")
        assert lines.replace("\n", "").isprintable()
    assert {row["url"] for row in rows(folder, "--samples", "0:2")} == {hostile}
    said("skip", folder, "1:2", "--reason", hostile)
    assert said("skip", folder, "--list").replace("\n", "").isprintable()


def test_of_a_document_that_is_removed_no_characters_are_counted(folder: Path) -> None:
    corpus = Corpus.open(str(folder))
    pieces = segments(corpus.split()).to_pylist()
    piece = next(row for row in pieces if row["doc_start"] == 0 and row["end"] - row["start"] > 5)
    token = f"{piece['shard']}:{piece['row'] * 32 + piece['start'] + 4}"
    assert rows(folder, "--token", token)[0]["doc_character"] == 4
    gone = {**{name: piece[name] for name in ("sample", "start", "end", "doc_id")}, "split": "train", "url": None}
    put_remove(corpus.folder, corpus.manifest, pa.Table.from_pylist([gone], PIECES), {})

    (row,) = rows(folder, "--token", token)
    assert (row["removed"], row["token_id"], row["doc_token"], row["doc_character"]) == (True, EOS, 4, None)
    assert "token 4 of the document, it is removed" in said("trace", folder, "--token", token)
    assert rows(folder, "--token", token, "--as-built")[0]["doc_character"] == 4


@pytest.mark.parametrize("packing", ["concat", "document"])
def test_a_split_of_no_sample_has_no_token(packing: str, tmp_path: Path) -> None:
    folder = made(tmp_path, packing=packing, validation=Validation(ratio=1e-12))
    split = Corpus.open(str(folder)).split("validation")

    assert list(split.rows()) == []
    with pytest.raises(ConfigError, match="--token 0:0: validation has no sample"):
        said("trace", folder, "--token", "0:0", "--split", "validation")
    with pytest.raises(ConfigError, match="has no column text"):
        list(split.rows(columns=["text"]))


def test_an_index_that_does_not_go_with_the_documents_is_not_believed(folder: Path) -> None:
    one, other = (folder / "corpus" / "index" / f"documents-0000{number}-of-00003.parquet" for number in (0, 2))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)

    with pytest.raises(DataError, match=r"`datapipe verify` says which file was changed|has no row"):
        said("trace", folder, "--samples", ":")


def test_pieces_of_an_earlier_version_are_said_to_be_of_one(folder: Path) -> None:
    path = folder / "corpus" / "index" / "segments-00000-of-00007.parquet"
    pq.write_table(pq.read_table(path).drop(["file", "file_row"]), path)

    with pytest.raises(ConfigError, match="its index of pieces has no file, file_row: an earlier datapipe made it"):
        said("trace", folder, "--samples", "0:3")
