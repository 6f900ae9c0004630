"""Tables for people: on a terminal, and as Markdown."""

import io
from typing import BinaryIO

from analyzer.render.value import NUMERIC, human
from analyzer.report import Report
from analyzer.table import FLAG, Heading, Table

PIPE_WIDTH = 200


def shown(table: Table) -> tuple[list[Heading], list[list[str]]]:
    """Return the columns and cells that people see: a single row stands upright, flags become a mark."""
    if len(table.rows) == 1 and table.name == "totals":
        pairs = zip(table.columns, table.rows[0], strict=True)
        columns = [Heading("measure", "", ""), Heading("value", "count", "")]
        return columns, [[_title(column), human(value, column.unit)] for column, value in pairs]
    flags = [place for place, column in enumerate(table.columns) if column.unit == FLAG]
    places = [place for place, column in enumerate(table.columns) if not column.detail and column.unit != FLAG]
    cells = [[human(row[place], table.columns[place].unit) for place in places] for row in table.rows]
    for row, written in zip(table.rows, cells, strict=True):
        if any(row[place] for place in flags):
            written[0] += " *"
    return [table.columns[place] for place in places], cells


def footnotes(table: Table) -> list[str]:
    """Return what a reader must know of the marks and of what is left out."""
    if len(table.rows) == 1 and table.name == "totals":
        return []
    marks = [
        f"* {column.name}: {column.description}"
        for place, column in enumerate(table.columns)
        if column.unit == FLAG and any(row[place] for row in table.rows)
    ]
    left_out = [column.name for column in table.columns if column.detail]
    return marks + ([f"not shown: {', '.join(left_out)}; data formats have them (--format csv)"] if left_out else [])


def _title(column: Heading) -> str:
    name = column.name.removesuffix("_ms").removesuffix("_at") if column.unit else column.name
    return name.replace("_", " ")


def write_table(report: Report, stream: BinaryIO) -> None:
    """Write every table, aligned; on a terminal in its width and colours, elsewhere without either."""
    from rich.console import Console  # noqa: PLC0415  (50 ms, only where it is needed)

    terminal = stream.isatty()
    text = io.TextIOWrapper(stream, encoding="utf-8", write_through=True)
    console = Console(file=text, width=None if terminal else PIPE_WIDTH, highlight=False, markup=False)
    for number, table in enumerate(report.tables):
        if number:
            console.print()
        _print(console, table)
    text.detach()


def _print(console: "Console", table: Table) -> None:  # type: ignore[name-defined]  # noqa: F821
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    columns, cells = shown(table)
    box = None if table.name == "totals" else SIMPLE_HEAD
    grid = RichTable(box=box, pad_edge=False, header_style="bold", show_header=box is not None)
    for column in columns:
        right = column.unit in NUMERIC
        grid.add_column(_title(column), justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in cells:
        grid.add_row(*(Text(cell) for cell in row))
    console.print(grid)
    for note in footnotes(table):
        console.print(Text(note), style="dim")


def write_markdown(report: Report, stream: BinaryIO) -> None:
    """Write every table in the way GitHub shows."""
    for number, table in enumerate(report.tables):
        columns, cells = shown(table)
        rows = [
            _row([_title(column) for column in columns]),
            _row(["---:" if column.unit in NUMERIC else "---" for column in columns]),
            *(_row(row) for row in cells),
        ]
        notes = [f"\n{note}" for note in footnotes(table)]
        stream.write(("\n" * bool(number) + "\n".join([*rows, *notes]) + "\n").encode())


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") for cell in cells) + " |"
