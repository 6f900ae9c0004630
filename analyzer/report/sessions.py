"""What `sessions` answers, of all runs and of one."""

from dataclasses import replace

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selection
from analyzer.metrics.classes import classify
from analyzer.metrics.session import find, session
from analyzer.metrics.sessions import sessions as tables_of
from analyzer.report.report import Report, answer, ask
from analyzer.text import require_utf8


def sessions(opened: Opened, selection: Selection, limit: int) -> Report:
    """Answer `sessions`: the tables `low_hit_rate`, `time_lost` and `percentiles`.

    Raises:
        UsageError: `source` or `event` is given.
    """
    asked = ask(opened, selection, needs_both_for="sessions")
    return answer("sessions", asked, tables_of(asked.selected, limit))


def one_session(opened: Opened, selection: Selection, text: str, retention_days: float) -> Report:
    """Answer `sessions ID`: the tables `session` and `lookups`.

    Raises:
        UsageError: there is no such session, or `source` or `event` is given.
    """
    require_utf8("id", text)
    name = find(ask(opened, selection, needs_both_for="sessions").selected, text)
    asked = ask(opened, replace(selection, session=(name,)))
    classify(asked.selected, retention_days)
    tables = session(asked.selected)
    return answer("sessions", asked, tables, tables[1])
