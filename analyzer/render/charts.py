"""Draw charts of tables as static SVG, with Altair and vl-convert; no other module imports them.

A new kind of chart is a function and an entry in `KINDS`. Names from the log enter a chart as data only, never as part
of its specification. Colors are CSS variables of the page, so that one drawing serves the light and the dark theme.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, log2
from typing import Any
from xml.etree import ElementTree as ET

import altair as alt
import vl_convert

from analyzer.render.display import column_title
from analyzer.render.time_series import LABEL_FORMATS, Buckets
from analyzer.render.values import NO_VALUE, escape_controls, format_ratio, to_plain_value
from analyzer.table import FEW_LOOKUPS, MS, RATIO, Chart, Column, Table

Rows = list[dict[str, Any]]

WIDTH, HEIGHT, SCATTER_HEIGHT, BAR_STEP = 560, 220, 280, 26
COLORS = ["var(--series-1)", "var(--series-2)", "var(--series-3)"]
FAINT = 0.35
RELATIVE_BAR_WIDTH = 0.86  # of its bucket: the rest is the gap to the next bar
MAX_TICKS = 6
MAX_LABEL_CHARS, MAX_MARK_CHARS = 40, 8

DURATION_UNITS = (("hours", 3_600_000), ("min", 60_000), ("s", 1000))
# Durations are drawn in the largest unit of which the longest has at least this many.
MIN_OF_UNIT = 2

CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "autosize": {"type": "fit-x", "contains": "padding"},  # long axis labels must not widen the page
    "padding": {"left": 16, "right": 16, "top": 5, "bottom": 5},
    "axis": {
        "labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 13, "titleFontSize": 13,
        "titleFontWeight": "normal", "gridColor": "var(--border)", "domainColor": "var(--border)",
        "tickColor": "var(--border)", "labelLimit": 260,
    },
    "legend": {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 13, "orient": "top",
               "title": None},
}  # fmt: skip

ET.register_namespace("", "http://www.w3.org/2000/svg")
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")


@dataclass(frozen=True, slots=True)
class Plot:
    """The data of a chart: rows by column name, durations in `unit` (empty without durations)."""

    chart: Chart
    columns: dict[str, Column]
    rows: Rows
    unit: str

    @property
    def y(self) -> Column:
        """The first column of the y axis."""
        return self.columns[self.chart.y[0]]


def draw_svg(chart: Chart, table: Table) -> str:
    """Return a chart of a table as SVG; empty where the table has nothing to draw."""
    columns = {column.name: column for column in table.columns}
    rows = [{name: _plot_value(value) for name, value in record.items()} for record in table.records()]
    durations = [name for name in chart.y if columns[name].unit == MS]
    drawing = KINDS[chart.kind](Plot(chart, columns, *_scale_durations(rows, durations)))
    if drawing is None:
        return ""
    # Not validated: only the data differs between logs, and data cannot make a specification invalid.
    svg: str = vl_convert.vegalite_to_svg(drawing.configure(**CONFIG).to_json(validate=False))
    return _without_aria(svg)


def _plot_value(value: Any) -> Any:
    """Return a value that JSON and XML can hold: text without control characters, only finite numbers."""
    plain = to_plain_value(value)
    if isinstance(plain, str):
        return escape_controls(plain.replace("\n", " "))
    return None if isinstance(plain, float) and not isfinite(plain) else plain


def _scale_durations(rows: Rows, names: Sequence[str]) -> tuple[Rows, str]:
    """Return the rows with milliseconds converted to a readable unit, and that unit; empty without durations."""
    if not names:
        return rows, ""
    longest = max((row[name] or 0 for row in rows for name in names), default=0)
    large_enough = [(unit, factor) for unit, factor in DURATION_UNITS if longest >= MIN_OF_UNIT * factor]
    unit, factor = next(iter(large_enough), DURATION_UNITS[-1])
    scaled = [{name: row[name] / factor for name in names if row[name] is not None} for row in rows]
    return [row | durations for row, durations in zip(rows, scaled, strict=True)], unit


def _without_aria(svg: str) -> str:
    """Remove the ARIA attributes of a drawing: the page labels it as one image, beside the table of its numbers."""
    root = ET.fromstring(svg)  # noqa: S314  (drawn by this process)
    for element in root.iter():
        for name in [name for name in element.attrib if name == "role" or name.startswith("aria-")]:
            del element.attrib[name]
    return ET.tostring(root, encoding="unicode")


def _base_chart(rows: Rows, height: int = HEIGHT) -> Any:
    return alt.Chart({"values": rows}, width=WIDTH, height=height)


def _y_axis(column: Column, title: str, min_ratio: float | None = 0) -> Any:
    """Return the y axis of a column; that of a ratio goes from `min_ratio` to 1, or fits the data if it is None."""
    if column.unit == RATIO:
        scale = alt.Scale(zero=False) if min_ratio is None else alt.Scale(domain=[min_ratio, 1])
        return alt.Y(f"{column.name}:Q", title=title, axis=alt.Axis(format="%", tickCount=6), scale=scale)
    return alt.Y(f"{column.name}:Q", title=title)


def _axis_title(column: Column, unit: str) -> str:
    return f"{column_title(column)}, {unit}" if unit else column_title(column)


def _time_axis(buckets: Buckets) -> Any:
    # `Buckets` are in local time already: as UTC, Vega does not convert them to the time zone of this machine.
    scale = alt.Scale(type="utc", domain=list(buckets.span), nice=False)
    axis = alt.Axis(grid=False, values=buckets.ticks(MAX_TICKS), format=LABEL_FORMATS[buckets.name], labelOverlap=True)
    return alt.X("start:T", title=None, scale=scale, axis=axis)


def draw_stacked_bars(plot: Plot) -> Any:
    """Draw a bar for each bucket, with a part for each `y` column; None for less than two buckets."""
    chart, buckets = plot.chart, Buckets.of(plot.chart.x, plot.rows)
    if buckets is None:
        return None
    titles = {name: column_title(plot.columns[name]) for name in chart.y}
    parts = [
        {"start": start, "end": start + RELATIVE_BAR_WIDTH * (end - start), "low": low, "high": high,
         "part": titles[name], "shade": FAINT if chart.size and row[chart.size] < FEW_LOOKUPS else 1}
        for start, end, row in buckets.rows for name, low, high in _stack(row, chart.y)
    ]  # fmt: skip
    has_legend = len(chart.y) > 1
    scale = alt.Scale(domain=list(titles.values()), range=COLORS)
    return _base_chart(parts).mark_rect().encode(
        x=_time_axis(buckets), x2=alt.X2(field="end"), y2=alt.Y2(field="low"),
        y=_y_axis(replace(plot.y, name="high"), "share of lookups" if has_legend else _axis_title(plot.y, plot.unit)),
        color=alt.Color("part:N", scale=scale, legend=alt.Legend() if has_legend else None),
        opacity=alt.Opacity("shade:Q", legend=None, scale=None),
    )  # fmt: skip


def _stack(row: dict[str, Any], names: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """Yield the name, lower and upper end of each part of a bar."""
    low = 0.0
    for name in names:
        high = low + (row[name] or 0)
        yield name, low, high
        low = high


def draw_lines(plot: Plot) -> Any:
    """Draw a line for each value of `series`, or one over time with a point at the end of each bucket."""
    if plot.chart.series:
        return _draw_series(plot)
    buckets = Buckets.of(plot.chart.x, plot.rows)
    if buckets is None:
        return None
    line = _base_chart([{"start": end, plot.y.name: row[plot.y.name]} for _, end, row in buckets.rows])
    y = _y_axis(plot.y, _axis_title(plot.y, plot.unit))
    return line.mark_line(strokeWidth=2, color=COLORS[0]).encode(x=_time_axis(buckets), y=y)


def _draw_series(plot: Plot) -> Any:
    chart = plot.chart
    if not plot.rows:
        return None
    scale = alt.Scale(domain=sorted({row[chart.series or ""] for row in plot.rows}), range=COLORS)
    color = alt.Color(f"{chart.series}:N", scale=scale, legend=alt.Legend())
    x = alt.X(f"{chart.x}:Q", title=_axis_title(plot.columns[chart.x], ""), axis=alt.Axis(grid=False))
    y = _y_axis(plot.y, _axis_title(plot.y, plot.unit), min_ratio=None)
    base = _base_chart(plot.rows).encode(x=x, y=y, color=color)
    filled = base.mark_point(size=50, filled=True).transform_filter(f"!datum['{chart.mark}']")
    hollow = base.mark_point(size=50, filled=False).transform_filter(f"datum['{chart.mark}']")
    layers = base.mark_line(strokeWidth=2) + filled + hollow
    return layers if chart.at is None else layers + _rule(chart)


def _rule(chart: Chart) -> Any:
    """Draw a vertical rule at the current value of `x`."""
    base = _base_chart([{chart.x: chart.at, "label": "now"}]).encode(x=f"{chart.x}:Q")
    label = base.mark_text(dx=16, color="currentColor", fontSize=13)
    rule = base.mark_rule(strokeDash=[4, 4], color="currentColor", opacity=0.6)
    return rule + label.encode(y=alt.value(HEIGHT - 10), text="label:N")


def draw_ranked_bars(plot: Plot) -> Any:
    """Draw a horizontal bar for each row with a value; None without such rows."""
    chart, rows = plot.chart, [row for row in plot.rows if row[plot.y.name] is not None]
    if not rows:
        return None
    names = _unique([_bar_name(row[chart.x]) for row in rows])
    bars = [
        {"group": name, plot.y.name: row[plot.y.name], "label": _bar_label(row, plot),
         "part": chart.mark if chart.mark and row[chart.mark] else f"not {chart.mark}"}
        for name, row in zip(names, rows, strict=True)
    ]  # fmt: skip
    base = _base_chart(bars, BAR_STEP * len(bars))
    base = base.encode(y=alt.Y("group:N", title=None, sort=None), x=_ranked_axis(plot, rows))
    marks = base.mark_bar(color=COLORS[0], size=16)
    if chart.mark:
        scale = alt.Scale(domain=[chart.mark, f"not {chart.mark}"], range=COLORS[1::-1])
        marks = marks.encode(color=alt.Color("part:N", scale=scale, legend=alt.Legend()))
    return marks + base.mark_text(align="left", dx=5, color="currentColor", fontSize=12).encode(text="label:N")


def _ranked_axis(plot: Plot, rows: Rows) -> Any:
    """Return the x axis, extended so that the label beside the longest bar has room."""
    if plot.y.unit == RATIO:
        end, axis = 1.3, alt.Axis(grid=False, format="%", values=[n / 5 for n in range(6)])
    else:
        largest = max(row[plot.y.name] for row in rows) or 1
        end, axis = 1.5 * largest, alt.Axis(grid=False, tickCount=6)
    title = _axis_title(plot.y, plot.unit)
    return alt.X(f"{plot.y.name}:Q", title=title, scale=alt.Scale(domain=[0, end]), axis=axis)


def _bar_label(row: dict[str, Any], plot: Plot) -> str:
    """Return the value of a bar and the number of lookups or misses it is based on."""
    value, size = row[plot.y.name], plot.chart.size
    if plot.y.unit == RATIO:
        return format_ratio(value) + (f" of {row[size]:,}" if size else "")
    return f"{value:,.1f} {plot.unit}" + (f", {row[size]:,} {size}" if size else "")


def _unique(names: list[str]) -> list[str]:
    """Return the names with zero-width spaces after repeated ones: Altair merges bars of the same name."""
    return [name + "\u200b" * names[:index].count(name) for index, name in enumerate(names)]


def _bar_name(value: Any) -> str:
    text = NO_VALUE if value is None else str(value)
    return text if len(text) <= MAX_LABEL_CHARS else f"{text[: MAX_LABEL_CHARS - 1]}…"


def draw_scatter(plot: Plot) -> Any:
    """Draw a circle for each row, and a labelled diamond for rows with a `mark`."""
    chart, mark = plot.chart, plot.chart.mark or ""
    points = [{**row, "label": ""} for row in plot.rows if not row[mark]]
    for cluster in _clusters([row for row in plot.rows if row[mark]], chart):
        more = f" +{len(cluster) - 1}" if len(cluster) > 1 else ""
        points.append({**cluster[0], "label": f"{str(cluster[0][mark])[:MAX_MARK_CHARS]}{more}"})
    if not points:
        return None
    x_title, scale = _axis_title(plot.columns[chart.x], ""), alt.Scale(type="log")
    x = alt.X(f"{chart.x}:Q", title=x_title, scale=scale, axis=alt.Axis(grid=False))
    base = _base_chart(points, SCATTER_HEIGHT).encode(x=x, y=_y_axis(plot.y, _axis_title(plot.y, plot.unit)))
    size = alt.Size(f"{chart.size}:Q", legend=None, scale=alt.Scale(range=[20, 700]))
    plain, labelled = base.transform_filter("datum.label == ''"), base.transform_filter("datum.label != ''")
    return (
        plain.mark_circle(color=COLORS[0], opacity=0.55).encode(size=size)
        + labelled.mark_point(color=COLORS[1], size=70, filled=True, shape="diamond")
        + labelled.mark_text(dy=-12, color="currentColor", fontSize=12).encode(text="label:N")
    )


def _clusters(rows: Rows, chart: Chart) -> list[Rows]:
    """Group rows that are so close to each other that their labels would overlap."""
    # The x axis is logarithmic: two steps for each doubling there, 20 for the whole range of a ratio.
    clusters: dict[tuple[int, int], Rows] = {}
    for row in rows:
        clusters.setdefault((round(2 * log2(row[chart.x])), round(20 * row[chart.y[0]])), []).append(row)
    return list(clusters.values())


def draw_heatmap(plot: Plot) -> Any:
    """Draw a cell for each `x` and `y`, the more opaque the larger its value; None if all values are 0."""
    chart, value = plot.chart, plot.chart.value or ""
    largest = max((row[value] for row in plot.rows), default=0)
    if not largest:
        return None
    # The minimum opacity is above 0, so that a cell of few lookups differs from one without any.
    cells = [{**row, "shade": 0.06 + 0.94 * row[value] / largest} for row in plot.rows]
    rows_in_order = list(dict.fromkeys(row[plot.y.name] for row in plot.rows))
    x_title = _axis_title(plot.columns[chart.x], "")
    return _base_chart(cells).mark_rect(color=COLORS[0]).encode(
        x=alt.X(f"{chart.x}:O", title=x_title, axis=alt.Axis(labelAngle=0)),
        y=alt.Y(f"{plot.y.name}:O", title=None, sort=rows_in_order),
        opacity=alt.Opacity("shade:Q", legend=None, scale=None),
    )  # fmt: skip


# The function that draws each kind of chart; it returns None where there is nothing to draw.
KINDS: dict[str, Callable[[Plot], Any]] = {
    "stack": draw_stacked_bars, "line": draw_lines, "rank": draw_ranked_bars, "points": draw_scatter,
    "heat": draw_heatmap,
}  # fmt: skip
