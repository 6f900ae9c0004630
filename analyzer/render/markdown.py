"""Markdown as GitHub shows it: tables, and pages with their sentences and sparklines."""

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from analyzer.render.shown import shown, title
from analyzer.render.text import told
from analyzer.render.value import NUMERIC, human, written
from analyzer.report.report import Report
from analyzer.section import Chart
from analyzer.table import RATIO, Table


def write_markdown(report: Report, stream: BinaryIO) -> None:
    """Write every table in the way GitHub shows; a page with its headings, sentences and sparklines, tables cut."""
    if report.sections:
        stream.write(("\n".join(_page(report)) + "\n").encode())
        return
    stream.writelines(
        ("\n" * bool(number) + "\n".join(_markdown(table)) + "\n").encode() for number, table in enumerate(told(report))
    )


def _markdown(table: Table, most: int | None = None, *, last: bool = False) -> Iterator[str]:
    found = shown(table)
    rows = found.cells[-most:] if most and last else found.cells[:most]
    yield _row([title(column) for column in found.columns])
    yield _row(["---:" if column.unit in NUMERIC else "---" for column in found.columns])
    yield from (_row(row) for row in rows)
    yield from (f"\n{_plain(note)}" for note in found.notes)
    if most and len(found.cells) > most:
        which = "last" if last else "first"
        yield f"\nthe {which} {most} of {len(found.cells):,} rows are shown; the page (-o report.html) has all"


MOST_ROWS = 12


def _page(report: Report) -> Iterator[str]:
    """Write a page: what a chart shows over time is a sparkline here."""
    yield "# Remote build cache report\n"
    yield from (f"- **{one.label}: {human(one.value, one.unit)}.** {_plain(written(one.meaning))}"
                for one in report.headlines)  # fmt: skip
    tables = {table.name: table for table in report.tables}
    for section in report.sections:
        table = tables[section.table]
        yield f"\n## {section.heading}\n"
        yield from (f"{_plain(written(words))}\n" for words in section.words)
        yield from (f"{chart.title}: {line}\n" for chart in section.charts if (line := sparkline(chart, table)))
        if table.rows:
            yield from _markdown(table, MOST_ROWS, last=any(sparkline(chart, table) for chart in section.charts))
    yield from (f"\n> {_plain(note)}" for note in report.notes)


BLOCKS = "▁▂▃▄▅▆▇█"
LONGEST_LINE = 60


def sparkline(chart: Chart, table: Table) -> str:
    """Write a chart over time in a line of blocks, the latest last; empty for charts of another kind."""
    if chart.series or chart.kind not in ("stack", "line"):
        return ""
    names = [column.name for column in table.columns]
    unit = table.columns[names.index(chart.y[0])].unit
    values = [sum(row[names.index(name)] or 0 for name in chart.y) for row in table.rows][-LONGEST_LINE:]
    most = max([*values, 1e-9]) if unit != RATIO else 1
    blocks = "".join(BLOCKS[min(int(value / most * len(BLOCKS)), len(BLOCKS) - 1)] for value in values)
    return f"{blocks} (last {human(values[-1], unit)})" if values else ""


def _plain(text: str) -> str:
    """Return text that Markdown leaves as it is."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text.replace("\n", " "))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") for cell in cells) + " |"
