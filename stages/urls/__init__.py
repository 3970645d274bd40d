"""URL and host lists: documents from addresses that nobody wants are dropped before anything is spent on them."""

from stages.urls.stage import Lists, Urls

__all__ = ["Lists", "Urls"]
