"""Writes a report as one self-contained HTML page: no network, no fonts, no libraries; charts are inline SVG."""

import json
from collections.abc import Sequence
from importlib import resources
from math import isfinite
from typing import Any, BinaryIO

from analyzer.questions.report import Report
from analyzer.render.display import display_table
from analyzer.render.time_series import Buckets
from analyzer.render.values import NUMERIC_UNITS, format_sentence, format_value, to_json_value
from analyzer.table import HASH, RATIO, TIME, Column, Explorer, Headline, Section, Table

# A text column with a cell longer than this is laid out for sentences.
MIN_SENTENCE_CHARS = 40
# Each chart is drawn for both: text that shrinks with a wide drawing cannot be read on a phone.
CHART_WIDTHS = {"wide": 980, "narrow": 350}


def write_html(report: Report, stream: BinaryIO) -> None:
    """Write the page of a report; a report without sections gets a section for each table."""
    import base64  # noqa: PLC0415  (needed for pages only)
    import hashlib  # noqa: PLC0415

    from jinja2 import Environment, PackageLoader  # noqa: PLC0415

    script = resources.files("analyzer.render").joinpath("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    tables = {table.name: table for table in report.tables}
    sections = report.sections or [_plain_section(table) for table in report.tables]
    environment = Environment(loader=PackageLoader("analyzer.render", "."), autoescape=True)
    environment.filters |= {"sentence": format_sentence, "value": format_value, "trend": _trend}
    page = environment.get_template("page.html.jinja").render(
        report=report,
        script=script,
        script_hash=f"sha256-{digest}",  # the page's own policy allows this script and no other
        headings={section.anchor: section.heading for section in sections},
        sections=[_section(section, tables[section.table]) for section in sections],
        explored=report.explorer and _explored_json(report.explorer),
    )
    stream.write(page.encode())


def _plain_section(table: Table) -> Section:
    return Section(table.name.replace("_", "-"), table.title.capitalize(), (), table.name, table.title)


def _trend(headline: Headline) -> str:
    """Return whether a headline became "better" or "worse"; empty if it did not change."""
    if not headline.change:
        return ""
    return "better" if (headline.change > 0) == headline.better_if_higher else "worse"


def _section(section: Section, table: Table) -> dict[str, Any]:
    """Return the variables of the template for a section: its charts and its table."""
    display = display_table(table)
    styles = [_style(column, [row[n] for row in display.cells]) for n, column in enumerate(display.columns)]
    columns = zip(display.columns, display.titles, styles, strict=True)
    bars = [_bar_shares(column, [row[n] for row in display.values]) if column.name == section.bars else None
            for n, column in enumerate(display.columns)]  # fmt: skip
    return {
        "about": section,
        "charts": [(chart, drawings) for chart in section.charts if (drawings := _draw(chart, table))],
        "table_notes": "; ".join(display.notes),
        "has_sentences": "sentences" in styles,
        "columns": [{"title": title, "description": column.description, "style": style}
                    for column, title, style in columns],
        "rows": [[{"text": text, "style": style, "sort_key": _sort_key(value), "bar": bar and bar[row]}
                  for text, value, style, bar in zip(cells, values, styles, bars, strict=True)]
                 for row, (cells, values) in enumerate(zip(display.cells, display.values, strict=True))],
        "links": [section.links.get(str(values[0]), "") for values in display.values],
    }  # fmt: skip


def _draw(chart: Any, table: Table) -> dict[str, str]:
    """Return the drawings of a chart, by the class of screens that each is for."""
    from analyzer.render.charts import draw_svg  # noqa: PLC0415  (it loads a JavaScript engine)

    drawings = {name: draw_svg(chart, table, width) for name, width in CHART_WIDTHS.items()}
    return drawings if all(drawings.values()) else {}


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


def _bar_shares(column: Column, values: Sequence[Any]) -> list[str]:
    """Return the length of the bar of each value, from 0 to 1; of a ratio the full length is 1."""
    numbers = [_sort_key(value) or 0 for value in values]
    largest = 1 if column.unit == RATIO else max(numbers, default=0) or 1
    return [f"{number / largest:.3f}" for number in numbers]


def _explored_json(explorer: Explorer) -> str:
    """Return the data of an explorer as JSON that cannot end the element that holds it; empty for a single bucket."""
    records = explorer.table.records()
    buckets = Buckets.of(explorer.bucket, list({row[explorer.bucket]: row for row in records}.values()))
    if buckets is None:
        return ""
    labels = {row[explorer.bucket]: number for number, (_, _, row) in enumerate(buckets.rows)}
    groups = sorted({row[explorer.group] for row in records})
    names = (name for one in explorer.figures for name in (one.column, one.per, one.known, one.of) if name)
    sums = list(dict.fromkeys(names))
    data = {
        "buckets": [[row[explorer.bucket], start, end] for start, end, row in buckets.rows],
        "groups": groups,
        "figures": [
            {"title": one.title, "unit": one.unit, "column": sums.index(one.column),
             "per": sums.index(one.per) if one.per else None,
             "known": [sums.index(one.known), sums.index(one.of)] if one.known else None}
            for one in explorer.figures
        ],
        "rows": [
            [labels[row[explorer.bucket]], groups.index(row[explorer.group]), *(row[name] for name in sums)]
            for row in records if row[explorer.bucket] in labels
        ],
    }  # fmt: skip
    return json.dumps(to_json_value(data), separators=(",", ":")).replace("<", "\\u003c")
