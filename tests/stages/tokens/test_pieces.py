"""Models of sentencepiece: the library's own ids, and what it loses is said."""

import functools
import io
from pathlib import Path

import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError
from datapipe.testing import dataset, evaluate
from stages.schema import DOCUMENT
from stages.tokens import Tokenize, kept_as, tokenizer_of
from stages.tokens.encoder import Boundaries, Encoder

LINES = [
    "道可道，非常道。名可名，非常名。",
    "The quick brown fox jumps over the lazy dog.",
    "天地玄黄，宇宙洪荒。",
] * 40


@functools.cache
def trained(kind: str, *, byte_fallback: bool) -> bytes:
    """Returns a small model, by the library itself."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=model,
        model_type=kind,
        vocab_size=330 if byte_fallback else 70,
        hard_vocab_limit=False,
        byte_fallback=byte_fallback,
        normalization_rule_name="identity" if byte_fallback else "nmt_nfkc",
        remove_extra_whitespaces=not byte_fallback,
        minloglevel=2,
    )
    return model.getvalue()


def documents(*texts: str) -> pa.Table:
    rows = [{"id": bytes([number] * 16), "source": "web", "text": text} for number, text in enumerate(texts)]
    return pa.Table.from_pylist(rows, schema=pa.schema([DOCUMENT.field(name) for name in ("id", "source", "text")]))


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["a</s>b", "<s>", "道可", " a  b "]))
)
def test_ids_are_those_of_the_library_and_text_comes_back_by_bytes(kind: str, texts: list[str]) -> None:
    content = trained(kind, byte_fallback=True)
    library = sentencepiece.SentencePieceProcessor(model_proto=content)
    made = Encoder(content, Boundaries("<s>", "</s>"), fast=True)
    ids, lengths, whole = made.encode(texts)
    ends = lengths.cumsum()
    own = [ids[end - length : end].tolist() for end, length in zip(ends, lengths, strict=True)]

    assert whole.all()
    assert own == [[1, *library.encode(text), 2] if library.encode(text) else [] for text in texts]
    assert [made.decode(one[1:-1]) for one in own] == [library.decode(library.encode(text)) for text in texts]
    assert not made.unknown(ids, lengths).any()


@pytest.mark.parametrize("name", ["test_model", "test_ja_model"])
def test_models_of_the_librarys_own_tests_are_read(name: str, shared: Path) -> None:
    path = shared / f"data/tokenizers/sentencepiece/python/test/{name}.model"
    library = sentencepiece.SentencePieceProcessor(model_file=str(path))
    texts = (shared / "data/tokenizers/sentencepiece/data/botchan.txt").read_text().splitlines()[:300]
    ids, _, _ = Encoder(path.read_bytes(), Boundaries(None, "</s>")).encode(texts)

    assert ids.tolist() == [number for text in texts for number in ([*library.encode(text), 2] if text else [])]


def test_what_a_model_does_not_know_is_counted_and_said(tmp_path: Path) -> None:
    path = tmp_path / "small.model"
    path.write_bytes(trained("unigram", byte_fallback=False))
    stage = Tokenize(tokenizer=str(path), eos="</s>")
    encoded = stage.build(dataset(documents("The quick dog. " * 900, "ΑΒΓ ΔΕΖ " * 900)))
    made = evaluate(encoded)
    facts = evaluate(tokenizer_of(encoded)).table.to_pylist()[0]

    assert kept_as(tokenizer_of(encoded)) == facts["kind"] == "tokenizer.model"
    assert facts["content"] == path.read_bytes()
    assert made.counts["unknown_tokens"] == made.counts["unknown_tokens.source.web"] == 1800  # a word each
    assert any(
        "more than 1 token in 100 stands for what" in name for name in made.counts if name.startswith("warning.")
    )
    assert any("1,800 of" in remark for remark in stage.remarks(made.counts))
    (note,) = stage.notes(1e6)
    assert "does not keep every text as it is: 'Plain Words.' comes back as ' ⁇ lain  ⁇ ords.'" in note
    assert any("does not keep" in name for name in made.counts if name.startswith("remark."))


@pytest.mark.parametrize("content", [b"", b"\0\1\2", b"no model"])
def test_another_file_is_said(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.model"
    path.write_bytes(content)

    with pytest.raises(
        ConfigError, match=r"is not a tokenizer\.json, nor ranks of tiktoken, nor a model of sentencepiece"
    ):
        Tokenize(tokenizer=str(path)).build(dataset(documents("one")))


def test_a_missing_boundary_is_said(tmp_path: Path) -> None:
    path = tmp_path / "small.model"
    path.write_bytes(trained("bpe", byte_fallback=True))

    with pytest.raises(ConfigError, match=r"eos: '<\|endoftext\|>' is not in its vocabulary \(it has </s>, <unk>, <s>"):
        Tokenize(tokenizer=str(path)).build(dataset(documents("one")))
