"""`doctor`: what is wrong with the log itself, and what to do about it."""

from collections.abc import Iterator
from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import LookupsQuery, Selection
from analyzer.questions.doctor import files, server, sessions, times
from analyzer.questions.report import Report, build_report, select_scope
from analyzer.table import NUMBER, TEXT, Column, Table

FINDINGS = (
    server.OUTAGES,
    server.NEVER_REMOTE,
    server.UNKNOWN_DURATIONS,
    sessions.LOST_EVENTS,
    files.CUT_FILES,
    files.OVERLAPPING_FILES,
    files.REJECTS,
    times.IMPOSSIBLE_TIMES,
    server.PARTLY_UNKNOWN_DURATIONS,
    sessions.CUT_SESSIONS,
    files.RETRIED_BATCHES,
    times.UNTIMED_EVENTS,
    times.CLOCK_STEPS,
    times.GAPS,
    files.UNKNOWN_KEYS,
    sessions.UNMATCHED_RUNS,
    sessions.UNMATCHED_SESSIONS,
)
"""All findings in the order of the answer, problems first. A new one is declared in its theme and listed here."""

COLUMNS = (
    Column("finding", TEXT, "name of the finding"),
    Column("severity", TEXT, "`problem`: other answers are wrong, or hits are lost; `notice`: helps to read them"),
    # A plain number, not COUNT: a table of text and numbers that is too wide for a terminal is written in blocks.
    Column("count", NUMBER, "affected events, lookups, sessions, files or days, as `what` says"),
    Column("what", TEXT, "what was found, with examples"),
    Column("remedy", TEXT, "what to do about it"),
    Column("definition", TEXT, "the condition that was checked", detail=True),
)


def doctor(log: OpenLog, selection: Selection) -> Report:
    """Answer `doctor`: the table `findings`, empty if nothing is wrong.

    Raises:
        UsageError: the selection has `source` or `event`.
    """
    scope = select_scope(log, selection, needs_both_for="doctor")
    table = findings(scope.selected)
    nothing = "nothing found wrong with the log" if log.counts().read else "the log has no events to examine"
    return build_report("doctor", scope, [table], notes=[] if table.rows else [nothing])


def findings(selected: LookupsQuery) -> Table:
    """Return the table `findings`: a row for each occurrence of a finding."""
    return Table("findings", COLUMNS, list(_rows(selected)))


def _rows(selected: LookupsQuery) -> Iterator[tuple[Any, ...]]:
    for one in FINDINGS:
        for row in selected.rows(one.sql):
            yield one.name, one.severity, row[0], one.what.format(*row), one.advice, one.definition
