"""What a page is asked, and what its sections get and give."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from analyzer.metrics.dimension import UTC
from analyzer.report.report import Asked
from analyzer.section import Section
from analyzer.table import Table


@dataclass(frozen=True, slots=True)
class Question:
    """What a page is asked besides filters; `command` and `made_at` (naive UTC) stand in its provenance."""

    retention_days: float = 7
    tz: str = UTC
    command: str = ""
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The lookups that a page is about, and what is asked of them."""

    asked: Asked
    question: Question


Row = dict[str, Any]
"""A row of a table, by the names of its columns."""

Parts = Iterator[tuple[Section, Table]]
"""What a section gives: itself and its table; nothing where there is nothing to tell."""


def rows_of(table: Table) -> list[Row]:
    """Return the rows of a table."""
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def row_of(table: Table) -> Row:
    """Return a table's first row."""
    return rows_of(table)[0]


def chosen(table: Table, names: list[str], name: str | None = None) -> Table:
    """Return some of a table's columns, in the order of `names`."""
    found = [column.name for column in table.columns]
    places = [found.index(one) for one in names]
    rows = [tuple(row[place] for place in places) for row in table.rows]
    return Table(name or table.name, [table.columns[place] for place in places], rows)
