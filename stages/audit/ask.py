"""The commands that a report names: what lists the documents behind a figure."""

from __future__ import annotations

import shlex

DIR = "DIR"


def equal(name: str, value: object) -> str:
    """Returns the condition that a column has a value.

    >>> equal("host", "a.cn"), equal("host", "=a.cn")
    ('host=a.cn', 'host===a.cn')
    """
    sign = "==" if str(value).startswith("=") else "="  # or a sign of the value would be taken for one of the condition
    return f"{name}{sign}{value}"


def show_command(
    *where: str, stage: str | None = None, rule: str | None = None, kept: bool = False, **equals: object
) -> str:
    """Returns the command that shows the documents of which all of this is so; values may be hostile.

    `where` are comparisons such as `quality<0.4`; `stage` is where they left, by `rule`; `kept` are those that stayed.

    >>> show_command(stage="quality", rule="zh_length", host="例 子.example")
    "datapipe show DIR 'host=例 子.example' --stage quality --rule zh_length"
    """
    words = [
        "datapipe",
        "show",
        DIR,
        *(equal(name, value) for name, value in equals.items() if value is not None),
        *where,
    ]
    for option, given in (("--stage", stage), ("--rule", rule)):
        words += [option, given] if given is not None else []
    return shlex.join([*words, *(["--kept"] if kept else [])])
