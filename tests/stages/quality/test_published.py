"""The profile of FineWeb-2 as published, against what datatrove's own filters said of these texts, run once.

datatrove 0.10.1, GopherRepetitionFilter, FineWebQualityFilter and GopherQualityFilter with language="cmn_Hani" and the
limits of FineWeb-2's cmn_Hani.yml and pipeline. On 3,081 documents of the development data (9,243 verdicts) the first
rule that fires was the same for every filter; here are the cases that show each kind.
"""

import importlib.util

import pyarrow as pa
import pytest

from datapipe import ConfigError
from datapipe.testing import dataset, evaluate
from stages.quality import Quality, judge
from stages.quality.published import PUBLISHED, measure_published
from stages.quality.tables import load

jieba = pytest.mark.skipif(importlib.util.find_spec("jieba") is None, reason="the extra jieba is not installed")

SENTENCE = "我们昨天在城里的图书馆看了一本关于古代历史的书，作者是一位有名的教授。"
STORY = (
    "港口的清晨很安静，船只都停靠在岸边，好像从来没有离开过这里。一位老人坐在台阶上补着他的渔网，没有抬头看我们。"
    "教堂后面有一条小路，穿过几个园子，一直通到山上的旧城墙。我们带着面包和一瓶水，在那里待到了中午，谈起这些年来的事情。"
)
# The first rule of each filter that fired: repetition, FineWeb's own, Gopher's quality; None where it kept the text.
FILTERS = (
    ("duplicate_lines", *(f"top_{n}_gram" for n in (2, 3, 4)), *(f"duplicate_{n}_gram" for n in range(5, 11))),
    ("line_punctuation", "duplicate_line_characters", "newlines"),
    (
        *("words", "word_length", "hashes", "ellipses", "bullet_lines", "ellipsis_lines"),
        *("alphabetic_words", "stop_words"),
    ),
)
CASES = {
    "three times": (SENTENCE * 3, ("top_4_gram", None, None)),
    "story": (STORY, (None, None, None)),
    "bullets": (
        "\n".join("- " + part for part in STORY.split("。") if part),
        (None, "line_punctuation", "bullet_lines"),
    ),
    "no stop word": ("山高水远天长地久" * 20, ("top_2_gram", "line_punctuation", "words")),
    "lines": (
        "\n".join(part for part in STORY.replace("。", "，").split("，") if part),
        (None, "line_punctuation", None),
    ),
    "ellipses": ("……".join(STORY.split("，")), (None, None, "ellipses")),
    "hashes": (STORY + "#" * 12, (None, "line_punctuation", "hashes")),
    "numbers": (
        STORY + " 12 34 56 78 90 11 22 33 44 55 66 77 88 99 10 20 30 40 50 60 70",
        (None, "line_punctuation", "alphabetic_words"),
    ),
    "twice": (f"{STORY}\n{STORY}", ("duplicate_lines", "duplicate_line_characters", None)),
    "latin": ("internationalization " * 60, ("top_2_gram", "line_punctuation", "word_length")),
}


@jieba
@pytest.mark.parametrize("name", CASES)
def test_says_what_datatrove_said(name: str) -> None:
    text, expected = CASES[name]
    rules = [rule for rule in load("fineweb2-zh").rules if rule.signal in PUBLISHED.names]

    verdict = judge(measure_published(pa.array([text])), rules)

    fired = {rule.id.removeprefix("fineweb2_") for rule, fires in zip(rules, verdict.fired[:, 0], strict=True) if fires}
    assert tuple(next((rule for rule in group if rule in fired), None) for group in FILTERS) == expected


@jieba
def test_counts_what_a_hand_counts() -> None:
    # 我 来到 北京 。, twice: eight words of jieba's, two of them punctuation; 13 characters with the newline.
    (row,) = measure_published(pa.array(["我来到北京。\n我来到北京。", ""])).slice(0, 1).to_pylist()

    assert row["datatrove_words"] == 6
    assert row["datatrove_mean_word_length"] == 10 / 6
    assert row["datatrove_alphabetic_word_ratio"] == 6 / 8
    assert row["datatrove_newline_word_ratio"] == 1 / 8
    assert row["datatrove_line_punctuation_ratio"] == 1
    assert row["datatrove_duplicate_line_ratio"] == 1 / 2
    assert row["datatrove_duplicate_line_character_ratio"] == 6 / 12
    assert row["datatrove_top_2_gram_ratio"] == len("我 来到") * 2 / 13
    assert row["datatrove_duplicate_5_gram_ratio"] == 0


@jieba
def test_an_empty_text_breaks_what_asks_for_something() -> None:
    (row,) = measure_published(pa.array([None], pa.string())).to_pylist()

    assert set(row.values()) == {0}


@jieba
def test_the_profile_keeps_and_drops_documents() -> None:
    table = pa.table(
        {
            "id": pa.array([number.to_bytes(16) for number in range(3)], pa.binary(16)),
            "text": [STORY, SENTENCE * 3, STORY],
            "language": ["zho_Hans"] * 3,
            "language_score": pa.array([0.692, 1, 0.691], pa.float32()),
        }
    )

    result = evaluate(Quality(profiles={"zho_Hans": "fineweb2-zh"}).build(dataset(table)))

    first = {int.from_bytes(row["id"]): row["rule"] for row in result.ledger.to_pylist() if row["action"] == "drop"}
    assert first == {1: "fineweb2_top_4_gram", 2: "fineweb2_language"}
    assert "datatrove_words" in result.outputs["signals"][0].schema.names


def test_says_that_jieba_is_missing_before_data_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jieba" else found(name))
    table = pa.table({"id": pa.array([], pa.binary(16)), "text": pa.array([], pa.string())})
    table = table.append_column("language", pa.array([], pa.string()))
    given = dataset(table.append_column("language_score", pa.array([], pa.float32())))

    Quality(profiles={"zho_Hans": "fineweb2-zh-fast"}).build(given)
    with pytest.raises(
        ConfigError, match=r"jieba is not installed: pip install 'datapipe\[jieba\]', or take the profile"
    ):
        Quality(profiles={"zho_Hans": "fineweb2-zh"}).build(given)
