"""Draws charts of tables as static SVG, with Altair and vl-convert; no other module imports them.

A new kind of chart is a function and an entry in `KINDS`. Names from the log enter a chart as data only, never as part
of its specification. Colors are CSS variables of the page, so that one drawing serves the light and the dark theme.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from itertools import groupby
from math import ceil, isfinite, log2, log10
from typing import Any
from xml.etree import ElementTree as ET

import altair as alt
import vl_convert

from analyzer.render.display import column_title
from analyzer.render.time_series import LABEL_FORMATS, Buckets
from analyzer.render.values import escape_controls, format_duration, to_plain_value
from analyzer.table import FEW_LOOKUPS, MS, RATIO, Chart, Column, Mark, Table

Rows = list[dict[str, Any]]

HEIGHT, SCATTER_HEIGHT = 200, 280
COLORS = ["var(--series-1)", "var(--series-2)", "var(--series-3)"]
MARK_COLOR = "var(--mark)"
FAINT, BAND_OPACITY = 0.35, 0.16
RELATIVE_BAR_WIDTH = 0.86  # of its bucket: the rest is the gap to the next bar
PIXELS_PER_TICK = 90
MAX_Y_TICKS = 5
MAX_MARK_CHARS, MARK_LABEL_WIDTH = 8, 90
MIN_LABEL_DISTANCE = 0.05  # of the range of a ratio, between labels above each other
LABELS_HEIGHT = 32  # of the labels of marks, between a chart and its legend
MIN_BAND_SHARE = 0.004  # of the width: a shorter period would be invisible

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
# Steps between the ticks of durations, which people read as round.
DURATION_STEPS = (
    1, 5, 10, 50, 100, 500, SECOND, 5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE,
    15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 5 * DAY,
)  # fmt: skip

CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "autosize": {"type": "fit-x", "contains": "padding"},  # long axis labels must not widen the page
    "padding": {"left": 4, "right": 16, "top": 5, "bottom": 5},
    "axis": {
        "labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 12, "titleFontSize": 12,
        "titleFontWeight": "normal", "gridColor": "var(--border)", "domainColor": "var(--border)",
        "tickColor": "var(--border)", "labelLimit": 260,
    },
    "legend": {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 12, "orient": "top",
               "title": None},
}  # fmt: skip

ET.register_namespace("", "http://www.w3.org/2000/svg")
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")


@dataclass(frozen=True, slots=True)
class Plot:
    """The data of a chart, with rows by column name, and the width of the drawing in pixels."""

    chart: Chart
    columns: dict[str, Column]
    rows: Rows
    width: int

    @property
    def y(self) -> Column:
        """The first column of the y axis."""
        return self.columns[self.chart.y[0]]

    def draw(self, rows: Rows, height: int = HEIGHT) -> Any:
        """Return an Altair chart of some rows."""
        return alt.Chart({"values": rows}, width=self.width, height=height)


def draw_svg(chart: Chart, table: Table, width: int) -> str:
    """Return a chart of a table as SVG, `width` pixels wide; empty where the table has nothing to draw."""
    columns = {column.name: column for column in table.columns}
    rows = [{name: _plot_value(value) for name, value in record.items()} for record in table.records()]
    drawing = KINDS[chart.kind](Plot(chart, columns, rows, width))
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


def _without_aria(svg: str) -> str:
    """Remove the ARIA attributes of a drawing: the page labels it as one image, beside the table of its numbers."""
    root = ET.fromstring(svg)  # noqa: S314  (drawn by this process)
    for element in root.iter():
        for name in [name for name in element.attrib if name == "role" or name.startswith("aria-")]:
            del element.attrib[name]
    return ET.tostring(root, encoding="unicode")


def _y_axis(column: Column, title: str, largest: float, min_ratio: float | None = 0) -> Any:
    """Return the y axis of a column; that of a ratio goes from `min_ratio` to 1, or fits the data if it is None."""
    if column.unit == RATIO:
        scale = alt.Scale(zero=False) if min_ratio is None else alt.Scale(domain=[min_ratio, 1])
        axis = alt.Axis(labelExpr="format(datum.value * 100, '.3~r') + ' %'", tickCount=MAX_Y_TICKS)
        return alt.Y(f"{column.name}:Q", title=title, axis=axis, scale=scale)
    if column.unit == MS:
        ticks = _duration_ticks(largest)
        # Tables write durations in two units: 1 h 30 min. Vega can only scale numbers, so its ticks are labelled here.
        labels = f"{[format_duration(tick) for tick in ticks]}[indexof({ticks}, datum.value)]"
        scale, axis = alt.Scale(domain=[0, ticks[-1]]), alt.Axis(values=ticks, labelExpr=labels)
        return alt.Y(f"{column.name}:Q", title=title, axis=axis, scale=scale)
    return alt.Y(f"{column.name}:Q", title=title)


def _duration_ticks(longest: float) -> list[float]:
    """Return round durations from 0 to at least the longest.

    >>> _duration_ticks(150 * MINUTE) == [0, 30 * MINUTE, HOUR, 90 * MINUTE, 2 * HOUR, 150 * MINUTE]
    True
    """
    round_steps = (step for step in DURATION_STEPS if longest <= step * MAX_Y_TICKS)
    step = next(round_steps, None) or DAY * 10.0 ** ceil(log10(longest / DAY / MAX_Y_TICKS))
    return [step * n for n in range(max(ceil(longest / step), 1) + 1)]


def _time_axis(buckets: Buckets, width: int) -> Any:
    # `Buckets` are in local time already: as UTC, Vega does not convert them to the time zone of this machine.
    scale = alt.Scale(type="utc", domain=list(buckets.span), nice=False)
    ticks = buckets.ticks(width // PIXELS_PER_TICK)
    axis = alt.Axis(grid=False, values=ticks, format=LABEL_FORMATS[buckets.name], labelOverlap=True)
    return alt.X("start:T", title=None, scale=scale, axis=axis)


def _with_marks(layers: Any, plot: Plot, buckets: Buckets) -> Any:
    """Return a chart over time with a band for each marked period, and a rule for each marked moment."""
    first, last = buckets.span
    spans = [(mark, *_span_ms(mark)) for mark in plot.chart.marks]
    spans = [(mark, since, until) for mark, since, until in spans if since < last and until >= first]
    shortest = MIN_BAND_SHARE * (last - first)
    bands = [
        {"start": max(since, first), "end": min(max(until, since + shortest), last)}
        for mark, since, until in spans if mark.until
    ]  # fmt: skip
    rules = [{"start": max(since, first)} for mark, since, _ in spans if not mark.until]
    x = _time_axis(buckets, plot.width)

    def label_place(span: tuple[Mark, float, float]) -> tuple[bool, str]:
        return span[0].until is not None, "right" if span[1] > (first + last) / 2 else "left"

    if bands:
        band = plot.draw(bands).mark_rect(color=MARK_COLOR, opacity=BAND_OPACITY)
        layers += band.encode(x=x, x2=alt.X2(field="end"))
    if rules:
        layers += plot.draw(rules).mark_rule(color=MARK_COLOR, strokeDash=[4, 3]).encode(x=x)
    # Labels of periods and of moments stand in two lines above the chart, at the side of the mark that has more room.
    for (is_period, align), labels in groupby(sorted(spans, key=label_place), label_place):
        starts = [{"start": max(since, first), "label": mark.label} for mark, since, _ in labels]
        text = plot.draw(starts).mark_text(align=align, dy=-20 if is_period else -6, fontSize=12, color=MARK_COLOR)
        layers += text.encode(x=x, y=alt.value(0), text="label:N")
    return layers


def _span_ms(mark: Mark) -> tuple[float, float]:
    since, until = (moment.replace(tzinfo=UTC).timestamp() * 1000 for moment in (mark.since, mark.until or mark.since))
    return since, until


def draw_stacked_bars(plot: Plot) -> Any:
    """Draw a bar for each bucket, with a part for each `y` column; None for less than two buckets."""
    chart, buckets = plot.chart, Buckets.of(plot.chart.x, plot.rows)
    if buckets is None:
        return None
    titles = {name: column_title(plot.columns[name]) for name in chart.y}
    parts = [
        {"start": start, "end": start + RELATIVE_BAR_WIDTH * (end - start), "low": low, "high": high,
         "part": titles[name], "shade": FAINT if chart.size and row[chart.size] < FEW_LOOKUPS else 1,
         "dashed": bool(chart.mark and row[chart.mark])}
        for start, end, row in buckets.rows for name, low, high in _stack(row, chart.y)
    ]  # fmt: skip
    has_legend = len(chart.y) > 1
    legend = alt.Legend(offset=LABELS_HEIGHT if chart.marks else 18)
    scale = alt.Scale(domain=list(titles.values()), range=COLORS[: len(titles)][::-1])
    largest = max(high for _, _, row in buckets.rows for _, _, high in _stack(row, chart.y))
    y_title = "share of lookups" if has_legend else column_title(plot.y)
    bars = plot.draw(parts).mark_rect().encode(
        x=_time_axis(buckets, plot.width), x2=alt.X2(field="end"), y2=alt.Y2(field="low"),
        y=_y_axis(replace(plot.y, name="high"), y_title, largest),
        color=alt.Color("part:N", scale=scale, legend=legend if has_legend else None),
        opacity=alt.Opacity("shade:Q", legend=None, scale=None),
    )  # fmt: skip
    outlines = bars.transform_filter("datum.dashed").mark_rect(
        stroke="currentColor", strokeDash=[2, 2], strokeWidth=1, fillOpacity=FAINT
    )
    return _with_marks(bars.transform_filter("!datum.dashed") + outlines, plot, buckets)


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
    points = [{"start": end, plot.y.name: row[plot.y.name]} for _, end, row in buckets.rows]
    y = _y_axis(plot.y, column_title(plot.y), max(point[plot.y.name] or 0 for point in points))
    line = plot.draw(points).mark_line(strokeWidth=2, color=COLORS[0]).encode(x=_time_axis(buckets, plot.width), y=y)
    return _with_marks(alt.layer(line), plot, buckets)


def _draw_series(plot: Plot) -> Any:
    chart = plot.chart
    if not plot.rows:
        return None
    scale = alt.Scale(domain=sorted({row[chart.series or ""] for row in plot.rows}), range=COLORS)
    color = alt.Color(f"{chart.series}:N", scale=scale, legend=alt.Legend())
    x = alt.X(f"{chart.x}:Q", title=column_title(plot.columns[chart.x]), axis=alt.Axis(grid=False))
    largest = max(row[plot.y.name] or 0 for row in plot.rows)
    y = _y_axis(plot.y, column_title(plot.y), largest, min_ratio=None)
    base = plot.draw(plot.rows).encode(x=x, y=y, color=color)
    filled = base.mark_point(size=50, filled=True).transform_filter(f"!datum['{chart.mark}']")
    hollow = base.mark_point(size=50, filled=False).transform_filter(f"datum['{chart.mark}']")
    layers = base.mark_line(strokeWidth=2) + filled + hollow
    return layers if chart.at is None else layers + _rule(plot)


def _rule(plot: Plot) -> Any:
    """Draw a vertical rule at the current value of `x`."""
    base = plot.draw([{plot.chart.x: plot.chart.at, "label": "now"}]).encode(x=f"{plot.chart.x}:Q")
    label = base.mark_text(dx=16, color="currentColor", fontSize=12)
    rule = base.mark_rule(strokeDash=[4, 4], color="currentColor", opacity=0.6)
    return rule + label.encode(y=alt.value(HEIGHT - 10), text="label:N")


def draw_scatter(plot: Plot) -> Any:
    """Draw a circle for each row, and a labelled diamond for rows with a `mark`."""
    chart, mark = plot.chart, plot.chart.mark or ""
    points = [{**row, "label": ""} for row in plot.rows if not row[mark]]
    for cluster in _clusters(plot):
        more = f" +{len(cluster) - 1}" if len(cluster) > 1 else ""
        points.append({**cluster[0], "label": f"{str(cluster[0][mark])[:MAX_MARK_CHARS]}{more}"})
    if not points:
        return None
    x_title, scale = column_title(plot.columns[chart.x]), alt.Scale(type="log")
    x = alt.X(f"{chart.x}:Q", title=x_title, scale=scale, axis=alt.Axis(grid=False))
    y = _y_axis(plot.y, column_title(plot.y), max(row[plot.y.name] or 0 for row in points))
    base = plot.draw(points, SCATTER_HEIGHT).encode(x=x, y=y)
    size = alt.Size(f"{chart.size}:Q", legend=None, scale=alt.Scale(range=[20, 700]))
    plain, labelled = base.transform_filter("datum.label == ''"), base.transform_filter("datum.label != ''")
    return (
        plain.mark_circle(color=COLORS[0], opacity=0.55).encode(size=size)
        + labelled.mark_point(color=COLORS[1], size=70, filled=True, shape="diamond")
        + labelled.mark_text(dy=-12, color="currentColor", fontSize=12).encode(text="label:N")
    )


def _clusters(plot: Plot) -> list[Rows]:
    """Group rows with a `mark` that are so close to each other that their labels would overlap."""
    x, y = plot.chart.x, plot.y.name
    sizes = [log2(row[x]) for row in plot.rows]
    octave_pixels = plot.width / ((max(sizes) - min(sizes)) or 1)
    clusters: list[Rows] = []
    for row in sorted((row for row in plot.rows if row[plot.chart.mark or ""]), key=lambda row: (row[y], row[x])):
        first = clusters[-1][0] if clusters else None
        if (
            first
            and row[y] - first[y] < MIN_LABEL_DISTANCE
            and (log2(row[x]) - log2(first[x]) < MARK_LABEL_WIDTH / octave_pixels)
        ):
            clusters[-1].append(row)
        else:
            clusters.append([row])
    return clusters


def draw_heatmap(plot: Plot) -> Any:
    """Draw a cell for each `x` and `y`, the more opaque the larger its value; None if all values are 0."""
    chart, value = plot.chart, plot.chart.value or ""
    largest = max((row[value] for row in plot.rows), default=0)
    if not largest:
        return None
    # The minimum opacity is above 0, so that a cell of few lookups differs from one without any.
    cells = [{**row, "shade": 0.06 + 0.94 * row[value] / largest} for row in plot.rows]
    rows_in_order = list(dict.fromkeys(row[plot.y.name] for row in plot.rows))
    x_title = column_title(plot.columns[chart.x])
    return plot.draw(cells).mark_rect(color=COLORS[0]).encode(
        x=alt.X(f"{chart.x}:O", title=x_title, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        y=alt.Y(f"{plot.y.name}:O", title=None, sort=rows_in_order),
        opacity=alt.Opacity("shade:Q", legend=None, scale=None),
    )  # fmt: skip


# The function that draws each kind of chart; it returns None where there is nothing to draw.
KINDS: dict[str, Callable[[Plot], Any]] = {
    "stack": draw_stacked_bars, "line": draw_lines, "points": draw_scatter, "heat": draw_heatmap,
}  # fmt: skip
