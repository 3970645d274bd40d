"""What `datasets.load_from_disk` reads: shards of Arrow's *stream* format, which it maps, beside two small JSON files.

The rows, columns and features are the corpus's own. A split is a `Dataset`; several are the folders of a `DatasetDict`.

Source: datasets 5 `arrow_dataset.py` (`save_to_disk`, `load_from_disk`) and `dataset_dict.py`.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa

from stages.corpus import Corpus
from stages.corpus.export.files import Written
from stages.corpus.target import Target
from stages.mix.columns import shards

BATCH_ROWS: Final = 1 << 12


def write_split(corpus: Corpus, split: str, target: Target, folder: str) -> Written:
    """Writes a split to a folder of the target ('' is the target's own), a file a shard of the corpus."""
    own = [shard for shard in corpus.manifest["shards"] if shard["split"] == split]
    schema = shards(corpus.seq_len)
    names, sums, start = [], np.zeros(3, np.int64), 0
    for number, shard in enumerate(own):
        names.append(f"data-{number:05}-of-{len(own):05}.arrow")
        counted = _write(corpus, split, (start, start + shard["rows"]), target.path(folder + names[-1]), schema)
        target.done(folder + names[-1], tokens=int(counted[1]), rows=int(counted[0]))
        sums += counted
        start += shard["rows"]
    info = json.loads(schema.metadata[b"huggingface"])["info"]
    target.put(folder + "dataset_info.json", _json({**info, "citation": "", "description": "", "homepage": ""}))
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": corpus.manifest["merkle_root"][:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    target.put(folder + "state.json", _json(state))
    return Written(*sums.tolist())


def _write(corpus: Corpus, split: str, rows: tuple[int, int], path: str, schema: pa.Schema) -> np.ndarray:
    """Returns rows, tokens and rows that end with EOS, int64[3]."""
    counted, eos = np.zeros(3, np.int64), corpus.eos
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in corpus.split(split).rows(*rows):
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
            counted += [batch.num_rows, *_tokens(batch.column("input_ids"), eos)]
    return counted


def _tokens(ids: pa.Array, eos: int) -> tuple[int, int]:
    values = np.asarray(ids.flatten())
    if pa.types.is_fixed_size_list(ids.type):
        return len(values), int((values[ids.type.list_size - 1 :: ids.type.list_size] == eos).sum())
    ends = np.diff(np.asarray(ids.offsets)).cumsum()
    return len(values), int((values[ends[ends > 0] - 1] == eos).sum())


def write_dict(splits: list[str], target: Target) -> None:
    """Writes what makes the folders of these splits a DatasetDict."""
    target.put("dataset_dict.json", _json({"splits": splits}))


def _json(content: dict[str, Any]) -> bytes:  # Any: JSON
    return json.dumps(content, indent=2).encode()
