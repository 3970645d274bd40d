"""Ranks of tiktoken, converted: equal to tiktoken itself."""

import base64
import functools
import io
import itertools
import json
from pathlib import Path

import pyarrow as pa
import pytest
import tiktoken
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext import openai_public  # type: ignore[import-untyped]  # it has no hints

from datapipe import ConfigError
from datapipe.testing import dataset, evaluate
from stages.schema import DOCUMENT
from stages.tokens import Ranks, Tokenize, tokenizer_of
from stages.tokens.encoder import Reference
from stages.tokens.fast import hard_texts
from stages.tokens.formats import kept
from stages.tokens.ranks import KNOWN, Splitting, splitting, tokenizer_json

FILES = {
    "o200k_base": "data/tokenizers/gpt-tokenizer/data/o200k_base.tiktoken",
    "qwen": "data/tokenizers/qwen-tiktoken/hf_openseek/tokenizer/qwen.tiktoken",
}
CORPORA = ("kubernetes-docs-versions", "sofastack-blog-docs", "chinese-poetry", "taiwan-laws")
# Alphabets in which patterns and merges have most to decide.
TEXTS = st.text(
    st.sampled_from("aAbs 's\n\r\t1٣²漢字，。'ſ’-!\u0301\u3000é\0👍\u200d/") | st.characters(exclude_categories=["Cs"])
)


def ranks_of(content: bytes) -> dict[bytes, int]:
    lines = (line.split() for line in content.splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def small() -> dict[bytes, int]:
    """Ranks of all bytes and of a few longer tokens, among them two ways to the same token."""
    longer = (
        b"ab",
        b"bc",
        b"abc",
        b" a",
        b" ab",
        "漢".encode()[:2],
        "漢".encode(),
        b"\r\n",
        b"  ",
        b"    ",
        b"!!",
        b"'s",
    )
    return {token: rank for rank, token in enumerate([*(bytes([byte]) for byte in range(256)), *longer])}


def written(ranks: dict[bytes, int]) -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())


def published(name: str) -> str:
    """Returns the pattern that the encoding's owner publishes: possessive, where ours is not; Qwen's is as ours."""
    if name == "qwen":
        return KNOWN[name].pattern
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: {})  # it would fetch the ranks
        return str(getattr(openai_public, name.replace("gpt2", "r50k_base"))()["pat_str"])


@functools.cache
def pair(name: str) -> tuple[Reference, tiktoken.Encoding]:
    how = Splitting(KNOWN[name].pattern, (("<|endoftext|>", 900),))
    theirs = tiktoken.Encoding(name, pat_str=published(name), mergeable_ranks=small(), special_tokens=dict(how.special))
    return Reference(tokenizer_json(written(small()), how), ()), theirs


def ids_of(engine: Reference, texts: list[str]) -> list[list[int]]:
    ids, ends = engine.encode(pa.array(texts, pa.large_string()))
    return [ids[start:end].tolist() for start, end in itertools.pairwise(ends)]


@pytest.mark.parametrize("name", ["gpt2", "cl100k_base", "o200k_base", "qwen"])
@given(st.lists(TEXTS, max_size=4))
def test_ids_of_any_text_are_those_of_tiktoken(name: str, texts: list[str]) -> None:
    ours, theirs = pair(name)
    found = ids_of(ours, texts)

    assert found == [theirs.encode_ordinary(text) for text in texts]
    assert [ours.decode(ids) for ids in found] == texts


@pytest.mark.parametrize("name", ["qwen", pytest.param("o200k_base", marks=pytest.mark.long)])
def test_ids_of_real_documents_are_those_of_tiktoken(name: str, shared: Path) -> None:
    content = (shared / FILES[name]).read_bytes()
    how = splitting(None, None, name)
    theirs = tiktoken.Encoding(
        name, pat_str=published(name), mergeable_ranks=ranks_of(content), special_tokens=dict(how.special)
    )
    texts = [*hard_texts(), *(text for corpus in CORPORA for text in first_texts(shared, corpus, 5))]
    ours = Reference(tokenizer_json(content, how), ())
    found = ids_of(ours, texts)

    assert found == [theirs.encode_ordinary(text) for text in texts]
    assert [ours.decode(ids) for ids in found] == texts
    assert ours.special["<|endoftext|>"] == theirs.eot_token
    assert max(ours.vocabulary.values()) == theirs.max_token_value


def first_texts(shared: Path, corpus: str, documents: int) -> list[str]:
    with (shared / f"data/corpora/{corpus}.jsonl.zst").open("rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8")
        return [json.loads(next(lines))["text"][:20_000] for _ in range(documents)]


def documents(*texts: str) -> pa.Table:
    rows = [{"id": bytes([number] * 16), "source": "web", "text": text} for number, text in enumerate(texts)]
    return pa.Table.from_pylist(rows, schema=pa.schema([DOCUMENT.field(name) for name in ("id", "source", "text")]))


def test_a_rank_file_is_a_tokenizer_by_its_path_and_goes_along_as_json(tmp_path: Path) -> None:
    path = tmp_path / "own.tiktoken"
    path.write_bytes(written(small()))
    ranks = Ranks(tiktoken=str(path), pattern="qwen", special={"<|end|>": 300, "<|pad|>": 301})
    made = Tokenize(tokenizer=ranks, eos="<|end|>").build(dataset(documents("abc 漢<|end|>", "ab!!")))
    facts = evaluate(tokenizer_of(made)).table.to_pylist()[0]
    theirs = tiktoken.Encoding(
        "own", pat_str=KNOWN["qwen"].pattern, mergeable_ranks=small(), special_tokens={"<|end|>": 300}
    )

    assert evaluate(made).table.column("input_ids").to_pylist() == [
        [*theirs.encode_ordinary(text), 300] for text in ("abc 漢<|end|>", "ab!!")
    ]
    assert (facts["kind"], facts["name"], facts["vocabulary_size"], facts["eos_id"]) == (
        "tokenizer.json",
        "own",
        302,
        300,
    )
    assert facts["content"] == kept(path.read_bytes(), splitting("qwen", ranks.special, "own"))


@pytest.mark.parametrize("end", [b"\r\n", b" \n", b"\n\n"])
def test_ends_of_lines_are_of_any_kind(end: bytes) -> None:
    how = splitting("qwen", None, "")

    assert tokenizer_json(written(small()).replace(b"\n", end), how) == tokenizer_json(written(small()), how)


@pytest.mark.parametrize(
    ("lines", "ranks", "said"),
    [
        (written(small()), {}, "not how text is cut: write .tiktoken: PATH, pattern: NAME"),
        (written(small()), {"pattern": "(a"}, "pattern: is no regular expression"),
        (written(small()), {"pattern": r"\p{N}{1,3}+|."}, "is not possessive"),
        (
            written(small()),
            {"pattern": "qwen", "special": {"<|e|>": 5}},
            "special: <|e|>: 5 is the id of another token",
        ),
        (written(small()) + b"a b c\n", {"pattern": "qwen"}, "line 269: is not a token in base64 and its rank"),
        (written(small()) + b"YWI= -1\n", {"pattern": "qwen"}, "line 269: is not a token in base64 and its rank"),
        (written({**small(), b"zz": 5}), {"pattern": "qwen"}, "gives two tokens one rank, or one token two"),
        (written(small()) + b"YQ== 300\n", {"pattern": "qwen"}, "gives two tokens one rank, or one token two"),
        (written(small()), {"pattern": "cl100k"}, "pattern: nothing is called 'cl100k': one of gpt2, r50k_base"),
        (written(small()), {"pattern": "qwen", "special": {"a": 300}}, "special: 'a' is the name of a token"),
        (written(small()), {"pattern": "qwen", "special": {"": 300}}, "special: '' is no name"),
        (written(small()), {"pattern": "qwen", "special": {"<e>": -1}}, "special: <e>: -1 is not an id"),
        (written(small()), {"pattern": "qwen", "special": {"<e>": 300, "<f>": 300}}, "300 is the id of another token"),
        (written(small()), {"pattern": "qwen", "special": {"<e>": 1 << 31}}, "the id 2147483648: ids are below"),
        (b"YQ== 0\n", {"pattern": "qwen"}, "has no token for the byte 0"),
        (b"{}", {"pattern": "qwen"}, "holds no ranks of tiktoken"),
        (written(small()), {"pattern": "qwen"}, "eos: '<|eos|>' is not in its vocabulary"),
    ],
)
def test_a_wrong_rank_file_is_said(lines: bytes, ranks: dict[str, object], said: str, tmp_path: Path) -> None:
    path = tmp_path / "own.tiktoken"
    path.write_bytes(lines)
    stage = Tokenize(tokenizer=Ranks(tiktoken=str(path), **ranks), eos="<|eos|>")  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=said.replace("|", r"\|")):
        stage.build(dataset(documents("one")))
