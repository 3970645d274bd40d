"""Lines that recur leave, file to file: our step against datatrove, dolma and plain Python; and documents by key.

    python tests/bench/bench_lines.py [MEGABYTES] [--peers FOLDER]

FOLDER holds virtual environments `datatrove` (datatrove[processing], spacy) and `dolma`; without it they are left
out. All read the same gzip'd JSON lines, documents of ../shared/data/corpora (or $DATAPIPE_SHARED), remove the lines
that are there twice, all but the first, and write compressed JSON lines. Each runs in a process of its own, start-up
included; seconds are CPU of it and its children, memory is the peak of the largest. `step` is what the step alone
takes, without reading and writing; ours holds a few batches, the set of plain Python every line.

The second table is what cutting and hashing take in memory, the third the step `dedup_exact` over so many short
documents, half of them copies.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from stages.dedup.fold import fold_table
from stages.lines.units import View, cut

SHARED = Path(os.environ.get("DATAPIPE_SHARED", Path(__file__).parents[2] / "../shared"))
FILES = 4
DOCUMENTS = 400_000
LIKE_PEERS = {"least": 2, "counted": "occurrences", "shortest": 1, "exempt": ()}
OURS: dict[str, dict[str, Any]] = {
    "ours, defaults": {},
    "ours, all lines twice, folded": LIKE_PEERS,
    "ours, all lines twice, exact": {**LIKE_PEERS, "view": "exact"},
}
WORDS = re.compile(r"[^\w\s]")
DIGIT = re.compile(r"\d")
DATATROVE = """
import sys
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import SentenceDedupFilter, SentenceDedupSignature, SentenceFindDedups
from datatrove.pipeline.dedup.sentence_dedup import SentDedupConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
given, out, tasks = sys.argv[1], sys.argv[2], int(sys.argv[3])
how = SentDedupConfig(n_sentences=1, split_sentences=False, min_doc_words=0, min_num_sentences=0)
signed = SentenceDedupSignature(out + "/signatures", config=how, finder_workers=1)
cleaned = SentenceDedupFilter(out + "/found", config=how)
for amount, steps in (
    (tasks, [JsonlReader(given), signed]),
    (1, [SentenceFindDedups(out + "/signatures", out + "/found", config=how)]),
    (tasks, [JsonlReader(given), cleaned, JsonlWriter(out + "/made")]),
):
    LocalPipelineExecutor(pipeline=steps, tasks=amount, workers=1, logging_dir=out + "/logs" + str(len(steps))).run()
"""


def texts(megabytes: float) -> Iterator[str]:
    """Yields documents of all corpora, as much of each."""
    files = sorted((SHARED / "data/corpora").glob("*.jsonl.zst"))
    for file in files:
        left = megabytes * 1e6 / len(files)
        with file.open("rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8"):
                text = json.loads(line)["text"]
                left -= len(text.encode())
                if left < 0:
                    break
                yield text


def write(folder: Path, megabytes: float) -> int:
    """Writes the documents as FILES files of gzip'd JSON lines; returns the bytes of their texts."""
    (folder / "given/documents").mkdir(parents=True)
    held = list(texts(megabytes))
    for number in range(FILES):
        with gzip.open(folder / f"given/documents/{number}.jsonl.gz", "wt", encoding="utf-8") as file:
            for place in range(number, len(held), FILES):
                file.write(json.dumps({"id": str(place), "text": held[place], "source": "corpora"}, ensure_ascii=False))
                file.write("\n")
    return sum(len(text.encode()) for text in held)


def ours(files: str, out: str, step: str, fields: dict[str, Any]) -> int:
    """Runs ingest, a step and write in this process; returns how many documents are left."""
    from datapipe.graph import Pipeline
    from datapipe.local import Local
    from datapipe.publish import Place
    from datapipe.run import run_pipeline
    from stages.exact import DedupExact
    from stages.ingest import Ingest
    from stages.ingest.stage import SourceConfig
    from stages.lines import DedupLines
    from stages.write import Write

    kinds = {"lines": DedupLines, "exact": DedupExact}
    first = Ingest(sources={"corpora": SourceConfig(path=files)})
    made: list[tuple[str, Any, Any]] = [("ingest", first, first.build())]
    for name, stage in ((step, kinds[step](**fields)), ("write", Write(format="jsonl"))):
        made.append((name, stage, stage.build(made[-1][2])))
    report = run_pipeline(Pipeline("bench", tuple(made)), Place(out, f"{out}/work"), Local(), "0")
    return next(one.documents_out for one in report.stages if one.stage == step)


def plain(folder: str, out: str, *, normal: bool) -> None:
    """Removes lines that a set holds already; with `normal` compared as CCNet does, in lower case, digits as 0."""
    seen: set[bytes] = set()
    spent = 0.0
    for path in sorted(Path(folder).glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as given, gzip.open(f"{out}-{path.name}", "wt", 1) as made:
            for row in map(json.loads, given):
                start = time.process_time()
                kept = []
                for line in row["text"].split("\n"):
                    digest = hashed(line, normal=normal)
                    if digest not in seen:
                        kept.append(line)
                        seen.add(digest)
                spent += time.process_time() - start
                made.write(json.dumps({**row, "text": "\n".join(kept)}, ensure_ascii=False) + "\n")
    Path(f"{out}-seconds").write_text(str(spent))


def hashed(line: str, *, normal: bool) -> bytes:
    """Returns what a line is known by."""
    key = WORDS.sub("", DIGIT.sub("0", line.strip().lower())) if normal else line
    return hashlib.blake2b(key.encode(), digest_size=16).digest()


def measured(*command: str) -> tuple[float, float]:
    """Returns CPU seconds and peak MB of a command and its children. Raises where it fails."""
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], capture_output=True, text=True); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3); "
        "sys.exit(done.stderr[-2000:] if done.returncode else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def dolma(peers: Path, folder: Path, size: int) -> tuple[float, float]:
    """Returns what `dolma dedupe` and `dolma mix` take."""
    given, named = str(folder / "given/documents/*.gz"), "repeated"
    (folder / "mix.json").write_text(
        json.dumps(
            {
                "streams": [
                    {
                        "name": "made",
                        "documents": [given],
                        "attributes": [named],
                        "output": {"path": str(folder / "dolma"), "max_size_in_bytes": 10**10},
                        "span_replacement": [{"span": f"$.attributes.{named}", "min_score": 0.5, "replacement": ""}],
                    }
                ],
                "processes": 1,
            }
        )
    )
    program = str(peers / "dolma/bin/dolma")
    first = measured(
        *(program, "dedupe", "--documents", given, "--dedupe.paragraphs.attribute_name", named, "--dedupe.name", named),
        *("--bloom_filter.file", str(folder / "bloom"), "--bloom_filter.estimated_doc_count", str(size // 20)),
        *("--bloom_filter.desired_false_positive_rate", "0.0001", "--no-bloom_filter.read_only", "--processes", "1"),
    )
    second = measured(program, "-c", str(folder / "mix.json"), "mix")
    return first[0] + second[0], max(first[1], second[1])


def lines(megabytes: float, peers: Path | None) -> None:
    """Prints the first table."""
    print(f"{'':32}{'CPU s':>8}{'MB/s':>8}{'step MB/s':>11}{'peak MB':>9}{'x the time':>12}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write(folder, megabytes)
        given = str(folder / "given/documents/*.gz")
        base = 0.0
        cases: dict[str, list[str]] = {}
        for number, (title, fields) in enumerate(OURS.items()):
            cases[title] = ["--ours", given, str(folder / f"ours{number}"), json.dumps(fields)]
        for title in ("exact", "normal"):
            cases[f"plain Python, set of {title} lines"] = [
                "--plain",
                title,
                str(folder / "given/documents"),
                name + "/p",
            ]
        for title, command in cases.items():
            seconds, memory = measured(sys.executable, __file__, *command)
            base = base or seconds
            is_ours = command[0] == "--ours"
            step = step_seconds(command[2], "lines") if is_ours else float(Path(f"{command[3]}-seconds").read_text())
            speeds = f"{size / 1e6 / seconds:8.1f}{size / 1e6 / step:11.0f}"
            print(f"{title:32}{seconds:8.1f}{speeds}{memory:9.0f}{seconds / base:12.1f}")
        for title in ("datatrove SentenceDedup by line", "dolma dedupe + mix") if peers else ():
            try:
                if title.startswith("dolma"):
                    seconds, memory = dolma(peers, folder, size)  # type: ignore[arg-type]  # not None here
                else:
                    python, made = str(peers / "datatrove/bin/python"), str(folder / "datatrove")  # type: ignore[operator]  # as above
                    seconds, memory = measured(python, "-c", DATATROVE, str(folder / "given"), made, str(FILES))
                print(f"{title:32}{seconds:8.1f}{size / 1e6 / seconds:8.1f}{'':11}{memory:9.0f}{seconds / base:12.1f}")
            except RuntimeError as error:
                print(f"{title:32} fails: {str(error).strip().splitlines()[-1][:120]}")


def step_seconds(out: str, name: str) -> float:
    """Returns the CPU seconds of a step of a run."""
    return float(json.loads((Path(out) / "work/run.json").read_text())["cpu_seconds"][name])


def hashing(megabytes: float) -> None:
    """Prints the second table: the least of three rounds each."""
    held = list(texts(megabytes))
    size = sum(len(text.encode()) for text in held) / 1e6
    array, first = pa.array(held), pa.array(held[:1])

    def kernel(view: View, chosen: pa.Array) -> None:
        view.keys(cut(chosen, "line"))

    def python(chosen: list[str], *, normal: bool) -> None:
        for text in chosen:
            for line in text.split("\n"):
                hashed(line, normal=normal)

    print(f"\n{'cut and hash':32}{'MB/s':>8}")
    for title, exactly in (("folded", False), ("exact", True)):
        view = View(fold_table(), exact=exactly)
        kernel(view, first)
        print(f"{'ours, ' + title:32}{size / least(partial(kernel, view, array)):8.0f}")
        print(f"{'plain Python, ' + title:32}{size / least(partial(python, held, normal=not exactly)):8.0f}")


def least(work: Callable[[], None]) -> float:
    """Returns the CPU seconds of the fastest of three rounds."""
    took = []
    for _ in range(3):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return min(took)


def exact() -> None:
    """Prints the third table."""
    with tempfile.TemporaryDirectory() as name:
        path = str(Path(name) / "documents.parquet")
        half = [place // 2 for place in range(DOCUMENTS)]
        urls = [f"http{'s' * (place % 2)}://host{row % 997}.example/a/{row}" for place, row in enumerate(half)]
        said = [f"第{row}页说的是{row * 7}年前的一件小事，题目叫做 story number {row}" for row in half]
        pq.write_table(pa.table({"url": urls, "text": said, "title": said}), path)
        print(f"\n{'by':10}{'documents':>11}{'CPU s':>8}{'documents/s':>13}{'left':>9}")
        for by in ("url", "text", "folded", "title"):
            out = f"{name}/{by}"
            left = ours(path, out, "exact", {"by": by})
            seconds = step_seconds(out, "exact")
            print(f"{by:10}{DOCUMENTS:11}{seconds:8.2f}{DOCUMENTS / seconds:13,.0f}{left:9}")


def main() -> None:
    """Prints the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("megabytes", type=float, nargs="?", default=30)
    options.add_argument("--peers", type=Path)
    options.add_argument("--ours", nargs=3, help=argparse.SUPPRESS)
    options.add_argument("--plain", nargs=3, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.ours:
        ours(chosen.ours[0], chosen.ours[1], "lines", json.loads(chosen.ours[2]))
    elif chosen.plain:
        plain(*chosen.plain[1:], normal=chosen.plain[0] == "normal")
    else:
        lines(chosen.megabytes, chosen.peers)
        hashing(chosen.megabytes)
        exact()


if __name__ == "__main__":
    main()
