"""What could not be told of a run: its files do not say it, as an earlier datapipe made them or a step was left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from stages.audit.counter import Facts
from stages.audit.cube import has_tokens
from stages.audit.model import Words

_EARLIER: Final = {
    "ledger": Words(
        en="Of documents that left, the ledger does not say {columns}: an earlier datapipe wrote it. Run the config "
        "again with this one to have it.",
        zh="对于被去除的文档，账本（ledger）没有记录 {columns}：它由较早版本的 datapipe 写成。"
        "用当前版本重新运行该配置即可补全。",
    ),
    "pieces": Words(
        en="What of each document is trained on is not known: the index of pieces has no {columns}, as an earlier "
        "datapipe made it. Run the config again with this one to have it.",
        zh="无法得知每篇文档实际被训练的部分：片段索引缺少 {columns}，它由较早版本的 datapipe 生成。"
        "用当前版本重新运行该配置即可补全。",
    ),
    "documents": Words(
        en="Of documents that stayed, {columns} is not there: no step made it, an earlier datapipe did not write it, "
        "or `write` was told to leave it out.",
        zh="对于保留下来的文档，缺少 {columns}：没有阶段生成它，或较早版本的 datapipe 未写出它，"
        "或 `write` 的配置将其省略。",
    ),
}


def missing(facts: Facts) -> Iterator[Words]:
    """Yields a sentence for each kind of file that lacks columns, and for documents that were removed since."""
    lacks: dict[str, list[str]] = defaultdict(list)
    for row in facts.tables["lacks"].to_pylist():
        lacks[row["of"]].append(row["column"])
    for of, columns in lacks.items():
        said = _EARLIER[of]
        yield Words(en=said.en.format(columns=", ".join(columns)), zh=said.zh.format(columns="、".join(columns)))
    sums = {row["name"]: row["amount"] for row in facts.tables["sums"].to_pylist()}
    if removed := sums.get("removed"):
        yield Words(
            en=f"{removed:,} documents were removed after the run (`datapipe remove --rebuild`); nothing is said of "
            "them, though they went through the steps.",
            zh=f"运行之后有 {removed:,} 篇文档被删除（`datapipe remove --rebuild`）；"
            "它们经过了各个阶段，但报告不再涉及它们。",
        )
    looked = facts.tables["looked"].to_pylist()[0]
    if looked["drawn"] and not looked["texts"]:
        yield Words(
            en="No text of the documents that were drawn is there (no sample holds one, and `write` left the column "
            "`text` out or did not run), so nothing is said of topics and wording.",
            zh="抽取的文档都没有正文（没有样本收录，`write` 也未运行或省略了 `text` 列），因此报告不涉及主题与用词。",
        )
    if not facts.manifest and has_tokens(facts.tables["cube"].to_pylist()):
        yield Words(
            en="The run ends without a mix: nothing is sampled, so what a model would see is not known.",
            zh="该运行没有混合（mix）阶段：没有采样，因此无法得知模型会看到什么。",
        )
    elif not facts.manifest:
        yield Words(
            en="The run ends without a mix: no tokens are counted and nothing is sampled, so sizes are characters.",
            zh="该运行没有混合（mix）阶段：没有词元计数，也没有采样，因此规模以字符计。",
        )
