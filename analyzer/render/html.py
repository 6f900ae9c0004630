"""One page that works from disk: no network, no font, no library; charts are drawn already, text is escaped."""

import base64
import hashlib
from importlib import resources
from typing import Any, BinaryIO

from analyzer.render.shown import shown, title
from analyzer.render.value import NUMERIC, human, written
from analyzer.report.report import Report
from analyzer.section import Headline, Section
from analyzer.table import TIME, Heading, Table


def write_html(report: Report, stream: BinaryIO) -> None:
    """Write the page of a report; one without sections is its tables."""
    from jinja2 import Environment, PackageLoader  # noqa: PLC0415  (only where it is needed)

    script = resources.files("analyzer.render").joinpath("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    tables = {table.name: table for table in report.tables}
    sections = report.sections or [Section(table.name.replace("_", " "), (), table.name) for table in report.tables]
    environment = Environment(loader=PackageLoader("analyzer.render", "."), autoescape=True)
    page = environment.get_template("page.html.jinja").render(
        title=f"Remote build cache {report.command}",
        script=script,
        script_hash=f"sha256-{digest}",
        headlines=[_headline(one) for one in report.headlines],
        sections=[_section(one, tables[one.table]) for one in sections],
        notes=report.notes,
    )
    stream.write(page.encode())


def _headline(one: Headline) -> dict[str, str]:
    return {"label": one.label, "value": human(one.value, one.unit), "meaning": written(one.meaning)}


def _section(section: Section, table: Table) -> dict[str, Any]:
    from analyzer.render.chart import svg  # noqa: PLC0415  (half a second, only where it is needed)

    found = shown(table)
    drawn = [(one, svg(one, table)) for one in section.charts]
    return {
        "heading": section.heading,
        "words": [written(words) for words in section.words],
        "charts": [{"title": one.title, "description": one.description, "svg": made} for one, made in drawn if made],
        "title": table.name.replace("_", " "),
        "notes": " ".join(found.notes),
        "columns": [{"title": title(column), "description": column.description, "kind": _kind(column)}
                    for column in found.columns],
        "rows": [[{"text": text, "kind": _kind(column), "raw": _raw(value)}
                  for text, value, column in zip(cells, values, found.columns, strict=True)]
                 for cells, values in zip(found.cells, found.values or found.cells, strict=True)],
    }  # fmt: skip


def _kind(column: Heading) -> str:
    return "number" if column.unit in NUMERIC else "time" if column.unit == TIME else ""


def _raw(value: Any) -> float | None:
    """Return what a cell is sorted by, where that is a number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
