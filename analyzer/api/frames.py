"""Tables and relations as Polars data frames."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl
from polars.io.plugins import register_io_source

from analyzer.errors import Option, QueryError, UsageError
from analyzer.questions.report import Report
from analyzer.questions.sql import parse_query, require_distinct
from analyzer.render.data import table_frame

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

WINDOW = 1_000_000
"""Events, or sessions' lookups, that are read at a time."""


def scan_relation(relation: str, key: str, step: int, connected: Callable[[], "DuckDBPyConnection"]) -> pl.LazyFrame:
    """Return a relation as a lazy frame, read in windows of `step` values of its integer column `key`.

    Only the columns that the query needs are read, and no more windows than it asks for.
    """

    def batches(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        names = ", ".join(f'"{name}"' for name in columns) if columns else "*"
        query = f"SELECT {names} FROM {relation} WHERE {key} >= $start AND {key} < $end"
        with connected() as cursor:
            for start in range(0, _last(cursor, relation, key) + 1, step):
                frame = pl.DataFrame(cursor.sql(query, params={"start": start, "end": start + step}))
                if n_rows is not None:
                    frame, n_rows = frame.head(n_rows), n_rows - min(n_rows, frame.height)
                yield frame if predicate is None else frame.filter(predicate)
                if n_rows == 0:
                    return

    with connected() as cursor:
        schema = pl.DataFrame(cursor.sql(f"FROM {relation} LIMIT 0")).schema
    return register_io_source(batches, schema=schema, is_pure=True, explain_name=f"analyzer {relation}")


def _last(connection: "DuckDBPyConnection", relation: str, key: str) -> int:
    ((last,),) = connection.execute(f"SELECT max({key}) FROM {relation}").fetchall()
    return -1 if last is None else int(last)


def sql_frame(connection: "DuckDBPyConnection", sql: str) -> pl.DataFrame:
    """Return what a query of DuckDB's SQL gives; it reads the relations of the log, no file and no network.

    Raises:
        QueryError: the SQL does not run, or is no query.
    """
    import duckdb  # noqa: PLC0415  (loaded already; only its error is needed)

    try:
        parse_query(connection, sql)
        found = connection.sql(sql)
        _require_columns(found.columns, [str(kind) for kind in found.types])
        return pl.DataFrame(found)
    except duckdb.Error as error:
        raise QueryError(str(error)) from None


NOT_HELD = ("INTERVAL", "UNION(", "TIME WITH TIME ZONE")


def _require_columns(names: Sequence[str], types: Sequence[str]) -> None:
    """Refuse columns that no data frame has."""
    require_distinct(names)
    for name, kind in zip(names, types, strict=True):
        if any(kind.startswith(one) or one in kind.replace("TIMESTAMP WITH", "") for one in NOT_HELD):
            raise QueryError(
                f"column {name} is of type {kind}, which no data frame has; cast it, such as {name}::VARCHAR"
            )


DAYS = ("day", "week", "month")


def with_bucket_types(found: pl.DataFrame, tz: str) -> pl.DataFrame:
    """Return a frame with its buckets of time as such: dates of their first day, hours as instants in their time zone.

    The bucket without a time is null.

    Raises:
        UsageError: data frames know no such time zone.
    """
    known = {name: pl.when(pl.col(name) != "unknown").then(pl.col(name)) for name in found.columns}
    days = [_day(known[name]).alias(name) for name in DAYS if name in known]
    try:
        hours = [_instant(known["hour"]).dt.convert_time_zone(tz).alias("hour")] if "hour" in known else []
        return found.with_columns(*days, *hours)
    except pl.exceptions.ComputeError:
        raise UsageError(
            Option("tz", tz), ": data frames know no such time zone; name it by its place, such as Asia/Tokyo"
        ) from None


def _day(text: pl.Expr) -> pl.Expr:
    """Return the first day of what is written as `2026-03-02` or `2026-03`."""
    return text.str.replace(r"^(\d+-\d+)$", "${1}-01").str.to_date("%Y-%m-%d")


def _instant(text: pl.Expr) -> pl.Expr:
    """Return the instant of what is written as `2026-03-02T09:00+01:00`, or with `Z`."""
    return text.str.replace("Z", "+00:00", literal=True).str.to_datetime("%Y-%m-%dT%H:%M%:z", time_unit="us")


def report_table(report: Report, name: str | None) -> pl.DataFrame:
    """Return a table of an answer: the one of a name, else its main one.

    Raises:
        UsageError: the answer has no such table.
    """
    found = {one.name: one for one in report.tables}
    if name is not None and name not in found:
        raise UsageError(Option("table", name), f": {report.command} has {', '.join(found)}")
    return table_frame(found[name] if name else report.primary)
