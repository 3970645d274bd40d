"""The sheet of a sample: one page that a person judges documents in, from a file and with nothing but a browser.

The sample stands in it as data, and so do the texts, once; `sheet.js` draws one document at a time, as text, so 4,000
are as quick as ten. Nothing of a document is markup, its script and style are named by their SHA-256 in a policy that
allows nothing else, and it can load and send nothing: verdicts are saved to a file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from stages.audit.model import Words
from stages.audit.page.head import head
from stages.audit.page.markup import Safe, both, foreign, tag
from stages.audit.review.model import NOTE, REASONS, VERDICTS, Reason, Sample
from stages.audit.review.shown import Shown

HEAD_BYTES: Final = 4096  # of the page, where the digest of its sample stands
DIGEST: Final = "datapipe-sample-sha256"
_TITLE = Words(en="Review sheet", zh="人工审核表")
_WITHOUT = Words(
    en="This sheet needs JavaScript, which your browser does not run here; sheet.csv beside it holds the same sample.",
    zh="本审核表需要 JavaScript，而当前浏览器未运行脚本；同目录下的 sheet.csv 含同一份样本，可用电子表格填写。",
)
_VERDICTS = (
    ("pass", "1", "P", Words(en="Pass", zh="合格")),
    ("fail", "2", "F", Words(en="Fail", zh="不合格")),
    ("unsure", "3", "U", Words(en="Unsure", zh="不确定")),
)
_STATES = (
    ("all", Words(en="all documents", zh="全部文档")),
    ("unjudged", Words(en="not judged yet", zh="尚未审核")),
    ("pass", Words(en="passed", zh="合格")),
    ("fail", Words(en="failed", zh="不合格")),
    ("unsure", Words(en="unsure", zh="不确定")),
    ("bare", Words(en="failed without a reason", zh="不合格但未填原因")),
)
_SHARES = ("pass", "fail", "unsure", "rest")
_NONE = Words(en="No document is as the filter asks.", zh="没有符合筛选条件的文档。")
_NAMELESS = Words(en="Give your name, so that the verdicts are somebody's.", zh="请填写审核人姓名，以便结果有据可查。")
_KEYS = (
    ("1 2 3 · P F U", Words(en="pass, fail, unsure", zh="合格、不合格、不确定")),
    ("V D C R A · T L M Y I O", Words(en="a reason; the document fails by it", zh="选择原因，文档即记为不合格")),
    ("Enter → J", Words(en="next document", zh="下一篇")),
    ("← K", Words(en="previous document", zh="上一篇")),
    ("W", Words(en="next that is not judged", zh="下一篇未审核")),
    ("N · Esc", Words(en="write a note; leave it", zh="填写备注；退出备注")),
    ("Z", Words(en="take back the last change", zh="撤销上一步")),
    ("G", Words(en="go to a number", zh="跳转到序号")),
    ("Ctrl S", Words(en="save the verdicts", zh="保存审核结果")),
    ("?", Words(en="these keys", zh="显示本页按键")),
)


def render(sample: Sample, documents: Sequence[Shown]) -> bytes:
    """Returns the page as UTF-8, the same bytes for the same sample and texts; `documents` stand in its order."""
    script = _ours("sheet.js")
    title = f"{sample.name} · {_TITLE.en} {_TITLE.zh}"
    top = head(title, [_ours("sheet.css")], script, marks={DIGEST: sample.sha256}, in_head=False)
    body = tag(
        "body",
        tag("noscript", tag("p", both(_WITHOUT))),
        _bar(sample),
        tag("main", _document(), id="main"),
        _decision(),
        _about(sample),
        _merge(),
        tag("p", id="said", role="status", aria_live="polite", class_="unseen"),
        _data("sample", sample.model_dump(mode="json")),
        _data("documents", [_plain(one) for one in documents]),
        _data("form", {"format": VERDICTS, "reasons": [[one.code, one.key] for one in REASONS.values()]}),
        tag("script", Safe(script)),
    )
    return f"<!doctype html>\n{tag('html', top, body, lang='en')}\n".encode()


def _plain(one: Shown) -> list[Any]:  # Any: JSON
    return [one.head, one.tail, one.left_out, one.partial, one.notes, one.facts]


def _data(key: str, value: Any) -> Safe:  # Any: JSON
    """Returns data that nothing in them can end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return tag("script", Safe(text), type="application/json", id=key)


def _button(key: str, words: Words, *more: Safe, **attributes: str | bool | None) -> Safe:
    return tag("button", both(words), *more, type="button", id=key, **attributes)


def _bar(sample: Sample) -> Safe:
    sources = [one.source for one in sample.strata if one.drawn]
    return tag(
        "header",
        tag(
            "div",
            tag("h1", foreign(sample.name), " ", tag("small", both(_TITLE))),
            tag("p", tag("span", id="count"), " ", tag("span", id="saved"), class_="state"),
            tag(
                "div",
                tag("button", "中文", type="button", id="language", lang="zh-Hans"),
                _button("theme", Words(en="Dark", zh="深色")),
                _button("help", Words(en="Help", zh="帮助")),
                _button("load", Words(en="Load", zh="载入")),
                _button("save", Words(en="Save verdicts", zh="保存结果"), class_="main"),
                tag("input", type="file", id="file", accept=".json,application/json", hidden=True, tabindex=-1),
                class_="buttons",
            ),
            class_="top",
        ),
        tag("div", *(tag("i", id=f"share-{key}") for key in _SHARES), class_="progress"),
        tag(
            "div",
            _label(
                Words(en="Show", zh="显示"),
                tag("select", *(_option(key, words) for key, words in _STATES), id="state"),
            ),
            _label(
                Words(en="Source", zh="来源"),
                tag(
                    "select",
                    _option("", Words(en="all sources", zh="全部来源")),
                    *(tag("option", source, value=f"={source}") for source in sources),
                    id="source",
                ),
            ),
            _label(
                Words(en="Go to", zh="跳转"),
                tag("input", id="jump", type="number", min="1", max=str(len(sample.items)), inputmode="numeric"),
            ),
            tag("span", id="shown", class_="quiet"),
            class_="filters",
        ),
    )


def _label(words: Words, field: Safe) -> Safe:
    return tag("label", both(words), " ", field)


def _option(key: str, words: Words) -> Safe:
    return tag("option", words.en, value=key, data_en=words.en, data_zh=words.zh)


def _document() -> Safe:
    return tag(
        "article",
        tag("h2", tag("span", id="number"), " ", tag("span", id="mark"), id="heading", tabindex=-1),
        tag("p", id="title"),
        tag("p", id="address"),
        tag("dl", id="facts"),
        tag("ul", id="notes", aria_label="rules 规则"),
        tag("div", id="text"),
        tag(
            "p",
            both(_NONE),
            id="none",
            hidden=True,
        ),
        aria_labelledby="heading",
    )


def _decision() -> Safe:
    of_risk = [one for one in REASONS.values() if one.risk]
    others = [one for one in REASONS.values() if not one.risk]
    groups = (
        (Words(en="Risk", zh="安全风险"), of_risk),
        (Words(en="Quality", zh="质量问题"), others),
    )
    return tag(
        "section",
        tag("h2", both(Words(en="Verdict", zh="审核结论")), id="title-verdict", class_="unseen"),
        tag(
            "div",
            _button("before", Words(en="← Back", zh="← 上一篇")),
            *(
                _button(key, words, tag("kbd", number), class_="verdict", aria_pressed="false")
                for key, number, _, words in _VERDICTS
            ),
            _button("next", Words(en="Next →", zh="下一篇 →")),
            class_="verdicts",
        ),
        tag(
            "div",
            *(_group(number, words, own) for number, (words, own) in enumerate(groups)),
            class_="reasons",
        ),
        tag(
            "label",
            tag("span", both(Words(en="Note", zh="备注")), " ", tag("kbd", "N"), class_="quiet"),
            tag("textarea", id="note", rows="1", maxlength=str(NOTE)),
            class_="note",
        ),
        id="decision",
        aria_labelledby="title-verdict",
    )


def _group(number: int, words: Words, reasons: Sequence[Reason]) -> Safe:
    chips = (
        tag(
            "button",
            tag("kbd", one.key.upper()),
            both(one.words),
            type="button",
            class_="reason",
            data_code=one.code,
            aria_pressed="false",
        )
        for one in reasons
    )
    return tag(
        "div",
        tag("span", both(words), class_="quiet", id=f"group-{number}"),
        tag("div", *chips),
        role="group",
        aria_labelledby=f"group-{number}",
        class_="group",
    )


def _about(sample: Sample) -> Safe:
    strata = len([one for one in sample.strata if one.drawn])
    of = Words(
        en=f"{len(sample.items):,} of {sample.documents:,} documents of {strata:,} sources, drawn with seed "
        f"{sample.seed}; of each text at most {sample.text:,} characters, personal details masked.",
        zh=f"共 {sample.documents:,} 篇文档、{strata:,} 个来源，按随机种子 {sample.seed} 抽取 "
        f"{len(sample.items):,} 篇；每篇最多显示 {sample.text:,} 个字符，个人信息已遮盖。",
    )
    how = Words(
        en="Judge each document as it would be trained on: does it pass? Your work is kept in this browser where it "
        "allows that; the file that Save writes is what counts, and Load takes it up again here or on another machine.",
        zh="请按“能否用于训练”逐篇判断是否合格。浏览器允许时，进度会保存在本机；以“保存结果”写出的文件为准，"
        "可在本机或其他电脑上用“载入”继续。",
    )
    return tag(
        "dialog",
        tag("h2", both(_TITLE), id="title-about"),
        tag("p", both(of)),
        tag("p", both(how)),
        tag(
            "div",
            _label(Words(en="Your name", zh="审核人"), tag("input", id="reviewer", maxlength="200")),
            _label(Words(en="Your role", zh="职务"), tag("input", id="role", maxlength="200")),
            class_="who",
        ),
        tag(
            "p",
            both(_NAMELESS),
            id="nameless",
            hidden=True,
            role="alert",
        ),
        tag("dl", *(tag("div", tag("dt", tag("kbd", keys)), tag("dd", both(words))) for keys, words in _KEYS)),
        _button("start", Words(en="Continue", zh="继续"), class_="main"),
        id="about",
        aria_labelledby="title-about",
    )


def _merge() -> Safe:
    return tag(
        "dialog",
        tag("h2", both(Words(en="Load verdicts", zh="载入审核结果")), id="title-merge"),
        tag("p", id="merging"),
        tag(
            "div",
            _button("theirs", Words(en="Take the file's", zh="采用文件中的"), class_="main"),
            _button("mine", Words(en="Keep mine where both judged", zh="重复处保留现有的")),
            _button("cancel", Words(en="Cancel", zh="取消")),
            class_="buttons",
        ),
        id="merge",
        aria_labelledby="title-merge",
    )


@cache
def _ours(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")
