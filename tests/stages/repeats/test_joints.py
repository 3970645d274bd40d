import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.dedup.fold import fold_table, load, tokens
from stages.repeats.joints import Place, cut_out

FOLD = load(fold_table())


def without(text: str) -> str:
    """Returns a text without what stands between ⟦ and ⟧, which begin and end at letters."""
    places, plain = [], ""
    for number, part in enumerate(text.replace("⟦", "⟧").split("⟧")):
        if number % 2:
            places.append((len(plain), len(plain) + len(part)))
        plain += part

    def size(place: int) -> int:
        return len(plain[:place].encode())

    def before(place: int) -> int:
        return next((at for at in range(place, 0, -1) if plain[at - 1].isalnum()), 0)

    def behind(place: int) -> int:
        return next((at for at in range(place, len(plain)) if plain[at].isalnum()), len(plain))

    found = [Place(size(before(start)), size(start), size(end), size(behind(end))) for start, end in places]
    return cut_out(plain.encode(), found, FOLD)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("One here. ⟦Two goes⟧. Three stays.", "One here. Three stays."),
        ("⟦One goes⟧. Two stays.", "Two stays."),
        ("# ⟦Title\n\nOne goes⟧.\n\n## Two\n", "## Two\n"),
        ("One stays. ⟦Two goes⟧.", "One stays."),
        ("One stays (⟦two goes⟧).", "One stays"),
        ("春天来了。⟦孩子们在放风筝⟧。老人在晒太阳。", "春天来了。老人在晒太阳。"),
        ("春天来了：「⟦孩子们在放风筝⟧。」老人说。", "春天来了：老人说。"),
        ("春天来了。⟦孩子们在放风筝⟧。「老人」说。", "春天来了。「老人」说。"),
        ("a\n\n⟦b\n\nc⟧.\n\nd", "a\n\nd"),
        ("a and ⟦b.\n\nc⟧, d", "a and\n\nd"),
        ("- a\n- ⟦b\n- c⟧;\n- d", "- a\n- d"),
        ("| a |\n| ⟦b | c⟧ |\n| d |", "| a |\n| d |"),
        ("a\n    ⟦b⟧\n    c", "a\n    c"),
        ("abc⟦中文⟧def", "abc def"),
        ("abc⟦中文⟧和", "abc和"),
        ("中文 ⟦abc⟧ 中文", "中文 中文"),
        ("a. ⟦b⟧. c ⟦d⟧, e", "a. c e"),
        ("⟦a b⟧.", ""),
        ("他说：「天晴了。⟦风也停了⟧。」大家都笑。", "他说：「天晴了。」大家都笑。"),
        ("他说：「⟦天晴了⟧。风也停了。」大家都笑。", "他说：「风也停了。」大家都笑。"),
        ("他说：「天⟦晴了。」大家（都）笑：「好⟧！」走了。", "他说：「天」走了。"),
        ("天晴（⟦风停）。大家都⟧笑。", "天晴笑。"),
        ("“⟦天晴了⟧。\n“风停了。”", "“风停了。”"),
        ("“天晴了。\n风⟦停了⟧。”\n大家都笑。", "“天晴了。\n风”\n大家都笑。"),
        ("one ’tis ⟦two ’tis⟧ 1) three", "one ’tis 1) three"),
        ("see\n\n```py\n⟦a\nb⟧\n```\n\nend", "see\n\n```py\n```\n\nend"),
        ("see ⟦this\n\n```py\na⟧\n    b\n```\nend", "see\n\n```\n    b\n```\nend"),
        ("a\n\n⟦b⟧\n    c", "a\n\n    c"),
        ("see\n\n```py\na ⟦b\n```\nmore⟧. end", "see\n\n```py\na\n```\nend"),
        ("```py\na\n⟦b⟧\n```\n", "```py\na\n```"),
        ("~~~\n⟦a⟧\n  b\n~~~\n", "~~~\nb\n~~~\n"),
        ("a\n```py\n⟦b\n```\nc\n```js\nd⟧\n```\n", "a\n```py\n```"),
        ("a ⟦b ``` c⟧ d", "a d"),
    ],
)
def test_joins_what_stays(text: str, left: str) -> None:
    assert without(text) == left


@given(st.lists(st.sampled_from(["ab cd", "「天晴。」", "```py", "```", "  ```", ""]), max_size=9), st.data())
def test_blocks_of_code_and_quotations_stay_closed(lines: list[str], data: st.DataObject) -> None:
    text = "\n".join([*lines, *["```"] * (sum("```" in line for line in lines) % 2), "end"])
    letters = [place for place, sign in enumerate(text) if sign.isalnum()]
    first, last = sorted(data.draw(st.sampled_from(letters)) for _ in range(2))

    left = without(f"{text[:first]}⟦{text[first : last + 1]}⟧{text[last + 1 :]}")

    assert sum(line.lstrip().startswith("```") for line in left.split("\n")) % 2 == 0
    assert left.count("「") == left.count("」")


@given(st.lists(st.tuples(st.text("ab北京é\u0301 ，。「」(.`\n\u200d", max_size=9), st.booleans()), max_size=7))
def test_leaves_the_tokens_that_stay_as_they_were(parts: list[tuple[str, bool]]) -> None:
    kept = ["".join(text for text, _ in parts[:number]) for number in range(len(parts) + 1)]
    views = [tokens(text, FOLD) for text in kept]
    data, places, wanted = kept[-1].encode(), [], list(views[-1])
    starts = _starts(kept[-1])
    first = last = None
    for number, (_, goes) in enumerate(parts):
        begin, end = len(views[number]), len(views[number + 1])
        if goes and end - begin > 2 and first is None:
            first, last = begin + 1, end - 1
    if first is None or last is None:
        return
    spans = [*starts, (len(data), len(data))]
    before, start = spans[first - 1][1], spans[first][0]
    places = [Place(before, start, spans[last - 1][1], spans[last][0])]

    assert tokens(cut_out(data, places, FOLD), FOLD) == wanted[:first] + wanted[last:]


def _starts(text: str) -> list[tuple[int, int]]:
    """Returns the bytes of each token, letter by letter; of letters that fold to one token or part of one."""
    made: list[tuple[int, int]] = []
    for number in range(len(text)):
        amount, size = len(tokens(text[: number + 1], FOLD)), len(text[: number + 1].encode())
        changed = tokens(text[: number + 1], FOLD) != tokens(text[:number], FOLD)
        if amount > len(made):
            made.append((len(text[:number].encode()), size))
        elif changed:
            made[-1] = (made[-1][0], size)
    return made
