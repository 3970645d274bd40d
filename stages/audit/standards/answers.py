"""A sheet: parts of questions, each answered by the machine, by people, or open; and tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from stages.audit.model import Table, Words
from stages.audit.page.numbers import told
from stages.audit.standards.known import Known, sure

State = Literal["measured", "said", "open", "absent"]
STATES: Final = {
    "measured": Words(en="measured", zh="自动填写"),
    "said": Words(en="stated by people", zh="人工填写"),
    "open": Words(en="open", zh="待填"),
    "absent": Words(en="not measured", zh="未测量"),
}


_CALLED: Final = {  # labels of ours whose meaning is plain to who makes them alone
    "mixed": Words(en="mixed", zh="多语混合"),
    "und": Words(en="not known", zh="未知"),
    "zho_Hans": Words(en="zho_Hans", zh="简体中文"),
    "zho_Hant": Words(en="zho_Hant", zh="繁体中文"),
    "lzh_Hans": Words(en="lzh_Hans", zh="文言（简体）"),
    "lzh_Hant": Words(en="lzh_Hant", zh="文言（繁体）"),
    "eng_Latn": Words(en="eng_Latn", zh="英文"),
    "prose": Words(en="prose", zh="正文"),
    "code": Words(en="code", zh="代码"),
    "table": Words(en="table", zh="表格"),
    "list": Words(en="list", zh="列表"),
    "dialogue": Words(en="dialogue", zh="对话"),
    "qa": Words(en="questions and answers", zh="问答"),
    "poetry": Words(en="poetry", zh="诗歌"),
    "navigation": Words(en="navigation", zh="导航"),
}


@dataclass(frozen=True)
class Answer:
    """What is said to a question; `keys` are the figures and tables of the report that it is from, or files."""

    state: State
    words: Words
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """A question of a form, under the number that it has there."""

    number: str
    asked: Words
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Part:
    """A section of a sheet."""

    key: str
    title: Words
    items: tuple[Item, ...] = ()
    tables: tuple[Table, ...] = ()
    note: Words | None = None


@dataclass(frozen=True)
class Sheet:
    """A form. `chinese` tells which language comes first; `facts` are what was verified of it."""

    key: str
    title: Words
    intro: Words
    parts: tuple[Part, ...]
    facts: tuple[Words, ...]
    chinese: bool = False

    @property
    def items(self) -> Iterable[tuple[Part, Item]]:
        """All questions with their parts, in order."""
        return ((part, item) for part in self.parts for item in part.items)


def asked(known: Known, key: str) -> Answer:
    """Returns what people answered to a question of `about.yaml`, or that it is open, and whom it asks."""
    value = known.answered(key)
    if value is None:
        return Answer("open", known.question(key).open, (f"about.yaml: {key}",))
    return Answer("said", Words(en=plain(value, "yes", "no"), zh=plain(value, "是", "否")), (f"about.yaml: {key}",))


def plain(value: object, yes: str, no: str) -> str:
    """Returns an answer of people as a text.

    >>> plain(True, "yes", "no"), plain(("a", "b"), "yes", "no"), plain(0.25, "yes", "no")
    ('yes', 'a; b', '25%')
    """
    if isinstance(value, bool):
        return yes if value else no
    if isinstance(value, tuple | list):
        return "; ".join(plain(one, yes, no) for one in value)
    if isinstance(value, float):
        return told(value, "share")  # all that people give in fractions are shares
    return f"{value:,}" if isinstance(value, int) else str(value)


def measured(known: Known, en: str, zh: str, *keys: str, lacking: Words | None = None) -> Answer:
    """Returns sentences with the figures of these keys in the places `{}`, or that one of them was not measured."""
    figures = [known.figures.get(key) for key in keys]
    there = [figure for figure in figures if figure is not None]
    if len(there) < len(figures):
        said = lacking or Words(en="not measured: the step that tells it has not run", zh="未测量：相应处理阶段未运行")
        return Answer("absent", said, keys)
    values = [sure(figure) for figure in there]
    return Answer(
        "measured",
        Words(en=en.format(*(value.en for value in values)), zh=_close(zh.format(*(value.zh for value in values)))),
        keys,
    )


def _close(text: str) -> str:
    """Returns Chinese without spaces behind brackets of its own."""
    return text.replace("） ", "）")


def counted(en: str, zh: str, *values: int | float | str, keys: tuple[str, ...] = ()) -> Answer:
    """Returns sentences with exact counts in the places `{}`."""
    shown = [f"{value:,}" if isinstance(value, int) else value for value in values]
    return Answer("measured", Words(en=en.format(*shown), zh=zh.format(*shown)), keys)


def shares(known: Known, key: str, name: str, most: int = 12) -> Answer:
    """Returns the shares of groups of a table: of tokens, or of documents where none were counted."""
    rows, unit = known.rows(key, name, "tokens_share"), Words(en="by tokens", zh="按词元")
    if not rows:
        rows, unit = known.rows(key, name, "documents_share"), Words(en="by documents", zh="按文档")
    if not rows:
        return Answer("absent", Words(en="not measured: no such step has run", zh="未测量：未运行相应阶段"), (key,))
    said = [
        (_CALLED.get(str(group)) or known.named(key, name, group), told(share, "share")) for group, share in rows[:most]
    ]
    more = (
        Words(en=f"; and {len(rows) - most} more", zh=f"；另有 {len(rows) - most} 类")
        if len(rows) > most
        else Words(en="", zh="")
    )
    return Answer(
        "measured",
        Words(
            en=f"{unit.en}: " + ", ".join(f"{label.en} {share}" for label, share in said) + more.en,
            zh=_close(f"{unit.zh}：" + "、".join(f"{label.zh} {share}" for label, share in said) + more.zh),
        ),
        (key,),
    )
