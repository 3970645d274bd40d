import math

import pyarrow as pa
import pytest

from stages.audit import kinds
from tests.stages.audit.counted import commands, facts_of, figures, rows, strings, tables
from tests.stages.audit.rows import frame

ROWS = [
    {"source": "a", "language": "zho_Hans", "script": "Hans", "format": "prose", "tokens": 60, "trained": 0},
    {"source": "a", "language": "zho_Hans", "script": "Hans", "format": "code", "tokens": 20, "trained": 40},
    {"source": "b", "language": "eng_Latn", "script": "Latn", "format": "code", "tokens": 20, "trained": 0},
    {"source": "b", "language": "mixed", "script": "Latn", "format": "prose", "tokens": 100, "trained": 10},
]
TOLD = ["zho_Hans:1.00", "zho_Hans:0.95 und:0.05", "eng_Latn:1.00", "eng_Latn:0.60 zho_Hans:0.40"]
SURE = [0.99, 0.49, 0.64, 0.65]
HOSTS = ["a.example.cn", "b.example.cn", "10.0.0.1", "c.example"]
DOCUMENTS = [{**row, "language_score": score, "host": host} for row, score, host in zip(ROWS, SURE, HOSTS, strict=True)]


@pytest.fixture
def kept() -> pa.Table:
    return frame(
        [{**row, "language_shares": told} for row, told in zip(DOCUMENTS, TOLD, strict=True)],
        language_shares=pa.string(),
    )


def test_shares_of_languages_stand_in_three_weightings(kept: pa.Table) -> None:
    told = figures(kinds.sections(facts_of(kept)))

    assert [told[f"language.zho_Hans.{one}"].value for one in ("documents", "tokens", "trained")] == [0.5, 0.4, 0.8]
    assert [told[f"script.Latn.{one}"].value for one in ("documents", "tokens", "trained")] == [0.5, 0.6, 0.2]
    assert told["language.zho_Hans.tokens"].command == "datapipe show DIR language=zho_Hans --kept"


def test_effective_numbers_are_the_exponential_of_the_entropy(kept: pa.Table) -> None:
    told = figures(kinds.sections(facts_of(kept)))

    assert told["formats.effective.documents"].value == pytest.approx(2)  # two halves
    assert told["scripts.effective.trained"].value == pytest.approx(
        math.exp(-0.8 * math.log(0.8) - 0.2 * math.log(0.2))
    )
    assert told["languages.effective.tokens"].value == pytest.approx(
        math.exp(-0.4 * math.log(0.4) - 0.1 * math.log(0.1) - 0.5 * math.log(0.5))
    )


def test_formats_are_crossed_with_languages_by_tokens(kept: pa.Table) -> None:
    made = tables(kinds.sections(facts_of(kept)))["kinds.language_format"]

    assert rows(made, "language", "format", "share", "tokens", "documents") == [
        ("mixed", "prose", 1.0, 100, 1),
        ("zho_Hans", "prose", 0.75, 60, 1),
        ("zho_Hans", "code", 0.25, 20, 1),
        ("eng_Latn", "code", 1.0, 20, 1),
    ]
    assert commands(made)[2] == "datapipe show DIR language=zho_Hans format=code --kept"


def test_mixed_documents_are_taken_apart_by_the_languages_inside_of_them(kept: pa.Table) -> None:
    made = tables(kinds.sections(facts_of(kept)))["kinds.composition"]

    # tokens: zho 60 + .95 * 20 + .4 * 100 = 119, eng 20 + .6 * 100 = 80, und .05 * 20 = 1; of 200
    assert rows(made, "language", "tokens_share") == [("zho_Hans", 0.595), ("eng_Latn", 0.4), ("und", 0.005)]
    assert dict(rows(made, "language", "documents_share"))["zho_Hans"] == pytest.approx(2.35 / 4)


def test_what_is_little_sure_or_changes_between_languages_is_said(kept: pa.Table) -> None:
    told = figures(kinds.sections(facts_of(kept)))

    assert told["language.unsure50.documents"].value == 0.25
    assert told["language.unsure65.documents"].value == 0.5  # 0.49 and 0.64, and not 0.65 itself
    assert told["language.unsure65.tokens"].value == 0.2
    assert told["language.switched.tokens"].value == 0.5
    assert told["language.switched.tokens"].command == "datapipe show DIR 'others>=10' --kept"


def test_documents_without_a_name_of_a_host_are_in_no_top_level_domain(kept: pa.Table) -> None:
    made = tables(kinds.sections(facts_of(kept)))["kinds.tld_script"]

    assert rows(made, "tld", "script", "tokens") == [("example", "Latn", 100), ("cn", "Hans", 80)]


def test_without_tokens_documents_are_weighed_by_characters() -> None:
    kept = frame(
        [{"source": "a", "language": "zho_Hans", "characters": 30}, {"language": "eng_Latn", "characters": 10}]
    )

    told = figures(kinds.sections(facts_of(kept)))

    assert told["language.zho_Hans.characters"].value == 0.75
    assert not any(key.endswith((".tokens", ".trained")) for key in told)


def test_a_run_without_labels_has_no_such_figures() -> None:
    (section,) = kinds.sections(facts_of(frame([{"source": "a", "tokens": 5, "trained": 5}])))

    assert section.figures == ()
    assert section.tables == ()


def test_what_came_to_the_quality_step_is_drawn_by_its_han() -> None:
    signals = pa.table(
        {
            "language": ["zho_Hans", "eng_Latn", "und"],
            "bytes": [30, 10, 5],
            "han_ratio": pa.array([0.6, 0.0, 0.0], pa.float32()),
            "han_latin_ratio": pa.array([0.8, 0.9, 0.0], pa.float32()),
        }
    )

    made = tables(kinds.sections(facts_of(frame([]), files={"signals/part-": signals})))["kinds.han"]

    assert [row for row in rows(made, "score", "documents", "bytes") if row[1]] == [(0.0, 1, 10), (0.75, 1, 30)]


def test_labels_and_sources_of_others_are_made_harmless_and_get_no_command() -> None:
    kept = frame(
        [{"source": "evil\u202ename", "language": "x\x1b[2J", "tokens": 5, "language_score": 0.3, "format": "prose"}]
    )

    (section,) = kinds.sections(facts_of(kept))

    assert not {"\u202e", "\x1b"} & set("".join(strings(section.model_dump())))
    assert set(commands(tables([section])["kinds.source_language"])) == {None}
    assert not any(figure.key.startswith("language.x") for figure in section.figures)
