"""Charts by their kind."""

from __future__ import annotations

from collections.abc import Callable

from stages.audit.model import Kind, Table, Words
from stages.audit.page import bars, curves
from stages.audit.page.heat import heat
from stages.audit.page.markup import Safe
from stages.audit.page.plot import Plot, drawing, plot_of

_DRAWN: dict[Kind, Callable[[Plot], tuple[Safe, float]]] = {
    "bar": bars.bar,
    "stacked": bars.stacked,
    "funnel": bars.funnel,
    "histogram": curves.histogram,
    "line": curves.line,
    "lorenz": curves.lorenz,
    "rank": curves.rank,
    "heat": heat,
}
KINDS: dict[Kind, Words] = {
    "bar": Words(en="Bar chart", zh="条形图"),
    "stacked": Words(en="Stacked bar chart", zh="堆叠条形图"),
    "funnel": Words(en="Funnel", zh="漏斗图"),
    "histogram": Words(en="Histogram", zh="直方图"),
    "line": Words(en="Line chart", zh="折线图"),
    "lorenz": Words(en="Lorenz curve, with the diagonal of equality", zh="洛伦兹曲线（附完全均等的对角线）"),
    "rank": Words(en="Rank chart, both axes logarithmic", zh="秩次图（双对数坐标）"),
    "heat": Words(en="Heat map", zh="热力图"),
}


def draw(table: Table) -> Safe | None:
    """Returns the chart of a table as SVG, the same bytes for the same table; None where there is nothing to draw."""
    plot = plot_of(table)
    if plot is None:
        return None
    content, height = _DRAWN[plot.chart.kind](plot)
    return drawing(height, [content], table.key, plot.chart.kind) if content else None


def described(table: Table) -> Words:
    """Returns what a chart is and how much of the table it draws, for readers who do not see it."""
    assert table.chart is not None
    kind = KINDS[table.chart.kind]
    most = (
        bars.drawn(len(table.rows), table.chart)
        if table.chart.kind in ("bar", "stacked", "funnel")
        else len(table.rows)
    )
    if len(table.rows) > most:
        return Words(
            en=f"{kind.en} of the first {most} rows; its numbers are in the table.",
            zh=f"{kind.zh}（前 {most} 行）；数值见表格。",
        )
    return Words(en=f"{kind.en}; its numbers are in the table.", zh=f"{kind.zh}；数值见表格。")
