import io
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import opencc
import pyarrow as pa
import pytest
import zstandard

from datapipe import ConfigError, PlanError
from datapipe.testing import Result, dataset
from stages.dedup.fold import fold_table, load, tokens
from stages.repeats import DedupRepeats, groups
from stages.repeats.stage import REGIONS

FOLD = load(fold_table())
Run = Callable[..., Result]
CHINESE = (
    "春天来了，河边的柳树发出新芽，孩子们在草地上放风筝，老人坐在长椅上晒太阳。这台发动机采用水冷方式散热，"
    "最大功率为一百二十千瓦，适合安装在中型货车和客车上使用。"
)


def words(amount: int, seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(100_000)}" for _ in range(amount))


def texts_of(result: Result) -> list[str]:
    return [text for shard in result.shards for text in shard.column("text").to_pylist()]


def around(passage: str, *seeds: int) -> list[str]:
    """Returns documents with a passage between two sentences of their own."""
    return [f"{words(80, 2 * seed)}. {passage}. {words(80, 2 * seed + 1)}." for seed in seeds]


def without(passage: str, texts: list[str]) -> list[str]:
    return [text.replace(f" {passage}.", "") for text in texts]


def test_cuts_a_passage_of_all_documents_but_the_first(run: Run) -> None:
    passage = words(60, 0)
    texts = around(passage, 1, 2, 3)

    made = run(texts[:2], texts[2:])

    assert texts_of(made) == [texts[0], *without(passage, texts[1:])]
    left = made.ledger.to_pylist()
    first = made.table.column("id")[0].as_py()
    assert [(row["action"], row["rule"], row["value"]) for row in left] == [("repair", "repeat", 60.0)] * 2
    assert all((row["other"], row["note"]) == (first, passage[:160]) for row in left)
    assert made.table.column("repeated_ratio").to_pylist() == [0, *[round(1024 * 60 / 220) / 1024] * 2]


def test_a_rewritten_text_has_its_own_digest(run: Run) -> None:
    from stages.rewrite import digest_of

    made = run(around(words(60, 0), 1, 2)).table

    assert made.column("text_digest").to_pylist() == [digest_of(text) for text in made.column("text").to_pylist()]


@pytest.mark.parametrize("amount", [49, 50])
def test_fifty_tokens_are_a_repeat_and_fewer_are_not(amount: int, run: Run) -> None:
    texts = around(words(amount, 0), 1, 2)

    made = texts_of(run(texts))

    assert made == (texts if amount < 50 else [texts[0], *without(words(50, 0), texts[1:])])


def test_lists_every_repeat_with_its_place(run: Run) -> None:
    one, other = words(60, 0), words(70, 100)
    texts = [f"{words(9, 1)}. {one}.", f"{words(9, 2)}. {other}.", f"好 {words(80, 3)}. {one}; {words(90, 4)}. {other}"]

    made = run(texts)

    listed = pa.concat_tables(made.outputs["regions"])
    ids = made.table.column("id").to_pylist()
    assert listed.schema.equals(REGIONS)
    assert listed.drop_columns(["source", "url"]).to_pylist() == [
        {
            "id": ids[2],
            "other": ids[number],
            "tokens": len(passage.split()),
            "removed": len(passage.split()),
            "start": texts[2].encode().index(passage.encode()),
            "end": texts[2].encode().index(passage.encode()) + len(passage),
            "sample": passage[:160],
        }
        for number, passage in enumerate((one, other))
    ]


def test_flags_documents_and_leaves_them_as_they_are(run: Run) -> None:
    texts = around(words(60, 0), 1, 2)

    made = run(texts, action="flag")

    assert texts_of(made) == texts
    assert [(row["action"], row["rule"], row["value"]) for row in made.ledger.to_pylist()] == [("flag", "repeat", 60)]
    assert made.table.column("repeated_ratio").to_pylist()[1] > 0.2
    assert sum(table.num_rows for table in made.outputs["regions"]) == 1


def test_keeps_none_where_it_is_told_so(run: Run) -> None:
    passage = words(60, 0)
    texts = around(passage, 1, 2)

    made = run(texts, keep="none")

    ids = made.table.column("id").to_pylist()
    assert texts_of(made) == without(passage, texts)
    assert [row["other"] for row in made.ledger.to_pylist()] == ids[::-1]


def test_the_best_document_keeps_the_passage(run: Run) -> None:
    passage = words(60, 0)
    texts = around(passage, 1, 2, 3)

    made = run(texts, ranks=[3, 1, 2])

    assert texts_of(made) == [*without(passage, texts[:1]), texts[1], *without(passage, texts[2:])]


def test_by_default_the_longest_document_keeps_the_passage(run: Run) -> None:
    short, long = around(words(60, 0), 1, 2)
    long += words(9, 5)

    assert texts_of(run([short, long], survivor=None)) == [*without(words(60, 0), [short]), long]


def test_a_copy_and_what_is_left_of_one_are_dropped(run: Run) -> None:
    text = words(200, 0)

    made = run([text, text, f"{text}. 另外 and a few words more", f"{text}. {words(40, 1)}"])

    assert texts_of(made) == [text, words(40, 1)]
    assert [(row["action"], row["rule"], row["limit"]) for row in made.ledger.to_pylist()] == [
        ("drop", "repeat", 100),
        ("drop", "repeat", 100),
        ("repair", "repeat", None),
    ]


def test_scraps_between_cuts_go_too(run: Run) -> None:
    one, other = words(60, 0), words(60, 100)
    text = f"{words(50, 1)}. {one}, scrap one {other}. {words(50, 2)}"

    assert texts_of(run([one, other, text]))[2] == f"{words(50, 1)}. {words(50, 2)}"
    assert texts_of(run([one, other, text], scraps=9))[2] == f"{words(50, 1)}. scrap one {words(50, 2)}"


@pytest.mark.parametrize("slack", [0, 1, 2, 10])
def test_words_that_are_alike_by_chance_stay_with_their_sentence(slack: int, run: Run) -> None:
    texts = [f"On it. {CHINESE}后面的话还长。{words(9, 1)}", f"Is on it. {CHINESE}后面还有一句。{words(60, 2)}"]

    cut = texts_of(run(texts, slack=slack, scraps=0))[1]

    begin = "Is on it. " if slack > 1 else "Is "
    assert cut == f"{begin}{'后面' if slack > 1 else ''}还有一句。{words(60, 2)}"


def test_short_tokens_make_no_long_repeat(run: Run) -> None:
    digits, han = " ".join("123456789" * 6)[:99], "".join(chr(0x4E00 + number) for number in range(50))
    texts = [f"{words(40, seed)} {digits}. {words(40, seed + 1)}。{han}。{words(40, seed + 2)}" for seed in (1, 11)]

    made = texts_of(run(texts))

    assert len(digits) == 99
    assert made == [texts[0], texts[1].replace(han + "。", "")]


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("，", ","),
        lambda text: text.replace("，", " ， ").replace("。", "。\n"),
        opencc.OpenCC("s2t").convert,
    ],
    ids=["width", "spaces", "traditional"],
)
def test_knows_chinese_in_other_dress_and_leaves_the_rest_as_it_was(edit: Callable[[str], str], run: Run) -> None:
    head, tail = (
        "第一段文字，與下文無關：ＡＢＣ。\n",
        "後面還有一句話,也保留原樣，不作任何改動；還要再長一些，好讓它不被丟掉，一共五十個字左右吧。",
    )

    made = run([f"前面的话。{CHINESE}后面的话。", f"{head}{edit(CHINESE)}{tail}"])

    assert edit(CHINESE) != CHINESE
    assert texts_of(made)[1] == head + tail


def test_formats_that_are_exempt_take_no_part(run: Run) -> None:
    passage = words(60, 0)
    texts = around(passage, 1, 2, 3)
    kinds = {"format": ["code", "prose", "table"]}

    assert texts_of(run(texts, columns=kinds)) == texts
    assert texts_of(run(texts, columns=kinds, exempt=())) == [texts[0], *without(passage, texts[1:])]
    assert texts_of(run(texts, columns=kinds, exempt=("prose",))) == [*texts[:2], *without(passage, texts[2:])]


def test_passages_that_are_allowed_may_be_repeated(run: Run, tmp_path: Path) -> None:
    allowed, other = words(60, 0), words(60, 100)
    (tmp_path / "licence.txt").write_text(allowed.upper() + "\n")
    texts = [f"{text} {other}" for text in around(allowed, 1, 2)]

    made = run(texts, allow=(str(tmp_path / "*.txt"),))

    assert texts_of(made) == [texts[0], texts[1].removesuffix(f" {other}")]


def test_an_allowed_passage_does_not_shield_its_surroundings(run: Run, tmp_path: Path) -> None:
    (tmp_path / "licence.txt").write_text(words(60, 0))
    passage = f"{words(60, 100)} {words(60, 0)}"
    texts = around(passage, 1, 2)

    made = run(texts, allow=(str(tmp_path / "licence.txt"),))

    assert made.ledger.to_pylist()[0]["value"] == 60 + 49  # each run of 50 but those within the licence


def test_what_is_too_frequent_to_hold_is_found_all_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = around(words(90, 0), *range(1, 9))
    wanted = texts_of(run(texts))

    monkeypatch.setattr(groups, "MOST_HELD", 3)
    made = [texts_of(run(texts, rows_per_batch=rows)) for rows in (1, 2, 5, 1000)]

    assert made == [wanted] * 4
    assert wanted == [texts[0], *without(words(90, 0), texts[1:])]


def test_nothing_repeats_in_nothing(run: Run) -> None:
    made = run(["", "好", "one two"], [])

    assert texts_of(made) == ["", "好", "one two"]
    assert not made.ledger.num_rows


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"tokens": 3}, "tokens: 3 is too small; it is at least 4"),
        ({"tokens": 1001}, "tokens: 1001 is too large; it is at most 1000"),
        ({"least": -1}, "least: -1 is too small"),
        ({"allow": ("nowhere/*.txt",)}, "nowhere"),
    ],
)
def test_says_what_is_wrong_while_planning(fields: dict[str, object], says: str, run: Run) -> None:
    with pytest.raises(ConfigError, match=says):
        run(["a"], **fields)


def test_an_allowed_file_must_hold_a_passage(run: Run, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("too short")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * 60)

    with pytest.raises(ConfigError, match=r"short\.txt: is shorter than 50 tokens"):
        run(["a"], allow=(str(tmp_path / "short.txt"),))
    with pytest.raises(ConfigError, match=r"latin\.txt: is not UTF-8"):
        run(["a"], allow=(str(tmp_path / "latin.txt"),))


def test_exempt_needs_the_column(run: Run) -> None:
    with pytest.raises(PlanError, match="format"):
        run(["a"], exempt=("code",))
    with pytest.raises(ConfigError, match=r"exempt: 'verse' is no format; there are .*poetry"):
        run(["a"], columns={"format": ["prose"]}, exempt=("verse",))


def test_needs_documents_as_ingest_makes_them() -> None:
    with pytest.raises(PlanError, match="text_digest"):
        DedupRepeats().build(dataset(pa.table({"id": pa.array([b"0" * 16], pa.binary(16)), "text": ["a"]})))


def test_no_passage_of_real_licences_is_left_twice(shared: Path, run: Run) -> None:
    with (shared / "data/corpora/license-texts.jsonl.zst").open("rb") as raw:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
        texts = [json.loads(next(lines))["text"] for _ in range(60)]

    made = run(texts[:25], texts[25:], whole=False, characters=0, rows_per_batch=40)

    views = [tokens(text, FOLD) for text in texts]
    held = Counter(tuple(view[at : at + 50]) for view in views for at in range(len(view) - 49))
    repeated = {passage for passage, amount in held.items() if amount > 1}
    assert made.counts["removed_tokens"] > 1000
    pieces = [tokens(text, FOLD) for text in texts_of(made)]
    left = Counter(tuple(view[at : at + 50]) for view in pieces for at in range(len(view) - 49))
    assert not [passage for passage in repeated if left[passage] > 1]
