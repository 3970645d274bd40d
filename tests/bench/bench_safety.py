"""Personal details and safety: precision and recall on labelled texts, hits on real ones, and CPU speed, in one run.

    python tests/bench/bench_safety.py [--datatrove PYTHON]

PYTHON is an interpreter with datatrove, whose PIIFormatter then masks the same labelled texts. The labelled texts are
generated (tests/stages/pii/labelled.py); the pages that are spam in resiliparse's Common Crawl excerpt were judged by
eye, and our terms were chosen with that excerpt at hand: it shows that they work, not how well on other pages.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from resiliparse.parse.html import HTMLTree

from stages.dedup.fold import fold_table
from stages.pii.candidates import candidates
from stages.pii.find import KINDS, find_plainly
from stages.pii.stage import MASKS, details_of, masked
from stages.quality.tables import load as load_rules
from stages.safety.match import weigh
from stages.safety.plain import weigh_plainly
from stages.safety.stage import columns_of
from stages.safety.terms import OURS, load, shipped, terms_of
from tests.stages.pii.labelled import RESERVED, Labelled, labelled

DATA = Path(os.environ.get("DATAPIPE_SHARED", "../shared")) / "data"
# Pages of the excerpt that are gambling or adult, by host.
UNWANTED = (
    *("035.psb556.com", "041696.com", "044545.com", "0513mt.com", "05925.net", "0760.jxtdw.com", "077678u.info"),
    "096355.com",
)
DATATROVE = """
import json, sys, time
from datatrove.pipeline.formatters.pii import PIIFormatter
texts = json.load(sys.stdin)
formatter = PIIFormatter()
start = time.process_time()
made = [formatter.format(text) for text in texts]
json.dump({"texts": made, "seconds": time.process_time() - start}, sys.stdout)
"""


def pages(*files: Path) -> Iterator[tuple[str, str]]:
    """Yields (URL, main text by resiliparse) of the HTML responses in WARC files."""
    for path in files:
        for record in ArchiveIterator(str(path), record_types=WarcRecordType.response, parse_http=True):
            html = record.reader.read()
            tree = HTMLTree.parse_from_bytes(html, detect_encoding(html))
            yield record.headers.get("WARC-Target-URI"), extract_plain_text(tree, main_content=True)


def corpora() -> dict[str, list[str]]:
    """Returns the clean texts: corpora, the crawl, and the articles with gold text."""
    found: dict[str, list[str]] = {}
    for path in sorted((DATA / "corpora").glob("*.jsonl.zst")):
        with path.open("rb") as file:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
            found[path.name.split(".")[0]] = [json.loads(line)["text"] for line in lines]
    found["crawl"] = [text for _, text in pages(*sorted((DATA / "crawl").glob("*.warc.gz")))]
    gold = json.loads((DATA / "html/magic-html/benchmark/data/article/base.json").read_text())
    found["magic-html articles"] = [entry["content"] for entry in gold.values()]
    found["readability articles"] = [
        extract_plain_text(HTMLTree.parse(path.read_text()))
        for path in sorted((DATA / "html/readability/test-pages").glob("*/expected.html"))
    ]
    found["cx-extractor news"] = [
        path.read_bytes().decode("gb18030", "replace") for path in sorted((DATA / "html/cx-extractor").rglob("*.txt"))
    ]
    return {name: texts for name, texts in found.items() if texts}


def hide(texts: list[str]) -> list[str]:
    """Returns texts with our masks in the place of details that are not reserved."""
    found = details_of(pa.array(texts, pa.large_string()))
    kept = {row: [one for one in details if not one.reserved] for row, details in found.items()}
    return [masked(text, kept.get(row, []), MASKS)[0] for row, text in enumerate(texts)]


def score(cases: list[Labelled], made: list[str]) -> dict[str, tuple[int, int]]:
    """Returns (details gone, details) by kind, and under '' (texts changed, texts) of those without any."""
    amounts: dict[str, tuple[int, int]] = {}
    for case, text in zip(cases, made, strict=True):
        for kind, value in case.details or (("", ""),):
            gone, all_of = amounts.get(kind, (0, 0))
            hit = value not in text if kind else text != case.text
            amounts[kind] = (gone + hit, all_of + 1)
    return amounts


def show_details(python: str | None) -> None:
    """Prints recall by kind and false hits, ours and datatrove's."""
    cases = labelled(20261201, 200)
    texts = [case.text for case in cases]
    columns = {"ours": score(cases, hide(texts))}
    reserved = {"ours": sum(a != b for a, b in zip(RESERVED, hide(list(RESERVED)), strict=True))}
    if python:
        call = subprocess.run(
            [python, "-c", DATATROVE], input=json.dumps([*texts, *RESERVED]), capture_output=True, text=True, check=True
        )
        made = json.loads(call.stdout)["texts"]
        columns["datatrove"] = score(cases, made[: len(texts)])
        reserved["datatrove"] = sum(a != b for a, b in zip(RESERVED, made[len(texts) :], strict=True))
    print("\npersonal details, generated texts: found by kind (recall)\n")
    print(f"| kind | texts | {' | '.join(columns)} |\n|---|--:|{'--:|' * len(columns)}")
    for kind in KINDS:
        shares = [f"{held[kind][0] / held[kind][1]:.3f}" for held in columns.values()]
        print(f"| {kind} | {columns['ours'][kind][1]} | {' | '.join(shares)} |")
    changed = [f"{held[''][0]}" for held in columns.values()]
    print(f"| hard negatives changed | {columns['ours'][''][1]} | {' | '.join(changed)} |")
    found = [sum(held[kind][0] for kind in KINDS) for held in columns.values()]
    precision = [f"{hits / (hits + held[''][0]):.3f}" for hits, held in zip(found, columns.values(), strict=True)]
    print(f"| precision over all | | {' | '.join(precision)} |")
    print(f"| reserved examples changed | {len(RESERVED)} | {' | '.join(map(str, reserved.values()))} |")


def show_hits(clean: dict[str, list[str]]) -> None:
    """Prints how many details there are in real texts; they are to be looked at by eye."""
    print(f"\npersonal details in real texts (reserved ones apart)\n\n| texts | documents | MB | {' | '.join(KINDS)} |")
    print(f"|---|--:|--:|{'--:|' * len(KINDS)}")
    for name, texts in clean.items():
        found = details_of(pa.array(texts, pa.large_string()))
        amounts = Counter((one.kind, one.reserved) for details in found.values() for one in details)
        cells = [f"{amounts[kind, False]} (+{amounts[kind, True]})" for kind in KINDS]
        print(f"| {name} | {len(texts)} | {megabytes(texts):.1f} | {' | '.join(cells)} |")


def unsafe(texts: list[str]) -> np.ndarray:
    """Returns which texts the shipped rules on our columns drop: bool[texts]."""
    sums, lengths = weigh(pa.array(texts, pa.large_string()), load(shipped(), (), fold_table()), OURS)
    columns = {name: column.to_numpy(zero_copy_only=False) for name, column in columns_of(sums, lengths, ()).items()}
    dropped = np.zeros(len(texts), bool)
    for rule in load_rules("safety").rules:
        fired = columns[rule.signal] > np.float32(rule.max if rule.max is not None else np.inf)
        for condition in rule.when:
            fired &= columns[str(condition.signal)] >= (condition.min or 0)
        dropped |= fired
    return dropped


def show_safety(clean: dict[str, list[str]]) -> None:
    """Prints what the shipped rules drop of labelled and of clean texts."""
    print("\nsafety rules: documents dropped\n\n| texts | unwanted | dropped (recall) | wanted | dropped |")
    print("|---|--:|--:|--:|--:|")
    sms = [line.split("\t", 1) for line in (DATA / "quality/sms-spam-en/data/sms.tsv").read_text().splitlines()]
    excerpt = list(pages(DATA / "warc/resiliparse/warcfile.warc.gz"))
    labelled_texts = {
        "Common Crawl excerpt": [(any(host in url for host in UNWANTED), text) for url, text in excerpt],
        "SMS": [(kind == "spam", text) for kind, text in sms],
    }
    for name, pairs in labelled_texts.items():
        dropped = unsafe([text for _, text in pairs])
        bad = np.array([unwanted for unwanted, _ in pairs])
        hits, false = int((dropped & bad).sum()), int((dropped & ~bad).sum())
        print(f"| {name} | {bad.sum()} | {hits} ({hits / bad.sum():.2f}) | {(~bad).sum()} | {false} |")
    flagdata = DATA / "quality/flagdata/flagdata/quality_assessment/FastText/data/cleared1.jsonl"
    web = [json.loads(line) for line in flagdata.read_text().splitlines()]
    texts = [f"{entry['title']}\n{entry['raw_content']}" for entry in web]
    print(f"| flagdata (not labelled) | | {unsafe(texts).sum()} of {len(texts)} | | |")
    for name, texts in clean.items():
        print(f"| {name} | | | {len(texts)} | {unsafe(texts).sum()} |")


def megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def seconds(work: Callable[[], object], rounds: int = 3) -> float:
    """Returns the least CPU seconds of some rounds, after one that compiles."""
    work()
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def show_speed(clean: dict[str, list[str]], python: str | None) -> None:
    """Prints MB a CPU second."""
    statutes = clean["prc-laws"] + clean["taiwan-laws"]
    documentation = clean["kubernetes-docs-versions"] + clean["sofastack-blog-docs"]
    plain = ["".join(one for one in text if one not in "0123456789@") for text in documentation]
    trie, terms = load(shipped(), (), fold_table()), terms_of(shipped(), (), fold_table())
    print("\nMB a CPU second\n\n| texts | PII: candidates | PII: all | twin by re | datatrove | safety | its twin |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    named = {
        "statutes (zh)": statutes,
        "documentation without digits": plain,
        "documentation": documentation,
        "crawl": clean["crawl"],
    }
    for name, texts in named.items():
        column, few = pa.array(texts, pa.large_string()), texts[::40]
        some = [text[:2000] for text in few[:20]]
        cells = [
            megabytes(texts) / seconds(lambda column=column: candidates(column)),
            megabytes(texts) / seconds(lambda column=column: details_of(column)),
            megabytes(few) / seconds(lambda few=few: [find_plainly(text) for text in few], 1),
            megabytes(few) / datatrove_seconds(python, few) if python else float("nan"),
            megabytes(texts) / seconds(lambda column=column: weigh(column, trie, OURS)),
            megabytes(some) / seconds(lambda some=some: [weigh_plainly(text, terms, trie, OURS) for text in some], 1),
        ]
        print(f"| {name} | {' | '.join(f'{cell:.4g}' for cell in cells)} |")


def datatrove_seconds(python: str, texts: list[str]) -> float:
    call = subprocess.run(
        [python, "-c", DATATROVE], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    return float(json.loads(call.stdout)["seconds"])


def main() -> None:
    """Prints the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--datatrove", metavar="PYTHON")
    python = options.parse_args().datatrove
    clean = corpora()
    show_details(python)
    show_hits(clean)
    show_safety(clean)
    show_speed(clean, python)


if __name__ == "__main__":
    main()
