"""Money beside time: what the tasks' time costs, at so much a minute."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from analyzer.questions.report import Report
from analyzer.table import MONEY, MONEY_CHANGE, MS, MS_CHANGE, Column, Table
from analyzer.validation import require_number

MINUTE_MS = 60_000
UNITS = {MS: MONEY, MS_CHANGE: MONEY_CHANGE}


def with_costs(report: Report, cost_per_minute: float | None) -> Report:
    """Put a column of money behind each column of task time, `time_saved_cost` behind `time_saved_ms`."""
    require_number("cost_per_minute", cost_per_minute)
    if cost_per_minute is None:
        return report
    tables = [_priced(table, cost_per_minute) for table in report.tables]
    primary = tables[list(report.tables).index(report.primary)]
    return replace(report, tables=tables, primary=primary)


def _priced(table: Table, cost_per_minute: float) -> Table:
    columns = [one for column in table.columns for one in (column, _cost(column)) if one]
    rows = [tuple(_row(table.columns, row, cost_per_minute)) for row in table.rows]
    return replace(table, columns=columns, rows=rows)


def _cost(column: Column) -> Column | None:
    if column.unit not in UNITS:
        return None
    name = column.name.removesuffix("_ms") + "_cost"
    return Column(name, UNITS[column.unit], f"{column.description}; in money", column.detail)


def _row(columns: Sequence[Column], row: Sequence[Any], cost_per_minute: float) -> list[Any]:
    cells: list[Any] = []
    for column, value in zip(columns, row, strict=True):
        cells.append(value)
        if column.unit in UNITS:
            cells.append(None if value is None else value / MINUTE_MS * cost_per_minute)
    return cells
