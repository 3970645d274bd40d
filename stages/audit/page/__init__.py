"""The page of a report: one file that needs nothing but a browser, made from the report's data alone."""

from stages.audit.page.document import MOST_BYTES, Face, render

__all__ = ["MOST_BYTES", "Face", "render"]
