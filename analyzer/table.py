"""A table that describes itself: the form in which every answer leaves the library."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

COUNT, RATIO, MS, TIME, FLAG, BYTES, TEXT, NUMBER = "count", "ratio", "ms", "UTC", "flag", "bytes", "", "number"
"""The units of columns. A ratio is between 0 and 1; a time is naive UTC; a number is of a unit that is not known."""

POINTS = "points"
"""The unit of the absolute difference of two ratios, written in percentage points without a sign."""

RATIO_CHANGE, MS_CHANGE, FACTOR = "ratio change", "ms change", "factor"
"""The units of differences: of two ratios (people read points), of two times, and of one number to another."""

MONEY, MONEY_CHANGE = "money", "money change"
"""Money, of whatever currency the cost of a minute is given in."""

FRACTIONS = (RATIO, MS, RATIO_CHANGE, MS_CHANGE, FACTOR, MONEY, MONEY_CHANGE)
"""The units whose values need not be whole."""

BY_ROW = "by row"
"""The unit of a column whose unit stands in the row's column `unit`."""

HASH, NAME = "hash", "name"
"""The unit of a hash, and of the name of the task it is of: where people read, `web#build (43b7f843…)` is both."""

BOUNDS, A_TO_B = "bounds", "a to b"
"""Columns that people read in one cell: a value and its bounds, `81.9 % (79.7…84.1)`; A's value and B's, `2 → 3`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: name, unit and meaning. A `detail` is left out where people read, and said to be.

    One that is `read_with` BOUNDS or A_TO_B is read in one cell with the two columns, or the one, that follow it.
    """

    name: str
    unit: str
    description: str
    detail: bool = False
    read_with: str = ""
    sql: str = ""
    """The expression that computes the column, where its rows come from one SELECT."""


def select_list(columns: Sequence[Column]) -> str:
    """Return the SELECT list that computes the columns that have SQL, each under its own name.

    >>> select_list([Column("lookups", COUNT, "all lookups", sql="count(*)")])
    'count(*) AS "lookups"'
    """
    return ", ".join(f'{column.sql} AS "{column.name}"' for column in columns if column.sql)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: rows are tuples in the order of the columns; values raw, null where there is no answer.

    One that is `upright` has few rows, which people read from top to bottom; of several, the first cell names each.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[tuple[Any, ...]]
    upright: bool = False
    from_user_sql: bool = False
    """Whether the columns are those of the user's SQL, whose names are displayed unchanged."""

    @property
    def is_list(self) -> bool:
        """Whether people read it as a list of names and values: it is upright, and has no two rows."""
        return self.upright and len(self.rows) <= 1

    @classmethod
    def from_records(
        cls, name: str, columns: Sequence[Column], records: Iterable[Mapping[str, Any]], *, upright: bool = False
    ) -> Self:
        """Return a table whose rows take each column's value from a record by the column's name."""
        return cls(name, columns, [tuple(record[one.name] for one in columns) for record in records], upright)

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries by column name."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def select(self, names: Sequence[str], name: str | None = None) -> Self:
        """Return a table with the columns `names`, in this order, under another `name` if one is given."""
        columns = {column.name: column for column in self.columns}
        selected = self.from_records(name or self.name, [columns[one] for one in names], self.records())
        return replace(selected, upright=self.upright)


FEW_LOOKUPS = 30
"""The rate of fewer lookups says little: a bar of them is faint."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with a `{}` for each value; who shows it writes the values, each in its unit."""

    text: str
    values: Sequence[tuple[Any, str]] = ()


@dataclass(frozen=True, slots=True)
class Headline:
    """A number that answers a question: what it is, its value and unit, and what that means in a sentence."""

    label: str
    value: Any
    unit: str
    meaning: Sentence


@dataclass(frozen=True, slots=True)
class Chart:
    """How a table is drawn, by the names of its columns.

    `stack`: bars over time, `x` the bucket, a part of each for each column of `y`; faint where `size` is small. `line`:
    `y` over `x`, a line for each value of `series`, its points hollow where `mark` is set, with a rule `at` a value of
    `x`. `rank`: a bar for each value of `x`, labelled with its value, of another colour where it has the `mark`, which
    is the name of a flag. `points`: `y` against `x`, each as large as `size`, those with a `mark` named by it. `heat`:
    a cell for each `x` and `y`, coloured by `value`.
    """

    kind: Literal["stack", "line", "rank", "points", "heat"]
    title: str
    description: str
    x: str
    y: Sequence[str]
    series: str | None = None
    mark: str | None = None
    size: str | None = None
    value: str | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A question of a page: its heading, the answer in words, the name of the table that has it, and its charts."""

    heading: str
    words: Sequence[Sentence]
    table: str
    charts: Sequence[Chart] = ()
