"""What watching costs, and how often it warns of nothing: on the folder of a finished run that still has its work.

    .venv/bin/python -m tests.bench.bench_watch DIR [--other DIR] [--runs 200]

Parts of that run are shuffled (the same run again), or drawn with replacement to longer runs (files of the same kind),
and held against the run itself after every shard. Beside it stands what an interval of 95 % of single documents, looked
at as often, would have warned of: outside of the same band, and outside of the share itself.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import Counter

import numpy as np

from datapipe import storage
from datapipe.driver import Flow
from datapipe.shard import Passed
from datapipe.status import status
from stages.audit.watch.command import Watched
from stages.audit.watch.held import Against
from stages.audit.watch.like import Like, Taken, like
from stages.audit.watch.seen import Part, Seen, stages_of
from stages.audit.watch.view import lines


def costs(folder: str, earlier: str) -> None:
    """Prints what a look costs, and what the driver's words cost."""
    begun = time.process_time()
    one = Watched(folder, like=earlier)
    opened = time.process_time()
    view = one.look()
    read = time.process_time()
    again = one.look()
    end = time.process_time()
    shards = sum(view.seen.shards.values())
    work = one.seen.follower.work
    steps = {step.step for step in view.status.steps if step.stage in {place.stage for place in view.seen.shards}}
    files = [path for step in steps for path in storage.list_folder(storage.join(work, step)) if "-rows-" in path]
    size = sum(storage.size_of(path) for path in files)
    print(f"earlier run counted, and libraries loaded: {opened - begun:.2f} s of CPU")
    print(f"first look: {read - opened:.2f} s, {(read - opened) / shards * 1e3:.1f} ms a shard ({shards} shards)")
    print(f"one more look: {(end - read) * 1e3:.1f} ms; its lines: {_lines(again):.1f} ms")
    print(
        f"read of {size:,} bytes of rows: {one.seen.follower.bytes_read:,} ({one.seen.follower.bytes_read / size:.2%})"
    )
    passed = (Passed("quality", True, 1000, 0, 900, 100),)
    counts = {f"drop.rule{number}": 3 for number in range(30)} | {
        f"evaluated.rule{number}": 900 for number in range(40)
    }
    flow = Flow((0,), True, True)
    begun = time.process_time()
    for _ in range(10_000):
        flow.add(passed)
        flow.note(counts)
    print(f"the driver: {(time.process_time() - begun) * 1e2:.1f} µs a finished shard")


def _lines(view: object) -> float:
    begun = time.process_time()
    out = io.StringIO()
    out.writelines(lines(view))  # type: ignore[arg-type]
    return (time.process_time() - begun) * 1e3


def parts_of(folder: str) -> list[Part]:
    """Returns the shards of a run."""
    found: list[Part] = []
    state = status(folder)
    Seen(state.work).read(state, stages_of(state), found.append, lambda: True)
    return [part for part in found if part.place.last]


def alarms(parts: list[Part], earlier: Like, length: int, runs: int, *, again: bool) -> Counter[str]:
    """Returns in how many runs anything was ever said to have left its band, by way of looking."""
    found: Counter[str] = Counter()
    by_stage: dict[str, list[Part]] = {}
    for part in parts:
        by_stage.setdefault(part.place.stage, []).append(part)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        against, said = Against(earlier, 0.05), set[str]()
        for its in by_stage.values():
            order = rng.permutation(len(its)) if again else rng.integers(0, len(its), length)
            for place in order:
                against.add(its[place])
                said |= _said(against, its[place].place.stage)
        found.update(said)
    return found


def _said(against: Against, stage: str) -> set[str]:
    said = set()
    for *_, one in against.held.get(stage, ()):
        reading = one.reading(against.needed, ended=False)
        if reading is not None:
            said |= {"evidence"} if reading.left else set()
            said |= {"interval, same band"} if reading.side != "within" else set()
            share = _expected(against.earlier, one.name, one.came)
            if share is not None and not reading.seen.low <= share <= reading.seen.high:
                said.add("interval, no tolerance")
    return said


def _expected(earlier: Like, name: str, came: Counter[str]) -> float | None:
    kind, stage, rest = name.split(".", 2)
    if kind == "rule":
        its: dict[str, Taken] = dict(
            next((v for (at, rule), v in earlier.rules.items() if at == stage and rule.partition(".")[2] == rest), {})
        )
    else:
        axis, _, label = rest.partition(".")
        its = dict(earlier.groups.get((stage, axis, label), {}))
    whole = sum(came.values())
    return (
        sum(amount * its[one].taken / its[one].came for one, amount in came.items() if one in its) / whole
        if whole
        else None
    )


def found_after(parts: list[Part], earlier: Like, runs: int) -> dict[str, tuple[int, int]]:
    """Returns in how many runs each rule is warned of, and after how many shards of its stage (median).

    Of 60 shards drawn of those of another run.
    """
    after: dict[str, list[int]] = {}
    stages = sorted({part.place.stage for part in parts})
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        for stage in stages:
            its = [part for part in parts if part.place.stage == stage]
            against, said = Against(earlier, 0.05), set[str]()
            for number, place in enumerate(rng.integers(0, len(its), 60), 1):
                against.add(its[place])
                for one in against.readings(()):
                    if one.left and one.name not in said and one.name.startswith("rule."):
                        said.add(one.name)
                        after.setdefault(one.name, []).append(number)
    return {name: (len(numbers), int(np.median(numbers))) for name, numbers in after.items()}


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--other", help="a run with another limit, held against this one")
    parser.add_argument("--runs", type=int, default=200)
    asked = parser.parse_args()
    costs(asked.folder, asked.folder)
    parts, earlier = parts_of(asked.folder), like(asked.folder)
    print(
        f"{'runs that warn of nothing, of ' + str(asked.runs):<44}{'evidence':>10}{'interval':>10}{'no tolerance':>14}"
    )
    for name, length, runs, again in (
        ("the same run again, shards shuffled", 0, asked.runs, True),
        ("60 shards a stage, drawn of its own", 60, asked.runs // 4, False),
    ):
        found = alarms(parts, earlier, length, runs, again=again)
        row = [found[one] / runs for one in ("evidence", "interval, same band", "interval, no tolerance")]
        print(f"{name:<44}{row[0]:>10.1%}{row[1]:>10.1%}{row[2]:>14.1%}")
    if asked.other:
        for name, (found_in, median) in sorted(found_after(parts_of(asked.other), earlier, 20).items()):
            print(f"{name}: warned of in {found_in} of 20 runs, after {median} shards (median)")


if __name__ == "__main__":
    main()
