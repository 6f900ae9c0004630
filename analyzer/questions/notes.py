"""What must be said beside an answer: what filters leave out, times that cannot be, and which view it is of."""

from collections.abc import Collection, Iterator, Sequence

from analyzer.archive.accounting import FileReport, LoadResult
from analyzer.archive.open_log import OpenLog
from analyzer.archive.rejects import format_place
from analyzer.archive.selection import Selection, fetch_rows
from analyzer.errors import InputError, Message, Option
from analyzer.readers.formats import DOCUMENT_FORMATS
from analyzer.text import closest_match
from analyzer.times import FIRST_CLIENT_AT

UNTIMED = "SELECT coalesce(sum(events), 0)::BIGINT FROM lookup WHERE first_at IS NULL"
EARLIEST = "SELECT min(first_at) FROM session_summary"


def _early(log: OpenLog) -> list[str]:
    """Say where times are older than they can be."""
    earliest = fetch_rows(log.connection, EARLIEST, {})[0][0]
    if earliest is None or earliest >= FIRST_CLIENT_AT:
        return []
    return [f"the earliest event is of {earliest} UTC: numbers are read as milliseconds since 1970; are they seconds?"]


NAMED_FILTERS = {
    "team": ("team", "SELECT DISTINCT unnest([team, team_id]) FROM store.context"),
    "ci": ("CI vendor", "SELECT DISTINCT ci FROM store.context"),
}


def unknown_name_notes(log: OpenLog, selection: Selection) -> list[str]:
    """Say which teams and CI vendors of a selection the log does not name, and which name is near."""
    found = []
    for filtered, (called, query) in NAMED_FILTERS.items():
        wanted = getattr(selection, filtered)
        known = {name for (name,) in fetch_rows(log.connection, query, {}) if name is not None} if wanted else set()
        found += [f"no {called} is called {name}{_suggestion(name, known)}" for name in wanted if name not in known]
    return found


def _suggestion(name: str, known: Collection[str]) -> str:
    """Return the question whether a known name is meant, in whatever case it is written."""
    lower = {one.lower(): one for one in sorted(known)}
    near = closest_match(name.lower(), lower)
    return f"; did you mean {lower[near]}?" if near else ""


KNOWN = """
SELECT list(DISTINCT team ORDER BY team), list(DISTINCT ci ORDER BY ci), min(first_at), max(last_at)
FROM session_summary s LEFT JOIN store.context c ON c.id = s.context_id
"""


SINGLE = (Option("source"), ", ", Option("event"), ", ", Option("status"), " and ", Option("where"))


def _chosen(log: OpenLog, selection: Selection, there_are: int, kept: int) -> list[str]:
    """Say what filters mean for the numbers, and what there is where they leave nothing."""
    if kept or not there_are:
        only = Message(*SINGLE, " choose single events: rates are of what they leave")
        return [only] if selection.chooses_events else []
    teams, vendors, first_at, last_at = fetch_rows(log.connection, KNOWN, {})[0]
    there = f"the log is from {first_at} to {last_at} UTC" if first_at else "no event of the log has a time"
    for name, values in (("teams", teams), ("CI vendors", vendors)):
        known = [value for value in values or () if value is not None]
        there += f"; {name}: {', '.join(known[:10])}" if known else ""
    if log.view == "runs" and (selection.team or selection.ci or selection.status):
        there += "; run summaries name no team, CI or status, only those that match a session do"
    return [f"the filters leave none of {there_are:,} events; {there}"]


def _untimed(log: OpenLog, selection: Selection) -> list[str]:
    """Say how many events a time filter drops for having no time."""
    if not (selection.since or selection.until):
        return []
    untimed = fetch_rows(log.connection, UNTIMED, {})[0][0]
    return [f"{untimed:,} events without a time are left out by the time filter"] if untimed else []


ARTIFACTS = "SELECT count(*) FROM artifact"


def _empty(log: OpenLog, there_are: int) -> list[str]:
    """Say why there is nothing to answer from, where the input is artifacts' metadata alone."""
    artifacts = 0 if there_are else fetch_rows(log.connection, ARTIFACTS, {})[0][0]
    alone = f"{artifacts:,} artifacts' metadata say how long tasks took, and hold no lookup"
    return [f"{alone}: name an event log or run summaries too"] if artifacts else []


def answer_notes(log: OpenLog, selection: Selection, there_are: int, kept: int) -> list[str]:
    """Return the notes on an answer about `kept` of the events `there_are`."""
    of_log = _early(log) + _empty(log, there_are) + _untimed(log, selection)
    named = unknown_name_notes(log, selection) if there_are else []
    return of_log + named + _chosen(log, selection, there_are, kept) + _views(log)


RUNS = """
SELECT count(*), count(*) FILTER (WHERE id IN (SELECT run_id FROM match)) FROM run
"""

MAYBE_FORCED = """
SELECT count(DISTINCT run_id), count(*) FROM asked WHERE run_id IN (FROM maybe_forced)
"""


def _views(log: OpenLog) -> list[str]:
    """Say which view answers where there are two, and what it leaves out."""
    runs, matched = fetch_rows(log.connection, RUNS, {})[0]
    if not runs:
        return []
    if log.view == "events":
        rest = (f"; {runs - matched:,} match none and are not counted (", Option("view", "runs"), ")")
        found = f"answered from events; of {runs:,} run summaries {matched:,} match a session"
        return [Message(found, *rest) if runs > matched else found]
    forced, tasks = fetch_rows(log.connection, MAYBE_FORCED, {})[0]
    maybe = (
        f"{forced:,} of them missed all that had been built before and may have been run with --force, which turbo does"
        f" not record: their {tasks:,} tasks count as misses"
    )
    said = (
        f"answered from run summaries ({runs:,}), not from events; a miss is taken to have asked both caches, unless"
        " its session shows one alone"
    )
    return [said, *([maybe] if forced else [])]


MAX_LISTED = 3
REJECTS = """
SELECT f.name, line, item, reason, text FROM store.reject JOIN store.file f ON f.id = file_id WHERE file_id >= $first
"""


def require_logs(intake: LoadResult, sources: Sequence[str]) -> None:
    """Refuse to answer where no log was read at all: an answer about nothing would look like one.

    Raises:
        InputError: a file that cannot be read, or none that is a log.
    """
    if intake.files:
        return
    if intake.errors:
        raise intake.errors[0]
    named = ", ".join(sources)
    if intake.dry_runs:
        raise InputError(f"only dry runs in {named}, which run nothing; name event logs, or summaries of real runs")
    raise InputError(f"no event log in {named}; name files, directories or globs that hold some")


def load_notes(found: OpenLog) -> list[str]:
    """Say what became of the input beyond its plain events; what could not be read is in `intake.errors`."""
    intake = found.load_result
    notes: list[str] = [Message(f"{report.name}: ", text) for report in intake.files for text in report.notes]
    notes += _duplicate_notes([report for report in intake.files if report.duplicate_of])
    if intake.skipped:
        more = f" and {len(intake.skipped) - 1:,} more files" if len(intake.skipped) > 1 else ""
        notes.append(f"skipped, as no event log: {intake.skipped[0]}{more}")
    if intake.dry_runs:
        count = len(intake.dry_runs)
        notes.append(f"{count:,} dry run{'s' * (count > 1)} ignored, as nothing was run: {intake.dry_runs[0]}")
    if intake.same_runs:
        known = "run summaries whose id is known by another summary, which is the one that counts"
        notes.append(f"{known}: {intake.same_runs:,}")
    return [*notes, *_reject_notes(found)]


def _duplicate_notes(again: Sequence[FileReport]) -> Iterator[str]:
    """Say which files were known by their content; of many, the first."""
    for report in again[:MAX_LISTED]:
        known = f"the same content as {report.duplicate_of}" if report.duplicate_of != report.name else "known already"
        what = f"its {report.read:,} events count once" if report.format not in DOCUMENT_FORMATS else "it counts once"
        yield f"{report.name}: {known}; {what}"
    if len(again) > MAX_LISTED:
        yield f"so are {len(again) - MAX_LISTED:,} more files"


def _reject_notes(found: OpenLog) -> Iterator[str]:
    """Say how many events were rejected, and the first of them."""
    counts = found.counts_now() if found.first_file_id else found.counts()
    if not counts.rejected:
        return
    yield Message(f"{counts.rejected:,} of {counts.read:,} events rejected; ", Option("rejects"), " lists all")
    rows = found.connection.execute(f"{REJECTS} LIMIT {MAX_LISTED}", {"first": found.first_file_id}).fetchall()
    for file, line, item, reason, text in rows:
        yield f"  {format_place(file, line, item)}: {reason}: {' '.join(text.split())}"
