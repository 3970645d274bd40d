"""Main text of real pages against gold: F1, and pages a second of CPU, of ours, trafilatura and resiliparse in one run.

    python -m pip install --target /tmp/peers trafilatura lxml_html_clean
    PYTHONPATH=/tmp/peers python tests/bench/bench_extract.py [--rounds N]

Tokens, as a multiset: each Han character (U+3007, U+3400-9FFF, U+F900-FAFF and above U+20000), and each run of Latin
letters (to U+024F) and ASCII digits in lower case, so a number is one token, and with the letters that it stands in. A
page is Chinese if its gold has more Han characters than words. Magic-html's pages are halved by the first byte of the
SHA-256 of their file's name: odd ones are held out. Rules and numbers were chosen on the other half and on
Readability's pages. Speed is over all held-out pages from bytes to text; ours reads the charset as ingest does.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import os
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from resiliparse.parse.html import HTMLTree

from stages.ingest.charset import read
from stages.ingest.main_text import main_texts

SHARED = Path(os.environ.get("DATAPIPE_SHARED", "../shared"))
HAN = "\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
TOKEN = re.compile(f"[{HAN}]|[A-Za-z0-9\u00c0-\u024f]+")
GROUPS = (("zh", "held out"), ("en", "held out"), ("zh", "tuning"), ("en", "tuning"), ("zh", "readability, tuning"))
GROUPS = (*GROUPS, ("en", "readability, tuning"))
# language: (least mean, least median, least ratio of speed to trafilatura's)
TARGETS = {"zh": (0.92, 0.0, 8.0), "en": (0.88, 0.96, 6.0)}

Extract = Callable[[list[bytes]], list[str]]


class Page(NamedTuple):
    """A page, its gold text, and where it counts."""

    name: str
    markup: bytes
    gold: Counter[str]
    language: str
    part: str


class Score(NamedTuple):
    """How near a text is to the gold."""

    f1: float
    precision: float
    recall: float


def tokens(text: str) -> Counter[str]:
    """Returns how often each token is in a text."""
    return Counter(token.lower() for token in TOKEN.findall(text))


def score(found: Counter[str], gold: Counter[str]) -> Score:
    """Returns F1, precision and recall of a multiset of tokens."""
    shared = (found & gold).total()
    if not shared:
        return Score(0.0, 0.0, 0.0)
    precision, recall = shared / found.total(), shared / gold.total()
    return Score(2 * precision * recall / (precision + recall), precision, recall)


def pages() -> list[Page]:
    """Returns all pages with gold text."""
    folder = SHARED / "data/html/magic-html/benchmark/data/article"
    found = []
    for name, entry in sorted(json.loads((folder / "base.json").read_text()).items()):
        file = folder / "htmls" / f"{name}.html"
        if file.exists():
            held = hashlib.sha256(file.name.encode()).digest()[0] & 1
            found.append(page(name, file.read_bytes(), entry["content"], "held out" if held else "tuning"))
    for case in sorted((SHARED / "data/html/readability/test-pages").iterdir()):
        gold = re.sub(r"(?is)<(script|style)\b.*?</\1>", "", (case / "expected.html").read_text())
        text = html.unescape(re.sub(r"<[^>]+>", " ", gold))
        found.append(page(case.name, (case / "source.html").read_bytes(), text, "readability, tuning"))
    return found


def page(name: str, markup: bytes, gold: str, part: str) -> Page:
    """Returns a page, its language that of its gold text."""
    words = tokens(gold)
    han = sum(count for token, count in words.items() if re.match(f"[{HAN}]", token))
    return Page(name, markup, words, "zh" if 2 * han > words.total() else "en", part)


def ours(markups: list[bytes]) -> list[str]:
    """Returns main texts as ingest finds them."""
    readings = [(markup, read(markup, None)) for markup in markups]
    encoded = [
        markup if reading.charset == "utf-8" and not reading.replaced else reading.text.encode("utf-8", "replace")
        for markup, reading in readings
    ]
    return [text or "" for text in main_texts(encoded)]


def resiliparse(markups: list[bytes]) -> list[str]:
    """Returns main texts by resiliparse, with its own detection of charsets."""
    trees = (HTMLTree.parse_from_bytes(markup, detect_encoding(markup)) for markup in markups)
    return [extract_plain_text(tree, main_content=True) for tree in trees]


def trafilatura() -> Extract:
    """Returns the extraction of trafilatura as it comes, with comments left out as ours leaves them out."""
    try:
        import trafilatura as peer
    except ImportError as error:
        sys.exit(f"bench_extract.py: {error}; install it with: {(__doc__ or '').splitlines()[2].strip()}")
    return lambda markups: [peer.extract(markup, include_comments=False) or "" for markup in markups]


def seconds(extract: Extract, markups: list[bytes], rounds: int) -> float:
    """Returns the least CPU time of some rounds."""
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        extract(markups)
        spent.append(time.process_time() - start)
    return min(spent)


def main() -> None:
    """Prints the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--pages", action="store_true", help="print each page's F1 of ours")
    asked = options.parse_args()
    extracts: dict[str, Extract] = {"ours": ours, "trafilatura": trafilatura(), "resiliparse": resiliparse}
    every = pages()
    print(f"{'':<24}{'':<13}{'pages':>6}{'F1 mean':>9}{'median':>9}{'prec.':>8}{'recall':>8}")
    means: dict[tuple[str, str], tuple[float, float]] = {}
    for language, part in GROUPS:
        group = [page for page in every if (page.language, page.part) == (language, part)]
        for name, extract in extracts.items():
            texts = extract([one.markup for one in group])
            scores = [score(tokens(text), page.gold) for text, page in zip(texts, group, strict=True)]
            f1, precision, recall = (statistics.mean(column) for column in zip(*scores, strict=True))
            median = statistics.median(one.f1 for one in scores)
            if name == "ours" and part == "held out":
                means[language, part] = f1, median
            print(
                f"{language + ' ' + part:<24}{name:<13}{len(group):>6}"
                f"{f1:>9.3f}{median:>9.3f}{precision:>8.3f}{recall:>8.3f}"
            )
            if asked.pages and name == "ours":
                for one, page in sorted(zip(scores, group, strict=True)):
                    print(f"    {page.name[:40]:<42}{one.f1:.3f} {one.precision:.3f} {one.recall:.3f}")
    print(f"\n{'held out':<24}{'':<13}{'pages/s':>10}{'MB/s':>8}{'x trafilatura':>15}{'x resiliparse':>15}")
    for language, (least, least_median, ratio) in TARGETS.items():
        markups = [page.markup for page in every if (page.language, page.part) == (language, "held out")]
        ours(markups)  # compiles
        spent = {name: seconds(extract, markups, asked.rounds) for name, extract in extracts.items()}
        for name, time_spent in spent.items():
            size = sum(map(len, markups)) / 1e6
            print(
                f"{language:<24}{name:<13}{len(markups) / time_spent:>10.1f}{size / time_spent:>8.1f}"
                f"{spent['trafilatura'] / time_spent:>15.1f}{spent['resiliparse'] / time_spent:>15.1f}"
            )
        mean, median = means[language, "held out"]
        print(
            f"{language}: mean {mean:.3f} (at least {least}), median {median:.3f} (at least {least_median}), "
            f"{spent['trafilatura'] / spent['ours']:.1f} x trafilatura's pages a second (at least {ratio:g})"
        )


if __name__ == "__main__":
    main()
