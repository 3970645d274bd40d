"""Accuracy of the language step by class and length, on mixed pages by paragraph, and its cost, beside lid.176.

    python tests/bench/bench_language.py

Ours is the whole step with its default model; lid.176 is fastText's predict on the text with its newlines made spaces,
its label as ISO 639-3. Texts that the model was trained on are marked: lingua's sentences; the declarations but those
of the languages that Tatoeba has not. `und` of the step (fewer than ten letters) is wrong here, as any other label.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from datapipe import resource
from stages.language import Language, fasttext
from stages.language.names import language_of
from stages.language.stage import DEFAULT_MODEL, Identify, identifier, identify

DATA = Path(os.environ.get("DATAPIPE_SHARED", "../shared")) / "data"
LENGTHS = (50, 200, 1000)
MOST = 1000  # texts of a class, source and length
OURS = Identify(resource(str(DEFAULT_MODEL)), Language.letters, Language.mixed_share, 0.0, Language.span_share, None)
LID = fasttext.load(resource(str(DATA / "models/lid.176.ftz")))
LINGUA = "ar:ara de:deu en:eng es:spa fa:fas fr:fra hi:hin id:ind it:ita ja:jpn ko:kor nl:nld pl:pol pt:por ru:rus "
LINGUA += "th:tha tr:tur uk:ukr vi:vie zh:zho"
TATOEBA = "cmn:zho yue:yue wuu:wuu jpn:jpn kor:kor deu:deu fra:fra ind:ind rus:rus spa:spa tha:tha vie:vie"
UDHR = "arb:ara cmn_hans:zho_Hans cmn_hant:zho_Hant deu_1996:deu eng:eng fra:fra ind:ind ita:ita jpn:jpn kor:kor "
UDHR += "por_BR:por rus:rus spa:spa tha:tha vie:vie wuu:wuu yue:yue"

Judge = Callable[[Sequence[str]], list[str]]


def ours(texts: Sequence[str]) -> list[str]:
    """Returns the labels of the step."""
    found: list[str] = identify(pa.array(texts, pa.string()), OURS)[0].to_pylist()
    return found


def ours_alone(texts: Sequence[str]) -> list[str]:
    """Returns the languages of our model without the step: no least length, no prior, no markers."""
    known = identifier(OURS.model)
    folded = pa.array([text.lower() for text in texts], pa.large_string())
    return [known.languages[place] for place in known.best(folded)[0][:, 0].tolist()]


def lid(texts: Sequence[str]) -> list[str]:
    """Returns the languages that lid.176 gives."""
    numbers, _ = LID.best(pa.array([" ".join(text.split()) for text in texts]), 1)
    return [language_of(LID.labels[place]) for place in numbers[:, 0].tolist()]


def right(texts: Sequence[str], label: str, judge: Judge) -> str:
    """Returns the share of texts that get the label; one without script is met by any, wuu by zho (ours has no wuu)."""
    wanted = {label, "zho"} if label == "wuu" else {label}
    found = judge(texts)
    hits = sum(one in wanted or one.split("_")[0] in wanted for one in found)
    return f"{hits / len(found):.3f}" if found else "-"


def classes() -> Iterator[tuple[str, str, list[str]]]:
    """Yields (label, source, sentences)."""
    folder = DATA / "language"
    for code, label in pairs(LINGUA):
        yield label, "lingua sentences (trained on)", lines(folder / f"lingua-testdata/sentences/{code}.txt")
    for code, label in pairs(TATOEBA):
        yield label, "Tatoeba", lines(folder / f"laser-tatoeba/v1/tatoeba.{code}-eng.{code}")
    yield "eng", "Tatoeba", lines(folder / "laser-tatoeba/v1/tatoeba.deu-eng.eng")
    for code, label in pairs(UDHR):
        body = (folder / f"udhr-wooorm/declaration/{code}.html").read_text("utf-8").partition("<body")[2]
        found = re.findall(r"<(?:p|h\d|li)[^>]*>(.*?)</(?:p|h\d|li)>", body, re.DOTALL)
        judged = "udhr" if label in ("ara", "ita", "por", "wuu") else "udhr (trained on)"
        yield label, judged, [html.unescape(re.sub("<[^>]+>", "", one)).strip() for one in found if len(one) > 20]
    yield "zho_Hans", "statutes, PRC", [text for _, text in corpus("prc-laws")][60:]
    yield "zho_Hant", "statutes, Taiwan", [t for _, t in corpus("taiwan-laws") if len(han(t)) > 0.4 * len(t)][150:]
    yield (
        "zho_Hans",
        "SOFAStack, Chinese lines",
        [line for _, text in corpus("sofastack-blog-docs") for line in text.splitlines() if len(han(line)) > 20][
            :20_000
        ],
    )
    for book, name in (("宋词", "lyrics"), ("论语", "Analects"), ("楚辞", "Songs of Chu")):
        yield (
            "lzh_Hans",
            name,
            [text for one, text in corpus("chinese-poetry") if one.startswith(book + "/") and ".md" not in one],
        )
    yield (
        "lzh_Hant",
        "Tang and Song poems",
        [
            text
            for one, text in corpus("chinese-poetry")
            if one.startswith("全唐诗/") and hashlib.sha256(one.partition("/")[2].encode()).digest()[0] % 3 == 0
        ],
    )


def han(text: str) -> list[str]:
    return re.findall("[\u4e00-\u9fff]", text)


def pairs(told: str) -> list[tuple[str, str]]:
    return [(code, label) for code, _, label in (pair.partition(":") for pair in told.split())]


def lines(file: Path) -> list[str]:
    return [line for line in file.read_text("utf-8").splitlines() if line.strip()]


def corpus(name: str) -> Iterator[tuple[str, str]]:
    with zstandard.open(DATA / f"corpora/{name}.jsonl.zst", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield row["id"], row["text"]


def joined(texts: Sequence[str], length: int) -> list[str]:
    """Returns texts of `length` characters, of consecutive ones."""
    whole = "\n".join(texts)
    parts = [whole[start : start + length] for start in range(0, len(whole) - length + 1, length)]
    return parts[:: max(1, len(parts) // MOST)][:MOST]


def accuracy() -> None:
    heads = ["as it is", *map(str, LENGTHS)]
    print("| label | source | " + " | ".join(f"{head}: ours | lid.176 | n" for head in heads) + " |")
    print("|---|---|" + "---|" * 3 * len(heads))
    for label, source, texts in sorted(classes(), key=lambda one: (one[0], one[1])):
        whole = texts[:: max(1, len(texts) // MOST)][:MOST]
        cells = []
        for some in (whole, *(joined(texts, length) for length in LENGTHS)):
            cells += [right(some, label, ours), right(some, label.split("_")[0], lid), str(len(some))]
        print(f"| {label} | {source} | " + " | ".join(cells) + " |")


def short() -> None:
    """Words and pairs of words: the models alone, and how many the step answers and gets right."""
    print("\n| label | words: ours | lid.176 | pairs: ours | lid.176 | pairs: step told | of them right |")
    print("|---|---|---|---|---|---|---|")
    for code, label in pairs(LINGUA):
        if not (DATA / f"language/lingua-testdata/single-words/{code}.txt").exists():
            continue
        words, doubles = (
            lines(DATA / f"language/lingua-testdata/{kind}/{code}.txt") for kind in ("single-words", "word-pairs")
        )
        told = [text for text, one in zip(doubles, ours(doubles), strict=True) if one != "und"]
        cells = [right(some, label, judge) for some in (words, doubles) for judge in (ours_alone, lid)]
        share = f"{len(told) / len(doubles):.2f}"
        print(f"| {label} | " + " | ".join(cells) + f" | {share} | {right(told, label, ours) if told else '-'} |")


def mixed() -> None:
    """Pages of Chinese and English paragraphs in runs: of how many paragraphs the language is right."""
    zho, eng = (lines(DATA / f"language/laser-tatoeba/v1/tatoeba.cmn-eng.{code}") for code in ("cmn", "eng"))
    print("\n| paragraphs of | pages | told mixed or by the larger half | paragraphs | right by spans | by lid.176 |")
    print("|---|---|---|---|---|---|")
    for sentences in (1, 2, 4):
        pages, truth = [], []
        for page in range(200):
            key = hashlib.sha256(f"{sentences} {page}".encode()).digest()
            kinds = [kind for byte in key[:6] for kind in ["zho" if byte & 1 else "eng"] * (1 + byte // 2 % 3)]
            start = (page * 5) % (len(zho) - 4 * len(kinds))
            places = range(start, start + sentences * len(kinds), sentences)
            pages.append(
                "\n".join(
                    " ".join({"zho": zho, "eng": eng}[kind][at : at + sentences])
                    for kind, at in zip(kinds, places, strict=True)
                )
            )
            truth.append(kinds)
        columns = identify(pa.array(pages), OURS)
        labels, spans = columns[0].to_pylist(), columns[4].to_pylist()
        fine = sum(
            label == "mixed" or label.split("_")[0] == max(set(kinds), key=kinds.count)
            for label, kinds in zip(labels, truth, strict=True)
        )
        found = [by_line(told, label, len(kinds)) for told, label, kinds in zip(spans, labels, truth, strict=True)]
        total = sum(map(len, truth))
        hits = sum(a == b for told, kinds in zip(found, truth, strict=True) for a, b in zip(told, kinds, strict=True))
        theirs = [lid(page.split("\n")) for page in pages]
        lid_hits = sum(
            a == b for told, kinds in zip(theirs, truth, strict=True) for a, b in zip(told, kinds, strict=True)
        )
        print(
            f"| {sentences} sentences | {len(pages)} | {fine} | {total} | {hits / total:.4f} | {lid_hits / total:.4f} |"
        )


def by_line(spans: str | None, label: str, amount: int) -> list[str]:
    """Returns the language of each line by the column `language_spans`."""
    if spans is None:
        return [label.partition("_")[0]] * amount
    runs = re.findall(r"([a-z]{3})\S*:(\d+)-(\d+)", spans)
    return [name for name, first, last in runs for _ in range(int(first), int(last) + 1)]


def cost() -> None:
    """Prints CPU seconds over the main text of the crawl."""
    texts = []
    for file in sorted((DATA / "crawl").glob("*.warc.gz")):
        for record in ArchiveIterator(str(file), record_types=WarcRecordType.response, parse_http=True):
            if record.http_content_type == "text/html":
                tree = HTMLTree.parse_from_bytes(record.reader.read(), "utf-8")
                texts.append(extract_plain_text(tree, main_content=True))
    column = pa.array(texts)
    print("\n| over the crawl's main text | CPU seconds |\n|---|---|")
    without = Identify(OURS.model, OURS.letters, OURS.mixed_share, 0.0, 1.0, None)
    for name, run in (
        ("step", lambda: identify(column, OURS)),
        ("step without spans", lambda: identify(column, without)),
        ("lid.176, whole texts", lambda: lid(texts)),
        ("lid.176, 500 characters", lambda: lid([text[:500] for text in texts])),
    ):
        spent = []
        for _ in range(5):
            start = time.process_time()
            run()
            spent.append(time.process_time() - start)
        print(f"| {name} | {min(spent):.3f} |")
    print(f"\n{len(texts)} pages, {sum(len(text.encode()) for text in texts) / 1e6:.1f} MB")


if __name__ == "__main__":
    accuracy()
    short()
    mixed()
    cost()
