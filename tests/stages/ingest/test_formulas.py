import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.formulas import holds_formula, tex, with_tex

EINSTEIN = r"E=mc^{2}"
MATHML = "<mrow><mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup></mrow>"
ANNOTATED = f'<semantics>{MATHML}<annotation encoding="application/x-tex">{EINSTEIN}</annotation></semantics>'
NAMESPACE = 'xmlns="http://www.w3.org/1998/Math/MathML"'


@pytest.mark.parametrize(
    ("mathml", "expected"),
    [
        ("<mi>x</mi><mo>+</mo><mn>1</mn>", "x+1"),
        ("<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></mfrac>", r"\frac{a+b}{2}"),
        ('<mfrac linethickness="0"><mi>n</mi><mi>k</mi></mfrac>', r"{n \atop k}"),
        ("<msup><mi>x</mi><mn>2</mn></msup>", "x^2"),
        ("<msup><mi>x</mi><mrow><mi>n</mi><mo>+</mo><mn>1</mn></mrow></msup>", "x^{n+1}"),
        ("<msup><mrow><mi>a</mi><mi>b</mi></mrow><mn>2</mn></msup>", "{ab}^2"),
        ("<msup><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></msup>", "{a+b}^2"),
        ("<msup><mi>f</mi><mo>′</mo></msup><mo>(</mo><mi>x</mi><mo>)</mo>", "f'(x)"),
        ("<msub><mi>α</mi><mi>i</mi></msub>", r"\alpha_i"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "x_i^2"),
        ("<msqrt><mn>2</mn><mi>x</mi></msqrt>", r"\sqrt{2x}"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt[3]{x}"),
        ("<mover><mi>x</mi><mo>¯</mo></mover>", r"\bar{x}"),
        ("<mover><mi>v</mi><mo>→</mo></mover>", r"\vec{v}"),
        ("<mover><mo>=</mo><mi>d</mi></mover>", r"\overset{d}{=}"),
        ("<munder><mo>lim</mo><mrow><mi>x</mi><mo>→</mo><mn>0</mn></mrow></munder><mi>f</mi>", r"\lim_{x\to 0}f"),
        (
            "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover><mi>i</mi>",
            r"\sum_{i=1}^ni",
        ),
        ("<mi>sin</mi><mo>&#x2061;</mo><mi>θ</mi>", r"\sin\theta"),
        ("<mi>α</mi><mi>x</mi>", r"\alpha x"),
        ("<mi>Var</mi><mo>&lt;</mo><mn>3</mn>", r"\mathrm{Var}<3"),
        ('<mi mathvariant="double-struck">R</mi><mo>∈</mo><mi>ℤ</mi>', r"\mathbb{R}\in\mathbb{Z}"),
        ("<mi>𝑥</mi><mo>≠</mo><mi>𝐲</mi>", r"x\ne y"),
        ("<mtext>if 50% </mtext>", r"\text{if 50\%}"),
        ("<mo>{</mo><mi>x</mi><mo>|</mo><mi>y</mi><mo>}</mo>", r"\{x|y\}"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", r"\left(a,b\right)"),
        ('<mfenced open="[" close="}" separators=";"><mi>a</mi><mi>b</mi></mfenced>', r"\left[a;b\right\}"),
        (
            (
                "<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr>"
                "<mtr><mtd><mn>0</mn></mtd><mtd><mn>1</mn></mtd></mtr></mtable>"
            ),
            r"\begin{matrix}1 & 0 \\ 0 & 1\end{matrix}",
        ),
        ("<mi>a</mi><mspace width='1em'/><mi>b</mi>", r"a\ b"),
        ("<m:msup><m:mi>x</m:mi><m:mn>2</m:mn></m:msup>", "x^2"),
        ("<mi>x", "x"),
        ("</mrow><mi>x</mi></mi>", "x"),
        ("", ""),
    ],
)
def test_translates_mathml(mathml: str, expected: str) -> None:
    assert tex(mathml) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (f"<p>质能<math {NAMESPACE}>{MATHML}</math>。</p>", "<p>质能$E=mc^2$。</p>"),
        (f'<p><math display="block">{ANNOTATED}</math></p>', "<p><br>$$E=mc^{2}$$<br></p>"),
        ('<math alttext="a &lt; b"><mi>a</mi></math>', "$a &lt; b$"),
        (
            (
                f'a <span class="katex"><span class="katex-mathml"><math>{ANNOTATED}</math></span>'
                '<span class="katex-html" '
                'aria-hidden="true"><span class="base"><span>E</span><span>=</span></span></span></span> b'
            ),
            'a <span class="katex"><span class="katex-mathml">$E=mc^{2}$</span></span> b',
        ),
        (
            (
                f'<span class="katex-display"><span class="katex"><span class="katex-mathml">'
                f"<math>{ANNOTATED}</math></span>"
                '<span class="katex-html"><span>E</span></span></span></span>'
            ),
            (
                '<span class="katex-display"><span class="katex"><span class="katex-mathml"><br>$$E=mc^{2}$$<br></span>'
                "</span></span>"
            ),
        ),
        (
            (
                '<span class="MathJax_Preview">E</span><span class="MathJax" id="x"><nobr><span>E</span></nobr></span>'
                '<script type="math/tex" id="y">E<mc^2</script>'
            ),
            "$E&lt;mc^2$",
        ),
        (
            (
                '<div class="MathJax_Display"><span class="MathJax"><span>E</span></span></div>'
                '<script type="math/tex; mode=display">% <![CDATA[\nE=1 %]]></script>'
            ),
            "<br>$$E=1$$<br>",
        ),
        (
            (
                '<mjx-container class="MathJax" jax="CHTML" display="true"><mjx-math><mjx-mi></mjx-mi></mjx-math>'
                f"<mjx-assistive-mml><math>{MATHML}</math></mjx-assistive-mml></mjx-container>"
            ),
            "<br>$$E=mc^2$$<br>",
        ),
        (
            (
                '<span class="MathJax_CHTML" data-mathml="&lt;math&gt;&lt;mi&gt;x&lt;/mi&gt;&lt;/math&gt;">'
                "<span>x</span></span>"
            ),
            "$x$",
        ),
        (
            (
                f'<span class="mwe-math-element"><span class="mwe-math-mathml-inline" style="display: none;"><math '
                rf'alttext="{{\displaystyle {EINSTEIN}}}">{MATHML}</math></span><img src="x" alt="{EINSTEIN}"></span>'
            ),
            "$E=mc^{2}$",
        ),
        (r'<img class="tex" alt="{\displaystyle a}b" src="x">', r"${\displaystyle a}b$"),
        (r'<img src="x" class="mwe-math-fallback-image-display" alt="{\displaystyle {a}_{b}}">', "<br>$${a}_{b}$$<br>"),
        ("<p>MathJax and katex-html in a text, class=tex</p>", "<p>MathJax and katex-html in a text, class=tex</p>"),
        ('<script src="MathJax.js"></script><p>x</p>', '<script src="MathJax.js"></script><p>x</p>'),
        ('<span class="MathJax">x', '<span class="MathJax">x'),
        ("<math><mi>x</mi>", "<math><mi>x</mi>"),
        ("<math></math>", ""),
    ],
)
def test_puts_the_source_of_a_formula_in_its_place_once(page: str, expected: str) -> None:
    assert with_tex(page) == expected
    assert holds_formula(page.encode()) or page == expected


def test_sees_no_formula_on_other_pages() -> None:
    assert not holds_formula(b"<p>Mathematics, aftermath, <a href=/math>math</a></p>")


@given(
    st.lists(
        st.sampled_from(
            [
                "<math>",
                "</math>",
                "<mi>",
                "</mi>",
                "<mfrac>",
                "</mfrac>",
                "x",
                '<span class="MathJax">',
                "</span>",
                "&",
                '<span class="katex-html">',
                "<msup/>",
                "<munderover>",
                "<",
                ">",
                '"',
                "<mtable>",
                "<mfenced open=''>",
            ]
        ),
        max_size=30,
    ).map("".join)
)
def test_takes_any_markup(page: str) -> None:
    with_tex(page)
    tex(page)


@pytest.mark.parametrize(
    "page",
    [
        "<math>" * 100_000 + "</math>",
        "<math>" + "<mrow>" * 100_000 + "</math>",
        "<math><mi>x</mi></math>" * 20_000,
        '<span class="MathJax">' * 100_000,
        ('<span class="MathJax">' * 4_000 + "</span>" * 4_000) * 20,
        '<span class="katex-html">' + "<span>" * 100_000 + "</span>" * 50_000,
        "MathJax" * 1_000_000,
        "<math " + "a='" * 100_000,
        "<math " + "a=''" * 100_000,
        "<math>" + ("<msup><mi>x</mi>" * 90 + "</msup>" * 90) * 100 + "</math>",
        ("<mrow>" * 99 + "y" * 100_000).join(["<math>", "</math>"]),
        '<img class="tex" ' * 100_000,
        "<script type=math/tex>" * 100_000,
    ],
)
def test_ends_in_bounded_time_on_hostile_pages(page: str) -> None:
    start = time.process_time()
    with_tex(page)

    assert time.process_time() - start < 5
