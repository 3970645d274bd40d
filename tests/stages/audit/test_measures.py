"""The formulas: by hand, against scipy, scikit-bio and dit, by simulation, and the laws that define them."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.audit import measures as m

COUNTS = st.lists(st.integers(1, 10**6), min_size=1, max_size=40)
ORDERS = (0, 1, 2, math.inf)
MADE = [[6, 2, 1, 1], [5, 5, 5, 5], [1], [1000, 1, 1, 1, 1], [3, 1, 4, 1, 5, 9, 2, 6]]


def crawl(hosts: int = 3000, seed: int = 1) -> np.ndarray:
    """Returns documents of hosts as crawls have them: few hold most."""
    return np.random.default_rng(seed).zipf(1.6, hosts).clip(1, 200_000)


# Effective numbers, by hand: shares .5 .25 .25 have 1.5 bits and Σ p² = .375


def test_hill_numbers_by_hand() -> None:
    found = [m.hill([2, 1, 1], order) for order in ORDERS]

    assert found == pytest.approx([3, 2**1.5, 1 / 0.375, 2])


def test_index_and_evenness_by_hand() -> None:
    assert m.hhi([2, 1, 1]) == pytest.approx(0.375)
    assert m.evenness([2, 1, 1]) == pytest.approx(1 / 0.375 / 2**1.5)


def test_gini_by_hand_is_half_the_mean_difference_over_the_mean() -> None:
    sizes = np.array([1, 1, 2, 6])  # 12 differences of 0, 1, 5, 1, 5, 4, twice: 32 / 16 / 2.5 / 2

    assert m.gini(sizes) == pytest.approx(0.4)
    assert m.gini(sizes) == pytest.approx(np.abs(sizes[:, None] - sizes).mean() / sizes.mean() / 2)


def test_largest_share_and_lorenz_by_hand() -> None:
    assert [m.top_share([1, 6, 1, 2], most) for most in (1, 2, 9)] == pytest.approx([0.6, 0.8, 1])
    assert m.lorenz([1, 6, 1, 2], 2)[1] == pytest.approx([0, 0.2, 1])


def test_groups_of_nothing_are_no_groups() -> None:
    for order in ORDERS:
        assert m.hill([0, 3, 0, 1], order) == m.hill([3, 1], order)
    assert m.gini([0, 3, 0, 1]) == m.gini([3, 1])


def test_nothing_has_no_diversity() -> None:
    assert [m.hill([], order) for order in ORDERS] == [0] * 4
    assert [m.hhi([]), m.gini([]), m.evenness([0]), m.top_share([], 3), m.entropy([]), m.coverage([])] == [0] * 6
    assert m.hill_interval([], 1) == m.gini_interval([]) == m.top_interval([], 1) == (0,) * 3
    assert m.lorenz([], 2)[1].tolist() == [0, 0.5, 1]


# Laws


@given(counts=COUNTS, factor=st.integers(2, 1000))
def test_units_do_not_matter(counts: list[int], factor: int) -> None:
    scaled = [count * factor for count in counts]

    for measure in (m.hhi, m.gini, m.evenness, m.entropy, *(lambda c, q=q: m.hill(c, q) for q in ORDERS)):
        assert measure(scaled) == pytest.approx(measure(counts), abs=1e-9)


@given(counts=COUNTS, copies=st.integers(2, 5))
def test_as_many_again_of_other_names_are_as_diverse_again(counts: list[int], copies: int) -> None:
    """Hill's principle of replication: the reason for effective numbers."""
    for order in ORDERS:
        assert m.hill(counts * copies, order) == pytest.approx(copies * m.hill(counts, order))
    assert m.gini(counts * copies) == pytest.approx(m.gini(counts), abs=1e-9)


@given(counts=COUNTS)
def test_hill_numbers_fall_with_their_order_and_never_leave_their_borders(counts: list[int]) -> None:
    found = [m.hill(counts, order) for order in (0, 0.5, 1, 2, 3, math.inf)]

    assert all(after <= before * (1 + 1e-9) for before, after in itertools.pairwise(found))
    assert found[-1] >= 1 - 1e-9
    assert found[0] <= len(counts) + 1e-9


@given(counts=COUNTS, order=st.randoms())
def test_order_of_groups_does_not_matter(counts: list[int], order: object) -> None:
    shuffled = counts.copy()
    order.shuffle(shuffled)  # type: ignore[attr-defined] - Hypothesis' Random

    assert [m.hill(shuffled, q) for q in ORDERS] == [m.hill(counts, q) for q in ORDERS]
    assert m.gini(shuffled) == m.gini(counts)


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=40))
@settings(max_examples=40)
def test_counts_of_counts_say_the_same_as_counts(counts: list[int]) -> None:
    sizes, times = np.unique(counts, return_counts=True)

    for order in ORDERS:
        assert m.hill(sizes, order, times) == pytest.approx(m.hill(counts, order))
        assert m.hill_interval(sizes, 2, times) == pytest.approx(m.hill_interval(counts, 2))
    assert m.gini(sizes, times) == pytest.approx(m.gini(counts))
    assert m.gini_interval(sizes, times) == pytest.approx(m.gini_interval(counts), abs=1e-9)
    assert m.top_share(sizes, 3, times) == pytest.approx(m.top_share(counts, 3))
    assert m.lorenz(sizes, 10, times)[1] == pytest.approx(m.lorenz(counts, 10)[1])
    assert m.rarefied(sizes, 1, times).value == pytest.approx(1)
    assert m.chao1(sizes, times) == pytest.approx(m.chao1(counts))


# Bins


@given(size=st.integers(0, 2**52))
def test_a_bin_is_a_64th_wide_and_a_number_below_128(size: int) -> None:
    here, above = m.bins_of(np.array([size, size + size // 64 + 1])).tolist()

    assert here < above
    assert here == size or size >= 128


def test_bins_rise_with_sizes() -> None:
    sizes = np.unique(
        np.random.default_rng(0).integers(0, 2**52, 5000) >> np.random.default_rng(1).integers(0, 50, 5000)
    )

    assert (np.diff(m.bins_of(sizes)) >= 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_means_of_bins_err_by_no_more_than_is_stated(seed: int) -> None:
    sizes = crawl(20_000, seed) * 977 + 400  # of which no two are alike enough to be exact
    bins = m.bins_of(sizes)
    times = np.bincount(bins)
    there = times > 0
    means, times = (np.bincount(bins, sizes)[there] / times[there]), times[there]

    assert m.hhi(sizes) * (1 - 6.2e-5) <= m.hhi(means, times) <= m.hhi(sizes) * (1 + 1e-12)
    assert 0 <= math.log(m.hill(means, 1, times) / m.hill(sizes, 1)) <= 3.1e-5
    assert 0 <= m.gini(sizes) - m.gini(means, times) <= 0.0039
    assert m.hill(means, 0, times) == m.hill(sizes, 0)
    assert len(times) < len(np.unique(sizes))


# Intervals


def test_interval_of_the_entropy_is_basharins() -> None:
    """Σ p ln²p - H² = (.5 + 2) ln²2 - (1.5 ln 2)² = .25 ln²2, over 400 documents: an error of .025 ln 2."""
    value, low, high = m.hill_interval([200, 100, 100], 1)

    assert value == pytest.approx(2**1.5)
    assert math.log(high / value) == pytest.approx(m.Z * 0.025 * math.log(2))
    assert math.log(value / low) == pytest.approx(m.Z * 0.025 * math.log(2))


def test_interval_of_one_share_is_that_of_a_rate() -> None:
    value, low, high = m.top_interval([30, 50, 20], 1)

    assert (value, high - value) == (0.5, pytest.approx(m.Z * math.sqrt(0.5 * 0.5 / 100)))
    assert value - low == pytest.approx(high - value)


def test_documents_of_ten_tokens_are_clusters_of_ten() -> None:
    """Ten tokens a document leave the interval what it was: tokens are no draws of their own."""
    documents = np.array([30, 50, 20])

    assert m.hill_interval(documents * 10, 2, squares=documents * 100) == pytest.approx(m.hill_interval(documents, 2))
    assert m.gini_interval(documents * 10, squares=documents * 100) == pytest.approx(m.gini_interval(documents))


@pytest.mark.parametrize("measure", ["1D", "2D", "infD", "top 3", "gini"])
def test_intervals_hold_the_truth_as_often_as_they_say(measure: str) -> None:
    """600 corpora of 4,000 documents of 1 to 99 tokens from 12 hosts of known shares; 92 to 98 of 100 hold it."""
    shares = np.array([0.3, 0.2, 0.12, 0.08, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.02, 0.01])
    draw = np.random.default_rng(7)
    measures = {
        "1D": (lambda c: m.hill(c, 1), lambda c, s: m.hill_interval(c, 1, squares=s)),
        "2D": (lambda c: m.hill(c, 2), lambda c, s: m.hill_interval(c, 2, squares=s)),
        "infD": (lambda c: m.hill(c, math.inf), lambda c, s: m.hill_interval(c, math.inf, squares=s)),
        "top 3": (lambda c: m.top_share(c, 3), lambda c, s: m.top_interval(c, 3, squares=s)),
        "gini": (m.gini, lambda c, s: m.gini_interval(c, squares=s)),
    }
    of, interval = measures[measure]
    held = 0
    for _ in range(600):
        host, tokens = draw.choice(12, 4000, p=shares), draw.integers(1, 100, 4000)
        _, low, high = interval(np.bincount(host, tokens), np.bincount(host, tokens**2))
        held += low <= of(shares) <= high

    assert 0.92 <= held / 600 <= 0.98


@pytest.mark.parametrize("measure", ["1D", "gini"])
def test_intervals_hold_what_as_many_documents_have_where_hosts_are_unseen_and_not_the_whole(measure: str) -> None:
    """300 corpora of 3,000 documents from 2,000 hosts by Zipf's law, of which about half are in none of them."""
    shares = 1 / np.arange(1, 2001)
    drawn = np.random.default_rng(7).multinomial(3000, shares / shares.sum(), 300)
    made = [(lambda c: m.hill_interval(c, 1), m.gini_interval)[measure == "gini"](counts) for counts in drawn]
    usual = np.mean([one.value for one in made])
    of_all = m.gini(shares) if measure == "gini" else m.hill(shares, 1)

    assert np.mean([low <= usual <= high for _, low, high in made]) >= 0.92
    assert not any(low <= of_all <= high for _, low, high in made)


# What a smaller corpus would hold


def test_rarefied_number_of_groups_by_hand() -> None:
    """Of the C(10, 3) = 120 draws of three, C(4, 3), C(8, 3), C(9, 3), C(9, 3) miss a group."""
    assert m.rarefied([6, 2, 1, 1], 3).value == pytest.approx(4 - (4 + 56 + 84 + 84) / 120)
    assert m.rarefied([6, 2, 1, 1], 10).value == pytest.approx(4)
    assert math.isnan(m.rarefied([6, 2, 1, 1], 11).value)


@pytest.mark.parametrize("whole", [300, 10_000])
def test_the_chance_to_miss_a_group_is_that_of_whole_numbers(whole: int) -> None:
    """Against exact fractions, on both sides of the border between sums and Stirling's formula."""
    for draw in (1, 128, 129, 150, 171, whole - 130, whole):
        for size in (1, 127, 128, 129, 150, 299):
            missed = Fraction(math.comb(whole - size, draw), math.comb(whole, draw))

            assert m.rarefied([size, whole - size], draw).value == pytest.approx(
                float(2 - missed - Fraction(math.comb(size, draw), math.comb(whole, draw))), rel=1e-9
            )


def test_a_draw_of_a_billion_hosts_of_a_document_loses_nothing_to_rounding() -> None:
    assert m.rarefied([1], 1000, [10**9]).value == pytest.approx(1000, rel=1e-12)
    assert m.gini([1], [10**9]) == 0


def test_rarefied_hill_numbers_are_those_of_the_mean_shares_of_draws() -> None:
    counts, draw = np.array([40, 25, 10, 5, 3, 1, 1]), 20
    rng = np.random.default_rng(3)
    drawn = rng.multivariate_hypergeometric(counts, draw, size=20_000)
    shares = drawn / draw
    logs = np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1)), 0).sum(axis=1)

    assert m.rarefied_hill(counts, draw, 0) == pytest.approx((drawn > 0).sum(axis=1).mean(), rel=0.01)
    assert m.rarefied_hill(counts, draw, 1) == pytest.approx(math.exp(-logs.mean()), rel=0.01)
    assert m.rarefied_hill(counts, draw, 2) == pytest.approx(1 / (shares**2).sum(axis=1).mean(), rel=0.01)
    for order in (0, 1, 2):
        assert m.rarefied_hill(counts, int(counts.sum()), order) == pytest.approx(m.hill(counts, order))
        assert m.rarefied_hill(counts, 1, order) == pytest.approx(1)


@given(counts=COUNTS, part=st.floats(0, 1))
def test_a_smaller_draw_never_holds_more_groups(counts: list[int], part: float) -> None:
    whole = sum(counts)
    small, large = sorted((max(1, int(whole * part)), max(1, whole // 2)))

    assert m.rarefied(counts, small).value <= m.rarefied(counts, large).value * (1 + 1e-6)


def test_rarefied_interval_covers_other_draws_of_the_same_source() -> None:
    source = crawl(2000).astype(np.float64)
    rng = np.random.default_rng(5)
    found = m.rarefied(rng.multinomial(5000, source / source.sum()), 2000)
    others = (rng.multinomial(2000, source / source.sum(), size=50) > 0).sum(axis=1)

    assert found.low < others.mean() < found.high


def test_unseen_groups_by_hand() -> None:
    """Two seen once, one twice: 2 · 1 / (2 · 2) more; of ten documents two are alone with their group."""
    assert m.chao1([6, 2, 1, 1]) == 4.5
    assert m.coverage([6, 2, 1, 1]) == pytest.approx(0.8)


# Rates and distances


def test_where_nothing_was_looked_at_a_rate_is_anything() -> None:
    value, low, high = m.wilson(0, 0)

    assert math.isnan(value)
    assert (low, high) == (0, 1)


def test_no_case_and_every_case_have_a_border_of_their_own() -> None:
    assert m.wilson(0, 10)[:2] == (0, 0)
    assert m.wilson(10, 10)[::2] == (1, 1)
    assert m.ratio(0, 10, 5, 10)[:2] == (0, 0)
    assert m.ratio(5, 10, 0, 10)[::2] == (math.inf, math.inf)
    assert m.ratio(5, 10, 0, 10).low > 0
    assert math.isnan(m.ratio(0, 0, 1, 2).value)


def test_difference_of_rates_as_published() -> None:
    """Newcombe 1998, table II, cases (a), (b) and (e), method 10."""
    cases = {(56, 70, 48, 80): (0.0524, 0.3339), (9, 10, 3, 10): (0.1705, 0.8090), (5, 56, 0, 29): (-0.0381, 0.1926)}

    for (a, n, b, o), borders in cases.items():
        assert m.newcombe(m.wilson(a, n), m.wilson(b, o))[1:] == pytest.approx(borders, abs=5e-5)


def test_divergence_by_hand() -> None:
    """Half of each lies where the other has nothing: half a bit, from the bins that differ."""
    total, each = m.divergence([5, 5, 0], [0, 70, 70])

    assert total == pytest.approx(0.5)
    assert each.tolist() == pytest.approx([0.25, 0, 0.25])
    assert m.divergence([1, 0], [0, 9])[0] == pytest.approx(1)
    assert m.kl([1, 1], [1, 0]) == pytest.approx(1)
    assert math.isnan(m.divergence([0, 0], [1, 0])[0])


@given(pairs=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), min_size=1, max_size=30))
def test_divergence_is_symmetric_between_nothing_and_a_bit_and_no_bin_takes_away(pairs: list[tuple[int, int]]) -> None:
    before, after = zip((1, 1), *pairs, strict=True)
    total, each = m.divergence(before, after)

    assert m.divergence(after, before)[0] == pytest.approx(total)
    assert 0 <= total <= 1
    assert (each >= 0).all()
    assert m.divergence(before, before)[0] == 0


def test_share_of_tokens_of_a_sample_has_the_interval_of_its_documents() -> None:
    """With documents of one size it is that of a rate, n - 1 in the place of n."""
    found = m.ratio_of_sums([7] * 30 + [0] * 70, [7] * 100)

    assert found.value == pytest.approx(0.3)
    assert found.high - found.value == pytest.approx(m.Z * math.sqrt(0.3 * 0.7 / 99))


# Against other libraries


def test_as_scipy_says() -> None:
    from scipy import stats
    from scipy.spatial.distance import jensenshannon

    counts = crawl(200)
    before, after = crawl(50, 2), crawl(50, 3)

    assert m.entropy(counts) == pytest.approx(stats.entropy(counts, base=2))
    assert m.kl(before, after) == pytest.approx(stats.entropy(after, before, base=2))
    assert m.divergence(before, after)[0] == pytest.approx(jensenshannon(before, after, base=2) ** 2)
    for found, amount in ((3, 1000), (0, 20), (20, 20), (17, 35)):
        theirs = stats.binomtest(found, amount).proportion_ci(method="wilson")
        assert m.wilson(found, amount)[1:] == pytest.approx((theirs.low, theirs.high))
    theirs = stats.contingency.relative_risk(27, 122, 44, 487)
    assert m.ratio(27, 122, 44, 487) == pytest.approx((theirs.relative_risk, *theirs.confidence_interval(0.95)))
    missed = stats.hypergeom.pmf(0, counts.sum(), counts, 500)
    assert m.rarefied(counts, 500).value == pytest.approx((1 - missed).sum(), rel=1e-6)


@pytest.mark.heavy
@pytest.mark.parametrize("counts", [*MADE, crawl(500).tolist()])
def test_as_scikit_bio_says(counts: list[int]) -> None:
    from skbio.diversity import alpha

    for order in ORDERS:
        assert m.hill(counts, order) == pytest.approx(alpha.hill(counts, order=order))
    assert m.entropy(counts) == pytest.approx(alpha.shannon(counts, base=2), abs=1e-12)
    assert m.hhi(counts) == pytest.approx(alpha.dominance(counts))
    assert m.top_share(counts, 1) == pytest.approx(alpha.berger_parker_d(counts))
    assert m.coverage(counts) == pytest.approx(alpha.goods_coverage(counts))
    assert m.chao1(counts) == pytest.approx(alpha.chao1(counts))
    # Theirs is 1 - 2 B of the trapezoids under Lorenz' curve, which is ours.
    assert m.gini(counts) == pytest.approx(alpha.gini_index(counts, method="trapezoids"), abs=1e-12)


@pytest.mark.heavy
def test_as_dit_says() -> None:
    import dit

    before, after = crawl(30, 2), crawl(30, 3)
    names = [f"{number:02}" for number in range(30)]
    p, q = (dit.Distribution(names, counts / counts.sum()) for counts in (before, after))

    assert m.divergence(before, after)[0] == pytest.approx(dit.divergences.jensen_shannon_divergence([p, q]))
    assert m.kl(before, after) == pytest.approx(dit.divergences.kullback_leibler_divergence(q, p))
    assert m.entropy(before) == pytest.approx(dit.shannon.entropy(p))
