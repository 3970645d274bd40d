"""What is seen in the text of drawn documents: its wording, and its topics. One task of the audit, behind its counters.

Texts are looked at a thousand at a time; what is kept of them are the texts themselves, at most 4,096 characters of
each, and per document some hundred numbers. Topics are learnt from the first 8,192, and then all are assigned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.clusters import NONE, Model, Vectors, assign, cluster, from_json, joined, to_json, vectors_of
from stages.audit.hostile import harmless
from stages.audit.labels import labels_of
from stages.audit.measures import Estimate, ratio_of_sums, wilson
from stages.audit.samples import Stretches, Wording, recited, stretches_of
from stages.audit.texts import texts_of
from stages.audit.units import units_of
from stages.buffers import utf8

AT_ONCE: Final = 1024  # documents
LEARNT: Final = 8  # times as many that topics are learnt from: 128 documents for each of 64
SAID: Final = 160  # characters of a document that left
TEXT_STAGES: Final = (
    "quality",
    "dedup",
    "dedup_exact",
    "tokenize",
)  # their ledger rows hold the first ones of the text
LABEL: Final = 120  # characters
LOOKED: Final = pa.schema(
    [
        pa.field("drawn", pa.int64()),  # documents
        pa.field("texts", pa.int64()),  # of them that have one
        pa.field("characters", pa.int64()),  # of those
        pa.field("left", pa.int64()),  # documents drawn of what left
        pa.field("left_texts", pa.int64()),  # of them that have a text
        pa.field("score", pa.float64()),  # mean of the texts, to their topics
        pa.field("unassigned", pa.int64()),
        pa.field("same", pa.int64()),  # documents that are of the same topic by their first characters
        pa.field("short", pa.int64()),  # of so many
        pa.field("frozen", pa.string()),  # SHA-256 of the earlier model, null where topics are of this corpus
        pa.field("model_documents", pa.int64()),
        pa.field("model_score", pa.float64()),
    ]
)
_ESTIMATES: Final = [
    f"{name}{end}" for name in ("documents", "tokens", "trained") for end in ("_share", "_low", "_high")
]
TOPICS: Final = pa.schema(
    [
        pa.field("topic", pa.int32()),  # NONE: of no topic
        pa.field("label", pa.string()),
        pa.field("documents", pa.int64()),
        pa.field("model_documents", pa.int64()),
        pa.field("nearest", pa.binary(16)),  # a document of it
        *(pa.field(name, pa.float64()) for name in _ESTIMATES),  # null where it is not known
    ]
)
TOPIC_CROSS: Final = pa.schema([("topic", pa.int32()), ("language", pa.string()), ("documents", pa.int64())])
TOPIC_SHIFT: Final = pa.schema([("topic", pa.int32()), ("stage", pa.string()), ("documents", pa.int64())])
TOPIC_MODEL: Final = pa.schema([("content", pa.binary())])

Topics = npt.NDArray[np.int32]


def look(
    taken: pa.Table, left: pa.Table, *, folder: str, seed: int, topics: bytes | None = None
) -> Mapping[str, pa.Table]:
    """Returns what is seen by name: looked, lexical, stretches, repeats, topics, topic_cross, topic_shift, topic_model.

    `taken` and `left` are tables of `draw`; `topics` is the content of an earlier `reports/topics.json`, by which
    documents are assigned then.

    Raises:
        ConfigError: `topics` is no topic model.
        DataError: the corpus is damaged.
    """
    frozen = None if topics is None else from_json(topics, "--topics")
    texts = texts_of(folder, taken)
    languages = taken.column("language").to_pylist()
    wording, stretches, vectors = Wording(), list[Stretches](), list[Vectors]()
    for start in range(0, len(texts), AT_ONCE):
        some = texts.slice(start, AT_ONCE)
        units = units_of(some)
        wording.add(languages[start : start + AT_ONCE], some, units)
        stretches.append(stretches_of(units, utf8(some)[1], start))
        vectors.append(vectors_of(units))
    model = frozen or cluster(joined(vectors[:LEARNT]), seed)
    assigned = [assign(model, joined(vectors[at : at + LEARNT])) for at in range(0, max(1, len(vectors)), LEARNT)]
    found, scores = (np.concatenate(own) for own in zip(*assigned, strict=True))
    del vectors
    there = np.asarray(texts.is_valid())
    if frozen is None:
        model = _labelled(model, texts, found, scores, there)
    shown, repeats = recited(stretches, taken, texts)
    said = _said(left)
    shift, same = _shift(model, texts, found, there, left.filter(said))
    content = to_json(model)
    row = {
        "drawn": len(texts),
        "texts": int(there.sum()),
        "characters": pc.sum(pc.utf8_length(texts)).as_py() or 0,
        "left": len(left),
        "left_texts": int(np.asarray(said).sum()),
        "score": float(scores[there].mean() / 1024) if there.any() else None,
        "unassigned": int((found[there] == NONE).sum()),
        **same,
        "frozen": hashlib.sha256(topics).hexdigest() if topics is not None else None,
        "model_documents": sum(model.documents) + model.unassigned,
        "model_score": model.score / 1024,
    }
    return {
        "looked": pa.Table.from_pylist([row], LOOKED),
        "lexical": wording.table(),
        "stretches": shown,
        "repeats": repeats,
        "topics": _topics(model, taken, found, scores, there),
        "topic_cross": _counted(TOPIC_CROSS, found[there], taken.column("language").filter(pa.array(there))),
        "topic_shift": shift,
        "topic_model": pa.table({"content": [topics if topics is not None else content]}, TOPIC_MODEL),
    }


def _labelled(model: Model, texts: pa.Array, found: Topics, scores: Topics, there: npt.NDArray[np.bool_]) -> Model:
    """Returns the model with what it is of the documents that it was made of."""
    labels = labels_of(texts, found, scores, model.topics)
    own = found[there]
    return replace(
        model,
        labels=tuple(label or f"topic {number}" for number, label in enumerate(labels)),
        documents=tuple(np.bincount(own[own != NONE], minlength=model.topics).tolist()),
        unassigned=int((own == NONE).sum()),
        score=round(float(scores[there].mean())) if len(own) else 0,
    )


def _said(left: pa.Table) -> pa.Array:
    """Returns of which documents that left the ledger holds the text's first characters."""
    stage = pc.is_in(left.column("stage"), pa.array(TEXT_STAGES))
    return pc.and_(stage, pc.greater(pc.fill_null(pc.utf8_length(left.column("note")), 0), 0)).combine_chunks()


def _shift(
    model: Model, texts: pa.Array, found: Topics, there: npt.NDArray[np.bool_], left: pa.Table
) -> tuple[pa.Table, Mapping[str, int]]:
    """Returns TOPIC_SHIFT, all by their first characters, and how many that stayed keep the topic of their text."""
    first = pc.utf8_slice_codeunits(texts.filter(pa.array(there)), 0, SAID)
    kept, _ = assign(model, vectors_of(units_of(first)))
    gone, _ = assign(model, vectors_of(units_of(left.column("note").combine_chunks())))
    stages = pa.concat_arrays([pa.repeat(pa.scalar("", pa.string()), len(kept)), left.column("stage").combine_chunks()])
    table = _counted(TOPIC_SHIFT, np.concatenate([kept, gone]), stages)
    told = kept != NONE
    return table, {"same": int((kept[told] == found[there][told]).sum()), "short": int(told.sum())}


def _counted(schema: pa.Schema, topics: Topics, labels: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Returns documents by topic and label."""
    names = schema.names
    table = pa.table({names[0]: pa.array(topics), names[1]: labels})
    counted = table.group_by(names[:2], use_threads=False).aggregate([([], "count_all")])
    return counted.rename_columns(names).cast(schema).sort_by([(name, "ascending") for name in names[:2]])


def _topics(model: Model, taken: pa.Table, found: Topics, scores: Topics, there: npt.NDArray[np.bool_]) -> pa.Table:
    """Returns TOPICS: each with its share of the texts, and of their tokens, with intervals."""
    rows = []
    sizes = {name: _sizes(taken.column(name), there) for name in ("tokens", "trained")}
    own, amount = found[there], int(there.sum())
    ids = taken.column("id")
    for topic in range(NONE, model.topics):
        mine = own == topic
        documents = int(mine.sum())
        nearest = int(np.argmax(np.where(there & (found == topic), scores, -1))) if documents else None
        estimates = [wilson(documents, amount), *(_share(of, mine) for of in sizes.values())]
        row = {
            "topic": topic,
            "label": None if topic == NONE else harmless(model.labels[topic], LABEL),
            "documents": documents,
            "model_documents": model.unassigned if topic == NONE else model.documents[topic],
            "nearest": None if nearest is None else ids[nearest].as_py(),
        }
        values = [value for estimate in estimates for value in (estimate or (None, None, None))]
        rows.append(row | dict(zip(_ESTIMATES, values, strict=True)))
    return pa.Table.from_pylist(rows, TOPICS)


def _sizes(column: pa.ChunkedArray, there: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64] | None:
    """Returns a size of each text, None where it is not known of all."""
    held = column.filter(pa.array(there))
    return None if held.null_count else np.asarray(held).astype(np.int64)


def _share(sizes: npt.NDArray[np.int64] | None, mine: npt.NDArray[np.bool_]) -> Estimate | None:
    return None if sizes is None or not sizes.sum() else ratio_of_sums(np.where(mine, sizes, 0), sizes)
