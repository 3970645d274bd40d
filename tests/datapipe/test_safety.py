"""No secret of the environment, a config or a URL reaches a log line, a sentence, or any file that a run writes."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import toy

from datapipe import logs
from datapipe.logs import is_secret, is_secret_key, redact

HIDDEN = "planted+Secret/of 木"  # other in a URL, in JSON and in repr()
SECRETS = {"HF_TOKEN": HIDDEN, "AWS_SECRET_ACCESS_KEY": "planted-aws-key", "DB_PASSWORD": "planted\nin two lines"}
FORMS = ("planted", "Secret/of", "Secret%2Fof", "in two lines")

TELLS = '''
"""Stages that tell what they should not."""
import os
from dataclasses import dataclass
from datapipe import Stage, StageError

@dataclass(frozen=True, kw_only=True)
class Tells(Stage):
    """Raises with secrets in the sentence, at a bad document."""

    def build(self, *inputs):
        return inputs[0].map(tell, reads=("text",))

@dataclass(frozen=True, kw_only=True)
class TellsAll(Stage):
    """Breaks its contract with secrets in the sentence."""

    def build(self, *inputs):
        return inputs[0].map(tell_all, reads=("text",))

def said():
    return " ".join((os.environ["HF_TOKEN"], repr(os.environ), "https://me:planted-pass@host/?X-Amz-Signature=planted"))

def tell(batches, work):
    for batch in batches:
        if "bad" in batch.column("text").to_pylist():
            raise ValueError(said())
        yield batch

def tell_all(batches, work):
    raise StageError(said())
    yield
'''


@pytest.fixture
def datapipe(installed: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """Runs the command with secrets in its environment and stages that tell them; returns both its streams."""
    toy.install(tmp_path / "site", "tells", {"tells": "tells:Tells", "tellsall": "tells:TellsAll"})
    (tmp_path / "site/tells.py").write_text(TELLS)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/0.txt").write_text("some words\nbad\n")

    def run(steps: str, *words: str, status: int, **environment: str) -> str:
        (tmp_path / "toy.yaml").write_text(steps)
        line = [sys.executable, "-m", "datapipe", "run", "toy.yaml", "--out", "out", "--executor", "local", *words]
        env = {**installed, **SECRETS, **environment}
        made = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert made.returncode == status, made.stderr
        return made.stdout + made.stderr

    return run


def leaks(folder: Path) -> list[str]:
    """Returns the files under a folder that hold a secret, in their bytes or in their rows."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found = [str(path) for path in files if any(form.encode() in path.read_bytes() for form in FORMS)]
    rows = [str(row) for name in ("ledger", "corpus") for row in toy.rows_of(folder, name)]
    return found + [row for row in rows if any(form in row for form in FORMS)]


def test_what_a_failing_stage_tells_stays_out_of_ledger_report_and_streams(
    datapipe: Callable[..., str], tmp_path: Path
) -> None:
    said = datapipe("steps: [lines: {path: in/*.txt}, tells, finish]", status=3)
    notes = [row["note"] for row in toy.rows_of(tmp_path / "out", "ledger") if row["action"] == "quarantine"]

    assert "error:ValueError" in said
    assert len(notes) == 1
    assert notes[0].startswith(f"error:ValueError: {logs.HIDDEN} ")
    assert not any(form in said for form in FORMS)
    assert leaks(tmp_path / "out") == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_ends_a_run_is_said_without_secrets_everywhere(
    form: str, datapipe: Callable[..., str], tmp_path: Path
) -> None:
    said = datapipe(
        "steps: [lines: {path: in/*.txt}, tellsall, finish]",
        *("--log-format", form, "--log-level", "debug"),
        status=1,
        DATAPIPE_DEBUG="1",
    )

    held = json.loads((tmp_path / "out/work/run.json").read_text())
    assert logs.HIDDEN in said
    assert logs.HIDDEN in held["message"]
    assert not any(form in said for form in FORMS)
    assert leaks(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("steps", "words", "sentence"),
    [
        ("name: '${HF_TOKEN}'\nsteps: [lines: {path: in/*.txt}]", (), "${HF_TOKEN} is a secret, going by its name"),
        ("steps: [lines: {path: in/*.txt, batch: planted-aws-key}]", (), "valid integer, not '***'"),
        (
            "steps: [lines: {path: in/*.txt, batch: 'https://me:planted@host/a?sig=planted&b=1'}]",
            (),
            "not 'https://***@host/a?sig=***&b=1'",
        ),
        (
            "steps: [lines: {path: in/*.txt}]",
            ("--set", "nothing.api_key=planted"),
            "--set nothing.api_key=*** toy.yaml has neither",
        ),
    ],
    ids=["variable", "literal", "url", "set"],
)
def test_a_mistake_in_a_config_is_said_without_the_secret(
    steps: str, words: tuple[str, ...], sentence: str, datapipe: Callable[..., str]
) -> None:
    said = datapipe(steps, *words, status=2)

    assert sentence in said
    assert "planted" not in said


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("AWS_ACCESS_KEY_ID", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("AWS_SESSION_TOKEN", True),
        ("GITHUB_TOKEN", True),
        ("API_KEY_2", True),
        ("DBPASSWORD", True),
        ("SECRET_OF_STAGE", True),
        ("AWS_REGION", False),
        ("AWS_ENDPOINT_URL", False),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", False),
        ("TOKENIZERS_PARALLELISM", False),
        ("MAX_TOKENS", False),
        ("KEYBOARD", False),
        ("PWD", False),
    ],
)
def test_which_variables_are_secrets(name: str, secret: bool) -> None:
    assert is_secret(name) == secret


@pytest.mark.parametrize(
    ("key", "secret"),
    [("secret_access_key", True), ("api_key", True), ("password", True), ("key", False), ("eos_token", False)],
)
def test_which_keys_of_a_config_are_secrets(key: str, secret: bool) -> None:
    assert is_secret_key(key) == secret


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("s3://KEY:SECRET@bucket/a b", "s3://***@bucket/a b"),
        ("https://token@host/a@b", "https://***@host/a@b"),
        ("me@host and https://host/a?b=c", "me@host and https://host/a?b=c"),
        (
            "x?X-Amz-Credential=A%2FB&X-Amz-Date=1&X-Amz-Signature=c",
            "x?X-Amz-Credential=***&X-Amz-Date=1&X-Amz-Signature=***",
        ),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("{'password': 'abc', 'user': 'me'}", "{'password': '***', 'user': 'me'}"),
        ("AKIAIOSFODNN7EXAMPLE is a key", "*** is a key"),
        ("unknown key 'password'; known are: key, token", "unknown key 'password'; known are: key, token"),
        ("1,024 documents in + 0 split = 1,024 out", "1,024 documents in + 0 split = 1,024 out"),
    ],
)
def test_credentials_in_a_text_are_hidden_and_the_rest_stays(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_a_short_value_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "a")

    assert redact("a banana") == "a banana"


def test_every_log_line_is_cleaned_with_its_fields_and_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", HIDDEN)
    monkeypatch.setenv(logs.FORMAT, "json")
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    logs.setup()

    try:
        log = logging.getLogger("datapipe.test")
        log.error("with %s", HIDDEN, extra={"of": [HIDDEN], "number": 3}, exc_info=ValueError(HIDDEN))
    finally:
        for handler in [item for item in root.handlers if item not in before]:
            root.removeHandler(handler)

    line = json.loads(capsys.readouterr().err)
    assert (line["message"], line["of"], line["number"]) == ("with ***", ["***"], 3)
    assert "ValueError: ***" in line["error"]
    assert os.environ["HF_TOKEN"] == HIDDEN
