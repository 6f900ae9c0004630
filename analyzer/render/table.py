"""Tables for people, in lines of text: as wide as a terminal, or as wide as they are where there is none."""

import io
from collections.abc import Iterator
from dataclasses import replace
from shutil import get_terminal_size
from typing import BinaryIO, NamedTuple

from analyzer.questions.report import Report
from analyzer.render.display import DisplayTable, column_width, display_table, least_width, spaces_of, title
from analyzer.render.grid import cell_width, escape_controls, fold, row_lines
from analyzer.render.values import NUMERIC
from analyzer.table import NUMBER, TEXT, Table

WIDEST = 10_000
"""The width of a pipe: nothing is folded or left out in it."""

UPRIGHT_CHARS = 24
"""The least width of values that are read from top to bottom: a time fits, a long text is folded."""

BETWEEN, BETWEEN_OF_LIST = "   ", "  "


class Line(NamedTuple):
    """A line, and how a terminal shows it."""

    text: str
    style: str = ""


def write_table(report: Report, stream: BinaryIO) -> None:
    """Write every table, aligned; on a terminal in its width and colours, elsewhere without either."""
    if not stream.isatty():
        stream.writelines(f"{line.text}\n".encode() for line in _lines(report, WIDEST))
        return
    from rich.console import Console  # noqa: PLC0415  (50 ms, only where it is needed)
    from rich.text import Text  # noqa: PLC0415

    width = get_terminal_size().columns
    text = io.TextIOWrapper(stream, encoding="utf-8", write_through=True)
    console = Console(file=text)
    for line in _lines(report, width):
        # A line too long for the terminal is broken by the terminal; a number cut short would be a wrong one.
        console.print(Text(line.text, line.style), soft_wrap=True)
    text.detach()


def _lines(report: Report, width: int) -> Iterator[Line]:
    tables = nonempty_tables(report)
    for number, table in enumerate(tables):
        if number:
            yield Line("")
        if len(tables) > 1 and not table.is_list:
            yield Line(f"{table.name.replace('_', ' ')}:", "bold")
        yield from _table(table, width)


def nonempty_tables(report: Report) -> list[Table]:
    """Return the tables that say something: of an answer of several, those with rows, and the first."""
    return [table for number, table in enumerate(report.tables) if table.rows or number == 0]


def _table(table: Table, width: int) -> Iterator[Line]:
    found = display_table(table, width)
    found = replace(found, cells=[[escape_controls(cell) for cell in row] for row in found.cells])
    if table.is_list:
        yield from map(Line, _list(found, width))
    elif len(found.columns) > 1 and _folds(found, width):
        yield from map(Line, _upright(found))
        return
    else:
        yield from _grid(found, width)
    for note in found.notes:
        yield from (Line(part, "dim") for part in fold(note, width))


def _list(found: DisplayTable, width: int) -> Iterator[str]:
    """Write one table of values beside their names."""
    room = width - len(BETWEEN_OF_LIST) * (len(found.columns) - 1)
    widths = _widths(found, room, UPRIGHT_CHARS)
    for row in found.cells:
        yield from row_lines(row, widths, _rights(found), BETWEEN_OF_LIST)


def _grid(found: DisplayTable, width: int) -> Iterator[Line]:
    """Write a table under its headings."""
    widths = _widths(found, width - spaces_of(len(found.columns)), WIDEST)
    yield Line("")
    headings = [title(column) for column in found.columns]
    yield from (Line(f" {line}", "bold") for line in row_lines(headings, widths, _rights(found), BETWEEN, low=True))
    yield Line(f" {'─' * (sum(widths) + len(BETWEEN) * (len(widths) - 1))}")
    for row in found.cells:
        yield from (Line(f" {line}") for line in row_lines(row, widths, _rights(found), BETWEEN))
    yield Line("")


def _rights(found: DisplayTable) -> list[bool]:
    return [column.unit in NUMERIC for column in found.columns]


def _widths(found: DisplayTable, room: int, most: int) -> list[int]:
    """Return each column's width: what it needs, `most` at most, and from the left what it has use for of the rest."""
    cells = [[row[place] for row in found.cells] for place in range(len(found.columns))]
    columns = list(zip(found.columns, cells, strict=True))
    widths = [min(column_width(*column), most) for column in columns]
    for place, (column, written) in enumerate(columns):
        wanted = max(cell_width(line) for text in [title(column), *written] for line in text.splitlines() or [""])
        widths[place] += max(min(wanted - widths[place], room - sum(widths)), 0)
    return widths


def _folds(found: DisplayTable, width: int) -> bool:
    """Tell whether a table is wider than the screen, a folded one too or one of text alone: better read upright."""
    if least_width(found.columns, found.cells, list(range(len(found.columns)))) > width:
        return True
    if any(column.unit not in (TEXT, NUMBER) for column in found.columns):
        return False
    rows = [[title(column) for column in found.columns], *found.cells]
    widths = [max(len(row[n]) for row in rows) for n in range(len(found.columns))]
    return sum(widths) + 3 * len(widths) > width


def _upright(found: DisplayTable) -> Iterator[str]:
    """Write a record a block, a field a line."""
    indent = max(len(title(column)) for column in found.columns) + 2
    for row in found.cells:
        for column, cell in zip(found.columns, row, strict=True):
            yield f"{title(column):{indent}}{cell}"
        yield ""
