"""Log lines for people and for machines, in which no secret stands.

Every line goes to standard error. As text it is `datapipe: ` and a sentence; as JSON it is an object with `time`,
`level`, `logger` and `message`, and what the event is about: `event`, `wave`, `stage`, `shard`, `attempt` and more.
On a cluster the lines of workers are in Ray's own files (`worker-*.err`); DATAPIPE_LOG_FORMAT and DATAPIPE_LOG_LEVEL in
their environment say how. Nothing here imports what takes long to load.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from datapipe.errors import ConfigError

FORMAT, LEVEL = "DATAPIPE_LOG_FORMAT", "DATAPIPE_LOG_LEVEL"
FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
OURS = ("datapipe", "stages")  # whose lines below a warning are shown
HIDDEN = "***"
SECRET_CHARACTERS = 6  # a shorter value would be found in many a word

_SECRET = "SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL"
_SECRET_NAME = re.compile(rf"(?:{_SECRET}|KEY|TOKEN)S?(?:_?(?:ID|\d+))?$|(?:{_SECRET})S?(?:_|$)")
_NO_SECRET = re.compile(r"(?:^|_)TOKENS$|_(?:DIR|FILE|HOST|NAME|PATH|UR[IL])$")  # how many of a corpus; where it lies
_KIND = "access|api|auth|private|security|session|sas"
_SURE = rf"secret|password|passwd|passphrase|credentials?|(?:{_KIND})[_-]?(?:key|token)"
_PARAMETER = "signature|credential|token|key|keyid|secret|password|sig|auth"
_SURE_KEY = re.compile(rf"(?:{_SURE})(?:[_-]?id)?$", re.IGNORECASE)
_PATTERNS = (
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/'\"<>?#]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(rf"([?&][\w.-]*(?:{_PARAMETER})=)[^\s&'\"<>#]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"\b([\w.-]*(?:{_SURE})(?:[_-]?id)?=['\"]?)[^\s,;&'\"]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"((?:{_SURE})(?:[_-]?id)?['\"]:\s*b?['\"])[^'\"]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?)[^'\"\n,}]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
)
# Control characters but for the tab, and what sets the direction of letters or ends a line.
_ACTS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# What every record of the library has; the rest is what the caller said of the event.
_STANDARD = {*logging.LogRecord("", 0, "", 0, "", (), None).__dict__, "message", "asctime", "taskName"}


def shown(line: str) -> str:
    r"""Returns a line with what would act on a terminal written out, as JSON has it: `\u001b`.

    A page chooses its own address and text, so both may hold what clears a screen, hides a line, or turns letters
    around. A line of JSON means the same.

    >>> shown("https://天.example/\x1b[2J\n\u202egnp.exe")
    'https://天.example/\\u001b[2J\\u000a\\u202egnp.exe'
    """
    return _ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def is_secret(name: str) -> bool:
    """Returns whether an environment variable of this name holds a secret, going by its name.

    >>> [is_secret(name) for name in ("HF_TOKEN", "AWS_SESSION_TOKEN", "MAX_TOKENS", "TOKENIZER", "AWS_REGION")]
    [True, True, False, False, False]
    """
    name = name.upper()
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET.search(name)


def is_secret_key(key: str) -> bool:
    """Returns whether a key of a config can only be that of a secret: `api_key`, and not `key` or `eos_token`."""
    return bool(_SURE_KEY.search(key))


def redact(text: str) -> str:
    """Returns a text without the secrets of this process's environment, and without credentials in URLs.

    >>> redact("GET https://me:pass@host/file?X-Amz-Signature=abc&part=1")
    'GET https://***@host/file?X-Amz-Signature=***&part=1'
    """
    for secret in _secrets(tuple(_environment())):
        text = text.replace(secret, HIDDEN)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def _environment() -> Iterator[str]:
    return (value for name, value in os.environ.items() if len(value) >= SECRET_CHARACTERS and is_secret(name))


@functools.lru_cache(maxsize=4)
def _secrets(values: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the forms in which secrets may stand in a text, the longest first: as they are, and quoted."""
    forms: set[str] = set()
    for value in values:
        lines = [value, " ".join(value.split()), *(line for line in value.splitlines() if len(line) > 16)]
        for line in lines:
            forms.update((line, line.strip(), json.dumps(line)[1:-1], repr(line)[1:-1], quote(line, safe="")))
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


class _Lines(logging.Formatter):
    """A record as `datapipe: ` and its sentence."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(f"datapipe: {super().format(record)}")


class _Json(logging.Formatter):
    """A record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        data: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        said = {name: value for name, value in record.__dict__.items() if name not in _STANDARD and name[0] != "_"}
        data |= {name: _plain(value) for name, value in said.items()}  # Ray adds a field with an underscore
        if record.exc_info:
            data["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(data, ensure_ascii=False)


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return redact(str(value))


class _Stderr(logging.Handler):
    """Writes to what standard error is at the time: a bar on a terminal puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - as every handler of the library: a log line ends nothing
            self.handleError(record)


def setup(form: str | None = None, level: str | None = None, *, quiet: bool = False) -> None:
    """Sends log lines to standard error, in the place of where an earlier call sent them.

    What is not given comes from DATAPIPE_LOG_FORMAT (text) and DATAPIPE_LOG_LEVEL (info; warning where `quiet`), and
    what is given is put there, for the processes that this one starts.

    Raises:
        ConfigError: there is no such format or level.
    """
    for name, value in ((FORMAT, form), (LEVEL, level)):
        if value is not None:
            os.environ[name] = value
    form = (os.environ.get(FORMAT) or "text").lower()
    level = (os.environ.get(LEVEL) or ("warning" if quiet else "info")).lower()
    if form not in FORMATS:
        raise ConfigError(f"--log-format {form}: is {' or '.join(FORMATS)} ({FORMAT} says it too)")
    if level not in LEVELS:
        raise ConfigError(f"--log-level {level}: is one of {', '.join(LEVELS)} ({LEVEL} says it too)")
    handler = _Stderr()
    handler.setLevel(level.upper())
    handler.setFormatter(_Json() if form == "json" else _Lines())
    root = logging.getLogger()
    for before in [item for item in root.handlers if isinstance(item, _Stderr)]:
        root.removeHandler(before)
    root.addHandler(handler)
    for name in OURS:  # at info even where a terminal shows less: the driver notes failed attempts
        logging.getLogger(name).setLevel(min(logging.INFO, handler.level))


@functools.cache
def setup_worker() -> None:
    """Sends the log lines of a worker to its standard error, as its environment says; once a process."""
    setup(quiet=True)


def is_json() -> bool:
    """Returns whether log lines are JSON."""
    return (os.environ.get(FORMAT) or "text").lower() == "json"
