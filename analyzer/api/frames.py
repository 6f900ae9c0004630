"""Converts the tables of reports, and the relations of a log, to Polars data frames."""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from analyzer.errors import Option, UsageError
from analyzer.questions.report import Report
from analyzer.render.data import table_frame

CALENDAR_BUCKETS = ("day", "week", "month")


def scan_relation(sql: str, table: str, step: int, read: Callable[[str, dict[str, Any]], pl.DataFrame]) -> pl.LazyFrame:
    """Return the rows of `sql`, one for each row of `table`, as a lazy frame that is read in windows of `step` rows.

    `sql` reads `{table}` where it reads the table; `read` returns the rows of a query. Only the columns that the query
    needs are read, and no more windows than it asks for.
    """
    window = f"(SELECT * FROM {table} WHERE rowid >= $start AND rowid < $end)"
    rows = sql.replace("{table}", window)

    def batches(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        names = ", ".join(f'"{name}"' for name in columns) if columns else "*"
        query = f"SELECT {names} FROM ({rows})"
        last_row = read(f"SELECT max(rowid) FROM {table}", {}).item()
        for start in range(0, 0 if last_row is None else last_row + 1, step):
            frame = read(query, {"start": start, "end": start + step})
            # Polars' contract for sources: `n_rows` counts rows before the predicate.
            if n_rows is not None:
                frame, n_rows = frame.head(n_rows), n_rows - min(n_rows, frame.height)
            yield frame if predicate is None else frame.filter(predicate)
            if n_rows == 0:
                return

    schema = read(rows, {"start": 0, "end": 0}).schema
    return register_io_source(batches, schema=schema, is_pure=True, explain_name=f"analyzer {table}")


def with_bucket_types(frame: pl.DataFrame, tz: str) -> pl.DataFrame:
    """Return a frame with its columns of time buckets as times: `hour` in time zone `tz`, the others as first days.

    The bucket of lookups without a time is null.
    """
    known = {name: pl.when(pl.col(name) != "unknown").then(pl.col(name)) for name in frame.columns}
    days = [_first_day(known[name]).alias(name) for name in CALENDAR_BUCKETS if name in known]
    try:
        hours = [_instant(known["hour"]).dt.convert_time_zone(tz).alias("hour")] if "hour" in known else []
        return frame.with_columns(*days, *hours)
    except pl.exceptions.ComputeError:
        advice = ": not a time zone of Polars; use the name of a place, such as Asia/Tokyo"
        raise UsageError(Option("tz", tz), advice) from None


def _first_day(text: pl.Expr) -> pl.Expr:
    """Parse `2026-03-02`, or `2026-03`."""
    return text.str.replace(r"^(\d+-\d+)$", "${1}-01").str.to_date("%Y-%m-%d")


def _instant(text: pl.Expr) -> pl.Expr:
    """Parse `2026-03-02T09:00+01:00`, or the same with `Z`."""
    return text.str.replace("Z", "+00:00", literal=True).str.to_datetime("%Y-%m-%dT%H:%M%:z", time_unit="us")


def report_table(report: Report, name: str | None) -> pl.DataFrame:
    """Return the table `name` of a report, by default its primary one."""
    tables = {table.name: table for table in report.tables}
    if name is not None and name not in tables:
        raise UsageError(Option("table", name), f": {report.command} has {', '.join(tables)}")
    return table_frame(tables[name] if name else report.primary)
