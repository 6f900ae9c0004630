"""What people see of a table: which columns, which of them in one cell, and how wide these must be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analyzer.render.values import NOTHING, TOGETHER
from analyzer.table import A_TO_B, BY_ROW, COUNT, FLAG, HASH, NAME, NUMBER, TEXT, Column, Table

TEXT_CHARS = 12
"""Text may be folded down to this width; numbers never are."""

HASH_CHARS = 8
"""What is left of a hash beside its name."""

HIDDEN_UNITS = (FLAG, NAME)


@dataclass(frozen=True, slots=True)
class DisplayTable:
    """What people see of a table: some of its columns, each cell written; and what is said below it."""

    columns: Sequence[Column]
    cells: Sequence[Sequence[str]]
    notes: Sequence[str]
    values: Sequence[Sequence[Any]] = ()
    """What the cells were written of, in a table that is not turned."""


def display_table(table: Table, width: int | None = None) -> DisplayTable:
    """Choose what people see: totals stand upright; flags become a mark; measures that do not fit go."""
    written = [_written(table.columns, row) for row in table.rows]
    cells = _cells(table.columns)
    places = [
        n for n in cells if table.is_list or not (table.columns[n].detail or table.columns[n].unit in HIDDEN_UNITS)
    ]
    marks: list[str] = []
    if not table.upright:
        label_hashes(table.columns, written)
        marks = _mark(table, written)
        _drop(table.columns, written, places, width)
    told = {part for n in places for part in cells[n]}
    hidden = [c.name for n, c in enumerate(table.columns) if n not in told and c.unit not in HIDDEN_UNITS]
    notes = marks + ([f"not shown: {', '.join(hidden)}; --format json has all"] if hidden else [])
    if table.upright:
        return _upright(table.columns, written, places, notes)
    told_of = [[row[n] for n in places] for row in table.rows]
    return DisplayTable(
        [table.columns[n] for n in places], [[row[n] for n in places] for row in written], notes, told_of
    )


def _cells(columns: Sequence[Column]) -> dict[int, range]:
    """Return the columns that each cell holds, by the first of them."""
    cells, place = {}, 0
    while place < len(columns):
        count, _ = TOGETHER[columns[place].read_with]
        cells[place] = range(place, place + count)
        place += count
    return cells


def _written(columns: Sequence[Column], row: Sequence[Any]) -> list[str]:
    """Write each cell of a row; of columns that are read with another, the first one's holds them all."""
    cells = []
    for place, column in enumerate(columns):
        unit = row[[one.name for one in columns].index("unit")] if column.unit == BY_ROW else column.unit
        count, write = TOGETHER[column.read_with]
        cells.append(write(*row[place : place + count], unit))
    return cells


def _mark(table: Table, written: Sequence[list[str]]) -> list[str]:
    """Mark the rows that have a flag; return what the mark means."""
    marks = []
    for flag, column in enumerate(table.columns):
        marked = [cells for cells, row in zip(written, table.rows, strict=True) if column.unit == FLAG and row[flag]]
        marks += [f"* {column.name}: {column.description}"] if marked else []
        for cells in marked:
            cells[0] += " *"
    return marks


def _drop(columns: Sequence[Column], written: Sequence[list[str]], places: list[int], width: int | None) -> None:
    """Take away the last measures that do not fit."""
    while width and len(places) > 1 and columns[places[-1]].unit:
        if least_width(columns, written, places) <= width:
            return
        places.pop()


def _upright(columns: Sequence[Column], written: list[list[str]], places: list[int], notes: list[str]) -> DisplayTable:
    """Turn a table: a column for each of its rows."""
    rows = written or [[NOTHING] * len(columns)]
    headings, first = [Column("value", COUNT, "")], 0
    if len(rows) > 1:
        headings, first = [Column(row[places[0]], BY_ROW, "") for row in rows], 1
    cells = [[_words(columns[n]), *(row[n] for row in rows)] for n in places[first:]]
    return DisplayTable([Column("measure", TEXT, ""), *headings], cells, notes)


def label_hashes(columns: Sequence[Column], written: Sequence[list[str]]) -> None:
    """Put the name before its hash, where there is one: `web#build (43b7f843…)`."""
    units = [column.unit for column in columns]
    if NAME not in units:
        return
    at, name = units.index(HASH), units.index(NAME)
    for cells in written:
        if cells[name] != NOTHING:
            cells[at] = f"{cells[name]} ({cells[at][:HASH_CHARS]}…)"


def least_width(columns: Sequence[Column], written: Sequence[Sequence[str]], places: list[int]) -> int:
    """Return the least width of a table of the columns at these places."""
    widths = [column_width(columns[n], [row[n] for row in written]) for n in places]
    return sum(widths) + spaces_of(len(widths))


def spaces_of(columns: int) -> int:
    """Return how much of a line is between so many columns, and at its ends."""
    return 3 * columns - 1


def column_width(column: Column, cells: Sequence[str]) -> int:
    """Return the least width of a column: its longest cell, folded where it is text, and its title's longest word."""
    longest = max(map(len, cells), default=0)
    word = max(map(len, title(column).split()), default=0)
    if column.unit == BY_ROW:
        word = min(word, TEXT_CHARS)
    return max(word, longest if column.unit else min(longest, TEXT_CHARS))


def title(column: Column) -> str:
    """Write a column's name in words; the name of a column of SQL stays as it is."""
    return column.name if column.unit in (TEXT, NUMBER, HASH, BY_ROW) else _words(column)


def _words(column: Column) -> str:
    name = column.name.removesuffix("_a") if column.read_with == A_TO_B else column.name
    return name.removesuffix("_ms").removesuffix("_at").replace("_", " ")
