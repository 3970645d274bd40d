"""The public summary of training content, as the template of Article 53(1)(d) of the EU AI Act asks for it.

A provider fills it for a model; this is what of it a corpus can tell. Headings and questions are in our words; see
`verified` for what could be read of the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from stages.audit.model import Words
from stages.audit.standards.answers import Answer, Item, Part, Sheet, asked, counted, measured, shares
from stages.audit.standards.forms import KINDS, crawled, cut, domains, sources, steps
from stages.audit.standards.known import Known
from stages.audit.standards.verified import EUROPE, LAW, line

RANGES: Final = (  # of tokens of text: what they are below
    (10**9, Words(en="less than 1 billion tokens", zh="不足 10 亿词元")),
    (10**13, Words(en="1 billion to 10 trillion tokens", zh="10 亿至 10 万亿词元")),
)
ABOVE: Final = Words(en="more than 10 trillion tokens", zh="10 万亿词元以上")
LARGE: Final = 0.03  # of all public datasets: one that is named


def sheet(known: Known) -> Sheet:
    """Returns the sheet."""
    return Sheet(
        key="eu-training-content",
        title=Words(
            en="Public summary of training content (AI Act, Article 53(1)(d)): what this corpus tells",
            zh="训练内容公开摘要（欧盟《人工智能法》第 53 条第 1 款 (d) 项）：本语料可填写的部分",
        ),
        intro=Words(
            en="A summary is of a model and of all stages of its training; this sheet fills in what is of this corpus.",
            zh="摘要以模型为单位，覆盖训练的各阶段；本表只填写与本语料有关的部分。",
        ),
        parts=(_general(known), _listed(known), _processing(known)),
        facts=(*(line(fact) for fact in EUROPE), LAW),
    )


def range_of(tokens: int) -> Words:
    """Returns the range that a number of tokens is in.

    >>> range_of(12_000_000).en, range_of(10**9).en, range_of(10**13).en
    ('less than 1 billion tokens', '1 billion to 10 trillion tokens', 'more than 10 trillion tokens')
    """
    return next((words for limit, words in RANGES if tokens < limit), ABOVE)


def _item(number: str, en: str, zh: str, *answers: Answer) -> Item:
    return Item(number, Words(en=en, zh=zh), answers)


def _general(known: Known) -> Part:
    tokens, last = known.counted.total("tokens"), known.rows("sizes.months", "month")
    size = (
        Answer(
            "measured",
            Words(
                en=f"{range_of(tokens).en}: {tokens:,} tokens in {known.counted.total('documents'):,} documents, "
                "repeats not counted",
                zh=f"{range_of(tokens).zh}：{tokens:,} 个词元，{known.counted.total('documents'):,} 篇文档，"
                "重复采样不计",
            ),
            ("corpus/index",),
        )
        if tokens
        else counted(
            "not tokenized: {} bytes of text in {} documents",
            "未分词：文本 {} 字节，{} 篇文档",
            known.counted.total("bytes"),
            known.counted.total("documents"),
            keys=("documents",),
        )
    )
    months = sorted(str(month) for (month,) in last if month)
    crawl = (
        counted("latest month of a crawl: {}", "最近的采集月份：{}", _month(months[-1]), keys=("sizes.months",))
        if months
        else Answer(
            "absent", Words(en="no source states a time of a crawl", zh="没有来源注明采集时间"), ("sizes.months",)
        )
    )
    items = (
        _item("1.1", "Provider, name and contact", "提供者名称与联系方式", asked(known, "eu.provider")),
        _item("1.1", "Authorised representative", "授权代表", asked(known, "eu.representative")),
        _item("1", "Version and date of the summary", "摘要版本与日期", asked(known, "eu.summary_version")),
        _item("1.2", "Model, with version", "模型名称与版本", asked(known, "eu.model")),
        _item("1.2", "Models that it builds on", "所依赖的模型", asked(known, "eu.dependencies")),
        _item("1.2", "Date of placing on the Union market", "投放欧盟市场的日期", asked(known, "eu.placed")),
        _item("1.3", "Modality", "模态", counted("text", "文本")),
        _item("1.3", "Size of the text", "文本规模", size),
        _item(
            "1.3",
            "Types of content, by form",
            "内容类型（按体裁）",
            shares(known, "kinds.formats", "format"),
        ),
        _item("1.3", "Languages", "语种", shares(known, "kinds.languages", "language", 24)),
        _item("1.3", "Latest date of acquisition", "最近获取日期", crawl, asked(known, "eu.last_acquired")),
        _item(
            "1.3",
            "Demographic, regional characteristics, as far as seen: concentration of hosts",
            "地域等其他特征：主机集中度",
            measured(
                known,
                "{} hosts, as diverse as {} of equal size by documents; {} of the documents have no address",
                "{} 个主机，按文档折合 {} 个等规模主机；没有网址的文档占 {}",
                "hosts.number",
                "hosts.effective.documents",
                "hosts.none.documents",
                lacking=Words(en="no document has an address", zh="没有带网址的文档"),
            ),
        ),
    )
    return Part("eu.general", Words(en="1 General information", zh="1 基本信息"), items)


def _listed(known: Known) -> Part:
    table, many = domains(known, "eu.domains")
    listed = cut(many, bool(known.about.eu.small_provider))
    items = (
        _item(
            "2.1",
            "Publicly available datasets",
            "公开数据集",
            _kinds(known, ("public_dataset",)),
            _large(known),
            asked(known, "eu.public_other"),
        ),
        _item("2.2.1", "Licensed by rightsholders", "权利人商业授权的数据", _kinds(known, ("licensed",))),
        _item(
            "2.2.2",
            "Other private data of third parties",
            "第三方其他非公开数据",
            _kinds(known, ("private", "own")),
            asked(known, "eu.private"),
        ),
        _item("2.3", "Crawled and scraped by the provider", "提供者自行爬取的数据", _kinds(known, ("crawled",))),
        _item("2.3", "Crawlers: names, purposes, behaviour", "爬虫名称、用途与行为", asked(known, "eu.crawlers")),
        _item("2.3", "Period of crawling", "爬取时间段", _period(known), asked(known, "eu.crawl_period")),
        _item(
            "2.3",
            "Is the provider an SME (which lists fewer domains)?",
            "提供者是否为中小企业（所列域名较少）",
            asked(known, "eu.small_provider"),
        ),
        _item(
            "2.3",
            "Most relevant domain names by size of content",
            "按内容规模排列的主要域名",
            counted(
                "{} of {} registrable domains are listed; the whole list stands in domains.csv",
                "共 {1} 个注册域名，应列出 {0} 个；完整清单见 domains.csv",
                listed,
                many,
                keys=("domains.csv",),
            ),
        ),
        _item("2.4", "Data of users", "使用者数据", _kinds(known, ("user",)), asked(known, "eu.users")),
        _item(
            "2.5",
            "Synthetic data",
            "合成数据",
            _kinds(known, ("synthetic",)),
            asked(known, "eu.synthetic"),
            _era(known),
        ),
        _item("2.6", "Other sources", "其他来源", _kinds(known, ("other",)), asked(known, "eu.other")),
    )
    return Part(
        "eu.sources",
        Words(en="2 List of data sources", zh="2 数据来源清单"),
        items,
        (sources(known, "eu.sources_table"), table),
    )


def _month(month: str) -> str:
    """Returns a month as the template writes it.

    >>> _month("2026-01")
    '01/2026'
    """
    return "/".join(reversed(month.split("-")))


def _period(known: Known) -> Answer:
    """Returns from when to when crawled sources, and those of no stated kind, state times of a crawl."""
    times = [known.counted.of(name) for name in crawled(known)]
    days = [one[name] for one in times for name in ("first", "last")]
    there = [
        datetime.fromtimestamp(day, UTC).strftime("%m/%Y") for day in sorted(day for day in days if day is not None)
    ]
    if not there:
        return Answer(
            "absent", Words(en="no source states a time of a crawl", zh="没有来源注明采集时间"), ("corpus/index",)
        )
    return counted("{} to {}", "{} 至 {}", there[0], there[-1], keys=("corpus/index",))


def _kinds(known: Known, kinds: Sequence[str]) -> Answer:
    """Returns which sources people say to be of these kinds, and that of some it is open."""
    own = [name for name in known.counted.names if (said := known.about.sources.get(name)) and said.kind in kinds]
    unsaid = [name for name in known.counted.names if not ((said := known.about.sources.get(name)) and said.kind)]
    key = ("about.yaml: sources",)
    if not own and unsaid:
        who, names = known.question("sources.NAME.kind").who, ", ".join(unsaid[:12])
        kind = KINDS[kinds[0]]
        return Answer(
            "open",
            Words(
                en=f"[OPEN: {who.en}: are any of the sources of this kind ({kind.en})? {names}]",
                zh=f"［待填：{who.zh}：下列来源中有无“{kind.zh}”？{names}］",
            ),
            key,
        )
    if not own:
        return Answer("said", Words(en="none", zh="无"), key)
    unit = Words(en="tokens", zh="个词元") if known.tokenized else Words(en="bytes", zh="字节")
    size = sum(int(known.counted.of(name)[unit.en] or 0) for name in own)
    more = (f"; of {len(unsaid)} sources it is open", f"；另有 {len(unsaid)} 个来源待填") if unsaid else ("", "")
    return Answer(
        "said",
        Words(
            en=f"{', '.join(own)}: {size:,} {unit.en}{more[0]}",
            zh=f"{'、'.join(own)}（{'、'.join(KINDS[kind].zh for kind in kinds)}）：{size:,} {unit.zh}{more[1]}",
        ),
        key,
    )


def _large(known: Known) -> Answer:
    """Returns the public datasets of 3 % or more of all public ones, by tokens (bytes where there are none)."""
    public = [
        name
        for name in known.counted.names
        if (said := known.about.sources.get(name)) and said.kind == "public_dataset"
    ]
    if not public:
        return Answer(
            "open",
            Words(en="[OPEN: needs the kinds of the sources]", zh="［待填：须先填写各来源类别］"),
            ("about.yaml: sources",),
        )
    unit = "tokens" if known.tokenized else "bytes"
    sizes = {name: int(known.counted.of(name)[unit] or 0) for name in public}
    total = sum(sizes.values()) or 1
    large = [name for name in public if sizes[name] >= LARGE * total]
    return counted(
        "of 3 % or more of them: {}", "占其中 3% 及以上者：{}", ", ".join(large) or "–", keys=("corpus/index",)
    )


def _era(known: Known) -> Answer:
    return measured(
        known,
        "published on or after 30 November 2022, when texts of models became common, as the page or its address "
        "says: {} of the documents; not known of {}",
        "据网页或网址所载，2022 年 11 月 30 日（模型生成文本开始普及）及以后发布的文档占 {}；发布时间未知的占 {}",
        "sizes.era_after.documents",
        "sizes.era_none.documents",
        lacking=Words(en="no document states when it was published", zh="没有注明发布时间的文档"),
    )


def _processing(known: Known) -> Part:
    items = (
        _item("3.1", "Signatory of the code of practice", "是否签署行为准则", asked(known, "eu.code_of_practice")),
        _item(
            "3.1",
            "Reservations of rights honoured",
            "对权利保留的尊重",
            measured(
                known,
                "pages that ask not to be trained on (robots meta, TDM reservation and others) and are still there: "
                "{}; refused "
                "for what they ask: {}",
                "声明不得用于训练（robots meta、TDM 保留等）而仍留存的网页占 {}；因声明而去除 {} 篇",
                "risk.no_ai",
                "risk.robots.left",
                lacking=Words(en="no pages came, so none could ask", zh="没有以网页形式进入的文档，无从声明"),
            ),
            asked(known, "eu.opt_outs"),
        ),
        _item(
            "3.2",
            "Illegal content removed",
            "违法内容的去除",
            measured(
                known,
                "by rules over terms: adult pages taken out {}, still there {}; no step looks for other illegal "
                "content",
                "按词表规则：色情网页去除 {}，仍留存 {}；其他违法内容未设识别阶段",
                "risk.adult.left",
                "risk.adult.stayed",
            ),
            asked(known, "eu.illegal"),
        ),
        _item(
            "3.3",
            "Personal information",
            "个人信息",
            measured(
                known,
                "{} a million tokens found and masked, in {} of the documents",
                "每百万词元检出并遮蔽 {} 处，涉及文档 {}",
                "risk.pii.all",
                "risk.pii.documents",
            ),
        ),
        _item("3.3", "Other", "其他", asked(known, "eu.processing")),
    )
    return Part(
        "eu.processing", Words(en="3 Aspects of processing", zh="3 数据处理"), items, (steps(known, "eu.steps"),)
    )
