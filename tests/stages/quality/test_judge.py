import numpy as np
import pyarrow as pa

from stages.quality import SIGNALS, judge
from stages.quality.tables import Condition, Rule


def rows(**columns: list[float]) -> pa.RecordBatch:
    amount = len(next(iter(columns.values())))
    return pa.RecordBatch.from_arrays(
        [pa.array(columns.get(field.name, [0] * amount), field.type) for field in SIGNALS], schema=SIGNALS
    )


def test_a_rule_fires_beyond_a_limit_and_not_at_it() -> None:
    signals = rows(words=[49, 50, 51, 100], digit_ratio=[0.15, 0.1500001, 0.0, 0.2])
    rules = (Rule(id="words", signal="words", min=50, max=99), Rule(id="digits", signal="digit_ratio", max=0.15))

    verdict = judge(signals, pa.array(["und"] * 4), rules)

    assert verdict.fired.tolist() == [[True, False, False, True], [False, True, False, True]]
    assert verdict.first.tolist() == [0, 1, -1, 0]
    assert verdict.limits[0, [0, 3]].tolist() == [50, 99]
    assert verdict.values[1, 0] == 0.15


def test_a_rule_is_looked_at_only_where_its_conditions_hold() -> None:
    signals = rows(words=[1, 1, 1, 1], verse_ratio=[0.5, 0.6, 0.1, 0.1])
    when = (Condition(signal="verse_ratio", max=0.5), Condition(languages=("zho_Hans", "zho_Hant")))
    rules = (Rule(id="words", signal="words", min=5, when=when),)

    verdict = judge(signals, pa.array(["zho_Hans", "zho_Hans", "eng_Latn", None]), rules)

    assert verdict.evaluated.tolist() == [[True, False, False, False]]
    assert verdict.fired.tolist() == verdict.evaluated.tolist()


def test_no_rules_drop_nothing() -> None:
    verdict = judge(rows(words=[1, 2]), pa.array(["und", "und"]), ())

    assert np.array_equal(verdict.first, [-1, -1])
