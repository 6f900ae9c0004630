"""Charts as static SVG, drawn by Altair and vl-convert; these modules alone know them.

Text of the log enters as data alone. A new kind of chart is a module and a line here.
"""

import re
from collections.abc import Callable
from typing import Any

import vl_convert

from analyzer.render.charts import heat, line, points, rank, stack
from analyzer.render.charts.drawing import CONFIG, Columns, Rows, scaled
from analyzer.render.value import plain
from analyzer.section import Chart
from analyzer.table import Table

KINDS: dict[str, Callable[[Chart, Columns, Rows, str], Any]] = {
    "stack": stack.draw,
    "line": line.draw,
    "rank": rank.draw,
    "points": points.draw,
    "heat": heat.draw,
}
"""How each kind of chart is drawn; None where there is nothing to draw."""


def svg(chart: Chart, table: Table) -> str:
    """Draw a chart of a table; empty where there is nothing to draw."""
    columns = {column.name: column for column in table.columns}
    rows = [{name: plain(value) for name, value in zip(columns, row, strict=True)} for row in table.rows]
    drawn = KINDS[chart.kind](chart, columns, rows, scaled(columns, rows, chart.y))
    if drawn is None:
        return ""
    made: str = vl_convert.vegalite_to_svg(drawn.configure(**CONFIG).to_json(validate=False))
    # What is inside is told by the title and the description, and by the table beside it.
    return re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", made)
