"""What repeats are worth, and how often samples are seen: arithmetic on quotas.

Source: Muennighoff et al. 2023, Scaling Data-Constrained Language Models, arXiv 2305.16264, section 5: the value of
repeated tokens decays exponentially, with a half-life fitted on models of up to 8.7 billion parameters; up to four
epochs are nearly as good as new tokens.
"""

from __future__ import annotations

import math

WARN_EPOCHS = 4
DECAY = 15.387756  # R*_D: after so many repeats a further one is worth 1/e of a new token


def effective_tokens(unique: float, seen: float) -> float:
    """Returns how many new tokens are worth as much as `seen` ones of which `unique` are different.

    D' = U + U R* (1 - exp(-R / R*)) with R repeats of each: what was seen if nothing is repeated, and never more than
    U (1 + R*).

    >>> [round(effective_tokens(100, 100 * epochs)) for epochs in (0.5, 1, 4, 16, 1000)]
    [50, 100, 373, 1058, 1639]
    """
    if seen <= unique:
        return seen
    repeats = seen / unique - 1
    return unique - unique * DECAY * math.expm1(-repeats / DECAY)


def times_seen(size: int, quota: int) -> dict[int, int]:
    """Returns how many of `size` samples are seen how often: each as often as any other, or once more.

    >>> times_seen(10, 23), times_seen(10, 4), times_seen(10, 20)
    ({2: 7, 3: 3}, {0: 6, 1: 4}, {2: 10})
    """
    epochs, more = divmod(quota, size)
    return {times: count for times, count in ((epochs, size - more), (epochs + 1, more)) if count}
