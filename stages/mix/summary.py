"""What was asked for and what is seen, by group and phase: for the manifest, and in sentences for the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from stages.mix.repeats import WARN_EPOCHS, effective_tokens

Facts = dict[str, Any]  # Any: JSON
WARN_PADDING = 0.02
FEWEST_SAMPLES = 1000  # of a corpus whose padding matters
_SHOWN = 12  # groups in a sentence
_MADE_OF = ("token_quota", "documents", "cut_documents", "samples", "tokens", "padding")


def groups_of(plan: Sequence[Facts], tokens: np.ndarray) -> list[Facts]:
    """Returns an entry a group: what was asked for, what there is, and what is seen in all phases.

    `tokens` are those seen, int64[phases, groups], without padding.
    """
    return [
        {
            "group": row["group"],
            "weight": row["weight"],
            **{name: row[name] for name in _MADE_OF},
            "samples_seen": row["quota"],
            "tokens_seen": seen,
            "share_seen": seen / int(tokens.sum()),
            "epochs": row["quota"] / row["samples"],
            "effective_tokens": round(effective_tokens(row["tokens"], seen)),
            "unseen_samples": max(0, row["samples"] - row["quota"]),
        }
        for row, seen in zip(plan, tokens.sum(axis=0).tolist(), strict=True)
    ]


def phases_of(plan: Sequence[Facts], tokens: np.ndarray) -> list[Facts]:
    """Returns an entry a phase, in order: where it begins, and for each group what it adds to what was seen before.

    `tokens` as in `groups_of`.
    """
    made: list[Facts] = []
    for phase, (name, seen) in enumerate(zip(plan[0]["phases"], tokens.tolist(), strict=True)):
        own = [
            {
                "group": row["group"],
                "weight": row["weights"][phase],
                "token_quota": row["token_quotas"][phase],
                "samples_seen": row["quotas"][phase],
                "tokens_seen": amount,
                "epochs": row["quotas"][phase] / row["samples"],
            }
            for row, amount in zip(plan, seen, strict=True)
        ]
        start = made[-1]["first_position"] + made[-1]["samples"] if made else 0
        sums = {"samples": sum(row["samples_seen"] for row in own), "tokens": sum(seen)}
        made.append({"name": name, "first_position": start, **sums, "groups": own})
    return made


def remarks(groups: Sequence[Facts], phases: Sequence[Facts]) -> Iterator[str]:
    """Yields the sentences of the report: what each phase is made of, and what its repeats are worth."""
    width = len(str(len(phases)))
    for number, phase in enumerate(phases, 1):
        place = f"phase {number:0{width}} {phase['name']}: " if len(phases) > 1 else ""
        start = f" from position {phase['first_position']:,}" if len(phases) > 1 else ""
        yield f"{place}{phase['tokens']:,} tokens in {phase['samples']:,} samples{start}: {_made_of(phase)}"
    seen, worth = (sum(group[name] for group in groups) for name in ("tokens_seen", "effective_tokens"))
    if worth < seen:
        yield f"repeats counted for less, the {seen:,} tokens are worth {worth:,} new ones (arXiv 2305.16264)"


def warnings(groups: Sequence[Facts]) -> Iterator[str]:
    """Yields what is warned of: groups that are seen too often, in all phases together."""
    often = sorted((group for group in groups if group["epochs"] > WARN_EPOCHS), key=lambda group: -group["epochs"])
    if often:
        listed = _listed([f"{group['group']} {group['epochs']:.2f}" for group in often])
        yield f"more than {WARN_EPOCHS} epochs of {listed}: further repeats are worth clearly less than new tokens"


def packed(packing: Facts) -> str:
    """Returns the sentence on what packing cut and filled up; `packing` is that of the manifest."""
    cut, documents = packing["cut_documents"], packing["documents"]
    return (
        f"packing: {packing['by']} into {packing['seq_len']:,} tokens: {cut:,} of {documents:,} documents "
        f"({cut / documents:.2%}) lie in more than one sample; {_padding(packing):.4%} of the samples is padding"
    )


def padded(packing: Facts) -> Iterator[str]:
    """Yields what is warned of where much is padding: each group of a shard of documents ends in a part of a sample."""
    if packing["samples"] >= FEWEST_SAMPLES and _padding(packing) > WARN_PADDING:
        yield (
            f"{_padding(packing):.1%} of the samples is padding: shards of documents hold little of each group for "
            f"samples of {packing['seq_len']:,} tokens: raise bytes_per_shard of the sources, or mix by fewer groups"
        )


def _padding(packing: Facts) -> float:
    return float(packing["padding"] / (packing["samples"] * packing["seq_len"]))


def _made_of(phase: Facts) -> str:
    own = sorted((group for group in phase["groups"] if group["samples_seen"]), key=lambda group: -group["tokens_seen"])
    share = 100 / max(1, phase["tokens"])
    return _listed(
        [f"{group['group']} {group['tokens_seen'] * share:.2f} % ({group['epochs']:.2f} epochs)" for group in own]
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
