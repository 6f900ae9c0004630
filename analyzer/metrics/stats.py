"""Hit rates and time saved: totals, and the same by any dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyzer.archive.selection import Selected, Selection, run
from analyzer.errors import UsageError
from analyzer.message import Option
from analyzer.metrics.dimension import DIMENSIONS, UTC, Dimension
from analyzer.metrics.measure import Measure
from analyzer.metrics.totals import MEASURES, NET_SAVED
from analyzer.table import FLAG, HASH, NAME, TEXT, Heading, Table
from analyzer.text import nearest

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PARTIAL = Heading("partial", FLAG, "the log, or the time asked for, covers only a part of it")
NAMED = Heading("name", NAME, "the task that the hash is of, where run summaries tell")
NAME_OF = "(SELECT n.name FROM name n WHERE n.hash_id = {key})"
COVERED = """
SELECT greatest(min(first_at), coalesce($since::TIMESTAMP, min(first_at))),
       least(max(last_at), coalesce($until::TIMESTAMP, max(last_at)))
FROM session_summary
"""


@dataclass(frozen=True, slots=True)
class Grouping:
    """How the answer is grouped, sorted and cut. `sort` is a column's name, `-` before it for descending."""

    by: Sequence[str] = ()
    tz: str = UTC
    sort: str | None = None
    limit: int | None = None
    restore_ms: tuple[float, float] | None = None
    """What restoring takes, of a local and of a remote hit; where it is given, net savings are measured."""

    priced: bool = False
    """Whether columns of money will stand behind those of time: groups are sorted by these alike."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What is measured of each group."""
        return (*MEASURES, NET_SAVED) if self.restore_ms else MEASURES

    @property
    def headings(self) -> list[Heading]:
        """The measures' columns."""
        return [Heading(measure.name, measure.unit, measure.definition, measure.detail) for measure in self.measures]

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters of the measures."""
        return dict(zip(("restore_local", "restore_remote"), self.restore_ms or (), strict=False))

    def filled(self, sql: str) -> str:
        """Return a measure's SQL with its parameters written out."""
        for name, value in self.parameters.items():
            sql = sql.replace(f"${name}", f"{value:g}")
        return sql


def totals(selected: Selected, grouping: Grouping) -> Table:
    """Return the table `totals`: one row, a column a measure."""
    question = f"SELECT {', '.join(_measures(selected, grouping))} FROM {{selected}}"
    return Table("totals", grouping.headings, selected.ask(question, **grouping.parameters), upright=True)


def _measures(selected: Selected, grouping: Grouping) -> list[str]:
    return ["NULL" if measure.both_sides and selected.one_sided else measure.sql for measure in grouping.measures]


def dimension(name: str) -> Dimension:
    """Return the dimension of a name; an unknown one is a UsageError."""
    if name not in DIMENSIONS:
        hint = _hint(nearest(name, DIMENSIONS))
        raise UsageError(Option("by", name), f": no such dimension{hint} There are {', '.join(DIMENSIONS)}")
    return DIMENSIONS[name]


TIME_ZONES = "SELECT name FROM pg_timezone_names() ORDER BY name"


def check_time_zone(connection: "DuckDBPyConnection", name: str) -> None:
    """Raise a UsageError where there is no such time zone."""
    if name == UTC:
        return
    known = [known for (known,) in run(connection, TIME_ZONES, {})]
    if name not in known:
        places = {one.rpartition("/")[2].lower(): one for one in known} | {one.lower(): one for one in known}
        near = nearest(name.lower(), places)
        hint = f"{_hint(near and places[near])} IANA names are taken, such as Europe/Berlin"
        raise UsageError(Option("tz", name), f": no such time zone{hint}")


def _hint(near: str | None) -> str:
    return f"; did you mean {near}?" if near else "."


def grouped(selected: Selected, dimensions: Sequence[Dimension], grouping: Grouping, selection: Selection) -> Table:
    """Return the table by `dimensions`, one named for them (`by_day`, `by_team_ci`): a row a group.

    Raises:
        UsageError: an unknown column to sort by.
    """
    time = next((dimension for dimension in dimensions if dimension.start), None)
    columns = [Heading(one.name, HASH if one.named else TEXT, one.description) for one in dimensions]
    columns += [NAMED for one in dimensions if one.named]
    columns += [*grouping.headings, PARTIAL] if time else grouping.headings
    question = _question(dimensions, _measures(selected, grouping), grouping.tz, _order(grouping, columns, dimensions))
    covered = run(selected.connection, COVERED, {"since": selection.since, "until": selection.until})[0]
    times = {"tz": grouping.tz, "covered_from": covered[0], "covered_until": covered[1]}
    rows = selected.ask(question, **times, **grouping.parameters)
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


def _order(grouping: Grouping, columns: Sequence[Heading], dimensions: Sequence[Dimension]) -> str:
    """Return the ORDER BY: what was asked for; else time buckets in order, other groups by size."""
    names = [column.name for column in columns]
    places = (f"key_{one.name}" if one.start else str(place) for place, one in enumerate(dimensions, start=1))
    ties = ", ".join(f"{place} NULLS LAST" for place in places)
    sort = grouping.sort
    if sort is None:
        if dimensions[0].start:
            return ties
        return f"{names.index('lookups') + 1} DESC, {ties}"
    name = sort.removeprefix("-")
    if grouping.priced and name.endswith("_cost"):
        name = f"{name.removesuffix('_cost')}_ms"
    if name not in names:
        hint = _hint(nearest(name, names))
        raise UsageError(Option("sort", sort), f": no such column{hint} There are {', '.join(names)}")
    return f"{names.index(name) + 1} {'DESC' if sort.startswith('-') else 'ASC'} NULLS LAST, {ties}"


def definitions(grouping: Grouping) -> Table:
    """Return each measure's definition, caveats and SQL."""
    columns = (
        Heading("name", TEXT, "the measure"),
        Heading("unit", TEXT, "its unit"),
        Heading("definition", TEXT, "what it is"),
        Heading("caveat", TEXT, "what to keep in mind"),
        Heading("sql", TEXT, "how an archive is asked for it (analyzer sql)"),
    )
    rows: list[tuple[Any, ...]] = [
        (m.name, m.unit, m.definition, m.caveat or None, f"SELECT {grouping.filled(m.sql)} FROM lookups")
        for m in grouping.measures
    ]
    return Table("definitions", columns, rows)
