"""What was verified of the standards that outputs name, and what was not: it stands in every one of them.

A fact is `read` where its own text was read, `page` where only secondary pages say so, `tested` where the tests of this
project check it with the named library, and `open` where it could not be verified. Read and looked up in November 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from stages.audit.model import Words

State = Literal["tested", "read", "page", "open"]
STATES: Final = {
    "tested": Words(en="tested", zh="经测试"),
    "read": Words(en="text read", zh="已读原文"),
    "page": Words(en="secondary pages", zh="据二手资料"),
    "open": Words(en="not verified", zh="未核实"),
}


@dataclass(frozen=True)
class Fact:
    """Something that outputs rely on: how it is known, and from where."""

    state: State
    words: Words
    source: str = ""


CROISSANT: Final = (
    Fact(
        "tested",
        Words(
            en="Croissant description: accepted by mlcroissant 1.1.1, which reads its record sets of Parquet files; it "
            "reads no Arrow files, so the samples themselves are described but not readable by it.",
            zh="Croissant 描述文件经 mlcroissant 1.1.1 校验通过，其中 Parquet 记录集可由其读出；该库不支持 Arrow 文件，"
            "故样本分片只有描述，不能由其读取。",
        ),
    ),
    Fact(
        "tested",
        Words(
            en="It warns where citeAs or datePublished are missing. Those, and url and creator, which the "
            "specification "
            "requires too, are people's to say (about.yaml), and left out until then.",
            zh="缺少 citeAs 与 datePublished 时该库给出警告。这两项以及规范同样要求的 url 与 creator "
            "须由人在 about.yaml 中填写，填写前不写出。",
        ),
    ),
    Fact(
        "read",
        Words(
            en="Names of properties: Croissant 1.1, RAI 1.0. Their text names some twice differently "
            "(dataUseCases/useCases); those of its table of properties are used.",
            zh="属性名取自 Croissant 1.1 与 RAI 1.0 原文；原文个别名称前后不一（如 dataUseCases 与 useCases），以其属"
            "性表为准。",
        ),
        "github.com/mlcommons/croissant docs/croissant-spec-1.1.md, docs/croissant-rai-spec.md",
    ),
    Fact(
        "read",
        Words(
            en="Actions that conditions of use may name: the vocabulary of ODRL 2.2, of which a part is offered.",
            zh="使用条件可选的动作取自 ODRL 2.2 词汇表原文，只提供其中一部分。",
        ),
        "github.com/w3c/poe vocab/ODRL22.ttl",
    ),
)
CARD: Final = (
    Fact(
        "tested",
        Words(
            en="Dataset card: parsed by huggingface_hub 2.4 (DatasetCard, DatasetCardData); datasets 5.2 loads every "
            "config of it, and the index and the ledger, from the folder, offline.",
            zh="数据集卡片可由 huggingface_hub 2.4 解析，datasets 5.2 可离线加载其中每个配置以及索引与去除记录。",
        ),
    ),
    Fact(
        "read",
        Words(
            en="Fields and licence ids of the card: the hub's own documentation.",
            zh="卡片字段与许可证标识取自 Hugging Face Hub 文档原文。",
        ),
        "github.com/huggingface/hub-docs datasetcard.md, docs/hub/repositories-licenses.md",
    ),
    Fact(
        "open",
        Words(
            en="Validation by the hub itself (DatasetCard.validate) asks its server and was not run.",
            zh="Hugging Face Hub 的在线校验（DatasetCard.validate）需联网，未执行。",
        ),
    ),
)
CHINA: Final = (
    Fact(
        "open",
        Words(
            en="The texts of GB/T 45654-2025 and GB/T 45652-2025 were not read; that their numbers are those of "
            "TC260-003 is "
            "an assumption.",
            zh="GB/T 45654—2025 与 GB/T 45652—2025 未读原文；此处假定其数值与 TC260-003 一致。",
        ),
    ),
    Fact(
        "page",
        Words(
            en="GB/T 45654-2025 is in force since 1 November 2025 and refers to GB/T 45652 for training data and to "
            "GB/T 45674 "
            "for annotation.",
            zh="GB/T 45654—2025 自 2025 年 11 月 1 日起实施，训练数据安全参见 GB/T 45652，数据标注安全参见 GB/T "
            "45674。",
        ),
        "cset.georgetown.edu/publication/china-gen-ai-safety-standard-final (beginning); "
        "ytny.net.cn/paper/427991046.html",
    ),
    Fact(
        "page",
        Words(
            en="Manual sample of at least 4,000 items with 96 % passing; keywords and classifier on at least 10 % "
            "with 98 %; a "
            "source of which more than 5 % is illegal or unhealthy is not used; keyword list of 10,000, 17 risks of "
            "it, 200 and "
            "100 words each; 31 risks in 5 classes.",
            zh="人工抽检不少于 4,000 条、合格率不低于 96%；关键词与分类模型技术抽检不少于总量 10%、合格率不低于 98%；"
            "违法不良信息超过 5% 的来源不采用；关键词库不少于 10,000 个，覆盖 17 种风险，每种 200 或 100 个；风险共 "
            "5 类 31 种。",
        ),
        "sgqg.cn/news/87776.html; cs003.vip/mobile/yun/46; coloradmin.cn/o/2343399.html; shuanjiao.com/show-801.html",
    ),
    Fact(
        "page",
        Words(
            en="Clause numbers (5.1 to 5.3, 8.1, 8.4, 9.1, 9.2, annex A): from the contents of an English edition of "
            "TC260-003; "
            "each clause is judged as met, not met or not applicable.",
            zh="条款号（5.1 至 5.3、8.1、8.4、9.1、9.2、附录 A）取自 TC260-003 英文版目录；每条评估结果为符合、不符合"
            "或不适用。",
        ),
        "renrendoc.com/paper/371890459.html; blog.csdn.net/loyer2010/article/details/142092174",
    ),
    Fact(
        "open",
        Words(
            en="Clause numbers of GB/T 45654-2025 and GB/T 45652-2025, and the requirements of the latter beside "
            "these.",
            zh="GB/T 45654—2025、GB/T 45652—2025 的条款号，以及后者的其余要求。",
        ),
    ),
)
EUROPE: Final = (
    Fact(
        "open",
        Words(
            en="The Commission's text (C(2025) 5235 of 24 July 2025; C(2025) 8311 of 5 December 2025) was found, but "
            "only "
            "its beginning could be read.",
            zh="欧盟委员会文本（2025 年 7 月 24 日 C(2025) 5235；2025 年 12 月 5 日 C(2025) 8311）只读到开头部分。",
        ),
        "project-babel.com/documents/eu_training_content_public_summary_template_2025",
    ),
    Fact(
        "page",
        Words(
            en="Numbers of sections (1.1 to 1.3, 2.1 to 2.6, 3.1 to 3.3), what they ask, and ranges of size: from a "
            "tool whose "
            "author took them from the annex, and from a summary that others filled in; both agree.",
            zh="章节编号（1.1 至 1.3、2.1 至 2.6、3.1 至 3.3）、各节内容与规模区间：取自一个声称依据附件原文的工具，"
            "以及他人填写的一份摘要，两者一致。",
        ),
        "github.com/ShaswataTripathy/corpuscard corpuscard/schema.py; draft summary of DFM Mimir v1",
    ),
    Fact(
        "page",
        Words(
            en="Top 10 % of all domain names by size of content, for SMEs 5 % or 1,000, whichever is less: two "
            "secondary "
            "pages agree. Whether that is counted by registrable domain, as here, is our reading.",
            zh="按内容规模列出前 10% 的域名，中小企业取 5% 与 1,000 个中较少者：两处二手资料一致。"
            "此处按注册域名计数，为本工具的理解。",
        ),
        "corpuscard/schema.py; belgravia.law/news/eu-ai-act-publishes-new-copyright-template-...",
    ),
    Fact(
        "page",
        Words(
            en="That public datasets of 3 % or more of all public ones are named: one filled summary and one tool "
            "alone.",
            zh="占全部公开数据集 3% 及以上者须列名：仅见于一份已填写的摘要和一个工具。",
        ),
        "draft summary of DFM Mimir v1",
    ),
)
SHEET: Final = (
    Fact(
        "page",
        Words(
            en="The seven sections of a datasheet (Gebru et al. 2021); its questions are asked in our words.",
            zh="数据表（datasheet，Gebru 等 2021）的七个部分；问题以我们自己的措辞提出。",
        ),
        "github.com/mlcommons/croissant docs/croissant-rai-spec.md, use case 1",
    ),
    Fact(
        "read",
        Words(
            en="Field names of the Data Provenance Initiative.",
            zh="Data Provenance Initiative 的字段名。",
        ),
        "github.com/Data-Provenance-Initiative/Data-Provenance-Collection data_summaries/_template.json",
    ),
)
LAW: Final = Words(
    en="These sheets help people who fill a form; they are no legal advice, and no authority has checked them.",
    zh="本表仅供填报人员参考，不构成法律意见，未经任何主管部门审核。",
)


def line(fact: Fact) -> Words:
    """Returns a fact as one line: how it is known, what, and from where.

    >>> line(SHEET[1]).en
    'text read: Field names of the Data Provenance Initiative. (github.com/Data-Provenance-Initiative/\
Data-Provenance-Collection data_summaries/_template.json)'
    """
    state = STATES[fact.state]
    en, zh = (f" ({fact.source})", f"（{fact.source}）") if fact.source else ("", "")
    return Words(en=f"{state.en}: {fact.words.en}{en}", zh=f"{state.zh}：{fact.words.zh}{zh}")
