"""What `sql` answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyzer.archive.open_log import OpenLog
from analyzer.errors import QueryError
from analyzer.questions.report import Report, account_for
from analyzer.table import NUMBER, TEXT, Column, Table
from analyzer.text import is_utf8

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement

QUERIES = frozenset({"SELECT"})
RUNS_ALONE = "the log holds run summaries alone: ask runs and tasks; events, lookups and sessions are empty"
NO_EVENTS = "SELECT NOT EXISTS (FROM store.lookup)"


def answer_sql(log: OpenLog, sql: str) -> Report:
    """Answer `sql`: the table `result`.

    Raises:
        QueryError: the SQL does not run, or is no query.
    """
    import duckdb  # noqa: PLC0415  (loaded already; only its error is needed)

    connection = log.connection
    try:
        result = connection.execute(parse_query(connection, sql))
        columns = [Column(name, _unit(str(kind)), str(kind)) for name, kind, *_ in result.description or ()]
        if any("TIME ZONE" in column.description for column in columns):
            result = connection.execute(_without_time_zones(sql, columns))
        rows = result.fetchall()
    except duckdb.Error as error:
        raise QueryError(str(error)) from None
    require_distinct([column.name for column in columns])
    table = Table("result", columns, rows, from_user_sql=True)
    counts = log.counts()
    return Report("sql", account_for(counts, counts.kept), [table], table, sql_notes(log))


def require_distinct(names: Sequence[str]) -> None:
    """Refuse columns of which two have one name."""
    if len(set(names)) < len(names):
        raise QueryError(f"two columns have one name ({', '.join(names)}); name them apart with AS")


def sql_notes(log: OpenLog) -> list[str]:
    """Say where relations are empty that a query may have asked: those of events, where run summaries answer."""
    alone = log.view == "runs" and log.connection.execute(NO_EVENTS).fetchall()[0][0]
    return [RUNS_ALONE] if alone else []


def parse_query(connection: "DuckDBPyConnection", sql: str) -> "Statement":
    """Return the one query of a text; from here on no query changes what this connection may do.

    Raises:
        QueryError: it is no query, or more than one.
        duckdb.Error: it cannot be parsed.
    """
    if not is_utf8(sql):
        raise QueryError("SQL that is not valid UTF-8; write it as UTF-8")
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type.name not in QUERIES:
        raise QueryError("only one query is taken: SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or SHOW")
    if not connection.execute("SELECT current_setting('lock_configuration')").fetchall()[0][0]:
        connection.execute("SET lock_configuration = true")
    return statements[0]


def _without_time_zones(sql: str, columns: Sequence[Column]) -> str:
    """Return the query with times in UTC as plain ones: DuckDB hands out others only with a further package."""
    names = [f"c{place}" for place in range(len(columns))]
    fields = (
        f"timezone('UTC', {name})" if column.description == "TIMESTAMP WITH TIME ZONE" else name
        for name, column in zip(names, columns, strict=True)
    )
    return f"SELECT {', '.join(fields)} FROM ({sql.rstrip().rstrip(';')}\n) AS t({', '.join(names)})"


def _unit(kind: str) -> str:
    """Return the unit of a column of SQL: that it is a number is all that is known."""
    return NUMBER if kind.endswith("INT") or kind in ("DOUBLE", "FLOAT", "INTEGER") or kind[:7] == "DECIMAL" else TEXT
