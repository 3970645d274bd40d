import json
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from datapipe.errors import ConfigError
from datapipe.testing import dataset, evaluate
from stages.format import Format
from stages.format.count import count
from stages.format.features import features
from stages.format.stage import tell
from stages.format.tables import FORMATS, rules
from stages.schema import FORMAT


def _texts() -> list[tuple[str, str]]:
    """Returns (format, text) of `texts.txt`, where a line `%% FORMAT LANGUAGE` stands above each text."""
    _, *parts = Path(__file__).with_name("texts.txt").read_text("utf-8").split("%% ")
    return [(part.split(" ")[0], part.partition("\n")[2]) for part in parts]


TEXTS = _texts()
PROSE, CODE, POEM = (next(text for told, text in TEXTS if told == name) for name in ("prose", "code", "poetry"))


def documents(texts: list[str | None]) -> pa.Table:
    ids = [number.to_bytes(16) for number in range(len(texts))]
    return pa.table({"id": pa.array(ids, pa.binary(16)), "text": pa.array(texts, pa.string())})


def formats_of(texts: list[str | None], rows_per_batch: int = 3) -> list[str]:
    made = evaluate(Format().build(dataset(documents(texts))), rows_per_batch=rows_per_batch).table
    found: list[str] = made.column("format").to_pylist()
    return found


@pytest.mark.parametrize(("name", "text"), TEXTS)
def test_tells_the_format_of_a_text_in_either_language(name: str, text: str) -> None:
    assert formats_of([text]) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "运动鞋低价 运动鞋批发 运动鞋厂家 运动鞋价格 跑步鞋低价 跑步鞋批发 跑步鞋厂家 跑步鞋价格",
        "特价运动鞋，低价运动鞋，批发运动鞋，新款运动鞋，男士运动鞋，女士运动鞋，儿童运动鞋",
        "北京律师、上海律师、广州律师、深圳律师、杭州律师、南京律师、武汉律师、成都律师",
        "坚持改革，扩大开放。艰苦奋斗，勤俭节约。\n实事求是，与时俱进。统一思想，提高认识。",
        "地段优越，交通便利，环境优美，配套齐全，户型方正，南北通透，采光良好，随时看房。",
        "昨日，市长会见外宾。\n今日，书记调研企业。\n下午，召开座谈会议。\n晚上，出席开幕仪式。\n周末，考察防汛工作。\n下周，参加经济论坛。",
        "这些城市的房价为什么涨了\n专家告诉你孩子发烧怎么办\n他用十年时间种了一万棵树\n我国成功发射了一颗卫星\n这样吃早餐的人更健康\n大学生的就业率是多少",
        "你怎么来了\n我来看看你\n外面下雨了吗\n下得很大\n那你先坐一会儿吧\n好的 谢谢你",
        "品名：红茶\n价格：50元\n产地：福建\n品名：绿茶\n价格：60元\n产地：浙江",
        "Name: John Smith\nPhone: 555-1234\nAddress: 12 Main Street\nName: Jane Doe\nPhone: 555-5678",
        "Version 1.2\nFixed a crash on start.\nVersion 1.1\nAdded a dark mode.\nVersion 1.0\nFirst release.",
    ],
)
def test_what_has_lines_or_clauses_as_of_verse_or_talk_but_no_more_is_prose(text: str) -> None:
    assert formats_of([text]) == ["prose"]


@pytest.mark.parametrize("text", ["", None, "\n \n", "OK", "好的。", "12:30", "https://example.org/a?b=c"])
def test_where_there_is_too_little_to_tell_it_is_prose(text: str | None) -> None:
    assert formats_of([text]) == ["prose"]


def test_the_score_is_the_share_of_the_text_that_looks_so_in_1024ths() -> None:
    code = "def f(a):\n    return a\n"  # 20 bytes of lines without the space around them: 9 + 8
    names, scores = tell(pa.array([code, f"{code}\nIt returns what it is given, nothing else.", ""]))

    assert names.to_pylist() == ["code", "prose", "prose"]
    assert scores.to_pylist() == [1, round((1 - 17 / (17 + 42)) * 1024) / 1024, 0]


def test_keeps_only_the_formats_asked_for_and_says_what_the_others_were() -> None:
    texts: list[str | None] = [PROSE, CODE, POEM]
    result = evaluate(Format(keep=("prose", "poetry")).build(dataset(documents(texts))))

    assert result.table.column("format").to_pylist() == ["prose", "poetry"]
    assert result.ledger.column("rule").to_pylist() == ["format"]
    assert result.ledger.column("note").to_pylist() == ["code"]
    assert result.counts["format.code"] == 1


def test_a_format_that_there_is_not_is_refused_while_planning() -> None:
    with pytest.raises(ConfigError, match="keep: 'verse' is no format; there are prose, code"):
        Format(keep=("verse",)).build(dataset(documents(["a"])))


def test_columns_are_those_of_the_schema_and_take_the_place_of_older_ones() -> None:
    table = documents(["a"]).append_column("format", pa.array(["old"]))
    made = evaluate(Format().build(dataset(table))).table

    assert made.schema.names == ["id", "text", "format", "format_score"]
    assert [made.schema.field(name).type for name in FORMAT.names] == FORMAT.types


def test_no_documents_are_no_documents() -> None:
    assert formats_of([]) == []


def test_rows_do_not_depend_on_how_batches_are_cut() -> None:
    texts: list[str | None] = [text for _, text in TEXTS]

    assert formats_of(texts, rows_per_batch=1) == formats_of(texts, rows_per_batch=100)


@given(st.lists(st.sampled_from([text for name, text in TEXTS if name == "prose"]), min_size=1, max_size=6))
def test_prose_stays_prose_however_much_of_it_there_is(parts: list[str]) -> None:
    assert formats_of(["\n\n".join(parts)]) == ["prose"]


def test_every_rule_names_features_that_there_are_and_every_format_but_prose_has_one() -> None:
    known = features(count(pa.array([""])))
    named = {name for rule in rules().decisions for name, _, _ in rule.limits} | {r.score for r in rules().decisions}

    assert named <= set(known)
    assert {rule.format for rule in rules().decisions} == set(FORMATS) - {"prose"}


@pytest.mark.parametrize(
    ("corpus", "name", "share"),
    [("prc-laws", "prose", 0.98), ("taiwan-laws", "prose", 0.93), ("license-texts", "prose", 0.97)],
)
def test_statutes_and_licences_are_prose(shared: Path, corpus: str, name: str, share: float) -> None:
    with zstandard.open(shared / f"data/corpora/{corpus}.jsonl.zst", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"].split("---", 2)[-1] for line in lines]
    found = tell(pa.array(texts))[0].to_pylist()

    assert found.count(name) / len(found) >= share
    assert found.count("navigation") + found.count("code") <= 0.005 * len(found)
