"""Charts as static SVG, drawn by Altair and vl-convert; these modules alone know them.

Text of the log enters as data alone. A new kind of chart is a module and a line here.
"""

from collections.abc import Callable
from math import isfinite
from typing import Any
from xml.etree import ElementTree as ET

import vl_convert

from analyzer.render.charts import heat, line, points, rank, stack
from analyzer.render.charts.drawing import CONFIG, Columns, Rows, scaled
from analyzer.render.grid import escape_controls
from analyzer.render.values import to_plain_value
from analyzer.table import Chart, Table

KINDS: dict[str, Callable[[Chart, Columns, Rows, str], Any]] = {
    "stack": stack.draw,
    "line": line.draw,
    "rank": rank.draw,
    "points": points.draw,
    "heat": heat.draw,
}
"""How each kind of chart is drawn; None where there is nothing to draw."""

ET.register_namespace("", "http://www.w3.org/2000/svg")
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def svg(chart: Chart, table: Table) -> str:
    """Draw a chart of a table; empty where there is nothing to draw."""
    columns = {column.name: column for column in table.columns}
    rows = [{name: _drawable(value) for name, value in zip(columns, row, strict=True)} for row in table.rows]
    drawn = KINDS[chart.kind](chart, columns, rows, scaled(columns, rows, chart.y))
    if drawn is None:
        return ""
    made: str = vl_convert.vegalite_to_svg(drawn.configure(**CONFIG).to_json(validate=False))
    return _bare(made)


def _drawable(value: Any) -> Any:
    """Return a value as a drawing can have it: text without what XML has no place for, numbers that are finite."""
    found = to_plain_value(value)
    if isinstance(found, str):
        return escape_controls(found.replace("\n", " "))
    return None if isinstance(found, float) and not isfinite(found) else found


def _bare(made: str) -> str:
    """Leave out what a screen reader is told of the inside: the title, the description and the table say it."""
    root = ET.fromstring(made)  # noqa: S314  (it was made here)
    for element in root.iter():
        for name in [name for name in element.attrib if name == "role" or name.startswith("aria-")]:
            del element.attrib[name]
    return ET.tostring(root, encoding="unicode")
