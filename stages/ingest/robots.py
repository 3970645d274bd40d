"""What a page and its server ask of programs: robots directives, and signals that speak against training on it.

`robots` is the union of X-Robots-Tag fields and `<meta name=robots>`, lower case; what is addressed to one crawler
alone has its name before it (`googlebot:noindex`). `no_ai` is true where any of these says no to training on text:

- the directives noai (DeviantArt), noml (noml.info) and DisallowAITraining, whomever they are addressed to: they speak
  of a use, not of a crawler. noimageai speaks of images: it is in `robots`, but no signal here; nor are noindex,
  noarchive and nosnippet, which speak of search;
- tdm-reservation: 1 as HTTP field or meta tag; where both are there, the page's own counts, as TDMRep orders them;
- Content-Usage (IETF) and Content-Signal (Cloudflare) that disallow training by any label that a draft had for it.

What sites say in robots.txt, tdmrep.json or ai.txt is not in a page's record and not known here.

Source: Google, "Robots meta tag, data-nosnippet, and X-Robots-Tag specifications"; W3C Community Group report TDMRep of
2024-05-10, sections 6.2 and 6.3; draft-ietf-aipref-attach-05 and draft-ietf-aipref-vocab-08 (train-ai; the labels ai,
genai and bots are of earlier ones); draft-romm-aipref-contentsignals-00; draft-canel-robots-ai-control-00.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

Request = Literal[
    "no_ai",
    "noai",
    "noimageai",
    "noml",
    "disallowaitraining",
    "noindex",
    "nofollow",
    "none",
    "noarchive",
    "nocache",
    "nosnippet",
    "notranslate",
]
"""What pages can be dropped for: a directive, or no_ai, which is any signal against training."""
DIRECTIVES_LIMIT = 64  # of one page; more are no directives
HEADER_NAMES = ("x-robots-tag", "tdm-reservation", "content-usage", "content-signal")
AGENTS = frozenset(
    """
    googlebot googlebot-news googlebot-image google-extended bingbot msnbot slurp yandex yandexbot baiduspider
    sogou 360spider bytespider duckduckbot applebot applebot-extended ccbot gptbot oai-searchbot claudebot
    anthropic-ai perplexitybot amazonbot
    """.split()
)
META_NAMES = AGENTS | {"robots", "x-robots-tag", "tdm-reservation", "content-usage", "content-signal"}
NO_AI = frozenset({"noai", "noml", "disallowaitraining"})
TRAINING = frozenset({"train-ai", "ai-train", "train-genai", "genai", "ai", "tdm", "bots"})
_VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
_DATE = re.compile(r"unavailable_after\s*:[^,]*(?:,\s*\d[^,]*)?")  # a date may hold a comma, and colons
_DIRECTIVE = re.compile(r"[a-z][a-z0-9_-]{1,40}(?::[\w.-]{1,40})?")
_AGENT = re.compile(r"([a-z*][\w.*-]{0,60}):(.*)")
_SEPARATOR = re.compile(r"[,;\s]+")
_PREFERENCE = re.compile(r"\s*([a-z][a-z0-9_.*-]*)\s*=\s*\"?(\?0|n|no)\"?\s*(?:;.*)?", re.DOTALL)


class Signals(NamedTuple):
    """What was asked. `robots` and `no_ai_by` are comma-joined and sorted, None where there is nothing."""

    robots: str | None = None
    no_ai: bool = False
    no_ai_by: str | None = None


@functools.lru_cache(maxsize=4096)
def signals(headers: str | None, metas: tuple[tuple[str, str], ...]) -> Signals:
    r"""Returns what the lines of HTTP `headers` ("name: value", names of HEADER_NAMES) and the `metas` of a page ask.

    >>> signals("x-robots-tag: noarchive, BadBot: noai\n", (("robots", "NOINDEX"),))
    Signals(robots='badbot:noai,noarchive,noindex', no_ai=True, no_ai_by='noai')
    """
    stated = [*_fields(headers), *metas]
    directives = {found for name, value in stated for found in _directives(name, value)}
    by = {found.rpartition(":")[2] for found in directives} & NO_AI
    by.update(name for name, value in stated if name.startswith("content-") and _disallows(value))
    reserved = [value.strip() for name, value in stated if name == "tdm-reservation"]
    if reserved and reserved[-1] == "1":
        by.add("tdm-reservation")
    return Signals(",".join(sorted(directives)) or None, bool(by), ",".join(sorted(by)) or None)


def _fields(headers: str | None) -> Iterable[tuple[str, str]]:
    for line in (headers or "").splitlines():
        name, _, value = line.partition(":")
        yield name, value


def _directives(name: str, value: str) -> list[str]:
    """Returns the directives of one field or tag, those for one crawler with its name before them."""
    if name in ("tdm-reservation", "content-usage", "content-signal"):
        return []
    agent = f"{name}:" if name in AGENTS else ""
    found: list[str] = []
    text = ":".join(part.strip() for part in _DATE.sub("unavailable_after", value.lower()).split(":"))
    for part in _SEPARATOR.split(text):
        scoped = _AGENT.fullmatch(part)
        if scoped and scoped[1] not in _VALUED:
            agent, part = ("" if scoped[1] in ("*", "robots") else f"{scoped[1]}:"), scoped[2]
        if _DIRECTIVE.fullmatch(part) and len(found) < DIRECTIVES_LIMIT:
            found.append(agent + part)
    return found


def _disallows(value: str) -> bool:
    """Says whether usage preferences disallow training.

    >>> _disallows("search=y, train-ai=n"), _disallows("ai-train=yes"), _disallows("ai-train=no")
    (True, False, True)
    """
    preferences = (_PREFERENCE.fullmatch(part) for part in value.lower().split(","))
    return any(preference is not None and preference[1] in TRAINING for preference in preferences)


def asked(found: Signals, respect: frozenset[str]) -> str | None:
    """Returns what of `respect` (directives, or no_ai) a page asks of everybody, None where nothing.

    >>> asked(Signals("googlebot:noindex,none", True, "noai"), frozenset({"noindex"}))
    'none'
    """
    if found.no_ai and "no_ai" in respect:
        return found.no_ai_by
    wanted = respect | {"none"} if respect & {"noindex", "nofollow"} else respect
    matching = sorted(wanted & set((found.robots or "").split(",")))
    return ",".join(matching) or None
