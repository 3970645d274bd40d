"""Signing: what is signed, what is refused, what makes a signature stale, and signatures with a key."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from datapipe import ConfigError, Look, Note
from stages.audit.group import app
from stages.audit.review.drawing import Asked, make
from stages.audit.review.model import sample_of
from stages.audit.signed.check import check
from stages.audit.signed.detached import attach, checked, tool
from stages.audit.signed.log import LOG, append, entries, head
from stages.audit.signed.sign import sign, standing
from stages.audit.standards.files import put
from stages.audit.standing import CLAIM, MANIFEST, PAGE, REPORT, digests
from stages.corpus.corpus import Corpus
from stages.corpus.overlay import put_skip
from tests.stages.audit.signed.conftest import judge
from tests.stages.audit.signed.signing import STATEMENT, key, signature


def said_of(folder: Path, *, signed: bool = False, **how: str | None) -> list[str]:
    """Returns what verify says of what people did."""
    return list(check(str(folder), Look(str(folder), figures=0, signed=signed, **how)))


def faults_of(folder: Path, **how: str | None) -> list[str]:
    """Returns the faults among it."""
    return [one for one in said_of(folder, **how) if not isinstance(one, Note)]


needs_tool = pytest.mark.skipif(tool() is None, reason="ssh-keygen is not installed")


def linked(folder: Path, to: Path) -> Path:
    """Returns a copy of a folder whose files are links: to be added to, not to be changed."""
    return Path(shutil.copytree(folder, to, copy_function=os.link))


def test_a_signature_names_the_digest_of_all_that_it_stands_for(signed: Path) -> None:
    last = entries(str(signed))[-1]

    files = last.content["files"]
    assert {MANIFEST, CLAIM, REPORT, PAGE, "README.md", "croissant.json", "sheets/index.html"} <= files.keys()
    assert sum(name.startswith("audit/samples/") for name in files) == 2
    assert sum(name.startswith("audit/verdicts/") for name in files) == 1
    manifest = json.loads((signed / MANIFEST).read_bytes())
    assert last.content["corpus"]["merkle_root"] == manifest["merkle_root"]
    assert last.content["corpus"]["order_sha256"] == manifest["order_sha256"]
    assert {name: last.content[name] for name in STATEMENT} == STATEMENT
    assert last.content["result"]["judged"] == 5
    assert last.content["verified"] is None


def test_what_is_not_whole_is_signed_only_where_that_is_said(signed: Path, tmp_path: Path) -> None:
    folder = linked(signed, tmp_path / "out")
    (folder / "ledger").joinpath("part-00009-of-00004.parquet").write_bytes(b"")

    with pytest.raises(ConfigError, match=r"part-00009-of-00004[.]parquet: is of no run"):
        sign(str(folder), **STATEMENT, look=Look(str(folder), figures=0, signed=None))
    entry = sign(str(folder), **STATEMENT)

    assert entry.content["verified"] is None
    assert len(entries(str(folder))) == 4


def test_a_signature_says_how_what_it_signs_was_verified(signed: Path, tmp_path: Path) -> None:
    folder = linked(signed, tmp_path / "out")
    (folder / "README.md").unlink()  # which was signed: signing again is how that is mended

    entry = sign(str(folder), **STATEMENT, look=Look(str(folder), figures=2, signed=None))

    assert entry.content["verified"]["figures"] == 2
    assert "README.md" not in entry.content["files"]
    assert faults_of(folder) == []


def test_a_skip_makes_a_signature_stale_and_is_no_tampering(signed: Path, tmp_path: Path) -> None:
    folder = linked(signed, tmp_path / "out")
    corpus = Corpus.open(str(folder))
    put_skip(corpus.folder, corpus.manifest, {"train": [(0, 1)]})

    said, strictly = said_of(folder), said_of(folder, signed=True)

    assert faults_of(folder) == []
    assert "stale, signed by 王小明 (data steward): added since: corpus/overlays/00001-skip.json" in "".join(said)
    assert not isinstance(strictly[-1], Note)


def test_an_overlay_that_was_signed_must_stay_as_it_was(signed: Path, tmp_path: Path) -> None:
    folder = linked(signed, tmp_path / "out")
    corpus = Corpus.open(str(folder))
    overlay = Path(put_skip(corpus.folder, corpus.manifest, {"train": [(0, 1)]}, "a spike").path)
    sign(str(folder), **STATEMENT)

    overlay.write_bytes(overlay.read_bytes().replace(b"a spike", b"a spire"))
    changed = [one for one in faults_of(folder) if "000004.json signed" in one]
    overlay.unlink()
    gone = [one for one in faults_of(folder) if "000004.json signed" in one]

    assert changed[0].startswith("corpus/overlays/00001-skip.json: is not what audit/log/000004.json signed")
    assert gone[0].startswith("corpus/overlays/00001-skip.json: is gone, which audit/log/000004.json signed")


def test_descriptions_written_anew_make_a_signature_stale_and_edited_ones_are_found(
    signed: Path, tmp_path: Path
) -> None:
    folder = linked(signed, tmp_path / "out")
    contents = {
        "README.md": b"# one\n",
        "croissant.json": b"{}\n",
        "sheets/index.html": b"<p>\n",
        "sheets/a.md": b"a\n",
    }
    for name in ("README.md", "croissant.json", "sheets/index.html"):
        (folder / name).unlink()
    put(contents, str(folder))
    sign(str(folder), **STATEMENT)

    put(
        {name: content for name, content in contents.items() if name != "sheets/a.md"} | {"README.md": b"2\n"},
        str(folder),
    )

    stale = [one for one in said_of(folder) if "stale" in one]
    assert faults_of(folder) == []
    assert len(stale) == 1
    for name in ("README.md", "sheets/a.md", "sheets/files.json"):
        assert f"{name} (is " in stale[0]
    (folder / "README.md").write_bytes(b"3\n")
    assert {one.partition(":")[0] for one in faults_of(folder)} == {"README.md", "sheets/a.md", "sheets/files.json"}


def test_a_signature_that_rests_on_named_samples_says_what_was_judged_of_those(signed: Path, tmp_path: Path) -> None:
    folder = linked(signed, tmp_path / "out")
    judged, *_ = (folder / "audit/samples").iterdir()
    for seed in (1, 2, 3):
        made = make(str(folder), Asked(4, None, seed, (), 200))
    judge(folder, made.sample)

    entry = sign(str(folder), **STATEMENT, samples=[judged.name, "n4-seed1"])

    assert entry.content["result"]["judged"] == 5
    assert sign(str(folder), **STATEMENT, samples=["n4-seed1"]).content["result"] is None
    assert sign(str(folder), **STATEMENT).content["result"]["judged"] == 4


def test_a_signature_of_another_corpus_is_stale(signed: Path) -> None:
    entry = entries(str(signed))[-1]

    said = list(standing(str(signed), entry, lambda name: None, {**digests(str(signed)), "merkle_root": "0"}))

    assert said == ["it is of another corpus than lies here"]


def test_a_sample_of_which_the_log_no_longer_speaks_shows_that_its_end_was_cut_off(
    signed: Path, tmp_path: Path
) -> None:
    folder = linked(signed, tmp_path / "out")
    known = head(str(folder))
    shutil.rmtree(folder / LOG)

    faults, held = faults_of(folder), faults_of(folder, head=known.digest if known else None)

    assert any("sample.json: no entry of audit/log says that it was drawn" in fault for fault in faults)
    assert any("its end was cut off or it was written anew" in fault for fault in held)


def test_documents_that_somebody_chose_are_not_those_that_the_hash_draws(signed: Path, tmp_path: Path) -> None:
    folder = linked(signed, tmp_path / "out")
    shutil.rmtree(folder / LOG)
    path = next(folder.glob("audit/samples/*/sample.json"))
    sample = json.loads(path.read_bytes())
    sample["items"][0]["id"] = "00" * 16
    path.unlink()
    path.write_text(json.dumps(sample, ensure_ascii=False, indent=1) + "\n")
    name, made = path.parent.name, sample_of(path.read_bytes(), str(path))
    append(str(folder), "sample", {"name": name, "sample_sha256": made.sha256})

    said = "1 of its 5 documents is not what the hash of (seed 0, id) draws: somebody chose"
    assert any(said in one for one in faults_of(folder))


@needs_tool
def test_a_signature_with_a_key_is_checked_and_held_to_who_may_sign(signed: Path, tmp_path: Path) -> None:
    folder = linked(signed, tmp_path / "out")
    entry = sign(str(folder), **STATEMENT)
    own, other = key(tmp_path), key(tmp_path, "other")
    allowed = tmp_path / "allowed"
    allowed.write_text(f"wang@example.cn {own.with_suffix('.pub').read_text()}")

    with pytest.raises(ConfigError, match=r"is none of audit/log/000004[.]json"):
        attach(str(folder), entry, signature(b"another message", own))
    attach(str(folder), entry, signature(entry.written, own))

    assert checked(entry.written, signature(entry.written, own), str(allowed)) is None
    assert "its key is none of" in str(checked(entry.written, signature(entry.written, other), str(allowed)))
    said = [one for one in faults_of(folder, signers=str(allowed)) if ".sig" in one]
    assert [one.partition(":")[0] for one in said] == ["audit/log/000003.sig"]  # by a key that is not allowed
    with pytest.raises(ConfigError, match="is there already, and is another"):
        attach(str(folder), entry, signature(entry.written, other))


def test_commands_say_what_is_wrong_and_what_to_do(signed: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke

    listed = run(app, ["log", str(signed)])
    empty = run(app, ["sign", str(signed), "--name", " ", "--role", "r", "--statement", "s", "--no-verify"])
    nobody = run(app, ["attach", str(signed), "--entry", "9", "--signature", str(signed / "README.md")])
    nothing = run(app, ["attach", str(signed), "--entry", "3", "--signature", str(signed / "README.md")])
    none = run(
        app, ["sign", str(signed), "--name", "n", "--role", "r", "--statement", "s", "--sample", "x", "--no-verify"]
    )

    assert listed.exit_code == 0
    assert "sign      王小明 (data steward)" in listed.output
    assert "all of it lies here as it was signed" in listed.output
    assert listed.output.rstrip().endswith(f"head {entries(str(signed))[-1].digest}")
    assert "--name: is empty" in str(empty.exception)
    assert "the log has 3 entries" in str(nobody.exception)
    assert "is no signature of ssh-keygen" in str(nothing.exception)
    assert "--sample x: there is no such sample" in str(none.exception)
