"""Numbers that say whether they can be real: identity cards, bank cards, telephone numbers, IP addresses.

All take ASCII. A number is *reserved* where a standard, or the one who issues it, sets it aside for examples and tests,
or where it names no person's machine (private and documentation networks).

Source: GB 11643-1999 (identity numbers), GB/T 2260 (first two digits: provinces), ISO 7064 MOD 11-2; ISO/IEC 7812-1
(Luhn, issuer numbers); ITU-T E.164 and its list of country codes; the North American Numbering Plan (555-0100 to
555-0199 are fictional); RFC 6890 (special-purpose addresses), RFC 5737 and 3849 and 9637 (documentation).
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from typing import Final

PROVINCES: Final = frozenset(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83".split()
)
YEARS: Final = range(1890, 2050)  # of birth: no clock is asked, so that the same text is always read the same
COUNTRY_CODE: Final = (
    r"(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|2[1-69]\d|3[578]\d|42\d|5[09]\d|6[7-9]\d|8[0578]\d"
    r"|9[679]\d)"
)
MOBILE: Final = re.compile(r"1(?:3\d|4[5-9]|5[0-35-9]|6[2567]|7[0-8]|8\d|9[0-35-9])\d{8}")
# Numbers that payment services publish for tests.
TEST_CARDS: Final = frozenset(
    """
    4111111111111111 4242424242424242 4012888888881881 4222222222222 4000056655665556 4000000000000002
    5555555555554444 5105105105105100 5200828282828210 2223003122003222 378282246310005 371449635398431
    378734493671000 6011111111111117 6011000990139424 30569309025904 38520000023237 3530111333300000
    3566002020360505 6200000000000005 6205500000000000004
    """.split()
)
_CARDS: Final = (
    re.compile(r"62\d{14,17}"),  # UnionPay
    re.compile(r"4\d{15}(?:\d{3})?|4\d{12}"),  # Visa
    re.compile(r"(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"),  # Mastercard
    re.compile(r"3[47]\d{13}"),  # American Express
    re.compile(r"(?:6011|64[4-9]\d|65\d\d)\d{12}"),  # Discover
    re.compile(r"(?:30[0-5]|36\d|3[89]\d)\d{11}"),  # Diners Club
    re.compile(r"35(?:2[89]|[3-8]\d)\d{12}"),  # JCB
)
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_SERVICES: Final = frozenset(  # resolvers that are open to all, and named in many texts
    "8.8.8.8 8.8.4.4 1.1.1.1 1.0.0.1 114.114.114.114 114.114.115.115 223.5.5.5 223.6.6.6 119.29.29.29 180.76.76.76 "
    "208.67.222.222 208.67.220.220 9.9.9.9 2001:4860:4860::8888 2001:4860:4860::8844 2606:4700:4700::1111 "
    "2606:4700:4700::1001 2400:3200::1".split()
)
_NETWORKS: Final = tuple(
    map(
        ipaddress.IPv4Network,
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
        "192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3".split(),
    )
)
_NETWORKS_6: Final = tuple(map(ipaddress.IPv6Network, ("2001:db8::/32", "3fff::/20", "2001::/23", "2002::/16")))
_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")


def is_identity(number: str) -> bool:
    """Returns whether 18 characters are an identity number: province, date of birth and check character.

    >>> is_identity("11010519491231002X"), is_identity("110105194912310021")
    (True, False)
    """
    if number[:2] not in PROVINCES or not _is_date(number[6:14]):
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number[:17], strict=True))
    return number[17].upper() == "10X98765432"[total % 11]


def is_old_identity(number: str) -> bool:
    """Returns whether 15 digits can be an identity number of before 1999; they hold no check character."""
    return number[:2] in PROVINCES and _is_date(f"19{number[6:12]}")


def _is_date(digits: str) -> bool:
    try:
        return datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).year in YEARS
    except ValueError:
        return False


def luhn(number: str) -> bool:
    """Returns whether the last digit is the check digit of the others.

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def is_card(number: str) -> bool:
    """Returns whether digits are the number of a bank card: a known issuer, its length, and the check digit."""
    return any(card.fullmatch(number) for card in _CARDS) and luhn(number)


def is_fictional(area: str, exchange: str, line: str) -> bool:
    """Returns whether a North American number is one of those set aside for fiction."""
    return (exchange == "555" and line.startswith("01")) or area == "555"


def is_reserved_ip(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Returns whether an address is private, local, for documentation, no host's, or a well-known public service.

    >>> [is_reserved_ip(ipaddress.ip_address(one)) for one in ("192.0.2.7", "10.1.2.3", "2001:db8::1", "93.184.5.6")]
    [True, True, True, False]
    """
    if str(address) in _SERVICES:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return any(address in network for network in _NETWORKS)
    return address not in _GLOBAL_6 or any(address in network for network in _NETWORKS_6)
