"""A bar for each of some groups, with its value beside it."""

from typing import Any

import altair as alt

from analyzer.render.charts.drawing import COLOURS, Columns, Rows, drawing, title_of
from analyzer.render.values import NOTHING, percent
from analyzer.table import RATIO, Chart, Column

LONGEST = 40


def draw(chart: Chart, columns: Columns, rows: Rows, unit: str) -> Any:
    """Draw a bar a row, lying."""
    value = columns[chart.y[0]]
    there = [row for row in rows if row[value.name] is not None]
    if not there:
        return None
    every = drawing(_bars(chart, value, there, unit), 26 * len(there))
    every = every.encode(y=alt.Y("group:N", title=None, sort=None), x=_across(value, there, unit))
    bars = every.mark_bar(color=COLOURS[0], size=16)
    if chart.mark:
        scale = alt.Scale(domain=[chart.mark, f"not {chart.mark}"], range=COLOURS[1::-1])
        bars = bars.encode(color=alt.Color("part:N", scale=scale, legend=alt.Legend()))
    return bars + every.mark_text(align="left", dx=5, color="currentColor", fontSize=12).encode(text="label:N")


def _bars(chart: Chart, value: Column, there: Rows, unit: str) -> Rows:
    names = _apart([_short(row[chart.x]) for row in there])
    return [
        {
            "group": name, value.name: row[value.name], "label": _label(row, chart, value, unit),
            "part": chart.mark if chart.mark and row[chart.mark] else f"not {chart.mark}",
        }
        for name, row in zip(names, there, strict=True)
    ]  # fmt: skip


def _across(value: Column, there: Rows, unit: str) -> Any:
    """Return the axis that lies, with room for a label beside the longest bar."""
    title = title_of(value, unit)
    if value.unit == RATIO:
        axis = alt.Axis(grid=False, format="%", values=[n / 5 for n in range(6)])
        return alt.X(f"{value.name}:Q", title=title, scale=alt.Scale(domain=[0, 1.3]), axis=axis)
    most = max(row[value.name] for row in there) or 1
    axis = alt.Axis(grid=False, tickCount=6)
    return alt.X(f"{value.name}:Q", title=title, scale=alt.Scale(domain=[0, 1.5 * most]), axis=axis)


def _label(row: dict[str, Any], chart: Chart, value: Column, unit: str) -> str:
    """Write a bar's value, and of how many lookups it is."""
    found = row[value.name]
    if value.unit == RATIO:
        return f"{percent(found)} of {row[chart.size]:,}" if chart.size else percent(found)
    return f"{found:,.1f} {unit}, {row[chart.size]:,} {chart.size}" if chart.size else f"{found:,.1f} {unit}"


def _apart(names: list[str]) -> list[str]:
    """Tell equal names apart by what nobody sees: bars of one name would be one bar."""
    return [name + "\u200b" * names[:place].count(name) for place, name in enumerate(names)]


def _short(value: Any) -> str:
    text = NOTHING if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
