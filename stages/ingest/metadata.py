"""Title, author and date of publication of a page, where the page states them: never from running text, never a clock.

Looked at are tags `meta`, JSON-LD, `title`, and of the body the first heading, links to an author, and elements marked
as the date or the author. Each is found by its mark, so that a page without it costs a search for a string.

Source: the Open Graph protocol (article), schema.org (Article), Dublin Core terms; names of meta tags as web sites use
them. Which types of JSON-LD are articles follows schema.org.
"""

from __future__ import annotations

import datetime
import email.utils
import html
import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from stages.ingest.clean import clean_plainly, sound

TITLE_CHARACTERS = 65_536  # of the page, in which its title is looked for
JSON_CHARACTERS = 1 << 17  # of one script of JSON-LD; longer ones are not read
JSON_SCRIPTS = 4
JSON_OBJECTS = 64
MARKED_AUTHORS = 4  # elements marked as the author that are looked at
NAME_CHARACTERS = 120  # of an author; longer is no name
HEADING_CHARACTERS = 1024
FIRST_YEAR, LAST_YEAR = 1900, 2099

# Names of tags `meta`, the more trusted first.
_TITLES: Final = ("dc.title", "dcterms.title", "dc:title", "og:title", "weibo:article:title", "parsely-title", "title")
_SITES: Final = ("og:site_name", "application-name")
_AUTHORS: Final = (
    "dc.creator",
    "dcterms.creator",
    "dc:creator",
    "author",
    "article:author",
    "parsely-author",
    "sailthru.author",
    "byl",
)
_DATES: Final = (
    "article:published_time",
    "og:article:published_time",
    "bytedance:published_time",
    "datepublished",
    "og:release_date",
    "parsely-pub-date",
    "sailthru.date",
    "weibo:article:create_at",
    "pubdate",
    "publishdate",
    "publish_date",
    "publish-date",
    "firstpublishedtime",
    "dcterms.issued",
    "dcterms.created",
    "dc.date.issued",
    "dc.date.created",
    "dc.date",
    "article.published",
)
FACTS: Final = frozenset((*_TITLES, *_SITES, *_AUTHORS, *_DATES))

_TITLE = re.compile(r"<title\b[^>]{0,1024}>([^<]{0,4096})", re.IGNORECASE)
_TAGS = re.compile(r"<[^<>]*+>")
_JSON_END = re.compile(r"</script", re.IGNORECASE)
_ARTICLE = re.compile(r"(?:Article|Posting|BlogPost|Report|Recipe|Review|HowTo|QAPage)$")
_CONTROL = re.compile("[\x00-\x1f]")
_SEPARATOR = re.compile(r"\s*[|_–—·»]\s*|\s+[-:]+\s+")
_BY = re.compile(r"^(?:(?:(?:written|posted) )?by\s*:?\s+|(?:作者|撰文|文)\s*[:：/／]\s*)", re.IGNORECASE)
_AUTHOR_LINK = re.compile(
    r"<[a-z][a-z0-9]*\b[^<>]{0,1024}?\b(?:rel|itemprop)=[\"']?author[\"' ][^<>]{0,1024}>"
    r"(?:\s{0,64}<[a-z][a-z0-9]*\b[^<>]{0,1024}>){0,4}\s{0,64}([^<>]{1,200})<",
    re.IGNORECASE,
)
_DATED = re.compile(
    r"<(?:time|abbr|span|meta)\b(?=[^<>]{0,1024}?(?:\bpubdate|itemprop=[\"']?datePublished|\bentry-date|\bpublished\b))"
    r"[^<>]{0,1024}?\b(?:datetime|content)=[\"']?([^\"'<>]{8,64})",
    re.IGNORECASE,
)
_TIME = re.compile(r"<time\b[^<>]{0,1024}?\bdatetime=[\"']?([^\"'<>]{8,64})", re.IGNORECASE)
_ISO = re.compile(
    r"\s*(\d{4})\s?[-/.年]\s?(\d{1,2})\s?[-/.月]\s?(\d{1,2})(?!\d)日?"
    r"(?:[T\s]\s*(\d{1,2})[:：](\d{2})(?:[:：](\d{2})(?:[.,]\d{1,9})?)?)?\s*(Z|UTC|GMT|[+-](?:0\d|1[0-4]):?[0-5]\d)?"
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2}))?(Z|[+-](?:0\d|1[0-4]):?[0-5]\d)?\Z")
_WORDS = re.compile(
    r"(?:[a-z]+,?\s+)?(?:([a-z]{3,9})\.?\s+(\d{1,2})|(\d{1,2})\s+([a-z]{3,9})\.?),?\s+(\d{4})", re.IGNORECASE
)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

Json = Any  # what json.loads returns


class Metadata(NamedTuple):
    """What a page states of itself; None where it does not."""

    title: str | None = None
    author: str | None = None
    published: str | None = None  # ISO 8601: a date, or a date and time as far as the page gives it


def metadata_of(page: str, facts: tuple[tuple[str, str], ...] = ()) -> Metadata:
    """Returns title, author and date of publication of a page; `facts` are what `head_of` found in its tags `meta`.

    >>> metadata_of("<title>A &amp; B | Site</title><h1>A &amp; B</h1><time pubdate datetime='2020-02-03T04:05Z'>")
    Metadata(title='A & B', author=None, published='2020-02-03T04:05:00Z')
    """
    said: dict[str, str] = {}
    for name, content in facts:
        said.setdefault(name, content)
    article = _article(page)
    return Metadata(
        _line(article.title) or _first(said, _TITLES) or _own_title(page, said),
        _name(article.author) or _author(said) or _author_marked(page),
        _date(said, article.published) or _date_marked(page),
    )


def title_of(page: str) -> str | None:
    r"""Returns the element `title` of a page in one line, None where it has none.

    >>> title_of("<head><TITLE>\n A &amp; B </TITLE>")
    'A & B'
    """
    match = _TITLE.search(page, 0, TITLE_CHARACTERS)
    return _line(html.unescape(match[1])) if match else None


def _line(text: str | None) -> str | None:
    """Returns text in one line as it is stored, None where there is none."""
    return (" ".join(clean_plainly(sound(text)[0]).split()) or None) if text else None


def _first(said: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((line for name in names if (line := _line(said.get(name)))), None)


def _own_title(page: str, said: dict[str, str]) -> str | None:
    """Returns the element `title` without the name of the site, where it is sure which part that is; else a heading."""
    title = title_of(page)
    if title is None:
        return _heading(page)
    site = _first(said, _SITES)
    for separator in _SEPARATOR.finditer(title):
        rest = title[separator.end() :]
        if site is not None and rest.casefold() == site.casefold() and separator.start():
            return title[: separator.start()]
    if _SEPARATOR.search(title):
        heading = _heading(page)
        if heading and title.startswith(heading) and _SEPARATOR.match(title, len(heading)):
            return heading
    return title


def _heading(page: str) -> str | None:
    """Returns the text of the first `h1`, None where it is empty or long."""
    start = page.find("<h1")
    stop = page.find("</h1", start, start + HEADING_CHARACTERS) if start >= 0 else -1
    return _line(html.unescape(_TAGS.sub("", page[start:stop]))) if stop >= 0 else None


def _name(text: str | None) -> str | None:
    """Returns an author's name without what introduces it, None where it is no name.

    >>> _name("By Jane Doe"), _name("作者：张三"), _name("https://example.org/jane")
    ('Jane Doe', '张三', None)
    """
    name = _line(text)
    if name is None or len(name) > NAME_CHARACTERS:
        return None
    name = _BY.sub("", name).strip(" ,;:：|")
    return None if not name or "://" in name or name.startswith(("www.", "@", "{")) else name


def _author(said: dict[str, str]) -> str | None:
    return next((name for key in _AUTHORS if (name := _name(said.get(key)))), None)


def _author_marked(page: str) -> str | None:
    """Returns the author that a link or an element of the body is marked as."""
    for mark in ('rel="author', 'itemprop="author', "rel='author", "itemprop='author"):
        place = -1
        for _ in range(MARKED_AUTHORS):
            place = page.find(mark, place + 1)
            if place < 0:
                break
            start = page.rfind("<", max(0, place - 1024), place)
            found = _AUTHOR_LINK.match(page, start) if start >= 0 else None
            if found and (name := _name(html.unescape(found[1]))):
                return name
    return None


def _date(said: dict[str, str], published: str | None) -> str | None:
    stated = (said.get(_DATES[0]), published, *(said.get(name) for name in _DATES[1:]))
    return next((date for text in stated if text and (date := iso_of(text))), None)


def _date_marked(page: str) -> str | None:
    """Returns the date of an element that is marked as the date of publication, or of the only `time` there is."""
    place = page.find("<time")
    if place < 0 and "datePublished" not in page:
        return None
    found = _DATED.search(page)
    if found is None and place >= 0 and page.find("<time", place + 5) < 0:
        found = _TIME.match(page, place)
    return iso_of(html.unescape(found[1])) if found else None


def iso_of(text: str) -> str | None:
    """Returns a date in ISO 8601, with the time and zone if given; None where it is none, or may be two.

    >>> iso_of("2015年7月4日 05:36"), iso_of("July 4, 2015"), iso_of("20150704"), iso_of("04/07/2015")
    ('2015-07-04T05:36:00', '2015-07-04', '2015-07-04', None)
    """
    text = text.strip()[:64]
    match = _ISO.match(text) or _COMPACT.match(text)
    if match:
        return _built(match)
    if text.isdecimal() and text.isascii() and len(text) in (10, 13):
        moment = datetime.datetime.fromtimestamp(int(text[:10]), datetime.UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment.year <= LAST_YEAR else None
    if words := _WORDS.match(text):
        month = (words[1] or words[4])[:3].lower()
        if month in _MONTHS and (text.count(":") < 2 or "," not in text[:4]):
            return _day(int(words[5]), _MONTHS.index(month) + 1, int(words[2] or words[3]))
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.isoformat().replace("+00:00", "Z") if FIRST_YEAR <= moment.year <= LAST_YEAR else None


def _built(match: re.Match[str]) -> str | None:
    day = _day(int(match[1]), int(match[2]), int(match[3]))
    if day is None or match[4] is None:
        return day
    hour, minute, second = int(match[4]), int(match[5]), int(match[6] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return day
    zone = match[7] or ""
    zone = "Z" if zone in ("Z", "UTC", "GMT") else zone if ":" in zone or not zone else f"{zone[:3]}:{zone[3:]}"
    return f"{day}T{hour:02}:{minute:02}:{second:02}{zone}"


def _day(year: int, month: int, day: int) -> str | None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        return None


def _article(page: str) -> Metadata:
    """Returns what the page's JSON-LD says of its article."""
    best = Metadata()
    at = 0
    for _ in range(JSON_SCRIPTS):
        at = page.find("application/ld+json", at)
        if at < 0:
            break
        start = page.find(">", at, at + 1024) + 1
        stop = _JSON_END.search(page, start, start + JSON_CHARACTERS) if start > 0 else None
        if stop is None:
            break
        best = _merged(best, _stated(page[start : stop.start()], page))
        at = stop.end()
    return best


def _merged(one: Metadata, other: Metadata) -> Metadata:
    return Metadata(one.title or other.title, one.author or other.author, one.published or other.published)


def _stated(source: str, page: str) -> Metadata:
    """Returns what a script of JSON-LD says of an article, or else of the page."""
    if '"headline"' not in source and '"datePublished"' not in source and '"author"' not in source:
        return Metadata()
    source = _CONTROL.sub(" ", source.replace("<![CDATA[", "").replace("]]>", "")).strip()
    try:
        read = json.loads(source.removeprefix("<!--").removesuffix("-->").rstrip("; "))
    except (ValueError, RecursionError):
        return Metadata()
    objects = list(_objects(read))
    by_id = {held["@id"]: held for held in objects if isinstance(held.get("@id"), str) and "name" in held}
    found = Metadata()
    for held in objects:
        kinds = held.get("@type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if any(isinstance(kind, str) and _ARTICLE.search(kind) for kind in kinds):
            titles = [html.unescape(held[key]) for key in ("headline", "name") if isinstance(held.get(key), str)]
            if len(titles) > 1 and titles[1] in (title_of(page) or ""):  # some give a description as the headline
                titles.reverse()
            date = held.get("datePublished")
            stated = Metadata(
                titles[0] if titles else None,
                _names(held.get("author"), by_id),
                date if isinstance(date, str) else None,
            )
            found = _merged(found, stated)
        elif "WebPage" in kinds and isinstance(held.get("datePublished"), str):
            found = found._replace(published=found.published or held["datePublished"])
    return found


def _objects(read: Json) -> Iterator[dict[str, Json]]:
    """Yields the first objects of a JSON-LD document: itself, or those of its list or graph."""
    left = [read]
    for _ in range(JSON_OBJECTS):
        if not left:
            return
        item = left.pop(0)
        if isinstance(item, list):
            left = item[:JSON_OBJECTS] + left
        elif isinstance(item, dict):
            yield item
            graph = item.get("@graph")
            left += graph[:JSON_OBJECTS] if isinstance(graph, list) else []
            main = item.get("mainEntity")
            left += [main] if isinstance(main, dict) else []


def _names(author: Json, by_id: dict[str, dict[str, Json]]) -> str | None:
    """Returns the names of authors, joined by a comma."""
    names = []
    for one in author[:JSON_OBJECTS] if isinstance(author, list) else [author]:
        held = by_id.get(one["@id"], one) if isinstance(one, dict) and isinstance(one.get("@id"), str) else one
        name = held.get("name") if isinstance(held, dict) else held
        name = name[0] if isinstance(name, list) and name else name
        if isinstance(name, str) and (clean := _name(html.unescape(name))):
            names.append(clean)
    return ", ".join(dict.fromkeys(names)) or None
