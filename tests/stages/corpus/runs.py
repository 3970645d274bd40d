"""Corpora on disk as a run leaves them: pages of several hosts and books without one, seen up to three times."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import datapipe
from stages.tokens.train import learn

EOS = "<|endoftext|>"
HOSTS = ("one.example", "two.example", "blog.two.example", "天.example", "three.test")
ENGLISH = "the way that can be told is not an unvarying way nameless was where heaven and earth sprang"
WORDS = [*"道可道非常名天地之始万物母故", *ENGLISH.split()]


def page(number: int) -> str:
    """Returns a text of its own, of 1 to some hundred words."""
    draw = random.Random(number)
    words = [draw.choice(WORDS) for _ in range(int(draw.lognormvariate(3, 1)) + 1)]
    return f"{number} {' '.join(words)} {number}"


def url(number: int) -> str:
    """Returns the address of a page."""
    return f"https://{HOSTS[number % len(HOSTS)]}/{number % 7}/page-{number}"


@cache
def tokenizer() -> bytes:
    return learn([page(number) for number in range(50)], 320, (EOS,))


def write_pages(folder: Path) -> None:
    """Writes 120 pages in three files, ten of them copies of others under another address, and 30 books."""
    rows = [{"url": url(number), "text": page(number)} for number in range(110)]
    rows += [{"url": f"https://copy.example/{number}", "text": page(number)} for number in range(0, 100, 10)]
    for part in range(3):
        (folder / "web").mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(row, ensure_ascii=False) for row in rows[part::3]]
        (folder / "web" / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    books = [json.dumps({"text": page(1000 + number)}, ensure_ascii=False) for number in range(30)]
    (folder / "books.jsonl").write_text("\n".join(books) + "\n", encoding="utf-8")
    (folder / "tokenizer.json").write_bytes(tokenizer())


def run(folder: Path, *, out: str | None = None, dedup: bool = True, **mix: Any) -> Path:
    """Returns the output folder of a run on these pages, with `mix` in the place of the step's own fields."""
    write_pages(folder)
    fields = {
        "weights": {"web": 0.7, "books": 0.3},
        "tokens": 12_000,
        "seq_len": 64,
        "shard_bytes": 8192,
        "max_epochs": None,
        "validation": {"documents": 12},
        **mix,
    }
    sources = {"web": {"path": str(folder / "web")}, "books": {"path": str(folder / "books.jsonl")}}
    config = {
        "name": "made",
        "steps": [
            {"ingest": {"sources": sources}},
            *([{"dedup_exact": {"by": "text"}}] if dedup else []),
            {"tokenize": {"tokenizer": str(folder / "tokenizer.json")}},
            {"mix": fields},
        ],
    }
    datapipe.run(config, out=out or folder / "out", work=folder / "work", executor="local")
    return folder / "out"
