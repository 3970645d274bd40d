"""Who signs in tests, and with which key."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stages.audit.signed.detached import NAMESPACE

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
