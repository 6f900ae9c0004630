"""What `check` answers."""

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selection
from analyzer.metrics.check import Sides, Thresholds, checks
from analyzer.metrics.side import measure
from analyzer.report.compare import last_two_weeks, narrowed
from analyzer.report.report import Report, answer, ask


def check(opened: Opened, selection: Selection, wanted: Thresholds) -> Report:
    """Answer `check`: the table `checks`, a row a threshold; the drop is that of the last 7 days against the 7 before.

    Raises:
        UsageError: `source` or `event` is given.
    """
    before, after = (
        measure(ask(opened, narrowed(selection, sample), needs_both_for="check").selected).rate
        for sample in last_two_weeks(opened, selection)
    )
    asked = ask(opened, selection)
    return answer("check", asked, [checks(wanted, Sides(measure(asked.selected), before, after))])
