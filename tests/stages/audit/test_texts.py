import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from datapipe import DataError
from stages.audit.counter import Facts
from stages.audit.ranges import tokens_of
from stages.audit.texts import CHARACTERS, Decoder, texts_of
from stages.corpus.corpus import Corpus
from stages.corpus.overlay import PIECES, put_remove
from stages.tokens.encoder import Boundaries, Encoder
from tests.stages.audit.rows import frame

NOTES = Path(__file__).resolve().parents[2] / "data" / "notes.jsonl"


def test_a_text_is_the_beginning_of_what_was_tokenized(finished: Path, facts: Facts) -> None:
    drawn = facts.tables["draw"]
    notes = [json.loads(line)["text"] for line in NOTES.read_text("utf-8").splitlines()]

    texts = texts_of(str(finished), drawn).to_pylist()

    assert [text is None for text in texts] == [place is None for place in drawn["piece_split"].to_pylist()]
    told = [text for text, source in zip(texts, drawn["source"].to_pylist(), strict=True) if text and source == "notes"]
    assert len(told) > 5
    for text in told:
        assert any(note.startswith(text) for note in notes)
        assert 5 < len(text) < 1000


def test_a_text_that_is_cut_is_what_the_tokenizers_decoder_says(finished: Path, facts: Facts) -> None:
    drawn = facts.tables["draw"]
    corpus = Corpus.open(str(finished))
    said = corpus.manifest["tokenizer"]
    encoder = Encoder(corpus.tokenizer(), Boundaries(said["bos_id"], said["eos_id"]))

    texts = texts_of(str(finished), drawn).to_pylist()

    for text, row in zip(texts, drawn.to_pylist(), strict=True):
        if text is not None:
            split = corpus.split(row["piece_split"])
            ids = split.sample(split.first(row["piece_shard"]) + row["piece_row"])["input_ids"]
            plain = encoder.decode(ids[row["piece_start"] : row["piece_end"]].tolist())
            assert text == plain.strip("\ufffd")[:CHARACTERS]


def test_a_document_that_an_overlay_removes_has_no_text(copied: Path, facts: Facts) -> None:
    drawn = facts.tables["draw"]
    corpus = Corpus.open(str(copied))
    row = next(row for row in drawn.to_pylist() if row["piece_split"] == "train")
    piece = {"split": "train", "sample": row["piece_row"], "start": row["piece_start"], "end": row["piece_end"]}
    piece |= {"doc_id": row["id"].hex(), "url": None}

    put_remove(corpus.folder, corpus.manifest, pa.Table.from_pylist([piece], PIECES), {})

    before = texts_of(str(copied), drawn.slice(0, 0)).to_pylist()
    after = dict(zip(drawn["id"].to_pylist(), texts_of(str(copied), drawn).to_pylist(), strict=True))
    assert before == []
    assert after.pop(row["id"]) is None
    assert any(text for text in after.values())


@pytest.mark.parametrize("ending", ["parquet", "jsonl.zst"])
def test_texts_are_read_from_what_write_published(tmp_path: Path, ending: str) -> None:
    written = [["one", None, "三" * 5000], ["four", "five\nlines"]]
    (tmp_path / "documents").mkdir()
    for number, texts in enumerate(written):
        path = tmp_path / "documents" / f"part-{number:05}-of-00002.{ending}"
        if ending == "parquet":
            pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path, row_group_size=2)
        else:
            lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts).encode()
            half = len(lines) // 2
            path.write_bytes(b"".join(zstandard.compress(part) for part in (lines[:half], lines[half:])))
    asked = [(1, 1), (0, 2), (0, 0), (1, 0), (0, 1), (None, None)]
    drawn = frame([{"index_file": file, "index_row": row} for file, row in asked])

    texts = texts_of(str(tmp_path), drawn)

    assert texts.type == pa.large_string()
    assert texts.to_pylist() == ["five\nlines", "三" * CHARACTERS, "one", "four", None, None]


def test_documents_without_texts_have_none_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    path = tmp_path / "documents" / "part-00000-of-00001.parquet"
    pq.write_table(pa.table({"url": ["http://a.example"]}), path)
    drawn = frame([{"index_file": 0, "index_row": 0}])

    assert texts_of(str(tmp_path), drawn).to_pylist() == [None]
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"part-00000-of-00001\.parquet: cannot be read"):
        texts_of(str(tmp_path), drawn)


def test_a_decoder_that_does_more_than_join_bytes_decodes() -> None:
    pieces = {"[UNK]": 0, "</s>": 1, "say": 2, "##ing": 3, "so": 4}
    content = {
        "version": "1.0",
        "added_tokens": [{"id": 1, "content": "</s>", "special": True, "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False}],
        "pre_tokenizer": {"type": "Whitespace"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "vocab": pieces, "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100},
    }  # fmt: skip
    decoder = Decoder(Encoder(json.dumps(content).encode(), Boundaries(None, "</s>")))

    texts = decoder([np.array([2, 3, 4, 1], np.int32), np.zeros(0, np.int32)])

    assert decoder.plain
    with pytest.raises(DataError, match="a token that the corpus's tokenizer does not have"):
        Decoder(decoder._encoder)([np.array([5], np.int32)])
    assert texts == ["saying so", ""]  # with the space that the bytes of its tokens do not have


def test_rows_of_a_far_shard_are_read_by_their_bytes_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kinds = {"fixed": pa.list_(pa.int32(), 8), "lists": pa.list_(pa.int32())}
    for name, kind in kinds.items():
        rows = [rng.integers(0, 99, 8 if name == "fixed" else rng.integers(1, 9)).tolist() for _ in range(25)]
        schema = pa.schema([("input_ids", kind), ("sample", pa.int64())])
        path = tmp_path / f"{name}.arrow"
        with pa.ipc.new_file(str(path), schema) as writer:
            for start in (0, 10, 20):
                own = rows[start : start + 10]
                writer.write_batch(pa.record_batch([pa.array(own, kind), pa.array(range(len(own)))], schema))
        asked = [(row, start, len(rows[row])) for row in (24, 0, 10, 9, 19) for start in (0, 1)]

        tokens = tokens_of(str(path), asked)

        assert [own.tolist() for own in tokens] == [rows[row][start:end] for row, start, end in asked]
        with pytest.raises(DataError, match=f"{name}.arrow: cannot be read"):
            tokens_of(str(path), [(25, 0, 1)])
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"lists\.arrow: cannot be read"):
        tokens_of(str(path), [(0, 0, 1)])


def test_what_the_corpus_has_is_read_by_bytes_too(finished: Path) -> None:
    split = Corpus.open(str(finished)).split()
    asked = [(0, 0, 256), (split.shards[0]["rows"] - 1, 3, 200)]

    tokens = tokens_of(str(finished / "corpus" / split.shards[0]["name"]), asked)

    for own, (row, start, end) in zip(tokens, asked, strict=True):
        assert own.tolist() == split.sample(row)["input_ids"][start:end].tolist()
