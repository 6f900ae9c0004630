"""`doctor`: reports problems of the log itself, and what to do about them."""

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.errors import Message, Option
from analyzer.questions.doctor import files, read_lookups, server, sessions
from analyzer.questions.report import Report, build_report
from analyzer.questions.scope import Scope, select_scope
from analyzer.table import NUMBER, TEXT, Column, Table

# All findings by severity, in the order of the answer.
FINDINGS = {
    "problem": (
        server.OUTAGES, server.NEVER_REMOTE, server.UNKNOWN_DURATIONS, sessions.LOST_EVENTS, files.CUT_FILES,
        files.OVERLAPPING_FILES, files.REJECTS, files.IMPOSSIBLE_TIMES,
    ),
    "notice": (
        server.PARTLY_UNKNOWN_DURATIONS, sessions.CUT_SESSIONS, files.RETRIED_BATCHES, files.UNTIMED_EVENTS,
        files.CLOCK_STEPS, files.GAPS, files.UNKNOWN_KEYS, sessions.RUNS_CUT_SHORT,
        sessions.UNREPRODUCIBLE_HASHES, sessions.UNMATCHED_RUNS, sessions.UNMATCHED_SESSIONS,
    ),
}  # fmt: skip

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
    table, notes = findings(scope), left_out(scope)
    if not table.rows and not notes:
        notes = ["nothing found wrong with the log" if log.counts().read else "the log has no events to examine"]
    return build_report("doctor", scope, [table], notes=notes)


def left_out(scope: Scope) -> list[str]:
    """Return a note on the findings that a divided log cannot be examined for."""
    if not scope.log.divided:
        return []
    names = ", ".join(check.name for checks in FINDINGS.values() for check in checks if check.read is read_lookups)
    return [Message(f"not examined: {names}; they need all lookups in one place: leave out ", Option("engine"))]


def findings(scope: Scope) -> Table:
    """Return the table `findings`: one row per occurrence of a finding."""
    rows: list[tuple[object, ...]] = []
    for severity, checks in FINDINGS.items():
        for check in checks:
            if scope.log.divided and check.read is read_lookups:
                continue
            options = [part for option in check.options for part in (", ", option)][1:]
            remedy = Message(check.remedy, *((" (", *options, ")") if options else ()))
            rows += [
                (check.name, severity, row[0], check.what.format(*row), remedy, check.definition)
                for row in check.read(scope, check.sql)
            ]
    return Table("findings", COLUMNS, rows)
