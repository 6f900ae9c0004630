"""`stats`: computes hit rates and time saved, in total and by any combination of dimensions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from analyzer.archive.accounting import Accounting
from analyzer.archive.counts import ADDED_COUNTS
from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import ALL_ROWS, Selection, count_reads, select_lookups
from analyzer.questions.dimensions import DIMENSIONS, Dimension
from analyzer.questions.groups import check_groups, dimension, group_counts, group_reads, grouped_table, list_groups
from analyzer.questions.measures import MEASURES, NET_SAVED, SESSIONS, Measure
from analyzer.questions.options import StatsOptions
from analyzer.questions.report import Report, build_report
from analyzer.questions.scope import Given, Rows, Scope, Step, select_scope
from analyzer.table import TEXT, Column, Table, select_list

# As the relation `session_quarters`, but with the id of the session: names are longer.
COUNTED = "(SELECT *, session_id AS session FROM {counted})"

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
    dimensions = check_groups(log.connection, options)
    scope = select_scope(log, selection)
    tables, notes = [totals_table(scope, options)], list[str]()
    if dimensions:
        table, notes = list_groups(groups_table(scope, dimensions, options), options)
        tables.append(table)
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
    """Return the table by `dimensions`: one row per group (see `groups.grouped_table`)."""
    by_source = "source" in options.by
    reads = {"event": ALL_ROWS} if by_source else group_reads(scope, dimensions)
    gathered = scope.gather([Step("session_id", _count_groups, reads)], tuple(one.name for one in dimensions), options)
    columns = _measure_columns(options, one_sided=by_source or scope.selection.source is not None)
    return grouped_table(scope, gathered, columns, options, parameters=_parameters(options))


def _count_groups(scope: Scope, _passed: Mapping[str, Rows], names: Sequence[str], options: StatsOptions) -> Given:
    selected = scope.selected
    if "source" in names:
        selected = select_lookups(scope.log.connection, scope.selection, by_source=True)
    if any(DIMENSIONS[name].by_lookup for name in names):
        selected = selected.by_lookup()
    sql = group_counts(COUNTED, names, options.tz, f"{ADDED_COUNTS}, {SESSIONS} AS sessions")
    return Given({"groups": Rows(selected, sql, {"tz": options.tz})})


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
