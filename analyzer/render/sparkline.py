"""A chart over time in a line of text."""

from math import isfinite
from typing import Any

from analyzer.render.buckets import Buckets
from analyzer.render.value import human
from analyzer.section import Chart
from analyzer.table import RATIO, Table

BLOCKS = "▁▂▃▄▅▆▇█"
NONE = "·"
LONGEST_LINE = 60


def sparkline(chart: Chart, table: Table) -> str:
    """Write a chart over time in blocks, the latest last, with the labels of the first and the last.

    Empty for charts of another kind and for less than two buckets; those without lookups are dots.
    """
    if chart.series or chart.kind not in ("stack", "line"):
        return ""
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows]
    buckets = Buckets.of(chart.x, rows)
    if buckets is None:
        return ""
    unit = table.columns[names.index(chart.y[0])].unit
    values = {start: (row[chart.x], sum(_finite(row[name]) for name in chart.y)) for start, _, row in buckets.rows}
    drawn = [values.get(start) for start in buckets.starts()[-LONGEST_LINE:]]
    there = [one for one in drawn if one]
    return f"{there[0][0]} to {there[-1][0]}: {_blocks(drawn, unit)} (last {human(there[-1][1], unit)})"


def _finite(value: float | None) -> float:
    return value if value is not None and isfinite(value) else 0


def _blocks(drawn: list[tuple[str, Any] | None], unit: str) -> str:
    most = 1 if unit == RATIO else max([*(one[1] for one in drawn if one), 1e-9])
    return "".join(BLOCKS[min(int(one[1] / most * len(BLOCKS)), len(BLOCKS) - 1)] if one else NONE for one in drawn)
