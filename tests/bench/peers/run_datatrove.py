"""Deduplicates pages.parquet with datatrove, in its four stages one after another; run with its environment.

python run_datatrove.py PAGES OUT LANGUAGE BANDS ROWS
"""

import sys


def main() -> None:
    """Runs the stages."""
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    pages, out, language = sys.argv[1:4]
    bands, rows = map(int, sys.argv[4:6])
    config = MinhashConfig(num_buckets=bands, hashes_per_bucket=rows)
    stages = [
        [
            ParquetReader(pages, glob_pattern="pages.parquet"),
            MinhashDedupSignature(f"{out}/signatures", config, language),
        ],
        [MinhashDedupBuckets(f"{out}/signatures", f"{out}/buckets", config=config)],
        [MinhashDedupCluster(f"{out}/buckets", f"{out}/removed", config=config)],
        [
            ParquetReader(pages, glob_pattern="pages.parquet"),
            MinhashDedupFilter(f"{out}/removed"),
            ParquetWriter(f"{out}/kept"),
        ],
    ]
    for number, pipeline in enumerate(stages):
        tasks = bands if number == 1 else 1
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=f"{out}/logs/{number}").run()


if __name__ == "__main__":
    main()
