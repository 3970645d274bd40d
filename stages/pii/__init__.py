"""Personal details in text (PII): e-mail, telephone, identity card, bank card and IP addresses, masked or dropped."""

from stages.pii.find import KINDS, Detail, find, find_plainly
from stages.pii.stage import MASKS, Pii

__all__ = ["KINDS", "MASKS", "Detail", "Pii", "find", "find_plainly"]
