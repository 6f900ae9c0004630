"""Writes reports as GitHub Markdown: tables, and pages with sentences, sparklines and shortened tables."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from analyzer.questions.report import Report
from analyzer.render.display import DisplayTable, display_table
from analyzer.render.table import nonempty_tables
from analyzer.render.time_series import sparkline
from analyzer.render.values import NUMERIC_UNITS, format_sentence, format_sentences, format_value
from analyzer.table import Headline, Section, Sentence, Table

# A page has to fit into a GitHub comment (65,536 characters), however long the names in the log are.
MAX_ROWS, MAX_CELL_CHARS, MAX_SENTENCE_CHARS = 12, 200, 1000
# A short page has at most 80 lines: reviewers read it between other comments.
MAX_BRIEF_ROWS, MAX_BRIEF_NOTES = 5, 3


def write_markdown(report: Report, stream: BinaryIO) -> None:
    """Write the page of a report with sections, otherwise all tables."""
    if report.sections:
        stream.write(("\n".join(_page_lines(report)) + "\n").encode())
        return
    if report.verdict:
        stream.write(f"{_paragraph(format_sentences(report.verdict))}\n\n".encode())
    stream.writelines(
        ("\n" * bool(number) + "\n".join(_table_lines(display_table(table))) + "\n").encode()
        for number, table in enumerate(nonempty_tables(report))
    )


def _table_lines(display: DisplayTable, max_chars: int | None = None) -> Iterator[str]:
    yield _row([escape_markdown(title) for title in display.titles])
    yield _row(["---:" if column.unit in NUMERIC_UNITS else "---" for column in display.columns])
    yield from (_row([escape_markdown(truncate(cell, max_chars)) for cell in row]) for row in display.cells)
    yield from (f"\n{escape_markdown(note)}" for note in display.notes)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _page_lines(report: Report) -> Iterator[str]:
    sections = [section for section in report.sections if report.is_full or section.brief]
    headings = {section.anchor: section.heading for section in sections}
    yield f"# {_paragraph(report.title)}\n"
    if report.verdict:
        yield _sentences(report.verdict, headings) + "\n"
    if report.summary:
        yield _sentences(report.summary, headings) + "\n"
    for one in report.headlines:
        yield f"- **{one.label}: {format_value(one.value, one.unit)}.** {_change(one)}{_say(one.meaning, headings)}"
    tables = {table.name: table for table in report.tables}
    for section in sections:
        yield f"\n## {section.heading}\n"
        yield from _section_lines(section, tables[section.table], headings, is_full=report.is_full)
    if report.is_full:
        yield from (f"\n> {_paragraph(note)}" for note in report.notes)
    elif report.notes:
        left_out = f"; and {len(report.notes) - MAX_BRIEF_NOTES} more notes" * (len(report.notes) > MAX_BRIEF_NOTES)
        yield f"\n> {_paragraph('; '.join(report.notes[:MAX_BRIEF_NOTES]) + left_out)}"


def _paragraph(text: str) -> str:
    return escape_markdown(truncate(text, MAX_SENTENCE_CHARS))


def _say(sentence: Sentence, headings: Mapping[str, str]) -> str:
    """Return a sentence, with the section of the page that has more about it."""
    see = f" See {headings[sentence.see]}." if sentence.see in headings else ""
    return _paragraph(format_sentence(sentence)) + see


def _sentences(sentences: Sequence[Sentence], headings: Mapping[str, str]) -> str:
    return " ".join(_say(sentence, headings) for sentence in sentences)


def _change(headline: Headline) -> str:
    if headline.change is None:
        return ""
    return f"{format_value(headline.change, headline.change_unit)}, {_paragraph(headline.compared)}. "


def _section_lines(section: Section, table: Table, headings: Mapping[str, str], *, is_full: bool) -> Iterator[str]:
    """Yield the sentences, a sparkline for each chart over time, and the most important rows of the table."""
    sparklines = [f"{chart.title}, {line}\n" for chart in section.charts if (line := sparkline(chart, table))]
    if not is_full:
        yield from _brief_lines(section, table, headings, sparklines)
        return
    yield from (f"{_say(sentence, headings)}\n" for sentence in section.sentences)
    yield from sparklines
    if section.reference and table.rows:
        yield f"<details><summary>{len(table.rows)} rows</summary>\n"
        yield from _table_lines(display_table(table), MAX_CELL_CHARS)
        yield "\n</details>"
    elif table.rows:
        rows, selection = _select_rows(section, table, is_time_series=bool(sparklines))
        yield from _table_lines(display_table(replace(table, rows=rows)), MAX_CELL_CHARS)
        if len(rows) < len(table.rows):
            yield f"\n{selection} {len(rows)} of {len(table.rows):,} rows; the HTML report has all rows"


def _brief_lines(
    section: Section, table: Table, headings: Mapping[str, str], sparklines: Sequence[str]
) -> Iterator[str]:
    """Yield one paragraph, and the sparklines or the first rows of the table."""
    display = display_table(table)
    notes = [] if sparklines else [f"{_paragraph(note)}." for note in display.notes]
    if len(display.cells) > MAX_BRIEF_ROWS and not sparklines:
        notes.append(f"The first {MAX_BRIEF_ROWS} of {len(display.cells):,} rows.")
    yield " ".join([_sentences(section.sentences, headings), *notes]) + "\n"
    if sparklines:
        yield from sparklines
    elif table.rows:
        shortened = replace(display, cells=display.cells[:MAX_BRIEF_ROWS], notes=())
        yield from _table_lines(shortened, MAX_CELL_CHARS)


def _select_rows(section: Section, table: Table, *, is_time_series: bool) -> tuple[Sequence[tuple[Any, ...]], str]:
    """Return at most MAX_ROWS rows, and in words which: the last of a time series, the largest of a heatmap."""
    if is_time_series:
        return table.rows[-MAX_ROWS:], "the last"
    for chart in section.charts:
        if chart.value:
            index = [column.name for column in table.columns].index(chart.value)
            return sorted(table.rows, key=lambda row: -row[index])[:MAX_ROWS], "the largest"
    return table.rows[:MAX_ROWS], "the first"


_SYNTAX = re.compile(r"([\\`*_\[\]<>|~#&$])")
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
