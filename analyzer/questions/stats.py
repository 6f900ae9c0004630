"""Hit rates and time saved: totals, and the same by any dimensions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analyzer.archive.accounting import Accounting
from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import LookupsQuery, Selection, fetch_rows, select_lookups
from analyzer.errors import Message, Option, UsageError
from analyzer.questions.dimensions import DIMENSIONS, UTC, Dimension
from analyzer.questions.measures import MEASURES, NET_SAVED, Measure
from analyzer.questions.options import StatsOptions
from analyzer.questions.report import Report, build_report, select_scope
from analyzer.table import FLAG, HASH, NAME, TEXT, Column, Table
from analyzer.text import closest_match

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


PARTIAL = Column("partial", FLAG, "the log, or the time asked for, covers only a part of it")
NAME_COLUMN = Column("name", NAME, "the task that the hash is of, where run summaries tell")
NAME_OF = "(SELECT n.name FROM name n WHERE n.hash_id = {key})"
COVERED = """
SELECT greatest(min(first_at), coalesce($since::TIMESTAMP, min(first_at))),
       least(max(last_at), coalesce($until::TIMESTAMP, max(last_at)))
FROM session_summary
"""


def measures_of(options: StatsOptions) -> tuple[Measure, ...]:
    """Return what is measured of each group: net savings too, where the cost of restoring is known."""
    return (*MEASURES, NET_SAVED) if options.restore_ms else MEASURES


def measure_columns(options: StatsOptions) -> list[Column]:
    """Return the columns of the measures."""
    return [Column(measure.name, measure.unit, measure.definition, measure.detail) for measure in measures_of(options)]


def _parameters(options: StatsOptions) -> dict[str, float]:
    """Return the values of the parameters in the measures' SQL, by name."""
    return dict(zip(("restore_local", "restore_remote"), options.restore_ms or (), strict=False))


def _with_parameters(sql: str, options: StatsOptions) -> str:
    """Return a measure's SQL with its parameters written out."""
    for name, value in _parameters(options).items():
        sql = sql.replace(f"${name}", f"{value:g}")
    return sql


def totals_table(selected: LookupsQuery, options: StatsOptions) -> Table:
    """Return the table `totals`: one row, a column a measure."""
    question = f"SELECT {', '.join(_measures(selected, options))} FROM {{selected}}"
    return Table("totals", measure_columns(options), selected.rows(question, **_parameters(options)), upright=True)


def _measures(selected: LookupsQuery, options: StatsOptions) -> list[str]:
    return ["NULL" if measure.both_sides and selected.one_sided else measure.sql for measure in measures_of(options)]


def dimension(name: str) -> Dimension:
    """Return the dimension of a name; an unknown one is a UsageError."""
    if name not in DIMENSIONS:
        hint = _hint(closest_match(name, DIMENSIONS))
        raise UsageError(Option("by", name), f": no such dimension{hint} There are {', '.join(DIMENSIONS)}")
    return DIMENSIONS[name]


TIME_ZONES = "SELECT name FROM pg_timezone_names() ORDER BY name"


def check_time_zone(connection: "DuckDBPyConnection", name: str) -> None:
    """Raise a UsageError where there is no such time zone."""
    if name == UTC:
        return
    known = [known for (known,) in fetch_rows(connection, TIME_ZONES, {})]
    if name not in known:
        places = {one.rpartition("/")[2].lower(): one for one in known} | {one.lower(): one for one in known}
        near = closest_match(name.lower(), places)
        hint = f"{_hint(near and places[near])} IANA names are taken, such as Europe/Berlin"
        raise UsageError(Option("tz", name), f": no such time zone{hint}")


def _hint(near: str | None) -> str:
    return f"; did you mean {near}?" if near else "."


def groups_table(
    selected: LookupsQuery, dimensions: Sequence[Dimension], options: StatsOptions, selection: Selection
) -> Table:
    """Return the table by `dimensions`, one named for them (`by_day`, `by_team_ci`): a row a group.

    Raises:
        UsageError: an unknown column to sort by.
    """
    time = next((dimension for dimension in dimensions if dimension.start), None)
    columns = [Column(one.name, HASH if one.named else TEXT, one.description) for one in dimensions]
    columns += [NAME_COLUMN for one in dimensions if one.named]
    columns += [*measure_columns(options), PARTIAL] if time else measure_columns(options)
    question = _question(dimensions, _measures(selected, options), options.tz, _order(options, columns, dimensions))
    covered = fetch_rows(selected.connection, COVERED, {"since": selection.since, "until": selection.until})[0]
    times = {"tz": options.tz, "covered_from": covered[0], "covered_until": covered[1]}
    rows = selected.rows(question, **times, **_parameters(options))
    return Table("by_" + "_".join(dimension.name for dimension in dimensions), columns, rows)


def _question(dimensions: Sequence[Dimension], measures: list[str], tz: str, order: str) -> str:
    """Return the query by dimensions: labels are made of groups, not of lookups."""
    keys = [f"key_{dimension.name}" for dimension in dimensions]
    keyed = [f"{dimension.keyed(tz)} AS {key}" for dimension, key in zip(dimensions, keys, strict=True)]
    labels = [dimension.label.replace("{key}", key) for dimension, key in zip(dimensions, keys, strict=True)]
    names = [NAME_OF.replace("{key}", key) for one, key in zip(dimensions, keys, strict=True) if one.named]
    shown = labels + names + measures
    time = next((n for n, dimension in enumerate(dimensions) if dimension.start), None)
    if time is not None:
        start, end = (str(text).replace("{key}", keys[time]) for text in (dimensions[time].start, dimensions[time].end))
        shown.append(f"coalesce({start} < $covered_from OR {end} > $covered_until, false)")
    rows = f"SELECT *, {', '.join(keyed)} FROM {{selected}} AS x"
    return f"SELECT {', '.join(shown)} FROM ({rows}) GROUP BY {', '.join(keys)} ORDER BY {order}"


def _order(options: StatsOptions, columns: Sequence[Column], dimensions: Sequence[Dimension]) -> str:
    """Return the ORDER BY: what was asked for; else time buckets in order, other groups by size."""
    names = [column.name for column in columns]
    places = (f"key_{one.name}" if one.start else str(place) for place, one in enumerate(dimensions, start=1))
    ties = ", ".join(f"{place} NULLS LAST" for place in places)
    sort = options.sort
    if sort is None:
        if dimensions[0].start:
            return ties
        return f"{names.index('lookups') + 1} DESC, {ties}"
    name = sort.removeprefix("-")
    if options.priced and name.endswith("_cost"):
        name = f"{name.removesuffix('_cost')}_ms"
    if name not in names:
        hint = _hint(closest_match(name, names))
        raise UsageError(Option("sort", sort), f": no such column{hint} There are {', '.join(names)}")
    return f"{names.index(name) + 1} {'DESC' if sort.startswith('-') else 'ASC'} NULLS LAST, {ties}"


def definitions_table(options: StatsOptions) -> Table:
    """Return each measure's definition, caveats and SQL."""
    columns = (
        Column("name", TEXT, "the measure"),
        Column("unit", TEXT, "its unit"),
        Column("definition", TEXT, "what it is"),
        Column("caveat", TEXT, "what to keep in mind"),
        Column("sql", TEXT, "how an archive is asked for it (analyzer sql)"),
    )
    rows: list[tuple[Any, ...]] = [
        (m.name, m.unit, m.definition, m.caveat or None, f"SELECT {_with_parameters(m.sql, options)} FROM lookups")
        for m in measures_of(options)
    ]
    return Table("definitions", columns, rows)


def needs_lookups_only(selection: Selection, options: StatsOptions) -> bool:
    """Tell whether a question is about lookups and their times, and no name or context."""
    return selection.is_of_times and all(dimension(name).start for name in options.by)


def stats(log: OpenLog, selection: Selection, options: StatsOptions) -> Report:
    """Answer `stats`: the table `totals`, and with dimensions one by them.

    Raises:
        UsageError: an unknown dimension, column or time zone.
        QueryError: SQL of the selection does not run.
    """
    dimensions = [dimension(name) for name in options.by]
    check_time_zone(log.connection, options.tz)
    asked = select_scope(log, selection)
    tables, notes = [totals_table(asked.selected, options)], list[str]()
    if dimensions:
        chosen = asked.selected
        if any(one.name == "source" for one in dimensions):
            chosen = select_lookups(log.connection, selection, by_source=True)
        tables.append(_limited(groups_table(chosen, dimensions, options, selection), options.limit, notes))
    primary = tables[-1]
    if options.explain:
        tables.append(definitions_table(options))
    return build_report("stats", asked, tables, primary, notes)


def explain_measures(options: StatsOptions) -> Report:
    """Answer `stats --explain` of no log: the table `definitions` alone."""
    table = definitions_table(options)
    return Report("stats", Accounting(0, 0, 0, 0, 0, 0), [table], table)


def _limited(table: Table, limit: int | None, notes: list[str]) -> Table:
    if limit is None or len(table.rows) <= limit:
        return table
    notes.append(Message(f"{limit:,} of {len(table.rows):,} groups shown (", Option("limit"), ")"))
    return Table(table.name, table.columns, table.rows[:limit])
