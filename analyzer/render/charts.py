"""Draws charts of tables as static SVG: as specifications of Vega-Lite, which vl-convert renders; no other module does.

A new kind of chart is a function and an entry in `KINDS`. Specifications are plain JSON: the classes of Altair take
longer to import and to fill than the charts of a page take to render. Names from the log enter a chart as data only,
never as part of its specification. Colors are CSS variables of the page, so that one drawing serves the light and the
dark theme.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from itertools import groupby
from math import ceil, isfinite, log2, log10
from typing import Any
from xml.etree import ElementTree as ET

import vl_convert

from analyzer.render.display import column_title
from analyzer.render.time_series import LABEL_FORMATS, Buckets
from analyzer.render.values import escape_controls, format_duration, to_plain_value
from analyzer.table import FEW_LOOKUPS, MS, RATIO, Chart, Column, Mark, Table

Rows = list[dict[str, Any]]
Spec = dict[str, Any]  # a part of a specification of Vega-Lite

HEIGHT = 200
HEIGHTS = {"points": 280}  # by the kind of chart
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


def draw_svg(chart: Chart, table: Table, width: int) -> str:
    """Return a chart of a table as SVG, `width` pixels wide; empty where the table has nothing to draw."""
    columns = {column.name: column for column in table.columns}
    rows = [{name: _plot_value(value) for name, value in record.items()} for record in table.records()]
    layers = KINDS[chart.kind](Plot(chart, columns, rows, width))
    if not layers:
        return ""
    size = {"width": width, "height": HEIGHTS.get(chart.kind, HEIGHT)}
    return _without_aria(vl_convert.vegalite_to_svg({**size, "layer": layers, "config": CONFIG}))


def _over(rows: Rows, *layers: Spec) -> Spec:
    """Return layers that are drawn from the same rows."""
    return {"data": {"values": rows}, "layer": list(layers)}


def _layer(mark: str, style: Spec, encoding: Spec, where: str = "") -> Spec:
    """Return a layer of one kind of mark, for all rows or those that a condition selects."""
    transform = {"transform": [{"filter": where}]} if where else {}
    return {"mark": {"type": mark, **style}, "encoding": encoding, **transform}


def _number(name: str, **more: Any) -> Spec:
    return {"field": name, "type": "quantitative", **more}


def _name(name: str, **more: Any) -> Spec:
    return {"field": name, "type": "nominal", **more}


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


def _y_axis(column: Column, title: str, largest: float, min_ratio: float | None = 0) -> Spec:
    """Return the y axis of a column; that of a ratio goes from `min_ratio` to 1, or fits the data if it is None."""
    axis: Spec = {}
    scale: Spec = {}
    if column.unit == RATIO:
        scale = {"zero": False} if min_ratio is None else {"domain": [min_ratio, 1]}
        axis = {"labelExpr": "format(datum.value * 100, '.3~r') + ' %'", "tickCount": MAX_Y_TICKS}
    elif column.unit == MS:
        ticks = _duration_ticks(largest)
        # Tables write durations in two units: 1 h 30 min. Vega can only scale numbers, so its ticks are labelled here.
        labels = f"{[format_duration(tick) for tick in ticks]}[indexof({ticks}, datum.value)]"
        scale, axis = {"domain": [0, ticks[-1]]}, {"values": ticks, "labelExpr": labels}
    return _number(column.name, title=title, axis=axis, scale=scale)


def _duration_ticks(longest: float) -> list[float]:
    """Return round durations from 0 to at least the longest.

    >>> _duration_ticks(150 * MINUTE) == [0, 30 * MINUTE, HOUR, 90 * MINUTE, 2 * HOUR, 150 * MINUTE]
    True
    """
    round_steps = (step for step in DURATION_STEPS if longest <= step * MAX_Y_TICKS)
    step = next(round_steps, None) or DAY * 10.0 ** ceil(log10(longest / DAY / MAX_Y_TICKS))
    return [step * n for n in range(max(ceil(longest / step), 1) + 1)]


def _time_axis(buckets: Buckets, width: int) -> Spec:
    # `Buckets` are in local time already: as UTC, Vega does not convert them to the time zone of this machine.
    scale = {"type": "utc", "domain": list(buckets.span), "nice": False}
    ticks = buckets.ticks(width // PIXELS_PER_TICK)
    axis = {"grid": False, "values": ticks, "format": LABEL_FORMATS[buckets.name], "labelOverlap": True}
    return {"field": "start", "type": "temporal", "title": None, "scale": scale, "axis": axis}


def _mark_layers(plot: Plot, buckets: Buckets) -> Iterator[Spec]:
    """Yield what a chart over time marks: a band for each period, a rule for each moment, and their labels."""
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
        style = {"color": MARK_COLOR, "opacity": BAND_OPACITY}
        yield _over(bands, _layer("rect", style, {"x": x, "x2": {"field": "end"}}))
    if rules:
        yield _over(rules, _layer("rule", {"color": MARK_COLOR, "strokeDash": [4, 3]}, {"x": x}))
    # Labels of periods and of moments stand in two lines above the chart, at the side of the mark that has more room.
    for (is_period, align), labels in groupby(sorted(spans, key=label_place), label_place):
        starts = [{"start": max(since, first), "label": mark.label} for mark, since, _ in labels]
        style = {"align": align, "dy": -20 if is_period else -6, "fontSize": 12, "color": MARK_COLOR}
        yield _over(starts, _layer("text", style, {"x": x, "y": {"value": 0}, "text": _name("label")}))


def _span_ms(mark: Mark) -> tuple[float, float]:
    since, until = (moment.replace(tzinfo=UTC).timestamp() * 1000 for moment in (mark.since, mark.until or mark.since))
    return since, until


def draw_stacked_bars(plot: Plot) -> list[Spec]:
    """Draw a bar for each bucket, with a part for each `y` column; nothing for less than two buckets."""
    chart, buckets = plot.chart, Buckets.of(plot.chart.x, plot.rows)
    if buckets is None:
        return []
    titles = {name: column_title(plot.columns[name]) for name in chart.y}
    parts = [
        {"start": start, "end": start + RELATIVE_BAR_WIDTH * (end - start), "low": low, "high": high,
         "part": titles[name], "shade": FAINT if chart.size and row[chart.size] < FEW_LOOKUPS else 1,
         "dashed": bool(chart.mark and row[chart.mark])}
        for start, end, row in buckets.rows for name, low, high in _stack(row, chart.y)
    ]  # fmt: skip
    has_legend = len(chart.y) > 1
    legend = {"offset": LABELS_HEIGHT if chart.marks else 18} if has_legend else None
    scale = {"domain": list(titles.values()), "range": COLORS[: len(titles)][::-1]}
    largest = max(high for _, _, row in buckets.rows for _, _, high in _stack(row, chart.y))
    y_title = "share of lookups" if has_legend else column_title(plot.y)
    encoding = {
        "x": _time_axis(buckets, plot.width), "x2": {"field": "end"}, "y2": {"field": "low"},
        "y": _y_axis(replace(plot.y, name="high"), y_title, largest),
        "color": _name("part", scale=scale, legend=legend), "opacity": _number("shade", legend=None, scale=None),
    }  # fmt: skip
    outline = {"stroke": "currentColor", "strokeDash": [2, 2], "strokeWidth": 1, "fillOpacity": FAINT}
    bars = _over(
        parts, _layer("rect", {}, encoding, "!datum.dashed"), _layer("rect", outline, encoding, "datum.dashed")
    )
    return [bars, *_mark_layers(plot, buckets)]


def _stack(row: dict[str, Any], names: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """Yield the name, lower and upper end of each part of a bar."""
    low = 0.0
    for name in names:
        high = low + (row[name] or 0)
        yield name, low, high
        low = high


def draw_lines(plot: Plot) -> list[Spec]:
    """Draw a line for each value of `series`, or one over time with a point at the end of each bucket."""
    if plot.chart.series:
        return _draw_series(plot)
    buckets = Buckets.of(plot.chart.x, plot.rows)
    if buckets is None:
        return []
    points = [{"start": end, plot.y.name: row[plot.y.name]} for _, end, row in buckets.rows]
    y = _y_axis(plot.y, column_title(plot.y), max(point[plot.y.name] or 0 for point in points))
    encoding = {"x": _time_axis(buckets, plot.width), "y": y}
    line = _over(points, _layer("line", {"strokeWidth": 2, "color": COLORS[0]}, encoding))
    return [line, *_mark_layers(plot, buckets)]


def _draw_series(plot: Plot) -> list[Spec]:
    chart = plot.chart
    if not plot.rows:
        return []
    scale = {"domain": sorted({row[chart.series or ""] for row in plot.rows}), "range": COLORS}
    largest = max(row[plot.y.name] or 0 for row in plot.rows)
    encoding = {
        "x": _number(chart.x, title=column_title(plot.columns[chart.x]), axis={"grid": False}),
        "y": _y_axis(plot.y, column_title(plot.y), largest, min_ratio=None),
        "color": _name(chart.series or "", scale=scale, legend={}),
    }
    lines = _over(
        plot.rows, _layer("line", {"strokeWidth": 2}, encoding),
        _layer("point", {"size": 50, "filled": True}, encoding, f"!datum['{chart.mark}']"),
        _layer("point", {"size": 50, "filled": False}, encoding, f"datum['{chart.mark}']"),
    )  # fmt: skip
    return [lines] if chart.at is None else [lines, _rule(plot)]


def _rule(plot: Plot) -> Spec:
    """Draw a vertical rule at the current value of `x`."""
    x, style = _number(plot.chart.x), {"color": "currentColor"}
    label = {"x": x, "y": {"value": HEIGHT - 10}, "text": _name("label")}
    return _over(
        [{plot.chart.x: plot.chart.at, "label": "now"}],
        _layer("rule", {**style, "strokeDash": [4, 4], "opacity": 0.6}, {"x": x}),
        _layer("text", {**style, "dx": 16, "fontSize": 12}, label),
    )


def draw_scatter(plot: Plot) -> list[Spec]:
    """Draw a circle for each row, and a labelled diamond for rows with a `mark`."""
    chart, mark = plot.chart, plot.chart.mark or ""
    points = [{**row, "label": ""} for row in plot.rows if not row[mark]]
    for cluster in _clusters(plot):
        more = f" +{len(cluster) - 1}" if len(cluster) > 1 else ""
        points.append({**cluster[0], "label": f"{str(cluster[0][mark])[:MAX_MARK_CHARS]}{more}"})
    if not points:
        return []
    x_title = column_title(plot.columns[chart.x])
    encoding = {
        "x": _number(chart.x, title=x_title, scale={"type": "log"}, axis={"grid": False}),
        "y": _y_axis(plot.y, column_title(plot.y), max(row[plot.y.name] or 0 for row in points)),
    }
    size = _number(chart.size or "", legend=None, scale={"range": [20, 700]})
    plain, labelled = "datum.label == ''", "datum.label != ''"
    label = {"dy": -12, "color": "currentColor", "fontSize": 12}
    return [_over(
        points, _layer("circle", {"color": COLORS[0], "opacity": 0.55}, {**encoding, "size": size}, plain),
        _layer("point", {"color": COLORS[1], "size": 70, "filled": True, "shape": "diamond"}, encoding, labelled),
        _layer("text", label, {**encoding, "text": _name("label")}, labelled),
    )]  # fmt: skip


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


def draw_heatmap(plot: Plot) -> list[Spec]:
    """Draw a cell for each `x` and `y`, the more opaque the larger its value; nothing if all values are 0."""
    chart, value = plot.chart, plot.chart.value or ""
    largest = max((row[value] for row in plot.rows), default=0)
    if not largest:
        return []
    # The minimum opacity is above 0, so that a cell of few lookups differs from one without any.
    cells = [{**row, "shade": 0.06 + 0.94 * row[value] / largest} for row in plot.rows]
    rows_in_order = list(dict.fromkeys(row[plot.y.name] for row in plot.rows))
    x_title = column_title(plot.columns[chart.x])
    x_axis = {"labelAngle": 0, "labelOverlap": True}
    return [_over(cells, _layer("rect", {"color": COLORS[0]}, {
        "x": {"field": chart.x, "type": "ordinal", "title": x_title, "axis": x_axis},
        "y": {"field": plot.y.name, "type": "ordinal", "title": None, "sort": rows_in_order},
        "opacity": _number("shade", legend=None, scale=None),
    }))]  # fmt: skip


# The function that draws each kind of chart; it returns no layers where there is nothing to draw.
KINDS: dict[str, Callable[[Plot], list[Spec]]] = {
    "stack": draw_stacked_bars, "line": draw_lines, "points": draw_scatter, "heat": draw_heatmap,
}  # fmt: skip
