"""Reading a finished corpus: any range of positions, the index of documents and pieces, and what is left out of it.

`Corpus` keeps to the overlays beside a corpus (`datapipe skip`, `datapipe remove`), as do `torch_dataset` and
`ray_data` here:

    corpus = Corpus.open("runs/zh_en")
    for batch in corpus.split("train").rows(1000, 2000):  # Arrow record batches by position
        batch.column("input_ids")

Shards are plain Arrow files and the index is plain Parquet, which other libraries read by themselves, as they were
built. File after file, by name, is the order of training:

    # pyarrow
    import pyarrow.dataset
    from glob import glob
    shards = sorted(glob("runs/zh_en/corpus/train-*.arrow"))
    train = pyarrow.dataset.dataset(shards, format="ipc")

    # polars
    import polars
    train = polars.scan_ipc("runs/zh_en/corpus/train-*.arrow")
    pieces = polars.scan_parquet("runs/zh_en/corpus/index/segments-*.parquet")
    documents = polars.scan_parquet("runs/zh_en/corpus/index/documents-*.parquet")
    seen = pieces.join(documents, on="doc_id").with_columns(tokens=polars.col("end") - polars.col("start"))
    by_source = seen.group_by("source").agg(polars.col("tokens").sum()).collect()

    # duckdb
    import duckdb, pyarrow.dataset
    from glob import glob
    index = "runs/zh_en/corpus/index"
    by_source = duckdb.sql(
        f"SELECT source, sum(p.end - p.start) FROM '{index}/segments-*.parquet' p "
        f"JOIN '{index}/documents-*.parquet' d USING (doc_id) GROUP BY source"
    ).fetchall()
    train = pyarrow.dataset.dataset(sorted(glob("runs/zh_en/corpus/train-*.arrow")), format="ipc")
    sequences = duckdb.sql("SELECT sum(len(seq_lengths)) FROM train").fetchall()[0][0]

    # datasets
    from datasets import load_dataset
    files = {split: f"runs/zh_en/corpus/{split}-*.arrow" for split in ("train", "validation")}
    corpus = load_dataset("arrow", data_files=files)
    streamed = load_dataset("arrow", data_files=files, split="train", streaming=True).skip(100)
"""

from stages.corpus.corpus import Corpus, Split
from stages.corpus.overlay import Overlaid, Overlay

__all__ = ["Corpus", "Overlaid", "Overlay", "Split"]
