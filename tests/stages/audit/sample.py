"""A report made up, with every kind of figure, table and chart, and strings that would do harm in a careless page."""

from __future__ import annotations

from stages.audit.ask import show_command
from stages.audit.model import Audit, Cell, Chart, Column, Figure, Section, Table, Unit, Words

# Each sets `window.hurt` or opens a dialog if it is run, wherever it is put.
HOSTILE = (
    "<script>window.hurt=1</script>",
    "</script><script>window.hurt=1</script><!--",
    '"><img src=x onerror="window.hurt=1">',
    "' onmouseover='window.hurt=1' x='",
    "javascript:alert(1)",
    "</style><svg onload=alert(1)>",
    "]]></title><script>alert(1)</script>",
    "\u202egpj.exe\u2066 right to left \u2028 \u2029",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)}",
)


def words(en: str, zh: str | None = None) -> Words:
    return Words(en=en, zh=zh or en)


def column(key: str, en: str, zh: str, unit: Unit) -> Column:
    return Column(key=key, label=words(en, zh), unit=unit)


HOST = column("host", "Host", "主机", "text")
LANGUAGE = column("language", "Language", "语言", "text")
DOCUMENTS = column("documents", "Documents", "文档", "documents")
TOKENS = column("tokens", "Tokens", "词元", "tokens")
TRAINED = column("trained", "As trained", "训练所见", "tokens")
SHARES = tuple(
    column(key, en, zh, "share")
    for key, en, zh in (
        ("documents_share", "Of documents", "文档占比"),
        ("tokens_share", "Of tokens", "词元占比"),
        ("trained_share", "As trained", "训练所见占比"),
    )
)


def sample(name: str = "zh_en") -> Audit:
    """Returns it; `name` may be hostile too."""
    return Audit(
        name=name,
        config_sha256="9da6c278eaa09e1dac5745f64a9c809d6f4a5b8a36e34d4a4eded16736e98c62",
        code_version="0.1.0",
        corpus={"merkle_root": "5f" * 32, "tokenizer": "zh_en_32k"},
        seed=7,
        drawn=4000,
        sections=(_summary(), _funnel(), _survival(), _hosts(), _kinds(), _sizes(), _hostile()),
        missing=(words("Dates: 41% of documents have none.", "日期：41% 的文档没有日期。"),),
    )


def _summary() -> Section:
    note = words(
        "10,151 documents came, 5,203 stayed. The ten largest hosts hold 31.2% of tokens: [hosts.top10.tokens]. "
        "By rank they are in [hosts.rank]; what has [no.such.key] is only told.",
        "共输入 10,151 篇文档，保留 5,203 篇。前十大主机占词元的 31.2%：[hosts.top10.tokens]。"
        "各主机按名次见 [hosts.rank]；而 [no.such.key] 只是文字。",
    )
    asked = ("What is in it?", "语料里有什么？"), ("What was taken out, and why?", "去掉了什么，为什么？")
    return Section(
        key="summary",
        title=words("Summary", "概要"),
        intro=words("Five questions, answered.", "五个问题及其答案。"),
        figures=tuple(
            Figure(key=f"summary.q{number}", label=words(*label), value=5203 * number, unit="documents", note=note)
            for number, label in enumerate(asked, 1)
        ),
    )


def _funnel() -> Section:
    stages = (("input", 10151), ("ingest", 9948), ("quality", 8545), ("dedup", 5361), ("decontaminate", 5203))
    rules = (("gopher_words", 287), ("zh_length", 258), ("gopher_duplicate_5_gram", 293), ("gopher_bullet_lines", 68))
    return Section(
        key="funnel",
        title=words("What was taken out", "去掉了什么"),
        intro=words("Every document that came, stage by stage.", "每一篇输入的文档，逐阶段列出。"),
        figures=(
            Figure(
                key="funnel.kept_ratio",
                label=words("Documents kept", "保留的文档"),
                value=0.51256,
                unit="share",
                command=show_command(kept=True),
            ),
            Figure(key="funnel.kept.bytes", label=words("Text kept", "保留的文本"), value=48_123_456, unit="bytes"),
        ),
        tables=(
            Table(
                key="funnel.stages",
                label=words("By stage", "按阶段"),
                columns=(
                    column("stage", "Stage", "阶段", "text"),
                    DOCUMENTS,
                    column("bytes", "Bytes", "字节", "bytes"),
                ),
                rows=tuple((stage, left, left * 9311) for stage, left in stages),
                commands=(None, *(show_command(stage=stage) for stage, _ in stages[1:])),
                chart=Chart(kind="funnel", x="stage", y=("documents", "bytes")),
            ),
            Table(
                key="funnel.rules",
                label=words("Rules, and what they alone took out", "规则及其单独剔除的文档"),
                columns=(
                    column("rule", "Rule", "规则", "text"),
                    DOCUMENTS,
                    column("sole", "Alone", "仅此规则", "documents"),
                    column("share", "Of what came", "占输入", "share"),
                ),
                rows=tuple((rule, amount, amount // 3, amount / 9948) for rule, amount in rules),
                commands=tuple(show_command(stage="quality", rule=rule) for rule, _ in rules),
                chart=Chart(kind="bar", x="rule", y=("documents", "sole")),
            ),
        ),
    )


def _survival() -> Section:
    rows: tuple[tuple[Cell, ...], ...] = (
        ("zho_Hans", 4120, 0.62, 0.605, 0.634),
        ("eng_Latn", 3906, 0.48, 0.464, 0.496),
        ("zho_Hant", 212, 0.71, 0.646, 0.767),
        ("yue_Hant", 19, 0.21, 0.085, 0.433),
        (None, 203, None, None, None),
    )
    return Section(
        key="survival",
        title=words("Whom did the filters hurt", "过滤伤到了谁"),
        intro=words("Survival of each group, with Wilson intervals.", "各组的存活率及 Wilson 区间。"),
        figures=(
            Figure(
                key="survival.zho_Hant",
                label=words("Traditional against Simplified Chinese", "繁体相对简体的存活率之比"),
                value=1.145,
                unit="number",
                low=1.04,
                high=1.26,
                note=words("A ratio above 1: it survives more often.", "大于 1 表示存活更多。"),
                command=show_command(language="zho_Hant"),
            ),
        ),
        tables=(
            Table(
                key="survival.language",
                label=words("By language", "按语言"),
                columns=(
                    LANGUAGE,
                    DOCUMENTS,
                    column("survival", "Survival", "存活率", "share"),
                    column("low", "From", "下限", "share"),
                    column("high", "To", "上限", "share"),
                ),
                rows=rows,
                commands=tuple(show_command(f"language={row[0] or 'none'}") for row in rows),
                chart=Chart(kind="bar", x="language", y=("survival",)),
            ),
            Table(
                key="survival.sweep",
                label=words("Quality threshold against diversity", "质量阈值与多样性"),
                columns=(
                    column("threshold", "Threshold", "阈值", "number"),
                    column("kept", "Tokens kept", "保留词元", "share"),
                    column("hosts", "Effective hosts", "有效主机数", "number"),
                    column("hosts_low", "From", "下限", "number"),
                    column("hosts_high", "To", "上限", "number"),
                ),
                rows=tuple(
                    (step / 10, 1 - step * step / 120, 410 - 31.5 * step, 395 - 31.0 * step, 428 - 30.0 * step)
                    for step in range(10)
                ),
                chart=Chart(kind="line", x="threshold", y=("kept", "hosts")),
            ),
        ),
    )


def host_rows(amount: int) -> tuple[tuple[Cell, ...], ...]:
    """Rows of hosts: name, documents, tokens, as trained, and their shares."""
    rows: list[tuple[Cell, ...]] = []
    for rank in range(1, amount + 1):
        name = f"{'论坛' if rank % 3 == 0 else 'www'}{rank}.{'例子.cn' if rank % 2 else 'example.org'}"
        tokens = 9_000_000 // rank
        rows.append(
            (name, 2000 // rank, tokens, tokens * 2 if rank % 5 else None, 0.2 / rank, 0.22 / rank, 0.21 / rank)
        )
    return tuple(rows)


def _hosts() -> Section:
    rows = host_rows(40)
    curve = tuple((step / 50, (step / 50) ** 4, (step / 50) ** 5) for step in range(51))
    ranks = tuple((rank, 9_000_000 // rank, 14_000_000 // rank) for rank in (1, 2, 5, 10, 20, 50, 100, 500, 1000, 4000))
    return Section(
        key="hosts",
        title=words("Concentration", "集中度"),
        intro=words("How much of it comes from how few.", "有多少内容来自多么少的来源。"),
        figures=(
            Figure(
                key="hosts.top10.tokens",
                label=words("Tokens of the ten largest hosts", "前十大主机的词元占比"),
                value=0.3123,
                unit="share",
                low=0.29,
                high=0.335,
                note=words(
                    "The interval is of the web it was drawn from; see `datapipe show`.", "区间针对语料所抽取自的网络。"
                ),
            ),
            Figure(key="hosts.hill1", label=words("Effective hosts ¹D", "有效主机数 ¹D"), value=211.347, unit="number"),
            Figure(key="hosts.tokens", label=words("Tokens", "词元"), value=30_123_456, unit="tokens"),
            Figure(
                key="hosts.residual",
                label=words("Residual near-duplicates", "残余近似重复"),
                value=0.00123,
                unit="share",
                low=0.0005,
                high=0.003,
                of=4000,
                seed=7,
                command=show_command("similarity>=0.8", kept=True),
            ),
            Figure(key="hosts.largest", label=words("Largest host", "最大主机"), value="www1.例子.cn", unit="text"),
            Figure(key="hosts.hhi", label=words("HHI", "赫芬达尔指数"), value=None, unit="number"),
        ),
        tables=(
            Table(
                key="hosts.top",
                label=words("Largest hosts", "最大的主机"),
                columns=(HOST, DOCUMENTS, TOKENS, TRAINED, *SHARES),
                rows=rows,
                commands=tuple(show_command(host=row[0]) for row in rows),
                of=3120,
                chart=Chart(kind="bar", x="host", y=("documents_share", "tokens_share", "trained_share")),
            ),
            Table(
                key="hosts.lorenz",
                label=words("Lorenz curve", "洛伦兹曲线"),
                columns=(column("hosts", "Share of hosts", "主机占比", "share"), *SHARES[1:]),
                rows=curve,
                chart=Chart(kind="lorenz", x="hosts", y=("tokens_share", "trained_share")),
            ),
            Table(
                key="hosts.rank",
                label=words("Tokens by rank", "按名次的词元数"),
                columns=(column("rank", "Rank", "名次", "number"), TOKENS, TRAINED),
                rows=ranks,
                chart=Chart(kind="rank", x="rank", y=("tokens", "trained")),
                note=words("Both axes are logarithmic.", "两轴均为对数。"),
            ),
        ),
    )


def _kinds() -> Section:
    formats = ("prose", "poetry", "code", "table", "list", "dialogue", "navigation", "question_answer")
    languages = ("zho_Hans", "eng_Latn", "zho_Hant", "jpn_Jpan")
    pairs = tuple(
        (language, kind, round(0.4 / (1 + 2 * down) / (1 + along), 4) if (down + along) % 5 != 4 else None)
        for down, language in enumerate(languages)
        for along, kind in enumerate(formats)
    )
    mixes = (("documents", 0.46, 0.41, 0.13), ("tokens", 0.52, 0.38, 0.1), ("as trained", 0.35, 0.6, 0.05))
    return Section(
        key="kinds",
        title=words("Language, script and format", "语言、文字与体裁"),
        intro=words("What is in it.", "语料里有什么。"),
        tables=(
            Table(
                key="kinds.mix",
                label=words("Languages in three weightings", "三种加权下的语言"),
                columns=(
                    column("weighting", "Weighting", "加权", "text"),
                    *(column(language.lower(), language, language, "share") for language in languages[:3]),
                ),
                rows=mixes,
                chart=Chart(kind="stacked", x="weighting", y=tuple(language.lower() for language in languages[:3])),
            ),
            Table(
                key="kinds.cross",
                label=words("Format by language", "体裁 × 语言"),
                columns=(LANGUAGE, column("format", "Format", "体裁", "text"), SHARES[1]),
                rows=pairs,
                commands=tuple(show_command(language=pair[0], format=pair[1], kept=True) for pair in pairs),
                chart=Chart(kind="heat", x="format", rows="language", y=("tokens_share",)),
            ),
        ),
    )


def _sizes() -> Section:
    lengths = tuple((4**step, 1000 // (1 + abs(5 - step)) ** 2) for step in range(2, 11))
    months = tuple((f"{2021 + month // 12}-{month % 12 + 1:02d}", 40 + 13 * (month % 7)) for month in range(30))
    quality = tuple((step / 20, 300 + 37 * step % 211, 100 + 19 * step % 111) for step in range(20))
    return Section(
        key="sizes",
        title=words("Length, quality, time", "长度、质量与时间"),
        intro=words("How long, how good, how old.", "多长、多好、多旧。"),
        tables=(
            Table(
                key="sizes.length",
                label=words("Length of documents", "文档长度"),
                columns=(column("tokens", "Tokens from", "词元数下限", "tokens"), DOCUMENTS),
                rows=lengths,
                commands=tuple(show_command(f"tokens>={row[0]}", kept=True) for row in lengths),
                chart=Chart(kind="histogram", x="tokens", y=("documents",), log_x=True),
            ),
            Table(
                key="sizes.quality",
                label=words("Quality", "质量分"),
                columns=(
                    column("quality", "Score from", "分数下限", "number"),
                    column("kept", "Kept", "保留", "documents"),
                    column("left", "Left", "剔除", "documents"),
                ),
                rows=quality,
                chart=Chart(kind="histogram", x="quality", y=("kept", "left")),
            ),
            Table(
                key="sizes.months",
                label=words("Month of the crawl", "抓取月份"),
                columns=(column("month", "Month", "月份", "text"), DOCUMENTS),
                rows=months,
                chart=Chart(kind="histogram", x="month", y=("documents",)),
            ),
        ),
    )


def _hostile() -> Section:
    return Section(
        key="risk",
        title=words("Risk", "风险"),
        intro=words("Strings that documents brought.", "文档带来的字符串。"),
        figures=(
            Figure(key="risk.worst", label=words("Worst title", "最坏的标题"), value=HOSTILE[1], unit="text"),
            Figure(
                key="risk.command",
                label=words("A hostile host", "恶意主机"),
                value=1,
                unit="documents",
                command=show_command(host=HOSTILE[2]),
                note=words(HOSTILE[0]),
            ),
        ),
        tables=(
            Table(
                key="risk.titles",
                label=words("Titles", "标题"),
                columns=(column("title", "Title", "标题", "text"), DOCUMENTS),
                rows=tuple((text, number) for number, text in enumerate(HOSTILE, 1)),
                commands=tuple(show_command(host=text) for text in HOSTILE),
                chart=Chart(kind="bar", x="title", y=("documents",)),
            ),
            Table(
                key="risk.none",
                label=words("Nothing found", "没有发现"),
                columns=(column("type", "Type", "类型", "text"), DOCUMENTS),
                rows=(),
            ),
        ),
    )
