"""What becomes of documents in which repeats were found: a plan of what goes, then the text without it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, ConfigError, Resource, Work
from datapipe.dataset import Batches
from datapipe.work import SAMPLE_CHARACTERS
from stages.buffers import utf8
from stages.dedup.clusters import Sorted
from stages.dedup.fold import load
from stages.dedup.keys import SHARD_BITS
from stages.dedup.signature import Bytes, Hashes, Offsets
from stages.repeats.groups import VERDICTS
from stages.repeats.joints import Place, cut_out
from stages.repeats.reading import Located, locate, passage_keys, pieces
from stages.repeats.spans import Match, Span, between, matches, shared, united, without
from stages.rewrite import rewritten, with_columns
from stages.schema import REPEATS

RULE: Final = "repeat"
_END: Final = re.compile(r"[\n。！？…；!?;]|\.[\"'”’)\]]*\s")
REGIONS: Final = pa.schema(
    [
        pa.field("id", ID),
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("other", ID),  # document that holds the stretch first
        pa.field("tokens", pa.int32()),
        pa.field("removed", pa.int32()),  # of them
        pa.field("start", pa.int64()),  # in the document's text as it came (bytes)
        pa.field("end", pa.int64()),
        pa.field("sample", pa.string()),
    ]
)


@dataclass(frozen=True)
class Limits:
    """What is cut of repeats, and what is left of a document: the fields of the step."""

    tokens: int
    characters: int
    scraps: int
    least: int
    slack: int
    keeps_first: bool
    removes: bool


class Texts(NamedTuple):
    """The UTF-8 of the texts of a batch, and where each begins and ends."""

    data: Bytes
    offsets: Offsets

    def of(self, row: int) -> Bytes:
        """Returns the UTF-8 of a row, uint8[bytes]."""
        return self.data[self.offsets[row] : self.offsets[row + 1]]


class Plan(NamedTuple):
    """What is known of a document with repeats: its `matches`, what is to be cut (tokens), and what is left."""

    matches: list[Match]
    cuts: list[Span]
    located: Located
    left: int  # width
    leaves: bool

    @property
    def longest(self) -> Match:
        """Returns the longest match, the first of equals."""
        return max(self.matches, key=lambda match: match.end - match.start)

    @property
    def repeated(self) -> int:
        """Returns how many tokens stand elsewhere too."""
        return sum(end - start for start, end in united((match.start, match.end) for match in self.matches))

    @property
    def removed(self) -> int:
        """Returns how many tokens are cut."""
        return sum(end - start for start, end in self.cuts)

    def places(self) -> list[Place]:
        """Returns what is cut in bytes; a letter that folds to several tokens goes or stays as one."""
        at, before, made = self.located.at, self.located.before, []
        for start, end in self.cuts:
            place = Place(before[start], max(at[start], before[start]), min(at[end], before[end]), at[end])
            if place.start < place.end:
                made.append(place)
        return made


@dataclass(frozen=True)
class Cut:
    """From documents, and the verdicts on their passages beside them, to documents without their repeats."""

    fold: Resource
    limits: Limits
    allowed: tuple[Resource, ...]

    def __call__(self, batches: Batches, work: Work) -> Batches:
        gid = work.number << SHARD_BITS
        verdicts = Sorted(work.beside(), VERDICTS)
        for batch in batches:
            texts = Texts(*utf8(batch.column("text")))
            plans = self._plans(texts, verdicts.below(gid + batch.num_rows), gid)
            gid += batch.num_rows
            yield self._acted(batch, texts, plans, work)
        verdicts.end(work)

    def _plans(self, texts: Texts, verdicts: pa.Table, gid: int) -> dict[int, Plan]:
        """Returns the plans of the documents of a batch, by row, as far as something repeats in them."""
        length, later = self.limits.tokens, verdicts.column("later")
        if self.limits.keeps_first:
            found, first = matches(verdicts.filter(later), length), matches(verdicts.filter(pc.invert(later)), length)
        else:
            found, first = matches(verdicts, length), {}
        made = {}
        for number, held in found.items():
            whole = united((match.start, match.end) for match in first.get(number, ()))
            plan = self._plan(texts.of(number - gid), held, whole)
            if plan.matches:
                made[number - gid] = plan
        return made

    def _plan(self, data: Bytes, held: list[Match], whole: list[Span]) -> Plan:
        limits, fold = self.limits, load(self.fold)
        if self.allowed:
            held = _not_allowed(held, spared(data, self.fold, limits.tokens, self.allowed), limits.tokens)
        stretches = [(match.start, match.end) for match in held]
        located = locate(data, fold, [0, *(edge for span in (*stretches, *whole) for edge in span)])
        regions = [span for span in united(stretches) if located.width(*span) >= limits.characters]
        held = [match for match in held if shared((match.start, match.end), regions)]
        cuts = [(start, end) for start, end in without(regions, whole) if end - start >= limits.tokens]
        if limits.slack and cuts:
            near = (token for start, end in cuts for token in _near(start, end, limits.slack, located.total))
            located = located.joined(locate(data, fold, near))
            cuts = [_at_sentences(span, located, limits) for span in cuts]
        kept = between(cuts, located.total)
        if cuts:
            scraps = [span for span in kept if located.width(*span) < limits.scraps and not shared(span, whole)]
            cuts = united(sorted(cuts + scraps))
            kept = between(cuts, located.total)
        left = sum(located.width(*span) for span in kept)
        is_needed = any(shared(span, whole) for span in kept)
        return Plan(held, cuts, located, left, bool(cuts) and not is_needed and (not kept or left < limits.least))

    def _acted(self, batch: pa.RecordBatch, texts: Texts, plans: dict[int, Plan], work: Work) -> pa.RecordBatch:
        ratios = np.zeros(batch.num_rows, np.float32)
        for row, plan in plans.items():
            ratios[row] = round(1024 * plan.repeated / plan.located.total) / 1024
        batch = with_columns(batch, REPEATS, (pa.array(ratios),))
        if not plans:
            return batch
        work.put("regions", _regions(batch, texts, plans))
        work.count("matches", sum(len(plan.matches) for plan in plans.values()))
        work.count("repeated_tokens", sum(plan.repeated for plan in plans.values()))
        noted = _noted(batch, texts, plans)
        if not self.limits.removes:
            work.note(batch, list(plans), action="flag", rule=RULE, **noted)
            return batch
        return self._cut(batch, texts, {row: plan for row, plan in plans.items() if plan.cuts}, noted, work)

    def _cut(
        self, batch: pa.RecordBatch, texts: Texts, plans: dict[int, Plan], noted: dict[str, pa.Array], work: Work
    ) -> pa.RecordBatch:
        fold = load(self.fold)
        rows = [row for row, plan in plans.items() if not plan.leaves]
        made = [cut_out(texts.of(row).tobytes(), plans[row].places(), fold) for row in rows]
        work.count("removed_tokens", sum(plan.removed for plan in plans.values()))
        work.count("removed_bytes", sum(len(texts.of(row)) for row in plans) - sum(len(t.encode()) for t in made))
        leaves = np.zeros(batch.num_rows, np.bool_)
        leaves[[row for row, plan in plans.items() if plan.leaves]] = True
        work.note(batch, rows, action="repair", rule=RULE, **noted)
        return work.drop(rewritten(batch, rows, made), leaves, rule=RULE, limit=float(self.limits.least), **noted)


def _noted(batch: pa.RecordBatch, texts: Texts, plans: dict[int, Plan]) -> dict[str, pa.Array]:
    """Returns what the ledger says of documents: tokens that are cut, whose the longest match is, and its beginning."""
    rows = [plans.get(row) for row in range(batch.num_rows)]
    said = [plan and (float(plan.removed), plan.longest.other) for plan in rows]
    return {
        "value": pa.array([one and one[0] for one in said], pa.float64()),
        "other": pa.array([one and one[1] for one in said], ID),
        "note": pa.array(
            [plan and _sample(texts, row, plan, plan.longest) for row, plan in enumerate(rows)], pa.string()
        ),
    }


def _regions(batch: pa.RecordBatch, texts: Texts, plans: dict[int, Plan]) -> pa.RecordBatch:
    """Returns a row of REGIONS for each match."""
    rows = [row for row, plan in plans.items() for _ in plan.matches]
    found = [(plan, match) for plan in plans.values() for match in plan.matches]
    extents = [plan.located.extent(match.start, match.end) for plan, match in found]
    carried = [
        batch.column(name).take(pa.array(rows)) if name in batch.schema.names else pa.nulls(len(rows), pa.string())
        for name in ("source", "url")
    ]
    return pa.record_batch(
        [
            batch.column("id").take(pa.array(rows)),
            *carried,
            pa.array([match.other for _, match in found], ID),
            pa.array([match.end - match.start for _, match in found], pa.int32()),
            pa.array([shared((match.start, match.end), plan.cuts) for plan, match in found], pa.int32()),
            pa.array([start for start, _ in extents], pa.int64()),
            pa.array([end for _, end in extents], pa.int64()),
            pa.array([_sample(texts, row, *one) for row, one in zip(rows, found, strict=True)], pa.string()),
        ],
        schema=REGIONS,
    )


def _sample(texts: Texts, row: int, plan: Plan, match: Match) -> str:
    start, end = plan.located.extent(match.start, match.end)
    data = texts.of(row)[start : min(end, start + 4 * SAMPLE_CHARACTERS)]
    return data.tobytes().decode(errors="ignore")[:SAMPLE_CHARACTERS]


def _near(start: int, end: int, slack: int, total: int) -> Iterator[int]:
    """Yields the tokens at which a cut may begin or end."""
    yield from range(start, min(start + slack, total) + 1)
    yield from range(max(end - slack, 0), end + 1)


def _at_sentences(span: Span, located: Located, limits: Limits) -> Span:
    """Returns a cut between ends of sentences, where these are near and it stays long enough: what is behind is chance.

    One in so many documents goes on as another does, for a word or two.
    """
    start, end = span
    if not _parts(start, located):
        start = next((at for at in range(start + 1, start + limits.slack + 1) if _parts(at, located)), start)
        start = start if end - start >= limits.tokens else span[0]
    if not _parts(end, located):
        found = next((at for at in range(end - 1, end - limits.slack - 1, -1) if _parts(at, located)), end)
        end = found if found - start >= limits.tokens else end
    return start, end


def _parts(token: int, located: Located) -> bool:
    """Returns whether a sentence or line ends before a token."""
    if token in (0, located.total):
        return True
    gap = located.data[located.before[token] : located.at[token]].tobytes().decode(errors="ignore")
    return bool(_END.search(gap))


def _not_allowed(found: list[Match], spared_passages: list[Span], length: int) -> list[Match]:
    """Returns what is left of matches where passages (from the first up to the last begins) are allowed."""
    return [
        match._replace(start=start, end=end + length - 1)
        for match in found
        for start, end in without([(match.start, match.end - length + 1)], spared_passages)
    ]


def spared(data: Bytes, fold: Resource, length: int, allowed: tuple[Resource, ...]) -> list[Span]:
    """Returns at which tokens of UTF-8 there begin passages that stand in a file of `allowed`."""
    known = allowed_keys(allowed, fold, length)
    made: list[Span] = []
    for piece in pieces(data, load(fold), overlap=length - 1):
        keys = passage_keys(piece, length)
        places = np.flatnonzero(known[np.searchsorted(known[:-1], keys)] == keys) + piece.first
        made += [(place, place + 1) for place in places.tolist()]
    return united(made)


@functools.lru_cache(maxsize=2)
def allowed_keys(allowed: tuple[Resource, ...], fold: Resource, length: int) -> Hashes:
    """Returns the keys of all passages of files, sorted. Raises ConfigError where a file has none."""
    found = []
    for file in allowed:
        data = np.frombuffer(_utf8(file), np.uint8)
        keys = [passage_keys(piece, length) for piece in pieces(data, load(fold), overlap=length - 1)]
        found.append(np.concatenate([np.zeros(0, np.uint64), *keys]))
        if not len(found[-1]):
            raise ConfigError(f"dedup_repeats: allow: {file.path}: is shorter than {length} tokens; leave it out")
    return np.unique(np.concatenate(found))


def _utf8(file: Resource) -> bytes:
    content = file.read()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"dedup_repeats: allow: {file.path}: is not UTF-8 ({error}); convert it") from error
    return content
