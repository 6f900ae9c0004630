"""Defines what a question is about, and how its numbers are added up over the parts of a log.

A question reads its lookups in steps, each over a part of the log. All rows with the same value of one column are in
one part: all lookups of a session, or all of a hash. A step gives rows, as SQL, from which those of all parts can be
merged, and may pass rows on to the next step, divided by another column. A log in one place is a single part: its steps
and the merge are one query.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import (
    LookupsQuery,
    NeededRows,
    Selection,
    divided_lookups,
    resolve_last,
    select_lookups,
)
from analyzer.errors import Option, UsageError


@dataclass(frozen=True, slots=True)
class Scope:
    """What a question is about: the log, the filters, and the lookups that pass them.

    With `other`, the lookups that pass `selection` or `other`. For `cuts` see `select_lookups`.
    """

    log: OpenLog
    selection: Selection
    selected: LookupsQuery
    cuts: Sequence[datetime] = ()
    other: Selection | None = None

    def gather(self, steps: "Sequence[Step]", *arguments: Any) -> "Gathered":
        """Run the steps of a question on each part of the log."""
        if self.log.divided:
            gathered: Gathered = self.log.divided.gather(self, steps, arguments)
            return gathered
        passed, rows = dict[str, Rows](), dict[str, Rows]()
        for step in steps:
            given = step.run(self, passed, *arguments)
            passed, rows = dict(given.passed), rows | dict(given.rows)
        return OnePart(rows)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a query that reads `{selected}` or `{counted}`, which stand for the lookups of `selected`."""

    selected: LookupsQuery
    sql: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def read_by(self, sql: str, **parameters: Any) -> "Rows":
        """Return the rows of a query that reads these rows as `{rows}`."""
        return Rows(self.selected, sql.replace("{rows}", f"({self.sql})"), {**self.parameters, **parameters})


@dataclass(frozen=True, slots=True)
class Given:
    """The results of a step, by name: `rows` for the merge, and rows that are `passed` to the next step."""

    rows: "Mapping[str, Rows]"
    passed: "Mapping[str, Rows]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a question. `run` takes the scope, the rows that the previous step passed, by name, and arguments.

    Rows with the same value of the column `by` are in one part. `reads` names the relations of the archive that the
    step reads, each with the rows that it needs.
    """

    by: str
    run: Callable[..., Given]
    reads: Mapping[str, NeededRows] = field(default_factory=dict)


class Gathered(Protocol):
    """The results of steps for all parts."""

    def rows(self, name: str, merge: str = "FROM {parts}", **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of the query `merge`, which reads the rows that all parts gave as `{parts}`."""


@dataclass(frozen=True, slots=True)
class OnePart:
    """The results of steps for a log that is one part: queries, which become subqueries of the merge."""

    given: Mapping[str, Rows]

    def rows(self, name: str, merge: str = "FROM {parts}", **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of the query `merge`, which reads `{parts}`."""
        one = self.given[name].read_by(merge.replace("{parts}", "{rows}"), **parameters)
        return one.selected.rows(one.sql, **one.parameters)


def select_scope(
    log: OpenLog, selection: Selection, needs_both_for: str = "", cuts: Sequence[datetime] = (),
    other: Selection | None = None,
) -> Scope:  # fmt: skip
    """Select the lookups of a question, those of `selection` or `other`; for `cuts` see `select_lookups`.

    `needs_both_for` is the name of the command if it needs both the LOCAL and the REMOTE events of lookups.

    Raises:
        UsageError: the selection removes one of the two events of a lookup, and both are needed.
        QueryError: SQL of the selection does not run.
    """
    for name in ("source", "event") if needs_both_for else ():
        if getattr(selection, name):
            raise UsageError(Option(name), f": `{needs_both_for}` needs both events of a lookup; leave it out")
    selection = resolve_last(log.connection, selection)
    if log.divided:
        return Scope(log, selection, divided_lookups(log.connection), tuple(cuts), other)
    selected = select_lookups(log.connection, selection, cuts=cuts)
    if other:
        selected = selected.union(select_lookups(log.connection, other, cuts=cuts))
    return Scope(log, selection, selected, tuple(cuts), other)


def both(scope: Scope, other: Scope) -> Scope:
    """Return the scope of the lookups of either of two scopes of one log: those of both count once."""
    return replace(scope, selected=scope.selected.union(other.selected), other=other.selection)
