import os
from pathlib import Path

import fasttext
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.errors import ConfigError
from datapipe.testing import dataset, evaluate
from stages.language import Language
from stages.schema import LANGUAGE

SIMPLIFIED = "春天到了，公园里的花都开了，孩子们在草地上奔跑，老人们坐在长椅上聊天。"
TRADITIONAL = "春天到了，公園裡的花都開了，孩子們在草地上奔跑，老人們坐在長椅上聊天。"
CANTONESE = "今日天氣好好，我哋去咗公園行吓，見到好多細路喺度玩，佢哋笑得好開心。"
ENGLISH = "Spring has come and the flowers in the park are open; children run over the grass."
JAPANESE = "春が来て、公園の花が咲きました。子どもたちは芝生の上を走っています。"
KOREAN = "봄이 와서 공원에 꽃이 피었습니다. 아이들이 잔디밭 위를 뛰어다닙니다."
RUSSIAN = "Пришла весна, в парке распустились цветы, дети бегают по траве."
# Su Shi, 1082; Sima Qian, about 90 BC; Li Bai, Du Fu and Su Shi's verse: typed from memory, in the public domain
ESSAY = "壬戌之秋，七月既望，蘇子與客泛舟遊於赤壁之下。清風徐來，水波不興。舉酒屬客，誦明月之詩，歌窈窕之章。"
HISTORY = "孔子曰：导之以政，齐之以刑，民免而无耻。老氏称：上德不德，是以有德。太史公曰：信哉是言也！"
QUATRAIN = "朝辭白帝彩雲間，千里江陵一日還。\n兩岸猿聲啼不住，輕舟已過萬重山。"
REGULATED = "国破山河在，城春草木深。\n感时花溅泪，恨别鸟惊心。\n烽火连三月，家书抵万金。\n白头搔更短，浑欲不胜簪。"
LYRIC = "明月几时有，把酒问青天。不知天上宫阙，今夕是何年。我欲乘风归去，又恐琼楼玉宇，高处不胜寒。"
STATUTE = "违反前款规定，情节严重的，处三年以下有期徒刑或者拘役，并处罚金；单位犯前款罪的，对单位判处罚金。"
TAIWAN_STATUTE = "主管機關為執行前條規定，得派員進入營業場所檢查之；違反者，處新臺幣三萬元以上十五萬元以下罰鍰。"
HEADLINE = "北京市朝阳区人民政府关于印发城市管理实施办法通知"
GREEK = "Ήρθε η άνοιξη και τα λουλούδια στο πάρκο άνθισαν."


def shared(path: str) -> Path:
    """Returns a file of the shared data; its absence fails in CI and skips elsewhere."""
    root = Path(os.environ.get("DATAPIPE_SHARED", Path(__file__).parents[4] / "shared"))
    if not (root / path).exists():
        message = f"{root / path} is not here"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return root / path


def documents(texts: list[str | None]) -> pa.Table:
    ids = [number.to_bytes(16) for number in range(len(texts))]
    return pa.table({"id": pa.array(ids, pa.binary(16)), "text": pa.array(texts, pa.string())})


def identified(texts: list[str | None], stage: Language | None = None, rows_per_batch: int = 3) -> pa.Table:
    made = (stage or Language()).build(dataset(documents(texts)))
    return evaluate(made, rows_per_batch=rows_per_batch).table


@pytest.mark.parametrize(
    ("text", "language", "script"),
    [
        (SIMPLIFIED, "zho_Hans", "Hans"),
        (TRADITIONAL, "zho_Hant", "Hant"),
        (CANTONESE, "yue_Hant", "Hant"),
        (ENGLISH, "eng_Latn", "Latn"),
        (ENGLISH.upper(), "eng_Latn", "Latn"),
        (JAPANESE, "jpn_Jpan", "Jpan"),
        (KOREAN, "kor_Hang", "Hang"),
        (RUSSIAN, "rus_Cyrl", "Cyrl"),
        (GREEK, "und", "Grek"),
    ],
)
def test_labels_language_and_script(text: str, language: str, script: str) -> None:
    table = identified([text])

    assert table.column("language").to_pylist() == [language]
    assert table.column("script").to_pylist() == [script]


def test_script_decides_between_simplified_and_traditional_also_where_few_characters_tell() -> None:
    table = identified(
        [
            "人人生而自由，在尊严和权利上一律平等。",
            "人人生而自由，在尊嚴和權利上一律平等。",
            "一二三四五六七八九十百千上下大小",
        ]
    )

    assert table.column("language").to_pylist() == ["zho_Hans", "zho_Hant", "zho_Hans"]
    assert table.column("script").to_pylist() == ["Hans", "Hant", "Hani"]


def test_a_text_in_both_chinese_standards_has_no_clear_script() -> None:
    table = identified([SIMPLIFIED + TRADITIONAL])

    assert table.column("script").to_pylist() == ["Hani"]


def test_a_page_in_two_languages_is_mixed_with_shares() -> None:
    table = identified([f"{SIMPLIFIED}\n{ENGLISH}\n" * 3])

    assert table.column("language").to_pylist() == ["mixed"]
    assert table.column("language_shares").to_pylist() == [
        "zho_Hans:0.59 eng_Latn:0.41"
    ]  # 90 and 62+... letters, by hand


def test_the_share_from_which_a_page_is_not_mixed_is_the_config_s() -> None:
    table = identified([f"{SIMPLIFIED}\n{ENGLISH}\n" * 3], Language(mixed_share=0.5))

    assert table.column("language").to_pylist() == ["zho_Hans"]


@pytest.mark.parametrize("text", ["", None, "12:30 — 14:00", "OK", "\n\n", "👍👍👍"])
def test_too_little_text_is_undetermined(text: str | None) -> None:
    table = identified([text])

    assert table.column("language").to_pylist() == ["und"]
    assert table.column("language_score").to_pylist() == [0]


def test_keeps_only_the_languages_asked_for_and_says_what_the_others_were() -> None:
    stage = Language(keep=("zho", "eng_Latn"))
    result = evaluate(stage.build(dataset(documents([SIMPLIFIED, RUSSIAN, TRADITIONAL, ENGLISH, ""]))))

    assert result.table.column("language").to_pylist() == ["zho_Hans", "zho_Hant", "eng_Latn"]
    assert result.ledger.column("rule").to_pylist() == ["language", "language"]
    assert result.ledger.column("note").to_pylist() == ["rus_Cyrl", "und"]
    assert result.ledger.column("value")[0].as_py() > 0.5


def test_a_language_below_the_least_score_is_undetermined() -> None:
    table = identified([SIMPLIFIED], Language(min_score=1.0))

    assert table.column("language").to_pylist() in (["und"], ["zho_Hans"])
    assert (table.column("language").to_pylist() == ["und"]) == (table.column("language_score")[0].as_py() < 1)


def test_scores_are_multiples_of_a_1024th() -> None:
    scores = identified([SIMPLIFIED, ENGLISH[:30], JAPANESE]).column("language_score").to_pylist()

    assert all((score * 1024).is_integer() and 0 < score <= 1 for score in scores)


def test_rows_do_not_depend_on_how_batches_are_cut() -> None:
    texts: list[str | None] = [SIMPLIFIED, None, ENGLISH, f"{ENGLISH}\n{RUSSIAN}", JAPANESE, "", KOREAN] * 3

    assert identified(texts, rows_per_batch=1).equals(identified(texts, rows_per_batch=100))


def test_columns_are_those_of_the_schema_and_take_the_place_of_older_ones() -> None:
    table = documents([ENGLISH]).append_column("language", pa.array(["old"]))
    made = evaluate(Language().build(dataset(table))).table

    assert made.schema.names == [
        "id",
        "text",
        "language",
        "language_score",
        "script",
        "language_shares",
        "language_spans",
    ]
    assert [made.schema.field(name).type for name in LANGUAGE.names] == LANGUAGE.types


def test_no_documents_are_no_documents() -> None:
    assert identified([]).num_rows == 0


def test_reads_lid_176_with_our_labels() -> None:
    stage = Language(model=str(shared("data/models/lid.176.ftz")))
    table = identified([SIMPLIFIED, TRADITIONAL, ENGLISH, JAPANESE, KOREAN, RUSSIAN, GREEK, CANTONESE], stage)

    labels = ["zho_Hans", "zho_Hant", "eng_Latn", "jpn_Jpan", "kor_Hang", "rus_Cyrl", "ell_Grek", "yue_Hant"]
    assert table.column("language").to_pylist() == labels


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"letters": 10}, "letters: 10 is too few"),
        ({"mixed_share": 0.3}, "mixed_share: 0.3 is not between 0.5 and 1"),
        ({"min_score": 2.0}, "min_score: 2.0 is not between"),
        ({"span_share": -0.1}, "span_share: -0.1 is not between"),
        ({"keep": ("chinese",)}, "keep: 'chinese' is no label"),
        ({"model": "/nowhere.bin"}, "/nowhere.bin: cannot be read"),
    ],
)
def test_a_wrong_field_is_refused_while_planning(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Language(**fields).build(dataset(documents([ENGLISH])))  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x28\xb5\x2f\xfd but no frame"])
def test_a_file_that_is_no_model_is_refused_while_planning(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(content)

    with pytest.raises(ConfigError, match="neither a fastText model"):
        Language(model=str(tmp_path / "model.bin")).build(dataset(documents([ENGLISH])))


@pytest.mark.parametrize("left", [10, 1_000, 300_000, 938_012])
def test_a_truncated_fasttext_model_is_refused_while_planning(tmp_path: Path, left: int) -> None:
    content = shared("data/models/lid.176.ftz").read_bytes()
    (tmp_path / "model.ftz").write_bytes(content[:left])

    with pytest.raises(ConfigError, match="fastText cannot load"):
        Language(model=str(tmp_path / "model.ftz")).build(dataset(documents([ENGLISH])))


def test_reads_a_fasttext_model_that_is_not_quantised(tmp_path: Path) -> None:
    lines = [f"__label__eng_Latn {ENGLISH}\n", f"__label__rus_Cyrl {RUSSIAN}\n"] * 20
    (tmp_path / "lines.txt").write_text("".join(lines).lower(), "utf-8")
    # each thread clears a tenth of the weights, the rest is what memory held: with fewer than eleven they may be NaN
    trained = fasttext.train_supervised(str(tmp_path / "lines.txt"), dim=4, epoch=20, lr=0.3, thread=12, verbose=0)
    trained.save_model(str(tmp_path / "model.bin"))

    table = identified([ENGLISH, RUSSIAN], Language(model=str(tmp_path / "model.bin")))

    assert table.column("language").to_pylist() == ["eng_Latn", "rus_Cyrl"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ESSAY, "lzh_Hant"),
        (HISTORY, "lzh_Hans"),
        (QUATRAIN, "lzh_Hant"),
        (REGULATED, "lzh_Hans"),
        (LYRIC, "lzh_Hans"),
        (STATUTE, "zho_Hans"),
        (TAIWAN_STATUTE, "zho_Hant"),
        (HEADLINE, "zho_Hans"),
        (SIMPLIFIED, "zho_Hans"),
        (CANTONESE, "yue_Hant"),
    ],
)
def test_classical_chinese_is_told_from_modern_verse_and_statutes_included(text: str, language: str) -> None:
    assert identified([text]).column("language").to_pylist() == [language]


def test_an_essay_that_quotes_a_classic_is_modern() -> None:
    text = f"{SIMPLIFIED}这让我们想起了苏轼的文章：{ESSAY}他们读着读着都笑了，这样的日子真是很好的。"

    assert identified([text]).column("language").to_pylist()[0].startswith("zho")


@pytest.mark.parametrize(
    "text",
    [
        "网站地图\n随笔\n老石桥\n雨天的屋檐\n晒书\n井台边\n访谈\n与修琴师一席谈\n诗歌\n江上杂咏八首\n夜雨",
        "宫保鸡丁\n鱼香肉丝\n麻婆豆腐\n回锅肉\n清蒸鲈鱼\n红烧排骨",
        "宫保鸡丁 28元\n鱼香肉丝 26元\n麻婆豆腐 18元\n水煮牛肉 48元",
        "画蛇添足、守株待兔、刻舟求剑、掩耳盗铃、亡羊补牢、狐假虎威",
        "西湖 断桥残雪 苏堤春晓 平湖秋月 曲院风荷 花港观鱼 柳浪闻莺",
        "张伟 李娜 王芳 刘洋 陈静 杨帆 赵磊 黄敏 周杰 吴倩",
        "《红楼梦》《三国演义》《水浒传》《西游记》《儒林外史》《聊斋志异》",
        "宜：嫁娶 祭祀 开光 祈福 出行 动土\n忌：安葬 破土 行丧 掘井 作灶 伐木",
        "用料：五花肉500克、生姜3片、冰糖20克\n1. 五花肉洗净切块。\n2. 锅中放油，小火炒化。\n3. 大火收汁即可出锅。",
    ],
)
def test_lists_of_names_are_not_classical_chinese(text: str) -> None:
    assert identified([text]).column("language").to_pylist() == ["zho_Hans"]


def test_a_model_without_classical_chinese_tells_it_by_its_function_words() -> None:
    stage = Language(model=str(shared("data/models/lid.176.ftz")))

    assert identified([HISTORY, SIMPLIFIED], stage).column("language").to_pylist() == ["lzh_Hans", "zho_Hans"]


def test_a_page_in_two_languages_says_which_lines_are_in_which() -> None:
    lines = [SIMPLIFIED, "", SIMPLIFIED, "12:30", ENGLISH, ENGLISH, "", SIMPLIFIED]
    spans = identified(["\n".join(lines)]).column("language_spans").to_pylist()

    assert spans == ["zho_Hans:0-3 eng_Latn:4-6 zho_Hans:7-7"]


def test_lines_of_two_languages_in_one_script_are_told_by_the_model() -> None:
    german = "Der Frühling ist gekommen, und die Kinder laufen über die Wiese im Park."
    text = "\n".join(["1.", *[ENGLISH] * 12, "2.", *[german] * 11])

    assert identified([text]).column("language_spans").to_pylist() == ["eng_Latn:0-13 deu_Latn:14-24"]


@pytest.mark.parametrize("text", [SIMPLIFIED, f"{SIMPLIFIED}\n{SIMPLIFIED} (OK)", "", None])
def test_a_page_in_one_language_has_no_spans(text: str | None) -> None:
    assert identified([text]).column("language_spans").to_pylist() == [None]


def test_the_share_from_which_a_second_language_gets_spans_is_the_config_s() -> None:
    text = "\n".join([SIMPLIFIED] * 9 + [ENGLISH])

    assert identified([text], Language(span_share=0.2)).column("language_spans").to_pylist() == [None]
    assert identified([text], Language(span_share=0.05)).column("language_spans").to_pylist() == [
        "zho_Hans:0-8 eng_Latn:9-9"
    ]


def test_where_no_line_is_long_enough_to_tell_all_are_in_the_language_of_most_letters() -> None:
    table = identified(["汉\na\n" * 40])

    assert table.column("language_shares")[0].as_py().startswith("zho_Hans:0.75 ")
    assert table.column("language_spans").to_pylist() == ["zho_Hans:0-80"]


@given(st.lists(st.sampled_from([SIMPLIFIED, ENGLISH, JAPANESE, "", "12", "ok"]), min_size=1, max_size=12))
def test_spans_cover_every_line_once(lines: list[str]) -> None:
    told = identified(["\n".join(lines)]).column("language_spans")[0].as_py()

    if told is not None:
        borders = [run.partition(":")[2].split("-") for run in told.split()]
        assert [line for a, b in borders for line in range(int(a), int(b) + 1)] == list(range(len(lines)))
