"""Tokenize: each document's text to token ids, once, however often it will be sampled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Discriminator, Tag

from datapipe import ConfigError, Dataset, Output, PlanError, Resource, Stage, Work, resource
from datapipe.stage import Growth, Seen
from stages.schema import TOKENS
from stages.tokens.count import Counted
from stages.tokens.encoder import Boundaries, Encoder, load
from stages.tokens.formats import JSON, kept, kind_of
from stages.tokens.pieces import version
from stages.tokens.ranks import Ranks, Splitting, is_ranks, splitting
from stages.tokens.train import Train, Trained, measure, trained

__all__ = ["TOKENIZER", "Ranks", "Tokenize", "Train", "Trained", "kept_as", "tokenizer_of"]

KIND = b"kind"  # in the schema of the tokenizer's row: the name of its file is known before it is
REMARKED = 12  # languages that the report states the fertility of

TOKENIZER = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("kind", pa.string()),  # tokenizer.json or tokenizer.model: what it is, and its name in a corpus
        pa.field("sha256", pa.string()),  # of `content`
        pa.field("vocabulary_size", pa.int64()),  # the greatest id and one
        pa.field("eos_id", pa.int64()),
        pa.field("bos_id", pa.int64()),
        pa.field("content", pa.binary()),
    ]
)


def _form(given: object) -> str:
    """Returns which form of `tokenizer` is given, so that a mistake is told of that one alone."""
    if isinstance(given, str):
        return "path"
    return "train" if isinstance(given, Trained) or (isinstance(given, dict) and "train" in given) else "tiktoken"


@dataclass(frozen=True, kw_only=True)
class Tokenize(Stage):
    """Encodes documents with a tokenizer of yours, or one trained on them. The text ends here."""

    version: ClassVar[int] = 3
    libraries: ClassVar[tuple[str, ...]] = ("tokenizers",)

    tokenizer: Annotated[
        Annotated[str, Tag("path")] | Annotated[Ranks, Tag("tiktoken")] | Annotated[Trained, Tag("train")],
        Discriminator(_form),
        "path of a tokenizer.json, a .tiktoken file or a model of sentencepiece; {tiktoken: PATH, pattern: NAME}; or "
        "{train: {vocab_size: N}}",
    ]
    eos: Annotated[str | int, "token that ends every document, by name or id"] = "<|endoftext|>"
    bos: Annotated[str | int | None, "token that begins every document (null: none)"] = None

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents with `input_ids`, `tokens`, `bytes` and `characters` in place of `text`.

        Raises:
            ConfigError: the file is no tokenizer that can be read, or lacks `eos` or `bos`.
            PlanError: a column is missing.
        """
        documents, boundaries = inputs[0], Boundaries(self.bos, self.eos)
        documents.require(("id", "source", "text"))
        encode = Encode(boundaries=boundaries)
        whole: tuple[Dataset, ...] = ()
        if isinstance(self.tokenizer, Trained):
            how = self.tokenizer.train
            special = [token for token in dict.fromkeys((self.eos, self.bos)) if token is not None]
            whole = (trained(documents, how, tuple(_name(token) for token in special)),)
            encode = replace(encode, name=f"byte-bpe-{how.vocab_size}")
        else:
            encode = _reading(self.tokenizer, encode)
        return documents.map(
            encode,
            reads=("id", "source", "text"),
            adds=TOKENS,
            drops=("text",),
            whole=whole,
            outputs=(Output("tokenizer", TOKENIZER.with_metadata({KIND: encode.kind})),),
        )

    def notes(self, documents: float) -> Iterator[str]:
        """Yields that the tokenizer does not keep every text as it is, where that is so."""
        if not isinstance(self.tokenizer, Trained):
            yield from _altering(_reading(self.tokenizer, Encode(boundaries=Boundaries(self.bos, self.eos))).encoder())

    def remarks(self, counts: Mapping[str, int]) -> Iterator[str]:
        """Yields the tokens a character by language, or by source, and the share of unknown tokens."""
        by = next((by for by in ("language", "source") if any(name.startswith(f"tokens.{by}.") for name in counts)), "")
        tokens = {
            name.removeprefix(f"tokens.{by}."): n for name, n in counts.items() if name.startswith(f"tokens.{by}.")
        }
        most = sorted((name for name in tokens if tokens[name]), key=lambda name: (-tokens[name], name))[:REMARKED]
        if most:
            rates = (f"{tokens[name] / max(1, counts[f'characters.{by}.{name}']):.2f} {name}" for name in most)
            yield f"tokens a character: {', '.join(rates)}"
        if unknown := counts.get("unknown_tokens"):
            yield f"{unknown:,} of {counts['tokens']:,} tokens stand for what the tokenizer does not know"

    def growth(self, seen: Seen) -> Growth:
        """Returns how the text that a tokenizer is trained on grows: no further than to what is asked for."""
        if not isinstance(self.tokenizer, Trained):
            return Growth()
        sample = self.tokenizer.train.sample
        sizes = {shard: sum(rows.column("bytes").to_pylist()) for shard, rows in seen.read(measure, "rows")}
        here, whole = sum(sizes.values()), sum(size * seen.bytes[shard] for shard, size in sizes.items())
        grown = min(whole, sample.most_bytes) / max(1, min(here, sample.most_bytes))
        return Growth({sample: grown})


def tokenizer_of(encoded: Dataset) -> Dataset:
    """Returns the tokenizer that `encoded` or a dataset it was made from was encoded with: one row of TOKENIZER.

    Raises:
        PlanError: none was.
    """
    made: Dataset | None = encoded
    while made is not None:
        outputs: tuple[Output, ...] = getattr(made.op, "outputs", ())
        if any(output.name == "tokenizer" and output.schema.equals(TOKENIZER) for output in outputs):
            return made.output("tokenizer")
        made = getattr(made.op, "parent", None)
    raise PlanError("needs encoded documents: put a 'tokenize' step before it")


def kept_as(tokenizer: Dataset) -> str:
    """Returns the name of the file that a corpus keeps a tokenizer in, given what `tokenizer_of` returned."""
    return str((tokenizer.schema.metadata or {}).get(KIND, JSON.encode()).decode())


@dataclass(frozen=True, kw_only=True)
class Encode:
    """Adds TOKENS to documents; the model is a file, or the content that `whole` holds.

    Drops documents without tokens (`no_tokens`) and those that would hold a special token (`special_token`). The first
    shard puts the tokenizer out. `how` says how ranks are used, `library` the version of one that `Stage.libraries`
    does not name.
    """

    boundaries: Boundaries
    name: str = ""
    model: Resource | None = None
    kind: str = JSON
    how: Splitting | None = None
    library: str = ""

    def encoder(self, trained: bytes = b"") -> Encoder:
        """Returns the encoder. Raises ConfigError where the file is no tokenizer, or lacks a boundary."""
        return load(kept(self.model.read(), self.how) if self.model else trained, self.boundaries)

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        encoder = self.encoder(b"" if self.model else work.whole[0].column("content")[0].as_py())
        if work.number == 0:
            about = (self.name, self.kind, encoder.sha256, encoder.vocabulary_size, encoder.eos, encoder.bos)
            facts = dict(zip(TOKENIZER.names, (*about, encoder.content), strict=True))
            work.put("tokenizer", pa.RecordBatch.from_pylist([facts], TOKENIZER))
            for sentence in _altering(encoder):
                work.remark(sentence)
        counted = Counted()
        for batch in encoder.checked(batches):
            ids, lengths, whole = encoder.encode(batch.column("text"))
            unknown = encoder.unknown(ids, lengths)
            rules = pa.array(np.where(whole, "no_tokens", "special_token"))
            kept_rows = lengths > 0
            rows = work.drop(batch, ~kept_rows, rule=rules, sample="text")
            offsets = np.concatenate([[0], np.cumsum(lengths[kept_rows])])
            lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(ids))
            text, tokens = rows.column("text"), lengths[kept_rows]
            sizes = {"bytes": pc.binary_length(text), "characters": pc.utf8_length(text)}
            amounts = {name: column.to_numpy() for name, column in sizes.items()}
            counted.add(rows, {"tokens": tokens, "unknown": unknown[kept_rows], **amounts})
            yield _with(rows, {"input_ids": lists, "tokens": pa.array(tokens), **sizes})
        counted.report(work)


def _with(batch: pa.RecordBatch, added: dict[str, pa.Array]) -> pa.RecordBatch:
    """Returns the batch without its text and with `added`, as the engine lays columns out."""
    schema = pa.schema([column for column in batch.schema if column.name != "text"])
    for column in TOKENS:
        place = schema.get_field_index(column.name)
        schema = schema.append(column) if place < 0 else schema.set(place, column)
    columns = [added[c.name].cast(c.type) if c.name in added else batch.column(c.name) for c in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _reading(tokenizer: str | Ranks, encode: Encode) -> Encode:
    """Returns `encode` with the model that is in a file. Raises ConfigError where it cannot be used."""
    path = tokenizer if isinstance(tokenizer, str) else tokenizer.tiktoken
    model, name = resource(path), PurePosixPath(path.replace("\\", "/")).stem
    try:
        how = None
        if isinstance(tokenizer, Ranks):
            how = splitting(tokenizer.pattern, tokenizer.special, name)
        elif is_ranks(model.read()):
            how = splitting(None, None, name)
        kind = JSON if how else kind_of(model.read())
        made = replace(encode, name=name, model=model, kind=kind, how=how)
        made.encoder()
        return made if kind == JSON else replace(made, library=f"sentencepiece {version()}")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _altering(encoder: Encoder) -> Iterator[str]:
    """Yields a sentence where the tokenizer does not keep every text as it is."""
    if altered := encoder.altered():
        yield f"the tokenizer does not keep every text as it is: {altered[0]!r} comes back as {altered[1]!r}"


def _name(token: str | int) -> str:
    if isinstance(token, int):
        raise ConfigError(f"a tokenizer that is trained has no id {token} yet: give eos and bos by name")
    return token
