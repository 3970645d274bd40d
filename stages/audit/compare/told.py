"""A change as a sentence, in English and Chinese: what became of the document in either corpus, and the first cause.

Names of sources, stages and rules stand in it as they are: who shows it makes them harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stages.audit.compare.causes import FIELDS as OTHER_FIELDS
from stages.audit.compare.causes import GONE, GONE_ALONE, ONLY, OTHERWISE, POINTS, REMOVED_BY, SAME, TEXT
from stages.audit.compare.side import SIDES
from stages.audit.frame import KEPT
from stages.audit.model import Words
from stages.audit.passage import ASIDE, DUPLICATE

Row = Mapping[str, Any]  # Any: Arrow's Python values

KIND: Final = {
    SAME: Words(en="same", zh="相同"),
    OTHER_FIELDS: Words(en="same text, other fields", zh="文本相同，字段不同"),
    TEXT: Words(en="other text", zh="文本不同"),
    ONLY[0]: Words(en="only in A", zh="仅在 A 中"),
    ONLY[1]: Words(en="only in B", zh="仅在 B 中"),
    GONE: Words(en="left both alike", zh="两边同样去除"),
    OTHERWISE: Words(en="left both, otherwise", zh="两边均去除，原因不同"),
    GONE_ALONE[0]: Words(en="left A, not given to B", zh="A 中去除，B 未输入"),
    GONE_ALONE[1]: Words(en="left B, not given to A", zh="B 中去除，A 未输入"),
}
CAUSE: Final = {
    "none": Words(en="no change", zh="无变化"),
    "limit": Words(en="a limit was moved", zh="阈值改变"),
    "rule": Words(
        en="a rule that the other has not, or that fires on nothing there",
        zh="另一方没有该规则，或该规则未命中任何文档",
    ),
    "step": Words(en="a step that the other has not", zh="另一方没有该阶段"),
    "config": Words(en="the step is set otherwise", zh="该阶段的配置不同"),
    "value": Words(en="another value was measured, at the same limit", zh="阈值相同，测得的值不同"),
    "edits": Words(en="the text was edited otherwise", zh="对文本的修改不同"),
    "text": Words(en="the input has another text, or it was extracted otherwise", zh="输入的文本不同，或抽取结果不同"),
    "extraction": Words(en="the same input, extracted otherwise", zh="输入相同，抽取结果不同"),
    "fields": Words(en="other labels or scores", zh="标签或得分不同"),
    "cluster": Words(en="another number of copies", zh="重复文档的数量不同"),
    "tokenizer": Words(en="another tokenizer", zh="分词器不同"),
    "mix": Words(en="drawn otherwise by the mix", zh="混合时的抽取不同"),
    "input_source": Words(en="the other has no such source", zh="另一方没有该来源"),
    "input_file": Words(en="the other has no such file of the source", zh="另一方的该来源没有此文件"),
    "input_record": Words(en="the other has no such record in its source", zh="另一方的该来源没有此记录"),
    "unread": Words(en="the other could not read all of its file", zh="另一方未能完整读取其所在文件"),
    "aside": Words(en="set aside in one alone, by a fault of the run", zh="仅一方因运行故障被隔离"),
    "sample": Words(en="the other ran over a sample of its input", zh="另一方只处理了输入的抽样"),
    REMOVED_BY: Words(en="taken out of the finished corpus", zh="已从成品语料中移除"),
    "split": Words(en="split off another document here alone", zh="仅在一方由其他文档拆分而来"),
    "copies": Words(
        en="taken for a copy in one alone: its survivor is in both", zh="仅在一方被判为重复：保留的那份文档两边都有"
    ),
    "order": Words(en="another document of its cluster stays", zh="所在重复簇保留了另一份文档"),
    POINTS: Words(en="another survivor, for which again another stood", zh="保留的文档改变，且经多次传导"),
    "earlier": Words(en="a copy of a document of an earlier corpus", zh="与更早语料中的文档重复"),
    "no_ledger": Words(en="not told: the other has no ledger of what left", zh="无法判断：另一方没有去除记录"),
    "unknown": Words(en="not known", zh="未知"),
}


def fate(row: Row, side: str) -> Words:
    """Returns what became of a document in a corpus, `a` or `b`."""
    if row[f"id_{side}"] is None:
        return Words(en="not given", zh="未输入")
    stage, rule = row[f"stage_{side}"], row[f"rule_{side}"]
    if stage in (None, KEPT):
        return Words(en="stayed", zh="保留")
    if row[f"action_{side}"] == REMOVED_BY:
        return Words(en=f"taken out by the overlay {rule}", zh=f"由覆盖层 {rule} 移除")
    by = f"{stage}.{rule}"
    if row[f"action_{side}"] == DUPLICATE:
        other, similarity = row[f"other_{side}"], row[f"similarity_{side}"]
        of = "" if other is None else f" {other.hex()}"
        how = by if similarity is None else f"{by}, {similarity:.3f}"
        return Words(en=f"a copy of{of} ({how})", zh=f"与{of} 重复（{how}）")
    measured = _measured(row[f"value_{side}"], row[f"limit_{side}"])
    if row[f"action_{side}"] == ASIDE:
        return Words(en=f"set aside by {by}{measured}", zh=f"由 {by} 隔离{measured.replace(': ', '：')}")
    return Words(en=f"dropped by {by}{measured}", zh=f"由 {by} 去除{measured.replace(': ', '：')}")


def _measured(value: float | None, limit: float | None) -> str:
    """Returns the value and the limit that it broke.

    >>> _measured(180.0, 200.0), _measured(0.25, 0.2), _measured(3.0, None)
    (': 180 < 200', ': 0.25 > 0.2', ': 3')
    """
    if value is None:
        return ""
    if limit is None:
        return f": {value:g}"
    return f": {value:g} {'<' if value < limit else '>' if value > limit else '='} {limit:g}"


def cause(row: Row) -> Words:
    """Returns the first cause of a change, and how far it is from the document."""
    words = CAUSE.get(row["cause"], CAUSE["unknown"])
    by = ".".join(one for one in (row["stage"], row["rule"]) if one)
    en, zh = words.en, words.zh
    if by and row["moved"]:
        en, zh = f"{en} ({by}: {row['moved']})", f"{zh}（{by}：{row['moved']}）"
    elif by:
        en, zh = f"{en} ({by})", f"{zh}（{by}）"
    if row["steps"]:
        en = f"{en}, by way of {row['steps']} {'survivor' if row['steps'] == 1 else 'survivors'}"
        zh = f"{zh}，经由 {row['steps']} 份被保留的文档"
    return Words(en=en, zh=zh)


def sentence(row: Row) -> Words:
    """Returns what is to be said of a change, a row of CHANGE."""
    why = cause(row)
    if row["kind"] in (OTHER_FIELDS, TEXT):
        what = row["values"] or ""
        en = "; ".join(text for text in (KIND[row["kind"]].en, what, why.en) if text)
        return Words(en=en, zh="；".join(text for text in (KIND[row["kind"]].zh, what, why.zh) if text))
    fates = {side: fate(row, side) for side in SIDES}
    if row["kind"] == SAME:
        return KIND[SAME]
    return Words(
        en=f"A: {fates['a'].en}; B: {fates['b'].en}; {why.en}",
        zh=f"A：{fates['a'].zh}；B：{fates['b'].zh}；{why.zh}",
    )


def documents(row: Row) -> tuple[tuple[str, str], ...]:
    """Returns the documents between a change and its first cause: the corpus, `a` or `b`, and the id (hex) of each."""
    words = (row["chain"] or "").split(" ")[-row["steps"] :] if row["steps"] else []
    return tuple((one.partition(":")[0], one.partition(":")[2]) for one in words)
