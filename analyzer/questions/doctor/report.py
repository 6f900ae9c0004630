"""What `doctor` answers."""

from collections.abc import Iterator
from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import LookupsQuery, Selection
from analyzer.questions.doctor.findings import FINDINGS
from analyzer.questions.report import Report, build_report, select_scope
from analyzer.table import NUMBER, TEXT, Column, Table

COLUMNS = (
    Column("finding", TEXT, "its name"),
    Column("severity", TEXT, "`problem`: other answers are wrong or hits are lost; `notice`: to be known"),
    Column("count", NUMBER, "affected events, lookups, sessions, files or days, as `what` says"),
    Column("what", TEXT, "what was found, with examples"),
    Column("remedy", TEXT, "what to do"),
    Column("definition", TEXT, "what the finding is", detail=True),
)
"""The count is a plain number: with text alone, a table too wide for a terminal is written a record a block."""

NOTHING = "nothing found wrong with the log"
EMPTY = "there are no events to look at"


def doctor(log: OpenLog, selection: Selection) -> Report:
    """Answer `doctor`: the table `findings`, empty where nothing is wrong.

    Findings about lookups are of those that filters leave; findings about files are of the whole log.

    Raises:
        UsageError: `source` or `event` is given.
    """
    asked = select_scope(log, selection, needs_both_for="doctor")
    table = findings(asked.selected)
    said = NOTHING if log.counts().read else EMPTY
    return build_report("doctor", asked, [table], notes=[] if table.rows else [said])


def findings(selected: LookupsQuery) -> Table:
    """Return the table `findings`."""
    return Table("findings", COLUMNS, list(_rows(selected)))


def _rows(selected: LookupsQuery) -> Iterator[tuple[Any, ...]]:
    for one in FINDINGS:
        for evidence in selected.rows(one.sql):
            yield one.name, one.severity, evidence[0], one.what.format(*evidence), one.remedy, one.definition
