from pathlib import Path

import pyarrow as pa
import pytest

from datapipe import ConfigError
from datapipe.stage import identity
from datapipe.testing import Result, dataset, evaluate
from stages.quality.tables import load
from stages.safety import Safety

GAMBLING = "真人娱乐，注册送现金，百家乐平台开户送彩金，最高返水。"
NEWS = (
    "警方通报，民警在专项行动中查处一起网络赌博案件，犯罪嫌疑人涉嫌开设赌场，法院作出判决并处罚款。"
    "记者从检察院了解到，被告人通过彩票和投注骗取受害人钱财，有关部门提醒消费者远离赌博。"
)
MEDICINE = (
    "Patients with symptoms of infection should see a doctor; the study of sexual health at the university hospital "
    "covers treatment of the penis and vagina, diagnosis, and medical education on sex. "
)
POSITIVE = {
    "gambling": GAMBLING * 2,
    "loans": "黑户贷款，不看征信，当天放款，无抵押贷款，急用钱加微信。",
    "invoices": "代开发票，正规发票，增值税发票代开，联系qq。",
    "english": "Best online casino, no deposit bonus, free spins! Bad credit loans, instant approval.",
    "adult": "free porn videos, live sex cams and sex chat with horny milf, hot nude pics",
    "han adult": "高清无码毛片，成人视频在线观看，人妻熟女自拍偷拍，午夜福利。",
    "evaded": "加*微*信 代-开-发-票 真 钱 游 戏",
    "traditional": "澳門線上賭場，百家樂、老虎機、六合彩開獎，註冊送彩金，最高返水。",
    "lottery": "您的手机号码已被我台抽选为场外幸运观众，将获得一等奖奖金98000元，请登录网站填写验证码领取。",
    "diplomas": "办理各大学毕业证、学位证、成绩单，真实可查，学信网可查，先做后付款，加微信。",
    "search engines": "We rank your website on the first page of Google: high DA backlinks, guest posts, SEO packages.",
    "pills": "Buy viagra online without prescription, cheap cialis from our Canadian pharmacy, free shipping.",
}


def run(*texts: str | None, lists: dict[str, str] | None = None, rows_per_batch: int = 3) -> Result:
    ids = pa.array([number.to_bytes(16) for number in range(len(texts))], pa.binary(16))
    table = pa.table({"id": ids, "text": pa.array(texts, pa.string())})
    return evaluate(Safety(lists=lists or {}).build(dataset(table)), rows_per_batch=rows_per_batch)


def is_judged(row: dict[str, float]) -> bool:
    """Returns whether a rule of `rules/safety.yaml` fires, by its own reading of the table."""
    for rule in load("safety").rules:
        held = all((row[one.signal or ""] >= (one.min or 0)) for one in rule.when)
        if held and rule.max is not None and row[rule.signal] > rule.max:
            return True
    return False


@pytest.mark.parametrize("name", POSITIVE)
def test_the_shipped_rules_fire_on(name: str) -> None:
    assert is_judged(run(POSITIVE[name]).table.to_pylist()[0])


@pytest.mark.parametrize(
    "text",
    [
        NEWS,
        MEDICINE,
        "",
        "casino",
        "porn porn porn porn porn porn",
        "以营利为目的，聚众赌博或者以赌博为业的，处三年以下有期徒刑，并处罚金。开设赌场的，依照刑法处罚。",
        "The flowers are unisexual; the species has male and female plants of equal sex ratio.",
        "发票管理办法规定，增值税发票由税务机关监制，违法开具发票的，由有关部门处罚。",
        "普通发票可在电子税务局领取，代开发票须携带经办人身份证，增值税专用发票由纳税人开具。",
        "中国福利彩票发行中心公布，本期一等奖中奖号码开出，奖金池累计八亿元，公益金用于社会福利。",
        "学校将于六月举行毕业典礼，颁发毕业证和学位证，一等奖学金获得者将发言，奖金由校友提供。",
        "他输光了钱，从赌场出来，天已经亮了。她站在门口，看着他，一句话也不说。",
        "The casino was built in 1926; gambling and betting were banned in the state until a court upheld the law.",
        "Search engines weigh backlinks; link building should follow their rules. SEO services vary widely.",
    ],
    ids=[
        *("news", "medicine", "empty", "one word", "one word repeated", "statute", "botany", "regulation", "tax"),
        *("lottery", "school", "novel", "history", "search engines"),
    ],
)
def test_no_rule_fires_on(text: str) -> None:
    assert not is_judged(run(text).table.to_pylist()[0])


def test_densities_are_weighted_hits_by_weighted_length() -> None:
    # two terms of weight 3 and, within 1,000 of length, one of them again: 3 + 3 + 3/4; 200 Han are 200 of length
    text = "代开发票，代写论文，代开发票" + "汉" * 186

    row = run(text).table.to_pylist()[0]

    assert row["spam_density"] == pytest.approx(1000 * 6.75 / 200)
    assert row["spam_terms"] == 2
    assert row["adult_density"] == row["adult_terms"] == row["insult_density"] == 0


def test_a_word_of_context_takes_two_hits_of_weight_one_away() -> None:
    # 1 + 1, 3, 3 + 1 + 1 less 2 for 警方 and 2 for 查处; a text of less than 100 is taken to have 100
    texts = ("贷款赌博", "代开发票", "代开发票，贷款，赌博，警方查处")

    assert run(*texts).table.column("spam_density").to_pylist() == [20.0, 30.0, 10.0]


@pytest.mark.parametrize(
    "text",
    [
        (
            "近日，市公安局破获一起网络赌博案。警方通报称，犯罪嫌疑人搭建线上赌场，以真人百家乐、彩票平台为名吸引群众投注，"
            "用注册送现金等手段诱骗参赌人员充值。民警在专项行动中查处涉案账户一百余个，检察院已批准逮捕，法院将择期审理。"
        ),
        (
            "青少年性教育课程应当包括生殖健康知识。很多学生第一次接触性知识来自色情视频、黄色视频和色情网站，"
            "研究表明这会使青少年产生错误认识。教师应在教材之外说明疾病预防，医生建议家长共同承担性教育。"
        ),
        (
            "Patients should not buy Viagra or buy Cialis from an unlicensed online pharmacy; generic viagra must be "
            "prescribed by a doctor after a clinical diagnosis. Symptoms such as chest pain need treatment in hospital."
        ),
    ],
)
def test_bulletins_lessons_and_leaflets_may_name_what_they_warn_of(text: str) -> None:
    row = run(text).table.to_pylist()[0]

    assert max(row["spam_terms"], row["adult_terms"]) >= 3
    assert max(row["spam_density"], row["adult_density"]) <= 6


def test_lists_of_a_user_are_columns_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("foo\t2\n代开发票\n")
    plain, listed = run("foo代开发票"), run("foo代开发票", lists={"mine": str(tmp_path / "words.txt")})

    assert listed.table.column("list_mine_density").to_pylist() == [30.0]
    assert listed.table.drop_columns("list_mine_density").equals(plain.table)
    assert listed.ledger.num_rows == 0


def test_another_content_of_a_list_is_another_stage(tmp_path: Path) -> None:
    table = dataset(pa.table({"id": pa.array([bytes(16)], pa.binary(16)), "text": ["x"]}))
    made = []
    for content in ("foo", "bar"):
        (tmp_path / "words.txt").write_text(content)
        made.append(identity(Safety(lists={"mine": str(tmp_path / "words.txt")}).build(table).op.function))  # type: ignore[union-attr]

    assert made[0] != made[1]


@pytest.mark.parametrize("rows_per_batch", [1, 2, 9])
def test_rows_do_not_depend_on_batches(rows_per_batch: int) -> None:
    texts = [*POSITIVE.values(), NEWS, None, ""]

    assert run(*texts).table.equals(run(*texts, rows_per_batch=rows_per_batch).table)


def test_a_wrong_name_of_a_list_is_an_error_while_planning(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("x")

    with pytest.raises(ConfigError, match="'my list' is no name for a column"):
        run("x", lists={"my list": str(tmp_path / "words.txt")})
    with pytest.raises(ConfigError, match="nowhere"):
        run("x", lists={"mine": str(tmp_path / "nowhere.txt")})
