"""The repair step: texts are mended paragraph by paragraph, and clean ones pass untouched.

Ingest counts signs of mojibake by a module of this package, and does not load all others for it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.repair.stage import Repair

__all__ = ["Repair"]


def __getattr__(name: str) -> object:
    if name != "Repair":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stages.repair.stage import Repair  # noqa: PLC0415 - when it is asked for

    return Repair
