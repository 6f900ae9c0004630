"""Money beside time: what the tasks' time costs, at so much a minute."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from analyzer.report.report import Report
from analyzer.table import MONEY, MONEY_CHANGE, MS, MS_CHANGE, Heading, Table

MINUTE_MS = 60_000
UNITS = {MS: MONEY, MS_CHANGE: MONEY_CHANGE}


def priced(report: Report, cost_per_minute: float | None) -> Report:
    """Put a column of money behind each column of task time, `time_saved_cost` behind `time_saved_ms`."""
    if cost_per_minute is None:
        return report
    tables = [_priced(table, cost_per_minute) for table in report.tables]
    primary = tables[list(report.tables).index(report.primary)]
    return replace(report, tables=tables, primary=primary)


def _priced(table: Table, cost_per_minute: float) -> Table:
    columns = [one for column in table.columns for one in (column, _cost(column)) if one]
    rows = [tuple(_row(table.columns, row, cost_per_minute)) for row in table.rows]
    return replace(table, columns=columns, rows=rows)


def _cost(column: Heading) -> Heading | None:
    if column.unit not in UNITS:
        return None
    name = column.name.removesuffix("_ms") + "_cost"
    return Heading(name, UNITS[column.unit], f"{column.description}; in money", column.detail)


def _row(columns: Sequence[Heading], row: Sequence[Any], cost_per_minute: float) -> list[Any]:
    cells: list[Any] = []
    for column, value in zip(columns, row, strict=True):
        cells.append(value)
        if column.unit in UNITS:
            cells.append(None if value is None else value / MINUTE_MS * cost_per_minute)
    return cells
