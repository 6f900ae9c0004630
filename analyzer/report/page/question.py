"""What a page is asked, and what its sections get and give."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

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


Parts = Iterator[tuple[Section, Table]]
"""What a section gives: itself and its table; nothing where there is nothing to tell."""


def chosen(table: Table, names: list[str], name: str | None = None) -> Table:
    """Return some of a table's columns, in the order of `names`."""
    found = [column.name for column in table.columns]
    places = [found.index(one) for one in names]
    rows = [tuple(row[place] for place in places) for row in table.rows]
    return Table(name or table.name, [table.columns[place] for place in places], rows)
