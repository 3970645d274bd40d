"""What `datapipe explain` reads, and how long it takes, as the ledger grows; and without the index of places.

    python tests/bench/bench_explain.py [DOCUMENTS ...]

Runs are made: half of their documents left, ledger and index are written as the engine writes them, the ledger in parts
of about 1.5 million rows (as of a crawl of 8 GiB a part). Each kind of look-up is done for 20 documents, each as if it
were the first (nothing is kept between them, but for what the operating system holds of the files); `scan` is without
the index, for one. CPU of this process, so without what the command takes to load.
"""

from __future__ import annotations

import math
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from stages.audit.story import Finder, story
from tests.stages.audit.folders import Reads, counting, generated, placed

SAMPLES = 20


def main() -> None:
    """Prints the table."""
    print(f"{'documents':>11}  {'look-up':<14}{'ms CPU':>8}{'worst':>8}{'kB read':>9}{'row groups':>12}{'files':>7}")
    for amount in map(int, sys.argv[1:] or ["100000", "1000000", "5000000"]):
        folder = Path(tempfile.mkdtemp(prefix="bench-explain-"))
        try:
            measure(folder / "run", amount)
        finally:
            shutil.rmtree(folder)


def measure(folder: Path, amount: int) -> None:
    """Prints the lines of a run of so many documents."""
    started = time.process_time()
    placed(generated(folder, amount, parts=max(4, 1 << math.ceil(math.log2(max(1, amount / 3_000_000))))))
    made = time.process_time() - started
    left = [number * (amount // 2 // SAMPLES) for number in range(SAMPLES)]
    kept = [amount - 1 - number for number in left]
    ids = [Finder(str(folder)).documents(url(number))[0].hex() for number in (*left, *kept)]
    line(amount, "left, by url", folder, [url(number) for number in left])
    line(amount, "left, by id", folder, ids[:SAMPLES])
    line(amount, "kept, by url", folder, [url(number) for number in kept])
    line(amount, "kept, by id", folder, ids[SAMPLES:])
    size = sum(path.stat().st_size for path in (folder / "reports/places").iterdir())
    shutil.rmtree(folder / "reports/places")
    line(amount, "scan, by url", folder, [url(kept[0])])
    print(
        f"{'':>13}index of places: {size / amount:.0f} bytes a document; made in {made:.0f} s CPU, with the run itself"
    )


def url(number: int) -> str:
    """Returns the address of a document."""
    return f"https://h{number % 997}.cn/{number}"


def line(amount: int, name: str, folder: Path, wanted: Sequence[str]) -> None:
    """Prints what look-ups take."""
    found = [looked_up(lambda one=one: tell(folder, one)) for one in wanted]
    seconds = [taken for taken, _ in found]
    kilobytes = statistics.mean(reads.bytes for _, reads in found) / 1000
    groups, files = (statistics.mean(getattr(reads, field) for _, reads in found) for field in ("groups", "files"))
    print(
        f"{amount:>11,}  {name:<14}{1000 * statistics.median(seconds):>8.0f}{1000 * max(seconds):>8.0f}"
        f"{kilobytes:>9.0f}{groups:>12.1f}{files:>7.0f}"
    )


def looked_up(act: Callable[[], None]) -> tuple[float, Reads]:
    """Returns the CPU (seconds) of a look-up, and, done again, what it reads."""
    started = time.process_time()
    act()
    taken = time.process_time() - started
    with counting() as reads:
        act()
    return taken, reads


def tell(folder: Path, wanted: str) -> None:
    """Looks a document up."""
    finder = Finder(str(folder))
    story(finder, finder.documents(wanted)[0])


if __name__ == "__main__":
    main()
