"""What tests of the standards share: a name that is hostile wherever it stands, and a run that made documents alone."""

from __future__ import annotations

import json
from pathlib import Path

from stages.audit.model import Audit
from stages.audit.standards.known import Known, know
from stages.audit.standing import digests
from tests.stages.audit.folders import key, written

HOSTILE = (
    "=cmd|' /C calc'!A0\n---\n# x <script>alert(1)</script> [a](javascript:b) `c` | ![d](https://e.example) \u202e"
)


def bare(folder: Path) -> Known:
    """Returns what is known of a run of four documents, made in a folder: no corpus, and a report without a figure."""
    rows = [
        {"id": key(number), "source": f"s{number % 2}", "host": "a.example.com", "text": "天地" * number, "url": "u"}
        for number in range(1, 5)
    ]
    left = {"id": key(9), "source": "s1", "stage": "quality", "action": "drop", "rule": "zh_length", "value": 2.0}
    written(folder, rows, [left], rules={"quality": ["zh_length"], "write": []})
    report = json.loads((folder / "reports/report.json").read_text())
    audit = Audit(
        name="made", config_sha256="", code_version="0", corpus=digests(str(folder)), seed=0, drawn=0, sections=()
    )
    (folder / "reports/report.json").write_text(json.dumps({**report, "audit": audit.model_dump()}))
    return know(str(folder), str(folder))
