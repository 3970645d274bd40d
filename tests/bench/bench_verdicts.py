"""What the intervals of judged samples cover: corpora of many shapes are drawn from again and again, and judged.

    python tests/bench/bench_verdicts.py [DRAWS]

No corpus is read; 1,000 draws of each unless told. Beside ours (Wilson at the least effective size) stand Wald's
interval of the stratified variance, MOVER (the squares of Wilson's borders added; Zou, Huang and Zhang 2009) and the
stratified Wilson interval of Yan and Su 2010.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from stages.audit.measures import Estimate, Z, wilson
from stages.audit.review.estimates import ALPHA, Stratum, Unit, exact, rate, rate_of_part

Whole = npt.NDArray[np.int64]
ROOM = 1e-9


def size_of(one: Stratum) -> float:
    """Returns the size at which Wilson's interval is of draws without replacement."""
    rest = one.documents - one.judged
    return one.judged * (one.documents - 1) / rest if rest else 1e18


def wald(strata: Sequence[Stratum]) -> Estimate:
    whole = sum(one.documents for one in strata)
    value = sum(one.documents / whole * one.found / one.judged for one in strata)
    parts = (
        (one.documents / whole) ** 2 * one.found / one.judged * (1 - one.found / one.judged) / size_of(one)
        for one in strata
    )
    error = Z * math.sqrt(sum(parts))
    return Estimate(value, value - error, value + error)


def mover(strata: Sequence[Stratum]) -> Estimate:
    whole = sum(one.documents for one in strata)
    made = [wilson(size_of(one) * one.found / one.judged, size_of(one)) for one in strata]
    weights = [one.documents / whole for one in strata]
    value = sum(weight * one.value for weight, one in zip(weights, made, strict=True))
    low = math.sqrt(sum((weight * (one.value - one.low)) ** 2 for weight, one in zip(weights, made, strict=True)))
    high = math.sqrt(sum((weight * (one.high - one.value)) ** 2 for weight, one in zip(weights, made, strict=True)))
    return Estimate(value, value - low, value + high)


def yan_su(strata: Sequence[Stratum]) -> Estimate:
    whole = sum(one.documents for one in strata)
    weights = [one.documents / whole for one in strata]
    rates = [one.found / one.judged for one in strata]
    doubts = [
        weight**2 * share * (1 - share) / size_of(one)
        for weight, share, one in zip(weights, rates, strata, strict=True)
    ]
    if not any(doubts):
        doubts = [weight**2 / size_of(one) for weight, one in zip(weights, strata, strict=True)]
    own = Z * math.sqrt(sum(doubts)) / sum(map(math.sqrt, doubts))
    made = [wilson(share * size_of(one), size_of(one), own) for share, one in zip(rates, strata, strict=True)]
    low, high = (sum(w * one[side] for w, one in zip(weights, made, strict=True)) for side in (1, 2))
    return Estimate(sum(w * share for w, share in zip(weights, rates, strict=True)), low, high)


WAYS: dict[str, Callable[[Sequence[Stratum]], Estimate]] = {
    "ours": rate,
    "wald": wald,
    "mover": mover,
    "yan-su": yan_su,
}


def corpora() -> list[tuple[str, Whole, Whole, Whole]]:
    """Returns corpora: what they are called, documents of each source, how many are drawn, how many are good."""
    generator, made = np.random.default_rng(7), []
    for many, whole in ((1, 100_000), (3, 1_000_000), (10, 1_000_000), (40, 1_000_000), (10, 6_000)):
        ranks = np.arange(1, many + 1) ** -1.3
        documents = np.maximum(20, np.round(whole * ranks / ranks.sum())).astype(np.int64)
        for drawn, least in ((4_000, 72), (800, 20)):
            some = np.minimum(documents, np.maximum(np.round(drawn * documents / documents.sum()), least)).astype(
                np.int64
            )
            name = f"{many} sources, {documents.sum():,} documents, {some.sum():,} drawn"
            shapes = {f"{good} everywhere": np.full(many, good) for good in (0.95, 0.96, 0.98, 0.995, 0.999, 1.0)}
            for good in (0.96, 0.99):
                shapes[f"about {good}, uneven"] = generator.beta(good * 8, (1 - good) * 8, size=many)
            for place, what in ((0, "largest"), (-1, "smallest")) if many > 1 else ():
                shapes[f"the {what} bad"] = np.where(np.arange(many) == place % many, 0.9, 0.999)
            made += [
                (f"{name}, {shape}", documents, some, np.round(documents * shares).astype(np.int64))
                for shape, shares in shapes.items()
            ]
    return made


def covered(draws: int) -> None:
    """Prints what the intervals of the rate of the whole cover."""
    generator = np.random.default_rng(1)
    held: dict[str, list[float]] = {way: [] for way in WAYS}
    wide: dict[str, list[float]] = {way: [] for way in WAYS}
    print(f"rate of a corpus: covered of {draws} draws in %, and mean width in points; ours misses low/high")
    for name, documents, some, good in corpora():
        truth = good.sum() / documents.sum()
        found = np.stack(
            [generator.hypergeometric(g, d - g, n, draws) for d, g, n in zip(documents, good, some, strict=True)]
        )
        sides = []
        for way, interval in WAYS.items():
            made = [
                interval(
                    [Stratum(int(d), int(n), int(x)) for d, n, x in zip(documents, some, found[:, draw], strict=True)]
                )
                for draw in range(draws)
            ]
            above = sum(one.low > truth + ROOM for one in made) / draws
            below = sum(one.high < truth - ROOM for one in made) / draws
            sides.append((100 * above, 100 * below))
            held[way].append(100 * (1 - above - below))
            wide[way].append(100 * sum(one.high - one.low for one in made) / draws)
        cells = "  ".join(f"{way} {held[way][-1]:5.1f} {wide[way][-1]:5.2f}" for way in WAYS)
        print(f"{name:70}  {truth:.4f}  {cells}  {sides[0][0]:.1f}/{sides[0][1]:.1f}")
    for way in WAYS:
        own = held[way]
        print(
            f"{way:7} covers {min(own):5.1f} at the least, {sum(own) / len(own):5.1f} on average, below 93 in "
            f"{sum(one < 93 for one in own):2} of {len(own)}; mean width {sum(wide[way]) / len(own):.2f}"
        )


def told(draws: int) -> None:
    """Prints how often a source, or any of forty, is told wrongly against 5 %."""
    generator = np.random.default_rng(2)
    print(f"\nsources against 5 %: told wrongly in % of {draws} draws; and told at all")
    for documents, judged, bad in (
        (200, 72, 10),
        (200, 72, 11),
        (2_000, 72, 100),
        (2_000, 72, 101),
        (10**6, 400, 50_000),
        (10**6, 400, 51_000),
        (10**6, 400, 20_000),
        (10**6, 400, 100_000),
    ):
        over = bad > 0.05 * documents
        found = generator.hypergeometric(bad, documents - bad, judged, draws)
        states = {}
        for way in ("exact", "wilson"):
            made = {
                x: exact(documents, judged, x)
                if way == "exact"
                else wilson(x / judged * size_of(Stratum(documents, judged, x)), size_of(Stratum(documents, judged, x)))
                for x in set(found.tolist())
            }
            above = np.array([made[x].low > 0.05 for x in found.tolist()])
            below = np.array([made[x].high <= 0.05 for x in found.tolist()])
            states[way] = (100 * (below if over else above).mean(), 100 * (above if over else below).mean())
        cells = "  ".join(f"{way} wrong {wrong:4.1f} right {right:5.1f}" for way, (wrong, right) in states.items())
        print(f"{judged:4} of {documents:9,}, {bad / documents:.4f} bad: {cells}")
    many = 40
    for name, alpha in (("each by itself", ALPHA), ("all at once", ALPHA / many)):
        rounds = max(1, draws // 4)
        found = generator.hypergeometric(2_500, 47_500, 150, (rounds, many))
        above = {x for x in set(found.ravel().tolist()) if exact(50_000, 150, x, alpha=alpha).low > 0.05}
        wrong = 100 * sum(not above.isdisjoint(one) for one in found.tolist()) / rounds
        print(f"forty sources of exactly 5 %, 150 judged of each: {name}, any is told above in {wrong:.1f} %")


def parts(draws: int) -> None:
    """Prints what the intervals of a language cover that is spread over sources unevenly."""
    generator = np.random.default_rng(3)
    documents, some = np.array([700_000, 200_000, 50_000, 2_000]), np.array([2_000, 600, 150, 72])
    print(f"\nrate of a part over four sources: covered of {draws} draws in %")
    for share in (0.6, 0.1, 0.02):
        for goods in ((0.96,) * 4, (0.99, 0.9, 0.95, 0.6), (0.999,) * 4):
            own = np.round(documents * share * np.array([1.0, 0.5, 1.5, 1.0])).astype(np.int64)
            good = np.round(own * np.array(goods)).astype(np.int64)
            truth, held, width = good.sum() / own.sum(), 0, 0.0
            for _ in range(draws):
                units: list[Unit] = []
                for d, n, o, g in zip(documents, some, own, good, strict=True):
                    x, bad, _other = generator.multivariate_hypergeometric([g, o - g, d - o], n)
                    units += [Unit(d / n, 1 - n / d, True)] * int(x) + [Unit(d / n, 1 - n / d, False)] * int(bad)
                made = rate_of_part(units)
                held += made.low - ROOM <= truth <= made.high + ROOM
                width += made.high - made.low
            said = f"{100 * held / draws:.1f}, {100 * width / draws:.2f} points wide"
            print(f"{share:.0%} of a corpus, {goods} good: {said}")


if __name__ == "__main__":
    given = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    covered(given)
    told(10 * given)
    parts(max(1, given // 4))
