"""What people say of a corpus and no machine can know: `about.yaml`, strictly read, each mistake with its line.

Every field is a question to somebody: its description is that question in English, `ZH` has it in Chinese, and `WHO`
names whom it asks. What is not answered stands in the sheets as open, with both.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.fields import FieldInfo

from stages.audit.model import Words

WHO: Final = "who"
ZH: Final = "zh"
PEOPLE: Final = {
    "provider": Words(en="provider", zh="提供者"),
    "publisher": Words(en="publisher", zh="发布者"),
    "engineer": Words(en="data engineer", zh="数据负责人"),
    "counsel": Words(en="legal counsel", zh="法务"),
    "security": Words(en="security reviewer", zh="安全评估负责人"),
}

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
Version = Annotated[str, StringConstraints(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")]
Kind = Literal["public_dataset", "licensed", "private", "crawled", "own", "user", "synthetic", "other"]
Origin = Literal["domestic", "foreign", "mixed"]
Result = Literal["符合", "不符合", "不适用"]
# Actions of ODRL 2.2, core and common (vocab/ODRL22.ttl of w3c/poe, read 2026-11): those that concern a corpus.
Action = Literal[
    "use", "reproduce", "distribute", "derive", "modify", "aggregate", "sell", "archive", "index", "translate"
]


def asks(who: str, en: str, zh: str) -> Any:  # Any: what `Field` returns
    """Returns a field that one of PEOPLE fills; None until then."""
    return Field(default=None, description=en, json_schema_extra={WHO: who, ZH: zh})


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Agent(_Model):
    """A person or an organization."""

    name: Text
    kind: Literal["organization", "person"] = "organization"
    url: AnyHttpUrl | None = None
    email: Text | None = None


class Use(_Model):
    """What may be done with the corpus as a whole, as ODRL says it."""

    permitted: tuple[Action, ...] = ()
    prohibited: tuple[Action, ...] = ()
    conditions: Text | None = asks("counsel", "Conditions of use in words", "使用条件（文字说明）")


class SourceAbout(_Model):
    """A source of the config, as people know it."""

    kind: Kind | None = asks(
        "provider",
        "Of what kind is it: a public dataset, licensed, other private data, crawled by yourselves, made by "
        "yourselves, "
        "of users, synthetic?",
        "属于哪一类：公开数据集、商业授权、其他非公开数据、自行爬取、自有、使用者数据、合成？",
    )
    title: Text | None = asks("engineer", "What is it called where it comes from?", "在其来源处的名称？")
    url: AnyHttpUrl | None = asks("engineer", "Where is it found?", "获取地址？")
    publisher: Text | None = asks("engineer", "Who publishes it?", "由谁发布？")
    creators: tuple[Text, ...] | None = asks("engineer", "Which institutions made it?", "制作机构？")
    licence: Text | None = asks(
        "counsel", "Under which licence (SPDX), where the config says none?", "许可证（SPDX 标识），配置中未写时填写"
    )
    licence_url: AnyHttpUrl | None = asks("counsel", "Where does it state that licence?", "许可证声明所在网址？")
    licence_checked_by: Text | None = asks("counsel", "Who checked that?", "许可证由谁核实？")
    agreement: Text | None = asks("counsel", "Which contract or consent covers it?", "所依据的合同、合作协议或授权？")
    origin: Origin | None = asks("provider", "Is it from inside or outside of the country?", "来自境内还是境外？")
    collected_from: datetime.date | None = asks("engineer", "Since when was it collected?", "采集起始日期？")
    collected_to: datetime.date | None = asks("engineer", "Until when?", "采集截止日期？")
    collected_how: Text | None = asks("engineer", "How, by what tool or crawler?", "采集方式、所用工具或爬虫？")
    models: tuple[Text, ...] | None = asks("engineer", "Which models generated text of it?", "其中文本由哪些模型生成？")
    derived_from: tuple[Text, ...] | None = asks(
        "engineer", "From which datasets does it derive?", "衍生自哪些数据集？"
    )


class China(_Model):
    """What TC260-003 and its successors ask of people."""

    organization: Text | None = asks("provider", "Which organization assesses?", "开展自评估的单位？")
    assessor: Text | None = asks("security", "Who assesses, and in which role?", "评估人及职务？")
    blacklist: Text | None = asks(
        "security", "How is the list of sources that are not used kept?", "语料来源黑名单如何建立与维护？"
    )
    checked_before: Text | None = asks(
        "security", "How were sources checked before collection?", "采集前如何对来源开展安全核查？"
    )
    collection_records: Text | None = asks(
        "engineer", "Where are the records of what was collected by yourselves?", "自采语料的采集记录存放何处？"
    )
    contracts: Text | None = asks(
        "counsel", "Where are contracts on commercial data?", "商业语料的合同及合作方证明材料存放何处？"
    )
    user_consent: Text | None = asks(
        "counsel", "Which consent covers input of users?", "将使用者输入用作语料的授权记录？"
    )
    robots: Text | None = asks(
        "engineer",
        "Was robots.txt followed while crawling? It is not seen from here.",
        "爬取时是否遵守 robots 协议？（本工具看不到爬取过程）",
    )
    property_policy: Text | None = asks(
        "counsel", "Who is answerable for intellectual property, and by which policy?", "知识产权负责人及管理策略？"
    )
    property_risks: Text | None = asks(
        "counsel", "Which risks to intellectual property were found?", "识别出的知识产权侵权风险？"
    )
    personal_consent: Text | None = asks(
        "counsel", "Which consent covers personal and sensitive data?", "使用个人信息、敏感个人信息的同意依据？"
    )
    annotation: Text | None = asks(
        "engineer",
        "Did people annotate any of it, by which rules and training?",
        "是否有人工标注？标注规则、人员培训与核验情况？",
    )
    keywords: Annotated[int, Field(ge=0)] | None = asks(
        "security", "How many keywords has the list?", "关键词库总词数？"
    )
    keywords_by_risk: Text | None = asks(
        "security",
        "How many for each of the 17 risks, and when was it updated?",
        "17 种风险各有多少关键词，最近更新日期？",
    )
    classifier: Text | None = asks("security", "Which classifier covers which risks?", "分类模型及其覆盖的风险？")
    technical_checked: Annotated[float, Field(ge=0, le=1)] | None = asks(
        "security",
        "Which share of the corpus was checked by keywords and classifier?",
        "关键词与分类模型抽检所覆盖的语料比例（0 至 1）？",
    )
    technical_passed: Annotated[float, Field(ge=0, le=1)] | None = asks(
        "security", "Which share of it passed?", "其合格率（0 至 1）？"
    )
    result_source: Result | None = asks("security", "Result on sources", "语料来源安全：评估结果")
    result_content: Result | None = asks("security", "Result on content", "语料内容安全：评估结果")
    result_annotation: Result | None = asks("security", "Result on annotation", "语料标注安全：评估结果")
    result_keywords: Result | None = asks(
        "security", "Result on keywords and classifier", "关键词库与分类模型：评估结果"
    )
    result_assessment: Result | None = asks("security", "Result of the corpus assessment", "语料安全评估：评估结果")
    reasons: Text | None = asks(
        "security", "Why does what fails fail, and what is done?", "不符合或不适用的理由及后续措施"
    )


class Eu(_Model):
    """What the template of Article 53(1)(d) asks of people."""

    provider: Text | None = asks("provider", "Name and contact of the provider", "提供者名称与联系方式")
    representative: Text | None = asks("provider", "Authorised representative in the Union", "欧盟境内授权代表")
    summary_version: Text | None = asks("provider", "Version and date of the summary", "摘要的版本与日期")
    model: Text | None = asks("provider", "Versioned name of the model", "模型名称与版本")
    dependencies: Text | None = asks(
        "provider", "Models that it builds on, with their summaries", "所依赖的模型及其摘要"
    )
    placed: datetime.date | None = asks("provider", "Date of placing on the Union market", "投放欧盟市场的日期")
    last_acquired: Text | None = asks(
        "engineer", "Latest date of acquisition; is it still collected?", "最近一次获取数据的日期；是否仍在采集？"
    )
    public_other: Text | None = asks("provider", "Other public datasets, in words", "其余公开数据集的概述")
    private: Text | None = asks(
        "provider", "Private data, as far as it is known in public", "非公开数据（公开已知的部分）"
    )
    crawlers: Text | None = asks("engineer", "Names and behaviour of your crawlers", "爬虫名称及其行为")
    crawl_period: Text | None = asks("engineer", "Period of crawling", "爬取时间段")
    small_provider: bool | None = asks("provider", "Is the provider an SME?", "提供者是否为中小企业？")
    users: Text | None = asks("provider", "Data of users of your models and services", "来自自有模型与服务使用者的数据")
    synthetic: Text | None = asks("provider", "Synthetic data, and the models that made it", "合成数据及生成它的模型")
    other: Text | None = asks("provider", "Other sources", "其他来源")
    code_of_practice: bool | None = asks("counsel", "Was the code of practice signed?", "是否签署行为准则？")
    opt_outs: Text | None = asks(
        "counsel",
        "Measures before and during collection to honour reservations of rights",
        "采集前后为尊重权利保留所采取的措施",
    )
    illegal: Text | None = asks("security", "Measures against illegal content", "防范违法内容的措施")
    processing: Text | None = asks("engineer", "Other aspects of processing", "其他处理情况")


class Datasheet(_Model):
    """What a datasheet asks of people; also the human fields of the Croissant description."""

    purpose: Text | None = asks(
        "publisher", "For which purpose was it made, which gap does it fill?", "为何制作，填补什么空白？"
    )
    makers: Text | None = asks("publisher", "Which team made it, for whom?", "由哪个团队、代表谁制作？")
    funding: Text | None = asks("publisher", "Who funded it?", "由谁资助？")
    collectors: Text | None = asks(
        "engineer", "Who collected the data, and how were they paid?", "由谁采集，报酬如何？"
    )
    ethics: Text | None = asks("counsel", "Was there an ethical review?", "是否经过伦理审查？")
    notice: Text | None = asks(
        "counsel", "Were people told, did they consent, can they revoke?", "是否告知当事人、取得同意并可撤回？"
    )
    raw: Text | None = asks("engineer", "Is the raw data kept, and where?", "原始数据是否保留，存放何处？")
    used: Text | None = asks("publisher", "What was it used for already?", "已用于哪些任务？")
    uses: Text | None = asks("publisher", "What is it meant for?", "适用于哪些用途？")
    misuses: Text | None = asks("publisher", "What should it not be used for?", "不应用于哪些用途？")
    impact: Text | None = asks("publisher", "Which effect may it have on society?", "可能产生哪些社会影响？")
    limitations: Text | None = asks(
        "publisher", "Which limits are known beside those that were measured?", "除测得之外还有哪些已知局限？"
    )
    distribution: Text | None = asks(
        "publisher", "To whom is it handed on, how, and when?", "向谁、以何种方式、何时分发？"
    )
    restrictions: Text | None = asks(
        "counsel", "Which rights of others or export rules restrict that?", "受哪些第三方权利或出口管制约束？"
    )
    maintenance: Text | None = asks("publisher", "Who maintains it, how often is it updated?", "由谁维护，多久更新？")
    errata: Text | None = asks(
        "publisher", "Where are errors and requests of removal sent?", "勘误与删除请求的受理方式？"
    )
    retention: Text | None = asks(
        "publisher", "What becomes of older versions, and of data about people?", "旧版本及涉及个人的数据如何处置？"
    )


class About(_Model):
    """All of it."""

    name: Text | None = asks("publisher", "What is the corpus called in public?", "语料库对外名称？")
    description: Text | None = asks("publisher", "What is it, in a few sentences?", "用几句话介绍该语料库")
    version: Version | None = asks("publisher", "Version as MAJOR.MINOR.PATCH", "版本号（主.次.修订）")
    date_published: datetime.date | None = asks("publisher", "On which day is it published?", "发布日期？")
    url: AnyHttpUrl | None = asks("publisher", "Where is it published?", "发布网址？")
    licence: Text | None = asks(
        "counsel", "Under which licence (SPDX) is the whole handed on?", "整体以何种许可证（SPDX 标识）分发？"
    )
    licence_url: AnyHttpUrl | None = asks("counsel", "Where is that licence's text?", "许可证全文网址？")
    citation: Text | None = asks("publisher", "How is it cited (BibTeX)?", "引用格式（BibTeX）？")
    creators: tuple[Agent, ...] | None = asks("publisher", "Who made it?", "由谁制作？")
    publisher: Agent | None = asks("publisher", "Who publishes it?", "由谁发布？")
    contact: Text | None = asks("publisher", "Who answers questions?", "联系方式？")
    use: Use | None = asks("counsel", "What may be done with it?", "允许与禁止的使用方式？")
    sources: dict[str, SourceAbout] = Field(
        default_factory=dict,
        description="sources, by their names in the config",
        json_schema_extra={ZH: "各来源（按配置中的名称）"},
    )
    china: China = China()
    eu: Eu = Eu()
    datasheet: Datasheet = Datasheet()


@dataclass(frozen=True)
class Question:
    """What is asked of whom, and under which key the answer is given."""

    key: str
    who: Words
    asked: Words

    @property
    def open(self) -> Words:
        """What stands where there is no answer."""
        return Words(en=f"[OPEN: {self.who.en}: {self.asked.en}]", zh=f"［待填：{self.who.zh}：{self.asked.zh}］")


def question(key: str) -> Question:
    """Returns the question behind a key, such as `eu.provider` or `sources.NAME.kind`."""
    model: type[BaseModel] = About
    names = key.split(".")
    if names[0] == "sources":
        model, last = SourceAbout, names[-1]
    else:
        for name in names[:-1]:
            model = model_of(model.model_fields[name])
        last = names[-1]
    field = model.model_fields[last]
    return Question(key, PEOPLE[extra(field)[WHO]], Words(en=field.description or last, zh=extra(field)[ZH]))


def model_of(field: FieldInfo) -> type[BaseModel]:
    """Returns the model of a field that is one."""
    found = field.annotation
    assert isinstance(found, type)
    assert issubclass(found, BaseModel)
    return found


def extra(field: FieldInfo) -> dict[str, Any]:  # Any: JSON
    """Returns WHO and ZH of a field."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
