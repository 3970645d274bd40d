"""Watching a run: what finished shards hold, when a share has left its band, and what is said of it."""

import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import LEDGER, ConfigError, driver
from stages.audit.gates import parse
from stages.audit.measures import wilson
from stages.audit.watch import seen
from stages.audit.watch.bets import FRACTIONS, FULL, Bets
from stages.audit.watch.command import Told, Watched, watch
from stages.audit.watch.held import Against, Held
from stages.audit.watch.like import Band, Like, Taken, like
from stages.audit.watch.limits import Limit, limit_of
from stages.audit.watch.seen import LEDGER_COLUMNS, Diversity, Part, Place, part_of
from stages.audit.watch.view import View, lines
from tests.stages.audit import watched

SHARDS, LOOK_AT = 14, 10


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The documents of a run, and the folder of a finished run that took a tenth of them."""
    root = tmp_path_factory.mktemp("earlier")
    documents = watched.write_documents(root / "in", SHARDS)
    watched.run(documents, root / "out")
    return documents, root / "out"


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets drivers speak all the time."""
    monkeypatch.setattr(driver, "BEAT_SECONDS", 0.02)


def look_within(
    out: Path, documents: str, least: int, does: Callable[[], object], *, tasks: int = LOOK_AT, **place: bool
) -> None:
    """Runs the pipeline, and does something when so many tasks are done."""
    watched.run(documents, out, least, watched.After(out, tasks, does), **place)


# Bets


def test_a_capital_is_that_of_the_bets_by_hand() -> None:
    bets = Bets(np.array([0.1, 0.5]))

    for share, documents in ((0.3, 500), (0.0, 20)):
        bets.add(share, documents)

    def capital(border: float) -> float:  # the second shard counts for a fifth
        each = [(1 + g * (0.3 / border - 1)) * (1 + g * 0.2 * (0.0 / border - 1)) for g in FRACTIONS.tolist()]
        return math.fsum(each) / len(each)

    assert FULL == 100
    assert np.exp(bets.evidence()).tolist() == pytest.approx([capital(0.1), capital(0.5)])


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 1000)), max_size=30), st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_shards_does_not_matter(shards: list[tuple[float, int]], random: Any) -> None:
    one, other = Bets(np.array([0.05, 0.3])), Bets(np.array([0.05, 0.3]))
    mixed = list(shards)
    random.shuffle(mixed)

    for bets, its in ((one, shards), (other, mixed)):
        for share, documents in its:
            bets.add(share, documents)

    assert one.evidence().tolist() == pytest.approx(other.evidence().tolist())


def test_of_runs_at_their_border_no_more_than_promised_are_ever_warned_of_though_files_hang_together() -> None:
    rng, runs, border = np.random.default_rng(8), 4000, 0.1
    bets, most = Bets(np.full(runs, border)), np.zeros(runs)
    taken, came, naive = np.zeros(runs), 0, np.zeros(runs, bool)

    for _ in range(60):  # shards of 400 documents whose shares scatter with a deviation of .13 about the border
        shares = rng.binomial(400, rng.beta(border * 4, (1 - border) * 4, runs)) / 400
        bets.add(shares, 400)
        most = np.maximum(most, bets.evidence())
        taken, came = taken + 400 * shares, came + 400
        naive |= np.array([wilson(one, came).low > border for one in taken[:200]]).repeat(runs // 200)

    promised = 0.05
    sampling = 3 * math.sqrt(promised * (1 - promised) / runs)
    assert (most >= math.log(1 / promised)).mean() <= promised + sampling
    assert naive.mean() > 0.5  # intervals of single documents, looked at again and again


def test_no_single_shard_raises_an_alarm() -> None:
    bets = Bets(np.array([0.05]))

    bets.add(1.0, 10_000_000)

    assert bets.evidence()[0] < math.log(20)


# Bands


def test_a_rule_of_two_words_is_held_as_any_other() -> None:
    earlier = Like("", ("few",), {("few", "drop.two words"): {"web": Taken(10, 1000)}}, {})
    against = Against(earlier, 0.05)
    labels = ("web", None, None, None, None)

    for _ in range(5):
        against.add(Part(Place("few"), {(labels, ""): 50, (labels, "drop.two words"): 50}))

    assert [(one.name, one.left) for one in against.readings(())] == [("rule.few.two words", True)]


def held(**bands: tuple[float, float]) -> Held:
    """Returns a share with these bands by source."""
    return Held("rule.quality.short", "", "quality", {name: Band(*band) for name, band in bands.items()})


def test_what_is_expected_is_that_of_the_sources_that_came() -> None:
    share = held(news=(0.0, 0.2), forum=(0.4, 0.6))

    for _ in range(30):  # three quarters of what comes are of the source of which most is taken
        share.add({"forum": 150, "news": 10}, {"forum": 300, "news": 100})

    reading = share.reading(2.0, ended=False)
    assert reading is not None
    assert (reading.low, reading.high) == pytest.approx((0.3, 0.5))
    assert (reading.side, reading.left) == ("within", False)  # 40 %: above what is expected of news and forum in halves
    assert reading.seen.value == pytest.approx(0.4)


def test_a_share_leaves_its_band_when_shards_agree_and_where_everything_was_seen_at_once() -> None:
    share = held(news=(0.0, 0.1))
    left = []

    for _ in range(12):
        share.add({"news": 60}, {"news": 200})
        readings = [share.reading(2.0, ended=ended) for ended in (False, True)]
        left.append(tuple(one is not None and one.left for one in readings))

    # A fortieth of the capital has .95 at stake and gains 2 of it a shard, on all sources and on this: 2.9^n / 20.
    assert left.index((True, True)) in (5, 6, 7)
    assert left[0] == (False, True)


def test_the_capital_is_bet_on_both_sides_half_on_all_sources_at_once_and_half_on_each() -> None:
    share = held(news=(0.2, 0.25), forum=(0.4, 0.5))

    share.add({"news": 90, "forum": 30}, {"news": 300, "forum": 100})

    def capital(*gains: float) -> float:  # by sides
        return math.fsum(1 + g * gain for gain in gains for g in FRACTIONS.tolist()) / len(gains) / len(FRACTIONS)

    news, forum = (0.3 / 0.25 - 1, 0.7 / 0.8 - 1), (0.3 / 0.5 - 1, 0.7 / 0.6 - 1)
    both = [0.75 * one + 0.25 * other for one, other in zip(news, forum, strict=True)]
    by_hand = (capital(*both) + (capital(*news) + capital(*forum)) / 2) / 2
    reading = share.reading(2.0, ended=False)
    assert reading is not None
    assert 10**reading.evidence == pytest.approx(by_hand)


@pytest.mark.parametrize("taken", [0, 200])
def test_bands_have_two_sides(taken: int) -> None:
    share = held(news=(0.4, 0.6))

    for _ in range(20):
        share.add({"news": taken}, {"news": 200})

    reading = share.reading(2.0, ended=False)
    assert reading is not None
    assert (reading.side, reading.left) == ("above" if taken else "below", True)


def test_an_earlier_run_gives_its_interval_and_the_tolerance() -> None:
    rate = wilson(30, 1000)

    band = Taken(30, 1000).band(0.02)

    assert (band.low, band.high) == pytest.approx((max(0.0, rate.low - 0.02), rate.high + 0.02))


def test_an_earlier_run_is_counted_by_source(earlier: tuple[str, Path]) -> None:
    found = like(str(earlier[1]))

    by_language = [found.groups["few", "language", name] for name in watched.LANGUAGES]
    assert found.stages == ("few", "write")
    assert found.labels["source"] == {"source0", "source1"}
    assert found.rules == {("few", "drop.few"): {name: Taken(70, 700) for name in ("source0", "source1")}}
    assert sum(one.came for its in by_language for one in its.values()) == 1400
    assert sum(one.taken for its in by_language for one in its.values()) == 140


# What shards hold


def ledger(*rows: dict[str, Any]) -> pa.Table:  # Any: values of columns
    """Returns rows of the ledger, the columns that are read."""
    schema = pa.schema([LEDGER.field(name) for name in LEDGER.names if name in LEDGER_COLUMNS])
    return pa.Table.from_pylist(list(rows), schema=schema)


def test_a_shard_is_summed_up_and_what_no_document_was_is_left_out() -> None:
    rows = pa.table(
        {"source": ["a", "a", "b"], "language": ["zho_Hans", None, "eng_Latn"], "host": ["x.cn", "x.cn", None]}
    )
    gone = ledger(
        {"action": "drop", "rule": "short", "source": "a", "language": "zho_Hans", "bytes": 7},
        {"action": "also", "rule": "long", "source": "a"},
        {"action": "split", "rule": "halves", "source": "b"},
        {"action": "quarantine", "rule": "unreadable", "source": "b"},  # a file
        {"action": "quarantine", "rule": "raised", "source": "b", "bytes": 3},
    )

    part = part_of(rows, gone, Place("quality"))

    by_end: dict[str, int] = {}
    for (_, how), amount in part.documents.items():
        by_end[how] = by_end.get(how, 0) + amount
    assert by_end == {"": 3, "drop.short": 1, "split": 1, "quarantine.raised": 1}
    assert part.documents[("a", "zho_Hans", None, None, "cn"), ""] == 1
    assert part.hosts == {"x.cn": 2}
    assert part.known == {"source", "language", "tld"}


def test_hosts_beyond_those_that_are_held_are_counted_without_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "HOSTS", 1000)
    diversity = Diversity()

    diversity.add(Part(Place("quality"), {}, {f"h{number}": 2 for number in range(1000)}))
    diversity.add(Part(Place("quality"), {}, {"large": 50, "h0": 7}))

    counts, times = diversity.counts("host")
    assert len(diversity.hosts) == 500
    assert diversity.largest("host", 2) == ["large", "h0"]
    assert sum(count * time for count, time in zip(counts, times, strict=True)) == 2057


# Gates


def part(stage: str, stayed: int, left: int, label: str = "zho_Hant", hosts: dict[str, int] | None = None) -> Part:
    """Returns a shard of one language."""
    labels = ("a", label, None, None, None)
    return Part(Place(stage), {(labels, ""): stayed, (labels, "drop.short"): left}, hosts or {})


def limit(text: str) -> Limit:
    """Returns the limit of a gate."""
    made = limit_of(parse(text), ["ingest", "quality", "dedup_lines", "dedup"])
    assert isinstance(made, Limit)
    return made


@pytest.mark.parametrize(
    ("text", "kind", "stage", "name", "axis"),
    [
        ("rule.quality.zh_length < .1", "rule", "quality", "zh_length", ""),
        ("rule.dedup_lines.a.b < .1", "rule", "dedup_lines", "a.b", ""),
        ("drop.dedup < 40%", "drop", "dedup", "", ""),
        ("survival.zho_Hant > .7", "survival", "", "zho_Hant", ""),
        ("survival.tld.tw > .7", "survival", "", "tw", "tld"),
        ("hosts.top10.documents < .15", "host", "", "top10", "host"),
        ("languages.zho_Hant > .01", "language", "", "zho_Hant", "language"),
        ("source.effective > 3", "source", "", "effective", "source"),
    ],
)
def test_gates_name_what_a_run_that_goes_on_can_tell(text: str, kind: str, stage: str, name: str, axis: str) -> None:
    made = limit(text)

    assert (made.kind, made.stage, made.name, made.axis) == (kind, stage, name, axis)


@pytest.mark.parametrize("text", ["hosts.gini.tokens < .9", "host.example.cn < .1", "risk.pii < 1"])
def test_what_only_a_report_tells_is_not_watched_and_says_so(text: str) -> None:
    assert "a run that goes on does not tell it" in str(limit_of(parse(text), ["quality"]))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rule.qualty.short < .1", r"no stage of this run is meant; write rule\.STAGE\.RULE, of: quality"),
        ("rule.quality < .1", r"write rule\.STAGE\.RULE"),
        ("drop.quality.short < .1", r"write drop\.STAGE"),
        ("drop.quality = .1", r"is held to < and >"),
    ],
)
def test_a_gate_that_cannot_be_meant_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        limit_of(parse(text, place="gates.yaml: line 3"), ["quality"])


def test_the_survival_of_a_group_is_that_of_all_its_stages_together() -> None:
    broken = limit("survival.zho_Hant > .5")
    kept = limit("survival.zho_Hant > .3")

    for made in (broken, kept):
        for _ in range(400):  # .6 · .7 = .42, at neither stage below one half
            made.add(part("quality", 60, 40), Diversity())
            made.add(part("dedup", 70, 30), Diversity())

    found = [_broken(made) for made in (broken, kept)]
    assert found == [True, False]


def _broken(made: Limit) -> bool:
    left = 1.0
    for bets in made.bets.values():
        left *= 1 - float(bets.borders[bets.evidence() / math.log(10) >= 2].max(initial=0.0))
    return left < made.gate.limit


def test_the_largest_hosts_are_those_before_the_shard_that_is_bet_on() -> None:
    alike, spread = limit("host.top1 < .3"), limit("host.top1 < .3")
    before, other = Diversity(), Diversity()

    for number in range(20):  # one host has a half of each shard; or each shard has a host of its own, as files have
        same, own = (
            part("quality", 100, 0, hosts={name: 50, **{f"{number}-{i}": 1 for i in range(50)}})
            for name in ("a", f"b{number}")
        )
        alike.add(same, before)
        spread.add(own, other)
        before.add(same)
        other.add(own)

    assert alike.bets["quality"].evidence()[0] > math.log(100)
    assert spread.bets["quality"].evidence()[0] < 0


# A run that goes on


@pytest.mark.usefixtures("often")
def test_a_rule_that_went_mad_is_warned_of_while_the_run_goes_on_and_the_same_run_again_is_not(
    earlier: tuple[str, Path], tmp_path: Path
) -> None:
    documents, before = earlier
    gates = tmp_path / "gates.yaml"
    gates.write_text("- gate: rule.few.few < 20%\n  why: as agreed\n- survival.tld.example > 85%\n- hosts.gini < .9\n")
    views: dict[int, View] = {}

    def look(least: int) -> None:
        out = str(tmp_path / f"out{least}")
        views[least] = Watched(out, gates=str(gates), like=str(before)).look()
        with pytest.raises(typer.Exit):
            watch(out, like=str(before), once=True, stop=True)

    heard: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        for least in (2, 6):  # the limit that was, and one that takes a half
            look_within(tmp_path / f"out{least}", documents, least, lambda least=least: look(least))
    finally:
        signal.signal(signal.SIGINT, usual)

    same, mad = views[2], views[6]
    said = list(lines(mad))
    assert (same.status.state, [one.name for one in same.left]) == ("running", [])
    assert {one.side for one in same.readings} == {"within"}
    assert heard == [signal.SIGINT]  # by the second, that was told to stop its run
    assert {"rule.few.few", "survival.tld.example"} <= {one.name for one in mad.left}
    assert len([one for one in mad.left if one.name == "rule.few.few"]) == 2  # by the gate and by the earlier run
    assert mad.seen.diversity["few"].documents == LOOK_AT * 50
    assert any(line.startswith("! rule.few.few: above its band. ") for line in said)
    assert any(f"kill -INT {os.getpid()} (or Ctrl-C there" in line for line in said)
    assert any("not watched: hosts.gini < 0.9: a run that goes on does not tell it" in line for line in said)
    assert any(
        line.split() == ["few", f"{LOOK_AT}", "of", f"{SHARDS}", "1,000", "0", "500", "500", "50.0%"] for line in said
    )


@pytest.mark.usefixtures("often")
def test_shards_are_read_once_and_a_second_look_reads_what_is_new(earlier: tuple[str, Path], tmp_path: Path) -> None:
    one: list[Watched] = []

    def look() -> None:
        one.append(Watched(str(tmp_path / "out")))
        one[0].look()

    look_within(tmp_path / "out", earlier[0], 2, look, tasks=6)
    read, early = one[0].seen.follower.bytes_read, dict(one[0].seen.shards)
    view = one[0].look()
    again = one[0].look()

    fresh = Watched(str(tmp_path / "out")).look()
    assert early == {Place("few"): 6}
    assert dict(view.seen.shards) == {Place("few"): SHARDS}
    assert again.seen.follower.bytes_read < read * SHARDS / 5
    assert [view.to_json()[key] for key in ("diversity", "groups")] == [
        fresh.to_json()[key] for key in ("diversity", "groups")
    ]


def test_a_run_of_which_a_part_was_read_says_so_and_reads_on(earlier: tuple[str, Path]) -> None:
    one = Watched(str(earlier[1]))

    behind = one.look(0.0).behind
    rest = one.look()

    assert behind
    assert not rest.behind
    assert rest.seen.shards[Place("few")] == SHARDS


def test_a_run_whose_shards_are_removed_shows_what_its_driver_counted(
    earlier: tuple[str, Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(earlier[1], tmp_path / "out"))
    for step in (out / "work").glob("few-*"):
        shutil.rmtree(step)

    said = list(lines(Watched(str(out), str(out / "work"), like=str(earlier[1])).look()))

    assert any(line.split() == ["few", "14", "of", "14", "1,400", "0", "140", "1,260", "10.0%"] for line in said)
    assert not any("diversity" in line for line in said)


def test_a_finished_run_ends_the_watch_with_the_state_of_its_bands(
    earlier: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(earlier[1])
    kept, broken = tmp_path / "kept.yaml", tmp_path / "broken.yaml"
    kept.write_text("- drop.few < 11%\n- language.zho_Hant > 30%\n")
    broken.write_text("- drop.few < 9%\n")
    status = {}

    for name, gates, once in (
        ("kept", kept, True),
        ("broken", broken, True),
        ("ended", kept, False),
        ("bad", broken, False),
    ):
        with pytest.raises(typer.Exit) as leaving:
            watch(folder, gates=str(gates), once=once)
        status[name] = leaving.value.exit_code
    with pytest.raises(typer.Exit):
        watch(folder, once=True, as_json=True)

    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status == {"kept": 0, "broken": 1, "ended": 0, "bad": 1}
    assert told["status"]["state"] == "finished"
    assert told["rules"] == [
        {"stage": "few", "action": "drop", "rule": "few", "documents": 140, "of": 1400, **wilson(140, 1400)._asdict()}
    ]


def test_a_gate_of_which_nothing_was_seen_fails_at_the_end_and_says_why(
    earlier: tuple[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "gates.yaml").write_text("- survival.jpn_Jpan > 50%\n- rule.few.few_words < 20%\n")

    view = Watched(str(earlier[1]), gates=str(tmp_path / "gates.yaml")).look()

    left = {one.name: one for one in view.left}
    assert left["survival.jpn_Jpan"].to_json()["seen"]["value"] is None
    assert left["rule.few.few_words"].what.endswith("few has no rule few_words by which anybody left; near it are: few")
    assert "! survival.jpn_Jpan: not told. survival.jpn_Jpan > 0.5: nothing was seen yet of jpn_Jpan" in lines(view)


def test_a_run_that_has_just_begun_is_held_to_its_gates_when_its_steps_are_known(
    earlier: tuple[str, Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(earlier[1], tmp_path / "out"))
    path = next((out / "work/drivers").iterdir())
    said = json.loads(path.read_text())
    begun = {**said, "status": "running", "updated": time.time(), "pid": os.getpid(), "steps": {}, "wave": {}}
    (tmp_path / "gates.yaml").write_text("- drop.few < 9%\n")

    path.write_text(json.dumps(begun))
    one = Watched(str(out), str(out / "work"), gates=str(tmp_path / "gates.yaml"))
    first = one.look()
    path.write_text(json.dumps(said))
    then = one.look()

    assert (first.status.state, first.readings) == ("running", ())
    assert "running" in next(lines(first))
    assert [reading.name for reading in then.left] == ["drop.few"]


def test_a_run_that_died_is_shown_as_it_was_and_fails_the_watch(earlier: tuple[str, Path], tmp_path: Path) -> None:
    out = Path(shutil.copytree(earlier[1], tmp_path / "out"))
    path = next((out / "work/drivers").iterdir())
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "running", "pid": 1, "updated": 0}))

    with pytest.raises(typer.Exit) as leaving:
        watch(str(out), work=str(out / "work"))

    assert leaving.value.exit_code == 1


def test_without_a_driver_or_with_one_of_an_earlier_datapipe_steps_are_shown(
    earlier: tuple[str, Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(earlier[1], tmp_path / "out"))
    path = next((out / "work/drivers").iterdir())
    said = json.loads(path.read_text())
    for step in said["steps"].values():
        step.pop("flow", None)
    path.write_text(json.dumps(said))

    old = list(lines(Watched(str(out), str(out / "work")).look()))
    path.unlink()
    none = list(lines(Watched(str(out), str(out / "work")).look()))

    for shown in (old, none):
        assert any("says nothing of documents" in line for line in shown)
        assert any(line.strip().endswith("14 of 14") or line.strip().endswith("14 of unknown") for line in shown)


def test_names_that_pages_chose_are_made_harmless(tmp_path: Path) -> None:
    folder = tmp_path / "in/so\u202eurce"
    folder.mkdir(parents=True)
    (folder / "0.tsv").write_text("evil\u202e\x1b[2J.example\tzho_\x1b[31mHans\tone two three\nh\teng_Latn\tone\n")
    watched.run(str(tmp_path / "in"), tmp_path / "out")

    shown = "\n".join(lines(Watched(str(tmp_path / "out"), like=str(tmp_path / "out")).look()))

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "zho_\\u001b[31mHans" in shown


def test_a_driver_that_is_elsewhere_is_not_stopped_but_its_command_is_said(
    earlier: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(earlier[1], tmp_path / "out"))
    path = next((out / "work/drivers").iterdir())
    said = {**json.loads(path.read_text()), "status": "running", "host": "elsewhere", "pid": 7, "updated": time.time()}
    path.write_text(json.dumps(said))
    (tmp_path / "gates.yaml").write_text("- drop.few < 9%\n")

    with pytest.raises(typer.Exit) as leaving:
        watch(str(out), work=str(out / "work"), gates=str(tmp_path / "gates.yaml"), once=True, stop=True)

    assert leaving.value.exit_code == 1
    assert "its driver is no known process of this machine; kill -INT 7 on elsewhere" in capsys.readouterr().err


def test_where_no_terminal_is_what_is_new_is_said_once(
    earlier: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "gates.yaml").write_text("- drop.few < 9%\n")
    view = Watched(str(earlier[1]), gates=str(tmp_path / "gates.yaml")).look()
    tells = Told()

    for _ in range(3):
        tells(view)

    assert capsys.readouterr().out.count("! drop.few: above its band") == 1


def test_a_folder_without_a_run_and_gates_that_are_none_are_sentences(
    earlier: tuple[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "gates.yaml").write_text("- nothing\n")

    with pytest.raises(ConfigError, match="no run has been here"):
        Watched(str(tmp_path))
    with pytest.raises(ConfigError, match="is no gate"):
        Watched(str(earlier[1]), gates=str(tmp_path / "gates.yaml"))
    with pytest.raises(ConfigError, match="holds no finished run"):
        Watched(str(earlier[1]), like=str(tmp_path))


def test_what_an_earlier_run_did_not_have_is_named_and_held_against_nothing(
    earlier: tuple[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "in/other"
    folder.mkdir(parents=True)
    (folder / "0.tsv").write_text("h.example\tdeu_Latn\tein\n" * 200)
    watched.run(str(tmp_path / "in"), tmp_path / "out")

    view = Watched(str(tmp_path / "out"), like=str(earlier[1])).look()

    assert view.readings == ()
    assert view.unknown == {"language": ("deu_Latn",), "source": ("other",)}
    assert "not in the earlier run: source other" in "\n".join(lines(view))
