"""Personal details in text (PII): e-mail, telephone, identity card, bank card and IP addresses, masked or dropped."""

from typing import TYPE_CHECKING

from stages.pii.find import KINDS, MASKS, Detail, find, find_plainly

if TYPE_CHECKING:
    from stages.pii.stage import Pii

__all__ = ["KINDS", "MASKS", "Detail", "Pii", "find", "find_plainly"]


def __getattr__(name: str) -> type:
    """Returns the stage when it is first asked for: who looks for details in a line of text waits for no kernel."""
    if name == "Pii":
        from stages.pii.stage import Pii  # noqa: PLC0415

        return Pii
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
