"""The frame: a row for every document that a run was given, whatever became of it, with one set of columns.

Documents that stayed come from the index of the corpus (or from `documents/`, where a run ends without one), those that
left from the ledger. A column that a run does not have is null.
"""

from __future__ import annotations

import pyarrow as pa

from stages.schema import ID

KEPT = ""  # the `stage` of documents that stayed

FRAME = pa.schema(
    [
        pa.field("id", ID),
        # How it went. A document that left has `stage`, `action` (drop, duplicate_of, quarantine) and the first rule
        # that it broke; one that stayed has KEPT and nulls. `split` is a part that a stage made of another document
        # (`other`): one row more of it, which must not be counted among what came to the stages before.
        pa.field("stage", pa.string()),
        pa.field("action", pa.string()),
        pa.field("rule", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("limit", pa.float64()),
        pa.field("other", ID),
        pa.field("similarity", pa.float32()),
        pa.field("note", pa.string()),  # the first 160 characters of the text of one that left
        # Where it is from.
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("host", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("crawl_time", pa.int64()),
        pa.field("published", pa.string()),
        pa.field("file", pa.string()),
        pa.field("offset", pa.int64()),
        # What it is.
        pa.field("language", pa.string()),
        pa.field("language_score", pa.float32()),
        pa.field("script", pa.string()),
        pa.field("format", pa.string()),
        pa.field("quality", pa.float32()),  # NaN or null where nothing scored it
        pa.field("cluster_size", pa.int32()),
        pa.field("pii", pa.int32()),
        pa.field("adult_density", pa.float32()),
        pa.field("spam_density", pa.float32()),
        pa.field("insult_density", pa.float32()),
        pa.field("contamination", pa.string()),
        # How much of it there is. Of documents that left only `bytes` is known, and not always.
        pa.field("bytes", pa.int64()),  # of the text's UTF-8
        pa.field("characters", pa.int64()),
        pa.field("tokens", pa.int64()),
        pa.field("trained", pa.int64()),  # tokens of it in samples of the train split as readers get them, repeats too
        pa.field("times_seen", pa.int32()),
        pa.field("split", pa.string()),
        # Where it lies: the number of its file of the index (or of documents/) and its row there; and the first piece
        # that begins at its first token, null where no sample of any split has it.
        pa.field("index_file", pa.int32()),
        pa.field("index_row", pa.int32()),
        pa.field("piece_split", pa.string()),
        pa.field("piece_shard", pa.int32()),
        pa.field("piece_row", pa.int32()),
        pa.field("piece_start", pa.int32()),
        pa.field("piece_end", pa.int32()),
    ]
)  # columns of the index that are none of these (scores and labels of classifiers) come behind them, as they are
