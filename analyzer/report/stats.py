"""What `stats` answers."""

from analyzer.archive.file import Accounting
from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selection, select
from analyzer.errors import UsageError
from analyzer.message import Message, Option
from analyzer.metrics.dimension import Dimension
from analyzer.metrics.stats import Grouping, check_time_zone, definitions, dimension, grouped, totals
from analyzer.report.report import Report, answer, ask
from analyzer.table import Table


def needs_lookups_only(selection: Selection, grouping: Grouping) -> bool:
    """Tell whether a question is about lookups and their times, and no name or context."""
    return selection.is_of_times and all(dimension(name).start for name in grouping.by)


def stats(opened: Opened, selection: Selection, grouping: Grouping, *, explain: bool = False) -> Report:
    """Answer `stats`: the table `totals`, and with dimensions one by them.

    Raises:
        UsageError: an unknown dimension, column or time zone.
        QueryError: SQL of the selection does not run.
    """
    dimensions = _dimensions(grouping)
    check_time_zone(opened.connection, grouping.tz)
    asked = ask(opened, selection)
    tables, notes = [totals(asked.selected, grouping)], list[str]()
    if dimensions:
        chosen = asked.selected
        if any(one.name == "source" for one in dimensions):
            chosen = select(opened.connection, selection, by_source=True)
        tables.append(_cut(grouped(chosen, dimensions, grouping, selection), grouping.limit, notes))
    primary = tables[-1]
    if explain:
        tables.append(definitions(grouping))
    return answer("stats", asked, tables, primary, notes)


def explained(grouping: Grouping) -> Report:
    """Answer `stats --explain` of no log: the table `definitions` alone."""
    table = definitions(grouping)
    return Report("stats", Accounting(0, 0, 0, 0, 0, 0), [table], table)


def _dimensions(grouping: Grouping) -> list[Dimension]:
    """Return what is grouped by.

    Raises:
        UsageError: an unknown dimension, one named twice, or groups asked for without one.
    """
    if len(set(grouping.by)) < len(grouping.by):
        raise UsageError(Option("by", ",".join(grouping.by)), ": a dimension is named twice")
    if not grouping.by and (grouping.sort or grouping.limit):
        raise UsageError(Option("sort"), " and ", Option("limit"), " are for groups: add ", Option("by"))
    return [dimension(name) for name in grouping.by]


def _cut(table: Table, limit: int | None, notes: list[str]) -> Table:
    if limit is None or len(table.rows) <= limit:
        return table
    notes.append(Message(f"{limit:,} of {len(table.rows):,} groups shown (", Option("limit"), ")"))
    return Table(table.name, table.columns, table.rows[:limit])
