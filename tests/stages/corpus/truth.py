"""What `trace` says, held against texts: each piece is the tokens of its document's text, encoded once more."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import typer
from typer.testing import CliRunner

from stages.corpus import Corpus
from stages.corpus.trace import trace
from stages.tokens.encoder import Boundaries, load


@dataclass
class Held:
    """How many samples, pieces, documents and tokens were found to be what `trace` says."""

    samples: int = 0
    pieces: int = 0
    documents: int = 0
    tokens: int = 0
    padding: int = 0


def traced(folder: Path, *given: str) -> list[dict[str, Any]]:
    """Returns the rows of `datapipe trace --json`."""
    app = typer.Typer()
    app.command()(trace)
    result = CliRunner().invoke(app, [str(folder), *given, "--json"], catch_exceptions=False)
    return [json.loads(line) for line in result.stdout.splitlines()]


def hold(folder: Path, rows: Iterable[Mapping[str, Any]], texts: Mapping[str, str], split: str = "train") -> Held:
    """Encodes the documents that `rows` name and finds their tokens where `rows` say; all but padding is named."""
    corpus = Corpus.open(str(folder))
    said, read = corpus.manifest["tokenizer"], corpus.split(split)
    encoder = load(corpus.tokenizer(), Boundaries(said["bos_id"], said["eos_id"]))
    held, encoded = Held(), {}
    ends: dict[int, int] = {}
    for row in rows:
        document, ids = row["doc_id"], read.sample(row["sample"])["input_ids"]
        if document not in encoded:
            encoded[document] = encoder.encode(pa.array([texts[document]], pa.large_string()))[0].tolist()
            assert len(encoded[document]) == row["tokens"]
        assert row["start"] == ends.get(row["sample"], 0)
        assert ids[row["start"] : row["end"]].tolist() == encoded[document][row["doc_start"] : row["doc_end"]]
        ends[row["sample"]] = row["end"]
        held.pieces += 1
        held.tokens += row["end"] - row["start"]
    for sample, end in ends.items():
        ids = read.sample(sample)["input_ids"]
        assert set(ids[end:].tolist()) <= {corpus.eos}
        held.padding += len(ids) - end
    held.samples, held.documents = len(ends), len(encoded)
    return held
