"""The self-assessment of a corpus that TC260-003 asks for, and its successors GB/T 45654-2025 and GB/T 45652-2025.

What is asked is told in our words, by what secondary pages say of it; see `verified`.
"""

from __future__ import annotations

from typing import Final

from stages.audit.model import Words
from stages.audit.page.numbers import told
from stages.audit.standards.answers import Answer, Item, Part, Sheet, asked, counted, measured, shares
from stages.audit.standards.forms import sources, steps
from stages.audit.standards.known import Known
from stages.audit.standards.verified import CHINA, LAW, line

LEAST: Final = 4_000  # items of a manual sample
PASSING: Final = 0.96
CHECKED: Final = 0.10  # of the corpus, by keywords and classifier
TECHNICAL: Final = 0.98
KEYWORDS: Final = 10_000
UNSAFE: Final = 0.05  # of a source


def sheet(known: Known) -> Sheet:
    """Returns the sheet."""
    return Sheet(
        key="tc260",
        title=Words(
            en="Corpus security self-assessment (TC260-003; GB/T 45654-2025, GB/T 45652-2025)",
            zh="语料安全自评估表（TC260-003；GB/T 45654—2025、GB/T 45652—2025）",
        ),
        intro=Words(
            en="Figures are filled in from the report of the run; what only people know is open, with whom it asks. "
            "Results "
            "(met, not met, not applicable) are people's to give.",
            zh="数值由运行报告自动填入；只有人才能确定的项标为“待填”并注明由谁填写。各项评估结果（符合、不符合、不适用）须由人给出。",
        ),
        parts=(
            _basics(known),
            _sources(known),
            _content(known),
            _annotation(known),
            _keywords(known),
            _assessment(known),
            _end(known),
        ),
        facts=(*(line(fact) for fact in CHINA), LAW),
        chinese=True,
    )


def _item(number: str, zh: str, en: str, *answers: Answer) -> Item:
    return Item(number, Words(en=en, zh=zh), answers)


def _basics(known: Known) -> Part:
    found = known.counted
    documents, size, tokens = (found.total(name) for name in ("documents", "bytes", "tokens"))
    digests = ", ".join(f"{name} {digest[:16]}…" for name, digest in known.digests.items())
    items = [
        _item("", "语料库名称与版本", "Name and version", counted("{}, {}", "{}，{}", known.name, known.version)),
        _item(
            "",
            "摘要（用于核对所评估的对象）",
            "Digests, by which it is known",
            counted("{}", "{}", digests, keys=("reports/published.json",)),
        ),
        _item("", "评估单位", "Organization", asked(known, "china.organization")),
        _item("", "评估人及职务", "Assessor", asked(known, "china.assessor")),
        _item(
            "",
            "训练语料规模（存储规模、数量）",
            "Size of the corpus",
            counted(
                "{} documents, {} of text, {} tokens" if tokens else "{} documents, {} of text",
                "文档 {} 篇，文本 {}，词元 {} 个" if tokens else "文档 {} 篇，文本 {}",
                documents,
                f"{told(size, 'bytes')} ({size:,} B)",
                *([tokens] if tokens else []),
                keys=("corpus/index",),
            ),
        ),
    ]
    if known.manifest:
        items.append(
            _item(
                "",
                "训练实际所见词元",
                "Tokens as trained",
                measured(known, "{}, repeats counted", "{}（含重复采样）", "funnel.trained"),
            )
        )
    items += [
        _item("", "中文、英文与代码规模", "Size of Chinese, English, code", _three(known)),
        _item("", "各语种规模", "Languages", shares(known, "kinds.languages", "language")),
        _item(
            "",
            "各体裁规模（含代码）",
            "Formats, code among them",
            shares(known, "kinds.formats", "format"),
        ),
    ]
    return Part("tc260.basics", Words(en="0 Basic facts", zh="0 语料基本情况"), tuple(items))


def _three(known: Known) -> Answer:
    """Returns tokens (documents where there are none) of Chinese, English, and of what looks like code."""
    unit = "tokens" if known.rows("kinds.languages", "language", "tokens") else "documents"
    languages = known.rows("kinds.languages", "language", unit)
    if not languages:
        return Answer(
            "absent",
            Words(en="not measured: no step language has run", zh="未测量：未运行 language 阶段"),
            ("kinds.languages",),
        )
    code = sum(int(many or 0) for form, many in known.rows("kinds.formats", "format", unit) if form == "code")
    sums = [
        sum(int(many or 0) for label, many in languages if str(label).startswith(beginnings))
        for beginnings in (("zho_", "lzh_", "cmn_", "yue_", "wuu_"), ("eng_",))
    ]
    return counted(
        f"Chinese {{}}, English {{}} {unit}; what looks like code, whatever its language: {{}}; the rest is of other "
        "or several "
        "languages",
        f"中文 {{}}、英文 {{}} 个{'词元' if unit == 'tokens' else '文档'}；其中形似代码者 {{}}（不分语种）；"
        "其余为其他语种或多语混合",
        *sums,
        code,
        keys=("kinds.languages", "kinds.formats"),
    )


def _sources(known: Known) -> Part:
    unsafe = known.tables.get("risk.unsafe_sources")
    items = (
        _item("5.1", "采集前的来源安全核查", "Sources checked before collection", asked(known, "china.checked_before")),
        _item(
            "5.1",
            "采集后核查：含违法不良信息超过 5% 的来源不采用",
            "Sources of which more than 5 % is illegal or unhealthy are not used",
            _above(known),
            *_judged_sources(known),
        ),
        _item(
            "5.1",
            "来源黑名单",
            "List of sources not to be used",
            asked(known, "china.blacklist"),
            _ran(known, "urls", "网址黑名单阶段（urls）", "step urls"),
        ),
        _item(
            "5.1",
            "多来源搭配，合理搭配境内外来源",
            "Several sources, domestic and foreign",
            measured(
                known,
                "{} sources; as diverse as {} of equal size by tokens; the largest holds {}",
                "共 {} 个来源；按词元折合 {} 个等规模来源；最大来源占 {}",
                "sources.number",
                "sources.effective.tokens"
                if "sources.effective.tokens" in known.figures
                else "sources.effective.documents",
                "sources.top1.tokens" if "sources.top1.tokens" in known.figures else "sources.top1.documents",
            ),
            _origins(known),
        ),
        _item(
            "5.1",
            "开源语料：许可协议或授权文件",
            "Open data: licences",
            measured(
                known,
                "licence stated for {} of the documents; the table of sources names them",
                "注明许可证的文档占 {}，逐来源见“语料来源清单”",
                "provenance.licence.documents",
            ),
        ),
        _item(
            "5.1",
            "自采语料：采集记录（时间、地址、原始记录位置）",
            "Collected data: records",
            measured(
                known,
                "time of the crawl known of {} of the documents, address of {}, place of its record in a file of {}",
                "采集时间已知的文档占 {}，网址已知占 {}，可定位到原始记录的占 {}",
                "provenance.date.documents",
                "provenance.url.documents",
                "provenance.place.documents",
            ),
            asked(known, "china.collection_records"),
        ),
        _item(
            "5.1", "商业语料：合同、合作方承诺与证明材料", "Commercial data: contracts", asked(known, "china.contracts")
        ),
        _item("5.1", "使用者输入用作语料：授权记录", "Input of users: consent", asked(known, "china.user_consent")),
        _item(
            "5.1",
            "robots 协议或其他方式明确不可采集的内容不采集",
            "What robots.txt or pages refuse is not collected",
            measured(
                known,
                "pages that ask not to be trained on and are still there: {}; that ask not to be indexed: {}; "
                "refused for what "
                "they ask: {}",
                "声明不得用于训练而仍留存的网页占 {}；声明不得索引而仍留存的占 {}；因声明而去除 {} 篇",
                "risk.no_ai",
                "risk.noindex",
                "risk.robots.left",
                lacking=Words(en="no pages came, so none could ask", zh="没有以网页形式进入的文档，无从声明"),
            ),
            asked(known, "china.robots"),
        ),
        _item("5.1", "评估结果", "Result", asked(known, "china.result_source")),
    )
    tables = (
        sources(known, "tc260.sources"),
        *([unsafe.model_copy(update={"key": "tc260.unsafe", "commands": None})] if unsafe else []),
    )
    return Part("tc260.origin", Words(en="5.1 Security of sources", zh="5.1 语料来源安全"), items, tables)


def _above(known: Known) -> Answer:
    rows = known.rows("risk.unsafe_sources", "source", "state")
    if not rows:
        return Answer(
            "absent",
            Words(en="not measured: no step safety has run", zh="未测量：未运行 safety 阶段"),
            ("risk.unsafe_sources",),
        )
    over = [str(source) for source, state in rows if state == "above"]
    unsure = [str(source) for source, state in rows if state == "open"]
    return Answer(
        "measured",
        Words(
            en=f"by rules for adult pages and spam alone, of {len(rows):,} sources above 5 %: {len(over):,}"
            + (f" ({', '.join(over[:8])})" if over else "")
            + f"; interval reaches over 5 %: {len(unsure):,}; other kinds of risk are not covered",
            zh=f"仅就色情与垃圾广告规则而言，{len(rows):,} 个来源中超过 5% 的有 {len(over):,} 个"
            + (f"（{'、'.join(over[:8])}）" if over else "")
            + f"，区间上界超过 5% 的有 {len(unsure):,} 个；其他风险类别未覆盖",
        ),
        ("risk.unsafe_sources",),
    )


def _ran(known: Known, step: str, zh: str, en: str) -> Answer:
    there = known.ran(step)
    return Answer(
        "measured",
        Words(en=f"{en} {'ran' if there else 'did not run'}", zh=f"{zh}{'已运行' if there else '未运行'}"),
        ("reports/report.json: stages",),
    )


def _origins(known: Known) -> Answer:
    said = [known.about.sources[name].origin for name in known.counted.names if name in known.about.sources]
    given = [origin for origin in said if origin is not None]
    if not given:
        return Answer("open", known.question("sources.NAME.origin").open, ("about.yaml: sources",))
    counts = [given.count(kind) for kind in ("domestic", "foreign", "mixed")]
    missing = len(known.counted.names) - len(given)
    return Answer(
        "said",
        Words(
            en=f"domestic {counts[0]}, foreign {counts[1]}, both {counts[2]}, open {missing}",
            zh=f"境内 {counts[0]} 个，境外 {counts[1]} 个，兼有 {counts[2]} 个，待填 {missing} 个",
        ),
        ("about.yaml: sources",),
    )


def _content(known: Known) -> Part:
    items = (
        _item(
            "5.2",
            "采用关键词、分类模型、人工抽检等方式过滤违法不良信息",
            "Illegal and unhealthy content filtered by keywords, classifiers, people",
            measured(
                known,
                "by rules over terms: adult pages taken out {}, still there {}; spam taken out {}, still there {}",
                "按词表规则：色情网页去除 {}，仍留存 {}；垃圾广告去除 {}，仍留存 {}",
                "risk.adult.left",
                "risk.adult.stayed",
                "risk.spam.left",
                "risk.spam.stayed",
            ),
        ),
        _item(
            "5.2",
            "知识产权：负责人与管理策略",
            "Intellectual property: who, and which policy",
            asked(known, "china.property_policy"),
        ),
        _item(
            "5.2", "知识产权：侵权风险识别", "Intellectual property: risks found", asked(known, "china.property_risks")
        ),
        _item(
            "5.2",
            "知识产权：许可证未注明的语料",
            "Intellectual property: no licence stated",
            measured(
                known,
                "{} of the documents",
                "占文档 {}",
                "licences.unknown.documents",
            ),
        ),
        _item(
            "5.2",
            "个人信息：检出与处理",
            "Personal information: found and masked",
            measured(
                known,
                "{} a million tokens, in {} of the documents; what the rules do not know is still there",
                "每百万词元 {} 处，涉及文档 {}，均已遮蔽；规则未能识别的仍可能存在",
                "risk.pii.all",
                "risk.pii.documents",
                lacking=Words(en="not looked for: no step pii has run", zh="未检测：未运行 pii 阶段"),
            ),
        ),
        _item(
            "5.2",
            "个人信息与敏感个人信息：同意依据",
            "Personal information: consent",
            asked(known, "china.personal_consent"),
        ),
        _item("5.2", "评估结果", "Result", asked(known, "china.result_content")),
    )
    tables = [steps(known, "tc260.steps")]
    pii = known.tables.get("risk.pii")
    if pii is not None:
        tables.append(pii.model_copy(update={"key": "tc260.pii", "commands": None}))
    return Part("tc260.content", Words(en="5.2 Security of content", zh="5.2 语料内容安全"), items, tuple(tables))


def _annotation(known: Known) -> Part:
    items = (
        _item(
            "5.3",
            "标注情况",
            "Annotation",
            Answer(
                "measured",
                Words(
                    en="datapipe adds labels by rules and models alone (language, script, format, scores); whether "
                    "sources "
                    "hold annotations of people is not known to it",
                    zh="datapipe 只以规则与模型添加标签（语种、文字、体裁、得分），无人工标注；来源自带的人工标注不在"
                    "其所知范围",
                ),
                ("reports/report.json: stages",),
            ),
            asked(known, "china.annotation"),
        ),
        _item("5.3", "评估结果", "Result", asked(known, "china.result_annotation")),
    )
    return Part("tc260.annotation", Words(en="5.3 Security of annotation", zh="5.3 语料标注安全"), items)


def _keywords(known: Known) -> Part:
    size = known.about.china.keywords
    enough = [] if size is None else [_against(size >= KEYWORDS, f"{size:,} / ≥{KEYWORDS:,}")]
    items = (
        _item(
            "8.1",
            f"关键词库总规模不少于 {KEYWORDS:,} 个",
            f"List of at least {KEYWORDS:,} keywords",
            asked(known, "china.keywords"),
            *enough,
        ),
        _item(
            "8.1",
            "覆盖 17 种安全风险：A.1 每种不少于 200 个，A.2 每种不少于 100 个；定期更新",
            "17 risks: at least 200 words for each of A.1, 100 of A.2; kept up to date",
            asked(known, "china.keywords_by_risk"),
        ),
        _item(
            "8.4",
            "分类模型覆盖的风险",
            "Classifier and the risks that it covers",
            asked(known, "china.classifier"),
            _ran(
                known,
                "safety",
                "datapipe 的 safety 阶段（仅色情、垃圾广告、辱骂三类词表，不等于上述关键词库）",
                "step safety (terms of adult pages, spam and insults alone: not that list)",
            ),
        ),
        _item("8.1, 8.4", "评估结果", "Result", asked(known, "china.result_keywords")),
    )
    return Part("tc260.keywords", Words(en="8.1, 8.4 Keywords and classifier", zh="8.1、8.4 关键词库与分类模型"), items)


def _against(met: bool, text: str) -> Answer:
    """Returns whether a number that is asked for was reached: no result of the assessment."""
    words = Words(en=f"{text}: {'reached' if met else 'not reached'}", zh=f"{text}：数值{'达到' if met else '未达到'}")
    return Answer("measured", words)


def _assessment(known: Known) -> Part:
    china = known.about.china
    checks = []
    if china.technical_checked is not None:
        checks.append(
            _against(china.technical_checked >= CHECKED, f"{told(china.technical_checked, 'share')} / ≥{CHECKED:.0%}")
        )
    if china.technical_passed is not None:
        checks.append(
            _against(china.technical_passed >= TECHNICAL, f"{told(china.technical_passed, 'share')} / ≥{TECHNICAL:.0%}")
        )
    items = (
        _item(
            "9.2",
            f"人工抽检：从全部语料中随机抽取不少于 {LEAST:,} 条，合格率不低于 {PASSING:.0%}",
            f"Manual check: at least {LEAST:,} items drawn at random, at least {PASSING:.0%} passing",
            *_manual(known),
        ),
        _item(
            "9.2",
            f"技术抽检：关键词、分类模型等抽检不少于总量 {CHECKED:.0%}，合格率不低于 {TECHNICAL:.0%}",
            f"Technical check: at least {CHECKED:.0%} of the corpus by keywords and classifier, at least "
            f"{TECHNICAL:.0%} passing",
            asked(known, "china.technical_checked"),
            asked(known, "china.technical_passed"),
            *checks,
        ),
        _item("9.2", "评估结果", "Result", asked(known, "china.result_assessment")),
    )
    judged = tuple(
        table.model_copy(update={"key": f"tc260.{table.key.replace('.', '_')}", "commands": None})
        for section in known.judged
        for table in section.tables
    )
    return Part("tc260.assessment", Words(en="9.2 Assessment of the corpus", zh="9.2 语料安全评估"), items, judged)


def _manual(known: Known) -> tuple[Answer, ...]:
    """Returns what people judged of samples, as the part on verdicts tells it."""
    found = [figure for section in known.judged for figure in section.figures]
    if not found:
        return (
            Answer(
                "open",
                Words(
                    en=f"[OPEN: security reviewer: no sample was judged yet; `datapipe audit sample DIR --n {LEAST}` "
                    "draws one, "
                    "`datapipe audit verdicts` reads what was judged]",
                    zh=f"［待填：安全评估负责人：尚无人工抽检结果；用 datapipe audit sample DIR --n {LEAST} 抽样，"
                    "审核后用 datapipe audit verdicts 读回］",
                ),
                ("audit/verdicts",),
            ),
        )
    said = [
        measured(known, f"{_braced(figure.label.en)}: {{}}", f"{_braced(figure.label.zh)}：{{}}", figure.key)
        for figure in found
    ]
    for key, least, unit in (("judged.documents", LEAST, "documents"), ("judged.pass", PASSING, "share")):
        value = known.figures[key].value if key in known.figures else None
        if isinstance(value, int | float):
            told_least = f"{LEAST:,}" if unit == "documents" else f"{PASSING:.0%}"
            shown = f"{value:,}" if unit == "documents" else told(value, "share")
            said.append(_against(value >= least, f"{shown} / ≥{told_least}"))
    return tuple(said)


def _judged_sources(known: Known) -> tuple[Answer, ...]:
    """Returns that people's verdicts by source stand below, where there are any."""
    if not known.judged:
        return ()
    return (
        Answer(
            "measured",
            Words(en="people's verdicts by source: see 9.2", zh="人工抽检的分来源结果见 9.2"),
            tuple(table.key for section in known.judged for table in section.tables),
        ),
    )


def _end(known: Known) -> Part:
    items = (
        _item(
            "9.1",
            "不符合或不适用的理由、已采取的措施与后续计划",
            "Reasons for what is not met, and measures",
            asked(known, "china.reasons"),
        ),
        _item("", "本工具无法说明的方面", "What the report could not tell", _missing(known)),
    )
    return Part("tc260.end", Words(en="9.1 Conclusion", zh="9.1 评估结论"), items)


def _missing(known: Known) -> Answer:
    said = known.audit.missing
    if not said:
        return Answer("measured", Words(en="nothing", zh="无"), ("reports/report.json: audit.missing",))
    return Answer(
        "measured",
        Words(en=" ".join(one.en for one in said), zh="".join(one.zh for one in said)),
        ("reports/report.json: audit.missing",),
    )


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
