"""Write a report as one self-contained HTML page: no network, no fonts, no libraries; charts are inline SVG."""

from collections.abc import Sequence
from importlib import resources
from math import isfinite
from typing import Any, BinaryIO

from analyzer.questions.report import Report
from analyzer.render.display import display_table
from analyzer.render.values import NUMERIC_UNITS, format_sentence, format_value
from analyzer.table import HASH, TIME, Column, Section, Table

# A text column with a cell longer than this is laid out for sentences.
MIN_SENTENCE_CHARS = 40


def write_html(report: Report, stream: BinaryIO) -> None:
    """Write the page of a report; a report without sections gets a section for each table."""
    import base64  # noqa: PLC0415  (needed for pages only)
    import hashlib  # noqa: PLC0415

    from jinja2 import Environment, PackageLoader  # noqa: PLC0415

    script = resources.files("analyzer.render").joinpath("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    tables = {table.name: table for table in report.tables}
    sections = report.sections or [Section(table.name.replace("_", " "), (), table.name) for table in report.tables]
    environment = Environment(loader=PackageLoader("analyzer.render", "."), autoescape=True)
    environment.filters |= {"sentence": format_sentence, "value": format_value}
    page = environment.get_template("page.html.jinja").render(
        report=report,
        script=script,
        script_hash=f"sha256-{digest}",  # the page's own policy allows this script and no other
        sections=[_section(section, tables[section.table]) for section in sections],
    )
    stream.write(page.encode())


def _section(section: Section, table: Table) -> dict[str, Any]:
    """Return the variables of the template for a section: its text, its charts and its table."""
    from analyzer.render.charts import draw_svg  # noqa: PLC0415  (altair takes half a second to import)

    drawings = [(chart, draw_svg(chart, table)) for chart in section.charts]
    display = display_table(table)
    styles = [_style(column, [row[n] for row in display.cells]) for n, column in enumerate(display.columns)]
    columns = zip(display.columns, display.titles, styles, strict=True)
    return {
        "heading": section.heading,
        "sentences": section.sentences,
        "charts": [(chart, svg) for chart, svg in drawings if svg],
        "title": table.name.replace("_", " "),
        "table_notes": "; ".join(display.notes),
        "has_sentences": "sentences" in styles,
        "columns": [{"title": title, "description": column.description, "style": style}
                    for column, title, style in columns],
        "rows": [[{"text": text, "style": style, "sort_key": _sort_key(value)}
                  for text, value, style in zip(cells, values, styles, strict=True)]
                 for cells, values in zip(display.cells, display.values, strict=True)],
    }  # fmt: skip


def _style(column: Column, cells: Sequence[str]) -> str:
    """Return the CSS class of a column."""
    if column.unit in NUMERIC_UNITS:
        return "number"
    if column.unit in (TIME, HASH):
        return "time" if column.unit == TIME else "hash"
    return "sentences" if max(map(len, cells), default=0) > MIN_SENTENCE_CHARS else ""


def _sort_key(value: Any) -> float | None:
    """Return the number that a cell is sorted by; None for cells sorted by their text."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) else None
