"""Texts with personal details that are known, made from a seed: what precision and recall are measured on.

Numbers are drawn at random and given their check digits by this module's own arithmetic; nobody's are meant.
`NEGATIVES` look like details and are none.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Draw = Callable[[random.Random], str]


@dataclass(frozen=True)
class Labelled:
    """A text and the details in it: (kind, as it stands there), in order; what kind of negative it is, if it is one."""

    text: str
    details: tuple[tuple[str, str], ...]
    negative: str = ""


def digits(draw: random.Random, number: int) -> str:
    return "".join(draw.choices("0123456789", k=number))


def wide(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if one.isdigit() else one for one in text)


def luhn_digit(number: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 - place % 2)
        total += sum(divmod(value, 10))
    return str(-total % 10)


def identity(draw: random.Random) -> str:
    date = f"{draw.randint(1940, 2015)}{draw.randint(1, 12):02}{draw.randint(1, 28):02}"
    head = draw.choice(["110105", "310104", "440305", "510107", "330106", "420106"]) + date + digits(draw, 3)
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(head))
    check = (12 - total % 11) % 11
    return head + ("X" if check == 10 else str(check))


def card(draw: random.Random) -> str:
    prefix, length = draw.choice([("622202", 19), ("621700", 19), ("625912", 16), ("453242", 16), ("518710", 16)])
    head = prefix + digits(draw, length - len(prefix) - 1)
    return head + luhn_digit(head)


def mobile(draw: random.Random) -> str:
    return draw.choice(["135", "138", "139", "150", "152", "159", "176", "186", "189", "199"]) + digits(draw, 8)


def landline(draw: random.Random) -> str:
    area = draw.choice(["010", "021", "020", "0755", "0571", "028"])
    rest = draw.choice("5678") + digits(draw, 7)
    return draw.choice([f"{area}-{rest}", f"({area}){rest}", f"（{area}）{rest}", f"{area}-{rest}-{digits(draw, 3)}"])


def american(draw: random.Random) -> str:
    area, exchange = draw.choice(["212", "415", "303", "617"]), draw.choice("234678") + digits(draw, 1) + "5"
    line = digits(draw, 4)
    return draw.choice(
        [
            f"({area}) {exchange}-{line}",
            f"{area}-{exchange}-{line}",
            f"+1 {area} {exchange} {line}",
            f"1-{area}-{exchange}-{line}",
        ]
    )


def abroad(draw: random.Random) -> str:
    return draw.choice(
        [
            f"+44 20 {digits(draw, 4)} {digits(draw, 4)}",
            f"+49 30 {digits(draw, 7)}",
            f"+852 {draw.choice('2569')}{digits(draw, 3)} {digits(draw, 4)}",
            f"+81-90-{digits(draw, 4)}-{digits(draw, 4)}",
        ]
    )


def email(draw: random.Random) -> str:
    local = draw.choice(["li.wei", "zhangsan", "j_smith", "anna-maria", "u" + digits(draw, 6), digits(draw, 9)])
    return f"{local}@{draw.choice(['qq.com', '163.com', 'gmail.com', 'pku.edu.cn', 'mail.co.uk', 'web.de'])}"


def ipv4(draw: random.Random) -> str:
    first = draw.choice([58, 93, 101, 115, 139, 185])
    return f"{first}.{draw.randint(40, 255)}.{draw.randint(0, 255)}.{draw.randint(1, 254)}"


def ipv6(draw: random.Random) -> str:
    return (
        f"240{draw.choice('89e')}:{draw.randint(4096, 65535):x}:{draw.randint(4096, 65535):x}::{draw.randint(1, 255):x}"
    )


def spaced_mobile(draw: random.Random) -> str:
    number = mobile(draw)
    joined = draw.choice(" -").join((number[:3], number[3:7], number[7:]))
    return draw.choice([joined, f"+86 {joined}", f"+86{number}", f"0086-{number}"])


def grouped_card(draw: random.Random) -> str:
    number, sign = card(draw), draw.choice(" -")
    return sign.join(number[place : place + 4] for place in range(0, len(number), 4))


def spaced_identity(draw: random.Random) -> str:
    number = identity(draw)
    return f"{number[:6]} {number[6:14]} {number[14:]}"


def failed_identity(draw: random.Random) -> str:
    number = identity(draw)
    return f"号码{number[:17]}{'0' if number[17] != '0' else '1'}。"


def failed_card(draw: random.Random) -> str:
    number = card(draw)
    return f"卡号{number[:-1]}{(int(number[-1]) + 1) % 10}"


# kind: (what is drawn, texts in which {} is where it stands)
POSITIVES: tuple[tuple[str, Draw, tuple[str, ...]], ...] = (
    (
        "email",
        email,
        (
            "邮箱{}，请勿外传。",
            "简历发到{}即可",
            "Write to {} for details.",
            "联系人：王老师（{}）",
            "<{}>",
            "e-mail:{};",
        ),
    ),
    (
        "phone",
        mobile,
        (
            "手机{}",
            "请拨打{}联系王经理。",
            "张三的号码是{}，李四没有留下。",
            "Tel: {}",
            "call me at {} tonight",
            "微信同号{}",
        ),
    ),
    ("phone", spaced_mobile, ("手机：{}", "电话{}转王先生", "Mobile {}, any time", "（{}）")),
    ("phone", lambda draw: wide(mobile(draw)), ("手机号码{}。", "电话：{}")),
    ("phone", landline, ("电话：{}", "办公室{}，传真另告。", "Fax {}", "座机{}")),
    ("phone", american, ("Call {} today.", "Phone: {}", "电话{}", "Our number is {}.")),
    ("phone", abroad, ("London office: {}", "电话：{}", "ring {} after six")),
    ("identity", identity, ("身份证号{}", "张三，{}，住北京市。", "ID: {}", "证件号码：{}。", "公民身份号码{}，")),
    ("identity", lambda draw: wide(identity(draw)), ("身份证：{}",)),
    ("identity", spaced_identity, ("身份证 {}",)),
    ("card", card, ("卡号{}", "银行卡号：{}，户名张三", "Card number {}", "转账至{}")),
    ("card", grouped_card, ("卡号{}", "请汇款到 {} 工商银行", "pay with {} please")),
    (
        "ip",
        ipv4,
        ("来自{}的用户", "IP：{}", "logged in from {} at noon", "http://{}/index.html", "{} - - [10/Oct/2000]"),
    ),
    ("ip", ipv6, ("地址为{}，", "inet6 {} prefixlen 64", "[{}]:443")),
)

NEGATIVES: dict[str, Callable[[random.Random], str]] = {
    "order": lambda draw: f"订单号：{draw.choice('123456')}{digits(draw, 17)}，已发货。",
    "order of eleven digits": lambda draw: f"订单编号 {mobile(draw)} 已完成",
    "time": lambda draw: f"更新于 2023-0{draw.randint(1, 9)}-1{digits(draw, 1)} 13:15:22.{digits(draw, 3)}",
    "timestamp": lambda draw: f"ts=16{digits(draw, 11)} and then 17{digits(draw, 8)}",
    "isbn": lambda draw: f"ISBN 978-7-{digits(draw, 3)}-{digits(draw, 5)}-{digits(draw, 1)}",
    "bare isbn": lambda draw: f"书号9787{digits(draw, 9)}。",
    "version": lambda draw: f"version {draw.randint(32, 99)}.{draw.randint(32, 99)}.{draw.randint(1, 99)}.7 of it",
    "section": lambda draw: f"见 {draw.randint(1, 9)}.{draw.randint(1, 20)}.{draw.randint(1, 9)}.4 一段",
    "browser": lambda draw: f"Chrome/{draw.randint(60, 120)}.0.{draw.randint(100, 255)}.{draw.randint(10, 99)} Safari",
    "hash": lambda draw: f"commit {draw.getrandbits(160):040x}",
    "uuid": lambda draw: f"id 12345678-1234-4234-8234-{digits(draw, 12)}",
    "price": lambda draw: f"总价￥{mobile(draw)}.00元",
    "qq": lambda draw: f"QQ：{draw.choice('123456789')}{digits(draw, 8)}",
    "failed identity": failed_identity,
    "failed card": failed_card,
    "coordinates": lambda draw: f"位于 {digits(draw, 2)}.{digits(draw, 12)}, 1{digits(draw, 2)}.{digits(draw, 13)}",
    "statute": lambda draw: f"国发〔20{draw.randint(10, 23)}〕{draw.randint(1, 50)}号，第{draw.randint(1, 400)}条",
    "decimal": lambda draw: f"pi is 3.{digits(draw, 16)}",
    "years": lambda draw: "2019 2020 2021 2022 年的产量",
    "package": lambda draw: f"npm install left-pad@{draw.randint(1, 9)}.{draw.randint(0, 9)}.0 icon@2x.png",
    "login": lambda draw: f"https://user:secret{digits(draw, 2)}@host.net/path",
    "id in an address": lambda draw: f"https://site.cn/a/{mobile(draw)}.html",
    "time of day": lambda draw: f"{draw.randint(10, 23)}:{draw.randint(10, 59)}:{draw.randint(10, 59)} and 20:01:4f",
    "phone of a service": lambda draw: f"客服热线 400-{digits(draw, 3)}-{digits(draw, 4)}，95588",
}
RESERVED = (
    "write to someone@example.com, or to me@host.example",
    "git clone git@github.com:apache/kyuubi.git",
    "the router is 192.168.1.1, this host 127.0.0.1, all are 0.0.0.0, see 203.0.113.9 and 2001:db8::7",
    "name server 8.8.8.8",
    "call 212-555-0147",
    "test card 4111 1111 1111 1111, or 5555555555554444",
)


def labelled(seed: int, each: int) -> list[Labelled]:
    """Returns `each` texts of every kind of positive and negative."""
    draw = random.Random(seed)
    made = []
    for kind, value, texts in POSITIVES:
        for _ in range(each):
            detail = value(draw)
            made.append(Labelled(draw.choice(texts).replace("{}", detail), ((kind, detail),)))
    for name, negative in NEGATIVES.items():
        made += [Labelled(negative(draw), (), name) for _ in range(each)]
    return made
