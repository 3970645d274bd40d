"""How many tokens a tokenizer makes, against counts by hand."""

import json

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from stages.tokens.encoder import Reference
from stages.tokens.fertility import Fertility, _field, fertility, han, table, token_bytes
from stages.tokens.learn import learn


def toy() -> Reference:
    """Returns a byte-level tokenizer of all bytes, 中, 中文 and `ab`."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    merges = [("ä", "¸"), ("ä¸", "Ń"), ("æ", "ĸ"), ("æĸ", "ĩ"), ("ä¸Ń", "æĸĩ"), ("a", "b")]
    for one, other in merges:
        vocabulary[one + other] = len(vocabulary)
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return Reference(made.to_str().encode(), ())


def test_counts_of_a_toy_are_those_by_hand() -> None:
    # ab|中文|中 and 国 in three bytes: 6 tokens; 4 Han characters, one alone, one in pieces, two in one token.
    found = fertility(toy(), ["ab中文中", "国"])

    assert found == Fertility(documents=2, characters=6, bytes=14, tokens=6, unknown=0, han=4, han_alone=1, han_split=1)
    assert found.told() == {
        "tokens_per_character": 1.0,
        "bytes_per_token": 14 / 6,
        "tokens_per_document": 3.0,
        "unknown_ratio": 0.0,
        "han_alone_ratio": 0.25,
        "han_split_ratio": 0.25,
    }


def test_unknown_tokens_are_counted() -> None:
    made = Tokenizer(models.WordLevel({"<unk>": 0, "one": 1}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()

    assert fertility(Reference(made.to_str().encode(), ()), ["one two 中"]).told()["unknown_ratio"] == 2 / 3


def test_sentencepiece_byte_fallback_splits_characters() -> None:
    pieces = [("<unk>", 0.0), *((f"<0x{value:02X}>", -9.0) for value in range(256)), ("▁a", -1.0), ("中", -2.0)]
    made = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    found = fertility(Reference(made.to_str().encode(), ()), ["a中国"])

    assert (found.tokens, found.han, found.han_alone, found.han_split) == (5, 2, 1, 1)


@given(st.text(alphabet="a é中文㐀〇𠀀豈，\U0003ffff", max_size=40), st.data())
def test_han_is_counted_as_character_by_character(text: str, data: st.DataObject) -> None:
    whole = text.encode()
    cuts = sorted({*data.draw(st.sets(st.integers(0, len(whole)))), len(whole)})
    alone = split = there = at = 0
    for letter in text:
        end = at + len(letter.encode())
        if letter in "中文㐀〇𠀀豈\U0003ffff":
            there += 1
            inside = any(at < cut < end for cut in cuts)
            split += inside
            alone += not inside and (at == 0 or at in cuts) and end in cuts
        at = end

    assert han(np.frombuffer(whole, np.uint8), np.array(cuts)) == (there, alone, split)


def test_tokens_of_a_byte_level_model_are_the_bytes_of_the_text() -> None:
    text = "道可道，非常道。\n\tdef f(x): return 𠀀"
    engine = Reference(learn([text] * 3, 400, ["<|endoftext|>"]), ())
    ids, _ = engine.encode(pa.array([text], pa.large_string()))
    pieces = token_bytes(engine)

    assert b"".join(pieces[number] for number in ids.tolist()) == text.encode()
    assert pieces[0] == b""  # a special token stands for no text


def test_a_table_has_a_dash_where_nothing_is_divided() -> None:
    *_, row = table([("en", "toy", fertility(toy(), ["ab"]))])

    assert row == "| en | toy | 1 | 0.500 | 2.00 | 1 | 0.00 % | - | - |"


@given(
    st.dictionaries(
        st.text(max_size=4), st.recursive(st.none() | st.floats(allow_nan=False) | st.text(max_size=4), st.lists)
    )
)
def test_a_field_of_json_is_what_the_whole_says_and_needs_nothing_behind_it(held: dict[str, object]) -> None:
    for name in [*held, "none"]:
        for indent in (None, 1):
            assert _field(json.dumps(held, indent=indent).encode(), name) == held.get(name)

    assert _field(b'{"decoder": {"type": "ByteLevel"}, "model": {"vocab": {', "decoder") == {"type": "ByteLevel"}
