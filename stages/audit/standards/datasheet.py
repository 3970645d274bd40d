"""A datasheet of the corpus: seven sections, those of composition, collection and preprocessing filled in.

Source: Gebru et al. 2021, Datasheets for Datasets: its sections; the questions are in our words.
"""

from __future__ import annotations

from stages.audit.model import Words
from stages.audit.page.numbers import told
from stages.audit.standards.answers import Answer, Item, Part, Sheet, asked, counted, measured, shares
from stages.audit.standards.forms import sources, steps
from stages.audit.standards.known import Known
from stages.audit.standards.verified import LAW, SHEET, line


def sheet(known: Known) -> Sheet:
    """Returns the sheet."""
    return Sheet(
        key="datasheet",
        title=Words(en="Datasheet", zh="数据表（Datasheet）"),
        intro=Words(
            en="Seven sections after Gebru et al. 2021; what can be measured is filled in, the rest is open.",
            zh="依 Gebru 等（2021）分七部分；可测量的自动填写，其余待填。",
        ),
        parts=tuple(
            Part(f"datasheet.{key}", title, items, tables)
            for key, title, items, tables in (
                ("motivation", Words(en="1 Motivation", zh="1 动机"), _motivation(known), ()),
                ("composition", Words(en="2 Composition", zh="2 构成"), _composition(known), ()),
                (
                    "collection",
                    Words(en="3 Collection", zh="3 采集过程"),
                    _collection(known),
                    (sources(known, "datasheet.sources"),),
                ),
                (
                    "processing",
                    Words(en="4 Preprocessing, cleaning, labelling", zh="4 预处理、清洗与标注"),
                    _processing(known),
                    (steps(known, "datasheet.steps"),),
                ),
                ("uses", Words(en="5 Uses", zh="5 用途"), _uses(known), ()),
                ("distribution", Words(en="6 Distribution", zh="6 分发"), _distribution(known), ()),
                ("maintenance", Words(en="7 Maintenance", zh="7 维护"), _maintenance(known), ()),
            )
        ),
        facts=(line(SHEET[0]), LAW),
    )


def _item(en: str, zh: str, *answers: Answer) -> Item:
    return Item("", Words(en=en, zh=zh), answers)


def _motivation(known: Known) -> tuple[Item, ...]:
    return (
        _item("Purpose", "目的", asked(known, "datasheet.purpose")),
        _item("Who made it, for whom", "由谁、为谁制作", asked(known, "datasheet.makers")),
        _item("Funding", "资助", asked(known, "datasheet.funding")),
    )


def _composition(known: Known) -> tuple[Item, ...]:
    found = known.counted
    rows = ", ".join(f"{name} {many:,}" for name, many in known.rows_of_split.items())
    return (
        _item(
            "What is an instance, how many are there?",
            "实例是什么，有多少？",
            counted(
                "a document: {} of them, {} of text; samples by split: {}",
                "一个实例为一篇文档：共 {} 篇，文本 {}；各划分的样本数：{}",
                found.total("documents"),
                told(found.total("bytes"), "bytes"),
                rows,
                keys=("corpus/manifest.json",),
            ),
        ),
        _item(
            "Is it a sample of something larger?",
            "是否为更大集合的抽样？",
            measured(
                known,
                "of {} documents that came, {} stayed; the part of the sources that was read: {}",
                "进入 {} 篇，保留比例 {}；读取来源的比例：{}",
                "funnel.came",
                "funnel.kept_share",
                "remaking.sample",
            ),
        ),
        _item("Languages", "语种", shares(known, "kinds.languages", "language", 24)),
        _item("Forms", "体裁", shares(known, "kinds.formats", "format")),
        _item(
            "Is anything missing of instances?",
            "实例是否缺少信息？",
            measured(
                known,
                "address known of {}, time of {}, licence of {} of the documents",
                "网址已知的文档占 {}，时间已知占 {}，许可证已知占 {}",
                "provenance.url.documents",
                "provenance.date.documents",
                "provenance.licence.documents",
            ),
        ),
        _item(
            "Are there splits?",
            "是否划分训练与验证？",
            counted("{}", "{}", rows, keys=("corpus/manifest.json",)),
        ),
        _item(
            "Errors, noise, copies",
            "错误、噪声与重复",
            measured(
                known,
                "kept documents that still have a copy: {}; copies that should have left and did: {}",
                "仍有重复留存的文档占 {}；应去除的重复中已去除 {}",
                "duplicates.residual",
                "duplicates.recall",
                lacking=Words(en="not measured: no step dedup has run", zh="未测量：未运行 dedup 阶段"),
            ),
        ),
        _item("Benchmarks in it", "是否含评测集内容", _benchmarks(known)),
        _item(
            "Offensive content",
            "冒犯性内容",
            measured(
                known,
                "by rules over terms, still there: adult pages {}, spam {}",
                "按词表规则，仍留存：色情网页 {}，垃圾广告 {}",
                "risk.adult.stayed",
                "risk.spam.stayed",
            ),
        ),
        _item(
            "Data about people",
            "涉及个人的数据",
            measured(
                known,
                "{} details a million tokens were found and masked, in {} of the documents",
                "每百万词元检出并遮蔽 {} 处，涉及文档 {}",
                "risk.pii.all",
                "risk.pii.documents",
            ),
        ),
    )


def _benchmarks(known: Known) -> Answer:
    rows = known.rows("risk.contamination", "benchmark", "items", "documents")
    if not known.ran("decontaminate"):
        return Answer(
            "absent",
            Words(en="not looked for: no step decontaminate has run", zh="未检测：未运行 decontaminate 阶段"),
            ("risk.contamination",),
        )
    if not rows:
        return counted("none was found", "未发现", keys=("risk.contamination",))
    said = "; ".join(f"{name}: {items:,} / {documents:,}" for name, items, documents in rows)
    return counted(
        "items found in all that came / documents that stayed and hold some, by benchmark: {}",
        "各评测集在全部输入中命中的题目数／仍留存的命中文档数：{}",
        said,
        keys=("risk.contamination",),
    )


def _collection(known: Known) -> tuple[Item, ...]:
    return (
        _item("Who collected, how paid", "由谁采集、报酬", asked(known, "datasheet.collectors")),
        _item("Ethical review", "伦理审查", asked(known, "datasheet.ethics")),
        _item("Notice, consent, revocation", "告知、同意与撤回", asked(known, "datasheet.notice")),
    )


def _processing(known: Known) -> tuple[Item, ...]:
    return (
        _item(
            "What was done",
            "做了哪些处理",
            measured(
                known,
                "{} documents dropped by rules, {} left as copies; the steps stand below, every decision in ledger/",
                "规则剔除 {} 篇，作为重复去除 {} 篇；各阶段见下表，逐篇决定见 ledger/",
                "funnel.dropped",
                "funnel.duplicates",
            ),
        ),
        _item(
            "Whom the filters hurt",
            "过滤影响了哪些群体",
            measured(
                known,
                "the filters leave {}; Traditional Chinese for Simplified: {}",
                "过滤后留存 {}；繁体相对简体的存活率之比：{}",
                "survival.filters",
                "survival.hant_hans",
                lacking=Words(en="not measured for these groups", zh="未就这些群体测量"),
            ),
        ),
        _item("Is the raw data kept", "原始数据是否保留", asked(known, "datasheet.raw")),
        _item(
            "Is the software available",
            "处理软件是否可得",
            counted("datapipe {}", "datapipe {}", known.code_version, keys=("reports/recipe.json",)),
        ),
    )


def _uses(known: Known) -> tuple[Item, ...]:
    return tuple(
        _item(en, zh, asked(known, f"datasheet.{key}"))
        for en, zh, key in (
            ("Used for already", "已有用途", "used"),
            ("Meant for", "适用用途", "uses"),
            ("Not to be used for", "不应用于", "misuses"),
            ("Effect on society", "社会影响", "impact"),
            ("Known limits", "已知局限", "limitations"),
        )
    )


def _distribution(known: Known) -> tuple[Item, ...]:
    return (
        _item("To whom, how, when", "向谁、如何、何时分发", asked(known, "datasheet.distribution")),
        _item("Licence of the whole", "整体许可证", asked(known, "licence")),
        _item("Rights of others, export rules", "第三方权利与出口管制", asked(known, "datasheet.restrictions")),
    )


def _maintenance(known: Known) -> tuple[Item, ...]:
    return (
        _item("Who maintains it, how often", "维护者与更新频率", asked(known, "datasheet.maintenance")),
        _item("Contact", "联系方式", asked(known, "contact")),
        _item("Errata and requests of removal", "勘误与删除请求", asked(known, "datasheet.errata")),
        _item("Older versions, data about people", "旧版本与个人数据", asked(known, "datasheet.retention")),
    )
