"""What must be said beside an answer: what filters leave out, times that cannot be, and which view it is of."""

from collections.abc import Collection

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selection, run
from analyzer.message import Message, Option
from analyzer.moment import FIRST_CLIENT
from analyzer.text import nearest

UNTIMED = "SELECT coalesce(sum(events), 0)::BIGINT FROM lookup WHERE first_at IS NULL"
EARLIEST = "SELECT min(first_at) FROM session_summary"


def _early(opened: Opened) -> list[str]:
    """Say where times are older than they can be."""
    earliest = run(opened.connection, EARLIEST, {})[0][0]
    if earliest is None or earliest >= FIRST_CLIENT:
        return []
    return [f"the earliest event is of {earliest} UTC: numbers are read as milliseconds since 1970; are they seconds?"]


NAMED = {
    "team": ("team", "SELECT DISTINCT unnest([team, team_id]) FROM store.context"),
    "ci": ("CI vendor", "SELECT DISTINCT ci FROM store.context"),
}


def misnamed(opened: Opened, selection: Selection) -> list[str]:
    """Say which teams and CI vendors of a selection the log does not name, and which name is near."""
    found = []
    for filtered, (called, query) in NAMED.items():
        wanted = getattr(selection, filtered)
        known = {name for (name,) in run(opened.connection, query, {}) if name is not None} if wanted else set()
        found += [f"no {called} is called {name}{_nearest(name, known)}" for name in wanted if name not in known]
    return found


def _nearest(name: str, known: Collection[str]) -> str:
    """Return the question whether a known name is meant, in whatever case it is written."""
    lower = {one.lower(): one for one in sorted(known)}
    near = nearest(name.lower(), lower)
    return f"; did you mean {lower[near]}?" if near else ""


KNOWN = """
SELECT list(DISTINCT team ORDER BY team), list(DISTINCT ci ORDER BY ci), min(first_at), max(last_at)
FROM session_summary s LEFT JOIN store.context c ON c.id = s.context_id
"""


SINGLE = (Option("source"), ", ", Option("event"), ", ", Option("status"), " and ", Option("where"))


def _chosen(opened: Opened, selection: Selection, there_are: int, kept: int) -> list[str]:
    """Say what filters mean for the numbers, and what there is where they leave nothing."""
    if kept or not there_are:
        only = Message(*SINGLE, " choose single events: rates are of what they leave")
        return [only] if selection.chooses_events else []
    teams, vendors, first_at, last_at = run(opened.connection, KNOWN, {})[0]
    there = f"the log is from {first_at} to {last_at} UTC" if first_at else "no event of the log has a time"
    for name, values in (("teams", teams), ("CI vendors", vendors)):
        known = [value for value in values or () if value is not None]
        there += f"; {name}: {', '.join(known[:10])}" if known else ""
    if opened.view == "runs" and (selection.team or selection.ci or selection.status):
        there += "; run summaries name no team, CI or status, only those that match a session do"
    return [f"the filters leave none of {there_are:,} events; {there}"]


def _untimed(opened: Opened, selection: Selection) -> list[str]:
    """Say how many events a time filter drops for having no time."""
    if not (selection.since or selection.until):
        return []
    untimed = run(opened.connection, UNTIMED, {})[0][0]
    return [f"{untimed:,} events without a time are left out by the time filter"] if untimed else []


ARTIFACTS = "SELECT count(*) FROM artifact"


def _empty(opened: Opened, there_are: int) -> list[str]:
    """Say why there is nothing to answer from, where the input is artifacts' metadata alone."""
    artifacts = 0 if there_are else run(opened.connection, ARTIFACTS, {})[0][0]
    alone = f"{artifacts:,} artifacts' metadata say how long tasks took, and hold no lookup"
    return [f"{alone}: name an event log or run summaries too"] if artifacts else []


def cautions(opened: Opened, selection: Selection, there_are: int, kept: int) -> list[str]:
    """Return the notes on an answer about `kept` of the events `there_are`."""
    of_log = _early(opened) + _empty(opened, there_are) + _untimed(opened, selection)
    named = misnamed(opened, selection) if there_are else []
    return of_log + named + _chosen(opened, selection, there_are, kept) + _views(opened)


RUNS = """
SELECT count(*), count(*) FILTER (WHERE id IN (SELECT run_id FROM match)) FROM run
"""

MAYBE_FORCED = """
SELECT count(DISTINCT run_id), count(*) FROM asked WHERE run_id IN (FROM maybe_forced)
"""


def _views(opened: Opened) -> list[str]:
    """Say which view answers where there are two, and what it leaves out."""
    runs, matched = run(opened.connection, RUNS, {})[0]
    if not runs:
        return []
    if opened.view == "events":
        rest = (f"; {runs - matched:,} match none and are not counted (", Option("view", "runs"), ")")
        found = f"answered from events; of {runs:,} run summaries {matched:,} match a session"
        return [Message(found, *rest) if runs > matched else found]
    forced, tasks = run(opened.connection, MAYBE_FORCED, {})[0]
    maybe = (
        f"{forced:,} of them missed all that had been built before and may have been run with --force, which turbo does"
        f" not record: their {tasks:,} tasks count as misses"
    )
    said = (
        f"answered from run summaries ({runs:,}), not from events; a miss is taken to have asked both caches, unless"
        " its session shows one alone"
    )
    return [said, *([maybe] if forced else [])]
