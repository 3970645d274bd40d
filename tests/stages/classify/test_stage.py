import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest

from datapipe.errors import ConfigError, PlanError
from datapipe.stage import identity
from datapipe.testing import Result, dataset, evaluate
from stages.classify import Classify, classifier, label, score, train_classifier
from stages.classify.bag import Settings, train
from stages.classify.model import SHIPPED
from tests.stages.classify.texts import PARTS, as_jsonl, rows, texts

COOKING = "Simmer the onion soup with butter and garlic, then bake the flour in the oven."
SAILING = "风帆和桅杆都在港口，潮水上涨，抛锚之后甲板上的缆绳被海风吹动。"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    train_classifier(str(folder / "m"), [as_jsonl(folder / "a.jsonl", rows())], "label", kind="hashed", bits=12)
    return str(folder / "m")


def documents(*given: str | None) -> pa.Table:
    ids = pa.array([number.to_bytes(16, "big") for number in range(len(given))], pa.binary(16))
    return pa.table({"id": ids, "text": pa.array(given, pa.string())})


def classified(*given: str | None, **fields: object) -> Result:
    return evaluate(Classify(**fields).build(dataset(documents(*given))))  # type: ignore[arg-type]


def test_adds_the_probability_of_one_label(path: str) -> None:
    found = classified(COOKING, SAILING, name="kitchen", model=path, positive="cooking").table

    assert found.column_names == ["id", "text", "kitchen"]
    assert found.schema.field("kitchen").type == pa.float32()
    high, low = found["kitchen"].to_pylist()
    assert high > 0.8
    assert low < 0.2


def test_adds_the_likeliest_label_and_its_probability(path: str) -> None:
    result = classified(COOKING, SAILING, COOKING, SAILING, SAILING, name="subject", model=path)

    assert result.table["subject"].to_pylist() == ["cooking", "sailing", "cooking", "sailing", "sailing"]
    assert min(result.table["subject_score"].to_pylist()) > 0.8
    assert result.counts == {"subject.cooking": 2, "subject.sailing": 3}


def test_drops_nothing_and_writes_nothing_to_the_ledger(path: str) -> None:
    result = classified(COOKING, None, "", SAILING, name="aigc", model=path)

    assert result.table["text"].to_pylist() == [COOKING, None, "", SAILING]
    assert result.ledger.num_rows == 0


def test_scores_are_multiples_of_a_1024th(path: str) -> None:
    scores = classified(*texts("cooking", 20), name="a", model=path, positive="cooking").table["a"].to_pylist()

    assert all(value * 1024 == round(value * 1024) for value in scores)


def test_scores_do_not_depend_on_the_batch(path: str) -> None:
    given = [*texts("cooking", 30), *texts("sailing", 30)]
    made = Classify(name="a", model=path, positive="cooking").build(dataset(documents(*given)))

    assert evaluate(made, rows_per_batch=1).table == evaluate(made, rows_per_batch=60).table


def test_a_column_that_an_earlier_step_makes_is_not_replaced(path: str) -> None:
    given = dataset(documents(COOKING).append_column("a", pa.array([0.0], pa.float32())))

    with pytest.raises(ConfigError, match="an earlier step makes the column 'a'"):
        Classify(name="a", model=path, positive="cooking").build(given)


def test_calibrated_scores_differ_from_raw_ones_and_keep_their_order(path: str) -> None:
    given = pa.array([text[: 12 + number] for number, text in enumerate(texts("cooking", 30))])

    raw, made = (classifier(path, calibrate=how).probabilities(given)[:, 0] for how in (False, True))

    assert abs(raw - made).max() > 0.01
    assert (raw.argsort(kind="stable") == made.argsort(kind="stable")).all()


def test_a_fasttext_model_from_elsewhere_reads_texts_as_they_are(tmp_path: Path) -> None:
    lines = ["Salt SOUP"] * 30 + ["salt soup"] * 30  # the labels differ by case alone
    (tmp_path / "m.bin").write_bytes(
        train(lines, ["upper"] * 30 + ["lower"] * 30, Settings(dim=4, bucket=64, epoch=50))
    )

    found = classified("Salt\nSOUP", "salt\nsoup", name="a", model=str(tmp_path / "m.bin")).table

    assert found["a"].to_pylist() == ["upper", "lower"]
    assert classifier(str(tmp_path / "m.bin")).calibration == ()


def test_reads_as_much_of_a_document_as_it_is_told(path: str) -> None:
    long = f"{COOKING} " * 5 + SAILING * 60
    head = classified(COOKING, name="a", model=path, positive="cooking").table["a"][0].as_py()

    spread = classified(long, name="a", model=path, positive="cooking", characters=400).table["a"][0].as_py()

    assert head > 0.8
    assert spread < 0.5  # one part of four is about cooking


def test_the_functions_for_other_steps_give_the_columns_of_the_step(path: str) -> None:
    how, given = classifier(path), pa.array([COOKING, SAILING])

    found = classified(COOKING, SAILING, name="a", model=path, positive="cooking").table["a"]

    assert score(given, how, "cooking").to_pylist() == found.to_pylist()
    assert label(given, how)[0].to_pylist() == ["cooking", "sailing"]


def test_the_fingerprint_follows_model_and_calibration_and_not_the_path(path: str, tmp_path: Path) -> None:
    for end in ("", ".json"):
        (tmp_path / f"other{end}").write_bytes(Path(path + end).read_bytes())

    first, moved = identity(classifier(path)), identity(classifier(str(tmp_path / "other")))
    raw = identity(classifier(path, calibrate=False))

    assert first == moved
    assert first != raw


def test_the_digest_that_the_config_names_must_be_the_models(path: str) -> None:
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    Classify(name="a", model=path, sha256=digest.upper()).build(dataset(documents("x")))

    with pytest.raises(ConfigError, match=f"its SHA-256 is {digest}, the config wants 00"):
        Classify(name="a", model=path, sha256="00").build(dataset(documents("x")))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "text"}, "name: 'text' is not free for a column"),
        ({"name": "Toxic!"}, "name: 'Toxic!' is not free for a column"),
        ({"positive": "toxic"}, "has no label 'toxic'; its labels are cooking, sailing"),
        ({"characters": 10}, "characters: 10 is too few"),
    ],
)
def test_wrong_fields_are_refused_while_planning(path: str, fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Classify(**{"name": "a", "model": path, **fields}).build(dataset(documents("x")))  # type: ignore[arg-type]


def test_a_file_that_is_no_model_is_refused_while_planning(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"anything")

    for positive in ("x", None):
        with pytest.raises(ConfigError, match="neither a fastText model"):
            Classify(name="a", model=str(tmp_path / "a.bin"), positive=positive).build(dataset(documents("x")))
    with pytest.raises(ConfigError, match="none"):
        Classify(name="a", model=str(tmp_path / "none")).build(dataset(documents("x")))


def test_a_calibration_of_another_model_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(SHIPPED["quality"].read_bytes())
    (tmp_path / "m.json").write_bytes(Path(f"{path}.json").read_bytes())

    with pytest.raises(ConfigError, match=r"m\.json: belongs to another model"):
        classifier(str(tmp_path / "m"))

    none_read = {**json.loads(Path(f"{path}.json").read_text("utf-8")), "characters": -5}
    for content, told in (({}, "not what `datapipe train` writes"), (none_read, "characters: -5 is nothing to read")):
        (tmp_path / "m.json").write_text(json.dumps(content), "utf-8")
        with pytest.raises(ConfigError, match=rf"m\.json: {told}"):
            classifier(str(tmp_path / "m"))


def test_documents_without_text_are_an_error_while_planning(path: str) -> None:
    with pytest.raises(PlanError, match="text"):
        Classify(name="a", model=path).build(dataset(documents("x").drop_columns("text")))


GOOD = (
    (
        "The old lighthouse had stood on the cliff for more than a century before anyone thought of painting it. When "
        "the council finally sent two men with ladders, they found that the salt had eaten through the door."
    ),
    (
        "研究人员在三年的观察中发现，这种鸟类每年春天都会回到同一片湿地。它们筑巢的位置与水位有关，如果雨水充足，巢就会建得更高"
        "一些。这一结果与早先的假设并不一致，因此需要更多的数据来解释。"
    ),
)
BAD = (
    "Home | About us | Products | Contact\nLog in\nRegister\nCart (0)\nFree shipping\nAdd to cart $19.99\nNext »",
    "首页 > 新闻中心 > 动态\n上一篇：没有了\n下一篇\n相关推荐\n在线客服\n友情链接\n版权所有 京ICP备00000000号",
    "cheap shoes, shoes online, buy shoes, best shoes, shoes sale, discount shoes, shoes store " * 3,
    "澳门彩票注册送彩金，彩票平台下载，彩票官网，彩票投注技巧，立即注册加微信领取彩金，信誉第一！" * 3,
)


@pytest.mark.parametrize(("text", "good"), [*((text, True) for text in GOOD), *((text, False) for text in BAD)])
def test_the_shipped_model_parts_running_text_from_furniture_and_spam(text: str, good: bool) -> None:
    chance = score(pa.array([text]), classifier("quality"), "good")[0].as_py()

    assert (chance > 0.5) == good


def test_the_shipped_model_is_small_and_its_card_beside_it() -> None:
    content = SHIPPED["quality"].read_bytes()
    card = SHIPPED["quality"].with_name("quality.model.md").read_text("utf-8")

    assert len(content) < 1_000_000
    assert hashlib.sha256(content).hexdigest() in card


def test_models_of_every_label_count_score_every_label(tmp_path: Path) -> None:
    given = [*rows(120), *({"text": f"{text} reef", "label": "diving"} for text in texts("sailing", 120))]
    train_classifier(str(tmp_path / "m"), [as_jsonl(tmp_path / "a.jsonl", given)], "label", kind="hashed", bits=12)

    chances = classifier(str(tmp_path / "m"), calibrate=False).probabilities(pa.array([COOKING]))

    assert chances.shape == (1, len(PARTS) + 1)
    assert chances.sum() == pytest.approx(1)
