"""What `datapipe verify` checks of the overlays beside a corpus: that they are of it, and speak of what is there."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.compute as pc

from datapipe import DatapipeError, Look, storage
from stages.corpus.corpus import Corpus, Split
from stages.corpus.index import segments
from stages.corpus.overlay import FOLDER, read_overlays

PLACE = ("sample", "start", "end", "doc_id")


def check(folder: str, look: Look | None = None) -> Iterator[str]:
    """Yields a sentence for each overlay that readers refuse, and for pieces removed that are no pieces of samples."""
    place = storage.join(folder, "corpus")
    if not storage.list_folder(storage.join(place, FOLDER)):
        return
    try:
        bare = Corpus.open(place, overlays=False)
        corpus = Corpus(bare.folder, bare.manifest, read_overlays(bare.folder, bare.manifest))
        for name in corpus.splits:
            yield from _check_pieces(corpus.split(name))
        for overlay in corpus.overlays:
            if overlay.pieces and storage.sha256_of(overlay.pieces) != overlay.pieces_sha256:
                yield f"overlays: {overlay.pieces} is not what {overlay.name} recorded: fetch it again"
    except DatapipeError as error:
        yield f"overlays: {error}"


def _check_pieces(split: Split) -> Iterator[str]:
    removed, start = split.overlaid.removed, 0
    for shard in split.shards:
        stop = start + shard["rows"]
        samples = removed.column("sample")
        own = removed.filter(pc.and_(pc.greater_equal(samples, start), pc.less(samples, stop))).select(list(PLACE))
        if len(own):
            there = segments(split, start, stop, columns=PLACE)
            strange = own.join(there.cast(own.schema), list(PLACE), join_type="left anti")
            for row in strange.slice(0, 3).to_pylist():
                yield (
                    f"overlays: {row['doc_id']} is removed at {row['start']}:{row['end']} of sample {row['sample']} of "
                    f"{split.name}, where the index has no piece of it"
                )
        start = stop
