"""What the tokenizer makes of each language and source: exact from sums, and what the tokens are from samples.

A language that takes more tokens for the same content costs more of the context, of training and of use. What the same
content is takes parallel texts; where there is none, the bytes that translations of one text take are known: the byte
premium, here a constant of the language. So (tokens a byte) * (byte premium) of a language over tokens a byte of
English is what it pays for the same content, as far as its texts here are like those.

Source: Petrov et al. 2023, arXiv 2305.15425 (the premium of a tokenizer); Arnett, Chang and Bergen 2024, arXiv
2403.00686 (byte premiums; the numbers are those of its published table of 2024-02-23, column byte_coef).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Counter, Facts, Scan, Wide
from stages.audit.groups import by
from stages.audit.kinds import LANGUAGE, SOURCE, kept, labelled
from stages.audit.measures import Estimate, ratio_of_sums
from stages.audit.model import Chart, Column, Figure, Section, Table, Words
from stages.audit.weights import DOCUMENTS, TOKENS, Row, amount_column, asked, is_name, ranked, shown, total, whole
from stages.corpus import Corpus
from stages.tokens.fertility import Vocabulary, token_bytes
from stages.tokens.formats import JSON, kind_of
from stages.tokens.pieces import Pieces

ENGLISH: Final = "eng_Latn"
# UTF-8 bytes of a text in a language over those of the same text in English.
BYTE_PREMIUMS: Final = {
    "eng_Latn": 1.0,
    "zho_Hans": 0.936,
    "zho_Hant": 0.989,
    "yue_Hant": 0.862,
    "jpn_Jpan": 1.322,
    "kor_Hang": 1.293,
    "vie_Latn": 1.349,
    "ind_Latn": 1.179,
    "tha_Thai": 2.742,
    "deu_Latn": 1.054,
    "fra_Latn": 1.174,
    "ita_Latn": 1.067,
    "por_Latn": 1.098,
    "spa_Latn": 1.084,
    "rus_Cyrl": 1.823,
    "arb_Arab": 1.465,
    "hin_Deva": 2.370,
}
MOST: Final = 256  # samples whose tokens are looked at
COUNTERS: tuple[Counter | Wide | Scan, ...] = ()  # the cube has the sums


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `fertility`, where there are tokens."""
    cube = kept(facts)
    if not total(cube, "tokens"):
        return
    yield Section(
        key="fertility",
        title=Words(en="What the tokenizer makes of it", zh="分词器效率"),
        intro=Words(
            en=(
                "How many tokens a text takes, by language and source: the fewer, the more text fits into a context "
                "and a budget. Tokens a character cannot be compared between scripts, as a Han character says more "
                "than a letter; compare bytes a token, or the cost of the same content."
            ),
            zh=(
                "同样的文本要用多少词元，按语种与来源给出：越少，同样的上下文与训练预算能容纳的文本越多。"
                "每字符词元数不宜跨文字比较（一个汉字的信息量大于一个字母），应比较每词元字节数，或同等内容的成本。"
            ),
        ),
        figures=(*_figures(facts, cube), *_pieces(facts)),
        tables=(*_languages(cube), *_sources(cube)),
    )


def _figures(facts: Facts, cube: pa.Table) -> Iterator[Figure]:
    sums: Row = {name: total(cube, name) for name in ("tokens", "characters", "bytes")}
    for key, label, value in (
        ("fertility.tokens_per_character", Words(en="tokens a character", zh="每字符词元数"), _per_character(sums)),
        ("fertility.bytes_per_token", Words(en="bytes a token", zh="每词元字节数"), _per_token(sums)),
    ):
        yield Figure(key=key, label=label, value=value, unit="number", command=asked())
    rows = {row["language"]: row for row in by(cube, "language").to_pylist()}
    for row in ranked(by(cube, "language"), TOKENS)[:8]:
        cost = cost_of(row, rows.get(ENGLISH))
        if cost is not None and is_name(row["language"]) and row["language"] != ENGLISH:
            yield Figure(
                key=f"fertility.{row['language']}.cost",
                label=Words(
                    en=f"{row['language']}: tokens for the same content, English being 1",
                    zh=f"{row['language']}：同等内容所需词元（英语为 1）",
                ),
                value=cost,
                unit="number",
                command=asked(of={"language": row["language"]}),
                note=_PREMIUM,
            )
    counts: dict[str, int] = next(
        (stage["counts"] for stage in facts.run["stages"] if "tokens" in stage.get("counts", {})), {}
    )
    if counts.get("tokens"):
        yield Figure(
            key="fertility.unknown",
            label=Words(en="tokens that stand for what the tokenizer does not know", zh="未知词元占比"),
            value=counts.get("unknown_tokens", 0) / counts["tokens"],
            unit="share",
            note=Words(
                en="Text behind them is lost to the model. Counted by the step `tokenize`.",
                zh="其背后的文字对模型而言已丢失。由 `tokenize` 阶段计数。",
            ),
        )


_PREMIUM: Final = Words(
    en=(
        "(tokens a byte) * (byte premium of the language, arXiv 2403.00686), over that of English. It supposes that "
        "the texts of both languages here say things as briefly as translations of one text do."
    ),
    zh=(
        "（每字节词元数）×（该语种的字节系数，arXiv 2403.00686），再除以英语的对应值。"
        "前提是这里两种语言的文本与互译文本一样简练。"
    ),
)


def cost_of(row: Row, english: Row | None) -> float | None:
    """Returns the tokens that a language takes for the same content, English being 1; None where that is not known."""
    premium = BYTE_PREMIUMS.get(str(row["language"]))
    if premium is None or english is None or not whole(row["bytes"]) or not whole(english["tokens"]):
        return None
    rates = [whole(one["tokens"]) / whole(one["bytes"]) if whole(one["bytes"]) else 0.0 for one in (row, english)]
    return premium * rates[0] / rates[1] if rates[1] else None


def _per_character(row: Row) -> float | None:
    return whole(row["tokens"]) / whole(row["characters"]) if whole(row["characters"]) else None


def _per_token(row: Row) -> float | None:
    return whole(row["bytes"]) / whole(row["tokens"]) if whole(row["tokens"]) and whole(row["bytes"]) else None


def _languages(cube: pa.Table) -> Iterator[Table]:
    if not labelled(cube, "language"):
        return
    table = by(cube, "language")
    english = next((row for row in table.to_pylist() if row["language"] == ENGLISH), None)
    yield _table(
        "language",
        LANGUAGE,
        table,
        Words(en="Tokens by language", zh="各语种的分词效率"),
        [
            (
                Column(key="cost", label=Words(en="same content", zh="同等内容"), unit="number"),
                partial(cost_of, english=english),
            )
        ],
        note=_PREMIUM,
    )


def _sources(cube: pa.Table) -> Iterator[Table]:
    yield _table("source", SOURCE, by(cube, "source"), Words(en="Tokens by source", zh="各来源的分词效率"), [])


def _table(
    name: str, head: Words, table: pa.Table, label: Words, more: Sequence[tuple[Column, Any]], note: Words | None = None
) -> Table:
    rows = ranked(table, TOKENS)
    cells = [
        (
            shown(row[name]),
            whole(row["documents"]),
            whole(row["tokens"]),
            _per_character(row),
            _per_token(row),
            *(function(row) for _, function in more),
        )
        for row in rows[:50]
    ]
    return Table(
        key=f"fertility.{name}s",
        label=label,
        columns=(
            Column(key=name, label=head, unit="text"),
            amount_column(DOCUMENTS),
            amount_column(TOKENS),
            Column(key="per_character", label=Words(en="tokens a character", zh="每字符词元数"), unit="number"),
            Column(key="per_token", label=Words(en="bytes a token", zh="每词元字节数"), unit="number"),
            *(column for column, _ in more),
        ),
        rows=tuple(cells),
        commands=tuple(asked(of={name: row[name]}) for row in rows[:50]),
        of=len(rows) if len(rows) > 50 else None,
        chart=Chart(kind="bar", x=name, y=("per_token",)),
        note=note,
    )


def _pieces(facts: Facts) -> Iterator[Figure]:
    """Yields how many of the tokens that are trained on are pieces of a character, from samples of the train split."""
    if "train" not in facts.manifest.get("splits", {}):
        return
    corpus = Corpus.open(facts.folder)
    found, drawn = piece_share(corpus, MOST)
    if not drawn:
        return
    yield Figure(
        key="fertility.pieces.trained",
        label=Words(en="tokens that are pieces of a character", zh="不足一个字符的词元（字节回退）占比"),
        value=found.value,
        low=found.low,
        high=found.high,
        of=drawn,
        unit="share",
        note=Words(
            en=f"Byte fallback: tokens whose bytes are no whole characters, in {drawn:,} evenly spaced samples.",
            zh=f"即字节回退：其字节不构成完整字符的词元；取自训练顺序中等距的 {drawn:,} 个样本。",
        ),
    )


def piece_share(corpus: Corpus, most: int) -> tuple[Estimate, int]:
    """Returns the share of tokens that are pieces of a character, and of how many samples of the train split that is.

    Samples lie in the order of training, which is a permutation, so those at even distances are drawn by chance.
    """
    split = corpus.split("train")
    broken = is_piece(corpus.tokenizer())
    eos = corpus.eos
    parts, wholes = [], []
    for place in range(min(most, split.total)):
        position = place * split.total // min(most, split.total)
        for batch in split.rows(position, position + 1, columns=("input_ids",)):
            ids = np.asarray(pc.list_flatten(batch.column("input_ids")), np.int64)
            ids = ids[(ids != eos) & (ids < len(broken))]
            parts.append(int(broken[ids].sum()))
            wholes.append(len(ids))
    return ratio_of_sums(parts, wholes), len(wholes)


@dataclass
class _Named:
    """What `token_bytes` reads of a tokenizer.json, without the library, which takes five times as long to load it."""

    vocabulary: dict[str, int]
    special: dict[str, int]
    unknown: int | None
    content: bytes | None

    @classmethod
    def read(cls, content: bytes) -> _Named:
        data = json.loads(content)
        held, model = data["model"]["vocab"], data["model"]
        names = held if isinstance(held, dict) else {piece: number for number, (piece, _) in enumerate(held)}
        special = {token["content"]: token["id"] for token in data.get("added_tokens") or () if token["special"]}
        return cls({**names, **special}, special, names.get(model.get("unk_token"), model.get("unk_id")), content)


def is_piece(tokenizer: bytes) -> npt.NDArray[np.bool_]:
    """Returns for each id of a tokenizer whether its bytes are no whole characters, bool[ids]."""
    engine: Vocabulary = _Named.read(tokenizer) if kind_of(tokenizer) == JSON else Pieces(tokenizer)
    return np.array([not _is_whole(piece) for piece in token_bytes(engine)], bool)


def _is_whole(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True
