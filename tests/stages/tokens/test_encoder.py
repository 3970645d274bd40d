"""Text to ids: what was there comes back, and no text ends a document."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from datapipe import ConfigError
from stages.tokens import encoder as module
from stages.tokens.encoder import Boundaries, Encoder, load, pieces_of
from stages.tokens.train import learn

EOS = "<|endoftext|>"
TEXTS = [
    "道可道，非常道。名可名，非常名。" * 20,
    "The quick brown fox jumps over the lazy dog, and the dog sleeps. " * 20,
    "def f(x):\n    return x + 1\n" * 10,
]


BYTE_LEVEL = learn(TEXTS, 400, (EOS, "<|bos|>"))


def byte_level() -> bytes:
    return BYTE_LEVEL


def encoded(content: bytes, texts: list[str], **boundaries: str | int | None) -> list[list[int]]:
    made = load(content, Boundaries(boundaries.get("bos"), boundaries.get("eos") or EOS))
    values, lengths, _ = made.encode(texts)
    ends = lengths.cumsum()
    return [values[end - length : end].tolist() for end, length in zip(ends, lengths, strict=True)]


@given(st.lists(st.text(), max_size=5))
def test_ids_of_a_byte_level_model_decode_to_the_text(texts: list[str]) -> None:
    content = byte_level()
    made = load(content, Boundaries(None, EOS))

    for text, ids in zip(texts, encoded(content, texts), strict=True):
        assert made.decode(ids) == text
        assert ids[-1:] == ([made.eos] if text else [])


@pytest.mark.parametrize(
    "text", ["👩‍👩‍👧 family", "e\u0301 n\u0303", "\0", "漢", "a" * 5000, " \n\t ", "１２３", "\r\n\r\n"]
)
def test_odd_texts_come_back(text: str) -> None:
    assert load(byte_level(), Boundaries(None, EOS)).decode(encoded(byte_level(), [text])[0]) == text


def test_special_token_text_is_encoded_as_text() -> None:
    made = load(byte_level(), Boundaries("<|bos|>", EOS))
    text = f"one{EOS}two<|bos|>{EOS}"
    ids = encoded(byte_level(), [text], bos="<|bos|>")[0]

    assert ids[0] == made.bos
    assert ids[-1] == made.eos
    assert made.eos not in ids[1:-1]
    assert made.bos not in ids[1:-1]
    assert made.decode(ids) == text


def test_a_token_that_ends_documents_is_special_whatever_the_file_says() -> None:
    content = json.loads(byte_level())
    for token in content["added_tokens"]:
        token["special"] = False
    patched = json.dumps(content).encode()
    ids = encoded(patched, [f"one{EOS}two"])[0]

    assert ids.count(load(patched, Boundaries(None, EOS)).eos) == 1


def _with_tokens(change: Callable[[Tokenizer], object]) -> bytes:
    tokenizer = Tokenizer.from_str(byte_level().decode())
    change(tokenizer)
    return str(tokenizer.to_str()).encode()


def test_added_tokens_that_are_not_special_keep_their_ids() -> None:
    content = _with_tokens(
        lambda tokenizer: (
            tokenizer.add_special_tokens(["<|pad|>"]),
            tokenizer.add_tokens([AddedToken("    ", normalized=False)]),
        )
    )
    expected = Tokenizer.from_str(content.decode()).token_to_id("    ")

    assert expected in encoded(content, ["if x:    y"])[0]


def test_a_model_whose_vocabulary_spells_the_end_does_not_encode_it() -> None:
    # A unigram model takes any piece of its vocabulary from text, control tokens too.
    pieces = [("<unk>", 0.0), ("</s>", 0.0), *((character, -5.0) for character in "ab</s>")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.decoder = decoders.Fuse()
    content = str(tokenizer.to_str()).encode()
    made = load(content, Boundaries(None, "</s>"))
    ids = encoded(content, ["ab</s>ba"], eos="</s>")[0]

    assert ids.count(made.eos) == 1
    assert made.decode(ids[:-1]) == "ab</s>ba"


def test_a_text_that_turns_into_a_special_token_is_not_whole() -> None:
    pieces = [("<unk>", 0.0), ("</s>", 0.0), *((character, -5.0) for character in "ab</s>")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    made = Encoder(str(tokenizer.to_str()).encode(), Boundaries(None, "</s>"))
    values, lengths, whole = made.encode(["ab", "a＜/s＞b"])

    assert whole.tolist() == [True, False]
    assert lengths.tolist() == [3, 0]
    assert len(values) == 3


def test_ids_are_those_of_the_library_itself() -> None:
    plain = Tokenizer.from_str(byte_level().decode())
    expected = [[*plain.encode(text).ids, plain.token_to_id(EOS)] for text in TEXTS]

    assert encoded(byte_level(), TEXTS) == expected


@pytest.mark.parametrize("text", ["ab cd\n" * 30, "道可道，非常道。" * 30, "x1 y2 " * 40, "a" * 100])
def test_long_texts_are_encoded_in_pieces_with_equal_ids(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoded(byte_level(), [text])
    monkeypatch.setattr(module, "PIECE_CHARACTERS", 17)

    assert "".join(pieces_of(text)) == text
    assert max(map(len, pieces_of(text))) <= 17
    if " " in text or "，" in text:
        assert encoded(byte_level(), [text]) == whole
    assert load(byte_level(), Boundaries(None, EOS)).decode(encoded(byte_level(), [text])[0]) == text


@pytest.mark.parametrize(
    ("part", "settings"),
    [
        ("normalizer", {"type": "Prepend", "prepend": "_"}),
        ("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}),
    ],
)
@pytest.mark.parametrize("fast", [False, True])
def test_long_texts_are_encoded_whole_where_a_space_is_set_before_each_part(
    part: str, settings: dict[str, object], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.dumps(json.loads(byte_level()) | {part: settings}).encode()
    made = Encoder(content, Boundaries(None, EOS), fast=fast)
    whole = made.encode(["道可道，非常道。" * 30])[0].tolist()
    monkeypatch.setattr(module, "PIECE_CHARACTERS", 17)

    assert made.encode(["道可道，非常道。" * 30])[0].tolist() == whole


def test_calls_are_cut_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoded(byte_level(), TEXTS)
    monkeypatch.setattr(module, "CALL_CHARACTERS", 100)

    assert encoded(byte_level(), TEXTS) == whole


def test_truncation_and_templates_of_the_file_are_not_applied() -> None:
    def change(tokenizer: Tokenizer) -> None:
        tokenizer.enable_truncation(4)
        tokenizer.enable_padding(length=64)

    assert encoded(_with_tokens(change), TEXTS) == encoded(byte_level(), TEXTS)


@pytest.mark.parametrize(
    ("content", "boundaries", "said"),
    [
        (b"{}", Boundaries(None, EOS), "is not a tokenizer.json"),
        (b"\xff\xfe", Boundaries(None, EOS), "is not a tokenizer.json"),
        (b'{"model":' * 100_000, Boundaries(None, EOS), "is not a tokenizer.json .* .maximum recursion depth"),
        (byte_level(), Boundaries(None, "</s>"), "eos: '</s>' is not in its vocabulary .it has <|endoftext|>, <|bos|>"),
        (byte_level(), Boundaries("<s>", EOS), "bos: '<s>' is not in its vocabulary"),
        (byte_level(), Boundaries(None, 400), "eos: 400 is not an id of its vocabulary .0 to 3"),
    ],
)
def test_a_wrong_file_or_token_is_said(content: bytes, boundaries: Boundaries, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("|", r"\|")):
        load(content, boundaries)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["added_tokens"][0].pop("special"), "missing field `special`"),
        (lambda data: data.update(added_tokens={"a": 1}), "expected a sequence"),
        (lambda data: data["model"]["vocab"].update(zzz=(1 << 32) - 1), "the id 4294967295: ids are below 16,777,216"),
        (lambda data: (data["model"].update(vocab={}, merges=[]), data["added_tokens"].clear()), "eos: 0 is not an id"),
    ],
)
def test_a_broken_file_is_said(change: Callable[[dict[str, Any]], object], said: str) -> None:
    data = json.loads(byte_level())
    change(data)
    with pytest.raises(ConfigError, match=said):
        load(json.dumps(data).encode(), Boundaries(None, 0))


def test_a_special_token_without_a_name_is_the_librarys_to_ignore() -> None:
    data = json.loads(byte_level())
    data["added_tokens"].append({**data["added_tokens"][0], "id": 400, "content": ""})

    assert encoded(json.dumps(data).encode(), TEXTS) == encoded(byte_level(), TEXTS)


def test_a_text_that_the_library_fails_on_is_an_error_that_may_be_set_aside() -> None:
    split = pre_tokenizers.Split(Regex(r"(?:a|a)*b|\Z"), "isolated")  # Oniguruma gives up after 10,000,000 tries

    def change(tokenizer: Tokenizer) -> None:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(use_regex=False)])

    with pytest.raises(RuntimeError, match=r"tokenizers failed: .*retry-limit"):
        Encoder(_with_tokens(change), Boundaries(None, EOS)).encode(["a" * 40])


def test_a_word_level_model_may_use_its_unknown_token() -> None:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "one": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<unk>", "</s>"])

    assert encoded(str(tokenizer.to_str()).encode(), ["one two"], eos="</s>") == [[2, 0, 1]]
