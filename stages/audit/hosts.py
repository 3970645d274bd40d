"""How concentrated a corpus is: on hosts, registrable domains, TLDs, sources and licences, in three weightings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from stages.audit.counter import Counter, Facts, Wide
from stages.audit.held import Held, held, largest, nameless
from stages.audit.measures import Estimate, chao1, coverage
from stages.audit.model import Cell, Chart, Column, Figure, Section, Table, Unit, Words
from stages.audit.names import NameLevels, Names, NameSizes, TopNames
from stages.audit.parity import HostPassages
from stages.audit.shifts import AFTER
from stages.audit.weights import CHARACTERS, DOCUMENTS, TOKENS, TRAINED, Weighting, asked, share_column, shown, total

COUNTERS: tuple[Counter | Wide, ...] = (
    Wide(
        Names(),
        key="name",
        after=(
            TopNames(),
            NameSizes(),
            NameLevels(),
            HostPassages(),
            *AFTER,
        ),
    ),
)
TOPS: Final = (1, 10, 100, 1000)
POINTS: Final = 50  # of the curve of Lorenz
SHOWN: Final = 50  # rows of a table of names
BUDGETS: Final = tuple(10**power for power in range(6, 13))  # tokens, to which corpora are cut down


@dataclass(frozen=True)
class Axis:
    """An axis of `names`: `key` begins the keys of its figures."""

    axis: str
    key: str
    one: Words
    many: Words


HOST: Final = Axis("host", "hosts", Words(en="host", zh="主机"), Words(en="hosts", zh="主机"))
DOMAIN: Final = Axis(
    "domain", "domains", Words(en="registrable domain", zh="注册域名"), Words(en="registrable domains", zh="注册域名")
)
TLD: Final = Axis("tld", "tlds", Words(en="TLD", zh="顶级域"), Words(en="TLDs", zh="顶级域"))
SOURCE: Final = Axis("source", "sources", Words(en="source", zh="来源"), Words(en="sources", zh="来源"))
LICENCE: Final = Axis("licence", "licences", Words(en="licence", zh="许可证"), Words(en="licences", zh="许可证"))
AXES: Final = (HOST, DOMAIN, TLD, SOURCE, LICENCE)
SAMPLED: Final = Words(
    en="Counted exactly; the interval is that of another corpus of as many documents from where these come, if each is "
    "drawn on its own.",
    zh="语料本身为精确计数；区间表示从同一总体再独立抽取同样多的文档时该值的波动。",
)


def weighed(facts: Facts) -> tuple[tuple[str, Weighting], ...]:
    """Returns the weightings that a run has, with their names in the tables of `names`."""
    cube = facts.tables["cube"]
    size = TOKENS if total(cube, "tokens") else CHARACTERS
    trained = (("trained", TRAINED),) if total(cube, "trained") else ()
    return (("documents", DOCUMENTS), ("size", size), *trained)


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `hosts`."""
    every = {(axis.axis, name): held(facts, axis.axis, name) for axis in AXES for name, _ in weighed(facts)}
    found = {axis: every[axis.axis, "documents"] for axis in AXES if every[axis.axis, "documents"].names}
    curved = [axis for axis in (HOST, DOMAIN) if axis in found and found[axis].names > 2]
    yield Section(
        key="hosts",
        title=Words(en="Concentration: hosts, domains, sources", zh="集中度：主机、域名与来源"),
        intro=Words(
            en=(
                "Whose text this is, and how much of it comes from few. The effective number (exp of the entropy, Hill "
                "number 1D) is how many hosts of equal size would be as diverse; 2D gives large ones more weight. Gini "
                "is 0 where all hold the same and near 1 where few hold all. Corpora of unlike sizes are compared by "
                "the rarefied numbers only: how many hosts as many documents, or tokens, hold on average. All is "
                "counted exactly; an interval is that of another corpus of as many documents from the same place, as "
                "if each was drawn on its own: the place itself has more hosts, which no document here is of."
            ),
            zh=(
                "文本出自何处，又有多少集中于少数来源。有效数（熵的指数，即 Hill 数 ¹D）表示：要达到同样的多样性，"
                "需要多少个规模相等的主机；²D 更偏重规模大的主机。基尼系数为 0 表示各主机持有量相同，接近 1 "
                "表示几乎全部集中于少数。规模不同的语料只能用稀释（rarefaction）后的数字比较："
                "抽取同样多的文档或词元，平均会包含多少个主机。所有数字均为精确计数；"
                "区间表示从同一总体再独立抽取同样多的文档时该值的波动；总体本身还有这里未出现的主机。"
            ),
        ),
        figures=(
            *_nameless(facts),
            *(figure for axis in found for figure in _figures(facts, axis, every)),
            *_unseen(found),
            *_rarefied_figures(facts, every),
        ),
        tables=(
            _concentration(facts, list(found), every),
            *(_top(facts, axis, every) for axis in (HOST, DOMAIN, TLD, SOURCE) if axis in found),
            *(_lorenz(facts, axis, every) for axis in curved),
            *(_ranks(facts, axis, every) for axis in curved),
            *([_rarefied(facts, every)] if HOST in found else []),
        ),
    )


Every = dict[tuple[str, str], Held]


# Figures


def _nameless(facts: Facts) -> Iterator[Figure]:
    """Yields how many documents no host is known of, which no other figure of hosts counts."""
    none = nameless(facts, HOST.axis)
    for name, weight in weighed(facts):
        whole = none[name] + held(facts, HOST.axis, name).whole
        yield Figure(
            key=f"hosts.none.{weight.key}",
            label=Words(
                en=f"share of {weight.label.en} that have no URL, so no host",
                zh=f"没有 URL、因而没有主机的{weight.label.zh}占比",
            ),
            value=none[name] / whole if whole else None,
            unit="share",
            command=asked(of={HOST.axis: None}),
        )


def _figures(facts: Facts, axis: Axis, every: Every) -> Iterator[Figure]:
    documents = every[axis.axis, "documents"]
    yield Figure(
        key=f"{axis.key}.number",
        label=Words(en=f"{axis.many.en} with documents that stayed", zh=f"有文档留存的{axis.many.zh}数"),
        value=documents.names,
        unit="number",
        command=asked(f"{axis.axis}!=none"),
    )
    if axis is not LICENCE:  # of documents that left it is not known
        yield Figure(
            key=f"{axis.key}.came",
            label=Words(en=f"{axis.many.en} that any document came from", zh=f"进入流程的文档所涉及的{axis.many.zh}数"),
            value=held(facts, axis.axis, "came").names,
            unit="number",
            command=asked(f"{axis.axis}!=none", kept=None),
        )
    for name, weight in weighed(facts):
        yield from _weighed_figures(axis, weight, every[axis.axis, name], _first(facts, axis, name))


def _first(facts: Facts, axis: Axis, name: str) -> str | None:
    """Returns the largest name of an axis in a weighting."""
    rows = sorted(largest(facts, axis.axis).to_pylist(), key=lambda row: (-row[name], row["name"]))
    return rows[0]["name"] if rows else None


def _weighed_figures(axis: Axis, weight: Weighting, held: Held, first: str | None) -> Iterator[Figure]:
    """Yields the measures of an axis in one weighting: of TLDs, sources and licences those that say something."""
    large = axis in (HOST, DOMAIN)
    by, every = Words(en=f", by {weight.label.en}", zh=f"（按{weight.label.zh}加权）"), asked(f"{axis.axis}!=none")
    largest_one = asked(of={axis.axis: first}) if first else None
    many, one = axis.many, axis.one

    def figure(name: str, en: str, zh: str, found: Estimate, unit: Unit, command: str | None = every) -> Figure:
        return Figure(
            key=f"{axis.key}.{name}.{weight.key}",
            label=Words(en=en + by.en, zh=zh + by.zh),
            value=found.value,
            unit=unit,
            low=found.low,
            high=found.high,
            command=command,
        )

    yield figure("effective", f"effective number of {many.en} (1D)", f"有效{many.zh}数（¹D）", held.hill(1), "number")
    if large:
        yield figure("hill2", f"effective number of {many.en} (2D)", f"有效{many.zh}数（²D）", held.hill(2), "number")
        yield figure("gini", f"Gini of {many.en}", f"{many.zh}的基尼系数", held.gini(), "number")
    for top in TOPS if large else TOPS[:1]:
        if top <= 10 or held.names > top:
            en = f"share of the {top:,} largest {many.en}" if top > 1 else f"share of the largest {one.en}"
            zh = f"最大的 {top:,} 个{many.zh}所占份额" if top > 1 else f"最大{one.zh}所占份额"
            yield figure(f"top{top}", en, zh, held.top(top), "share", largest_one if top == 1 else every)


def _unseen(found: dict[Axis, Held]) -> Iterator[Figure]:
    for axis, documents in found.items():
        if axis in (HOST, DOMAIN):
            covered = coverage(documents.sizes, documents.times)
            yield Figure(
                key=f"{axis.key}.coverage",
                label=Words(
                    en=f"chance that one more document would be of a {axis.one.en} that is here (Good's coverage)",
                    zh=f"再取一篇文档、其{axis.one.zh}已在语料中的概率（Good 覆盖率）",
                ),
                value=covered,
                unit="share",
                command=asked("host!=none"),
            )
            yield Figure(
                key=f"{axis.key}.chao1",
                label=Words(
                    en=f"{axis.many.en} of the source of these documents, at the least (Chao 1)",
                    zh=f"这些文档所出自的总体中{axis.many.zh}数的下界（Chao 1）",
                ),
                value=chao1(documents.sizes, documents.times)
                if covered
                else None,  # of no group twice it tells nothing
                unit="number",
                command=asked("host!=none"),
            )


# Tables


_WEIGHTS: Final = {
    "came": Words(en="came", zh="进入"),
    **{weight.key: weight.label for weight in (DOCUMENTS, TOKENS, CHARACTERS)},
    "trained": Words(en="trained", zh="训练所见"),
}


def _concentration(facts: Facts, axes: list[Axis], every: Every) -> Table:
    columns = [
        Column(key="axis", label=Words(en="of", zh="对象"), unit="text", words={axis.key: axis.many for axis in AXES}),
        Column(key="weighting", label=Words(en="weighted by", zh="加权方式"), unit="text", words=_WEIGHTS),
        Column(key="number", label=Words(en="number (0D)", zh="数量（⁰D）"), unit="number"),
        Column(key="effective", label=Words(en="effective (1D)", zh="有效数（¹D）"), unit="number"),
        Column(key="effective_low", label=Words(en="1D, from", zh="¹D 下限"), unit="number"),
        Column(key="effective_high", label=Words(en="1D, to", zh="¹D 上限"), unit="number"),
        Column(key="hill2", label=Words(en="2D", zh="²D"), unit="number"),
        Column(key="hillinf", label=Words(en="infD", zh="∞D"), unit="number"),
        Column(key="evenness", label=Words(en="evenness", zh="均匀度"), unit="share"),
        Column(key="gini", label=Words(en="Gini", zh="基尼系数"), unit="number"),
        Column(key="hhi", label=Words(en="HHI", zh="HHI"), unit="number"),
        *(Column(key=f"top{top}", label=Words(en=f"top {top:,}", zh=f"前 {top:,}"), unit="share") for top in TOPS),
    ]
    rows: list[tuple[Cell, ...]] = []
    commands: list[str | None] = []
    for axis in axes:
        weights = [(weight.key, every[axis.axis, name]) for name, weight in weighed(facts)]
        all_of_it = [("came", held(facts, axis.axis, "came"))] if axis is not LICENCE else []
        for label, one in [*all_of_it, *weights]:
            first = one.hill(1)
            tops = [one.top(top).value for top in TOPS]
            rest = (one.hill(2).value, one.hill(math.inf).value, one.evenness(), one.gini().value, one.hhi().value)
            rows.append((axis.key, label, one.names, *first, *rest, *tops))
            commands.append(asked(f"{axis.axis}!=none", kept=None if label == "came" else True))
    return Table(
        key="hosts.concentration",
        label=Words(en="Concentration of all axes", zh="各维度的集中度"),
        columns=tuple(columns),
        rows=tuple(rows),
        commands=tuple(commands),
        note=Words(
            en=f"{SAMPLED.en} Came: documents that were read; trained: tokens as a training run sees them.",
            zh=f"{SAMPLED.zh}“进入”指读入的文档；“训练所见”指训练实际所见词元。",
        ),
    )


def _top(facts: Facts, axis: Axis, every: Every) -> Table:
    """Returns the largest names by size, and what stayed of those that came."""
    weights = weighed(facts)
    rows = sorted(largest(facts, axis.axis).to_pylist(), key=lambda row: (-row["size"], -row["came"], row["name"]))
    wholes = {name: every[axis.axis, name].whole for name, _ in weights}
    shares = [share_column(weight) for _, weight in weights]
    number = max(every[axis.axis, "documents"].names, held(facts, axis.axis, "came").names)
    return Table(
        key=f"{axis.key}.top",
        label=Words(en=f"Largest {axis.many.en}", zh=f"最大的{axis.many.zh}"),
        columns=(
            Column(key=axis.axis, label=axis.one, unit="text"),
            *shares,
            Column(key="came", label=Words(en="documents that came", zh="进入文档"), unit="documents"),
            Column(key="documents", label=Words(en="documents that stayed", zh="留存文档"), unit="documents"),
            Column(key="survival", label=Words(en="all stages leave", zh="全部阶段后存活率"), unit="share"),
        ),
        rows=tuple(
            (
                shown(row["name"]),
                *(row[name] / wholes[name] if wholes[name] else None for name, _ in weights),
                row["came"],
                row["documents"],
                row["documents"] / row["came"] if row["came"] > 0 else None,
            )
            for row in rows[:SHOWN]
        ),
        commands=tuple(asked(of={axis.axis: row["name"]}) for row in rows[:SHOWN]),
        of=number,
        chart=Chart(kind="bar", x=axis.axis, y=tuple(column.key for column in shares)),
        note=Words(
            en="The command lists what stayed; with --left in the place of --kept, what left.",
            zh="命令列出留存的文档；以 --left 代替 --kept 则列出离开的文档。",
        ),
    )


def _lorenz(facts: Facts, axis: Axis, every: Every) -> Table:
    weights = weighed(facts)
    curves = [every[axis.axis, name].lorenz(POINTS) for name, _ in weights]
    return Table(
        key=f"{axis.key}.lorenz",
        label=Words(en=f"Lorenz curves of {axis.many.en}", zh=f"{axis.many.zh}的洛伦兹曲线"),
        columns=(
            Column(
                key="names",
                label=Words(
                    en=f"share of the {axis.many.en}, the smallest first", zh=f"{axis.many.zh}占比（由小到大）"
                ),
                unit="share",
            ),
            *(share_column(weight) for _, weight in weights),
        ),
        rows=tuple((point / POINTS, *(float(curve[point]) for curve in curves)) for point in range(POINTS + 1)),
        chart=Chart(kind="lorenz", x="names", y=tuple(share_column(weight).key for _, weight in weights)),
        note=Words(
            en="On the diagonal all would hold the same; each weighting has an order of its own, of those that it has.",
            zh="对角线表示各项持有量相同；每种加权方式各自排序，只含在该口径下有量的项。",
        ),
    )


def _ranks(facts: Facts, axis: Axis, every: Every) -> Table:
    weights = weighed(facts)
    ranks = ranks_of(max(every[axis.axis, name].names for name, _ in weights))
    sizes = [every[axis.axis, name].of_ranks(ranks) for name, _ in weights]
    return Table(
        key=f"{axis.key}.ranks",
        label=Words(en=f"Size of {axis.many.en} by rank", zh=f"{axis.many.zh}规模—位序"),
        columns=(
            Column(key="rank", label=Words(en="rank", zh="位序"), unit="number"),
            *(Column(key=weight.key, label=weight.label, unit=weight.unit) for _, weight in weights),
        ),
        rows=tuple((rank, *row) for rank, row in zip(ranks, zip(*sizes, strict=True), strict=True)),
        chart=Chart(kind="rank", x="rank", y=tuple(weight.key for _, weight in weights)),
        note=Words(
            en="Behind the 1,000 largest a size is the mean of a bin 1/64 wide.",
            zh="第 1,000 位之后的规模为宽 1/64 的分箱均值。",
        ),
    )


def ranks_of(most: int) -> list[int]:
    """Returns ranks up to `most`: all to 10, then about twenty to a power of ten, and the last.

    >>> ranks_of(12), len(ranks_of(10**6)) < 120
    ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], True)
    """
    steps = (round(10 ** (step / 20)) for step in range(20 * 12))
    return sorted({rank for rank in (*range(1, 11), *steps, most) if rank <= most})


# What a smaller corpus would hold


def draws_of(documents: int, tokens: int) -> list[tuple[int, int | None]]:
    """Returns draws of documents to compare corpora by: round numbers, and those that hold a budget of tokens.

    >>> draws_of(2000, 4_000_000)
    [(10, None), (100, None), (500, 1000000), (1000, None), (2000, None)]
    """
    draws: dict[int, int | None] = dict.fromkeys((10**power for power in range(1, 13)), None)
    draws[documents] = None
    draws |= {round(documents * budget / tokens): budget for budget in BUDGETS if tokens}
    return sorted((draw, budget) for draw, budget in draws.items() if 0 < draw <= documents)


def _rarefied(facts: Facts, every: Every) -> Table:
    hosts, domains = every["host", "documents"], every["domain", "documents"]
    size = weighed(facts)[1][1]
    rows = []
    for draw, _ in draws_of(hosts.whole, every["host", "size"].whole):
        expected = round(every["host", "size"].whole * draw / hosts.whole)
        hill = (hosts.rarefied_hill(draw, 1), hosts.rarefied_hill(draw, 2))
        rows.append((draw, expected, *hosts.rarefied(draw), *hill, *domains.rarefied(draw)))
    labels = (
        ("hosts", Words(en="hosts", zh="主机")),
        ("hosts_low", Words(en="hosts, from", zh="主机下限")),
        ("hosts_high", Words(en="hosts, to", zh="主机上限")),
        ("effective", Words(en="effective hosts (1D)", zh="有效主机数（¹D）")),
        ("hill2", Words(en="effective hosts (2D)", zh="有效主机数（²D）")),
        ("domains", Words(en="domains", zh="域名")),
        ("domains_low", Words(en="domains, from", zh="域名下限")),
        ("domains_high", Words(en="domains, to", zh="域名上限")),
    )
    return Table(
        key="hosts.rarefied",
        label=Words(en="Hosts of a draw of documents (rarefied)", zh="抽取若干文档所含的主机数（稀释曲线）"),
        columns=(
            Column(key="documents", label=Words(en="documents drawn", zh="抽取文档"), unit="documents"),
            Column(
                key=size.key, label=Words(en=f"{size.label.en} on average", zh=f"平均{size.label.zh}"), unit=size.unit
            ),
            *(Column(key=key, label=label, unit="number") for key, label in labels),
        ),
        rows=tuple(rows),
        chart=Chart(kind="line", x="documents", y=("hosts", "domains"), log_x=True, log_y=True),
        note=Words(
            en=(
                "Expected in a draw of documents with a host, without replacement (Hurlbert 1971; Chao et al. 2014); "
                "the interval is unconditional (Colwell et al. 2012). 1D is told of draws of up to 1,000 documents."
            ),
            zh=(
                "对有主机的文档作不放回抽取的期望值（Hurlbert 1971；Chao 等 2014）；"
                "区间为无条件区间（Colwell 等 2012）。¹D 只对至多 1,000 篇文档的抽取给出。"
            ),
        ),
    )


def _rarefied_figures(facts: Facts, every: Every) -> Iterator[Figure]:
    """Yields the rarefied numbers at common sizes, by which corpora may be compared."""
    hosts = every["host", "documents"]
    size = weighed(facts)[1][1]
    for draw, budget in draws_of(hosts.whole, every["host", "size"].whole) if hosts.names else []:
        if draw < 1000 and budget is None:
            continue
        if draw == hosts.whole and budget is None:
            continue
        name = f"{size.key}{budget}" if budget else f"documents{draw}"
        what = Words(en=f"{budget:,} {size.label.en}", zh=f"{budget:,} 个{size.label.zh}") if budget else Words(
            en=f"{draw:,} documents", zh=f"{draw:,} 篇文档"
        )  # fmt: skip
        found = hosts.rarefied(draw)
        yield Figure(
            key=f"hosts.rarefied.{name}",
            label=Words(en=f"hosts that {what.en} hold on average", zh=f"{what.zh}平均包含的主机数"),
            value=found.value,
            unit="number",
            low=found.low,
            high=found.high,
            command=asked("host!=none"),
        )
