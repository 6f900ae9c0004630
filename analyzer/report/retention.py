"""What `retention` answers."""

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selection
from analyzer.metrics.curve import retention as tables_of
from analyzer.report.report import Report, answer, ask

NEVER = "no lookup asked the remote cache at a known time; a retention curve is of such lookups alone"
UPLOADED = "in the curve every miss is uploaded; uploads that never land (see misses) tell it from what is observed"


def retention(opened: Opened, selection: Selection, days: float) -> Report:
    """Answer `retention`: the tables `observed`, `curve` and `steps`, the last from `days`.

    Raises:
        UsageError: `source` or `event` is given.
    """
    asked = ask(opened, selection, needs_both_for="retention")
    observed, *others = tables_of(asked.selected, days)
    note = UPLOADED if observed.rows else NEVER
    return answer("retention", asked, [observed, *others], others[0], [note])
