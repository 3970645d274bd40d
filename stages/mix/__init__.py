"""The mix: encoded documents to a corpus that a trainer reads from front to back.

    documents ─ pack (once for all weights) ─┬─ counts ─ plan ──────────┐
                                             ├─ samples ─ place ─ exchange ─ write ─ manifest
                                             ├─ held-out samples ─ likewise, as they are stored
                                             └─ documents ─ index

A sample's positions are computed from the plan and its own number, both ways (`order`), so no order is held in memory
and no sample is looked for. Another weight redoes what follows the plan; packing stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

import pyarrow as pa

from datapipe import ConfigError, Dataset, Output, PlanError, Stage
from datapipe.stage import Growth, Seen
from stages.mix.amounts import Amount, amount
from stages.mix.columns import (
    CONTENT,
    COUNTS,
    FACTS,
    OFFSETS,
    ORDER,
    ORDER_FILE,
    PLAN,
    SEGMENTS,
    SIZES,
    placed,
    samples,
    shards,
)
from stages.mix.expect import PartShares, expected
from stages.mix.groups import Groups, find_edges
from stages.mix.index import DOCUMENT_COUNTS, PLACES, Index, index_schema
from stages.mix.manifest import Manifest, Part
from stages.mix.pack import Pack, index_columns
from stages.mix.phases import Phase, phased, samples_for_each
from stages.mix.place import Place
from stages.mix.plan import Phases, Plan, PlanValidation
from stages.mix.planning import Planning
from stages.mix.refine import refine
from stages.mix.shares import Shares, matches
from stages.mix.split import Split, limit_for
from stages.mix.write import Write
from stages.tokens import kept_as, tokenizer_of
from stages.tokens.train import sources_of

__all__ = ["Mix", "Phase", "Validation"]

MOST_LENGTH = (1 << 31) - 1  # places in a sample are int32
_TRAIN = Part("train", "train-{number:05}-of-{shards:05}.arrow")
_VALIDATION = Part("validation", "validation-{number:05}-of-{shards:05}.arrow")
_DOCUMENTS = Part("documents", "index/documents-{number:05}-of-{shards:05}.parquet")
_SEGMENTS = Part("segments", "index/segments-{number:05}-of-{shards:05}.parquet")
_HELD_SEGMENTS = Part("validation_segments", "index/validation-segments-{number:05}-of-{shards:05}.parquet")


@dataclass(frozen=True, kw_only=True)
class Validation:
    """How much is held out: a share of the duplicate clusters, or a number of documents. One of the two."""

    ratio: Annotated[float | None, "share of the duplicate clusters that is held out (0 to 1)"] = None
    documents: Annotated[int | None, "documents that are held out; exact but for the size of the last cluster"] = None


@dataclass(frozen=True, kw_only=True)
class Mix(Stage):
    """Samples encoded documents by weight into the shards, index and manifest of a corpus."""

    by: Annotated[
        str | list[str], "column whose values are the groups that shares are of; values of several are joined by '/'"
    ] = "source"
    buckets: Annotated[
        dict[str, int | list[float]] | None,
        "columns of `by` that hold numbers: the edges they are cut at, or how many buckets of equal tokens; the groups "
        "are q0, q1 and so on from the lowest values up, and null for what is no number",
    ] = None
    weights: Annotated[
        dict[str, float] | Literal["proportional"] | None,
        "share of the tokens by group, by name or shell pattern; they need not sum to 1 (null: as another way says, or "
        "in proportion to the tokens)",
    ] = None
    default: Annotated[
        float | None, "number of each group that `weights` or `epochs` does not name (null: an error)"
    ] = None
    temperature: Annotated[
        float | None, "in the place of weights: in proportion to a group's tokens to the power of 1/temperature"
    ] = None
    unimax: Annotated[
        float | None, "in the place of weights: as equal as can be with no group seen more than so many times"
    ] = None
    epochs: Annotated[
        dict[str, float] | None,
        "in the place of weights and of tokens: how often each group is seen, by name or shell pattern",
    ] = None
    reference: Annotated[str | None, "where the shares come from, such as a paper: goes into the manifest"] = None
    document_weights: Annotated[
        str | None,
        "column of whole numbers: within its group a document of 8 is sampled 8 times as often as one of 1, and is as "
        "much as 8 of them in proportions and epochs (null: all alike)",
    ] = None
    tokens: Annotated[
        Amount | None, "tokens to sample, such as 300B or 3e11 (null: as many as no group is repeated for)"
    ] = None
    params: Annotated[Amount | None, "in the place of tokens: parameters of the model to train, such as 7e9 or 7B"] = (
        None
    )
    tokens_per_parameter: Annotated[float, "tokens to sample for each of `params`"] = 20.0
    phases: Annotated[
        list[Phase] | None,
        "parts of training that follow one another: each has a name and tokens, or a ratio of the mix's, and may have "
        "weights, default, temperature, unimax or epochs of its own (null: one part)",
    ] = None
    max_epochs: Annotated[float | None, "most often that a group may be seen (null: any number)"] = 4.0
    seed: Annotated[int, "seed of the order and of the held-out split"] = 0
    packing: Annotated[
        Literal["concat", "best_fit", "document"],
        "what a sample is: the next seq_len tokens, or whole documents as they fit best into seq_len (longer ones are "
        "cut), or a document",
    ] = "concat"
    seq_len: Annotated[int, "tokens of a packed sample"] = 2048
    validation: Annotated[Validation | None, "what is held out, by duplicate cluster (null: nothing)"] = None
    shard_bytes: Annotated[int, "size of a shard's token ids (bytes)"] = 512 << 20

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the manifest's dataset, which all files of the corpus hang on.

        Raises:
            ConfigError: a field's value makes no sense.
            PlanError: a column is missing, or named as one of the index; or no step before encodes.
        """
        self._check()
        documents = inputs[0]
        documents.require(("id", "source", "input_ids", "tokens", *self._groups.reads))
        self._groups.check_columns(documents.schema)
        if taken := [name for name in documents.schema.names if name in PLACES]:
            raise PlanError(f"the index has columns of its own named {', '.join(taken)}: give yours other names")
        self._check_sources(documents)
        tokenizer = tokenizer_of(documents)
        edges = [find_edges(documents, self._groups)] if self._groups.counted else []
        packed = self._pack(documents, edges)
        plan, offsets = self._plan(packed)
        index = packed.output("documents").map(
            Index(self.seed),
            whole=(plan, offsets),
            schema=DOCUMENT_COUNTS,
            outputs=(_published("index", index_schema(packed.output("documents").schema), _DOCUMENTS),),
        )
        written = self._write(packed, plan, offsets, _TRAIN, _SEGMENTS)
        indexes, held_out = [(_DOCUMENTS, index.output("index")), (_SEGMENTS, written.output("segments"))], []
        if self.validation:
            counted = packed.output("counts").fold(
                PlanValidation(self._length, self.shard_bytes), PLAN, outputs=(Output("offsets", OFFSETS),)
            )
            held = packed.output("validation")
            held_written = self._write(held, counted, counted.output("offsets"), _VALIDATION, _HELD_SEGMENTS)
            indexes.append((_HELD_SEGMENTS, held_written.output("segments")))
            held_out = [counted, held_written, held_written.output("shards").files()]
        return self._manifest(written, [plan, tokenizer, index], indexes, [*held_out, *edges])

    def sampled(self, share: float) -> Stage:
        """Returns a mix of as large a share of the tokens, from the groups that a sample happens to hold."""
        least = self.seq_len * samples_for_each(self.phases or ())
        tokens = None if self.budget is None else max(least, round(self.budget * share))
        held = self.validation
        if held and held.documents:
            held = Validation(documents=max(1, round(held.documents * share)))
        phases = self.phases and [phase.sampled(share, self.seq_len) for phase in self.phases]
        values = {
            **vars(self),
            "tokens": tokens,
            "params": None,
            "phases": phases,
            "validation": held,
            "max_epochs": None,
        }
        return PartOfMix(**values)

    def growth(self, seen: Seen) -> Growth:
        """Returns how many more samples are written of the whole: what the quotas say of the tokens expected there."""
        return expected(seen, Plan(self._phases, self._length, self.shard_bytes), Place(self.seed, self._length))

    def planning(self, columns: Sequence[str]) -> Planning:
        """Returns what is planned by, for documents of these columns.

        Raises:
            ConfigError: a field's value makes no sense.
        """
        self._check()
        held, split = self.validation, None
        if held:
            split = Split(self.seed, "cluster" if "cluster" in columns else "id", held.ratio)
        pack = Pack(self._groups, self._length, split, self.packing == "best_fit")
        return Planning(pack, self._phases, self.seed, self.shard_bytes, held.documents if held else None)

    @property
    def budget(self) -> int | None:
        """Tokens to sample, as they are given or by the parameters of a model; None where nothing says."""
        if self.params is None:
            return None if self.tokens is None else amount(self.tokens, "tokens")
        tokens = amount(self.params, "params") * Fraction(str(self.tokens_per_parameter))
        return amount(round(tokens), "params and tokens_per_parameter: tokens")

    @property
    def _groups(self) -> Groups:
        columns = (self.by,) if isinstance(self.by, str) else tuple(self.by)
        cuts = {name: cut if isinstance(cut, int) else tuple(cut) for name, cut in (self.buckets or {}).items()}
        return Groups(columns, tuple(cuts.items()), self.document_weights)

    @property
    def _length(self) -> int | None:
        return None if self.packing == "document" else self.seq_len

    @property
    def _phases(self) -> Phases:
        if self.phases is None:
            return (("all", self._shares),)
        return phased(self.phases, self._shares, self._length)

    @property
    def _shares(self) -> Shares:
        return Shares(
            self._groups.name,
            self.weights,
            self.default,
            self.budget,
            self.max_epochs,
            self.document_weights is not None,
            self.temperature,
            self.unimax,
            self.epochs,
        )

    def _check(self) -> None:
        self._groups.check()
        for name, value in (("seq_len", self.seq_len), ("shard_bytes", self.shard_bytes)):
            if value < 1:
                raise ConfigError(f"{name}: {value} is not a positive number")
        if self.seq_len > MOST_LENGTH:
            raise ConfigError(f"seq_len: {self.seq_len} is more than {MOST_LENGTH:,}, as far as positions are counted")
        if self.tokens is not None and self.params is not None:
            raise ConfigError("tokens and params: each says how much is sampled; give one, and null for the other")
        if not 0 < self.tokens_per_parameter < float("inf"):
            raise ConfigError(f"tokens_per_parameter: {self.tokens_per_parameter} is not a number above 0")
        if self.max_epochs is not None and not 0 < self.max_epochs < float("inf"):
            raise ConfigError(f"max_epochs: {self.max_epochs} is not a number above 0 (null allows any)")
        for name, shares in self._phases:
            shares.check(f"phases: {name}: " if self.phases else "")
        held = self.validation
        if held and (held.ratio is None) == (held.documents is None):
            raise ConfigError("validation: give ratio or documents, one of the two")
        if held and held.ratio is not None and not 0 < held.ratio < 1:
            raise ConfigError(f"validation: ratio: {held.ratio} is not between 0 and 1")
        if held and held.documents is not None and held.documents < 1:
            raise ConfigError(f"validation: documents: {held.documents} is not a positive number")

    def _check_sources(self, documents: Dataset) -> None:
        """Raises ConfigError where weights by source name none of the config's: known now, not after tokenizing."""
        names = sources_of(documents) if self._groups.columns == ("source",) else []
        for phase, shares in self._phases:
            given = dict(shares.named or ())
            unknown = sorted(key for key in given if not any(matches(key, name) for name in names))
            if names and unknown:
                place = f"phases: {phase}: " if self.phases else ""
                kind = "weights" if shares.epochs is None else "epochs"
                raise ConfigError(
                    f"{place}{kind}: there is no source {', '.join(unknown)}; the sources are {', '.join(names)}"
                )

    def _pack(self, documents: Dataset, edges: Sequence[Dataset]) -> Dataset:
        pack, whole = self.planning(documents.schema.names).pack, [*edges]
        if pack.split and self.validation and self.validation.documents:
            whole = [limit_for(documents, pack.split, self.validation.documents), *edges]
        sample = samples(self._length)
        outputs = [
            Output("validation", sample),
            Output("counts", COUNTS),
            Output("documents", index_columns(documents.schema)),
        ]
        if self._length is None:
            outputs.append(Output("sizes", SIZES))
        return documents.map(pack, whole=whole, schema=sample, outputs=outputs)

    def _plan(self, packed: Dataset) -> tuple[Dataset, Dataset]:
        plan = packed.output("counts").fold(
            Plan(self._phases, self._length, self.shard_bytes), PLAN, outputs=(Output("offsets", OFFSETS),)
        )
        offsets = plan.output("offsets")
        if self._length is None:
            plan = refine(plan, offsets, packed.output("sizes"), seed=self.seed, shard_bytes=self.shard_bytes)
        return plan, offsets

    def _write(self, packed: Dataset, plan: Dataset, offsets: Dataset, shard: Part, segment: Part) -> Dataset:
        natural = shard is _VALIDATION
        placing = Place(self.seed, self._length, natural)
        moved = packed.map(placing, whole=(plan, offsets), schema=placed(self._length)).exchange(
            "shard", plan, then=("position",), direct=True
        )
        outputs = (_published("shards", shards(self._length), shard), _published("segments", SEGMENTS, segment))
        return moved.map(Write(self.seed, self._length, natural), whole=(plan,), schema=FACTS, outputs=outputs)

    def _manifest(
        self,
        written: Dataset,
        known: Sequence[Dataset],
        indexes: Sequence[tuple[Part, Dataset]],
        more: Sequence[Dataset],
    ) -> Dataset:
        files = [made.files() for _, made in indexes]
        fold = Manifest(
            self._groups,
            self.seed,
            self._length,
            self.packing,
            _TRAIN,
            _VALIDATION if self.validation else None,
            tuple(part for part, _ in indexes),
            self.reference,
        )
        return written.fold(
            fold,
            CONTENT,
            whole=(*known, *files, written.output("shards").files(), *more),
            outputs=(
                Output("tokenizer", CONTENT, publish=f"corpus/{kept_as(known[1])}"),
                Output("order", ORDER, publish=f"corpus/{ORDER_FILE}"),
                Output("manifest", CONTENT, publish="corpus/manifest.json"),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class PartOfMix(Mix):
    """A mix of a sample of the documents, for an estimate."""

    @property
    def _shares(self) -> Shares:
        return PartShares(**vars(super()._shares))


def _published(name: str, schema: pa.Schema, part: Part) -> Output:
    return Output(name, schema, publish=f"corpus/{part.template}")
