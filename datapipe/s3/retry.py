"""How often a store is asked again, and what its errors mean.

obstore's own retries are off: it takes a 409 (two conditional puts met; ask again) for "is there already", gives up on
an answer that is cut in its body, and counts a put that was tried twice as refused by its own first try.

Source: the errors of S3, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; obstore 0.12.1, whose
errors are read by their text: the status stands nowhere else.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from obstore.exceptions import BaseError, InvalidPathError, NotSupportedError

from datapipe.errors import ConfigError, Refused, Unreachable

Answer = TypeVar("Answer")
RETRY_SECONDS = "DATAPIPE_STORE_RETRY_SECONDS"
BUDGET_SECONDS = 120.0
CREDENTIALS_SECONDS = 10.0
PAUSE_SECONDS = (0.1, 10.0)  # the first, doubled with every error, and the longest
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
NO_CREDENTIALS = "no credentials were found"

_jitter = random.Random()  # of its own: the random numbers of nobody else are touched


class NotThere(FileNotFoundError):
    """There is no such object."""


class Again(Exception):
    """What came is not what was asked for, and may be so next time."""


def shown(url: str) -> str:
    """Returns a URL as a message may show it: without a user, a password or a query."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if scheme != "s3":
        path = path.partition("?")[0]
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def seconds_of(variable: str, default: float) -> float:
    """Returns a time of the environment (seconds). Raises ConfigError where it is none."""
    try:
        return float(os.environ.get(variable) or default)
    except ValueError:
        raise ConfigError(f"{variable}: is to be a number of seconds, not {os.environ[variable]!r}") from None


def attempt(url: str, act: Callable[[], Answer], budget_seconds: float | None = None) -> Answer:
    """Returns what `act` returns, tried again until it does not fail for a passing reason.

    Raises:
        NotThere: the object is not there.
        ConfigError: the name cannot be used, or there are no credentials.
        Refused: the store refuses.
        Unreachable: it did not answer as it should for `budget_seconds` ($DATAPIPE_STORE_RETRY_SECONDS, 120).
    """
    budget_seconds = seconds_of(RETRY_SECONDS, BUDGET_SECONDS) if budget_seconds is None else budget_seconds
    start, pause_seconds = time.monotonic(), PAUSE_SECONDS[0]
    for times in itertools.count(1):
        try:
            return act()
        except (BaseError, Again, FileNotFoundError, ValueError) as error:
            reason = passing(url, error)
        spent = time.monotonic() - start
        wait = pause_seconds * (0.5 + _jitter.random() / 2)
        if reason == NO_CREDENTIALS and spent + wait > CREDENTIALS_SECONDS:
            raise ConfigError(
                f"{shown(url)}: {NO_CREDENTIALS}: not in AWS_ACCESS_KEY_ID, not in ~/.aws, not from the machine; "
                "set them, or `anonymous: true` for this prefix under `stores` where it is public"
            )
        if spent + wait > budget_seconds:
            raise Unreachable(
                f"{shown(url)}: the store does not answer as it should ({reason}; asked {times} times in "
                f"{spent:.0f} s); see whether it is up and can be reached, and run the same command again: "
                "what is finished stays"
            )
        time.sleep(wait)
        pause_seconds = min(2 * pause_seconds, PAUSE_SECONDS[1])
    raise AssertionError("unreachable")


def passing(url: str, error: Exception) -> str:
    """Returns why a request failed, in words without secrets. Raises what `attempt` says where it is for good."""
    text = str(error)
    found = re.search(r"status code: (\d{3})", text)
    status = int(found[1]) if found else 0
    code = named[1] if (named := re.search(r"<Code>(\w+)</Code>", text)) else ""
    if isinstance(error, Again):
        return text
    if re.search(r"Error performing \w+ http://[^/\s]+/latest/(api|meta-data)/", text):
        return NO_CREDENTIALS  # a machine's metadata service may be overrun, and answer a moment later
    if code == "NoSuchBucket":
        raise ConfigError(f"{shown(url)}: there is no such bucket") from None
    if isinstance(error, FileNotFoundError):
        raise NotThere(2, "No such file or directory", shown(url)) from None
    if status in (401, 403) and code not in ("RequestTimeTooSkewed", "SlowDown") and url.startswith("s3://"):
        raise Refused(
            f"{shown(url)}: the store refuses access ({code or status}); see that the credentials may read and list "
            "it, and write it where it is for output (without the right to list, a missing name is refused as well)"
        ) from None
    if status in (301, 307, 308) or "redirect without LOCATION" in text or code == "AuthorizationHeaderMalformed":
        raise Refused(
            f"{shown(url)}: the bucket is in another region; set AWS_REGION, or `region` under `stores`"
        ) from None
    if "non-partial response" in text or "Header missing" in text or isinstance(error, NotSupportedError):
        raise Refused(
            f"{shown(url)}: this server does not say what a part of a file is, or how long; fetch it to a disk first"
        ) from None
    if isinstance(error, (ValueError, InvalidPathError)):
        raise ConfigError(
            f"{shown(url)}: is no name that can be used, or stands beside such a one (an empty part between two "
            "slashes, or . or ..)"
        ) from None
    if status == 412:
        raise Refused(f"{shown(url)}: was changed while it was read; run again when nobody writes it") from None
    if status in (401, 403) and not url.startswith("s3://"):
        return f"{status}, which web servers also say to who asks too often"
    if 400 <= status < 500 and status not in PASSING and code not in ("RequestTimeout", "RequestTimeTooSkewed"):
        raise Refused(f"{shown(url)}: the store refuses the request ({code or status})") from None
    if status:
        return f"{status} {code}".strip()
    return "no answer in time" if "Timeout" in text or "TimedOut" in text else "the connection failed or was cut"
