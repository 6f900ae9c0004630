"""Which run summaries are sent as events, and which are not."""

from analyzer.archive.open_log import OpenLog
from analyzer.errors import Message, Option

RUNS = """
SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM match), (SELECT count(*) FROM maybe_forced),
       (SELECT count(DISTINCT run_id) FROM perhaps_arrived WHERE run_id NOT IN (FROM maybe_forced)),
       (SELECT count(*) FROM refused)
"""
UNMATCHED = "SELECT count(*) FROM run WHERE id NOT IN (SELECT run_id FROM match)"


def said(opened: OpenLog) -> list[str]:
    """Say what becomes of the run summaries that are open."""
    if opened.view == "runs":
        return _sent(*opened.connection.execute(RUNS).fetchall()[0])
    unmatched = opened.connection.execute(UNMATCHED).fetchall()[0][0]
    if not unmatched:
        return []
    instead = (Option("view", "runs"), " sends events made of them instead")
    return [Message(f"{unmatched:,} run summaries match no session; ", *instead)]


def _sent(runs: int, matched: int, forced: int, perhaps: int, refused: int) -> list[str]:
    left_out = (
        f"events are made of run summaries: of {runs:,}, {matched - refused:,} are left out as their events are in the"
        f" log, {forced:,} as they may have been run with --force, which reports nothing, and {perhaps:,} as a session"
        " of the log fits them but for the time"
    )
    as_logged = f"of {refused:,} runs the log shows all events refused (4xx): they are sent as the log has them"
    caches = (
        "a summary does not say which caches were on: the events are those of a run with both. That a log holds the"
        " same runs shows only where both are in SOURCE: one of them sent alone may count twice what went before"
    )
    return [left_out, *([as_logged] if refused else []), caches]
