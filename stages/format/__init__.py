"""Format of documents: prose, code, table, list, dialogue, qa, poetry or navigation."""

from stages.format.stage import Format

__all__ = ["Format"]
