"""Repeats: of stretches of text that stand in the corpus more than once, all but the first go.

    documents -> mark -> anchors -> exchange by hash -> twins -> exchange by shard
              -> beside the twins -> passages -> exchange by hash, best first -> verdicts -> exchange by shard
              -> beside the verdicts -> documents without their repeats

A passage is so many `tokens` of the folded view, and repeats where an equal one stands before it: in a better document,
or further up in its own. Found are all of them and no others, as far as hashes of 128 bits tell (see
`compared_schema`): anchors (`stages.repeats.anchors`) only spare the comparison of what cannot repeat. Where
an anchor's surroundings are the same at all its occurrences, as inside of a long repeat, all passages around it are
compared as one.

A suffix array finds the same, with an entry of 4 to 8 bytes for each byte of text, all of which is held or merged in
one place. Here 30 bytes for about 13 tokens are written once (2.3 bytes a token, before LZ4), and more, 86 bytes and 35
back, only for what repeats: an anchor, or, at the edges of repeats, a passage. Text is read three times, the first
time in the pass of the step before, and all of it is spread over workers. Memory is that of a few batches, and some
40 bytes an anchor of a document; one that repeats itself within `tokens // 2` tokens (one character, ten million times)
may have an anchor a token, and each is compared: 190 bytes a token.

Cut are runs of repeated passages. Two laws conflict there: that no passage is left twice, and that each which repeats
is left whole once. A document may begin a stretch that later ones repeat in the middle of one that it repeats itself;
to cut all repeats would leave that stretch in pieces in the only place it is left. `whole` decides. By default such
stretches stay whole, and with them what they share with a repeat: up to `tokens - 1` tokens at each of its ends, and
all of it where fewer than `tokens` would go.

Whole copies are not this step's: it would write and compare all of their passages, to leave nothing of them. Run
`dedup` before it.

Source: Lee et al. 2022, Deduplicating Training Data Makes Language Models Better, section 4.1 (ExactSubstr, 50 tokens);
Penedo et al. 2023, The RefinedWeb Dataset for Falcon LLM (repeats are cut, and documents dropped of which little is
left). Order, folded view, `whole` and `slack` are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, Literal

from datapipe import ConfigError, Dataset, Output, PlanError, Resource, Sized, Stage, resource
from datapipe.dataset import Like
from datapipe.storage import find_files
from stages.dedup.fold import fold_table
from stages.dedup.survivor import LENGTH, preferences
from stages.format.tables import FORMATS
from stages.repeats.cut import REGIONS, Cut, Limits, allowed_keys
from stages.repeats.find import FORMAT, Compare, Mark, Passages
from stages.repeats.groups import ANCHORS, TWINS, VERDICTS, compared_schema, twins, verdicts
from stages.schema import REPEATS

PUBLISHED: Final = "signals/repeats-{number:05}-of-{shards:05}.parquet"
SOURCE_BYTES_A_SHARD: Final = 256 << 20  # of the source files; anchors are less than their text
EXEMPT: Final = ("code", "table")
FEWEST_TOKENS: Final = 4
MOST_TOKENS: Final = 1000  # a row of anchors says in 16 bits how many passages it is of


@dataclass(frozen=True, kw_only=True)
class DedupRepeats(Stage):
    """Cuts stretches of text that stand in better documents, or further up in the same one, or only says so.

    Compared is a folded view (compatibility forms, case, Traditional to Simplified, no punctuation), by tokens: a Han
    or kana character, or a word of a spaced script. Run `dedup` before: of copies nothing would be left here.
    """

    tokens: Annotated[int, "tokens that must be repeated in a row"] = 50
    characters: Annotated[int, "and how long that must be; characters, Han and others of three bytes count twice"] = 100
    action: Annotated[
        Literal["remove", "flag"],
        "cut repeats out; or flag documents: the column `repeated_ratio`, the ledger and signals/ say what repeats",
    ] = "remove"
    keep: Annotated[Literal["first", "none"], "whether the first of equal stretches stays"] = "first"
    whole: Annotated[
        bool,
        "keep: first: whether the first of equal stretches stays whole, with what it shares with a repeat of another; "
        "else all repeats go, and it may be left in pieces",
    ] = True
    slack: Annotated[
        int,
        "by how much a cut may be shorter than a repeat at either end, where a sentence or line ends there (tokens)",
    ] = 10
    scraps: Annotated[int, "what is left beside a cut and is shorter goes too (length as above)"] = 20
    least: Annotated[int, "a document that was cut, and of which less is left, is dropped (length as above)"] = 100
    exempt: Annotated[
        tuple[str, ...] | None,
        "documents of these formats take no part; by default code and table, where a step before makes column 'format'",
    ] = None
    allow: Annotated[
        tuple[str, ...], "files of text (or globs) whose passages may be repeated: licences, statutes"
    ] = ()
    survivor: Annotated[
        tuple[str | dict[str, tuple[str, ...]], ...] | None,
        "which document counts as the first, by columns, as for the step dedup; by default -quality, -length, "
        "crawl_time, where they exist",
    ] = None

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents with `repeated_ratio`, without their repeats unless they are only flagged."""
        (documents,) = inputs
        self._check()
        order = preferences(self.survivor, documents.schema)
        fold, passages, allowed = fold_table(), self._passages(documents), self._allowed()
        if allowed:
            allowed_keys(allowed, fold, self.tokens)
        columns = [item.column for item in order if item.column != LENGTH]
        marked = documents.map(
            Mark(fold, passages),
            reads=("id", "text", "text_digest", *columns),
            outputs=(Output("anchors", ANCHORS),),
        )
        shared = (
            marked.output("anchors")
            .exchange("gram", Sized(SOURCE_BYTES_A_SHARD), then=("span", "gid", "start"))
            .map(twins, schema=TWINS)
            .exchange("shard", Like(marked), then=("gid", "start"), direct=True)
        )
        found = (
            marked.map(Compare(fold, passages, order), schema=compared_schema(order), beside=shared)
            .exchange("key", Sized(SOURCE_BYTES_A_SHARD), then=("gram", "priority", "id", "start"))
            .map(partial(verdicts, firsts=self.whole or self.keep == "none"), schema=VERDICTS)
            .exchange("shard", Like(marked), then=("gid", "start"), direct=True)
        )
        limits = Limits(
            tokens=self.tokens,
            characters=self.characters,
            slack=self.slack,
            scraps=self.scraps,
            least=self.least,
            keeps_first=self.keep == "first",
            removes=self.action == "remove",
        )
        outputs = (Output("regions", REGIONS, publish=PUBLISHED),)
        return marked.map(Cut(fold, limits, allowed), adds=REPEATS, beside=found, outputs=outputs)

    def _passages(self, documents: Dataset) -> Passages:
        if self.exempt is None:
            return Passages(self.tokens, EXEMPT if FORMAT in documents.schema.names else ())
        if self.exempt and FORMAT not in documents.schema.names:
            raise PlanError("exempt: needs column 'format', which no earlier step makes; put a 'format' step before")
        for name in self.exempt:
            if name not in FORMATS:
                raise ConfigError(f"exempt: '{name}' is no format; there are {', '.join(FORMATS)}")
        return Passages(self.tokens, self.exempt)

    def _allowed(self) -> tuple[Resource, ...]:
        found = []
        for pattern in self.allow:
            files = find_files(pattern)
            if not files:
                raise ConfigError(f"allow: {pattern}: no file is named; give a file or a glob")
            found += [resource(file.url) for file in files]
        return tuple(found)

    def _check(self) -> None:
        if self.tokens > MOST_TOKENS:
            raise ConfigError(f"tokens: {self.tokens} is too large; it is at most {MOST_TOKENS}")
        fields = (("tokens", FEWEST_TOKENS), ("characters", 0), ("slack", 0), ("scraps", 0), ("least", 0))
        for name, least in fields:
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: {getattr(self, name)} is too small; it is at least {least}")
