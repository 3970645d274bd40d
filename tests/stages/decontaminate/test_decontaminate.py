"""Items of benchmarks in documents: found wherever they stand, and nothing else."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datapipe import ConfigError, PlanError
from datapipe.testing import Result, dataset, evaluate
from stages.decontaminate import Benchmark, Decontaminate

QUESTION = "A ferry leaves the north pier every forty minutes and carries at most ninety people on each of its trips."
HAN_QUESTION = "某渡口每隔四十分钟开出一班渡船，每班最多载九十人，问一个上午能送多少人过江？"
ABOUT = (
    "渡口的早晨总是很安静。撑船的老人把缆绳绕在木桩上，抬头看看天色，又低头去擦船板上的露水。"
    "对岸的人家已经生起了炊烟，孩子们背着书包等在石阶上。"
)
AROUND = "The town lies on both sides of the river, and its people cross it more often than they would like to. "


@pytest.fixture
def items(tmp_path: Path) -> Path:
    """A benchmark of three items: English, Chinese, and one with choices that is short without them."""
    path = tmp_path / "ferry.jsonl"
    rows = [
        {"question": QUESTION, "answer": "360"},
        {"question": HAN_QUESTION},
        {"question": "Which of these floats?", "choices": ["a stone", "a dry cork", "an anchor", "a coin"]},
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def documents(texts: Sequence[str]) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(
                [hashlib.blake2b(bytes([n]), digest_size=16).digest() for n in range(len(texts))], pa.binary(16)
            ),
            "text": pa.array(texts, pa.string()),
            "text_digest": pa.array(
                [hashlib.blake2b(t.encode(), digest_size=16).digest() for t in texts], pa.binary(16)
            ),
        }
    )


def run(path: Path, *texts: str, **fields: Any) -> Result:
    stage = Decontaminate(benchmarks={"ferry": Benchmark(path=str(path))}, **fields)
    return evaluate(stage.build(dataset(documents(texts))))


def spread(text: str) -> str:
    """The text as a page may have it: full-width, broken into lines, between other signs."""
    wide = "".join(chr(ord(letter) + 0xFEE0) if "a" <= letter.lower() <= "z" else letter for letter in text)
    return "\n".join(wide[start : start + 17] for start in range(0, len(wide), 17))


@pytest.mark.parametrize(
    "planted",
    [
        QUESTION,
        QUESTION.upper(),
        f"{ABOUT}{QUESTION}{ABOUT}",
        f"{AROUND}{HAN_QUESTION}{AROUND}",
        f"{ABOUT}{HAN_QUESTION}{ABOUT}",
        ABOUT + HAN_QUESTION.replace("每隔", "每隔\n").replace("，", " "),
        ABOUT + "某渡口每隔四十分鐘開出一班渡船，每班最多載九十人，問一個上午能送多少人過江？",
        "Which of these floats?\nA. a stone\nB. a dry cork\nC. an anchor\nD. a coin",
        "Which of these floats? a stone, a dry cork, an anchor, a coin",
    ],
)
def test_drops_a_document_that_holds_an_item_however_it_is_written(items: Path, planted: str) -> None:
    result = run(items, AROUND * 3, planted)

    assert result.table["text"].to_pylist() == [AROUND * 3]
    assert result.ledger["rule"].to_pylist() == ["ferry"]
    assert result.ledger["note"][0].as_py().startswith("ferry.jsonl:")


def test_full_width_letters_and_broken_lines_hide_nothing(items: Path) -> None:
    assert (
        run(items, ABOUT + spread("x" + QUESTION.replace(" ", "　"))).table.num_rows == 1
    )  # the x joins the first word
    assert run(items, ABOUT + spread(QUESTION).replace("\n", "")).table.num_rows == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "。",
        AROUND * 5,
        ABOUT * 5,
        " ".join(QUESTION.split()[:12]),
        HAN_QUESTION[:19],
        "Which of these floats?",
        " ".join(reversed(QUESTION.split())),
    ],
)
def test_what_only_resembles_an_item_stays(items: Path, text: str) -> None:
    result = run(items, text)

    assert result.table["text"].to_pylist() == [text]
    assert result.table["contamination"].to_pylist() == [None]
    assert result.ledger.num_rows == 0


def test_thirteen_words_or_twenty_characters_are_enough_and_one_less_is_not(items: Path) -> None:
    words, han = QUESTION.split(), [letter for letter in HAN_QUESTION if letter not in "，？"]
    texts = [" ".join(words[2:15]), " ".join(words[2:14]), "".join(han[3:23]), "".join(han[3:22])]

    result = run(items, *texts, action="flag")

    assert result.table["contamination"].to_pylist() == ["ferry:1", None, "ferry:1", None]


def test_a_word_counts_as_twenty_thirteenths_of_a_character(tmp_path: Path) -> None:
    path = tmp_path / "mixed.txt"
    path.write_text("请把 alpha beta gamma 三个容器里的数据按时间先后排成一列再写进日志")
    whole = "请把 alpha beta gamma 三个容器里的数据按时间先后排"  # 3 words and 15 characters: 3 * 20 + 16 * 13 is 268

    result = run(path, whole + "好", "请把 alpha beta gamma 三个容器里的数据按时间先后", action="flag")

    assert result.table["contamination"].to_pylist() == ["ferry:1", None]


def test_flags_only_where_that_is_asked(items: Path) -> None:
    result = run(items, QUESTION + "\n" + HAN_QUESTION, action="flag")

    assert result.table["contamination"].to_pylist() == ["ferry:2"]
    assert result.ledger["action"].to_pylist() == ["flag"]
    assert sorted(result.outputs["overlaps"][0]["item"].to_pylist()) == ["ferry.jsonl:1", "ferry.jsonl:2"]


def test_cuts_the_item_with_its_margins_out_of_a_long_document(items: Path) -> None:
    text = AROUND * 10 + QUESTION + AROUND * 10

    result = run(items, text, action="cut")

    (left,) = result.table["text"].to_pylist()
    before, after = left.split("\n")
    assert (AROUND * 10)[: 10 * len(AROUND) - 200].strip() == before
    assert QUESTION[-40:] not in left
    assert (AROUND * 10).strip().endswith(after)
    assert result.table["text_digest"].to_pylist() == [hashlib.blake2b(left.encode(), digest_size=16).digest()]
    assert result.ledger["action"].to_pylist() == ["repair"]


def test_cutting_drops_what_would_be_left_in_shreds(items: Path) -> None:
    result = run(items, QUESTION, (AROUND * 8 + QUESTION) * 4, action="cut", pieces=2)

    assert result.table.num_rows == 0
    assert result.ledger["action"].to_pylist() == ["drop", "drop"]


def test_a_share_asks_for_more_than_one_n_gram(items: Path) -> None:
    part = AROUND + " ".join(QUESTION.split()[:14])

    assert run(items, part, action="flag").table["contamination"].to_pylist() == ["ferry:1"]
    assert run(items, part, QUESTION, action="flag", share=0.9).table["contamination"].to_pylist() == [None, "ferry:1"]


def test_a_document_that_holds_an_item_whole_holds_all_of_its_share(tmp_path: Path) -> None:
    path = tmp_path / "ferry.jsonl"
    choices = ["a stone", "a dry cork", "an anchor", "a coin"]
    path.write_text(
        json.dumps({"question": QUESTION, "choices": choices}) + "\n" + json.dumps({"question": f"{QUESTION} " * 4})
    )
    lettered = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", choices, strict=True))

    result = run(
        path, "\n".join([QUESTION, *choices]), f"{QUESTION}\n{lettered}", f"{QUESTION} " * 4, action="flag", share=1.0
    )

    assert result.table["contamination"].to_pylist() == ["ferry:1", "ferry:1", "ferry:1"]


def test_an_item_that_a_benchmark_repeats_costs_little_more_than_one(tmp_path: Path) -> None:
    path = tmp_path / "ferry.jsonl"
    path.write_text((json.dumps({"question": HAN_QUESTION}) + "\n") * 1000)
    started = time.process_time()

    result = run(path, HAN_QUESTION * 500, action="flag")

    assert result.table["contamination"].to_pylist() == ["ferry:1000"]
    assert time.process_time() - started < 3  # 0.1 s; 6 s where each of 10,000 places was kept for each item


def test_half_a_character_in_an_item_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ferry.jsonl"
    path.write_text(json.dumps({"question": f"\ud83d {QUESTION}"}))

    assert run(path, ABOUT + QUESTION).table.num_rows == 0


def test_a_passage_of_a_table_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "ferry.csv"
    path.write_text(f"question,passage\n{QUESTION},{AROUND.replace(',', '') * 2000}\n")

    assert run(path, ABOUT + QUESTION).table.num_rows == 0


def test_cuts_two_items_out_of_han_text_to_the_character(items: Path) -> None:
    text = ABOUT * 4 + HAN_QUESTION + ABOUT * 6 + QUESTION + ABOUT * 4

    result = run(items, text, action="cut", margin=3)

    ends = HAN_QUESTION.rstrip("？"), QUESTION.rstrip(".")  # signs belong to no n-gram
    first, second = (text.index(end) + len(end) for end in ends)
    assert result.table["text"].to_pylist() == [
        f"{(ABOUT * 4)[:-3]}\n{text[first + 3 : text.index(QUESTION) - 3]}\n{text[second + 3 :]}"
    ]


def test_a_template_of_many_items_is_no_overlap(tmp_path: Path) -> None:
    path = tmp_path / "template.jsonl"
    template = (
        "Read the following scenario with care and then say whether what the speaker did in it was wrong or right: "
    )
    stories = [
        f"the {name} took the last of the bread from the kitchen and left a coin of silver for it" for name in "abcdef"
    ]
    path.write_text("".join(json.dumps({"question": template + story}) + "\n" for story in stories))

    assert run(path, template * 2, action="flag", common=5).table["contamination"].to_pylist() == [None]
    assert run(path, template * 2, action="flag", common=6).table["contamination"].to_pylist() == ["ferry:6"]
    assert run(path, template + stories[3], action="flag", common=5).table["contamination"].to_pylist() != [None]


def _jsonl(path: Path, row: dict[str, Any]) -> Path:
    (path / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    return path / "a.jsonl.gz"


def _json(path: Path, row: dict[str, Any]) -> Path:
    (path / "a.json").write_text(json.dumps({"about": "ferries", "examples": [row]}))
    return path / "a.json"


def _csv(path: Path, row: dict[str, Any]) -> Path:
    with (path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    return path / "a.csv"


def _parquet(path: Path, row: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist([row]), path / "a.parquet")
    return path / "a.parquet"


@pytest.mark.parametrize("write", [_jsonl, _json, _csv, _parquet])
def test_reads_benchmarks_as_they_are_published(write: Callable[[Path, dict[str, Any]], Path], tmp_path: Path) -> None:
    path = write(tmp_path, {"id": "7", "question": QUESTION, "answer": "360"})

    assert run(path, ABOUT + QUESTION + ABOUT).ledger["rule"].to_pylist() == ["ferry"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b'{"question": ', "a.jsonl: cannot be read"),
        ("a.jsonl.gz", b"\x1f\x8b\x08garbage", "a.jsonl.gz: cannot be read"),
        ("a.csv", b"x,y\n1,2\n", "a.csv has no row with text in one of the fields question"),
        ("a.zip", b"PK", "the ending says no format"),
        ("a.jsonl", b'{"question": "a"}\n[1]\n', "a.jsonl: cannot be read .line 2 is no JSON object"),
        ("a.json", b"null", "a.json has no row with text"),
        ("a.json", b"[" * 100_000, "a.json: cannot be read"),
    ],
)
def test_a_file_that_is_no_benchmark_is_named(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigError, match=told):
        run(tmp_path / name, QUESTION)


def test_mistakes_are_named_while_planning(items: Path) -> None:
    with pytest.raises(ConfigError, match="benchmarks: there is none"):
        Decontaminate(benchmarks={}).build(dataset(documents([""])))
    with pytest.raises(ConfigError, match="benchmarks: 'c eval:1' is no name"):
        Decontaminate(benchmarks={"c eval:1": Benchmark(path=str(items))}).build(dataset(documents([""])))
    with pytest.raises(ConfigError, match="words: 3 is too small"):
        run(items, "", words=3)
    with pytest.raises(ConfigError, match="characters: 1000000 is too large"):
        run(items, "", characters=1_000_000)
    stage, textless = Decontaminate(benchmarks={"ferry": Benchmark(path=str(items))}), documents([""]).select(["id"])
    with pytest.raises(PlanError, match="needs column 'text'"):
        stage.build(dataset(textless))


def test_finds_every_item_of_the_benchmarks_inside_chinese_paragraphs(shared: Path) -> None:
    from datapipe import resource
    from stages.decontaminate.items import item_of, rows_of

    folder = shared / "data" / "benchmarks"
    files = [
        *sorted(folder.glob("gsm8k/**/test.jsonl")),
        *sorted(folder.glob("human-eval/**/HumanEval.jsonl.gz")),
        *sorted(folder.glob("mmlu/**/test/*.csv"))[:6],
        *sorted(folder.glob("gaokao/Data/*/*History*.json")),
        *sorted(folder.glob("gaokao/Data/*/*Math_II*.json")),
    ]
    named = [item_of(str(number), row, ()) for path in files for number, row in rows_of(resource(str(path)), path.name)]
    found = [item for item in named if item is not None]
    planted = [
        f"{ABOUT}{text}{ABOUT}" for item in found for text in (item.joined[0], item.joined[-1].replace("\n", " "))
    ]
    ids = pa.array([n.to_bytes(16, "big") for n in range(len(planted))], pa.binary(16))
    stage = Decontaminate(benchmarks={"all": Benchmark(path=tuple(map(str, files)))}, action="flag")

    result = evaluate(stage.build(dataset(pa.table({"id": ids, "text": planted}))), rows_per_batch=500)

    assert len(planted) > 2000
    assert result.table["contamination"].null_count == 0
