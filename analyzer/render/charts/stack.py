"""Bars over time, a part of each for each column."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import altair as alt

from analyzer.render.charts.drawing import COLOURS, Columns, Rows, axis_of, drawing, time_axis, title_of
from analyzer.render.time_series import Buckets
from analyzer.table import FEW_LOOKUPS, Chart

WIDTH_OF_A_BAR = 0.86
FAINT = 0.35


def draw(chart: Chart, columns: Columns, rows: Rows, unit: str) -> Any:
    """Draw a bar a bucket; None of less than two."""
    buckets = Buckets.of(chart.x, rows)
    if buckets is None:
        return None
    first, several = columns[chart.y[0]], len(chart.y) > 1
    words = {name: name.replace("_", " ").removesuffix(" ms") for name in chart.y}
    parts = [
        {"start": start, "end": start + WIDTH_OF_A_BAR * (end - start), "low": low, "high": high, "part": words[name],
         "shade": FAINT if chart.size and row[chart.size] < FEW_LOOKUPS else 1}
        for start, end, row in buckets.rows for name, low, high in _piled(row, chart.y)
    ]  # fmt: skip
    scale = alt.Scale(domain=list(words.values()), range=COLOURS)
    colour = alt.Color("part:N", scale=scale, legend=alt.Legend() if several else None)
    y = axis_of(replace(first, name="high"), "").title("share of lookups" if several else title_of(first, unit))
    shade = alt.Opacity("shade:Q", legend=None, scale=None)
    x2, y2 = alt.X2(field="end"), alt.Y2(field="low")
    return drawing(parts).mark_rect().encode(x=time_axis(buckets), x2=x2, y=y, y2=y2, color=colour, opacity=shade)


def _piled(row: dict[str, Any], names: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """Yield the parts of a bar, each on the one before: its name, its foot and its head."""
    foot = 0.0
    for name in names:
        head = foot + (row[name] or 0)
        yield name, foot, head
        foot = head
