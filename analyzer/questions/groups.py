"""Groups rows by dimensions: the SQL of the groups in each part of a log, and the table of those of all parts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analyzer.archive.selection import NeededRows, count_reads, fetch_rows, lookup_reads
from analyzer.errors import Message, Option, UsageError
from analyzer.questions.dimensions import DIMENSIONS, LOCAL_TIMES, UTC_TIMES, Dimension
from analyzer.questions.options import UTC, GroupOptions
from analyzer.questions.scope import Gathered, Scope
from analyzer.table import FLAG, HASH, NAME, RATIO, Column, Table, select_list
from analyzer.text import closest_match
from analyzer.validation import require_choice

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

COVERED_PERIOD = """
SELECT greatest(min(first_at), coalesce($since::TIMESTAMP, min(first_at))),
       least(max(last_at), coalesce($until::TIMESTAMP, max(last_at)))
FROM log_period
"""
TIME_ZONES = "SELECT name FROM pg_timezone_names() ORDER BY name"


def dimension(name: str) -> Dimension:
    """Return the dimension `name`; raise UsageError if there is none."""
    require_choice("by", name, DIMENSIONS)
    return DIMENSIONS[name]


def check_groups(connection: "DuckDBPyConnection", options: GroupOptions, needs_both_for: str = "") -> list[Dimension]:
    """Return the dimensions of `options`; `needs_both_for` is the name of the command if it has no groups by `source`.

    Raises:
        UsageError: an unknown dimension or time zone.
    """
    dimensions = [dimension(name) for name in options.by]
    if needs_both_for and "source" in options.by:
        raise UsageError(Option("by", "source"), f": `{needs_both_for}` needs both events of a lookup; leave it out")
    check_time_zone(connection, options.tz)
    return dimensions


def check_time_zone(connection: "DuckDBPyConnection", name: str) -> None:
    """Raise UsageError unless `name` is an IANA time zone."""
    if name == UTC:
        return
    zones = [zone for (zone,) in fetch_rows(connection, TIME_ZONES, {})]
    if name not in zones:
        # Places are compared without their region too, so that `berlin` suggests Europe/Berlin.
        places = {zone.rpartition("/")[2].lower(): zone for zone in zones} | {zone.lower(): zone for zone in zones}
        match = closest_match(name.lower(), places)
        hint = f"did you mean {places[match]}?" if match else "use an IANA name such as Europe/Berlin"
        raise UsageError(Option("tz", name), f": no such time zone; {hint}")


def group_reads(scope: Scope, dimensions: Sequence[Dimension]) -> dict[str, NeededRows]:
    """Return the relations that counts by `dimensions` are computed from, with the rows that are needed."""
    if any(one.by_lookup for one in dimensions):
        return lookup_reads(scope.selection)
    return count_reads(scope.selection, scope.cuts)


def group_counts(rows: str, names: Sequence[str], tz: str, counts: str) -> str:
    """Return the SQL of `rows` grouped by the dimensions `names`: keys, labels, and the aggregates `counts`.

    `rows` is SQL in parentheses, with the columns of `session_quarter` that the dimensions and `counts` use; `$tz` is
    the time zone. Labels are a part of the answer, because only this part of the log may have the names.
    """
    dimensions = [DIMENSIONS[name] for name in names]
    keys = ", ".join(one.key_name for one in dimensions)
    selected = ", ".join([keys, *group_labels(dimensions), counts])
    return f"SELECT {selected} FROM ({with_keys(rows, dimensions, tz)}) GROUP BY {keys}"


def with_keys(rows: str, dimensions: Sequence[Dimension], tz: str) -> str:
    """Return the SQL of `rows` with a column for the key of each dimension."""
    times = (UTC_TIMES if tz == UTC else LOCAL_TIMES).replace("{counted}", rows)
    return f"SELECT *{''.join(f', {one.key} AS {one.key_name}' for one in dimensions)} FROM {times} AS x"


def group_labels(dimensions: Sequence[Dimension]) -> list[str]:
    """Return the SQL of the labels of groups, over their keys."""
    labels = [f"{one.over_key(one.label)} AS label_{one.name}" for one in dimensions]
    if any(one.unit == HASH for one in dimensions):
        labels.append("(SELECT n.name FROM name n WHERE n.hash_id = key_hash) AS label_name")
    return labels


def label_columns(dimensions: Sequence[Dimension]) -> list[Column]:
    """Return the columns that name groups, over the rows of all parts."""
    columns = [Column(one.name, one.unit, one.description, sql=f"any_value(label_{one.name})") for one in dimensions]
    if any(one.unit == HASH for one in dimensions):
        columns.append(
            Column("name", NAME, "the task of the hash, if a run summary lists it", sql="any_value(label_name)")
        )
    return columns


def grouped_table(
    scope: Scope, gathered: Gathered, columns: Sequence[Column], options: GroupOptions, largest: str = "lookups",
    parameters: Mapping[str, Any] | None = None,
) -> Table:  # fmt: skip
    """Return the table by the dimensions of `options`, named after them (`by_day`, `by_team_ci`): one row per group.

    `columns` are over the rows `groups` that all parts gave; the first rate is the main one. Groups are sorted by
    `options.sort`, else by time, else by the column `largest`.

    Raises:
        UsageError: an unknown column to sort by.
    """
    dimensions = [dimension(name) for name in options.by]
    columns = [*label_columns(dimensions), *columns, *_partial_columns(dimensions)]
    keys = ", ".join(one.key_name for one in dimensions)
    ((covered_from, covered_until),) = fetch_rows(scope.log.connection, COVERED_PERIOD, {
        "since": scope.selection.since, "until": scope.selection.until})  # fmt: skip
    period = {"covered_from": covered_from, "covered_until": covered_until}
    order = _order_by(options, columns, dimensions, largest)
    query = f"SELECT {select_list(columns)} FROM {{parts}} GROUP BY {keys} ORDER BY {order}"
    rows = gathered.rows("groups", query, tz=options.tz, **period, **(parameters or {}))
    rate = next(column for column in columns if column.unit == RATIO)
    in_time_order = len(dimensions) == 1 and dimensions[0].bounds is not None and not options.sort
    sorted_by = [key.removeprefix("-") for key in options.sort.split(",")] if options.sort else []
    name = "by_" + "_".join(options.by)
    return Table(name, columns, rows, by=options.by, bar=rate.name, sorted_by=sorted_by, in_time_order=in_time_order)


def list_groups(table: Table, options: GroupOptions) -> tuple[Table, list[str]]:
    """Return a table of groups without those that the options leave out, and notes on these and on unknown names."""
    names = [column.name for column in table.columns]
    lookups, notes = names.index("lookups"), list(_unknown_names(table, options))
    rows = [row for row in table.rows if row[lookups] >= (options.min_lookups or 0)]
    if left_out := len(table.rows) - len(rows):
        text = f"groups with fewer than {options.min_lookups:,} lookups, left out: {left_out:,} ("
        notes.append(Message(text, Option("min_lookups"), ")"))
    if options.limit is not None and options.limit < len(rows):
        notes.append(Message(f"{options.limit:,} of {len(rows):,} groups shown (", Option("limit"), ")"))
    return replace(table, rows=rows[: options.limit]), notes


def _unknown_names(table: Table, options: GroupOptions) -> Iterator[str]:
    """Yield a note for each dimension that only run summaries name, if it is unknown for some lookups."""
    rows = table.records()
    total = sum(row["lookups"] for row in rows)
    for name in options.by:
        known = sum(row["lookups"] for row in rows if row[name] is not None)
        if DIMENSIONS[name].of_runs and known < total:
            yield f"only run summaries name the {name}: they do so for {known:,} of {total:,} lookups"


def _partial_columns(dimensions: Sequence[Dimension]) -> list[Column]:
    """Return the flag of buckets that are cut off, if a dimension has buckets."""
    bucket = next((one for one in dimensions if one.bounds), None)
    if not bucket or not bucket.bounds:
        return []
    start, end = map(bucket.over_key, bucket.bounds)
    sql = f"coalesce({start} < $covered_from OR {end} > $covered_until, false)"
    covered = "the log, or the selected period, covers only a part of the bucket"
    return [Column("partial", FLAG, covered, marks=bucket.name, sql=sql)]


def _order_by(options: GroupOptions, columns: Sequence[Column], dimensions: Sequence[Dimension], largest: str) -> str:
    """Return the ORDER BY list: `options.sort`; by default groups by their size, but with buckets of time by name."""
    # Buckets sort by their key: labels of hours have an offset, and do not sort by time.
    keys = [dimension.key_name if dimension.bounds else f'"{dimension.name}"' for dimension in dimensions]
    ties = ", ".join(f"{key} NULLS LAST" for key in keys)
    if options.sort is None:
        return ties if any(one.bounds for one in dimensions) else f'"{largest}" DESC, {ties}'
    sortable = {column.name: column.name for column in columns}
    if options.priced:
        # Columns of money are added after the query; they are in proportion to the columns of time.
        sortable |= {column.removesuffix("_ms") + "_cost": column for column in sortable if column.endswith("_ms")}
    orders = list[str]()
    for key in options.sort.split(","):
        name = key.removeprefix("-")
        if not name:
            raise UsageError(Option("sort", options.sort), ": a column is missing; write names, separated by commas")
        require_choice("sort", name, sortable)
        orders.append(f'"{sortable[name]}" {"DESC" if key.startswith("-") else "ASC"} NULLS LAST')
    return ", ".join([*orders, ties])
