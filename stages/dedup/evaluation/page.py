"""A made document as a crawler would have stored it: an HTML page in a WARC response, one gzip member.

Source: WARC 1.1 (ISO 28500:2017), sections 5 and 6.3.
"""

from __future__ import annotations

import gzip
import html
from typing import Final
from uuid import NAMESPACE_URL, uuid5

LANGUAGE_TAGS: Final = {"zho_Hans": "zh-CN", "eng_Latn": "en", "mixed": "zh-CN"}


def archived(url: str, date: str, language: str, text: str) -> bytes:
    """Returns the gzip member of a response that holds the text, a paragraph a line."""
    page = page_of(language, text).encode()
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(page)}\r\n\r\n"
    block = answer.encode() + page
    head = (
        "WARC/1.1\r\nWARC-Type: response\r\n"
        f"WARC-Record-ID: <urn:uuid:{uuid5(NAMESPACE_URL, f'{date} {url}')}>\r\n"
        f"WARC-Date: {date}\r\nWARC-Target-URI: {url}\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n", compresslevel=1, mtime=0)


def page_of(language: str, text: str) -> str:
    """Returns an HTML page of a text."""
    lines = [html.escape(line) for line in text.split("\n") if line.strip()]
    paragraphs = "\n".join(f"<p>{line}</p>" for line in lines)
    return (
        f'<!DOCTYPE html>\n<html lang="{LANGUAGE_TAGS[language]}"><head><meta charset="utf-8">'
        f"<title>{lines[0][:60]}</title></head>\n<body><article>\n{paragraphs}\n</article></body></html>\n"
    )
