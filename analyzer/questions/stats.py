"""`stats`: computes hit rates and time saved, in total and by any combination of dimensions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from analyzer.archive.accounting import Accounting
from analyzer.archive.counts import ADDED_COUNTS
from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import ALL_ROWS, Selection, count_reads, fetch_rows, lookup_reads, select_lookups
from analyzer.errors import Message, Option, UsageError
from analyzer.questions.dimensions import DIMENSIONS, LOCAL_TIMES, UTC_TIMES, Dimension
from analyzer.questions.measures import MEASURES, NET_SAVED, SESSIONS, Measure
from analyzer.questions.options import UTC, StatsOptions
from analyzer.questions.report import Report, build_report
from analyzer.questions.scope import Given, Rows, Scope, Step, select_scope
from analyzer.table import FLAG, HASH, NAME, TEXT, Column, Table, select_list
from analyzer.text import closest_match
from analyzer.validation import require_choice

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

COVERED_PERIOD = """
SELECT greatest(min(first_at), coalesce($since::TIMESTAMP, min(first_at))),
       least(max(last_at), coalesce($until::TIMESTAMP, max(last_at)))
FROM log_period
"""
# As the relation `session_quarters`, but with the id of the session: names are longer.
COUNTED = "(SELECT *, session_id AS session FROM {counted})"
TIME_ZONES = "SELECT name FROM pg_timezone_names() ORDER BY name"

DEFINITION_COLUMNS = (
    Column("name", TEXT, "name of the measure"),
    Column("unit", TEXT, "its unit"),
    Column("definition", TEXT, "how it is defined"),
    Column("caveat", TEXT, "what to consider when reading it"),
    Column("sql", TEXT, "the query that computes it on an archive"),
)


def stats(log: OpenLog, selection: Selection, options: StatsOptions) -> Report:
    """Answer `stats`: the table `totals`, and one by the dimensions of `options.by`, if there are any.

    Raises:
        UsageError: an unknown dimension, column or time zone.
        QueryError: SQL of the selection does not run.
    """
    dimensions = [dimension(name) for name in options.by]
    check_time_zone(log.connection, options.tz)
    scope = select_scope(log, selection)
    tables, notes = [totals_table(scope, options)], list[str]()
    if dimensions:
        table = groups_table(scope, dimensions, options)
        lookups = [column.name for column in table.columns].index("lookups")
        rows = [row for row in table.rows if row[lookups] >= (options.min_lookups or 0)]
        if left_out := len(table.rows) - len(rows):
            text = f"groups with fewer than {options.min_lookups:,} lookups, left out: {left_out:,} ("
            notes.append(Message(text, Option("min_lookups"), ")"))
        tables.append(replace(table, rows=rows[: options.limit]))
        if options.limit is not None and options.limit < len(rows):
            notes.append(Message(f"{options.limit:,} of {len(rows):,} groups shown (", Option("limit"), ")"))
    primary = tables[-1]
    if options.explain:
        tables.append(definitions_table(options))
    return build_report("stats", scope, tables, primary, notes)


def explain_measures(options: StatsOptions) -> Report:
    """Answer `stats` with `explain` and without a log: the table `definitions` alone."""
    table = definitions_table(options)
    return Report("stats", Accounting(), [table], table)


def needs_lookups_only(selection: Selection, options: StatsOptions) -> bool:
    """Return whether the answer needs nothing but the lookups and their times, so that loading can skip the rest."""
    return selection.filters_only_times and all(dimension(name).bounds for name in options.by)


def dimension(name: str) -> Dimension:
    """Return the dimension `name`; raise UsageError if there is none."""
    require_choice("by", name, DIMENSIONS)
    return DIMENSIONS[name]


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


def measures_for(options: StatsOptions) -> tuple[Measure, ...]:
    """Return the measures of an answer: net savings too, if the cost of restoring is given."""
    return (*MEASURES, NET_SAVED) if options.restore_ms else MEASURES


def _measure_columns(options: StatsOptions, *, one_sided: bool) -> list[Column]:
    """Return the measures as columns over the counts of parts."""
    return [
        # A lookup of which only one event was selected would look like one that asked one cache.
        replace(measure, sql="NULL" if measure.both_sides and one_sided else measure.merge_sql or measure.sql)
        for measure in measures_for(options)
    ]


def _parameters(options: StatsOptions) -> dict[str, float]:
    """Return the values of the parameters in the measures' SQL, by name."""
    return dict(zip(("restore_local", "restore_remote"), options.restore_ms or (), strict=False))


def totals_table(scope: Scope, options: StatsOptions) -> Table:
    """Return the table `totals`: one row, one column per measure."""
    columns = _measure_columns(options, one_sided=scope.selection.source is not None)
    reads = count_reads(scope.selection, scope.cuts)
    gathered = scope.gather([Step("session_id", _count_all, reads)])
    rows = gathered.rows("totals", f"SELECT {select_list(columns)} FROM {{parts}}", **_parameters(options))
    return Table("totals", columns, rows, upright=True)


def _count_all(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({"totals": Rows(scope.selected, f"SELECT {ADDED_COUNTS}, {SESSIONS} AS sessions FROM {COUNTED}")})


def groups_table(scope: Scope, dimensions: Sequence[Dimension], options: StatsOptions) -> Table:
    """Return the table by `dimensions`, named after them (`by_day`, `by_team_ci`): one row per group.

    Raises:
        UsageError: an unknown column to sort by.
    """
    by_source, by_lookup = "source" in options.by, any(one.by_lookup for one in dimensions)
    one_sided = by_source or scope.selection.source is not None
    measures = _measure_columns(options, one_sided=one_sided)
    columns = [*_group_columns(dimensions), *measures, *_partial_columns(dimensions)]
    order, keys = _order_by(options, columns, dimensions), ", ".join(one.key_name for one in dimensions)
    reads = count_reads(scope.selection, scope.cuts)
    if by_source:
        reads = {"event": ALL_ROWS}
    elif by_lookup:
        reads = lookup_reads(scope.selection)
    gathered = scope.gather([Step("session_id", _count_groups, reads)], tuple(one.name for one in dimensions), options)
    ((covered_from, covered_until),) = fetch_rows(scope.log.connection, COVERED_PERIOD, {
        "since": scope.selection.since, "until": scope.selection.until})  # fmt: skip
    period = {"covered_from": covered_from, "covered_until": covered_until}
    query = f"SELECT {select_list(columns)} FROM {{parts}} GROUP BY {keys} ORDER BY {order}"
    rows = gathered.rows("groups", query, tz=options.tz, **period, **_parameters(options))
    return Table("by_" + "_".join(one.name for one in dimensions), columns, rows)


def _count_groups(scope: Scope, _passed: Mapping[str, Rows], names: Sequence[str], options: StatsOptions) -> Given:
    """Count the lookups of each group; its keys, and its label, which may be a name that only this part knows."""
    dimensions, selected = [DIMENSIONS[name] for name in names], scope.selected
    if "source" in names:
        selected = select_lookups(scope.log.connection, scope.selection, by_source=True)
    if any(one.by_lookup for one in dimensions):
        selected = selected.by_lookup()
    times = UTC_TIMES if options.tz == UTC else LOCAL_TIMES
    keys = ", ".join(f"{one.key} AS {one.key_name}" for one in dimensions)
    labels = ", ".join(f"{one.over_key(one.label)} AS label_{one.name}" for one in dimensions)
    if any(one.unit == HASH for one in dimensions):
        labels += ", (SELECT n.name FROM name n WHERE n.hash_id = key_hash) AS name"
    key_names = ", ".join(one.key_name for one in dimensions)
    sql = f"""
        SELECT {key_names}, {labels}, {ADDED_COUNTS}, {SESSIONS} AS sessions
        FROM (SELECT *, session_id AS session, {keys} FROM {times} AS x) GROUP BY {key_names}"""
    return Given({"groups": Rows(selected, sql, {"tz": options.tz})})


def _group_columns(dimensions: Sequence[Dimension]) -> list[Column]:
    columns = [Column(one.name, one.unit, one.description, sql=f"any_value(label_{one.name})") for one in dimensions]
    if any(one.unit == HASH for one in dimensions):
        columns.append(Column("name", NAME, "the task of the hash, if a run summary lists it", sql="any_value(name)"))
    return columns


def _partial_columns(dimensions: Sequence[Dimension]) -> list[Column]:
    """Return the flag of buckets that are cut off, if a dimension has buckets."""
    bucket = next((one for one in dimensions if one.bounds), None)
    if not bucket or not bucket.bounds:
        return []
    start, end = map(bucket.over_key, bucket.bounds)
    sql = f"coalesce({start} < $covered_from OR {end} > $covered_until, false)"
    return [Column("partial", FLAG, "the log, or the selected period, covers only a part of the bucket", sql=sql)]


def _order_by(options: StatsOptions, columns: Sequence[Column], dimensions: Sequence[Dimension]) -> str:
    """Return the ORDER BY list: `options.sort`; by default groups by their size, but with buckets of time by name."""
    # Buckets sort by their key: labels of hours have an offset, and do not sort by time.
    keys = [dimension.key_name if dimension.bounds else f'"{dimension.name}"' for dimension in dimensions]
    ties = ", ".join(f"{key} NULLS LAST" for key in keys)
    if options.sort is None:
        return ties if any(one.bounds for one in dimensions) else f'"lookups" DESC, {ties}'
    name, sortable = options.sort.removeprefix("-"), {column.name: column.name for column in columns}
    if options.priced:
        # Columns of money are added after the query; they are in proportion to the columns of time.
        sortable |= {column.removesuffix("_ms") + "_cost": column for column in sortable if column.endswith("_ms")}
    require_choice("sort", name, sortable)
    return f'"{sortable[name]}" {"DESC" if options.sort.startswith("-") else "ASC"} NULLS LAST, {ties}'


def definitions_table(options: StatsOptions) -> Table:
    """Return the table `definitions`: each measure's definition, caveat, and a query that runs on an archive."""
    rows = [
        (
            one.name,
            one.unit,
            one.description,
            one.caveat or None,
            f"SELECT {_literal(one.sql, options)} FROM session_quarters",
        )
        for one in measures_for(options)
    ]
    return Table("definitions", DEFINITION_COLUMNS, rows)


def _literal(sql: str, options: StatsOptions) -> str:
    """Return a measure's SQL with the values of its parameters written out."""
    for name, value in _parameters(options).items():
        sql = sql.replace(f"${name}", f"{value:g}")
    return sql
