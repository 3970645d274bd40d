import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stages.quality import SIGNALS, judge
from stages.quality.judge import pareto_share, uniform
from stages.quality.tables import Condition, Rule

IDS = pa.array(
    [hashlib.blake2b(str(number).encode(), digest_size=16).digest() for number in range(40_000)], pa.binary(16)
)


def rows(**columns: list[Any]) -> pa.RecordBatch:
    amount = len(next(iter(columns.values())))
    ours = [pa.array(columns.pop(field.name, [0] * amount), field.type) for field in SIGNALS]
    return pa.RecordBatch.from_arrays(
        [*ours, *(pa.array(values) if isinstance(values, list) else values for values in columns.values())],
        names=[*SIGNALS.names, *columns],
    )


def test_a_rule_fires_beyond_a_limit_and_not_at_it() -> None:
    signals = rows(words=[49, 50, 51, 100], digit_ratio=[0.15, 0.1500001, 0.0, 0.2])
    rules = (Rule(id="words", signal="words", min=50, max=99), Rule(id="digits", signal="digit_ratio", max=0.15))

    verdict = judge(signals, rules)

    assert verdict.fired.tolist() == [[True, False, False, True], [False, True, False, True]]
    assert verdict.first.tolist() == [0, 1, -1, 0]
    assert verdict.sole.tolist() == [[True, False, False, False], [False, True, False, False]]
    assert verdict.limits[0, [0, 3]].tolist() == [50, 99]
    assert verdict.values[1, 0] == 0.15


def test_a_rule_is_looked_at_only_where_its_conditions_hold() -> None:
    languages = ["zho_Hans", "zho_Hans", "eng_Latn", None]
    signals = rows(words=[1, 1, 1, 1], verse_ratio=[0.5, 0.6, 0.1, 0.1], language=languages)
    when = (Condition(signal="verse_ratio", max=0.5), Condition(languages=("zho_Hans", "zho_Hant")))
    rules = (Rule(id="words", signal="words", min=5, when=when),)

    verdict = judge(signals, rules)

    assert verdict.evaluated.tolist() == [[True, False, False, False]]
    assert verdict.fired.tolist() == verdict.evaluated.tolist()


def test_a_condition_on_what_was_not_measured_does_not_hold() -> None:
    toxicity = pa.array([0.2, float("nan"), None], pa.float32())
    rule = Rule(id="words", signal="words", min=5, when=(Condition(signal="toxicity", max=0.5),))

    assert judge(rows(words=[1, 1, 1], toxicity=toxicity), (rule,)).evaluated.tolist() == [[True, False, False]]


def test_a_condition_on_the_format_holds_where_nobody_said_one() -> None:
    rules = (Rule(id="words", signal="words", min=5, when=(Condition(formats=("prose", "qa")),)),)

    said = judge(rows(words=[1, 1, 1, 1], format=["prose", "code", "qa", None]), rules)
    unsaid = judge(rows(words=[1, 1]), rules)

    assert said.fired.tolist() == [[True, False, True, True]]
    assert unsaid.fired.tolist() == [[True, True]]


def test_a_value_that_was_not_measured_breaks_no_rule() -> None:
    missing = pa.array([float("nan"), 0.1, None], pa.float32())
    rules = (Rule(id="q", signal="quality", min=0.5), Rule(id="p", signal="quality", pareto=9))

    verdict = judge(rows(words=[1, 1, 1], quality=missing, id=IDS[:3]), rules)

    assert verdict.evaluated.tolist() == [[False, True, False]] * 2
    assert not verdict.fired[:, [0, 2]].any()


def test_no_rules_drop_nothing() -> None:
    verdict = judge(rows(words=[1, 2]), ())

    assert np.array_equal(verdict.first, [-1, -1])


def test_the_draw_is_the_documented_function_of_id_seed_and_rule() -> None:
    # The docstring of `uniform` once more, in Python's integers.
    def mix(word: int) -> int:
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
        return word ^ word >> 31

    key = hashlib.blake2b(b"pareto\x003\x00gpt3_pareto", digest_size=16).digest()
    low, high = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    for place in (0, 1, 77):
        held = IDS[place].as_py()
        a, b = int.from_bytes(held[:8], "little"), int.from_bytes(held[8:], "little")
        expected = (mix((mix(a ^ low) + (b ^ high)) % 2**64) >> 11) / 2**53
        assert uniform(IDS.slice(place, 2), 3, "gpt3_pareto")[0] == expected
    assert uniform(IDS[:0], 0, "p").tolist() == []


def test_draws_are_even_and_differ_by_seed_and_rule() -> None:
    first, seed, rule = uniform(IDS, 0, "p"), uniform(IDS, 1, "p"), uniform(IDS, 0, "q")

    for drawn in (first, seed, rule):
        assert 0 <= drawn.min() < drawn.max() < 1
        # 40,000 draws in 20 cells: chi-squared with 19 degrees of freedom is below 43.8 in 999 of 1,000 cases.
        cells = np.bincount((drawn * 20).astype(int), minlength=20)
        assert ((cells - 2000) ** 2 / 2000).sum() < 43.8
    assert abs(np.corrcoef([first, seed, rule])[np.triu_indices(3, 1)]).max() < 0.02


@pytest.mark.parametrize(
    ("score", "share"),
    # (2 - score)^-9 by hand: 2^-9, 1.5^-9, 1.25^-9, 1.125^-9, 1 (numerators and denominators are powers).
    [(0.0, 1 / 512), (0.5, 512 / 19683), (0.75, 262144 / 1953125), (0.875, 134217728 / 387420489), (1.0, 1.0)],
)
def test_a_score_is_kept_as_often_as_gpt3_kept_it(score: float, share: float) -> None:
    scores = pa.array(np.full(len(IDS), score, np.float32))

    verdict = judge(rows(words=[1] * len(IDS), quality=scores, id=IDS), (Rule(id="p", signal="quality", pareto=9),))

    kept = (~verdict.fired).mean()
    assert pareto_share(np.array([score]), 9)[0] == pytest.approx(share, rel=1e-12)
    assert abs(kept - share) <= 4 * (share * (1 - share) / len(IDS)) ** 0.5


def test_a_draw_keeps_what_numpys_pareto_keeps_for_the_same_uniform_number() -> None:
    # Brown et al. 2020, appendix A: keep if np.random.pareto(9) > 1 - score; inversion is (1 - u)^(-1/9) - 1.
    scores = np.linspace(0, 1, len(IDS), dtype=np.float32)
    drawn = (1 - uniform(IDS, 0, "p")) ** (-1 / 9) - 1

    verdict = judge(
        rows(words=[1] * len(IDS), quality=pa.array(scores), id=IDS), (Rule(id="p", signal="quality", pareto=9),)
    )

    assert np.array_equal(~verdict.fired[0], drawn > 1 - scores.astype(np.float64))
    assert np.isnan(verdict.limits[0]).sum() == (~verdict.fired[0]).sum()


def test_a_draw_does_not_depend_on_what_else_is_judged() -> None:
    scores = pa.array(np.linspace(0, 1, len(IDS), dtype=np.float32))
    every = rows(words=[1] * len(IDS), quality=scores, id=IDS)
    rules = (Rule(id="p", signal="quality", pareto=9, seed=5),)

    whole = judge(every, rules).fired[0]

    assert np.array_equal(judge(every.slice(1000, 500), rules).fired[0], whole[1000:1500])
