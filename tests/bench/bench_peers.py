"""One run of ours, datatrove, text-dedup and data-juicer on the same 130 MB: CPU seconds, peak memory, documents kept.

    python tests/bench/bench_peers.py --setup DIR            # an environment of its own for each, from PyPI
    python tests/bench/bench_peers.py DIR [english|chinese] [NAME ...]

The corpus is made by `peers/recipe.py` from ../shared/data (or $DATAPIPE_SHARED). Every tool reads it from a file and
writes what it keeps to files (Arrow and JSON lines of text-dedup and data-juicer are not compressed, so ours is not),
in the same bands (14 of 8 rows, 112 permutations; 5 tokens a shingle), in one process at a time, and starts from
nothing: interpreter, imports and, for ours, the load of its kernels are in the figures.
Ours takes seconds, in which other work on the machine shows more: of three runs the median counts.
CPU seconds are those of all processes that a tool starts (rusage of children; those of Ray as they were last seen),
the peak is the largest sum of their resident memory (looked at every 20 ms). Ours is also run with verification, and
on Ray.

An environment that does not install, or a tool that fails, is a row with its reason. data-juicer installs further
packages while it runs (torch for one), so the set-up runs every tool once on some pages.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import psutil
import pyarrow.ipc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from recipe import Script, pages, write

ROOT = Path(__file__).resolve().parents[2]
SIZE_BYTES = 130_000_000
BANDS, ROWS = 14, 8
PACKAGES = {
    "datapipe": [str(ROOT)],
    "datatrove": ["datatrove[processing,io]==0.10.1", "spacy", "jieba"],
    "text-dedup": ["text-dedup==0.4.0"],
    "data-juicer": ["py-data-juicer==1.6.1", "aiohttp"],  # which it needs and does not name
}
ASKED = {"datatrove": 50, "text-dedup": 10, "data-juicer": 15}


@dataclass(frozen=True)
class Tool:
    """A row of the table: the environment it runs in, its command, and the documents that it kept, once it is done."""

    name: str
    environment: str
    command: Callable[[Path, Path, Script], list[str]]
    kept: Callable[[Path], int]


def ours(python: Path, folder: Path, script: Script, *, verify: bool, executor: str = "local") -> list[str]:
    """Returns the command of ours; its config has `audit: 0` and no guard where nothing is verified."""
    dedup = {"bands": BANDS, "rows": ROWS, "permutations": BANDS * ROWS}
    if not verify:
        dedup |= {"verify": False, "audit": 0, "guard": None}  # type: ignore[dict-item]
    ingest = {"sources": {"pages": {"path": str(folder / "pages.parquet")}}}
    steps = [{"ingest": ingest}, {"dedup": dedup}, {"write": {"columns": ["id", "text"], "compression": "none"}}]
    config = folder / "datapipe.yaml"
    config.write_text(json.dumps({"name": "peers", "steps": steps}))
    command = [
        str(python.parent / "datapipe"),
        "run",
        str(config),
        "--out",
        str(folder / "out"),
        "--executor",
        executor,
    ]
    return command + (["--workers", "1"] if executor == "ray" else [])


def datatrove(python: Path, folder: Path, script: Script) -> list[str]:
    """Returns the command of datatrove: its stages one after another, a worker each."""
    program = Path(__file__).parent / "peers/run_datatrove.py"
    language = "en" if script == "english" else "zh"
    return [str(python), str(program), str(folder), str(folder / "out"), language, str(BANDS), str(ROWS)]


def text_dedup(python: Path, folder: Path, script: Script) -> list[str]:
    """Returns the command of text-dedup, with the faster of its hashes."""
    options = {
        "path": "parquet",
        "data_files": folder / "pages.parquet",
        "split": "train",
        "cache_dir": folder / "cache",
        "output": folder / "out",
        "column": "text",
        "hash_func": "xxh3",
        "num_proc": 1,
        "num_perm": BANDS * ROWS,
        "b": BANDS,
        "r": ROWS,
    }
    return [str(python), "-m", "text_dedup.minhash", *(f"--{name}={value}" for name, value in options.items())]


def data_juicer(python: Path, folder: Path, script: Script) -> list[str]:
    """Returns the command of data-juicer; Chinese by characters, as by words it keeps one document of all."""
    step = {
        "tokenization": "space" if script == "english" else "character",
        "num_permutations": BANDS * ROWS,
        "num_bands": BANDS,
        "num_rows_per_band": ROWS,
    }
    settings = {
        "project_name": "peers",
        "dataset_path": str(folder / "pages.jsonl"),
        "export_path": str(folder / "out/kept.jsonl"),
        "work_dir": str(folder / "work"),
        "np": 1,
        "text_keys": "text",
        "process": [{"document_minhash_deduplicator": step}],
    }
    config = folder / "juicer.yaml"
    config.write_text(json.dumps(settings))
    return [str(python.parent / "dj-process"), "--config", str(config)]


def rows_of_parquet(out: Path, place: str) -> int:
    """Returns the rows of the Parquet files of a folder."""
    return sum(pq.read_metadata(path).num_rows for path in (out / place).glob("*.parquet"))


def rows_of_arrow(out: Path) -> int:
    """Returns the rows of the Arrow streams of a folder."""
    return sum(pyarrow.ipc.open_stream(path).read_all().num_rows for path in out.glob("*.arrow"))


def lines_of(out: Path) -> int:
    """Returns the lines of data-juicer's result."""
    with (out / "kept.jsonl").open("rb") as file:
        return sum(1 for _ in file)


DOCUMENTS = partial(rows_of_parquet, place="documents")
TOOLS = (
    Tool("datapipe", "datapipe", partial(ours, verify=False), DOCUMENTS),
    Tool("datatrove", "datatrove", datatrove, partial(rows_of_parquet, place="kept")),
    Tool("text-dedup", "text-dedup", text_dedup, rows_of_arrow),
    Tool("data-juicer", "data-juicer", data_juicer, lines_of),
    Tool("datapipe, verified", "datapipe", partial(ours, verify=True), DOCUMENTS),
    Tool("datapipe on Ray", "datapipe", partial(ours, verify=False, executor="ray"), DOCUMENTS),
)


@dataclass(frozen=True)
class Figures:
    """What a run took. `failed` is the last line that it said where it did not end well."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    kept: int = 0
    failed: str = ""


def measured(command: list[str], folder: Path) -> Figures:
    """Runs a command in `folder` and returns what it and all that it started took."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HF_"))}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "RAY_USAGE_STATS_ENABLED": "0"}
    before, start, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0
    seen: dict[int, float] = {}
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, look(process.pid, seen))
            time.sleep(0.02)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = (folder / "said").read_text(errors="replace").strip().splitlines() or [""]
    failed = f"status {process.returncode}: {lines[-1][:160]}" if process.returncode else ""
    return Figures(time.monotonic() - start, max(cpu, sum(seen.values())), peak, failed=failed)


def look(process: int, seen: dict[int, float]) -> int:
    """Returns the resident memory of a process and of all that it started (bytes); `seen` gets their CPU seconds.

    Processes of Ray outlive the command, and nobody is told what they took: what was seen last counts.
    """
    try:
        parent = psutil.Process(process)
        family = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for member in family:
        try:
            total += member.memory_info().rss
            seen[member.pid] = sum(member.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def run(tool: Tool, environments: Path, corpus: Path, script: Script) -> Figures:
    """Runs a tool on the corpus, in a folder that goes with it."""
    python = environments / tool.environment / "bin/python"
    if not python.exists():
        reason = environments / f"{tool.environment}.failed"
        return Figures(0, 0, 0, failed=reason.read_text() if reason.exists() else "not set up; see --setup")
    with tempfile.TemporaryDirectory(dir=environments, ignore_cleanup_errors=True) as place:
        folder = Path(place)
        for name in ("pages.parquet", "pages.jsonl"):
            os.link(corpus / name, folder / name)
        figures = measured(tool.command(python, folder, script), folder)
        if figures.failed:
            return figures
        return Figures(figures.wall_seconds, figures.cpu_seconds, figures.peak_bytes, tool.kept(folder / "out"))


def set_up(environments: Path) -> None:
    """Makes the environments from PyPI, and runs every tool once on a few pages."""
    environments.mkdir(parents=True, exist_ok=True)
    corpus = made(environments, "english", SIZE_BYTES // 500)
    for name, packages in PACKAGES.items():
        folder, reason = environments / name, environments / f"{name}.failed"
        reason.unlink(missing_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *packages]
        done = subprocess.run(install, check=False, capture_output=True, text=True)
        if done.returncode:
            reason.write_text((done.stderr.strip().splitlines() or ["pip failed"])[-1][:200])
            shutil.rmtree(folder)
        print(f"{name}: {reason.read_text() if reason.exists() else 'installed'}")
    for tool in TOOLS:
        print(f"{tool.name}: {run(tool, environments, corpus, 'english').failed or 'runs'}")


def made(environments: Path, script: Script, size_bytes: int) -> Path:
    """Returns the folder with the corpus, which is made where it is not there."""
    shared = Path(os.environ.get("DATAPIPE_SHARED", ROOT.parent / "shared"))
    folder = environments / f"corpus-{script}-{size_bytes}"
    if not (folder / "pages.jsonl").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, list(pages(shared, script, size_bytes)))
    return folder


def row(name: str, figures: Figures, best: Figures | None) -> str:
    """Returns a line of the table; ratios to ours where it ran."""
    if figures.failed:
        return f"{name:<20}{figures.failed}"
    times = figures.cpu_seconds / best.cpu_seconds if best else 1.0
    memory = figures.peak_bytes / best.peak_bytes if best else 1.0
    asked = f">= {ASKED[name]}x" if name in ASKED else ""
    return (
        f"{name:<20}{figures.wall_seconds:>8.1f}{figures.cpu_seconds:>9.2f}{figures.peak_bytes / 1e6:>9.0f}"
        f"{figures.kept:>9,}{times:>8.1f}x{asked:>9}{memory:>8.2f}x"
    )


def main() -> None:
    """Sets up, or prints the table."""
    if sys.argv[1:2] == ["--setup"] and len(sys.argv) == 3:
        set_up(Path(sys.argv[2]).resolve())
        return
    if not sys.argv[1:] or sys.argv[1].startswith("-"):
        sys.exit((__doc__ or "").strip())
    environments, wanted = Path(sys.argv[1]).resolve(), sys.argv[2:]
    script: Script = "chinese" if "chinese" in wanted else "english"
    names = [name for name in wanted if name not in get_args(Script)]
    corpus = made(environments, script, SIZE_BYTES)
    documents = pq.read_metadata(corpus / "pages.parquet").num_rows
    print(f"{script}: {documents:,} pages, {SIZE_BYTES / 1e6:.0f} MB of text, {BANDS} bands of {ROWS} rows")
    print(f"{'':<20}{'wall s':>8}{'CPU s':>9}{'peak MB':>9}{'kept':>9}{'CPU':>9}{'asked':>9}{'memory':>9}")
    best: Figures | None = None
    for tool in TOOLS:
        if not names or tool.name in names:
            times = 3 if tool.name == "datapipe" else 1
            runs = [run(tool, environments, corpus, script) for _ in range(times)]
            figures = sorted(runs, key=lambda figures: figures.cpu_seconds)[times // 2]
            best = best or (figures if tool.name == "datapipe" and not figures.failed else None)
            print(row(tool.name, figures, best), flush=True)


if __name__ == "__main__":
    main()
