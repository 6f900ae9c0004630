"""Tables for people: on a terminal, and as Markdown."""

import io
from typing import TYPE_CHECKING, BinaryIO, Literal

from analyzer.render.shown import Shown, column_width, least_width, shown, spaces_of, title
from analyzer.render.value import NUMERIC
from analyzer.report.report import Report
from analyzer.table import NUMBER, TEXT, Table

if TYPE_CHECKING:
    from rich.console import Console

WIDEST = 10_000
"""The width of a pipe: nothing is folded or left out in it."""

UPRIGHT_CHARS = 24
"""The least width of values that are read from top to bottom: a time fits, a long text is folded."""


def write_table(report: Report, stream: BinaryIO) -> None:
    """Write every table, aligned; on a terminal in its width and colours, elsewhere without either."""
    from rich.console import Console  # noqa: PLC0415  (50 ms, only where it is needed)

    terminal = stream.isatty()
    text = io.TextIOWrapper(stream, encoding="utf-8", write_through=True)
    console = Console(file=text, width=None if terminal else WIDEST, highlight=False, markup=False)
    tables = told(report)
    for number, table in enumerate(tables):
        if number:
            console.print()
        if len(tables) > 1 and not table.is_list:
            console.print(f"{table.name.replace('_', ' ')}:", style="bold")
        _print(console, table)
    text.detach()


def told(report: Report) -> list[Table]:
    """Return the tables that say something: of an answer of several, those with rows, and the first."""
    return [table for number, table in enumerate(report.tables) if table.rows or number == 0]


def _print(console: "Console", table: Table) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    found = shown(table, console.width)
    if len(found.columns) > 1 and _folds(found, console.width) and not table.is_list:
        _print_upright(console, found)
        return
    box = None if table.is_list else SIMPLE_HEAD
    grid = RichTable(box=box, pad_edge=False, header_style="bold", show_header=box is not None)
    spaces = 2 * (len(found.columns) - 1) if table.is_list else spaces_of(len(found.columns))
    widths = _widths(found, console.width - spaces, UPRIGHT_CHARS if table.is_list else WIDEST)
    for column, width in zip(found.columns, widths, strict=True):
        justify: Literal["left", "right"] = "right" if column.unit in NUMERIC else "left"
        grid.add_column(title(column), justify=justify, width=width, overflow="fold")
    for row in found.cells:
        grid.add_row(*(Text(cell) for cell in row))
    # A line too long for the terminal is broken by the terminal; a number cut short would be a wrong one.
    console.width = max(console.width, sum(widths) + spaces)
    console.print(grid)
    for note in found.notes:
        console.print(Text(note), style="dim")


def _widths(found: Shown, room: int, most: int) -> list[int]:
    """Return each column's width: what it needs, `most` at most, and from the left what it has use for of the rest.

    Rich itself does not keep to least widths where room is scarce, and cuts what is beyond the screen.
    """
    from rich.cells import cell_len  # noqa: PLC0415

    cells = [[row[place] for row in found.cells] for place in range(len(found.columns))]
    columns = list(zip(found.columns, cells, strict=True))
    widths = [min(column_width(*column), most) for column in columns]
    for place, (column, written) in enumerate(columns):
        wanted = max(cell_len(line) for text in [title(column), *written] for line in text.splitlines() or [""])
        widths[place] += max(min(wanted - widths[place], room - sum(widths)), 0)
    return widths


def _folds(found: Shown, width: int) -> bool:
    """Tell whether a table is wider than the screen, a folded one too or one of text alone: better read upright."""
    if least_width(found.columns, found.cells, list(range(len(found.columns)))) > width:
        return True
    if any(column.unit not in (TEXT, NUMBER) for column in found.columns):
        return False
    rows = [[title(column) for column in found.columns], *found.cells]
    widths = [max(len(row[n]) for row in rows) for n in range(len(found.columns))]
    return sum(widths) + 3 * len(widths) > width


def _print_upright(console: "Console", found: Shown) -> None:
    """Write a record a block, a field a line."""
    from rich.text import Text  # noqa: PLC0415

    indent = max(len(title(column)) for column in found.columns) + 2
    for row in found.cells:
        for column, cell in zip(found.columns, row, strict=True):
            console.print(Text(f"{title(column):{indent}}{cell}"), soft_wrap=True)
        console.print()
