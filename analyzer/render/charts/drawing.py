"""What all charts share: paper, colours, axes.

Colours are CSS variables of the page, so that one drawing is light and dark.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from analyzer.render.time_series import Buckets
from analyzer.table import MS, RATIO, Column

Columns = dict[str, Column]
Rows = list[dict[str, Any]]

WIDTH, HEIGHT = 560, 220
COLOURS = ["var(--first)", "var(--second)", "var(--third)"]
UNITS = (("hours", 3_600_000), ("min", 60_000), ("s", 1000))
FEW_OF_A_UNIT = 2
MOST_TICKS = 6

CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "autosize": {"type": "fit-x", "contains": "padding"},
    "padding": {"left": 16, "right": 16, "top": 5, "bottom": 5},
    "axis": {
        "labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 13, "titleFontSize": 13,
        "titleFontWeight": "normal", "gridColor": "var(--line)", "domainColor": "var(--line)",
        "tickColor": "var(--line)", "labelLimit": 260,
    },
    "legend": {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 13, "orient": "top",
               "title": None},
}  # fmt: skip


def drawing(values: list[dict[str, Any]], height: int = HEIGHT) -> Any:
    """Begin a drawing of rows."""
    return alt.Chart({"values": values}, width=WIDTH, height=height)


def scaled(columns: Columns, rows: Rows, names: Sequence[str]) -> str:
    """Bring times to the largest unit that the longest of them has a few of; return the unit, empty without times."""
    times = [name for name in names if columns[name].unit == MS]
    longest = max((row[name] or 0 for row in rows for name in times), default=0)
    unit, factor = next((one for one in UNITS if longest >= FEW_OF_A_UNIT * one[1]), UNITS[-1])
    for row in rows:
        row |= {name: row[name] / factor for name in times if row[name] is not None}
    return unit if times else ""


def axis_of(column: Column, unit: str, least: float | None = 0) -> Any:
    """Return the axis that stands, of a column whose times are in `unit`."""
    title = title_of(column, unit)
    if column.unit == RATIO:
        scale = alt.Scale(zero=False) if least is None else alt.Scale(domain=[least, 1])
        return alt.Y(f"{column.name}:Q", title=title, axis=alt.Axis(format="%", tickCount=6), scale=scale)
    return alt.Y(f"{column.name}:Q", title=title)


def title_of(column: Column, unit: str) -> str:
    """Write a column's name, and its unit where there is one."""
    words = column.name.removesuffix("_ms").replace("_", " ")
    return f"{words}, {unit}" if unit else words


def time_axis(buckets: Buckets) -> Any:
    """Return the axis of time; its numbers are moments of the clock on the wall, told as if they were UTC."""
    scale = alt.Scale(type="utc", domain=list(buckets.span), nice=False)
    axis = alt.Axis(grid=False, values=buckets.ticks(MOST_TICKS), format=buckets.format, labelOverlap=True)
    return alt.X("start:T", title=None, scale=scale, axis=axis)
