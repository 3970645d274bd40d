"""Sizes of groups that are published or expected, in the place of what documents are counted to.

    cc: 410B
    webtext2: 19B
    books: {tokens: 12e9, documents: 1_000_000}

A group is a number of tokens, or also of its documents and of the samples that they make.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import pyarrow as pa
import yaml

from datapipe import ConfigError, storage
from stages.mix.amounts import amount
from stages.mix.columns import COUNTS, TIMES
from stages.mix.plan import MOST_TOKENS, Row, plan_batch
from stages.mix.planning import Planned, Planning, plan_counts

_KEYS = ("tokens", "documents", "samples")


def plan_sizes(path: str, planning: Planning) -> Planned:
    """Returns the plan of a mix of groups of these sizes. By document, as many as their mean length says.

    Raises:
        ConfigError: the file is not of this form.
        PlanError: what is asked for cannot be had.
    """
    sizes = read_sizes(path)
    if planning.pack.groups.weights:
        sizes = {name if _weight(name) else f"{name}{TIMES}1": held for name, held in sizes.items()}
    rows = [_counted(f"{path}: {name}", name, held, planning.pack.seq_len) for name, held in sizes.items()]
    if sum(row["tokens"] + row["padding"] for row in rows) >= MOST_TOKENS:
        raise ConfigError(f"--sizes {path}: samples of {planning.pack.seq_len:,} are more tokens than can be counted")
    plan = plan_counts(pa.Table.from_pylist(rows, schema=COUNTS), planning)[0].to_pylist()
    if planning.pack.seq_len is None:
        plan = [{**row, "quotas": _documents(row)} for row in plan]
        plan = plan_batch(plan, None, planning.shard_bytes).to_pylist()
    return Planned(plan)


def read_sizes(path: str) -> dict[str, dict[str, int]]:
    """Returns the sizes of each group, by YAML or JSON. Raises ConfigError where it is not of that form."""
    try:
        text = storage.read_bytes(path).decode()
        node, data = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--sizes {path}: is neither YAML nor JSON: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(f"--sizes {path}: is nested too deeply") from error
    except (OSError, ValueError) as error:  # such as bytes that are no UTF-8, and numbers of thousands of digits
        raise ConfigError(f"--sizes {path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not isinstance(node, yaml.MappingNode) or not isinstance(data, dict) or not data:
        raise ConfigError(f"--sizes {path}: is a mapping of groups to tokens, such as 'web: 410B'")
    written = [key.value for key, _ in node.value]  # `no` is a language, and to YAML false
    if len(data) != len(written):
        raise ConfigError(f"--sizes {path}: a group stands twice")
    named = zip(data.items(), written, strict=True)
    values = {"null" if name is None else name if isinstance(name, str) else text: held for (name, held), text in named}
    return {name: _sizes(f"{path}: {name}", held) for name, held in values.items()}


def _sizes(where: str, held: Any) -> dict[str, int]:  # Any: YAML
    values = held if isinstance(held, Mapping) else {"tokens": held}
    unknown = [str(key) for key in values if key not in _KEYS]
    if unknown:
        raise ConfigError(f"--sizes {where}: unknown key '{unknown[0]}'; known are: {', '.join(_KEYS)}")
    if "tokens" not in values:
        raise ConfigError(f"--sizes {where}: 'tokens' is missing")
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ConfigError(f"--sizes {where}: {key}: {value!r} is not a number")
    return {key: amount(value, f"--sizes {where}: {key}") for key, value in values.items()}


def _weight(name: str) -> bool:
    return name.rpartition(TIMES)[2].isdigit() and TIMES in name


def _counted(where: str, name: str, sizes: Mapping[str, int], seq_len: int | None) -> Row:
    """Returns the row of COUNTS of a group."""
    tokens, documents = sizes["tokens"], sizes.get("documents", 0)
    if seq_len is None and not documents:
        raise ConfigError(f"--sizes {where}: a sample is a document, so how many are there? {{tokens: , documents: }}")
    samples = sizes.get("samples", -(-tokens // seq_len)) if seq_len else documents
    padding = samples * seq_len - tokens if seq_len else 0
    if padding < 0:
        raise ConfigError(f"--sizes {where}: {samples:,} samples of {seq_len:,} hold no {tokens:,} tokens")
    values = (False, name, name, 0, samples, tokens, padding, documents, 0)
    return dict(zip(COUNTS.names, values, strict=True))


def _documents(row: Row) -> list[int]:
    """Returns about how many documents each phase shows of a group."""
    ends = [
        round(Fraction(end * row["documents"], row["tokens"])) for end in accumulate(row["token_quotas"], initial=0)
    ]
    return [end - start for start, end in pairwise(ends)]
