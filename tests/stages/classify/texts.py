"""Labelled texts of two subjects, made by rule, and what tests do with them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

PARTS = {
    "cooking": (
        ("salt", "soup", "onion", "bake", "oven", "butter", "flour", "simmer", "garlic", "spoon"),
        ("放盐", "煮汤", "洋葱", "烤箱", "黄油", "面粉", "大蒜", "汤匙", "小火", "切片"),
    ),
    "sailing": (
        ("sail", "mast", "tide", "anchor", "harbour", "wind", "keel", "rope", "deck", "wave"),
        ("风帆", "桅杆", "潮水", "抛锚", "港口", "海风", "龙骨", "缆绳", "甲板", "波浪"),
    ),
}


def texts(label: str, amount: int = 200) -> list[str]:
    """Returns texts of a subject, half of them Chinese, all different."""
    english, chinese = PARTS[label]
    made = []
    for number in range(amount):
        picks = [(number * step + number // 7) % 10 for step in (1, 3, 7, 9, 2)]
        if number % 2:
            named = chr(97 + number % 26) + chr(97 + number // 26)
            made.append(f"No. {named}: the {' and the '.join(english[pick] for pick in picks)}.")
        else:
            made.append(f"第{chr(0x4E00 + number)}条，{'，'.join(chinese[pick] for pick in picks)}。")
    return made


def rows(amount: int = 200) -> list[dict[str, str]]:
    """Returns rows of text and label."""
    return [{"text": text, "label": label} for label in PARTS for text in texts(label, amount)]


def as_jsonl(file: Path, given: list[dict[str, str]]) -> str:
    """Writes rows as JSON lines; returns the path."""
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in given), "utf-8")
    return str(file)


def as_csv(file: Path, given: list[dict[str, str]]) -> str:
    """Writes rows as CSV; returns the path."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(given[0]), delimiter="\t" if file.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(given)
    return str(file)
