"""Markdown as GitHub shows it: tables, and pages with their sentences and sparklines."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from analyzer.questions.report import Report
from analyzer.render.display import display_table, title
from analyzer.render.table import nonempty_tables
from analyzer.render.time_series import sparkline
from analyzer.render.values import NUMERIC, format_sentence, format_value
from analyzer.table import Section, Table


def write_markdown(report: Report, stream: BinaryIO) -> None:
    """Write every table in the way GitHub shows; a page with its headings, sentences and sparklines, tables cut."""
    if report.sections:
        stream.write(("\n".join(_page(report)) + "\n").encode())
        return
    stream.writelines(
        ("\n" * bool(number) + "\n".join(_markdown(table)) + "\n").encode()
        for number, table in enumerate(nonempty_tables(report))
    )


def _markdown(table: Table, most_chars: int | None = None) -> Iterator[str]:
    found = display_table(table)
    yield markdown_row([escape_markdown(title(column)) for column in found.columns])
    yield markdown_row(["---:" if column.unit in NUMERIC else "---" for column in found.columns])
    yield from (markdown_row([escape_markdown(truncate(cell, most_chars)) for cell in row]) for row in found.cells)
    yield from (f"\n{escape_markdown(note)}" for note in found.notes)


MOST_ROWS, MOST_CHARS, MOST_CHARS_OF_WORDS = 12, 200, 1000
"""A page is to fit into a comment, whatever names a log has."""

FOLDED = ("definitions", "files")
"""Tables that few readers want to see at once: whole, behind a fold."""


def _page(report: Report) -> Iterator[str]:
    """Write a page: what a chart shows over time is a sparkline here."""
    yield f"# {_words(report.title)}\n"
    yield " ".join(_words(format_sentence(words)) for words in report.scope) + "\n"
    yield from (f"- **{one.label}: {format_value(one.value, one.unit)}.** {_words(format_sentence(one.meaning))}"
                for one in report.headlines)  # fmt: skip
    tables = {table.name: table for table in report.tables}
    for section in report.sections:
        yield f"\n## {section.heading}\n"
        yield from (f"{_words(format_sentence(words))}\n" for words in section.words)
        yield from _shown(section, tables[section.table])
    yield from (f"\n> {_words(note)}" for note in report.notes)


def _words(text: str) -> str:
    return escape_markdown(truncate(text, MOST_CHARS_OF_WORDS))


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


_MARKS = re.compile(r"([\\`*_\[\]<>|~#&])")
_LINKS = re.compile(r"(?<=\w)(?=://)|(?<=www)(?=[.])|(?<=@)(?=\w)", re.IGNORECASE)
NOTHING_SEEN = "\u200b"
"""A space of no width: what it parts is no link, and no `@name` that GitHub would tell of it."""


def escape_markdown(text: str) -> str:
    r"""Return text that Markdown leaves as it is.

    >>> plain_of("![x](a)|*b*")
    '!\\[x\\](a)\\|\\*b\\*'
    >>> plain_of("@acme/ui") == "@\u200bacme/ui"
    True
    """
    shown = "".join(c if c.isprintable() else " " for c in text)
    return _MARKS.sub(r"\\\1", _LINKS.sub(NOTHING_SEEN, shown))


def truncate(text: str, most_chars: int | None) -> str:
    """Return a text, or its beginning where it is longer than may be."""
    return text if most_chars is None or len(text) <= most_chars else f"{text[:most_chars]}…"


def markdown_row(cells: Sequence[str]) -> str:
    """Write a row of a table, of cells that are plain already."""
    return "| " + " | ".join(cells) + " |"
