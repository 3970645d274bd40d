"""What every test may ask for: the development data, and Hypothesis as kernels need it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# No deadline: the first example of a kernel waits for numba to compile it. In CI Hypothesis loads a profile of its own,
# with the same examples every time, and no deadline either.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if os.environ.get("CI") != "true":
    settings.load_profile("here")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a case of bytes by its number: compressed ones hold the time, and each process of the tests must agree."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """Returns the folder with the development data; in CI it must be there."""
    folder = Path(os.environ.get("DATAPIPE_SHARED") or ROOT.parent / "shared").resolve()
    if not folder.is_dir():
        reason = f"{folder}: no such folder; DATAPIPE_SHARED names the one with the development data"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
