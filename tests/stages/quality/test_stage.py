import hashlib
import json
import math
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from datapipe import ConfigError, PlanError
from datapipe.stage import identity
from datapipe.testing import Result, dataset, evaluate
from stages.quality import Quality
from stages.quality.stage import METADATA
from stages.quality.tables import load, of_plain, override

PROSE = (
    "The harbour was quiet that morning, and the boats lay along the wall as if they had never left it. "
    "An old man mended his net on the steps; he did not look up when we asked him the way to the mill. "
    "Behind the church a road goes up between gardens, and from its last bend you can see both of the bays. "
    "We stayed there until noon, with bread and a bottle of water, and talked about what we had found so far.\n"
)
CHINESE = (
    "清晨的港口很安静，船只都停靠在岸边，好像从来没有离开过。一位老人坐在台阶上补网，我们向他问路的时候，他没有抬头。"
    "教堂后面有一条小路，穿过几个园子一直通到山上，在最后一个转弯的地方可以看到两边的海湾。"
    "我们在那里待到中午，带着面包和一瓶水，谈起这些天来发现的东西。\n后来天气变了，云从西边过来，把山头遮住了一半。"
    "我们收拾好东西往回走，路上遇到的人都说要下雨了，可是雨到晚上也没有下。第二天，同一位老人还在那里，"
    "他的网已经补好了，正对着太阳把它展开，一个孔一个孔地看过去。\n"
)
POEM = "渡江\n无名\n小舟横渡口，微雨湿春衣。\n人语随风远，炊烟入暮稀。\n"
QUOTED = "{id: short, signal: words, min: 3, source: ours}, {id: shorter, signal: words, min: 2, source: ours}"


def documents(*texts: tuple[str, str]) -> pa.Table:
    return pa.table(
        {
            "id": pa.array([number.to_bytes(16) for number in range(len(texts))], pa.binary(16)),
            "source": ["test"] * len(texts),
            "text": [text for text, _ in texts],
            "language": [language for _, language in texts],
        }
    )


def run(stage: Quality, *texts: tuple[str, str], rows_per_batch: int = 3) -> Result:
    return evaluate(stage.build(dataset(documents(*texts))), rows_per_batch=rows_per_batch)


def rules_of(result: Result) -> dict[int, list[tuple[str, str]]]:
    found: dict[int, list[tuple[str, str]]] = {}
    for row in result.ledger.to_pylist():
        found.setdefault(int.from_bytes(row["id"]), []).append((row["action"], row["rule"]))
    return found


def test_keeps_clean_prose_and_verse_in_both_languages() -> None:
    result = run(Quality(), (PROSE, "eng_Latn"), (CHINESE, "zho_Hans"), (POEM, "zho_Hant"), (CHINESE + PROSE, "mixed"))

    assert rules_of(result) == {}
    assert result.table.num_rows == 4
    assert all(math.isnan(score) for score in result.table.column("quality").to_pylist())


@pytest.mark.parametrize(
    ("text", "language", "rule"),
    [
        ("too short", "eng_Latn", "gopher_words"),
        (PROSE * 100, "eng_Latn", "gopher_duplicate_lines"),
        (CHINESE * 20, "zho_Hans", "zh_repetition"),
        ("首页 新闻 关于 联系 产品 " * 40, "zho_Hans", "zh_sentences"),
        (
            "锘挎竻鏅ㄧ殑娓彛寰堝畨闈欙紝鑸瑰彧閮藉仠闈犲湪宀歌竟锛屽ソ鍍忎粠鏉ユ病鏈夌寮€杩囥€傘" * 8,
            "zho_Hans",
            "zh_function",
        ),
        ("加微信：abc12345，电话13812345678。" * 12, "zho_Hans", "zh_contacts"),
        ("too short", "fra_Latn", "gopher_words"),
    ],
    ids=["short", "repeated lines", "repeated text", "keywords", "mojibake", "contacts", "other language"],
)
def test_drops(text: str, language: str, rule: str) -> None:
    result = run(Quality(), (text, language))

    assert result.table.num_rows == 0
    assert rule in [name for _, name in rules_of(result)[0]]


def test_the_first_rule_in_order_drops_and_the_others_are_also_rows(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"rules: [{QUOTED}]")
    stage = Quality(profiles={"eng_Latn": str(path)})

    result = run(stage, ("one", "eng_Latn"), ("one two", "eng_Latn"), ("one two three", "eng_Latn"))

    assert rules_of(result) == {0: [("drop", "short"), ("also", "shorter")], 1: [("drop", "short")]}
    drop = result.ledger.to_pylist()[0]
    assert (drop["value"], drop["limit"], drop["note"]) == (1.0, 3.0, "one")
    assert {name: result.counts[name] for name in ("evaluated.short", "fired.short", "sole.short", "sole.shorter")} == {
        "evaluated.short": 3,
        "fired.short": 2,
        "sole.short": 1,
        "sole.shorter": 0,
    }


def test_signals_hold_every_document_that_came_and_its_verdict() -> None:
    result = run(Quality(), (PROSE, "eng_Latn"), ("short", "eng_Latn"), (CHINESE, "zho_Hans"), ("short", "xxx_Latn"))

    rows = pa.concat_tables(result.outputs["signals"]).to_pylist()
    assert [row["profile"] for row in rows] == ["gopher", "gopher", "zh-web-v1", "gopher-any"]
    assert [row["rule"] for row in rows] == [None, "gopher_words", None, "gopher_words"]
    assert rows[1]["words"] == 1


def test_a_document_without_words_is_a_row_in_the_ledger() -> None:
    result = run(Quality(), ("", "und"), ("\n\n", "zho_Hans"), ("😀", "eng_Latn"))

    assert result.table.num_rows == 0
    assert sorted(rules_of(result)) == [0, 1, 2]


@pytest.mark.parametrize("rows_per_batch", [1, 2, 7])
def test_rows_and_signals_do_not_depend_on_batches(rows_per_batch: int) -> None:
    texts = [(PROSE, "eng_Latn"), ("x", "mixed"), (CHINESE, "zho_Hans"), ("y", "und"), (CHINESE * 20, "zho_Hans")]

    one, other = run(Quality(), *texts, rows_per_batch=5), run(Quality(), *texts, rows_per_batch=rows_per_batch)

    assert one.table.select(["id", "text"]).equals(other.table.select(["id", "text"]))
    assert one.outputs["signals"][0].equals(other.outputs["signals"][0])
    assert rules_of(one) == rules_of(other)


SCORED = pa.schema([("id", pa.binary(16)), ("text", pa.string()), ("language", pa.string()), ("quality", pa.float32())])


def scored(amount: int, score: float) -> pa.Table:
    ids = [hashlib.blake2b(str(number).encode(), digest_size=16).digest() for number in range(amount)]
    columns = [ids, [PROSE] * amount, ["eng_Latn"] * amount, [score] * amount]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, SCORED, strict=True)], schema=SCORED
    )


def test_rules_look_at_columns_of_earlier_steps_and_signals_keep_them(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{id: loud, signal: exclamations, max: 3, when: {signal: rank, min: 2}, source: ours}]")
    given = documents((PROSE, "eng_Latn"), (PROSE + " ", "zho_Hans"), (PROSE + "  ", "eng_Latn"))
    given = given.append_column("exclamations", pa.array([4, 4, 3], pa.int64()))
    given = given.append_column("rank", pa.array([2.0, 1.0, 2.0], pa.float64()))

    result = evaluate(Quality(profiles={"zho_Hans": "gopher"}, also=(str(path),)).build(dataset(given)))

    assert rules_of(result) == {0: [("drop", "loud")]}
    kept = result.outputs["signals"][0]
    assert kept.schema.names[-2:] == ["exclamations", "rank"]
    assert kept.column("exclamations").to_pylist() == [4, 4, 3]
    assert kept.column("profile").to_pylist() == ["gopher"] * 3
    assert result.table.schema.field("exclamations").type == pa.int64()


def test_rules_look_at_the_bytes_of_the_text_whatever_the_source_calls_so(tmp_path: Path) -> None:
    rule = "{id: small, signal: bytes, min: 12, source: 'ours: four Han'}"
    (tmp_path / "t.yaml").write_text(f"rules: [{rule}]", encoding="utf-8")
    given = documents(("汉字三个", "zho_Hans"), ("汉字三", "zho_Hans"))
    given = given.append_column("bytes", pa.array([1, 99]))  # a field that the source had

    result = evaluate(Quality(profiles={"zho_Hans": str(tmp_path / "t.yaml")}).build(dataset(given)))

    assert result.table.column("text").to_pylist() == ["汉字三个"]
    assert [row["value"] for row in result.ledger.to_pylist()] == [9.0]
    assert result.outputs["signals"][0].column("bytes").to_pylist() == [12, 9]


def test_tables_for_all_come_behind_that_of_the_language(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{id: any, signal: words, min: 1000, source: ours}]")

    result = run(Quality(also=(str(path),)), ("too short", "eng_Latn"), (PROSE, "eng_Latn"), (CHINESE, "zho_Hans"))

    broken = rules_of(result)
    assert broken[0][0] == ("drop", "gopher_words")
    assert ("also", "any") in broken[0]
    assert (broken[1], broken[2]) == ([("drop", "any")], [("drop", "any")])
    assert result.counts["evaluated.any"] == 3


def test_a_score_is_a_rule_like_any_and_stays_a_column() -> None:
    result = evaluate(Quality(also=("classifier",)).build(dataset(scored(2, 0.25))))
    kept = evaluate(Quality(also=("classifier",)).build(dataset(scored(2, 0.5))))

    assert rules_of(result) == {key: [("drop", "classifier_quality")] for key in rules_of(result)}
    assert kept.table.column("quality").to_pylist() == [0.5, 0.5]


def test_a_draw_reports_what_it_was_to_keep_and_kept() -> None:
    # (2 - 0.5)^-9 = 512/19683 = 0.02601: in thousandths 26 a document.
    result = evaluate(Quality(also=("classifier-pareto",)).build(dataset(scored(2000, 0.5))), rows_per_batch=700)

    kept = result.table.num_rows
    assert result.counts["kept.gpt3_pareto"] == kept
    assert result.counts["evaluated.gpt3_pareto"] == 2000
    assert result.counts["expected_kept_thousandths.gpt3_pareto"] == 26 * 2000
    assert result.counts["unscored.gpt3_pareto"] == 0
    assert abs(kept - 52) < 4 * 52**0.5
    assert all(row["value"] == 0.5 < row["limit"] for row in result.ledger.to_pylist())


def test_a_document_without_a_score_is_never_dropped_for_it() -> None:
    result = evaluate(Quality(also=("classifier-pareto",)).build(dataset(scored(50, math.nan))))

    assert result.table.num_rows == 50
    assert result.counts["unscored.gpt3_pareto"] == 50
    assert result.counts["evaluated.gpt3_pareto"] == 0


def test_a_rule_on_scores_that_nobody_made_is_refused() -> None:
    given = dataset(documents((PROSE, "eng_Latn")))

    with pytest.raises(ConfigError, match=r"such a column of numbers; put .classify: \{name: quality"):
        Quality(also=("classifier",)).build(given)
    with pytest.raises(ConfigError, match="'quality', which no classifier has scored: put a step `classify` before it"):
        Quality(also=("classifier",)).build(Quality().build(given))
    with pytest.raises(ConfigError, match="c4: rule 'c4_language': no signal is called 'language_score'"):
        Quality(profiles={"eng_Latn": "c4"}).build(given)


def test_prose_rules_leave_documents_alone_that_are_said_to_be_no_prose() -> None:
    keywords = "首页 新闻 关于 联系 产品 " * 40
    given = documents(*[(keywords, "zho_Hans")] * 3).append_column("format", pa.array(["prose", "table", None]))

    broken = rules_of(evaluate(Quality().build(dataset(given))))

    assert [("drop", "zh_sentences") in broken.get(number, []) for number in range(3)] == [True, False, True]


def test_signals_say_where_a_document_is_from_and_how_long(tmp_path: Path) -> None:
    given = documents((PROSE, "eng_Latn"), ("短", "zho_Hans"))
    for name, values in {"host": ["a.b", None], "script": ["Latn", "Hans"], "format": ["prose", "list"]}.items():
        given = given.append_column(name, pa.array(values, pa.string()))

    result = evaluate(Quality().build(dataset(given)))

    kept = result.outputs["signals"][0]
    assert kept.schema.names[:9] == "id source host language script format bytes profile rule".split()
    assert [tuple(row.values())[1:7] for row in kept.to_pylist()] == [
        ("test", "a.b", "eng_Latn", "Latn", "prose", len(PROSE)),
        ("test", None, "zho_Hans", "Hans", "list", 3),
    ]


def test_signals_hold_the_tables_they_were_judged_by() -> None:
    given = dataset(documents((PROSE, "eng_Latn")))
    first = Quality(limits={"gopher_words": {"min": 7}}).build(given)

    told = [json.loads(stage.output("signals").schema.metadata[METADATA]) for stage in (first, Quality().build(first))]

    assert [item["step"] for item in told] == ["quality", "quality-2"]
    assert told[0]["profiles"]["zho_Hant"] == "zh-web-v1"
    assert of_plain(told[0]["tables"]["gopher"]) == override({"": load("gopher")}, {"gopher_words": {"min": 7}})[""]
    assert of_plain(told[1]["tables"]["gopher"]) == load("gopher")


def test_classical_chinese_has_a_table_without_what_is_modern() -> None:
    # The beginning of Mencius, in a layout without punctuation.
    text = (
        "孟子見梁惠王王曰叟不遠千里而來亦將有以利吾國乎孟子對曰王何必曰利亦有仁義而已矣王曰何以利吾國大夫曰何以利吾家士庶人曰"
        "何以利吾身上下交征利而國危矣萬乘之國弒其君者必千乘之家千乘之國弒其君者必百乘之家萬取千焉千取百焉不為不多矣苟為後義而"
        "先利不奪不饜未有仁而遺其親者也未有義而後其君者也王亦曰仁義而已矣何必曰利孟子見梁惠王王立於沼上顧鴻鴈麋鹿曰賢者亦樂此乎"
        "孟子對曰賢者而後樂此不賢者雖有此不樂也詩云經始靈臺經之營之庶民攻之不日成之經始勿亟庶民子來"
    )

    result = run(Quality(), (text, "lzh_Hant"), (text, "zho_Hant"))

    assert rules_of(result) == {1: [("drop", "zh_sentences"), ("also", "zh_closed_lines")]}


def test_code_is_no_bad_prose() -> None:
    code = "".join(
        f"def area_{n}(width: float, height_{n}: float) -> float:\n    side_{n} = {{'w': width, 'h': height_{n}}}\n"
        f"    return side_{n}['w'] * side_{n}['h'] + {n};\n\n"
        for n in range(12)
    )

    assert rules_of(run(Quality(), (code, "eng_Latn"))) == {}


def test_limits_move_a_single_rule() -> None:
    assert rules_of(run(Quality(limits={"gopher_words": {"min": 1}}), ("and the others too", "eng_Latn"))) == {}


def test_a_changed_limit_changes_the_identity_and_an_equal_table_does_not(tmp_path: Path) -> None:
    def function(stage: Quality) -> object:
        return identity(stage.build(dataset(documents((PROSE, "eng_Latn")))).op.function)  # type: ignore[union-attr]

    path = tmp_path / "rules.yaml"
    path.write_text(f"rules: [{QUOTED}]")
    before = function(Quality(profiles={"eng_Latn": str(path)}))
    path.write_text(f"# another comment\nrules: [{QUOTED}]")
    same = function(Quality(profiles={"eng_Latn": str(path)}))
    path.write_text(f"rules: [{QUOTED.replace('min: 2', 'min: 1')}]")
    other = function(Quality(profiles={"eng_Latn": str(path)}))

    assert before == same != other
    assert function(Quality()) != function(Quality(limits={"gopher_words": {"min": 1}}))


def test_mistakes_end_before_data_is_read() -> None:
    given = dataset(documents((PROSE, "eng_Latn")))

    with pytest.raises(ConfigError, match="no rule is called"):
        Quality(limits={"gopher_wrods": {"min": 1}}).build(given)
    with pytest.raises(ConfigError, match="no rule table is called"):
        Quality(profiles={"eng_Latn": "gopher2"}).build(given)
    with pytest.raises(ConfigError, match="also: c4: has rules on lines"):
        Quality(also=("c4",)).build(given)
    with pytest.raises(ConfigError, match="also: gopher-any: 'gopher_words' is the id of a rule of gopher too"):
        Quality(profiles={"default": "gopher"}, also=("gopher-any",)).build(given)
    with pytest.raises(PlanError, match="language"):
        Quality().build(dataset(pa.table({"id": pa.array([], pa.binary(16)), "text": pa.array([], pa.string())})))


@pytest.mark.parametrize(
    ("name", "language", "kept"),
    [("prc-laws", "zho_Hans", 0.95), ("taiwan-laws", "zho_Hant", 0.9), ("chinese-poetry", "zho_Hant", 0.95)],
)
def test_clean_chinese_survives(shared: Path, name: str, language: str, kept: float) -> None:
    with zstandard.open(shared / "data" / "corpora" / f"{name}.jsonl.zst", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    han = [text for text in texts if sum("\u4e00" <= letter <= "\u9fff" for letter in text) > 0.4 * len(text)]

    result = run(Quality(), *[(text, language) for text in han], rows_per_batch=500)

    assert len(han) > 300
    assert result.table.num_rows >= kept * len(han)
