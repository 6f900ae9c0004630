"""One page that works from disk: no network, no font, no library; charts are drawn already, text is escaped."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from math import isfinite
from typing import Any, BinaryIO

from analyzer.questions.report import Report
from analyzer.render.display import display_table, title
from analyzer.render.grid import escape_controls
from analyzer.render.values import NUMERIC, format_sentence, format_value
from analyzer.table import HASH, TIME, Column, Headline, Section, Table


def write_html(report: Report, stream: BinaryIO) -> None:
    """Write the page of a report; one without sections is its tables."""
    import base64  # noqa: PLC0415  (only where a page is made)
    import hashlib  # noqa: PLC0415

    from jinja2 import Environment, PackageLoader  # noqa: PLC0415

    script = resources.files("analyzer.render").joinpath("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    tables = {table.name: table for table in report.tables}
    sections = report.sections or [Section(table.name.replace("_", " "), (), table.name) for table in report.tables]
    environment = Environment(loader=PackageLoader("analyzer.render", "."), autoescape=True)
    page = environment.get_template("page.html.jinja").render(
        title=report.title,
        scope=[format_sentence(words) for words in report.scope],
        script=script,
        script_hash=f"sha256-{digest}",
        headlines=[_headline(one) for one in report.headlines],
        sections=[_section(one, tables[one.table]) for one in sections],
        notes=report.notes,
    )
    stream.write(page.encode())


def _headline(one: Headline) -> dict[str, str]:
    return {"label": one.label, "value": format_value(one.value, one.unit), "meaning": format_sentence(one.meaning)}


def _section(section: Section, table: Table) -> dict[str, Any]:
    from analyzer.render.charts.svg import svg  # noqa: PLC0415  (half a second, only where it is needed)

    found = display_table(table)
    found = replace(found, cells=[[escape_controls(cell) for cell in row] for row in found.cells])
    kinds = [_kind(column, [row[n] for row in found.cells]) for n, column in enumerate(found.columns)]
    drawn = [(one, svg(one, table)) for one in section.charts]
    return {
        "heading": section.heading,
        "words": [format_sentence(words) for words in section.words],
        "charts": [{"title": one.title, "description": one.description, "svg": made} for one, made in drawn if made],
        "title": table.name.replace("_", " "),
        "notes": "; ".join(found.notes),
        "told": "words" in kinds,
        "columns": [{"title": title(column), "description": column.description, "kind": kind}
                    for column, kind in zip(found.columns, kinds, strict=True)],
        "rows": [[{"text": text, "kind": kind, "raw": _raw(value)}
                  for text, value, kind in zip(cells, values, kinds, strict=True)]
                 for cells, values in zip(found.cells, found.values or found.cells, strict=True)],
    }  # fmt: skip


LONG_CHARS = 40


def _kind(column: Column, cells: Sequence[str]) -> str:
    """Return how a column is set: numbers and times unbroken, names not narrow, sentences wide."""
    if column.unit in NUMERIC or column.unit == TIME:
        return "number" if column.unit in NUMERIC else "time"
    if column.unit == HASH:
        return "hash"
    return "words" if max(map(len, cells), default=0) > LONG_CHARS else ""


def _raw(value: Any) -> float | None:
    """Return what a cell is sorted by, where that is a number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) else None
