"""Main text of web pages: a scan to a tree, a choice, and its text, all in kernels over batches of pages."""

from stages.ingest.main_text.pages import main_texts
from stages.ingest.main_text.scan import NODES_LIMIT

__all__ = ["NODES_LIMIT", "main_texts"]
