"""What `doctor` answers."""

from collections.abc import Iterator
from typing import Any

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selected, Selection
from analyzer.metrics.doctor.findings import FINDINGS
from analyzer.report.report import Report, answer, ask
from analyzer.table import NUMBER, TEXT, Heading, Table

COLUMNS = (
    Heading("finding", TEXT, "its name"),
    Heading("severity", TEXT, "`problem`: other answers are wrong or hits are lost; `notice`: to be known"),
    Heading("count", NUMBER, "affected events, lookups, sessions, files or days, as `what` says"),
    Heading("what", TEXT, "what was found, with examples"),
    Heading("remedy", TEXT, "what to do"),
    Heading("definition", TEXT, "what the finding is", detail=True),
)
"""The count is a plain number: with text alone, a table too wide for a terminal is written a record a block."""

NOTHING = "nothing found wrong with the log"
EMPTY = "there are no events to look at"


def doctor(opened: Opened, selection: Selection) -> Report:
    """Answer `doctor`: the table `findings`, empty where nothing is wrong.

    Findings about lookups are of those that filters leave; findings about files are of the whole log.

    Raises:
        UsageError: `source` or `event` is given.
    """
    asked = ask(opened, selection, needs_both_for="doctor")
    table = findings(asked.selected)
    said = NOTHING if opened.counts().read else EMPTY
    return answer("doctor", asked, [table], notes=[] if table.rows else [said])


def findings(selected: Selected) -> Table:
    """Return the table `findings`."""
    return Table("findings", COLUMNS, list(_rows(selected)))


def _rows(selected: Selected) -> Iterator[tuple[Any, ...]]:
    for one in FINDINGS:
        for evidence in selected.ask(one.sql):
            yield one.name, one.severity, evidence[0], one.what.format(*evidence), one.remedy, one.definition
