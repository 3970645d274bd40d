"""The head of a page of ours, and with it the policy under which nothing can run or load but what is named there."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence

from stages.audit.page.markup import Safe, tag


def head(title: str, styles: Sequence[str], script: str, *, marks: Mapping[str, str], in_head: bool = True) -> Safe:
    """Returns the head: `styles` and `script` are named by their SHA-256 in a policy that allows nothing else.

    `marks` are values by name that programs look for. Without `in_head` the script is allowed, and stands elsewhere.
    """
    allowed = " ".join(f"'{_sha256(style)}'" for style in styles)
    policy = (
        f"default-src 'none'; style-src {allowed}; script-src '{_sha256(script)}'; base-uri 'none'; form-action 'none'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        *(tag("meta", name=name, content=value) for name, value in marks.items()),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        *(tag("style", Safe(style)) for style in styles),
        *((tag("script", Safe(script)),) if in_head else ()),
    )


def _sha256(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
