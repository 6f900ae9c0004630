"""Charts as static SVG, drawn by Altair and vl-convert. The one place that knows them.

Colours are CSS variables of the page, so that one drawing is light and dark. Text of the log enters as data alone.
"""

import re
from collections.abc import Sequence
from math import log2
from typing import TYPE_CHECKING, Any

import altair as alt
import vl_convert

from analyzer.render.value import plain
from analyzer.section import Chart
from analyzer.table import MS, RATIO, Heading, Table

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 640
HEIGHT = 220
COLOURS = ["var(--first)", "var(--second)", "var(--third)"]
HOUR_MS = 3_600_000
BUCKET = re.compile(r"\d{4}-\d{2}(-\d{2}.*)?")
LABEL_CHARS = 8
LONGEST = 40

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


def svg(chart: Chart, table: Table) -> str:
    """Draw a chart of a table; empty where there is nothing to draw."""
    columns = {column.name: column for column in table.columns}
    names = list(columns)
    rows = [{name: _value(value, columns[name]) for name, value in zip(names, row, strict=True)} for row in table.rows]
    drawn = KINDS[chart.kind](chart, columns, rows)
    if drawn is None:
        return ""
    made: str = vl_convert.vegalite_to_svg(drawn.configure(**CONFIG).to_json(validate=False))
    # What is inside is told by the title and the description, and by the table beside it.
    return re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", made)


def _drawing(values: list[dict[str, Any]], height: int = HEIGHT) -> Any:
    """Begin a drawing of rows."""
    return alt.Chart({"values": values}, width=WIDTH, height=height)


def _value(value: Any, column: Heading) -> Any:
    found = plain(value)
    return found / HOUR_MS if column.unit == MS and found is not None else found


def _axis(column: Heading, least: float | None = 0) -> Any:
    title = column.name.removesuffix("_ms").replace("_", " ")
    if column.unit == RATIO:
        scale = alt.Scale(zero=False) if least is None else alt.Scale(domain=[least, 1])
        return alt.Y(f"{column.name}:Q", title=title, axis=alt.Axis(format="%", tickCount=6), scale=scale)
    return alt.Y(f"{column.name}:Q", title=f"{title}, hours" if column.unit == MS else title)


def _moments(chart: Chart, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a known time, hours without their offset."""
    return [{**row, chart.x: row[chart.x][:16]} for row in rows if BUCKET.fullmatch(str(row[chart.x]))]


def _time(chart: Chart) -> Any:
    return alt.X(f"{chart.x}:T", title=None, scale=alt.Scale(type="utc"), axis=alt.Axis(grid=False))


def _stack(chart: Chart, columns: dict[str, Heading], rows: Sequence[dict[str, Any]]) -> Any:
    timed = _moments(chart, rows)
    if not timed:
        return None
    first, several = columns[chart.y[0]], len(chart.y) > 1
    words = {name: name.replace("_", " ").removesuffix(" ms") for name in chart.y}
    parts = [{chart.x: row[chart.x], "part": words[name], first.name: row[name], "place": place}
             for row in timed for place, name in enumerate(chart.y)]  # fmt: skip
    width = max(2, min(40, 0.7 * WIDTH / len(timed)))
    scale = alt.Scale(domain=list(words.values()), range=COLOURS)
    colour = alt.Color("part:N", scale=scale, legend=alt.Legend() if several else None)
    y = _axis(first)
    y = y.title("share of lookups") if several else y
    return _drawing(parts).mark_bar(size=width).encode(x=_time(chart), y=y, color=colour, order="place:Q")


def _line(chart: Chart, columns: dict[str, Heading], rows: Sequence[dict[str, Any]]) -> Any:
    timed = chart.series is None
    rows = _moments(chart, rows) if timed else rows
    if not rows:
        return None
    x = _time(chart) if timed else alt.X(f"{chart.x}:Q", title=chart.x, axis=alt.Axis(grid=False))
    series = sorted({row[chart.series] for row in rows}) if chart.series else [""]
    colour = alt.Color(f"{chart.series or 'none'}:N", scale=alt.Scale(domain=series, range=COLOURS),
                       legend=alt.Legend() if chart.series else None)  # fmt: skip
    values = [{"none": "", **row} for row in rows]
    lines = _drawing(values).encode(x=x, y=_axis(columns[chart.y[0]], least=None))
    drawn = lines.mark_line(strokeWidth=2).encode(color=colour)
    if not chart.mark:
        return drawn
    dots = lines.mark_point(size=50, filled=True).encode(color=colour)
    known, marked = f"!datum['{chart.mark}']", f"datum['{chart.mark}']"
    hollow = lines.mark_point(size=50, filled=False).encode(color=colour)
    return drawn + dots.transform_filter(known) + hollow.transform_filter(marked)


def _rank(chart: Chart, columns: dict[str, Heading], rows: Sequence[dict[str, Any]]) -> Any:
    value = columns[chart.y[0]]
    bars = [{"group": _short(row[chart.x]), value.name: row[value.name]} for row in rows if row[value.name] is not None]
    if not bars:
        return None
    return (
        _drawing(bars, 26 * len(bars))
        .mark_bar(color=COLOURS[0], size=16)
        .encode(y=alt.Y("group:N", title=None, sort=None), x=_across(value))
    )


def _across(column: Heading) -> Any:
    """Return the same axis, lying."""
    y = _axis(column)
    return alt.X(y.shorthand, **{name: value for name, value in y._kwds.items() if name != "shorthand"})  # noqa: SLF001  (Altair has no other way)


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _by_place(rows: Sequence[dict[str, Any]], chart: Chart) -> list[list[dict[str, Any]]]:
    """Gather rows so near to each other that their names would lie over one another."""
    places: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in rows:
        places.setdefault((round(2 * log2(row[chart.x])), round(20 * row[chart.y[0]])), []).append(row)
    return list(places.values())


def _points(chart: Chart, columns: dict[str, Heading], rows: Sequence[dict[str, Any]]) -> Any:
    mark = chart.mark or ""
    values = [{**row, "label": ""} for row in rows if not row[mark]]
    for place in _by_place([row for row in rows if row[mark]], chart):
        more = f" +{len(place) - 1}" if len(place) > 1 else ""
        values.append({**place[0], "label": f"{str(place[0][mark])[:LABEL_CHARS]}{more}"})
    if not values:
        return None
    x = alt.X(f"{chart.x}:Q", title=f"{chart.x} of a session", scale=alt.Scale(type="log"), axis=alt.Axis(grid=False))
    every = _drawing(values, 280).encode(x=x, y=_axis(columns[chart.y[0]]))
    size = alt.Size(f"{chart.size}:Q", legend=None, scale=alt.Scale(range=[20, 700]))
    others = every.transform_filter("datum.label == ''")
    named = every.transform_filter("datum.label != ''")
    return (
        others.mark_circle(color=COLOURS[0], opacity=0.55).encode(size=size)
        + named.mark_point(color=COLOURS[1], size=70, filled=True, shape="diamond")
        + named.mark_text(dy=-12, color="currentColor", fontSize=12).encode(text="label:N")
    )


def _heat(chart: Chart, _columns: dict[str, Heading], rows: Sequence[dict[str, Any]]) -> Any:
    order = list(dict.fromkeys(row[chart.y[0]] for row in rows))
    value = chart.value or ""
    most = max((row[value] for row in rows), default=0)
    if not most:
        return None
    cells = [{**row, "shade": 0.06 + 0.94 * row[value] / most} for row in rows]
    return (
        _drawing(cells)
        .mark_rect(color=COLOURS[0])
        .encode(
            x=alt.X(f"{chart.x}:O", title="hour", axis=alt.Axis(labelAngle=0)),
            y=alt.Y(f"{chart.y[0]}:O", title=None, sort=order),
            opacity=alt.Opacity("shade:Q", legend=None, scale=None),
        )
    )


KINDS: "dict[str, Callable[[Chart, dict[str, Heading], Sequence[dict[str, Any]]], Any]]" = {
    "stack": _stack,
    "line": _line,
    "rank": _rank,
    "points": _points,
    "heat": _heat,
}
"""How each kind of chart is drawn."""
