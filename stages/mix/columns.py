"""The rows of the mix between its steps, and those that leave it for trainers and for the index."""

from __future__ import annotations

import json

import pyarrow as pa

from datapipe import ID

FORMAT_VERSION = 1
IDS = pa.list_(pa.int32())
TIMES = " x"  # between the name of a group and the weight of its documents, where they have one

COUNTS = pa.schema(  # a row a (split, group, source) and shard of documents
    [
        pa.field("validation", pa.bool_()),
        pa.field("group", pa.string()),
        pa.field("source", pa.string()),
        pa.field("block", pa.int32()),  # number of the shard of documents
        pa.field("samples", pa.int64()),
        pa.field("tokens", pa.int64()),  # without padding
        pa.field("padding", pa.int64()),
        pa.field("documents", pa.int64()),
        pa.field("cut_documents", pa.int64()),  # that lie in more than one sample
    ]
)
SIZES = pa.schema(  # a row a sample, where samples differ in length
    [
        pa.field("group", pa.string()),
        pa.field("source", pa.string()),
        pa.field("block", pa.int32()),
        pa.field("index", pa.int32()),
        pa.field("tokens", pa.int32()),
    ]
)
PLAN = pa.schema(  # a row a group, in the order of their names
    [
        pa.field("group", pa.string()),
        pa.field("weight", pa.float64()),  # share that was asked for, of 1, over all phases
        pa.field("samples", pa.int64()),
        pa.field("tokens", pa.int64()),
        pa.field("padding", pa.int64()),
        pa.field("documents", pa.int64()),
        pa.field("cut_documents", pa.int64()),
        pa.field("quota", pa.int64()),  # samples seen, repeats included
        pa.field("token_quota", pa.int64()),  # tokens that were asked for
        pa.field("phases", pa.list_(pa.string())),  # their names, in order; the next three are a value a phase
        pa.field("weights", pa.list_(pa.float64())),
        pa.field("quotas", pa.list_(pa.int64())),
        pa.field("token_quotas", pa.list_(pa.int64())),
        pa.field("samples_per_shard", pa.int64()),
        pa.field("shards", pa.int64()),
    ]
)
OFFSETS = pa.schema(  # where the samples of a shard of documents begin within their group
    [
        pa.field("group", pa.string()),
        pa.field("source", pa.string()),
        pa.field("block", pa.int32()),
        pa.field("place", pa.int64()),  # row of the plan
        pa.field("offset", pa.int64()),
    ]
)
FACTS = pa.schema(  # a row a shard of the corpus
    [
        pa.field("shard", pa.int64()),
        pa.field("rows", pa.int64()),
        pa.field("tokens", pa.int64()),  # without padding
        pa.field("padding", pa.int64()),
        pa.field("group_tokens", pa.list_(pa.int64())),  # the same by phase and group, in the order of the plan
        pa.field("tokens_sha256", pa.string()),
        pa.field("order", pa.list_(pa.binary(32))),  # SHA-256 of each block of 4096 positions that begins here
    ]
)
ORDER = pa.schema(  # a row a block of positions
    [
        pa.field("block", pa.int64()),
        pa.field("start", pa.int64()),  # its first position
        pa.field("sha256", pa.binary(32)),  # of what is seen in it
    ]
)
ORDER_FILE = "index/order-00000-of-00001.parquet"
CONTENT = pa.schema([pa.field("content", pa.binary())])
SEGMENTS = pa.schema(  # a row a piece of a document in a sample
    [
        pa.field("sample", pa.int64()),
        pa.field("shard", pa.int32()),
        pa.field("row", pa.int32()),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
        pa.field("doc_id", pa.string()),
        pa.field("doc_start", pa.int32()),
        pa.field("epoch", pa.int16()),
        pa.field("file", pa.int32()),  # number of the file of the index of documents that the document is in
        pa.field("file_row", pa.int32()),  # and its row there
    ]
)


def samples(seq_len: int | None) -> pa.Schema:
    """Returns the schema of samples before they have a position: packed to `seq_len`, or a document each (None).

    `ids`, `doc_starts` and `doc_rows` (row of the document in its block) are a value a piece; a packed sample has as
    many `seq_lengths`, and one more where it is padded.
    """
    kind = IDS if seq_len is None else pa.list_(pa.int32(), seq_len)
    common = [
        pa.field("group", pa.string()),
        pa.field("source", pa.string()),
        pa.field("block", pa.int32()),
        pa.field("index", pa.int32()),
        pa.field("input_ids", kind),
    ]
    if seq_len is None:
        own = [("id", ID), ("doc_row", pa.int32()), ("language", pa.string()), ("quality", pa.float32())]
    else:
        pieces = [("seq_lengths", IDS), ("ids", pa.list_(ID)), ("doc_starts", IDS), ("doc_rows", IDS)]
        own = [*pieces, ("padding", pa.int32())]
    return pa.schema([*common, *(pa.field(name, of) for name, of in own)])


def placed(seq_len: int | None) -> pa.Schema:
    """Returns the schema of samples that know where they are seen."""
    fields = [field for field in samples(seq_len) if field.name != "index"]
    places = [("index", pa.int64()), ("epoch", pa.int16()), ("position", pa.int64()), ("shard", pa.int64())]
    return pa.schema([*fields, *(pa.field(name, kind) for name, kind in places)])


def shards(seq_len: int | None) -> pa.Schema:
    """Returns the schema of the corpus's shards, with what Hugging Face datasets needs to infer its features."""
    if seq_len is not None:
        fields = [("input_ids", pa.list_(pa.int32(), seq_len)), ("seq_lengths", IDS), ("sample", pa.int64())]
    else:
        fields = [
            ("input_ids", IDS),
            ("n_tokens", pa.int32()),
            ("doc_id", pa.string()),
            ("source", pa.string()),
            ("lang", pa.string()),
            ("epoch", pa.int16()),
            ("quality", pa.float32()),
        ]
    features = {name: _feature(kind) for name, kind in fields}
    metadata = {
        "huggingface": json.dumps({"info": {"features": features}}, sort_keys=True),
        "datapipe.format": str(FORMAT_VERSION),
    }
    return pa.schema([pa.field(name, kind) for name, kind in fields], metadata=metadata)


def _feature(kind: pa.DataType) -> dict[str, object]:
    if pa.types.is_fixed_size_list(kind):
        return {"feature": _feature(kind.value_type), "length": kind.list_size, "_type": "List"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    names = {"float": "float32", "double": "float64"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}
