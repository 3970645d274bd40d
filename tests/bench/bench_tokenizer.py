"""Splits that a tokenizer may be trained with, and the time and memory of training.

    python tests/bench/bench_tokenizer.py [BYTES [VOCABULARY]]

Half Chinese, half English, from the development data; every tenth document is held out. Two texts are of other sources:
Chinese web pages and an English novel. Memory is what a process of its own grows by.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import zstandard
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import PreTokenizer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from stages.tokens.learn import learn  # noqa: E402
from stages.tokens.ranks import KNOWN  # noqa: E402
from stages.tokens.splits import encoding_splits, training_splits  # noqa: E402

DATA = Path(os.environ.get("DATAPIPE_SHARED", ROOT.parent / "shared")) / "data"
EOS = "<|endoftext|>"
HAN, LATIN, DIGIT, WIDE = r"[\u3007\u3400-\u9fff]", "[A-Za-z]", "[0-9]", "[，。、！？；：（）《》“”]"
JUDGED = 400_000  # bytes of a source


def split(*patterns: str) -> PreTokenizer:
    parts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    return pre_tokenizers.Sequence([*parts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def runs_of(most: int) -> PreTokenizer:
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(rf"[\p{{Han}}]{{1,{most}}}"), "isolated"), training_splits(3)]
    )


SPLITS: dict[str, Callable[[], PreTokenizer]] = {
    **{name: (lambda name=name: split(KNOWN[name].pattern)) for name in ("gpt2", "cl100k_base", "qwen", "o200k_base")},
    "ours": encoding_splits,
    **{f"Han runs of {most}": (lambda most=most: runs_of(most)) for most in (8, 4, 2)},
}


def texts(size: int) -> tuple[list[str], dict[str, list[str]]]:
    """Returns texts to train on, `size` bytes, and those that are held out, by source."""
    learnt: dict[str, list[tuple[bytes, str]]] = {"zh": [], "en": []}
    held: dict[str, list[str]] = {}
    for file in sorted((DATA / "corpora").glob("*.jsonl.zst")):
        with file.open("rb") as raw:
            stream = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            for line in io.TextIOWrapper(stream, "utf-8"):
                text = json.loads(line)["text"]
                language = "zh" if len(re.findall(HAN, text)) > 0.2 * len(text) else "en"
                digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
                if digest[0] < 26:
                    held.setdefault(f"{file.name.split('-')[0]} {language}", []).append(text)
                else:
                    learnt[language].append((digest, text[: 1 << 17]))
    pages = DATA / "quality/flagdata/flagdata/quality_assessment/FastText/data/cleared1.jsonl"
    held["web zh, another source"] = [row_text(json.loads(line)) for line in pages.open(encoding="utf-8")]
    novel = (DATA / "corpora/gutenberg/1342-0.txt").read_text("utf-8")
    held["novel en, another source"] = novel.split("\n\n")
    wanted = {language: cut([text for _, text in sorted(some)], size // 2) for language, some in learnt.items()}
    judged = {name: cut(some, JUDGED) for name, some in sorted(held.items())}
    return [*wanted["zh"], *wanted["en"]], {name: some for name, some in judged.items() if sum(map(len, some)) > 50_000}


def row_text(row: dict[str, str]) -> str:
    return next(value for key, value in row.items() if key == "text" or "content" in key)


def cut(some: list[str], size: int) -> list[str]:
    kept, held = [], 0
    for text in some:
        if held > size:
            break
        kept.append(text)
        held += len(text.encode())
    return kept


def by_library(some: list[str], vocab_size: int, splits: PreTokenizer) -> bytes:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = splits, decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[EOS], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(some, trainer)
    return str(made.to_str()).encode()


def apart(work: Callable[[], bytes]) -> tuple[bytes, float, float]:
    """Returns what `work` gives, its CPU seconds, and the megabytes that a process of its own grew by."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        made = work()
        told = f"{time.process_time() - start} {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}\n"
        with os.fdopen(writer, "wb") as out:
            out.write(told.encode() + made)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as held:
        seconds, memory = held.readline().split()
        made = held.read()
    os.waitpid(child, 0)
    return made, float(seconds), float(memory)


def main(size: int = 8_000_000, vocab_size: int = 32_000) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    some, held = texts(size)
    print(f"{sum(len(text.encode()) for text in some):,} bytes to train on, {vocab_size:,} tokens\n")
    _, seconds, memory = apart(lambda: learn(some, vocab_size, [EOS]))
    print(f"training: {seconds:.1f} CPU s, {memory:.0f} MB\n")

    names = [f"{name} ({'tokens/character' if ' zh' in name else 'bytes/token'})" for name in held]
    print(f"| splits | Han and Latin or digits | Han and a mark | {' | '.join(names)} |\n|{'---|' * (len(held) + 3)}")
    for name, splits in SPLITS.items():
        made = Tokenizer.from_str(apart(lambda splits=splits: by_library(some, vocab_size, splits()))[0].decode())
        tokens = [made.decode([number]) for number in range(1, made.get_vocab_size())]
        mixed = sum(bool(re.search(HAN, one) and re.search(f"{LATIN}|{DIGIT}", one)) for one in tokens)
        marked = sum(bool(re.search(HAN, one) and re.search(WIDE, one)) for one in tokens)
        cells = []
        for group, judged in held.items():
            count = sum(len(one.ids) for one in made.encode_batch_fast(judged, add_special_tokens=False))
            characters, bytes_ = sum(map(len, judged)), sum(len(text.encode()) for text in judged)
            cells.append(f"{count / characters:.4f}" if " zh" in group else f"{bytes_ / count:.3f}")
        print(f"| {name} | {mixed} | {marked:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
