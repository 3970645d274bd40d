"""Tokenize: each document's text to token ids, once, however often it will be sampled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ConfigError, Dataset, Output, PlanError, Resource, Stage, Work, resource
from datapipe.stage import Growth, Seen
from stages.schema import TOKENS
from stages.tokens.encoder import Boundaries, load
from stages.tokens.train import Train, Trained, measure, trained

__all__ = ["TOKENIZER", "Tokenize", "Train", "Trained", "tokenizer_of"]

TOKENIZER = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("sha256", pa.string()),  # of the tokenizer.json
        pa.field("vocabulary_size", pa.int64()),  # the greatest id and one
        pa.field("eos_id", pa.int64()),
        pa.field("bos_id", pa.int64()),
        pa.field("content", pa.binary()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Tokenize(Stage):
    """Encodes documents with a tokenizer of yours, or one trained on them. The text ends here."""

    version: ClassVar[int] = 2
    libraries: ClassVar[tuple[str, ...]] = ("tokenizers",)

    tokenizer: Annotated[str | Trained, "path of a tokenizer.json, or {train: {vocab_size: N}}"]
    eos: Annotated[str | int, "token that ends every document, by name or id"] = "<|endoftext|>"
    bos: Annotated[str | int | None, "token that begins every document (null: none)"] = None

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents with `input_ids` and `tokens` in place of `text`.

        Raises:
            ConfigError: the file is no tokenizer.json, or lacks `eos` or `bos`.
            PlanError: a column is missing.
        """
        documents, boundaries = inputs[0], Boundaries(self.bos, self.eos)
        documents.require(("id", "source", "text"))
        model: Resource | None = None
        whole: tuple[Dataset, ...] = ()
        if isinstance(self.tokenizer, str):
            model = resource(self.tokenizer)
            name = PurePosixPath(self.tokenizer.replace("\\", "/")).stem
            _check(self.tokenizer, model, boundaries)
        else:
            how = self.tokenizer.train
            special = [token for token in dict.fromkeys((self.eos, self.bos)) if token is not None]
            whole = (trained(documents, how, tuple(_name(token) for token in special)),)
            name = f"byte-bpe-{how.vocab_size}"
        return documents.map(
            Encode(name, model, boundaries),
            reads=("id", "source", "text"),
            adds=TOKENS,
            drops=("text",),
            whole=whole,
            outputs=(Output("tokenizer", TOKENIZER),),
        )

    def growth(self, seen: Seen) -> Growth:
        """Returns how the text that a tokenizer is trained on grows: no further than to what is asked for."""
        if isinstance(self.tokenizer, str):
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


@dataclass(frozen=True)
class Encode:
    """Adds TOKENS to documents; the model is a file, or the content that `whole` holds.

    Drops documents without tokens (`no_tokens`) and those that would hold a special token (`special_token`). The first
    shard puts the tokenizer out.
    """

    name: str
    model: Resource | None
    boundaries: Boundaries

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        content = self.model.read() if self.model else work.whole[0].column("content")[0].as_py()
        encoder = load(content, self.boundaries)
        if work.number == 0:
            values = (self.name, encoder.sha256, encoder.vocabulary_size, encoder.eos, encoder.bos, content)
            facts = dict(zip(TOKENIZER.names, values, strict=True))
            work.put("tokenizer", pa.RecordBatch.from_pylist([facts], TOKENIZER))
        for batch in encoder.checked(batches):
            ids, lengths, whole = encoder.encode(batch.column("text"))
            rules = pa.array(np.where(whole, "no_tokens", "special_token"))
            kept = work.drop(batch, lengths == 0, rule=rules, sample="text")
            offsets = np.concatenate([[0], np.cumsum(lengths[lengths > 0])])
            lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(ids))
            added = {"input_ids": lists, "tokens": pa.array(lengths[lengths > 0], pa.int32())}
            _count(kept, added["tokens"], work)
            yield _with(kept, added)


def _with(batch: pa.RecordBatch, added: dict[str, pa.Array]) -> pa.RecordBatch:
    """Returns the batch without its text and with `added`, as the engine lays columns out."""
    schema = pa.schema([column for column in batch.schema if column.name != "text"])
    for column in TOKENS:
        place = schema.get_field_index(column.name)
        schema = schema.append(column) if place < 0 else schema.set(place, column)
    columns = [added[name] if name in added else batch.column(name) for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _count(batch: pa.RecordBatch, tokens: pa.Array, work: Work) -> None:
    """Counts tokens and characters: of all, by source, and by language where there is one."""
    characters = pc.utf8_length(batch.column("text"))
    work.count("tokens", pc.sum(tokens).as_py() or 0)
    work.count("characters", pc.sum(characters).as_py() or 0)
    for by in ("source", "language"):
        if by not in batch.schema.names:
            continue
        table = pa.table({"by": batch.column(by), "tokens": tokens, "characters": characters})
        for row in table.group_by("by").aggregate([("tokens", "sum"), ("characters", "sum")]).to_pylist():
            work.count(f"tokens.{by}.{row['by']}", row["tokens_sum"])
            work.count(f"characters.{by}.{row['by']}", row["characters_sum"])


def _check(path: str, model: Resource, boundaries: Boundaries) -> None:
    try:
        load(model.read(), boundaries)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _name(token: str | int) -> str:
    if isinstance(token, int):
        raise ConfigError(f"a tokenizer that is trained has no id {token} yet: give eos and bos by name")
    return token
