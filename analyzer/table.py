"""Defines self-describing results: tables whose columns have a unit and a meaning, and the parts of a page.

The library returns raw values; only `render` formats them, by the unit alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, Literal, Self

# Units of columns. A ratio is between 0 and 1; a time is naive UTC; a number has an unknown unit.
COUNT, RATIO, MS, TIME, FLAG, BYTES, TEXT, NUMBER = "count", "ratio", "ms", "UTC", "flag", "bytes", "", "number"
POINTS = "points"  # absolute difference of two ratios, displayed in percentage points without a sign
RATIO_CHANGE, MS_CHANGE, FACTOR = "ratio change", "ms change", "factor"  # two signed differences, and a quotient
MONEY, MONEY_CHANGE = "money", "money change"  # in the currency in which the user gave the cost of a minute
BY_ROW = "by row"  # each value has the unit in the column `unit` of its row
HASH, NAME = "hash", "name"  # a hash and the name of its task, displayed in one cell: `web#build (43b7f843…)`
FRACTIONS = (RATIO, MS, RATIO_CHANGE, MS_CHANGE, FACTOR, MONEY, MONEY_CHANGE)  # units whose values may be fractional
# Values of `Column.read_with`: with the two bounds that follow, `81.9 % (79.7…84.1)`; with B's value, `2 → 3`; or, for
# the share of a time that is known, beside the times before it, which are never displayed without it.
BOUNDS, A_TO_B, COVERAGE = "bounds", "a to b", "coverage"
TIMES = (MS, MONEY)

FEW_LOOKUPS = 30  # the rate of fewer is mostly chance: charts draw it faint


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: name, unit and meaning.

    A `detail` is not displayed, which the display says. `read_with` names the columns that it is displayed
    with. Data formats have all columns.
    """

    name: str
    unit: str
    description: str
    detail: bool = False
    read_with: str = ""
    marks: str = ""  # of a flag: the column whose cell it marks, if that is not the first
    sql: str = ""  # expression that computes the column, if one SELECT computes the rows


def select_list(columns: Sequence[Column]) -> str:
    """Return the SELECT list that computes those `columns` that have SQL.

    >>> select_list([Column("lookups", COUNT, "all lookups", sql="count(*)")])
    'count(*) AS "lookups"'
    """
    return ", ".join(f'{column.sql} AS "{column.name}"' for column in columns if column.sql)


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Rows are tuples of raw values in the order of the columns, None if there is no answer.

    An `upright` table is displayed transposed: a line per column, and the first column names the rows.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[tuple[Any, ...]]
    upright: bool = False
    by: Sequence[str] = ()  # the dimensions of which each row is a group
    bar: str = ""  # the column of a ratio that is also drawn on terminals, as a bar in each row
    sorted_by: Sequence[str] = ()  # the columns that the user sorted by, which are displayed in any width
    in_time_order: bool = False  # whether the rows are a series over time
    write_parquet: Callable[[BinaryIO], None] | None = None  # streams the rows of a user's query to a Parquet file
    write_csv: Callable[[BinaryIO], None] | None = None  # the same for CSV, for types that DuckDB writes as `rows` are

    @property
    def title(self) -> str:
        """The name of the table in words, such as `by team, month`."""
        return (f"by {', '.join(self.by)}" if self.by else self.name).replace("_", " ")

    @property
    def from_user_sql(self) -> bool:
        """Whether the columns are those of the user's SQL, whose names are displayed unchanged."""
        return self.write_parquet is not None

    @property
    def is_list(self) -> bool:
        """Whether the table is displayed as a list of names and values: upright, with at most one row."""
        return self.upright and len(self.rows) <= 1

    @classmethod
    def from_records(
        cls, name: str, columns: Sequence[Column], records: Iterable[Mapping[str, Any]], *, upright: bool = False
    ) -> Self:
        """Return a table whose rows take each column's value from a record by the column's name."""
        return cls(name, columns, [tuple(record[column.name] for column in columns) for record in records], upright)

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries by column name."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def select(self, names: Sequence[str], name: str | None = None) -> Self:
        """Return a table with the columns `names`, in this order, under another `name` if one is given."""
        by_name = {column.name: column for column in self.columns}
        columns = [by_name[column] for column in names]
        return self.from_records(name or self.name, columns, self.records(), upright=self.upright)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text with a `{}` for each of `values`, which are pairs of raw value and unit.

    `see` is the anchor of the section of the page that has more about it.
    """

    text: str
    values: Sequence[tuple[Any, str]] = ()
    see: str = ""


@dataclass(frozen=True, slots=True)
class Headline:
    """A key figure: its label, value and unit, a sentence that explains it, and how it changed.

    `change` is its difference from the period before, in the unit `change_unit`; None where that is unknown. `compared`
    says what was compared.
    """

    label: str
    value: Any
    unit: str
    meaning: Sentence
    change: Any = None
    change_unit: str = TEXT
    compared: str = ""
    better_if_higher: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment, or a period, that charts over time mark. Times are naive, in the time zone of the chart's buckets."""

    label: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """How to draw a table. The fields `x` to `value` are names of its columns.

    stack: bars over the time `x`, stacked from the columns `y`; a bar whose `size` is below FEW_LOOKUPS is faint, and
        one with a `mark` (a flag) has a dashed outline
    line: `y` over `x`, a line per `series`; points with a `mark` are hollow; a vertical rule at `at`
    points: `y` over `x`, the area of a point by `size`; `mark` is its label
    heat: a cell per `x` and `y`, coloured by `value`

    Charts over time show the `marks`.
    """

    kind: Literal["stack", "line", "points", "heat"]
    title: str
    description: str
    x: str
    y: Sequence[str]
    series: str | None = None
    mark: str | None = None
    size: str | None = None
    value: str | None = None
    at: float | None = None
    marks: Sequence[Mark] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page, about one table.

    Args:
        anchor: its name in links to it.
        heading: its title.
        sentences: what the table says.
        table: the name of the table.
        title: the title of the table.
        charts: charts of the table.
        bars: a column whose values are drawn as bars inside their cells.
        links: the anchors of the sections that rows are about, by the value of the first column.
        brief: whether a short page has the section too.
        reference: whether the table is there to look things up, so that it is collapsed at first.
    """

    anchor: str
    heading: str
    sentences: Sequence[Sentence]
    table: str
    title: str
    charts: Sequence[Chart] = ()
    bars: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    brief: bool = False
    reference: bool = False


# Sections of a page, each with its table; none where the log has no data for them.
Sections = Iterator[tuple[Section, Table]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that can be computed for any rows of a table: the sum of `column`, or its quotient by that of `per`.

    With `known` and `of`, names of counts: it is unknown where some of the latter are counted, and none of the former.
    """

    title: str
    unit: str
    column: str
    per: str = ""
    known: str = ""
    of: str = ""


@dataclass(frozen=True, slots=True)
class Explorer:
    """A part of a page in which readers choose a group and a period, and see the figures of these rows.

    The table has a row for each bucket of time `bucket` and each `group`, both names of columns.
    """

    anchor: str
    heading: str
    sentences: Sequence[Sentence]
    table: Table
    bucket: str
    group: str
    figures: Sequence[Figure]
