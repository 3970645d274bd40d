"""Metrics for Ray's exporter: what attempts made, by stage and rule. Once an attempt, never a record.

Whoever scrapes the nodes (port `metrics_export_port` of each) sees them as `ray_datapipe_…`; where nobody does, they
cost a few microseconds. The report never depends on them.
"""

from __future__ import annotations

from functools import cache

from ray.util import metrics

from datapipe.task import Outcome, Task
from datapipe.work import LEAVING

SECONDS = [0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0]


@cache
def _documents() -> metrics.Counter:
    return metrics.Counter("datapipe_documents_total", "Documents that went into a stage.", ("stage",))


@cache
def _bytes() -> metrics.Counter:
    return metrics.Counter("datapipe_bytes_total", "Bytes of finished shards, by the pass that made them.", ("stage",))


@cache
def _dropped() -> metrics.Counter:
    return metrics.Counter("datapipe_dropped_total", "Documents that left, by stage and rule.", ("stage", "rule"))


@cache
def _seconds() -> metrics.Histogram:
    return metrics.Histogram("datapipe_task_seconds", "Seconds of a finished attempt.", SECONDS, ("stage",))


@cache
def _attempts() -> metrics.Counter:
    return metrics.Counter("datapipe_attempts_total", "Attempts by what they came to.", ("outcome",))


def count_outcome(task: Task, outcome: Outcome, seconds: float) -> None:
    """Counts what an attempt of `seconds` made; nothing where it found the task done. Runs on the worker."""
    if not outcome.cpu_seconds:
        return
    name = task.name.partition("[")[0]
    _seconds().observe(seconds, {"stage": name})
    for shard in outcome.shards:
        _add(_bytes(), sum(made.bytes for made in shard.outputs.values()), stage=name)
        for passed in shard.passed:
            if passed.documents:
                _add(_documents(), passed.rows_in, stage=passed.stage)
        for stage, counts in shard.counts.items():
            for counted, amount in counts.items():
                action, _, rule = counted.partition(".")
                if action in LEAVING and rule:
                    _add(_dropped(), amount, stage=stage, rule=rule)


def count_attempt(outcome: str) -> None:
    """Counts an attempt by what it came to. Runs on the driver."""
    _add(_attempts(), 1, outcome=outcome)


def _add(counter: metrics.Counter, amount: int, **tags: str) -> None:
    if amount:  # which Ray refuses else
        counter.inc(amount, tags)
