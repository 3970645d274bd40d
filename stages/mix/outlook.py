"""What a plan says, for people and as JSON: quotas, epochs, what repeats are worth, and what is not seen."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from stages.mix import Mix
from stages.mix.amounts import amount
from stages.mix.plan import TOKEN_BYTES, Row
from stages.mix.planning import Planned, Planning
from stages.mix.repeats import times_seen
from stages.mix.summary import Facts, groups_of, packed, padded, phases_of, warnings

_UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))
_SHOWN = 12


def outlook(mix: Mix, planning: Planning, planned: Planned) -> Facts:
    """Returns a plan as JSON; groups and phases are as in the manifest of a corpus, their tokens as expected."""
    rows = planned.rows
    length = planning.pack.seq_len
    seen = np.array([_expected(row, by_document=not length) for row in rows], np.int64).T
    groups, asked = groups_of(rows, seen), sum(row["token_quota"] for row in rows)
    for group, row in zip(groups, rows, strict=True):
        group["share"] = row["token_quota"] / asked
        group["times_seen"] = times_seen(row["samples"], row["quota"])
    samples: Counter[int] = Counter()
    for group in groups:
        samples.update(group["times_seen"])
    summed = ("documents", "samples", "tokens", "token_quota", "samples_seen", "tokens_seen", "effective_tokens")
    total = {name: sum(group[name] for group in groups) for name in (*summed, "unseen_samples")}
    packing = {"by": mix.packing, **({"seq_len": length} if length else {})}
    if planned.documents is not None:  # of given sizes it is not known what is cut and filled up
        packing |= {
            name: sum(row[name] for row in rows) for name in ("samples", "padding", "documents", "cut_documents")
        }
    params = None if mix.params is None else amount(mix.params, "params")
    return {
        "by": planning.pack.groups.name,
        "edges": planned.edges,
        "reference": mix.reference,
        "packing": packing,
        "budget": {
            "tokens": mix.budget,
            "params": params,
            "tokens_per_parameter": mix.tokens_per_parameter if params else None,
        },
        "groups": groups,
        "phases": phases_of(rows, seen),
        "total": {**total, "epochs": total["samples_seen"] / total["samples"]},
        "times_seen": {"samples": dict(sorted(samples.items())), "documents": planned.documents},
        "held_out_documents": planned.held_out,
        "corpus": {
            "shards": rows[0]["shards"],
            "samples_per_shard": rows[0]["samples_per_shard"],
            "token_bytes": TOKEN_BYTES * (total["samples_seen"] * length if length else total["tokens_seen"]),
        },
        "warnings": [*warnings(groups), *_left_out(groups), *(padded(packing) if _is_counted(packing) else ())],
    }


def _expected(row: Row, *, by_document: bool) -> list[int]:
    """Returns the tokens, without padding, that each phase sees of a group.

    By document as many as are asked for, to within one; else so many samples of the mean size.
    """
    if by_document:
        return [tokens if quota else 0 for quota, tokens in zip(row["quotas"], row["token_quotas"], strict=True)]
    return [round(Fraction(quota * row["tokens"], row["samples"])) for quota in row["quotas"]]


def _is_counted(packing: Facts) -> bool:
    return packing.keys() >= {"seq_len", "padding"}


def _left_out(groups: Sequence[Facts]) -> Iterator[str]:
    unseen = [group["group"] for group in groups if not group["samples_seen"]]
    if unseen:
        more = f" and {len(unseen) - _SHOWN:,} more" if len(unseen) > _SHOWN else ""
        yield f"nothing is taken of {', '.join(unseen[:_SHOWN])}{more}"


def lines(facts: Facts) -> Iterator[str]:
    """Yields what `outlook` returned as text for a terminal."""
    total, packing = facts["total"], facts["packing"]
    size = f"samples of {packing['seq_len']:,} tokens" if "seq_len" in packing else "a sample a document"
    yield f"by {facts['by']}, packing {packing['by']}, {size}"
    budget = facts["budget"]
    if budget["params"]:
        each = f"{budget['tokens_per_parameter']:g} tokens a parameter"
        yield f"{short(budget['params'])} parameters at {each}: {short(budget['tokens'])} tokens"
    if facts["reference"]:
        yield f"shares from {facts['reference']}"
    for name, edges in facts["edges"].items():
        yield f"buckets of {name}: {_buckets(edges)}"
    for number, phase in enumerate(facts["phases"], 1) if len(facts["phases"]) > 1 else ():
        yield ""
        yield f"phase {number} {phase['name']}, from position {phase['first_position']:,}"
        yield from _phase(phase)
    yield ""
    if len(facts["phases"]) > 1:
        yield "all phases"
    yield from _whole(facts["groups"], total)
    yield ""
    for kind, times in facts["times_seen"].items():
        if times:
            yield f"{kind} seen{' (at their first token)' if kind == 'documents' else ''}: {_times(times)}"
    if total["effective_tokens"] < total["tokens_seen"]:
        worth = f"{short(total['effective_tokens'])} new ones (arXiv 2305.16264)"
        yield f"with repeats counted for less, {short(total['tokens_seen'])} tokens are worth {worth}"
    if _is_counted(packing):
        yield packed(packing)
    if facts["held_out_documents"]:
        yield f"held out: {facts['held_out_documents']:,} documents"
    made = facts["corpus"]
    yield (
        f"corpus: {made['shards']:,} shards of up to {made['samples_per_shard']:,} samples, "
        f"{short(made['token_bytes'])} bytes of token ids"
    )
    yield from (f"warning: {sentence}" for sentence in facts["warnings"])


def _whole(groups: Sequence[Facts], total: Facts) -> Iterator[str]:
    yield from _table(
        [
            ("group", "asked", "share", "tokens", "quota", "samples", "epochs", "unseen", "effective"),
            *map(_row, groups),
            _row({**total, "group": "total", "weight": 1.0, "share": 1.0}),
        ]
    )


def _row(group: Facts) -> tuple[str, ...]:
    return (
        group["group"],
        f"{group['weight']:.2%}",
        f"{group['share']:.2%}",
        short(group["tokens"]),
        short(group["token_quota"]),
        f"{group['samples_seen']:,}",
        f"{group['epochs']:.3f}",
        f"{group['unseen_samples']:,}",
        short(group["effective_tokens"]),
    )


def _phase(phase: Facts) -> Iterator[str]:
    asked = sum(group["token_quota"] for group in phase["groups"])
    rows = [("group", "asked", "share", "quota", "samples", "epochs")]
    for group in phase["groups"]:
        quota = group["token_quota"]
        shares = (f"{group['weight']:.2%}", f"{quota / asked:.2%}")
        rows.append((group["group"], *shares, short(quota), f"{group['samples_seen']:,}", f"{group['epochs']:.3f}"))
    yield from _table([*rows, ("total", "100.00%", "100.00%", short(asked), f"{phase['samples']:,}", "")])


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        name = row[0] + " " * (widths[0] - _width(row[0]))
        yield "  ".join(
            ["", name, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()


def _width(text: str) -> int:
    """Returns the columns of a terminal that a text takes: two for each of Chinese and its like."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _buckets(edges: Sequence[float]) -> str:
    bounds = ["below the others", *(f"from {edge:g}" for edge in edges)]
    return ", ".join(f"q{number} {bound}" for number, bound in enumerate(bounds))


def _times(times: Mapping[int, int]) -> str:
    whole = sum(times.values())
    listed = [f"{number}x {count:,} ({count / whole:.1%})" for number, count in times.items()]
    return ", ".join(listed[:_SHOWN]) + (f", up to {max(times)}x" if len(listed) > _SHOWN else "")


def short(number: int) -> str:
    """Returns a number with its unit, and four digits or the whole ones.

    >>> [short(number) for number in (140_000_000_000, 1_402_000_000_000, 36 * 10**15, 999_960_000, 12_345, 7)]
    ['140B', '1.402T', '36,000T', '1B', '12.35K', '7']
    """
    for unit, name in _UNITS:
        if number >= unit * 0.99995:
            return f"{number / unit:.4g}{name}" if number < 1000 * unit else f"{number / unit:,.0f}{name}"
    return str(number)
