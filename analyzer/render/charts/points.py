"""Points of two values, those that stand out named."""

from math import log2
from typing import Any

import altair as alt

from analyzer.render.charts.drawing import COLOURS, Columns, Rows, axis_of, drawing
from analyzer.table import Chart

LABEL_CHARS = 8


def draw(chart: Chart, columns: Columns, rows: Rows, _unit: str) -> Any:
    """Draw a circle a row, and those with a mark by their name."""
    mark = chart.mark or ""
    values = [{**row, "label": ""} for row in rows if not row[mark]]
    for place in _by_place([row for row in rows if row[mark]], chart):
        more = f" +{len(place) - 1}" if len(place) > 1 else ""
        values.append({**place[0], "label": f"{str(place[0][mark])[:LABEL_CHARS]}{more}"})
    if not values:
        return None
    x = alt.X(f"{chart.x}:Q", title=f"{chart.x} of a session", scale=alt.Scale(type="log"), axis=alt.Axis(grid=False))
    every = drawing(values, 280).encode(x=x, y=axis_of(columns[chart.y[0]], ""))
    size = alt.Size(f"{chart.size}:Q", legend=None, scale=alt.Scale(range=[20, 700]))
    others = every.transform_filter("datum.label == ''")
    named = every.transform_filter("datum.label != ''")
    return (
        others.mark_circle(color=COLOURS[0], opacity=0.55).encode(size=size)
        + named.mark_point(color=COLOURS[1], size=70, filled=True, shape="diamond")
        + named.mark_text(dy=-12, color="currentColor", fontSize=12).encode(text="label:N")
    )


def _by_place(rows: Rows, chart: Chart) -> list[list[dict[str, Any]]]:
    """Gather rows so near to each other that their names would lie over one another."""
    places: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in rows:
        places.setdefault((round(2 * log2(row[chart.x])), round(20 * row[chart.y[0]])), []).append(row)
    return list(places.values())
