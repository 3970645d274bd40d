from pathlib import Path

import pytest

from stages.classify.make_model import SPOILERS, Draw, Text, make
from stages.classify.model import SHIPPED

PASSAGES = {
    "eng": "The river runs past the old mill. There are three birds on the roof.\nShe went home in the evening.",
    "zho": "河水流过古老的磨坊。屋顶上有三只鸟。\n傍晚时分，她回到了家里。",
}


@pytest.mark.parametrize("language", PASSAGES)
@pytest.mark.parametrize("spoil", SPOILERS)
def test_what_is_spoilt_follows_from_the_seed_and_is_another_text(spoil: object, language: str) -> None:
    once, again = (spoil(PASSAGES[language], language, Draw("seed")) for _ in range(2))  # type: ignore[operator]

    assert once == again
    assert once != spoil(PASSAGES[language], language, Draw("another seed"))  # type: ignore[operator]
    assert once.strip()
    assert once != PASSAGES[language]


def test_a_draw_takes_each_choice_as_often() -> None:
    draw = Draw("seed")
    counts = [0] * 4
    for _ in range(4000):
        counts[draw.below(4)] += 1

    assert all(900 < count < 1100 for count in counts)  # 1000 by chance, deviation 27


def test_a_text_with_a_tenth_of_han_is_chinese() -> None:
    assert [Text("", text, good=True).language for text in ("漢" + "a" * 9, "漢" + "a" * 10)] == ["zho", "eng"]


@pytest.mark.long
def test_the_shipped_model_is_what_the_script_makes(shared: Path, tmp_path: Path) -> None:
    make(shared, str(tmp_path / "quality.model"))

    for end in ("", ".json"):  # the card names languages as the language model of the day does
        assert (tmp_path / f"quality.model{end}").read_bytes() == Path(f"{SHIPPED['quality']}{end}").read_bytes()
