"""Tables for people: on a terminal, and as Markdown."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

from analyzer.render.value import NOTHING, NUMERIC, human
from analyzer.report.report import Report
from analyzer.table import BY_ROW, COUNT, FLAG, HASH, NAME, NUMBER, TEXT, Heading, Table

if TYPE_CHECKING:
    from rich.console import Console

WIDEST = 10_000
"""The width of a pipe: nothing is folded or left out in it."""


UPRIGHT_CHARS = 24
"""The least width of values that are read from top to bottom: a time fits, a long text is folded."""

TEXT_CHARS = 12
"""Text may be folded down to this width; numbers never are."""


HASH_CHARS = 8
"""What is left of a hash beside its name."""

UNSEEN = (FLAG, NAME)


@dataclass(frozen=True, slots=True)
class Shown:
    """What people see of a table: some of its columns, each cell written; and what is said below it."""

    columns: Sequence[Heading]
    cells: Sequence[Sequence[str]]
    notes: Sequence[str]


def shown(table: Table, width: int | None = None) -> Shown:
    """Choose what people see: a lone row of totals stands upright; flags become a mark; measures that do not fit go."""
    if table.upright:
        lone = table.rows[0] if table.rows else (None,) * len(table.columns)
        pairs = zip(table.columns, lone, strict=True)
        cells = [[_words(column), human(value, column.unit)] for column, value in pairs]
        return Shown((Heading("measure", TEXT, ""), Heading("value", COUNT, "")), cells, ())
    names = [column.name for column in table.columns]
    units = [[row[names.index("unit")] if c.unit == BY_ROW else c.unit for c in table.columns] for row in table.rows]
    written = [[human(*cell) for cell in zip(*row, strict=True)] for row in zip(table.rows, units, strict=True)]
    label_hashes(table.columns, written)
    flags = [place for place, column in enumerate(table.columns) if column.unit == FLAG]
    marks = []
    for flag in flags:
        marked = [row for row, cells in zip(written, table.rows, strict=True) if cells[flag]]
        marks += [f"* {table.columns[flag].name}: {table.columns[flag].description}"] if marked else []
        for row in marked:
            row[0] += " *"
    places = [place for place, column in enumerate(table.columns) if not column.detail and column.unit not in UNSEEN]
    while (
        width
        and len(places) > 1
        and table.columns[places[-1]].unit
        and _least_width(table.columns, written, places) > width
    ):
        places.pop()
    hidden = [
        column.name for place, column in enumerate(table.columns) if place not in places and column.unit not in UNSEEN
    ]
    notes = marks + ([f"not shown: {', '.join(hidden)}; --format csv has all"] if hidden else [])
    return Shown([table.columns[n] for n in places], [[row[n] for n in places] for row in written], notes)


def label_hashes(columns: Sequence[Heading], written: Sequence[list[str]]) -> None:
    """Put the name before its hash, where there is one: `web#build (43b7f843…)`."""
    units = [column.unit for column in columns]
    if NAME not in units:
        return
    at, name = units.index(HASH), units.index(NAME)
    for cells in written:
        if cells[name] != NOTHING:
            cells[at] = f"{cells[name]} ({cells[at][:HASH_CHARS]}…)"


def _least_width(columns: Sequence[Heading], written: Sequence[Sequence[str]], places: list[int]) -> int:
    widths = [_column_width(columns[n], [row[n] for row in written]) for n in places]
    return sum(widths) + _spaces(len(widths))


def _spaces(columns: int) -> int:
    """Return how much of a line is between so many columns, and at its ends."""
    return 3 * columns - 1


def _column_width(column: Heading, cells: Sequence[str]) -> int:
    """Return the least width of a column: its longest cell, folded where it is text, and its title's longest word."""
    longest = max(map(len, cells), default=0)
    word = max(map(len, _title(column).split()), default=0)
    return max(word, longest if column.unit else min(longest, TEXT_CHARS))


def _title(column: Heading) -> str:
    """Write a column's name in words; the name of a column of SQL stays as it is."""
    return column.name if column.unit in (TEXT, NUMBER, HASH) else _words(column)


def _words(column: Heading) -> str:
    return column.name.removesuffix("_ms").removesuffix("_at").replace("_", " ")


def write_table(report: Report, stream: BinaryIO) -> None:
    """Write every table, aligned; on a terminal in its width and colours, elsewhere without either."""
    from rich.console import Console  # noqa: PLC0415  (50 ms, only where it is needed)

    terminal = stream.isatty()
    text = io.TextIOWrapper(stream, encoding="utf-8", write_through=True)
    console = Console(file=text, width=None if terminal else WIDEST, highlight=False, markup=False)
    told = _told(report)
    for number, table in enumerate(told):
        if number:
            console.print()
        if len(told) > 1 and not table.upright:
            console.print(f"{table.name.replace('_', ' ')}:", style="bold")
        _print(console, table)
    text.detach()


def _told(report: Report) -> list[Table]:
    """Return the tables that say something: of an answer of several, those with rows, and the first."""
    return [table for number, table in enumerate(report.tables) if table.rows or number == 0]


def _print(console: "Console", table: Table) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    found = shown(table, console.width)
    if len(found.columns) > 1 and _folds(found, console.width) and not table.upright:
        _print_upright(console, found)
        return
    box = None if table.upright else SIMPLE_HEAD
    grid = RichTable(box=box, pad_edge=False, header_style="bold", show_header=box is not None)
    spaces = 2 * (len(found.columns) - 1) if table.upright else _spaces(len(found.columns))
    widths = _widths(found, console.width - spaces, UPRIGHT_CHARS if table.upright else WIDEST)
    for column, width in zip(found.columns, widths, strict=True):
        justify: Literal["left", "right"] = "right" if column.unit in NUMERIC else "left"
        grid.add_column(_title(column), justify=justify, width=width, overflow="fold")
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
    widths = [min(_column_width(*column), most) for column in columns]
    for place, (column, written) in enumerate(columns):
        wanted = max(map(cell_len, [_title(column), *written]))
        widths[place] += max(min(wanted - widths[place], room - sum(widths)), 0)
    return widths


def _folds(found: Shown, width: int) -> bool:
    """Tell whether a table is wider than the screen, a folded one too or one of text alone: better read upright."""
    if _least_width(found.columns, found.cells, list(range(len(found.columns)))) > width:
        return True
    if any(column.unit not in (TEXT, NUMBER) for column in found.columns):
        return False
    rows = [[_title(column) for column in found.columns], *found.cells]
    widths = [max(len(row[n]) for row in rows) for n in range(len(found.columns))]
    return sum(widths) + 3 * len(widths) > width


def _print_upright(console: "Console", found: Shown) -> None:
    """Write a record a block, a field a line."""
    from rich.text import Text  # noqa: PLC0415

    indent = max(len(_title(column)) for column in found.columns) + 2
    for row in found.cells:
        for column, cell in zip(found.columns, row, strict=True):
            console.print(Text(f"{_title(column):{indent}}{cell}"), soft_wrap=True)
        console.print()


def write_markdown(report: Report, stream: BinaryIO) -> None:
    """Write every table in the way GitHub shows."""
    for number, table in enumerate(_told(report)):
        found = shown(table)
        rows = [
            _row([_title(column) for column in found.columns]),
            _row(["---:" if column.unit in NUMERIC else "---" for column in found.columns]),
            *(_row(row) for row in found.cells),
        ]
        notes = [f"\n{note.replace('*', chr(92) + '*')}" for note in found.notes]
        stream.write(("\n" * bool(number) + "\n".join([*rows, *notes]) + "\n").encode())


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") for cell in cells) + " |"
