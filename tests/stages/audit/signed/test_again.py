"""Numbers of a report computed again: by another way than the report's, and equal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import datapipe
from datapipe import Look, Note, looked
from datapipe.clean import clean, work_of
from datapipe.verify import verify
from stages.audit.command import make
from stages.audit.model import Audit
from stages.audit.signed.again import Data, Told, _gini, again, anew, asked_of, numbers, same, told
from stages.audit.standing import REPORT
from stages.audit.tables import Tables
from stages.corpus.corpus import Corpus
from stages.corpus.overlay import put_skip
from tests.stages.audit.conftest import CONFIG


def audit_of(folder: Path) -> Audit:
    return Audit.model_validate(json.loads((folder / REPORT).read_bytes())["audit"])


def wrong(folder: Path, audit: Audit, most: int | None) -> list[tuple[Told, object]]:
    """Returns the numbers that the data say otherwise, or of which they say nothing."""
    found = again(Tables(str(folder)), audit, most=most, seed=1)
    return [(one, value) for one, value in found if not isinstance(value, int | float) or not same(one.value, value)]


def test_numbers_are_what_the_data_say(finished: Path, told_audit: Audit) -> None:
    assert wrong(finished, told_audit, 24) == []


def test_another_number_is_not_the_same() -> None:
    assert same(7, 7)
    assert not same(7, 8)
    assert same(0.333333, 1 / 3)
    assert not same(0.3334, 1 / 3)


def test_a_number_that_no_command_tells_is_counted_among_the_others(told_audit: Audit) -> None:
    found, others = told(told_audit)

    whole = [value for _, _, value, _ in numbers(told_audit) if isinstance(value, int | float)]
    assert len(found) + others == len(whole)
    assert len(found) > 900
    assert len({one.place for one in found}) == len(found)


def test_a_command_of_a_report_is_read_as_show_reads_it() -> None:
    asked = asked_of("datapipe show DIR 'host=a b.cn' --stage quality --rule zh_length")

    assert (asked.stage, asked.rule, asked.kept, asked.left) == ("quality", "zh_length", False, True)
    assert [str(one) for one in asked.conditions] == ["host=a b.cn"]
    assert not asked_of("datapipe show DIR noted=pii_email --left").kept


def test_ginis_coefficient_is_that_of_its_definition(finished: Path) -> None:
    data = Data(Tables(str(finished)))
    sums = data.by_name("host", "tokens")

    mean = np.abs(sums[:, None] - sums[None, :]).mean() / (2 * sums.mean())
    assert _gini(data, "", "hosts", "tokens") == pytest.approx(mean)


@pytest.fixture(scope="module")
def told_audit(told: Path) -> Audit:
    """Returns the report on the shared run."""
    return audit_of(told)


@pytest.mark.heavy
def test_all_numbers_are_what_the_data_say_with_and_without_overlays(reported: Path) -> None:
    assert wrong(reported, audit_of(reported), None) == []
    assert list(anew(str(reported), audit_of(reported))) == []
    corpus = Corpus.open(str(reported))
    put_skip(corpus.folder, corpus.manifest, {"train": [(0, 3)]})
    make(str(reported), str(reported), executor="local")

    assert wrong(reported, audit_of(reported), None) == []
    assert list(anew(str(reported), audit_of(reported))) == []


@pytest.mark.heavy
def test_a_report_by_the_topics_of_another_is_made_anew_by_them(reported: Path, tmp_path: Path) -> None:
    model = tmp_path / "topics.json"
    shutil.copy(reported / "reports/topics.json", model)
    make(str(reported), str(reported), executor="local", topics=str(model), seed=3)

    assert list(anew(str(reported), audit_of(reported))) == []


@pytest.mark.heavy
def test_a_number_that_only_a_report_made_anew_tells_is_found(reported: Path) -> None:
    whole = json.loads((reported / REPORT).read_bytes())
    figure = next(f for s in whole["audit"]["sections"] for f in s["figures"] if f["low"] is not None)
    figure["low"] /= 2
    (reported / REPORT).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")

    faults = [one for one in looked(Look(str(reported), figures=None)) if not isinstance(one, Note)]

    assert any(f"{figure['key']} (low) is " in one and "in a report made anew" in one for one in faults)


@pytest.mark.heavy
def test_a_new_report_does_not_launder_what_was_forged_of_the_run(reported: Path) -> None:
    whole = json.loads((reported / REPORT).read_bytes())
    whole["stages"][3]["documents_out"] += 1
    (reported / REPORT).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    make(str(reported), str(reported), executor="local")

    assert f"{REPORT}: what it says of the run is not what the run wrote" in next(verify(str(reported)))


@pytest.mark.heavy
def test_what_people_and_commands_may_do_leaves_a_corpus_whole(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    datapipe.run(CONFIG, out=out, executor="local")
    assert list(verify(out)) == []
    make(out, out, executor="local")
    datapipe.run(CONFIG, out=out, executor="local")
    assert list(verify(out)) == []
    clean(work_of(out))
    corpus = Corpus.open(out)
    put_skip(corpus.folder, corpus.manifest, {"train": [(1, 2)]})
    make(out, out, executor="local")
    assert list(verify(out)) == []


@pytest.fixture
def reported(copied: Path, told: Path) -> Path:
    """Returns a copy of the run with its report, to be changed."""
    shutil.copytree(told / "reports", copied / "reports", dirs_exist_ok=True)
    return copied
