"""What a page is asked, and what its sections get and give."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from analyzer.questions.options import PageOptions
from analyzer.questions.report import Scope
from analyzer.table import Section, Table


@dataclass(frozen=True, slots=True)
class PageContext:
    """The lookups that a page is about, and what is asked of them."""

    asked: Scope
    options: PageOptions


Row = dict[str, Any]
"""A row of a table, by the names of its columns."""

Parts = Iterator[tuple[Section, Table]]
"""What a section gives: itself and its table; nothing where there is nothing to tell."""


def row_dicts(table: Table) -> list[Row]:
    """Return the rows of a table."""
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def first_row(table: Table) -> Row:
    """Return a table's first row."""
    return row_dicts(table)[0]


def select_columns(table: Table, names: list[str], name: str | None = None) -> Table:
    """Return some of a table's columns, in the order of `names`."""
    found = [column.name for column in table.columns]
    places = [found.index(one) for one in names]
    rows = [tuple(row[place] for place in places) for row in table.rows]
    return Table(name or table.name, [table.columns[place] for place in places], rows)
