"""Markdown as GitHub shows it: tables, and pages with their sentences and sparklines."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from analyzer.render.plain import cut, plain_of, row_of
from analyzer.render.shown import shown, title
from analyzer.render.sparkline import sparkline
from analyzer.render.text import told
from analyzer.render.value import NUMERIC, human, written
from analyzer.report.report import Report
from analyzer.section import Section
from analyzer.table import Table


def write_markdown(report: Report, stream: BinaryIO) -> None:
    """Write every table in the way GitHub shows; a page with its headings, sentences and sparklines, tables cut."""
    if report.sections:
        stream.write(("\n".join(_page(report)) + "\n").encode())
        return
    stream.writelines(
        ("\n" * bool(number) + "\n".join(_markdown(table)) + "\n").encode() for number, table in enumerate(told(report))
    )


def _markdown(table: Table, most_chars: int | None = None) -> Iterator[str]:
    found = shown(table)
    yield row_of([plain_of(title(column)) for column in found.columns])
    yield row_of(["---:" if column.unit in NUMERIC else "---" for column in found.columns])
    yield from (row_of([plain_of(cut(cell, most_chars)) for cell in row]) for row in found.cells)
    yield from (f"\n{plain_of(note)}" for note in found.notes)


MOST_ROWS, MOST_CHARS, MOST_CHARS_OF_WORDS = 12, 200, 1000
"""A page is to fit into a comment, whatever names a log has."""

FOLDED = ("definitions", "files")
"""Tables that few readers want to see at once: whole, behind a fold."""


def _page(report: Report) -> Iterator[str]:
    """Write a page: what a chart shows over time is a sparkline here."""
    yield f"# {_words(report.title)}\n"
    yield " ".join(_words(written(words)) for words in report.scope) + "\n"
    yield from (f"- **{one.label}: {human(one.value, one.unit)}.** {_words(written(one.meaning))}"
                for one in report.headlines)  # fmt: skip
    tables = {table.name: table for table in report.tables}
    for section in report.sections:
        yield f"\n## {section.heading}\n"
        yield from (f"{_words(written(words))}\n" for words in section.words)
        yield from _shown(section, tables[section.table])
    yield from (f"\n> {_words(note)}" for note in report.notes)


def _words(text: str) -> str:
    return plain_of(cut(text, MOST_CHARS_OF_WORDS))


def _shown(section: Section, table: Table) -> Iterator[str]:
    """Write a section's charts over time as sparklines, and the rows of its table that say most."""
    lines = [f"{chart.title}, {line}\n" for chart in section.charts if (line := sparkline(chart, table))]
    yield from lines
    if table.name in FOLDED and table.rows:
        yield f"<details><summary>{len(table.rows)} rows</summary>\n"
        yield from _markdown(table, MOST_CHARS)
        yield "\n</details>"
    elif table.rows:
        rows, which = _telling(section, table, is_course=bool(lines))
        yield from _markdown(replace(table, rows=rows), MOST_CHARS)
        if len(rows) < len(table.rows):
            yield f"\n{which} {len(rows)} of {len(table.rows):,} rows; the page (-o report.html) has all"


def _telling(section: Section, table: Table, *, is_course: bool) -> tuple[Sequence[tuple[Any, ...]], str]:
    """Return the rows that say most: the latest of a course over time, those with the most, or the first."""
    if is_course:
        return table.rows[-MOST_ROWS:], "the last"
    for chart in section.charts:
        if chart.value:
            place = [column.name for column in table.columns].index(chart.value)
            return sorted(table.rows, key=lambda row: -row[place])[:MOST_ROWS], "the largest"
    return table.rows[:MOST_ROWS], "the first"
