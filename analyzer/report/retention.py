"""What `retention` answers."""

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selection
from analyzer.metrics.curve import retention as tables_of
from analyzer.report.report import Report, answer, ask

NEVER = "no lookup asked the remote cache at a known time; a retention curve is of such lookups alone"


def retention(opened: Opened, selection: Selection, days: float) -> Report:
    """Answer `retention`: the tables `curve` and `steps`, the latter from `days`.

    Raises:
        UsageError: single events are chosen.
    """
    asked = ask(opened, selection, whole="retention")
    tables, observed = tables_of(asked.selected, days)
    notes = [NEVER]
    if observed:
        rate = f"{observed.hits / observed.lookups:.1%}".replace("%", " %")
        own = f"the log's own remote hit rate is {rate} of {observed.lookups:,} lookups"
        notes = [f"{own}; in the curve every miss is uploaded: uploads that never land (see misses) are the difference"]
    return answer("retention", asked, tables, notes=notes)
