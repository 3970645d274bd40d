"""What the shipped profiles keep of the shared data, by kind of document; and how they agree with what they stand for.

    python tests/bench/bench_profiles.py [--documents N] [--datatrove PYTHON]

Kept: the share of the documents of each collection and language that each profile keeps (language scores are taken
as 1). Agreement: of fineweb2-zh-fast with fineweb2-zh, where jieba is installed; of our gopher, c4 and fineweb with
datatrove's own filters, run by the Python interpreter that `--datatrove` names (it needs datatrove and spacy).
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import zstandard

from datapipe.config import load_config
from datapipe.testing import dataset, evaluate
from stages.quality import Quality
from stages.quality.tables import load

SHARED = Path(os.environ.get("DATAPIPE_SHARED", "../shared")) / "data"
CHINESE = ("zh-web-v1", "zh-classical-v1", "mixed-v1", "gopher-any", "fineweb2-zh-fast")
LETTERS = "gopher_alphabetic_words"
ENGLISH = ("gopher", "gopher-any", "c4", "fineweb", "refinedweb")
# Prints, for each document, what each of datatrove's filters says: null for kept, else the reason.
DATATROVE = """
import json, sys
from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter

def say(given, text):
    document = Document(text=text, id="")
    try:
        said = given.filter(document)
    except (ZeroDivisionError, ValueError):
        return "empty", text
    return (None if said is True else said[1]), document.text

made = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter()]
made.append(C4QualityFilter(filter_no_terminal_punct=False))
for line in open(sys.argv[1], encoding="utf-8"):
    document = json.loads(line)
    reasons = [say(one, document["text"]) for one in made]
    last = say(FineWebQualityFilter(), reasons[3][1])
    print(json.dumps([document["id"], *(reason for reason, _ in reasons), last[0]]))
"""

Documents = list[tuple[str, str, str]]  # collection, language, text


def read(limit: int) -> Documents:
    """Returns at most `limit` documents of each collection and language, those of the least hashes."""
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for path in sorted((SHARED / "corpora").glob("*.jsonl.zst")):
        with zstandard.open(path, "rb") as file:
            for line in io.TextIOWrapper(file, encoding="utf-8"):
                text = json.loads(line)["text"][:100_000]
                share = sum("\u4e00" <= letter <= "\u9fff" for letter in text) / max(1, len(text))
                if share < 0.01 or share > 0.2:
                    name = path.name.removesuffix(".jsonl.zst")
                    found[name, "zho" if share > 0.2 else "eng"][hashlib.md5(text.encode()).hexdigest()] = text
    steps = [{"ingest": {"sources": {"crawl": {"path": str(SHARED / "crawl" / "*.warc.gz")}}}}, "language"]
    crawl = evaluate(load_config({"name": "crawl", "steps": steps}).pipeline().result, rows_per_batch=500).table
    for row in crawl.select(["text", "language"]).to_pylist():
        if row["language"][:3] in ("zho", "eng"):
            found["crawl", row["language"][:3]][hashlib.md5(row["text"].encode()).hexdigest()] = row["text"]
    return [(*key, texts[name]) for key, texts in found.items() for name in sorted(texts)[:limit]]


def keep(profile: str, texts: list[str]) -> list[set[str]]:
    """Returns the rules of a profile that each text breaks."""
    table = pa.table(
        {
            "id": pa.array([number.to_bytes(16) for number in range(len(texts))], pa.binary(16)),
            "text": pa.array(texts, pa.string()),
            "language": ["und"] * len(texts),
            "language_score": pa.array([1] * len(texts), pa.float32()),
        }
    )
    result = evaluate(Quality(profiles={"default": profile}).build(dataset(table)), rows_per_batch=500)
    broken: list[set[str]] = [set() for _ in texts]
    for row in result.ledger.to_pylist():
        if row["action"] != "repair":
            broken[int.from_bytes(row["id"])].add(row["rule"])
    return broken


def kept(documents: Documents) -> None:
    for language, profiles in (("zho", CHINESE), ("eng", ENGLISH)):
        mine = [item for item in documents if item[1] == language]
        names = list(dict.fromkeys(name for name, _, _ in mine))
        print(f"\nkept, {language}  " + "".join(f"{name[:16]:>18}" for name in profiles) + f"{'documents':>12}")
        found = {profile: keep(profile, [text for _, _, text in mine]) for profile in profiles}
        for name in names:
            places = [place for place, item in enumerate(mine) if item[0] == name]
            shares = [sum(not found[profile][place] for place in places) / len(places) for profile in profiles]
            print(f"{name[:28]:<30}" + "".join(f"{share:>18.3f}" for share in shares) + f"{len(places):>12}")


def fast(documents: Documents) -> None:
    if importlib.util.find_spec("jieba") is None:
        print("\nfineweb2-zh: jieba is not installed")
        return
    mine = [item for item in documents if item[1] == "zho"]
    texts = [text for _, _, text in mine]
    start = time.process_time()
    quick = [not broken for broken in keep("fineweb2-zh-fast", texts)]
    between = time.process_time()
    slow = [not broken for broken in keep("fineweb2-zh", texts)]
    end = time.process_time()
    print(f"\nfineweb2-zh-fast against fineweb2-zh: {(end - between) / (between - start):.0f} times as fast (CPU)")
    print(f"{'':<30}{'agreement':>12}{'kept, fast':>12}{'published':>12}{'documents':>12}")
    for name in [*dict.fromkeys(item[0] for item in mine), "all"]:
        places = [place for place, item in enumerate(mine) if name in (item[0], "all")]
        same = sum(quick[place] == slow[place] for place in places) / len(places)
        shares = [sum(given[place] for place in places) / len(places) for given in (quick, slow)]
        print(f"{name[:28]:<30}{same:>12.3f}{shares[0]:>12.3f}{shares[1]:>12.3f}{len(places):>12}")


def against_datatrove(documents: Documents, python: str) -> None:
    texts = [text for _, language, text in documents if language == "eng"]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(texts))
        file.flush()
        said = subprocess.run(
            [python, "-c", DATATROVE, file.name],
            capture_output=True,
            check=True,
            text=True,
            env={"PATH": os.environ["PATH"]},
        )
    theirs = [json.loads(line)[1:] for line in said.stdout.splitlines() if line.startswith("[")]
    whole, c4 = keep("fineweb", texts), keep("c4", texts)
    repeats = [rule.id for rule in load("gopher").rules if rule.id.startswith(("gopher_duplicate", "gopher_top"))]
    gopher = [{rule for rule in broken if rule.startswith("gopher")} for broken in whole]
    letters = [None if item[1] == "gopher_below_alpha_threshold" else item[1] for item in theirs]
    pairs = {
        "Gopher's repetition": ([broken & {*repeats} for broken in gopher], [item[0] for item in theirs]),
        "Gopher's quality": ([broken - {*repeats} for broken in gopher], [item[1] for item in theirs]),
        "Gopher's quality, without*": ([broken - {*repeats, LETTERS} for broken in gopher], letters),
        "C4": (c4, [item[2] for item in theirs]),
        "FineWeb's own, after C4": (
            [{rule for rule in broken if rule.startswith("fineweb")} for broken in whole],
            [item[4] for item in theirs],
        ),
        "FineWeb": (whole, [item[0] or item[1] or item[3] or item[4] for item in theirs]),
        "FineWeb, without*": (
            [broken - {LETTERS} for broken in whole],
            [item[0] or letter or item[3] or item[4] for item, letter in zip(theirs, letters, strict=True)],
        ),
    }
    print(f"\nagainst datatrove, {len(texts)} English documents")
    print(f"{'':<30}{'agreement':>12}{'kept, ours':>12}{'datatrove':>12}")
    for name, (ours, its) in pairs.items():
        same = sum((not mine) == (reason is None) for mine, reason in zip(ours, its, strict=True)) / len(texts)
        shares = sum(not mine for mine in ours) / len(texts), sum(reason is None for reason in its) / len(texts)
        print(f"{name:<30}{same:>12.3f}{shares[0]:>12.3f}{shares[1]:>12.3f}")
    print("* the share of words with a letter: punctuation is a word there, not in the paper and not here")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=200, help="of each collection and language, at most")
    parser.add_argument("--datatrove", metavar="PYTHON", help="an interpreter that has datatrove")
    given = parser.parse_args()
    documents = read(given.documents)
    kept(documents)
    fast(documents)
    if given.datatrove:
        against_datatrove(documents, given.datatrove)


if __name__ == "__main__":
    sys.exit(main())
