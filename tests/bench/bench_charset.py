"""Charset detection by label beside detectors alone; mojibake mended and left alone beside ftfy; MB a CPU second.

    python tests/bench/bench_charset.py [--peers FOLDER] [--only charsets|recall|alone]

Samples are lines of lingua's test sentences, encoded, of about so many bytes beyond ASCII; right is a charset that
decodes them to the text that they were made from. `--peers` is a folder with ftfy and charset_normalizer, for example
of `pip install --target`; a peer that is not there is left out. chardetng and resiliparse are read by the WHATWG names.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import opencc
import pyarrow as pa
import zstandard
from chardetng_py import detect
from resiliparse.parse.encoding import detect_encoding

from stages.ingest.charset import _codec, read
from stages.repair.mojibake import mend, suspects

DATA = Path(os.environ.get("DATAPIPE_SHARED", "../shared")) / "data"
SENTENCES = DATA / "language/lingua-testdata/sentences"
SIZES = (20, 100, 400)
SAMPLES = 10
LABELS = {
    "zh": ["gb18030"],
    "zh-Hant": ["big5hkscs", "gb18030"],
    "ja": ["cp932", "euc_jp"],
    "ko": ["cp949"],
    "ru": ["cp1251", "koi8-r", "iso8859-5", "cp866", "mac_cyrillic"],
    "uk": ["cp1251", "koi8-u", "iso8859-5", "mac_cyrillic"],
    "ar": ["cp1256", "iso8859-6"],
    "th": ["cp874"],
    "vi": ["cp1258"],
    "tr": ["cp1254"],
    "pl": ["cp1250", "iso8859-2"],
    **{language: ["cp1252"] for language in ("fr", "de", "es", "pt", "it")},
}
SPOILT = {
    "UTF-8 as Latin-1": ("utf-8", "latin-1"),
    "UTF-8 as Windows-1252": ("utf-8", "western"),
    "the same twice": ("utf-8", "western", "utf-8", "western"),
    "GBK as Latin-1": ("gbk", "latin-1"),
    "GBK as Windows-1252": ("gbk", "western"),
    "UTF-8 as GBK": ("utf-8", "gbk"),
    "GBK as UTF-8": ("gbk", "utf-8"),
    "GBK as UTF-8 as GBK": ("gbk", "utf-8", "utf-8", "gbk"),
    "Big5 as GBK": ("big5", "gb18030"),
}


@functools.cache
def sentences(language: str) -> list[str]:
    """Returns lines of a language; Traditional Chinese is converted."""
    lines = (SENTENCES / f"{language[:2]}.txt").read_text("utf-8").splitlines()
    return list(map(opencc.OpenCC("s2t").convert, lines)) if language == "zh-Hant" else lines


def encoded(text: str, charset: str) -> bytes | None:
    """Returns the bytes of a line with some beyond ASCII, None where the charset lacks a character."""
    if charset == "cp1258":  # it writes Vietnamese tones as combining characters
        tones = "\u0300\u0301\u0303\u0309\u0323"
        parts = [unicodedata.normalize("NFD", character) for character in text]
        text = "".join(
            unicodedata.normalize("NFC", "".join(one for one in part if one not in tones))
            + "".join(one for one in part if one in tones)
            for part in parts
        )
    try:
        data = text.encode(charset)
    except UnicodeEncodeError:
        return None
    return None if data.isascii() else data


def samples(language: str, charset: str, size: int) -> Iterator[bytes]:
    """Yields samples of whole lines with at least `size` bytes beyond ASCII."""
    lines = [data for line in sentences(language) if (data := encoded(line, charset))]
    chance = random.Random(size)
    for _ in range(SAMPLES):
        place, data = chance.randrange(len(lines)), b""
        while len(data.translate(None, bytes(range(128)))) < size:
            data += lines[place % len(lines)] + b"\n"
            place += 1
        yield data


def detectors() -> dict[str, Callable[[bytes], str | None]]:
    """Returns what names a charset, by name."""
    found: dict[str, Callable[[bytes], str | None]] = {
        "ours": lambda data: read(data, None).charset,
        "chardetng": lambda data: _codec(detect(data)),
        "resiliparse": lambda data: _codec(detect_encoding(data) or ""),
    }
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return found

    def normalizer(data: bytes) -> str | None:
        best = from_bytes(data).best()
        return best.encoding if best else None

    return {**found, "charset_normalizer": normalizer}


def is_right(data: bytes, named: str | None, charset: str) -> bool:
    """Says whether a charset decodes data to the text that it was made from."""
    try:
        return named is not None and data.decode(named) == data.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return False


def charsets() -> None:
    """Prints the share of samples that each detector reads right, by label and size, and its speed."""
    named = detectors()
    spent, seen = dict.fromkeys(named, 0.0), 0
    print(f"{'charset, bytes beyond ASCII':<34}" + "".join(f"{name:>20}" for name in named))
    total = {name: [0, 0] for name in named}
    for language, labels in LABELS.items():
        for charset in labels:
            for size in SIZES:
                held = list(samples(language, charset, size))
                seen += sum(map(len, held))
                line = f"{language + ' ' + charset:<26}{size:>8}"
                for name, detector in named.items():
                    start = time.process_time()
                    answers = [detector(data) for data in held]
                    spent[name] += time.process_time() - start
                    right = sum(is_right(data, one, charset) for data, one in zip(held, answers, strict=True))
                    line += f"{right / len(held):>20.3f}"
                    if size >= 100:
                        total[name][0] += right
                        total[name][1] += len(held)
                print(line)
    print(f"{'all of 100 bytes and more':<34}" + "".join(f"{right / of:>20.4f}" for right, of in total.values()))
    print(f"{'MB a CPU second':<34}" + "".join(f"{seen / 1e6 / spent[name]:>20.2f}" for name in named))


def pages() -> None:
    """Prints how many Chinese news pages are read as they were written, with and without their own label."""
    for stated in (True, False):
        right = seen = 0
        for file in sorted((DATA / "html/cx-extractor/RawHtml").glob("*.html")):
            data = file.read_bytes() if stated else re.sub(rb"(?i)charset", b"", file.read_bytes())
            reading = read(data, None)
            right += reading.text == data.decode("utf-8" if reading.charset == "utf-8" else "gb18030")
            seen += 1
        print(f"cx-extractor {'with' if stated else 'without'} its label: {right} of {seen} pages right")


def western(data: bytes) -> str:
    """Returns bytes as a browser reads them as Windows-1252."""
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in data)


def spoilt(text: str, steps: tuple[str, ...]) -> str:
    """Returns a text written and read with other charsets in turn."""
    for written, wrong in zip(steps[::2], steps[1::2], strict=True):
        data = text.encode(written, "ignore")
        text = western(data) if wrong == "western" else data.decode(wrong, "replace")
    return text


@functools.cache
def documents() -> dict[str, list[str]]:
    """Returns clean texts to spoil, of ten lines each."""
    return {
        language: ["\n".join(lines[at : at + 10]) for at in range(0, len(lines), len(lines) // 20)]
        for language in ("zh", "zh-Hant", "fr", "de", "es")
        for lines in [[line for line in sentences(language) if not suspects(pa.array([line]))[0]]]
    }


def recall(fix: Callable[[str], str] | None) -> None:
    """Prints what becomes of spoilt texts: exactly restored, dropped, changed in part, or kept as they were."""
    columns = f"{'seen':>7}{'restored':>10}{'dropped':>9}{'in part':>9}{'kept':>7}{'ftfy restored':>15}"
    print(f"{'damage':<24}{'text':<9}{columns}")
    for damage, steps in SPOILT.items():
        for language, texts in documents().items():
            if {"gbk": "zh", "big5": "zh-Hant"}.get(steps[0], language) != language:
                continue
            clean = [text.encode(steps[0], "ignore").decode(steps[0]) for text in texts]
            bad = [spoilt(text, steps) for text in clean]
            pairs = [(text, harm) for text, harm in zip(clean, bad, strict=True) if text != harm]
            if not pairs:
                continue
            seen = suspects(pa.array([harm for _, harm in pairs]))
            made = [mend(harm).text if one else harm for (_, harm), one in zip(pairs, seen, strict=True)]
            restored = sum(one == text for one, (text, _) in zip(made, pairs, strict=True))
            dropped = sum(not one for one in made)
            kept = sum(one == harm for one, (_, harm) in zip(made, pairs, strict=True))
            part = len(pairs) - restored - dropped - kept
            shares = [restored / len(pairs), dropped / len(pairs), part / len(pairs), kept / len(pairs)]
            theirs = f"{sum(fix(harm) == text for text, harm in pairs) / len(pairs):>15.2f}" if fix else ""
            cells = "".join(f"{share:>{width}.2f}" for share, width in zip(shares, (10, 9, 9, 7), strict=True))
            print(f"{damage:<24}{language:<9}{seen.mean():>7.2f}{cells}{theirs}")


def clean_texts() -> Iterator[tuple[str, list[str]]]:
    """Yields (name, texts) of data without damage but for what is in it by nature."""
    for file in sorted(DATA.glob("corpora/*.jsonl.zst")):
        lines = zstandard.ZstdDecompressor().stream_reader(file.open("rb")).read().decode().splitlines()
        yield file.name.split(".")[0], [json.loads(line)["text"] for line in lines]
    for file in sorted((DATA / "language/laser-tatoeba/v1").glob("tatoeba.*")):
        if not file.name.endswith(".eng"):
            yield file.name, file.read_text("utf-8").splitlines()
    for file in sorted(SENTENCES.glob("*.txt")):
        yield f"lingua {file.stem}", file.read_text("utf-8").splitlines()


def alone(fix: Callable[[str], str] | None) -> None:
    """Prints what is changed of texts that nobody spoilt, and the speed of the scan."""
    suspects(pa.array(["é"]))
    print(f"{'text':<30}{'documents':>10}{'MB':>8}{'suspects':>10}{'changed':>9}{'MB/CPU s':>10}{'ftfy changed':>14}")
    for name, texts in clean_texts():
        held = pa.array(texts, pa.large_string())
        start = time.process_time()
        found = suspects(held)
        changed = sum(mend(texts[row]).text != texts[row] for row in np.flatnonzero(found))
        spent = time.process_time() - start
        size = held.nbytes / 1e6
        some = texts[:40]
        theirs = f"{sum(fix(text) != text for text in some):>8} of {len(some)}" if fix else ""
        print(f"{name:<30}{len(texts):>10}{size:>8.1f}{found.sum():>10}{changed:>9}{size / spent:>10.0f}{theirs}")


def ftfy_fix() -> Callable[[str], str] | None:
    """Returns ftfy as pipelines configure it: encodings alone, neither width nor quotation marks."""
    try:
        import ftfy
    except ImportError:
        return None
    config = ftfy.TextFixerConfig(
        unescape_html=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        normalization=None,
    )
    return lambda text: str(ftfy.fix_text(text, config))


def main() -> None:
    """Prints the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--peers", default="peers")
    options.add_argument("--only", choices=["charsets", "recall", "alone"], default=None)
    given = options.parse_args()
    sys.path.append(given.peers)
    fix = ftfy_fix()
    if given.only in (None, "charsets"):
        charsets()
        pages()
    if given.only in (None, "recall"):
        recall(fix)
    if given.only in (None, "alone"):
        alone(fix)


if __name__ == "__main__":
    main()
