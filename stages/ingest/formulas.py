r"""Formulas of a page as TeX in its text: `$…$` in a line, `$$…$$` on a line of its own.

MathML is replaced by the TeX that it is annotated with, else by its translation; what KaTeX and MathJax draw beside the
source goes; so does the picture of a formula, for its alternative text. A scan for marks of these, not a parser: pages
without formulas are never seen (`holds_formula`), and an element that does not end ends the search, so that the time is
bounded by the page's length.

Source: MathML Core and MathML 3 chapter 3 for the elements; the names of characters are those of amsmath and amssymb.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from typing import Final, NamedTuple

ELEMENT_CHARACTERS = 1 << 18  # a formula with all that draws it
TAG_CHARACTERS = 1 << 15  # MathJax keeps a formula's MathML in an attribute
BEFORE = 1024  # characters from the start of a tag to the mark of a formula in it
DEPTH_LIMIT = 100  # elements in elements; a deeper formula is given as its text
RAW_CHARACTERS = 8  # of an element's text, by which accents are known
NEAR = 256  # characters before a formula in which it may be said to stand on its own
MARKS_LIMIT = 100_000  # of a page; the rest of it stays as it is
STAYING_RATIO = 8  # of a page's length in drawn formulas without a source, which may lie in one another; then too
_MARK = re.compile(
    r"<math\b|<mjx-container\b|katex-html|MathJax|MJXc-display|mwe-math|math/tex|\bclass=[\"']?tex\b", re.IGNORECASE
)
_ATTRIBUTE = re.compile(r"([\w:-]++)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++))")
_TAG = re.compile(r"<(?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+>")
_SOURCE_FOLLOWS = re.compile(r"\s*+(?:</\w+>\s*+){0,4}<script\b[^<>]{0,256}?math/tex", re.IGNORECASE)
_NAME = re.compile(r"<([a-z][\w-]*)", re.IGNORECASE)
_ANNOTATION = re.compile(
    r"<annotation\b[^<>]{0,256}?\bencoding\s*=\s*[\"']?(?:application/x-tex|tex|latex|application/x-latex)\b[^<>]{0,256}>"
    r"([^<]*)<",
    re.IGNORECASE,
)
_MATH = re.compile(r"<math\b[^<>]*>", re.IGNORECASE)
_IMAGE_TEXT = re.compile(r"<img\b[^<>]{0,4096}?\balt\s*=\s*(?:\"([^\"<>]*)\"|'([^'<>]*)')", re.IGNORECASE)
_STYLED = re.compile(r"\{\s*\\(?:display|text|script)style\s*(.*)\}", re.DOTALL)
_NODE = re.compile(r"<(/?)(?:\w+:)?([a-z][\w-]*)([^<>]*)>|([^<]+)|<", re.IGNORECASE)
_COMMAND = re.compile(r"\\[A-Za-z]+\Z")
_CDATA = re.compile(r"%?\s*<!\[CDATA\[|%?\s*\]\]>")


def holds_formula(page: bytes) -> bool:
    """Returns whether a page may hold a formula; next to nothing in time where it does not.

    >>> holds_formula(b"<p>maths</p>"), holds_formula(b"<p><math><mi>x</mi></math></p>")
    (False, True)
    """
    if b"math" in page and any(mark in page for mark in (b"<math", b"math/tex", b"mwe-math")):
        return True
    return b"katex-html" in page or b"MathJax" in page or b"mjx-c" in page or b'class="tex"' in page


def with_tex(page: str) -> str:
    r"""Returns the page with its formulas as TeX, escaped, in place of their markup.

    >>> with_tex("设<math><msup><mi>x</mi><mn>2</mn></msup><mo>≥</mo><mn>0</mn></math>。")
    '设$x^2\\ge 0$。'
    """
    pieces: list[str] = []
    done = at = 0
    left = STAYING_RATIO * len(page)
    for _ in range(MARKS_LIMIT):
        mark = _MARK.search(page, at)
        if mark is None:
            break
        at = mark.end()
        start = page.rfind("<", max(done, mark.start() - BEFORE), mark.start() + 1)
        if start < 0 or page.find(">", start, mark.start()) >= 0:
            continue  # not in a tag
        stop = _tag_end(page, start)
        name = _NAME.match(page, start)
        if stop < 0 or name is None:
            continue
        found = _formula(page, name[1].lower(), start, stop)
        if found is None:
            continue
        if found.text is None:
            left -= found.end - start
        if found.end < 0 or left < 0:
            break
        if found.text is None:
            continue
        pieces += [page[done:start], found.text]
        done = at = found.end
    return "".join([*pieces, page[done:]])


class _Found(NamedTuple):
    """What an element comes to, None if it stays, and where it ends: below 0 if it does not."""

    text: str | None
    end: int


def _tag_end(page: str, start: int) -> int:
    """Returns where the tag ends that begins at `start`, with regard to quoted values; below 0 where it does not."""
    tag = _TAG.match(page, start, start + TAG_CHARACTERS)
    return tag.end() if tag else page.find(">", start, start + TAG_CHARACTERS) + 1 or -1


def _formula(page: str, name: str, start: int, stop: int) -> _Found | None:
    """Returns what is put in place of the element whose tag is page[start:stop]; None where it is no formula."""
    held = _attributes(page[start:stop])
    names = held.get("class", "").split()
    if name == "math":
        end = _end(page, name, stop)
        near = page.rfind("katex-display", max(0, start - NEAR), start) >= 0
        return _Found(_of_math(page[start:end], near), end) if end > 0 else _Found("", -1)
    if name == "script":
        return _of_script(page, held, stop)
    if name == "img":
        drawn = any(one == "tex" or one.startswith("mwe-math") for one in names)
        shown = any("display" in one for one in names)
        return _Found(_written(held.get("alt", ""), shown), stop) if drawn and held.get("alt") else None
    if name not in ("span", "div", "mjx-container", "nobr"):
        return None
    if "katex-html" in names or "MathJax_Preview" in names:
        return _Found("", _end(page, name, stop))
    if "mwe-math-element" in names:
        return _of_drawn(page, start, _end(page, name, stop), held)
    if name == "mjx-container" or any(one.startswith(("MathJax", "MJXc-display")) for one in names):
        return _of_drawn(page, start, _end(page, name, stop), held)
    return None


def _attributes(tag: str) -> dict[str, str]:
    """Returns the attributes of a tag, names in lower case."""
    return {
        name.lower(): html.unescape(double or single or bare) for name, double, single, bare in _ATTRIBUTE.findall(tag)
    }


def _end(page: str, name: str, stop: int) -> int:
    """Returns where the element ends whose first tag ends at `stop`; below 0 where that is too far away."""
    depth = 1
    limit = stop + ELEMENT_CHARACTERS
    for tag in re.compile(rf"<(/?){name}\b[^<>]*+(/?)>", re.IGNORECASE).finditer(page, stop, limit):
        depth += -1 if tag[1] else 0 if tag[2] else 1
        if depth == 0:
            return tag.end()
    return -1


def _of_math(math: str, shown: bool) -> str:
    """Returns a `math` element as TeX in the page's text."""
    held = _attributes(math[: _tag_end(math, 0)])
    shown = shown or held.get("display") == "block" or held.get("mode") == "display"
    annotation = _ANNOTATION.search(math)
    source = html.unescape(annotation[1]) if annotation else held.get("alttext", "") or tex(math)
    return _written(source, shown)


def _of_script(page: str, held: dict[str, str], stop: int) -> _Found | None:
    """Returns the TeX of a script of type math/tex."""
    kind = held.get("type", "").lower()
    if not kind.startswith("math/tex"):
        return None
    close = page.find("</", stop, stop + ELEMENT_CHARACTERS)
    end = page.find(">", close, close + 64) + 1 if close >= 0 else 0
    if end <= 0:
        return _Found("", -1)
    return _Found(_written(_CDATA.sub("", page[stop:close]), "display" in kind), end)


def _of_drawn(page: str, start: int, end: int, held: dict[str, str]) -> _Found:
    """Returns the source of a formula that a program drew, which stays where the source is not there."""
    if end < 0:
        return _Found("", -1)
    if _SOURCE_FOLLOWS.match(page, end):
        return _Found("", end)
    element = page[start:end]
    names = held.get("class", "").lower()
    shown = held.get("display") == "true" or "display" in names or "mwe-math-element-block" in names
    shown = shown or "mwe-math-fallback-image-display" in element
    math = element if _MATH.search(element) else held.get("data-mathml") or _inner_mathml(element)
    found = _MATH.search(math)
    if found:
        return _Found(_of_math(math[found.start() :], shown), end)
    if image := _IMAGE_TEXT.search(element):
        return _Found(_written(html.unescape(image[1] or image[2] or ""), shown), end)
    return _Found(None, end)


def _inner_mathml(element: str) -> str:
    place = element.find("data-mathml=")
    start = element.rfind("<", 0, place) if place > 0 else -1
    return _attributes(element[start : _tag_end(element, start)]).get("data-mathml", "") if start >= 0 else ""


def _written(source: str, shown: bool) -> str:
    """Returns TeX as it stands in the page's text, nothing where there is none."""
    source = " ".join(source.split()).strip("$").strip()
    styled = _STYLED.fullmatch(source)
    if styled and _is_balanced(styled[1]):
        source = styled[1].strip()
    if not source:
        return ""
    escaped = html.escape(source, quote=False)
    return f"<br>$${escaped}$$<br>" if shown else f"${escaped}$"


def _is_balanced(source: str) -> bool:
    """Says whether no brace closes that the text did not open."""
    depth = 0
    for brace in re.findall(r"\\.|[{}]", source):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    return depth == 0


_LETTERS: Final = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωϵϑϕϱςΓΔΘΛΞΠΣΥΦΨΩ",
        "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon varphi "
        "chi psi omega epsilon vartheta phi varrho varsigma Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi "
        "Omega".split(),
        strict=True,
    )
)
_OPERATORS: Final = dict(
    zip(
        "×÷±∓·⋅∗∘∙≤⩽≥⩾≠≡≈∼≃≅∝≪≫∈∉∋⊂⊃⊆⊇∪∩∅∖∧∨¬∀∃∞∂∇→⟶←↔⇒⟹⇐⇔⟺↦⟨⟩‖∥⊥∠∑∏∐∫∬∮⋃⋂⊕⊗⊙…⋯⋮⋱ℏℓℜℑℵ′″†‡⌊⌋⌈⌉∣∴∵△□√⊢⊨≺≻↑↓",
        r"times div pm mp cdot cdot ast circ bullet le le ge ge ne equiv approx sim simeq cong propto ll gg in notin "
        r"ni subset supset subseteq supseteq cup cap emptyset setminus wedge vee neg forall exists infty partial nabla "
        r"to to leftarrow leftrightarrow Rightarrow Rightarrow Leftarrow Leftrightarrow Leftrightarrow mapsto langle "
        r"rangle | parallel perp angle sum prod coprod int iint oint bigcup bigcap oplus otimes odot ldots cdots vdots "
        r"ddots hbar ell Re Im aleph prime prime\prime dagger ddagger lfloor rfloor lceil rceil mid therefore because "
        r"triangle square surd vdash models prec succ uparrow downarrow".split(),
        strict=True,
    )
)
_PLAIN: Final = {"−": "-", "∶": ":", "⁄": "/", "\xa0": " ", "∕": "/", "⩵": "=="}
_DOUBLE: Final = dict(zip("ℂℍℕℙℚℝℤ", "CHNPQRZ", strict=True))
_CHARACTERS: Final = {
    **{character: f"\\{name} " for character, name in (_LETTERS | _OPERATORS).items()},
    **_PLAIN,
    **{character: f"\\mathbb{{{letter}}}" for character, letter in _DOUBLE.items()},
    **{character: f"\\{character}" for character in "#$%&_{}"},
    **dict.fromkeys("\u2061\u2062\u2063\u2064\u200b", ""),
    "‖": "\\|",
    "\\": "\\backslash ",
}
_FUNCTIONS: Final = frozenset(
    "arccos arcsin arctan arg cos cosh cot csc deg det dim exp gcd hom inf ker lg lim liminf limsup ln log max min Pr "
    "sec sin sinh sup tan tanh".split()
)
_WITH_LIMITS: Final = frozenset(
    f"\\{name}"
    for name in "sum prod coprod bigcup bigcap lim liminf limsup max min sup inf det gcd Pr int oint".split()
)
_VARIANTS: Final = {
    "bold": "mathbf",
    "bold-italic": "boldsymbol",
    "double-struck": "mathbb",
    "script": "mathcal",
    "fraktur": "mathfrak",
    "sans-serif": "mathsf",
    "monospace": "mathtt",
}
_OVER: Final = {
    "¯": "bar",
    "‾": "overline",
    "―": "overline",
    "^": "hat",
    "ˆ": "hat",
    "~": "tilde",
    "˜": "tilde",
    "→": "vec",
    "⃗": "vec",
    "˙": "dot",
    "¨": "ddot",
    "ˇ": "check",
    "˘": "breve",
    "⏞": "overbrace",
}
_UNDER: Final = {"_": "underline", "¯": "underline", "‾": "underline", "⏟": "underbrace"}


class _Node(NamedTuple):
    """An element that is open: its name, attributes, and the TeX and raw text of what it holds so far."""

    name: str
    held: dict[str, str]
    parts: list[str]
    raw: list[str]


def tex(math: str) -> str:
    r"""Returns MathML as TeX; elements of a depth above DEPTH_LIMIT as their text.

    >>> tex("<math><mfrac><mi>α</mi><msqrt><mn>2</mn></msqrt></mfrac></math>")
    '\\frac{\\alpha}{\\sqrt{2}}'
    """
    stack = [_Node("math", {}, [], [])]
    for node in _NODE.finditer(math):
        closing, name, rest, text = node[1], (node[2] or "").lower(), node[3] or "", node[4]
        if text is not None:
            _add_text(stack[-1], html.unescape(text))
        elif not name:
            continue
        elif closing:
            if any(open_node.name == name for open_node in stack[1:]):
                while _close(stack) != name:
                    pass
        elif rest.endswith("/"):
            stack.append(_Node(name, _attributes(rest), [], []))
            _close(stack)
        elif len(stack) > DEPTH_LIMIT:
            return _joined([_characters(html.unescape(text)) for text in re.findall(r">([^<>]*)", math)])
        else:
            stack.append(_Node(name, _attributes(rest), [], []))
    while len(stack) > 1:
        _close(stack)
    return _joined(stack[0].parts)


def _add_text(node: _Node, text: str) -> None:
    if node.name in _TOKENS:
        node.raw.append(text)
    elif text.strip():
        node.parts.append(_characters(text.strip()))


def _close(stack: list[_Node]) -> str:
    """Ends the element opened last, adds its TeX to its parent, and returns its name."""
    node = stack.pop()
    made = _of_node(node)
    if made is not None:
        stack[-1].parts.append(made)
        stack[-1].raw.append("".join(node.raw)[:RAW_CHARACTERS])
    return node.name


def _of_node(node: _Node) -> str | None:
    """Returns the TeX of an element, None for one that has none."""
    if node.name in _TOKENS:
        return _TOKENS[node.name](" ".join("".join(node.raw).split()), node.held)
    if node.name in _LAYOUTS:
        return _LAYOUTS[node.name](node)
    if node.name in ("annotation", "annotation-xml", "mprescripts", "none", "mphantom"):
        return "" if node.name == "none" else None
    return _joined(node.parts)


def _characters(text: str) -> str:
    """Returns characters as TeX, those of mathematical alphabets as plain letters."""
    made = []
    for character in text:
        if "\U0001d400" <= character <= "\U0001d7ff":
            character = unicodedata.normalize("NFKC", character)
        made.append(_CHARACTERS.get(character, character))
    return "".join(made).strip() if len(text) == 1 else _spaced("".join(made))


def _spaced(source: str) -> str:
    """Returns TeX without the spaces behind commands that no letter follows."""
    return re.sub(r"(\\[A-Za-z]+) +(?![A-Za-z])", r"\1", source).strip()


def _joined(parts: list[str]) -> str:
    """Returns pieces of TeX one behind the other, a space between a command and a letter."""
    made: list[str] = []
    for part in parts:
        if not part:
            continue
        if made and part[0].isalnum() and _COMMAND.search(made[-1], max(0, len(made[-1]) - 32)):
            made.append(" ")
        made.append(part)
    return "".join(made)


def _identifier(text: str, held: dict[str, str]) -> str:
    variant = _VARIANTS.get(held.get("mathvariant", ""))
    if text in _FUNCTIONS:
        return f"\\{text}"
    made = _characters(text)
    if variant:
        return f"\\{variant}{{{made}}}"
    return f"\\mathrm{{{made}}}" if len(text) > 1 and text.isascii() and text.isalpha() else made


def _quoted(text: str, _: dict[str, str]) -> str:
    escaped = "".join(f"\\{character}" if character in "#$%&_{}" else character for character in text)
    return f"\\text{{{escaped}}}" if text else ""


def _number(text: str, held: dict[str, str]) -> str:
    variant = _VARIANTS.get(held.get("mathvariant", ""))
    return f"\\{variant}{{{_characters(text)}}}" if variant else _characters(text)


def _operator(text: str, _: dict[str, str]) -> str:
    return f"\\{text}" if text in _FUNCTIONS else _characters(text)


_TOKENS: Final[dict[str, Callable[[str, dict[str, str]], str]]] = {
    "mi": _identifier,
    "mn": _number,
    "mo": _operator,
    "mtext": _quoted,
    "ms": _quoted,
    "mspace": lambda text, held: "\\ ",
}


def _argument(source: str) -> str:
    """Returns what stands behind `^` or `_`: in braces unless it is one character or command."""
    single = len(source) == 1 or (re.fullmatch(r"\\[A-Za-z]+", source) is not None)
    return source if single else f"{{{source}}}"


def _base(source: str) -> str:
    """Returns what stands before `^` or `_`: in braces where they would bind to a part of it."""
    compound = (
        len(source) > 64 or re.fullmatch(r"\\[A-Za-z]+|[0-9.]+|.|\\[A-Za-z]+\{[^{}]*\}|", source, re.DOTALL) is None
    )
    return f"{{{source}}}" if compound and source != ")" else source


def _places(node: _Node, amount: int) -> list[str]:
    return [*node.parts[:amount], *[""] * (amount - len(node.parts))]


def _fraction(node: _Node) -> str:
    above, below = _places(node, 2)
    if node.held.get("linethickness", "").rstrip("pxemt") in ("0", "0.0"):
        return f"{{{above} \\atop {below}}}"
    return f"\\frac{{{above}}}{{{below}}}"


def _root(node: _Node) -> str:
    inside, degree = _places(node, 2)
    return f"\\sqrt[{degree}]{{{inside}}}"


def _script(base: str, below: str, above: str) -> str:
    primes = above.split("\\prime")
    made = _base(base) + (f"_{_argument(below)}" if below else "")
    if above and not "".join(primes).strip():
        return made + "'" * (len(primes) - 1)
    return made + (f"^{_argument(above)}" if above else "")


def _around(base: str, below: str, above: str, raw_below: str, raw_above: str) -> str:
    """Returns a base with something under and over it: limits, an accent, or a stack."""
    if base in _WITH_LIMITS:
        return _script(base, below, above)
    made = base
    if above:
        accent = _OVER.get(raw_above)
        accent = (
            {"bar": "overline", "hat": "widehat", "tilde": "widetilde", "vec": "overrightarrow"}.get(
                accent or "", accent
            )
            if len(base) > 1 and not base.startswith("\\")
            else accent
        )
        made = f"\\{accent}{{{made}}}" if accent else f"\\overset{{{above}}}{{{made}}}"
    if below:
        accent = _UNDER.get(raw_below)
        made = f"\\{accent}{{{made}}}" if accent else f"\\underset{{{below}}}{{{made}}}"
    return made


def _under_and_over(node: _Node) -> str:
    base, below, above = _places(node, 3)
    return _around(base, below, above, _raw(node, 1), _raw(node, 2))


def _raw(node: _Node, place: int) -> str:
    return node.raw[place].strip() if place < len(node.raw) else ""


def _fenced(node: _Node) -> str:
    opened, closed = (
        _characters(node.held.get(name, default)) or "." for name, default in (("open", "("), ("close", ")"))
    )
    marks = [*node.held.get("separators", ",").replace(" ", "")] or [""]
    inside = []
    for place, part in enumerate(node.parts):
        inside += [_characters(marks[min(place - 1, len(marks) - 1)]), part] if place else [part]
    opened = f"{opened} " if opened[-1].isalpha() else opened
    return f"\\left{opened}{_joined(inside)}\\right{closed}"


def _scripts_around(node: _Node) -> str:
    """Returns a base with scripts behind it; those before it are rare and come as scripts of nothing."""
    base, below, above = _places(node, 3)
    rest = node.parts[3:]
    before = _script("{}", rest[0], rest[1]) if len(rest) >= 2 else ""
    return before + _script(base, below, above)


def _two(node: _Node) -> tuple[str, str]:
    first, second = _places(node, 2)
    return first, second


_LAYOUTS: Final[dict[str, Callable[[_Node], str]]] = {
    "mfrac": _fraction,
    "msqrt": lambda node: f"\\sqrt{{{_joined(node.parts)}}}",
    "mroot": _root,
    "msub": lambda node: _script(_two(node)[0], _two(node)[1], ""),
    "msup": lambda node: _script(_two(node)[0], "", _two(node)[1]),
    "msubsup": lambda node: _script(*_places(node, 3)),
    "munder": lambda node: _around(_two(node)[0], _two(node)[1], "", _raw(node, 1), ""),
    "mover": lambda node: _around(_two(node)[0], "", _two(node)[1], "", _raw(node, 1)),
    "munderover": _under_and_over,
    "mmultiscripts": _scripts_around,
    "mfenced": _fenced,
    "mtd": lambda node: _joined(node.parts),
    "mtr": lambda node: " & ".join(node.parts),
    "mlabeledtr": lambda node: " & ".join(node.parts[1:]),
    "mtable": lambda node: "\\begin{matrix}" + " \\\\ ".join(node.parts) + "\\end{matrix}",
    "semantics": lambda node: node.parts[0] if node.parts else "",
    "maction": lambda node: node.parts[0] if node.parts else "",
}
