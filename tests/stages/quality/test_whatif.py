"""What `datapipe whatif` says of a finished run, against reruns with those limits."""

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

import datapipe
from datapipe import ConfigError, DataError
from stages.quality import whatif
from stages.quality.whatif import ask, describe

ENGLISH = "the harbour was quiet and the boats of the old town have come with nets that be dry to mend".split()
CHINESE = (
    "清晨的港口很安静船只都停靠在岸边好像从来没有离开过一位老人坐在台阶上补网我们向他问路的时候他没有抬头教堂后面有一条小路"
    "穿过几个园子一直通到山上在最后一个转弯的地方可以看到两边的海湾我们在那里待到中午带着面包和一瓶水谈起这些天来发现的东西"
)
HOSTS = ("a.example", "b.example", "c.example")


def text(number: int) -> str:
    """Returns a text of its own for each number: from too short to long, of few and many words, some with digits."""
    picks = hashlib.shake_128(str(number).encode()).digest(400)
    if number % 3 == 0:
        clauses = ["".join(CHINESE[pick % len(CHINESE)] for pick in picks[at : at + 9]) for at in range(0, 400, 10)]
        return "。\n".join(clauses[: 3 + number % 25]) + "。"
    words = [ENGLISH[pick % (2 + number % 17)] if pick > number % 90 else str(pick) for pick in picks]
    return ". ".join(" ".join(words[at : at + 9]) for at in range(0, 20 + 5 * (number % 40), 10)) + "."


def write(folder: Path) -> dict[str, Any]:
    """Writes two sources, and returns a config that reads them."""
    for source, numbers in (("one", range(120)), ("two", range(60, 200))):  # 60 documents are in both
        with open(folder / f"{source}.jsonl", "w", encoding="utf-8") as file:
            for number in numbers:
                url = f"https://{HOSTS[number % 3]}/{source}/{number}"
                file.write(json.dumps({"text": text(number), "url": url}, ensure_ascii=False) + "\n")
    sources = {name: {"path": str(folder / f"{name}.jsonl")} for name in ("one", "two")}
    return {"name": "asked", "steps": [{"ingest": {"sources": sources}}, "language", {"quality": {}}, "dedup"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("whatif")
    config = write(folder)
    datapipe.run(config, out=folder / "out", work=folder / "work", executor="local")
    return config, folder


def signals(out: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(out.glob("signals/part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def counted(rows: list[dict[str, Any]], name: str) -> dict[str, tuple[int, int]]:
    """Returns the documents that stayed, and their bytes, by a column."""
    documents, sizes = Counter[str](), Counter[str]()
    for row in rows:
        documents[row[name] or "(none)"] += row["rule"] is None
        sizes[row[name] or "(none)"] += row["bytes"] if row["rule"] is None else 0
    return {key: (amount, sizes[key]) for key, amount in documents.items()}


@pytest.mark.parametrize(
    "limits",
    [
        {"gopher_words": {"min": 90.0}},
        {"gopher_words": {"min": None, "max": 120.0}, "gopher_stop_words": {"min": 4.0}},
        {"zh_length": {"min": 100.0}, "zh_variety": {"min": None}, "gopher_top_2_gram": {"max": 0.25}},
        {"gopher_alphabetic_words": {"min": 0.6}, "zh_function": {"min": 0.15}, "gopher_hashes": {"max": None}},
    ],
    ids=["tighter", "other sides", "looser", "both"],
)
def test_says_exactly_what_a_rerun_keeps(
    finished: tuple[dict[str, Any], Path], limits: dict[str, dict[str, float | None]], tmp_path: Path
) -> None:
    config, folder = finished
    settings = [
        f"quality.rules.{rule}.{side}={'null' if limit is None else limit}"
        for rule, given in limits.items()
        for side, limit in given.items()
    ]

    answer = ask(str(folder / "out"), settings)
    rerun = datapipe.run(
        {**config, "steps": [*config["steps"][:2], {"quality": {"limits": limits}}, "dedup"]},
        out=tmp_path / "out",
        work=folder / "work",
        executor="local",
    )

    before, after = signals(folder / "out"), signals(tmp_path / "out")
    assert answer.total.documents.came == len(before) == len(after) == 260
    assert answer.total.documents.after == next(s for s in rerun.stages if s.stage == "quality").documents_out
    assert answer.total.documents.after != answer.total.documents.before
    for name in ("source", "language", "script", "host", "format"):
        held = answer.slices[name]
        assert {k: (s.documents.before, s.bytes.before) for k, s in held.items()} == counted(before, name)
        assert {k: (s.documents.after, s.bytes.after) for k, s in held.items()} == counted(after, name)
    counts = next(stage for stage in rerun.stages if stage.stage == "quality").counts
    for rule, fired in answer.rules.items():
        assert (fired.after, fired.sole_after) == (counts[f"fired.{rule}"], counts[f"sole.{rule}"])


def test_says_of_each_document_what_a_rerun_says(finished: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    # One document a host: what is counted by host is then said of each document.
    config, folder = finished
    rows = signals(folder / "out")
    copy = tmp_path / "copy"
    shutil.copytree(folder / "out", copy)
    for path in copy.glob("signals/part-*.parquet"):
        table = pq.read_table(path)
        hosts = pa.array([key.hex() for key in table.column("id").to_pylist()])
        pq.write_table(table.set_column(table.schema.get_field_index("host"), table.schema.field("host"), hosts), path)

    answer = ask(str(copy), ["quality.rules.gopher_words.min=100", "quality.rules.zh_variety=off"])
    limits = {"gopher_words": {"min": 100}, "zh_variety": {"min": None}}
    datapipe.run(
        {**config, "steps": [*config["steps"][:2], {"quality": {"limits": limits}}, "dedup"]},
        out=tmp_path / "out",
        work=folder / "work",
        executor="local",
    )

    rerun = {row["id"].hex(): row["rule"] is None for row in signals(tmp_path / "out")}
    assert len(rows) == len(rerun)
    assert {key: bool(held.documents.after) for key, held in answer.slices["host"].items()} == rerun


def test_later_steps_keep_what_they_kept_of_documents_that_stay_either_way(
    finished: tuple[dict[str, Any], Path],
) -> None:
    _, folder = finished
    report = json.loads((folder / "out" / "reports" / "report.json").read_bytes())
    dedup = next(stage for stage in report["stages"] if stage["stage"] == "dedup")

    (same,) = ask(str(folder / "out"), []).later
    (fewer,) = ask(str(folder / "out"), ["quality.rules.gopher_words.min=100"]).later
    (more,) = ask(str(folder / "out"), ["quality.rules.gopher_words.min=1", "quality.rules.zh_length.min=1"]).later

    assert (same.step, same.documents_before, same.documents, same.low, same.high) == (
        "dedup",
        dedup["documents_out"],
        *[dedup["documents_out"]] * 3,
    )
    assert fewer.low == fewer.documents == fewer.high < same.documents
    assert same.documents < more.low < more.documents < more.high


def test_an_estimate_is_the_share_of_the_stratum_and_its_interval_holds_the_truth(
    finished: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    # By hand: a stratum of which m stayed and k came through gives (k + 2) / (m + 4) for each new one.
    config, folder = finished
    setting = {"gopher_words": {"min": 1}}
    rows = signals(folder / "out")
    left = {
        row["id"]
        for path in (folder / "out" / "ledger").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
        if row["stage"] == "dedup" and row["action"] in ("drop", "duplicate_of")
    }

    answer = ask(str(folder / "out"), ["quality.rules.gopher_words.min=1"])
    rerun = datapipe.run(
        {**config, "steps": [*config["steps"][:2], {"quality": {"limits": setting}}, "dedup"]},
        out=tmp_path / "out",
        work=folder / "work",
        executor="local",
    )

    stayed = [row for row in rows if row["rule"] is None]
    ids = {row["id"] for row in stayed}
    new = [row for row in signals(tmp_path / "out") if row["rule"] is None and row["id"] not in ids]
    expected = float(sum(row["id"] not in left for row in stayed))
    for row in new:
        mine = [r for r in stayed if (r["source"], r["language"]) == (row["source"], row["language"])] or stayed
        expected += (sum(r["id"] not in left for r in mine) + 2) / (len(mine) + 4)
    (estimate,) = answer.later
    assert new
    assert estimate.documents == pytest.approx(expected)
    assert estimate.low <= rerun.stages[-1].documents_out <= estimate.high


def test_is_the_same_in_parts_and_small_batches(
    finished: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = finished
    settings = ["quality.rules.gopher_words.min=1", "quality.rules.zh_length.min=90"]
    whole = ask(str(folder / "out"), settings)

    monkeypatch.setattr(whatif, "IDS_AT_ONCE", 20)
    monkeypatch.setattr(whatif, "ROWS_AT_ONCE", 45)
    parts = ask(str(folder / "out"), settings)

    assert (parts.total, parts.slices, parts.rules) == (whole.total, whole.slices, whole.rules)
    assert parts.later[0].documents == pytest.approx(whole.later[0].documents)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("qualty.rules.gopher_words.min=1", r"no step that left signals is called 'qualty' \(did you mean 'quality'"),
        ("quality.rules.gopher_wrods.min=1", r"quality has no rule 'gopher_wrods' \(did you mean 'gopher_words'"),
        ("quality.rules.gopher_words.mim=1", r"'mim' is no side of a rule \(did you mean 'min'"),
        ("quality.rules.gopher_words=1", "give gopher_words.min, or =off"),
        ("quality.rules.gopher_words.min=much", "'much' is no number"),
        ("quality.rules.gopher_words.min=inf", "'inf' is no number"),
        ("quality.rules.gopher_words.min=1e9", "is above max"),
        ("quality.rules.gopher_words.pareto=9", "pareto draws its limit"),
        ("quality.gopher_words.min=1", "is not of the form"),
        ("quality.rules.gopher_words.min", "is not of the form"),
    ],
)
def test_says_what_is_wrong_with_a_setting(finished: tuple[dict[str, Any], Path], setting: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        ask(str(finished[1] / "out"), [setting])


def test_says_when_there_is_nothing_to_ask(finished: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no reports/report\.json"):
        ask(str(tmp_path), [])
    copy = tmp_path / "copy"
    shutil.copytree(finished[1] / "out", copy)
    shutil.rmtree(copy / "signals")
    with pytest.raises(ConfigError, match="holds no signals"):
        ask(str(copy), [])


def test_refuses_signals_that_are_not_those_of_their_verdicts(
    finished: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[1] / "out", copy)
    path = min(copy.glob("signals/part-*.parquet"))
    table = pq.read_table(path)
    words = pa.array([1] * table.num_rows, pa.int32())
    pq.write_table(table.set_column(table.schema.get_field_index("words"), table.schema.field("words"), words), path)

    with pytest.raises(DataError, match="not those of their own limits"):
        ask(str(copy), [])


def test_reads_its_own_files_alone_and_all_of_them(finished: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[1] / "out", copy)
    (copy / "signals" / "charsets-one-00000-of-00001.parquet").write_text("none of a quality step")
    answer = ask(str(copy), [])

    first, *others = sorted(copy.glob("signals/part-*.parquet"))
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"part-00000-of-00002\.parquet: is no whole Parquet file"):
        ask(str(copy), [])
    first.unlink()
    with pytest.raises(DataError, match="the report says that 260 were judged: files are missing or of another run"):
        ask(str(copy), [])
    assert len(others) == 1
    assert answer == ask(str(finished[1] / "out"), [])


def test_documents_that_were_set_aside_are_not_missed(finished: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    # As the engine counts a record that ends its worker: it came to the first step of its task, and left there.
    copy = tmp_path / "copy"
    shutil.copytree(finished[1] / "out", copy)
    path = copy / "reports" / "report.json"
    report = json.loads(path.read_bytes())
    stage = next(stage for stage in report["stages"] if stage["stage"] == "quality")
    stage["documents_in"] += 1
    stage["dropped"] += 1
    stage["rules"].append({"action": "quarantine", "rule": "crashed", "documents": 1})
    path.write_text(json.dumps(report), encoding="utf-8")

    assert ask(str(copy), []) == ask(str(finished[1] / "out"), [])


def test_the_command_prints_tables_or_json(finished: tuple[dict[str, Any], Path]) -> None:
    app = typer.Typer()
    app.command()(whatif.whatif)
    given = [str(finished[1] / "out"), "--set", "quality.rules.gopher_words.min=60"]

    shown = CliRunner().invoke(app, [*given, "--by", "host", "--top", "2"], catch_exceptions=False)
    told = json.loads(CliRunner().invoke(app, [*given, "--json"], catch_exceptions=False).stdout)

    assert shown.exit_code == 0
    assert "quality, exact:" in shown.stdout
    assert " by host, 2 of 3" in shown.stdout
    assert "after dedup, estimate:" in shown.stdout
    assert told["documents"]["came"] == 260
    assert sum(held["documents"]["after"] for held in told["by"]["source"].values()) == told["documents"]["after"]
    assert list(told["by"]) == ["source", "language", "script", "host"]
    with pytest.raises(ConfigError, match=r"--by langauge: is none of what is counted \(did you mean"):
        CliRunner().invoke(app, [given[0], "--by", "langauge"], catch_exceptions=False)


def test_a_second_quality_step_has_signals_and_a_name_of_its_own(tmp_path: Path) -> None:
    config = write(tmp_path)
    second = {"quality": {"limits": {"gopher_words": {"min": 80}}}}

    datapipe.run(
        {**config, "steps": [*config["steps"][:3], second]}, out=tmp_path / "out", work=tmp_path / "w", executor="local"
    )

    first = ask(str(tmp_path / "out"), ["quality.rules.gopher_words.min=70"])
    again = ask(str(tmp_path / "out"), ["quality-2.rules.gopher_words.min=90"])
    assert {path.name.split("-")[0] for path in (tmp_path / "out" / "signals").iterdir()} >= {"part", "quality2"}
    assert first.total.documents.before == again.total.documents.came
    assert first.later[0].step == "quality-2"
    assert first.later[0].documents_before == again.total.documents.before
    assert again.total.documents.after < again.total.documents.before
    with pytest.raises(ConfigError, match="several steps left signals"):
        ask(str(tmp_path / "out"), [])
    with pytest.raises(ConfigError, match="ask for one step at a time"):
        ask(str(tmp_path / "out"), ["quality.rules.gopher_words.min=1", "quality-2.rules.gopher_words.min=1"])


def test_rules_on_lines_need_a_rerun(tmp_path: Path) -> None:
    config = write(tmp_path)
    limits = {"c4_language": {"min": None}}
    quality = {"quality": {"profiles": {"eng_Latn": "c4"}, "limits": limits}}

    datapipe.run({**config, "steps": [*config["steps"][:2], quality]}, out=tmp_path / "out", executor="local")

    answer = ask(str(tmp_path / "out"), ["quality.rules.c4_sentences.min=9"])
    assert (
        answer.slices["language"]["eng_Latn"].documents.after < answer.slices["language"]["eng_Latn"].documents.before
    )
    for name in ("c4_words.min=2", "c4_citations=off"):
        with pytest.raises(ConfigError, match="works on lines, which signals do not hold: run again"):
            ask(str(tmp_path / "out"), [f"quality.rules.{name}"])


def test_the_lines_say_estimate_where_it_is_one(finished: tuple[dict[str, Any], Path]) -> None:
    lines = list(describe(ask(str(finished[1] / "out"), ["quality.rules.gopher_words.min=1"]), ("source",), 5))

    assert [line for line in lines if line.startswith("after")] == [line for line in lines if "estimate" in line]
