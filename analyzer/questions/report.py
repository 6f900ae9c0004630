"""A command's answer: the lookups it is about, its tables and notes, the accounting of its input, and its costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from analyzer.archive.accounting import Accounting
from analyzer.archive.open_log import EventCounts, OpenLog
from analyzer.archive.selection import LookupsQuery, Selection, select_lookups
from analyzer.errors import Option, UsageError
from analyzer.questions.notes import answer_notes
from analyzer.table import MONEY, MONEY_CHANGE, MS, MS_CHANGE, Column, Headline, Section, Sentence, Table
from analyzer.validation import require_number

KEPT = "SELECT coalesce(sum(events), 0)::BIGINT FROM {selected}"
MINUTE_MS = 60_000
COST_UNITS = {MS: MONEY, MS_CHANGE: MONEY_CHANGE}
"""The units of task time, each with the unit of its cost."""


@dataclass(frozen=True, slots=True)
class Report:
    """A command's answer.

    Args:
        command: the command that it answers.
        accounting: where the events of the input went.
        tables: all tables; JSON, HTML and text formats contain them all.
        primary: the one of `tables` that CSV, NDJSON and Parquet contain.
        notes: facts that readers need to interpret the numbers.
        facts: more values for JSON, beside the tables.
        about: the filters in words, for the title of an HTML page.
        summary: sentences about what an HTML page covers.
        headlines: the numbers at the top of an HTML page.
        sections: the sections of an HTML page, each about one of `tables`.
    """

    command: str
    accounting: Accounting
    tables: Sequence[Table]
    primary: Table
    notes: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    summary: Sequence[Sentence] = ()
    headlines: Sequence[Headline] = ()
    sections: Sequence[Section] = ()

    @property
    def title(self) -> str:
        """The title of an HTML page."""
        return f"Remote build cache {self.command}" + (f": {self.about}" if self.about else "")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a question is about: the log, the filters, and the lookups that pass them."""

    log: OpenLog
    selection: Selection
    selected: LookupsQuery


def select_scope(log: OpenLog, selection: Selection, needs_both_for: str = "") -> Scope:
    """Select the lookups of a question.

    `needs_both_for` is the name of the command if it needs both the LOCAL and the REMOTE events of lookups.

    Raises:
        UsageError: the selection removes one of the two events of a lookup, and both are needed.
        QueryError: SQL of the selection does not run.
    """
    for name in ("source", "event") if needs_both_for else ():
        if getattr(selection, name):
            raise UsageError(Option(name), f": `{needs_both_for}` needs both events of a lookup; leave it out")
    return Scope(log, selection, select_lookups(log.connection, selection))


def account_for(counts: EventCounts, kept: int) -> Accounting:
    """Return the accounting of an answer that used `kept` events: the filters removed all others."""
    return Accounting(counts.read, kept, counts.rejected, counts.kept - kept, counts.duplicate, counts.files)


def build_report(
    command: str,
    scope: Scope,
    tables: Sequence[Table],
    primary: Table | None = None,
    notes: Sequence[str] = (),
    **page: Any,
) -> Report:
    """Return the report of a question, with the notes that apply to every question; `primary` defaults to the first.

    `page` holds the fields of `Report` that only an HTML page has.
    """
    counts, kept = scope.log.counts(), scope.selected.rows(KEPT)[0][0]
    all_notes = [*answer_notes(scope.log, scope.selection, counts.kept, kept), *notes]
    facts = {"view": scope.log.view}
    return Report(command, account_for(counts, kept), tables, primary or tables[0], all_notes, facts, **page)


def with_costs(report: Report, cost_per_minute: float | None) -> Report:
    """Return the report with a column of money after each column of task time: `time_saved_cost` for `time_saved_ms`.

    Raises:
        UsageError: `cost_per_minute` is negative or not finite.
    """
    require_number("cost_per_minute", cost_per_minute)
    if cost_per_minute is None:
        return report
    tables = [_with_cost_columns(table, cost_per_minute) for table in report.tables]
    primary = tables[list(report.tables).index(report.primary)]
    return replace(report, tables=tables, primary=primary)


def _with_cost_columns(table: Table, cost_per_minute: float) -> Table:
    columns: list[Column] = []
    rows: list[list[Any]] = [[] for _ in table.rows]
    for place, column in enumerate(table.columns):
        columns.append(column)
        if column.unit in COST_UNITS:
            name = column.name.removesuffix("_ms") + "_cost"
            columns.append(Column(name, COST_UNITS[column.unit], f"{column.description}; in money", column.detail))
        for cells, row in zip(rows, table.rows, strict=True):
            cells.append(value := row[place])
            if column.unit in COST_UNITS:
                cells.append(None if value is None else value / MINUTE_MS * cost_per_minute)
    return replace(table, columns=columns, rows=[tuple(cells) for cells in rows])
