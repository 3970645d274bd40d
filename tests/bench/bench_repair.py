"""Repair: what it changes in clean corpora, what it finds of planted damage, and what a clean document costs.

    python tests/bench/bench_repair.py [--show N]

Clean: the statutes, poems, licences and documentation of the shared corpora, the crawl's pages as ingest reads them,
and gold main texts of magic-html and readability. Every change counts, whether right or not; `--show` prints samples of
them, to be judged by eye. Damage is planted in gold texts and statutes that no rule changes, with fixed seeds:
`found` is the share in which the rule changed something, `restored` that of texts that came out exactly as they were,
`kept` the share of the letters of the clean texts that came out. Times are CPU seconds.
"""

from __future__ import annotations

import argparse
import html
import io
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path

import opencc
import pyarrow as pa
import zstandard
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from datapipe.testing import dataset, evaluate
from stages.ingest import Ingest
from stages.ingest.stage import SourceConfig
from stages.repair import Repair, mojibake
from stages.repair.mend import Mended, mend
from stages.repair.rules import Rules, load
from stages.repair.screen import screen

SHARED = Path(os.environ.get("DATAPIPE_SHARED", "../shared")) / "data"
CORPORA = (
    *("prc-laws", "taiwan-laws", "chinese-poetry", "license-texts", "sofastack-blog-docs"),
    *("kubernetes-docs-versions", "iotdb-docs-versions", "nodejs-api-versions"),
)
RULES = load()
TO_HANT, TO_HANS = opencc.OpenCC("s2t"), opencc.OpenCC("t2s")
HAN = re.compile("[一-鿿]")
WRONG = str.maketrans(dict(zip("面只制系后干表发里别向家历志复", "麵隻製係後乾錶發裡彆嚮傢曆誌復", strict=True)))

Damage = Callable[[str, random.Random], str]


def corpus(name: str) -> list[str]:
    """Returns the texts of one of the shared corpora."""
    with (SHARED / "corpora" / f"{name}.jsonl.zst").open("rb") as file:
        return [json.loads(line)["text"] for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file))]


def crawl() -> list[str]:
    """Returns the texts of the crawl as ingest reads them."""
    sources = {"crawl": SourceConfig(path=str(SHARED / "crawl" / "*.warc.gz"))}
    return list(evaluate(Ingest(sources=sources).build(), rows_per_batch=256).table["text"].to_pylist())


def gold() -> dict[str, list[str]]:
    """Returns the main texts that people marked."""
    articles = json.loads((SHARED / "html/magic-html/benchmark/data/article/base.json").read_text())
    pages = sorted((SHARED / "html/readability/test-pages").glob("*/expected.html"))
    trees = [HTMLTree.parse(page.read_text(errors="replace")) for page in pages]
    return {
        "magic-html gold": [article["content"] for article in articles.values()],
        "readability gold": [extract_plain_text(tree, list_bullets=False) for tree in trees],
    }


def repaired(texts: list[str], rules: Rules = RULES) -> list[Mended]:
    """Returns what became of each text."""
    column = pa.array(texts, pa.string())
    marks, broken = screen(column, rules), mojibake.suspects(column)
    return [
        mend(text, int(mark), rules, broken=bool(lost), whole=True)
        for text, mark, lost in zip(texts, marks, broken, strict=True)
    ]


def clean_table(sources: dict[str, list[str]], show: int) -> None:
    """Prints how many documents each rule changed, and what a document costs."""
    print("| clean source | documents | MB | changed | of which | screen MB/s | all MB/s |")
    print("|---|---|---|---|---|---|---|")
    for name, texts in sources.items():
        size = sum(len(text.encode()) for text in texts) / 1e6
        column = pa.array(texts, pa.large_string())
        screened = min(_timed(lambda column=column: screen(column, RULES)) for _ in range(5))
        start = time.process_time()
        made = repaired(texts)
        seconds = time.process_time() - start
        changed = [result for result in made if result.changes]
        rules = Counter(change.rule for result in changed for change in result.changes)
        told = ", ".join(f"{rule} {count}" for rule, count in rules.most_common()) or "nothing"
        share = f"{len(changed)} ({len(changed) / len(texts):.2%})"
        print(
            f"| {name} | {len(texts)} | {size:.1f} | {share} | {told} | {size / screened:.0f} | {size / seconds:.0f} |"
        )
        for rule in rules if show else ():
            samples = [change for result in changed for change in result.changes if change.rule == rule]
            for change in random.Random(1).sample(samples, min(show, len(samples))):
                print(f"    {rule}: {change.characters} characters: {change.sample}")


def _timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def tags(text: str, draw: random.Random) -> str:
    """Paragraphs and some words as HTML."""
    lines = [f"<p>{_within(line, draw, '<b>', '</b>')}</p>" for line in text.split("\n") if line.strip()]
    return "\n".join(lines) + '<a href="/index.php?id=3" target="_blank"></a><br/>'


def _within(line: str, draw: random.Random, opens: str, closes: str) -> str:
    at = draw.randrange(len(line))
    return f"{line[:at]}{opens}{line[at : at + 6]}{closes}{line[at + 6 :]}"


def entities(text: str, draw: random.Random) -> str:
    """Signs and spaces as entities."""
    made = html.escape(text).replace("·", "&middot;").replace("—", "&mdash;").replace("“", "&ldquo;")
    at = draw.randrange(len(made))
    return (
        made[: made.find(" ", at)] + "&nbsp;" + made[made.find(" ", at) + 1 :] if " " in made[at:] else made + "&nbsp;"
    )


def bbcode(text: str, draw: random.Random) -> str:
    """A few words in BBCode, and a picture."""
    lines = text.split("\n")
    at = draw.choice([number for number, line in enumerate(lines) if line.strip()])
    lines[at] = _within(lines[at], draw, *draw.choice([("[b]", "[/b]"), ("[color=#ff0000]", "[/color]")]))
    return "\n".join(lines) + "[img]http://img.example.com/a/3.jpg[/img]"


def inserted(*kinds: str) -> Damage:
    """Returns what puts one of these lines between two of a text."""

    def damage(text: str, draw: random.Random) -> str:
        lines = text.split("\n")
        at = draw.randrange(1, len(lines)) if len(lines) > 1 else 1
        return "\n".join([*lines[:at], draw.choice(kinds).format(number=draw.randrange(10**5, 10**6)), *lines[at:]])

    return damage


def ended(*kinds: str, first: bool = False) -> Damage:
    """Returns what puts one to three of these lines before or after a text."""

    def damage(text: str, draw: random.Random) -> str:
        lines = draw.sample(kinds, min(len(kinds), draw.randint(1, 3)))
        return "\n".join([*lines, text] if first else [text, *lines])

    return damage


def pinyin(text: str, draw: random.Random) -> str:
    """A syllable after each Han character."""
    syllables = "lǎo chéng nán biān yǒu yī tiáo jiē zhāng hé ér zǐ dōu shuǐ wǒ men xiǎng qu".split()
    return HAN.sub(lambda match: f"{match.group()}({draw.choice(syllables)})", text)


def converted(text: str, draw: random.Random) -> str:
    """Each character made Traditional for itself, the wrong one where there are two."""
    return "".join(
        TO_HANT.convert(letter) if letter == (wrong := letter.translate(WRONG)) else wrong for letter in text
    )


def mixed(text: str, draw: random.Random) -> str:
    """Half of the characters made Traditional."""
    return "".join(TO_HANT.convert(letter) if draw.random() < 0.5 else letter for letter in text)


def copied(text: str, draw: random.Random) -> str:
    """A second copy: equal, in the other script, in another width, without its lines, or damaged."""
    spoilt = "".join("\ufffd" if draw.random() < 0.01 else letter for letter in text)
    wide = text.translate(str.maketrans("，。！？：；", ",.!?:;"))
    second = draw.choice([text, TO_HANT.convert(text), wide.replace(".", "。"), text.replace("\n", " "), spoilt])
    return f"{text}\n{second}"


PLANTED: dict[str, tuple[tuple[str, ...], Damage]] = {
    "tags": (("html_tags",), tags),
    "entities": (("html_entities",), entities),
    "BBCode": (("bbcode",), bbcode),
    "script": (
        ("script_fragments",),
        inserted(
            "var _hmt = _hmt || [];",
            "document.writeln('扫描二维码{number}');",
            "(function(){{var hm=document.createElement('script');hm.src='//hm.example/{number}.js';}})();",
            ".content p{{margin:0;text-indent:2em}}",
            "(adsbygoogle = window.adsbygoogle || []).push({{}});",
        ),
    ),
    "pinyin": (("pinyin",), pinyin),
    "converted": (("converted_script",), converted),
    "mixed script": (("mixed_script", "converted_script"), mixed),
    "second copy": (("second_copy",), copied),
    "links with dates": (
        ("injected_line",),
        inserted("国内|多地启动夏粮收购[2021/6/3 10:22]", "要闻：全市工作会议召开 [2020/12/1]"),
    ),
    "advertising": (
        ("injected_ad",),
        inserted(
            "太阳城娱乐平台 真人荷官百家乐 注册送{number}",
            "代开发票、代办证，加微信 wx{number} 全国包邮",
            "best online slots casino free shipping cheap viagra {number}",
        ),
    ),
    "head lines": (
        ("head_boilerplate",),
        ended(
            "当前位置：首页 > 资讯 > 正文", "发布时间：2020-05-06 11:20 浏览次数：388", "Share this article", first=True
        ),
    ),
    "tail lines": (
        ("tail_boilerplate",),
        ended(
            *("责任编辑：李某某", "（来源：江南晚报）", "上一篇：春耕时节", "下一篇：没有了", "举报/反馈", "返回列表"),
            *("版权声明：转载请注明出处", "Share this post:", "Follow us on Twitter and Facebook", "Leave a comment"),
        ),
    ),
    "search title": (("title_line",), ended("在线观看_高清视频_免费视频_最新", first=True)),
}


def planted_table(texts: list[str]) -> None:
    """Prints what the rules find of each kind of damage, in texts that they leave alone."""
    print("\n| planted | texts | found | restored | letters kept | other rules |")
    print("|---|---|---|---|---|---|")
    for name, (rules, damage) in PLANTED.items():
        own = [text for text in texts if name not in ("pinyin", "converted", "mixed script") or _is_hans(text)]
        made = repaired([damage(text, random.Random(f"{name} {number}")) for number, text in enumerate(own)])
        found = sum(any(change.rule in rules for change in result.changes) for result in made)
        same = [_bare(result.parts[0]) == _bare(text) for result, text in zip(made, own, strict=True) if result.parts]
        others = Counter(change.rule for result in made for change in result.changes if change.rule not in rules)
        kept = [
            _kept(text, result.parts[0]) for text, result in list(zip(own, made, strict=True))[:150] if result.parts
        ]
        told = ", ".join(f"{rule} {count}" for rule, count in others.items()) or "none"
        shares = f"{found / len(own):.1%} | {sum(same) / len(own):.1%} | {sum(kept) / len(kept):.2%}"
        print(f"| {name} | {len(own)} | {shares} | {told} |")


def _is_hans(text: str) -> bool:
    return len(HAN.findall(text)) > 0.4 * len(text) and TO_HANS.convert(text) == text


def _bare(text: str) -> str:
    return "".join(text.replace("\xa0", " ").split())


def _kept(before: str, after: str) -> float:
    """Returns the share of the lines' characters of a text that it still has."""
    lines = before.split("\n"), after.split("\n")
    if before == after:
        return 1.0
    bare, content = _bare(before), _bare(after)
    if bare == content:
        return 1.0
    if len(bare) < 4000:
        blocks = SequenceMatcher(None, bare, content, autojunk=False).get_matching_blocks()
        return sum(block.size for block in blocks) / max(len(bare), 1)
    held = Counter(map(_bare, lines[1]))
    return sum(len(line) for line in map(_bare, lines[0]) if held[line] > 0 or line in content) / max(len(bare), 1)


def articles_table(texts: list[str]) -> None:
    """Prints what the rule that is off would do: to texts that are one article, and to pairs of them."""
    rules = load(enable=["articles"], disable=["tail_boilerplate"])
    alone = sum(len(result.parts) > 1 for result in repaired(texts, rules))
    long = [text for text in texts if len(text) > 1100]
    pairs = [f"{one}\n（责任编辑：李某）\n城南新事\n{other}" for one, other in zip(long[::2], long[1::2], strict=False)]
    both = sum(len(result.parts) == 2 for result in repaired(pairs, rules))
    print(f"\narticles (off): {alone} of {len(texts)} single texts cut; {both} of {len(pairs)} pairs cut in two")


def recurring_table(texts: list[str]) -> None:
    """Prints what `recurring` takes out of texts on many hosts, of which a half ends in one of five footers."""
    footers = [f"本站第{kind}号公告：内容由网友上传，与本站立场无关" for kind in "一二三四五"]
    documents, hosts = [], []
    for number, text in enumerate(texts):
        documents.append(f"{text}\n{footers[number % 5]}" if number % 2 else text)
        hosts.append(f"host{number % 37}.example")
    ids = pa.array([number.to_bytes(16) for number in range(len(texts))], pa.binary(16))
    table = pa.table({"id": ids, "text": pa.array(documents), "host": pa.array(hosts)})
    start = time.process_time()
    made = (
        evaluate(Repair(recurring=True).build(dataset(table)), rows_per_batch=512)
        .table.sort_by("id")["text"]
        .to_pylist()
    )
    seconds = time.process_time() - start
    found = sum(made[number] == text for number, text in enumerate(texts) if number % 2)
    lost = sum(made[number] != text for number, text in enumerate(texts) if number % 2 == 0)
    size = sum(len(text.encode()) for text in documents) / 1e6
    print(
        f"\nrecurring: {found} of {len(texts) // 2} footers gone, {lost} of {(len(texts) + 1) // 2} others changed;",
        end=" ",
    )
    print(f"{size / seconds:.0f} MB/s with its exchanges in memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", type=int, default=0, help="how many changes of a rule and source to print")
    show = parser.parse_args().show
    marked = gold()
    sources = {**{name: corpus(name) for name in CORPORA}, "crawl": crawl(), **marked}
    repaired(["<b>一</b>"])  # compiles
    clean_table(sources, show)
    laws = [re.sub(r"<!-- .*? -->\n?|^#+ ", "", text, flags=re.MULTILINE).strip() for text in sources["prc-laws"]]
    pool = [*marked["magic-html gold"], *marked["readability gold"], *laws[::2]]
    pool = [text for text in dict.fromkeys(pool) if len(text) >= 300]
    made = repaired(pool)
    pool = [text for text, result in zip(pool, made, strict=True) if not result.changes]
    planted_table(pool)
    articles_table([*pool, *sources["sofastack-blog-docs"], *sources["taiwan-laws"]])
    recurring_table(pool)


if __name__ == "__main__":
    main()
