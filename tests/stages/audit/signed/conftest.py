"""A finished run with all that people add to one: a sample, verdicts, descriptions, overlays, two signatures."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from datapipe import storage
from stages.audit.review import kept
from stages.audit.review.drawing import Asked, make
from stages.audit.review.model import Judged, Sample, Verdicts, sample_of
from stages.audit.signed.detached import NAMESPACE, attach, tool
from stages.audit.signed.log import entries
from stages.audit.signed.sign import sign

STATEMENT = {"name": "王小明", "role": "data steward", "statement": "适合训练 fit for training"}


def key(folder: Path, name: str = "key") -> Path:
    """Returns a key of ssh-keygen, made anew."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)]
    subprocess.run(words, check=True, capture_output=True)
    return folder / name


def signature(message: bytes, with_key: Path) -> bytes:
    """Returns what ssh-keygen signs a message with."""
    words = ["ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(with_key)]
    return subprocess.run(words, input=message, check=True, capture_output=True).stdout


def judge(folder: Path, sample: Sample) -> None:
    """Puts the verdicts of one reviewer on a sample: all documents pass."""
    judged = tuple(Judged(id=item.id, verdict="pass", reasons=(), note="") for item in sample.items)
    said = Verdicts(sample_sha256=sample.sha256, reviewer="李", role="reviewer", verdicts=judged)
    kept.put(str(folder), kept.plan(str(folder), sample, [said]), [])


@pytest.fixture(scope="module")
def signed(finished: Path, told: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a sample judged, descriptions, and a signature with a key; tests leave it as it was."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("signed") / "out"))
    shutil.copytree(told / "reports", folder / "reports", dirs_exist_ok=True)
    made = make(str(folder), Asked(5, None, 0, (), 200), None)
    path = storage.join(made.place, "sample.json")
    judge(folder, sample_of(Path(path).read_bytes(), path))
    (folder / "README.md").write_text("# 语料\n")
    (folder / "croissant.json").write_text("{}\n")
    (folder / "sheets").mkdir()
    (folder / "sheets/index.html").write_text("<p>\n")
    entry = sign(str(folder), **STATEMENT)
    if tool() is not None:
        attach(str(folder), entry, signature(entry.written, key(tmp_path_factory.mktemp("key"))))
    assert [one.kind for one in entries(str(folder))] == ["sample", "verdicts", "sign"]
    return folder
