"""What `misses` answers."""

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selection
from analyzer.metrics.classes import classify
from analyzer.metrics.misses import by_class, default_key, summary, top
from analyzer.report.report import Report, answer, ask


def misses(opened: Opened, selection: Selection, retention_days: float, by: str | None, limit: int) -> Report:
    """Answer `misses`: the tables `misses`, `classes` and `top`.

    Raises:
        UsageError: `source` or `event` is given.
    """
    asked = ask(opened, selection, needs_both_for="misses")
    selected = asked.selected
    classify(selected, retention_days)
    tables = [summary(selected), by_class(selected), top(selected, by or default_key(selected), limit)]
    return answer("misses", asked, tables, tables[1])
