"""The step `pii`: personal details in the text are masked, or their documents dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa

from datapipe import ConfigError, Dataset, Stage, Work
from stages.buffers import characters
from stages.pii.candidates import candidates
from stages.pii.find import KINDS, MASKS, Detail, find, find_plainly
from stages.rewrite import rewritten, with_columns
from stages.schema import PII

Action = Literal["mask", "drop", "keep"]
SAMPLE = 40  # characters on each side of the first mask that go into the ledger


@dataclass(frozen=True, kw_only=True)
class Pii(Stage):
    """Masks e-mail, telephone, identity and bank card numbers and IP addresses, or drops the documents."""

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("publicsuffixlist",)

    email: Annotated[Action, "what is done to e-mail addresses: mask, drop (the document) or keep"] = "mask"
    phone: Annotated[Action, "what is done to telephone numbers"] = "mask"
    identity: Annotated[Action, "what is done to Chinese identity numbers"] = "mask"
    card: Annotated[Action, "what is done to numbers of bank cards"] = "mask"
    ip: Annotated[Action, "what is done to IP addresses"] = "mask"
    masks: Annotated[
        dict[str, str], "what stands for a detail, by kind; replaces entries of the default (<EMAIL>, <PHONE>, …)"
    ] = field(default_factory=dict)
    reserved: Annotated[
        bool,
        "also what is set aside for examples and can be nobody's: example.com, git@, private and documentation "
        "networks, 555-0100, cards for tests",
    ] = False
    most: Annotated[int | None, "a document with more details than this (not counting kept kinds) is dropped"] = None

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents without personal details, with the column `pii`: how many there were."""
        for kind, mask in self.masks.items():
            if kind not in KINDS:
                raise ConfigError(f"pii: masks: no kind is called '{kind}' (there are: {', '.join(KINDS)})")
            if any(self.reserved or not detail.reserved for detail in find_plainly(mask)):
                raise ConfigError(f"pii: masks: {kind}: '{mask}' would itself be masked; give such as '{MASKS[kind]}'")
        if self.most is not None and self.most < 0:
            raise ConfigError(f"pii: most: {self.most} is below 0")
        actions = {kind: str(getattr(self, kind)) for kind in KINDS}
        work = partial(clean, actions=actions, masks={**MASKS, **self.masks}, reserved=self.reserved, most=self.most)
        return inputs[0].map(work, reads=("id", "text"), adds=PII)


def clean(
    batches: Iterator[pa.RecordBatch],
    work: Work,
    *,
    actions: Mapping[str, str],
    masks: Mapping[str, str],
    reserved: bool,
    most: int | None,
) -> Iterator[pa.RecordBatch]:
    """Yields the documents with details masked as `actions` says; those with one to drop, or too many, leave."""
    for batch in batches:
        found = {row: details for row, details in details_of(batch.column("text")).items() if details}
        for kind, amount in Counter(one.kind for details in found.values() for one in details if one.reserved).items():
            work.count(f"reserved.{kind}", amount)
        if not reserved:
            found = {row: [one for one in details if not one.reserved] for row, details in found.items()}
        totals = np.zeros(batch.num_rows, np.int32)
        for row, details in found.items():
            totals[row] = sum(actions[one.kind] != "keep" for one in details)
            for kind, amount in sorted(Counter(one.kind for one in details).items()):
                work.count(f"{kind}.{actions[kind]}", amount)
        made = _with_totals(batch, totals)
        texts = batch.column("text")
        hidden = {row: masked(texts[row].as_py(), details, masks) for row, details in found.items() if totals[row]}
        leaving = _leaving(found, totals, actions, most)
        staying = [row for row in hidden if row not in leaving]
        _note(made, work, staying, found, {row: _sample(*hidden[row]) for row in staying}, actions)
        changed = {row: masked(texts[row].as_py(), _of(found[row], actions, "mask"), masks)[0] for row in staying}
        made = rewritten(made, list(changed), list(changed.values()))
        yield _dropped(made, work, leaving, {row: _sample(*hidden[row]) for row in leaving})


def details_of(text: pa.Array) -> dict[int, list[Detail]]:
    """Returns the details of each text that has candidates, by row."""
    rows, places = candidates(text)
    found = {}
    borders = np.flatnonzero(np.diff(rows, prepend=-1, append=-1))
    for begin, end in pairwise(borders.tolist()):
        row = int(rows[begin])
        content = text[row].as_py()
        found[row] = find(content, characters(content, places[begin:end].tolist()))
    return found


def masked(text: str, details: Sequence[Detail], masks: Mapping[str, str]) -> tuple[str, int]:
    """Returns the text with a mask in the place of each detail, and where the first mask begins.

    >>> masked("write to me@site.cn", [Detail("email", 9, 19)], MASKS)
    ('write to <EMAIL>', 9)
    """
    pieces, last = [], 0
    for detail in details:
        pieces += [text[last : detail.start], masks[detail.kind]]
        last = detail.end
    return "".join([*pieces, text[last:]]), details[0].start if details else 0


def _of(details: Sequence[Detail], actions: Mapping[str, str], action: str) -> list[Detail]:
    return [detail for detail in details if actions[detail.kind] == action]


def _sample(text: str, place: int) -> str:
    """Returns what stands around the first mask of a text in which every detail is masked: none is in the ledger."""
    return text[max(0, place - SAMPLE) : place + SAMPLE]


def _leaving(
    found: Mapping[int, Sequence[Detail]], totals: np.ndarray, actions: Mapping[str, str], most: int | None
) -> dict[int, tuple[str, int, int]]:
    """Returns rule, value and limit of each row that is dropped."""
    leaving = {}
    for row, details in found.items():
        amounts = Counter(detail.kind for detail in details)
        kinds = [kind for kind in KINDS if amounts[kind] and actions[kind] == "drop"]
        if kinds:
            leaving[row] = (f"pii_{kinds[0]}", amounts[kinds[0]], 0)
        elif most is not None and totals[row] > most:
            leaving[row] = ("pii_details", int(totals[row]), most)
    return leaving


def _note(
    batch: pa.RecordBatch,
    work: Work,
    rows: Sequence[int],
    found: Mapping[int, Sequence[Detail]],
    samples: Mapping[int, str],
    actions: Mapping[str, str],
) -> None:
    """Writes a ledger row for each document and kind that is masked in it."""
    noted = [
        (row, f"pii_{kind}", amount)
        for row in rows
        for kind, amount in sorted(Counter(one.kind for one in _of(found[row], actions, "mask")).items())
    ]
    if noted:
        places, rules, amounts = zip(*noted, strict=True)
        work.note(
            batch.take(pa.array(places, pa.int64())),
            range(len(noted)),
            action="repair",
            rule=list(rules),
            value=[float(amount) for amount in amounts],
            note=[samples[row] for row in places],
        )


def _dropped(
    batch: pa.RecordBatch, work: Work, leaving: Mapping[int, tuple[str, int, int]], samples: Mapping[int, str]
) -> pa.RecordBatch:
    if not leaving:
        return batch
    held = [leaving.get(row, ("", 0, 0)) for row in range(batch.num_rows)]
    rules, values, limits = zip(*held, strict=True)
    return work.drop(
        batch,
        np.array([row in leaving for row in range(batch.num_rows)]),
        rule=list(rules),
        value=[float(value) for value in values],
        limit=[float(limit) for limit in limits],
        note=[samples.get(row) for row in range(batch.num_rows)],
    )


def _with_totals(batch: pa.RecordBatch, totals: np.ndarray) -> pa.RecordBatch:
    """Returns the batch with the column `pii`; what an earlier step of this kind found counts too."""
    if "pii" in batch.schema.names:
        totals = totals + np.asarray(batch.column("pii"))
    return with_columns(batch, PII, (pa.array(totals, pa.int32()),))
