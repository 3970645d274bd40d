import math
from collections import Counter
from itertools import accumulate
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from stages.audit.samples import (
    FIRST,
    LETTERS,
    OF_CHARACTERS,
    OF_WORDS,
    SIZE,
    STRETCH,
    Stretches,
    Wording,
    of_words,
    recited,
    stretches_of,
)
from stages.audit.units import units_of
from stages.audit.vocabulary import distinct
from stages.buffers import utf8
from stages.dedup.fold import fold_table, load, tokens
from tests.stages.audit.rows import frame


def measured(documents: list[tuple[str | None, str | None]], at_once: int = 1000) -> dict[tuple[str, str], dict]:  # type: ignore[type-arg]
    wording = Wording()
    for start in range(0, len(documents), at_once):
        some = documents[start : start + at_once]
        texts = pa.array([text for _, text in some], pa.large_string())
        wording.add([language for language, _ in some], texts, units_of(texts))
    return {(row["language"], row["measure"]): row for row in wording.table().to_pylist()}


def prose(amount: int, words: int, kinds: int, seed: int = 0) -> list[str]:
    """Documents of so many words, of a vocabulary of so many in which the k-th is 1/k as frequent."""
    random = Random(seed)
    names = [f"w{number:x}x" for number in range(kinds)]
    shares = list(accumulate(1 / (number + 1) for number in range(kinds)))
    return [" ".join(random.choices(names, cum_weights=shares, k=words)) for _ in range(amount)]


def test_languages_are_measured_on_samples_of_one_size_whatever_there_is_of_them() -> None:
    many = [("eng_Latn", text) for text in prose(110, 550, 3000)]
    few = [("deu_Latn", text) for text in prose(25, 550, 3000, seed=1)]
    scarce = [("fra_Latn", text) for text in prose(10, 550, 3000)]

    found = measured([*many, *few, *scarce, (None, "a b"), ("eng_Latn", None)])

    english, german, french = (found[language, "distinct_1"] for language in ("eng_Latn", "deu_Latn", "fra_Latn"))
    assert (english["samples"], german["samples"], french["samples"]) == (5, 1, 0)
    assert (english["documents"], german["documents"], french["documents"]) == (5 * SIZE // FIRST, SIZE // FIRST, 0)
    # Of one vocabulary, so both are alike, though there is four times as much of the one.
    assert english["value"] == pytest.approx(german["value"], rel=0.03)
    assert english["low"] < english["value"] < english["high"]
    assert german["low"] is None
    assert french["value"] is None
    assert found["fra_Latn", "units"]["value"] == 5000
    assert found["none", "units"]["value"] == 2
    assert {measure for language, measure in found if language == "eng_Latn"} == {
        "units", "single", *OF_WORDS, *OF_CHARACTERS
    }  # fmt: skip


def test_a_sample_is_the_first_units_of_documents_in_the_order_of_the_draw() -> None:
    texts = prose(25, 700, 500)

    found = measured([("eng_Latn", text) for text in texts], at_once=7)

    words = [word for text in texts for word in text.split()[:FIRST]][:SIZE]
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    plain = of_words(np.array([numbers[word] for word in words], np.uint64), np.arange(0, SIZE + 1, FIRST))
    assert {name: found["eng_Latn", name]["value"] for name in OF_WORDS} == plain
    assert plain["distinct_1"] == len(numbers) / SIZE
    assert plain["hapax"] == sum(amount == 1 for amount in Counter(words).values()) / len(numbers)


def test_characters_are_of_one_size_too_and_chinese_is_measured_by_them() -> None:
    random = Random(0)
    letters = [chr(0x4E00 + number) for number in range(1000)]
    texts = ["".join(random.choices(letters, k=2000)) for _ in range(70)]

    found = measured([("zho_Hans", text) for text in texts])

    assert found["zho_Hans", "bits_per_character"]["samples"] == 70 * 1500 // LETTERS
    assert found["zho_Hans", "single"]["value"] == 1.0
    # Characters drawn evenly of 1,000 have log2(1000) bits each, and pairs of them are nearly all distinct.
    assert found["zho_Hans", "bits_per_character"]["value"] > math.log2(1000)
    assert found["zho_Hans", "bigram_entropy"]["value"] == pytest.approx(math.log2(LETTERS), abs=0.2)
    distinct_letters = len(set(tokens("".join(letters), load(fold_table()))))  # Traditional is as Simplified
    assert found["zho_Hans", "distinct_1"]["value"] == distinct_letters / SIZE


def stretches(texts: list[str | None], at_once: int = 3) -> tuple[list[dict], dict[str, dict]]:  # type: ignore[type-arg]
    column = pa.array(texts, pa.large_string())
    parts = []
    for start in range(0, len(texts), at_once):
        some = column.slice(start, at_once)
        parts.append(stretches_of(units_of(some), utf8(some)[1], start))
    table, shares = recited(parts, frame([{"language": "eng_Latn"}] * len(texts)), column)
    return table.to_pylist(), {row["measure"]: row for row in shares.to_pylist()}


def test_a_stretch_that_documents_share_is_found_once_and_counted() -> None:
    shared = " ".join(f"shared{number}" for number in range(120))
    own = [" ".join(f"own{number}x{word}" for word in range(150)) for number in range(8)]
    texts: list[str | None] = [f"{own[number]} {shared}" if number < 4 else own[number] for number in range(8)]

    found, shares = stretches([*texts, None, ""])

    assert [row["documents"] for row in found] == [4] * len(found)
    assert len(found) in (1, 2)  # one that overlaps another is not told again: 71 of them start within 120 words
    assert all(row["text"].startswith("shared") for row in found)
    # Of 4 * 221 + 4 * 101 stretches, 4 * 71 stand in others too; one in eight was looked at.
    assert shares["repeated_50"]["value"] == pytest.approx(4 * 71 / (4 * 221 + 4 * 101), abs=0.08)
    assert shares["repeated_50"]["documents"] == 9


def test_what_a_document_repeats_of_itself_is_not_shared() -> None:
    text = " ".join(f"w{number}" for number in range(80))

    found, shares = stretches([f"{text} {text} {text}", " ".join(f"v{number}" for number in range(200))])

    assert found == []
    assert shares["repeated_50"]["value"] == 0


def test_stretches_are_those_of_fifty_units_within_a_document() -> None:
    texts = pa.array(["a " * 49, "b c " * 40, "一" * 60], pa.large_string())
    units = units_of(texts)

    made = stretches_of(units, utf8(texts)[1], 7)

    for document, start, end in zip(made.documents.tolist(), made.starts.tolist(), made.ends.tolist(), strict=True):
        own = texts[document - 7].as_py().encode()[start:end].decode()
        assert len(units_of(pa.array([own])).hashes) == STRETCH
    assert set(made.documents.tolist()) <= {8, 9}


def test_paragraphs_that_several_documents_have_count_by_their_characters() -> None:
    shared, own = "x" * 30, ["a" * 60, "b" * 90, "c" * 30]

    _, shares = stretches([f"{shared}\n{own[0]}", f"  {shared} \nshort\n{own[1]}", f"{own[2]}\nshort\n{own[2]}", None])

    # 30 of 90, 30 of 120, and 0 of 60, where a paragraph is twice in one document.
    assert shares["repeated_paragraphs"]["value"] == pytest.approx(60 / 270)
    assert shares["repeated_paragraphs"]["low"] < 60 / 270 < shares["repeated_paragraphs"]["high"]


def test_stretches_are_masked_and_harmless() -> None:
    text = "call 13800138000 \u202e<script>alert(1)</script> " + " ".join(f"w{number}" for number in range(60))

    found, _ = stretches([text, text + " end"])

    assert found
    assert all("13800138000" not in row["text"] and "\u202e" not in row["text"] for row in found)
    assert all(len(row["text"]) <= 160 for row in found)


def test_nothing_has_no_stretches() -> None:
    found, shares = stretches([])

    assert found == []
    assert math.isnan(shares["repeated_50"]["value"])
    assert isinstance(stretches_of(units_of(pa.array([], pa.string())), np.zeros(1, np.int64), 0), Stretches)
    assert math.isnan(distinct(np.zeros(0, np.uint64), np.zeros(1, np.int64), 1))
