"""Finds personal details in a text, exactly: what begins at a candidate, checked by its digits and by what stands near.

- `email`: an address whose last label is a known top-level domain; not the user of a URL, not a package's version.
- `identity`: 18 characters with province, date and check character (also as 6-8-4); 15 digits only after such a word
  as 身份证.
- `card`: 13 to 19 digits, of a known issuer and with the check digit; in groups, or 16 (UnionPay: to 19), or after such
  a word as 卡号.
- `phone`: Chinese mobile and landline numbers (+86, spaces, hyphens, brackets, extension), those of Taiwan, those of
  North America, and any with + and a country code. Digits without any grouping need a word as 电话 near by, but for
  Chinese mobile numbers: in 100 MB of documentation and crawl, the one other such number was 2**34. Service numbers
  (400, 800, 95588) belong to no person and stay.
- `ip`: IPv4 and IPv6; not after a word as `version`, nor where all four numbers are below 32 without a word as `IP`
  (one address in 4,096 is: section numbers and versions mostly are).

Words count within 24 characters before; of a word for and one against (订单号), the nearer wins.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from publicsuffixlist import PublicSuffixList

from stages.pii.numbers import (
    COUNTRY_CODE,
    MOBILE,
    TEST_CARDS,
    is_card,
    is_fictional,
    is_identity,
    is_old_identity,
    is_reserved_ip,
)

KINDS: Final = ("email", "phone", "identity", "card", "ip")
# None can be read as a detail, so a text that is masked twice is as if it were once.
MASKS: Final = {
    "email": "<EMAIL>",
    "phone": "<PHONE>",
    "identity": "<ID_NUMBER>",
    "card": "<CARD_NUMBER>",
    "ip": "<IP>",
}
NEAR: Final = 24  # characters before a number in which a word counts


class Detail(NamedTuple):
    """A personal detail: text[start:end]; `reserved` where it is set aside for examples and can be nobody's."""

    kind: str
    start: int
    end: int
    reserved: bool = False


_NARROW = {wide: chr(ord(wide) - 0xFEE0) for wide in "０１２３４５６７８９＠Ｘ（）＋－．"}
_NARROW |= {"\u00a0": " ", "\u3000": " ", "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-"}
GROUP = re.compile(r"(?<![0-9A-Za-z_])[0-9]")
_END = r"(?![0-9A-Za-z_])"

_LOCAL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._%+-]*[A-Za-z0-9_])?")
_LOCAL_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-")
_DOMAIN = re.compile(
    r"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24})(?![A-Za-z0-9])(?!-[A-Za-z0-9])"
)
_USER = re.compile(r"://[^\s/@]*\Z")
_RESERVED_DOMAIN = re.compile(
    r"(?:.*\.)?(?:example\.(?:com|org|net|edu|cn)|example|test|invalid|localhost)", re.IGNORECASE
)
_ACCOUNTS = ("git", "svn", "hg")  # whom a host lets in as no one in particular

_IDENTITY = re.compile(rf"(\d{{6}})([ -]?)(\d{{8}})\2(\d{{3}}[\dXx]){_END}", re.ASCII)
_OLD_IDENTITY = re.compile(rf"\d{{15}}{_END}", re.ASCII)
_CARDS = tuple(
    re.compile(shape + _END, re.ASCII)
    for shape in (
        r"\d{13,19}",
        r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}\1\d{1,3}",
        r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}",
        r"\d{4}([ -])\d{6}\1\d{4,5}",
        r"\d{6}[ -]\d{13}",
    )
)
_UNGROUPED = re.compile(r"\d+", re.ASCII)
_POWER = str(2**34)  # the only power of two among the mobile numbers, and a common default
_86 = r"(?:(?:\+|00)?86\)?[ -]?)?"
_PHONE_END = r"(?![0-9A-Za-z_])(?!\.\d)"
_MOBILE = re.compile(
    rf"{_86}(1\d{{10}}|1\d\d([ -])\d{{4}}\2\d{{4}}|1\d\d([ -])\d{{8}}|1\d{{6}}([ -])\d{{4}}|1\d\d([ -])\d{{3}}\5\d{{5}}"
    rf"|1\d{{3}}([ -])\d{{3}}\6\d{{4}}){_PHONE_END}(?!-\d)",
    re.ASCII,
)
_LANDLINE = re.compile(
    rf"({_86})(?:(0?10|0?2[0-57-9]|0?[3-9]\d\d)(\)[ -]?|[ -]?))"
    rf"([1-9]\d{{6,7}}|[1-9]\d{{3}}[ -]\d{{4}}|[1-9]\d\d[ -]\d{{4}})"
    rf"(?:(?:-|转|轉|分机|分機| ?ext\.? ?)\d{{1,6}})?{_PHONE_END}(?!-\d)",
    re.ASCII,
)
_TAIWAN = re.compile(
    rf"(?:0[2-8]-\d{{3,4}}-\d{{4}}|0[2-8]\) ?\d{{3,4}}-\d{{4}}|09\d\d-\d{{3}}-\d{{3}}){_PHONE_END}(?!-\d)", re.ASCII
)
_AMERICAN = re.compile(
    rf"(\+?1[ .-]?\(?)?([2-9]\d\d)(\)[ -]?|[ .-]?)([2-9]\d\d)([ .-]?)(\d{{4}}){_PHONE_END}(?!-\d)", re.ASCII
)
_ARGUMENT = re.compile(r".?[=&%$\\~#]\Z|[A-Za-z_./:-]/\Z|\A/\Z", re.DOTALL)
_SUM = re.compile(r"[0-9A-Za-z_+]")  # before a plus: it adds
# Toll-free and premium services.
_NO_AREA = frozenset("200 300 400 500 600 700 900 800 833 844 855 866 877 888".split())
_ABROAD = re.compile(rf"\+{COUNTRY_CODE}(?:[ .-]?\(\d{{1,4}}\))?(?:[ .-]?\d{{1,12}}){{1,4}}{_PHONE_END}", re.ASCII)
_IPV4 = re.compile(rf"(\d{{1,3}})\.(\d{{1,3}})\.(\d{{1,3}})\.(\d{{1,3}}){_END}(?!\.\d)(?!-[A-Za-z])", re.ASCII)
_IPV6 = re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{1,35}+(?![0-9A-Za-z_:])(?!\.\d)")  # at most 39, and a colon


def _words(for_it: tuple[str, str, str], against: tuple[str, str, str]) -> re.Pattern[str]:
    """Returns a pattern of words for (group `for`) and against a number: Han anywhere, whole Latin words, and signs."""
    sides = [
        "|".join(
            filter(
                None, [anywhere.replace(" ", "|"), rf"(?<![A-Za-z<])(?:{latin.replace(' ', '|')})(?![A-Za-z])", signs]
            )
        )
        for anywhere, latin, signs in (for_it, against)
    ]
    return re.compile(f"(?P<for>{sides[0]})|(?:{sides[1]})", re.IGNORECASE)


# Words by which a number is what it looks like, or is not: the nearer one before it decides.
_NOT_HAN = "订单 訂單 单号 單號 编号 編號 流水 序列 快递 运单 案号 票号 条码 条形码 信用代码"
_NOT_LATIN = "order invoice serial sku tracking isbn issn id uid size bytes offset time timestamp"
_FOR_PHONE = _words(
    (
        "手机 手機 电话 電話 联系 聯系 聯絡 致电 来电 拨打 撥打 热线 熱線 传真 傳真 短信 微信 咨询 諮詢 座机 号码是",
        "tel telephone phone mobile cell fax call sms text txt whatsapp wechat contact dial ph telefon",
        "☎|📞|📱",
    ),
    (
        f"{_NOT_HAN} 文号 证号 证书 许可 批准 备案 群号 账号 帐号",
        f"{_NOT_LATIN} qq pid gid index version port",
        "[$€£¥￥#]",
    ),
)
_FOR_CARD = _words(
    (
        "卡号 卡號 银行 銀行 储蓄 儲蓄 信用卡 借记 账号 帐号 帳號 账户 帐户 帳戶 汇款 转账 打款",
        "card visa mastercard amex account debit credit",
        "",
    ),
    (_NOT_HAN, f"{_NOT_LATIN} hash imei iccid", "[$€£¥￥#]"),
)
_FOR_IDENTITY = _words(("身份证 身份證 身分证 公民身份 证件号 證件號", "identity", ""), (_NOT_HAN, _NOT_LATIN, ""))
_FOR_IP = _words(
    (
        "地址 主机 服务器 伺服器 网关 登录 来自",
        "ips? ipv4 host server address ping dns gateway from client addr nameserver",
        "://",
    ),
    ("版本 升级 升級 更新 固件 发布 章 节 節", "versions? ver release rev build firmware section upgrade v oid", ""),
)


def find(text: str, places: Sequence[int]) -> list[Detail]:
    """Returns the details that begin at a candidate, in order, none within another.

    `places` are characters of `text`, ascending: the signs @ and the first digits of groups that may begin a number
    (`candidates`), or more.
    """
    plain = _narrowed(text)
    found: list[Detail] = []
    for place in places:
        if plain[place] == "@":
            detail = _email(plain, place, found[-1].end if found else 0)
            found += [detail] if detail else []
    emails, until = [*found, Detail("", len(text) + 1, len(text) + 1)], 0
    following = 0  # the first e-mail that ends behind the group
    for place in places:
        while emails[following].end <= place:
            following += 1
        if plain[place] == "@" or place < until or place >= emails[following].start:
            continue
        detail = _number(text, plain, place, found[-1] if until else None)
        if detail and detail.end <= emails[following].start:
            found.append(detail)
            until = detail.end
    return sorted(found, key=lambda detail: detail.start)


def find_plainly(text: str) -> list[Detail]:
    """Returns the details of a text by looking at every sign @ and every group of digits: the twin of the kernel."""
    plain = _narrowed(text)
    return find(
        text, sorted(match.start() for pattern in (GROUP, re.compile("@")) for match in pattern.finditer(plain))
    )


def _narrowed(text: str) -> str:
    """Returns the text with full-width digits and signs as their narrow forms, each character in its place."""
    if not text.isascii():
        for wide, narrow in _NARROW.items():
            if wide in text:
                text = text.replace(wide, narrow)
    return text


def _email(text: str, sign: int, after: int) -> Detail | None:
    start = sign
    while start > max(after, sign - 64) and text[start - 1] in _LOCAL_LETTERS:
        start -= 1
    while start < sign and not text[start].isalnum():
        start += 1
    domain = _DOMAIN.match(text, sign)
    if domain is None or not _LOCAL.fullmatch(text, start, sign) or ".." in text[start:sign]:
        return None
    if not _known_suffix(domain[1].lower().rpartition(".")[2]) or text[start - 1 : start] == "/":
        return None
    if _USER.search(text, max(0, start - 64), start):
        return None
    reserved = bool(_RESERVED_DOMAIN.fullmatch(domain[1])) or text[start:sign].lower() in _ACCOUNTS
    return Detail("email", start, domain.end(), reserved)


@functools.lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


@functools.lru_cache(maxsize=1 << 12)
def _known_suffix(label: str) -> bool:
    return _suffixes().publicsuffix(label) is not None


def _number(text: str, plain: str, place: int, last: Detail | None) -> Detail | None:
    """Returns the detail that the group of digits at `place` begins; `last` is the number before it."""
    after = last.end if last else 0
    return (
        _identity(plain, place, after)
        or _ip(text, plain, place, after)
        or _card(plain, place, after)
        or _phone(plain, place, last)
    )


def _leaning(text: str, place: int, words: re.Pattern[str], after: int) -> int:
    """Returns 1 where a word near before `place` speaks for the number, -1 where one speaks against it, else 0.

    Words before the last number, or before a mask, are not asked: masking makes no other number one.
    """
    start = max(place - NEAR, after, 0)
    met = list(words.finditer(text, text.rfind(">", start, place) + 1 or start, place))
    if not met:
        return 0
    return 1 if met[-1]["for"] is not None else -1


def _is_inside(plain: str, place: int, after: int) -> bool:
    """Returns whether what begins at `place` is the rest of a decimal, or of a longer code that is no detail."""
    if place < 2 or place - 1 <= after:
        return False
    before, held = plain[place - 1], plain[place - 2]
    return held.isascii() and ((before == "." and held.isdigit()) or (before == "-" and held.isalnum()))


def _is_argument(plain: str, place: int) -> bool:
    """Returns whether a sign of addresses and code stands before `place`."""
    return bool(_ARGUMENT.match(plain, max(0, place - 2), place))


def _identity(plain: str, place: int, after: int) -> Detail | None:
    match = _IDENTITY.match(plain, place)
    if match and is_identity(match[1] + match[3] + match[4]) and not _is_inside(plain, place, after):
        return Detail("identity", place, match.end())
    match = _OLD_IDENTITY.match(plain, place)
    if match and _leaning(plain, place, _FOR_IDENTITY, after) > 0 and is_old_identity(match[0]):
        return Detail("identity", place, match.end())
    return None


def _ip(text: str, plain: str, place: int, after: int) -> Detail | None:
    match = _IPV6.match(text, place)
    if match:
        return _ipv6(text, place, match.end(), after)
    match = _IPV4.match(plain, place)
    if match is None or (place - 1 > after and plain[place - 1] in ".-"):
        return None
    if re.search(r"[A-Za-z]/\Z", plain[max(0, place - 2) : place]):
        return None
    numbers = match.groups()
    if any(int(number) > 255 or (number[0] == "0" and len(number) > 1) for number in numbers):
        return None
    leaning = _leaning(plain, place, _FOR_IP, after)
    if leaning < 0 or (leaning == 0 and all(int(number) < 32 for number in numbers)):
        return None
    return Detail("ip", place, match.end(), is_reserved_ip(ipaddress.IPv4Address(match[0])))


def _ipv6(text: str, place: int, end: int, after: int) -> Detail | None:
    while text[end - 1] == ":" and text[end - 2] != ":":
        end -= 1
    if place - 1 > after and text[place - 1] in ":.-":
        return None
    try:
        address = ipaddress.IPv6Address(text[place:end])
    except ValueError:
        return None
    return Detail("ip", place, end, is_reserved_ip(address))


def _card(plain: str, place: int, after: int) -> Detail | None:
    for shape in _CARDS:
        match = shape.match(plain, place)
        number = re.sub("[ -]", "", match[0]) if match else ""
        if match and is_card(number) and not _is_inside(plain, place, after):
            leaning = _leaning(plain, place, _FOR_CARD, after)
            grouped = not _UNGROUPED.fullmatch(match[0])
            common = len(number) == 16 or (len(number) > 16 and number.startswith("62"))
            sure = leaning > 0 or grouped or (common and not _is_argument(plain, place))
            if sure and (leaning >= 0 or grouped):
                return Detail("card", place, match.end(), number in TEST_CARDS)
    return None


def _phone(plain: str, place: int, last: Detail | None) -> Detail | None:
    start, after = place, last.end if last else 0
    if start > after and plain[start - 1] == "(":
        start -= 1
    if start > after and plain[start - 1] == "+":
        start -= 1
        if start > after and plain[start - 1] == "(":
            start -= 1
    if _is_inside(plain, start, after) or (
        start > after and "+" in plain[start:place] and _SUM.match(plain, start - 1)
    ):
        return None
    leaning = _leaning(plain, start, _FOR_PHONE, after)
    if last and last.kind == "phone" and start - after <= 3:  # one of several
        leaning = 1
    if _is_argument(plain, start) and leaning <= 0:
        return None
    begin = place - 1 if plain[place - 1 : place] == "+" else place
    for shape in (_mobile, _landline, _taiwan, _american, _abroad):
        end = shape(plain, begin, leaning)
        if end:
            opened = plain.count("(", start, abs(end)) > plain.count(")", start, abs(end))
            return Detail("phone", begin if opened else start, abs(end), end < 0)
    return None


def _mobile(plain: str, place: int, leaning: int) -> int:
    match = _MOBILE.match(plain, place)
    if match is None or not MOBILE.fullmatch(re.sub("[ -]", "", match[1])) or match[0] == _POWER:
        return 0
    if match[0].isdigit() and len(match[0]) == 11 and leaning < 0:
        return 0
    return match.end()


def _landline(plain: str, place: int, leaning: int) -> int:
    match = _LANDLINE.match(plain, place)
    if match is None or not (match[1] or match[2].startswith("0")):
        return 0
    spaced = match[3] == " " and (" " in match[4] or match[4][0] == "1")  # as the groups of fingerprints are
    if not match[1] and (not match[3] or spaced) and leaning <= 0:
        return 0
    digits = re.sub("[ -]", "", match[4])
    eight = match[2].lstrip("0") in ("10", "20", "21", "22", "23", "24", "25", "27", "28", "29")
    if (eight and len(digits) != 8) or (leaning < 0 and "(" not in plain[place - 1 : place]):
        return 0
    return match.end()


def _taiwan(plain: str, place: int, leaning: int) -> int:
    match = _TAIWAN.match(plain, place)
    return match.end() if match and leaning >= 0 else 0


def _american(plain: str, place: int, leaning: int) -> int:
    """Returns the end of a number of the North American plan, negative where it is set aside for fiction."""
    match = _AMERICAN.match(plain, place)
    if match is None:
        return 0
    prefix, area, first, exchange, second, line = match.groups()
    if area[1:] == "11" or exchange[1:] == "11" or area in _NO_AREA:
        return 0
    bracketed = first.startswith(")")
    hyphens = first.strip() == second and second in ("-", ".")
    sure = (bracketed and second) or hyphens or (prefix or "").startswith("+")
    if leaning < 0 or (not sure and leaning == 0):
        return 0
    return -match.end() if is_fictional(area, exchange, line) else match.end()


def _abroad(plain: str, place: int, leaning: int) -> int:
    match = _ABROAD.match(plain, place)
    digits = sum(character.isdigit() for character in match[0]) if match else 0
    return match.end() if match and 9 <= digits <= 15 and leaning >= 0 else 0
