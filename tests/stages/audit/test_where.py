import shlex

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datapipe import ConfigError
from stages.audit.ask import equal
from stages.audit.weights import asked
from stages.audit.where import Condition

HOSTS = pa.array(["a.cn", "b.a.cn", None, "", "lin@site.cn\x1b", "c.org"])


def rows(text: str, values: pa.Array) -> list[int]:
    mask = Condition.parse(text).holds(pa.chunked_array([values]))
    return [row for row, held in enumerate(mask.tolist()) if held]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host=a.cn", [0]),
        ("host!=a.cn", [1, 2, 3, 4, 5]),
        ("host=*.cn", [0, 1]),
        ("host=*cn*", [0, 1, 4]),
        ("host~a.c", [0, 1]),
        ("host == a.cn", [0]),
        ("host=none", [2, 3]),
        ("host=", [2, 3]),
        ("host!=none", [0, 1, 4, 5]),
        ("host>=b", [1, 4, 5]),
        ("host=<EMAIL>\\u001b", [4]),  # as a report shows it
        ("host=li…", []),
    ],
)
def test_texts_are_equal_alike_a_piece_or_not_known(text: str, expected: list[int]) -> None:
    assert rows(text, HOSTS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quality<0.4", [0]),
        ("quality>=0.4", [1, 2]),
        ("quality=0.5", [1]),
        ("quality!=0.5", [0, 2, 3, 4]),
        ("quality=none", [3, 4]),
        ("quality!=none", [0, 1, 2]),
        ("quality=1e0", [2]),
    ],
)
def test_a_number_that_is_not_known_is_on_no_side(text: str, expected: list[int]) -> None:
    assert rows(text, pa.array([0.25, 0.5, 1.0, None, float("nan")], pa.float32())) == expected


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("tokens>=1_000", pa.array([999, 1000, None]), [1]),
        ("tokens<1,000", pa.array([999, 1000, None]), [0]),
        ("tokens>2.5", pa.array([2, 3]), [1]),
        ("no_ai=true", pa.array([True, False, None]), [0]),
        ("no_ai=no", pa.array([True, False, None]), [1]),
        ("id=" + "0A" * 16, pa.array([b"\n" * 16, b"\0" * 16], pa.binary(16)), [0]),
        ("contamination=gsm8k", pa.array(["gsm8k:1", "ceval:2 gsm8k:1", "gsm8k_zh:1", None]), [0, 1]),
        ("title=12345678…", pa.array(["123456789", "1234567890", "12345678"]), [1]),
        ("title=1234567…", pa.array(["123456789", "1234567", "12345678x"]), [0, 2]),
    ],
)
def test_values_are_read_as_the_column_has_them(text: str, values: pa.Array, expected: list[int]) -> None:
    assert rows(text, values) == expected


@pytest.mark.parametrize(
    ("text", "values", "sentence"),
    [
        ("host", HOSTS, "'host': is no condition: write name=value"),
        ("=x", HOSTS, "'=x': is no condition"),
        ("tokens=many", pa.array([1]), "'tokens=many': tokens is a number; 'many' is none"),
        ("no_ai=perhaps", pa.array([True]), "no_ai is true, false or none"),
        ("no_ai<true", pa.array([True]), "no_ai is bool, which has no order"),
        ("id=12", pa.array([b"\0" * 16], pa.binary(16)), "id is an id of 32 hex digits"),
        ("tokens~1", pa.array([1]), "tokens is int64, and ~ looks for a piece of a text"),
    ],
)
def test_what_a_condition_cannot_say_is_a_sentence(text: str, values: pa.Array, sentence: str) -> None:
    with pytest.raises(ConfigError, match="^.*" + sentence.replace("'", ".").replace("(", ".")):
        rows(text, values)


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=8), st.text(max_size=3))
@example([None, "=", "=a"], "=")
def test_equal_and_not_equal_part_all_documents(values: list[str | None], value: str) -> None:
    column = pa.array(values, pa.string())

    same, other = (rows(condition, column) for condition in (equal("x", value), f"x!={value}"))

    assert sorted([*same, *other]) == list(range(len(values)))


@pytest.mark.parametrize("value", ["None", " none", "", "a*b", "tel 13800138000", "a\u202eb"])
def test_a_value_that_a_condition_would_read_otherwise_has_no_command(value: str) -> None:
    assert asked(of={"source": value}) is None


def test_a_value_that_begins_with_a_sign_is_asked_for_as_it_is() -> None:
    command = shlex.split(asked(of={"title": "=1+1"}) or "")

    assert rows(command[3], pa.array(["1+1", "=1+1", "==1+1"])) == [1]
