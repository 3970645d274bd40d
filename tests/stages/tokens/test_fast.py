"""gigatoken: believed by proof, and never to be seen in what is made."""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from datapipe.testing import dataset, evaluate
from stages.schema import DOCUMENT
from stages.tokens import Tokenize
from stages.tokens import fast as module
from stages.tokens.encoder import Boundaries, Encoder, load
from stages.tokens.fast import SWITCH, Gigatoken, checked, difference, hard_texts, proven, replaced
from stages.tokens.learn import learn
from stages.tokens.rare import rare, rare_plainly

EOS = "<|endoftext|>"
TEXTS = ["道可道，非常道。名可名，非常名。" * 9, "the fox jumps over the dog, it's 1234 " * 9, f"it spells {EOS} here"]
CONTENT = learn(TEXTS, 500, (EOS, "<|bos|>"))
OTHER = learn(["quite other words are learned from this"] * 9, 300, (EOS, "<|bos|>"))


BOUNDARIES = Boundaries("<|bos|>", EOS)
REFERENCE = Encoder(CONTENT, BOUNDARIES)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder(CONTENT, BOUNDARIES, fast=True)


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "own.json").write_bytes(CONTENT)
    return str(tmp_path / "own.json")


def documents(*texts: str | None) -> pa.Table:
    rows = [
        {"id": hashlib.blake2b(f"{number}".encode(), digest_size=16).digest(), "source": "web", "text": text}
        for number, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema([DOCUMENT.field(name) for name in ("id", "source", "text")]))


def test_it_is_used_where_it_is_proven(encoder: Encoder) -> None:
    made = proven(encoder.reference)

    assert isinstance(made, Gigatoken)
    assert made.trusted
    assert difference(made, encoder.reference, pa.array(list(hard_texts()), pa.large_string())) is None


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from([EOS, f"a{EOS}b<|bos|>", ""])))
def test_ids_are_those_of_the_reference(texts: list[str]) -> None:
    fast = load(CONTENT, BOUNDARIES)
    assert fast.is_fast

    for one, other in zip(fast.encode(texts), REFERENCE.encode(texts), strict=True):
        assert one.tolist() == other.tolist()


def test_text_is_taken_from_slices_of_a_column_as_it_lies(encoder: Encoder) -> None:
    column = pa.array(["one", "道可道", "", "two three", "four"])
    for start in range(5):
        ids, lengths, _ = encoder.encode(column.slice(start, 3))
        expected, expected_lengths, _ = encoder.encode(column.slice(start, 3).to_pylist())

        assert (ids.tolist(), lengths.tolist()) == (expected.tolist(), expected_lengths.tolist())


def test_a_text_of_nothing_has_no_tokens(file: str) -> None:
    made = evaluate(Tokenize(tokenizer=file).build(dataset(documents(None, "", "one"))))

    assert made.table.num_rows == 1
    assert made.ledger.column("rule").to_pylist() == ["no_tokens", "no_tokens"]


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_what_is_made_is_the_same_without_it(rows: int, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Tokenize(tokenizer=file).build(dataset(documents(*TEXTS * 9, "", *hard_texts())))
    monkeypatch.setattr(module, "AHEAD_BYTES", 1 << 11)
    found = []
    for switch in ("1", "0"):
        monkeypatch.setenv(SWITCH, switch)
        found.append(evaluate(stage, rows_per_batch=rows))

    assert found[0].table.equals(found[1].table)
    assert found[0].ledger.equals(found[1].ledger)
    assert found[0].counts == found[1].counts


def test_a_difference_in_the_first_megabytes_makes_the_whole_shard_the_references(
    encoder: Encoder, caplog: pytest.LogCaptureFixture
) -> None:
    # Another model stands for a library with a fault.
    wrong = Gigatoken(_stripped(OTHER), REFERENCE.reference)
    table = documents(*(f"words {number} 道可道 " * 20 for number in range(400)))
    batches = table.to_batches(max_chunksize=7)
    with caplog.at_level(logging.WARNING):
        passed = []
        for batch in checked(iter(batches), wrong, encoder.reference):
            passed.append(batch)
            assert not wrong.trusted

    assert pa.Table.from_batches(passed).equals(table)
    assert len(caplog.records) == 1
    assert table.column("id")[0].as_py().hex() in caplog.text


def test_a_document_that_differs_later_is_found_before_its_batch_goes_on(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AHEAD_BYTES", 1)
    monkeypatch.setattr(module, "ONE_IN", 1)
    wrong = Gigatoken(_stripped(OTHER), REFERENCE.reference)
    table = documents("\x01", "\x02", "道可道", "\x03")  # a single byte has one id in both
    trusted = [wrong.trusted for _ in checked(iter(table.to_batches(max_chunksize=1)), wrong, encoder.reference)]

    assert trusted == [True, True, False, False]


def test_a_model_whose_ids_would_differ_is_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    class Lying:
        """A reference that says it works by another file."""

        content: bytes | None = _stripped(OTHER)
        cuts = True
        encode = REFERENCE.reference.encode

    with caplog.at_level(logging.WARNING):
        assert proven(Lying()) is None
    assert "gives other ids than tokenizers" in caplog.text


def test_a_model_that_it_does_not_know_is_left_to_the_reference() -> None:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "one": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    made = Encoder(str(tokenizer.to_str()).encode(), Boundaries(None, "</s>"), fast=True)

    assert not made.is_fast
    assert made.encode(["one two"])[0].tolist() == [2, 0, 1]


def test_the_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")

    assert not load(CONTENT, BOUNDARIES).is_fast


def test_it_is_made_anew_when_memory_has_grown(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEWAL_BYTES", 1)
    monkeypatch.setattr(module, "GROWTH_BYTES", -(1 << 40))  # memory may have shrunk, for another's sake
    made = proven(encoder.reference)
    assert made
    texts = pa.array(TEXTS, pa.large_string())
    before = made._made
    first, second = made.encode(texts), made.encode(texts)

    assert made._made is not before
    assert first[0].tolist() == second[0].tolist()


@pytest.mark.parametrize("text", ["a\u088fb's", "\U00010940's !", "x\U000e1234", "\u0378 道"])
def test_characters_that_unicode_has_not_assigned_are_the_references(text: str, encoder: Encoder) -> None:
    # U+088F and U+10940 are letters in Unicode 17, which gigatoken 0.10 is built on, tokenizers 0.23 is not.
    texts = ["one", text, "道可道", f"two {text}"]

    assert rare(pa.array(texts, pa.large_string())).tolist() == [False, True, False, True]
    assert encoder.is_fast
    assert encoder.encode(texts)[0].tolist() == REFERENCE.encode(texts)[0].tolist()


@pytest.mark.parametrize(
    "text", ["\u0301\u1df7", "a\u0345\u07fd", "\U00011943\u0301", "\U00011935\U00011930", "\u0301\U0001e08f"]
)
def test_marks_that_the_normalizers_of_tokenizers_do_not_order_are_the_references(text: str) -> None:
    # Unicode 9 has none of them; gigatoken puts them in order, as Unicode 17 says.
    data = json.loads(CONTENT) | {"normalizer": {"type": "NFC"}}
    content = json.dumps(data).encode()
    fast = Encoder(content, BOUNDARIES, fast=True)

    assert rare(pa.array([text], pa.large_string())).tolist() == [True]
    assert fast.is_fast
    assert fast.encode([text])[0].tolist() == Encoder(content, BOUNDARIES).encode([text])[0].tolist()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("abcdefgh道可\u0378\U000e1234"))))
def test_the_kernel_finds_unassigned_characters_as_its_plain_twin_does(texts: list[str]) -> None:
    assert rare(pa.array(texts, pa.large_string())).tolist() == [rare_plainly(text) for text in texts]


def test_ids_of_some_texts_are_replaced_by_others() -> None:
    ids, ends = replaced(
        np.array([1, 2, 3], np.uint32),
        np.array([0, 2, 2, 3]),
        np.array([False, True, True]),
        [(np.array([7, 8], np.uint32), np.array([0, 2])), (np.array([9], np.uint32), np.array([0, 1]))],
    )

    assert (ids.tolist(), ends.tolist()) == ([1, 2, 7, 8, 9], [0, 2, 4, 5])


def _stripped(content: bytes) -> bytes:
    return json.dumps(json.loads(content) | {"added_tokens": []}).encode()
