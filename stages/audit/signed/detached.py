"""Detached signatures beside entries of the log: `000003.sig` over the bytes of `000003.json`, made with a key.

What `ssh-keygen -Y sign -n datapipe` makes is checked by ssh-keygen where it is installed: that it is of these bytes,
and with a file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS) that one of them made it. Signatures of gpg and
minisign are kept, and are for their tools to check.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Final

from datapipe import ConfigError, DataError, storage
from stages.audit.signed.log import SIGNATURE, Entry

NAMESPACE: Final = "datapipe"  # of ssh-keygen's signatures: one for something else is none of ours
MOST_BYTES: Final = 1 << 16
KINDS: Final = {
    b"-----BEGIN SSH SIGNATURE-----": "ssh",
    b"-----BEGIN PGP SIGNATURE-----": "gpg",
    b"untrusted comment:": "minisign",
}
_SECONDS: Final = 30


def path_of(folder: str, entry: Entry) -> str:
    """Returns where the signature of an entry lies."""
    return storage.join(folder, entry.name.removesuffix(".json") + SIGNATURE)


def kind_of(content: bytes) -> str | None:
    """Returns which tool made a signature, None where it is none that is known."""
    return next((kind for begin, kind in KINDS.items() if content.startswith(begin)), None)


def attach(folder: str, entry: Entry, content: bytes) -> str:
    """Puts a signature beside its entry, and returns where.

    Raises:
        ConfigError: it is none, or is not of this entry, or another is there.
    """
    kind = kind_of(content) if len(content) <= MOST_BYTES else None
    if kind is None:
        raise ConfigError("--signature: is no signature of ssh-keygen, gpg (--armor) or minisign; see `audit sign`")
    if kind == "ssh" and (fault := checked(entry.written, content)):
        raise ConfigError(f"--signature: is none of {entry.name}: {fault}")
    path = path_of(folder, entry)
    if not storage.put_new(path, content) and storage.read_bytes(path) != content:
        raise ConfigError(f"{path}: is there already, and is another; sign again, and attach it to the new entry")
    return path


def tool() -> str | None:
    """Returns where ssh-keygen is, None where it is not installed."""
    return shutil.which("ssh-keygen")


def checked(message: bytes, signature: bytes, signers: str | None = None) -> str | None:
    """Returns what is wrong with a signature of ssh-keygen over a message; None where nothing is, or nothing can tell.

    Raises:
        ConfigError: `signers` cannot be read.
    """
    if tool() is None:
        return None
    with tempfile.TemporaryDirectory(prefix="datapipe-") as folder:
        file = os.path.join(folder, "signature")
        with open(file, "wb") as opened:
            opened.write(signature)
        fault = _run(["check-novalidate", "-n", NAMESPACE, "-s", file], message)
        if fault is not None or signers is None:
            return fault
        allowed = os.path.join(folder, "signers")
        try:
            with open(allowed, "wb") as opened:
                opened.write(storage.read_bytes(signers))
        except (OSError, DataError) as error:
            raise ConfigError(f"--allowed-signers {signers}: cannot be read ({error})") from error
        names = _principals(allowed, file)
        if not names:
            return f"its key is none of {signers}"
        faults = [_run(["verify", "-f", allowed, "-I", name, "-n", NAMESPACE, "-s", file], message) for name in names]
        return None if None in faults else faults[0]


def _principals(allowed: str, signature: str) -> list[str]:
    done = _call(["find-principals", "-f", allowed, "-s", signature], b"")
    return done.stdout.decode(errors="replace").splitlines() if done.returncode == 0 else []


def _run(words: Sequence[str], message: bytes) -> str | None:
    done = _call(words, message)
    if done.returncode == 0:
        return None
    said = (done.stderr or done.stdout).decode(errors="replace").strip().split("\n")
    return f"ssh-keygen says: {said[-1].strip()}"


def _call(words: Sequence[str], message: bytes) -> subprocess.CompletedProcess[bytes]:
    program = tool()
    if program is None:
        raise ConfigError("ssh-keygen: is not installed")
    return subprocess.run([program, "-Y", *words], input=message, capture_output=True, timeout=_SECONDS, check=False)


def faults(folder: str, found: Sequence[Entry], signers: str | None) -> Iterator[tuple[str, bool]]:
    """Yields (sentence, whether it is a fault) of the signatures beside entries; with `signers`, of none too."""
    for entry in found:
        path = path_of(folder, entry)
        name = entry.name.removesuffix(".json") + SIGNATURE
        content = storage.read_if_there(path)
        if content is None:
            if signers is not None and entry.kind == "sign":
                yield f"{name}: is not there, so no key of {signers} signed {entry.name}; `audit attach` puts it", True
            continue
        kind = kind_of(content)
        if kind is None:
            yield f"{name}: is no signature of ssh-keygen, gpg or minisign: it was changed; attach it again", True
        elif kind != "ssh":
            yield (
                f"{name}: is of {kind}, and not checked here: let {kind} check it against {entry.name}",
                signers is not None,
            )
        elif tool() is None:
            yield f"{name}: was not checked, as ssh-keygen is not installed here", signers is not None
        elif fault := checked(entry.written, content, signers):
            yield f"{name}: is no good signature of {entry.name}: {fault}; fetch it again, or sign again", True
