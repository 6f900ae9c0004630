"""Write reports as GitHub Markdown: tables, and pages with sentences, sparklines and shortened tables."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from analyzer.questions.report import Report
from analyzer.render.display import display_table
from analyzer.render.table import nonempty_tables
from analyzer.render.time_series import sparkline
from analyzer.render.values import NUMERIC_UNITS, format_sentence, format_sentences, format_value
from analyzer.table import Section, Table

# A page has to fit into a GitHub comment (65,536 characters), however long the names in the log are.
MAX_ROWS, MAX_CELL_CHARS, MAX_SENTENCE_CHARS = 12, 200, 1000

# Reference tables, complete in a collapsed block.
COLLAPSED_TABLES = ("definitions", "files")


def write_markdown(report: Report, stream: BinaryIO) -> None:
    """Write the page of a report with sections, otherwise all tables."""
    if report.sections:
        stream.write(("\n".join(_page_lines(report)) + "\n").encode())
        return
    if report.verdict:
        stream.write(f"{_paragraph(format_sentences(report.verdict))}\n\n".encode())
    stream.writelines(
        ("\n" * bool(number) + "\n".join(_table_lines(table)) + "\n").encode()
        for number, table in enumerate(nonempty_tables(report))
    )


def _table_lines(table: Table, max_chars: int | None = None) -> Iterator[str]:
    display = display_table(table)
    yield _row([escape_markdown(title) for title in display.titles])
    yield _row(["---:" if column.unit in NUMERIC_UNITS else "---" for column in display.columns])
    yield from (_row([escape_markdown(truncate(cell, max_chars)) for cell in row]) for row in display.cells)
    yield from (f"\n{escape_markdown(note)}" for note in display.notes)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _page_lines(report: Report) -> Iterator[str]:
    yield f"# {_paragraph(report.title)}\n"
    yield " ".join(_paragraph(format_sentence(sentence)) for sentence in report.summary) + "\n"
    for one in report.headlines:
        yield f"- **{one.label}: {format_value(one.value, one.unit)}.** {_paragraph(format_sentence(one.meaning))}"
    tables = {table.name: table for table in report.tables}
    for section in report.sections:
        yield f"\n## {section.heading}\n"
        yield from (f"{_paragraph(format_sentence(sentence))}\n" for sentence in section.sentences)
        yield from _section_lines(section, tables[section.table])
    yield from (f"\n> {_paragraph(note)}" for note in report.notes)


def _paragraph(text: str) -> str:
    return escape_markdown(truncate(text, MAX_SENTENCE_CHARS))


def _section_lines(section: Section, table: Table) -> Iterator[str]:
    """Yield a sparkline for each chart over time, and the most important rows of the table."""
    sparklines = [f"{chart.title}, {line}\n" for chart in section.charts if (line := sparkline(chart, table))]
    yield from sparklines
    if table.name in COLLAPSED_TABLES and table.rows:
        yield f"<details><summary>{len(table.rows)} rows</summary>\n"
        yield from _table_lines(table, MAX_CELL_CHARS)
        yield "\n</details>"
    elif table.rows:
        rows, selection = _select_rows(section, table, is_time_series=bool(sparklines))
        yield from _table_lines(replace(table, rows=rows), MAX_CELL_CHARS)
        if len(rows) < len(table.rows):
            yield f"\n{selection} {len(rows)} of {len(table.rows):,} rows; the HTML report has all rows"


def _select_rows(section: Section, table: Table, *, is_time_series: bool) -> tuple[Sequence[tuple[Any, ...]], str]:
    """Return at most MAX_ROWS rows, and in words which: the last of a time series, the largest of a heatmap."""
    if is_time_series:
        return table.rows[-MAX_ROWS:], "the last"
    for chart in section.charts:
        if chart.value:
            index = [column.name for column in table.columns].index(chart.value)
            return sorted(table.rows, key=lambda row: -row[index])[:MAX_ROWS], "the largest"
    return table.rows[:MAX_ROWS], "the first"


_SYNTAX = re.compile(r"([\\`*_\[\]<>|~#&])")
_LINK_POSITIONS = re.compile(r"(?<=\w)(?=://)|(?<=www)(?=[.])|(?<=@)(?=\w)", re.IGNORECASE)
ZERO_WIDTH_SPACE = "\u200b"


def escape_markdown(text: str) -> str:
    r"""Return text that Markdown displays literally, on one line.

    Zero-width spaces keep GitHub from linking addresses and from notifying the user of an `@name`.

    >>> escape_markdown("![x](a)|*b*")
    '!\\[x\\](a)\\|\\*b\\*'
    >>> escape_markdown("@acme/ui") == "@\u200bacme/ui"
    True
    """
    printable = "".join(c if c.isprintable() else " " for c in text)
    return _SYNTAX.sub(r"\\\1", _LINK_POSITIONS.sub(ZERO_WIDTH_SPACE, printable))


def truncate(text: str, max_chars: int | None) -> str:
    """Return a text, shortened to `max_chars` and an ellipsis where it is longer."""
    return text if max_chars is None or len(text) <= max_chars else f"{text[:max_chars]}…"
