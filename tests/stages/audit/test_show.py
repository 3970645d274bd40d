import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from datapipe import ID, ConfigError
from stages.audit.draw import hashes
from stages.audit.matching import Asked, _Search
from stages.audit.show import describe, found_in, show
from stages.audit.tables import Tables
from stages.corpus import Corpus
from stages.corpus.index import segments
from stages.corpus.overlay import PIECES, put_remove, put_skip
from stages.write import line
from tests.stages.audit.folders import key, placed, written

HOSTILE = "\x1b[2J</script><b>\u202e天 lin@site.cn"
KEPT = [
    {
        "id": key(n),
        "source": "web",
        "url": f"https://a.cn/{n}?tel=13800138000",
        "host": "a.cn" if n < 6 else "b.cn",
        "language": "zho_Hans" if n % 2 else "eng_Latn",
        "title": HOSTILE,
        "text": f"第{n}篇\n电话 13800138000",
        "quality": n / 10,
        "crawl_time": 1_700_000_000,
    }
    for n in range(8)
]
LEFT: list[dict[str, Any]] = [
    {
        "id": key(10 + n),
        "stage": "quality",
        "action": "drop",
        "rule": "short",
        "value": float(n),
        "limit": 5.0,
        "source": "web",
        "url": HOSTILE,
        "host": "a.cn",
        "language": "zho_Hant",
        "note": HOSTILE,
    }
    for n in range(4)
]
LEDGER: list[dict[str, Any]] = [
    *LEFT,
    {"id": key(10), "stage": "quality", "action": "also", "rule": "dense", "value": 1.0, "limit": 2.0},
    {"id": key(10), "stage": "repair", "action": "also", "rule": "other"},
    {"id": key(11), "stage": "quality", "action": "also", "rule": "dense"},
    {"id": key(0), "stage": "repair", "action": "repair", "rule": "tags"},
    {"id": key(12), "stage": "repair", "action": "repair", "rule": "tags"},
    {
        "id": key(20),
        "stage": "dedup",
        "action": "duplicate_of",
        "rule": "minhash",
        "other": key(1),
        "similarity": 0.875,
    },
    {"id": key(21), "stage": "ingest", "action": "quarantine", "rule": "unreadable", "note": "a.gz: cut off"},
    {"id": key(22), "stage": "pii", "action": "split", "rule": "part", "other": key(1)},
]
RULES = {"ingest": ["unreadable"], "repair": ["tags"], "quality": ["short", "dense"], "dedup": ["minhash"]}
SIGNALS = [{"id": key(n), "han_ratio": n / 100} for n in range(20)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("run")
    return str(placed(written(folder, KEPT, LEDGER, signals=SIGNALS, rules=RULES, set_aside=1)))


def counted(folder: str, *where: str, **how: Any) -> tuple[int, int]:
    found = found_in(folder, where, n=0, **how)
    return found["kept"], found["left"]


@pytest.mark.parametrize(
    ("where", "how", "expected"),
    [
        ((), {}, (8, 5)),  # neither the file that could not be read nor the part that a stage made
        ((), {"kept": True}, (8, 0)),
        ((), {"kept": False}, (0, 5)),
        (("host=a.cn",), {}, (6, 4)),
        (("host=a.cn", "language=zho_Hans"), {}, (3, 0)),
        (("host=none",), {}, (0, 1)),
        (("quality<0.35",), {}, (4, 0)),
        (("quality=none",), {}, (0, 5)),
        (("tld=cn",), {}, (8, 4)),
        (("month=2023-11",), {}, (8, 0)),
        (("left=true",), {}, (0, 5)),
        ((), {"stage": "quality"}, (0, 4)),
        (("value>=2",), {"stage": "quality", "rule": "short"}, (0, 2)),
        (("action=duplicate_of", "similarity>0.8"), {}, (0, 1)),
        (("stage=quality", "rule=short"), {}, (0, 4)),
        (("broken=1",), {"stage": "quality"}, (0, 2)),
        (("broken=2",), {}, (0, 2)),
        (("noted=dense",), {}, (0, 2)),
        (("noted=tags",), {}, (1, 1)),
        (("noted=tags",), {"stage": "repair"}, (1, 1)),
        (("noted!=tags",), {}, (7, 4)),
        (("host_documents>=5",), {}, (6, 4)),
        (("host_kept<6",), {}, (2, 0)),
        (("han_ratio<0.03",), {}, (3, 0)),
        (("han_ratio>=0.05", "host=a.cn"), {}, (1, 4)),
        (("url=*tel=13800138000",), {}, (8, 0)),
        (("url~a.cn/3",), {}, (1, 0)),
        (("id=" + key(3).hex(),), {}, (1, 0)),
        (("id=" + key(12).hex(),), {}, (0, 1)),
    ],
)
def test_counts_the_documents_of_which_all_is_so(
    where: tuple[str, ...], how: dict[str, Any], expected: tuple[int, int], run: str
) -> None:
    assert counted(run, *where, **how) == expected


def test_what_a_report_shows_of_a_hostile_value_finds_its_documents(run: str) -> None:
    (shown,) = {one["url"] for one in found_in(run, kept=False, stage="quality")["documents"]}

    assert shown == "\\u001b[2J</script><b>\\u202e天 <EMAIL>"
    assert counted(run, f"url={shown}") == (0, 4)


def test_draws_those_of_least_hash_of_seed_and_id(run: str) -> None:
    ids = [row["id"] for row in [*KEPT, *LEFT]] + [key(20)]
    for seed in (0, 7):
        order = sorted(zip(hashes(pa.array(ids, ID), seed).tolist(), ids, strict=True))

        found = found_in(run, n=5, seed=seed)

        assert [one["id"] for one in found["documents"]] == [one.hex() for _, one in order[:5]]
        assert found["documents_matching"] == 13


def test_the_same_documents_are_drawn_however_files_are_cut(run: str, tmp_path: Path) -> None:
    other = written(tmp_path / "run", KEPT[::-1], LEDGER, rules=RULES, set_aside=1, parts=5)

    found, again = (found_in(str(folder), n=4, seed=3) for folder in (run, other))

    assert found == again


def test_everything_that_is_shown_is_masked_and_plain(run: str) -> None:
    found = found_in(run)
    for text in (json.dumps(found, ensure_ascii=False), *describe(found)):
        assert not {"\x1b", "\u202e"} & set(text)
        assert "13800138000" not in text
        assert "lin@site.cn" not in text


def test_a_document_that_left_says_why_and_one_that_stayed_begins_its_text(run: str) -> None:
    left = "\n".join(describe(found_in(run, ["id=" + key(10).hex()])))
    fell = "\n".join(describe(found_in(run, ["id=" + key(20).hex()])))
    kept = "\n".join(describe(found_in(run, ["id=" + key(3).hex()], text=8)))

    assert "left at quality: drop by short: value 0, limit 5\n    also dense: value 1, limit 2" in left
    assert f"left at dedup: duplicate_of by minhash, survivor {key(1).hex()}, similarity 0.875" in fell
    assert kept.endswith("    | 第3篇\n    | 电话 <…")


def test_only_the_columns_that_are_asked_about_are_read(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = pq.ParquetFile.read_row_group

    def watched(self: pq.ParquetFile, group: int, columns: list[str] | None = None, **how: Any) -> pa.Table:
        read.extend(columns if columns is not None else self.schema_arrow.names)
        return real(self, group, columns, **how)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", watched)
    counted(run, "language=zho_Hans", kept=True)

    assert set(read) == {"language", "id"}


@pytest.mark.parametrize(
    ("where", "how", "sentence"),
    [
        (("hots=a.cn",), {}, r"no column is called 'hots' \(did you mean 'host'\?\); there are: action, "),
        (("host=\udcff\udcfe",), {}, r"no value of host is called '\\udcff\\udcfe'; there are: a.cn"),
        (("language=zho_Han",), {}, r"no value of language is called 'zho_Han' \(did you mean 'zho_Hant'\?\)"),
        ((), {"stage": "qualty"}, r"no step is called 'qualty' \(did you mean 'quality'\?\); there are: dedup, ingest"),
        ((), {"stage": "quality", "rule": "shrt"}, r"no rule of quality is called 'shrt' \(did you mean 'short'\?\)"),
        ((), {"stage": "dedup", "rule": "short"}, r"no rule of dedup is called 'short'; there are: minhash"),
        (("noted=tag",), {}, r"no rule is called 'tag' \(did you mean 'tags'\?\)"),
        (("noted>tags",), {}, r"noted is the name of a rule: use = or !="),
        (("quality=good",), {}, r"quality is a number; 'good' is none"),
        ((), {"stage": "quality", "kept": True}, r"--stage and --rule are of documents that left"),
    ],
)
def test_a_name_or_value_that_is_not_known_is_a_sentence(
    where: tuple[str, ...], how: dict[str, Any], sentence: str, run: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        found_in(run, where, **how)


def test_files_that_could_not_be_read_are_told_from_documents(run: str) -> None:
    found = found_in(run, ["action=quarantine"])

    assert found["documents_matching"] == 0
    assert found["note"] == (
        "what has action=quarantine are files, or pieces of them, that could not be read: no documents"
    )


def test_what_an_earlier_ledger_does_not_say_is_said(run: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "old"))
    for path in folder.glob("ledger/*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["language"]), path)

    all_that_came = found_in(str(folder), ["language=zho_Hant"])  # of which all left
    kept = found_in(str(folder), ["language=zho_Hans"], kept=True)

    assert all_that_came["documents_matching"] == 0
    assert all_that_came["note"] == "an earlier datapipe wrote the ledger, which does not say language of what left"
    assert "note" not in kept


def test_a_folder_that_holds_no_run_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds neither a corpus nor a ledger"):
        found_in(str(tmp_path))


def test_documents_in_json_lines_are_shown_too(run: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    (path,) = (folder / "documents").iterdir()
    lines = b"".join(line(row) for row in pq.read_table(path).to_pylist())
    path.unlink()
    path.with_suffix(".jsonl.zst").write_bytes(zstandard.compress(lines))
    wanted = ["host=a.cn", "quality>0.35"]

    assert found_in(str(folder), wanted, kept=True) == found_in(run, wanted, kept=True)
    assert found_in(str(folder), ["id=" + key(3).hex()])["documents_matching"] == 1


def test_counts_are_those_of_a_real_run_and_texts_come_from_its_samples(finished: Path) -> None:
    report = json.loads((finished / "reports/report.json").read_text())
    quality = next(stage for stage in report["stages"] if stage["stage"] == "quality")
    drops = [rule for rule in quality["rules"] if rule["action"] == "drop"]

    found = found_in(str(finished), kept=True, n=3, text=50)

    assert found["kept"] == json.loads((finished / "corpus/manifest.json").read_text())["documents"]["documents"]
    assert counted(str(finished), stage="quality") == (0, quality["dropped"])
    assert [counted(str(finished), stage="quality", rule=rule["rule"])[1] for rule in drops] == [
        rule["documents"] for rule in drops
    ]
    assert all(len(one["text"]) > 10 for one in found["documents"] if one["times_seen"])


def test_tokens_as_trained_are_those_of_the_manifest_less_what_overlays_leave_out(copied: Path) -> None:
    corpus = Corpus.open(str(copied))
    train = corpus.manifest["splits"]["train"]
    before = trained(copied)
    put_skip(corpus.folder, corpus.manifest, {"train": [(1, 3)]})
    tokens = [split_tokens(corpus, sample) for sample in (1, 2)]

    assert before == train["tokens"]
    assert trained(copied) == before - sum(tokens)


def test_a_document_that_an_overlay_takes_out_is_shown_as_such_and_without_its_text(copied: Path) -> None:
    corpus = Corpus.open(str(copied))
    piece = segments(corpus.split("train")).to_pylist()[0]
    taken = {"split": "train", "url": None, **{name: piece[name] for name in ("sample", "start", "end", "doc_id")}}
    put_remove(corpus.folder, corpus.manifest, pa.Table.from_pylist([taken], PIECES), {})

    (shown,) = found_in(str(copied), [f"id={piece['doc_id']}"])["documents"]

    assert shown["removed"]
    assert "text" not in shown


def trained(folder: Path) -> int:
    return sum(int(tokens.sum()) for tokens in _Search(Tables(str(folder)), Asked()).trained.values())


def split_tokens(corpus: Corpus, sample: int) -> int:
    table = segments(corpus.split("train"), sample, sample + 1)
    return int(np.sum(table.column("end").to_numpy() - table.column("start").to_numpy()))


def test_the_command_shows_documents(run: str) -> None:
    words = ("host=a.cn", "--stage", "quality", "--rule", "short", "--n", "2", "--seed", "7", "--json")
    command = [sys.executable, "-m", "datapipe", "show", run, *words]

    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert json.loads(shown)["documents_matching"] == 4


def test_a_file_is_shown_as_before_and_takes_no_conditions(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(f"{run}/ledger/part-00000-of-00002.parquet", rows=1)

    assert capsys.readouterr().out.startswith("id: fixed_size_binary[16]\n")
    with pytest.raises(ConfigError, match="is a file, and conditions are for the documents of a run"):
        show(f"{run}/reports/report.json", ["host=a.cn"])
    with pytest.raises(ConfigError, match="none: is not there"):
        show("none", ["host=a.cn"])
