"""What dedup finds of edited copies by kind and degree, and which distinct texts it merges: ours and peers.

    python tests/bench/bench_edits.py [PAIRS] [--envs DIR]

Pieces of ../shared/data/corpora that no other is like get one edited copy each, PAIRS (2,000) Chinese and as many
English ones. Ours is the stage with its defaults, verified. Peers whose environment lies in DIR (datatrove with jieba,
text-dedup, data-juicer: virtual environments of these names) make the band keys of every text with their own code, see
peer_keys.py; they verify nothing, so what shares a key is merged. datatrove is told the language of a text, which by
default it takes for English. Data-Juicer by default splits at spaces: Chinese texts without spaces have no shingle, and
all share the keys of the empty set, which counts as found here and as a false merge below. The others (*) are not run:
their chance to find a pair is computed from the exact sets of their shingles, 1 - (1 - J^rows)^bands.

What is computed (*), from settings as published: NeMo Curator (24 characters, 20 x 13), MAP-NEO (13 characters,
9 x 13), marin (5 characters, 26 x 11), RedPajama-V2 (13 words, 9 x 13). They were not held against the code of a
version of theirs, nor are texts cleaned as theirs would be first: it says what such settings give, not what they do.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench_recall import NONE, UNLIKE, Piece, drawn, number_of, pieces, run, timed

from stages.dedup import Dedup
from stages.dedup.curve import Curve
from stages.dedup.evaluation.copies import Copy, measured, one_copy_each
from stages.dedup.evaluation.edits import EDITS, UNIT

Bits = np.ndarray
Groups = Sequence[set[int]]
THRESHOLD = 0.8
KEYS = Path(__file__).with_name("peer_keys.py")
RUN = {  # name in the table: environment, name for peer_keys.py
    "datatrove": ("datatrove", "datatrove"),
    "text-dedup": ("text-dedup", "text-dedup"),
    "juicer": ("data-juicer", "data-juicer"),
    "juicer char": ("data-juicer", "data-juicer-character"),
}
WORDS = re.compile(r"\w+")
SHORT = (5, 50)  # words or Han characters of a short text


@dataclass(frozen=True)
class Scheme:
    """Shingles and bands as a peer publishes them."""

    shingles: Callable[[str], set[str]]
    curve: Curve


def characters(width: int) -> Callable[[str], set[str]]:
    """Returns a function from a text to its runs of so many characters."""
    return lambda text: {text[start : start + width] for start in range(len(text) - width + 1)}


def words(width: int) -> Callable[[str], set[str]]:
    """Returns a function from a text to its runs of so many words."""

    def shingles(text: str) -> set[str]:
        found = WORDS.findall(text.lower())
        return {" ".join(found[start : start + width]) for start in range(len(found) - width + 1)}

    return shingles


COMPUTED = {
    "Curator*": Scheme(characters(24), Curve(20, 13)),
    "MAP-NEO*": Scheme(characters(13), Curve(9, 13)),
    "marin*": Scheme(characters(5), Curve(26, 11)),
    "RPv2*": Scheme(words(13), Curve(9, 13)),
}


def jaccard(one: set[str], other: set[str]) -> float:
    """Returns the similarity of two sets, 0 where both are empty."""
    return len(one & other) / max(len(one | other), 1)


def peer_keys(name: str, envs: Path, texts: Sequence[tuple[str, str]]) -> list[list[str] | None]:
    """Returns the band keys that a peer's code makes of (text, language), by its own Python."""
    environment, kind = RUN[name]
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, "texts.jsonl"), Path(folder, "keys.jsonl")
        file.write_text(
            "".join(json.dumps({"text": text, "language": language}) + "\n" for text, language in texts), "utf-8"
        )
        command = [str(envs / environment / "bin/python"), str(KEYS), kind, str(file), str(out)]
        subprocess.run(command, check=True, cwd=folder, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def merged(keys: Sequence[list[str] | None]) -> int:
    """Returns how many texts leave where of each connected component of equal band keys one stays."""
    roots = list(range(len(keys)))

    def root(number: int) -> int:
        while roots[number] != number:
            roots[number] = roots[roots[number]]
            number = roots[number]
        return number

    first: dict[tuple[int, str], int] = {}
    for number, bands in enumerate(keys):
        for band, key in enumerate(bands or ()):
            other = root(first.setdefault((band, key), number))
            roots[max(root(number), other)] = min(root(number), other)
    return sum(root(number) != number for number in range(len(keys)))


def found_by_us(copies: Sequence[Copy]) -> np.ndarray:
    """Returns which pairs the stage finds, bool[pairs]."""
    ledger = run([text for copy in copies for text in (copy.original, copy.text)], Dedup(audit=0)).ledger
    pairs = zip(number_of(ledger.column("id")), number_of(ledger.column("other")), strict=True)
    found = np.zeros(len(copies))
    found[[one // 2 for one, other in pairs if one // 2 == other // 2]] = 1
    return found


def found_by_keys(keys: Sequence[list[str] | None]) -> np.ndarray:
    """Returns which pairs (texts 2n and 2n + 1) have a band in common."""
    pairs = zip(keys[::2], keys[1::2], strict=True)
    return np.array([float(any(a == b for a, b in zip(one or (), other or (), strict=False))) for one, other in pairs])


def columns(copies: Sequence[Copy], language: str, envs: Path | None) -> dict[str, np.ndarray]:
    """Returns for ours and each peer the chance that a pair is found, float64[pairs]: 0 or 1 where it was run."""
    made = {"ours": found_by_us(copies)}
    texts = [(text, language) for copy in copies for text in (copy.original, copy.text)]
    for name in installed(envs):
        made[name] = found_by_keys(peer_keys(name, envs or Path(), texts))
    for name, scheme in COMPUTED.items():
        chances = [
            scheme.curve.chance(jaccard(scheme.shingles(copy.original), scheme.shingles(copy.text))) for copy in copies
        ]
        made[name] = np.array(chances)
    return made


def installed(envs: Path | None) -> Iterator[str]:
    """Yields the peers that have an environment."""
    for name, (environment, _) in RUN.items():
        if envs and (envs / environment / "bin/python").exists():
            yield name


def tables(copies: Sequence[Copy], found: dict[str, np.ndarray]) -> None:
    """Prints recall by kind and degree of what is alike, then what is found of unlike pairs by similarity."""
    true = np.array([copy.jaccard for copy in copies])
    alike = true >= THRESHOLD
    kinds = np.array([f"{copy.kind} {copy.degree:g}" for copy in copies])
    heads = f"{'pairs':>7}{'mean J':>8}{'J >= .8':>9}" + "".join(f"{name:>12}" for name in found)
    print(f"  {'found of those with J >= .8':<30}{heads}")
    for edit in EDITS:
        for degree in edit.degrees:
            mine = kinds == f"{edit.kind} {degree:g}"
            if (mine & alike).any():
                _row(f"{edit.kind} {edit.label(degree)}", mine, true, mine & alike, found)
    _row("all", np.ones(len(copies), bool), true, alike, found)
    print(f"  {'found of all by J':<30}{heads}")
    limits = (0.0, 0.2, 0.4, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0, 2.0)
    for low, high in itertools.pairwise(limits):
        mine = (true >= low) & (true < high)
        if mine.any():
            _row(f"[{low:g}, {high:g})" if high < 2 else "1", mine, true, mine, found)


def _row(name: str, mine: Bits, true: np.ndarray, counted: Bits, found: dict[str, np.ndarray]) -> None:
    shares = "".join(f"{values[counted].mean():>12.1%}" for values in found.values())
    print(f"  {name:<30}{mine.sum():>7,}{true[mine].mean():>8.3f}{(true[mine] >= THRESHOLD).sum():>9,}{shares}")


def distinct(texts: Sequence[str]) -> list[str]:
    """Returns the texts that are like no other, in any view: no two have half of their characters' pairs in common."""
    seen: dict[str, set[int]] = defaultdict(set)
    made: list[str] = []
    sets: list[set[str]] = []
    for text in texts:
        grams = characters(2)("".join(UNIT.findall(text)).lower())
        near = {number for gram in grams for number in seen[gram]}
        if grams and all(jaccard(grams, sets[number]) < UNLIKE for number in near):
            for gram in grams:
                seen[gram].add(len(made))
            made.append(text)
            sets.append(grams)
    return made


def short_texts(everything: Sequence[Piece], language: str) -> list[str]:
    """Returns distinct lines of 5 to 50 words or characters."""
    lines = (line.strip() for piece in everything if piece.language == language for line in piece.text.split("\n"))
    usual = dict.fromkeys(line for line in lines if SHORT[0] <= len(UNIT.findall(line)) < SHORT[1])
    return distinct(list(usual)[:: max(1, len(usual) // 3000)])[:2000]


def false_merges(groups: dict[str, tuple[list[str], str]], envs: Path | None) -> None:
    """Prints how many distinct texts each scheme removes."""
    names = ["ours", *installed(envs)]
    print(f"  {'distinct texts removed':<30}{'texts':>7}{'':>17}" + "".join(f"{name:>12}" for name in names))
    dropped: list[str] = []
    for group, (texts, language) in groups.items():
        gone = [run(texts, Dedup(audit=0)).ledger.num_rows]
        for name in names[1:]:
            keys = peer_keys(name, envs or Path(), [(text, language) for text in texts])
            unseen = sum(made is None for made in keys)
            gone.append(merged(keys) + (unseen if name == "text-dedup" else 0))
            dropped += [f"{name}: {unseen:,} of {group} have no key"] if unseen else []
        print(f"  {group:<30}{len(texts):>7,}{'':>17}" + "".join(f"{amount:>12,}" for amount in gone))
    for line in dropped:
        print(f"    {line}")


def main() -> None:
    """Prints the tables of both languages, then false merges."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pairs", type=int, nargs="?", default=2000)
    parser.add_argument("--envs", type=Path)
    given = parser.parse_args()
    everything = list(pieces())
    if not everything:
        sys.exit("no corpora: DATAPIPE_SHARED names the folder with the development data")
    near, _ = timed([piece.text for piece in everything], UNLIKE)
    twins = {*near.first.tolist(), *near.second.tolist()}
    alone = [piece for number, piece in enumerate(everything) if number not in twins]
    groups: dict[str, tuple[list[str], str]] = {}
    for language, code in (("Chinese", "zh"), ("English", "en")):
        mine = [piece for piece in drawn(alone, NONE, len(alone)) if piece.language == language][: given.pairs]
        copies = measured(list(one_copy_each(((piece.name, piece.text) for piece in mine), seed=1)))
        print(f"{language}: {len(copies):,} pairs, {sum(len(copy.text) for copy in copies) / 1e6:.1f} M characters")
        tables(copies, columns(copies, code, given.envs))
        groups[f"{language}, 5 to 50 units"] = (short_texts(everything, language), code)
        groups[f"{language}, pieces of 50 and more"] = (distinct([piece.text for piece in mine[:1000]]), code)
    false_merges(groups, given.envs)


if __name__ == "__main__":
    main()
