"""A grid of cells, the stronger coloured the larger their value."""

from typing import Any

import altair as alt

from analyzer.render.charts.drawing import COLOURS, Columns, Rows, drawing
from analyzer.table import Chart


def draw(chart: Chart, _columns: Columns, rows: Rows, _unit: str) -> Any:
    """Draw a cell for each `x` and `y`."""
    order = list(dict.fromkeys(row[chart.y[0]] for row in rows))
    value = chart.value or ""
    most = max((row[value] for row in rows), default=0)
    if not most:
        return None
    cells = [{**row, "shade": 0.06 + 0.94 * row[value] / most} for row in rows]
    return (
        drawing(cells)
        .mark_rect(color=COLOURS[0])
        .encode(
            x=alt.X(f"{chart.x}:O", title="hour", axis=alt.Axis(labelAngle=0)),
            y=alt.Y(f"{chart.y[0]}:O", title=None, sort=order),
            opacity=alt.Opacity("shade:Q", legend=None, scale=None),
        )
    )
