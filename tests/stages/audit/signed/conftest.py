"""A finished run with all that people add to one: a sample, verdicts, descriptions, overlays, two signatures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datapipe import storage
from stages.audit.review import kept
from stages.audit.review.drawing import Asked, make
from stages.audit.review.model import Judged, Sample, Verdicts, sample_of
from stages.audit.signed.detached import attach, tool
from stages.audit.signed.log import entries
from stages.audit.signed.sign import sign
from tests.stages.audit.signed.signing import STATEMENT, key, signature


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
