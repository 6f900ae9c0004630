"""Lines: the course of a value over time, or a curve for each of a series."""

from typing import Any

import altair as alt

from analyzer.render.charts.drawing import COLOURS, HEIGHT, Columns, Rows, axis_of, drawing, time_axis
from analyzer.render.time_series import Buckets
from analyzer.table import Chart


def draw(chart: Chart, columns: Columns, rows: Rows, unit: str) -> Any:
    """Draw lines; None of less than two points."""
    return _curves(chart, columns, rows) if chart.series else _course(chart, columns, rows, unit)


def _course(chart: Chart, columns: Columns, rows: Rows, unit: str) -> Any:
    """Draw a value at the end of each bucket; of one bucket there is no line."""
    buckets = Buckets.of(chart.x, rows)
    if buckets is None:
        return None
    name = chart.y[0]
    values = [{"start": end, name: row[name]} for _, end, row in buckets.rows]
    line = drawing(values).mark_line(strokeWidth=2, color=COLOURS[0])
    return line.encode(x=time_axis(buckets), y=axis_of(columns[name], unit))


def _curves(chart: Chart, columns: Columns, rows: Rows) -> Any:
    """Draw a line for each of a series."""
    if not rows:
        return None
    x = alt.X(f"{chart.x}:Q", title=chart.x, axis=alt.Axis(grid=False))
    series = chart.series or ""
    scale = alt.Scale(domain=sorted({row[series] for row in rows}), range=COLOURS)
    colour = alt.Color(f"{series}:N", scale=scale, legend=alt.Legend())
    lines = drawing(list(rows)).encode(x=x, y=axis_of(columns[chart.y[0]], "", least=None))
    known, marked = f"!datum['{chart.mark}']", f"datum['{chart.mark}']"
    dots = lines.mark_point(size=50, filled=True).encode(color=colour)
    hollow = lines.mark_point(size=50, filled=False).encode(color=colour)
    drawn = lines.mark_line(strokeWidth=2).encode(color=colour)
    drawn = drawn + dots.transform_filter(known) + hollow.transform_filter(marked)
    return drawn if chart.at is None else drawn + _now(chart)


def _now(chart: Chart) -> Any:
    """Draw a rule at the value that holds now."""
    now = drawing([{chart.x: chart.at, "label": "now"}]).encode(x=f"{chart.x}:Q")
    rule = now.mark_rule(strokeDash=[4, 4], color="currentColor", opacity=0.6)
    word = now.mark_text(dx=16, color="currentColor", fontSize=13)
    return rule + word.encode(y=alt.value(HEIGHT - 10), text="label:N")
