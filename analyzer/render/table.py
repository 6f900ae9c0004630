"""Write tables as aligned text: fitted to the width of a terminal, unlimited in a pipe.

The layout is not rich.table's, because that truncates numbers where this one omits columns and says so, and because
pipes need the same layout without the 50 ms that importing rich takes; on a terminal rich adds the styles.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from shutil import get_terminal_size
from textwrap import wrap
from typing import BinaryIO, NamedTuple

from analyzer.questions.report import Report
from analyzer.render.display import DisplayTable, cell_width, column_title, display_table, min_column_width, table_width
from analyzer.render.values import NUMERIC_UNITS, format_sentences, format_value
from analyzer.table import NUMBER, RATIO, TEXT, Table

# The width of a pipe: wider than any table, so nothing is wrapped or omitted.
UNLIMITED = 10_000

# The values of a list are wrapped at this width at the earliest: a time fits.
MIN_LIST_VALUE_CHARS = 24

SEPARATOR, LIST_SEPARATOR = "   ", "  "

# What terminals draw: bars of a rate in eighths of a character, and the course of a rate over time.
BAR_CHARS = 8
EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
LEVELS = "▁▂▃▄▅▆▇█"
MIN_TREND_ROWS = 3


class Line(NamedTuple):
    """A line of text, and its style on a terminal."""

    text: str
    style: str = ""


def write_table(report: Report, stream: BinaryIO) -> None:
    """Write all tables of a report; styled and fitted to the width if the stream is a terminal."""
    if not stream.isatty():
        stream.writelines(f"{line.text}\n".encode() for line in _report_lines(report, UNLIMITED, draws=False))
        return
    from rich.console import Console  # noqa: PLC0415  (50 ms, needed on terminals only)
    from rich.text import Text  # noqa: PLC0415

    width = get_terminal_size().columns
    text = io.TextIOWrapper(stream, encoding="utf-8", write_through=True)
    console = Console(file=text)
    for line in _report_lines(report, width, draws=True):
        # Lines that are still too long are left to the terminal to wrap: cropping could cut a number short.
        console.print(Text(line.text, line.style), soft_wrap=True)
    text.detach()


def nonempty_tables(report: Report) -> list[Table]:
    """Return the tables that have rows, and the first table in any case."""
    return [table for number, table in enumerate(report.tables) if table.rows or number == 0]


def _report_lines(report: Report, width: int, *, draws: bool) -> Iterator[Line]:
    """Yield the lines of all tables; `draws` adds bars and the course of rates over time."""
    # A verdict says why there are no rows; the columns of a query show even without any.
    tables = [table for table in nonempty_tables(report) if table.rows or table.upright or not report.verdict]
    if report.verdict:
        yield from (Line(part, "bold") for part in wrap_cell(format_sentences(report.verdict), width))
    for number, table in enumerate(tables):
        if number or report.verdict:
            yield Line("")
        if len(tables) > 1 and not table.is_list:
            yield Line(f"{table.title}:", "bold")
        if draws and table.in_time_order:
            yield from map(Line, _trend_lines(table, width))
        yield from _table_lines(table, width, draws=draws)


def _trend_lines(table: Table, width: int) -> Iterator[str]:
    """Yield a line that draws the rate of a series over time, from its lowest value to its highest."""
    index = [column.name for column in table.columns].index(table.bar)
    column, rates = table.columns[index], [row[index] for row in table.rows]
    known = [rate for rate in rates if rate is not None]
    if len(known) < MIN_TREND_ROWS:
        return
    low, high = min(known), max(known)
    top = len(LEVELS) - 1
    span = (high - low) or 2 * low or 1  # a constant rate is drawn at half the height
    base = low if high > low else 0
    steps = [None if rate is None else round((rate - base) / span * top) for rate in rates]
    drawn = "".join(" " if step is None else LEVELS[step] for step in steps)
    line = f"{column_title(column)} {drawn} {format_value(low, RATIO)} to {format_value(high, RATIO)}"
    if cell_width(line) <= width:
        yield line


def _with_bars(display: DisplayTable, table: Table, width: int) -> DisplayTable:
    """Return the table with a bar beside each value of its rate, if that fits into the width beside all columns."""
    names = [column.name for column in display.columns]
    is_whole = len(names) == len(display_table(replace(table, rows=[])).columns)
    if table.bar not in names or not is_whole or table_width(_min_widths(display)) + BAR_CHARS + 1 > width:
        return display
    index = names.index(table.bar)
    cells = [list(row) for row in display.cells]
    for row, values in zip(cells, display.values, strict=True):
        row[index] += f" {_bar(values[index] or 0):{BAR_CHARS}}"
    titles = [f"{title}{' ' * (BAR_CHARS + 1)}" if n == index else title for n, title in enumerate(display.titles)]
    return replace(display, titles=titles, cells=cells)


def _bar(rate: float) -> str:
    """Return a bar for a rate from 0 to 1; nothing for one that is no number.

    >>> _bar(1), _bar(0.5), _bar(0.06), _bar(0)
    ('████████', '████', '▌', '')
    """
    eighths = round(rate * BAR_CHARS * len(EIGHTHS))
    full, rest = divmod(eighths, len(EIGHTHS))
    return "█" * full + EIGHTHS[rest]


def _table_lines(table: Table, width: int, *, draws: bool) -> Iterator[Line]:
    display = display_table(table, width)
    if draws and table.bar:
        display = _with_bars(display, table, width)
    if table.is_list:
        yield from map(Line, _list_lines(display, width))
    elif len(display.columns) > 1 and _is_too_wide(display, width):
        yield from map(Line, _record_lines(display, width))
        return
    else:
        yield from _grid_lines(display, width)
    for note in display.notes:
        yield from (Line(part, "dim") for part in wrap_cell(note, width))


def _list_lines(display: DisplayTable, width: int) -> Iterator[str]:
    """Yield a line for each measure: its name and value."""
    available = width - len(LIST_SEPARATOR) * (len(display.columns) - 1)
    widths = _column_widths(display, available, MIN_LIST_VALUE_CHARS)
    for row in display.cells:
        yield from _row_lines(display, row, widths, LIST_SEPARATOR)


def _grid_lines(display: DisplayTable, width: int) -> Iterator[Line]:
    """Yield the lines of a table with titles, a rule and rows."""
    separators = table_width([0] * len(display.columns))
    widths = _column_widths(display, width - separators, UNLIMITED)
    yield Line("")
    titles = _row_lines(display, display.titles, widths, SEPARATOR, align_bottom=True)
    yield from (Line(f" {line}", "bold") for line in titles)
    yield Line(f" {'─' * (sum(widths) + len(SEPARATOR) * (len(widths) - 1))}")
    for row in display.cells:
        yield from (Line(f" {line}") for line in _row_lines(display, row, widths, SEPARATOR))
    yield Line("")


def _record_lines(display: DisplayTable, width: int) -> Iterator[str]:
    """Yield a block for each row, with a line for each column, or several if it is long text."""
    indent = max(map(cell_width, display.titles)) + 2
    for row in display.cells:
        for title, cell in zip(display.titles, row, strict=True):
            first, *more = wrap_words(cell, max(width - indent, MIN_LIST_VALUE_CHARS))
            yield f"{_pad(title, indent)}{first}"
            yield from (" " * indent + line for line in more)
        yield ""


def _is_too_wide(display: DisplayTable, width: int) -> bool:
    """Return whether a table is displayed record by record, because it does not fit even wrapped.

    A table of text alone, such as the result of SQL, is not wrapped at all.
    """
    if table_width(_min_widths(display)) > width:
        return True
    if any(column.unit not in (TEXT, NUMBER) for column in display.columns):
        return False
    widths = [max(map(cell_width, column)) for column in zip(display.titles, *display.cells, strict=True)]
    return table_width(widths) + 1 > width


def _min_widths(display: DisplayTable) -> list[int]:
    headings = enumerate(zip(display.columns, display.titles, strict=True))
    return [min_column_width(column, title, [row[n] for row in display.cells]) for n, (column, title) in headings]


def _column_widths(display: DisplayTable, available: int, max_min_width: int) -> list[int]:
    """Return the width of each column: its minimum, and the rest of the available width for the columns from the left.

    `max_min_width` limits the minimum, also that of numbers.
    """
    widths = [min(width, max_min_width) for width in _min_widths(display)]
    for index, title in enumerate(display.titles):
        texts = [title, *(row[index] for row in display.cells)]
        unwrapped = max(cell_width(line) for text in texts for line in text.splitlines() or [""])
        widths[index] += max(min(unwrapped - widths[index], available - sum(widths)), 0)
    return widths


def wrap_cell(text: str, width: int) -> list[str]:
    """Split a text into lines of at most `width` terminal cells, between words where possible.

    >>> wrap_cell("local hit rate", 9), wrap_cell("abcdef", 4), wrap_cell("日本", 3)
    (['local hit', 'rate'], ['abcd', 'ef'], ['日', '本'])
    """
    return [part for line in text.split("\n") for part in _wrap_line(line, width)]


def _wrap_line(line: str, width: int) -> list[str]:
    if cell_width(line) <= width:
        return [line]
    from rich.cells import chop_cells  # noqa: PLC0415  (needed for long lines only)

    return [part for words in wrap(line, width) for part in chop_cells(words, width)]


def wrap_words(text: str, width: int) -> list[str]:
    """Split a text between words; a word that is longer than `width` is left whole, so that it can be copied."""
    return [
        part
        for line in text.split("\n")
        for part in (
            [line]
            if cell_width(line) <= width
            else wrap(line, width, break_long_words=False, break_on_hyphens=False) or [line]
        )
    ]


def fit_cell(text: str, width: int) -> list[str]:
    """Split the text of a cell into lines of at most `width` terminal cells, between words and parts of paths.

    What is longer, such as an id, loses its middle.

    >>> fit_cell("local hit rate", 9), fit_cell("packages/ui/src/index.ts", 15), fit_cell("0123456789abcdef", 9)
    (['local hit', 'rate'], ['packages/ui/', 'src/index.ts'], ['0123…cdef'])
    """
    if all(cell_width(line) <= width for line in text.split("\n")):
        return text.split("\n")
    return [part for line in wrap_words(text, width) for part in _path_lines(line, width)]


def _path_lines(text: str, width: int) -> list[str]:
    if cell_width(text) <= width:
        return [text]
    lines = [""]
    for part in text.replace("/", "/\0").split("\0"):
        if lines[-1] and cell_width(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return [_without_middle(line, width) for line in lines]


def _without_middle(text: str, width: int) -> str:
    if cell_width(text) <= width:
        return text
    from rich.cells import set_cell_size  # noqa: PLC0415  (needed for long words only)

    start = set_cell_size(text, width // 2)
    end = set_cell_size(text[::-1], (width - 1) // 2)[::-1]
    return f"{start}…{end}" if width > len("a…z") - 1 else start


def _row_lines(
    display: DisplayTable, cells: Sequence[str], widths: Sequence[int], separator: str, *, align_bottom: bool = False
) -> Iterator[str]:
    """Yield the lines of one table row: its cells wrapped, padded to the widths, and aligned at the top by default."""
    wrapped = [fit_cell(cell, width) for cell, width in zip(cells, widths, strict=True)]
    if align_bottom:
        height = max(map(len, wrapped))
        wrapped = [[""] * (height - len(lines)) + lines for lines in wrapped]
    for line in zip_longest(*wrapped, fillvalue=""):
        parts = zip(display.columns, line, widths, strict=True)
        padded = [_pad(text, width, to_right=column.unit in NUMERIC_UNITS) for column, text, width in parts]
        yield separator.join(padded).rstrip()


def _pad(text: str, width: int, *, to_right: bool = False) -> str:
    if text.isascii():  # a short way for most cells
        return text.rjust(width) if to_right else text.ljust(width)
    space = " " * (width - cell_width(text))
    return space + text if to_right else text + space
