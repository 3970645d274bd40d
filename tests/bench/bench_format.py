"""Formats told against formats by source, and bytes a second, over the shared data.

    python tests/bench/bench_format.py [--errors] [--seconds N]

The formats are by source: a law is prose, a poem poetry, a play dialogue. Menus are the `nav`, `footer` and `aside`
 of the crawl's pages, tables their `table` as rows of cells; code is HumanEval and the fenced parts of
documentation. `--errors` prints the beginning of what was told otherwise. The rate is that of the whole step on one
core: columns in, columns out.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from resiliparse.parse.html import HTMLTree

from stages.format.stage import tell
from stages.format.tables import FORMATS

DATA = Path(os.environ.get("DATAPIPE_SHARED", "../shared")) / "data"
MOST = 1000  # texts of a source


def sources() -> Iterator[tuple[str, str, list[str]]]:
    """Yields (format, source, texts)."""
    yield "prose", "statutes, PRC", [text for _, text in corpus("prc-laws")]
    yield "prose", "statutes, Taiwan (zh, en)", [text for _, text in corpus("taiwan-laws")]
    yield "prose", "licences (en)", [text.split("---", 2)[-1] for _, text in corpus("license-texts")]
    yield (
        "prose",
        "novel (en), 2,000 characters",
        cut((DATA / "corpora/gutenberg/1342-0.txt").read_text("utf-8-sig")[20_000:-20_000], 2000),
    )
    yield "prose", "articles, magic-html (zh, en)", articles()
    yield "prose", "articles, readability (en)", readable()
    yield "prose", "news, cx-extractor (zh)", news()
    yield "prose", "essays, minhash-articles (en)", minhash()
    yield "prose", "SMS (en)", [line.partition("\t")[2] for line in lines(DATA / "quality/sms-spam-en/data/sms.tsv")]
    yield "prose", "tweets, Davidson (en)", table(DATA / "quality/davidson/data/labeled_data.csv", "tweet")
    yield "prose", "comments, COLDataset (zh)", table(next((DATA / "quality/coldataset").rglob("test.csv")), "TEXT")
    yield "any", "blog and documentation, SOFAStack", [text for _, text in corpus("sofastack-blog-docs")]
    yield (
        "dialogue",
        "Analects, Mencius: what a master said",
        [
            text
            for name, text in corpus("chinese-poetry")
            if name.startswith(("论语", "四书五经")) and ".md" not in name
        ],
    )
    yield "poetry", "Tang and Song poems", poems("全唐诗")
    yield "poetry", "lyrics (宋词)", poems("宋词")
    yield "poetry", "Book of Songs (诗经)", poems("诗经")
    yield "poetry", "Songs of Chu (楚辞)", poems("楚辞")
    play = (DATA / "corpora/tinyshakespeare/data/tinyshakespeare/input.txt").read_text("utf-8")
    yield "dialogue", "Shakespeare's plays, 2,000 characters", cut(play, 2000)
    yield (
        "qa",
        "GSM8K, labelled",
        [
            f"Question: {row['question']}\nAnswer: {row['answer']}"
            for row in map(json.loads, lines(DATA / "benchmarks/gsm8k/grade_school_math/data/test.jsonl"))
        ],
    )
    yield "qa", "MMLU, options", mmlu()
    yield "qa", "GAOKAO, objective", gaokao("Objective")
    yield "qa", "GAOKAO, open-ended", gaokao("Subjective")
    yield "code", "HumanEval (Python)", human_eval()
    yield "code", "fenced code of documentation", fenced()
    menus, tables = pages()
    yield "navigation", "menus of the crawl (zh, en)", menus
    yield "table", "tables of the crawl, | cells", tables
    yield "table", "tables of the crawl, tabs", [text.replace(" | ", "\t").strip() for text in tables]


def corpus(name: str) -> Iterator[tuple[str, str]]:
    """Yields (id, text) of a corpus."""
    with zstandard.open(DATA / f"corpora/{name}.jsonl.zst", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield row["id"], row["text"]


def poems(book: str) -> list[str]:
    return [text for name, text in corpus("chinese-poetry") if name.startswith(book) and not name.endswith(".md")]


def cut(text: str, size: int) -> list[str]:
    """Returns a text in parts of paragraphs."""
    parts, held = [], ""
    for paragraph in text.split("\n\n"):
        held += paragraph + "\n\n"
        if len(held) >= size:
            parts.append(held)
            held = ""
    return parts


def lines(file: Path) -> list[str]:
    return file.read_text("utf-8", errors="replace").splitlines()


def table(file: Path, column: str) -> list[str]:
    with file.open(encoding="utf-8") as rows:
        return [row[column] for row in csv.DictReader(rows)]


def articles() -> list[str]:
    return [
        str(page["content"])
        for file in sorted((DATA / "html/magic-html").rglob("article/*.json"))
        for page in json.loads(file.read_text("utf-8")).values()
        if len(str(page.get("content", ""))) > 100
    ]


def readable() -> list[str]:
    files = sorted((DATA / "html/readability/test-pages").glob("*/expected.html"))
    texts = [extract_plain_text(HTMLTree.parse(file.read_text("utf-8")), main_content=False) for file in files]
    return [text for text in texts if len(text) > 500]


def news() -> list[str]:
    files = sorted((DATA / "html/cx-extractor").rglob("*.htm*"))
    texts = []
    for file in files:
        content = file.read_bytes()
        tree = HTMLTree.parse_from_bytes(content, detect_encoding(content))
        texts.append(extract_plain_text(tree, main_content=True))
    return [text for text in texts if len(text) > 300]


def minhash() -> list[str]:
    return [
        line.partition(" ")[2]
        for file in sorted((DATA / "dedup/minhash-articles").rglob("articles_1000.train"))
        for line in lines(file)
    ]


def mmlu() -> list[str]:
    texts = []
    for file in sorted((DATA / "benchmarks/mmlu").rglob("*.csv")):
        with file.open(encoding="utf-8") as rows:
            for question, *options, _ in csv.reader(rows):
                listed = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCD", options, strict=False))
                texts.append(f"{question}\n{listed}")
    return texts


def gaokao(kind: str) -> list[str]:
    files = sorted((DATA / "benchmarks/gaokao/Data").glob(f"{kind}*/*.json"))
    return [row["question"] for file in files for row in json.loads(file.read_text("utf-8"))["example"]]


def human_eval() -> list[str]:
    with gzip.open(DATA / "benchmarks/human-eval/data/HumanEval.jsonl.gz", "rt", encoding="utf-8") as file:
        return [row["prompt"] + row["canonical_solution"] for row in map(json.loads, file)]


def fenced() -> list[str]:
    """Returns blocks of code without their fences, of languages of code and of five lines or more."""
    fence = re.compile(r"^```(?:m?js|cjs|java|go|c|cpp|python|ts|json|xml)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
    found: list[str] = []
    for name in ("nodejs-api-versions", "kubernetes-docs-versions", "sofastack-blog-docs"):
        for _, text in list(corpus(name))[:300]:
            found += [block for block in fence.findall(text) if block.count("\n") >= 5]
    return found


def pages() -> tuple[list[str], list[str]]:
    """Returns the texts of menus, and of tables of two rows or more, of the crawl's pages, each once."""
    menus, tables = {}, {}
    for file in sorted((DATA / "crawl").glob("*.warc.gz")):
        for record in ArchiveIterator(str(file), record_types=WarcRecordType.response, parse_http=True):
            if record.http_content_type != "text/html":
                continue
            tree = HTMLTree.parse_from_bytes(record.reader.read(), "utf-8")
            for element in tree.body.query_selector_all("nav, footer, aside"):
                one = HTMLTree.parse(f"<html><body>{element.html}</body></html>")
                menus[extract_plain_text(one, main_content=False)] = None
            for element in tree.body.query_selector_all("table"):
                rows = [
                    [" ".join(cell.text.split()) for cell in row.query_selector_all("td, th")]
                    for row in element.query_selector_all("tr")
                ]
                if len(rows) > 1 and all(len(row) > 1 for row in rows):
                    tables["\n".join(f"| {' | '.join(row)} |" for row in rows)] = None
    return [text for text in menus if text.count("\n") >= 5], list(tables)


def main() -> None:
    """Prints the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--errors", action="store_true")
    options.add_argument("--seconds", type=float, default=2)
    given = options.parse_args()
    everything: list[str] = []
    told: Counter[tuple[str, str]] = Counter()
    print("| is | source | texts | " + " | ".join(FORMATS) + " |")
    print("|---|---|---|" + "---|" * len(FORMATS))
    for name, source, texts in sources():
        texts = [text for text in texts if text.strip()][:: max(1, len(texts) // MOST)][:MOST]
        everything += texts
        found = tell(pa.array(texts, pa.string()))[0].to_pylist()
        counts = Counter(found)
        if name != "any":
            told.update((name, other) for other in found)
        print(f"| {name} | {source} | {len(texts)} | " + " | ".join(str(counts[one] or ".") for one in FORMATS) + " |")
        if given.errors:
            wrong = [(other, text) for other, text in zip(found, texts, strict=True) if name not in ("any", other)]
            for other, text in wrong[:: max(1, len(wrong) // 6)][:6]:
                print(f"      {other}: {text[:300]!r}")
    print("\n| is | texts | recall | precision |\n|---|---|---|---|")
    for name in FORMATS:
        mine = sum(amount for (is_, _), amount in told.items() if is_ == name)
        all_told = sum(amount for (_, other), amount in told.items() if other == name)
        print(
            f"| {name} | {mine} | {told[name, name] / max(mine, 1):.3f} | {told[name, name] / max(all_told, 1):.3f} |"
        )
    print("\n| CPU, whole step | documents | MB | bytes a line | MB/s |\n|---|---|---|---|---|")
    rate("all of the above", everything, given.seconds)
    rate("articles (en), a line each", minhash(), given.seconds)
    rate("statutes, PRC", [text for _, text in corpus("prc-laws")], given.seconds)
    rate("licences, many hard-wrapped", [text for _, text in corpus("license-texts")], given.seconds)
    rate("documentation, Node.js", [text for _, text in corpus("nodejs-api-versions")], given.seconds)


def rate(name: str, texts: list[str], seconds: float) -> None:
    """Prints megabytes a CPU second of the step on one core."""
    column = pa.array(texts, pa.large_string())
    size, rounds, start = sum(len(text.encode()) for text in texts), 0, time.process_time()
    while time.process_time() - start < seconds:
        tell(column)
        rounds += 1
    spent = time.process_time() - start
    newlines = sum(text.count("\n") + 1 for text in texts)
    mega = f"{size / 1e6:.1f} | {size / newlines:.0f} | {rounds * size / spent / 1e6:.0f}"
    print(f"| {name} | {len(texts)} | {mega} |")


if __name__ == "__main__":
    main()
