"""What a command answers: its tables, and where their input went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from analyzer.archive.file import Accounting
from analyzer.archive.opening import Counts, Opened
from analyzer.archive.selection import Selection, run, select
from analyzer.errors import QueryError, UsageError
from analyzer.metrics.dimension import Dimension
from analyzer.metrics.stats import Grouping, check_time_zone, definitions, dimension, grouped, totals
from analyzer.table import BYTES, COUNT, NUMBER, TEXT, Heading, Table

QUERIES = frozenset({"SELECT"})
UNTIMED = "SELECT coalesce(sum(events), 0)::BIGINT FROM store.lookup WHERE first_at IS NULL"


@dataclass(frozen=True, slots=True)
class Report:
    """A command's answer. `primary` is the table that formats of a single table show; JSON has `facts` beside it."""

    command: str
    accounting: Accounting
    tables: Sequence[Table]
    primary: Table
    notes: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def account(counts: Counts, kept: int) -> Accounting:
    """Account for the input: what is not kept of the events that were read has been filtered."""
    return Accounting(counts.read, kept, counts.rejected, counts.kept - kept, counts.duplicate, counts.files)


def needs_lookups_only(selection: Selection, grouping: Grouping) -> bool:
    """Tell whether a question is about lookups and their times, and no name or context."""
    named = selection.team or selection.ci or selection.session or selection.hash or selection.interactive is not None
    return not named and not selection.chooses_events and all(dimension(name).start for name in grouping.by)


def stats(opened: Opened, selection: Selection, grouping: Grouping, *, explain: bool = False) -> Report:
    """Answer `stats`: the table `totals`, and with dimensions one by them.

    Raises:
        UsageError: an unknown dimension, column or time zone.
        QueryError: SQL of the selection does not run.
    """
    dimensions = _dimensions(grouping)
    check_time_zone(opened.connection, grouping.tz)
    selected = select(opened.connection, selection)
    tables = [totals(selected)]
    counts = opened.counts()
    notes = _early(opened) + _untimed(opened, selection) + _chosen(opened, selection, counts, tables[0].rows[0][0])
    if dimensions:
        if any(one.name == "source" for one in dimensions):
            selected = select(opened.connection, selection, by_source=True)
        tables.append(_cut(grouped(selected, dimensions, grouping, selection), grouping.limit, notes))
    primary = tables[-1]
    if explain:
        tables.append(definitions())
    return Report("stats", account(counts, tables[0].rows[0][0]), tables, primary, notes)


FILE_COLUMNS = (
    Heading("file", TEXT, "the file, as it was named"),
    Heading("format", TEXT, "the format its content shows"),
    Heading("compression", TEXT, "the compression its content shows", detail=True),
    Heading("size_bytes", BYTES, "its plain bytes, decompressed", detail=True),
    Heading("read", COUNT, "events and items in the place of one"),
    Heading("kept", COUNT, "events now in the archive"),
    Heading("rejected", COUNT, "items that are no valid event"),
    Heading("duplicate", COUNT, "events not loaded again, as a file of the same content was loaded before"),
    Heading("duplicate_of", TEXT, "that file", detail=True),
)


def load(opened: Opened) -> Report:
    """Answer `load`: the table `files`, a row a file."""
    rows = [
        (r.name, r.format, r.compression, r.content.size_bytes, r.read, r.kept, r.rejected, r.duplicate, r.duplicate_of)
        for r in opened.intake.files
    ]
    table = Table("files", FILE_COLUMNS, rows)
    counts = opened.counts_now()
    return Report("load", account(counts, counts.kept), [table], table)


def query(opened: Opened, sql: str) -> Report:
    """Answer `sql`: the table `result`.

    Raises:
        QueryError: the SQL does not run, or is no query.
    """
    import duckdb  # noqa: PLC0415  (loaded already; only its error is needed)

    connection = opened.connection
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type.name not in QUERIES:
            raise QueryError("only one query is taken: SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or SHOW")
        connection.execute("SET lock_configuration = true")
        result = connection.execute(statements[0])
        columns = [Heading(name, _unit(str(kind)), str(kind)) for name, kind, *_ in result.description or ()]
        if any("TIME ZONE" in column.description for column in columns):
            result = connection.execute(_without_time_zones(sql, columns))
        rows = result.fetchall()
    except duckdb.Error as error:
        raise QueryError(str(error)) from None
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise QueryError(f"two columns have one name ({', '.join(names)}); name them apart with AS")
    table = Table("result", columns, rows)
    counts = opened.counts()
    return Report("sql", account(counts, counts.kept), [table], table)


def _without_time_zones(sql: str, columns: Sequence[Heading]) -> str:
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


def _dimensions(grouping: Grouping) -> list[Dimension]:
    """Return what is grouped by.

    Raises:
        UsageError: an unknown dimension, one named twice, or groups asked for without one.
    """
    if len(set(grouping.by)) < len(grouping.by):
        raise UsageError(f"--by {','.join(grouping.by)}: a dimension is named twice")
    if not grouping.by and (grouping.sort or grouping.limit):
        raise UsageError("--sort and --limit are for groups: add --by DIM")
    return [dimension(name) for name in grouping.by]


def _cut(table: Table, limit: int | None, notes: list[str]) -> Table:
    if limit is None or len(table.rows) <= limit:
        return table
    notes.append(f"{limit:,} of {len(table.rows):,} groups shown (--limit)")
    return Table(table.name, table.columns, table.rows[:limit])


EARLIEST = "SELECT min(first_at) FROM store.session_summary"
FIRST_TURBO = datetime(2021, 12, 1)  # noqa: DTZ001  (times are naive UTC here)
"""No build client reported events before."""


def _early(opened: Opened) -> list[str]:
    """Say where times are older than they can be."""
    earliest = run(opened.connection, EARLIEST, {})[0][0]
    if earliest is None or earliest >= FIRST_TURBO:
        return []
    return [f"the earliest event is of {earliest} UTC: numbers are read as milliseconds since 1970; are they seconds?"]


KNOWN = """
SELECT list(DISTINCT team ORDER BY team), list(DISTINCT ci ORDER BY ci), min(first_at), max(last_at)
FROM store.session_summary s LEFT JOIN store.context c ON c.id = s.context_id
"""


def _chosen(opened: Opened, selection: Selection, counts: Counts, kept: int) -> list[str]:
    """Say what filters mean for the numbers, and what there is where they leave nothing."""
    if kept or not counts.kept:
        only = "--source, --event, --status and --where choose single events: rates are of what they leave"
        return [only] if selection.chooses_events else []
    teams, vendors, first_at, last_at = run(opened.connection, KNOWN, {})[0]
    there = f"the log is from {first_at} to {last_at} UTC"
    for name, values in (("teams", teams), ("CI vendors", vendors)):
        known = [value for value in values or () if value is not None]
        there += f"; {name}: {', '.join(known[:10])}" if known else ""
    return [f"the filters leave none of {counts.kept:,} events; {there}"]


def _untimed(opened: Opened, selection: Selection) -> list[str]:
    """Say how many events a time filter drops for having no time."""
    if not (selection.since or selection.until):
        return []
    untimed = run(opened.connection, UNTIMED, {})[0][0]
    return [f"{untimed:,} events without a time are left out by the time filter"] if untimed else []
