"""`datapipe train tokenizer` and `datapipe evaluate tokenizer`, on files."""

import gzip
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tokenizers import Tokenizer

from datapipe import ConfigError
from stages.tokens.command import evaluate_tokenizer, train_tokenizer

CHINESE = [f"第{number}条 数据经过清洗，去重，再按权重混合。数据清洗{number}。" for number in range(400)]
ENGLISH = [f"Document {number} is cleaned, deduplicated and mixed by weight {number}." for number in range(400)]


def lines(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "zh.jsonl.zst").write_bytes(zstandard.compress(lines(CHINESE)))
    (tmp_path / "en.jsonl.gz").write_bytes(gzip.compress(lines(ENGLISH)))
    return tmp_path


def sources(folder: Path) -> list[str]:
    return [f"zh={folder / 'zh.jsonl.zst'}", f"en={folder / 'en.jsonl.gz'}"]


def table(card: str, head: str) -> list[list[str]]:
    """Returns the cells of the rows of the table that begins with `head`."""
    rows = card[card.index(head) :].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_a_tokenizer_and_its_card_are_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "ours.json"
    train_tokenizer(str(out), sources(folder), vocab_size=500, special=["<|endoftext|>", "<|user|>"], reserve=2)

    card = (folder / "ours.json.md").read_text()
    assert hashlib.sha256(out.read_bytes()).hexdigest() in card
    assert "`<|endoftext|>` 0, `<|user|>` 1, `<|reserved_0|>` 2, `<|reserved_1|>` 3" in card
    assert Tokenizer.from_file(str(out)).get_vocab_size() == 500
    assert {row[0] for row in table(card, "| texts")} >= {"zh", "en", "all in eng_Latn", "all in zho_Hans"}
    assert "500 tokens" in capsys.readouterr().out


def test_files_in_another_form_and_order_give_equal_bytes(folder: Path) -> None:
    one, two = folder / "one.json", folder / "two.json"
    train_tokenizer(str(one), sources(folder), vocab_size=400, sample_bytes=9_000, weights="zh=1,en=1")
    pq.write_table(pa.table({"text": CHINESE[250:]}), folder / "zh-1.parquet")
    pq.write_table(pa.table({"text": CHINESE[249::-1]}), folder / "zh-2.parquet")
    given = [f"en={folder / 'en.jsonl.gz'}", f"zh={folder / 'zh-*.parquet'}"]
    train_tokenizer(str(two), given, vocab_size=400, sample_bytes=9_000, weights="en=1,zh=1")

    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(("weights", "shares"), [("zh=.8,en=.2", (0.8, 0.2)), ("zh=1,en=3", (0.25, 0.75))])
@pytest.mark.parametrize("sample_bytes", [10_000, 10**9])
def test_weights_hold_to_within_a_document(
    folder: Path, weights: str, shares: tuple[float, float], sample_bytes: int
) -> None:
    train_tokenizer(str(folder / "t.json"), sources(folder), vocab_size=300, weights=weights, sample_bytes=sample_bytes)
    found = {row[0]: row for row in table((folder / "t.json.md").read_text(), "| source")}

    there = sum(int(row[3].replace(",", "")) for row in found.values())
    longest = max(len(text.encode()) for text in (*CHINESE, *ENGLISH))
    for name, share in zip(("zh", "en"), shares, strict=True):
        wanted = share * min(sample_bytes, there)
        assert wanted - longest <= int(found[name][6].replace(",", "")) <= wanted
        assert float(found[name][7]) == pytest.approx(
            int(found[name][6].replace(",", "")) / int(found[name][3].replace(",", "")), abs=0.005
        )


def test_it_is_written_where_the_command_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    train_tokenizer("t.json", ["en=en.jsonl.gz"], vocab_size=300)

    assert (folder / "t.json").exists()
    assert (folder / "t.json.md").exists()


def test_documents_set_aside_are_not_trained_on(folder: Path) -> None:
    train_tokenizer(str(folder / "t.json"), sources(folder), vocab_size=300)
    card = (folder / "t.json.md").read_text()

    aside = {row[0]: int(row[2]) for row in table(card, "| texts")}
    sampled = {row[0]: int(row[5]) for row in table(card, "| source")}
    assert aside["zh"] + sampled["zh"] == aside["en"] + sampled["en"] == 400
    assert 0 < aside["zh"] < 40


def test_given_texts_judge_it_beside_given_tokenizers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "books").mkdir()
    (folder / "books" / "a.txt").write_text("道可道，非常道。名可名，非常名。")
    other = folder / "other.json"
    train_tokenizer(str(other), sources(folder)[1:], vocab_size=300)
    capsys.readouterr()
    held = [f"books={folder / 'books'}"]
    train_tokenizer(str(folder / "t.json"), sources(folder), vocab_size=400, held_out=held, compare=[str(other)])
    told = capsys.readouterr().out
    evaluate_tokenizer([str(folder / "t.json"), str(other)], texts=held)

    rows = table(told, "| texts")
    assert [row[:3] for row in rows[:2]] == [["books", "t.json", "1"], ["books", "other.json", "1"]]
    assert table(capsys.readouterr().out, "| texts") == rows
    # English alone knows no Han character but by its bytes: 14 Han characters, each in 3 pieces.
    assert rows[1][8] == "100.00 %"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"vocab_size": 256}, "--vocab-size: 256 is below 257"),
        ({"digits": 2}, "--digits 2: is neither 1 nor 3"),
        ({"sample_bytes": 0}, "--sample-bytes 0: is not a positive"),
        ({"weights": "zh"}, "--weights: 'zh' is not NAME=SHARE"),
        ({"weights": "zh=1"}, "en has no weight"),
        ({"weights": "zh=1,en=1,fr=1"}, "no source fr"),
        ({"special": ["<a>", "<a>"]}, "--special: '<a>' is given twice"),
        ({"special": ["a"]}, "special token 'a' is a word that texts hold"),
        ({"special": ["<>"]}, "special token '<>' is a word that texts hold"),
        ({"seed": 1 << 63}, "seed: 9223372036854775808 is no integer of 64 bits"),
        ({"out": "zh=zh.jsonl.zst"}, "'zh=zh.jsonl.zst' is not the name of a tokenizer.json"),
        ({"held_out": ["x.jsonl"]}, "--held-out: 'x.jsonl' is not NAME=PATH"),
        ({"compare": [__file__]}, "test_train_command.py: "),
        ({"text": "body"}, "en: .* holds no document with text in 'body'"),
    ],
)
def test_a_misuse_is_a_sentence(folder: Path, settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        train_tokenizer(sources=sources(folder), **{"out": str(folder / "t.json"), **settings})  # type: ignore[arg-type]


def test_a_source_that_is_not_there_is_a_sentence(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no-such"):
        train_tokenizer(str(folder / "t.json"), [f"zh={folder / 'no-such.jsonl'}"])
    with pytest.raises(ConfigError, match="'zh' is not NAME=PATH"):
        train_tokenizer(str(folder / "t.json"), ["zh"])
